"""The model is a civic store itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.civic.conformance import *  # noqa: F403
from tests.civic.memory_store import MemoryStore, Stream

if TYPE_CHECKING:
    from tests.civic.conformance import OpenStore


@pytest.fixture
def open_store() -> OpenStore:
    streams: dict[str, Stream] = {}

    async def opened() -> MemoryStore:
        return MemoryStore(streams)

    return opened
