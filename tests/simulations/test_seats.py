"""Bookings on virtual time: whatever fails, no seat is given twice; and the check that says so sees it if one is."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from simulations.civic.archive import CivicOptions, StreamOptions
from simulations.civic.hall import HALL_FAULTS, Hall
from simulations.civic.people import FilingOptions
from simulations.civic.seats import Seats
from simulations.faults import FaultOptions

if TYPE_CHECKING:
    from collections.abc import Mapping

NIGHTLY = bool(os.environ.get("P2PWORLD_NIGHTLY"))
NO_FAULTS = FaultOptions()
RUSH = CivicOptions(
    filing=FilingOptions(per_s=3.0, book=0.8, again=0.3, act=0.7, erase=0.05, again_s=(0.0, 60.0))
)
STREAMS = (StreamOptions("city", 1), StreamOptions("jongno", None))


def seats_of(hall: Hall) -> Seats:
    seats = Seats(("seat", "court"), 2)
    for stream in ("city", "jongno"):
        lives = hall.archive.checkers._lives[stream]
        seats.owners |= lives.seats.owners
    return seats


def test_in_a_rush_every_seat_is_somebody_s_and_nobody_else_s() -> None:
    """Four slots of two seats in all; holds run out at the minute, and give their seats to who waits."""
    hall = Hall(3, 100.0, NO_FAULTS, RUSH)
    outcome = hall.run()
    assert outcome.violations == ()
    assert len(seats_of(hall).owners) >= 6
    answers = {answer for paper in hall.citizens.papers for answer in paper.answers}
    assert {"slot-taken", "waitlist-full"} <= answers


def test_whatever_goes_wrong_at_once_no_seat_is_given_twice() -> None:
    crashes = 0
    for seed in range(1, 301 if NIGHTLY else 5):
        outcome = Hall(seed, 75.0, HALL_FAULTS, RUSH).run()
        assert outcome.violations == (), seed
        crashes += outcome.faults["civic-crash"]
    assert crashes > 20


@pytest.mark.parametrize("stream", STREAMS)
def test_a_clerk_that_sees_no_rows_is_found_out(stream: StreamOptions) -> None:
    blind = replace(RUSH, streams=(stream,), keyed=False)
    rules = {each.rule for each in Hall(1, 40.0, NO_FAULTS, blind).run(to_first=True).violations}
    assert rules == {"civic-seat"}


def test_the_pencil_sees_each_fault_in_leaves() -> None:
    def event(key: str, action: str, seat: str = "0", slot: str = "ten") -> dict[str, object]:
        said = {"facility": "hall", "slot": slot, "seat": seat, "action": action, "filing": key, "until": ""}
        return {"type": "slot-event", "public": [{"name": n, "value": v} for n, v in said.items()]}

    def found(*filings: Mapping[str, object]) -> list[str]:
        seats = Seats(("seat",), 1)
        return [said for at, filing in enumerate(filings) for said in seats.read(at, dict(filing))]

    booked = {"type": "seat", "key": b"\xaa"}
    assert (
        found(booked, event("aa", "hold"), event("aa", "claim"), event("aa", "cancel"), event("bb", "hold"))
        == []
    )
    assert found(event("aa", "wait", ""), event("aa", "move-up"), event("aa", "expire")) == []
    for filings, said in (
        ([event("aa", "hold"), event("bb", "confirm")], "to a second person"),
        ([event("aa", "hold"), event("aa", "hold", slot="eleven")], "a second seat"),
        ([event("aa", "hold", "1")], "that there is not"),
        ([event("aa", "hold"), event("bb", "expire")], "who does not have it"),
        ([event("aa", "expire", "")], "who does not wait"),
        ([booked, booked], "without what became of it"),
    ):
        assert any(said in each for each in found(*filings)), said
