"""A cell's followers, one by one: who is sent what, who is waited for how long; and what is remembered of acts."""

from __future__ import annotations

import pytest

from p2pworld.crdt import HybridClock, ObjectCell
from p2pworld.crdt.anti_entropy import CellTree
from p2pworld.ids import Login
from p2pworld.messages import (
    Act,
    ActDone,
    CellDelta,
    CellRefused,
    CellRoot,
    CellRoots,
    CellState,
    CellStored,
    Pose,
    SaveDelta,
)
from p2pworld.world import acts, object_holder, object_keeper, object_records
from p2pworld.world.acts import Asked, Performed, perform, replica_of
from p2pworld.world.citymap import CityMap, Holding, add_standby, claim, split
from p2pworld.world.object_records import KEPT
from tests.world.object_hosts import EAST_CM, NORTH_CM, PLACE, City, Host
from tests.world.test_objects import alone, pair, took

BESIDE = PLACE.siblings[0]
HERE = Pose(EAST_CM, NORTH_CM)


def epoch(host: Host) -> int:
    return host.map.cells[PLACE].epoch


def sent_to(city: City, host: Host) -> list[type]:
    """What is on its way to a host, and is lost now."""
    found = [type(message) for _, to, message in city.mail if to == host.who]
    city.mail.clear()
    return found


def hang(city: City, host: Host, n: int) -> None:
    host.ask(n)
    city.settle()


# ---- who is sent what


def test_who_is_offered_the_cell_is_sent_it_once_and_only_what_is_on_the_disk() -> None:
    city, a, b = alone()
    a.offer(b)
    a.offer(b)
    assert sent_to(city, b) == [CellState]
    fresh = City()
    a, b = fresh.hosts["A"], fresh.hosts["B"]
    members = {host.node: host.as_member for host in (a, b)}
    a.see(CityMap(1, 0, members, {PLACE: Holding(a.who, 1, (b.who,))}, {}))
    a.offer(b)
    fresh.pass_s(1.0)
    assert sent_to(fresh, b) == []
    a.persist()
    assert sent_to(fresh, b) == [CellState]


def test_one_that_the_map_lists_is_sent_the_cell_though_nobody_has_offered_it() -> None:
    city, a, b = alone()
    a.see(took(add_standby(a.map, [PLACE], a.who, b.who)))
    city.pass_s(0.1)
    assert sent_to(city, b) == [CellState]


def test_a_candidate_in_step_stays_in_step_when_a_map_is_read() -> None:
    city, a, b = alone()
    a.offer(b)
    city.settle()
    a.see(a.map)
    assert a.machine.synced_with(PLACE, b.who)


def test_a_candidate_that_cannot_keep_the_cell_or_is_slow_is_forgotten_and_not_to_be_dropped() -> None:
    city, a, b = alone()
    a.offer(b)
    city.settle()
    a.hear(b, CellRefused(PLACE, epoch(a), "full"))
    a.ask(1)
    a.persist()
    assert sent_to(city, b) == []
    assert a.machine.wants_drop == frozenset()
    a.offer(b)
    city.mail.clear()
    for _ in range(5):
        city.pass_s(0.5)
    city.mail.clear()
    a.ask(2)
    a.persist()
    assert sent_to(city, b) == []
    assert a.machine.wants_drop == frozenset()
    assert a.answers() == [(1, "disk", ""), (2, "disk", "")]


def test_one_that_has_failed_is_sent_nothing_until_it_is_offered_the_cell_anew() -> None:
    city, a, b = pair()
    a.hear(b, CellRefused(PLACE, epoch(a), "corrupt"))
    a.ask(1)
    a.persist()
    city.pass_s(1.0)
    a.hear(b, CellRefused(PLACE, epoch(a), "gap"))
    assert sent_to(city, b) == []
    assert a.machine.wants_drop == {(PLACE, b.who)}
    a.offer(b)
    city.settle()
    assert a.answers() == [(1, "standby", "")]
    assert a.machine.wants_drop == frozenset()


