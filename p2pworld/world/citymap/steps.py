"""Every way the city map may change: pure functions from a map to the next, or to a Refusal that leaves it as it was.

Each raises the version by one and gives its stamp as epoch to whoever newly holds ground. Order follows the life of a
city: it is founded, nodes join and claim, fail and are succeeded, guard and hand over, split and merge, and leave.
What is wished of a cell's holder, pinned ground and draining nodes stand in the map, too, so that no wish is lost.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.geometry import LEVEL_MAX, Cell, curve_key, partition_around
from p2pworld.world.citymap.value import (
    CELLS_MAX,
    FORMAT,
    GENERATION_MAX,
    MEMBERS_MAX,
    STANDBYS_MAX,
    STREAM_CHARS_MAX,
    STREAMS_MAX,
    CityMap,
    Held,
    Holding,
    Member,
    Wish,
    WishKind,
    epoch_of,
    first_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from p2pworld.ids import Incarnation

__all__ = [
    "add_standby",
    "claim",
    "claim_stream",
    "drain",
    "drop_standby",
    "fail_over",
    "genesis",
    "give_up_stream",
    "hand_over",
    "join",
    "leave",
    "merge",
    "new_generation",
    "pin",
    "split",
    "upgrade",
    "wish",
]


def genesis(claims: Mapping[Member, Collection[Cell]], generation: int = 0) -> CityMap | Refusal:
    """The first map: these members hold what they claim; the rest of the root, in as few cells as can be, is unheld."""
    if len({member.node for member in claims}) < len(claims):
        return Refusal("twice", "A node is listed twice.")
    version = first_of(generation) + 1
    epoch = epoch_of(generation, version)
    try:
        leaves = partition_around(cell for cells in claims.values() for cell in cells)
    except ValueError:
        return Refusal("overlap", "Two of the claimed cells overlap.")
    holders = {cell: member.who for member, cells in claims.items() for cell in cells}
    cells = {leaf: Holding(holders.get(leaf), epoch) for leaf in leaves}
    if len(cells) > CELLS_MAX or len(claims) > MEMBERS_MAX:
        return _TOO_MANY
    members = _sorted_members({member.node: member for member in claims})
    return CityMap(version, generation, members, cells, {})


def join(city: CityMap, member: Member) -> CityMap | Refusal:
    """List a member's new incarnation, or its new addresses, and take every older incarnation of it off every list.

    The older incarnation's lease must have ended, or be ended with this proposal. Ground it held becomes unheld and
    lost; where it had standbys their failover comes first, since they have its objects.
    """
    if city.version == 0:
        return Refusal("no_city", "Nobody has founded this city; found it with the first map.")
    listed = city.members.get(member.node)
    members = _sorted_members({**city.members, member.node: member})
    gone = (h.lost.holder for h in (*city.cells.values(), *city.streams.values()) if h.lost)
    if any(lost.node == member.node and lost.number >= member.incarnation for lost in gone):
        return Refusal("superseded", "This incarnation has ended; register a new one.")
    if listed is None:
        return _next(city, members=members) if len(members) <= MEMBERS_MAX else _TOO_MANY
    if listed == member:
        return Refusal("listed", "This incarnation is already in the city map.")
    if listed.incarnation > member.incarnation:
        return Refusal("superseded", "A newer incarnation of this node is already in the city map.")
    if listed.incarnation == member.incarnation:
        return _next(city, members=members)
    held = [h for h in (*city.cells.values(), *city.streams.values()) if h.holder == listed.who]
    if any(holding.standbys for holding in held):
        return Refusal(
            "failover_first", "Standbys hold copies of the older incarnation's cells: they go first."
        )
    return _without(city, listed.who, members)


def claim(city: CityMap, who: Incarnation, cells: Iterable[Cell]) -> CityMap | Refusal:
    """Take unheld ground: each wanted cell becomes a leaf, splitting or merging unheld leaves as it must."""
    wanted = list(cells)
    if not city.is_listed(who):
        return _NOT_LISTED
    if not wanted:
        return _NOTHING
    epoch = epoch_of(city.generation, city.version + 1)
    ground = dict(city.cells)
    for cell in wanted:
        path = [cell.parent(level) for level in range(cell.level)]
        leaf = next((c for c in (*path, cell) if c in ground), None)
        replaced = [leaf] if leaf is not None else [c for c in ground if cell.contains(c)]
        if any(ground[old].holder is not None for old in replaced):
            return Refusal("held", f"Cell {cell} or a part of it is already held.")
        rest = [] if leaf is None else [c for c in _rest_of(leaf, cell) if c != cell]
        kept = ground[replaced[0]]
        for old in replaced:
            del ground[old]
        ground.update(dict.fromkeys(rest, kept))
        marks = (kept.pinned, kept.cut_from) if replaced == [cell] else (False, None)
        ground[cell] = Holding(who, epoch, pinned=marks[0], cut_from=marks[1])
    return _next(city, cells=ground) if len(ground) <= CELLS_MAX else _TOO_MANY


def claim_stream(city: CityMap, who: Incarnation, name: str, shared: bool = True) -> CityMap | Refusal:
    """Take a civic stream that is new or that nobody holds. One that is not `shared` is on the disk of this node."""
    if not city.is_listed(who):
        return _NOT_LISTED
    holding = city.streams.get(name)
    if holding is not None and holding.holder is not None:
        return Refusal("held", f"Stream {name} is already held.")
    if not 0 < len(name) <= STREAM_CHARS_MAX:
        return Refusal("bad_name", f"A stream's name has 1 to {STREAM_CHARS_MAX} characters.")
    if holding is None and len(city.streams) >= STREAMS_MAX:
        return _TOO_MANY
    epoch = epoch_of(city.generation, city.version + 1)
    taken = Holding(who, epoch, host=None if shared else who.node)
    return _next(city, streams=dict(sorted({**city.streams, name: taken}.items())))


def give_up_stream(city: CityMap, who: Incarnation, name: str) -> CityMap | Refusal:
    """Hold a stream no more, so that another takes it; one that is on this node's disk goes when the node leaves."""
    holding = city.streams.get(name)
    if holding is None or holding.holder != who:
        return Refusal("not_the_holder", f"The node does not hold stream {name}.")
    if holding.host is not None:
        return Refusal("host", f"Stream {name} is on the disk of this node, so no other can take it.")
    freed = Holding(None, epoch_of(city.generation, city.version + 1))
    return _next(city, streams={**city.streams, name: freed})


