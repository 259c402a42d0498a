"""Many bots in one process, lean: one epoll loop, one session each, no task and no library per frame.

A bot steers ten times a second while it moves and once a second while it stands; sends are spread evenly over the
tick. Each bot notices the head of every POSES; one frame in `LOOK_EVERY` is looked at whole, for the gauges. What is
said and drummed is decoded only for those few who listen. The loop is synchronous and owns its process.
"""

from __future__ import annotations

import errno
import hashlib
import heapq
import math
import select
import socket
import time
from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from client.framing import BINARY, CLOSE, PING, Handshake, ServerFrames, close_frame, masked, masked_pose
from client.gauges import Gauges
from client.lives.life import DRUM, Ask, Drum, News, Perform, Speak, Travel
from client.session import ClientAt, Close, Open, Session
from p2pworld.crypto.keys import PersonKeys
from p2pworld.errors import LocalError, RemoteError
from p2pworld.messages import Beat, Done, Notice, Profiles, Said
from p2pworld.wire.codec import decode_play, encode_play
from p2pworld.wire.frames import POSES, decode_poses
from p2pworld.world.crowd import RIDE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.lives.life import Life
    from p2pworld.messages import Pose

__all__ = ["LOOK_EVERY", "STARTS_PER_S", "Bot", "Swarm"]

LOOK_EVERY: Final = 10
HOSTS_LOOK_EVERY: Final = 5
UNHEARD: Final = frozenset({Said.KIND, Beat.KIND, Notice.KIND, Profiles.KIND})  # by who does not listen
STILL_S: Final = 1.0
ACTS_OPEN_MAX: Final = 8
STARTS_PER_S: Final = 150
EVENTS_MIN: Final = 512  # of one look at the sockets, or as many as there are
POLL_S_MAX: Final = 0.05
SLICE_S: Final = 0.004  # sends due within this leave together
READ_BYTES: Final = 65_536
FIRST_CONTROL_KIND: Final = 0x40
PONG: Final = 0xA
POSE_FRAME_BYTES: Final = 22
IN, OUT = select.EPOLLIN, select.EPOLLOUT


class _Socket:
    """One WebSocket of one bot."""

    __slots__ = ("bot", "conn", "fd", "frames", "handshake", "out", "sock")

    def __init__(self, sock: socket.socket, bot: Bot, conn: int, url: str) -> None:
        self.sock, self.fd, self.bot, self.conn = sock, sock.fileno(), bot, conn
        handshake = Handshake(url)
        self.handshake: Handshake | None = handshake
        self.frames = ServerFrames()
        self.out = bytearray(handshake.request)


class Bot:
    """One session, and the life that steers it."""

    __slots__ = (
        "due_s", "frames", "life", "node", "number", "sent_s", "session", "sockets", "started", "steered", "ticked_s",
        "verbs",
    )  # fmt: skip

    def __init__(self, number: int, session: Session, life: Life, due_s: float) -> None:
        self.number, self.session, self.life, self.due_s = number, session, life, due_s
        self.steered: Pose | None = session.pose
        self.sockets: dict[int, _Socket] = {}
        self.ticked_s = due_s
        self.sent_s = 0.0
        self.started = False
        self.verbs: dict[int, str] = {}  # of the acts asked for
        self.frames = number % LOOK_EVERY  # so that not all look at once
        self.node = b""  # where the handoff under way began


