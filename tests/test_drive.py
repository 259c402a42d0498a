"""What a Ready asks for becomes effects in one order, and what is fenced leaves under its lease or not at all."""

from __future__ import annotations

import math
from dataclasses import replace

from p2pworld.drive import AskStore, Persist, SendFrames, SendNow, TellHolders, effects, may_leave
from p2pworld.ids import Incarnation
from p2pworld.messages import (
    CommitAck,
    Frame,
    Notice,
    Ready,
    SaveDelta,
    SaveRecord,
    ToClient,
    ToPeer,
)

PEER = Incarnation(b"p" * 32, 1)
FRAME = Frame((1, 2), (b"poses",))
SAID = ToClient(1, Notice("hello", "There is news."))
HELD = ToPeer(PEER, CommitAck(7, 1, b"r" * 16))
DELTA = SaveDelta(5, 1, 2, b"delta")
RECORD = SaveRecord("mine", b"id", b"record")
READY = Ready(3, lease_deadline_s=20.0)


def test_nothing_asked_is_nothing_done() -> None:
    assert effects(READY) == ()


def test_frames_and_sends_leave_at_once_writes_then_and_requests_last() -> None:
    ready = replace(
        READY,
        frames=(FRAME,),
        sends=(SAID,),
        writes=(DELTA,),
        held=(HELD,),
        requests=("read", "renew"),
        civic=("append",),
    )
    assert effects(ready) == (
        SendFrames((FRAME,)),
        SendNow((SAID,), 20.0),
        Persist(3, (DELTA,), SendNow((HELD,), 20.0), 20.0),
        TellHolders(("append",)),
        AskStore("read"),
        AskStore("renew"),
    )


def test_what_waits_for_no_write_leaves_at_once() -> None:
    assert effects(replace(READY, held=(HELD,))) == (SendNow((HELD,), 20.0),)


def test_a_nodes_own_record_is_written_without_a_lease_and_a_cell_only_under_it() -> None:
    (own,) = effects(replace(READY, writes=(RECORD,)))
    (both,) = effects(replace(READY, writes=(RECORD, DELTA)))
    assert isinstance(own, Persist)
    assert isinstance(both, Persist)
    assert own.lease_deadline_s == math.inf
    assert both.lease_deadline_s == 20.0


def test_only_what_is_fenced_dies_with_the_lease() -> None:
    fenced = replace(HELD, fenced=True)
    assert may_leave(fenced, 20.0, 19.9)
    assert not may_leave(fenced, 20.0, 20.0)
    assert may_leave(HELD, 20.0, 20.1)
    assert may_leave(SAID, 20.0, 20.1)
