"""Whose ground is it: one node's view of the city map, made for arrays of positions.

A `RegionIndex` is built once for each map version. A position becomes a Morton code at the finest level any
leaf of the map has, and a binary search in the leaves' first codes finds its leaf (Gargantini's linear
quadtree). Holders are small numbers here: -1 is nobody, 0 is this node, and `holders` names the rest.

`Border` is the geometry of the lines this node's ground shares with other holders': pieces of at most 16 m,
and which pieces are near to which counted cells, so that nothing has to be searched in a tick.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.geometry import LEVEL_MAX, ROOT, ROOT_SIDE_CM, Cell, cell_range, morton_encode
from p2pworld.limits import BORDER_CELLS_KEPT, BORDER_STEP_CM, DENSITY_LEVEL, HYSTERESIS_CM, VIEW_CM
from p2pworld.world.crowd import MINE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from p2pworld.ids import Incarnation
    from p2pworld.world.citymap import CityMap
    from p2pworld.world.crowd import Crowd

__all__ = ["BLOCK_CM", "BLOCK_LEVEL", "COUNTED_CM", "ME", "NOBODY", "Border", "RegionIndex", "spread_table"]

NOBODY: Final = -1
ME: Final = 0

COUNTED_CM: Final = ROOT_SIDE_CM >> DENSITY_LEVEL
BLOCK_LEVEL: Final = 8  # 256 m: as far as density is told across a border
BLOCK_CM: Final = ROOT_SIDE_CM >> BLOCK_LEVEL

_EDGE = ROOT_SIDE_CM - 1
# The square around a place has 401 whole centimetres a side: a cell of 400 that meets it holds a corner of it.
_WIDE_LEVEL: Final = next(
    level for level in range(LEVEL_MAX, -1, -1) if ROOT_SIDE_CM >> level >= 2 * HYSTERESIS_CM
)


@cache
def spread_table(level: int) -> NDArray[np.uint64]:
    """The bits of each column of `level` with a zero above each, u64[2**level]: a Morton code is two look-ups."""
    columns = np.arange(1 << level, dtype=np.int32) * np.int32(ROOT_SIDE_CM >> level)
    table = morton_encode(columns, np.zeros_like(columns), level)
    table.setflags(write=False)
    return table


class RegionIndex:
    """The city map as `me` sees it, for arrays of positions inside the root.

    `cells` are the leaves, u64 in curve order; `holder` is who holds each, i32: NOBODY, ME, or an index into
    `holders`, whose first is `me` whether it holds anything or not. A map without cells counts as one leaf
    that nobody holds.
    """

    def __init__(self, city_map: CityMap, me: Incarnation) -> None:
        self.city_map = city_map
        self.me = me
        leaves = city_map.leaves or (ROOT,)
        held = [city_map.holder_of(leaf) for leaf in leaves]
        self.holders: tuple[Incarnation, ...] = (
            me,
            *sorted({who for who in held if who is not None and who != me}),
        )
        self.number_of: dict[Incarnation, int] = {who: number for number, who in enumerate(self.holders)}
        self.cells: NDArray[np.uint64] = np.array(leaves, dtype=np.uint64)
        self.holder: NDArray[np.int32] = np.array(
            [NOBODY if who is None else self.number_of[who] for who in held], dtype=np.int32
        )
        level = max(leaf.level for leaf in leaves)
        self._side_cm = np.int32(ROOT_SIDE_CM >> level)
        self._east_bits = spread_table(level)
        self._north_bits = self._east_bits << np.uint64(1)
        self._starts = np.array([cell_range(leaf, level)[0] for leaf in leaves], dtype=np.uint64)
        self._any_unheld = bool((self.holder == NOBODY).any())
        self._fine_boxes = _boxes(
            leaf
            for leaf, number in zip(leaves, self.holder.tolist(), strict=True)
            if number == ME and leaf.level > _WIDE_LEVEL
        )
        self._boxes_of: dict[int, NDArray[np.int64]] = {}

    # ---- looking up

    def leaf_at(self, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> NDArray[np.intp]:
        """The index in `cells` of the leaf that holds each point; the points lie inside the root."""
        code = self._east_bits[east_cm // self._side_cm] | self._north_bits[north_cm // self._side_cm]
        leaf: NDArray[np.intp] = self._starts.searchsorted(code, side="right") - 1
        return leaf

    def holder_at(self, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> NDArray[np.int32]:
        """Who holds the ground under each point: NOBODY, ME or an index into `holders`."""
        return self.holder[self.leaf_at(east_cm, north_cm)]

    def enters_closed(
        self,
        old_east_cm: NDArray[np.int32],
        old_north_cm: NDArray[np.int32],
        east_cm: NDArray[np.int32],
        north_cm: NDArray[np.int32],
    ) -> NDArray[np.bool_]:
        """Whether each step enters ground that nobody holds; who stands in such a leaf may move in it and leave."""
        if not self._any_unheld:
            return np.zeros(len(east_cm), dtype=np.bool_)
        leaf = self.leaf_at(east_cm, north_cm)
        closed: NDArray[np.bool_] = self.holder[leaf] == NOBODY
        if closed.any():
            closed &= self.leaf_at(old_east_cm, old_north_cm) != leaf
        return closed

    def within(
        self, holder: int, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32], reach_cm: int
    ) -> NDArray[np.bool_]:
        """Whether each point lies in a cell of this holder or at most `reach_cm` (straight) from one."""
        near: NDArray[np.bool_] = self.holder_at(east_cm, north_cm) == holder
        if not near.all():
            boxes = self._boxes_of.get(holder)
            if boxes is None:
                found = self.cells[self.holder == holder].tolist()
                boxes = self._boxes_of[holder] = _boxes(Cell(number) for number in found)
            doubtful = np.flatnonzero(~near)
            east = east_cm[doubtful].astype(np.int64)[:, None]
            north = north_cm[doubtful].astype(np.int64)[:, None]
            de = np.maximum(np.maximum(boxes[:, 0] - east, east - boxes[:, 2]), 0)
            dn = np.maximum(np.maximum(boxes[:, 1] - north, north - boxes[:, 3]), 0)
            near[doubtful] = (de * de + dn * dn <= reach_cm * reach_cm).any(axis=1)
        return near

    # ---- who has left

    def crossers(self, crowd: Crowd) -> tuple[NDArray[np.int32], NDArray[np.uint64], NDArray[np.int32]]:
        """My rows that stand beyond my ground by more than the hysteresis, by rising id: rows, leaf cells and holders.

        Such an avatar stands on ground that another holds (`holders`; `cells` are the leaves), and the square
        of HYSTERESIS_CM to each side of it meets none of mine. Ground that nobody holds is no place to be
        handed to, see `strangers`.
        """
        rows = crowd.rows(MINE)
        if len(rows):
            east, north = crowd.east_cm[rows], crowd.north_cm[rows]
            leaf = self.leaf_at(east, north)
            abroad = np.flatnonzero(self.holder[leaf] > ME)
            if len(abroad):
                clear = abroad[self._clear(east[abroad], north[abroad])]
                found = rows[clear]
                order = crowd.id[found].argsort()
                leaf = leaf[clear[order]]
                return found[order], self.cells[leaf], self.holder[leaf]
        return np.empty(0, np.int32), np.empty(0, np.uint64), np.empty(0, np.int32)

    def strangers(self, crowd: Crowd) -> NDArray[np.int32]:
        """My rows that stand on ground nobody holds, by rising id."""
        rows = crowd.rows(MINE)
        if len(rows) and self._any_unheld:
            lost = self.holder_at(crowd.east_cm[rows], crowd.north_cm[rows]) == NOBODY
            found: NDArray[np.int32] = rows[lost]
            return found[crowd.id[found].argsort()]
        return rows[:0]

    def _clear(self, east: NDArray[np.int32], north: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether the square around each point, as far as it lies in the root, meets no ground of mine."""
        west, south = np.maximum(east - HYSTERESIS_CM, 0), np.maximum(north - HYSTERESIS_CM, 0)
        east, north = np.minimum(east + HYSTERESIS_CM, _EDGE), np.minimum(north + HYSTERESIS_CM, _EDGE)
        corners = self.holder_at(
            np.concatenate((west, east, west, east)), np.concatenate((south, south, north, north))
        )
        clear: NDArray[np.bool_] = np.logical_and.reduce((corners != ME).reshape(4, -1))
        if len(self._fine_boxes) and clear.any():
            boxes = self._fine_boxes  # leaves so small that they fit between the corners
            meets = (boxes[:, 0] <= east[:, None]) & (boxes[:, 2] > west[:, None])
            meets &= (boxes[:, 1] <= north[:, None]) & (boxes[:, 3] > south[:, None])
            clear &= ~meets.any(axis=1)
        return clear

    @cached_property
    def border(self) -> Border:
        """The lines my ground shares with other holders'; most maps change none of it, or bring back an earlier one."""
        key = self.cells.tobytes(), self.holder.tobytes()
        border = _BORDERS.pop(key, None) or Border(self)
        _BORDERS[key] = border
        if len(_BORDERS) > _BORDERS_KEPT:
            del _BORDERS[next(iter(_BORDERS))]
        return border


