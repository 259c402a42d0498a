"""The civic store in PostgreSQL: for the streams of a data centre, whose holder may be any of its nodes.

A batch is one transaction. It begins with an update of the stream's row that must hit it as the holder knows it, and so
holds that row while it decides; a fence takes the same row. A commit is answered when it is on the disk of the primary
and of as many synchronous standbys as the server is told to wait for; `copies` says how many disks that is, and with
fewer than `copies_min` nothing is written at all. When a COMMIT fails, is cancelled or is cut off, nobody knows its
outcome: the connection is dropped. One that waits for a standby keeps the stream's row meanwhile, so the fence that has
to come next waits too, and comes through only after it.

Each row carries the checksum that it has in SQLite. What is erased is overwritten in its table by the transaction that
says so. PostgreSQL would keep what was there for an unknown time, in a dead row or in the unused part of a page: so the
part of the table that held it is written anew right after, and if a reader stands in the way, again until it succeeds.
Write-ahead log, its archive and backups are the operator's (docs/operations.md).
"""

from __future__ import annotations

import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
import trio
from psycopg import sql

from p2pworld.civic.batch import named_entries
from p2pworld.civic.transaction import parse_sealed
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.rows import (
    check_rows,
    checksum,
    entry_of,
    known_of,
    sealed_of,
    stream_of,
    written,
)
from shard_node.civic.store import CommitUnknown, Row
from shard_node.coordination.interface import CoordinationDown
from shard_node.coordination.lane import Db, Lane, commit, one_line
from shard_node.coordination.tables import Tables
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Sealed, Submission
    from shard_node.civic.store import Fault, MakePlan

__all__ = ["PostgresCivicStore"]

_CALL_S: Final = 3.0  # what is filed waits for it: a batch of 512 takes 50 ms
_CHECK_S: Final = 3_600.0  # every row of a hundred million
_SCRUB_S: Final = 60.0  # to write a part of what is sealed anew: 1 GB
_SCRUB_LOCK_MS: Final = 100  # for who reads a part; others queue behind who waits for it
_SCRUB_AGAIN_S: Final = 30.0
_PARTS: Final = 32  # of what is sealed: of a million entries (1.2 GB) one part is 40 MB
_CIVIC_LOCK: Final = 0x70327066  # "p2pf", while the tables are made

# No statistics of what is sealed: they are samples of it, and outlive it.
_TABLES: Final = Tables(
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
    ),
    _CIVIC_LOCK,
)

