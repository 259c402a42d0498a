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


@dataclass(frozen=True, slots=True)
class Record:
    """What the coordination store holds of a log: nothing is signed that is not written here before."""

    origin: str
    size: int
    root: bytes
    epoch: int

    def to_bytes(self) -> bytes:
        """The record as it is stored: a checkpoint's text, with the epoch as one more line."""
        return Checkpoint(self.origin, self.size, self.root, (f"epoch {self.epoch}",)).text.encode()


def parse_record(data: bytes) -> Record:
    """The record that is stored as `data`.

    Raises:
        RemoteError: no checkpoint (`Checkpoint.parse`'s reasons), or without an epoch (`record-form`).
    """
    try:
        checkpoint = Checkpoint.parse(data.decode())
    except UnicodeDecodeError:
        raise RemoteError("record-form", "a log's record is text") from None
    found = [_EPOCH.fullmatch(line) for line in checkpoint.extensions]
    if len(found) != 1 or found[0] is None:
        raise RemoteError("record-form", "a log's record is a checkpoint and the holder's epoch")
    return Record(checkpoint.origin, checkpoint.size, checkpoint.root, int(found[0].group(1)))


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
    if record is None:
        if store or heads.published or heads.witnessed or seen:
            return Refusal("log-record-lost", "the coordination store does not know this log any more")
        return None
    behind = [("store", store, record.size)]
    found = [("record", record.origin, record.size, record.root)]
    ahead = record.size
    for name, head in (("published", heads.published), ("witnessed", heads.witnessed)):
        size = head.size if head else 0
        behind.append((name, ahead, size))
        ahead = size
        if head:
            found.append((name, head.origin, head.size, head.root))
    for one in seen:
        behind.append(("record", record.size, one.size))
        found.append(("witness's", one.origin, one.size, one.root))
    if any(head_origin != origin for _, head_origin, _, _ in found):
        return Refusal("log-origin", "what was read is of another log")
    for name, has, needed in behind:
        if has < needed:
            return Refusal("log-behind", f"{name}: {needed} entries are known where there are {has}")
    for name, _, size, root in found:
        if heads.roots.get(size) != root:
            return Refusal("log-fork", f"the {name} root at {size} is not that of the stored entries")
    return None
