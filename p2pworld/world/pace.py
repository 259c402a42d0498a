"""Phase-locking clients to the tick: a pose that arrives just before the tick is young when others see it.

Without it half of all poses wait half a tick. Each client is asked at most every `PACE_EVERY_S` to shift its sending so
that its poses arrive `PACE_LEAD_MS` before the tick, and only if they come outside of the window around that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from p2pworld.limits import CLIENTS_MAX, PACE_EVERY_S, PACE_LEAD_MS, PACE_PER_TICK, PACE_WINDOW_MS

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Pacer"]


class Pacer:
    """When each play socket's last pose arrived, and when it was last asked to shift."""

    def __init__(self) -> None:
        self._arrived_s = np.full(CLIENTS_MAX, -np.inf)
        self._asked_s = np.full(CLIENTS_MAX, -np.inf)

    def arrived(self, conns: NDArray[np.int32], now_s: float) -> None:
        """Poses came from these sockets."""
        self._arrived_s[conns] = now_s

    def opened(self, conn: int, now_s: float) -> None:
        """A new socket under an old number: measure first."""
        self._arrived_s[conn] = -np.inf
        self._asked_s[conn] = now_s

    def shifts(self, tick_s: float, tick_ms: int) -> list[tuple[int, int]]:
        """At the tick at `tick_s`: which sockets to ask for which shift in ms (later is positive)."""
        due = tick_s - self._asked_s >= PACE_EVERY_S
        due &= tick_s - self._arrived_s < 2 * tick_ms / 1000
        conns = due.nonzero()[0]
        if len(conns) == 0:
            return []
        early_ms = (tick_s - self._arrived_s[conns]) * 1000 % tick_ms
        low_ms, high_ms = PACE_WINDOW_MS
        off = ((early_ms < low_ms) | (early_ms > high_ms)).nonzero()[0][:PACE_PER_TICK]
        conns, shift_ms = conns[off], early_ms[off] - PACE_LEAD_MS
        self._asked_s[conns] = tick_s
        return list(zip(conns.tolist(), np.rint(shift_ms).astype(int).tolist(), strict=True))
