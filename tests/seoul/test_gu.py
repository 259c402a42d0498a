"""The gu: their outlines are a coverage, each point lies in at most one, and the tables agree with the shapes."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from p2pworld.geometry import from_5179, inside_root, to_5179
from p2pworld.seoul import GU, OUTLINES, Gu, gu_at, gu_by_code, gu_by_name
from tests.reference import slow_inside

Point = tuple[int, int]


def segments(gu: Gu) -> list[tuple[Point, Point]]:
    ring = list(gu.outline)
    return list(pairwise([*ring, ring[0]]))


def area_m2(gu: Gu) -> float:
    return sum(e1 * n2 - e2 * n1 for (e1, n1), (e2, n2) in segments(gu)) / 2


def test_there_are_25_gu_and_each_is_found_by_code_and_names() -> None:
    assert len(GU) == len(OUTLINES) == 25
    assert [gu.code for gu in GU] == sorted(OUTLINES)
    for gu in GU:
        assert gu_by_code(gu.code) is gu_by_name(gu.name_ko) is gu_by_name(gu.name_en.upper()) is gu
    with pytest.raises(ValueError, match="99999 is not the legal code"):
        gu_by_code(99999)
    with pytest.raises(ValueError, match="'Busan' is not a gu"):
        gu_by_name("Busan")


def test_totals_are_the_citys() -> None:
    assert sum(gu.population for gu in GU) == 9_795_426
    assert sum(gu.area_km2 for gu in GU) == pytest.approx(605.24)
    assert sum(map(area_m2, GU)) / 1e6 == pytest.approx(607.2, abs=0.1)
    assert Counter(gu.side_of_han for gu in GU) == {"N": 14, "S": 11}


def test_outlines_run_counter_clockwise_from_their_southernmost_vertex() -> None:
    for gu in GU:
        assert area_m2(gu) > 0, "counter-clockwise"
        assert gu.outline[0] == min(gu.outline, key=lambda point: (point[1], point[0]))
        assert len(set(gu.outline)) == len(gu.outline)
        assert all(inside_root(*from_5179(*point)) for point in gu.outline)
        assert abs(area_m2(gu) / 1e6 / gu.area_km2 - 1) < 0.13, "another survey, but the same gu"


def test_outlines_are_a_coverage_whose_shared_edges_are_the_neighbours() -> None:
    walked = Counter(segment for gu in GU for segment in segments(gu))
    assert set(walked.values()) == {1}, "no edge is walked twice in one direction: no overlap"
    owner = {segment: gu.code for gu in GU for segment in segments(gu)}
    touching: dict[int, set[int]] = {gu.code: set() for gu in GU}
    for (start, end), code in owner.items():
        if (end, start) in owner:
            touching[code].add(owner[end, start])
    assert {gu.code: set(gu.neighbours) for gu in GU} == touching
    assert sum(map(len, touching.values())) == 2 * 52
    assert all(len(set(gu.neighbours)) == len(gu.neighbours) for gu in GU)


def test_the_rim_of_the_city_is_one_ring() -> None:
    owner = {segment for gu in GU for segment in segments(gu)}
    rim = {start: end for start, end in owner if (end, start) not in owner}
    start = min(rim)
    point, steps = rim[start], 1
    while point != start:
        point, steps = rim[point], steps + 1
    assert steps == len(rim), "no holes and no second part"


def test_centroids_lie_in_their_gu() -> None:
    for gu in GU:
        assert gu_at(*gu.centre_cm) is gu


INNER_VERTICES = sorted({point for ring in OUTLINES.values() for point in ring})


@given(st.sampled_from(INNER_VERTICES), st.integers(-300_00, 300_00), st.integers(-300_00, 300_00))
def test_points_near_borders_are_where_the_slow_twin_finds_them(vertex: Point, east: int, north: int) -> None:
    east_cm, north_cm = from_5179(*vertex)
    east_cm, north_cm = east_cm + east, north_cm + north
    e_m, n_m = to_5179(east_cm, north_cm)
    near = [s for gu in GU for s in segments(gu) if abs(s[0][0] - e_m) + abs(s[0][1] - n_m) < 20_000]
    # The twin counts turns in floating point: keep 1 mm off the lines themselves.
    for (e1, n1), (e2, n2) in near:
        length = ((e2 - e1) ** 2 + (n2 - n1) ** 2) ** 0.5
        assume(abs((e2 - e1) * (n_m - n1) - (n2 - n1) * (e_m - e1)) > length / 1000)
    holders = [gu for gu in GU if slow_inside(list(gu.outline), e_m, n_m)]
    assert len(holders) <= 1
    assert gu_at(east_cm, north_cm) == (holders[0] if holders else None)


@given(st.sampled_from(GU), st.data())
def test_a_point_on_a_shared_border_belongs_to_the_gu_east_or_else_north_of_it(
    gu: Gu, data: st.DataObject
) -> None:
    inner = {segment for other in GU for segment in segments(other)}
    start, end = data.draw(st.sampled_from([s for s in segments(gu) if s[::-1] in inner]))
    share = data.draw(st.integers(1, 99))
    # Vertices are whole hundreds of metres, so a hundredth of the way is a whole metre, exactly on the edge.
    point = tuple(a + (b - a) * share // 100 for a, b in zip(start, end, strict=True))
    sharing = [other for other in GU if {start, end} <= set(other.outline)]
    east_cm, north_cm = from_5179(*point)
    holder = gu_at(east_cm, north_cm)
    assert holder in sharing
    runs_east = start[1] == end[1]
    assert holder is gu_at(east_cm + (not runs_east), north_cm + runs_east)


def test_outside_the_city_there_is_no_gu() -> None:
    assert gu_at(0, 0) is None
    assert gu_at(-1, 10**9) is None
    assert gu_at(*from_5179(985_000, 1_950_000)) is None
