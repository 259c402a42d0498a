"""The civic store in PostgreSQL: the conformance suite, and what one server can suffer."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import trio
from psycopg.conninfo import make_conninfo

from p2pworld.civic.batch import plan_batch
from shard_node.civic import postgres as engine
from shard_node.civic import postgres_tables
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.store import CommitUnknown, Row
from shard_node.storage.journal import StorageFailed
from tests.cable import laid
from tests.civic.conformance import *  # noqa: F403
from tests.civic.conformance import batch, desk_plan, filed
from tests.civic.log_world import DESK, STREAM, erasure, submission
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from p2pworld.civic.transaction import Sealed
    from tests.civic.conformance import OpenStore
    from tests.coordination.postgres_server import PostgresServer

CALL_S = 20.0  # writers in the tests wait for each other, on however slow a machine
AT_MOST_S = PATIENCE_S
TABLES = ("stream", "entry", "answer", "sealed", "kept", "trace")

OpenWith = Any


def emptied(server: PostgresServer, database: str = "postgres") -> None:
    """Take everything out of the tables, which are costly to make."""
    if server.execute("SELECT to_regclass('p2pworld_civic.trace')", database) != [(None,)]:
        for table in TABLES:
            server.execute(f"DELETE FROM p2pworld_civic.{table}", database)


@pytest.fixture
async def open_with(postgres: PostgresServer) -> AsyncIterator[OpenWith]:
    """Opens one more connection to an empty store, with whatever else libpq is to be told."""
    emptied(postgres)
    opened: list[PostgresCivicStore] = []

    def one_more(call_s: float = CALL_S, copies_min: int = 1, **conninfo: str) -> PostgresCivicStore:
        opened.append(PostgresCivicStore(postgres.conninfo(**conninfo), copies_min, call_s))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


@pytest.fixture
async def open_store(open_with: OpenWith) -> OpenStore:
    async def one_more() -> PostgresCivicStore:
        store: PostgresCivicStore = open_with()
        return store

    return one_more


async def failure(call: Callable[[], Any]) -> StorageFailed:
    """How the call fails; in one line, and without a password."""
    with pytest.raises(StorageFailed) as caught:
        await call()
    assert "\n" not in str(caught.value)
    assert "p0stgres" not in str(caught.value)
    assert "hush-hush" not in str(caught.value)
    return caught.value


# ---- a commit whose outcome nobody knows


@pytest.fixture
def at_insert(postgres: PostgresServer) -> Iterator[Callable[..., None]]:
    """Has a statement done by the server for each new entry: at once, or at the COMMIT."""

    def made(statement: str, *, at_commit: bool) -> None:
        postgres.execute(
            "CREATE OR REPLACE FUNCTION p2pworld_civic.fail() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {statement}; RETURN NULL; END $$"
        )
        postgres.execute(
            "CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON p2pworld_civic.entry DEFERRABLE INITIALLY "
            f"{'DEFERRED' if at_commit else 'IMMEDIATE'} FOR EACH ROW EXECUTE FUNCTION p2pworld_civic.fail()"
        )

    yield made
    postgres.execute("DROP FUNCTION IF EXISTS p2pworld_civic.fail() CASCADE")


DIE = "PERFORM pg_terminate_backend(pg_backend_pid())"
FULL = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'"


@pytest.mark.parametrize("statement", [DIE, FULL])
async def test_what_fails_at_its_commit_is_unknown_and_the_next_fence_tells(
    open_with: OpenWith, at_insert: Callable[..., None], postgres: PostgresServer, statement: str
) -> None:
    store = open_with()
    row = await filed(store, await store.fence(STREAM, 1), 0)
    at_insert(statement, at_commit=True)
    with pytest.raises(CommitUnknown):
        await store.commit(STREAM, row, batch(1), plan_batch)
    postgres.execute("DROP TRIGGER fails ON p2pworld_civic.entry")
    fenced = await store.fence(STREAM, 1)
    assert fenced == Row(1, 2, 1)  # here it had not come through; only the fence could tell
    assert await filed(store, fenced, 1) == Row(1, 2, 2)
    assert await store.check() == []


async def test_a_full_disk_takes_nothing_and_keeps_what_it_has(
    open_with: OpenWith, at_insert: Callable[..., None], postgres: PostgresServer
) -> None:
    store = open_with()
    row = await filed(store, await store.fence(STREAM, 1), 0)
    at_insert(FULL, at_commit=False)
    failed = await failure(lambda: store.commit(STREAM, row, batch(1, 2), plan_batch))
    assert failed.reason == "full"
    assert "its disk has no room" in str(failed)
    assert await store.row(STREAM) == row
    postgres.execute("DROP TRIGGER fails ON p2pworld_civic.entry")
    assert await filed(store, row, 1, 2) == replace(row, size=3)
    assert await store.check() == []


WAITS = (
    "FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND application_name = 'p2pworld'"  # for a standby
)


async def until_it_waits(server: PostgresServer, function: str = "") -> None:
    """Until a commit waits for a standby; then that backend is dealt with by this function of its number."""
    with trio.fail_after(AT_MOST_S):
        while not await trio.to_thread.run_sync(server.execute, f"SELECT {function}(pid) {WAITS}"):  # noqa: ASYNC110
            await trio.sleep(0.01)  # another process


@pytest.fixture
def no_standby(postgres: PostgresServer) -> Iterator[Callable[[], None]]:
    """The server waits for a standby that is not there, until this is called."""

    def given_up() -> None:
        postgres.execute("ALTER SYSTEM RESET synchronous_standby_names")
        postgres.execute("SELECT pg_reload_conf()")

    yield given_up
    given_up()


@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
async def test_a_commit_cancelled_while_it_waits_for_the_standby_is_unknown(
    open_with: OpenWith, postgres: PostgresServer, no_standby: Callable[[], None], function: str
) -> None:
    """It stands on the primary's disk and would be lost with it; to PostgreSQL a cancelled wait is but a warning."""
    store, other = open_with(), open_with()
    row = await store.fence(STREAM, 1)
    assert store.copies == 1
    await trio.to_thread.run_sync(postgres.miss_a_standby)
    outcome = []

    async def write() -> None:
        with pytest.raises(CommitUnknown) as caught:
            await store.commit(STREAM, row, batch(0, 1), plan_batch)
        outcome.append(caught.value)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write)
        await until_it_waits(postgres)
        assert await other.row(STREAM) == row  # nobody sees what may yet be lost
        await until_it_waits(postgres, function)
    no_standby()
    assert store.copies == 2
    (unknown,) = outcome
    assert "PostgreSQL failed while it committed" in str(unknown)
    fenced = await store.fence(STREAM, 2)
    assert fenced == Row(2, 2, 2)  # here it had come through
    told = await store.commit(STREAM, fenced, batch(1, 0), plan_batch)
    assert told is not None
    assert (told.outcomes, told.entries) == ((1, 0), ())


