"""docs/workflows.md, written from the tables: `python -m tests.services.document` writes it anew."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from p2pworld.services.words import ACTION_WORDS, STATE_WORDS
from p2pworld.services.workflow import Effect, Family, Rule, State, Who
from p2pworld.services.workflows import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = Path(__file__).parents[2] / "docs" / "workflows.md"

_INTRODUCTION = """\
# How requests move

*Written from the tables of `p2pworld/services/complaint.py` and `p2pworld/services/workflows.py` by
`python -m tests.services.document`; a test keeps them equal.*

A service takes one of these tables and names the states it has (`docs/services.md`). A state of the usual course that
it leaves out is one with the state before it. What is in no table cannot be done: whoever tries is told so, and
nothing changes.

Who: the **citizen** who filed, an **official** of the office, a **decider** (an official who may decide), and the
**system**, which is the clock of whoever holds the office's log. The **clock** column says what an act does to the
deadline: `pause` and `resume` (waiting for the citizen does not count), `inquire` (an on-site inquiry does not count,
up to a bound), `extend`, `stop` (done with), `restart` (a new term begins). An empty state means that the case stays.
"""


def document() -> str:
    """The whole page."""
    return "\n".join([_INTRODUCTION, *(line for family in FAMILIES.values() for line in _machine(family))])


def _machine(family: Family) -> Iterator[str]:
    yield f"## {family.name}\n"
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in State:
        if state in family.states:
            yield f"    {_id(state)}: {STATE_WORDS[state]['ko']} ({STATE_WORDS[state]['en']})"
    arrows: defaultdict[tuple[State, State], dict[str, None]] = defaultdict(dict)
    for rule in family.rules:
        for at in _ordered(rule.at):
            if rule.to not in (None, at):
                arrows[at, rule.to][rule.action.value] = None
    yield f"    [*] --> {_id(family.chain[0])}"
    for (at, to), actions in arrows.items():
        yield f"    {_id(at)} --> {_id(to)}: {', '.join(actions)}"
    for state in _ordered(family.ends):
        yield f"    {_id(state)} --> [*]"
    yield "```\n"
    yield "| action | | who | in | to | clock | needs |"
    yield "|---|---|---|---|---|---|---|"
    for rule in family.rules:
        yield _row(rule)
    yield ""


def _row(rule: Rule) -> str:
    who = ", ".join(who.value for who in Who if who in rule.who)
    at = ", ".join(state.value for state in _ordered(rule.at))
    to = rule.to.value if rule.to else ""
    clock = "" if rule.effect is Effect.NONE else rule.effect.value
    need = rule.need.value if rule.need else ""
    return f"| {rule.action.value} | {ACTION_WORDS[rule.action]['ko']} | {who} | {at} | {to} | {clock} | {need} |"


def _ordered(states: frozenset[State]) -> list[State]:
    return [state for state in State if state in states]


def _id(state: State) -> str:
    return state.name


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
