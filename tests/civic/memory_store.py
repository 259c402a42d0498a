"""The model of a civic store: dictionaries, and a transaction that is a function call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p2pworld.civic.batch import Known, named_entries
from p2pworld.civic.transaction import Sealed
from p2pworld.errors import LocalError
from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.store import Row
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.kept import Change
    from p2pworld.civic.transaction import Submission
    from shard_node.civic.store import Fault, MakePlan


class KeptInMemory:
    """The rows beside a log, and its entries, read from dictionaries."""

    def __init__(self, rows: Mapping[str, bytes], entries: Sequence[bytes] = ()) -> None:
        self._rows, self._entries = rows, entries

    def get(self, name: str) -> bytes | None:
        return self._rows.get(name)

    def under(self, prefix: str) -> list[tuple[str, bytes]]:
        return sorted((name, body) for name, body in self._rows.items() if name.startswith(prefix))

    def first(self, prefix: str, after: str = "") -> str | None:
        return min((name for name in self._rows if name.startswith(prefix) and name > after), default=None)

    def last(self, prefix: str, before: str) -> str | None:
        return max((name for name in self._rows if name.startswith(prefix) and name < before), default=None)

    def entry(self, index: int) -> bytes:
        return self._entries[index]


def change(rows: dict[str, bytes], changes: Sequence[Change]) -> None:
    """Does what a plan says, as a table with a primary key would; a test fails where that would fail."""
    for name, before, after in changes:
        assert rows.pop(name, None) == before, name
        if after is not None:
            rows[name] = after


@dataclass
class Stream:
    """All that is kept of one stream."""

    row: Row = field(default_factory=lambda: Row(0, 0, 0))
    entries: list[bytes] = field(default_factory=list)
    known: dict[bytes, Known] = field(default_factory=dict)
    sealed: dict[int, Sealed] = field(default_factory=dict)
    rows: dict[str, bytes] = field(default_factory=dict)


class MemoryStore:
    """A connection to `streams`, which outlive it."""

    def __init__(self, streams: dict[str, Stream]) -> None:
        self._streams = streams
        self._closed = False

    @property
    def copies(self) -> int:
        return 1

    def _there(self, stream: str) -> Stream:
        if self._closed:
            raise StorageFailed("closed", "closed")
        return self._streams.get(stream, Stream())

    async def fence(self, stream: str, epoch: int) -> Row:
        there = self._streams[stream] = self._there(stream)
        if there.row.epoch <= epoch:
            there.row = Row(epoch, there.row.fences + 1, there.row.size)
        return there.row

    async def row(self, stream: str) -> Row | None:
        return self._there(stream).row if stream in self._streams else None

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        if not 0 <= begin <= end <= begin + CIVIC_READ_MAX:
            raise LocalError("so many are not given")
        if end > self._there(stream).row.size:
            raise StorageFailed("behind", "there are fewer")
        return self._there(stream).entries[begin:end]

    async def commit(
        self, stream: str, row: Row, submissions: Sequence[Submission], plan: MakePlan
    ) -> Plan | None:
        there = self._there(stream)
        if there.row != row or stream not in self._streams:
            return None
        named = {index: there.entries[index] for index in named_entries(row.size, submissions)}
        kept = KeptInMemory(there.rows, there.entries)
        planned = plan(row.size, row.epoch, submissions, there.known, named, kept=kept)
        rows = dict(there.rows)
        change(rows, planned.rows)
        for submission in reversed(submissions):
            learned = planned.learned.get(submission.filing.key)
            if learned is None or learned.fingerprint != submission.fingerprint:
                continue  # another one under its key was taken
            if isinstance(learned.outcome, int) and submission.sealed:
                there.sealed[learned.outcome] = submission.sealed
        for index in planned.erased:
            there.sealed.pop(index, None)
        there.entries += planned.entries
        there.known |= planned.learned
        there.rows = rows
        there.row = Row(row.epoch, row.fences, len(there.entries))
        return planned

    async def kept(self, stream: str, prefix: str, most: int = CIVIC_READ_MAX) -> list[tuple[str, bytes]]:
        return KeptInMemory(self._there(stream).rows).under(prefix)[:most]

    async def sealed(self, stream: str, index: int) -> Sealed | None:
        return self._there(stream).sealed.get(index)

    async def check(self) -> list[Fault]:
        self._there("")
        return []

    async def close(self) -> None:
        self._closed = True
