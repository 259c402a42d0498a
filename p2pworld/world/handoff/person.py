"""One person at one node: row, seat and what is known, and one step of the tables over them.

Everything is an immutable value: `step` takes a `Person` and an event, and returns the next `Person` with what must be
done (`Out`), in order. Events carry what the guards ask about.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from p2pworld.ids import NO_LOGIN, Incarnation, Login
from p2pworld.world.handoff.tables import TABLES, Act, Guard, RowAt, RowOn, SeatAt, SeatOn, Tables

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "EMPTY_SEAT",
    "NOBODY",
    "NO_CONN",
    "NO_ROW",
    "Arrived",
    "CameBack",
    "Event",
    "GotAck",
    "GotAttached",
    "GotCancel",
    "GotCommit",
    "GotNak",
    "GotPrepare",
    "GotReady",
    "GotRefused",
    "Left",
    "NodeEnded",
    "Out",
    "Outlived",
    "Person",
    "Row",
    "RowTimer",
    "Seat",
    "SeatTimer",
    "SocketLost",
    "TicketShown",
    "step",
]

NO_CONN: Final = -1


@dataclass(frozen=True, slots=True)
class Row:
    """Who owns the avatar here. `to`, `k` and `r` belong to the handoff under way."""

    at: RowAt
    login: Login = NO_LOGIN
    hop: int = 0
    conn: int = NO_CONN
    to: Incarnation | None = None
    k: int = 0
    r: bytes = b""


@dataclass(frozen=True, slots=True)
class Seat:
    """A place kept for one who comes from `source` under attempt `k` and ticket `r`."""

    at: SeatAt
    login: Login = NO_LOGIN
    conn: int = NO_CONN
    source: Incarnation | None = None
    k: int = 0
    r: bytes = b""


NO_ROW: Final = Row(RowAt.NONE)
EMPTY_SEAT: Final = Seat(SeatAt.EMPTY)


@dataclass(frozen=True, slots=True)
class Person:
    """All that a node knows of one avatar's whereabouts: row, seat, and the largest login and hop it ever knew."""

    row: Row = NO_ROW
    seat: Seat = EMPTY_SEAT
    known: tuple[Login, int] = (NO_LOGIN, 0)


NOBODY: Final = Person()


# ------------------------------------------------------------------------------------------------------ events


@dataclass(frozen=True, slots=True)
class Left:
    """It stands in a region of `to`, beyond the hysteresis or since the map changed; `k` was never used before."""

    to: Incarnation
    k: int


@dataclass(frozen=True, slots=True)
class CameBack:
    """It stands in a region of mine again."""


@dataclass(frozen=True, slots=True)
class GotReady:
    """SeatReady from `peer`."""

    peer: Incarnation
    k: int
    r: bytes


@dataclass(frozen=True, slots=True)
class GotRefused:
    """SeatRefused from `peer`."""

    peer: Incarnation
    k: int


@dataclass(frozen=True, slots=True)
class GotAttached:
    """Attached from `peer`."""

    peer: Incarnation
    k: int
    r: bytes


@dataclass(frozen=True, slots=True)
class GotAck:
    """CommitAck from `peer`."""

    peer: Incarnation
    k: int
    r: bytes


@dataclass(frozen=True, slots=True)
class GotNak:
    """CommitNak from `peer`."""

    peer: Incarnation
    k: int
    r: bytes


@dataclass(frozen=True, slots=True)
class NodeEnded:
    """This incarnation of a node is over for good."""

    peer: Incarnation


@dataclass(frozen=True, slots=True)
class RowTimer:
    """The row stood in its state for as long as it may."""


@dataclass(frozen=True, slots=True)
class SeatTimer:
    """The seat stood in its state for as long as it may."""


@dataclass(frozen=True, slots=True)
class SocketLost:
    """This play socket is gone."""

    conn: int


@dataclass(frozen=True, slots=True)
class Arrived:
    """A fresh, verified HELLO on this play socket."""

    login: Login
    conn: int


@dataclass(frozen=True, slots=True)
class Outlived:
    """A signed HELLO proves that this login was opened somewhere."""

    login: Login


@dataclass(frozen=True, slots=True)
class GotPrepare:
    """Prepare from `peer`; `fits`: the cell is mine and there is room; `r` is a fresh ticket in case it is taken."""

    peer: Incarnation
    k: int
    login: Login
    fits: bool
    r: bytes


@dataclass(frozen=True, slots=True)
class TicketShown:
    """A verified HELLO with a ticket on this play socket."""

    r: bytes
    login: Login
    conn: int


@dataclass(frozen=True, slots=True)
class GotCommit:
    """Commit from `peer`, for incarnation `number` of this node."""

    peer: Incarnation
    k: int
    r: bytes
    number: int
    login: Login
    hop: int


