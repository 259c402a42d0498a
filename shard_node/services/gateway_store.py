"""What a gateway keeps of the requests it files for others, in one SQLite file, so that a retry files the same bytes.

A row is there before anything is sent: the whole submission, which is sealed for the office already. When the log has
answered, those bytes are destroyed, and what is left says where the entry stands, or why there is none. Neither the
secrets that the submission was made of nor the key under which the request came (`Idempotency-Key`) are ever written:
the row has the hash of that key as its name, and the one secret needed to go on (the seed of the filing's own key)
locked under that key. So whoever steals the file can open nothing, and whoever asked can follow the request.

The file lies in the node's data directory, whose lock proves that no other process writes it.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from p2pworld.limits import GATEWAY_KEPT_DAYS, GATEWAY_OPEN_MAX
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["GATEWAY_STORE_NAME", "GatewayRow", "GatewayStore"]

GATEWAY_STORE_NAME: Final = "gateway.sqlite"  # in a node's data directory
FORMAT: Final = 1
_BUSY_S: Final = 2.0  # somebody may be making a copy
_DAY_MINUTES: Final = 1_440
T = TypeVar("T")

_TABLES: Final = (
    "CREATE TABLE filing (name BLOB PRIMARY KEY, content BLOB NOT NULL, service TEXT NOT NULL, stream TEXT NOT NULL,"
    " minute INTEGER NOT NULL, key BLOB NOT NULL, seed BLOB NOT NULL, submission BLOB, entry INTEGER,"
    " refusal TEXT) WITHOUT ROWID",
    "CREATE INDEX filing_open ON filing (minute) WHERE submission IS NOT NULL",
)
_ONE: Final = (
    "SELECT name, content, service, stream, minute, key, seed, submission, entry, refusal FROM filing"
)


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One request: `name` and `content` are hashes of what it came under and said; `key` is the filing's public key.

    Open while there is a `submission`; then it has its `entry`, or the reason of its `refusal`.
    """

    name: bytes
    content: bytes
    service: str
    stream: str
    minute: int
    key: bytes
    seed: bytes
    submission: bytes | None = None
    entry: int | None = None
    refusal: str | None = None


class GatewayStore:
    """The rows in the file at `path`, which is made when it is first needed.

    Every call raises StorageFailed when the file cannot be used; what it was to do is then not done, or nobody knows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._limiter = trio.CapacityLimiter(1)
        self._connection: sqlite3.Connection | None = None  # of the thread that holds the limiter

    async def row(self, name: bytes) -> GatewayRow | None:
        """The request of this name."""
        return await self._run(lambda db: _row(db, name))

    async def begin(self, row: GatewayRow, instead_of: str | None = None) -> GatewayRow | None:
        """Keeps a new request; the one that is there, if there is one of this name, but for one refused so. None if too
        many are open."""

        def work(db: sqlite3.Connection) -> GatewayRow | None:
            there = _row(db, row.name)
            if there is not None and (instead_of is None or there.refusal != instead_of):
                return there
            (count,) = db.execute("SELECT count(*) FROM filing WHERE submission IS NOT NULL").fetchone()
            if count >= GATEWAY_OPEN_MAX:
                return None
            values = (row.name, row.content, row.service, row.stream, row.minute, row.key, row.seed)
            db.execute(
                "INSERT OR REPLACE INTO filing VALUES (?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL)",
                (*values, row.submission),
            )
            return row

        return await self._run(work)

    async def answered(self, name: bytes, entry: int | None, refusal: str | None = None) -> None:
        """The log has taken it as this entry, or declined it: the bytes that were sent are destroyed."""

        def work(db: sqlite3.Connection) -> None:
            db.execute(
                "UPDATE filing SET submission = NULL, entry = ?, refusal = ?"
                " WHERE name = ? AND submission IS NOT NULL",
                (entry, refusal, name),
            )

        await self._run(work)

    async def open_rows(self, most: int) -> list[GatewayRow]:
        """The oldest requests that the log has not answered."""
        query = f"{_ONE} WHERE submission IS NOT NULL ORDER BY minute LIMIT ?"
        return await self._run(lambda db: [GatewayRow(*each) for each in db.execute(query, (most,))])

    async def forget_before(self, now_minute: int) -> int:
        """Forgets what was answered long ago; how many those were."""
        before = now_minute - GATEWAY_KEPT_DAYS * _DAY_MINUTES
        query = "DELETE FROM filing WHERE submission IS NULL AND minute < ?"
        return await self._run(lambda db: db.execute(query, (before,)).rowcount)

    async def close(self) -> None:
        """Lets go of the file, even if the caller is being cancelled."""
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._drop, limiter=self._limiter)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def in_thread() -> T:
            try:
                db = self._open()
                db.execute("BEGIN IMMEDIATE")
                done = work(db)
                db.execute("COMMIT")
            except sqlite3.Error as error:
                self._drop()  # what was begun ends with the connection
                raise failure(error, f"The gateway's store {self._path}") from error
            return done

        return await trio.to_thread.run_sync(in_thread, limiter=self._limiter)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            with suppress(OSError):  # nobody else is to read it; SQLite gives its other files the same mode
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            db = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                _prepare(db, self._path)
            except (sqlite3.Error, StorageFailed):
                db.close()
                raise
            self._connection = db
        return self._connection

    def _drop(self) -> None:
        db, self._connection = self._connection, None
        if db is not None:
            # emptying the log into the file may fail; it is done at the next opening
            with suppress(sqlite3.Error):
                db.close()


def _prepare(db: sqlite3.Connection, path: Path) -> None:
    """Raises StorageFailed: of a newer format."""
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > FORMAT:
        raise StorageFailed("newer", f"{path} was written by a newer release (format {version}).")
    if version == 0:
        db.execute("BEGIN IMMEDIATE")
        for statement in _TABLES:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {FORMAT}")
        db.execute("COMMIT")


def _row(db: sqlite3.Connection, name: bytes) -> GatewayRow | None:
    found = db.execute(f"{_ONE} WHERE name = ?", (name,)).fetchone()
    return GatewayRow(*found) if found else None
