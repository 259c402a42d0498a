"""Places: what a city has besides ground, as frozen declarations that the node enforces and the page draws.

A place is a value: outline, walls, buildings, water, where one appears, what leads elsewhere, who may enter. Nothing
here is particular to one place; they all come from files (`world.declarations` reads them, `docs/places.md` says how to
write one). A place lies on the city's ground or is a room of the annex. `Places` is the whole table, with its `Walls`.

All positions are centimetres from the root's south-west corner; polygons run with their inside on the left.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from p2pworld.seoul.annex import room_cell
from p2pworld.world.walls import Walls

if TYPE_CHECKING:
    from p2pworld.geometry import Cell
    from p2pworld.world.programme import Programme

__all__ = [
    "NO_PLACES",
    "PUBLIC",
    "Building",
    "Feature",
    "Place",
    "Places",
    "Point",
    "Polygon",
    "Portal",
    "Spawn",
    "Wall",
    "Words",
    "bell_of",
    "polygon_area_cm2",
    "polygon_contains",
]

Point = tuple[int, int]
Polygon = tuple[Point, ...]
Words = Mapping[str, str]
PUBLIC: Final = ("public",)


@dataclass(frozen=True, slots=True)
class Building:
    """Something that stands: seen from above as `outline`; `solids` are the parts that cannot be walked into."""

    outline: Polygon
    colour: str
    roof: str
    height_cm: int
    solids: tuple[Polygon, ...]
    name: Words = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wall:
    """A line that nobody crosses, gates left out already."""

    line: tuple[Point, ...]
    colour: str
    height_cm: int


@dataclass(frozen=True, slots=True)
class Spawn:
    """Where one appears, and which way one looks (256ths of a turn clockwise from north)."""

    at: Point
    yaw: int = 0


@dataclass(frozen=True, slots=True)
class Portal:
    """Whoever comes within `radius_cm` of `at` is in the place `to`: at `arrive`, or else where one appears there."""

    at: Point
    radius_cm: int
    to: str
    name: Words
    arrive: Spawn | None = None


@dataclass(frozen=True, slots=True)
class Feature:
    """Something drawn, or something to do: `kind` says which (`tree`, `path`; `bell`, `lanterns`, `drums`, `counter`).

    `access`, in the words of a place's: who may strike a bell at any time, or call numbers at a counter; nobody, if it
    is empty.
    """

    kind: str
    line: tuple[Point, ...]
    width_cm: int
    colour: str
    name: Words
    access: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """One place. `ground` is `city` or the number of a room; `access` is ("public",) or keys and roles, one of which
    is needed: `key:<64 hex digits>`, `role:<name>`."""

    id: str
    name: Words
    about: Words
    kind: str
    ground: str | int
    outline: Polygon
    spawns: tuple[Spawn, ...]
    capacity: int
    access: tuple[str, ...] = PUBLIC
    services: tuple[str, ...] = ()
    walls: tuple[Wall, ...] = ()
    buildings: tuple[Building, ...] = ()
    water: tuple[Polygon, ...] = ()
    decorations: tuple[Feature, ...] = ()
    features: tuple[Feature, ...] = ()
    portals: tuple[Portal, ...] = ()
    board: Point | None = None

    @property
    def room(self) -> Cell | None:
        """The cell of the annex that this place is, if it is a room."""
        return room_cell(self.ground) if isinstance(self.ground, int) else None

    def contains(self, east_cm: int, north_cm: int) -> bool:
        """Whether the point lies within the outline, or in the room's cell."""
        if self.room is not None:
            return self.room.contains_point(east_cm, north_cm)
        return polygon_contains(self.outline, (east_cm, north_cm))

    def feature(self, kind: str) -> Feature | None:
        """The first feature of this kind."""
        return next((one for one in self.features if one.kind == kind), None)


def polygon_area_cm2(polygon: Polygon) -> float:
    """The area; negative if its inside is on the right."""
    sides = pairwise((*polygon, polygon[0]))
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in sides) / 2


def polygon_contains(polygon: Polygon, point: Point) -> bool:
    """Whether the point lies inside, by the number of sides east of it; a point on a side may count either way."""
    east, north = point
    odd = False
    for (a_east, a_north), (b_east, b_north) in pairwise((*polygon, polygon[0])):
        if (a_north > north) != (b_north > north):
            way = (b_east - a_east) * (north - a_north) - (east - a_east) * (b_north - a_north)
            odd ^= (way > 0) == (b_north > a_north)
    return odd


