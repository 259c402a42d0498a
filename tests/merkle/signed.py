"""Keys, notes and a small signed log that several tests use, and ways to spoil them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.crypto.keys import Signer
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import COSIGNATURE, Note, NoteSigner
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tree import Subtree, leaf_hashes, perfect_root, root_of

if TYPE_CHECKING:
    from collections.abc import Iterator

ORIGIN = "seoul.example/jongno"
LOG = NoteSigner(ORIGIN, Signer.from_seed(bytes([1]) * 32))
NEXT_LOG = NoteSigner(ORIGIN, Signer.from_seed(bytes([2]) * 32))  # after a change of keys
WITNESSES = tuple(
    NoteSigner(f"witness.example/{n}", Signer.from_seed(bytes([10 + n]) * 32), COSIGNATURE) for n in range(3)
)
WITNESS_KEYS = tuple(witness.key for witness in WITNESSES)
TIME_S = 1_735_657_200

ENTRIES = [b"entry %d" % number for number in range(37)]
LEAVES = leaf_hashes(ENTRIES)


def read(subtree: Subtree) -> bytes:
    """The hash of a subtree of the small log."""
    begin = subtree.number << subtree.level
    return perfect_root(LEAVES[begin : begin + (1 << subtree.level)])


def checkpoint(size: int, signer: NoteSigner = LOG, origin: str = ORIGIN) -> Note:
    """The small log's checkpoint at this size."""
    text = Checkpoint(origin, size, root_of(LEAVES[:size])).text
    return Note(text, (signer.sign(text),))


def cosigned(note: Note, witnesses: int) -> Note:
    """The note with so many witnesses' signatures."""
    return note.signed(witness.sign(note.text, TIME_S) for witness in WITNESSES[:witnesses])


def receipt(index: int, size: int, witnesses: int = 2, extra: bytes = b"") -> Receipt:
    """The receipt of one entry of the small log."""
    proof = prove(inclusion_spans(index, size), read)
    return Receipt(index, proof, cosigned(checkpoint(size), witnesses), extra)


def flipped(data: bytes) -> Iterator[bytes]:
    """The data with each byte changed, in its lowest bit and in its highest, and each byte left out."""
    for at, byte in enumerate(data):
        for bit in (1, 0x80):
            yield data[:at] + bytes((byte ^ bit,)) + data[at + 1 :]
        yield data[:at] + data[at + 1 :]
