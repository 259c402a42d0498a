"""The rows of a civic store: what each carries against a garbling disk, and the check of all of them together.

A row's checksum covers its table, its place and all it says, so that neither a changed byte nor a row that has moved is
believed. The check also compares rows with one another: a leaf with what is answered under its key and with what was
sealed for it, which is zeros if another leaf has erased it.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, Protocol

from p2pworld.civic.batch import Known
from p2pworld.civic.erasure import ERASED, asked_of
from p2pworld.civic.transaction import parse_leaf, parse_sealed
from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import CIVIC_FAULTS_MAX
from shard_node.civic.store import Fault, Row
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Submission

__all__ = [
    "Rows",
    "answer_row",
    "beside_rows",
    "check_rows",
    "checksum",
    "entry_of",
    "erased_rows",
    "kept_of",
    "kept_row",
    "known_of",
    "prefix_end",
    "sealed_of",
    "stream_of",
    "written",
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
    place = f"the answer under key {_hex(key)} of stream {stream}"
    _checked(place, b"answer", stream, key, fingerprint, number, refusal, kept)
    if refusal is None:
        assert number is not None
        return Known(fingerprint, number)
    reason, _, sentence = refusal.decode().partition("\n")
    return Known(fingerprint, Refusal(reason, sentence))


def kept_row(stream: int, name: str, body: bytes) -> tuple[Said, ...]:
    """A row beside the log, as a row of its table."""
    said = (stream, name.encode(), body)
    return *said, checksum(b"kept", *said)


def kept_of(stream: int, name: bytes, body: bytes, kept: bytes) -> tuple[str, bytes]:
    """The name and body of a row beside the log; raises as `stream_of`."""
    _checked(f"the row {name!r:.100} beside stream {stream}", b"kept", stream, name, body, kept)
    return name.decode(), body


def prefix_end(prefix: bytes) -> bytes:
    """What comes behind all names that begin so; `prefix` is ASCII."""
    return prefix[:-1] + bytes((prefix[-1] + 1,)) if prefix else b"\xff"


def _hex(key: Said) -> str:
    return key.hex() if isinstance(key, bytes) else str(key)


def written(
    stream: int, size: int, submissions: Sequence[Submission], planned: Plan
) -> dict[str, list[tuple[Said, ...]]]:
    """The rows that a plan for a log of `size` adds to each table, of what it says is erased only zeros."""
    rows: dict[str, list[tuple[Said, ...]]] = {"entry": [], "answer": [], "sealed": []}
    for number, leaf in enumerate(planned.entries, size):
        rows["entry"].append((stream, number, leaf, checksum(b"entry", stream, number, leaf)))
    # under one key there may be others, which were refused
    filings = {submission.fingerprint: submission for submission in submissions}
    for key, learned in planned.learned.items():
        rows["answer"].append(answer_row(stream, key, learned))
        filed = filings.get(learned.fingerprint)  # what the holder itself enters has nothing sealed
        sealed, at = filed.sealed if filed else None, learned.outcome
        if sealed is not None and isinstance(at, int):
            body = sealed.to_bytes()
            if at in planned.erased:
                body = bytes(len(body))
            rows["sealed"].append((stream, at, body, checksum(b"sealed", stream, at, body)))
    return rows


# ---- all of them


class Rows(Protocol):
    """The tables of one store as they are at one instant; a query has `?` where a value stands."""

    def execute(self, query: str, values: Sequence[object] = (), /) -> Iterable[Any]:
        """The rows that the query finds."""


def check_rows(
    rows: Rows,
    failure: type[Exception],
    structure: Callable[[], Iterable[Fault]] = tuple,
    *,
    beside: bool = True,
) -> list[Fault]:
    """What is not as it was written, in the `structure` of the whole or in a row; at most `CIVIC_FAULTS_MAX` things.

    `failure` is what the engine raises when it cannot read on; `beside`: there is a table of rows beside the logs.
    """
    faults: list[Fault] = []
    finds: dict[str, Callable[[], Iterable[Fault]]] = {
        "structure": structure,
        "streams": partial(_streams, rows),
        "entries": partial(_entries, rows),
        "answers": partial(_answers, rows),
        "sealed": partial(_sealed, rows),
    }
    if beside:
        finds["rows beside the logs"] = partial(_kept, rows)
    for name, find in finds.items():
        try:
            faults += islice(find(), CIVIC_FAULTS_MAX - len(faults))
        except failure as error:
            faults.append(Fault(f"the store, while reading its {name}", str(error)))
    return faults[:CIVIC_FAULTS_MAX]


def _streams(rows: Rows) -> Iterator[Fault]:
    for row in rows.execute("SELECT id, name, epoch, fences, size, checksum FROM stream ORDER BY id"):
        try:
            number, there = stream_of(*row)
        except StorageFailed as error:
            yield Fault(f"stream {row[0]}", str(error))
            continue
        for table, what in (("entry", "entries"), ("answer", "answers that are a place in the log")):
            query = f"SELECT count(*), max(number) FROM {table} WHERE stream = ? AND number IS NOT NULL"
            ((count, last),) = rows.execute(query, [number])
            if (count, last) != (there.size, there.size - 1 if there.size else None):
                yield Fault(f"stream {number}", f"It has {there.size} entries; there are {count} {what}.")


def _entries(rows: Rows) -> Iterator[Fault]:
    query = """
    SELECT e.stream, e.number, e.leaf, e.checksum, a.key, s.number FROM entry e
    LEFT JOIN answer a ON a.stream = e.stream AND a.number = e.number
    LEFT JOIN sealed s ON s.stream = e.stream AND s.number = e.number
    ORDER BY e.stream, e.number
    """
    for *row, key, sealed in rows.execute(query):
        place = f"entry {row[1]} of stream {row[0]}"
        try:
            leaf = parse_leaf(entry_of(*row))
        except (StorageFailed, RemoteError) as error:
            yield Fault(place, str(error))
            continue
        if key != leaf.filing.key:
            yield Fault(place, "What is answered under its key is not its place.")
        if bool(leaf.filing.sealed) != (sealed is not None):
            yield Fault(place, "What is sealed with it is missing, or should not be there.")


def _answers(rows: Rows) -> Iterator[Fault]:
    query = "SELECT stream, key, fingerprint, number, refusal, checksum FROM answer ORDER BY stream, key"
    for row in rows.execute(query):
        try:
            known_of(*row)
        except StorageFailed as error:
            yield Fault(f"the answer under key {_hex(row[1])} of stream {row[0]}", str(error))


def _kept(rows: Rows) -> Iterator[Fault]:
    query = """
    SELECT k.stream, k.name, k.body, k.checksum, s.id FROM kept k LEFT JOIN stream s ON s.id = k.stream
    ORDER BY k.stream, k.name
    """
    for *row, stream in rows.execute(query):
        place = f"the row {row[1]!r:.100} beside stream {row[0]}"
        try:
            kept_of(*row)
        except (StorageFailed, UnicodeDecodeError) as error:
            yield Fault(place, str(error))
            continue
        if stream is None:
            yield Fault(place, "There is no such stream.")


def beside_rows(rows: Rows, stream: str) -> tuple[list[bytes], dict[str, bytes]]:
    """The entries of a log, and the rows beside it, as far as they are as they were written; a check tells the rest."""
    entries: list[bytes] = []
    kept: dict[str, bytes] = {}
    numbers = [row[0] for row in rows.execute("SELECT id, name FROM stream") if row[1] == stream.encode()]
    for number in numbers:
        query = "SELECT stream, number, leaf, checksum FROM entry WHERE stream = ? ORDER BY number"
        with suppress(StorageFailed):
            entries += [entry_of(*row) for row in rows.execute(query, [number])]
        query = "SELECT stream, name, body, checksum FROM kept WHERE stream = ? ORDER BY name"
        with suppress(StorageFailed, UnicodeDecodeError):
            kept |= dict(kept_of(*row) for row in rows.execute(query, [number]))
    return entries, kept


def erased_rows(rows: Rows) -> Iterator[tuple[int, int]]:
    """Stream and number of every entry that another one, itself sound, has erased."""
    name = ERASED.name.encode()
    for row in rows.execute("SELECT stream, number, leaf, checksum FROM entry"):
        if isinstance(row[2], bytes) and name in row[2]:
            with suppress(StorageFailed, RemoteError):  # which the entries' own check tells
                asked = asked_of(parse_leaf(entry_of(*row)).filing)
                if asked is not None:
                    yield row[0], asked.index


def _sealed(rows: Rows) -> Iterator[Fault]:
    erased = frozenset(erased_rows(rows))
    query = """
    SELECT s.stream, s.number, s.body, s.checksum, e.leaf, e.checksum FROM sealed s
    LEFT JOIN entry e ON e.stream = s.stream AND e.number = s.number
    ORDER BY s.stream, s.number
    """
    for *row, leaf, kept in rows.execute(query):
        at = row[0], row[1]
        place = f"what is sealed with entry {at[1]} of stream {at[0]}"
        try:
            body = sealed_of(*row)
            there = parse_sealed(body).commitment if any(body) else b""  # erased: zeros; lost: nothing
            expected = parse_leaf(entry_of(*at, leaf, kept)).filing.sealed if kept is not None else b"none"
        except (StorageFailed, RemoteError) as error:
            yield Fault(place, str(error))
            continue
        if at in erased and there:
            yield Fault(place, "It is still there, and the log says that it is erased.")
        elif at not in erased and body and not there:
            yield Fault(place, "It is erased, and no entry that is here says so.")
        elif there and there != expected:
            yield Fault(place, "It is not what the entry stands for.")
