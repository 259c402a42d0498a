"""One real node for all tests of the interfaces for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.services.gateway_node import STREAMS, GatewayNode, gateway_node

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayNode]:
    folder: Path = tmp_path_factory.mktemp("gateway")
    with gateway_node(folder) as started:
        yield started
        assert started.city.end() == [], "the node had to be killed"


@pytest.fixture
def nothing_filed(node: GatewayNode) -> Iterator[GatewayNode]:
    """The node, whose logs are as long afterwards as before."""
    before = {stream: node.size(stream) for stream in STREAMS}
    yield node
    assert {stream: node.size(stream) for stream in STREAMS} == before
