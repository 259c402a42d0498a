"""Acts on cases and events of bookings as leaves: what everybody computes from the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pworld.civic.transaction import Field, Filing, Secrets, Submission, check_submission, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import Refusal
from p2pworld.limits import CIVIC_LEAF_BYTES_MAX
from p2pworld.services.case_log import (
    CASE_TYPES,
    SLOT_EVENT,
    CaseAct,
    act_fields,
    case_act_of,
    case_of,
    event_fields,
    who_acts,
)
from p2pworld.services.deadlines import NEVER
from p2pworld.services.reservations import Event
from p2pworld.services.workflow import Action, State, Who
from p2pworld.services.working_time import OfficeCalendar
from shard_node.services.folder import read
from tests.services.test_reservations import TEN

CALENDAR = OfficeCalendar()
SERVICE = read().services["complaint-suggestion"]
CITIZEN, OFFICIAL, CHIEF, STRANGER = (Signer.from_seed(bytes([n]) * 32) for n in (1, 2, 3, 4))
ROLES = {OFFICIAL.public: Who.OFFICIAL, CHIEF.public: Who.DECIDER}
ABOUT = Filing("complaint-suggestion", "city", CITIZEN.public, TEN)
TERM = SERVICE.deadline.term


def act(n: int, seen: int, action: Action, by: Signer, minute: int, amount: int = 0) -> Filing:
    signer = Signer.from_seed(bytes([100 + n]) * 32)
    said = act_fields(CaseAct("city", 17, seen, action.value, amount, signer.public), by)
    filing = Filing(
        "case-act", "city", signer.public, TEN + minute, tuple(Field(*each) for each in said.items())
    )
    submission = Submission(filing, signer.sign(filing.statement()))
    assert check_submission(submission, "city", CASE_TYPES) is None
    assert len(submission.leaf(1).to_bytes()) < CIVIC_LEAF_BYTES_MAX
    return filing


ACTS = [
    act(0, 0, Action.ASSIGN, OFFICIAL, 10),
    act(1, 1, Action.BEGIN, OFFICIAL, 20),
    act(2, 2, Action.ASK, OFFICIAL, 30, 10),
    act(3, 3, Action.SUPPLEMENT, CITIZEN, 5000),
    act(4, 4, Action.COMPLETE, CHIEF, 6000),
]


def test_everybody_computes_the_same_case_from_its_leaves() -> None:
    case, outcomes = case_of(SERVICE.workflow, TERM, ABOUT, ACTS, ROLES, CALENDAR)
    assert outcomes == (None,) * 5
    assert case.state is State.COMPLETED
    assert case.clock.stopped == TEN + 6000
    assert case.clock.due(CALENDAR) < NEVER
    assert [filing.key.hex() for filing in ACTS] == [done.key for done in case.acts]


def test_what_has_no_effect_is_told_and_changes_nothing() -> None:
    def why(*acts: Filing) -> list[str | None]:
        _, outcomes = case_of(SERVICE.workflow, TERM, ABOUT, acts, ROLES, CALENDAR)
        return [outcome.reason if outcome else None for outcome in outcomes]

    assert why(ACTS[0], ACTS[0]) == [None, None], "a retry is the same act"
    assert why(ACTS[0], ACTS[2]) == [None, "case-moved-on"]
    assert why(act(9, 0, Action.ASSIGN, STRANGER, 1)) == ["forbidden"]
    assert why(act(9, 0, Action.ASSIGN, CITIZEN, 1)) == ["forbidden"]
    assert why(*ACTS[:4], act(9, 4, Action.COMPLETE, OFFICIAL, 6000)) == [None] * 4 + ["forbidden"]
    assert why(act(9, 0, Action.WITHDRAW, CITIZEN, 1), act(8, 1, Action.ASSIGN, OFFICIAL, 2)) == [
        None,
        "already-closed",
    ]


@pytest.mark.parametrize("position", range(5))
def test_nothing_of_an_act_can_be_changed_without_the_actor(position: int) -> None:
    changed = ["18", "1", "close", "3", STRANGER.public.hex()][position]
    fields = list(ACTS[0].public)
    fields[position] = Field(fields[position].name, changed)
    assert isinstance(case_act_of(replace(ACTS[0], public=tuple(fields))), Refusal)


def test_an_act_is_of_its_stream_and_of_its_own_filing() -> None:
    assert isinstance(case_act_of(ACTS[0]), CaseAct)
    assert isinstance(case_act_of(replace(ACTS[0], stream="jongno")), Refusal)
    assert isinstance(case_act_of(replace(ACTS[0], key=STRANGER.public)), Refusal)
    assert case_act_of(ABOUT) is None
    assert who_acts(ACTS[3], ABOUT, ROLES) is Who.CITIZEN


def test_a_letter_seals_what_is_written() -> None:
    secrets = Secrets(bytes([77]) * 32, b"k" * 32, b"n" * 32)
    key = Signer.from_seed(secrets.seed).public
    said = act_fields(CaseAct("city", 17, 2, "ask", 10, key), OFFICIAL)
    letter = file_transaction(
        CASE_TYPES["case-letter"], "city", TEN, said, {"text": "사진을 보내 주세요."}, OFFICIAL,
        [sealing_public(b"o" * 32)], secrets,
    )  # fmt: skip
    assert check_submission(letter, "city", CASE_TYPES) is None
    assert isinstance(case_act_of(letter.filing), CaseAct)


def test_an_event_of_a_booking_is_a_leaf_without_a_person() -> None:
    for event in (
        Event(Action.HOLD, "ab" * 32, "hall", TEN, 1, TEN + 10),
        Event(Action.WAIT, "ab" * 32, "hall", TEN, None),
    ):
        fields = event_fields(event)
        assert SLOT_EVENT.accepts(fields)
        assert [field.value for field in fields][:2] == ["hall", "2026-02-13T10:00"]
