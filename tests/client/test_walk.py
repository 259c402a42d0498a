"""Walkers move at human speeds along their ways, and go on from wherever they are put."""

from __future__ import annotations

import math
from random import Random

import pytest

from client.route import NO_WALLS
from client.walk import GAITS, STAND, STROLL, Gait, Walker, places_around
from p2pworld.limits import REACH_SPEED_CM_S
from p2pworld.messages import Pose

DT_S = 0.1
START, GOAL = (100_000, 100_000), (103_000, 104_000)


def walker(seed: str = "walk", gait: Gait = STROLL) -> Walker:
    made = Walker(Random(seed), NO_WALLS, START, gait)
    assert made.go(GOAL)
    return made


def test_the_places_of_the_ways_are_the_heart_of_the_city() -> None:
    names = {place.name_en for place in places_around()}
    assert {
        "Gwanghwamun Gate",
        "Gwanghwamun Square",
        "Seoul City Hall",
        "Seoul Plaza",
        "Deoksugung",
        "Namdaemun Market",
        "Sungnyemun (Namdaemun gate)",
        "Cheonggyecheon Plaza",
        "Bosingak",
    } <= names


@pytest.mark.parametrize(("name", "radius_m"), [("Atlantis", 500.0), ("COEX", 10.0)])
def test_a_place_where_nobody_can_walk_is_refused(name: str, radius_m: float) -> None:
    with pytest.raises(ValueError, match=r"landmark|nobody"):
        places_around(name, radius_m)


@pytest.mark.parametrize("gait", GAITS)
def test_each_gait_keeps_its_speed_below_the_bound_on_foot(gait: Gait) -> None:
    one = walker("speed", gait)
    assert one.state == gait.state
    arrived = False
    while not arrived:
        before = (one.east_cm, one.north_cm)
        arrived = one.walk(DT_S)
        way_cm = math.dist(before, (one.east_cm, one.north_cm))
        assert way_cm <= gait.speed_m_s[1] * 100 * DT_S + 1.5
        assert way_cm < REACH_SPEED_CM_S[0] * DT_S
        assert arrived or way_cm >= gait.speed_m_s[0] * 100 * DT_S - 1.5


def test_whoever_arrives_stands_where_it_wanted_to_be() -> None:
    one = walker()
    assert one.way_cm == math.dist(START, GOAL)
    while not one.walk(1.0):
        assert one.moving
    assert (one.pose.east_cm, one.pose.north_cm, one.pose.state) == (*GOAL, STAND)
    assert not one.moving
    assert one.way_cm == 0


def test_it_looks_where_it_goes() -> None:
    one = Walker(Random("yaw"), NO_WALLS, START, STROLL)
    for goal, yaw in (((100_000, 109_000), 0), ((109_000, 100_000), 64), ((100_000, 91_000), 128)):
        one.go(goal)
        assert one.yaw == yaw


def test_put_elsewhere_it_goes_on_from_there() -> None:
    one = walker()
    one.walk(1.0)
    assert one.put(Pose(START[0] + 5_000, START[1]))
    before = (one.east_cm, one.north_cm)
    assert before == (START[0] + 5_000, START[1])
    one.walk(DT_S)
    assert 0 < math.dist(before, (one.east_cm, one.north_cm)) < 20
    while not one.walk(1.0):
        pass
    assert (one.east_cm, one.north_cm) == GOAL
