"""A process that holds a log for one epoch: it does what `LogHolder` says, in order, and tells what came of it.

The twin of `shard_node.civic.holder` on virtual time. One step is under way at a time; refusals are told at once; the
receipts of a batch are made of the published tiles; witnesses are asked beside. Between any two effects, and inside any
step, the process may die: `Around.point` is told of each such point.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from p2pworld.civic.heads import Heads, parse_record
from p2pworld.civic.log import MOVED, LogHolder, Stage
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
from p2pworld.errors import Refusal
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import NoteSigner
from p2pworld.merkle.tiles import Edge
from simulations.civic.engines import commit, fence
from simulations.civic.folder import CHECKPOINT, WITNESSED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.civic.heads import Record
    from p2pworld.civic.kept import Clerk
    from p2pworld.civic.steps import Effect, Result, Step
    from p2pworld.civic.transaction import Submission, TransactionType
    from p2pworld.crypto.keys import Signer
    from p2pworld.merkle.note import Note, NoteSignature
    from p2pworld.messages import Instant
    from simulations.civic.engines import Engine, Kept
    from simulations.civic.folder import Folder
    from simulations.civic.records import Found, Records
    from simulations.civic.witnesses import Witnesses
    from simulations.events import Agenda

__all__ = ["UNPROVEN", "Around", "Host", "Keeper", "Log", "Places", "Told"]

T = TypeVar("T")
_LOOK_S: Final = 1.0

Told = Callable[
    [bytes | Refusal, bool], None
]  # a receipt or why there is none; whether another one may follow
UNPROVEN = Refusal("civic-unknown", "it is in the log, but its receipt cannot be made just now; ask again")


class Log(NamedTuple):
    """One log: its stream, what it is called in its checkpoints and who signs them, what may be filed, its quorum, and
    who decides in it, if anybody does."""

    stream: str
    origin: str
    signer: Signer
    types: Mapping[str, TransactionType]
    quorum: int
    clerk: Clerk | None = None


class Places(NamedTuple):
    """Where a log is, as one machine reaches it."""

    engine: Engine
    records: Records
    folder: Folder
    witnesses: Witnesses


class Host(Protocol):
    """The process that a keeper runs in."""

    number: int
    name: str
    alive: bool
    paused: bool

    def do(self, what: Callable[[], None]) -> None: ...

    def now(self) -> Instant: ...


class Around(Protocol):
    """The run that a keeper is in."""

    agenda: Agenda
    fenced: bool  # the stores compare a stream's row before they write
    keyed: bool  # and find a row beside a log where it is, and nowhere else

    def point(self, keeper: Keeper, where: str, what: str) -> None: ...

    def signed(self, keeper: Keeper, text: str) -> None: ...

    def alarm(self, keeper: Keeper, refusal: Refusal) -> None: ...


class _Watched(NoteSigner):
    """The log's signer, of which all that it signs is seen."""

    __slots__ = ("_seen",)

    def __init__(self, log: Log, seen: Callable[[str], None]) -> None:
        super().__init__(log.origin, log.signer)
        self._seen = seen

    def sign(self, text: str, time_s: int = 0) -> NoteSignature:
        self._seen(text)
        return super().sign(text, time_s)


