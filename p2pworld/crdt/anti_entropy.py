"""Two copies of a cell's objects compared by hashes, so that only what differs travels.

A `CellTree` is a Merkle tree over everything a cell says: its objects, its expunged ids and the rows of its causal
context are *items*, each with a place of 32 hex digits under `o`, `x` or `c`. A node of the tree is named by its path,
the first letters of all places below it; it has a digest, equal on two copies exactly where the items below are. One
node has 16 children at most, so two copies of n items that differ in d find that in d * log16(n) steps.

One side tells, the other compares (`Comparison`): it asks for the children of the paths that differ, then for what is
below the small ones, and ends with two things. `mended` is what its copy should be: all that the teller has, as the
teller has it, and beside that what the teller has never heard of. `extras` is the latter, to be given to the teller.
A merge could not do that: a copy that has lost an object but not the dot which names it, or that says something else
under one dot, looks to a merge like one that knows better. So the teller should be the one whose word counts.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgpack

from p2pworld.messages import Twig

from .clock import CausalContext
from .objects_cell import ObjectCell
from .plain import encode, malformed, read_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from .clock import Dot
    from .objects_cell import ObjectRecord

__all__ = ["DIGEST_BYTES", "PATHS_MAX", "SMALL_ITEMS", "CellTree", "Comparison", "Part", "defer"]

DIGEST_BYTES: Final = 16
SMALL_ITEMS: Final = 8  # below a path with no more the items are asked for, not the children
PATHS_MAX: Final = 16  # of one question for children: 256 of them in the answer
LEAVES_MAX: Final = 64  # of one question for what is below
_PLACE: Final = 33  # letters of a whole place
_SPACES: Final = "cox"
_CONTEXT, _OBJECT, _EXPUNGED = _SPACES
_DIGITS: Final = "0123456789abcdef"


@dataclass(frozen=True, slots=True)
class Part:
    """Everything below some paths: objects and expunged ids, and rows of the context."""

    objects: ObjectCell
    context: CausalContext

    def to_bytes(self) -> bytes:
        """The msgpack form, `[cell, rows of the context]`."""
        return encode([self.objects.to_plain(), self.context.to_plain()])

    @classmethod
    def from_bytes(cls, packed: bytes) -> Part:
        """The part so written; raises RemoteError if it is none."""
        try:
            plain = msgpack.unpackb(packed)
        except (ValueError, RecursionError) as error:
            raise malformed("a part is not msgpack") from error
        objects, context = read_row(plain, 2, "a part of a cell")
        return cls(ObjectCell.from_plain(objects), CausalContext.from_plain(context))


class CellTree:
    """The tree over a cell, as it is now; the cell must not change afterwards."""

    def __init__(self, cell: ObjectCell) -> None:
        self.cell = cell
        self._rows = {_row_place(row): row for row in cell.context.to_plain()}
        items = [(_OBJECT + one.hex(), cell.object_digest(one)) for one in cell]
        items += [(_EXPUNGED + one.hex(), b"") for one in cell.expunged]
        items += [(place, hashlib.sha256(encode(row)).digest()) for place, row in self._rows.items()]
        items.sort()
        self._places = [place for place, _ in items]
        self._digests = [digest for _, digest in items]
        self._known: dict[str, bytes] = {}

    @property
    def root(self) -> bytes:
        """The digest over all."""
        return self.digest("")

    def items(self, path: str) -> int:
        """How many items are below a path."""
        first, last = self._range(path)
        return last - first

    def digest(self, path: str) -> bytes:
        """The digest of all items below a path, the same for the same items."""
        known = self._known.get(path)
        if known is None:
            first, last = self._range(path)
            if last - first <= SMALL_ITEMS or len(path) == _PLACE:
                pairs = zip(self._places[first:last], self._digests[first:last], strict=True)
                whole = b"".join([place.encode() + digest for place, digest in pairs])
            else:
                children = self._children(path)
                whole = b"".join([child.encode() + b"\0" + self.digest(child) for child in children])
            known = self._known[path] = hashlib.sha256(whole).digest()[:DIGEST_BYTES]
        return known

    def twigs(self, path: str) -> list[Twig]:
        """The children of a path below which there is anything, in order."""
        if len(path) >= _PLACE:
            return []
        return [Twig(child, self.items(child), self.digest(child)) for child in self._children(path)]

    def part(self, paths: Iterable[str]) -> Part:
        """Everything below these paths."""
        objects: list[bytes] = []
        expunged: list[bytes] = []
        rows: list[object] = []
        for path in sorted(set(paths)):
            for place in self.places(path):
                if place[0] == _OBJECT:
                    objects.append(bytes.fromhex(place[1:]))
                elif place[0] == _EXPUNGED:
                    expunged.append(bytes.fromhex(place[1:]))
                else:
                    rows.append(self._rows[place])
        return Part(self.cell.part(objects, expunged), CausalContext.from_plain(rows))

    def places(self, path: str) -> list[str]:
        """The places of the items below a path."""
        first, last = self._range(path)
        return self._places[first:last]

    def _range(self, path: str) -> tuple[int, int]:
        # "g" comes after every digit, and "~" after everything
        return bisect_left(self._places, path), bisect_left(self._places, path + ("g" if path else "~"))

    def _children(self, path: str) -> list[str]:
        first, last = self._range(path)
        found, at, depth = [], first, len(path)
        while at < last:
            child = self._places[at][: depth + 1]
            found.append(child)
            at = bisect_left(self._places, child + "g", at, last)
        return found


class Comparison:
    """One copy compared with another's, which is only seen through its answers. Ask `wants` until `done`.

    Whatever order answers come in, what they say must be of one moment of the other copy.
    """

    def __init__(self, mine: ObjectCell) -> None:
        self._tree = CellTree(mine)
        self._open: dict[str, None] = {"": None}  # whose children are asked for
        self._leaves: dict[str, None] = {}  # below which everything is asked for
        self._asked: tuple[str, ...] = ()
        self._settled: list[str] = []  # below which everything of theirs is known
        self._objects: dict[bytes, Mapping[Dot, ObjectRecord]] = {}
        self._expunged: set[bytes] = set()
        self._rows: list[object] = []

    @property
    def root(self) -> bytes:
        """The digest over all of my copy."""
        return self._tree.root

    @property
    def waits(self) -> bool:
        """Whether a part of the last question is not answered yet."""
        return any(path in self._open or path in self._leaves for path in self._asked)

    @property
    def done(self) -> bool:
        """Whether all that differs is known."""
        return not self._open and not self._leaves

    @property
    def differs(self) -> bool:
        """Whether anything was found to differ; to be asked when done."""
        return bool(self._settled)

    def wants(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The next question: whose children, and below which paths everything."""
        paths, leaves = tuple(self._open)[:PATHS_MAX], tuple(self._leaves)[:LEAVES_MAX]
        self._asked = paths + leaves
        return paths, leaves

    def hear_twigs(self, asked: tuple[str, ...], twigs: Iterable[Twig]) -> None:
        """The children of paths that were asked for, all of them; an answer to nothing asked changes nothing."""
        theirs: dict[str, list[Twig]] = {path: [] for path in asked if path in self._open}
        for twig in twigs:
            if (parent := twig.path[:-1]) in theirs and twig.path:
                theirs[parent].append(twig)
        for path, children in theirs.items():
            del self._open[path]
            for mine in {twig.path for twig in self._tree.twigs(path)} - {twig.path for twig in children}:
                self._settled.append(mine)  # they have nothing there
            for twig in children:
                if twig.path[-1] not in (_DIGITS if path else _SPACES):
                    continue
                if twig.digest == self._tree.digest(twig.path):
                    continue
                small = twig.items <= SMALL_ITEMS or len(twig.path) >= _PLACE
                (self._leaves if small else self._open)[twig.path] = None

    def hear_part(self, paths: Iterable[str], part: Part) -> None:
        """Everything below paths that were asked for; what is said of other paths is not taken."""
        settled = {path for path in paths if path in self._leaves}
        for path in settled:
            del self._leaves[path]
        self._settled += sorted(settled)
        for object_id in part.objects:
            if _is_below(_OBJECT + object_id.hex(), settled):
                self._objects[object_id] = part.objects.entries(object_id)
        self._expunged |= {one for one in part.objects.expunged if _is_below(_EXPUNGED + one.hex(), settled)}
        self._rows += [row for row in part.context.to_plain() if _is_below(_row_place(row), settled)]

    def outcome(self) -> tuple[ObjectCell, ObjectCell]:
        """`(mended, extras)`: what my copy should be, and what of it the other has never heard of."""
        mine = self._tree.cell
        places = {place for path in self._settled for place in self._tree.places(path)}
        kept = [row for row in mine.context.to_plain() if _row_place(row) not in places]
        context = CausalContext.from_plain([*kept, *self._rows])
        there = {bytes.fromhex(place[1:]) for place in places if place[0] == _OBJECT}
        expunged = {bytes.fromhex(place[1:]) for place in places if place[0] == _EXPUNGED}
        theirs = self._objects
        return _deferred(mine, there, expunged, theirs, context, self._expunged)


