"""Ground that changes hands under people's feet: a region split, a crowd that gathers and leaves, nodes restarted.

Real node processes and bots in this process. What is measured is measured from outside: who holds what by the nodes'
`/api/v1/regions`, what people feel by the bots' gauges (`client.gauges`).

- *split*: everybody walks about in one region; it is split, and three of its parts are moved to other nodes.
- *gather*: everybody comes from the ground of all nodes to one point, stays, and leaves; no operator does anything.
- *rolling*: every node is ended by SIGTERM and started again, one after the other.
"""

from __future__ import annotations

import math
import random
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from client.lives.ground import Ground
from client.lives.life import Life
from client.swarm import Swarm
from client.walk import GAITS, places_around
from p2pworld.geometry import Cell, cover_gaps, level_of_side_m
from p2pworld.world.citymap import CityMap, Wish, WishKind, wish
from shard_node import config
from shard_node.declared import read
from shard_node.region_commands import read_map, say
from simulations.bench.crowd.ground import MIDDLE_CM
from simulations.bench.crowd.nodes import machine
from simulations.bench.crowd.run import BenchFailed, until
from simulations.bench.crowd.watch import spread
from simulations.processes import City, NodeProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["run_gather", "run_rolling", "run_split"]

READY_S: Final = 90.0
JOIN_S: Final = 120.0
CHANGE_S: Final = 60.0
SETTLE_S: Final = 5.0  # before and after what is measured
LOOK_S: Final = 0.25
REGION_M: Final = 128
POINT_CM: Final = 2_500  # a crowd on one point stands within this of it
HOME_CM: Final = 14_000  # from the point: on the regions around the one it lies in
CARRIES: Final = 0.1  # a node that has this share of a crowd carries it
REST_S: Final = (2.0, 10.0)


class _Visitor(Life):
    """Stands about within a circle, takes a few steps now and then; the circle may be moved."""

    role = "visitor"

    def __init__(
        self, rng: random.Random, ground: Ground, number: int, at: tuple[int, int], near_cm: int
    ) -> None:
        super().__init__(rng, ground, number, at, GAITS[1])
        self.middle, self.near_cm = at, near_cm
        self.rest(rng.uniform(*REST_S))

    def visit(self, middle: tuple[int, int], near_cm: int) -> None:
        """Go and stand there from now on."""
        self.middle, self.near_cm = middle, near_cm
        self.rest(self.random.random())

    def set_out(self) -> None:
        if not self.go(self.ground.near(self.middle, self.random, self.near_cm)):
            self.rest(1.0)

    def arrived(self) -> None:
        self.rest(self.random.uniform(*REST_S))


@dataclass(slots=True)
class _Scene:
    """A city that serves, and everybody in it."""

    city: City
    swarm: Swarm
    lives: list[_Visitor]
    _logins_before: int = 0

    @property
    def figures(self) -> dict[str, Any]:
        """What people felt since `begin`; who had to log in again was disconnected."""
        gauges = self.swarm.gauges
        return {
            "people": len(self.lives),
            "playing": self.swarm.playing,
            "handoffs": gauges.handoffs,
            "extra_ms": spread(gauges.extras_ms, 0.5, 0.99, 1),
            "lost": len(gauges.lost),
            "twinned": len(gauges.twinned),
            "disconnected": self._logins() - self._logins_before,
            "update_age_ms": {"p50": gauges.age_ms(0.5), "p99": gauges.age_ms(0.99)},
        }

    def begin(self) -> None:
        """Measure from now on."""
        self.swarm.gauges.begin(self.swarm.now_s())
        self._logins_before = self._logins()

    def _logins(self) -> int:
        """How often anybody was let in anew."""
        return self.swarm.session_counters()["logins"]

    def regions(self) -> dict[Cell, tuple[str, int]]:
        """Who holds each region, and how many of its people stand in it, as all nodes together know it."""
        found: dict[Cell, tuple[str, int]] = {}
        for node in self.city.nodes:
            for region in node.ask_json("/api/v1/regions").get("regions", ()):
                if region["holder"] == node.keys.public.hex():
                    found[Cell.from_quadkey(region["cell"])] = region["holder"], region["people"] or 0
        return found

    def carriers(self) -> int:
        """How many nodes carry a good part of everybody."""
        people: dict[str, int] = {}
        for holder, count in self.regions().values():
            people[holder] = people.get(holder, 0) + count
        return sum(count >= CARRIES * len(self.lives) for count in people.values())


