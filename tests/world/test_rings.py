"""A ring counted by two holders, neither of which knew of the other, is counted once when their states meet."""

from __future__ import annotations

import pytest

from p2pworld.crdt import HybridClock, ObjectCell
from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import Act, Pose
from p2pworld.world import acts
from p2pworld.world.acts import RINGS_PER_SLOT, Asked, Performed, bell_id, perform, reconcile, replica_of

PLACE = Cell.at(3_379_021, 3_230_755, 9)
NOW_MS = 1_700_000_000_000


class Holder:
    """One holder of the cell, whose clock is `ahead_ms` ahead."""

    def __init__(self, number: int, state: ObjectCell, ahead_ms: int = 0, place: Cell = PLACE) -> None:
        who = Incarnation(bytes([number]) * 32, 1)
        self.place = place
        self.replica, self.state, self.now_ms = replica_of(who, place, number), state, NOW_MS + ahead_ms
        self.clock = HybridClock(self.replica)
        self.reconcile()

    def ring(self, n: int, avatar: int = 7) -> bool:
        """Whether it was counted."""
        asked = Asked(avatar, 5, Act(n, "ring"), Pose(*PLACE.centre_cm))
        done = perform(self.place, self.state, asked, 0, self.replica, self.clock, self.now_ms)
        assert isinstance(done, Performed)
        assert done.delta is not None or done.object_id in self.state
        return done.delta is not None

    def reconcile(self) -> ObjectCell:
        return reconcile(self.state, self.replica, self.clock, self.now_ms)

    @property
    def rings(self) -> int:
        bell = self.state.get(bell_id(PLACE))
        return bell.count("rings") if bell else 0


def parted() -> tuple[Holder, Holder]:
    """Two holders who both counted ring 1, which they heard of before they parted, and ring 2; each another besides."""
    first = Holder(1, ObjectCell(), ahead_ms=60_000)
    first.ring(1)
    second = Holder(2, first.state.copy())
    assert not second.ring(1)
    assert all(holder.ring(2) for holder in (first, second))
    first.ring(3)
    second.ring(4)
    second.ring(2, avatar=8)  # another person's second act is another ring
    return first, second


def test_what_both_counted_is_taken_away_once() -> None:
    first, second = parted()
    lost = first.state.copy()
    second.state.merge_in(first.state)
    assert second.rings == 6
    second.reconcile()
    assert second.rings == 5
    assert not any(second.ring(n) for n in (1, 2, 3, 4))  # all of them are remembered
    second.state.merge_in(lost)  # given once more
    assert second.reconcile() == ObjectCell()
    assert second.rings == 5


def test_the_delta_says_it_all() -> None:
    first, second = parted()
    follower = second.state.copy()
    follower.merge_in(first.state)
    second.state.merge_in(first.state)
    follower.merge_in(second.reconcile())
    assert follower.digest() == second.state.digest()


def test_without_anything_twice_nothing_is_taken_away() -> None:
    first = Holder(1, ObjectCell())
    second = Holder(2, ObjectCell())
    first.ring(1)
    second.ring(2)
    second.state.merge_in(first.state)
    second.reconcile()
    assert second.rings == 2
    assert not second.ring(1)


def test_a_slot_remembers_so_many_rings() -> None:
    one = Holder(1, ObjectCell())
    for n in range(RINGS_PER_SLOT + 1):
        assert one.ring(n)
    assert not one.ring(1)
    assert one.ring(0)  # forgotten


def test_a_ring_is_remembered_through_a_split_and_a_merge_of_its_ground() -> None:
    whole = Holder(1, ObjectCell())
    assert whole.ring(1)
    parts = [Holder(n, whole.state.copy(), place=part) for n, part in enumerate(PLACE.children(), 2)]
    assert not any(part.ring(1) for part in parts)
    assert parts[0].ring(2)
    merged = Holder(9, parts[0].state.copy())
    for part in parts[1:]:
        merged.state.merge_in(part.state)
    assert merged.reconcile() == ObjectCell()
    assert not any(merged.ring(n) for n in (1, 2))
    assert merged.rings == 1  # the other rings are of the bells of the parts


@pytest.mark.parametrize("after", [PLACE.children()[3], PLACE.parent()])
def test_a_ring_is_remembered_when_the_ground_is_cut_or_merged(after: Cell) -> None:
    """The bell of a place stays the same one; whoever plays a programme again after a cut strikes it no second time."""
    bell = (b"bell of the place", PLACE.centre_cm)
    first = Holder(1, ObjectCell())
    asked = Asked(7, 5, Act(1, "ring"), Pose(*PLACE.centre_cm), (bell[0][:16], bell[1]))
    struck = perform(PLACE, first.state, asked, 0, first.replica, first.clock, first.now_ms)
    assert isinstance(struck, Performed)
    assert struck.delta is not None
    second = Holder(2, first.state.copy())
    again = perform(after, second.state, asked, 0, second.replica, second.clock, second.now_ms)
    assert again == Performed(bell[0][:16], None)


def test_a_ring_is_refused_where_it_could_not_be_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = Asked(7, 5, Act(1, "ring"), Pose(*PLACE.centre_cm))
    full, gone, silenced = Holder(1, ObjectCell()), Holder(1, ObjectCell()), Holder(1, ObjectCell())
    gone.state.expunge(acts._slot_id(7))
    silenced.state.expunge(bell_id(PLACE))
    monkeypatch.setattr(acts, "OBJECTS_PER_CELL", 1)
    for holder, reason in ((full, "full"), (gone, "expunged"), (silenced, "expunged")):
        refused = perform(PLACE, holder.state, asked, 0, holder.replica, holder.clock, holder.now_ms)
        assert isinstance(refused, Refusal)
        assert refused.reason == reason
        assert holder.rings == 0
    monkeypatch.setattr(acts, "OBJECTS_PER_CELL", 2)
    assert full.ring(1)
    assert full.ring(2), "the bell and the memory of it are there already"


def test_a_ring_strikes_the_declared_bell_of_its_place_or_the_one_it_names_and_no_lantern() -> None:
    one = Holder(1, ObjectCell())
    declared = b"declared bell...", PLACE.centre_cm

    def struck(n: int, bell: tuple[bytes, tuple[int, int]] | None = None, target: bytes = b"") -> bytes | str:
        asked = Asked(7, 5, Act(n, "ring", target=target), Pose(*PLACE.centre_cm), bell)
        done = perform(PLACE, one.state, asked, 0, one.replica, one.clock, one.now_ms)
        return done.reason if isinstance(done, Refusal) else done.object_id

    assert struck(1) == bell_id(PLACE)
    assert struck(2, declared) == declared[0]
    assert struck(3, declared, bell_id(PLACE)) == declared[0], "there it is the only one"
    assert struck(4, None, declared[0]) == declared[0]
    hang = Asked(7, 5, Act(5, "hang", "wish"), Pose(*PLACE.centre_cm))
    lantern = perform(PLACE, one.state, hang, 0, one.replica, one.clock, one.now_ms)
    assert isinstance(lantern, Performed)
    assert struck(6, None, lantern.object_id) == "no_target"
