"""The steward: one node of the city that looks how its people are spread, and wishes ground to be moved accordingly.

Every node tells the others once a second who stands where on its ground: whoever becomes the steward knows it already,
and any node can show the whole city to those who watch. The steward is the first of the living nodes in the order of
their keys; everybody finds out alone. Two may believe it for a while: what they wish goes through the compare-and-swap
of the map, and holders carry out what the map says, so that they can waste proposals and do no harm. A wish is proposed
when two rounds in a row want the like of it, and is taken back when it stays undone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.geometry import Cell
from p2pworld.limits import NODE_NAME_CHARACTERS_MAX, REGIONS_TOLD_MAX
from p2pworld.messages import Regions
from p2pworld.world.balance import BalanceOptions, plan
from p2pworld.world.citymap import Wish

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from p2pworld.ids import Incarnation
    from p2pworld.world.citymap import CityMap

__all__ = ["Counsel", "Steward"]

_ROUND_S: Final = 1.0
_REPORT_TTL_S: Final = 3.0
_NEW_S: Final = 3.0  # a new steward first listens: it would take who has not spoken yet for one who is gone
_UNDONE_S: Final = 30.0  # a wish that its holder could not carry out for so long is taken back


@dataclass(frozen=True, slots=True)
class Counsel:
    """What one round came to: a report for the others, and the wishes of the steward."""

    report: Regions
    wishes: Mapping[Cell, Wish | None] | None = None
    upgrade: bool = False


class Steward:
    """One node's part in it, as the steward or as one who tells. Without `options` it wishes nothing.

    `name` is what its operator calls the node.
    """

    def __init__(self, options: BalanceOptions | None, name: str = "") -> None:
        self._options = options
        self._name = name[:NODE_NAME_CHARACTERS_MAX]
        self._reports: dict[Incarnation, tuple[float, Mapping[Cell, int]]] = {}
        self._names: dict[Incarnation, str] = {}
        self._round_s = 0.0
        self._since_s: float | None = None  # when this node began to be the steward
        self._before: frozenset[tuple[Incarnation | None, object]] = frozenset()  # what the last round wanted
        self._wished_s: dict[tuple[Cell, Wish], float] = {}

    def heard(self, peer: Incarnation, regions: Regions, now_s: float) -> None:
        """Another node tells who stands where."""
        counts = {Cell(cell): people for cell, people in zip(regions.cells, regions.people, strict=False)}
        self._reports[peer] = now_s, counts
        self._names[peer] = regions.name

    def lost(self, peer: Incarnation) -> None:
        """The link to a node is gone, and with it what it told."""
        self._reports.pop(peer, None)
        self._names.pop(peer, None)

    def name_of(self, peer: Incarnation) -> str:
        """What the operator of a linked node calls it; empty if it has not told."""
        return self._names.get(peer, "")

    def people_of(self, peer: Incarnation, now_s: float) -> Mapping[Cell, int] | None:
        """Who stands where on the ground of a linked node, as it told within the last seconds."""
        told_s, counts = self._reports.get(peer, (-_REPORT_TTL_S, None))
        return counts if now_s - told_s < _REPORT_TTL_S else None

    def tick(
        self,
        city: CityMap,
        me: Incarnation,
        people: Callable[[], Mapping[Cell, int]],
        able: Collection[Incarnation],
        dead: Collection[Incarnation],
        now_s: float,
    ) -> Counsel | None:
        """A round, if it is time for one.

        `people` counts this node's by leaf, `able` are linked and know of stewards, `dead` are believed to be so.
        """
        if now_s - self._round_s < _ROUND_S:
            return None
        self._round_s = now_s
        counts = people()
        most = sorted(counts, key=lambda cell: (-counts[cell], cell))[:REGIONS_TOLD_MAX]
        report = Regions(tuple(most), tuple(counts[cell] for cell in most), self._name)
        living = [who for who in able if city.is_listed(who) and who not in dead]
        steward = min((who for who in (me, *living) if city.is_listed(who)), default=None)
        if steward != me:
            self._since_s, self._before = None, frozenset()
            return Counsel(report)
        self._since_s = now_s if self._since_s is None else self._since_s
        if self._options is None or now_s - self._since_s < _NEW_S:
            return Counsel(report)
        nodes, everybody = [me], Counter(counts)
        for who in living:
            if (told := self.people_of(who, now_s)) is not None:
                nodes.append(who)
                everybody.update(told)
        upgrade = city.format == 1 and len(living) + 1 == len(city.members)
        wishes = self._steady(city, plan(city, everybody, nodes, self._options)) | self._undone(city, now_s)
        return Counsel(report, wishes, upgrade)

    def _steady(self, city: CityMap, wanted: Mapping[Cell, Wish | None]) -> dict[Cell, Wish | None]:
        """What the round before wanted the like of: of the same holder, in the same way."""

        def like(cell: Cell, wish: Wish | None) -> tuple[Incarnation | None, object]:
            return city.holder_of(cell), None if wish is None else wish.kind

        before, self._before = self._before, frozenset(like(cell, wish) for cell, wish in wanted.items())
        return {cell: wish for cell, wish in wanted.items() if like(cell, wish) in before}

    def _undone(self, city: CityMap, now_s: float) -> dict[Cell, Wish | None]:
        standing = [(cell, wish) for cell in city.wished if (wish := city.cells[cell].wish) is not None]
        self._wished_s = {pair: self._wished_s.get(pair, now_s) for pair in standing}
        return {cell: None for (cell, _), since_s in self._wished_s.items() if now_s - since_s > _UNDONE_S}
