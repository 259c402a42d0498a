"""The city map as a value: who holds which cell since when, who stands by, and the lookups everybody makes in it.

Steps replace it (`steps`), bytes carry it (`form`); nothing changes it. `CityMap.check` states what every map must be.
"""

from __future__ import annotations

import bisect
import enum
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from p2pworld.errors import LocalError
from p2pworld.geometry import LEVEL_MAX, ROOT_SIDE_CM, Cell, cell_range, curve_key, is_partition
from p2pworld.ids import Incarnation

__all__ = [
    "CELLS_MAX",
    "EMPTY",
    "FORMAT",
    "GENERATION_MAX",
    "MEMBERS_MAX",
    "NUMBER_MAX",
    "STANDBYS_MAX",
    "STREAMS_MAX",
    "STREAM_CHARS_MAX",
    "URL_CHARS_MAX",
    "VERSION_MAX",
    "CityMap",
    "Held",
    "Holding",
    "Member",
    "Wish",
    "WishKind",
    "epoch_of",
    "first_of",
]

FORMAT: Final = 2  # 1 knows no wishes, pins and drains; a newer one is refused

# The whole map travels on each change: 16 384 cells of about 20 B are 330 kB. Seoul has 2 519 cells of 512 m.
CELLS_MAX: Final = 16_384
MEMBERS_MAX: Final = 1_024
STREAMS_MAX: Final = 256  # 25 gu, the city, and room to grow
STANDBYS_MAX: Final = 4  # each costs the holder one durable copy of every object
URL_CHARS_MAX: Final = 512
STREAM_CHARS_MAX: Final = 64
_HOMES_CACHED: Final = 32_768  # two for each avatar of a full node

_VERSION_BITS: Final = 48  # of a stamp; the generation stands above, so that a stamp stays under 2**63
VERSION_MAX: Final = (1 << _VERSION_BITS) - 1
GENERATION_MAX: Final = (1 << 15) - 1
NUMBER_MAX: Final = (1 << 63) - 1
# A generation's versions and incarnation numbers begin above all that earlier ones can have given (a change or a start
# each millisecond for 49 days), so that either alone tells generations apart: 15 + 32 bits fit into a version's 48.
_GENERATION_SHIFT: Final = 32


def first_of(generation: int) -> int:
    """What versions and incarnation numbers of this generation are larger than, and those of earlier ones are not."""
    return generation << _GENERATION_SHIFT


def epoch_of(generation: int, version: int) -> int:
    """The stamp of a map: its version, under its generation in the high bits."""
    return generation << _VERSION_BITS | version


@dataclass(frozen=True, slots=True)
class Member:
    """A listed node in one incarnation, and where it is reached: by nodes, by players, by browsers.

    One that is `draining` gives all its ground away, and is given none.
    """

    node: bytes
    incarnation: int
    link_url: str
    play_url: str
    web_url: str
    draining: bool = False

    @property
    def who(self) -> Incarnation:
        """The name that leases, holders and standbys are compared by."""
        return Incarnation(self.node, self.incarnation)


class Held(NamedTuple):
    """Who held a piece of ground last, and under which epoch: its next incarnation may prove it has that journal."""

    holder: Incarnation
    epoch: int


class WishKind(enum.Enum):
    """What can be wished for a cell; the value is its name in a stored map."""

    MOVE = "move"  # to another node
    CUT = "cut"  # into its four children, for as long as a crowd stands there
    SPLIT = "split"  # into its four children, for good
    MERGE = "merge"  # with its three siblings


class Wish(NamedTuple):
    """What the steward or an operator wishes of a held cell, for its holder to carry out; `to` is a move's target."""

    kind: WishKind
    to: bytes = b""


@dataclass(frozen=True, slots=True)
class Holding:
    """Who holds a cell or a stream: the holder, since which epoch, its in-sync standbys by rank, and a named host.

    Unheld ground has no standbys, no host and no wish. `lost` is set where the last holder went without a standby:
    anybody may take the ground, and whoever is an incarnation of that node, with a whole journal of that epoch, brings
    its objects. `pinned` ground stays where it is and as it is until its holder ends. `cut_from` is the level of the
    leaf that it was cut from when a crowd came, and up to which it may be merged again when the crowd has left.
    The host of a stream is the node whose disk it is on; one in a store that several nodes reach has none.
    """

    holder: Incarnation | None
    epoch: int
    standbys: tuple[Incarnation, ...] = ()
    host: bytes | None = None
    lost: Held | None = None
    wish: Wish | None = None
    pinned: bool = False
    cut_from: int | None = None

    @property
    def plain(self) -> bool:
        """Whether format 1 can tell it."""
        return self.wish is None and not self.pinned and self.cut_from is None


