"""The client's whole protocol as one table: for every state and event what is done and where it leads.

`step` interprets it over `Sockets`, a small immutable value, and returns what must be done as symbols. A client has at
most two sockets: the *main* one it joins or plays on, and during a handoff the *held* one, on which it sits at another
node and waits for the commit. It leaves the old node only when the new one has welcomed it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

# ruff: noqa: RUF022  (the table, what happens, what is done)
__all__ = [
    "CLIENT", "ClientAt", "ClientOn", "Rule", "NO_CONN", "Sockets", "step",
    "ClientStep", "LogIn", "Welcomed", "Invited", "Lost", "Elsewhere", "TimedOut", "Gesture",
    "Do", "What",
]  # fmt: skip


class ClientAt(Enum):
    """Where a client stands. PLAYING and BOTH have a node that owns the avatar; HELD waits for one."""

    OUT = auto()
    JOINING = auto()
    PLAYING = auto()
    BOTH = auto()
    HELD = auto()
    STOPPED = auto()


class ClientOn(Enum):
    """What may happen to a client. The main socket is the one joined or played on, the held one waits for a commit."""

    LOG_IN = auto()
    WELCOME = auto()
    MOVED = auto()
    MAIN_LOST = auto()
    HELD_LOST = auto()
    TIMER = auto()
    ELSEWHERE = auto()
    GESTURE = auto()


class What(Enum):
    """What a rule does, in order."""

    OPEN_MAIN = auto()  # connect, and answer the challenge with a larger login
    OPEN_HELD = auto()  # connect to where MOVED says, and answer the challenge with its ticket
    CLOSE_MAIN = auto()
    CLOSE_HELD = auto()
    PROMOTE = auto()  # the held socket is the main one now


@dataclass(frozen=True, slots=True)
class Rule:
    """Do `acts`, then stand at `to`."""

    to: ClientAt
    acts: tuple[What, ...] = ()


_OUT, _JOINING, _PLAYING, _BOTH, _HELD, _STOPPED = ClientAt
_LOG_IN, _WELCOME, _MOVED, _MAIN_LOST, _HELD_LOST, _TIMER, _ELSEWHERE, _GESTURE = ClientOn
_CLOSE_ALL = (What.CLOSE_MAIN, What.CLOSE_HELD)

# A rule that stays and does nothing says that the event has no meaning there: it is about a socket already given up,
# a timer already overtaken, or a wish already granted.
CLIENT: Final[Mapping[tuple[ClientAt, ClientOn], Rule]] = {
    # no socket at all; after a pause it is time to log in
    (_OUT, _LOG_IN): Rule(_JOINING, (What.OPEN_MAIN,)),
    (_OUT, _WELCOME): Rule(_OUT),
    (_OUT, _MOVED): Rule(_OUT),
    (_OUT, _MAIN_LOST): Rule(_OUT),
    (_OUT, _HELD_LOST): Rule(_OUT),
    (_OUT, _TIMER): Rule(_OUT),
    (_OUT, _ELSEWHERE): Rule(_OUT),
    (_OUT, _GESTURE): Rule(_OUT),
    # a fresh login has been asked for
    (_JOINING, _LOG_IN): Rule(_JOINING),
    (_JOINING, _WELCOME): Rule(_PLAYING),
    (_JOINING, _MOVED): Rule(_JOINING),
    (_JOINING, _MAIN_LOST): Rule(_OUT, (What.CLOSE_MAIN,)),
    (_JOINING, _HELD_LOST): Rule(_JOINING),
    (_JOINING, _TIMER): Rule(_OUT, (What.CLOSE_MAIN,)),
    (_JOINING, _ELSEWHERE): Rule(_STOPPED, (What.CLOSE_MAIN,)),
    (_JOINING, _GESTURE): Rule(_JOINING),
    # one node owns the avatar and this socket steers it
    (_PLAYING, _LOG_IN): Rule(_PLAYING),
    (_PLAYING, _WELCOME): Rule(_PLAYING),
    (_PLAYING, _MOVED): Rule(_BOTH, (What.OPEN_HELD,)),
    (_PLAYING, _MAIN_LOST): Rule(_OUT, (What.CLOSE_MAIN,)),
    (_PLAYING, _HELD_LOST): Rule(_PLAYING),
    (_PLAYING, _TIMER): Rule(_PLAYING),
    (_PLAYING, _ELSEWHERE): Rule(_STOPPED, (What.CLOSE_MAIN,)),
    (_PLAYING, _GESTURE): Rule(_PLAYING),
    # the same, and a seat at another node is being taken
    (_BOTH, _LOG_IN): Rule(_BOTH),
    (_BOTH, _WELCOME): Rule(_PLAYING, (What.CLOSE_MAIN, What.PROMOTE)),
    (_BOTH, _MOVED): Rule(_BOTH, (What.CLOSE_HELD, What.OPEN_HELD)),
    (_BOTH, _MAIN_LOST): Rule(_HELD, (What.CLOSE_MAIN,)),
    (_BOTH, _HELD_LOST): Rule(_PLAYING, (What.CLOSE_HELD,)),
    (_BOTH, _TIMER): Rule(_BOTH),
    (_BOTH, _ELSEWHERE): Rule(_STOPPED, _CLOSE_ALL),
    (_BOTH, _GESTURE): Rule(_BOTH),
    # the old socket is gone; the seat may yet be committed
    (_HELD, _LOG_IN): Rule(_HELD),
    (_HELD, _WELCOME): Rule(_PLAYING, (What.PROMOTE,)),
    (_HELD, _MOVED): Rule(_HELD),
    (_HELD, _MAIN_LOST): Rule(_HELD),
    (_HELD, _HELD_LOST): Rule(_OUT, (What.CLOSE_HELD,)),
    (_HELD, _TIMER): Rule(_OUT, (What.CLOSE_HELD,)),
    (_HELD, _ELSEWHERE): Rule(_STOPPED, (What.CLOSE_HELD,)),
    (_HELD, _GESTURE): Rule(_HELD),
    # the person is in the city elsewhere; only the person brings it back here
    (_STOPPED, _LOG_IN): Rule(_STOPPED),
    (_STOPPED, _WELCOME): Rule(_STOPPED),
    (_STOPPED, _MOVED): Rule(_STOPPED),
    (_STOPPED, _MAIN_LOST): Rule(_STOPPED),
    (_STOPPED, _HELD_LOST): Rule(_STOPPED),
    (_STOPPED, _TIMER): Rule(_STOPPED),
    (_STOPPED, _ELSEWHERE): Rule(_STOPPED),
    (_STOPPED, _GESTURE): Rule(_OUT),
}

NO_CONN: Final = -1


@dataclass(frozen=True, slots=True)
class Sockets:
    """Where the client stands and the names of its sockets, which whoever opens them chooses and never reuses."""

    at: ClientAt = ClientAt.OUT
    main: int = NO_CONN
    held: int = NO_CONN


@dataclass(frozen=True, slots=True)
class LogIn:
    """It is time to log in, on a new socket `conn`."""

    conn: int


@dataclass(frozen=True, slots=True)
class Welcomed:
    """WELCOME on `conn`."""

    conn: int


@dataclass(frozen=True, slots=True)
class Invited:
    """MOVED on `conn`; `held` is a new socket's name."""

    conn: int
    held: int


