"""Bookings: the rules one by one, and random days at the desk beside the clerk with the paper list."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import Refusal
from p2pworld.services.declaration import Places
from p2pworld.services.facility import Allocation, Facility, Residents, Slot, parse_hours
from p2pworld.services.reasons import SERVICE_REASONS
from p2pworld.services.reservations import (
    Ask,
    Book,
    Booked,
    Cancel,
    Confirm,
    Decision,
    Mark,
    Offer,
    Place,
    Settle,
    Standing,
    View,
    Wait,
    Waiting,
    decide,
    offer_of,
)
from p2pworld.services.workflow import Action
from p2pworld.services.working_time import OfficeCalendar, minute_at
from shard_node.services.folder import read
from tests.services.clerk import HAS, Clerk

CALENDAR = OfficeCalendar()
DAY = date(2026, 2, 13)
TEN = minute_at(DAY, 600)
HOURS = parse_hours("Mo-Su 09:00-18:00")
assert HOURS is not None

RULES = Places(
    allocation=Allocation.FIRST_COME,
    kinds=frozenset({"hall"}),
    opens_days=10,
    closes_minutes=60,
    hold_minutes=10,
    pay_minutes=120,
    cancel_minutes=1440,
    per_month=2,
    waiting=2,
    pause_days=30,
    draw_days=0,
)
AT_ONCE = replace(RULES, hold_minutes=0, pay_minutes=0, cancel_minutes=0)
HALL = Facility(
    "hall", {"ko": "강당", "en": "Hall"}, "jongno", "hall", 60, HOURS, 10, 2, Allocation.FIRST_COME, 0,
    Residents.NONE,
)  # fmt: skip
ROOM = replace(HALL, id="room", seats=1, residents=Residents.FIRST)
YARD = replace(HALL, id="yard", seats=1, residents=Residents.DAYS, resident_days=3)


class Store:
    """The rows as a database has them: a key that is there already is an error, and so is one that is not."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, int, int], Place] = {}
        self.waits: dict[tuple[str, int, int], Wait] = {}
        self.leaves: dict[tuple[str, int, str], tuple[int | None, Action]] = {}

    def ask(self, offer: Offer, ask: Ask) -> Decision:
        slot = (offer.facility.id, offer.slot.begin)
        person = getattr(ask, "person", None)
        view = View(
            tuple(place for key, place in self.places.items() if key[:2] == slot),
            tuple(wait for key, wait in self.waits.items() if key[:2] == slot),
            tuple(place for place in self.places.values() if place.person == person),
        )
        decision = decide(offer, view, ask)
        for place in decision.drop:
            assert self.places.pop((*slot, place.seat)) == place
        for wait in decision.leave:
            assert self.waits.pop((*slot, wait.number)) == wait
        for place in decision.put:
            assert (*slot, place.seat) not in self.places, "a double booking"
            self.places[*slot, place.seat] = place
        for wait in decision.join:
            assert (*slot, wait.number) not in self.waits
            self.waits[*slot, wait.number] = wait
        for event in decision.events:
            if event.action in (Action.EXPIRE, Action.CANCEL):
                del self.leaves[*slot, event.key]
            else:
                self.leaves[*slot, event.key] = event.seat, event.action
        return decision


def offer(facility: Facility = HALL, hour: int = 10, rules: Places = RULES) -> Offer:
    begin = minute_at(DAY, hour * 60)
    return Offer("reserve-hall", rules, facility, Slot(begin, begin + facility.slot_minutes))


def book(key: str, minute: int = TEN - 4320, **more: object) -> Book:
    return Book(key, more.pop("person", f"person of {key}"), more.pop("people", 1), minute, **more)  # type: ignore[arg-type]


def reason(decision: Decision) -> str:
    assert isinstance(decision.answer, Refusal), decision.answer
    return decision.answer.reason


# ---- one by one


