"""Thousands of clients in one process, as lean as a load generator must be: one loop, columns, no object per pose.

    python -m simulations.bench.crowd.bots JOB.json

All bots are rows of arrays. Those whose pose is due are moved, packed and masked together, and one `send` each is left.
Everybody is read once a tick, in turn, into the rows of one array; rows that hold only whole frames and no control
message are looked at together, and nothing but their bytes, their time and what is to be acknowledged is kept.
Everything else (the handshake, control messages, frames cut in two) goes the slow way, one message at a time. Watchers
go the slow way always, as soon as anything comes: what they see is measured (`watch`).

A bot speaks the protocol from outside: it proves itself, heeds PACE, CORRECT and MOVED, acknowledges what it read, and
comes in again when it is thrown out.
"""

from __future__ import annotations

import fcntl
import gc
import json
import resource
import select
import ssl
import sys
import termios
import time
from collections import Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from client.framing import BINARY, CLOSE, close_frame, masked
from client.session import HELD_WAIT_S
from p2pworld.crypto.keys import PersonKeys, sign_hello, verify_challenge
from p2pworld.errors import RemoteError
from p2pworld.ids import avatar_id
from p2pworld.messages import Bye, Challenge, Correct, Moved, Pace, Pose, Profile, Welcome
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import POSE, POSE_DTYPE, POSES
from simulations.bench.crowd import ground
from simulations.bench.crowd.job import Job, key_seed
from simulations.bench.crowd.rows import POSE_FRAME_BYTES, pose_frames
from simulations.bench.crowd.sockets import WOULD_BLOCK, Conn, Dialler
from simulations.bench.crowd.table import Phase, SentTable
from simulations.bench.crowd.turns import Turns
from simulations.bench.crowd.walk import STAND_S, Walks
from simulations.bench.crowd.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["AWAY_S", "Swarm", "main"]

SLICE_S: Final = 0.010  # what is due or ready within this goes together
READ_BYTES: Final = 16_384
EVENTS: Final = 512
JOINING_MAX: Final = 128
JOIN_S: Final = 15.0
AGAIN_S: Final = 1.0
AWAY_S: Final = 5.0  # who left comes back after this, when the node has forgotten the avatar
DEAF_BUFFER_BYTES: Final = 4_096
HEEDED: Final = frozenset(one.KIND for one in (Challenge, Welcome, Moved, Correct, Pace, Bye))
IN, OUT = select.EPOLLIN, select.EPOLLOUT
FILES: Final = 65_536


