"""A process keeps its memory where the C library lets it."""

from __future__ import annotations

import ctypes

from shard_node.memory import keep_memory


def test_memory_is_kept_where_that_can_be_said() -> None:
    assert keep_memory() == hasattr(ctypes.CDLL(None), "mallopt")
    assert keep_memory() == keep_memory()
