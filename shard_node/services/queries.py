"""What is asked of the index: cases by number and by key, an office's queue, taken places, changes, statistics.

Every answer is bounded. Those that may go on have a mark of where (`after`), which is a text for whoever asks to give
back, and holds while cases come and go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.errors import LocalError
from p2pworld.limits import SERVICE_PAGE_MAX
from p2pworld.services.deadlines import NEVER
from p2pworld.services.workflow import Action, State
from shard_node.services.tables import Found, read_cases

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from p2pworld.services.declaration import Service
    from p2pworld.services.working_time import OfficeCalendar

__all__ = ["Asked", "Change", "Page", "Reading", "Taken", "Tally"]

_MARK: Final = re.compile(r"(0|[1-9][0-9]{0,15})\.(0|[1-9][0-9]{0,9})\.(0|[1-9][0-9]{0,15})")
ENTRY_MAX: Final = 2**63 - 1  # that SQLite can be asked for
SLOTS_MAX: Final = 20_000  # in one answer: 200 days of 96
CHANGES_MAX: Final = 200
FILED_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Asked:
    """Which cases of an office: `open` ones or not (None: all), in these states, of these services, taken by this key,
    late or not, with all the words of `text` in public fields, labels, title or number."""

    open: bool | None = True
    states: frozenset[State] = frozenset()
    services: frozenset[str] = frozenset()
    assigned: bytes | None = None
    overdue: bool | None = None
    text: str = ""
    after: str = ""
    limit: int = SERVICE_PAGE_MAX


@dataclass(frozen=True, slots=True)
class Page:
    """Cases by deadline, those whose clock stands or is done with last; `after` leads to the next page, empty if there
    is none. `counts` are of all that was asked for, by state, on the first page only."""

    cases: tuple[Found, ...]
    after: str
    counts: Mapping[str, int] = field(default_factory=dict)


class Taken(NamedTuple):
    """How a slot is asked for: seats that are somebody's, who waits, who has entered its draw; and the minute in which
    that changed last."""

    seats: int = 0
    waiting: int = 0
    entered: int = 0
    changed: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """Something public that happened: a case was filed (no action), or somebody acted and it stands in `state`."""

    stream: str
    entry: int
    about: int
    service: str
    office: str
    minute: int
    action: Action | None
    state: State | None


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests of a service that an office has or had, that came (or came again) in a month (`2026-02`): answered in
    time, or too late (also if that is still to come), taken back by the citizen before it was late, and those in whose
    time it is. `standing` of these wait for the citizen."""

    service: str
    office: str
    month: str
    filed: int
    kept: int
    missed: int
    withdrawn: int
    open: int
    standing: int


