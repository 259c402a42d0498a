"""The journal in one SQLite file: write-ahead log, flushed at each commit.

`state` has one row a cell, `delta` one row a change since, `record` one row for each other thing that is kept. Each row
carries a checksum over all it says, so that what a disk garbles is found when it is read. Writing a number again
replaces what stood there: the objects machine writes a failed change's number again, and so whatever a failing disk
kept of it is gone by then.

All of SQLite runs in one worker thread at a time. The format's version stands in the file: a newer one is refused, an
older one is migrated step by step in the transaction that raises the version.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from p2pworld.crdt import ObjectCell
from p2pworld.errors import RemoteError
from p2pworld.messages import SaveDelta, SaveRecord, SaveState
from p2pworld.world.objects import SavedCell
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from p2pworld.messages import Write

__all__ = [
    "APPLICATION",
    "FORMAT",
    "JOURNAL_NAME",
    "SqliteJournal",
    "checksum_of",
    "checksum_of_record",
    "failure",
    "write_new",
]

JOURNAL_NAME: Final = "journal.sqlite"  # in a node's data directory
FORMAT: Final = 2
APPLICATION: Final = 0x70325057  # "p2PW" in the file's header: no other program's database is touched
_BUSY_MS: Final = 2_000  # an operator's tool may be reading
_CHECKSUM_BYTES: Final = 8
_T = TypeVar("_T")

# What each format adds to the one before it; a file of format f has run the first f steps.
_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        "CREATE TABLE format (one INTEGER PRIMARY KEY CHECK (one = 1), version INTEGER NOT NULL)",
        "INSERT INTO format VALUES (1, 0)",
        "CREATE TABLE state (cell INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, n INTEGER NOT NULL,"
        " body BLOB NOT NULL, checksum BLOB NOT NULL)",
        "CREATE TABLE delta (cell INTEGER NOT NULL, epoch INTEGER NOT NULL, n INTEGER NOT NULL,"
        " body BLOB NOT NULL, checksum BLOB NOT NULL, PRIMARY KEY (cell, epoch, n)) WITHOUT ROWID",
    ),
    (
        "CREATE TABLE record (kind TEXT NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL, checksum BLOB NOT NULL,"
        " PRIMARY KEY (kind, id))",
    ),
)


class SqliteJournal:
    """A `Journal` in the SQLite file at `path`; made by `open`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = connection
        self._turn = trio.Lock()

    @classmethod
    async def open(cls, path: Path, pages_max: int | None = None) -> SqliteJournal:
        """Open the journal, making it if there is none; `pages_max` bounds the file, in pages of 4 KiB.

        Raises:
            StorageFailed: it is of a newer format, of another program, corrupt, or not to be opened.
        """
        return cls(path, await trio.to_thread.run_sync(_connect, path, pages_max))

    async def recover(self) -> dict[int, SavedCell]:
        """Every cell, its deltas merged into its state; see `Journal`."""
        return await self._run(_recover)

    async def recover_records(self) -> tuple[SaveRecord, ...]:
        """Every record; see `Journal`."""
        return await self._run(_records)

    async def append(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable as one; see `Journal`. A caller that is cancelled waits for the outcome."""
        await self._run(lambda connection: _append(connection, writes))

    async def scrub(self, after: int) -> tuple[int, bool]:
        """Look at one cell as it is on the disk now; see `Journal`."""
        return await self._run(lambda connection: _scrub(connection, after))

    async def close(self) -> None:
        """Let go of the file, its write-ahead log emptied into it."""
        with trio.CancelScope(shield=True):
            async with self._turn:
                connection, self._connection = self._connection, None
                if connection is not None:
                    await trio.to_thread.run_sync(connection.close)

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        async with self._turn:
            connection = self._connection
            if connection is None:
                raise StorageFailed("closed", "The journal is closed.")
            # not abandoned on cancel: a transaction whose outcome nobody reads would be neither done nor undone
            return await trio.to_thread.run_sync(_guarded, work, connection, self._path)


def _guarded(work: Callable[[sqlite3.Connection], _T], connection: sqlite3.Connection, path: Path) -> _T:
    try:
        return work(connection)
    except sqlite3.Error as error:
        if connection.in_transaction:
            # some errors roll back by themselves; if this fails too, the transaction ends with the connection
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise failure(error, f"The journal {path}") from error


def failure(error: sqlite3.Error, what: str) -> StorageFailed:
    """What SQLite's error says of `what` (such as `The journal /var/lib/j`), as a reason and a sentence."""
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    match primary:
        case sqlite3.SQLITE_FULL:
            return StorageFailed("full", f"{what} has no room left.")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return StorageFailed("corrupt", f"{what} is damaged: {error}.")
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StorageFailed("busy", f"{what} is being written to by another program.")
        case _:
            return StorageFailed("io", f"{what} cannot be used: {error}.")


def _connect(path: Path, pages_max: int | None) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise failure(error, f"The journal {path}") from error
    try:
        _guarded(lambda made: _prepare(made, path, pages_max), connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path, pages_max: int | None) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if application != APPLICATION and (application or tables):
        raise StorageFailed("foreign", f"The file {path} is a database of another program.")
    version = 0
    if "format" in tables:
        row = connection.execute("SELECT version FROM format").fetchone()
        version = row[0] if row and isinstance(row[0], int) else -1
    if not version >= 0:
        raise StorageFailed("corrupt", f"The journal {path} does not say of which format it is.")
    if version > FORMAT:
        raise StorageFailed(
            "newer",
            f"The journal {path} is of format {version}; this program reads up to {FORMAT}: update it.",
        )
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if pages_max is not None:
        connection.execute(f"PRAGMA max_page_count = {int(pages_max)}")
    fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if fault != "ok":
        raise StorageFailed("corrupt", f"The journal {path} is damaged: {fault}.")
    if version < FORMAT:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        for step in _STEPS[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute("UPDATE format SET version = ?", (FORMAT,))
        connection.execute("COMMIT")


def checksum_of(kind: bytes, cell: int, epoch: int, n: int, body: bytes) -> bytes:
    """The checksum of a row of `state` or `delta`, over all it says."""
    head = b"%s %d %d %d " % (kind, cell, epoch, n)
    return hashlib.blake2b(head + body, digest_size=_CHECKSUM_BYTES).digest()


def _append(connection: sqlite3.Connection, writes: Sequence[Write]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for write in writes:
        match write:
            case SaveDelta(cell, epoch, n, body):
                row = (int(cell), epoch, n, body, checksum_of(b"delta", cell, epoch, n, body))
                connection.execute("INSERT OR REPLACE INTO delta VALUES (?, ?, ?, ?, ?)", row)
            case SaveState(cell, epoch, n, body):
                row = (int(cell), epoch, n, body, checksum_of(b"state", cell, epoch, n, body))
                connection.execute("DELETE FROM delta WHERE cell = ?", (int(cell),))
                connection.execute("INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)", row)
            case SaveRecord(kind, name, b""):
                connection.execute("DELETE FROM record WHERE kind = ? AND id = ?", (kind, name))
            case SaveRecord(kind, name, body):
                kept = (kind, name, body, checksum_of_record(kind, name, body))
                connection.execute("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", kept)
    connection.execute("COMMIT")


def write_new(path: Path, writes: Sequence[Write]) -> None:
    """Make a journal at `path`, where none is, that holds these writes, in one file and durably.

    Raises:
        StorageFailed: it cannot be written.
    """
    connection = _connect(path, None)
    try:
        _guarded(lambda made: _append(made, writes), connection, path)
        _guarded(lambda made: made.execute("PRAGMA journal_mode = DELETE"), connection, path)
    finally:
        connection.close()


def _scrub(connection: sqlite3.Connection, after: int) -> tuple[int, bool]:
    (cell,) = connection.execute(
        "SELECT min(cell) FROM (SELECT cell FROM state UNION SELECT cell FROM delta) WHERE cell > ?", (after,)
    ).fetchone()
    if cell is None:
        return 0, True
    kinds = ((b"state", "state"), (b"delta", "delta"))
    sound = all(
        type(body) is bytes and checksum == checksum_of(kind, cell, epoch, n, body)
        for kind, table in kinds
        for epoch, n, body, checksum in connection.execute(
            f"SELECT epoch, n, body, checksum FROM {table} WHERE cell = ?", (cell,)
        )
    )
    return cell, sound


def _recover(connection: sqlite3.Connection) -> dict[int, SavedCell]:
    cells: dict[int, tuple[int, int, ObjectCell]] = {}
    for cell, epoch, n, body, checksum in connection.execute("SELECT * FROM state ORDER BY cell"):
        cells[cell] = epoch, n, _checked(b"state", cell, epoch, n, body, checksum)
    for cell, epoch, n, body, checksum in connection.execute("SELECT * FROM delta ORDER BY cell, epoch, n"):
        delta = _checked(b"delta", cell, epoch, n, body, checksum)
        known_epoch, known_n, state = cells.get(cell, (epoch, 0, ObjectCell()))
        state.merge_in(delta)
        if (epoch, n) == (known_epoch, known_n + 1):
            known_n = n
        cells[cell] = known_epoch, known_n, state
    return {cell: SavedCell(epoch, n, state.to_bytes()) for cell, (epoch, n, state) in cells.items()}


def checksum_of_record(kind: str, name: bytes, body: bytes) -> bytes:
    """The checksum of a row of `record`, over all it says."""
    head = b"record %s %d " % (kind.encode(), len(name))
    return hashlib.blake2b(head + name + body, digest_size=_CHECKSUM_BYTES).digest()


def _records(connection: sqlite3.Connection) -> tuple[SaveRecord, ...]:
    found = []
    for kind, name, body, checksum in connection.execute("SELECT * FROM record ORDER BY kind, id"):
        if [type(kind), type(name), type(body)] != [str, bytes, bytes]:
            raise StorageFailed("corrupt", "A record in the journal is damaged.")
        if checksum != checksum_of_record(kind, name, body):
            raise StorageFailed("corrupt", f"The {kind} {name.hex()} in the journal is damaged.")
        found.append(SaveRecord(kind, name, body))
    return tuple(found)


def _checked(kind: bytes, cell: int, epoch: int, n: int, body: bytes, checksum: bytes) -> ObjectCell:
    if type(body) is not bytes or checksum != checksum_of(kind, cell, epoch, n, body):
        raise StorageFailed("corrupt", f"The {kind.decode()} {n} of cell {cell} in the journal is damaged.")
    try:
        return ObjectCell.from_bytes(body)
    except RemoteError as error:
        raise StorageFailed(
            "corrupt", f"The {kind.decode()} {n} of cell {cell} cannot be read: {error}."
        ) from error
