"""Where the bots of one process stand and walk: columns, moved many at a time, never out of their box."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["STAND_S", "Walks"]

STAND_S: Final = 1.0  # who stands sends a pose as often
WALK_CM_S: Final = (90.0, 160.0)
TURN: Final = 0.15  # radians a step, one standard deviation
STEP_S_MAX: Final = 0.5  # after a pause nobody makes up for more than this


class Walks:
    """`count` bots in `box` (west, south, east, north): `east` and `north` in centimetres, and which are `moving`.

    `scale` makes them so many times slower than people.
    """

    def __init__(
        self,
        count: int,
        box: tuple[int, int, int, int],
        standing: float,
        scale: float,
        rng: np.random.Generator,
    ) -> None:
        self._box, self._scale, self._rng = box, scale, rng
        west, south, east, north = box
        self.moving: NDArray[np.bool_] = rng.random(count) >= standing
        self.east: NDArray[np.float64] = rng.uniform(west, east, count)
        self.north: NDArray[np.float64] = rng.uniform(south, north, count)
        self._heading = rng.uniform(0, 2 * math.pi, count)
        self._cm_s = rng.uniform(*WALK_CM_S, count) / scale
        self._stepped_s = np.zeros(count)

    def place(self, bot: int, east_cm: int, north_cm: int, now_s: float) -> None:
        """A bot stands there now."""
        self.east[bot], self.north[bot] = east_cm, north_cm
        self._stepped_s[bot] = now_s

    def step(self, bots: NDArray[np.intp], now_s: float) -> None:
        """A step of those of these who move: they turn a little, and around at the edge of the box."""
        bots = bots[self.moving[bots]]
        if len(bots) == 0:
            return
        seconds = np.minimum(now_s - self._stepped_s[bots], STEP_S_MAX * self._scale)
        self._stepped_s[bots] = now_s
        heading = self._heading[bots] + self._rng.normal(0, TURN, len(bots))
        way = self._cm_s[bots] * seconds
        east = self.east[bots] + way * np.sin(heading)
        north = self.north[bots] + way * np.cos(heading)
        west, south, east_most, north_most = self._box
        heading = np.where((east < west) | (east > east_most), -heading, heading)
        heading = np.where((north < south) | (north > north_most), math.pi - heading, heading)
        self.east[bots] = np.clip(east, west, east_most)
        self.north[bots] = np.clip(north, south, north_most)
        self._heading[bots] = heading % (2 * math.pi)
