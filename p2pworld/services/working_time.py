"""The working days and hours of Seoul's offices, on minutes of Unix time.

An office works Monday to Friday without public holidays, from 09:00 to 18:00 with the hour at noon off: the eight hours
that the law takes for a working day (민원 처리에 관한 법률 제19조). Public holidays, their substitute days and the days
by the moon come from the package `holidays`, and so does each temporary holiday it knew when it was released; those
that are proclaimed later an operator gives as `more`. Seoul is nine hours ahead of UTC and changes no clock.

A span is half-open: what is due at a minute is late in that minute.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DAY_MINUTES",
    "WORKING_DAY_MINUTES",
    "OfficeCalendar",
    "day_of",
    "end_of",
    "minute_at",
    "seoul_text",
]

SEOUL_AHEAD_MINUTES: Final = 9 * 60
DAY_MINUTES: Final = 24 * 60
WORKING_DAY_MINUTES: Final = 8 * 60
OPENS: Final = 9 * 60  # minutes of the day
CLOSES: Final = 18 * 60
SHIFTS: Final = ((OPENS, 12 * 60), (13 * 60, CLOSES))
EPOCH: Final = date(1970, 1, 1)
SATURDAY: Final = 5


def day_of(minute: int) -> date:
    """The day in Seoul that this minute lies in."""
    return EPOCH + timedelta(days=(minute + SEOUL_AHEAD_MINUTES) // DAY_MINUTES)


def minute_at(day: date, minute_of_day: int = 0) -> int:
    """The minute of Unix time at which it is `minute_of_day` past midnight in Seoul."""
    return (day - EPOCH).days * DAY_MINUTES + minute_of_day - SEOUL_AHEAD_MINUTES


def end_of(day: date) -> int:
    """The first minute that is no longer of this day."""
    return minute_at(day + timedelta(days=1))


def seoul_text(minute: int) -> str:
    """`2026-02-13 14:05`, as a clock in Seoul shows it."""
    shown = datetime(1970, 1, 1) + timedelta(minutes=minute + SEOUL_AHEAD_MINUTES)
    return shown.strftime("%Y-%m-%d %H:%M")


@lru_cache(maxsize=64)
def _public_holidays(year: int) -> dict[date, str]:
    """The names (ko) of a year's public holidays, substitute days among them."""
    import holidays  # when first needed: it brings all countries, half a second of a core

    return dict(holidays.country_holidays("KR", years=year, language="ko"))


class OfficeCalendar:
    """Which days and minutes count; `more` are holidays that the package does not know yet."""

    def __init__(self, more: Mapping[date, str] | None = None) -> None:
        self._more = dict(more or {})

    @property
    def more(self) -> Mapping[date, str]:
        """The holidays that were given."""
        return self._more

    def holiday(self, day: date) -> str | None:
        """The name of the public holiday on this day, in Korean."""
        return self._more.get(day) or _public_holidays(day.year).get(day)

    def works(self, day: date) -> bool:
        """Whether offices are open on this day."""
        return day.weekday() < SATURDAY and self.holiday(day) is None

    def next_working_day(self, day: date) -> date:
        """This day, or the first after it on which offices are open."""
        while not self.works(day):
            day += timedelta(days=1)
        return day

    def received(self, minute: int) -> int:
        """When what arrives at this minute is received: now if an office is open, else when it next opens."""
        day, of_day = day_of(minute), (minute + SEOUL_AHEAD_MINUTES) % DAY_MINUTES
        if self.works(day) and of_day < CLOSES:
            return max(minute, minute_at(day, OPENS))
        return minute_at(self.next_working_day(day + timedelta(days=1)), OPENS)

    def shifts(self, day: date) -> tuple[tuple[int, int], ...]:
        """The spans of this day that are working time."""
        if not self.works(day):
            return ()
        return tuple((minute_at(day, opens), minute_at(day, closes)) for opens, closes in SHIFTS)
