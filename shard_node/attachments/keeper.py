"""What a log's holder does for the attachments of its stream, beside filing.

Before a batch is decided, `unfit` says which filings name something that is not there: so nothing is entered that an
office could not read. What was entered is told by `entered`; its attachments are bound to it, and those of erased
entries destroyed, a moment later. Should the process end in between, the rows beside the log and the log itself still
say it: each new holder goes through the log once for what is erased, and asks before it takes anything away that seems
never to have been filed.

Where too much waits to be filed, what others have put goes for what somebody puts now, by the rule of `displaced`; but
nothing that the batch names which is being decided.
"""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import trio

from p2pworld.civic.attached import entry_of_row, file_row, names_in
from p2pworld.civic.erasure import ERASED, asked_of
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal
from p2pworld.limits import ATTACHMENTS_OLDEST_MINUTES, ATTACHMENTS_WAITING_MAX, CIVIC_READ_MAX
from shard_node.attachments.store import displaced, filed_minutes
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator, Sequence

    from p2pworld.civic.transaction import Submission
    from shard_node.attachments.store import AttachmentStore
    from shard_node.civic.store import CivicStore

__all__ = ["AttachmentKeeper"]

TIDY_S: Final = 600.0
LOOK_S: Final = 1.0  # a batch waits for it
TOLD_MAX: Final = 4_096  # batches whose attachments are not bound yet; what is lost here is found by tidying

_DOWN: Final = Refusal("civic-down", "what is attached cannot be looked for just now; try again in a moment")
_MISSING: Final = Refusal("attachment-missing", "something that is named was not put here, or a day ago")

log = logging.getLogger(__name__)


class _Told(NamedTuple):
    """What came of one batch: entries by the attachments that they name, and what it erased."""

    named: dict[bytes, int]
    erased: frozenset[int]


