"""Copies of a civic store: made while it runs, put back without what was erased since, and brought up to the log.

A backup is older than the log. Three things may have come between, and each has its answer here. Entries were erased:
the log's leaves say which, and they are destroyed in the copy before it is put in place. Entries were filed: a holder
that finds fewer than were published takes nothing, lest it fork, until `reconcile` has brought their leaves back from a
copy of the log that is signed. What was sealed with those is lost, and said one by one; refusals are not in the log, so
what was refused since is decided anew. And nothing at all came between: then the copy is the store again.

Files are made beside their place, flushed, and renamed: whatever ends this, what was there before is there, whole. What
is replaced is moved aside, never deleted.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import quote

from p2pworld.civic.batch import Known
from p2pworld.civic.transaction import Leaf, Submission, parse_leaf
from p2pworld.errors import RemoteError
from p2pworld.limits import CIVIC_FAULTS_MAX, CIVIC_READ_MAX
from p2pworld.merkle.tree import CompactRange, leaf_hashes
from shard_node.civic.rows import answer_row, beside_rows, checksum, entry_of, erased_rows, stream_of
from shard_node.civic.store import Fault, Row
from shard_node.civic.tables import (
    KeptRows,
    begin_stream,
    change_kept,
    check,
    empty_log,
    erase,
    has_kept,
    prepare,
    put_rows,
    put_stream,
    refuse_foreign,
    stream_row,
)
from shard_node.storage.copies import flush, move_aside, unplaced
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from p2pworld.civic.kept import Change, Kept
    from shard_node.civic.published import LogCopy

__all__ = [
    "Beside",
    "Lost",
    "Restored",
    "Survey",
    "backup",
    "brought_back",
    "compare",
    "compared",
    "judged",
    "lost_of",
    "reconcile",
    "refuse_fork",
    "restore",
    "survey",
    "wrong_rows",
]


@dataclass(frozen=True, slots=True)
class Survey:
    """What a store holds: entries by stream, how many have something sealed, erased, lost; and what is wrong."""

    entries: dict[str, int]
    sealed: int
    erased: int
    lost: int
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        streams = ", ".join(f"{name} {size}" for name, size in self.entries.items()) or "no log"
        return f"{streams}; {self.sealed} sealed, {self.erased} erased, {self.lost} lost"


class Restored(NamedTuple):
    """What was put in place, how many were erased in it first, and where that is what was there before."""

    found: Survey
    erased: int
    aside: Path | None


@dataclass(frozen=True, slots=True)
class Lost:
    """An entry that is in the log again, and of whose sealed part nothing is left."""

    index: int
    leaf: Leaf


def survey(path: Path) -> Survey:
    """Look through the store, or a copy of it; nothing is changed, and a node may run on it meanwhile.

    Raises:
        StorageFailed: there is none, or it is of a newer schema or of another program.
    """
    if not path.is_file():
        raise StorageFailed("none", f"There is no civic store {path}.")
    entries: dict[str, int] = {}
    sealed = erased = lost = 0
    faults: list[Fault] = []
    try:
        with closing(_open_to_read(path)) as db:
            refuse_foreign(db, path)
            faults = check(db)
            for row in db.execute("SELECT * FROM stream ORDER BY id"):
                with suppress(StorageFailed, UnicodeDecodeError):  # which the check has told
                    entries[row[1].decode()] = stream_of(*row)[1].size
            kinds = "sum(body > zeroblob(length(body))), sum(length(body) > 0), sum(length(body) = 0)"
            sealed, filled, lost = (
                each or 0 for each in db.execute(f"SELECT {kinds} FROM sealed").fetchone()
            )
            erased = filled - sealed
    except sqlite3.Error as error:
        faults.append(Fault("the file", f"It cannot be read any further: {error}."))
    return Survey(entries, sealed, erased, lost, tuple(faults))


def backup(store: Path, target: Path) -> Survey:
    """Copy a store to a new file, as it is at one moment; a node may write to it meanwhile. What the copy holds.

    Raises:
        StorageFailed: `target` is there already, the store is damaged, or one of the two cannot be used.
    """
    if target.exists():
        raise StorageFailed("exists", f"{target} is there already: name another file, or move that one away.")
    if not store.is_file():
        raise StorageFailed("none", f"There is no civic store {store}.")
    part = unplaced(target)
    try:
        _copy(store, part)
        found = _sound(part, store)
        flush(part)
        part.rename(target)
        flush(target.parent)
    except OSError as error:
        raise StorageFailed("io", f"{target} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return found


def restore(source: Path, store: Path, logs: Mapping[str, LogCopy | None], aside: bool) -> Restored:
    """Put a copy in the store's place, without what its logs, or the store that is there, say is erased.

    Until it is reconciled, a check finds fault with what is erased by no entry that it has itself.

    `logs` has the newest copy of each log, or None for one of which the caller takes it upon himself that there is
    none. What is in the store's place is moved aside if `aside` says so. The caller has the store's lock.

    Raises:
        StorageFailed: the copy is damaged or not of these logs, a log is missing (`none`), something is in the store's
            place (`exists`), or it cannot be written.
    """
    found = _sound(source, source)
    if missing := found.entries.keys() - logs.keys():
        names = ", ".join(sorted(missing))
        raise StorageFailed(
            "none", f"Without a copy of the log ({names}) nobody knows what was erased since."
        )
    if store.exists() and not aside:
        raise StorageFailed("exists", f"There is a civic store {store} already; --aside moves it aside.")
    part = unplaced(store)
    try:
        _copy(source, part)
        with closing(sqlite3.connect(part, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = MEMORY")  # what is erased is not written once more beside it
            db.execute("PRAGMA secure_delete = ON")
            db.execute("BEGIN")
            erased = 0
            for name in found.entries:
                said = _erased_in(store, name)
                if (log := logs[name]) is not None:
                    _refuse_fork(db, name, log)
                    said |= log.erased
                number, _ = stream_row(db, name) or (0, None)
                erased += sum(erase(db, number, index) for index in sorted(said))
            db.execute("COMMIT")
        found = survey(part)
        flush(part)
        old = move_aside(store)
        part.rename(store)
        flush(store.parent)
    except sqlite3.Error as error:
        raise failure(error, f"The copy {source}") from error
    except OSError as error:
        raise StorageFailed("io", f"{store} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return Restored(found, erased, old)


def reconcile(store: Path, stream: str, log: LogCopy, beside: Beside | None = None) -> list[Lost]:
    """Bring back from a copy of the log what the store lacks of it, and destroy what the log says is erased; `beside`
    makes the rows again that belong to it.

    The store must hold the beginning of just this log, or nothing of it; else nothing is changed. The caller has the
    store's lock, and has seen that the record knows of no more entries than the log has. All of it is one transaction.

    Raises:
        StorageFailed: the store's entries are others (`corrupt`), or it cannot be used.
    """
    lost: list[Lost] = []
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as db:
            prepare(db, store, None)
            db.execute("BEGIN IMMEDIATE")
            _refuse_fork(db, stream, log)
            number, row = stream_row(db, stream) or (0, Row(0, 0, 0))
            number = number or begin_stream(db, stream)
            for begin, entries in log.bundles(row.size):
                leaves = [parse_leaf(entry) for entry in entries]
                for table, rows in brought_back(number, begin, entries, leaves).items():
                    put_rows(db, table, rows)
                if beside is not None:
                    kept = KeptRows(db, number)
                    change_kept(db, number, beside.made_again(stream, begin, leaves, kept))
                lost += lost_of(begin, leaves, log)
                epoch = max(row.epoch, *(leaf.epoch for leaf in leaves))
                row = Row(epoch, row.fences, begin + len(entries))
            for index in sorted(log.erased):
                erase(db, number, index)
            put_stream(db, number, stream, row)
            db.execute("COMMIT")
            empty_log(db)
    except sqlite3.Error as error:
        raise failure(error, f"The civic store {store}") from error
    except RemoteError as error:
        raise StorageFailed("corrupt", f"The log in {log.path} holds what is no leaf: {error}.") from error
    return lost


def compare(store: Path, stream: str, log: LogCopy) -> Fault | None:
    """What is wrong between a store and a copy of one of its logs, or None; the log may be behind, not the store.

    Raises:
        StorageFailed: the store cannot be read.
    """
    try:
        with closing(_open_to_read(store)) as db:
            refuse_foreign(db, store)
            db.execute("BEGIN")
            _refuse_fork(db, stream, log)
            _, row = stream_row(db, stream) or (0, Row(0, 0, 0))
    except StorageFailed as error:
        return Fault(f"stream {stream}", str(error))
    except sqlite3.Error as error:
        raise failure(error, f"The civic store {store}") from error
    return compared(stream, row.size, log)


def wrong_rows(store: Path, stream: str, beside: Beside) -> list[Fault]:
    """How the rows beside a log differ from what its leaves make of them; nothing is changed.

    Raises:
        StorageFailed: the store cannot be read.
    """
    try:
        with closing(_open_to_read(store)) as db:
            refuse_foreign(db, store)
            db.execute("BEGIN")
            if not has_kept(db):
                return []
            return judged(stream, beside, *beside_rows(db, stream))
    except sqlite3.Error as error:
        raise failure(error, f"The civic store {store}") from error


# ---- what is so of every engine


class Beside(Protocol):
    """Whoever knows what the rows beside a log mean (`shard_node.services.beside`)."""

    def made_again(self, stream: str, begin: int, leaves: Sequence[Leaf], kept: Kept) -> Sequence[Change]: ...

    def wrong(self, stream: str, entries: Iterable[bytes], rows: Mapping[str, bytes]) -> list[str]: ...


def judged(stream: str, beside: Beside, entries: Iterable[bytes], rows: Mapping[str, bytes]) -> list[Fault]:
    """How the rows beside a log differ from what its leaves make of them, `CIVIC_FAULTS_MAX` times at most."""
    try:
        wrong = beside.wrong(stream, entries, rows)
    except RemoteError:
        return []  # an entry that is no leaf is a fault of its own
    return [Fault(f"the rows beside {stream}", sentence) for sentence in wrong[:CIVIC_FAULTS_MAX]]


def compared(stream: str, size: int, log: LogCopy) -> Fault | None:
    """What is wrong if the store has so many entries of the log, and the same."""
    if size < log.size:
        return Fault(
            f"stream {stream}", f"It has {size} entries, and {log.size} are published in {log.path}."
        )
    return None


def refuse_fork(stream: str, size: int, root: bytes, log: LogCopy) -> None:
    """Returns if the first entries of the store, `size` of them and at most as many as the log has, are the log's.

    Raises:
        StorageFailed: they are not (`corrupt`), or nobody can tell (`busy`).
    """
    expected = log.root if size == log.size else log.roots.get(size)
    if expected is None:
        raise StorageFailed("busy", f"{stream} has grown to {size} entries meanwhile: try again.")
    if root != expected:
        raise StorageFailed(
            "corrupt", f"The first {size} entries of {stream} are not those of the log in {log.path}: a fork."
        )


def lost_of(begin: int, leaves: list[Leaf], log: LogCopy) -> list[Lost]:
    """Those of entries that come from the log alone whose sealed part nobody has, though nobody has erased it."""
    return [
        Lost(index, leaf)
        for index, leaf in enumerate(leaves, begin)
        if leaf.filing.sealed and index not in log.erased
    ]


def brought_back(
    number: int, begin: int, entries: list[bytes], leaves: list[Leaf]
) -> dict[str, list[tuple[object, ...]]]:
    """The rows of entries that come from the log alone; of what is sealed there is nothing."""
    rows: dict[str, list[tuple[object, ...]]] = {"entry": [], "answer": [], "sealed": []}
    for index, (entry, leaf) in enumerate(zip(entries, leaves, strict=True), begin):
        rows["entry"].append((number, index, entry, checksum(b"entry", number, index, entry)))
        known = Known(Submission(leaf.filing, leaf.sig).fingerprint, index)
        rows["answer"].append(answer_row(number, leaf.filing.key, known))
        if leaf.filing.sealed:
            rows["sealed"].append((number, index, b"", checksum(b"sealed", number, index, b"")))
    return rows


# ---- pieces


def _open_to_read(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None)


def _copy(source: Path, part: Path) -> None:
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    try:
        with closing(_open_to_read(source)) as there, closing(sqlite3.connect(part)) as copy:
            refuse_foreign(there, source)
            there.backup(copy)  # in one step, so of one moment
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, that needs nothing beside it
    except sqlite3.Error as error:
        raise failure(error, f"The civic store {source}") from error


def _sound(path: Path, named: Path) -> Survey:
    found = survey(path)
    if found.faults:
        first = found.faults[0]
        raise StorageFailed(
            "corrupt", f"{named} is damaged ({first.place}: {first.sentence}), so it is not copied."
        )
    return found


def _erased_in(store: Path, stream: str) -> frozenset[int]:
    """What the store that is in place, as far as it can be read, says is erased, or has erased itself."""
    if not store.is_file():
        return frozenset()
    try:
        with closing(_open_to_read(store)) as db:
            refuse_foreign(db, store)
            number, _ = stream_row(db, stream) or (0, None)
            query = (
                "SELECT number FROM sealed WHERE stream = ? AND body = zeroblob(length(body)) AND body > x''"
            )
            gone = frozenset(index for (index,) in db.execute(query, [number]))
            return gone | frozenset(index for there, index in erased_rows(db) if there == number)
    except (sqlite3.Error, StorageFailed):
        return frozenset()  # it is damaged: that is why another is put in its place


def _refuse_fork(db: sqlite3.Connection, stream: str, log: LogCopy) -> None:
    number, row = stream_row(db, stream) or (0, Row(0, 0, 0))
    size = min(row.size, log.size)
    refuse_fork(stream, size, _root(db, number, size), log)


def _root(db: sqlite3.Connection, number: int, size: int) -> bytes:
    tree = CompactRange()
    query = "SELECT * FROM entry WHERE stream = ? AND number >= ? AND number < ? ORDER BY number"
    for begin in range(0, size, CIVIC_READ_MAX):
        rows = db.execute(query, [number, begin, min(begin + CIVIC_READ_MAX, size)])
        hashes = leaf_hashes(entry_of(*row) for row in rows)
        tree = tree.merge(CompactRange.of(begin, hashes))
    return tree.root()