def test_a_place_is_held_then_due_then_confirmed_then_used() -> None:
    store, three_days_before = Store(), TEN - 4320
    first = store.ask(offer(), book("a"))
    assert first.answer == Booked(0, Standing.HELD, three_days_before + 10)
    assert [event.action for event in first.events] == [Action.HOLD]
    due = store.ask(offer(), Confirm("a", "person of a", three_days_before + 5))
    assert due.answer == Booked(0, Standing.DUE, three_days_before + 125)
    paid = store.ask(offer(), Confirm("a", "person of a", three_days_before + 60))
    assert paid.answer == Booked(0, Standing.CONFIRMED, None)
    assert reason(store.ask(offer(), Mark("a", TEN - 1, came=True))) == "not-yet"
    assert store.ask(offer(), Mark("a", TEN + 5, came=True)).answer == Booked(0, Standing.USED, None)
    assert reason(store.ask(offer(), Cancel("a", TEN + 6))) == "no-booking"


def test_the_same_request_again_is_answered_the_same_and_changes_nothing() -> None:
    store = Store()
    first = store.ask(offer(), book("a"))
    again = store.ask(offer(), book("a", TEN - 4319))
    assert again == Decision(first.answer)


def test_who_comes_late_waits_and_gets_what_is_given_up_or_runs_out() -> None:
    store, now = Store(), TEN - 4320
    for key in "ab":
        store.ask(offer(), book(key, now))
        store.ask(offer(), Confirm(key, f"person of {key}", now))
        store.ask(offer(), Confirm(key, f"person of {key}", now))
    assert reason(store.ask(offer(), book("c", now))) == "slot-taken"
    assert store.ask(offer(), book("c", now, wait=True)).answer == Waiting(1)
    assert store.ask(offer(), book("d", now, wait=True)).answer == Waiting(2)
    assert reason(store.ask(offer(), book("e", now, wait=True))) == "waitlist-full"
    again = book("f", now, wait=True, person="person of c")
    assert reason(store.ask(offer(), again)) == "waiting-already"
    given_up = store.ask(offer(), Cancel("a", now + 5))
    assert [(event.action, event.key) for event in given_up.events] == [
        (Action.CANCEL, "a"),
        (Action.MOVE_UP, "c"),
    ]
    # c does not want it any more: the next in line has it, for a day again
    later = store.ask(offer(), Settle(now + 5 + 1440))
    assert [(event.action, event.key) for event in later.events] == [
        (Action.EXPIRE, "c"),
        (Action.MOVE_UP, "d"),
    ]
    assert store.leaves["hall", TEN, "d"] == (0, Action.MOVE_UP)


def test_what_has_run_out_is_written_off_by_the_next_decision_even_if_that_is_a_refusal() -> None:
    store, now = Store(), TEN - 4320
    store.ask(offer(ROOM), book("a", now))
    late = store.ask(offer(ROOM), Confirm("a", "person of a", now + 10))
    assert reason(late) == "hold-expired"
    assert [(event.action, event.key) for event in late.events] == [(Action.EXPIRE, "a")]
    assert store.places == {}
    assert reason(store.ask(offer(ROOM), Confirm("a", "person of a", now + 11))) == "no-booking"


def test_when_the_slot_begins_nobody_waits_any_longer_and_nothing_is_held() -> None:
    store, now = Store(), TEN - 61
    store.ask(offer(ROOM), book("a", now))
    store.ask(offer(ROOM), Confirm("a", "person of a", now))
    assert store.ask(offer(ROOM), book("b", now, wait=True)).answer == Waiting(1)
    ended = store.ask(offer(ROOM), Settle(TEN))
    assert {(event.action, event.key) for event in ended.events} == {
        (Action.EXPIRE, "a"),
        (Action.EXPIRE, "b"),
    }
    assert (store.places, store.waits, store.leaves) == ({}, {}, {})


@pytest.mark.parametrize(
    ("minute", "code"),
    [
        (TEN, "slot-past"),
        (TEN + 600, "slot-past"),
        (TEN - 59, "slot-deadline"),
        (TEN - 60, None),
        (minute_at(date(2026, 2, 3), 540), None),
        (minute_at(date(2026, 2, 3), 539), "slot-not-open"),
    ],
)
def test_a_slot_can_be_booked_in_its_time(minute: int, code: str | None) -> None:
    answer = Store().ask(offer(), book("a", minute)).answer
    assert (answer.reason if isinstance(answer, Refusal) else None) == code


