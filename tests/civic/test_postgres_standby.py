"""A civic log in PostgreSQL with a synchronous standby: either server is killed, and nobody is told what is not so.

Both servers are real, the standby is made of a copy of the primary. Holders run as in a node, with a coordination store
of their own beside; what they sign is written down.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.civic.log import Stage
from p2pworld.errors import Refusal
from shard_node.civic.folder import PublishedLog
from shard_node.civic.holder import Places
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.coordination import SqliteCoordination
from tests.civic.filer import SIGNED, Telling
from tests.civic.kept import Counts, check_receipts, file_all, holder_of, read_log
from tests.civic.log_world import STREAM, erasure, submission
from tests.civic.test_postgres_store import files_with, pieces
from tests.coordination.postgres_server import PostgresServer, Standby
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from p2pworld.merkle.receipt import Receipt
    from shard_node.civic.holder import CivicHolder

AT_MOST_S = PATIENCE_S
CALL_S = 1.0
POLL_S = 0.02


@pytest.fixture
def pair() -> Iterator[tuple[PostgresServer, Standby]]:
    """A primary that answers a commit when its standby has it, and that standby."""
    primary = PostgresServer()
    with primary, Standby(primary) as standby:
        primary.set("synchronous_standby_names", Standby.NAME)
        yield primary, standby


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is told sooner than in a city."""
    monkeypatch.setattr("p2pworld.civic.log.CIVIC_PATIENCE_S", 1.0)
    monkeypatch.setattr("p2pworld.civic.log.CIVIC_RETRY_S", 0.1)


def conninfo_of(*servers: PostgresServer) -> dict[str, str]:
    """How libpq finds whichever of them takes writes."""
    return servers[0].conninfo(
        host=",".join("127.0.0.1" for _ in servers), port=",".join(str(server.port) for server in servers)
    )


class Node:
    """A process that holds the log in these servers, as far as it gets."""

    def __init__(self, directory: Path, epoch: int, *servers: PostgresServer, copies_min: int = 1) -> None:
        self.meter = Counts()
        self.store = PostgresCivicStore(conninfo_of(*servers), copies_min, CALL_S)
        self.records = SqliteCoordination(directory / "coordination.sqlite", busy_s=10.0)
        self.places = Places(self.store, self.records, PublishedLog(directory / "log"))
        self.holder: CivicHolder = holder_of(self.places, epoch, Telling(directory / SIGNED), self.meter)

    async def close(self) -> None:
        await self.store.close()
        await self.records.close()

    async def until_told(self, *failures: tuple[str, str]) -> None:
        """Until one of these failures has been counted."""
        while not set(failures) & set(self.meter.failures):  # noqa: ASYNC110  (of other processes)
            await trio.sleep(POLL_S)

    async def until(self, *stages: Stage) -> None:
        """Until the holder is at one of these."""
        while self.holder.stage not in stages:  # noqa: ASYNC110
            await trio.sleep(POLL_S)


@asynccontextmanager
async def running(
    directory: Path, epoch: int, *servers: PostgresServer, copies_min: int = 1
) -> AsyncIterator[Node]:
    """A node that holds the log; it is stopped in the end, whatever it is doing."""
    node = Node(directory, epoch, *servers, copies_min=copies_min)
    try:
        with trio.fail_after(AT_MOST_S):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(node.holder.run)
                yield node
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await node.close()


async def accepted(directory: Path, node: Node, *numbers: int) -> dict[int, int]:
    """At which places these are, each asked for until it has a receipt: on a busy machine a call may be too slow."""
    receipts: dict[int, Receipt | Refusal] = {}
    while missing := set(numbers) - receipts.keys():
        answers = await file_all(node.holder, sorted(missing))
        assert reasons(answers) <= {"civic-unknown", "civic-down"}
        receipts |= {number: answer for number, answer in answers.items() if not isinstance(answer, Refusal)}
    return check_receipts(directory, receipts)


async def until_replayed(
    wanted: list[bytes], *, there: bool, servers: tuple[PostgresServer, PostgresServer]
) -> None:
    """Until in the tables of both servers all of these bytes are there, or none; a standby is a little behind."""
    for server in servers:
        while {bool(files_with(server, piece)) for piece in wanted} != {there}:  # noqa: ASYNC110
            await trio.sleep(POLL_S)


def reasons(answers: dict[int, Receipt | Refusal]) -> set[str]:
    """What those are told who have no receipt."""
    return {answer.reason for answer in answers.values() if isinstance(answer, Refusal)}


