"""The people of one node: their play sockets, their logins, and their handoffs, as one machine.

It feeds each avatar's events to the tables of `handoff` and carries out what they decide: messages into the outbox,
rows of the crowd, sockets given to rows and seats, timers. It reads no clock and draws its nonces from a seed. Poses
do not pass here, except those of a client that waits on a seat: the newest is kept until the commit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from p2pworld.crypto.keys import Signer, login_of, sign_challenge, verify_hello
from p2pworld.ids import NO_LOGIN, Incarnation, Login, Version, avatar_id
from p2pworld.limits import (
    DIRECTORY_REFRESH_S,
    DORMANT_S,
    FLOOR_S,
    HANDOFF_RETRY_S,
    HELD_S,
    PREPARE_S,
    RESERVED_S,
)
from p2pworld.messages import (
    PROTOCOL,
    Attached,
    Bye,
    Cancel,
    Challenge,
    Commit,
    CommitAck,
    CommitNak,
    DirectoryNews,
    DirectoryPut,
    HangUp,
    Hello,
    Instant,
    LinkMessage,
    Moved,
    Notice,
    Pose,
    Prepare,
    Profile,
    SeatReady,
    SeatRefused,
    SignedHello,
    ToClient,
    ToPeer,
    Welcome,
)
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.citymap import EMPTY, CityMap
from p2pworld.world.crowd import DORMANT, GHOST, MINE, RIDE, Crowd
from p2pworld.world.handoff import (
    NOBODY,
    Act,
    Arrived,
    CameBack,
    Event,
    GotAck,
    GotAttached,
    GotCancel,
    GotCommit,
    GotNak,
    GotPrepare,
    GotReady,
    GotRefused,
    Left,
    NodeEnded,
    Out,
    Outlived,
    Person,
    RowAt,
    RowTimer,
    SeatAt,
    SeatTimer,
    SocketLost,
    TicketShown,
    step,
)
from p2pworld.world.papers import Kept, Papers, bare
from p2pworld.world.presence import Directory, Nonces, login_fault
from p2pworld.world.riders import free_seat, seats_taken
from p2pworld.world.timers import Deadlines, Round
from p2pworld.world.vehicles import SEATS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from p2pworld.errors import Refusal
    from p2pworld.world.outbox import Outbox

__all__ = ["HandoffMessage", "People"]

HandoffMessage = Prepare | SeatReady | SeatRefused | Attached | Commit | CommitAck | CommitNak | Cancel

_ROW_SECONDS = {
    RowAt.DORMANT: DORMANT_S,
    RowAt.PREPARING: PREPARE_S,
    RowAt.INVITED: PREPARE_S,
    RowAt.RELEASED: PREPARE_S,
}
_SEAT_SECONDS = {SeatAt.RESERVED: RESERVED_S, SeatAt.ATTACHED: HELD_S}
_SEAT_REFUSALS = frozenset({"signature", "lapsed", "closed"})  # a peer's own words are never counted under
_URLS_TOLD = 8
_HEART = Pose(*landmark("Gwanghwamun Square").position_cm)


class _Given(NamedTuple):
    """Where an avatar was when it was given away."""

    seq: int
    pose: Pose
    vehicle: int
    seat: int
    told: tuple[bytes, ...]


@dataclass(slots=True)
class _Conn:
    nonce: bytes
    avatar: int = 0


def _after(seconds: float | None, now: Instant) -> float | None:
    return None if seconds is None else now.boot_s + seconds


class People:
    """Everybody this node simulates, keeps a seat for, or has just let go."""

    def __init__(
        self,
        signer: Signer,
        play_url: str,
        crowd: Crowd,
        nonces: Nonces,
        clients_max: int,
        out: Outbox,
        tick_ms: Callable[[], int],
        roots: frozenset[bytes] = frozenset(),
    ) -> None:
        self.me = Incarnation(signer.public, 0)
        self.city = EMPTY
        self.directory = Directory()
        self.counters: Counter[str] = Counter()
        self.lapsed = True
        self._signer, self._url, self._urls = signer, play_url, frozenset((play_url,))
        self._crowd, self._nonces, self._clients_max, self._out = crowd, nonces, clients_max, out
        self._tick_ms = tick_ms
        self._conns: dict[int, _Conn] = {}
        self._persons: dict[int, Person] = {}
        self.papers = Papers(roots)
        self._given: dict[int, _Given] = {}
        self._row_timers: Deadlines[int] = Deadlines()
        self._seat_timers: Deadlines[int] = Deadlines()
        self._floors: Deadlines[int] = Deadlines()
        self._attempt = 0
        self._retry_s: dict[int, float] = {}
        self._leaving: set[int] = set()
        self._refresh = Round(DIRECTORY_REFRESH_S)
        self._fits: Callable[[int], bool] = lambda cell: False
        self.admits: Callable[[int, bytes, Pose, Instant], bool] = lambda avatar, key, pose, now: True
        self.told: Callable[[int], tuple[bytes, ...]] = lambda avatar: ()  # what it heard as one in a place
        self.seated: dict[int, int] = {}  # play socket -> avatar, of clients that wait on a seat
        # avatars that became mine since the core last looked; None, or what one handed off was told elsewhere
        self.welcomed: list[tuple[int, tuple[bytes, ...] | None]] = []
        self.refused_riders: list[int] = []  # the same, of riders for whom no seat was kept
        self.order: Callable[[Incarnation], tuple[int, int]] = lambda peer: (
            0,
            0,
        )  # which nodes to name first
        self.sends_on: Callable[[], bool] = lambda: False  # whether newcomers are better sent to others
        self.bars: Callable[[bytes, int], Refusal | None] = lambda key, now_ms: None  # why one may not log in

    # ------------------------------------------------------------------------------------------- the node's life

    def begin(self, me: Incarnation, fits: Callable[[int], bool]) -> None:
        """A new incarnation owns nobody: every socket is asked to log in again, every row and seat is forgotten."""
        for conn in list(self._conns):
            self._hang_up(conn, Bye("again", "This node started anew; log in again.", urls=self.other_urls()))
        for row in list(self._crowd.row_of.values()):
            self._crowd.remove(row)
        self._persons.clear()
        self.papers.clear()
        self._given.clear()
        self._leaving.clear()
        self._retry_s.clear()
        self._refresh.clear()
        self._row_timers.clear()
        self._seat_timers.clear()
        self._floors.clear()
        self.seated.clear()
        self.directory = Directory()
        self.me, self._fits = me, fits

    def map_changed(self, city: CityMap, ended: Collection[Incarnation], now: Instant) -> None:
        """A newer city map: handoffs to incarnations that are no longer listed have no destination now."""
        old, self.city = self.city, city
        for peer in ended:
            for avatar in [a for a, p in self._persons.items() if p.row.to == peer]:
                self._on(avatar, NodeEnded(peer), now)
        if {m.who for m in old.members.values()} != {m.who for m in city.members.values()}:
            for avatar in self._refresh:  # the homes of many have changed
                if self.person(avatar).row.at.owns:
                    self._tell_homes(avatar, now)

    # ------------------------------------------------------------------------------------------- play sockets

    @property
    def clients(self) -> int:
        """Open play sockets."""
        return len(self._conns)

    def avatar_on(self, conn: int) -> int:
        """The avatar whose row this socket steers, or 0."""
        entry = self._conns.get(conn)
        if entry is None or entry.avatar == 0:
            return 0
        return entry.avatar if self.person(entry.avatar).row.conn == conn else 0

    def login_on(self, conn: int) -> Login:
        """The login that this socket carries."""
        entry = self._conns.get(conn)
        person = self._persons.get(entry.avatar) if entry else None
        return person.row.login if person else NO_LOGIN

    def opened(self, conn: int) -> None:
        """Speak first: the challenge."""
        if len(self._conns) >= self._clients_max:
            self._conns[conn] = _Conn(b"")
            self._hang_up(conn, Bye("full", "This node is full; try another.", urls=self.other_urls()))
            return
        nonce = self._nonces.draw(32)
        self._conns[conn] = _Conn(nonce)
        sig = sign_challenge(self._signer, nonce, self._url)
        self._out.sends.append(
            ToClient(conn, Challenge(PROTOCOL, self._signer.public, nonce, self._url, sig))
        )

    def hello(self, conn: int, hello: Hello, now: Instant) -> None:
        """A HELLO: a fresh login, or a ticket for a seat. What cannot be admitted is answered with BYE and why."""
        entry = self._conns.get(conn)
        if entry is None or not entry.nonce:
            return
        if entry.avatar:
            self._hang_up(conn, Bye("malformed", "A connection carries one HELLO."))
            return
        fault = login_fault(hello, self._urls, now.wall_ms)
        signed = SignedHello(self.me.node, entry.nonce, hello)
        if fault is None and not verify_hello(signed):
            fault = "signature", "The signature of the HELLO does not fit its content."
        if fault is None and (barred := self.bars(hello.key, now.wall_ms)) is not None:
            fault = barred.reason, barred.sentence
        if fault is not None:
            self.counters[f"hello-{fault[0]}"] += 1
            self._hang_up(conn, Bye(*fault))
            return
        avatar = avatar_id(hello.key)
        if self.papers.bound_elsewhere(avatar, hello.key):
            self.counters["hello-key"] += 1
            self._hang_up(conn, Bye("key", "This id is bound to another key."))
            return
        entry.avatar = avatar
        if hello.ticket:
            self._on(avatar, TicketShown(hello.ticket, Login(hello.login_ms, hello.birth), conn), now)
            if hello.grants and self.seated.get(conn) == avatar:
                self.papers.kept[avatar].grants = hello.grants  # a node of an older release passes none on
            return
        known = self._persons.get(avatar, NOBODY).known[0]
        after = Login(hello.after_ms, hello.after_birth) if len(hello.after_birth) == 16 else None
        if after is not None and known > after:
            self.counters["hello-after"] += 1
            self._hang_up(conn, self._elsewhere(avatar))
            return
        if self.person(avatar).row.at is RowAt.NONE and self.sends_on():
            self.counters["hello-sent-on"] += 1
            self._hang_up(
                conn, Bye("full", "Too many people are here; others have room.", urls=self.other_urls())
            )
            return
        if self._crowd.full and avatar not in self._crowd.row_of:
            self._hang_up(conn, Bye("full", "This node is full; try another.", urls=self.other_urls()))
            return
        self._on(avatar, Arrived(login_of(signed), conn), now, signed)

    def lost(self, conn: int, now: Instant) -> None:
        """The socket is gone."""
        entry = self._conns.pop(conn, None)
        self.seated.pop(conn, None)
        if entry is not None and entry.avatar in self._persons:
            self._on(entry.avatar, SocketLost(conn), now)

    def expel(self, avatar: int, bye: Bye) -> None:
        """Close every socket of this avatar here."""
        for conn in [conn for conn, entry in self._conns.items() if entry.avatar == avatar]:
            self._hang_up(conn, bye)

    def hang_up_all(self, bye: Bye) -> None:
        """Close every play socket with the same goodbye and the other nodes' urls."""
        for conn in list(self._conns):
            self._hang_up(conn, Bye(bye.code, bye.reason, urls=self.other_urls()))

    # ------------------------------------------------------------------------------------------- peers

    def peer_said(self, peer: Incarnation, message: HandoffMessage, now: Instant) -> None:
        """One handoff message from the incarnation that this link belongs to."""
        avatar = message.avatar
        match message:
            case Prepare():
                if not self.papers.prove(avatar, bare(message.hello)):
                    self.counters["prepare-proof"] += 1
                    self._send(peer, SeatRefused(avatar, message.k, "signature"))
                    return
                fits = self._fits(message.to) and (avatar in self._crowd.row_of or not self._crowd.full)
                fits = fits and len(self._conns) < self._clients_max
                fits = fits and (message.vehicle == 0 or self._room_on(message.vehicle, avatar))
                login = login_of(message.hello)
                prepare = GotPrepare(peer, message.k, login, fits, self._nonces.draw(16))
                self._on(avatar, prepare, now, message.hello)
                if (kept := self.papers.kept.get(avatar)) is not None and kept.k == message.k:
                    kept.vehicle = message.vehicle
            case SeatReady():
                self._on(avatar, GotReady(peer, message.k, message.r), now)
            case SeatRefused():
                known = message.reason if message.reason in _SEAT_REFUSALS else "other"
                self.counters[f"refused-{known}"] += 1
                if avatar in self._leaving:
                    self._retry_s[avatar] = now.boot_s + HANDOFF_RETRY_S
                row = self._crowd.row_of.get(avatar)
                if row is not None and self._crowd.vehicle[row]:
                    self.refused_riders.append(avatar)
                self._on(avatar, GotRefused(peer, message.k), now)
            case Attached():
                self._on(avatar, GotAttached(peer, message.k, message.r), now)
            case Commit():
                login = Login(message.login_ms, message.birth)
                event = GotCommit(peer, message.k, message.r, message.to_incarnation, login, message.hop)
                self._on(avatar, event, now, commit=message)
            case CommitAck():
                self._on(avatar, GotAck(peer, message.k, message.r), now)
            case CommitNak():
                self._on(avatar, GotNak(peer, message.k, message.r), now)
            case Cancel():
                self._on(avatar, GotCancel(peer, message.k, message.r), now)

    def directory_put(self, peer: Incarnation, avatar: int, hello: SignedHello, now: Instant) -> None:
        """Another node (or this one) says where this avatar is logged in; this node is one of its homes."""
        hello = bare(hello)
        if not self.directory.knows(avatar, hello) and not self.papers.prove(avatar, hello):
            self.counters["directory-proof"] += 1
            return
        for to, winner in self.directory.put(avatar, hello, peer, now.boot_s):
            self.counters["directory-news"] += 1
            if to == self.me:
                self.outlived(avatar, winner, now)
            else:
                self._send(to, DirectoryNews(avatar, winner))
        self.outlived(avatar, hello, now, verified=True)

    def outlived(self, avatar: int, hello: SignedHello, now: Instant, *, verified: bool = False) -> None:
        """A signed HELLO of this avatar: whatever older login is here ends."""
        person = self._persons.get(avatar)
        if person is None or login_of(hello) <= person.known[0]:
            return
        if verified or self.papers.prove(avatar, bare(hello)):
            self._on(avatar, Outlived(login_of(hello)), now)

    # ------------------------------------------------------------------------------------------- movement and time

    def crossed(self, row: int, to: Incarnation, now: Instant) -> None:
        """This row stands in a region of `to`, beyond the hysteresis."""
        avatar = int(self._crowd.id[row])
        person = self._persons.get(avatar)
        if person is None or person.row.at is not RowAt.OWNED:
            return
        if now.boot_s < self._retry_s.get(avatar, 0.0) or self.city.member(to) is None:
            return
        self._attempt += 1
        self._on(avatar, Left(to, self._attempt), now)

    def leaving_rows(self) -> list[int]:
        """The rows whose handoff is under way and could be called off."""
        return [self._crowd.row_of[avatar] for avatar in self._leaving]

    def came_back(self, row: int, now: Instant) -> None:
        """This row stands in a region of mine again."""
        self._on(int(self._crowd.id[row]), CameBack(), now)

    def tick(self, now: Instant) -> None:
        """Timers that ran out, floors that may be forgotten, and a share of the directory's refreshing."""
        for avatar in self._row_timers.due(now.boot_s):
            self.counters["timer-row"] += 1
            self._on(avatar, RowTimer(), now)
        for avatar in self._seat_timers.due(now.boot_s):
            self.counters["timer-seat"] += 1
            self._on(avatar, SeatTimer(), now)
        for avatar in self._floors.due(now.boot_s):
            self._forget(avatar)
        for avatar in self._refresh.turns(self._tick_ms() / 1000):
            if self.person(avatar).row.at.owns:
                self._refresh.join(avatar)
                self._tell_homes(avatar, now)
        self.directory.expire(now.boot_s)

    # ------------------------------------------------------------------------------------------- looking

    def person(self, avatar: int) -> Person:
        """Where the machines of this avatar stand."""
        return self._persons.get(avatar, NOBODY)

    def persons(self) -> Iterator[tuple[int, Person]]:
        """Every avatar with its row and seat."""
        return iter(self._persons.items())

    def other_urls(self) -> tuple[str, ...]:
        """Where else one may log in, the least busy first."""
        others = sorted(
            (m for m in self.city.members.values() if m.node != self.me.node),
            key=lambda member: self.order(member.who),
        )
        return tuple(member.play_url for member in others[:_URLS_TOLD])

    def proof(self, avatar: int) -> Hello:
        """The HELLO that opened the login of an avatar that is mine."""
        return self.papers.held[avatar].hello

    def shown(self, avatar: int, now: Instant) -> tuple[Profile, str] | None:
        """How this avatar wishes to be shown, and what it has proved to be, if it is known here."""
        return self.papers.shown(avatar, self.person(avatar).row.at.owns, now.wall_ms)

    def who(
        self, avatars: Iterable[int], now: Instant
    ) -> tuple[tuple[int, ...], tuple[Profile, ...], tuple[str, ...]]:
        """Those of these avatars that are known here, their profiles, and their roles if any of them has one."""
        known = {avatar: shown for avatar in avatars if (shown := self.shown(avatar, now)) is not None}
        roles = tuple(role for _, role in known.values())
        return tuple(known), tuple(profile for profile, _ in known.values()), roles if any(roles) else ()

    # ------------------------------------------------------------------------------------------- carrying out

    def _on(
        self,
        avatar: int,
        event: Event,
        now: Instant,
        hello: SignedHello | None = None,
        commit: Commit | None = None,
    ) -> None:
        before = self._persons.get(avatar, NOBODY)
        after, outs = step(before, event, me=self.me, lapsed=self.lapsed)
        if after == NOBODY and before == NOBODY:
            self._persons.pop(avatar, None)
        else:
            self._persons[avatar] = after
        for out in outs:
            self._carry_out(avatar, out, after, now, hello, commit)
        self._follow_row(avatar, before, after, now)
        self._follow_seat(avatar, before, after, now)
        absent = after.row.at is RowAt.NONE and after.seat.at is SeatAt.EMPTY
        if absent and avatar in self._persons and avatar not in self._floors:
            self._floors.arm(
                avatar, now.boot_s + FLOOR_S
            )  # only a login is known of it, from a refused PREPARE

    def _carry_out(
        self,
        avatar: int,
        out: Out,
        after: Person,
        now: Instant,
        hello: SignedHello | None,
        commit: Commit | None,
    ) -> None:
        self.counters[f"handoff-{out.act.name.lower()}"] += 1
        peer = out.peer
        match out.act:
            case Act.PREPARE:
                assert peer is not None
                row = self._crowd.row_of[avatar]
                pose, proof = self._crowd.pose(row), self.papers.to_go(avatar)
                seq = int(self._crowd.seq[row])
                cell = self.city.leaf_at(pose.east_cm, pose.north_cm)
                vehicle, seat = int(self._crowd.vehicle[row]), int(self._crowd.seat[row])
                hop = after.row.hop
                self._send(peer, Prepare(avatar, out.k, proof, hop, seq, pose, cell, vehicle, seat))
            case Act.INVITE:
                assert peer is not None
                member = self.city.member(peer)
                if out.conn >= 0 and member is not None:
                    self._out.sends.append(ToClient(out.conn, Moved(peer.node, member.play_url, out.r)))
            case Act.CANCEL:
                if peer is not None:
                    self._send(peer, Cancel(avatar, out.k, out.r))
            case Act.COMMIT:
                assert peer is not None
                row_index = self._crowd.row_of.get(avatar)
                if row_index is not None and self._crowd.kind[row_index] == MINE:
                    self._given[avatar] = _Given(
                        int(self._crowd.seq[row_index]),
                        self._crowd.pose(row_index),
                        int(self._crowd.vehicle[row_index]),
                        int(self._crowd.seat[row_index]),
                        self.told(avatar),
                    )
                login = after.row.login
                message = Commit(
                    avatar, out.k, out.r, peer.number, login.ms, login.birth, out.hop, *self._given[avatar]
                )
                self._out.sends.append(ToPeer(peer, message, fenced=True))
            case Act.CLOSE:
                self._hang_up(out.conn, Bye("moved", "You are on another node now."))
            case Act.CLOSE_AGAIN:
                self._hang_up(out.conn, Bye("again", "Please log in again.", urls=self.other_urls()))
            case Act.CLOSE_ELSEWHERE | Act.CLOSE_HELD_ELSEWHERE | Act.REFUSE_ELSEWHERE:
                self._hang_up(out.conn, self._elsewhere(avatar, after))
            case Act.REFUSE_LAPSED:
                urls = self.other_urls()
                self._hang_up(out.conn, Bye("lapsed", "This node may not take anybody now.", urls=urls))
            case Act.CLOSE_HELD | Act.EXPIRED:
                self._hang_up(out.conn, Bye("expired", "No seat is kept under this ticket."))
            case Act.ADOPT:
                assert hello is not None
                self._adopt(avatar, out.conn, hello, after, now)
            case Act.RESERVE:
                assert peer is not None
                assert hello is not None
                self.papers.kept[avatar] = Kept(bare(hello), out.k, hello.hello.grants)
                self._send(peer, SeatReady(avatar, out.k, out.r))
            case Act.REFUSE:
                if peer is not None:
                    reason = "lapsed" if self.lapsed else "closed"
                    self._send(peer, SeatRefused(avatar, out.k, reason))
            case Act.HOLD:
                assert peer is not None
                self.seated[out.conn] = avatar
                self._send(peer, Attached(avatar, out.k, out.r))
            case Act.ACK:
                assert peer is not None
                self._send(peer, CommitAck(avatar, out.k, out.r))
            case Act.NAK:
                assert peer is not None
                self._send(peer, CommitNak(avatar, out.k, out.r))
            case Act.TAKE:
                assert commit is not None
                self._take(avatar, out.conn, commit, after, now)
            case _:
                raise AssertionError(f"{out.act} is carried out by the tables' interpreter")

    def _adopt(self, avatar: int, conn: int, hello: SignedHello, after: Person, now: Instant) -> None:
        """A fresh login is mine: where it wishes, else where its row stood, else at the heart of the city."""
        refusal = self.papers.hold(avatar, bare(hello), hello.hello.grants, now.wall_ms)
        row = self._crowd.row_of.get(avatar)
        pose = hello.hello.want or (_HEART if row is None else self._crowd.pose(row))
        if not self.admits(avatar, hello.hello.key, pose, now):
            pose = _HEART
        if row is not None and self._crowd.vehicle[row]:
            pose = self._crowd.pose(row)  # its seat was kept
        elif pose.state == RIDE:
            pose = replace(pose, state=0)
        if self._crowd.conn_row[conn] >= 0:
            self._crowd.detach(int(self._crowd.conn_row[conn]))
        self._place(avatar, MINE, Version(after.row.login, 0, 0), pose, conn, now)
        self._welcome(avatar, conn, now)
        self.welcomed.append((avatar, None))
        if refusal is not None:
            self.counters[refusal.reason] += 1
            self._out.sends.append(ToClient(conn, Notice(refusal.reason, refusal.sentence)))

    def _take(self, avatar: int, conn: int, commit: Commit, after: Person, now: Instant) -> None:
        """A commit is mine: the row stands where the source saw it last."""
        kept = self.papers.kept.pop(avatar)
        self.papers.hold(avatar, kept.hello, kept.grants, now.wall_ms)
        version = Version(after.row.login, commit.hop, commit.seq)
        seat = free_seat(self._crowd, commit.vehicle, commit.seat)
        pose = commit.pose
        if seat is None and pose.state == RIDE:
            pose = replace(pose, state=0)
        self._place(avatar, MINE, version, pose, conn, now)
        if seat is not None:
            self._crowd.take_seat(self._crowd.row_of[avatar], commit.vehicle, seat)
        self.seated.pop(conn, None)
        self._welcome(avatar, conn, now)
        self.welcomed.append((avatar, commit.told))

    def _place(self, avatar: int, kind: int, version: Version, pose: Pose, conn: int, now: Instant) -> None:
        crowd = self._crowd
        row = crowd.row_of.get(avatar)
        if row is None:
            row = crowd.add(avatar, version.login, version.hop, version.seq, pose, kind, now.boot_s)
        else:
            crowd.detach(row)
            crowd.set_version(row, version)
            crowd.set_pose(row, pose, version.seq)
            self._set_kind(row, kind, now)
        if conn >= 0:
            crowd.attach(row, conn)

    def _set_kind(self, row: int, kind: int, now: Instant) -> None:
        self._crowd.kind[row] = kind
        if kind == GHOST:
            self._crowd.leave_vehicle(row)
        self._crowd.source[row] = -1
        self._crowd.heard_s[row] = now.boot_s

    def _welcome(self, avatar: int, conn: int, now: Instant) -> None:
        crowd = self._crowd
        row = crowd.row_of[avatar]
        version, pose = crowd.version(row), crowd.pose(row)
        welcome = Welcome(
            avatar,
            version.login.ms,
            version.login.birth,
            pose,
            version.seq,
            self._tick_ms(),
            int(now.boot_s * 1000) & 0xFFFFFFFF,
            now.wall_ms,
            self.city.leaf_at(pose.east_cm, pose.north_cm),
            self.other_urls(),
        )
        self._out.sends.append(ToClient(conn, welcome))
        self._refresh.join(avatar)
        self._tell_homes(avatar, now)

    def _follow_row(self, avatar: int, before: Person, after: Person, now: Instant) -> None:
        """Bring the crowd, timers and floors in line with where the row stands now."""
        row, old = after.row, before.row
        if row.at in (RowAt.PREPARING, RowAt.INVITED):
            self._leaving.add(avatar)
        else:
            self._leaving.discard(avatar)
        index = self._crowd.row_of.get(avatar)
        if index is not None and row.conn < 0 and self._crowd.conn[index] >= 0:
            self._crowd.detach(index)
        if (row.at, row.k, row.login) == (old.at, old.k, old.login):
            return
        self._row_timers.arm(avatar, _after(_ROW_SECONDS.get(row.at), now))
        if index is not None and self._crowd.kind[index] != GHOST and not row.at.owns:
            if row.at is RowAt.DORMANT:
                self._set_kind(index, DORMANT, now)
            elif row.at is RowAt.RELEASED:
                self._set_kind(index, GHOST, now)
            else:
                self._crowd.remove(index)
        if row.at is RowAt.NONE and old.at is not RowAt.NONE:
            self._retry_s.pop(avatar, None)
            self._floors.arm(avatar, now.boot_s + FLOOR_S)

    def _follow_seat(self, avatar: int, before: Person, after: Person, now: Instant) -> None:
        seat, old = after.seat, before.seat
        if old.conn >= 0 and old.conn != seat.conn:
            self.seated.pop(old.conn, None)
        if (seat.at, seat.r) == (old.at, old.r):
            return
        self._seat_timers.arm(avatar, _after(_SEAT_SECONDS.get(seat.at), now))
        if seat.at is SeatAt.EMPTY:
            self.papers.kept.pop(avatar, None)
            if after.row.at is RowAt.NONE:
                self._floors.arm(avatar, now.boot_s + FLOOR_S)

    def _room_on(self, bus: int, avatar: int) -> bool:
        """Whether a seat of this bus can be kept for this avatar."""
        kept = sum(one.vehicle == bus for other, one in self.papers.kept.items() if other != avatar)
        return free_seat(self._crowd, bus) is not None and seats_taken(self._crowd, bus) + kept < SEATS

    def _forget(self, avatar: int) -> None:
        """Forget the floor of one who has been gone long enough; whoever is here, or left later, keeps it."""
        person = self._persons.get(avatar)
        if person is None or person.row.at is not RowAt.NONE or person.seat.at is not SeatAt.EMPTY:
            return
        del self._persons[avatar]
        self.papers.forget(avatar)
        self._given.pop(avatar, None)

    # ------------------------------------------------------------------------------------------- telling

    def _tell_homes(self, avatar: int, now: Instant) -> None:
        proof = self.papers.held.get(avatar)
        if proof is None:
            return
        for home in self.city.directory_homes(avatar):
            if home.who == self.me:
                self.directory_put(self.me, avatar, proof, now)
            else:
                self._send(home.who, DirectoryPut(avatar, proof))

    def _elsewhere(self, avatar: int, person: Person | None = None) -> Bye:
        login = (person or self.person(avatar)).known[0]
        return Bye("elsewhere", "You are logged in on a newer device.", login.ms, login.birth)

    def _send(self, peer: Incarnation, message: LinkMessage) -> None:
        self._out.sends.append(ToPeer(peer, message))

    def _hang_up(self, conn: int, bye: Bye) -> None:
        entry = self._conns.get(conn)
        if entry is not None:
            entry.nonce = b""  # nothing more is read from it
            self.counters[f"bye-{bye.code}"] += 1
            self._out.sends.append(HangUp(conn, bye))
