"""The tables of a civic store in PostgreSQL, and what is written to them and read from them.

Each function works within a transaction that its caller has begun, but for `left_of_traces`, which needs none. Each row
carries the checksum that it has in SQLite.

What is erased is overwritten with zeros. PostgreSQL would keep what was there for an unknown time, in a dead row or in
the unused part of a page: so the part of the table that held it is written down in `trace`, and then written anew.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import psycopg
from psycopg import sql

from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.rows import (
    checksum,
    entry_of,
    kept_of,
    kept_row,
    known_of,
    prefix_end,
    sealed_of,
    stream_of,
)
from shard_node.civic.store import CommitUnknown, Row
from shard_node.coordination.lane import Db, commit, one_line
from shard_node.coordination.tables import Tables
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from p2pworld.civic.batch import Known
    from p2pworld.civic.kept import Change

__all__ = [
    "TABLES",
    "KeptRows",
    "Rows",
    "Taken",
    "change_kept",
    "commit_or_unknown",
    "entry_rows",
    "erase",
    "known_rows",
    "left_of_traces",
    "lock_stream",
    "named_rows",
    "overwrite",
    "put_rows",
    "put_stream",
    "sealed_row",
    "sealed_rows",
    "stream_row",
    "take_stream",
]

_SCRUB_LOCK_MS: Final = 100  # for who reads a part; others queue behind who waits for it
_PARTS: Final = 32  # of what is sealed: of a million entries (1.2 GB) one part is 40 MB
_CIVIC_LOCK: Final = 0x70327066  # "p2pf", while the tables are made

# No statistics of what is sealed: they are samples of it, and outlive it.
TABLES: Final = Tables(
    "p2pworld_civic",
    (
        f"""
CREATE TABLE p2pworld_civic.store (one boolean PRIMARY KEY CHECK (one), schema integer NOT NULL);
CREATE TABLE p2pworld_civic.stream (
    id bigint PRIMARY KEY, name bytea UNIQUE NOT NULL, epoch bigint NOT NULL, fences bigint NOT NULL,
    size bigint NOT NULL, checksum bytea NOT NULL
) WITH (fillfactor = 50);
CREATE TABLE p2pworld_civic.entry (
    stream bigint NOT NULL, number bigint NOT NULL, leaf bytea NOT NULL, checksum bytea NOT NULL,
    PRIMARY KEY (stream, number)
);
CREATE TABLE p2pworld_civic.answer (
    stream bigint NOT NULL, key bytea NOT NULL, fingerprint bytea NOT NULL, number bigint, refusal bytea,
    checksum bytea NOT NULL, PRIMARY KEY (stream, key)
);
CREATE TABLE p2pworld_civic.sealed (
    stream bigint NOT NULL, number bigint NOT NULL, body bytea NOT NULL, checksum bytea NOT NULL,
    PRIMARY KEY (stream, number)
) PARTITION BY HASH (number);
CREATE TABLE p2pworld_civic.trace (number bigserial PRIMARY KEY, part name NOT NULL);
DO $$ BEGIN FOR part IN 0..{_PARTS - 1} LOOP
    EXECUTE format('CREATE TABLE p2pworld_civic.sealed_%s PARTITION OF p2pworld_civic.sealed '
                   'FOR VALUES WITH (MODULUS {_PARTS}, REMAINDER %s)', part, part);
END LOOP; END $$;
ALTER TABLE p2pworld_civic.sealed ALTER body SET STATISTICS 0, ALTER body SET STORAGE EXTERNAL;
INSERT INTO p2pworld_civic.store VALUES (true, 0);
""",
        """
