"""Where a node's time goes: the seconds of CPU that its loop spends in each stage, and how long it has to wait.

Both are counted always, because they cost a few hundred nanoseconds a stage and some fifty stages a tick, and are told
in /metrics. CPU is this thread's own: what others take from it on a busy machine does not show.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["LATE_S", "WAIT_S", "Histogram", "Stages"]

LATE_S: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)  # a wake-up, against a tick
WAIT_S: Final = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
)  # a disk, a store, against a lease
REST: Final = "rest"


class _Stage:
    """One stage as a context; a stage within it has its own time, which is not the outer one's."""

    __slots__ = ("_name", "_outer", "_stages")

    def __init__(self, stages: Stages, name: str) -> None:
        self._stages, self._name = stages, name
        self._outer = REST

    def __enter__(self) -> None:
        self._outer = self._stages.turn(self._name)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stages.turn(self._outer)


class Stages:
    """Seconds of CPU by stage: whatever is in no stage is `rest`. No stage spans an await."""

    def __init__(self, cpu_s: Callable[[], float] = time.thread_time) -> None:
        self._cpu_s = cpu_s
        self._spent_s: defaultdict[str, float] = defaultdict(float)
        self._now, self._since_s = REST, cpu_s()

    def timed(self, name: str) -> _Stage:
        """The stage `name`, for a `with`; never one within itself."""
        return _Stage(self, name)

    def turn(self, name: str) -> str:
        """What follows belongs to `name`; returns what came before belonged to."""
        cpu_s, was = self._cpu_s(), self._now
        self._spent_s[was] += cpu_s - self._since_s
        self._now, self._since_s = name, cpu_s
        return was

    def spent_s(self) -> dict[str, float]:
        """Seconds of CPU so far, by stage."""
        self.turn(self._now)
        return dict(sorted(self._spent_s.items()))


class Histogram:
    """How long something took, each time: `counts[i]` took at most `bounds_s[i]`, and the last longer than all."""

    def __init__(self, bounds_s: tuple[float, ...] = LATE_S) -> None:
        self.bounds_s = bounds_s
        self.counts = [0] * (len(bounds_s) + 1)
        self.sum_s = 0.0

    def took(self, seconds: float) -> None:
        """It took so long this time."""
        self.counts[bisect_left(self.bounds_s, seconds)] += 1
        self.sum_s += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """(bound in s, how many took at most that), rising, as Prometheus reads them."""
        bounds = [*(str(bound_s) for bound_s in self.bounds_s), "+Inf"]
        return list(zip(bounds, map(float, accumulate(self.counts)), strict=True))
