"""How a request moves from state to state: tables, and the one function that applies them.

A `Family` is a table of rules (action, who, in which states, to which state, effect on the clock) with a main chain of
states and side states. A service takes a family and names the states it has; a state of the chain that it leaves out
is one with the state before it, so what leads on from there still does. What comes of that is a `Workflow`.

A `Case` is a filing and all acts on it, in order: `begin` and `step` fold them into a state and a clock, so everybody
who reads the same leaves sees the same case. An act names how many acts its writer had seen; whoever acts on an older
state is told so, and the same act again changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError, Refusal
from p2pworld.limits import CASE_ACTS_MAX
from p2pworld.services.deadlines import Clock, Term
from p2pworld.services.reasons import refusal
from p2pworld.services.working_time import OfficeCalendar, day_of, end_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "Act",
    "Action",
    "Case",
    "Effect",
    "Family",
    "Need",
    "Rule",
    "State",
    "Who",
    "Workflow",
    "WorkflowLimits",
    "begin",
    "step",
]


class Who(Enum):
    """Who acts: who filed, an official of the office, one who may decide, or the clock of the stream's holder."""

    CITIZEN = "citizen"
    OFFICIAL = "official"
    DECIDER = "decider"
    SYSTEM = "system"


class State(Enum):
    """Where a request stands."""

    RECEIVED = "received"
    APPLIED = "applied"
    ASSIGNED = "assigned"
    TRANSFERRED = "transferred"
    SITE_CHECK = "site-check"
    IN_PROGRESS = "in-progress"
    SUPPLEMENT_REQUESTED = "supplement-requested"
    REVIEWING = "reviewing"
    APPROVED = "approved"
    DOCUMENT_REVIEW = "document-review"
    INTERVIEW = "interview"
    SELECTED = "selected"
    NOT_SELECTED = "not-selected"
    CONTRACT = "contract"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    GATHERING_SUPPORT = "gathering-support"
    ADOPTED = "adopted"
    NOT_ADOPTED = "not-adopted"
    REFLECTED = "reflected"
    PARTLY_REFLECTED = "partly-reflected"
    NOT_REFLECTED = "not-reflected"
    HANDED_TO_PERSON = "handed-to-person"
    EMERGENCY = "emergency"
    DRAW_PENDING = "draw-pending"
    DRAWN = "drawn"
    NOT_DRAWN = "not-drawn"
    HELD = "held"
    PAYMENT_DUE = "payment-due"
    CONFIRMED = "confirmed"
    WAITING = "waiting"
    USED = "used"
    FINISHED_COURSE = "finished-course"
    NO_SHOW = "no-show"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    COMPLETED = "completed"
    REFUSED = "refused"
    RETURNED = "returned"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"
    REOPENED = "reopened"


class Action(Enum):
    """What may be done with a request."""

    ASSIGN = "assign"
    REASSIGN = "reassign"
    TRANSFER = "transfer"
    VISIT = "visit"
    BEGIN = "begin"
    NOTE = "note"
    ASK = "ask"
    ASK_AGAIN = "ask-again"
    PROLONG = "prolong"
    SUPPLEMENT = "supplement"
    GO_ON = "go-on"
    INQUIRE = "inquire"
    INQUIRED = "inquired"
    EXTEND = "extend"
    CONSENT = "consent"
    REVIEW = "review"
    APPROVE = "approve"
    REFUSE = "refuse"
    RETURN = "return"
    CLOSE = "close"
    COMPLETE = "complete"
    REOPEN = "reopen"
    RATE = "rate"
    WITHDRAW = "withdraw"
    READ_PAPERS = "read-papers"
    INTERVIEW = "interview"
    SELECT = "select"
    DECLINE = "decline"
    CONTRACT = "contract"
    RENEW = "renew"
    SCHEDULE = "schedule"
    START = "start"
    GATHER = "gather"
    ADOPT = "adopt"
    NOT_ADOPT = "not-adopt"
    TAKE_UP = "take-up"
    TAKE_UP_PARTLY = "take-up-partly"
    NOT_TAKE_UP = "not-take-up"
    HAND_OVER = "hand-over"
    EMERGENCY = "emergency"
    HOLD = "hold"
    ENTER = "enter"
    DRAW = "draw"
    NOT_DRAW = "not-draw"
    CLAIM = "claim"
    CONFIRM = "confirm"
    WAIT = "wait"
    MOVE_UP = "move-up"
    CANCEL = "cancel"
    EXPIRE = "expire"
    USE = "use"
    MISS = "miss"


