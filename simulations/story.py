"""What changed from one city map to the next, in lines that a person can follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from p2pworld.ids import Incarnation
    from p2pworld.world.citymap import CityMap, Holding

__all__ = ["changes"]


def changes(before: CityMap, city: CityMap, names: Mapping[bytes, str]) -> Iterator[str]:
    """One line for each member that comes or goes, and each piece of ground that is held or guarded otherwise."""

    def name(who: Incarnation | None) -> str:
        return "nobody" if who is None else names.get(who.node, "?")

    def held(holding: Holding) -> str:
        guards = "".join(name(standby) for standby in holding.standbys) or "nobody"
        wish = (
            f", to be {holding.wish.kind.value} {names.get(holding.wish.to, '')}".rstrip()
            if holding.wish
            else ""
        )
        return f"{name(holding.holder)} (standbys {guards}){wish}"

    map_name = f"map {city.version}"
    old, new = ({m.who for m in one.members.values()} for one in (before, city))
    for who in sorted(new - old):
        yield f"{map_name}: {name(who)} is listed as incarnation {who.number}"
    for who in sorted(old - new):
        yield f"{map_name}: incarnation {who.number} of {name(who)} is listed no more"
    for cell, holding in city.cells.items():
        was = before.cells.get(cell)
        if was is holding or was == holding:
            continue
        yield f"{map_name}: {cell} is {held(holding)}" + (f", was {held(was)}" if was else "")
    for cell in before.cells:
        if cell not in city.cells:
            yield f"{map_name}: {cell} is no region any more"
