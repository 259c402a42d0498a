"""Attachments in PostgreSQL, beside a civic store that is there too, in a schema of their own.

An attachment is a row that says what it is, and its bytes in pieces. The pieces come first, under a number of their
own, each a committed write; the row that names them comes last, with the checksum over all of them, and takes the place
of one that waited under its name. So whatever ends this, an attachment is there whole or not at all, and pieces that no
row names are taken away by the next cleaning. Bytes are destroyed by taking rows away: PostgreSQL writes over them when
it needs the room, and what erasure promises is kept by the key, which is nowhere any more.
"""

from __future__ import annotations

import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from p2pworld.limits import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_PIECE_BYTES,
    ATTACHMENTS_WAITING_MAX,
    CIVIC_FAULTS_MAX,
)
from shard_node.attachments.store import Held, TooLong, begin_checksum, no_room
from shard_node.civic.store import Fault
from shard_node.coordination.interface import CoordinationDown
from shard_node.coordination.lane import Lane, commit
from shard_node.coordination.tables import Tables
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
    )

    from p2pworld.errors import Refusal
    from shard_node.coordination.lane import Db

__all__ = ["ATTACHMENT_TABLES", "PostgresAttachments"]

_CALL_S: Final = 10.0  # a piece of 256 KiB, or a thousand names
_CHECK_S: Final = 3_600.0
_LOCK: Final = 0x70327061  # "p2pa", while the tables are made
_ORPHAN: Final = "1 day"  # pieces that no row has named in so long were cut off

ATTACHMENT_TABLES: Final = Tables(
    "p2pworld_attachments",
    (
        """
CREATE TABLE p2pworld_attachments.store (one boolean PRIMARY KEY CHECK (one), schema integer NOT NULL);
CREATE TABLE p2pworld_attachments.attachment (
    stream text NOT NULL, name bytea NOT NULL, pieces bytea NOT NULL, size bigint NOT NULL, minute bigint NOT NULL,
    entry bigint, checksum bytea NOT NULL, PRIMARY KEY (stream, name)
);
CREATE INDEX ON p2pworld_attachments.attachment (stream, minute) WHERE entry IS NULL;
CREATE INDEX ON p2pworld_attachments.attachment (stream, entry) WHERE entry IS NOT NULL;
CREATE TABLE p2pworld_attachments.piece (
    pieces bytea NOT NULL, number integer NOT NULL, body bytea NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (pieces, number)
);
ALTER TABLE p2pworld_attachments.piece ALTER body SET STATISTICS 0, ALTER body SET STORAGE EXTERNAL;
INSERT INTO p2pworld_attachments.store VALUES (true, 0);
""",
    ),
    _LOCK,
)
_ROW: Final = "SELECT name, size, minute, entry FROM p2pworld_attachments.attachment"
_DESTROY: Final = """
WITH gone AS (DELETE FROM p2pworld_attachments.attachment WHERE stream = %s AND name = ANY(%s) RETURNING pieces)
DELETE FROM p2pworld_attachments.piece WHERE pieces IN (SELECT pieces FROM gone)
"""
_SUMS: Final = """
SELECT count(*), coalesce(sum(size), 0)::bigint, count(*) FILTER (WHERE entry IS NULL),
       coalesce(sum(size) FILTER (WHERE entry IS NULL), 0)::bigint
FROM p2pworld_attachments.attachment WHERE stream = %s
"""

T = TypeVar("T")