CREATE TABLE p2pworld_civic.kept (
    stream bigint NOT NULL, name bytea NOT NULL, body bytea NOT NULL, checksum bytea NOT NULL,
    PRIMARY KEY (stream, name)
);
""",
    ),
    _CIVIC_LOCK,
)

_STREAM: Final = "s.id, s.name, s.epoch, s.fences, s.size, s.checksum"
_SETTINGS: Final = "v.schema, current_setting('synchronous_standby_names')"
_BOTH: Final = "p2pworld_civic.stream s, p2pworld_civic.store v"
_ENTRY: Final = "SELECT stream, number, leaf, checksum FROM p2pworld_civic.entry"
_ANSWER: Final = "SELECT stream, key, fingerprint, number, refusal, checksum FROM p2pworld_civic.answer"
_SEALED: Final = "SELECT stream, number, body, checksum FROM p2pworld_civic.sealed"
_KEPT: Final = "SELECT stream, name, body, checksum FROM p2pworld_civic.kept"
_INSERT_KEPT: Final = "INSERT INTO p2pworld_civic.kept VALUES (%b, %b, %b, %b)"
_UPDATE_KEPT: Final = (
    "UPDATE p2pworld_civic.kept SET body = %b, checksum = %b WHERE stream = %b AND name = %b"
)
_DELETE_KEPT: Final = "DELETE FROM p2pworld_civic.kept WHERE stream = %b AND name = %b"
_COLUMNS: Final = {
    "entry": ("int8", "int8", "bytea", "bytea"),
    "answer": ("int8", "bytea", "bytea", "int8", "bytea", "bytea"),
    "sealed": ("int8", "int8", "bytea", "bytea"),
}
_OVERWRITE: Final = """
WITH written AS (
    UPDATE p2pworld_civic.sealed SET body = %b, checksum = %b WHERE stream = %s AND number = %s RETURNING tableoid
)
SELECT relname FROM written JOIN pg_class ON pg_class.oid = written.tableoid
"""
_WAITS: Final = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep' LIMIT 1
"""
# ---- reading


class Rows:
    """The tables of one transaction, read in pieces; once it has failed, nothing more is found."""

    def __init__(self, db: Db) -> None:
        self._db = db
        self._queries = 0

    def execute(self, query: str, values: Sequence[object] = (), /) -> Iterator[Any]:
        if self._db.info.transaction_status is psycopg.pq.TransactionStatus.INERROR:
            return
        self._queries += 1
        with self._db.cursor(f"rows_{self._queries}", binary=True) as cursor:
            cursor.itersize = CIVIC_READ_MAX
            yield from cursor.execute(query.replace("?", "%s"), values)


def _rows(db: Db, query: str, *values: object) -> list[Any]:
    return db.cursor(binary=True).execute(query, values).fetchall()


def stream_row(db: Db, stream: str) -> tuple[int, Row] | None:
    """The stream's number and row, or None if it was never fenced."""
    found = _rows(db, f"SELECT {_STREAM} FROM p2pworld_civic.stream s WHERE s.name = %s", stream.encode())
    return stream_of(*found[0]) if found else None


def entry_rows(db: Db, number: int, begin: int, end: int) -> list[bytes]:
    """The entries from `begin` to `end` of a stream that are there."""
    query = f"{_ENTRY} WHERE stream = %s AND number >= %s AND number < %s ORDER BY number"
    return [entry_of(*each) for each in _rows(db, query, number, begin, end)]


def named_rows(db: Db, number: int, indices: frozenset[int]) -> dict[int, bytes]:
    """These entries of a stream, which must be there."""
    query = f"{_ENTRY} WHERE stream = %s AND number = ANY(%s)"
    found = _rows(db, query, number, list(indices)) if indices else []
    if len(found) != len(indices):
        raise StorageFailed("corrupt", f"In the civic store entries of stream {number} are missing.")
    return {each[1]: entry_of(*each) for each in found}


def known_rows(db: Db, number: int, keys: list[bytes]) -> dict[bytes, Known]:
    """What is answered under those of these keys that are known."""
    found = _rows(db, f"{_ANSWER} WHERE stream = %s AND key = ANY(%s)", number, keys)
    return {each[1]: known_of(*each) for each in found}


def sealed_row(db: Db, number: int, index: int) -> bytes:
    """What is sealed with an entry: nothing if nothing is, or if it is lost; zeros if it is erased."""
    found = _rows(db, f"{_SEALED} WHERE stream = %s AND number = %s", number, index)
    return sealed_of(*found[0]) if found else b""


def sealed_rows(db: Db, number: int, after: int, most: int) -> list[tuple[int, bytes]]:
    """The next entries behind `after` with anything sealed, and what."""
    found = _rows(
        db, f"{_SEALED} WHERE stream = %s AND number > %s ORDER BY number LIMIT %s", number, after, most
    )
    return [(each[1], sealed_of(*each)) for each in found]


