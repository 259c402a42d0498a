"""What a city needs of the objects in a cell, case by case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from p2pworld.crdt import HybridClock, ObjectCell, ORSet, PNCounter, Register, Replica, Stamp
from p2pworld.crdt.objects_cell import NAMES_PER_OBJECT_MAX, OBJECT_BYTES_MAX
from p2pworld.crdt.plain import COUNT_MAX, VALUE_BYTES_MAX
from p2pworld.errors import LocalError
from p2pworld.limits import OBJECTS_PER_CELL

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C = Replica(b"a" * 32, 1), Replica(b"b" * 32, 1), Replica(b"c" * 32, 1)
LANTERN, BELL = b"lantern" + bytes(9), b"bell" + bytes(12)


def stamp(ms: int, replica: Replica = A) -> Stamp:
    return Stamp(ms, 0, replica)


def pair() -> tuple[ObjectCell, ObjectCell]:
    """Two nodes that both know one lantern and one bell, rung three times."""
    here = ObjectCell()
    here.put(A, LANTERN, {"text": "새해 복", "east_cm": 5, "north_cm": 7}, stamp(1))
    here.put(A, BELL, {"kind": "bell"}, stamp(2))
    here.add_to_counter(A, BELL, "rung", 3)
    return here, here.copy()


def meet(*cells: ObjectCell) -> None:
    for cell in cells:
        for other in cells:
            cell.merge_in(other)
    assert all(cell == cells[0] and cell.digest() == cells[0].digest() for cell in cells)


def fields(cell: ObjectCell, object_id: bytes) -> dict[str, Any]:
    record = cell.get(object_id)
    assert record is not None
    return record.fields


def rung(cell: ObjectCell) -> int:
    record = cell.get(BELL)
    assert record is not None
    return record.count("rung")


def test_a_change_wins_over_a_removal_that_did_not_see_it_and_keeps_the_object_whole() -> None:
    here, there = pair()
    here.remove(LANTERN)
    there.set_field(B, LANTERN, "text", "happy new year", stamp(3, B))
    meet(here, there)
    assert fields(here, LANTERN) == {"text": "happy new year", "east_cm": 5, "north_cm": 7}


def test_a_removal_takes_all_it_saw_and_a_late_duplicate_brings_nothing_back() -> None:
    here, there = pair()
    late = here.set_field(A, LANTERN, "text", "late", stamp(3))
    there.merge_in(late)
    there.remove(LANTERN)
    assert there.merge_in(late) == set()
    meet(here, there)
    assert LANTERN not in here


def test_rings_on_two_sides_of_a_partition_are_all_counted() -> None:
    here, there = pair()
    for _ in range(10):
        here.add_to_counter(A, BELL, "rung", 1)
        there.add_to_counter(B, BELL, "rung", 2)
    meet(here, there)
    assert rung(here) == 3 + 10 + 20


def test_counting_anew_after_a_removal_starts_at_nothing() -> None:
    here, there = pair()
    here.remove(BELL)
    here.put(A, BELL, {"kind": "bell"}, stamp(5))
    here.add_to_counter(A, BELL, "rung", 1)
    meet(here, there)
    assert rung(there) == 1


def test_an_addition_a_removal_did_not_see_keeps_what_its_replica_counted() -> None:
    here, there = pair()
    there.add_to_counter(B, BELL, "rung", 5)
    here.remove(BELL)
    meet(here, there)
    assert rung(here) == 5, "A's three were seen by the removal, B's five were not"
    assert fields(here, BELL) == {"kind": "bell"}


def test_expunging_beats_additions_before_beside_and_after() -> None:
    here, there = pair()
    late = ObjectCell().put(C, LANTERN, {"text": "again"}, stamp(99, C))
    there.set_field(B, LANTERN, "text", "and again", stamp(50, B))
    news = here.expunge(LANTERN)
    assert there.merge_in(news) == {LANTERN}
    assert there.merge_in(late) == set()
    meet(here, there)
    assert LANTERN not in there
    assert there.is_expunged(LANTERN)
    packed = there.to_bytes()
    assert all(word.encode() not in packed for word in ("새해 복", "again")), "the payload is gone"
    with pytest.raises(LocalError, match="expunged"):
        there.put(B, LANTERN, {"text": "no"}, stamp(100, B))


def test_an_object_may_be_expunged_where_it_was_never_heard_of() -> None:
    here, there = pair()
    stranger = ObjectCell()
    stranger.expunge(BELL)
    meet(stranger, here, there)
    assert set(stranger) == {LANTERN}


def test_nothing_grows_with_what_is_gone() -> None:
    here, there = pair()
    here.add_to_counter(A, BELL, "rung", 1)
    meet(here, there)
    size = len(here.to_bytes())
    for turn in range(400):
        object_id = (10 + turn).to_bytes(16, "big")
        delta = here.put(A, object_id, {"text": "x" * 50}, stamp(10 + turn))
        there.merge_in(delta)
        there.merge_in(here.add_to_counter(A, BELL, "rung", 1))
        here.merge_in(there.add_to_counter(B, object_id, "seen", 1))
        here.merge_in(there.remove(object_id))
    assert here == there
    assert set(here) == {LANTERN, BELL}
    assert here.context.entries == 2, "one number for each replica"
    assert len(here.to_bytes()) < size + 64


def test_a_lost_delta_is_made_good_by_the_whole_state() -> None:
    here, there = pair()
    here.add_to_counter(A, BELL, "rung", 1)
    there.merge_in(here.add_to_counter(A, BELL, "rung", 1))
    assert rung(there) == 5, "a delta carries all its maker counted"
    assert there.digest() != here.digest(), "but what the lost one replaced is still there"
    there.merge_in(ObjectCell.from_bytes(here.to_bytes()))
    assert there.digest() == here.digest()


def test_a_set_forgets_what_was_removed() -> None:
    here: ORSet[str] = ORSet()
    size = 0
    for turn in range(300):
        here.add(A, f"element {turn}")
        here.remove(f"element {turn}")
        size = size or len(str(here.to_plain()))
    assert len(here) == 0
    assert here.context.entries == 1
    assert len(str(here.to_plain())) <= size + 2


def test_an_addition_to_a_set_wins_over_a_removal_that_did_not_see_it() -> None:
    here: ORSet[str] = ORSet()
    here.add(A, "x")
    there = here.copy()
    gone, back = here.remove("x"), there.add(B, "x")
    for first, second in ((gone, back), (back, gone)):
        hearer = first.merge(second)
        assert set(hearer) == {"x"}
    there.merge_in(gone)
    assert there.remove("x").merge(back).merge(gone).merge(back) == there


def test_equal_stamps_with_other_values_do_not_divide_replicas() -> None:
    for one, two in ((1, True), (1, 1.0), ("a", b"a"), (None, ()), (0.0, -0.0)):
        left, right = Register(stamp(1), one), Register(stamp(1), two)
        assert left != right
        assert left.merge(right) == right.merge(left)


def test_a_counter_goes_below_nothing_and_refuses_to_pass_its_bound() -> None:
    counter = PNCounter().add(A, -4)
    counter = counter.merge(counter.add(A, 1)).merge(PNCounter().add(B, 2))
    assert counter.value == -1
    with pytest.raises(LocalError):
        counter.add(A, COUNT_MAX)


def test_a_delta_copies_no_record_it_does_not_name() -> None:
    here = ObjectCell()
    ids = [n.to_bytes(16, "big") for n in range(1_000)]
    for object_id in ids:
        here.put(A, object_id, {"text": "lantern"}, stamp(1))
    there = here.copy()
    delta = there.put(B, ids[0], {"text": "other"}, stamp(2, B))
    assert len(delta) == 1
    assert delta.context.entries == 2
    merged = here.merge(delta)
    assert merged == there
    assert all(merged.get(object_id) is here.get(object_id) for object_id in ids[1:])
    assert here.merge_in(delta) == {ids[0]}
    assert here == merged


def test_the_digest_follows_every_change_and_returns_with_the_state() -> None:
    here, there = pair()
    digests = {here.digest()}
    changes: list[Callable[[], ObjectCell]] = [
        lambda: here.put(A, LANTERN, {"text": "1"}, stamp(4)),
        lambda: here.set_field(A, LANTERN, "text", "2", stamp(5)),
        lambda: here.add_to_counter(A, LANTERN, "seen", 1),
        lambda: here.remove(LANTERN),
        lambda: here.expunge(BELL),
    ]
    for change in changes:
        there.merge_in(change())
        assert here.digest() == there.digest() == ObjectCell.from_bytes(here.to_bytes()).digest()
        digests.add(here.digest())
    assert len(digests) == 1 + len(changes)


def test_the_newest_stamp_is_what_a_link_judges() -> None:
    here, _ = pair()
    assert here.newest_stamp() == stamp(2)
    assert here.set_field(A, LANTERN, "text", "x", stamp(9)).newest_stamp() == stamp(9)
    assert here.expunge(LANTERN).newest_stamp() is None


def test_what_breaks_the_contract_is_said_and_changes_nothing() -> None:
    here, there = pair()
    clock = HybridClock(A)
    many = {f"n{n}": n for n in range(NAMES_PER_OBJECT_MAX)}
    long = "x" * (VALUE_BYTES_MAX - 8)
    wrong: list[Callable[[], object]] = [
        lambda: here.put(A, b"short", {}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"": 1}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"x": float("nan")}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"x": 1 << 63}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"x": "\ud800"}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"x": "x" * VALUE_BYTES_MAX}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"x": ((((((1,),),),),),)}, clock.tick(9)),
        lambda: here.put(A, LANTERN, {"x": [1]}, clock.tick(9)),  # type: ignore[dict-item]
        lambda: here.put(A, LANTERN, {"x": long, "y": long}, clock.tick(9)),
        lambda: here.put(A, LANTERN, many, clock.tick(9)),
        lambda: here.set_field(A, bytes(16), "x", 1, clock.tick(9)),
        lambda: here.add_to_counter(A, bytes(16), "x", 1),
        lambda: here.add_to_counter(A, BELL, "x" * 99, 1),
        lambda: here.add_to_counter(A, BELL, "rung", COUNT_MAX),
        lambda: here.remove(bytes(16)),
        lambda: here.expunge(b"short"),
    ]
    assert 2 * len(long) > OBJECT_BYTES_MAX
    for act in wrong:
        with pytest.raises(LocalError):
            act()
        assert here == there


def test_a_full_cell_takes_no_further_object_but_changes_and_removals() -> None:
    here = ObjectCell()
    for n in range(OBJECTS_PER_CELL):
        here.put(A, n.to_bytes(16, "big"), {}, stamp(1))
    with pytest.raises(LocalError, match=str(OBJECTS_PER_CELL)):
        here.put(A, LANTERN, {}, stamp(2))
    here.set_field(A, bytes(16), "x", 1, stamp(2))
    here.remove(bytes(16))
    here.put(A, LANTERN, {}, stamp(3))
    assert ObjectCell.from_bytes(here.to_bytes()) == here
