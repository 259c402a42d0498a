"""The Merkle tree of RFC 6962, section 2.1, over SHA-256: hashes, its perfect subtrees, compact ranges, roots.

What is hashed begins with the byte 0 for a leaf and with 1 for an inner node, so that neither can stand in for the
other. A run of leaves [begin, end) is covered by few perfect subtrees, at most two of each height; their hashes are all
that is needed to go on appending and to know the root. That is a `CompactRange`: ranges that touch merge, so that
pieces of a log can be hashed apart and put together.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from p2pworld.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "CompactRange",
    "Subtree",
    "fold",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "perfect_root",
    "root_of",
    "subtrees",
]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf that holds `entry`."""
    return hashlib.sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hashes of the leaves that hold these entries, in their order."""
    sha256 = hashlib.sha256
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of the node over these two."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Subtree(NamedTuple):
    """A perfect subtree: the leaves from `number << level` on, 2^level of them."""

    level: int
    number: int


def subtrees(begin: int, end: int) -> Iterator[Subtree]:
    """The largest perfect subtrees that cover leaves [begin, end), from left to right."""
    while begin < end:
        level = (end - begin).bit_length() - 1
        if begin:
            level = min(level, (begin & -begin).bit_length() - 1)
        yield Subtree(level, begin >> level)
        begin += 1 << level


def perfect_root(hashes: Sequence[bytes]) -> bytes:
    """The hash over a whole number of levels: of 2^n neighbours of one height.

    Raises:
        LocalError: their number is no power of two.
    """
    count = len(hashes)
    if count == 0 or count & (count - 1):
        raise LocalError(f"{count} hashes are no perfect subtree")
    sha256 = hashlib.sha256
    while len(hashes) > 1:
        hashes = [
            sha256(b"\x01" + left + right).digest()
            for left, right in zip(hashes[::2], hashes[1::2], strict=True)
        ]
    return hashes[0]


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over subtrees that shrink from left to right, as those of [0, n) do; of none, the empty root."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of a tree with these leaf hashes."""
    return CompactRange.of(0, leaves).root()


@dataclass(frozen=True, slots=True)
class CompactRange:
    """Leaves [begin, end) by the hashes of `subtrees(begin, end)`."""

    begin: int = 0
    end: int = 0
    hashes: tuple[bytes, ...] = ()

    @classmethod
    def of(cls, begin: int, leaves: Sequence[bytes]) -> Self:
        """The range of these leaf hashes, the first of which is leaf number `begin`."""
        end = begin + len(leaves)
        hashes, at = [], 0
        for level, _ in subtrees(begin, end):
            hashes.append(perfect_root(leaves[at : at + (1 << level)]))
            at += 1 << level
        return cls(begin, end, tuple(hashes))

    def extend(self, leaves: Sequence[bytes]) -> CompactRange:
        """This range and these leaf hashes after it; one leaf more costs one hash on average, log n at most."""
        return self.merge(CompactRange.of(self.end, leaves))

    def merge(self, right: CompactRange) -> CompactRange:
        """This range and the one that begins where it ends.

        Raises:
            LocalError: they do not touch.
        """
        if self.end != right.begin:
            raise LocalError(f"a range that ends at {self.end} does not touch one from {right.begin} on")
        levels = [level for level, _ in subtrees(self.begin, self.end)]
        hashes = list(self.hashes)
        for (level, number), joined in zip(subtrees(right.begin, right.end), right.hashes, strict=True):
            # a right child whose left sibling is the last so far becomes their parent, and so on upwards
            while levels and levels[-1] == level and number & 1:
                levels.pop()
                joined = node_hash(hashes.pop(), joined)
                level, number = level + 1, number >> 1
            levels.append(level)
            hashes.append(joined)
        return CompactRange(self.begin, right.end, tuple(hashes))

    def root(self) -> bytes:
        """The root of the tree of size `end`.

        Raises:
            LocalError: the range does not begin at 0.
        """
        if self.begin != 0:
            raise LocalError(f"a range from {self.begin} on has no root")
        return fold(self.hashes)