class Effect(Enum):
    """What an act does to the clock of the case."""

    NONE = "none"
    PAUSE = "pause"
    ASKED_AGAIN = "asked-again"
    PROLONG = "prolong"
    RESUME = "resume"
    INQUIRE = "inquire"
    EXTEND = "extend"
    STOP = "stop"
    RESTART = "restart"


class Need(Enum):
    """What must be so besides the state."""

    EXTENSION_LEFT = "extension-left"
    CONSENT_USEFUL = "consent-useful"
    TRANSFER_LEFT = "transfer-left"
    PROLONG_LEFT = "prolong-left"
    ASK_OVER = "ask-over"
    ASKED_TWICE = "asked-twice"
    INQUIRY_LEFT = "inquiry-left"
    INQUIRING = "inquiring"
    REOPEN_IN_TIME = "reopen-in-time"
    NOT_RATED = "not-rated"


@dataclass(frozen=True, slots=True)
class Rule:
    """In each of the states `at`, `who` may do this; the case goes to `to`, or stays (None)."""

    action: Action
    who: frozenset[Who]
    at: frozenset[State]
    to: State | None
    effect: Effect = Effect.NONE
    need: Need | None = None


@dataclass(frozen=True, slots=True)
class WorkflowLimits:
    """What a service may set: how often and how long."""

    extensions: int = 0  # 2: the second needs the citizen's consent
    transfers: int = 3
    supplement_days: int = 30  # the longest time that may be given for a supplement
    inquiry_days: int = 0  # an on-site inquiry does not count for so many days; a second one for half of it
    reopen_days: int = 0


@dataclass(frozen=True, slots=True)
class Family:
    """A named table. `chain` is the usual course, `sides` the states off it, `ends` those in which all is done."""

    name: str
    chain: tuple[State, ...]
    sides: frozenset[State]
    ends: frozenset[State]
    rules: tuple[Rule, ...]

    @property
    def states(self) -> frozenset[State]:
        """All states of the table."""
        return frozenset(self.chain) | self.sides

    def table(self) -> Mapping[tuple[State, Action], Rule]:
        """The rule for each state and action; there is one at most."""
        found: dict[tuple[State, Action], Rule] = {}
        for rule in self.rules:
            for at in rule.at:
                assert (at, rule.action) not in found, (self.name, at, rule.action)
                found[at, rule.action] = rule
        return found

    def _decided_between(self, chain: tuple[State, ...], kept: State, at: State) -> bool:
        """Whether nothing but a decision leads on to a state behind `kept`, up to `at`."""
        if kept not in chain or at not in chain:
            return False
        passed = chain[chain.index(kept) + 1 : chain.index(at) + 1]
        ways = ([rule.who for rule in self.rules if rule.to is state] for state in passed)
        return any(who and all(each == {Who.DECIDER} for each in who) for who in ways)

    def workflow(
        self, steps: Iterable[State], sides: Iterable[State], limits: WorkflowLimits | None = None
    ) -> Workflow:
        """The workflow of a service that has just these states.

        Its first step may be RECEIVED or APPLIED, and its last one COMPLETED, USED or FINISHED_COURSE, whichever the
        table says.

        Raises:
            LocalError: steps that are no part of the chain in its order, or sides that the table does not have.
        """
        steps, sides, limits = tuple(steps), frozenset(sides), limits or WorkflowLimits()
        if len(steps) < 2:
            raise LocalError("a workflow has a first step and a last one")
        aliases = {}
        for alike, mine, theirs in ((_ENTRIES, steps[0], self.chain[0]), (_EXITS, steps[-1], self.chain[-1])):
            if mine is not theirs:
                if mine not in alike or theirs not in alike:
                    raise LocalError(f"{self.name} goes from {self.chain[0].value} to {self.chain[-1].value}")
                aliases[theirs] = mine
        chain = tuple(aliases.get(state, state) for state in self.chain)
        if [state for state in chain if state in steps] != list(steps):
            raise LocalError(f"the steps of {self.name} are, in this order: {_listed(chain)}")
        if not sides <= self.sides:
            raise LocalError(f"{self.name} has, off its course: {_listed(self.sides)}")
        same: dict[State, State] = {state: state for state in sides}
        for state in chain:
            same[state] = state if state in steps else same[chain[chain.index(state) - 1]]
        table: dict[tuple[State, Action], Rule] = {}
        for rule in self.rules:
            goal = rule.to and aliases.get(rule.to, rule.to)
            to = goal and same.get(goal)
            if (goal is not None and to is None) or not _allowed(rule, limits):
                continue
            for at in (aliases.get(state, state) for state in rule.at):
                kept = same.get(at)
                # a rule from one state to another that is one with it now leads nowhere
                if kept is not None and (kept is not to or at is goal):
                    made = replace(rule, at=frozenset({kept}), to=to)
                    if kept not in rule.at and self._decided_between(chain, kept, at):
                        # where the decision is no step of its own, what follows from it is not the citizen's to do
                        made = replace(made, who=rule.who - {Who.CITIZEN})
                    assert table.setdefault((kept, rule.action), made) == made, (self.name, kept, rule)
        reached = {steps[0]}
        for _ in same:
            reached |= {rule.to for (at, _), rule in table.items() if rule.to and at in reached}
        lost = {*steps, *sides} - reached
        if lost:
            raise LocalError(f"nothing leads to {_listed(frozenset(lost))}; its neighbours are left out")
        ends = frozenset(same[s] for s in (aliases.get(end, end) for end in self.ends) if s in same)
        return Workflow(self.name, steps, sides, ends, MappingProxyType(table), limits)


