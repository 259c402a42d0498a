"""Doors: how many of one address may stand at a node's door at once, and how fast they may come.

A connection is half open from when it is accepted until its HELLO has come. The table of those is bounded for all
together, so one address may have a quarter of it at most: that is a school whose thousand pupils come within seconds
through one address, and leaves three quarters to everybody else. An IPv6 address counts with its whole /64, which is
one customer's. How much one address may file is bounded as well, by sockets and by HTTP together: so that a rush for
places goes through one address of a carrier, and who sends without end is sent away cheaply. So is what it attaches.
Loopback is never limited, nor are the networks given, where a proxy stands for many.

No clock and no socket here: the caller tells the time and what became of each connection.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from p2pworld.limits import (
    ATTACHMENT_MIB_BURST_ADDRESS,
    ATTACHMENT_MIB_PER_S_ADDRESS,
    ATTACHMENTS_BURST_ADDRESS,
    ATTACHMENTS_PER_S_ADDRESS,
    DOOR_ADDRESSES_MAX,
    DOOR_BURST,
    DOOR_HALF_OPEN_MAX,
    DOOR_PER_S,
    FILES_BURST_ADDRESS,
    FILES_PER_S_ADDRESS,
)
from p2pworld.world.bucket import Bucket

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Doors", "Network"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_CUSTOMER_BITS: Final = 64  # of an IPv6 address


@dataclass(slots=True)
class _Door:
    """One address: its half-open connections, how many more may come at once, how much may be filed and attached."""

    half_open: int
    coming: Bucket
    filing: Bucket
    attaching: Bucket
    carrying: Bucket  # in MiB


class Doors:
    """Who is at the door. Each `may_enter` that says yes is followed by one `opened` or one `closed`."""

    def __init__(self, unlimited: Iterable[Network] = ()) -> None:
        self._unlimited = tuple(unlimited)
        # to read an address costs more than to count what it files
        self._named = lru_cache(DOOR_ADDRESSES_MAX)(self._name)
        self._doors: dict[str, _Door] = {}  # in the order of the last that came

    def may_enter(self, address: str, now_s: float) -> bool:
        """Whether one more connection of this address may be accepted now; it is half open from now on."""
        name = self._named(address)
        if name is None:
            return True
        door = self._door(name, now_s)
        if door.half_open >= DOOR_HALF_OPEN_MAX or not door.coming.take(DOOR_PER_S, DOOR_BURST, now_s):
            return False
        door.half_open += 1
        return True

    def may_file(self, address: str, now_s: float) -> bool:
        """Whether one more thing that this address files may be taken now."""
        name = self._named(address)
        if name is None:
            return True
        return self._door(name, now_s).filing.take(FILES_PER_S_ADDRESS, FILES_BURST_ADDRESS, now_s)

    def may_attach(self, address: str, now_s: float) -> bool:
        """Whether one more file that this address brings may be taken now."""
        name = self._named(address)
        if name is None:
            return True
        attaching = self._door(name, now_s).attaching
        return attaching.take(ATTACHMENTS_PER_S_ADDRESS, ATTACHMENTS_BURST_ADDRESS, now_s)

    def may_carry(self, address: str, size: int, now_s: float) -> bool:
        """Whether so many more bytes of such files may be taken now."""
        name = self._named(address)
        if name is None:
            return True
        carrying = self._door(name, now_s).carrying
        per_s, burst = ATTACHMENT_MIB_PER_S_ADDRESS, ATTACHMENT_MIB_BURST_ADDRESS
        return carrying.take(per_s, burst, now_s, size / (1 << 20))

    def whose(self, address: str) -> str:
        """Whom what comes from this address counts as: the address, or a customer's whole network."""
        return self._named(address) or address

    def opened(self, address: str) -> None:
        """A half-open connection of this address has said who it is."""
        self.closed(address)

    def closed(self, address: str) -> None:
        """A half-open connection of this address is gone."""
        name = self._named(address)
        door = self._doors.get(name) if name is not None else None
        if door is not None and door.half_open:
            door.half_open -= 1

    def half_open(self, address: str) -> int:
        """How many connections of this address are half open, of those that are counted."""
        name = self._named(address)
        door = self._doors.get(name) if name is not None else None
        return door.half_open if door is not None else 0

    def _door(self, name: str, now_s: float) -> _Door:
        """This address's door, the last of all from now on."""
        door = self._doors.pop(name, None)
        if door is None:
            door = _Door(
                0,
                Bucket(DOOR_BURST, now_s),
                Bucket(FILES_BURST_ADDRESS, now_s),
                Bucket(ATTACHMENTS_BURST_ADDRESS, now_s),
                Bucket(ATTACHMENT_MIB_BURST_ADDRESS, now_s),
            )
            self._make_room()
        self._doors[name] = door
        return door

    def _make_room(self) -> None:
        """Forget whoever came longest ago; with nobody at the door there is little to remember."""
        while len(self._doors) >= DOOR_ADDRESSES_MAX:
            oldest = next(iter(self._doors))
            idle = (name for name, door in self._doors.items() if not door.half_open)
            del self._doors[next(idle, oldest)]

    def _name(self, address: str) -> str | None:
        """What counts as one address; None if it is not limited."""
        try:
            one = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return address  # a kind of address this module does not know: each counts for itself
        if isinstance(one, ipaddress.IPv6Address) and one.ipv4_mapped is not None:
            one = one.ipv4_mapped
        if one.is_loopback or any(one in network for network in self._unlimited):
            return None
        if isinstance(one, ipaddress.IPv6Address):
            return str(ipaddress.ip_network((one, _CUSTOMER_BITS), strict=False))
        return str(one)
