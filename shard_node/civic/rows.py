"""The rows of a civic store: what each carries against a garbling disk, and the check of all of them together.

A row's checksum covers its table, its place and all it says, so that neither a changed byte nor a row that has moved is
believed. The check also compares rows with one another: a leaf with what is answered under its key and with what was
sealed for it, which is zeros if another leaf has erased it.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from p2pworld.civic.batch import Known
from p2pworld.civic.erasure import ERASED, asked_of
from p2pworld.civic.transaction import parse_leaf, parse_sealed
from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import CIVIC_FAULTS_MAX
from shard_node.civic.store import Fault, Row
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "answer_row",
    "check_rows",
    "checksum",
    "entry_of",
    "known_of",
    "sealed_of",
    "stream_of",
]

_CHECKSUM_BYTES: Final = 8
Said = object  # what a column holds; a garbled one may hold anything


def checksum(table: bytes, *said: Said) -> bytes:
    """The checksum of a row of `table`: each thing it says, with its kind and length."""
    hashed = hashlib.blake2b(table, digest_size=_CHECKSUM_BYTES)
    for one in said:
        if isinstance(one, bytes):
            hashed.update(b" %d:" % len(one))
            hashed.update(one)
        else:
            hashed.update(repr((one,)).encode())
    return hashed.digest()


def _checked(place: str, table: bytes, *row: Said) -> None:
    *said, kept = row
    if kept != checksum(table, *said):
        raise StorageFailed("corrupt", f"In the civic store {place} is damaged.")


def stream_of(number: int, name: bytes, epoch: int, fences: int, size: int, kept: bytes) -> tuple[int, Row]:
    """A stream's number and row.

    Raises:
        StorageFailed: it is not as it was written.
    """
    _checked(f"the row of stream {number}", b"stream", number, name, epoch, fences, size, kept)
    return number, Row(epoch, fences, size)


def entry_of(stream: int, number: int, leaf: bytes, kept: bytes) -> bytes:
    """An entry's bytes; raises as `stream_of`."""
    _checked(f"entry {number} of stream {stream}", b"entry", stream, number, leaf, kept)
    return leaf


def sealed_of(stream: int, number: int, body: bytes, kept: bytes) -> bytes:
    """What was sealed with an entry; raises as `stream_of`."""
    _checked(f"what is sealed with entry {number} of stream {stream}", b"sealed", stream, number, body, kept)
    return body


def answer_row(stream: int, key: bytes, known: Known) -> tuple[Said, ...]:
    """What is answered under a key, as a row."""
    number: int | None = None
    refusal: bytes | None = None
    if isinstance(known.outcome, Refusal):
        refusal = f"{known.outcome.reason}\n{known.outcome.sentence}".encode()
    else:
        number = known.outcome
    said = (stream, key, known.fingerprint, number, refusal)
    return *said, checksum(b"answer", *said)


def known_of(
    stream: int, key: bytes, fingerprint: bytes, number: int | None, refusal: bytes | None, kept: bytes
) -> Known:
    """What a row answers; raises as `stream_of`."""
    place = f"the answer under key {key.hex() if isinstance(key, bytes) else key} of stream {stream}"
    _checked(place, b"answer", stream, key, fingerprint, number, refusal, kept)
    if refusal is None:
        assert number is not None
        return Known(fingerprint, number)
    reason, _, sentence = refusal.decode().partition("\n")
    return Known(fingerprint, Refusal(reason, sentence))


# ---- all of them


def check_rows(db: sqlite3.Connection) -> list[Fault]:
    """What is not as it was written, in the file's structure or in a row; at most `CIVIC_FAULTS_MAX` things."""
    faults: list[Fault] = []
    db.execute("BEGIN")
    for find in (_structure, _streams, _entries, _answers, _sealed):
        try:
            for fault in find(db):
                faults.append(fault)
                if len(faults) >= CIVIC_FAULTS_MAX:
                    break
        except sqlite3.DatabaseError as error:
            faults.append(Fault(f"the file, while reading its {find.__name__.strip('_')}", str(error)))
    db.execute("ROLLBACK")
    return faults[:CIVIC_FAULTS_MAX]


def _structure(db: sqlite3.Connection) -> Iterator[Fault]:
    for (said,) in db.execute("PRAGMA integrity_check"):
        if said != "ok":
            yield Fault("the structure of the file", str(said))


def _streams(db: sqlite3.Connection) -> Iterator[Fault]:
    for row in db.execute("SELECT * FROM stream ORDER BY id"):
        try:
            number, there = stream_of(*row)
        except StorageFailed as error:
            yield Fault(f"stream {row[0]}", str(error))
            continue
        for table, what in (("entry", "entries"), ("answer", "answers that are a place in the log")):
            query = f"SELECT count(*), max(number) FROM {table} WHERE stream = ? AND number IS NOT NULL"
            count, last = db.execute(query, [number]).fetchone()
            if (count, last) != (there.size, there.size - 1 if there.size else None):
                yield Fault(f"stream {number}", f"It has {there.size} entries; there are {count} {what}.")


def _entries(db: sqlite3.Connection) -> Iterator[Fault]:
    for row in db.execute("SELECT * FROM entry ORDER BY stream, number"):
        place = f"entry {row[1]} of stream {row[0]}"
        try:
            leaf = parse_leaf(entry_of(*row))
        except (StorageFailed, RemoteError) as error:
            yield Fault(place, str(error))
            continue
        query = "SELECT number FROM answer WHERE stream = ? AND key = ?"
        if db.execute(query, [row[0], leaf.filing.key]).fetchone() != (row[1],):
            yield Fault(place, "What is answered under its key is not its place.")
        query = "SELECT count(*) FROM sealed WHERE stream = ? AND number = ?"
        if db.execute(query, row[:2]).fetchone() != (int(bool(leaf.filing.sealed)),):
            yield Fault(place, "What is sealed with it is missing, or should not be there.")


def _answers(db: sqlite3.Connection) -> Iterator[Fault]:
    for row in db.execute("SELECT * FROM answer ORDER BY stream, key"):
        try:
            known_of(*row)
        except StorageFailed as error:
            yield Fault(f"an answer of stream {row[0]}", str(error))


def _erased(db: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Stream and number of every entry that another one, itself sound, has erased."""
    for row in db.execute("SELECT * FROM entry WHERE instr(leaf, ?)", [ERASED.name.encode()]):
        with suppress(StorageFailed, RemoteError):  # which the entries' own check tells
            asked = asked_of(parse_leaf(entry_of(*row)).filing)
            if asked is not None:
                yield row[0], asked.index


def _sealed(db: sqlite3.Connection) -> Iterator[Fault]:
    erased = frozenset(_erased(db))
    for row in db.execute("SELECT * FROM sealed ORDER BY stream, number"):
        place = f"what is sealed with entry {row[1]} of stream {row[0]}"
        try:
            body = sealed_of(*row)
            there = parse_sealed(body).commitment if any(body) else b""
            entry = db.execute("SELECT * FROM entry WHERE stream = ? AND number = ?", row[:2]).fetchone()
            expected = parse_leaf(entry_of(*entry)).filing.sealed if entry else b"none"
        except (StorageFailed, RemoteError) as error:
            yield Fault(place, str(error))
            continue
        if row[:2] in erased and there:
            yield Fault(place, "It is still there, and the log says that it is erased.")
        elif row[:2] not in erased and there != expected:
            yield Fault(place, "It is not what the entry stands for.")
