"""What an attestor remembers, in one SQLite file: which devices are whose, and which keys it has attested for each.

A person stands here as 32 bytes that nobody can undo, and perhaps a gu; there is no name, and no number of anything.
What a claim was for is not remembered either. Each row carries a checksum over all it says. Everything is flushed at
each commit: a device that was reported lost stays so.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shard_node.storage.memory import MemoryFailed, MemoryFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["AttestorMemory", "KnownDevice", "MemoryFailed"]

_FILE: Final = "attestor.sqlite"
_TABLES: Final = (
    "CREATE TABLE person (subject BLOB PRIMARY KEY, gu BLOB NOT NULL, until INTEGER NOT NULL, checksum BLOB NOT NULL)",
    "CREATE TABLE device (device BLOB PRIMARY KEY, subject BLOB NOT NULL, root BLOB NOT NULL, since INTEGER NOT NULL, "
    "until INTEGER NOT NULL, lost INTEGER NOT NULL, checksum BLOB NOT NULL)",
    "CREATE INDEX device_subject ON device (subject)",
    "CREATE TABLE issued (key BLOB PRIMARY KEY, device BLOB NOT NULL, until INTEGER NOT NULL, checksum BLOB NOT NULL)",
    "CREATE INDEX issued_device ON issued (device)",
)
_MEMORY: Final = MemoryFile("an attestor", application=0x70327061, format=1, tables=_TABLES)  # "p2pa"
_DEVICE: Final = "SELECT device, subject, root, since, until, lost, checksum FROM device"


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A device and whose it is, from when until when (minutes); `root` is empty where none was shown."""

    device: bytes
    subject: bytes
    root: bytes
    since: int
    until: int
    lost: bool = False


