"""Every way in which a handoff can go, as a graph of states: three nodes, two cells, one person.

The model runs the real `handoff.step` and the real client table over values small enough to compare: what `people`,
`core`, the links, the sockets and the map do around them is mirrored here in its plainest form. A state is one nested
tuple; a successor is what one delivery, timer, step of a client or fault makes of it. `explore` visits every state
within a budget of faults, checks each step for what must never happen, and then asks of every state whether fault-free
steps alone still lead to rest: the person in the city once, on the ground of its owner, and nothing left behind.

What is bounded, and how: a link holds at most `LINK_MAX` messages and a device `SOCKETS_MAX` sockets, steps beyond are
not taken; logins are replaced by their rank, attempts and tickets take the smallest number that nothing in the state
mentions, which is the same as a fresh one; a device that waits gives up while its words are still on the way only
within the budget `haste`; floors are never forgotten, which says that no message is older than `FLOOR_S`.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from client import table as client
from p2pworld.ids import NO_LOGIN, Incarnation, Login
from p2pworld.world import handoff
from p2pworld.world.handoff import Act, Person, Row, RowAt, Seat, SeatAt, Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

NODES: Final = 3
NAMES: Final = "ABC"
LINK_MAX: Final = 3
SOCKETS_MAX: Final = 3

# ---- the shapes of a state

Where = tuple[int, int]  # a node and the number of its incarnation
Ticket = tuple[int, ...]  # who drew it, for whom and which attempt, and a number of its own; () is none
RowT = tuple[RowAt, int, int, int, Where | None, int, Ticket]
SeatT = tuple[SeatAt, int, int, Where | None, int, Ticket]
PersonT = tuple[RowT, SeatT, tuple[int, int]]
Message = tuple[str, Where, Where, int, Ticket, int, int, int, int]  # kind, from, to, k, r, login, hop, cell, version
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
    """One device: the client's sockets, the login it plays, the one it continues, the largest it ever used or saw."""

    sockets: client.Sockets
    login: int
    after: int
    last: int


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


OutT = tuple[Act, Where | None, int, Ticket, int, int]