_STREAM: Final = "s.id, s.name, s.epoch, s.fences, s.size, s.checksum"
_SETTINGS: Final = "v.schema, current_setting('synchronous_standby_names')"
_BOTH: Final = "p2pworld_civic.stream s, p2pworld_civic.store v"
_ENTRY: Final = "SELECT stream, number, leaf, checksum FROM p2pworld_civic.entry"
_ANSWER: Final = "SELECT stream, key, fingerprint, number, refusal, checksum FROM p2pworld_civic.answer"
_SEALED: Final = "SELECT stream, number, body, checksum FROM p2pworld_civic.sealed"
_COLUMNS: Final = {
    "entry": ("int8", "int8", "bytea", "bytea"),
    "answer": ("int8", "bytea", "bytea", "int8", "bytea", "bytea"),
    "sealed": ("int8", "int8", "bytea", "bytea"),
}
_WHERE_SEALED: Final = """
SELECT length(s.body), c.relname FROM p2pworld_civic.sealed s JOIN pg_class c ON c.oid = s.tableoid
WHERE s.stream = %s AND s.number = %s
"""
_WAITS: Final = """
SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'SyncRep' LIMIT 1
"""
_REASONS: Final = {"newer_schema": "newer", "not_a_store": "foreign"}
_COUNT: Final = re.compile(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", re.IGNORECASE)

T = TypeVar("T")


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
        self._traces = (
            True  # something erased may be in a part that is to be written anew, of an earlier process too
        )
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
            with _held_up(db):
                if _stream(db, stream) is None:
                    _begin(db, stream)
                query = f"SELECT {_SETTINGS}, {_STREAM} FROM {_BOTH} WHERE s.name = %s FOR UPDATE OF s"
                found = db.execute(query, [stream.encode()]).fetchone()
            if found is None:
                raise _TABLES.foreign()  # nobody takes a stream away, but the row of the schema is not there
            self._check(found)
            number, row = stream_of(*found[2:])
            if row.epoch > epoch:
                db.execute("ROLLBACK")
                return row
            row = Row(epoch, row.fences + 1, row.size)
            _put_stream(db, number, stream, row)
            _commit(db)
            return row

        return await self._run(stream, work)

    async def row(self, stream: str) -> Row | None:
        """See `CivicStore.row`."""

        def work(db: Db) -> Row | None:
            found = _stream(db, stream)
            return found[1] if found else None

        return await self._run(stream, work)

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        """See `CivicStore.entries`."""
        if not 0 <= begin <= end <= begin + CIVIC_READ_MAX:
            raise LocalError(f"entries {begin} to {end} are not given at once")

        def work(db: Db) -> list[bytes]:
            number, row = _stream(db, stream) or (0, Row(0, 0, 0))
            if end > row.size:
                raise LocalError(f"{stream} has {row.size} entries, not {end}")
            query = f"{_ENTRY} WHERE stream = %s AND number >= %s AND number < %s ORDER BY number"
            there = [entry_of(*each) for each in _rows(db, query, number, begin, end)]
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
            with _held_up(db):
                hit = db.execute(
                    "UPDATE p2pworld_civic.stream s SET size = size FROM p2pworld_civic.store v "
                    "WHERE s.name = %s AND s.epoch = %s AND s.fences = %s AND s.size = %s "
                    f"RETURNING {_SETTINGS}, {_STREAM}",
                    [stream.encode(), row.epoch, row.fences, row.size],
                ).fetchone()
            if hit is None:
                db.execute("ROLLBACK")
                return None
            self._check(hit)
            number, _ = stream_of(*hit[2:])
            keys = list({submission.filing.key for submission in submissions})
            known = {
                found[1]: known_of(*found)
                for found in _rows(db, f"{_ANSWER} WHERE stream = %s AND key = ANY(%s)", number, keys)
            }
            named = _named(db, number, named_entries(row.size, submissions))
            planned = plan(row.size, row.epoch, submissions, known, named)
            if not planned.learned:  # nothing but retries
                db.execute("ROLLBACK")
                return planned
            _write(db, number, row.size, submissions, planned)
            _put_stream(db, number, stream, Row(row.epoch, row.fences, row.size + len(planned.entries)))
            _commit(db)
            if planned.erased:
                self._traces, self._scrub_at_s = True, 0.0
            return planned

        planned = await self._run(stream, work)
        if self._traces and time.monotonic() >= self._scrub_at_s:
            await self._scrub()
        return planned

    async def sealed(self, stream: str, index: int) -> Sealed | None:
        """See `CivicStore.sealed`."""

        def work(db: Db) -> Sealed | None:
            number, _ = _stream(db, stream) or (0, None)
            found = _rows(db, f"{_SEALED} WHERE stream = %s AND number = %s", number, index)
            body = sealed_of(*found[0]) if found else b""
            return parse_sealed(body) if any(body) else None

        return await self._run(stream, work)

    async def check(self) -> list[Fault]:
        """See `CivicStore.check`; all of it as it was at one instant."""

        def work(db: Db) -> list[Fault]:
            db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            db.execute("SET LOCAL statement_timeout = 0")
            db.execute("SET LOCAL search_path = p2pworld_civic")
            faults = check_rows(_Rows(db), psycopg.InternalError)
            db.execute("ROLLBACK")
            return faults

        return await self._told(self._slow, work)

    async def close(self) -> None:
        """See `CivicStore.close`; it is done even if the caller is being cancelled."""
        self._closed = True
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for lane in (self._slow, self._scrubs, *self._lanes.values()):
                    nursery.start_soon(lane.close)

    # ---- the connections

    def _lane(self, call_s: float) -> Lane:
        return Lane(self._conninfo, call_s, _TABLES.schema, (StorageFailed, CommitUnknown, RemoteError))

    async def _run(self, stream: str, work: Callable[[Db], T]) -> T:
        lane = self._lanes.get(stream)
        if lane is None:
            lane = self._lanes[stream] = self._lane(self._call_s)
        return await self._told(lane, work)

    async def _told(self, lane: Lane, work: Callable[[Db], T]) -> T:
        """What the work comes to, on tables that are there."""

        def on_tables(db: Db) -> T:
            if not self._made:
                _TABLES.make(db)
                self._made = True
            return work(db)

        if self._closed:
            raise StorageFailed("closed", "The civic store is closed.")
        try:
            return await lane.run(on_tables)
        except CoordinationDown as error:
            reason = _REASONS.get(error.reason, error.reason)
            raise StorageFailed(reason, f"The civic store in PostgreSQL: {error}") from None

    # ---- in a worker thread

    def _check(self, found: Sequence[Any]) -> None:
        """Refuse to write what a newer release has made, or what would be on too few disks."""
        _TABLES.check(found[0])
        self._copies = 1 + _standbys(found[1])
        if self._copies < self._copies_min:
            raise StorageFailed(
                "copies",
                f"PostgreSQL answers a commit when it is on {self._copies} disk(s), and this civic store is to have "
                f"{self._copies_min}: set its synchronous_standby_names.",
            )

    async def _scrub(self) -> None:
        """Write those parts anew in which something was erased; what fails is done by a later commit."""
        self._scrub_at_s = time.monotonic() + _SCRUB_AGAIN_S
        with suppress(StorageFailed):
            self._traces = await self._told(self._scrubs, _left_of_traces)


class _Rows:
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


def _standbys(names: str) -> int:
    """How many standbys a commit waits for, by `synchronous_standby_names`."""
    counted = _COUNT.match(names)
    return int(counted[1]) if counted else int(bool(names.strip()))


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


def _commit(db: Db) -> None:
    try:
        commit(db)
    except psycopg.Error as error:
        db.close()
        raise CommitUnknown(f"PostgreSQL failed while it committed: {one_line(error)}") from None


def _rows(db: Db, query: str, *parameters: object) -> list[Any]:
    return db.cursor(binary=True).execute(query, parameters).fetchall()


def _stream(db: Db, stream: str) -> tuple[int, Row] | None:
    found = _rows(db, f"SELECT {_STREAM} FROM p2pworld_civic.stream s WHERE s.name = %s", stream.encode())
    return stream_of(*found[0]) if found else None


def _begin(db: Db, stream: str) -> None:
    """The row of a new stream; one stream begins after another, so that no number is given twice."""
    db.execute("SELECT pg_advisory_xact_lock(%s)", [_CIVIC_LOCK])
    if _stream(db, stream) is None:
        ((number,),) = _rows(db, "SELECT coalesce(max(id), 0) + 1 FROM p2pworld_civic.stream")
        name = stream.encode()
        row = (number, name, 0, 0, 0, checksum(b"stream", number, name, 0, 0, 0))
        db.execute("INSERT INTO p2pworld_civic.stream VALUES (%s, %s, %s, %s, %s, %s)", row)


def _put_stream(db: Db, number: int, stream: str, row: Row) -> None:
    said = (row.epoch, row.fences, row.size)
    db.execute(
        "UPDATE p2pworld_civic.stream SET epoch = %s, fences = %s, size = %s, checksum = %s WHERE id = %s",
        [*said, checksum(b"stream", number, stream.encode(), *said), number],
    )


def _named(db: Db, number: int, indices: frozenset[int]) -> dict[int, bytes]:
    found = (
        _rows(db, f"{_ENTRY} WHERE stream = %s AND number = ANY(%s)", number, list(indices))
        if indices
        else []
    )
    if len(found) != len(indices):
        raise StorageFailed("corrupt", f"In the civic store entries of stream {number} are missing.")
    return {each[1]: entry_of(*each) for each in found}


def _write(db: Db, number: int, size: int, submissions: Sequence[Submission], planned: Plan) -> None:
    rows = written(number, size, submissions, planned)
    for table, columns in _COLUMNS.items():
        with db.cursor().copy(f"COPY p2pworld_civic.{table} FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(columns)
            for row in rows[table]:
                copy.write_row(row)
    for index in planned.erased:
        _erase(db, number, index)


def _erase(db: Db, number: int, index: int) -> None:
    """Overwrite what is sealed with an entry, if anything is, and write down what part of the table it was in."""
    for length, part in _rows(db, _WHERE_SEALED, number, index):
        body = bytes(length)
        db.execute(
            "UPDATE p2pworld_civic.sealed SET body = %b, checksum = %b WHERE stream = %s AND number = %s",
            [body, checksum(b"sealed", number, index, body), number, index],
        )
        db.execute("INSERT INTO p2pworld_civic.trace (part) VALUES (%s)", [part])


def _left_of_traces(db: Db) -> bool:
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
        place = sql.Identifier(_TABLES.schema, part)
        db.execute(sql.SQL("VACUUM (FULL, VERBOSE) {}").format(place))
    except psycopg.errors.LockNotAvailable:
        return False
    finally:
        db.remove_notice_handler(noticed)
    # "0 dead row versions cannot be removed yet", in the server's language
    dead = [int(found[0]) for detail in details if (found := re.search(r"\d+", detail))]
    return bool(dead) and not any(dead)
