"""Ways around walls: straight where nothing stands between, else the shortest over the corners of what does.

A shortest way among walls bends only where a wall ends or turns away, so the corners are all the waypoints there are
(the visibility graph of robot motion planning). Each stands off its wall by a person's width and more. Which corners
see each other is found when it is first asked for, and remembered. Whole centimetres; nothing here reads a clock.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from p2pworld.world.places import Places, Point

__all__ = ["NO_WALLS", "Routes", "routes_of"]

OFF_CM: Final = (
    100,
    50,
    30,
)  # a corner stands this far from its wall: the first that leaves room to the others
ROOM_SHARE: Final = 0.6  # of that distance must be free around it
DETOUR_CM: Final = 60_000  # a way is looked for among corners that make it at most this much longer
BESIDE_CM: Final = 50  # whoever only passes a portal keeps this far from being led through
PAIRS_MAX: Final = 1 << 18  # looked at together

Segment = tuple[int, int, int, int]


class Routes:
    """Ways among segments (east, north, east, north): `whole` ones, and sides of `solid` things, inside on the left."""

    def __init__(self, whole: Sequence[Segment] = (), solid: Sequence[Segment] = ()) -> None:
        self._ends = np.array([*whole, *solid], np.int64).reshape(-1, 4)
        self._whole = np.arange(len(self._ends)) < len(whole)
        self._box_west = np.minimum(self._ends[:, 0], self._ends[:, 2])
        self._box_east = np.maximum(self._ends[:, 0], self._ends[:, 2])
        self._box_south = np.minimum(self._ends[:, 1], self._ends[:, 3])
        self._box_north = np.maximum(self._ends[:, 1], self._ends[:, 3])
        self._corners = np.array(self._find_corners(), np.int64).reshape(-1, 2)
        self._seen: dict[int, tuple[NDArray[np.intp], NDArray[np.float64]]] = {}

    def __len__(self) -> int:
        """How many corners there are."""
        return len(self._corners)

    # ------------------------------------------------------------------------------------------- asking

    def clear(self, start: Point, goal: Point) -> bool:
        """Whether one can go straight from one point to the other."""
        return bool(self._sight(np.array([start], np.int64), np.array([goal], np.int64))[0])

    def room_cm(self, point: Point) -> float:
        """How far the nearest wall is; 0 within something solid."""
        if len(self._ends) == 0:
            return math.inf
        east, north = point
        a_east, a_north, b_east, b_north = self._ends.T
        way_east, way_north = b_east - a_east, b_north - a_north
        along = ((east - a_east) * way_east + (north - a_north) * way_north) / (
            way_east * way_east + way_north * way_north
        )
        along = along.clip(0.0, 1.0)
        near = np.hypot(a_east + along * way_east - east, a_north + along * way_north - north).min()
        # around something solid its sides wind once, around all else they do not
        up = (a_north <= north) & (b_north > north)
        down = (b_north <= north) & (a_north > north)
        left = way_east * (north - a_north) - way_north * (east - a_east)
        winds = (up & (left > 0) & ~self._whole).sum() - (down & (left < 0) & ~self._whole).sum()
        return 0.0 if winds else float(near)

    def way(self, start: Point, goal: Point) -> tuple[Point, ...] | None:
        """The points to walk to one after the other, `goal` the last; None if no way is known."""
        if self.clear(start, goal):
            return (goal,)
        corners = self._corners
        if len(corners) == 0:
            return None
        first, last = np.array(start), np.array(goal)
        from_start = np.hypot(*(corners - first).T)
        to_goal = np.hypot(*(corners - last).T)
        near = from_start + to_goal <= math.dist(start, goal) + DETOUR_CM
        at = near.nonzero()[0]
        if len(at) == 0:
            return None
        opens = at[self._sight(np.broadcast_to(first, (len(at), 2)), corners[at])]
        closes = set(at[self._sight(corners[at], np.broadcast_to(last, (len(at), 2)))].tolist())
        if not closes:
            return None
        # A*: the straight distance never overestimates
        best = {int(i): float(from_start[i]) for i in opens}
        before: dict[int, int] = {}
        queue = [(cost + float(to_goal[i]), i) for i, cost in best.items()]
        heapq.heapify(queue)
        done: set[int] = set()
        while queue:
            _, here = heapq.heappop(queue)
            if here == -1:
                return self._traced(before, goal)
            if here in done:
                continue
            done.add(here)
            if here in closes:
                self._offer(-1, best[here] + float(to_goal[here]), 0.0, here, best, before, queue)
            seen, far = self._seen_from(here)
            for there, length in zip(seen.tolist(), far.tolist(), strict=True):
                if near[there] and there not in done:
                    self._offer(there, best[here] + length, float(to_goal[there]), here, best, before, queue)
        return None

    @staticmethod
    def _offer(
        there: int,
        cost: float,
        left: float,
        here: int,
        best: dict[int, float],
        before: dict[int, int],
        queue: list[tuple[float, int]],
    ) -> None:
        if cost < best.get(there, math.inf):
            best[there], before[there] = cost, here
            heapq.heappush(queue, (cost + left, there))

    def _traced(self, before: dict[int, int], goal: Point) -> tuple[Point, ...]:
        points, here = [goal], -1
        while (found := before.get(here)) is not None:
            here = found
            east, north = self._corners[here].tolist()
            points.append((east, north))
        return tuple(reversed(points))

    # ------------------------------------------------------------------------------------------- corners

    def _find_corners(self) -> list[Point]:
        """Beside every point where a wall ends or turns by leaving over half of the view open."""
        turns: defaultdict[Point, list[float]] = defaultdict(list)
        for a_east, a_north, b_east, b_north in self._ends.tolist():
            angle = math.atan2(b_north - a_north, b_east - a_east)
            turns[a_east, a_north].append(angle % math.tau)
            turns[b_east, b_north].append((angle + math.pi) % math.tau)
        found: dict[Point, None] = {}
        for (east, north), angles in turns.items():
            angles.sort()
            for one, following in zip(angles, [*angles[1:], angles[0] + math.tau], strict=True):
                if following - one <= math.pi + 0.01:
                    continue
                middle = (one + following) / 2
                for off_cm in OFF_CM:
                    corner = (
                        round(east + off_cm * math.cos(middle)),
                        round(north + off_cm * math.sin(middle)),
                    )
                    if self.room_cm(corner) >= off_cm * ROOM_SHARE:
                        found[corner] = None
                        break
        return list(found)

    def _seen_from(self, corner: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The corners seen from this one, and how far they are."""
        known = self._seen.get(corner)
        if known is None:
            here = np.broadcast_to(self._corners[corner], self._corners.shape)
            seen = self._sight(here, self._corners).nonzero()[0]
            far = np.hypot(*(self._corners[seen] - self._corners[corner]).T)
            known = self._seen[corner] = seen, far
        return known

    # ------------------------------------------------------------------------------------------- sight

    def _sight(self, start: NDArray[np.int64], goal: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these steps (i64[n, 2] each) no segment blocks: bool[n]; the same rule as `Walls.blocked`."""
        lines = np.concatenate([start, goal], axis=1)
        west, south = lines[:, 0::2].min(), lines[:, 1::2].min()
        east, north = lines[:, 0::2].max(), lines[:, 1::2].max()
        around = (self._box_east >= west) & (self._box_west <= east)
        around &= (self._box_north >= south) & (self._box_south <= north)
        ends, whole = self._ends[around], self._whole[around]
        free = np.ones(len(lines), np.bool_)
        if len(ends) == 0:
            return free
        rows = max(1, PAIRS_MAX // len(ends))
        for at in range(0, len(lines), rows):
            part = slice(at, at + rows)
            free[part] = ~_cross(lines[part, :, None], ends.T[:, None, :], whole).any(axis=1)
        return free


def _cross(lines: NDArray[np.int64], ends: NDArray[np.int64], whole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which lines (i64[n, 4, 1]) lead through which segments (i64[4, 1, m]): bool[n, m]."""
    a_east, a_north = ends[0], ends[1]
    way_east, way_north = ends[2] - a_east, ends[3] - a_north
    from_east, from_north = lines[:, 0] - a_east, lines[:, 1] - a_north
    go_east, go_north = lines[:, 2] - lines[:, 0], lines[:, 3] - lines[:, 1]
    was = way_east * from_north - way_north * from_east
    other_way = way_east * go_north - way_north * go_east
    is_left = was + other_way >= 0
    enters = ((was >= 0) != is_left) & (is_left | whole)
    one = go_north * from_east - go_east * from_north
    other = one + go_east * way_north - go_north * way_east
    result: NDArray[np.bool_] = enters & (np.sign(one) * np.sign(other) <= 0)
    return result


def _sides(line: Iterable[Point]) -> list[Segment]:
    return [(*a, *b) for a, b in pairwise(line) if a != b]


def _ring(middle: Point, radius_cm: int) -> tuple[Point, ...]:
    """Six points around a circle, their sides outside of it."""
    far = radius_cm / math.cos(math.pi / 6)
    turns = (math.tau * corner / 6 for corner in range(6))
    return tuple(
        (round(middle[0] + far * math.cos(turn)), round(middle[1] + far * math.sin(turn))) for turn in turns
    )


def routes_of(places: Places) -> Routes:
    """The ways of the city's ground among the walls and solid things of all places, and around their portals."""
    here = [place for place in places.all if place.ground == "city"]
    whole = [side for place in here for wall in place.walls for side in _sides(wall.line)]
    solids = [solid for place in here for building in place.buildings for solid in building.solids]
    solids += [_ring(portal.at, portal.radius_cm + BESIDE_CM) for place in here for portal in place.portals]
    return Routes(whole, [side for solid in solids for side in _sides((*solid, solid[0]))])


NO_WALLS: Final = Routes()
