"""RegionIndex: who holds a place, and who has left my ground, against brute geometry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import Refusal
from p2pworld.geometry import ROOT_SIDE_CM, Cell
from p2pworld.ids import Incarnation
from p2pworld.world.citymap import EMPTY, genesis
from p2pworld.world.crowd import DORMANT, GHOST, Crowd
from p2pworld.world.region import NOBODY, RegionIndex
from tests.world.crowds import SIDE, SOUTH, WEST, boxes, index_of, member, put, square
from tests.world.reference import slow_gap, slow_has_left, slow_holder, slow_pieces

CORNER = index_of(["12", "03"])  # four regions meet at (SIDE, SIDE)
MIXED = index_of(["1.2", "001", "231"])
H = 200

ODD = st.sampled_from([-401, -400, -399, -201, -200, -199, -1, 0, 1, 199, 200, 201, 399, 400, 401])
NEAR_LINES = st.one_of(
    st.builds(lambda line, off: line * SIDE + off, st.integers(0, 3), ODD), st.integers(-SIDE, 4 * SIDE)
)


def fine_index() -> RegionIndex:
    """A map where cells of mine, of others and of nobody are down to 25 cm, near the corner of a square of mine."""
    mine = square(0, 0)
    path = [mine]
    for digit in (3, 0, 3, 3, 0, 3, 0, 3, 3):
        path.append(path[-1].children()[digit])
    leaves = [c for at in path[1:] for c in at.siblings] + [path[-1]]
    claims = {
        member(1): [*leaves[::4], square(1, 1)],
        member(2): [*leaves[1::4], *leaves[2::4], square(1, 0)],
        member(3): [square(0, 1)],
    }
    made = genesis(claims)
    assert not isinstance(made, Refusal)
    return RegionIndex(made, member(1).who)


FINE = fine_index()


@given(
    st.sampled_from([CORNER, MIXED, FINE]),
    st.lists(st.tuples(NEAR_LINES, NEAR_LINES), min_size=1, max_size=30),
)
def test_holders_and_leavers_as_brute_geometry_has_them(
    index: RegionIndex, places: list[tuple[int, int]]
) -> None:
    regions = boxes(index)
    crowd = Crowd(64)
    for id, (east, north) in enumerate(places, 1):
        put(crowd, 100 - id, east, north)
    easts, norths = [WEST + e for e, _ in places], [SOUTH + n for _, n in places]
    holders = index.holder_at(np.array(easts, np.int32), np.array(norths, np.int32)).tolist()
    assert holders == [slow_holder(regions, e, n) for e, n in zip(easts, norths, strict=True)]
    rows, cells, to = index.crossers(crowd)
    ids = crowd.id[rows].tolist()
    assert ids == sorted(
        100 - id for id, (e, n) in enumerate(places, 1) if slow_has_left(regions, WEST + e, SOUTH + n)
    )
    for row, cell, holder in zip(rows.tolist(), cells.tolist(), to.tolist(), strict=True):
        assert Cell(cell).contains_point(int(crowd.east_cm[row]), int(crowd.north_cm[row]))
        assert index.city_map.holder_of(Cell(cell)) == index.holders[holder]
    lost = sorted(100 - id for id, holder in enumerate(holders, 1) if holder == NOBODY)
    assert crowd.id[index.strangers(crowd)].tolist() == lost


FINE_CORNER = next(Cell(c) for c in FINE.cells.tolist() if Cell(c).level == 18)


@given(st.lists(st.tuples(st.integers(-500, 500), st.integers(-500, 500)), min_size=1, max_size=40))
def test_no_leaf_is_too_small_to_hold_one_back(offsets: list[tuple[int, int]]) -> None:
    regions = boxes(FINE)
    crowd = Crowd(64)
    west, south, _, _ = FINE_CORNER.bounds_cm()
    for id, (de, dn) in enumerate(offsets, 1):
        put(crowd, id, west - WEST + de, south - SOUTH + dn)
    rows, _, _ = FINE.crossers(crowd)
    want = [id for id, (de, dn) in enumerate(offsets, 1) if slow_has_left(regions, west + de, south + dn)]
    assert crowd.id[rows].tolist() == want


@pytest.mark.parametrize(
    ("east", "north", "leaves"),
    [
        (SIDE + H - 1, 100, False),  # its square still touches my last centimetre
        (SIDE + H, 100, True),  # though nobody holds the ground a metre to the south
        (SIDE + H, SIDE + H, True),
        (SIDE + H, SIDE - 5, True),  # over two foreign regions at once
        (SIDE - 1, SIDE + H, True),
        (SIDE, SIDE, False),
        (SIDE - 1, SIDE - 1, False),
        (100, -H - 1, False),  # nobody holds the south
    ],
)
def test_hysteresis_at_the_corner_of_four(east: int, north: int, leaves: bool) -> None:
    crowd = Crowd(4)
    row = put(crowd, 1, east, north)
    rows, _, _ = CORNER.crossers(crowd)
    assert rows.tolist() == [row] * leaves


@pytest.mark.parametrize(("step", "leaves"), [(0, False), (1, True)])
def test_hysteresis_to_the_west_and_south(step: int, leaves: bool) -> None:
    index = index_of(["110", "222"])
    crowd = Crowd(4)
    put(crowd, 1, 2 * SIDE - H - step, SIDE + 900)
    put(crowd, 2, 2 * SIDE + 900, SIDE - H - step)
    assert crowd.id[index.crossers(crowd)[0]].tolist() == [1, 2] * leaves


def test_hysteresis_around_each_small_leaf_of_mine() -> None:
    regions = boxes(FINE)
    places = []
    for (west, south, east, north), holder in regions.items():
        if holder == 0 and east - west <= 400:
            places += [(east + H - k, south) for k in (0, 1)] + [(west - H - k, south) for k in (0, 1)]
            places += [(west, north + H - k) for k in (0, 1)] + [(west, south - H - k) for k in (0, 1)]
    crowd = Crowd(512)
    for id, (e, n) in enumerate(places, 1):
        put(crowd, id, e - WEST, n - SOUTH)
    want = [id for id, (e, n) in enumerate(places, 1) if slow_has_left(regions, e, n)]
    assert crowd.id[FINE.crossers(crowd)[0]].tolist() == want
    assert 0 < len(want) < len(places)


def test_only_those_that_are_mine_leave() -> None:
    crowd = Crowd(4)
    put(crowd, 1, SIDE + 900, 100, GHOST)
    put(crowd, 2, SIDE + 900, 100, DORMANT)
    put(crowd, 3, -9_000, 100, DORMANT)
    assert [len(column) for column in CORNER.crossers(crowd)] == [0, 0, 0]
    assert len(CORNER.strangers(crowd)) == 0


def test_the_root_has_an_edge_and_the_empty_map_no_holder() -> None:
    last = Cell.at(ROOT_SIDE_CM - 1, 0, 3)
    made = genesis({member(1): [Cell.at(0, 0, 3)], member(2): [last]})
    assert not isinstance(made, Refusal)
    index = RegionIndex(made, member(1).who)
    crowd = Crowd(4)
    put(crowd, 1, ROOT_SIDE_CM - 1 - WEST, -SOUTH)
    rows, cells, _ = index.crossers(crowd)
    assert (crowd.id[rows].tolist(), cells.tolist()) == ([1], [last])
    nowhere = RegionIndex(EMPTY, member(1).who)
    assert crowd.id[nowhere.strangers(crowd)].tolist() == [1]
    assert len(nowhere.border.neighbours) == 0


def test_me_is_holder_0_even_if_i_hold_nothing() -> None:
    stranger = Incarnation(b"s" * 32, 9)
    index = RegionIndex(CORNER.city_map, stranger)
    assert index.holders == (stranger, *(member(number).who for number in (1, 2, 3, 4)))
    assert 0 not in index.holder


@given(st.sampled_from([1, 2]), st.lists(st.tuples(NEAR_LINES, NEAR_LINES), min_size=1, max_size=20))
def test_distance_to_a_holder(holder: int, places: list[tuple[int, int]]) -> None:
    east = np.array([WEST + e for e, _ in places], np.int32)
    north = np.array([SOUTH + n for _, n in places], np.int32)
    grounds = [box for box, who in boxes(MIXED).items() if who == holder]
    assert MIXED.within(holder, east, north, 500).tolist() == [
        any(slow_gap(box, e, n) <= 500 for box in grounds)
        for e, n in zip(east.tolist(), north.tolist(), strict=True)
    ]


@pytest.mark.parametrize("index", [CORNER, MIXED, FINE], ids=["corner", "mixed", "fine"])
def test_the_border_is_cut_as_the_slow_twin_cuts_it(index: RegionIndex) -> None:
    border = index.border
    found: dict[int, list[tuple[int, int, int, int]]] = {}
    boxes_found = zip(
        *(c.tolist() for c in (border.west, border.south, border.east, border.north)), strict=True
    )
    for slot, box in zip(border.slot.tolist(), boxes_found, strict=True):
        found.setdefault(int(border.neighbours[slot]), []).append(box)
    want = slow_pieces(boxes(index))
    assert {holder: len(pieces) > 0 for holder, pieces in found.items()} == dict.fromkeys(want, True)
    for holder, pieces in want.items():
        # small leaves on one stretch of 16 m are united, so compare what is covered
        for piece in pieces:
            assert any(
                w <= piece[0] and s <= piece[1] and e >= piece[2] and n >= piece[3]
                for w, s, e, n in found[holder]
            )
        for w, s, e, n in found[holder]:
            assert (w, s) in {p[:2] for p in pieces}
            assert (e, n) in {p[2:] for p in pieces}
            assert e - w + n - s <= 1_600