class KeptRows:
    """The rows beside one log, and its entries, as a transaction reads them."""

    def __init__(self, db: Db, number: int) -> None:
        self._db, self._number = db, number

    def get(self, name: str) -> bytes | None:
        """See `p2pworld.civic.kept.Kept`."""
        found = _rows(self._db, f"{_KEPT} WHERE stream = %s AND name = %s", self._number, name.encode())
        return kept_of(*found[0])[1] if found else None

    def under(self, prefix: str, most: int | None = None) -> list[tuple[str, bytes]]:
        """See `Kept`; no more than `most`, if that is given."""
        begin = prefix.encode()
        query = f"{_KEPT} WHERE stream = %s AND name >= %s AND name < %s ORDER BY name LIMIT %s"
        return [kept_of(*row) for row in _rows(self._db, query, self._number, begin, prefix_end(begin), most)]

    def first(self, prefix: str, after: str = "") -> str | None:
        """See `Kept`."""
        begin = max(prefix.encode(), after.encode() + b"\0")
        query = f"{_KEPT} WHERE stream = %s AND name >= %s AND name < %s ORDER BY name LIMIT 1"
        found = _rows(self._db, query, self._number, begin, prefix_end(prefix.encode()))
        return kept_of(*found[0])[0] if found else None

    def last(self, prefix: str, before: str) -> str | None:
        """See `Kept`."""
        query = f"{_KEPT} WHERE stream = %s AND name >= %s AND name < %s ORDER BY name DESC LIMIT 1"
        found = _rows(self._db, query, self._number, prefix.encode(), before.encode())
        return kept_of(*found[0])[0] if found else None

    def entry(self, index: int) -> bytes:
        """See `Kept`."""
        return named_rows(self._db, self._number, frozenset({index}))[index]


# ---- writing


class Taken(NamedTuple):
    """A stream's row that nobody else can take before this transaction has ended.

    `standbys` is what the server says of those that a commit waits for.
    """

    schema: int
    standbys: str
    number: int
    row: Row


def take_stream(db: Db, stream: str, row: Row) -> Taken | None:
    """The stream's row, if it is `row`."""
    with _held_up(db):
        hit = db.execute(
            "UPDATE p2pworld_civic.stream s SET size = size FROM p2pworld_civic.store v "
            "WHERE s.name = %s AND s.epoch = %s AND s.fences = %s AND s.size = %s "
            f"RETURNING {_SETTINGS}, {_STREAM}",
            [stream.encode(), row.epoch, row.fences, row.size],
        ).fetchone()
    return Taken(hit[0], hit[1], *stream_of(*hit[2:])) if hit else None


def lock_stream(db: Db, stream: str) -> Taken:
    """The stream's row, whatever it is; a new stream begins in epoch 0, empty and never fenced."""
    with _held_up(db):
        if stream_row(db, stream) is None:
            _begin_stream(db, stream)
        query = f"SELECT {_SETTINGS}, {_STREAM} FROM {_BOTH} WHERE s.name = %s FOR UPDATE OF s"
        found = db.execute(query, [stream.encode()]).fetchone()
    if found is None:
        raise TABLES.foreign()  # nobody takes a stream away, but the row of the schema is not there
    return Taken(found[0], found[1], *stream_of(*found[2:]))


def _begin_stream(db: Db, stream: str) -> None:
    """One stream begins after another, so that no number is given twice."""
    db.execute("SELECT pg_advisory_xact_lock(%s)", [_CIVIC_LOCK])
    if stream_row(db, stream) is None:
        ((number,),) = _rows(db, "SELECT coalesce(max(id), 0) + 1 FROM p2pworld_civic.stream")
        name = stream.encode()
        row = (number, name, 0, 0, 0, checksum(b"stream", number, name, 0, 0, 0))
        db.execute("INSERT INTO p2pworld_civic.stream VALUES (%s, %s, %s, %s, %s, %s)", row)


@contextmanager
def _held_up(db: Db) -> Iterator[None]:
    """Says what it is that holds the stream's row: a commit that waits for its standby, if there is one."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        db.execute("ROLLBACK")
        if db.execute(_WAITS).fetchone() is None:
            raise
        raise StorageFailed(
            "standby",
            "PostgreSQL's synchronous standby does not answer, and what is committed waits for it: bring it back, or "
            "name another one in synchronous_standby_names.",
        ) from None


def put_stream(db: Db, number: int, stream: str, row: Row) -> None:
    """Write the stream's row anew."""
    said = (row.epoch, row.fences, row.size)
    db.execute(
        "UPDATE p2pworld_civic.stream SET epoch = %s, fences = %s, size = %s, checksum = %s WHERE id = %s",
        [*said, checksum(b"stream", number, stream.encode(), *said), number],
    )


