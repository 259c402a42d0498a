"""How the ground of one stored map may follow from that of the map before, said without the steps that make maps.

Whoever holds or guards is a member. Ground that changes hands goes under a later epoch to one who guarded it, if any of
them lives, or to its holder's next incarnation; and who gave it up alive guards it from then on. Ground that is cut or
grows together stays with its holder, and whoever guarded all of it guards it still, unless no member any more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from p2pworld.geometry import Cell
    from p2pworld.world.citymap import CityMap, Holding

__all__ = ["broken", "overlap"]


def broken(before: Mapping[Cell, Holding], city: CityMap) -> Iterator[str]:
    """A sentence for each piece of ground that breaks these rules; `before` are the cells of the map before."""
    members = {member.who for member in city.members.values()}
    for cell, new in city.cells.items():
        if not members.issuperset({*new.standbys} | ({new.holder} if new.holder else set())):
            yield f"cell {cell} is held or guarded by nobody who is a member"
        if (old := before.get(cell)) == new:
            continue
        parts = [old] if old is not None else [before[c] for c in before if _touch(c, cell)]
        held = {part.holder for part in parts}
        if new.epoch < max(part.epoch for part in parts):
            yield f"cell {cell} goes back to an older epoch"
        if None in held or new.holder is None:
            continue  # it was or is nobody's: who takes it has what it has
        if held != {new.holder}:
            if old is None:
                yield f"cell {cell} changes hands while it is cut or merged"
                continue
            if new.epoch <= old.epoch:
                yield f"cell {cell} changes hands under its old epoch"
            back = old.holder is not None and new.holder.node == old.holder.node  # on the same disk
            if not back and new.holder not in old.standbys and not members.isdisjoint(old.standbys):
                yield f"cell {cell} goes to one who did not guard it"
            if old.holder in members and old.holder not in new.standbys:
                yield f"cell {cell} is given away by one who does not guard it from then on"
        elif old is None:
            guards = set.intersection(*({*part.standbys} for part in parts)) & members
            if not guards <= {*new.standbys}:
                yield f"cell {cell} loses its standbys when it is cut or merged"


def overlap(some: Collection[Cell], others: Collection[Cell]) -> bool:
    """Whether any cell of one lies in, or is, or contains one of the others."""
    return _within(some, set(others)) or _within(others, set(some))


def _within(cells: Collection[Cell], around: set[Cell]) -> bool:
    # an int that is a cell's number is equal to the cell
    return any(cell >> 2 * up in around for cell in cells for up in range(cell.level + 1))


def _touch(one: Cell, other: Cell) -> bool:
    return one.contains(other) or other.contains(one)