# who holds which cell, by number, and the border that follows from it: the latest used last
_BORDERS_KEPT: Final = 32  # at most 1 MB each
_BORDERS: Final[dict[tuple[bytes, bytes], Border]] = {}


def _boxes(cells: Iterable[Cell]) -> NDArray[np.int64]:
    """West, south, east, north of each cell, i64[n, 4]."""
    return np.array([cell.bounds_cm() for cell in cells], dtype=np.int64).reshape(-1, 4)


class Border:
    """The shared border of one node's ground with each other holder's, in pieces.

    `neighbours` are the holders met, rising; a *slot* is an index into it. Piece p belongs to `slot[p]` and
    is the box `west`..`north` [p] without width: at most BORDER_STEP_CM of a straight line, or the point
    where two cells meet at their corners. `counted` tells which pieces are within VIEW_CM of each counted cell,
    `blocks` which are within BLOCK_CM of each block of 256 m.
    """

    def __init__(self, index: RegionIndex) -> None:
        columns = _pieces(index)
        self.neighbours: NDArray[np.int32] = np.unique(columns[:, 0]).astype(np.int32)
        self.slot: NDArray[np.intp] = self.neighbours.searchsorted(columns[:, 0])
        self.west, self.south, self.east, self.north = (columns[:, i].astype(np.int32) for i in range(1, 5))
        self.counted = Nearby(self, DENSITY_LEVEL, VIEW_CM)
        self.blocks = Nearby(self, BLOCK_LEVEL, BLOCK_CM)


