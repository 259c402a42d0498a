"""The index of all cases in a SQLite file: its tables, what leaves write into them, and what is asked of them.

Each function works on a connection, within a transaction that its caller has begun where it writes. What stands here
comes from the published logs and the declarations, and from nothing else: a file that is damaged, of another release or
gone is made again from them. So it is not flushed with each commit, and has no checksums.

A row of `cases` holds what was filed, and beside it what is asked for by: state, deadline, office, slot. Those columns
are made anew from the acts each time one comes, or when the declaration of the service has changed (`declared`).

`homes` says of each facility in which log something of it was booked, and when first: there it stays for ever.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from p2pworld.merkle.tree import CompactRange
from p2pworld.services.deadlines import NEVER
from p2pworld.services.facility import slot_minute
from p2pworld.services.record import Acted, Happened, Opened, Supported, Wiped, fold
from p2pworld.services.workflow import Action, State, Who
from p2pworld.services.working_time import day_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from p2pworld.services.declaration import Service
    from p2pworld.services.record import Deed, Record
    from p2pworld.services.working_time import OfficeCalendar

__all__ = [
    "Followed",
    "Found",
    "connect",
    "derive",
    "followed",
    "forget",
    "homes",
    "known_digests",
    "of_service",
    "put_deeds",
    "put_digests",
    "put_followed",
    "read_cases",
    "sizes",
]

SCHEMA: Final = (
    2  # one more whenever other rows are made of the same leaves: of tables, or of what `fold` says
)
_APPLICATION_ID: Final = 0x70327369  # "p2si"
_HASH_BYTES: Final = 32

_TABLES: Final = """
CREATE TABLE stream (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, size INTEGER NOT NULL, hashes BLOB NOT NULL
) STRICT;
CREATE TABLE declared (service TEXT PRIMARY KEY, digest TEXT NOT NULL) STRICT;
CREATE TABLE cases (
    stream INTEGER NOT NULL, entry INTEGER NOT NULL, service TEXT NOT NULL, minute INTEGER NOT NULL,
    key BLOB NOT NULL, via BLOB NOT NULL, public TEXT NOT NULL, erased INTEGER NOT NULL DEFAULT 0,
    state TEXT, open INTEGER, due INTEGER, late INTEGER, office TEXT, assigned BLOB, changed INTEGER, words TEXT,
    facility TEXT, slot INTEGER, standing TEXT, until INTEGER,
    PRIMARY KEY (stream, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX cases_key ON cases (key);
CREATE INDEX cases_queue ON cases (office, open, due);
CREATE INDEX cases_service ON cases (service);
CREATE INDEX cases_changed ON cases (changed);
CREATE INDEX cases_office_changed ON cases (office, changed);
CREATE INDEX cases_service_changed ON cases (service, changed);
CREATE INDEX cases_slot ON cases (facility, slot);
CREATE INDEX cases_minute ON cases (minute);
CREATE TABLE acts (
    stream INTEGER NOT NULL, entry INTEGER NOT NULL, about INTEGER NOT NULL, minute INTEGER NOT NULL,
    key BLOB NOT NULL, action TEXT NOT NULL, amount INTEGER, seen INTEGER, by BLOB, letter INTEGER,
    facility TEXT, slot TEXT, seat INTEGER, until INTEGER, erased INTEGER NOT NULL DEFAULT 0,
    state TEXT, refused TEXT,
    PRIMARY KEY (stream, entry)
) STRICT, WITHOUT ROWID;
CREATE INDEX acts_about ON acts (stream, about);
CREATE TABLE terms (
    stream INTEGER NOT NULL, entry INTEGER NOT NULL, number INTEGER NOT NULL, service TEXT NOT NULL,
    office TEXT NOT NULL, month TEXT NOT NULL, due INTEGER NOT NULL, stopped INTEGER, citizen INTEGER NOT NULL,
    PRIMARY KEY (stream, entry, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE supports (
    stream INTEGER NOT NULL, about INTEGER NOT NULL, person BLOB NOT NULL, PRIMARY KEY (stream, about, person)
) STRICT, WITHOUT ROWID;
CREATE TABLE homes (
    stream INTEGER NOT NULL, facility TEXT NOT NULL, minute INTEGER NOT NULL, PRIMARY KEY (stream, facility)
) STRICT, WITHOUT ROWID;
"""


def connect(path: Path | None, *, reads_only: bool = False) -> sqlite3.Connection:
    """A connection to the index, for one thread at a time; of another schema, it is emptied first. None: in memory.

    Raises:
        sqlite3.Error: it is damaged, or cannot be opened.
    """
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False, timeout=10)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")  # a commit that a power cut takes is made again from the logs
    if reads_only:
        db.execute("PRAGMA query_only = ON")
        return db
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (schema,) = db.execute("PRAGMA user_version").fetchone()
    if (application, schema) != (_APPLICATION_ID, SCHEMA):
        db.execute("BEGIN IMMEDIATE")
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            db.execute(f'DROP TABLE "{name}"')
        for statement in _TABLES.strip().split(";\n"):
            db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
    return db


# ---- how far each log is read


class Followed(NamedTuple):
    """A stream's number here, and the entries that were read, as the hashes of their tree."""

    number: int
    read: CompactRange


def followed(db: sqlite3.Connection, stream: str) -> Followed:
    """How far this stream was read."""
    db.execute("INSERT OR IGNORE INTO stream (name, size, hashes) VALUES (?, 0, x'')", [stream])
    number, size, hashes = db.execute(
        "SELECT id, size, hashes FROM stream WHERE name = ?", [stream]
    ).fetchone()
    parts = tuple(hashes[at : at + _HASH_BYTES] for at in range(0, len(hashes), _HASH_BYTES))
    return Followed(number, CompactRange(0, size, parts))


def sizes(db: sqlite3.Connection) -> dict[str, int]:
    """How many entries of each stream were read."""
    return dict(db.execute("SELECT name, size FROM stream"))


def put_followed(db: sqlite3.Connection, number: int, read: CompactRange) -> None:
    """The stream is read up to here now."""
    db.execute(
        "UPDATE stream SET size = ?, hashes = ? WHERE id = ?", [read.end, b"".join(read.hashes), number]
    )


def forget(db: sqlite3.Connection, number: int) -> None:
    """Takes away all that was read of a stream: it was another log than is published now."""
    for table in ("cases", "acts", "terms", "supports", "homes"):
        db.execute(f"DELETE FROM {table} WHERE stream = ?", [number])
    put_followed(db, number, CompactRange())


def known_digests(db: sqlite3.Connection) -> dict[str, str]:
    """Of each service, the digest of the declaration that its cases were made by."""
    return dict(db.execute("SELECT service, digest FROM declared"))


def put_digests(db: sqlite3.Connection, digests: Mapping[str, str]) -> None:
    """The declarations by which cases are made from now on."""
    db.execute("DELETE FROM declared")
    db.executemany("INSERT INTO declared VALUES (?, ?)", digests.items())


# ---- leaves into rows


class Put(NamedTuple):
    """What came of leaves that were written: the entries of the cases that are to be derived anew, how many deeds are
    about none, and whether a facility was booked in a stream for the first time."""

    touched: set[int]
    strays: int
    settled: bool


def put_deeds(
    db: sqlite3.Connection, number: int, read: Iterable[Opened | Acted | Happened | Wiped | Supported]
) -> Put:
    """Writes what leaves of this stream say."""
    touched: set[int] = set()
    strays = 0
    booked: dict[str, int] = {}
    supports: list[tuple[int, int, bytes]] = []
    for deed in read:
        match deed:
            case Opened():
                public = json.dumps(dict(deed.public), ensure_ascii=False, separators=(",", ":"))
                row = (number, deed.entry, deed.service, deed.minute, deed.key, deed.via, public)
                db.execute(
                    "INSERT INTO cases (stream, entry, service, minute, key, via, public) VALUES (?, ?, ?, ?, ?, ?, ?)",
                    row,
                )
                touched.add(deed.entry)
            case Wiped(index):
                for table in ("cases", "acts"):
                    db.execute(
                        f"UPDATE {table} SET erased = 1 WHERE stream = ? AND entry = ?", [number, index]
                    )
            case Supported(index, person):
                supports.append((number, index, bytes.fromhex(person)))
            case Acted() | Happened():
                if isinstance(deed, Happened):
                    booked.setdefault(deed.facility, deed.minute)
                about = _about(db, number, deed)
                if about is None:
                    strays += 1
                else:
                    _put_deed(db, number, about, deed)
                    touched.add(about)
    db.executemany("INSERT OR IGNORE INTO supports VALUES (?, ?, ?)", supports)
    rows = [(number, *each) for each in booked.items()]
    new = db.executemany("INSERT OR IGNORE INTO homes VALUES (?, ?, ?)", rows).rowcount
    return Put(touched, strays, new > 0)


def homes(db: sqlite3.Connection) -> dict[str, str]:
    """The stream in which each facility was booked first, if it ever was."""
    rows = db.execute(
        "SELECT facility, name FROM homes JOIN stream ON id = stream ORDER BY facility, minute DESC, name DESC"
    )
    return dict(rows)  # the first booking is the last row of its facility


def _about(db: sqlite3.Connection, number: int, deed: Deed) -> int | None:
    """The entry of the case that a deed is about, if there is one before it."""
    if isinstance(deed, Acted):
        query, what = "SELECT entry FROM cases WHERE stream = ? AND entry = ?", deed.about
        found = db.execute(query, [number, what]).fetchone()
    else:
        query = "SELECT entry FROM cases WHERE key = ? AND stream = ?"
        found = db.execute(query, [deed.filing, number]).fetchone()
    return found[0] if found else None


def _put_deed(db: sqlite3.Connection, number: int, about: int, deed: Deed) -> None:
    head = (number, deed.entry, about, deed.minute, deed.key, deed.action.value)
    if isinstance(deed, Acted):
        names = "amount, seen, by, letter"
        row: tuple[object, ...] = (deed.amount, deed.seen, deed.by, int(deed.letter))
    else:
        names = "facility, slot, seat, until"
        row = (deed.facility, deed.slot, deed.seat, deed.until)
    marks = ", ".join("?" * (len(head) + len(row)))
    columns = f"stream, entry, about, minute, key, action, {names}"
    db.execute(f"INSERT INTO acts ({columns}) VALUES ({marks})", head + row)


def derive(
    db: sqlite3.Connection,
    number: int,
    entries: Iterable[int],
    services: Mapping[str, Service],
    calendar: OfficeCalendar,
) -> None:
    """Makes the columns of these cases anew."""
    for entry in sorted(entries):
        (found,) = read_cases(db, "stream = ? AND entry = ?", [number, entry], services, calendar)
        _put_derived(db, number, found.record, services.get(found.record.opened.service))


def _put_derived(db: sqlite3.Connection, number: int, record: Record, service: Service | None) -> None:
    opened, booking = record.opened, record.booking
    stopped = record.terms[-1].clock.stopped if record.terms else None
    due = NEVER if record.due is None else record.due
    answered = stopped is not None
    late = due if stopped is None else 0 if stopped >= due else NEVER
    row = [
        record.state.value if record.state else None,
        int(not record.ended),
        NEVER if answered else due,
        late,
        record.office,
        record.assigned,
        record.changed,
        _words(opened, service),
        booking.facility if booking else None,
        slot_minute(booking.slot) if booking else None,
        booking.standing if booking else None,
        booking.until if booking else None,
    ]
    where = [number, opened.entry]
    db.execute(
        "UPDATE cases SET state = ?, open = ?, due = ?, late = ?, office = ?, assigned = ?, changed = ?, words = ?,"
        " facility = ?, slot = ?, standing = ?, until = ? WHERE stream = ? AND entry = ?",
        [*row, *where],
    )
    db.executemany(
        "UPDATE acts SET state = ?, refused = ? WHERE stream = ? AND entry = ?",
        [
            (shown.state.value if shown.state else None, shown.refused, number, shown.deed.entry)
            for shown in record.acts
        ],
    )
    db.execute("DELETE FROM terms WHERE stream = ? AND entry = ?", where)
    for i, term in enumerate(record.terms):
        month = day_of(term.clock.arrived).isoformat()[:7]
        citizen = int(term.ended_by is Who.CITIZEN)
        what = (opened.service, record.office, month, term.due, term.clock.stopped, citizen)
        db.execute("INSERT INTO terms VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*where, i, *what))


def _words(opened: Opened, service: Service | None) -> str:
    """What a search looks in: public values, with the labels of choices, and what the service is called."""
    words = [opened.service, f"{opened.stream}/{opened.entry}", opened.key.hex(), *opened.public.values()]
    if service is not None:
        words += service.title.values()
        for name, value in opened.public.items():
            field = service.form.field(name)
            if field is not None and value in field.choices:
                words += field.choices[value].values()
    return "\n".join(words).lower()


# ---- rows into records


class Found(NamedTuple):
    """A case, which of its entries have had what was sealed erased, and how many support it, if that is asked of it."""

    record: Record
    erased: frozenset[int]
    supporters: int | None


_CASE: Final = "stream, entry, service, minute, key, via, public, erased"
_ACT: Final = "entry, minute, key, action, amount, seen, by, letter, facility, slot, seat, until, erased"


def read_cases(
    db: sqlite3.Connection,
    where: str,
    values: Sequence[object],
    services: Mapping[str, Service],
    calendar: OfficeCalendar,
) -> Iterator[Found]:
    """The cases whose rows are as `where` (and perhaps an order and a limit) says."""
    names = dict(db.execute("SELECT id, name FROM stream"))
    for number, entry, service, minute, key, via, public, erased in db.execute(
        f"SELECT {_CASE} FROM cases WHERE {where}", values
    ).fetchall():
        opened = Opened(names[number], entry, service, minute, key, via, json.loads(public))
        deeds, gone = [], {entry} if erased else set()
        rows = db.execute(
            # without statistics SQLite would rather read all acts of the stream, because they are in order
            f"SELECT {_ACT} FROM acts INDEXED BY acts_about WHERE stream = ? AND about = ? ORDER BY entry",
            [number, entry],
        )
        for row in rows:
            deeds.append(_deed(opened, row))
            if row[-1]:
                gone.add(row[0])
        declared = services.get(service)
        gathers = declared is not None and State.GATHERING_SUPPORT in declared.workflow.states
        count = _supporters(db, number, entry) if gathers else None
        yield Found(fold(opened, deeds, declared, calendar), frozenset(gone), count)


def _supporters(db: sqlite3.Connection, number: int, entry: int) -> int:
    query = "SELECT count(*) FROM supports WHERE stream = ? AND about = ?"
    found: tuple[int] = db.execute(query, [number, entry]).fetchone()
    return found[0]


def _deed(about: Opened, row: Sequence[Any]) -> Deed:
    entry, minute, key, action, amount, seen, by, letter, facility, slot, seat, until, _ = row
    if by is not None:
        return Acted(entry, about.entry, minute, key, Action(action), amount, seen, by, bool(letter))
    return Happened(entry, about.key, minute, key, Action(action), facility, slot, seat, until)


def of_service(
    db: sqlite3.Connection, service: str, after: tuple[int, int], most: int
) -> list[tuple[int, int]]:
    """The cases of a service behind this one, by stream and entry."""
    return db.execute(
        "SELECT stream, entry FROM cases WHERE service = ? AND (stream, entry) > (?, ?)"
        " ORDER BY stream, entry LIMIT ?",
        [service, *after, most],
    ).fetchall()
