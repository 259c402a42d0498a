"""The clerk of a stream: places and cases decided by rows, one rule after another."""

from __future__ import annotations

import pytest

from p2pworld.civic.transaction import parse_leaf
from p2pworld.services.case_log import event_of
from p2pworld.services.case_rows import OFFICES, fold, read_case
from p2pworld.services.officials import OFFICIAL, believed_of
from p2pworld.services.people import show, sign_claim
from p2pworld.services.support import Support, file_support, support_purpose
from shard_node.services.folder import read
from tests.civic.memory_store import KeptInMemory
from tests.services.office import (
    ATTESTOR,
    CALENDAR,
    CATALOGUE,
    HOLDER,
    Office,
    act,
    grants_of,
    key,
    papers,
    request,
    slot_at,
)

TENNIS, SPORTS = "guro-gyenam-tennis-out", "reserve-sports"
SLOT, TEN = slot_at("2026-05-02", 10)
LATER, ELEVEN = slot_at("2026-05-02", 11)
_, NOW = slot_at("2026-04-20", 9)
CLERK, CHIEF = key("an official"), key("another")


def office() -> Office:
    return Office("guro", NOW)


def book(at: Office, who: str, number: object = 0, slot: str = SLOT, wait: bool = False) -> object:
    said = {"facility": TENNIS, "slot": slot}
    return at.said(request(SPORTS, "guro", at.now, f"{who} {number}", person=who, wait=wait, said=said))


def state(at: Office, entry: int) -> str:
    about = parse_leaf(at.entries[entry]).filing
    case = read_case(KeptInMemory(at.rows), entry, at.stream)  # type: ignore[arg-type]
    return fold(CATALOGUE.services[about.type], about, case, CALENDAR).state.value


def by_citizen(at: Office, who: str, entry: int, action: str, seen: int, number: object = 0) -> object:
    """An act by the filing's own key."""
    own = key(f"{SPORTS} {who} {number}")
    return at.said(act(at.stream, entry, seen, action, own, at.now))


# ---- places


def test_a_place_is_held_then_paid_for_then_confirmed_and_each_step_is_in_the_log() -> None:
    at = office()
    assert book(at, "kim") == 0
    assert (at.told(), state(at, 0)) == ([("hold", 0)], "held")
    (hold,) = at.events()
    assert (hold.facility, hold.slot, hold.until) == (TENNIS, TEN, NOW + 10)
    leaf = parse_leaf(at.entries[1]).filing
    assert leaf.via == HOLDER.public
    assert at.due == NOW + 10
    at.now += 5
    assert by_citizen(at, "kim", 0, "claim", 1) == 2
    assert (at.told(2), state(at, 0), at.due) == ([("claim", 0)], "payment-due", NOW + 125)
    assert by_citizen(at, "kim", 0, "confirm", 2) == 4
    assert (at.told(4), state(at, 0)) == ([("confirm", 0)], "confirmed")
    assert at.due == ELEVEN + 400 * 1440


def test_who_comes_second_is_refused_and_told_the_same_however_often_they_ask() -> None:
    at = office()
    book(at, "kim")
    late = request(SPORTS, "guro", NOW, "lee", person="lee", facility=TENNIS, slot=SLOT)
    assert at.said(late) == "slot-taken"
    at.now += 11  # the hold has run out
    assert at.said(late) == "slot-taken"
    assert at.said(papers(late)) == "slot-taken"  # even without what was shown
    assert at.told(2) == [("expire", 0)]
    assert book(at, "lee", 2) == 3
    assert at.told(3) == [("hold", 0)]
    assert state(at, 0) == "expired"


def test_a_double_click_is_one_booking_and_two_requests_of_one_person_are_as_well() -> None:
    at = office()
    first = request(SPORTS, "guro", NOW, 1, person="kim", facility=TENNIS, slot=SLOT)
    other = request(SPORTS, "guro", NOW, 2, person="kim", facility=TENNIS, slot=SLOT)
    said = at.take(first, first, other)
    assert said[:2] == (0, 0)
    assert getattr(said[2], "reason", "") == "slot-overlap"
    assert len(at.entries) == 2


