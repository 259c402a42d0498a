"""The engine in PostgreSQL: the conformance suite against a real server."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from shard_node.coordination.postgres import PostgresCoordination
from tests.coordination.conformance import *  # noqa: F403
from tests.coordination.outages import *  # noqa: F403
from tests.coordination.postgres_server import PostgresServer
from tests.coordination.records import *  # noqa: F403

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from shard_node.coordination import Coordination
    from tests.coordination.conformance import OpenStore

CALL_S = 20.0  # rivals in the tests wait for each other's commits, on however slow a disk


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


class PostgresEngine:
    """The server of this module; what another test left in it is gone."""

    def __init__(self, server: PostgresServer) -> None:
        self.server, self.kept = server, server.folder / "kept"
        server.execute("DROP SCHEMA IF EXISTS p2pworld CASCADE")
        self.opened: list[PostgresCoordination] = []

    async def open(self) -> Coordination:
        self.opened.append(PostgresCoordination(self.server.conninfo(), call_s=CALL_S, poll_s=0.002))
        return self.opened[-1]

    async def stop(self) -> None:
        self.server.kill()

    async def start(self) -> None:
        self.server.start()

    async def copy(self) -> None:
        shutil.copytree(self.server.data, self.kept, dirs_exist_ok=True)

    async def restore(self) -> None:
        shutil.rmtree(self.server.data)
        shutil.copytree(self.kept, self.server.data)
        self.server.own(self.server.data, *self.server.data.rglob("*"))


@pytest.fixture
async def engine(server: PostgresServer) -> AsyncIterator[PostgresEngine]:
    one = PostgresEngine(server)
    yield one
    for store in one.opened:
        await store.close()


@pytest.fixture
async def open_store(engine: PostgresEngine) -> OpenStore:
    return engine.open
