"""Copies of a node's journal: one made while it runs, one put in its place, one made of what is left of a damaged one.

A journal that was put in place by hand may lack what was acknowledged after it was copied. So it claims nothing: every
cell comes back under epoch 0 and change 0, which no holder ever writes. The node then is in step with nobody. It takes
the whole state of what others hold, gives them what it alone has, and what it comes to hold it holds under a new epoch.

Files are made beside their place, flushed, and renamed: whatever ends this, what was there before is there, whole. What
is replaced is moved aside, never deleted.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from p2pworld.crdt import ObjectCell
from p2pworld.messages import SaveState
from shard_node.storage.fsck import survey
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure, write_new

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.messages import Write
    from shard_node.storage.fsck import Survey

__all__ = ["backup", "flush", "move_aside", "rebuild", "restore", "unplaced"]

_BESIDE: Final = ("", "-wal", "-shm")  # what belongs to one SQLite file


def backup(journal: Path, target: Path) -> Survey:
    """Copy a journal to a new file, as it is at one moment; a node may write to it meanwhile. What the copy holds.

    Raises:
        StorageFailed: `target` is there already, the journal is damaged, or one of the two cannot be used.
    """
    if target.exists():
        raise StorageFailed("exists", f"{target} is there already: name another file, or move that one away.")
    if not journal.is_file():
        raise StorageFailed("none", f"There is no journal {journal}.")
    part = unplaced(target)
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # reports are in it
        with (
            closing(sqlite3.connect(f"file:{quote(str(journal))}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(part)) as copy,
        ):
            source.backup(copy)  # in one step, so of one moment
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, that needs nothing beside it
        found = survey(part)
        if found.faults:
            raise StorageFailed(
                "corrupt", f"The journal {journal} is damaged ({found.faults[0]}), so no copy of it was kept."
            )
        flush(part)
        part.rename(target)
        flush(target.parent)
    except sqlite3.Error as error:
        raise failure(error, f"The journal {journal}") from error
    except OSError as error:
        raise StorageFailed("io", f"{target} cannot be written: {error.strerror}.") from error
    finally:
        with suppress(OSError):
            part.unlink()
    return found


def restore(source: Path, journal: Path, aside: bool) -> tuple[Survey, Path | None]:
    """Put a copy in the journal's place; what was there is moved aside if `aside` says so. What the copy holds, and
    what is aside now. The caller has the lock on the directory.

    Raises:
        StorageFailed: the copy is damaged, something is in its place, or it cannot be written.
    """
    found = survey(source)
    if found.faults:
        raise StorageFailed(
            "corrupt", f"{source} is damaged ({found.faults[0]}), so it was not put in place."
        )
    if journal.exists() and not aside:
        raise StorageFailed(
            "exists", f"There is a journal in {journal.parent} already; --aside moves it aside."
        )
    return found, rebuild(found, journal)


def rebuild(found: Survey, journal: Path) -> Path | None:
    """Make a journal of what was found, one that claims nothing; what was in its place is aside then, at this path.

    If the process dies between the two, the finished file is there as `unplaced` names it, and no journal.

    Raises:
        StorageFailed: it cannot be written.
    """
    part = unplaced(journal)
    try:
        part.unlink(missing_ok=True)
        write_new(part, _claimless(found))
        flush(part)
        old = move_aside(journal)
        part.rename(journal)
        flush(journal.parent)
    except OSError as error:
        raise StorageFailed("io", f"{journal} cannot be written: {error.strerror}.") from error
    return old


def unplaced(journal: Path) -> Path:
    """Where a journal is made before it is put in its place."""
    return journal.with_name(journal.name + ".part")


def _claimless(found: Survey) -> list[Write]:
    cells: dict[int, ObjectCell] = {}
    for cell, body in [(row.cell, row.state) for row in found.states] + [
        (row.cell, row.delta) for row in found.deltas
    ]:
        cells.setdefault(int(cell), ObjectCell()).merge_in(ObjectCell.from_bytes(body))
    kept = [SaveState(cell, 0, 0, state.to_bytes()) for cell, state in sorted(cells.items())]
    return [*kept, *found.records]


def move_aside(journal: Path) -> Path | None:
    """Give what is in a SQLite file's place another name, all three files that it may consist of; None if none is."""
    if not any(journal.with_name(journal.name + end).exists() for end in _BESIDE):
        return None
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    old, nth = journal.with_name(f"{journal.name}.{stamp}"), 1
    while old.exists():
        old, nth = journal.with_name(f"{journal.name}.{stamp}-{nth}"), nth + 1
    for end in reversed(_BESIDE):  # the log goes before the file that it belongs to
        with suppress(FileNotFoundError):
            journal.with_name(journal.name + end).rename(old.with_name(old.name + end))
    return old


def flush(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
