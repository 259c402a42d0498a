"""The states of the model as values small enough to compare, and the real machines asked about them.

A state is one nested tuple. `Machine` turns a person of the model into a real `Person`, asks the real `handoff.step`,
and turns the answer back; it remembers every answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from p2pworld.ids import NO_LOGIN, Incarnation, Login
from p2pworld.world import handoff
from p2pworld.world.handoff import Act, Person, Row, RowAt, Seat, SeatAt, Tables

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.table import Sockets

NODES: Final = 3
NAMES: Final = "ABC"

# ---- the shapes of a state

Label = tuple[Any, ...]  # one thing that happens, and to whom
Where = tuple[int, int]  # a node and the number of its incarnation
Ticket = tuple[int, ...]  # who drew it, for whom and which attempt, and a number of its own; () is none
RowT = tuple[RowAt, int, int, int, Where | None, int, Ticket]
SeatT = tuple[SeatAt, int, int, Where | None, int, Ticket]
PersonT = tuple[RowT, SeatT, tuple[int, int]]
Message = tuple[
    str, Where, Where, int, Ticket, int, int, int, int
]  # kind, from, to, k, r, login, hop, cell, version
Word = tuple[str, int, Any]  # kind, login, and what else it carries


class City(NamedTuple):
    """One version of the map: who holds each cell (-1: nobody), and the listed incarnation of each node (0: none)."""

    version: int
    holders: tuple[int, ...]
    listed: tuple[int, ...]


class NodeT(NamedTuple):
    """One node: what it knows of the person, its life, its lease, its view of the map."""

    person: PersonT
    number: int
    up: bool
    lapsed: bool
    view: City


class Sock(NamedTuple):
    """One play socket: what is on its way up (None: the node's end is closed) and down (None: the device's is)."""

    conn: int
    device: int
    node: int
    up: tuple[Word, ...] | None
    down: tuple[Word, ...] | None


class Device(NamedTuple):
    """One device: the client's sockets, the login it plays, the one it continues, the largest it ever used or saw.

    The clock of a `slow` one is behind all others: its logins are just above the largest that it knows of.
    """

    sockets: Sockets
    login: int
    after: int
    last: int
    slow: bool = False


class Budget(NamedTuple):
    """How often each of these may yet happen."""

    cross: int = 0  # the person walks over the border
    move: int = 0  # a cell gets another holder
    lose: int = 0
    copy: int = 0  # a message comes again, later
    overtake: int = 0  # a message comes before one sent earlier
    crash: int = 0
    restart: int = 0
    lapse: int = 0
    cut: int = 0  # a play socket breaks, and what was on it is lost
    gesture: int = 0  # the person takes up a device that is not in the city
    haste: int = 0  # a device gives up while its words are on the way


class State(NamedTuple):
    """All that matters at one instant. `newest` is the largest login and hop that any node ever owned."""

    nodes: tuple[NodeT, ...]
    city: City
    links: tuple[tuple[Message, ...], ...]
    socks: tuple[Sock, ...]
    devices: tuple[Device, ...]
    place: int
    newest: tuple[int, int]
    budget: Budget


NOBODY: Final[PersonT] = ((RowAt.NONE, 0, 0, -1, None, 0, ()), (SeatAt.EMPTY, 0, -1, None, 0, ()), (0, 0))
END: Final[Word] = ("END", 0, None)
OWNING: Final = frozenset(at for at in RowAt if at.owns)

# kinds of steps, by what the checks of liveness may use
FAULT: Final = 0
TIMER: Final = 1
PLAIN: Final = 2


class Violation(Exception):
    """Something that must never happen has happened."""


class CutOff(Exception):
    """This step leads out of the bounds of the model."""


# ---- between the model's tuples and the real values


def login_value(login: int) -> Login:
    """The real login of a rank: the order is the same."""
    return Login(login, login.to_bytes(16, "big")) if login else NO_LOGIN


def node_value(where: Where | None) -> Incarnation | None:
    """The real incarnation."""
    return None if where is None else Incarnation(NAMES[where[0]].encode() * 32, where[1])


def _where(who: Incarnation | None) -> Where | None:
    return None if who is None else (NAMES.index(chr(who.node[0])), who.number)


def person_value(person: PersonT) -> Person:
    """The real person."""
    row, seat, known = person
    return Person(
        Row(row[0], login_value(row[1]), row[2], row[3], node_value(row[4]), row[5], bytes(row[6])),
        Seat(seat[0], login_value(seat[1]), seat[2], node_value(seat[3]), seat[4], bytes(seat[5])),
        (login_value(known[0]), known[1]),
    )


def person_tuple(person: Person) -> PersonT:
    """The model's form of a real person."""
    row, seat, known = person.row, person.seat, person.known
    return (
        (row.at, row.login.ms, row.hop, row.conn, _where(row.to), row.k, tuple(row.r)),
        (seat.at, seat.login.ms, seat.conn, _where(seat.source), seat.k, tuple(seat.r)),
        (known[0].ms, known[1]),
    )


