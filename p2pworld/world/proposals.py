"""What one node proposes: the most urgent change of the city map that is its to make now, or none.

Standbys take over from the dead in their turn, and strangers clean up later; a holder lists who is in step with it,
hands over what it has frozen, cuts and merges; ground that nobody holds is claimed. So are streams of civic
transactions: one that several nodes can hold by whichever of them comes first, one that lies on a disk by the node
whose disk it is. Steps are pure (`citymap`); here is decided who takes which, and when. What it may propose at all is
for `ownership` to know.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.limits import REVOKED_TURN_S
from p2pworld.world.asking import Propose
from p2pworld.world.citymap import (
    EMPTY,
    STANDBYS_MAX,
    CityMap,
    Holding,
    Member,
    Wish,
    add_standby,
    claim,
    claim_stream,
    drain,
    drop_standby,
    fail_over,
    genesis,
    give_up_stream,
    hand_over,
    join,
    leave,
    merge,
    split,
    upgrade,
    wish,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from p2pworld.membership import LeaseJudge

__all__ = [
    "FALLOW_WAIT_S",
    "NO_WANTS",
    "ORPHAN_WAIT_S",
    "STANDBY_TURN_S",
    "STRANGER_WAIT_S",
    "Proposals",
    "StreamClaim",
    "Wants",
]

STANDBY_TURN_S: Final = 0.5  # between one who may take over and the next: twice the time to read the outcome
STRANGER_WAIT_S: Final = 2.0  # before one who is no standby cleans up after the dead
ORPHAN_WAIT_S: Final = 2.0  # before anybody takes ground that lost its holder, who may come back
FALLOW_WAIT_S: Final = (
    10.0  # before anybody takes ground that nobody has held: who claims it may still be starting
)


@dataclass(frozen=True, slots=True)
class StreamClaim:
    """A stream that this node can hold: `shared` if its store can be reached by others, else it is on this disk."""

    name: str
    shared: bool


@dataclass(frozen=True, slots=True)
class Wants:
    """What the rest of the node wants of the map.

    Of ground this node holds: standbys to `add`, which are in step, and to `drop`; cells to `give`, which are frozen
    and whose new holder is a listed standby in step; frozen cells to `cut` into their children, and parents whose
    frozen children are to be `merged`. Of the steward: `wishes`, and whether to `upgrade` the map's format. Of streams:
    which it `yields` to others. Of a node that ends: `drain`, to be given nothing more, and `retire`, to be listed no
    more.
    """

    add: Mapping[Incarnation, frozenset[Cell]] = field(default_factory=dict)
    drop: Mapping[Incarnation, frozenset[Cell]] = field(default_factory=dict)
    give: Mapping[Incarnation, frozenset[Cell]] = field(default_factory=dict)
    cut: frozenset[Cell] = frozenset()
    merged: frozenset[Cell] = frozenset()
    wishes: Mapping[Cell, Wish | None] = field(default_factory=dict)
    upgrade: bool = False
    yields: frozenset[str] = frozenset()
    drain: bool = False
    retire: bool = False


NO_WANTS: Final = Wants()


@dataclass(slots=True)
class _Shunned:
    """A member that may not take part: when to end its lease again, and until when it may act without one."""

    again_s: float
    until_s: float = math.inf


class Proposals:
    """The choice of the next proposal. `superseded` is set once a newer incarnation of this node stands in the map.

    A node that is `apart`, heard by nobody, joins the city and proposes nothing else.
    """

    def __init__(
        self,
        node: bytes,
        urls: tuple[str, str, str],
        claims: tuple[Cell, ...],
        take_orphans: bool,
        judge: LeaseJudge,
        former: frozenset[bytes] = frozenset(),
        streams: tuple[StreamClaim, ...] = (),
    ) -> None:
        self.who = Incarnation(node, 0)
        self.wants = NO_WANTS
        self.superseded = False
        self.apart = False
        self.counters: Counter[str] = Counter()
        self.dead_since_s: dict[Incarnation, float] = {}
        self._city = EMPTY
        self._judge = judge
        self._mine = former | {node}  # the keys that this node has or had
        self._shun_nodes: frozenset[bytes] = frozenset()
        self._shunned: dict[Incarnation, _Shunned] = {}
        self._urls, self._claims, self._take_orphans = urls, claims, take_orphans
        self._streams = streams
        self._unheld_since_s: dict[Cell, float] = {}
        self._turns: dict[Cell, int] = {}  # my rank for unheld cells, for the members of the map

    def begin(self, who: Incarnation) -> None:
        """Another incarnation proposes from now on; number 0: none."""
        self.who, self.wants, self.superseded = who, NO_WANTS, False

    def map_changed(self, city: CityMap, now_s: float) -> None:
        """A newer map was read."""
        old, self._city = self._city, city
        self._unheld_since_s = {cell: self._unheld_since_s.get(cell, now_s) for cell in city.unheld()}
        if old.members.keys() != city.members.keys():
            self._turns.clear()

    def follow_dead(self, now_s: float) -> None:
        """Since when each other member is believed dead."""
        others = [m.who for m in self._city.members.values() if m.who != self.who]
        dead = [who for who in others if self._is_dead(who, now_s)]
        self.dead_since_s = {who: self.dead_since_s.get(who, now_s) for who in dead}

    # ---- who may not take part

    def shun(self, nodes: frozenset[bytes]) -> None:
        """These nodes may not take part any more."""
        self._shun_nodes = nodes

    def leases_to_end(self, now_s: float) -> list[Incarnation]:
        """The leases of members that may not take part, again and again as long as they live.

        Not at once: they may end them themselves, and who has not heard of it yet would believe that they did.
        """
        listed = [m.who for m in self._city.members.values() if m.node in self._shun_nodes]
        self._shunned = {who: self._shunned.get(who) or _Shunned(now_s + REVOKED_TURN_S) for who in listed}
        due = []
        for who, shunned in self._shunned.items():
            lease = self._judge.lease(who)
            if lease is None or lease.ended:
                shunned.until_s = min(shunned.until_s, now_s + self._judge.patience_s)
            elif now_s >= shunned.again_s:
                shunned.again_s = now_s + REVOKED_TURN_S
                due.append(who)
        return due

    def _is_dead(self, who: Incarnation, now_s: float) -> bool:
        """Whether it surely acts no more. One who ended its lease itself does not; one whose lease others ended may
        believe in its last renewal for a while."""
        shunned = self._shunned.get(who)
        return self._judge.is_dead(who) and (shunned is None or now_s >= shunned.until_s)

    # ---- what to propose

    def next(self, now_s: float) -> Propose | None:
        """The most urgent change of the map that is this node's to propose now."""
        if not self._city.is_listed(self.who):
            return self._join()
        if self.apart:
            return None
        return (
            self._fail_over(now_s)
            or self._drain()
            or self._hold_streams()
            or self._drop_standbys()
            or self._change_ground()
            or self._add_standbys()
            or self._take(self._claimable)
            or self._take(lambda city: self._orphans(now_s))
            or self._steward()
            or self._retire()
        )

    def _victim(self, who: Incarnation) -> tuple[Incarnation, int] | None:
        """The lease by whose counter it was judged; None if the store has already forgotten it."""
        lease = self._judge.lease(who)
        return None if lease is None else (who, lease.counter)

    # ---- one function for each kind of proposal

    def _join(self) -> Propose | None:
        """Found the city or enter it, taking at once what is mine."""
        city, victim = self._city, None
        me = Member(self.who.node, self.who.number, *self._urls)
        if city.version == 0:
            if not self._claims and not self._take_orphans:
                return None
            return self._checked(genesis({me: self._claims}), None)
        listed = city.members.get(me.node)
        if listed is not None and listed.incarnation < me.incarnation:
            if listed.who not in self.dead_since_s:
                return None
            victim = self._victim(listed.who)
            guards = {s for holding in self._held_by(listed.who) for s in holding.standbys}
            if guards:
                if any(m.who not in self.dead_since_s for m in city.members.values()):
                    return None  # they take over first
                city = self._without_guards(city, listed.who)
        joined = join(city, me)
        if isinstance(joined, Refusal):
            self.counters[f"refused-{joined.reason}"] += 1
            self.superseded = joined.reason == "superseded"
            return None
        mine = [] if self.apart else self._claimable(joined)
        taken = claim(joined, self.who, mine) if mine else joined
        return Propose(joined if isinstance(taken, Refusal) else taken, self._city.version, victim)

    def _without_guards(self, city: CityMap, old: Incarnation) -> CityMap:
        """Nobody listed lives, so nobody can take over what the older incarnation held: its disk is the copy to use."""
        for guard in sorted({s for h in self._held_by(old) for s in h.standbys}):
            cells = [cell for cell in city.cells_of(old) if guard in city.cells[cell].standbys]
            freed = drop_standby(city, cells, old, guard) if cells else city
            assert not isinstance(freed, Refusal)
            city = freed
        return city

    def _fail_over(self, now_s: float) -> Propose | None:
        """Take the dead off the map, each in my turn."""
        dead = self.dead_since_s
        due = [(since_s + self._turn_s(who), who) for who, since_s in dead.items()]
        for due_s, who in sorted(due):
            if now_s >= due_s:
                silent = (dead.keys() | self._shunned.keys()) - {who}
                return self._checked(fail_over(self._city, who, self.who, silent), self._victim(who))
        return None

    def _turn_s(self, dead: Incarnation) -> float:
        """How long after the judgement it is mine to propose: standbys by rank first, then anybody by order."""
        silent = self.dead_since_s.keys() | self._shunned.keys()
        lists = [[s for s in h.standbys if s not in silent] for h in self._held_by(dead)]
        ranks = [standbys.index(self.who) for standbys in lists if self.who in standbys]
        if ranks:
            return min(ranks) * STANDBY_TURN_S
        living = sorted(m.who for m in self._city.members.values() if m.who not in silent)
        return STRANGER_WAIT_S + living.index(self.who) * STANDBY_TURN_S

    def _held_by(self, who: Incarnation) -> list[Holding]:
        city = self._city
        streams = [holding for holding in city.streams.values() if holding.holder == who]
        return [city.cells[cell] for cell in city.cells_of(who)] + streams

    def _hold_streams(self) -> Propose | None:
        """Take the streams that are mine to hold; leave to others what this node cannot, or not for long."""
        city, drains = self._city, self.wants.drain or not self._city.takes(self.who)
        for stream in self._streams:
            holding = self._city.streams.get(stream.name)
            ends = drains or (stream.shared and stream.name in self.wants.yields)
            if ends and stream.shared and holding is not None and holding.holder == self.who:
                city = self._kept(city, give_up_stream(city, self.who, stream.name))
            elif not ends and self._may_take(stream, holding):
                city = self._kept(city, claim_stream(city, self.who, stream.name, stream.shared))
        return self._unless_same(city)

    def _may_take(self, stream: StreamClaim, holding: Holding | None) -> bool:
        """Whether it is new, or nobody holds it and its store is this node's."""
        if holding is None:
            return True
        lost_here = holding.lost is not None and holding.lost.holder.node in self._mine
        return holding.holder is None and (stream.shared or lost_here)

    def _drop_standbys(self) -> Propose | None:
        def guarded(holding: Holding, peer: Incarnation) -> bool:
            return holding.holder == self.who and peer in holding.standbys

        return self._for_each_peer(self.wants.drop, guarded, drop_standby)

    def _add_standbys(self) -> Propose | None:
        def guardable(holding: Holding, peer: Incarnation) -> bool:
            return (
                holding.holder == self.who
                and peer not in (self.who, *holding.standbys)
                and len(holding.standbys) < STANDBYS_MAX
            )

        living = {
            peer: cells - self.wants.drop.get(peer, frozenset())
            for peer, cells in self.wants.add.items()
            if self._city.is_listed(peer) and peer not in self.dead_since_s
        }
        return self._for_each_peer(living, guardable, add_standby)

    def newly_guarding(self, proposed: CityMap) -> Mapping[Incarnation, frozenset[Cell]]:
        """The standbys, and of which cells, that this map lists for ground of mine and the present one does not."""
        found: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        for cell in proposed.cells_of(self.who):
            old = self._city.cells.get(cell)
            if old is not None and old.holder == self.who:
                for standby in proposed.cells[cell].standbys:
                    if standby not in old.standbys:
                        found[standby].add(cell)
        return {standby: frozenset(found[standby]) for standby in sorted(found)}

    def given_up(self, proposed: CityMap) -> frozenset[Cell]:
        """The leaves that are mine, and in this map another's, or no leaves."""
        return frozenset(c for c in self._city.cells_of(self.who) if proposed.holder_of(c) != self.who)

    def _change_ground(self) -> Propose | None:
        """Hand over, cut and merge what is frozen for it."""
        city = self._city
        for to, cells in sorted(self.wants.give.items()):
            ready = [c for c in sorted(cells) if self._is_mine(c) and to in self._city.cells[c].standbys]
            if ready and to not in self.dead_since_s:
                city = self._kept(city, hand_over(city, ready, self.who, to))
        for cell in sorted(self.wants.cut):
            if self._is_mine(cell):
                city = self._kept(city, split(city, cell))
        for parent in sorted(self.wants.merged):
            if all(self._is_mine(part) for part in parent.children()):
                city = self._kept(city, merge(city, parent))
        return self._unless_same(city)

    def _steward(self) -> Propose | None:
        """What the steward wishes of others' ground, as far as the map does not say so already."""
        city = self._city
        if self.wants.upgrade and city.format == 1:
            city = self._kept(city, upgrade(city))
        for cell, wished in sorted(self.wants.wishes.items()):
            holding = self._city.cells.get(cell)
            if holding is not None and holding.wish != wished:
                city = self._kept(city, wish(city, {cell: wished}))
        return self._unless_same(city)

    def _drain(self) -> Propose | None:
        """Say that this node gives all its ground away, where the map can tell it."""
        if not self.wants.drain or self._city.format == 1 or not self._city.takes(self.who):
            return None
        return self._checked(drain(self._city, self.who.node, True), None)

    def _retire(self) -> Propose | None:
        return self._checked(leave(self._city, self.who), None) if self.wants.retire else None

    def _is_mine(self, cell: Cell) -> bool:
        return self._city.holder_of(cell) == self.who

    def _kept(self, city: CityMap, step: CityMap | Refusal) -> CityMap:
        """The step, or the map as it was before if it was refused."""
        if isinstance(step, Refusal):
            self.counters[f"refused-{step.reason}"] += 1
            return city
        return step

    def _unless_same(self, city: CityMap) -> Propose | None:
        return None if city is self._city else Propose(city, self._city.version, None)

    def _for_each_peer(
        self,
        wanted: Mapping[Incarnation, frozenset[Cell]],
        fits: Callable[[Holding, Incarnation], bool],
        change: Callable[[CityMap, Iterable[Cell], Incarnation, Incarnation], CityMap | Refusal],
    ) -> Propose | None:
        """One proposal that takes the same step for each peer, on those of the cells that it still fits."""
        city = self._city
        for peer in sorted(wanted):
            cells = [
                c for c in sorted(wanted[peer]) if (h := city.cells.get(c)) is not None and fits(h, peer)
            ]
            if cells:
                city = self._kept(city, change(city, cells, self.who, peer))
        return self._unless_same(city)

    def _take(self, choose: Callable[[CityMap], list[Cell]]) -> Propose | None:
        if not self._unheld_since_s:
            return None
        cells = choose(self._city)
        return self._checked(claim(self._city, self.who, cells), None) if cells else None

    def _claimable(self, city: CityMap) -> list[Cell]:
        """The unheld ground to take at once: what this node held last, and what it claims if nobody has held it."""

        def is_mine(holding: Holding) -> bool:
            return holding.lost is not None and holding.lost.holder.node in self._mine

        def is_free(cell: Cell) -> bool:
            return city.cells[cell].holder is None and city.cells[cell].lost is None

        wanted = [cell for cell in city.unheld() if is_mine(city.cells[cell])]
        for cell in self._claims:
            leaf = city.leaf_around(cell)
            if leaf is not None:
                wanted += [cell] if is_free(leaf) else []
                continue
            parts = city.leaves_in(cell)
            free = [part for part in parts if is_free(part)]
            wanted += [cell] if len(free) == len(parts) else free
        return wanted

    def _orphans(self, now_s: float) -> list[Cell]:
        """The ground nobody has held for a while, as far as it is my turn to take it."""
        if not self._take_orphans:
            return []
        due = []
        for cell, since_s in self._unheld_since_s.items():
            wait_s = FALLOW_WAIT_S if self._city.cells[cell].lost is None else ORPHAN_WAIT_S
            if now_s >= since_s + wait_s:
                if cell not in self._turns:
                    self._turns[cell] = self._city.rank(cell, self.who)
                if now_s >= since_s + wait_s + self._turns[cell] * STANDBY_TURN_S:
                    due.append(cell)
        return due

    def _checked(self, step: CityMap | Refusal, victim: tuple[Incarnation, int] | None) -> Propose | None:
        if isinstance(step, Refusal):
            self.counters[f"refused-{step.reason}"] += 1
            return None
        return Propose(step, self._city.version, victim)