async def test_writes_wait_for_a_standby_no_longer_than_a_call_may_take_and_say_why(
    open_with: OpenWith, postgres: PostgresServer, no_standby: Callable[[], None]
) -> None:
    patient, store = open_with(), open_with(call_s=1.0)
    row = await filed(patient, await patient.fence(STREAM, 1), 0)
    await store.row(STREAM)
    postgres.set("synchronous_standby_names", "nobody")
    with trio.fail_after(AT_MOST_S):
        while True:  # the setting has not arrived everywhere yet
            try:
                row = await filed(store, row, row.size)
            except CommitUnknown:
                break
        # the commit that waits keeps the row, so no fence and no batch comes before it
        failed = await failure(lambda: store.fence(STREAM, 2))
        assert failed.reason == "standby"
        assert "synchronous standby does not answer" in str(failed)
        assert (await failure(lambda: store.commit(STREAM, row, batch(99), plan_batch))).reason == "standby"
        assert (await patient.row(STREAM)) == row
        no_standby()
    assert await patient.fence(STREAM, 2) == Row(2, 2, row.size + 1)
    assert await patient.check() == []


async def test_who_holds_the_row_and_waits_for_no_standby_is_told_as_well(
    open_with: OpenWith, postgres: PostgresServer
) -> None:
    store = open_with(call_s=1.0)
    await store.fence(STREAM, 1)
    with psycopg.connect(make_conninfo(**postgres.conninfo())) as other:
        other.execute("SELECT * FROM p2pworld_civic.stream FOR UPDATE")
        assert (await failure(lambda: store.fence(STREAM, 1))).reason == "busy"
    assert (await store.fence(STREAM, 1)).fences == 2


