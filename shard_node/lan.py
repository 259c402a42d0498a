"""The local network: a node says there that it exists, and hears who else does, by multicast DNS (RFC 6762, RFC 6763).

The library does this in a thread of its own and remembers all it hears; a flood makes it forget everything and begin
anew. What it tells waits in a short queue, and is looked at one by one. Where multicast does not work nothing is
heard, and the city needs none of it.
"""

from __future__ import annotations

import logging
import socket
from collections import deque
from typing import TYPE_CHECKING, Final

import trio
import zeroconf

from p2pworld.limits import HINTS_WAITING, LAN_LOOK_S, LAN_RECORDS_MAX
from shard_node.discovery import SERVICE, Announcement, Hints, is_instance

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["look", "run"]

RESOLVE_MS: Final = 500  # for what an announcement did not bring along
AGAIN_S: Final = 60.0  # before multicast is tried again where it failed

log = logging.getLogger(__name__)


class _Ear(zeroconf.ServiceListener):
    """Called in the library's thread: takes names down, as far as there is room."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[str, bool]] = deque()  # a name, and whether it is there or gone
        self.dropped = 0

    def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        self._note(name, True)

    def update_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        self._note(name, True)

    def remove_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        self._note(name, False)

    def _note(self, name: str, there: bool) -> None:
        if len(self.waiting) < HINTS_WAITING:
            self.waiting.append((name, there))
        else:
            self.dropped += 1


class _Lan:
    """One session with the library. All its methods block; they are called in worker threads."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        choice = list(interfaces) or zeroconf.InterfaceChoice.All
        self._zc = zeroconf.Zeroconf(interfaces=choice, ip_version=zeroconf.IPVersion.V4Only)
        self.ear = _Ear()

    def listen(self) -> None:
        zeroconf.ServiceBrowser(self._zc, SERVICE, listener=self.ear)

    def announce(self, told: Announcement, address: str) -> None:
        info = zeroconf.ServiceInfo(
            SERVICE,
            told.instance,
            port=told.port,
            properties=dict(told.text),
            parsed_addresses=[address],
            server=told.instance.partition(".")[0] + ".local.",
        )
        self._zc.register_service(info, cooperating_responders=True)

    def take(self) -> list[tuple[str, zeroconf.ServiceInfo | None]]:
        """What was waiting: names, and what is said of them; None of those that are gone."""
        taken: list[tuple[str, zeroconf.ServiceInfo | None]] = []
        for _ in range(len(self.ear.waiting)):
            name, there = self.ear.waiting.popleft()
            if not there:
                taken.append((name, None))
            elif is_instance(name):
                info = zeroconf.ServiceInfo(SERVICE, name)
                if info.load_from_cache(self._zc) or info.request(self._zc, RESOLVE_MS):
                    taken.append((name, info))
        return taken

    def flooded(self) -> bool:
        return sum(len(records) for records in tuple(self._zc.cache.cache.values())) > LAN_RECORDS_MAX

    def close(self) -> None:
        self._zc.close()


def _address(host: str) -> tuple[str, bool]:
    """The IPv4 address of a host, and whether it is one of this machine's.

    Raises OSError: it has none.
    """
    address = socket.gethostbyname(host)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return address, False
    return address, True


async def _gather(session: _Lan, hints: Hints) -> None:
    for name, info in await trio.to_thread.run_sync(session.take):
        if info is None:
            hints.gone(name)
        else:
            addresses = info.parsed_addresses(zeroconf.IPVersion.V4Only)
            hints.heard(name, info.properties, addresses, info.port or 0)
    hints.counters["dropped"], session.ear.dropped = hints.counters["dropped"] + session.ear.dropped, 0


async def run(hints: Hints, told: Announcement) -> None:
    """Announces a node and gathers hints for ever."""
    while True:
        try:
            await _session(hints, told)
        except (OSError, zeroconf.Error) as error:
            log.warning("no hints from the local network: %s", error, extra={"reason": "multicast"})
            await trio.sleep(AGAIN_S)


async def _session(hints: Hints, told: Announcement) -> None:
    """Until the network floods the library."""
    address, mine = await trio.to_thread.run_sync(_address, told.host)
    session = await trio.to_thread.run_sync(_Lan, [address] if mine else [])
    try:
        await trio.to_thread.run_sync(session.announce, told, address)
        await trio.to_thread.run_sync(session.listen)
        while not await trio.to_thread.run_sync(session.flooded):
            for _ in range(int(LAN_LOOK_S)):
                await trio.sleep(1.0)
                await _gather(session, hints)
        hints.counters["flooded"] += 1
        log.warning("the local network is flooded with announcements", extra={"reason": "flood"})
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(session.close)


async def look(hints: Hints, seconds: float, interfaces: Sequence[str] = ()) -> None:
    """Only hears, for so long.

    Raises OSError: this machine has no multicast.
    """
    session = await trio.to_thread.run_sync(_Lan, list(interfaces))
    try:
        await trio.to_thread.run_sync(session.listen)
        with trio.move_on_after(seconds):
            while True:
                await trio.sleep(0.25)
                await _gather(session, hints)
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(session.close)
