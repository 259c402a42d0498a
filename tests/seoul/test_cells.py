"""The cells Seoul touches, and the rooms of the annex that stand outside it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import ROOT, Cell, curve_key, from_5179, inside_root, is_partition, partition_around
from p2pworld.seoul import (
    BUS_STOPS,
    GU,
    LANDMARKS,
    ROOM_LEVEL,
    annex_cells,
    gu_at,
    is_room,
    room_cell,
    room_number,
    seoul_cells,
    touches_seoul,
)

CITY = seoul_cells(ROOM_LEVEL)
AROUND = sorted({cell for inner in CITY for cell in inner.neighbours()})


def test_seoul_touches_so_many_cells() -> None:
    assert len(seoul_cells(3)) == 19
    # The surveyed line touches 2 519 cells of 512 m; these outlines, up to 160 m off it, two fewer.
    assert len(CITY) == 2_517
    assert seoul_cells(0) == (ROOT,)
    with pytest.raises(ValueError, match="a level is from 0"):
        seoul_cells(19)


def test_the_cells_of_a_level_are_the_parents_of_the_next() -> None:
    for level in range(ROOM_LEVEL):
        assert seoul_cells(level) == tuple(dict.fromkeys(c.parent() for c in seoul_cells(level + 1)))
    assert list(CITY) == sorted(CITY, key=curve_key)


def test_all_of_the_tables_lies_in_the_citys_cells() -> None:
    cells = set(CITY)
    for east_cm, north_cm in [p.position_cm for p in LANDMARKS] + [s.position_cm for s in BUS_STOPS]:
        assert Cell.at(east_cm, north_cm, ROOM_LEVEL) in cells
    for gu in GU:
        for e_m, n_m in gu.outline:
            cell = Cell.at(*from_5179(e_m, n_m), ROOM_LEVEL)
            assert cell in cells or any(c in cells for c in cell.neighbours())


@given(st.sampled_from(AROUND), st.data())
def test_a_cell_with_a_point_of_the_city_touches_it(cell: Cell, data: st.DataObject) -> None:
    assert touches_seoul(cell) == (cell in set(CITY))
    west, south, east, north = cell.bounds_cm()
    # A lattice of points 512 cm apart finds any share of the cell that is not a sliver.
    offset = data.draw(st.integers(0, 99))
    points = [(e, n) for e in range(west + offset, east, 5_120) for n in range(south + offset, north, 5_120)]
    if any(gu_at(*point) is not None for point in points):
        assert touches_seoul(cell)


def test_rooms_stand_apart_from_each_other_and_from_seoul() -> None:
    rooms = annex_cells()
    assert len(rooms) == len(set(rooms)) == 3_380
    assert all(room.level == ROOM_LEVEL for room in rooms)
    taken = set(rooms)
    city = set(CITY)
    for room in rooms:
        assert not touches_seoul(room)
        for neighbour in room.neighbours():
            assert neighbour not in taken
            assert neighbour not in city
            assert inside_root(*neighbour.centre_cm)


def test_rooms_are_numbered_and_every_number_has_its_room() -> None:
    rooms = annex_cells()
    for number in (0, 1, 1_000, len(rooms) - 1):
        assert room_cell(number) == rooms[number]
        assert room_number(rooms[number]) == number
        assert is_room(rooms[number])
    for number in (-1, len(rooms)):
        with pytest.raises(ValueError, match="there is no room"):
            room_cell(number)
    neighbour = rooms[0].neighbours()[0]
    assert not is_room(neighbour)
    with pytest.raises(ValueError, match="is not a room"):
        room_number(neighbour)


def test_city_and_rooms_fit_one_partition() -> None:
    partition = partition_around([*CITY, *annex_cells()])
    assert is_partition(partition)
    assert set(CITY) | set(annex_cells()) <= set(partition)
