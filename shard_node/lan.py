"""The local network: a node says there that it exists, and hears who else does, by multicast DNS (RFC 6762, RFC 6763).

The library does this in a thread of its own and remembers all it hears; a flood makes it forget everything and begin
anew. What it remembers is looked at now and then. Where multicast does not work nothing is heard, and the city needs
none of it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from typing import TYPE_CHECKING, Final

import trio
import zeroconf
from zeroconf._dns import DNSPointer

from p2pworld.limits import HINTS_MAX, LAN_LOOK_S, LAN_RECORDS_MAX
from shard_node.discovery import SERVICE, Announcement, Hints, is_instance

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["look", "run"]

ANSWER_S: Final = 10.0  # of the library's thread
AGAIN_S: Final = 60.0  # before multicast is tried again where it failed

log = logging.getLogger(__name__)


class _Deaf(zeroconf.ServiceListener):
    """The library insists on telling somebody; what it remembers is looked at instead, as much as is wanted."""

    def add_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Nothing."""

    def update_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Nothing."""

    def remove_service(self, zc: zeroconf.Zeroconf, type_: str, name: str) -> None:
        """Nothing."""


class _Lan:
    """One session with the library. All its methods block; they are called in worker threads."""

    def __init__(self, interfaces: Sequence[str]) -> None:
        choice = list(interfaces) or zeroconf.InterfaceChoice.All
        self._zc = zeroconf.Zeroconf(interfaces=choice, ip_version=zeroconf.IPVersion.V4Only)

    def listen(self) -> None:
        zeroconf.ServiceBrowser(self._zc, SERVICE, listener=_Deaf())

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

    def heard(self) -> tuple[set[str], list[zeroconf.ServiceInfo]]:
        """The names of all nodes that are announced, and what is said of them; of some by chance if they are many."""
        assert self._zc.loop is not None, "the library has started its thread"
        return asyncio.run_coroutine_threadsafe(self._remembered(), self._zc.loop).result(ANSWER_S)

    async def _remembered(self) -> tuple[set[str], list[zeroconf.ServiceInfo]]:
        """The same, in the library's thread, which changes what it remembers."""
        names = set[str]()
        for record in self._zc.cache.entries_with_name(SERVICE):
            if isinstance(record, DNSPointer) and is_instance(record.alias):
                names.add(record.alias)
        some = random.sample(sorted(names), min(len(names), HINTS_MAX))
        found = [zeroconf.ServiceInfo(SERVICE, name) for name in some]
        return names, [info for info in found if info.load_from_cache(self._zc)]

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
    names, found = await trio.to_thread.run_sync(session.heard)
    hints.keep(names)
    for info in found:
        addresses = info.parsed_addresses(zeroconf.IPVersion.V4Only)
        hints.heard(info.name, info.properties, addresses, info.port or 0)


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
            await _gather(session, hints)
            await trio.sleep(LAN_LOOK_S)
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
