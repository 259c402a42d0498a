"""Play sockets: thousands of clients on one epoll descriptor, read in one pass and written in one pass.

One task waits for the epoll descriptor and drains it at most every 10 ms, so that what arrives within that time is one
batch. A socket gives at most one row of bytes a drain: a flooder waits in its own kernel buffer. A whole POSE in one
masked frame is 22 bytes; rows like that are unmasked and decoded together, everything else goes through
`ClientFrames`. Another task hands out the frames of a tick, 256 sends between checkpoints.

A socket lives through TLS (if configured), HTTP, OPEN and LINGER. `ClientOpened` and `ClientLost` frame OPEN, and only
OPEN sockets have a number. A socket that is ended here says BYE, half closes, and lingers until the client has read it.
What a full socket cannot take: a frame is skipped, a control message waits in a bounded queue, a frame begun is ended.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np
import trio

from p2pworld.errors import RemoteError
from p2pworld.limits import (
    CLIENTS_MAX,
    CONTROL_BURST,
    CONTROL_QUEUE_BYTES,
    FRAME_BYTES_MAX,
    HELLO_WAIT_S,
)
from p2pworld.messages import (
    Bye,
    ClientEvent,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Frame,
    Hello,
    PlayMessage,
)
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import decode_pose_rows
from shard_node import websocket
from shard_node.doors import Doors
from shard_node.play_conn import FULL_MAX_S, Conn, State
from shard_node.websocket import Broken, answer_handshake

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["PlaySink", "PlaySockets"]

DRAIN_EVERY_S: Final = 0.010
DRAIN_SOCKETS: Final = 512  # between two checkpoints
ROW_BYTES: Final = 2_048  # one socket's share of a drain: a HELLO, or 90 poses
SENDS_PER_CHECKPOINT: Final = 256  # about 2 ms
ACCEPTS_PER_DRAIN: Final = 64
HANDSHAKES_MAX: Final = 1_024  # sockets that are not yet open
REQUEST_BYTES_MAX: Final = 8_192
LINGER_MAX: Final = 512
LINGER_S: Final = 2.0
CONTROL_DROPS_MAX: Final = 10 * CONTROL_BURST  # after this many dropped messages a client is a flooder
ACCEPT_PAUSE_S: Final = 1.0  # after running out of file descriptors

POSE_BYTES: Final = 16
POSE_FRAME_BYTES: Final = 2 + 4 + POSE_BYTES
POSE_KIND: Final = 0x01
FIRST_CONTROL_KIND: Final = 0x40

IN, OUT = select.EPOLLIN, select.EPOLLOUT
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class PlaySink(Protocol):
    """Who is told what clients do: the executor. `poses`: row i came from play socket conns[i], in arrival order."""

    def step(self, event: ClientEvent) -> None: ...

    def poses(self, conns: NDArray[np.int32], rows: NDArray[Any]) -> None: ...


class PlaySockets:
    """All play sockets of a node. `attach` its sink, then run `run` and `run_frames` in a nursery.

    `now_s` is the boot clock. `urls` are other nodes' play urls, told to those who find no room.
    """

    def __init__(
        self,
        listener: socket.socket,
        now_s: Callable[[], float],
        tls: ssl.SSLContext | None = None,
        clients_max: int = CLIENTS_MAX,
        doors: Doors | None = None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.urls: tuple[str, ...] = ()
        self._listener: socket.socket | None = listener
        self._listener_fd = listener.fileno()
        self._now_s, self._tls = now_s, tls
        self._doors = doors or Doors()
        self._sink: PlaySink | None = None
        self._by_fd: dict[int, Conn] = {}
        self._table: list[Conn | None] = [None] * clients_max
        self._free = list(range(clients_max - 1, -1, -1))
        self._limbo: list[int] = []  # numbers that a frame on its way may still name
        self._timed: dict[Conn, None] = {}  # those with a deadline, oldest first
        self._full: dict[Conn, None] = {}
        self._lingers: dict[Conn, None] = {}
        self._handshaking = self.open = 0
        self._buffer = np.zeros((DRAIN_SOCKETS, ROW_BYTES), np.uint8)
        self._rows = [memoryview(self._buffer[i]) for i in range(DRAIN_SOCKETS)]
        self._late: list[tuple[Conn, bytes]] = []  # poses that came by the slow way in this drain
        self._frames: tuple[Frame, ...] | None = None
        self._sending = False
        self._wake = trio.Event()
        self._gone = trio.Event()
        self._accept_again_s = 0.0
        self._epoll = select.epoll()
        self._epoll.register(self._listener_fd, IN)

    def attach(self, sink: PlaySink) -> None:
        """Says who is told; once, before `run`."""
        self._sink = sink

    @property
    def sink(self) -> PlaySink:
        assert self._sink is not None, "attach a sink first"
        return self._sink

    # ------------------------------------------------------------------------------------------------- tasks

    async def run(self) -> None:
        """Reads for ever: waits for the first event, drains all, and gives the next ones 10 ms to gather."""
        while True:
            await trio.lowlevel.wait_readable(self._epoll.fileno())
            next_s = trio.current_time() + DRAIN_EVERY_S
            while self.drain() == DRAIN_SOCKETS and trio.current_time() < next_s:
                await trio.lowlevel.checkpoint()
            await trio.sleep_until(next_s)

    async def run_frames(self) -> None:
        """Hands out the frames of one tick after another, in chunks."""
        while True:
            while self._frames is None:
                self._wake = trio.Event()
                await self._wake.wait()
            frames, self._frames = self._frames, None
            self._sending = True
            sends = 0
            for frame in frames:
                data = b"".join([websocket.message(payload) for payload in frame.payloads])
                for number in frame.conns:
                    self._send_frame(number, data)
                    sends += 1
                    if sends % SENDS_PER_CHECKPOINT == 0:
                        await trio.lowlevel.checkpoint()
            self._sending = False
            if self._frames is None:
                self._free += self._limbo
                self._limbo.clear()
            await trio.lowlevel.checkpoint()

    # ------------------------------------------------------------------------------------------------- sending

    def send_frames(self, frames: tuple[Frame, ...]) -> None:
        """Hands out `frames` soon; frames that still wait behind an earlier tick's are dropped for these."""
        if self._frames is not None:
            self.counters["frames_late"] += sum(len(frame.conns) for frame in self._frames)
        self._frames = frames
        self._wake.set()

    def send(self, number: int, message: PlayMessage) -> None:
        """Sends a control message, after those before it; to a socket already gone it is counted and dropped."""
        conn = self._table[number]
        if conn is None:
            self.counters["control_to_gone"] += 1
            return
        self.counters["control_out"] += 1
        self._write(conn, websocket.message(encode_play(message)))

    def hang_up(self, number: int, bye: Bye) -> None:
        """Says BYE and ends a socket; `ClientLost` follows."""
        conn = self._table[number]
        if conn is not None:
            self._end(conn, bye, f"bye_{bye.code}")

    def stop_listening(self) -> None:
        """No further clients."""
        if self._listener is not None:
            if not self._accept_again_s:
                self._epoll.unregister(self._listener_fd)
            self._listener.close()
            self._listener = None

    @property
    def lingering(self) -> int:
        """Sockets that were told BYE and have not yet closed."""
        return len(self._lingers)

    async def until_gone(self) -> None:
        """Waits until everybody who was told BYE has closed, or was closed."""
        while self._lingers:
            self._gone = trio.Event()
            await self._gone.wait()

    def close(self) -> None:
        """Closes every socket at once, and the epoll descriptor; tells nobody."""
        self.stop_listening()
        for conn in self._by_fd.values():
            conn.sock.close()
        self._by_fd.clear()
        self._epoll.close()

    def _send_frame(self, number: int, data: bytes) -> None:
        conn = self._table[number]
        if conn is None:
            self.counters["frames_to_gone"] += 1
            return
        sent = 0
        if not conn.out:
            try:
                sent = conn.send(data)
            except BlockingIOError:
                pass
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                self._queue(conn, data)  # a part of the record may have left
                return
            except OSError:
                self._lose(conn, "reset")
                return
        if sent == 0:
            self.counters["frames_skipped"] += 1
            if not conn.full_s:
                conn.full_s = self._now_s()
                self._full[conn] = None
            return
        self.counters["frames_sent"] += 1
        self.counters["bytes_out"] += sent
        if conn.full_s:
            self._not_full(conn)
        if sent < len(data):
            self._queue(conn, data[sent:])

    def _write(self, conn: Conn, data: bytes) -> None:
        """Sends `data` or queues what does not fit."""
        sent = 0
        if not conn.out:
            try:
                sent = conn.send(data)
            except WOULD_BLOCK:
                pass
            except OSError:
                self._lose(conn, "reset")
                return
            self.counters["bytes_out"] += sent
        if sent < len(data):
            self._queue(conn, data[sent:])

    def _queue(self, conn: Conn, data: bytes) -> None:
        conn.out += data
        self._want(conn, IN | OUT)
        if conn.state is State.OPEN and len(conn.out) > CONTROL_QUEUE_BYTES + FRAME_BYTES_MAX:
            self._end(
                conn, Bye("slow", "You read too slowly: too many messages are waiting for you."), "slow"
            )

    def _flush(self, conn: Conn) -> None:
        """Sends what is queued, as far as it goes."""
        try:
            sent = conn.send(conn.out)
        except WOULD_BLOCK:
            return
        except OSError:
            self._lose(conn, "reset")
            return
        del conn.out[:sent]
        self.counters["bytes_out"] += sent
        if conn.full_s:
            self._not_full(conn)
        if not conn.out:
            self._want(conn, IN)
            if conn.state is State.LINGER:
                self._half_close(conn)

    def _not_full(self, conn: Conn) -> None:
        conn.full_s = 0.0
        self._full.pop(conn, None)

    def _want(self, conn: Conn, wants: int) -> None:
        if conn.wants != wants:
            conn.wants = wants
            self._epoll.modify(conn.fd, wants)

    # ------------------------------------------------------------------------------------------------- reading

    def drain(self) -> int:
        """Reads every ready socket once, at most DRAIN_SOCKETS; returns how many were ready."""
        ready = self._epoll.poll(0, DRAIN_SOCKETS)
        now_s = self._now_s()
        by_fd, rows = self._by_fd, self._rows
        quick: list[Conn] = []
        for fd, mask in ready:
            conn = by_fd.get(fd)
            if conn is None:
                if fd == self._listener_fd:
                    self._accept(now_s)
            elif conn.quick and mask == IN:
                row = rows[len(quick)]
                size = self._receive(conn, row)
                if size == POSE_FRAME_BYTES:
                    quick.append(conn)
                elif size:
                    self._take(conn, bytes(row[:size]), now_s)
            else:
                self._attend(conn, mask, rows[len(quick)], now_s)
        self._take_poses(quick, now_s)
        return len(ready)

    def _attend(self, conn: Conn, mask: int, row: memoryview, now_s: float) -> None:
        """Reads and writes one ready socket, whatever state it is in."""
        if conn.state is State.TLS:
            self._shake_tls(conn)
            return
        if mask & OUT and conn.out:
            self._flush(conn)
        while mask & ~OUT and conn.state is not State.CLOSED:
            size = self._receive(conn, row)
            if size:
                self._take(conn, bytes(row[:size]), now_s)
            # TLS may hold more that is already decrypted, of which epoll knows nothing
            if not (size and _has_more(conn)):
                break

    def _receive(self, conn: Conn, row: memoryview) -> int:
        """Bytes read into `row`; 0 when there are none, or the socket came to its end."""
        try:
            if conn.quick:
                conn.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)  # no bare ACK for each pose
            size = conn.receive(row)
        except WOULD_BLOCK:
            return 0
        except OSError:
            self._lose(conn, "reset")
            return 0
        if size == 0:
            self._lose(conn, "left")
        return size

    def _take_poses(self, quick: list[Conn], now_s: float) -> None:
        """Decodes the poses of this drain together: `quick[i]` sent row i of the buffer."""
        if not quick and not self._late:
            return
        head = self._buffer[: len(quick)]
        body = head[:, 6:POSE_FRAME_BYTES] ^ np.tile(head[:, 2:6], 4)
        plain = (head[:, 0] == 0x82) & (head[:, 1] == 0x80 | POSE_BYTES) & (body[:, 0] == POSE_KIND)
        if not plain.all():
            for i in np.flatnonzero(~plain).tolist():
                self._take(quick[i], bytes(self._rows[i][:POSE_FRAME_BYTES]), now_s)
        conns = [conn.number for conn in quick]
        numbers = np.array(conns, np.int32)
        keep = plain & (numbers >= 0)
        numbers, rows = numbers[keep], body[keep]
        late = [(conn.number, data) for conn, data in self._late if conn.number >= 0]
        self._late.clear()
        if late:
            numbers = np.concatenate([numbers, np.array([number for number, _ in late], np.int32)])
            rows = np.concatenate(
                [rows, np.frombuffer(b"".join(data for _, data in late), np.uint8).reshape(-1, 16)]
            )
        if len(numbers):
            self.counters["poses_in"] += len(numbers)
            self.sink.poses(numbers, decode_pose_rows(rows))

    def _take(self, conn: Conn, data: bytes, now_s: float) -> None:
        """What a socket said, by the slow way."""
        if conn.state is State.HTTP:
            conn.request += data
            self._shake_http(conn, now_s)
        elif conn.state is State.OPEN:
            for event in conn.frames.feed(data):
                self._take_event(conn, event, now_s)
                if conn.state is not State.OPEN:
                    return
            conn.quick = conn.frames.at_boundary and not conn.tls

    def _take_event(self, conn: Conn, event: websocket.Event | Broken, now_s: float) -> None:
        if isinstance(event, Broken):
            self.counters[f"malformed_{event.reason}"] += 1
            self._end(
                conn, Bye("malformed", f"Broken WebSocket rule: {event.reason}."), "malformed", event.code
            )
        elif event.opcode == websocket.CLOSE:
            self._write(conn, websocket.close_frame())
            self._linger(conn, "left")
        elif (
            event.opcode == websocket.BINARY
            and len(event.payload) == POSE_BYTES
            and event.payload[0] == POSE_KIND
        ):
            self._late.append((conn, event.payload))
        elif not conn.may_speak(now_s):
            self.counters["control_dropped"] += 1
            conn.drops += 1
            if conn.drops > CONTROL_DROPS_MAX:
                self._end(conn, Bye("malformed", "You sent far more messages than are allowed."), "flood")
        elif event.opcode == websocket.PING:
            self._write(conn, websocket.pong(event.payload))
        elif event.opcode == websocket.BINARY:
            self._take_message(conn, event.payload)

    def _take_message(self, conn: Conn, payload: bytes) -> None:
        if payload and payload[0] != POSE_KIND and payload[0] < FIRST_CONTROL_KIND:
            self.counters["unknown_kind"] += 1
            return
        try:
            if not payload or payload[0] == POSE_KIND:
                raise RemoteError("pose_size" if payload else "empty", "A message has the wrong size.")
            message = decode_play(payload)
        except RemoteError as error:
            self.counters[f"malformed_{error.reason}"] += 1
            self._end(conn, Bye("malformed", str(error)[:300]), "malformed", websocket.INVALID)
            return
        if isinstance(message, Hello):
            self._no_deadline(conn)
            if conn.at_door:
                conn.at_door = False
                self._doors.opened(conn.remote)
        self.counters["control_in"] += 1
        self.sink.step(ClientSaid(conn.number, message))

    # ------------------------------------------------------------------------------------------------- life

    def _accept(self, now_s: float) -> None:
        assert self._listener is not None
        for _ in range(ACCEPTS_PER_DRAIN):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    # the waiting client would wake us for ever
                    self._epoll.unregister(self._listener_fd)
                    self._accept_again_s = now_s + ACCEPT_PAUSE_S
                    self.counters["accept_out_of_files"] += 1
                    return
                self.counters["accept_failed"] += 1
                continue
            if self._handshaking >= HANDSHAKES_MAX:
                self.counters["accept_overload"] += 1
                sock.close()
                continue
            if not self._doors.may_enter(str(address[0]), now_s):
                self.counters["accept_address"] += 1
                sock.close()
                continue
            sock.setblocking(False)
            if self._tls is not None:
                try:
                    sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
                except OSError:
                    self.counters["accept_failed"] += 1  # gone already
                    self._doors.closed(str(address[0]))
                    sock.close()
                    continue
            conn = Conn(sock, str(address[0]), self._tls is not None, now_s + HELLO_WAIT_S)
            self._by_fd[conn.fd] = conn
            self._timed[conn] = None
            self._handshaking += 1
            self._epoll.register(conn.fd, IN)
            self.counters["accepted"] += 1

    def _shake_tls(self, conn: Conn) -> None:
        assert isinstance(conn.sock, ssl.SSLSocket)
        try:
            conn.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._want(conn, IN)
        except ssl.SSLWantWriteError:
            self._want(conn, IN | OUT)
        except OSError:
            self._lose(conn, "tls")
        else:
            self._want(conn, IN)
            conn.state = State.HTTP

    def _shake_http(self, conn: Conn, now_s: float) -> None:
        head, end, rest = conn.request.partition(b"\r\n\r\n")
        if not end or len(head) > REQUEST_BYTES_MAX:
            if len(conn.request) > REQUEST_BYTES_MAX:
                self._write(
                    conn, b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
                )
                self._linger(conn, "handshake")
            return
        conn.request = b""
        reply, accepted = answer_handshake(head + end)
        self._write(conn, reply)
        if not accepted:
            self._linger(conn, "handshake")
        if conn.state is not State.HTTP:
            return
        conn.state = State.OPEN
        conn.deadline_s = now_s + HELLO_WAIT_S
        self._handshaking -= 1
        if not self._free:
            self._end(conn, Bye("full", "This part of the city is full.", urls=self.urls), "full")
            return
        conn.number = self._free.pop()
        conn.tokens_s = now_s
        self._table[conn.number] = conn
        self.open += 1
        self.counters["opened"] += 1
        self.sink.step(ClientOpened(conn.number, conn.remote))
        self._take(conn, rest, now_s)

    def _end(self, conn: Conn, bye: Bye, reason: str, code: int = websocket.NORMAL) -> None:
        """Says BYE and the close, then lingers."""
        conn.state = State.LINGER  # whatever is still queued may go, nothing may end it twice
        self._write(conn, websocket.message(encode_play(bye)) + websocket.close_frame(code))
        self._linger(conn, reason)

    def _linger(self, conn: Conn, reason: str) -> None:
        """Sends what is queued, half closes, and reads on until the client has closed: a reset would eat the BYE."""
        if conn.state is State.CLOSED:
            return
        was, conn.state = conn.state, State.LINGER
        conn.deadline_s = self._now_s() + LINGER_S
        self._timed[conn] = self._lingers[conn] = None
        if not conn.out:
            self._half_close(conn)
        self._forget(conn, was, reason)
        if len(self._lingers) > LINGER_MAX:
            self._close(next(iter(self._lingers)))

    def _half_close(self, conn: Conn) -> None:
        try:
            socket.socket.shutdown(conn.sock, socket.SHUT_WR)
        except OSError:
            self.counters["shutdown_failed"] += 1  # the client was faster

    def _lose(self, conn: Conn, reason: str) -> None:
        """Closes at once: there is nobody to tell."""
        was = conn.state
        if was is not State.CLOSED:
            self._close(conn)
            self._forget(conn, was, reason)

    def _close(self, conn: Conn) -> None:
        conn.state = State.CLOSED
        del self._by_fd[conn.fd]
        for table in (self._timed, self._full, self._lingers):
            table.pop(conn, None)
        conn.out.clear()
        conn.sock.close()
        if not self._lingers:
            self._gone.set()

    def _forget(self, conn: Conn, was: State, reason: str) -> None:
        """Counts the end of a socket, once, and tells the sink if it had a number."""
        if conn.ended:
            return
        conn.ended, conn.quick = True, False
        if conn.at_door:
            self._doors.closed(conn.remote)
        self.counters[f"closed_{reason}"] += 1
        self._not_full(conn)
        if was in (State.TLS, State.HTTP):
            self._handshaking -= 1
        if conn.number >= 0:
            number, conn.number = conn.number, -1
            self._table[number] = None
            self.open -= 1
            if self._sending or self._frames is not None:
                self._limbo.append(number)
            else:
                self._free.append(number)
            self.sink.step(ClientLost(number))

    def _no_deadline(self, conn: Conn) -> None:
        conn.deadline_s = 0.0
        self._timed.pop(conn, None)

    def housekeep(self) -> None:
        """Ends what has waited too long: handshakes, silence where a HELLO is due, lingering, hopeless readers."""
        now_s = self._now_s()
        for conn in [conn for conn in self._timed if conn.deadline_s <= now_s]:
            if conn.state is State.OPEN:
                self._end(conn, Bye("expired", f"No HELLO came within {HELLO_WAIT_S:g} seconds."), "no_hello")
            elif conn.state is State.LINGER:
                self._close(conn)
            elif conn.state is not State.CLOSED:
                self._lose(conn, "handshake_timeout")
        for conn in [conn for conn in self._full if now_s - conn.full_s > FULL_MAX_S]:
            if conn.state is State.OPEN:
                self._end(conn, Bye("slow", "You read too slowly."), "slow")
        if self._accept_again_s and now_s >= self._accept_again_s and self._listener is not None:
            self._accept_again_s = 0.0
            self._epoll.register(self._listener_fd, IN)


def _has_more(conn: Conn) -> bool:
    return conn.state is not State.CLOSED and isinstance(conn.sock, ssl.SSLSocket) and conn.sock.pending() > 0
