"""Opening hours and the grids of slots that come of them."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.services.facility import Facility, parse_hours, read_facility, slot_text
from p2pworld.services.working_time import OfficeCalendar, day_of, minute_at
from p2pworld.world.reading import Table, Wrong
from shard_node.services.folder import read

CALENDAR = OfficeCalendar()


def facility(hours: str, slot_minutes: int = 60, **more: object) -> Facility:
    values = {
        "id": "hall",
        "name": {"ko": "강당", "en": "Hall"},
        "gu": "jongno",
        "kind": "hall",
        "capacity": 10,
        "open": hours,
        "slot_minutes": slot_minutes,
    }
    return read_facility(Table("", {**values, **more}))


def begins(hours: str, day: str, slot_minutes: int = 60, **more: object) -> list[str]:
    slots = facility(hours, slot_minutes, **more).slots(date.fromisoformat(day), CALENDAR)
    return [slot_text(slot.begin)[11:] for slot in slots]


@pytest.mark.parametrize(
    ("hours", "day", "slots"),
    [
        # 2026-02-13 is a Friday, the 14th a Saturday, the 17th Seollal (a Tuesday)
        ("Mo-Fr 09:00-12:00; PH off", "2026-02-13", "09:00 10:00 11:00"),
        ("Mo-Fr 09:00-12:00; PH off", "2026-02-14", ""),
        ("Mo-Fr 09:00-12:00; PH off", "2026-02-17", ""),
        ("Mo-Fr 09:00-12:00", "2026-02-17", "09:00 10:00 11:00"),
        ("Mo-Fr 09:00-11:00,13:00-14:30", "2026-02-13", "09:00 10:00 13:00"),
        ("Sa-Su 08:00-10:00; PH 08:00-09:00", "2026-02-17", "08:00"),
        ("Sa-Su 08:00-10:00; PH 08:00-09:00", "2026-02-14", "08:00 09:00"),
        ("Sa[2] 09:00-10:00", "2026-02-14", "09:00"),
        ("Sa[2] 09:00-10:00", "2026-02-07", ""),
        ("Mo-Su 09:00-10:00; Fr 12:00-13:00", "2026-02-13", "12:00"),
        ("Fr-Mo 09:00-10:00", "2026-02-15", "09:00"),
        ("Fr-Mo 09:00-10:00", "2026-02-18", ""),
        ("We,Fr 09:00-10:00", "2026-02-13", "09:00"),
        ("Mo-Su 22:00-24:00", "2026-02-13", "22:00 23:00"),
    ],
)
def test_the_slots_of_a_day(hours: str, day: str, slots: str) -> None:
    assert begins(hours, day) == slots.split()


def test_a_day_may_be_one_slot_and_may_be_closed() -> None:
    assert begins("Mo-Su 00:00-24:00", "2026-02-13", 1440) == ["00:00"]
    assert begins("Mo-Su 00:00-24:00", "2026-02-13", 1440, closed=["2026-02-13"]) == []


@pytest.mark.parametrize(
    "text",
    ["", "always", "Mo-Fr", "09:00-12:00", "Mo-Fr 9:00-12:00", "Mo-Fr 12:00-09:00", "Mo-Fr 09:00-25:00",
     "Mo-Fr 09:00-12:00,11:00-13:00", "Xx 09:00-10:00", "Mo-Fr 09:00-12:00;", "Sa[6] 09:00-10:00"],
)  # fmt: skip
def test_what_is_no_opening_hours_is_none(text: str) -> None:
    assert parse_hours(text) is None


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("id", {"id": "Hall"}),
        ("gu", {"gu": "busan"}),
        ("open", {"open": "sometimes"}),
        ("slot_minutes", {"slot_minutes": 5, "open": "Mo-Su 00:00-24:00"}),
        ("slot_minutes", {"slot_minutes": 600, "open": "Mo-Su 09:00-10:00"}),
        ("seats", {"seats": 0}),
        ("allocation", {"allocation": "auction"}),
        ("residents", {"residents": "friends"}),
        ("resident_days", {"residents": "days"}),
        ("resident_days", {"resident_days": 3}),
        ("closed", {"closed": ["tomorrow"]}),
        ("colour", {"colour": "red"}),
    ],
)
def test_what_is_wrong_with_a_facility_is_told_by_its_key(key: str, values: dict[str, object]) -> None:
    with pytest.raises(Wrong) as wrong:
        facility("Mo-Su 09:00-12:00", **{"slot_minutes": 60, **values})  # type: ignore[arg-type]
    assert wrong.value.key == key


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(read().facilities.values())), st.integers(0, 400))
def test_slots_of_a_facility_never_overlap_and_are_found_by_their_beginning(
    place: Facility, ahead: int
) -> None:
    day = date(2026, 1, 1) + timedelta(days=ahead)
    slots = place.slots(day, CALENDAR)
    for one, other in itertools.pairwise(slots):
        assert one.end <= other.begin
    for slot in slots:
        assert slot.end - slot.begin == place.slot_minutes
        assert day_of(slot.begin) == day
        assert place.slot_at(slot.begin, CALENDAR) == slot
        assert place.slot_at(slot.begin + 1, CALENDAR) is None
    assert all(minute_at(day) <= slot.begin and slot.end <= minute_at(day, 1440) for slot in slots)
