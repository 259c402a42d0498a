"""One byte changed anywhere, in the store or in the published folder, is found with its place, or changes nothing.

Rows: every table, every column, every row, several of its bytes. The file: every byte of it on the nightly run, one in
a few hundred otherwise; what is not found is shown to change nothing that anybody reads. The folder: every file.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio

from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from p2pworld.civic.batch import plan_batch
from p2pworld.errors import Refusal
from shard_node.civic.rows import entry_of
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.civic.store import Fault
from shard_node.civic.tables import check, refuse_foreign
from shard_node.storage.journal import StorageFailed
from tests.civic.conformance import desk_plan
from tests.civic.kept import file_all, held
from tests.civic.log_world import STREAM, erasure, submission
from tests.merkle.signed import LOG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NIGHTLY = os.environ.get("P2PWORLD_NIGHTLY") == "1"
TABLES = {
    "stream": ("id", "name", "epoch", "fences", "size", "checksum"),
    "entry": ("stream", "number", "leaf", "checksum"),
    "answer": ("stream", "key", "fingerprint", "number", "refusal", "checksum"),
    "sealed": ("stream", "number", "body", "checksum"),
}


@pytest.fixture(scope="module")
def store_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A store with two streams, five entries, an erasure and a refusal, as one file."""
    path = tmp_path_factory.mktemp("flips") / "civic.sqlite"

    async def fill() -> None:
        store = SqliteCivicStore(path)
        row = await store.fence(STREAM, 1)
        batch = [*(submission(number) for number in range(4)), erasure(0, 1), erasure(1, 99)]
        planned = await store.commit(STREAM, row, batch, desk_plan)
        assert planned is not None
        assert isinstance(planned.outcomes[-1], Refusal)
        other = await store.fence("중구", 2)
        assert await store.commit("중구", other, [submission(9)], plan_batch) is not None
        await store.close()

    trio.run(fill)
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = DELETE")
    return path.read_bytes()


def opened(data: bytes) -> sqlite3.Connection:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.text_factory = bytes
    db.deserialize(data)
    return db


# ---- rows


def spoiled(value: object) -> Iterator[object]:
    """The value with one of its bits changed, in several places; a missing one there."""
    if isinstance(value, bytes):
        for at in sorted({0, len(value) // 3, len(value) // 2, len(value) - 1} if value else set()):
            yield value[:at] + bytes([value[at] ^ 0x04]) + value[at + 1 :]
        yield value + b"\0"
    elif isinstance(value, int):
        yield from (value ^ 1, value ^ 0x100)


def place_of(table: str, row: dict[str, object]) -> set[str]:
    """What a fault's place must end with, to be this row's or that of the one beside it that no longer fits."""
    if table == "stream":
        return {f"stream {row['id']}"}
    found = {f"entry {row['number']} of stream {row['stream']}"}
    if table == "answer" and isinstance(row["key"], bytes):
        found.add(f"the answer under key {row['key'].hex()} of stream {row['stream']}")
    return found


@pytest.mark.parametrize("table", TABLES)
def test_a_changed_value_is_found_with_its_place(store_bytes: bytes, table: str) -> None:
    columns = TABLES[table]
    with closing(opened(store_bytes)) as db:
        assert check(db) == []
        assert [each[1].decode() for each in db.execute(f"PRAGMA table_info({table})")] == list(columns)
        rows = [dict(zip(columns, row, strict=True)) for row in db.execute(f"SELECT * FROM {table}")]
    tried = set()
    for row in rows:
        keys = columns[:1] if table == "stream" else ("stream", "key" if table == "answer" else "number")
        where = " AND ".join(f"{name} = ?" for name in keys)
        for column in columns:
            for value in spoiled(row[column]):
                with closing(opened(store_bytes)) as db:
                    update = f"UPDATE OR REPLACE {table} SET {column} = ? WHERE {where}"
                    assert db.execute(update, [value, *(row[name] for name in keys)]).rowcount == 1
                    named = [fault.place for fault in check(db)]
                expected = place_of(table, row) | place_of(table, row | {column: value})
                assert any(place.endswith(one) for place in named for one in expected), (column, value, named)
                tried.add(column)
    assert tried == set(columns)


# ---- the file


def everything(db: sqlite3.Connection) -> list[object]:
    """All that anybody reads from a store."""
    return [db.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in TABLES]


def faults_of(data: bytes, path: Path) -> list[Fault] | None:
    """What is said of a file of these bytes; None if nothing is, and nothing that is read from it has changed."""
    try:
        with closing(opened(data)) as db:
            refuse_foreign(db, path)
            return check(db) or None
    except (sqlite3.Error, StorageFailed) as error:
        return [Fault("the file", str(error))]


def test_a_changed_byte_of_the_file_is_found_with_its_place_or_changes_nothing(
    store_bytes: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "civic.sqlite"
    with closing(opened(store_bytes)) as db:
        whole = everything(db)
        leaves = [entry_of(*row) for row in db.execute("SELECT * FROM entry")]
    pages = len(store_bytes) // 4096
    places = (
        range(len(store_bytes))
        if NIGHTLY
        else sorted(
            {
                *range(0, len(store_bytes), 211),
                *range(100),
                *(page * 4096 + at for page in range(pages) for at in range(12)),
            }
        )
    )
    unread = 0
    for at in places:
        spoiled_bytes = store_bytes[:at] + bytes([store_bytes[at] ^ 1 << at % 8]) + store_bytes[at + 1 :]
        if faults_of(spoiled_bytes, path) is None:
            with closing(opened(spoiled_bytes)) as db:
                assert everything(db) == whole, f"byte {at} changes what is read, and nobody is told"
            unread += 1
    assert unread < len(places) * 0.9  # the rest of the pages is empty
    for leaf in leaves:  # what is surely used
        at = store_bytes.index(leaf) + len(leaf) // 2
        assert faults_of(store_bytes[:at] + bytes([store_bytes[at] ^ 1]) + store_bytes[at + 1 :], path)


# ---- the folder


def test_a_changed_byte_of_a_published_file_is_found_with_its_file(tmp_path: Path) -> None:
    async def fill() -> None:
        async with held(tmp_path, 1) as holder:
            await file_all(holder, range(257))
            await holder.file(erasure(0, 1))

    trio.run(fill)
    folder, policy = tmp_path / "log", policy_of_keys([LOG.key], 0)
    assert verify_paths([folder], policy, leaves=True).findings[0].status is Status.OK
    every = sorted(path for path in folder.rglob("*") if path.is_file())
    assert {path.relative_to(folder).parts[0] for path in every} == {"checkpoint", "tile"}
    assert len(every) >= 6
    for path in every:
        data, name = path.read_bytes(), path.relative_to(folder).as_posix()
        places = range(0, len(data), 13) if NIGHTLY else sorted({0, 1, len(data) // 2, len(data) - 1})
        for at in places:
            path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            (finding,) = verify_paths([folder], policy).findings
            named = {fault.file for fault in finding.faults}
            assert name in named or (name == "checkpoint" and finding.status is not Status.OK), (
                name,
                at,
                finding,
            )
        path.write_bytes(data)


def test_a_schema_whose_names_are_no_text_is_found(store_bytes: bytes, tmp_path: Path) -> None:
    """The module for SQLite cannot name such a column, and fails where nobody looks for it."""
    garbled = store_bytes.replace(b"epoch INTEGER", b"\xe5poch INTEGER", 1)
    assert garbled != store_bytes
    with closing(opened(garbled)) as db, pytest.raises(StorageFailed) as found:
        refuse_foreign(db, tmp_path)
    assert found.value.reason == "corrupt"
