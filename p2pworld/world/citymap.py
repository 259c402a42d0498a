"""The city map: who holds which cell, as an immutable value, and every way it may change.

The cells of a map partition the root square. Each is held by one incarnation of a listed node, or by nobody; a holder
has standbys whose disks are in step with its own, in the order in which they would take over. A step is a pure
function `old map -> new map | Refusal`; it raises the version by one, and a coordination store accepts the result by
compare-and-swap. Steps conflict only on the cells they touch: who loses the race reads the newer map and takes the
same step on it.

An epoch is the stamp (generation and version) of the map in which a holder got its ground. On every piece of ground
epochs never fall, and they grow whenever the holder changes; splitting and merging rename ground and keep them. A
restored store starts a new generation, which makes every epoch after it larger than any before.

The steps decide what a map may become, not who may ask: that a lease has ended, that a standby is in step, that a
holder has frozen before it gives up a cell, is for the node that proposes to know.
"""

from __future__ import annotations

import bisect
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, NamedTuple

import msgpack

from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.geometry import LEVEL_MAX, ROOT, Cell, cell_range, curve_key, is_partition, partition_around
from p2pworld.ids import Incarnation

__all__ = [
    "CELLS_MAX",
    "EMPTY",
    "FORMAT",
    "MEMBERS_MAX",
    "STANDBYS_MAX",
    "STREAMS_MAX",
    "CityMap",
    "Held",
    "Holding",
    "Member",
    "add_standby",
    "claim",
    "claim_stream",
    "decode",
    "drop_standby",
    "encode",
    "epoch_of",
    "fail_over",
    "from_plain",
    "genesis",
    "hand_over",
    "join",
    "leave",
    "merge",
    "new_generation",
    "split",
    "to_plain",
]

FORMAT: Final = 1  # of the encoded map: newer is refused

# The whole map travels on each change: 16 384 cells of about 20 B are 330 kB. Seoul has 2 519 cells of 512 m.
CELLS_MAX: Final = 16_384
MEMBERS_MAX: Final = 1_024
STREAMS_MAX: Final = 256  # 25 gu, the city, and room to grow
STANDBYS_MAX: Final = 4  # each costs the holder one durable copy of every object
_URL_CHARS_MAX: Final = 512
_STREAM_CHARS_MAX: Final = 64
_HOMES_CACHED: Final = 32_768  # two for each avatar of a full node

_VERSION_BITS: Final = 48  # of a stamp; the generation stands above, so that a stamp stays under 2**63
_VERSION_MAX: Final = (1 << _VERSION_BITS) - 1
_GENERATION_MAX: Final = (1 << 15) - 1
_NUMBER_MAX: Final = (1 << 63) - 1


def epoch_of(generation: int, version: int) -> int:
    """The stamp of a map: its version, under its generation in the high bits."""
    return generation << _VERSION_BITS | version


# ------------------------------------------------------------------------------------------------------- the value


@dataclass(frozen=True, slots=True)
class Member:
    """A listed node in one incarnation, and where it is reached: by nodes, by players, by browsers."""

    node: bytes
    incarnation: int
    link_url: str
    play_url: str
    web_url: str

    @property
    def who(self) -> Incarnation:
        """The name that leases, holders and standbys are compared by."""
        return Incarnation(self.node, self.incarnation)