async def test_a_cut_cable_holds_nobody_longer_than_a_call_may_take(
    open_with: OpenWith, postgres: PostgresServer
) -> None:
    async with laid(postgres.port) as cable:
        store = open_with(call_s=1.0, port=str(cable.port))
        row = await filed(store, await store.fence(STREAM, 1), 0)
        cable.cut()
        with trio.fail_after(AT_MOST_S):
            for call in (
                lambda: store.commit(STREAM, row, batch(1), plan_batch),
                lambda: store.fence(STREAM, 1),  # which connects anew
            ):
                assert (await failure(call)).reason == "io"
        cable.mend()
        fenced = await store.fence(STREAM, 2)
        assert fenced.size == 1
        assert (await filed(store, fenced, 1)).size == 2
        assert await store.check() == []


async def test_a_commit_whose_answer_is_cut_off_is_unknown_and_was_done(
    open_with: OpenWith, postgres: PostgresServer, at_insert: Callable[..., None]
) -> None:
    async with laid(postgres.port) as cable:
        store, other = open_with(call_s=3.0, port=str(cable.port)), open_with()
        row = await store.fence(STREAM, 1)
        at_insert("PERFORM pg_advisory_xact_lock(7)", at_commit=True)
        outcome: list[CommitUnknown] = []

        async def write() -> None:
            with pytest.raises(CommitUnknown) as caught:
                await store.commit(STREAM, row, batch(0), plan_batch)
            outcome.append(caught.value)

        with psycopg.connect(make_conninfo(**postgres.conninfo())) as gate:
            gate.execute("SELECT pg_advisory_xact_lock(7)")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                with trio.fail_after(AT_MOST_S):
                    query = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
                    while not await trio.to_thread.run_sync(postgres.execute, query):  # noqa: ASYNC110
                        await trio.sleep(0.01)  # another process
                cable.cut()
                gate.rollback()
        assert len(outcome) == 1
        assert await other.fence(STREAM, 2) == Row(2, 2, 1)
        cable.mend()
        assert await store.commit(STREAM, row, batch(1), plan_batch) is None
        told = await store.commit(STREAM, Row(2, 2, 1), batch(0), plan_batch)
        assert told is not None
        assert told.outcomes == (0,)


# ---- on how many disks


@pytest.mark.parametrize(
    ("names", "standbys"),
    [
        ("", 0),
        ("  ", 0),
        ("*", 1),
        ("a", 1),
        ("a, b", 1),
        ("2 (a, b, c)", 2),
        ("FIRST 1 (a, b)", 1),
        ("any 3 (a, b, c)", 3),
        ('"first 2 (a)"', 1),
    ],
)
def test_how_many_standbys_are_waited_for(names: str, standbys: int) -> None:
    assert engine._standbys(names) == standbys


async def test_with_fewer_copies_than_are_wanted_nothing_is_written(open_with: OpenWith) -> None:
    store = open_with(copies_min=2)
    failed = await failure(lambda: store.fence(STREAM, 1))
    assert failed.reason == "copies"
    assert "on 1 disk(s), and this civic store is to have 2: set its synchronous_standby_names" in str(failed)
    plain = open_with()
    row = await plain.fence(STREAM, 1)
    assert (await failure(lambda: store.commit(STREAM, row, batch(0), plan_batch))).reason == "copies"
    assert await store.row(STREAM) == row


# ---- rows that are not what they were

GARBLED = [
    ("UPDATE stream SET size = 2", "stream "),
    ("UPDATE stream SET fences = 9", "stream "),
    (r"UPDATE entry SET leaf = leaf || '\x00' WHERE number = 1", "entry 1 of stream"),
    ("UPDATE entry SET number = 7 WHERE number = 2", "entry 7 of stream"),
    ("DELETE FROM entry WHERE number = 1", "stream "),
    ("DELETE FROM sealed WHERE number = 1", "entry 1 of stream"),
    ("DELETE FROM answer WHERE number = 1", "entry 1 of stream"),
    ("UPDATE answer SET number = 0 WHERE number = 1", "entry 1 of stream"),
    (r"UPDATE answer SET fingerprint = '\x00' WHERE number = 1", "the answer under key"),
    (
        "UPDATE sealed SET body = (SELECT body FROM sealed WHERE number = 0) WHERE number = 1",
        "sealed with entry 1",
    ),
    ("UPDATE sealed SET body = '' WHERE number = 1", "sealed with entry 1"),
]


