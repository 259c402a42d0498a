"""Deadlines that move, and rounds in which everybody's turn comes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from p2pworld.world.timers import Deadlines, Round


@given(st.lists(st.tuples(st.integers(0, 5), st.none() | st.integers(1, 50))))
def test_a_deadline_comes_once_at_the_time_it_was_last_armed_for(arms: list[tuple[int, int | None]]) -> None:
    deadlines: Deadlines[int] = Deadlines()
    armed: dict[int, int | None] = {}
    for key, at_s in arms:
        deadlines.arm(key, at_s)
        armed[key] = at_s
    wanted = {key: at_s for key, at_s in armed.items() if at_s is not None}
    assert all((key in deadlines) == (key in wanted) for key in range(6))
    came = {key: now_s for now_s in range(60) for key in deadlines.due(now_s)}
    assert came == wanted


def test_a_deadline_armed_while_others_come_waits_for_its_own_time() -> None:
    deadlines: Deadlines[int] = Deadlines()
    deadlines.arm(1, 1.0)
    deadlines.arm(2, 1.0)
    came = []
    for key in deadlines.due(1.0):
        came.append(key)
        deadlines.arm(key, 2.0)
    assert came == [1, 2]
    assert list(deadlines.due(1.9)) == []
    assert list(deadlines.due(2.0)) == [1, 2]


def test_everybodys_turn_comes_once_a_round() -> None:
    ring = Round(5.0)
    for avatar in range(100):
        ring.join(avatar)
    turns: Counter[int] = Counter()
    for _ in range(100):  # two rounds of tenths of a second
        for avatar in ring.turns(0.1):
            turns[avatar] += 1
            ring.join(avatar)
    assert set(turns) == set(range(100))
    assert set(turns.values()) <= {1, 2, 3}


def test_who_does_not_join_again_is_out() -> None:
    ring = Round(1.0)
    ring.join(7)
    assert ring.turns(1.0) == [7]
    assert ring.turns(10.0) == []
    assert list(ring) == []
