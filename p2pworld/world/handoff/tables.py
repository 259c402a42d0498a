"""The whole protocol of a handoff as two tables that a reader can check by eye.

For every state and event a list of rules, of which the first whose guards all hold is taken; a pair with no rule that
holds is ignored. `person.step` interprets them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

__all__ = [
    "ROW",
    "SEAT",
    "TABLES",
    "Act",
    "Guard",
    "RowAt",
    "RowOn",
    "RowTable",
    "Rule",
    "SeatAt",
    "SeatOn",
    "SeatTable",
    "Tables",
]


class RowAt(Enum):
    """Where the row stands. OWNED, PREPARING and INVITED own the avatar; the others do not."""

    NONE = auto()
    DORMANT = auto()
    OWNED = auto()
    PREPARING = auto()
    INVITED = auto()
    RELEASED = auto()

    @property
    def owns(self) -> bool:
        """Whether this node is the one that simulates the avatar."""
        return self in (RowAt.OWNED, RowAt.PREPARING, RowAt.INVITED)


class SeatAt(Enum):
    """Where the seat stands: nothing kept, kept under a ticket, or a client sitting on it and waiting."""

    EMPTY = auto()
    RESERVED = auto()
    ATTACHED = auto()


class RowOn(Enum):
    """What may happen to a row."""

    LEAVES = auto()
    CAME_BACK = auto()
    READY = auto()
    REFUSED = auto()
    ATTACHED = auto()
    ACK = auto()
    NAK = auto()
    DESTINATION_ENDED = auto()
    TIMER = auto()
    SOCKET_LOST = auto()
    HELLO = auto()
    OUTLIVED = auto()
    SEAT_TOOK = auto()


class SeatOn(Enum):
    """What may happen to a seat."""

    PREPARE = auto()
    TICKET = auto()
    COMMIT = auto()
    CANCEL = auto()
    TIMER = auto()
    SOCKET_LOST = auto()
    OUTLIVED = auto()


class Guard(Enum):
    """What must hold for a rule: about the message against the row or seat, or about this node."""

    SAME_K = auto()  # the attempt and the peer are those of the row
    SAME_R = auto()  # the ticket is that of the row or seat
    LAPSED = auto()  # this node's lease has run out
    HOLDING = auto()  # it has not
    NEWER = auto()  # the login is larger than the largest known
    FITS = auto()  # the cell is mine and there is room
    NOT_OLD = auto()  # the login is not smaller than the largest known
    RIGHT_LOGIN = auto()  # the login is that of the seat
    FOR_ME = auto()  # the commit names this incarnation
    KNOWN = auto()  # this version or a larger one is known here


class Act(Enum):
    """What a rule does, in order."""

    PREPARE = auto()  # ask the destination for a seat
    INVITE = auto()  # remember the ticket, send MOVED to the client
    CANCEL = auto()  # give up the ticket this message names, at its sender
    CANCEL_MINE = auto()  # give up the ticket of the row, at its destination
    HOP = auto()  # one more handoff
    COMMIT = auto()  # (re)send the commit
    CLOSE = auto()  # close the row's socket: the client has another
    CLOSE_AGAIN = auto()  # close the row's socket with "log in again"
    CLOSE_ELSEWHERE = auto()  # close the row's socket: a newer login is known
    REFUSE_ELSEWHERE = auto()  # answer the HELLO: a login not smaller is known
    REFUSE_LAPSED = auto()  # answer the HELLO: this node takes nobody now
    ADOPT = auto()  # the HELLO's login and socket are the row's
    TAKE = auto()  # the commit's login and hop, the seat's socket are the row's
    DROP_SOCKET = auto()  # the row has no socket now
    RESERVE = auto()  # a fresh ticket for this attempt, READY to the source
    REFUSE = auto()  # REFUSED to the message's sender
    REFUSE_SOURCE = auto()  # REFUSED to the seat's source
    HOLD = auto()  # the client sits here; ATTACHED to the source
    CLOSE_HELD = auto()  # close the waiting client's socket
    CLOSE_HELD_ELSEWHERE = auto()  # the same, saying that a newer login is known
    EXPIRED = auto()  # answer the ticket: nothing is kept under it
    ACK = auto()
    NAK = auto()
    OWN = auto()  # tell the row that the seat took a commit


@dataclass(frozen=True, slots=True)
class Rule:
    """When all `guards` hold: do `acts`, then stand at `to`."""

    guards: frozenset[Guard]
    to: RowAt | SeatAt
    acts: tuple[Act, ...]


def _rule(to: RowAt | SeatAt, *acts: Act, when: tuple[Guard, ...] = ()) -> Rule:
    return Rule(frozenset(when), to, acts)


RowTable = Mapping[tuple[RowAt, RowOn], tuple[Rule, ...]]
SeatTable = Mapping[tuple[SeatAt, SeatOn], tuple[Rule, ...]]

_N, _D, _O, _P, _I, _R = (
    RowAt.NONE,
    RowAt.DORMANT,
    RowAt.OWNED,
    RowAt.PREPARING,
    RowAt.INVITED,
    RowAt.RELEASED,
)
_LAPSED, _HOLDING, _NEWER = (Guard.LAPSED,), (Guard.HOLDING,), (Guard.NEWER,)
_REFUSALS: Final = {
    at: (
        _rule(at, Act.REFUSE_LAPSED, when=_NEWER),  # it would be taken if the lease held
        _rule(at, Act.REFUSE_ELSEWHERE),
    )
    for at in RowAt
}

# An OWNED row that has no socket is DORMANT: `step` sees to it, so that no rule has to say it twice.
ROW: Final[RowTable] = {
    # nobody here: only a login above the floor, or a commit, makes an owner
    (_N, RowOn.READY): (_rule(_N, Act.CANCEL),),
    (_N, RowOn.ATTACHED): (_rule(_N, Act.CANCEL),),
    (_N, RowOn.HELLO): (_rule(_O, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)), *_REFUSALS[_N]),
    (_N, RowOn.SEAT_TOOK): (_rule(_O, Act.TAKE),),
    # drawn at its last place, owned by nobody, until its client is back
    (_D, RowOn.READY): (_rule(_D, Act.CANCEL),),
    (_D, RowOn.ATTACHED): (_rule(_D, Act.CANCEL),),
    (_D, RowOn.TIMER): (_rule(_N),),
    (_D, RowOn.HELLO): (_rule(_O, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)), *_REFUSALS[_D]),
    (_D, RowOn.OUTLIVED): (_rule(_N),),
    (_D, RowOn.SEAT_TOOK): (_rule(_O, Act.TAKE),),
    # mine
    (_O, RowOn.LEAVES): (_rule(_P, Act.PREPARE, when=_HOLDING),),
    (_O, RowOn.READY): (_rule(_O, Act.CANCEL),),
    (_O, RowOn.ATTACHED): (_rule(_O, Act.CANCEL),),
    (_O, RowOn.SOCKET_LOST): (_rule(_D, Act.DROP_SOCKET),),
    (_O, RowOn.HELLO): (
        _rule(_O, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_O],
    ),
    (_O, RowOn.OUTLIVED): (_rule(_N, Act.CLOSE_ELSEWHERE),),
    (_O, RowOn.SEAT_TOOK): (_rule(_O, Act.CLOSE, Act.TAKE),),
    # mine, and a seat is being asked for
    (_P, RowOn.CAME_BACK): (_rule(_O),),
    (_P, RowOn.READY): (_rule(_I, Act.INVITE, when=(Guard.SAME_K,)), _rule(_P, Act.CANCEL)),
    (_P, RowOn.REFUSED): (_rule(_O, when=(Guard.SAME_K,)),),
    (_P, RowOn.ATTACHED): (_rule(_P, Act.CANCEL),),
    (_P, RowOn.DESTINATION_ENDED): (_rule(_O),),
    (_P, RowOn.TIMER): (_rule(_O),),
    (_P, RowOn.SOCKET_LOST): (_rule(_P, Act.DROP_SOCKET),),
    (_P, RowOn.HELLO): (
        _rule(_O, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_P],
    ),
    (_P, RowOn.OUTLIVED): (_rule(_N, Act.CLOSE_ELSEWHERE),),
    (_P, RowOn.SEAT_TOOK): (_rule(_O, Act.CLOSE, Act.TAKE),),
    # mine, and the client is invited to the seat
    (_I, RowOn.CAME_BACK): (_rule(_O, Act.CANCEL_MINE),),
    (_I, RowOn.READY): (_rule(_I, when=(Guard.SAME_R,)), _rule(_I, Act.CANCEL)),
    (_I, RowOn.REFUSED): (_rule(_O, Act.CANCEL_MINE, when=(Guard.SAME_K,)),),
    (_I, RowOn.ATTACHED): (
        _rule(_O, Act.CANCEL_MINE, when=(Guard.SAME_R, Guard.LAPSED)),
        _rule(_R, Act.HOP, Act.COMMIT, when=(Guard.SAME_R,)),
        _rule(_I, Act.CANCEL),
    ),
    (_I, RowOn.DESTINATION_ENDED): (_rule(_O),),
    (_I, RowOn.TIMER): (_rule(_O, Act.CANCEL_MINE),),
    (_I, RowOn.SOCKET_LOST): (_rule(_I, Act.DROP_SOCKET),),
    (_I, RowOn.HELLO): (
        _rule(_O, Act.CANCEL_MINE, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_I],
    ),
    (_I, RowOn.OUTLIVED): (_rule(_N, Act.CANCEL_MINE, Act.CLOSE_ELSEWHERE),),
    (_I, RowOn.SEAT_TOOK): (_rule(_O, Act.CANCEL_MINE, Act.CLOSE, Act.TAKE),),
    # given away; its old socket stays until the new owner answers
    (_R, RowOn.READY): (_rule(_R, when=(Guard.SAME_R,)), _rule(_R, Act.CANCEL)),
    (_R, RowOn.ATTACHED): (
        _rule(_R, when=(Guard.SAME_R, Guard.LAPSED)),
        _rule(_R, Act.COMMIT, when=(Guard.SAME_R,)),
        _rule(_R, Act.CANCEL),
    ),
    (_R, RowOn.ACK): (_rule(_N, Act.CLOSE, when=(Guard.SAME_R,)),),
    (_R, RowOn.NAK): (_rule(_N, Act.CLOSE_AGAIN, when=(Guard.SAME_R,)),),
    (_R, RowOn.DESTINATION_ENDED): (_rule(_N, Act.CLOSE_AGAIN),),
    (_R, RowOn.TIMER): (_rule(_N, Act.CLOSE_AGAIN),),
    (_R, RowOn.SOCKET_LOST): (_rule(_R, Act.DROP_SOCKET),),
    (_R, RowOn.HELLO): (
        _rule(_O, Act.CLOSE_ELSEWHERE, Act.ADOPT, when=(Guard.NEWER, Guard.HOLDING)),
        *_REFUSALS[_R],
    ),
    (_R, RowOn.OUTLIVED): (_rule(_N, Act.CLOSE_ELSEWHERE),),
    (_R, RowOn.SEAT_TOOK): (_rule(_O, Act.CLOSE, Act.TAKE),),
}

_E, _S, _A = SeatAt.EMPTY, SeatAt.RESERVED, SeatAt.ATTACHED
_WELCOME = (Guard.FITS, Guard.NOT_OLD, Guard.HOLDING)
_ANSWER: Final = {at: (_rule(at, Act.ACK, when=(Guard.KNOWN,)), _rule(at, Act.NAK)) for at in SeatAt}

SEAT: Final[SeatTable] = {
    (_E, SeatOn.PREPARE): (_rule(_S, Act.RESERVE, when=_WELCOME), _rule(_E, Act.REFUSE)),
    (_E, SeatOn.TICKET): (_rule(_E, Act.EXPIRED),),
    (_E, SeatOn.COMMIT): _ANSWER[_E],
    # kept under a ticket
    (_S, SeatOn.PREPARE): (_rule(_S, Act.RESERVE, when=_WELCOME), _rule(_S, Act.REFUSE)),
    (_S, SeatOn.TICKET): (
        _rule(_A, Act.HOLD, when=(Guard.SAME_R, Guard.RIGHT_LOGIN)),
        _rule(_S, Act.EXPIRED),
    ),
    (_S, SeatOn.COMMIT): _ANSWER[_S],
    (_S, SeatOn.CANCEL): (_rule(_E, when=(Guard.SAME_R,)),),
    (_S, SeatOn.TIMER): (_rule(_E),),
    (_S, SeatOn.OUTLIVED): (_rule(_E, Act.REFUSE_SOURCE),),
    # the client sits here and waits for the commit
    (_A, SeatOn.PREPARE): (_rule(_S, Act.CLOSE_HELD, Act.RESERVE, when=_WELCOME), _rule(_A, Act.REFUSE)),
    (_A, SeatOn.TICKET): (_rule(_A, Act.EXPIRED),),
    (_A, SeatOn.COMMIT): (
        _rule(_E, Act.OWN, Act.ACK, when=(Guard.FOR_ME, Guard.SAME_R, Guard.HOLDING)),
        _rule(_E, Act.CLOSE_HELD, Act.NAK, when=(Guard.FOR_ME, Guard.SAME_R)),
        *_ANSWER[_A],
    ),
    (_A, SeatOn.CANCEL): (_rule(_E, Act.CLOSE_HELD, when=(Guard.SAME_R,)),),
    (_A, SeatOn.TIMER): (_rule(_E, Act.CLOSE_HELD),),
    (_A, SeatOn.SOCKET_LOST): (_rule(_E, Act.REFUSE_SOURCE),),
    (_A, SeatOn.OUTLIVED): (_rule(_E, Act.REFUSE_SOURCE, Act.CLOSE_HELD_ELSEWHERE),),
}


@dataclass(frozen=True, slots=True)
class Tables:
    """Both tables, as a value, so that a test can take a guard out."""

    row: RowTable
    seat: SeatTable


TABLES: Final = Tables(ROW, SEAT)
