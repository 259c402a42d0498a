"""What one transaction of the store decides: who is in the log already, who comes in, at which place.

It is decided from rows read inside that transaction, so two batches never decide from the same past. A transaction that
is known by its key is told what it was told before, be that a place or a refusal; under that key other content is
refused; all others become leaves, in order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.errors import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.civic.transaction import Submission

__all__ = ["Known", "Plan", "plan_batch"]


@dataclass(frozen=True, slots=True)
class Known:
    """The row of a transaction's key: what was filed under it, and its place in the log or why it has none."""

    fingerprint: bytes
    outcome: int | Refusal


@dataclass(frozen=True, slots=True)
class Plan:
    """What the transaction writes, and what it answers: for each submission its place, or why it has none."""

    entries: tuple[bytes, ...]
    learned: dict[bytes, Known]
    outcomes: tuple[int | Refusal, ...]


def plan_batch(
    size: int, epoch: int, submissions: Sequence[Submission], known: Mapping[bytes, Known]
) -> Plan:
    """What a log of `size` makes of these; `known` has the row of each of their keys that has one."""
    entries: list[bytes] = []
    learned: dict[bytes, Known] = {}
    outcomes: list[int | Refusal] = []
    for submission in submissions:
        key, fingerprint = submission.filing.key, submission.fingerprint
        row = learned.get(key) or known.get(key)
        if row is None:
            row = learned[key] = Known(fingerprint, size + len(entries))
            entries.append(submission.leaf(epoch).to_bytes())
        if row.fingerprint == fingerprint:
            outcomes.append(row.outcome)
        else:
            outcomes.append(Refusal("civic-replay", "something else was filed under this key"))
    return Plan(tuple(entries), learned, tuple(outcomes))