class Machine:
    """The real tables' interpreter, asked once for each question."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._answers: dict[object, tuple[PersonT, tuple[OutT, ...]]] = {}

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


# ---- one step of the world


class World:
    """A state being changed by one step. The first event a step feeds to a machine names it in the story."""

    def __init__(self, state: State, machine: Machine) -> None:
        self.machine = machine
        self.nodes = list(state.nodes)
        self.city = state.city
        self.links = list(state.links)
        self.socks = {sock.conn: sock for sock in state.socks}
        self.devices = list(state.devices)
        self.place = state.place
        self.newest = state.newest
        self.budget = state.budget
        self.said: list[str] = []

    def spend(self, fault: str) -> None:
        """Take one from the budget of this fault."""
        self.budget = self.budget._replace(**{fault: getattr(self.budget, fault) - 1})

    # -- nodes

    def who(self, n: int) -> Where:
        """The incarnation that runs at node `n`."""
        return n, self.nodes[n].number

    def feed(self, n: int, event: tuple[Any, ...]) -> None:
        """One event to the person's machines at node `n`, and all it asks for."""
        node = self.nodes[n]
        before = node.person
        after, outs = self.machine.step(before, event, self.who(n), node.lapsed)
        self.nodes[n] = node._replace(person=after)
        row, old = after[0], before[0]
        known_before = before[2]
        if row[0] in OWNING and (old[0] not in OWNING or old[1] != row[1] or old[2] != row[2]):
            self._became_owner(n, event, row, known_before, outs)
        if row[0] in (RowAt.INVITED, RowAt.RELEASED) and row[6] and (
            (row[6][0:2], row[6][2:4], row[6][4]) != (row[4], self.who(n), row[5])
        ):
            raise Violation(f"{NAMES[n]} gives the person away under a ticket of another attempt.")
        closing: list[int] = []
        for out in outs:
            self._carry_out(n, out, before, after, closing)
        if event[0] == "ACK" and row[0] is not old[0] and (old[1], old[2]) > self.newest:
            raise Violation(f"{NAMES[n]} takes the person for moved, and nobody has taken it.")
        for conn in closing:
            self.feed(n, ("LOST", conn))

    def _became_owner(
        self,
        n: int,
        event: tuple[Any, ...],
        row: RowT,
        known: tuple[int, int],
        outs: tuple[OutT, ...],
    ) -> None:
        acts = {out[0] for out in outs}
        if not acts & {Act.ADOPT, Act.TAKE}:
            raise Violation(f"{NAMES[n]} owns again what it had given away.")
        if (row[1], row[2]) <= known:
            raise Violation(f"{NAMES[n]} owns by a version that is not above what it knows.")
        if self.nodes[n].lapsed:
            raise Violation(f"{NAMES[n]} becomes the owner without a lease.")
        if Act.ADOPT in acts and event[0] != "HELLO":
            raise Violation(f"{NAMES[n]} adopts without a HELLO.")
        self.newest = max(self.newest, (row[1], row[2]))

    def _send(self, n: int, to: Where | None, kind: str, **more: Any) -> None:
        if to is None or to[0] == n:
            return
        m = self.nodes[to[0]]
        if not m.up or m.number != to[1]:
            return  # no link to an incarnation that is over
        message: Message = (
            kind,
            self.who(n),
            to,
            more.get("k", 0),
            more.get("r", ()),
            more.get("login", 0),
            more.get("hop", 0),
            more.get("cell", 0),
            more.get("version", 0),
        )
        at = n * NODES + to[0]
        if len(self.links[at]) >= LINK_MAX:
            raise CutOff
        self.links[at] = (*self.links[at], message)

    def _carry_out(
        self, n: int, out: OutT, before: PersonT, after: PersonT, closing: list[int]
    ) -> None:
        act, peer, k, r, conn, hop = out
        match act:
            case Act.PREPARE:
                view = self.nodes[n].view
                login = after[0][1]
                self._send(n, peer, "PREPARE", k=k, login=login, cell=self.place, version=view.version)
            case Act.INVITE:
                assert peer is not None
                if self.nodes[n].view.listed[peer[0]] == peer[1]:
                    self.say(conn, ("MOVED", 0, (peer[0], r)))
            case Act.CANCEL:
                self._send(n, peer, "CANCEL", k=k, r=r)
            case Act.COMMIT:
                if not self.nodes[n].lapsed:  # it is fenced
                    self._send(n, peer, "COMMIT", k=k, r=r, login=after[0][1], hop=hop)
            case Act.CLOSE:
                self.hang_up(n, conn, "moved", 0, closing)
            case Act.CLOSE_AGAIN:
                self.hang_up(n, conn, "again", 0, closing)
            case Act.CLOSE_ELSEWHERE | Act.CLOSE_HELD_ELSEWHERE | Act.REFUSE_ELSEWHERE:
                self.hang_up(n, conn, "elsewhere", after[2][0], closing)
            case Act.REFUSE_LAPSED:
                self.hang_up(n, conn, "lapsed", 0, closing)
            case Act.CLOSE_HELD | Act.EXPIRED:
                self.hang_up(n, conn, "expired", 0, closing)
            case Act.ADOPT:
                self.say(conn, ("WELCOME", after[0][1], None))
            case Act.TAKE:
                self.say(conn, ("WELCOME", after[0][1], None))
            case Act.RESERVE:
                self._send(n, peer, "READY", k=k, r=r)
            case Act.REFUSE:
                self._send(n, peer, "REFUSED", k=k)
            case Act.HOLD:
                self._send(n, peer, "ATTACHED", k=k, r=r)
            case Act.ACK:
                self._send(n, peer, "ACK", k=k, r=r)
            case Act.NAK:
                self._send(n, peer, "NAK", k=k, r=r)
            case _:
                raise AssertionError(act)

    def say(self, conn: int, word: Word) -> None:
        """The node says this on a play socket, if it is still there."""
        sock = self.socks.get(conn)
        if sock is not None and sock.up is not None and sock.down is not None:
            self.socks[conn] = sock._replace(down=(*sock.down, word))

    def hang_up(self, n: int, conn: int, code: str, login: int, closing: list[int]) -> None:
        """The node says goodbye and closes; its executor then steps the loss of the socket."""
        sock = self.socks.get(conn)
        if sock is None or sock.up is None or sock.node != n:
            return
        if sock.down is None:
            del self.socks[conn]
        else:
            self.socks[conn] = sock._replace(up=None, down=(*sock.down, ("BYE", login, code), END))
        closing.append(conn)

    def hang_up_all(self, n: int, code: str) -> None:
        """Close every play socket of this node."""
        closing: list[int] = []
        for conn in list(self.socks):
            if self.socks[conn].node == n:
                self.hang_up(n, conn, code, 0, closing)
        for conn in closing:
            self.feed(n, ("LOST", conn))

    def drop_sockets(self, n: int) -> None:
        """The process is gone: its sockets close, and what it had said may still be read."""
        for conn, sock in list(self.socks.items()):
            if sock.node == n and sock.up is not None:
                if sock.down is None:
                    del self.socks[conn]
                else:
                    self.socks[conn] = sock._replace(up=None, down=(*sock.down, END))

    def drop_messages_to(self, n: int) -> None:
        """Nobody reads what was sent to an incarnation that is over."""
        for m in range(NODES):
            self.links[m * NODES + n] = ()

    # -- devices

    def open_socket(self, device: int, conn: int, node: int, word: Word) -> None:
        """A device connects; the challenge is answered at once."""
        if sum(sock.device == device for sock in self.socks.values()) >= SOCKETS_MAX:
            raise CutOff
        if self.nodes[node].up:
            self.socks[conn] = Sock(conn, device, node, (word,), ())
        else:
            self.socks[conn] = Sock(conn, device, node, None, (END,))

    def logins(self) -> set[int]:
        """Every login that anything mentions."""
        return _logins(self.nodes, self.devices, self.links, self.socks.values(), self.newest)

    def fresh_conn(self) -> int:
        """The smallest number that no socket has and nobody mentions."""
        used = set(self.socks)
        for node in self.nodes:
            used.add(node.person[0][3])
            used.add(node.person[1][2])
        for device in self.devices:
            used.add(device.sockets.main)
            used.add(device.sockets.held)
        conn = 0
        while conn in used:
            conn += 1
        return conn

    def client(self, d: int, event: client.ClientStep) -> None:
        """One event to the client's machine on device `d`, and what it closes. Opening is up to the caller."""
        device = self.devices[d]
        sockets, done = client.step(device.sockets, event)
        self.devices[d] = device._replace(sockets=sockets)
        for do in done:
            if do.what in (client.What.CLOSE_MAIN, client.What.CLOSE_HELD):
                self._client_closes(do.conn)

    def _client_closes(self, conn: int) -> None:
        sock = self.socks.get(conn)
        if sock is None:
            return
        if sock.up is None:
            del self.socks[conn]
        else:
            self.socks[conn] = sock._replace(up=(*sock.up, END), down=None)

    def bye(self, d: int, conn: int, code: str, login: int) -> None:
        """BYE on a socket of device `d`, as `Session` takes it."""
        device = self.devices[d]
        if code == "elsewhere":
            device = device._replace(last=max(device.last, login))
            if login % 2 == d:
                self.devices[d] = device._replace(after=max(device.after, login))
            elif device.after:
                self.devices[d] = device
                self.client(d, client.Elsewhere(conn))
                if self.devices[d].sockets.at is client.ClientAt.STOPPED and login < device.login:
                    raise Violation(f"Device {d + 1} is stopped by an older login.")
                return
            else:
                self.devices[d] = device
        self.client(d, client.Lost(conn))

    # -- names

    def fresh_k(self, n: int) -> int:
        """An attempt of `n` that nothing mentions."""
        me = self.who(n)
        used = {self.nodes[n].person[0][5]}
        for node in self.nodes:
            used.add(node.person[1][4])
            for ticket in (node.person[0][6], node.person[1][5]):
                if ticket and ticket[2:4] == me:
                    used.add(ticket[4])
        for link in self.links:
            for message in link:
                used.add(message[3])
        for ticket in self._tickets_of_sockets():
            used.add(ticket[4])
        k = 1
        while k in used:
            k += 1
        return k

    def fresh_r(self, n: int, source: Where, k: int) -> Ticket:
        """A ticket of `n` that nothing mentions."""
        used = {ticket for node in self.nodes for ticket in (node.person[0][6], node.person[1][5])}
        used.update(message[4] for link in self.links for message in link)
        used.update(self._tickets_of_sockets())
        mine = (*self.who(n), *source, k)
        i = 0
        while (*mine, i) in used:
            i += 1
        return (*mine, i)

    def _tickets_of_sockets(self) -> Iterator[Ticket]:
        for sock in self.socks.values():
            for word in (*(sock.up or ()), *(sock.down or ())):
                if word[0] == "TICKET":
                    yield word[2]
                elif word[0] == "MOVED":
                    yield word[2][1]

    # -- the result

    def freeze(self) -> State:
        """The state after the step; two owners of one login are seen here."""
        owned = [node.person[0][1] for node in self.nodes if node.person[0][0] in OWNING]
        if len(owned) > 1 and len(set(owned)) < len(owned):
            names = [NAMES[n] for n, node in enumerate(self.nodes) if node.person[0][0] in OWNING]
            raise Violation(f"{' and '.join(names)} own one login.")
        socks = tuple(self.socks[conn] for conn in sorted(self.socks))
        state = State(
            tuple(self.nodes),
            self.city,
            tuple(self.links),
            socks,
            tuple(self.devices),
            self.place,
            self.newest,
            self.budget,
        )
        return _ranked(state)


