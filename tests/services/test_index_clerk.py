"""What everybody reads in the log is what its holder's clerk knows: states, numbers of acts, offices, places."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.civic.transaction import parse_leaf
from p2pworld.services.case_log import read_act
from p2pworld.services.case_rows import fold, read_case
from p2pworld.services.place_rows import view_of
from p2pworld.services.reservations import Standing
from p2pworld.services.workflow import Who
from shard_node.services.book import CaseBook
from shard_node.services.queries import Taken
from tests.civic.memory_store import KeptInMemory
from tests.services.office import CALENDAR, CATALOGUE, Office, act, grants_of, key, request, slot_at

TENNIS, SPORTS, COMPLAINT = "guro-gyenam-tennis-out", "reserve-sports", "complaint-field"
SLOTS = [slot_at("2026-05-02", hour) for hour in (10, 11)]
_, NOW = slot_at("2026-04-20", 9)
OFFICIAL = key("an official")

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["book", "complain", "act", "act", "act", "act"]),
        st.integers(0, 11),
        st.booleans(),
        st.sampled_from([0, 0, 0, 5, 11, 130, 1500]),
        st.integers(0, 3),
    ),
    min_size=5,
    max_size=40,
)
Steps = list[tuple[str, int, bool, int, int]]


def told(at: Office, steps: Steps) -> None:
    """A story at this office: each act is one that the state lets somebody do, but not all that else is needed."""
    owners: dict[int, str] = {}
    grants = grants_of(OFFICIAL, "*", NOW)
    for number, (what, which, waits, later, amount) in enumerate(steps):
        at.now += later
        at.take()  # what has run out
        if what != "act":
            service = SPORTS if what == "book" else COMPLAINT
            said = {"facility": TENNIS, "slot": SLOTS[which % 2][0]} if what == "book" else {"gu": "guro"}
            person = f"person {which}" if what == "book" else None
            entry = at.said(request(service, "guro", at.now, number, person=person, wait=waits, said=said))
            if isinstance(entry, int):
                owners[entry] = f"{service} {number}"
        elif owners:
            entry = list(owners)[-1 - amount % len(owners)]
            about, rows = parse_leaf(at.entries[entry]).filing, KeptInMemory(at.rows, at.entries)
            kept = read_case(rows, entry, "guro")  # type: ignore[arg-type]
            workflow = CATALOGUE.services[about.type].workflow
            state = fold(CATALOGUE.services[about.type], about, kept, CALENDAR).state
            rules = [rule for (here, _), rule in workflow.table.items() if here is state]
            if rules:
                rule = rules[which % len(rules)]
                own, shown = (key(owners[entry]), ()) if Who.CITIZEN in rule.who else (OFFICIAL, grants)
                seen = len(kept.acts)
                at.said(act("guro", entry, seen, rule.action.value, own, at.now, amount, shown, number))


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_the_index_knows_what_the_clerk_knows(steps: Steps) -> None:
    at = Office("guro", NOW)
    told(at, steps)
    compare(at)


def compare(at: Office) -> None:
    """Reads the log into an index, and holds each of its cases and places against the clerk's rows."""
    book = CaseBook(None, CATALOGUE.services, CALENDAR)
    book.take("guro", 0, at.entries)
    reading, rows = book.reading(), KeptInMemory(at.rows, at.entries)
    for entry, data in enumerate(at.entries):
        about = parse_leaf(data).filing
        if about.type in (SPORTS, COMPLAINT):
            found = reading.case("guro", entry)
            assert found is not None
            kept = read_case(rows, entry, "guro")  # type: ignore[arg-type]
            assert found.record.case == fold(CATALOGUE.services[about.type], about, kept, CALENDAR)
            assert (found.record.seen, found.record.office) == (len(kept.acts), kept.office)
    for _, begin in SLOTS:
        view = view_of(rows, TENNIS, begin)  # type: ignore[arg-type]
        seats = [p for p in view.places if p.live(at.now) or p.standing in (Standing.USED, Standing.MISSED)]
        taken = reading.taken(TENNIS, begin, begin + 1, at.now).get(begin, Taken())
        assert (taken.seats, taken.waiting) == (len(seats), len(view.waiting))
        for place in view.places:
            (mine,) = reading.cases_of([bytes.fromhex(place.key)])
            assert mine.record.booking is not None
            assert mine.record.booking.seat == place.seat
            assert mine.record.booking.standing == place.standing.value
            assert mine.record.booking.until == place.until
    book.close()


def test_a_long_story_gets_everywhere() -> None:
    """Else the property above would say little."""
    at, dice = Office("guro", NOW), random.Random(5)
    kinds = ["book", "complain", *["act"] * 6]
    told(
        at,
        [
            (
                dice.choice(kinds),
                dice.randrange(12),
                dice.random() < 0.5,
                dice.choice([0] * 9 + [5]),
                dice.randrange(4),
            )
            for _ in range(300)
        ],
    )
    compare(at)
    assert {event.action.value for event in at.events()} >= {
        *("hold", "claim", "confirm", "cancel", "wait", "move-up", "expire")
    }
    done = {case_act.action for data in at.entries if (case_act := read_act(parse_leaf(data).filing))}
    assert done >= {"assign", "ask", "transfer", "withdraw", "claim", "confirm", "cancel"}