def test_one_that_has_not_read_the_map_yet_is_sent_the_cell_again() -> None:
    city, a, b = pair()
    hang(city, a, 1)
    city.pass_s(1.0)
    city.settle()
    a.hear(b, CellRefused(PLACE, epoch(a), "epoch"))
    assert a.machine.wants_drop == frozenset()
    city.pass_s(1.0)
    assert sent_to(city, b) == [CellState]


def test_a_journal_that_is_written_anew_is_sent_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    city, a, _ = pair()
    before = city.sent["CellState"]
    monkeypatch.setattr(object_records, "DELTAS_MAX", 2)
    for n in range(1, 8):
        hang(city, a, n)
    assert city.sent["CellState"] == before
    assert a.answers()[-1] == (7, "standby", "")


def test_who_is_not_linked_is_sent_nothing_and_no_candidate() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.cut.add(b.node)
    a.see(a.map)
    before = city.sent.copy()
    city.pass_s(1.0)
    assert city.sent == before
    city, a, b = alone()
    a.offer(b)
    city.cut.add(b.node)
    a.see(a.map)
    hang(city, a, 1)
    assert city.sent["CellDelta"] == 0


def test_what_is_not_answered_is_sent_again_after_a_while_and_not_at_each_tick() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.mail.clear()
    sent = []
    for tenth in range(18):
        city.pass_s(0.1)
        sent += [tenth] * len(sent_to(city, b))
    assert len(sent) == 2


# ---- who is waited for, and how long


def test_only_what_a_follower_has_under_this_epoch_counts() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    [(_, _, delta)] = city.mail
    assert isinstance(delta, CellDelta)
    a.hear(b, CellStored(PLACE, epoch(a) + 1, delta.n))
    a.hear(b, CellStored(PLACE, epoch(a), delta.n + 5))
    a.hear(b, CellRefused(PLACE, epoch(a) - 1, "corrupt"))
    assert a.answers() == []
    assert a.machine.wants_drop == frozenset()
    a.hear(b, CellStored(PLACE, epoch(a), delta.n))
    assert a.answers() == [(1, "standby", "")]


def test_one_that_is_always_a_little_behind_is_not_dropped() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    for n in range(2, 8):
        a.ask(n)
        a.persist()
        city.deliver()
        b.persist()
        at = next(i for i, (_, to, _) in enumerate(city.mail) if to == a.who)
        city.deliver(at)
        city.pass_s(0.6)
        city.mail = [one for one in city.mail if isinstance(one[2], CellDelta)]
    assert a.machine.wants_drop == frozenset()
    assert [n for n, _, _ in a.answers()] == [1, 2, 3, 4, 5, 6]


def test_time_in_which_nothing_was_asked_of_it_does_not_count() -> None:
    city, a, b = pair()
    hang(city, a, 1)
    for _ in range(10):
        city.pass_s(1.0)
    a.ask(2)
    a.persist()
    city.mail.clear()
    city.pass_s(1.0)
    assert a.machine.wants_drop == frozenset()
    assert sent_to(city, b) == [CellState]


# ---- acts


def test_what_was_begun_is_confirmed_though_the_cell_is_frozen() -> None:
    _, a, _ = alone()
    a.ask(1)
    a.machine.freeze(PLACE)
    a.persist()
    assert a.answers() == [(1, "disk", "")]


def test_what_waits_behind_a_write_that_fails_is_tried() -> None:
    _, a, _ = alone()
    a.ask(1)
    a.ask(2)
    a.persist(ok=False)
    assert a.answers() == [(1, "", "disk")]
    a.persist()
    assert a.answers()[1:] == [(2, "disk", "")]


def test_so_many_acts_go_into_one_write_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_holder, "_OPS_PER_BATCH", 3)
    _, a, _ = alone()
    for n in range(1, 7):
        a.ask(n)
    a.persist()
    [write] = a.persists[0].writes
    assert isinstance(write, SaveDelta)
    assert len(ObjectCell.from_bytes(write.delta)) == 3


@pytest.fixture
def beside() -> tuple[City, Host]:
    """A holds two cells."""
    city, a, _ = alone()
    city.see(took(claim(a.map, a.who, [BESIDE])))
    city.settle()
    return city, a


