"""Declarations of places and programmes, from parsed TOML to frozen values, checked whole.

A `Document` is one file: where it lies and what it holds. Whatever is wrong is a `Fault`: the file, the key, what is
wrong and what to do. Each file is read up to its first fault; then everything that takes two files to see is
checked, so that one look shows as many faults as possible. `docs/places.md` describes the format for writers.

In a file lengths are metres: points are metres east and north of the file's `origin` (EPSG:5179), for a room of the
middle of its cell; bearings are degrees clockwise from north.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from p2pworld.errors import LocalError
from p2pworld.geometry import from_5179, inside_root
from p2pworld.grants import ROLES
from p2pworld.seoul.annex import annex_cells, room_cell
from p2pworld.world.places import (
    PUBLIC,
    Building,
    Feature,
    Place,
    Places,
    Point,
    Polygon,
    Portal,
    Spawn,
    Wall,
    polygon_contains,
)
from p2pworld.world.programme import CLOCK, DATE, WEEKDAYS, Bell, Op, Programme, Schedule, Tell
from p2pworld.world.reading import ID, Frame, Table, Wrong, distance_cm, tidy

__all__ = ["DeclarationFaults", "Document", "Fault", "read_places"]

SURROUNDINGS_CM: Final = 10_000  # walls and buildings may lie this far beyond the outline's own rectangle
CLEAR_CM: Final = 30  # a person's half width: nobody appears closer to a wall
GATE_OFF_CM: Final = 200
CAPACITY_MAX: Final = 100_000
OPS_MAX: Final = 1_024
_T = TypeVar("_T")
RIGHT: Final = re.compile(r"key:[0-9a-f]{64}|role:[a-z]{1,20}")


@dataclass(frozen=True, slots=True)
class Document:
    """One file of declarations: its name for people, and its parsed TOML."""

    file: str
    values: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a file: the dotted key, and a sentence that says what to do."""

    file: str
    key: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}: {self.key}: {self.sentence}"


