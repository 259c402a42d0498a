"""How many handoffs a core carries, and what each costs the one who walks: clients that go to and fro over a border.

Two node processes meet at a line. In each round every client steps over it once, the steps spread over a second; a
round ends when everybody is welcomed on the other side. Two ways are measured:

- *attached*: before the round each client has opened its second socket to the other node, which has challenged it; it
  answers the challenge when MOVED tells it the ticket. The opening is not part of the round.
- *new_connection*: the second socket is opened when MOVED comes.

CPU is the nodes', during the rounds alone. *extra_ms* is what the player feels: of the gaps between frames during a
handoff the longest, less the tick (`client.gauges`).
"""

from __future__ import annotations

import errno
import math
import select
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from client.framing import BINARY, CLOSE, Handshake, ServerFrames, close_frame, masked, masked_pose
from client.gauges import Gauges
from client.session import ClientAt, Close, Open, Session
from p2pworld.crypto.keys import PersonKeys
from p2pworld.errors import RemoteError
from p2pworld.messages import Challenge, Pose, Profile
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import POSES
from simulations.bench.crowd import ground
from simulations.bench.crowd.nodes import cpu_s as used_s
from simulations.bench.crowd.nodes import machine
from simulations.bench.crowd.run import BenchFailed, until
from simulations.bench.crowd.watch import spread
from simulations.processes import City

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["run_handoffs"]

READY_S: Final = 60.0
STEP_CM: Final = 300  # beyond the border, on either side: more than the hysteresis
SPREAD_S: Final = 1.0
AGAIN_S: Final = 1.0
REST_S: Final = 1.0  # between rounds: two steps of 6 m need as long
ROUND_S: Final = 15.0
IDLE_S: Final = 4.0
POLL_S: Final = 0.005
JOINING_MAX: Final = 64
LINE_CM: Final = 8_000  # of the border, to either side of the middle, where they walk
LOOK_EVERY: Final = 10
FIRST_CONTROL_KIND: Final = 0x40
IN, OUT = select.EPOLLIN, select.EPOLLOUT


class _Socket:
    """One WebSocket of a walker: the one it plays on, the one it is about to, or (`conn` 0) one opened ahead."""

    __slots__ = ("conn", "early", "fd", "frames", "handshake", "out", "sock", "walker")

    def __init__(self, sock: socket.socket, walker: _Walker, conn: int, url: str) -> None:
        self.sock, self.fd, self.walker, self.conn = sock, sock.fileno(), walker, conn
        self.handshake: Handshake | None = Handshake(url)
        self.frames = ServerFrames()
        self.out = self.handshake.request if self.handshake else b""
        self.early: list[bytes] = []  # what came before anybody wanted it: the challenge


class _Walker:
    """One client, on one side of the border."""

    __slots__ = ("ahead", "node", "number", "session", "side", "sockets", "step_s")

    def __init__(self, number: int, session: Session, side: int) -> None:
        self.number, self.session = number, session
        self.sockets: dict[int, _Socket] = {}
        self.ahead: _Socket | None = None
        self.step_s = math.inf  # when it is to step over, or again if it is not yet on the other side
        self.side = side  # the node whose ground it is to stand on
        self.node = b""


