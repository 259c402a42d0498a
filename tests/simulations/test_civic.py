"""Civic logs on virtual time: a crash at every point of the append path, all faults at once, what the checks see."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.civic.archive import CivicOptions, StreamOptions
from simulations.civic.engines import NOTHING, Postgres, PostgresOptions, SqliteFile, Volume, fence
from simulations.civic.hall import HALL_FAULTS, Hall
from simulations.civic.people import FilingOptions
from simulations.civic.slow import Head, History, read_receipt
from simulations.events import Agenda, Trace
from simulations.faults import Fault, FaultOptions
from simulations.minimise import least
from simulations.storage import Disk, DiskOptions
from tests.merkle.reference import slow_root
from tests.merkle.signed import ENTRIES, LOG, ORIGIN, WITNESS_KEYS, receipt

if TYPE_CHECKING:
    from simulations.civic.keeper import Keeper

NIGHTLY = bool(os.environ.get("P2PWORLD_NIGHTLY"))
NO_FAULTS = FaultOptions()
SECONDS = 16.0  # of them 12 quiet
BUSY = CivicOptions(filing=FilingOptions(per_s=3.0, erase=0.2))
STORES = {"sqlite": StreamOptions("city", 1), "postgres": StreamOptions("city", None)}


# ---- every point of the append path


class Watched(Hall):
    """A hall that remembers which points its holders came to."""

    def __init__(self, store: str, only: tuple[Fault, ...] = ()) -> None:
        self.passed: list[tuple[str, str]] = []
        options = replace(BUSY, streams=(STORES[store],))
        super().__init__(5, SECONDS, NO_FAULTS, options, only)

    def point(self, keeper: Keeper, where: str, what: str) -> None:
        self.passed.append((where, what))
        super().point(keeper, where, what)


def kept_all(hall: Hall) -> None:
    outcome = hall.run()
    assert outcome.violations == ()
    assert outcome.counts["accepted"] == outcome.counts["entries"] >= 3


@pytest.mark.parametrize("store", STORES)
def test_wherever_a_holder_dies_nothing_is_lost_and_nothing_said_twice(store: str) -> None:
    whole = Watched(store)
    kept_all(whole)
    busy = [(place, *point) for place, point in enumerate(whole.passed) if whole.ordeal.points]
    until = len(busy) if NIGHTLY else 50  # by then every kind of step was taken
    assert {what for _, _, what in busy[:until]} >= {
        *("Fence", "ReadHeads", "PutRecord", "Republish", "Commit", "Publish"),
        *("Accept", "AskWitnesses", "KeepWitnessed", "Fenced", "HeadsRead", "RecordPut", "Committed"),
    }
    for place, where, _ in busy[:until]:
        hall = Watched(store, (Fault(0.0, "civic-crash", (0,), 0.4 + place / 1_000, float(place), where),))
        kept_all(hall)
        assert hall.counts["civic-crash"] == 1


# ---- everything at once


def test_whatever_goes_wrong_at_once_the_logs_keep_their_promises() -> None:
    faults: Counter[str] = Counter()
    crashes: Counter[str] = Counter()
    for seed in range(1, 1_001 if NIGHTLY else 7):
        hall = Hall(seed, 40.0, HALL_FAULTS, BUSY)
        outcome = hall.run()
        assert outcome.violations == (), seed
        faults.update(outcome.faults)
        crashes["points"] += outcome.points
    seen = {*faults} | {"operator"}  # which is counted as what it does
    assert {kind for kind in HALL_KINDS if kind not in seen} == set()
    assert faults["civic-crash"] > 60


HALL_KINDS = (
    *("civic-crash", "civic-pause", "civic-late", "civic-answer-lost", "record-lost", "appointed", "pause"),
    *("postgres-out", "postgres-cut", "postgres-standby", "postgres-primary", "witness-down"),
    *("witness-answer-lost", "relay-hostile", "disk-full", "disk-slow", "store-cut", "store-out"),
)


def test_a_log_that_lost_something_is_read_only_and_never_forks() -> None:
    lossy = replace(HALL_FAULTS, civic_restored=0.5, store_restored=0.5, disk_lost=0.3, disk_lies=0.3)
    alarms = 0
    for seed in range(1, 1_001 if NIGHTLY else 6):
        outcome = Hall(seed, 30.0, lossy, BUSY).run()
        assert outcome.violations == (), seed
        alarms += outcome.faults.get("alarm", 0)
    assert alarms >= 2


# ---- the checks see what they are for


def red(options: CivicOptions, faults: FaultOptions) -> Hall:
    for seed in range(1, 60):
        hall = Hall(seed, 20.0, faults, options)
        if hall.run(to_first=True).violations:
            return hall
    pytest.fail("nothing was noticed in 59 halls")


LATE = FaultOptions(
    civic_late_every_s=1.5, operator_every_s=1.5, civic_pause_every_s=1.5, civic_pause_s=(0.3, 2.0)
)


def test_without_the_row_that_is_compared_the_checks_notice_and_few_faults_tell_why() -> None:
    options = replace(BUSY, fenced=False)
    hall = red(options, LATE)
    first = hall.violations[0]
    plan = [fault for fault in hall.plan if fault.at_s <= first.time_s]

    def breaks(tries: list[list[Fault]]) -> int | None:
        for place, faults in enumerate(tries):
            found = Hall(hall.seed, 20.0, LATE, options, faults).run(to_first=True, until_s=first.time_s + 3)
            if found.violations and found.violations[0].rule == first.rule:
                return place
        return None

    few = least(plan, breaks)
    assert 0 < len(few) < len(plan)
    story = Hall(hall.seed, 20.0, LATE, options, few).run(to_first=True).violations[0].story
    assert any("keeps" in line for line in story)


def test_without_the_comparison_of_records_the_checks_notice() -> None:
    red(replace(BUSY, compared=False), LATE)


def test_the_same_seed_is_the_same_run() -> None:
    one, other = (Hall(3, 30.0, HALL_FAULTS, BUSY).run() for _ in range(2))
    assert one == other


# ---- the definitions that the checks use


@given(st.lists(st.binary(max_size=3), max_size=20), st.integers(0, 20), st.lists(st.binary(max_size=3)))
def test_a_history_has_the_root_of_the_standard_also_when_it_was_cut(
    first: list[bytes], kept: int, more: list[bytes]
) -> None:
    history = History()
    assert history.follow(first) == 0
    second = first[:kept] + more
    same = history.follow(second)
    assert first[:same] == second[:same]
    for size in range(len(second) + 1):
        assert history.root(size) == slow_root(second[:size])
    assert history.root(len(second) + 1) is None


def test_a_receipt_is_read_as_others_read_it_and_proves_nothing_else() -> None:
    witnesses = {key.name: key.public for key in WITNESS_KEYS}
    data = receipt(5, 21).to_bytes()
    proven = read_receipt(data, ENTRIES[5], ORIGIN, LOG.key.public, witnesses)
    assert not isinstance(proven, str)
    assert (proven.place, proven.head.size, proven.cosigned) == (5, 21, 2)
    assert isinstance(read_receipt(data, ENTRIES[6], ORIGIN, LOG.key.public, witnesses), str)
    assert isinstance(read_receipt(data, None, ORIGIN, LOG.key.public, witnesses), str)
    assert isinstance(read_receipt(data, ENTRIES[5], ORIGIN, WITNESS_KEYS[0].public, witnesses), str)
    assert Head.of(receipt(5, 21).checkpoint.text) == proven.head


# ---- the stores


def postgres(agenda: Agenda) -> Postgres:
    return Postgres(PostgresOptions(), agenda, random.Random(1), Trace())


def settle(agenda: Agenda) -> None:
    agenda.run(agenda.now_s + 5.0, lambda: False)


def test_what_the_standby_has_not_is_durable_nowhere_and_nobody_is_told() -> None:
    agenda, told = Agenda(), list[object]()
    server = postgres(agenda)
    server.transact(0, "city", fence(1, 1), told.append)
    settle(agenda)
    assert (server.now("city").fences, len(told)) == (1, 1)
    server.lose_standby()
    server.transact(0, "city", fence(2, 1), told.append)
    settle(agenda)
    assert told[1:] == [None]
    assert server.now("city").fences == 1
    server.find_standby()
    assert server.now("city").fences == 2
    server.promote(killed=False)
    assert server.now("city").fences == 2


def test_a_transaction_that_comes_late_is_done_though_nobody_waits() -> None:
    agenda, told = Agenda(), list[object]()
    server = postgres(agenda)
    server.late_s.append(2.0)
    server.transact(0, "city", fence(1, 1), told.append)
    agenda.run(1.0, lambda: False)
    assert (told, server.now("city")) == ([None], NOTHING)
    settle(agenda)
    assert (told, server.now("city").fences) == ([None], 1)


def test_who_is_connected_to_the_server_left_behind_is_told_nothing_and_then_finds_the_new_one() -> None:
    agenda, told = Agenda(), list[object]()
    server = postgres(agenda)
    server.transact(0, "city", fence(1, 1), lambda done: None)
    settle(agenda)
    server.promote(killed=False)
    server.find_standby()
    for ticket in (2, 3):
        server.transact(0, "city", fence(ticket, 1), told.append)
        settle(agenda)
    assert [one is not None for one in told] == [False, True]
    assert server.now("city").fences == 2


def test_a_job_that_the_process_dies_in_is_done_whole_or_not() -> None:
    ends = set()
    for seed in range(30):
        agenda, dice = Agenda(), random.Random(seed)
        disk = Disk("A", DiskOptions(), agenda, dice, Trace())
        volume = Volume(disk, DiskOptions(), agenda, dice, Trace())
        file = SqliteFile(volume, agenda)
        file.transact(0, "city", fence(1, 1), lambda done: pytest.fail("nobody lives to hear it"))
        volume.write(lambda: [{"one": 1}, {"two": 2}, {"three": 3}], lambda done: None)
        volume.crash()
        settle(agenda)
        parts = len(volume.kept.keys() - {("store", "city")})
        assert set(volume.kept) >= set(("one", "two", "three")[:parts])
        ends.add((file.now("city").fences, parts))
        undone = volume.lose_last(2)
        assert undone == (parts > 0) + file.now("city").fences or not volume.kept
    assert {fences for fences, _ in ends} == {0, 1}
    assert {parts for _, parts in ends} == {0, 1, 2, 3}
