"""The demo's verdict, and how ground is dealt to its nodes."""

from __future__ import annotations

from typing import Any

import pytest

from client.walk import places_around
from p2pworld.geometry import Cell
from simulations.demo import failures
from simulations.processes import checkerboard, free_ports

GOOD: dict[str, Any] = {
    "handoffs_between_processes": 300,
    "avatars_lost": 0,
    "avatars_twinned": 0,
    "handoff_extra_ms": {"p50": 50.0, "p99": 200.0},
    "seconds": 60.0,
}


def test_a_good_run_passes() -> None:
    assert failures(GOOD, 300, 60) == []


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"handoffs_between_processes": 299}, "handoffs between processes"),
        ({"avatars_lost": 1}, "lost"),
        ({"avatars_twinned": 1}, "doubled"),
        ({"handoff_extra_ms": {"p50": 50.1, "p99": 60.0}}, "half"),
        ({"handoff_extra_ms": {"p50": 1.0, "p99": 200.1}}, "hundred"),
        ({"seconds": 30.0}, "ended after"),
    ],
)
def test_each_promise_is_checked(change: dict[str, Any], word: str) -> None:
    (sentence,) = failures(GOOD | change, 300, 60)
    assert word in sentence


def test_fewer_bots_and_shorter_runs_owe_fewer_handoffs() -> None:
    assert failures(GOOD | {"handoffs_between_processes": 50, "seconds": 30.0}, 100, 30) == []
    assert failures(GOOD | {"handoffs_between_processes": 49, "seconds": 30.0}, 100, 30) != []


@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("side_m", [128, 256])
def test_ground_is_dealt_whole_and_neighbours_by_a_side_differ(nodes: int, side_m: int) -> None:
    places = places_around()
    dealt = checkerboard(places, side_m, nodes)
    owner = {cell: number for number, cells in enumerate(dealt) for cell in cells}
    assert len(owner) == sum(len(cells) for cells in dealt)
    assert all(cell.side_cm == side_m * 100 for cell in owner)
    assert all(Cell.at(*place.position_cm, next(iter(owner)).level) in owner for place in places)
    assert all(dealt)
    if nodes > 1:
        for cell, number in owner.items():
            beside = (n for n in cell.neighbours() if (n.column == cell.column) != (n.row == cell.row))
            assert all(owner.get(n) != number for n in beside)


def test_a_side_that_no_cell_has_is_refused() -> None:
    with pytest.raises(ValueError, match="side"):
        checkerboard(places_around(), 100, 2)


def test_free_ports_are_different() -> None:
    ports = free_ports(12)
    assert len(set(ports)) == 12
