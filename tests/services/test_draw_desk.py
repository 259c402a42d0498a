"""The holder's part in draws: every leaf it makes stands where it should, and no entry costs a look at all others."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.civic.transaction import check_submission, parse_leaf
from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import DRAW_PIECE
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.draw import HOLDERS, PARTIES
from p2pworld.services.draw_desk import Applicant, DrawDesk
from p2pworld.services.draw_log import (
    DRAW_TYPES,
    ENTERED,
    OPENED,
    REVEAL_MINUTES,
    SHARE,
    SHARED,
    draw_name,
    file_draw_leaf,
    recompute,
)
from p2pworld.services.draw_rows import DrawBook
from p2pworld.services.draw_shares import Party, give, parse_given, party_of, share_of, taken
from p2pworld.services.facility import Allocation, Residents, slot_text
from p2pworld.services.reservations import closing_minute
from tests.services.kept_rows import KeptInMemory
from tests.services.test_reservations import RULES, offer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from p2pworld.civic.transaction import Filing, Submission, TransactionType
    from p2pworld.services.draw_desk import DrawStep
    from p2pworld.services.reservations import Offer

STREAM = "mapo"
KEYS = [Signer.from_seed(bytes([party + 1]) * 32) for party in range(PARTIES)]
PARTIES_TOLD = [party_of(key) for key in KEYS]
LOTTERY = replace(RULES, allocation=Allocation.LOTTERY, opens_days=30, draw_days=7, waiting=3)


def lottery(residents: Residents = Residents.NONE) -> Offer:
    plain = offer(rules=LOTTERY)
    facility = replace(plain.facility, allocation=Allocation.LOTTERY, residents=residents)
    return replace(plain, facility=facility)


OFFER = lottery()
SLOT = slot_text(OFFER.slot.begin)
NAME = draw_name(OFFER.facility.id, SLOT)
CLOSES = closing_minute(LOTTERY, OFFER.slot.begin)
OPEN = CLOSES - 7 * 1440


def person(number: int) -> str:
    return hashlib.sha256(f"person {number}".encode()).hexdigest()


class Office:
    """A holder's transactions one after the other; `log` is what they made of it."""

    def __init__(self, offered: Offer = OFFER) -> None:
        self.rows = KeptInMemory()
        self.offer = offered
        self.log: list[bytes] = []
        self.minute = OPEN
        self.due: int | None = None
        self.got: list[tuple[str, str]] = []
        self._made = 0

    def desk(self) -> DrawDesk:
        return DrawDesk(self.rows, STREAM, 1, self.minute, KEYS[0])

    def file(
        self, declared: TransactionType, party: int, said: Mapping[str, str], by: int | None = None
    ) -> str | None:
        """None, or why this was not taken; `by` is who really signs."""
        self._made += 1
        seed = hashlib.sha256(b"leaf %d" % self._made).digest()
        fields = {"draw": NAME, "party": str(party), **said}
        leaf = file_draw_leaf(declared, STREAM, self.minute, fields, KEYS[party if by is None else by], seed)
        assert check_submission(leaf, STREAM, DRAW_TYPES) is None
        entry = leaf.leaf(1).to_bytes()
        return self._done(self.desk().take(self.offer, leaf.filing, entry), [entry])

    def open(self, again: int = 0, changes: Mapping[str, str] | None = None) -> str | None:
        name = draw_name(self.offer.facility.id, SLOT, again)
        said = {"draw": name, "places": str(self.offer.facility.seats), "closes": str(CLOSES)}
        for number, key in enumerate(KEYS):
            given = give(key, PARTIES_TOLD, STREAM, name)
            said[f"key-{number}"] = key.public.hex()
            said |= {
                f"share-{number}-{holder}": digest
                for holder, digest in zip(HOLDERS[number], given.hashes, strict=True)
            }
        return self.file(OPENED, 0, said | dict(changes or {}))

    def share(self, *parties: int, draw: str = NAME) -> list[str | None]:
        return [self.file(SHARED, party, {"draw": draw}) for party in parties or range(PARTIES)]

    def enter(self, number: int, gu: str = "", people: int = 1) -> str | None:
        who = Applicant(person(number), gu, people, hashlib.sha256(b"filing %d" % number).digest())
        return self._done(self.desk().enter(self.offer, who), [])

    def reveal(self, giver: int, holder: int, by: int | None = None, draw: str = NAME) -> str | None:
        share = share_of(KEYS[giver].seed, STREAM, draw, (giver, holder))
        said = {"draw": draw, "giver": str(giver), "holder": str(holder), "share": share.hex()}
        return self.file(SHARE, giver if by is None else by, said)

    def wait(self, minute: int) -> None:
        """Until this minute, with all that comes of itself."""
        while self.due is not None and self.due <= minute:
            self.minute = max(self.minute, self.due)
            before = len(self.rows.rows), len(self.log), len(self.got)
            step = self.desk().go_on(self.offer.facility.id, SLOT)
            assert self._done(step, [], may_end=True) is None
            assert before != (len(self.rows.rows), len(self.log), len(self.got)), "asked for nothing"
        self.minute = max(self.minute, minute)

    def filings(self) -> Iterable[tuple[Filing, bytes]]:
        return [(parse_leaf(entry).filing, leaf_hash(entry)) for entry in self.log]

    def _done(self, step: DrawStep | Refusal, filed: list[bytes], may_end: bool = False) -> str | None:
        if isinstance(step, Refusal):
            return step.reason
        self.log += filed
        self.log += [self._made_right(leaf) for leaf in step.leaves]
        self.got += step.award
        if step.due is not None or may_end:
            self.due = step.due
        return None

    def _made_right(self, leaf: Submission) -> bytes:
        assert check_submission(leaf, STREAM, DRAW_TYPES) is None
        return leaf.leaf(1).to_bytes()


