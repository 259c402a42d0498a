"""Who reads too slowly, judged by what clients themselves acknowledge.

Each POSE carries bits 6 to 13 of the `t_ms` of the frame its client read last: steps of 64 ms, unambiguous within
16.4 s. A client is *behind* by as much as that frame is older than the one three ticks ago: the newest may still be on
its way, and a busy node sends late. One that is behind by over `BEHIND_SLOW_MS` gets every second frame
until it is behind by less than `BEHIND_GOOD_MS`; one that is behind by over `BEHIND_LOST_MS` is to be let go.

A client is judged from the first time on that its ack changed and was in time. One that always says the same, as a
program that acknowledges nothing does, is never judged here; its socket alone shows whether it reads.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.limits import BEHIND_GOOD_MS, BEHIND_LOST_MS, BEHIND_SLOW_MS, CLIENTS_MAX

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Readers"]

_STEP_BITS: Final = 6
_SPARED_TICKS: Final = 3
# so many steps behind or more is 4 s ahead or less: a newer frame, ticks being at most 1 s long
_AHEAD: Final = np.uint8(192)
_SLOW, _GOOD, _LOST = (
    np.uint8(limit_ms >> _STEP_BITS) for limit_ms in (BEHIND_SLOW_MS, BEHIND_GOOD_MS, BEHIND_LOST_MS)
)
assert _LOST < _AHEAD


class Readers:
    """What each play socket's client last acknowledged; `slow` are those that get every second frame."""

    def __init__(self, clients: int = CLIENTS_MAX) -> None:
        self.slow = np.zeros(clients, np.bool_)
        self._ack = np.zeros(clients, np.uint8)
        self._heard = np.zeros(clients, np.bool_)
        self._judged = np.zeros(clients, np.bool_)
        self._framed_ms: deque[int] = deque([0], _SPARED_TICKS + 1)
        self._ticks = 0

    def opened(self, conn: int) -> None:
        """A new socket under an old number: nothing is known of it."""
        self.slow[conn] = self._heard[conn] = self._judged[conn] = False

    def framed(self, t_ms: int) -> None:
        """The frames of this moment leave now."""
        self._framed_ms.append(t_ms)
        self._ticks += 1

    def dropped(self) -> None:
        """The frames before the newest never left: nobody can have read them."""
        if len(self._framed_ms) > 1:
            del self._framed_ms[-2]

    def acked(self, conns: NDArray[np.int32], acks: NDArray[np.uint8]) -> list[int]:
        """Poses with these acks came from these sockets, in order; which of those are behind beyond hope, once."""
        behind = np.uint8(self._framed_ms[0] >> _STEP_BITS & 0xFF) - acks
        behind[behind >= _AHEAD] = 0
        self._judged[conns] |= self._heard[conns] & (acks != self._ack[conns]) & (behind <= _SLOW)
        self._heard[conns] = True
        self._ack[conns] = acks
        was = self.slow[conns]
        self.slow[conns] = self._judged[conns] & (behind > np.where(was, _GOOD, _SLOW))
        lost = conns[was & (behind > _LOST) & self._judged[conns]]
        self._judged[lost] = self.slow[lost] = False
        return list(dict.fromkeys(lost.tolist()))

    def resting(self) -> frozenset[int]:
        """The slow ones that get no frame this tick: every second tick all with an even number, else those with odd."""
        slow = self.slow.nonzero()[0]
        return frozenset(slow[(slow + self._ticks) % 2 == 0].tolist())
