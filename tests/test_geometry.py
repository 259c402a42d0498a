"""The quadtree: cells, Morton codes, partitions, positions and national point numbers."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import (
    LEVEL_MAX,
    ROOT,
    ROOT_SIDE_CM,
    Cell,
    cell_range,
    clamp,
    cover_gaps,
    curve_key,
    from_5179,
    from_wgs84,
    inside_root,
    is_partition,
    level_of_side_m,
    morton_decode,
    morton_encode,
    national_point_number,
    neighbours_in,
    parse_national_point_number,
    partition_around,
    to_5179,
    to_wgs84,
)
from tests.reference import slow_morton, slow_quadkey

COORDINATES = st.integers(0, ROOT_SIDE_CM - 1)
LEVELS = st.integers(0, LEVEL_MAX)


@st.composite
def cells(draw: st.DrawFn, level_max: int = LEVEL_MAX) -> Cell:
    level = draw(st.integers(0, level_max))
    return Cell(1 << 2 * level | draw(st.integers(0, (1 << 2 * level) - 1)))


@st.composite
def disjoint_cells(draw: st.DrawFn) -> list[Cell]:
    """Up to eight cells of which none contains another, in any order."""
    chosen: list[Cell] = []
    for cell in draw(st.lists(cells(level_max=9), max_size=8)):
        if not any(cell.contains(other) or other.contains(cell) for other in chosen):
            chosen.append(cell)
    return chosen


# --- Cells -------------------------------------------------------------------------------------------


@given(COORDINATES, COORDINATES, LEVELS)
def test_a_cell_is_found_where_halving_the_root_finds_it(east_cm: int, north_cm: int, level: int) -> None:
    cell = Cell.at(east_cm, north_cm, level)
    assert str(cell) == (slow_quadkey(east_cm, north_cm, level) or "root")
    assert cell.level == level
    assert cell.contains_point(east_cm, north_cm)
    assert cell.distance_cm_to_point(east_cm, north_cm) == 0
    assert cell == ROOT or cell.morton == int(str(cell), base=4)


@given(cells())
def test_text_and_number_name_the_same_cell(cell: Cell) -> None:
    assert Cell.from_quadkey(str(cell)) == cell
    assert f"{cell}" == str(cell)
    assert eval(repr(cell), {"Cell": Cell}) == cell
    assert Cell(int(cell)) == cell
    assert json.loads(json.dumps(cell)) == msgpack.unpackb(msgpack.packb(cell)) == int(cell)
    assert pickle.loads(pickle.dumps(cell)) == cell
    assert int(float(cell)) == cell, "exact in a double"


@given(cells(level_max=LEVEL_MAX - 1))
def test_children_tile_their_parent(parent: Cell) -> None:
    children = parent.children()
    west, south, east, north = parent.bounds_cm()
    middle_east, middle_north = parent.centre_cm
    assert [child.bounds_cm() for child in children] == [
        (west, south, middle_east, middle_north),
        (middle_east, south, east, middle_north),
        (west, middle_north, middle_east, north),
        (middle_east, middle_north, east, north),
    ]
    for child in children:
        assert child.parent() == parent
        assert parent.contains(child)
        assert not child.contains(parent)
        assert {child, *child.siblings} == set(children)


@given(cells(), LEVELS)
def test_an_ancestor_contains_and_its_quadkey_begins_the_cells(cell: Cell, level: int) -> None:
    if level > cell.level:
        with pytest.raises(ValueError, match="has no ancestor of level"):
            cell.parent(level)
    else:
        ancestor = cell.parent(level)
        assert ancestor.level == level
        assert ancestor.contains(cell)
        assert level == 0 or str(cell).startswith(str(ancestor))


@given(cells(), cells())
def test_a_cell_contains_another_when_its_bounds_do(one: Cell, other: Cell) -> None:
    w1, s1, e1, n1 = one.bounds_cm()
    w2, s2, e2, n2 = other.bounds_cm()
    assert one.contains(other) == (w1 <= w2 and s1 <= s2 and e2 <= e1 and n2 <= n1)


@given(cells())
def test_neighbours_are_the_cells_of_the_level_that_touch_and_it_is_mutual(cell: Cell) -> None:
    neighbours = cell.neighbours()
    assert len(neighbours) == len(set(neighbours))
    for neighbour in neighbours:
        assert neighbour.level == cell.level
        assert cell.touches(neighbour)
        assert cell in neighbour.neighbours()
    steps = range(-1, 2)
    east_cm, north_cm = cell.bounds_cm()[:2]
    around = {(east_cm + x * cell.side_cm, north_cm + y * cell.side_cm) for x in steps for y in steps}
    assert {n.bounds_cm()[:2] for n in neighbours} == {p for p in around if inside_root(*p)} - {
        (east_cm, north_cm)
    }


@given(cells(level_max=6), cells(level_max=6))
def test_touching_and_distance_are_mutual_and_agree(one: Cell, other: Cell) -> None:
    assert one.touches(other) == other.touches(one)
    assert one.distance_cm_to(other) == other.distance_cm_to(one)
    overlap = one.contains(other) or other.contains(one)
    assert (one.distance_cm_to(other) == 0) == (overlap or one.touches(other))


def test_distances_by_example() -> None:
    cell = Cell.at(0, 0, 7)
    assert cell.bounds_cm() == (0, 0, 51_200, 51_200)
    assert cell.distance_cm_to_point(51_200 + 300, 51_200 + 400) == 500
    assert cell.distance_cm_to_point(100, -7) == 7
    assert cell.distance_cm_to_point(51_200, 100) == 0, "on the border, though the point is the next cell's"
    assert not cell.contains_point(51_200, 100)
    assert cell.distance_cm_to(Cell.at(102_400, 0, 7)) == 51_200


def test_a_cell_touches_at_a_corner_but_not_what_it_contains() -> None:
    south_west, south_east, north_west, north_east = ROOT.children()
    assert south_west.touches(north_east)
    assert south_east.touches(north_west)
    assert not ROOT.touches(south_west)
    assert not south_west.touches(south_west)
    assert not south_west.children()[0].touches(north_east)
    assert south_west.children()[3].touches(north_east)


@pytest.mark.parametrize("number", [0, -1, 2, 3, 8, 15, 1 << 2 * LEVEL_MAX + 2])
def test_other_numbers_are_no_cells(number: int) -> None:
    with pytest.raises(ValueError, match="is no cell"):
        Cell(number)


@pytest.mark.parametrize(
    "text", ["", "4", "01x", "0 1", "-1", "0" * (LEVEL_MAX + 1), "ROOT", "٣", "0_1", "0\n"]
)
def test_other_texts_are_no_quadkeys(text: str) -> None:
    with pytest.raises(ValueError, match="is no quadkey"):
        Cell.from_quadkey(text)


def test_the_edges_of_the_tree_are_named() -> None:
    assert str(ROOT) == "root"
    assert ROOT.siblings == ROOT.neighbours() == ()
    assert ROOT.side_cm == ROOT_SIDE_CM
    assert len(Cell.at(0, 0, 5).neighbours()) == 3
    with pytest.raises(ValueError, match="no ancestor"):
        ROOT.parent()
    with pytest.raises(ValueError, match="cannot be split"):
        Cell.at(0, 0, LEVEL_MAX).children()
    with pytest.raises(ValueError, match="outside the root"):
        Cell.at(ROOT_SIDE_CM, 0, 3)
    with pytest.raises(ValueError, match="a level is from 0"):
        Cell.at(0, 0, LEVEL_MAX + 1)


def test_levels_by_their_side() -> None:
    assert [level_of_side_m(side_m) for side_m in (65_536, 8_192, 512, 1, 0.5, 0.25)] == [0, 3, 7, 16, 17, 18]
    assert Cell.at(0, 0, LEVEL_MAX).side_cm == 25
    with pytest.raises(ValueError, match="no cell has a side of 500 m"):
        level_of_side_m(500)


# --- Morton codes of arrays --------------------------------------------------------------------------


@given(st.lists(st.tuples(COORDINATES, COORDINATES), max_size=20), LEVELS)
def test_morton_codes_match_the_slow_twin_and_decode_to_corners(
    points: list[tuple[int, int]], level: int
) -> None:
    east_cm = np.array([e for e, _ in points], dtype=np.int32)
    north_cm = np.array([n for _, n in points], dtype=np.int32)
    codes = morton_encode(east_cm, north_cm, level)
    side_cm = ROOT_SIDE_CM >> level
    assert codes.dtype == np.uint64
    assert codes.tolist() == [slow_morton(e // side_cm, n // side_cm, level) for e, n in points]
    assert codes.tolist() == [Cell.at(e, n, level).morton for e, n in points]
    west, south = morton_decode(codes, level)
    assert west.dtype == south.dtype == np.int32
    assert west.tolist() == [e // side_cm * side_cm for e, _ in points]
    assert south.tolist() == [n // side_cm * side_cm for _, n in points]


@given(st.lists(st.tuples(COORDINATES, COORDINATES), min_size=1, max_size=40), cells())
def test_a_cell_is_one_slice_of_sorted_codes(points: list[tuple[int, int]], cell: Cell) -> None:
    # Half of the points near the cell, or a small one would always be empty.
    west, south, _, _ = cell.bounds_cm()
    points += [
        clamp(west + e % (3 * cell.side_cm) - cell.side_cm, south + n % cell.side_cm) for e, n in points
    ]
    east_cm = np.array([e for e, _ in points], dtype=np.int32)
    north_cm = np.array([n for _, n in points], dtype=np.int32)
    codes = np.sort(morton_encode(east_cm, north_cm))
    start, stop = np.searchsorted(codes, np.array(cell_range(cell), dtype=np.uint64))
    assert stop - start == sum(cell.contains_point(e, n) for e, n in points)


@pytest.mark.parametrize("outside", [-1, ROOT_SIDE_CM, 2**31 - 1, -(2**31)])
def test_positions_outside_the_root_have_no_code(outside: int) -> None:
    inside, bad = np.array([0, 5], dtype=np.int32), np.array([0, outside], dtype=np.int32)
    with pytest.raises(ValueError, match="clamp them first"):
        morton_encode(bad, inside)
    with pytest.raises(ValueError, match="clamp them first"):
        morton_encode(inside, bad)


def test_codes_beyond_their_level_are_refused() -> None:
    with pytest.raises(ValueError, match="at most 6 bits"):
        morton_decode(np.array([64], dtype=np.uint64), 3)
    with pytest.raises(ValueError, match="finer than level 2"):
        cell_range(Cell.at(0, 0, 3), 2)


# --- Partitions --------------------------------------------------------------------------------------


@given(disjoint_cells())
def test_partition_around_is_the_smallest_partition_with_these_leaves(leaves: list[Cell]) -> None:
    partition = partition_around(leaves)
    assert is_partition(partition)
    assert set(leaves) <= set(partition)
    assert partition == sorted(partition, key=curve_key)
    # Smallest: no four of its leaves could be joined without losing a given one.
    given_leaves = set(leaves)
    for cell in set(partition) - given_leaves - {ROOT}:
        assert any(other not in partition or other in given_leaves for other in cell.siblings)
    assert sorted([*leaves, *cover_gaps(leaves)], key=curve_key) == partition


@given(disjoint_cells(), st.data())
def test_is_partition_sees_a_hole_and_an_overlap(leaves: list[Cell], data: st.DataObject) -> None:
    partition = partition_around(leaves)
    chosen = data.draw(st.sampled_from(partition))
    assert not is_partition([cell for cell in partition if cell != chosen])
    assert not is_partition([*partition, chosen])
    assert not is_partition([*partition, chosen.children()[2]])
    assert is_partition([cell for cell in partition if cell != chosen] + list(chosen.children()))


def test_overlapping_cells_have_no_partition() -> None:
    cell = Cell.from_quadkey("0123")
    for others in ([cell], [cell.parent()], [ROOT], [cell.children()[3], Cell.from_quadkey("3")]):
        with pytest.raises(ValueError, match="overlap"):
            partition_around([cell, *others])
    assert partition_around([]) == cover_gaps([]) == [ROOT]
    assert not is_partition([])


@given(disjoint_cells(), st.data())
def test_neighbours_in_a_partition_are_those_that_touch(leaves: list[Cell], data: st.DataObject) -> None:
    partition = partition_around(leaves)
    cell = data.draw(st.sampled_from(partition) | cells(level_max=12))
    expected = [other for other in partition if cell.touches(other)]
    assert neighbours_in(reversed(partition), cell) == expected
    assert all(isinstance(neighbour, Cell) for neighbour in neighbours_in(partition, cell))


# --- Positions ---------------------------------------------------------------------------------------


@given(COORDINATES, COORDINATES)
def test_wgs84_and_back_is_within_a_centimetre(east_cm: int, north_cm: int) -> None:
    back_east_cm, back_north_cm = from_wgs84(*to_wgs84(east_cm, north_cm))
    assert abs(back_east_cm - east_cm) <= 1
    assert abs(back_north_cm - north_cm) <= 1


@given(COORDINATES, COORDINATES)
def test_5179_metres_and_back_is_exact(east_cm: int, north_cm: int) -> None:
    assert from_5179(*to_5179(east_cm, north_cm)) == (east_cm, north_cm)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(-(2**31), 2**31 - 1))
def test_clamping_moves_only_what_is_outside(east_cm: int, north_cm: int) -> None:
    clamped = clamp(east_cm, north_cm)
    assert inside_root(*clamped)
    assert (clamped == (east_cm, north_cm)) == inside_root(east_cm, north_cm)


def test_places_that_are_no_positions_are_refused() -> None:
    for lat, lon in ((91.0, 127.0), (37.0, 181.0), (float("nan"), 127.0), (37.0, float("inf"))):
        with pytest.raises(ValueError, match="is not a latitude"):
            from_wgs84(lat, lon)
    for e_m in (float("nan"), float("inf"), 1e12):
        with pytest.raises(ValueError, match="is not a position"):
            from_5179(e_m, 1_950_000)


def test_the_root_square_begins_where_it_says() -> None:
    assert to_5179(0, 0) == (920_000, 1_920_000)
    assert from_5179(985_536, 1_985_536) == (ROOT_SIDE_CM, ROOT_SIDE_CM)
    busan = from_wgs84(35.1798, 129.0750)
    assert not inside_root(*busan)


def test_importing_geometry_does_not_load_the_projection_library() -> None:
    program = "import sys, p2pworld.geometry; sys.exit('pyproj' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


# --- National point numbers --------------------------------------------------------------------------


@given(st.integers(700_000, 1_399_999), st.integers(1_300_000, 2_099_999), st.integers(1, 5))
def test_a_point_number_names_the_square_that_holds_the_point(e_m: int, n_m: int, digits: int) -> None:
    corner_e_m, corner_n_m = parse_national_point_number(national_point_number(e_m, n_m, digits))
    assert 0 <= e_m - corner_e_m < 10 ** (5 - digits)
    assert 0 <= n_m - corner_n_m < 10 ** (5 - digits)


def test_point_numbers_by_example() -> None:
    assert national_point_number(953_801.9, 1_953_073.3) == "다사 5380 5307"
    assert national_point_number(953_801.9, 1_953_073.3, digits=5) == "다사 53801 53073"
    assert national_point_number(900_000, 1_900_000) == "다사 0000 0000"
    assert national_point_number(1_399_999.9, 2_099_999.9, digits=1) == "사아 9 9"
    assert parse_national_point_number("다사 5380 5307") == (953_800, 1_953_070)
    assert parse_national_point_number(" 다 사 53801  53073 ") == (953_801, 1_953_073)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "다사",
        "다사 5380",
        "다사 5380 530",
        "다사 538012 530712",
        "AB 5380 5307",
        "하사 5380 5307",
        "다하 5380 5307",
    ],
)
def test_other_texts_are_no_point_numbers(text: str) -> None:
    with pytest.raises(ValueError, match="national point number"):
        parse_national_point_number(text)


def test_points_outside_the_grid_have_no_number() -> None:
    for e_m, n_m in (
        (699_999, 1_950_000),
        (1_400_000, 1_950_000),
        (950_000, 1_299_999),
        (950_000, 2_100_000),
    ):
        with pytest.raises(ValueError, match="outside"):
            national_point_number(e_m, n_m)
    with pytest.raises(ValueError, match="is not a position"):
        national_point_number(float("nan"), 1_950_000)
    with pytest.raises(ValueError, match="1 to 5 digits"):
        national_point_number(950_000, 1_950_000, digits=6)
