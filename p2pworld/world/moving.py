"""Ground on its way: what this node has to hand over, to cut and to merge, and how far each of it is.

A cell moves in steps that anybody may see fail: its next holder becomes a standby that is listed and in step; the cell
is frozen, so that no act becomes durable in it; what was begun is settled on every listed disk; then the map changes,
and the people in it are handed off as if they had walked over. Cutting and merging freeze for the same reason: the
children's objects begin as what the parent's disks hold. A cell stays frozen until the outcome of the proposal is
known, and else for `FREEZE_S` at most, then it rests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.geometry import LEVEL_MAX, Cell
from p2pworld.ids import Incarnation
from p2pworld.world.citymap import WishKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from p2pworld.messages import Instant
    from p2pworld.world.citymap import CityMap
    from p2pworld.world.objects import Objects
    from p2pworld.world.outbox import Outbox

__all__ = ["FREEZE_S", "Moving", "Steps", "evacuation"]

FREEZE_S: Final = 1.5  # acts wait so long at most for a proposal to be made
_REST_S: Final = 2.0  # and this long passes before the next attempt
_TOGETHER: Final = 64  # cells frozen at once: each is one state to settle, and one row of a proposal


@dataclass(frozen=True, slots=True)
class Steps:
    """What is ready for the map: who may be listed as standby of what, and which cells may be given, cut, merged."""

    add: Mapping[Incarnation, frozenset[Cell]]
    give: Mapping[Incarnation, frozenset[Cell]]
    cut: frozenset[Cell]
    merged: frozenset[Cell]


class Moving:
    """The ground of one holder that is to change."""

    def __init__(self, objects: Objects) -> None:
        self.counters: Counter[str] = Counter()
        self._objects = objects
        self._frozen_s: dict[Cell, float] = {}
        self._rests_until_s: dict[Cell, float] = {}

    def tick(
        self,
        city: CityMap,
        me: Incarnation,
        leaving: Mapping[Cell, Incarnation],
        reachable: Callable[[Incarnation], bool],
        giving: Collection[Cell],
        out: Outbox,
        now: Instant,
    ) -> Steps:
        """Bring everything a step further. `leaving` is where cells go beside those that moves are wished for.

        `reachable` tells whether a node is linked and believed alive; `giving` are cells in a proposal that is not
        decided yet.
        """
        targets = {**_wished_moves(city, me), **leaving}
        targets = {cell: to for cell, to in targets.items() if city.is_listed(to) and reachable(to)}
        cuts, parents = _wished_shapes(city, me)
        add: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        wanted: set[Cell] = set()
        for cell, to in sorted(targets.items()):
            if to in city.cells[cell].standbys:
                wanted.add(cell)
            elif self._objects.brought_in_step(cell, to, out, now):
                add[to].add(cell)
        wanted |= cuts - targets.keys()
        for parent in sorted(parents):
            lacking = _lacks_guard(city, parent, reachable)
            if not lacking:
                wanted.update(parent.children())
            for cell, guard in lacking.items():
                if self._objects.brought_in_step(cell, guard, out, now):
                    add[guard].add(cell)
        self._freeze(city, me, wanted, giving, out, now)
        ready = {cell for cell in self._frozen_s if cell in wanted and self._objects.settled(cell)}
        give: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        for cell in ready & targets.keys():
            give[targets[cell]].add(cell)
        return Steps(
            {to: frozenset(cells) for to, cells in add.items()},
            {to: frozenset(cells) for to, cells in give.items()},
            frozenset(ready & cuts - targets.keys()),
            frozenset(parent for parent in parents if ready.issuperset(parent.children())),
        )

    def _freeze(
        self,
        city: CityMap,
        me: Incarnation,
        wanted: set[Cell],
        giving: Collection[Cell],
        out: Outbox,
        now: Instant,
    ) -> None:
        for cell, since_s in list(self._frozen_s.items()):
            if city.holder_of(cell) != me:
                del self._frozen_s[cell]
            elif cell in giving:
                continue
            elif cell not in wanted or now.boot_s - since_s > FREEZE_S:
                del self._frozen_s[cell]
                self._objects.thaw(cell, out, now)
                if cell in wanted:
                    self.counters["froze-in-vain"] += 1
                    self._rests_until_s[cell] = now.boot_s + _REST_S
        self._rests_until_s = {c: s for c, s in self._rests_until_s.items() if c in wanted and now.boot_s < s}
        for cell in sorted(wanted - self._frozen_s.keys() - self._rests_until_s.keys()):
            if len(self._frozen_s) >= _TOGETHER:
                break
            self._frozen_s[cell] = now.boot_s
            self._objects.freeze(cell)


def evacuation(
    city: CityMap, me: Incarnation, takes: Callable[[Incarnation], bool]
) -> dict[Cell, Incarnation]:
    """Where each of my cells goes if I give up all of them: to a standby that takes it, else to the next in order."""
    others = [who for who in city.takers_beside(me) if takes(who)]
    if not others:
        return {}
    found = {}
    for cell in city.cells_of(me):
        standbys = [s for s in city.cells[cell].standbys if s in others]
        found[cell] = standbys[0] if standbys else city.first_in_turn(cell, others)
    return found


def _lacks_guard(
    city: CityMap, parent: Cell, reachable: Callable[[Incarnation], bool]
) -> dict[Cell, Incarnation]:
    """Which children a standby must follow first, so that their parent is not without one; nothing if one has all."""
    lists = [city.cells[part].standbys for part in parent.children()]
    if any(all(standby in others for others in lists) for standby in lists[0]):
        return {}
    guards = Counter(standby for standbys in lists for standby in standbys if reachable(standby))
    if not guards:
        return {}
    guard = min(guards, key=lambda who: (-guards[who], who))
    return {part: guard for part in parent.children() if guard not in city.cells[part].standbys}


def _wished_moves(city: CityMap, me: Incarnation) -> dict[Cell, Incarnation]:
    return {
        cell: city.members[wish.to].who
        for cell in city.wished
        if city.holder_of(cell) == me and (wish := city.cells[cell].wish) and wish.kind is WishKind.MOVE
    }


def _wished_shapes(city: CityMap, me: Incarnation) -> tuple[set[Cell], set[Cell]]:
    """Which of my cells are to be cut or split, and whose four children, all mine, are to be merged."""
    cuts: set[Cell] = set()
    parts: Counter[Cell] = Counter()
    for cell in city.wished:
        holding = city.cells[cell]
        wish = holding.wish
        if holding.holder != me or wish is None:
            continue
        if wish.kind in (WishKind.CUT, WishKind.SPLIT) and cell.level < LEVEL_MAX:
            cuts.add(cell)
        elif wish.kind is WishKind.MERGE and cell.level > 0:
            parts[cell.parent()] += 1
    return cuts, {parent for parent, count in parts.items() if count == 4}
