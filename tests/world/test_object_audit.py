"""Anti-entropy: what goes wrong unseen in a copy of a cell is found in time, and mended by what differs alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.crdt import CausalContext, HybridClock, ObjectCell, ObjectRecord, Replica
from p2pworld.limits import AUDIT_EVERY_S, AUDIT_PARTS, COMPARE_S
from p2pworld.messages import AUDIT, CellAsk, CellPart, CellState, SaveState
from p2pworld.world.citymap import drop_standby, fail_over, join
from tests.world.object_hosts import PLACE, City, Host
from tests.world.test_objects import alone, enlist, took

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pworld.crdt import Value


def pair(names: str = "AB", lanterns: int = 0) -> tuple[City, Host, Host]:
    """A holds the place with so many lanterns, B is its standby, and their links know of digests."""
    city, a, b = alone(names)
    city.caps = (AUDIT,)
    a.see(a.map)
    b.see(b.map)
    enlist(city, a, b)
    for n in range(lanterns):
        a.ask(n, avatar=1 + n // 50)
        if n % 50 == 49:
            city.settle()
    city.settle()
    return city, a, b


def audit(city: City) -> None:
    """Time passes until every cell was told of once, and whatever follows from it."""
    city.pass_s(AUDIT_EVERY_S)
    city.settle()


def copy_of(host: Host) -> ObjectCell:
    """A host's copy of the place, in its memory."""
    return host.machine._records[PLACE].state


def spoil(host: Host, change: Callable[[ObjectCell, bytes], ObjectCell], one: bytes) -> None:
    """The copy in a host's memory is another, and nothing has told it so."""
    host.machine._records[PLACE].state = change(copy_of(host), one)


def lose(cell: ObjectCell, one: bytes) -> ObjectCell:
    """An object is gone, its dot is not."""
    return cell.amended({one: {}}, cell.context)


def miss(cell: ObjectCell, one: bytes) -> ObjectCell:
    """The change that brought an object was lost."""
    context = CausalContext(dot for dot in cell.context if dot not in cell.entries(one))
    return cell.amended({one: {}}, context)


def garble(cell: ObjectCell, one: bytes) -> ObjectCell:
    """A text is another, under the same stamp and dot."""
    entries = dict(cell.entries(one))
    dot, entry = next(iter(entries.items()))
    registers = {**entry.registers, "text": replace(entry.registers["text"], value="\x7f")}
    return cell.amended({one: {**entries, dot: ObjectRecord(registers, entry.counters)}}, cell.context)


FAULTS = [lose, miss, garble]


def lanterns(host: Host) -> list[bytes]:
    """The ids of what hangs."""
    shown = (host.machine.shown(PLACE) or {}).values()
    return sorted(one.id for one in shown if one.kind == "lantern")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_copy_that_went_wrong_in_silence_is_mended_in_memory_and_on_disk(
    fault: Callable[[ObjectCell, bytes], ObjectCell],
) -> None:
    city, a, b = pair(lanterns=120)
    before = a.machine.digest(PLACE)
    spoil(b, fault, lanterns(a)[17])
    wrong = copy_of(b)
    b.disk.write((SaveState(PLACE, *b.machine._records[PLACE].tail, wrong.to_bytes()),))
    city.sent.clear()
    audit(city)
    assert (a.machine.digest(PLACE), b.machine.digest(PLACE)) == (before, before)
    assert ObjectCell.from_bytes(b.disk.recover()[PLACE].state).digest() == before
    assert b.machine.counters["audit-differs"] == b.machine.counters["audit-mended"] == 1
    assert city.sent["CellState"] == 0
    assert city.sent["CellPart"] <= 2
    audit(city)
    assert b.machine.counters["audit-equal"] == 1
    assert b.machine.counters["audit-differs"] == 1


def test_copies_that_are_equal_cost_one_message_a_round() -> None:
    city, _, b = pair(lanterns=10)
    city.sent.clear()
    for _ in range(5):
        audit(city)
    assert city.sent == {"CellRoots": 5}
    assert b.machine.counters["audit-equal"] == 5


