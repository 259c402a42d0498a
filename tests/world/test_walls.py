"""Walls: the fast test of steps against its slow twin, and what nobody can do to a closed ring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import LocalError
from p2pworld.world.walls import NO_WALLS, SQUARE_CM, Segment, Walls

Point = tuple[int, int]
Step = tuple[int, int, int, int]


def side(a: Point, b: Point, p: Point) -> int:
    """Twice the signed area of the triangle: positive if p is on the left of a to b."""
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def crosses(step: Step, segment: Segment, whole: bool) -> bool:
    """The slow twin: one step, one segment, whole numbers."""
    old, new, a, b = step[:2], step[2:], segment[:2], segment[2:]
    was, now = side(a, b, old) >= 0, side(a, b, new) >= 0
    if was == now or not (now or whole):
        return False
    one, other = side(old, new, a), side(old, new, b)
    return not ((one > 0 and other > 0) or (one < 0 and other < 0))


def blocked(walls: Walls, *steps: Step) -> list[bool]:
    rows = np.array(steps, np.int32).reshape(-1, 4)
    found: list[bool] = walls.blocked(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3]).tolist()
    return found


def ring(points: list[Point]) -> list[Segment]:
    return [(*a, *b) for a, b in zip(points, [*points[1:], points[0]], strict=True)]


NEAR = st.integers(0, 12)  # so few that ends, touches and lines that fall together are common
FAR = st.integers(0, 5 * SQUARE_CM)
ANY = NEAR | FAR


def quads(number: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[int, int, int, int]]:
    return st.tuples(number, number, number, number)


def segments(number: st.SearchStrategy[int]) -> st.SearchStrategy[Segment]:
    return quads(number).filter(lambda s: s[:2] != s[2:])


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from((NEAR, ANY)).flatmap(
        lambda number: st.tuples(
            st.lists(segments(number), max_size=4),
            st.lists(segments(number), max_size=4),
            st.lists(quads(number), min_size=1, max_size=12),
        )
    )
)
def test_it_is_its_slow_twin(case: tuple[list[Segment], list[Segment], list[Step]]) -> None:
    whole, solid, steps = case
    slow = [
        any(crosses(step, segment, True) for segment in whole)
        or any(crosses(step, segment, False) for segment in solid)
        for step in steps
    ]
    assert blocked(Walls(whole, solid), *steps) == slow


def touch(step: Step, segment: Segment) -> bool:
    """Whether two closed segments have a point in common, found another way: by their parameters, in fractions."""
    (px, py, qx, qy), (ax, ay, bx, by) = step, segment
    if max(px, qx) < min(ax, bx) or max(ax, bx) < min(px, qx):
        return False
    if max(py, qy) < min(ay, by) or max(ay, by) < min(py, qy):
        return False
    one, other = side((px, py), (qx, qy), (ax, ay)), side((px, py), (qx, qy), (bx, by))
    three, four = side((ax, ay), (bx, by), (px, py)), side((ax, ay), (bx, by), (qx, qy))
    return min(one, other) <= 0 <= max(one, other) and min(three, four) <= 0 <= max(three, four)


@settings(max_examples=300, deadline=None)
@given(segments(NEAR), quads(NEAR))
def test_a_step_that_touches_nothing_is_never_blocked(wall: Segment, step: Step) -> None:
    if blocked(Walls([wall]), step)[0] or blocked(Walls((), [wall]), step)[0]:
        assert touch(step, wall)


def inside(points: list[Point], p: Point) -> bool:
    """Even-odd, for a point that is on no side."""
    odd = False
    for (ax, ay), (bx, by) in zip(points, [*points[1:], points[0]], strict=True):
        if (ay > p[1]) != (by > p[1]):
            above = (bx - ax) * (p[1] - ay) - (p[0] - ax) * (by - ay)
            odd ^= (above > 0) == (by > ay)
    return odd


# a bent ring with corners both ways, drawn in steps of centimetres so that walkers often stand on it exactly
RING: list[Point] = [(0, 0), (20, 0), (20, 14), (13, 14), (13, 7), (7, 7), (7, 16), (0, 14)]
MOVES = st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=60)


def on_ring(p: Point) -> bool:
    return any(touch((*p, *p), segment) for segment in ring(RING))


@settings(max_examples=400, deadline=None)
@given(st.tuples(st.integers(-6, 26), st.integers(-6, 22)), MOVES, st.booleans())
def test_nobody_comes_through_a_closed_ring(start: Point, moves: list[Point], clockwise: bool) -> None:
    """Whoever walks, also along it and onto it, stays on the side where they first stood clear of it."""
    points = RING[::-1] if clockwise else RING
    walls = Walls([*ring(points)])
    at, where = start, None
    for east, north in moves:
        to = (at[0] + east, at[1] + north)
        if not blocked(walls, (*at, *to))[0]:
            at = to
        if not on_ring(at):
            now = inside(RING, at)
            assert where in (None, now)
            where = now


@settings(max_examples=300, deadline=None)
@given(st.tuples(st.integers(-6, 26), st.integers(-6, 22)), MOVES)
def test_nobody_enters_what_is_solid_and_everybody_may_leave_it(start: Point, moves: list[Point]) -> None:
    walls = Walls((), ring(RING))
    at, been_out = start, False
    for east, north in moves:
        to = (at[0] + east, at[1] + north)
        if not blocked(walls, (*at, *to))[0]:
            at = to
        if not on_ring(at):
            been_out = been_out or not inside(RING, at)
            assert not (been_out and inside(RING, at))
    assert not blocked(walls, (3, 3, -40, 3))[0]


def test_walking_along_is_free_and_standing_still_too() -> None:
    walls = Walls([(0, 0, 1000, 0)])
    assert blocked(walls, (10, 0, 900, 0), (10, 0, 10, 0), (10, 5, 900, 1)) == [False, False, False]
    assert blocked(walls, (10, 5, 10, -5), (10, -5, 10, 0), (10, 0, 10, -1)) == [True, True, True]
    assert blocked(walls, (10, 5, 10, 0), (-1, 5, -1, -5), (1000, 9, 1000, -9)) == [False, False, True]


def test_a_step_over_many_squares_and_none() -> None:
    far = 6_000_000
    walls = Walls([(far, far, far + 10, far + 10)], [(0, 100, 50, 100)])
    assert blocked(walls, (far + 9, far, far, far + 10), (0, 0, 6_553_599, 6_553_599)) == [True, False]
    assert blocked(walls, (0, far, 6_553_599, far + 5)) == [True]
    assert blocked(walls) == []
    assert blocked(NO_WALLS, (0, 0, 6_553_599, 6_553_599)) == [False]


def test_a_segment_without_length_is_our_own_mistake() -> None:
    with pytest.raises(LocalError, match="begins where it ends"):
        Walls([(5, 5, 5, 5)])
