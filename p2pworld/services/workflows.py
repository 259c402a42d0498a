"""The tables of all services that are no complaint, in the form of `complaint.py`, and the list of all tables.

- `decision`: an application that somebody examines and grants or refuses.
- `opinion`: an opinion on a plan, which is taken up, partly or not.
- `proposal`: a proposal that needs supporters before it is examined.
- `selection`: a call with more applicants than places, judged on papers and in an interview.
- `appointment`: a consultation, lesson or escort: somebody is assigned, a date is set, it takes place.
- `inquiry`: a question that an official answers, or a program with an official's grant that may hand it to a person.
- `booking`: a place in a slot, first come first served; `hire`: the same where somebody gives a permit first;
  `draw`: the same by lot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.services.complaint import AWAITED, CITIZEN, COMPLAINT, DECIDER, OFFICE
from p2pworld.services.workflow import Action, Effect, Family, Need, Rule, State, Who

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FAMILIES"]

SYSTEM: Final = frozenset({Who.SYSTEM})
CITIZEN_OR_OFFICE: Final = CITIZEN | OFFICE


def _at(*states: State) -> frozenset[State]:
    return frozenset(states)


# a supplement is asked for, given or not, as in a complaint; `back` is where the work goes on
def _supplements(asked_at: frozenset[State], back: State, returned: bool) -> tuple[Rule, ...]:
    rules = (
        Rule(Action.ASK, OFFICE, asked_at, State.SUPPLEMENT_REQUESTED, Effect.PAUSE),
        Rule(Action.ASK_AGAIN, OFFICE, AWAITED, None, Effect.ASKED_AGAIN, Need.ASK_OVER),
        Rule(Action.PROLONG, CITIZEN, AWAITED, None, Effect.PROLONG, Need.PROLONG_LEFT),
        Rule(Action.SUPPLEMENT, CITIZEN, AWAITED, back, Effect.RESUME),
        Rule(Action.GO_ON, OFFICE, AWAITED, back, Effect.RESUME),
    )
    back_to_citizen = Rule(Action.RETURN, DECIDER, AWAITED, State.RETURNED, Effect.STOP, Need.ASKED_TWICE)
    return (*rules, back_to_citizen) if returned else rules


def _extensions(at: frozenset[State]) -> tuple[Rule, ...]:
    return (
        Rule(Action.EXTEND, OFFICE, at, None, Effect.EXTEND, Need.EXTENSION_LEFT),
        Rule(Action.CONSENT, CITIZEN, at, None, need=Need.CONSENT_USEFUL),
    )


# ---- an application that is decided
#      The clock stops with the decision; what follows (confirming, paying) is the citizen's time.

_DECIDED_AT: Final = _at(State.RECEIVED, State.ASSIGNED, State.REVIEWING)
_DECIDE_NEW: Final = _at(State.RECEIVED, State.TRANSFERRED, State.REOPENED)
_GRANTED: Final = _at(State.APPROVED, State.PAYMENT_DUE, State.CONFIRMED)

DECISION: Final = Family(
    name="decision",
    chain=(
        State.RECEIVED,
        State.ASSIGNED,
        State.REVIEWING,
        State.APPROVED,
        State.PAYMENT_DUE,
        State.CONFIRMED,
        State.COMPLETED,
    ),
    sides=_at(
        State.TRANSFERRED,
        State.SUPPLEMENT_REQUESTED,
        State.REFUSED,
        State.RETURNED,
        State.WITHDRAWN,
        State.REOPENED,
    ),
    ends=_at(State.COMPLETED, State.REFUSED, State.RETURNED, State.WITHDRAWN),
    rules=(
        Rule(Action.ASSIGN, OFFICE, _DECIDE_NEW, State.ASSIGNED),
        Rule(Action.REASSIGN, OFFICE, _at(State.ASSIGNED, State.REVIEWING) | AWAITED, None),
        Rule(
            Action.TRANSFER,
            OFFICE,
            _DECIDED_AT | _at(State.TRANSFERRED, State.REOPENED),
            State.TRANSFERRED,
            need=Need.TRANSFER_LEFT,
        ),
        Rule(Action.REVIEW, OFFICE, _at(State.ASSIGNED), State.REVIEWING),
        Rule(Action.NOTE, OFFICE, _DECIDED_AT | _DECIDE_NEW | AWAITED | _GRANTED, None),
        *_supplements(_DECIDED_AT, State.REVIEWING, returned=True),
        *_extensions(_DECIDED_AT),
        Rule(Action.APPROVE, DECIDER, _at(State.REVIEWING), State.APPROVED, Effect.STOP),
        Rule(Action.REFUSE, DECIDER, _at(State.ASSIGNED, State.REVIEWING), State.REFUSED, Effect.STOP),
        # what cannot be taken as it is goes back; that decides nothing about the matter
        Rule(Action.RETURN, DECIDER, _at(State.REVIEWING), State.RETURNED, Effect.STOP),
        Rule(Action.CLAIM, OFFICE, _at(State.APPROVED), State.PAYMENT_DUE),
        Rule(Action.CONFIRM, OFFICE, _at(State.PAYMENT_DUE), State.CONFIRMED, Effect.STOP),
        Rule(Action.COMPLETE, DECIDER, _at(State.CONFIRMED), State.COMPLETED, Effect.STOP),
        Rule(
            Action.WITHDRAW,
            CITIZEN,
            _DECIDED_AT | _DECIDE_NEW | AWAITED | _GRANTED,
            State.WITHDRAWN,
            Effect.STOP,
        ),
        Rule(
            Action.REOPEN,
            CITIZEN,
            _at(State.COMPLETED, State.RETURNED),
            State.REOPENED,
            Effect.RESTART,
            Need.REOPEN_IN_TIME,
        ),
        Rule(Action.RATE, CITIZEN, _at(State.COMPLETED, State.RETURNED), None, need=Need.NOT_RATED),
    ),
)


# ---- an opinion on a plan

_OPINION_OUT: Final = _at(State.REFLECTED, State.PARTLY_REFLECTED, State.NOT_REFLECTED)

OPINION: Final = Family(
    name="opinion",
    chain=(State.RECEIVED, State.REVIEWING, State.COMPLETED),
    sides=_at(State.SUPPLEMENT_REQUESTED, State.WITHDRAWN) | _OPINION_OUT,
    ends=_at(State.COMPLETED, State.WITHDRAWN),
    rules=(
        Rule(Action.REVIEW, OFFICE, _at(State.RECEIVED), State.REVIEWING),
        Rule(Action.NOTE, OFFICE, _at(State.RECEIVED, State.REVIEWING) | AWAITED, None),
        *_supplements(_at(State.RECEIVED, State.REVIEWING), State.REVIEWING, returned=False),
        *_extensions(_at(State.RECEIVED, State.REVIEWING)),
        Rule(Action.TAKE_UP, DECIDER, _at(State.REVIEWING), State.REFLECTED),
        Rule(Action.TAKE_UP_PARTLY, DECIDER, _at(State.REVIEWING), State.PARTLY_REFLECTED),
        Rule(Action.NOT_TAKE_UP, DECIDER, _at(State.REVIEWING), State.NOT_REFLECTED),
        # the outcome is told to who wrote
        Rule(Action.COMPLETE, DECIDER, _OPINION_OUT, State.COMPLETED, Effect.STOP),
        Rule(
            Action.WITHDRAW,
            CITIZEN,
            _at(State.RECEIVED, State.REVIEWING) | AWAITED,
            State.WITHDRAWN,
            Effect.STOP,
        ),
        Rule(Action.RATE, CITIZEN, _at(State.COMPLETED), None, need=Need.NOT_RATED),
    ),
)


# ---- a proposal that gathers supporters
#      The office's clock begins with the filing; the declaration's term covers the gathering as well.

_PROPOSED: Final = _at(State.RECEIVED, State.GATHERING_SUPPORT, State.REVIEWING)

PROPOSAL: Final = Family(
    name="proposal",
    chain=(State.RECEIVED, State.GATHERING_SUPPORT, State.REVIEWING, State.ADOPTED, State.COMPLETED),
    sides=_at(State.NOT_ADOPTED, State.SUPPLEMENT_REQUESTED, State.WITHDRAWN, State.CLOSED),
    ends=_at(State.COMPLETED, State.WITHDRAWN, State.CLOSED),
    rules=(
        Rule(Action.GATHER, OFFICE, _at(State.RECEIVED), State.GATHERING_SUPPORT),
        # enough have supported it, wherever they said so, or its time is over and they were too few
        Rule(Action.REVIEW, SYSTEM | OFFICE, _at(State.GATHERING_SUPPORT), State.REVIEWING),
        Rule(Action.EXPIRE, SYSTEM, _at(State.GATHERING_SUPPORT), State.CLOSED, Effect.STOP),
        Rule(Action.NOTE, OFFICE, _PROPOSED | AWAITED, None),
        *_supplements(_at(State.REVIEWING), State.REVIEWING, returned=False),
        *_extensions(_at(State.REVIEWING)),
        Rule(Action.ADOPT, DECIDER, _at(State.REVIEWING), State.ADOPTED),
        Rule(Action.NOT_ADOPT, DECIDER, _at(State.REVIEWING), State.NOT_ADOPTED),
        Rule(Action.COMPLETE, DECIDER, _at(State.ADOPTED, State.NOT_ADOPTED), State.COMPLETED, Effect.STOP),
        Rule(Action.CLOSE, DECIDER, _PROPOSED, State.CLOSED, Effect.STOP),
        Rule(Action.WITHDRAW, CITIZEN, _PROPOSED | AWAITED, State.WITHDRAWN, Effect.STOP),
        Rule(Action.RATE, CITIZEN, _at(State.COMPLETED), None, need=Need.NOT_RATED),
    ),
)


# ---- a call that selects

_JUDGED: Final = _at(State.APPLIED, State.REVIEWING, State.DOCUMENT_REVIEW, State.INTERVIEW)
_CHOSEN: Final = _at(State.SELECTED, State.CONTRACT, State.CONFIRMED, State.RUNNING)

SELECTION: Final = Family(
    name="selection",
    chain=(
        State.APPLIED,
        State.REVIEWING,
        State.DOCUMENT_REVIEW,
        State.INTERVIEW,
        State.SELECTED,
        State.CONTRACT,
        State.CONFIRMED,
        State.RUNNING,
        State.COMPLETED,
    ),
    sides=_at(State.SUPPLEMENT_REQUESTED, State.NOT_SELECTED, State.WITHDRAWN),
    ends=_at(State.COMPLETED, State.NOT_SELECTED, State.WITHDRAWN),
    rules=(
        Rule(Action.REVIEW, OFFICE, _at(State.APPLIED), State.REVIEWING),
        Rule(Action.READ_PAPERS, OFFICE, _at(State.REVIEWING), State.DOCUMENT_REVIEW),
        Rule(Action.INTERVIEW, DECIDER, _at(State.DOCUMENT_REVIEW), State.INTERVIEW),
        Rule(Action.NOTE, OFFICE, _JUDGED | _CHOSEN | AWAITED, None),
        *_supplements(_JUDGED, State.REVIEWING, returned=False),
        Rule(Action.SELECT, DECIDER, _at(State.INTERVIEW), State.SELECTED, Effect.STOP),
        Rule(Action.DECLINE, DECIDER, _JUDGED, State.NOT_SELECTED, Effect.STOP),
        Rule(Action.CONTRACT, OFFICE, _at(State.SELECTED), State.CONTRACT),
        Rule(Action.CONFIRM, OFFICE, _at(State.CONTRACT), State.CONFIRMED),
        Rule(Action.START, OFFICE, _at(State.CONFIRMED), State.RUNNING),
        Rule(Action.RENEW, DECIDER, _at(State.RUNNING), None),  # a tenancy for another term
        Rule(Action.COMPLETE, OFFICE, _at(State.RUNNING), State.COMPLETED, Effect.STOP),
        Rule(Action.WITHDRAW, CITIZEN, _JUDGED | _CHOSEN | AWAITED, State.WITHDRAWN, Effect.STOP),
        Rule(Action.RATE, CITIZEN, _at(State.COMPLETED), None, need=Need.NOT_RATED),
    ),
)


# ---- somebody is assigned, a date is set, it takes place

_PLANNED: Final = _at(State.APPLIED, State.REVIEWING, State.APPROVED, State.ASSIGNED, State.SCHEDULED)
_QUEUED: Final = _at(State.TRANSFERRED, State.WAITING)
_MET: Final = _PLANNED | _QUEUED | _at(State.RUNNING) | AWAITED

APPOINTMENT: Final = Family(
    name="appointment",
    chain=(
        State.APPLIED,
        State.REVIEWING,
        State.APPROVED,
        State.ASSIGNED,
        State.SCHEDULED,
        State.RUNNING,
        State.COMPLETED,
    ),
    sides=_at(
        State.TRANSFERRED,
        State.WAITING,
        State.SUPPLEMENT_REQUESTED,
        State.REFUSED,
        State.WITHDRAWN,
        State.CANCELLED,
        State.NO_SHOW,
        State.EMERGENCY,
    ),
    ends=_at(
        State.COMPLETED, State.REFUSED, State.WITHDRAWN, State.CANCELLED, State.NO_SHOW, State.EMERGENCY
    ),
    rules=(
        Rule(Action.REVIEW, OFFICE, _at(State.APPLIED), State.REVIEWING),
        Rule(Action.APPROVE, DECIDER, _at(State.REVIEWING), State.APPROVED),
        Rule(Action.REFUSE, DECIDER, _at(State.APPLIED, State.REVIEWING), State.REFUSED, Effect.STOP),
        Rule(Action.ASSIGN, OFFICE, _at(State.APPROVED) | _QUEUED, State.ASSIGNED),
        Rule(Action.REASSIGN, OFFICE, _at(State.ASSIGNED, State.SCHEDULED, State.RUNNING) | AWAITED, None),
        Rule(Action.TRANSFER, OFFICE, _PLANNED | _QUEUED, State.TRANSFERRED, need=Need.TRANSFER_LEFT),
        Rule(Action.WAIT, OFFICE, _at(State.APPLIED, State.APPROVED), State.WAITING),
        Rule(Action.NOTE, OFFICE, _MET, None),
        *_supplements(_PLANNED, State.ASSIGNED, returned=False),
        Rule(Action.SCHEDULE, CITIZEN_OR_OFFICE, _at(State.ASSIGNED), State.SCHEDULED),
        # the term is that of the first answer: it ends when the talk begins
        Rule(Action.START, OFFICE, _at(State.SCHEDULED), State.RUNNING, Effect.STOP),
        Rule(Action.COMPLETE, OFFICE, _at(State.RUNNING), State.COMPLETED, Effect.STOP),
        Rule(Action.MISS, OFFICE, _at(State.SCHEDULED), State.NO_SHOW, Effect.STOP),
        Rule(Action.CANCEL, CITIZEN_OR_OFFICE, _MET, State.CANCELLED, Effect.STOP),
        Rule(Action.WITHDRAW, CITIZEN, _MET, State.WITHDRAWN, Effect.STOP),
        Rule(Action.EMERGENCY, CITIZEN_OR_OFFICE | SYSTEM, _MET, State.EMERGENCY, Effect.STOP),
        Rule(Action.RATE, CITIZEN, _at(State.COMPLETED), None, need=Need.NOT_RATED),
    ),
)


# ---- a question that a program may answer
#      A program acts as an official does, by a grant to its own key: no other way leads into the log, and the grant
#      shows who answers for it. The log's holder itself answers nothing.

INQUIRY: Final = Family(
    name="inquiry",
    chain=(State.RECEIVED, State.IN_PROGRESS, State.COMPLETED),
    sides=_at(State.HANDED_TO_PERSON, State.CLOSED),
    ends=_at(State.COMPLETED, State.CLOSED),
    rules=(
        Rule(Action.BEGIN, OFFICE, _at(State.RECEIVED), State.IN_PROGRESS),
        Rule(
            Action.HAND_OVER,
            CITIZEN_OR_OFFICE,
            _at(State.RECEIVED, State.IN_PROGRESS),
            State.HANDED_TO_PERSON,
        ),
        Rule(Action.NOTE, OFFICE, _at(State.IN_PROGRESS, State.HANDED_TO_PERSON), None),
        Rule(
            Action.COMPLETE,
            OFFICE,
            _at(State.IN_PROGRESS, State.HANDED_TO_PERSON),
            State.COMPLETED,
            Effect.STOP,
        ),
        Rule(
            Action.CLOSE,
            CITIZEN_OR_OFFICE,
            _at(State.RECEIVED, State.IN_PROGRESS, State.HANDED_TO_PERSON),
            State.CLOSED,
            Effect.STOP,
        ),
        Rule(Action.RATE, CITIZEN, _at(State.COMPLETED), None, need=Need.NOT_RATED),
    ),
)


# ---- places in slots: who gets one is decided in `reservations` and `lottery`; the tables say what comes of it


def _places(
    granted: State, before: frozenset[State], awaited: frozenset[State] = frozenset()
) -> tuple[Rule, ...]:
    """From the state in which a place is given to its use; `before` are the states in which there is none yet."""
    placed = _at(granted, State.PAYMENT_DUE, State.CONFIRMED, State.RUNNING)
    return (
        # the term is that of the answer: a place, a number on the waiting list, or none
        Rule(Action.CLAIM, SYSTEM | CITIZEN_OR_OFFICE, _at(granted), State.PAYMENT_DUE, Effect.STOP),
        Rule(
            Action.CONFIRM, SYSTEM | CITIZEN_OR_OFFICE, _at(State.PAYMENT_DUE), State.CONFIRMED, Effect.STOP
        ),
        Rule(Action.WAIT, SYSTEM | CITIZEN, before, State.WAITING, Effect.STOP),
        Rule(
            Action.EXPIRE, SYSTEM, _at(granted, State.PAYMENT_DUE, State.WAITING), State.EXPIRED, Effect.STOP
        ),
        Rule(
            Action.CANCEL,
            CITIZEN_OR_OFFICE,
            before | placed | awaited | _at(State.WAITING),
            State.CANCELLED,
            Effect.STOP,
        ),
        Rule(Action.NOTE, OFFICE, before | placed | _at(State.WAITING), None),
        Rule(Action.START, SYSTEM | OFFICE, _at(State.CONFIRMED), State.RUNNING),
        Rule(Action.USE, SYSTEM | OFFICE, _at(State.RUNNING), State.USED, Effect.STOP),
        Rule(Action.MISS, SYSTEM | OFFICE, _at(State.CONFIRMED), State.NO_SHOW, Effect.STOP),
        Rule(Action.RATE, CITIZEN, _at(State.USED), None, need=Need.NOT_RATED),
    )


_PLACE_SIDES: Final = _at(State.WAITING, State.CANCELLED, State.EXPIRED, State.NO_SHOW)
_PLACE_ENDS: Final = _at(State.USED, State.CANCELLED, State.EXPIRED, State.NO_SHOW)

BOOKING: Final = Family(
    name="booking",
    chain=(
        State.APPLIED,
        State.ASSIGNED,
        State.HELD,
        State.PAYMENT_DUE,
        State.CONFIRMED,
        State.RUNNING,
        State.USED,
    ),
    sides=_PLACE_SIDES | AWAITED,
    ends=_PLACE_ENDS,
    rules=(
        Rule(Action.ASSIGN, OFFICE, _at(State.APPLIED), State.ASSIGNED),
        *_supplements(_at(State.APPLIED, State.ASSIGNED), State.ASSIGNED, returned=False),
        Rule(Action.HOLD, SYSTEM | OFFICE, _at(State.ASSIGNED), State.HELD, Effect.STOP),
        Rule(Action.MOVE_UP, SYSTEM, _at(State.WAITING), State.HELD),
        *_places(State.HELD, _at(State.APPLIED, State.ASSIGNED), AWAITED),
    ),
)

_ASKED: Final = _at(State.APPLIED, State.REVIEWING)

HIRE: Final = Family(
    name="hire",
    chain=(
        State.APPLIED,
        State.REVIEWING,
        State.APPROVED,
        State.CONTRACT,
        State.PAYMENT_DUE,
        State.CONFIRMED,
        State.RUNNING,
        State.USED,
    ),
    sides=_PLACE_SIDES | AWAITED | _at(State.REFUSED),
    ends=_PLACE_ENDS | _at(State.REFUSED),
    rules=(
        Rule(Action.REVIEW, OFFICE, _at(State.APPLIED), State.REVIEWING),
        *_supplements(_ASKED, State.REVIEWING, returned=False),
        Rule(Action.APPROVE, DECIDER, _at(State.REVIEWING), State.APPROVED, Effect.STOP),
        Rule(Action.REFUSE, DECIDER, _ASKED, State.REFUSED, Effect.STOP),
        Rule(Action.CONTRACT, OFFICE, _at(State.APPROVED), State.CONTRACT),
        Rule(Action.MOVE_UP, SYSTEM | OFFICE, _at(State.WAITING), State.REVIEWING),
        *_places(State.CONTRACT, _ASKED | _at(State.APPROVED), AWAITED),
    ),
)

DRAW: Final = Family(
    name="draw",
    chain=(
        State.APPLIED,
        State.DRAW_PENDING,
        State.DRAWN,
        State.PAYMENT_DUE,
        State.CONFIRMED,
        State.RUNNING,
        State.USED,
    ),
    sides=_PLACE_SIDES | _at(State.NOT_DRAWN),
    ends=_PLACE_ENDS | _at(State.NOT_DRAWN),
    rules=(
        Rule(Action.ENTER, SYSTEM, _at(State.APPLIED), State.DRAW_PENDING, Effect.STOP),
        Rule(Action.DRAW, SYSTEM, _at(State.DRAW_PENDING), State.DRAWN),
        Rule(Action.NOT_DRAW, SYSTEM, _at(State.DRAW_PENDING), State.NOT_DRAWN, Effect.STOP),
        # who was drawn as a spare waits for a place that is given up
        Rule(Action.MOVE_UP, SYSTEM, _at(State.WAITING), State.DRAWN),
        *_places(State.DRAWN, _at(State.APPLIED, State.DRAW_PENDING)),
    ),
)

FAMILIES: Final[Mapping[str, Family]] = {
    family.name: family
    for family in (
        COMPLAINT,
        DECISION,
        OPINION,
        PROPOSAL,
        SELECTION,
        APPOINTMENT,
        INQUIRY,
        BOOKING,
        HIRE,
        DRAW,
    )
}
