"""Where a client may log in, which of those it tries next, and how long it waits before it does.

Whoever was welcomed somewhere tries that node first; a node that failed comes last. Between attempts it waits longer
each time, and each person waits differently, so that no herd comes to a node that has just started.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BACKOFF_S", "URLS_MAX", "Homes"]

URLS_MAX: Final = 16
BACKOFF_S: Final = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0)


class Homes:
    """The urls of one person (`key`), best first.

    Raises:
        LocalError: there are none.
    """

    def __init__(self, key: bytes, urls: Iterable[str]) -> None:
        self._key = key
        self._urls = list(dict.fromkeys(urls))[:URLS_MAX]
        if not self._urls:
            raise LocalError("a session needs at least one url to log in at")
        self._attempt = 0

    @property
    def best(self) -> str:
        """Where to try next."""
        return self._urls[0]

    def prefer(self, urls: Iterable[str]) -> None:
        """Try these before all others, in this order."""
        self._urls = list(dict.fromkeys((*urls, *self._urls)))[:URLS_MAX]

    def failed(self, url: str) -> None:
        """Try this one after all others."""
        if len(self._urls) > 1 and url in self._urls:
            self._urls.remove(url)
            self._urls.append(url)

    def start_over(self) -> None:
        """The next attempt is a first one."""
        self._attempt = 0

    def wait_s(self) -> float:
        """Seconds until the next attempt, which is begun by asking."""
        longest = BACKOFF_S[min(self._attempt, len(BACKOFF_S) - 1)]
        spread = hashlib.sha256(self._key + self._attempt.to_bytes(4, "big")).digest()[0] / 255
        self._attempt += 1
        return longest * (0.5 + spread / 2)
