"""One simulated machine: its clocks, its disk, and the process on it that runs a whole real node.

The process is the shell in small: it feeds the node one event at a time, drains `ready()`, and carries out what
`drive.effects` says, in that order. Between any two effects it may be stopped for good (a crash) or for a while (a
pause, in which the clocks run on and everything that arrives waits).
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from p2pworld import drive
from p2pworld.core import Event, Node, NodeConfig
from p2pworld.crypto.link import LINK_CAPS
from p2pworld.drive import AskStore, Persist, SendFrames, SendNow, TellHolders
from p2pworld.errors import RemoteError
from p2pworld.messages import (
    Attached,
    Batch,
    Bye,
    Cancel,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Commit,
    CommitAck,
    CommitNak,
    HangUp,
    Instant,
    LinkDown,
    LinkMessage,
    LinkUp,
    PeerSaid,
    Prepare,
    SeatReady,
    SeatRefused,
    Send,
    ToClient,
    ToPeer,
    WriteFailed,
    Wrote,
)
from p2pworld.wire.codec import decode_batch, decode_play, encode_batch, encode_play
from p2pworld.wire.frames import POSE, POSE_BYTES, POSE_DTYPE
from simulations.civic.holders import Holders
from simulations.network import KEEP_EVERY_S
from simulations.store import StoreRequest

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import Refusal
    from p2pworld.geometry import Cell
    from p2pworld.ids import Incarnation
    from p2pworld.messages import WorldObject
    from p2pworld.world.citymap import Member
    from p2pworld.world.handoff import Person
    from p2pworld.world.moderation import Sanction
    from simulations.civic.archive import Archive
    from simulations.civic.keeper import Keeper
    from simulations.events import Agenda, Trace
    from simulations.network import Link, Network, PlaySocket
    from simulations.storage import Disk
    from simulations.store import Store, StoreAnswer

__all__ = ["HANDOFF", "WALL_MS", "Clock", "Machine", "Process", "Surroundings"]

WALL_MS: Final = 1_767_225_600_000  # Unix time at the start of every run: 2026-01-01
CONNS_MAX: Final = 256
DRAW_S: Final = 0.002  # after a tick, if nobody is waited for
HANDOFF: Final = (Prepare, SeatReady, SeatRefused, Attached, Commit, CommitAck, CommitNak, Cancel)


@dataclass(slots=True)
class Clock:
    """A machine's clocks: seconds since its boot, which run at `rate` from an anchor, and Unix time, which may jump."""

    boot_s: float
    rate: float = 1.0
    jump_ms: int = 0
    anchor_s: float = 0.0

    def now(self, time_s: float) -> Instant:
        """What they show at this time of the run."""
        boot_s = self.boot_s + (time_s - self.anchor_s) * self.rate
        return Instant(boot_s, WALL_MS + int(time_s * 1000) + self.jump_ms)

    def drift(self, rate: float, time_s: float) -> None:
        """Run at another rate from now on."""
        self.boot_s = self.now(time_s).boot_s
        self.anchor_s = time_s
        self.rate = rate


class Surroundings(Protocol):
    """What a machine needs of the run it is in."""

    agenda: Agenda
    trace: Trace
    network: Network
    store: Store
    machines: list[Machine]
    archive: Archive
    fenced: bool
    keyed: bool

    def point(self, keeper: Keeper, where: str, what: str) -> None: ...

    def signed(self, keeper: Keeper, text: str) -> None: ...

    def alarm(self, keeper: Keeper, refusal: Refusal) -> None: ...

    def before_effect(self, process: Process, effect: object) -> None: ...

    def before_send(self, process: Process, send: ToPeer) -> None: ...

    def hear(self, link: Link, side: int, batch: Batch) -> Batch: ...

    def heard(self, process: Process, peer: Incarnation, message: LinkMessage) -> None: ...

    def sent(self, process: Process, send: Send) -> None: ...

    def looked_at(self, process: Process) -> None: ...


