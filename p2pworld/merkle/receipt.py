"""Receipts (C2SP tlog-proof): all that is needed to prove, offline and for ever, that an entry is in a log.

A receipt names the entry's place, leads from its hash to a root, and ends with the signed checkpoint of that root, with
the witnesses that signed it too. It does not hold the entry. `extra` is somebody's note to himself: nothing proves it.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import PROOF_HASHES_MAX, RECEIPT_BYTES_MAX, RECEIPT_EXTRA_BYTES_MAX
from p2pworld.merkle.checkpoint import SignedCheckpoint, open_checkpoint, parse_count, parse_hash
from p2pworld.merkle.note import Note, VerifierKey, decode_base64, parse_note
from p2pworld.merkle.proof import check_inclusion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

__all__ = ["Receipt", "hash_lines", "parse_hash_lines", "parse_receipt", "verify_receipt"]

_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_EXTRA: Final = "extra "
_INDEX: Final = "index "


def hash_lines(proof: Iterable[bytes]) -> str:
    """A proof as lines of base64."""
    return b"".join(map(binascii.b2a_base64, proof)).decode()  # each with its line's end


def parse_hash_lines(lines: list[str]) -> tuple[bytes, ...]:
    """The proof in these lines.

    Raises:
        RemoteError: too many (`proof-length`), or one that is no hash (`proof-hash`).
    """
    if len(lines) > PROOF_HASHES_MAX:
        raise RemoteError(
            "proof-length", f"a proof of {len(lines)} hashes, where {PROOF_HASHES_MAX} are allowed"
        )
    proof = []
    for line in lines:
        hashed = parse_hash(line)
        if hashed is None:
            raise RemoteError("proof-hash", "each line of a proof is 32 bytes in base64")
        proof.append(hashed)
    return tuple(proof)


@dataclass(frozen=True, slots=True)
class Receipt:
    """Entry number `index`, the proof from its hash to the root, and the checkpoint with that root.

    Raises:
        LocalError: too much extra data, or too long a proof.
    """

    index: int
    proof: tuple[bytes, ...]
    checkpoint: Note
    extra: bytes = b""

    def __post_init__(self) -> None:
        if len(self.extra) > RECEIPT_EXTRA_BYTES_MAX or len(self.proof) > PROOF_HASHES_MAX:
            raise LocalError(
                f"{len(self.extra)} bytes and {len(self.proof)} hashes are too much for a receipt"
            )

    def to_bytes(self) -> bytes:
        """The receipt as a file, usually called something.tlog-proof."""
        extra = f"{_EXTRA}{base64.b64encode(self.extra).decode()}\n" if self.extra else ""
        head = f"{_FIRST_LINE}\n{extra}{_INDEX}{self.index}\n{hash_lines(self.proof)}\n"
        return head.encode() + self.checkpoint.to_bytes()


def parse_receipt(data: bytes) -> Receipt:
    """The receipt in these bytes, nothing of it verified.

    Raises:
        RemoteError: too long (`receipt-size`), not of that form (`receipt-form`), no index (`receipt-index`), or what
            is wrong with the proof in it (`parse_hash_lines`) or the checkpoint (`parse_note`).
    """
    if len(data) > RECEIPT_BYTES_MAX:
        raise RemoteError(
            "receipt-size", f"a receipt of {len(data)} bytes, where {RECEIPT_BYTES_MAX} are allowed"
        )
    head, gap, rest = data.partition(b"\n\n")
    first, *lines = head.decode("ascii", "replace").split("\n")
    if first != _FIRST_LINE or not lines or not gap:
        raise RemoteError("receipt-form", f"a receipt begins with the line {_FIRST_LINE}")
    extra = b""
    if lines[0].startswith(_EXTRA):
        extra = decode_base64(lines.pop(0).removeprefix(_EXTRA)) or b""
        if not 0 < len(extra) <= RECEIPT_EXTRA_BYTES_MAX:
            raise RemoteError("receipt-form", "extra data is base64, and not empty")
    index = parse_count(lines.pop(0).removeprefix(_INDEX)) if lines and lines[0].startswith(_INDEX) else None
    if index is None:
        raise RemoteError(
            "receipt-index", "a receipt has the line index, with a number without leading zeros"
        )
    return Receipt(index, parse_hash_lines(lines), parse_note(rest), extra)


def verify_receipt(
    receipt: Receipt,
    leaf: bytes,
    origin: str,
    log_keys: Collection[VerifierKey],
    witness_keys: Collection[VerifierKey] = (),
    quorum: int = 0,
) -> SignedCheckpoint:
    """The checkpoint that proves the entry with the hash `leaf` to be in the log, seen by `quorum` witnesses.

    Raises:
        RemoteError: it does not; the reasons are those of `open_checkpoint`, `require_quorum` and `check_inclusion`.
    """
    opened = open_checkpoint(receipt.checkpoint, origin, log_keys, witness_keys)
    opened.require_quorum(quorum)
    checkpoint = opened.checkpoint
    check_inclusion(leaf, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    return opened
