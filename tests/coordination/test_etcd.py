"""The engine in etcd: the conformance suite against a real etcd, and what only a network store can suffer."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from shard_node.coordination import Coordination
from shard_node.coordination.etcd import EtcdCoordination
from tests.coordination.conformance import *  # noqa: F403
from tests.coordination.conformance import OpenStore
from tests.coordination.etcd_server import EtcdServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

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
