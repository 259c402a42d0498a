"""What a node tells the systemd that started it: that it is ready, that it ends, and that its loop still turns.

The protocol of sd_notify(3): datagrams of `NAME=value` lines to the socket that the environment names. Without that
nobody is told anything.
"""

from __future__ import annotations

import logging
import math
import os
import socket
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Supervisor"]

BEATS: Final = 3  # within the time after which systemd takes the node for hung

log = logging.getLogger(__name__)


class Supervisor:
    """The systemd of this environment, or nobody. It is asked to watch this process only if `environment` says so."""

    def __init__(self, environment: Mapping[str, str], pid: int | None = None) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        watched = environment.get("WATCHDOG_PID", "") in ("", str(os.getpid() if pid is None else pid))
        text = environment.get("WATCHDOG_USEC", "")
        patience_s = int(text) / 1e6 if watched and text.isascii() and text.isdigit() else 0.0
        self._beat_s = patience_s / BEATS if patience_s else math.inf

    def tell(self, *lines: str) -> None:
        """Says one or more lines such as READY=1; one that nobody takes is lost."""
        if not self._address:
            return
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
                sock.sendto("\n".join(lines).encode(), address)
        except OSError as error:
            log.warning("systemd could not be told: %s", error.strerror)

    async def run(self) -> None:
        """Says for ever that the loop turns, if somebody watches."""
        while self._address and self._beat_s < math.inf:
            self.tell("WATCHDOG=1")
            await trio.sleep(self._beat_s)