def fail_over(
    city: CityMap, dead: Incarnation, by: Incarnation, silent: Collection[Incarnation] = ()
) -> CityMap | Refusal:
    """Take a dead incarnation off every list; each cell it held goes to its first standby that is not silent.

    `by` is who proposes. It must propose with the dead one's lease as victim, unless that has ended. `silent` are
    others it believes dead: they are passed over as heirs unless there is no other, and stay listed. Ground without a
    standby becomes unheld and lost.
    """
    if not city.is_listed(by):
        return _NOT_LISTED
    if not city.is_listed(dead):
        return Refusal("not_listed", "The dead incarnation is no longer in the city map.")
    if dead == by:
        return Refusal("yourself", "A node cannot take over from itself.")
    members = {node: member for node, member in city.members.items() if node != dead.node}
    return _without(city, dead, members, silent)


def add_standby(
    city: CityMap, cells: Iterable[Cell], holder: Incarnation, standby: Incarnation
) -> CityMap | Refusal:
    """List a standby, last in rank, for cells of one holder; the holder proposes it once the standby is in step."""

    def change(cell: Cell, old: Holding) -> Holding | Refusal:
        if old.holder != holder:
            return _not_holder(cell)
        if standby == holder or standby in old.standbys:
            return Refusal("already", f"The node already has a copy of cell {cell}.")
        if len(old.standbys) >= STANDBYS_MAX:
            return Refusal("enough", f"Cell {cell} already has {STANDBYS_MAX} standbys.")
        return replace(old, standbys=(*old.standbys, standby))

    return _change(city, cells, change) if city.is_listed(standby) else _NOT_LISTED


def drop_standby(
    city: CityMap, cells: Iterable[Cell], who: Incarnation, standby: Incarnation
) -> CityMap | Refusal:
    """Take a standby off the lists of cells: the holder asks, if it is slow, or the standby itself, if it leaves."""

    def change(cell: Cell, old: Holding) -> Holding | Refusal:
        if who not in (old.holder, standby):
            return _not_holder(cell)
        if standby not in old.standbys:
            return Refusal("not_a_standby", f"The node is no standby of cell {cell}.")
        return replace(old, standbys=tuple(other for other in old.standbys if other != standby))

    return _change(city, cells, change)


def hand_over(
    city: CityMap, cells: Iterable[Cell], holder: Incarnation, to: Incarnation
) -> CityMap | Refusal:
    """Give cells to one of their standbys; the old holder, which has frozen them before, becomes the first standby."""
    epoch = epoch_of(city.generation, city.version + 1)

    def change(cell: Cell, old: Holding) -> Holding | Refusal:
        if old.holder != holder:
            return _not_holder(cell)
        if to not in old.standbys:
            return Refusal(
                "not_a_standby", f"The node is no standby of cell {cell}, so it lacks its objects."
            )
        guards = (holder, *(other for other in old.standbys if other != to))
        return replace(old, holder=to, epoch=epoch, standbys=guards, host=None, wish=None)

    return _change(city, cells, change)


