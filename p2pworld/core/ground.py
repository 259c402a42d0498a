"""The ground of a node from tick to tick: standbys for what it holds, what it gives up and changes, and the steward.

Here is gathered what the node wants of the city map: from the standbys that follow, from ground on its way, from the
steward's counsel, and from its own wish to leave.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from p2pworld.geometry import Cell
from p2pworld.messages import GROUND, ToPeer
from p2pworld.world.crowd import MINE
from p2pworld.world.moving import evacuation
from p2pworld.world.proposals import Wants

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from p2pworld.core.parts import Parts
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Instant
    from p2pworld.world.steward import Counsel

__all__ = ["Ground"]

_STANDBYS_EVERY_S: Final = 0.5
_Cells = dict["Incarnation", frozenset[Cell]]


class Ground:
    """What this node does with its ground."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._able: dict[Incarnation, None] = {}  # linked, and able to hear of ground
        self._standbys_s = 0.0
        self._add: _Cells = {}
        self._drop: _Cells = {}
        self._counsel: Counsel | None = None

    def link_up(self, peer: Incarnation, caps: tuple[str, ...]) -> None:
        if GROUND in caps:
            self._able[peer] = None

    def link_down(self, peer: Incarnation) -> None:
        self._able.pop(peer, None)
        self._parts.steward.lost(peer)

    @property
    def drained(self) -> bool:
        """Whether this node, draining on its own account, has given up all that others can take."""
        parts, city = self._parts, self._parts.city
        if not parts.draining:
            return False
        if parts.ownership.retired or not city.is_listed(parts.who):
            return True
        return parts.ownership.believed_dead.issuperset(city.takers_beside(parts.who))

    def tick(self, people: Callable[[], Mapping[Cell, int]], now: Instant) -> None:
        """Say what is wanted of the map now. `people` counts mine by the leaf they stand in."""
        parts = self._parts
        if parts.people.lapsed:
            return
        if now.boot_s - self._standbys_s >= _STANDBYS_EVERY_S:
            self._standbys_s = now.boot_s
            self._seek_standbys(now)
        leaving = evacuation(parts.city, parts.who, self._reachable) if parts.gives_all else {}
        steps = parts.moving.tick(
            parts.city, parts.who, leaving, self._reachable, parts.ownership.giving, parts.out, now
        )
        counsel = self._take_counsel(people, now)
        parts.ownership.wants(
            Wants(
                add=_joined(self._add, steps.add),
                drop=self._drop,
                give=steps.give,
                cut=steps.cut,
                merged=steps.merged,
                wishes=(counsel and counsel.wishes) or {},
                upgrade=counsel is not None and counsel.upgrade,
                yields=parts.relay.yields,
                drain=parts.draining,
                retire=parts.draining and self._is_empty(),
            )
        )

    def _take_counsel(self, people: Callable[[], Mapping[Cell, int]], now: Instant) -> Counsel | None:
        """The last round's, which is told to the others when it is a new one."""
        parts = self._parts
        dead = parts.ownership.believed_dead
        counsel = parts.steward.tick(parts.city, parts.who, people, self._able, dead, now.boot_s)
        if counsel is not None:
            self._counsel = counsel
            parts.out.sends.extend(ToPeer(peer, counsel.report) for peer in self._able)
        return self._counsel

    def _reachable(self, who: Incarnation) -> bool:
        return who in self._parts.links and who not in self._parts.ownership.believed_dead

    def _is_empty(self) -> bool:
        """Whether nobody needs this node any more: no ground, no people, no cell it alone guards, no object to give."""
        parts, city = self._parts, self._parts.city
        if city.cells_of(parts.who) or len(parts.crowd.rows(MINE)) or parts.objects.owes:
            return False
        if city.takes(parts.who):  # the map cannot tell that it ends: nobody looks for another standby
            return True
        others = city.takers_beside(parts.who)
        guarded = (city.cells[cell] for cell in city.standby_cells(parts.who))
        return all(
            any(city.takes(standby) for standby in holding.standbys)
            or all(other == holding.holder for other in others)  # nobody else could guard it
            for holding in guarded
        )

    def _seek_standbys(self, now: Instant) -> None:
        """Every cell of mine should have one standby in step with it; who is slow, full or one too many is dropped.

        Another takes its place; if there is none, it is asked again, and listed once it has caught up.
        """
        parts, city = self._parts, self._parts.city
        add: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        drop: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        for number, standby in parts.objects.wants_drop:
            drop[standby].add(Cell(number))
        able = [peer for peer in parts.links if city.takes(peer) and self._reachable(peer)]
        able = [peer for peer in able if parts.objects.keeps_up(peer, now)] or able
        for cell in city.cells_of(parts.who):
            holding = city.cells[cell]
            staying = [standby for standby in holding.standbys if city.takes(standby)]
            if staying:
                for standby in holding.standbys if holding.wish is None else ():
                    if standby != staying[0]:
                        drop[standby].add(cell)
                continue
            if not able:
                continue
            peer = city.first_in_turn(cell, able)
            if parts.objects.brought_in_step(cell, peer, parts.out, now):
                add[peer].add(cell)
        self._add = {peer: frozenset(cells) for peer, cells in add.items()}
        self._drop = {peer: frozenset(cells) for peer, cells in drop.items()}


def _joined(one: _Cells, other: Mapping[Incarnation, frozenset[Cell]]) -> _Cells:
    return {
        peer: one.get(peer, frozenset()) | other.get(peer, frozenset())
        for peer in {**dict.fromkeys(one), **dict.fromkeys(other)}
    }
