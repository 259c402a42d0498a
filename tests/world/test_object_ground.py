"""Objects of ground that is frozen, divided, united, lost and taken: what waits, what comes along, what is given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from p2pworld.crdt import HybridClock, ObjectCell
from p2pworld.errors import Refusal
from p2pworld.ids import Incarnation
from p2pworld.messages import Act, CellAsk, CellDelta, CellRefused, CellState, Pose, SaveState, ToPeer, Wrote
from p2pworld.world import object_records, objects
from p2pworld.world.acts import Asked, Performed, perform, replica_of
from p2pworld.world.citymap import (
    CityMap,
    Holding,
    add_standby,
    claim,
    drop_standby,
    fail_over,
    hand_over,
    join,
    merge,
    split,
)
from p2pworld.world.objects import Objects, SavedCell
from p2pworld.world.outbox import Outbox
from tests.world.object_hosts import EAST_CM, NORTH_CM, PLACE, City, Host
from tests.world.test_objects import alone, enlist, pair, took

if TYPE_CHECKING:
    from p2pworld.geometry import Cell

PART = next(part for part in PLACE.children() if part.contains_point(EAST_CM, NORTH_CM))
REST = [part for part in PLACE.children() if part != PART]


def texts(host: Host, cell: Cell) -> list[str]:
    """What hangs in a cell, as a client that enters sees it."""
    return sorted(one.text for one in (host.machine.shown(cell) or {}).values() if one.kind == "lantern")


def hung(city: City, host: Host, *numbers: int, cell: Cell = PLACE) -> None:
    """These lanterns are hung there, and durable."""
    for n in numbers:
        host.ask(n, cell=cell)
        city.settle()


def began_anew(city: City, host: Host) -> None:
    """The process goes on under another incarnation, as after a lapse; its disk and memory are as they were."""
    host.number += 1
    host.who = Incarnation(host.node, host.number)
    host.machine.begin(host.who)


# ---- frozen


def test_in_frozen_ground_acts_wait_until_it_is_thawed() -> None:
    city, a, _ = pair()
    a.machine.freeze(PLACE)
    a.ask(1)
    city.settle()
    assert a.answers() == []
    assert not a.persists
    a.machine.thaw(PLACE, a.out, city.now)
    a.drain()
    city.settle()
    assert a.answers() == [(1, "standby", "")]


def test_frozen_ground_is_settled_once_all_that_was_begun_is_on_every_disk_that_counts() -> None:
    city, a, _ = pair()
    assert not a.machine.settled(PLACE), "it is not frozen"
    a.ask(1)
    a.machine.freeze(PLACE)
    assert not a.machine.settled(PLACE), "it is being written"
    a.persist()
    assert not a.machine.settled(PLACE), "B has it not yet"
    city.settle()
    assert a.machine.settled(PLACE)
    assert not a.machine.settled(REST[0]), "it is not held"
    a.machine.thaw(PLACE, a.out, city.now)
    assert not a.machine.settled(PLACE)


def test_ground_whose_guard_has_failed_is_not_settled() -> None:
    city, a, b = pair()
    hung(city, a, 1)
    a.machine.freeze(PLACE)
    assert a.machine.settled(PLACE)
    assert a.machine.synced_with(PLACE, b.who)
    a.hear(b, CellRefused(PLACE, a.map.cells[PLACE].epoch, "corrupt"))
    assert not a.machine.settled(PLACE)
    assert not a.machine.synced_with(PLACE, b.who)


def test_a_candidate_that_lags_does_not_hold_ground_up() -> None:
    _, a, b = alone()
    a.offer(b)
    a.machine.freeze(PLACE)
    assert a.machine.settled(PLACE)


def test_ground_that_is_not_saved_yet_is_saved_though_it_is_frozen_and_settled_only_then() -> None:
    city = City()
    a = city.hosts["A"]
    a.see(CityMap(1, 0, {a.node: a.as_member}, {PLACE: Holding(a.who, 1)}, {}))
    a.machine.freeze(PLACE)
    assert not a.machine.settled(PLACE)
    a.persist(ok=False)
    assert not a.machine.settled(PLACE)
    city.pass_s(6.0)
    a.persist()
    assert a.machine.settled(PLACE)


# ---- divided and united


def test_parts_show_what_hangs_on_their_ground_and_the_whole_shows_it_again() -> None:
    city, a, b = pair()
    hung(city, a, 1)
    parted = took(split(a.map, PLACE))
    city.see(parted)
    city.settle()
    assert texts(a, PART) == ["wish 1"]
    assert [texts(a, part) for part in REST] == [[], [], []]
    assert a.machine.shown(PLACE) is None
    hung(city, a, 2, cell=PART)
    city.see(took(merge(parted, PLACE)))
    city.settle()
    assert a.texts() == ["wish 1", "wish 2"]
    assert a.disk.ids() == b.disk.ids() == set(a.machine.shown(PLACE) or {}), "on the guard's disk too"


def test_a_part_that_comes_back_under_its_old_epoch_is_whole_on_the_guards_disk_too() -> None:
    """United and divided again, with nothing done in between: the part has the same name, holder and epoch as before,
    and more in it, since what hung beside it came along. Its guard must not take the old one for it."""
    city, a, b = pair()
    parted = took(split(a.map, PLACE))
    city.see(parted)
    city.settle()
    hung(city, a, 1, cell=REST[0])
    hung(city, a, 2, 3, cell=PART)
    whole = took(merge(parted, PLACE))
    city.see(whole)
    city.settle()
    city.see(took(split(whole, PLACE)))
    city.settle()
    for part in PLACE.children():
        assert a.disk.recover()[part].state == b.disk.recover()[part].state


def test_a_write_of_an_earlier_tenure_adds_to_a_part_that_came_back_and_replaces_nothing() -> None:
    """The disk answers late: for a write begun before the part was united and divided again, under the same epoch."""
    city, a, _ = pair()
    parted = took(split(a.map, PLACE))
    city.see(parted)
    city.settle()
    hung(city, a, 1, cell=REST[0])
    a.ask(2, cell=PART)  # on its way to the disk
    whole = took(merge(parted, PLACE))
    city.see(whole)
    city.see(took(split(whole, PLACE)))
    city.settle()
    assert texts(a, PART) == ["wish 1", "wish 2"]
    assert len(a.disk.ids(PART)) == 2


def test_a_process_that_finds_the_whole_on_its_disk_has_it_in_the_parts() -> None:
    city, a, _ = alone()
    hung(city, a, 1)
    a.start()
    city.see(took(split(took(join_again(a)), PLACE)))
    city.settle()
    assert texts(a, PART) == ["wish 1"]


def join_again(host: Host) -> CityMap:
    """The host's next incarnation is listed, and has its ground again."""
    listed = took(join(host.map, host.as_member))
    return took(claim(listed, host.who, [PLACE]))


