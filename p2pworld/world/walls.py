"""Walls: which steps lead through one. The hot path is vectorised: no Python runs for each avatar.

A wall is a straight segment, and a step goes straight from where somebody stood to where they wish to stand. A point
lies on the left of a segment's line (or on it), or on its right; a step is blocked if it changes sides and meets the
segment, ends included. So every point has a side, also the points of the wall itself: nobody slips through by
stepping onto it first, and whoever walks along it changes no side. All of it is whole numbers, exact.

A segment is *whole* (nobody passes either way) or one side of a *solid* thing, run around it with the inside on the
left: it is blocked only from right to left, so whoever stands inside, wherever that comes from, may walk out.

Segments are kept by squares of 32 m (compressed rows: sorted squares, where each one's segments begin). A step looks up
the squares around it; where none has a wall, that is all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["NO_WALLS", "SQUARE_CM", "Walls"]

SQUARE_CM: Final = 3_200
_COLUMNS: Final = 1 << 12  # more than the root has, so that a square is one number
_SQUARES_MAX: Final = 64  # a longer step than these looks at every segment

Segment = tuple[int, int, int, int]


class Walls:
    """Segments (east, north, east, north) in root centimetres: `whole` ones, and sides of `solid` things."""

    def __init__(self, whole: Sequence[Segment] = (), solid: Sequence[Segment] = ()) -> None:
        """Raises LocalError if a segment has no length."""
        ends = np.array([*whole, *solid], np.int64).reshape(-1, 4)
        if ((ends[:, 0] == ends[:, 2]) & (ends[:, 1] == ends[:, 3])).any():
            raise LocalError("a wall's segment begins where it ends; leave that point out")
        self._a_east, self._a_north = ends[:, 0].copy(), ends[:, 1].copy()
        self._way_east, self._way_north = ends[:, 2] - ends[:, 0], ends[:, 3] - ends[:, 1]
        self._whole = np.arange(len(ends)) < len(whole)
        squares = [_squares_of(*segment) for segment in ends.tolist()]
        number = np.repeat(np.arange(len(ends)), [len(found) for found in squares])
        flat = np.array([square for found in squares for square in found], np.int64)
        order = flat.argsort(kind="stable")
        self._segments = number[order]
        self._squares, self._first = np.unique(flat[order], return_index=True)
        self._first = np.append(self._first, len(flat))

    def __len__(self) -> int:
        """How many segments there are."""
        return len(self._whole)

    def blocked(
        self,
        old_east: NDArray[np.int32],
        old_north: NDArray[np.int32],
        east: NDArray[np.int32],
        north: NDArray[np.int32],
    ) -> NDArray[np.bool_]:
        """Which of these steps lead through a wall: bool[n]. All positions are i32[n], anywhere."""
        out = np.zeros(len(east), np.bool_)
        if len(self) == 0 or len(east) == 0:
            return out
        west, right = np.minimum(old_east, east) // SQUARE_CM, np.maximum(old_east, east) // SQUARE_CM
        south, top = np.minimum(old_north, north) // SQUARE_CM, np.maximum(old_north, north) // SQUARE_CM
        wide, high = (right - west + 1).astype(np.int64), (top - south + 1).astype(np.int64)
        many = wide * high
        step = np.arange(len(out))
        if many.max() == 1:
            square = south.astype(np.int64) * _COLUMNS + west
        else:
            if many.max() > _SQUARES_MAX:
                for i in (many > _SQUARES_MAX).nonzero()[0].tolist():
                    each = np.full(len(self), i)
                    out[i] = self._cross(each, np.arange(len(self)), old_east, old_north, east, north).any()
                many[many > _SQUARES_MAX] = 0
            step = np.repeat(step, many)
            rank = np.arange(len(step)) - np.repeat(many.cumsum() - many, many)
            square = (south[step] + rank // wide[step]) * _COLUMNS + west[step] + rank % wide[step]
        at = self._squares.searchsorted(square)
        at[at == len(self._squares)] = 0
        near = (self._squares[at] == square).nonzero()[0]
        if len(near) == 0:
            return out
        at, step = at[near], step[near]
        first = self._first[at]
        count = self._first[at + 1] - first
        pairs = np.repeat(np.arange(len(at)), count)
        rank = np.arange(len(pairs)) - np.repeat(count.cumsum() - count, count)
        segment = self._segments[first[pairs] + rank]
        step = step[pairs]
        out[step[self._cross(step, segment, old_east, old_north, east, north)]] = True
        return out

    def _cross(
        self,
        step: NDArray[np.intp],
        segment: NDArray[np.intp],
        old_east: NDArray[np.int32],
        old_north: NDArray[np.int32],
        east: NDArray[np.int32],
        north: NDArray[np.int32],
    ) -> NDArray[np.bool_]:
        """Whether step i of the pair leads through segment i of the pair: bool[pairs]."""
        from_east = old_east[step] - self._a_east[segment]
        from_north = old_north[step] - self._a_north[segment]
        to_east = east[step] - self._a_east[segment]
        to_north = north[step] - self._a_north[segment]
        way_east, way_north = self._way_east[segment], self._way_north[segment]
        was_left = way_east * from_north - way_north * from_east >= 0
        is_left = way_east * to_north - way_north * to_east >= 0
        enters = (was_left != is_left) & (is_left | self._whole[segment])
        go_east, go_north = to_east - from_east, to_north - from_north
        one = go_north * from_east - go_east * from_north  # the segment's ends, by the line of the step
        other = one + go_east * way_north - go_north * way_east
        result: NDArray[np.bool_] = enters & (np.sign(one) * np.sign(other) <= 0)
        return result


def _squares_of(a_east: int, a_north: int, b_east: int, b_north: int) -> list[int]:
    """The squares that a segment meets (a few more at their corners)."""
    if a_north > b_north:
        a_east, a_north, b_east, b_north = b_east, b_north, a_east, a_north
    squares: list[int] = []
    for row in range(a_north // SQUARE_CM, b_north // SQUARE_CM + 1):
        low, high = max(a_north, row * SQUARE_CM), min(b_north, (row + 1) * SQUARE_CM)
        if a_north == b_north:
            ends = a_east, b_east
        else:
            way = (b_east - a_east) / (b_north - a_north)
            ends = round(a_east + (low - a_north) * way), round(a_east + (high - a_north) * way)
        first, last = (min(ends) - 1) // SQUARE_CM, (max(ends) + 1) // SQUARE_CM
        squares.extend(row * _COLUMNS + column for column in range(first, last + 1))
    return squares


NO_WALLS: Final = Walls()
