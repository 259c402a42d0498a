"""Reading one file of declarations: its tables key by key, its metres as points, its shapes as simple polygons.

Whatever does not fit raises `Wrong`, with the dotted key and a sentence that says what to do. A table is emptied as it
is read, so that a key left over is unknown and a slip of the pen never becomes a default.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final

from p2pworld.geometry import inside_root
from p2pworld.world.places import Point, Polygon, polygon_area_cm2

if TYPE_CHECKING:
    from p2pworld.world.places import Words

__all__ = ["ID", "Frame", "Table", "Wrong", "distance_cm", "meet", "tidy"]

POINTS_MAX: Final = 256
ROUND_CORNERS: Final = 24
LANGUAGES: Final = ("ko", "en", "ja", "zh")
ID: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")
COLOUR: Final = re.compile(r"#[0-9A-Fa-f]{6}")


class Wrong(Exception):
    """One thing wrong in the file at hand."""

    def __init__(self, key: str, sentence: str) -> None:
        super().__init__(sentence)
        self.key, self.sentence = key, sentence


class Table:
    """One table of a file, emptied key by key, so that what is left over is unknown."""

    def __init__(self, path: str, values: object) -> None:
        if not isinstance(values, Mapping):
            raise Wrong(path, "this is to be a table of keys and values.")
        self._path, self._values = path, dict(values)

    def key(self, key: str) -> str:
        return f"{self._path}.{key}" if self._path else key

    def wrong(self, key: str, sentence: str) -> Wrong:
        return Wrong(self.key(key), sentence)

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def take(self, key: str, default: object = None) -> Any:
        value = self._values.pop(key, default)
        if value is None:
            raise self.wrong(key, "is missing: add it.")
        return value

    def text(self, key: str, default: str | None = None, most: int = 80) -> str:
        value = self.take(key, default)
        if not isinstance(value, str) or len(value) > most or (not value and default is None):
            raise self.wrong(key, f"is to be text of at most {most} characters in quotes.")
        return value

    def colour(self, default: str) -> str:
        value = self.text("colour", default)
        if not COLOUR.fullmatch(value):
            raise self.wrong("colour", f'{value!r} is no colour: write "#RRGGBB" in hexadecimal digits.')
        return value

    def number(self, key: str, low: float, high: float, default: float | None = None) -> float:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise self.wrong(key, f"is to be a number from {low:g} to {high:g}, not {value!r}.")
        return float(value)

    def whole(self, key: str, low: int, high: int, default: int | None = None) -> int:
        value = self.take(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self.wrong(key, f"is to be a whole number from {low} to {high}, not {value!r}.")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.take(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "is to be true or false.")
        return value

    def words(self, key: str, optional: bool = False, most: int = 80) -> Words:
        if optional and key not in self:
            return {}
        value = self.take(key)
        if not isinstance(value, Mapping):
            raise self.wrong(key, 'is to be a table of languages: { ko = "...", en = "..." }.')
        for language, text in value.items():
            if language not in LANGUAGES:
                raise self.wrong(f"{key}.{language}", f"is no language here: use {', '.join(LANGUAGES)}.")
            if not isinstance(text, str) or not text.strip() or len(text) > most:
                raise self.wrong(f"{key}.{language}", f"is to be text of 1 to {most} characters.")
        for language in ("ko", "en"):
            if language not in value:
                raise self.wrong(
                    f"{key}.{language}", "is missing: every text is there in Korean and English."
                )
        return dict(value)

    def texts(
        self, key: str, default: tuple[str, ...], form: re.Pattern[str], example: str
    ) -> tuple[str, ...]:
        value = self.take(key, list(default))
        value = value if isinstance(value, list) else [value]
        for text in value:
            if not isinstance(text, str) or not form.fullmatch(text):
                raise self.wrong(key, f"holds {text!r}: write such as {example}.")
        return tuple(value)

    def tables(self, key: str) -> list[Table]:
        value = self.take(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, f"is to be a list of tables: write [[{self.key(key)}]] above each.")
        return [Table(self.key(f"{key}[{i}]"), one) for i, one in enumerate(value)]

    def over(self, values: Mapping[str, object]) -> Table:
        """A table of `values`, with what this one holds in place of theirs."""
        return Table(self._path, {**values, **self._values})

    def done(self) -> None:
        for key in self._values:
            raise self.wrong(key, "is not a known key: remove it or correct its spelling.")


class Frame:
    """Metres of one file, as points of the root square."""

    def __init__(self, east_cm: int, north_cm: int) -> None:
        self._east_cm, self._north_cm = east_cm, north_cm

    def at(self, table: Table, key: str, values: object) -> Point:
        if (
            not isinstance(values, list)
            or len(values) != 2
            or not all(type(v) in (int, float) and math.isfinite(v) for v in values)
        ):
            raise table.wrong(key, f"{values!r} is no point: write [metres east, metres north].")
        return self._place(table, key, float(values[0]), float(values[1]))

    def _place(self, table: Table, key: str, east_m: float, north_m: float) -> Point:
        point = round(self._east_cm + east_m * 100), round(self._north_cm + north_m * 100)
        if not inside_root(*point):
            raise table.wrong(
                key, f"[{east_m:g}, {north_m:g}] lies outside the city's square: look at origin."
            )
        return point

    def point(self, table: Table, key: str) -> Point:
        return self.at(table, key, table.take(key))

    def points(self, table: Table, key: str, least: int) -> tuple[Point, ...]:
        values = table.take(key)
        if not isinstance(values, list) or not least <= len(values) <= POINTS_MAX:
            raise table.wrong(key, f"is to be a list of {least} to {POINTS_MAX} points [east, north].")
        points = tuple(self.at(table, f"{key}[{i}]", value) for i, value in enumerate(values))
        for i, (a, b) in enumerate(pairwise(points)):
            if a == b:
                raise table.wrong(f"{key}[{i + 1}]", "is the same point as the one before: leave one out.")
        return points

    def box(self, table: Table, key: str) -> tuple[float, float, float, float]:
        value = table.take(key)
        sane = isinstance(value, list) and len(value) == 4
        if not sane or not all(type(v) in (int, float) and math.isfinite(v) for v in value):
            raise table.wrong(key, "is to be [east, north, width, depth] in metres: its middle and its size.")
        east_m, north_m, width_m, depth_m = value
        if not (0 < width_m <= 5_000 and 0 < depth_m <= 5_000):
            raise table.wrong(key, "is to have a width and a depth from 0 to 5000 metres.")
        return float(east_m), float(north_m), float(width_m), float(depth_m)

    def polygon(self, table: Table) -> Polygon:
        """The one shape of a table: `outline`, `box`, `oval`, or `line` with a `width`."""
        given = [key for key in ("outline", "box", "oval", "line") if key in table]
        if len(given) != 1:
            raise table.wrong("outline", "give exactly one shape: outline, box, oval, or line with width.")
        key = given[0]
        if key == "outline":
            return tidy(table, key, self.points(table, key, 3))
        if key == "line":
            half_cm = table.number("width", 0.1, 500) * 50
            return tidy(table, key, _ribbon(self.points(table, key, 2), half_cm))
        east_m, north_m, width_m, depth_m = self.box(table, key)
        bearing = math.radians(table.number("bearing", 0, 360, 0))
        if key == "box":
            corners = [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]
        else:
            turns = [2 * math.pi * i / ROUND_CORNERS for i in range(ROUND_CORNERS)]
            corners = [(math.cos(turn) / 2, math.sin(turn) / 2) for turn in turns]
        return self.turned(
            table, key, (east_m, north_m), bearing, [(x * width_m, y * depth_m) for x, y in corners]
        )

    def turned(
        self,
        table: Table,
        key: str,
        middle_m: tuple[float, float],
        bearing: float,
        corners_m: Iterable[tuple[float, float]],
    ) -> Polygon:
        """Corners right of and before a middle that faces `bearing` (radians)."""
        sin, cos = math.sin(bearing), math.cos(bearing)
        points = tuple(
            self._place(table, key, middle_m[0] + x * cos + y * sin, middle_m[1] - x * sin + y * cos)
            for x, y in corners_m
        )
        return tidy(table, key, points)


def tidy(table: Table, key: str, polygon: Polygon) -> Polygon:
    """The polygon with its inside on the left, if it is a simple one."""
    if polygon[0] == polygon[-1]:
        raise table.wrong(
            key, "the last point is the first again: leave it out, the outline closes by itself."
        )
    sides = list(pairwise((*polygon, polygon[0])))
    for (i, one), (j, other) in combinations(enumerate(sides), 2):
        adjacent = j - i == 1 or (i == 0 and j == len(sides) - 1)
        if not adjacent and meet(*one, *other):
            raise table.wrong(key, f"crosses itself: its sides {i} and {j} meet. Put its points in order.")
    area = polygon_area_cm2(polygon)
    if area == 0:
        raise table.wrong(key, "has no area: its points lie on one line.")
    return polygon if area > 0 else polygon[::-1]


def _side(a: Point, b: Point, p: Point) -> int:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def meet(a: Point, b: Point, c: Point, d: Point) -> bool:
    """Whether two closed segments have a point in common."""
    for i in (0, 1):
        if max(a[i], b[i]) < min(c[i], d[i]) or max(c[i], d[i]) < min(a[i], b[i]):
            return False
    one, other, three, four = _side(a, b, c), _side(a, b, d), _side(c, d, a), _side(c, d, b)
    return min(one, other) <= 0 <= max(one, other) and min(three, four) <= 0 <= max(three, four)


def distance_cm(point: Point, a: Point, b: Point) -> float:
    """From a point to a segment."""
    way = (b[0] - a[0], b[1] - a[1])
    along = (point[0] - a[0]) * way[0] + (point[1] - a[1]) * way[1]
    t = min(1.0, max(0.0, along / (way[0] ** 2 + way[1] ** 2)))
    return math.dist(point, (a[0] + t * way[0], a[1] + t * way[1]))


def _ribbon(line: tuple[Point, ...], half_cm: float) -> Polygon:
    """A line made this wide to both sides, its corners mitred."""
    left, right = [], []
    for i, (east, north) in enumerate(line):
        before = line[max(0, i - 1)]
        after = line[min(len(line) - 1, i + 1)]
        ways = [(q[0] - p[0], q[1] - p[1]) for p, q in ((before, line[i]), (line[i], after)) if p != q]
        units = [(x / math.hypot(x, y), y / math.hypot(x, y)) for x, y in ways]
        x, y = sum(u[0] for u in units), sum(u[1] for u in units)
        length = math.hypot(x, y) or 1.0
        x, y = x / length, y / length
        stretch = half_cm / max(0.5, x * units[0][0] + y * units[0][1])
        left.append((round(east - y * stretch), round(north + x * stretch)))
        right.append((round(east + y * stretch), round(north - x * stretch)))
    return (*right, *left[::-1])
