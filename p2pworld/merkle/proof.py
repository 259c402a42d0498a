"""Proofs of RFC 6962, sections 2.1.1 and 2.1.2: this entry is in that tree; that tree only grew out of this one.

Which hashes a proof consists of depends on the sizes alone. So there is one geometry, the runs of leaves (`Span`) whose
roots make up the proof, and both sides use it: the prover reads those roots, the verifier knows exactly how many there
must be and on which side each one goes. A proof that is too short, too long or for another tree does not verify.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from p2pworld.errors import LocalError, RemoteError
from p2pworld.merkle.tree import EMPTY_ROOT, Subtree, fold, node_hash, subtrees

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = [
    "InclusionProofs",
    "ReadHash",
    "Span",
    "check_consistency",
    "check_inclusion",
    "consistency_spans",
    "inclusion_spans",
    "prove",
]

ReadHash = Callable[[Subtree], bytes]  # the hash of one perfect subtree, from wherever they are kept


class Span(NamedTuple):
    """Leaves [begin, end), whose root is one hash of a proof; `begin` is a multiple of a power of two that holds it."""

    begin: int
    end: int


def _split(begin: int, end: int) -> int:
    """Where the tree over [begin, end) parts: behind the largest power of two that leaves something to the right."""
    return begin + (1 << (end - begin - 1).bit_length() - 1)


def inclusion_spans(index: int, size: int) -> list[Span]:
    """What the proof that leaf `index` is in the tree of `size` consists of, from the leaf's sibling upwards.

    Raises:
        LocalError: there is no such leaf.
    """
    if not 0 <= index < size:
        raise LocalError(f"a tree of {size} has no leaf {index}")
    begin, end, spans = 0, size, []
    while end - begin > 1:
        middle = _split(begin, end)
        if index < middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(begin, middle))
            begin = middle
    return spans[::-1]


def consistency_spans(old: int, new: int) -> list[Span]:
    """What the proof that the tree of size `new` begins with that of size `old` consists of, in its order.

    Raises:
        LocalError: a tree does not shrink.
    """
    if not 0 <= old <= new:
        raise LocalError(f"no tree of {new} grew out of one of {old}")
    if old in (0, new):
        return []
    begin, end, spans = 0, new, []
    while end != old:
        middle = _split(begin, end)
        if old <= middle:
            spans.append(Span(middle, end))
            end = middle
        else:
            spans.append(Span(begin, middle))
            begin = middle
    if begin:  # else the old root itself is the first hash, and the verifier has it
        spans.append(Span(begin, end))
    return spans[::-1]


def prove(spans: Iterable[Span], read: ReadHash) -> tuple[bytes, ...]:
    """The proof that consists of the roots of `spans`."""
    return tuple(fold([read(subtree) for subtree in subtrees(*span)]) for span in spans)


class InclusionProofs:
    """The inclusion proofs of one tree, as `prove` makes them; what several have in common is read once.

    A proof is the leaf's sibling and then the proof of their parent, up to the perfect subtrees that the tree consists
    of: so those of a whole batch, which are neighbours, cost two hashes each instead of one for every level.
    """

    def __init__(self, size: int, read: ReadHash) -> None:
        self._size = size
        self._read = read
        peaks = list(subtrees(0, size))
        hashes = [read(peak) for peak in peaks]
        self._above: dict[Subtree, tuple[bytes, ...]] = {}  # the proof of each subtree met so far
        for at, peak in enumerate(peaks):
            behind = (fold(hashes[at + 1 :]),) if at + 1 < len(hashes) else ()
            self._above[peak] = (*behind, *reversed(hashes[:at]))

    def of(self, index: int) -> tuple[bytes, ...]:
        """The proof that leaf `index` is in the tree.

        Raises:
            LocalError: there is no such leaf.
        """
        if not 0 <= index < self._size:
            raise LocalError(f"a tree of {self._size} has no leaf {index}")
        return self._proof(Subtree(0, index))

    def _proof(self, subtree: Subtree) -> tuple[bytes, ...]:
        known = self._above.get(subtree)
        if known is None:
            level, number = subtree
            sibling = self._read(Subtree(level, number ^ 1))
            known = self._above[subtree] = (sibling, *self._proof(Subtree(level + 1, number >> 1)))
        return known


def check_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Returns if `proof` shows that the leaf with hash `leaf` is number `index` of the tree with this size and root.

    Raises:
        RemoteError: no such leaf (`proof-index`), too few or many hashes (`proof-length`), or another root
            comes out (`proof-root`).
    """
    if not 0 <= index < size:
        raise RemoteError("proof-index", f"a tree of {size} has no leaf {index}")
    spans = inclusion_spans(index, size)
    _check_length(proof, spans)
    found = leaf
    for span, hashed in zip(spans, proof, strict=True):
        found = node_hash(found, hashed) if span.begin > index else node_hash(hashed, found)
    if found != root:
        raise RemoteError(
            "proof-root", f"the entry is not number {index} of the tree of {size} with that root"
        )


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]) -> None:
    """Returns if `proof` shows that the tree (new, new_root) begins with the whole tree (old, old_root).

    Raises:
        RemoteError: the tree shrank (`proof-index`), too few or many hashes (`proof-length`), or other roots
            come out (`proof-root`).
    """
    if not 0 <= old <= new:
        raise RemoteError("proof-index", f"no tree of {new} grew out of one of {old}")
    spans = consistency_spans(old, new)
    _check_length(proof, spans)
    if old == 0:
        grown, found = old_root == EMPTY_ROOT, new_root
        if new == 0:
            found = EMPTY_ROOT
    elif old == new:
        grown, found = True, old_root
    else:
        grown, found = _grow(old, old_root, spans, proof)
    if not grown or found != new_root:
        raise RemoteError("proof-root", f"the tree of {new} does not begin with that tree of {old}")


def _grow(old: int, old_root: bytes, spans: list[Span], proof: Sequence[bytes]) -> tuple[bool, bytes]:
    """Whether the old root comes out of the proof's left side, and the new root that comes out of all of it."""
    pieces = list(zip(spans, proof, strict=True))
    if spans[0].end == old:  # begins inside the old tree, with its last subtree
        (_, first), *pieces = pieces
        left = right = first
    else:
        left = right = old_root
    for span, hashed in pieces:
        if span.end <= old:
            left, right = node_hash(hashed, left), node_hash(hashed, right)
        else:
            right = node_hash(right, hashed)
    return left == old_root, right


def _check_length(proof: Sequence[bytes], spans: list[Span]) -> None:
    if len(proof) != len(spans):
        raise RemoteError("proof-length", f"a proof of {len(proof)} hashes where {len(spans)} are needed")
