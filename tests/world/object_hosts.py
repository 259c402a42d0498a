"""Object machines on simulated disks, joined by hand: the test decides when a write ends and which message arrives.

The order of effects is that of `drive`, as in the real shell.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from p2pworld.crdt import ObjectCell
from p2pworld.drive import AskStore, Persist, SendFrames, SendNow, effects
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation, Login
from p2pworld.messages import (
    Act,
    CellAsk,
    CellDelta,
    CellPart,
    CellRoots,
    CellState,
    CellStored,
    CellTwigs,
    Done,
    Instant,
    LinkMessage,
    Pose,
    Ready,
    SaveDelta,
    SaveState,
    Send,
    ToClient,
    ToPeer,
    Write,
    WriteFailed,
    Wrote,
)
from p2pworld.messages import CellRefused as Refused
from p2pworld.world.citymap import CityMap, Member
from p2pworld.world.objects import Objects, SavedCell
from p2pworld.world.outbox import Outbox

PLACE = Cell.at(3_000_000, 3_000_000, 8)  # 256 m
EAST_CM, NORTH_CM = PLACE.centre_cm


def member(node: bytes, incarnation: int) -> Member:
    """A member by its key and incarnation."""
    return Member(node, incarnation, "tls://link", "ws://play", "http://web")


@dataclass
class Disk:
    """A journal: per cell a whole state and numbered deltas."""

    states: dict[int, SaveState] = field(default_factory=dict)
    deltas: dict[int, dict[tuple[int, int], bytes]] = field(default_factory=dict)
    found: dict[int, set[bytes]] = field(default_factory=dict)

    def write(self, writes: tuple[Write, ...]) -> None:
        """All of them, as one."""
        for write in writes:
            if isinstance(write, SaveState):
                self.states[write.cell] = write
                self.deltas[write.cell] = {}
                self.found[write.cell] = set(ObjectCell.from_bytes(write.state))
                continue
            assert isinstance(write, SaveDelta), "these machines write nothing else"
            kept = self.deltas.setdefault(write.cell, {})
            found = self.found.setdefault(write.cell, set())
            if (write.epoch, write.n) in kept:  # what was there is replaced: count anew
                kept[write.epoch, write.n] = write.delta
                self.found[write.cell] = set(ObjectCell.from_bytes(self.recover()[write.cell].state))
            else:  # acts only add, so what a delta names is there
                kept[write.epoch, write.n] = write.delta
                found |= set(ObjectCell.from_bytes(write.delta))

    def recover(self) -> dict[int, SavedCell]:
        """What a new process finds."""
        found: dict[int, SavedCell] = {}
        for cell in self.states.keys() | self.deltas.keys():
            base = self.states.get(cell)
            state = ObjectCell.from_bytes(base.state) if base else ObjectCell()
            epoch, n = (base.epoch, base.n) if base else (0, 0)
            for (at, number), delta in sorted(self.deltas.get(cell, {}).items()):
                state.merge_in(ObjectCell.from_bytes(delta))
                epoch, n = at, number
            found[cell] = SavedCell(epoch, n, state.to_bytes())
        return found

    def ids(self, cell: int = PLACE) -> set[bytes]:
        """The objects of a cell as a new process would find them."""
        return self.found.get(cell, set())


class Host:
    """One node's object machine, its disk, and what it said."""

    def __init__(self, name: bytes, city: City) -> None:
        self.node = name * 32
        self.city = city
        self.disk = Disk()
        self.number = 0
        self.start()

    def start(self) -> None:
        """A new process with the same disk; whatever was on its way is lost."""
        self.number += 1
        self.who = Incarnation(self.node, self.number)
        self.machine = Objects(self.who, self.disk.recover())
        self.out = Outbox()
        self.ready_number = 0
        self.persists: deque[Persist] = deque()
        self.done: list[tuple[int, Done]] = []

    @property
    def as_member(self) -> Member:
        """How it is listed."""
        return member(self.node, self.number)

    def see(self, city_map: CityMap) -> None:
        """Read a map, linked with everybody."""
        self.map = city_map
        for peer in self.city.linked(self):
            self.machine.link_up(peer, self.city.caps)
        self.machine.apply_map(city_map, self.who, self.city.linked(self), self.out)
        self.drain()

    def ask(self, n: int, verb: str = "hang", *, avatar: int = 9, conn: int = 1, **more: object) -> None:
        """A client acts in the middle of the place."""
        lapsed = bool(more.pop("lapsed", False))
        cell = more.pop("cell", PLACE)
        login = Login(int(str(more.pop("login_ms", 1000))), bytes(16))
        name = more.pop("name", b"")
        text, target = more.pop("text", f"wish {n}"), more.pop("target", b"")
        assert isinstance(name, bytes)
        assert isinstance(text, str)
        assert isinstance(target, bytes)
        assert isinstance(cell, Cell)
        assert not more
        message = Act(n, verb, text, target, name)
        pose = Pose(EAST_CM, NORTH_CM)
        self.machine.act(avatar, login, conn, message, pose, cell, lapsed, self.out, self.city.now)
        self.drain()

    def hear(self, peer: Host, message: LinkMessage) -> None:
        """A message arrives over the link from a peer."""
        if isinstance(message, CellDelta | CellState):
            self.machine.from_holder(peer.who, message, self.map, self.out, self.city.now)
        elif isinstance(message, CellRoots | CellAsk | CellTwigs | CellPart):
            self.machine.compare(peer.who, message, self.map, self.out, self.city.now)
        else:
            assert isinstance(message, CellStored | Refused)
            self.machine.from_standby(peer.who, message, self.out, self.city.now)
        self.drain()

    def tick(self) -> None:
        """One tick at the city's time."""
        self.machine.tick(self.out, self.city.now)
        self.drain()

    def offer(self, to: Host) -> None:
        """Offer the place to a node that may become its standby."""
        self.machine.offer(PLACE, to.who, self.out, self.city.now)
        self.drain()

    def drain(self) -> None:
        """Do what the outbox asks, in the order of `drive`; writes wait in `persists`."""
        out = self.out
        self.ready_number += 1
        self.machine.leaving(self.ready_number)
        ready = Ready(
            self.ready_number, sends=tuple(out.sends), writes=tuple(out.writes), held=tuple(out.held)
        )
        for part in (out.sends, out.writes, out.held):
            part.clear()
        for effect in effects(ready):
            match effect:
                case SendNow(sends):
                    self._send(sends)
                case Persist():
                    self.persists.append(effect)
                case SendFrames() | AskStore():
                    raise AssertionError("objects ask for no frames and no store")

    def persist(self, ok: bool = True, reason: str = "full") -> None:
        """The oldest write ends."""
        effect = self.persists.popleft()
        if ok:
            self.disk.write(effect.writes)
            self._send(effect.then.sends)
            self.machine.advance(Wrote(effect.number), self.out, self.city.now)
        else:
            self.machine.advance(WriteFailed(effect.number, reason), self.out, self.city.now)
        self.drain()

    def _send(self, sends: tuple[Send, ...]) -> None:
        for send in sends:
            match send:
                case ToClient(conn, Done() as message):
                    self.done.append((conn, message))
                    self.city.confirmed(self, message)
                case ToPeer(peer, message):
                    self.city.post(self, peer, message)
                case _:
                    raise AssertionError(f"objects do not send {send}")

    def answers(self) -> list[tuple[int, str, str]]:
        """(n, durable, reason) of every answer so far."""
        return [(message.n, message.durable, message.reason) for _, message in self.done]

    def texts(self) -> list[str]:
        """What hangs in the place, as a client that enters sees it."""
        shown = (self.machine.shown(PLACE) or {}).values()
        return sorted(one.text for one in shown if one.kind == "lantern")

    def rings(self) -> int:
        """How often the bell of the place was rung."""
        shown = (self.machine.shown(PLACE) or {}).values()
        return sum(one.count for one in shown if one.kind == "bell")


