"""The records of civic logs in a city's coordination store: read, and compared and swapped, over the same bad network.

While the store is out, or a machine cut off from it, nothing arrives; an answer may be lost after the deed. Whoever
asks is told what is there, or that nobody can tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from simulations.events import Agenda, Trace
    from simulations.store import Store

__all__ = ["Found", "Records"]


class Found(NamedTuple):
    """The record that is there, if there is one."""

    record: bytes | None


class Records:
    """All records of a city."""

    def __init__(self, store: Store, agenda: Agenda, dice: random.Random, trace: Trace) -> None:
        self.kept: dict[str, bytes] = {}
        self.compared = True  # without it, whoever comes last wins
        self.answers_to_lose = 0  # of the writes to come
        self.on_put: Callable[[int, str, bytes | None, bytes], None] = lambda host, name, before, record: None
        self._store, self._agenda, self._dice, self._trace = store, agenda, dice, trace

    def read(self, host: int, name: str, done: Callable[[Found | None], None]) -> None:
        """The record of this name; None: it could not be read."""
        self._ask(host, lambda: Found(self.kept.get(name)), done)

    def put(
        self, host: int, name: str, before: bytes | None, record: bytes, done: Callable[[Found | None], None]
    ) -> None:
        """Make it `record` if it is `before`; what is there then, or None: it may have been written, or not."""

        def swap() -> Found | None:
            if self.kept.get(name) == before or not self.compared:
                replaced, self.kept[name] = self.kept.get(name), record
                self._trace.add(self._agenda.now_s, b"K", name.encode(), record)
                self.on_put(host, name, replaced, record)
            if self.answers_to_lose:
                self.answers_to_lose -= 1
                return None
            return Found(self.kept.get(name))

        self._ask(host, swap, done)

    def copy(self) -> dict[str, bytes]:
        """All of them as they are now."""
        return dict(self.kept)

    def restore(self, copy: dict[str, bytes]) -> None:
        """Be as they were then."""
        self.kept = dict(copy)

    def _ask(self, host: int, work: Callable[[], Found | None], done: Callable[[Found | None], None]) -> None:
        options = self._store.options
        answers: list[Found | None] = []

        def tell(found: Found | None) -> None:
            if not answers:
                answers.append(found)
                done(found)

        def back(found: Found | None) -> None:
            if self._reaches(host):
                tell(found)

        def arrive() -> None:
            found = work() if self._reaches(host) else None
            if found is not None:
                self._agenda.after(self._way_s(), lambda: back(found))

        self._agenda.after(options.patience_s, lambda: tell(None))
        if self._reaches(host):
            self._agenda.after(self._way_s(), arrive)

    def _reaches(self, host: int) -> bool:
        return not self._store.out and host not in self._store.cut

    def _way_s(self) -> float:
        return self._store.options.delay_s + self._dice.random() * self._store.options.jitter_s
