"""Those who ride: they walk to a stop, wait for the tour bus, ride a stop or three, get off, and look around.

Where a bus is follows from the time alone, so a rider knows when to ask for a seat and when to get off; whether it
rides is what its node says: it is put aboard, and put down.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from client.lives.life import Life, Travel
from client.walk import STAND, STROLL
from p2pworld.limits import BOARD_CM
from p2pworld.messages import Pose
from p2pworld.world.crowd import RIDE
from p2pworld.world.vehicles import STOPS, place, places, stopping

if TYPE_CHECKING:
    from random import Random

    from client.lives.ground import Ground

__all__ = ["Rider"]

LOOK_S: Final = 1.0
ASK_AGAIN_S: Final = 4.0
RIDES_S_MAX: Final = 900.0  # who missed its stop gets off at the next after this
STAY_S: Final = (5.0, 20.0)
STOPS_AHEAD: Final = 3


class Rider(Life):
    """Rides from stop to stop among those of its ground."""

    role = "rider"

    def __init__(self, random: Random, ground: Ground, number: int) -> None:
        self._legs = _legs(ground.stops)
        self._stop, self._to = random.choice(self._legs) if self._legs else (0, 0)
        at = ground.near(STOPS[self._stop].position_cm, random, 300)
        super().__init__(random, ground, number, at, STROLL)
        self.bus = 0
        self._asked_s = self._rode_s = 0.0

    def stay(self, seconds: float) -> None:
        self._rest_s -= seconds
        self._asked_s -= seconds
        if self.bus:
            self._ride(seconds)
        elif self._rest_s <= 0 and self._asked_s <= 0:
            self._asked_s = LOOK_S
            if stopping(self.east_cm, self.north_cm, BOARD_CM, places(self.now_ms)):
                self._asked_s = ASK_AGAIN_S
                self.wishes.append(Travel("bus"))

    def _ride(self, seconds: float) -> None:
        """Where the bus is; asks to get off at the stop it wants."""
        self._rode_s += seconds
        at = place(self.bus, self.now_ms)
        self._east, self._north = float(at.east_cm), float(at.north_cm)
        self.yaw, self.state = at.yaw, RIDE
        wanted = at.stop == self._to or (at.stop is not None and self._rode_s > RIDES_S_MAX)
        if wanted and self._asked_s <= 0:
            self._asked_s = ASK_AGAIN_S
            self.wishes.append(Travel("off"))

    def placed(self, pose: Pose, reason: str) -> None:
        rode, self.bus = self.bus, 0
        if pose.state == RIDE and reason != "ride":
            self.stop()
            self.bus = rode or stopping(pose.east_cm, pose.north_cm, BOARD_CM, places(self.now_ms))
        if self.bus:
            self._rode_s = 0.0 if not rode else self._rode_s
            self.state = RIDE
            return
        if self.state == RIDE:
            self.state = STAND
        super().placed(Pose(pose.east_cm, pose.north_cm, 0, pose.yaw, STAND), reason)
        if rode:
            self.set_out()

    def set_out(self) -> None:
        """Off the bus: a little walk, and to a stop again."""
        if not self._legs:
            self.rest(STAY_S[1])
            return
        self._stop, self._to = self.random.choice(self._legs)
        self.rest(self.random.uniform(*STAY_S))
        self.go(self.ground.near(STOPS[self._stop].position_cm, self.random, 300))


def _legs(stops: tuple[int, ...]) -> list[tuple[int, int]]:
    """The rides that stay among these stops: from one to another at most STOPS_AHEAD later, with none outside."""
    here = set(stops)
    legs = []
    for stop in stops:
        for ahead in range(1, STOPS_AHEAD + 1):
            to = (stop + ahead) % len(STOPS)
            if to not in here:
                break
            legs.append((stop, to))
    return legs
