"""A way through the model told as a story: what happened, who stands where now, what was said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.handoff.model import start, take
from tests.handoff.values import NAMES, NODES, CutOff, Machine, Violation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.world.handoff import Tables
    from tests.handoff.model import Scenario
    from tests.handoff.search import Finding
    from tests.handoff.values import Label, Message, State

_MESSAGES = {
    "PREPARE": "{} asks {} for a seat",
    "READY": "{} keeps a seat and tells {}",
    "REFUSED": "{} refuses {} a seat",
    "ATTACHED": "{} tells {} that the client sits on its seat",
    "COMMIT": "{} gives the person to {}",
    "ACK": "{} tells {} that it has the person",
    "NAK": "{} tells {} that it does not have the person",
    "CANCEL": "{} gives up its seat at {}",
}
_DONE = {
    "left": "{} sees the person on other ground",
    "back": "{} sees the person on its own ground again",
    "row_timer": "at {} the row has waited long enough",
    "seat_timer": "at {} the seat has waited long enough",
    "told": "the directory tells {} of the newest login",
    "map": "{} reads the map",
    "renew": "{} renews its lease",
    "rejoin": "{} registers anew and begins with nothing",
    "send_away": "{}, without a lease, sends its clients away",
    "restart": "{} starts again",
    "lapse": "the lease of {} runs out",
}
_DEVICE_DOES = {
    "gesture": "the person takes up device {}",
    "give_up": "device {} has waited long enough and gives up",
    "silence": "device {} hears nothing any more and gives up",
    "give_up_seat": "device {} gives up the seat it waits on",
}


def tell(scenario: Scenario, tables: Tables, finding: Finding) -> str:
    """The steps of a finding, one a line, and what is wrong at the end."""
    machine = Machine(tables)
    state = start(scenario)
    lines = ["The person plays at A; cell 0 is A's, cell 1 is B's."]
    for i, label in enumerate(finding.way, 1):
        lines.append(f"{i:3}. {_sentence(state, label)}.")
        try:
            after = take(state, label, machine)
        except (AssertionError, CutOff, Violation):
            break
        lines.extend(f"       {change}" for change in _changes(state, after))
        state = after
    lines.append(f"  => {finding.wrong}")
    return "\n".join(lines)


def _sentence(state: State, label: Label) -> str:
    kind, *more = label
    match kind:
        case "hasten":
            return f"Too early: {_sentence(state, more[0])}"
        case "deliver" | "overtake" | "lose" | "copy":
            at, i = more
            said = _message(state.links[at][i], at)
            what = {
                "deliver": "Arrives",
                "overtake": "Overtaking others arrives",
                "lose": "Lost",
                "copy": "Doubled",
            }
            return f"{what[kind]}: {said}"
        case "hear":
            sock = next(s for s in state.socks if s.conn == more[0])
            assert sock.up
            word = {"HELLO": "a login", "TICKET": "a ticket", "END": "the end of the socket"}[sock.up[0][0]]
            return f"{NAMES[sock.node]} hears {word} from device {sock.device + 1}"
        case "read":
            sock = next(s for s in state.socks if s.conn == more[0])
            assert sock.down
            said, _, detail = sock.down[0]
            why = f" ({detail})" if said == "BYE" else ""
            return f"Device {sock.device + 1} hears {said}{why} from {NAMES[sock.node]}"
        case "cut":
            sock = next(s for s in state.socks if s.conn == more[0])
            return f"The socket of device {sock.device + 1} with {NAMES[sock.node]} breaks"
        case "log_in":
            return f"Device {more[0] + 1} connects to {NAMES[more[1]]} and logs in"
        case "take_over":
            victim, by = more
            return f"{NAMES[by]} takes over what {NAMES[victim]} held"
        case "cross":
            return f"The person walks onto cell {1 - state.place}"
        case "move":
            return f"Cell {more[0]} is {NAMES[more[1]]}'s from now on"
        case "crash":
            return f"{NAMES[more[0]]} dies{'' if more[1] else ', and what it had sent is lost'}"
        case _ if kind in _DEVICE_DOES:
            return _DEVICE_DOES[kind].format(more[0] + 1).capitalize()
        case _:
            sentence = _DONE[kind].format(NAMES[more[0]])
            return sentence[0].upper() + sentence[1:]


def _message(message: Message, at: int) -> str:
    return _MESSAGES[message[0]].format(NAMES[at // NODES], NAMES[at % NODES])


def _changes(before: State, after: State) -> Iterator[str]:
    for n, (old, new) in enumerate(zip(before.nodes, after.nodes, strict=True)):
        row, seat = new.person[0][0], new.person[1][0]
        if row is not old.person[0][0]:
            yield f"at {NAMES[n]} the row is {row.name}"
        if seat is not old.person[1][0]:
            yield f"at {NAMES[n]} the seat is {seat.name}"
    for d, (was, now) in enumerate(zip(before.devices, after.devices, strict=True)):
        if was.sockets.at is not now.sockets.at:
            yield f"device {d + 1} is {now.sockets.at.name}"
    for at, (old_link, new_link) in enumerate(zip(before.links, after.links, strict=True)):
        for message in _added(old_link, new_link):
            yield f"{_message(message, at)}"
    old_down = {sock.conn: sock.down or () for sock in before.socks}
    for sock in after.socks:
        for said, _, detail in _added(old_down.get(sock.conn, ()), sock.down or ()):
            if said != "END":
                more = f" ({detail})" if said == "BYE" else ""
                yield f"{NAMES[sock.node]} says {said}{more} to device {sock.device + 1}"


def _added(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    """What stands at the end of `new` and not in `old`."""
    for kept in range(len(new), -1, -1):
        if new[:kept] == old[len(old) - kept :]:
            return new[kept:]
    return new
