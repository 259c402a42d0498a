"""What every client is shown: one frame for each interest leaf with clients in it, the same bytes to each of them.

A leaf is a cell of LEAF_LEVEL (32 m). Its POSES holds everybody in it and its eight neighbours, or, where that is a
crowd, the FRAME_AVATARS nearest to the bounding box of the leaf's own clients. So whoever is within 32 m of a client is
in its frame as long as no more than FRAME_AVATARS are around, and a frame's size is bounded whatever the crowd.

Around it DENSITY counts: interest leaves in the blocks of 128 m that the nine leaves touch, whole blocks in a square of
five by five around, the nearest DENSITY_CELLS in all. A count is of everybody in its cell, drawn or not; the reader
subtracts whom it draws, and cells in which everybody is drawn are left out. No ground is counted twice.

Everybody is sorted by Morton code once (a linear quadtree); Python runs once a leaf, never once an avatar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.limits import DENSITY_CELLS, FRAME_AVATARS, LEAF_LEVEL, TICK_MS
from p2pworld.wire.frames import encode_density, encode_poses
from p2pworld.world.crowd import tie_break
from p2pworld.world.region import LEAF_CM, spread_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from p2pworld.wire.frames import DensityFrame
    from p2pworld.world.crowd import Crowd
    from p2pworld.world.region import RegionIndex

__all__ = ["COARSE_LEVEL", "COARSE_REACH", "leaf_frames"]

COARSE_LEVEL: Final = LEAF_LEVEL - 2  # 128 m
COARSE_REACH: Final = (
    2  # blocks on each side: at least 256 m around, as far as neighbours tell of their crowds
)

_OUTSIDE: Final = 1 << 30  # no code of LEAF_LEVEL or coarser has this bit


def _padded(level: int) -> NDArray[np.uint32]:
    """`spread_table` with COARSE_REACH columns more at each end, which make codes that no cell has."""
    return np.pad(spread_table(level).astype(np.uint32), COARSE_REACH, constant_values=_OUTSIDE)


def _around(phase: int) -> list[tuple[int, int, int]]:
    """(blocks east, blocks north, whether fine) around a leaf that is `phase % 4`-th eastwards and `phase // 4`-th
    northwards in its block: the fine ones first, then by distance from the leaf."""
    ways = []
    for dn in range(-COARSE_REACH, COARSE_REACH + 1):
        for de in range(-COARSE_REACH, COARSE_REACH + 1):
            # leaves between this one and the block
            gap_e = max(4 * de - phase % 4, phase % 4 - (4 * de + 3), 0)
            gap_n = max(4 * dn - phase // 4, phase // 4 - (4 * dn + 3), 0)
            fine = max(gap_e, gap_n) <= 1
            ways.append((not fine, gap_e * gap_e + gap_n * gap_n, dn, de))
    return [(de, dn, not coarse) for coarse, _, dn, de in sorted(ways)]


_LEAF_BITS: Final = _padded(LEAF_LEVEL)
_BLOCK_BITS: Final = _padded(COARSE_LEVEL)
_AROUND: Final = np.array([_around(phase) for phase in range(16)], dtype=np.int32)  # [16, 25, 3]
_NINE_EAST: Final = np.array([-1, 0, 1] * 3, dtype=np.int32) + COARSE_REACH
_NINE_NORTH: Final = np.array([-1] * 3 + [0] * 3 + [1] * 3, dtype=np.int32) + COARSE_REACH


def leaf_frames(
    crowd: Crowd, index: RegionIndex, t_ms: int, far: Sequence[DensityFrame] = ()
) -> list[tuple[NDArray[np.int32], list[bytes]]]:
    """For each leaf with clients, in Morton order: their sockets, rising, and the payloads to send to each.

    `far` is the latest count of each neighbour (see `borders`): people who have no row here. Frames that are not of
    LEAF_LEVEL are not counted.
    """
    rows = crowd.everybody()
    if (crowd.conn[rows] < 0).all():
        return []
    east, north = crowd.east_cm[rows], crowd.north_cm[rows]
    column, line = east // LEAF_CM, north // LEAF_CM
    code = _LEAF_BITS[column + COARSE_REACH] | _LEAF_BITS[line + COARSE_REACH] << np.uint32(1)
    order = code.argsort(kind="stable")  # within a leaf by rising id
    code, rows, east, north = code[order], rows[order], east[order], north[order]
    starts = _runs(code)
    cells, counts = code[starts], np.diff(starts, append=len(code))

    conn = crowd.conn[rows]
    client = (conn >= 0).nonzero()[0]
    first = _runs(code[client])  # of each leaf with clients, in `client`
    at = order[client[first]]
    column, line = column[at], line[at]
    nine = _LEAF_BITS[column[:, None] + _NINE_EAST] | _LEAF_BITS[line[:, None] + _NINE_NORTH] << np.uint32(1)
    where, found = _find(cells, nine)
    seen = _ranges(starts[where], np.where(found, counts[where], 0))
    stops = np.where(found, counts[where], 0).sum(axis=1).cumsum()
    crowded = np.diff(stops, prepend=0) > FRAME_AVATARS

    ids, up, yaw, state = crowd.id[rows], crowd.up[rows], crowd.yaw[rows], crowd.state[rows]
    ties = tie_break(ids, t_ms // TICK_MS) >> np.uint64(36) if crowded.any() else ids
    densities = _densities(cells, counts, far, column, line, crowded, t_ms)
    frames: list[tuple[NDArray[np.int32], list[bytes]]] = []
    start = 0
    ends = [*first[1:].tolist(), len(client)]
    for leaf, (stop, low, high) in enumerate(zip(stops.tolist(), first.tolist(), ends, strict=True)):
        shown = seen[start:stop]
        start = stop
        own = client[low:high]
        e, n = east[shown], north[shown]
        if len(shown) > FRAME_AVATARS:
            best = _nearest(e, n, ties[shown], east[own], north[own])
            shown, e, n = shown[best], e[best], n[best]
        poses = encode_poses(0, t_ms, ids[shown], e, n, up[shown], yaw[shown], state[shown])
        frames.append((np.sort(conn[own]), [poses, *densities[leaf]]))
    return frames


def _nearest(
    east: NDArray[np.int32],
    north: NDArray[np.int32],
    ties: NDArray[np.uint64],
    own_east: NDArray[np.int32],
    own_north: NDArray[np.int32],
) -> NDArray[np.intp]:
    """The FRAME_AVATARS nearest to the bounding box of the leaf's own, rising; ties have 28 bits."""
    de = np.maximum(np.maximum(own_east.min() - east, east - own_east.max()), 0)
    dn = np.maximum(np.maximum(own_north.min() - north, north - own_north.max()), 0)
    # within three leaves a square of the distance has at most 28 bits
    key = (de * de + dn * dn).astype(np.uint64) << np.uint64(28) | ties
    best: NDArray[np.intp] = key.argpartition(FRAME_AVATARS - 1)[:FRAME_AVATARS]
    best.sort()
    return best


