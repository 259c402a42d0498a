"""A journal's file looked through, row by row: what is wrong with it, and where.

Nothing is changed, and a node may run on the journal meanwhile. Every row's checksum is compared, every body decoded
and compared with its one canonical form, numbers and their order are checked, and SQLite looks through its own pages.
So a byte that is not what was written is either named here with its place, or is one that nothing reads.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from p2pworld.crdt import ObjectCell
from p2pworld.errors import RemoteError
from p2pworld.geometry import Cell
from p2pworld.messages import SaveDelta, SaveRecord, SaveState
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import APPLICATION, FORMAT, checksum_of, checksum_of_record

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Fault", "Survey", "survey"]

_EPOCH_MAX: Final = (1 << 63) - 1
_N_MAX: Final = (1 << 53) - 1
_PAGE_FAULTS_MAX: Final = 100
_COLUMNS: Final = {"state": 5, "delta": 5, "record": 4}


class _Text(bytes):
    """What SQLite says is text, undecoded: what was written as bytes and comes back as this has changed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in which table and row, of which cell (0: no cell's), and what."""

    table: str
    row: str
    cell: int
    what: str

    def __str__(self) -> str:
        place = f"{self.table}, cell {self.cell}" if self.cell else self.table
        return f"{place}{', ' * bool(self.row)}{self.row}: {self.what}"


@dataclass(slots=True)
class Survey:
    """What a journal holds, row by row as far as the rows are sound, and what is wrong with it."""

    states: list[SaveState] = field(default_factory=list)
    deltas: list[SaveDelta] = field(default_factory=list)
    records: list[SaveRecord] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    @property
    def cells(self) -> frozenset[int]:
        """The cells of which there is a sound row."""
        rows: list[SaveState | SaveDelta] = [*self.states, *self.deltas]
        return frozenset(int(row.cell) for row in rows)

    @property
    def rows(self) -> int:
        """How many rows are sound."""
        return len(self.states) + len(self.deltas) + len(self.records)


def survey(path: Path) -> Survey:
    """Look through the journal at `path`; what is wrong is in `faults`.

    Raises:
        StorageFailed: there is none, or it is of a newer format or of another program.
    """
    if not path.is_file():
        raise StorageFailed("none", f"There is no journal {path}.")
    found = Survey()
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as connection:
            connection.text_factory = _Text
            connection.execute("BEGIN")  # all of one moment, whatever a node writes meanwhile
            _look_at_file(connection, path, found)
            for table in _COLUMNS:
                _look_at_rows(connection, table, found)
    except sqlite3.Error as error:
        found.faults.append(Fault("file", "", 0, f"it cannot be read: {error}"))
    _look_at_order(found)
    return found


def _look_at_file(connection: sqlite3.Connection, path: Path, found: Survey) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    rows = connection.execute("SELECT version FROM format").fetchall()
    version = rows[0][0] if len(rows) == 1 and type(rows[0][0]) is int else -1
    if application != APPLICATION and version < 0:
        raise StorageFailed("foreign", f"The file {path} is a database of another program.")
    if application != APPLICATION:
        found.faults.append(Fault("file", "header", 0, "it does not say that it is a journal"))
    if version > FORMAT and application == APPLICATION:
        raise StorageFailed(
            "newer",
            f"The journal {path} is of format {version}; this program reads up to {FORMAT}: update it.",
        )
    if not 1 <= version <= FORMAT:
        found.faults.append(Fault("format", "", 0, "it does not say of which format the journal is"))
    for (sentence,) in connection.execute(f"PRAGMA integrity_check({_PAGE_FAULTS_MAX})"):
        if sentence != b"ok":
            found.faults.append(Fault("file", "", 0, sentence.decode("utf-8", "replace")))


def _look_at_rows(connection: sqlite3.Connection, table: str, found: Survey) -> None:
    rows = iter(_rows(connection, table))
    while True:
        try:
            row = next(rows, None)
        except sqlite3.Error as error:
            found.faults.append(Fault(table, "", 0, f"it cannot be read any further: {error}"))
            return
        if row is None:
            return
        if table == "record":
            _look_at_record(row, found)
        else:
            _look_at_cell(table, row, found)


def _rows(connection: sqlite3.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    known = connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone()
    yield from connection.execute(f"SELECT * FROM {table}") if known else ()


def _look_at_record(row: tuple[Any, ...], found: Survey) -> None:
    kind, name, body, checksum = row
    if [type(value) for value in row] != [_Text, bytes, bytes, bytes]:
        found.faults.append(Fault("record", "", 0, "a value is of another type than it was written"))
        return
    place = f"{kind.decode('utf-8', 'replace')} {name.hex()}"
    try:
        text = kind.decode()
    except UnicodeDecodeError:
        found.faults.append(Fault("record", place, 0, "its kind is no text"))
        return
    if checksum != checksum_of_record(text, name, body):
        found.faults.append(Fault("record", place, 0, "its checksum is of something else"))
        return
    found.records.append(SaveRecord(text, name, body))


def _look_at_cell(table: str, row: tuple[Any, ...], found: Survey) -> None:
    cell, epoch, n, body, checksum = row
    if [type(value) for value in row] != [int, int, int, bytes, bytes]:
        found.faults.append(Fault(table, "", 0, "a value is of another type than it was written"))
        return
    place = f"epoch {epoch} change {n}"
    if (what := _fault_of(table, cell, epoch, n, body, checksum)) is not None:
        found.faults.append(Fault(table, place, cell, what))
    elif table == "state":
        found.states.append(SaveState(cell, epoch, n, body))
    else:
        found.deltas.append(SaveDelta(cell, epoch, n, body))


def _fault_of(table: str, cell: int, epoch: int, n: int, body: bytes, checksum: bytes) -> str | None:
    if checksum != checksum_of(table.encode(), cell, epoch, n, body):
        return "its checksum is of something else"
    try:
        Cell(cell)
    except ValueError:
        return "there is no such cell"
    if not (0 <= epoch <= _EPOCH_MAX and 0 <= n <= _N_MAX):
        return "its numbers are out of bounds"
    try:
        canonical = ObjectCell.from_bytes(body).to_bytes()
    except RemoteError as error:
        return f"its objects cannot be read: {error}"
    return None if canonical == body else "its objects are not written the one way that they are"


def _look_at_order(found: Survey) -> None:
    """A cell's changes follow its whole state, under one epoch after another, without a gap in any."""
    at = {int(state.cell): (state.epoch, state.n) for state in found.states}
    for delta in sorted(found.deltas, key=lambda one: (one.cell, one.epoch, one.n)):
        epoch, n = at.get(int(delta.cell), (delta.epoch, delta.n - 1))
        if (delta.epoch == epoch and delta.n != n + 1) or delta.epoch < epoch:
            place = f"epoch {delta.epoch} change {delta.n}"
            what = f"it does not follow change {n} under epoch {epoch}"
            found.faults.append(Fault("delta", place, int(delta.cell), what))
        at[int(delta.cell)] = delta.epoch, delta.n
