"""Why a bot is in the city: it walks between real places, lingers, hangs a lantern, rings the bell.

A `Walker` is one person on foot, running or riding, with a purpose that depends on nothing but its random numbers, so
that the same seed fills the city in the same way. It moves in centimetres from the root's corner and reads no clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.geometry import clamp
from p2pworld.seoul.landmarks import LANDMARKS, Landmark, landmark

if TYPE_CHECKING:
    from random import Random

__all__ = ["GAITS", "Gait", "Walker", "places_around"]

HEART: Final = ("Cheonggyecheon Plaza", 1_200.0)  # metres around it lie the palace, the market, the bell
STAND_CM: Final = 2_500  # people gather within this of a place's middle
LINGER_S: Final = (5.0, 30.0)
HANG_SHARE: Final = 0.25  # of the arrivals
NEAR_POWER: Final = 1.0  # how much rather one goes to a near place than to a far one
WISHES: Final = (
    "새해 복 많이 받으세요",
    "모두 건강하기를",
    "시험 합격!",
    "서울에 다시 올게요",
    "Peace to this city",
    "우리 가족 행복",
)


@dataclass(frozen=True, slots=True)
class Gait:
    """How one moves: the state code in a pose, speeds from the slowest to the fastest, and the share of people."""

    state: int
    speed_m_s: tuple[float, float]
    share: float


GAITS: Final = (
    Gait(1, (1.0, 1.6), 0.45),  # walks
    Gait(2, (2.6, 3.4), 0.30),  # runs
    Gait(3, (4.5, 5.5), 0.25),  # rides a bicycle; the bound on foot is 7 m/s
)
STILL: Final = 0


def places_around(name: str = HEART[0], radius_m: float = HEART[1]) -> tuple[Landmark, ...]:
    """The landmarks within `radius_m` of the one called `name`, itself among them.

    Raises:
        ValueError: no landmark has this name, or fewer than two lie there.
    """
    middle = landmark(name)
    near = tuple(
        place for place in LANDMARKS if math.hypot(place.e_m - middle.e_m, place.n_m - middle.n_m) <= radius_m
    )
    if len(near) < 2:
        raise ValueError(f"only {name} lies within {radius_m:g} m of itself: nobody can walk anywhere")
    return near


class Walker:
    """One person on the way. It begins somewhere along a route.

    `east_cm`, `north_cm`, `yaw` and `state` are where it is now; `moving` whether it is on its way; `acts` what it
    wants done here (verb, text), for its owner to take.
    """

    def __init__(self, random: Random, places: tuple[Landmark, ...]) -> None:
        self._random, self._places = random, places
        gait = random.choices(GAITS, [gait.share for gait in GAITS])[0]
        self._state = gait.state
        self._speed_cm_s = random.uniform(*gait.speed_m_s) * 100
        self._place = random.choice(places)
        self._east, self._north = self._spot(self._place)
        self._linger_s = 0.0
        self.acts: list[tuple[str, str]] = []
        self.moving = True
        self.state, self.yaw = gait.state, 0
        self._set_out()
        share = random.random()
        self._east += (self._goal[0] - self._east) * share
        self._north += (self._goal[1] - self._north) * share

    @property
    def east_cm(self) -> int:
        return round(self._east)

    @property
    def north_cm(self) -> int:
        return round(self._north)

    def put(self, east_cm: int, north_cm: int) -> None:
        """It is there now, whatever it thought; it goes on to where it wanted."""
        self._east, self._north = float(east_cm), float(north_cm)
        if self.moving:
            self._face()

    def step(self, seconds: float) -> bool:
        """Goes on for so long; whether it moved."""
        if not self.moving:
            self._linger_s -= seconds
            if self._linger_s <= 0:
                self._set_out()
            return False
        east_way, north_way = self._goal[0] - self._east, self._goal[1] - self._north
        way = math.hypot(east_way, north_way)
        step = self._speed_cm_s * seconds
        if way <= step:
            self._east, self._north = self._goal
            self._arrive()
        else:
            self._east += east_way * step / way
            self._north += north_way * step / way
        return True

    def _arrive(self) -> None:
        self.moving, self.state = False, STILL
        self._linger_s = self._random.uniform(*LINGER_S)
        if self._place.name_en == "Bosingak":
            self.acts.append(("ring", ""))
        elif self._random.random() < HANG_SHARE:
            self.acts.append(("hang", self._random.choice(WISHES)))

    def _set_out(self) -> None:
        """Chooses where to go next: anywhere but here, rather near than far."""
        here = self._place
        others = [place for place in self._places if place is not here]
        weights = [
            (1.0 / max(50.0, math.hypot(place.e_m - here.e_m, place.n_m - here.n_m))) ** NEAR_POWER
            for place in others
        ]
        self._place = self._random.choices(others, weights)[0]
        self._goal = self._spot(self._place)
        self.moving, self.state = True, self._state
        self._face()

    def _face(self) -> None:
        """Yaw in 256ths of a turn, clockwise from north."""
        turn = math.atan2(self._goal[0] - self._east, self._goal[1] - self._north) / math.tau
        self.yaw = round(turn * 256) & 0xFF

    def _spot(self, place: Landmark) -> tuple[float, float]:
        """Somewhere around a place's middle."""
        east_cm, north_cm = place.position_cm
        angle, far = self._random.random() * math.tau, STAND_CM * math.sqrt(self._random.random())
        east, north = clamp(round(east_cm + far * math.sin(angle)), round(north_cm + far * math.cos(angle)))
        return float(east), float(north)
