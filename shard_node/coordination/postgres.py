"""A coordination store in PostgreSQL: for the nodes of many machines that have a database already.

One row in schema `p2pworld` holds the map's version; whoever changes the map or a node's numbers locks it first,
whoever ends or counts a lease locks that lease's row. So a takeover and the victim's renewal meet on one row, and one
of them sees the other. No statement asks what time it is: leases are judged by their observers' clocks.

Renewals have a connection of their own, so that nothing holds them up. If anything happens at a COMMIT, nobody knows
its outcome: the connection is dropped, and the caller must read. Only a primary is asked, and a commit is answered when
it is on its disk (and on its synchronous standbys', if it has any).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
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
from shard_node.coordination.lane import Db, Lane, commit, one_line
from shard_node.coordination.tables import Tables

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HISTORY_KEPT", "PostgresCoordination"]

HISTORY_KEPT: Final = 64  # maps, to look back at what happened: at most 64 * 330 kB
_CALL_S: Final = 1.0  # within two renewal intervals
_POLL_S: Final = 0.1  # how soon a change is seen
_CITY_LOCK: Final = 0x70327063  # "p2pc", while the tables are made

_TABLES: Final = Tables(
    "p2pworld",
    (
        """
CREATE TABLE p2pworld.store (one boolean PRIMARY KEY CHECK (one), schema integer NOT NULL, version bigint NOT NULL);
CREATE TABLE p2pworld.node (key bytea PRIMARY KEY, last_number bigint NOT NULL);
CREATE TABLE p2pworld.lease (
    node bytea NOT NULL, number bigint NOT NULL, counter bigint NOT NULL, ended boolean NOT NULL,
    ttl_s double precision NOT NULL, link_url text NOT NULL, play_url text NOT NULL, web_url text NOT NULL,
    PRIMARY KEY (node, number)
) WITH (fillfactor = 50);
CREATE TABLE p2pworld.map (version bigint PRIMARY KEY, form bytea NOT NULL);
INSERT INTO p2pworld.store VALUES (true, 0, 0);
""",
    ),
    _CITY_LOCK,
)
# beside the schema, since an older release need not know of it to keep all that it relies on
_BOARD: Final = """
CREATE TABLE IF NOT EXISTS p2pworld.notice (
    number bigserial PRIMARY KEY, name bytea UNIQUE NOT NULL, body bytea NOT NULL
)
"""
_RECORDS: Final = "CREATE TABLE IF NOT EXISTS p2pworld.record (name text PRIMARY KEY, form bytea NOT NULL)"

T = TypeVar("T")


class PostgresCoordination:
    """The Coordination of one database; `conninfo` are libpq's keywords. Any number of processes may use it."""

    def __init__(self, conninfo: dict[str, str], *, call_s: float = _CALL_S, poll_s: float = _POLL_S) -> None:
        self._lane = Lane(conninfo, call_s)
        self._renewals = Lane(conninfo, call_s)
        self._poll_s = poll_s
        self._changed = trio.Event()
        # Only the thread of `_lane` touches these two.
        self._decoded: tuple[bytes, CityMap] = (b"", EMPTY)  # the hash of its form, and the map
        self._made = False

    # ---- the interface

    async def register(self, record: Registration, ttl_s: float, ends: Incarnation | None) -> int:
        """See `Coordination.register`."""

        def work(db: Db) -> int:
            city = self._locked(db)
            living = db.execute("SELECT node, number, ttl_s FROM p2pworld.lease WHERE NOT ended").fetchall()
            last_s = [(Incarnation(node, number), each_s) for node, number, each_s in living]
            rules.check_registration(record, ttl_s, ends, city, last_s)
            row = db.execute("SELECT last_number FROM p2pworld.node WHERE key = %s", [record.node]).fetchone()
            number = rules.next_number(row[0] if row else 0, city, ends)
            db.execute(
                "INSERT INTO p2pworld.node VALUES (%s, %s) "
                "ON CONFLICT (key) DO UPDATE SET last_number = excluded.last_number",
                [record.node, number],
            )
            if ends is not None:
                db.execute(
                    "UPDATE p2pworld.lease SET ended = true WHERE node = %s AND number <= %s",
                    [record.node, ends.number],
                )
            mine = db.execute("SELECT number FROM p2pworld.lease WHERE node = %s", [record.node]).fetchall()
            for old in rules.forgettable(record, number, city, [old for (old,) in mine]):
                db.execute("DELETE FROM p2pworld.lease WHERE node = %s AND number = %s", [record.node, old])
            db.execute(
                "INSERT INTO p2pworld.lease VALUES (%s, %s, 0, false, %s, %s, %s, %s)",
                [record.node, number, ttl_s, record.link_url, record.play_url, record.web_url],
            )
            return number

        return await self._write(work)

    async def renew(self, who: Incarnation) -> bool:
        """See `Coordination.renew`."""

        def count(db: Db) -> bool:
            found = db.execute(
                "UPDATE p2pworld.lease SET counter = counter + 1 WHERE node = %s AND number = %s AND NOT ended",
                [*who],
            )
            return found.rowcount == 1

        return await self._renewals.run(_if_made(count, False))

    async def read(self, known_version: int) -> Snapshot:
        """See `Coordination.read`."""

        def look(db: Db) -> Snapshot:
            rows = db.execute(  # one statement, so that version and leases are of one instant
                f"SELECT {_STATE}, l.node, l.number, l.counter, l.ended "
                "FROM p2pworld.store s LEFT JOIN p2pworld.lease l ON true ORDER BY l.node, l.number"
            ).fetchall()
            version = _version(rows)
            leases = tuple(Lease(Incarnation(*row[3:5]), *row[5:]) for row in rows if row[3] is not None)
            return Snapshot(version, None if version == known_version else self._map(db, version), leases)

        nothing = Snapshot(0, None if known_version == 0 else EMPTY, ())
        return await self._lane.run(_if_made(look, nothing))

    async def propose(self, city: CityMap, expected_version: int, victim: Lease | None = None) -> Proposed:
        """See `Coordination.propose`."""
        form = rules.checked_form(city, expected_version)

        def work(db: Db) -> Proposed:
            before = self._locked(db)
            if before.version != expected_version:
                return Proposed(False, before.version, "version")
            # the rows it depends on, locked one by one in one order: a renewal comes before or after
            asked = set(rules.newly_listed(city, before)) | ({victim.who} if victim is not None else set())
            leases: dict[Incarnation, Lease] = {}
            for who in sorted(asked):
                row = db.execute(
                    "SELECT counter, ended FROM p2pworld.lease WHERE node = %s AND number = %s FOR UPDATE",
                    [*who],
                ).fetchone()
                if row is not None:
                    leases[who] = Lease(who, *row)
            reason = rules.why_refused(city, before, expected_version, victim, leases)
            if reason is not None:
                return Proposed(False, before.version, reason)
            if victim is not None:
                db.execute(
                    "UPDATE p2pworld.lease SET ended = true WHERE node = %s AND number = %s", [*victim.who]
                )
            ended = db.execute("SELECT node, number FROM p2pworld.lease WHERE ended").fetchall()
            for who in (Incarnation(node, number) for node, number in ended):
                if not city.is_listed(who):
                    db.execute("DELETE FROM p2pworld.lease WHERE node = %s AND number = %s", [*who])
            db.execute("INSERT INTO p2pworld.map VALUES (%s, %s)", [city.version, form])
            db.execute("UPDATE p2pworld.store SET version = %s", [city.version])
            db.execute(
                "DELETE FROM p2pworld.map WHERE version NOT IN "
                "(SELECT version FROM p2pworld.map ORDER BY version DESC LIMIT %s)",
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

        def look(db: Db) -> int:
            return _version(db.execute(f"SELECT {_STATE} FROM p2pworld.store s").fetchall())

        version = after_version
        with trio.move_on_after(timeout_s):
            while True:
                changed = self._changed
                version = await self._lane.run(_if_made(look, 0))
                if version != after_version:
                    return version
                with trio.move_on_after(self._poll_s):
                    await changed.wait()
        return version

    async def end(self, who: Incarnation) -> None:
        """See `Coordination.end`."""

        def work(db: Db) -> None:
            db.execute("UPDATE p2pworld.lease SET ended = true WHERE node = %s AND number = %s", [*who])

        await self._lane.run(_if_made(work, None))

    async def notices(self, known: int) -> Board:
        """See `Coordination.notices`."""

        def look(db: Db) -> Board:
            row = db.execute("SELECT to_regclass('p2pworld.notice') IS NOT NULL").fetchone()
            if row != (True,):
                return Board(0, None if known == 0 else {})
            (number,) = db.execute("SELECT coalesce(max(number), 0) FROM p2pworld.notice").fetchone() or (0,)
            if number == known:
                return Board(number, None)
            rows = db.execute("SELECT number, name, body FROM p2pworld.notice").fetchall()
            return Board(max((row[0] for row in rows), default=0), {name: body for _, name, body in rows})

        return await self._lane.run(look)

    async def post(self, name: bytes, notice: bytes) -> bool:
        """See `Coordination.post`."""

        def work(db: Db) -> bool:
            # one after another: numbers are then seen in the order in which they are given
            db.execute("SELECT pg_advisory_xact_lock(%s)", [_CITY_LOCK])
            db.execute(_BOARD)
            (there,) = db.execute("SELECT count(*) FROM p2pworld.notice").fetchone() or (0,)
            if there >= NOTICES_MAX:
                return False
            db.execute(
                "INSERT INTO p2pworld.notice (name, body) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING",
                [name, notice],
            )
            return True

        return await self._write(work)

    async def take_down(self, name: bytes) -> None:
        """See `Coordination.take_down`."""

        def work(db: Db) -> None:
            db.execute("DELETE FROM p2pworld.notice WHERE name = %s", [name])

        await self._lane.run(_if_made(work, None))

    async def read_record(self, name: str) -> bytes | None:
        """See `Records.read_record`."""
        return await self._lane.run(lambda db: _record(db, name))

    async def put_record(self, name: str, before: bytes | None, record: bytes) -> bytes | None:
        """See `Records.put_record`."""
        rules.check_record(record)

        def work(db: Db) -> bytes | None:
            if before is not None:
                if _has_records(db):
                    db.execute(
                        "UPDATE p2pworld.record SET form = %s WHERE name = %s AND form = %s",
                        [record, name, before],
                    )
                return _record(db, name)
            # one after another, as for the board
            db.execute("SELECT pg_advisory_xact_lock(%s)", [_CITY_LOCK])
            db.execute(_RECORDS)
            there = _record(db, name)
            if there is None:
                (count,) = db.execute("SELECT count(*) FROM p2pworld.record").fetchone() or (0,)
                if count >= RECORDS_MAX:
                    raise rules.too_many_records("PostgreSQL")
                db.execute("INSERT INTO p2pworld.record VALUES (%s, %s)", [name, record])
            return there or record

        return await self._write(work, proposing=True)

    async def close(self) -> None:
        """See `Coordination.close`; it is done even if the caller is being cancelled."""
        with trio.CancelScope(shield=True):
            await self._lane.close()
            await self._renewals.close()

    # ---- in the worker thread

    async def _write(self, work: Callable[[Db], T], *, proposing: bool = False) -> T:
        """Run `work` in one transaction, durable before its result is returned."""

        def transaction(db: Db) -> T:
            if not self._made:
                _TABLES.make(db)
                self._made = True
            db.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
            result = work(db)
            try:
                commit(db)
            except psycopg.Error as error:
                db.close()
                if proposing:
                    raise OutcomeUnknown(f"PostgreSQL failed while it committed: {one_line(error)}") from None
                raise
            return result

        return await self._lane.run(transaction)

    def _locked(self, db: Db) -> CityMap:
        """The newest map, with everybody else who would change it waiting."""
        rows = db.execute(f"SELECT {_STATE} FROM p2pworld.store s FOR UPDATE").fetchall()
        return self._map(db, _version(rows))

    def _map(self, db: Db, version: int) -> CityMap:
        if version == 0:
            return EMPTY
        row = db.execute("SELECT sha256(form) FROM p2pworld.map WHERE version = %s", [version]).fetchone()
        if row is not None and row[0] == self._decoded[0]:
            return self._decoded[1]
        row = db.execute("SELECT form FROM p2pworld.map WHERE version = %s", [version]).fetchone()
        if row is None:  # as many maps as are kept have followed it meanwhile
            raise CoordinationDown("busy", "the map was replaced again and again while it was read")
        try:
            self._decoded = hashlib.sha256(row[0]).digest(), decode(row[0])
        except RemoteError as error:
            raise rules.unreadable_map("PostgreSQL", error) from error
        return self._decoded[1]


_REPLICA: Final = "this PostgreSQL is a replica, which may be behind: name the primary"
_STATE: Final = "pg_is_in_recovery(), s.schema, s.version"


def _version(rows: list[Any]) -> int:
    """The map's version, from rows that begin with `_STATE`.

    Raises:
        CoordinationDown: this release cannot use the store, or the server is a replica.
    """
    if not rows:
        raise _TABLES.foreign()
    replica, schema, version = rows[0][:3]
    if replica:
        raise CoordinationDown("io", _REPLICA)
    _TABLES.check(schema)
    return int(version)


def _if_made(call: Callable[[Db], T], otherwise: T) -> Callable[[Db], T]:
    """`call`, or `otherwise` where nobody has made the store yet."""

    def called(db: Db) -> T:
        try:
            return call(db)
        except psycopg.errors.UndefinedTable:
            if _TABLES.there(db):
                raise
            return otherwise

    return called


def _has_records(db: Db) -> bool:
    return db.execute("SELECT to_regclass('p2pworld.record') IS NOT NULL").fetchone() == (True,)


def _record(db: Db, name: str) -> bytes | None:
    if db.execute("SELECT pg_is_in_recovery()").fetchone() == (True,):
        raise CoordinationDown("io", _REPLICA)
    if not _has_records(db):
        return None
    row = db.execute("SELECT form FROM p2pworld.record WHERE name = %s", [name]).fetchone()
    return bytes(row[0]) if row else None
