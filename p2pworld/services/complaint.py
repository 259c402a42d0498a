"""The complaint 민원, as one table.

접수 → 배정 (↔ 이송) → 처리중 (↔ 보완요청) → 완료 | 거부 | 반려 | 취하 | 종결, and 재접수.

A transfer takes no time from the citizen: the clock goes on. It stands while a supplement is awaited and, up to a
bound, while an office looks into the matter on site. Papers are given back (반려) only after two requests in vain; that
is no refusal (거부), which is a decision on the merits. To close (종결) is to answer no more: a third complaint of the
same content, a citizen who could be reached at neither attempt, or a matter the law takes out of complaints. The office
extends once, for the length of the term at most; a second time needs the citizen's consent.
"""

from __future__ import annotations

from typing import Final

from p2pworld.services.workflow import Action, Effect, Family, Need, Rule, State, Who

__all__ = ["COMPLAINT"]

CITIZEN: Final = frozenset({Who.CITIZEN})
OFFICE: Final = frozenset({Who.OFFICIAL, Who.DECIDER})
DECIDER: Final = frozenset({Who.DECIDER})

NEW: Final = frozenset({State.RECEIVED, State.REOPENED, State.TRANSFERRED})
WORKED: Final = frozenset({State.ASSIGNED, State.SITE_CHECK, State.IN_PROGRESS})
AWAITED: Final = frozenset({State.SUPPLEMENT_REQUESTED})
OPEN: Final = NEW | WORKED | AWAITED
ANSWERED: Final = frozenset({State.COMPLETED, State.RETURNED})

COMPLAINT: Final = Family(
    name="complaint",
    chain=(State.RECEIVED, State.ASSIGNED, State.SITE_CHECK, State.IN_PROGRESS, State.COMPLETED),
    sides=frozenset(
        {
            State.TRANSFERRED,
            State.SUPPLEMENT_REQUESTED,
            State.REFUSED,
            State.RETURNED,
            State.WITHDRAWN,
            State.CLOSED,
            State.REOPENED,
        }
    ),
    ends=frozenset({State.COMPLETED, State.REFUSED, State.RETURNED, State.WITHDRAWN, State.CLOSED}),
    rules=(
        # action, who, in which states, to which, the clock, what must be so
        Rule(Action.ASSIGN, OFFICE, NEW, State.ASSIGNED),
        Rule(Action.REASSIGN, OFFICE, WORKED | AWAITED, None),
        Rule(Action.TRANSFER, OFFICE, NEW | WORKED, State.TRANSFERRED, need=Need.TRANSFER_LEFT),
        Rule(Action.VISIT, OFFICE, frozenset({State.ASSIGNED}), State.SITE_CHECK),
        Rule(Action.BEGIN, OFFICE, frozenset({State.SITE_CHECK}), State.IN_PROGRESS),
        Rule(Action.NOTE, OFFICE, OPEN, None),
        Rule(Action.ASK, OFFICE, WORKED, State.SUPPLEMENT_REQUESTED, Effect.PAUSE),
        Rule(Action.ASK_AGAIN, OFFICE, AWAITED, None, Effect.ASKED_AGAIN, Need.ASK_OVER),
        Rule(Action.PROLONG, CITIZEN, AWAITED, None, Effect.PROLONG, Need.PROLONG_LEFT),
        Rule(Action.SUPPLEMENT, CITIZEN, AWAITED, State.IN_PROGRESS, Effect.RESUME),
        Rule(Action.GO_ON, OFFICE, AWAITED, State.IN_PROGRESS, Effect.RESUME),
        Rule(
            Action.INQUIRE,
            OFFICE,
            frozenset({State.IN_PROGRESS}),
            None,
            Effect.INQUIRE,
            Need.INQUIRY_LEFT,
        ),
        Rule(Action.INQUIRED, OFFICE, frozenset({State.IN_PROGRESS}), None, Effect.RESUME, Need.INQUIRING),
        Rule(Action.EXTEND, OFFICE, WORKED, None, Effect.EXTEND, Need.EXTENSION_LEFT),
        Rule(Action.CONSENT, CITIZEN, OPEN, None, need=Need.CONSENT_USEFUL),
        Rule(Action.COMPLETE, DECIDER, frozenset({State.IN_PROGRESS}), State.COMPLETED, Effect.STOP),
        Rule(Action.REFUSE, DECIDER, frozenset({State.IN_PROGRESS}), State.REFUSED, Effect.STOP),
        Rule(Action.RETURN, DECIDER, AWAITED, State.RETURNED, Effect.STOP, Need.ASKED_TWICE),
        Rule(Action.CLOSE, DECIDER, NEW | WORKED, State.CLOSED, Effect.STOP),
        Rule(Action.WITHDRAW, CITIZEN, OPEN, State.WITHDRAWN, Effect.STOP),
        Rule(Action.REOPEN, CITIZEN, ANSWERED, State.REOPENED, Effect.RESTART, Need.REOPEN_IN_TIME),
        Rule(Action.RATE, CITIZEN, ANSWERED, None, need=Need.NOT_RATED),
    ),
)
