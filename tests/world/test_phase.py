"""Nodes without a common clock come to tick together, on every connected graph, and stay so.

The world here is a heap of ticks and messages: each node has a boot clock of its own that runs a little fast or slow,
each direction of each link its own latency with jitter on top. What is asserted follows from what a round trip can
tell: a hop errs by half of the difference of the two directions' latencies, and by the noise that is left alone.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.ids import Incarnation
from p2pworld.messages import Phase
from p2pworld.world.phase import CityClock

TICK_MS = 100
PPM = 100e-6


@dataclass
class Node:
    clock: CityClock
    boot_s: float
    rate: float
    who: Incarnation
    peers: list[int]
    watched: bool = True
    due_s: float = 0.0
    dead: bool = False
    furthest_s: float = 0.0  # the most its distance changed in one tick

    def now_s(self, time_s: float) -> float:
        return self.boot_s + time_s * self.rate

    def city_s(self, time_s: float) -> float:
        return self.now_s(time_s) + self.clock.ahead_s


class City:
    """Some nodes on a graph; `edges` are pairs with the latencies of both directions in ms."""

    def __init__(
        self,
        count_: int,
        edges: list[tuple[int, int, float, float]],
        seed: int,
        apart_s: float = 0.0,
        boots_s: tuple[float, ...] = (),
    ) -> None:
        self.rng = random.Random(seed)
        self.edges: dict[tuple[int, int], float] = {}
        self.nodes = []
        keys = self.rng.sample(range(1, 256), count_)
        for number in range(count_):
            boot_s = boots_s[number] if boots_s else self.rng.uniform(10.0, apart_s)
            who = Incarnation(bytes([keys[number]]) * 32, self.rng.randint(1, 5))
            clock = CityClock(boot_s)
            clock.begin(who)
            rate = 1.0 if boots_s else 1.0 + self.rng.uniform(-PPM, PPM)
            self.nodes.append(Node(clock, boot_s, rate, who, []))
        for one, other, there_ms, back_ms in edges:
            self.edges[one, other], self.edges[other, one] = there_ms / 1000, back_ms / 1000
            self.nodes[one].peers.append(other)
            self.nodes[other].peers.append(one)
        self.order = count()
        self.heap: list[tuple[float, int, Any]] = []
        self.time_s = 0.0
        for number, node in enumerate(self.nodes):
            node.due_s, _ = node.clock.next_tick(node.boot_s, node.boot_s, TICK_MS)
            self._at((node.due_s - node.boot_s) / node.rate, number)

    def run(self, seconds: float) -> None:
        until_s = self.time_s + seconds
        while self.heap[0][0] <= until_s:
            self.time_s, _, what = heapq.heappop(self.heap)
            if isinstance(what, int):
                self._tick(what)
            else:
                source, target, word = what
                node = self.nodes[target]
                if not node.dead and not self.nodes[source].dead:
                    node.clock.heard(self.nodes[source].who, word, node.now_s(self.time_s))
        self.time_s = until_s

    def _at(self, time_s: float, what: Any) -> None:
        heapq.heappush(self.heap, (time_s, next(self.order), what))

    def _tick(self, number: int) -> None:
        node = self.nodes[number]
        if node.dead:
            return
        now_s = node.now_s(self.time_s)
        was_s = node.clock.ahead_s
        node.clock.tick(now_s, TICK_MS, watched=node.watched)
        node.furthest_s = max(node.furthest_s, abs(node.clock.ahead_s - was_s))
        by_name = {self.nodes[peer].who: peer for peer in node.peers if not self.nodes[peer].dead}
        for name, word in node.clock.tell(by_name, now_s):
            assert 0 <= word.t_us < 2**53
            target = by_name[name]
            delay_s = self.edges[number, target] + self.rng.expovariate(1 / 0.001)
            self._at(self.time_s + delay_s, (number, target, word))
        node.due_s, missed = node.clock.next_tick(node.due_s, now_s, TICK_MS)
        assert missed == 0
        self._at(self.time_s + (node.due_s - now_s) / node.rate, number)

    def kill(self, number: int) -> None:
        self.nodes[number].dead = True
        for node in self.nodes:
            node.clock.lost(self.nodes[number].who)

    def living(self) -> list[Node]:
        return [node for node in self.nodes if not node.dead]

    def root(self) -> Node:
        return min(self.living(), key=lambda node: node.who)

    def apart_ms(self) -> float:
        """How far the ticks of any node are from the root's, as phases."""
        root_s = self.root().city_s(self.time_s)
        gaps = []
        for node in self.living():
            gap_s = node.city_s(self.time_s) - root_s
            gaps.append(abs(gap_s - TICK_MS / 1000 * round(gap_s / (TICK_MS / 1000))))
        return 1000 * max(gaps)

    def bound_ms(self) -> float:
        """The most that the graph allows: half of the asymmetry, and noise, for each hop of the longest way."""
        uneven_ms = max(abs(s - self.edges[b, a]) for (a, b), s in self.edges.items()) * 1000
        return self.depth() * (uneven_ms / 2 + 2.5) + 1.0

    def depth(self) -> int:
        start = self.nodes.index(self.root())
        seen, edge, hops = {start}, [start], 0
        while True:
            edge = [p for n in edge for p in self.nodes[n].peers if p not in seen and not self.nodes[p].dead]
            if not edge:
                return hops
            seen |= set(edge)
            hops += 1


