"""The server's time as a client knows it: what WELCOME told, corrected by the quickest way any frame has come since."""

from __future__ import annotations

__all__ = ["ServerClock"]

_SERIAL = 1 << 32


class ServerClock:
    """`ahead_ms` is the node's Unix milliseconds less the client's own clock in milliseconds."""

    def __init__(self) -> None:
        self.ahead_ms = 0.0
        self._welcome_ms = self._welcome_t_ms = 0

    def welcomed(self, time_ms: int, t_ms: int, now_s: float) -> None:
        """WELCOME tied the node's frame clock `t_ms` to Unix milliseconds."""
        self._welcome_ms, self._welcome_t_ms = time_ms, t_ms
        self.ahead_ms = time_ms - now_s * 1000

    def heard(self, t_ms: int, now_s: float) -> None:
        """A frame marked `t_ms` has come."""
        since_ms = (t_ms - self._welcome_t_ms) % _SERIAL
        if since_ms < _SERIAL // 2:
            # whatever is late tells of an earlier time: the latest told is the truest
            self.ahead_ms = max(self.ahead_ms, self._welcome_ms + since_ms - now_s * 1000)

    def unix_ms(self, now_s: float) -> int:
        """The Unix milliseconds of the node's clock, late by the quickest way any frame has come since WELCOME."""
        return round(now_s * 1000 + self.ahead_ms)