class Swarm:
    """A bot for each of `lives`, at home at `urls`; the same `seed` gives them the same keys, but for badges.

    `lanterns` are those whose hanging was acknowledged; `done` counts the other acts by verb, `counters` what is odd,
    by reason.
    """

    def __init__(
        self,
        urls: Sequence[str],
        lives: Sequence[Life],
        seed: int,
        now_s: Callable[[], float] = time.monotonic,
        gauges: type[Gauges] = Gauges,
    ) -> None:
        for url in urls:
            if urlsplit(url).scheme != "ws":
                raise LocalError(f"bots speak plain ws:// only, so {url!r} is nowhere for them")
        self.counters: Counter[str] = Counter()
        self.lanterns: set[bytes] = set()
        self.done: Counter[str] = Counter()
        self.now_s = now_s
        self._polled_s = 0.0  # when the sockets were last looked at; what had come by then has been heard
        self._epoll = select.epoll()
        self._by_fd: dict[int, _Socket] = {}
        self._addresses: dict[tuple[str, int], tuple[socket.AddressFamily, tuple[str, int]]] = {}
        start_s = now_s()
        tick_s = 0.1
        self.bots: list[Bot] = []
        count = len(lives)
        for number, life in enumerate(lives):
            secret = hashlib.sha512(f"p2pworld bot {seed} {number}".encode()).digest()
            badge = life.badge
            keys = badge.keys if badge else PersonKeys.from_seed(secret[:32])
            grants = badge.grants if badge else ()
            home = [*urls[number % len(urls) :], *urls[: number % len(urls)]]
            entropy = secret[32:] + time.time_ns().to_bytes(8, "big")
            session = Session(keys, life.profile, home, entropy, life.pose, grants=grants)
            life.id = session.id
            # whole ticks after the start, and each at its own moment of the tick
            ticks = int(number / STARTS_PER_S / tick_s)
            due_s = start_s + (ticks + number / count) * tick_s
            self.bots.append(Bot(number, session, life, due_s))
        self._due = [(bot.due_s, bot.number) for bot in self.bots]
        heapq.heapify(self._due)
        self.gauges = gauges([bot.session.id for bot in self.bots], start_s)

    # ------------------------------------------------------------------------------------------- looking

    @property
    def playing(self) -> int:
        """Bots that a node owns."""
        return sum(bot.session.playing for bot in self.bots)

    @property
    def stopped(self) -> int:
        """Bots that were told that they are elsewhere."""
        return sum(bot.session.at is ClientAt.STOPPED for bot in self.bots)

    @property
    def trouble(self) -> str:
        """The trouble most bots speak of, as a sentence."""
        troubles = Counter(bot.session.trouble[1] for bot in self.bots if bot.session.trouble[1])
        return troubles.most_common(1)[0][0] if troubles else "no node answers at these urls"

    def life(self) -> dict[str, int]:
        """What goes on: how many drum and ride now; what was said, hung, rung and started so far."""
        states = Counter(bot.life.state for bot in self.bots if bot.session.playing)
        so_far = {verb: self.done[verb] for verb in ("said", "beats", "ring", "start")}
        return {"drumming": states[DRUM], "riding": states[RIDE], "lanterns": len(self.lanterns)} | so_far

    def session_counters(self) -> Counter[str]:
        """What the sessions counted, together."""
        return sum((bot.session.counters for bot in self.bots), Counter())

    # ------------------------------------------------------------------------------------------- running

    def run(self, done: Callable[[float], bool]) -> None:
        """Runs until `done(now_s)`, which is asked about twenty times a second."""
        asked_s = self._polled_s = self.now_s()
        while True:
            now_s = self.now_s()
            if now_s - asked_s >= POLL_S_MAX:
                asked_s = now_s
                if done(now_s):
                    return
            due = self._due
            while due[0][0] <= now_s:
                bot = self.bots[due[0][1]]
                self._tick(bot, now_s)
                # whole ticks: after a pause nothing is made up for, and nobody loses its moment of the tick
                tick_s = bot.session.tick_ms / 1000
                bot.due_s += tick_s * max(1, math.ceil((now_s - bot.due_s) / tick_s))
                heapq.heapreplace(due, (bot.due_s, bot.number))
            wait_s = max(SLICE_S, min(due[0][0] - now_s, POLL_S_MAX))
            events = self._epoll.poll(wait_s, max(EVENTS_MIN, len(self._by_fd)))
            self._polled_s = self.now_s()
            for fd, mask in events:
                self._happened(fd, mask, self._polled_s)

    def close(self) -> None:
        """Says goodbye on every socket and closes it."""
        for sock in list(self._by_fd.values()):
            self._close(sock, politely=True)
        self._epoll.close()

    def _tick(self, bot: Bot, now_s: float) -> None:
        """One bot's turn: its session's timers, one step on its way, one pose."""
        session, life = bot.session, bot.life
        if not bot.started:
            bot.started = True
            session.gesture(now_s)
            self.gauges.excuse(bot.number, now_s)
        if session.deadline_s <= self._polled_s:
            session.tick(
                self._polled_s
            )  # until then all has been heard: whoever was silent was so, and not this process
            self._carry_out(bot, now_s)
        self.gauges.alive(bot.number, now_s)
        seconds, bot.ticked_s = min(now_s - bot.ticked_s, 0.5), now_s
        if not session.poses_to:
            return
        if session.pose is not bot.steered:
            assert session.pose is not None
            bot.steered = session.pose
            life.placed(session.pose, session.placed)
            if session.placed == "wall":
                self.counters["walls"] += 1
        was = life.state
        moved = life.step(seconds, session.server_ms(now_s))
        if session.pace_ms:
            bot.due_s += session.pace_ms / 1000
            session.pace_ms = 0
        if life.wishes and session.playing:
            self._wish(bot, now_s)
        if not moved and life.state == was and now_s - bot.sent_s < STILL_S:
            return
        bot.sent_s = now_s
        bot.steered = pose = life.pose
        data = masked_pose(session.steer(pose))
        for conn in session.poses_to:
            if (sock := bot.sockets.get(conn)) is not None:
                self._send(sock, data)
        self.gauges.sent(bot.number, pose.east_cm, pose.north_cm, moved and life.moving, now_s)

    def _wish(self, bot: Bot, now_s: float) -> None:
        """Sends what a life wishes."""
        session, wishes = bot.session, bot.life.wishes
        while wishes:
            wish = wishes.popleft()
            match wish:
                case Perform(verb, text) if session.acts_open < ACTS_OPEN_MAX:
                    bot.verbs[session.act(verb, now_s, text)] = verb
                case Perform():
                    self.counters["acts-too-many"] += 1
                case Speak(channel, text, avatar):
                    session.say(channel, text, now_s, avatar=avatar)
                    self.done["said"] += 1
                case Drum(at_ms) if at_ms < session.server_ms(now_s):
                    self.counters["beats-late"] += 1  # wished while out of the city
                case Drum(at_ms, voice):
                    session.beat(at_ms, voice)
                    self.done["beats"] += 1
                case Travel(place):
                    session.go(place)
                case Ask(ids):
                    session.ask(ids)
        self._carry_out(bot, now_s)

    # ------------------------------------------------------------------------------------------- sessions

    def _carry_out(self, bot: Bot, now_s: float) -> None:
        """Does what a session wants done, until it wants nothing more."""
        while actions := bot.session.take_actions():
            for action in actions:
                if isinstance(action, Open):
                    self._open(bot, action, now_s)
                elif isinstance(action, Close):
                    if (sock := bot.sockets.get(action.conn)) is not None:
                        self._close(sock, politely=True)
                elif (sock := bot.sockets.get(action.conn)) is not None:
                    self._send(sock, masked(encode_play(action.message)))

    def _said(self, sock: _Socket, payload: bytes, now_s: float) -> None:
        """One control message."""
        bot = sock.bot
        session, life = bot.session, bot.life
        if payload and payload[0] in UNHEARD and not life.listens:
            return
        at, handoffs, logins = session.at, session.counters["handoffs"], session.counters["logins"]
        message = decode_play(payload)
        heard = session.said(sock.conn, message, now_s, time.time_ns() // 1_000_000)
        if isinstance(message, Done):
            self._acted(bot, message)
        if life.listens and heard:
            if isinstance(message, Said):
                life.hear(message)
            elif isinstance(message, News):
                life.told(message)
        if session.counters["handoffs"] > handoffs:
            self.gauges.welcomed(bot.number, True, session.node != bot.node, now_s)
        elif session.counters["logins"] > logins:
            self.gauges.welcomed(bot.number, False, False, now_s)
        elif session.at is ClientAt.BOTH and at is ClientAt.PLAYING:
            bot.node = session.node
            self.gauges.moved(bot.number, now_s)
        elif session.at is not at and session.at in (ClientAt.PLAYING, ClientAt.OUT, ClientAt.STOPPED):
            self.gauges.calmed(bot.number)
        self._carry_out(bot, now_s)

    def _acted(self, bot: Bot, done: Done) -> None:
        if done.durable:
            verb = bot.verbs.pop(done.n, "")
            self.done[verb] += 1
            if verb == "hang":
                self.lanterns.add(done.id)
            self.counters[f"acts-{done.durable}"] += 1
        else:
            self.counters[f"acts-refused-{done.reason}"] += 1

    # ------------------------------------------------------------------------------------------- sockets

    def _open(self, bot: Bot, action: Open, now_s: float) -> None:
        parts = urlsplit(action.url)
        sock = None
        try:
            family, address = self._address(parts.hostname or "", parts.port or 80)
            sock = socket.socket(family, socket.SOCK_STREAM)
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            problem = sock.connect_ex(address)
            if problem not in (0, errno.EINPROGRESS):
                raise OSError(problem, "cannot connect")
        except OSError:
            self.counters["unreachable"] += 1
            if sock is not None:
                sock.close()
            bot.session.closed(action.conn, now_s)
            return
        entry = _Socket(sock, bot, action.conn, action.url)
        bot.sockets[action.conn] = self._by_fd[entry.fd] = entry
        self._epoll.register(entry.fd, IN | OUT)

    def _address(self, host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
        known = self._addresses.get((host, port))
        if known is None:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            known = self._addresses[host, port] = family, (str(address[0]), int(address[1]))
        return known

    def _happened(self, fd: int, mask: int, now_s: float) -> None:
        sock = self._by_fd.get(fd)
        if sock is None:
            return
        if mask & OUT and not self._flush(sock, now_s):
            return
        if not mask & ~OUT:
            return
        try:
            data = sock.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(sock, now_s)
            return
        self.gauges.bytes_down += len(data)
        try:
            self._read(sock, data, now_s)
        except RemoteError as error:
            self.counters[f"malformed-{error.reason}"] += 1
            self._lost(sock, now_s)

    def _read(self, sock: _Socket, data: bytes, now_s: float) -> None:
        if sock.handshake is not None:
            rest = sock.handshake.feed(data)
            if rest is None:
                return
            sock.handshake = None
            data = rest
        for opcode, payload in sock.frames.feed(data):
            if opcode == BINARY:
                kind = payload[0] if payload else 0
                if kind == POSES:
                    self._framed(sock, payload, now_s)
                elif kind >= FIRST_CONTROL_KIND or kind == 0:
                    self._said(sock, payload, now_s)
            elif opcode == PING:
                self._send(sock, masked(payload, PONG))
            elif opcode == CLOSE:
                self._lost(sock, now_s, politely=True)
            if sock.fd not in self._by_fd:
                return

    def _framed(self, sock: _Socket, payload: bytes, now_s: float) -> None:
        """A POSES: its head for the session, all of it now and then for the gauges."""
        bot = sock.bot
        session = bot.session
        if len(payload) < 16:
            raise RemoteError("poses-length")
        if sock.conn != session.main:
            self.gauges.framed_twice(bot.number, now_s)
            return
        session.heard(sock.conn, int.from_bytes(payload[4:8], "little"), now_s)
        if payload[1] & 0x0F:
            return  # an outer tier: tier 0 is the heartbeat, and has the nearest
        self.gauges.framed(bot.number, session.tick_ms / 1000, now_s)
        bot.frames += 1
        if bot.frames % LOOK_EVERY == 0:
            self.gauges.look(session.node_of(sock.conn), payload, now_s)
        if bot.life.looks and bot.frames % HOSTS_LOOK_EVERY == 0:
            frame = decode_poses(payload)
            bot.life.look(frame.ids.tolist(), frame.east_cm.tolist(), frame.north_cm.tolist())

    def _send(self, sock: _Socket, data: bytes) -> None:
        if sock.handshake is not None or sock.out:
            if len(data) == POSE_FRAME_BYTES:
                self.counters["poses-unsent"] += 1  # the next one says more
            else:
                sock.out += data
                self._epoll.modify(sock.fd, IN | OUT)
            return
        try:
            sent = sock.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            return  # the loop hears of it when it reads
        if sent < len(data):
            sock.out += data[sent:]
            self._epoll.modify(sock.fd, IN | OUT)

    def _flush(self, sock: _Socket, now_s: float) -> bool:
        """Sends what waits; whether the socket lives."""
        problem = sock.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self.counters["unreachable" if sock.handshake else "reset"] += 1
            self._lost(sock, now_s)
            return False
        try:
            del sock.out[: sock.sock.send(sock.out)]
        except BlockingIOError:
            return True
        except OSError:
            self._lost(sock, now_s)
            return False
        if not sock.out:
            self._epoll.modify(sock.fd, IN)
        return True

    def _lost(self, sock: _Socket, now_s: float, politely: bool = False) -> None:
        self._close(sock, politely)
        bot = sock.bot
        bot.session.closed(sock.conn, now_s)
        if bot.session.at is not ClientAt.BOTH and bot.session.at is not ClientAt.HELD:
            self.gauges.calmed(bot.number)
        self._carry_out(bot, now_s)

    def _close(self, sock: _Socket, politely: bool = False) -> None:
        if self._by_fd.pop(sock.fd, None) is None:
            return
        del sock.bot.sockets[sock.conn]
        self._epoll.unregister(sock.fd)
        if politely and sock.handshake is None:
            try:
                sock.sock.send(close_frame())
            except OSError:
                self.counters["close-unsent"] += 1
        sock.sock.close()
