"""Draws: recomputed by a few lines that know nothing of ours, and a party that does what it should not."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.transaction import Filing, check_submission, parse_leaf
from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError, Refusal
from p2pworld.merkle.tree import leaf_hash
from p2pworld.services.draw import (
    HOLDERS,
    PARTIES,
    Entry,
    entries_digest,
    order_digest,
    order_of,
    seed_of,
    share_hash,
    ticket_of,
)
from p2pworld.services.draw_log import (
    CLOSED,
    DONE,
    DRAW_TYPES,
    ENTERED,
    OPENED,
    REVEAL_MINUTES,
    SHARE,
    SHARED,
    Draw,
    draw_name,
    file_draw_leaf,
    recompute,
)
from p2pworld.services.facility import Allocation, Residents
from p2pworld.services.reservations import Place, Settle, Standing, View, award, decide
from p2pworld.services.workflow import Action
from shard_node.cli import main
from tests.client.logs_on_disk import write_log
from tests.services.test_reservations import RULES, TEN, offer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import TransactionType

STREAM = "mapo"
NAME = draw_name("mapo-nanjicheon-pitch", "2026-05-02T08:00")
PARTY = [Signer.from_seed(bytes([party + 1]) * 32) for party in range(PARTIES)]
SHARES = {
    (giver, holder): bytes([16 * giver + holder + 1]) * 32
    for giver in range(PARTIES)
    for holder in HOLDERS[giver]
}
CLOSES = TEN + 1000
VECTORS = Path(__file__).parents[1] / "vectors" / "draw.json"


def person(number: int) -> str:
    return hashlib.sha256(f"person {number}".encode()).hexdigest()


class Log:
    """Leaves of a draw, made one after another; each is offered to the machine, and kept if it is taken."""

    def __init__(self) -> None:
        self.draw = Draw(STREAM, NAME)
        self.leaves: list[tuple[Filing, bytes]] = []
        self.entries: list[bytes] = []
        self._made = 0

    def file(
        self,
        declared: TransactionType,
        minute: int,
        party: int = 0,
        by: int | None = None,
        all_of: Mapping[str, str] | None = None,
        **said: str,
    ) -> str | None:
        """None, or why this was not taken; `by` is who really signs."""
        self._made += 1
        seed = hashlib.sha256(f"leaf {self._made}".encode()).digest()
        fields = {
            "draw": NAME,
            "party": str(party),
            **(all_of or {}),
            **said,
        }
        signer = PARTY[party if by is None else by]
        submission = file_draw_leaf(declared, STREAM, minute, fields, signer, seed)
        assert check_submission(submission, STREAM, DRAW_TYPES) is None
        entry = submission.leaf(1).to_bytes()
        refusal = self.draw.take(submission.filing, leaf_hash(entry))
        if refusal is None:
            self.leaves.append((submission.filing, leaf_hash(entry)))
            self.entries.append(entry)
        return refusal.reason if refusal else None

    def opening(self, **changes: str) -> dict[str, str]:
        said = {"places": "2", "closes": str(CLOSES)}
        said |= {f"key-{party}": PARTY[party].public.hex() for party in range(PARTIES)}
        said |= {
            f"share-{g}-{h}": share_hash(STREAM, NAME, (g, h), share) for (g, h), share in SHARES.items()
        }
        return {**said, **changes}

    def enter(self, number: int, order: str = "other") -> str | None:
        return self.file(ENTERED, TEN + number, person=person(number), order=order, filing="ab" * 32)

    def close(self, minute: int = CLOSES) -> str | None:
        entries = self.draw.entries.values()
        return self.file(CLOSED, minute, count=str(len(entries)), entries=entries_digest(entries))

    def reveal(
        self, giver: int, holder: int, minute: int, by: int | None = None, share: bytes = b""
    ) -> str | None:
        said = {"giver": str(giver), "holder": str(holder), "share": (share or SHARES[giver, holder]).hex()}
        return self.file(SHARE, minute, giver if by is None else by, all_of=said)

    def finish(self, minute: int = CLOSES + 10) -> str | None:
        return self.file(DONE, minute, seed=self.draw.seed, outcome=order_digest(self.draw.order))


def opened(entries: int = 0) -> Log:
    log = Log()
    assert log.file(OPENED, TEN, all_of=log.opening()) is None
    assert [log.file(SHARED, TEN, party) for party in range(PARTIES)] == [None] * 3
    assert [log.enter(number) for number in range(entries)] == [None] * entries
    return log


def closed(entries: int = 5) -> Log:
    log = opened(entries)
    assert log.close() is None
    return log


def over(entries: int = 5) -> Log:
    log = closed(entries)
    assert [log.reveal(giver, holder, CLOSES + 1) for giver, holder in SHARES] == [None] * 6
    assert log.finish() is None
    return log


# ---- recomputed by somebody else


def stranger(stream: str, draw: str, closing: str, shares: Mapping[str, str], people: list[str]) -> list[str]:
    """What the module's first paragraphs say, written down again with nothing but SHA-256."""

    def sha(*lines: str) -> str:
        return hashlib.sha256(b"".join(line.encode() + b"\n" for line in lines)).hexdigest()

    secrets = [
        sha("p2pworld draw secret v1", stream, draw, "0", shares["0-1"], shares["0-2"]),
        sha("p2pworld draw secret v1", stream, draw, "1", shares["1-0"], shares["1-2"]),
        sha("p2pworld draw secret v1", stream, draw, "2", shares["2-0"], shares["2-1"]),
    ]
    seed = sha("p2pworld draw seed v1", stream, draw, closing, *secrets)
    return sorted(people, key=lambda one: sha("p2pworld draw ticket v1", seed, one))


