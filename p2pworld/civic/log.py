"""The holder of one log, without I/O: what it does next, in which order, and what it answers.

    FENCING -> READING -> RECORDING -> PUBLISHING -> IDLE -> COMMITTING -> RECORDING -> PUBLISHING -> IDLE ...

The holder of an epoch first fences the store, so that nobody of an older epoch, and no transaction of its own whose
outcome it does not know, can still get through; then it reads. While one batch is on its way the next one gathers.
Accepted is said only when the entry is in the store, the size and root are in the record of the coordination store, and
the checkpoint is published: so no two checkpoints that differ are ever signed for one size, and whatever crashes where,
an accepted entry is there. What it cannot be sure of it does not answer; whoever asks again gets the same answer, from
this holder or the next.

Where a clerk decides by rows beside the log, what runs out by the clock is settled in the same way: by a batch in which
nobody has filed anything, once its minute has come.

A step that failed is tried again after a while. Nobody is kept waiting for long by what goes on failing: who waits is
told that it is not known what became of it, and whoever comes is sent away, until all steps succeed again. Somebody
with a newer epoch ends the holder (DEPOSED). What cannot come from a crash ends it loudly (READ_ONLY): see
`heads.compare`.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.civic.erasure import check_erasure
from p2pworld.civic.heads import Record, compare
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
from p2pworld.civic.transaction import Submission, check_submission, is_of_now
from p2pworld.errors import Refusal
from p2pworld.limits import (
    ASK_WITNESS_AGAIN_S,
    CIVIC_BATCH_MAX,
    CIVIC_PATIENCE_S,
    CIVIC_QUEUE_MAX,
    CIVIC_RETRY_S,
)
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.tiles import Edge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from p2pworld.civic.heads import Heads
    from p2pworld.civic.kept import Clerk
    from p2pworld.civic.steps import Effect, Result, Step
    from p2pworld.civic.transaction import TransactionType
    from p2pworld.merkle.note import NoteSigner
    from p2pworld.merkle.tiles import Written

__all__ = ["MOVED", "LogHolder", "Stage"]

MOVED: Final = Refusal("civic-moved", "another node holds this log now")
_BUSY: Final = Refusal("civic-busy", "too many are waiting for this log; try again in a moment")
_DOWN: Final = Refusal(
    "civic-down", "what keeps this log does not answer; nothing was entered, try again in a moment"
)
_UNKNOWN: Final = Refusal(
    "civic-unknown",
    "what keeps this log does not answer, so it is not known whether this was entered; ask again",
)
_FOREIGN_KEY: Final = Refusal(
    "log-key",
    "this log was signed with another key than this node has: put the right file into civic.key_file, or if the key "
    "was changed, the other public key into civic.other_keys",
)
_READ_ONLY: Final = Refusal("civic-read-only", "this log takes nothing until it has been looked at")


class Stage(enum.Enum):
    """What the holder is waiting for."""

    NEW = "new"
    FENCING = "fencing"
    READING = "reading"
    IDLE = "idle"
    COMMITTING = "committing"
    RECORDING = "recording"
    PUBLISHING = "publishing"
    DEPOSED = "deposed"
    READ_ONLY = "read-only"


class _Filed(NamedTuple):
    """A request that waits, and whether its clock says that it can only be a retry, or the clerk why it may be none."""

    request: int
    submission: Submission
    late: bool
    unfit: Refusal | None = None


class LogHolder:
    """One epoch of one log. Each method returns what is to be done now, in this order."""

    def __init__(
        self,
        stream: str,
        epoch: int,
        signers: Sequence[NoteSigner],
        types: Mapping[str, TransactionType],
        quorum: int = 0,
        former: frozenset[bytes] = frozenset(),
        gateways: frozenset[bytes] = frozenset(),
        clerk: Clerk | None = None,
    ) -> None:
        self.stage = Stage.NEW
        self._stream = stream
        self._epoch = epoch
        self._signers = tuple(signers)
        self._origin = self._signers[0].key.name
        self._key = self._signers[0].key.public
        self._keys = former | {signer.key.public for signer in self._signers}  # that it may have signed with
        self._types, self._gateways, self._clerk = types, gateways, clerk
        self._minute = 0  # as far as anybody has told
        self._due: int | None = None if clerk is None else 0  # when something runs out; 0: who knows
        self._quorum = quorum  # of witnesses; 0: none are asked
        self._ticket = 0
        self._step: Step | None = None  # the one under way
        self._again_at: float | None = None  # when it is tried again, if it failed
        self._patience_at: float | None = None  # when who waits is told, if nothing has succeeded till then
        self._down = False  # they have been told
        self._fences = 0
        self._edge = Edge()
        self._record: Record | None = None
        self._since = 0  # the size that was published when the heads were read
        self._files: tuple[Written, ...] | None = (
            None  # of the batch under way; None: they are made from the store
        )
        self._waiting: deque[_Filed] = deque()
        self._batch: list[_Filed] = []
        self._outcomes: tuple[int | Refusal, ...] = ()
        self._shown: Note | None = None  # the checkpoint last published
        self._asked: Note | None = None  # the one that witnesses are at
        self._ask_at: float | None = None  # when they are asked again, if they were too few
        self._seen: tuple[Checkpoint, ...] = ()  # what they have shown that does not fit, to be compared

    @property
    def size(self) -> int:
        """How many entries there are, as far as the holder knows."""
        return self._edge.size

    @property
    def waiting(self) -> int:
        """How many submissions are in no batch yet."""
        return len(self._waiting)

    @property
    def deadline(self) -> float | None:
        """When `tick` is to be called at the latest."""
        patience_at = None if self._down else self._patience_at
        return min((at for at in (self._again_at, self._ask_at, patience_at) if at is not None), default=None)

    @property
    def due(self) -> int | None:
        """From which minute on `clock` has something to settle; None: nothing, until something more is entered."""
        return self._due

    @property
    def closed(self) -> Refusal | None:
        """Why nothing is taken any more, or None."""
        return {Stage.DEPOSED: MOVED, Stage.READ_ONLY: _READ_ONLY}.get(self.stage)

    # ---- what comes from outside

    def start(self) -> list[Effect]:
        """The first step of the epoch."""
        assert self.stage is Stage.NEW
        return self._fence()

    def submit(self, request: int, submission: Submission, now_minute: int) -> list[Effect]:
        """A request, to be answered by `Accept` or `Refuse`, now or later."""
        self._minute = now_minute
        refusal = (
            self.closed
            or check_submission(submission, self._stream, self._types, self._gateways)
            or check_erasure(submission.filing)
        )
        if refusal is None and len(self._waiting) >= CIVIC_QUEUE_MAX:
            refusal = _BUSY
        if refusal is None and self._down:
            refusal = _DOWN
        if refusal:
            return [Refuse(request, refusal)]
        late = not is_of_now(submission.filing, now_minute)
        unfit = self._clerk.check(submission, now_minute) if self._clerk else None
        self._waiting.append(_Filed(request, submission, late, unfit))
        return self._next_batch()

    def clock(self, now_minute: int) -> list[Effect]:
        """Settles what has run out by this minute."""
        self._minute = now_minute
        return self._next_batch()

    def tick(self, now: float) -> list[Effect]:
        """Tries again what failed, asks witnesses again, and lets nobody wait longer, once the time has come."""
        effects: list[Effect] = []
        if self._patience_at is not None and not self._down and now >= self._patience_at:
            effects += self._give_up()
        if self._again_at is not None and now >= self._again_at and self._step:
            effects += self._take(replace(self._step, ticket=self._ticket + 1), self.stage)
        if self._ask_at is not None and now >= self._ask_at:
            effects += self._ask_witnesses()
        return effects

    def step(self, result: Result, now: float) -> list[Effect]:
        """What follows from the result of the step under way; from any other result, nothing."""
        if self._step is None or result.ticket != self._ticket or self._again_at is not None:
            return []
        match self.stage, result:
            case (Stage.COMMITTING, Missed()):
                return self._fence()
            case (_, Failed()):
                if self.stage is Stage.COMMITTING:
                    self._fence()  # which is the step that is tried then: a disk that is full stays so for a while
                self._again_at = now + CIVIC_RETRY_S
                if self._patience_at is None:
                    self._patience_at = now + CIVIC_PATIENCE_S
                return self._give_up() if self._down else []
            case (Stage.FENCING, Fenced()):
                return self._fenced(result)
            case (Stage.READING, HeadsRead()):
                return self._read(result.heads)
            case (Stage.COMMITTING, Committed()):
                return self._committed(result)
            case (Stage.RECORDING, RecordPut()):
                return self._recorded(result.record)
            case (Stage.PUBLISHING, Published()):
                return self._published()
            case _:
                raise AssertionError(f"{type(result).__name__} is no result of {self.stage.name}")

    def cosigned(self, result: Cosigned, now: float) -> list[Effect]:
        """What witnesses say of the checkpoint that they were asked about; with a quorum it is kept.

        If they have seen what does not fit, this holder may have been overtaken, or the log was set back or has
        forked: which of them, a new fence and the heads tell.
        """
        if self._asked is None or result.checkpoint.text != self._asked.text:
            return []
        asked, self._asked = self._asked, None
        if result.seen:
            self._seen = result.seen
            return self._fence()
        if len({verified.key.public for verified in result.verified}) < self._quorum:
            self._ask_at = now + ASK_WITNESS_AGAIN_S
            return []
        note = asked.signed(verified.signature for verified in result.verified)
        kept = KeepWitnessed(note, Checkpoint.parse(note.text).size)
        return [kept] if asked == self._shown else [kept, *self._ask_witnesses()]

    def unproven(self) -> list[Effect]:
        """No receipts can be made of what is published: it is compared with the store anew, and made whole."""
        return [] if self.closed or self.stage in (Stage.FENCING, Stage.READING) else self._fence()

    # ---- one stage after the other

    def _take(self, step: Step, stage: Stage) -> list[Effect]:
        self.stage, self._step, self._ticket, self._again_at = stage, step, step.ticket, None
        return [step]

    def _fence(self) -> list[Effect]:
        """Back to the beginning; what was under way is filed again, and finds itself if it had come through."""
        self._waiting.extendleft(reversed(self._batch))
        self._batch, self._outcomes, self._files = [], (), None
        return self._take(Fence(self._ticket + 1, self._epoch), Stage.FENCING)

    def _fenced(self, fenced: Fenced) -> list[Effect]:
        if fenced.epoch != self._epoch:
            return self._close(Stage.DEPOSED)
        self._fences = fenced.fences
        return self._take(ReadHeads(self._ticket + 1, self._seen), Stage.READING)

    def _read(self, heads: Heads) -> list[Effect]:
        wrong = compare(self._origin, heads, self._seen)
        if wrong is None and heads.record and heads.record.key and heads.record.key not in self._keys:
            wrong = _FOREIGN_KEY
        if wrong:
            return [Alarm(wrong), *self._close(Stage.READ_ONLY)]
        if heads.record and heads.record.epoch > self._epoch:
            return self._close(Stage.DEPOSED)
        self._seen = ()
        self._edge, self._record = heads.edge, heads.record
        self._since = heads.published.size if heads.published else 0
        return self._put_record()

    def _next_batch(self) -> list[Effect]:
        due = self._due is not None and self._due <= self._minute
        if self.stage is not Stage.IDLE or not (self._waiting or due):
            return []
        count = min(len(self._waiting), CIVIC_BATCH_MAX)
        self._batch = [self._waiting.popleft() for _ in range(count)]
        submissions = tuple(filed.submission for filed in self._batch)
        late = frozenset(filed.submission.fingerprint for filed in self._batch if filed.late)
        unfit = {filed.submission.fingerprint: filed.unfit for filed in self._batch if filed.unfit}
        ticket, size = self._ticket + 1, self._edge.size
        commit = Commit(ticket, self._epoch, self._fences, size, submissions, late, self._minute, unfit)
        return self._take(commit, Stage.COMMITTING)

    def _committed(self, committed: Committed) -> list[Effect]:
        self._outcomes, self._due = committed.outcomes, committed.due
        if not committed.entries:  # nothing but retries of what is published already
            return self._answer()
        self._edge, self._files = self._edge.append(committed.entries)
        return self._put_record()

    def _put_record(self) -> list[Effect]:
        wanted = Record(self._origin, self._edge.size, self._edge.root(), self._epoch, self._key)
        return self._take(PutRecord(self._ticket + 1, self._record, wanted), Stage.RECORDING)

    def _recorded(self, found: Record | None) -> list[Effect]:
        assert isinstance(self._step, PutRecord)
        if found != self._step.record:
            # of an older holder that came through before it was fenced: read again and go on from there
            return self._close(Stage.DEPOSED) if found and found.epoch > self._epoch else self._fence()
        self._record = found
        text = Checkpoint(self._origin, self._edge.size, self._edge.root()).text
        note = Note(text, tuple(signer.sign(text) for signer in self._signers))
        ticket = self._ticket + 1
        if self._files is None:
            return self._take(Republish(ticket, self._since, self._edge.size, note), Stage.PUBLISHING)
        return self._take(Publish(ticket, self._files, note), Stage.PUBLISHING)

    def _published(self) -> list[Effect]:
        assert isinstance(self._step, Publish | Republish)
        self._shown = self._step.checkpoint
        asking = self._ask_witnesses() if self._asked is None else []
        return [*self._answer(), *asking]

    def _answer(self) -> list[Effect]:
        """Answers the batch, and goes on to the next."""
        assert self._shown is not None
        effects: list[Effect] = []
        for filed, outcome in zip(self._batch, self._outcomes, strict=True):
            if isinstance(outcome, Refusal):
                effects.append(Refuse(filed.request, outcome))
            else:
                effects.append(Accept(filed.request, outcome, self._shown))
        if self._batch or not self._waiting:  # else it has yet to be seen whether a batch comes through
            self._patience_at, self._down = None, False
        self._batch, self._outcomes, self._files = [], (), None
        self.stage, self._step = Stage.IDLE, None
        return effects + self._next_batch()

    def _give_up(self) -> list[Effect]:
        """Tells who waits to ask again; who is in a commit under way is told by its result."""
        self._down = True
        told = list(self._waiting)
        self._waiting.clear()
        if self.stage is not Stage.COMMITTING:
            told += self._batch
            self._batch, self._outcomes = [], ()
        return [Refuse(filed.request, _UNKNOWN) for filed in told]

    def _ask_witnesses(self) -> list[Effect]:
        self._ask_at = None
        if not self._quorum or self._shown is None:
            return []
        self._asked = self._shown
        return [AskWitnesses(self._shown)]

    # ---- the end

    def _close(self, stage: Stage) -> list[Effect]:
        """Takes nothing any more; what may have come through is not answered with more than this."""
        self.stage, self._step, self._asked = stage, None, None
        self._again_at, self._ask_at, self._patience_at = None, None, None
        refusal = self.closed
        assert refusal is not None
        waiting = [*self._batch, *self._waiting]
        self._batch, self._outcomes = [], ()
        self._waiting.clear()
        return [Refuse(filed.request, refusal) for filed in waiting]
