"""The objects of a cell, told slowly: every event that ever was, who had heard of which, and nothing else.

Nothing is merged here. What a replica sees is worked out afresh from the events it has heard of and the pasts of
those events, straight from the promises in words:

- a change is undone by a removal that had heard of it, and by nothing else;
- an object is there while one of its changes is not undone, and shows what the makers of those changes saw;
- of the values of a register, the one with the largest stamp shows;
- a replica's count is what it counted in a row, the row beginning anew once it sees its last addition undone;
- an expunged object is not there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from p2pworld.crdt import Replica, Stamp, Value

if TYPE_CHECKING:
    from collections.abc import Set


Seen: TypeAlias = "tuple[dict[str, Value], dict[str, int]]"


@dataclass(frozen=True)
class Event:
    """One change; `past` names all events its maker had heard of, transitively."""

    what: Literal["put", "count", "remove", "expunge"]
    replica: Replica
    object_id: bytes
    past: frozenset[int]
    stamp: Stamp | None = None
    fields: dict[str, Value] = field(default_factory=dict)
    name: str = ""
    amount: int = 0


class History:
    """All events by number, in an order that follows happens-before."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def note(self, event: Event) -> int:
        """Write an event down; returns its number."""
        self.events.append(event)
        return len(self.events) - 1

    def objects(self, known: Set[int]) -> dict[bytes, Seen]:
        """What one sees who has heard of exactly these events: fields and counts that are not 0, by object."""
        ids = {self.events[number].object_id for number in known}
        expunged = {self.events[n].object_id for n in known if self.events[n].what == "expunge"}
        return {i: self._seen(i, known) for i in ids - expunged if self._standing(i, known)}

    def _standing(self, object_id: bytes, known: Set[int]) -> list[int]:
        """The changes of an object that no removal undid, as far as these events tell."""
        here = [n for n in sorted(known) if self.events[n].object_id == object_id]
        removals = [self.events[n] for n in here if self.events[n].what == "remove"]
        return [
            n
            for n in here
            if self.events[n].what in ("put", "count") and not any(n in removal.past for removal in removals)
        ]

    def _seen(self, object_id: bytes, known: Set[int]) -> Seen:
        writes = self._writes(object_id, known)
        counts: dict[str, int] = {}
        for replica in {event.replica for event in self.events}:
            for name, count in self._counted(replica, object_id, known).items():
                counts[name] = counts.get(name, 0) + count
        return (
            {name: value for name, (_, value) in writes.items()},
            {name: count for name, count in counts.items() if count},
        )

    def _writes(self, object_id: bytes, known: Set[int]) -> dict[str, tuple[Stamp, Value]]:
        shown: dict[str, tuple[Stamp, Value]] = {}
        for number in self._standing(object_id, known):
            event = self.events[number]
            told = list(self._writes(object_id, event.past).items())
            if event.stamp is not None:
                told += [(name, (event.stamp, value)) for name, value in event.fields.items()]
            for name, write in told:
                if name not in shown or write[0] > shown[name][0]:
                    shown[name] = write
        return shown

    def _counted(self, replica: Replica, object_id: bytes, known: Set[int]) -> dict[str, int]:
        mine = [
            n
            for n in self._standing(object_id, known)
            if self.events[n].what == "count" and self.events[n].replica == replica
        ]
        if not mine:
            return {}
        last = self.events[mine[-1]]
        row = self._counted(replica, object_id, last.past)
        row[last.name] = row.get(last.name, 0) + last.amount
        return row