def opened(entries: int, offered: Offer = OFFER) -> Office:
    office = Office(offered)
    assert office.open() is None
    assert office.share() == [None] * 3
    assert [office.enter(number) for number in range(entries)] == [None] * entries
    return office


def test_a_draw_from_its_opening_to_the_last_of_its_order() -> None:
    count = 2 * DRAW_PIECE + 5
    office = opened(count)
    office.wait(CLOSES)
    assert [parse_leaf(entry).filing.type for entry in office.log[-3:]] == [
        "draw-closed",
        "draw-share",
        "draw-share",
    ]
    assert office.due is None
    for giver in (1, 2):
        for holder in HOLDERS[giver]:
            assert office.reveal(giver, holder) is None
    office.wait(office.minute)
    draw, faults = recompute(STREAM, NAME, office.filings())
    assert faults == ()
    assert draw.done
    assert [who for who, _ in office.got] == list(draw.order)
    keys = {person(number): hashlib.sha256(b"filing %d" % number).hexdigest() for number in range(count)}
    assert dict(office.got) == keys
    assert office.due is None
    assert office.desk().go_on(OFFER.facility.id, SLOT).award == ()


def test_whoever_enters_again_with_the_same_pseudonym_counts_once() -> None:
    office = opened(3)
    assert {office.enter(1) for _ in range(100)} == {"draw-entered"}
    assert len(DrawBook(office.rows, STREAM, OFFER.facility.id, SLOT).draw.entries) == 3


def test_an_entry_reads_as_many_rows_whether_few_or_many_have_entered() -> None:
    office = opened(2)
    office.rows.read = 0
    assert office.enter(1000) is None
    few = office.rows.read
    for number in range(2, 300):
        office.enter(number)
    office.rows.read = 0
    assert office.enter(1001) is None
    assert office.rows.read == few


def test_nobody_enters_before_all_parties_have_said_that_their_shares_fit_nor_from_the_closing_minute_on() -> (
    None
):
    office = Office()
    assert office.enter(1) == "slot-not-open"
    assert office.open() is None
    assert office.share(0, 2) == [None, None]
    assert office.enter(1) == "slot-not-open"
    assert office.share(1) == [None]
    assert office.enter(1) is None
    office.minute = CLOSES
    assert office.enter(2) == "draw-closed"  # though nothing has been closed yet
    office.wait(CLOSES)
    assert office.enter(2) == "draw-closed"
    office.minute = OFFER.slot.begin
    assert office.enter(2) == "slot-past"


def test_an_opening_says_what_is_so() -> None:
    office = Office()
    assert office.open(changes={"places": "7"}) == "draw-entries"
    assert office.open(changes={"closes": str(CLOSES + 1)}) == "draw-time"
    assert office.open(changes={"key-0": KEYS[1].public.hex()}) == "draw-party"
    assert office.open(1) == "draw-order"
    assert office.file(SHARED, 1, {}) == "draw-order"
    office.offer = Refusal("slot-closed", "")  # type: ignore[assignment]
    assert office.file(SHARED, 1, {}) == "draw-unknown"
    office.offer = offer(rules=RULES)
    assert office.file(SHARED, 1, {}) == "draw-unknown"


def test_what_the_office_says_of_entries_comes_from_the_holder_alone() -> None:
    office = opened(1)
    said = {"person": person(5), "order": "first", "filing": "ab" * 32}
    assert office.file(ENTERED, 0, said) == "draw-party"
    assert DrawDesk(office.rows, STREAM, 1, OPEN, None).take(
        OFFER, parse_leaf(office.log[0]).filing, b""
    ) == (Refusal("draw-unknown", "There is no such draw here."))


def test_residents_and_parties_too_large() -> None:
    office = opened(0, lottery(Residents.FIRST))
    assert office.enter(1) is None
    assert office.enter(2, office.offer.facility.gu) is None
    assert office.enter(3, people=office.offer.facility.capacity + 1) == "too-many-people"
    draw = DrawBook(office.rows, STREAM, OFFER.facility.id, SLOT).draw
    assert [entry.first for entry in sorted(draw.entries.values())] == [
        who == person(2) for who in sorted([person(1), person(2)])
    ]
    only = opened(0, lottery(Residents.ONLY))
    assert only.enter(1, "nowhere") == "residents-only"