def test_a_facility_that_was_booked_elsewhere_is_booked_there_whatever_a_declaration_says() -> None:
    at = office()
    assert book(at, "kim") == 0
    moved = read(None, {TENNIS: "mapo"})
    at.catalogue = moved
    assert book(at, "lee", slot=LATER) == "civic-stream"
    assert by_citizen(at, "kim", 0, "claim", 1) == 2  # what was booked here is dealt with here
    there = Office("mapo", NOW, catalogue=moved)
    said = {"facility": TENNIS, "slot": LATER}
    assert there.said(request(SPORTS, "mapo", NOW, "lee", person="lee", said=said)) == 0


def test_more_people_than_a_place_has_room_for_are_refused_by_what_stands_in_the_leaf() -> None:
    at, most = office(), CATALOGUE.facilities[TENNIS].capacity
    said = {"facility": TENNIS, "slot": SLOT}
    asked = {
        number: request(SPORTS, "guro", NOW, number, person="kim", said={**said, "people": number})
        for number in (most + 1, 10**15, most)
    }
    assert at.take(asked[most + 1], asked[10**15], asked[most])[2] == 0
    assert [at.said(each) for each in asked.values()] == ["too-many-people", "too-many-people", 0]
    public = {each.name: each.value for each in parse_leaf(at.entries[0]).filing.public}
    assert public["people"] == str(most)


def test_what_runs_out_is_settled_by_the_clock_and_whoever_waits_moves_up() -> None:
    at = office()
    book(at, "kim")
    assert book(at, "lee", wait=True) == 2
    assert (at.told(2), state(at, 2)) == ([("wait", None)], "waiting")
    at.now = NOW + 9
    assert (at.take(), len(at.entries)) == ((), 4)
    at.now = NOW + 10
    at.take()
    assert at.told(4) == [("expire", 0), ("move-up", 0)]
    assert (state(at, 0), state(at, 2)) == ("expired", "held")
    assert at.due == at.now + 24 * 60


def test_a_cancellation_gives_the_place_to_who_waits() -> None:
    at = office()
    book(at, "kim")
    by_citizen(at, "kim", 0, "claim", 1)
    by_citizen(at, "kim", 0, "confirm", 2)
    assert book(at, "lee", wait=True) == 6
    since = len(at.entries)
    assert by_citizen(at, "kim", 0, "cancel", 3) == since
    assert at.told(since) == [("cancel", 0), ("move-up", 0)]
    assert (state(at, 0), state(at, 6)) == ("cancelled", "held")
    assert by_citizen(at, "kim", 0, "cancel", 4) == "already-closed"


def test_too_late_to_cancel_is_no_cancellation_but_the_office_may() -> None:
    at = office()
    book(at, "kim")
    by_citizen(at, "kim", 0, "claim", 1)
    by_citizen(at, "kim", 0, "confirm", 2)
    at.now = TEN - 100
    assert by_citizen(at, "kim", 0, "cancel", 3) == "cancel-late"
    assert state(at, 0) == "confirmed"
    grants = grants_of(CLERK, "guro", at.now)
    assert isinstance(at.said(act("guro", 0, 3, "cancel", CLERK, at.now, grants=grants)), int)
    assert state(at, 0) == "cancelled"


def test_who_did_not_come_may_not_book_for_a_while() -> None:
    at = office()
    book(at, "kim")
    by_citizen(at, "kim", 0, "claim", 1)
    by_citizen(at, "kim", 0, "confirm", 2)
    grants = grants_of(CLERK, "guro", TEN)
    at.now = TEN - 1
    assert at.said(act("guro", 0, 3, "miss", CLERK, at.now, grants=grants)) == "not-yet"
    at.now = TEN + 30
    assert isinstance(at.said(act("guro", 0, 3, "miss", CLERK, at.now, grants=grants)), int)
    assert state(at, 0) == "no-show"
    assert book(at, "kim", 9, slot="2026-05-09T10:00") == "no-show-pause"
    at.now = ELEVEN + 400 * 1440
    at.take()
    assert not [name for name in at.rows if name.startswith(("place/", "person/", "until/"))]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"slot": "2026-05-02T10:30"}, "slot-closed"),
        ({"slot": "2026-05-02T23:00"}, "slot-closed"),
        ({"slot": "2026-04-19T10:00"}, "slot-past"),
        ({"slot": "2026-09-02T10:00"}, "slot-not-open"),
        ({"facility": "nowhere"}, "facility-unknown"),
        ({"facility": "jongno-youth-hall"}, "civic-stream"),
    ],
)
def test_what_cannot_be_booked(said: dict[str, object], reason: str) -> None:
    at = office()
    values = {"facility": TENNIS, "slot": SLOT} | said
    assert at.said(request(SPORTS, "guro", NOW, 1, person="kim", said=values)) == reason
    assert not at.entries
    assert not at.rows


