"""The rows of places beside a log: what `reservations` reads and changes, by their names.

    place/<facility>/<slot>/<seat>             a seat that is taken: by which service, key, person, how far, until when
    wait/<facility>/<slot>/<number>            who waits for one
    person/<person>/<facility>/<slot>/<seat>   nothing: all places of one person are found under it
    filed/<key>                                the entry of the filing that a place belongs to
    until/<minute>/place/<facility>/<slot>     when the slot is to be looked at next

A slot is written as the minute of Unix time at which it begins, so that names are in the order of time. There is one
seat for each name: a place is given by adding its row, which must not be there yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final

from p2pworld.civic.kept import due_name
from p2pworld.messages.fields import U32, Code, Key, Size
from p2pworld.services.reservations import LIVE, Place, Standing, View, Wait
from p2pworld.services.working_time import DAY_MINUTES
from p2pworld.wire.codec import Canonical, unpack_map

if TYPE_CHECKING:
    from p2pworld.civic.kept import Rows
    from p2pworld.services.facility import Slot
    from p2pworld.services.reservations import Decision

__all__ = [
    "PLACE_DUE",
    "entry_of_key",
    "forget_slot",
    "is_long_over",
    "is_overlapped",
    "keep_decision",
    "over_minute",
    "own_places",
    "place_said",
    "put_entry_of_key",
    "slot_of_due",
    "view_of",
]

PLACE_DUE: Final = "place/"
KEPT_MINUTES: Final = (
    400 * DAY_MINUTES
)  # after its end a place counts for quotas and pauses, 366 days at most


@dataclass(frozen=True, slots=True)
class _Place:
    end: U32
    service: Code
    key: Key
    person: Annotated[str, Size(1, 64)]
    standing: Code
    until: U32 = 0


@dataclass(frozen=True, slots=True)
class _Wait:
    service: Code
    key: Key
    person: Annotated[str, Size(1, 64)]
    first: bool = False


_PLACE: Final = Canonical(_Place)
_WAIT: Final = Canonical(_Wait)


# Of a hall with 500 seats all rows are looked at for each of the 500 that ask.
@lru_cache(1 << 15)
def _read_place(name: str, body: bytes) -> Place:
    _, facility, slot, seat = name.split("/")
    said = _PLACE.read(unpack_map(body))
    return Place(
        facility,
        int(slot),
        int(seat),
        said.end,
        said.service,
        said.key.hex(),
        said.person,
        Standing(said.standing),
        said.until or None,
    )


@lru_cache(1 << 13)
def _read_wait(name: str, body: bytes) -> Wait:
    _, facility, slot, number = name.split("/")
    said = _WAIT.read(unpack_map(body))
    return Wait(facility, int(slot), int(number), said.service, said.key.hex(), said.person, said.first)


def _slot(facility: str, slot: int) -> str:
    return f"{facility}/{slot:010d}"


def _seat(place: Place) -> str:
    return f"{_slot(place.facility, place.slot)}/{place.seat:04d}"


def view_of(rows: Rows, facility: str, slot: int, person: str = "") -> View:
    """All rows of a slot, and all places of a person, if one asks."""
    at = _slot(facility, slot)
    return View(
        tuple(_read_place(*row) for row in rows.under(f"place/{at}/")),
        tuple(_read_wait(*row) for row in rows.under(f"wait/{at}/")),
        own_places(rows, person) if person else (),
    )


def is_overlapped(rows: Rows, facility: str, slot: Slot, minute: int) -> bool:
    """Whether somebody has a place in a slot of an earlier grid of the facility, which this one overlaps.

    Slots of one grid do not overlap, and no place is given that would: so only the nearest ones can.
    """
    own = f"place/{_slot(facility, slot.begin)}/"
    for name in rows.around(f"place/{facility}/", own, f"{own}~"):
        body = rows.get(name)
        nearest = _read_place(name, body) if body is not None else None
        begin = int(name.split("/")[2])
        if begin >= slot.end or (nearest is not None and nearest.end <= slot.begin):
            continue
        if any(
            place.live(minute) and place.end > slot.begin for place in view_of(rows, facility, begin).places
        ):
            return True
    return False


def own_places(rows: Rows, person: str) -> tuple[Place, ...]:
    """All places of a person in this stream that are still remembered."""
    under = f"person/{person}/"
    found = []
    for name, _ in rows.under(under):
        place = f"place/{name.removeprefix(under)}"
        body = rows.get(place)
        if body is not None:
            found.append(_read_place(place, body))
    return tuple(found)


def keep_decision(
    rows: Rows, facility: str, slot: int, before: View, decision: Decision, looked: bool = False
) -> None:
    """Change the rows of a slot as was decided on `before`; `looked`: it was looked at because its time had come."""
    places = {place.seat: place for place in before.places}
    for place in decision.drop:
        del places[place.seat]
        _drop_place(rows, place)
    for place in decision.put:
        places[place.seat] = place
        body = _Place(
            place.end,
            place.service,
            bytes.fromhex(place.key),
            place.person,
            place.standing.value,
            place.until or 0,
        )
        rows.put(f"place/{_seat(place)}", _PLACE.pack(body))
        rows.put(f"person/{place.person}/{_seat(place)}", b"")
    at = f"wait/{_slot(facility, slot)}"
    for wait in decision.leave:
        rows.drop(f"{at}/{wait.number:06d}")
    for wait in decision.join:
        said = _Wait(wait.service, bytes.fromhex(wait.key), wait.person, wait.first)
        rows.put(f"{at}/{wait.number:06d}", _WAIT.pack(said))
    left = {*before.waiting, *decision.join} - {*decision.leave}
    after = View(tuple(places.values()), tuple(left))
    was, due = (_due(slot, view) for view in (before, after))
    if looked or was != due:
        what = f"{PLACE_DUE}{_slot(facility, slot)}"
        if was is not None:
            rows.drop(due_name(was, what))
        if due is not None:
            rows.put(due_name(due, what), b"")


def _due(slot: int, view: View) -> int | None:
    """When a slot with these rows is to be looked at: something runs out, or all of it may be forgotten."""
    ends = [place.until for place in view.places if place.standing in LIVE and place.until is not None]
    if view.waiting:
        ends.append(slot)
    if not ends and view.places:
        ends.append(over_minute(view))
    return min(ends, default=None)


def over_minute(view: View) -> int:
    """From when on nobody needs to know any more who had these places."""
    return max((place.end for place in view.places), default=0) + KEPT_MINUTES


def is_long_over(name: str, minute: int) -> bool:
    """Whether the slot of a place or of who waits for one began so long ago that it may have been forgotten."""
    kind, *parts = name.split("/")
    return kind in ("place", "wait") and int(parts[1]) + KEPT_MINUTES - DAY_MINUTES <= minute


def place_said(name: str, body: bytes) -> object:
    """What a row says, as far as leaves say it too: of a place or of who waits, all but the person and the end."""
    if name.startswith("place/"):
        place = _read_place(name, body)
        return place.service, place.key, place.standing, place.until
    if name.startswith("wait/"):
        wait = _read_wait(name, body)
        return wait.service, wait.key
    return body


def forget_slot(rows: Rows, view: View) -> None:
    """Take all places of a slot away."""
    for place in view.places:
        _drop_place(rows, place)


def _drop_place(rows: Rows, place: Place) -> None:
    rows.drop(f"place/{_seat(place)}")
    rows.drop(f"person/{place.person}/{_seat(place)}")


def slot_of_due(what: str) -> tuple[str, int]:
    """The facility and slot that are to be looked at."""
    facility, _, slot = what.removeprefix(PLACE_DUE).partition("/")
    return facility, int(slot)


def put_entry_of_key(rows: Rows, key: str, entry: int) -> None:
    """Write down which entry a filing for a place is."""
    rows.put(f"filed/{key}", str(entry).encode())


def entry_of_key(rows: Rows, key: str) -> int | None:
    """The entry of the filing of this key, if it asked for a place."""
    body = rows.get(f"filed/{key}")
    return int(body) if body is not None else None
