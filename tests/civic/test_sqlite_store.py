"""The civic store in one SQLite file: the conformance suite, and what only a file can suffer."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.civic.batch import plan_batch
from p2pworld.civic.transaction import SUGGESTION, Secrets, file_transaction
from p2pworld.errors import RemoteError
from shard_node.civic.copies import survey
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.civic.store import CommitUnknown, Row
from shard_node.civic.tables import SCHEMA
from shard_node.storage.journal import StorageFailed
from tests.civic.conformance import *  # noqa: F403
from tests.civic.conformance import OpenStore, batch, desk_plan, filed
from tests.civic.log_world import DESK, MINUTE, OFFICE, STREAM, erasure, submission
from tests.disks import files_may_not_grow_beyond

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from p2pworld.civic.transaction import Sealed, Submission


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "civic.sqlite"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    opened: list[SqliteCivicStore] = []

    async def one_more() -> SqliteCivicStore:
        opened.append(SqliteCivicStore(path))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


# ---- a commit whose outcome nobody knows


async def test_a_commit_that_fails_is_unknown_and_the_next_fence_tells(path: Path) -> None:
    store, reader = SqliteCivicStore(path), SqliteCivicStore(path)
    row = await filed(store, await store.fence(STREAM, 1), 0)
    assert await reader.row(STREAM) == row  # it keeps the log file as long as it is
    log_bytes = path.with_name(path.name + "-wal").stat().st_size
    with files_may_not_grow_beyond(log_bytes + 100):
        with pytest.raises(CommitUnknown):
            await store.commit(STREAM, row, batch(1), plan_batch)
        with pytest.raises((StorageFailed, CommitUnknown)):
            await store.fence(STREAM, 1)
        assert await reader.row(STREAM) == row
    fenced = await store.fence(STREAM, 1)
    assert fenced.size == row.size  # here it had not come through; only the fence could tell
    assert await filed(store, fenced, 1) == Row(1, fenced.fences, 2)
    assert await store.check() == []
    await store.close()
    await reader.close()


async def test_after_a_commit_that_failed_the_connection_is_another(path: Path) -> None:
    store = SqliteCivicStore(path)
    row = await store.fence(STREAM, 1)
    before = store._connection
    with (
        files_may_not_grow_beyond(path.with_name(path.name + "-wal").stat().st_size),
        pytest.raises(CommitUnknown),
    ):
        await store.commit(STREAM, row, batch(0), plan_batch)
    assert store._connection is None
    await store.fence(STREAM, 1)
    assert store._connection is not before
    await store.close()


async def test_a_store_of_the_release_before_is_sound_and_gets_its_new_table_when_a_node_opens_it(
    path: Path,
) -> None:
    store = SqliteCivicStore(path)
    row = await filed(store, await store.fence(STREAM, 1), 0, 1)
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DROP TABLE kept; PRAGMA user_version = 1;")
    assert survey(path).faults == ()
    store = SqliteCivicStore(path)
    assert await store.row(STREAM) == row
    assert await store.kept(STREAM, "") == []
    assert await store.check() == []
    await store.close()
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    assert survey(path).faults == ()


# ---- what is erased


def kept_bytes(path: Path) -> bytes:
    """Every file of the store."""
    return b"".join(each.read_bytes() for each in sorted(path.parent.iterdir()))


def long_submission(number: int, drawn: random.Random) -> Submission:
    """One of every length, so that some fill a page and some a hundred."""
    seed = number.to_bytes(32, "big")
    secrets = Secrets(seed, drawn.randbytes(32), drawn.randbytes(32))
    text = drawn.randbytes(drawn.choice([10, 300, 1500, 9_000])).hex()
    return file_transaction(
        SUGGESTION, STREAM, MINUTE, {"topic": "parks"}, {"text": text}, DESK, [OFFICE], secrets
    )


def pieces(sealed: Sealed) -> list[bytes]:
    """What must be found nowhere: nonce, wraps, the hash of the wraps, and the blob in pieces."""
    whole = [sealed.nonce, sealed.filed, *(wrap.key[at : at + 16] for wrap in sealed.wraps for at in (0, 40))]
    return whole + [sealed.blob[at : at + 16] for at in range(0, len(sealed.blob) - 16, 500)]


async def test_what_is_erased_is_in_no_file_of_the_store(path: Path) -> None:
    drawn = random.Random(1)
    store = SqliteCivicStore(path)
    row = await store.fence(STREAM, 1)
    filings = [long_submission(number, drawn) for number in range(120)]
    for at in range(0, 120, 40):
        assert await store.commit(STREAM, row, filings[at : at + 40], plan_batch) is not None
        row = replace(row, size=at + 40)
    there = kept_bytes(path)
    # a few are cut in two by the end of a page
    every = [[piece for piece in pieces(each.sealed) if piece in there] for each in filings if each.sealed]
    assert all(
        4 * len(found) > 3 * len(pieces(each.sealed))
        for each, found in zip(filings, every, strict=True)
        if each.sealed
    )
    gone = drawn.sample(range(120), 60)
    for at in range(0, 60, 20):
        asked = [erasure(index, index, DESK) for index in gone[at : at + 20]]
        assert await store.commit(STREAM, row, asked, desk_plan) is not None
        row = replace(row, size=row.size + 20)
        there = kept_bytes(path)
        for index in gone[: at + 20]:
            assert not any(piece in there for piece in every[index]), f"of {index} something is left"
    assert all(piece in there for index in set(range(120)) - set(gone) for piece in every[index])
    again = await store.commit(STREAM, row, [*filings, submission(0)], desk_plan)
    assert again is not None
    assert again.outcomes[:-1] == tuple(range(120))
    assert not any(piece in kept_bytes(path) for index in gone for piece in every[index])
    assert await store.check() == []
    await store.close()


async def test_only_the_nodes_own_user_may_read_it(path: Path) -> None:
    store = SqliteCivicStore(path)
    await filed(store, await store.fence(STREAM, 1), 0)
    assert {each.stat().st_mode & 0o777 for each in path.parent.glob("civic.sqlite*")} == {0o600}
    await store.close()


async def test_who_reads_meanwhile_holds_up_no_erasure_for_long(path: Path) -> None:
    store = SqliteCivicStore(path)
    row = await filed(store, await store.fence(STREAM, 1), 0, 1)
    (_, secret) = [pieces(each.sealed) for each in batch(0, 1) if each.sealed]
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchone()
        assert await store.commit(STREAM, row, [erasure(0, 1)], desk_plan) is not None
        assert await store.sealed(STREAM, 1) is None
        assert secret[0] in kept_bytes(path)  # what the reader sees is of before
        reader.execute("ROLLBACK")
    assert await store.row(STREAM) == replace(row, size=3)
    assert not any(piece in kept_bytes(path) for piece in secret)
    await store.close()


async def test_what_a_process_erased_before_it_was_killed_is_gone_after_the_next_call(path: Path) -> None:
    store = SqliteCivicStore(path)
    row = await filed(store, await store.fence(STREAM, 1), 0, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM entry").fetchone()
        assert await store.commit(STREAM, row, [erasure(0, 1)], desk_plan) is not None
        later = SqliteCivicStore(path)
        assert await later.row(STREAM) == replace(row, size=3)
        reader.execute("ROLLBACK")
    assert await later.sealed(STREAM, 0) == submission(0).sealed
    (_, secret) = [pieces(each.sealed) for each in batch(0, 1) if each.sealed]
    assert not any(piece in kept_bytes(path) for piece in secret)
    await store.close()
    await later.close()


# ---- a full disk


async def test_a_full_store_takes_nothing_and_keeps_what_it_has(path: Path) -> None:
    store = SqliteCivicStore(path, pages_max=24)
    row, number, reason = await store.fence(STREAM, 1), 0, ""
    while not reason:
        try:
            row = await filed(store, row, *range(number, number + 8))
            number += 8
        except StorageFailed as error:
            reason = error.reason
    assert reason == "full"
    assert number
    assert await store.row(STREAM) == row
    assert len(await store.entries(STREAM, 0, row.size)) == number
    assert await store.check() == []
    await store.close()
    roomy = SqliteCivicStore(path)
    assert (await filed(roomy, await roomy.fence(STREAM, 1), number)).size == number + 1
    await roomy.close()


# ---- files that are not what they were


def content(path: Path) -> bytes:
    return path.read_bytes()


def overwrite(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def alter(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement)


GARBLED = [
    ("UPDATE stream SET size = 2 WHERE id = 1", "stream 1"),
    ("UPDATE stream SET fences = 9 WHERE id = 1", "stream 1"),
    ("UPDATE entry SET leaf = CAST(leaf || x'00' AS BLOB) WHERE number = 1", "entry 1 of stream 1"),
    ("UPDATE entry SET number = 7 WHERE number = 2", "entry 7 of stream 1"),
    ("DELETE FROM entry WHERE number = 1", "stream 1"),
    ("DELETE FROM sealed WHERE number = 1", "entry 1 of stream 1"),
    ("DELETE FROM answer WHERE number = 1", "entry 1 of stream 1"),
    ("UPDATE answer SET number = 0 WHERE number = 1", "entry 1 of stream 1"),
    (
        "UPDATE answer SET fingerprint = x'00' WHERE number = 1",
        f"the answer under key {submission(1).filing.key.hex()} of stream 1",
    ),
    (
        "UPDATE sealed SET body = (SELECT body FROM sealed WHERE number = 0) WHERE number = 1",
        "sealed with entry 1",
    ),
]


@pytest.mark.parametrize(("statement", "place"), GARBLED)
async def test_the_check_says_where(path: Path, statement: str, place: str) -> None:
    store = SqliteCivicStore(path)
    await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    await store.close()
    alter(path, statement)
    again = SqliteCivicStore(path)
    assert any(place in fault.place for fault in await again.check())
    await again.close()


async def test_a_row_that_is_not_as_it_was_written_is_not_believed(path: Path) -> None:
    store = SqliteCivicStore(path)
    row = await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    alter(path, "UPDATE entry SET leaf = x'00' WHERE number = 1")
    alter(path, "UPDATE answer SET number = 1 WHERE number = 0")
    alter(path, "UPDATE sealed SET body = x'00' WHERE number = 2")
    with pytest.raises(StorageFailed, match="entry 1 of stream 1 is damaged") as caught:
        await store.entries(STREAM, 0, 3)
    assert caught.value.reason == "corrupt"
    with pytest.raises(StorageFailed, match="the answer under key"):
        await store.commit(STREAM, row, batch(5, 0), plan_batch)
    with pytest.raises(StorageFailed, match="sealed with entry 2"):
        await store.sealed(STREAM, 2)
    alter(path, "UPDATE stream SET epoch = 0")
    with pytest.raises(StorageFailed, match="row of stream 1"):
        await store.fence(STREAM, 1)
    await store.close()


async def everything(path: Path) -> tuple[list[bytes], list[Sealed | None], object] | None:
    """What a store says when all of it is asked; None where it says that something is wrong."""
    store = SqliteCivicStore(path)
    try:
        if await store.check():
            return None
        row = await store.row(STREAM)
        assert row is not None
        plan = await store.commit(STREAM, row, batch(0, 1, 2), plan_batch)
        entries = await store.entries(STREAM, 0, row.size)
        return entries, [await store.sealed(STREAM, at) for at in range(3)], plan
    except (StorageFailed, RemoteError):
        return None
    finally:
        await store.close()


async def test_one_changed_byte_is_found_or_changes_nothing(path: Path) -> None:
    """Every byte of the first entry and of what is known of it, and one in 300 of all the others."""
    store = SqliteCivicStore(path)
    await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    (first,) = await store.entries(STREAM, 0, 1)
    await store.close()
    whole, expected = content(path), await everything(path)
    assert expected is not None
    places = set(range(0, len(whole), 300))
    for known in (first, submission(0).fingerprint, STREAM.encode()):
        at = whole.index(known)
        places |= set(range(at, at + len(known), 7)) | {at + len(known) - 1, at + len(known)}
    found = 0
    for at in sorted(places):
        overwrite(path, whole[:at] + bytes((whole[at] ^ 0x10,)) + whole[at + 1 :])
        said = await everything(path)
        assert said in (None, expected), f"byte {at} changes what the store says"
        found += said is None
    assert found > len(first) // 7  # the others lie in what SQLite does not use


def newer(path: Path) -> None:
    alter(path, f"PRAGMA user_version = {SCHEMA + 1}")


def foreign(path: Path) -> None:
    alter(path, "PRAGMA application_id = 7")


def no_database(path: Path) -> None:
    overwrite(path, b"These are notes about the festival.\n" * 200)


@pytest.mark.parametrize(
    ("spoil", "reason"), [(newer, "newer"), (foreign, "foreign"), (no_database, "corrupt")]
)
async def test_what_is_no_store_of_ours_is_left_alone(
    path: Path, spoil: Callable[[Path], None], reason: str
) -> None:
    store = SqliteCivicStore(path)
    await filed(store, await store.fence(STREAM, 1), 0)
    await store.close()
    spoil(path)
    before = content(path)
    with pytest.raises(StorageFailed) as caught:
        await SqliteCivicStore(path).fence(STREAM, 2)
    assert caught.value.reason == reason
    assert content(path) == before


async def test_a_store_that_another_holds_up_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shard_node.civic.sqlite.BUSY_S", 0.0)
    store = SqliteCivicStore(path)
    await store.fence(STREAM, 1)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageFailed) as caught:
            await store.fence(STREAM, 1)
        other.execute("ROLLBACK")
    assert caught.value.reason == "busy"
    assert (await store.fence(STREAM, 1)).fences == 2
    await store.close()


async def test_a_caller_that_is_cancelled_while_it_commits_waits_for_the_outcome(path: Path) -> None:
    store = SqliteCivicStore(path)
    row = await store.fence(STREAM, 1)
    plans = []
    with trio.CancelScope() as scope:

        def cancel_meanwhile(*args: object, kept: object) -> object:
            trio.from_thread.run_sync(scope.cancel)
            return plan_batch(*args)  # type: ignore[arg-type]

        plans.append(await store.commit(STREAM, row, batch(0), cancel_meanwhile))  # type: ignore[arg-type]
    assert plans[0] is not None
    assert await store.row(STREAM) == Row(1, 1, 1)
    await store.close()
