"""The laws again in plain examples, which say at once what is wrong where a law only says that something is."""

from __future__ import annotations

import pytest

from p2pworld.crdt import (
    CausalContext,
    Dot,
    HybridClock,
    ObjectCell,
    PNCounter,
    Register,
    Replica,
    Stamp,
)
from p2pworld.crdt.ormap import ORMap
from p2pworld.errors import LocalError

A, B, C = (Replica(letter * 32, 1) for letter in (b"a", b"b", b"c"))
ONE, TWO = b"1" * 16, b"2" * 16


# ---- clocks and contexts


def test_a_clock_follows_the_time_and_counts_where_that_stands_still() -> None:
    clock = HybridClock(A)
    assert [clock.tick(now_ms) for now_ms in (5, 5, 4, 6)] == [
        Stamp(5, 0, A), Stamp(5, 1, A), Stamp(5, 2, A), Stamp(6, 0, A),
    ]  # fmt: skip
    clock.observe(Stamp(9, 3, B), 7)
    assert clock.tick(7) == Stamp(9, 4, A)
    clock.observe(Stamp(9, 9, B), 12)
    assert clock.tick(12) == Stamp(12, 1, A)


def test_a_context_closes_its_gaps() -> None:
    context = CausalContext([Dot(A, 3), Dot(A, 1)])
    assert set(context) == {Dot(A, 1), Dot(A, 3)}
    assert context.entries == 2
    context.add(Dot(A, 1))
    assert context.entries == 2
    context.add(Dot(A, 2))
    assert context == CausalContext([Dot(A, 1), Dot(A, 2), Dot(A, 3)])
    assert context.entries == 1
    assert context.to_plain() == [[A.node, A.number, 3, []]]


def test_contexts_are_united_with_all_their_gaps() -> None:
    few = CausalContext([Dot(A, 1), Dot(A, 4), Dot(B, 2)])
    many = CausalContext([Dot(A, 1), Dot(A, 2), Dot(A, 3), Dot(C, 2), Dot(B, 4)])
    union = few.merge(many)
    assert union.to_plain() == [
        [A.node, 1, 4, []],
        [B.node, 1, 0, [2, 4]],
        [C.node, 1, 0, [2]],
    ]
    assert many.merge(few) == union
    assert few.to_plain() == [[A.node, 1, 1, [4]], [B.node, 1, 0, [2]]], "merging left it as it was"
    inside = CausalContext([Dot(A, 1), Dot(A, 2)])
    assert inside.merge(CausalContext([Dot(A, 1)])) == inside
    filled = CausalContext([Dot(A, 2), Dot(A, 5)])
    filled.merge_in(CausalContext([Dot(A, n) for n in range(1, 4)]))
    assert filled.to_plain() == [[A.node, 1, 3, [5]]]
    gap = CausalContext([Dot(A, 1), Dot(A, 3)])
    gap.merge_in(CausalContext([Dot(A, 2)]))
    assert gap.to_plain() == [[A.node, 1, 3, []]]
    known = CausalContext([Dot(A, 1), Dot(A, 2)])
    known.merge_in(CausalContext([Dot(A, 2)]))
    assert known.to_plain() == [[A.node, 1, 2, []]]


def test_a_copy_of_a_context_goes_its_own_way() -> None:
    context = CausalContext([Dot(A, 1), Dot(B, 3)])
    twin = context.copy()
    assert twin == context
    twin.add(Dot(A, 2))
    twin.add(Dot(B, 5))
    assert context == CausalContext([Dot(A, 1), Dot(B, 3)])


# ---- counters and registers


def test_a_counter_remembers_what_each_added_and_took() -> None:
    counter = PNCounter()
    for amount in (3, -2, 4):
        counter = counter.merge(counter.add(A, amount))
    assert counter == PNCounter({A: (7, 2)})
    other = PNCounter({A: (3, 2), B: (1, 5)})
    assert counter.merge(other) == other.merge(counter) == PNCounter({A: (7, 2), B: (1, 5)})
    assert counter.merge(other).value == 1


def test_the_later_write_stays() -> None:
    sooner, later = Register(Stamp(1, 0, A), "sooner"), Register(Stamp(2, 0, A), "later")
    assert sooner.merge(later) is later
    assert later.merge(sooner) is later
    one, other = Register(Stamp(1, 0, A), "a"), Register(Stamp(1, 0, A), "b")
    assert one.merge(other) == other.merge(one)


# ---- maps


def made(*entries: tuple[Dot, str, PNCounter], also: tuple[Dot, ...] = ()) -> ORMap[str, PNCounter]:
    """A map with these entries, that has heard of these dots, too."""
    made: ORMap[str, PNCounter] = ORMap()
    for dot, key, value in entries:
        made._put(dot, key, value)
        made.context.add(dot)
    for dot in also:
        made.context.add(dot)
    return made


FEW, MORE = PNCounter({A: (1, 0)}), PNCounter({A: (2, 0)})


def test_what_is_new_comes_and_what_was_seen_to_go_goes() -> None:
    here = made((Dot(A, 1), "x", FEW), (Dot(B, 1), "y", FEW))
    there = made((Dot(C, 1), "z", MORE), also=(Dot(A, 1),))
    assert here.merge_in(there) == {"x", "z"}
    assert here == made((Dot(B, 1), "y", FEW), (Dot(C, 1), "z", MORE), also=(Dot(A, 1),))
    gone = made(also=(Dot(B, 1), Dot(C, 1)))
    assert gone.merge_in(here) == set(), "it saw both go"
    assert len(gone.entries("y")) == len(gone.entries("z")) == 0


