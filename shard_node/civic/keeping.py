"""The store of a node's civic logs as an operator's commands see it, be it a file or a database in PostgreSQL.

A file is locked while it is mended, so that no node has it. In a database the stream's row is taken, and nothing is
changed if a node has written meanwhile. Copying a database is left to the server's own programs.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import psycopg
import trio

from p2pworld.civic.transaction import parse_leaf
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import RemoteError
from p2pworld.limits import CIVIC_BATCH_MAX, CIVIC_READ_MAX
from p2pworld.merkle.tree import CompactRange, leaf_hashes
from shard_node.civic import copies
from shard_node.civic.copies import (
    Beside,
    Lost,
    Survey,
    brought_back,
    compared,
    judged,
    lost_of,
    refuse_fork,
)
from shard_node.civic.engines import lock_store
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.postgres_tables import (
    KeptRows,
    change_kept,
    erase,
    overwrite,
    put_rows,
    sealed_rows,
)
from shard_node.civic.rotation import Rotated, rewrap_store, rewrapped
from shard_node.civic.rows import beside_rows, check_rows, stream_of
from shard_node.civic.store import CommitUnknown, Fault, Row
from shard_node.coordination.settings import conninfo
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from shard_node.civic.postgres_tables import Rows
    from shard_node.civic.published import LogCopy
    from shard_node.coordination.lane import Db
    from shard_node.coordination.settings import StoreConfig

__all__ = ["Keeping", "KeptInFile", "KeptInPostgres", "keeping"]

T = TypeVar("T")


class Keeping(Protocol):
    """A store that is looked through and mended. Each call may raise StorageFailed."""

    @property
    def name(self) -> str:
        """Where it is."""

    def alone(self) -> AbstractContextManager[None]:
        """No node writes to it meanwhile, or what is done then is undone."""

    def sizes(self) -> dict[str, int]:
        """How many entries each stream has; nothing if there is no store."""

    def survey(self) -> Survey:
        """What it holds, and what is wrong with it."""

    def compare(self, stream: str, log: LogCopy) -> Fault | None:
        """As `copies.compare`."""

    def wrong_rows(self, stream: str, beside: Beside) -> list[Fault]:
        """As `copies.wrong_rows`."""

    def reconcile(self, stream: str, log: LogCopy, beside: Beside) -> list[Lost]:
        """As `copies.reconcile`."""

    def rewrap(self, stream: str, office_secret: bytes, new_office: bytes) -> Rotated:
        """As `rotation.rewrap_store`."""


def keeping(settings: StoreConfig) -> Keeping:
    """The store that a configuration names.

    Raises ConfigError: a file that the settings name cannot be used.
    """
    return KeptInFile(settings.path) if settings.path is not None else KeptInPostgres(settings)


class KeptInFile:
    """The store in the file at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def name(self) -> str:
        """See `Keeping.name`."""
        return str(self._path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """See `Keeping.alone`."""
        lock = lock_store(self._path)
        try:
            yield
        finally:
            os.close(lock)

    def sizes(self) -> dict[str, int]:
        """See `Keeping.sizes`."""
        return copies.survey(self._path).entries if self._path.exists() else {}

    def survey(self) -> Survey:
        """See `Keeping.survey`."""
        return copies.survey(self._path)

    def compare(self, stream: str, log: LogCopy) -> Fault | None:
        """See `Keeping.compare`."""
        return copies.compare(self._path, stream, log)

    def wrong_rows(self, stream: str, beside: Beside) -> list[Fault]:
        """See `Keeping.wrong_rows`."""
        return copies.wrong_rows(self._path, stream, beside)

    def reconcile(self, stream: str, log: LogCopy, beside: Beside) -> list[Lost]:
        """See `Keeping.reconcile`."""
        return copies.reconcile(self._path, stream, log, beside)

    def rewrap(self, stream: str, office_secret: bytes, new_office: bytes) -> Rotated:
        """See `Keeping.rewrap`."""
        return rewrap_store(self._path, stream, office_secret, new_office)


class KeptInPostgres:
    """The store in a database, asked over one connection after the other."""

    def __init__(self, settings: StoreConfig) -> None:
        self._conninfo, self._copies = conninfo(settings), settings.copies

    @property
    def name(self) -> str:
        """See `Keeping.name`."""
        return f"PostgreSQL, database {self._conninfo.get('dbname', '')}"

    def alone(self) -> AbstractContextManager[None]:
        """See `Keeping.alone`."""
        return nullcontext()

    def sizes(self) -> dict[str, int]:
        """See `Keeping.sizes`."""
        return self._with(lambda store: store.at_one_instant(_sizes))

    def survey(self) -> Survey:
        """See `Keeping.survey`."""
        return self._with(lambda store: store.at_one_instant(_survey))

    def compare(self, stream: str, log: LogCopy) -> Fault | None:
        """See `Keeping.compare`."""

        async def compare(store: PostgresCivicStore) -> Fault | None:
            row = await store.row(stream) or Row(0, 0, 0)
            try:
                await _refuse_fork(store, stream, row.size, log)
            except StorageFailed as error:
                return Fault(f"stream {stream}", str(error))
            return compared(stream, row.size, log)

        return self._with(compare)

    def wrong_rows(self, stream: str, beside: Beside) -> list[Fault]:
        """See `Keeping.wrong_rows`."""
        entries, rows = self._with(lambda store: store.at_one_instant(lambda rows: beside_rows(rows, stream)))
        return judged(stream, beside, entries, rows)

    def reconcile(self, stream: str, log: LogCopy, beside: Beside) -> list[Lost]:
        """See `Keeping.reconcile`."""

        async def reconcile(store: PostgresCivicStore) -> list[Lost]:
            row = await store.row(stream) or Row(0, 0, 0)
            await _refuse_fork(store, stream, row.size, log)
            lost: list[Lost] = []
            mend = partial(_brought_up, stream, row, log, lost, beside)
            await store.mend(stream, row, mend)
            await _scrubbed(store)
            return lost

        return self._with(reconcile)

    def rewrap(self, stream: str, office_secret: bytes, new_office: bytes) -> Rotated:
        """See `Keeping.rewrap`."""
        old = sealing_public(office_secret)

        async def rewrap(store: PostgresCivicStore) -> Rotated:
            row = await store.row(stream)
            pieces = _Pieces(old, office_secret, new_office)
            while row is not None and not pieces.all_seen:
                await store.mend(stream, row, partial(pieces.next, row))
            await _scrubbed(store)
            return Rotated(pieces.changed, tuple(pieces.unreadable))

        return self._with(rewrap)

    def _with(self, work: Callable[[PostgresCivicStore], Awaitable[T]]) -> T:
        async def opened() -> T:
            store = PostgresCivicStore(self._conninfo, self._copies)
            try:
                return await work(store)
            except CommitUnknown as error:
                raise StorageFailed(
                    "unknown", f"Whether it was written is not known ({error}): try again."
                ) from None
            finally:
                await store.close()

        return trio.run(opened)


def _sizes(rows: Rows) -> dict[str, int]:
    sizes = {}
    for row in rows.execute("SELECT id, name, epoch, fences, size, checksum FROM stream ORDER BY id"):
        with suppress(StorageFailed, UnicodeDecodeError):  # which the check tells
            sizes[row[1].decode()] = stream_of(*row)[1].size
    return sizes


def _survey(rows: Rows) -> Survey:
    faults = check_rows(rows, psycopg.InternalError)
    query = (
        "SELECT count(*), count(*) FILTER (WHERE length(body) > 0), count(*) FILTER (WHERE {}) FROM sealed"
    )
    for there, filled, sealed in rows.execute(query.format(r"btrim(body, '\x00') <> ''")):
        return Survey(_sizes(rows), sealed, filled - sealed, there - filled, tuple(faults))
    return Survey({}, 0, 0, 0, tuple(faults))  # it could not be read any further, and a fault says so


@dataclass
class _Pieces:
    """What is sealed, wrapped for another key piece by piece; what was done before stays done."""

    old: bytes
    secret: bytes
    new: bytes
    after: int = -1
    all_seen: bool = False
    changed: int = 0
    unreadable: list[int] = field(default_factory=list)

    def next(self, row: Row, db: Db, number: int) -> Row:
        """The next piece, in a transaction that leaves the stream's row as it is."""
        bodies: dict[int, bytes] = {}
        found = sealed_rows(db, number, self.after, CIVIC_BATCH_MAX)
        for index, there in found:
            try:
                body = rewrapped(there, self.old, self.secret, self.new)
            except RemoteError:  # the citizen's device wrapped something else
                self.unreadable.append(index)
                continue
            if body is not None:
                bodies[index] = body
        overwrite(db, number, bodies)
        self.changed += len(bodies)
        self.after, self.all_seen = (found[-1][0], False) if found else (self.after, True)
        return row


async def _scrubbed(store: PostgresCivicStore) -> None:
    if not await store.scrub():
        raise StorageFailed(
            "busy",
            "Somebody reads from the database: do this again, so that nothing is left of what was before.",
        )


async def _refuse_fork(store: PostgresCivicStore, stream: str, stored: int, log: LogCopy) -> None:
    """As `copies.refuse_fork`, of the entries that both have; entries never change, so they are read piece by piece."""
    size, tree = min(stored, log.size), CompactRange()
    for begin in range(0, size, CIVIC_READ_MAX):
        entries = await store.entries(stream, begin, min(begin + CIVIC_READ_MAX, size))
        tree = tree.merge(CompactRange.of(begin, leaf_hashes(entries)))
    refuse_fork(stream, size, tree.root(), log)


def _brought_up(
    stream: str, row: Row, log: LogCopy, lost: list[Lost], beside: Beside, db: Db, number: int
) -> Row:
    """The stream's row when it has all of the log; what of that is lost is added to `lost`."""
    epoch, size = row.epoch, row.size
    try:
        for begin, entries in log.bundles(row.size):
            leaves = [parse_leaf(entry) for entry in entries]
            put_rows(db, brought_back(number, begin, entries, leaves))
            change_kept(db, number, beside.made_again(stream, begin, leaves, KeptRows(db, number)))
            lost += lost_of(begin, leaves, log)
            epoch, size = max(epoch, *(leaf.epoch for leaf in leaves)), begin + len(entries)
    except RemoteError as error:
        raise StorageFailed("corrupt", f"The log in {log.path} holds what is no leaf: {error}.") from error
    erase(db, number, log.erased)
    return Row(epoch, row.fences + 1, size)