def put_rows(db: Db, rows: Mapping[str, Iterable[Sequence[object]]]) -> None:
    """Add rows to each of the tables."""
    for table, columns in _COLUMNS.items():
        with db.cursor().copy(f"COPY p2pworld_civic.{table} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(columns)
            for row in rows[table]:
                copy.write_row(row)


def change_kept(db: Db, number: int, changes: Sequence[Change]) -> None:
    """Change rows beside the log.

    Raises:
        StorageFailed: one that is taken for new is there, or one that is to be changed is not (`corrupt`).
    """
    fresh, other, gone = [], [], []
    for name, before, after in changes:
        if after is None:
            gone.append((number, name.encode()))
        elif before is None:
            fresh.append(kept_row(number, name, after))
        else:
            _, key, body, kept = kept_row(number, name, after)
            other.append((body, kept, number, key))
    hit = 0
    try:
        for query, rows in ((_INSERT_KEPT, fresh), (_UPDATE_KEPT, other), (_DELETE_KEPT, gone)):
            if rows:
                cursor = db.cursor()
                cursor.executemany(query, rows)
                hit += cursor.rowcount
    except psycopg.errors.UniqueViolation as error:
        raise StorageFailed("corrupt", f"In the civic store a row is there already: {error}.") from None
    if hit != len(changes):
        raise StorageFailed("corrupt", "In the civic store a row beside a log is not there.")


def erase(db: Db, number: int, indices: Iterable[int]) -> None:
    """Overwrite with zeros what is sealed with these entries, where anything is."""
    lengths = {index: len(sealed_row(db, number, index)) for index in indices}
    overwrite(db, number, {index: bytes(length) for index, length in lengths.items() if length})


def overwrite(db: Db, number: int, bodies: Mapping[int, bytes]) -> None:
    """Put something else in the place of what is sealed, and write down in what parts of the table that was."""
    parts: set[str] = set()
    for index, body in bodies.items():
        kept = checksum(b"sealed", number, index, body)
        parts |= {part for (part,) in db.execute(_OVERWRITE, [body, kept, number, index])}
    db.cursor().executemany(
        "INSERT INTO p2pworld_civic.trace (part) VALUES (%s)", [[part] for part in sorted(parts)]
    )


def commit_or_unknown(db: Db) -> None:
    """Commit for certain.

    Raises:
        CommitUnknown: nobody knows; the connection is closed.
    """
    try:
        commit(db)
    except psycopg.Error as error:
        db.close()
        raise CommitUnknown(f"PostgreSQL failed while it committed: {one_line(error)}") from None


# ---- what is erased


def left_of_traces(db: Db) -> bool:
    """Whether something that was erased may still be in a table's file, after all was done that can be."""
    db.execute(
        "SELECT set_config('lock_timeout', %s, false), set_config('statement_timeout', '0', false)",
        [str(_SCRUB_LOCK_MS)],
    )
    traces = db.execute("SELECT number, part FROM p2pworld_civic.trace").fetchall()
    left = False
    for part in sorted({part for _, part in traces}):
        if _written_anew(db, part):
            numbers = [number for number, of in traces if of == part]
            db.execute("DELETE FROM p2pworld_civic.trace WHERE number = ANY(%s)", [numbers])
        else:
            left = True
    return left


def _written_anew(db: Db, part: str) -> bool:
    """Whether a part of what is sealed now has no row in it that is dead; who still reads may need some."""
    details: list[str] = []

    def noticed(notice: psycopg.errors.Diagnostic) -> None:
        details.append(notice.message_detail or "")

    db.add_notice_handler(noticed)
    try:
        place = sql.Identifier(TABLES.schema, part)
        db.execute(sql.SQL("VACUUM (FULL, VERBOSE) {}").format(place))
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        db.remove_notice_handler(noticed)
    # "0 dead row versions cannot be removed yet", in the server's language
    dead = [int(found[0]) for detail in details if (found := re.search(r"\d+", detail))]
    return bool(dead) and not any(dead)
