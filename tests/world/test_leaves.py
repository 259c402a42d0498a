"""Interest leaves against a slow twin that cuts cells in four, one after another."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.world.leaves import crowded_level, leaf_codes, leaf_levels, leaf_starts
from tests.reference import slow_morton
from tests.world.reference import slow_leaves

EDGE = ROOT_SIDE_CM - 1
AROUND = st.sampled_from([0, 50, 3_200, 51_200, 3_276_800, EDGE])
FURTHER = st.one_of(st.integers(-60, 60), st.integers(-2_000, 2_000), st.integers(-100_000, 100_000))
COORDINATE = st.builds(lambda a, b: min(max(a + b, 0), EDGE), AROUND, FURTHER)
PEOPLE = st.lists(
    st.one_of(
        st.tuples(COORDINATE, COORDINATE, st.just(1)), st.tuples(COORDINATE, COORDINATE, st.integers(1, 40))
    ),
    min_size=1,
    max_size=12,
).map(lambda groups: [(east, north) for east, north, times in groups for _ in range(times)])


@given(PEOPLE)
def test_everybody_is_in_exactly_one_leaf_and_it_is_the_widest_that_may_be(
    people: list[tuple[int, int]],
) -> None:
    places = np.array(people, np.int32)
    codes = leaf_codes(places[:, 0], places[:, 1])
    assert codes.tolist() == [slow_morton(e // 50, n // 50, 17) for e, n in people]
    order = codes.argsort(kind="stable")
    codes = codes[order]
    levels = leaf_levels(codes)
    starts = leaf_starts(codes, levels)
    cut = np.split(order, starts[1:])
    assert sorted(row for leaf in cut for row in leaf.tolist()) == list(range(len(people)))
    got = {}
    for begin, leaf in zip(starts.tolist(), cut, strict=True):
        level, side = int(levels[begin]), ROOT_SIDE_CM >> int(levels[begin])
        east, north = people[leaf[0]]
        got[level, east // side, north // side] = set(leaf.tolist())
    assert got == slow_leaves(dict(enumerate(people)))


@given(PEOPLE, st.integers(1, 70))
def test_the_smallest_cell_with_so_many(people: list[tuple[int, int]], rows: int) -> None:
    codes = np.sort(leaf_codes(*np.array(people, np.int32).T))
    for code, level in zip(codes.tolist(), crowded_level(codes, rows).tolist(), strict=True):
        held = [sum(other >> 2 * d == code >> 2 * d for other in codes.tolist()) for d in range(17, -1, -1)]
        assert level == max((at for at, count in enumerate(held) if count >= rows), default=-1)
