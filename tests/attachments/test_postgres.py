"""Attachments in PostgreSQL: the conformance suite, and what only a database can suffer."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.civic.batch import plan_batch
from p2pworld.civic.erasure import file_erasure
from p2pworld.limits import ATTACHMENT_PIECE_BYTES
from shard_node.attachments.copies import look_through
from shard_node.attachments.opening import open_attachments
from shard_node.attachments.postgres import PostgresAttachments
from shard_node.civic.engines import open_civic_store
from shard_node.coordination.settings import StoreConfig
from tests.attachments.conformance import *  # noqa: F403
from tests.attachments.conformance import MINUTE, got, name, naming, pieces, put, reason
from tests.civic.conftest import postgres  # noqa: F401
from tests.coordination.postgres_server import PASSWORD
from tests.services.office import Office, key, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Submission
    from tests.attachments.conformance import OpenStore
    from tests.coordination.postgres_server import PostgresServer

TABLES = ("piece", "attachment")


@pytest.fixture
async def open_store(postgres: PostgresServer) -> AsyncIterator[OpenStore]:  # noqa: F811
    if postgres.execute("SELECT to_regclass('p2pworld_attachments.piece')") != [(None,)]:
        for table in TABLES:
            postgres.execute(f"DELETE FROM p2pworld_attachments.{table}")
    opened: list[PostgresAttachments] = []

    async def one_more() -> PostgresAttachments:
        opened.append(PostgresAttachments(postgres.conninfo()))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


async def test_a_changed_or_missing_piece_is_found(
    open_store: OpenStore,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    store = await open_store()
    body = bytes(2 * ATTACHMENT_PIECE_BYTES)
    for change in (
        "UPDATE p2pworld_attachments.piece SET body = set_byte(body, 0, 1) WHERE number = 1",
        "DELETE FROM p2pworld_attachments.piece WHERE number = 1",
        "UPDATE p2pworld_attachments.piece SET number = 7 WHERE number = 0",
        "UPDATE p2pworld_attachments.attachment SET size = size - 1",
    ):
        await put(store, "a", body)
        assert await store.check() == []
        postgres.execute(change)
        assert await reason(store, "a") == "corrupt"
        assert [fault.sentence for fault in await store.check()] == ["It is not as it was put."]


async def test_pieces_that_were_cut_off_are_taken_away_after_a_day(
    open_store: OpenStore,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    store = await open_store()
    await put(store, "a", b"body")
    insert = "INSERT INTO p2pworld_attachments.piece VALUES ('cut off', 0, 'x', now() - interval '%s hours')"
    for hours, left in ((23, 2), (25, 1)):
        postgres.execute("DELETE FROM p2pworld_attachments.piece WHERE pieces = 'cut off'")
        postgres.execute(insert % hours)
        await store.waiting("jongno", MINUTE)
        assert postgres.execute("SELECT count(*) FROM p2pworld_attachments.piece") == [(left,)]
    assert await got(store, "a") == b"body"


async def test_what_was_replaced_or_removed_leaves_no_piece(
    open_store: OpenStore,
    postgres: PostgresServer,  # noqa: F811
) -> None:
    store = await open_store()
    await put(store, "a", b"first")
    await put(store, "a", b"second")
    assert postgres.execute("SELECT count(*) FROM p2pworld_attachments.piece") == [(1,)]
    await store.bind("jongno", {name("a"): 3})
    assert await store.put("jongno", name("a"), pieces(b"third"), MINUTE) is None
    assert postgres.execute("SELECT count(*) FROM p2pworld_attachments.piece") == [(1,)]
    await store.remove("jongno", [name("a")])
    assert postgres.execute("SELECT count(*) FROM p2pworld_attachments.piece") == [(0,)]


async def test_what_an_entry_names_and_is_missing_is_found_in_a_database_too(
    postgres: PostgresServer,  # noqa: F811
    tmp_path: Path,
) -> None:
    postgres.execute("CREATE DATABASE attached")
    (tmp_path / "password").write_text(PASSWORD)
    dsn = f"host=127.0.0.1 port={postgres.port} dbname=attached"
    settings = StoreConfig("postgresql", dsn=dsn, user="postgres", password_file=tmp_path / "password")
    store, attachments = open_civic_store(settings), open_attachments(settings)
    office = Office("jongno", MINUTE)
    filed = [
        naming(request("complaint-field", "jongno", MINUTE, text), text)
        for text in ("there", "missing", "erased")
    ]

    def plan(size: int, epoch: int, submissions: Sequence[Submission], *_: object, kept: object) -> Plan:
        return office.plan(*submissions)

    row = await store.fence("jongno", 1)
    assert await store.commit("jongno", row, filed, plan) is not None
    erased = file_erasure("jongno", 2, MINUTE, key("complaint-field erased"), bytes(32))
    entries = partial(plan_batch, desks=frozenset({key("complaint-field erased").public}))
    assert await store.commit("jongno", replace(row, size=3), [erased], entries) is not None
    await put(attachments, "there", b"x")
    await attachments.bind("jongno", {name("there"): 0})
    await attachments.close()
    await store.close()
    faults = await trio.to_thread.run_sync(look_through, settings)
    assert [fault.sentence for fault in faults] == ["Entry 1 names it, and it is missing."]
