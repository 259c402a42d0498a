"""When a node cannot keep up: what is given up, in which order, and how it comes back.

Each tick is told how much of the time since the last one the node's loop was used (`busy`: 1.0 is all of it, more means
that ticks were missed). Running out of time leads one step down `At`, time to spare one step up: first the outer tiers
of what is seen get thinner, then the tick itself gets longer, and everybody is told. Going down takes OVER_TICKS ticks
running, going up EASE_S of enough room, so a short fright changes nothing and the end of a rush is felt within seconds.
A step up is taken only when what it costs fits, so a steady crowd comes to rest at one step.

Nothing is shed silently: every step is counted by its name, and the node tells its load to its clients, its operator
and the other nodes (`messages.Load`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from p2pworld.limits import EASE_S, OVER_BUSY, OVER_TICKS, TICK_MS_MAX
from p2pworld.world.interest import Shed

__all__ = ["MEANS", "TABLE", "At", "Means", "On", "Overload"]


class At(Enum):
    """Where a node stands, from all to least."""

    WHOLE = auto()  # everything is shown
    NO_FIFTHS = auto()  # nobody is shown at a fifth of the rate: the far ones are only counted
    NO_HALVES = auto()  # nor at half of it: the nearest are shown, all others counted
    COUNTS_SELDOM = auto()  # and those are counted once a second
    SLOW = auto()  # the tick is twice as long: 5 Hz
    SLOWEST = auto()  # the tick is five times as long: 2 Hz


class On(Enum):
    """What happens to it."""

    OVERRUN = auto()  # several ticks running used up their time
    EASED = auto()  # for a while there was room enough for the step above


@dataclass(frozen=True, slots=True)
class Means:
    """What a step means: the shed level of the frames, the tick as a multiple of the node's own, the room to go up.

    `room` is how busy the node may be at most for the step above to fit: a tick half as long may cost twice as much.
    """

    shed: Shed
    tick_times: int
    room: float


TABLE: Final[dict[tuple[At, On], At]] = {
    (At.WHOLE, On.OVERRUN): At.NO_FIFTHS,
    (At.NO_FIFTHS, On.OVERRUN): At.NO_HALVES,
    (At.NO_HALVES, On.OVERRUN): At.COUNTS_SELDOM,
    (At.COUNTS_SELDOM, On.OVERRUN): At.SLOW,
    (At.SLOW, On.OVERRUN): At.SLOWEST,
    (At.SLOWEST, On.OVERRUN): At.SLOWEST,
    (At.WHOLE, On.EASED): At.WHOLE,
    (At.NO_FIFTHS, On.EASED): At.WHOLE,
    (At.NO_HALVES, On.EASED): At.NO_FIFTHS,
    (At.COUNTS_SELDOM, On.EASED): At.NO_HALVES,
    (At.SLOW, On.EASED): At.COUNTS_SELDOM,
    (At.SLOWEST, On.EASED): At.SLOW,
}
MEANS: Final[dict[At, Means]] = {
    At.WHOLE: Means(Shed.NOTHING, 1, 1.0),
    At.NO_FIFTHS: Means(Shed.FIFTH_RATE, 1, 0.7),
    At.NO_HALVES: Means(Shed.HALF_RATE, 1, 0.7),
    At.COUNTS_SELDOM: Means(Shed.COUNTS, 1, 0.7),
    At.SLOW: Means(Shed.COUNTS, 2, 0.45),
    At.SLOWEST: Means(Shed.COUNTS, 5, 0.32),
}
_LOAD_S: Final = 1.0  # the load told to others is a mean over about this long


class Overload:
    """One node's step, and its load. `tick_ms` is the tick it is set to."""

    def __init__(self, tick_ms: int) -> None:
        self.counters: Counter[str] = Counter()
        self.at = At.WHOLE
        self.load = 0.0  # the mean of `busy` over the last second or so
        self._own_ms = tick_ms
        self._over = 0  # ticks running that used up their time
        self._room_since_s: float | None = None
        self._ticked_s: float | None = None

    @property
    def tick_ms(self) -> int:
        """The length of a tick now."""
        longest_ms = max(self._own_ms, TICK_MS_MAX)
        return min(self._own_ms * MEANS[self.at].tick_times, longest_ms)

    @property
    def shed(self) -> Shed:
        """What frames leave out."""
        return MEANS[self.at].shed

    @property
    def declines(self) -> bool:
        """Whether newcomers are better sent elsewhere."""
        return self.at is At.SLOWEST

    def tick(self, busy: float, now_s: float) -> bool:
        """One tick, and how busy the loop was since the last; whether the step changed."""
        passed_s = _LOAD_S if self._ticked_s is None else max(0.0, now_s - self._ticked_s)
        self._ticked_s = now_s
        self.load += (busy - self.load) * min(1.0, passed_s / _LOAD_S)
        self._over = self._over + 1 if busy >= OVER_BUSY else 0
        if busy > MEANS[self.at].room:
            self._room_since_s = None
        elif self._room_since_s is None:
            self._room_since_s = now_s
        if self._over >= OVER_TICKS:
            return self._step(On.OVERRUN, now_s)
        if self._room_since_s is not None and now_s - self._room_since_s >= EASE_S:
            return self._step(On.EASED, now_s)
        return False

    def _step(self, on: On, now_s: float) -> bool:
        was, self.at = self.at, TABLE[self.at, on]
        self._over = 0
        self._room_since_s = None if on is On.OVERRUN else now_s
        if self.at is was:
            return False
        self.counters[f"{on.name.lower()}-{self.at.name.lower().replace('_', '-')}"] += 1
        return True
