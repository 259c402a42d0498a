"""The task that holds one log: it does what `LogHolder` says, in order, and brings back what came of it.

One step is under way at a time: store, coordination record, folder. What is filed meanwhile gathers for the next batch;
that is the group commit. Whoever files waits for the receipt, which is made when the checkpoint over the entry is
published, or for a refusal. A step that fails is told to the meter and to the machine, which knows what to do. The
task ends when the machine does (deposed, read-only); whatever waits then is told to ask elsewhere.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import trio

from p2pworld.civic.batch import plan_batch
from p2pworld.civic.heads import Heads, parse_record
from p2pworld.civic.kept import Clerk
from p2pworld.civic.log import MOVED, LogHolder, Stage
from p2pworld.civic.receipts import noted
from p2pworld.civic.steps import (
    Accept,
    Alarm,
    AskWitnesses,
    Commit,
    Committed,
    Cosigned,
    Failed,
    Fence,
    Fenced,
    HeadsRead,
    KeepWitnessed,
    Missed,
    Publish,
    Published,
    PutRecord,
    ReadHeads,
    RecordPut,
    Refuse,
    Republish,
)
from p2pworld.civic.transaction import TransactionType, parse_leaf
from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import CIVIC_READ_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import NoteSigner
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tiles import Edge
from shard_node.civic.folder import CHECKPOINT, WITNESSED, PublishedLog
from shard_node.civic.store import CivicStore, CommitUnknown, Row
from shard_node.coordination.interface import CoordinationDown, OutcomeUnknown, Records
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from p2pworld.civic.heads import Record
    from p2pworld.civic.steps import Effect, Result, Step
    from p2pworld.civic.transaction import Submission
    from p2pworld.merkle.note import Note
    from p2pworld.merkle.tiles import Written

__all__ = ["CivicHolder", "CivicMeter", "LogConfig", "Places", "Witnesses", "receipts_of"]

_LOOK_S: Final = 2.0  # how often the clock is looked at while something runs out within a minute
_LOOK_LATER_S: Final = 5.0  # or later: a machine that wakes, or is set right, may find its clock far ahead


class Witnesses(Protocol):
    """Whoever asks the witnesses of a log."""

    async def cosign(self, checkpoint: Note) -> Cosigned:
        """The cosignatures that come within a bounded time, verified; none at all is an answer too."""


class Attached(Protocol):
    """Whoever has what is attached to filings of a log."""

    async def unfit(self, submissions: Sequence[Submission]) -> Mapping[bytes, Refusal]:
        """Why those of these, by their fingerprints, cannot be entered that name something which is not there; within
        a bounded time."""

    def entered(
        self, submissions: Sequence[Submission], outcomes: Sequence[int | Refusal], erased: frozenset[int]
    ) -> None:
        """A batch is durable: what was filed, what became of each, and which entries were erased."""


class CivicMeter:
    """What the holder counts, for somebody to show; each call is told at once."""

    def began(self, holder: CivicHolder) -> None:
        """This holder is at work, and may be asked how it is."""

    def ended(self) -> None:
        """It is not any more."""

    def took(self, stage: str, seconds: float) -> None:
        """A stage (a step's name, `receipts` or `whole`: from filed to answered) took so long."""

    def batch(self, submissions: int, entries: int) -> None:
        """A batch is durable."""

    def failed(self, stage: str, reason: str) -> None:
        """A step did not happen, or nobody can tell."""

    def published(self, size: int) -> None:
        """A checkpoint of this size is to be seen."""

    def witnessed(self, size: int) -> None:
        """A checkpoint of this size has the signatures of enough witnesses."""

    def witness(self, name: str, outcome: str) -> None:
        """A witness has been asked: `signed`, or why not."""

    def alarm(self, refusal: Refusal) -> None:
        """The log is read-only from now on, and people must look."""


@dataclass(frozen=True, slots=True)
class LogConfig:
    """Which log it is: its stream's name, who signs its checkpoints, what may be filed, how many witnesses it needs,
    the keys of desks that may have any entry erased, as who filed it may, keys that signed it before, the gateways that
    are known, and who decides by the rows beside it."""

    stream: str
    signers: tuple[NoteSigner, ...]
    types: Mapping[str, TransactionType]
    quorum: int = 0
    desks: frozenset[bytes] = frozenset()
    other_keys: frozenset[bytes] = frozenset()
    gateways: frozenset[bytes] = frozenset()
    clerk: Clerk | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """Where a log is: its store, its record, the folder it is published in."""

    store: CivicStore
    records: Records
    folder: PublishedLog


@dataclass(slots=True)
class _Waiting:
    since_s: float
    told: Callable[[Receipt | Refusal], None]


class CivicHolder:
    """One epoch of one log; `run` it once. `now_minute` tells Unix time in minutes, `witnessed` is told of each
    checkpoint that enough witnesses have signed, once everybody can read it; `attached` knows what is attached."""

    def __init__(
        self,
        log: LogConfig,
        epoch: int,
        places: Places,
        now_minute: Callable[[], int],
        meter: CivicMeter | None = None,
        witnesses: Witnesses | None = None,
        witnessed: Callable[[Note], None] = lambda note: None,
        attached: Attached | None = None,
    ) -> None:
        self._log = log
        self._places = places
        self._now_minute = now_minute
        self._meter = meter or CivicMeter()
        self._witnesses = witnesses
        self._witnessed = witnessed
        self._attached = attached
        quorum = log.quorum if witnesses else 0
        self._machine = LogHolder(
            log.stream, epoch, log.signers, log.types, quorum, log.other_keys, log.gateways, log.clerk
        )
        self._effects: deque[Step | Accept | Alarm | AskWitnesses | KeepWitnessed] = deque()
        self._wake = trio.Event()
        self._requests = 0
        self._waiting: dict[int, _Waiting] = {}
        self._edges: dict[int, Edge] = {}  # at the sizes of the heads last read, to publish from
        self._ended = False
        self._epoch = epoch
        self._since: int | None = None  # the size at the first fence: what came later is of this epoch
        self._sound = 0  # up to this size, at the least, the folder has what the store's entries make
        self._signed = 0  # the size that witnesses had signed when the heads were read
        self._trouble: Exception | None = None

    @property
    def trouble(self) -> Exception | None:
        """What the last step failed with, to be said to whoever asks how it is; None if it succeeded."""
        return self._trouble

    @property
    def copies(self) -> int:
        """On how many disks an accepted entry is; 0 before anything was written."""
        return self._places.store.copies

    @property
    def stage(self) -> Stage:
        """What the holder is doing."""
        return self._machine.stage

    @property
    def size(self) -> int:
        """How many entries there are, as far as the holder knows."""
        return self._machine.size

    @property
    def due(self) -> int | None:
        """From which minute on there is something to settle."""
        return self._machine.due

    @property
    def queue(self) -> int:
        """How many submissions wait for a batch."""
        return self._machine.waiting

    def submit(self, submission: Submission, told: Callable[[Receipt | Refusal], None]) -> None:
        """File this; `told` is called once, now or later, with the receipt or with why there is none."""
        if self._ended:
            told(self._machine.closed or MOVED)
            return
        self._requests += 1
        self._waiting[self._requests] = _Waiting(time.perf_counter(), told)
        self._do(self._machine.submit(self._requests, submission, self._now_minute()))

    async def file(self, submission: Submission) -> Receipt | Refusal:
        """The receipt, once the submission is durable and published, or why there is none.

        Whoever stops waiting knows nothing, and may file the same again.
        """
        answers: list[Receipt | Refusal] = []
        answered = trio.Event()

        def told(answer: Receipt | Refusal) -> None:
            answers.append(answer)
            answered.set()

        self.submit(submission, told)
        await answered.wait()
        return answers[0]

    async def run(self) -> Stage:
        """Hold the log until somebody else does or people must look; the stage it ended in."""
        self._meter.began(self)
        try:
            async with trio.open_nursery() as nursery:
                self._do(self._machine.start())
                while self._effects or not self._machine.closed:
                    await self._next(nursery)
                nursery.cancel_scope.cancel()  # who asks witnesses for a log that is not ours any more
        finally:
            self._ended = True
            self._meter.ended()
            waiting, self._waiting = self._waiting, {}
            for one in waiting.values():
                one.told(self._machine.closed or MOVED)
        return self.stage

    def _do(self, effects: Sequence[Effect]) -> None:
        """Refusals are told at once; all else is done in order."""
        for effect in effects:
            if isinstance(effect, Refuse):
                self._answer(effect.request, effect.refusal)
            else:
                self._effects.append(effect)
        self._wake.set()

    async def _next(self, nursery: trio.Nursery) -> None:
        """Carries out the next effect, or waits until there is one."""
        if not self._effects:
            self._wake = trio.Event()
            deadline = self._machine.deadline
            at = float("inf") if deadline is None else deadline
            if (due := self._machine.due) is not None:
                soon = due <= self._now_minute() + 1
                at = min(at, trio.current_time() + (_LOOK_S if soon else _LOOK_LATER_S))
            with trio.move_on_at(at):
                await self._wake.wait()
            self._do(self._machine.tick(trio.current_time()))
            self._do(self._machine.clock(self._now_minute()))
            return
        match effect := self._effects.popleft():
            case Accept():
                await self._accept(effect)
            case Alarm(refusal):
                self._meter.alarm(refusal)
            case AskWitnesses(checkpoint):
                nursery.start_soon(self._ask, checkpoint)
            case KeepWitnessed(checkpoint, size):
                with self._told("KeepWitnessed"):
                    await trio.to_thread.run_sync(self._places.folder.show, WITNESSED, checkpoint)
                    self._meter.witnessed(size)
                    self._witnessed(checkpoint)
            case _:
                result = await self._carry_out(effect)
                self._do(self._machine.step(result, trio.current_time()))
                if isinstance(result, Published):
                    self._meter.published(self.size)
                    if isinstance(effect, Publish):
                        nursery.start_soon(self._prune, effect)  # nobody waits for it

    # ---- steps

    async def _carry_out(self, step: Step) -> Result:
        """The step's result; `Failed` if it did not happen or nobody can tell."""
        result: Result = Failed(step.ticket)
        with self._told(type(step).__name__):
            match step:
                case Fence(ticket, epoch):
                    row = await self._places.store.fence(self._log.stream, epoch)
                    result = Fenced(ticket, row.epoch, row.fences)
                case ReadHeads(ticket, seen):
                    result = HeadsRead(ticket, await self._heads(seen))
                case Commit():
                    result = await self._commit(step)
                case PutRecord():
                    result = await self._put_record(step)
                case Publish():
                    await trio.to_thread.run_sync(self._places.folder.publish, step.files, step.checkpoint)
                    result = Published(step.ticket)
                case Republish():
                    await self._republish(step)
                    result = Published(step.ticket)
        return result

    @contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """Tells the meter how long it took, and what failed of what may."""
        begun_s = time.perf_counter()
        try:
            yield
        except (CommitUnknown, OutcomeUnknown) as error:
            self._trouble = error
            self._meter.failed(name, "unknown")
        except (StorageFailed, CoordinationDown) as error:
            self._trouble = error
            self._meter.failed(name, error.reason)
        else:
            self._trouble = None
            self._meter.took(name, time.perf_counter() - begun_s)

    async def _commit(self, step: Commit) -> Committed | Missed:
        row, unfit = Row(step.epoch, step.fences, step.size), step.unfit
        if self._attached is not None:
            unfit = {**await self._attached.unfit(step.submissions), **(unfit or {})}
        decide = partial(
            plan_batch,
            desks=self._log.desks,
            late=step.late,
            clerk=self._log.clerk,
            minute=step.minute,
            unfit=unfit,
        )
        plan = await self._places.store.commit(self._log.stream, row, step.submissions, decide)
        if plan is None:
            return Missed(step.ticket)
        if step.submissions:
            self._meter.batch(len(step.submissions), len(plan.entries))
        if self._attached is not None:
            self._attached.entered(step.submissions, plan.outcomes, plan.erased)
        return Committed(step.ticket, plan.entries, plan.outcomes, plan.due)

    async def _put_record(self, step: PutRecord) -> RecordPut:
        before = step.before.to_bytes() if step.before else None
        name = self._log.signers[0].key.name
        found = await self._places.records.put_record(name, before, step.record.to_bytes())
        return RecordPut(step.ticket, _record(found))

    async def _prune(self, step: Publish) -> None:
        full = [file for file in step.files if file.tile.full]
        if full:
            await trio.to_thread.run_sync(self._places.folder.prune, full)

    async def _heads(self, seen: Sequence[Checkpoint]) -> Heads:
        """Everything the log is known by; the edge and the roots are made of the store's entries, read one and all."""
        places = self._places
        record = _record(await places.records.read_record(self._log.signers[0].key.name))
        published = _head(await trio.to_thread.run_sync(places.folder.note, CHECKPOINT))
        witnessed = _head(await trio.to_thread.run_sync(places.folder.note, WITNESSED))
        row = await places.store.row(self._log.stream)
        size = row.size if row else 0
        if self._since is None:
            self._since = size
        edge, self._edges = Edge(), {0: Edge()}
        heads = {head.size for head in (record, published, witnessed, *seen) if head}
        shown = self._sound = published.size if published else 0
        self._signed = witnessed.size if witnessed else 0

        def compare(before: Edge, files: list[Written]) -> None:
            if before.size < self._sound and not places.folder.has(files):
                self._sound, self._edges[before.size] = before.size, before

        for stop in sorted({size, *(head for head in heads if head <= size)}):
            edge = await self._grown(edge, stop, (shown, self._signed), compare)
            self._edges[stop] = edge
        if self._sound < shown:
            self._tell_damaged(shown)
        roots = {head: self._edges[head].root() for head in heads if head <= size}
        return Heads(edge, roots, record, published, witnessed)

    def _tell_damaged(self, shown: int) -> None:
        self._trouble = StorageFailed(
            "corrupt",
            f"The log's folder {self._places.folder.path} shows {shown} entries and lacks files from entry "
            f"{self._sound} on, or has others: they are made anew from the store. Find out who changed it.",
        )
        self._meter.failed("Folder", "corrupt")

    async def _republish(self, step: Republish) -> None:
        edge = self._edges[min(step.since, self._sound)]
        sizes = (min(self._signed, step.size), step.size)

        def write(before: Edge, files: list[Written]) -> None:
            self._places.folder.write(files)

        for stop in sizes:
            edge = await self._grown(edge, stop, sizes, write)
        await trio.to_thread.run_sync(self._places.folder.show, CHECKPOINT, step.checkpoint)

    async def _grown(
        self, edge: Edge, size: int, shown: Sequence[int], use: Callable[[Edge, list[Written]], None]
    ) -> Edge:
        """The edge after the store's entries up to `size`.

        `use` gets, in a thread, the edge before each piece of them, and the files that are new with it and that
        somebody needs who reads the log at one of the sizes `shown`.
        """
        # which may have got their last hash long before the last entry
        partial = {tile for each in shown for tile in Edge.needed(each)}
        while edge.size < size:
            end = min(size, edge.size + CIVIC_READ_MAX)
            entries = await self._places.store.entries(self._log.stream, edge.size, end)
            grown, files = await trio.to_thread.run_sync(edge.append, entries)
            wanted = [file for file in files if file.tile.full or file.tile in partial]
            await trio.to_thread.run_sync(use, edge, wanted)
            edge = grown
        return edge

    # ---- what is told

    async def _ask(self, checkpoint: Note) -> None:
        assert self._witnesses is not None
        cosigned = await self._witnesses.cosign(checkpoint)
        self._do(self._machine.cosigned(cosigned, trio.current_time()))

    async def _accept(self, first: Accept) -> None:
        """Answers this and all the acceptances right behind it: their proofs share most of their hashes."""
        accepts = [first]
        while self._effects and isinstance(self._effects[0], Accept):
            accept = self._effects.popleft()
            assert isinstance(accept, Accept)
            accepts.append(accept)
        wanted = [(accept.index, accept.checkpoint) for accept in accepts]
        receipts: Sequence[Receipt | Refusal] = ()
        with self._told("receipts"):
            receipts = await trio.to_thread.run_sync(self._receipts, wanted)
        if not receipts:
            receipts = [_UNPROVEN] * len(accepts)
            self._do(self._machine.unproven())
        for accept, receipt in zip(accepts, receipts, strict=True):
            self._answer(accept.request, receipt)

    def _receipts(self, wanted: Sequence[tuple[int, Note]]) -> list[Receipt]:
        return receipts_of(self._places.folder, wanted, self._epoch, self._since)

    def _answer(self, request: int, answer: Receipt | Refusal) -> None:
        waiting = self._waiting.pop(request, None)
        if waiting is not None:  # else the holder has ended, and everybody has been told
            self._meter.took("whole", time.perf_counter() - waiting.since_s)
            waiting.told(answer)


_UNPROVEN = Refusal("civic-unknown", "it is in the log, but its receipt cannot be made just now; ask again")


def receipts_of(
    folder: PublishedLog, wanted: Sequence[tuple[int, Note]], epoch: int = 0, since: int | None = None
) -> list[Receipt]:
    """The receipt of each entry under the checkpoint beside it, with the epoch in which it was taken.

    That is `epoch` for those from `since` on; for all others the log is read.

    Raises:
        StorageFailed: a file is missing or damaged.
    """
    made = []
    for receipt, (index, note) in zip(folder.receipts(wanted), wanted, strict=True):
        taken = epoch if since is not None and index >= since else _epoch_of(folder, index, note)
        made.append(noted(receipt, taken))
    return made


def _epoch_of(folder: PublishedLog, index: int, note: Note) -> int:
    try:
        return parse_leaf(folder.entry(index, Checkpoint.parse(note.text).size)).epoch
    except RemoteError as error:
        raise StorageFailed("corrupt", f"Entry {index} in {folder.path} is no leaf: {error}.") from error


def _head(note: Note | None) -> Checkpoint | None:
    return Checkpoint.parse(note.text) if note else None


def _record(data: bytes | None) -> Record | None:
    if data is None:
        return None
    try:
        return parse_record(data)
    except RemoteError as error:
        raise CoordinationDown("corrupt", f"the record of a civic log cannot be read: {error}") from error
