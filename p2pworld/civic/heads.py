"""How far a log has come in each of the places that know of it, and whether they can be of one history.

The store runs ahead, then the record in the coordination store, then what is published, then what witnesses signed.
Any crash leaves witnessed <= published <= record <= store, each the beginning of the next: to finish it is to do the
rest. Whatever else is found (a store restored from an older backup, a record that is gone, another root) is not a
crash, and a log that went on from it could sign a fork. Then it must stay as it is until people have looked.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from p2pworld.errors import Refusal, RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.tiles import Edge

__all__ = ["Heads", "Record", "compare", "parse_record"]

_EPOCH = re.compile(r"epoch (0|[1-9][0-9]{0,15})")
_KEY = re.compile(r"key ([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Record:
    """What the coordination store holds of a log: nothing is signed that is not written here before.

    `key` is the public key that signs it; empty in a record of an older release.
    """

    origin: str
    size: int
    root: bytes
    epoch: int
    key: bytes = b""

    def to_bytes(self) -> bytes:
        """The record as it is stored: a checkpoint's text, with the epoch and the key as more lines."""
        more = (f"epoch {self.epoch}", *([f"key {self.key.hex()}"] if self.key else []))
        return Checkpoint(self.origin, self.size, self.root, more).text.encode()


def parse_record(data: bytes) -> Record:
    """The record that is stored as `data`.

    Raises:
        RemoteError: no checkpoint (`Checkpoint.parse`'s reasons), or without an epoch (`record-form`).
    """
    try:
        checkpoint = Checkpoint.parse(data.decode())
    except UnicodeDecodeError:
        raise RemoteError("record-form", "a log's record is text") from None
    forms = (_EPOCH, _KEY)[: max(1, len(checkpoint.extensions))]
    found = [form.fullmatch(line) for form, line in zip(forms, checkpoint.extensions, strict=False)]
    said = [match[1] for match in found if match]
    if len(said) != len(forms) or len(said) != len(checkpoint.extensions):
        raise RemoteError("record-form", "a log's record is a checkpoint, the holder's epoch and its key")
    key = bytes.fromhex("".join(said[1:]))
    return Record(checkpoint.origin, checkpoint.size, checkpoint.root, int(said[0]), key)


@dataclass(frozen=True, slots=True)
class Heads:
    """What a new holder reads after it has fenced the store.

    `roots` are the store's own, computed from its entries, at the size of every other head that it reaches.
    """

    edge: Edge
    roots: Mapping[int, bytes]
    record: Record | None
    published: Checkpoint | None
    witnessed: Checkpoint | None


def compare(origin: str, heads: Heads, seen: Sequence[Checkpoint] = ()) -> Refusal | None:
    """Why the log must not go on, or None: `log-origin`, `log-record-lost`, `log-behind` or `log-fork`.

    `seen` are checkpoints that the log has signed and somebody else has kept; each must be at most the record.
    """
    record, store = heads.record, heads.edge.size
    heard = [head.origin for head in (record, heads.published, heads.witnessed, *seen) if head]
    for other in heard:
        if other != origin:
            return Refusal(
                "log-origin",
                f"this is to be the log {origin}, and what is recorded or published here is of {other}: put "
                "civic.origin or civic.publish right",
            )
    if record is None:
        if store or heard:
            return Refusal(
                "log-record-lost",
                f"there are entries of {origin} here, and the coordination store does not know this log: was that "
                "store lost, or civic.origin changed",
            )
        return None
    behind = [("store", store, "record", record.size)]
    found = [("record", record.size, record.root)]
    before, ahead = "record", record.size
    for name, head in (("published", heads.published), ("witnessed", heads.witnessed)):
        size = head.size if head else 0
        behind.append((before, ahead, f"{name} log", size))
        before, ahead = f"{name} log", size
        if head:
            found.append((name, head.size, head.root))
    for one in seen:
        behind.append(("record", record.size, "checkpoint that a witness has", one.size))
        found.append(("witness's", one.size, one.root))
    for name, has, other, needed in behind:
        if has < needed:
            return Refusal(
                "log-behind",
                f"the {name} has {has} entries and the {other} {needed}, so an old copy was put in place or a disk "
                "lost some: put the newer one back, or see `p2pworld civic reconcile`",
            )
    for name, size, root in found:
        if heads.roots.get(size) != root:
            return Refusal("log-fork", f"the {name} root at {size} is not that of the stored entries")
    return None