def test_a_process_that_finds_the_parts_on_its_disk_has_them_in_the_whole_and_nothing_of_other_ground() -> (
    None
):
    city, a, _ = alone()
    hung(city, a, 1)
    city.see(took(split(a.map, PLACE)))
    city.settle()
    hung(city, a, 2, cell=PART)
    journal = {cell: saved for cell, saved in a.disk.recover().items() if cell in PLACE.children()}
    elsewhere = PLACE.siblings[0]
    strange = ObjectCell()
    far = Asked(1, 1, Act(9, "hang", "far"), Pose(*elsewhere.centre_cm))
    replica = replica_of(a.who, elsewhere, 1)
    perform(elsewhere, strange, far, 0, replica, HybridClock(replica), city.now.wall_ms)
    machine = Objects(Incarnation(a.node, 2), {**journal, elsewhere: SavedCell(1, 1, strange.to_bytes())})
    whole = CityMap(9, 0, {}, {PLACE: Holding(Incarnation(a.node, 2), 9)}, {})
    machine.apply_map(whole, Incarnation(a.node, 2), [], out := Outbox())
    assert len(machine.shown(PLACE) or {}) == 2
    [write] = out.writes
    assert len(ObjectCell.from_bytes(write.state)) == 2  # type: ignore[union-attr]