def device_of(login: float) -> int:
    """The device that opened a login: an odd rank is the second's; so is a half of a rank (see `log_in`)."""
    part = login % 1
    return int(login % 2) if not part else int(part > 0.5)


def _ranked(state: State) -> State:
    """The same state with logins as small as their order allows; a login's parity is its device."""
    used = _logins(state.nodes, state.devices, state.links, state.socks, state.newest)
    used.discard(0)
    new = {0: 0}
    top, changed = 1, False
    for login in sorted(used):
        top += 1
        if top % 2 != device_of(login):
            top += 1
        new[login] = top
        changed = changed or top != login
    if not changed:
        return state
    return State(
        tuple(node._replace(person=_rename(node.person, new)) for node in state.nodes),
        state.city,
        tuple(tuple((*m[:5], new[m[5]], *m[6:]) for m in link) for link in state.links),
        tuple(
            sock._replace(
                up=None
                if sock.up is None
                else tuple((w[0], new[w[1]], new[w[2]] if w[0] == "HELLO" else w[2]) for w in sock.up),
                down=None if sock.down is None else tuple((w[0], new[w[1]], w[2]) for w in sock.down),
            )
            for sock in state.socks
        ),
        tuple(Device(d.sockets, new[d.login], new[d.after], new[d.last]) for d in state.devices),
        state.place,
        (new[state.newest[0]], state.newest[1]),
        state.budget,
    )