class AttachmentKeeper:
    """One stream's attachments, for as long as the stream is held here; `store` has them."""

    def __init__(
        self, stream: str, attachments: AttachmentStore, store: CivicStore, now_minute: Callable[[], int]
    ) -> None:
        self.store = attachments
        self._stream, self._civic, self._now_minute = stream, store, now_minute
        self._whose: dict[bytes, str] = {}  # who put what, as far as it was put here, the oldest first
        self._deciding: frozenset[bytes] = frozenset()  # what a batch names that may be entered any moment
        self._going: set[bytes] = set()
        self._told: deque[_Told] = deque(maxlen=TOLD_MAX)
        self._wake = trio.Event()

    async def put(self, who: str, name: bytes, parts: AsyncIterator[bytes], minute: int) -> Refusal | None:
        """As `AttachmentStore.put`, for whoever comes from this address.

        Raises:
            TooLong: more came than is allowed.
            StorageFailed: one of the stores cannot be used now.
        """
        refusal = await self.store.put(self._stream, name, parts, minute)
        if refusal is not None and await self._make_room():
            refusal = await self.store.put(self._stream, name, parts, minute)  # no part was taken yet
        if refusal is None:
            self._whose.pop(name, None)
            self._whose[name] = who
            if len(self._whose) > ATTACHMENTS_WAITING_MAX:
                del self._whose[next(iter(self._whose))]
        return refusal

    async def _make_room(self) -> bool:
        """Takes away what is displaced; whether anything was."""
        waiting = await self.store.waiting(self._stream, self._now_minute() + 1)
        order = {name: number for number, name in enumerate(self._whose)}
        oldest_first = sorted(waiting, key=lambda name: (waiting[name].minute, order.get(name, -1)))
        gone = displaced({name: waiting[name] for name in oldest_first}, self._whose, self._deciding)
        self._going.update(gone)
        try:
            filed = await self._bind(gone)
            await self.store.remove(self._stream, [name for name in gone if name not in filed])
        finally:
            self._going.difference_update(gone)
        if gone:
            log.info("%d attachments that waited gave way", len(gone), extra={"stream": self._stream})
        return bool(gone)

    async def unfit(self, submissions: Sequence[Submission]) -> dict[bytes, Refusal]:
        """Why those of these, by their fingerprints, cannot be entered that name something which is not there.

        What is about to be taken away counts as missing, so that nothing is entered and gone in the same minute.
        """
        named = {}
        for submission in submissions:
            names = names_in(submission) if submission.papers else ()
            if names and not isinstance(names, Refusal):
                named[submission.fingerprint] = names
        self._deciding = frozenset()
        if not named:
            return {}
        found: frozenset[bytes] | None = None
        with trio.move_on_after(LOOK_S):
            found = await self._there(frozenset().union(*named.values()))
        if found is None:
            return dict.fromkeys(named, _DOWN)
        self._deciding = found = found - self._going
        return {fingerprint: _MISSING for fingerprint, names in named.items() if not found.issuperset(names)}

    async def _there(self, names: frozenset[bytes]) -> frozenset[bytes] | None:
        """Those of these that are there to stay, if that can be told."""
        try:
            held = await self.store.held(self._stream, names)
        except StorageFailed:
            return None
        oldest = self._now_minute() - ATTACHMENTS_OLDEST_MINUTES
        return frozenset(n for n, one in held.items() if one.entry is not None or one.minute > oldest)

    def entered(
        self, submissions: Sequence[Submission], outcomes: Sequence[int | Refusal], erased: frozenset[int]
    ) -> None:
        """A batch is durable; retries may be among it."""
        named: dict[bytes, int] = {}
        for submission, outcome in zip(submissions, outcomes, strict=True):
            names = names_in(submission) if submission.papers else ()
            if isinstance(outcome, int) and not isinstance(names, Refusal):
                named |= dict.fromkeys(names, outcome)
        if named or erased:
            self._told.append(_Told(named, erased))
            self._wake.set()

    async def run(self) -> None:
        """Binds and destroys, for ever."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._follow)
            nursery.start_soon(self._tidy_on)

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._told:
                told = self._told.popleft()
                with self._said("bound to their entries"):
                    if told.named:
                        await self._bind(list(told.named))
                    if told.erased:
                        await self._destroy(told.erased)

    async def _tidy_on(self) -> None:
        swept = False
        while True:
            with self._said("tidied"):
                if not swept:
                    await self._sweep()
                    swept = True
                await self.tidy()
            await trio.sleep(TIDY_S)

    async def tidy(self) -> None:
        """Takes away what was put and not filed within a day.

        Raises:
            StorageFailed: one of the stores cannot be used now.
        """
        while waiting := await self.store.waiting(self._stream, filed_minutes(self._now_minute())):
            filed = await self._bind(waiting)
            unfiled = [name for name in waiting if name not in filed]
            await self.store.remove(self._stream, unfiled)
            log.info(
                "%d attachments that were never filed are gone", len(unfiled), extra={"stream": self._stream}
            )

    async def _bind(self, names: Collection[bytes]) -> Collection[bytes]:
        """Binds those of these that an entry has, by the rows beside the log; which they are."""
        named = {}
        for name in names:
            for _, body in await self._civic.kept(self._stream, file_row(name)):
                named[name] = entry_of_row(body)
        await self.store.bind(self._stream, named)
        return named.keys()

    async def _destroy(self, entries: Collection[int]) -> None:
        names = await self.store.of_entries(self._stream, entries)
        if names:
            await self.store.remove(self._stream, names)

    async def _sweep(self) -> None:
        """Destroys what entries have that the log says are erased: an earlier holder may not have come to it, or a copy
        may have brought it back."""
        if not await self.store.any_bound(self._stream):
            return
        row = await self._civic.row(self._stream)
        size = row.size if row else 0
        marked = ERASED.name.encode()
        for begin in range(0, size, CIVIC_READ_MAX):
            entries = await self._civic.entries(self._stream, begin, min(begin + CIVIC_READ_MAX, size))
            asked = (asked_of(parse_leaf(entry).filing) for entry in entries if marked in entry)
            erased = frozenset(one.index for one in asked if one is not None)
            if erased:
                await self._destroy(erased)

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        """What fails is said, and done by a later tidying."""
        try:
            yield
        except StorageFailed as error:
            log.error(
                "attachments of %s are not %s: %s", self._stream, what, error, extra={"reason": error.reason}
            )