@contextmanager
def _scene(
    folder: Path, nodes: int, people: int, homes: Callable[[int], tuple[tuple[int, int], int]], balance: str
) -> Iterator[_Scene]:
    city = City(folder, nodes, (), dealt=_dealt(nodes), more=balance)
    ground = Ground(read(), places_around())
    lives = [
        _Visitor(random.Random(f"ground {number}"), ground, number, *homes(number))
        for number in range(people)
    ]
    with city:
        city.start()
        until(lambda: not city.not_ready(), READY_S, lambda: f"the city is not ready: {city.not_ready()}")
        swarm = Swarm(city.play_urls, lives, 1)
        over = threading.Event()
        thread = threading.Thread(target=swarm.run, args=(lambda _: over.is_set(),))
        thread.start()
        try:
            until(
                lambda: swarm.playing == people,
                JOIN_S,
                lambda: f"{swarm.playing} of {people} came in: {swarm.trouble}",
            )
            time.sleep(SETTLE_S)
            yield _Scene(city, swarm, lives)
        finally:
            over.set()
            thread.join()
            swarm.close()


def _dealt(nodes: int) -> list[list[Cell]]:
    """The square's region to the first node, those around it and the rest in turn."""
    heart = Cell.at(*MIDDLE_CM, _level())
    around = [heart, *heart.neighbours()]
    cells: list[list[Cell]] = [[] for _ in range(nodes)]
    for number, cell in enumerate([*around, *cover_gaps(around)]):
        cells[number % nodes].append(cell)
    return cells


def _level() -> int:
    return level_of_side_m(REGION_M)


def _ring(number: int, people: int) -> tuple[tuple[int, int], int]:
    """Where this one of so many is at home, in a ring around the point, and how near to it."""
    angle = math.tau * number / people
    east, north = Cell.at(*MIDDLE_CM, _level()).centre_cm
    return (east + round(HOME_CM * math.sin(angle)), north + round(HOME_CM * math.cos(angle))), POINT_CM


# ---- split


def run_split(people: int, folder: Path, say_: Callable[[str], None]) -> dict[str, Any]:
    """Split a region with so many people in it, and move three of its parts.

    Raises BenchFailed.
    """
    heart = Cell.at(*MIDDLE_CM, _level())

    def home(_: int) -> tuple[tuple[int, int], int]:
        return heart.centre_cm, REGION_M * 50 - 500

    with _scene(folder, 4, people, home, "[balance]\nenabled = false\n") as scene:
        settings = config.load(scene.city.nodes[0].config)
        scene.begin()
        began_s = time.monotonic()
        say_(f"{people} people stand in {heart}; it is split")
        say(settings, lambda city: wish(city, {heart: Wish(WishKind.SPLIT)}))
        _until_map(settings, lambda city: heart not in city.cells, "the region was not split")
        split_s = time.monotonic() - began_s
        others = [node.keys.public for node in scene.city.nodes[1:]]
        moves = dict(zip(heart.children()[1:], others, strict=True))
        say(settings, lambda city: wish(city, {c: Wish(WishKind.MOVE, to) for c, to in moves.items()}))
        _until_map(
            settings,
            lambda city: all(
                (who := city.holder_of(c)) is not None and who.node == to for c, to in moves.items()
            ),
            "the parts were not moved",
        )
        moved_s = time.monotonic() - began_s

        def over() -> bool:
            return (
                all(
                    people == 0 or holder == scene.city.nodes[0].keys.public.hex() or cell in moves
                    for cell, (holder, people) in scene.regions().items()
                )
                and scene.carriers() == 4
            )

        until(over, CHANGE_S, lambda: f"people did not come along: {scene.regions()}")
        people_s = time.monotonic() - began_s
        time.sleep(SETTLE_S)
        figures = scene.figures
    return {
        "bench": "split",
        "split_s": round(split_s, 2),
        "moved_s": round(moved_s, 2),
        "people_moved_s": round(people_s, 2),
        **figures,
        "machine": machine(),
    }


def _until_map(settings: config.Config, holds: Callable[[CityMap], bool], otherwise: str) -> None:
    until(lambda: holds(read_map(settings)), CHANGE_S, lambda: otherwise)


# ---- gather


