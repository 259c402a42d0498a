"""The two stores of civic logs on a bad day: a SQLite file on a machine's disk, and a PostgreSQL server with a standby.

Both keep an immutable `Kept` for each stream and change it by whole transactions, planned by the real `plan_batch`. The
file's transactions are jobs of its machine's disk: lost or done when the process dies under way, refused while the disk
is full, undone by a disk that had lied. The server's travel: a request that never arrives, an answer that never comes,
a commit that arrives when its sender has long given it up. It waits for its synchronous standby before it says that
anything is durable, and when it dies the standby goes on with what it had been sent. Whoever was connected to the old
one stays so until it fails them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from p2pworld.civic.batch import Known, named_entries, plan_batch
from p2pworld.civic.steps import Commit, Committed, Fenced, Missed
from p2pworld.civic.transaction import Sealed

if TYPE_CHECKING:
    import random

    from p2pworld.civic.kept import Clerk
    from simulations.events import Agenda, Trace
    from simulations.storage import Disk, DiskOptions

__all__ = [
    "NOTHING",
    "Engine",
    "Kept",
    "Postgres",
    "PostgresOptions",
    "SqliteFile",
    "Volume",
    "commit",
    "fence",
]

T = TypeVar("T")
_UNDONE_MAX: Final = 8  # jobs: a disk that lies has so many of the last ones in its cache at most
_PAST_MAX: Final = 4_000  # states of a store that a backup may be of
_STORE: Final = "store"


@dataclass(frozen=True, slots=True)
class Kept:
    """All that a store holds of one stream."""

    epoch: int = 0
    fences: int = 0
    entries: tuple[bytes, ...] = ()
    known: Mapping[bytes, Known] = field(default_factory=lambda: MappingProxyType({}))
    sealed: Mapping[int, Sealed] = field(default_factory=lambda: MappingProxyType({}))
    rows: Mapping[str, bytes] = field(default_factory=lambda: MappingProxyType({}))

    # ---- as a clerk reads it (`p2pworld.civic.kept.Kept`)

    def get(self, name: str) -> bytes | None:
        """The row of this name."""
        return self.rows.get(name)

    def under(self, prefix: str) -> list[tuple[str, bytes]]:
        """All rows whose names begin so, in their order."""
        return sorted((name, body) for name, body in self.rows.items() if name.startswith(prefix))

    def first(self, prefix: str, after: str = "") -> str | None:
        """The first of the names that begin so and come after `after`."""
        return min((name for name in self.rows if name.startswith(prefix) and name > after), default=None)

    def last(self, prefix: str, before: str) -> str | None:
        """The last of the names that begin so and come before `before`."""
        return max((name for name in self.rows if name.startswith(prefix) and name < before), default=None)

    def entry(self, index: int) -> bytes:
        """An entry of the log."""
        return self.entries[index]


NOTHING: Final = Kept()


def fence(ticket: int, epoch: int) -> Callable[[Kept], tuple[Kept, Fenced]]:
    """The transaction of `Fence`."""

    def work(kept: Kept) -> tuple[Kept, Fenced]:
        if kept.epoch <= epoch:
            kept = replace(kept, epoch=epoch, fences=kept.fences + 1)
        return kept, Fenced(ticket, kept.epoch, kept.fences)

    return work


def commit(
    step: Commit, clerk: Clerk | None = None, *, fenced: bool = True, keyed: bool = True
) -> Callable[[Kept], tuple[Kept, Committed | Missed]]:
    """The transaction of `Commit`, in which `clerk` decides; `fenced`: it compares the stream's row first, and `keyed`:
    it finds a row where it believes one to be and nowhere else, as every store must."""

    def work(kept: Kept) -> tuple[Kept, Committed | Missed]:
        row = (kept.epoch, kept.fences, len(kept.entries))
        if fenced and row != (step.epoch, step.fences, step.size):
            return kept, Missed(step.ticket)
        named = {index: kept.entries[index] for index in named_entries(step.size, step.submissions)}
        plan = plan_batch(
            step.size,
            step.epoch,
            step.submissions,
            kept.known,
            named,
            late=step.late,
            kept=kept if keyed else NOTHING,
            clerk=clerk,
            minute=step.minute,
            unfit=step.unfit,
        )
        rows = dict(kept.rows)
        for name, before, after in plan.rows:
            assert not keyed or rows.get(name) == before, f"the row {name} is not as it was read"
            rows.pop(name, None)
            if after is not None:
                rows[name] = after
        sealed = dict(kept.sealed)
        for submission in step.submissions:
            learned = plan.learned.get(submission.filing.key)
            if learned is None or learned.fingerprint != submission.fingerprint:
                continue  # another one under its key was taken
            if isinstance(learned.outcome, int) and submission.sealed:
                sealed.setdefault(learned.outcome, submission.sealed)
        for index in plan.erased:
            sealed.pop(index, None)
        entries = kept.entries[: step.size] + plan.entries
        known = {**kept.known, **plan.learned}
        after_all = Kept(kept.epoch, kept.fences, entries, known, sealed, rows)
        return after_all, Committed(step.ticket, plan.entries, plan.outcomes, plan.due)

    return work


class Engine(Protocol):
    """A store, as the machines that use it see it. What is told is None if it failed, or nobody can tell."""

    def transact(
        self, host: int, stream: str, work: Callable[[Kept], tuple[Kept, T]], done: Callable[[T | None], None]
    ) -> None:
        """One durable transaction."""

    def read(self, host: int, stream: str, done: Callable[[Kept | None], None]) -> None:
        """What is kept of a stream."""

    def now(self, stream: str) -> Kept:
        """What is kept of it in truth, for those who inspect."""

    def restore(self, stream: str, time_s: float) -> bool:
        """Put a backup of that time in the place of the store; whether there is any that differs."""


# ---------------------------------------------------------------------------------------------------------- a disk


@dataclass(slots=True)
class _Job:
    parts: Callable[[], list[Mapping[Any, Any]]]
    done: Callable[[bool], None]


class Volume:
    """What lies on one machine's disk of its civic logs: the SQLite file's streams, and the files it publishes.

    Jobs become durable in their order, each all at once or, if it has several parts, part after part.
    """

    def __init__(
        self, disk: Disk, options: DiskOptions, agenda: Agenda, dice: random.Random, trace: Trace
    ) -> None:
        self.kept: dict[Any, Any] = {}
        self.on_change: Callable[[Any, Any], None] = lambda key, value: None
        self._disk, self._options, self._agenda, self._dice, self._trace = disk, options, agenda, dice, trace
        self._jobs: list[_Job] = []
        self._before: deque[dict[Any, Any]] = deque(maxlen=_UNDONE_MAX)

    def write(self, parts: Callable[[], list[Mapping[Any, Any]]], done: Callable[[bool], None]) -> None:
        """Write what `parts` gives when its time has come; `done` is told whether it is durable."""
        job = _Job(parts, done)
        self._jobs.append(job)
        took_s = (self._options.write_s + self._dice.random() * self._options.jitter_s) * self._disk.slow
        self._agenda.after(took_s, lambda: self._end(job))

    def crash(self) -> None:
        """The process died: of what was under way each job is done, or not, or some of its parts are."""
        jobs, self._jobs = self._jobs, []
        for job in jobs:
            if self._disk.full:
                return
            parts = job.parts()
            if len(parts) > 1:
                parts = parts[: self._dice.randrange(len(parts) + 1)]
            elif self._dice.random() >= self._options.done_in_crash:
                parts = []
            self._apply(parts)

    def lose(self) -> None:
        """The disk is lost with everything on it."""
        self._before.clear()
        self._put(dict.fromkeys(self.kept))

    def lose_last(self, jobs: int) -> int:
        """The disk turns out not to have what it called durable last; how many jobs those were."""
        lost = min(jobs, len(self._before))
        for _ in range(lost):
            self._put(self._before.pop())
        return lost

    def put_back(self, key: Any, value: Any) -> None:
        """An operator puts something in its place."""
        self._before.clear()
        self._put({key: value})

    def _end(self, job: _Job) -> None:
        if job not in self._jobs:
            return
        self._jobs.remove(job)
        if not self._disk.full:
            self._apply(job.parts())
        job.done(not self._disk.full)

    def _apply(self, parts: list[Mapping[Any, Any]]) -> None:
        if parts:
            changes = {key: value for part in parts for key, value in part.items()}
            self._before.append({key: self.kept.get(key) for key in changes})
            self._put(changes)

    def _put(self, changes: Mapping[Any, Any]) -> None:
        for key, value in changes.items():
            if value is None:
                self.kept.pop(key, None)
            else:
                self.kept[key] = value
            self._trace.add(self._agenda.now_s, b"V", self._disk.name.encode(), str(key).encode())
            self.on_change(key, value)


class SqliteFile:
    """The streams in one file on a volume; one machine has it."""

    def __init__(self, volume: Volume, agenda: Agenda) -> None:
        self._volume, self._agenda = volume, agenda
        self._past: deque[tuple[float, str, Kept]] = deque(maxlen=_PAST_MAX)

    def transact(
        self, host: int, stream: str, work: Callable[[Kept], tuple[Kept, T]], done: Callable[[T | None], None]
    ) -> None:
        """See `Engine.transact`."""
        told: list[T] = []

        def parts() -> list[Mapping[Any, Any]]:
            before = self.now(stream)
            after, result = work(before)
            told.append(result)
            if after is before or after == before:
                return []
            self._past.append((self._agenda.now_s, stream, after))
            return [{(_STORE, stream): after}]

        self._volume.write(parts, lambda durable: done(told[0] if durable else None))

    def read(self, host: int, stream: str, done: Callable[[Kept | None], None]) -> None:
        """See `Engine.read`."""
        self._agenda.after(0.0, lambda: done(self.now(stream)))

    def now(self, stream: str) -> Kept:
        """See `Engine.now`."""
        kept: Kept = self._volume.kept.get((_STORE, stream), NOTHING)
        return kept

    def restore(self, stream: str, time_s: float) -> bool:
        """See `Engine.restore`."""
        found = _as_of(self._past, stream, time_s)
        if found.entries == self.now(stream).entries:
            return False
        self._volume.put_back((_STORE, stream), found)
        return True


def _as_of(past: deque[tuple[float, str, Kept]], stream: str, time_s: float) -> Kept:
    earlier = (kept for at_s, name, kept in reversed(past) if name == stream and at_s <= time_s)
    return next(earlier, NOTHING)


# ---------------------------------------------------------------------------------------------------------- a server


@dataclass(frozen=True, slots=True)
class PostgresOptions:
    """How long a request and its answer travel, and how long a caller waits."""

    delay_s: float = 0.001
    jitter_s: float = 0.004
    patience_s: float = 0.8


class _Server:
    """One server: its streams, and those whose commits wait for the standby."""

    def __init__(self, streams: dict[str, Kept]) -> None:
        self.streams = streams
        self.waiting: list[Callable[[], None]] = []


class Postgres:
    """The server that all machines share, and its synchronous standby."""

    def __init__(self, options: PostgresOptions, agenda: Agenda, dice: random.Random, trace: Trace) -> None:
        self.outages = 0  # as long as there is any, nothing arrives
        self.cut: set[int] = set()  # machines that cannot reach it
        self.late_s: deque[float] = deque()  # the next transactions arrive so much later
        self.answers_to_lose = 0  # of the transactions to come
        self.on_change: Callable[[Any, Any], None] = lambda key, value: None
        self._options, self._agenda, self._dice, self._trace = options, agenda, dice, trace
        self._primary = _Server({})
        self._standby: dict[str, Kept] | None = {}  # None: away
        self._routes: dict[int, _Server] = {}
        self._durable: dict[str, Kept] = {}  # what is on both servers, or was when there were two
        self._past: deque[tuple[float, str, Kept]] = deque(maxlen=_PAST_MAX)

    @property
    def guarded(self) -> bool:
        """Whether the standby is there."""
        return self._standby is not None

    def lose_standby(self) -> None:
        """The standby dies: from now on commits wait."""
        self._standby = None

    def find_standby(self) -> None:
        """There is one again, and it is sent all that it lacks; whoever has waited is told."""
        server = self._primary
        self._standby = dict(server.streams)
        for stream, kept in server.streams.items():
            self._tell(stream, kept)
        waiting, server.waiting = server.waiting, []
        for ack in waiting:
            ack()

    def promote(self, *, killed: bool) -> None:
        """The standby goes on alone; who is connected to the old server keeps it, unless that was `killed`."""
        assert self._standby is not None
        self._primary, self._standby = _Server(self._standby), None
        if killed:
            self._routes.clear()

    def transact(
        self, host: int, stream: str, work: Callable[[Kept], tuple[Kept, T]], done: Callable[[T | None], None]
    ) -> None:
        """See `Engine.transact`."""
        answer = _Once(done)
        self._agenda.after(self._options.patience_s, lambda: self._give_up(host, answer))
        if not self._reaches(host):
            return
        server = self._routes.setdefault(host, self._primary)
        late_s = self.late_s.popleft() if self.late_s else 0.0

        def arrive() -> None:
            if not self._reaches(host):
                return
            kept, result = work(server.streams.get(stream, NOTHING))
            server.streams[stream] = kept
            lost = self.answers_to_lose > 0
            self.answers_to_lose -= lost

            def ack() -> None:
                if not lost:
                    self._agenda.after(self._way_s(), lambda: self._answer(host, answer, result))

            if server is self._primary and self._standby is not None:
                self._standby[stream] = kept
                self._tell(stream, kept)
                ack()
            else:
                server.waiting.append(ack)

        self._agenda.after(late_s + self._way_s(), arrive)

    def read(self, host: int, stream: str, done: Callable[[Kept | None], None]) -> None:
        """See `Engine.read`."""
        answer = _Once(done)
        self._agenda.after(self._options.patience_s, lambda: self._give_up(host, answer))
        if not self._reaches(host):
            return
        server = self._routes.setdefault(host, self._primary)

        def arrive() -> None:
            if self._reaches(host) and self._routes.get(host) is server:
                kept = server.streams.get(stream, NOTHING)
                self._agenda.after(self._way_s(), lambda: self._answer(host, answer, kept))

        self._agenda.after(self._way_s(), arrive)

    def now(self, stream: str) -> Kept:
        """See `Engine.now`: what is durable, whichever server dies."""
        return self._durable.get(stream, NOTHING)

    def restore(self, stream: str, time_s: float) -> bool:
        """See `Engine.restore`."""
        found = _as_of(self._past, stream, time_s)
        if found.entries == self._primary.streams.get(stream, NOTHING).entries:
            return False
        self._primary = _Server({**self._primary.streams, stream: found})
        if self._standby is not None:
            self._standby = dict(self._primary.streams)
        self._routes.clear()
        self._tell(stream, found)
        return True

    def _reaches(self, host: int) -> bool:
        return not self.outages and host not in self.cut

    def _way_s(self) -> float:
        return self._options.delay_s + self._dice.random() * self._options.jitter_s

    def _answer(self, host: int, answer: _Once[T], result: T) -> None:
        if self._reaches(host):
            answer(result)

    def _give_up(self, host: int, answer: _Once[T]) -> None:
        if answer.open:
            self._routes.pop(host, None)  # a connection of which nobody knows what it does is not used again
            answer(None)

    def _tell(self, stream: str, kept: Kept) -> None:
        self._durable[stream] = kept
        self._past.append((self._agenda.now_s, stream, kept))
        said = b"%d %d %d" % (kept.epoch, kept.fences, len(kept.entries))
        self._trace.add(self._agenda.now_s, b"G", stream.encode(), said)
        self.on_change((_STORE, stream), kept)


class _Once(Generic[T]):
    """An answer that is given once: the result, or None when the caller gives up."""

    def __init__(self, done: Callable[[T | None], None]) -> None:
        self._done = done
        self.open = True

    def __call__(self, result: T | None) -> None:
        if self.open:
            self.open = False
            self._done(result)
