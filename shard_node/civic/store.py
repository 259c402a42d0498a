"""What a store of civic logs promises, whatever keeps it.

A store holds, for each stream, a row (epoch, fences, size), the log's entries, what was answered under each
transaction's key, what is sealed for the office, and rows by which a clerk decides (`p2pworld.civic.kept`). It decides
nothing by itself: `commit` runs the plan of the pure batch over rows that one transaction has read, and only if the
stream's row is still the one that the caller knows. What the plan says is erased is destroyed in that same transaction,
and after it is to be found in no file of the store; the entry and what is answered under its key stay, so that a retry
is told the same for ever.

What fails is told by a `StorageFailed`: nothing has changed. `CommitUnknown` is the one exception: it may have changed,
all of it or nothing, and only who fences again and reads can tell. Whatever a row says is checked against the checksum
it carries before it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from p2pworld.limits import CIVIC_READ_MAX

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.civic.batch import Known, Plan
    from p2pworld.civic.kept import Kept
    from p2pworld.civic.transaction import Sealed, Submission

__all__ = ["CivicStore", "CommitUnknown", "Fault", "MakePlan", "Row"]


class MakePlan(Protocol):
    """As `plan_batch`, which says what each of them is."""

    def __call__(
        self,
        size: int,
        epoch: int,
        submissions: Sequence[Submission],
        known: Mapping[bytes, Known],
        named: Mapping[int, bytes],
        /,
        *,
        kept: Kept,
    ) -> Plan: ...


class CommitUnknown(Exception):
    """A transaction may or may not have become durable."""


@dataclass(frozen=True, slots=True)
class Row:
    """A stream as the store has it: who may write, how often that was fenced, and how many entries there are."""

    epoch: int
    fences: int
    size: int


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that a check has found: where it is, and what is wrong there."""

    place: str
    sentence: str


class CivicStore(Protocol):
    """The streams of one store. Each call ends within a bounded time and may raise StorageFailed."""

    @property
    def copies(self) -> int:
        """On how many disks a commit is when it is answered, as far as is known; 0 before anybody could tell."""

    async def fence(self, stream: str, epoch: int) -> Row:
        """Durably: if the stream's epoch is at most `epoch`, make it that and count one fence more; the row then.

        A stream that is not there yet begins here, empty, in epoch 0.

        Raises:
            CommitUnknown: it may have been fenced.
        """

    async def row(self, stream: str) -> Row | None:
        """The stream's row, or None if it was never fenced."""

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        """Entries [begin, end) of the log, at most `CIVIC_READ_MAX` of them.

        Raises:
            LocalError: so many are not given.
            StorageFailed: also `behind`, if they are not there: the store was set back.
        """

    async def commit(
        self, stream: str, row: Row, submissions: Sequence[Submission], plan: MakePlan
    ) -> Plan | None:
        """One durable transaction: if the stream's row is `row`, do what `plan` says of these; else None.

        The plan is given what is known of each of their keys, and each of their `named_entries`; the rows beside the
        log it reads within the transaction. A row that it takes for new must not be there, any other must.

        Raises:
            CommitUnknown: it may have become durable, all of it.
        """

    async def kept(self, stream: str, prefix: str, most: int = CIVIC_READ_MAX) -> list[tuple[str, bytes]]:
        """The first rows beside the log whose names begin so, in the order of their names."""

    async def sealed(self, stream: str, index: int) -> Sealed | None:
        """What was sealed with entry `index`, or None if nothing was or it is erased."""

    async def check(self) -> list[Fault]:
        """Reads every row there is, and says what is not as it was written, at most `CIVIC_FAULTS_MAX` things."""

    async def close(self) -> None:
        """Let go of the store; idempotent. Calls after it raise StorageFailed `closed`."""
