"""What can be booked: a place with opening hours, a grid of slots, and seats in each slot.

Opening hours are written as in OpenStreetMap, of whose syntax a part is known: `Mo-Fr 09:00-12:00,13:00-18:00; Sa[2]
09:00-13:00; PH off`. A later rule takes a day away from the earlier ones; `PH` are the public holidays, which without a
rule of their own are days of the week like others. The slots of a day begin with each span and follow each other; a
span's rest that is shorter than a slot stays empty. So slots of one facility never overlap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

from p2pworld.seoul.gu import GU
from p2pworld.services.form import gu_slug
from p2pworld.services.working_time import DAY_MINUTES, OfficeCalendar, day_of, minute_at, seoul_text
from p2pworld.world.places import Words
from p2pworld.world.reading import ID, Table

__all__ = [
    "GU_SLUGS",
    "Allocation",
    "Facility",
    "OpeningHours",
    "Residents",
    "Slot",
    "read_facility",
    "slot_minute",
    "slot_text",
]

_DAYS: Final = ("Mo", "Tu", "We", "Th", "Fr", "Sa", "Su")
_RULE: Final = re.compile(
    r"(?P<days>(?:(?:Mo|Tu|We|Th|Fr|Sa|Su)(?:-\w\w|\[[1-5]\])?|PH)(?:,\S+)?) (?P<hours>\S+)"
)
_DAY: Final = re.compile(r"(PH|Mo|Tu|We|Th|Fr|Sa|Su)(?:-(Mo|Tu|We|Th|Fr|Sa|Su))?(?:\[([1-5])\])?")
_SPAN: Final = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
SEATS_MAX: Final = 2_000
SLOTS_PER_DAY_MAX: Final = 96
FEE_MAX: Final = 10_000_000
GU_SLUGS: Final = {gu_slug(gu.name_en): gu for gu in GU}

Span = tuple[int, int]


class Allocation(Enum):
    """How places are given."""

    NONE = "none"
    FIRST_COME = "first-come"
    LOTTERY = "lottery"


class Residents(Enum):
    """What comes to residents of the facility's gu: nothing, some days before others, the first places when it is
    between them and others, or all."""

    NONE = "none"
    DAYS = "days"
    FIRST = "first"
    ONLY = "only"


@dataclass(frozen=True, slots=True)
class _Rule:
    weekdays: frozenset[int]
    nth: int  # only the nth of a month; 0: each
    holidays: bool
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class OpeningHours:
    """When a place is open, as rules of which the last that fits a day counts."""

    text: str
    rules: tuple[_Rule, ...]

    def spans(self, day: date, calendar: OfficeCalendar) -> tuple[Span, ...]:
        """The spans of this day, in minutes past midnight."""
        holiday = calendar.holiday(day) is not None
        if holiday and any(rule.holidays for rule in self.rules):
            return [rule for rule in self.rules if rule.holidays][-1].spans
        found: tuple[Span, ...] = ()
        for rule in self.rules:
            if day.weekday() in rule.weekdays and rule.nth in (0, (day.day + 6) // 7):
                found = rule.spans
        return found


def parse_hours(text: str) -> OpeningHours | None:
    """The opening hours in this text, or None if it is not of the part of the syntax that is known."""
    rules = []
    for part in text.split(";"):
        match = _RULE.fullmatch(part.strip())
        days = [_DAY.fullmatch(day) for day in match["days"].split(",")] if match else []
        spans = _spans(match["hours"]) if match else None
        if not days or None in days or spans is None:
            return None
        for day in days:
            assert day is not None, "looked at above"
            if day[1] == "PH":
                rules.append(_Rule(frozenset(), 0, True, spans))
            else:
                first = _DAYS.index(day[1])
                last = _DAYS.index(day[2] or day[1])
                week = frozenset(d % 7 for d in range(first, last + 1 if last >= first else last + 8))
                rules.append(_Rule(week, int(day[3] or 0), False, spans))
    return OpeningHours(text, tuple(rules))


def _spans(text: str) -> tuple[Span, ...] | None:
    if text == "off":
        return ()
    spans: list[Span] = []
    for part in text.split(","):
        match = _SPAN.fullmatch(part)
        if match is None:
            return None
        begin, end = int(match[1]) * 60 + int(match[2]), int(match[3]) * 60 + int(match[4])
        if not (spans[-1][1] if spans else 0) <= begin < end <= DAY_MINUTES:
            return None
        spans.append((begin, end))
    return tuple(spans)


@dataclass(frozen=True, slots=True)
class Slot:
    """A time at a facility, in minutes of Unix time."""

    begin: int
    end: int


def slot_text(minute: int) -> str:
    """`2026-05-01T09:00`: how a slot is named in forms and leaves, by when it begins in Seoul."""
    return seoul_text(minute).replace(" ", "T")


def slot_minute(text: str) -> int | None:
    """The minute that a slot of this name begins at, or None if there is none."""
    try:
        day = date.fromisoformat(text[:10])
        hour, minute = int(text[11:13]), int(text[14:16])
    except ValueError:
        return None
    return minute_at(day, hour * 60 + minute) if hour < 24 and minute < 60 else None


@dataclass(frozen=True, slots=True)
class Facility:
    """Something with a grid of slots. `seats` may be booked in each, `capacity` people come with one booking."""

    id: str
    name: Words
    gu: str
    kind: str
    slot_minutes: int
    hours: OpeningHours
    capacity: int
    seats: int
    allocation: Allocation
    fee_krw: int
    residents: Residents
    resident_days: int = 0
    closed: frozenset[str] = frozenset()

    def slots(self, day: date, calendar: OfficeCalendar) -> tuple[Slot, ...]:
        """The slots of this day, in order."""
        if day.isoformat() in self.closed:
            return ()
        return tuple(
            Slot(minute_at(day, begin), minute_at(day, begin + self.slot_minutes))
            for opens, closes in self.hours.spans(day, calendar)
            for begin in range(opens, closes - self.slot_minutes + 1, self.slot_minutes)
        )

    def slot_at(self, minute: int, calendar: OfficeCalendar) -> Slot | None:
        """The slot that begins at this minute."""
        return next((s for s in self.slots(day_of(minute), calendar) if s.begin == minute), None)


def read_facility(table: Table) -> Facility:
    """The facility that a table of a declaration describes.

    Raises:
        Wrong: it is none.
    """
    identity = table.text("id")
    if not ID.fullmatch(identity):
        raise table.wrong(
            "id", f"{identity!r}: use 1 to 40 small letters, digits and hyphens, a letter first."
        )
    name = table.words("name")
    gu = table.text("gu")
    if gu not in (*GU_SLUGS, "city"):
        raise table.wrong("gu", f'{gu!r} is no district: write such as "jongno", or "city".')
    kind = table.text("kind")
    slot_minutes = table.whole("slot_minutes", 5, DAY_MINUTES)
    text = table.text("open", most=200)
    hours = parse_hours(text)
    if hours is None:
        raise table.wrong(
            "open", f'{text!r}: write such as "Mo-Fr 09:00-12:00,13:00-18:00; Sa[2] 09:00-13:00; PH off".'
        )
    if any(
        (end - begin) // slot_minutes > SLOTS_PER_DAY_MAX for rule in hours.rules for begin, end in rule.spans
    ):
        raise table.wrong("slot_minutes", f"makes over {SLOTS_PER_DAY_MAX} slots a day: make them longer.")
    if not any(end - begin >= slot_minutes for rule in hours.rules for begin, end in rule.spans):
        raise table.wrong("slot_minutes", "is longer than the place is ever open: correct one of the two.")
    capacity = table.whole("capacity", 1, 100_000)
    seats = table.whole("seats", 1, SEATS_MAX, 1)
    allocation = table.text("allocation", "first-come")
    if allocation not in ("first-come", "lottery"):
        raise table.wrong("allocation", f'{allocation!r}: write "first-come" or "lottery".')
    fee_krw = table.whole("fee_krw", 0, FEE_MAX, 0)
    residents = table.text("residents", "none")
    days = table.whole("resident_days", 0, 30, 0)
    if residents not in {each.value for each in Residents}:
        raise table.wrong("residents", f'{residents!r}: write "none", "days", "first" or "only".')
    if (residents == "days") != (days > 0):
        raise table.wrong("resident_days", 'belongs to residents = "days": give both, or neither.')
    closed = table.texts("closed", (), re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), '"2026-05-01"')
    table.done()
    return Facility(
        identity,
        name,
        gu,
        kind,
        slot_minutes,
        hours,
        capacity,
        seats,
        Allocation(allocation),
        fee_krw,
        Residents(residents),
        days,
        frozenset(closed),
    )
