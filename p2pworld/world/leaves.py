"""Interest leaves: the cells in which all clients are shown the same.

Sorted by Morton code, the rows of every cell are one slice (a linear quadtree). A leaf is the largest cell between
LEAF_WIDEST and LEAF_FINEST that holds at most LEAF_CAPACITY rows and is a quarter of one that holds at most
FRAME_AVATARS, so every row is in exactly one leaf. Only cells of the finest level may hold more. The second condition
cuts a leaf beside a dense group, whose frame would tell its far side of nobody but that group.

All levels are cut in one pass. Two rows share their cells down to the level that the highest bit of the xor of their
codes tells. If the first and the last of k rows that follow one another share a cell, so do all k: the maximum over
all such runs that a row is in tells the smallest cell with k rows around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import FRAME_AVATARS, LEAF_CAPACITY, LEAF_FINEST, LEAF_WIDEST
from p2pworld.world.region import spread_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["crowded_level", "leaf_codes", "leaf_levels", "leaf_starts"]

_FINEST_CM: Final = ROOT_SIDE_CM >> LEAF_FINEST
_EAST_BITS: Final = spread_table(LEAF_FINEST).astype(np.int64)


def leaf_codes(east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> NDArray[np.int64]:
    """The Morton code of LEAF_FINEST of each point, all inside the root."""
    codes: NDArray[np.int64] = _EAST_BITS[east_cm // _FINEST_CM] | _EAST_BITS[north_cm // _FINEST_CM] << 1
    return codes


def crowded_level(codes: NDArray[np.int64], rows: int) -> NDArray[np.int8]:
    """The level of the smallest cell around each of the rising `codes` that holds `rows` of them; -1 for none."""
    level = np.full(len(codes), -1, np.int8)
    runs = len(codes) - rows + 1
    if runs < 1:
        return level
    bits = np.frexp((codes[rows - 1 :] ^ codes[:runs]).astype(np.float64))[1]
    level[:runs] = (2 * LEAF_FINEST - bits) >> 1
    spanned = 1  # how many runs, each a row further back, `level` is the maximum over
    while spanned < rows:
        step = min(spanned, rows - spanned)
        np.maximum(level[step:], level[:-step], out=level[step:])
        spanned += step
    return level


def leaf_levels(codes: NDArray[np.int64]) -> NDArray[np.int8]:
    """The level of the leaf that each of the rising `codes` is in."""
    if len(codes) <= LEAF_CAPACITY:
        return np.full(len(codes), LEAF_WIDEST, np.int8)
    itself, parent = crowded_level(codes, LEAF_CAPACITY + 1) + 1, crowded_level(codes, FRAME_AVATARS + 1) + 2
    level: NDArray[np.int8] = np.maximum(itself, parent).clip(LEAF_WIDEST, LEAF_FINEST)
    return level


def leaf_starts(codes: NDArray[np.int64], levels: NDArray[np.int8]) -> NDArray[np.intp]:
    """Where each leaf begins; there is at least one row."""
    apart = (codes[1:] ^ codes[:-1]) >> (2 * (LEAF_FINEST - levels[:-1].astype(np.int64))) != 0
    return np.concatenate((_ZERO, apart.nonzero()[0] + 1))


_ZERO: Final = np.zeros(1, np.intp)
