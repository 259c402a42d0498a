"""The network between simulated machines: links of nodes and sockets of players, with every way a network hurts.

A link belongs to two incarnations, is dialled by the one with the smaller key, again and again, and carries batches in
order while it is up; a cut loses what is on its way, and each side hears of it in its own time. Where one direction is
blocked, what is sent waits; three seconds of silence end the link. A play socket is the same with a client at one end.
Beyond what TCP allows, handoff messages may come again, late and out of order: their tables promise to stand that.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from p2pworld.ids import Incarnation
    from simulations.events import Agenda

__all__ = ["KEEP_EVERY_S", "Link", "LinkEnd", "Network", "NetworkOptions", "PlaySocket", "SocketEnd"]

KEEP_EVERY_S: Final = 1.0  # how often each node pings and dials


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """Delays of one way, in seconds, and when a side gives up."""

    link_delay_s: float = 0.004
    link_jitter_s: float = 0.012
    play_delay_s: float = 0.015
    play_jitter_s: float = 0.035
    silence_s: float = 3.0
    redial_s: tuple[float, float] = (0.1, 1.0)


class LinkEnd(Protocol):
    """A process at one end of a link. `number` is the machine's."""

    number: int
    name: str
    alive: bool
    paused: bool

    def link_up(self, link: Link, side: int) -> None: ...

    def link_down(self, link: Link, side: int, why: str) -> None: ...

    def link_said(self, link: Link, side: int, data: bytes) -> None: ...

    def may_link(self, own: Incarnation) -> bool: ...


class SocketEnd(Protocol):
    """A client's device at one end of a play socket."""

    def socket_said(self, socket: PlaySocket, data: bytes) -> None: ...

    def socket_closed(self, socket: PlaySocket) -> None: ...


class Link:
    """One connection between two processes; side 0 dialled."""

    __slots__ = ("arrives_s", "ends", "epoch", "heard_s", "held", "open", "up", "who")

    def __init__(self, ends: tuple[LinkEnd, LinkEnd], who: tuple[Incarnation, Incarnation]) -> None:
        self.ends = ends
        self.who = who
        self.open = True
        self.up = [False, False]
        self.heard_s = [0.0, 0.0]
        self.arrives_s = [0.0, 0.0]  # at each side: nothing arrives before what was sent earlier
        self.held: tuple[deque[bytes], deque[bytes]] = (deque(), deque())  # for each side, sent while blocked
        self.epoch = [0.0, 0.0]  # after a cut: until when what was on its way still arrives


class PlaySocket:
    """One client's connection to one process. `conn` is the node's number for it, `name` the client's."""

    __slots__ = (
        *("arrives_s", "client_open", "conn", "device", "name", "node_open"),
        *("opened_s", "process", "stalled_s"),
    )

    def __init__(self, device: SocketEnd, name: int, process: object, opened_s: float = 0.0) -> None:
        self.device = device
        self.opened_s = opened_s
        self.name = name
        self.process = process
        self.conn = -1
        self.client_open = True
        self.node_open = True
        self.arrives_s = [0.0, 0.0]  # at the client, at the node
        self.stalled_s = 0.0  # nothing arrives before


