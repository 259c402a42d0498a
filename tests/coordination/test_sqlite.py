"""The engine in one SQLite file: the conformance suite, and what only a file can suffer."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from p2pworld.world import citymap
from shard_node.coordination import Coordination, CoordinationDown, OutcomeUnknown, SqliteCoordination
from shard_node.coordination.sqlite import HISTORY_KEPT, _prepare
from tests.coordination.conformance import *  # noqa: F403
from tests.coordination.conformance import OpenStore, cell, founded, made, newest, registered
from tests.coordination.outages import *  # noqa: F403
from tests.coordination.records import *  # noqa: F403
from tests.disks import files_may_not_grow_beyond

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "coordination.sqlite"


@pytest.fixture
async def open_store(path: Path) -> AsyncIterator[OpenStore]:
    opened: list[SqliteCoordination] = []

    async def one_more() -> Coordination:
        # Rivals in the tests wait for each other's commits, on however slow a disk.
        opened.append(SqliteCoordination(path, busy_s=10.0, poll_s=0.002))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


class FileEngine:
    """The engine in one file; a stopped one has its folder away, as that of a file system that is not mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.away, self.kept = folder / "here", folder / "away", folder / "kept"
        self.folder.mkdir()
        self.opened: list[SqliteCoordination] = []

    async def open(self) -> Coordination:
        self.opened.append(SqliteCoordination(self.folder / "city.sqlite", busy_s=10.0, poll_s=0.002))
        return self.opened[-1]

    async def stop(self) -> None:
        for store in self.opened:
            await trio.to_thread.run_sync(store._drop, limiter=store._limiter)
        self.folder.rename(self.away)

    async def start(self) -> None:
        self.away.rename(self.folder)

    async def copy(self) -> None:
        shutil.copytree(self.away, self.kept)

    async def restore(self) -> None:
        shutil.rmtree(self.away)
        shutil.copytree(self.kept, self.away)


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[FileEngine]:
    one = FileEngine(tmp_path)
    yield one
    for store in one.opened:
        await store.close()


def content(path: Path) -> bytes:
    return path.read_bytes()


async def test_a_locked_file_is_down_for_a_while_and_comes_back(path: Path) -> None:
    store = SqliteCoordination(path, busy_s=0.01)
    a, b, city = await founded(store)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for call in (
        lambda: store.renew(a),
        lambda: store.propose(made(citymap.split(city, cell("3"))), 2),
        lambda: store.end(b),
        lambda: registered(store, "c"),
    ):
        with pytest.raises(CoordinationDown) as caught:
            await call()
        assert caught.value.reason == "busy"
        assert not caught.value.lasting
    assert await newest(store) == city  # readers go on
    other.execute("ROLLBACK")
    other.close()
    assert await store.renew(a)
    assert await store.renew(b)
    assert (await store.propose(made(citymap.split(city, cell("3"))), 2)).ok
    await store.close()


async def test_a_file_locked_from_the_start_is_down_until_it_is_free(path: Path) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    store = SqliteCoordination(path, busy_s=0.01)
    with pytest.raises(CoordinationDown) as caught:
        await store.read(0)
    assert caught.value.reason == "busy"
    other.execute("ROLLBACK")
    other.close()
    assert (await store.read(0)).map_version == 0
    await store.close()


async def test_a_newer_schema_is_refused_in_one_sentence_and_left_as_it_is(path: Path) -> None:
    store = SqliteCoordination(path)
    await founded(store)
    await store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 2")
    db.close()
    before = content(path)
    newer = SqliteCoordination(path)
    with pytest.raises(
        CoordinationDown, match=r"newer release \(schema 2, this one reads up to 1\)"
    ) as caught:
        await newer.read(0)
    assert (caught.value.reason, caught.value.lasting) == ("newer_schema", True)
    await newer.close()
    assert content(path) == before


async def test_a_map_of_a_newer_format_is_refused(path: Path) -> None:
    store = SqliteCoordination(path)
    await founded(store)
    with sqlite3.connect(path) as db:
        db.execute("INSERT INTO map VALUES (3, ?)", [b"\x81\xa6format\x03"])
    db.close()
    with pytest.raises(CoordinationDown) as caught:
        await store.read(2)
    assert caught.value.reason == "newer_schema"
    await store.close()


def damage_file(path: Path, damage: str) -> None:
    if damage == "not_a_database":
        path.write_bytes(b"These are notes about the festival.\n" * 100)
    elif damage == "torn_pages":
        page = 4096
        path.write_bytes(content(path)[:page] + b"\xff" * (path.stat().st_size - page))
    else:
        with sqlite3.connect(path) as db:
            if damage == "wrong_map":
                db.execute("UPDATE map SET form = x'00'")
            else:
                db.execute("PRAGMA application_id = 7")
        db.close()


