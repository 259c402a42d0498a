"""What leaves the play sockets: the frames of a tick, 256 sends between checkpoints, and control messages in order.

A frame's bytes are joined once and then handed to one send call after another; the loop around them looks at nothing
else. For that each number has a `sender`: its socket's own `send` while the socket takes everything, and a refusal
while it is full or nobody's. What a full socket cannot take: a frame is skipped and counted, a control message waits
in a bounded queue, a frame begun is ended before anything else is sent. Epoll says when it may be tried again.
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from shard_node.stages import Stages

__all__ = ["Ends", "Writer"]

SENDS_PER_CHECKPOINT: Final = 256  # about 2 ms
REFUSED: Final = -1


class Ends(Protocol):
    """Who ends a socket that cannot be written to, and is told when all that waited for one has left."""

    def lose(self, conn: Conn, reason: str) -> None: ...

    def end(self, conn: Conn, bye: Bye, reason: str) -> None: ...

    def flushed(self, conn: Conn) -> None: ...

    def give_up_full(self) -> None: ...


_Chunk = list[tuple[tuple[int, ...], bytes]]


def _chunks(frames: Iterable[Frame]) -> Iterator[_Chunk]:
    """The sends of `frames` in order, SENDS_PER_CHECKPOINT together: numbers, and the bytes for each of them."""
    chunk: _Chunk = []
    left = SENDS_PER_CHECKPOINT
    for frame in frames:
        data, conns = websocket.messages(frame.payloads), frame.conns
        while len(conns) >= left:
            chunk.append((conns[:left], data))
            yield chunk
            conns, chunk, left = conns[left:], [], SENDS_PER_CHECKPOINT
        chunk.append((conns, data))
        left -= len(conns)
    yield chunk


def _refuse(_: bytes) -> int:
    """The sender of a number that may not be sent to just now."""
    return REFUSED


class Writer:
    """Writes to the sockets of `table`, by their numbers. `full` are those that take nothing, the longest first."""

    def __init__(
        self,
        table: Sequence[Conn | None],
        epoll: select.epoll,
        counters: Counter[str],
        now_s: Callable[[], float],
        ends: Ends,
        stages: Stages,
    ) -> None:
        self.full: dict[Conn, None] = {}
        self._table, self._epoll, self._counters = table, epoll, counters
        self._now_s, self._ends, self._stages = now_s, ends, stages
        self._senders: list[Callable[[bytes], int]] = [_refuse] * len(table)
        self.took_s = 0.0  # from when the last frames were begun until all had left or been skipped
        self._frames: tuple[Frame, ...] | None = None
        self._sending = False
        self._wake = trio.Event()

    @property
    def busy(self) -> bool:
        """Whether frames are on their way, which may name sockets that have gone since."""
        return self._sending or self._frames is not None

    def opened(self, conn: Conn) -> None:
        """This socket has got a number, under which frames may reach it."""
        if not conn.out and not conn.full_s:
            self._senders[conn.number] = conn.send

    def gone(self, conn: Conn) -> None:
        """Nothing is to be sent to this socket's number any more."""
        self._senders[conn.number] = _refuse

    # ---- frames

    async def run(self, sent_all: Callable[[], None]) -> None:
        """Hands out the frames of one tick after another, in chunks; calls `sent_all` when none are on their way."""
        while True:
            while self._frames is None:
                self._wake = trio.Event()
                await self._wake.wait()
            frames, self._frames = self._frames, None
            self._sending = True
            began_s = self._now_s()
            self._ends.give_up_full()
            for chunk in _chunks(frames):
                with self._stages.timed("send"):
                    self._send(chunk)
                await trio.lowlevel.checkpoint()
            self._sending = False
            self.took_s = self._now_s() - began_s
            if self._frames is None:
                sent_all()

    def send_frames(self, frames: tuple[Frame, ...]) -> bool:
        """Hands out `frames` soon; whether those before them, which still waited for their turn, were dropped."""
        late, self._frames = self._frames, frames
        self._wake.set()
        if late is None:
            return False
        self._counters["frames_late"] += sum(len(frame.conns) for frame in late)
        return True

    def _send(self, chunk: _Chunk) -> None:
        """Sends a chunk: the one loop in which every instruction counts."""
        senders = self._senders
        frames_sent = bytes_out = 0
        for numbers, data in chunk:
            size, whole = len(data), len(numbers)
            for number in numbers:
                try:
                    sent = senders[number](data)
                except OSError as error:
                    whole -= 1
                    self._failed(number, data, error)
                else:
                    if sent != size:
                        whole -= 1
                        self._in_part(number, data, sent)
            frames_sent += whole
            bytes_out += whole * size
        self._counters["frames_sent"] += frames_sent
        self._counters["bytes_out"] += bytes_out

    def _in_part(self, number: int, data: bytes, sent: int) -> None:
        conn = self._table[number]
        if conn is None:
            self._counters["frames_to_gone"] += 1
        elif sent == REFUSED:
            self._counters["frames_skipped"] += 1
        else:
            self._counters["frames_sent"] += 1
            self._counters["bytes_out"] += sent
            self._queue(conn, data[sent:])

    def _failed(self, number: int, data: bytes, error: OSError) -> None:
        conn = self._table[number]
        assert conn is not None, "a sender belongs to a socket"
        if isinstance(error, BlockingIOError):
            self._counters["frames_skipped"] += 1
            self._fill(conn)
        elif isinstance(error, ssl.SSLWantReadError | ssl.SSLWantWriteError):
            self._counters["frames_sent"] += 1
            self._queue(conn, data)  # a part of the record may have left
        else:
            self._ends.lose(conn, "reset")

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
        self._fill(conn)
        if conn.state is State.OPEN and len(conn.out) > CONTROL_QUEUE_BYTES + FRAME_BYTES_MAX:
            bye = Bye("slow", "You read too slowly: too many messages are waiting for you.")
            self._ends.end(conn, bye, "slow")

    def _fill(self, conn: Conn) -> None:
        """This socket takes nothing more until epoll says so."""
        if not conn.full_s:
            conn.full_s = self._now_s()
            self.full[conn] = None
            self.want(conn, IN | OUT)
        if conn.number >= 0:
            self._senders[conn.number] = _refuse

    def flush(self, conn: Conn) -> None:
        """It takes something again: sends what is queued, as far as it goes."""
        if conn.out:
            try:
                sent = conn.send(conn.out)
            except WOULD_BLOCK:
                return
            except OSError:
                self._ends.lose(conn, "reset")
                return
            del conn.out[:sent]
            self._counters["bytes_out"] += sent
        self.not_full(conn)
        if conn.out:
            self._fill(conn)  # from now on
            return
        self.want(conn, IN)
        if conn.number >= 0:
            self._senders[conn.number] = conn.send
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