def test_what_is_held_is_never_held_beyond_the_beginning() -> None:
    store, now = Store(), TEN - 600
    for key, wait in (("a", False), ("b", True)):
        store.ask(offer(ROOM, rules=replace(AT_ONCE, cancel_minutes=0)), book(key, now, wait=wait))
    store.ask(offer(ROOM, rules=AT_ONCE), Cancel("a", now + 1))
    (place,) = store.places.values()
    assert (place.key, place.standing, place.until) == ("b", Standing.HELD, TEN)
    late = replace(RULES, closes_minutes=0)
    held = Store().ask(offer(rules=late), book("a", TEN - 5))
    assert held.answer == Booked(0, Standing.HELD, TEN)


def test_residents_have_a_head_start_or_all_of_it() -> None:
    opens = minute_at(date(2026, 2, 3), 540)
    assert reason(Store().ask(offer(YARD), book("a", opens + 3 * 1440 - 1))) == "residents-first"
    assert isinstance(Store().ask(offer(YARD), book("a", opens, resident_of="jongno")).answer, Booked)
    assert isinstance(Store().ask(offer(YARD), book("a", opens + 3 * 1440)).answer, Booked)
    only = replace(HALL, residents=Residents.ONLY)
    assert reason(Store().ask(offer(only), book("a", resident_of="mapo"))) == "residents-only"
    assert isinstance(Store().ask(offer(only), book("a", resident_of="jongno")).answer, Booked)


def test_residents_wait_in_front_where_they_come_first() -> None:
    store = Store()
    store.ask(offer(ROOM), book("a"))
    assert store.ask(offer(ROOM), book("b", wait=True)).answer == Waiting(1)
    assert store.ask(offer(ROOM), book("c", wait=True, resident_of="jongno")).answer == Waiting(1)
    assert store.ask(offer(ROOM), book("b", wait=True)).answer == Waiting(2)


def test_one_person_has_no_two_places_at_a_time_and_so_many_a_month() -> None:
    store = Store()
    me = "person of a"
    at_once = [offer(facility, hour, AT_ONCE) for facility in (HALL, ROOM) for hour in (10, 11, 12)]
    store.ask(at_once[0], book("a"))
    assert reason(store.ask(at_once[0], book("b", person=me))) == "slot-overlap"
    assert reason(store.ask(at_once[3], book("b", person=me))) == "slot-overlap"
    assert isinstance(store.ask(at_once[4], book("b", person=me)).answer, Booked)
    assert reason(store.ask(at_once[5], book("c", person=me))) == "quota-used"
    other = replace(at_once[5], service="another")
    assert isinstance(store.ask(other, book("c", person=me)).answer, Booked)


def test_who_did_not_come_cannot_book_for_a_while() -> None:
    store, me = Store(), "person of a"
    store.ask(offer(rules=AT_ONCE), book("a"))
    missed = store.ask(offer(rules=AT_ONCE), Mark("a", TEN + 30, came=False))
    assert missed.answer == Booked(0, Standing.MISSED, None)
    next_slot = Offer("reserve-hall", AT_ONCE, HALL, Slot(TEN + 29 * 1440, TEN + 29 * 1440 + 60))
    assert reason(store.ask(next_slot, book("b", TEN + 28 * 1440, person=me))) == "no-show-pause"
    far = Offer("reserve-hall", AT_ONCE, HALL, Slot(TEN + 40 * 1440, TEN + 40 * 1440 + 60))
    assert isinstance(store.ask(far, book("b", TEN + 60 + 30 * 1440, person=me)).answer, Booked)


def test_it_is_too_late_to_cancel_for_a_citizen_but_not_for_the_office() -> None:
    store = Store()
    rules = replace(AT_ONCE, cancel_minutes=1440)
    store.ask(offer(rules=rules), book("a"))
    assert reason(store.ask(offer(rules=rules), Cancel("a", TEN - 1439))) == "cancel-late"
    in_time = Store()
    in_time.ask(offer(rules=rules), book("a"))
    assert in_time.ask(offer(rules=rules), Cancel("a", TEN - 1440)).answer is None
    assert store.ask(offer(rules=rules), Cancel("a", TEN - 1439, by_office=True)).answer is None
    assert store.places == {}


def test_more_people_than_fit_and_places_by_lot_are_refused() -> None:
    assert reason(Store().ask(offer(), book("a", people=11))) == "too-many-people"
    by_lot = replace(RULES, allocation=Allocation.LOTTERY)
    assert reason(Store().ask(offer(rules=by_lot), book("a"))) == "booked-by-lot"