def test_who_takes_a_part_over_while_the_whole_is_being_written_has_what_was_there() -> None:
    city, a, b = pair()
    hung(city, a, 1)
    a.ask(2)
    a.persist()
    city.deliver()
    assert b.persists, "B writes the second"
    gone = took(fail_over(took(split(a.map, PLACE)), a.who, b.who))
    b.see(gone)
    assert texts(b, PART) == ["wish 1"]


def test_a_ring_that_two_parts_of_the_past_counted_is_counted_once() -> None:
    me = Incarnation(b"A" * 32, 1)
    bell = b"b" * 16, (EAST_CM, NORTH_CM)
    asked = Asked(7, 5, Act(1, "ring"), Pose(EAST_CM, NORTH_CM), bell)
    journal = {}
    for number, cell in enumerate((PLACE, PART), 1):
        state, replica = ObjectCell(), replica_of(me, cell, number)
        done = perform(cell, state, asked, 0, replica, HybridClock(replica), 1_700_000_000_000)
        assert isinstance(done, Performed)
        journal[int(cell)] = SavedCell(number, 1, state.to_bytes())
    machine = Objects(me, journal)
    machine.apply_map(CityMap(9, 0, {}, {PLACE: Holding(me, 9)}, {}), me, [], Outbox())
    assert [one.count for one in (machine.shown(PLACE) or {}).values()] == [1]


# ---- other hands


def test_who_holds_ground_again_under_another_epoch_writes_under_that() -> None:
    city, a, b = pair()
    given = took(hand_over(a.map, [PLACE], a.who, b.who))
    back = took(hand_over(given, [PLACE], b.who, a.who))
    a.see(back)  # it never read the map in between
    city.settle()
    assert a.disk.states[PLACE].epoch == back.cells[PLACE].epoch


def test_who_holds_ground_no_more_is_asked_elsewhere_and_has_nothing_pending() -> None:
    city, a, b = pair()
    a.ask(1)
    city.see(took(hand_over(a.map, [PLACE], a.who, b.who)))
    assert a.answers() == [(1, "", "moved")]
    assert a.machine.status()["acts_pending"] == 0
    assert a.machine.shown(PLACE) is None


def test_a_new_incarnation_has_nothing_pending_and_nobody_to_drop() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    b.persist(ok=False)
    city.settle()
    a.ask(2)
    assert a.machine.wants_drop
    began_anew(city, a)
    assert a.machine.status()["acts_pending"] == 0
    assert a.machine.wants_drop == frozenset()
    assert a.machine.shown(PLACE) is None


@pytest.mark.parametrize("writing", [False, True], ids=["at rest", "while it writes"])
def test_who_guards_ground_no_more_keeps_what_it_has_of_it_and_follows_nobody(writing: bool) -> None:
    city, a, b = alone("ABC")
    c = city.hosts["C"]
    enlist(city, a, b)
    hung(city, a, 1)
    if writing:
        a.ask(2)
        a.persist()
        city.deliver()
        assert b.persists
    without = took(drop_standby(a.map, [PLACE], a.who, b.who))
    b.see(took(hand_over(took(add_standby(without, [PLACE], a.who, c.who)), [PLACE], a.who, c.who)))
    while b.persists:
        b.persist()
    assert b.machine.digest(PLACE) is None
    assert (b.machine.status()["followed"], b.machine.status()["known"]) == (0, 1)
    b.see(b.map)
    assert b.machine.owes


def test_a_guard_waits_for_the_next_holder_with_what_it_has_and_gives_it_to_nobody() -> None:
    city, a, b = alone("ABC")
    c = city.hosts["C"]
    enlist(city, a, b)
    enlist(city, a, c)
    hung(city, a, 1)
    c.see(took(fail_over(a.map, a.who, b.who)))
    assert not c.machine.owes
    assert c.machine.digest(PLACE) is not None


