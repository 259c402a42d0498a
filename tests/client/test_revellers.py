"""Those who come to a festival go where its scene wants them, hang lanterns, and hear each stroke of the bell once."""

from __future__ import annotations

import math
from random import Random

from client.lives.ground import Ground
from client.lives.life import Perform
from client.lives.revellers import Festival, Listener, Reveller, Scene
from client.walk import places_around
from p2pworld.messages import Notice, Objects, WorldObject
from shard_node.declared import read

GROUND = Ground(read(), places_around())
TICK_S = 0.1
NOW_MS = 1_800_000_000_000


def festival() -> Festival:
    return Festival(crowd_cm=3_000, come_cm=(4_000, 6_000), home_cm=(10_000, 14_000))


def away_cm(life: Reveller) -> float:
    return math.dist((life.east_cm, life.north_cm), GROUND.bell)


def pass_time(lives: list[Reveller], seconds: float) -> None:
    for tick in range(round(seconds / TICK_S)):
        for life in lives:
            life.step(TICK_S, NOW_MS + round(tick * TICK_S * 1000))


def test_people_gather_stay_and_go_home() -> None:
    script = festival()
    lives = [Reveller(Random(number), GROUND, number, script) for number in range(40)]
    pass_time(lives, 5)
    assert all(4_000 <= away_cm(life) <= 6_000 for life in lives)
    script.scene = Scene.GATHER
    pass_time(lives, 40)
    assert all(away_cm(life) <= 3_000 and not life.moving for life in lives)
    script.scene = Scene.BELL
    pass_time(lives, 20)
    wishes = [wish for life in lives for wish in life.wishes]
    assert 0 < len(wishes) < len(lives)
    assert all(isinstance(wish, Perform) and wish.verb == "hang" for wish in wishes)
    script.scene = Scene.LEAVE
    pass_time(lives, 60)
    assert all(10_000 <= away_cm(life) <= 14_000 for life in lives)


def bell(count: int, kind: str = "bell") -> Objects:
    east_cm, north_cm = GROUND.bell
    return Objects(1, (WorldObject(bytes(16), kind, east_cm, north_cm, count=count),))


def test_a_stroke_is_heard_once_whether_seen_or_told() -> None:
    script = festival()
    life = Listener(Random(1), GROUND, 1, script)
    life.told(bell(4))  # of another evening
    script.scene = Scene.BELL
    for message in (bell(5), Notice("stroke", "5"), Notice("stroke", "6"), bell(6), bell(6), bell(8)):
        life.told(message)
    life.told(Notice("programme", "60"))
    life.told(bell(90, "lantern"))
    assert life.strokes == 4


def test_who_sees_the_bell_for_the_first_time_while_it_rings_has_heard_all_of_it() -> None:
    script = festival()
    life = Listener(Random(1), GROUND, 1, script)
    script.scene = Scene.GATHER
    life.told(Notice("stroke", "2"))
    assert life.strokes == 2