class DeclarationFaults(LocalError):
    """Declarations that cannot be used; `faults` are all that were found, in the order of the files."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


# ---- one place


def _place(values: Mapping[str, object]) -> Place:
    table = Table("", values)
    identity = table.text("id")
    if not ID.fullmatch(identity):
        raise table.wrong(
            "id", f"{identity!r}: use 1 to 40 small letters, digits and hyphens, a letter first."
        )
    ground, frame = _ground(table)
    place = Place(
        id=identity,
        name=table.words("name"),
        about=table.words("about", most=600),
        kind=table.text("kind"),
        ground=ground,
        outline=frame.polygon(table),
        spawns=tuple(_spawn(frame, one) for one in table.tables("spawns")),
        capacity=table.whole("capacity", 1, CAPACITY_MAX),
        access=_access(table, PUBLIC),
        services=table.texts("services", (), ID, '"bell"'),
        walls=tuple(wall for one in table.tables("walls") for wall in _walls(frame, one)),
        buildings=tuple(_building(frame, one) for one in table.tables("buildings")),
        water=tuple(_water(frame, one) for one in table.tables("water")),
        decorations=tuple(f for one in table.tables("decorations") for f in _features(frame, one)),
        features=tuple(f for one in table.tables("features") for f in _features(frame, one)),
        portals=tuple(_portal(frame, one) for one in table.tables("portals")),
        board=frame.point(table, "board") if "board" in table else None,
    )
    table.done()
    _check_place(place)
    return place


def _access(table: Table, default: tuple[str, ...]) -> tuple[str, ...]:
    rights = table.texts(
        "access", default, re.compile(f"public|{RIGHT.pattern}"), '"public" or "role:official"'
    )
    for right in rights:
        kind, _, role = right.partition(":")
        if kind == "role" and role not in ROLES:
            raise table.wrong("access", f"{role!r} is no role: use one of {', '.join(sorted(ROLES))}.")
    return rights


def _ground(table: Table) -> tuple[str | int, Frame]:
    if ("room" in table) == ("origin" in table):
        raise table.wrong(
            "origin", "give either origin = [east, north] in EPSG:5179 metres, or room = a number."
        )
    if "room" in table:
        number = table.whole("room", 0, len(annex_cells()) - 1)
        return number, Frame(*room_cell(number).centre_cm)
    value = table.take("origin")
    try:
        east_m, north_m = value
        origin = from_5179(east_m, north_m)
    except (TypeError, ValueError):
        origin = (-1, -1)
    if not inside_root(*origin):
        raise table.wrong(
            "origin", f"{value!r} lies nowhere in the city: write EPSG:5179 metres [east, north]."
        )
    return "city", Frame(*origin)


def _spawn(frame: Frame, table: Table) -> Spawn:
    spawn = Spawn(frame.point(table, "at"), round(table.number("facing", 0, 360, 0) * 256 / 360) % 256)
    table.done()
    return spawn


def _building(frame: Frame, table: Table) -> Building:
    arches = table.tables("arches")
    solid = table.flag("solid", True)
    if arches and "box" not in table:
        raise table.wrong("arches", "only a building given as a box has arches: they lead through its depth.")
    solids: tuple[Polygon, ...]
    if arches:
        _, _, width_m, depth_m = box = frame.box(table, "box")
        bearing = math.radians(table.number("bearing", 0, 360, 0))
        whole = [(-width_m / 2, -depth_m / 2), (width_m / 2, -depth_m / 2)]
        whole += [(width_m / 2, depth_m / 2), (-width_m / 2, depth_m / 2)]
        outline = frame.turned(table, "box", box[:2], bearing, whole)
        solids, left = (), -width_m / 2
        for arch in arches:
            middle, half = arch.number("at", -500, 500), arch.number("width", 1, 100) / 2
            arch.done()
            if middle - half <= left or middle + half >= width_m / 2:
                raise arch.wrong("at", "does not fit: list the arches from left to right, within the width.")
            pier = [(left, -depth_m / 2), (middle - half, -depth_m / 2)]
            pier += [(middle - half, depth_m / 2), (left, depth_m / 2)]
            solids += (frame.turned(table, "arches", box[:2], bearing, pier),)
            left = middle + half
        pier = [
            (left, -depth_m / 2),
            (width_m / 2, -depth_m / 2),
            (width_m / 2, depth_m / 2),
            (left, depth_m / 2),
        ]
        solids += (frame.turned(table, "arches", box[:2], bearing, pier),)
    else:
        outline = frame.polygon(table)
        solids = (outline,)
    building = Building(
        outline=outline,
        colour=table.colour("#8A8A84"),
        roof=table.text("roof", "flat"),
        height_cm=round(table.number("height", 0.1, 600) * 100),
        solids=solids if solid else (),
        name=table.words("name", optional=True),
    )
    table.done()
    return building


def _water(frame: Frame, table: Table) -> Polygon:
    polygon = frame.polygon(table)
    table.done()
    return polygon


def _features(frame: Frame, table: Table) -> list[Feature]:
    """A feature on a line or an area, or one at each point of `points`."""
    kind, colour = table.text("kind"), table.colour("#8A8A84")
    name = table.words("name", optional=True)
    access: tuple[str, ...] = ()
    if "access" in table:
        access = _access(table, ())
        if kind not in ("bell", "counter"):
            raise table.wrong(
                "access", "says who may strike a bell, or calls at a counter: leave it out here."
            )
    if "points" in table:
        width_cm = round(table.number("width", 0.1, 500, 1) * 100)
        lines: list[tuple[Point, ...]] = [(point,) for point in frame.points(table, "points", 1)]
    elif "line" in table:
        width_cm = round(table.number("width", 0.1, 500, 1) * 100)
        lines = [frame.points(table, "line", 2)]
    else:
        width_cm = 0  # an area: the line is its outline
        lines = [frame.polygon(table)]
    table.done()
    return [Feature(kind, line, width_cm, colour, name, access) for line in lines]


def _portal(frame: Frame, table: Table) -> Portal:
    arrive = None
    at = frame.point(table, "at")
    if "arrive" in table:
        # where it leads lies in another file, with another origin: metres of EPSG:5179
        value = table.take("arrive")
        try:
            landing = from_5179(*value)
        except (TypeError, ValueError):
            landing = (-1, -1)
        if not inside_root(*landing):
            raise table.wrong("arrive", f"{value!r} is no place: write EPSG:5179 metres [east, north].")
        arrive = Spawn(landing)
    portal = Portal(
        at=at,
        radius_cm=round(table.number("radius", 0.5, 10, 1.5) * 100),
        to=table.text("to"),
        name=table.words("name"),
        arrive=arrive,
    )
    table.done()
    return portal


def _walls(frame: Frame, table: Table) -> list[Wall]:
    """A `line`, or a closed `ring`, without the stretches that are gates."""
    if ("ring" in table) == ("line" in table):
        raise table.wrong("ring", "give either ring (closes by itself) or line, a list of points.")
    key = "ring" if "ring" in table else "line"
    points = frame.points(table, key, 3 if key == "ring" else 2)
    if key == "ring":
        points = tidy(table, key, points)
        points = (*points, points[0])
    lines = [points]
    for gate in table.tables("gates"):
        at, half_cm = frame.point(gate, "at"), gate.number("width", 1, 200) * 50
        gate.done()
        lines = _cut(gate, lines, at, half_cm)
    colour, height_cm = table.colour("#B7A993"), round(table.number("height", 0.1, 30, 3) * 100)
    table.done()
    return [Wall(line, colour, height_cm) for line in lines]


def _cut(gate: Table, lines: list[tuple[Point, ...]], at: Point, half_cm: float) -> list[tuple[Point, ...]]:
    """The lines without the stretch of one straight side around a gate."""
    sides = [(i, j) for i, line in enumerate(lines) for j in range(len(line) - 1)]
    i, j = min(sides, key=lambda side: distance_cm(at, lines[side[0]][side[1]], lines[side[0]][side[1] + 1]))
    line = lines[i]
    a, b = line[j], line[j + 1]
    if distance_cm(at, a, b) > GATE_OFF_CM:
        raise gate.wrong("at", f"is no gate: it lies over {GATE_OFF_CM // 100} m from the wall.")
    length = math.dist(a, b)
    along = ((at[0] - a[0]) * (b[0] - a[0]) + (at[1] - a[1]) * (b[1] - a[1])) / length
    if along - half_cm < 0 or along + half_cm > length:
        raise gate.wrong("width", "is wider than this straight side of the wall leaves room for.")

    def on(distance: float) -> Point:
        t = distance / length
        return round(a[0] + (b[0] - a[0]) * t), round(a[1] + (b[1] - a[1]) * t)

    parts = (*line[: j + 1], on(along - half_cm)), (on(along + half_cm), *line[j + 1 :])
    kept = [part for part in parts if len(set(part)) > 1]
    return [*lines[:i], *kept, *lines[i + 1 :]]


# ---- a place as a whole, and all of them


def _check_place(place: Place) -> None:
    if not place.spawns:
        raise Wrong("spawns", "is missing: add [[spawns]] with at = [east, north], at least one.")
    if place.room is None:
        west, south = (min(p[i] for p in place.outline) - SURROUNDINGS_CM for i in (0, 1))
        east, north = (max(p[i] for p in place.outline) + SURROUNDINGS_CM for i in (0, 1))
        where = f"the place's surroundings ({SURROUNDINGS_CM // 100} m around its outline)"
    else:
        west, south, east, north = place.room.bounds_cm()
        where = "the room's cell of 512 m"
        if not place.portals:
            raise Wrong(
                "portals", "is missing: nobody could leave this room. Add [[portals]] to another place."
            )
    parts: list[tuple[str, Iterable[Point]]] = [("outline", place.outline)]
    parts += [(f"walls[{i}]", wall.line) for i, wall in enumerate(place.walls)]
    parts += [(f"buildings[{i}]", building.outline) for i, building in enumerate(place.buildings)]
    parts += [(f"water[{i}]", water) for i, water in enumerate(place.water)]
    parts += [(f"decorations[{i}]", one.line) for i, one in enumerate(place.decorations)]
    parts += [(f"features[{i}]", one.line) for i, one in enumerate(place.features)]
    parts += [(f"portals[{i}]", (portal.at,)) for i, portal in enumerate(place.portals)]
    parts += [("board", (place.board,))] if place.board else []
    for key, points in parts:
        for point in points:
            if not (west <= point[0] < east and south <= point[1] < north):
                raise Wrong(key, f"leaves {where}: correct its points, or make another place of it.")
    for i, spawn in enumerate(place.spawns):
        if not polygon_contains(place.outline, spawn.at):
            raise Wrong(f"spawns[{i}].at", "lies outside the outline: people appear within their place.")


def _check_together(files: Mapping[str, str], places: Places) -> Iterable[Fault]:
    """What only shows when all places are known; `files` is where each id was read."""
    rooms: dict[int, str] = {}
    names: dict[str, str] = {}
    solids = [solid for place in places.all for b in place.buildings for solid in b.solids]
    walls = [pair for place in places.all for wall in place.walls for pair in pairwise(wall.line)]
    walls += [pair for solid in solids for pair in pairwise((*solid, solid[0]))]
    portals = [portal for place in places.all for portal in place.portals]

    def foul(spawn: Point) -> str | None:
        if any(polygon_contains(solid, spawn) for solid in solids):
            return "lies inside something solid: people would appear in it. Move it."
        if any(distance_cm(spawn, a, b) < CLEAR_CM for a, b in walls):
            return f"lies within {CLEAR_CM} cm of a wall: move it away."
        if any(math.dist(spawn, portal.at) <= portal.radius_cm for portal in portals):
            return "lies in a portal: whoever appears there would be gone at once. Move it."
        return None

    for place in places.all:
        file = files[place.id]
        if isinstance(place.ground, int):
            other = rooms.setdefault(place.ground, place.id)
            if other != place.id:
                yield Fault(file, "room", f"is {other}'s already ({files[other]}): take another number.")
        for language, name in place.name.items():
            other = names.setdefault(name.casefold(), place.id)
            if other != place.id:
                sentence = f"{name!r} is the name of {other} already ({files[other]}): tell them apart."
                yield Fault(file, f"name.{language}", sentence)
        for i, spawn in enumerate(place.spawns):
            if fault := foul(spawn.at):
                yield Fault(file, f"spawns[{i}].at", fault)
        for i, portal in enumerate(place.portals):
            key = f"portals[{i}]"
            there = places.by_id.get(portal.to)
            if there is None:
                known = ", ".join(sorted(places.by_id))
                yield Fault(file, f"{key}.to", f"{portal.to!r} is no place: use one of {known}.")
            elif portal.arrive and not there.contains(*portal.arrive.at):
                yield Fault(
                    file, f"{key}.arrive", f"does not lie in {portal.to}: correct it or leave it out."
                )
            elif portal.arrive and (fault := foul(portal.arrive.at)):
                yield Fault(file, f"{key}.arrive", fault)
            if any(polygon_contains(solid, portal.at) for solid in solids):
                yield Fault(file, f"{key}.at", "lies inside something solid: nobody could reach it. Move it.")


# ---- programmes


def _programme(values: Mapping[str, object]) -> Programme:
    table = Table("", values)
    identity = table.text("id")
    if not ID.fullmatch(identity):
        raise table.wrong(
            "id", f"{identity!r}: use 1 to 40 small letters, digits and hyphens, a letter first."
        )
    schedule = _schedule(Table("schedule", table.take("schedule")))
    steps: list[tuple[float, Op]] = []
    rehearsal: list[tuple[float, Op]] = []
    for one in table.tables("timeline"):
        _steps(one, steps, rehearsal)
    if not steps:
        raise table.wrong("timeline", "is missing: add [[timeline]] with at = seconds and do = what happens.")
    programme = Programme(
        id=identity,
        place=table.text("place"),
        name=table.words("name"),
        about=table.words("about", most=600),
        schedule=schedule,
        capacity=table.whole("capacity", 1, CAPACITY_MAX),
        timeline=tuple(sorted(steps, key=lambda step: step[0])),
        rehearsal=tuple(sorted(rehearsal, key=lambda step: step[0])) if table.flag("rehearsal", True) else (),
    )
    table.done()
    return programme


def _schedule(table: Table) -> Schedule:
    every = table.text("every")
    at = table.text("at")
    clock = CLOCK.fullmatch(at)
    if clock is None:
        raise table.wrong("at", f'{at!r} is no time of day: write "HH:MM:SS" as in Seoul.')
    second = int(clock[1]) * 3600 + int(clock[2]) * 60 + int(clock[3])
    on = table.text("on", "")
    table.done()
    match every:
        case "day" if not on:
            return Schedule(every, second)
        case "week" if on in WEEKDAYS:
            return Schedule(every, second, weekday=WEEKDAYS.index(on))
        case "year" if _is_day(f"2024-{on}"):
            return Schedule(every, second, month=int(on[:2]), day=int(on[3:]))
        case "once" if _is_day(on):
            return Schedule(every, second, year=int(on[:4]), month=int(on[5:7]), day=int(on[8:]))
        case "day" | "week" | "year" | "once":
            forms = {
                "day": "nothing",
                "week": f"one of {', '.join(WEEKDAYS)}",
                "year": '"MM-DD"',
                "once": '"YYYY-MM-DD"',
            }
            raise table.wrong("on", f"is {on!r}: every = {every!r} needs {forms[every]}.")
        case _:
            raise table.wrong("every", f"{every!r} is no rhythm: use day, week, year or once.")


def _is_day(text: str) -> bool:
    found = DATE.fullmatch(text)
    if found is None:
        return False
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    if not (1970 <= year <= 9000 and 1 <= month <= 12):
        return False
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    days = (31, 29 if leap else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    return 1 <= day <= days[month - 1]


def _steps(table: Table, steps: list[tuple[float, Op]], rehearsal: list[tuple[float, Op]]) -> None:
    """One entry of a timeline: `times` times the same, `every` seconds apart; fewer in a rehearsal."""
    at_s = table.number("at", 0, 86_400)
    times = table.whole("times", 1, OPS_MAX, 1)
    every_s = table.number("every", 0.5, 3_600, 1)
    rehearsed = table.whole("rehearsed", 0, times, times)
    do = table.text("do")
    op: Op
    match do:
        case "ring":
            op = Bell()
        case "tell":
            op = Tell(table.words("text", most=140))
        case _:
            raise table.wrong("do", f'{do!r} is nothing this city can do: use "ring" or "tell".')
    table.done()
    if len(steps) + times > OPS_MAX:
        raise table.wrong("times", f"a programme has at most {OPS_MAX} steps.")
    steps.extend((at_s + i * every_s, op) for i in range(times))
    rehearsal.extend((at_s + i * every_s, op) for i in range(rehearsed))


def _check_programme(programme: Programme, file: str, places: Places) -> Iterable[Fault]:
    place = places.by_id.get(programme.place)
    if place is None:
        known = ", ".join(sorted(places.by_id))
        yield Fault(file, "place", f"{programme.place!r} is no place: use one of {known}.")
    elif any(isinstance(op, Bell) for _, op in programme.timeline) and place.feature("bell") is None:
        yield Fault(
            file, "timeline", f'rings, but {place.id} has no bell: add [[features]] kind = "bell" to it.'
        )


def read_places(places: Iterable[Document], programmes: Iterable[Document] = ()) -> Places:
    """The table of all places and programmes.

    Raises:
        DeclarationFaults: anything at all is wrong with any of them.
    """
    faults: list[Fault] = []
    place_files: dict[str, str] = {}
    programme_files: dict[str, str] = {}
    read = _read_all(places, _place, lambda place: place.id, place_files, faults)
    table = Places(read)
    if not faults:  # a place that could not be read would be missed by others
        faults.extend(_check_together(place_files, table))
    played = _read_all(programmes, _programme, lambda programme: programme.id, programme_files, faults)
    if not faults:
        for programme in played:
            faults.extend(_check_programme(programme, programme_files[programme.id], table))
    if faults:
        raise DeclarationFaults(faults)
    return Places(read, played)


def _read_all(
    documents: Iterable[Document],
    parse: Callable[[Mapping[str, object]], _T],
    identity: Callable[[_T], str],
    files: dict[str, str],
    faults: list[Fault],
) -> list[_T]:
    """What these files declare, as far as they can be read; fills in where each id was read, and the faults."""
    read = []
    for document in documents:
        try:
            one = parse(document.values)
        except Wrong as wrong:
            faults.append(Fault(document.file, wrong.key, wrong.sentence))
            continue
        if identity(one) in files:
            sentence = f"{identity(one)!r} is declared in {files[identity(one)]} already: choose another id."
            faults.append(Fault(document.file, "id", sentence))
            continue
        files[identity(one)] = document.file
        read.append(one)
    return read
