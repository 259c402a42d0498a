"""Until when an office has to answer: terms as the law counts them, and a clock that can stop.

Five ways to count (`Count`), each with its rule of law:

- `working-hours`: terms of five days or less count by the hour from the moment of receipt, a day being eight working
  hours; "at once" is three working hours (민원 처리에 관한 법률 제19조 제1항, 같은 법 시행령 제19조).
- `working-days`: terms of six days or more count by the day; the first day counts, Saturdays and holidays do not
  (제19조 제2항; 공공기관의 정보공개에 관한 법률 제29조 counts its ten days in the same way).
- `days`: days of the calendar; the first does not count, and a term that ends on a Saturday or a holiday ends on the
  next working day (민법 제157·159·161조).
- `months`: the same by the calendar's months (민법 제160조).
- `hours`: hours on the clock, for what offices promise round the clock.

What arrives while no office is open is received when one opens. While something is awaited from the citizen the time
does not count: with hours to the minute, with days so that both the day of asking and the day of the answer are free
(행정절차법 시행령 제11조). The same holds for the days of an on-site inquiry, up to a bound, and for outages.

Everything here is computed from what has happened; nothing ticks.
"""

from __future__ import annotations

from calendar import monthrange
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Final

from p2pworld.services.working_time import (
    WORKING_DAY_MINUTES,
    OfficeCalendar,
    day_of,
    end_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NEVER", "Clock", "Count", "Pause", "Term", "statutory_days"]

NEVER: Final = 2**53 - 1  # due at no time: the clock stands until somebody does something
HOURS_MOST_DAYS: Final = 5  # of this law's terms, those up to so many days count by the hour


class Count(Enum):
    """How the amount of a term is counted."""

    WORKING_HOURS = "working-hours"
    WORKING_DAYS = "working-days"
    DAYS = "days"
    MONTHS = "months"
    HOURS = "hours"


@dataclass(frozen=True, slots=True)
class Term:
    """So many of these. `first_day` says whether the day of receipt counts, where days or months are counted."""

    count: Count
    amount: int
    first_day: bool = False


def statutory_days(days: int) -> Term:
    """A term of so many days, as 민원 처리에 관한 법률 제19조 counts it."""
    if days <= HOURS_MOST_DAYS:
        return Term(Count.WORKING_HOURS, days * WORKING_DAY_MINUTES // 60)
    return Term(Count.WORKING_DAYS, days, first_day=True)


@dataclass(frozen=True, slots=True)
class Pause:
    """Time that does not count, from a minute until another, or until further notice; at most to the end of `last`."""

    begin: int
    end: int | None = None
    last: date | None = None

    @property
    def until(self) -> int:
        """The minute from which time counts again."""
        end = NEVER if self.end is None else self.end
        return end if self.last is None else min(end, end_of(self.last))

    def touches(self, day: date) -> bool:
        """Whether any of it lies on this day, were it only the moment of asking or of the answer."""
        if day < day_of(self.begin) or (self.last is not None and day > self.last):
            return False
        return self.end is None or day <= day_of(self.end)


@dataclass(frozen=True, slots=True)
class Clock:
    """When something arrived, what term it has, how much was added, and when time did not count."""

    arrived: int
    term: Term
    added: tuple[int, ...] = ()
    pauses: tuple[Pause, ...] = ()
    stopped: int | None = None

    @property
    def paused(self) -> bool:
        """Whether it stands until further notice."""
        return bool(self.pauses) and self.pauses[-1].end is None

    def pause(self, minute: int, last: date | None = None) -> Clock:
        """The same, standing from this minute on; at most to the end of `last`."""
        assert not self.paused
        return replace(self, pauses=(*self.pauses, Pause(minute, None, last)))

    def resume(self, minute: int) -> Clock:
        """The same, going again."""
        assert self.paused
        return replace(self, pauses=(*self.pauses[:-1], replace(self.pauses[-1], end=minute)))

    def stop(self, minute: int) -> Clock:
        """The same, done with at this minute, unless it was before."""
        going = self.resume(minute) if self.paused else self
        return going if self.stopped is not None else replace(going, stopped=minute)

    def extend(self, amount: int) -> Clock:
        """The same with `amount` more of what its term counts."""
        return replace(self, added=(*self.added, amount))

    def due(self, calendar: OfficeCalendar, outages: Sequence[Pause] = ()) -> int:
        """The first minute that is too late; NEVER while it stands. `outages` are times when nobody could work."""
        pauses = (*self.pauses, *outages)
        if any(pause.until == NEVER for pause in pauses):
            return NEVER
        amount = self.term.amount + sum(self.added)
        received = calendar.received(self.arrived)
        match self.term.count:
            case Count.WORKING_HOURS:
                return _after_working_minutes(calendar, received, amount * 60, pauses)
            case Count.WORKING_DAYS:
                return end_of(_nth_working_day(calendar, received, amount, self.term.first_day, pauses))
            case Count.HOURS:
                return _after_minutes(self.arrived, amount * 60, pauses)
            case Count.DAYS:
                last = day_of(self.arrived) + timedelta(days=amount - self.term.first_day)
            case Count.MONTHS:
                last = _months_after(day_of(self.arrived), amount) - timedelta(days=self.term.first_day)
        last = _past_pauses(day_of(self.arrived), last, pauses)
        return end_of(calendar.next_working_day(last))

    def late(self, minute: int, calendar: OfficeCalendar, outages: Sequence[Pause] = ()) -> bool:
        """Whether the term was over before it was done with, or is over now."""
        return (minute if self.stopped is None else self.stopped) >= self.due(calendar, outages)


def _nth_working_day(
    calendar: OfficeCalendar, received: int, amount: int, first_day: bool, pauses: Sequence[Pause]
) -> date:
    day = day_of(received) - timedelta(days=first_day)
    while amount > 0:
        day += timedelta(days=1)
        if calendar.works(day) and not any(pause.touches(day) for pause in pauses):
            amount -= 1
    return day


def _after_working_minutes(
    calendar: OfficeCalendar, received: int, amount: int, pauses: Sequence[Pause]
) -> int:
    day = day_of(received)
    while True:
        for opens, closes in calendar.shifts(day):
            for begin, end in _without(max(opens, received), closes, pauses):
                if amount <= end - begin:
                    return begin + amount
                amount -= end - begin
        day += timedelta(days=1)


def _after_minutes(arrived: int, amount: int, pauses: Sequence[Pause]) -> int:
    for begin, end in _without(arrived, NEVER, pauses):
        if amount <= end - begin:
            return begin + amount
        amount -= end - begin
    raise AssertionError("an endless span holds every amount")


def _without(begin: int, end: int, pauses: Sequence[Pause]) -> list[tuple[int, int]]:
    """The parts of [begin, end) in which no pause lies."""
    parts: list[tuple[int, int]] = []
    for pause in sorted(pauses, key=lambda pause: pause.begin):
        if begin < pause.begin and begin < end:
            parts.append((begin, min(end, pause.begin)))
        begin = max(begin, pause.until)
    if begin < end:
        parts.append((begin, end))
    return parts


def _past_pauses(first: date, last: date, pauses: Sequence[Pause]) -> date:
    """The end of a term of calendar days, moved on by each day of it that does not count."""
    day = first
    while day <= last:
        if any(pause.touches(day) for pause in pauses):
            last += timedelta(days=1)
        day += timedelta(days=1)
    return last


def _months_after(day: date, months: int) -> date:
    years, month = divmod(day.month - 1 + months, 12)
    year, month = day.year + years, month + 1
    return date(year, month, min(day.day, monthrange(year, month)[1]))