@dataclass(frozen=True, slots=True)
class GotCancel:
    """Cancel from `peer`."""

    peer: Incarnation
    k: int
    r: bytes


Event = (
    Left | CameBack | GotReady | GotRefused | GotAttached | GotAck | GotNak | NodeEnded | RowTimer | SeatTimer
    | SocketLost | Arrived | Outlived | GotPrepare | TicketShown | GotCommit | GotCancel
)  # fmt: skip

_ROW_EVENTS: Final[Mapping[type, RowOn]] = {
    Left: RowOn.LEAVES,
    CameBack: RowOn.CAME_BACK,
    GotReady: RowOn.READY,
    GotRefused: RowOn.REFUSED,
    GotAttached: RowOn.ATTACHED,
    GotAck: RowOn.ACK,
    GotNak: RowOn.NAK,
    RowTimer: RowOn.TIMER,
    Arrived: RowOn.HELLO,
}
_SEAT_EVENTS: Final[Mapping[type, SeatOn]] = {
    GotPrepare: SeatOn.PREPARE,
    TicketShown: SeatOn.TICKET,
    GotCommit: SeatOn.COMMIT,
    GotCancel: SeatOn.CANCEL,
    SeatTimer: SeatOn.TIMER,
}


@dataclass(frozen=True, slots=True)
class Out:
    """One thing to do: `act` on a peer (`peer`, `k`, `r`, and `hop` of a commit) or on a socket (`conn`)."""

    act: Act
    peer: Incarnation | None = None
    k: int = 0
    r: bytes = b""
    conn: int = NO_CONN
    hop: int = 0


def step(
    person: Person, event: Event, *, me: Incarnation, lapsed: bool, tables: Tables = TABLES
) -> tuple[Person, tuple[Out, ...]]:
    """The person after `event` at the node `me`, and what must be done, in order.

    A login proven by a signed HELLO (in Arrived, Outlived, GotPrepare) first ends whatever older login stands here.
    """
    return _Step(person, event, me, lapsed, tables).run()


