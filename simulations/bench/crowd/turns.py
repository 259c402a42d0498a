"""Reading thousands of sockets once a tick each, spread over the tick, without asking the system which are ready.

Everybody is sent one frame a tick, so a socket whose turn it is has nearly always something, and a read that finds
nothing costs less than being told of all the others. Rows that hold whole packed messages are looked at together; what
else there is, a control message or the beginning of a message, is handed on to be read the slow way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from simulations.bench.crowd.rows import ROW_SLACK, look_at_rows
from simulations.bench.crowd.sockets import WOULD_BLOCK

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

__all__ = ["Hearer", "Turns"]

ROWS: Final = 256
ROW_BYTES: Final = 8_192  # three ticks of what a client is sent


class Hearer(Protocol):
    """Who is told what was read."""

    def heard(
        self, bots: NDArray[np.int64], sizes: NDArray[np.int64], acks: NDArray[np.int64], now_s: float
    ) -> None:
        """These bots, which differ, received so many bytes; acks are -1 where there was no POSES."""

    def take(self, bot: int, data: bytes, now_s: float) -> None:
        """The part of it that has to be read the slow way."""

    def ended(self, bot: int, now_s: float) -> None:
        """A socket came to its end."""


class Turns:
    """The sockets of `count` bots that are read in turn: at most one a bot, added when it plays."""

    def __init__(self, count: int, hearer: Hearer) -> None:
        self._count, self._hearer = count, hearer
        self._recv_of: list[Callable[[Any], int] | None] = [None] * count
        self._cut: set[int] = set()  # those whose last message is not whole yet
        self._turn, self._round_s = 0, 0.0
        self._buffer = np.zeros((ROWS, ROW_BYTES + ROW_SLACK), np.uint8)
        self._rows = [memoryview(self._buffer[i])[:ROW_BYTES] for i in range(ROWS)]

    def add(self, bot: int, recv: Callable[[Any], int]) -> None:
        """From now on `recv` reads this bot's socket, which is between two messages."""
        self._recv_of[bot] = recv

    def remove(self, bot: int) -> None:
        """This bot's socket is not read any more."""
        self._recv_of[bot] = None
        self._cut.discard(bot)

    def is_cut(self, bot: int, cut: bool) -> None:
        """Whether this bot has read the beginning of a message: then all that follows is read the slow way."""
        (self._cut.add if cut else self._cut.discard)(bot)

    def read(self, now_s: float, tick_s: float) -> None:
        """Reads those whose turn it is: everybody once in `tick_s`."""
        turns = min(self._count, int((now_s - self._round_s) / tick_s * self._count))
        self._round_s += turns * tick_s / self._count
        if now_s - self._round_s > tick_s:
            self._round_s = now_s  # what was missed is read in the next round
        self.read_these(((self._turn + i) % self._count for i in range(turns)), now_s)
        self._turn = (self._turn + turns) % self._count

    def read_these(self, turn: Iterable[int], now_s: float) -> int:
        """Reads these once each; returns how many had something."""
        rows, recv_of, cut = self._rows, self._recv_of, self._cut
        bots: list[int] = []
        sizes: list[int] = []
        found = 0
        for bot in turn:
            recv = recv_of[bot]
            if recv is None:
                continue
            try:
                size = recv(rows[len(bots)])
            except WOULD_BLOCK:
                continue
            except OSError:
                size = 0
            found += 1
            if size == 0:
                self._hearer.ended(bot, now_s)
            elif bot in cut:
                data = bytes(rows[len(bots)][:size])
                self._hearer.heard(np.array([bot]), np.array([size]), np.array([-1]), now_s)
                self._hearer.take(bot, data, now_s)
            else:
                bots.append(bot)
                sizes.append(size)
                if len(bots) == ROWS:
                    self._look(bots, sizes, now_s)
                    bots, sizes = [], []
        if bots:
            self._look(bots, sizes, now_s)
        return found

    def _look(self, bots: list[int], sizes: list[int], now_s: float) -> None:
        """Rows 0 to n of the buffer were received by these bots."""
        size = np.array(sizes)
        at, acks = look_at_rows(self._buffer, size)
        self._hearer.heard(np.array(bots), size, acks, now_s)
        for one in np.flatnonzero(at < size).tolist():
            if self._recv_of[bots[one]] is not None:
                self._hearer.take(bots[one], bytes(self._rows[one][at[one] : sizes[one]]), now_s)