def _logins(
    nodes: Iterable[NodeT],
    devices: Iterable[Device],
    links: Iterable[tuple[Message, ...]],
    socks: Iterable[Sock],
    newest: tuple[int, int],
) -> set[int]:
    used = {newest[0]}
    for node in nodes:
        person = node.person
        used.update((person[0][1], person[1][1], person[2][0]))
    for device in devices:
        used.update(device[1:])
    for link in links:
        for message in link:
            used.add(message[5])
    for sock in socks:
        for word in sock.up or ():
            used.add(word[1])
            if word[0] == "HELLO":
                used.add(word[2])
        for word in sock.down or ():
            used.add(word[1])
    return used


def _rename(person: PersonT, new: dict[int, int]) -> PersonT:
    row, seat, known = person
    return (
        (row[0], new[row[1]], *row[2:]),
        (seat[0], new[seat[1]], *seat[2:]),
        (new[known[0]], known[1]),
    )


# ---- what may happen next

Label = tuple[Any, ...]
_NOWHERE: Final = City(0, (-1, -1), (0, 0, 0))
_ROW_TIMED: Final = frozenset((RowAt.DORMANT, RowAt.PREPARING, RowAt.INVITED, RowAt.RELEASED))
_AT = client.ClientAt
_HERE: Final = frozenset((_AT.PLAYING, _AT.BOTH))


def steps(state: State) -> Iterator[tuple[Label, int]]:
    """Everything that may happen now, each with its kind (FAULT, TIMER or PLAIN).

    Who waits gives up when nothing else is left to do; before that it is the fault `haste`.
    """
    plain = [*_deliveries(state), *_node_steps(state), *_log_ins(state)]
    for label in plain:
        yield label, PLAIN
    if not plain:
        for label in _timers(state):
            yield label, TIMER
    elif state.budget.haste:
        for label in _timers(state):
            yield ("hasten", label), FAULT
    for label in _lease_steps(state):
        yield label, TIMER
    for label in _faults(state):
        yield label, FAULT


def _deliveries(state: State) -> Iterator[Label]:
    for at, link in enumerate(state.links):
        ready = _deliverable(state, at, link)
        if ready:
            yield "deliver", at, ready[0]
    for sock in state.socks:
        if sock.up:
            yield "hear", sock.conn
        if sock.down:
            yield "read", sock.conn


def _deliverable(state: State, at: int, link: tuple[Message, ...]) -> list[int]:
    """A PREPARE under a newer map waits for the map; what comes after it does not."""
    if not link:
        return []
    view = state.nodes[at % NODES].view.version
    return [i for i, message in enumerate(link) if message[0] != "PREPARE" or message[8] <= view]


