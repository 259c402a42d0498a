"""One client in the city, on Trio: a session, its view, and the WebSockets that carry them.

`connect` logs in and keeps the person in the city, across handoffs, lost sockets and dead nodes, until its block ends.
Steering is `walk_to`; poses leave ten times a second while the avatar moves and once a second while it stands.
"""

from __future__ import annotations

import math
import os
import ssl
import time
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio
from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from client.session import JOIN_S, Close, Open, Say, Session
from client.view import View
from p2pworld.errors import RemoteError
from p2pworld.messages import Done, Objects, PlayMessage, Pose, Profile
from p2pworld.wire.codec import decode_play, encode_play

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from p2pworld.crypto.keys import Signer
    from p2pworld.grants import Grant

__all__ = ["Client", "connect"]

SUBPROTOCOL: Final = "p2pworld.v1"
MESSAGE_BYTES_MAX: Final = 1 << 20
STILL_S: Final = 1.0
WORDS_MAX: Final = 256  # waiting for one socket to take them
FIRST_CONTROL_KIND: Final = 0x40
READ_BYTES: Final = 65_536
NORMAL: Final = 1000
SAID_MAX: Final = 1_024


class Client:
    """A person in the city: `session`, `view`, the answers to its acts in `done`, and the last messages in `said`.

    `now_s` is Trio's clock.
    """

    def __init__(self, session: Session, tls: ssl.SSLContext | None = None) -> None:
        self.session, self.view = session, View()
        self.done: dict[int, Done] = {}
        self.said: deque[PlayMessage] = deque(maxlen=SAID_MAX)
        self._tls = tls
        self._words: dict[int, trio.MemorySendChannel[bytes]] = {}
        self._nursery: trio.Nursery | None = None
        self._changed = trio.Event()
        self._goal: tuple[int, int, float] | None = None
        self._at: tuple[float, float] | None = None

    # ------------------------------------------------------------------------------------------- wishes

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits until `holds()`, looking after everything that happens to this client."""
        while not holds():
            await self._changed.wait()

    async def enter(self) -> None:
        """Logs in (again, after another device took over) and waits for WELCOME."""
        self.session.gesture(trio.current_time())
        self._carry_out()
        await self.until(lambda: self.session.playing)

    async def walk_to(self, east_cm: int, north_cm: int, speed_m_s: float = 1.4) -> None:
        """Walks straight to a point and returns on arrival."""
        self._goal = (east_cm, north_cm, speed_m_s)
        await self.until(lambda: self._goal is None)

    async def act(self, verb: str, text: str = "", target: bytes = b"", *, keep: bool = False) -> Done:
        """Does something that lasts and waits for its answer.

        With `keep` that may be `pending`: what comes of it replaces it in `done`.

        Raises:
            LocalError: too many acts are open.
        """
        n = self.session.act(verb, trio.current_time(), text, target, keep=keep)
        self._carry_out()
        await self.until(lambda: n in self.done)
        return self.done[n]

    def say(self, channel: str, text: str, *, to: bytes = b"", avatar: int = 0) -> None:
        """Says something, signed; what others say arrives in `said`."""
        self.session.say(channel, text, trio.current_time(), to=to, avatar=avatar)
        self._carry_out()

    def beat(self, voice: int, in_ms: int = 200) -> int:
        """Strikes a drum; returns the server's Unix millisecond at which it is to sound."""
        at_ms = self.session.server_ms(trio.current_time()) + in_ms
        self.session.beat(at_ms, voice)
        self._carry_out()
        return at_ms

    def go(self, place: str) -> None:
        """Asks to be taken to a place, aboard the bus (`bus`) or off it (`off`)."""
        self.session.go(place)
        self._carry_out()

    def go_to(self, avatar: int) -> None:
        """Asks to be taken to somebody who welcomes this person."""
        self.session.go_to(avatar)
        self._carry_out()

    def block(self, avatar: int, on: bool = True) -> None:
        """Hears nothing of this avatar any more, or again."""
        self.session.block(avatar, on)
        self._carry_out()

    def friend(self, avatar: int, on: bool = True) -> None:
        """Lets this avatar come to where this person is, or no longer."""
        self.session.friend(avatar, on)
        self._carry_out()

    def group(self, to: bytes, on: bool = True) -> None:
        """Hears the group with this secret 16-byte name, or no longer."""
        self.session.group(to, on)
        self._carry_out()

    # ------------------------------------------------------------------------------------------- tasks

    async def run(self) -> None:
        """Keeps the client alive until cancelled; then closes its sockets."""
        try:
            async with trio.open_nursery() as self._nursery:
                self._nursery.start_soon(self._keep_time)
                self._nursery.start_soon(self._keep_moving)
        finally:
            self._nursery = None

    async def _keep_time(self) -> None:
        while True:
            wait_s = self.session.deadline_s - trio.current_time()
            with trio.move_on_after(max(wait_s, 0.0)):
                await self._changed.wait()
            await trio.lowlevel.checkpoint()  # after a pause, what waits on the sockets is heard first
            self.session.tick(trio.current_time())
            self._carry_out()

    async def _keep_moving(self) -> None:
        sent_s = -math.inf
        next_s = trio.current_time()
        while True:
            tick_s = self.session.tick_ms / 1000
            next_s = max(next_s + tick_s, trio.current_time())
            await trio.sleep_until(next_s)
            pose = self.session.pose
            if pose is None or not self.session.poses_to:
                continue
            moving = self._goal is not None
            if moving:
                pose = self._stride(pose, tick_s)
            if moving or next_s - sent_s >= STILL_S:
                sent_s = next_s
                data = self.session.steer(pose)
                for conn in self.session.poses_to:
                    self._send(conn, data)
                self._change()

    def _stride(self, pose: Pose, seconds: float) -> Pose:
        """One step towards the goal."""
        assert self._goal is not None
        goal_east, goal_north, speed_m_s = self._goal
        east, north = self._at or (float(pose.east_cm), float(pose.north_cm))
        if math.hypot(east - pose.east_cm, north - pose.north_cm) > 2:  # corrected
            east, north = float(pose.east_cm), float(pose.north_cm)
        way_cm = math.hypot(goal_east - east, goal_north - north)
        share = min(1.0, speed_m_s * 100 * seconds / way_cm) if way_cm else 1.0
        east, north = east + (goal_east - east) * share, north + (goal_north - north) * share
        self._at = (east, north)
        if share == 1.0:
            self._goal = self._at = None
        return replace(pose, east_cm=round(east), north_cm=round(north))

    # ------------------------------------------------------------------------------------------- sockets

    def _carry_out(self) -> None:
        """Does what the session wants done."""
        for action in self.session.take_actions():
            match action:
                case Open():
                    send, receive = trio.open_memory_channel[bytes](WORDS_MAX)
                    self._words[action.conn] = send
                    if self._nursery is not None:
                        self._nursery.start_soon(self._socket, action.conn, action.url, receive)
                case Say():
                    self._send(action.conn, encode_play(action.message))
                case Close():
                    if (channel := self._words.pop(action.conn, None)) is not None:
                        channel.close()
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    def _send(self, conn: int, data: bytes) -> None:
        channel = self._words.get(conn)
        if channel is None:
            return
        try:
            channel.send_nowait(data)
        except trio.WouldBlock:
            self.session.counters["unsent"] += 1  # the node reads too slowly; a newer pose will follow
        except trio.BrokenResourceError:
            self.session.counters["unsent"] += 1

    async def _socket(self, conn: int, url: str, words: trio.MemoryReceiveChannel[bytes]) -> None:
        """The life of one socket: connects, reads, and writes what `words` brings until that is closed."""
        try:
            async with words:
                with trio.fail_after(JOIN_S):
                    stream = await self._dial(url)
                async with stream:
                    talk = _Talk(stream, url)
                    with trio.fail_after(JOIN_S):
                        await talk.open()
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._write, talk, words, nursery.cancel_scope)
                        await self._read(talk, conn)
                        nursery.cancel_scope.cancel()
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError) as errors:
            self.session.trouble = ("socket", _sentence(errors) or "It took too long to connect.")
        except* RemoteError as errors:
            self.session.trouble = ("malformed", _sentence(errors))
        self._words.pop(conn, None)
        self.session.closed(conn, trio.current_time())
        self._carry_out()

    async def _dial(self, url: str) -> trio.abc.Stream:
        parts = urlsplit(url)
        secure = parts.scheme == "wss"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        stream = await trio.open_tcp_stream(host, port)
        if not secure:
            return stream
        context = self._tls or ssl.create_default_context()
        return trio.SSLStream(stream, context, server_hostname=host, https_compatible=True)

    async def _write(
        self, talk: _Talk, words: trio.MemoryReceiveChannel[bytes], scope: trio.CancelScope
    ) -> None:
        async for data in words:
            if talk.protocol.state is State.OPEN:
                talk.protocol.send_binary(data)
                await talk.flush()
        if talk.protocol.state is State.OPEN:
            talk.protocol.send_close(NORMAL)
            await talk.flush()
        scope.cancel()

    async def _read(self, talk: _Talk, conn: int) -> None:
        while talk.protocol.state is State.OPEN:
            self._take_all(talk.protocol, conn)
            await talk.hear()
        self._take_all(talk.protocol, conn)

    def _take_all(self, protocol: ClientProtocol, conn: int) -> None:
        for event in protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.BINARY:
                self._take(conn, bytes(event.data))

    def _take(self, conn: int, payload: bytes) -> None:
        """One whole message."""
        now_s = trio.current_time()
        if payload and payload[0] < FIRST_CONTROL_KIND:
            t_ms = self.view.frame(payload, self.session.tick_ms, now_s)
            if t_ms is not None:
                self.session.heard(conn, t_ms, now_s)
            self._change()
            return
        message = decode_play(payload)
        if self.session.said(conn, message, now_s, time.time_ns() // 1_000_000):
            self.said.append(message)
            if isinstance(message, Objects):
                self.view.change_objects(message)
            elif isinstance(message, Done):
                self.done[message.n] = message
        self._carry_out()


def _sentence(error: BaseException) -> str:
    """What the innermost cause of an error says."""
    while True:
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__
        if inner is None:
            return str(error)
        error = inner


class _Talk:
    """A WebSocket on a stream: two tasks may speak on it, one listens."""

    def __init__(self, stream: trio.abc.Stream, url: str) -> None:
        self.stream = stream
        self.protocol = ClientProtocol(
            parse_uri(url), subprotocols=[Subprotocol(SUBPROTOCOL)], max_size=MESSAGE_BYTES_MAX
        )
        self._speaking = trio.Lock()

    async def open(self) -> None:
        """The handshake.

        Raises:
            RemoteError: the server refused, or speaks another protocol.
        """
        self.protocol.send_request(self.protocol.connect())
        await self.flush()
        while self.protocol.state is State.CONNECTING and self.protocol.handshake_exc is None:
            await self.hear()
        if self.protocol.handshake_exc is not None:
            raise RemoteError("handshake", str(self.protocol.handshake_exc))

    async def hear(self) -> None:
        """Takes in what comes next, and answers what the WebSocket itself must answer."""
        data = await self.stream.receive_some(READ_BYTES)
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        await self.flush()

    async def flush(self) -> None:
        """Sends what the protocol wants sent."""
        async with self._speaking:
            for data in self.protocol.data_to_send():
                if data:
                    await self.stream.send_all(data)


@asynccontextmanager
async def connect(
    urls: Iterable[str],
    signer: Signer,
    profile: Profile,
    want: Pose | None = None,
    tls: ssl.SSLContext | None = None,
    last_login_ms: int = 0,
    grants: tuple[Grant, ...] = (),
) -> AsyncIterator[Client]:
    """A client that is being logged in at one of `urls`; `await client.enter()` waits for WELCOME.

    `tls` is the context of wss:// (default: this machine's certificates); `grants` give this person a role.
    """
    client = Client(Session(signer, profile, urls, os.urandom(16), want, last_login_ms, grants), tls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await trio.lowlevel.checkpoint()
        try:
            yield client
        finally:
            nursery.cancel_scope.cancel()
