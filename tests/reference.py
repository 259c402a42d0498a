"""Slow twins: the obvious way to compute what the real code computes fast.

Each function here is written to be checked by eye, and a test compares it with the real one on many inputs. Nothing
here imports what it is the twin of.
"""

from __future__ import annotations

import cmath


def slow_morton(column: int, row: int, bits: int) -> int:
    """The Morton code, bit by bit from the most significant: north bit, then east bit."""
    code = 0
    for i in reversed(range(bits)):
        code = code * 4 + 2 * (row >> i & 1) + (column >> i & 1)
    return code


def slow_quadkey(east_cm: int, north_cm: int, level: int) -> str:
    """The quadkey of the cell that holds a point, by halving the root square `level` times."""
    west, south, side = 0.0, 0.0, 6_553_600.0
    digits = ""
    for _ in range(level):
        side /= 2
        is_east, is_north = east_cm >= west + side, north_cm >= south + side
        west, south = west + side * is_east, south + side * is_north
        digits += "0123"[is_east + 2 * is_north]
    return digits


def slow_inside(ring: list[tuple[int, int]], east: float, north: float) -> bool:
    """Whether a point lies in a polygon, by how often the polygon winds around it; not for points on the border."""
    turns = 0.0
    for (e1, n1), (e2, n2) in zip(ring, ring[1:] + ring[:1], strict=True):
        turns += cmath.phase(complex(e2 - east, n2 - north) / complex(e1 - east, n1 - north))
    return abs(turns) > cmath.pi
