"""Receipts, notes and trees as the standards define them, written to be checked by eye.

RFC 6962 for the tree, RFC 9162 (section 2.1.3.2) for proofs of inclusion, C2SP for notes and receipts. Nothing here
imports what it is the twin of.
"""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING, NamedTuple

import nacl.exceptions
import nacl.signing

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Head", "History", "Proven", "leaf_hash", "read_receipt", "sha256"]

_KEY_ID_BYTES = 4


def sha256(data: bytes) -> bytes:
    """The hash that trees are made of."""
    return hashlib.sha256(data).digest()


def leaf_hash(entry: bytes) -> bytes:
    """MTH of one entry."""
    return sha256(b"\x00" + entry)


class History:
    """The entries of a log as they stand in a store, and the root at each size. It may be cut, as stores can be."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.leaves: list[bytes] = []  # their hashes
        self._peaks: list[tuple[tuple[int, bytes], ...]] = [
            ()
        ]  # at each size: the perfect trees, largest first

    def follow(self, entries: Sequence[bytes]) -> int:
        """Be as the store is now; how many entries stand as they stood."""
        kept = min(len(entries), len(self.entries))
        if self.entries[:kept] != list(entries[:kept]):
            pairs = zip(self.entries, entries, strict=False)
            kept = next(place for place, (own, other) in enumerate(pairs) if own != other)
        del self.entries[kept:], self.leaves[kept:], self._peaks[kept + 1 :]
        for entry in entries[kept:]:
            self.leaves.append(leaf_hash(entry))
            peaks = [*self._peaks[-1], (1, self.leaves[-1])]
            while len(peaks) > 1 and peaks[-1][0] == peaks[-2][0]:
                (size, left), (_, right) = peaks[-2:]
                peaks[-2:] = [(2 * size, sha256(b"\x01" + left + right))]
            self._peaks.append(tuple(peaks))
            self.entries.append(entry)
        return kept

    def root(self, size: int) -> bytes | None:
        """MTH of the first so many entries; None if there are fewer."""
        if size >= len(self._peaks):
            return None
        hashes = [hashed for _, hashed in self._peaks[size]]
        if not hashes:
            return sha256(b"")
        root = hashes.pop()
        while hashes:
            root = sha256(b"\x01" + hashes.pop() + root)
        return root


class Head(NamedTuple):
    """What a checkpoint's text says."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def of(cls, text: str) -> Head:
        """The head that a note's text, or a record, begins with."""
        origin, size, root = text.split("\n")[:3]
        return cls(origin, int(size), base64.b64decode(root))


class Proven(NamedTuple):
    """What a receipt says, once all of it has been found true."""

    place: int
    head: Head
    cosigned: int  # by how many of the witnesses that are known


def read_receipt(
    receipt: bytes, entry: bytes | None, origin: str, public: bytes, witnesses: dict[str, bytes]
) -> Proven | str:
    """What the receipt proves of this entry, or why it proves nothing."""
    front, _, note = receipt.partition(b"\n\n")
    first, *lines = (line for line in front.decode().split("\n") if not line.startswith("extra "))
    if first != "c2sp.org/tlog-proof@v1" or not lines[0].startswith("index "):
        return "it is no receipt"
    index = int(lines[0].removeprefix("index "))
    proof = [base64.b64decode(line) for line in lines[1:]]
    text, _, signatures = note.decode().rpartition("\n\n")
    text += "\n"
    head = Head.of(text)
    if head.origin != origin:
        return f"it is of {head.origin}"
    if entry is None or not _included(leaf_hash(entry), index, head.size, proof, head.root):
        return f"its proof does not lead from entry {index} to the root of {head.size}"
    by_log, cosigned = False, 0
    for line in signatures.splitlines():
        _, name, blob = line.split(" ")
        signature = base64.b64decode(blob)[_KEY_ID_BYTES:]
        if name == origin:
            by_log = _signed(public, text.encode(), signature)
        elif name in witnesses:
            time_s = int.from_bytes(signature[:8], "big")
            said = b"cosignature/v1\ntime %d\n" % time_s + text.encode()
            cosigned += _signed(witnesses[name], said, signature[8:])
    return Proven(index, head, cosigned) if by_log else "the log did not sign its checkpoint"


def _signed(public: bytes, text: bytes, signature: bytes) -> bool:
    try:
        nacl.signing.VerifyKey(public).verify(text, signature)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


def _included(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    if index >= size:
        return False
    fn, sn, found = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            found = sha256(b"\x01" + sibling + found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = sha256(b"\x01" + found + sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and found == root
