"""What every client is shown: one frame for each interest leaf with clients in it, the same bytes to each of them.

A leaf is a cell of LEAF_LEVEL (32 m). Its POSES holds everybody in it and its eight neighbours, or, where
that is a crowd, the FRAME_AVATARS nearest to the bounding box of the leaf's own clients. So whoever is within
32 m of a client is in its frame as long as no more than FRAME_AVATARS are around, and a frame's size is
bounded whatever the crowd.

Around it DENSITY counts: interest leaves in the blocks of 128 m that the nine leaves touch, whole blocks in a
square of five by five around, the nearest DENSITY_CELLS in all. A count is of everybody in its cell, drawn or
not; the reader subtracts whom it draws, and cells in which everybody is drawn are left out. No ground is
counted twice.

Everybody is sorted by Morton code once (a linear quadtree), and all frames are encoded in one pass; Python
runs once a leaf, never once an avatar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.limits import DENSITY_CELLS, FRAME_AVATARS, LEAF_LEVEL, TICK_MS
from p2pworld.wire.frames import encode_density_each, encode_poses_each
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

_ONE: Final = np.uint32(1)
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
_AROUND: Final = np.array([_around(phase) for phase in range(16)], dtype=np.int32) + np.array(
    [COARSE_REACH, COARSE_REACH, 0], dtype=np.int32
)  # [16, 25, 3], as indexes into _BLOCK_BITS
_NINE_EAST: Final = np.array([-1, 0, 1] * 3, dtype=np.int32) + COARSE_REACH
_NINE_NORTH: Final = np.array([-1] * 3 + [0] * 3 + [1] * 3, dtype=np.int32) + COARSE_REACH


def leaf_frames(
    crowd: Crowd, index: RegionIndex, t_ms: int, far: Sequence[DensityFrame] = (), counts_too: bool = True
) -> list[tuple[NDArray[np.int32], list[bytes]]]:
    """For each leaf with clients, in Morton order: their sockets, rising, and the payloads to send to each.

    Without `counts_too` only POSES: counts change slowly, so a caller may ask for them in some ticks only.
    `far` is the latest count of each neighbour (see `borders`): people who have no row here. Frames that are
    not of LEAF_LEVEL are not counted.
    """
    rows = crowd.everybody()
    conn = crowd.conn[rows]
    if len(rows) == 0 or conn.max() < 0:
        return []
    east, north = crowd.east_cm[rows], crowd.north_cm[rows]
    column, line = east // LEAF_CM, north // LEAF_CM
    code = _LEAF_BITS[column + COARSE_REACH] | _LEAF_BITS[line + COARSE_REACH] << _ONE
    order = code.argsort(kind="stable")  # within a leaf by rising id
    code, rows, conn = code[order], rows[order], conn[order]
    east, north = east[order], north[order]
    starts = _runs(code)
    cells, counts = code[starts], _lengths(starts, len(code))

    client = (conn >= 0).nonzero()[0]
    client = client[np.lexsort((conn[client], code[client]))]
    first = _runs(code[client])  # of each leaf with clients, in `client`
    at = order[client[first]]
    column, line = column[at], line[at]
    nine = _LEAF_BITS[column[:, None] + _NINE_EAST] | _LEAF_BITS[line[:, None] + _NINE_NORTH] << _ONE
    where, found = _find(cells, nine)
    around = counts[where] * found
    seen = _ranges(starts[where], around)
    shown = around.sum(axis=1)
    ids = crowd.id[rows]
    crowded = shown > FRAME_AVATARS
    if crowded.any():
        ties = tie_break(ids, t_ms // TICK_MS) >> np.uint64(36)
        stops, lasts = shown.cumsum(), np.concatenate((first[1:], (len(client),)))
        drawn = np.ones(len(seen), np.bool_)
        for leaf in crowded.nonzero()[0].tolist():
            begin, stop = stops[leaf] - shown[leaf], stops[leaf]
            near, own = seen[begin:stop], client[first[leaf] : lasts[leaf]]
            drawn[begin:stop] = _nearest(east[near], north[near], ties[near], east[own], north[own])
        seen = seen[drawn]
        shown = np.minimum(shown, FRAME_AVATARS)

    rows = rows[seen]
    columns = (crowd.up[rows], crowd.yaw[rows], crowd.state[rows])
    poses = encode_poses_each(0, t_ms, shown.cumsum(), ids[seen], east[seen], north[seen], *columns)
    payloads = [[frame] for frame in poses]
    if counts_too and (far or len(seen) < len(code) * len(poses)):
        _add_densities(payloads, cells, counts, far, column, line, nine, crowded, t_ms)
    conn = conn[client]
    ends = [*first[1:].tolist(), len(conn)]
    return [(conn[a:b], messages) for a, b, messages in zip(first.tolist(), ends, payloads, strict=True)]


def _nearest(
    east: NDArray[np.int32],
    north: NDArray[np.int32],
    ties: NDArray[np.uint64],
    own_east: NDArray[np.int32],
    own_north: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Which are the FRAME_AVATARS nearest to the bounding box of the leaf's own, bool[n]; ties have 28 bits."""
    de = np.maximum(np.maximum(own_east.min() - east, east - own_east.max()), 0)
    dn = np.maximum(np.maximum(own_north.min() - north, north - own_north.max()), 0)
    # within three leaves a square of the distance has at most 28 bits
    key = (de * de + dn * dn).astype(np.uint64) << np.uint64(28) | ties
    drawn = np.zeros(len(key), np.bool_)
    drawn[key.argpartition(FRAME_AVATARS - 1)[:FRAME_AVATARS]] = True
    return drawn


