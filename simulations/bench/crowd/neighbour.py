"""A node whose people have no sockets: the other side of a border, with all a real node does but the sending.

    python -m simulations.bench.crowd.neighbour CONFIG.toml JOB.json

The node is the real one: it holds its regions, ticks, makes frames, and tells its neighbours over real links. Its
people log in, prove themselves and send poses within this process, so that a crowd that spans four nodes fits a machine
that could not carry all their clients. They stay on their node's ground.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import trio

from p2pworld.crypto.keys import PersonKeys, sign_hello
from p2pworld.ids import avatar_id
from p2pworld.messages import (
    Bye,
    Challenge,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Correct,
    Frame,
    Pace,
    PlayMessage,
    Pose,
    Profile,
    Welcome,
)
from p2pworld.wire.frames import POSE, POSE_DTYPE, POSES
from shard_node import config
from shard_node.play import PlaySockets
from shard_node.serve import serve
from simulations.bench.crowd.job import Job, key_seed
from simulations.bench.crowd.table import Phase, SentTable
from simulations.bench.crowd.walk import STAND_S, Walks

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from shard_node.doors import Doors
    from shard_node.stages import Stages

__all__ = ["Within", "main"]

SLICE_S: Final = 0.010
JOINS_PER_SLICE: Final = 10


class Within(PlaySockets):
    """Play sockets, and `job`'s people beside them, whose numbers are the highest: real clients have the lowest."""

    def __init__(
        self,
        job: Job,
        table: SentTable,
        listener: socket.socket,
        now_s: Callable[[], float],
        tls: ssl.SSLContext | None,
        clients_max: int,
        stages: Stages,
        doors: Doors,
    ) -> None:
        super().__init__(listener, now_s, tls, clients_max, stages, doors)
        count = job.count
        self.job, self.table = job, table
        self.odd: Counter[str] = Counter()
        self._rng = np.random.default_rng([job.seed, job.party])
        self._keys = [PersonKeys.from_seed(key_seed(job.seed, job.first + i)) for i in range(count)]
        mine = slice(job.first, job.first + count)
        table.ids[mine] = [avatar_id(keys.public) for keys in self._keys]
        self._walks = Walks(count, job.box, job.standing, job.scale, self._rng)
        table.moving[mine] = self._walks.moving
        self._lowest = clients_max - count
        self._due_s = np.full(count, np.inf)
        self._period_s = np.full(count, STAND_S * job.scale)
        self._seq = np.zeros(count, np.int64)
        self._joined = 0
        self._ack = 0
        self.snapshots: dict[str, dict[str, Any]] = {}

    # ------------------------------------------------------------------------------------------- as sockets

    def send(self, number: int, *messages: PlayMessage) -> None:
        """Control messages, to a socket or to somebody within."""
        if number < self._lowest:
            super().send(number, *messages)
            return
        for message in messages:
            self._hear(number, message)

    def _hear(self, number: int, message: PlayMessage) -> None:
        i = number - self._lowest
        now_s = time.monotonic()
        match message:
            case Challenge():
                want = Pose(int(self._walks.east[i]), int(self._walks.north[i]))
                profile = Profile(f"bot {self.job.first + i}", kind="program")
                hello = sign_hello(
                    self._keys[i], message.node, message.nonce, time.time_ns() // 1_000_000, message.url, profile,
                    want=want,
                )  # fmt: skip
                self.connections.sink.step(ClientSaid(number, hello))
            case Welcome():
                tick_s = message.tick_ms / 1000
                self._seq[i] = message.seq
                self._walks.place(i, message.pose.east_cm, message.pose.north_cm, now_s)
                self._period_s[i] = tick_s if self._walks.moving[i] else STAND_S * self.job.scale
                self._due_s[i] = now_s + self._rng.uniform(0, tick_s)
            case Pace():
                self._due_s[i] += message.shift_ms / 1000
            case Correct():
                self.odd[f"corrected_{message.reason}"] += 1
                self._walks.place(i, message.pose.east_cm, message.pose.north_cm, now_s)

    def hang_up(self, number: int, bye: Bye) -> None:
        """Ends a socket, or somebody within, who does not come again."""
        if number < self._lowest:
            super().hang_up(number, bye)
            return
        i = number - self._lowest
        self.odd[f"bye_{bye.code}"] += 1
        self._due_s[i] = np.inf
        self.table.present[self.job.first + i] = False
        self.connections.sink.step(ClientLost(number))

    def send_frames(self, frames: tuple[Frame, ...]) -> bool:
        """A tick's frames: those within take note of the clock and drop them."""
        first = next((payload for frame in frames for payload in frame.payloads if payload[0] == POSES), b"")
        if first:
            self._ack = int.from_bytes(first[4:6], "little") >> 6 & 0xFF
            self.table.heard_s[self.job.first : self.job.first + self.job.count] = time.monotonic()
        return super().send_frames(frames)

    # ------------------------------------------------------------------------------------------- as people

    async def live(self) -> None:
        """Comes in when the run begins, stands and walks, until it ends."""
        phase = Phase.OPEN
        while phase is not Phase.END:
            await trio.sleep(SLICE_S)
            order = self.table.order
            if order is not phase:
                self.snapshots[phase.name] = {"cpu_s": 0.0, "watch": {}, "seconds": []}
                phase = order
                if phase is Phase.END:
                    self._report()
                self.table.reached[self.job.party] = phase
            for i in range(self._joined, min(self.job.members, self._joined + JOINS_PER_SLICE)):
                if phase is not Phase.OPEN:
                    self._joined = i + 1
                    self.connections.sink.step(ClientOpened(self._lowest + i, "127.0.0.1"))
            self._send_due(time.monotonic())

    def _report(self) -> None:
        told = {"snapshots": self.snapshots, "joins_ms": [], "counters": dict(self.odd), "oldest_ms": []}
        Path(self.job.report).write_text(json.dumps(told), encoding="utf-8")

    def _send_due(self, now_s: float) -> None:
        due = np.flatnonzero(self._due_s <= now_s)
        if len(due) == 0:
            return
        late = np.maximum(1, np.ceil((now_s - self._due_s[due]) / self._period_s[due]))
        self._due_s[due] += self._period_s[due] * late
        self._walks.step(due, now_s)
        rows = due + self.job.first
        poses = np.zeros(len(due), POSE_DTYPE)
        poses["kind"] = POSE
        self._seq[due] += 1
        poses["seq"] = self._seq[due] & 0xFFFF
        poses["east_cm"], poses["north_cm"] = self._walks.east[due], self._walks.north[due]
        poses["ack"] = self._ack
        poses["yaw"] = self.table.write(rows, poses["east_cm"], poses["north_cm"], now_s)
        self.table.since_s[rows[~self.table.present[rows]]] = now_s
        self.table.present[rows] = True
        self.connections.sink.poses((due + self._lowest).astype(np.int32), poses)


async def _run(settings: config.Config, job: Job) -> None:
    table = SentTable(Path(job.table), job.bots)
    made: list[Within] = []

    def sockets(
        listener: socket.socket,
        now_s: Callable[[], float],
        tls: ssl.SSLContext | None,
        clients_max: int,
        stages: Stages,
        doors: Doors,
    ) -> PlaySockets:
        made.append(Within(job, table, listener, now_s, tls, clients_max, stages, doors))
        return made[0]

    async def until_a_signal(task_status: trio.TaskStatus[Any]) -> None:
        await serve(settings, task_status, sockets)
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        await nursery.start(until_a_signal)
        gc.collect()
        gc.freeze()
        await made[0].live()


def main() -> None:
    """Runs the node of the first file with the people of the second."""
    trio.run(partial(_run, config.load(Path(sys.argv[1])), Job.read(Path(sys.argv[2]))))


if __name__ == "__main__":
    main()
