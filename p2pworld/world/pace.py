"""Phase-locking clients to the tick: a pose that arrives just before the tick is young when others see it.

Without it half of all poses wait half a tick. A client is asked to shift its sending so that its poses arrive
`PACE_LEAD_MS` before the tick, and only if they come outside of the window around that; after `PACE_EVERY_S` again, and
each further time after twice as long, so that one whose way to here is uneven is not told for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from p2pworld.limits import (
    CLIENTS_MAX,
    PACE_EVERY_MOST_S,
    PACE_EVERY_S,
    PACE_LEAD_MS,
    PACE_PER_TICK,
    PACE_WINDOW_MS,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pacer"]


class Pacer:
    """When each play socket's last pose arrived, and when it may be asked to shift."""

    def __init__(self) -> None:
        self._arrived_s = np.full(CLIENTS_MAX, -np.inf)
        self._due_s = np.full(CLIENTS_MAX, -np.inf)  # when it may be asked again
        self._wait_s = np.full(CLIENTS_MAX, PACE_EVERY_S)  # how long after that

    def arrived(self, conns: NDArray[np.int32], now_s: float) -> None:
        """Poses came from these sockets."""
        self._arrived_s[conns] = now_s

    def opened(self, conn: int, now_s: float) -> None:
        """A new socket under an old number: measure first."""
        self._arrived_s[conn] = -np.inf
        self._due_s[conn] = now_s + PACE_EVERY_S
        self._wait_s[conn] = PACE_EVERY_S

    def tick_changed(self, now_s: float) -> None:
        """The tick has another length: whoever was in step may be no longer, so all may be asked at once."""
        np.minimum(self._due_s, now_s, out=self._due_s)
        self._wait_s[:] = PACE_EVERY_S

    def shifts(self, tick_s: float, tick_ms: int) -> list[tuple[int, int]]:
        """At the tick at `tick_s`: which sockets to ask for which shift in ms (later is positive)."""
        due = self._due_s <= tick_s
        due &= tick_s - self._arrived_s < 2 * tick_ms / 1000
        conns = due.nonzero()[0]
        if len(conns) == 0:
            return []
        early_ms = (tick_s - self._arrived_s[conns]) * 1000 % tick_ms
        low_ms, high_ms = PACE_WINDOW_MS
        off = (early_ms < low_ms) | (early_ms > high_ms)
        good = conns[~off]
        self._due_s[good] = tick_s + PACE_EVERY_S
        self._wait_s[good] = PACE_EVERY_S
        asked = off.nonzero()[0][:PACE_PER_TICK]
        conns, shift_ms = conns[asked], early_ms[asked] - PACE_LEAD_MS
        self._due_s[conns] = tick_s + self._wait_s[conns]
        self._wait_s[conns] = np.minimum(2 * self._wait_s[conns], PACE_EVERY_MOST_S)
        return list(zip(conns.tolist(), np.rint(shift_ms).astype(int).tolist(), strict=True))
