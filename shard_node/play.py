"""Play sockets: thousands of clients on one epoll descriptor, read in one pass and written in one pass.

One task waits for the epoll descriptor and drains it at most every 10 ms, so that what arrives within that time is one
batch. Those who are not yet in, with all that a login takes, get a bounded share of that time: in a flood of them the
crowd goes on, and they wait at the door. Another task hands out the frames of a tick. No task, and no Python between
two frames, belongs to one client.

How a socket lives and ends is in `play_life`, what is read from it in `play_read`, what is written in `play_write`.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.limits import CLIENTS_MAX
from p2pworld.wire.codec import encode_play
from shard_node import websocket
from shard_node.doors import Doors
from shard_node.play_conn import PlaySink
from shard_node.play_life import Connections
from shard_node.play_read import DRAIN_SOCKETS, Reader
from shard_node.stages import Histogram, Stages

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from p2pworld.messages import Bye, Frame, PlayMessage

__all__ = ["PlaySink", "PlaySockets"]

DRAIN_EVERY_S: Final = 0.010


class PlaySockets:
    """All play sockets of a node. `attach` its sink, then run `run` and `run_frames` in a nursery.

    `now_s` is the boot clock, `cpu_s` what this thread has worked. `urls` are other nodes' play urls, told to those who
    find no room.
    """

    def __init__(
        self,
        listener: socket.socket,
        now_s: Callable[[], float],
        tls: ssl.SSLContext | None = None,
        clients_max: int = CLIENTS_MAX,
        stages: Stages | None = None,
        doors: Doors | None = None,
        cpu_s: Callable[[], float] = time.thread_time,
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.late = Histogram()  # of the wake-ups that read: so long a message waits besides the 10 ms
        stages = stages or Stages()
        self.connections = Connections(
            listener, now_s, cpu_s, tls, clients_max, self.counters, stages, doors or Doors()
        )
        self._reader = Reader(self.connections, self.counters, stages)
        self._now_s = now_s

    def attach(self, sink: PlaySink) -> None:
        """Says who is told; once, before `run`."""
        self.connections.attach(sink)

    @property
    def open(self) -> int:
        """How many sockets are open."""
        return self.connections.open

    @property
    def urls(self) -> tuple[str, ...]:
        """Other nodes' play urls."""
        return self.connections.urls

    @urls.setter
    def urls(self, urls: tuple[str, ...]) -> None:
        self.connections.urls = urls

    # ---- tasks

    async def run(self) -> None:
        """Reads for ever: waits for the first event, reads each socket about once, lets the next ones gather."""
        epoll_fd = self.connections.epoll.fileno()
        while True:
            await trio.lowlevel.wait_readable(epoll_fd)
            came = True
            while came:  # as long as each pass finds something, the next needs no waking
                next_s = trio.current_time() + DRAIN_EVERY_S
                came = False
                for ready in self._passing():
                    came = came or ready > 0
                    if ready == DRAIN_SOCKETS:
                        await trio.lowlevel.checkpoint()
                await trio.sleep_until(next_s)
                self.late.took(trio.current_time() - next_s)

    def read_once(self) -> None:
        """One pass of `run`, without giving way to others."""
        for _ in self._passing():
            pass

    def _passing(self) -> Iterator[int]:
        """Reads each socket about once, in bites; how many sockets were ready in each."""
        self.connections.newcomers_s = 0.0
        for _ in range(1 + len(self.connections.by_fd) // DRAIN_SOCKETS):
            ready = self._reader.drain(self._now_s())
            yield ready
            if ready < DRAIN_SOCKETS:
                break

    async def run_frames(self) -> None:
        """Hands out the frames of one tick after another."""
        await self.connections.writer.run(self.connections.reuse_numbers)

    # ---- sending

    def send_frames(self, frames: tuple[Frame, ...]) -> bool:
        """Hands out `frames` soon; whether those before them, which still waited for their turn, were dropped."""
        return self.connections.writer.send_frames(frames)

    @property
    def frames_took_s(self) -> float:
        """How long the last frames took to leave."""
        return self.connections.writer.took_s

    def send(self, number: int, *messages: PlayMessage) -> None:
        """Sends control messages as one piece, after those before it; for a socket already gone they are counted."""
        conn = self.connections.table[number]
        if conn is None:
            self.counters["control_to_gone"] += len(messages)
            return
        self.counters["control_out"] += len(messages)
        self.connections.writer.write(conn, websocket.messages(map(encode_play, messages)))

    def hang_up(self, number: int, bye: Bye) -> None:
        """Says BYE and ends a socket; `ClientLost` follows."""
        conn = self.connections.table[number]
        if conn is not None:
            self.connections.end(conn, bye, f"bye_{bye.code}")

    # ---- ending

    def housekeep(self) -> None:
        """Ends what has waited too long."""
        self.connections.housekeep()

    def stop_listening(self) -> None:
        """No further clients."""
        self.connections.stop_listening()

    @property
    def lingering(self) -> int:
        """Sockets that were told BYE and have not yet closed."""
        return len(self.connections.lingers)

    async def until_gone(self) -> None:
        """Waits until everybody who was told BYE has closed, or was closed."""
        await self.connections.until_gone()

    def close(self) -> None:
        """Closes every socket at once, and the epoll descriptor; tells nobody."""
        self.connections.close()
