"""Random days at an office: what the rows say beside the clerk with the paper list, however it is cut into batches."""

from __future__ import annotations

import random
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.civic.kept import UNTIL
from p2pworld.errors import Refusal
from p2pworld.services.facility import Slot
from p2pworld.services.reservations import Book, Cancel, Confirm, Offer
from tests.services.clerk import HAS, Clerk
from tests.services.office import CALENDAR, CATALOGUE, Office, act, key, request, slot_at

if TYPE_CHECKING:
    from p2pworld.civic.transaction import Submission

SPORTS, COURT, HALL = "reserve-sports", "guro-gyenam-tennis-out", "guro-gyenam-tennis-in-1"
_, NOW = slot_at("2026-04-20", 9)
SLOTS = [slot_at("2026-05-02", hour) for hour in (10, 11)]
# one more seat than there is, so that not all is full at once
FACILITIES = {**CATALOGUE.facilities, HALL: replace(CATALOGUE.facilities[HALL], seats=2)}
CITY = replace(CATALOGUE, facilities=MappingProxyType(FACILITIES))
SERVICE = CITY.services[SPORTS]

STEPS = st.one_of(
    st.tuples(st.just("book"), st.integers(0, 4), st.integers(0, 3), st.booleans()),
    st.tuples(st.just("act"), st.integers(0, 9), st.sampled_from(["on", "cancel"]), st.booleans()),
    st.tuples(st.just("wait"), st.sampled_from([1, 9, 10, 120, 1_440]), st.just(0), st.just(False)),
)


def offers() -> list[Offer]:
    assert SERVICE.places is not None
    found = []
    for facility in (COURT, HALL):
        for _, begin in SLOTS:
            slot = FACILITIES[facility].slot_at(begin, CALENDAR)
            assert isinstance(slot, Slot)
            found.append(Offer(SPORTS, SERVICE.places, FACILITIES[facility], slot))
    return found


def booking(number: int, who: int, where: Offer, minute: int, wait: bool) -> Submission:
    slot = next(name for name, begin in SLOTS if begin == where.slot.begin)
    said = {"facility": where.facility.id, "slot": slot}
    return request(SPORTS, "guro", minute, number, person=f"person {who}", wait=wait, said=said)


def own_key(number: int) -> object:
    return key(f"{SPORTS} {number}")


@settings(max_examples=60)
@given(st.lists(STEPS, max_size=24))
def test_every_answer_is_that_of_the_paper_list_and_the_leaves_tell_all(
    steps: list[tuple[str, int, object, bool]],
) -> None:
    office, paper = Office("guro", NOW, catalogue=CITY), Clerk()
    where: list[tuple[Offer, int]] = []  # of each booking that was asked for, and its entry, if it got one
    retries: list[tuple[Submission, int | str]] = []
    for kind, number, more, flag in steps:
        for offer in offers():
            paper.tidy(offer, office.now)
        office.take()
        if kind == "wait":
            office.now += number
            continue
        if kind == "book":
            assert isinstance(more, int)
            offer, mine = offers()[more], key(f"{SPORTS} {len(where)}").public.hex()
            made = booking(len(where), number, offer, office.now, flag)
            expected = paper.ask(offer, Book(mine, f"person {number}", 1, office.now, "jongno", flag))
            since, said = len(office.entries), office.said(made)
            retries.append((made, said))
            where.append((offer, said if isinstance(said, int) else -1))
            if isinstance(said, str):
                assert said == expected
            elif expected.startswith("waiting"):
                assert office.told(since) == [("wait", None)]
            else:
                assert office.told(since) == [("hold", int(expected.split()[1]))]
        elif where:
            offer, entry = where[number % len(where)]
            mine = key(f"{SPORTS} {number % len(where)}").public.hex()
            line = next((one for one in paper.lines if one.key == mine), None)
            word = line.word if line is not None else "gone"
            action = (
                "cancel" if more == "cancel" else {"held": "claim", "due": "confirm"}.get(word, "confirm")
            )
            seen = office_seen(office, entry)
            made = act(
                "guro",
                max(entry, 0),
                seen,
                action,
                key(f"{SPORTS} {number % len(where)}"),
                office.now,
                number=len(retries),
            )
            said = office.said(made)
            retries.append((made, said))
            if entry < 0 or word == "gone":
                assert isinstance(said, str)
                continue
            if more == "cancel":
                expected = paper.ask(offer, Cancel(mine, office.now))
                assert isinstance(said, int) == (expected == "ok"), (said, expected)
            elif word in ("held", "due"):
                expected = paper.ask(offer, Confirm(mine, "", office.now))
                assert isinstance(said, int) == (expected.split()[0] in HAS), (said, expected)
            else:
                assert isinstance(said, str)
        seats = {name.removeprefix("place/") for name in office.rows if name.startswith("place/")}
        lines = [one for one in paper.lines if one.word in HAS]
        told = {f"{one.offer.facility.id}/{one.offer.slot.begin:010d}/{one.seat:04d}" for one in lines}
        assert seats == told
        assert len(told) == len(lines), "two lines for one seat"
        assert office.wrong_rows() == []
    for made, said in retries:
        assert office.said(made) == said


def office_seen(office: Office, entry: int) -> int:
    """How many acts there are on a case."""
    body = office.rows.get(f"case/{entry}", b"")
    return body.count(b"\n")


@pytest.mark.parametrize("seed", range(8))
def test_where_a_batch_ends_changes_no_row(seed: int) -> None:
    """The same submissions in the same order and at one minute, as one batch and one by one."""
    drawn = random.Random(seed)
    filed = [
        booking(number, drawn.randrange(6), drawn.choice(offers()), NOW, drawn.random() < 0.5)
        for number in range(30)
    ]
    filed += drawn.sample(filed, 6)
    whole, single = Office("guro", NOW, catalogue=CITY), Office("guro", NOW, catalogue=CITY)
    outcomes = whole.take(*filed)
    assert outcomes == tuple(single.take(each)[0] for each in filed)
    assert whole.entries == single.entries
    assert whole.rows == single.rows
    assert whole.due == single.due
    assert whole.wrong_rows() == []
    whole.now = single.now = NOW + 10
    whole.take()
    single.take()
    assert whole.entries == single.entries
    assert min(name for name in whole.rows if name.startswith(UNTIL)) > f"{UNTIL}{NOW + 10:010d}"


def test_rows_that_are_lost_or_made_up_are_found() -> None:
    office = Office("guro", NOW, catalogue=CITY)
    (outcome,) = office.take(booking(0, 0, offers()[0], NOW, False))
    assert not isinstance(outcome, Refusal)
    assert office.wrong_rows() == []
    for name in [name for name in office.rows if name.startswith(("place/", "case/", "filed/"))]:
        body = office.rows.pop(name)
        (said,) = office.wrong_rows()
        assert name in said
        office.rows[name] = body
    (place,) = (name for name in office.rows if name.startswith("place/"))
    office.rows[place[:-1] + "1"] = office.rows[place]
    (said,) = office.wrong_rows()
    assert "no leaf makes it" in said
