"""What a journal promises, whatever keeps it.

A journal holds each cell's objects as one whole state and the deltas since, and records of other kinds (reports to
moderators, and their orders). `append` is one transaction: when it returns all its writes are durable, and when it
raises none of them is. What is refused is told by a `StorageFailed` with a reason and one sentence for the operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pworld.messages import SaveRecord, Write
    from p2pworld.world.objects import SavedCell

__all__ = ["Journal", "StorageFailed"]


class StorageFailed(Exception):
    """The disk did not do it, for `reason`: `full`, `io`, `busy`, `corrupt`, `newer`, `foreign`, `exists`, `none` or
    `closed`; a database also `denied`, `untrusted` (certificates), `standby` (it waits for one) and `copies` (too few);
    a civic store `behind` (it has fewer entries than it had).
    """

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


class Journal(Protocol):
    """The durable memory of one node."""

    async def recover(self) -> dict[int, SavedCell]:
        """Every cell it holds, its deltas merged into its state; `n` is the last change before any gap.

        Raises:
            StorageFailed: something in it is not what was written.
        """

    async def recover_records(self) -> tuple[SaveRecord, ...]:
        """Every record it holds, each with the data last written under its kind and id.

        Raises:
            StorageFailed: something in it is not what was written.
        """

    async def append(self, writes: Sequence[Write]) -> None:
        """Make all of `writes` durable, in order, as one.

        Raises:
            StorageFailed: none of them is in the journal.
        """

    async def scrub(self, after: int) -> tuple[int, bool]:
        """Look at the next cell after the number `after` as it is on the disk: its number, 0 if there is none left, and
        whether all of it is what was written.

        Raises:
            StorageFailed: it cannot be read at all.
        """

    async def close(self) -> None:
        """Let go of the file; idempotent."""
