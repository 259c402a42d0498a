"""Join semilattices: values that only grow, and meet in one place whatever the road.

A replicated type here is a set of states with an order (`leq`) and a least upper bound (`merge`). Because the bound
is associative, commutative and idempotent, replicas that have heard the same news in any order and any number of
times hold equal states. A delta is itself a state, usually a small one, and is merged by the same function.

Shapiro, Preguiça, Baquero, Zawirski: Conflict-free Replicated Data Types (2011). Almeida, Shoker, Baquero: Delta
State Replicated Data Types (2018).
"""

from __future__ import annotations

from functools import reduce
from typing import TYPE_CHECKING, Protocol, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

__all__ = ["Lattice", "join", "merge_maps", "pointwise_leq"]


class Lattice(Protocol):
    """A state of a join semilattice."""

    def merge(self, other: Self) -> Self:
        """The least state that has heard all that both have heard; neither operand changes."""

    def leq(self, other: Self) -> bool:
        """Whether `other` has heard all that this state has, i.e. `self.merge(other) == other`."""


K = TypeVar("K", bound="Hashable")
V = TypeVar("V", bound=Lattice)


def join(states: Iterable[V]) -> V | None:
    """The least upper bound of some states, None (bottom) of no states."""
    rest = iter(states)
    first = next(rest, None)
    return None if first is None else reduce(lambda left, right: left.merge(right), rest, first)


def merge_maps(left: Mapping[K, V], right: Mapping[K, V]) -> dict[K, V]:
    """The pointwise join of two maps, an absent key being bottom."""
    merged = dict(left)
    for key, theirs in right.items():
        mine = merged.get(key)
        merged[key] = theirs if mine is None else mine.merge(theirs)
    return merged


def pointwise_leq(left: Mapping[K, V], right: Mapping[K, V]) -> bool:
    """The order that belongs to `merge_maps`."""
    return all(key in right and mine.leq(right[key]) for key, mine in left.items())
