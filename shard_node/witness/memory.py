"""What a witness remembers, in one SQLite file: of each log the last checkpoint it signed, flushed at each commit.

Storing compares: a checkpoint takes the place of the one it was decided against, or of none. After a failure the
connection is dropped, and the file says what came of it. Each row carries a checksum over all it says.

A witness whose memory was lost or set back could be made to sign a fork. So a file that is damaged is refused, and one
that is missing is never made by itself: `begin` makes it, once, for a new key.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from p2pworld.civic.witness import Seen
from shard_node.storage.memory import MemoryFailed, MemoryFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MemoryFailed", "WitnessMemory"]

_FILE: Final = "witness.sqlite"
_TABLE: Final = """
CREATE TABLE log (
    origin TEXT PRIMARY KEY, size INTEGER NOT NULL, root BLOB NOT NULL, note BLOB NOT NULL, lines BLOB NOT NULL,
    checksum BLOB NOT NULL
) STRICT
"""
_MEMORY: Final = MemoryFile("a witness", application=0x70327077, format=1, tables=(_TABLE,))  # "p2pw"


class WitnessMemory:
    """The memory in one data folder. Its methods block, and are called from one thread at a time."""

    def __init__(self, folder: Path, pages_max: int | None = None) -> None:
        """The file in `folder`; `pages_max` bounds it, in pages of 4 KiB.

        Raises:
            MemoryFailed: it is damaged, of another program or a newer release, not to be opened, or gone.
        """
        self._path = folder / _FILE
        self._pages_max = pages_max
        self._connection: sqlite3.Connection | None = None
        if not self._path.exists():
            raise MemoryFailed(
                f"{self._path} is not there. A witness that forgot what it signed must not sign: bring the file back, "
                "or begin with a new key (`p2pworld witness begin`)."
            )
        for origin in self.origins():
            self.latest(origin)

    @classmethod
    def begin(cls, folder: Path) -> None:
        """Makes the empty memory of a witness that has signed nothing yet.

        Raises:
            MemoryFailed: there is one, or it cannot be made.
        """
        _MEMORY.begin(folder / _FILE)

    def origins(self) -> list[str]:
        """The logs that something is remembered of.

        Raises:
            MemoryFailed: it cannot be read.
        """
        try:
            return [origin for (origin,) in self._open().execute("SELECT origin FROM log ORDER BY origin")]
        except sqlite3.Error as error:
            raise self._dropped(error) from error

    def latest(self, origin: str) -> Seen | None:
        """What was signed last of this log.

        Raises:
            MemoryFailed: it cannot be read, or is not what was written.
        """
        try:
            row = self._row(origin)
        except sqlite3.Error as error:
            raise self._dropped(error) from error
        return row[0] if row else None

    def cosignatures(self, origin: str) -> tuple[Seen, bytes] | None:
        """What was signed last of this log, and the signature lines that this witness answered with.

        Raises:
            MemoryFailed: it cannot be read, or is not what was written.
        """
        try:
            return self._row(origin)
        except sqlite3.Error as error:
            raise self._dropped(error) from error

    def remember(self, origin: str, before: Seen | None, seen: Seen, lines: bytes) -> bool:
        """Durably stores `seen` and the lines of its answer if `before` is what is stored; whether it was.

        Raises:
            MemoryFailed: it is not known whether it is stored.
        """
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            row = self._row(origin)
            if (row[0] if row else None) != before:
                connection.execute("ROLLBACK")
                return False
            values = (origin, seen.size, seen.root, seen.note, lines, _checksum(origin, seen, lines))
            connection.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?, ?, ?)", values)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._dropped(error) from error
        except MemoryFailed:
            self.close()  # with it the transaction
            raise
        return True

    def close(self) -> None:
        """Lets go of the file."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _row(self, origin: str) -> tuple[Seen, bytes] | None:
        select = "SELECT size, root, note, lines, checksum FROM log WHERE origin = ?"
        row = self._open().execute(select, (origin,)).fetchone()
        if row is None:
            return None
        size, root, note, lines, checksum = row
        seen = Seen(size, root, note)
        if checksum != _checksum(origin, seen, lines):
            raise MemoryFailed(f"{self._path} is damaged: what it says of {origin} is not what was written.")
        return seen, lines

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            bound = () if self._pages_max is None else (f"max_page_count = {int(self._pages_max)}",)
            self._connection = _MEMORY.open(self._path, *bound)
        return self._connection

    def _dropped(self, error: sqlite3.Error) -> MemoryFailed:
        """What to raise; whatever came of the transaction, the next use reads it from the file."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()
        return MemoryFailed(f"{self._path} cannot be used: {error}.")


def _checksum(origin: str, seen: Seen, lines: bytes) -> bytes:
    hasher = hashlib.blake2b(digest_size=8)
    for part in (origin.encode(), b"%d" % seen.size, seen.root, seen.note, lines):
        hasher.update(b"%d " % len(part) + part)
    return hasher.digest()
