"""The nearest to each of many boxes, for all boxes at once and exactly.

Places are sorted in horizontal bands, within a band from west to east. A window around a box is then one slice of each
band it meets, found by two binary searches. The windows' places become the rows of a matrix, its rows are sorted by distance, and
what lies within the window's reach is certain. A box that finds too few there asks again with a wider window, at most
VIEW_CM. So a good first guess of the reach makes it fast, and a bad one changes nothing else.

Equally distant places come in the order of their numbers: callers who want chance in it number them by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import VIEW_CM

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Box", "nearest"]

_DIRECT: Final = 1 << 14  # so many pairs of a box and a place are looked at without windows
_CHUNK: Final = 1 << 15  # pairs at a time: 256 KiB, which stays in the cache
_BANDS_CM: Final = (50, 200, 800, 3_200)
_REACHES_CM: Final = np.array([300, 1_200, 4_800])  # above these, the next wider band
_REACH_LEAST_CM: Final = 25
_WIDEN: Final = (1.25, 3.0)  # of the reach at a time, at least and at most

# a key: the square of a distance (28 bits) above the number of a place
_NUMBER_BITS: Final = 20
_NUMBER: Final = (1 << _NUMBER_BITS) - 1
_NO_KEY: Final = np.int64(2**62)
_EAST_BITS: Final = 23
assert ROOT_SIDE_CM <= 1 << _EAST_BITS

Box = tuple[
    "NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]", "NDArray[np.int32]"
]  # columns: west, south, east, north, closed


def nearest(
    east_cm: NDArray[np.int32],
    north_cm: NDArray[np.int32],
    boxes: Box,
    wanted: NDArray[np.int64],
    reach_cm: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The `wanted[i]` places nearest to box i, none further than VIEW_CM: how many, and their numbers.

    The numbers are i64[boxes, max(wanted)], the nearest first; what stands after the counted ones means nothing.
    There are at most 2**20 places. `reach_cm` guesses how far away the last wanted one is.
    """
    found = np.zeros((len(wanted), int(wanted.max())), np.int64)
    counts = np.zeros(len(wanted), np.int64)
    if len(wanted) * len(east_cm) <= _DIRECT:
        keys = _keys(np.arange(len(east_cm))[None, :], east_cm[None, :], north_cm[None, :], boxes)
        keys.sort(axis=1)
        keys = keys[:, : found.shape[1]]
        np.minimum((keys < _limit(VIEW_CM)).sum(axis=1), wanted, out=counts)
        found[:, : keys.shape[1]] = keys & _NUMBER
        return counts, found
    windows = _Windows(east_cm, north_cm)
    reach = reach_cm.clip(_REACH_LEAST_CM, VIEW_CM).astype(np.int64)
    asking = np.arange(len(wanted))
    while len(asking):
        band = _REACHES_CM.searchsorted(reach[asking])
        for wide in np.bincount(band).nonzero()[0].tolist():
            windows.look(wide, asking[band == wide], boxes, reach, counts, found)
        short = (counts[asking] < wanted[asking]) & (reach[asking] < VIEW_CM)
        asking = asking[short]
        wider = np.sqrt(1.2 * wanted[asking] / (counts[asking] + 1.0)).clip(*_WIDEN)
        reach[asking] = np.minimum(reach[asking] * wider + 1, VIEW_CM)
    return np.minimum(counts, wanted), found


def _keys(
    number: NDArray[np.int64], east: NDArray[np.int32], north: NDArray[np.int32], boxes: Box
) -> NDArray[np.int64]:
    """The keys of places, one row a box; beyond VIEW_CM a distance is only known to be beyond it."""
    west, south, to_east, to_north = (column[:, None] for column in boxes)
    square = None
    for at, low, high in ((east, west, to_east), (north, south, to_north)):
        way = np.maximum(at, low)
        np.minimum(way, high, out=way)
        way -= at
        np.clip(way, -VIEW_CM - 1, VIEW_CM + 1, out=way)
        way *= way
        square = way if square is None else np.add(square, way, out=way)
    assert square is not None
    keys = square.astype(np.int64)
    keys <<= _NUMBER_BITS
    keys |= number
    return keys