@dataclass(frozen=True, slots=True)
class Lost:
    """`conn` was closed, or said goodbye for any reason but a newer login, or is silent beyond hope."""

    conn: int


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """BYE `elsewhere` on `conn`: a newer login of this person, made by another device; or a moderator's order."""

    conn: int


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The client stood in its state for as long as it may: `JOIN_S` joining, `HELD_WAIT_S` held."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """The person wants to be in the city on this device."""


ClientStep = LogIn | Welcomed | Invited | Lost | Elsewhere | TimedOut | Gesture


@dataclass(frozen=True, slots=True)
class Do:
    """Open (`What.OPEN_…`) or close (`What.CLOSE_…`) the socket `conn`; closing one that is gone does nothing."""

    what: What
    conn: int


def step(sockets: Sockets, event: ClientStep) -> tuple[Sockets, tuple[Do, ...]]:
    """The client after `event`, and what must be done, in order. Events of sockets given up change nothing."""
    on, new = _on(sockets, event)
    if on is None:
        return sockets, ()
    rule = CLIENT[sockets.at, on]
    main, held = sockets.main, sockets.held
    done: list[Do] = []
    for act in rule.acts:
        match act:
            case What.OPEN_MAIN:
                main = new
                done.append(Do(act, main))
            case What.OPEN_HELD:
                held = new
                done.append(Do(act, held))
            case What.CLOSE_MAIN:
                if main != NO_CONN:
                    done.append(Do(act, main))
                main = NO_CONN
            case What.CLOSE_HELD:
                if held != NO_CONN:
                    done.append(Do(act, held))
                held = NO_CONN
            case What.PROMOTE:
                main, held = held, NO_CONN
    return Sockets(rule.to, main, held), tuple(done)


def _on(sockets: Sockets, event: ClientStep) -> tuple[ClientOn | None, int]:
    """Which column of the table an event is, and the name of the socket it may open."""
    match event:
        case LogIn(conn):
            return ClientOn.LOG_IN, conn
        case Welcomed(conn):
            awaited = sockets.main if sockets.at is ClientAt.JOINING else sockets.held
            return (ClientOn.WELCOME if conn == awaited else None), NO_CONN
        case Invited(conn, held):
            return (ClientOn.MOVED if conn == sockets.main else None), held
        case Lost(conn):
            if conn == sockets.main:
                return ClientOn.MAIN_LOST, NO_CONN
            return (ClientOn.HELD_LOST if conn == sockets.held else None), NO_CONN
        case Elsewhere(conn):
            return (ClientOn.ELSEWHERE if conn in (sockets.main, sockets.held) else None), NO_CONN
        case TimedOut():
            return ClientOn.TIMER, NO_CONN
        case Gesture():
            return ClientOn.GESTURE, NO_CONN
