"""What the objects machine keeps of each cell: its state here, who follows it, what is being written, what waits.

Records only; what happens to them is in `objects`.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pworld.crdt import HybridClock, ObjectCell, Replica
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import CellDelta, CellRoot, CellState, Done, ToPeer, WorldObject
from p2pworld.world.acts import Asked

if TYPE_CHECKING:
    from p2pworld.messages import Write
    from p2pworld.world.outbox import Outbox

__all__ = [
    "DELTAS_MAX",
    "DELTA_BYTES_MAX",
    "KEPT",
    "Batch",
    "Follower",
    "Gift",
    "Held",
    "Op",
    "Record",
    "SavedCell",
    "Station",
]

# A journal is read back in the time of one whole state and at most this much more.
DELTAS_MAX: Final = 256
DELTA_BYTES_MAX: Final = 1 << 20
KEPT: Final = -2  # in the place of a play socket: the act was kept here, and its answer is for who keeps it


@dataclass(frozen=True, slots=True)
class SavedCell:
    """A cell's objects as a disk holds them: all changes up to `n` under `epoch`, as an encoded `ObjectCell`."""

    epoch: int
    n: int
    state: bytes


@dataclass(slots=True, eq=False)
class Op:
    """One act on its way to being durable; `conn` is -1 once nobody waits for its answer."""

    conn: int
    asked: Asked
    object_id: bytes = b""


@dataclass(frozen=True, slots=True)
class Gift:
    """A state to be merged in, from one who does not hold the cell: its `answer` goes back when it is durable."""

    state: ObjectCell
    answer: ToPeer | None = None


@dataclass(slots=True, eq=False)
class Batch:
    """One write of a cell on its way to the disk. There is at most one for each cell, so nothing overtakes it.

    `state` is the cell once it is written. `delta` is what a holder's followers get, None if they need the whole state.
    `holder` is whom a standby answers if it fails, `held` the tenure of the cell in which its holder began it.
    """

    epoch: int
    n: int
    state: ObjectCell
    changed: set[bytes] = field(default_factory=set)
    delta: bytes | None = None
    ops: list[Op | Gift] = field(default_factory=list)
    based: bool = False
    holder: Incarnation | None = None
    held: Held | None = None
    deltas: int = 0
    delta_bytes: int = 0


@dataclass(slots=True, eq=False)
class Follower:
    """A node that is sent a held cell's changes: a listed standby, one proposed (`counted_at`), or a candidate.

    `acked` is the last change it has on its disk, -1 for none. `asked_s` is since when it owes an answer, `sent_s` when
    it was last sent anything (None: unknown until the next tick). `counted_at` is the stamp of the map that the
    proposal to list it starts from. A `failed` one is sent nothing until it is offered the cell anew.
    """

    listed: bool = False
    counted_at: int | None = None
    acked: int = -1
    in_step: bool = False
    failed: bool = False
    asked_s: float | None = None
    sent_s: float | None = None

    @property
    def required(self) -> bool:
        """Whether an acknowledgement needs it."""
        return self.listed or self.counted_at is not None


@dataclass(slots=True, eq=False)
class Held:
    """What only the holder of a cell keeps: who writes, who follows, which acts wait for whom, what clients see.

    `based` says that the journal holds the cell under this epoch. `waiting` and `unsettled` are in the order of n.
    While it is `frozen` no act in `queue` is begun.
    """

    epoch: int
    replica: Replica
    clock: HybridClock
    based: bool = False
    frozen: bool = False
    followers: dict[Incarnation, Follower] = field(default_factory=dict)
    queue: deque[Op | Gift] = field(default_factory=deque)
    waiting: deque[tuple[int, Op | Gift]] = field(default_factory=deque)
    unsettled: deque[tuple[int, set[bytes]]] = field(default_factory=deque)
    fresh: set[bytes] = field(default_factory=set)
    shown: dict[bytes, WorldObject] = field(default_factory=dict)
    owned: Counter[int] = field(default_factory=Counter)


@dataclass(slots=True, eq=False)
class Record:
    """A cell this node holds or follows. `state`, `epoch` and `n` are what its disk has, `writing` what goes there now.

    `inbox` are a holder's messages, decoded too, that wait for the disk, `tail` the (epoch, n) that the last of them,
    or `writing`, or the disk reaches. `deltas` and `delta_bytes` measure the journal since its last whole state.
    `audit` is a digest of the holder's to be compared with, `comparing` the holder with whose copy it is compared now.
    """

    cell: Cell
    state: ObjectCell
    epoch: int
    n: int
    held: Held | None = None
    holder: Incarnation | None = None
    writing: Batch | None = None
    inbox: deque[tuple[CellDelta | CellState, ObjectCell]] = field(default_factory=deque)
    inbox_bytes: int = 0
    tail: tuple[int, int] = (0, 0)
    deltas: int = 0
    delta_bytes: int = 0
    audit: CellRoot | None = None
    comparing: Incarnation | None = None

    def unfollow(self) -> None:
        """Listen to no holder any more, and forget what the last one said that is not being written."""
        self.holder = self.audit = self.comparing = None
        self.inbox.clear()
        self.inbox_bytes = 0

    @property
    def long_journal(self) -> bool:
        """Whether the next write should be a whole state."""
        return self.deltas >= DELTAS_MAX or self.delta_bytes >= DELTA_BYTES_MAX


@dataclass(slots=True)
class Station:
    """What both sides share: who this is, who is linked, what was begun to be written since the last Ready, counts; and
    answers to acts that were kept here."""

    me: Incarnation
    linked: frozenset[Incarnation] = frozenset()
    begun: list[Record] = field(default_factory=list)
    counters: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[Asked, Done]] = field(default_factory=list)

    def write(self, record: Record, batch: Batch, writes: list[Write], out: Outbox) -> None:
        """Begin to write a batch; there must be none on its way."""
        assert record.writing is None, "one write of a cell at a time"
        record.writing = batch
        self.begun.append(record)
        out.writes.extend(writes)
