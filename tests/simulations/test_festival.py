"""The festival demo: what it promises and declares, how it deals the ground; and one small evening of processes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from p2pworld.geometry import Cell
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.balance import BalanceOptions
from p2pworld.world.programme import Bell, Tell, next_run
from shard_node.declared import read
from simulations.festival_demo import (
    BELL,
    CHECKED,
    SHOWN,
    STROKES,
    Evening,
    Seen,
    balance_of,
    dealt,
    declare,
    failures,
    on_square,
    summary,
)
from simulations.festival_people import Out
from simulations.processes import python_environment

if TYPE_CHECKING:
    from pathlib import Path

GOOD = Seen(
    nodes=4,
    people_most=600,
    square_most=600,
    regions_before=91,
    regions_most=94,
    carriers_most=3,
    cut_s=5.0,
    killed="node-2",
    out=150,
    back_s=10.0,
    strokes=STROKES,
    lanterns=1,
    handoffs=700,
    merged_s=40.0,
)
NOON_S = 1_795_748_400.25
EVENING_S = 150.0


def test_an_evening_of_which_all_was_seen_passes() -> None:
    assert failures(GOOD) == []
    assert all("None" not in line for line in summary(GOOD))


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"regions_most": 93}, "cut"),
        ({"carriers_most": 2}, "carried"),
        ({"out": 0}, "carried nobody"),
        ({"back_s": 10.1}, "only after"),
        ({"back_s": None}, "never"),
        ({"lost": 1}, "lost"),
        ({"doubled": 1}, "doubled"),
        ({"strokes": STROKES - 1}, "strokes"),
        ({"strokes": STROKES + 1}, "strokes"),
        ({"lanterns": 0}, "lantern"),
        ({"merged_s": None}, "together"),
    ],
)
def test_each_promise_is_checked(change: dict[str, object], word: str) -> None:
    (sentence,) = failures(replace(GOOD, **change))  # type: ignore[arg-type]
    assert word in sentence


def test_two_nodes_owe_no_third() -> None:
    assert failures(replace(GOOD, nodes=2, carriers_most=2)) == []


@pytest.mark.parametrize("evening", [SHOWN, CHECKED])
def test_the_bell_is_declared_for_its_hour(evening: Evening, tmp_path: Path) -> None:
    bell_s = declare(tmp_path, evening, NOON_S)
    assert 0 <= bell_s - NOON_S - evening.bell_s < 1
    (programme,) = [one for one in read(tmp_path).programmes if one.id == "festival"]
    begin_ms = next_run(programme, round(NOON_S * 1000))
    assert begin_ms is not None
    strokes = [begin_ms / 1000 + at_s for at_s, op in programme.timeline if isinstance(op, Bell)]
    assert strokes == pytest.approx([bell_s + n * evening.every_s for n in range(STROKES)])
    assert sum(isinstance(op, Tell) for _, op in programme.timeline) > 3
    assert programme.rehearsal == ()


@pytest.mark.parametrize("side_m", [64, 128])
def test_all_of_the_square_is_one_node_s_and_no_ground_is_dealt_twice(side_m: int) -> None:
    regions = dealt(4, side_m)
    cells = [cell for mine in regions for cell in mine]
    assert len(set(cells)) == len(cells)
    square = [cell for cell in cells if on_square(cell)]
    assert Cell.at(*landmark(BELL[0]).position_cm, square[0].level) in square
    assert set(square) <= set(regions[1])


@pytest.mark.parametrize("bots", [5, 60, 600])
def test_what_is_cut_is_not_merged_at_once(bots: int) -> None:
    easy, calm = (int(line.split()[-1]) for line in balance_of(bots).splitlines()[1:])
    assert 4 * calm <= easy
    assert bots > max(easy, BalanceOptions().heavy * bots / 2)  # one node with everybody is relieved


def test_how_many_were_out_and_until_when() -> None:
    out = Out(10)
    out.look(9, 1.0)  # before the kill: somebody between two nodes
    out.killed(2.0)
    out.look(10, 2.1)  # nobody has noticed yet
    assert (out.most, out.back_s) == (0, None)
    out.look(6, 2.2)
    out.look(9, 3.0)
    out.look(10, 3.5)
    out.look(9, 9.0)  # that is another matter
    assert (out.most, out.back_s) == (4, 1.5)


@pytest.mark.skipif(sys.platform != "linux", reason="the bots are driven by epoll")
def test_a_small_evening_at_the_bell(tmp_path: Path) -> None:
    """About 80 s: nothing shorter shows a real split, a kill, the bell and the merger, in this order."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "simulations.demo", "--festival", "--check"),
            *("--nodes", "3", "--bots", "40", "--cell", "64", "--folder", str(tmp_path)),
        ],
        capture_output=True,
        text=True,
        env=python_environment(),
        timeout=4 * EVENING_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert "demo: all holds" in done.stdout