class Reading:
    """Asks a connection to the index, with these declarations; for one thread at a time."""

    def __init__(
        self, db: sqlite3.Connection, services: Mapping[str, Service], calendar: OfficeCalendar
    ) -> None:
        self._db, self._services, self._calendar = db, services, calendar

    def _cases(self, where: str, values: Sequence[object]) -> Iterator[Found]:
        return read_cases(self._db, where, values, self._services, self._calendar)

    def _stream(self, name: str) -> int:
        found = self._db.execute("SELECT id FROM stream WHERE name = ?", [name]).fetchone()
        return found[0] if found else -1

    def case(self, stream: str, entry: int) -> Found | None:
        """The case that this entry opened."""
        if entry > ENTRY_MAX:
            return None
        return next(self._cases("stream = ? AND entry = ?", [self._stream(stream), entry]), None)

    def cases_of(self, keys: Sequence[bytes]) -> tuple[Found, ...]:
        """The cases of these transactions, of whatever stream, the newest first."""
        where = f"key IN ({', '.join('?' * len(keys))}) ORDER BY minute DESC, stream, entry DESC LIMIT ?"
        return tuple(self._cases(where, [*keys, SERVICE_PAGE_MAX]))

    def filed(
        self, services: Sequence[str], begin: int, end: int, is_open: bool | None, limit: int
    ) -> tuple[Found, ...]:
        """The cases of these services that were filed in this time; the newest first."""
        terms = [f"service IN ({', '.join('?' * len(services))})", "minute >= ?", "minute < ?"]
        values: list[object] = [*services, begin, end]
        if is_open is not None:
            terms.append("open = ?")
            values.append(int(is_open))
        where = f"{' AND '.join(terms)} ORDER BY minute DESC, stream, entry DESC LIMIT ?"
        return tuple(self._cases(where, [*values, min(limit, FILED_MAX)]))

    def queue(self, office: str, asked: Asked, minute: int) -> Page:
        """The cases that an office has.

        Raises:
            LocalError: `asked.after` leads nowhere.
        """
        terms, values = _terms(office, asked, minute)
        where = " AND ".join(terms)
        order = " ORDER BY due, stream, entry LIMIT ?"
        limit = min(asked.limit, SERVICE_PAGE_MAX)
        counts: dict[str, int] = {}
        if asked.after:
            mark = _MARK.fullmatch(asked.after)
            if mark is None:
                raise LocalError("`after` is a mark that an earlier page gave")
            page = f"{where} AND (due, stream, entry) > (?, ?, ?){order}"
            found = tuple(self._cases(page, [*values, *map(int, mark.groups()), limit + 1]))
        else:
            found = tuple(self._cases(where + order, [*values, limit + 1]))
            query = f"SELECT coalesce(state, ''), count(*) FROM cases WHERE {where} GROUP BY state"
            counts = dict(self._db.execute(query, values))
        return Page(found[:limit], self._mark(found[limit - 1]) if len(found) > limit else "", counts)

    def _mark(self, last: Found) -> str:
        opened = last.record.opened
        number = self._stream(opened.stream)
        (due,) = self._db.execute(
            "SELECT due FROM cases WHERE stream = ? AND entry = ?", [number, opened.entry]
        ).fetchone()
        return f"{due}.{number}.{opened.entry}"

    def taken(self, facility: str, begin: int, end: int, minute: int) -> dict[int, Taken]:
        """The slots of a facility that begin in [begin, end) and that somebody has asked for, by when they begin."""
        rows = self._db.execute(
            "SELECT slot, sum(standing IN ('confirmed', 'used', 'missed')"
            "   OR (standing IN ('held', 'due') AND coalesce(until, ?) > ?)),"
            " sum(standing = 'waiting'), sum(standing = 'entered'), max(changed)"
            " FROM cases WHERE facility = ? AND slot >= ? AND slot < ? GROUP BY slot ORDER BY slot LIMIT ?",
            [NEVER, minute, facility, begin, end, SLOTS_MAX],
        )
        return {slot: Taken(*counts) for slot, *counts in rows}

    def changes(self, office: str = "", service: str = "", limit: int = CHANGES_MAX) -> tuple[Change, ...]:
        """What happened last, the newest first; of an office, or of a service, if they are given."""
        terms, values = ["state IS NOT NULL"], list[object]()
        for column, value in (("office", office), ("service", service)):
            if value:
                terms.append(f"{column} = ?")
                values.append(value)
        # the last changes are of those cases that have changed last
        rows = self._db.execute(
            "WITH chosen AS (SELECT stream, entry, service, office, minute FROM cases"
            f" WHERE {' AND '.join(terms)} ORDER BY changed DESC LIMIT ?)"
            " SELECT stream, entry, entry AS about, service, office, minute, NULL AS action, NULL AS state FROM chosen"
            " UNION ALL"
            " SELECT a.stream, a.entry, a.about, c.service, c.office, a.minute, a.action, a.state"
            " FROM chosen c CROSS JOIN acts a INDEXED BY acts_about ON a.stream = c.stream AND a.about = c.entry"
            " WHERE a.refused = ''"
            " ORDER BY minute DESC, stream, entry DESC LIMIT ?",
            [*values, limit, limit],
        ).fetchall()
        names = dict(self._db.execute("SELECT id, name FROM stream"))
        return tuple(self._change(names[stream], *row) for stream, *row in rows)

    def _change(
        self,
        stream: str,
        entry: int,
        about: int,
        service: str,
        office: str,
        minute: int,
        action: str | None,
        state: str | None,
    ) -> Change:
        if action is not None:
            return Change(
                stream, entry, about, service, office, minute, Action(action), State(state) if state else None
            )
        declared = self._services.get(service)
        first = declared.workflow.steps[0] if declared else None
        return Change(stream, entry, about, service, office, minute, None, first)

    def supporters(self) -> dict[tuple[str, int], int]:
        """How many support each entry of each stream that anybody supports."""
        query = "SELECT name, about, count(*) FROM supports JOIN stream ON id = stream GROUP BY name, about"
        return {(stream, about): count for stream, about, count in self._db.execute(query)}

    def statistics(self, minute: int, months: tuple[str, str] = ("", "")) -> tuple[Tally, ...]:
        """Deadlines kept and missed, by service, office and month, of the months from the first to the last given."""
        first, last = months
        return tuple(
            Tally(*row)
            for row in self._db.execute(
                "SELECT service, office, month, count(*),"
                " sum(coalesce(stopped, :never) < due AND NOT citizen),"
                " sum(coalesce(stopped, :now) >= due),"
                " sum(coalesce(stopped, :never) < due AND citizen),"
                " sum(stopped IS NULL AND :now < due),"
                " sum(stopped IS NULL AND due = :never)"
                " FROM terms WHERE month >= :first AND month <= :last"
                " GROUP BY service, office, month ORDER BY month, service, office",
                {"now": minute, "never": NEVER, "first": first, "last": last or "9999-12"},
            )
        )


def _terms(office: str, asked: Asked, minute: int) -> tuple[list[str], list[object]]:
    """The conditions that the rows of a queue meet, and their values."""
    terms, values = ["office = ?"], [office]
    more: list[object] = list(values)
    if asked.open is not None:
        terms.append("open = ?")
        more.append(int(asked.open))
    for column, chosen in (
        ("state", sorted(state.value for state in asked.states)),
        ("service", sorted(asked.services)),
    ):
        if chosen:
            terms.append(f"{column} IN ({', '.join('?' * len(chosen))})")
            more += chosen
    if asked.assigned is not None:
        terms.append("assigned = ?")
        more.append(asked.assigned)
    if asked.overdue is not None:
        terms.append("late <= ?" if asked.overdue else "late > ?")
        more.append(minute)
    for word in asked.text.lower().split():
        terms.append("instr(words, ?) > 0")
        more.append(word)
    return terms, more
