"""What each neighbour is told of my avatars: rows near our common border, counts further in.

The frame rule applied to a border. For each piece of it (at most BORDER_STEP_CM, a corner counts as one point) the
BORDER_AVATARS of my avatars nearest to that piece are sent, none further away than VIEW_CM, united in one batch a
neighbour. Of my others within 256 m, a neighbour gets counts per cell of 32 m, so it counts each of them once. The
cost is bounded by the border's length, whatever the crowd. Ghosts are never forwarded, and dormant avatars not sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.limits import BORDER_AVATARS, DENSITY_LEVEL, TICK_MS, VIEW_CM
from p2pworld.wire.frames import encode_density_each
from p2pworld.world.crowd import MINE, tie_break
from p2pworld.world.region import COUNTED_CM, spread_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from p2pworld.world.crowd import Crowd
    from p2pworld.world.region import Border, RegionIndex

__all__ = ["border_batches"]

_RINGS_CM: Final = (
    VIEW_CM // 2,
    VIEW_CM // 4,
    VIEW_CM // 8,
    VIEW_CM // 16,
)  # tried to look at few of a dense crowd


def border_batches(crowd: Crowd, index: RegionIndex, t_ms: int) -> dict[int, tuple[NDArray[Any], bytes]]:
    """By holder, rising, a number of `index`: the rows to send, BORDER_DTYPE[n] by rising id, and a DENSITY or nothing.

    A neighbour that has nothing to be told is left out. Of equally distant avatars the tie break of the tick decides.
    """
    border = index.border
    if len(border.neighbours) == 0:
        return {}
    rows = crowd.everybody()  # by rising id, as the batches are
    rows = rows[crowd.kind[rows] == MINE]
    if len(rows) == 0:
        return {}
    east, north = crowd.east_cm[rows], crowd.north_cm[rows]
    block = border.blocks.at(east, north)
    slots = border.blocks.slots[block]  # bool[n, slots]
    hit = np.logical_or.reduce(slots, axis=1).nonzero()[0]
    if len(hit) == 0:
        return {}
    rows, east, north = rows[hit], east[hit], north[hit]
    told = _nearest(border, crowd.id[rows], east, north, t_ms)  # bool[n, slots]
    counted = slots[hit] & ~told
    sent = told.any(axis=1)
    packed = crowd.border_rows(rows[sent])
    told = told[sent]
    densities = _densities(counted, east, north, t_ms)
    batches: dict[int, tuple[NDArray[Any], bytes]] = {}
    for slot, holder in enumerate(border.neighbours.tolist()):
        mine = packed[told[:, slot]]
        if len(mine) or densities[slot]:
            batches[holder] = mine, densities[slot]
    return batches


def _nearest(
    border: Border, ids: NDArray[np.uint64], east: NDArray[np.int32], north: NDArray[np.int32], t_ms: int
) -> NDArray[np.bool_]:
    """Whether avatar i is among the nearest to some piece of each slot: bool[n, slots]."""
    told = np.zeros((len(ids), len(border.neighbours)), np.bool_)
    # every pair of an avatar and a piece near to its cell
    near_by = border.counted
    cell = near_by.at(east, north)
    begin = near_by.first[cell]
    pieces = near_by.first[cell + 1] - begin
    end = pieces.cumsum()
    if end[-1] == 0:
        return told
    avatar = np.arange(len(ids)).repeat(pieces)
    piece = near_by.pieces[np.arange(end[-1]) + (begin - end + pieces).repeat(pieces)]
    e, n = east[avatar], north[avatar]
    de = np.maximum(np.maximum(border.west[piece] - e, e - border.east[piece]), 0)
    dn = np.maximum(np.maximum(border.south[piece] - n, n - border.north[piece]), 0)
    de, dn = np.minimum(de, VIEW_CM + 1), np.minimum(dn, VIEW_CM + 1)  # their squares fit 32 bits
    squared = de * de + dn * dn
    near = (squared <= _reach(squared, piece, len(border.slot))[piece]).nonzero()[0]
    avatar, piece = avatar[near], piece[near]
    crowded = np.bincount(piece, minlength=len(border.slot)) > BORDER_AVATARS
    if crowded.any():
        picked = ~crowded[piece]
        told[avatar[picked], border.slot[piece[picked]]] = True
        over = (~picked).nonzero()[0]
        avatar, piece = avatar[over], piece[over]
        # a square of 64 m in cm has 26 bits: 38 are left for the tie break
        key = squared[near[over]].astype(np.uint64) << np.uint64(38)
        key |= tie_break(ids, t_ms // TICK_MS)[avatar] >> np.uint64(26)
        short = (
            piece.astype(np.uint16) if len(border.slot) <= 1 << 16 else piece
        )  # these are sorted by their digits
        order = short.argsort(kind="stable")
        edges = np.append(piece[order[1:]] != piece[order[:-1]], True).nonzero()[0] + 1
        start = 0
        for stop in edges.tolist():
            group = order[start:stop]
            best = group[key[group].argpartition(BORDER_AVATARS - 1)[:BORDER_AVATARS]]
            told[avatar[best], border.slot[piece[best]]] = True
            start = stop
    else:
        told[avatar, border.slot[piece]] = True
    return told


def _reach(squared: NDArray[np.int32], piece: NDArray[np.intp], pieces: int) -> NDArray[np.int32]:
    """The square of a way from each piece within which it has BORDER_AVATARS for sure, of VIEW_CM at most."""
    reach = np.full(pieces, VIEW_CM * VIEW_CM, np.int32)
    for way in _RINGS_CM:
        within = (squared <= way * way).nonzero()[0]
        enough = np.bincount(piece[within], minlength=pieces) >= BORDER_AVATARS
        if not enough.any():
            break
        reach[enough] = way * way
        squared, piece = squared[within], piece[within]
    return reach


def _densities(
    counted: NDArray[np.bool_], east: NDArray[np.int32], north: NDArray[np.int32], t_ms: int
) -> list[bytes]:
    """For each slot, how many of the avatars i with counted[i, slot] stand in each leaf: a DENSITY, or nothing."""
    slots = counted.shape[1]
    slot, avatar = counted.T.nonzero()
    if len(avatar) == 0:
        return [b""] * slots
    spread = spread_table(DENSITY_LEVEL)
    codes = spread[east[avatar] // COUNTED_CM] | spread[north[avatar] // COUNTED_CM] << np.uint64(1)
    codes |= slot.astype(np.uint64) << np.uint64(2 * DENSITY_LEVEL)
    codes.sort()
    first = np.concatenate(([True], codes[1:] != codes[:-1])).nonzero()[0]
    avatars = np.concatenate((first[1:], (len(codes),))) - first
    codes = codes[first]
    stops = (codes >> np.uint64(2 * DENSITY_LEVEL)).searchsorted(
        np.arange(slots, dtype=np.uint64), side="right"
    )
    cells = codes & np.uint64((1 << 2 * DENSITY_LEVEL) - 1)
    frames = encode_density_each(DENSITY_LEVEL, t_ms, stops, cells, avatars)
    cuts = [0, *stops.tolist()]
    return [frame if cuts[at] < cuts[at + 1] else b"" for at, frame in enumerate(frames)]
