"""The file of the index as its one writer has it: leaves are read into it, and cases made anew where a declaration has
changed.

Nothing here waits or asks the network: `ServiceIndex` calls it in a thread, and a command over a log's folder directly.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import closing, contextmanager
from importlib import metadata
from typing import TYPE_CHECKING, Final

from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import RemoteError
from p2pworld.merkle.tree import leaf_hashes
from p2pworld.services.record import read_entry
from shard_node.services.queries import Reading
from shard_node.services.tables import (
    Followed,
    connect,
    derive,
    followed,
    forget,
    homes,
    known_digests,
    of_service,
    put_deeds,
    put_digests,
    put_followed,
    sizes,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from p2pworld.merkle.tree import CompactRange
    from p2pworld.services.declaration import Service
    from p2pworld.services.working_time import OfficeCalendar

__all__ = ["BEGINNING", "CaseBook", "read_homes"]

BEGINNING: Final = (0, -1)  # before all cases, by stream and entry
ANEW_MAX: Final = 256  # cases made anew in one transaction, when a declaration has changed: 0.2 s of a core


def read_homes(path: Path) -> Mapping[str, str]:
    """What the index at `path`, which somebody may be writing, has as `CaseBook.homes`; nothing if there is none.

    Raises:
        sqlite3.Error: it is damaged, of another release, or cannot be opened.
    """
    if not path.exists():
        return {}
    with closing(connect(path, reads_only=True)) as db:
        return homes(db)


class CaseBook:
    """The file at `path`, or one in memory (None), with the services by which cases are made.

    Raises:
        sqlite3.Error: the file is damaged, or cannot be opened; so does everything here.
    """

    def __init__(self, path: Path | None, services: Mapping[str, Service], calendar: OfficeCalendar) -> None:
        self._db = connect(path)
        self._services, self._calendar = services, calendar
        self._digests: Mapping[str, str] = {}
        self.strangers = self.strays = 0  # entries of logs that were no leaves; deeds about no case
        self.homes: Mapping[str, str] = homes(self._db)  # the stream in which each facility was booked first

    def close(self) -> None:
        """Lets go of the file."""
        self._db.close()

    def reading(self) -> Reading:
        """What can be asked, on the same connection."""
        return Reading(self._db, self._services, self._calendar)

    # ---- logs

    def followed(self, stream: str) -> Followed:
        """How far a stream is read."""
        return followed(self._db, stream)

    def sizes(self) -> dict[str, int]:
        """How many entries of each stream are read."""
        return sizes(self._db)

    def take(self, stream: str, begin: int, entries: Sequence[bytes]) -> CompactRange:
        """Reads the entries of a stream from `begin` on, if it was read up to there; how far it is read now."""
        with _transaction(self._db):
            number, read = followed(self._db, stream)
            if read.end != begin:
                return read  # somebody else has been at it, or it was forgotten
            deeds = []
            for entry, data in enumerate(entries, read.end):
                try:
                    deed = read_entry(entry, parse_leaf(data).filing)
                except RemoteError:
                    self.strangers += 1
                    continue
                if deed is not None:
                    deeds.append(deed)
            put = put_deeds(self._db, number, deeds)
            self.strays += put.strays
            if put.settled:
                self.homes = homes(self._db)
            derive(self._db, number, put.touched, self._services, self._calendar)
            read = read.extend(leaf_hashes(list(entries)))
            put_followed(self._db, number, read)
        return read

    def forget(self, stream: str) -> None:
        """This stream is to be read from the beginning."""
        with _transaction(self._db):
            forget(self._db, followed(self._db, stream).number)
            self.homes = homes(self._db)

    # ---- declarations

    def declare(self, services: Mapping[str, Service]) -> tuple[str, ...]:
        """These are the services from now on; those whose cases are then to be made anew (`renew`), and that once all
        are (`renewed`)."""
        self._services = services
        days = [metadata.version("holidays"), *sorted(map(str, self._calendar.more))]
        self._digests = {name: _digest(service, days) for name, service in services.items()}
        digests, known = self._digests, known_digests(self._db)
        changed = digests.keys() | known.keys()
        return tuple(sorted(name for name in changed if digests.get(name) != known.get(name)))

    def renew(self, service: str, after: tuple[int, int] = BEGINNING) -> tuple[int, int] | None:
        """Makes the cases of a service anew, some at a time; where to go on, None at the end."""
        cases = of_service(self._db, service, after, ANEW_MAX)
        with _transaction(self._db):
            for number, entry in cases:
                derive(self._db, number, [entry], self._services, self._calendar)
        return cases[-1] if len(cases) == ANEW_MAX else None

    def renewed(self) -> None:
        """All cases are as the services say now: a restart need not make them anew."""
        with _transaction(self._db):
            put_digests(self._db, self._digests)


def _digest(service: Service, holidays: Sequence[str]) -> str:
    """What of a declaration, and of the calendar, the columns of its cases are made of."""
    flow, deadline = service.workflow, service.deadline
    rules = [
        (
            *(at.value, action.value, rule.to and rule.to.value, rule.effect.value),
            rule.need and rule.need.value,
            sorted(who.value for who in rule.who),
        )
        for (at, action), rule in flow.table.items()
    ]
    terms = {"": deadline.term, **deadline.terms}
    told = {
        "rules": sorted(map(repr, rules)),
        "steps": [state.value for state in flow.steps],
        "ends": sorted(state.value for state in flow.ends),
        "limits": repr(flow.limits),
        "deadline": [deadline.field, *sorted(f"{name} {term!r}" for name, term in terms.items())],
        "places": service.places is not None,
        "words": [
            dict(service.title),
            *({c: dict(w) for c, w in f.choices.items()} for f in service.form.fields),
        ],
        "holidays": holidays,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All that is written within it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    with db:  # commits, or rolls back
        yield
