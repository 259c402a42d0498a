"""Whatever is filed badly is refused by a code and a sentence, and nothing of it is stored."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from p2pworld.civic.transaction import (
    Field,
    Filing,
    Secrets,
    Submission,
    file_transaction,
    parse_submission,
    rewrap,
    wraps_hash,
)
from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX
from tests.civic.kept import held, read_log
from tests.civic.log_world import DESK, MINUTE, OFFICE, STREAM, TYPES, erasure, own_key, submission

if TYPE_CHECKING:
    from pathlib import Path

GOOD, OTHER = submission(0), submission(1)
SEALED = GOOD.sealed
assert SEALED is not None


def signed(filing: Filing, number: int = 0) -> Submission:
    """The filing, changed and signed anew by the transaction's own key."""
    return Submission(filing, own_key(number).sign(filing.statement()), SEALED)


def at_minute(minutes: int) -> Submission:
    """What a device files whose clock is off."""
    person, secrets = Signer.from_seed(bytes(31) + b"\x01"), Secrets(bytes([9]) * 32, bytes(32), bytes(32))
    return file_transaction(
        TYPES["suggestion"], STREAM, MINUTE + minutes, {"topic": "parks"}, {}, person, [OFFICE], secrets
    )


def erasure_with(name: str, value: str) -> Submission:
    filing = erasure(0, 0).filing
    fields = tuple(Field(one.name, value if one.name == name else one.value) for one in filing.public)
    signer = Signer.from_seed(bytes([6]) * 32)
    filing = replace(filing, key=signer.public, public=fields)
    return Submission(filing, signer.sign(filing.statement()))


SPOILED_WRAPS = (replace(SEALED.wraps[0], key=bytes(80)),)
BAD = {
    "not signed": (replace(GOOD, sig=bytes(64)), "civic-signature"),
    "signed for another": (replace(GOOD, sig=OTHER.sig), "civic-signature"),
    "altered on the way": (
        replace(GOOD, filing=replace(GOOD.filing, public=(Field("topic", "roads"),))),
        "civic-signature",
    ),
    "under somebody else's key": (
        replace(GOOD, filing=replace(GOOD.filing, key=OTHER.filing.key)),
        "civic-signature",
    ),
    "for another log": (signed(replace(GOOD.filing, stream="mapo")), "civic-stream"),
    "a type that is none": (signed(replace(GOOD.filing, type="complaint")), "civic-type"),
    "a clock ten minutes fast": (at_minute(10), "civic-clock"),
    "a clock ten minutes slow": (at_minute(-10), "civic-clock"),
    "a clock of another year": (at_minute(-1_000_000), "civic-clock"),
    "a field too few": (signed(replace(GOOD.filing, public=())), "civic-field"),
    "a field too many": (
        signed(replace(GOOD.filing, public=(*GOOD.filing.public, Field("who", "x")))),
        "civic-field",
    ),
    "a field with a name in it": (
        signed(replace(GOOD.filing, public=(Field("topic", "홍길동"),))),
        "civic-field",
    ),
    "nothing sealed": (replace(GOOD, sealed=None), "civic-sealed"),
    "another blob": (replace(GOOD, sealed=OTHER.sealed), "civic-sealed"),
    "a spoiled wrap": (replace(GOOD, sealed=replace(SEALED, wraps=SPOILED_WRAPS)), "civic-sealed"),
    "a spoiled wrap and its hash": (
        replace(GOOD, sealed=replace(SEALED, wraps=SPOILED_WRAPS, filed=wraps_hash(SPOILED_WRAPS))),
        "civic-sealed",
    ),
    "wrapped for a key of the relay": (
        replace(GOOD, sealed=rewrap(SEALED, bytes([40]) * 32, own_key(3).public)),
        "civic-sealed",
    ),
    "an erasure of no number": (erasure_with("index", "-1"), "civic-field"),
    "an erasure that nobody asked for": (erasure_with("asked", "00" * 64), "civic-signature"),
    "an erasure asked for in another log": (erasure(0, 0, DESK, "mapo"), "civic-stream"),
}


def stored(directory: Path) -> list[object]:
    """Every row of the store but the fences."""
    with closing(sqlite3.connect(directory / "civic.sqlite")) as db:
        return [
            db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
            for table in ("entry", "answer", "sealed")
        ]


async def test_what_is_filed_badly_is_refused_and_nothing_of_it_is_stored(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        assert not isinstance(await holder.file(submission(7)), Refusal)
        before, log = stored(tmp_path), read_log(tmp_path)
        for what, (bad, reason) in BAD.items():
            answer = await holder.file(bad)
            assert isinstance(answer, Refusal), what
            assert (answer.reason, bool(answer.sentence)) == (reason, True), what
        assert stored(tmp_path) == before
        assert read_log(tmp_path) == log
        assert not isinstance(await holder.file(GOOD), Refusal)  # its key was not used up by any of them


async def test_other_content_under_a_key_that_is_known_is_refused_and_the_first_stays(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        first = await holder.file(GOOD)
        assert not isinstance(first, Refusal)
        before = stored(tmp_path)
        for replay in (submission(0, "other"), signed(replace(GOOD.filing, minute=MINUTE - 1))):
            answer = await holder.file(replay)
            assert isinstance(answer, Refusal)
            assert answer.reason == "civic-replay"
        again = await holder.file(GOOD)
        assert not isinstance(again, Refusal)
        assert again.index == first.index
        assert stored(tmp_path) == before


async def test_what_may_not_be_erased_is_refused_and_stays(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        for number in range(2):
            assert not isinstance(await holder.file(submission(number)), Refusal)
        before, log = stored(tmp_path)[2], read_log(tmp_path)
        for bad, reason in (
            (erasure(0, 1, own_key(0)), "civic-erase-right"),
            (erasure(1, 99, DESK), "civic-erase-none"),
        ):
            for _ in range(2):
                answer = await holder.file(bad)
                assert isinstance(answer, Refusal)
                assert answer.reason == reason
        assert stored(tmp_path)[2] == before
        assert read_log(tmp_path) == log
        good = await holder.file(erasure(2, 0, own_key(0)))
        assert not isinstance(good, Refusal)
        open_entry = await holder.file(erasure(3, good.index, DESK))
        assert isinstance(open_entry, Refusal)
        assert open_entry.reason == "civic-erase-open"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (bytes(CIVIC_SUBMISSION_BYTES_MAX + 1), "submission-size"),
        (b"", ""),
        (b"\x80", ""),
        (b"\xc1" * 40, ""),
        (GOOD.to_bytes()[:-1], ""),
        (GOOD.to_bytes() + b"\0", ""),
        (GOOD.leaf(1).to_bytes(), ""),
        (b"{" + b"}" * 50, ""),
    ],
)
def test_what_is_no_submission_is_told_by_its_bytes(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteError) as caught:
        parse_submission(data)
    assert caught.value.reason
    assert reason in ("", caught.value.reason)
