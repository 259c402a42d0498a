"""Who should carry which ground: from the map and where people stand, what the steward wishes. Pure.

Weights are people, since they are what costs. A node that bears more than its share gives regions to the one that bears
least; a region too heavy to be given whole is cut into four, and its parts are given in the next rounds. When a crowd
has left, the parts come together and become the region they were. A node without ground gets a fair part of it.

Nothing is done for less than it is worth (hysteresis): a node is heavy only well above the mean and above what anybody
carries easily, parts are merged far below what makes a region be cut, and what is wished already is counted as done.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.world.citymap import Wish, WishKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from p2pworld.geometry import Cell
    from p2pworld.ids import Incarnation
    from p2pworld.world.citymap import CityMap

__all__ = ["BalanceOptions", "plan"]


@dataclass(frozen=True, slots=True)
class BalanceOptions:
    """When ground is moved. `people_easy` is what a node carries without a thought: below it, it is never heavy.

    Above, it is heavy with more than `heavy` times the mean. Four parts with at most `people_calm` together are merged.
    No cell finer than `level_max` is made; `moves` are wished in one round at most.
    """

    people_easy: int = 300
    heavy: float = 1.4
    people_calm: int = 60
    level_max: int = 12  # 16 m
    moves: int = 8


def plan(
    city: CityMap,
    people: Mapping[Cell, int],
    nodes: Collection[Incarnation],
    options: BalanceOptions,
) -> dict[Cell, Wish | None]:
    """What is to be wished of which leaves; nothing where all is well.

    `people` counts who stands in each leaf (none: absent); `nodes` are those that are well and may be given ground:
    whatever others hold is left alone, and a wish that leads to another node is taken back.
    """
    return _Plan(city, people, nodes, options).made()


class _Plan:
    """One round: the city as it will be once everything wished has happened, and what is wished in addition."""

    def __init__(
        self,
        city: CityMap,
        people: Mapping[Cell, int],
        nodes: Collection[Incarnation],
        options: BalanceOptions,
    ) -> None:
        self._city, self._people, self._options = city, people, options
        self._nodes = sorted(who for who in nodes if city.takes(who))
        self._wishes: dict[Cell, Wish | None] = {}
        self._free: defaultdict[Incarnation, list[Cell]] = defaultdict(list)  # nothing is wished of these
        self._weight: Counter[Incarnation] = Counter(dict.fromkeys(self._nodes, 0))
        self._regions: Counter[Incarnation] = Counter(
            dict.fromkeys(self._nodes, 0)
        )  # parts of a cut count as one
        self._moves = options.moves

    def made(self) -> dict[Cell, Wish | None]:
        if not self._nodes:
            return {}
        self._take_in()
        self._merge()
        self._relieve()
        self._give_to_the_idle()
        return self._wishes

    def _take_in(self) -> None:
        """Where everything will be, and what may be wished of: ground of well nodes that is neither pinned nor on its
        way."""
        seen: set[tuple[Incarnation, Cell]] = set()
        for cell, holding in self._city.cells.items():
            wish, who = holding.wish, holding.holder
            if who is None or who not in self._weight:
                continue
            if wish is not None and wish.kind is WishKind.MOVE:
                target = self._city.members[wish.to].who
                if target in self._weight:
                    who = target
                else:
                    self._wishes[cell] = None
            self._weight[who] += self._people.get(cell, 0)
            whole = cell if holding.cut_from is None else cell.parent(holding.cut_from)
            if (who, whole) not in seen:
                seen.add((who, whole))
                self._regions[who] += 1
            if wish is None and not holding.pinned:
                self._free[who].append(cell)

    # ---- crowds that have left

    def _merge(self) -> None:
        """Parts of a cut in which few people are left: to one holder, and then into one cell again."""
        cells = self._city.cells
        free = {cell: who for who, mine in self._free.items() for cell in mine}
        parents = {c.parent() for c in free if (cut := cells[c].cut_from) is not None and c.level > cut}
        for parent in sorted(parents):
            parts = parent.children()
            if not all(part in free and cells[part].cut_from is not None for part in parts):
                continue
            if sum(self._people.get(part, 0) for part in parts) > self._options.people_calm:
                continue
            holders = [free[part] for part in parts]
            home = min(holders, key=lambda who: (-holders.count(who), who))
            if holders.count(home) == 4:
                for part in parts:
                    self._wish(part, home, Wish(WishKind.MERGE))
                continue
            for part, who in zip(parts, holders, strict=True):
                if who != home:
                    self._move(part, who, home)
                else:
                    self._free[who].remove(part)  # the others come to it

    # ---- crowds that have come

    def _relieve(self) -> None:
        options = self._options
        mean = sum(self._weight.values()) / len(self._nodes)
        hopeless: set[Incarnation] = set()
        while self._moves > 0:
            heavy = max(
                (who for who in self._nodes if who not in hopeless),
                key=lambda who: (self._weight[who], who),
                default=None,
            )
            if heavy is None or self._weight[heavy] <= max(options.people_easy, options.heavy * mean):
                return
            light = min(self._nodes, key=lambda who: (self._weight[who], self._regions[who], who))
            gap = (self._weight[heavy] - self._weight[light]) / 2
            crowded = sorted(self._free[heavy], key=lambda cell: (-self._people.get(cell, 0), cell))
            fitting = next((cell for cell in crowded if self._people.get(cell, 0) <= gap), None)
            worth = self._people.get(fitting, 0) if fitting is not None else 0
            if fitting is not None and worth >= max(1.0, gap / 4):
                self._move(fitting, heavy, light)
                continue
            big = next((c for c in crowded if self._people.get(c, 0) > gap), None)
            if big is not None and big.level < options.level_max:
                self._wish(big, heavy, Wish(WishKind.CUT))
            hopeless.add(heavy)  # for now: its parts can be told apart in the next round

    # ---- nodes that have nothing to do

    def _give_to_the_idle(self) -> None:
        """A node that has come anew gets up to half its share of the regions, those with the fewest people first."""
        share = sum(self._regions.values()) / len(self._nodes) / 2
        for idle in self._nodes:
            while self._moves > 0 and self._regions[idle] + 1 <= share:
                rich = max(self._nodes, key=lambda who: (self._regions[who], who))
                whole = [c for c in self._free[rich] if self._city.cells[c].cut_from is None]
                if self._regions[rich] - 1 <= self._regions[idle] or not whole:
                    return
                quiet = min(whole, key=lambda cell: (self._people.get(cell, 0), cell))
                if self._people.get(quiet, 0) > self._options.people_calm:
                    return
                self._move(quiet, rich, idle)

    # ---- inside

    def _move(self, cell: Cell, who: Incarnation, to: Incarnation) -> None:
        self._wish(cell, who, Wish(WishKind.MOVE, to.node))
        count = self._people.get(cell, 0)
        self._weight[who] -= count
        self._weight[to] += count
        if self._city.cells[cell].cut_from is None:
            self._regions[who] -= 1
            self._regions[to] += 1
        self._moves -= 1

    def _wish(self, cell: Cell, who: Incarnation, wish: Wish) -> None:
        self._wishes[cell] = wish
        self._free[who].remove(cell)
