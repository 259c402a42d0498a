"""How a bot moves: on foot, running or hurrying, along a way around walls, from the root's corner in centimetres.

A `Walker` knows where it is and the points it still has to pass. Where to go, and why, is for `client.lives`. Its
randomness is given to it and it reads no clock, so the same seed fills the city in the same way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from p2pworld.messages import Pose
from p2pworld.seoul.landmarks import LANDMARKS, Landmark, landmark

if TYPE_CHECKING:
    from random import Random

    from client.route import Routes
    from p2pworld.world.places import Point

__all__ = ["GAITS", "HEART", "STAND", "STROLL", "Gait", "Walker", "places_around"]

HEART: Final = ("Cheonggyecheon Plaza", 1_200.0)  # metres around it lie the palace, the market, the bell
STAND: Final = 0
PATIENCE_S: Final = 20.0  # within which this many corrections on one way mean that it leads nowhere
PATIENCE: Final = 3


@dataclass(frozen=True, slots=True)
class Gait:
    """How one moves: the state code in a pose, speeds from the slowest to the fastest, and the share of people."""

    state: int
    speed_m_s: tuple[float, float]
    share: float


STROLL: Final = Gait(1, (1.0, 1.6), 0.38)
GAITS: Final = (
    STROLL,
    Gait(2, (2.6, 3.4), 0.32),  # runs
    Gait(2, (4.5, 5.5), 0.30),  # is late; the bound on foot is 7 m/s
)


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
    """Somebody on the ground: `east_cm`, `north_cm`, `yaw` (256ths of a turn) and `state` are as a pose has them."""

    def __init__(self, random: Random, routes: Routes, at: Point, gait: Gait) -> None:
        self.random, self.routes, self.gait = random, routes, gait
        self.speed_cm_s = random.uniform(*gait.speed_m_s) * 100
        self.state, self.yaw = STAND, random.randrange(256)
        self._east, self._north = float(at[0]), float(at[1])
        self._way: list[Point] = []  # still to pass, the next one last
        self._walked_s = 0.0
        self._corrected_s: list[float] = []  # on this way

    @property
    def east_cm(self) -> int:
        return round(self._east)

    @property
    def north_cm(self) -> int:
        return round(self._north)

    @property
    def moving(self) -> bool:
        """Whether it is on its way."""
        return bool(self._way)

    @property
    def way_cm(self) -> float:
        """How far it still has to go."""
        points = [(self._east, self._north), *reversed(self._way)]
        return sum(math.dist(a, b) for a, b in pairwise(points))

    @property
    def pose(self) -> Pose:
        """Where it is, as its node is told."""
        return Pose(round(self._east), round(self._north), 0, self.yaw, self.state)

    def go(self, goal: Point) -> bool:
        """Sets out; whether there is a way."""
        way = self.routes.way((self.east_cm, self.north_cm), goal)
        if way is None:
            self.stop()
            return False
        self._way = list(reversed(way))
        self._corrected_s.clear()
        self.state = self.gait.state
        self.face(self._way[-1])
        return True

    def stop(self) -> None:
        """Stands still."""
        self._way.clear()
        self.state = STAND

    def put(self, pose: Pose) -> bool:
        """It is there now, whatever it thought, and goes on to where it wanted; False if that seems hopeless."""
        self._east, self._north = float(pose.east_cm), float(pose.north_cm)
        if not self._way:
            return True
        corrected_s = [at_s for at_s in self._corrected_s if self._walked_s - at_s < PATIENCE_S]
        corrected_s.append(self._walked_s)
        if len(corrected_s) > PATIENCE or not self.go(self._way[0]):
            self.stop()
            return False
        self._corrected_s = corrected_s
        return True

    def walk(self, seconds: float) -> bool:
        """Goes on for so long; whether it has arrived."""
        self._walked_s += seconds
        left_cm = self.speed_cm_s * seconds
        while self._way:
            east, north = self._way[-1]
            east_way, north_way = east - self._east, north - self._north
            way_cm = math.hypot(east_way, north_way)
            if way_cm > left_cm:
                self._east += east_way * left_cm / way_cm
                self._north += north_way * left_cm / way_cm
                return False
            self._east, self._north = float(east), float(north)
            left_cm -= way_cm
            self._way.pop()
            if self._way:
                self.face(self._way[-1])
        self.state = STAND
        return True

    def face(self, point: Point) -> None:
        """Turns towards a point."""
        turn = math.atan2(point[0] - self._east, point[1] - self._north) / math.tau
        self.yaw = round(turn * 256) & 0xFF