_ENTRIES: Final = {State.RECEIVED, State.APPLIED}
_EXITS: Final = {State.COMPLETED, State.USED, State.FINISHED_COURSE}


def _allowed(rule: Rule, limits: WorkflowLimits) -> bool:
    """Whether these limits leave the rule any use."""
    match rule.need:
        case Need.EXTENSION_LEFT:
            return limits.extensions > 0
        case Need.CONSENT_USEFUL:
            return limits.extensions > 1
        case Need.INQUIRY_LEFT | Need.INQUIRING:
            return limits.inquiry_days > 0
        case Need.REOPEN_IN_TIME:
            return limits.reopen_days > 0
        case _:
            return True


def _listed(states: Iterable[State]) -> str:
    values = [state.value for state in states]
    return ", ".join(values if isinstance(states, tuple) else sorted(values)) or "nothing"


@dataclass(frozen=True, slots=True)
class Workflow:
    """The states of one service and the rule for each state and action."""

    family: str
    steps: tuple[State, ...]
    sides: frozenset[State]
    ends: frozenset[State]
    table: Mapping[tuple[State, Action], Rule]
    limits: WorkflowLimits

    @property
    def states(self) -> frozenset[State]:
        """All that a case may be in."""
        return frozenset(self.steps) | self.sides

    def actions(self, state: State, who: Who) -> tuple[Action, ...]:
        """What this person may do in this state, as far as the state says; the buttons of a desk."""
        return tuple(a for a in Action if (rule := self.table.get((state, a))) and who in rule.who)


# ---- a case

PROLONGED_MAX: Final = 2  # the citizen may ask twice for more time (민원 처리에 관한 법률 시행령 제24조)
ASKED_MAX: Final = 2  # who has been asked twice in vain may be given the papers back (제25조)
INQUIRIES_MAX: Final = 2
RATING_MAX: Final = 5


@dataclass(frozen=True, slots=True)
class Act:
    """Something done with a case. `key` is the transaction's; `seen` how many acts its writer knew of.

    `amount`: of EXTEND how much, in what the term counts; of ASK, ASK_AGAIN, PROLONG and INQUIRE days; of RATE stars.
    """

    key: str
    seen: int
    action: Action
    who: Who
    minute: int
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """What became of a filing. `clocks` has one more for each reopening; the last one counts.

    `asked_until` is the first minute in which an awaited supplement is late.
    """

    state: State
    clocks: tuple[Clock, ...]
    acts: tuple[Act, ...] = ()
    transfers: int = 0
    consent: bool = False
    asked: int = 0
    asked_until: int | None = None
    prolonged: int = 0
    inquiries: int = 0
    inquiring: bool = False
    rating: int | None = None
    _keys: frozenset[str] = field(default=frozenset(), repr=False)

    @property
    def clock(self) -> Clock:
        """The clock that counts now."""
        return self.clocks[-1]


def begin(workflow: Workflow, minute: int, term: Term) -> Case:
    """The case of a filing of this minute."""
    return Case(workflow.steps[0], (Clock(minute, term),))


def step(workflow: Workflow, case: Case, act: Act, calendar: OfficeCalendar) -> Case | Refusal:
    """The case after this act, the same case if it is known already, or why it cannot be."""
    if act.key in case._keys:
        same = any(replace(known, minute=act.minute) == act for known in case.acts)
        return case if same else refusal("key-reused")
    if act.seen != len(case.acts):
        return refusal("case-moved-on")
    if len(case.acts) >= CASE_ACTS_MAX:
        return refusal("case-full")
    rule = workflow.table.get((case.state, act.action))
    if rule is None:
        return refusal("already-closed" if case.state in workflow.ends else "state-conflict")
    if act.who not in rule.who:
        return refusal("forbidden")
    minute = max(act.minute, case.acts[-1].minute if case.acts else case.clock.arrived)
    why = _unmet(rule, case, act, minute, workflow.limits)
    if why is not None:
        return why
    case = _take_effect(rule, case, act, minute, calendar)
    return replace(
        case,
        state=rule.to or case.state,
        acts=(*case.acts, replace(act, minute=minute)),
        transfers=case.transfers + (act.action is Action.TRANSFER),
        consent=case.consent or act.action is Action.CONSENT,
        rating=act.amount if act.action is Action.RATE else case.rating,
        _keys=case._keys | {act.key},
    )