class Held(NamedTuple):
    """Who held a piece of ground last, and under which epoch: its next incarnation may prove it has that journal."""

    holder: Incarnation
    epoch: int


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a cell or a stream: the holder, since which epoch, its in-sync standbys by rank, and a named host.

    Unheld ground has no standbys and no host. `lost` is set where the last holder went without a standby: anybody may
    take the ground, and whoever is an incarnation of that node, with a whole journal of that epoch, brings its objects.
    """

    holder: Incarnation | None
    epoch: int
    standbys: tuple[Incarnation, ...] = ()
    host: bytes | None = None
    lost: Held | None = None


@dataclass(frozen=True)
class CityMap:
    """Who is in the city and who holds what; never changed, only replaced by a step. Cells stand in curve order."""

    version: int
    generation: int
    members: Mapping[bytes, Member]
    cells: Mapping[Cell, Holding]
    streams: Mapping[str, Holding]
    _homes: dict[tuple[int, int], tuple[Member, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __hash__(self) -> int:
        return hash((self.generation, self.version))

    @property
    def stamp(self) -> int:
        """What orders maps, and what messages between nodes name: generation and version in one number."""
        return epoch_of(self.generation, self.version)

    # ---- lookups

    def is_listed(self, who: Incarnation) -> bool:
        """Whether this very incarnation is a member."""
        member = self.members.get(who.node)
        return member is not None and member.incarnation == who.number

    def member(self, who: Incarnation) -> Member | None:
        """The member, if this very incarnation is listed."""
        return self.members[who.node] if self.is_listed(who) else None

    def holder_of(self, cell: Cell) -> Incarnation | None:
        """Who holds this leaf of the map; None if nobody does or if it is no leaf."""
        holding = self.cells.get(cell)
        return holding.holder if holding else None

    def leaf_at(self, east_cm: int, north_cm: int) -> Cell:
        """The leaf that holds a point given from the root's south-west corner.

        Raises:
            LocalError: the point lies outside the root, or the map is empty.
        """
        try:
            code = Cell.at(east_cm, north_cm, LEVEL_MAX).morton
        except ValueError as error:
            raise LocalError(str(error)) from None
        return self._leaf_of_code(code)

    def leaf_around(self, cell: Cell) -> Cell | None:
        """The leaf that is or contains `cell`; None if `cell` is itself divided into finer leaves.

        Raises:
            LocalError: the map is empty.
        """
        leaf = self._leaf_of_code(cell_range(cell)[0])
        return leaf if leaf.contains(cell) else None

    def leaves_in(self, cell: Cell) -> tuple[Cell, ...]:
        """The leaves inside `cell`, itself included, in curve order; empty if `cell` lies within a larger leaf."""
        low, high = cell_range(cell)
        first = bisect.bisect_left(self.leaf_starts, low)
        found = self.leaves[first : bisect.bisect_left(self.leaf_starts, high)]
        return found if found and cell.contains(found[0]) else ()

    def cells_of(self, who: Incarnation) -> tuple[Cell, ...]:
        """The cells this incarnation holds, in curve order."""
        return self._by_holder.get(who, ())

    def standby_cells(self, who: Incarnation) -> tuple[Cell, ...]:
        """The cells this incarnation is a listed standby of, in curve order."""
        return self._by_standby.get(who, ())

    def unheld(self) -> tuple[Cell, ...]:
        """The cells nobody holds, in curve order."""
        return self._by_holder.get(None, ())

    def neighbours(self, cell: Cell) -> tuple[Cell, ...]:
        """The leaves that share a piece of border or a corner with this leaf, in curve order.

        Raises:
            LocalError: no leaf of this map.
        """
        if cell not in self.cells:
            raise LocalError(f"cell {cell} is no leaf of the city map")
        known = self._neighbours.get(cell)
        if known is None:
            found: list[Cell] = []
            self._collect_touching(ROOT, cell.bounds_cm(), found)
            known = self._neighbours[cell] = tuple(c for c in found if c != cell)
        return known

    def directory_homes(self, avatar_id: int, count: int = 2) -> tuple[Member, ...]:
        """The members that keep an avatar's place in the presence directory: the first by rendezvous hashing."""
        homes = self._homes.get((avatar_id, count))
        if homes is None:
            if len(self._homes) >= _HOMES_CACHED:
                self._homes.clear()
            ranked = self._ranked(b"p2pworld home", avatar_id)
            homes = self._homes[avatar_id, count] = tuple(self.members[node] for node in ranked[:count])
        return homes

    def rank(self, cell: Cell, who: Incarnation) -> int:
        """The turn at which a member takes unheld ground, from 0: an order for each cell, by rendezvous hashing.

        Raises:
            LocalError: not a member.
        """
        if not self.is_listed(who):
            raise LocalError(f"node {who.node.hex()[:12]} in incarnation {who.number} is not in the city map")
        return self._ranked(b"p2pworld rank", cell).index(who.node)

    @cached_property
    def leaves(self) -> tuple[Cell, ...]:
        """All cells in curve order."""
        return tuple(sorted(self.cells, key=curve_key))

    @cached_property
    def leaf_starts(self) -> tuple[int, ...]:
        """The first Morton code (of level LEVEL_MAX) of each of `leaves`: bisect or `searchsorted` finds the leaf."""
        return tuple(cell_range(cell)[0] for cell in self.leaves)

    @cached_property
    def _by_holder(self) -> dict[Incarnation | None, tuple[Cell, ...]]:
        held: dict[Incarnation | None, list[Cell]] = {}
        for cell in self.leaves:
            held.setdefault(self.cells[cell].holder, []).append(cell)
        return {who: tuple(cells) for who, cells in held.items()}

    @cached_property
    def _by_standby(self) -> dict[Incarnation, tuple[Cell, ...]]:
        guarded: dict[Incarnation, list[Cell]] = {}
        for cell in self.leaves:
            for standby in self.cells[cell].standbys:
                guarded.setdefault(standby, []).append(cell)
        return {who: tuple(cells) for who, cells in guarded.items()}

    @cached_property
    def _neighbours(self) -> dict[Cell, tuple[Cell, ...]]:
        return {}

    def _leaf_of_code(self, code: int) -> Cell:
        if not self.leaves:
            raise LocalError("the city map is empty: no node has founded the city")
        return self.leaves[bisect.bisect_right(self.leaf_starts, code) - 1]

    def _collect_touching(self, at: Cell, box: tuple[int, int, int, int], found: list[Cell]) -> None:
        # Only the branches of the tree that touch the box are walked: about its circumference, not the whole city.
        west, south, east, north = at.bounds_cm()
        if west > box[2] or east < box[0] or south > box[3] or north < box[1]:
            return
        if at in self.cells:
            found.append(at)
            return
        for child in at.children():
            self._collect_touching(child, box, found)

    def _ranked(self, purpose: bytes, key: int) -> list[bytes]:
        """All nodes by the hash of (purpose, key, node): each key has its own order, and few change with the list."""
        salt = key.to_bytes(8, "big")

        def score(node: bytes) -> tuple[bytes, bytes]:
            return hashlib.blake2b(salt + node, digest_size=8, person=purpose).digest(), node

        return sorted(self.members, key=score)

    # ---- the invariant

    def check(self) -> None:
        """Prove the map sound: a partition, held and guarded by listed incarnations, no epoch from the future.

        Raises:
            LocalError: it is not; the message says where.
        """
        _demand(0 <= self.version <= _VERSION_MAX, f"version {self.version} is out of range")
        _demand(0 <= self.generation <= _GENERATION_MAX, f"generation {self.generation} is out of range")
        if self.version == 0:
            _demand(not (self.members or self.cells or self.streams), "the map of version 0 is not empty")
            return
        _demand(len(self.members) <= MEMBERS_MAX, f"more than {MEMBERS_MAX} members")
        _demand(len(self.cells) <= CELLS_MAX, f"more than {CELLS_MAX} cells")
        _demand(len(self.streams) <= STREAMS_MAX, f"more than {STREAMS_MAX} streams")
        _demand(is_partition(self.cells), "the cells are not a partition of the root")
        for node, member in self.members.items():
            _demand(member.node == node, "a member stands under another node's key")
            _demand(1 <= member.incarnation <= _NUMBER_MAX, "an incarnation is out of range")
        for cell, holding in self.cells.items():
            self._check_holding(f"cell {cell}", holding)
        for name, holding in self.streams.items():
            self._check_holding(f"stream {name}", holding)

    def _check_holding(self, what: str, holding: Holding) -> None:
        _demand(0 < holding.epoch <= self.stamp, f"{what} has an epoch that no map up to this one gave")
        if holding.holder is None:
            _demand(not holding.standbys, f"{what} is unheld and yet has standbys")
            _demand(holding.host is None, f"{what} is unheld and yet has a host")
        else:
            _demand(self.is_listed(holding.holder), f"{what} is held by an incarnation that is not listed")
            _demand(holding.lost is None, f"{what} is held and yet lost")
        if holding.lost is not None:
            _demand(0 < holding.lost.epoch < holding.epoch, f"{what} was lost under an epoch of its future")
            current = self.members.get(holding.lost.holder.node)
            _demand(
                current is None or current.incarnation != holding.lost.holder.number,
                f"{what} was lost by an incarnation that is listed",
            )
        _demand(len(holding.standbys) <= STANDBYS_MAX, f"{what} has more than {STANDBYS_MAX} standbys")
        _demand(holding.holder not in holding.standbys, f"{what} has its holder as its standby")
        _demand(len(set(holding.standbys)) == len(holding.standbys), f"{what} has a standby twice")
        for standby in holding.standbys:
            _demand(self.is_listed(standby), f"{what} has a standby that is not listed")


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LocalError(f"this city map is unsound: {otherwise}")


