"""The people of a simulated city: real client sessions that walk across borders, hang lanterns and ring bells.

A `Device` carries out what its `Session` asks and steers it along a route; a `Person` has one device or two, which take
the avatar from each other now and then. What the nodes confirm is kept in a `Ledger`, to be looked for at the end.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from client.session import Close, Open, Say, Session
from client.table import ClientAt
from p2pworld.errors import LocalError
from p2pworld.messages import Act, Bye, Done, Pose, Profile
from p2pworld.wire.codec import decode_play, encode_play
from simulations.machine import WALL_MS
from simulations.network import PlaySocket

if TYPE_CHECKING:
    import random

    from p2pworld.crypto.keys import Signer
    from p2pworld.ids import Login
    from simulations.events import Agenda, Trace
    from simulations.machine import Machine, Process
    from simulations.network import Network

__all__ = ["Deed", "Device", "Ledger", "Person", "WalkOptions"]

_FRAME_KINDS: Final = 0x40  # below it are packed frames
_POSES: Final = 0x02
_T_MS: Final = struct.Struct("<I")
_ARRIVED_CM: Final = 150.0
_CROWD_CM: Final = 200  # so far from the middle of a crowd people stand, each way


@dataclass(frozen=True, slots=True)
class WalkOptions:
    """How people behave: speeds in cm/s, rates per person and second."""

    speed_cm_s: tuple[float, float] = (450.0, 690.0)
    pose_every_s: float = 0.33
    linger_s: float = 0.6  # at the end of each leg, on average
    hang_per_s: float = 0.03
    ring_per_s: float = 0.02
    switch_per_s: float = 0.012  # the other device takes over
    quit_per_s: float = 0.004  # the device is put away for a while


@dataclass(slots=True)
class Deed:
    """One act a device asked for, and what it was told of it."""

    avatar: int
    verb: str
    text: str
    asked_s: float
    durable: str = ""
    object_id: bytes = b""
    refused: str = ""
    asked: bool = False  # whether it ever left the device
    expunged: str = ""  # "asked": a moderator wants it gone for good; "kept": a node has said to see to it


@dataclass(slots=True)
class Ledger:
    """Every act of the run."""

    deeds: list[Deed] = field(default_factory=list)


class Town(Protocol):
    """What people need of the run they are in."""

    agenda: Agenda
    trace: Trace
    network: Network
    machines: list[Machine]
    bounds_cm: tuple[int, int, int, int]

    def dice(self, of: str) -> random.Random: ...

    @property
    def walking(self) -> bool: ...


class Device:
    """One device of a person: a session, its sockets, its way through the town."""

    def __init__(self, person: Person, name: str, options: WalkOptions, ledger: Ledger, town: Town) -> None:
        self.person, self.name, self.town = person, name, town
        self.dice = rng = town.dice(name)
        urls = [machine.config.play_url for machine in town.machines]
        rng.shuffle(urls)
        east, north = _somewhere(town, rng)
        self.session = Session(
            person.signer,
            Profile(person.name),
            urls,
            rng.getrandbits(256).to_bytes(32, "big"),
            Pose(east, north),
        )
        self.opened_in: dict[Login, float] = {}
        self.wanted = False  # the person wants to be in the city on this device
        self.wanted_s = 0.0  # since when
        self._options, self._ledger = options, ledger
        self._sockets: dict[int, PlaySocket] = {}
        self._deeds: dict[int, Deed] = {}
        self._aim = _somewhere(town, self.dice)
        self._linger_until_s = 0.0
        self._stalled_s = 0.0
        self._gathered_until_s = 0.0  # with the crowd, around this point:
        self._gathering = self._aim
        self._speed_cm_s = rng.uniform(*options.speed_cm_s)
        self._skew_ms = rng.randrange(-2_000, 2_000)
        self._stepped_s = 0.0

    def begin(self, *, active: bool) -> None:
        """Start to live; an `active` device logs in at once."""
        rng = self.dice
        if active:
            self.town.agenda.after(rng.random() * 2.0, self.gesture)
        self.town.agenda.after(rng.random() * self._options.pose_every_s, self._beat)

    def gesture(self) -> None:
        """The person picks this device up."""
        self.wanted = True
        self.wanted_s = self.town.agenda.now_s
        self.town.trace.say(self.town.agenda.now_s, f"{self.name} wants to be in the city")
        self.session.gesture(self.town.agenda.now_s)
        self._carry_out()

    def put_away(self) -> None:
        """The person leaves."""
        self.wanted = False
        self.town.trace.say(self.town.agenda.now_s, f"{self.name} leaves the city")
        self.session.leave()
        self._carry_out()

    # ------------------------------------------------------------------------------------------------- sockets

    def socket_said(self, socket: PlaySocket, data: bytes) -> None:
        """Something came on a socket."""
        town, session, now_s = self.town, self.session, self.town.agenda.now_s
        town.trace.add(now_s, b"P", data)
        if data[0] < _FRAME_KINDS:
            if data[0] == _POSES:
                session.heard(socket.name, _T_MS.unpack_from(data, 4)[0], now_s)
            return
        message = decode_play(data)
        if isinstance(message, Done):
            self._done(message)
        if isinstance(message, Bye):
            town.trace.say(now_s, f"{self.name} is told BYE {message.code} on socket {socket.name}")
        was = session.at
        session.said(socket.name, message, now_s, WALL_MS + int(now_s * 1000) + self._skew_ms)
        self._follow(was)

    def socket_closed(self, socket: PlaySocket) -> None:
        """A socket is gone."""
        was = self.session.at
        self._sockets.pop(socket.name, None)
        self.session.closed(socket.name, self.town.agenda.now_s)
        self._follow(was)

    def cut(self) -> None:
        """The connection the device plays on breaks; both sides hear of it."""
        for name in (self.session.held, self.session.main):
            socket = self._sockets.get(name)
            if socket is not None:
                self._close(socket)
                self.socket_closed(socket)
                return

    def stall(self, seconds: float) -> None:
        """Nothing arrives on this device's sockets, either way, for a while."""
        self._stalled_s = max(self._stalled_s, self.town.agenda.now_s + seconds)
        for socket in self._sockets.values():
            socket.stalled_s = self._stalled_s

    def _follow(self, was: ClientAt) -> None:
        session = self.session
        if session.at is not was:
            line = f"{self.name} is {session.at.name} (was {was.name}), login {session.login.ms}"
            self.town.trace.say(self.town.agenda.now_s, line)
        self._carry_out()

    def _carry_out(self) -> None:
        for action in self.session.take_actions():
            match action:
                case Open():
                    self._open(action)
                case Say():
                    self._say(action.conn, encode_play(action.message))
                    if isinstance(action.message, Act):
                        self._note_asked(action.conn, action.message.n)
                case Close():
                    socket = self._sockets.pop(action.conn, None)
                    if socket is not None:
                        self._close(socket)

    def _open(self, action: Open) -> None:
        network = self.town.network
        found = [machine.process for machine in self.town.machines if machine.config.play_url == action.url]
        process = found[0] if found else None
        socket = PlaySocket(self, action.conn, process, self.town.agenda.now_s)
        self._sockets[action.conn] = socket
        socket.stalled_s = self._stalled_s
        if process is None:
            network.close_from_node(socket)
        else:
            network.to_node(socket, lambda: _accept(process, socket, network))

    def _say(self, conn: int, data: bytes) -> None:
        socket = self._sockets.get(conn)
        if socket is not None and socket.process is not None:
            process: Process = socket.process  # type: ignore[assignment]
            self.town.network.to_node(socket, lambda: process.do(lambda: process.heard_client(socket, data)))

    def _close(self, socket: PlaySocket) -> None:
        if socket.client_open and socket.process is not None:
            process: Process = socket.process  # type: ignore[assignment]
            self.town.network.close_from_client(
                socket, lambda: process.do(lambda: process.lost_client(socket))
            )
        socket.client_open = False

    # ------------------------------------------------------------------------------------------------- living

    def _beat(self) -> None:
        """A few times each second: timers, a step, and now and then an act."""
        town, session, options = self.town, self.session, self._options
        town.agenda.after(options.pose_every_s, self._beat)
        now_s = town.agenda.now_s
        was = session.at
        session.tick(now_s)
        self._follow(was)
        if session.poses_to:
            data = session.steer(self._walk(now_s))
            for conn in session.poses_to:
                self._say(conn, data)
        self._stepped_s = now_s
        if session.playing and town.walking:
            chance = self.dice.random() / options.pose_every_s
            if chance < options.hang_per_s:
                self._act("hang", f"{self.name} {len(self._ledger.deeds)}")
            elif chance < options.hang_per_s + options.ring_per_s:
                self._act("ring", "")
            self._carry_out()

    def _walk(self, now_s: float) -> Pose:
        pose = self.session.pose
        assert pose is not None
        town = self.town
        if not town.walking or now_s < self._linger_until_s:
            return pose
        way_s = min(now_s - self._stepped_s, 0.5)
        de, dn = self._aim[0] - pose.east_cm, self._aim[1] - pose.north_cm
        left = math.sqrt(de * de + dn * dn)
        if left < _ARRIVED_CM:
            self._aim = self._next_aim(now_s)
            self._linger_until_s = now_s + 2 * self.dice.random() * self._options.linger_s
            return pose
        go = min(left, self._speed_cm_s * way_s)
        yaw = int(self.dice.random() * 256)
        return Pose(pose.east_cm + round(de / left * go), pose.north_cm + round(dn / left * go), 0, yaw, 1)

    def _next_aim(self, now_s: float) -> tuple[int, int]:
        if now_s >= self._gathered_until_s:
            return _somewhere(self.town, self.dice)
        east, north = self._gathering
        most = _CROWD_CM
        return east + self.dice.randint(-most, most), north + self.dice.randint(-most, most)

    def gather(self, point_cm: tuple[int, int], until_s: float) -> None:
        """Walk to where everybody goes, and about there until then."""
        self._gathering, self._gathered_until_s, self._linger_until_s = point_cm, until_s, 0.0
        self._aim = self._next_aim(self.town.agenda.now_s)

    def _act(self, verb: str, text: str) -> None:
        try:
            n = self.session.act(verb, self.town.agenda.now_s, text)
        except LocalError:
            return  # enough acts wait for their answers
        deed = Deed(self.session.id, verb, text, self.town.agenda.now_s)
        self._deeds[n] = deed
        self._ledger.deeds.append(deed)

    def _note_asked(self, conn: int, n: int) -> None:
        deed, socket = self._deeds.get(n), self._sockets.get(conn)
        if deed is not None and socket is not None and socket.process is not None:
            deed.asked = True

    def _done(self, done: Done) -> None:
        deed = self._deeds.get(done.n)
        if deed is None:
            return
        if done.durable and not deed.durable:
            deed.durable, deed.object_id = done.durable, done.id
            self.town.trace.say(
                self.town.agenda.now_s, f"{self.name} is told {deed.verb} {done.n} is safe on {done.durable}"
            )
        elif done.reason:
            deed.refused = done.reason


