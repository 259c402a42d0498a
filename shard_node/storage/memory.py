"""A small SQLite file that a server of its own remembers things in: made once, known by its header, flushed at commits.

It is never made by itself: who has lost it is told so, and decides what that means.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MemoryFailed", "MemoryFile"]

_BUSY_S: Final = 2.0  # an operator's copy may be under way


class MemoryFailed(Exception):
    """Nothing can be remembered now; the message is a sentence."""


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """One kind of memory: whose it is, what the file's header says, and its tables. No other program's database is
    touched."""

    whose: str  # such as "a witness"
    application: int
    format: int
    tables: tuple[str, ...]

    def begin(self, path: Path, folder_mode: int = 0o777) -> None:
        """Makes it, empty, and the folder if that is not there.

        Raises:
            MemoryFailed: there is one, or it cannot be made.
        """
        new = path.with_suffix(".new")
        if path.exists():
            raise MemoryFailed(f"{path} is there already.")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=folder_mode)
            new.unlink(missing_ok=True)
            with closing(sqlite3.connect(new, isolation_level=None)) as connection:
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute(f"PRAGMA application_id = {self.application}")
                connection.execute(f"PRAGMA user_version = {self.format}")
                for table in self.tables:
                    connection.execute(table)
            new.chmod(0o600)
            new.rename(path)
        except (OSError, sqlite3.Error) as error:
            raise MemoryFailed(f"{path} cannot be made: {error}.") from error

    def open(self, path: Path, *pragmas: str) -> sqlite3.Connection:
        """A connection to the file that is there, looked through, with these pragmas besides.

        Raises:
            MemoryFailed: it is damaged, of another program or of a newer release.
            sqlite3.Error: it cannot be opened or read.
        """
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw",
            uri=True,
            timeout=_BUSY_S,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            self._check(connection, path)
            for pragma in ("journal_mode = WAL", "synchronous = FULL", *pragmas):
                connection.execute(f"PRAGMA {pragma}")
        except (sqlite3.Error, MemoryFailed):
            connection.close()
            raise
        return connection

    def _check(self, connection: sqlite3.Connection, path: Path) -> None:
        application, version = (
            connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
        )
        if application != self.application:
            raise MemoryFailed(f"{path} is no memory of {self.whose}.")
        if version != self.format:
            raise MemoryFailed(
                f"{path} is of format {version}, and {self.format} is known: update the program."
            )
        fault = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if fault != "ok":
            raise MemoryFailed(f"{path} is damaged: {fault}.")