EMPTY: Final = CityMap(0, 0, {}, {}, {})


# -------------------------------------------------------------------------------------------------------- the steps


def genesis(claims: Mapping[Member, Collection[Cell]], generation: int = 0) -> CityMap | Refusal:
    """The first map: these members hold what they claim; the rest of the root, in as few cells as can be, is unheld."""
    if len({member.node for member in claims}) < len(claims):
        return Refusal("twice", "A node is listed twice.")
    epoch = epoch_of(generation, 1)
    try:
        leaves = partition_around(cell for cells in claims.values() for cell in cells)
    except ValueError:
        return Refusal("overlap", "Two of the claimed cells overlap.")
    holders = {cell: member.who for member, cells in claims.items() for cell in cells}
    cells = {leaf: Holding(holders.get(leaf), epoch) for leaf in leaves}
    if len(cells) > CELLS_MAX or len(claims) > MEMBERS_MAX:
        return _TOO_MANY
    return CityMap(1, generation, _sorted_members({member.node: member for member in claims}), cells, {})


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
        ground[cell] = Holding(who, epoch)
    return _next(city, cells=ground) if len(ground) <= CELLS_MAX else _TOO_MANY


def claim_stream(city: CityMap, who: Incarnation, name: str) -> CityMap | Refusal:
    """Take a civic stream that is new or that nobody holds."""
    if not city.is_listed(who):
        return _NOT_LISTED
    holding = city.streams.get(name)
    if holding is not None and holding.holder is not None:
        return Refusal("held", f"Stream {name} is already held.")
    if not 0 < len(name) <= _STREAM_CHARS_MAX:
        return Refusal("bad_name", f"A stream's name has 1 to {_STREAM_CHARS_MAX} characters.")
    if holding is None and len(city.streams) >= STREAMS_MAX:
        return _TOO_MANY
    taken = Holding(who, epoch_of(city.generation, city.version + 1))
    return _next(city, streams=dict(sorted({**city.streams, name: taken}.items())))


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


