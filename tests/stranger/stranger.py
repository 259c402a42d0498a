"""A client of the city by somebody who has read docs/protocol.md and nothing else.

It imports nothing of this project: only msgpack, the Sans-I/O half of a WebSocket library, a signing library, and the
standard library. It is one object without threads: call `pump` often; it reads what has come, follows the protocol's
table of states, and sends the pose when it is due. The chapters named are the page's.
"""

from __future__ import annotations

import hashlib
import random
import socket
import struct
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import msgpack
import nacl.exceptions
import nacl.signing
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

POSE, POSES, DENSITY = 0x01, 0x02, 0x03
HELLO, CHALLENGE, WELCOME, MOVED, DONE = 0x40, 0x41, 0x42, 0x43, 0x4E
ACT, OBJECTS, WHO, PROFILES, CORRECT, NOTICE, GO, PACE, BYE = (
    0x46,
    0x47,
    0x48,
    0x49,
    0x4A,
    0x4B,
    0x4C,
    0x4D,
    0x4F,
)

POSE_ROW = struct.Struct("<BBHiihBB")
POSES_HEAD = struct.Struct("<BBHIii")
DENSITY_HEAD = struct.Struct("<BBHI")
TIER_TICKS = (1, 2, 5)
WORLD_CM = 6_553_600


def canonical(value: Any) -> bytes:
    """Chapter 3: one way to write each value."""

    def ordered(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: ordered(part[key]) for key in sorted(part, key=str.encode)}
        return [ordered(item) for item in part] if isinstance(part, list) else part

    packed: bytes = msgpack.packb(ordered(value), use_bin_type=True)
    return packed


def avatar_of(key: bytes) -> int:
    """Chapter 1: the id that belongs to a person's public key."""
    return int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 11 or 1


def _without_defaults(part: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in part.items() if key not in defaults or value != defaults[key]}


def later(a: int, b: int) -> int:
    """a − b of two 32-bit times, by serial arithmetic."""
    return (a - b + 2**31) % 2**32 - 2**31


class Socket:
    """One WebSocket to one node, and what the node has said on it."""

    def __init__(self, url: str) -> None:
        uri = parse_uri(url)
        self.url = url
        self.protocol = ClientProtocol(uri, subprotocols=[Subprotocol("p2pworld.v1")])
        self.sock = socket.create_connection((uri.host, uri.port), timeout=5)
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.closed = False
        self.opened_s = self.heard_s = time.monotonic()
        self.frames_t_ms: list[int] = []
        self.bye: dict[str, Any] | None = None
        self.challenge: dict[str, Any] | None = None
        self.protocol.send_request(self.protocol.connect())
        self._flush()

    def _flush(self) -> None:
        for data in self.protocol.data_to_send():
            try:
                if data:
                    self.sock.sendall(data)
                else:
                    self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
                return

    def send(self, payload: bytes) -> None:
        """One protocol message; to a closed socket it is lost, as on any network."""
        if not self.closed and self.protocol.state is State.OPEN:
            self.protocol.send_binary(payload)
            self._flush()

    def receive(self) -> list[bytes]:
        """The messages that have come since the last call."""
        messages: list[bytes] = []
        while not self.closed:
            try:
                data = self.sock.recv(65_536)
            except BlockingIOError:
                break
            except OSError:
                self.close()
                break
            if data:
                self.protocol.receive_data(data)
            else:
                self.protocol.receive_eof()
            for event in self.protocol.events_received():
                if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                    messages.append(bytes(event.data))
            self._flush()
            if not data:
                self.close()
        if messages:
            self.heard_s = time.monotonic()
        return messages

    def close(self) -> None:
        """Closes at once; idempotent."""
        if not self.closed:
            self.closed = True
            self.sock.close()


@dataclass(slots=True)
class Seen:
    """An avatar as the last POSES told it."""

    east_cm: int
    north_cm: int
    state: int
    fades_s: float


@dataclass(slots=True)
class Place:
    """Where this client stands, and in which state."""

    east_cm: int = 0
    north_cm: int = 0
    up: int = 0
    yaw: int = 0
    state: int = 0

    def as_map(self) -> dict[str, int]:
        whole = {"east_cm": self.east_cm, "north_cm": self.north_cm}
        return whole | _without_defaults(
            {"up": self.up, "yaw": self.yaw, "state": self.state}, {"up": 0, "yaw": 0, "state": 0}
        )