@dataclass(frozen=True)
class CityMap:
    """Who is in the city and who holds what; never changed, only replaced by a step. Cells stand in curve order.

    `format` is what it is written in: a city that an older release founded stays readable for it until `upgrade`.
    """

    version: int
    generation: int
    members: Mapping[bytes, Member]
    cells: Mapping[Cell, Holding]
    streams: Mapping[str, Holding]
    format: int = FORMAT
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

    def takes(self, who: Incarnation) -> bool:
        """Whether this incarnation is listed and may be given ground."""
        member = self.member(who)
        return member is not None and not member.draining

    def takers_beside(self, me: Incarnation) -> list[Incarnation]:
        """The other members that may be given ground."""
        return [member.who for member in self.members.values() if member.who != me and not member.draining]

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
            known = self._neighbours[cell] = tuple(sorted(self._touching(cell), key=curve_key))
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

    def first_in_turn(self, cell: Cell, among: Collection[Incarnation]) -> Incarnation:
        """Of some members, at least one, the one whose turn at a cell comes first (`rank`)."""
        nodes = {who.node: who for who in among}
        return next(nodes[node] for node in self._ranked(b"p2pworld rank", cell) if node in nodes)

    @cached_property
    def leaves(self) -> tuple[Cell, ...]:
        """All cells in curve order."""
        return tuple(sorted(self.cells, key=curve_key))

    @cached_property
    def leaf_starts(self) -> tuple[int, ...]:
        """The first Morton code (of level LEVEL_MAX) of each of `leaves`: bisect or `searchsorted` finds the leaf."""
        return tuple(cell_range(cell)[0] for cell in self.leaves)

    @cached_property
    def wished(self) -> tuple[Cell, ...]:
        """The cells that something is wished of, in curve order."""
        return tuple(cell for cell in self.leaves if self.cells[cell].wish is not None)

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

    def _touching(self, cell: Cell) -> set[Cell]:
        # Once around, a centimetre outside it and inside the root, and at each leaf met as far on as that reaches.
        west, south, east, north = cell.bounds_cm()
        west, south = max(west - 1, 0), max(south - 1, 0)
        east, north = min(east, ROOT_SIDE_CM - 1), min(north, ROOT_SIDE_CM - 1)
        found: set[Cell] = set()
        for line_cm in (south, north):
            along_cm = west
            while along_cm <= east:
                found.add(leaf := self.leaf_at(along_cm, line_cm))
                along_cm = leaf.bounds_cm()[2]
        for line_cm in (west, east):
            along_cm = south
            while along_cm <= north:
                found.add(leaf := self.leaf_at(line_cm, along_cm))
                along_cm = leaf.bounds_cm()[3]
        return found - {cell}

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
        _demand(0 <= self.version <= VERSION_MAX, f"version {self.version} is out of range")
        _demand(0 <= self.generation <= GENERATION_MAX, f"generation {self.generation} is out of range")
        if self.version == 0:
            _demand(not (self.members or self.cells or self.streams), "the map of version 0 is not empty")
            return
        _demand(len(self.members) <= MEMBERS_MAX, f"more than {MEMBERS_MAX} members")
        _demand(len(self.cells) <= CELLS_MAX, f"more than {CELLS_MAX} cells")
        _demand(len(self.streams) <= STREAMS_MAX, f"more than {STREAMS_MAX} streams")
        _demand(is_partition(self.cells), "the cells are not a partition of the root")
        _demand(1 <= self.format <= FORMAT, f"format {self.format} is not known")
        for node, member in self.members.items():
            _demand(self.format > 1 or not member.draining, "format 1 knows no drains")
            _demand(member.node == node, "a member stands under another node's key")
            _demand(1 <= member.incarnation <= NUMBER_MAX, "an incarnation is out of range")
        for cell, holding in self.cells.items():
            self._check_holding(f"cell {cell}", holding)
        for name, holding in self.streams.items():
            self._check_holding(f"stream {name}", holding)

    def _check_holding(self, what: str, holding: Holding) -> None:
        _demand(0 < holding.epoch <= self.stamp, f"{what} has an epoch that no map up to this one gave")
        _demand(self.format > 1 or holding.plain, f"{what} has what format 1 does not know")
        if holding.holder is None:
            _demand(not holding.standbys, f"{what} is unheld and yet has standbys")
            _demand(holding.host is None, f"{what} is unheld and yet has a host")
            _demand(holding.wish is None, f"{what} is unheld and yet something is wished of its holder")
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
        if holding.wish is not None:
            kind, to = holding.wish
            _demand((to in self.members) == (kind is WishKind.MOVE), f"{what} is to move to nobody")
        _demand(holding.cut_from is None or 0 <= holding.cut_from < LEVEL_MAX, f"{what} was cut from no cell")
        _demand(len(holding.standbys) <= STANDBYS_MAX, f"{what} has more than {STANDBYS_MAX} standbys")
        _demand(holding.holder not in holding.standbys, f"{what} has its holder as its standby")
        _demand(len(set(holding.standbys)) == len(holding.standbys), f"{what} has a standby twice")
        for standby in holding.standbys:
            _demand(self.is_listed(standby), f"{what} has a standby that is not listed")


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LocalError(f"this city map is unsound: {otherwise}")


EMPTY: Final = CityMap(0, 0, {}, {}, {})