class Machine:
    """One machine with its disk and clocks; it starts processes, one after another."""

    def __init__(
        self,
        number: int,
        keys: Signer,
        config: NodeConfig,
        disk: Disk,
        clock: Clock,
        dice: random.Random,
        run: Surroundings,
    ) -> None:
        self.dice = dice
        self.number = number
        self.name = chr(ord("A") + number)
        self.keys, self.config, self.disk, self.clock, self.run = keys, config, disk, clock, run
        self.process: Process | None = None
        self.incarnation = 0  # as its data directory remembers
        self.busy = 0.0  # how much of its loop's time the process uses
        self.lives = 0

    def now(self) -> Instant:
        """This machine's clocks."""
        return self.clock.now(self.run.agenda.now_s)

    def start(self, *, proven: bool = True) -> None:
        """Start a process; `proven`: its data directory's lock shows that the earlier one is dead."""
        assert self.process is None
        self.lives += 1
        entropy = self.dice.getrandbits(256).to_bytes(32, "big")
        ends = self.incarnation if proven else 0
        cells, records = self.disk.recover(), self.disk.recover_records()
        node = Node(self.config, self.keys, entropy, cells, ends, self.now(), records)
        self.process = Process(self, node, self.run)
        self.run.trace.say(self.run.agenda.now_s, f"{self.name} starts, life {self.lives}")
        self.process.begin()

    def end(self) -> None:
        """There is no process any more; if its disk was at something, that is lost, or done without anybody knowing."""
        process = self.process
        if process is None:
            return
        self.process = None
        process.alive = False
        self.disk.crash()
        self.run.archive.volumes[self.number].crash()
        self.run.network.died(process)
        process.drop_clients()
        self.run.looked_at(process)


