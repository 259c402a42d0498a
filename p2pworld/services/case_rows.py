"""The rows of cases beside a log: `case/<entry>` has the acts that count, in order, and who deals with it.

It is made of leaves alone, and folded into a state each time: nothing is kept that could differ from what everybody
computes who reads the log. A case without acts has no row.

    jongno                                            the stream whose officials act on it
    <key of the leaf> <action> <who> <minute> <amount>      one line for each act
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from p2pworld.errors import Refusal
from p2pworld.seoul.gu import GU
from p2pworld.services.declaration import CITY
from p2pworld.services.facility import GU_SLUGS
from p2pworld.services.workflow import Act, Action, Case, State, Who, Workflow, begin, step

if TYPE_CHECKING:
    from p2pworld.civic.kept import Rows
    from p2pworld.civic.transaction import Filing
    from p2pworld.services.declaration import Service
    from p2pworld.services.working_time import OfficeCalendar

__all__ = [
    "OFFICES",
    "CaseFile",
    "fold",
    "keep_case",
    "office_in",
    "office_of",
    "read_case",
    "role_of",
    "stepped",
]

OFFICES = (CITY, *(slug for gu in GU for slug, each in GU_SLUGS.items() if each is gu))


def office_of(amount: int) -> str | None:
    """The stream that a transfer of this amount passes a case on to: 0 is the city's, then the gu in their order."""
    return OFFICES[amount] if amount < len(OFFICES) else None


@dataclass(frozen=True, slots=True)
class CaseFile:
    """The acts on a case that have an effect, and the stream whose officials act on it now."""

    office: str
    acts: tuple[Act, ...] = ()


def read_case(rows: Rows, entry: int, stream: str) -> CaseFile:
    """The case of an entry of `stream`; one that nobody has acted on yet, if there is no row."""
    body = rows.get(f"case/{entry}")
    if body is None:
        return CaseFile(stream)
    office, *lines = body.decode().splitlines()
    acts = []
    for seen, line in enumerate(lines):
        key, action, who, minute, amount = line.split(" ")
        acts.append(Act(key, seen, Action(action), Who(who), int(minute), int(amount)))
    return CaseFile(office, tuple(acts))


def office_in(body: bytes) -> str:
    """The stream whose officials act on a case with this row."""
    return body.decode().partition("\n")[0]


def keep_case(rows: Rows, entry: int, case: CaseFile) -> None:
    """Write a case down."""
    lines = [
        case.office,
        *(f"{a.key} {a.action.value} {a.who.value} {a.minute} {a.amount}" for a in case.acts),
    ]
    rows.put(f"case/{entry}", "\n".join(lines).encode())


def role_of(workflow: Workflow, state: State, action: Action) -> Who | None:
    """As whom an official does this in this state, if one may at all."""
    rule = workflow.table.get((state, action))
    allowed = rule.who if rule is not None else frozenset()
    return next((who for who in (Who.OFFICIAL, Who.DECIDER) if who in allowed), None)


def fold(service: Service, about: Filing, case: CaseFile, calendar: OfficeCalendar) -> Case:
    """The state of a case; acts that a changed declaration allows no more have no effect any more."""
    values = {field.name: field.value for field in about.fields}
    state = begin(service.workflow, about.minute, service.deadline.of(values))
    for act in case.acts:
        after = step(service.workflow, state, replace(act, seen=len(state.acts)), calendar)
        state = state if isinstance(after, Refusal) else after
    return state


def stepped(
    service: Service, case: CaseFile, state: Case, act: Act, calendar: OfficeCalendar
) -> tuple[CaseFile, Case] | Refusal:
    """The case and its state after one more act, or why that has no effect."""
    after = step(service.workflow, state, act, calendar)
    if isinstance(after, Refusal):
        return after
    office = office_of(act.amount) if act.action is Action.TRANSFER else case.office
    return CaseFile(office or case.office, (*case.acts, act)), after