def test_a_bit_that_flips_in_an_object_already_hashed_is_found_when_its_turn_comes() -> None:
    city, a, b = pair(lanterns=40)
    audit(city)
    one = lanterns(a)[3]
    state = copy_of(b)
    right = a.machine.digest(PLACE)
    wrong = garble(state, one).entries(one)
    state._objects._live.update({dot: (one, entry) for dot, entry in wrong.items()})  # behind its back
    assert b.machine.digest(PLACE) == right  # as far as it knows
    for _ in range(AUDIT_PARTS):
        audit(city)
    assert b.machine.counters["audit-memory-wrong"] == b.machine.counters["audit-mended"] == 1
    assert copy_of(b) == copy_of(a)


def test_a_holder_whose_memory_is_wrong_ends_rather_than_spread_it() -> None:
    city, a, _ = pair(lanterns=4)
    audit(city)
    one, state = lanterns(a)[0], copy_of(a)
    wrong = garble(state, one).entries(one)
    state._objects._live.update({dot: (one, entry) for dot, entry in wrong.items()})

    def all_parts() -> None:
        for _ in range(AUDIT_PARTS):
            audit(city)

    with pytest.raises(AssertionError, match="changed in memory"):
        all_parts()


def test_a_copy_that_fell_back_to_an_earlier_change_is_sent_everything() -> None:
    city, a, b = pair(lanterns=3)
    record = b.machine._records[PLACE]
    earlier = record.state, record.n
    a.ask(7)
    city.settle()
    record.state, record.n = earlier
    record.tail = record.epoch, record.n
    audit(city)
    assert b.machine.counters["audit-gap"] == 1
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)


def test_a_cell_is_compared_also_while_acts_come_without_end() -> None:
    city, a, b = pair(lanterns=30)
    spoil(b, lose, lanterns(a)[5])
    n = 100
    for _ in range(6):
        city.pass_s(AUDIT_EVERY_S / 4)
        for _ in range(40):  # there is always a change on its way
            n += 1
            a.ask(n, "ring", avatar=n)
            for host in (a, b):
                if host.persists:
                    host.persist()
            if city.mail:
                city.deliver()
    city.settle()
    assert b.machine.counters["audit-mended"] == 1
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)
    assert a.rings() == 240
    assert not city.faults


def test_nothing_of_a_cell_is_written_while_it_is_compared_and_all_of_it_when_the_answer_stays_away() -> None:
    city, a, b = pair(lanterns=30)
    spoil(b, lose, lanterns(a)[5])
    city.pass_s(AUDIT_EVERY_S)
    while not any(isinstance(message, CellAsk) for _, _, message in city.mail):
        city.deliver()
    city.mail.clear()
    a.ask(99)
    a.persist()
    city.deliver()
    assert not b.persists
    city.pass_s(COMPARE_S)
    assert b.machine.counters["audit-unfinished"] == 1
    assert b.persists
    city.settle()
    assert a.answers()[-1] == (99, "standby", "")
    audit(city)
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)


def test_a_cell_that_a_disk_has_garbled_is_written_anew_by_whoever_has_it() -> None:
    city, a, b = pair(lanterns=8)
    for host in (a, b):
        before = host.disk.recover()
        host.disk.states.clear()
        host.disk.deltas.clear()
        host.machine.rewrite(PLACE, host.out, city.now)
        host.drain()
        city.settle()
        assert host.disk.recover() == before
    shelved = took(drop_standby(a.map, [PLACE], a.who, b.who))
    b.see(shelved)
    b.machine.begin(b.who)  # it keeps the cell for nobody now, only knows of it
    b.disk.states.clear()
    b.machine.rewrite(PLACE, b.out, city.now)
    b.drain()
    b.persist()
    assert b.disk.ids() == a.disk.ids()


def test_a_node_of_an_older_release_is_told_nothing() -> None:
    city, a, b = alone()
    enlist(city, a, b)
    for _ in range(3):
        audit(city)
    assert city.sent["CellRoots"] == 0


def test_what_a_copy_alone_has_is_given_to_the_holder_and_nothing_else() -> None:
    city, a, b = pair(lanterns=60)
    state, made = copy_of(b).copy(), bytes(range(16))
    alien = Replica(b"elsewhere", 3)
    fields: dict[str, Value] = {
        "kind": "lantern",
        "text": "mine alone",
        "by": 5,
        "at_ms": 1,
        "east_cm": 3_000_100,
        "north_cm": 3_000_100,
    }
    state.put(alien, made, fields, HybridClock(alien).tick(1_600_000_000_000))
    b.machine._records[PLACE].state = state
    audit(city)
    audit(city)
    given = a.machine.digest(PLACE)
    assert given == b.machine.digest(PLACE)
    assert made in lanterns(a)
    assert made in a.disk.ids()
    assert b.machine.counters["cell-given-back"] == 1


