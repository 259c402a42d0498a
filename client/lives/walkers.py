"""Those who walk: commuters between landmarks and stops, tourists along the heritage route."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from client.lives.life import BOW, CLAP, DANCE, WAVE, Life, Perform, Speak
from client.lives.words import WISHES, remark
from client.walk import GAITS, STAND, STROLL
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.vehicles import STOPS

if TYPE_CHECKING:
    from random import Random

    from client.lives.ground import Ground
    from p2pworld.world.places import Point

__all__ = ["HERITAGE", "LINGER_S", "Commuter", "Tourist"]

LINGER_S: Final = (3.0, 9.0)
NEAR_POWER: Final = 0.7  # how much rather one goes to a near place than to a far one
HANG_SHARE: Final = 0.1  # of a commuter's arrivals near the stream
STREAM_M: Final = 150.0
DRUMS_CM: Final = 4_000

HERITAGE: Final = (
    "Gwanghwamun Gate",
    "Gwanghwamun Square",
    "Cheonggyecheon Plaza",
    "Seoul City Hall",
    "Deoksugung",
    "Sungnyemun",
    "Namdaemun Market",
)
LOOK_S: Final = (20.0, 60.0)
MOMENT_S: Final = (5.0, 12.0)  # from one thing that catches the eye to the next
TALK_SHARE: Final = 0.2  # of such moments
LANTERN_SHARE: Final = 0.5  # of the tourists who come to the stream


class Commuter(Life):
    """Goes from one landmark or stop to another, rather near than far, waits a little, and goes on."""

    role = "commuter"

    def __init__(self, random: Random, ground: Ground, number: int) -> None:
        gait = random.choices(GAITS, [gait.share for gait in GAITS])[0]
        self._ends = tuple((mark.name_en, mark.position_cm) for mark in ground.landmarks) + tuple(
            ("", STOPS[stop].position_cm) for stop in ground.stops
        )
        self._end = random.choice(self._ends)
        super().__init__(random, ground, number, self._spot_of(ground, random), gait)
        self.set_out()
        if self.moving:  # it was on its way when we first see it
            self.walk(random.random() * self.way_cm / self.speed_cm_s)

    def _spot_of(self, ground: Ground, random: Random) -> Point:
        name, at = self._end
        return ground.spot(name, random) if name else ground.near(at, random, 300)

    def set_out(self) -> None:
        at = self._end[1]
        others = [end for end in self._ends if end[1] != at]
        weights = [(1.0 / max(5_000.0, math.dist(end[1], at))) ** NEAR_POWER for end in others]
        self._end = self.random.choices(others, weights)[0]
        if not self.go(self._spot_of(self.ground, self.random)):
            self.rest(self.random.uniform(*LINGER_S))

    def arrived(self) -> None:
        self.rest(self.random.uniform(*LINGER_S))
        stream = math.dist(self.ground.lanterns[0], (self.east_cm, self.north_cm)) < STREAM_M * 100
        if stream and self.random.random() < HANG_SHARE:
            self.wishes.append(Perform("hang", self.random.choice(WISHES).ko))


class Tourist(Life):
    """Walks the heritage route from gate to market and back; looks, waves, takes pictures, hangs a lantern."""

    role = "tourist"

    def __init__(self, random: Random, ground: Ground, number: int) -> None:
        self._at = random.randrange(len(HERITAGE))
        self._step = random.choice((-1, 1))
        at = ground.spot(HERITAGE[self._at], random)
        super().__init__(random, ground, number, at, STROLL)
        self._hangs = False
        self._moment_s = 0.0
        self.rest(random.uniform(0.0, LOOK_S[1]))

    @property
    def place(self) -> str:
        """Where it is, or is going."""
        return HERITAGE[self._at]

    def set_out(self) -> None:
        if not 0 <= self._at + self._step < len(HERITAGE):
            self._step = -self._step
        self._at += self._step
        self._hangs = self.place == "Cheonggyecheon Plaza" and self.random.random() < LANTERN_SHARE
        ground, random = self.ground, self.random
        goal = ground.along_lanterns(random) if self._hangs else ground.spot(self.place, random)
        if not self.go(goal):
            self.rest(self.random.uniform(*LOOK_S))

    def arrived(self) -> None:
        self.rest(self.random.uniform(*LOOK_S))
        self.face(self.ground.lanterns[0] if self._hangs else landmark(self.place).position_cm)
        if self._hangs:
            self._hangs = False
            self.wishes.append(Perform("hang", self.random.choice(WISHES).fit(self.random.random() < 0.6)))
        self.emote(WAVE)

    def stay(self, seconds: float) -> None:
        super().stay(seconds)
        self._moment_s -= seconds
        if self._moment_s <= 0 and not self.moving:
            self._moment()

    def _moment(self) -> None:
        """Something catches its eye."""
        self._moment_s = self.random.uniform(*MOMENT_S)
        if self.random.random() < TALK_SHARE:
            self.wishes.append(Speak("near", remark(self.place, self.random)))
        near_drums = math.dist(self.ground.drums, (self.east_cm, self.north_cm)) < DRUMS_CM
        self.emote(self.random.choice((DANCE, CLAP) if near_drums else (WAVE, BOW, STAND)))
