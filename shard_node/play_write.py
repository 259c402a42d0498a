"""What leaves the play sockets: the frames of a tick, 256 sends between checkpoints, and control messages in order.

What a full socket cannot take: a frame is skipped and counted, a control message waits in a bounded queue, a frame
begun is ended before anything else is sent.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final, Protocol

import trio

from p2pworld.limits import CONTROL_QUEUE_BYTES, FRAME_BYTES_MAX
from p2pworld.messages import Bye, Frame
from shard_node import websocket
from shard_node.play_conn import IN, OUT, WOULD_BLOCK, Conn, State

if TYPE_CHECKING:
    import select
    from collections import Counter
    from collections.abc import Callable, Sequence

__all__ = ["Ends", "Writer"]

SENDS_PER_CHECKPOINT: Final = 256  # about 2 ms


class Ends(Protocol):
    """Who ends a socket that cannot be written to, and is told when all that waited for one has left."""

    def lose(self, conn: Conn, reason: str) -> None: ...

    def end(self, conn: Conn, bye: Bye, reason: str) -> None: ...

    def flushed(self, conn: Conn) -> None: ...


class Writer:
    """Writes to the sockets of `table`, by their numbers. `full` are those that take nothing, the longest first."""

    def __init__(
        self,
        table: Sequence[Conn | None],
        epoll: select.epoll,
        counters: Counter[str],
        now_s: Callable[[], float],
        ends: Ends,
    ) -> None:
        self.full: dict[Conn, None] = {}
        self._table, self._epoll, self._counters = table, epoll, counters
        self._now_s, self._ends = now_s, ends
        self._frames: tuple[Frame, ...] | None = None
        self._sending = False
        self._wake = trio.Event()

    @property
    def busy(self) -> bool:
        """Whether frames are on their way, which may name sockets that have gone since."""
        return self._sending or self._frames is not None

    # ---- frames

    async def run(self, sent_all: Callable[[], None]) -> None:
        """Hands out the frames of one tick after another, in chunks; calls `sent_all` when none are on their way."""
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
                sent_all()
            await trio.lowlevel.checkpoint()

    def send_frames(self, frames: tuple[Frame, ...]) -> None:
        """Hands out `frames` soon; frames that still wait behind an earlier tick's are dropped for these."""
        if self._frames is not None:
            self._counters["frames_late"] += sum(len(frame.conns) for frame in self._frames)
        self._frames = frames
        self._wake.set()

    def _send_frame(self, number: int, data: bytes) -> None:
        conn = self._table[number]
        if conn is None:
            self._counters["frames_to_gone"] += 1
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
                self._ends.lose(conn, "reset")
                return
        if sent == 0:
            self._counters["frames_skipped"] += 1
            if not conn.full_s:
                conn.full_s = self._now_s()
                self.full[conn] = None
            return
        self._counters["frames_sent"] += 1
        self._counters["bytes_out"] += sent
        if conn.full_s:
            self.not_full(conn)
        if sent < len(data):
            self._queue(conn, data[sent:])

    # ---- everything else

    def write(self, conn: Conn, data: bytes) -> None:
        """Sends `data` or queues what does not fit."""
        sent = 0
        if not conn.out:
            try:
                sent = conn.send(data)
            except WOULD_BLOCK:
                pass
            except OSError:
                self._ends.lose(conn, "reset")
                return
            self._counters["bytes_out"] += sent
        if sent < len(data):
            self._queue(conn, data[sent:])

    def _queue(self, conn: Conn, data: bytes) -> None:
        conn.out += data
        self.want(conn, IN | OUT)
        if conn.state is State.OPEN and len(conn.out) > CONTROL_QUEUE_BYTES + FRAME_BYTES_MAX:
            bye = Bye("slow", "You read too slowly: too many messages are waiting for you.")
            self._ends.end(conn, bye, "slow")

    def flush(self, conn: Conn) -> None:
        """Sends what is queued, as far as it goes."""
        try:
            sent = conn.send(conn.out)
        except WOULD_BLOCK:
            return
        except OSError:
            self._ends.lose(conn, "reset")
            return
        del conn.out[:sent]
        self._counters["bytes_out"] += sent
        if conn.full_s:
            self.not_full(conn)
        if not conn.out:
            self.want(conn, IN)
            self._ends.flushed(conn)

    def not_full(self, conn: Conn) -> None:
        """It takes something again, or is nobody any more."""
        conn.full_s = 0.0
        self.full.pop(conn, None)

    def want(self, conn: Conn, wants: int) -> None:
        """Waits for these events of a socket from now on."""
        if conn.wants != wants:
            conn.wants = wants
            self._epoll.modify(conn.fd, wants)