class PostgresAttachments:
    """The `AttachmentStore` of one database, over one connection. `conninfo` are libpq's keywords."""

    def __init__(self, conninfo: dict[str, str]) -> None:
        found = conninfo | {"target_session_attrs": "read-write"}
        self._lane = Lane(found, _CALL_S, ATTACHMENT_TABLES.schema, (StorageFailed,))
        self._slow = Lane(found, _CHECK_S, ATTACHMENT_TABLES.schema, (StorageFailed,))
        self._made = False
        self._closed = False

    # ---- the interface

    async def put(self, stream: str, name: bytes, parts: AsyncIterator[bytes], minute: int) -> Refusal | None:
        """See `AttachmentStore.put`."""
        there = (await self.held(stream, [name])).get(name)
        if there is not None and there.entry is not None:
            return None
        if there is None:
            [sums] = await self._run(lambda db: db.execute(_SUMS, [stream]).fetchall())
            refusal = no_room(*sums)
            if refusal is not None:
                return refusal
        pieces = secrets.token_bytes(16)
        placed = False
        try:
            size, checksum = await self._written(pieces, stream, name, parts)
            row = (stream, name, pieces, size, minute, checksum)
            placed = await self._run(lambda db: _place(db, row))
        finally:
            if not placed:
                with trio.CancelScope(shield=True), suppress(StorageFailed):  # a later cleaning does it
                    await self._run(lambda db: _forget(db, pieces))
        return None

    async def held(self, stream: str, names: Collection[bytes]) -> dict[bytes, Held]:
        """See `AttachmentStore.held`."""
        query = f"{_ROW} WHERE stream = %s AND name = ANY(%s)"
        found = await self._run(lambda db: db.execute(query, [stream, list(names)]).fetchall())
        return {bytes(name): Held(size, minute, entry) for name, size, minute, entry in found}

    async def parts(self, stream: str, name: bytes) -> AsyncGenerator[bytes, None]:
        """See `AttachmentStore.parts`."""
        query = "SELECT pieces, size, checksum FROM p2pworld_attachments.attachment WHERE stream = %s AND name = %s"
        found = await self._run(lambda db: db.execute(query, [stream, name]).fetchone())
        if found is None:
            raise StorageFailed("none", "There is no such attachment.")
        return self._read(stream, name, *found)

    async def waiting(self, stream: str, before: int) -> dict[bytes, Held]:
        """See `AttachmentStore.waiting`; pieces that were cut off are taken away meanwhile."""
        query = (
            f"{_ROW} WHERE stream = %s AND entry IS NULL AND minute < %s ORDER BY minute"
            f" LIMIT {ATTACHMENTS_WAITING_MAX}"
        )

        def work(db: Db) -> dict[bytes, Held]:
            db.execute(
                f"DELETE FROM p2pworld_attachments.piece p WHERE at < now() - interval '{_ORPHAN}' AND NOT EXISTS "
                "(SELECT 1 FROM p2pworld_attachments.attachment a WHERE a.pieces = p.pieces)"
            )
            rows = db.execute(query, [stream, before])
            return {bytes(name): Held(size, minute, entry) for name, size, minute, entry in rows}

        return await self._run(work)

    async def bind(self, stream: str, named: Mapping[bytes, int]) -> None:
        """See `AttachmentStore.bind`."""
        change = "UPDATE p2pworld_attachments.attachment SET entry = %s WHERE stream = %s AND name = %s"

        def work(db: Db) -> None:
            db.execute("BEGIN")
            for name, entry in named.items():
                db.execute(change, [entry, stream, name])
            commit(db)

        await self._run(work)

    async def any_bound(self, stream: str) -> bool:
        """See `AttachmentStore.any_bound`."""
        query = (
            "SELECT 1 FROM p2pworld_attachments.attachment WHERE stream = %s AND entry IS NOT NULL LIMIT 1"
        )
        return await self._run(lambda db: db.execute(query, [stream]).fetchone()) is not None

    async def of_entries(self, stream: str, entries: Collection[int]) -> list[bytes]:
        """See `AttachmentStore.of_entries`."""
        query = f"{_ROW} WHERE stream = %s AND entry = ANY(%s)"
        found = await self._run(lambda db: db.execute(query, [stream, list(entries)]).fetchall())
        return [bytes(row[0]) for row in found]

    async def remove(self, stream: str, names: Iterable[bytes]) -> None:
        """See `AttachmentStore.remove`."""
        gone = list(names)
        await self._run(lambda db: db.execute(_DESTROY, [stream, gone]))

    async def check(self) -> list[Fault]:
        """See `AttachmentStore.check`."""

        def work(db: Db) -> list[Fault]:
            faults: list[Fault] = []
            query = "SELECT stream, name, pieces, size, checksum FROM p2pworld_attachments.attachment"
            for stream, name, pieces, size, kept in db.execute(query).fetchall():
                hashed, there = begin_checksum(stream, name), 0
                for body in _pieces(db, pieces):
                    hashed.update(body)
                    there += len(body)
                if (there, hashed.digest()) != (size, kept):
                    faults.append(
                        Fault(f"attachment {name.hex()[:16]} of {stream}", "It is not as it was put.")
                    )
                if len(faults) == CIVIC_FAULTS_MAX:
                    break
            return faults

        return await self._run(work, self._slow)

    async def close(self) -> None:
        """See `AttachmentStore.close`; it is done even if the caller is being cancelled."""
        self._closed = True
        with trio.CancelScope(shield=True):
            await self._lane.close()
            await self._slow.close()

    # ---- pieces

    async def _written(
        self, pieces: bytes, stream: str, name: bytes, parts: AsyncIterator[bytes]
    ) -> tuple[int, bytes]:
        """Writes what comes, piece by piece; its size and checksum."""
        hashed, size, number, held = begin_checksum(stream, name), 0, 0, bytearray()

        async def write(body: bytes) -> None:
            nonlocal number
            query = "INSERT INTO p2pworld_attachments.piece (pieces, number, body) VALUES (%s, %s, %s)"
            await self._run(lambda db: db.execute(query, [pieces, number, body]))
            number += 1

        async for part in parts:
            size += len(part)
            if size > ATTACHMENT_BYTES_MAX:
                raise TooLong
            hashed.update(part)
            held += part
            while len(held) >= ATTACHMENT_PIECE_BYTES:
                await write(bytes(held[:ATTACHMENT_PIECE_BYTES]))
                del held[:ATTACHMENT_PIECE_BYTES]
        if held:
            await write(bytes(held))
        return size, hashed.digest()

    async def _read(
        self, stream: str, name: bytes, pieces: bytes, size: int, kept: bytes
    ) -> AsyncGenerator[bytes, None]:
        hashed, left, number = begin_checksum(stream, name), size, 0
        while True:
            body = await self._run(partial(_piece, pieces=pieces, number=number))
            hashed.update(body)
            left -= len(body)
            number += 1
            if left <= 0 or not body:
                break
            yield body
        if left or hashed.digest() != kept:
            raise StorageFailed("corrupt", f"The attachment {name.hex()[:16]} of {stream} is damaged.")
        if body:
            yield body

    async def _run(self, work: Callable[[Db], T], lane: Lane | None = None) -> T:
        def on_tables(db: Db) -> T:
            if not self._made:
                ATTACHMENT_TABLES.make(db)
                self._made = True
            return work(db)

        if self._closed:
            raise StorageFailed("closed", "The attachments are closed.")
        try:
            return await (lane or self._lane).run(on_tables)
        except CoordinationDown as error:
            raise StorageFailed(error.reason, f"The attachments in PostgreSQL: {error}") from None


