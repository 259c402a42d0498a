"""Time for many avatars at once: deadlines that can be moved, and rounds in which everybody's turn comes.

A deadline is a stamped entry of a heap; arming it anew outdates the older entry, which is skipped when it comes up.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Deadlines", "Round"]

K = TypeVar("K", bound="tuple[int, int] | int")


class Deadlines(Generic[K]):
    """At most one deadline for each key, on the boot clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._stamps: dict[K, int] = {}
        self._stamp = 0

    def __contains__(self, key: K) -> bool:
        return key in self._stamps

    def arm(self, key: K, at_s: float | None) -> None:
        """Set the deadline of this key, in place of an older one; None takes it away."""
        if at_s is None:
            self._stamps.pop(key, None)
            return
        self._stamp += 1
        self._stamps[key] = self._stamp
        heapq.heappush(self._heap, (at_s, self._stamp, key))

    def due(self, now_s: float) -> Iterator[K]:
        """Those whose deadline has come, in order, each taken away as it is given."""
        while self._heap and self._heap[0][0] <= now_s:
            _, stamp, key = heapq.heappop(self._heap)
            if self._stamps.get(key) == stamp:
                del self._stamps[key]
                yield key

    def clear(self) -> None:
        """No deadlines."""
        self._heap.clear()
        self._stamps.clear()


class Round:
    """Everybody's turn once in `every_s`, a few at a time."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._waiting: dict[int, None] = {}  # in the order of their turns
        self._owed = 0.0

    def __iter__(self) -> Iterator[int]:
        return iter(tuple(self._waiting))

    def join(self, avatar: int) -> None:
        """Take part from now on; who does already keeps its turn."""
        self._waiting[avatar] = None

    def turns(self, passed_s: float) -> list[int]:
        """Whose turn has come; they are out of the round until they join again."""
        self._owed += len(self._waiting) * passed_s / self._every_s
        turns = []
        while self._owed >= 1 and self._waiting:
            self._owed -= 1
            avatar = next(iter(self._waiting))
            del self._waiting[avatar]
            turns.append(avatar)
        return turns

    def clear(self) -> None:
        """Nobody takes part."""
        self._waiting.clear()
        self._owed = 0.0