def test_a_known_cell_is_compared_before_it_is_given() -> None:
    city, a, b = pair(lanterns=80)
    dead = b.who
    b.start()  # it comes back with all of it on its disk, and the holder still has all of it
    dropped = took(drop_standby(a.map, [PLACE], a.who, dead))
    city.see(took(join(dropped, b.as_member)))
    city.sent.clear()
    city.pass_s(1)
    city.settle()
    assert b.machine.counters["cell-given"] == 1
    assert city.sent == {"CellAsk": 1, "CellTwigs": 1}


def test_of_a_known_cell_only_what_the_holder_lacks_is_given() -> None:
    city, a, b = pair(lanterns=80)
    a.ask(500, text="only here")
    a.persist()
    city.mail.clear()
    dead = a.who
    a.start()
    city.see(took(fail_over(b.map, dead, b.who)))
    city.settle()
    city.see(took(join(b.map, a.as_member)))
    sizes: list[int] = []
    city.pass_s(1)
    for _ in range(200):
        if not city.mail:
            break
        sizes += [len(m.state) for _, _, m in city.mail[:1] if isinstance(m, CellState)]
        city.deliver()
        for host in (a, b):
            while host.persists:
                host.persist()
    assert "only here" in b.texts()
    assert len(b.texts()) == 81
    assert sizes
    assert max(sizes) * 10 < len(a.disk.recover()[PLACE].state)
    assert a.machine.counters["cell-given"] == 1


def test_questions_about_nothing_told_and_answers_to_nothing_asked_are_counted() -> None:
    city, a, b = pair(lanterns=3)
    a.hear(b, CellAsk(PLACE, 5, 5, ("",)))
    a.hear(b, CellAsk(PLACE.children()[0], 0, 0, ("",)))
    assert a.machine.counters["audit-not-told"] == 2
    b.hear(a, CellPart(PLACE, 1, 1, ("o",), b"\xc1"))
    assert b.machine.counters["audit-late"] == 1
    audit(city)
    spoil(b, lose, lanterns(a)[0])
    city.pass_s(AUDIT_EVERY_S)
    city.deliver()
    [asked] = [m for _, _, m in city.mail if isinstance(m, CellAsk)]
    b.hear(a, CellPart(PLACE, asked.epoch, asked.n, ("o",), b"\xc1"))
    assert b.machine.counters["audit-malformed"] == 1


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(1, 30), st.booleans()),
        st.tuples(st.just("persist"), st.integers(0, 1), st.integers(0, 5)),
        st.tuples(st.just("deliver"), st.just(0)),
        st.tuples(st.just("lose"), st.integers(0, 9)),
        st.tuples(st.just("pass"), st.floats(0.1, 2.5)),
        st.tuples(st.just("spoil"), st.sampled_from(FAULTS), st.integers(0, 30)),
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(STEPS)
def test_whatever_is_lost_or_spoilt_the_copies_end_equal_and_no_confirmed_lantern_is_gone(
    steps: list[tuple[object, ...]],
) -> None:
    city, a, b = pair(lanterns=12)
    hosts = [a, b]
    for step in steps:
        match step:
            case ("ask", int(n), bool(ring)):
                a.ask(n, "ring" if ring else "hang")
            case ("persist", int(which), int(luck)) if hosts[which].persists:
                hosts[which].persist(
                    ok=luck > 0 or which == 1
                )  # a standby that cannot save is taken off the map
            case ("deliver", 0) if city.mail:
                city.deliver()
            case ("lose", int(at)) if city.mail:
                city.mail.pop(at % len(city.mail))
            case ("pass", float(seconds)):
                city.pass_s(seconds)
            case ("spoil", fault, int(nth)) if callable(fault):
                here = [one for one in lanterns(a) if one in copy_of(b)]
                if here:
                    spoil(b, fault, here[nth % len(here)])
    for _ in range(3):
        city.settle()
        audit(city)
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)
    confirmed = {done.id for _, done in a.done if done.durable}
    assert confirmed <= set(copy_of(a))
    assert copy_of(a) == ObjectCell.from_bytes(a.disk.recover()[PLACE].state)
    assert copy_of(b) == ObjectCell.from_bytes(b.disk.recover()[PLACE].state)
