"""One person's presence in the city, without I/O: which sockets are open, what is said on them, where the avatar is.

`client.table` decides; `Session` stands around it: it chooses urls and logins, answers challenges, keeps the pose that
its owner steers, sends it on every socket that may own the avatar under one seq, and asks again for every act until it
is answered. A session reads no clock and opens no socket; its owner tells it the time and carries out `take_actions`.

A client is never in the city twice: a newer login of the same person, made on another device, stops it until `gesture`,
and so does a moderator's order that keeps the person out.
A login of its own whose WELCOME was lost on the way is recognised and continued.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from client.asking import Acts, Wishes, Words
from client.clock import ServerClock
from client.homes import Homes
from client.table import (
    CLIENT,
    NO_CONN,
    ClientAt,
    ClientOn,
    ClientStep,
    Do,
    Elsewhere,
    Gesture,
    Invited,
    LogIn,
    Lost,
    Rule,
    Sockets,
    TimedOut,
    Welcomed,
    What,
    step,
)
from p2pworld.crypto.keys import Signer, birth_of, sign_hello, sign_say, verify_challenge
from p2pworld.errors import LocalError
from p2pworld.grants import chain_bytes
from p2pworld.ids import NO_LOGIN, Login, avatar_id
from p2pworld.limits import HELLO_GRANTS_BYTES_MAX
from p2pworld.messages import (
    PROTOCOL,
    Beat,
    Bye,
    Challenge,
    Correct,
    Done,
    Go,
    Moved,
    Notice,
    Pace,
    PlayMessage,
    Pose,
    Profile,
    Said,
    Welcome,
    Who,
)
from p2pworld.wire.frames import encode_pose

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.grants import Grant

# ruff: noqa: RUF022  (the table's door, then the session's)
__all__ = [
    "CLIENT", "ClientAt", "ClientOn", "Rule", "NO_CONN", "Sockets", "step",
    "ClientStep", "LogIn", "Welcomed", "Invited", "Lost", "Elsewhere", "TimedOut", "Gesture", "Do", "What",
    "JOIN_S", "HELD_WAIT_S", "SILENCE_S", "SILENCE_TICKS", "Action", "Open", "Say", "Close", "Session",
]  # fmt: skip

JOIN_S: Final = 3.0  # from connecting to WELCOME
HELD_WAIT_S: Final = 2.0
SEAT_S: Final = 6.0  # a seat that is neither committed nor given up after this long is given up here
# A node that owns an avatar sends it a frame every tick: this and so many ticks without any, and it is given up. At
# 10 Hz that is 1.4 s, at the 2 Hz of a node with too much to do 3 s.
SILENCE_S: Final = 1.0
SILENCE_TICKS: Final = 4
OWN_LOGINS_MAX: Final = 64
_ORDERED: Final = frozenset({"removed", "banned"})  # goodbyes by a moderator's order: no use to try again


@dataclass(frozen=True, slots=True)
class Open:
    """Connect the new socket `conn` to `url`."""

    conn: int
    url: str


@dataclass(frozen=True, slots=True)
class Say:
    """Send a message on `conn`."""

    conn: int
    message: PlayMessage


@dataclass(frozen=True, slots=True)
class Close:
    """Close `conn`; nothing more that comes from it matters."""

    conn: int


Action = Open | Say | Close


@dataclass(slots=True)
class _Socket:
    """One socket as the session sees it: where it leads, whom it expects there, what it will say."""

    url: str
    opened_s: float
    expect: bytes = b""
    ticket: bytes = b""
    node: bytes = b""
    said_hello: bool = False


class Session:
    """One person's client. `entropy` (16 bytes or more, never used before) makes the names of its acts its own.

    Public: `at`, `login` (the one last welcomed), `pose` (where the avatar is, as its owner steers it), `seq`, `node`
    (the key of the node played on), `poses_to` (the sockets a pose goes to), `tick_ms`, `pace_ms` (how much later
    poses should be sent than now, reset by whoever heeds it), `deadline_s` (when `tick` must be called at the latest),
    `last_login_ms` (to be kept by whoever starts the next session of this person), `trouble` (the last goodbye's or
    failure's code and sentence), `placed` (why a node last moved the avatar: a CORRECT's reason, or `welcome`),
    `counters`.
    """

    def __init__(
        self,
        signer: Signer,
        profile: Profile,
        urls: Iterable[str],
        entropy: bytes,
        want: Pose | None = None,
        last_login_ms: int = 0,
        grants: tuple[Grant, ...] = (),
    ) -> None:
        """`grants` are shown at each login and handoff: a chain that gives this person a role.

        Raises:
            LocalError: no urls, or grants too long to be shown.
        """
        if chain_bytes(grants) > HELLO_GRANTS_BYTES_MAX:
            raise LocalError(f"these grants are longer than the {HELLO_GRANTS_BYTES_MAX} bytes a node takes")
        self.signer, self.profile, self._grants = signer, profile, grants
        self.id = avatar_id(signer.public)
        self.login = NO_LOGIN
        self.pose: Pose | None = want
        self.seq = 0
        self.tick_ms = 100
        self.pace_ms = 0
        self.ack = 0
        self.heard_s = 0.0
        self.deadline_s = math.inf
        self.last_login_ms = last_login_ms
        self.trouble: tuple[str, str] = ("", "")
        self.poses_to: tuple[int, ...] = ()
        self.placed = ""
        self.counters: Counter[str] = Counter()
        self._homes = Homes(signer.public, urls)
        self._sockets = Sockets()
        self._known: dict[int, _Socket] = {}
        self._conns_made = 0
        self._login_s = math.inf  # when OUT: the time of the next attempt
        self._since_s = 0.0  # when the present state was entered
        self._after = NO_LOGIN
        self._own: deque[Login] = deque(maxlen=OWN_LOGINS_MAX)
        self._acts = Acts(entropy)
        self._wishes = Wishes()
        self._words = Words()
        self._says_made = self._said_ms = 0
        self._clock = ServerClock()
        self._actions: list[Action] = []

    # ------------------------------------------------------------------------------------------- looking

    @property
    def at(self) -> ClientAt:
        """Where the client stands."""
        return self._sockets.at

    @property
    def main(self) -> int:
        """The socket joined or played on, or NO_CONN."""
        return self._sockets.main

    @property
    def held(self) -> int:
        """The socket that waits for a commit, or NO_CONN."""
        return self._sockets.held

    @property
    def playing(self) -> bool:
        """Whether a node owns the avatar and is known to."""
        return self._sockets.at in (ClientAt.PLAYING, ClientAt.BOTH)

    @property
    def node(self) -> bytes:
        """The key of the node that owns the avatar, or nothing."""
        return self.node_of(self._sockets.main) if self.playing else b""

    def node_of(self, conn: int) -> bytes:
        """The key that the node at the other end of `conn` proved, or nothing yet."""
        socket = self._known.get(conn)
        return socket.node if socket else b""

    @property
    def _silent_at_s(self) -> float:
        """When the node played on will have been silent for too long."""
        return self.heard_s + SILENCE_S + SILENCE_TICKS * self.tick_ms / 1000

    @property
    def acts_open(self) -> int:
        """Acts asked for and not yet answered."""
        return len(self._acts)

    def take_actions(self) -> list[Action]:
        """What must be done since the last call, in order."""
        actions, self._actions = self._actions, []
        return actions

    # ------------------------------------------------------------------------------------------- wishes

    def gesture(self, now_s: float) -> None:
        """The person wants to be here: starts, and starts again after another device took over."""
        self._after = NO_LOGIN
        self._step(Gesture(), now_s)
        if self.at is ClientAt.OUT:
            self._homes.start_over()
            self._login_s = now_s
            self._set_deadline()

    def leave(self) -> None:
        """Closes everything and stays out; `gesture` begins anew."""
        for conn in (self._sockets.main, self._sockets.held):
            if conn != NO_CONN:
                self._actions.append(Close(conn))
        self._sockets = Sockets()
        self._known.clear()
        self._login_s = math.inf
        self._follow()

    def steer(self, pose: Pose) -> bytes:
        """The avatar is there now: the POSE to send on every socket of `poses_to`, all under one new seq."""
        self.pose = pose
        self.seq = (self.seq + 1) & 0xFFFF_FFFF
        return encode_pose(
            self.seq, pose.east_cm, pose.north_cm, pose.up, pose.yaw, pose.state, self.ack >> 6 & 0xFF
        )

    def act(self, verb: str, now_s: float, text: str = "", target: bytes = b"", *, keep: bool = False) -> int:
        """Do something that lasts, asked for again and again until DONE answers; returns its number.

        `keep`: a node may keep what cannot be done now. It answers `pending` then, and once more when it is done.

        Raises:
            LocalError: too many acts are open.
        """
        n = self._acts.ask(verb, text, target, now_s, keep)
        self._ask_again(now_s)
        self._set_deadline()
        return n

    def server_ms(self, now_s: float) -> int:
        """The Unix milliseconds of the node's clock, late by the quickest way any frame has come since WELCOME."""
        return self._clock.unix_ms(now_s)

    def say(self, channel: str, text: str, now_s: float, *, to: bytes = b"", avatar: int = 0) -> int:
        """Says something, signed; between two nodes it waits for the next. Returns its number."""
        self._says_made += 1
        # no two in one millisecond: the same words said twice are two signatures, and are heard twice
        self._said_ms = max(self.server_ms(now_s), self._said_ms + 1)
        say = sign_say(self.signer, self._says_made, channel, text, self._said_ms, to=to, avatar=avatar)
        if self.login != NO_LOGIN:
            self._words.say(say, now_s)
        self.send(say)
        return self._says_made

    def beat(self, at_ms: int, voice: int) -> None:
        """Strikes a drum that is to sound at this Unix millisecond of the server."""
        self.send(Beat(at_ms, voice))

    def block(self, avatar: int, on: bool = True) -> None:
        """Hears nothing of this avatar any more, or again; every later node is told so too."""
        self.send(self._wishes.block(avatar, on))

    def friend(self, avatar: int, on: bool = True) -> None:
        """Lets this avatar come to where this person is, or no longer; every later node is told so too."""
        self.send(self._wishes.friend(avatar, on))

    def group(self, to: bytes, on: bool = True) -> None:
        """Hears the group with this secret name, or no longer; every later node is told so too."""
        self.send(self._wishes.group(to, on))

    def go(self, place: str) -> None:
        """Asks to be taken to a place, aboard the bus (`bus`) or off it (`off`)."""
        self.send(Go(place))

    def go_to(self, avatar: int) -> None:
        """Asks to be taken to somebody who welcomes this person; a CORRECT `go` or a NOTICE says what came of it."""
        self.send(Go("friend", avatar))

    def ask(self, ids: Iterable[int]) -> None:
        """Asks who these avatars are."""
        self.send(Who(tuple(ids)))

    def send(self, message: PlayMessage) -> None:
        """Sends a word that nobody waits for; outside of the city it is counted and gone."""
        if self.playing:
            self._actions.append(Say(self._sockets.main, message))
        else:
            self.counters["unsaid"] += 1

    # ------------------------------------------------------------------------------------------- what happens

    def heard(self, conn: int, t_ms: int, now_s: float) -> None:
        """A frame of poses came on `conn`, marked `t_ms`."""
        if conn == self._sockets.main:
            self.ack = t_ms
            self.heard_s = now_s
            self._clock.heard(t_ms, now_s)

    def closed(self, conn: int, now_s: float) -> None:
        """`conn` could not be opened, or is gone."""
        if conn in self._known:
            self._lost(conn, now_s)

    def said(self, conn: int, message: PlayMessage, now_s: float, wall_ms: int) -> bool:
        """One control message on `conn`; whether it mattered here (that of a socket given up does not)."""
        socket = self._known.get(conn)
        if socket is None:
            self.counters["late"] += 1
            return False
        match message:
            case Challenge():
                self._challenged(conn, socket, message, now_s, wall_ms)
            case Welcome():
                self._welcomed(conn, message, now_s)
            case Moved():
                self._invited(conn, message, now_s)
            case Correct():
                if conn == self._sockets.main and self.playing:
                    self.pose, self.placed = message.pose, message.reason
                    self.counters["corrected"] += 1
            case Done():
                if self._acts.done(message, now_s):
                    self.counters[f"act-again-{message.reason}"] += 1
            case Notice("pace") if message.tick_ms and conn == self._sockets.main:
                self.tick_ms = message.tick_ms
            case Pace():
                if conn == self._sockets.main:
                    self.pace_ms += message.shift_ms
            case Bye():
                self._bye(conn, message, now_s)
            case Said() | Beat() if message.id in self._wishes.blocked:
                return False
            case Said():
                return conn == self._sockets.main and self._words.heard(message)
            case Notice(code) if code == "muted" or code.startswith("say-"):
                self._words.refused()
                return conn == self._sockets.main
            case _:
                return conn == self._sockets.main
        return True

    def tick(self, now_s: float) -> None:
        """Timers; to be called at `deadline_s`, and as often as one likes."""
        if now_s < self.deadline_s:
            return
        match self.at:
            case ClientAt.OUT if now_s >= self._login_s:
                self._login_s = math.inf
                self._step(LogIn(self._fresh_conn()), now_s)
            case ClientAt.JOINING if now_s >= self._since_s + JOIN_S:
                self._trouble("timeout", "The node did not welcome us in time.")
                self._homes.failed(self._known[self._sockets.main].url)
                self._step(TimedOut(), now_s)
            case ClientAt.HELD if now_s >= self._since_s + HELD_WAIT_S:
                self._trouble("timeout", "The seat was not committed in time.")
                self._step(TimedOut(), now_s)
            case ClientAt.PLAYING | ClientAt.BOTH if now_s >= self._silent_at_s:
                self._trouble("silence", "The node fell silent.")
                self._homes.failed(self._known[self._sockets.main].url)
                self._lost(self._sockets.main, now_s)
            case ClientAt.BOTH if now_s >= self._known[self._sockets.held].opened_s + SEAT_S:
                self._lost(self._sockets.held, now_s)
            case _:
                pass
        self._ask_again(now_s)
        self._set_deadline()

    # ------------------------------------------------------------------------------------------- messages

    def _challenged(
        self, conn: int, socket: _Socket, challenge: Challenge, now_s: float, wall_ms: int
    ) -> None:
        fault = _challenge_fault(challenge, socket)
        if fault is not None:
            self.counters[f"challenge-{fault[0]}"] += 1
            self._trouble(*fault)
            self._homes.failed(socket.url)
            self._lost(conn, now_s)
            return
        socket.node, socket.said_hello = challenge.node, True
        node, nonce = challenge.node, challenge.nonce
        if socket.ticket:
            hello = sign_hello(
                self.signer,
                node,
                nonce,
                self.login.ms,
                socket.url,
                self.profile,
                birth=self.login.birth,
                ticket=socket.ticket,
                grants=self._grants,
            )
        else:
            self.last_login_ms = max(wall_ms, self.last_login_ms + 1)
            self._own.append(Login(self.last_login_ms, birth_of(node, nonce)))
            after = self._after if self._after != NO_LOGIN else None
            hello = sign_hello(
                self.signer,
                node,
                nonce,
                self.last_login_ms,
                socket.url,
                self.profile,
                after=after,
                want=self.pose,
                grants=self._grants,
            )
        self._actions.append(Say(conn, hello))
        self._follow()

    def _welcomed(self, conn: int, welcome: Welcome, now_s: float) -> None:
        before = self._sockets
        fresh = before.at is ClientAt.JOINING
        self._step(Welcomed(conn), now_s)
        if self._sockets == before:
            self.counters["late"] += 1
            return
        if fresh:
            # a handoff goes on with our own pose and seq, which are ahead of what the new node was told
            self.pose, self.seq = welcome.pose, welcome.seq
            self.placed = "welcome"
            self.counters["logins"] += 1
        else:
            self.seq = max(self.seq, welcome.seq)
            self.counters["handoffs"] += 1
        self.login = self._after = Login(welcome.login_ms, welcome.birth)
        self.last_login_ms = max(self.last_login_ms, welcome.login_ms)
        self.tick_ms = welcome.tick_ms
        self._clock.welcomed(welcome.time_ms, welcome.t_ms, now_s)
        self.ack = welcome.t_ms
        self.heard_s = now_s
        self.trouble = ("", "")
        self._homes.start_over()
        self._homes.prefer((self._known[conn].url, *welcome.urls))
        self._acts.hurry(now_s)
        self._wishes.begin(now_s)
        self._ask_again(now_s)
        for say in self._words.again(now_s):
            self.send(say)
        self._set_deadline()

    def _invited(self, conn: int, moved: Moved, now_s: float) -> None:
        if conn != self._sockets.main or not self.playing:
            return
        held = self._fresh_conn()
        self._known[held] = _Socket(moved.url, now_s, moved.node, moved.ticket)
        self._step(Invited(conn, held), now_s)

    def _bye(self, conn: int, bye: Bye, now_s: float) -> None:
        self.counters[f"bye-{bye.code}"] += 1
        socket = self._known[conn]
        if bye.code == "elsewhere":
            login = Login(bye.login_ms, bye.birth)
            self.last_login_ms = max(self.last_login_ms, bye.login_ms)
            if login in self._own:
                # our own login, whose WELCOME never reached us: this is what we continue
                self._after = max(self._after, login)
            elif self._after != NO_LOGIN:
                self._trouble(bye.code, bye.reason)
                self._step(Elsewhere(conn), now_s)
                return
            # else: the person has just asked to be here, and only this device's clock was behind
        elif bye.code not in ("moved", "expired"):
            self._trouble(bye.code, bye.reason)
        if bye.code in _ORDERED:
            self._step(Elsewhere(conn), now_s)
            return
        if conn == self._sockets.main and bye.urls:
            self._homes.failed(socket.url)
            self._homes.prefer(bye.urls)
        self._lost(conn, now_s)

    # ------------------------------------------------------------------------------------------- inside

    def _fresh_conn(self) -> int:
        self._conns_made += 1
        return self._conns_made

    def _lost(self, conn: int, now_s: float) -> None:
        if conn == self._sockets.main and self.at is ClientAt.JOINING:
            self._homes.failed(self._known[conn].url)
        self._step(Lost(conn), now_s)

    def _step(self, event: ClientStep, now_s: float) -> None:
        was = self.at
        self._sockets, done = step(self._sockets, event)
        for do in done:
            match do.what:
                case What.OPEN_MAIN:
                    self._known[do.conn] = _Socket(self._homes.best, now_s)
                    self._actions.append(Open(do.conn, self._homes.best))
                case What.OPEN_HELD:
                    self._actions.append(Open(do.conn, self._known[do.conn].url))
                case _:
                    self._known.pop(do.conn, None)
                    self._actions.append(Close(do.conn))
        if self.at is not was:
            self._since_s = now_s
            if self.at is ClientAt.OUT:
                self._login_s = now_s + self._homes.wait_s()
        self._follow()

    def _follow(self) -> None:
        """Bring `poses_to` and the deadline in line with the sockets."""
        self.poses_to = tuple(
            conn
            for conn in (self._sockets.main, self._sockets.held)
            if self.at in (ClientAt.PLAYING, ClientAt.BOTH, ClientAt.HELD)
            and (socket := self._known.get(conn)) is not None
            and socket.said_hello
        )
        self._set_deadline()

    def _set_deadline(self) -> None:
        match self.at:
            case ClientAt.OUT:
                self.deadline_s = self._login_s
            case ClientAt.JOINING:
                self.deadline_s = self._since_s + JOIN_S
            case ClientAt.HELD:
                self.deadline_s = self._since_s + HELD_WAIT_S
            case ClientAt.STOPPED:
                self.deadline_s = math.inf
            case _:
                deadline_s = self._silent_at_s
                if self.at is ClientAt.BOTH:
                    deadline_s = min(deadline_s, self._known[self._sockets.held].opened_s + SEAT_S)
                self.deadline_s = min(deadline_s, self._wishes.due_s, self._acts.due_s)

    def _ask_again(self, now_s: float) -> None:
        """Says what is due of acts and wishes, if a node owns the avatar."""
        if self.playing:
            due = (*self._acts.due(self.pose, now_s), *self._wishes.due(now_s))
            self._actions.extend(Say(self._sockets.main, message) for message in due)

    def _trouble(self, code: str, sentence: str) -> None:
        self.trouble = (code, sentence)


def _challenge_fault(challenge: Challenge, socket: _Socket) -> tuple[str, str] | None:
    """Why this challenge is not answered, as a code and a sentence."""
    if socket.said_hello:
        return "twice", "The node challenged us twice."
    if challenge.v != PROTOCOL:
        return "version", f"The node speaks version {challenge.v} of the protocol, not {PROTOCOL}."
    if challenge.url != socket.url:
        return "url", f"At {socket.url} answers a node that calls itself {challenge.url}."
    if socket.expect and challenge.node != socket.expect:
        return "node", "Another node answers there than the one that keeps our seat."
    if not verify_challenge(challenge.node, challenge.nonce, challenge.url, challenge.sig):
        return "signature", "The node's signature does not fit its challenge."
    return None