def test_a_retry_goes_to_the_cell_where_it_was_first_done(beside: tuple[City, Host]) -> None:
    city, a = beside
    hang(city, a, 1)
    a.ask(1, cell=BESIDE)
    city.settle()
    assert [n for n, _, _ in a.answers()] == [1, 1]
    assert a.disk.ids(BESIDE) == set()


def test_what_was_refused_may_be_done_elsewhere(beside: tuple[City, Host]) -> None:
    city, a = beside
    a.ask(1)
    a.persist(ok=False)
    a.ask(1, cell=BESIDE)
    city.settle()
    assert len(a.disk.ids(BESIDE)) == 1
    assert a.disk.ids() == set()


def test_where_acts_were_done_is_remembered_of_the_last_ones(
    beside: tuple[City, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_holder, "_RECENT_MAX", 2)
    city, a = beside
    for n in (1, 2, 1, 3):
        hang(city, a, n)
    a.ask(1, cell=BESIDE)
    city.settle()
    assert a.disk.ids(BESIDE) == set(), "it was asked for again lately"
    a.ask(2, cell=BESIDE)
    city.settle()
    assert len(a.disk.ids(BESIDE)) == 1, "it was forgotten"


def test_of_what_has_been_answered_nothing_is_kept() -> None:
    city, a, _ = pair()
    for n in (1, 2, 3):
        a.ask(n, conn=n % 2)
    assert a.machine._holder._open
    city.settle()
    assert not a.machine._holder._open
    assert a.machine.status()["acts_pending"] == 0


@pytest.mark.parametrize("asked_by", ["another node", "itself, for later"])
def test_an_answer_goes_to_whoever_asked(asked_by: str) -> None:
    city, a, b = alone()
    via, conn = (b.who, -1) if asked_by == "another node" else (None, KEPT)
    act = Act(1, "hang", "wish")
    a.machine.act(9, Login(1, bytes(16)), conn, act, HERE, PLACE, False, a.out, city.now, via=via)
    a.drain()
    a.persist()
    if via is not None:
        assert sent_to(city, b) == [ActDone]
        assert a.machine.take_kept() == []
    else:
        [(asked, done)] = a.machine.take_kept()
        assert (asked.message, done.durable) == (act, "disk")
        assert a.machine.take_kept() == []
    assert a.answers() == []


def test_who_has_put_up_as_much_as_is_allowed_may_go_on_when_some_of_it_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(acts, "OBJECTS_PER_AVATAR", 1)
    city, a, _ = alone()
    hang(city, a, 1)
    hang(city, a, 2)
    assert a.answers() == [(1, "disk", ""), (2, "", "yours_full")]
    a.machine.expunge(a.done[0][1].id, a.out, city.now)
    a.drain()
    city.settle()
    held = a.machine._records[PLACE].held
    assert held is not None
    assert 9 not in held.owned, "nobody's count is kept who has nothing"
    hang(city, a, 3)
    assert a.answers()[2:] == [(3, "disk", "")]


def test_a_ring_that_a_gift_has_counted_too_is_counted_once() -> None:
    city, a, b = pair()
    a.ask(1, "ring", text="", avatar=7)
    city.settle()
    given, replica = ObjectCell(), replica_of(b.who, PLACE, 1)
    asked = Asked(7, 1000, Act(1, "ring", "", b"", b""), HERE)
    assert isinstance(
        perform(PLACE, given, asked, 0, replica, HybridClock(replica), city.now.wall_ms), Performed
    )
    a.hear(b, CellState(PLACE, 0, 1, given.to_bytes()))
    city.settle()
    assert a.rings() == 1


# ---- the guard's inbox


def test_a_guard_takes_so_many_bytes_while_it_writes_and_again_when_it_has_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    [(_, _, first)] = city.mail
    assert isinstance(first, CellDelta)
    monkeypatch.setattr(object_keeper, "_INBOX_BYTES_MAX", 2 * len(first.delta) + 100)
    for n in range(2, 6):
        a.ask(n)
        a.persist()
    for _ in range(5):
        city.deliver()
    refused = [message.reason for _, _, message in city.mail if isinstance(message, CellRefused)]
    assert refused == ["gap", "gap"]
    city.settle()
    assert a.answers()[-1] == (5, "standby", "")
    for n in range(6, 10):
        hang(city, a, n)
    assert a.machine.counters["cell-refused-gap"] == 2
    assert a.disk.ids() == b.disk.ids()


def test_a_whole_state_takes_the_place_of_the_changes_that_wait() -> None:
    city, a, b = pair()
    for n in (1, 2, 3):
        a.ask(n)
        a.persist()
    for _ in range(3):
        city.deliver()
    a.ask(9)
    a.persist()
    city.mail.clear()
    city.pass_s(0.8)
    [at] = [at for at, (_, _, message) in enumerate(city.mail) if isinstance(message, CellState)]
    city.deliver(at)
    assert len(b.persists) == 1, "it came while the first is being written"
    city.settle()
    assert a.answers()[-1] == (9, "standby", "")
    assert b.machine._records[PLACE].inbox_bytes == 0
    a.ask(4)
    a.ask(5)
    a.persist()
    a.persist()
    city.deliver()
    city.deliver()
    b.persist(ok=False)
    assert b.machine._records[PLACE].inbox_bytes == 0
    assert not b.machine._records[PLACE].inbox


def test_a_guard_that_let_go_of_its_holder_takes_from_it_again_what_it_did_not_write() -> None:
    city, a, b = pair()
    for n in (1, 2):
        a.ask(n)
        a.persist()
    for _ in range(2):
        city.deliver()
    b.see(took(split(a.map, PLACE)))
    b.see(a.map)  # united again, under the same epoch
    city.pass_s(1.0)
    [at] = [at for at, (_, _, message) in enumerate(city.mail) if isinstance(message, CellState)]
    city.deliver(at)
    city.settle()
    assert a.answers() == [(1, "standby", ""), (2, "standby", "")]
    assert a.disk.ids() == b.disk.ids()


def test_a_guard_says_again_what_it_has_and_writes_nothing_twice() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver(keep=True)
    city.deliver()
    assert len(b.persists) == 1
    b.persist()
    [(_, _, stored)] = city.mail
    b.hear(a, CellDelta(PLACE, epoch(a), 1, ObjectCell().to_bytes()))
    assert not b.persists
    assert [message for _, _, message in city.mail] == [stored, stored]


def test_a_guard_whose_write_failed_takes_the_next_whole_state() -> None:
    city, a, b = pair()
    for n in (1, 2):
        a.ask(n)
        a.persist()
    for _ in range(2):
        city.deliver()
    b.persist(ok=False)
    assert not b.persists, "what waited has gone, too"
    city.settle()
    a.offer(b)
    city.settle()
    assert a.answers() == [(1, "standby", ""), (2, "standby", "")]
    assert a.disk.ids() == b.disk.ids()


# ---- compared at just the change that was told of


def told_of(host: Host) -> CellRoots:
    """The digest of the place as it is on this host's disk now."""
    record = host.machine._records[PLACE]
    return CellRoots((CellRoot(PLACE, epoch(host), record.n, CellTree(record.state).root),))


def test_a_copy_is_compared_when_the_change_that_was_told_of_is_written() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    b.hear(a, told_of(a))
    assert b.machine.counters["audit-equal"] == 0, "it is being written"
    b.persist()
    assert b.machine.counters["audit-equal"] == 1


def test_a_copy_is_not_written_past_the_change_that_is_to_be_compared() -> None:
    city, a, b = pair()
    for n in (1, 2):
        a.ask(n)
        a.persist()
    told = told_of(a)
    a.ask(3)
    a.persist()
    for _ in range(3):
        city.deliver()
    b.hear(a, told)
    b.persist()
    [second] = [write for persist in b.persists for write in persist.writes]
    assert isinstance(second, SaveDelta)
    assert second.n == told.roots[0].n
    city.settle()
    assert b.machine.counters["audit-equal"] == 1
    assert a.answers()[-1] == (3, "standby", "")
