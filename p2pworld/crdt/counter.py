"""A counter that goes up and down: for each replica, how much it ever added and how much it ever took.

Both numbers of a replica are written by that replica alone and only grow, so the larger is the later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from p2pworld.errors import LocalError

from .clock import REPLICAS_MAX, Replica, read_replica
from .plain import COUNT_MAX, malformed, read_int, read_list, read_row

__all__ = ["PNCounter"]


@dataclass(frozen=True, slots=True)
class PNCounter:
    """A count kept by many; `tallies` holds (added, taken) for each replica that ever counted."""

    tallies: Mapping[Replica, tuple[int, int]] = field(default_factory=dict)

    @property
    def value(self) -> int:
        """The count now."""
        return sum(added - taken for added, taken in self.tallies.values())

    def add(self, replica: Replica, amount: int) -> PNCounter:
        """The delta that adds `amount`, negative to take. Merge it in before asking for the next."""
        added, taken = self.tallies.get(replica, (0, 0))
        tally = (added + amount, taken) if amount >= 0 else (added, taken - amount)
        if max(tally) > COUNT_MAX:
            raise LocalError(f"a counter's tally would pass {COUNT_MAX}")
        return PNCounter({replica: tally})

    def merge(self, other: PNCounter) -> PNCounter:
        """The counter that has heard of every addition either has heard of."""
        if self is other:
            return self
        merged = dict(self.tallies)
        for replica, (added, taken) in other.tallies.items():
            mine = merged.get(replica, (0, 0))
            merged[replica] = (max(mine[0], added), max(mine[1], taken))
        return PNCounter(merged)

    def leq(self, other: PNCounter) -> bool:
        """Whether `other` has heard of every addition this has."""
        for replica, (added, taken) in self.tallies.items():
            theirs = other.tallies.get(replica)
            if theirs is None or added > theirs[0] or taken > theirs[1]:
                return False
        return True

    def to_plain(self) -> list[object]:
        """`[[node, number, added, taken], ...]` in the order of replicas."""
        return [[*replica, *tally] for replica, tally in sorted(self.tallies.items())]

    @classmethod
    def from_plain(cls, plain: object) -> PNCounter:
        """The counter so written; raises RemoteError if it is none."""
        tallies: dict[Replica, tuple[int, int]] = {}
        for row in read_list(plain, REPLICAS_MAX, "a counter"):
            node, number, added, taken = read_row(row, 4, "a counter's tally")
            replica = read_replica(node, number)
            if replica in tallies:
                raise malformed("a counter names a replica twice")
            tallies[replica] = (
                read_int(added, 0, COUNT_MAX, "what was added"),
                read_int(taken, 0, COUNT_MAX, "what was taken"),
            )
        return cls(tallies)
