"""Walkers go between real places at human speeds, the same way for the same seed."""

from __future__ import annotations

import math
from random import Random

import pytest

from client.walk import GAITS, LINGER_S, STAND_CM, STILL, Walker, places_around
from p2pworld.limits import REACH_SPEED_CM_S

PLACES = places_around()
DT_S = 0.1


def test_the_places_of_the_routes_are_the_heart_of_the_city() -> None:
    names = {place.name_en for place in PLACES}
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


def test_the_same_seed_walks_the_same_way_and_another_does_not() -> None:
    def way(seed: str) -> list[tuple[int, int]]:
        walker = Walker(Random(seed), PLACES)
        return [(walker.east_cm, walker.north_cm) for _ in range(50) if walker.step(DT_S) or True]

    assert way("a") == way("a")
    assert way("a") != way("b")


def test_walkers_keep_to_the_speed_of_their_gait_and_below_the_bound_on_foot() -> None:
    gaits = {gait.state: gait for gait in GAITS}
    for number in range(40):
        walker = Walker(Random(f"speed {number}"), PLACES)
        gait = gaits[walker.state]
        for _ in range(100):
            before = (walker.east_cm, walker.north_cm)
            moved = walker.step(DT_S)
            way_cm = math.hypot(walker.east_cm - before[0], walker.north_cm - before[1])
            assert way_cm <= gait.speed_m_s[1] * 100 * DT_S + 1.5
            assert way_cm < REACH_SPEED_CM_S[0] * DT_S
            if moved and walker.moving:
                assert way_cm >= gait.speed_m_s[0] * 100 * DT_S - 1.5


def test_whoever_arrives_lingers_at_the_place_and_then_goes_on() -> None:
    walker = Walker(Random("linger"), PLACES)
    while walker.moving:
        walker.step(60)  # great strides
    assert walker.state == STILL
    assert any(
        math.hypot(walker.east_cm - place.position_cm[0], walker.north_cm - place.position_cm[1])
        <= STAND_CM + 2
        for place in PLACES
    )
    lingered = 0.0
    while not walker.moving:
        walker.step(DT_S)
        lingered += DT_S
    assert LINGER_S[0] <= lingered <= LINGER_S[1] + 2 * DT_S


def test_all_walk_all_three_ways_and_some_hang_lanterns_and_ring_the_bell() -> None:
    walkers = [Walker(Random(f"acts {number}"), PLACES) for number in range(60)]
    assert {walker.state for walker in walkers} == {gait.state for gait in GAITS}
    for walker in walkers:
        for _ in range(60):
            walker.step(60)
    verbs = [verb for walker in walkers for verb, _ in walker.acts]
    assert set(verbs) == {"hang", "ring"}


def test_a_corrected_walker_goes_on_from_where_it_was_put() -> None:
    walker = Walker(Random("put"), PLACES)
    walker.put(walker.east_cm + 5_000, walker.north_cm - 5_000)
    before = (walker.east_cm, walker.north_cm)
    walker.step(DT_S)
    assert math.hypot(walker.east_cm - before[0], walker.north_cm - before[1]) < 70
