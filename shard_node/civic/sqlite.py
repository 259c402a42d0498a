"""The civic store in one SQLite file: write-ahead log, flushed at each commit.

A batch is one transaction. It begins with an update of the stream's row that must hit it as the holder knows it, and
so holds the file's write lock while it decides. When its COMMIT fails, whole frames of it may be in the write-ahead
log, to be found there after a crash: nobody knows. The connection is dropped then, as after every other failure, and
the next call opens the file anew. A new fence is a committed write of its own: once it is durable, so is all before it.

Each row carries a checksum over all it says and where it stands. The file lies in the node's data directory, whose lock
proves that the process which wrote it before has ended.

What is erased is overwritten with zeros where it stands. No row of what is sealed is ever taken away, changed in length
or put before another, so SQLite never moves one to another page, where a copy of it could stay behind. What the
write-ahead log still holds of it is gone once that has been emptied into the file, which is done at once, and if a
reader stands in the way (a backup) again with each later call until it has succeeded.
"""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from p2pworld.civic.batch import named_entries
from p2pworld.civic.transaction import parse_sealed
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.rows import (
    answer_row,
    check_rows,
    checksum,
    entry_of,
    known_of,
    sealed_of,
    stream_of,
)
from shard_node.civic.store import CommitUnknown, Row
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from p2pworld.civic.batch import Known, Plan
    from p2pworld.civic.transaction import Sealed, Submission
    from shard_node.civic.store import Fault, MakePlan

__all__ = ["SCHEMA", "SqliteCivicStore"]

SCHEMA: Final = 1  # newer is refused
_APPLICATION_ID: Final = 0x7032706C  # "p2pl"
_BUSY_S: Final = 2.0  # an operator's tool may be reading

# No text: bytes that a disk has garbled are read as they are, and found by their checksum.
_TABLES: Final = """
CREATE TABLE stream (
    id INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, epoch INTEGER NOT NULL, fences INTEGER NOT NULL,
    size INTEGER NOT NULL, checksum BLOB NOT NULL
) STRICT;
CREATE TABLE entry (
    stream INTEGER NOT NULL, number INTEGER NOT NULL, leaf BLOB NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (stream, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE answer (
    stream INTEGER NOT NULL, key BLOB NOT NULL, fingerprint BLOB NOT NULL, number INTEGER, refusal BLOB,
    checksum BLOB NOT NULL, PRIMARY KEY (stream, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE sealed (
    stream INTEGER NOT NULL, number INTEGER NOT NULL, body BLOB NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (stream, number)
) STRICT;
"""

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

    async def fence(self, stream: str, epoch: int) -> Row:
        """See `CivicStore.fence`."""

        def work(db: sqlite3.Connection) -> Row:
            db.execute("BEGIN IMMEDIATE")
            found = _stream(db, stream)
            number, row = found or (None, Row(0, 0, 0))
            if row.epoch > epoch:
                db.execute("ROLLBACK")
                return row
            row = Row(epoch, row.fences + 1, row.size)
            if number is None:
                number = db.execute("SELECT coalesce(max(id), 0) + 1 FROM stream").fetchone()[0]
                db.execute("INSERT INTO stream VALUES (?, ?, 0, 0, 0, x'')", [number, stream.encode()])
            _put_stream(db, number, stream, row)
            _commit(db)
            return row

        return await self._run(work)

    async def row(self, stream: str) -> Row | None:
        """See `CivicStore.row`."""

        def work(db: sqlite3.Connection) -> Row | None:
            found = _stream(db, stream)
            return found[1] if found else None

        return await self._run(work)

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        """See `CivicStore.entries`."""
        if not 0 <= begin <= end <= begin + CIVIC_READ_MAX:
            raise LocalError(f"entries {begin} to {end} are not given at once")

        def work(db: sqlite3.Connection) -> list[bytes]:
            found = _stream(db, stream)
            number, row = found or (0, Row(0, 0, 0))
            if end > row.size:
                raise LocalError(f"{stream} has {row.size} entries, not {end}")
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
            found = _stream(db, stream) if hit.rowcount == 1 else None
            if found is None:
                db.execute("ROLLBACK")
                return None
            number = found[0]
            keys = {submission.filing.key for submission in submissions}
            known = {key: there for key in keys if (there := _known(db, number, key))}
            named = {index: _entry(db, number, index) for index in named_entries(row.size, submissions)}
            planned = plan(row.size, row.epoch, submissions, known, named)
            if not planned.learned:  # nothing but retries
                db.execute("ROLLBACK")
                return planned
            _write(db, number, row.size, submissions, planned)
            _put_stream(db, number, stream, Row(row.epoch, row.fences, row.size + len(planned.entries)))
            self._traces |= bool(planned.erased)
            _commit(db)
            return planned

        return await self._run(work)

    async def sealed(self, stream: str, index: int) -> Sealed | None:
        """See `CivicStore.sealed`."""

        def work(db: sqlite3.Connection) -> Sealed | None:
            found = _stream(db, stream)
            number = found[0] if found else 0
            query = "SELECT * FROM sealed WHERE stream = ? AND number = ?"
            row = db.execute(query, [number, index]).fetchone()
            body = sealed_of(*row) if row else b""
            return parse_sealed(body) if any(body) else None

        return await self._run(work)

    async def check(self) -> list[Fault]:
        """See `CivicStore.check`."""
        return await self._run(check_rows)

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
                    self._traces = not _emptied(self._open())
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
            db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                _prepare(db, self._path, self._pages_max)
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


