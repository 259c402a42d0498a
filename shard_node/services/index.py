"""All cases of the city as its published logs tell them, in a SQLite file of this node: what pages and programs read.

`ServiceIndex` is given what logs publish (`advance`, `take_folder`; `follow.py` does so all the time) and answers what
is asked. It is derived: whatever is wrong with the file, it is made again from the logs. A restart goes on where the
last commit was. A log is read by the bundle, one of them in memory at a time, and the root over all its entries must be
that of its checkpoint; if it is not, this stream was another log, and is read from the beginning.

The file is asked in threads: one that writes, a few that read meanwhile. Each call may raise StorageFailed.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import Counter, deque
from typing import TYPE_CHECKING, Concatenate, Final, ParamSpec, TypeVar

import trio

from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.tiles import TILE_WIDTH
from shard_node.civic.folder import CHECKPOINT
from shard_node.services.book import BEGINNING, CaseBook
from shard_node.services.queries import CHANGES_MAX, FILED_MAX, Reading
from shard_node.services.tables import connect
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from pathlib import Path

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.working_time import OfficeCalendar
    from shard_node.civic.folder import PublishedLog
    from shard_node.services.queries import Asked, Change, Page, Taken, Tally
    from shard_node.services.tables import Found

    FetchBundle = Callable[[int, int], Awaitable[list[bytes]]]

__all__ = ["INDEX_NAME", "ServiceIndex"]

INDEX_NAME: Final = "services.sqlite"  # in a node's data directory
READERS: Final = 3
REST_S: Final = (
    0.03  # between bundles, each 60 ms of a core: who reads a long log leaves half of it to the node
)

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


class ServiceIndex:
    """The index in the file at `path`; `catalogue` gives the declarations as they are now, `now_minute` the time.

    `open` it first. Whoever advances it, and looks at declarations, is one task; anybody may ask.
    """

    def __init__(
        self,
        path: Path,
        catalogue: Callable[[], Catalogue],
        calendar: OfficeCalendar,
        now_minute: Callable[[], int],
    ) -> None:
        self.counters: Counter[str] = Counter()
        self.calendar, self.now_minute = calendar, now_minute
        self._path, self._declared = path, catalogue
        self._catalogue = catalogue()  # by which the cases are made
        self._book: CaseBook | None = None
        self._readers: deque[sqlite3.Connection] = deque()
        self._free = trio.Semaphore(READERS)
        self._writing = trio.Lock()
        self._damaged = False
        self._sizes: dict[str, int] = {}
        self._grown = trio.Event()
        self._generation = 0  # counts what was read
        self._tallied: tuple[tuple[object, ...], tuple[Tally, ...]] | None = None

    # ---- looking

    @property
    def catalogue(self) -> Catalogue:
        """The declarations as they are now."""
        return self._declared()

    @property
    def homes(self) -> Mapping[str, str]:
        """The stream in which each facility was booked first, as far as logs have been read."""
        return self._book.homes if self._book is not None else {}

    def size(self, stream: str) -> int:
        """How many entries of a stream have been read since the index was opened, or before; 0 if none is known."""
        return self._sizes.get(stream, 0)

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many entries of each stream have been read."""
        return self._sizes

    async def grown(self) -> None:
        """Returns when something new has been read."""
        await self._grown.wait()

    async def case(self, stream: str, entry: int) -> Found | None:
        """The case that entry `entry` of this stream opened; None if it opened none, or has not been read yet."""
        return await self._ask(lambda reading: reading.case(stream, entry))

    async def cases_of(self, keys: Sequence[bytes]) -> tuple[Found, ...]:
        """The cases of these transactions' keys (32 bytes each), of whatever stream; the newest first."""
        return await self._ask(lambda reading: reading.cases_of(keys))

    async def filed(
        self,
        services: Sequence[str],
        begin: int,
        end: int,
        is_open: bool | None = None,
        limit: int = FILED_MAX,
    ) -> tuple[Found, ...]:
        """The cases of these services that were filed in the minutes [begin, end), open ones or not; newest first."""
        return await self._ask(lambda reading: reading.filed(services, begin, end, is_open, limit))

    async def queue(self, office: str, asked: Asked) -> Page:
        """The cases that an office (a stream's name) has, by deadline.

        Raises:
            LocalError: `asked.after` is no mark.
        """
        return await self._ask(lambda reading: reading.queue(office, asked, self.now_minute()))

    async def taken(self, facility: str, begin: int, end: int) -> dict[int, Taken]:
        """The slots of a facility that begin in the minutes [begin, end) and that somebody has asked for."""
        return await self._ask(lambda reading: reading.taken(facility, begin, end, self.now_minute()))

    async def changes(
        self, office: str = "", service: str = "", limit: int = CHANGES_MAX
    ) -> tuple[Change, ...]:
        """What happened last in public, the newest first; of an office or a service, if they are given."""
        return await self._ask(lambda reading: reading.changes(office, service, limit))

    async def statistics(self, months: tuple[str, str] = ("", "")) -> tuple[Tally, ...]:
        """Deadlines kept and missed, by service, office and month of filing (`2026-02`), as far as the log says.

        They are counted over all cases, so whoever asks in the same minute, with nothing new read, is told the same.
        """
        minute = self.now_minute()
        asked, known = (self._generation, minute, months), self._tallied
        if known is not None and known[0] == asked:
            return known[1]
        found = await self._ask(lambda reading: reading.statistics(minute, months))
        self._tallied = asked, found
        return found

    async def _ask(self, work: Callable[[Reading], T]) -> T:
        def asked(db: sqlite3.Connection) -> T:
            return work(Reading(db, self._catalogue.services, self.calendar))

        async with self._free:
            if not self._readers:
                raise StorageFailed("closed", "The index of cases is not open.")
            db = self._readers.popleft()
            try:
                return await trio.to_thread.run_sync(asked, db)
            except sqlite3.Error as error:
                raise self._failed(error) from error
            finally:
                self._readers.append(db)

    # ---- reading logs

    async def open(self) -> None:
        """Opens the file, and makes it anew if it is damaged, or of another release.

        Raises:
            StorageFailed: it cannot be written to.
        """
        try:
            await self._open()
        except sqlite3.Error as error:
            if self._failed(error).reason != "corrupt":
                await self.close()
                raise self._failed(error) from error
            await self._anew()

    async def _open(self) -> None:
        def opened() -> tuple[CaseBook, list[sqlite3.Connection], dict[str, int]]:
            book = CaseBook(self._path, self._catalogue.services, self.calendar)
            return book, [connect(self._path, reads_only=True) for _ in range(READERS)], book.sizes()

        self._book, readers, self._sizes = await trio.to_thread.run_sync(opened)
        self._readers.extend(readers)
        self._damaged = False
        await self._renew()

    async def _anew(self) -> None:
        log.warning("the index %s is damaged and is made anew from the logs", self._path)
        self.counters["made_anew"] += 1
        await self.close()
        await trio.to_thread.run_sync(_remove, self._path)
        try:
            await self._open()
        except sqlite3.Error as error:
            raise self._failed(error) from error

    async def close(self) -> None:
        """Lets go of the file, once nobody asks it any more."""
        with trio.CancelScope(shield=True):
            for _ in range(READERS):
                await self._free.acquire()
            while self._readers:
                self._readers.pop().close()
            for _ in range(READERS):
                self._free.release()
            async with self._writing:
                book, self._book = self._book, None
                self._sizes = {}
                if book is not None:
                    await trio.to_thread.run_sync(book.close)

    async def look(self) -> bool:
        """Takes the declarations as they are now, and makes the cases of those that have changed anew; whether any
        has. A file that was found damaged meanwhile is made anew."""
        if self._damaged:
            await self._anew()
        if self.catalogue is self._catalogue:
            return False
        self._catalogue = self.catalogue
        return await self._renew()

    async def _renew(self) -> bool:
        services = self._catalogue.services
        changed = await self._write(CaseBook.declare, services)
        for service in changed:
            after: tuple[int, int] | None = BEGINNING
            while after is not None:
                after = await self._write(CaseBook.renew, service, after)
        if changed:
            await self._write(CaseBook.renewed)
            self._tell()
        return bool(changed)

    async def advance(self, stream: str, checkpoint: Checkpoint, bundle: FetchBundle) -> bool:
        """Reads a log up to its checkpoint; whether it is read as far as that. `bundle` fetches a bundle's entries,
        by its number and how many entries the log has.

        What is published may be behind what was read (a copy): then nothing happens. If this is another log than was
        read before, it is forgotten, and the next call reads it from the beginning.
        """
        read = (await self._write(CaseBook.followed, stream)).read
        while read.end < checkpoint.size:
            number, skipped = divmod(read.end, TILE_WIDTH)
            entries = (await bundle(number, checkpoint.size))[skipped:]
            if not entries:
                raise StorageFailed(
                    "corrupt", f"Bundle {number} of {stream} is shorter than its checkpoint says."
                )
            read = await self._write(CaseBook.take, stream, read.end, entries)
            self._sizes[stream] = read.end
            self._count_dropped()
            self._tell()
            if read.end < checkpoint.size:
                await trio.sleep(REST_S)
        if read.end == checkpoint.size and read.root() != checkpoint.root:
            log.warning("%s is another log than was read, and is read anew", stream, extra={"stream": stream})
            self.counters["another_log"] += 1
            await self._write(CaseBook.forget, stream)
            self._sizes[stream] = 0
            self._tell()
            return False
        return True

    async def take_folder(self, stream: str, folder: PublishedLog) -> bool:
        """Reads what a folder on this machine publishes of a log, as `advance`."""
        note = await trio.to_thread.run_sync(folder.note, CHECKPOINT)
        if note is None:
            return False

        async def bundle(number: int, size: int) -> list[bytes]:
            return await trio.to_thread.run_sync(folder.bundle, number, size)

        return await self.advance(stream, Checkpoint.parse(note.text), bundle)

    async def _write(self, work: Callable[Concatenate[CaseBook, P], T], *args: P.args, **_: P.kwargs) -> T:
        async with self._writing:
            if self._book is None:
                raise StorageFailed("closed", "The index of cases is not open.")
            try:
                return await trio.to_thread.run_sync(work, self._book, *args)
            except sqlite3.Error as error:
                raise self._failed(error) from error

    def _count_dropped(self) -> None:
        """What the book has passed over since it was asked last."""
        book = self._book
        if book is not None:
            self.counters["strangers"] += book.strangers
            self.counters["strays"] += book.strays
            book.strangers = book.strays = 0

    def _tell(self) -> None:
        self._generation += 1
        self._grown.set()
        self._grown = trio.Event()

    def _failed(self, error: sqlite3.Error) -> StorageFailed:
        failed = failure(error, f"The index of cases {self._path}")
        if failed.reason == "corrupt":
            self._damaged = True
        return failed


def _remove(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True)