_EVENTS: Final[dict[str, Callable[..., handoff.Event]]] = {
    "LEFT": lambda to, k: handoff.Left(_real(to), k),
    "CAME_BACK": handoff.CameBack,
    "READY": lambda peer, k, r: handoff.GotReady(_real(peer), k, bytes(r)),
    "REFUSED": lambda peer, k: handoff.GotRefused(_real(peer), k),
    "ATTACHED": lambda peer, k, r: handoff.GotAttached(_real(peer), k, bytes(r)),
    "ACK": lambda peer, k, r: handoff.GotAck(_real(peer), k, bytes(r)),
    "NAK": lambda peer, k, r: handoff.GotNak(_real(peer), k, bytes(r)),
    "ENDED": lambda peer: handoff.NodeEnded(_real(peer)),
    "ROW_TIMER": handoff.RowTimer,
    "SEAT_TIMER": handoff.SeatTimer,
    "LOST": handoff.SocketLost,
    "HELLO": lambda login, conn: handoff.Arrived(login_value(login), conn),
    "OUTLIVED": lambda login: handoff.Outlived(login_value(login)),
    "PREPARE": lambda peer, k, login, fits, r: handoff.GotPrepare(
        _real(peer), k, login_value(login), fits, bytes(r)
    ),
    "TICKET": lambda r, login, conn: handoff.TicketShown(bytes(r), login_value(login), conn),
    "COMMIT": lambda peer, k, r, number, login, hop: handoff.GotCommit(
        _real(peer), k, bytes(r), number, login_value(login), hop
    ),
    "CANCEL": lambda peer, k, r: handoff.GotCancel(_real(peer), k, bytes(r)),
}


def _real(where: Where) -> Incarnation:
    who = node_value(where)
    assert who is not None
    return who


Question = tuple["PersonT", tuple[Any, ...], "Where", bool]
OutT = tuple[Act, Where | None, int, Ticket, int, int]


class Machine:
    """The real tables' interpreter, asked once for each question."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._answers: dict[Question, tuple[PersonT, tuple[OutT, ...]]] = {}

    def step(
        self, person: PersonT, event: tuple[Any, ...], me: Where, lapsed: bool
    ) -> tuple[PersonT, tuple[OutT, ...]]:
        """The person after the event at `me`, and what is to be done."""
        question = (person, event, me, lapsed)
        answer = self._answers.get(question)
        if answer is None:
            after, outs = handoff.step(
                person_value(person),
                _EVENTS[event[0]](*event[1:]),
                me=_real(me),
                lapsed=lapsed,
                tables=self._tables,
            )
            answer = (
                person_tuple(after),
                tuple((o.act, _where(o.peer), o.k, tuple(o.r), o.conn, o.hop) for o in outs),
            )
            self._answers[question] = answer
        return answer

    def agrees_with(self, tables: Tables) -> bool:
        """Whether these tables answer all that was ever asked here in the same way."""
        other = Machine(tables)
        for question, answer in self._answers.items():
            try:
                if other.step(*question) != answer:
                    return False
            except AssertionError:
                return False
        return True
