"""A coordination store in one SQLite file: for all the nodes of one machine.

Every write is one `BEGIN IMMEDIATE` transaction, synced to the disk (WAL, synchronous FULL) before it is answered, so
the file's lock is what orders the city. All SQLite work runs in worker threads, one call at a time, bounded by the busy
timeout. A call that is cancelled is either not begun or finished: it never leaves a transaction open. After a failure
whose outcome is not certain the connection is dropped, and the next call opens the file anew.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from p2pworld.errors import RemoteError
from p2pworld.ids import Incarnation
from p2pworld.limits import NOTICES_MAX, RECORDS_MAX
from p2pworld.membership import Lease
from p2pworld.world.citymap import EMPTY, CityMap, decode
from shard_node.coordination import rules
from shard_node.coordination.interface import (
    Board,
    CoordinationDown,
    OutcomeUnknown,
    Proposed,
    Registration,
    Snapshot,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["HISTORY_KEPT", "SCHEMA", "SqliteCoordination"]

SCHEMA: Final = 1  # newer is refused
HISTORY_KEPT: Final = 64  # maps, to look back at what happened: at most 64 * 330 kB
_BUSY_S: Final = 0.25  # within one renewal interval, so that a locked store is noticed before the next
_POLL_S: Final = 0.1  # how soon a change by another process is seen
_APPLICATION_ID: Final = 0x70327063  # "p2pc"

_TABLES: Final = """
CREATE TABLE node (key BLOB PRIMARY KEY, last_number INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE lease (
    node BLOB NOT NULL, number INTEGER NOT NULL, counter INTEGER NOT NULL, ended INTEGER NOT NULL, ttl_s REAL NOT NULL,
    link_url TEXT NOT NULL, play_url TEXT NOT NULL, web_url TEXT NOT NULL,
    PRIMARY KEY (node, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE map (version INTEGER PRIMARY KEY, form BLOB NOT NULL) STRICT;
"""
# beside the schema, since an older release need not know of it to keep all that it relies on
_BOARD: Final = """
CREATE TABLE IF NOT EXISTS notice (
    number INTEGER PRIMARY KEY AUTOINCREMENT, name BLOB UNIQUE NOT NULL, body BLOB NOT NULL
) STRICT
"""
_RECORDS: Final = (
    "CREATE TABLE IF NOT EXISTS record (name TEXT PRIMARY KEY, form BLOB NOT NULL) STRICT, WITHOUT ROWID"
)

T = TypeVar("T")


class SqliteCoordination:
    """The Coordination of one file; any number of processes may open it."""

    def __init__(self, path: Path, *, busy_s: float = _BUSY_S, poll_s: float = _POLL_S) -> None:
        self._path = path
        self._busy_s = busy_s
        self._poll_s = poll_s
        self._limiter = trio.CapacityLimiter(1)
        self._closed = False
        self._changed = trio.Event()
        # Only the thread that holds the limiter touches these two.
        self._connection: sqlite3.Connection | None = None
        self._decoded: tuple[bytes, CityMap] = (b"", EMPTY)

    # ---- the interface

    async def register(self, record: Registration, ttl_s: float, ends: Incarnation | None) -> int:
        """See `Coordination.register`."""

        def work(db: sqlite3.Connection) -> int:
            city = self._newest(db)
            living = db.execute("SELECT node, number, ttl_s FROM lease WHERE NOT ended").fetchall()
            last_s = [(Incarnation(node, number), each_s) for node, number, each_s in living]
            rules.check_registration(record, ttl_s, ends, city, last_s)
            row = db.execute("SELECT last_number FROM node WHERE key = ?", [record.node]).fetchone()
            number = rules.next_number(row[0] if row else 0, city, ends)
            db.execute("INSERT OR REPLACE INTO node VALUES (?, ?)", [record.node, number])
            if ends is not None:
                db.execute(
                    "UPDATE lease SET ended = 1 WHERE node = ? AND number <= ?", [record.node, ends.number]
                )
            numbers = db.execute("SELECT number FROM lease WHERE node = ?", [record.node]).fetchall()
            for old in rules.forgettable(record, number, city, [old for (old,) in numbers]):
                db.execute("DELETE FROM lease WHERE node = ? AND number = ?", [record.node, old])
            db.execute(
                "INSERT INTO lease VALUES (?, ?, 0, 0, ?, ?, ?, ?)",
                [record.node, number, ttl_s, record.link_url, record.play_url, record.web_url],
            )
            return number

        return await self._write(work)

    async def renew(self, who: Incarnation) -> bool:
        """See `Coordination.renew`."""

        def work(db: sqlite3.Connection) -> bool:
            found = db.execute(
                "UPDATE lease SET counter = counter + 1 WHERE node = ? AND number = ? AND NOT ended", [*who]
            )
            return found.rowcount == 1

        return await self._write(work)

    async def read(self, known_version: int) -> Snapshot:
        """See `Coordination.read`."""

        def work(db: sqlite3.Connection) -> Snapshot:
            db.execute("BEGIN")  # one snapshot for map and leases
            version = _version(db)
            city = None if version == known_version else self._newest(db)
            leases = _leases(db)
            db.execute("COMMIT")
            return Snapshot(version, city, tuple(leases.values()))

        return await self._run(work)

    async def propose(self, city: CityMap, expected_version: int, victim: Lease | None = None) -> Proposed:
        """See `Coordination.propose`."""
        form = rules.checked_form(city, expected_version)

        def work(db: sqlite3.Connection) -> Proposed:
            before = self._newest(db)
            reason = rules.why_refused(city, before, expected_version, victim, _leases(db))
            if reason is not None:
                return Proposed(False, before.version, reason)
            if victim is not None:
                db.execute("UPDATE lease SET ended = 1 WHERE node = ? AND number = ?", [*victim.who])
            for node, number in db.execute("SELECT node, number FROM lease WHERE ended").fetchall():
                if not city.is_listed(Incarnation(node, number)):
                    db.execute("DELETE FROM lease WHERE node = ? AND number = ?", [node, number])
            db.execute("INSERT INTO map VALUES (?, ?)", [city.version, form])
            db.execute(
                "DELETE FROM map WHERE version NOT IN (SELECT version FROM map ORDER BY version DESC LIMIT ?)",
                [HISTORY_KEPT],
            )
            return Proposed(True, city.version)

        proposed = await self._write(work, proposing=True)
        if proposed.ok:
            self._changed.set()
            self._changed = trio.Event()
        return proposed

    async def wait_change(self, after_version: int, timeout_s: float) -> int:
        """See `Coordination.wait_change`."""
        version = after_version
        with trio.move_on_after(timeout_s):
            while True:
                changed = self._changed
                version = await self._run(_version)
                if version != after_version:
                    return version
                with trio.move_on_after(self._poll_s):
                    await changed.wait()
        return version

    async def end(self, who: Incarnation) -> None:
        """See `Coordination.end`."""

        def work(db: sqlite3.Connection) -> None:
            db.execute("UPDATE lease SET ended = 1 WHERE node = ? AND number = ?", [*who])

        await self._write(work)

    async def notices(self, known: int) -> Board:
        """See `Coordination.notices`."""

        def work(db: sqlite3.Connection) -> Board:
            if not _has(db, "notice"):
                return Board(0, None if known == 0 else {})
            db.execute("BEGIN")
            row = db.execute("SELECT seq FROM sqlite_sequence WHERE name = 'notice'").fetchone()
            number = int(row[0]) if row else 0
            rows = db.execute("SELECT name, body FROM notice").fetchall() if number != known else None
            db.execute("COMMIT")
            return Board(number, None if rows is None else dict(rows))

        return await self._run(work)

    async def post(self, name: bytes, notice: bytes) -> bool:
        """See `Coordination.post`."""

        def work(db: sqlite3.Connection) -> bool:
            db.execute(_BOARD)
            if db.execute("SELECT 1 FROM notice WHERE name = ?", [name]).fetchone():
                return True
            if db.execute("SELECT count(*) FROM notice").fetchone()[0] >= NOTICES_MAX:
                return False
            db.execute("INSERT INTO notice (name, body) VALUES (?, ?)", [name, notice])
            return True

        return await self._write(work)

    async def take_down(self, name: bytes) -> None:
        """See `Coordination.take_down`."""

        def work(db: sqlite3.Connection) -> None:
            if _has(db, "notice"):
                db.execute("DELETE FROM notice WHERE name = ?", [name])

        await self._write(work)

    async def read_record(self, name: str) -> bytes | None:
        """See `Records.read_record`."""

        def work(db: sqlite3.Connection) -> bytes | None:
            return _record(db, name) if _has(db, "record") else None

        return await self._run(work)

    async def put_record(self, name: str, before: bytes | None, record: bytes) -> bytes | None:
        """See `Records.put_record`."""
        rules.check_record(record)

        def work(db: sqlite3.Connection) -> bytes | None:
            db.execute(_RECORDS)
            there = _record(db, name)
            if there != before:
                return there
            if there is None and db.execute("SELECT count(*) FROM record").fetchone()[0] >= RECORDS_MAX:
                raise rules.too_many_records(self._path)
            db.execute("INSERT OR REPLACE INTO record VALUES (?, ?)", [name, record])
            return record

        return await self._write(work, proposing=True)

    async def close(self) -> None:
        """See `Coordination.close`; it is done even if the caller is being cancelled."""
        self._closed = True
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._drop, limiter=self._limiter)

    # ---- in the worker thread, one call at a time

    async def _write(self, work: Callable[[sqlite3.Connection], T], *, proposing: bool = False) -> T:
        """Run `work` in one transaction, durable before its result is returned."""

        def transaction(db: sqlite3.Connection) -> T:
            db.execute("BEGIN IMMEDIATE")
            result = work(db)
            try:
                db.execute("COMMIT")
            except sqlite3.Error as error:
                # Its frames may be in the log file whole, to be found there after a crash: nobody knows.
                self._drop()
                if proposing:
                    raise OutcomeUnknown(
                        f"the coordination store failed while it committed: {error}"
                    ) from error
                raise
            return result

        return await self._run(transaction)

    async def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            if self._closed:
                raise CoordinationDown("closed", "the coordination store has been closed")
            try:
                return call(self._open())
            except sqlite3.Error as error:
                down = _down(error, self._path)
                if down.reason not in ("busy", "full"):
                    self._drop()
                raise down from error
            except RemoteError as error:
                raise rules.unreadable_map(self._path, error) from error
            finally:
                if self._connection is not None and self._connection.in_transaction:
                    self._roll_back(self._connection)

        return await trio.to_thread.run_sync(in_thread, limiter=self._limiter)

    def _roll_back(self, db: sqlite3.Connection) -> None:
        try:
            db.execute("ROLLBACK")
        except sqlite3.Error:  # closing the connection rolls back, too
            self._drop()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            db = sqlite3.connect(
                self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False
            )
            try:
                _prepare(db, self._path)
            except BaseException:
                db.close()
                raise
            self._connection = db
        return self._connection

    def _drop(self) -> None:
        db, self._connection = self._connection, None
        if db is not None:
            db.close()

    def _newest(self, db: sqlite3.Connection) -> CityMap:
        row = db.execute("SELECT form FROM map ORDER BY version DESC LIMIT 1").fetchone()
        if row is None:
            return EMPTY
        if row[0] != self._decoded[0]:
            self._decoded = row[0], decode(row[0])
        return self._decoded[1]


def _version(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT coalesce(max(version), 0) FROM map").fetchone()[0])


def _has(db: sqlite3.Connection, table: str) -> bool:
    return db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone() is not None


def _record(db: sqlite3.Connection, name: str) -> bytes | None:
    row = db.execute("SELECT form FROM record WHERE name = ?", [name]).fetchone()
    return row[0] if row else None


def _leases(db: sqlite3.Connection) -> dict[Incarnation, Lease]:
    rows = db.execute("SELECT node, number, counter, ended FROM lease ORDER BY node, number").fetchall()
    whose = [(Incarnation(node, number), counter, bool(ended)) for node, number, counter, ended in rows]
    return {who: Lease(who, counter, ended) for who, counter, ended in whose}


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Make a new file a store, and refuse what is none or is a newer one's before anything in it is changed."""
    db.execute("BEGIN")  # what is read is of one moment: another process may be making it just now
    try:
        made = _recognised(db, path)
    finally:
        db.execute("COMMIT")
    if not made:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("BEGIN IMMEDIATE")
        if not _recognised(db, path):  # another process may have been faster
            for statement in _TABLES.split(";\n"):
                db.execute(statement)
            db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
    db.execute("PRAGMA synchronous = FULL")


def _recognised(db: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is a store of this schema; False if it is empty."""
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application_id == 0 and schema == 0 and tables == 0:
        return False
    if application_id != _APPLICATION_ID:
        raise CoordinationDown("not_a_store", f"{path} is a database of another program")
    if schema > SCHEMA:
        raise CoordinationDown(
            "newer_schema",
            f"{path} was written by a newer release (schema {schema}, this one reads up to {SCHEMA}); update this node",
        )
    return True


_REASONS: Final = {
    sqlite3.SQLITE_BUSY: ("busy", "is locked by another process"),
    sqlite3.SQLITE_LOCKED: ("busy", "is locked by another process"),
    sqlite3.SQLITE_FULL: ("full", "cannot grow: the disk is full"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "is damaged; restore it from a copy and start a new generation"),
    sqlite3.SQLITE_NOTADB: ("not_a_store", "is no database"),
}


def _down(error: sqlite3.Error, path: Path) -> CoordinationDown:
    code = getattr(error, "sqlite_errorcode", None)
    reason, what = _REASONS.get((code or 0) & 0xFF, ("io", f"cannot be used: {error}"))
    return CoordinationDown(reason, f"the coordination store {path} {what}")
