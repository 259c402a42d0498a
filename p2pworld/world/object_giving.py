"""What this node knows of ground that another holds, given to whoever holds it: what was on a disk is not forgotten.

A *known* cell is one this node held or followed once, or found on its disk. Whoever holds any of its ground now is
given it, part by part of the map, and anew when the ground gets another holder, who may not have all that the one
before had. Nodes compare first (`object_audit`), so a holder that has it all already is given nothing. An answer names
the gift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.crdt import ObjectCell
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import CellState, ToPeer

if TYPE_CHECKING:
    from p2pworld.messages import CellStored
    from p2pworld.world.citymap import CityMap
    from p2pworld.world.object_audit import Audit
    from p2pworld.world.object_records import SavedCell, Station
    from p2pworld.world.outbox import Outbox

__all__ = ["NOTHING", "Giving"]

NOTHING: Final = ObjectCell().to_bytes()
_RETRY_S: Final = 5.0
_PER_TICK: Final = 16


@dataclass(slots=True)
class _Gift:
    """A known cell to be given to the holder of its ground; `sent_s` when it last was, `number` under which number."""

    holder: Incarnation
    sent_s: float | None = None
    number: int = 0


class Giving:
    """The gifts of one node, from its `known` cells, which change under its hands: `forget` those that did."""

    def __init__(self, station: Station, known: dict[Cell, SavedCell]) -> None:
        self._station, self._known = station, known
        self._due: dict[tuple[Cell, Cell], _Gift] = {}  # (known cell, leaf of the map)
        self._given: dict[tuple[Cell, Cell], Incarnation] = {}
        self._numbers = 0
        self._ownerless = False

    @property
    def owes(self) -> bool:
        """Whether anything known here is not yet with whoever holds its ground, or nobody holds that."""
        return bool(self._due) or self._ownerless

    def __len__(self) -> int:
        return len(self._due)

    def plan(self, city_map: CityMap) -> None:
        """What a map asks to be given to whom."""
        planned: dict[tuple[Cell, Cell], _Gift] = {}
        self._ownerless = False
        for cell, saved in self._known.items():
            if saved.state == NOTHING or city_map.version == 0:
                continue
            around = city_map.leaf_around(cell)
            for leaf in (around,) if around is not None else city_map.leaves_in(cell):
                holder = city_map.cells[leaf].holder
                pair = (cell, leaf)
                self._ownerless |= holder is None
                if holder is None or holder == self._station.me or self._given.get(pair) == holder:
                    continue
                before = self._due.get(pair)
                planned[pair] = before if before and before.holder == holder else _Gift(holder)
        self._due = planned

    def forget(self, cell: Cell) -> None:
        """What is known of this cell is not what was given."""
        self._given = {pair: holder for pair, holder in self._given.items() if pair[0] != cell}

    def tick(self, audit: Audit, out: Outbox, now_s: float) -> None:
        """Give what is due, or find out first what of it is lacking."""
        left = _PER_TICK
        for (cell, leaf), gift in self._due.items():
            if left == 0:
                return
            due = gift.sent_s is None or now_s - gift.sent_s >= _RETRY_S
            saved = self._known.get(cell)
            if saved is None or not due or gift.holder not in self._station.linked:
                continue
            left -= 1
            if not audit.is_able(gift.holder):
                self._send(gift, leaf, saved.state, out)
            elif not audit.offer(cell, leaf, gift.holder, saved.state, out, now_s):
                continue  # another cell is compared with that one
            gift.sent_s = now_s

    def _send(self, gift: _Gift, leaf: Cell, state: bytes, out: Outbox) -> None:
        self._numbers += 1
        gift.number = self._numbers
        out.sends.append(ToPeer(gift.holder, CellState(leaf, 0, gift.number, state)))

    def compared(self, cell: Cell, leaf: int, holder: Incarnation, extras: ObjectCell, out: Outbox) -> None:
        """What a holder lacks of a known cell has been found out."""
        pair = cell, Cell(leaf)
        gift = self._due.get(pair)
        if gift is None or gift.holder != holder or cell not in self._known:
            return
        if extras != ObjectCell():
            self._send(gift, pair[1], extras.to_bytes(), out)
        else:
            self._has(pair, gift)

    def stored(self, peer: Incarnation, message: CellStored) -> None:
        """A holder has a gift on its disk, and on those of its standbys."""
        for pair, gift in self._due.items():
            if (pair[1], gift.holder, gift.number) == (message.cell, peer, message.n) and message.epoch == 0:
                self._has(pair, gift)
                return

    def _has(self, pair: tuple[Cell, Cell], gift: _Gift) -> None:
        self._given[pair] = gift.holder
        del self._due[pair]
        self._station.counters["cell-given"] += 1
