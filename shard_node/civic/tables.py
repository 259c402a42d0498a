"""The tables of a civic store in a SQLite file, and what is written to them and read from them.

Each function works within a transaction that its caller has begun, on a connection that `prepare` has made ready. Each
row carries a checksum over all it says and where it stands.

What is erased is overwritten with zeros where it stands. No row of what is sealed is ever taken away, changed in length
or put before another, so SQLite never moves one to another page, where a copy of it could stay behind. What the
write-ahead log still holds of it is gone once that has been emptied into the file.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from shard_node.civic.rows import (
    check_rows,
    checksum,
    entry_of,
    kept_of,
    kept_row,
    known_of,
    prefix_end,
    stream_of,
    written,
)
from shard_node.civic.store import Fault
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from p2pworld.civic.batch import Known, Plan
    from p2pworld.civic.kept import Change
    from p2pworld.civic.transaction import Submission
    from shard_node.civic.store import Row

__all__ = [
    "BUSY_S",
    "SCHEMA",
    "KeptRows",
    "begin_stream",
    "change_kept",
    "check",
    "empty_log",
    "entry_row",
    "erase",
    "has_kept",
    "known_row",
    "prepare",
    "put_rows",
    "put_sealed",
    "put_stream",
    "refuse_foreign",
    "stream_row",
    "write",
]

SCHEMA: Final = 2  # newer is refused; 1 has no table `kept`, and gets it when a node opens it
_APPLICATION_ID: Final = 0x7032706C  # "p2pl"
BUSY_S: Final = 2.0  # an operator's tool may be reading

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
_KEPT: Final = """
CREATE TABLE kept (
    stream INTEGER NOT NULL, name BLOB NOT NULL, body BLOB NOT NULL, checksum BLOB NOT NULL,
    PRIMARY KEY (stream, name)
) STRICT, WITHOUT ROWID;
"""


def prepare(db: sqlite3.Connection, path: Path, pages_max: int | None) -> None:
    """Make an empty file a store, and refuse what is none, or a newer one's, before anything in it is changed."""
    new = not refuse_foreign(db, path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA secure_delete = ON")  # what is erased is not to be found in free pages
    if pages_max is not None:
        db.execute(f"PRAGMA max_page_count = {int(pages_max)}")
    if new or _schema_of(db) < SCHEMA:
        db.execute("BEGIN IMMEDIATE")
        for statement in (_TABLES * new + _KEPT).strip().split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")


def has_kept(db: sqlite3.Connection) -> bool:
    """Whether there is a table of rows beside the logs: not in a store of the release before."""
    return _schema_of(db) > 1


def _schema_of(db: sqlite3.Connection) -> int:
    schema: int = db.execute("PRAGMA user_version").fetchone()[0]
    return schema


def refuse_foreign(db: sqlite3.Connection, path: Path) -> bool:
    """Returns if the file may be opened by this program: whether it is a store, rather than empty.

    To be called first on each connection, because it is where the file's schema is read.

    Raises:
        StorageFailed: it is another program's (`foreign`), a newer release's (`newer`), or damaged (`corrupt`).
    """
    db.text_factory = bytes  # what is garbled may be no text any more
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    try:
        tables = [(sql or b"").decode() for (sql,) in db.execute("SELECT sql FROM sqlite_master")]
    except (
        UnicodeDecodeError
    ) as error:  # the module itself fails over names of columns, and messages that quote them
        raise StorageFailed("corrupt", f"The civic store {path} has a damaged schema.") from error
    if (application_id, schema, tables) == (0, 0, []):
        return False
    if application_id != _APPLICATION_ID:
        raise StorageFailed("foreign", f"The file {path} is a database of another program.")
    if schema > SCHEMA:
        raise StorageFailed(
            "newer",
            f"The civic store {path} is of schema {schema}; this program reads up to {SCHEMA}: update it.",
        )
    return True


# ---- rows; each raises StorageFailed if it is not as it was written


def stream_row(db: sqlite3.Connection, stream: str) -> tuple[int, Row] | None:
    """A stream's number and row, or None if it never began."""
    row = db.execute("SELECT * FROM stream WHERE name = ?", [stream.encode()]).fetchone()
    return stream_of(*row) if row else None


def begin_stream(db: sqlite3.Connection, stream: str) -> int:
    """The number of a stream that is not there yet; its row is to be put."""
    number: int = db.execute("SELECT coalesce(max(id), 0) + 1 FROM stream").fetchone()[0]
    db.execute("INSERT INTO stream VALUES (?, ?, 0, 0, 0, x'')", [number, stream.encode()])
    return number


def put_stream(db: sqlite3.Connection, number: int, stream: str, row: Row) -> None:
    """Write a stream's row over the one that is there."""
    said = (row.epoch, row.fences, row.size)
    db.execute(
        "UPDATE stream SET epoch = ?, fences = ?, size = ?, checksum = ? WHERE id = ?",
        [*said, checksum(b"stream", number, stream.encode(), *said), number],
    )


def known_row(db: sqlite3.Connection, number: int, key: bytes) -> Known | None:
    """What is known of a transaction's key."""
    row = db.execute("SELECT * FROM answer WHERE stream = ? AND key = ?", [number, key]).fetchone()
    return known_of(*row) if row else None


def entry_row(db: sqlite3.Connection, number: int, index: int) -> bytes:
    """An entry, which must be there."""
    row = db.execute("SELECT * FROM entry WHERE stream = ? AND number = ?", [number, index]).fetchone()
    if row is None:
        raise StorageFailed("corrupt", f"In the civic store entry {index} of stream {number} is missing.")
    return entry_of(*row)


class KeptRows:
    """The rows beside one log, and its entries, as a transaction reads them."""

    def __init__(self, db: sqlite3.Connection, number: int) -> None:
        self._db, self._number = db, number

    def get(self, name: str) -> bytes | None:
        """See `p2pworld.civic.kept.Kept`."""
        query = "SELECT * FROM kept WHERE stream = ? AND name = ?"
        row = self._db.execute(query, [self._number, name.encode()]).fetchone()
        return kept_of(*row)[1] if row else None

    def under(self, prefix: str, most: int = -1) -> list[tuple[str, bytes]]:
        """See `Kept`; no more than `most`, if that is not negative."""
        begin = prefix.encode()
        query = "SELECT * FROM kept WHERE stream = ? AND name >= ? AND name < ? ORDER BY name LIMIT ?"
        rows = self._db.execute(query, [self._number, begin, prefix_end(begin), most])
        return [kept_of(*row) for row in rows]

    def first(self, prefix: str, after: str = "") -> str | None:
        """See `Kept`."""
        begin = max(prefix.encode(), after.encode() + b"\0")
        query = "SELECT * FROM kept WHERE stream = ? AND name >= ? AND name < ? ORDER BY name LIMIT 1"
        row = self._db.execute(query, [self._number, begin, prefix_end(prefix.encode())]).fetchone()
        return kept_of(*row)[0] if row else None

    def last(self, prefix: str, before: str) -> str | None:
        """See `Kept`."""
        query = "SELECT * FROM kept WHERE stream = ? AND name >= ? AND name < ? ORDER BY name DESC LIMIT 1"
        row = self._db.execute(query, [self._number, prefix.encode(), before.encode()]).fetchone()
        return kept_of(*row)[0] if row else None

    def entry(self, index: int) -> bytes:
        """See `Kept`."""
        return entry_row(self._db, self._number, index)


# ---- what a plan says


def write(
    db: sqlite3.Connection, number: int, size: int, submissions: Sequence[Submission], planned: Plan
) -> None:
    """Do all that a plan says of these, but for the stream's row."""
    for table, rows in written(number, size, submissions, planned).items():
        put_rows(db, table, rows)
    for index in planned.erased:
        erase(db, number, index)
    change_kept(db, number, planned.rows)


def change_kept(db: sqlite3.Connection, number: int, changes: Sequence[Change]) -> None:
    """Change rows beside the log.

    Raises:
        StorageFailed: one that is taken for new is there, or one that is to be changed is not (`corrupt`).
    """
    for name, before, after in changes:
        key, row = [number, name.encode()], kept_row(number, name, after or b"")
        try:
            if after is None:
                hit = db.execute("DELETE FROM kept WHERE stream = ? AND name = ?", key)
            elif before is None:
                hit = db.execute("INSERT INTO kept VALUES (?, ?, ?, ?)", row)
            else:
                query = "UPDATE kept SET body = ?, checksum = ? WHERE stream = ? AND name = ?"
                hit = db.execute(query, [row[2], row[3], *key])
        except sqlite3.IntegrityError as error:
            raise StorageFailed("corrupt", f"In the civic store the row {name} is there already.") from error
        if hit.rowcount != 1:
            raise StorageFailed("corrupt", f"In the civic store the row {name} is not there.")


def put_rows(db: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    """Add rows that are not there yet, each with its checksum."""
    if rows:
        places = ", ".join("?" * len(rows[0]))
        db.executemany(f"INSERT INTO {table} VALUES ({places})", rows)


def erase(db: sqlite3.Connection, number: int, index: int) -> bool:
    """Overwrite what is sealed with an entry; whether there was anything yet."""
    row = db.execute("SELECT * FROM sealed WHERE stream = ? AND number = ?", [number, index]).fetchone()
    if row is None or not any(row[2]):
        return False
    put_sealed(db, number, index, bytes(len(row[2])))
    return True


def empty_log(db: sqlite3.Connection) -> bool:
    """Whether the write-ahead log is an empty file now; nobody is waited for who reads from it."""
    db.execute("PRAGMA busy_timeout = 0")
    try:
        (busy, _, _) = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error:  # what was committed is committed; a disk that fails now is told by the next call
        return False
    finally:
        db.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
    return not busy


def put_sealed(db: sqlite3.Connection, number: int, index: int, body: bytes) -> None:
    """Write over what is sealed with an entry; what is new must be as long as what is there."""
    db.execute(
        "UPDATE sealed SET body = ?, checksum = ? WHERE stream = ? AND number = ?",
        [body, checksum(b"sealed", number, index, body), number, index],
    )


# ---- all of it


def check(db: sqlite3.Connection) -> list[Fault]:
    """What is not as it was written, in the file or in a row; at most `CIVIC_FAULTS_MAX` things."""
    db.execute("BEGIN")
    beside = has_kept(db)
    faults = check_rows(db, sqlite3.DatabaseError, lambda: _structure(db, beside), beside=beside)
    db.execute("ROLLBACK")
    return faults


def _structure(db: sqlite3.Connection, beside: bool) -> Iterator[Fault]:
    for (said,) in db.execute("PRAGMA integrity_check"):
        if said != b"ok":
            yield Fault("the structure of the file", said.decode("utf-8", "replace"))
    (application_id,) = db.execute("PRAGMA application_id").fetchone()
    if application_id != _APPLICATION_ID or _schema_of(db) not in (1, SCHEMA):
        yield Fault("the header of the file", "It does not say that this is a civic store of this schema.")
    with closing(sqlite3.connect(":memory:")) as new:
        new.text_factory = bytes
        new.executescript(_TABLES + _KEPT * beside)
        if _schema(db) != _schema(new):
            yield Fault("the schema of the file", "The tables are not those of a civic store.")


def _schema(db: sqlite3.Connection) -> list[tuple[object, ...]]:
    return db.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name").fetchall()