def _node_steps(state: State) -> Iterator[Label]:
    for n, node in enumerate(state.nodes):
        if not node.up:
            continue
        row, view = node.person[0], node.view
        holder = view.holders[state.place]
        mine = holder == n and view.listed[n] == node.number
        if row[0] is RowAt.OWNED and not mine and holder >= 0:
            yield "left", n
        if row[0] in (RowAt.PREPARING, RowAt.INVITED) and mine:
            yield "back", n
        if view.version < state.city.version:
            yield "map", n
        if row[0] in OWNING and _could_be_told(state, node) and _is_told(state):
            yield "told", n


def _could_be_told(state: State, node: NodeT) -> bool:
    row, seat, known = node.person
    return known[0] < state.newest[0] and (row[0] is not RowAt.NONE or seat[0] is not SeatAt.EMPTY)


def _is_told(state: State) -> bool:
    """Whether somebody who knows the newest login goes on telling the directory; it answers who owns an older one."""
    return any(node.up and node.person[2][0] >= state.newest[0] for node in state.nodes)


def _log_ins(state: State) -> Iterator[Label]:
    for d, device in enumerate(state.devices):
        if device.sockets.at is _AT.OUT:
            for n, node in enumerate(state.nodes):
                if node.up:
                    yield "log_in", d, n


def _timers(state: State) -> Iterator[Label]:
    for n, node in enumerate(state.nodes):
        if node.person[0][0] in _ROW_TIMED:
            yield "row_timer", n
        if node.person[1][0] is not SeatAt.EMPTY:
            yield "seat_timer", n
    socks = {sock.conn: sock for sock in state.socks}
    for d, device in enumerate(state.devices):
        at, main = device.sockets.at, device.sockets.main
        if at in (_AT.JOINING, _AT.HELD):
            yield "give_up", d
        elif at in _HERE:
            if state.nodes[socks[main].node].person[0][3] != main:
                yield "silence", d
            if at is _AT.BOTH:
                yield "give_up_seat", d


def _lease_steps(state: State) -> Iterator[Label]:
    city = state.city
    for n, node in enumerate(state.nodes):
        over = not node.up or node.number != city.listed[n]
        if node.up and node.lapsed:
            if city.listed[n] == node.number:
                yield "renew", n
            else:
                yield "rejoin", n
            if any(sock.node == n and sock.up is not None for sock in state.socks):
                yield "send_away", n
        if city.listed[n] and (over or node.lapsed):
            for m, other in enumerate(state.nodes):
                if other.up and not other.lapsed and (m != n or over) and (m == n or city.listed[m] == other.number):
                    yield "take_over", n, m


def _faults(state: State) -> Iterator[Label]:
    budget, city = state.budget, state.city
    if budget.lose or budget.copy or budget.overtake:
        for at, link in enumerate(state.links):
            for i, message in enumerate(link):
                if i and message == link[i - 1]:
                    continue
                if budget.lose:
                    yield "lose", at, i
                if budget.copy and len(link) < LINK_MAX:
                    yield "copy", at, i
                if budget.overtake and i in _deliverable(state, at, link)[1:]:
                    yield "overtake", at, i
    if budget.cut:
        for sock in state.socks:
            if sock.up is not None and sock.down is not None:
                yield "cut", sock.conn
    if budget.gesture:
        for d, device in enumerate(state.devices):
            if device.sockets.at is _AT.STOPPED:
                yield "gesture", d
    if budget.cross:
        yield ("cross",)
    active = [n for n, node in enumerate(state.nodes) if node.up and node.number == city.listed[n]]
    if budget.move:
        for cell, h in enumerate(city.holders):
            if h in active and not state.nodes[h].lapsed:
                yield from (("move", cell, t) for t in active if t != h)
    for n, node in enumerate(state.nodes):
        if node.up:
            if budget.crash:
                yield "crash", n, True
                if any(state.links[n * NODES + m] for m in range(NODES)):
                    yield "crash", n, False
            if budget.lapse and not node.lapsed:
                yield "lapse", n
        else:
            if budget.restart:
                yield "restart", n
            continue
        if _could_be_told(state, node) and not (node.person[0][0] in OWNING and _is_told(state)):
            yield "told", n  # the directory heard of it before, and is not bound to tell now


_FAULT_OF: Final = {
    "lose": "lose",
    "copy": "copy",
    "overtake": "overtake",
    "cut": "cut",
    "hasten": "haste",
    "gesture": "gesture",
    "cross": "cross",
    "move": "move",
    "crash": "crash",
    "restart": "restart",
    "lapse": "lapse",
}


def take(state: State, label: Label, machine: Machine) -> State:
    """The state after one step.

    Raises:
        Violation: the step shows what must never happen.
        CutOff: it leads out of bounds.
    """
    world = World(state, machine)
    fault = _FAULT_OF.get(label[0])
    if fault is not None:
        world.spend(fault)
    _STEPS[label[0]](world, *label[1:])
    return world.freeze()


