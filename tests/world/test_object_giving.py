"""What is on a disk finds its way back: to each new holder, from a restored copy too, and never against an order."""

from __future__ import annotations

from dataclasses import replace

from p2pworld.crdt import ObjectCell
from p2pworld.messages import AUDIT, SaveState
from p2pworld.world.citymap import claim, drop_standby, fail_over, join
from p2pworld.world.objects import SavedCell
from tests.world.object_hosts import PLACE, City, Disk, Host
from tests.world.test_objects import alone, enlist, took


def pair(names: str = "AB") -> tuple[City, Host, Host]:
    """A holds the place, B is its standby, and their links know of digests."""
    city, a, b = alone(names)
    city.caps = (AUDIT,)
    city.see(a.map)
    enlist(city, a, b)
    return city, a, b


def copied(host: Host) -> dict[int, SavedCell]:
    """A copy of a host's disk as `p2pworld disk restore` puts one in place: whole states, under no epoch."""
    return {cell: replace(saved, epoch=0, n=0) for cell, saved in host.disk.recover().items()}


def restore(host: Host, copy: dict[int, SavedCell]) -> None:
    """The host's process ends; the next one finds the copy."""
    host.disk = Disk()
    host.disk.write(tuple(SaveState(cell, saved.epoch, saved.n, saved.state) for cell, saved in copy.items()))
    host.start()


def settle(city: City) -> None:
    for _ in range(3):
        city.pass_s(6)
        city.settle()


def taken_down(host: Host, text: str) -> bytes:
    """Expunge the one lantern with this wish; its id."""
    shown = host.machine.shown(PLACE) or {}
    (one,) = (seen.id for seen in shown.values() if seen.text == text)
    assert host.machine.expunge(one, host.out, host.city.now) == 1
    host.drain()
    return one


def test_an_older_copy_claims_nothing_and_loses_nothing_that_was_acknowledged_after_it() -> None:
    city, a, b = pair()
    a.ask(1)
    city.settle()
    copy = copied(a)
    a.ask(2)
    city.settle()
    assert a.answers()[-1] == (2, "standby", "")
    dead = a.who
    restore(a, copy)
    city.see(took(join(took(fail_over(b.map, dead, b.who)), a.as_member)))
    settle(city)
    assert b.texts() == ["wish 1", "wish 2"]
    assert a.machine.digest(PLACE) is None  # it knows of the place, and keeps it for nobody
    enlist(city, b, a)
    assert b.machine.synced_with(PLACE, a.who)
    assert a.machine.digest(PLACE) == b.machine.digest(PLACE)


def test_the_only_holder_comes_back_with_an_older_copy_under_a_new_epoch_and_is_given_the_rest() -> None:
    city, a, b = pair()
    a.ask(1)
    city.settle()
    copy = copied(a)
    a.ask(2)
    city.settle()
    city.see(took(drop_standby(a.map, [PLACE], a.who, b.who)))
    a.ask(3)
    city.settle()
    assert a.answers()[-1] == (3, "disk", "")
    before = a.map.cells[PLACE].epoch
    dead = a.who
    restore(a, copy)
    lost = took(join(took(fail_over(b.map, dead, b.who)), a.as_member))
    city.see(took(claim(lost, a.who, [PLACE])))
    settle(city)
    assert a.map.cells[PLACE].epoch > before
    assert a.disk.recover()[PLACE].epoch == a.map.cells[PLACE].epoch
    assert a.texts() == ["wish 1", "wish 2"]  # 3 was on the lost disk alone, and the answer said so


def test_what_was_expunged_after_the_copy_does_not_come_back_with_it() -> None:
    city, a, b = pair()
    a.ask(1)
    a.ask(2)
    city.settle()
    copy = copied(a)
    one = taken_down(a, "wish 1")
    city.settle()
    assert one not in b.disk.ids()
    dead = a.who
    restore(a, copy)
    assert one in a.disk.ids()
    city.see(took(join(took(fail_over(b.map, dead, b.who)), a.as_member)))
    settle(city)
    assert b.texts() == ["wish 2"]
    enlist(city, b, a)
    assert one not in a.disk.ids()
    assert ObjectCell.from_bytes(a.disk.recover()[PLACE].state).is_expunged(one)


def test_expunging_beats_an_addition_that_a_copy_elsewhere_never_forgot() -> None:
    city, a, b = pair("ABC")
    c = city.hosts["C"]
    enlist(city, a, c)
    a.ask(1)
    city.settle()
    city.cut.add(c.node)  # C knows the lantern, and hears nothing of what follows
    city.see(took(drop_standby(a.map, [PLACE], a.who, c.who)))
    one = taken_down(a, "wish 1")
    city.settle()
    city.cut.clear()
    c.machine.begin(c.who)  # it follows nobody any more
    city.see(a.map)
    settle(city)
    assert (a.texts(), one in b.disk.ids()) == ([], False)
    assert c.machine.counters["cell-given"] == 1
    assert a.machine.counters["cell-not-taken-full"] == 0
    a.ask(1)  # its own act, asked for once more
    assert a.answers()[-1] == (1, "", "expunged")


def test_a_new_holder_is_given_what_the_one_before_had_been_given() -> None:
    city, a, b = pair("ABC")
    c = city.hosts["C"]
    a.ask(1)
    city.settle()
    city.see(took(drop_standby(a.map, [PLACE], a.who, b.who)))
    b.machine.begin(b.who)  # it follows nobody any more, and only knows the place
    city.see(a.map)
    settle(city)
    assert b.machine.counters["cell-given"] == 1
    dead = a.who
    city.cut.add(a.node)  # and takes its disk with it
    lost = took(fail_over(b.map, dead, c.who))
    held = took(claim(lost, c.who, [PLACE]))
    for host in (b, c):
        host.see(held)
    settle(city)
    assert c.texts() == ["wish 1"]
    assert b.machine.counters["cell-given"] == 2


def test_two_copies_for_one_ground_are_each_given_and_answered() -> None:
    city, a, b = alone()
    a.ask(1)
    city.settle()
    b.ask(1)  # refused; B holds nothing
    first, second = ObjectCell(), ObjectCell()
    for n, cell in enumerate((first, second), 1):
        whole = ObjectCell.from_bytes(a.disk.recover()[PLACE].state)
        one = next(iter(whole))
        ((dot, entry),) = whole.entries(one).items()
        made = bytes([n]) * 16
        other = dot._replace(nth=dot.nth + n, replica=dot.replica._replace(number=9))
        cell.merge_in(ObjectCell().amended({made: {other: entry}}, ObjectCell().context))
    copies = {PLACE: first, PLACE.parent(PLACE.level - 1): second}
    dead = b.who
    restore(b, {cell: SavedCell(0, 0, state.to_bytes()) for cell, state in copies.items()})
    city.see(took(join(took(fail_over(a.map, dead, a.who)), b.as_member)))
    settle(city)
    assert len(a.texts()) == 3
    assert b.machine.counters["cell-given"] == 2
