"""A stolen database: whoever has every file that a node wrote finds no name, no text and no person in it.

Words are planted in what is filed and looked for everywhere: in the store while it is written to, with its write-ahead
log, in the coordination store, the published folder, a backup, the receipts, and in all that was logged.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import sqlite3
import subprocess
import sys
import unicodedata
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode

import trio

from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from p2pworld.civic.transaction import (
    SUGGESTION,
    Secrets,
    Submission,
    file_transaction,
    open_sealed,
    parse_sealed,
)
from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal
from shard_node.civic.copies import backup, survey
from tests.civic.filer import ANSWERED, SIGNED, Telling
from tests.civic.kept import held, read_log
from tests.civic.log_world import DESK, MINUTE, OFFICE, STREAM, erasure, own_key, submission
from tests.civic.planted import found_in, raw_spellings, spellings
from tests.merkle.signed import LOG

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from p2pworld.civic.transaction import Sealed

NAME, TEXT = "홍길동김철수", "광화문 앞 은행나무 의자"
LATIN, MAIL = "Hyacinth Bucketson", "hyacinth.bucketson@example.net"
WORDS = (NAME, TEXT, "은행나무", LATIN, "Bucketson", MAIL, "010-5555-1234")
PERSON = Signer.from_seed(bytes([88]) * 32)
OFFICE_SECRET = bytes([40]) * 32
STEP = 1 if os.environ.get("P2PWORLD_NIGHTLY") == "1" else 3  # of the points at which a process is killed


def planted(number: int) -> Submission:
    private = {"name": f"{NAME} {LATIN}", "mail": MAIL, "tel": "010-5555-1234", "text": f"{TEXT} " * 30}
    seed = number.to_bytes(32, "little")
    secrets = Secrets(seed, bytes(x ^ 0x5A for x in seed), bytes(x ^ 0xA5 for x in seed))
    return file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "parks"}, private, PERSON, [OFFICE], secrets
    )


def needles() -> dict[str, bytes]:
    """Everything that must not be found."""
    every = {f"{word}: {how}": data for word in WORDS for how, data in spellings(word).items()}
    person = raw_spellings(PERSON.public) | raw_spellings(PERSON.public[:16])
    return every | {f"the person's key: {how}": data for how, data in person.items()}


def files(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob("*")) if path.is_file()]


def remnants(submission: Submission) -> dict[str, bytes]:
    """What an erasure must have destroyed, in pieces that fit between the ends of pages."""
    sealed = submission.sealed
    assert sealed is not None
    found = {"nonce": sealed.nonce, "the wraps' hash": sealed.filed}
    for wrap in sealed.wraps:
        found |= {f"wrap at {at}": wrap.key[at : at + 20] for at in range(0, 80, 20)}
    return found | {f"blob at {at}": sealed.blob[at : at + 20] for at in range(0, len(sealed.blob) - 20, 20)}


def test_what_is_looked_for_would_be_found(tmp_path: Path) -> None:
    everything, path = needles(), tmp_path / "file"
    written = [
        f"...{NAME}...".encode(),
        *(f"<{TEXT}>".encode(encoding) for encoding in ("utf-16", "utf-16-be", "cp949", "euc-kr", "johab")),
        *(base64.b64encode(bytes(before) + f"{NAME}?!".encode()) for before in range(3)),
        base64.urlsafe_b64encode(f"~{TEXT}".encode()),
        LATIN.lower().encode(),
        LATIN[::-1].encode("utf-16-le"),
        json.dumps({"name": NAME}).encode(),
        quote(f"?q={TEXT}").encode(),
        urlencode({"mail": MAIL}).encode(),
        f"x{NAME}".encode().hex().encode(),
        unicodedata.normalize("NFD", TEXT).encode(),
        PERSON.public[::-1],
        repr(PERSON.public).encode(),
        base64.b64encode(PERSON.public),
    ]
    for data in written:
        path.write_bytes(b"before \xff" + data + b"after")
        assert found_in([path], everything), data
    path.write_bytes(b"nothing of the kind")
    assert found_in([path], everything) == []
    path.rename(tmp_path / f"{NAME}.txt")
    assert found_in([tmp_path / f"{NAME}.txt"], everything)


async def test_a_stolen_disk_tells_nobody_who_filed_or_what(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    looked_for = needles()
    async with held(tmp_path, 1) as holder:
        for number in range(6):
            receipt = await holder.file(planted(number))
            assert not isinstance(receipt, Refusal)
            (tmp_path / f"{number}.receipt").write_bytes(receipt.to_bytes())
        for refused in (
            replace(planted(0), sealed=None),
            replace(planted(7), sig=bytes(64)),
            file_again_as_other(0),
        ):
            assert isinstance(await holder.file(refused), Refusal)
        backup(tmp_path / "civic.sqlite", tmp_path / "copy")
        assert (tmp_path / "civic.sqlite-wal").stat().st_size  # in use, and looked through
        assert found_in(files(tmp_path), looked_for) == []
    (tmp_path / "logged").write_text(caplog.text)
    assert found_in(files(tmp_path), looked_for) == []
    office = open_sealed(planted(3).filing, stored(tmp_path, 3), OFFICE_SECRET)
    assert office.identity == PERSON.public  # it is all there, for the office


def file_again_as_other(number: int) -> Submission:
    """Other content under a key that is known."""
    seed = number.to_bytes(32, "little")
    secrets = Secrets(seed, bytes([1]) * 32, bytes([2]) * 32)
    return file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "roads"}, {"text": TEXT}, PERSON, [OFFICE], secrets
    )


def stored(directory: Path, index: int) -> Sealed:
    with closing(sqlite3.connect(directory / "civic.sqlite")) as db:
        (body,) = db.execute("SELECT body FROM sealed WHERE number = ?", [index]).fetchone()
    return parse_sealed(body)


async def test_after_an_erasure_nothing_of_it_is_left_and_the_log_verifies(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        at = {}
        for number in range(5):
            receipt = await holder.file(planted(number))
            assert not isinstance(receipt, Refusal)
            at[number] = receipt.index
        before = read_log(tmp_path)
        there = {
            how: data for how, data in remnants(planted(2)).items() if found_in(files(tmp_path), {how: data})
        }
        assert len(there) > len(remnants(planted(2))) * 3 // 4
        assert not isinstance(await holder.file(erasure(0, at[2], DESK)), Refusal)
        assert found_in(files(tmp_path), remnants(planted(2))) == []
        again = await holder.file(planted(2))
        assert not isinstance(again, Refusal)
        assert again.index == at[2]
        other = await holder.file(file_again_as_other(2))
        assert isinstance(other, Refusal)
        assert found_in(files(tmp_path), remnants(planted(2))) == []
        for number in (0, 1, 3, 4):
            assert open_sealed(planted(number).filing, stored(tmp_path, at[number]), OFFICE_SECRET)
    async with held(tmp_path, 2) as later:
        told = await later.file(planted(2))
        assert not isinstance(told, Refusal)
        assert told.index == at[2]
    assert found_in(files(tmp_path), remnants(planted(2))) == []
    found = survey(tmp_path / "civic.sqlite")
    assert (found.entries, found.sealed, found.erased, found.faults) == ({STREAM: 6}, 4, 1, ())
    assert read_log(tmp_path)[:5] == before
    (tmp_path / "receipt").write_bytes(told.to_bytes())
    report = verify_paths([tmp_path / "log", tmp_path / "receipt"], policy_of_keys([LOG.key], 0), leaves=True)
    assert [finding.status for finding in report.findings] == [Status.OK] * 2


async def file_both_again(directory: Path) -> tuple[int, int]:
    """Where the next holder says that the entry and its erasure are."""
    async with held(directory, 3, Telling(directory / SIGNED)) as holder:
        again, asked = await holder.file(submission(1)), await holder.file(erasure(0, 1, own_key(1)))
    assert not isinstance(again, Refusal)
    assert not isinstance(asked, Refusal)
    return again.index, asked.index


def test_wherever_it_is_killed_an_entry_is_erased_and_says_so_or_neither(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.civic.eraser", str(tmp_path), str(STEP)]
    subprocess.run(command, check=True, timeout=300)
    directories = [path for path in tmp_path.iterdir() if path.name != "start"]
    assert len(directories) * STEP > 25
    erased = 0
    for directory in directories:
        found = survey(directory / "civic.sqlite")
        assert found.faults == (), f"{directory.name}: {found}"  # what is erased and what says so is one
        assert found.erased == found.entries[STREAM] - 2
        erased += found.erased
        if (answered := directory / ANSWERED).exists():
            assert found_in(files(directory), remnants(submission(1))) == []
        assert trio.run(file_both_again, directory) == (1, 2)
        assert not answered.exists() or answered.read_text().strip() == "2"
        assert found_in(files(directory), remnants(submission(1))) == []
        assert len(read_log(directory)) == 3
    assert 3 < erased < len(directories) - 3
