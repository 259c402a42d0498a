"""Maps and crowds that the tests of this folder share: squares of 128 m side by side near the middle of Seoul."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Login
from p2pworld.messages import Pose
from p2pworld.wire.frames import BORDER_DTYPE, POSE_DTYPE
from p2pworld.world.citymap import CityMap, Member, genesis
from p2pworld.world.crowd import GHOST, MINE, Crowd
from p2pworld.world.region import RegionIndex

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from numpy.typing import NDArray

SIDE = 12_800  # of the squares, in cm; they begin at a multiple of 512 m
WEST, SOUTH = 66 * 51_200, 64 * 51_200
LOGIN = Login(1_000, bytes(16))


def member(number: int) -> Member:
    return Member(bytes([number]) * 32, 1, "link", "play", "web")


def square(column: int, row: int) -> Cell:
    """One of the squares of 128 m, counted from (WEST, SOUTH)."""
    return Cell.at(WEST + column * SIDE, SOUTH + row * SIDE, 9)


def city(picture: Iterable[str]) -> CityMap:
    """A map from rows of digits, the northernmost first: a digit's member holds that square, `.` nobody."""
    lines = list(picture)[::-1]
    digits = sorted({digit for line in lines for digit in line if digit != "."} | {"0"})
    claims = {
        member(int(digit) + 1): [
            square(x, y) for y, line in enumerate(lines) for x, held in enumerate(line) if held == digit
        ]
        for digit in digits
    }
    made = genesis(claims)
    assert not isinstance(made, Refusal)
    return made


def index_of(picture: Iterable[str]) -> RegionIndex:
    """The city as member 1 (the digit 0) sees it: digit d is holder number d where the digits have no gaps."""
    return RegionIndex(city(picture), member(1).who)


def boxes(index: RegionIndex) -> dict[tuple[int, int, int, int], int]:
    """Every leaf of the map and who holds it, for the slow twins."""
    pairs = zip(index.cells.tolist(), index.holder.tolist(), strict=True)
    return {Cell(cell).bounds_cm(): holder for cell, holder in pairs}


def put(
    crowd: Crowd, id: int, east: int, north: int, kind: int = MINE, conn: int = -1, now_s: float = 0.0
) -> int:
    """An avatar there; (0, 0) is the south-west corner of the picture."""
    row = crowd.add(id, LOGIN, 0, 0, Pose(WEST + east, SOUTH + north), kind, now_s)
    if conn >= 0:
        crowd.attach(row, conn)
    return row


def ghosts(rows: Iterable[tuple[int, int, int, int]]) -> NDArray[Any]:
    """Border rows from (id, seq, east, north)."""
    told = list(rows)
    out = np.zeros(len(told), BORDER_DTYPE)
    for at, (id, seq, east, north) in enumerate(told):
        out[at] = (id, 1_000, 0, 0, 0, seq, WEST + east, SOUTH + north, 0, 0, 0)
    return out


def poses(rows: Iterable[tuple[int, int, int, int]]) -> tuple[NDArray[np.int32], NDArray[Any]]:
    """Sockets and poses from (conn, seq, east, north) on the root."""
    said = list(rows)
    out = np.zeros(len(said), POSE_DTYPE)
    for at, (_, seq, east, north) in enumerate(said):
        out[at] = (1, 0, seq % 65_536, east, north, 3, 7, 0)
    return np.array([row[0] for row in said], np.int32), out


__all__ = [
    "GHOST", "LOGIN", "MINE", "SIDE", "SOUTH", "WEST", "boxes", "city", "ghosts", "index_of", "member", "poses", "put",
    "square",
]  # fmt: skip
