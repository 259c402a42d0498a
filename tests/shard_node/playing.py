"""A recording sink and a client for tests of play sockets; the client's WebSocket side is a library's."""

from __future__ import annotations

import socket
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from websockets.client import ClientProtocol
from websockets.frames import Frame as WsFrame
from websockets.frames import Opcode
from websockets.protocol import State
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from p2pworld.messages import Bye, ClientEvent, Hello, PlayMessage, Profile
from p2pworld.wire.codec import decode_play
from shard_node.play import PlaySockets
from shard_node.play_conn import listen_play
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    import numpy as np
    from numpy.typing import NDArray

    from p2pworld.messages import Frame
    from shard_node.doors import Doors


HELLO = Hello(v=1, key=bytes(32), login_ms=1, url="ws://x/play", profile=Profile("하늘"), sig=bytes(64))


class Recorder:
    """A sink that remembers, and wakes whoever waits for more."""

    def __init__(self) -> None:
        self.events: list[ClientEvent] = []
        self.seen: list[tuple[int, Any]] = []
        self._changed = trio.Event()

    def step(self, event: ClientEvent) -> None:
        self.events.append(event)
        self._wake()

    def poses(self, conns: NDArray[np.int32], rows: NDArray[Any]) -> None:
        assert len(conns) == len(rows)
        self.seen += [(int(conn), row) for conn, row in zip(conns, rows, strict=True)]
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    async def until_events(self, count: int) -> None:
        while len(self.events) < count:
            await self._changed.wait()

    async def until_poses(self, count: int) -> None:
        while len(self.seen) < count:
            await self._changed.wait()


class Client:
    """One play client over a stream."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self.protocol = ClientProtocol(
            parse_uri("ws://here/play"), subprotocols=[Subprotocol("p2pworld.v1")], max_size=None
        )
        self._events: deque[Any] = deque()

    async def open(self) -> None:
        self.protocol.send_request(self.protocol.connect())
        await self.flush()
        while self.protocol.state is State.CONNECTING:
            await self._read()
        if self.protocol.handshake_exc is not None:
            raise self.protocol.handshake_exc

    async def flush(self) -> None:
        for data in self.protocol.data_to_send():
            if data:
                await self.stream.send_all(data)

    async def _read(self) -> bool:
        try:
            data = await self.stream.receive_some(65_536)
        except trio.BrokenResourceError:
            data = b""
        if data:
            self.protocol.receive_data(data)
        else:
            self.protocol.receive_eof()
        self._events += self.protocol.events_received()
        return bool(data)

    async def say(self, payload: bytes) -> None:
        self.protocol.send_binary(payload)
        await self.flush()

    async def raw(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def frame(self) -> WsFrame | None:
        """The next frame of any kind, or None at the end of the stream."""
        while True:
            while self._events:
                event = self._events.popleft()
                if isinstance(event, WsFrame):
                    return event
            if not await self._read():
                return None

    async def payload(self) -> bytes:
        """The next binary message."""
        while True:
            frame = await self.frame()
            assert frame is not None, "the node closed the connection"
            if frame.opcode is Opcode.BINARY:
                return bytes(frame.data)

    async def control(self) -> PlayMessage:
        return decode_play(await self.payload())

    async def bye(self) -> Bye:
        """Reads to the end; the last message must be BYE, and a close frame must follow it."""
        last: Bye | None = None
        closed = False
        while (frame := await self.frame()) is not None:
            if frame.opcode is Opcode.BINARY and frame.data[0] == Bye.KIND:
                message = decode_play(bytes(frame.data))
                assert isinstance(message, Bye)
                last = message
            closed = closed or frame.opcode is Opcode.CLOSE
        assert last is not None
        assert closed
        return last


class Stage:
    """Play sockets of a test, their recorder, a clock that stands still unless told, and a way to connect."""

    def __init__(self, tls: ssl.SSLContext | None, clients_max: int, doors: Doors | None) -> None:
        self.now_s = 1000.0
        listener = listen_play("127.0.0.1", 0)
        self.port: int = listener.getsockname()[1]
        self.sink = Recorder()
        self.play = PlaySockets(listener, lambda: self.now_s, tls, clients_max, doors=doors)
        self.play.attach(self.sink)

        self.sockets: list[trio.socket.SocketType] = []

    async def tcp(self, receive_buffer_bytes: int = 0) -> trio.SocketStream:
        """A connection that is closed at the end of the test."""
        sock = trio.socket.socket()
        if receive_buffer_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.sockets.append(sock)
        await sock.connect(("127.0.0.1", self.port))
        return trio.SocketStream(sock)

    async def send_frames(self, *frames: Frame) -> None:
        """Hands out frames, and returns when that is done."""
        self.play.send_frames(frames)
        while self.play.connections.writer.busy:
            await trio.lowlevel.checkpoint()

    async def connect(self, receive_buffer_bytes: int = 0) -> Client:
        client = Client(await self.tcp(receive_buffer_bytes))
        await client.open()
        return client


@asynccontextmanager
async def stage(
    tls: ssl.SSLContext | None = None, clients_max: int = 16, doors: Doors | None = None
) -> AsyncIterator[Stage]:
    """Running play sockets on loopback; fails the test after a while instead of hanging."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            on = Stage(tls, clients_max, doors)
            nursery.start_soon(on.play.run)
            nursery.start_soon(on.play.run_frames)
            try:
                yield on
            finally:
                nursery.cancel_scope.cancel()
                on.play.close()
                for sock in on.sockets:
                    sock.close()