def split(city: CityMap, cell: Cell) -> CityMap | Refusal:
    """Put a leaf's four children in its place, held and guarded as it was, under the same epoch.

    Where it is to be cut, the children remember from what.
    """
    holding = city.cells.get(cell)
    if holding is None:
        return _no_leaf(cell)
    if cell.level >= LEVEL_MAX:
        return Refusal("too_fine", f"Cell {cell} is of the finest level.")
    if len(city.cells) + 3 > CELLS_MAX:
        return _TOO_MANY
    part = replace(holding, wish=None)
    if holding.wish is not None and holding.wish.kind is WishKind.CUT and part.cut_from is None:
        part = replace(part, cut_from=cell.level)
    ground = {other: old for other, old in city.cells.items() if other != cell}
    return _next(city, cells={**ground, **dict.fromkeys(cell.children(), part)})


def merge(city: CityMap, parent: Cell) -> CityMap | Refusal:
    """Put a cell in the place of its four children, held alike, under their latest epoch.

    The standbys of all four remain its standbys.
    """
    if parent.level >= LEVEL_MAX:
        return Refusal("too_fine", f"Cell {parent} is of the finest level.")
    children = parent.children()
    found = [city.cells[child] for child in children if child in city.cells]
    if len(found) < 4:
        return _no_leaf(parent)
    if len({(h.holder, h.host, h.lost, h.pinned) for h in found}) > 1:
        return Refusal("not_alike", f"The four parts of cell {parent} are not held alike.")
    guards = tuple(s for s in found[0].standbys if all(s in other.standbys for other in found))
    cuts = [h.cut_from for h in found if h.cut_from is not None and h.cut_from < parent.level]
    whole = replace(
        found[0],
        epoch=max(h.epoch for h in found),
        standbys=guards,
        wish=None,
        cut_from=min(cuts, default=None),
    )
    ground = {cell: holding for cell, holding in city.cells.items() if cell not in children}
    return _next(city, cells={**ground, parent: whole})


def wish(city: CityMap, wishes: Mapping[Cell, Wish | None]) -> CityMap | Refusal:
    """Say what is to become of held cells, None: nothing any more. Their holders carry it out."""
    if city.format == 1:
        return _OLDER_FORMAT

    def change(cell: Cell, old: Holding) -> Holding | Refusal:
        wanted = wishes[cell]
        if old.holder is None:
            return Refusal("unheld", f"Nobody holds cell {cell}, so nobody can do anything with it.")
        if wanted is not None and wanted.kind is WishKind.MOVE:
            target = city.members.get(wanted.to)
            if target is None:
                return _NOT_LISTED
            if target.draining:
                return Refusal("draining", "The node gives its ground away, so it takes none.")
            if target.who == old.holder:
                return Refusal("already", f"The node already holds cell {cell}.")
        elif wanted is not None and wanted.to:
            return Refusal("no_target", "Only a move leads to a node.")
        return replace(old, wish=wanted)

    return _change(city, wishes, change)


def pin(city: CityMap, cells: Iterable[Cell], pinned: bool) -> CityMap | Refusal:
    """Keep ground where it is and as it is, or no longer; what was wished of it is not any more."""
    if city.format == 1:
        return _OLDER_FORMAT

    def change(cell: Cell, old: Holding) -> Holding | Refusal:
        return replace(old, pinned=pinned, wish=None if pinned else old.wish)

    return _change(city, cells, change)


def drain(city: CityMap, node: bytes, draining: bool) -> CityMap | Refusal:
    """Ask a member to give all its ground away, or no longer."""
    member = city.members.get(node)
    if member is None:
        return Refusal("not_a_member", "The city map lists no such node.")
    if city.format == 1:
        return _OLDER_FORMAT
    if member.draining == draining:
        return Refusal("already", "That has been said to the node before.")
    members = _sorted_members({**city.members, node: replace(member, draining=draining)})

    def stays(old: Holding) -> Holding:
        return replace(old, wish=None) if old.wish is not None and old.wish.to == node else old

    return _next(city, members=members, cells={cell: stays(old) for cell, old in city.cells.items()})


def upgrade(city: CityMap) -> CityMap | Refusal:
    """Write the map in the newest format from now on: every listed node can read it."""
    if city.format >= FORMAT:
        return Refusal("already", "The city map has the newest format.")
    return replace(_next(city), format=FORMAT)


def leave(city: CityMap, who: Incarnation) -> CityMap | Refusal:
    """Take a member that holds no ground any more off every list: the end of a drain. It loses its streams."""
    if not city.is_listed(who):
        return _NOT_LISTED
    if city.cells_of(who):
        return Refusal("holds", "The node still holds cells; hand them over first.")
    members = {node: member for node, member in city.members.items() if node != who.node}
    return _without(city, who, members)


