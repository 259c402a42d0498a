"""What one transaction of the store decides: who is in the log already, who comes in, at which place.

It is decided from rows read inside that transaction, so two batches never decide from the same past. A transaction that
is known by its key is told what it was told before, be that a place or a refusal; under that key other content is
refused; all others become leaves, in order. With the leaf of an erasure comes the order to destroy what is sealed with
the entry that it names. Whoever has erased an entry twice has two leaves, and nothing more is destroyed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.civic.erasure import asked_of, check_asker
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from p2pworld.civic.transaction import Submission

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

    What is sealed with the entries `erased` is destroyed, or not even written, if they are new themselves.
    """

    entries: tuple[bytes, ...]
    learned: dict[bytes, Known]
    outcomes: tuple[int | Refusal, ...]
    erased: frozenset[int] = frozenset()


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
) -> Plan:
    """What a log of `size` makes of these; `known` has the row of each of their keys that has one, `named` all of the
    `named_entries`, `desks` are the keys that may have any entry erased, and `late` the fingerprints of those that were
    not filed about now: they are retries, or refused, and nothing is remembered of them."""
    entries: list[bytes] = []
    learned: dict[bytes, Known] = {}
    outcomes: list[int | Refusal] = []
    erased: set[int] = set()
    for submission in submissions:
        key, fingerprint = submission.filing.key, submission.fingerprint
        row = learned.get(key) or known.get(key)
        if row is None and fingerprint in late:
            outcomes.append(_LATE)
            continue
        if row is None:
            asked, refusal = asked_of(submission.filing), None
            if asked is not None:
                entry = named.get(asked.index)
                if size <= asked.index < size + len(entries):
                    entry = entries[asked.index - size]
                refusal = check_asker(asked, parse_leaf(entry) if entry else None, desks)
            row = learned[key] = Known(fingerprint, refusal or size + len(entries))
            if refusal is None:
                entries.append(submission.leaf(epoch).to_bytes())
                erased |= {asked.index} if asked else set()
        if row.fingerprint == fingerprint:
            outcomes.append(row.outcome)
        else:
            outcomes.append(Refusal("civic-replay", "something else was filed under this key"))
    return Plan(tuple(entries), learned, tuple(outcomes), frozenset(erased))
