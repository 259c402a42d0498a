"""The nearest to each of many boxes, for all boxes at once and exactly.

Places are sorted in horizontal bands, within a band from west to east. A window around a box is then one slice of each
band it meets, found by two binary searches. The windows' places become the rows of a matrix, its rows are sorted by distance, and
what lies within the window's reach is certain. A box that finds too few there asks again with a wider window, at most
VIEW_CM. So a good first guess of the reach makes it fast, and a bad one changes nothing else.

Equally distant places come in the order of their numbers: callers who want chance in it number them by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
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

# A key is the square of a distance above the number of a place. The square is a float32, whose bits rise with it: nothing
# overflows, and up to 41 m it is exact (24 bits), beyond to 1 cm.
_NUMBER_BITS: Final = 20
_NUMBER: Final = (1 << _NUMBER_BITS) - 1
_SQUARE: Final = (1 << 31) - 1
_ROW_BITS: Final = 51  # of a key; the row of a matrix stands above
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
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """The `wanted[i]` places nearest to box i, none further than VIEW_CM: how many, their numbers, and how far they reach.

    The numbers are i64[boxes, max(wanted)], the nearest first; what stands after the counted ones means nothing. They
    reach VIEW_CM where there are fewer than wanted. There are at least one and at most 2**20 places. `reach_cm`
    guesses how far away the last wanted one is.
    """
    keys = np.zeros((len(wanted), int(wanted.max())), np.int64)
    counts = np.zeros(len(wanted), np.int64)
    if len(wanted) * len(east_cm) <= _DIRECT:
        everybody = np.arange(len(east_cm))[None, :]
        east, north = east_cm.astype(np.float32)[None, :], north_cm.astype(np.float32)[None, :]
        rows = _keys(everybody, east, north, boxes)
        rows.sort(axis=1)
        counts[:] = (rows < _limits(np.array([VIEW_CM]))).sum(axis=1)
        rows = rows[:, : keys.shape[1]]
        keys[:, : rows.shape[1]] = rows
    else:
        _search(_Windows(east_cm, north_cm), boxes, wanted, reach_cm, counts, keys)
    np.minimum(counts, wanted, out=counts)
    last = keys[np.arange(len(keys)), wanted - 1] >> _NUMBER_BITS & _SQUARE
    far_cm = np.sqrt(last.astype(np.int32).view(np.float32), dtype=np.float64)
    far_cm[counts < wanted] = VIEW_CM
    keys &= _NUMBER
    return counts, keys, far_cm


def _search(
    windows: _Windows,
    boxes: Box,
    wanted: NDArray[np.int64],
    reach_cm: NDArray[np.float64],
    counts: NDArray[np.int64],
    keys: NDArray[np.int64],
) -> None:
    """Look around each box until the wanted ones are found, or all within VIEW_CM."""
    reach = reach_cm.clip(_REACH_LEAST_CM, VIEW_CM).astype(np.int64)
    asking = np.arange(len(wanted))
    while len(asking):
        band = _REACHES_CM.searchsorted(reach[asking])
        for wide in np.bincount(band).nonzero()[0].tolist():
            windows.look(wide, asking[band == wide], boxes, reach, counts, keys)
        asking = asking[(counts[asking] < wanted[asking]) & (reach[asking] < VIEW_CM)]
        wider = np.sqrt(1.2 * wanted[asking] / (counts[asking] + 1.0)).clip(*_WIDEN)
        reach[asking] = np.minimum(reach[asking] * wider + 1, VIEW_CM)


def _keys(
    number: NDArray[np.int64], east: NDArray[np.float32], north: NDArray[np.float32], boxes: Box
) -> NDArray[np.int64]:
    """The keys of places, one row a box."""
    west, south, to_east, to_north = (column.astype(np.float32)[:, None] for column in boxes)
    east_way = np.maximum(east, west)
    np.minimum(east_way, to_east, out=east_way)
    east_way -= east
    east_way *= east_way
    way = np.maximum(north, south)
    np.minimum(way, to_north, out=way)
    way -= north
    way *= way
    way += east_way
    keys = way.view(np.int32).astype(np.int64)
    keys <<= _NUMBER_BITS
    keys |= number
    return keys


def _limits(reach_cm: NDArray[np.int64]) -> NDArray[np.int64]:
    """Above every key of a place within the reach, below all others."""
    square = (reach_cm * reach_cm).astype(np.float32)
    return (square.view(np.int32).astype(np.int64) + 1) << _NUMBER_BITS


class _Windows:
    """Places, in bands of as many widths as are asked for."""

    def __init__(self, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> None:
        self._east, self._north = east_cm, north_cm
        self._number = np.arange(len(east_cm), dtype=np.int64)
        self._sorted: dict[int, _Band] = {}

    def _band(self, wide: int) -> _Band:
        """All places by band, then from west to east, then by number."""
        known = self._sorted.get(wide)
        if known is None:
            keys = (self._north // _BANDS_CM[wide]).astype(np.int64) << _EAST_BITS | self._east
            keys = keys << _NUMBER_BITS | self._number
            keys.sort()
            number = keys & _NUMBER
            east, north = self._east[number].astype(np.float32), self._north[number].astype(np.float32)
            known = self._sorted[wide] = _Band(keys, number, east, north)
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
        """For each box that is asking: how many places are within its reach, and the keys of the nearest of them."""
        places = self._band(wide)
        side, margin = _BANDS_CM[wide], reach[asking]
        first = np.maximum(boxes[1][asking] - margin, 0) // side
        bands = np.minimum(boxes[3][asking] + margin, ROOT_SIDE_CM - 1) // side - first + 1
        ends = bands.cumsum()
        base = (np.arange(ends[-1]) + (first - ends + bands).repeat(bands)) << _EAST_BITS
        low = base + np.maximum(boxes[0][asking] - margin, 0).repeat(bands)
        high = base + np.minimum(boxes[2][asking] + margin + 1, ROOT_SIDE_CM).repeat(bands)
        begin = places.keys.searchsorted(low << _NUMBER_BITS)
        slices = places.keys.searchsorted(high << _NUMBER_BITS) - begin
        sizes = np.add.reduceat(slices, ends - bands)
        # windows of one size stand together, so that few are much smaller than the matrix they are looked at in
        order = (-sizes).argsort(kind="stable")
        at = 0
        while at < len(order) and (width := int(sizes[order[at]])):
            some = order[at : at + max(_CHUNK // width, 1)]
            at += len(some)
            piece = _ranges(ends[some] - bands[some], bands[some])
            matrix = _rows(width, bands[some], begin[piece], slices[piece])
            who = asking[some]
            west, south, to_east, to_north = (column[who] for column in boxes)
            rows = places.keys_at(matrix, (west, south, to_east, to_north))
            rows.sort(axis=1)
            row = np.arange(len(some)) << _ROW_BITS
            rows += row[:, None]
            within = rows.ravel().searchsorted(_limits(margin[some]) + row)
            counts[who] = within - np.arange(0, len(some) * width, width)
            rows = rows[:, : found.shape[1]]
            found[who, : rows.shape[1]] = rows


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """Places in bands of one width: (band, east, number) as one key, rising, and their number, east and north."""

    keys: NDArray[np.int64]
    number: NDArray[np.int64]
    east: NDArray[np.float32]
    north: NDArray[np.float32]

    def keys_at(self, matrix: NDArray[np.int64], boxes: Box) -> NDArray[np.int64]:
        """The keys of the places that a matrix names, row i for box i; behind the last place nobody is near."""
        keys = _keys(
            self.number.take(matrix, mode="clip"),
            self.east.take(matrix, mode="clip"),
            self.north.take(matrix, mode="clip"),
            boxes,
        )
        if int(matrix[:, -1].max()) >= len(self.number):
            keys[matrix >= len(self.number)] = _NOBODY
        return keys


_NOBODY: Final = (1 << _ROW_BITS) - 1


def _rows(
    width: int, slices: NDArray[np.int64], begin: NDArray[np.intp], length: NDArray[np.intp]
) -> NDArray[np.int64]:
    """Row i holds slices[i] ranges of begin..begin + length, and after them goes on counting up to the width."""
    stop = length.cumsum()
    ends = slices.cumsum()
    taken = stop[ends - 1]
    shift = np.arange(len(slices)) * width - np.concatenate((_ZERO, taken[:-1]))
    at = stop - length + shift.repeat(slices)
    some = length > 0
    at, begin = at[some], begin[some]
    steps = np.ones(len(slices) * width, np.int64)
    # from one range to the next: from where counting on from the last would have led
    steps[at] = begin
    steps[at[1:]] -= begin[:-1] + np.diff(at) - 1
    return steps.cumsum().reshape(-1, width)


_ZERO: Final = np.zeros(1, np.intp)


def _ranges(begin: NDArray[np.intp], length: NDArray[np.intp]) -> NDArray[np.intp]:
    """All of begin..begin + length, one range after another."""
    end = length.cumsum()
    steps: NDArray[np.intp] = np.arange(end[-1]) + (begin - end + length).repeat(length)
    return steps
