"""What people, core, links, play sockets and the clients' sessions do around the two tables, in its plainest form.

`World` is one state being changed by one step. It feeds events to the real machines, carries out what they ask for,
and raises `Violation` at once when something happens that must never happen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from client import table as client
from p2pworld.world.handoff import Act, RowAt
from tests.handoff.values import (
    END,
    NAMES,
    NODES,
    OWNING,
    CutOff,
    Device,
    Machine,
    Message,
    NodeT,
    OutT,
    PersonT,
    RowT,
    Sock,
    State,
    Ticket,
    Violation,
    Where,
    Word,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LINK_MAX: Final = 3
SOCKETS_MAX: Final = 3

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
        if (
            row[0] in (RowAt.INVITED, RowAt.RELEASED)
            and row[6]
            and ((row[6][0:2], row[6][2:4], row[6][4]) != (row[4], self.who(n), row[5]))
        ):
            raise Violation(f"{NAMES[n]} gives the person away under a ticket of another attempt.")
        closing: list[int] = []
        for out in outs:
            self._carry_out(n, out, before, after, closing)
        self._check_answers(n, event, before, after, outs)
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

    def _check_answers(
        self, n: int, event: tuple[Any, ...], before: PersonT, after: PersonT, outs: tuple[OutT, ...]
    ) -> None:
        """What a node says is true, and each answer is taken only by what it answers."""
        kind, name, lapsed = event[0], NAMES[n], self.nodes[n].lapsed
        row, old, seat, old_seat = after[0], before[0], after[1], before[1]
        acts = {out[0] for out in outs}
        if lapsed and acts & {Act.PREPARE, Act.RESERVE}:
            raise Violation(f"{name} begins a handoff or keeps a seat without a lease.")
        if Act.REFUSE_LAPSED in acts and not lapsed:
            raise Violation(f"{name} says that it has no lease, and it has one.")
        if Act.RESERVE in acts and not event[4]:
            raise Violation(f"{name} keeps a seat for one whom it cannot take.")
        if kind == "ACK" and row[0] is not old[0] and (old[1], old[2]) > self.newest:
            raise Violation(f"{name} takes the person for moved, and nobody has taken it.")
        offered = kind in ("READY", "ATTACHED") and (row[4], row[6]) != (event[1], event[3])
        if offered and (Act.CANCEL, event[1], event[3]) not in {(out[0], out[1], out[3]) for out in outs}:
            raise Violation(f"{name} neither uses the seat that it is offered nor gives it up.")
        if kind in ("REFUSED", "ATTACHED", "ACK", "NAK") and row != old:
            mine = (old[4], old[5]) if kind == "REFUSED" else (old[4], old[5], old[6])
            if event[1:] != mine:
                raise Violation(f"{name} takes an answer to another attempt for the answer to this one.")
        if (
            kind in ("TICKET", "COMMIT", "CANCEL")
            and seat != old_seat
            and event[1 if kind == "TICKET" else 3] != old_seat[5]
        ):
            raise Violation(f"The seat at {name} changes by a ticket that is not its own.")

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

    def _carry_out(self, n: int, out: OutT, before: PersonT, after: PersonT, closing: list[int]) -> None:
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

    def _check_sockets(self) -> None:
        """Rows and seats name open sockets of their node, and who has said who it is has its place."""
        named: set[int] = set()
        for n, node in enumerate(self.nodes):
            for conn in (node.person[0][3], node.person[1][2]):
                if conn >= 0:
                    named.add(conn)
                    sock = self.socks.get(conn)
                    if sock is None or sock.up is None or sock.node != n:
                        raise Violation(f"{NAMES[n]} names a socket that it has no more.")
        for conn, sock in self.socks.items():
            if sock.up == () and conn not in named:
                raise Violation(f"{NAMES[sock.node]} leaves a client on a socket that is nobody's.")

    def freeze(self) -> State:
        """The state after the step; two owners of one login are seen here."""
        owned = [node.person[0][1] for node in self.nodes if node.person[0][0] in OWNING]
        if len(owned) > 1 and len(set(owned)) < len(owned):
            names = [NAMES[n] for n, node in enumerate(self.nodes) if node.person[0][0] in OWNING]
            raise Violation(f"{' and '.join(names)} own one login.")
        self._check_sockets()
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


def _ranked(state: State) -> State:
    """The same state with logins as small as their order allows: fours apart, odd ones the second device's."""
    used = _logins(state.nodes, state.devices, state.links, state.socks, state.newest)
    used.discard(0)
    new = {0: 0}
    for i, login in enumerate(sorted(used), 1):
        new[login] = 4 * i + login % 2
    if all(old == login for old, login in new.items()):
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
        tuple(Device(d.sockets, new[d.login], new[d.after], new[d.last], d.slow) for d in state.devices),
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
        used.update(device[1:4])
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
