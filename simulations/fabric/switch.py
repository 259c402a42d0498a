"""The switch: takes every packet a host sends, and gives it to the host it is for, as the cable between the two allows.

`Cables` decides, without I/O; the process around it moves packets between the ends of TUN devices it was given
(`python -m simulations.fabric.switch ADDRESS=FD …`), and takes one order a line on its standard input, each answered by
a line once it is in force.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import sys
import time
from dataclasses import dataclass
from typing import Final

__all__ = ["Cable", "Cables", "main"]

_PACKET_BYTES: Final = 65_536
_BURST: Final = 64  # packets of one host in a row, before others have their turn
_IPV4: Final = 4
_WAITING_MAX: Final = 100_000  # delayed packets, of at most 1.5 kB each


@dataclass(frozen=True, slots=True)
class Cable:
    """One direction from one host to another."""

    cut: bool = False
    delay_s: float = 0.0


_PLAIN: Final = Cable()


class Cables:
    """What becomes of each packet between hosts, who are named by the four bytes of their addresses."""

    def __init__(self) -> None:
        self._cables: dict[bytes, Cable] = {}  # source and destination, as they stand in the packet
        self._waiting: list[tuple[float, int, bytes, bytes]] = []
        self._number = 0

    def lay(self, source: bytes, destination: bytes, cable: Cable) -> None:
        """From now on packets of this direction go through this cable; what is under way arrives if it is not cut."""
        if cable == _PLAIN:
            self._cables.pop(source + destination, None)
        else:
            self._cables[source + destination] = cable

    def sent(self, packet: bytes, now_s: float) -> bytes | None:
        """One packet was sent: whom it is to be given to now, or None: lost, or to be given later."""
        way = packet[12:20]
        if len(way) < 8 or packet[0] >> 4 != _IPV4:
            return None
        cable = self._cables.get(way)
        if cable is None:
            return way[4:]
        if not cable.cut and len(self._waiting) < _WAITING_MAX:
            self._number += 1
            heapq.heappush(self._waiting, (now_s + cable.delay_s, self._number, way, packet))
        return None

    @property
    def due_s(self) -> float | None:
        """When the next delayed packet is due."""
        return self._waiting[0][0] if self._waiting else None

    def arrived(self, now_s: float) -> list[tuple[bytes, bytes]]:
        """The delayed packets that are due, in order: (whom for, packet). A cable cut meanwhile has lost its own."""
        due = []
        while self._waiting and self._waiting[0][0] <= now_s:
            _, _, way, packet = heapq.heappop(self._waiting)
            if not self._cables.get(way, _PLAIN).cut:
                due.append((way[4:], packet))
        return due


def _give(fd: int | None, packet: bytes) -> None:
    """A host that is gone, or takes no more, loses the packet, as it would on a real wire."""
    if fd is None:
        return
    try:
        os.write(fd, packet)
    except OSError:
        return


def _obey(cables: Cables, line: str) -> None:
    order = json.loads(line)
    source, destination = (socket.inet_aton(order[end]) for end in ("from", "to"))
    cables.lay(source, destination, Cable(order["cut"], order["delay_ms"] / 1000))


def main(arguments: list[str]) -> None:
    """Moves packets until its standard input ends."""
    ends: dict[bytes, int] = {}
    for argument in arguments:
        address, _, number = argument.partition("=")
        ends[socket.inet_aton(address)] = int(number)
    cables = Cables()
    poll = select.epoll()
    orders = sys.stdin.fileno()
    for fd in (*ends.values(), orders):
        poll.register(fd, select.EPOLLIN)
    told = b""
    print("ready", flush=True)
    while True:
        due_s = cables.due_s
        ready = poll.poll(None if due_s is None else max(0.0, due_s - time.monotonic()))
        for fd, _ in ready:
            if fd == orders:
                data = os.read(orders, _PACKET_BYTES)
                if not data:
                    return
                *lines, told = (told + data).split(b"\n")
                for line in lines:
                    _obey(cables, line.decode())
                    print("done", flush=True)
                continue
            now_s = time.monotonic()
            for _ in range(_BURST):
                try:
                    packet = os.read(fd, _PACKET_BYTES)
                except BlockingIOError:
                    break
                destination = cables.sent(packet, now_s)
                if destination is not None:
                    _give(ends.get(destination), packet)
        for destination, packet in cables.arrived(time.monotonic()):
            _give(ends.get(destination), packet)


if __name__ == "__main__":
    main(sys.argv[1:])