def hand_over(city: CityMap, cell: Cell, holder: Incarnation, to: Incarnation) -> CityMap | Refusal:
    """Give a cell to one of its standbys; the old holder, which has frozen before, becomes the first standby."""
    epoch = epoch_of(city.generation, city.version + 1)

    def change(cell: Cell, old: Holding) -> Holding | Refusal:
        if old.holder != holder:
            return _not_holder(cell)
        if to not in old.standbys:
            return Refusal(
                "not_a_standby", f"The node is no standby of cell {cell}, so it lacks its objects."
            )
        return Holding(to, epoch, (holder, *(other for other in old.standbys if other != to)))

    return _change(city, [cell], change)


def split(city: CityMap, cell: Cell) -> CityMap | Refusal:
    """Put a leaf's four children in its place, held and guarded as it was, under the same epoch."""
    holding = city.cells.get(cell)
    if holding is None:
        return _no_leaf(cell)
    if cell.level >= LEVEL_MAX:
        return Refusal("too_fine", f"Cell {cell} is of the finest level.")
    if len(city.cells) + 3 > CELLS_MAX:
        return _TOO_MANY
    ground = {other: old for other, old in city.cells.items() if other != cell}
    return _next(city, cells={**ground, **dict.fromkeys(cell.children(), holding)})


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
    if len({(h.holder, h.host, h.lost) for h in found}) > 1:
        return Refusal("not_alike", f"The four parts of cell {parent} are not held alike.")
    guards = tuple(s for s in found[0].standbys if all(s in other.standbys for other in found))
    whole = replace(found[0], epoch=max(h.epoch for h in found), standbys=guards)
    ground = {cell: holding for cell, holding in city.cells.items() if cell not in children}
    return _next(city, cells={**ground, parent: whole})


