"""Virtual time: one heap of what is to happen, and a trace of what did.

Everything that happens in a simulation is an entry of one `Agenda`, done in the order of its time, and of two at the
same time in the order they were entered. The `Trace` hashes what the run did (each message delivered, each write, each
map stored) and keeps the last of it as readable lines, for the story of a violation.
"""

from __future__ import annotations

import hashlib
import heapq
import re
import traceback
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Agenda", "Trace", "broken"]

_STORY_LINES: Final = 60_000  # kept; a story shows those that name its people and nodes
_LENGTH_BYTES: Final = 4


class Agenda:
    """What is to happen when, in seconds from the start of the run."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.done = 0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._entered = 0

    def at(self, time_s: float, do: Callable[[], None]) -> None:
        """Do it at that time, or now if that is past."""
        self._entered += 1
        heapq.heappush(self._heap, (max(time_s, self.now_s), self._entered, do))

    def after(self, delay_s: float, do: Callable[[], None]) -> None:
        """Do it so much later."""
        self.at(self.now_s + delay_s, do)

    def run(self, until_s: float, enough: Callable[[], bool]) -> None:
        """Do all there is up to that time, or until that is enough."""
        heap = self._heap
        while heap and heap[0][0] <= until_s:
            self.now_s, _, do = heapq.heappop(heap)
            self.done += 1
            do()
            if enough():
                return
        self.now_s = until_s


class Trace:
    """A hash of everything that happened, and the last lines of it for people."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=16)
        self._lines: deque[tuple[float, str, bool]] = deque(maxlen=_STORY_LINES)

    def add(self, time_s: float, kind: bytes, *parts: bytes) -> None:
        """Take part in the hash: a time, a kind of one letter, and the bytes themselves."""
        update = self._hash.update
        update(kind)
        update(round(time_s * 1_000_000).to_bytes(8, "big"))
        for part in parts:
            update(len(part).to_bytes(_LENGTH_BYTES, "big"))
            update(part)

    def say(self, time_s: float, line: str, *, fault: bool = False) -> None:
        """One line of the story, perhaps of a fault; it takes no part in the hash."""
        self._lines.append((time_s, line, fault))

    def hex(self) -> str:
        """The hash so far."""
        return self._hash.hexdigest()

    def story(self, names: tuple[str, ...], lines: int) -> tuple[str, ...]:
        """The last so many lines in which one of the names occurs as a word, and the faults since the first of them.

        All lines count if no name is given. Faults are marked with !, and are at most as many as the lines asked for.
        """
        named = re.compile("|".join(rf"\b{re.escape(name)}\b" for name in names))
        found: list[str] = []
        told = faults = 0
        for time_s, line, fault in reversed(self._lines):
            if told == lines or faults == lines:
                break
            if fault or named.search(line):
                found.append(f"{time_s:10.3f} s {'!' if fault else ' '} {line}")
                told, faults = told + (not fault), faults + fault
        return tuple(reversed(found))


def broken(do: Callable[[], None]) -> tuple[str, tuple[str, ...]] | None:
    """What ended it otherwise than in order, and where: the edge of every simulated process."""
    try:
        do()
    except Exception as error:  # what ends a real process is a finding here
        return f"{type(error).__name__}: {error}", tuple(traceback.format_exception(error))
    return None
