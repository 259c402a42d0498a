"""Handing an avatar from node to node: two small machines, each one table, for every avatar a node knows.

The *row* says who owns the avatar here; the *seat* is a place kept for one who comes. They are independent: an avatar
may be released here and already hold a seat to come back. `ROW` and `SEAT` are the whole protocol: for every state and
event a list of rules, of which the first whose guards all hold is taken; a pair with no rule that holds is ignored.
`step` interprets them over a `Person`, a small immutable value, and returns what must be done as symbols (`Out`); the
core turns those into messages, sockets and rows. Nothing here reads a clock: timers arrive as events.

What the tables promise, given that a login is born once and that a commit is good for one incarnation and one
reservation: never two owners of one login, and a client that lives can always come back in. An exhaustive search in the
tests proves it for three nodes, and that no guard can be taken out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from p2pworld.ids import NO_LOGIN, Incarnation, Login

__all__ = [
    "EMPTY_SEAT",
    "NOBODY",
    "NO_ROW",
    "ROW",
    "SEAT",
    "Act",
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
    "Guard",
    "Left",
    "NodeEnded",
    "Out",
    "Outlived",
    "Person",
    "Row",
    "RowAt",
    "RowOn",
    "RowTimer",
    "Rule",
    "Seat",
    "SeatAt",
    "SeatOn",
    "SeatTimer",
    "SocketLost",
    "Tables",
    "TicketShown",
    "step",
]


class RowAt(Enum):
    """Where the row stands. OWNED, PREPARING and INVITED own the avatar; the others do not."""

    NONE = auto()
    DORMANT = auto()
    OWNED = auto()
    PREPARING = auto()
    INVITED = auto()
    RELEASED = auto()

    @property
    def owns(self) -> bool:
        """Whether this node is the one that simulates the avatar."""
        return self in (RowAt.OWNED, RowAt.PREPARING, RowAt.INVITED)


class SeatAt(Enum):
    """Where the seat stands: nothing kept, kept under a ticket, or a client sitting on it and waiting."""

    EMPTY = auto()
    RESERVED = auto()
    ATTACHED = auto()


class RowOn(Enum):
    """What may happen to a row."""

    LEAVES = auto()
    CAME_BACK = auto()
    READY = auto()
    REFUSED = auto()
    ATTACHED = auto()
    ACK = auto()
    NAK = auto()
    DESTINATION_ENDED = auto()
    TIMER = auto()
    SOCKET_LOST = auto()
    HELLO = auto()
    OUTLIVED = auto()
    SEAT_TOOK = auto()


class SeatOn(Enum):
    """What may happen to a seat."""

    PREPARE = auto()
    TICKET = auto()
    COMMIT = auto()
    CANCEL = auto()
    TIMER = auto()
    SOCKET_LOST = auto()
    OUTLIVED = auto()


class Guard(Enum):
    """What must hold for a rule: about the message against the row or seat, or about this node."""

    SAME_K = auto()  # the attempt and the peer are those of the row
    SAME_R = auto()  # the ticket is that of the row or seat
    LAPSED = auto()  # this node's lease has run out
    HOLDING = auto()  # it has not
    NEWER = auto()  # the login is larger than the largest known
    FITS = auto()  # the cell is mine and there is room
    NOT_OLD = auto()  # the login is not smaller than the largest known
    RIGHT_LOGIN = auto()  # the login is that of the seat
    FOR_ME = auto()  # the commit names this incarnation
    KNOWN = auto()  # this version or a larger one is known here


class Act(Enum):
    """What a rule does, in order."""

    PREPARE = auto()  # ask the destination for a seat
    INVITE = auto()  # remember the ticket, send MOVED to the client
    CANCEL = auto()  # give up the ticket this message names, at its sender
    CANCEL_MINE = auto()  # give up the ticket of the row, at its destination
    HOP = auto()  # one more handoff
    COMMIT = auto()  # (re)send the commit
    CLOSE = auto()  # close the row's socket: the client has another
    CLOSE_AGAIN = auto()  # close the row's socket with "log in again"
    CLOSE_ELSEWHERE = auto()  # close the row's socket: a newer login is known
    REFUSE_ELSEWHERE = auto()  # answer the HELLO: a login not smaller is known
    REFUSE_LAPSED = auto()  # answer the HELLO: this node takes nobody now
    ADOPT = auto()  # the HELLO's login and socket are the row's
    TAKE = auto()  # the commit's login and hop, the seat's socket are the row's
    DROP_SOCKET = auto()  # the row has no socket now
    RESERVE = auto()  # a fresh ticket for this attempt, READY to the source
    REFUSE = auto()  # REFUSED to the message's sender
    REFUSE_SOURCE = auto()  # REFUSED to the seat's source
    HOLD = auto()  # the client sits here; ATTACHED to the source
    CLOSE_HELD = auto()  # close the waiting client's socket
    CLOSE_HELD_ELSEWHERE = auto()  # the same, saying that a newer login is known
    EXPIRED = auto()  # answer the ticket: nothing is kept under it
    ACK = auto()
    NAK = auto()
    OWN = auto()  # tell the row that the seat took a commit


@dataclass(frozen=True, slots=True)
class Rule:
    """When all `guards` hold: do `acts`, then stand at `to`."""

    guards: frozenset[Guard]
    to: RowAt | SeatAt
    acts: tuple[Act, ...]


def _rule(to: RowAt | SeatAt, *acts: Act, when: tuple[Guard, ...] = ()) -> Rule:
    return Rule(frozenset(when), to, acts)


RowTable = Mapping[tuple[RowAt, RowOn], tuple[Rule, ...]]
SeatTable = Mapping[tuple[SeatAt, SeatOn], tuple[Rule, ...]]

_N, _D, _O, _P, _I, _R = (
    RowAt.NONE,
    RowAt.DORMANT,
    RowAt.OWNED,
    RowAt.PREPARING,
    RowAt.INVITED,
    RowAt.RELEASED,
)
_LAPSED, _HOLDING, _NEWER = (Guard.LAPSED,), (Guard.HOLDING,), (Guard.NEWER,)
_REFUSALS: Final = {
    at: (
        _rule(at, Act.REFUSE_LAPSED, when=_NEWER),  # it would be taken if the lease held
        _rule(at, Act.REFUSE_ELSEWHERE),
    )
    for at in RowAt
}

# An OWNED row that has no socket is DORMANT: `step` sees to it, so that no rule has to say it twice.
ROW: Final[RowTable] = {
    # nobody here: only a login above the floor, or a commit, makes an owner
    (_N, RowOn.READY): (_rule(_N, Act.CANCEL),),
    (_N, RowOn.ATTACHED): (_rule(_N, Act.CANCEL),),
    (_N, RowOn.HELLO): (_rule(_O, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)), *_REFUSALS[_N]),
    (_N, RowOn.SEAT_TOOK): (_rule(_O, Act.TAKE),),
    # drawn at its last place, owned by nobody, until its client is back
    (_D, RowOn.READY): (_rule(_D, Act.CANCEL),),
    (_D, RowOn.ATTACHED): (_rule(_D, Act.CANCEL),),
    (_D, RowOn.TIMER): (_rule(_N),),
    (_D, RowOn.HELLO): (_rule(_O, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)), *_REFUSALS[_D]),
    (_D, RowOn.OUTLIVED): (_rule(_N),),
    (_D, RowOn.SEAT_TOOK): (_rule(_O, Act.TAKE),),
    # mine
    (_O, RowOn.LEAVES): (_rule(_P, Act.PREPARE, when=_HOLDING),),
    (_O, RowOn.READY): (_rule(_O, Act.CANCEL),),
    (_O, RowOn.ATTACHED): (_rule(_O, Act.CANCEL),),
    (_O, RowOn.SOCKET_LOST): (_rule(_D, Act.DROP_SOCKET),),
    (_O, RowOn.HELLO): (
        _rule(_O, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_O],
    ),
    (_O, RowOn.OUTLIVED): (_rule(_N, Act.CLOSE_ELSEWHERE),),
    (_O, RowOn.SEAT_TOOK): (_rule(_O, Act.CLOSE, Act.TAKE),),
    # mine, and a seat is being asked for
    (_P, RowOn.CAME_BACK): (_rule(_O),),
    (_P, RowOn.READY): (_rule(_I, Act.INVITE, when=(Guard.SAME_K,)), _rule(_P, Act.CANCEL)),
    (_P, RowOn.REFUSED): (_rule(_O, when=(Guard.SAME_K,)),),
    (_P, RowOn.ATTACHED): (_rule(_P, Act.CANCEL),),
    (_P, RowOn.DESTINATION_ENDED): (_rule(_O),),
    (_P, RowOn.TIMER): (_rule(_O),),
    (_P, RowOn.SOCKET_LOST): (_rule(_P, Act.DROP_SOCKET),),
    (_P, RowOn.HELLO): (
        _rule(_O, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_P],
    ),
    (_P, RowOn.OUTLIVED): (_rule(_N, Act.CLOSE_ELSEWHERE),),
    (_P, RowOn.SEAT_TOOK): (_rule(_O, Act.CLOSE, Act.TAKE),),
    # mine, and the client is invited to the seat
    (_I, RowOn.CAME_BACK): (_rule(_O, Act.CANCEL_MINE),),
    (_I, RowOn.READY): (_rule(_I, when=(Guard.SAME_R,)), _rule(_I, Act.CANCEL)),
    (_I, RowOn.REFUSED): (_rule(_O, Act.CANCEL_MINE, when=(Guard.SAME_K,)),),
    (_I, RowOn.ATTACHED): (
        _rule(_O, Act.CANCEL_MINE, when=(Guard.SAME_R, Guard.LAPSED)),
        _rule(_R, Act.HOP, Act.COMMIT, when=(Guard.SAME_R,)),
        _rule(_I, Act.CANCEL),
    ),
    (_I, RowOn.DESTINATION_ENDED): (_rule(_O),),
    (_I, RowOn.TIMER): (_rule(_O, Act.CANCEL_MINE),),
    (_I, RowOn.SOCKET_LOST): (_rule(_I, Act.DROP_SOCKET),),
    (_I, RowOn.HELLO): (
        _rule(_O, Act.CANCEL_MINE, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_I],
    ),
    (_I, RowOn.OUTLIVED): (_rule(_N, Act.CANCEL_MINE, Act.CLOSE_ELSEWHERE),),
    (_I, RowOn.SEAT_TOOK): (_rule(_O, Act.CANCEL_MINE, Act.CLOSE, Act.TAKE),),
    # given away; its old socket stays until the new owner answers
    (_R, RowOn.READY): (_rule(_R, when=(Guard.SAME_R,)), _rule(_R, Act.CANCEL)),
    (_R, RowOn.ATTACHED): (
        _rule(_R, when=(Guard.SAME_R, Guard.LAPSED)),
        _rule(_R, Act.COMMIT, when=(Guard.SAME_R,)),
        _rule(_R, Act.CANCEL),
    ),
    (_R, RowOn.ACK): (_rule(_N, Act.CLOSE, when=(Guard.SAME_R,)),),
    (_R, RowOn.NAK): (_rule(_N, Act.CLOSE_AGAIN, when=(Guard.SAME_R,)),),
    (_R, RowOn.DESTINATION_ENDED): (_rule(_N, Act.CLOSE_AGAIN),),
    (_R, RowOn.TIMER): (_rule(_N, Act.CLOSE_AGAIN),),
    (_R, RowOn.SOCKET_LOST): (_rule(_R, Act.DROP_SOCKET),),
    (_R, RowOn.HELLO): (
        _rule(_O, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_R],
    ),
    (_R, RowOn.OUTLIVED): (_rule(_N, Act.CLOSE_ELSEWHERE),),
    (_R, RowOn.SEAT_TOOK): (_rule(_O, Act.CLOSE, Act.TAKE),),
}

_E, _S, _A = SeatAt.EMPTY, SeatAt.RESERVED, SeatAt.ATTACHED
_WELCOME = (Guard.FITS, Guard.NOT_OLD, Guard.HOLDING)
_ANSWER: Final = {at: (_rule(at, Act.ACK, when=(Guard.KNOWN,)), _rule(at, Act.NAK)) for at in SeatAt}

SEAT: Final[SeatTable] = {
    (_E, SeatOn.PREPARE): (_rule(_S, Act.RESERVE, when=_WELCOME), _rule(_E, Act.REFUSE)),
    (_E, SeatOn.TICKET): (_rule(_E, Act.EXPIRED),),
    (_E, SeatOn.COMMIT): _ANSWER[_E],
    # kept under a ticket
    (_S, SeatOn.PREPARE): (_rule(_S, Act.RESERVE, when=_WELCOME), _rule(_S, Act.REFUSE)),
    (_S, SeatOn.TICKET): (
        _rule(_A, Act.HOLD, when=(Guard.SAME_R, Guard.RIGHT_LOGIN)),
        _rule(_S, Act.EXPIRED),
    ),
    (_S, SeatOn.COMMIT): _ANSWER[_S],
    (_S, SeatOn.CANCEL): (_rule(_E, when=(Guard.SAME_R,)),),
    (_S, SeatOn.TIMER): (_rule(_E),),
    (_S, SeatOn.OUTLIVED): (_rule(_E, Act.REFUSE_SOURCE),),
    # the client sits here and waits for the commit
    (_A, SeatOn.PREPARE): (_rule(_S, Act.CLOSE_HELD, Act.RESERVE, when=_WELCOME), _rule(_A, Act.REFUSE)),
    (_A, SeatOn.TICKET): (_rule(_A, Act.EXPIRED),),
    (_A, SeatOn.COMMIT): (
        _rule(_E, Act.OWN, Act.ACK, when=(Guard.FOR_ME, Guard.SAME_R, Guard.HOLDING)),
        _rule(_E, Act.CLOSE_HELD, Act.NAK, when=(Guard.FOR_ME, Guard.SAME_R)),
        *_ANSWER[_A],
    ),
    (_A, SeatOn.CANCEL): (_rule(_E, Act.CLOSE_HELD, when=(Guard.SAME_R,)),),
    (_A, SeatOn.TIMER): (_rule(_E, Act.CLOSE_HELD),),
    (_A, SeatOn.SOCKET_LOST): (_rule(_E, Act.REFUSE_SOURCE),),
    (_A, SeatOn.OUTLIVED): (_rule(_E, Act.REFUSE_SOURCE, Act.CLOSE_HELD_ELSEWHERE),),
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables, as a value, so that a test can take a guard out."""

    row: RowTable
    seat: SeatTable


_TABLES: Final = Tables(ROW, SEAT)

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
    person: Person, event: Event, *, me: Incarnation, lapsed: bool, tables: Tables = _TABLES
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
                self.row = replace(row, conn=NO_CONN)
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
                self.seat = replace(seat, conn=NO_CONN)
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
                self.seat = replace(seat, conn=NO_CONN)
                self._out(act, event.peer, event.k, event.r, seat.conn, event.hop)

    def _outlive(self, login: Login) -> None:
        """A login is proven: it is known from now on, and ends what is older here."""
        if login <= self.known[0]:
            return
        self.known = (login, 0)
        if self.row.at is not RowAt.NONE and self.row.login < login:
            self._row(RowOn.OUTLIVED)
        if self.seat.at is not SeatAt.EMPTY and self.seat.login < login:
            self._seat(SeatOn.OUTLIVED)

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