def leave(city: CityMap, who: Incarnation) -> CityMap | Refusal:
    """Take a member that holds nothing any more off every list: the end of a drain."""
    if not city.is_listed(who):
        return _NOT_LISTED
    if city.cells_of(who) or any(holding.holder == who for holding in city.streams.values()):
        return Refusal("holds", "The node still holds cells or streams; hand them over first.")
    members = {node: member for node, member in city.members.items() if node != who.node}
    return _without(city, who, members)


def new_generation(city: CityMap) -> CityMap | Refusal:
    """After a store was restored from a copy: nobody is listed, nothing is held, and all later epochs are larger."""
    if city.version == 0:
        return Refusal("no_city", "Nobody has founded this city; found it with a larger generation.")
    generation = city.generation + 1
    epoch = epoch_of(generation, city.version + 1)

    def freed(old: Holding) -> Holding:
        return Holding(None, epoch, lost=old.lost if old.holder is None else Held(old.holder, old.epoch))

    return CityMap(
        city.version + 1,
        generation,
        {},
        {cell: freed(holding) for cell, holding in city.cells.items()},
        {name: freed(holding) for name, holding in city.streams.items()},
    )


_NOT_LISTED: Final = Refusal("not_a_member", "This incarnation is not in the city map; it must join first.")
_NOTHING: Final = Refusal("nothing", "No cell is named.")
_TOO_MANY: Final = Refusal("too_many", "The city map is full.")


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
    if cells is not None and cells.keys() != city.cells.keys():
        cells = {cell: cells[cell] for cell in sorted(cells, key=curve_key)}
    return CityMap(
        city.version + 1,
        city.generation,
        city.members if members is None else members,
        city.cells if cells is None else cells,
        city.streams if streams is None else streams,
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
        if old.holder != gone and gone not in old.standbys:
            return old
        guards = tuple(standby for standby in old.standbys if standby != gone)
        if old.holder != gone:
            return replace(old, standbys=guards)
        if not guards:
            return Holding(None, epoch, lost=Held(gone, old.epoch))
        heir = next((standby for standby in guards if standby not in silent), guards[0])
        return Holding(heir, epoch, tuple(standby for standby in guards if standby != heir))

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


# -------------------------------------------------------------------------------------------------------- the bytes


def to_plain(city: CityMap) -> dict[str, object]:
    """The map as plain lists, numbers and bytes, equal for equal maps.

    Holders and standbys are places in its list of members.
    """
    nodes = sorted(city.members)
    place = {city.members[node].who: index for index, node in enumerate(nodes)}

    def plain(holding: Holding) -> list[object]:
        return [
            None if holding.holder is None else place[holding.holder],
            holding.epoch,
            [place[standby] for standby in holding.standbys],
            holding.host,
            None if holding.lost is None else [*holding.lost.holder, holding.lost.epoch],
        ]

    return {
        "format": FORMAT,
        "generation": city.generation,
        "version": city.version,
        "members": [
            [m.node, m.incarnation, m.link_url, m.play_url, m.web_url]
            for _, m in sorted(city.members.items())
        ],
        "cells": [[int(cell), *plain(city.cells[cell])] for cell in city.leaves],
        "streams": [[name, *plain(holding)] for name, holding in sorted(city.streams.items())],
    }


def from_plain(plain: object) -> CityMap:
    """The map of `to_plain`, proven sound.

    Raises:
        RemoteError: `newer_format` if a newer release wrote it, else `bad_map`.
    """
    if not isinstance(plain, dict):
        raise RemoteError("bad_map", "a city map is a table")
    written = plain.get("format")
    if isinstance(written, int) and written > FORMAT:
        raise RemoteError(
            "newer_format", f"the city map has format {written}, this release reads up to {FORMAT}"
        )
    if written != FORMAT or plain.keys() != {
        "format",
        "generation",
        "version",
        "members",
        "cells",
        "streams",
    }:
        raise RemoteError("bad_map", "the city map lacks a field or has one too many")
    members = [
        Member(_bytes32(node), _count(number, _NUMBER_MAX), _url(link), _url(play), _url(web))
        for node, number, link, play, web in _rows(plain["members"], 5, MEMBERS_MAX)
    ]
    who = [member.who for member in members]
    cells = {_cell(number): _holding(rest, who) for number, *rest in _rows(plain["cells"], 6, CELLS_MAX)}
    streams = {
        _text(name, _STREAM_CHARS_MAX): _holding(rest, who)
        for name, *rest in _rows(plain["streams"], 6, STREAMS_MAX)
    }
    city = CityMap(
        _count(plain["version"], _VERSION_MAX),
        _count(plain["generation"], _GENERATION_MAX),
        {member.node: member for member in members},
        cells,
        streams,
    )
    try:
        city.check()
    except LocalError as error:
        raise RemoteError("bad_map", str(error)) from None
    # Whatever stood twice or out of order shows here: one map has one form.
    if to_plain(city) != plain:
        raise RemoteError("bad_map", "the city map is not in canonical order")
    return city


def encode(city: CityMap) -> bytes:
    """The canonical bytes of a map: equal for equal maps."""
    return bytes(msgpack.packb(to_plain(city)))


def decode(data: bytes) -> CityMap:
    """The map of `encode`.

    Raises:
        RemoteError: `newer_format` if a newer release wrote it, else `bad_map`.
    """
    try:
        plain = msgpack.unpackb(data)
    except (ValueError, RecursionError, msgpack.UnpackException) as error:
        raise RemoteError("bad_map", f"the city map is not msgpack: {error}") from None
    return from_plain(plain)


def _rows(value: object, width: int, rows_max: int) -> list[list[object]]:
    if not isinstance(value, list) or len(value) > rows_max:
        raise RemoteError("bad_map", f"a list of at most {rows_max} rows is wanted")
    for row in value:
        if not isinstance(row, list) or len(row) != width:
            raise RemoteError("bad_map", f"a row of {width} fields is wanted")
    return value


def _count(value: object, largest: int) -> int:
    if type(value) is not int or not 0 <= value <= largest:
        raise RemoteError("bad_map", f"a number from 0 to {largest} is wanted")
    return value


def _text(value: object, chars_max: int) -> str:
    if not isinstance(value, str) or not len(value) <= chars_max:
        raise RemoteError("bad_map", f"a text of at most {chars_max} characters is wanted")
    return value


def _url(value: object) -> str:
    return _text(value, _URL_CHARS_MAX)


def _bytes32(value: object) -> bytes:
    if not isinstance(value, bytes) or len(value) != 32:
        raise RemoteError("bad_map", "a public key of 32 bytes is wanted")
    return value


def _cell(value: object) -> Cell:
    try:
        return Cell(_count(value, _NUMBER_MAX))
    except ValueError as error:
        raise RemoteError("bad_map", str(error)) from None


def _holding(row: list[object], who: list[Incarnation]) -> Holding:
    holder, epoch, standbys, host, lost = row
    if not isinstance(standbys, list):
        raise RemoteError("bad_map", "a list of standbys is wanted")

    def listed(place: object) -> Incarnation:
        return who[_count(place, len(who) - 1)]

    if lost is not None:
        node, number, lost_epoch = _rows([lost], 3, 1)[0]
        lost = Held(Incarnation(_bytes32(node), _count(number, _NUMBER_MAX)), _count(lost_epoch, _NUMBER_MAX))
    return Holding(
        None if holder is None else listed(holder),
        _count(epoch, _NUMBER_MAX),
        tuple(listed(standby) for standby in standbys),
        None if host is None else _bytes32(host),
        lost,
    )