@st.composite
def graphs(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, float, float]]]:
    """A connected graph: a random tree and some more edges, each with two latencies of up to 8 ms."""
    nodes = draw(st.integers(2, 8))
    latency = st.floats(0.1, 8.0)
    pairs = {(draw(st.integers(0, number - 1)), number) for number in range(1, nodes)}
    if nodes > 2:
        pairs |= draw(
            st.sets(
                st.tuples(st.integers(0, nodes - 1), st.integers(0, nodes - 1)).filter(lambda p: p[0] < p[1]),
                max_size=nodes,
            )
        )
    return nodes, [(a, b, draw(latency), draw(latency)) for a, b in sorted(pairs)]


@settings(max_examples=25, deadline=None)
@given(graphs(), st.integers(0, 1_000), st.booleans())
def test_every_connected_graph_settles_on_one_phase(
    graph: tuple[int, list[tuple[int, int, float, float]]], seed: int, watched: bool
) -> None:
    nodes, edges = graph
    city = City(nodes, edges, seed, apart_s=100_000.0)
    for node in city.nodes:
        node.watched = watched
    city.run(12.0 + 9.0 * city.depth())
    assert city.apart_ms() < city.bound_ms()
    began_s, rate = city.root().clock.ahead_s, city.root().rate
    at_s, ahead = city.time_s, [node.city_s(city.time_s) for node in city.nodes]
    for _ in range(10):
        city.run(6.0)
        assert city.apart_ms() < city.bound_ms()
    assert city.root().clock.ahead_s == began_s  # nobody pushes the root, so nobody runs away
    for node, then_s in zip(city.nodes, ahead, strict=True):
        gone_s = node.city_s(city.time_s) - then_s
        assert abs(gone_s - rate * (city.time_s - at_s)) < 2 * city.bound_ms() / 1000
        if watched:
            assert node.furthest_s <= TICK_MS / 1000 / 100 + 1e-9


RINGS = [(size, [(n, (n + 1) % size, 0.5, 0.5) for n in range(size)]) for size in (5, 9)]


@pytest.mark.parametrize(("size", "edges"), RINGS)
def test_a_ring_in_a_wave_settles(size: int, edges: list[tuple[int, int, float, float]]) -> None:
    """Where each node is a step ahead of the one behind it, the mean of the neighbours would never pull."""
    wave_s = tuple(100.0 + number * TICK_MS / 1000 / size for number in range(size))
    city = City(size, edges, 1, boots_s=wave_s)
    assert city.apart_ms() > TICK_MS / 3
    city.run(60.0)
    assert city.apart_ms() < 2.5 * city.depth()


def test_when_the_root_dies_the_others_go_on_together() -> None:
    edges = [(0, 1, 1.0, 1.0), (1, 2, 1.0, 1.0), (2, 3, 1.0, 1.0), (3, 1, 1.0, 1.0), (0, 3, 1.0, 1.0)]
    city = City(4, edges, 7, apart_s=1_000.0)
    city.run(40.0)
    old = city.root()
    before = {id(node): node.city_s(city.time_s) - old.city_s(city.time_s) for node in city.living()}
    city.kill(city.nodes.index(old))
    for _ in range(60):
        city.run(1.0)
        assert city.apart_ms() < 10.0
    new = city.root()
    assert new.clock.parent is None
    assert all(node.clock.parent is not None for node in city.living() if node is not new)
    # the new root goes on from where it was: the city's clock does not leap back to its own
    assert abs(new.city_s(city.time_s) - old.city_s(city.time_s) - before[id(new)]) < 0.1