class Keeper:
    """One epoch of one log in one process. `begin` it once."""

    def __init__(self, log: Log, epoch: int, places: Places, host: Host, around: Around) -> None:
        self.log, self.epoch, self.host = log, epoch, host
        self._places, self._around = places, around
        signer = _Watched(log, lambda text: around.signed(self, text))
        self._machine = LogHolder(log.stream, epoch, (signer,), log.types, log.quorum, clerk=log.clerk)
        self._looks = False  # at the clock, because something will run out
        self._effects: deque[Effect] = deque()
        self._busy = False
        self._stopped = False
        self._ticks_at: float | None = None
        self._requests = 0
        self._waiting: dict[int, Told] = {}
        self._accepted: list[tuple[int, Told]] = []  # answered once, and again when witnesses have signed
        self._edges: dict[int, Edge] = {}

    @property
    def stage(self) -> Stage:
        """What it is doing."""
        return self._machine.stage

    @property
    def unanswered(self) -> int:
        """How many requests wait for their answer."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether it still does anything."""
        return self.host.alive and not self._stopped

    @property
    def name(self) -> str:
        """How the story names it."""
        return f"{self.host.name}, who keeps {self.log.stream} in epoch {self.epoch}"

    def begin(self) -> None:
        """The first step."""
        self._do(self._machine.start())

    def stop(self) -> None:
        """It is cancelled, wherever it is: a step under way may still be done. Who waits is told to ask elsewhere."""
        self._stopped = True
        waiting, self._waiting, self._accepted = self._waiting, {}, []
        for told in waiting.values():
            told(self._machine.closed or MOVED, False)

    def file(self, submission: Submission, told: Told) -> None:
        """`told` is called with the receipt, once it is durable and published, or with why there is none.

        Where witnesses are asked, it may be called once more, with the receipt that they have signed.
        """
        if self._stopped:
            told(self._machine.closed or MOVED, False)
            return
        self._requests += 1
        self._waiting[self._requests] = told
        self._do(self._machine.submit(self._requests, submission, self._minute()))

    # ---- effect after effect

    def _now_s(self) -> float:
        return self.host.now().boot_s

    def _do(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Refuse):
                self._answer(effect.request, effect.refusal)
            else:
                self._effects.append(effect)
        self._next()

    def _next(self) -> None:
        while self.alive and not self._busy and self._effects:
            effect = self._effects.popleft()
            self._around.point(self, "before", type(effect).__name__)
            if self.host.paused:
                self._effects.appendleft(effect)
                self.host.do(self._next)
            if self.host.paused or not self.alive:
                return
            match effect:
                case Accept():
                    self._accept(effect)
                case Alarm(refusal):
                    self._around.alarm(self, refusal)
                case AskWitnesses(checkpoint):
                    self._ask(checkpoint)
                case KeepWitnessed(checkpoint):
                    self._begin_step(type(effect).__name__)
                    self._places.folder.show(WITNESSED, checkpoint, self._then(self._witnessed(effect)))
                case Fence() | ReadHeads() | Commit() | PutRecord() | Publish() | Republish():
                    self._begin_step(type(effect).__name__)
                    self._carry_out(effect)
        self._plan_tick()

    def _begin_step(self, name: str) -> None:
        self._busy = True
        self._around.point(self, "inside", name)

    def _then(self, then: Callable[[T], None]) -> Callable[[T], None]:
        """What a step's end is told to: if this process still lives, when it runs."""

        def told(result: T) -> None:
            def go_on() -> None:
                if self.alive:
                    self._busy = False
                    then(result)
                    self._next()

            self.host.do(go_on)

        return told

    def _minute(self) -> int:
        return self.host.now().wall_ms // 60_000

    def _look(self) -> None:
        if self.alive:
            self._looks = False
            self._do(self._machine.clock(self._minute()))

    def _plan_tick(self) -> None:
        if self._machine.due is not None and not self._looks and self.alive:
            self._looks = True
            self._around.agenda.after(_LOOK_S, lambda: self.host.do(self._look))
        deadline = self._machine.deadline
        if deadline is None or deadline == self._ticks_at or not self.alive:
            return
        self._ticks_at = deadline
        self._around.agenda.after(max(0.0, deadline - self._now_s()), lambda: self.host.do(self._tick))

    def _tick(self) -> None:
        if self.alive:
            self._ticks_at = None
            self._do(self._machine.tick(self._now_s()))

    # ---- steps

    def _told(self, ticket: int, result: Result | None) -> None:
        self._around.point(self, "after", type(result).__name__ if result else Failed.__name__)
        self.host.do(partial(self._hear, ticket, result))

    def _hear(self, ticket: int, result: Result | None) -> None:
        if self.alive:
            self._do(self._machine.step(result or Failed(ticket), self._now_s()))

    def _carry_out(self, step: Step) -> None:
        place, host, stream, ticket = self._places, self.host.number, self.log.stream, step.ticket
        match step:
            case Fence():
                fenced: Callable[[Fenced | None], None] = self._then(partial(self._told, ticket))
                place.engine.transact(host, stream, fence(ticket, step.epoch), fenced)
            case Commit():
                committed: Callable[[Committed | Missed | None], None] = self._then(
                    partial(self._told, ticket)
                )
                around = self._around
                work = commit(step, self.log.clerk, fenced=around.fenced, keyed=around.keyed)
                place.engine.transact(host, stream, work, committed)
            case PutRecord():
                before = step.before.to_bytes() if step.before else None
                put = self._then(partial(self._record_put, ticket))
                place.records.put(host, self.log.origin, before, step.record.to_bytes(), put)
            case ReadHeads():
                self._read_heads(step)
            case Publish():
                told = self._then(partial(self._published, ticket))
                place.folder.publish(step.files, step.checkpoint, told)
            case Republish():
                self._republish(step)

    def _record_put(self, ticket: int, found: Found | None) -> None:
        self._told(ticket, RecordPut(ticket, _record(found.record)) if found else None)

    def _published(self, ticket: int, durable: bool) -> None:
        self._told(ticket, Published(ticket) if durable else None)

    def _heads_read(self, step: ReadHeads, record: bytes | None, kept: Kept | None) -> None:
        self._told(step.ticket, self._heads(step, record, kept) if kept else None)

    def _read_heads(self, step: ReadHeads) -> None:
        """The record first, the store last: so what is read of them may lie apart, and is never the wrong way round."""
        place, ticket = self._places, step.ticket

        def recorded(found: Found | None) -> None:
            if found is None:
                self._told(ticket, None)
                return
            self._busy = True
            read = self._then(partial(self._heads_read, step, found.record))
            place.engine.read(self.host.number, self.log.stream, read)

        place.records.read(self.host.number, self.log.origin, self._then(recorded))

    def _heads(self, step: ReadHeads, data: bytes | None, kept: Kept) -> HeadsRead:
        record = parse_record(data) if data else None
        published, witnessed = (_head(self._places.folder.note(name)) for name in (CHECKPOINT, WITNESSED))
        heads = {head.size for head in (record, published, witnessed, *step.seen) if head}
        size, edge = len(kept.entries), Edge()
        self._edges = {0: edge}
        for stop in sorted({size, *(head for head in heads if head <= size)}):
            edge = edge.append(kept.entries[edge.size : stop])[0]
            self._edges[stop] = edge
        roots = {head: self._edges[head].root() for head in heads if head <= size}
        return HeadsRead(step.ticket, Heads(edge, roots, record, published, witnessed))

    def _republish(self, step: Republish) -> None:
        place, ticket = self._places, step.ticket

        def read(kept: Kept | None) -> None:
            if kept is None or len(kept.entries) < step.size:
                self._told(ticket, None)
                return
            self._busy = True
            files = self._edges[step.since].append(kept.entries[step.since : step.size])[1]
            told = self._then(partial(self._published, ticket))
            place.folder.publish(files, step.checkpoint, told)

        place.engine.read(self.host.number, self.log.stream, self._then(read))

    # ---- what is told

    def _ask(self, checkpoint: Note) -> None:
        now_s = self.host.now().wall_ms // 1_000

        def cosigned(result: Cosigned) -> None:
            if self.alive:
                self._do(self._machine.cosigned(result, self._now_s()))

        def told(result: Cosigned) -> None:
            self.host.do(lambda: cosigned(result))

        self._places.witnesses.ask(checkpoint, self._places.folder, now_s, told)

    def _accept(self, first: Accept) -> None:
        """Answers this and all the acceptances right behind it."""
        accepts = [first]
        while self._effects and isinstance(self._effects[0], Accept):
            accept = self._effects.popleft()
            assert isinstance(accept, Accept)
            accepts.append(accept)
        wanted = [(accept.index, accept.checkpoint) for accept in accepts]
        made = self._places.folder.receipts(wanted)
        for place, accept in enumerate(accepts):
            told = self._waiting.get(accept.request)
            if made is not None and told is not None and self.log.quorum:
                self._accepted.append((accept.index, told))
            self._answer(accept.request, UNPROVEN if made is None else made[place].to_bytes())

    def _witnessed(self, keep: KeepWitnessed) -> Callable[[bool], None]:
        """Once it can be read, whoever was accepted below its size is given the receipt under it."""

        def tell(durable: bool) -> None:
            covered = [one for one in self._accepted if one[0] < keep.size]
            made = self._places.folder.receipts([(index, keep.checkpoint) for index, _ in covered])
            if not durable or made is None:
                return
            self._accepted = [one for one in self._accepted if one[0] >= keep.size]
            for receipt, (_, told) in zip(made, covered, strict=True):
                told(receipt.to_bytes(), False)

        return tell

    def _answer(self, request: int, answer: bytes | Refusal) -> None:
        told = self._waiting.pop(request, None)
        if told is not None:
            told(answer, isinstance(answer, bytes) and self.log.quorum > 0)


def _record(data: bytes | None) -> Record | None:
    return parse_record(data) if data else None


def _head(note: Note | None) -> Checkpoint | None:
    return Checkpoint.parse(note.text) if note else None
