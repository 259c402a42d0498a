"""What is attached to filings: locked bytes under names that nobody can guess, kept beside a stream's log.

A citizen's browser locks a file under a key that is made of the filing's own secret, names it likewise, and puts it
here before it files. Then the filing names it, and it is kept as long as what is sealed with the entry is; what no
filing has named within a day, or when others need the room, is taken away. Whoever erases the entry destroys that
secret, and with it everything that is locked under it; that the bytes go as well is what this store sees to.

A store says nothing of who may read, and decides nothing about filings. What it has put it has durably, and it gives
nothing that is not as it was put: each has a checksum. How much may lie in it is bounded, for one stream, for what has
not been filed yet, and by `doors` for whoever brings it.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from p2pworld.errors import Refusal
from p2pworld.limits import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_DAYS,
    ATTACHMENTS_BYTES_MAX,
    ATTACHMENTS_MAX,
    ATTACHMENTS_WAITING_BYTES_MAX,
    ATTACHMENTS_WAITING_MAX,
)

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection, Iterable, Mapping

    from shard_node.civic.store import Fault

__all__ = [
    "CHECKSUM_BYTES",
    "NAME_BYTES",
    "AttachmentStore",
    "Held",
    "TooLong",
    "begin_checksum",
    "displaced",
    "filed_minutes",
    "no_room",
]

NAME_BYTES: Final = 32
CHECKSUM_BYTES: Final = 16


class TooLong(Exception):
    """More came than an attachment may have."""


@dataclass(frozen=True, slots=True)
class Held:
    """One that is there: its bytes, the minute in which it was put, and the entry that names it, if one is known."""

    size: int
    minute: int
    entry: int | None = None


class AttachmentStore(Protocol):
    """The attachments of one store's streams. Each call may raise StorageFailed."""

    async def put(self, stream: str, name: bytes, parts: AsyncIterator[bytes], minute: int) -> Refusal | None:
        """Durably keeps what comes in parts, in place of what waited under this name; or says why there is no room.

        What an entry names stays as it is. If the parts end in an error, nothing was put.

        Raises:
            TooLong: more came than is allowed.
        """

    async def held(self, stream: str, names: Collection[bytes]) -> dict[bytes, Held]:
        """Those of these that are there."""

    async def parts(self, stream: str, name: bytes) -> AsyncGenerator[bytes, None]:
        """All of it, in pieces; the last is given only if the whole is as it was put (`corrupt`).

        Raises:
            StorageFailed: also `none`, it is not there.
        """

    async def waiting(self, stream: str, before: int) -> dict[bytes, Held]:
        """What was put before that minute and is named by no entry that is known, the oldest first; at most
        ATTACHMENTS_WAITING_MAX."""

    async def bind(self, stream: str, named: Mapping[bytes, int]) -> None:
        """These are named by these entries; those that are not there are left out."""

    async def any_bound(self, stream: str) -> bool:
        """Whether any entry of this stream has attachments here."""

    async def of_entries(self, stream: str, entries: Collection[int]) -> list[bytes]:
        """The names that these entries have."""

    async def remove(self, stream: str, names: Iterable[bytes]) -> None:
        """Destroys these, as far as they are there."""

    async def check(self) -> list[Fault]:
        """Reads everything, and says what is not as it was put, at most `CIVIC_FAULTS_MAX` things."""

    async def close(self) -> None:
        """Let go of the store; idempotent. Calls after it raise StorageFailed `closed`."""


def begin_checksum(stream: str, name: bytes) -> hashlib.blake2b:
    """The checksum of an attachment, to be fed with its bytes; another one under another name."""
    return hashlib.blake2b(f"{stream}\n".encode() + name, digest_size=CHECKSUM_BYTES)


def filed_minutes(now_minute: int) -> int:
    """The minute before which what was put and never filed is taken away."""
    return now_minute - ATTACHMENT_DAYS * 1_440


def no_room(count: int, size: int, waiting: int, waiting_bytes: int) -> Refusal | None:
    """Why a stream that has so many attachments of so many bytes, so many of them waiting, takes none, or None."""
    if count >= ATTACHMENTS_MAX or size + ATTACHMENT_BYTES_MAX > ATTACHMENTS_BYTES_MAX:
        return Refusal("attachment-full", "this stream holds as many attachments as it may")
    if waiting >= ATTACHMENTS_WAITING_MAX or (
        waiting_bytes + ATTACHMENT_BYTES_MAX > ATTACHMENTS_WAITING_BYTES_MAX
    ):
        return Refusal("attachment-full", "too much that was put here has not been filed yet")
    return None


def displaced(
    waiting: Mapping[bytes, Held], whose: Mapping[bytes, str], spared: Collection[bytes] = ()
) -> tuple[bytes, ...]:
    """Which of these go, so that one more has room to wait: the oldest of whoever has the most waiting, and so on.

    So who brings little keeps it however much others bring. A small one counts as much as one of so many that have the
    bytes of all between them. `waiting` has the oldest first; whose they are may be unknown of some, which are then
    one's. Those that are spared stay.
    """
    least = ATTACHMENTS_WAITING_BYTES_MAX // ATTACHMENTS_WAITING_MAX
    owners: dict[str, deque[bytes]] = {}
    shares: Counter[str] = Counter()
    for name, held in waiting.items():
        if name in spared:
            continue
        owner = whose.get(name, "")
        owners.setdefault(owner, deque()).append(name)
        shares[owner] += max(held.size, least)
    count, size = len(waiting), sum(held.size for held in waiting.values())
    gone: list[bytes] = []
    while owners and no_room(0, 0, count, size) is not None:
        owner = max(owners, key=shares.__getitem__)
        name = owners[owner].popleft()
        if not owners[owner]:
            del owners[owner]
        gone.append(name)
        shares[owner] -= max(waiting[name].size, least)
        count, size = count - 1, size - waiting[name].size
    return tuple(gone)
