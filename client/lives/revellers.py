"""Those who come to a festival: they stand around, gather at the bell when it is time, hang lanterns, and go home.

A `Festival` is the script they share: which scene it is. Whoever directs it moves it on; nobody here reads a clock.
Some of them count the strokes of the bell that they are shown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from client.lives.life import BOW, CLAP, DANCE, WAVE, Life, Perform
from client.lives.words import WISHES
from client.walk import Gait
from p2pworld.geometry import clamp
from p2pworld.messages import Notice, Objects

if TYPE_CHECKING:
    from random import Random

    from client.lives.ground import Ground
    from client.lives.life import News
    from p2pworld.world.places import Point

__all__ = ["Festival", "Listener", "Reveller", "Scene"]

HURRY: Final = Gait(2, (4.0, 6.0), 1.0)
ROOM_CM: Final = 60
BELL_CM: Final = 350  # nobody stands under it
TRIES: Final = 40
DELAY_S: Final = 5.0  # not all set out at once
LANTERN_SHARE: Final = 0.1
LANTERN_S: Final = 5.0
MOMENT_S: Final = (4.0, 12.0)
RETRY_S: Final = 3.0


class Scene(IntEnum):
    """The scenes of a festival, in their order."""

    ARRIVE = 0
    GATHER = 1
    BELL = 2
    LEAVE = 3


@dataclass(slots=True)
class Festival:
    """What scene it is; people come to the streets `come_cm` from the bell (at least, at most), stand within `crowd_cm`
    of it, and go to `home_cm`."""

    crowd_cm: int
    come_cm: tuple[int, int]
    home_cm: tuple[int, int]
    scene: Scene = Scene.ARRIVE


class Reveller(Life):
    """Does what the scene asks for, in its own time."""

    role = "reveller"

    def __init__(self, random: Random, ground: Ground, number: int, festival: Festival) -> None:
        self.festival = festival
        self._come = _free(ground, random, *festival.come_cm)
        self._square = _free(ground, random, BELL_CM, festival.crowd_cm)
        self._home = _free(ground, random, *festival.home_cm)
        super().__init__(random, ground, number, self._come, HURRY)
        self._scene = Scene.ARRIVE
        self._moment_s = random.uniform(*MOMENT_S)
        self._lantern_s = math.inf

    @property
    def _goal(self) -> Point:
        if self._scene is Scene.LEAVE:
            return self._home
        return self._come if self._scene is Scene.ARRIVE else self._square

    def stay(self, seconds: float) -> None:
        if self.festival.scene is not self._scene:
            self._scene = self.festival.scene
            self.rest(self.random.uniform(0.0, DELAY_S))
            if self._scene is Scene.BELL and self.random.random() < LANTERN_SHARE:
                self._lantern_s = self.random.uniform(0.0, LANTERN_S)
        self._rest_s -= seconds
        if self._rest_s <= 0 and math.dist(self._goal, (self.east_cm, self.north_cm)) > ROOM_CM:
            self.set_out()
            return
        self._lantern_s -= seconds
        if self._lantern_s <= 0:
            self._lantern_s = math.inf
            self.wishes.append(Perform("hang", self.random.choice(WISHES).fit(self.random.random() < 0.7)))
        self._moment_s -= seconds
        if self._moment_s <= 0:
            self._moment_s = self.random.uniform(*MOMENT_S)
            self.emote(self.random.choice((BOW, CLAP) if self._scene is Scene.BELL else (WAVE, CLAP, DANCE)))

    def set_out(self) -> None:
        if not self.go(self._goal):
            self.rest(RETRY_S)

    def arrived(self) -> None:
        self.face(self.ground.bell)


class Listener(Reveller):
    """Counts the strokes of the bell that it sees, or is told of."""

    listens = True

    def __init__(self, random: Random, ground: Ground, number: int, festival: Festival) -> None:
        super().__init__(random, ground, number, festival)
        self.strokes = 0
        self._counted: int | None = None

    def told(self, message: News) -> None:
        if isinstance(message, Objects):
            for thing in message.objects:
                at = (thing.east_cm, thing.north_cm)
                if thing.kind == "bell" and math.dist(at, self.ground.bell) <= BELL_CM:
                    self._struck(thing.count)
        elif isinstance(message, Notice) and message.code == "stroke":
            self._struck(int(message.sentence))

    def _struck(self, count: int) -> None:
        """The bell has been struck so often by now."""
        if self._counted is None:  # what was struck before it came is no stroke it has heard
            self._counted = 0 if self.festival.scene is not Scene.ARRIVE else count
        self.strokes += max(0, count - self._counted)
        self._counted = max(count, self._counted)


def _free(ground: Ground, random: Random, least_cm: int, most_cm: int) -> Point:
    """Somewhere to stand so far from the bell, on ground one can walk on."""
    east, north = ground.bell
    there = clamp(east, north)
    for _ in range(TRIES):
        angle = random.random() * math.tau
        far = math.sqrt(random.uniform(least_cm**2, most_cm**2))
        there = clamp(round(east + far * math.sin(angle)), round(north + far * math.cos(angle)))
        if ground.routes.room_cm(there) >= ROOM_CM and ground.places.room_at(*there) is None:
            break
    return there