def _deliver(world: World, at: int, i: int) -> None:
    link = world.links[at]
    kind, source, to, k, r, login, hop, cell, _ = link[i]
    world.links[at] = link[:i] + link[i + 1 :]
    n = at % NODES
    match kind:
        case "PREPARE":
            node = world.nodes[n]
            fits = node.view.holders[cell] == n and node.view.listed[n] == node.number
            world.feed(n, (kind, source, k, login, fits, world.fresh_r(n, source, k)))
        case "REFUSED":
            world.feed(n, (kind, source, k))
        case "COMMIT":
            world.feed(n, (kind, source, k, r, to[1], login, hop))
        case _:
            world.feed(n, (kind, source, k, r))


def _lose(world: World, at: int, i: int) -> None:
    link = world.links[at]
    world.links[at] = link[:i] + link[i + 1 :]


def _copy(world: World, at: int, i: int) -> None:
    link = world.links[at]
    world.links[at] = (*link, link[i])


def _hear(world: World, conn: int) -> None:
    sock = world.socks[conn]
    assert sock.up
    (kind, login, more), rest = sock.up[0], sock.up[1:]
    n = sock.node
    if kind == "END":
        if sock.down is None:
            del world.socks[conn]
        else:
            world.socks[conn] = sock._replace(up=None)
        world.feed(n, ("LOST", conn))
        return
    world.socks[conn] = sock._replace(up=rest)
    if kind == "TICKET":
        world.feed(n, (kind, more, login, conn))
        return
    known = world.nodes[n].person[2][0]
    if more and known > more:
        world.hang_up(n, conn, "elsewhere", known, [])
    else:
        world.feed(n, (kind, login, conn))


def _read(world: World, conn: int) -> None:
    sock = world.socks[conn]
    assert sock.down
    (kind, login, more), rest = sock.down[0], sock.down[1:]
    d = sock.device
    world.socks[conn] = sock._replace(down=rest)
    match kind:
        case "END":
            if sock.up is None:
                del world.socks[conn]
            else:
                world.socks[conn] = sock._replace(down=None)
            world.client(d, client.Lost(conn))
        case "BYE":
            world.bye(d, conn, more, login)
        case "WELCOME":
            before = world.devices[d].sockets
            world.client(d, client.Welcomed(conn))
            device = world.devices[d]
            if device.sockets != before:
                world.devices[d] = device._replace(login=login, after=login, last=max(device.last, login))
        case "MOVED":
            device = world.devices[d]
            if conn == device.sockets.main and device.sockets.at in _HERE:
                node, ticket = more
                held = world.fresh_conn()
                world.client(d, client.Invited(conn, held))
                world.open_socket(d, held, node, ("TICKET", device.login, ticket))


def _log_in(world: World, d: int, n: int) -> None:
    device = world.devices[d]
    top = max(world.logins())
    login = top + 1 if (top + 1) % 2 == d else top + 2
    conn = world.fresh_conn()
    world.client(d, client.LogIn(conn))
    world.open_socket(d, conn, n, ("HELLO", login, device.after))
    world.devices[d] = world.devices[d]._replace(last=login)


def _gesture(world: World, d: int) -> None:
    world.devices[d] = world.devices[d]._replace(after=0)
    world.client(d, client.Gesture())


def _give_up(world: World, d: int) -> None:
    world.client(d, client.TimedOut())


def _silence(world: World, d: int) -> None:
    world.client(d, client.Lost(world.devices[d].sockets.main))


def _give_up_seat(world: World, d: int) -> None:
    world.client(d, client.Lost(world.devices[d].sockets.held))


def _cut(world: World, conn: int) -> None:
    world.socks[conn] = world.socks[conn]._replace(up=(END,), down=(END,))


def _left(world: World, n: int) -> None:
    view = world.nodes[n].view
    holder = view.holders[world.place]
    world.feed(n, ("LEFT", (holder, view.listed[holder]), world.fresh_k(n)))


def _told(world: World, n: int) -> None:
    world.feed(n, ("OUTLIVED", world.newest[0]))


def _map(world: World, n: int) -> None:
    node = world.nodes[n]
    old, new = node.view, world.city
    world.nodes[n] = node._replace(view=new)
    for m in range(NODES):
        if old.listed[m] and old.listed[m] != new.listed[m] and node.person[0][4] == (m, old.listed[m]):
            world.feed(n, ("ENDED", (m, old.listed[m])))


