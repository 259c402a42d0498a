"""Pacing: who is asked to send later or earlier, and how often."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.limits import PACE_EVERY_S, PACE_LEAD_MS, PACE_PER_TICK, PACE_WINDOW_MS
from p2pworld.world.pace import Pacer

TICK_S = 1_000.0


def arrivals(pacer: Pacer, early_ms: dict[int, float], tick_s: float = TICK_S) -> None:
    for conn, early in early_ms.items():
        pacer.arrived(np.array([conn], np.int32), tick_s - early / 1000)


def opened(conns: range) -> Pacer:
    pacer = Pacer()
    for conn in conns:
        pacer.opened(conn, TICK_S - PACE_EVERY_S - 1)
    return pacer


def test_those_outside_of_the_window_are_moved_to_its_middle() -> None:
    pacer = opened(range(4))
    arrivals(pacer, {0: 80, 1: 20, 2: 1, 3: 34})
    assert dict(pacer.shifts(TICK_S, 100)) == {
        0: 80 - PACE_LEAD_MS,
        2: 1 - PACE_LEAD_MS,
        3: 34 - PACE_LEAD_MS,
    }


def test_nobody_is_asked_again_before_the_interval_is_over() -> None:
    pacer = opened(range(1))
    arrivals(pacer, {0: 80})
    assert pacer.shifts(TICK_S, 100)
    for later_s in (0.1, PACE_EVERY_S - 0.1):
        arrivals(pacer, {0: 80}, TICK_S + later_s)
        assert pacer.shifts(TICK_S + later_s, 100) == []
    arrivals(pacer, {0: 80}, TICK_S + PACE_EVERY_S)
    assert pacer.shifts(TICK_S + PACE_EVERY_S, 100)


def test_the_silent_and_the_new_are_left_alone() -> None:
    pacer = opened(range(3))
    arrivals(pacer, {0: 80, 1: 900, 2: 80})
    pacer.opened(0, TICK_S - 0.05)
    assert [conn for conn, _ in pacer.shifts(TICK_S, 100)] == [2]


def test_after_a_change_of_the_tick_all_may_be_asked_at_once() -> None:
    pacer = opened(range(1))
    arrivals(pacer, {0: 80})
    assert pacer.shifts(TICK_S, 100)
    arrivals(pacer, {0: 80}, TICK_S + 0.2)
    assert not pacer.shifts(TICK_S + 0.2, 200)
    pacer.tick_changed(TICK_S + 0.2)
    assert dict(pacer.shifts(TICK_S + 0.2, 200)) == {0: 80 - PACE_LEAD_MS}


def test_a_tick_asks_a_bounded_number() -> None:
    pacer = opened(range(3 * PACE_PER_TICK))
    arrivals(pacer, dict.fromkeys(range(3 * PACE_PER_TICK), 80.0))
    rounds = [len(pacer.shifts(TICK_S + i / 1000, 100)) for i in range(4)]
    assert rounds == [PACE_PER_TICK] * 3 + [0]


def test_one_whom_it_does_not_help_is_asked_ever_more_seldom_until_it_does() -> None:
    pacer = opened(range(1))
    asked_s = []
    for tick in range(3_000):
        at_s = TICK_S + tick / 10
        arrivals(pacer, {0: 80}, at_s)
        if pacer.shifts(at_s, 100):
            asked_s.append(tick / 10)
    assert np.diff(asked_s).round(1).tolist() == [5, 10, 20, 40, 80, 80]
    at_s = TICK_S + 400
    arrivals(pacer, {0: 20}, at_s)
    assert pacer.shifts(at_s, 100) == []
    gaps = []
    for tick in range(1, 200):
        at_s = TICK_S + 400 + tick / 10
        arrivals(pacer, {0: 80}, at_s)
        if pacer.shifts(at_s, 100):
            gaps.append(tick / 10)
    assert gaps == [5.0, 10.0]


@given(st.floats(0, 99.9), st.lists(st.floats(0, 10), min_size=40, max_size=40))
def test_whoever_obeys_is_in_step_after_being_asked_at_most_twice(
    phase_ms: float, late_ms: list[float]
) -> None:
    """A client that sends each second, whose poses come up to a drain (10 ms) late, and that shifts as it is told."""
    pacer = opened(range(1))
    asked = 0
    next_ms = phase_ms
    for tick in range(400):
        while next_ms + late_ms[tick // 10] < 100 * tick:
            came_s = TICK_S + (next_ms + late_ms[tick // 10]) / 1000
            pacer.arrived(np.array([0], np.int32), came_s)
            next_ms += 1_000
        for _, shift_ms in pacer.shifts(TICK_S + tick / 10, 100):
            next_ms += shift_ms
            asked += 1
    assert asked <= 2
    assert 100 - (next_ms + max(late_ms)) % 100 >= 0
    low_ms, high_ms = PACE_WINDOW_MS
    for late in late_ms:
        assert low_ms - 10 <= 100 - (next_ms + late) % 100 <= high_ms + 10