def test_who_shows_nothing_is_refused_but_not_for_ever() -> None:
    at = office()
    shown = request(SPORTS, "guro", NOW, 1, person="kim", facility=TENNIS, slot=SLOT)
    assert at.said(papers(shown)) == "claim-missing"
    assert at.said(papers(shown, claim=b"\x80")) == "claim-broken"
    assert not at.known
    assert at.said(shown) == 0
    assert at.said(papers(shown)) == 0  # a retry


def test_one_person_is_one_person_with_whatever_keys() -> None:
    at = office()
    for number, hour in enumerate((10, 11, 12, 13)):
        assert isinstance(book(at, "kim", number, slot=f"2026-05-02T{hour}:00"), int)
    assert book(at, "kim", 9, slot="2026-05-03T10:00") == "quota-used"
    assert isinstance(book(at, "lee", 9, slot="2026-05-03T10:00"), int)


def test_what_the_office_looks_at_is_held_until_it_has_decided() -> None:
    at = Office("jongno", NOW)
    service = "reserve-space"
    slot = "2026-05-12T10:00"
    facility = next(
        f.id for f in CATALOGUE.bookable(CATALOGUE.services[service]) if f.gu == "jongno" and f.kind == "gym"
    )
    said = {"facility": facility, "slot": slot}
    assert at.said(request(service, "jongno", NOW, 1, person="kim", said=said)) == 0
    (hold,) = at.events()
    assert (hold.action.value, hold.until) == ("hold", hold.slot)
    assert state(at, 0) == "applied"
    grants = grants_of(CLERK, "jongno", NOW)
    for seen, (action, then) in enumerate(
        (("review", "reviewing"), ("approve", "approved"), ("claim", "payment-due"))
    ):
        assert isinstance(at.said(act("jongno", 0, seen, action, CLERK, NOW, grants=grants)), int), action
        assert state(at, 0) == then
    assert at.events()[-1].until == NOW + 2_880
    assert isinstance(at.said(act("jongno", 0, 3, "confirm", CLERK, NOW, grants=grants)), int)
    assert state(at, 0) == "confirmed"
    assert at.said(request(service, "jongno", NOW, 2, person="lee", said=said)) == "slot-taken"


def test_a_refusal_by_the_office_frees_the_place() -> None:
    at = Office("jongno", NOW)
    said = {"facility": "jongno-youth-hall", "slot": "2026-05-12T10:00"}
    at.said(request("reserve-space", "jongno", NOW, 1, person="kim", said=said))
    grants = grants_of(CLERK, "jongno", NOW)
    assert isinstance(at.said(act("jongno", 0, 0, "refuse", CLERK, NOW, grants=grants)), int)
    assert at.told(2) == [("cancel", 0)]
    assert state(at, 0) == "refused"
    assert isinstance(at.said(request("reserve-space", "jongno", NOW, 2, person="lee", said=said)), int)


# ---- cases


def complaint(at: Office) -> None:
    assert at.said(request("complaint-field", at.stream, at.now, 1, person="kim", gu="guro")) == 0


def test_only_officials_of_the_stream_act_and_whom_the_holder_believed_is_kept() -> None:
    at = office()
    complaint(at)
    assert not at.rows  # a case begins with its first act
    assert at.said(act("guro", 0, 0, "assign", CLERK, NOW)) == "forbidden"
    for grants in (
        grants_of(CLERK, "mapo", NOW),
        grants_of(CHIEF, "guro", NOW),
        grants_of(CLERK, "guro", NOW, "moderator"),
        grants_of(CLERK, "guro", NOW + 120),
    ):
        assert at.said(act("guro", 0, 0, "assign", CLERK, NOW, grants=grants)) == "forbidden"
    grants = grants_of(CLERK, "guro", NOW)
    done = act("guro", 0, 0, "assign", CLERK, NOW, grants=grants)
    assert at.said(papers(done)) == "forbidden"
    assert at.said(done) == 1  # now it has been shown
    assert at.said(papers(done)) == 1
    assert state(at, 0) == "assigned"
    (row,) = [(name, body) for name, body in at.rows.items() if name.startswith(OFFICIAL)]
    assert believed_of(*row).key == CLERK.public
    assert at.said(act("guro", 0, 0, "begin", CLERK, NOW, grants=grants)) == "case-moved-on"
    assert at.said(act("guro", 5, 0, "begin", CLERK, NOW, grants=grants)) == "case-unknown"
    assert at.said(act("guro", 1, 0, "begin", CLERK, NOW, grants=grants)) == "case-unknown"


