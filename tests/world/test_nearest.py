"""The nearest to many boxes, against sorting everybody for each, whatever the guess of the reach."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import AVATARS_MAX, VIEW_CM
from p2pworld.world import nearest as module
from p2pworld.world.nearest import Places
from tests.world.reference import slow_gap, slow_how_far

EDGE = ROOT_SIDE_CM - 1


def check(
    places: np.ndarray, boxes: list[tuple[int, int, int, int]], wanted: list[int], reach: list[float]
) -> None:
    columns = np.array(boxes, np.int32).T
    box = columns[0], columns[1], columns[2], columns[3]
    east, north = places[:, 0].astype(np.int32), places[:, 1].astype(np.int32)
    near = Places(east, north).nearest(box, np.array(wanted), np.array(reach, np.float64))
    counts, numbers, far_cm = near.counts, near.numbers(), near.distances(np.array(wanted) - 1)
    for at, around in enumerate(boxes):
        far = [(slow_how_far(around, e, n), number) for number, (e, n) in enumerate(places.tolist())]
        gaps = [slow_gap(around, e, n) for e, n in places.tolist()]
        inside = sorted(one for one, gap in zip(far, gaps, strict=True) if gap < VIEW_CM)
        some = numbers[at, : counts[at]].tolist()
        assert some == [number for _, number in inside[: wanted[at]]]
        if len(some) < wanted[at]:
            assert far_cm[at] == VIEW_CM
        else:
            assert gaps[some[-1]] == pytest.approx(far_cm[at], rel=1e-3, abs=1e-3)


@st.composite
def crowds(draw: st.DrawFn) -> tuple[np.ndarray, list[tuple[int, int, int, int]], list[int], list[float]]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    middle = draw(st.sampled_from([0, 3_276_800, EDGE]))
    spread = draw(st.sampled_from([0, 60, 700, 6_000, 60_000, 3_000_000]))
    people = draw(st.integers(1, 400))
    places = np.clip(middle + rng.normal(0, spread, (people, 2)), 0, EDGE).astype(np.int64)
    some = places[rng.integers(0, people, (draw(st.integers(1, 60)), 2))]
    boxes = []
    for one, other in some.tolist():
        wide, high = (min(abs(other[i] - one[i]), 51_199) for i in (0, 1))
        boxes.append((one[0], one[1], min(one[0] + wide, EDGE), min(one[1] + high, EDGE)))
    wanted = rng.integers(1, 210, len(boxes)).tolist()
    reach = (10.0 ** rng.uniform(-1, 6, len(boxes))).tolist()
    return places, boxes, wanted, reach


@settings(max_examples=60)
@given(crowds(), st.booleans())
def test_the_nearest_are_found_whatever_the_guess(
    crowd: tuple[np.ndarray, list[tuple[int, int, int, int]], list[int], list[float]], directly: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if not directly:
            patch.setattr(module, "_DIRECT", 0)
        patch.setattr(module, "_CHUNK", 1 << 9)
        check(*crowd)


def test_as_many_as_a_node_holds() -> None:
    rng = np.random.default_rng(3)
    places = rng.integers(3_000_000, 3_004_000, (AVATARS_MAX, 2))
    boxes = [(e, n, e + 100, n + 50) for e, n in places[:5].tolist()]
    check(places, boxes, [208] * 5, [1.0, 50.0, 500.0, 5_000.0, 50_000.0])
