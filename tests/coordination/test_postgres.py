"""The engine in PostgreSQL: the conformance suite against a real server."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest

from shard_node.coordination.postgres import PostgresCoordination
from tests.coordination.conformance import *  # noqa: F403
from tests.coordination.outages import *  # noqa: F403
from tests.coordination.postgres_server import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from shard_node.coordination import Coordination
    from tests.coordination.conformance import OpenStore

CALL_S = 20.0  # rivals in the tests wait for each other's commits, on however slow a disk
databases = (f"city_{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with PostgresServer() as running:
        yield running


class PostgresEngine:
    """The server of this module, with a database of its own."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.kept = server, folder / "kept"
        self.database = next(databases)
        server.execute(f"CREATE DATABASE {self.database} TEMPLATE template0 STRATEGY file_copy")
        self.opened: list[PostgresCoordination] = []

    async def open(self) -> Coordination:
        self.opened.append(
            PostgresCoordination(self.server.conninfo(self.database), call_s=CALL_S, poll_s=0.002)
        )
        return self.opened[-1]

    async def stop(self) -> None:
        self.server.kill()

    async def start(self) -> None:
        self.server.start()

    async def copy(self) -> None:
        shutil.copytree(self.server.data, self.kept)

    async def restore(self) -> None:
        shutil.rmtree(self.server.data)
        shutil.copytree(self.kept, self.server.data)
        self.server.own(self.server.data, *self.server.data.rglob("*"))


@pytest.fixture
async def engine(server: PostgresServer, tmp_path: Path) -> AsyncIterator[PostgresEngine]:
    one = PostgresEngine(server, tmp_path)
    yield one
    for store in one.opened:
        await store.close()


@pytest.fixture
async def open_store(engine: PostgresEngine) -> OpenStore:
    return engine.open