def _limit(reach_cm: int | NDArray[np.int64]) -> int | NDArray[np.int64]:
    """Above every key of a place within the reach, below all others."""
    return (reach_cm * reach_cm + 1) << _NUMBER_BITS


class _Windows:
    """Places, in bands of as many widths as are asked for."""

    def __init__(self, east: NDArray[np.int32], north: NDArray[np.int32]) -> None:
        self._east, self._north = east, north
        self._number = np.arange(len(east), dtype=np.int64)
        self._sorted: dict[int, tuple[NDArray[np.int64], ...]] = {}

    def _band(self, wide: int) -> tuple[NDArray[np.int64], ...]:
        """Keys, numbers, and east and north (i32), by band and then from west to east; a place nowhere stands last."""
        known = self._sorted.get(wide)
        if known is None:
            keys = (self._north // _BANDS_CM[wide]).astype(np.int64) << _EAST_BITS | self._east
            keys = keys << _NUMBER_BITS | self._number
            keys.sort()
            number = keys & _NUMBER
            east = np.concatenate((self._east[number], _NOWHERE))
            north = np.concatenate((self._north[number], _NOWHERE))
            known = self._sorted[wide] = keys, np.concatenate((number, _NOBODY)), east, north
        return known

    def look(
        self,
        wide: int,
        asking: NDArray[np.intp],
        boxes: Box,
        reach: NDArray[np.int64],
        counts: NDArray[np.int64],
        found: NDArray[np.int64],
    ) -> None:
        """For each box that is asking: how many places are within its reach, and the nearest of them."""
        keys, number, east, north = self._band(wide)
        side, margin = _BANDS_CM[wide], reach[asking]
        first = np.maximum(boxes[1][asking] - margin, 0) // side
        bands = np.minimum(boxes[3][asking] + margin, ROOT_SIDE_CM - 1) // side - first + 1
        low = np.maximum(boxes[0][asking] - margin, 0)
        high = np.minimum(boxes[2][asking] + margin + 1, ROOT_SIDE_CM - 1 + 1)
        ends = bands.cumsum()
        base = (np.arange(ends[-1]) + (first - ends + bands).repeat(bands)) << _EAST_BITS
        begin = keys.searchsorted((base + low.repeat(bands)) << _NUMBER_BITS)
        slices = keys.searchsorted((base + high.repeat(bands)) << _NUMBER_BITS) - begin
        sizes = np.add.reduceat(slices, ends - bands)
        # equally large windows stand together, so that little of a matrix is empty
        order = sizes.argsort(kind="stable")
        at = 0
        while at < len(order):
            room = max(_CHUNK // max(int(sizes[order[at]]), 1), 1)
            some = order[at : at + room]
            while len(some) > 1 and len(some) * int(sizes[some[-1]]) > 2 * _CHUNK:
                some = some[: (len(some) + 1) // 2]
            at += len(some)
            width = int(sizes[some[-1]])
            if width == 0:
                continue
            took = sizes[some]
            piece = _ranges(ends[some] - bands[some], bands[some])
            inside = _ranges(begin[piece], slices[piece])
            matrix = np.full(len(some) * width, len(number) - 1)
            matrix[_ranges(np.arange(len(some)) * width, took)] = inside
            matrix = matrix.reshape(-1, width)
            who = asking[some]
            near = tuple(column[who] for column in boxes)
            rows = _keys(number[matrix], east[matrix], north[matrix], near)  # type: ignore[arg-type]
            rows.sort(axis=1)
            counts[who] = (rows < _limit(margin[some])[:, None]).sum(axis=1)  # type: ignore[index]
            rows = rows[:, : found.shape[1]]
            found[who, : rows.shape[1]] = rows & _NUMBER


_NOWHERE: Final = np.array([1 << 30], np.int32)
_NOBODY: Final = np.array([_NUMBER], np.int64)


def _ranges(begin: NDArray[np.intp], length: NDArray[np.intp]) -> NDArray[np.intp]:
    """All of begin..begin + length, one range after another."""
    end = length.cumsum()
    steps: NDArray[np.intp] = np.arange(end[-1]) + (begin - end + length).repeat(length)
    return steps