class Nearby:
    """Which pieces of a border are near to each cell of one level, found when somebody first stands in it.

    A cell's key is row << level | column; `keys` rise. The pieces of the i-th are `pieces[first[i] : first[i + 1]]`,
    and `slots[i]` tells whose they are, bool. A border is long, and people stand at little of it.
    """

    def __init__(self, border: Border, level: int, reach_cm: int) -> None:
        self.keys: NDArray[np.int64] = np.empty(0, np.int64)
        self.first: NDArray[np.intp] = np.zeros(1, np.intp)
        self.pieces: NDArray[np.intp] = np.empty(0, np.intp)
        self.slots: NDArray[np.bool_] = np.empty((0, len(border.neighbours)), np.bool_)
        self._border, self._level, self._reach_cm = border, level, reach_cm
        self._found: dict[int, NDArray[np.intp]] = {}

    def at(self, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> NDArray[np.intp]:
        """The index of the cell each point is in; those of an earlier call no longer count."""
        side = ROOT_SIDE_CM >> self._level
        wanted = (north_cm // side).astype(np.int64) << self._level | east_cm // side
        at = self.keys.searchsorted(wanted)
        if not len(self.keys) or (self.keys.take(at, mode="clip") != wanted).any():
            self._learn(wanted)
            at = self.keys.searchsorted(wanted)
        return at

    def _learn(self, wanted: NDArray[np.int64]) -> None:
        cells = set(wanted.tolist()) - self._found.keys()
        if len(self._found) + len(cells) > BORDER_CELLS_KEPT:
            self._found.clear()
            cells = set(wanted.tolist())
        for key in cells:
            self._found[key] = self._near(*divmod(key, 1 << self._level))
        keys = sorted(self._found)
        self.keys = np.array(keys, np.int64)
        counts = np.array([len(self._found[key]) for key in keys])
        self.first = np.concatenate(([0], counts.cumsum()))
        self.pieces = np.concatenate([self._found[key] for key in keys])
        self.slots = np.zeros((len(keys), self.slots.shape[1]), np.bool_)
        self.slots[np.arange(len(keys)).repeat(counts), self._border.slot[self.pieces]] = True

    def _near(self, row: int, column: int) -> NDArray[np.intp]:
        """The pieces of which the square of `reach_cm` around one meets the cell, rising."""
        border, reach_cm, side = self._border, self._reach_cm, ROOT_SIDE_CM >> self._level
        west, south = column * side - reach_cm, row * side - reach_cm
        east, north = west + side + 2 * reach_cm, south + side + 2 * reach_cm
        near = (border.east >= west) & (border.west < east) & (border.north >= south) & (border.south < north)
        return near.nonzero()[0]


def _pieces(index: RegionIndex) -> NDArray[np.int64]:
    """Holder, west, south, east, north of each piece of my border with ground that others hold, sorted: i64[n, 5]."""
    city = index.city_map
    lines: list[tuple[int, int, int, int, int]] = []  # holder, whether it runs north, the line, from, to
    corners: set[tuple[int, int, int]] = set()
    for mine in city.cells_of(index.me):
        west, south, east, north = mine.bounds_cm()
        for other in city.neighbours(mine):
            who = city.holder_of(other)
            if who is None or who == index.me:
                continue
            number = index.number_of[who]
            w, s, e, n = other.bounds_cm()
            w, s, e, n = max(w, west), max(s, south), min(e, east), min(n, north)
            if w == e and s == n:
                corners.add((number, w, s))
            elif w == e:
                lines.append((number, 1, w, s, n))
            else:
                lines.append((number, 0, s, w, e))
    edges = _stretches(np.array(lines, np.int64).reshape(-1, 5))
    number, runs_north, line, low, high = edges.T
    points = np.array(sorted(corners), np.int64).reshape(-1, 3)
    points = points[~_on_edge(edges, points)]
    found = np.concatenate(
        (
            np.column_stack((number, line, low, line, high))[runs_north == 1],
            np.column_stack((number, low, line, high, line))[runs_north == 0],
            points[:, (0, 1, 2, 1, 2)],
        )
    )
    return found[np.lexsort(found.T[::-1])]


def _stretches(lines: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lines cut at each multiple of BORDER_STEP_CM; parts of one holder's line in one stretch are one piece."""
    begin, end = lines[:, 3] // BORDER_STEP_CM, (lines[:, 4] - 1) // BORDER_STEP_CM + 1
    count = end - begin
    of = np.arange(len(lines)).repeat(count)
    stretch = np.arange(len(of)) - (count.cumsum() - count - begin).repeat(count)
    low = np.maximum(lines[of, 3], stretch * BORDER_STEP_CM)
    high = np.minimum(lines[of, 4], (stretch + 1) * BORDER_STEP_CM)
    keys = lines[of, 0], lines[of, 1], lines[of, 2], stretch
    order = np.lexsort(keys[::-1])
    fresh = np.ones(len(of), np.bool_)
    fresh[1:] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys])
    first = fresh.nonzero()[0]
    if len(first) == 0:
        return lines
    one = order[first]
    number, runs_north, line, _ = (key[one] for key in keys)
    low, high = np.minimum.reduceat(low[order], first), np.maximum.reduceat(high[order], first)
    return np.column_stack((number, runs_north, line, low, high))


def _on_edge(edges: NDArray[np.int64], points: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each corner (holder, east, north) lies on a piece with the same holder anyhow."""
    number, east, north = points.T[:, :, None]
    theirs, runs_north, line, low, high = edges.T
    along, across = np.where(runs_north, north, east), np.where(runs_north, east, north)
    on: NDArray[np.bool_] = (theirs == number) & (line == across) & (low <= along) & (along <= high)
    found: NDArray[np.bool_] = np.logical_or.reduce(on, axis=1)
    return found