def test_what_was_given_once_is_given_again_when_there_is_more_of_it() -> None:
    city, a, b = alone()

    def lost_to_b(city_map: CityMap) -> CityMap:
        """A's lease ends, B takes its ground, and A comes back as another incarnation."""
        taken = took(claim(took(fail_over(city_map, a.who, b.who)), b.who, [PLACE]))
        began_anew(city, a)
        return took(join(taken, a.as_member))

    def come_to_rest() -> None:
        for _ in range(3):
            city.settle()
            city.pass_s(1.0)
        city.settle()

    hung(city, a, 1)
    city.see(lost_to_b(a.map))
    come_to_rest()
    assert b.texts() == ["wish 1"], "A gave it"
    assert not a.machine.owes
    enlist(city, b, a)
    city.see(took(hand_over(b.map, [PLACE], b.who, a.who)))
    city.see(took(drop_standby(a.map, [PLACE], a.who, b.who)))
    city.settle()
    hung(city, a, 2)
    city.see(lost_to_b(a.map))
    come_to_rest()
    assert b.texts() == ["wish 1", "wish 2"]


def test_who_did_not_keep_up_may_try_again_after_a_new_link() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    b.persist(ok=False)
    city.settle()
    assert not a.machine.keeps_up(b.who, city.now)
    a.see(a.map)
    assert not a.machine.keeps_up(b.who, city.now), "the link is the same"
    city.cut.add(b.node)
    a.see(a.map)
    city.cut.clear()
    a.see(a.map)
    assert a.machine.keeps_up(b.who, city.now)


def test_a_guard_that_waits_to_write_more_of_its_old_holder_writes_no_more_of_it() -> None:
    city, a, b = alone("ABC")
    c = city.hosts["C"]
    enlist(city, a, c)
    enlist(city, a, b)
    for n in (1, 2):
        a.ask(n)
        a.persist()
    for _, to, _ in list(city.mail):
        city.deliver() if to == b.who else city.mail.pop(0)
    assert len(b.persists) == 1, "the second waits for the first"
    b.see(took(fail_over(a.map, a.who, c.who)))
    b.persist()
    assert not b.persists


def test_a_new_incarnation_writes_no_more_of_what_the_one_before_had_heard() -> None:
    city, a, b = pair()
    for n in (1, 2):
        a.ask(n)
        a.persist()
    for _ in range(2):
        city.deliver()
    assert len(b.persists) == 1
    began_anew(city, b)
    b.drain()
    b.persist()
    assert not b.persists


def test_who_takes_the_whole_over_while_a_part_is_being_written_has_what_was_there() -> None:
    city, a, b = pair()
    city.see(took(split(a.map, PLACE)))
    city.settle()
    hung(city, a, 1, cell=PART)
    a.ask(2, cell=PART)
    a.persist()
    city.deliver()
    assert b.persists
    b.see(took(fail_over(took(merge(a.map, PLACE)), a.who, b.who)))
    assert b.texts() == ["wish 1"]


def test_what_is_followed_of_other_ground_is_no_part_of_a_cell() -> None:
    city, a, b = pair()
    hung(city, a, 1)
    city.see(took(claim(a.map, b.who, [PLACE.siblings[0]])))
    [base] = [write for persist in b.persists for write in persist.writes]
    assert isinstance(base, SaveState)
    assert base.cell == PLACE.siblings[0]
    assert len(ObjectCell.from_bytes(base.state)) == 0


def test_what_was_told_of_a_copy_stays_as_it_was_when_more_comes_to_it() -> None:
    city, a, b = pair()
    hung(city, a, 1)
    more, replica = ObjectCell(), replica_of(b.who, PART, 1)
    asked = Asked(5, 1, Act(1, "hang", "more"), Pose(EAST_CM, NORTH_CM))
    perform(PART, more, asked, 0, replica, HybridClock(replica), city.now.wall_ms)
    b.machine._known[PART] = SavedCell(1, 1, more.to_bytes())
    copy = b.machine._records[PLACE].state
    before = copy.digest()
    b.see(took(fail_over(a.map, a.who, b.who)))
    assert b.texts() == ["more", "wish 1"]
    assert copy.digest() == before