@pytest.mark.parametrize("withholds", [1, 2])
def test_a_party_that_withholds_is_seen_and_the_outcome_is_the_same(withholds: int) -> None:
    outcomes = []
    for helped in (False, True):
        office = opened(20)
        office.wait(CLOSES)
        other = 3 - withholds
        for holder in HOLDERS[other]:
            assert office.reveal(other, holder) is None
        if helped:
            assert office.reveal(withholds, other, by=other) == "draw-time"
            office.wait(CLOSES + REVEAL_MINUTES)
            assert office.reveal(withholds, 0, by=0) is None
            assert office.reveal(withholds, other, by=other) is None
        else:
            for holder in HOLDERS[withholds]:
                assert office.reveal(withholds, holder) is None
        office.wait(office.minute)
        draw, faults = recompute(STREAM, NAME, office.filings())
        assert faults == ()
        assert draw.helped == ({withholds} if helped else set())
        outcomes.append(draw.order)
    assert outcomes[0] == outcomes[1]


def test_a_draw_that_came_to_nothing_is_opened_again_for_the_same_people() -> None:
    office = opened(DRAW_PIECE + 40)
    office.wait(CLOSES)
    again = draw_name(OFFER.facility.id, SLOT, 1)
    later = str(CLOSES + 4 * 1440)
    assert office.open(1, {"closes": later}) == "draw-order"  # the parties still have time
    office.wait(CLOSES + 2 * REVEAL_MINUTES)
    assert office.open(1, {"closes": str(OFFER.slot.begin)}) == "draw-time"
    assert office.open(1, {"closes": later}) is None
    assert office.reveal(1, 2) == "draw-order"  # the first one counts no more
    assert office.share(draw=again) == [None] * 3
    office.wait(office.minute)
    assert office.enter(5000) == "draw-closed"  # it is for those who were in the one before
    office.wait(int(later))
    for giver in (1, 2):
        for holder in HOLDERS[giver]:
            assert office.reveal(giver, holder, draw=again) is None
    office.wait(office.minute)
    draw, faults = recompute(STREAM, again, office.filings())
    assert faults == ()
    assert len(draw.order) == DRAW_PIECE + 40
    assert [who for who, _ in office.got] == list(draw.order)


def test_a_transaction_that_is_tried_again_makes_the_same_leaves() -> None:
    office = opened(1)
    before = dict(office.rows.rows)
    office.enter(2)
    office.rows.rows = before
    office.enter(2)
    assert office.log[-1] == office.log[-2]


# ---- shares


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2), st.binary(min_size=1, max_size=1), st.integers(0, 200))
def test_what_is_given_opens_for_its_holder_alone_and_no_bit_of_it_can_be_changed(
    giver: int, flip: bytes, at: int
) -> None:
    given = give(KEYS[giver], PARTIES_TOLD, STREAM, NAME)
    assert parse_given(given.document()) == given
    for number in range(PARTIES):
        if number == giver:
            with pytest.raises(RemoteError, match="themselves"):
                taken(KEYS[number], number, given)
            continue
        share = share_of(KEYS[giver].seed, STREAM, NAME, (giver, number))
        assert taken(KEYS[number], number, given) == share
        other = next(each for each in range(PARTIES) if each not in (giver, number))
        with pytest.raises(RemoteError):
            taken(KEYS[other], number, given)
    text = given.sealed[0]
    bad = bytes(byte ^ (flip[0] or 1) if i == at % len(text) else byte for i, byte in enumerate(text))
    with pytest.raises(RemoteError, match="did not sign"):
        parse_given({**given.document(), "sealed": [bad.hex(), given.sealed[1].hex()]})


def test_a_share_that_does_not_fit_is_found_when_it_is_opened() -> None:
    given = give(KEYS[1], PARTIES_TOLD, STREAM, NAME)
    wrong = replace(given, hashes=("00" * 32, given.hashes[1]))
    with pytest.raises(RemoteError, match="does not fit"):
        taken(KEYS[0], 0, wrong)
    assert len(taken(KEYS[2], 2, wrong)) == 32


@pytest.mark.parametrize("text", ["", "ab", "ab " * 2, "zz" * 32 + " " + "ab" * 32, "ab" * 96])
def test_a_party_is_two_keys(text: str) -> None:
    with pytest.raises(RemoteError, match="two keys"):
        Party.parse(text)
    assert Party.parse(PARTIES_TOLD[1].text) == PARTIES_TOLD[1]


@pytest.mark.parametrize("value", [None, [], {}, {"hashes": ["a"]}, {"giver": 7}])
def test_what_is_no_file_of_shares_is_said_to_be_none(value: object) -> None:
    with pytest.raises(RemoteError, match="nothing that a party gives away"):
        parse_given(value)
