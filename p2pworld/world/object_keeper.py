"""The standby's side of a cell's objects: keep on this disk what the holder says, in its order, and say so only then.

Only the holder by our own map, under that map's epoch, is listened to. A change that does not follow the last one is
refused as a `gap`, and the holder sends the whole state. What this node has beyond a whole state stays in its copy and
is given back to the holder, again and again until that says that it has it: nothing that was ever on a disk is thrown
away by a change of roles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from p2pworld.messages import CellDelta, CellRefused, CellState, CellStored, SaveDelta, SaveState, ToPeer
from p2pworld.world.object_records import GIFT_RETRY_S, GIFTS_PER_TICK, Batch, Record, Station

if TYPE_CHECKING:
    from p2pworld.crdt import ObjectCell
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
        self._ahead: dict[int, Record] = {}  # by cell: copies that have more than their holder's

    def heard(
        self, record: Record, peer: Incarnation, message: CellDelta | CellState, told: ObjectCell, out: Outbox
    ) -> None:
        """Take a delta or a whole state from the holder, already decoded; it is answered when it is on the disk."""
        if record.holder != peer:
            record.holder = peer
            record.inbox.clear()
            record.inbox_bytes = 0
            writing = record.writing
            record.tail = (writing.epoch, writing.n) if writing else (record.epoch, record.n)
        if record.epoch == message.epoch and record.n >= message.n:
            if isinstance(message, CellState) and record.n == message.n:
                self._give_back(record, message, told, out)  # it was known from an earlier life
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
        if record.writing is not None or record.holder is None:
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
        state = told.merge(record.state)
        packed = self._give_back(record, message, told, out) or message.state
        batch = Batch(message.epoch, message.n, state, holder=holder)
        self._station.write(record, batch, [SaveState(record.cell, message.epoch, message.n, packed)], out)
        out.held.append(ToPeer(holder, CellStored(record.cell, message.epoch, message.n)))

    def _give_back(self, record: Record, message: CellState, told: ObjectCell, out: Outbox) -> bytes:
        """If this copy has more than the holder told, give it both, and remember that it owes an answer."""
        if record.state.leq(told):
            record.given = None
            return b""
        packed = told.merge(record.state).to_bytes()
        self._station.counters["cell-given-back"] += 1
        record.given, record.given_s = (message.epoch, message.n), None
        self._ahead[record.cell] = record
        assert record.holder is not None
        out.sends.append(ToPeer(record.holder, CellState(record.cell, message.epoch, message.n, packed)))
        return packed

    def _append(self, record: Record, holder: Incarnation, out: Outbox) -> None:
        state = record.state.copy()
        batch = Batch(record.epoch, record.n, state, holder=holder)
        writes: list[Write] = []
        while record.inbox and isinstance(message := record.inbox[0][0], CellDelta):
            _, told = record.inbox.popleft()
            record.inbox_bytes -= len(message.delta)
            state.merge_in(told)
            batch.n = message.n
            batch.deltas += 1
            batch.delta_bytes += len(message.delta)
            writes.append(SaveDelta(record.cell, message.epoch, message.n, message.delta))
        self._station.write(record, batch, writes, out)
        out.held.append(ToPeer(holder, CellStored(record.cell, batch.epoch, batch.n)))

    def tick(self, out: Outbox, now_s: float) -> None:
        """Give again what a holder lacks and has not said to have: its disk was full, or the link broke."""
        left = GIFTS_PER_TICK
        for cell, record in list(self._ahead.items()):
            if record.given is None or record.holder is None:
                del self._ahead[cell]
            elif record.given_s is None:
                record.given_s = now_s
            elif left and now_s - record.given_s >= GIFT_RETRY_S and record.holder in self._station.linked:
                left -= 1
                record.given, record.given_s = (record.epoch, record.n), now_s
                state = CellState(record.cell, record.epoch, record.n, record.state.to_bytes())
                out.sends.append(ToPeer(record.holder, state))

    def has(self, record: Record, peer: Incarnation, message: CellStored) -> None:
        """A holder has on its disk what it was given."""
        if record.holder == peer and record.given == (message.epoch, message.n):
            record.given = None
            self._station.counters["cell-given"] += 1

    def failed(self, record: Record, batch: Batch, reason: str, out: Outbox) -> None:
        """A write failed: nothing of it is kept here, and the holder hears that."""
        record.inbox.clear()
        record.inbox_bytes = 0
        record.tail = (record.epoch, record.n)
        if record.holder is not None:
            out.sends.append(ToPeer(record.holder, CellRefused(record.cell, batch.epoch, reason)))
