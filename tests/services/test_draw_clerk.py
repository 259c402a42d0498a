"""Draws at a clerk's: applications, what parties file, what comes of itself; and rows that leaves make again."""

from __future__ import annotations

import hashlib
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from p2pworld.civic.kept import Ledger, Rows
from p2pworld.civic.transaction import parse_leaf
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.draw import HOLDERS
from p2pworld.services.draw_log import (
    CLOSED,
    OPENED,
    REVEAL_MINUTES,
    SHARE,
    SHARED,
    draw_name,
    file_draw_leaf,
    recompute,
)
from p2pworld.services.draw_shares import give, party_of, share_of
from p2pworld.services.replay import Replay
from p2pworld.services.reservations import closing_minute
from tests.civic.memory_store import KeptInMemory
from tests.services.office import CALENDAR, CATALOGUE, IN_DRAWS, Office, act, key, request, slot_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import Submission, TransactionType

STREAM, FACILITY, SERVICE = "mapo", "mapo-nanjicheon-pitch", "reserve-sports-peak"
SLOT, BEGIN = slot_at("2026-05-02", 8)
RULES = CATALOGUE.services[SERVICE].places
assert RULES is not None
PAY_MINUTES = RULES.pay_minutes
CLOSES = closing_minute(RULES, BEGIN)
OPEN = CLOSES - 3 * 1440
KEYS = [IN_DRAWS, key("notary"), key("council")]


class Lottery(Office):
    """An office that draws lots for one slot."""

    def __init__(self) -> None:
        super().__init__(STREAM, OPEN)
        self.name = draw_name(FACILITY, SLOT)

    def say(self, declared: TransactionType, party: int, said: Mapping[str, str]) -> int | str:
        fields = {"draw": self.name, "party": str(party), **said}
        seed = hashlib.sha256(f"{declared.name} {party} {said} {self.now} {self.name}".encode()).digest()
        return self.said(file_draw_leaf(declared, STREAM, self.now, fields, KEYS[party], seed))

    def open(self, closes: int = CLOSES) -> list[int | str]:
        parties = [party_of(each) for each in KEYS]
        said = {"places": "1", "closes": str(closes)}
        for number, each in enumerate(KEYS):
            given = give(each, parties, STREAM, self.name)
            said[f"key-{number}"] = each.public.hex()
            for holder, digest in zip(HOLDERS[number], given.hashes, strict=True):
                said[f"share-{number}-{holder}"] = digest
        return [self.say(OPENED, 0, said), *(self.say(SHARED, party, {}) for party in range(3))]

    def apply(self, number: int, person: object = None) -> Submission:
        return request(
            SERVICE,
            STREAM,
            self.now,
            f"{number} {self.name}",
            person=person or f"person {number}",
            facility=FACILITY,
            slot=SLOT,
        )

    def reveal(self, giver: int, holder: int, by: int | None = None) -> int | str:
        share = share_of(KEYS[giver].seed, STREAM, self.name, (giver, holder)).hex()
        party = giver if by is None else by
        return self.say(SHARE, party, {"giver": str(giver), "holder": str(holder), "share": share})

    def wait(self, minute: int) -> None:
        """Until then, with all that comes of itself, however many transactions it takes."""
        self.now = minute
        for _ in range(50):
            before = len(self.entries)
            self.take()
            if len(self.entries) == before and (self.due is None or self.due > minute):
                return
        raise AssertionError("it goes on and on")


def drawn(count: int) -> Lottery:
    """So many have applied, and all parties have revealed."""
    office = Lottery()
    assert all(isinstance(outcome, int) for outcome in office.open())
    for number in range(count):
        assert isinstance(office.said(office.apply(number)), int)
    office.wait(CLOSES)
    for giver in (1, 2):
        for holder in HOLDERS[giver]:
            assert isinstance(office.reveal(giver, holder), int)
    office.wait(CLOSES)
    return office


def test_everybody_is_told_what_they_got_and_the_rows_are_what_the_leaves_make() -> None:
    office = drawn(30)
    told = Counter(action for action, _ in office.told())
    assert told == {"draw": 1, "claim": 1, "wait": 20, "not-draw": 9}
    filings = [(parse_leaf(entry).filing, leaf_hash(entry)) for entry in office.entries]
    draw, faults = recompute(STREAM, office.name, filings)
    assert (faults, len(draw.order)) == ((), 30)
    assert office.wrong_rows() == []
    # who does not pay in two days gives way to the next of the order, who then has a day
    office.wait(CLOSES + PAY_MINUTES)
    assert office.told()[-2:] == [("expire", 0), ("move-up", 0)]
    assert office.events()[-1].key == office.events()[2].key
    assert office.wrong_rows() == []


