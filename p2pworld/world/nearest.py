"""The nearest to each of many boxes, for all boxes at once.

Places are sorted in horizontal bands, within a band from west to east. What is within reach of a box is then one
slice of each band, found by two binary searches. These become a row of a matrix, its rows are sorted by distance, and
what lies within the reach is certain. A box that finds too few there asks again with a wider reach, at most VIEW_CM.
So a good first guess of the reach makes it fast, and a bad one changes nothing else.

Places equally far away come in the order of their numbers: callers who want chance in it number them by chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import AVATARS_MAX, VIEW_CM

__all__ = ["Box", "Near", "Places"]

_DIRECT: Final = 1 << 14  # so many pairs of a box and a place are looked at without windows
_CHUNK: Final = 1 << 15  # pairs at a time: 256 KiB, which stays in the cache
_BANDS_CM: Final = (50, 200, 800, 3_200)
_REACHES_CM: Final = np.array([200, 800, 3_200])  # above these, the next wider band
_REACH_LEAST_CM: Final = 25
_WIDEN: Final = (1.25, 3.0)  # of the reach at a time, at least and at most

# A key of 32 bits: how far away, above the number of a place. How far is the square of the distance, plus 1, as a
# float32 of which 13 bits after the leading one are kept: they rise with the distance and tell it to 1/16 384.
_NUMBER_BITS: Final = 14
_NUMBER: Final = (1 << _NUMBER_BITS) - 1
_FRACTION_CUT: Final = 10
_ONE: Final = 127 << 23  # the bits of 1.0
_NOBODY: Final = (1 << 32) - 1
assert AVATARS_MAX <= 1 << _NUMBER_BITS
assert 2 * (VIEW_CM + 1) ** 2 < 1 << 31
_EAST_BITS: Final = 23
assert ROOT_SIDE_CM <= 1 << _EAST_BITS

# columns of closed boxes: west, south, east, north
Box = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """For each box, how many of the wanted places there are within VIEW_CM, and the keys of those, the nearest first.

    Keys are u32[boxes, most wanted]; what stands after the counted ones means nothing.
    """

    counts: NDArray[np.int64]
    keys: NDArray[np.uint32]

    def numbers(self) -> NDArray[np.uint32]:
        """Which places these are."""
        numbers: NDArray[np.uint32] = self.keys & np.uint32(_NUMBER)
        return numbers

    def distances(self, rank: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far from each box, in cm, its place of this rank is; VIEW_CM where there is none."""
        there = np.minimum(rank, self.keys.shape[1] - 1)
        return np.where(rank < self.counts, _distances(self.keys[np.arange(len(rank)), there]), VIEW_CM)

    def take(self, some: NDArray[np.intp]) -> Near:
        """Some of the boxes."""
        return Near(self.counts[some], self.keys[some])

    def replaced(self, some: NDArray[np.intp], by: Near) -> Near:
        """The same, but for some of the boxes."""
        counts, keys = self.counts.copy(), self.keys
        missing = by.keys.shape[1] - keys.shape[1]
        keys = np.pad(keys, ((0, 0), (0, max(missing, 0))), constant_values=_NOBODY)
        counts[some], keys[some, : by.keys.shape[1]] = by.counts, by.keys
        return Near(counts, keys)