def check_signed(directory: Path) -> None:
    """No two roots were signed for one size."""
    roots: dict[str, str] = {}
    for line in (directory / SIGNED).read_text().splitlines():
        _, size, root, _ = line.split("|")
        assert roots.setdefault(size, root) == root, f"two roots of size {size}"


async def test_while_the_standby_is_away_nothing_is_accepted_and_all_goes_on_when_it_is_back(
    tmp_path: Path, pair: tuple[PostgresServer, Standby]
) -> None:
    primary, standby = pair
    async with running(tmp_path, 1, primary) as node:
        before = await accepted(tmp_path, node, *range(3))
        assert node.store.copies == 2
        standby.kill()
        told = await file_all(node.holder, range(3, 6))
        assert reasons(told) == {"civic-unknown"}
        assert len(told) == 3
        assert ("Commit", "unknown") in node.meter.failures
        await node.until_told(("Fence", "standby"))
        assert "synchronous standby does not answer" in str(node.holder.trouble)
        assert reasons({7: await node.holder.file(submission(7))}) == {"civic-down"}
        assert len(read_log(tmp_path)) == 3
        standby.start()
        await node.until(Stage.IDLE)
        after = await accepted(tmp_path, node, *range(8))
        assert before.items() <= after.items()
        assert sorted(after.values()) == list(range(8))
        assert node.holder.trouble is None
        assert await node.store.check() == []
        assert node.meter.alarms == []
        (sealed,) = [each for each in [await node.store.sealed(STREAM, before[0])] if each]
        await until_replayed(pieces(sealed), there=True, servers=pair)
        assert not isinstance(await node.holder.file(erasure(0, before[0])), Refusal)
        await until_replayed(pieces(sealed), there=False, servers=pair)
    check_signed(tmp_path)


async def test_the_standby_is_promoted_and_the_old_primary_accepts_nothing_any_more(
    tmp_path: Path, pair: tuple[PostgresServer, Standby]
) -> None:
    primary, standby = pair
    async with running(tmp_path, 1, primary, standby) as first:
        before = await accepted(tmp_path, first, *range(4))
        standby.kill()  # what follows reaches the primary's disk and no other
        assert reasons(await file_all(first.holder, [4])) == {"civic-unknown"}
        primary.kill()
        standby.start()
        standby.execute("SELECT pg_promote()")
        # the node that has lost its lease asks on, and comes to the new primary before the next holder
        await first.until(Stage.IDLE, Stage.DEPOSED)
        async with running(tmp_path, 2, primary, standby) as second:
            found = await accepted(tmp_path, second, 5, *range(4))
            assert before.items() <= found.items()
            assert len(read_log(tmp_path)) == second.holder.size == 5
            assert reasons(await file_all(first.holder, [7])) == {"civic-moved"}
    # alone again, the old primary has a batch that nobody else has, and waits for a standby that is none any more
    primary.start()
    assert primary.execute("SELECT size FROM p2pworld_civic.stream") == [(5,)]
    for epoch in (1, 3):
        async with running(tmp_path, epoch, primary) as lapsed:
            assert reasons(await file_all(lapsed.holder, [8, 0])) == {"civic-unknown"}
            assert {reason for _, reason in lapsed.meter.failures} <= {"unknown", "standby"}
            assert lapsed.meter.batches == []
    # whoever names it first finds the one that the log goes on with all the same
    async with running(tmp_path, 3, primary, standby) as turned:
        found |= await accepted(tmp_path, turned, *range(4))
        assert turned.meter.alarms == []
    # and if somebody tells it to wait for none, its log is not the one that was recorded
    primary.set("synchronous_standby_names", "")
    async with running(tmp_path, 4, primary, copies_min=2) as careful:
        await careful.until_told(("Fence", "copies"))
    async with running(tmp_path, 4, primary) as careless:
        await careless.until(Stage.READ_ONLY)
        assert careless.meter.alarms == ["log-fork"]
        assert reasons(await file_all(careless.holder, [9])) == {"civic-read-only"}
    assert len(read_log(tmp_path)) == 5
    async with running(tmp_path, 4, standby) as third:
        last = await accepted(tmp_path, third, *range(9))
        assert found.items() <= last.items()
        assert await third.store.check() == []
        row = await third.store.row(STREAM)
        assert row is not None
        assert (row.epoch, row.size) == (4, 9)
    check_signed(tmp_path)