# ---- writes of an earlier role


@pytest.mark.parametrize("ok", [True, False], ids=["it ends well", "it fails"])
def test_a_write_begun_before_the_ground_went_and_came_back_answers_nobody_twice(ok: bool) -> None:
    city, a, b = pair()
    hung(city, a, 1)
    a.ask(2)
    given = took(hand_over(a.map, [PLACE], a.who, b.who))
    city.see(took(hand_over(given, [PLACE], b.who, a.who)))  # nobody read the map in between
    copy = a.machine._records[PLACE].state
    before = copy.digest()
    a.persist(ok=ok)
    assert copy.digest() == before
    city.settle()
    assert a.answers() == [(1, "standby", ""), (2, "", "moved")]
    assert a.texts() == (["wish 1", "wish 2"] if ok else ["wish 1"]), "what is written is not thrown away"
    assert a.disk.states[PLACE].epoch == a.map.cells[PLACE].epoch
    assert a.machine.status()["acts_pending"] == 0


def test_whose_write_fails_after_it_took_over_saves_what_it_has() -> None:
    city, a, b = pair()
    hung(city, a, 1)
    a.ask(2)
    a.persist()
    city.deliver()
    b.see(took(fail_over(a.map, a.who, b.who)))
    b.persist(ok=False)
    assert b.persists, "its own ground"
    b.persist()
    assert b.texts() == ["wish 1"]
    assert b.disk.states[PLACE].epoch == b.map.cells[PLACE].epoch


def test_whose_write_fails_after_it_guards_no_more_follows_no_more() -> None:
    city, a, b = alone("ABC")
    enlist(city, a, b)
    a.ask(1)
    a.persist()
    city.deliver()
    b.see(took(claim(took(fail_over(took(drop_standby(a.map, [PLACE], a.who, b.who)), a.who, b.who)),
                     city.hosts["C"].who, [PLACE])))  # fmt: skip
    b.persist(ok=False)
    assert b.machine.digest(PLACE) is None
    assert b.machine.status()["followed"] == 0


@pytest.mark.parametrize(("reason", "told"), [("lapsed", "lapsed"), ("full", "disk")])
def test_what_the_lease_dropped_is_not_told_as_a_full_disk(reason: str, told: str) -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    b.persist(ok=False, reason=reason)
    assert [m.reason for _, _, m in city.mail if isinstance(m, CellRefused)] == [told]


def test_an_answer_to_no_write_of_objects_tells_nothing_of_the_disk() -> None:
    city, a, _ = alone()
    a.machine.advance(Wrote(10**6), a.out, city.now)
    assert not a.machine.disk_failed
    a.ask(1)
    a.persist(ok=False)
    a.machine.advance(Wrote(10**6), a.out, city.now)
    assert a.machine.disk_failed


def test_a_journal_of_many_bytes_is_written_anew_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    city, a, b = pair()
    monkeypatch.setattr(object_records, "DELTA_BYTES_MAX", 1_000)
    hung(city, a, *range(1, 20))
    for host in (a, b):
        kept = sum(len(delta) for delta in host.disk.deltas[PLACE].values())
        assert 0 < kept <= 1_000 + 400


# ---- who is listened to


def test_a_guard_says_of_no_follower_that_it_is_in_step() -> None:
    city, a, b = pair()
    assert not b.machine.synced_with(PLACE, a.who)
    b.machine.count_as_standby(PLACE, a.who)
    b.machine.discount_standby(PLACE, a.who, b.out)
    hung(city, a, 1)
    assert a.answers() == [(1, "standby", "")]


