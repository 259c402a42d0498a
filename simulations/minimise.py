"""Which of the faults of a red run are needed for what went wrong: delta debugging over the list.

The list is cut into parts, and whatever part can be left out while the same rule is still broken is left out (Zeller
and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", 2002). Whole kinds are tried first, since most
have no share in it. What is left is no smallest list for sure, but none of it can be left out alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from simulations.faults import Fault

__all__ = ["least", "minimised"]

_T = TypeVar("_T")


def minimised(faults: Sequence[Fault], first_red: Callable[[list[list[Fault]]], int | None]) -> list[Fault]:
    """The few faults of a red run that are needed.

    `first_red` runs the city under each of these lists, and tells which is the first to break the same rule, or None.
    """
    kinds = {fault.kind: None for fault in faults}
    kept = {
        *least([*kinds], lambda tries: first_red([[f for f in faults if f.kind in some] for some in tries]))
    }
    return least([fault for fault in faults if fault.kind in kept], first_red)


def least(all_of: Sequence[_T], first_red: Callable[[list[list[_T]]], int | None]) -> list[_T]:
    """A part of the list that is still red and that none of can be left out."""
    left, parts = list(all_of), 2
    if first_red([[]]) is not None:
        return []
    while len(left) > 1:
        tries = list(_without_one(left, min(parts, len(left))))
        found = first_red(tries)
        if found is not None:
            left = tries[found]
            parts = max(parts - 1, 2)
        elif parts >= len(left):
            break
        else:
            parts = min(2 * parts, len(left))
    return left


def _without_one(whole: Sequence[_T], parts: int) -> Iterator[list[_T]]:
    """The list without each of so many parts of it, the later parts first: what comes late is seldom needed."""
    cuts = [len(whole) * part // parts for part in range(parts + 1)]
    for part in reversed(range(parts)):
        yield [*whole[: cuts[part]], *whole[cuts[part + 1] :]]