def _unmet(rule: Rule, case: Case, act: Act, minute: int, limits: WorkflowLimits) -> Refusal | None:
    """Why what the rule needs is not so, or None; bounds of what the act says are looked at too."""
    extended = len(case.clock.added)
    match rule.need:
        case Need.EXTENSION_LEFT if extended >= limits.extensions:
            return refusal("extension-used")
        case Need.EXTENSION_LEFT if extended == 1 and not case.consent:
            return refusal("consent-needed")
        case Need.EXTENSION_LEFT if not 1 <= act.amount <= case.clock.term.amount:
            return refusal("extension-too-long")
        case Need.CONSENT_USEFUL if extended != 1 or case.consent:
            return refusal("state-conflict")
        case Need.TRANSFER_LEFT if case.transfers >= limits.transfers:
            return refusal("transfers-used")
        case Need.PROLONG_LEFT if case.prolonged >= PROLONGED_MAX:
            return refusal("prolong-used")
        case Need.PROLONG_LEFT if minute >= (case.asked_until or 0):
            return refusal("supplement-late")
        case Need.ASK_OVER if case.asked >= ASKED_MAX:
            return refusal("asked-twice")
        case Need.ASKED_TWICE if case.asked < ASKED_MAX:
            return refusal("asked-once")
        case Need.ASK_OVER | Need.ASKED_TWICE if minute < (case.asked_until or 0):
            return refusal("supplement-awaited")
        case Need.INQUIRY_LEFT if case.inquiring or case.inquiries >= INQUIRIES_MAX:
            return refusal("inquiry-used")
        case Need.INQUIRY_LEFT if not 1 <= act.amount <= limits.inquiry_days // (1 + case.inquiries):
            return refusal("inquiry-too-long")
        case Need.INQUIRING if not case.inquiring:
            return refusal("state-conflict")
        case Need.REOPEN_IN_TIME if day_of(minute) > _days_after(case.clock.stopped, limits.reopen_days):
            return refusal("reopen-late")
        case Need.NOT_RATED if case.rating is not None:
            return refusal("rated-already")
        case Need.NOT_RATED if not 1 <= act.amount <= RATING_MAX:
            return refusal("rating-unknown")
    if rule.effect in (Effect.PAUSE, Effect.ASKED_AGAIN, Effect.PROLONG) and not (
        1 <= act.amount <= limits.supplement_days
    ):
        return refusal("supplement-days")
    return None


def _days_after(minute: int | None, days: int) -> date:
    assert minute is not None, "only what is done with is reopened"
    return day_of(minute) + timedelta(days=days)


def _take_effect(rule: Rule, case: Case, act: Act, minute: int, calendar: OfficeCalendar) -> Case:
    clock = case.clock
    awaited = end_of(calendar.next_working_day(_days_after(minute, act.amount)))
    match rule.effect:
        case Effect.NONE:
            return case
        case Effect.PAUSE:
            clock = (clock.resume(minute) if clock.paused else clock).pause(minute)
            case = replace(case, asked=1, asked_until=awaited, prolonged=0, inquiring=False)
        case Effect.ASKED_AGAIN:
            return replace(case, asked=case.asked + 1, asked_until=awaited)
        case Effect.PROLONG:
            return replace(case, asked_until=awaited, prolonged=case.prolonged + 1)
        case Effect.RESUME:
            clock = clock.resume(minute)
            case = replace(case, asked=0, asked_until=None, prolonged=0, inquiring=False)
        case Effect.INQUIRE:
            # the day it begins is the first of so many days
            clock = clock.pause(minute, last=_days_after(minute, act.amount - 1))
            case = replace(case, inquiries=case.inquiries + 1, inquiring=True)
        case Effect.EXTEND:
            clock = clock.extend(act.amount)
        case Effect.STOP:
            clock = clock.stop(minute)
            case = replace(case, asked=0, asked_until=None, inquiring=False)
        case Effect.RESTART:
            again = Clock(minute, clock.term)
            return replace(case, clocks=(*case.clocks, again), consent=False, inquiries=0, rating=None)
    return replace(case, clocks=(*case.clocks[:-1], clock))
