"""The counter of an office in the city: a citizen draws a number, an official calls the next, and everybody sees both.

A number is an object of the counter's ground like a lantern or a note, so it has what those have: it is on the holder's
disk and on a standby's before it is confirmed, and goes with the ground to its next holder. Four rules:

- A new number is one more than the highest of the day in Seoul, called or not; each day begins at 1.
- Who has a number that was not called yet gets that one again. It needs no memory of retries besides.
- Calling calls the lowest number that waits, or, by its id, one that was called already, once more. A call is known by
  its act's key, so asking again calls nobody else.
- The first number of a day takes those of earlier days away.

Two holders that did not know of each other (a partition) may both give a number; then two people have it, and the one
whose id is smaller is called first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.crdt import ObjectCell
from p2pworld.errors import Refusal
from p2pworld.limits import OBJECTS_PER_CELL

if TYPE_CHECKING:
    from p2pworld.crdt import HybridClock, Replica, Value

__all__ = ["TICKET", "TICKETS_MAX", "call_ticket", "draw_ticket", "ticket_words"]

TICKET: Final = "ticket"
TICKETS_MAX: Final = 999  # a day and counter: three digits on the board, a quarter of what a cell holds
_DAY_MS: Final = 86_400_000
_SEOUL_AHEAD_MS: Final = 9 * 3_600_000


class _Ticket(NamedTuple):
    """One number: who drew it and when, and by which act of whom it was called, if it was."""

    number: int
    id: bytes
    by: int
    at_ms: int
    called_by: int
    call: bytes


def draw_ticket(
    state: ObjectCell,
    key: bytes,
    avatar: int,
    at: tuple[int, int],
    replica: Replica,
    clock: HybridClock,
    now_ms: int,
) -> tuple[bytes, ObjectCell | None] | Refusal:
    """The ticket that this act draws for an avatar at the counter `at` this point (cm), and the delta, if it is new."""
    tickets = _tickets(state)
    today = [one for one in tickets if _day(one.at_ms) == _day(now_ms)]
    for one in today:
        if one.id == key or (one.by == avatar and not one.called_by):
            return one.id, None
    if state.is_expunged(key):
        return Refusal("expunged", "This number was taken down for good.")
    if len(today) >= TICKETS_MAX:
        return Refusal("full", "No more numbers are given here today; please come tomorrow.")
    delta = ObjectCell()
    for one in tickets:
        if _day(one.at_ms) < _day(now_ms):
            delta.merge_in(state.remove(one.id))
    if len(state) >= OBJECTS_PER_CELL:
        return Refusal("full", "There is no room for another number here; please tell who is at the counter.")
    fields: dict[str, Value] = {
        "kind": TICKET,
        "number": max((one.number for one in today), default=0) + 1,
        "by": avatar,
        "at_ms": now_ms,
        "east_cm": at[0],
        "north_cm": at[1],
        "called_by": 0,
        "call": b"",
    }
    delta.merge_in(state.put(replica, key, fields, clock.tick(now_ms)))
    return key, delta


def call_ticket(
    state: ObjectCell,
    key: bytes,
    official: int,
    again: bytes,
    replica: Replica,
    clock: HybridClock,
    now_ms: int,
) -> tuple[bytes, ObjectCell | None] | Refusal:
    """The ticket that this act calls for an official: the next, or the one of the id `again`; and the delta."""
    today = [one for one in _tickets(state) if _day(one.at_ms) == _day(now_ms)]
    for one in today:
        if one.call == key:
            return one.id, None
    waiting = [one for one in today if (one.id == again if again else not one.called_by)]
    if not waiting:
        return Refusal("nobody", "That number is gone." if again else "Nobody waits with a number.")
    ticket = min(waiting)
    delta = state.put(
        replica, ticket.id, {"called_by": official, "called_ms": now_ms, "call": key}, clock.tick(now_ms)
    )
    return ticket.id, delta


def ticket_words(fields: dict[str, Value]) -> tuple[int, str, int]:
    """What clients see of a ticket: its number, the avatar that called it as text (empty: nobody), when that was or it
    was drawn."""
    number, called_by = _whole(fields.get("number")), _whole(fields.get("called_by"))
    at_ms = _whole(fields.get("called_ms")) if called_by else _whole(fields.get("at_ms"))
    return number, str(called_by) if called_by else "", at_ms


def _tickets(state: ObjectCell) -> list[_Ticket]:
    found = []
    for object_id in state:
        record = state.get(object_id)
        if record is None or record.fields.get("kind") != TICKET:
            continue
        said = record.fields
        call = said.get("call")
        found.append(
            _Ticket(
                _whole(said.get("number")),
                object_id,
                _whole(said.get("by")),
                _whole(said.get("at_ms")),
                _whole(said.get("called_by")),
                call if isinstance(call, bytes) else b"",
            )
        )
    return found


def _whole(value: Value) -> int:
    """What another replica wrote, as a number that can be sent on."""
    return value if type(value) is int and 0 <= value < 1 << 53 else 0


def _day(at_ms: int) -> int:
    return (at_ms + _SEOUL_AHEAD_MS) // _DAY_MS
