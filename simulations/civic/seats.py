"""Who has which seat, as somebody finds out who reads a log's leaves one by one with a pencil.

It knows nothing of rows, desks and workflows: an event takes a seat or gives it up, and that is all.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Seats"]

_TAKES: Final = ("hold", "claim", "confirm", "move-up")
_GIVES: Final = ("cancel", "expire")

Seat = tuple[str, str, str]


@dataclass(slots=True)
class Seats:
    """`services` are the types of filings that ask for a seat, of which each slot has `count`."""

    services: Collection[str]
    count: int
    owners: dict[Seat, str] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    asked: str = ""  # who has asked, and of whom the next leaf must tell

    def read(self, place: int, filing: dict[str, Any]) -> Iterator[str]:
        """What is wrong with the leaf at this place."""
        if filing["type"] in self.services:
            yield from self.unanswered(place)
            self.asked = filing["key"].hex()
        elif filing["type"] == "slot-event":
            said = {each["name"]: each["value"] for each in filing["public"]}
            yield from self._event(place, said)

    def unanswered(self, place: int) -> Iterator[str]:
        """What is wrong if nothing more comes before this place."""
        if self.asked:
            yield f"before entry {place} a booking stands without what became of it"
        self.asked = ""

    def _event(self, place: int, said: dict[str, str]) -> Iterator[str]:
        key, seat = said["filing"], (said["facility"], said["slot"], said["seat"])
        if self.asked == key:
            self.asked = ""
        if said["action"] == "wait":
            self.waiting.add(key)
        elif said["action"] in _GIVES:
            if said["seat"] and self.owners.pop(seat, None) != key:
                yield f"entry {place} gives up seat {seat} for somebody who does not have it"
            elif not said["seat"] and key not in self.waiting:
                yield f"entry {place} ends the waiting of somebody who does not wait"
            self.waiting.discard(key)
        elif said["action"] in _TAKES:
            self.waiting.discard(key)
            if self.owners.get(seat, key) != key:
                yield f"entry {place} gives seat {seat} to a second person"
            if any(owner == key and at != seat for at, owner in self.owners.items()):
                yield f"entry {place} gives a second seat for one booking"
            if not int(said["seat"]) < self.count:
                yield f"entry {place} gives a seat that there is not"
            self.owners[seat] = key
