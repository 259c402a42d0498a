"""docs/handoff.md, written from the tables: `python -m tests.handoff.document` writes it anew."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from client.table import CLIENT, ClientAt, What
from p2pworld.world.handoff import ROW, SEAT, Act, Guard, RowAt, SeatAt

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from enum import Enum

PATH = Path(__file__).parents[2] / "docs" / "handoff.md"

_INTRODUCTION = """\
# How an avatar is handed from node to node

*Written from the tables of `p2pworld/world/handoff.py` and `client/table.py` by `python -m
tests.handoff.document`; a test keeps them equal.*

Three small machines. At every node that knows an avatar a **row** says who owns it there and a **seat**
is a place kept for one who comes; the two are independent. The **client** has one socket, and during a
handoff two. The rules of a state and event are tried from top to bottom; the first whose conditions all
hold is taken, and if none does, or none is listed, nothing happens. An OWNED row that has lost its
socket is DORMANT.

The usual course: the owner sees the avatar on another node's ground and asks for a seat (PREPARE); the
other keeps one under a ticket (READY); the owner tells the client (MOVED), which opens a second socket
there with the ticket; the other says so (ATTACHED); the owner stops owning and gives the avatar away
(COMMIT); the other owns it, welcomes the client and answers (ACK). Until WELCOME the client keeps its
old socket.
"""
_TOLD = """\
## What is promised, and how it is known

`tests/handoff` searches every state that three nodes, two cells and one person with one or two devices
can come into, within budgets of walks over the border, moved cells, lost, doubled and overtaking
messages, crashes, restarts, lapsed leases with and without takeover, broken sockets, and waiting too
short. It runs these tables, not a copy. Nowhere do two nodes own one login; nobody owns again what it
gave away, unless it is given back; nobody becomes an owner without a lease; and from every state fault-
free steps lead to rest: the person in the city once, on the ground of its owner, and nothing left
behind. As long as nothing is lost, rest needs no timer. `tests/handoff/test_exhaustive.py` takes each
guard out and names the budget in which the search then tells a story of what goes wrong, or why it
stays.
"""


def document() -> str:
    """The whole page."""
    row = [(at, on, rule.guards, rule.acts, rule.to) for (at, on), rules in ROW.items() for rule in rules]
    seat = [(at, on, rule.guards, rule.acts, rule.to) for (at, on), rules in SEAT.items() for rule in rules]
    client = [
        (at, on, frozenset[Guard](), rule.acts, rule.to)
        for (at, on), rule in CLIENT.items()
        if rule.acts or rule.to is not at
    ]
    lines = [
        _INTRODUCTION,
        *_machine("The row", RowAt, row),
        *_machine("The seat", SeatAt, seat),
        *_machine("The client", ClientAt, client),
        "## Words\n",
        *_words("Conditions", Guard),
        *_words("What a node does", Act),
        *_words("What a client does", What),
        _TOLD,
    ]
    return "\n".join(lines)


_Line = tuple["Enum", "Enum", frozenset[Guard], tuple["Enum", ...], "Enum"]


def _machine(title: str, states: Iterable[Enum], lines: Sequence[_Line]) -> Iterator[str]:
    yield f"## {title}\n"
    yield "```mermaid"
    yield "stateDiagram-v2"
    arrows: defaultdict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    for at, on, _, _, to in lines:
        if at is not to:
            arrows[at.name, to.name][on.name] = None
    yield f"    [*] --> {next(iter(states)).name}"
    for (at_name, to_name), events in arrows.items():
        yield f"    {at_name} --> {to_name}: {', '.join(events)}"
    yield "```\n"
    yield "| state | on | if | does | then |"
    yield "|---|---|---|---|---|"
    for at, on, guards, acts, to in lines:
        when = ", ".join(guard.name for guard in Guard if guard in guards)
        does = ", ".join(act.name for act in acts)
        yield f"| {at.name} | {on.name} | {when} | {does} | {'' if to is at else to.name} |"
    yield ""


def _words(title: str, words: type[Enum]) -> Iterator[str]:
    """The members of an enum with what its source says about each."""
    said = dict(re.findall(r"^ +([A-Z_]+) = auto\(\)(?:  # (.*))?$", inspect.getsource(words), re.MULTILINE))
    listed = [f"{word.name} ({said[word.name]})" if said[word.name] else word.name for word in words]
    yield f"**{title}.** {'; '.join(listed)}.\n"


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
