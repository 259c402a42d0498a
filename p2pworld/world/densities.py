"""How many stand where: counts of everybody around each cell of 32 m that asks.

A count is of everybody in its cell, drawn or not; the reader subtracts whom it draws. Cells of 32 m are told in the
blocks of 128 m that the asking cell or one of its eight neighbours touches, and whole blocks in a square of five by
five around: at least 256 m, as far as neighbours tell of their crowds. The nearest DENSITY_CELLS in all; no ground
twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.limits import DENSITY_CELLS, DENSITY_LEVEL
from p2pworld.wire.frames import encode_density_each
from p2pworld.world.region import spread_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from p2pworld.wire.frames import DensityFrame

__all__ = ["BLOCKS_LEVEL", "BLOCK_REACH", "densities"]

BLOCKS_LEVEL: Final = DENSITY_LEVEL - 2  # 128 m
BLOCK_REACH: Final = 2  # blocks on each side

_OUTSIDE: Final = 1 << 30  # no code of DENSITY_LEVEL or coarser has this bit


def _around(phase: int) -> list[tuple[int, int, int]]:
    """(blocks east, blocks north, whether fine) around a cell that is `phase % 4`-th eastwards and `phase // 4`-th
    northwards in its block: the fine ones first, then by distance from the cell."""
    ways = []
    for dn in range(-BLOCK_REACH, BLOCK_REACH + 1):
        for de in range(-BLOCK_REACH, BLOCK_REACH + 1):
            # cells between this one and the block
            gap_e = max(4 * de - phase % 4, phase % 4 - (4 * de + 3), 0)
            gap_n = max(4 * dn - phase // 4, phase // 4 - (4 * dn + 3), 0)
            fine = max(gap_e, gap_n) <= 1
            ways.append((not fine, gap_e * gap_e + gap_n * gap_n, dn, de))
    return [(de, dn, not coarse) for coarse, _, dn, de in sorted(ways)]


# with columns more at each end, whose codes no cell has
_BLOCK_BITS: Final = np.pad(
    spread_table(BLOCKS_LEVEL).astype(np.int64), BLOCK_REACH, constant_values=_OUTSIDE
)
_AROUND: Final = np.array([_around(phase) for phase in range(16)], dtype=np.int32) + np.array(
    [BLOCK_REACH, BLOCK_REACH, 0], dtype=np.int32
)  # [16, 25, 3], as indexes into _BLOCK_BITS


def densities(
    codes: NDArray[np.int64],
    far: Sequence[DensityFrame],
    column: NDArray[np.int64],
    line: NDArray[np.int64],
    t_ms: int,
) -> list[list[bytes]]:
    """For each asking cell at (column, line): at most one DENSITY of DENSITY_LEVEL and one of BLOCKS_LEVEL.

    `codes` has the cell of DENSITY_LEVEL of everybody who has a row here, rising, and at least one. `far` is the
    latest count of each neighbour (see `borders`): people who have none. Frames of another level are not counted.
    """
    starts = _runs(codes)
    cells, counts = codes[starts], np.diff(starts, append=len(codes))
    told = [frame for frame in far if frame.level == DENSITY_LEVEL and len(frame.morton)]
    if told:
        cells = np.concatenate([cells, *(frame.morton.astype(np.int64) for frame in told)])
        each = np.concatenate([counts, *(frame.avatars for frame in told)])
        order = cells.argsort(kind="stable")
        cells = cells[order]
        runs = _runs(cells)
        cells, counts = cells[runs], np.add.reduceat(each[order], runs)
    parents = cells >> 4
    starts = _runs(parents)
    blocks, sizes = parents[starts], np.diff(starts, append=len(cells))

    around = _AROUND[(line & 3) << 2 | column & 3]
    wanted = _BLOCK_BITS[(column >> 2)[:, None] + around[:, :, 0]]
    wanted = wanted | _BLOCK_BITS[(line >> 2)[:, None] + around[:, :, 1]] << 1
    where = blocks.searchsorted(wanted)
    where[where == len(blocks)] = 0
    found = blocks[where] == wanted
    is_fine = around[:, :, 2]

    payloads: list[list[bytes]] = [[] for _ in range(len(column))]
    lengths = sizes[where] * (found & is_fine)
    fine_counts = lengths.sum(axis=1)
    begin, lengths = starts[where].ravel(), lengths.ravel()
    stops = lengths.cumsum()
    if stops[-1]:
        fine = np.arange(stops[-1]) + (begin - stops + lengths).repeat(lengths)
        _append(payloads, DENSITY_LEVEL, t_ms, fine_counts, cells[fine], counts[fine])
    coarse = found & (is_fine == 0)
    coarse &= coarse.cumsum(axis=1) <= DENSITY_CELLS - fine_counts[:, None]
    if coarse.any():
        block, people = where[coarse], np.add.reduceat(counts, starts)
        _append(payloads, BLOCKS_LEVEL, t_ms, coarse.sum(axis=1), blocks[block], people[block])
    return payloads


def _append(
    payloads: list[list[bytes]],
    level: int,
    t_ms: int,
    rows: NDArray[np.intp],
    cells: NDArray[np.int64],
    counts: NDArray[np.intp],
) -> None:
    """Add a DENSITY to each that has rows; theirs stand one after another in `cells` and `counts`."""
    messages = encode_density_each(level, t_ms, rows.cumsum(), cells, counts)
    for at in rows.nonzero()[0].tolist():
        payloads[at].append(messages[at])


def _runs(codes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Where each run of equal codes begins; there is at least one code."""
    return np.concatenate((np.zeros(1, np.intp), (codes[1:] != codes[:-1]).nonzero()[0] + 1))
