"""Which cells of the quadtree Seoul touches.

A cell touches Seoul if they share an inner point: a border that only runs along the cell's edge does not count. By
these outlines Seoul touches 19 cells of 8 192 m and 2 517 of 512 m. They are simplified: the surveyed line, up to
160 m away, touches 2 519 of 512 m, so a few cells at the rim differ.
"""

from __future__ import annotations

import functools

from p2pworld.geometry import LEVEL_MAX, ROOT, Cell
from p2pworld.seoul.gu import GU, Edge, edges_cm, gu_at

__all__ = ["seoul_cells", "touches_seoul"]


@functools.cache
def _edges() -> tuple[Edge, ...]:
    """Every edge between two gu or around the city, once."""
    return tuple(sorted({edge for gu in GU for edge in edges_cm(gu.outline)}))


def _crossing(cell: Cell, edges: tuple[Edge, ...]) -> tuple[Edge, ...]:
    """Those of the edges that pass through the inside of the cell."""
    west, south, east, north = cell.bounds_cm()
    return tuple(edge for edge in edges if _passes(edge, west, south, east, north))


def _passes(edge: Edge, west: int, south: int, east: int, north: int) -> bool:
    e1, n1, e2, n2 = edge
    if min(e1, e2) >= east or max(e1, e2) <= west or n1 >= north or n2 <= south:
        return False
    # The corners of the cell must not all lie on one side of the edge's line.
    sides = [
        (e2 - e1) * (corner_north - n1) - (n2 - n1) * (corner_east - e1)
        for corner_east in (west, east)
        for corner_north in (south, north)
    ]
    return min(sides) < 0 < max(sides)


def touches_seoul(cell: Cell) -> bool:
    """Whether the cell and the city share an inner point."""
    return bool(_crossing(cell, _edges())) or gu_at(*cell.centre_cm) is not None


@functools.lru_cache(maxsize=8)
def seoul_cells(level: int) -> tuple[Cell, ...]:
    """The cells of `level` that touch Seoul, in the order of the Morton curve.

    Costs time and memory by the number of cells: 2 500 at level 7 (512 m), some 150 000 at level 10 (64 m).

    Raises:
        ValueError: no such level.
    """
    if not 0 <= level <= LEVEL_MAX:
        raise ValueError(f"a level is from 0 to {LEVEL_MAX}, not {level}")
    found: list[Cell] = []
    open_cells = [(ROOT, _edges())]
    while open_cells:
        cell, edges = open_cells.pop()
        edges = _crossing(cell, edges)
        if not edges and gu_at(*cell.centre_cm) is None:
            continue
        if cell.level == level:
            found.append(cell)
        else:
            open_cells.extend((child, edges) for child in reversed(cell.children()))
    return tuple(found)
