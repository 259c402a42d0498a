"""What every coordination engine must survive: its store stopped, restarted, restored from an older copy.

An engine's own test module imports all of these and gives the fixture `engine`. Between `stop` and `start` the store
answers nobody. A copy is what lies on the disk of a stopped store; restoring it puts that back, with everything in it
that could tell one history from another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest
import trio
import trio.testing

from p2pworld.errors import Refusal
from p2pworld.membership import LeaseJudge
from p2pworld.world import citymap
from shard_node.coordination import Coordination, CoordinationDown, OutcomeUnknown, SqliteCoordination
from shard_node.coordination.generation import begin_generation
from tests.coordination.conformance import TTL_S, cell, founded, made, newest, registered, registration

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "test_a_city_is_carried_into_an_empty_store_only",
    "test_a_new_generation_waits_for_living_nodes",
    "test_a_store_restarted_keeps_map_and_leases_and_condemns_nobody",
    "test_a_store_restored_from_an_older_copy_begins_a_new_generation",
    "test_a_store_that_cannot_be_reached_says_so_to_every_call",
    "test_a_watcher_resumes_after_a_restart",
]


class Engine(Protocol):
    """A store of one kind that a test may stop, start, copy and restore."""

    async def open(self) -> Coordination:
        """One more connection to it, as another process would open it."""
        ...

    async def stop(self) -> None: ...

    async def start(self) -> None: ...

    async def copy(self) -> None:
        """Keep what a stopped store has on its disk."""
        ...

    async def restore(self) -> None:
        """Put into a stopped store what was kept."""
        ...


async def test_a_store_that_cannot_be_reached_says_so_to_every_call(engine: Engine) -> None:
    store = await engine.open()
    a, b, city = await founded(store)
    await engine.stop()
    for call in (
        lambda: store.read(2),
        lambda: store.renew(a),
        lambda: store.end(b),
        lambda: store.wait_change(2, 60.0),
        lambda: registered(store, "c"),
    ):
        with pytest.raises(CoordinationDown) as caught:
            await call()
        assert not caught.value.lasting
    with pytest.raises((CoordinationDown, OutcomeUnknown)):
        await store.propose(made(citymap.split(city, cell("3"))), 2)
    never = await engine.open()
    with pytest.raises(CoordinationDown):
        await never.read(0)
    await engine.start()
    assert await newest(store) == await newest(never) == city
    assert [await store.renew(a), await never.renew(b)] == [True, True]


async def test_a_store_restarted_keeps_map_and_leases_and_condemns_nobody(engine: Engine) -> None:
    store, other = await engine.open(), await engine.open()
    a, b, city = await founded(store)
    assert await store.renew(a)
    judge = LeaseJudge(TTL_S)
    judge.observe((await other.read(2)).leases, 1_000.0)
    before = judge.lease(a)
    assert before is not None
    await engine.stop()
    await engine.start()
    judge.observe((await other.read(2)).leases, 1_060.0)  # the judge could not look for a minute
    assert judge.lease(a) == before
    assert not judge.dead()
    assert [await store.renew(a), await other.renew(b)] == [True, True]
    following = made(citymap.split(city, cell("3")))
    assert (await store.propose(following, 2)).ok
    assert await newest(other) == following


async def versions_up_to(last: int, store: Coordination, version: int) -> list[int]:
    """The map's versions as a watcher sees them that asks again whenever the store was away."""
    seen = []
    while version != last:
        try:
            found = await store.wait_change(version, 60.0)
        except CoordinationDown:
            await trio.sleep(0.02)
            continue
        if found != version:
            version = found
            seen.append(found)
    return seen


async def test_a_watcher_resumes_after_a_restart(engine: Engine) -> None:
    store, other = await engine.open(), await engine.open()
    _, _, city = await founded(store)
    seen: list[int] = []

    async def watch() -> None:
        seen.extend(await versions_up_to(4, other, 2))

    third = made(citymap.split(city, cell("3")))
    fourth = made(citymap.split(third, cell("2")))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        await trio.testing.wait_all_tasks_blocked()
        await engine.stop()
        await engine.start()
        assert (await store.propose(third, 2)).ok
        assert (await store.propose(fourth, 3)).ok
    assert seen in ([3, 4], [4])


async def test_a_store_restored_from_an_older_copy_begins_a_new_generation(engine: Engine) -> None:
    store = await engine.open()
    a, b, city = await founded(store)
    await engine.stop()
    await engine.copy()
    await engine.start()
    forgotten = await registered(store, "a", ends=a)
    moved = made(
        citymap.join(made(citymap.fail_over(city, a, b)), registration("a").member(forgotten.number))
    )
    assert (await store.propose(moved, 2)).ok
    later = made(citymap.split(moved, cell("3")))
    assert (await store.propose(later, moved.version)).ok
    await engine.stop()
    await engine.restore()
    await engine.start()
    # what was forgotten is refused, and a reader who knows a later map is told the older one
    assert not await store.renew(forgotten)
    assert (await store.propose(made(citymap.split(later, cell("2"))), later.version)).reason == "version"
    assert (await store.read(later.version)).map == city

    again = await begin_generation(store, 0.2)
    assert not isinstance(again, Refusal)
    assert again.generation == 1
    assert again.version > later.version
    assert again.stamp > later.stamp
    for known in range(later.version + 1):
        assert (await store.read(known)).map == again
    newer = await registered(store, "a", ends=forgotten)
    assert newer > forgotten
    back = made(citymap.join(again, registration("a").member(newer.number)))
    mine = made(citymap.claim(back, newer, [cell("00")]))
    assert (await store.propose(mine, again.version)).ok
    assert mine.cells[cell("00")].epoch > later.stamp


async def test_a_city_is_carried_into_an_empty_store_only(engine: Engine, tmp_path: Path) -> None:
    source = SqliteCoordination(tmp_path / "source.sqlite")
    _, _, city = await founded(source)
    store = await engine.open()
    carried = await begin_generation(store, 0.1, source=source)
    assert not isinstance(carried, Refusal)
    assert await newest(store) == carried
    assert carried.version > city.version
    assert carried.cells.keys() == city.cells.keys()
    refused = await begin_generation(store, 0.1, source=source)
    assert isinstance(refused, Refusal)
    assert refused.reason == "not_empty"
    await source.close()


async def test_a_new_generation_waits_for_living_nodes(engine: Engine) -> None:
    store, other = await engine.open(), await engine.open()
    a, _, city = await founded(store)
    outcome: list[object] = []

    async def renew() -> None:
        while not outcome:
            assert await other.renew(a)
            await trio.sleep(0.02)

    async def begin() -> None:
        outcome.append(await begin_generation(store, 0.5))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(renew)
        nursery.start_soon(begin)
    (refused,) = outcome
    assert isinstance(refused, Refusal)
    assert refused.reason == "alive"
    assert await newest(store) == city