def test_one_is_brought_in_step_once_and_is_then() -> None:
    city, a, b = alone()
    assert not a.machine.brought_in_step(PLACE, b.who, a.out, city.now)
    a.drain()
    assert [type(message) for _, _, message in city.mail] == [CellState]
    city.settle()
    assert a.machine.brought_in_step(PLACE, b.who, a.out, city.now)
    a.drain()
    assert not city.mail


def test_a_holder_takes_whole_states_of_listed_nodes_and_nothing_else() -> None:
    city, a, b = alone("ABC")
    enlist(city, a, b)
    gift = ObjectCell()
    asked = Asked(5, 1, Act(1, "hang", "given"), Pose(EAST_CM, NORTH_CM))
    replica = replica_of(b.who, PLACE, 1)
    perform(PLACE, gift, asked, 0, replica, HybridClock(replica), city.now.wall_ms)
    stranger = Incarnation(b"z" * 32, 1)
    a.machine.from_holder(b.who, CellDelta(PLACE, 0, 1, gift.to_bytes()), a.map, a.out, city.now)
    a.machine.from_holder(stranger, CellState(PLACE, 0, 1, gift.to_bytes()), a.map, a.out, city.now)
    refused = [one.message for one in a.out.sends if isinstance(one, ToPeer)]
    assert [type(message) for message in refused] == [CellRefused, CellRefused]
    a.drain()
    assert not a.persists
    a.machine.from_holder(b.who, CellState(PLACE, 0, 1, gift.to_bytes()), a.map, a.out, city.now)
    a.drain()
    city.settle()
    assert a.texts() == ["given"]


def test_a_guard_listens_to_its_holder_alone_though_another_knows_the_epoch() -> None:
    city, a, b = alone("ABC")
    enlist(city, a, b)
    delta = CellDelta(PLACE, a.map.cells[PLACE].epoch, 1, ObjectCell().to_bytes())
    b.machine.from_holder(city.hosts["C"].who, delta, b.map, b.out, city.now)
    b.drain()
    assert b.machine.counters["cell-not-taken-epoch"] == 1
    assert not b.persists


def test_a_gift_that_would_overfill_the_cell_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    city, a, b = pair()
    hung(city, a, 1)
    monkeypatch.setattr(objects, "OBJECTS_PER_CELL", 0)
    state = ObjectCell().to_bytes()
    a.machine.from_holder(b.who, CellState(PLACE, 0, 1, state), a.map, a.out, city.now)
    assert a.machine.counters["cell-not-taken-full"] == 1


def test_strangers_are_told_nothing_of_what_is_here() -> None:
    city, a, _ = pair()
    hung(city, a, 1)
    a.machine.compare(Incarnation(b"z" * 32, 1), CellAsk(PLACE, 0, 0, ("",), ()), a.map, a.out, city.now)
    assert not a.out.sends


# ---- what clients are told


def test_clients_are_told_of_what_they_can_see_and_of_what_is_gone() -> None:
    city, a, _ = pair()
    a.ask(1, "ring")
    city.settle()
    [(_, news)] = a.machine.drain_changes()
    assert [one.kind for one in news.objects] == ["bell"], "nothing of how rings are remembered"
    assert news.gone == ()
    assert a.machine.expunge(news.objects[0].id, a.out, city.now) == 0, "a bell stays"
    hung(city, a, 2)
    a.machine.drain_changes()
    [lantern] = [one for one in (a.machine.shown(PLACE) or {}).values() if one.kind == "lantern"]
    assert a.machine.expunge(lantern.id, a.out, city.now) == 1
    a.drain()
    city.settle()
    [(_, news)] = a.machine.drain_changes()
    assert (news.objects, news.gone) == ((), (lantern.id,))
    assert a.rings() == 1


def test_what_is_declined_elsewhere_is_answered_alike() -> None:
    _, a, _ = alone()
    asked = Asked(9, 1, Act(4, "hang"), Pose(EAST_CM, NORTH_CM))
    a.machine.answer(1, asked, Refusal("wall", "Nothing can hang there."), a.out)
    a.drain()
    assert a.answers() == [(4, "", "wall")]