@dataclass(slots=True)
class Story:
    """What happened, for whoever asks afterwards."""

    states: list[str] = field(default_factory=list)
    welcomes: list[dict[str, Any]] = field(default_factory=list)
    byes: list[dict[str, Any]] = field(default_factory=list)
    corrections: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)
    gaps_s: list[float] = field(default_factory=list)
    unknown: Counter[int] = field(default_factory=Counter)


class Stranger:
    """One person's client. `seed` is 32 secret bytes."""

    def __init__(self, seed: bytes, name: str, last_login_ms: int = 0) -> None:
        self.key = nacl.signing.SigningKey(seed)
        self.public = bytes(self.key.verify_key)
        self.id = avatar_of(self.public)
        self.name = name
        self.state = "OUT"
        self.place = Place()
        self.seq = 0
        self.login: tuple[int, bytes] | None = None  # the last that a WELCOME confirmed
        self.largest_login_ms = last_login_ms
        self.urls: list[str] = []
        self.people: dict[int, Seen] = {}
        self.density: dict[int, tuple[int, dict[int, int]]] = {}  # by level: t_ms, and counts by cell
        self.objects: dict[int, dict[bytes, dict[str, Any]]] = {}
        self.profiles: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self.story = Story()
        self.first: Socket | None = None
        self.second: Socket | None = None
        self.signature_flaw = 0  # flips bits of the last byte: for a test that wants to be refused
        self._ticket: dict[str, Any] | None = None
        self._tick_ms = 100
        self._want: Place | None = None
        self._continues = False
        self._retry_s, self._retry_wait_s = 0.0, 0.2
        self._pose_s = 0.0
        self._moved_at_s = 0.0
        self._goal: tuple[int, int, float] | None = None
        self._ack = 0
        self._held_s = 0.0
        self._acts = 0
        self._frame_s = 0.0

    # ------------------------------------------------------------------------------------------ for a person

    def log_in(self, url: str, want: Place | None = None) -> None:
        """A login that a person asks for: it continues no earlier one."""
        self._continues, self._want = False, want
        self._knock(url)

    def resume(self, url: str, login: tuple[int, bytes], place: Place) -> None:
        """Continues a login without being asked by a person, as a tab does that wakes up."""
        self.login, self.place, self.urls = login, place, [url]
        self._continues, self._want = True, place
        self._knock(url)

    def walk(self, east_cm: int, north_cm: int, speed_m_s: float) -> None:
        """Goes straight to a place from now on."""
        self._goal = (east_cm, north_cm, speed_m_s)
        self._moved_at_s = time.monotonic()

    @property
    def arrived(self) -> bool:
        return self._goal is None

    def hang(self, text: str) -> int:
        """Hangs a lantern here; the number under which DONE will tell what became of it."""
        self._acts += 1
        self._say(ACT, {"n": self._acts, "verb": "hang", "text": text, "name": random.randbytes(16)})
        return self._acts

    def ask_who(self, *ids: int) -> None:
        self._say(WHO, {"ids": list(ids)})

    def lose_sockets(self) -> None:
        """As if the network went away for a moment."""
        for sock in (self.first, self.second):
            if sock is not None:
                sock.close()

    def stop(self) -> None:
        """Leaves for good."""
        self.lose_sockets()
        self._become("STOPPED")

    # ------------------------------------------------------------------------------------------ the table of chapter 6

    def pump(self) -> None:
        """Reads, follows the table, sends what is due."""
        for sock in (self.first, self.second):
            if sock is not None:
                for message in sock.receive():
                    self._take(sock, message)
        self._follow_sockets()
        self._move()

    def _become(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.story.states.append(state)

    def _knock(self, url: str) -> None:
        self._become("JOINING")
        try:
            self.first = Socket(url)
        except OSError:
            self.first = None
            self._out()

    def _out(self) -> None:
        """OUT: everything closed; the next login continues this one, after a wait that grows."""
        for sock in (self.first, self.second):
            if sock is not None:
                sock.close()
        self.first = self.second = None
        self._retry_s = time.monotonic() + self._retry_wait_s * random.uniform(0.5, 1.5)
        self._retry_wait_s = min(5.0, self._retry_wait_s * 2)
        self._continues, self._want = self.login is not None, self.place
        self._become("OUT")

    def _follow_sockets(self) -> None:
        now_s = time.monotonic()
        first, second = self.first, self.second
        match self.state:
            case "OUT" if self.urls and now_s >= self._retry_s:
                self.urls.append(self.urls.pop(0))
                self._knock(self.urls[-1])
            case "JOINING":
                if first is None or first.closed or now_s - first.opened_s > 3:
                    self._out()
            case "PLAYING":
                if first is None or first.closed or now_s - first.heard_s > 3:
                    self._out()
            case "BOTH":
                if second is None or second.closed:
                    self.second = None
                    self._become("PLAYING")
                elif first is None or first.closed:
                    self._held_s = now_s
                    self._become("HELD")
            case "HELD":
                if second is None or second.closed or now_s - self._held_s > 2:
                    self._out()

    # ------------------------------------------------------------------------------------------ what the node says

    def _take(self, sock: Socket, message: bytes) -> None:
        kind = message[0]
        if kind == POSES:
            self._take_poses(sock, message)
        elif kind == DENSITY:
            self._take_density(message)
        elif kind < 0x40:
            self.story.unknown[kind] += 1
        else:
            self._take_control(sock, kind, msgpack.unpackb(message[1:], strict_map_key=False))

    def _take_control(self, sock: Socket, kind: int, said: dict[str, Any]) -> None:
        match kind:
            case 0x41:
                self._answer(sock, said)
            case 0x42:
                self._welcomed(sock, said)
            case 0x43:
                self._moved(said)
            case 0x47:
                self._take_objects(said)
            case 0x49:
                self.profiles.update(zip(said["ids"], said["profiles"], strict=True))
            case 0x4A:
                self.story.corrections.append(said)
                self.place = Place(**said["pose"])
                self.seq = max(self.seq, said["seq"])
            case 0x4B:
                self.story.notices.append(said)
            case 0x4D:
                self._pose_s += said["shift_ms"] / 1000
            case 0x4E:
                self.done[said["n"]] = said
            case 0x4F:
                self._bye(sock, said)
            case _:
                self.story.unknown[kind] += 1

    def _answer(self, sock: Socket, said: dict[str, Any]) -> None:
        """CHALLENGE: believe it only if its key signed it for this url, and is the key that MOVED named."""
        sock.challenge = said
        signed = b"p2pworld challenge v1\n" + said["nonce"] + said["url"].encode()
        try:
            nacl.signing.VerifyKey(said["node"]).verify(signed, said["sig"])
            wrong = said["url"] != sock.url
        except nacl.exceptions.BadSignatureError:
            wrong = True
        ticket = self._ticket if sock is self.second else None
        if wrong or (ticket is not None and ticket["node"] != said["node"]):
            sock.close()
            return
        profile = _without_defaults({"name": self.name, "look": "", "kind": "program"}, {"look": ""})
        signed_map: dict[str, Any] = {"url": said["url"], "profile": profile}
        if ticket is not None:
            assert self.login is not None
            signed_map |= {"login_ms": self.login[0], "birth": self.login[1], "ticket": ticket["ticket"]}
        else:
            self.largest_login_ms = max(time.time_ns() // 1_000_000, self.largest_login_ms + 1)
            signed_map["login_ms"] = self.largest_login_ms
            if self._continues and self.login is not None:
                signed_map |= {"after_ms": self.login[0], "after_birth": self.login[1]}
            if self._want is not None:
                signed_map["want"] = self._want.as_map()
        digest = hashlib.sha256(canonical(signed_map)).digest()
        sig = self.key.sign(b"p2pworld hello v1\n" + said["node"] + said["nonce"] + digest).signature
        sig = sig[:-1] + bytes((sig[-1] ^ self.signature_flaw,))
        self._say(HELLO, signed_map | {"v": 1, "key": self.public, "sig": sig}, sock)

    def _welcomed(self, sock: Socket, said: dict[str, Any]) -> None:
        self.story.welcomes.append(said)
        self._tick_ms = said["tick_ms"]
        assert said["id"] == self.id, "the node made another id of my key"
        self.login = (said["login_ms"], said["birth"])
        self.urls = [sock.url, *(url for url in said.get("urls", ()) if url != sock.url)]
        if sock is self.second:
            if self.first is not None:
                self.first.close()
            self.first, self.second = sock, None
            self.seq = max(self.seq, said["seq"])
        else:
            self.place, self.seq = Place(**said["pose"]), said["seq"]
        self._retry_wait_s = 0.2
        self.people.clear()  # they are on another node's clock
        self.density.clear()
        self._become("PLAYING")

    def _moved(self, said: dict[str, Any]) -> None:
        self.story.moved.append(said)
        if self.second is not None:
            self.second.close()
        self._ticket = said
        try:
            self.second = Socket(said["url"])
        except OSError:
            self.second = None
            return
        self._become("BOTH")

    def _bye(self, sock: Socket, said: dict[str, Any]) -> None:
        sock.bye = said
        self.story.byes.append(said)
        self.urls += [url for url in said.get("urls", ()) if url not in self.urls]
        code = said["code"]
        if code == "elsewhere":
            self.largest_login_ms = max(self.largest_login_ms, said.get("login_ms", 0))
            self.stop()
        elif code in ("signature", "url", "key", "version", "malformed", "clock"):
            self.stop()
        sock.close()

    def _take_poses(self, sock: Socket, message: bytes) -> None:
        _, tier_shift, count, t_ms, origin_e, origin_n = POSES_HEAD.unpack_from(message)
        assert len(message) == 16 + 16 * count, "chapter 4: the length is exactly this"
        now_s = time.monotonic()
        if sock.frames_t_ms:
            self.story.gaps_s.append(now_s - self._frame_s)
        self._frame_s = now_s
        sock.frames_t_ms.append(t_ms)
        if sock is not self.first:
            return  # "Draw what the first one sends until WELCOME"
        self._ack = t_ms >> 6 & 255
        shift = tier_shift >> 4
        kept_s = max(1.0, 3 * TIER_TICKS[min(tier_shift & 15, 2)] * self._tick_ms / 1000)
        columns = struct.unpack_from(f"<{count}Q{count}h{count}h{count}h{count}B{count}B", message, 16)
        ids, de, dn, _, _, state = (columns[i * count : (i + 1) * count] for i in range(6))
        for i in range(count):
            east_cm = min(max(origin_e + (de[i] << shift), 0), WORLD_CM - 1)
            north_cm = min(max(origin_n + (dn[i] << shift), 0), WORLD_CM - 1)
            self.people[ids[i]] = Seen(east_cm, north_cm, state[i], now_s + kept_s)
        self.people = {avatar: seen for avatar, seen in self.people.items() if now_s < seen.fades_s}

    def _take_density(self, message: bytes) -> None:
        _, level, count, t_ms = DENSITY_HEAD.unpack_from(message)
        cells = struct.unpack_from(f"<{count}I", message, 8)
        avatars = struct.unpack_from(f"<{count}H", message, 8 + 4 * count)
        assert len(message) % 8 == 0
        told, counts = self.density.get(level, (t_ms, {}))
        if later(t_ms, told) > 0:
            counts = {}
        self.density[level] = (t_ms, counts | dict(zip(cells, avatars, strict=True)))

    def _take_objects(self, said: dict[str, Any]) -> None:
        known = self.objects.setdefault(said["cell"], {})
        if said.get("whole", False):
            known.clear()
        for one in said["objects"]:
            known[one["id"]] = one
        for gone in said.get("gone", ()):
            known.pop(gone, None)

    # ------------------------------------------------------------------------------------------ what I say

    def _say(self, kind: int, said: dict[str, Any], sock: Socket | None = None) -> None:
        to = sock or self.first
        if to is not None:
            packed: bytes = msgpack.packb(said, use_bin_type=True)
            to.send(bytes((kind,)) + packed)

    def _move(self) -> None:
        """The pose when it is due: ten a second on the way, one a second standing; the same to both sockets."""
        now_s = time.monotonic()
        if self.state not in ("PLAYING", "BOTH", "HELD") or now_s < self._pose_s:
            return
        self._pose_s = now_s + (1.0 if self._goal is None else 0.1)
        if self._goal is not None:
            self._step(now_s)
        self.seq += 1
        place = self.place
        pose = POSE_ROW.pack(
            POSE,
            place.state,
            self.seq & 0xFFFF,
            place.east_cm,
            place.north_cm,
            place.up,
            place.yaw,
            self._ack,
        )
        for sock in (self.first, self.second):
            if sock is not None and not (sock is self.second and sock.challenge is None):
                sock.send(pose)

    def _step(self, now_s: float) -> None:
        assert self._goal is not None
        east_cm, north_cm, speed_m_s = self._goal
        way_cm = speed_m_s * 100 * min(now_s - self._moved_at_s, 0.3)
        self._moved_at_s = now_s
        de, dn = east_cm - self.place.east_cm, north_cm - self.place.north_cm
        left_cm = (de * de + dn * dn) ** 0.5
        if left_cm <= way_cm:
            self.place.east_cm, self.place.north_cm, self._goal = east_cm, north_cm, None
        else:
            self.place.east_cm += round(de * way_cm / left_cm)
            self.place.north_cm += round(dn * way_cm / left_cm)
