"""The civic store in one SQLite file: write-ahead log, flushed at each commit.

A batch is one transaction. It begins with an update of the stream's row that must hit it as the holder knows it, and
so holds the file's write lock while it decides. When its COMMIT fails, whole frames of it may be in the write-ahead
log, to be found there after a crash: nobody knows. The connection is dropped then, as after every other failure, and
the next call opens the file anew. A new fence is a committed write of its own: once it is durable, so is all before it.

The file lies in the node's data directory, whose lock proves that the process which wrote it before has ended.

When something was erased the write-ahead log is emptied into the file and cut off at once, and if a reader stands in
the way (a backup), again with each later call until it has succeeded.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import trio

from p2pworld.civic.batch import named_entries
from p2pworld.civic.transaction import parse_sealed
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.rows import entry_of, sealed_of
from shard_node.civic.store import CommitUnknown, Row
from shard_node.civic.tables import (
    BUSY_S,
    KeptRows,
    begin_stream,
    check,
    empty_log,
    entry_row,
    known_row,
    prepare,
    put_stream,
    stream_row,
    write,
)
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Sealed, Submission
    from shard_node.civic.store import Fault, MakePlan

__all__ = ["SqliteCivicStore"]

T = TypeVar("T")


class SqliteCivicStore:
    """The `CivicStore` in the file at `path`, made when it is first needed; `pages_max` bounds it (4 KiB each)."""

    def __init__(self, path: Path, pages_max: int | None = None) -> None:
        self._path = path
        self._pages_max = pages_max
        self._limiter = trio.CapacityLimiter(1)
        self._closed = False
        # Only the thread that holds the limiter touches these.
        self._connection: sqlite3.Connection | None = None
        self._traces = True  # something erased may be in the write-ahead log, of an earlier process too

    # ---- the interface

    @property
    def copies(self) -> int:
        """See `CivicStore.copies`."""
        return 1

    async def fence(self, stream: str, epoch: int) -> Row:
        """See `CivicStore.fence`."""

        def work(db: sqlite3.Connection) -> Row:
            db.execute("BEGIN IMMEDIATE")
            found = stream_row(db, stream)
            number, row = found or (None, Row(0, 0, 0))
            if row.epoch > epoch:
                db.execute("ROLLBACK")
                return row
            row = Row(epoch, row.fences + 1, row.size)
            if number is None:
                number = begin_stream(db, stream)
            put_stream(db, number, stream, row)
            _commit(db)
            return row

        return await self._run(work)

    async def row(self, stream: str) -> Row | None:
        """See `CivicStore.row`."""

        def work(db: sqlite3.Connection) -> Row | None:
            found = stream_row(db, stream)
            return found[1] if found else None

        return await self._run(work)

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        """See `CivicStore.entries`."""
        if not 0 <= begin <= end <= begin + CIVIC_READ_MAX:
            raise LocalError(f"entries {begin} to {end} are not given at once")

        def work(db: sqlite3.Connection) -> list[bytes]:
            found = stream_row(db, stream)
            number, row = found or (0, Row(0, 0, 0))
            if end > row.size:
                raise StorageFailed("behind", f"{stream} has {row.size} entries where there were {end}.")
            query = "SELECT * FROM entry WHERE stream = ? AND number >= ? AND number < ? ORDER BY number"
            there = [entry_of(*each) for each in db.execute(query, [number, begin, end])]
            if len(there) != end - begin:
                raise StorageFailed("corrupt", f"Entries of {stream} from {begin} to {end} are missing.")
            return there

        return await self._run(work)

    async def commit(
        self, stream: str, row: Row, submissions: Sequence[Submission], plan: MakePlan
    ) -> Plan | None:
        """See `CivicStore.commit`. A caller that is cancelled waits for the outcome."""

        def work(db: sqlite3.Connection) -> Plan | None:
            db.execute("BEGIN IMMEDIATE")
            hit = db.execute(
                "UPDATE stream SET size = size WHERE name = ? AND epoch = ? AND fences = ? AND size = ?",
                [stream.encode(), row.epoch, row.fences, row.size],
            )
            found = stream_row(db, stream) if hit.rowcount == 1 else None
            if found is None:
                db.execute("ROLLBACK")
                return None
            number = found[0]
            keys = {submission.filing.key for submission in submissions}
            known = {key: there for key in keys if (there := known_row(db, number, key))}
            named = {index: entry_row(db, number, index) for index in named_entries(row.size, submissions)}
            planned = plan(row.size, row.epoch, submissions, known, named, kept=KeptRows(db, number))
            if not planned.writes:  # nothing but retries
                db.execute("ROLLBACK")
                return planned
            write(db, number, row.size, submissions, planned)
            put_stream(db, number, stream, Row(row.epoch, row.fences, row.size + len(planned.entries)))
            self._traces |= bool(planned.erased)
            _commit(db)
            return planned

        return await self._run(work)

    async def kept(self, stream: str, prefix: str, most: int = CIVIC_READ_MAX) -> list[tuple[str, bytes]]:
        """See `CivicStore.kept`."""

        def work(db: sqlite3.Connection) -> list[tuple[str, bytes]]:
            found = stream_row(db, stream)
            return KeptRows(db, found[0]).under(prefix, most) if found else []

        return await self._run(work)

    async def sealed(self, stream: str, index: int) -> Sealed | None:
        """See `CivicStore.sealed`."""

        def work(db: sqlite3.Connection) -> Sealed | None:
            found = stream_row(db, stream)
            number = found[0] if found else 0
            query = "SELECT * FROM sealed WHERE stream = ? AND number = ?"
            row = db.execute(query, [number, index]).fetchone()
            body = sealed_of(*row) if row else b""
            return parse_sealed(body) if any(body) else None

        return await self._run(work)

    async def check(self) -> list[Fault]:
        """See `CivicStore.check`."""
        return await self._run(check)

    async def close(self) -> None:
        """See `CivicStore.close`; it is done even if the caller is being cancelled."""
        self._closed = True
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._drop, limiter=self._limiter)

    # ---- in the worker thread, one call at a time

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            if self._closed:
                raise StorageFailed("closed", "The civic store is closed.")
            try:
                done = work(self._open())
                if self._traces:
                    self._traces = not empty_log(self._open())
                return done
            except (sqlite3.Error, StorageFailed, CommitUnknown, RemoteError) as error:
                self._drop()  # whatever was begun ends with the connection
                if isinstance(error, sqlite3.Error):
                    raise failure(error, f"The civic store {self._path}") from error
                raise
            finally:
                if self._connection is not None and self._connection.in_transaction:
                    self._drop()

        # not abandoned on cancel: a transaction whose outcome nobody reads would be neither done nor undone
        return await trio.to_thread.run_sync(in_thread, limiter=self._limiter)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            with suppress(
                OSError
            ):  # whoever else may not read it; SQLite gives its other files the same mode
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(self._path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                prepare(db, self._path, self._pages_max)
            except (sqlite3.Error, StorageFailed):
                db.close()
                raise
            self._connection = db
        return self._connection

    def _drop(self) -> None:
        db, self._connection = self._connection, None
        if db is not None:
            with suppress(
                sqlite3.Error
            ):  # emptying the log into the file may fail; it is done at the next opening
                db.close()


def _commit(db: sqlite3.Connection) -> None:
    try:
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise CommitUnknown(f"the civic store failed while it committed: {error}") from error