class Process:
    """One life of a node's process."""

    def __init__(self, machine: Machine, node: Node, run: Surroundings) -> None:
        self.machine, self.node, self.run = machine, node, run
        self.number = machine.number
        self.life = machine.lives
        self.name = machine.name
        self.alive = True
        self.paused = False
        self.sockets: dict[int, PlaySocket] = {}
        self.links: dict[Incarnation, Link] = {}
        self.holders = Holders(run.archive, self, run, self.step)
        self.malformed = 0
        self.fenced_late = 0
        self._free = list(range(CONNS_MAX))
        self._inbox: deque[Callable[[], None]] = deque()
        self._effects: deque[object] = deque()
        self._events: deque[Event] = deque()
        self._poses: list[tuple[int, bytes]] = []
        self._gathered: dict[Incarnation, list[LinkMessage]] = {}
        self._busy = False
        self._requests: deque[StoreRequest] = deque()
        self._asking = False
        self._wanted: dict[Incarnation, Member] = {}
        self._wanted_for = (0, -1)
        self._redial_s: dict[Incarnation, tuple[float, float]] = {}  # when next, and how long to wait then

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def lease_deadline_s(self) -> float:
        """Until when, by its own clock, this process may act."""
        return self.node.parts.ownership.deadline_s

    @property
    def giving(self) -> frozenset[Cell]:
        """The ground it has frozen, and of which it does not know yet whether it is another's now."""
        return self.node.parts.ownership.giving

    def persons(self) -> Iterable[tuple[int, Person]]:
        """Every avatar the node knows of, with its row and seat."""
        return self.node.parts.people.persons()

    def objects_in(self, cell: Cell) -> Iterable[WorldObject]:
        """What a client that enters this cell is shown of its objects."""
        return (self.node.parts.objects.shown(cell) or {}).values()

    # ------------------------------------------------------------------------------------------------- its life

    def begin(self) -> None:
        """The first tick and all that follow."""
        self._plan_tick(self.now().boot_s)
        self.run.agenda.after(self.machine.dice.random() * KEEP_EVERY_S, self._keep)

    def pause(self) -> None:
        """Stop, as by SIGSTOP: what arrives waits, the clocks run on."""
        self.paused = True

    def resume(self) -> None:
        """Go on where it stopped."""
        if not (self.alive and self.paused):
            return
        self.paused = False
        self._busy = False
        self._drain()
        while self._inbox and not self.paused and self.alive:
            self._inbox.popleft()()

    def leave(self) -> None:
        """Send everybody elsewhere and act on nothing any more, as the shell does before it ends."""
        self.node.leave(self.now())
        self._drain()

    def do(self, what: Callable[[], None]) -> None:
        """Something from outside: now, or when the process runs again."""
        if not self.alive:
            return
        if self.paused or self._inbox:
            self._inbox.append(what)
        else:
            what()

    def order(self, data: bytes) -> Sanction | Refusal:
        """A moderator's order, as its web server hands it to the node."""
        taken = self.node.order(data, self.now())
        self._drain()
        return taken

    def now(self) -> Instant:
        """The machine's clocks."""
        return self.machine.now()

    def _plan_tick(self, due_s: float) -> None:
        """Enter the tick after the one that was due then."""
        next_s, _ = self.node.next_tick(due_s, self.now())
        self._after(next_s, lambda: self._tick(next_s))

    def _after(self, boot_s: float, what: Callable[[], None]) -> None:
        """Enter something for when this machine's clock shows so much, at the rate it runs now."""
        wait_s = max(0.0, boot_s - self.now().boot_s) / self.machine.clock.rate
        self.run.agenda.after(wait_s, what)

    def _tick(self, due_s: float) -> None:
        if not self.alive:
            return
        if not self.paused:
            self._flush_poses()
            if self.alive and not self.paused:
                self.node.tick(self.now(), self.machine.busy)
                self._drain()
                if self.alive and self.node.draws:
                    self._after(due_s + max(DRAW_S, self.node.awaits), self._draw)
        self._plan_tick(due_s)

    def _draw(self) -> None:
        if self.alive and not self.paused:
            self.node.draw(self.now())
            self._drain()

    def _keep(self) -> None:
        if not self.alive:
            return
        self.run.agenda.after(KEEP_EVERY_S, self._keep)
        if not self.paused:
            self.run.network.keep(self)
            self._want()
            self._dial()

    # ------------------------------------------------------------------------------------------------- the drive

    def step(self, event: Event) -> None:
        """One event, and all that follows from it."""
        self._events.append(event)
        self._drain()

    def _drain(self) -> None:
        if self._busy:
            return
        self._busy = True
        node = self.node
        self.run.looked_at(self)
        while self.alive and not self.paused:
            if self._effects:
                effect = self._effects.popleft()
                self.run.before_effect(self, effect)
                if not self.alive:
                    break
                if self.paused:
                    self._effects.appendleft(effect)
                    break
                self._execute(effect)
            elif (ready := node.ready()) is not None:
                self._effects.extend(drive.effects(ready))
            elif self._events:
                event = self._events.popleft()
                node.step(event, self.now())
                self.run.looked_at(self)
                if isinstance(event, ClientLost):
                    heapq.heappush(self._free, event.conn)
            else:
                break
        self._busy = False
        if self.alive and not self.paused:
            self.machine.incarnation = max(self.machine.incarnation, node.who.number)
            if self._wanted_for != (node.who.number, node.map_version):
                self._want()
                self._dial()

    def _execute(self, effect: object) -> None:
        match effect:
            case SendFrames():
                for frame in effect.frames:
                    for conn in frame.conns:
                        socket = self.sockets.get(conn)
                        if socket is not None:
                            for payload in frame.payloads:
                                self.run.network.to_client(socket, payload)
            case SendNow():
                self._send(effect)
            case Persist():
                self._persist(effect)
            case AskStore():
                self._ask(effect.request)
            case TellHolders(steps):
                for step in steps:
                    if self.alive:
                        self.holders.take(step)
            case _:
                raise AssertionError(f"drive asks for {effect}")

    def _send(self, effect: SendNow) -> None:
        boot_s = self.now().boot_s
        for send in effect.sends:
            if not drive.may_leave(send, effect.lease_deadline_s, boot_s):
                self.fenced_late += 1
                continue
            if isinstance(send, ToPeer) and isinstance(send.message, HANDOFF):
                self.run.before_send(self, send)
                if not self.alive:
                    break
            self.run.sent(self, send)
            self._send_one(send)
        self._flush_links()

    def _send_one(self, send: Send) -> None:
        match send:
            case ToClient():
                socket = self.sockets.get(send.conn)
                if socket is not None:
                    self.run.network.to_client(socket, encode_play(send.message))
            case HangUp():
                self._hang_up(send.conn, send.bye)
            case ToPeer():
                self._gathered.setdefault(send.peer, []).append(send.message)

    def _hang_up(self, conn: int, bye: Bye) -> None:
        socket = self.sockets.pop(conn, None)
        if socket is not None:
            self.run.network.to_client(socket, encode_play(bye))
            self.run.network.close_from_node(socket)
            self._events.append(ClientLost(conn))

    def _persist(self, effect: Persist) -> None:
        if self.now().boot_s >= effect.lease_deadline_s:
            self.do(lambda: self._advance(WriteFailed(effect.number, "lapsed")))
            return

        def done(fault: str) -> None:
            self.do(lambda: self._persisted(effect, fault))

        self.machine.disk.persist(effect, done)

    def _persisted(self, effect: Persist, fault: str) -> None:
        if fault:
            self._advance(WriteFailed(effect.number, fault))
            return
        if effect.then.sends:
            self._effects.append(effect.then)
        self._advance(Wrote(effect.number))

    def _advance(self, done: Wrote | WriteFailed) -> None:
        if self._busy:  # it is told between two effects of the drain under way
            self.run.agenda.after(0.0, lambda: self.do(lambda: self._advance(done)))
            return
        self.node.advance(done, self.now())
        self._drain()

    # ------------------------------------------------------------------------------------------------- the store

    def _ask(self, request: object) -> None:
        assert isinstance(request, StoreRequest)
        if type(request).__name__ == "Renew":
            self._put(request, last=False)
            return
        self._requests.append(request)
        self._next_request()

    def _next_request(self) -> None:
        if self._requests and not self._asking:
            self._asking = True
            self._put(self._requests.popleft(), last=True)

    def _put(self, request: StoreRequest, *, last: bool) -> None:
        def answered(answer: StoreAnswer) -> None:
            self.do(lambda: self._answered(answer, last))

        self.run.store.ask(self.number, self.machine.keys.public, request, answered)

    def _answered(self, answer: StoreAnswer, last: bool) -> None:
        if last:
            self._asking = False
            self._next_request()
        self.step(answer)

    # ------------------------------------------------------------------------------------------------- links

    def may_link(self, own: Incarnation) -> bool:
        """Whether this is still the incarnation a link is made for."""
        return self.alive and self.node.who == own

    def _want(self) -> None:
        """Links to the members of the map: those no longer listed end, new ones are dialled."""
        node = self.node
        number, _ = self._wanted_for
        self._wanted_for = node.who.number, node.map_version
        if number != node.who.number:
            for peer in list(self.links):
                self._end_link(peer, "own incarnation")
            self._wanted = {}
        before, self._wanted = self._wanted, {m.who: m for m in node.peers()}
        for peer in sorted(before.keys() - self._wanted.keys()):
            self._end_link(peer, "unlisted")
            self._redial_s.pop(peer, None)

    def _dial(self) -> None:
        me, now_s = self.node.who, self.run.agenda.now_s
        if me.number == 0 or self.paused or not self.alive:
            return
        for peer in sorted(self._wanted):
            if me.node < peer.node and peer not in self.links:
                next_s, wait_s = self._redial_s.get(peer, (0.0, self.run.network.options.redial_s[0]))
                if now_s >= next_s:
                    longest_s = self.run.network.options.redial_s[1]
                    self._redial_s[peer] = now_s + wait_s, min(2 * wait_s, longest_s)
                    self.run.network.dial(self, me, self._process_of(self._wanted[peer]), peer)
                    self.run.agenda.after(wait_s, self._dial)

    def _process_of(self, member: Member) -> Process | None:
        for machine in self.run.machines:
            if machine.config.link_url == member.link_url:
                return machine.process
        return None

    def _end_link(self, peer: Incarnation, why: str) -> None:
        link = self.links.pop(peer, None)
        if link is not None:
            self.run.network.end(link, link.ends.index(self), why)
            self.step(LinkDown(peer))

    def link_up(self, link: Link, side: int) -> None:
        """A link is open in both directions, as seen from here."""
        self.do(lambda: self._linked(link, side))

    def _linked(self, link: Link, side: int) -> None:
        peer = link.who[1 - side]
        self._end_link(peer, "replaced")
        self.links[peer] = link
        self._redial_s.pop(peer, None)
        self.run.trace.say(self.run.agenda.now_s, f"{self.name} is linked to {link.ends[1 - side].name}")
        self.step(LinkUp(peer, LINK_CAPS))

    def link_down(self, link: Link, side: int, why: str) -> None:
        """It is gone."""
        self.do(lambda: self._unlinked(link, side, why))
        self.run.agenda.after(self.run.network.options.redial_s[0], self._dial)

    def _unlinked(self, link: Link, side: int, why: str) -> None:
        peer, other = link.who[1 - side], link.ends[1 - side].name
        if self.links.get(peer) is link:
            del self.links[peer]
            self.run.trace.say(self.run.agenda.now_s, f"{self.name} lost its link to {other}: {why}")
            self.step(LinkDown(peer))

    def link_said(self, link: Link, side: int, data: bytes) -> None:
        """A batch arrived."""
        self.do(lambda: self._heard(link, side, data))

    def _heard(self, link: Link, side: int, data: bytes) -> None:
        peer = link.who[1 - side]
        if self.links.get(peer) is not link:
            return  # it arrived while the process was paused, and the link ended meanwhile
        batch = decode_batch(data)
        self.run.trace.add(self.run.agenda.now_s, b"L", self.name.encode(), data)
        self._hear(PeerSaid(peer, self.run.hear(link, side, batch)))

    def _hear(self, said: PeerSaid) -> None:
        for message in said.batch.messages:
            self.run.heard(self, said.peer, message)
        self.step(said)

    def hear_again(self, said: PeerSaid) -> None:
        """A batch that arrives twice or late; only while a link to its sender is up."""
        self.do(lambda: self._hear(said) if said.peer in self.links else None)

    def _flush_links(self) -> None:
        if not self._gathered:
            return
        gathered, self._gathered = self._gathered, {}
        for peer, messages in gathered.items():
            link = self.links.get(peer)
            if link is not None and self.alive:
                data = encode_batch(Batch(self.node.map_version, tuple(messages)))
                self.run.network.send(link, link.ends.index(self), data)

    # ------------------------------------------------------------------------------------------------- clients

    def accept(self, socket: PlaySocket) -> None:
        """A client's connection has come; without a free number it is closed at once."""
        if not self._free or not socket.node_open:
            self.run.network.close_from_node(socket)
            return
        socket.conn = heapq.heappop(self._free)
        self.sockets[socket.conn] = socket
        self.step(ClientOpened(socket.conn, f"10.0.0.{socket.conn}"))

    def heard_client(self, socket: PlaySocket, data: bytes) -> None:
        """A client's message; a malformed one ends its connection."""
        if self.sockets.get(socket.conn) is not socket:
            return
        self.run.trace.add(self.run.agenda.now_s, b"C", data)
        if len(data) == POSE_BYTES and data[0] == POSE:
            self._poses.append((socket.conn, data))
            return
        self._flush_poses()
        try:
            message = decode_play(data)
        except RemoteError as error:
            self.malformed += 1
            self._hang_up(socket.conn, Bye("malformed", error.reason))
            self._drain()
            return
        self.step(ClientSaid(socket.conn, message))

    def lost_client(self, socket: PlaySocket) -> None:
        """A client's connection is gone."""
        socket.node_open = False
        if self.sockets.get(socket.conn) is socket:
            self._flush_poses()
            if self.sockets.pop(socket.conn, None) is not None:
                self.step(ClientLost(socket.conn))

    def drop_clients(self) -> None:
        """The process is dead: its connections are reset."""
        for socket in self.sockets.values():
            self.run.network.close_from_node(socket)
        self.sockets.clear()

    def _flush_poses(self) -> None:
        if self._poses:
            conns = np.array([conn for conn, _ in self._poses], np.int32)
            rows = np.frombuffer(b"".join(data for _, data in self._poses), POSE_DTYPE)
            self._poses = []
            self.node.poses(conns, rows, self.now())
            self._drain()