def _accept(process: Process, socket: PlaySocket, network: Network) -> None:
    if process.alive:
        process.do(lambda: process.accept(socket))
    else:
        network.close_from_node(socket)


class Person:
    """One person: a key, and one or two devices of which the newest login counts."""

    def __init__(
        self, number: int, signer: Signer, devices: int, options: WalkOptions, ledger: Ledger, town: Town
    ) -> None:
        self.number = number
        self.name = f"p{number}"
        self.signer = signer
        self.town = town
        self.devices = [Device(self, f"{self.name}.{d}", options, ledger, town) for d in range(devices)]
        self.id = self.devices[0].session.id
        self.dice = town.dice(self.name)
        self._options = options

    def begin(self) -> None:
        """Start to live."""
        for place, device in enumerate(self.devices):
            device.begin(active=place == 0)
        self._plan()

    def _plan(self) -> None:
        rate = self._options.switch_per_s + self._options.quit_per_s
        self.town.agenda.after(self.dice.expovariate(rate), self._change)

    def _change(self) -> None:
        if not self.town.walking:
            return
        self._plan()
        options, rng = self._options, self.dice
        if rng.random() * (options.switch_per_s + options.quit_per_s) < options.switch_per_s:
            self.devices[rng.randrange(len(self.devices))].gesture()
            return
        device = self.devices[rng.randrange(len(self.devices))]
        if device.wanted and device.session.at is not ClientAt.STOPPED:
            device.put_away()
            self.town.agenda.after(1.0 + 6.0 * rng.random(), device.gesture)


def _somewhere(town: Town, dice: random.Random) -> tuple[int, int]:
    west, south, east, north = town.bounds_cm
    return dice.randrange(west, east), dice.randrange(south, north)