class Swarm:
    """The bots of one job."""

    def __init__(self, job: Job, table: SentTable) -> None:
        count = job.count
        self.job, self.table = job, table
        self.counters: Counter[str] = Counter()
        self.joins_ms: list[float] = []
        self._rng = np.random.default_rng([job.seed, job.party])
        self._keys = [PersonKeys.from_seed(key_seed(job.seed, job.first + i)) for i in range(count)]
        mine = slice(job.first, job.first + count)
        table.ids[mine] = [avatar_id(keys.public) for keys in self._keys]
        self._walks = Walks(count, job.box, job.standing, job.scale, self._rng)
        table.moving[mine] = self._walks.moving
        self._period_s = np.full(count, STAND_S * job.scale)
        self._due_s = np.full(count, np.inf)
        self._seq = np.zeros(count, np.int64)
        self._ack = np.zeros(count, np.uint8)
        self._masks = self._rng.integers(0, 256, (count, 4), np.uint8)
        self._login: list[tuple[int, bytes]] = [(0, b"")] * count
        self._main: list[Conn | None] = [None] * count
        self._held: dict[int, Conn] = {}
        self._seated_s: dict[int, float] = {}  # since when they have no socket but the one at the other node
        self._send: list[Callable[[bytes], int] | None] = [None] * count
        self._joining: dict[int, float] = {}
        self._queue: deque[int] = deque() if job.guests else deque(range(job.members))
        self._again: deque[tuple[float, int]] = deque()
        self._away: deque[tuple[float, int]] = deque((0.0, i) for i in range(job.members, count))
        self._churned_s = 0.0
        self._owed = 0.0  # fractions of somebody who is to leave
        self._conn_of: list[Conn | None] = [None] * FILES
        self._turns = Turns(count, self)
        self._epoll = select.epoll()
        self._row = memoryview(bytearray(READ_BYTES))
        # or the kernel would read for those who are deaf, for many seconds
        self._dialler = Dialler(job.certificate, DEAF_BUFFER_BYTES if job.deaf else 0)
        self._watch: Watch | None = None
        self.tick_s = 0.0
        self.phase = Phase.OPEN
        self._entered_s = time.monotonic()
        self.snapshots: dict[str, dict[str, Any]] = {}
        self.oldest_ms: dict[int, int] = {}  # of the frames that one who was deaf read afterwards

    # ------------------------------------------------------------------------------------------- the loop

    def run(self) -> None:
        """Runs until the table orders the end."""
        watching = self.job.watching
        while True:
            now_s = time.monotonic()
            order = self.table.order
            if order is not self.phase:
                self._enter(order, now_s)
                if order is Phase.END:
                    return
            self._come_and_go(now_s)
            self._send_due(now_s)
            if watching:
                events = self._epoll.poll(SLICE_S, EVENTS)
            else:
                time.sleep(max(0.0, now_s + SLICE_S - time.monotonic()))
                now_s = time.monotonic()
                if self.tick_s:
                    self._turns.read(now_s, self.tick_s)
                if self._dialler.over_tls:
                    self._catch_up(now_s)
                events = self._epoll.poll(0, EVENTS)
            now_s = time.monotonic()
            for fd, mask in events:
                if (conn := self._conn_of[fd]) is not None:
                    self._attend(conn, mask, now_s)

    def _enter(self, phase: Phase, now_s: float) -> None:
        """The next phase: what was counted in the last one is kept."""
        self._snapshot(self.phase.name)
        self.phase, self._entered_s = phase, now_s
        if self.job.guests:
            self._as_a_guest(now_s)
        if phase is Phase.SETTLE:
            self._churned_s = now_s
            if self.job.watching:
                who = np.arange(self.job.first, self.job.first + self.job.count)
                nodes = len(self.job.urls)
                self._watch = Watch(
                    self.table, who, lambda e, n: ground.border_cm(nodes, e, n), self.job.scale, self.tick_s
                )
            gc.collect()
            gc.freeze()
        elif self._watch is not None:
            self._watch.begin()
        self.table.reached[self.job.party] = phase

    def _as_a_guest(self, now_s: float) -> None:
        """Comes, and goes or hears, as the phase wants it."""
        if self.phase is Phase.GUESTS:
            self._queue.extend(range(self.job.members))
        elif self.phase is Phase.AFTER:
            self._queue.clear()
            self._again.clear()
            for bot, conn in enumerate(self._main):
                if conn is None:
                    continue
                if self.job.deaf and conn.playing:
                    self._hear_again(bot, conn, now_s)
                else:
                    self._bid_farewell(bot, conn)

    def _snapshot(self, name: str) -> None:
        self.snapshots[name] = {
            "cpu_s": time.process_time(),
            "counters": dict(self.counters),
            "watch": self._watch.figures() if self._watch is not None else {},
            "seconds": self._watch.seconds(self._entered_s) if self._watch is not None else [],
        }

    # ------------------------------------------------------------------------------------------- coming and going

    def _come_and_go(self, now_s: float) -> None:
        while self._again and self._again[0][0] <= now_s:
            self._queue.append(self._again.popleft()[1])
        while self._queue and len(self._joining) < JOINING_MAX:
            self._join(self._queue.popleft(), now_s)
        if self._joining:
            first = next(iter(self._joining))
            if now_s - self._joining[first] > JOIN_S:
                self.counters["joins_timed_out"] += 1
                self._lose(first, now_s)
        if self._seated_s:
            first, since_s = next(iter(self._seated_s.items()))
            if now_s - since_s > HELD_WAIT_S:
                self.counters["seats_never_taken"] += 1
                self._lose(first, now_s)
        if self.phase >= Phase.SETTLE and self.job.churn_per_s:
            self._owed += (now_s - self._churned_s) * self.job.churn_per_s / self.job.scale
            self._churned_s = now_s
            while self._owed >= 1 and self._away and self._away[0][0] <= now_s:
                self._owed -= 1
                self._queue.append(self._away.popleft()[1])
                self._leave_one(now_s)

    def _leave_one(self, now_s: float) -> None:
        """Somebody who plays leaves."""
        for bot in self._rng.integers(0, self.job.count, 64).tolist():
            conn = self._main[bot]
            if conn is not None and conn.playing and bot not in self._held:
                self._bid_farewell(bot, conn)
                self.counters["left"] += 1
                self._away.append((now_s + AWAY_S * self.job.scale, bot))
                return

    def _bid_farewell(self, bot: int, conn: Conn) -> None:
        """Closes a bot's socket with a goodbye."""
        self._absent(bot)
        self._joining.pop(bot, None)
        try:
            conn.sock.send(close_frame())
        except OSError:
            self.counters["left_rudely"] += 1
        self._close(conn)
        self._main[bot] = None

    def _join(self, bot: int, now_s: float) -> None:
        east, north = int(self._walks.east[bot]), int(self._walks.north[bot])
        url = self.job.urls[ground.node_at(len(self.job.urls), east, north)]
        self._joining[bot] = now_s
        self._main[bot] = self._open(bot, url)

    def _open(self, bot: int, url: str) -> Conn:
        conn = self._dialler.open(bot, url)
        self._conn_of[conn.fd] = conn
        self._epoll.register(conn.fd, IN | OUT)
        return conn

    def _absent(self, bot: int) -> None:
        """It does not play."""
        row = self.job.first + bot
        self.table.present[row] = False
        self._due_s[bot] = np.inf
        self._send[bot] = None

    def _lose(self, bot: int, now_s: float) -> None:
        """Its main socket is gone, or never came to be: it comes in again, unless it sits at another node already."""
        conn, held = self._main[bot], self._held.pop(bot, None)
        if held is not None:
            self._close(held)
        if conn is not None:
            self._close(conn)
        self._main[bot] = None
        self._joining.pop(bot, None)
        self._seated_s.pop(bot, None)
        self._absent(bot)
        if not (self.job.guests and self.phase is Phase.AFTER):
            self._again.append((now_s + AGAIN_S, bot))

    def _close(self, conn: Conn) -> None:
        if self._conn_of[conn.fd] is conn:
            self._conn_of[conn.fd] = None
            if conn.quick and self._main[conn.bot] is conn:
                self._turns.remove(conn.bot)
            conn.sock.close()

    # ------------------------------------------------------------------------------------------- sending

    def _send_due(self, now_s: float) -> None:
        """One pose of everybody whose turn it is."""
        due = np.flatnonzero(self._due_s <= now_s)
        if len(due) == 0:
            return
        self._due_s[due] += self._period_s[due] * np.maximum(
            1, np.ceil((now_s - self._due_s[due]) / self._period_s[due])
        )
        self._walks.step(due, now_s)
        rows = due + self.job.first
        table = self.table
        poses = np.zeros(len(due), POSE_DTYPE)
        poses["kind"] = POSE
        self._seq[due] += 1
        poses["seq"] = self._seq[due] & 0xFFFF
        poses["east_cm"] = self._walks.east[due]
        poses["north_cm"] = self._walks.north[due]
        poses["ack"] = self._ack[due]
        poses["yaw"] = table.write(rows, poses["east_cm"], poses["north_cm"], now_s)
        data = pose_frames(poses, self._masks[due])
        send_of, at = self._send, 0
        for bot in due.tolist():
            send = send_of[bot]
            end = at + POSE_FRAME_BYTES
            if send is not None:
                try:
                    if send(data[at:end]) != POSE_FRAME_BYTES:
                        self.counters["sends_cut"] += 1  # no use for the rest: the next pose is a newer one
                        self._lose(bot, now_s)
                except WOULD_BLOCK:
                    self.counters["sends_blocked"] += 1
                except OSError:
                    self.counters["reset"] += 1
                    self._lose(bot, now_s)
            at = end
        for bot in set(self._held).intersection(due.tolist()):
            held = self._held[bot]
            if held.ticket and held.head is None and held.node:
                at = int(np.searchsorted(due, bot)) * POSE_FRAME_BYTES
                self._put(held, data[at : at + POSE_FRAME_BYTES])
        self.counters["poses_sent"] += len(due)
        new = rows[~table.present[rows]]
        if len(new):
            table.since_s[new] = now_s
            table.present[new] = [self._send[row - self.job.first] is not None for row in new.tolist()]

    def _put(self, conn: Conn, data: bytes) -> None:
        """Sends what is small and rare; what does not fit waits."""
        if conn.out:
            conn.out += data
            return
        try:
            sent = conn.sock.send(data)
        except WOULD_BLOCK:
            sent = 0
        except OSError:
            self.counters["reset"] += 1
            return  # the loop will hear of it
        if sent < len(data):
            conn.out = data[sent:]
            self._epoll.modify(conn.fd, IN | OUT)

    # ------------------------------------------------------------------------------------------- receiving

    def heard(
        self, bots: NDArray[np.int64], sizes: NDArray[np.int64], acks: NDArray[np.int64], now_s: float
    ) -> None:
        """These bots received so many bytes in their turn."""
        rows = bots + self.job.first
        self.table.bytes_in[rows] += sizes
        self.table.heard_s[rows] = now_s
        told = acks >= 0
        self._ack[bots[told]] = acks[told]

    def take(self, bot: int, data: bytes, now_s: float) -> None:
        """What has to be read the slow way."""
        if (conn := self._main[bot]) is not None:
            self._take(conn, data, now_s)

    def ended(self, bot: int, now_s: float) -> None:
        """A socket that is read in turn came to its end."""
        if (conn := self._main[bot]) is not None:
            self._gone(conn, "reset", now_s)

    def _catch_up(self, now_s: float) -> None:
        """A read takes one record of TLS; once in a while somebody reads until there is none."""
        for bot in self._rng.integers(0, self.job.count, 1 + self.job.count // 100).tolist():
            while self._turns.read_these((bot,), now_s):
                self.counters["caught_up"] += 1

    def _attend(self, conn: Conn, mask: int, now_s: float) -> None:
        """The slow way: connecting, shaking hands, watching, or odd."""
        if conn.tls and not self._shake(conn, now_s):
            return
        if mask & OUT or conn.out:
            if conn.out:
                try:
                    sent = conn.sock.send(conn.out)
                except WOULD_BLOCK:
                    return
                except OSError:
                    self._gone(conn, "refused", now_s)
                    return
                conn.out = conn.out[sent:]
            if not conn.out:
                self._epoll.modify(conn.fd, IN)
        if not mask & ~OUT:
            return
        row = self._row
        while True:
            try:
                size = conn.sock.recv_into(row)
            except WOULD_BLOCK:
                return
            except OSError:
                size = 0
            if size == 0:
                self._gone(conn, "reset", now_s)
                return
            at = conn.bot + self.job.first
            self.table.bytes_in[at] += size
            self.table.heard_s[at] = now_s
            self._take(conn, bytes(row[:size]), time.monotonic() if self.job.watching else now_s)
            if size < READ_BYTES or self._conn_of[conn.fd] is not conn or conn.quick:
                return

    def _shake(self, conn: Conn, now_s: float) -> bool:
        """One step of TLS; whether it is done."""
        assert isinstance(conn.sock, ssl.SSLSocket)
        try:
            conn.sock.do_handshake()
        except ssl.SSLWantReadError:
            self._epoll.modify(conn.fd, IN)
            return False
        except ssl.SSLWantWriteError:
            return False
        except OSError:
            self._gone(conn, "refused", now_s)
            return False
        conn.tls = False
        self._epoll.modify(conn.fd, IN | OUT)
        return True

    def _gone(self, conn: Conn, why: str, now_s: float) -> None:
        """A socket came to its end without our asking."""
        bot = conn.bot
        self._close(conn)
        if self._held.get(bot) is conn:
            self.counters["seats_lost"] += 1
            del self._held[bot]
            if self._main[bot] is None:
                self._lose(bot, now_s)
        elif self._main[bot] is conn and bot in self._held:
            self._main[bot] = self._send[bot] = None  # the other node may yet say WELCOME
            self._seated_s[bot] = now_s
        elif self._main[bot] is conn:
            self.counters[f"closed_{why}"] += 1
            self._lose(bot, now_s)

    def _take(self, conn: Conn, data: bytes, now_s: float) -> None:
        """What came on a socket, by the slow way; afterwards it may go the quick way."""
        if conn.head is not None:
            conn.head += data
            head, end, data = conn.head.partition(b"\r\n\r\n")
            if not end:
                return
            if not head.startswith(b"HTTP/1.1 101 "):
                self._gone(conn, "refused", now_s)
                return
            conn.head = None
        try:
            for opcode, payload in conn.frames.feed(data):
                if self._conn_of[conn.fd] is not conn:
                    return
                self._frame(conn, opcode, payload, now_s)
        except RemoteError as error:
            self.counters[f"broken_{error.reason}"] += 1
            self._gone(conn, "broken", now_s)
            return
        if self._conn_of[conn.fd] is conn:
            whole = conn.frames.at_boundary
            if conn.quick:
                self._turns.is_cut(conn.bot, not whole)
            elif conn.playing and whole and not (conn.out or self.job.watching or self.job.deaf):
                conn.quick = True
                self._turns.add(conn.bot, conn.sock.recv_into)
                self._epoll.unregister(conn.fd)

    def _frame(self, conn: Conn, opcode: int, payload: bytes, now_s: float) -> None:
        if opcode == CLOSE:
            self._gone(conn, "close", now_s)
        elif opcode == BINARY and payload:
            kind = payload[0]
            if kind == POSES:
                if conn.bot in self.oldest_ms:
                    self._heard_old(conn.bot, payload)
                if conn.playing:
                    self._ack[conn.bot] = int.from_bytes(payload[4:6], "little") >> 6 & 0xFF
                    if self._watch is not None:
                        self._watch.frame(conn.bot, payload, now_s)
            elif kind in HEEDED:
                self._message(conn, decode_play(payload), now_s)

    def _hear_again(self, bot: int, conn: Conn, now_s: float) -> None:
        """One who was deaf reads: first what its own kernel holds, which no node can take back, then the rest."""
        waiting = int.from_bytes(fcntl.ioctl(conn.fd, termios.FIONREAD, bytes(4)), sys.byteorder)
        while waiting > 0 and self._main[bot] is conn:
            try:
                size = conn.sock.recv_into(self._row)
            except WOULD_BLOCK:
                break
            except OSError:
                size = 0
            if size == 0:
                self._gone(conn, "reset", now_s)
                return
            waiting -= size
            self._take(conn, bytes(self._row[:size]), now_s)
        if self._main[bot] is conn:
            self.oldest_ms[bot] = 0
            self._epoll.register(conn.fd, IN)

    def _heard_old(self, bot: int, payload: bytes) -> None:
        """How old a frame is: nodes of this machine mark them with its boot clock."""
        boot_ms = int(time.clock_gettime(time.CLOCK_BOOTTIME) * 1000)
        old_ms = (boot_ms - int.from_bytes(payload[4:8], "little")) & 0xFFFF_FFFF
        self.oldest_ms[bot] = max(self.oldest_ms[bot], old_ms)

    # ------------------------------------------------------------------------------------------- messages

    def _message(self, conn: Conn, message: object, now_s: float) -> None:
        bot = conn.bot
        match message:
            case Challenge():
                self._prove(conn, message)
            case Welcome():
                self._welcomed(conn, message, now_s)
            case Pace() if conn.playing:
                self.counters["paced"] += 1
                self._due_s[bot] += message.shift_ms / 1000
            case Correct() if conn.playing:
                self.counters[f"corrected_{message.reason}"] += 1
                self._walks.place(bot, message.pose.east_cm, message.pose.north_cm, now_s)
                self._seq[bot] = max(self._seq[bot], message.seq)
            case Moved() if conn.playing:
                if (old := self._held.pop(bot, None)) is not None:
                    self._close(old)
                held = self._held[bot] = self._open(bot, message.url)
                held.ticket = message.ticket
            case Bye():
                self.counters[f"bye_{message.code}"] += 1

    def _prove(self, conn: Conn, challenge: Challenge) -> None:
        """Answers a challenge. Only watchers look at its signature: it costs as much as all a bot does in a second."""
        bot = conn.bot
        if self.job.watching and not verify_challenge(
            challenge.node, challenge.nonce, challenge.url, challenge.sig
        ):
            raise RemoteError("signature", "The node's signature does not fit its challenge.")
        conn.node = challenge.node
        profile = Profile(f"bot {self.job.first + bot}", kind="program")
        keys = self._keys[bot]
        if conn.ticket:
            login_ms, birth = self._login[bot]
            hello = sign_hello(
                keys, challenge.node, challenge.nonce, login_ms, conn.url, profile,
                birth=birth, ticket=conn.ticket,
            )  # fmt: skip
        else:
            login_ms = max(time.time_ns() // 1_000_000, self._login[bot][0] + 1)
            want = Pose(int(self._walks.east[bot]), int(self._walks.north[bot]))
            hello = sign_hello(keys, challenge.node, challenge.nonce, login_ms, conn.url, profile, want=want)
        self._put(conn, masked(encode_play(hello)))

    def _welcomed(self, conn: Conn, welcome: Welcome, now_s: float) -> None:
        bot, job = conn.bot, self.job
        self._login[bot] = welcome.login_ms, welcome.birth
        conn.playing = True
        self._send[bot] = conn.sock.send
        if self._held.get(bot) is conn:
            del self._held[bot]
            if (old := self._main[bot]) is not None:
                self._close(old)
            self._main[bot] = conn
            self._seated_s.pop(bot, None)
            self._seq[bot] = max(self._seq[bot], welcome.seq)
            self.counters["handoffs"] += 1
            return
        self.joins_ms.append((now_s - self._joining.pop(bot, now_s)) * 1000)
        self.counters["logins"] += 1
        self._seq[bot] = welcome.seq
        self._walks.place(bot, welcome.pose.east_cm, welcome.pose.north_cm, now_s)
        self.tick_s = welcome.tick_ms / 1000
        self._period_s[bot] = self.tick_s if self._walks.moving[bot] else STAND_S * job.scale
        self._due_s[bot] = now_s + self._rng.uniform(0, self.tick_s)
        if job.deaf:
            self._epoll.unregister(conn.fd)

    # ------------------------------------------------------------------------------------------- the end

    def close(self) -> None:
        """Closes every socket, with a goodbye."""
        for bot, conn in enumerate(self._main):
            if conn is not None:
                self._bid_farewell(bot, conn)
        for conn in self._held.values():
            self._close(conn)
        self._epoll.close()


def main() -> None:
    """Does the job of the file named on the command line."""
    job = Job.read(Path(sys.argv[1]))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES), most))
    table = SentTable(Path(job.table), job.bots)
    swarm = Swarm(job, table)
    gc.disable()
    try:
        swarm.run()
    finally:
        swarm.close()
    report = {
        "snapshots": swarm.snapshots,
        "joins_ms": swarm.joins_ms,
        "counters": dict(swarm.counters),
        "oldest_ms": list(swarm.oldest_ms.values()),
    }
    Path(job.report).write_text(json.dumps(report), encoding="utf-8")


if __name__ == "__main__":
    main()