def test_two_that_lost_their_root_do_not_follow_each_other() -> None:
    city = City(3, [(0, 1, 1.0, 1.0), (1, 2, 1.0, 1.0), (0, 2, 1.0, 1.0)], 3, apart_s=50.0)
    city.run(20.0)
    old = city.root()
    city.kill(city.nodes.index(old))
    city.run(20.0)
    heads = [node for node in city.living() if node.clock.parent is None]
    assert [head.who for head in heads] == [city.root().who]


def test_a_new_root_takes_the_citys_clock_over() -> None:
    city = City(3, [(0, 1, 1.0, 1.0), (1, 2, 1.0, 1.0), (0, 2, 1.0, 1.0)], 3, apart_s=50.0)
    root = city.root()
    late = CityClock(root.boot_s)
    root.dead = True
    city.run(20.0)
    before_s = city.root().city_s(city.time_s)
    at_s = city.time_s
    root.dead, root.watched = False, False
    late._began_s = root.now_s(city.time_s)
    late.begin(root.who)
    root.clock = late
    root.due_s, _ = late.next_tick(root.now_s(city.time_s), root.now_s(city.time_s), TICK_MS)
    city._at(city.time_s + (root.due_s - root.now_s(city.time_s)) / root.rate, city.nodes.index(root))
    city.run(30.0)
    assert all(node.clock.parent == root.who for node in city.nodes if node is not root)
    leap_s = root.city_s(city.time_s) - before_s - (city.time_s - at_s)
    assert abs(leap_s - TICK_MS / 1000 * round(leap_s / (TICK_MS / 1000))) < 0.01
    assert city.apart_ms() < 5.0


def test_on_one_machine_nothing_moves() -> None:
    city = City(4, [(0, 1, 0.2, 0.3), (1, 2, 0.1, 0.2), (2, 3, 0.2, 0.2)], 5, boots_s=(1_000.0,) * 4)
    for _ in range(30):
        city.run(1.0)
        assert city.apart_ms() == 0.0
    assert all(node.clock.ahead_s == 0.0 for node in city.nodes)


@given(
    due_s=st.floats(0, 1e6),
    late_s=st.floats(0, 5),
    tick_ms=st.sampled_from([20, 100, 200, 250, 500]),
    ahead_s=st.floats(-1e5, 1e5),
)
def test_the_next_tick_is_the_next_multiple_on_the_citys_clock(
    due_s: float, late_s: float, tick_ms: int, ahead_s: float
) -> None:
    clock = CityClock(0.0)
    clock._ahead_s = ahead_s
    due_s, _ = clock.next_tick(due_s, due_s, tick_ms)
    next_s, missed = clock.next_tick(due_s, due_s + late_s, tick_ms)
    period_s = tick_ms / 1000
    turns = (next_s + ahead_s) / period_s
    assert abs(turns - round(turns)) < 1e-4
    assert next_s > due_s + late_s - 1e-6
    assert next_s <= due_s + late_s + period_s + 1e-6
    assert next_s >= due_s + period_s / 2
    assert clock.count(next_s, tick_ms) == round(turns)
    assert -1e-6 < late_s / period_s - missed < 1 + 1e-6


def test_a_lying_or_absurd_word_is_harmless() -> None:
    clock = CityClock(10.0)
    clock.begin(Incarnation(b"m" * 32, 1))
    peer = Incarnation(b"a" * 32, 1)
    clock.heard(
        peer, Phase(2**53 - 1, -(2**53) + 1, bytes(32), 0, 255, 2**32 - 1, 2**53 - 1, 2**53 - 1), 10.0
    )
    clock.tick(10.0, TICK_MS, watched=True)
    assert clock.ahead_s == 0.0
    clock.heard(peer, Phase(5, 2**53 - 1, bytes(32), 0, 0, 2**32 - 1, 9_999_000, 0), 10.0)
    clock.tick(10.1, TICK_MS, watched=True)
    assert abs(clock.ahead_s) <= TICK_MS / 1000 / 100
    [(_, word)] = clock.tell([peer], 10.1)
    assert word.hops == 1