@pytest.mark.parametrize("damage", ["not_a_database", "another_programs", "torn_pages", "wrong_map"])
async def test_a_damaged_or_foreign_file_is_named_and_left_alone(path: Path, damage: str) -> None:
    store = SqliteCoordination(path)
    await founded(store)
    await store.close()
    damage_file(path, damage)
    before = content(path)
    store = SqliteCoordination(path)
    with pytest.raises(CoordinationDown, match=str(path)) as caught:
        await store.read(-1)
    assert caught.value.reason in ("not_a_store", "corrupt")
    assert caught.value.lasting
    await store.close()
    assert content(path) == before


async def test_a_path_that_cannot_be_opened_is_down(tmp_path: Path) -> None:
    store = SqliteCoordination(tmp_path / "missing" / "coordination.sqlite")
    with pytest.raises(CoordinationDown, match="cannot be used") as caught:
        await store.read(0)
    assert (caught.value.reason, caught.value.lasting) == ("io", False)
    await store.close()


async def test_a_commit_that_fails_is_unknown_and_the_next_read_tells(path: Path) -> None:
    store, other = SqliteCoordination(path), SqliteCoordination(path)
    a, _, city = await founded(store)
    following = made(citymap.split(city, cell("3")))
    assert await newest(other) == city
    with files_may_not_grow_beyond(log_bytes(path) + 100):
        with pytest.raises(OutcomeUnknown):
            await store.propose(following, 2)
        with pytest.raises(CoordinationDown) as caught:
            await store.renew(a)
        assert await newest(other) == city
    assert caught.value.reason in ("io", "full")
    assert await newest(store) == city  # here it was not; the caller had to ask
    assert await store.renew(a)
    assert (await store.propose(following, 2)).ok
    await store.close()
    await other.close()


def log_bytes(path: Path) -> int:
    return path.with_name(path.name + "-wal").stat().st_size


async def test_a_full_database_changes_nothing(path: Path) -> None:
    store = SqliteCoordination(path)
    a, _, city = await founded(store)

    def no_more_pages() -> None:
        assert store._connection is not None
        store._connection.execute("PRAGMA max_page_count = 1")  # SQLite takes it for as many as there are

    await trio.to_thread.run_sync(no_more_pages)
    large = city
    for _ in range(400):
        large = made(citymap.split(large, max(large.cells, key=lambda leaf: leaf.side_cm)))
    with pytest.raises(CoordinationDown) as caught:
        await store.propose(large, 2)
    assert (caught.value.reason, caught.value.lasting) == ("full", False)
    assert await newest(store) == city
    assert await store.renew(a)
    await store.close()


async def test_the_history_of_maps_is_bounded(path: Path) -> None:
    store = SqliteCoordination(path)
    _, _, city = await founded(store)
    for i in range(HISTORY_KEPT):
        step = citymap.split(city, cell("3")) if i % 2 == 0 else citymap.merge(city, cell("3"))
        city = made(step)
        assert (await store.propose(city, city.version - 1)).ok
    await store.close()
    with sqlite3.connect(path) as db:
        versions = [version for (version,) in db.execute("SELECT version FROM map ORDER BY version")]
    db.close()
    assert versions == list(range(city.version - HISTORY_KEPT + 1, city.version + 1))


async def test_a_watcher_of_the_same_process_need_not_wait_for_the_poll(path: Path) -> None:
    store = SqliteCoordination(path, poll_s=3600.0)
    _, _, city = await founded(store)
    seen = []

    async def watch() -> None:
        seen.append(await store.wait_change(2, 30.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        assert (await store.propose(made(citymap.split(city, cell("3"))), 2)).ok
    assert seen == [3]
    await store.close()


async def test_leases_that_nobody_needs_are_forgotten(path: Path) -> None:
    store = SqliteCoordination(path)
    a, _, _ = await founded(store)
    later = [await registered(store, "a") for _ in range(40)]
    leases = {lease.who for lease in (await store.read(2)).leases}
    assert a in leases  # it is listed in the map
    assert later[-1] in leases
    assert len(leases) < 20
    assert not await store.renew(later[0])
    assert await store.renew(a)
    await store.close()


def test_a_store_that_another_process_is_just_making_is_no_other_programs(path: Path) -> None:
    first = sqlite3.connect(path, isolation_level=None)
    second = sqlite3.connect(path, timeout=0, isolation_level=None)

    def amid(statement: str) -> None:
        if statement.startswith("SELECT count(*) FROM sqlite_master"):
            first.set_trace_callback(None)
            with suppress(sqlite3.OperationalError):  # it may have to wait
                _prepare(second, path)

    first.set_trace_callback(amid)
    _prepare(first, path)
    _prepare(second, path)
    first.close()
    second.close()
