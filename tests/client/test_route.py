"""Ways lead around walls, by the very rule the nodes hold walkers to, and are not longer than they must be."""

from __future__ import annotations

import math
from itertools import pairwise
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.route import NO_WALLS, Routes, routes_of
from client.walk import STROLL, Walker
from p2pworld.messages import Pose
from p2pworld.world.walls import Walls
from shard_node.declared import read

PLACES = read()
CITY = routes_of(PLACES)
ROOM = (
    (0, 0, 2_000, 0),
    (2_000, 0, 2_000, 2_000),
    (2_000, 2_000, 0, 2_000),
    (0, 2_000, 0, 1_300),
    (0, 700, 0, 0),
)
BLOCK = (
    (5_000, 0, 6_000, 0),
    (6_000, 0, 6_000, 1_000),
    (6_000, 1_000, 5_000, 1_000),
    (5_000, 1_000, 5_000, 0),
)


def blocked(walls: Walls, way: list[tuple[int, int]]) -> list[bool]:
    """Which legs of a way a node would refuse."""
    a, b = np.array(way[:-1], np.int32), np.array(way[1:], np.int32)
    columns = (a[:, 0], a[:, 1], b[:, 0], b[:, 1])
    return [bool(one) for one in walls.blocked(*(column.copy() for column in columns))]


def length(way: list[tuple[int, int]]) -> float:
    return sum(math.dist(a, b) for a, b in pairwise(way))


def test_where_nothing_stands_the_way_is_straight() -> None:
    assert NO_WALLS.way((0, 0), (9_000, 9_000)) == ((9_000, 9_000),)
    assert NO_WALLS.room_cm((1, 1)) == math.inf
    assert Routes(ROOM).way((100, 100), (1_900, 1_900)) == ((1_900, 1_900),)


def test_out_of_a_room_one_goes_by_its_door() -> None:
    routes, goal = Routes(ROOM), (3_000, 1_000)
    way = routes.way((1_000, 1_000), goal)
    assert way is not None
    assert way[-1] == goal
    assert not any(blocked(Walls(ROOM), [(1_000, 1_000), *way]))
    # by the door in the west and around the nearer corners: no other way exists
    assert 4_000 < length([(1_000, 1_000), *way]) < 6_000


def test_out_of_a_closed_room_no_way_leads() -> None:
    closed = (*ROOM, (0, 700, 0, 1_300))
    assert Routes(closed).way((1_000, 1_000), (3_000, 1_000)) is None


def test_something_solid_is_walked_around_and_out_of_but_not_into() -> None:
    routes = Routes((), BLOCK)
    way = routes.way((4_000, 500), (7_000, 500))
    assert way is not None
    assert len(way) >= 3
    assert not any(blocked(Walls((), BLOCK), [(4_000, 500), *way]))
    assert length([(4_000, 500), *way]) < 3_700
    assert routes.way((4_000, 500), (5_500, 500)) is None
    assert routes.way((5_500, 500), (4_000, 500)) == ((4_000, 500),)
    assert routes.room_cm((5_500, 500)) == 0
    assert routes.room_cm((4_900, 500)) == 100
    assert routes.room_cm((4_900, -100)) == pytest.approx(141.4, abs=0.1)


points = st.tuples(st.integers(0, 4_000), st.integers(0, 4_000))
sides = (
    st.tuples(points, points).filter(lambda ends: ends[0] != ends[1]).map(lambda ends: (*ends[0], *ends[1]))
)


@settings(max_examples=60, deadline=None)
@given(st.lists(sides, min_size=1, max_size=6), points, points)
def test_no_way_among_any_walls_is_one_a_node_would_refuse(
    walls: list[tuple[int, int, int, int]], start: tuple[int, int], goal: tuple[int, int]
) -> None:
    routes = Routes(walls)
    way = routes.way(start, goal)
    direct = blocked(Walls(walls), [start, goal])
    assert routes.clear(start, goal) == (not direct[0])
    if way is not None:
        assert not any(blocked(Walls(walls), [start, *way]))
        assert length([start, *way]) >= math.dist(start, goal) - 1e-6


@pytest.mark.parametrize(
    ("start", "goal"),
    [("seoul-plaza", "deoksugung"), ("deoksugung", "sungnyemun"), ("gwanghwamun", "deoksugung")],
)
def test_into_deoksugung_and_out_one_walks_by_its_gate(start: str, goal: str) -> None:
    """Every step of a stroller is one that the nodes take."""
    a, b = PLACES.by_id[start].spawns[0].at, PLACES.by_id[goal].spawns[0].at
    walker = Walker(Random("gate"), CITY, a, STROLL)
    assert walker.go(b)
    steps = [a]
    while not walker.walk(0.1):
        steps.append((walker.east_cm, walker.north_cm))
        assert len(steps) < 20_000
    assert (walker.east_cm, walker.north_cm) == b
    assert not any(blocked(PLACES.walls, steps))


def test_nobody_walks_into_a_portal_on_the_way_past() -> None:
    passed = 0
    for place in PLACES.all:
        for portal in place.portals if place.ground == "city" else ():
            assert CITY.room_cm(portal.at) == 0
            for far in ((3_000, 0), (0, 3_000), (2_000, 2_000), (2_000, -2_000)):
                start = portal.at[0] - far[0], portal.at[1] - far[1]
                goal = portal.at[0] + far[0], portal.at[1] + far[1]
                way = CITY.way(start, goal)
                if way is None:
                    assert min(CITY.room_cm(start), CITY.room_cm(goal)) == 0  # within a building
                    continue
                passed += 1
                assert all(_away(portal.at, *leg) > portal.radius_cm for leg in pairwise([start, *way]))
    assert passed


def _away(point: tuple[int, int], a: tuple[int, int], b: tuple[int, int]) -> float:
    """From a point to a leg."""
    along = np.linspace(0, 1, 400)
    return float(
        np.hypot(a[0] + along * (b[0] - a[0]) - point[0], a[1] + along * (b[1] - a[1]) - point[1]).min()
    )


def test_whoever_is_put_back_again_and_again_gives_its_way_up() -> None:
    walker = Walker(Random("patience"), NO_WALLS, (1_000, 1_000), STROLL)
    assert walker.go((9_000, 1_000))
    kept = []
    for _ in range(6):
        walker.walk(0.5)
        kept.append(walker.put(Pose(1_000, 1_000)))
    assert kept[:3] == [True, True, True]
    assert not kept[3]
    assert not walker.moving