def test_a_stranger_gets_the_same_order_from_the_log() -> None:
    log = over(40)
    closing = next(
        entry
        for entry, (filing, _) in zip(log.entries, log.leaves, strict=True)
        if filing.type == "draw-closed"
    )
    shares = {f"{giver}-{holder}": share.hex() for (giver, holder), share in SHARES.items()}
    people = [person(number) for number in range(40)]
    hashed = hashlib.sha256(b"\x00" + closing).hexdigest()
    assert list(log.draw.order) == stranger(STREAM, NAME, hashed, shares, people)
    again, faults = recompute(STREAM, NAME, log.leaves)
    assert (again, faults) == (log.draw, ())


def test_the_published_vectors_are_these() -> None:
    for vector in json.loads(VECTORS.read_text(encoding="utf-8")):
        shares = {
            (int(name[0]), int(name[2])): bytes.fromhex(text) for name, text in vector["shares"].items()
        }
        stream, draw, closing = vector["stream"], vector["draw"], bytes.fromhex(vector["closing"])
        for pair, share in shares.items():
            assert share_hash(stream, draw, pair, share) == vector["share_hashes"]["-".join(map(str, pair))]
        assert seed_of(stream, draw, closing, shares) == vector["seed"]
        entries = [Entry(one["person"], one["first"]) for one in vector["entries"]]
        assert entries_digest(entries) == vector["entries_digest"]
        assert [ticket_of(vector["seed"], entry.person) for entry in entries] == vector["tickets"]
        assert list(order_of(vector["seed"], entries)) == vector["order"]
        assert order_digest(vector["order"]) == vector["outcome"]
        if not any(entry.first for entry in entries):
            people = [entry.person for entry in entries]
            assert stranger(stream, draw, vector["closing"], vector["shares"], people) == vector["order"]


def test_every_order_comes_about_as_often_as_any_other() -> None:
    """Chi-square of 3 000 draws over the six orders of three people: below 20.5 in 99.9 % of honest worlds."""
    people = [Entry(person(number)) for number in range(3)]
    counts = Counter(order_of(hashlib.sha256(str(i).encode()).hexdigest(), people) for i in range(3_000))
    assert set(counts) == set(permutations(person(number) for number in range(3)))
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 20.5


@given(st.lists(st.integers(0, 30), max_size=60), st.binary(min_size=32, max_size=32))
def test_everybody_counts_once_and_in_whatever_order_they_came(numbers: list[int], seed: bytes) -> None:
    entries = [Entry(person(number)) for number in numbers]
    order = order_of(seed.hex(), entries)
    assert sorted(order) == sorted(set(map(person, numbers)))
    assert order == order_of(seed.hex(), reversed(entries))


def test_residents_stand_first_where_they_do() -> None:
    entries = [Entry(person(number), first=number % 3 == 0) for number in range(30)]
    order = order_of("00" * 32, entries)
    first = {entry.person for entry in entries if entry.first}
    assert set(order[: len(first)]) == first