def _new_map(world: World, **changes: Any) -> None:
    world.city = world.city._replace(version=world.city.version + 1, **changes)


def _put(values: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    return (*values[:at], value, *values[at + 1 :])


def _renew(world: World, n: int) -> None:
    world.nodes[n] = world.nodes[n]._replace(lapsed=False)


def _begin(world: World, n: int) -> None:
    """A new incarnation of `n`, listed if no older one is."""
    number = world.nodes[n].number + 1
    world.drop_messages_to(n)
    if not world.city.listed[n]:
        _new_map(world, listed=_put(world.city.listed, n, number))
    world.nodes[n] = NodeT(NOBODY, number, True, False, world.city)


def _rejoin(world: World, n: int) -> None:
    for conn in list(world.socks):
        if world.socks[conn].node == n:
            world.hang_up(n, conn, "again", 0, [])
    _begin(world, n)


def _take_over(world: World, victim: int, by: int) -> None:
    node = world.nodes[victim]
    stands = node.number if node.up and node.number != world.city.listed[victim] else 0
    holders = tuple(by if h == victim else h for h in world.city.holders)
    _new_map(world, holders=holders, listed=_put(world.city.listed, victim, stands))
    _map(world, by)


def _move(world: World, cell: int, to: int) -> None:
    holder = world.city.holders[cell]
    _new_map(world, holders=_put(world.city.holders, cell, to))
    _map(world, holder)


def _cross(world: World) -> None:
    world.place = 1 - world.place


def _crash(world: World, n: int, keep: bool) -> None:
    world.drop_sockets(n)
    world.drop_messages_to(n)
    if not keep:
        for m in range(NODES):
            world.links[n * NODES + m] = ()
    world.nodes[n] = NodeT(NOBODY, world.nodes[n].number, False, False, _NOWHERE)


def _lapse(world: World, n: int) -> None:
    world.nodes[n] = world.nodes[n]._replace(lapsed=True)


_STEPS: Final[dict[str, Callable[..., None]]] = {
    "deliver": _deliver,
    "overtake": _deliver,
    "lose": _lose,
    "copy": _copy,
    "hear": _hear,
    "read": _read,
    "cut": _cut,
    "log_in": _log_in,
    "gesture": _gesture,
    "give_up": _give_up,
    "hasten": lambda world, label: _STEPS[label[0]](world, *label[1:]),
    "silence": _silence,
    "give_up_seat": _give_up_seat,
    "left": _left,
    "back": lambda world, n: world.feed(n, ("CAME_BACK",)),
    "row_timer": lambda world, n: world.feed(n, ("ROW_TIMER",)),
    "seat_timer": lambda world, n: world.feed(n, ("SEAT_TIMER",)),
    "told": _told,
    "map": _map,
    "renew": _renew,
    "rejoin": _rejoin,
    "send_away": lambda world, n: world.hang_up_all(n, "again"),
    "take_over": _take_over,
    "cross": _cross,
    "move": _move,
    "crash": _crash,
    "restart": _begin,
    "lapse": _lapse,
}


# ---- where it all must lead


def is_in(state: State) -> bool:
    """One device plays, on the node that alone owns the person, under the login of that device."""
    playing = [d for d, device in enumerate(state.devices) if device.sockets.at is _AT.PLAYING]
    if len(playing) != 1:
        return False
    device = state.devices[playing[0]]
    owners = [n for n, node in enumerate(state.nodes) if node.person[0][0] in OWNING]
    if len(owners) != 1 or any(d.sockets.at not in (_AT.PLAYING, _AT.STOPPED) for d in state.devices):
        return False
    row = state.nodes[owners[0]].person[0]
    return row[1] == device.login and row[3] == device.sockets.main


def is_at_rest(state: State) -> bool:
    """`is_in`, on the ground of the owner; no message, seat, released row or spare socket is left."""
    if any(state.links) or len(state.socks) != 1 or state.socks[0].up or state.socks[0].down or not is_in(state):
        return False
    n = state.socks[0].node
    node = state.nodes[n]
    return (
        node.person[0][0] is RowAt.OWNED
        and not node.lapsed
        and state.city.listed[n] == node.number
        and state.city.holders[state.place] == n
        and all(
            other.person[1][0] is SeatAt.EMPTY and (m == n or other.person[0][0] is RowAt.NONE)
            for m, other in enumerate(state.nodes)
        )
    )


# ---- the search


@dataclass(frozen=True, slots=True)
class Scenario:
    """A start and a budget. `gentle`: nothing is ever lost, so rest must be reachable without any timer."""

    budget: Budget
    devices: int = 1
    gentle: bool = False


def start(scenario: Scenario) -> State:
    """The first device plays at A, which holds cell 0; B holds cell 1; C holds nothing."""
    city = City(1, (0, 1), (1, 1, 1))
    empty = NodeT(NOBODY, 1, True, False, city)
    person: PersonT = ((RowAt.OWNED, 2, 0, 0, None, 0, ()), NOBODY[1], (2, 0))
    idle = Device(client.Sockets(client.ClientAt.STOPPED), 0, 0, 0)
    first = Device(client.Sockets(client.ClientAt.PLAYING, 0), 2, 2, 2)
    return State(
        (empty._replace(person=person), empty, empty),
        city,
        ((),) * (NODES * NODES),
        (Sock(0, 0, 0, (), ()),),
        (first, idle)[: scenario.devices],
        0,
        (2, 0),
        scenario.budget,
    )


@dataclass(slots=True)
class Finding:
    """What a search saw: how much, and the shortest way to what is wrong, if anything is."""

    states: int = 0
    steps: int = 0
    cut_off: int = 0
    complete: bool = True
    wrong: str = ""
    way: list[Label] = field(default_factory=list)


def explore(scenario: Scenario, tables: Tables, states_max: int = 10_000_000) -> Finding:
    """Visit every state; stop at the first thing that must never happen, else look for states of no return."""
    machine = Machine(tables)
    first = start(scenario)
    index = {first: 0}
    queue = deque([first])
    parents, ways = array("i", [-1]), [()]  # type: list[Label]
    edges: dict[int, tuple[array[int], array[int]]] = {k: (array("i"), array("i")) for k in (TIMER, PLAIN)}
    ins, rests = bytearray([is_in(first)]), bytearray([is_at_rest(first)])
    found = Finding()
    at = -1
    while queue:
        state = queue.popleft()
        at += 1
        for label, kind in steps(state):
            try:
                after = take(state, label, machine)
            except CutOff:
                found.cut_off += 1
                continue
            except Violation as wrong:
                found.wrong, found.states = str(wrong), len(index)
                found.way = [*_way(at, parents, ways), label]
                return found
            found.steps += 1
            to = index.get(after)
            if to is None:
                if len(index) >= states_max:
                    found.complete = False
                    continue
                to = index[after] = len(index)
                parents.append(at)
                ways.append(label)
                ins.append(is_in(after))
                rests.append(is_at_rest(after))
                queue.append(after)
            if kind is not FAULT:
                edges[kind][0].append(at)
                edges[kind][1].append(to)
    found.states = len(index)
    if found.complete:
        asked = [(ins, (TIMER, PLAIN), "From here no fault-free steps bring the person back into the city.")]
        asked.append((rests, (TIMER, PLAIN), "From here no fault-free steps lead to rest."))
        if scenario.gentle:
            asked.append((rests, (PLAIN,), "Nothing was lost, and yet rest cannot come without a timer."))
        for goals, kinds, wrong in asked:
            lost = _no_return(goals, [edges[kind] for kind in kinds])
            if lost is not None:
                found.wrong, found.way = wrong, _way(lost, parents, ways)
                break
    return found


def _way(at: int, parents: array[int], ways: list[Label]) -> list[Label]:
    """The steps that first led to a state."""
    way: list[Label] = []
    while at > 0:
        way.append(ways[at])
        at = parents[at]
    return way[::-1]


def _no_return(goals: bytearray, edges: list[tuple[array[int], array[int]]]) -> int | None:
    """The first state from which no goal can be reached along these edges."""
    none = [np.zeros(0, np.int32)]
    sources = np.concatenate(none + [np.frombuffer(e[0], np.int32) for e in edges if e[0]])
    targets = np.concatenate(none + [np.frombuffer(e[1], np.int32) for e in edges if e[0]])
    order = np.argsort(targets, kind="stable")
    sources = sources[order]
    begins = np.searchsorted(targets[order], np.arange(len(goals) + 1))
    reached = np.frombuffer(bytes(goals), np.uint8).astype(bool)
    front = np.flatnonzero(reached)
    while len(front):
        counts = begins[front + 1] - begins[front]
        picks = np.repeat(begins[front] - np.concatenate(([0], np.cumsum(counts)[:-1])), counts)
        before = np.unique(sources[picks + np.arange(counts.sum())])
        front = before[~reached[before]]
        reached[front] = True
    missing = np.flatnonzero(~reached)
    return int(missing[0]) if len(missing) else None
