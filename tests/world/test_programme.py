"""Programmes: when they run in Seoul, what is due, and that no stroke falls twice."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.crdt import HybridClock, ObjectCell
from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import Act, Instant, Pose
from p2pworld.world.acts import Asked, Performed, perform, replica_of, view
from p2pworld.world.places import Places, bell_of
from p2pworld.world.programme import (
    LATE_S,
    WEEKDAYS,
    Bell,
    Due,
    Programme,
    Programmes,
    Schedule,
    Tell,
    next_run,
    running,
)
from tests.world.test_places import OFFICE, YARD, table

SEOUL = timezone(timedelta(hours=9))
WORDS = {"ko": "종", "en": "Bell"}


def ms(text: str) -> int:
    """Unix milliseconds of a time in Seoul."""
    return int(datetime.fromisoformat(text).replace(tzinfo=SEOUL).timestamp() * 1000)


def programme(schedule: Schedule, strokes: int = 3, every_s: float = 6.0, rehearsed: int = 2) -> Programme:
    line = tuple((number * every_s, Bell()) for number in range(strokes))
    return Programme("noon", "yard", WORDS, WORDS, schedule, 10, line, line[:rehearsed])


NEW_YEAR = programme(Schedule("year", 0, month=1, day=1), 33)


@pytest.mark.parametrize(
    ("schedule", "now", "begins"),
    [
        (Schedule("year", 0, month=1, day=1), "2026-12-31T23:59:59", "2027-01-01T00:00:00"),
        (Schedule("year", 0, month=1, day=1), "2027-01-01T00:00:00", "2027-01-01T00:00:00"),
        (Schedule("year", 0, month=1, day=1), "2027-01-01T00:00:01", "2028-01-01T00:00:00"),
        (Schedule("year", 1, month=2, day=29), "2097-01-01T00:00:00", "2104-02-29T00:00:01"),
        (Schedule("day", 43_200), "2026-06-01T12:00:01", "2026-06-02T12:00:00"),
        (Schedule("day", 0), "2026-06-01T23:59:59", "2026-06-02T00:00:00"),
        (Schedule("week", 36_000, weekday=0), "2026-06-01T10:00:01", "2026-06-08T10:00:00"),
        (Schedule("week", 36_000, weekday=6), "2026-06-01T10:00:01", "2026-06-07T10:00:00"),
        (Schedule("once", 60, year=2027, month=3, day=1), "2026-06-01T10:00:01", "2027-03-01T00:01:00"),
        (Schedule("once", 60, year=2027, month=3, day=1), "2027-03-01T00:01:01", None),
    ],
)
def test_when_it_begins_next(schedule: Schedule, now: str, begins: str | None) -> None:
    assert next_run(programme(schedule), ms(now)) == (None if begins is None else ms(begins))


SCHEDULES = st.one_of(
    st.builds(lambda s: Schedule("day", s), st.integers(0, 86_399)),
    st.builds(lambda s, w: Schedule("week", s, weekday=w), st.integers(0, 86_399), st.integers(0, 6)),
    st.builds(
        lambda s, m, d: Schedule("year", s, month=m, day=d),
        st.integers(0, 86_399),
        st.integers(1, 12),
        st.integers(1, 28),
    ),
)


@settings(max_examples=200, deadline=None)
@given(SCHEDULES, st.integers(0, 4_000_000_000_000))
def test_it_begins_at_its_time_of_its_day_and_none_is_skipped(schedule: Schedule, now_ms: int) -> None:
    begin = next_run(programme(schedule), now_ms)
    assert begin is not None
    there = datetime.fromtimestamp(begin / 1000, SEOUL)
    assert there.hour * 3600 + there.minute * 60 + there.second == schedule.second
    if schedule.every == "week":
        assert there.weekday() == schedule.weekday
    if schedule.every == "year":
        assert (there.month, there.day) == (schedule.month, schedule.day)
    days = {"day": 1, "week": 7, "year": 366}[schedule.every]
    assert 0 <= begin - now_ms <= days * 86_400_000
    assert running(programme(schedule), begin) == 0.0
    assert running(programme(schedule), begin - 1) is None


def test_it_is_running_until_its_last_stroke() -> None:
    begin = ms("2027-01-01T00:00:00")
    offsets = [running(NEW_YEAR, begin + at) for at in (-1, 0, 60_000, 192_000, 192_001)]
    assert offsets == [None, 0.0, 60.0, 192.0, None]


def test_weekdays_are_those_of_the_calendar() -> None:
    assert [datetime(2026, 6, 1 + i).strftime("%a").lower() for i in range(7)] == list(WEEKDAYS)


# ---- what is due

BASE = table(YARD, OFFICE)
BEGIN_S = ms("2027-01-01T00:00:00") / 1000


def places(one: Programme) -> Places:
    return Places(BASE.all, [one])


def always(point: tuple[int, int]) -> bool:
    return True


def never(point: tuple[int, int]) -> bool:
    return False


def at(seconds: float) -> Instant:
    """So many seconds after the beginning of the year 2027; the boot clock reads 1 000 more."""
    return Instant(1_000 + seconds, round((BEGIN_S + seconds) * 1000))


def play(machine: Programmes, first_s: float, last_s: float, holds: object = always) -> list[Due]:
    """Everything due in ticks of 100 ms."""
    assert callable(holds)
    ticks = range(round(first_s * 10), round(last_s * 10) + 1)
    return [due for tick in ticks for due in machine.due(at(tick / 10), holds)]


def test_thirty_three_strokes_at_midnight_each_under_its_own_name() -> None:
    dues = play(Programmes(places(NEW_YEAR)), -20, 260)
    assert len(dues) == 33
    assert len({due.act.name for due in dues}) == len({due.avatar for due in dues}) == 33
    assert {due.act.verb for due in dues} == {"ring"}
    assert play(Programmes(places(NEW_YEAR)), -20, 260) == dues  # any node would name them so


def test_who_does_not_hold_the_place_plays_nothing_and_who_takes_over_goes_on() -> None:
    first, second = Programmes(places(NEW_YEAR)), Programmes(places(NEW_YEAR))
    played = play(first, -1, 100)
    assert play(second, -1, 100, never) == []
    went_on = play(second, 100, 260)
    late = [due for due in went_on if due in played]
    assert {due.act.n for due in (*played, *went_on)} == set(range(1, 34))
    assert len(late) == LATE_S // 6  # what might not have been done is done again, under the same names
    assert second.counters["programme-late"] == len(played) - len(late)


def strike(state: ObjectCell, cell: Cell, dues: list[Due], node: bytes) -> None:
    replica = replica_of(Incarnation(node * 32, 1), cell, 1)
    clock = HybridClock(replica)
    for due in dues:
        bell = bell_of(due.place)
        assert bell is not None
        asked = Asked(due.avatar, 0, due.act, Pose(*bell[1]), bell)
        done = perform(cell, state, asked, 0, replica, clock, at(0).wall_ms)
        assert isinstance(done, Performed)
        assert done.object_id == bell[0]


def test_a_takeover_half_way_rings_thirty_three_times_all_the_same() -> None:
    bell = bell_of(BASE.by_id["yard"])
    assert bell is not None
    cell = Cell.at(*bell[1], 9)
    state = ObjectCell()
    strike(state, cell, play(Programmes(places(NEW_YEAR)), 0, 100), b"a")
    strike(state, cell, play(Programmes(places(NEW_YEAR)), 104, 260), b"b")  # it has the first one's state
    shown = view(cell, bell[0], state.get(bell[0]))
    assert shown is not None
    assert (shown.kind, shown.count, (shown.east_cm, shown.north_cm)) == ("bell", 33, bell[1])
    strike(state, cell, play(Programmes(places(NEW_YEAR)), 0, 260), b"c")  # all of it once more
    again = view(cell, bell[0], state.get(bell[0]))
    assert again is not None
    assert again.count == 33


def test_a_cell_has_its_own_bell_beside_a_declared_one() -> None:
    cell = Cell.at(*BASE.by_id["yard"].spawns[0].at, 9)
    replica = replica_of(Incarnation(b"a" * 32, 1), cell, 1)
    state = ObjectCell()
    asked = Asked(7, 1, Act(1, "ring"), Pose(*cell.centre_cm))
    done = perform(cell, state, asked, 0, replica, HybridClock(replica), 1)
    assert isinstance(done, Performed)
    assert done.object_id != (bell_of(BASE.by_id["yard"]) or (b"",))[0]


# ---- rehearsals


def test_a_rehearsal_on_demand() -> None:
    machine, yard = Programmes(places(NEW_YEAR)), BASE.by_id["yard"]
    noon = at(-40_000)
    assert not machine.strikable(yard, noon)
    assert machine.start("noon", yard, noon) == NEW_YEAR
    assert machine.strikable(yard, noon)
    assert not machine.strikable(BASE.by_id["office"], noon)
    assert len(play(machine, -40_000, -39_980)) == 2  # the shorter line
    assert not machine.strikable(yard, at(-39_900))


@pytest.mark.parametrize(
    ("one", "asked", "place", "now_s", "reason"),
    [
        (NEW_YEAR, "nothing", "yard", -40_000, "no_programme"),
        (NEW_YEAR, "noon", "office", -40_000, "not_there"),
        (NEW_YEAR, "noon", None, -40_000, "not_there"),
        (NEW_YEAR, "noon", "yard", -300, "soon"),
        (NEW_YEAR, "noon", "yard", 30, "soon"),
        (programme(NEW_YEAR.schedule, rehearsed=0), "noon", "yard", -40_000, "no_rehearsal"),
    ],
)
def test_a_rehearsal_declined(
    one: Programme, asked: str, place: str | None, now_s: float, reason: str
) -> None:
    answer = Programmes(places(one)).start(asked, BASE.by_id[place] if place else None, at(now_s))
    assert isinstance(answer, Refusal)
    assert answer.reason == reason


def test_rehearsals_leave_each_other_time() -> None:
    machine, yard = Programmes(places(NEW_YEAR)), BASE.by_id["yard"]
    machine.start("noon", yard, at(-40_000))
    again = machine.start("noon", yard, at(-39_965))
    assert isinstance(again, Refusal)
    assert again.reason == "rehearsed"
    assert machine.start("noon", yard, at(-39_963)) == NEW_YEAR


def test_words_are_told_where_the_programme_is() -> None:
    line = ((0.0, Tell(WORDS)),)
    one = Programme("noon", "office", WORDS, WORDS, Schedule("day", 0), 10, line)
    (due,) = play(Programmes(places(one)), -1, 1)
    assert (due.place.id, due.op) == ("office", Tell(WORDS))
