"""The executor with a real node, journal and store: requests are answered, disks may be full, ticks never burst."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from p2pworld.core import Node, NodeConfig
from p2pworld.crypto.keys import NodeKeys
from p2pworld.drive import Persist, SendNow
from p2pworld.errors import LocalError
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import (
    Bye,
    CellStored,
    HangUp,
    Instant,
    Notice,
    SaveState,
    ToClient,
    ToPeer,
    WriteFailed,
    Wrote,
)
from p2pworld.world.overload import At
from p2pworld.world.ownership import MapRead, ReadMap, Register, Registered, Renew, Renewed, StoreFailed
from shard_node.coordination.sqlite import SqliteCoordination
from shard_node.execute import Executor, Usage, ask, now
from shard_node.links import Links
from shard_node.play import PlaySockets
from shard_node.play_conn import listen_play
from shard_node.storage.sqlite import SqliteJournal
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

KEYS = NodeKeys.from_seed(bytes([5]) * 32)
REGISTER = Register("tls://a:1", "ws://a:2/play", "http://a:3", 3.0, 0)
PEER = Incarnation(bytes([7]) * 32, 1)


class Watched(Node):
    """A node that remembers what its disk answered."""

    answers: list[Wrote | WriteFailed]

    def advance(self, done: Wrote | WriteFailed, now: Instant) -> None:
        self.answers.append(done)


@asynccontextmanager
async def executing(folder: Path, pages_max: int | None = None) -> AsyncIterator[Executor]:
    """An executor with everything attached; none of its tasks runs yet."""
    node = Watched(NodeConfig("tls://a:1", "ws://a:2/play", "http://a:3"), KEYS, bytes(32), {}, 0, now())
    node.answers = []
    journal = await SqliteJournal.open(folder / "journal", pages_max)
    store = SqliteCoordination(folder / "store")
    executor = Executor(node, journal, store)
    play = PlaySockets(listen_play("127.0.0.1", 0), lambda: now().boot_s)
    executor.attach(play, Links([], KEYS, (), frozenset(), lambda: node.who, now, executor))
    with trio.fail_after(PATIENCE_S):
        yield executor
    play.close()
    await journal.close()
    await store.close()


def bearing(executor: Executor) -> At:
    return executor.node.bearing


def persist(number: int, size: int = 10, lease_s: float = 60.0) -> Persist:
    deadline_s = now().boot_s + lease_s
    state = SaveState(int(Cell.at(0, 0, 9)), 1, number, bytes(size))
    return Persist(
        number, (state,), SendNow((ToPeer(PEER, CellStored(1, 1, number)),), deadline_s), deadline_s
    )


async def test_the_stores_answers_are_the_nodes_events(tmp_path: Path) -> None:
    store = SqliteCoordination(tmp_path / "store")
    assert await ask(store, KEYS.public, REGISTER) == Registered(1)
    who = Incarnation(KEYS.public, 1)
    assert await ask(store, KEYS.public, Renew(who, 7)) == Renewed(7, True)
    assert await ask(store, KEYS.public, Renew(PEER, 8)) == Renewed(8, False)
    read = await ask(store, KEYS.public, ReadMap(-1))
    assert isinstance(read, MapRead)
    assert [lease.who for lease in read.leases] == [who]
    with pytest.raises(LocalError):
        await ask(store, KEYS.public, "no request")
    await store.close()
    assert await ask(store, KEYS.public, REGISTER) == StoreFailed(REGISTER, "closed")


async def test_writes_that_wait_become_durable_together_and_are_answered_in_order(tmp_path: Path) -> None:
    async with executing(tmp_path) as executor, trio.open_nursery() as nursery:
        for number in (1, 2, 3):
            executor._execute(persist(number))
        executor._execute(persist(4, lease_s=-1.0))
        assert executor.writes_waiting == 4
        nursery.start_soon(executor._persist_on)
        await executor.until_written()
        assert isinstance(executor.node, Watched)
        assert executor.node.answers == [WriteFailed(4, "lapsed"), Wrote(1), Wrote(2), Wrote(3)]
        assert executor.counters["commits"] == 1
        assert (
            executor.links.counters["no_link"] == 3
        )  # what waited for the disk was let go, and found no link
        nursery.cancel_scope.cancel()


async def test_what_one_client_is_told_leaves_in_one_piece_and_before_its_bye(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    async with executing(tmp_path) as executor:
        monkeypatch.setattr(executor.play, "send", lambda conn, *messages: done.append((conn, *messages)))
        monkeypatch.setattr(executor.play, "hang_up", lambda conn, bye: done.append((conn, bye)))
        a, b, c, bye = Notice("a"), Notice("b"), Notice("c"), Bye("leaving")
        sends = (
            ToClient(1, a), ToClient(2, a), ToClient(1, b), HangUp(1, bye), ToClient(2, b), HangUp(3, bye),
            ToClient(2, c),
        )  # fmt: skip
        executor._execute(SendNow(sends, 0.0))
    assert done == [(1, a, b), (1, bye), (3, bye), (2, a, b, c)]


async def test_on_a_full_disk_what_fits_is_durable_and_the_rest_is_told(tmp_path: Path) -> None:
    async with executing(tmp_path, pages_max=40) as executor, trio.open_nursery() as nursery:
        executor._execute(persist(1))
        executor._execute(persist(2, size=1 << 20))
        nursery.start_soon(executor._persist_on)
        await executor.until_written()
        assert isinstance(executor.node, Watched)
        assert executor.node.answers == [Wrote(1), WriteFailed(2, "full")]
        assert executor.writes_failing == "full"
        assert executor.links.counters["no_link"] == 1
        executor._execute(persist(3))
        await executor.until_written()
        assert executor.node.answers[-1] == Wrote(3)
        assert executor.writes_failing == ""
        nursery.cancel_scope.cancel()


async def test_what_the_disk_garbled_while_the_node_ran_is_found_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shard_node.execute.SCRUB_EVERY_S", 0.0)
    cell, rewritten = int(Cell.at(0, 0, 9)), trio.Event()
    async with executing(tmp_path) as executor, trio.open_nursery() as nursery:
        nursery.start_soon(executor._persist_on)
        executor._execute(persist(1))
        await executor.until_written()

        def rewrite(which: int, at: Instant) -> None:
            assert which == cell
            rewritten.set()

        monkeypatch.setattr(executor.node, "rewrite", rewrite)
        nursery.start_soon(executor._scrub_on)
        with closing(sqlite3.connect(tmp_path / "journal", isolation_level=None)) as connection:
            connection.execute("UPDATE state SET body = x'00'")
        await rewritten.wait()
        assert executor.counters["scrub_damaged"] > 0
        nursery.cancel_scope.cancel()


@pytest.fixture
def one_clock(mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch) -> trio.testing.MockClock:
    """Trio's clock and the machine's are one, and move by hand."""
    monkeypatch.setattr("shard_node.execute.now", lambda: Instant(trio.current_time(), 0))
    return mock_clock


async def test_a_tick_that_comes_late_is_skipped_and_counted(
    tmp_path: Path, one_clock: trio.testing.MockClock
) -> None:
    async with executing(tmp_path) as executor, trio.open_nursery() as nursery:
        nursery.start_soon(executor._tick_on)
        for _ in range(3):
            await trio.testing.wait_all_tasks_blocked()
            one_clock.jump(0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert (executor.counters["ticks"], executor.counters["ticks_missed"]) == (3, 0)
        one_clock.jump(5.05)
        await trio.testing.wait_all_tasks_blocked()
        assert executor.counters["ticks"] == 4
        assert executor.counters["ticks_missed"] in (49, 50)
        nursery.cancel_scope.cancel()


async def test_a_node_that_misses_its_ticks_makes_them_longer_and_recovers(
    tmp_path: Path, one_clock: trio.testing.MockClock
) -> None:
    async with executing(tmp_path) as executor, trio.open_nursery() as nursery:
        nursery.start_soon(executor._tick_on)
        while bearing(executor) is not At.SLOWEST:
            await trio.testing.wait_all_tasks_blocked()
            one_clock.jump(2.5 * executor.node.tick_ms / 1000)
        assert executor.node.tick_ms == 500
        eased_s = trio.current_time()
        while bearing(executor) is not At.WHOLE:
            await trio.testing.wait_all_tasks_blocked()
            one_clock.jump(0.05)
        assert executor.node.tick_ms == 100
        assert trio.current_time() - eased_s < 5.0
        nursery.cancel_scope.cancel()


def test_the_loops_use_is_its_threads_work_or_how_long_its_frames_took_to_leave(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worked_s = 7.0
    monkeypatch.setattr("time.thread_time", lambda: worked_s)
    usage = Usage()
    assert usage.since_last(100.0, 0, False, 0.0) == 0.0  # of what was before the first tick nothing is known
    worked_s += 0.04
    assert usage.since_last(100.1, 0, False, 0.02) == pytest.approx(0.4)
    assert usage.since_last(100.4, 2, False, 0.0) == 3.0
    worked_s += 0.1
    assert usage.since_last(100.5, 0, False, 0.05) == pytest.approx(1.0)
    # others have the processor
    assert usage.since_last(100.6, 0, False, 0.08) == pytest.approx(0.8)
    assert usage.since_last(100.7, 0, True, 0.08) == 1.0
