"""Copies of the attachments beside a civic store in a file: made while a node runs, put back, and looked through.

They are copied after the store, so a copy has whatever its entries name. Files never change, so one that has gone while
it was being copied was filed meanwhile, and is found under its other name, or was erased. What a log says is erased is
not put back; should a copy of the log be older than that, the next holder finds it.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import defaultdict
from contextlib import closing, suppress
from itertools import islice
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import trio

from p2pworld.civic.attached import entry_of_row, file_row
from p2pworld.limits import CIVIC_FAULTS_MAX
from shard_node.attachments.files import faults_of, files_of, streams_of
from shard_node.attachments.opening import folder_beside, open_attachments
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.rows import erased_rows
from shard_node.civic.store import Fault
from shard_node.civic.tables import refuse_foreign
from shard_node.coordination.settings import conninfo
from shard_node.storage.copies import flush, unplaced
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from shard_node.civic.rows import Rows
    from shard_node.coordination.settings import StoreConfig

__all__ = ["backup", "look_through", "restore"]

_PASSES: Final = 8  # over what has changed its name meanwhile
_PREFIX: Final = file_row(b"")


def backup(store: Path, target: Path) -> int:
    """Copies the attachments of the store in `store` beside its copy `target`; how many there are.

    Raises:
        StorageFailed: there are some already, or they cannot be read or written.
    """
    return _copy(folder_beside(store), folder_beside(target), {})


def restore(source: Path, store: Path, erased: Mapping[str, frozenset[int]]) -> int:
    """Puts those of the copy `source` beside `store`, but for those of erased entries; how many.

    What was there is moved aside, as the store was.

    Raises:
        StorageFailed: they cannot be read or written.
    """
    place = folder_beside(store)
    if place.exists():
        old, nth = place.with_name(f"{place.name}.old"), 1
        while old.exists():
            old, nth = place.with_name(f"{place.name}.old-{nth}"), nth + 1
        place.rename(old)
    return _copy(folder_beside(source), place, erased)


def look_through(settings: StoreConfig, copy: Path | None = None) -> list[Fault]:
    """What is wrong with the attachments of the store that a node's settings name, or of a copy of it in a file; a node
    may run on it.

    Raises:
        StorageFailed: they cannot be read.
    """
    store = copy or settings.path
    if store is None:
        return trio.run(_look_through_database, settings)
    folder = folder_beside(store)
    try:
        there = {(stream, name) for stream in streams_of(folder) for _, name, _ in files_of(folder, stream)}
        faults = list(islice(faults_of(folder), CIVIC_FAULTS_MAX))
    except OSError as error:
        raise StorageFailed("io", f"{folder} cannot be read: {error.strerror}.") from error
    with (
        suppress(sqlite3.Error, StorageFailed),  # which the store's own check tells
        closing(sqlite3.connect(f"file:{quote(str(store))}?mode=ro", uri=True)) as db,
    ):
        refuse_foreign(db, store)
        faults += [_missing(*each) for each in _named(db) if each[:2] not in there]
    return faults[:CIVIC_FAULTS_MAX]


async def _look_through_database(settings: StoreConfig) -> list[Fault]:
    store = PostgresCivicStore(conninfo(settings), settings.copies)
    attachments = open_attachments(settings)
    try:
        faults = await attachments.check()
        named: defaultdict[str, dict[bytes, int]] = defaultdict(dict)
        for stream, name, entry in await store.at_one_instant(lambda rows: list(_named(rows))):
            named[stream][name] = entry
        for stream, entries in named.items():
            held = await attachments.held(stream, list(entries))
            faults += [_missing(stream, name, entry) for name, entry in entries.items() if name not in held]
        return faults[:CIVIC_FAULTS_MAX]
    finally:
        await attachments.close()
        await store.close()


def _missing(stream: str, name: bytes, entry: int) -> Fault:
    return Fault(f"attachment {name.hex()[:16]} of {stream}", f"Entry {entry} names it, and it is missing.")


def _named(rows: Rows) -> Iterator[tuple[str, bytes, int]]:
    """Stream, name and entry of whatever an entry names that is not erased."""
    erased = frozenset(erased_rows(rows))
    query = (
        "SELECT s.id, s.name, k.name, k.body FROM kept k JOIN stream s ON s.id = k.stream "
        "WHERE k.name >= ? AND k.name < ? ORDER BY k.stream, k.name"
    )
    begin = _PREFIX.encode()
    for number, stream, row, body in rows.execute(query, [begin, begin[:-1] + bytes([begin[-1] + 1])]):
        entry = entry_of_row(body)
        if (number, entry) not in erased:
            yield stream.decode(), bytes.fromhex(row.decode().removeprefix(_PREFIX)), entry


def _copy(source: Path, target: Path, erased: Mapping[str, frozenset[int]]) -> int:
    part = unplaced(target)
    if not source.is_dir():
        return 0
    try:
        if target.exists():
            raise StorageFailed("exists", f"{target} is there already: move it away.")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True, mode=0o700)
        count = sum(
            _copy_stream(source, part, stream, erased.get(stream, frozenset()))
            for stream in streams_of(source)
        )
        flush(part)
        part.rename(target)
        flush(target.parent)
    except OSError as error:
        raise StorageFailed("io", f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return count


def _copy_stream(source: Path, part: Path, stream: str, erased: frozenset[int]) -> int:
    copied: set[bytes] = set()
    for _ in range(_PASSES):
        gone = False
        for path, name, held in list(files_of(source, stream)):
            if name in copied or held.entry in erased:
                continue
            place = part / stream / path.parent.name / path.name
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                shutil.copyfile(path, place)
            except FileNotFoundError:
                gone = True
                with suppress(FileNotFoundError):
                    place.unlink()
                continue
            place.chmod(0o600)
            flush(place)
            copied.add(name)
        if not gone:
            break
    for shelf in (part / stream).iterdir() if copied else ():
        flush(shelf)
    return len(copied)
