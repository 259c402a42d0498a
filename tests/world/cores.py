"""A few whole nodes side by side, and people who play: no sockets, disks or clocks, time moves by ticks.

Messages between nodes and to clients pass through the wire's codec. The store hands out one fixed map.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np

from p2pworld.core import Node, NodeConfig
from p2pworld.crypto.keys import NodeKeys, PersonKeys, sign_hello
from p2pworld.crypto.link import LINK_CAPS
from p2pworld.drive import AskStore, Persist, SendFrames, SendNow, effects
from p2pworld.geometry import partition_around
from p2pworld.ids import Incarnation, Login, avatar_id
from p2pworld.membership import Lease
from p2pworld.messages import (
    Batch,
    Bye,
    Challenge,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Correct,
    Frame,
    HangUp,
    Hello,
    Instant,
    LinkDown,
    LinkUp,
    Moved,
    PeerSaid,
    Pose,
    Profile,
    ToClient,
    ToPeer,
    Welcome,
    WriteFailed,
    Wrote,
)
from p2pworld.wire.codec import decode_batch, decode_play, encode_batch, encode_play
from p2pworld.wire.frames import POSE_DTYPE
from p2pworld.world.citymap import CityMap, Holding, Member
from p2pworld.world.ownership import (
    MapRead,
    Propose,
    Proposed,
    ReadMap,
    Register,
    Registered,
    Renew,
    Renewed,
    StoreFailed,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from p2pworld.geometry import Cell
    from p2pworld.grants import Grant
    from p2pworld.messages import PlayMessage, Write

__all__ = ["TICK_MS", "Cores", "House", "Player", "last_bye"]

TICK_MS = 100


class House:
    """One node, its disk, and the players' sockets to it."""

    def __init__(self, number: int, now: Instant, **options: Any) -> None:
        self.number = number
        self.keys = NodeKeys.from_seed(bytes([number + 1]) * 32)
        self.options = options
        self.disk: list[Write] = []
        self.disk_broken = False
        self.sockets: dict[int, Player] = {}
        self.conns = count()
        self.url = f"ws://{number}/play"
        self.linked: set[int] = set()
        self.lives = 0
        self.skew_ms = 0  # how far its clock is ahead
        self.busy = 0.0  # how much of its time its loop uses
        self.frames: list[Frame] = []  # of its last tick
        self.start(now)

    def start(self, now: Instant, **recovered: Any) -> None:
        """A new process on this house's disk."""
        config = NodeConfig(f"tls://{self.number}", self.url, f"http://{self.number}", take_orphans=False,
                            **self.options)  # fmt: skip
        self.node = Node(config, self.keys, bytes([self.number]) * 32, {}, 0, now, **recovered)

    @property
    def who(self) -> Incarnation:
        return Incarnation(self.keys.public, 1)


