"""Deadlines against a calendar on paper, and against a clock that counts minute by minute.

The calendar of the examples (관공서의 공휴일에 관한 규정; Saturdays and Sundays are never working days):

- 2025: 27 Jan (temporary), 28-30 Jan Seollal; 3 Mar (substitute for Saturday 1 Mar); 5 and 6 May; 3 Jun (election);
  3 Oct, 6-8 Oct Chuseok with its substitute day, 9 Oct.
- 2026: 16-18 Feb Seollal; 2 Mar (substitute for Sunday 1 Mar); 5 and 25 May; 3 Jun (election); 24 and 25 Sep Chuseok
  (the 26th is a Saturday, which has no substitute); 5 Oct (substitute for Saturday 3 Oct); 9 Oct.
- 2027: Seollal from Saturday 6 to Monday 8 Feb, 9 Feb (substitute for Sunday 7); 13 May; 14-16 Sep Chuseok;
  4 and 11 Oct.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.services.deadlines import NEVER, Clock, Count, Pause, Term, statutory_days
from p2pworld.services.working_time import (
    OfficeCalendar,
    day_of,
    end_of,
    minute_at,
    seoul_text,
)
from shard_node.services.folder import read

CALENDAR = OfficeCalendar()


def at(text: str) -> int:
    """The minute of `2026-02-13 14:05` in Seoul."""
    day, _, clock = text.partition(" ")
    hour, _, minute = (clock or "00:00").partition(":")
    return minute_at(date.fromisoformat(day), int(hour) * 60 + int(minute))


def due(term: Term, arrived: str, *pauses: tuple[str, str], added: tuple[int, ...] = ()) -> str:
    spans = tuple(Pause(at(begin), at(end)) for begin, end in pauses)
    return seoul_text(Clock(at(arrived), term, added, spans).due(CALENDAR))


def test_a_minute_in_seoul_is_nine_hours_ahead() -> None:
    assert minute_at(date(1970, 1, 1), 9 * 60) == 0
    assert day_of(at("2026-03-01 00:00")) == date(2026, 3, 1)
    assert day_of(at("2026-03-01 00:00") - 1) == date(2026, 2, 28)
    assert end_of(date(2026, 2, 28)) == at("2026-03-01 00:00")


@pytest.mark.parametrize(
    ("day", "name"),
    [
        ("2025-01-27", "임시공휴일"),
        ("2025-01-29", "설날"),
        ("2025-03-03", "삼일절 대체 휴일"),
        ("2025-10-08", "추석 대체 휴일"),
        ("2026-02-17", "설날"),
        ("2026-03-02", "삼일절 대체 휴일"),
        ("2026-09-25", "추석"),
        ("2027-02-09", "설날 대체 휴일"),
        ("2027-10-11", "한글날 대체 휴일"),
    ],
)
def test_public_holidays_have_their_names(day: str, name: str) -> None:
    assert CALENDAR.holiday(date.fromisoformat(day)) == name
    assert not CALENDAR.works(date.fromisoformat(day))


def test_a_holiday_proclaimed_later_is_the_operators_to_give() -> None:
    day = date(2026, 8, 18)
    assert CALENDAR.works(day)
    assert not OfficeCalendar({day: "임시공휴일"}).works(day)


@pytest.mark.parametrize(
    ("arrived", "received"),
    [
        ("2026-02-13 14:05", "2026-02-13 14:05"),  # a Friday in office hours
        ("2026-02-13 12:30", "2026-02-13 12:30"),  # the hour at noon: somebody takes it in, the clock stands
        ("2026-02-13 07:00", "2026-02-13 09:00"),
        ("2026-02-13 18:00", "2026-02-19 09:00"),  # closing: the weekend and Seollal follow, Thursday is next
        ("2026-02-14 10:00", "2026-02-19 09:00"),
        ("2026-02-17 10:00", "2026-02-19 09:00"),
    ],
)
def test_what_arrives_when_all_are_closed_is_received_when_an_office_opens(
    arrived: str, received: str
) -> None:
    assert seoul_text(CALENDAR.received(at(arrived))) == received


@pytest.mark.parametrize(
    ("days", "arrived", "late_from"),
    [
        # 고충민원 and procedure questions: 7 working days, the first day counts
        # Mon 1 Sep: 1 2 3 4 5 / 8 9 -> the whole of Tuesday the 9th is in time
        (7, "2025-09-01 10:00", "2025-09-10 00:00"),
        # Wed 1 Oct 2025: 1 2 / (3 holiday, weekend, 6-9 Chuseok and Hangul Day) 10 / 13 14 15 16
        (7, "2025-10-01 17:59", "2025-10-17 00:00"),
        # the same a minute later is received on Thursday the 2nd: 2 / 10 / 13 14 15 16 17
        (7, "2025-10-01 18:00", "2025-10-18 00:00"),
        # Thu 12 Feb 2026: 12 13 / (16-18 Seollal) 19 20 / 23 24 25
        (7, "2026-02-12 09:00", "2026-02-26 00:00"),
        # Fri 5 Feb 2027: 5 / (Mon 8 Seollal, Tue 9 substitute) 10 11 12 / 15 16 17
        (7, "2027-02-05 11:00", "2027-02-18 00:00"),
        # 건의민원: 14 working days from Tue 20 Jan 2026: 20-23 (4), 26-30 (9), 2-6 Feb (14)
        (14, "2026-01-20 11:00", "2026-02-07 00:00"),
        # Fri 26 Sep 2025: 26 / 29 30 1 2 / 10 / 13 14 15 16 17 / 20 21 22
        (14, "2025-09-26 09:00", "2025-10-23 00:00"),
        # Mon 21 Sep 2026: 21 22 23 / 28 29 30 1 2 / (5 substitute) 6 7 8 (9 Hangul Day) / 12 13 14
        (14, "2026-09-21 09:00", "2026-10-15 00:00"),
        # Thu 30 Apr 2026 with 1 May (Labour Day, a public holiday from 2026) and 5 May off: 30 / 4 6 7 8 / 11 12
        (7, "2026-04-30 09:00", "2026-05-13 00:00"),
        # Mon 13 Sep 2027: 13 / (14-16 Chuseok) 17 / 20 21 22 23 24
        (7, "2027-09-13 09:00", "2027-09-25 00:00"),
    ],
)
def test_terms_of_six_days_or_more_count_working_days_and_the_first(
    days: int, arrived: str, late_from: str
) -> None:
    assert due(statutory_days(days), arrived) == late_from


@pytest.mark.parametrize(
    ("hours", "arrived", "late_from"),
    [
        # "at once": three working hours; 11-12, an hour off, 13-15
        (3, "2026-02-13 11:00", "2026-02-13 15:00"),
        # Friday 16:30: half past four to six, then Seollal, and half of Thursday's first three hours
        (3, "2026-02-13 16:30", "2026-02-19 10:30"),
        # in the night: from nine
        (3, "2026-03-03 02:00", "2026-03-03 12:00"),
        # 8 working hours to register an electronic filing, from Wed 1 Oct 2025 14:00: 4 hours, then 4 of Thursday
        (8, "2025-10-01 14:00", "2025-10-02 14:00"),
        # from Thursday 14:00: four hours, then Chuseok; four of Friday the 10th
        (8, "2025-10-02 14:00", "2025-10-10 14:00"),
        # the last working minute ends at noon: not at one
        (3, "2026-03-03 09:00", "2026-03-03 12:00"),
    ],
)
def test_terms_in_working_hours_leave_out_noon_nights_and_holidays(
    hours: int, arrived: str, late_from: str
) -> None:
    assert due(Term(Count.WORKING_HOURS, hours), arrived) == late_from


def test_five_days_are_forty_hours_and_six_are_days() -> None:
    assert statutory_days(5) == Term(Count.WORKING_HOURS, 40)
    assert statutory_days(6) == Term(Count.WORKING_DAYS, 6, first_day=True)
    # Mon 15:00 and forty hours: 3 + 8 + 8 + 8 + 8 and five of next Monday's: 9-12, 13-15
    assert due(statutory_days(5), "2025-09-01 15:00") == "2025-09-08 15:00"
    # six days from the same moment end with the sixth working day
    assert due(statutory_days(6), "2025-09-01 15:00") == "2025-09-09 00:00"


@pytest.mark.parametrize(
    ("term", "arrived", "late_from"),
    [
        # 이의신청: ten days, the first does not count (민법 제157조): 2 Sep is day 1, 11 Sep day 10
        (Term(Count.DAYS, 10), "2025-09-01 10:00", "2025-09-12 00:00"),
        # day 10 of 26 Sep is Mon 6 Oct 2025, Chuseok: 10 Oct is the next working day (제161조)
        (Term(Count.DAYS, 10), "2025-09-26 10:00", "2025-10-11 00:00"),
        # day 10 is Saturday 14 Feb 2026: the weekend, Seollal, and Thursday 19 Feb
        (Term(Count.DAYS, 10), "2026-02-04 10:00", "2026-02-20 00:00"),
        # where the first day counts, the tenth is a day earlier: Fri 13 Feb
        (Term(Count.DAYS, 10, first_day=True), "2026-02-04 10:00", "2026-02-14 00:00"),
        # a month (제160조): from 15 Sep to the end of 15 Oct
        (Term(Count.MONTHS, 1), "2025-09-15 10:00", "2025-10-16 00:00"),
        # from the 30th to the 30th; where the first day counts, from the 15th to the 14th
        (Term(Count.MONTHS, 1), "2025-09-30 10:00", "2025-10-31 00:00"),
        (Term(Count.MONTHS, 1, first_day=True), "2025-09-15 10:00", "2025-10-15 00:00"),
        # a month from 31 Jan 2027 ends on the last of February, a Sunday: 1 Mar is a holiday, so 2 Mar
        (Term(Count.MONTHS, 1), "2027-01-31 10:00", "2027-03-03 00:00"),
        # thirteen months over a year's end: 15 Dec 2025 to 15 Jan 2027
        (Term(Count.MONTHS, 13), "2025-12-15 10:00", "2027-01-16 00:00"),
        # a road is made safe within 24 hours, whatever day it is
        (Term(Count.HOURS, 24), "2026-02-16 22:30", "2026-02-17 22:30"),
    ],
)
def test_terms_by_the_civil_act_and_round_the_clock(term: Term, arrived: str, late_from: str) -> None:
    assert due(term, arrived) == late_from


def test_with_days_both_the_day_of_asking_and_the_day_of_the_answer_are_free() -> None:
    # 7 days from Mon 1 Sep 2025; asked on Wed 3, answered on Fri 5: 1 2 / 8 9 10 11 12
    assert due(statutory_days(7), "2025-09-01 10:00", ("2025-09-03 10:00", "2025-09-05 17:00")) == (
        "2025-09-13 00:00"
    )
    # asked and answered within one day: that day alone is free
    assert due(statutory_days(7), "2025-09-01 10:00", ("2025-09-03 10:00", "2025-09-03 10:05")) == (
        "2025-09-11 00:00"
    )
    # over a weekend, only the Friday and the Monday were working days: 1 2 3 4 / 9 10 11
    assert due(statutory_days(7), "2025-09-01 10:00", ("2025-09-05 17:00", "2025-09-08 09:30")) == (
        "2025-09-12 00:00"
    )
    # asked before Chuseok on Thu 2 Oct, answered on Mon 13: 29 30 1 / 14 15 16 17
    assert due(statutory_days(7), "2025-09-29 09:00", ("2025-10-02 09:00", "2025-10-13 10:00")) == (
        "2025-10-18 00:00"
    )


def test_with_hours_just_the_minutes_of_waiting_are_free() -> None:
    # three hours from 9:00; from 10:00 to 14:30 something was awaited: one hour, then two from 14:30
    term = Term(Count.WORKING_HOURS, 3)
    assert due(term, "2026-03-03 09:00", ("2026-03-03 10:00", "2026-03-03 14:30")) == "2026-03-03 16:30"
    # over night, 17:00 to 10:00: an hour is left of the second day's second hour
    assert due(term, "2026-03-03 16:00", ("2026-03-03 17:00", "2026-03-04 10:00")) == "2026-03-04 12:00"
    # calendar days: five of ten days in September were waiting, so five more
    assert due(Term(Count.DAYS, 10), "2025-09-01 10:00", ("2025-09-03 10:00", "2025-09-07 10:00")) == (
        "2025-09-17 00:00"
    )
    # round the clock: the minutes of waiting
    assert due(Term(Count.HOURS, 24), "2026-02-16 22:30", ("2026-02-17 01:00", "2026-02-17 02:00")) == (
        "2026-02-17 23:30"
    )


def test_while_something_is_awaited_nothing_is_due() -> None:
    clock = Clock(at("2025-09-01 10:00"), statutory_days(7)).pause(at("2025-09-02 10:00"))
    assert clock.due(CALENDAR) == NEVER
    assert not clock.late(at("2029-01-01"), CALENDAR)
    assert clock.resume(at("2025-09-03 10:00")).due(CALENDAR) == at("2025-09-12")


def test_an_inquiry_is_free_up_to_its_bound() -> None:
    # an inquiry begun on Tue 2 Sep may be free until Mon 15 Sep (14 days); it took until the 22nd
    clock = Clock(at("2025-09-01 10:00"), statutory_days(7))
    bounded = clock.pause(at("2025-09-02 10:00"), last=date(2025, 9, 15))
    # 1 / 16 17 18 19 / 22 23, whether or not it has ended
    assert bounded.due(CALENDAR) == at("2025-09-24")
    assert bounded.resume(at("2025-09-22 10:00")).due(CALENDAR) == at("2025-09-24")
    # one that was over by the 4th is free for three days: 1 / 5 / 8 9 10 11 12
    assert bounded.resume(at("2025-09-04 10:00")).due(CALENDAR) == at("2025-09-13")


def test_an_outage_is_free_too() -> None:
    clock = Clock(at("2025-09-26 10:00"), statutory_days(7))
    outage = Pause(at("2025-09-29 00:00"), at("2025-09-30 18:00"))  # Monday and Tuesday
    # without: 26 / 29 30 1 2 / 10 / 13; with: 26 / 1 2 / 10 / 13 14 15
    assert clock.due(CALENDAR) == at("2025-10-14")
    assert clock.due(CALENDAR, [outage]) == at("2025-10-16")


def test_an_extension_adds_to_the_same_count() -> None:
    # 7 + 7 working days from Mon 1 Sep 2025: 1-5, 8-12, 15-18
    assert due(statutory_days(7), "2025-09-01 10:00", added=(7,)) == "2025-09-19 00:00"
    # ten days and ten more from 1 Sep: the 21st is a Sunday, so Monday
    assert due(Term(Count.DAYS, 10), "2025-09-01 10:00", added=(10,)) == "2025-09-23 00:00"


def test_done_in_time_stays_in_time() -> None:
    clock = Clock(at("2025-09-01 10:00"), statutory_days(7))
    assert not clock.late(at("2025-09-09 23:59"), CALENDAR)
    assert clock.late(at("2025-09-10 00:00"), CALENDAR)
    assert not clock.stop(at("2025-09-09 23:59")).late(at("2026-01-01"), CALENDAR)
    assert clock.stop(at("2025-09-09 23:59")).stop(at("2025-09-12 00:00")).stopped == at("2025-09-09 23:59")
    assert clock.stop(at("2025-09-10 00:00")).late(at("2025-09-10 00:00"), CALENDAR)


# ---- every term that the city has declared, counted by hand over a long holiday

BEFORE_CHUSEOK_2026 = (
    "2026-09-23 16:00"  # a Wednesday; Chuseok is Thursday to Saturday, Monday 5 October a substitute
)
BEFORE_CHUSEOK_2025 = (
    "2025-10-02 11:00"  # a Thursday; 3 October, Chuseok 5 to 7, the 8th a substitute, Hangul Day the 9th
)
DECLARED = {
    (Count.HOURS, 1): ("2026-09-23 17:00", "2025-10-02 12:00"),
    # 16-18 are two hours, then comes Monday the 28th; 11-12 and 13-18 are six, then comes Friday the 10th
    (Count.WORKING_HOURS, 1): ("2026-09-23 17:00", "2025-10-02 12:00"),
    (Count.WORKING_HOURS, 3): ("2026-09-28 10:00", "2025-10-02 15:00"),
    (Count.WORKING_HOURS, 4): ("2026-09-28 11:00", "2025-10-02 16:00"),
    (Count.WORKING_HOURS, 8): ("2026-09-28 16:00", "2025-10-10 11:00"),
    (Count.WORKING_HOURS, 16): ("2026-09-29 16:00", "2025-10-13 11:00"),
    (Count.WORKING_HOURS, 24): ("2026-09-30 16:00", "2025-10-14 11:00"),
    (Count.WORKING_HOURS, 40): ("2026-10-02 16:00", "2025-10-16 11:00"),
    # 23 / 28 29 30 1 2 / 6 7 8 / 12 13 14 15 16 / 19 20 21 22 23 / 26; 2 / 10 / 13-17 / 20-24 / 27-31 / 3 4 5
    (Count.WORKING_DAYS, 7): ("2026-10-07 00:00", "2025-10-18 00:00"),
    (Count.WORKING_DAYS, 10): ("2026-10-13 00:00", "2025-10-23 00:00"),
    (Count.WORKING_DAYS, 14): ("2026-10-17 00:00", "2025-10-29 00:00"),
    (Count.WORKING_DAYS, 20): ("2026-10-27 00:00", "2025-11-06 00:00"),
    # Saturday 3 October, so Tuesday the 6th; Sunday the 12th, so Monday
    (Count.DAYS, 10): ("2026-10-07 00:00", "2025-10-14 00:00"),
    # Friday 23 October; Saturday 1 November, so Monday the 3rd
    (Count.DAYS, 30): ("2026-10-24 00:00", "2025-11-04 00:00"),
    # Saturday 7 November, so Monday; Sunday the 16th, so Monday
    (Count.DAYS, 45): ("2026-11-10 00:00", "2025-11-18 00:00"),
    # Sunday 22 November, so Monday; Monday 1 December
    (Count.DAYS, 60): ("2026-11-24 00:00", "2025-12-02 00:00"),
}


def declared_terms() -> list[Term]:
    deadlines = [service.deadline for service in read().services.values()]
    terms = {term for deadline in deadlines for term in (deadline.term, *deadline.terms.values())}
    return sorted(terms, key=lambda term: (term.count.value, term.amount))


@pytest.mark.parametrize("term", declared_terms())
def test_every_declared_term_over_chuseok_and_substitute_holidays(term: Term) -> None:
    in_2026, in_2025 = DECLARED[term.count, term.amount]
    assert due(term, BEFORE_CHUSEOK_2026) == in_2026
    assert due(term, BEFORE_CHUSEOK_2025) == in_2025
    assert term.first_day == (term.count is Count.WORKING_DAYS), "of which kind the examples are"


# ---- the same by counting


def slow_due(clock: Clock) -> int:
    """Goes through the minutes, or the days, one by one, as a clerk with a wall calendar would."""
    amount = clock.term.amount + sum(clock.added)
    received = CALENDAR.received(clock.arrived)
    if clock.term.count is Count.WORKING_HOURS:
        left, minute = amount * 60, received
        while left:
            text = seoul_text(minute)[11:]
            open_now = CALENDAR.works(day_of(minute)) and (
                "09:00" <= text < "12:00" or "13:00" <= text < "18:00"
            )
            free = any(pause.begin <= minute < (pause.end or NEVER) for pause in clock.pauses)
            left -= open_now and not free
            minute += 1
        return minute
    assert clock.term.count is Count.WORKING_DAYS
    day, left = day_of(received), amount
    if not clock.term.first_day:
        day += timedelta(days=1)
    while True:
        free = any(
            day_of(minute) == day
            for pause in clock.pauses
            for minute in range(pause.begin, (pause.end or NEVER) + 1, 60)
        ) or any(day_of(pause.end or NEVER) == day for pause in clock.pauses)
        left -= CALENDAR.works(day) and not free
        if left == 0:
            return end_of(day)
        day += timedelta(days=1)


@st.composite
def clocks(draw: st.DrawFn) -> Clock:
    arrived = at("2025-09-20") + draw(st.integers(0, 20 * 1440))
    term = draw(
        st.one_of(
            st.builds(Term, st.just(Count.WORKING_HOURS), st.integers(1, 24)),
            st.builds(Term, st.just(Count.WORKING_DAYS), st.integers(1, 9), st.booleans()),
        )
    )
    minute, pauses = arrived, []
    for gap, length in draw(st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 4000)), max_size=3)):
        minute += gap
        pauses.append(Pause(minute, minute + length))
        minute += length + 1
    return Clock(arrived, term, (), tuple(pauses))


@settings(max_examples=40, deadline=None)
@given(clocks())
def test_it_is_what_a_clerk_counts(clock: Clock) -> None:
    assert clock.due(CALENDAR) == slow_due(clock)


@settings(max_examples=40, deadline=None)
@given(clocks(), st.integers(1, 9))
def test_more_time_is_never_due_earlier_and_waiting_never_costs_the_office(clock: Clock, more: int) -> None:
    assert clock.extend(more).due(CALENDAR) > clock.due(CALENDAR)
    unpaused = Clock(clock.arrived, clock.term)
    assert unpaused.due(CALENDAR) <= clock.due(CALENDAR)