def defer(mine: ObjectCell, theirs: ObjectCell) -> tuple[ObjectCell, ObjectCell]:
    """`(mended, extras)` as a comparison would find them, with all of both at hand."""
    entries = {one: theirs.entries(one) for one in theirs}
    return _deferred(mine, set(mine), set(mine.expunged), entries, theirs.context, theirs.expunged)


def _deferred(
    mine: ObjectCell,
    there: set[bytes],
    expunged_there: set[bytes],
    theirs: Mapping[bytes, Mapping[Dot, ObjectRecord]],
    context: CausalContext,
    their_expunged: AbstractSet[bytes],
) -> tuple[ObjectCell, ObjectCell]:
    """The outcome, from all they have where the two differ and what I have `there`, and their whole context."""
    expunged = mine.expunged | their_expunged
    objects: dict[bytes, dict[Dot, ObjectRecord]] = {}
    new: dict[bytes, dict[Dot, ObjectRecord]] = {}
    replaced = CausalContext()
    for one in there | theirs.keys():
        told, entries = theirs.get(one, {}), mine.entries(one)
        beside = {dot: entry for dot, entry in entries.items() if dot not in context}
        objects[one] = {**told, **beside}
        if beside and one not in expunged:
            new[one] = beside
            for dot in told:
                if dot in mine.context and dot not in entries:  # my change saw it and took its place
                    replaced.add(dot)
                    del objects[one][dot]
    mended = mine.amended(objects, context, their_expunged)
    return mended, ObjectCell().amended(new, replaced, expunged_there - their_expunged)


def _is_below(place: str, paths: set[str]) -> bool:
    return any(place[:letters] in paths for letters in range(1, len(place) + 1))


def _row_place(row: object) -> str:
    node, number, *_ = read_row(row, 4, "a context's entry")
    return _CONTEXT + hashlib.sha256(encode([node, number])).hexdigest()[: _PLACE - 1]
