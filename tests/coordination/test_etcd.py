"""The engine in etcd: the conformance suite against a real etcd, and what only a network store can suffer."""

from __future__ import annotations

import itertools
import shutil
from typing import TYPE_CHECKING

import pytest

from shard_node.coordination.etcd import EtcdCoordination
from tests.coordination.conformance import *  # noqa: F403
from tests.coordination.etcd_server import EtcdServer
from tests.coordination.outages import *  # noqa: F403
from tests.coordination.records import *  # noqa: F403

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from shard_node.coordination import Coordination
    from tests.coordination.conformance import OpenStore

CALL_S = 20.0  # rivals in the tests wait for each other's commits, on however slow a disk
prefixes = (f"city-{number}/" for number in itertools.count())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as running:
        yield running


@pytest.fixture
async def open_store(server: EtcdServer) -> AsyncIterator[OpenStore]:
    prefix = next(prefixes)
    opened: list[EtcdCoordination] = []

    async def one_more() -> Coordination:
        opened.append(EtcdCoordination(server.endpoints, prefix=prefix, call_s=CALL_S))
        return opened[-1]

    yield one_more
    for store in opened:
        await store.close()


class EtcdEngine:
    """The server of this module under a prefix of its own; all its members stop and start together."""

    def __init__(self, server: EtcdServer, folder: Path) -> None:
        self.server, self.kept = server, folder / "kept"
        self.prefix = next(prefixes)
        self.opened: list[EtcdCoordination] = []

    async def open(self) -> Coordination:
        self.opened.append(EtcdCoordination(self.server.endpoints, prefix=self.prefix, call_s=CALL_S))
        return self.opened[-1]

    async def stop(self) -> None:
        self.server.kill()

    async def start(self) -> None:
        self.server.start()

    async def copy(self) -> None:
        for member in self.server.members:
            shutil.copytree(member.data, self.kept / member.name)

    async def restore(self) -> None:
        for member in self.server.members:
            shutil.rmtree(member.data)
            shutil.copytree(self.kept / member.name, member.data)


@pytest.fixture
async def engine(server: EtcdServer, tmp_path: Path) -> AsyncIterator[EtcdEngine]:
    one = EtcdEngine(server, tmp_path)
    yield one
    for store in one.opened:
        await store.close()