class _Step:
    """The interpreter of one event: gathers outs while it rewrites row and seat."""

    def __init__(self, person: Person, event: Event, me: Incarnation, lapsed: bool, tables: Tables) -> None:
        self.row, self.seat, self.known = person.row, person.seat, person.known
        self.event, self.me, self.lapsed, self.tables = event, me, lapsed, tables
        self.outs: list[Out] = []

    def run(self) -> tuple[Person, tuple[Out, ...]]:
        event = self.event
        if isinstance(event, Outlived | GotPrepare):
            self._outlive(event.login)
        if isinstance(event, NodeEnded):
            if self.row.to == event.peer:
                self._row(RowOn.DESTINATION_ENDED)
        elif isinstance(event, SocketLost):
            if event.conn == self.row.conn:
                self._row(RowOn.SOCKET_LOST)
            elif event.conn == self.seat.conn:
                self._seat(SeatOn.SOCKET_LOST)
        elif (on := _ROW_EVENTS.get(type(event))) is not None:
            self._row(on)
        elif (seat_on := _SEAT_EVENTS.get(type(event))) is not None:
            self._seat(seat_on)
        row = self.row
        if row.at is RowAt.OWNED and row.conn == NO_CONN:
            row = replace(row, at=RowAt.DORMANT)
        if not row.at.owns and row.at is not RowAt.RELEASED:
            row = Row(row.at, row.login, row.hop) if row.at is RowAt.DORMANT else NO_ROW
        elif row.at is RowAt.OWNED:
            row = replace(row, to=None, k=0, r=b"")
        seat = EMPTY_SEAT if self.seat.at is SeatAt.EMPTY else self.seat
        return Person(row, seat, self.known), tuple(self.outs)

    # -- rules

    def _row(self, on: RowOn) -> None:
        for rule in self.tables.row.get((self.row.at, on), ()):
            if all(self._holds(guard, self.row.k, self.row.r, self.row.to) for guard in rule.guards):
                for act in rule.acts:
                    self._do(act)
                assert isinstance(rule.to, RowAt)
                self.row = replace(self.row, at=rule.to)
                return

    def _seat(self, on: SeatOn) -> None:
        for rule in self.tables.seat.get((self.seat.at, on), ()):
            if all(self._holds(guard, self.seat.k, self.seat.r, self.seat.source) for guard in rule.guards):
                for act in rule.acts:
                    self._do(act)
                assert isinstance(rule.to, SeatAt)
                self.seat = replace(self.seat, at=rule.to)
                return

    def _holds(self, guard: Guard, k: int, r: bytes, peer: Incarnation | None) -> bool:
        event = self.event
        match guard:
            case Guard.LAPSED:
                return self.lapsed
            case Guard.HOLDING:
                return not self.lapsed
            case Guard.SAME_K:
                return isinstance(event, GotReady | GotRefused) and (event.peer, event.k) == (peer, k)
            case Guard.SAME_R:
                if isinstance(event, TicketShown):
                    return event.r == r
                return isinstance(
                    event, GotReady | GotAttached | GotAck | GotNak | GotCommit | GotCancel
                ) and ((event.peer, event.r) == (peer, r))
            case Guard.NEWER:
                return isinstance(event, Arrived) and event.login > self.known[0]
            case Guard.FITS:
                return isinstance(event, GotPrepare) and event.fits
            case Guard.NOT_OLD:
                return isinstance(event, GotPrepare) and event.login >= self.known[0]
            case Guard.RIGHT_LOGIN:
                return isinstance(event, TicketShown) and event.login == self.seat.login
            case Guard.FOR_ME:
                return isinstance(event, GotCommit) and event.number == self.me.number
            case Guard.KNOWN:
                return isinstance(event, GotCommit) and self.known >= (event.login, event.hop)

    # -- what is done

    def _do(self, act: Act) -> None:
        event, row, seat = self.event, self.row, self.seat
        match act:
            case Act.PREPARE:
                assert isinstance(event, Left)
                self.row = replace(row, to=event.to, k=event.k, r=b"")
                self._out(act, event.to, event.k)
            case Act.INVITE:
                assert isinstance(event, GotReady)
                self.row = replace(row, r=event.r)
                self._out(act, event.peer, event.k, event.r, row.conn)
            case Act.CANCEL:
                assert isinstance(event, GotReady | GotAttached)
                self._out(act, event.peer, event.k, event.r)
            case Act.CANCEL_MINE:
                self._out(Act.CANCEL, row.to, row.k, row.r)
            case Act.HOP:
                self.row = replace(row, hop=row.hop + 1)
                self.known = max(self.known, (row.login, row.hop + 1))
            case Act.COMMIT:
                self._out(act, row.to, row.k, row.r, hop=row.hop)
            case Act.CLOSE | Act.CLOSE_AGAIN | Act.CLOSE_ELSEWHERE:
                if row.conn != NO_CONN:
                    self._out(act, conn=row.conn)
            case Act.DROP_SOCKET:
                self.row = replace(row, conn=NO_CONN)
            case Act.ADOPT:
                assert isinstance(event, Arrived)
                self.row = Row(row.at, event.login, 0, event.conn)
                self._out(act, conn=event.conn)
                self._outlive(event.login)
            case Act.REFUSE_ELSEWHERE | Act.REFUSE_LAPSED:
                assert isinstance(event, Arrived)
                self._out(act, conn=event.conn)
            case Act.RESERVE:
                assert isinstance(event, GotPrepare)
                self.seat = Seat(seat.at, event.login, NO_CONN, event.peer, event.k, event.r)
                self._out(act, event.peer, event.k, event.r)
            case Act.REFUSE:
                assert isinstance(event, GotPrepare)
                self._out(act, event.peer, event.k)
            case Act.REFUSE_SOURCE:
                self._out(Act.REFUSE, seat.source, seat.k)
            case Act.HOLD:
                assert isinstance(event, TicketShown)
                self.seat = replace(seat, conn=event.conn)
                self._out(act, seat.source, seat.k, seat.r, event.conn)
            case Act.CLOSE_HELD | Act.CLOSE_HELD_ELSEWHERE:
                self._out(act, conn=seat.conn)
            case Act.EXPIRED:
                assert isinstance(event, TicketShown)
                self._out(act, conn=event.conn)
            case Act.ACK | Act.NAK:
                assert isinstance(event, GotCommit)
                self._out(act, event.peer, event.k, event.r)
            case Act.OWN:
                self._row(RowOn.SEAT_TOOK)
            case Act.TAKE:
                assert isinstance(event, GotCommit)
                self.row = Row(row.at, event.login, event.hop, seat.conn)
                self.known = max(self.known, (event.login, event.hop))
                self._out(act, event.peer, event.k, event.r, seat.conn, event.hop)

    def _outlive(self, login: Login) -> None:
        """A login is proven: it is known from now on, and ends what is older here."""
        if login <= self.known[0]:
            return
        self.known = (login, 0)
        if self.row.login < login:  # it is not the row that has just adopted it
            self._row(RowOn.OUTLIVED)
        self._seat(SeatOn.OUTLIVED)  # a seat is kept for a login that was known before

    def _out(
        self,
        act: Act,
        peer: Incarnation | None = None,
        k: int = 0,
        r: bytes = b"",
        conn: int = NO_CONN,
        hop: int = 0,
    ) -> None:
        self.outs.append(Out(act, peer, k, r, conn, hop))
