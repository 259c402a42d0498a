"""A holder with a clerk: whose minute counts, what runs out with nobody there, what is told before it is decided."""

from __future__ import annotations

from dataclasses import replace

from p2pworld.civic.erasure import ERASED
from p2pworld.civic.log import LogHolder
from p2pworld.civic.steps import Commit, Effect, Fence, Refuse
from p2pworld.civic.transaction import Paper, Submission
from p2pworld.services.clerk import CLAIM
from tests.civic.log_world import Client, Holder, World
from tests.merkle.signed import LOG
from tests.services.office import Office, request, slot_at

STREAM, HALL = "jongno", "jongno-youth-hall"
_, NOW = slot_at("2026-04-20", 9)


OFFICE = Office(STREAM, NOW)
TYPES = {**OFFICE.types, ERASED.name: ERASED}


def opened(world: World, epoch: int = 1) -> tuple[Holder, Client]:
    """A holder of this epoch that has read all heads, and somebody who files."""
    client = Client(world)
    holder = Holder(world, client, epoch, LogHolder(STREAM, epoch, [LOG], TYPES, clerk=world.clerk))
    holder.run()
    return holder, client


def booking(number: int, who: str, minute: int = NOW, *, wait: bool = False) -> Submission:
    """Somebody wants the hall at ten."""
    said = {"facility": HALL, "slot": "2026-05-02T10:00"}
    return request("reserve-sports", STREAM, minute, number, person=who, wait=wait, said=said)


def test_what_is_held_runs_out_by_the_minute_at_which_it_was_filed_and_no_sooner() -> None:
    world = World(clerk=OFFICE.clerk)
    holder, client = opened(world)
    client.file(holder, booking(1, "kim"), NOW)
    holder.run()
    due = holder.machine.due
    assert due is not None
    assert NOW < due <= NOW + 60, "by the holder's clock, which has been told the minute"
    before = len(world.entries)
    assert holder.machine.clock(due - 1) == []
    (commit,) = holder.machine.clock(due)
    assert isinstance(commit, Commit)
    assert commit.minute == due
    holder.effects.append(commit)
    holder.run()
    assert len(world.entries) == before + 1, "that it has run out is in the log"
    assert holder.machine.due is None or holder.machine.due > due


def test_whoever_files_when_a_hold_has_run_out_finds_the_place_free() -> None:
    world = World(clerk=OFFICE.clerk)
    holder, client = opened(world)
    client.file(holder, booking(1, "kim"), NOW)
    holder.run()
    assert holder.machine.due is not None
    later = holder.machine.due + 1
    client.file(holder, booking(2, "lee", later), later)
    holder.run()
    assert len(world.accepted) == 2
    assert client.refused == {}


def test_a_claim_that_somebody_else_has_signed_is_refused_at_once_and_not_remembered() -> None:
    world = World(clerk=OFFICE.clerk)
    holder, client = opened(world)
    true = booking(1, "kim")
    papers = true.papers or ()
    forged = [
        Paper(paper.kind, paper.data[:-1] + bytes([paper.data[-1] ^ 1]))
        for paper in papers
        if paper.kind == CLAIM
    ]
    number = client.file(holder, replace(true, papers=tuple(forged)), NOW)
    holder.run()
    assert client.refused[number].startswith("claim-")
    assert world.known == {}
    client.file(holder, true, NOW)
    holder.run()
    assert len(world.accepted) == 1


def test_receipts_that_cannot_be_made_lead_back_to_the_heads_once() -> None:
    world = World(clerk=OFFICE.clerk)
    holder, client = opened(world)
    assert holder.machine.stage.name == "IDLE"
    (fence,) = holder.machine.unproven()
    assert isinstance(fence, Fence)
    again: list[Effect] = holder.machine.unproven()
    assert again == [], "the heads are being read already"
    holder.effects.append(fence)
    holder.act()
    holder.act()
    assert holder.machine.stage.name == "READING"
    assert holder.machine.unproven() == []
    holder.run()
    assert holder.machine.stage.name == "IDLE"

    opened(world, epoch=2)
    client.file(holder, booking(1, "kim"), NOW)
    holder.run()
    assert holder.machine.stage.name == "DEPOSED"
    assert holder.machine.unproven() == [], "nothing is to be made whole by who is no holder"
    assert all(isinstance(effect, Refuse) for effect in holder.machine.submit(99, booking(2, "lee"), NOW))