class Places:
    """At least one and at most AVATARS_MAX places, which are numbered by their order."""

    def __init__(self, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> None:
        self._east, self._north = east_cm, north_cm
        self._number = np.arange(len(east_cm), dtype=np.int64)
        self._sorted: dict[int, _Band] = {}

    def nearest(self, boxes: Box, wanted: NDArray[np.int64], reach_cm: NDArray[np.float64]) -> Near:
        """The `wanted[i]` places nearest to box i, none over VIEW_CM away, compared to one part in 16 384.

        `reach_cm` guesses how far away the last wanted one is; no answer depends on it.
        """
        keys = np.full((len(wanted), int(wanted.max())), _NOBODY, np.uint32)
        counts = np.zeros(len(wanted), np.int64)
        if len(wanted) * len(self._east) <= _DIRECT:
            number = self._number.astype(np.uint32)[None, :]
            east, north = self._east.astype(np.float32)[None, :], self._north.astype(np.float32)[None, :]
            rows = _keys(number, east, north, boxes)
            rows.sort(axis=1)
            counts[:] = (rows < _limits(np.array([VIEW_CM]))).sum(axis=1)
            np.minimum(counts, wanted, out=counts)
            rows = rows[:, : keys.shape[1]]
            keys[:, : rows.shape[1]] = rows
            return Near(counts, keys)
        reach = reach_cm.clip(_REACH_LEAST_CM, VIEW_CM).astype(np.int64)
        asking = np.arange(len(wanted))
        while len(asking):
            band = _REACHES_CM.searchsorted(reach[asking])
            for wide in np.bincount(band).nonzero()[0].tolist():
                self._look(wide, asking[band == wide], boxes, wanted, reach, counts, keys)
            asking = asking[(counts[asking] < wanted[asking]) & (reach[asking] < VIEW_CM)]
            wider = np.sqrt(1.2 * wanted[asking] / (counts[asking] + 1.0)).clip(*_WIDEN)
            reach[asking] = np.minimum(reach[asking] * wider + 1, VIEW_CM)
        return Near(counts, keys)

    def _band(self, wide: int) -> _Band:
        """All places by band, then from west to east, then by number."""
        known = self._sorted.get(wide)
        if known is None:
            keys = (self._north // _BANDS_CM[wide]).astype(np.int64) << _EAST_BITS | self._east
            keys = keys << _NUMBER_BITS | self._number
            keys.sort()
            number = keys & _NUMBER
            east, north = self._east[number].astype(np.float32), self._north[number].astype(np.float32)
            known = self._sorted[wide] = _Band(keys, number.astype(np.uint32), east, north)
        return known

    def _look(
        self,
        wide: int,
        asking: NDArray[np.intp],
        boxes: Box,
        wanted: NDArray[np.int64],
        reach: NDArray[np.int64],
        counts: NDArray[np.int64],
        found: NDArray[np.uint32],
    ) -> None:
        """For each box that is asking: how many of the wanted are within its reach, and the keys of the nearest."""
        places = self._band(wide)
        margin = reach[asking]
        bands, low, high = _slices(_BANDS_CM[wide], margin, [column[asking] for column in boxes])
        ends = bands.cumsum()
        begin = places.keys.searchsorted(low << _NUMBER_BITS)
        lengths = places.keys.searchsorted(high << _NUMBER_BITS) - begin
        sizes = np.add.reduceat(lengths, ends - bands)
        # windows of one size stand together, so that few are much smaller than the matrix they are looked at in
        order = (-sizes).argsort(kind="stable")
        at = 0
        while at < len(order) and (width := int(sizes[order[at]])):
            some = order[at : at + max(_CHUNK // width, 1)]
            at += len(some)
            slices = _ranges(ends[some] - bands[some], bands[some])
            matrix = _rows(width, bands[some], begin[slices], lengths[slices])
            who = asking[some]
            west, south, to_east, to_north = (column[who] for column in boxes)
            keys = places.keys_at(matrix, (west, south, to_east, to_north))
            keys.sort(axis=1)
            limits, enough = _limits(margin[some]), wanted[who]
            last = keys[np.arange(len(who)), np.minimum(enough, width) - 1]
            fewer = ((last >= limits) | (enough > width)).nonzero()[0]
            enough[fewer] = (keys[fewer] < limits[fewer][:, None]).sum(axis=1)
            counts[who] = enough
            keys = keys[:, : found.shape[1]]
            found[who, : keys.shape[1]] = keys


def _keys(
    number: NDArray[np.uint32], east: NDArray[np.float32], north: NDArray[np.float32], boxes: Box
) -> NDArray[np.uint32]:
    """The keys of places, one row a box; those of the farthest are no longer in order, but above all within VIEW_CM."""
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
    np.minimum(way, _FARTHEST, out=way)
    keys = _code(way)
    keys |= number
    return keys


_FARTHEST: Final = np.float32(2 * (VIEW_CM + 1) ** 2)


def _code(square: NDArray[np.float32]) -> NDArray[np.uint32]:
    """The key without a number of a place so far away; `square` is used up."""
    square += 1
    code = square.view(np.uint32)
    code -= _ONE
    code >>= _FRACTION_CUT
    code <<= _NUMBER_BITS
    return code


def _limits(reach_cm: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Above the keys of nearly all places within the reach, and of nobody beyond it."""
    return _code((reach_cm * reach_cm).astype(np.float32))


def _distances(keys: NDArray[np.uint32]) -> NDArray[np.float64]:
    """How far away, in cm, a place of this key may be."""
    square = ((keys >> _NUMBER_BITS << _FRACTION_CUT) + np.uint32(_ONE)).view(np.float32)
    return np.sqrt(square.astype(np.float64) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Band:
    """Places in bands of one width: (band, east, number) as one key, rising, and their number, east and north."""

    keys: NDArray[np.int64]
    number: NDArray[np.uint32]
    east: NDArray[np.float32]
    north: NDArray[np.float32]

    def keys_at(self, matrix: NDArray[np.int64], boxes: Box) -> NDArray[np.uint32]:
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


def _slices(
    band_cm: int, reach: NDArray[np.int64], boxes: list[NDArray[np.int32]]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """How many bands each box has within its reach; for each, from where to where: band and east as one key."""
    west, south, to_east, to_north = boxes
    first = np.maximum(south - reach, 0) // band_cm
    bands = np.minimum(to_north + reach, ROOT_SIDE_CM - 1) // band_cm - first + 1
    ends = bands.cumsum()
    band = np.arange(ends[-1]) + (first - ends + bands).repeat(bands)
    # what is left of the reach at the edge of a band that is nearer to the box
    below, above = south.repeat(bands) - (band + 1) * band_cm, band * band_cm - to_north.repeat(bands)
    way = np.maximum(np.maximum(below, above), 0)
    square = (reach * reach).repeat(bands) - way * way
    half = np.sqrt(np.maximum(square, 0).astype(np.float64)).astype(np.int64) + 1
    band <<= _EAST_BITS
    low = band + np.maximum(west.repeat(bands) - half, 0)
    high = band + np.minimum(to_east.repeat(bands) + half, ROOT_SIDE_CM)
    return bands, low, high


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