def test_each_share_and_each_leaf_changes_all_of_it() -> None:
    seeds = {seed_of(STREAM, NAME, b"c" * 32, SHARES), seed_of(STREAM, NAME, b"d" * 32, SHARES)}
    seeds |= {seed_of(STREAM, NAME, b"c" * 32, {**SHARES, pair: b"x" * 32}) for pair in SHARES}
    seeds |= {seed_of("jung", NAME, b"c" * 32, SHARES), seed_of(STREAM, NAME + "/1", b"c" * 32, SHARES)}
    assert len(seeds) == 10
    with pytest.raises(LocalError):
        share_hash(STREAM, NAME, (0, 0), b"x" * 32)
    with pytest.raises(LocalError):
        share_hash(STREAM, NAME, (0, 1), b"x")


# ---- a party that does what it should not


def test_a_party_that_withholds_its_secret_changes_nothing_and_is_seen() -> None:
    honest = over().draw
    log = closed()
    for giver, holder in SHARES:
        if giver != 2:
            assert log.reveal(giver, holder, CLOSES + 1) is None
    assert not log.draw.ready
    # party 2 has its day; then the two who hold its shares reveal them
    early = CLOSES + REVEAL_MINUTES - 1
    assert log.reveal(2, 0, early, by=0) == "draw-time"
    assert log.reveal(2, 0, early + 1, by=0) is None
    assert log.reveal(2, 1, early + 1, by=1) is None
    assert log.draw.helped == {2}
    assert log.draw.order == honest.order
    assert log.finish(early + 2) is None


def test_nobody_can_reveal_anything_but_what_was_fixed_before_the_first_entry() -> None:
    log = closed()
    assert log.reveal(2, 0, CLOSES + 1, share=b"x" * 32) == "draw-share"
    assert log.reveal(2, 0, CLOSES + REVEAL_MINUTES, by=0, share=b"x" * 32) == "draw-share"
    assert log.reveal(2, 0, CLOSES + REVEAL_MINUTES, by=1) == "draw-party"
    assert log.reveal(2, 0, CLOSES + 1) is None
    assert log.reveal(2, 0, CLOSES + 2) is None, "again is no fault"
    assert log.reveal(2, 0, CLOSES + REVEAL_MINUTES, by=0) is None
    assert log.draw.helped == set(), "who revealed in time was not helped by who says it again"


def test_a_draw_opens_for_entries_only_when_each_party_has_its_shares() -> None:
    log = Log()
    assert log.enter(1) == "draw-order"
    assert log.file(SHARED, TEN) == "draw-order"
    assert log.file(OPENED, TEN, by=1, all_of=log.opening()) == "draw-signature"
    assert log.file(OPENED, TEN, 1, all_of=log.opening()) == "draw-signature"
    assert log.file(OPENED, TEN, all_of=log.opening(**{"key-2": PARTY[1].public.hex()})) == "draw-party"
    assert log.file(OPENED, CLOSES, all_of=log.opening()) == "draw-time"
    assert log.file(OPENED, TEN, all_of=log.opening()) is None
    assert log.file(OPENED, TEN, all_of=log.opening()) == "draw-order"
    assert log.file(SHARED, TEN, 0) is None
    assert log.file(SHARED, TEN, 1) is None
    assert log.file(SHARED, TEN, 2, by=0) == "draw-signature"
    assert log.enter(1) == "draw-order"
    assert log.close() == "draw-order"
    assert log.file(SHARED, TEN, 2) is None
    assert log.enter(1) is None


def test_one_pseudonym_with_a_hundred_entries_counts_once() -> None:
    log = opened(3)
    assert {log.enter(1) for _ in range(100)} == {"draw-entered"}
    assert log.close() is None
    assert log.enter(7) == "draw-closed"
    assert len(log.draw.entries) == 3


def test_the_closing_leaf_says_who_is_in_and_comes_in_its_time() -> None:
    log = opened(3)
    assert log.reveal(0, 1, TEN + 5) == "draw-order"
    assert log.close(CLOSES - 1) == "draw-time"
    assert (
        log.file(CLOSED, CLOSES, count="2", entries=entries_digest(log.draw.entries.values()))
        == "draw-entries"
    )
    assert log.file(CLOSED, CLOSES, count="3", entries="00" * 32) == "draw-entries"
    assert log.file(CLOSED, CLOSES, 1, count="3", entries="00" * 32) == "draw-party"
    assert log.close() is None
    assert log.close() == "draw-order"


def test_another_outcome_than_the_one_that_is_is_no_leaf() -> None:
    log = closed()
    assert log.file(DONE, CLOSES, seed="00" * 32, outcome="00" * 32) == "draw-order"
    for giver, holder in SHARES:
        log.reveal(giver, holder, CLOSES + 1)
    turned = order_digest(reversed(log.draw.order))
    assert log.file(DONE, CLOSES + 2, seed=log.draw.seed, outcome=turned) == "draw-outcome"
    assert log.finish() is None
    assert log.finish() == "draw-order"


