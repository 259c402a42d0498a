"""Objects: a confirmed lantern is on every disk it should be on, whatever fails between; a retry does nothing twice."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.crdt import ObjectCell
from p2pworld.ids import Incarnation
from p2pworld.limits import CLOCK_SKEW_MS, OBJECTS_PER_AVATAR, PENDING_ACTS
from p2pworld.messages import CellDelta, CellState, Instant
from p2pworld.world import acts
from p2pworld.world.citymap import (
    CityMap,
    add_standby,
    claim,
    drop_standby,
    fail_over,
    genesis,
    join,
    split,
)
from tests.world.object_hosts import PLACE, City, Host

if TYPE_CHECKING:
    from p2pworld.errors import Refusal


def took(step: CityMap | Refusal) -> CityMap:
    """A step that the rules allow."""
    assert isinstance(step, CityMap), step
    return step


def alone(names: str = "AB") -> tuple[City, Host, Host]:
    """A holds the place; B is a member without a copy."""
    city = City(names)
    a, b = city.hosts["A"], city.hosts["B"]
    made = genesis({a.as_member: [PLACE], **{h.as_member: [] for h in city.hosts.values() if h is not a}})
    city.see(took(made))
    city.settle()
    return city, a, b


def enlist(city: City, holder: Host, standby: Host) -> None:
    """Make one a standby as a node does: offer, wait until it is in step, count it, propose, read the outcome."""
    holder.offer(standby)
    city.settle()
    assert holder.machine.synced_with(PLACE, standby.who)
    holder.machine.count_as_standby(PLACE, standby.who)
    city.see(took(add_standby(holder.map, [PLACE], holder.who, standby.who)))
    city.settle()


def pair() -> tuple[City, Host, Host]:
    """A holds the place and B is its listed standby."""
    city, a, b = alone()
    enlist(city, a, b)
    return city, a, b


# ---- what a confirmation waits for


def test_without_a_standby_it_is_confirmed_as_on_this_disk_only_once_written() -> None:
    city, a, _ = alone()
    a.ask(1)
    assert a.answers() == []
    assert a.texts() == []
    a.persist()
    assert a.answers() == [(1, "disk", "")]
    assert a.texts() == ["wish 1"]
    assert not city.faults


def test_with_a_standby_it_waits_for_both_disks() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    assert a.answers() == []
    assert a.machine.drain_changes() == []
    city.deliver()
    assert b.persists
    assert not city.mail
    b.persist()
    assert a.answers() == []
    city.deliver()
    assert a.answers() == [(1, "standby", "")]
    [(cell, news)] = a.machine.drain_changes()
    assert cell == PLACE
    assert [one.text for one in news.objects] == ["wish 1"]
    assert a.machine.drain_changes() == []
    assert not city.faults
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)


def test_acts_that_come_during_a_write_go_into_one_delta() -> None:
    city, a, _ = pair()
    before = city.sent["CellDelta"]
    for n in range(1, 11):
        a.ask(n)
    city.settle()
    assert [n for n, durable, _ in a.answers() if durable == "standby"] == list(range(1, 11))
    assert city.sent["CellDelta"] == before + 2


def test_a_full_disk_confirms_nothing_says_so_and_recovers() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist(ok=False)
    assert a.answers() == [(1, "", "disk")]
    assert "cannot save" in a.done[0][1].sentence
    assert a.machine.disk_failed
    assert a.texts() == []
    assert not city.mail
    a.ask(1)
    city.settle()
    assert a.answers()[1:] == [(1, "standby", "")]
    assert not a.machine.disk_failed
    assert a.disk.ids() == b.disk.ids()
    assert a.texts() == ["wish 1"]


def test_what_failed_but_is_on_the_disk_after_all_does_no_harm() -> None:
    city, a, _ = alone()
    a.ask(1)
    a.disk.write(a.persists[0].writes)
    a.persist(ok=False)
    a.ask(2)
    city.settle()
    assert a.answers() == [(1, "", "disk"), (2, "disk", "")]
    saved = ObjectCell.from_bytes(a.disk.recover()[PLACE].state)
    assert [record.fields["text"] for one in saved if (record := saved.get(one))] == ["wish 2"]


@pytest.mark.parametrize("reason", ["full", "lapsed"])
def test_a_cell_that_could_not_be_saved_at_first_is_tried_again(reason: str) -> None:
    city = City()
    a = city.hosts["A"]
    city.see(took(genesis({a.as_member: [PLACE], city.hosts["B"].as_member: []})))
    a.ask(1)
    a.persist(ok=False, reason=reason)
    assert a.answers() == [(1, "", "lapsed" if reason == "lapsed" else "disk")]
    city.pass_s(6)
    assert a.persists
    a.persist()
    a.ask(1)
    a.persist()
    assert a.answers()[1:] == [(1, "disk", "")]


def test_a_write_dropped_with_the_lease_is_no_disk_failure() -> None:
    _, a, _ = alone()
    a.ask(1)
    a.persist(ok=False, reason="lapsed")
    assert a.answers() == [(1, "", "lapsed")]
    assert not a.machine.disk_failed


# ---- standbys that fail


def test_a_standby_with_a_full_disk_is_dropped_before_anything_is_confirmed_without_it() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    b.persist(ok=False)
    city.settle()
    assert a.answers() == []
    assert a.machine.wants_drop == {(PLACE, b.who)}
    city.see(took(drop_standby(a.map, [PLACE], a.who, b.who)))
    assert a.answers() == [(1, "disk", "")]
    assert a.machine.wants_drop == frozenset()
    assert not city.faults
    assert not a.machine.keeps_up(b.who, city.now)  # others are to be asked first, for a while
    city.pass_s(10.1)
    assert a.machine.keeps_up(b.who, city.now)


def test_a_standby_whose_disk_has_room_again_can_come_back() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    b.persist(ok=False)
    city.settle()
    city.see(took(drop_standby(a.map, [PLACE], a.who, b.who)))
    enlist(city, a, b)
    a.ask(2)
    city.settle()
    assert a.answers() == [(1, "disk", ""), (2, "standby", "")]
    assert a.disk.ids() == b.disk.ids()


def test_a_slow_standby_is_sent_it_again_then_dropped_unless_it_answers() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.mail.clear()  # lost
    city.pass_s(1.0)
    assert [type(message) for _, _, message in city.mail] == [CellState]
    city.mail.clear()
    assert a.machine.keeps_up(b.who, city.now)
    city.pass_s(1.1)
    assert a.machine.wants_drop == {(PLACE, b.who)}
    assert not a.machine.keeps_up(b.who, city.now)
    assert a.answers() == []
    city.settle()
    assert a.answers() == [(1, "standby", "")]
    assert a.machine.wants_drop == frozenset()


def test_a_gap_is_filled_with_the_whole_state() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.mail.clear()
    a.ask(2)
    city.settle()
    assert b.machine.counters["cell-not-taken-gap"] == 0  # the keeper itself says gap
    assert a.machine.counters["cell-refused-gap"] == 1
    assert a.answers() == [(1, "standby", ""), (2, "standby", "")]
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)


def test_one_proposed_as_standby_is_waited_for_from_then_on() -> None:
    city, a, b = alone()
    a.offer(b)
    city.settle()
    a.ask(1)
    a.machine.count_as_standby(PLACE, b.who)
    a.persist()
    assert a.answers() == []
    assert not a.machine.synced_with(PLACE, b.who)
    city.settle()
    assert a.answers() == [(1, "standby", "")]
    a.ask(2)
    a.persist()
    a.machine.discount_standby(PLACE, b.who, a.out)
    a.drain()
    assert a.answers()[1:] == [(2, "disk", "")]


def test_a_proposal_that_lost_its_race_is_no_longer_waited_for_once_a_newer_map_is_read() -> None:
    city, a, b = alone("ABC")
    a.offer(b)
    city.settle()
    a.machine.count_as_standby(PLACE, b.who)
    a.ask(1)
    a.persist()
    a.see(a.map)  # a link came or went
    assert a.answers() == []
    a.see(took(join(a.map, replace(city.hosts["C"].as_member, play_url="ws://elsewhere"))))
    assert a.answers() == [(1, "disk", "")]


def test_a_candidate_without_a_link_is_forgotten() -> None:
    city, a, b = alone()
    a.offer(b)
    city.cut.add(b.node)
    a.see(a.map)
    assert not a.machine.synced_with(PLACE, b.who)
    a.ask(1)
    city.settle()
    assert a.answers() == [(1, "disk", "")]


def test_only_the_holder_under_its_epoch_is_kept_for() -> None:
    city, a, b = pair()
    holding = a.map.cells[PLACE]
    good = CellDelta(PLACE, holding.epoch, 1, ObjectCell().to_bytes())
    stranger = Incarnation(b"z" * 32, 1)
    for peer, message in (
        (stranger, good),
        (a.who, replace(good, epoch=holding.epoch + 1)),
        (a.who, replace(good, cell=int(PLACE) * 4)),
        (a.who, replace(good, delta=b"\xc1")),
    ):
        b.machine.from_holder(peer, message, b.map, b.out, city.now)
    b.drain()
    assert b.machine.counters["cell-not-taken-epoch"] == 3
    assert b.machine.counters["cell-not-taken-malformed"] == 1
    assert not b.persists


def test_stamps_from_the_future_are_not_let_in() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.now = Instant(city.now.boot_s, city.now.wall_ms - CLOCK_SKEW_MS - 1)
    city.deliver()
    assert b.machine.counters["cell-not-taken-clock"] == 1
    assert not b.persists


# ---- retries


def test_a_retry_is_confirmed_again_and_hangs_nothing_twice() -> None:
    city, a, _ = pair()
    a.ask(1)
    a.ask(1)
    city.settle()
    a.ask(1)
    city.settle()
    assert a.answers() == [(1, "standby", "")] * 3
    assert len({message.id for _, message in a.done}) == 1
    assert a.texts() == ["wish 1"]


def test_a_retry_of_what_waits_for_the_standby_waits_too() -> None:
    city, a, _ = pair()
    a.ask(1)
    a.persist()
    a.ask(1, conn=2)
    assert a.answers() == []
    assert not a.persists
    city.settle()
    assert [conn for conn, _ in a.done] == [1, 2]


def test_a_ring_is_counted_once_also_after_a_takeover_under_a_new_login() -> None:
    city, a, b = pair()
    a.ask(1, "ring", name=b"first")
    a.ask(2, "ring")
    city.settle()
    assert a.rings() == 2
    city.see(took(fail_over(a.map, a.who, b.who)))
    city.settle()
    b.ask(7, "ring", name=b"first", login_ms=2000)
    b.ask(2, "ring")
    b.ask(3, "ring")
    city.settle()
    assert b.answers() == [(7, "disk", ""), (2, "disk", ""), (3, "disk", "")]
    assert b.rings() == 3


def test_each_holding_of_each_cell_writes_under_its_own_name() -> None:
    me, later = Incarnation(b"a" * 32, 1), Incarnation(b"a" * 32, 2)
    names = {acts.replica_of(who, cell, epoch) for who in (me, later) for cell in (5, 20) for epoch in (1, 2)}
    assert len(names) == 8


def test_different_acts_have_different_keys() -> None:
    city, a, _ = alone()
    a.ask(1)
    a.ask(2)
    a.ask(1, avatar=10)
    a.ask(1, login_ms=1001)
    a.ask(1, name=b"x")
    a.ask(1, name=b"x", login_ms=5, text="the same act")
    city.settle()
    assert len({message.id for _, message in a.done}) == 5
    assert len(a.texts()) == 5


def test_a_retry_after_walking_on_within_the_node_is_answered_by_the_first_cell() -> None:
    city, a, b = alone()
    beside = PLACE.neighbours()[0]
    city.see(took(claim(a.map, a.who, [beside])))
    city.settle()
    a.ask(1)
    city.settle()
    a.ask(1, cell=beside)
    city.settle()
    assert a.answers() == [(1, "disk", ""), (1, "disk", "")]
    assert a.machine.shown(beside) == {}
    assert b.machine.shown(PLACE) is None


def test_a_lost_socket_is_never_answered_under_its_number() -> None:
    city, a, _ = pair()
    a.ask(1, conn=4)
    a.machine.lost(4)
    city.settle()
    assert a.done == []
    assert a.texts() == ["wish 1"]
    assert a.machine.status()["acts_pending"] == 0


# ---- refusals and bounds


@pytest.mark.parametrize(
    ("verb", "more", "reason"),
    [
        ("dance", {}, "verb"),
        ("hang", {"text": "two\nlines"}, "text"),
        ("hang", {"text": "a\u202eb"}, "text"),
        ("hang", {"text": "x" * 201}, "text"),
        ("note", {"text": ""}, "text"),
        ("note", {"text": "two\nlines"}, "text"),
        ("ring", {"target": b"n" * 16}, "no_target"),
        ("hang", {"lapsed": True}, "lapsed"),
        ("hang", {"cell": PLACE.neighbours()[0]}, "moved"),
    ],
)
def test_what_is_refused_says_why_and_writes_nothing(verb: str, more: dict[str, object], reason: str) -> None:
    _, a, _ = alone()
    a.ask(1, verb, **more)  # type: ignore[arg-type]
    assert a.answers() == [(1, "", reason)]
    assert a.done[0][1].sentence.endswith(".")
    assert not a.persists


def test_a_note_is_pinned_once_and_shown_as_one() -> None:
    city, a, _ = alone()
    for _ in range(2):  # a retry
        a.ask(1, "note", text="잃어버린 우산을 찾습니다", avatar=9)
        city.settle()
    shown = a.machine.shown(PLACE)
    assert shown is not None
    assert [(one.kind, one.text, one.by) for one in shown.values()] == [
        ("note", "잃어버린 우산을 찾습니다", 9)
    ]


def test_an_avatar_and_a_cell_hold_so_many_lanterns(monkeypatch: pytest.MonkeyPatch) -> None:
    city, a, _ = alone()
    for n in range(OBJECTS_PER_AVATAR + 1):
        a.ask(n, avatar=9)
    city.settle()
    assert [answer for answer in a.answers() if answer[2]] == [(OBJECTS_PER_AVATAR, "", "yours_full")]
    assert len(a.texts()) == OBJECTS_PER_AVATAR
    a.ask(0, avatar=9)  # a retry is still a retry
    city.settle()
    assert a.answers()[-1] == (0, "disk", "")
    monkeypatch.setattr(acts, "LANTERNS_PER_CELL", OBJECTS_PER_AVATAR + 1)
    a.ask(1, avatar=10)
    city.settle()
    a.ask(2, avatar=10)
    assert a.answers()[-2:] == [(1, "disk", ""), (2, "", "full")]


def test_acts_that_wait_are_bounded() -> None:
    _, a, _ = alone()
    for n in range(PENDING_ACTS + 1):
        a.ask(n)
    assert a.answers() == [(PENDING_ACTS, "", "busy")]
    assert a.machine.status()["acts_pending"] == PENDING_ACTS


def test_a_long_journal_is_replaced_by_one_state_on_both_sides() -> None:
    city, a, b = pair()
    for n in range(300):
        a.ask(n, "ring", avatar=n)
        city.settle()
    assert a.rings() == 300
    for host in (a, b):
        assert len(host.disk.deltas[PLACE]) < 100
    assert a.disk.ids() == b.disk.ids()


# ---- who holds the cell changes


def test_a_confirmed_lantern_survives_its_holder() -> None:
    city, a, b = pair()
    a.ask(1)
    city.settle()
    city.see(took(fail_over(a.map, a.who, b.who)))
    city.settle()
    assert b.texts() == ["wish 1"]
    b.ask(2)
    city.settle()
    assert b.answers() == [(2, "disk", "")]
    assert b.texts() == ["wish 1", "wish 2"]


def test_what_a_standby_was_writing_when_it_took_over_is_not_lost() -> None:
    city, a, b = pair()
    a.ask(1)
    a.persist()
    city.deliver()
    [writing] = b.persists
    assert writing.then.sends
    b.see(took(fail_over(a.map, a.who, b.who)))
    b.persist()  # its acknowledgement left for the old holder, which may still confirm
    city.deliver()
    assert a.answers() == [(1, "standby", "")]
    assert b.texts() == ["wish 1"]
    city.see(b.map)
    city.settle()
    assert b.disk.recover()[PLACE].epoch == b.map.cells[PLACE].epoch


def test_acts_under_way_when_the_cell_is_lost_are_to_be_asked_again_and_doubled_nowhere() -> None:
    city, a, b = pair()
    a.ask(1)
    a.ask(2)
    city.see(took(fail_over(a.map, a.who, b.who)))
    assert a.answers() == [(2, "", "moved"), (1, "", "moved")]
    city.settle()
    b.ask(1)
    city.settle()
    assert b.texts() == ["wish 1"]
    assert a.machine.status()["acts_pending"] == 0


def test_lanterns_of_a_holder_that_died_without_a_standby_come_back_with_it() -> None:
    city, a, b = alone()
    a.ask(1)
    city.settle()
    dead = a.who
    a.start()
    city.see(took(claim(took(fail_over(b.map, dead, b.who)), b.who, [PLACE])))
    city.settle()
    b.ask(5, text="from the new one")
    city.settle()
    assert b.texts() == ["from the new one"]
    city.see(took(join(b.map, a.as_member)))
    city.pass_s(1)
    city.settle()
    assert b.texts() == ["from the new one", "wish 1"]
    sent = city.sent["CellState"]
    city.see(b.map)
    city.pass_s(20)
    city.settle()
    assert city.sent["CellState"] == sent  # it was taken: it is not given again
    assert a.machine.counters["cell-given"] == 1


def test_the_next_incarnation_of_a_holder_gets_its_lanterns_from_its_disk() -> None:
    city, a, b = alone()
    a.ask(1)
    a.ask(2)
    a.persist()  # 1 is confirmed; 2 is never written
    dead = a.who
    a.start()
    joined = took(join(took(fail_over(b.map, dead, b.who)), a.as_member))
    city.see(took(claim(joined, a.who, [PLACE])))
    city.settle()
    assert a.texts() == ["wish 1"]
    a.ask(2)
    city.settle()
    assert a.texts() == ["wish 1", "wish 2"]


def test_what_only_a_remaining_standby_has_is_given_to_the_new_holder() -> None:
    city, a, b = alone("ABC")
    c = city.hosts["C"]
    enlist(city, a, b)
    enlist(city, a, c)
    a.ask(1)
    a.persist()
    to_c = next(at for at, (_, to, _) in enumerate(city.mail) if to == c.who)
    city.deliver(to_c)
    c.persist()
    city.mail.clear()
    assert a.answers() == []
    a.start()  # its journal has it too, but it does not come back in this story
    city.cut.add(a.node)
    taken = took(fail_over(b.map, Incarnation(a.node, 1), b.who))
    b.see(taken)
    c.see(taken)
    city.settle()
    assert b.texts() == ["wish 1"]
    assert b.machine.digest(PLACE) == c.machine.digest(PLACE)


def test_a_divided_cell_shows_each_part_what_hangs_in_it() -> None:
    city, a, _ = alone()
    a.ask(1)
    city.settle()
    city.see(took(split(a.map, PLACE)))
    city.settle()
    shown = {
        child: [one.text for one in (a.machine.shown(child) or {}).values()] for child in PLACE.children()
    }
    assert sorted(map(len, shown.values())) == [0, 0, 0, 1]
    assert shown[PLACE.children()[3]] == ["wish 1"]  # the middle is the north-east part's corner


def test_a_new_incarnation_of_the_same_process_begins_with_nothing_but_what_it_knows() -> None:
    city, a, b = alone()
    a.ask(1)
    city.settle()
    a.number = 2
    a.who = Incarnation(a.node, 2)
    a.machine.begin(a.who)
    assert a.machine.shown(PLACE) is None
    joined = took(join(took(fail_over(b.map, Incarnation(a.node, 1), b.who)), a.as_member))
    city.see(took(claim(joined, a.who, [PLACE])))
    city.settle()
    assert a.texts() == ["wish 1"]


# ---- anything at any time


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 12), st.booleans()),
        st.tuples(st.just("persist"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("persist"), st.integers(0, 1), st.integers(1, 5)),
        st.tuples(st.just("deliver"), st.just(0), st.just(False)),
        st.tuples(st.just("deliver"), st.integers(0, 9), st.booleans()),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("pass"), st.floats(0.1, 2.5)),
        st.tuples(st.just("drop")),
        st.tuples(st.just("offer")),
        st.tuples(st.just("enlist")),
        st.tuples(st.just("take over"), st.booleans()),
        st.tuples(st.just("crash standby")),
    ),
    max_size=80,
)


@settings(max_examples=200)
@given(STEPS)
def test_every_confirmation_is_true_when_it_leaves_and_ever_after(steps: list[tuple[object, ...]]) -> None:
    city, a, b = pair()
    hosts = [a, b]
    confirmed: set[bytes] = set()
    for step in steps:
        holder = next((h for h in hosts if h.map.holder_of(PLACE) == h.who), a)
        other = b if holder is a else a
        match step:
            case ("ask", int(n), bool(ring)):
                holder.ask(n, "ring" if ring else "hang")
            case ("persist", int(which), int(luck)) if hosts[which].persists:
                hosts[which].persist(ok=luck > 0)
            case ("deliver", int(at), bool(again)) if city.mail:
                city.deliver(at % len(city.mail), keep=again and len(city.mail) < 20)
            case ("lose", int(at)) if city.mail:
                city.mail.pop(at % len(city.mail))
            case ("pass", float(seconds)):
                city.pass_s(seconds)
            case ("drop",) if holder.map.cells[PLACE].standbys and holder.machine.wants_drop:
                city.see(took(drop_standby(holder.map, [PLACE], holder.who, other.who)))
            case ("offer",) if not holder.map.cells[PLACE].standbys and holder.map.is_listed(other.who):
                holder.offer(other)
            case ("enlist",) if holder.machine.synced_with(PLACE, other.who):
                if other.who not in holder.map.cells[PLACE].standbys:
                    holder.machine.count_as_standby(PLACE, other.who)
                    city.see(took(add_standby(holder.map, [PLACE], holder.who, other.who)))
            case ("take over", bool(crash)) if other.who in holder.map.cells[PLACE].standbys:
                confirmed |= {done.id for _, done in holder.done if done.durable}
                dead = holder.who
                if crash:
                    holder.start()
                else:
                    holder.number += 1
                    holder.who = Incarnation(holder.node, holder.number)
                    holder.machine.begin(holder.who)
                taken = took(fail_over(other.map, dead, other.who))
                city.see(took(join(taken, holder.as_member)))
            case ("crash standby",) if other.who in holder.map.cells[PLACE].standbys:
                dead = other.who
                other.start()
                dropped = took(drop_standby(holder.map, [PLACE], holder.who, dead))
                city.see(took(join(dropped, other.as_member)))
        confirmed |= {done.id for host in hosts for _, done in host.done if done.durable}
        assert not city.faults
    city.settle()
    for _ in range(3):
        city.pass_s(6)
        city.settle()
    holder = next(h for h in hosts if h.map.holder_of(PLACE) == h.who)
    assert confirmed <= holder.disk.ids()
    assert city.faults == []
    assert holder.machine.status()["acts_pending"] == 0
