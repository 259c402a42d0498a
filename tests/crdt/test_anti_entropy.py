"""Two copies compared by hashes: whatever parts them, they end equal, and only what differs travels."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crdt import (
    CausalContext,
    CellTree,
    Comparison,
    Dot,
    ObjectCell,
    ObjectRecord,
    Part,
    Replica,
    Stamp,
    defer,
)
from p2pworld.errors import RemoteError
from p2pworld.messages import Twig

if TYPE_CHECKING:
    from collections.abc import Callable

REPLICAS = [Replica(b"a" * 32, 1), Replica(b"b" * 32, 1), Replica(b"c" * 32, 7)]
IDS = [hashlib.sha256(bytes([n])).digest()[:16] for n in range(24)]


def exchange(
    comparison: Comparison, teller: CellTree, told: Callable[[int], None] = lambda size: None
) -> tuple[ObjectCell, ObjectCell]:
    """Carry a comparison out with a teller at hand; `told` hears the bytes of each question and answer."""
    while not comparison.done:
        paths, leaves = comparison.wants()
        assert comparison.waits
        told(sum(map(len, paths + leaves)))
        twigs = [twig for path in paths for twig in teller.twigs(path)]
        told(sum(len(twig.path) + 4 + len(twig.digest) for twig in twigs))
        comparison.hear_twigs(paths, twigs)
        if leaves:
            part = teller.part(leaves).to_bytes()
            told(len(part))
            comparison.hear_part(leaves, Part.from_bytes(part))
        assert not comparison.waits
    return comparison.outcome()


def slow_outcome(mine: ObjectCell, theirs: ObjectCell) -> tuple[ObjectCell, ObjectCell]:
    """The same, object by object, with all of both at hand."""
    expunged = mine.expunged | theirs.expunged
    mended, extras, replaced = {}, {}, CausalContext()
    for one in set(mine) | set(theirs):
        had, has = mine.entries(one), theirs.entries(one)
        beside = {dot: entry for dot, entry in had.items() if dot not in theirs.context}
        seen = {dot for dot in has if dot in mine.context and dot not in had}
        if beside and one not in expunged:
            extras[one] = beside
            has = {dot: entry for dot, entry in has.items() if dot not in seen}
            for dot in seen:
                replaced.add(dot)
        mended[one] = {**has, **beside}
    return (
        mine.amended(mended, theirs.context, theirs.expunged),
        ObjectCell().amended(extras, replaced, mine.expunged - theirs.expunged),
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[ObjectCell, ObjectCell]:
    """Two cells that share a beginning, went on alone, heard some of each other, and went on again."""
    cells = [ObjectCell(), ObjectCell()]
    deltas: list[ObjectCell] = []
    step = st.tuples(st.integers(0, 1), st.integers(0, 7), st.integers(0, 23), st.booleans())
    for who, verb, nth, both in draw(st.lists(step, max_size=40)):
        replica, one, cell = REPLICAS[who], IDS[nth], cells[who]
        if verb == 7 and deltas:
            cell.merge_in(deltas[nth % len(deltas)])
            continue
        if verb == 6:
            delta = cell.expunge(one)
        elif cell.is_expunged(one):
            continue
        elif verb == 5 and one in cell:
            delta = cell.remove(one)
        elif verb == 4 and one in cell:
            delta = cell.add_to_counter(replica, one, "rings", 1)
        else:
            delta = cell.put(replica, one, {"text": verb}, Stamp(1 + nth, verb, replica))
        deltas.append(delta)
        if both:
            cells[1 - who].merge_in(delta)
    return cells[0], cells[1]


@given(pairs())
def test_whatever_parts_two_copies_they_end_equal(pair: tuple[ObjectCell, ObjectCell]) -> None:
    mine, theirs = pair
    before = mine.digest(), theirs.digest()
    mended, extras = exchange(Comparison(mine), CellTree(theirs))
    assert (mine.digest(), theirs.digest()) == before
    assert (mended, extras) == slow_outcome(mine, theirs) == defer(mine, theirs)
    healed = theirs.merge(extras)
    assert healed == mended
    assert healed.digest() == mended.digest()
    assert [mended.rehash(nth, 2) for nth in range(2)] == [set(), set()]
    again = Comparison(mended)
    exchange(again, CellTree(healed))
    assert not again.differs
    assert ObjectCell.from_bytes(mended.to_bytes()).digest() == mended.digest()
    assert ObjectCell.from_bytes(extras.to_bytes()) == extras


@given(pairs())
def test_digests_kept_for_later_are_those_of_now(pair: tuple[ObjectCell, ObjectCell]) -> None:
    for cell in pair:
        fresh = ObjectCell.from_bytes(cell.to_bytes())
        assert cell.digest() == fresh.digest()
        assert [cell.rehash(nth, 4) for nth in range(4)] == [set()] * 4
        assert CellTree(cell).root == CellTree(fresh).root


def full(objects: int) -> ObjectCell:
    cell = ObjectCell()
    for n in range(objects):
        one = hashlib.sha256(b"%d" % n).digest()[:16]
        cell.put(REPLICAS[0], one, {"text": f"wish {n}", "by": n}, Stamp(1 + n, 0, REPLICAS[0]))
    return cell


WHOLE = full(400)
WHOLE_IDS = sorted(WHOLE)
WHOLE.digest()


def lose(cell: ObjectCell, one: bytes) -> ObjectCell:
    """The object is gone, and nothing says that it was there or not: its dot is still in the context."""
    return cell.amended({one: {}}, cell.context)


def garble(cell: ObjectCell, one: bytes) -> ObjectCell:
    """One letter of the text is another, under the same dot and stamp."""
    ((dot, entry),) = cell.entries(one).items()
    text = replace(entry.registers["text"], value="wash")
    return cell.amended({one: {dot: ObjectRecord({**entry.registers, "text": text})}}, cell.context)


def forget(cell: ObjectCell, one: bytes) -> ObjectCell:
    """A change was never heard of."""
    objects = {other: cell.entries(other) for other in cell if other != one}
    return ObjectCell().amended(objects, CausalContext(), cell.expunged)


def know_too_much(cell: ObjectCell, one: bytes) -> ObjectCell:
    """The context claims to have heard of what has yet to come."""
    context = cell.context.copy()
    context.add(Dot(REPLICAS[0], 900 + one[0]))
    return cell.amended({}, context)


def misplace(cell: ObjectCell, one: bytes) -> ObjectCell:
    """The object lies under another id, by the same dot."""
    other = bytes([one[0] ^ 0x40]) + one[1:]
    return cell.amended({one: {}, other: cell.entries(one)}, cell.context)


FAULTS = [lose, garble, forget, know_too_much, misplace]


@given(st.lists(st.tuples(st.sampled_from(FAULTS), st.sampled_from(WHOLE_IDS)), min_size=1, max_size=5))
def test_what_went_wrong_in_silence_is_found_and_mended_and_nothing_of_it_is_given_back(
    faults: list[tuple[Callable[[ObjectCell, bytes], ObjectCell], bytes]],
) -> None:
    mine = WHOLE
    for fault, one in faults:
        if one in mine or fault is know_too_much:
            mine = fault(mine, one)
    comparison = Comparison(mine)
    bytes_told: list[int] = []
    mended, extras = exchange(comparison, CellTree(WHOLE), bytes_told.append)
    assert comparison.differs == (mine != WHOLE)
    assert mended == WHOLE
    assert mended.digest() == WHOLE.digest()
    assert [mended.rehash(nth, 2) for nth in range(2)] == [set(), set()]
    assert extras == ObjectCell()
    # for each place that differs: down log16(400) levels, 16 twigs of at most 60 B each, and a handful of items
    steps = math.ceil(math.log(400, 16)) + 1
    assert sum(bytes_told) <= 500 + (len(faults) + 1) * (steps * 16 * 60 + 8 * 200)


@pytest.mark.parametrize("changed", [1, 4, 16])
def test_of_a_full_cell_only_what_differs_travels(changed: int) -> None:
    theirs = full(4_000)
    mine = theirs
    for one in sorted(theirs)[:: 4_000 // changed][:changed]:
        mine = garble(mine, one)
    whole_bytes = len(theirs.to_bytes())
    bytes_told: list[int] = []
    mended, _ = exchange(Comparison(mine), CellTree(theirs), bytes_told.append)
    assert mended == theirs
    assert sum(bytes_told) < changed * 4 * 16 * 40 + changed * 8 * 200
    assert sum(bytes_told) * 4 < whole_bytes


def test_an_empty_copy_gets_everything_and_a_full_one_gives_everything() -> None:
    mended, extras = exchange(Comparison(ObjectCell()), CellTree(WHOLE))
    assert (mended, extras) == (WHOLE, ObjectCell())
    mended, extras = exchange(Comparison(WHOLE), CellTree(ObjectCell()))
    assert (mended, extras) == (WHOLE, WHOLE)


def test_an_object_that_changed_in_memory_is_noticed_by_who_holds_it() -> None:
    cell = full(20)
    cell.digest()
    one = sorted(cell)[3]
    cell._objects._live.update({dot: (one, ObjectRecord()) for dot in cell.entries(one)})
    found = [cell.rehash(nth, 16) for nth in range(16)]
    assert set().union(*found) == {one}
    assert [cell.rehash(nth, 16) for nth in range(16)] == [set()] * 16


def test_answers_to_what_was_not_asked_change_nothing() -> None:
    comparison = Comparison(WHOLE)
    digest = bytes(16)
    comparison.hear_twigs(("o1",), [Twig("o12", 1, digest)])
    comparison.hear_part(("o12",), CellTree(full(9)).part(["o"]))
    assert comparison.wants() == (("",), ())
    comparison.hear_twigs(("",), [Twig("q", 1, digest), Twig("o5", 1, digest), Twig("", 1, digest)])
    assert comparison.done  # that side has nothing at all, so all is given
    assert comparison.outcome() == (WHOLE, WHOLE)


@pytest.mark.parametrize("packed", [b"", b"\xc1", b"\x92\x01\x02", b"\x91\x90", b"\x93\x01\x02\x03"])
def test_a_malformed_part_is_refused(packed: bytes) -> None:
    with pytest.raises(RemoteError):
        Part.from_bytes(packed)