class City:
    """Hosts, the messages between them, and the time."""

    def __init__(self, names: str = "AB") -> None:
        self.caps: tuple[str, ...] = ()  # what links say that they understand
        self.now = Instant(100.0, 1_700_000_000_000)
        self.mail: list[tuple[Host, Incarnation, LinkMessage]] = []
        self.cut: set[bytes] = set()
        self.sent: Counter[str] = Counter()
        self.faults: list[str] = []
        self.hosts = {name: Host(name.encode(), self) for name in names}

    def linked(self, host: Host) -> list[Incarnation]:
        """Whom a host is linked with."""
        if host.node in self.cut:
            return []
        return [h.who for h in self.hosts.values() if h is not host and h.node not in self.cut]

    def post(self, sender: Host, to: Incarnation, message: LinkMessage) -> None:
        """A message leaves; without a link it is lost."""
        self.sent[type(message).__name__] += 1
        if to in self.linked(sender):
            self.mail.append((sender, to, message))

    def deliver(self, at: int = 0, keep: bool = False) -> None:
        """One message arrives, if the incarnation it is for still lives."""
        sender, to, message = self.mail[at] if keep else self.mail.pop(at)
        for host in self.hosts.values():
            if host.who == to and sender.who in self.linked(host):
                host.hear(sender, message)

    def pass_s(self, seconds: float) -> None:
        """Time passes, with a tick at its end."""
        self.now = Instant(self.now.boot_s + seconds, self.now.wall_ms + int(seconds * 1000))
        for host in self.hosts.values():
            host.tick()

    def settle(self) -> None:
        """Every write ends well and every message arrives, until nothing is under way."""
        for _ in range(10_000):
            host = next((h for h in self.hosts.values() if h.persists), None)
            if host is not None:
                host.persist()
            elif self.mail:
                self.deliver()
            else:
                return
        raise AssertionError("it never comes to rest")

    def see(self, city_map: CityMap) -> None:
        """Everybody reads a map."""
        for host in self.hosts.values():
            host.see(city_map)

    def confirmed(self, host: Host, message: Done) -> None:
        """Check a confirmation at the moment it leaves: it is on this disk, and on those of all listed standbys."""
        if not message.durable:
            return
        leaf = host.map.leaf_at(EAST_CM, NORTH_CM)
        standbys = host.map.cells[leaf].standbys
        for other in self.hosts.values():
            if (other is host or other.who in standbys) and message.id not in other.disk.ids(leaf):
                self.faults.append(f"{message} is not on the disk of {other.node[:1]!r}")
        if message.durable == "disk" and standbys:
            self.faults.append(f"{message} says disk, but there are standbys")