def test_a_case_that_is_passed_on_is_the_other_office_s() -> None:
    at = office()
    complaint(at)
    ours, theirs = grants_of(CLERK, "guro", NOW), grants_of(CHIEF, "mapo", NOW)
    assert at.said(act("guro", 0, 0, "transfer", CLERK, NOW, 26, ours)) == "office-unknown"
    mapo = OFFICES.index("mapo")
    assert at.said(act("guro", 0, 0, "transfer", CLERK, NOW, mapo, ours)) == 1
    assert at.said(act("guro", 0, 1, "assign", CLERK, NOW, grants=ours)) == "forbidden"
    assert at.said(act("guro", 0, 1, "assign", CHIEF, NOW, grants=theirs)) == 2
    assert state(at, 0) == "assigned"


def supports(at: Office, entry: int, who: str, number: int = 0, shown: str | None = None) -> object:
    """Somebody supports an entry; `shown` is whose claim they show, their own unless said."""
    purpose, device = support_purpose(at.stream, entry), key(f"device of {who}")
    person = key(who).seed.hex()
    made = file_support(
        at.stream, Support(entry, person), at.now, key(f"support {who} {entry} {number}").seed
    )
    claim = sign_claim(ATTESTOR, purpose, key(shown or who).seed, device.public, "", at.now + 60)
    return at.said(papers(made, claim=show(claim, device, made.filing).to_bytes()))


def test_a_proposal_is_supported_by_each_person_once_while_support_is_gathered() -> None:
    at, decides = Office("city", NOW), grants_of(CHIEF, "city", NOW)
    assert at.said(request("mayor-proposal", "city", NOW, 1, person="kim")) == 0
    assert supports(at, 0, "lee") == "support-closed"
    assert at.said(act("city", 0, 0, "gather", CHIEF, NOW, 0, decides)) == 1
    assert supports(at, 0, "lee", 1) == 2
    assert supports(at, 0, "lee", 1) == 2  # a retry
    assert supports(at, 0, "lee", 2) == "supported-already"
    assert supports(at, 0, "kim") == 3  # who proposed it, too
    assert supports(at, 0, "park", shown="lee") == "claim-broken"  # a pseudonym is the claim's
    bare = file_support("city", Support(0, "ab" * 32), NOW, key("bare").seed)
    assert at.said(bare) == "claim-missing"
    assert supports(at, 9, "lee") == "case-unknown"
    assert at.said(request("complaint-field", "city", NOW, 2)) == "civic-stream"
    assert at.wrong_rows() == []
    assert sorted(name for name in at.rows if name.startswith("support/")) == sorted(
        f"support/0/{key(who).seed.hex()}" for who in ("lee", "kim")
    )
    assert at.said(act("city", 0, 1, "review", CHIEF, NOW, 0, decides)) == 4
    assert supports(at, 0, "choi") == "support-closed"
    del at.rows[f"support/0/{key('lee').seed.hex()}"]
    assert at.wrong_rows() == [
        f"The row support/0/{key('lee').seed.hex()} is missing, and the log's leaves make it."
    ]


def test_a_filing_for_another_office_is_not_taken() -> None:
    at = Office("mapo", NOW)
    city = next(s for s in CATALOGUE.services.values() if not s.office.source and s.places is None)
    assert at.said(request(city.id, "mapo", NOW, 1, person="kim")) == "civic-stream"
    assert isinstance(Office("city", NOW).said(request(city.id, "city", NOW, 1, person="kim")), int)


# ---- events


def test_an_event_is_the_holder_s_and_nobody_else_can_enter_one() -> None:
    at = office()
    book(at, "kim")
    filing = parse_leaf(at.entries[1]).filing
    assert event_of(filing) is not None
    assert filing.type not in at.types
