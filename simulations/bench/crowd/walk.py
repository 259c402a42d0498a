"""Where the bots of one process stand and walk: columns, moved many at a time, never out of their square."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from simulations.bench.crowd.ground import MIDDLE_CM

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Walks"]

WALK_CM_S: Final = (90.0, 160.0)
TURN: Final = 0.15  # radians a step, one standard deviation
STEP_S_MAX: Final = 0.5  # after a pause nobody makes up for more than this


class Walks:
    """`count` bots in a square of `side_cm`: `east` and `north` in centimetres, and which are `moving`.

    `scale` makes them so many times slower than people.
    """

    def __init__(
        self, count: int, side_cm: int, standing: float, scale: float, rng: np.random.Generator
    ) -> None:
        self._half, self._scale, self._rng = side_cm / 2, scale, rng
        self.moving: NDArray[np.bool_] = rng.random(count) >= standing
        self.east: NDArray[np.float64] = MIDDLE_CM[0] + rng.uniform(-self._half, self._half, count)
        self.north: NDArray[np.float64] = MIDDLE_CM[1] + rng.uniform(-self._half, self._half, count)
        self._heading = rng.uniform(0, 2 * math.pi, count)
        self._cm_s = rng.uniform(*WALK_CM_S, count) / scale
        self._stepped_s = np.zeros(count)

    def place(self, bot: int, east_cm: int, north_cm: int, now_s: float) -> None:
        """A bot stands there now."""
        self.east[bot], self.north[bot] = east_cm, north_cm
        self._stepped_s[bot] = now_s

    def step(self, bots: NDArray[np.intp], now_s: float) -> None:
        """A step of those of these who move: they turn a little, and around at the edge of the square."""
        bots = bots[self.moving[bots]]
        if len(bots) == 0:
            return
        seconds = np.minimum(now_s - self._stepped_s[bots], STEP_S_MAX * self._scale)
        self._stepped_s[bots] = now_s
        heading = self._heading[bots] + self._rng.normal(0, TURN, len(bots))
        way = self._cm_s[bots] * seconds
        east = self.east[bots] + way * np.sin(heading)
        north = self.north[bots] + way * np.cos(heading)
        half, (middle_east, middle_north) = self._half, MIDDLE_CM
        heading = np.where(np.abs(east - middle_east) > half, -heading, heading)
        heading = np.where(np.abs(north - middle_north) > half, math.pi - heading, heading)
        self.east[bots] = np.clip(east, middle_east - half, middle_east + half)
        self.north[bots] = np.clip(north, middle_north - half, middle_north + half)
        self._heading[bots] = heading % (2 * math.pi)