@pytest.mark.parametrize(("statement", "place"), GARBLED)
async def test_the_check_says_where(
    open_with: OpenWith, postgres: PostgresServer, statement: str, place: str
) -> None:
    store = open_with()
    await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    postgres.execute(f"SET search_path = p2pworld_civic; {statement}")
    assert any(place in fault.place for fault in await store.check())


async def test_a_row_that_is_not_as_it_was_written_is_not_believed(
    open_with: OpenWith, postgres: PostgresServer
) -> None:
    store = open_with()
    row = await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    for statement in (
        r"UPDATE p2pworld_civic.entry SET leaf = '\x00' WHERE number = 1",
        "UPDATE p2pworld_civic.answer SET number = 1 WHERE number = 0",
        r"UPDATE p2pworld_civic.sealed SET body = '\x00' WHERE number = 2",
    ):
        postgres.execute(statement)
    for call, said in (
        (lambda: store.entries(STREAM, 0, 3), "entry 1 of stream"),
        (lambda: store.commit(STREAM, row, [erasure(0, 1, DESK)], desk_plan), "entry 1 of stream"),
        (lambda: store.commit(STREAM, row, batch(5, 0), plan_batch), "the answer under key"),
        (lambda: store.sealed(STREAM, 2), "sealed with entry 2"),
    ):
        failed = await failure(call)
        assert failed.reason == "corrupt"
        assert said in str(failed)
    postgres.execute("UPDATE p2pworld_civic.stream SET epoch = 0")
    assert "row of stream" in str(await failure(lambda: store.fence(STREAM, 1)))


@pytest.fixture
def open_new(open_with: OpenWith, postgres: PostgresServer) -> OpenWith:
    """As `open_with`, and in the files of the tables no other test has left anything."""
    postgres.execute("DROP SCHEMA IF EXISTS p2pworld_civic CASCADE")
    return open_with


def files_with(server: PostgresServer, piece: bytes, database: str = "postgres") -> list[Path]:
    """The files of the database in which these bytes are."""
    server.execute("CHECKPOINT")
    ((number,),) = server.execute(f"SELECT oid FROM pg_database WHERE datname = '{database}'")
    folder = server.data / "base" / str(number)
    return [path for path in folder.iterdir() if path.is_file() and piece in path.read_bytes()]


async def test_one_changed_byte_in_a_file_of_the_server_is_found_with_its_place(
    open_new: OpenWith, postgres: PostgresServer
) -> None:
    store = open_new()
    row = await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    (leaf,) = await store.entries(STREAM, 1, 2)
    sealed = submission(2).sealed
    assert sealed is not None
    for piece, place in ((leaf, "entry 1 of stream"), (sealed.nonce, "what is sealed with entry 2")):
        found = files_with(postgres, piece)
        live = postgres.execute(
            "SELECT pg_relation_filenode(oid)::text FROM pg_class WHERE relkind IN ('r', 't')"
        )
        (path,) = [path for path in found if (path.name,) in live]  # what was dropped may still lie there
        postgres.kill()
        whole = path.read_bytes()
        at = whole.index(piece) + len(piece) // 2
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        postgres.start()
        assert any(place in fault.place for fault in await store.check())
        postgres.kill()
        path.write_bytes(whole)
        postgres.start()
    assert await store.check() == []
    assert await store.row(STREAM) == row


# ---- what is erased


def pieces(sealed: Sealed | None) -> list[bytes]:
    """What must be found nowhere: nonce, wraps and blob."""
    assert sealed is not None
    return [sealed.nonce, *(wrap.key for wrap in sealed.wraps), sealed.blob]


async def test_what_is_erased_is_in_no_table_file(open_new: OpenWith, postgres: PostgresServer) -> None:
    store = open_new()
    row = await filed(store, await store.fence(STREAM, 1), *range(40))
    postgres.execute("ANALYZE")  # which keeps samples of what it finds
    assert all(files_with(postgres, piece) for at in (3, 5) for piece in pieces(submission(at).sealed))
    plan = await store.commit(STREAM, row, [erasure(0, 3, DESK), erasure(1, 4, DESK)], desk_plan)
    assert plan is not None
    assert plan.erased == {3, 4}
    for at in (3, 4):
        assert await store.sealed(STREAM, at) is None
        assert not any(files_with(postgres, piece) for piece in pieces(submission(at).sealed))
    assert all(files_with(postgres, piece) for piece in pieces(submission(5).sealed))
    assert postgres.execute("SELECT * FROM p2pworld_civic.trace") == []
    assert await store.check() == []


