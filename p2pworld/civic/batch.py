"""What one transaction of the store decides: who is in the log already, who comes in, at which place.

It is decided from rows read inside that transaction, so two batches never decide from the same past. A transaction that
is known by its key is told what it was told before, be that a place or a refusal; under that key other content is
refused; all others become leaves, in order. With the leaf of an erasure comes the order to destroy what is sealed with
the entry that it names. Whoever has erased an entry twice has two leaves, and nothing more is destroyed.

Where a clerk decides (`p2pworld.civic.kept`), it is asked about each that is new, and what it changes in the rows
beside the log is part of the plan; so are the leaves that the holder itself enters, for what was decided and for what
has run out by the clock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.civic.erasure import asked_of, check_asker
from p2pworld.civic.kept import UNTIL, Change, Ledger, Rows, due_of
from p2pworld.civic.transaction import Submission, parse_leaf
from p2pworld.errors import Refusal
from p2pworld.limits import CIVIC_SETTLED_MAX

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from p2pworld.civic.kept import Clerk, Kept

__all__ = ["Known", "Plan", "named_entries", "plan_batch"]


_LATE: Final = Refusal("civic-clock", "the clock of the device is wrong by ten minutes or more")


@dataclass(frozen=True, slots=True)
class Known:
    """The row of a transaction's key: what was filed under it, and its place in the log or why it has none."""

    fingerprint: bytes
    outcome: int | Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """What the transaction writes, and what it answers: for each submission its place, or why it has none.

    What is sealed with the entries `erased` is destroyed, or not even written, if they are new themselves. `rows` are
    changed beside the log. `due` is the first minute at which something is to be looked at, None if nothing is.
    """

    entries: tuple[bytes, ...]
    learned: dict[bytes, Known]
    outcomes: tuple[int | Refusal, ...]
    erased: frozenset[int] = frozenset()
    rows: tuple[Change, ...] = ()
    due: int | None = None

    @property
    def writes(self) -> bool:
        """Whether there is anything to be written: not if all were retries."""
        return bool(self.learned or self.rows)


def named_entries(size: int, submissions: Sequence[Submission]) -> frozenset[int]:
    """The entries of a log of `size` that these name, and that the plan has to read."""
    named = [asked.index for each in submissions if (asked := asked_of(each.filing)) is not None]
    return frozenset(index for index in named if index < size)


def plan_batch(
    size: int,
    epoch: int,
    submissions: Sequence[Submission],
    known: Mapping[bytes, Known],
    named: Mapping[int, bytes],
    desks: Collection[bytes] = frozenset(),
    late: Collection[bytes] = frozenset(),
    *,
    kept: Kept | None = None,
    clerk: Clerk | None = None,
    minute: int = 0,
    unfit: Mapping[bytes, Refusal] | None = None,
) -> Plan:
    """What a log of `size` makes of these; `known` has the row of each of their keys that has one, `named` all of the
    `named_entries`, `desks` are the keys that may have any entry erased, and `late` the fingerprints of those that were
    not filed about now: they are retries, or refused, and nothing is remembered of them. `clerk` decides about all that
    are new, by the rows `kept` beside the log, at this minute; it has said why those are not
    taken whose fingerprints are `unfit`, unless they are retries, and that is not remembered either."""
    batch = _Batch(size, epoch, named, desks, clerk, kept, minute)
    for submission in submissions:
        fingerprint = submission.fingerprint
        why = _LATE if fingerprint in late else unfit.get(fingerprint) if unfit else None
        batch.take(submission, fingerprint, known.get(submission.filing.key), why)
    return batch.plan()


class _Batch:
    """What a plan is made of, one submission after another."""

    def __init__(
        self,
        size: int,
        epoch: int,
        named: Mapping[int, bytes],
        desks: Collection[bytes],
        clerk: Clerk | None,
        kept: Kept | None,
        minute: int,
    ) -> None:
        self._size, self._epoch, self._named, self._desks, self._clerk = size, epoch, named, desks, clerk
        self._entries: list[bytes] = []
        self._learned: dict[bytes, Known] = {}
        self._outcomes: list[int | Refusal] = []
        self._erased: set[int] = set()
        self._ledger = None
        if clerk is not None and kept is not None:
            self._ledger = Ledger(Rows(kept), size, epoch, minute, self._entries, kept)

    def take(
        self, submission: Submission, fingerprint: bytes, known: Known | None, why: Refusal | None
    ) -> None:
        """Decides about the next one, which is not taken for this reason if it is new."""
        row = self._learned.get(submission.filing.key) or known
        if row is None and why is not None:
            self._outcomes.append(why)
        elif row is None:
            self._outcomes.append(self._new(submission, fingerprint))
        elif row.fingerprint == fingerprint:
            self._outcomes.append(row.outcome)
        else:
            self._outcomes.append(Refusal("civic-replay", "something else was filed under this key"))

    def _new(self, submission: Submission, fingerprint: bytes) -> int | Refusal:
        asked = asked_of(submission.filing)
        refusal: Refusal | None = None
        leaves: Sequence[Submission] = ()
        remembered = True
        if asked is not None:
            entry = self._named.get(asked.index)
            if self._size <= asked.index < self._size + len(self._entries):
                entry = self._entries[asked.index - self._size]
            refusal = check_asker(asked, parse_leaf(entry) if entry else None, self._desks)
        elif self._ledger is not None and self._clerk is not None:
            refusal, leaves, remembered = self._clerk.decide(submission, self._ledger)
        outcome = refusal or self._size + len(self._entries)
        if remembered or refusal is None:
            self._learned[submission.filing.key] = Known(fingerprint, outcome)
        if refusal is None:
            self._entries.append(submission.leaf(self._epoch).to_bytes())
            self._erased |= {asked.index} if asked else set()
        if leaves:
            self._enter(leaves)
        return outcome

    def _enter(self, leaves: Sequence[Submission]) -> None:
        """Adds what the holder itself has to say."""
        for leaf in leaves:
            at = self._size + len(self._entries)
            self._learned[leaf.filing.key] = Known(leaf.fingerprint, at)
            self._entries.append(leaf.leaf(self._epoch).to_bytes())

    def plan(self) -> Plan:
        """All of it, and of what has run out as much as one transaction may hold."""
        rows: tuple[Change, ...] = ()
        due = None
        if self._ledger is not None and self._clerk is not None:
            most = len(self._entries) + CIVIC_SETTLED_MAX
            due = self._due()
            while due is not None and due <= self._ledger.minute and len(self._entries) < most:
                self._enter(self._clerk.settle(self._ledger))
                due = self._due()
            rows = self._ledger.rows.changes()
        entries, outcomes = tuple(self._entries), tuple(self._outcomes)
        return Plan(entries, self._learned, outcomes, frozenset(self._erased), rows, due)

    def _due(self) -> int | None:
        assert self._ledger is not None, "there is a clerk"
        name = self._ledger.rows.first(UNTIL)
        return due_of(name)[0] if name else None