def new_generation(city: CityMap, above: int = 0) -> CityMap | Refusal:
    """After a store was restored from a copy: nobody is listed, nothing is held, and all later epochs are larger.

    `above` is the newest generation that anybody has known, where the copy is older than that.
    """
    if city.version == 0:
        return Refusal("no_city", "Nobody has founded this city; found it with a larger generation.")
    generation = max(city.generation, above) + 1
    if generation > GENERATION_MAX:
        return Refusal(
            "too_many",
            f"Generation {generation} is beyond {GENERATION_MAX}, the last there is: name a smaller one.",
        )
    version = first_of(generation) + 1
    epoch = epoch_of(generation, version)

    def freed(old: Holding) -> Holding:
        lost = old.lost if old.holder is None else Held(old.holder, old.epoch)
        return replace(old, holder=None, epoch=epoch, standbys=(), host=None, lost=lost, wish=None)

    return CityMap(
        version,
        generation,
        {},
        {cell: freed(holding) for cell, holding in city.cells.items()},
        {name: freed(holding) for name, holding in city.streams.items()},
        city.format,
    )


_NOT_LISTED: Final = Refusal("not_a_member", "This incarnation is not in the city map; it must join first.")
_NOTHING: Final = Refusal("nothing", "No cell is named.")
_TOO_MANY: Final = Refusal("too_many", "The city map is full.")
_OLDER_FORMAT: Final = Refusal(
    "older_format", "Not all nodes of this city have been updated to a release that knows this."
)


def _not_holder(cell: Cell) -> Refusal:
    return Refusal("not_the_holder", f"The node does not hold cell {cell}.")


def _no_leaf(cell: Cell) -> Refusal:
    return Refusal("no_leaf", f"The city map has no such cell as {cell}.")


def _next(
    city: CityMap,
    *,
    members: Mapping[bytes, Member] | None = None,
    cells: Mapping[Cell, Holding] | None = None,
    streams: Mapping[str, Holding] | None = None,
) -> CityMap:
    if cells is not None and [*cells] != [*city.cells]:
        cells = {cell: cells[cell] for cell in sorted(cells, key=curve_key)}
    return CityMap(
        city.version + 1,
        city.generation,
        city.members if members is None else members,
        city.cells if cells is None else cells,
        city.streams if streams is None else streams,
        city.format,
    )


def _change(
    city: CityMap, cells: Iterable[Cell], change: Callable[[Cell, Holding], Holding | Refusal]
) -> CityMap | Refusal:
    """Change each of these leaves, or none."""
    ground = dict(city.cells)
    wanted = list(cells)
    if not wanted:
        return _NOTHING
    for cell in wanted:
        old = ground.get(cell)
        new = _no_leaf(cell) if old is None else change(cell, old)
        if isinstance(new, Refusal):
            return new
        ground[cell] = new
    return _next(city, cells=ground)


def _without(
    city: CityMap,
    gone: Incarnation,
    members: Mapping[bytes, Member],
    silent: Collection[Incarnation] = (),
) -> CityMap:
    """The map with these members in which `gone` holds and guards nothing; its heirs hold what it held."""
    epoch = epoch_of(city.generation, city.version + 1)

    def freed(old: Holding) -> Holding:
        if old.wish is not None and old.wish.to == gone.node:
            old = replace(old, wish=None)
        if old.holder != gone and gone not in old.standbys:
            return old
        guards = tuple(standby for standby in old.standbys if standby != gone)
        if old.holder != gone:
            return replace(old, standbys=guards)
        ended = replace(old, epoch=epoch, standbys=(), host=None, wish=None)
        if not guards:
            return replace(ended, holder=None, lost=Held(gone, old.epoch))
        heir = next((standby for standby in guards if standby not in silent), guards[0])
        return replace(ended, holder=heir, standbys=tuple(standby for standby in guards if standby != heir))

    return _next(
        city,
        members=members,
        cells={cell: freed(holding) for cell, holding in city.cells.items()},
        streams={name: freed(holding) for name, holding in city.streams.items()},
    )


def _rest_of(leaf: Cell, cell: Cell) -> list[Cell]:
    """The fewest cells that cover `leaf` such that `cell` is one of them."""
    if leaf == cell:
        return [cell]
    ancestors = [cell.parent(level) for level in range(leaf.level + 1, cell.level)]
    return [s for at in (*ancestors, cell) for s in at.siblings] + [cell]


def _sorted_members(members: Mapping[bytes, Member]) -> dict[bytes, Member]:
    return {node: members[node] for node in sorted(members)}