class Player:
    """One person's client: logs in, walks where it is told, follows MOVED. `heard` is every message, in order."""

    def __init__(self, city: Cores, number: int, pose: Pose) -> None:
        self.city, self.pose = city, pose
        self.keys = PersonKeys.from_seed(bytes([100 + number]) * 32)
        self.avatar = avatar_id(self.keys.public)
        self.heard: list[PlayMessage] = []
        self.at: tuple[House, int] | None = None
        self.next: tuple[House, int] | None = None
        self.ticket = b""
        self.login: Login | None = None
        self.seq = 0
        self.name = "Kim"
        self.grants: tuple[Grant, ...] = ()
        self.attaches = True  # whether it answers MOVED
        self.walks = True  # whether it sends poses

    def come(self, house: House) -> None:
        """Log in there."""
        self.at, self.ticket = self._open(house), b""
        self.city.settle()

    def say(self, message: PlayMessage) -> list[PlayMessage]:
        """Send a message; what came back at once."""
        assert self.at is not None
        before = len(self.heard)
        house, conn = self.at
        house.node.step(ClientSaid(conn, decode_play(encode_play(message))), self.city.clock(house))
        self.city.settle()
        return self.heard[before:]

    def of(self, kind: type) -> list[Any]:
        """All it heard of one kind."""
        return [message for message in self.heard if isinstance(message, kind)]

    def lose(self) -> None:
        """The connection breaks."""
        assert self.at is not None
        house, conn = self.at
        self.at = None
        del house.sockets[conn]
        house.node.step(ClientLost(conn), self.city.clock(house))
        self.city.settle()

    def _open(self, house: House) -> tuple[House, int]:
        conn = next(house.conns)
        house.sockets[conn] = self
        house.node.step(ClientOpened(conn, "here"), self.city.clock(house))
        return house, conn

    def hear(self, house: House, conn: int, message: PlayMessage) -> None:
        self.heard.append(message)
        match message:
            case Challenge():
                self.city.later.append(lambda: self._hello(house, conn, message))
            case Moved() if self.attaches:
                target = next(h for h in self.city.houses if h.url == message.url)
                self.ticket = message.ticket
                self.city.later.append(lambda: self._follow(target))
            case Welcome():
                self.login = Login(message.login_ms, message.birth)
                self.pose, self.seq = message.pose, max(self.seq, message.seq)
                self.at, self.next = (house, conn), None
            case Correct():
                self.pose, self.seq = message.pose, max(self.seq, message.seq)

    def _follow(self, house: House) -> None:
        self.next = self._open(house)

    def _hello(self, house: House, conn: int, challenge: Challenge) -> None:
        profile = Profile(self.name)
        hello: Hello
        if self.next == (house, conn):
            assert self.login is not None
            hello = sign_hello(self.keys, challenge.node, challenge.nonce, self.login.ms, challenge.url, profile,
                               birth=self.login.birth, ticket=self.ticket, grants=self.grants)  # fmt: skip
        else:
            hello = sign_hello(self.keys, challenge.node, challenge.nonce, self.city.now.wall_ms, challenge.url,
                               profile, want=self.pose, grants=self.grants)  # fmt: skip
        house.node.step(ClientSaid(conn, decode_play(encode_play(hello))), self.city.clock(house))

    def send_pose(self) -> None:
        if not self.walks or self.at is None:
            return
        self.seq += 1
        row = np.zeros(1, POSE_DTYPE)
        pose = self.pose
        row[0] = (1, pose.state, self.seq % 65_536, pose.east_cm, pose.north_cm, pose.up, pose.yaw, 0)
        for where in {self.at, self.next} - {None}:
            assert where is not None
            house, conn = where
            if conn in house.sockets:
                house.node.poses(np.array([conn], np.int32), row, self.city.clock(house))


