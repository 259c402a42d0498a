"""What an engine that keeps the records of civic logs must do; to be imported beside the conformance suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import pytest
import trio

from p2pworld.errors import LocalError
from p2pworld.limits import RECORD_BYTES_MAX, RECORDS_MAX
from shard_node.coordination import Coordination, CoordinationDown
from shard_node.coordination.interface import Records

__all__ = [
    "test_a_record_is_replaced_only_by_who_knows_it",
    "test_of_two_holders_one_writes_the_record",
    "test_records_are_bounded",
    "test_records_of_other_names_are_left_alone",
]

NAME = "seoul.example/종로"


class Store(Records, Coordination, Protocol):
    """An engine that keeps both."""


OpenStore = Callable[[], Awaitable[Store]]


async def test_a_record_is_replaced_only_by_who_knows_it(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    assert await store.read_record(NAME) is None
    assert await store.put_record(NAME, b"zero", b"one") is None
    assert await store.put_record(NAME, None, b"one") == b"one"
    assert await store.put_record(NAME, None, b"one") == b"one"  # again, not knowing whether it came through
    assert await other.put_record(NAME, None, b"two") == b"one"
    assert await other.put_record(NAME, b"one", b"two") == b"two"
    assert await store.put_record(NAME, b"one", b"three") == b"two"
    assert await store.read_record(NAME) == b"two" == await other.read_record(NAME)


async def test_of_two_holders_one_writes_the_record(open_store: OpenStore) -> None:
    stores = [await open_store(), await open_store()]
    found = {}

    async def put(at: int) -> None:
        found[at] = await stores[at].put_record(NAME, None, b"%d" % at)

    async with trio.open_nursery() as nursery:
        for at in range(2):
            nursery.start_soon(put, at)
    assert found[0] == found[1] == await stores[0].read_record(NAME)


async def test_records_of_other_names_are_left_alone(open_store: OpenStore) -> None:
    store = await open_store()
    await store.put_record(NAME, None, b"one")
    assert await store.read_record(NAME + "/a") is None
    assert await store.put_record(NAME + "/a", None, b"two") == b"two"
    assert await store.read_record(NAME) == b"one"
    snapshot = await store.read(-1)
    assert (snapshot.map_version, snapshot.leases) == (0, ())


async def test_records_are_bounded(open_store: OpenStore) -> None:
    store = await open_store()
    with pytest.raises(LocalError):
        await store.put_record(NAME, None, bytes(RECORD_BYTES_MAX + 1))
    for number in range(RECORDS_MAX):
        assert await store.put_record(f"log/{number}", None, b"one") == b"one"
    with pytest.raises(CoordinationDown) as caught:
        await store.put_record(NAME, None, b"one")
    assert caught.value.reason == "full"
    assert await store.put_record("log/7", b"one", b"two") == b"two"
    assert await store.read_record(NAME) is None
