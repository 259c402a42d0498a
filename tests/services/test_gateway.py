"""A gateway over a log that answers as it is told to: retries, crashes, refusals, and what is left of a request."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import trio

from p2pworld.civic.attached import names_in, unsigned
from p2pworld.civic.relay import Answered
from p2pworld.civic.transaction import check_submission, open_sealed, parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public, unseal
from p2pworld.errors import Refusal
from p2pworld.limits import GATEWAY_KEPT_DAYS
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.receipt import Receipt
from p2pworld.services.replies import Told, told
from p2pworld.services.sealed_files import opened, sealed_file
from p2pworld.services.working_time import OfficeCalendar
from shard_node.services import gateway as gateway_module
from shard_node.services import gateway_store
from shard_node.services.folder import read
from shard_node.services.gateway import Application, Filed, Gateway, Held, request_name
from shard_node.services.gateway_store import GATEWAY_STORE_NAME, GatewayRow, GatewayStore
from shard_node.services.settings import ServicesConfig
from shard_node.storage.journal import StorageFailed
from tests.merkle.signed import LOG, ORIGIN
from tests.services.samples import filled
from tests.services.test_attachments import archive, png

if TYPE_CHECKING:
    from pathlib import Path

CATALOGUE = read()
OFFICE = sealing_public(b"o" * 32)
GATEWAY = Signer.from_seed(b"g" * 32)
VALUES = {"kind": "pothole", "place": "37.575900,126.976800", "danger": "high"}
ASKED = Application("road-damage-report", VALUES)
KEY = "a-key-that-is-nobody-elses"
BOMB = archive(("[Content_Types].xml", b"<Types/>"), ("word/document.xml", bytes(20 << 20)))
OPEN = Refusal("civic-unknown", "nobody knows")


def receipt(index: int) -> bytes:
    text = Checkpoint(ORIGIN, index + 1, b"r" * 32).text
    return Receipt(index, (), Note(text, (LOG.sign(text),)), b"epoch 1").to_bytes()


@dataclass
class Log:
    """Takes what is filed as `answer` says; by default it is the next entry, or that which it was before."""

    answer: Callable[[bytes], Answered | None] = lambda submission: None
    filed: list[bytes] = field(default_factory=list)
    entries: list[bytes] = field(default_factory=list)
    files: dict[bytes, bytes] | None = None
    minute: int = 29_000_000

    async def file(self, submission: bytes) -> Answered:
        await trio.lowlevel.checkpoint()
        self.filed.append(submission)
        answer = self.answer(submission)
        if answer is not None:
            return answer
        if submission not in self.entries:
            self.entries.append(submission)
        return Answered(receipt(self.entries.index(submission)))


def refuses(reason: str) -> Callable[[bytes], Answered | None]:
    return lambda submission: Answered(refusal=Refusal(reason, "because"))


def make(folder: Path, log: Log) -> Gateway:
    key = folder / "gateway.key"
    key.write_text((b"g" * 32).hex())

    async def offices(stream: str) -> tuple[bytes, ...]:
        return (OFFICE,)

    host: Any = SimpleNamespace(
        config=ServicesConfig(gateway_key_file=key),
        catalogue=CATALOGUE,
        calendar=OfficeCalendar(),
        data_dir=folder,
        desk=log,
        index=SimpleNamespace(now_minute=lambda: log.minute, size=lambda stream: 10**9),
    )

    async def bring(stream: str, blob_key: bytes, files: Iterable[bytes]) -> Told | None:
        if log.files is None:
            return told("files-not-here")
        sealed = [sealed_file(stream, blob_key, file) for file in files]
        log.files |= {name: locked for name, _, locked in sealed}
        return None

    known: Any = SimpleNamespace(of=offices)
    brought: Any = SimpleNamespace(bring=bring)
    return Gateway(host, known, brought)


def reasons(answer: object) -> list[str]:
    assert isinstance(answer, tuple), answer
    return [one.reason for one in answer]


# ---- filing


async def test_what_is_filed_is_what_the_holder_takes(tmp_path: Path) -> None:
    log = Log()
    filed = await make(tmp_path, log).file(ASKED, KEY)
    assert isinstance(filed, Filed)
    submission = parse_submission(log.filed[0])
    assert check_submission(submission, "jongno", CATALOGUE.types(), {GATEWAY.public}) is None
    assert check_submission(submission, "jongno", CATALOGUE.types()) is not None  # nobody else's gateway
    assert (filed.stream, filed.entry, filed.key) == ("jongno", 0, submission.filing.key)


async def test_requests_share_nothing(tmp_path: Path) -> None:
    log = Log()
    gateway = make(tmp_path, log)
    for number in range(2):
        await gateway.file(ASKED, f"{KEY}-{number}")
    one, other = map(parse_submission, log.filed)
    assert one.filing.key != other.filing.key
    assert one.sealed is not None
    assert other.sealed is not None
    assert one.sealed.nonce != other.sealed.nonce


async def test_a_retry_files_the_same_bytes_even_after_a_crash(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log(lambda submission: Answered(refusal=OPEN))
    assert reasons(await make(tmp_path, log).file(ASKED, KEY)) == ["filing-open"]
    tries = len(log.filed)
    assert tries > 1  # it was brought again and again meanwhile
    log.answer = lambda submission: None
    filed = await make(tmp_path, log).file(ASKED, KEY)  # another process, over the same file
    assert isinstance(filed, Filed)
    assert len(set(log.filed)) == 1
    again = await make(tmp_path, log).file(ASKED, KEY)
    assert isinstance(again, Filed)
    assert replace(again, receipt=filed.receipt) == filed
    assert len(log.filed) == tries + 1  # what was answered is not asked again


async def test_two_at_the_same_moment_are_one(tmp_path: Path) -> None:
    log = Log()
    gateway = make(tmp_path, log)
    answers: list[object] = []

    async def file() -> None:
        answers.append(await gateway.file(ASKED, KEY))

    async with trio.open_nursery() as nursery:
        for _ in range(8):
            nursery.start_soon(file)
    assert {one.entry for one in answers if isinstance(one, Filed)} == {0}
    assert len(answers) == 8
    assert len(log.entries) == 1


async def test_what_the_log_decided_is_remembered(tmp_path: Path) -> None:
    log = Log(refuses("slot-taken"))
    gateway = make(tmp_path, log)
    assert reasons(await gateway.file(ASKED, KEY)) == ["slot-taken"]
    log.answer = lambda submission: None
    assert reasons(await gateway.file(ASKED, KEY)) == ["slot-taken"]
    assert len(log.filed) == 1


async def test_what_the_log_did_not_decide_may_change(tmp_path: Path) -> None:
    log = Log(refuses("civic-type"))  # a holder that has not read the new declaration yet
    gateway = make(tmp_path, log)
    assert reasons(await gateway.file(ASKED, KEY)) == ["civic-type"]
    log.answer = lambda submission: None
    assert isinstance(await gateway.file(ASKED, KEY), Filed)
    assert len(set(log.filed)) == 1


async def test_a_request_whose_minute_is_over_is_made_anew(tmp_path: Path) -> None:
    log = Log(refuses("civic-clock"))
    gateway = make(tmp_path, log)
    assert reasons(await gateway.file(ASKED, KEY)) == ["filing-lapsed"]
    log.answer, log.minute = lambda submission: None, log.minute + 60
    filed = await gateway.file(ASKED, KEY)
    assert isinstance(filed, Filed)
    first, second = map(parse_submission, log.filed)
    assert first.filing.key != second.filing.key
    assert second.filing.minute == log.minute


async def test_what_is_wrong_is_told_and_nothing_kept(tmp_path: Path) -> None:
    log = Log()
    gateway = make(tmp_path, log)
    wrong = Application(ASKED.service, {"kind": "volcano"})
    assert reasons(await gateway.file(wrong, KEY)) == ["choice-unknown", "field-required", "field-required"]
    assert reasons(await gateway.file(Application("nothing", {}), KEY)) == ["service-unknown"]
    assert reasons(await gateway.file(Application("reserve-space", {}), KEY)) == ["gateway-not-here"]
    assert not log.filed
    assert await gateway.opened(KEY) is None
    assert isinstance(await gateway.file(ASKED, KEY), Filed)  # the key is still free


async def test_another_content_under_the_same_key(tmp_path: Path) -> None:
    gateway = make(tmp_path, Log())
    await gateway.file(ASKED, KEY)
    other = replace(ASKED, values=VALUES | {"danger": "low"})
    assert reasons(await gateway.file(other, KEY)) == ["idempotency-reused"]
    assert reasons(await gateway.file(replace(ASKED, note="more"), KEY)) == ["idempotency-reused"]


@pytest.mark.parametrize(
    ("file", "reason"),
    [(BOMB, "file-broken"), (b"MZ" + bytes(99), "file-type")],
    ids=["bomb", "program"],
)
async def test_files_are_known_by_their_content(tmp_path: Path, file: bytes, reason: str) -> None:
    log = Log()
    asked = replace(ASKED, files={"photos": (png(), file)})
    assert reasons(await make(tmp_path, log).file(asked, KEY)) == [reason]
    assert not log.filed


def test_more_people_than_a_place_has_room_for_are_told_at_the_field(tmp_path: Path) -> None:
    camping = CATALOGUE.services["reserve-camping"]
    values = {**filled(camping, CATALOGUE), "people": 5}
    _, (fault, *rest) = make(tmp_path, Log()).check(camping, values)
    assert (fault.reason, fault.field, rest) == ("too-many-people", "people", [])
    assert "4명까지" in fault.ko


async def test_files_lie_locked_at_the_holder_before_the_request_names_them(tmp_path: Path) -> None:
    log = Log(files={})
    asked = replace(ASKED, files={"photos": (png(), png(3), png())})
    filed = await make(tmp_path, log).file(asked, KEY)
    assert isinstance(filed, Filed)
    submission = parse_submission(log.filed[0])
    names = names_in(submission)
    assert not isinstance(names, Refusal)
    assert unsigned(submission) is None
    assert log.files is not None
    assert set(names) == set(log.files)
    assert submission.sealed is not None
    kept = {
        one.name: one.value for one in open_sealed(submission.filing, submission.sealed, b"o" * 32).fields
    }
    hashes = [hashlib.sha256(file).digest() for file in (png(), png(3))]
    assert json.loads(kept["photos"]) == [digest.hex() for digest in hashes]  # the same file once
    blob_key = unseal(b"o" * 32, submission.sealed.wraps[0].key)
    found = {opened(blob_key, hashes[i], locked) for i, locked in enumerate(log.files.values())}
    assert found == {png(), png(3)}


async def test_a_holder_without_a_place_for_files_is_told_of(tmp_path: Path) -> None:
    log = Log()
    asked = replace(ASKED, files={"photos": (png(),)})
    assert reasons(await make(tmp_path, log).file(asked, KEY)) == ["files-not-here"]
    assert not log.filed


async def test_the_hash_of_a_file_that_did_not_come_is_not_filed(tmp_path: Path) -> None:
    log = Log()
    asked = replace(ASKED, values=VALUES | {"photos": ["ab" * 32]})
    assert isinstance(await make(tmp_path, log).file(asked, KEY), Filed)
    sealed = parse_submission(log.filed[0])
    assert sealed.sealed is not None
    assert "photos" not in {one.name for one in open_sealed(sealed.filing, sealed.sealed, b"o" * 32).fields}


# ---- by itself


async def test_what_is_open_is_brought_again_by_itself(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    log = Log(lambda submission: Answered(refusal=OPEN))
    gateway = make(tmp_path, log)
    await gateway.file(ASKED, KEY)
    name = request_name(KEY)
    standing = await gateway.standing(name)
    assert isinstance(standing, Told)
    assert standing.reason == "filing-open"
    log.answer, log.minute = lambda submission: None, log.minute + 1
    async with trio.open_nursery() as nursery:
        nursery.start_soon(gateway.run)
        for _ in range(1_000):  # the clock jumps on while the store works in its thread
            await trio.sleep(gateway_module.REFILE_S)
            if isinstance(standing := await gateway.standing(name), Filed):
                break
        nursery.cancel_scope.cancel()
    assert isinstance(standing, Filed)
    assert len(set(log.filed)) == 1


# ---- what is kept


def rows(folder: Path) -> list[dict[str, Any]]:
    db = sqlite3.connect(folder / GATEWAY_STORE_NAME)
    db.row_factory = sqlite3.Row
    try:
        return [dict(row) for row in db.execute("SELECT * FROM filing")]
    finally:
        db.close()


async def test_when_it_is_answered_only_a_locked_seed_is_left(tmp_path: Path) -> None:
    log = Log()
    filed = await make(tmp_path, log).file(ASKED, KEY)
    assert isinstance(filed, Filed)
    [row] = rows(tmp_path)
    assert row["submission"] is None
    held = await make(tmp_path, log).opened(KEY)
    assert isinstance(held, Held)
    assert Signer.from_seed(held.seed).public == filed.key
    assert held.seed not in row["seed"]
    assert stat.S_IMODE(os.stat(tmp_path / GATEWAY_STORE_NAME).st_mode) == 0o600


def row_of(number: int, minute: int = 0) -> GatewayRow:
    return GatewayRow(b"%d" % number, b"c", "s", "jongno", minute, b"k" * 32, b"s" * 48, b"bytes")


async def test_so_many_may_be_open_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_store, "GATEWAY_OPEN_MAX", 2)
    store = GatewayStore(tmp_path / "store")
    assert await store.begin(row_of(1)) == row_of(1)
    assert await store.begin(row_of(2)) == row_of(2)
    assert await store.begin(row_of(3)) is None
    assert await store.begin(replace(row_of(1), content=b"other")) == row_of(1)  # the one that is there
    await store.answered(b"1", 7)
    assert await store.begin(row_of(3)) == row_of(3)
    assert [row.name for row in await store.open_rows(10)] == [b"2", b"3"]
    await store.close()


async def test_what_was_answered_long_ago_is_forgotten(tmp_path: Path) -> None:
    store = GatewayStore(tmp_path / "store")
    for number, minute in enumerate((0, 0, 1_440)):
        await store.begin(row_of(number, minute))
    await store.answered(b"0", 1)
    await store.answered(b"2", 2)
    assert await store.forget_before(GATEWAY_KEPT_DAYS * 1_440 + 1) == 1
    assert await store.row(b"0") is None
    assert await store.row(b"1") is not None  # open still
    assert await store.row(b"2") is not None
    await store.close()


async def test_a_store_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "store")
    db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(StorageFailed, match="newer"):
        await GatewayStore(tmp_path / "store").row(b"1")
