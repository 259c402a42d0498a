"""The holder's side of a cell's objects: acts become deltas, deltas become durable, and only then confirmed.

An act waits in the cell's queue until no write of the cell is under way; then all that wait become one delta and one
write (a group commit). When that is on this disk, and not before, it becomes the cell's state, and goes to everybody
who follows the cell. An act is confirmed when every required follower, listed or proposed to be listed, has it on its
disk; which are required is judged at that moment, so a follower that was added meanwhile counts, and one that the
map no longer lists does not. A failed write leaves the state as it was; its number is used again, so that whatever of
it is on the disk after all is overwritten.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, defaultdict
from typing import TYPE_CHECKING, Final

from p2pworld.crdt import ObjectCell
from p2pworld.errors import Refusal
from p2pworld.limits import PENDING_ACTS
from p2pworld.messages import (
    ActDone,
    CellDelta,
    CellState,
    Done,
    Instant,
    SaveDelta,
    SaveState,
    ToClient,
    ToPeer,
)
from p2pworld.world.acts import Asked, owner, perform, reconcile, view
from p2pworld.world.object_records import (
    DELTA_BYTES_MAX,
    KEPT,
    Batch,
    Follower,
    Gift,
    Held,
    Op,
    Record,
    Station,
)

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation
    from p2pworld.messages import CellRefused, CellStored
    from p2pworld.world.outbox import Outbox

__all__ = ["DROP_AFTER_S", "RESEND_AFTER_S", "Holder"]

DROP_AFTER_S: Final = 2.0  # a follower that owes an answer for so long is to be taken off the list
RESEND_AFTER_S: Final = 0.7
_OPS_PER_BATCH: Final = 256  # of at most 2.5 kB each: a delta stays below the 1 MiB of a message
_RECENT_MAX: Final = 16 * PENDING_ACTS
_GIFTS_MAX: Final = 64  # waiting in one cell
_CELL_REFUSALS: Final = frozenset(  # counted by name; a peer's own words never are
    {"gap", "epoch", "clock", "malformed", "full", "busy", "io", "corrupt", "lapsed"}
)
_BUSY: Final = Refusal("busy", "Too much is happening here at once; please try again in a moment.")
_MOVED: Final = Refusal("moved", "This part of the city is being passed to another node; please try again.")
_LAPSED: Final = Refusal(
    "lapsed", "This part of the city cannot confirm anything just now; please try again."
)
_DISK: Final = Refusal("disk", "This part of the city cannot save anything just now; please try again later.")


class Holder:
    """The acts and followers of all cells this node holds; what it wants sent and written goes to the outbox given."""

    def __init__(self, station: Station, records: dict[int, Record]) -> None:
        self.wants_drop: set[tuple[int, Incarnation]] = set()
        self.late_s: dict[
            Incarnation, float
        ] = {}  # when it last owed an answer for too long, or could not keep a cell
        self.pending = 0
        self._station = station
        self._records = records
        self._open: defaultdict[int, set[Op]] = defaultdict(set)  # by conn
        self._recent: OrderedDict[bytes, int] = OrderedDict()  # an act's key -> the cell it was done in
        self._owing: set[int] = set()  # cells with a follower that owes an answer
        self._fresh: set[int] = set()  # cells with news for clients

    # ---- acts

    def act(self, conn: int, asked: Asked, cell: int, lapsed: bool, out: Outbox, now: Instant) -> None:
        """Do an act in a cell, or say why not; a retry goes to the cell the act was first done in, if that is here."""
        home = self._records.get(self._recent.get(asked.key, cell))
        record = home if home is not None and home.held is not None else self._records.get(cell)
        if lapsed:
            self.answer(conn, asked, _LAPSED, out)
        elif record is None or record.held is None:
            self.answer(conn, asked, _MOVED, out)
        elif self.pending >= PENDING_ACTS:
            self.answer(conn, asked, _BUSY, out)
        else:
            op = Op(conn, asked)
            self.pending += 1
            self._open[conn].add(op)
            self._recent[asked.key] = record.cell
            self._recent.move_to_end(asked.key)
            if len(self._recent) > _RECENT_MAX:
                self._recent.popitem(last=False)
            record.held.queue.append(op)
            self.pump(record, out, now)

    def lost(self, conn: int) -> None:
        """Nobody waits at this socket any more; what was asked there is done all the same."""
        for op in self._open.pop(conn, ()):
            op.conn = -1

    def gift(self, record: Record, gift: Gift, out: Outbox, now: Instant) -> bool:
        """Take a state to be merged in; False if too many wait."""
        assert record.held is not None
        if sum(isinstance(item, Gift) for item in record.held.queue) >= _GIFTS_MAX:
            return False
        record.held.queue.append(gift)
        self.pump(record, out, now)
        return True

    def answer(self, conn: int, asked: Asked, done: Done | Refusal, out: Outbox) -> None:
        """Answer an act: to the client that asked, or to the node that asked for its client."""
        act = asked.message
        if isinstance(done, Refusal):
            self._station.counters[f"act-{done.reason}"] += 1
            done = Done(act.n, reason=done.reason, sentence=done.sentence)
        if asked.via is not None:
            told = ActDone(asked.avatar, asked.login_ms, act.n, done, act.name)
            out.sends.append(ToPeer(asked.via, told))
        elif conn == KEPT:
            self._station.kept.append((asked, done))
        elif conn >= 0:
            out.sends.append(ToClient(conn, done))

    def _close(self, op: Op | Gift, refusal: Refusal, out: Outbox) -> None:
        """End an act that was not done; a gift is simply given again."""
        if isinstance(op, Op):
            self._forget(op)
            self._recent.pop(op.asked.key, None)
            self.answer(op.conn, op.asked, refusal, out)

    def _forget(self, op: Op) -> None:
        self.pending -= 1
        if waiting := self._open.get(op.conn):
            waiting.discard(op)
            if not waiting:
                del self._open[op.conn]

    # ---- writing

    def pump(self, record: Record, out: Outbox, now: Instant) -> None:
        """Begin the next write of a held cell, if none is under way and anything is to be written."""
        held = record.held
        if held is None or record.writing is not None or (held.frozen and held.based):
            return
        if not held.based or record.long_journal:
            batch = Batch(held.epoch, record.n, record.state, held=held, based=True)
            whole = SaveState(record.cell, held.epoch, record.n, record.state.to_bytes())
            self._station.write(record, batch, [whole], out)
            return
        batch = Batch(held.epoch, record.n + 1, record.state, held=held)
        delta, whole_needed = self._compose(record, held, batch, out, now)
        if batch.state is record.state:
            self.settle(record, out)
            return
        packed = delta.to_bytes()
        if whole_needed or len(packed) > DELTA_BYTES_MAX:
            state = SaveState(record.cell, held.epoch, batch.n, batch.state.to_bytes())
            self._station.write(record, batch, [state], out)
        else:
            batch.delta, batch.deltas, batch.delta_bytes = packed, 1, len(packed)
            self._station.write(record, batch, [SaveDelta(record.cell, held.epoch, batch.n, packed)], out)

    def _compose(
        self, record: Record, held: Held, batch: Batch, out: Outbox, now: Instant
    ) -> tuple[ObjectCell, bool]:
        """Do what waits to a copy of the state, in order: (the delta, whether only the whole state will do)."""
        delta, whole = ObjectCell(), False
        added: Counter[int] = Counter()
        while held.queue and len(batch.ops) < _OPS_PER_BATCH:
            item = held.queue.popleft()
            if isinstance(item, Gift):
                if not item.state.leq(batch.state):
                    self._part(record, batch)
                    batch.changed |= batch.state.merge_in(item.state)
                    batch.changed |= set(reconcile(batch.state, held.replica, held.clock, now.wall_ms))
                    whole = True
            else:
                avatar = item.asked.avatar
                owned = held.owned[avatar] + added[avatar]
                trial = batch.state if batch.state is not record.state else record.state.copy()
                done = perform(record.cell, trial, item.asked, owned, held.replica, held.clock, now.wall_ms)
                if isinstance(done, Refusal):
                    self._close(item, done, out)
                    continue
                item.object_id = done.object_id
                if done.delta is not None:
                    batch.state = trial
                    delta.merge_in(done.delta)
                    batch.changed |= set(done.delta)
                    added[avatar] += item.asked.message.verb == "hang"
            if batch.state is record.state:  # it was done before, and is on this disk
                held.waiting.append((record.n, item))
            else:
                batch.ops.append(item)
        return delta, whole

    @staticmethod
    def _part(record: Record, batch: Batch) -> None:
        if batch.state is record.state:
            batch.state = record.state.copy()

    def written(self, record: Record, batch: Batch, out: Outbox, now: Instant) -> None:
        """A held cell's batch is on this disk and is its state now: publish it, confirm what may be, go on."""
        held = record.held
        assert held is not None
        held.based = held.based or batch.based
        self.show(record, batch.changed)
        if batch.changed:
            held.unsettled.append((batch.n, batch.changed))
        held.waiting.extend((batch.n, op) for op in batch.ops)
        for peer, follower in held.followers.items():
            if not follower.failed and (batch.ops or not follower.in_step):
                delta = batch.delta if follower.in_step else None
                self._send(record, peer, follower, delta, out, now.boot_s)
        self.settle(record, out)
        self.pump(record, out, now)

    def failed(self, record: Record, batch: Batch, lapsed: bool, out: Outbox, now: Instant) -> None:
        """A held cell's batch is not on this disk: say so to all who asked for it; what came later is tried anew."""
        held = record.held
        assert held is not None
        refusal = _LAPSED if lapsed else _DISK
        for op in batch.ops:
            self._close(op, refusal, out)
        if batch.based:  # the cell itself cannot be written: nothing that waits for it can be
            while held.queue:
                self._close(held.queue.popleft(), refusal, out)
        else:
            self.pump(record, out, now)

    def release(self, record: Record, out: Outbox) -> None:
        """The cell is no longer held here: all that was asked for in it is to be asked for elsewhere."""
        held, record.held = record.held, None
        assert held is not None
        ops = [*held.queue, *(op for _, op in held.waiting)]
        if record.writing is not None:
            ops += record.writing.ops
        for op in ops:
            self._close(op, _MOVED, out)
        self.wants_drop = {want for want in self.wants_drop if want[0] != record.cell}

    # ---- what clients see

    def show(self, record: Record, changed: set[bytes]) -> None:
        """Bring what clients see of these objects up to the state."""
        held = record.held
        assert held is not None
        for object_id in sorted(changed):
            old = held.shown.pop(object_id, None)
            new = view(record.cell, object_id, record.state.get(object_id))
            held.owned[owner(old)] -= old is not None
            held.owned[owner(new)] += new is not None
            if held.owned[owner(old)] <= 0:
                del held.owned[owner(old)]
            if new is not None:
                held.shown[object_id] = new

    # ---- followers

    def follow(self, record: Record, peer: Incarnation, out: Outbox, now_s: float | None) -> None:
        """Send a cell's changes to a node from now on, beginning with the whole state; nothing if that is under way."""
        held = record.held
        assert held is not None
        follower = held.followers.setdefault(peer, Follower())
        if follower.failed:
            follower.failed, follower.in_step, follower.asked_s = False, False, None
        if not follower.in_step and held.based:
            self._send(record, peer, follower, None, out, now_s)

    def list_standbys(self, record: Record, standbys: tuple[Incarnation, ...], stamp: int) -> None:
        """Who follows by the map; a proposal made from an older map than this has had its outcome read."""
        held = record.held
        assert held is not None
        for peer in standbys:
            held.followers.setdefault(peer, Follower()).listed = True
            self._owing.add(record.cell)
        for peer, follower in list(held.followers.items()):
            was = follower.required
            follower.listed = peer in standbys
            if follower.counted_at is not None and stamp > follower.counted_at:
                follower.counted_at = None
            if not follower.required:
                self.wants_drop.discard((record.cell, peer))
                if was or peer not in self._station.linked:
                    del held.followers[peer]

    def stored(
        self, record: Record, peer: Incarnation, message: CellStored, out: Outbox, now_s: float
    ) -> None:
        """A follower has everything up to a change on its disk."""
        held = record.held
        follower = held.followers.get(peer) if held else None
        if held is None or follower is None or message.epoch != held.epoch or message.n > record.n:
            self._station.counters["cell-stored-stale"] += 1
            return
        if message.n > follower.acked:
            follower.acked = message.n
            follower.asked_s = now_s
        if follower.acked >= record.n:
            follower.asked_s = None
            if not follower.failed:
                self.wants_drop.discard((record.cell, peer))
        self.settle(record, out)

    def refused(
        self, record: Record, peer: Incarnation, message: CellRefused, out: Outbox, now_s: float
    ) -> None:
        """A follower lacks something, or cannot keep the cell."""
        held = record.held
        follower = held.followers.get(peer) if held else None
        known = message.reason if message.reason in _CELL_REFUSALS else "other"
        self._station.counters[f"cell-refused-{known}"] += 1
        if held is None or follower is None or message.epoch != held.epoch or follower.failed:
            return
        if message.reason == "gap":
            self._send(record, peer, follower, None, out, now_s)
        elif (
            message.reason == "epoch"
        ):  # it has not read our map yet: it is sent the state again, until it is late
            follower.in_step = False
            self._owing.add(record.cell)
        else:
            self.late_s[peer] = now_s
            if follower.required:
                follower.failed = True
                self.wants_drop.add((record.cell, peer))
            else:
                del held.followers[peer]

    def tick(self, out: Outbox, now_s: float) -> None:
        """Send again what is not answered; who owes an answer for too long is to be dropped."""
        for cell in list(self._owing):
            record = self._records.get(cell)
            held = record.held if record else None
            if record is None or held is None or (held.based and not self._chase(record, held, out, now_s)):
                self._owing.discard(cell)

    def _chase(self, record: Record, held: Held, out: Outbox, now_s: float) -> bool:
        owing = False
        for peer, follower in list(held.followers.items()):
            if follower.failed or (follower.acked >= record.n and follower.in_step):
                continue
            owing = True
            if follower.asked_s is None:
                follower.asked_s = now_s
            if now_s - follower.asked_s >= DROP_AFTER_S:
                self.late_s[peer] = now_s
                if not follower.required:
                    self._station.counters["candidate-slow"] += 1
                    del held.followers[peer]
                    continue
                self.wants_drop.add((record.cell, peer))
            silent = follower.sent_s is None or now_s - follower.sent_s >= RESEND_AFTER_S
            if silent and peer in self._station.linked:
                self._send(record, peer, follower, None, out, now_s)
        return owing

    def _send(
        self,
        record: Record,
        peer: Incarnation,
        follower: Follower,
        delta: bytes | None,
        out: Outbox,
        now_s: float | None,
    ) -> None:
        """Send the change that `record.n` names, or the whole state up to it."""
        held = record.held
        assert held is not None
        follower.in_step = True
        follower.sent_s = now_s
        follower.asked_s = now_s if follower.asked_s is None else follower.asked_s
        self._owing.add(record.cell)
        message: CellDelta | CellState
        if delta is None:
            message = CellState(record.cell, held.epoch, record.n, record.state.to_bytes())
        else:
            message = CellDelta(record.cell, held.epoch, record.n, delta)
        out.sends.append(ToPeer(peer, message, fenced=True))

    def settle(self, record: Record, out: Outbox) -> None:
        """Confirm every act that is on this disk and on those of all required followers."""
        held = record.held
        assert held is not None
        required = [follower.acked for follower in held.followers.values() if follower.required]
        upto = min(required, default=record.n)
        durable = "standby" if required else "disk"
        while held.waiting and held.waiting[0][0] <= upto:
            _, item = held.waiting.popleft()
            if isinstance(item, Gift):
                if item.answer is not None:
                    out.sends.append(item.answer)
                continue
            self._forget(item)
            self._station.counters[f"act-done-{durable}"] += 1
            done = Done(item.asked.message.n, durable=durable, id=item.object_id)
            self.answer(item.conn, item.asked, done, out)
        while held.unsettled and held.unsettled[0][0] <= upto:
            held.fresh |= held.unsettled.popleft()[1]
            self._fresh.add(record.cell)

    def take_fresh(self) -> list[int]:
        """The cells in which something has become durable since the last call."""
        cells = sorted(self._fresh)
        self._fresh.clear()
        return cells
