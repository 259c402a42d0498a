"""Frames wait for the neighbours' batches of the same tick, so that a crowd across a border is not a tick older.

At a tick every node first tells its neighbours who stands at their border, and draws for its clients when the batches
that are due have come, at most BATCH_WAIT_MS later. A batch is due if its sender's last one came about one of the
sender's ticks ago: who ticks at another phase, or has nothing to tell, is not waited for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.limits import BATCH_WAIT_MS

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation

__all__ = ["Rendezvous", "wait_s"]


def wait_s(tick_ms: int) -> float:
    """How long frames wait at most after a tick of this length began."""
    return min(BATCH_WAIT_MS, tick_ms / 4) / 1000


class Rendezvous:
    """When each neighbour's last batch came, and whose is still to come in this tick."""

    def __init__(self) -> None:
        self._came_s: dict[Incarnation, tuple[float, float]] = {}  # when, and the sender's tick
        self._awaited: set[Incarnation] = set()
        self._began_s: float | None = None  # of a tick that is not drawn yet

    @property
    def undrawn(self) -> bool:
        """Whether a tick has begun whose frames have not been built."""
        return self._began_s is not None

    @property
    def complete(self) -> bool:
        """Whether nobody is waited for."""
        return not self._awaited

    def begin(self, now_s: float, tick_ms: int) -> None:
        """A tick begins now."""
        latest_s = now_s + wait_s(tick_ms)
        self._began_s = now_s
        self._awaited = {
            peer
            for peer, (came_s, tick_s) in self._came_s.items()
            if now_s - tick_s / 2 < came_s + tick_s <= latest_s
        }

    def came(self, peer: Incarnation, sender_tick_ms: int, now_s: float) -> None:
        """A batch came, of a node whose tick is so long."""
        self._came_s[peer] = now_s, sender_tick_ms / 1000
        self._awaited.discard(peer)

    def lost(self, peer: Incarnation) -> None:
        """The link is gone: nothing will come."""
        self._came_s.pop(peer, None)
        self._awaited.discard(peer)

    def drawn(self) -> None:
        """The frames of this tick are built."""
        self._began_s = None
        self._awaited.clear()
