"""A disk as it is on a bad day: writes take time, fail while it is full, and a crash may end one anywhere.

The journal has the meaning of the real one: a `SaveState` replaces what is kept of a cell, a `SaveDelta` is merged to
it, all writes of one `Persist` happen together or not at all. Persists are carried out one by one. What was under way
when the process died is lost, torn (which a checksum shows, so lost as well), or done without anybody knowing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from p2pworld.crdt import ObjectCell
from p2pworld.messages import SaveRecord, SaveState, Write
from p2pworld.world.objects import SavedCell

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from p2pworld.drive import Persist
    from simulations.events import Agenda, Trace

__all__ = ["Disk", "DiskOptions"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_UNDONE_MAX: Final = 8  # jobs: a disk that lies has so many of the last ones in its cache at most


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """How long a write takes, and how often a crash finds the write under way done."""

    write_s: float = 0.002
    jitter_s: float = 0.004
    done_in_crash: float = 0.4  # probability


@dataclass(frozen=True, slots=True)
class _Cell:
    epoch: int
    n: int
    state: bytes
    deltas: tuple[bytes, ...] = ()


class Disk:
    """One machine's disk; it outlives the processes that write to it."""

    def __init__(
        self, name: str, options: DiskOptions, agenda: Agenda, rng: random.Random, trace: Trace
    ) -> None:
        self.full = False
        self.slow = 1.0  # how many times longer a write takes
        self.writes = 0
        self.regressions: list[str] = []  # writes under an epoch below one already written
        self.name, self._options, self._agenda, self._rng, self._trace = name, options, agenda, rng, trace
        self._cells: dict[int, _Cell] = {}
        self._read: dict[int, tuple[_Cell, SavedCell]] = {}  # what was read of a cell last, and of which form
        self._records: dict[tuple[str, bytes], SaveRecord] = {}
        self._before: deque[tuple[dict[int, _Cell | None], dict[tuple[str, bytes], SaveRecord | None]]] = (
            deque(maxlen=_UNDONE_MAX)
        )  # what the last jobs replaced
        self._queue: deque[tuple[Persist, Callable[[str], None]]] = deque()
        self._life = 0
        self._busy = False

    def persist(self, job: Persist, done: Callable[[str], None]) -> None:
        """Queue a job; `done` is told an empty text once it is durable, or why it failed."""
        self._queue.append((job, done))
        if not self._busy:
            self._begin()

    def crash(self) -> None:
        """The process died: what waited is gone, what was under way may have been done."""
        self._life += 1
        if self._busy and self._rng.random() < self._options.done_in_crash and not self.full:
            self._apply(self._queue[0][0].writes)
        self._busy = False
        self._queue.clear()

    @property
    def busy(self) -> bool:
        """Whether a write is under way."""
        return self._busy

    def lose(self) -> None:
        """The disk itself is lost, with everything on it."""
        self._cells.clear()
        self._records.clear()
        self._before.clear()

    def lose_last(self, jobs: int) -> int:
        """The disk turns out not to have what it called durable last; how many jobs those were."""
        lost = min(jobs, len(self._before))
        for _ in range(lost):
            cells, records = self._before.pop()
            _put_back(self._cells, cells)
            _put_back(self._records, records)
        return lost

    def has(self, object_id: bytes) -> bool:
        """Whether an object with this id was ever written here."""
        return any(
            object_id in kept.state or any(object_id in delta for delta in kept.deltas)
            for kept in self._cells.values()
        )

    def recover(self) -> dict[int, SavedCell]:
        """What a new process reads."""
        recovered: dict[int, SavedCell] = {}
        for number in sorted(self._cells):
            kept = self._cells[number]
            read, saved = self._read.get(number, (None, None))
            if saved is None or read is not kept:
                saved = _together(kept)
                self._read[number] = kept, saved
            recovered[number] = saved
        return recovered

    def recover_records(self) -> tuple[SaveRecord, ...]:
        """The records that a new process reads."""
        return tuple(self._records[key] for key in sorted(self._records) if self._records[key].data)

    def _begin(self) -> None:
        self._busy = True
        took_s = (self._options.write_s + self._rng.random() * self._options.jitter_s) * self.slow
        life = self._life
        self._agenda.after(took_s, lambda: self._end(life))

    def _end(self, life: int) -> None:
        if life != self._life:
            return
        job, done = self._queue.popleft()
        self._busy = False
        if self._queue:
            self._begin()
        if self.full:
            done("full")
            return
        self._apply(job.writes)
        done("")

    def _apply(self, writes: tuple[Write, ...]) -> None:
        self.writes += len(writes)
        cells: dict[int, _Cell | None] = {}
        records: dict[tuple[str, bytes], SaveRecord | None] = {}
        self._before.append((cells, records))
        for write in writes:
            if isinstance(write, SaveRecord):
                records.setdefault((write.kind, write.id), self._records.get((write.kind, write.id)))
                self._trace.add(self._agenda.now_s, b"W", write.kind.encode() + write.id, write.data)
                self._records[write.kind, write.id] = write
                continue
            data = write.state if isinstance(write, SaveState) else write.delta
            head = b"%s %d %d %d" % (self.name.encode(), write.cell, write.epoch, write.n)
            self._trace.add(self._agenda.now_s, b"W", head, data)
            kept = self._cells.get(write.cell)
            cells.setdefault(write.cell, kept)
            if kept is not None and write.epoch < kept.epoch:
                self.regressions.append(
                    f"{self.name} wrote cell {write.cell} under epoch {write.epoch} after {kept.epoch}"
                )
            if isinstance(write, SaveState):
                self._cells[write.cell] = _Cell(write.epoch, write.n, write.state)
                continue
            state, deltas = (b"", ()) if kept is None else (kept.state, kept.deltas)
            self._cells[write.cell] = _Cell(write.epoch, write.n, state, (*deltas, write.delta))


def _together(kept: _Cell) -> SavedCell:
    """What a state and the changes after it come to."""
    state = ObjectCell.from_bytes(kept.state) if kept.state else ObjectCell()
    for delta in kept.deltas:
        state.merge_in(ObjectCell.from_bytes(delta))
    return SavedCell(kept.epoch, kept.n, state.to_bytes())


def _put_back(kept: dict[_K, _V], before: dict[_K, _V | None]) -> None:
    """Put back what there was, and remove what there was not."""
    for key, old in before.items():
        if old is None:
            kept.pop(key, None)
        else:
            kept[key] = old
