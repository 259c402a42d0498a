"""Every way in which a handoff can go, as a graph: what may happen in a state, and what it leads to.

Three nodes, two cells, one person with one or two devices. `steps` lists what may happen next (a delivery, a timer, a
step of a client, a fault within the budget), `take` makes it happen, `is_in` and `is_at_rest` say where it must lead.

What is bounded, and how: a link holds at most `LINK_MAX` messages and a device `SOCKETS_MAX` sockets, steps beyond are
not taken; logins are replaced by their rank, attempts and tickets take the smallest number that nothing in the state
mentions, which is the same as a fresh one; who waits gives up while anything else is left to do only within the budget
`haste`; floors are never forgotten, which says that no message is older than `FLOOR_S`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from client import table as client
from p2pworld.world.handoff import RowAt, SeatAt
from tests.handoff.values import (
    END,
    FAULT,
    NOBODY,
    NODES,
    OWNING,
    PLAIN,
    TIMER,
    Budget,
    City,
    Device,
    Label,
    Machine,
    Message,
    NodeT,
    PersonT,
    Sock,
    State,
)
from tests.handoff.world import LINK_MAX, World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# ---- what may happen next

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
                if (
                    other.up
                    and not other.lapsed
                    and (m != n or over)
                    and (m == n or city.listed[m] == other.number)
                ):
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
    below = device.last if device.slow else max(world.logins())
    login = below // 4 * 4 + (2 if device.slow else 4) + d
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
    if (
        any(state.links)
        or len(state.socks) != 1
        or state.socks[0].up
        or state.socks[0].down
        or not is_in(state)
    ):
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


# ---- where it begins


@dataclass(frozen=True, slots=True)
class Scenario:
    """A start and a budget. `gentle`: nothing is ever lost, so rest must be reachable without any timer."""

    budget: Budget
    devices: int = 1
    slow: bool = False  # the second device's clock is behind
    gentle: bool = False


def start(scenario: Scenario) -> State:
    """The first device plays at A, which holds cell 0; B holds cell 1; C holds nothing."""
    city = City(1, (0, 1), (1, 1, 1))
    empty = NodeT(NOBODY, 1, True, False, city)
    person: PersonT = ((RowAt.OWNED, 4, 0, 0, None, 0, ()), NOBODY[1], (4, 0))
    idle = Device(client.Sockets(client.ClientAt.STOPPED), 0, 0, 0, scenario.slow)
    first = Device(client.Sockets(client.ClientAt.PLAYING, 0), 4, 4, 4)
    return State(
        (empty._replace(person=person), empty, empty),
        city,
        ((),) * (NODES * NODES),
        (Sock(0, 0, 0, (), ()),),
        (first, idle)[: scenario.devices],
        0,
        (4, 0),
        scenario.budget,
    )
