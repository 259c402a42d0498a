"""Rows beside a log, and whoever decides by them: what one transaction of the store reads, overlays and changes.

A log's holder may keep rows beside it, each with a name in the stream, so that what is filed can be decided when it is
entered: whether a place is free, whether a case is where an act needs it to be. `Rows` reads them through the store's
transaction, and shows what the same transaction has written before. What it has changed is told in the end, each row
with what was there: a row that is new must not be there yet, one that is changed or goes must be. So the store's
primary key stands behind the plan.

A `Clerk` is pure, and made of nothing that a retry would find changed but the rows and the minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.civic.transaction import Submission
    from p2pworld.errors import Refusal

__all__ = ["UNTIL", "Change", "Clerk", "Kept", "Ledger", "Rows", "Verdict", "due_name", "due_of"]

UNTIL = "until/"  # rows that say what is to be looked at, by the minute
_MINUTE_DIGITS = 10


class Kept(Protocol):
    """What a store's transaction reads of one stream; whatever it cannot read it raises as its own failure."""

    def get(self, name: str) -> bytes | None:
        """The row of this name."""

    def under(self, prefix: str) -> Iterable[tuple[str, bytes]]:
        """All rows whose names begin so, in the order of their names."""

    def first(self, prefix: str, after: str = "") -> str | None:
        """The first of the names that begin so and come after `after`."""

    def last(self, prefix: str, before: str) -> str | None:
        """The last of the names that begin so and come before `before`."""

    def entry(self, index: int) -> bytes:
        """An entry of the log, which must be there."""


class Change(NamedTuple):
    """A row that is another one after the transaction; None: there is none."""

    name: str
    before: bytes | None
    after: bytes | None


def due_name(minute: int, what: str) -> str:
    """The name of the row that has `what` looked at from this minute on."""
    return f"{UNTIL}{minute:0{_MINUTE_DIGITS}}/{what}"


def due_of(name: str) -> tuple[int, str]:
    """The minute and the matter of such a row."""
    minute, _, what = name.removeprefix(UNTIL).partition("/")
    return int(minute), what


class Rows:
    """The rows of a stream as one transaction sees and changes them."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self._before: dict[str, bytes | None] = {}  # as the store has them, of those that were looked at
        self._now: dict[str, bytes | None] = {}  # those that were written
        self._folders: dict[str, dict[str, bytes]] = {}  # whole, as they are now; each name ends with a slash
        self._sorted: dict[str, list[tuple[str, bytes]]] = {}  # the same in order, until one is written
        self._gone: dict[str, str] = {}  # up to this name all that begin so were taken away, or written again

    def get(self, name: str) -> bytes | None:
        """The row of this name."""
        if name in self._now:
            return self._now[name]
        if name not in self._before:
            folder = self._folders.get(name[: name.rfind("/") + 1])
            self._before[name] = folder.get(name) if folder is not None else self._kept.get(name)
        return self._before[name]

    def under(self, prefix: str) -> list[tuple[str, bytes]]:
        """All rows whose names begin so, in the order of their names."""
        found = self._sorted.get(prefix)
        if found is not None:
            return found
        folder = self._folders.get(prefix)
        if folder is None:
            folder = {}
            for name, body in self._kept.under(prefix):
                self._before.setdefault(name, body)
                folder[name] = body
            for name, now in self._now.items():
                if name.startswith(prefix):
                    _change(folder, name, now)
            if prefix.endswith("/"):
                self._folders[prefix] = folder
        found = sorted(folder.items())
        if prefix in self._folders:
            self._sorted[prefix] = found
        return found

    def first(self, prefix: str) -> str | None:
        """The first of the names that begin so; `prefix` is `UNTIL`, whose rows are many and far off."""
        written = [name for name, now in self._now.items() if now is not None and name.startswith(prefix)]
        there = self._kept.first(prefix, self._gone.get(prefix, ""))
        while there is not None and self.get(there) is None:
            self._gone[prefix] = there  # so that many that are settled at once are passed over once
            there = self._kept.first(prefix, there)
        return min((name for name in (there, *written) if name is not None), default=None)

    def around(self, prefix: str, begin: str, end: str) -> tuple[str, ...]:
        """The last name before `begin` and the first after `end` of those that begin so, as far as there are any in the
        store; what this transaction has written does not count."""
        found = self._kept.last(prefix, begin), self._kept.first(prefix, end)
        return tuple(name for name in found if name is not None)

    def put(self, name: str, body: bytes) -> None:
        """Write a row, whatever is there."""
        self._write(name, body)

    def drop(self, name: str) -> None:
        """Take a row away, if it is there."""
        self._write(name, None)

    def _write(self, name: str, body: bytes | None) -> None:
        self.get(name)  # so that it is known what it replaces
        self._before.setdefault(name, None)
        self._now[name] = body
        at = name.find("/")
        while at >= 0:
            folder = self._folders.get(name[: at + 1])
            if folder is not None:
                self._sorted.pop(name[: at + 1], None)
                _change(folder, name, body)
            at = name.find("/", at + 1)

    def changes(self) -> tuple[Change, ...]:
        """Everything that is another now, in the order of its names."""
        return tuple(
            Change(name, self._before[name], now)
            for name, now in sorted(self._now.items())
            if now != self._before[name]
        )


def _change(folder: dict[str, bytes], name: str, body: bytes | None) -> None:
    if body is None:
        folder.pop(name, None)
    else:
        folder[name] = body


@dataclass(slots=True)
class Ledger:
    """The log and its rows, as a transaction that is under way sees them: `entries` are those it adds."""

    rows: Rows
    size: int  # of the log before it
    epoch: int
    minute: int
    entries: list[bytes]
    kept: Kept

    @property
    def next(self) -> int:
        """The index of the entry that comes next."""
        return self.size + len(self.entries)

    def entry(self, index: int) -> bytes | None:
        """An entry of the log, or None if there is none yet."""
        if index >= self.size:
            return self.entries[index - self.size] if index < self.next else None
        return self.kept.entry(index)


class Verdict(NamedTuple):
    """What becomes of a filing: it is entered, or refused; the holder's own `leaves` follow either way.

    A refusal is remembered, so that whoever asks again is told the same, unless it is said for what was shown beside
    the filing and may be shown better.
    """

    refusal: Refusal | None = None
    leaves: tuple[Submission, ...] = ()
    remembered: bool = True


class Clerk(Protocol):
    """Who decides about what is filed to one stream, and about what runs out."""

    def check(self, submission: Submission, minute: int) -> Refusal | None:
        """Why this cannot be taken at this minute whatever the rows say; signatures are verified here, and only here.

        Such a refusal is not remembered.
        """

    def decide(self, submission: Submission, ledger: Ledger) -> Verdict:
        """What becomes of this, which has passed `check`; its own entry would be `ledger.next`."""

    def settle(self, ledger: Ledger) -> tuple[Submission, ...]:
        """The leaves of some of what has run out, none if nothing has; rows are changed as well.

        Whoever asks goes on asking until no row of `UNTIL` is due.
        """