def _densities(
    cells: NDArray[np.uint32],
    counts: NDArray[np.intp],
    far: Sequence[DensityFrame],
    column: NDArray[np.int32],
    line: NDArray[np.int32],
    crowded: NDArray[np.bool_],
    t_ms: int,
) -> list[list[bytes]]:
    """The DENSITY messages of each leaf at (column, line): at most one of LEAF_LEVEL and one of COARSE_LEVEL."""
    hidden = np.zeros(len(cells), np.bool_)  # somebody there has no row here
    told = [frame for frame in far if frame.level == LEAF_LEVEL and len(frame.morton)]
    if told:
        codes = np.concatenate([cells, *(frame.morton for frame in told)])
        each = np.concatenate([counts, *(frame.avatars for frame in told)])
        order = codes.argsort(kind="stable")
        runs = _runs(codes[order])
        hidden = np.maximum.reduceat(order, runs) >= len(cells)
        cells, counts = codes[order[runs]], np.add.reduceat(each[order], runs)
    starts = _runs(cells >> np.uint32(4))
    blocks, sizes = cells[starts] >> np.uint32(4), np.diff(starts, append=len(cells))
    people = np.add.reduceat(counts, starts)

    around = _AROUND[(line & 3) << 2 | column & 3]
    wanted = _BLOCK_BITS[(column >> 2)[:, None] + around[:, :, 0] + COARSE_REACH]
    wanted = wanted | _BLOCK_BITS[(line >> 2)[:, None] + around[:, :, 1] + COARSE_REACH] << np.uint32(1)
    where, found = _find(blocks, wanted)
    is_fine = around[:, :, 2] == 1

    lengths = np.where(found & is_fine, sizes[where], 0)
    fine = _ranges(starts[where], lengths)
    leaf = np.arange(len(column)).repeat(lengths.sum(axis=1))
    nine = _LEAF_BITS[column[:, None] + _NINE_EAST] | _LEAF_BITS[line[:, None] + _NINE_NORTH] << np.uint32(1)
    drawn = (nine[leaf] == cells[fine][:, None]).any(axis=1) & ~crowded[leaf] & ~hidden[fine]
    fine, leaf = fine[~drawn], leaf[~drawn]
    fine_counts = np.bincount(leaf, minlength=len(column))

    coarse = found & ~is_fine
    coarse &= coarse.cumsum(axis=1) <= DENSITY_CELLS - fine_counts[:, None]
    coarse_stops = coarse.sum(axis=1).cumsum().tolist()
    block = where[coarse]
    out: list[list[bytes]] = []
    fine_start = coarse_start = 0
    for fine_stop, coarse_stop in zip(fine_counts.cumsum().tolist(), coarse_stops, strict=True):
        messages: list[bytes] = []
        if fine_stop > fine_start:
            part = fine[fine_start:fine_stop]
            messages.append(encode_density(LEAF_LEVEL, t_ms, cells[part], counts[part]))
        if coarse_stop > coarse_start:
            part = block[coarse_start:coarse_stop]
            messages.append(encode_density(COARSE_LEVEL, t_ms, blocks[part], people[part]))
        out.append(messages)
        fine_start, coarse_start = fine_stop, coarse_stop
    return out


def _runs(codes: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Where each run of equal codes begins; there is at least one code."""
    return np.concatenate((_ZERO, (codes[1:] != codes[:-1]).nonzero()[0] + 1))


_ZERO: Final = np.zeros(1, np.intp)


def _find(
    codes: NDArray[np.uint32], wanted: NDArray[np.uint32]
) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Where in the rising `codes` each wanted one is, and whether it is there at all."""
    at = codes.searchsorted(wanted)
    at[at == len(codes)] = 0
    return at, codes[at] == wanted


def _ranges(begin: NDArray[np.intp], length: NDArray[np.intp]) -> NDArray[np.intp]:
    """All of begin..begin + length, one range after another."""
    begin, length = begin.ravel(), length.ravel()
    end = length.cumsum()
    steps: NDArray[np.intp] = np.arange(end[-1]) + (begin - end + length).repeat(length)
    return steps
