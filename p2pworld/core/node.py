"""One node as one machine: everything it hears goes in, everything it wants done comes out.

The `Node` composes the machines of the layers below: ownership (which ground is mine, and am I still allowed to act),
people (logins and handoffs), the crowd (poses), objects, and the way of what is filed. It holds no socket, file, clock
or task: its shell feeds it events with the time, asks for `ready()`, carries that out in the order of `drive`, and
tells it what became durable.
After every call the shell drains `ready()` until it is None.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import numpy as np

from p2pworld.civic.relay import AskerFiled, HolderAnswered, HoldersFail
from p2pworld.geometry import Cell
from p2pworld.limits import HANDOFFS_OPEN
from p2pworld.messages import (
    Border,
    Bye,
    ClientLost,
    ClientOpened,
    ClientSaid,
    ClientsFiled,
    Correct,
    Frame,
    HangUp,
    Instant,
    LinkDown,
    LinkUp,
    Load,
    Pace,
    PeerSaid,
    Ready,
    ToClient,
    ToPeer,
    WriteFailed,
    Wrote,
)
from p2pworld.world.borders import border_batches
from p2pworld.world.crowd import MINE
from p2pworld.world.interest import leaf_frames
from p2pworld.world.ownership import (
    Began,
    Ended,
    LeaseEnded,
    MapNews,
    MapRead,
    ProposalUnknown,
    Proposed,
    Registered,
    Renewed,
    StandbyProposed,
    StoreFailed,
)
from p2pworld.world.region import RegionIndex
from p2pworld.world.rendezvous import wait_s
from p2pworld.world.riders import NO_ROOM_AHEAD

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable, Collection, Iterable, Mapping

    from numpy.typing import NDArray

    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import Refusal
    from p2pworld.grants import Grant
    from p2pworld.ids import Incarnation
    from p2pworld.messages import SaveRecord
    from p2pworld.revocation import Notice as RevocationNotice
    from p2pworld.world.citymap import CityMap, Member
    from p2pworld.world.moderation import Asking, Filed, Sanction
    from p2pworld.world.objects import SavedCell
    from p2pworld.world.overload import At


from p2pworld.core.acting import Acting
from p2pworld.core.clients import Clients
from p2pworld.core.ground import Ground
from p2pworld.core.parts import NodeConfig, Parts
from p2pworld.core.peers import Peers
from p2pworld.core.pulse import Pulse
from p2pworld.core.standing import Standing
from p2pworld.core.tending import Tending

__all__ = ["Event", "Node", "StoreAnswer"]

StoreAnswer = Registered | Renewed | MapRead | Proposed | ProposalUnknown | LeaseEnded | StoreFailed
Filing = AskerFiled | HolderAnswered | HoldersFail
Event = (
    ClientOpened
    | ClientSaid
    | ClientsFiled
    | ClientLost
    | LinkUp
    | LinkDown
    | PeerSaid
    | StoreAnswer
    | Filing
)

_NOTHING: AbstractContextManager[None] = nullcontext()


def _untimed(_: str) -> AbstractContextManager[None]:
    return _NOTHING


class Node:
    """One life of a node's process. `entropy` is 32 secret bytes; `journal` what its disk held; `ends` names an earlier
    incarnation of this node whose process is proven dead, or is 0. `parts` are for checkers to look at. A shell that
    measures where time goes sets `timed`, which makes a context of the name of a stage."""

    def __init__(
        self,
        config: NodeConfig,
        keys: Signer,
        entropy: bytes,
        journal: Mapping[int, SavedCell],
        ends: int,
        now: Instant,
        records: Iterable[SaveRecord] = (),
    ) -> None:
        self.config = config
        self.timed: Callable[[str], AbstractContextManager[None]] = _untimed
        self.parts = Parts(config, keys, entropy, journal, ends, now, records)
        self._tending = Tending(self.parts)
        self._ground = Ground(self.parts)
        self._acting = Acting(self.parts, self._tending)
        self._clients = Clients(self.parts, self._acting)
        self._pulse = Pulse(self.parts)
        self._peers = Peers(self.parts, self._tending, self._ground, self._acting, self._pulse)
        self._frames: list[Frame] = []
        self._waiting: dict[int, tuple[float, np.void]] = {}
        self._ready_number = 0
        self._ticks = 0  # on the city clock, of the length this node is set to
        self._standing = Standing(self.parts)
        self._started_s = now.boot_s

    @property
    def who(self) -> Incarnation:
        """This incarnation; its number is 0 until the coordination store has given one."""
        return self.parts.ownership.who

    @property
    def city_map(self) -> CityMap:
        """The newest city map this node has read."""
        return self.parts.ownership.city

    @property
    def map_version(self) -> int:
        """The version of `city_map`."""
        return self.parts.ownership.city.version

    @property
    def lapsed(self) -> bool:
        """Whether this node's lease has run out, as of the last step or tick."""
        return self.parts.people.lapsed

    def peers(self) -> tuple[Member, ...]:
        """Whom to be linked with: every other member of the city map."""
        return tuple(m for m in self.parts.city.members.values() if m.node != self.parts.who.node)

    def step(self, event: Event, now: Instant) -> None:
        """One event: from a play socket, a link, the coordination store, or those who file and hold civic logs here."""
        parts = self.parts
        parts.people.lapsed = self._standing.may_not_act(now)
        if isinstance(event, ClientOpened | ClientSaid | ClientsFiled | LinkUp | PeerSaid):
            self._standing.heard()
        match event:
            case ClientOpened():
                parts.people.opened(event.conn)
                parts.pacer.opened(event.conn, now.boot_s)
                parts.readers.opened(event.conn)
            case ClientSaid():
                self._clients.said(event.conn, event.message, now)
            case ClientLost():
                parts.people.lost(event.conn, now)
                parts.objects.lost(event.conn)
                parts.showing.lost(event.conn)
                self._acting.lost(event.conn)
                parts.pending.lost(event.conn)
                parts.speech.lost(event.conn)
                parts.friends.lost(event.conn)
                parts.moderation.lost(event.conn)
                parts.relay.lost(event.conn)
                self._waiting.pop(event.conn, None)
            case LinkUp():
                self._peers.link_up(event.peer, event.caps, event.grants)
            case LinkDown():
                self._peers.link_down(event.peer)
            case ClientsFiled(files):
                for conn, file in files:
                    parts.relay.client_filed(conn, file, now.boot_s)
            case AskerFiled():
                parts.relay.asker_filed(event, now.boot_s)
            case HolderAnswered():
                parts.relay.holder_answered(event, now.boot_s)
            case HoldersFail(streams):
                parts.relay.yields = streams
            case PeerSaid():
                self._peers.said(event, now)
                if parts.rendezvous.complete:
                    self.draw(now)
            case _:
                parts.ownership.step(event, now)
                self._follow_ownership(now)
        self._settle(now)

    def poses(self, conns: NDArray[np.int32], rows: NDArray[np.void], now: Instant) -> None:
        """The hot path: row i (POSE_DTYPE) came from play socket `conns[i]`, in the order of arrival."""
        parts = self.parts
        self._standing.heard()
        if parts.people.seated:
            seated = np.fromiter(parts.people.seated, np.int32)
            for i in np.flatnonzero(np.isin(conns, seated)).tolist():
                self._waiting[int(conns[i])] = (now.boot_s, rows[i].copy())
        parts.pacer.arrived(conns, now.boot_s)
        self._judge_readers(conns, rows["ack"])
        applied = parts.crowd.apply_poses(conns, rows, parts.index, now.boot_s)
        parts.counters["poses"] += applied.accepted
        for reason, count in applied.dropped.items():
            parts.counters[f"pose-{reason}"] += count
        for conn, seq, pose, reason in applied.corrections:
            parts.counters[f"correct-{reason}"] += 1
            parts.out.sends.append(ToClient(conn, Correct(seq, pose, reason)))

    def tick(self, now: Instant, busy: float = 0.0) -> None:
        """Every `tick_ms`: leases, timers, and what neighbours are told of my avatars. Its frames follow with `draw`.

        `busy` is how much of the time since the last tick the shell's loop was used, over 1.0 if ticks were missed.
        """
        parts = self.parts
        self.draw(now)
        self._pulse.tick(busy, now)
        self._ticks = parts.clock.count(now.boot_s, self.config.tick_ms)
        self._standing.listen(self.tick_ms, now)
        parts.ownership.tick(now)
        self._follow_ownership(now)
        self._standing.judge(now)
        people, crowd, index = parts.people, parts.crowd, parts.index
        people.tick(now)
        parts.counters["ghosts-expired"] += crowd.expire(now.boot_s, parts.ghost_ttl_s)
        parts.riders.tick(index, people.leaving_rows(), now)
        parts.visits.tick(index, now)
        parts.friends.tick(now)
        parts.relay.tick(now.boot_s)
        self._walkers(now)
        self._settle(now)
        for conn, shift_ms in parts.pacer.shifts(now.boot_s, self.tick_ms):
            parts.out.sends.append(ToClient(conn, Pace(shift_ms)))
        parts.rendezvous.begin(now.boot_s, self.tick_ms)
        if not self._tell_borders(now) and parts.rendezvous.complete:
            self.draw(now)

    def _tell_borders(self, now: Instant) -> bool:
        """Tell each neighbour who stands at our border; whether there was anything to tell."""
        parts = self.parts
        t_ms = int(now.boot_s * 1000)
        told = False
        for holder, (rows, density) in border_batches(parts.crowd, parts.index, t_ms).items():
            peer = parts.index.holders[holder]
            if peer in parts.links:
                told = True
                batch = Border(t_ms, rows.tobytes(), density, self.tick_ms)
                parts.out.sends.append(ToPeer(peer, batch))
        return told

    def draw(self, now: Instant) -> None:
        """The frames of the tick that began last, unless they are built already.

        The shell calls it once what `tick` said to the neighbours has left, and waits with it for their batches as long
        as `awaits` says; when the last of those comes, the node draws by itself.
        """
        parts = self.parts
        if not parts.rendezvous.undrawn:
            return
        parts.rendezvous.drawn()
        far = [density for until_s, density in parts.densities.values() if now.boot_s < until_s]
        t_ms = int(now.boot_s * 1000) & 0xFFFFFFFF
        with self.timed("interest"):
            shown = leaf_frames(parts.crowd, self._ticks, t_ms, far, parts.overload.shed)
        self._frames += shown.frames
        for reason, clients in shown.withheld.items():
            parts.counters[f"shed-{reason}"] += clients
        self._spare_slow_readers(t_ms)
        self._acting.tick(now)
        self._tending.tick(now)
        self._ground.tick(self.people_by_cell, now)

    def _judge_readers(self, conns: NDArray[np.int32], acks: NDArray[np.uint8]) -> None:
        """What clients of mine acknowledge; a ghost's or a guest's socket speaks of another node's frames."""
        parts = self.parts
        rows = parts.crowd.conn_row[conns]
        mine = (rows >= 0) & (parts.crowd.kind[rows] == MINE)
        for conn in parts.readers.acked(conns[mine], acks[mine]):
            parts.counters["readers-lost"] += 1
            parts.out.sends.append(
                HangUp(conn, Bye("slow", "You read too slowly: you are 10 seconds behind."))
            )

    def _spare_slow_readers(self, t_ms: int) -> None:
        """Take those who read slowly out of every second tick's frames."""
        parts = self.parts
        parts.readers.framed(t_ms)
        resting = parts.readers.resting()
        if resting:
            for i, frame in enumerate(self._frames):
                conns = tuple([conn for conn in frame.conns if conn not in resting])
                parts.counters["frames-rested"] += len(frame.conns) - len(conns)
                self._frames[i] = Frame(conns, frame.payloads)

    def frames_dropped(self) -> None:
        """The shell is late: the frames before those it has just been given never left."""
        self.parts.readers.dropped()

    @property
    def tick_ms(self) -> int:
        """How long a tick is now."""
        return self.parts.overload.tick_ms

    @property
    def bearing(self) -> At:
        """How well this node bears its load: what it leaves out, and whether its tick is longer."""
        return self.parts.overload.at

    @property
    def draws(self) -> bool:
        """Whether the last tick's frames are still to be built."""
        return self.parts.rendezvous.undrawn

    @property
    def awaits(self) -> float:
        """How many seconds after the tick its frames may be built at the latest; 0.0: nobody is waited for."""
        return 0.0 if self.parts.rendezvous.complete else wait_s(self.tick_ms)

    def next_tick(self, due_s: float, now: Instant) -> tuple[float, int]:
        """After the tick that was due at `due_s` (boot clock): when the next one is, and how many were missed."""
        return self.parts.clock.next_tick(due_s, now.boot_s, self.tick_ms)

    def load_of(self, peer: Incarnation) -> Load | None:
        """What this node, or one it is linked with, bears."""
        return self._pulse.load_of(peer)

    def people_of(self, peer: Incarnation, now: Instant) -> Mapping[Cell, int] | None:
        """How many stand where on the ground of this node, or of one it is linked with; None: it has not said."""
        if peer == self.who:
            return self.people_by_cell()
        return self.parts.steward.people_of(peer, now.boot_s)

    def name_of(self, peer: Incarnation) -> str:
        """What its operator calls this node, or one it is linked with; empty if it has not said."""
        return self.parts.config.name if peer == self.who else self.parts.steward.name_of(peer)

    def other_urls(self) -> tuple[str, ...]:
        """Play urls of other nodes, the least busy first."""
        return self.parts.people.other_urls()

    def advance(self, done: Wrote | WriteFailed, now: Instant) -> None:
        """The disk's answer to the writes of one Ready."""
        parts = self.parts
        parts.objects.advance(done, parts.out, now)
        parts.moderation.advance(done)
        parts.pending.advance(done)
        parts.notices.advance(done)
        self._tending.tell_changes(now)

    def rewrite(self, cell: int, now: Instant) -> None:
        """What the disk has of a cell's objects is not what was written: write it anew."""
        self.parts.objects.rewrite(cell, self.parts.out, now)

    def drain(self) -> None:
        """Give all ground away from now on, hand everybody off, and leave the map; `drained` says when it is done."""
        self.parts.draining = True

    @property
    def drained(self) -> bool:
        """Whether there is nothing more to give away, or nobody to give it to: `leave` may follow."""
        return self._ground.drained

    def leave(self, now: Instant) -> None:
        """Orderly shutdown: act on no ground any more, and send every client to the other nodes."""
        parts = self.parts
        parts.ownership.leave(now)
        parts.people.lapsed = True
        parts.people.hang_up_all(Bye("leaving", "This node is being shut down; log in at another."))

    def ready(self) -> Ready | None:
        """All that is wanted since the last call, or None."""
        parts = self.parts
        out, requests = parts.out, parts.ownership.take_requests()
        if not (self._frames or out.sends or out.writes or out.held or out.civic or requests):
            return None
        self._ready_number += 1
        if out.writes:
            parts.objects.leaving(self._ready_number)
            parts.moderation.leaving(self._ready_number)
            parts.pending.leaving(self._ready_number)
            parts.notices.leaving(self._ready_number)
        ready = Ready(
            self._ready_number,
            tuple(self._frames),
            tuple(out.sends),
            tuple(out.writes),
            tuple(out.held),
            requests,
            parts.ownership.deadline_s,
            civic=tuple(out.civic),
        )
        self._frames.clear()
        out.sends.clear()
        out.writes.clear()
        out.held.clear()
        out.civic.clear()
        return ready

    def _follow_ownership(self, now: Instant) -> None:
        parts = self.parts
        for news in parts.ownership.take_news():
            match news:
                case Began():
                    parts.people.begin(news.who, parts.fits)
                    parts.objects.begin(news.who)
                    parts.index = RegionIndex(parts.city, parts.who)
                    parts.clock.begin(news.who)
                    parts.relay.map_changed(parts.city, parts.who)
                case Ended():
                    parts.people.lapsed = True
                    parts.people.hang_up_all(Bye("again", "This node lost its lease; log in at another."))
                    parts.relay.map_changed(parts.city, parts.who)
                case StandbyProposed():
                    for cell in news.cells:
                        parts.objects.count_as_standby(cell, news.peer)
                case MapNews():
                    self._map_changed(news, now)
        parts.people.lapsed = self._standing.may_not_act(now)

    def _map_changed(self, news: MapNews, now: Instant) -> None:
        parts = self.parts
        parts.counters["map-changes"] += 1
        parts.index = RegionIndex(news.new, parts.who)
        parts.people.map_changed(news.new, news.ended, now)
        parts.relay.map_changed(news.new, parts.who)
        parts.objects.apply_map(news.new, parts.who, parts.links.keys(), parts.out)
        parts.cell_of[:] = 0
        self._peers.map_read(now)

    def _walkers(self, now: Instant) -> None:
        """Who has left my ground is handed off, so many at a time; who turned back in time stays."""
        parts = self.parts
        people, crowd, index = parts.people, parts.crowd, parts.index
        rows, _, holders = index.crossers(crowd)
        leaving = people.leaving_rows()
        if len(rows) > len(leaving):
            room = HANDOFFS_OPEN - len(leaving)
            begin = (~np.isin(rows, leaving)).nonzero()[0]
            for row, holder in zip(rows[begin].tolist(), holders[begin].tolist(), strict=True):
                if room <= 0:
                    parts.counters["handoffs-put-off"] += 1
                    break
                if not parts.riders.stays(row):
                    people.crossed(row, index.holders[holder], now)
                    room -= 1
            leaving = people.leaving_rows()
        if leaving:
            at = np.array(leaving, np.int32)
            home = index.holder_at(crowd.east_cm[at], crowd.north_cm[at]) == 0
            for row in at[home].tolist():
                people.came_back(row, now)

    def _settle(self, now: Instant) -> None:
        """Those who have just become mine: their waiting pose, and the objects around them; riders without a seat."""
        parts = self.parts
        while parts.people.refused_riders:
            refused = parts.crowd.row_of.get(parts.people.refused_riders.pop())
            if refused is not None:
                parts.riders.set_down(refused, parts.index, now, NO_ROOM_AHEAD)
        while parts.people.welcomed:
            avatar, told = parts.people.welcomed.pop()
            row = parts.crowd.row_of.get(avatar)
            if row is None or parts.crowd.conn[row] < 0:
                continue
            conn = int(parts.crowd.conn[row])
            parts.cell_of[row] = 0
            parts.riders.came(row, now)
            if told is not None:
                parts.tellings.came(avatar, told, now)
            heard_s, pose = self._waiting.pop(conn, (0.0, None))
            if pose is not None and now.boot_s - heard_s < 1.0:
                applied = parts.crowd.apply_poses(
                    np.array([conn], np.int32), pose.reshape(1), parts.index, now.boot_s
                )
                parts.counters["poses-kept"] += applied.accepted

    def status(self, now: Instant) -> dict[str, object]:
        """Plain values for the operator: who this is, what it holds, how it is."""
        parts = self.parts
        crowd, city = parts.crowd, parts.city
        return {
            "node": parts.who.node.hex(),
            "incarnation": parts.who.number,
            "map_version": city.version,
            "lapsed": parts.ownership.lapsed(now),
            "lease_left_s": round(max(0.0, parts.ownership.deadline_s - now.boot_s), 3),
            "cells_held": len(city.cells_of(parts.who)),
            "cells_standby": len(city.standby_cells(parts.who)),
            "draining": parts.gives_all,
            "clients": parts.people.clients,
            "load": round(parts.overload.load, 3),
            "tick_ms": parts.overload.tick_ms,
            "shed_level": parts.overload.shed,
            "step": parts.overload.at.name.lower(),
            "clock_ahead_s": round(parts.clock.ahead_s, 6),
            "avatars": len(crowd.rows(MINE)),
            "rows": crowd.count,
            "links": len(parts.links),
            "uptime_s": round(now.boot_s - self._started_s, 1),
            "directory": len(parts.people.directory),
            "objects": parts.objects.status() | {"pending": len(parts.pending)},
            "ownership": parts.ownership.status(now),
            "moderation": parts.moderation.status(),
            "taken_back": parts.notices.status(),
            "filing": {"held": [held.stream for held in parts.relay.held], "open": parts.relay.open},
        }

    def people_by_cell(self) -> dict[Cell, int]:
        """How many avatars of mine stand in each cell of the map."""
        parts = self.parts
        rows = parts.crowd.rows(MINE)
        leaves = parts.index.leaf_at(parts.crowd.east_cm[rows], parts.crowd.north_cm[rows])
        found, counts = np.unique(parts.index.cells[leaves], return_counts=True)
        return {Cell(int(cell)): int(count) for cell, count in zip(found, counts, strict=True)}

    def all_counters(self) -> Counter[str]:
        """Everything counted here, by what it is."""
        return sum((machine.counters for machine in self.parts.counting()), self.parts.counters)

    # ------------------------------------------------------------------------------------------------- taken back

    def take_back(self, data: bytes, now: Instant) -> RevocationNotice | Refusal:
        """A notice from its issuer, or from the store: heeded, kept and passed on, or why not."""
        return self._tending.take_back(data, now, None)

    def has_notice(self, notice: RevocationNotice) -> bool:
        """Whether this notice is on this node's disk."""
        return self.parts.notices.is_kept(notice)

    def notices_beyond(self, names: Collection[bytes]) -> list[tuple[bytes, bytes]]:
        """(name, bytes) of the notices known here that are none of these."""
        return self.parts.notices.missing(names)

    def voids(self, chain: tuple[Grant, ...], at_ms: int) -> Refusal | None:
        """Why these grants count no longer, as far as this node knows."""
        return self.parts.notices.voids(chain, at_ms)

    def own_fault(self, now: Instant) -> Refusal | None:
        """Why this node itself may take part no longer."""
        return self.voids(self.config.grants, now.wall_ms)

    # ------------------------------------------------------------------------------------------------- moderation

    def order(self, data: bytes, now: Instant) -> Sanction | Refusal:
        """A moderator's order, straight from its issuer: obeyed, kept and passed on, or why not."""
        return self._tending.obey(data, now, None)

    def is_kept(self, sanction: Sanction) -> bool:
        """Whether this order is on this node's disk."""
        return self.parts.moderation.is_kept(sanction)

    def reports(self, asking: Asking, now: Instant) -> tuple[tuple[bytes, Filed], ...] | Refusal:
        """What was reported here, for a moderator who asks."""
        return self.parts.moderation.reports(asking, self.who.node, now.wall_ms)
