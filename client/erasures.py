"""What a log says is erased: of which entry, by which later one, and by whose word.

Found among the entries that mention an erasure at all; whatever is no leaf has erased nothing. The asker must have
signed. Whether a key that is not the entry's own is a desk's is for the reader to know: the log names it, no more.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.civic.erasure import asked_of, check_erasure
from p2pworld.civic.transaction import Filing, parse_leaf
from p2pworld.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ErasedEntry", "erasures"]


@dataclass(frozen=True, slots=True)
class ErasedEntry:
    """Entry `index`, and the first one that has it erased."""

    index: int
    by_entry: int
    asker: bytes
    filing: Filing

    def facts(self) -> dict[str, object]:
        """For programs."""
        return {"index": self.index, "by_entry": self.by_entry, "asker": self.asker.hex()}

    def words(self, key: bytes) -> str:
        """For people; `key` is the one that the erased entry was filed with."""
        asker = "the key that it was filed with"
        if self.asker != key:
            asker = f"the key {self.asker.hex()}, which must be that of a desk"
        return f"What was sealed with it is erased: entry {self.by_entry} says so, asked for with {asker}."

    def check(self) -> None:
        """Returns if the asker signed.

        Raises:
            RemoteError: he did not (`civic-signature`).
        """
        if refusal := check_erasure(self.filing):
            raise RemoteError(refusal.reason, f"entry {self.by_entry}: {refusal.sentence}")


def erasures(mentions: Mapping[int, bytes]) -> dict[int, ErasedEntry]:
    """What these entries of a log, by their numbers, have erased."""
    erased: dict[int, ErasedEntry] = {}
    for by_entry, entry in sorted(mentions.items()):
        with suppress(RemoteError):
            filing = parse_leaf(entry).filing
            if asked := asked_of(filing):
                erased.setdefault(asked.index, ErasedEntry(asked.index, by_entry, asked.by, filing))
    return erased