def run_gather(people: int, nodes: int, folder: Path, say_: Callable[[str], None]) -> dict[str, Any]:
    """Everybody comes to one point, and leaves.

    Raises BenchFailed.
    """
    heart = Cell.at(*MIDDLE_CM, _level())
    point = heart.centre_cm
    easy = max(50, people // (2 * nodes))
    balance = f"[balance]\npeople_easy = {easy}\npeople_calm = {easy // 5}\n"
    with _scene(folder, nodes, people, lambda number: _ring(number, people), balance) as scene:
        before = len(scene.regions())
        scene.begin()
        say_("everybody goes to one point")
        began_s = time.monotonic()
        for life in scene.lives:
            life.visit(point, POINT_CM)
        spread_s = 0.0
        carriers = regions = 0
        arrived_s = began_s
        while time.monotonic() - arrived_s < CHANGE_S:
            now_s = time.monotonic()
            there = sum(
                math.dist((life.east_cm, life.north_cm), point) < 2 * POINT_CM for life in scene.lives
            )
            if there < 0.9 * people:
                arrived_s = now_s
                if now_s - began_s > 5 * CHANGE_S:
                    raise BenchFailed(f"only {there} of {people} came to the point")
            carry, count = scene.carriers(), len(scene.regions())
            regions = max(regions, count)
            carriers = max(carriers, carry)
            if carry >= 3 and not spread_s and there >= 0.9 * people:
                spread_s = now_s
            if spread_s and now_s - spread_s > 3 * SETTLE_S:
                break
            time.sleep(LOOK_S)
        gathered = scene.figures
        holders = {
            node.name: sum(c for h, c in scene.regions().values() if h == node.keys.public.hex())
            for node in scene.city.nodes
        }
        say_(f"{carriers} nodes carry the crowd; everybody leaves")
        scene.begin()
        left_s = time.monotonic()
        for number, life in enumerate(scene.lives):
            life.visit(*_ring(number, people))
        gone_s = merged_s = 0.0
        while time.monotonic() - left_s < 5 * CHANGE_S:
            now_s = time.monotonic()
            near = sum(math.dist((life.east_cm, life.north_cm), point) < 3 * POINT_CM for life in scene.lives)
            gone_s = gone_s or (now_s if near <= easy // 5 else 0.0)
            if gone_s and heart in scene.regions():
                merged_s = now_s
                break
            time.sleep(LOOK_S)
        leaving = scene.figures
    return {
        "bench": "gather",
        "nodes": nodes,
        "carriers": carriers,
        "spread_after_arriving_s": round(spread_s - arrived_s, 2) if spread_s else None,
        "people_by_node": holders,
        "regions": {"before": before, "most": regions},
        "gathering": gathered,
        "merged_after_leaving_s": round(merged_s - (gone_s or merged_s), 2) if merged_s else None,
        "leaving": leaving,
        "machine": machine(),
    }


# ---- rolling


def run_rolling(people: int, nodes: int, folder: Path, say_: Callable[[str], None]) -> dict[str, Any]:
    """Every node is restarted once.

    Raises BenchFailed.
    """
    ends_s: list[float] = []
    with _scene(folder, nodes, people, lambda number: _ring(number, people), "") as scene:
        scene.begin()
        began_s = time.monotonic()
        for node in scene.city.nodes:
            ended_s = _restart(scene.city, node)
            ends_s.append(ended_s)
            say_(
                f"{node.name} ended in {ended_s:.1f} s and is back; {scene.swarm.playing} of {people} are in"
            )
        seconds = time.monotonic() - began_s
        time.sleep(SETTLE_S)
        figures = scene.figures
    return {
        "bench": "rolling",
        "nodes": nodes,
        "seconds": round(seconds, 1),
        "end_s": spread(ends_s, 0.5, 1, digits=2),
        **figures,
        "machine": machine(),
    }


def _restart(city: City, node: NodeProcess) -> float:
    """Ends a node and starts it again; how many seconds it took to end."""
    assert node.process is not None
    others = [other for other in city.nodes if other is not node]
    began_s = time.monotonic()
    node.signal(signal.SIGTERM)
    if (code := node.process.wait(CHANGE_S)) != 0:
        raise BenchFailed(f"{node.name} ended with {code}:\n{node.log_tail()}")
    ended_s = time.monotonic() - began_s
    until(lambda: not city.not_ready(others), CHANGE_S, lambda: city.not_ready(others))
    node.start()
    until(lambda: not city.not_ready(), CHANGE_S, city.not_ready)
    return ended_s
