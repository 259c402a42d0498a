"""What everybody may see of a request: leaves read one by one, and folded as plain reading of them says."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.civic.transaction import Field, Filing, parse_leaf
from p2pworld.crypto.keys import Signer
from p2pworld.services.case_log import case_of
from p2pworld.services.deadlines import NEVER
from p2pworld.services.facility import slot_text
from p2pworld.services.record import (
    Acted,
    Happened,
    Opened,
    Record,
    Wiped,
    fold,
    possible,
    read_entry,
)
from p2pworld.services.workflow import Action, State, Who
from p2pworld.services.working_time import OfficeCalendar
from shard_node.services.folder import read
from tests.services.published import CHIEF, OFFICIAL, Office
from tests.services.samples import filled
from tests.services.test_reservations import TEN

CALENDAR = OfficeCalendar()
CATALOGUE = read()
COMPLAINT = CATALOGUE.services["complaint-suggestion"]
BUS = CATALOGUE.services["tour-bus-seat"]
STOP = CATALOGUE.bookable(BUS)[0]
SLOT = STOP.slots(date(2026, 2, 14), CALENDAR)[0]
SEAT = {"facility": STOP.id, "slot": slot_text(SLOT.begin)}


def filings(office: Office) -> list[Filing]:
    return [parse_leaf(leaf).filing for leaf in office.leaves]


def record_of(office: Office, entry: int = 0, known: bool = True) -> Record:
    """The case of an entry, by reading all leaves of the log in their order."""
    told = [read_entry(number, filing) for number, filing in enumerate(filings(office))]
    opened = told[entry]
    assert isinstance(opened, Opened)
    deeds = [
        deed
        for deed in told
        if (isinstance(deed, Acted) and deed.about == entry)
        or (isinstance(deed, Happened) and deed.filing == opened.key)
    ]
    return fold(opened, deeds, CATALOGUE.services[opened.service] if known else None, CALENDAR)


def office_at(minute: int, stream: str = "city") -> Office:
    return Office(stream, minute)


def test_a_complaint_from_its_leaves_to_its_end() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    assert record_of(office).state is State.RECEIVED
    for minute, (action, by, amount) in enumerate(
        [
            (Action.ASSIGN, OFFICIAL, 0),
            (Action.BEGIN, OFFICIAL, 0),
            (Action.ASK, OFFICIAL, 10),
            (Action.SUPPLEMENT, None, 0),
            (Action.COMPLETE, CHIEF, 0),
            (Action.RATE, None, 4),
        ]
    ):
        office.minute = TEN + 10 * minute
        office.act(0, minute, action, by, amount, letter=action is Action.ASK)
    record = record_of(office)
    assert [shown.who for shown in record.acts] == [
        *(Who.OFFICIAL, Who.OFFICIAL, Who.OFFICIAL, Who.CITIZEN, Who.DECIDER, Who.CITIZEN)
    ]
    assert [shown.state for shown in record.acts][:3] == [
        *(State.ASSIGNED, State.IN_PROGRESS, State.SUPPLEMENT_REQUESTED)
    ]
    assert [
        shown.deed.entry for shown in record.acts if isinstance(shown.deed, Acted) and shown.deed.letter
    ] == [3]
    assert record.ended
    assert record.case is not None
    assert record.case.rating == 4
    assert record.assigned == OFFICIAL.public
    assert (record.seen, record.changed) == (6, TEN + 50)
    assert record.terms[0].ended_by is Who.DECIDER
    assert not record.overdue(NEVER - 1), "answered in time, however late it is looked at"


def test_a_deadline_that_is_missed_stays_missed() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    due = record_of(office).due
    assert due is not None
    assert [record_of(office).overdue(minute) for minute in (due - 1, due)] == [False, True]
    office.minute = due
    office.act(0, 1, Action.BEGIN, OFFICIAL)
    office.act(0, 2, Action.COMPLETE, CHIEF)
    assert record_of(office).overdue(TEN)


def test_what_waits_for_the_citizen_is_never_due() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    office.act(0, 1, Action.ASK, OFFICIAL, 10)
    assert record_of(office).due == NEVER
    assert not record_of(office).overdue(NEVER - 1)


def test_each_reopening_has_a_deadline_of_its_own() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    for seen, (action, by) in enumerate(
        [(Action.ASSIGN, OFFICIAL), (Action.BEGIN, OFFICIAL), (Action.COMPLETE, CHIEF), (Action.REOPEN, None)]
    ):
        office.act(0, seen, action, by)
    record = record_of(office)
    assert [term.ended_by for term in record.terms] == [Who.DECIDER, None]
    assert not record.ended


def test_a_transfer_says_who_has_it_now_and_nobody_has_taken_it_there() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    office.act(0, 1, Action.TRANSFER, OFFICIAL, 1)
    record = record_of(office)
    assert (record.office, record.assigned, record.state) == ("jongno", b"", State.TRANSFERRED)
    office.act(0, 2, Action.TRANSFER, OFFICIAL, 26)
    assert record_of(office).office == "jongno", "there is no 26th gu"


def test_what_had_no_effect_is_shown_with_its_reason_and_not_counted() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    office.act(0, 0, Action.BEGIN, OFFICIAL)
    office.act(0, 1, Action.COMPLETE, OFFICIAL)
    record = record_of(office)
    assert [shown.refused for shown in record.acts] == ["", "case-moved-on", "state-conflict"]
    assert (record.seen, record.state) == (1, State.ASSIGNED)


def test_a_place_that_is_held_confirmed_and_used() -> None:
    office = office_at(TEN)
    office.file(BUS, SEAT)
    applied = record_of(office)
    assert applied.booking is not None
    assert (applied.booking.standing, applied.booking.seat) == ("applied", None)
    office.event(0, Action.HOLD, STOP.id, SLOT.begin, 3, TEN + 10)
    held = record_of(office)
    assert held.booking == replace(applied.booking, seat=3, standing="held", until=TEN + 10)
    assert held.state is State.HELD
    assert held.acts[0].who is Who.SYSTEM
    office.act(0, 1, Action.CLAIM, None)
    office.event(0, Action.CONFIRM, STOP.id, SLOT.begin, 3)
    confirmed = record_of(office)
    assert confirmed.booking == replace(applied.booking, seat=3, standing="confirmed")
    assert confirmed.state is State.CONFIRMED
    office.act(0, confirmed.seen, Action.USE, OFFICIAL)
    office.event(0, Action.USE, STOP.id, SLOT.begin, 3)
    used = record_of(office)
    assert used.state is State.USED
    assert used.booking is not None
    assert used.booking.standing == "used"


def test_what_is_given_up_is_cancelled_by_the_act_and_then_told_of_the_place() -> None:
    office = office_at(TEN)
    office.file(BUS, SEAT)
    office.event(0, Action.HOLD, STOP.id, SLOT.begin, 0, TEN + 10)
    office.act(0, 1, Action.CANCEL, None)
    office.event(0, Action.CANCEL, STOP.id, SLOT.begin, 0)
    record = record_of(office)
    assert [shown.refused for shown in record.acts] == ["", "", "already-closed"]
    assert record.state is State.CANCELLED
    assert record.booking is not None
    assert record.booking.standing == "cancelled"
    assert record.seen == 2


@pytest.mark.parametrize(
    ("action", "standing", "state"),
    [(Action.EXPIRE, "expired", State.EXPIRED), (Action.WAIT, "waiting", State.HELD)],
)
def test_an_event_that_the_table_does_not_have_changes_the_place_alone(
    action: Action, standing: str, state: State
) -> None:
    office = office_at(TEN)
    office.file(BUS, SEAT)
    office.event(0, Action.HOLD, STOP.id, SLOT.begin, 0, TEN + 10)
    office.event(0, action, STOP.id, SLOT.begin, 0)
    record = record_of(office)
    assert record.booking is not None
    assert (record.booking.standing, record.state) == (standing, state)


def test_an_event_of_another_slot_is_none_of_its_place() -> None:
    office = office_at(TEN)
    office.file(BUS, SEAT)
    office.event(0, Action.HOLD, STOP.id, SLOT.end, 0)
    booking = record_of(office).booking
    assert booking is not None
    assert booking.standing == "applied"


def test_a_service_that_is_not_declared_stops_nothing() -> None:
    office = office_at(TEN)
    office.file(BUS, SEAT)
    office.event(0, Action.HOLD, STOP.id, SLOT.begin, 2, TEN + 10)
    office.act(0, 1, Action.CANCEL, None)
    record = record_of(office, known=False)
    assert (record.state, record.due, record.seen, record.ended) == (None, None, 0, False)
    assert not record.overdue(NEVER)
    assert [shown.who for shown in record.acts] == [Who.SYSTEM, Who.CITIZEN]
    assert record.booking is not None
    assert record.booking.standing == "held", "who has which seat is known all the same"
    assert possible(record, TEN, CALENDAR) == dict.fromkeys((Who.CITIZEN, Who.OFFICIAL, Who.DECIDER), ())


def test_what_a_gateway_filed_names_it_and_keeps_its_signature_out_of_what_is_shown() -> None:
    gateway = Signer.from_seed(b"g" * 32)
    office = office_at(TEN)
    service = next(each for each in CATALOGUE.services.values() if each.gateway and each.public)
    public, _ = service.split(filled(service, CATALOGUE))
    office.file(service, public, gateway)
    opened = record_of(office).opened
    assert opened.via == gateway.public
    assert set(opened.public) == set(service.public)


def test_other_leaves_say_nothing_of_cases() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    office.erase(0)
    assert read_entry(1, filings(office)[1]) == Wiped(0)
    act = filings(office_with_act())[1]
    forged = replace(act, public=(Field("entry", "7"), *act.public[1:]))
    assert read_entry(1, forged) is None, "not signed by who is said to act"
    for name in ("suggestion", "keys", "draw-opened", "slot-event", "erased", "draw-entered"):
        assert read_entry(0, replace(act, type=name)) is None


def office_with_act() -> Office:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    return office


def test_who_enters_a_draw_is_told_by_the_leaf_of_the_draw() -> None:
    service = CATALOGUE.services["reserve-draw"]
    facility = CATALOGUE.bookable(service)[0]
    office = office_at(TEN, facility.gu)
    office.file(service, {"facility": facility.id, "slot": "2026-03-02T10:00"})
    key = Signer.from_seed(b"e" * 32)
    said = {
        "draw": f"{facility.id}/2026-03-02T10:00/1", "person": "ab" * 32, "order": "other",
        "filing": office.signers[0].public.hex(), "party": "0", "said": "cd" * 64,
    }  # fmt: skip
    filing = Filing(
        "draw-entered", facility.gu, key.public, TEN, tuple(Field(*each) for each in said.items())
    )
    told = read_entry(1, filing)
    assert isinstance(told, Happened)
    assert (told.facility, told.slot, told.action) == (facility.id, "2026-03-02T10:00", Action.ENTER)
    opened = read_entry(0, filings(office)[0])
    assert isinstance(opened, Opened)
    record = fold(opened, [told], service, CALENDAR)
    assert record.state is State.DRAW_PENDING
    assert record.booking is not None
    assert record.booking.standing == "entered"
    # who has given it up is not in it again when the draw has to be held anew
    office.act(0, 1, Action.CANCEL, None)
    gone = read_entry(2, filings(office)[1])
    assert isinstance(gone, Acted)
    again = replace(told, entry=3, key=b"a" * 32)
    stories: list[list[Acted | Happened]] = [[told, gone], [told, gone, again]]
    for deeds in stories:
        record = fold(opened, deeds, service, CALENDAR)
        assert record.state is State.CANCELLED
        assert record.booking is not None
        assert record.booking.standing == "cancelled"


# ---- beside the plain fold of case_log

ACTS = st.lists(
    st.tuples(
        st.sampled_from([*COMPLAINT.workflow.table]).map(lambda at: at[1]),
        st.sampled_from([None, OFFICIAL]),
        st.integers(0, 12),
        st.integers(0, 3 * 24 * 60),
        st.integers(-1, 0),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(ACTS)
def test_it_folds_as_everybody_does_who_knows_the_roles(
    acts: list[tuple[Action, Signer | None, int, int, int]],
) -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    for action, by, amount, later, behind in acts:
        office.minute += later
        office.act(0, max(0, record_of(office).seen + behind), action, by, amount)
    record = record_of(office)
    about, *others = filings(office)
    # whoever it is may decide: what the log itself does not tell
    twin, outcomes = case_of(
        COMPLAINT.workflow, COMPLAINT.deadline.term, about, others, {OFFICIAL.public: Who.DECIDER}, CALENDAR
    )
    assert record.case is not None
    assert (record.state, record.due) == (twin.state, twin.clock.due(CALENDAR))
    assert [shown.refused for shown in record.acts] == [why.reason if why else "" for why in outcomes]
    assert [term.clock for term in record.terms] == list(twin.clocks)
    for who, actions in possible(record, office.minute, CALENDAR).items():
        assert set(actions) <= set(COMPLAINT.workflow.actions(twin.state, who))


def test_what_may_be_done_is_what_is_then_taken() -> None:
    office = office_at(TEN)
    office.file(COMPLAINT, {})
    for seen, (action, by) in enumerate(
        [(Action.ASSIGN, OFFICIAL), (Action.BEGIN, OFFICIAL), (Action.COMPLETE, CHIEF), (Action.RATE, None)]
    ):
        may = possible(record_of(office), office.minute, CALENDAR)
        assert action in may[Who.CITIZEN if by is None else Who.DECIDER]
        office.act(0, seen, action, by, 1)
    assert possible(record_of(office), TEN, CALENDAR)[Who.CITIZEN] == (Action.REOPEN,), "rated already"
    late = TEN + 400 * 24 * 60
    assert possible(record_of(office), late, CALENDAR)[Who.CITIZEN] == ()
