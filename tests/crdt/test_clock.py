"""Hybrid logical clocks, their bounded skew, and causal contexts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crdt import CausalContext, Dot, HybridClock, Replica, Stamp, admissible
from p2pworld.crdt.plain import COUNT_MAX
from p2pworld.errors import LocalError

A, B = Replica(b"a" * 32, 1), Replica(b"b" * 32, 1)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 50), st.integers(0, 50), st.integers(0, 5))))
def test_every_stamp_is_larger_than_all_given_and_observed(
    story: list[tuple[bool, int, int, int]],
) -> None:
    clock, largest = HybridClock(A), Stamp(0, 0, A)
    for ticks, now_ms, ms, logical in story:
        if ticks:
            stamp = clock.tick(now_ms)
            assert stamp > largest
            assert stamp.ms >= now_ms
        else:
            stamp = Stamp(ms, logical, B)
            clock.observe(stamp, now_ms)
        largest = max(largest, stamp)


def test_a_stamp_keeps_to_the_wall_clock_and_no_further() -> None:
    clock = HybridClock(A)
    assert clock.tick(100) == Stamp(100, 0, A)
    assert clock.tick(100) == Stamp(100, 1, A)
    assert clock.tick(40) == Stamp(100, 2, A), "the wall clock went back"
    clock.observe(Stamp(150, 7, B), 120)
    assert clock.tick(130) == Stamp(150, 8, A)
    assert clock.tick(151) == Stamp(151, 0, A)


def test_a_stamp_too_far_ahead_is_not_admissible() -> None:
    assert admissible(Stamp(1_500, 0, A), 1_000, 500)
    assert not admissible(Stamp(1_501, 0, A), 1_000, 500)
    assert admissible(Stamp(0, 0, A), 1 << 50, 0)


@given(st.permutations([Dot(r, n) for r in (A, B) for n in range(1, 9)]), st.integers(0, 16))
def test_a_context_is_its_set_of_dots_in_a_normal_form(dots: list[Dot], half: int) -> None:
    left, right = CausalContext(dots[:half]), CausalContext(dots[half:])
    assert set(left) == set(dots[:half])
    assert len(left) == half
    assert all((dot in left) == (dot in dots[:half]) for dot in dots)
    whole = left.merge(right)
    assert whole == CausalContext(sorted(dots))
    assert whole.entries == 2, "without gaps there is one entry for each replica"
    assert whole.next(A) == Dot(A, 9)


def test_a_dot_is_not_given_twice_even_beyond_a_gap() -> None:
    assert CausalContext([Dot(A, 1), Dot(A, 5)]).next(A) == Dot(A, 6)
    assert CausalContext().next(A) == Dot(A, 1)
    worn = CausalContext.from_plain([[A.node, A.number, COUNT_MAX, []]])
    with pytest.raises(LocalError, match="new incarnation"):
        worn.next(A)