def _piece(db: Db, pieces: bytes, number: int) -> bytes:
    """One piece's body; nothing if there is none."""
    query = "SELECT body FROM p2pworld_attachments.piece WHERE pieces = %s AND number = %s"
    found = db.execute(query, [pieces, number]).fetchone()
    return bytes(found[0]) if found else b""


def _pieces(db: Db, pieces: bytes) -> Iterator[bytes]:
    """The bodies of an attachment, one at a time."""
    number = 0
    while body := _piece(db, pieces, number):
        yield body
        number += 1


def _place(db: Db, row: tuple[object, ...]) -> bool:
    """The row that names what was written, in place of one that waited; whether it is there now."""
    stream, name = row[:2]
    db.execute("BEGIN")
    old = db.execute(
        "SELECT entry FROM p2pworld_attachments.attachment WHERE stream = %s AND name = %s FOR UPDATE",
        [stream, name],
    ).fetchone()
    if old is not None and old[0] is not None:
        db.execute("ROLLBACK")
        return False
    db.execute(_DESTROY, [stream, [name]])
    db.execute(
        "INSERT INTO p2pworld_attachments.attachment (stream, name, pieces, size, minute, checksum) "
        "VALUES (%s, %s, %s, %s, %s, %s)",
        row,
    )
    commit(db)
    return True


def _forget(db: Db, pieces: bytes) -> None:
    db.execute("DELETE FROM p2pworld_attachments.piece WHERE pieces = %s", [pieces])
