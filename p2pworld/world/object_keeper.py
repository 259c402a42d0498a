"""The standby's side of a cell's objects: keep on this disk what the holder says, in its order, and say so only then.

Only the holder by our own map, under that map's epoch, is listened to. A change that does not follow the last one is
refused as a `gap`, and the holder sends the whole state. What this node has and a whole state has never heard of stays
in its copy and is given back to the holder: nothing that was ever on a disk is thrown away by a change of roles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.crdt import ObjectCell, defer
from p2pworld.messages import CellDelta, CellRefused, CellState, CellStored, SaveDelta, SaveState, ToPeer
from p2pworld.world.object_records import Batch, Record, Station

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Write
    from p2pworld.world.outbox import Outbox

__all__ = ["Keeper"]

_INBOX_MAX: Final = 1_024
_INBOX_BYTES_MAX: Final = 32 << 20  # a whole state of 16 MiB, and as much again in deltas


class Keeper:
    """The copies this node keeps for others."""

    def __init__(self, station: Station) -> None:
        self._station = station

    def heard(
        self, record: Record, peer: Incarnation, message: CellDelta | CellState, told: ObjectCell, out: Outbox
    ) -> None:
        """Take a delta or a whole state from the holder, already decoded; it is answered when it is on the disk."""
        if record.holder != peer:
            record.unfollow()
            record.holder = peer
            writing = record.writing
            record.tail = (writing.epoch, writing.n) if writing else (record.epoch, record.n)
        if record.epoch == message.epoch and record.n >= message.n:
            out.sends.append(ToPeer(peer, CellStored(record.cell, record.epoch, record.n)))
            return
        epoch, n = record.tail
        if epoch == message.epoch and message.n <= n:
            self._station.counters["cell-repeated"] += 1
            return
        whole = isinstance(message, CellState)
        size = len(message.state) if isinstance(message, CellState) else len(message.delta)
        if whole:
            record.inbox.clear()
            record.inbox_bytes = 0
        elif (epoch, n + 1) != (message.epoch, message.n) or not self._has_room(record, size):
            out.sends.append(ToPeer(peer, CellRefused(record.cell, message.epoch, "gap")))
            return
        record.inbox.append((message, told))
        record.inbox_bytes += size
        record.tail = (message.epoch, message.n)
        self.pump(record, out)

    @staticmethod
    def _has_room(record: Record, size: int) -> bool:
        return len(record.inbox) < _INBOX_MAX and record.inbox_bytes + size <= _INBOX_BYTES_MAX

    def pump(self, record: Record, out: Outbox) -> None:
        """Begin to write what waits, if no write of the cell is under way; or a long journal anew."""
        if record.writing is not None or record.holder is None or record.comparing is not None:
            return
        if record.inbox and isinstance(record.inbox[0][0], CellState):
            self._replace(record, record.holder, out)
        elif record.inbox:
            self._append(record, record.holder, out)
        elif record.long_journal:
            batch = Batch(record.epoch, record.n, record.state, holder=record.holder)
            packed = record.state.to_bytes()
            self._station.write(record, batch, [SaveState(record.cell, record.epoch, record.n, packed)], out)

    def _replace(self, record: Record, holder: Incarnation, out: Outbox) -> None:
        message, told = record.inbox.popleft()
        assert isinstance(message, CellState)
        record.inbox_bytes -= len(message.state)
        state, packed = told, message.state
        if not record.state.leq(told):
            state, extras = defer(record.state, told)
            packed = state.to_bytes()
            self._give_back(record, holder, message.epoch, message.n, extras, out)
        batch = Batch(message.epoch, message.n, state, holder=holder)
        self._station.write(record, batch, [SaveState(record.cell, message.epoch, message.n, packed)], out)
        out.held.append(ToPeer(holder, CellStored(record.cell, message.epoch, message.n)))

    def _give_back(
        self, record: Record, holder: Incarnation, epoch: int, n: int, extras: ObjectCell, out: Outbox
    ) -> None:
        if extras != ObjectCell():
            self._station.counters["cell-given-back"] += 1
            out.sends.append(ToPeer(holder, CellState(record.cell, epoch, n, extras.to_bytes())))

    def mend(self, record: Record, state: ObjectCell, extras: ObjectCell, out: Outbox) -> None:
        """Replace a copy that had gone wrong; the holder is given what it never heard of. Nothing is being written."""
        assert record.holder is not None
        self._give_back(record, record.holder, record.epoch, record.n, extras, out)
        batch = Batch(record.epoch, record.n, state, holder=record.holder)
        packed = state.to_bytes()
        self._station.write(record, batch, [SaveState(record.cell, record.epoch, record.n, packed)], out)

    def _append(self, record: Record, holder: Incarnation, out: Outbox) -> None:
        state = record.state.copy()
        batch = Batch(record.epoch, record.n, state, holder=holder)
        writes: list[Write] = []
        audit = record.audit and (record.audit.epoch, record.audit.n)  # to be compared at just this change
        while record.inbox and isinstance(message := record.inbox[0][0], CellDelta):
            if (batch.epoch, batch.n) == audit:
                break
            _, told = record.inbox.popleft()
            record.inbox_bytes -= len(message.delta)
            state.merge_in(told)
            batch.n = message.n
            batch.deltas += 1
            batch.delta_bytes += len(message.delta)
            writes.append(SaveDelta(record.cell, message.epoch, message.n, message.delta))
        self._station.write(record, batch, writes, out)
        out.held.append(ToPeer(holder, CellStored(record.cell, batch.epoch, batch.n)))

    def failed(self, record: Record, batch: Batch, reason: str, out: Outbox) -> None:
        """A write failed: nothing of it is kept here, and the holder hears that."""
        record.inbox.clear()
        record.inbox_bytes = 0
        record.tail = (record.epoch, record.n)
        if record.holder is not None:
            out.sends.append(ToPeer(record.holder, CellRefused(record.cell, batch.epoch, reason)))