def _prepare(db: sqlite3.Connection, path: Path, pages_max: int | None) -> None:
    """Make an empty file a store, and refuse what is none, or a newer one's, before anything in it is changed."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    new = (application_id, schema, tables) == (0, 0, 0)
    if not new and application_id != _APPLICATION_ID:
        raise StorageFailed("foreign", f"The file {path} is a database of another program.")
    if schema > SCHEMA:
        raise StorageFailed(
            "newer",
            f"The civic store {path} is of schema {schema}; this program reads up to {SCHEMA}: update it.",
        )
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")  # what is erased is not to be found in free pages
    if pages_max is not None:
        db.execute(f"PRAGMA max_page_count = {int(pages_max)}")
    if new:
        db.execute("BEGIN IMMEDIATE")
        for statement in _TABLES.strip().split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")


def _commit(db: sqlite3.Connection) -> None:
    try:
        db.execute("COMMIT")
    except sqlite3.Error as error:
        raise CommitUnknown(f"the civic store failed while it committed: {error}") from error


def _stream(db: sqlite3.Connection, stream: str) -> tuple[int, Row] | None:
    row = db.execute("SELECT * FROM stream WHERE name = ?", [stream.encode()]).fetchone()
    return stream_of(*row) if row else None


def _put_stream(db: sqlite3.Connection, number: int, stream: str, row: Row) -> None:
    said = (row.epoch, row.fences, row.size)
    db.execute(
        "UPDATE stream SET epoch = ?, fences = ?, size = ?, checksum = ? WHERE id = ?",
        [*said, checksum(b"stream", number, stream.encode(), *said), number],
    )


def _known(db: sqlite3.Connection, number: int, key: bytes) -> Known | None:
    row = db.execute("SELECT * FROM answer WHERE stream = ? AND key = ?", [number, key]).fetchone()
    return known_of(*row) if row else None


def _entry(db: sqlite3.Connection, number: int, index: int) -> bytes:
    row = db.execute("SELECT * FROM entry WHERE stream = ? AND number = ?", [number, index]).fetchone()
    if row is None:
        raise StorageFailed("corrupt", f"In the civic store entry {index} of stream {number} is missing.")
    return entry_of(*row)


def _emptied(db: sqlite3.Connection) -> bool:
    """Whether the write-ahead log is an empty file now; nobody is waited for who reads from it."""
    db.execute("PRAGMA busy_timeout = 0")
    try:
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error:  # what was committed is committed; a disk that fails now is told by the next call
        return False
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(_BUSY_S * 1000)}")
    return not busy


def _write(
    db: sqlite3.Connection, number: int, size: int, submissions: Sequence[Submission], planned: Plan
) -> None:
    entries = [
        (number, at, leaf, checksum(b"entry", number, at, leaf))
        for at, leaf in enumerate(planned.entries, size)
    ]
    db.executemany("INSERT INTO entry VALUES (?, ?, ?, ?)", entries)
    answers = [answer_row(number, key, learned) for key, learned in planned.learned.items()]
    db.executemany("INSERT INTO answer VALUES (?, ?, ?, ?, ?, ?)", answers)
    # where a transaction comes twice in one batch, the first is the one that was planned
    first: dict[bytes, Submission] = {}
    for submission in submissions:
        first.setdefault(submission.filing.key, submission)
    for key, learned in planned.learned.items():
        sealed = first[key].sealed
        if sealed is not None and isinstance(learned.outcome, int):
            body = sealed.to_bytes()
            if learned.outcome in planned.erased:
                body = bytes(len(body))
            row = (number, learned.outcome, body, checksum(b"sealed", number, learned.outcome, body))
            db.execute("INSERT INTO sealed VALUES (?, ?, ?, ?)", row)
    for index in planned.erased:
        _erase(db, number, index)


def _erase(db: sqlite3.Connection, number: int, index: int) -> None:
    """Overwrite what is sealed with an entry, if anything is."""
    query = "SELECT length(body) FROM sealed WHERE stream = ? AND number = ?"
    found = db.execute(query, [number, index]).fetchone()
    if found is not None:
        body = bytes(found[0])
        db.execute(
            "UPDATE sealed SET body = ?, checksum = ? WHERE stream = ? AND number = ?",
            [body, checksum(b"sealed", number, index, body), number, index],
        )
