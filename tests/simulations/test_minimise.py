"""Fewer and fewer faults: the few that are needed are found, in lists of numbers and for a planted bug."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from simulations.cluster import CityOptions
from simulations.minimise import least
from simulations.seeds import Order, minimise
from tests.simulations.test_bugs import LEASES, act_without_a_lease

if TYPE_CHECKING:
    import pytest

SMALL = CityOptions(people=8, second_devices=0, spares=0)


@given(st.integers(0, 60), st.data())
def test_exactly_what_is_needed_is_left(size: int, data: st.DataObject) -> None:
    needed = data.draw(st.sets(st.integers(0, max(0, size - 1)), max_size=min(size, 5)))

    def first_red(tries: list[list[int]]) -> int | None:
        return next((place for place, some in enumerate(tries) if needed <= {*some}), None)

    assert least(range(size), first_red) == sorted(needed)


def test_of_two_ways_to_go_wrong_one_is_left() -> None:
    def first_red(tries: list[list[int]]) -> int | None:
        return next((place for place, some in enumerate(tries) if {3, 9} <= {*some} or 30 in some), None)

    assert least(range(40), first_red) in ([3, 9], [30])


def test_a_planted_bug_comes_down_to_the_fault_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    act_without_a_lease(monkeypatch)
    found = None
    for seed in range(1, 13):
        order = Order(seed, 1.0, LEASES, SMALL)
        found = next(iter(order.city().run(to_first=True).violations), None)
        if found is not None:
            break
    assert found is not None
    rounds: list[tuple[int, int]] = []
    red = minimise(order, found.time_s, found.rule, 1, lambda left, runs: rounds.append((left, runs)))
    few = red.order.only
    assert few is not None
    assert 1 <= len(few) <= 3 < len(order.city().ordeal.plan)
    assert {fault.kind for fault in few} & {"pause", "store-cut"}
    assert red.runs == rounds[-1][1]
    again = red.order.city().run(to_first=True)
    assert found.rule in {violation.rule for violation in again.violations}
    assert any("! " in line for line in again.violations[0].story)