def test_who_withdrew_is_passed_over() -> None:
    office = Lottery()
    office.open()
    entries = [office.said(office.apply(number)) for number in range(4)]
    gone = entries[2]
    assert isinstance(gone, int)
    citizen = key(f"{SERVICE} 2 {office.name}")
    assert isinstance(office.said(act(STREAM, gone, 1, "cancel", citizen, office.now)), int)
    office.wait(CLOSES)
    for giver in (1, 2):
        for holder in HOLDERS[giver]:
            office.reveal(giver, holder)
    office.wait(CLOSES)
    assert Counter(action for action, _ in office.told()) == {"draw": 1, "claim": 1, "wait": 2}
    assert citizen.public.hex() not in {event.key for event in office.events()}
    assert office.wrong_rows() == []


def test_a_second_key_of_the_same_person_and_whoever_shows_nothing_are_refused() -> None:
    office = Lottery()
    assert office.said(office.apply(1)) == "slot-not-open"
    office.open()
    assert isinstance(office.said(office.apply(2)), int)
    second = office.apply(3, "person 2")
    assert office.said(second) == "draw-entered"
    assert office.said(second) == "draw-entered"
    assert office.wrong_rows() == []
    office.wait(CLOSES)
    assert office.said(office.apply(4)) == "draw-closed"


def test_the_holder_alone_closes_and_parties_say_what_is_theirs() -> None:
    office = Lottery()
    office.open()
    said = {"count": "0", "entries": "00" * 32}
    assert office.say(CLOSED, 0, said) == "draw-party"
    assert office.reveal(1, 2) == "draw-order"
    office.name = draw_name("nowhere", SLOT)
    assert office.say(SHARED, 1, {}) == "draw-unknown"
    office.name = draw_name("mapo-nanji-tennis", SLOT)
    assert office.say(SHARED, 1, {}) == "draw-unknown"


@pytest.mark.parametrize("people", [0, 1, 7])
def test_a_draw_that_came_to_nothing_is_opened_again_for_all_who_were_in_it(people: int) -> None:
    office = Lottery()
    office.open()
    for number in range(people):
        office.said(office.apply(number))
    office.wait(CLOSES)
    office.wait(CLOSES + 2 * REVEAL_MINUTES)
    office.name += "/1"
    later = CLOSES + 3 * 1440
    assert all(isinstance(outcome, int) for outcome in office.open(later))
    office.wait(office.now)
    assert office.said(office.apply(100)) == "draw-closed"
    office.wait(later)
    for giver in (1, 2):
        for holder in HOLDERS[giver]:
            assert isinstance(office.reveal(giver, holder), int)
    office.wait(later)
    told = Counter(action for action, _ in office.told())
    assert told == Counter({"draw": 1, "claim": 1, "wait": people - 1} if people else {})
    assert office.wrong_rows() == []


@pytest.mark.parametrize("lost_at", ["open", "closed", "half revealed"])
def test_an_office_that_lost_its_rows_goes_on_with_what_the_leaves_make(lost_at: str) -> None:
    told = []
    for loses in (False, True):
        office = Lottery()
        office.open()
        for number in range(25):
            office.said(office.apply(number))
        if loses and lost_at == "open":
            lose_rows(office)
        assert office.said(office.apply(100, "person 3")) == "draw-entered"
        office.wait(CLOSES)
        if loses and lost_at == "closed":
            lose_rows(office)
        office.reveal(1, 0)
        office.reveal(1, 2)
        if loses and lost_at == "half revealed":
            lose_rows(office)
        office.wait(CLOSES + REVEAL_MINUTES)
        assert office.reveal(2, 1) != "draw-time"
        office.reveal(2, 0)
        office.wait(office.now)
        told.append([(event.action, event.key) for event in office.events()])
        assert office.wrong_rows() == []
    assert told[0] == told[1]
    assert len(told[0]) == 26


def lose_rows(office: Lottery) -> None:
    """Their rows are gone, and are made again."""
    ledger = Ledger(Rows(KeptInMemory({}, [])), 0, 0, 0, [], KeptInMemory({}, []))
    replay = Replay(STREAM, CATALOGUE, CALENDAR, ledger)
    for index, entry in enumerate(office.entries):
        ledger.entries.append(entry)
        replay.take(index, parse_leaf(entry).filing)
    replay.finish()
    office.rows = {change.name: change.after for change in ledger.rows.changes() if change.after is not None}


def test_a_row_of_a_draw_that_was_changed_is_found() -> None:
    office = drawn(3)
    names = [name for name in office.rows if name.startswith("draw/")]
    assert any("/in/" in name for name in names)
    assert any("/order/" in name for name in names)
    for name in names:
        kept = office.rows.pop(name)
        assert [fault for fault in office.wrong_rows() if name in fault], name
        office.rows[name] = kept
    assert office.wrong_rows() == []