def test_what_is_asked_for_is_on_the_grid_of_an_open_facility_of_the_service() -> None:
    city = read()
    service = city.services["reserve-sports"]

    def asked(facility: str, slot: str) -> str:
        found = offer_of(service, city.facilities, facility, slot, CALENDAR)
        return found.reason if isinstance(found, Refusal) else "offered"

    assert asked("mapo-worldcup-tennis-1", "2026-02-13T10:00") == "offered"
    assert asked("mapo-worldcup-tennis-1", "2026-02-13T10:30") == "slot-closed"
    assert asked("mapo-worldcup-tennis-1", "2026-02-13T12:00") == "slot-closed"
    assert asked("jongno-youth-hall", "2026-02-17T10:00") == "facility-closed"  # Seollal
    assert asked("songpa-gallery", "2026-02-13T00:00") == "facility-unknown"
    assert asked("nowhere", "2026-02-13T10:00") == "facility-unknown"


# ---- random days

OFFERS = [
    offer(HALL, 10, replace(RULES, closes_minutes=0)),
    offer(ROOM, 10, replace(RULES, hold_minutes=0, closes_minutes=0)),
    offer(ROOM, 11, replace(AT_ONCE, closes_minutes=0)),
    offer(YARD, 12, replace(AT_ONCE, per_month=1, closes_minutes=0)),
]
KEYS = st.sampled_from("abcdefgh")
PERSONS = st.sampled_from("uvwxyz")
ASKS = st.one_of(
    st.builds(
        Book, KEYS, PERSONS, st.integers(1, 11), st.just(0), st.sampled_from(["jongno", ""]), st.booleans()
    ),
    st.builds(Book, KEYS, PERSONS, st.just(1), st.just(0), st.just("jongno"), st.just(True)),
    st.builds(Confirm, KEYS, st.just(""), st.just(0)),
    st.builds(Cancel, KEYS, st.just(0), st.booleans()),
    st.builds(Mark, KEYS, st.just(0), st.booleans()),
    st.builds(Settle, st.just(0)),
)
GAPS = st.sampled_from([0, 1, 5, 10, 60, 120, 1000, 1440, 4000])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(OFFERS), ASKS, GAPS), min_size=10, max_size=40))
def test_a_day_at_the_desk_goes_as_the_clerk_says_and_no_seat_is_given_twice(
    day: list[tuple[Offer, Ask, int]],
) -> None:
    store, clerk, minute = Store(), Clerk(), TEN - 5 * 1440
    owners: dict[str, tuple[str, Offer]] = {}
    for where, asked, gap in day:
        minute += gap
        ask = replace(asked, minute=minute)
        if isinstance(ask, Book):
            # a key belongs to one person and one slot; the log's holder sees to that
            person, where = owners.setdefault(ask.key, (ask.person, where))
            ask = replace(ask, person=person)
        elif not isinstance(ask, Settle):
            person, where = owners.get(ask.key, ("nobody", where))
            ask = replace(ask, person=person) if isinstance(ask, Confirm) else ask
        answer = store.ask(where, ask).answer
        expected = clerk.ask(where, ask)
        match answer:
            case Booked():
                assert expected == f"{answer.standing.value} {answer.seat}"
            case Waiting():
                assert expected == f"waiting {answer.position}"
            case Refusal():
                assert answer.reason in SERVICE_REASONS
                said = "none" if answer.reason in ("hold-expired", "no-booking") else answer.reason
                assert expected in (said, answer.reason)
            case None:
                assert expected == "ok"
        rows = {(*key, place.key, place.standing.value, place.until) for key, place in store.places.items()}
        paper = [line for line in clerk.lines if line.word in HAS]
        assert rows == {(*line.slot, line.seat, line.key, line.word, line.until) for line in paper}
        assert len(rows) == len(paper), "two lines for one seat"
        # the leaves tell all of it
        told = {(facility, slot, seat, key) for (facility, slot, key), (seat, _) in store.leaves.items()}
        waits = {(*key[:2], None, wait.key) for key, wait in store.waits.items()}
        assert told == {(*key, place.key) for key, place in store.places.items()} | waits
