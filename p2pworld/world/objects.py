"""The objects of all cells of one node: held here, followed for another holder, or known from earlier.

A cell's objects are one `ObjectCell`, a CRDT. This machine decides what to write, to whom to send it, and when an act
is confirmed; it sends and writes nothing itself. Promises:

- `Done(durable="standby")` leaves only when the act is on this disk and on that of every standby that the map lists
  or that is proposed to be listed; `durable="disk"` when there is none and it is on this disk.
- What could not be written is not done: memory never runs ahead of the disk.
- What is on a disk comes back: whoever gets a cell merges all it has of that ground, also from before a split or a
  merge, and whoever has objects of a cell that another holds gives them to it.

Roles follow the city map (`apply_map`). `object_holder` is the holder's side, `object_keeper` the standby's;
`object_audit` finds what parts the two unseen, `object_giving` gives away what others hold. The core calls `leaving`
for each Ready with writes, and `advance` when the disk has answered for it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from p2pworld.crdt import HybridClock, ObjectCell, admissible
from p2pworld.errors import Refusal, RemoteError
from p2pworld.geometry import Cell
from p2pworld.limits import CLOCK_SKEW_MS, OBJECTS_PER_CELL
from p2pworld.messages import (
    Act,
    CellAsk,
    CellDelta,
    CellPart,
    CellRefused,
    CellRoots,
    CellState,
    CellStored,
    CellTwigs,
    Done,
    Instant,
    Pose,
    SaveState,
    ToPeer,
    WriteFailed,
    Wrote,
)
from p2pworld.messages import Objects as ObjectsMessage
from p2pworld.world.acts import Asked, reconcile, replica_of
from p2pworld.world.object_audit import Audit
from p2pworld.world.object_giving import NOTHING, Giving
from p2pworld.world.object_holder import Holder
from p2pworld.world.object_keeper import Keeper
from p2pworld.world.object_records import DELTAS_MAX, Gift, Held, Record, SavedCell, Station
from p2pworld.world.outbox import Outbox

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Mapping

    from p2pworld.ids import Incarnation, Login
    from p2pworld.messages import WorldObject
    from p2pworld.world.citymap import CityMap, Holding

__all__ = ["Objects", "SavedCell"]

_CHUNK: Final = 64  # objects of one message to a client
_BASE_RETRY_S: Final = 5.0  # between attempts to save a cell just got to a disk that refuses
_SPARED_S: Final = 10.0  # a node that did not keep up is asked again to stand by after this, if others can


class Objects:
    """Every object this node holds or keeps. `journal` is what its disk held when the process started."""

    def __init__(self, me: Incarnation, journal: Mapping[int, SavedCell]) -> None:
        self.disk_failed = False
        self._station = Station(me)
        self._known = {Cell(cell): saved for cell, saved in journal.items()}
        self._records: dict[int, Record] = {}
        self._holder = Holder(self._station, self._records)
        self._keeper = Keeper(self._station)
        self._giving = Giving(self._station, self._known)
        self._audit = Audit(self._station, self._records, self._keeper, self._giving.compared)
        self._sent: dict[int, list[Record]] = {}  # by the number of the Ready
        self._stamp = 0
        self._retry_s = math.inf  # when cells of mine that are not saved are tried again

    @property
    def counters(self) -> Counter[str]:
        """What was done, refused and dropped, by reason."""
        return self._station.counters

    @property
    def wants_drop(self) -> frozenset[tuple[int, Incarnation]]:
        """(cell, standby) pairs that the map should no longer list: too slow, or unable to keep the cell."""
        return frozenset(self._holder.wants_drop)

    def keeps_up(self, peer: Incarnation, now: Instant) -> bool:
        """Whether a node has been neither too slow nor unable to keep a cell of late: others are to be tried first."""
        return now.boot_s - self._holder.late_s.get(peer, -math.inf) >= _SPARED_S

    # ---- roles

    def begin(self, me: Incarnation) -> None:
        """A new incarnation begins: it holds nothing and follows nobody until a map says so."""
        unsaid = Outbox()  # its clients have been sent away
        for record in list(self._records.values()):
            self._shelve(record, unsaid)
        self._station.me = me

    def apply_map(
        self, city_map: CityMap, me: Incarnation, linked: Collection[Incarnation], out: Outbox
    ) -> None:
        """Take the roles that a map gives; also to be called when a link comes or goes."""
        self._station.me, self._station.linked = me, frozenset(linked)
        late_s = self._holder.late_s
        self._holder.late_s = {peer: at_s for peer, at_s in late_s.items() if peer in linked}
        self._stamp = city_map.stamp
        guarded = set(city_map.standby_cells(me))
        for record in list(self._records.values()):
            holding = city_map.cells.get(record.cell)
            if record.held and (
                holding is None or holding.holder != me or holding.epoch != record.held.epoch
            ):
                self._holder.release(record, out)
            if record.held:
                continue
            follows = holding is not None and holding.holder is not None and holding.holder == record.holder
            if not follows:
                record.unfollow()
            mine = holding is not None and holding.holder == me
            if not (follows or mine or record.cell in guarded):
                self._shelve(record, out)
        for cell in city_map.cells_of(me):
            holding = city_map.cells[cell]
            held_record = self._records.get(cell)
            if held_record is None or held_record.held is None:
                held_record = self._hold(cell, holding, out)
            self._holder.list_standbys(held_record, holding.standbys, city_map.stamp)
            self._holder.settle(held_record, out)
        self._giving.plan(city_map)

    def _hold(self, cell: Cell, holding: Holding, out: Outbox) -> Record:
        """Become the holder of a cell, with all this node has of its ground."""
        record = self._record(cell)
        record.state = record.state.copy()  # what was told of it to others stays as it was
        for state, n in self._related(cell):
            record.state.merge_in(state)
            record.n = max(record.n, n)
        if record.epoch == holding.epoch:
            # merged, and cut again: whoever guarded this cell then has the same epoch and n, and less of its ground
            record.n += 1
        replica = replica_of(self._station.me, cell, holding.epoch)
        held = record.held = Held(holding.epoch, replica, HybridClock(replica))
        reconcile(record.state, replica, held.clock, 0)
        self._holder.show(record, set(record.state))
        self._holder.pump(record, out, _NEVER)
        return record

    def _record(self, cell: Cell) -> Record:
        record = self._records.get(cell)
        if record is None:
            saved = self._known.pop(cell, None)
            if saved is None:
                record = Record(cell, ObjectCell(), 0, 0)
            else:
                record = Record(cell, ObjectCell.from_bytes(saved.state), saved.epoch, saved.n)
            self._records[cell] = record
        return record

    def _related(self, cell: Cell) -> list[tuple[ObjectCell, int]]:
        """The states, with their n, of cells once kept here that contain `cell` or lie in it."""
        above = {cell.parent(level) for level in range(cell.level)}
        related = [
            other for other in self._known if other in above or (other != cell and cell.contains(other))
        ]
        states = [(ObjectCell.from_bytes(self._known[o].state), self._known[o].n) for o in related]
        for record in self._records.values():
            related_ground = record.cell in above or (record.cell != cell and cell.contains(record.cell))
            if record.held is None and related_ground:
                states.append((record.state, record.n))
        return states

    def _shelve(self, record: Record, out: Outbox) -> None:
        """Neither hold nor follow a cell any longer; what is being written is waited for."""
        if record.held is not None:
            self._holder.release(record, out)
        record.unfollow()
        if record.writing is None:
            del self._records[record.cell]
            packed = record.state.to_bytes()
            if packed != NOTHING:
                self._known[record.cell] = SavedCell(record.epoch, record.n, packed)
            self._giving.forget(record.cell)

    @property
    def owes(self) -> bool:
        """Whether objects known here are not yet with whoever holds their ground."""
        return self._giving.owes

    # ---- ground that is about to change

    def freeze(self, cell: Cell) -> None:
        """Begin no act in a held cell from now on; what was begun is finished, what comes waits."""
        record = self._records.get(cell)
        if record is not None and record.held is not None:
            record.held.frozen = True

    def thaw(self, cell: Cell, out: Outbox, now: Instant) -> None:
        """Go on in a frozen cell that is still held."""
        record = self._records.get(cell)
        if record is not None and record.held is not None:
            record.held.frozen = False
            self._holder.pump(record, out, now)

    def settled(self, cell: Cell) -> bool:
        """Whether a frozen cell is, to its last change, on this disk and on that of every required follower."""
        record = self._records.get(cell)
        held = record.held if record is not None else None
        if record is None or held is None or not held.frozen or not held.based or record.writing is not None:
            return False
        return all(f.acked >= record.n and not f.failed for f in held.followers.values() if f.required)

    # ---- acts

    def act(
        self,
        avatar: int,
        login: Login,
        conn: int,
        message: Act,
        pose: Pose,
        cell: Cell,
        lapsed: bool,
        out: Outbox,
        now: Instant,
        bell: tuple[bytes, tuple[int, int]] | None = None,
        via: Incarnation | None = None,
        at_ms: int = 0,
    ) -> None:
        """Do an act asked for in `cell`, at `pose`; the answer, `Done`, comes when it is durable or refused.

        `bell` is the declared bell that a `ring` strikes, its id and position. `via` is the node that passed the act
        on and gets the answer, in an `ActDone`; else it goes to `conn`, or to `take_kept` if that is `KEPT`. `at_ms` is
        when an act that was kept was asked for.
        """
        asked = Asked(avatar, login.ms, message, pose, bell, via, at_ms)
        self._holder.act(conn, asked, cell, lapsed, out, now)

    def take_kept(self) -> list[tuple[Asked, Done]]:
        """The answers to acts that were kept here, since the last call."""
        kept, self._station.kept = self._station.kept, []
        return kept

    def answer(self, conn: int, asked: Asked, done: Done | Refusal, out: Outbox) -> None:
        """Answer an act that changes no object, or is declined before it comes here, the way `act` answers."""
        self._holder.answer(conn, asked, done, out)

    def expunge(self, object_id: bytes, out: Outbox, now: Instant) -> int:
        """Take an object, but no bell, down for good in every cell held here that shows it; in how many it began."""
        begun = 0
        for record in self._records.values():
            shown = record.held.shown.get(object_id) if record.held else None
            if shown is not None and shown.kind != "bell":
                down = ObjectCell()
                down.expunge(object_id)
                begun += self._holder.gift(record, Gift(down), out, now)
        self.counters["expunging"] += begun
        return begun

    def lost(self, conn: int) -> None:
        """A socket is gone: the answers of its acts go nowhere, and never to who gets its number next."""
        self._holder.lost(conn)

    # ---- links

    def from_holder(
        self,
        peer: Incarnation,
        message: CellDelta | CellState,
        city_map: CityMap,
        out: Outbox,
        now: Instant,
    ) -> None:
        """A cell's change or whole state: from its holder to be kept, or from another to be merged by the holder."""
        if reason := self._take(peer, message, city_map, out, now):
            self.counters[f"cell-not-taken-{reason}"] += 1
            out.sends.append(ToPeer(peer, CellRefused(message.cell, message.epoch, reason)))

    def _take(
        self, peer: Incarnation, message: CellDelta | CellState, city_map: CityMap, out: Outbox, now: Instant
    ) -> str | None:
        """Why it is not taken, None if it is."""
        try:
            cell = Cell(message.cell)
            told = ObjectCell.from_bytes(message.state if isinstance(message, CellState) else message.delta)
        except (ValueError, RemoteError):
            return "malformed"
        holding = city_map.cells.get(cell)
        if holding is None or not city_map.is_listed(peer):
            return "epoch"
        newest = told.newest_stamp()
        if newest is not None and not admissible(newest, now.wall_ms, CLOCK_SKEW_MS):
            return "clock"
        record = self._records.get(cell)
        if holding.holder == self._station.me and record is not None and record.held is not None:
            if not isinstance(message, CellState):
                return "epoch"
            if len(record.state) + len(told) > 2 * OBJECTS_PER_CELL:
                return "full"
            gift = Gift(told, ToPeer(peer, CellStored(cell, message.epoch, message.n)))
            return None if self._holder.gift(record, gift, out, now) else "busy"
        if holding.holder != peer or holding.epoch != message.epoch:
            return "epoch"
        self._keeper.heard(self._record(cell), peer, message, told, out)
        return None

    def from_standby(
        self, peer: Incarnation, message: CellStored | CellRefused, out: Outbox, now: Instant
    ) -> None:
        """The answer of a node that was sent a cell's change or state, or a known cell."""
        record = self._records.get(message.cell)
        if record is not None and record.held is not None:
            if isinstance(message, CellStored):
                self._holder.stored(record, peer, message, out, now.boot_s)
            else:
                self._holder.refused(record, peer, message, out, now.boot_s)
            return
        if isinstance(message, CellStored):
            self._giving.stored(peer, message)

    def link_up(self, peer: Incarnation, caps: tuple[str, ...]) -> None:
        """A node is linked that understands these."""
        self._audit.link_up(peer, caps)

    def link_down(self, peer: Incarnation, out: Outbox) -> None:
        """A node is linked no more."""
        self._audit.link_down(peer, out)

    def compare(
        self,
        peer: Incarnation,
        message: CellRoots | CellAsk | CellTwigs | CellPart,
        city_map: CityMap,
        out: Outbox,
        now: Instant,
    ) -> None:
        """A digest, question or answer between two copies of a cell that should be equal."""
        match message:
            case _ if not city_map.is_listed(peer):
                self.counters["audit-unlisted"] += 1
            case CellRoots():
                self._audit.roots(peer, message, out, now.boot_s)
            case CellAsk():
                self._audit.asked(peer, message, out, now.boot_s)
            case CellTwigs() | CellPart():
                self._audit.told(peer, message, out)

    def offer(self, cell: Cell, to: Incarnation, out: Outbox, now: Instant) -> None:
        """Send a held cell to a node that may become its standby, and its changes from then on; safe to repeat."""
        record = self._records.get(cell)
        if record is not None and record.held is not None:
            self._holder.follow(record, to, out, now.boot_s)

    def synced_with(self, cell: Cell, peer: Incarnation) -> bool:
        """Whether a node has all of a held cell, to its last change, on its disk: it may be proposed as standby."""
        record = self._records.get(cell)
        follower = record.held.followers.get(peer) if record and record.held else None
        if record is None or follower is None or follower.failed:
            return False
        return follower.acked >= record.n

    def brought_in_step(self, cell: Cell, peer: Incarnation, out: Outbox, now: Instant) -> bool:
        """Whether a node has all of a held cell; if not, it is offered the cell."""
        if self.synced_with(cell, peer):
            return True
        self.offer(cell, peer, out, now)
        return False

    def count_as_standby(self, cell: Cell, peer: Incarnation) -> None:
        """From now on acknowledgements need this node too: call it before the proposal to list it leaves.

        It lasts until a newer map is applied, from which the outcome of the proposal shows, or `discount_standby`.
        """
        record = self._records.get(cell)
        follower = record.held.followers.get(peer) if record and record.held else None
        if follower is not None:
            follower.counted_at = self._stamp

    def discount_standby(self, cell: Cell, peer: Incarnation, out: Outbox) -> None:
        """The proposal to list this node is known to have failed, though no newer map was read."""
        record = self._records.get(cell)
        follower = record.held.followers.get(peer) if record and record.held else None
        if record is not None and follower is not None:
            follower.counted_at = None
            self._holder.settle(record, out)

    # ---- time and disk

    def tick(self, out: Outbox, now: Instant) -> None:
        """Send again what was not answered, and try again to save what was not saved."""
        self._holder.tick(out, now.boot_s)
        self._audit.tick(out, now.boot_s)
        self._giving.tick(self._audit, out, now.boot_s)
        if now.boot_s >= self._retry_s:
            self._retry_s = math.inf
            for record in self._records.values():
                if record.held is not None and not record.held.based:
                    self._holder.pump(record, out, now)

    def leaving(self, number: int) -> None:
        """All writes asked for since the last call leave in the Ready of this number."""
        if self._station.begun:
            self._sent[number] = self._station.begun
            self._station.begun = []

    def advance(self, done: Wrote | WriteFailed, out: Outbox, now: Instant) -> None:
        """The disk has answered for the writes of one Ready."""
        records = self._sent.pop(done.number, [])
        if isinstance(done, Wrote):
            self.disk_failed = self.disk_failed and not records
        elif records:
            # a write that the lease's end dropped is missing as much as one that the disk refused
            self._retry_s = now.boot_s + _BASE_RETRY_S
            if done.reason != "lapsed":
                self.disk_failed = True
                self.counters["disk-failed"] += 1
        for record in records:
            if isinstance(done, Wrote):
                self._written(record, out, now)
            else:
                self._failed(record, done.reason, out, now)

    def _written(self, record: Record, out: Outbox, now: Instant) -> None:
        batch, record.writing = record.writing, None
        assert batch is not None, "the disk answered for a write that nobody began"
        held = record.held
        mine = held is not None and batch.held is held
        if (
            held is not None and not mine
        ):  # written in an earlier role: it may be confirmed, so it must not be lost
            record.state = record.state.copy()
            changed = record.state.merge_in(batch.state)
            changed |= set(reconcile(record.state, held.replica, held.clock, now.wall_ms))
            record.n = max(record.n, batch.n)
            self._holder.show(record, changed)
        else:
            record.state, record.epoch, record.n = batch.state, batch.epoch, batch.n
        record.deltas = record.deltas + batch.deltas if batch.deltas else 0
        record.delta_bytes = record.delta_bytes + batch.delta_bytes if batch.deltas else 0
        if mine:
            self._holder.written(record, batch, out, now)
        elif held is not None:
            self._holder.pump(record, out, now)
        elif record.holder is not None:
            self._audit.reached(record, out, now.boot_s)
            self._keeper.pump(record, out)
        else:
            self._shelve(record, out)

    def _failed(self, record: Record, reason: str, out: Outbox, now: Instant) -> None:
        batch, record.writing = record.writing, None
        assert batch is not None, "the disk answered for a write that nobody began"
        held = record.held
        if held is not None and batch.held is held:
            self._holder.failed(record, batch, reason == "lapsed", out, now)
        elif held is not None:
            self._holder.pump(record, out, now)
        elif record.holder is not None:
            self._keeper.failed(record, batch, "lapsed" if reason == "lapsed" else "disk", out)
        else:
            self._shelve(record, out)

    def rewrite(self, cell: int, out: Outbox, now: Instant) -> None:
        """Write all of a cell again: what the disk has of it is damaged."""
        self.counters["cell-rewritten"] += 1
        record, known = self._records.get(cell), self._known.get(Cell(cell))
        if known is not None:
            out.writes.append(SaveState(Cell(cell), known.epoch, known.n, known.state))
        elif record is not None:
            record.deltas = DELTAS_MAX  # the next write is of the whole state
            if record.held is not None:
                self._holder.pump(record, out, now)
            else:
                self._keeper.pump(record, out)

    # ---- to clients

    def shown(self, cell: int) -> Mapping[bytes, WorldObject] | None:
        """All objects of a held cell that this disk has, as clients see them; None if it is not held here.

        An object that has changed is another one, never the same with other fields.
        """
        record = self._records.get(cell)
        return record.held.shown if record is not None and record.held is not None else None

    def drain_changes(self) -> list[tuple[Cell, ObjectsMessage]]:
        """What has become durable in held cells since the last call, for who stands in them."""
        changes: list[tuple[Cell, ObjectsMessage]] = []
        for cell in self._holder.take_fresh():
            record = self._records.get(cell)
            if record is None or record.held is None:
                continue
            fresh, record.held.fresh = sorted(record.held.fresh), set()
            for at in range(0, len(fresh), _CHUNK):
                ids = fresh[at : at + _CHUNK]
                shown = tuple(record.held.shown[one] for one in ids if one in record.held.shown)
                gone = tuple(one for one in ids if one not in record.state)
                if shown or gone:
                    changes.append((record.cell, ObjectsMessage(record.cell, shown, gone)))
        return changes

    # ---- looking

    def digest(self, cell: Cell) -> bytes | None:
        """The hash of a cell's state here, equal on two nodes exactly where the states are; None if it is not here."""
        record = self._records.get(cell)
        return record.state.digest() if record is not None else None

    def status(self) -> dict[str, object]:
        """Plain values for the operator."""
        held = [record for record in self._records.values() if record.held is not None]
        return {
            "held": len(held),
            "followed": len(self._records) - len(held),
            "known": len(self._known),
            "objects": sum(len(record.held.shown) for record in held if record.held),
            "acts_pending": self._holder.pending,
            "disk_failed": self.disk_failed,
            "standbys_to_drop": len(self._holder.wants_drop),
            "to_give_back": len(self._giving),
        }


_NEVER: Final = Instant(0.0, 0)