class AttestorMemory:
    """The memory in one data folder. Its methods block, are called from one thread at a time, and may raise
    MemoryFailed."""

    def __init__(self, folder: Path) -> None:
        """The file in `folder`.

        Raises:
            MemoryFailed: it is damaged, of another program or a newer release, not to be opened, or not there.
        """
        self._path = folder / _FILE
        self._connection: sqlite3.Connection | None = None
        if not self._path.exists():
            raise MemoryFailed(f"{self._path} is not there: `p2pworld attestor begin` makes it, once.")
        with self._at_work():
            pass

    @classmethod
    def begin(cls, folder: Path) -> None:
        """Makes the empty memory of a new attestor.

        Raises:
            MemoryFailed: there is one, or it cannot be made.
        """
        _MEMORY.begin(folder / _FILE, folder_mode=0o700)

    # ---- people and devices

    def gu(self, subject: bytes, minute: int) -> str:
        """Where this person lives, as far as that was said and still counts; nothing otherwise."""
        with self._at_work() as db:
            row = db.execute("SELECT * FROM person WHERE subject = ?", [subject]).fetchone()
        if row is None:
            return ""
        self._check("person", row)
        return bytes(row[1]).decode() if minute < row[2] else ""

    def device(self, device: bytes) -> KnownDevice | None:
        """What is known of a device."""
        with self._at_work() as db:
            row = db.execute(f"{_DEVICE} WHERE device = ?", [device]).fetchone()
        return self._known(row) if row else None

    def devices_of(self, subject: bytes) -> list[KnownDevice]:
        """All devices of a person, lost ones too, in the order in which they came."""
        with self._at_work() as db:
            rows = db.execute(f"{_DEVICE} WHERE subject = ? ORDER BY since, device", [subject]).fetchall()
        return [self._known(row) for row in rows]

    def register(self, known: KnownDevice, gu: str, gone: Iterable[bytes]) -> None:
        """Remembers a device, and where its owner lives if that was said; `gone` devices are forgotten."""
        with self._at_work() as db:
            db.execute("BEGIN IMMEDIATE")
            for device in gone:
                db.execute("DELETE FROM device WHERE device = ?", [device])
            self._put(db, known)
            if gu:
                said = (known.subject, gu.encode(), known.until)
                db.execute(
                    "INSERT OR REPLACE INTO person VALUES (?, ?, ?, ?)", [*said, _checksum("person", *said)]
                )
            db.execute("COMMIT")

    def lose(self, known: KnownDevice) -> None:
        """Remembers that a device is lost."""
        lost = KnownDevice(known.device, known.subject, known.root, known.since, known.until, True)
        with self._at_work() as db:
            db.execute("BEGIN IMMEDIATE")
            self._put(db, lost)
            db.execute("COMMIT")

    # ---- what was attested

    def issued(self, device: bytes, minute: int) -> int:
        """How many keys of a device have claims that have not ended."""
        with self._at_work() as db:
            query = "SELECT count(*) FROM issued WHERE device = ? AND until > ?"
            count: int = db.execute(query, [device, minute]).fetchone()[0]
        return count

    def owner_of(self, key: bytes) -> bytes | None:
        """The device that a claim's key is remembered for."""
        with self._at_work() as db:
            row = db.execute("SELECT * FROM issued WHERE key = ?", [key]).fetchone()
        if row is None:
            return None
        self._check("issued", row)
        return bytes(row[1])

    def issue(self, device: bytes, keys: Sequence[bytes], minute: int, until: int) -> None:
        """Remembers that these keys of a device have claims until then; what has ended is forgotten."""
        with self._at_work() as db:
            db.execute("BEGIN IMMEDIATE")
            db.execute("DELETE FROM issued WHERE until <= ?", [minute])
            for key in keys:
                said = (key, device, until)
                db.execute(
                    "INSERT OR REPLACE INTO issued VALUES (?, ?, ?, ?)", [*said, _checksum("issued", *said)]
                )
            db.execute("COMMIT")

    def withdrawn(self, minute: int, most: int) -> list[bytes]:
        """The keys of lost devices whose claims have not ended, those that hold the longest if there are too many."""
        query = (
            "SELECT i.key, i.device, i.until, i.checksum FROM issued i JOIN device d ON d.device = i.device "
            "WHERE d.lost AND i.until > ? ORDER BY i.until DESC, i.key LIMIT ?"
        )
        with self._at_work() as db:
            rows = db.execute(query, [minute, most]).fetchall()
        for row in rows:
            self._check("issued", row)
        return [bytes(row[0]) for row in rows]

    def close(self) -> None:
        """Lets go of the file."""
        connection, self._connection = self._connection, None
        if connection:
            with suppress(sqlite3.Error):
                connection.close()

    # ---- pieces

    def _put(self, db: sqlite3.Connection, known: KnownDevice) -> None:
        said = (known.device, known.subject, known.root, known.since, known.until, int(known.lost))
        values = [*said, _checksum("device", *said)]
        db.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _known(self, row: Sequence[object]) -> KnownDevice:
        self._check("device", row)
        device, subject, root, since, until, lost, _ = row
        assert isinstance(device, bytes)
        assert isinstance(subject, bytes)
        assert isinstance(root, bytes)
        assert isinstance(since, int)
        assert isinstance(until, int)
        return KnownDevice(device, subject, root, since, until, bool(lost))

    def _check(self, table: str, row: Sequence[object]) -> None:
        *said, kept = row
        if kept != _checksum(table, *said):
            raise MemoryFailed(f"{self._path} is damaged: a row of {table} is not what was written.")

    @contextmanager
    def _at_work(self) -> Iterator[sqlite3.Connection]:
        """The connection; whatever fails drops it, and the next use reads from the file what came of it."""
        try:
            db = self._open()
            yield db
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error as error:
            self.close()
            raise MemoryFailed(f"{self._path} cannot be used: {error}.") from error
        except MemoryFailed:
            self.close()
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = _MEMORY.open(self._path, "secure_delete = ON")
        return self._connection


def _checksum(table: str, *said: object) -> bytes:
    hasher = hashlib.blake2b(table.encode(), digest_size=8)
    for part in said:
        data = part if isinstance(part, bytes) else repr(part).encode()
        hasher.update(b" %d:" % len(data) + data)
    return hasher.digest()
