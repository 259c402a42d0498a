"""Cities of a few nodes on virtual clocks around one store in memory: who believes to hold what, whatever goes wrong.

A `World` carries out what the machines ask, with delays, drifting clocks, pauses, crashes, lost answers and outages.
After every event it checks the one rule that all else rests on: the grounds on which nodes believe they may act, each
by its own clock and the map it has read, are disjoint.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import LocalError
from p2pworld.geometry import Cell, cell_range
from p2pworld.ids import Incarnation
from p2pworld.membership import Lease
from p2pworld.messages import Instant
from p2pworld.world.citymap import EMPTY, CityMap, Member, add_standby, genesis
from p2pworld.world.ownership import (
    Answer,
    Began,
    Ended,
    EndLease,
    LeaseEnded,
    MapNews,
    MapRead,
    News,
    Ownership,
    ProposalUnknown,
    Propose,
    Proposed,
    ReadMap,
    Register,
    Registered,
    Renew,
    Renewed,
    Request,
    StandbyProposed,
    StoreFailed,
)
from p2pworld.world.proposals import FALLOW_WAIT_S, StreamClaim, Wants

TTL_S: Final = 2.0
TICK_S: Final = 0.1
CLAIMS: Final = {
    "a": ("00", "01"),
    "b": ("02", "03"),
    "c": ("10", "11"),
    "d": ("12",),
}


def cells(*quadkeys: str) -> tuple[Cell, ...]:
    return tuple(Cell.from_quadkey(quadkey) for quadkey in quadkeys)


def key(name: str) -> bytes:
    return name.encode() * 32


class Store:
    """What a coordination store does, in the fewest lines."""

    def __init__(self) -> None:
        self.city = EMPTY
        self.numbers: Counter[bytes] = Counter()
        self.leases: dict[Incarnation, Lease] = {}

    def carry_out(self, node: bytes, request: Request) -> Answer:
        match request:
            case Register():
                self.numbers[node] += 1
                who = Incarnation(node, self.numbers[node])
                for old in list(self.leases):
                    if old.node == node and old.number <= request.ends:
                        self.end(old)
                self.leases[who] = Lease(who, 0, False)
                return Registered(who.number)
            case Renew():
                lease = self.leases[request.who]
                if lease.ended:
                    return Renewed(request.token, False)
                self.leases[request.who] = lease._replace(counter=lease.counter + 1)
                return Renewed(request.token, True)
            case ReadMap():
                known = self.city.version == request.known_version
                return MapRead(self.city.version, None if known else self.city, tuple(self.leases.values()))
            case Propose():
                return self._propose(request)
            case EndLease(who):
                if who in self.leases:
                    self.end(who)
                return LeaseEnded(who)

    def _propose(self, request: Propose) -> Proposed:
        city, victim = request.map, request.victim
        city.check()
        assert city.version > request.expected_version
        refused = Proposed(False, self.city.version)
        if self.city.version != request.expected_version:
            return refused
        if victim is not None and self.leases[victim[0]].counter != victim[1]:
            return refused
        if any(self.leases[m.who].ended for m in city.members.values() if not self.city.is_listed(m.who)):
            return refused
        if victim is not None:
            self.end(victim[0])
        self.city = city
        return Proposed(True, city.version)

    def end(self, who: Incarnation) -> None:
        self.leases[who] = self.leases[who]._replace(ended=True)


@dataclass(eq=False)
class Seat:
    """One process: its machine, its clock, and what waits for it while it is paused."""

    name: str
    machine: Ownership
    rate: float = 1.0
    offset_s: float = 0.0
    paused: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)
    news: list[tuple[float, News]] = field(default_factory=list)
    asked: list[tuple[float, Request]] = field(default_factory=list)
    proposing: bool = False  # a Propose has left and is not answered
    ticks: int = 0


@dataclass
class World:
    """The nodes, the store, and the time; `trouble` is how likely an exchange with the store goes wrong."""

    seed: int = 0
    delay_s: float = 0.02
    trouble: float = 0.0
    drift: float = 0.0
    standbys: bool = True
    now_s: float = 1000.0
    store: Store = field(default_factory=Store)
    up: bool = True
    seats: dict[str, Seat] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    # ---- what happens to nodes

    def start(
        self,
        name: str,
        *,
        ends: int = 0,
        orphans: bool = True,
        after_s: float = 0.0,
        former: str = "",
        streams: tuple[StreamClaim, ...] = (),
    ) -> Seat:
        claims, urls = cells(*CLAIMS[name]), (f"l{name}", f"p{name}", f"w{name}")
        before = frozenset({key(former)} if former else ())
        machine = Ownership(key(name), *urls, claims, TTL_S, ends, orphans, before, streams)
        seat = Seat(
            name, machine, 1 + self.random.uniform(-self.drift, self.drift), self.random.uniform(0, 9)
        )
        self.seats[name] = seat
        self.after(after_s + self.random.uniform(0, TICK_S), lambda: self._tick(seat))
        return seat

    def stop(self, name: str) -> Incarnation:
        return self.seats.pop(name).machine.who

    def pause(self, name: str, for_s: float) -> None:
        seat = self.seats[name]
        seat.paused = True

        def resume() -> None:
            seat.paused = False
            waiting, seat.waiting = seat.waiting, []
            self.random.shuffle(waiting)
            for act in waiting:
                act()

        self.after(for_s, resume)

    def outage(self, for_s: float) -> None:
        self.up = False
        self.after(for_s, lambda: setattr(self, "up", True))

    # ---- time

    def after(self, wait_s: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._events, (self.now_s + wait_s, next(self._order), act))

    def run(self, for_s: float) -> None:
        until_s = self.now_s + for_s
        while self._events and self._events[0][0] <= until_s:
            self.now_s, _, act = heapq.heappop(self._events)
            act()
            self.check()
        self.now_s = until_s
        self.check()

    def run_until(self, holds: Callable[[], bool], within_s: float) -> float:
        """How long it took until `holds`, looked at 20 times a second."""
        start_s = self.now_s
        while not holds():
            assert self.now_s - start_s < within_s, "not in time"
            self.run(0.05)
        return self.now_s - start_s

    def instant(self, seat: Seat) -> Instant:
        return Instant(seat.offset_s + self.now_s * seat.rate, 0)

    # ---- what nodes believe

    def ground(self, seat: Seat) -> tuple[Cell, ...]:
        machine = seat.machine
        return () if machine.lapsed(self.instant(seat)) else machine.city.cells_of(machine.who)

    def holding(self, name: str) -> set[Cell]:
        return set(self.ground(self.seats[name]))

    def check(self) -> None:
        held = sorted(
            (cell_range(cell), seat.name) for seat in self.seats.values() for cell in self.ground(seat)
        )
        for ((_, end), one), ((start, _), other) in itertools.pairwise(held):
            assert end <= start, f"{one} and {other} both believe they hold ground at {self.now_s}"

    def all_held(self) -> bool:
        """Whether everybody is in and un-lapsed, and together they believe to hold every cell of the map."""
        listed = all(s.machine.city.is_listed(s.machine.who) for s in self.seats.values())
        ground = [cell for seat in self.seats.values() for cell in self.ground(seat)]
        return listed and bool(ground) and len(ground) == len(self.store.city.cells)

    # ---- carrying out

    def _tick(self, seat: Seat) -> None:
        if self.seats.get(seat.name) is not seat:
            return
        self.after(TICK_S, lambda: self._tick(seat))
        if not seat.paused:
            seat.machine.tick(self.instant(seat))
            self._drain(seat)
            seat.ticks += 1
            if self.standbys and seat.ticks % 5 == 0:
                seat.machine.wants(Wants(self._standbys(seat.machine)))

    def _standbys(self, machine: Ownership) -> dict[Incarnation, frozenset[Cell]]:
        city, add = machine.city, dict[Incarnation, frozenset[Cell]]()
        others = [m.who for m in city.members.values() if m.who != machine.who]
        for cell in city.cells_of(machine.who):
            if others and not city.cells[cell].standbys:
                peer = min(others, key=lambda other: city.rank(cell, other))
                add[peer] = add.get(peer, frozenset()) | {cell}
        return add

    def _drain(self, seat: Seat) -> None:
        told = seat.machine.take_news()
        seat.news += [(self.now_s, news) for news in told]
        for request in seat.machine.take_requests():
            seat.asked.append((self.now_s, request))
            if isinstance(request, Propose):
                assert not seat.proposing, "two proposals at a time"
                assert not seat.machine.lapsed(self.instant(seat)), "proposed while lapsed"
                seat.proposing = True
                self._check_standbys_told(seat.machine.city, request.map, told)
            self.after(self._delay_s(), lambda request=request: self._reach(seat, request))  # type: ignore[misc]

    def _check_standbys_told(self, old: CityMap, new: CityMap, told: tuple[News, ...]) -> None:
        listed = {(s, c) for c, h in new.cells.items() if c in old.cells for s in h.standbys}
        before = {(s, c) for c, h in old.cells.items() for s in h.standbys}
        assert listed - before == {
            (n.peer, c) for n in told if isinstance(n, StandbyProposed) for c in n.cells
        }

    def _delay_s(self) -> float:
        if self.random.random() < self.trouble:
            return self.random.uniform(0, 2 * TTL_S)
        return self.random.uniform(0, 2 * self.delay_s)

    def _reach(self, seat: Seat, request: Request) -> None:
        """The request arrives at the store, or not; the answer sets off, or is lost on the way."""
        arrives, returns = (self.random.random() >= self.trouble for _ in "01")
        answer: Answer = StoreFailed(request, "down")
        if self.up and arrives:
            answer = self.store.carry_out(key(seat.name), request)
        if not returns:  # a renewal counted, a number spent, a read in vain, a proposal accepted: or not
            answer = ProposalUnknown() if isinstance(request, Propose) else StoreFailed(request, "lost")
        self.after(self._delay_s(), lambda: self._answered(seat, request, answer))

    def _answered(self, seat: Seat, request: Request, answer: Answer) -> None:
        if self.seats.get(seat.name) is not seat:
            return
        if seat.paused:
            seat.waiting.append(lambda: self._answered(seat, request, answer))
            return
        if isinstance(request, Propose):
            seat.proposing = False
        seat.machine.step(answer, self.instant(seat))
        self._drain(seat)


def city_of(names: str, **options: float) -> World:
    """A city in which everybody has joined, holds its claims and has standbys."""
    world = World(**options)  # type: ignore[arg-type]
    for name in names:
        world.start(name)
    world.run(FALLOW_WAIT_S + 6.0)
    assert world.all_held()
    return world


def times(seat: Seat, kind: type[News] | type[Request]) -> list[float]:
    return [at_s for at_s, thing in (*seat.news, *seat.asked) if isinstance(thing, kind)]


# ---- the life of a city


@pytest.mark.parametrize("seed", range(5))
def test_of_four_founders_one_wins_and_everybody_gets_what_it_claims(seed: int) -> None:
    world = World(seed, standbys=False)
    for name in "abcd":
        world.start(name)
    world.run(1.0)
    for name in "abcd":
        assert world.holding(name) == set(cells(*CLAIMS[name]))
    assert world.run_until(world.all_held, FALLOW_WAIT_S + 3.0) > FALLOW_WAIT_S - 1.0
    world.store.city.check()
    assert world.store.city.members.keys() == {key(name) for name in "abcd"}
    assert not world.store.city.unheld()


def test_a_node_without_claims_that_takes_no_orphans_founds_nothing() -> None:
    world = World()
    seat = world.start("a", orphans=False)
    seat.machine._proposals._claims = ()
    world.run(FALLOW_WAIT_S + 3.0)
    assert world.store.city == EMPTY
    assert not times(seat, Propose)
    world.start("b", orphans=False)
    world.run(2.0)
    assert world.holding("b") == set(cells(*CLAIMS["b"]))
    assert seat.machine.city.is_listed(seat.machine.who)
    assert world.holding("a") == set()


def test_everybody_learns_of_every_map_in_order_and_of_its_own_beginning_first() -> None:
    world = city_of("abc")
    for seat in world.seats.values():
        assert isinstance(seat.news[0][1], Began)
        maps = [news for _, news in seat.news if isinstance(news, MapNews)]
        assert maps[0].old == EMPTY
        assert all(one.new == other.old for one, other in itertools.pairwise(maps))
        assert maps[-1].new == world.store.city == seat.machine.city
        assert not any(news.ended for news in maps)


def test_with_nothing_to_do_it_renews_each_quarter_and_reads_each_quarter_second_and_no_more() -> None:
    world = city_of("ab")
    seat = world.seats["a"]
    seat.asked.clear()
    world.run(10.0)
    assert 16 <= len(times(seat, Renew)) <= 20
    assert 30 <= len(times(seat, ReadMap)) <= 40
    assert len(seat.asked) == len(times(seat, Renew)) + len(times(seat, ReadMap))


def test_a_hint_of_a_newer_map_is_read_at_the_next_tick_once() -> None:
    world = city_of("a")
    seat = world.seats["a"]
    machine, at = seat.machine, world.instant(seat)
    while not any(isinstance(request, ReadMap) for _, request in seat.asked[-1:]):
        world.run(0.05)
    world.run(0.06)
    seat.asked.clear()
    at = world.instant(seat)
    machine.hint(machine.city.version)
    machine.tick(at)
    assert not machine.take_requests()
    machine.hint(machine.city.version + 1)
    machine.tick(at)
    assert machine.take_requests() == (ReadMap(machine.city.version),)
    machine.tick(at)
    assert not machine.take_requests()


# ---- failing and coming back


@pytest.mark.parametrize("seed", range(5))
def test_a_standby_holds_the_cells_of_a_node_that_stopped(seed: int) -> None:
    world = city_of("abc", seed=seed)
    lost = world.holding("a")
    heirs = {cell: world.store.city.cells[cell].standbys[0] for cell in lost}
    gone = world.stop("a")
    took_s = world.run_until(lambda: lost <= world.holding("b") | world.holding("c"), 6.0)
    assert took_s < 1.2 * TTL_S + 1.0
    assert {cell: world.store.city.holder_of(cell) for cell in lost} == heirs
    world.run(3.0)
    ended = [n.ended for s in world.seats.values() for _, n in s.news if isinstance(n, MapNews) and n.ended]
    assert ended == [{gone}, {gone}]
    assert all(holding.standbys for holding in world.store.city.cells.values())


def test_an_orderly_end_is_followed_at_once() -> None:
    world = city_of("ab")
    lost, leaver = world.holding("a"), world.seats["a"]
    leaver.machine.leave(world.instant(leaver))
    assert leaver.machine.lapsed(world.instant(leaver))
    assert world.holding("a") == set()
    asked = len(leaver.asked)
    world.run(0.3)
    world.store.end(leaver.machine.who)
    assert world.run_until(lambda: lost <= world.holding("b"), 2.0) < 0.6
    assert len(leaver.asked) == asked


def test_whoever_steps_back_is_replaced_at_once_and_takes_no_ground_until_it_hears_somebody() -> None:
    world = city_of("ab")
    lost, seat = world.holding("a"), world.seats["a"]
    before = seat.machine.who
    seat.machine.step_back()
    assert world.holding("a") == set()
    assert world.run_until(lambda: lost <= world.holding("b"), 2.0) < 1.0
    assert world.store.leases[before].ended
    held = world.stop("b")
    world.run(1.2 * TTL_S + 20.0)
    assert world.store.city.is_listed(seat.machine.who)  # it is there to be linked with
    assert world.store.city.holder_of(next(iter(lost))) == held  # and clears nobody's ground
    seat.machine.heard()
    world.run_until(lambda: world.all_held(), 10.0)


def test_ground_without_a_standby_is_cleared_by_order_and_taken_by_rank() -> None:
    world = city_of("abc", standbys=False)
    lost = world.holding("a")
    gone = world.stop("a")
    world.run_until(lambda: not world.store.city.is_listed(gone), 1.2 * TTL_S + 2.0 + 1.0)
    assert all(world.store.city.cells[c].lost is not None for c in lost)
    cleared_s, city = world.now_s, world.store.city
    first_s = 2.0 + 0.5 * min(city.rank(c, s.machine.who) for c in lost for s in world.seats.values())
    took_s = world.run_until(lambda: not world.store.city.unheld(), 6.0)
    assert took_s > first_s - 0.2
    proposals = [at for s in world.seats.values() for at in times(s, Propose) if at > cleared_s]
    assert len(proposals) <= 3  # grouped: not one for each cell
    world.run(0.5)
    assert world.all_held()


@pytest.mark.parametrize("dead_too", [False, True])
def test_of_two_standbys_the_first_takes_over_and_the_second_only_if_it_must(dead_too: bool) -> None:
    world = city_of("abcd")
    city, holder = world.store.city, world.seats["a"].machine.who
    for cell in city.cells_of(holder):
        for other in (world.seats["b"].machine.who, world.seats["c"].machine.who):
            if other not in city.cells[cell].standbys:
                step = add_standby(city, [cell], holder, other)
                assert isinstance(step, CityMap)
                city = step
    world.store.city = city
    world.run(1.0)
    lost = world.holding("a")
    world.stop("a")
    ranks = {c: [s for s in city.cells[c].standbys if s.node != key("a")] for c in lost}
    if dead_too:
        world.stop("b")
        ranks = {c: [s for s in standbys if s.node != key("b")] for c, standbys in ranks.items()}
    start_s = world.now_s
    world.run_until(lambda: all(world.store.city.holder_of(c) == ranks[c][0] for c in lost), 6.0)
    assert world.now_s - start_s < 1.2 * TTL_S + 1.5
    # a third, who guards nothing of it, stands back
    heirs = {s for standbys in ranks.values() for s in standbys}
    for seat in world.seats.values():
        if seat.machine.who not in heirs:
            asked = [request for _, request in seat.asked if isinstance(request, Propose)]
            assert not [request for request in asked if request.victim and request.victim[0] == holder]


@pytest.mark.parametrize("pause_s", [3.0, 10.0])
def test_a_node_paused_beyond_its_lease_begins_anew_and_holds_only_what_it_gets_again(pause_s: float) -> None:
    world = city_of("abc")
    seat, before = world.seats["a"], world.seats["a"].machine.who
    lost = world.holding("a")
    seat.news.clear()
    world.pause("a", pause_s)
    world.run(pause_s - 0.01)
    assert seat.machine.lapsed(world.instant(seat))
    assert world.store.leases[before].ended
    world.run(2.0)
    kinds = [type(news) for _, news in seat.news]
    assert kinds.index(Ended) < kinds.index(Began)
    who = seat.machine.who
    assert who.number == before.number + 1
    assert world.store.city.is_listed(who)
    assert not world.holding("a") & lost
    assert seat.machine.counters["incarnations-ended"] == 1
    others = [s for name, s in world.seats.items() if name != "a"]
    assert not any(times(s, Ended) for s in others)


def test_a_pause_that_nobody_used_ends_with_the_next_renewal() -> None:
    world = city_of("a")
    seat, before, lost = world.seats["a"], world.seats["a"].machine.who, world.holding("a")
    world.pause("a", 10.0)
    world.run(9.9)
    assert world.holding("a") == set()
    world.run(1.0)
    assert seat.machine.who == before
    assert world.holding("a") == lost


def test_in_an_outage_of_the_store_all_lapse_nobody_is_failed_over_and_all_recover() -> None:
    world = city_of("abcd")
    city, who = world.store.city, {n: s.machine.who for n, s in world.seats.items()}
    for seat in world.seats.values():
        seat.asked.clear()
    world.outage(10.0)
    world.run(3.0)
    assert not any(world.holding(name) for name in "abcd")
    world.run(7.0)
    for seat in world.seats.values():  # it asks seldom
        assert len(times(seat, ReadMap)) < 15
        assert len(times(seat, Renew)) <= 21
    assert world.run_until(world.all_held, 3.0) < 1.5
    world.run(5.0)
    assert world.store.city == city
    assert {n: s.machine.who for n, s in world.seats.items()} == who


@pytest.mark.parametrize("proven", [True, False])
def test_a_restarted_node_waits_for_its_standbys_and_continues_nothing(proven: bool) -> None:
    world = city_of("abc")
    lost, old = world.holding("a"), world.stop("a")
    world.run(0.5)
    seat = world.start("a", ends=old.number if proven else 0)
    took_s = world.run_until(lambda: seat.machine.city.is_listed(seat.machine.who), 6.0)
    assert took_s < 1.5 if proven else 1.0 < took_s < 1.2 * TTL_S + 1.5
    assert lost <= world.holding("b") | world.holding("c")
    world.run(3.0)
    assert world.holding("a") == set()


def test_a_restarted_node_without_standbys_takes_its_ground_back_at_once_under_a_new_epoch() -> None:
    world = city_of("ab", standbys=False)
    lost, before = world.holding("a"), world.store.city
    old = world.stop("a")
    seat = world.start("a", ends=old.number)
    world.run_until(lambda: world.holding("a") == lost, 1.0)
    assert seat.machine.who.number == old.number + 1
    assert all(world.store.city.cells[c].epoch > before.stamp for c in lost)
    assert len(times(seat, Propose)) == 1


def test_a_city_that_died_whole_comes_back_and_all_ground_with_one_who_had_its_copy() -> None:
    world = city_of("abc")
    copies = {
        cell: {who.node for who in (holding.holder, *holding.standbys) if who is not None}
        for cell, holding in world.store.city.cells.items()
    }
    old = {name: world.stop(name) for name in "abc"}
    world.run(60.0)
    for name in "abc":
        world.start(name, ends=old[name].number)
    world.run(10.0)
    assert world.all_held()
    for cell, holding in world.store.city.cells.items():
        assert holding.holder is not None
        assert holding.holder.node in copies[cell]


# ---- who may not take part


def shun(world: World, name: str, within_s: float) -> Incarnation:
    """Everybody but the node itself hears that it may not take part, one by one."""
    for other, seat in world.seats.items():
        if other != name:
            wait_s = world.random.uniform(0, within_s)
            world.after(wait_s, lambda seat=seat: seat.machine.shun(frozenset({key(name)})))  # type: ignore[misc]
    return world.seats[name].machine.who


@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_a_node_that_may_not_take_part_loses_its_lease_and_later_its_ground(seed: int, paused: bool) -> None:
    world = city_of("abc", seed=seed, drift=0.05)
    lost = world.holding("a")
    if paused:
        world.pause("a", 60.0)  # it believes in its lease, and hears nothing
    who = shun(world, "a", 0.5)
    world.run_until(lambda: world.store.leases[who].ended, 1.2 * TTL_S + 1.0 if paused else 2.0)
    took_s = world.run_until(lambda: lost <= world.holding("b") | world.holding("c"), 5.0)
    assert took_s < 1.2 * TTL_S * 1.06 + 1.0
    assert not world.store.city.is_listed(who)
    assert not lost & world.holding("a")


def test_a_node_that_leaves_by_itself_when_it_hears_that_is_followed_as_soon() -> None:
    world = city_of("ab")
    lost, leaver = world.holding("a"), world.seats["a"]
    shun(world, "a", 0.0)
    leaver.machine.leave(world.instant(leaver))
    world.run(0.3)
    world.store.end(leaver.machine.who)
    world.run_until(lambda: lost <= world.holding("b"), 1.2 * TTL_S + 1.0)
    assert not times(world.seats["b"], EndLease)


def test_it_comes_back_in_vain_again_and_again_and_inherits_nothing() -> None:
    world = city_of("abcd")
    shun(world, "a", 0.1)
    world.run(40.0)
    asked = [one for name in "bcd" for _, one in world.seats[name].asked]
    ended = [request.who for request in asked if isinstance(request, EndLease)]
    assert len(set(ended)) > 2
    assert len(ended) < 3 * 40 / 0.75
    lost = world.holding("b")
    world.stop("b")
    world.run(8.0)
    assert lost <= world.holding("c") | world.holding("d")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from("abcd"), st.floats(0, 0.5))
def test_whoever_may_not_take_part_never_holds_ground_together_with_another(
    seed: int, name: str, within_s: float
) -> None:
    """`World.check` after every event, under late answers, drifting clocks and pauses."""
    world = city_of("abcd", seed=seed, drift=0.05)
    world.trouble = 0.05
    if seed % 2:
        world.pause(name, world.random.uniform(0.1, 6.0))
    shun(world, name, within_s)
    world.run(20.0)
    world.trouble = 0.0
    world.stop(name)
    world.run(20.0)
    assert world.all_held()


def test_a_node_under_its_next_key_takes_the_ground_it_lost_under_the_one_before() -> None:
    world = city_of("ab", standbys=False)
    lost = world.holding("a")
    gone = world.stop("a")
    world.store.end(gone)
    world.start("c", former="a", orphans=False)
    world.start("d", orphans=False)
    world.run_until(lambda: lost <= world.holding("c"), 4.0)
    assert not world.store.city.is_listed(gone)


def test_two_processes_of_one_key_are_never_both_in_the_city() -> None:
    world = city_of("ab", standbys=False)
    first = world.seats.pop("a")
    second = world.start("a")  # without proof that the first is dead
    world.seats["a, too"], first.name = first, "a, too"
    world.store.numbers[key("a, too")] = 0
    for _ in range(40):  # the first lives on: it renews
        world.store.leases[first.machine.who] = world.store.leases[first.machine.who]._replace(
            counter=world.store.leases[first.machine.who].counter + 1
        )
        world.run(0.25)
        assert not second.machine.city.is_listed(second.machine.who)
    assert world.store.city.is_listed(first.machine.who)


# ---- single answers


def alone(ends: int = 0) -> Ownership:
    return Ownership(key("a"), "l", "p", "w", cells("00"), TTL_S, ends, True)


def at(boot_s: float) -> Instant:
    return Instant(boot_s, 0)


def founded() -> tuple[Ownership, CityMap]:
    """A machine whose first proposal has just left, at 100.2."""
    machine = alone()
    machine.tick(at(100.0))
    assert machine.take_requests() == (Register("l", "p", "w", TTL_S, 0),)
    machine.step(Registered(1), at(100.1))
    assert machine.take_requests() == (ReadMap(0),)
    machine.step(MapRead(0, None, (Lease(Incarnation(key("a"), 1), 0, False),)), at(100.2))
    (proposal,) = machine.take_requests()
    city = genesis({Member(key("a"), 1, "l", "p", "w"): cells("00")})
    assert isinstance(city, CityMap)
    assert proposal == Propose(city, 0, None)
    return machine, city


def test_the_deadline_counts_from_before_the_request_was_sent() -> None:
    machine = alone()
    assert machine.lapsed(at(0.0))
    machine.tick(at(100.0))
    assert machine.lapsed(at(100.0))
    machine.step(Registered(1), at(100.9))
    assert machine.deadline_s == 102.0
    assert not machine.lapsed(at(101.999))
    assert machine.lapsed(at(102.0))
    renew = next(r for r in machine.take_requests() if isinstance(r, Renew))
    machine.step(Renewed(renew.token, True), at(102.5))
    assert machine.deadline_s == 100.9 + TTL_S


def test_an_accepted_proposal_is_as_good_as_read() -> None:
    machine, city = founded()
    machine.take_news()
    machine.step(Proposed(True, 1), at(100.3))
    assert machine.city == city
    assert machine.take_news() == (MapNews(EMPTY, city, frozenset()),)


@pytest.mark.parametrize("answer", [ProposalUnknown(), Proposed(False, 0)])
def test_after_a_proposal_that_failed_or_is_unknown_comes_a_read_and_nothing_before(answer: Answer) -> None:
    machine, city = founded()
    machine.step(answer, at(100.3))
    assert machine.city == EMPTY
    assert machine.take_requests() == (ReadMap(0),)
    for tick in range(40):
        machine.tick(at(100.4 + tick / 100))
        assert not [r for r in machine.take_requests() if isinstance(r, Propose | ReadMap)]
    machine.step(MapRead(1, city, (Lease(machine.who, 0, False),)), at(100.9))
    assert machine.city == city
    assert not [r for r in machine.take_requests() if isinstance(r, Propose)]


def test_a_proposal_refused_on_an_unchanged_map_is_not_repeated_at_once() -> None:
    machine, _ = founded()
    now_s, proposals = 100.3, 0
    machine.step(Proposed(False, 0), at(now_s))
    while now_s < 101.3:
        now_s += 0.01
        for request in machine.take_requests():
            match request:
                case ReadMap():
                    machine.step(MapRead(0, None, (Lease(machine.who, 0, False),)), at(now_s))
                case Propose():
                    proposals += 1
                    machine.step(Proposed(False, 0), at(now_s))
                case Renew():
                    machine.step(Renewed(request.token, True), at(now_s))
        machine.tick(at(now_s))
    assert 2 <= proposals <= 4


def test_a_store_that_fails_is_asked_ever_more_seldom_and_the_failures_are_counted() -> None:
    machine, asked_s = alone(), []
    for tick in range(60):
        machine.tick(at(100 + tick / 10))
        for request in machine.take_requests():
            asked_s.append(tick / 10)
            machine.step(StoreFailed(request, "io"), at(100 + tick / 10))
    waits = [round(b - a, 1) for a, b in itertools.pairwise(asked_s)]
    assert waits[:2] == [0.3, 0.5]
    assert set(waits[2:]) <= {1.0, 1.1}
    assert machine.counters["store-io"] == len(asked_s)


def test_answers_nobody_waits_for_are_counted_and_change_nothing() -> None:
    machine, city = founded()
    strays: list[Answer] = [
        Registered(9), Renewed(77, False), MapRead(1, city, ()), StoreFailed(ReadMap(0), "io"),
    ]  # fmt: skip
    for stray in strays:
        machine.step(stray, at(100.3))
    assert machine.counters["store-unasked"] == 4
    assert (machine.who.number, machine.city) == (1, EMPTY)
    assert not machine.take_requests()


def test_a_map_older_than_the_one_read_is_not_followed() -> None:
    machine, city = founded()
    machine.step(Proposed(True, 1), at(100.3))
    machine.take_requests()
    machine.tick(at(100.6))
    assert ReadMap(1) in machine.take_requests()
    machine.take_news()
    machine.step(MapRead(0, EMPTY, ()), at(100.7))
    assert machine.city == city
    assert machine.counters["map-went-back"] == 1
    # the store may give to others what it has forgotten to have given to this incarnation
    assert machine.take_news() == (Ended(),)
    assert machine.lapsed(at(100.7))
    machine.tick(at(101.0))
    assert any(isinstance(request, Register) for request in machine.take_requests())
    machine.step(Registered(2), at(101.0))
    machine.take_news()
    machine.take_requests()
    machine.step(MapRead(0, EMPTY, ()), at(101.3))
    assert machine.who.number == 2  # the new one holds nothing to give up, and proposes nothing
    machine.tick(at(102.0))
    assert not any(isinstance(request, Propose) for request in machine.take_requests())
    assert not machine.take_requests()


def test_an_incarnation_that_was_taken_off_the_map_is_over_and_its_number_is_given_back_as_proof() -> None:
    for proof, ends in ((0, 0), (5, 6)):
        machine = alone(proof)
        machine.tick(at(100.0))
        machine.step(Registered(6), at(100.0))
        machine.step(MapRead(0, None, ()), at(100.0))
        machine.step(Proposed(True, 1), at(100.0))
        machine.take_news()
        machine.take_requests()
        machine.tick(at(100.3))
        other = genesis({Member(key("b"), 1, "l", "p", "w"): cells("00")}, generation=1)
        assert isinstance(other, CityMap)
        old = machine.city
        newer = CityMap(2, 1, other.members, other.cells, {})
        machine.step(MapRead(2, newer, ()), at(100.3))
        gone = Incarnation(key("a"), 6)
        assert machine.take_news() == (Ended(), MapNews(old, newer, frozenset({gone})))
        assert machine.who == Incarnation(key("a"), 0)
        assert machine.lapsed(at(100.3))
        assert Register("l", "p", "w", TTL_S, ends) in machine.take_requests()


def turn(
    me: str, standbys: str, silent: str = "b", renewal_fails_s: float = math.inf
) -> tuple[float, Propose]:
    """When, after `b` stopped renewing at 100.0, this member proposes to take it off the map, and how.

    The members are a, b, c and d; b holds a cell with these standbys. The `silent` renew no more.
    """
    members = {name: Member(key(name), 1, "l", "p", "w") for name in "abcd"}
    founded = genesis({member: cells("0") if name == "b" else () for name, member in members.items()})
    assert isinstance(founded, CityMap)
    for standby in standbys:
        step = add_standby(founded, cells("0"), members["b"].who, members[standby].who)
        assert isinstance(step, CityMap)
        founded = step
    machine = Ownership(key(me), "l", "p", "w", (), TTL_S, 0, False)
    for tick in range(200):
        now_s = 100 + tick / 20
        machine.tick(at(now_s))
        for request in machine.take_requests():
            match request:
                case Register():
                    machine.step(Registered(1), at(now_s))
                case Renew():
                    failed = renewal_fails_s <= now_s < renewal_fails_s + TTL_S / 4
                    machine.step(
                        StoreFailed(request, "io") if failed else Renewed(request.token, True), at(now_s)
                    )
                case ReadMap():
                    known = request.known_version == founded.version
                    leases = [
                        Lease(m.who, 0 if name in silent else tick, False) for name, m in members.items()
                    ]
                    machine.step(
                        MapRead(founded.version, None if known else founded, tuple(leases)), at(now_s)
                    )
                case Propose():
                    return now_s - 100, request
    raise AssertionError("it never proposed")


@pytest.mark.parametrize(
    ("me", "standbys", "silent", "wait_s"),
    [
        ("a", "ac", "b", 0.0),
        ("a", "ca", "b", 0.5),
        ("a", "cda", "b", 1.0),
        ("a", "cda", "bc", 0.5),  # one that is dead itself has no turn
        ("a", "cd", "b", 2.0),
        ("d", "ca", "b", 3.0),
        ("d", "", "b", 3.0),
        ("d", "", "ba", 2.5),
    ],
)
def test_each_takes_over_from_the_dead_in_its_turn(
    me: str, standbys: str, silent: str, wait_s: float
) -> None:
    took_s, proposal = turn(me, standbys, silent)
    assert 1.2 * TTL_S + wait_s <= took_s < 1.2 * TTL_S + wait_s + 0.3
    assert proposal.victim is not None
    assert proposal.victim[1] == 0
    if proposal.victim[0].node == key("b"):
        heirs = [name for name in standbys if name not in silent]
        holder = proposal.map.holder_of(*cells("0"))
        assert holder == (Incarnation(key(heirs[0]), 1) if heirs else None)


def test_one_whose_own_renewal_fails_gives_everybody_their_full_time_again() -> None:
    assert turn("a", "a")[0] < 1.2 * TTL_S + 0.3
    failed_s = 100 + TTL_S / 2
    assert turn("a", "a", renewal_fails_s=failed_s)[0] >= 1.2 * TTL_S + TTL_S / 2


def test_a_lease_that_the_store_has_ended_is_over_however_it_is_learned() -> None:
    machine, _ = founded()
    machine.tick(at(100.6))
    renew = next(request for request in machine.take_requests() if isinstance(request, Renew))
    machine.step(Renewed(renew.token, False), at(100.7))
    assert machine.lapsed(at(100.7))
    assert machine.take_news() == (Began(Incarnation(key("a"), 1)), Ended())
    machine, _ = founded()
    machine.step(Proposed(False, 0), at(100.3))
    machine.step(MapRead(0, None, (Lease(machine.who, 0, True),)), at(100.4))
    assert machine.lapsed(at(100.4))
    assert machine.take_news() == (Began(Incarnation(key("a"), 1)), Ended())
    assert Register("l", "p", "w", TTL_S, 0) in machine.take_requests()


def test_wanted_standbys_are_announced_then_proposed_together_and_dropped_again() -> None:
    world = city_of("abc", standbys=False)
    seat = world.seats["a"]
    me, (b, c) = seat.machine.who, (world.seats[name].machine.who for name in "bc")
    mine = sorted(world.holding("a"))
    stranger = Incarnation(key("z"), 1)
    foreign = next(iter(world.holding("b")))
    wanted = {
        b: frozenset([mine[0], foreign]),
        c: frozenset(mine[:2]),
        stranger: frozenset(mine),
        me: frozenset(mine),
    }
    seat.machine.wants(Wants(wanted, {c: frozenset(mine)}))
    assert not seat.machine.take_news()
    assert not seat.machine.take_requests()
    world.run(1.0)
    told = [news for _, news in seat.news if isinstance(news, StandbyProposed)]
    assert told == [StandbyProposed(b, frozenset(mine[:1]))]  # what is to be dropped is not added
    seat.machine.wants(Wants({c: frozenset(mine[1:]), b: frozenset(mine[1:])}))
    version = world.store.city.version
    asked = len(times(seat, Propose))
    world.run(1.0)
    told = [news for _, news in seat.news if isinstance(news, StandbyProposed)]
    assert {(news.peer, *news.cells) for news in told[1:]} == {(b, *mine[1:]), (c, *mine[1:])}
    assert world.store.city.version == version + 2
    assert len(times(seat, Propose)) == asked + 1
    seat.machine.wants(Wants({}, {c: frozenset(mine)}))
    world.run(1.0)
    assert world.store.city.cells[mine[0]].standbys == (b,)
    assert world.store.city.cells[mine[1]].standbys == (b,)


def test_claims_that_overlap_are_refused() -> None:
    with pytest.raises(LocalError, match="overlap"):
        Ownership(key("a"), "l", "p", "w", cells("0", "1", "01"), TTL_S, 0, True)


def test_the_status_is_plain_and_tells_who_is_believed_dead() -> None:
    world = city_of("ab")
    seat, gone = world.seats["a"], world.stop("b")
    status = seat.machine.status(world.instant(seat))
    assert status["listed"] is True
    assert status["believed_dead"] == []
    world.run_until(lambda: not world.store.city.is_listed(gone), 4.0)
    assert seat.machine.counters["proposals-accepted"] >= 2


# ---- whatever goes wrong

FAULT = st.tuples(
    st.floats(0.0, 3.0),
    st.sampled_from(["pause", "stop", "stop", "outage", "trouble"]),
    st.sampled_from("abcd"),
    st.floats(0.1, 3 * TTL_S),
)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    drift=st.sampled_from([0.0, 0.05]),
    delay_s=st.sampled_from([0.0, 0.02, 0.2]),
    faults=st.lists(FAULT, max_size=8),
)
def test_no_two_nodes_ever_act_on_the_same_ground_and_all_is_well_after_the_last_fault(
    seed: int, drift: float, delay_s: float, faults: list[tuple[float, str, str, float]]
) -> None:
    world = World(seed, delay_s, drift=drift)
    for name in "abcd":
        world.start(name, after_s=world.random.uniform(0, 2))
    for wait_s, fault, name, for_s in faults:
        world.run(wait_s)
        match fault:
            case "pause" if name in world.seats and not world.seats[name].paused:
                world.pause(name, for_s)
            case "stop" if name in world.seats:
                ends = world.stop(name).number if world.random.random() < 0.5 else 0
                world.start(name, ends=ends, after_s=for_s)
            case "outage" if world.up:
                world.outage(for_s)
            case "trouble":
                world.trouble = 0.0 if world.trouble else 0.2
    world.trouble = 0.0
    world.run_until(lambda: world.all_held() and not any(s.paused for s in world.seats.values()), 40.0)
    world.store.city.check()
