"""Places and cases in real stores, by a real holder: a kill, a copy that is put back, rows made again from leaves."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.civic.batch import plan_batch
from p2pworld.civic.kept import UNTIL
from p2pworld.merkle.receipt import Receipt
from p2pworld.services.case_log import CASE_TYPES
from p2pworld.services.clerk import ServiceClerk, Trusted
from p2pworld.services.people import Attestors
from shard_node.civic.copies import reconcile, survey, wrong_rows
from shard_node.civic.holder import CivicHolder, LogConfig
from shard_node.civic.published import read_copy
from shard_node.coordination import SqliteCoordination
from shard_node.services.beside import RowsOfServices
from shard_node.services.settings import ServicesConfig
from shard_node.storage.journal import StorageFailed
from tests.civic.kept import keep_in_postgres, places
from tests.merkle.signed import LOG, ORIGIN
from tests.patience import PATIENCE_S
from tests.services.office import (
    ATTESTOR,
    CALENDAR,
    CATALOGUE,
    HOLDER,
    ROOT,
    act,
    grants_of,
    key,
    request,
    slot_at,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from p2pworld.civic.transaction import Submission
    from tests.coordination.postgres_server import PostgresServer

STREAM, HALL, SPORTS = "jongno", "jongno-youth-hall", "reserve-sports"
_, NOW = slot_at("2026-04-20", 9)
BESIDE = RowsOfServices(ServicesConfig())
AT_MOST_S = PATIENCE_S


def clerk() -> ServiceClerk:
    trusted = Trusted(lambda: Attestors(frozenset({ATTESTOR.public})), frozenset({ROOT.public}))
    return ServiceClerk(STREAM, HOLDER, lambda: CATALOGUE, CALENDAR, trusted)


def booking(number: int, who: str, hour: int, minute: int = NOW, wait: bool = False) -> Submission:
    said = {"facility": HALL, "slot": f"2026-05-02T{hour:02d}:00"}
    return request(SPORTS, STREAM, minute, number, person=who, wait=wait, said=said)


async def held(home: Path, epoch: int, minute: int, filed: Sequence[Submission]) -> list[int | str]:
    """What a holder of that epoch says to these, one after the other; it is ended as a process is killed."""
    where = places(home)
    config = LogConfig(STREAM, (LOG,), {**CASE_TYPES, **CATALOGUE.types()}, clerk=clerk())
    holder = CivicHolder(config, epoch, where, lambda: minute)
    said: list[int | str] = []
    with trio.fail_after(AT_MOST_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(holder.run)
            for submission in filed:
                answer = await holder.file(submission)
                said.append(answer.index if isinstance(answer, Receipt) else answer.reason)
            while holder.due is not None and holder.due <= minute:  # noqa: ASYNC110  (it is settled by itself)
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
    await where.store.close()
    assert isinstance(where.records, SqliteCoordination)
    await where.records.close()
    return said


async def rows_of(home: Path) -> dict[str, bytes]:
    store = places(home).store
    try:
        return dict(await store.kept(STREAM, ""))
    finally:
        await store.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def home(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        name = "services"
        server.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {name}")
        keep_in_postgres(tmp_path, server.conninfo(name))
    return tmp_path


async def test_places_outlive_their_holder_and_what_runs_out_meanwhile_is_settled_by_the_next(
    home: Path,
) -> None:
    first, second = booking(1, "kim", 10), booking(2, "lee", 10, wait=True)
    other = booking(3, "park", 10)
    assert await held(home, 1, NOW, [first, second, first, other, other]) == [
        0,
        2,
        0,
        "slot-taken",
        "slot-taken",
    ]
    # nobody was there when the hold ran out
    late = booking(4, "park", 10, NOW + 30)
    assert await held(home, 2, NOW + 30, [late, first, other]) == ["slot-taken", 0, "slot-taken"]
    rows = await rows_of(home)
    (place,) = (name for name in rows if name.startswith("place/"))
    assert second.filing.key in rows[place]
    assert min(name for name in rows if name.startswith(UNTIL)) > f"{UNTIL}{NOW + 30:010d}"
    store = places(home).store
    assert await store.check() == []
    await store.close()


async def test_a_seat_has_one_row_whatever_a_plan_says(home: Path) -> None:
    """A clerk that sees no rows gives a seat twice; the table does not."""
    assert await held(home, 1, NOW, [booking(1, "kim", 10)]) == [0]
    store = places(home).store
    row = await store.fence(STREAM, 2)

    class Blind:
        def get(self, name: str) -> None:
            return None

        def under(self, prefix: str) -> list[tuple[str, bytes]]:
            return []

        def first(self, prefix: str, after: str = "") -> None:
            return None

        def last(self, prefix: str, before: str) -> None:
            return None

        def entry(self, index: int) -> bytes:
            raise AssertionError

    def plan(*args: object, kept: object) -> object:
        return plan_batch(*args, kept=Blind(), clerk=clerk(), minute=NOW)  # type: ignore[arg-type]

    with pytest.raises(StorageFailed) as failed:
        await store.commit(STREAM, row, [booking(2, "lee", 10)], plan)  # type: ignore[arg-type]
    assert failed.value.reason == "corrupt"
    assert await store.row(STREAM) == row
    await store.close()


async def test_rows_come_back_from_the_leaves_when_an_older_copy_is_put_back(tmp_path: Path) -> None:
    own = partial(key, f"{SPORTS} 1")
    grants = grants_of(key("official"), STREAM, NOW)
    await held(tmp_path, 1, NOW, [booking(1, "kim", 10), booking(2, "lee", 10, wait=True)])
    shutil.copy(tmp_path / "civic.sqlite", tmp_path / "copy")
    before = await rows_of(tmp_path)
    size = survey(tmp_path / "copy").entries[STREAM]
    more = [
        act(STREAM, 0, 1, "claim", own(), NOW),
        act(STREAM, 0, 2, "confirm", own(), NOW),
        booking(5, "kim", 11),
        act(STREAM, 0, 3, "cancel", key("official"), NOW, grants=grants),
        request("complaint-field", STREAM, NOW, 1, person="choi", gu=STREAM),
    ]
    said = await held(tmp_path, 2, NOW, more)
    assert all(isinstance(each, int) for each in said), said
    complaint = said[-1]
    assert isinstance(complaint, int)
    acts = [act(STREAM, complaint, 0, "assign", key("official"), NOW, grants=grants)]
    assert await held(tmp_path, 3, NOW, acts) == [complaint + 1]
    lost = await rows_of(tmp_path)
    assert lost != before
    store = tmp_path / "civic.sqlite"
    assert wrong_rows(store, STREAM, BESIDE) == []
    for each in ("", "-wal", "-shm"):
        store.with_name(f"{store.name}{each}").unlink(missing_ok=True)
    shutil.copy(tmp_path / "copy", store)
    copy = read_copy(tmp_path / "log", ORIGIN, [LOG.key], [size])
    assert reconcile(store, STREAM, copy, BESIDE)
    assert survey(store).faults == ()
    assert wrong_rows(store, STREAM, BESIDE) == []
    again = await rows_of(tmp_path)
    # who somebody is stands in no leaf, nor do an official's grants
    hidden = ("person/", "official/", "place/")
    assert {n: b for n, b in again.items() if not n.startswith(hidden)} == {
        n: b for n, b in lost.items() if not n.startswith(hidden)
    }
    assert {n for n in again if n.startswith("place/")} == {n for n in lost if n.startswith("place/")}
    # and the log goes on where it was
    assert await held(tmp_path, 4, NOW, [booking(1, "kim", 10), booking(9, "song", 10)]) == [0, "slot-taken"]


async def test_without_its_rows_a_store_is_found_out(tmp_path: Path) -> None:
    await held(tmp_path, 1, NOW, [booking(1, "kim", 10)])
    store = tmp_path / "civic.sqlite"
    with closing(sqlite3.connect(store)) as db:
        db.execute("DELETE FROM kept WHERE name >= CAST('place/' AS BLOB) AND name < CAST('place0' AS BLOB)")
        db.commit()
    (fault,) = wrong_rows(store, STREAM, BESIDE)
    assert "is missing" in fault.sentence
