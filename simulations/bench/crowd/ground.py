"""Where the crowd of the bench stands: a square of open ground, and the regions of the nodes that share it.

The middle is a point at the south of Seoul Plaza where four cells of 128 m meet. The plane is cut into quadrants there,
and each quadrant is one node's: with one node there is no border, with two it runs north to south through the middle,
with four both lines do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.geometry import ROOT_SIDE_CM, Cell, cover_gaps, level_of_side_m

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from p2pworld.world.walls import Walls

__all__ = ["MIDDLE_CM", "NODES_MAX", "border_cm", "dealt", "node_at", "quarter", "square", "walls_near"]

REGION_M: Final = 128
MIDDLE_CM: Final = (265 * REGION_M * 100, 249 * REGION_M * 100)  # no wall within 100 m
NODES_MAX: Final = 4
# whose each quadrant is (south-west, south-east, north-west, north-east), for so many nodes
_QUADRANTS: Final = {1: (0, 0, 0, 0), 2: (0, 1, 0, 1), 3: (0, 1, 2, 2), 4: (0, 1, 2, 3)}


def node_at(nodes: int, east_cm: int, north_cm: int) -> int:
    """The number of the node whose ground this is."""
    return _QUADRANTS[nodes][(east_cm >= MIDDLE_CM[0]) + 2 * (north_cm >= MIDDLE_CM[1])]


def dealt(nodes: int) -> list[list[Cell]]:
    """The regions of each of `nodes` (1 to 4) nodes: a partition of the root."""
    level = level_of_side_m(REGION_M)
    east, north = MIDDLE_CM
    corner = [Cell.at(east - de, north - dn, level) for de in (0, 1) for dn in (0, 1)]
    cells: list[list[Cell]] = [[] for _ in range(nodes)]
    for cell in [*corner, *cover_gaps(corner)]:
        cells[node_at(nodes, *cell.centre_cm)].append(cell)
    return cells


def square(side_cm: int) -> tuple[int, int, int, int]:
    """The square of this side around the middle: west, south, east, north."""
    east, north = MIDDLE_CM
    half = side_cm // 2
    return east - half, north - half, east + half, north + half


def quarter(side_cm: int, node: int) -> tuple[int, int, int, int]:
    """The part of that square that is this one's of four nodes."""
    west, south, east, north = square(side_cm)
    middle_east, middle_north = MIDDLE_CM
    if node % 2:
        west = middle_east
    else:
        east = middle_east - 1
    if node // 2:
        south = middle_north
    else:
        north = middle_north - 1
    return west, south, east, north


def border_cm(nodes: int, east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> NDArray[np.int32]:
    """How far each of these places lies from the nearest border between nodes; beyond the root if there is none."""
    far = np.full(len(east_cm), ROOT_SIDE_CM, np.int32)
    if nodes > 1:
        far = np.minimum(far, np.abs(east_cm - MIDDLE_CM[0]))
    if nodes > 2:
        far = np.minimum(far, np.abs(north_cm - MIDDLE_CM[1]))
    return far


def walls_near(walls: Walls, side_cm: int) -> bool:
    """Whether a wall stands in the square of this side: whether some straight way across it is blocked."""
    east, north = MIDDLE_CM
    across = np.arange(-side_cm // 2, side_cm // 2 + 1, 50, dtype=np.int32)
    low, high = np.full_like(across, -side_cm // 2), np.full_like(across, side_cm // 2)
    for a_east, a_north, b_east, b_north in ((low, across, high, across), (across, low, across, high)):
        if walls.blocked(a_east + east, a_north + north, b_east + east, b_north + north).any():
            return True
        if walls.blocked(b_east + east, b_north + north, a_east + east, a_north + north).any():
            return True
    return False