class Cores:
    """Some nodes; `grounds[i]` are the cells of node i, and node `rest` holds everything else."""

    def __init__(self, grounds: list[list[Cell]], rest: int, wall_ms: int, **options: Any) -> None:
        self.now = Instant(1_000.0, wall_ms)
        self.houses = [House(number, self.now, **options) for number in range(len(grounds))]
        mine = {cell: number for number, cells in enumerate(grounds) for cell in cells}
        members = {
            h.who.node: Member(h.who.node, 1, f"tls://{h.number}", h.url, f"http://{h.number}")
            for h in self.houses
        }
        cells = {
            cell: Holding(self.houses[mine.get(cell, rest)].who, 1) for cell in partition_around(list(mine))
        }
        self.city = CityMap(1, 0, members, cells, {})
        self.later: deque[Callable[[], None]] = deque()
        self.unreachable: set[int] = set()  # houses that the store does not answer
        self.players: list[Player] = []
        self.renewed = 0
        for _ in range(5):
            self.tick()
        self.link()
        self.tick()

    def clock(self, house: House) -> Instant:
        """What this node's clocks show."""
        return Instant(self.now.boot_s, self.now.wall_ms + house.skew_ms)

    def link(self, cut: Mapping[int, bool] | None = None) -> None:
        """Link all that are not linked; those in `cut` lose their links."""
        cut = cut or {}
        for one in self.houses:
            for other in self.houses:
                if one is other:
                    continue
                up = not (cut.get(one.number) or cut.get(other.number))
                if up and other.number not in one.linked:
                    one.linked.add(other.number)
                    one.node.step(LinkUp(other.who, LINK_CAPS), self.clock(one))
                elif not up and other.number in one.linked:
                    one.linked.discard(other.number)
                    one.node.step(LinkDown(other.who), self.clock(one))
        self.settle()

    def player(self, number: int, pose: Pose, house: int = 0, grants: tuple[Grant, ...] = ()) -> Player:
        """A person who is logged in, and has shown these grants."""
        player = Player(self, number, pose)
        player.grants = grants
        self.players.append(player)
        player.come(self.houses[house])
        assert player.of(Welcome), player.heard
        return player

    def owners(self, player: Player) -> list[int]:
        """The houses that own this person's avatar."""
        return [h.number for h in self.houses if h.node.parts.people.person(player.avatar).row.at.owns]

    def tick(self, times: int = 1) -> None:
        """Let so many ticks pass; everybody sends a pose in each."""
        for _ in range(times):
            self.now = Instant(self.now.boot_s + TICK_MS / 1000, self.now.wall_ms + TICK_MS)
            for player in self.players:
                player.send_pose()
            ticking = [h for h in self.houses if round(self.now.boot_s * 1000) % h.node.tick_ms == 0]
            for house in ticking:
                house.frames = []
                house.node.tick(self.clock(house), house.busy)
            self.settle()
            for house in ticking:
                house.node.draw(self.clock(house))
            self.settle()

    def settle(self) -> None:
        """Carry out everything that is wanted, and all that follows from it."""
        busy = True
        while busy:
            busy = False
            for house in self.houses:
                while (ready := house.node.ready()) is not None:
                    busy = True
                    for effect in effects(ready):
                        self._execute(house, effect)
            while self.later:
                busy = True
                self.later.popleft()()

    def _execute(self, house: House, effect: object) -> None:
        match effect:
            case SendFrames(frames):
                house.frames += frames
            case SendNow():
                for send in effect.sends:
                    self._send(house, send)
            case Persist():
                self._persist(house, effect)
            case AskStore():
                down = house.number in self.unreachable
                answer = StoreFailed(effect.request, "down") if down else self._answer(house, effect.request)
                self.later.append(lambda: house.node.step(answer, self.clock(house)))

    def _persist(self, house: House, effect: Persist) -> None:
        if house.disk_broken:
            self.later.append(lambda: house.node.advance(WriteFailed(effect.number, "io"), self.clock(house)))
            return
        house.disk.extend(effect.writes)
        for send in effect.then.sends:
            self._send(house, send)
        self.later.append(lambda: house.node.advance(Wrote(effect.number), self.clock(house)))

    def _send(self, house: House, send: object) -> None:
        match send:
            case ToClient():
                player = house.sockets.get(send.conn)
                if player is not None:
                    player.hear(house, send.conn, decode_play(encode_play(send.message)))
            case HangUp():
                player = house.sockets.pop(send.conn, None)
                if player is not None:
                    player.heard.append(decode_play(encode_play(send.bye)))
                    if player.at == (house, send.conn):
                        player.at = None
                    if player.next == (house, send.conn):
                        player.next = None
                    conn = send.conn
                    self.later.append(lambda: house.node.step(ClientLost(conn), self.clock(house)))
            case ToPeer():
                to = next((h for h in self.houses if h.who == send.peer), None)
                if to is not None and to.number in house.linked:
                    batch = decode_batch(encode_batch(Batch(house.node.map_version, (send.message,))))
                    said = PeerSaid(house.who, batch)
                    self.later.append(lambda: to.node.step(said, self.clock(to)))

    def _answer(self, house: House, request: object) -> Any:
        match request:
            case Register():
                return Registered(1)
            case Renew():
                self.renewed += 1
                return Renewed(request.token, True)
            case ReadMap():
                self.renewed += 1
                leases = tuple(Lease(h.who, self.renewed, False) for h in self.houses)
                known = request.known_version == self.city.version
                return MapRead(self.city.version, None if known else self.city, leases)
            case Propose():
                return Proposed(False, self.city.version)
        raise AssertionError(f"no request: {request}")


def last_bye(player: Player) -> Bye:
    """The goodbye it was told."""
    byes = player.of(Bye)
    assert byes, player.heard
    bye: Bye = byes[-1]
    return bye