def bell_of(place: Place) -> tuple[bytes, Point] | None:
    """The id and the place of the bell that this place declares; it lasts however the ground is divided."""
    bell = place.feature("bell")
    if bell is None:
        return None
    return hashlib.sha256(b"p2pworld declared bell " + place.id.encode()).digest()[:16], bell.line[0]


def _segments(line: tuple[Point, ...]) -> list[tuple[int, int, int, int]]:
    return [(*a, *b) for a, b in pairwise(line) if a != b]


class Places:
    """The table of all places and programmes; immutable, the same on every node."""

    def __init__(self, places: Iterable[Place] = (), programmes: Iterable[Programme] = ()) -> None:
        self.all = tuple(places)
        self.programmes = tuple(programmes)
        self.by_id = {place.id: place for place in self.all}
        # the smallest first, so that a gate within a palace is found before the palace
        self._by_size = sorted(self.all, key=lambda place: abs(polygon_area_cm2(place.outline)))
        self._by_name: dict[str, Place] = {}
        for place in self.all:
            for name in place.name.values():
                self._by_name.setdefault(name.casefold(), place)
                self._by_name.setdefault(name.partition(" (")[0].casefold(), place)
        self._by_name |= {place.id: place for place in self.all}
        self._rooms = {place.room: place for place in self.all if place.room is not None}

    def at(self, east_cm: int, north_cm: int) -> Place | None:
        """The smallest place around the point."""
        return next((place for place in self._by_size if place.contains(east_cm, north_cm)), None)

    def room_at(self, east_cm: int, north_cm: int) -> Place | None:
        """The room whose cell the point lies in."""
        return next(
            (room for cell, room in self._rooms.items() if cell.contains_point(east_cm, north_cm)), None
        )

    def find(self, text: str) -> Place | None:
        """The place with this id or name, in any language and case; what a name has in brackets may be left out."""
        return self._by_name.get(text.strip().casefold())

    @functools.cached_property
    def walls(self) -> Walls:
        """Every wall, the sides of everything solid, and around each room what its portals alone lead through."""
        whole = [s for place in self.all for wall in place.walls for s in _segments(wall.line)]
        for place in self.all:
            if place.room is not None:
                whole += _segments((*place.outline, place.outline[0]))
        solids = (solid for place in self.all for building in place.buildings for solid in building.solids)
        return Walls(whole, [s for solid in solids for s in _segments((*solid, solid[0]))])

    def document(self) -> list[dict[str, object]]:
        """The places as plain values for `/api/v1/places`."""
        return [_plain(place) for place in self.all]


NO_PLACES: Final = Places()


def _plain(place: Place) -> dict[str, object]:
    def feature(one: Feature) -> dict[str, object]:
        return {
            "kind": one.kind,
            "line": one.line,
            "width_cm": one.width_cm,
            "colour": one.colour,
            "name": dict(one.name),
            "access": one.access,
        }

    return {
        "id": place.id,
        "name": dict(place.name),
        "about": dict(place.about),
        "kind": place.kind,
        "ground": place.ground,
        "outline": place.outline,
        "capacity": place.capacity,
        "access": place.access,
        "services": place.services,
        "walls": [{"line": w.line, "colour": w.colour, "height_cm": w.height_cm} for w in place.walls],
        "buildings": [
            {
                "outline": b.outline,
                "colour": b.colour,
                "roof": b.roof,
                "height_cm": b.height_cm,
                "solid": bool(b.solids),
                "solids": b.solids,
                "name": dict(b.name),
            }
            for b in place.buildings
        ],
        "water": place.water,
        "decorations": [feature(one) for one in place.decorations],
        "features": [feature(one) for one in place.features],
        "spawns": [{"east_cm": s.at[0], "north_cm": s.at[1], "yaw": s.yaw} for s in place.spawns],
        "portals": [
            {
                "east_cm": p.at[0],
                "north_cm": p.at[1],
                "radius_cm": p.radius_cm,
                "to": p.to,
                "name": dict(p.name),
            }
            for p in place.portals
        ],
        "board": place.board,
    }