def test_a_whole_state_takes_away_as_a_delta_does() -> None:
    many = tuple(Dot(A, n) for n in range(1, 9))
    here = made((Dot(A, 1), "x", FEW), (Dot(B, 1), "y", FEW))
    assert here.merge_in(made((Dot(A, 2), "w", FEW), also=many)) == {"x", "w"}
    assert here == made((Dot(B, 1), "y", FEW), (Dot(A, 2), "w", FEW), also=many)


def test_a_small_delta_takes_nothing_away_that_it_has_itself() -> None:
    entries = [(Dot(A, n), str(n), FEW) for n in range(1, 6)]
    here = made(*entries)
    assert here.merge_in(made(entries[2])) == set()
    assert here == made(*entries)
    assert here.merge_in(made(also=(Dot(A, 3),))) == {"3"}


def test_two_values_under_one_dot_are_joined() -> None:
    """Only a faulty replica makes them, and even then all agree."""
    here, there = made((Dot(A, 1), "x", FEW)), made((Dot(A, 1), "x", MORE))
    assert here.copy().merge_in(here) == set()
    assert there.copy().merge_in(here) == set(), "it knew that already"
    assert here.merge_in(there) == {"x"}
    assert here == there


def test_of_two_keys_under_one_dot_the_same_one_stays_everywhere() -> None:
    one, other = made((Dot(A, 1), "x", FEW)), made((Dot(A, 1), "y", FEW))
    left, right = one.copy(), other.copy()
    assert left.merge_in(other) == set()
    assert right.merge_in(one) == {"x", "y"}
    assert left == right == one
    assert (len(right.entries("x")), len(right.entries("y"))) == (1, 0)


def test_a_copy_of_a_map_goes_its_own_way() -> None:
    here = made((Dot(A, 1), "x", FEW))
    twin = here.copy()
    twin.rewrite(B, "y", [MORE], [])
    twin.remove("x")
    assert here == made((Dot(A, 1), "x", FEW))
    assert (len(here.entries("x")), len(here.entries("y"))) == (1, 0)


def test_a_rewrite_says_what_it_replaces() -> None:
    here = made((Dot(A, 1), "x", FEW), (Dot(B, 1), "x", FEW))
    delta = here.rewrite(A, "x", [MORE], [Dot(A, 1)])
    assert here.entries("x") == {Dot(B, 1): FEW, Dot(A, 2): MORE}
    assert delta == made((Dot(B, 1), "x", FEW), (Dot(A, 2), "x", MORE), also=(Dot(A, 1),))


# ---- cells


def lantern(cell: ObjectCell, replica: Replica, object_id: bytes, text: str, ms: int) -> ObjectCell:
    return cell.put(replica, object_id, {"text": text}, Stamp(ms, 0, replica))


def test_a_write_keeps_the_other_registers_and_every_count() -> None:
    cell = ObjectCell()
    lantern(cell, A, ONE, "first", 1)
    cell.add_to_counter(A, ONE, "rings", 2)
    cell.add_to_counter(B, ONE, "rings", 3)
    cell.put(B, ONE, {"by": 7}, Stamp(2, 0, B))
    cell.add_to_counter(A, ONE, "rings", 1)
    seen = cell.get(ONE)
    assert seen is not None
    assert dict(seen.fields) == {"text": "first", "by": 7}
    assert seen.count("rings") == 6
    assert len(cell.versions(ONE)) == 3, "one with the registers, one with the count of each"
    lantern(cell, A, ONE, "second", 3)
    assert len(cell.versions(ONE)) == 3
    assert cell.get(ONE).count("rings") == 6  # type: ignore[union-attr]


def test_a_count_begins_anew_after_a_removal_and_is_each_replicas_own() -> None:
    cell = ObjectCell()
    lantern(cell, A, ONE, "first", 1)
    cell.add_to_counter(A, ONE, "rings", 2)
    other = cell.copy()
    other.add_to_counter(B, ONE, "rings", 5)
    cell.add_to_counter(A, ONE, "beats", 1)
    met = cell.merge(other)
    seen = met.get(ONE)
    assert seen is not None
    assert (seen.count("rings"), seen.count("beats")) == (7, 1)
    met.remove(ONE)
    lantern(met, A, ONE, "again", 9)
    assert met.get(ONE).count("rings") == 0  # type: ignore[union-attr]


def test_names_are_looked_at_before_anything_is_written() -> None:
    cell = ObjectCell()
    lantern(cell, A, ONE, "first", 1)
    before = cell.copy()
    with pytest.raises(LocalError):
        cell.put(A, ONE, {"": 1}, Stamp(2, 0, A))
    with pytest.raises(LocalError):
        cell.add_to_counter(A, ONE, "", 1)
    assert cell == before


def test_what_is_expunged_goes_everywhere_and_stays_away() -> None:
    here, there = ObjectCell(), ObjectCell()
    lantern(here, A, ONE, "first", 1)
    lantern(here, A, TWO, "second", 2)
    there.expunge(ONE)
    assert here.merge_in(there) == {ONE}
    assert here.is_expunged(ONE)
    assert ONE not in here
    late = ObjectCell()
    delta = lantern(late, B, ONE, "late", 3)
    assert here.merge_in(delta) == set()
    assert ONE not in here
    assert TWO in here


def test_digests_are_of_what_is_there_now() -> None:
    here, there = ObjectCell(), ObjectCell()
    lantern(here, A, ONE, "first", 1)
    first = here.object_digest(ONE)
    lantern(here, A, ONE, "second", 2)
    second = here.object_digest(ONE)
    assert second != first
    there.merge_in(here)
    assert there.object_digest(ONE) == second
    there.merge_in(lantern(here, A, ONE, "third", 3))
    assert there.object_digest(ONE) == here.object_digest(ONE) != second
    assert there.digest() == here.digest()