async def test_who_reads_meanwhile_holds_up_no_erasure_and_the_next_process_sees_to_it(
    open_new: OpenWith, postgres: PostgresServer
) -> None:
    store = open_new()
    row = await filed(store, await store.fence(STREAM, 1), 0, 1)
    for reads in ("SELECT 1", "SELECT * FROM p2pworld_civic.sealed"):  # a snapshot is enough; a lock is more
        index = row.size - 2
        with psycopg.connect(make_conninfo(**postgres.conninfo())) as reader:
            reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            reader.execute(reads)
            assert await store.commit(STREAM, row, [erasure(index, index, DESK)], desk_plan) is not None
            assert await store.sealed(STREAM, index) is None
            assert files_with(
                postgres, pieces(submission(index).sealed)[0]
            )  # what the reader sees is of before
        row = replace(row, size=row.size + 1)
        later = open_new()  # as after a crash
        assert await later.commit(STREAM, row, batch(0), plan_batch) is not None
        assert not any(files_with(postgres, piece) for piece in pieces(submission(index).sealed))
    assert await store.check() == []


# ---- servers and stores that are not ours to write to


async def test_passwords_users_and_databases(open_with: OpenWith, postgres: PostgresServer) -> None:
    await open_with().row(STREAM)
    postgres.execute("DROP ROLE IF EXISTS guest")
    postgres.execute("CREATE ROLE guest LOGIN PASSWORD 'hush-hush'")
    for told, reason in (
        ({"password": "wrong"}, "denied"),
        ({"user": "nobody"}, "denied"),
        ({"user": "guest", "password": "hush-hush"}, "denied"),
        ({"dbname": "busan"}, "foreign"),
        ({"sslmode": "require"}, "untrusted"),
        ({"port": "1"}, "io"),
    ):
        store = open_with(**told)
        failed = await failure(lambda store=store: store.fence(STREAM, 1))  # type: ignore[misc]
        assert failed.reason == reason, (told, failed)
        assert str(failed).startswith("The civic store in PostgreSQL: PostgreSQL ")


async def test_what_is_no_store_of_this_release_is_left_alone(
    open_with: OpenWith, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = open_with()
    row = await filed(old, await old.fence(STREAM, 1), 0)
    with monkeypatch.context() as newer:
        steps = (*postgres_tables.TABLES.steps, "ALTER TABLE p2pworld_civic.store ADD note text")
        newer.setattr(engine, "TABLES", replace(postgres_tables.TABLES, steps=steps))
        assert await open_with().row(STREAM) == row
    try:
        for call in (
            lambda: open_with().row(STREAM),
            lambda: old.fence(STREAM, 2),
            lambda: old.commit(STREAM, row, batch(1), plan_batch),
        ):
            failed = await failure(call)
            assert failed.reason == "newer"
            assert "newer release (schema 3, this one reads up to 2)" in str(failed)
        postgres.execute("ALTER TABLE p2pworld_civic.store RENAME TO shop")
        for store in (open_with(), old):
            assert (await failure(lambda store=store: store.fence(STREAM, 1))).reason == "foreign"  # type: ignore[misc]
        assert postgres.execute("SELECT size FROM p2pworld_civic.stream") == [(1,)]
    finally:
        postgres.execute("DROP SCHEMA p2pworld_civic CASCADE")


async def test_a_store_of_the_release_before_gets_its_new_table(
    open_with: OpenWith, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(
            engine, "TABLES", replace(postgres_tables.TABLES, steps=postgres_tables.TABLES.steps[:1])
        )
        old = open_with()
        row = await filed(old, await old.fence(STREAM, 1), 0)
    store = open_with()
    assert await store.row(STREAM) == row
    assert await store.kept(STREAM, "") == []
    assert await store.check() == []


async def test_many_begin_at_once(open_with: OpenWith, postgres: PostgresServer) -> None:
    postgres.execute("DROP SCHEMA IF EXISTS p2pworld_civic CASCADE")
    rows: list[Row] = []

    async def begin(number: int) -> None:
        rows.append(await open_with().fence(f"gu-{number % 4}", 1))

    async with trio.open_nursery() as nursery:
        for number in range(8):
            nursery.start_soon(begin, number)
    assert sorted(row.fences for row in rows) == [1] * 4 + [2] * 4
    assert await open_with().check() == []
