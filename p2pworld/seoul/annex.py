"""The annex: cells of the root square outside Seoul that serve as rooms.

A room (an office, a hall, a counter, a private meeting) is a cell of 512 m like any region: leased, handed off and
balanced in the same way, and entered through a portal. To keep people in different rooms out of each other's sight,
the rooms stand apart: each is the south-west quarter of a 1 024 m cell, so that at least one free cell of 512 m lies
between any two, and none is Seoul's or next to a cell that touches Seoul. There are 3 380.

Rooms are numbered along the Morton curve from 0. The numbers follow from the outlines of the gu: whoever changes those
renumbers the rooms, so what lasts should name a room by its cell.
"""

from __future__ import annotations

import functools

from p2pworld.geometry import ROOT, Cell
from p2pworld.seoul.cells import seoul_cells

__all__ = ["ROOM_LEVEL", "annex_cells", "is_room", "room_cell", "room_number"]

ROOM_LEVEL = 7


@functools.cache
def annex_cells() -> tuple[Cell, ...]:
    """All the rooms, in the order of their numbers."""
    city = set(seoul_cells(ROOM_LEVEL))
    first = ROOT << 2 * ROOM_LEVEL
    quarters = (Cell(number) for number in range(first, 2 * first, 4))
    return tuple(room for room in quarters if city.isdisjoint((room, *room.neighbours())))


@functools.cache
def _numbers() -> dict[Cell, int]:
    return {room: number for number, room in enumerate(annex_cells())}


def room_cell(number: int) -> Cell:
    """The cell of the room with this number.

    Raises:
        ValueError: there is no such room.
    """
    rooms = annex_cells()
    if not 0 <= number < len(rooms):
        raise ValueError(f"rooms are numbered from 0 to {len(rooms) - 1}; there is no room {number}")
    return rooms[number]


def room_number(cell: Cell) -> int:
    """The number of the room that is this cell.

    Raises:
        ValueError: the cell is not a room.
    """
    if cell not in _numbers():
        raise ValueError(f"cell {cell} is not a room of the annex")
    return _numbers()[cell]


def is_room(cell: Cell) -> bool:
    """Whether the cell is a room of the annex."""
    return cell in _numbers()
