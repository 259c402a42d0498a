"""What the holder of a log asks of the world (steps), and what it is told (results).

A step has a ticket, and its result brings it back: a result of an older step is recognised and dropped. At most one
step is under way, and whatever becomes of it, one result comes: its own, or `Failed` when it did not happen or nobody
can tell. After a `Failed` commit the connection is not used again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from p2pworld.civic.heads import Heads, Record
from p2pworld.civic.transaction import Submission
from p2pworld.errors import Refusal
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, Verified
from p2pworld.merkle.tiles import Written

__all__ = [
    "Accept",
    "Alarm",
    "AskWitnesses",
    "Commit",
    "Committed",
    "Cosigned",
    "Effect",
    "Failed",
    "Fence",
    "Fenced",
    "HeadsRead",
    "KeepWitnessed",
    "Missed",
    "Publish",
    "Published",
    "PutRecord",
    "ReadHeads",
    "RecordPut",
    "Refuse",
    "Republish",
    "Result",
    "Step",
]


# ---- steps


@dataclass(frozen=True, slots=True)
class Fence:
    """Durably: if the stream's epoch is at most `epoch`, make it that and count one fence more. Say what is there."""

    ticket: int
    epoch: int


@dataclass(frozen=True, slots=True)
class ReadHeads:
    """Read store, record, published and witnessed checkpoint, in any order, and the roots at the sizes of `seen`:
    checkpoints with the log's own signature that witnesses have shown, and that do not fit what is held here."""

    ticket: int
    seen: tuple[Checkpoint, ...] = ()


@dataclass(frozen=True, slots=True)
class Commit:
    """One durable transaction: if epoch, fences and size are still these, `plan_batch` and do what it says.

    Those whose fingerprints are `late` are retries, or come too late; those that are `unfit` are retries, or not taken
    for that reason. It is decided by the clock of this `minute`.
    """

    ticket: int
    epoch: int
    fences: int
    size: int
    submissions: tuple[Submission, ...]
    late: frozenset[bytes] = frozenset()
    minute: int = 0
    unfit: Mapping[bytes, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PutRecord:
    """Compare and swap in the coordination store; say what is there afterwards."""

    ticket: int
    before: Record | None
    record: Record


@dataclass(frozen=True, slots=True)
class Publish:
    """Write the files, then the checkpoint over the one that is there, unless that is of a larger size."""

    ticket: int
    files: tuple[Written, ...]
    checkpoint: Note


@dataclass(frozen=True, slots=True)
class Republish:
    """As `Publish`, with the files between two sizes made anew from the store."""

    ticket: int
    since: int
    size: int
    checkpoint: Note


# ---- told to others, without a result


@dataclass(frozen=True, slots=True)
class AskWitnesses:
    """Have witnesses sign this; `Cosigned` says how far that came."""

    checkpoint: Note


@dataclass(frozen=True, slots=True)
class KeepWitnessed:
    """Enough witnesses have signed: keep and publish this, unless a larger one is kept; entries below are witnessed."""

    checkpoint: Note
    size: int


@dataclass(frozen=True, slots=True)
class Accept:
    """The answer to a request: it is entry `index`, under this checkpoint, which is published."""

    request: int
    index: int
    checkpoint: Note


@dataclass(frozen=True, slots=True)
class Refuse:
    """The answer to a request: no, for this reason; `civic-moved` and `civic-busy` mean: ask again, or elsewhere."""

    request: int
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Alarm:
    """The log is read-only from now on, and people must look."""

    refusal: Refusal


# ---- results


@dataclass(frozen=True, slots=True)
class Fenced:
    """The stream's row after `Fence`."""

    ticket: int
    epoch: int
    fences: int


@dataclass(frozen=True, slots=True)
class HeadsRead:
    """What was read."""

    ticket: int
    heads: Heads


@dataclass(frozen=True, slots=True)
class Committed:
    """The transaction is durable: the new entries, the outcome of each submission, and from which minute on something
    is to be settled."""

    ticket: int
    entries: tuple[bytes, ...]
    outcomes: tuple[int | Refusal, ...]
    due: int | None = None


@dataclass(frozen=True, slots=True)
class Missed:
    """The stream's row was not as `Commit` said: somebody has fenced."""

    ticket: int


@dataclass(frozen=True, slots=True)
class RecordPut:
    """The record that is there now, ours or another's."""

    ticket: int
    record: Record | None


@dataclass(frozen=True, slots=True)
class Published:
    """Files and checkpoint are durable and to be seen."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Failed:
    """It did not happen, or nobody can tell."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Cosigned:
    """The cosignatures that came for the checkpoint that witnesses were asked about, verified.

    `seen` are checkpoints that the log itself has signed, shown by witnesses, and that this one does not continue.
    """

    checkpoint: Note
    verified: tuple[Verified, ...]
    seen: tuple[Checkpoint, ...] = ()


Step = Fence | ReadHeads | Commit | PutRecord | Publish | Republish
Effect = Step | AskWitnesses | KeepWitnessed | Accept | Refuse | Alarm
Result = Fenced | HeadsRead | Committed | Missed | RecordPut | Published | Failed