def test_leaves_of_other_draws_streams_and_kinds_are_none_of_this() -> None:
    log = over()
    filing, digest = log.leaves[0]
    assert isinstance(Draw("jung", NAME).take(filing, digest), Refusal)
    assert isinstance(Draw(STREAM, NAME + "/1").take(filing, digest), Refusal)
    assert recompute(STREAM, NAME + "/1", log.leaves) == (Draw(STREAM, NAME + "/1"), ())


# ---- its places


def test_the_drawn_have_places_the_next_wait_and_the_others_have_none() -> None:
    lottery = offer(rules=RULES)
    order = [(person(number), f"k{number}") for number in range(6)]
    given = award(lottery, View((), ()), order, TEN - 4320)
    assert [(place.seat, place.person) for place in given.put] == [(0, person(0)), (1, person(1))]
    assert {place.standing for place in given.put} == {Standing.DUE}
    assert [wait.person for wait in given.join] == [person(2), person(3)]
    assert [event.action for event in given.events] == [
        *(Action.DRAW, Action.CLAIM) * 2,
        *(Action.WAIT,) * 2,
        *(Action.NOT_DRAW,) * 2,
    ]
    again = award(lottery, View(given.put, given.join), order[:4], TEN - 4320)
    assert (again.put, again.join, again.events) == ((), (), ())
    # who does not pay gives way to the next in the order of the draw
    late = decide(lottery, View(given.put, given.join), Settle(TEN - 4320 + RULES.pay_minutes))
    moved = [place for place in late.put if isinstance(place, Place)]
    assert [place.person for place in moved] == [person(2), person(3)]
    assert (RULES.allocation, Residents.NONE) == (Allocation.FIRST_COME, lottery.facility.residents)


# ---- the command


def run(*words: object) -> tuple[int, Any]:
    result = CliRunner().invoke(main, ["verify", "draw", "--json", *map(str, words)])
    return result.exit_code, json.loads(result.stdout) if result.stdout.startswith("{") else result.output


def test_the_command_recomputes_a_draw_from_a_log_as_it_is_published(tmp_path: Path) -> None:
    log = over(9)
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", log.entries, [len(log.entries)])
    code, said = run(tmp_path / "log")
    assert code == 0
    (draw,) = said["draws"]
    assert draw["order"] == list(log.draw.order)
    assert (draw["draw"], draw["places"], draw["entries"], draw["told"], draw["faults"]) == (
        NAME,
        2,
        9,
        True,
        [],
    )
    assert draw["parties"] == [party.public.hex() for party in PARTY]
    words = CliRunner().invoke(main, ["verify", "draw", str(tmp_path / "log"), "--draw", NAME]).output
    assert f"drawn       1  {log.draw.order[0]}" in words
    assert run(tmp_path / "log", "--draw", "nowhere/2026-05-02T08:00")[0] == 2


def test_the_command_says_which_leaf_cannot_stand_where_it_does(tmp_path: Path) -> None:
    log = over(4)
    # a holder that took an entry after the closing
    late = Log()
    late.file(OPENED, TEN, all_of=late.opening())
    for party in range(PARTIES):
        late.file(SHARED, TEN, party)
    late.enter(99)
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", [*log.entries, late.entries[-1]], [len(log.entries) + 1])
    code, said = run(tmp_path / "log")
    assert code == 1
    assert [(f["entry"], f["reason"]) for f in said["draws"][0]["faults"]] == [
        (len(log.entries), "draw-closed")
    ]
    (tmp_path / "half").mkdir()
    half = closed(4)
    write_log(tmp_path / "half", half.entries, [len(half.entries)])
    code, said = run(tmp_path / "half")
    assert (code, said["draws"][0]["ready"], said["draws"][0]["order"]) == (2, False, None)


def test_a_leaf_whose_minute_was_altered_is_wrong(tmp_path: Path) -> None:
    log = over(4)
    leaf = parse_leaf(log.entries[5])
    log.entries[5] = replace(leaf, filing=replace(leaf.filing, minute=leaf.filing.minute + 1)).to_bytes()
    (tmp_path / "log").mkdir()
    write_log(tmp_path / "log", log.entries, [len(log.entries)])
    code, said = run(tmp_path / "log")
    assert code == 1
    assert [(f["entry"], f["reason"]) for f in said["draws"][0]["faults"]] == [(5, "civic-signature")]