def _add_densities(
    payloads: list[list[bytes]],
    cells: NDArray[np.uint32],
    counts: NDArray[np.intp],
    far: Sequence[DensityFrame],
    column: NDArray[np.int32],
    line: NDArray[np.int32],
    nine: NDArray[np.uint32],
    crowded: NDArray[np.bool_],
    t_ms: int,
) -> None:
    """Add to each leaf at (column, line) at most one DENSITY of LEAF_LEVEL and one of COARSE_LEVEL."""
    hidden = None  # whether somebody in the cell has no row here
    told = [frame for frame in far if frame.level == LEAF_LEVEL and len(frame.morton)]
    if told:
        codes = np.concatenate([cells, *(frame.morton for frame in told)])
        each = np.concatenate([counts, *(frame.avatars for frame in told)])
        order = codes.argsort(kind="stable")
        codes, runs = codes[order], _runs(codes[order])
        hidden = np.maximum.reduceat(order, runs) >= len(cells)
        cells, counts = codes[runs], np.add.reduceat(each[order], runs)
    parents = cells >> np.uint32(4)
    starts = _runs(parents)
    blocks, sizes = parents[starts], _lengths(starts, len(cells))

    around = _AROUND[(line & 3) << 2 | column & 3]
    wanted = _BLOCK_BITS[(column >> 2)[:, None] + around[:, :, 0]]
    wanted = wanted | _BLOCK_BITS[(line >> 2)[:, None] + around[:, :, 1]] << _ONE
    where, found = _find(blocks, wanted)
    is_fine = around[:, :, 2]

    lengths = sizes[where] * (found & is_fine)
    fine = _ranges(starts[where], lengths)
    leaf = np.arange(len(column)).repeat(lengths.sum(axis=1))
    # where everybody is drawn there is nothing to count
    known = np.logical_or.reduce(nine[leaf] == cells[fine][:, None], axis=1) & ~crowded[leaf]
    if hidden is not None:
        known &= ~hidden[fine]
    fine, leaf = fine[~known], leaf[~known]
    fine_counts = np.bincount(leaf, minlength=len(column))
    if len(fine):
        stops = fine_counts.cumsum()
        messages = encode_density_each(LEAF_LEVEL, t_ms, stops, cells[fine], counts[fine])
        for at in fine_counts.nonzero()[0].tolist():
            payloads[at].append(messages[at])

    coarse = found & (is_fine == 0)
    coarse &= coarse.cumsum(axis=1) <= DENSITY_CELLS - fine_counts[:, None]
    coarse_counts = coarse.sum(axis=1)
    stops = coarse_counts.cumsum()
    if stops[-1]:
        block, people = where[coarse], np.add.reduceat(counts, starts)
        messages = encode_density_each(COARSE_LEVEL, t_ms, stops, blocks[block], people[block])
        for at in coarse_counts.nonzero()[0].tolist():
            payloads[at].append(messages[at])


def _runs(codes: NDArray[np.uint32]) -> NDArray[np.intp]:
    """Where each run of equal codes begins; there is at least one code."""
    return np.concatenate((_ZERO, (codes[1:] != codes[:-1]).nonzero()[0] + 1))


_ZERO: Final = np.zeros(1, np.intp)


def _lengths(starts: NDArray[np.intp], total: int) -> NDArray[np.intp]:
    """How long each run is."""
    lengths: NDArray[np.intp] = np.concatenate((starts[1:], (total,))) - starts
    return lengths


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
