"""The civic store in PostgreSQL: for the streams of a data centre, whose holder may be any of its nodes.

A batch is one transaction. It begins with an update of the stream's row that must hit it as the holder knows it, and so
holds that row while it decides; a fence takes the same row. A commit is answered when it is on the disk of the primary
and of as many synchronous standbys as the server is told to wait for; `copies` says how many disks that is, and with
fewer than `copies_min` nothing is written at all. When a COMMIT fails, is cancelled or is cut off, nobody knows its
outcome: the connection is dropped. One that waits for a standby keeps the stream's row meanwhile, so the fence that has
to come next waits too, and comes through only after it.

What is erased is overwritten in its table by the transaction that says so. The part of the table that held it is
written anew right after, and if a reader stands in the way, again after a while until it succeeds. Write-ahead log, its
archive and backups are the operator's (docs/operations/civic-postgresql.md).
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

import psycopg
import trio

from p2pworld.civic.batch import named_entries
from p2pworld.civic.transaction import parse_sealed
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.postgres_tables import (
    TABLES,
    KeptRows,
    Rows,
    Taken,
    change_kept,
    commit_or_unknown,
    entry_rows,
    erase,
    known_rows,
    left_of_traces,
    lock_stream,
    named_rows,
    put_rows,
    put_stream,
    sealed_row,
    stream_row,
    take_stream,
)
from shard_node.civic.rows import check_rows, written
from shard_node.civic.store import CommitUnknown, Row
from shard_node.coordination.interface import CoordinationDown
from shard_node.coordination.lane import Db, Lane
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Sealed, Submission
    from shard_node.civic.store import Fault, MakePlan

__all__ = ["PostgresCivicStore", "Server"]

_CALL_S: Final = 3.0  # what is filed waits for it: a batch of 512 takes 50 ms
_CHECK_S: Final = 3_600.0  # an operator waits: every row of ten million entries
_SCRUB_S: Final = 60.0  # to write a part of what is sealed anew: 1 GB
_SCRUB_AGAIN_S: Final = 30.0

_ELSEWHERE: Final = ("standby", "copies")  # so says a primary that another one has replaced
_REASONS: Final = {"newer_schema": "newer", "not_a_store": "foreign"}
_COUNT: Final = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)

T = TypeVar("T")


class Server(NamedTuple):
    """On how many disks a commit is when the server answers it, and whether that flushes its own."""

    copies: int
    flushes: bool


class PostgresCivicStore:
    """The `CivicStore` of one database, with a connection for each stream that is asked for.

    `conninfo` are libpq's keywords. Nothing is written while a commit is on fewer disks than `copies_min`.
    """

    def __init__(self, conninfo: dict[str, str], copies_min: int = 1, call_s: float = _CALL_S) -> None:
        self._conninfo = conninfo | {"target_session_attrs": "read-write"}  # a replica may be behind
        self._copies_min = copies_min
        self._call_s = call_s
        self._lanes: dict[str, Lane] = {}
        self._slow = self._lane(_CHECK_S)
        self._scrubs = self._lane(_SCRUB_S)
        self._closed = False
        # Only written by threads of the lanes, each in one step.
        self._made = False
        self._copies = 0
        self._traces = True  # an earlier process, too, may have left parts that are to be written anew
        self._scrub_at_s = 0.0

    # ---- the interface

    @property
    def copies(self) -> int:
        """See `CivicStore.copies`; it is what the server said when it was last written to."""
        return self._copies

    async def fence(self, stream: str, epoch: int) -> Row:
        """See `CivicStore.fence`."""

        def work(db: Db) -> Row:
            db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            taken = self._checked(lock_stream(db, stream))
            if taken.row.epoch > epoch:
                db.execute("ROLLBACK")
                return taken.row
            row = Row(epoch, taken.row.fences + 1, taken.row.size)
            put_stream(db, taken.number, stream, row)
            commit_or_unknown(db)
            return row

        return await self._run(stream, work)

    async def row(self, stream: str) -> Row | None:
        """See `CivicStore.row`."""

        def work(db: Db) -> Row | None:
            found = stream_row(db, stream)
            return found[1] if found else None

        return await self._run(stream, work)

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        """See `CivicStore.entries`."""
        if not 0 <= begin <= end <= begin + CIVIC_READ_MAX:
            raise LocalError(f"entries {begin} to {end} are not given at once")

        def work(db: Db) -> list[bytes]:
            number, row = stream_row(db, stream) or (0, Row(0, 0, 0))
            if end > row.size:
                raise StorageFailed("behind", f"{stream} has {row.size} entries where there were {end}.")
            there = entry_rows(db, number, begin, end)
            if len(there) != end - begin:
                raise StorageFailed("corrupt", f"Entries of {stream} from {begin} to {end} are missing.")
            return there

        return await self._run(stream, work)

    async def commit(
        self, stream: str, row: Row, submissions: Sequence[Submission], plan: MakePlan
    ) -> Plan | None:
        """See `CivicStore.commit`."""

        def work(db: Db) -> Plan | None:
            db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            hit = take_stream(db, stream, row)
            if hit is None:
                db.execute("ROLLBACK")
                return None
            number = self._checked(hit).number
            known = known_rows(db, number, list({submission.filing.key for submission in submissions}))
            named = named_rows(db, number, named_entries(row.size, submissions))
            planned = plan(row.size, row.epoch, submissions, known, named, kept=KeptRows(db, number))
            if not planned.writes:  # nothing but retries
                db.execute("ROLLBACK")
                return planned
            put_rows(db, written(number, row.size, submissions, planned))
            erase(db, number, planned.erased)
            change_kept(db, number, planned.rows)
            put_stream(db, number, stream, Row(row.epoch, row.fences, row.size + len(planned.entries)))
            commit_or_unknown(db)
            if planned.erased:
                self._traces, self._scrub_at_s = True, 0.0
            return planned

        planned = await self._run(stream, work)
        if self._traces and time.monotonic() >= self._scrub_at_s:
            await self.scrub()  # what fails is done by a later commit
        return planned

    async def kept(self, stream: str, prefix: str, most: int = CIVIC_READ_MAX) -> list[tuple[str, bytes]]:
        """See `CivicStore.kept`."""

        def work(db: Db) -> list[tuple[str, bytes]]:
            found = stream_row(db, stream)
            return KeptRows(db, found[0]).under(prefix, most) if found else []

        return await self._run(stream, work)

    async def sealed(self, stream: str, index: int) -> Sealed | None:
        """See `CivicStore.sealed`."""

        def work(db: Db) -> Sealed | None:
            number, _ = stream_row(db, stream) or (0, None)
            body = sealed_row(db, number, index)
            return parse_sealed(body) if any(body) else None

        return await self._run(stream, work)

    async def check(self) -> list[Fault]:
        """See `CivicStore.check`; all of it as it was at one instant."""
        return await self.at_one_instant(lambda rows: check_rows(rows, psycopg.InternalError))

    async def close(self) -> None:
        """See `CivicStore.close`; it is done even if the caller is being cancelled."""
        self._closed = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for lane in (self._slow, self._scrubs, *self._lanes.values()):
                    nursery.start_soon(lane.close)

    # ---- for an operator's tools, in minutes where the others have seconds

    async def at_one_instant(self, look: Callable[[Rows], T]) -> T:
        """What is seen in all tables as they are now; a holder may write meanwhile. It may raise StorageFailed."""

        def work(db: Db) -> T:
            db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            db.execute("SET LOCAL statement_timeout = 0")
            db.execute(f"SET LOCAL search_path = {TABLES.schema}")
            seen = look(Rows(db))
            db.execute("ROLLBACK")
            return seen

        return await self._told(self._slow, work)

    async def server(self) -> Server:
        """What the server says of itself; nothing is made or changed. It may raise StorageFailed."""

        def work(db: Db) -> Server:
            query = "SELECT current_setting('fsync') = 'on', current_setting('synchronous_standby_names')"
            ((flushes, names),) = db.execute(query).fetchall()
            return Server(1 + _standbys(names), flushes)

        return await self._told(self._slow, work, made=True)

    async def mend(self, stream: str, row: Row, change: Callable[[Db, int], Row]) -> None:
        """One durable transaction: if the stream's row is `row`, `change` what its number has; the row is then that.

        It may raise StorageFailed, `busy` if the row is another.

        Raises:
            CommitUnknown: it may have become durable, all of it.
        """

        def work(db: Db) -> None:
            db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            taken = self._checked(lock_stream(db, stream))
            if taken.row != row:
                raise StorageFailed("busy", f"Somebody writes to {stream} meanwhile: end all nodes first.")
            put_stream(db, taken.number, stream, change(db, taken.number))
            commit_or_unknown(db)

        await self._told(self._slow, work)

    async def scrub(self) -> bool:
        """Write those parts of the tables anew in which something was overwritten; whether nothing is left to do."""
        self._scrub_at_s = time.monotonic() + _SCRUB_AGAIN_S
        with suppress(StorageFailed):
            self._traces = await self._told(self._scrubs, left_of_traces)
        return not self._traces

    # ---- the connections

    def _lane(self, call_s: float) -> Lane:
        return Lane(self._conninfo, call_s, TABLES.schema, (StorageFailed, CommitUnknown, RemoteError))

    async def _run(self, stream: str, work: Callable[[Db], T]) -> T:
        lane = self._lanes.get(stream)
        if lane is None:
            lane = self._lanes[stream] = self._lane(self._call_s)
        return await self._told(lane, work)

    async def _told(self, lane: Lane, work: Callable[[Db], T], *, made: bool = False) -> T:
        """What the work comes to, on tables that are there; `made`: it needs none."""

        def on_tables(db: Db) -> T:
            if not self._made and not made:
                TABLES.make(db)
                self._made = True
            return work(db)

        if self._closed:
            raise StorageFailed("closed", "The civic store is closed.")
        try:
            return await lane.run(on_tables)
        except StorageFailed as error:
            if error.reason in _ELSEWHERE:
                lane.turn()
            raise
        except CoordinationDown as error:
            reason = _REASONS.get(error.reason, error.reason)
            raise StorageFailed(reason, f"The civic store in PostgreSQL: {error}") from None

    # ---- in a worker thread

    def _checked(self, taken: Taken) -> Taken:
        """What was taken; a newer release's tables, or what would be on too few disks, are not written to."""
        TABLES.check(taken.schema)
        self._copies = 1 + _standbys(taken.standbys)
        if self._copies < self._copies_min:
            raise StorageFailed(
                "copies",
                f"PostgreSQL answers a commit when it is on {self._copies} disk(s), and this civic store is to have "
                f"{self._copies_min}: set its synchronous_standby_names.",
            )
        return taken


def _standbys(names: str) -> int:
    """How many standbys a commit waits for, by `synchronous_standby_names`."""
    counted = _COUNT.match(names)
    return int(counted[1]) if counted else int(bool(names.strip()))
