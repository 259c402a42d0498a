"""What comes from the play sockets: every ready socket is read once a drain, and all poses are decoded together.

A socket gives at most one row of bytes a drain: a flooder waits in its own kernel buffer. A whole POSE in one masked
frame is 22 bytes; rows that hold nothing but such frames are unmasked and decoded in one pass, everything else goes
through `ClientFrames`. What is filed in one drain is told together too.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.errors import RemoteError
from p2pworld.limits import CONTROL_BURST, NEWCOMERS_S
from p2pworld.messages import Bye, ClientSaid, ClientsFiled, File, Filed, Hello
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import decode_pose_rows
from shard_node import websocket
from shard_node.play_conn import IN, OUT, WOULD_BLOCK, Conn, State
from shard_node.websocket import Broken

if TYPE_CHECKING:
    from collections import Counter

    from p2pworld.messages import PlayMessage
    from shard_node.play_life import Connections
    from shard_node.stages import Stages

__all__ = ["CONTROL_DROPS_MAX", "DRAIN_SOCKETS", "Reader"]

DRAIN_SOCKETS: Final = 512  # between two checkpoints
ROW_BYTES: Final = 2_048  # one socket's share of a drain: a HELLO, or 90 poses
CONTROL_DROPS_MAX: Final = 10 * CONTROL_BURST  # after this many dropped messages a client is a flooder

POSE_BYTES: Final = 16
POSE_FRAME_BYTES: Final = 2 + 4 + POSE_BYTES
POSES_PER_ROW: Final = 8  # more in one read are a flooder's, whose way may be slow
WHOLE_POSES: Final = frozenset(POSE_FRAME_BYTES * count for count in range(1, POSES_PER_ROW + 1))
POSE_KIND: Final = 0x01
TLS_RECORD_BYTES: Final = 16_384
FIRST_CONTROL_KIND: Final = 0x40
FILE_KIND: Final = bytes((File.KIND,))


class Reader:
    """Reads the sockets of `connections` and tells their sink what they said."""

    def __init__(self, connections: Connections, counters: Counter[str], stages: Stages) -> None:
        self._connections, self._counters, self._stages = connections, counters, stages
        self._buffer = np.zeros((DRAIN_SOCKETS, ROW_BYTES), np.uint8)
        self._rows = [memoryview(self._buffer[i]) for i in range(DRAIN_SOCKETS)]
        self._frames = self._buffer[:, : POSES_PER_ROW * POSE_FRAME_BYTES].reshape(
            DRAIN_SOCKETS, POSES_PER_ROW, POSE_FRAME_BYTES
        )
        self._late: list[tuple[Conn, bytes]] = []  # poses that came by the slow way in this drain
        self._filed: list[tuple[Conn, File]] = []  # and FILEs

    def drain(self, now_s: float) -> int:
        """Reads every ready socket once, at most DRAIN_SOCKETS; returns how many were ready."""
        with self._stages.timed("receive"):
            return self._drain(now_s)

    def _drain(self, now_s: float) -> int:
        connections, rows = self._connections, self._rows
        ready = connections.epoll.poll(0, DRAIN_SOCKETS)
        by_fd = connections.by_fd
        quick: list[Conn] = []
        sizes: list[int] = []
        knocked = False
        for fd, mask in ready:
            conn = by_fd.get(fd)
            if conn is None:
                knocked = knocked or fd == connections.listener_fd
            elif conn.quick and mask == IN:
                row = rows[len(quick)]
                try:
                    size = conn.receive(row)
                except OSError as error:
                    self._unread(conn, error)
                    continue
                if size in WHOLE_POSES:
                    quick.append(conn)
                    sizes.append(size)
                else:
                    self._took(conn, row, size, now_s)
            elif not conn.new:
                self._attend(conn, mask, rows[len(quick)], now_s)
            elif connections.newcomers_s < NEWCOMERS_S:
                began_s = connections.cpu_s()
                self._attend(conn, mask, rows[len(quick)], now_s)
                connections.newcomers_s += connections.cpu_s() - began_s
        if quick or self._late:
            with self._stages.timed("decode"):
                self._take_poses(quick, sizes, now_s)
        if self._filed:
            # by now some may have gone, with whom they would be told
            files = tuple((conn.number, file) for conn, file in self._filed if conn.number >= 0)
            self._filed.clear()
            connections.sink.step(ClientsFiled(files))
        if knocked:  # last: those who are half in have less time than those outside
            connections.accept(now_s)
        return len(ready)

    def _attend(self, conn: Conn, mask: int, row: memoryview, now_s: float) -> None:
        """Reads and writes one ready socket, whatever state it is in."""
        if conn.state is State.TLS:
            self._connections.shake_tls(conn)
            return
        if mask & OUT:
            self._connections.writer.flush(conn)
        if mask & ~OUT and conn.state is not State.CLOSED:
            try:
                size = conn.receive(row)
            except OSError as error:
                self._unread(conn, error)
            else:
                self._took(conn, row, size, now_s)

    def _unread(self, conn: Conn, error: OSError) -> None:
        if not isinstance(error, WOULD_BLOCK):
            self._connections.lose(conn, "reset")

    def _took(self, conn: Conn, row: memoryview, size: int, now_s: float) -> None:
        """`size` bytes were read into `row`: not whole poses, or not where poses alone are due."""
        if size == 0:
            self._connections.lose(conn, "left")
            return
        data = bytes(row[:size])
        if conn.tls and size == ROW_BYTES:
            # what is already decrypted epoll knows nothing of; it is at most one record
            assert isinstance(conn.sock, ssl.SSLSocket)
            data += conn.sock.recv(TLS_RECORD_BYTES) if conn.sock.pending() else b""
        self._take(conn, data, now_s)

    def _take_poses(self, quick: list[Conn], sizes: list[int], now_s: float) -> None:
        """Decodes the poses of this drain together: `quick[i]` sent `sizes[i]` bytes, whole frames, into row i."""
        counts = np.array(sizes, np.intp) // POSE_FRAME_BYTES
        conn_of = np.arange(len(quick)).repeat(counts)
        if len(conn_of) == len(quick):
            frames = self._frames[: len(quick), 0]
        else:
            frames = self._frames[
                conn_of, np.arange(len(conn_of)) - (counts.cumsum() - counts).repeat(counts)
            ]
        plain, poses = websocket.unmask_frames(frames, POSE_BYTES)
        plain &= poses[:, 0] == POSE_KIND
        if not plain.all():
            odd = np.unique(conn_of[~plain])  # all that these sent goes the slow way, in its order
            plain &= ~np.isin(conn_of, odd)
            for i in odd.tolist():
                self._take(quick[i], bytes(self._rows[i][: sizes[i]]), now_s)
        # by now some may have been ended
        numbers = np.array([conn.number for conn in quick], np.int32)[conn_of]
        plain &= numbers >= 0
        if not plain.all():
            numbers, poses = numbers[plain], poses[plain]
        late = [(conn.number, data) for conn, data in self._late if conn.number >= 0]
        self._late.clear()
        if late:
            numbers = np.concatenate([numbers, np.array([number for number, _ in late], np.int32)])
            slow = np.frombuffer(b"".join([data for _, data in late]), np.uint8)
            poses = np.concatenate([poses, slow.reshape(-1, POSE_BYTES)])
        if len(numbers):
            self._counters["poses_in"] += len(numbers)
            self._connections.sink.poses(numbers, decode_pose_rows(poses))

    def _take(self, conn: Conn, data: bytes, now_s: float) -> None:
        """What a socket said, by the slow way."""
        if conn.state is State.HTTP:
            data = self._connections.shake_http(conn, data, now_s)
        if conn.state is State.OPEN:
            for event in conn.frames.feed(data):
                self._take_event(conn, event, now_s)
                if conn.state is not State.OPEN:
                    return
            conn.quick = not conn.new and conn.frames.at_boundary

    def _take_event(self, conn: Conn, event: websocket.Event | Broken, now_s: float) -> None:
        connections, counters = self._connections, self._counters
        if isinstance(event, Broken):
            counters[f"malformed_{event.reason}"] += 1
            bye = Bye("malformed", f"Broken WebSocket rule: {event.reason}.")
            connections.end(conn, bye, "malformed", event.code)
        elif event.opcode == websocket.CLOSE:
            connections.writer.write(conn, websocket.close_frame())
            connections.linger(conn, "left")
        elif (
            event.opcode == websocket.BINARY
            and len(event.payload) == POSE_BYTES
            and event.payload[0] == POSE_KIND
        ):
            self._late.append((conn, event.payload))
        elif event.opcode == websocket.BINARY and event.payload[:1] == FILE_KIND:
            self._take_file(conn, event.payload, now_s)
        elif not conn.may_speak(now_s):
            counters["control_dropped"] += 1
            self._dropped(conn)
        elif event.opcode == websocket.PING:
            connections.writer.write(conn, websocket.pong(event.payload))
        elif event.opcode == websocket.BINARY:
            self._take_message(conn, event.payload)

    def _dropped(self, conn: Conn) -> None:
        """One more message than was allowed: a few are dropped, with many it is a flooder."""
        conn.drops += 1
        if conn.drops > CONTROL_DROPS_MAX:
            bye = Bye("malformed", "You sent far more messages than are allowed.")
            self._connections.end(conn, bye, "flood")

    def _take_file(self, conn: Conn, payload: bytes, now_s: float) -> None:
        message = self._decoded(conn, payload)
        if message is None:
            return
        assert isinstance(message, File)
        self._counters["files_in"] += 1
        if self._connections.may_file(conn, now_s):
            self._filed.append((conn, message))
            return
        self._counters["files_refused"] += 1
        sentence = "too much is filed from here at once; try again in a moment"
        filed = Filed(message.n, reason="civic-busy", sentence=sentence)
        self._connections.writer.write(conn, websocket.message(encode_play(filed)))
        if conn.state is State.OPEN:
            self._dropped(conn)

    def _decoded(self, conn: Conn, payload: bytes) -> PlayMessage | None:
        """The message; None if it is malformed, which ends the socket."""
        try:
            if not payload or payload[0] == POSE_KIND:
                raise RemoteError("pose_size" if payload else "empty", "A message has the wrong size.")
            return decode_play(payload)
        except RemoteError as error:
            self._counters[f"malformed_{error.reason}"] += 1
            bye = Bye("malformed", str(error)[:300])
            self._connections.end(conn, bye, "malformed", websocket.INVALID)
            return None

    def _take_message(self, conn: Conn, payload: bytes) -> None:
        if payload and payload[0] != POSE_KIND and payload[0] < FIRST_CONTROL_KIND:
            self._counters["unknown_kind"] += 1
            return
        message = self._decoded(conn, payload)
        if message is None:
            return
        if isinstance(message, Hello):
            self._connections.greeted(conn)
        self._counters["control_in"] += 1
        self._connections.sink.step(ClientSaid(conn.number, message))