class Network:
    """All links, and the ways that are blocked."""

    def __init__(self, options: NetworkOptions, agenda: Agenda, rng: random.Random) -> None:
        self.options = options
        self.links: list[Link] = []
        self.cuts = 0
        self._agenda, self._rng = agenda, rng
        self._blocked: dict[tuple[int, int], int] = {}  # how many faults block this way

    # ---- ways

    def block(self, origin: int, to: int) -> None:
        """Nothing gets from one machine to another until `unblock`; blocks add up."""
        self._blocked[origin, to] = self._blocked.get((origin, to), 0) + 1

    def unblock(self, origin: int, to: int) -> None:
        """Take one block away; what waited now travels."""
        left = self._blocked[origin, to] - 1
        if left:
            self._blocked[origin, to] = left
            return
        del self._blocked[origin, to]
        for link in self.links:
            for side in (0, 1):
                if (link.ends[1 - side].number, link.ends[side].number) == (origin, to):
                    while link.held[side]:
                        self._travel(link, side, link.held[side].popleft())

    def is_blocked(self, origin: int, to: int) -> bool:
        """Whether nothing gets through this way now."""
        return (origin, to) in self._blocked

    def link_way_s(self) -> float:
        """How long a batch travels."""
        return self.options.link_delay_s + self._rng.random() * self.options.link_jitter_s

    def play_way_s(self) -> float:
        """How long a client's message travels."""
        return self.options.play_delay_s + self._rng.random() * self.options.play_jitter_s

    # ---- links

    def dial(self, dialler: LinkEnd, own: Incarnation, acceptor: LinkEnd | None, peer: Incarnation) -> None:
        """Begin one attempt; nothing is heard of it if it fails."""
        if acceptor is None or self.is_blocked(dialler.number, acceptor.number):
            return
        at = acceptor
        self._agenda.after(3 * self.link_way_s(), lambda: self._accept(Link((dialler, at), (own, peer))))

    def _accept(self, link: Link) -> None:
        dialler, acceptor = link.ends
        here, there = dialler.number, acceptor.number
        blocked = self.is_blocked(here, there) or self.is_blocked(there, here)
        living = dialler.alive and acceptor.alive and not dialler.paused and not acceptor.paused
        if blocked or not living or not dialler.may_link(link.who[0]) or not acceptor.may_link(link.who[1]):
            return
        self.links.append(link)
        self._came_up(link, 1)
        self._agenda.after(self.link_way_s(), lambda: self._came_up(link, 0))

    def _came_up(self, link: Link, side: int) -> None:
        if not link.open or not link.ends[side].alive or not link.ends[side].may_link(link.who[side]):
            self.end(link, side, "refused")
            return
        link.up[side] = True
        link.heard_s[side] = link.arrives_s[side] = self._agenda.now_s
        link.ends[side].link_up(link, side)

    def send(self, link: Link, side: int, data: bytes) -> None:
        """Send from `side`; it arrives in order, later, or never."""
        if not link.open:
            return
        to = 1 - side
        if link.held[to] or self.is_blocked(link.ends[side].number, link.ends[to].number):
            link.held[to].append(data)
        else:
            self._travel(link, to, data)

    def _travel(self, link: Link, to: int, data: bytes) -> None:
        arrives_s = max(self._agenda.now_s + self.link_way_s(), link.arrives_s[to] + 1e-6)
        link.arrives_s[to] = arrives_s
        self._agenda.at(arrives_s, lambda: self._arrive(link, to, data))

    def _arrive(self, link: Link, to: int, data: bytes) -> None:
        if not link.ends[to].alive:
            return
        if not link.open and self._agenda.now_s > link.epoch[to]:
            return
        if not link.up[to]:
            if link.open:  # the dialler has not heard yet that it was accepted
                self._travel(link, to, data)
            return
        link.heard_s[to] = self._agenda.now_s
        link.ends[to].link_said(link, to, data)

    def end(self, link: Link, side: int, why: str) -> None:
        """One side gives the link up; the other hears of it when word, or enough silence, reaches it."""
        if not link.open and not link.up[side]:
            return
        other = 1 - side
        if link.open:
            link.open = False
            link.held[0].clear()
            link.held[1].clear()
            way_s = self.link_way_s()
            link.epoch[other] = self._agenda.now_s + self._rng.random() * way_s
            if not self.is_blocked(link.ends[side].number, link.ends[other].number):
                self._agenda.after(way_s, lambda: self._down(link, other, why))
        self._down(link, side, why)

    def cut(self, link: Link) -> None:
        """The connection breaks: what is on its way is lost from some point on, and both sides hear of it."""
        if not link.open:
            return
        self.cuts += 1
        link.open = False
        link.held[0].clear()
        link.held[1].clear()
        for side in (0, 1):
            way_s = self.link_way_s() * (1 + 20 * self._rng.random())
            link.epoch[side] = self._agenda.now_s + self._rng.random() * way_s
            self._later_down(link, side, way_s)

    def _later_down(self, link: Link, side: int, way_s: float) -> None:
        self._agenda.after(way_s, lambda: self._down(link, side, "cut"))

    def _down(self, link: Link, side: int, why: str) -> None:
        link.epoch[side] = -1.0
        if link.up[side]:
            link.up[side] = False
            if link.ends[side].alive:
                link.ends[side].link_down(link, side, why)
        if not link.open and not any(link.up) and link in self.links:
            self.links.remove(link)

    def died(self, end: LinkEnd) -> None:
        """A process is gone: its links end, and the other sides hear of it soon."""
        for link in [each for each in self.links if end in each.ends]:
            self.end(link, link.ends.index(end), "died")

    def keep(self, end: LinkEnd) -> None:
        """What each side of a link does each second: hear the other's ping, or give up after too much silence."""
        now_s = self._agenda.now_s
        for link in [each for each in self.links if end in each.ends]:
            side = link.ends.index(end)
            if not link.up[side]:
                continue
            other = link.ends[1 - side]
            blocked = self.is_blocked(other.number, end.number)
            if link.open and link.up[1 - side] and other.alive and not other.paused and not blocked:
                link.heard_s[side] = now_s
            elif now_s - link.heard_s[side] > self.options.silence_s:
                self.end(link, side, "silence")
            elif not link.open and not blocked:
                self._down(link, side, "closed")

    # ---- play sockets

    def to_client(self, socket: PlaySocket, data: bytes) -> None:
        """Send from the node's side."""
        self._play(socket, 0, lambda: self._at_client(socket, data))

    def to_node(self, socket: PlaySocket, deliver: Callable[[], None]) -> None:
        """Send from the client's side: `deliver` hands it to the process."""
        self._play(socket, 1, lambda: deliver() if socket.node_open else None)

    def close_from_node(self, socket: PlaySocket) -> None:
        """The node closes: what it said before still arrives."""
        socket.node_open = False
        self._play(socket, 0, lambda: self._closed_at_client(socket))

    def close_from_client(self, socket: PlaySocket, deliver: Callable[[], None]) -> None:
        """The client closes; `deliver` tells the process."""
        socket.client_open = False
        self._play(socket, 1, deliver)

    def _play(self, socket: PlaySocket, to: int, do: Callable[[], None]) -> None:
        at_s = self._agenda.now_s + self.play_way_s()
        at_s = socket.arrives_s[to] = max(at_s, socket.arrives_s[to] + 1e-6, socket.stalled_s)
        self._agenda.at(at_s, do)

    def _at_client(self, socket: PlaySocket, data: bytes) -> None:
        if socket.client_open:
            socket.device.socket_said(socket, data)

    def _closed_at_client(self, socket: PlaySocket) -> None:
        if socket.client_open:
            socket.client_open = False
            socket.device.socket_closed(socket)
