"""The civic store in PostgreSQL: the conformance suite, and what one server can suffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from shard_node.civic.postgres import PostgresCivicStore
from tests.civic.conformance import *  # noqa: F403
from tests.civic.conformance import OpenStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.coordination.postgres_server import PostgresServer

CALL_S = 20.0  # writers in the tests wait for each other, on however slow a machine


@pytest.fixture
async def open_store(postgres: PostgresServer) -> AsyncIterator[OpenStore]:
    postgres.execute("DROP SCHEMA IF EXISTS p2pworld_civic CASCADE")
    opened: list[PostgresCivicStore] = []

    async def one_more() -> PostgresCivicStore:
        opened.append(PostgresCivicStore(postgres.conninfo(), call_s=CALL_S))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()