class _Walkers:
    """All clients, in one epoll loop of this process."""

    def __init__(self, urls: list[str], keys: list[bytes], count: int) -> None:
        self.urls, self._nodes = urls, keys
        self.counters: Counter[str] = Counter()
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Socket] = {}
        now_s = time.monotonic()
        self.all: list[_Walker] = []
        east, north = ground.MIDDLE_CM
        for number in range(count):
            signer = PersonKeys.from_seed(f"p2pworld handoff {number}".encode().ljust(32)[:32])
            side = -1 if number % 2 else 1
            along = -LINE_CM + 2 * LINE_CM * number // count
            want = Pose(east + side * STEP_CM, north + along)
            node = ground.node_at(2, want.east_cm, want.north_cm)
            home = [urls[node]]
            entropy = f"{number} {time.time_ns()}".encode()
            profile = Profile(f"walker {number}", kind="program")
            self.all.append(_Walker(number, Session(signer, profile, home, entropy, want), node))
        self.gauges = Gauges([walker.session.id for walker in self.all], now_s)
        self._frames = 0

    # ------------------------------------------------------------------------------------------- what they do

    def join(self) -> None:
        """Everybody comes in."""
        waiting = list(self.all)

        def come() -> bool:
            joining = sum(w.session.at is ClientAt.JOINING for w in self.all)
            while waiting and joining < JOINING_MAX:
                walker = waiting.pop()
                now_s = time.monotonic()
                self.gauges.excuse(walker.number, now_s)
                walker.session.gesture(now_s)
                joining += 1
            return not waiting and all(w.session.at is ClientAt.PLAYING for w in self.all)

        self.run(come, READY_S, "not everybody came in")

    def open_ahead(self) -> None:
        """Everybody opens a socket to the other node and hears its challenge, but does not answer it."""
        for walker in self.all:
            walker.ahead = self._connect(walker, 0, self.urls[1 - walker.side])
        self.run(
            lambda: all(w.ahead is not None and w.ahead.early for w in self.all), ROUND_S, "sockets ahead"
        )

    def step_over(self) -> None:
        """Everybody steps over the border, and is welcomed there."""
        began_s = time.monotonic()
        for walker in self.all:
            walker.step_s = began_s + SPREAD_S * walker.number / len(self.all)
            walker.side = 1 - walker.side
        self.run(lambda: all(map(self._across, self.all)), ROUND_S, "not everybody was handed over")

    @property
    def logins(self) -> int:
        """How often anybody logged in."""
        return sum(walker.session.counters["logins"] for walker in self.all)

    def rest(self, seconds: float) -> None:
        """Nobody moves."""
        until_s = time.monotonic() + seconds
        self.run(lambda: time.monotonic() >= until_s, seconds + ROUND_S, "resting")

    def run(self, done: Callable[[], bool], within_s: float, what: str) -> None:
        """The loop, until `done`.

        Raises:
            BenchFailed: it took too long.
        """
        until_s = time.monotonic() + within_s
        while not done():
            now_s = time.monotonic()
            if now_s > until_s:
                troubles = Counter(w.session.trouble for w in self.all).most_common(2)
                states = Counter(w.session.at.name for w in self.all)
                raise BenchFailed(f"{what} within {within_s:g} s: {dict(states)}, {troubles}")
            for walker in self.all:
                session = walker.session
                if session.deadline_s <= now_s:
                    session.tick(now_s)
                    self._carry_out(walker, now_s)
                if walker.step_s <= now_s:
                    self._step(walker, now_s)
                self.gauges.alive(walker.number, now_s)
            for fd, mask in self._epoll.poll(POLL_S, 512):
                self._happened(fd, mask, time.monotonic())

    def close(self) -> None:
        """Closes everything, with a goodbye."""
        for sock in list(self._by_fd.values()):
            self._close(sock)
        self._epoll.close()

    def _across(self, walker: _Walker) -> bool:
        """Whether it is on the side where it is to be, and nothing is under way."""
        session = walker.session
        return session.at is ClientAt.PLAYING and session.node == self._nodes[walker.side]

    def _step(self, walker: _Walker, now_s: float) -> None:
        """Stands on the other side; whoever is not across after a while says it again."""
        pose = walker.session.pose
        if self._across(walker):
            walker.step_s = math.inf
            return
        if not walker.session.poses_to or pose is None:
            return
        walker.step_s = now_s + AGAIN_S
        east = ground.MIDDLE_CM[0] + (STEP_CM if walker.side else -STEP_CM)
        self.counters["steps"] += 1
        data = masked_pose(walker.session.steer(Pose(east, pose.north_cm)))
        for conn in walker.session.poses_to:
            self._put(walker.sockets[conn], data)
        self.gauges.sent(walker.number, east, pose.north_cm, False, now_s)

    # ------------------------------------------------------------------------------------------- sessions

    def _carry_out(self, walker: _Walker, now_s: float) -> None:
        while actions := walker.session.take_actions():
            for action in actions:
                if isinstance(action, Open):
                    self._open(walker, action, now_s)
                elif isinstance(action, Close):
                    if (sock := walker.sockets.get(action.conn)) is not None:
                        self._close(sock)
                elif (sock := walker.sockets.get(action.conn)) is not None:
                    self._put(sock, masked(encode_play(action.message)))

    def _open(self, walker: _Walker, action: Open, now_s: float) -> None:
        """A socket for the session: the one opened ahead, if there is one."""
        ahead, walker.ahead = walker.ahead, None
        if ahead is not None:
            ahead.conn = action.conn
            walker.sockets[action.conn] = ahead
            for payload in ahead.early:
                self._said(ahead, payload, now_s)
            ahead.early.clear()
            return
        walker.sockets[action.conn] = self._connect(walker, action.conn, action.url)

    def _said(self, sock: _Socket, payload: bytes, now_s: float) -> None:
        walker = sock.walker
        session, number = walker.session, walker.number
        if payload[0] == POSES:
            if sock.conn == session.main:
                session.heard(sock.conn, int.from_bytes(payload[4:8], "little"), now_s)
                self.gauges.framed(number, session.tick_ms / 1000, now_s)
                self._frames += 1
                if self._frames % LOOK_EVERY == 0:
                    self.gauges.look(session.node, payload, now_s)
            elif sock.conn == session.held:
                self.gauges.framed_twice(number, now_s)
            return
        if payload[0] < FIRST_CONTROL_KIND:
            return
        message = decode_play(payload)
        if sock.conn == 0:
            if not isinstance(message, Challenge):
                raise RemoteError("early", "A node said something before it was answered.")
            sock.early.append(payload)
            return
        at, counters = session.at, session.counters
        handoffs, logins = counters["handoffs"], counters["logins"]
        session.said(sock.conn, message, now_s, time.time_ns() // 1_000_000)
        if counters["handoffs"] > handoffs:
            self.gauges.welcomed(number, True, session.node != walker.node, now_s)
        elif counters["logins"] > logins:
            self.gauges.welcomed(number, False, False, now_s)
        elif session.at is ClientAt.BOTH and at is ClientAt.PLAYING:
            walker.node = session.node
            self.gauges.moved(number, now_s)
        elif session.at is not at and session.at in (ClientAt.PLAYING, ClientAt.OUT):
            self.gauges.calmed(number)
        self._carry_out(walker, now_s)

    # ------------------------------------------------------------------------------------------- sockets

    def _connect(self, walker: _Walker, conn: int, url: str) -> _Socket:
        parts = urlsplit(url)
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        problem = sock.connect_ex((parts.hostname or "", parts.port or 0))
        if problem not in (0, errno.EINPROGRESS):
            raise BenchFailed(f"{url} cannot be reached")
        entry = _Socket(sock, walker, conn, url)
        self._by_fd[entry.fd] = entry
        self._epoll.register(entry.fd, IN | OUT)
        return entry

    def _put(self, sock: _Socket, data: bytes) -> None:
        if sock.handshake is None and not sock.out:
            try:
                data = data[sock.sock.send(data) :]
            except BlockingIOError:
                self.counters["blocked"] += 1
            except OSError:
                return  # the loop will hear of it
        if data:
            sock.out += data
            self._epoll.modify(sock.fd, IN | OUT)

    def _happened(self, fd: int, mask: int, now_s: float) -> None:
        sock = self._by_fd.get(fd)
        if sock is None:
            return
        try:
            if mask & OUT:
                sock.out = sock.out[sock.sock.send(sock.out) :] if sock.out else b""
                if not sock.out:
                    self._epoll.modify(fd, IN)
            if not mask & ~OUT:
                return
            data = sock.sock.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and sock.handshake is not None:
            rest = sock.handshake.feed(data)
            if rest is None:
                return
            sock.handshake, data = None, rest
        elif not data:
            self._lost(sock, now_s)
            return
        for opcode, payload in sock.frames.feed(data):
            if opcode == CLOSE:
                self._lost(sock, now_s)
                return
            if opcode == BINARY and payload:
                self._said(sock, payload, now_s)
            if self._by_fd.get(fd) is not sock:
                return

    def _lost(self, sock: _Socket, now_s: float) -> None:
        conn, walker = sock.conn, sock.walker
        self._close(sock)
        if conn == 0:
            self.counters["ahead_lost"] += 1
            walker.ahead = None
        else:
            walker.session.closed(conn, now_s)
            self._carry_out(walker, now_s)

    def _close(self, sock: _Socket) -> None:
        del self._by_fd[sock.fd]
        sock.walker.sockets.pop(sock.conn, None)
        try:
            if sock.handshake is None:
                sock.sock.send(close_frame())
        except OSError:
            self.counters["left_rudely"] += 1
        sock.sock.close()


def run_handoffs(
    clients: int,
    rounds: int,
    folder: Path,
    say: Callable[[str], None] = lambda text: None,
    idle_s: float = IDLE_S,
) -> dict[str, Any]:
    """Both ways, one after the other, in `folder`, which is empty.

    Raises:
        BenchFailed: somebody was not handed over in time.
    """
    told: dict[str, Any] = {"bench": "handoff", "clients": clients, "rounds": rounds}
    with City(folder, 2, (), dealt=ground.dealt(2)) as city:
        city.start()
        until(lambda: not city.not_ready(), READY_S, lambda: f"the nodes are not ready: {city.not_ready()}")
        walkers = _Walkers(city.play_urls, [node.keys.public for node in city.nodes], clients)
        try:
            walkers.join()
            say(f"{clients} are in")
            walkers.rest(idle_s)
            idle = used_s(city.nodes)
            walkers.rest(idle_s)
            idle_cores = (used_s(city.nodes) - idle) / idle_s
            told["idle_cores"] = round(idle_cores, 3)
            for name, ahead in (("attached", True), ("new_connection", False)):
                say(name)
                told[name] = _measured(walkers, city, rounds, ahead, idle_cores)
        finally:
            walkers.close()
    return told | {"machine": machine()}


def _measured(walkers: _Walkers, city: City, rounds: int, ahead: bool, idle_cores: float) -> dict[str, Any]:
    """So many rounds of one way."""
    gauges = walkers.gauges
    gauges.begin(time.monotonic())
    before, steps, logins = city.counted("refused-"), walkers.counters["steps"], walkers.logins
    cpu_s = seconds = 0.0
    for _ in range(rounds):
        walkers.rest(REST_S)
        if ahead:
            walkers.open_ahead()
        began_cpu_s, began_s = used_s(city.nodes), time.monotonic()
        walkers.step_over()
        cpu_s += used_s(city.nodes) - began_cpu_s
        seconds += time.monotonic() - began_s
    alone_s = max(1e-9, cpu_s - idle_cores * seconds)
    return {
        "handoffs": gauges.handoffs,
        "between_processes": gauges.between_processes,
        "handoffs_per_s_per_core": round(gauges.handoffs / max(cpu_s, 1e-9)),
        "handoffs_per_s_per_core_beyond_idle": round(gauges.handoffs / alone_s),
        "cpu_us_each": round(1e6 * cpu_s / max(1, gauges.handoffs)),
        "handoffs_per_s": round(gauges.handoffs / seconds),
        "extra_ms": spread(gauges.extras_ms, 0.5, 0.99, 1),
        "lost": len(gauges.lost),
        "twinned": len(gauges.twinned),
        "steps_repeated": walkers.counters["steps"] - steps - rounds * len(walkers.all),
        "logins_instead": walkers.logins - logins,
        "refused": city.counted("refused-") - before,
    }
