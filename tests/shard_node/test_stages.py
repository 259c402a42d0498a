"""Stages and lateness: every second of work belongs to one stage, every wake-up to one bucket."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shard_node.stages import LATE_S, Histogram, Stages


class Work:
    """A clock that goes on by what is said to have been worked."""

    def __init__(self) -> None:
        self.cpu_s = 100.0

    def __call__(self) -> float:
        return self.cpu_s


def test_a_stage_within_a_stage_has_its_own_time() -> None:
    work = Work()
    stages = Stages(work)
    work.cpu_s += 1
    with stages.timed("tick"):
        work.cpu_s += 2
        with stages.timed("interest"):
            work.cpu_s += 4
        work.cpu_s += 8
    work.cpu_s += 16
    with stages.timed("tick"):
        work.cpu_s += 32
    assert stages.spent_s() == {"interest": 4, "rest": 17, "tick": 42}


def test_a_stage_ends_with_the_error_that_left_it() -> None:
    work = Work()
    stages = Stages(work)
    try:
        with stages.timed("send"):
            work.cpu_s += 1
            raise BlockingIOError
    except BlockingIOError:
        work.cpu_s += 2
    assert stages.spent_s() == {"rest": 2, "send": 1}


@given(st.lists(st.floats(0, 5), max_size=30))
def test_each_wake_up_is_in_the_first_bucket_that_holds_it(late_s: list[float]) -> None:
    late = Histogram()
    for each_s in late_s:
        late.took(each_s)
    for i, bound_s in enumerate(LATE_S):
        assert sum(late.counts[: i + 1]) == sum(each_s <= bound_s for each_s in late_s)
    assert sum(late.counts) == len(late_s)
    rising = [count for _, count in late.buckets()]
    assert rising == sorted(rising)
    assert late.buckets()[-1] == ("+Inf", len(late_s))
