"""What watchers of a crowd measure, on tables where the truth is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.wire.frames import encode_poses
from simulations.bench.crowd.table import SLOTS, YAW_STEP, SentTable
from simulations.bench.crowd.watch import LOOK_EVERY, Watch, spread

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

START_S = 1_000.0
EAST, NORTH = 3_000_000, 3_000_000


def nowhere(east_cm: NDArray[np.int32], north_cm: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.full(len(east_cm), ROOT_SIDE_CM, np.int32)


class Square:
    """Bots on a line, a metre apart, who have been in for a minute; bot 0 watches."""

    def __init__(self, path: Path, bots: int, moving: bool = True, scale: float = 1.0) -> None:
        self.table = SentTable(path, bots)
        self.table.ids[:] = np.arange(bots, 0, -1)
        self.table.present[:] = True
        self.table.moving[:] = moving
        self.table.since_s[:] = START_S - 60
        self.east = EAST + 100 * np.arange(bots, dtype=np.int32)
        self.north = np.full(bots, NORTH, np.int32)
        self.yaw = np.zeros(bots, np.uint8)
        self.watch = Watch(self.table, np.array([0]), nowhere, scale)
        self.t_ms = 0

    def send(self, now_s: float, bots: list[int] | None = None) -> None:
        who = np.arange(self.table.bots) if bots is None else np.array(bots)
        self.yaw[who] = self.table.write(who, self.east[who], self.north[who], now_s)

    def show(self, now_s: float, bots: list[int] | None = None) -> None:
        """A frame with the latest of these bots."""
        self.t_ms += 100
        who = np.arange(self.table.bots) if bots is None else np.array(bots)
        zeros = np.zeros(len(who), np.int64)
        frame = encode_poses(
            0, self.t_ms, self.table.ids[who], self.table.east_cm[who], self.table.north_cm[who],
            zeros, self.yaw[who], zeros,
        )  # fmt: skip
        self.watch.frame(0, frame, now_s)


def test_a_pose_stands_in_the_slot_that_its_yaw_tells(tmp_path: Path) -> None:
    table = SentTable(tmp_path / "table", 3)
    for number in range(1, 2 * SLOTS):
        yaw = table.write(np.array([2]), np.array([number], np.int32), np.array([7], np.int32), float(number))
        slot = int(yaw[0]) // YAW_STEP
        assert (table.sent_s[2, slot], table.sent_east_cm[2, slot]) == (number, number)
        assert table.east_cm.tolist() == [0, 0, number]


def test_two_processes_see_one_table(tmp_path: Path) -> None:
    ours, theirs = SentTable(tmp_path / "table", 5), SentTable(tmp_path / "table", 5)
    ours.write(np.array([1]), np.array([11], np.int32), np.array([12], np.int32), 1.5)
    assert theirs.sent[1] == 1
    assert theirs.sent_s[1, 1] == 1.5


def test_the_age_of_an_update_is_from_sending_to_receiving(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 40)
    for tick in range(20):
        now_s = START_S + tick / 10
        square.send(now_s)
        square.show(now_s + 0.03)
    figures = square.watch.figures()
    assert figures["update_age_ms"] == {"p50": pytest.approx(30), "p99": pytest.approx(30)}
    assert figures["updates_seen"] == 19 * 40  # nobody stood in the frame before the first
    assert figures["tick_hz"] == 10
    assert figures["nearest32_fresh"] == figures["nearest32_recall"] == 1
    assert figures["nearest32_error_m"] == {"p50": 0, "p99": 0}


def test_a_pose_that_is_shown_again_is_no_update(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 40, moving=False)
    square.send(START_S)
    for tick in range(10):
        square.show(START_S + tick / 10)
    assert square.watch.figures()["updates_seen"] == 0


@pytest.mark.parametrize(("moving", "silent_s", "fresh"), [(True, 0.15, 1), (True, 0.3, 0), (False, 0.3, 1)])
def test_who_moves_has_to_be_known_sooner_than_who_stands(
    tmp_path: Path, moving: bool, silent_s: float, fresh: int
) -> None:
    square = Square(tmp_path / "table", 40, moving)
    square.send(START_S)
    for frame in range(2 * LOOK_EVERY):
        square.show(START_S + 0.01 + frame * silent_s / (2 * LOOK_EVERY))
    square.watch.begin()
    for _ in range(LOOK_EVERY):
        square.show(START_S + silent_s)
    figures = square.watch.figures()
    assert figures["nearest32_fresh"] == fresh
    assert figures["nearest32_recall"] == 1


def test_on_a_slower_clock_everything_may_take_longer(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 40, scale=4)
    for tick in range(2 * LOOK_EVERY):
        square.t_ms += 300  # ticks of 400 ms
        square.send(START_S + tick * 0.4)
        square.show(START_S + tick * 0.4 + 0.1)
    figures = square.watch.figures()
    assert figures["nearest32_fresh"] == 1  # half a second old, of the 800 ms that four times slower allows
    assert figures["update_age_ms"]["p50"] == pytest.approx(25)
    assert figures["tick_hz"] == 10


def test_whoever_is_not_shown_is_not_known_and_others_do_not_count(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 100)
    square.table.present[1:4] = False  # out of the city
    square.table.since_s[4] = START_S  # and this one has only just come in
    shown = [bot for bot in range(100) if bot % 2]
    for tick in range(2 * LOOK_EVERY):
        square.send(START_S + tick / 100)
        square.show(START_S + tick / 100 + 0.001, shown)
    # the 32 nearest of those who count are 5 to 36: half of them are shown
    assert square.watch.figures()["nearest32_recall"] == 0.5


def test_what_nobody_sent_is_counted_and_not_believed(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 40)
    square.send(START_S)
    square.table.sent_east_cm[:] += 3
    square.show(START_S)
    figures = square.watch.figures()
    assert figures["rows_never_sent"] == 40
    square.table.ids[:] += 1_000
    square.show(START_S)
    assert square.watch.figures()["rows_of_strangers"] == 40


def test_figures_are_told_by_the_distance_to_the_border(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 40)
    border = Watch(square.table, np.array([0]), lambda east, north: east - EAST + 2_000)
    square.watch = border
    for tick in range(2 * LOOK_EVERY):
        square.send(START_S + tick / 10)
        square.show(START_S + tick / 10)
    figures = border.figures()
    assert list(figures["by_border_m"]) == ["16"]
    assert figures["by_border_m"]["16"]["nearest32_fresh"] == figures["nearest32_fresh"]


def test_seconds_tell_when_the_frames_stopped(tmp_path: Path) -> None:
    square = Square(tmp_path / "table", 40)
    for tick in (*range(10), *range(20, 40)):
        square.send(START_S + tick / 10)
        square.show(START_S + tick / 10 + 0.05)
    told = square.watch.seconds(START_S)
    assert [one["frames"] for one in told] == [10, 0, 10]


@settings(max_examples=30)
@given(st.lists(st.floats(-1e6, 1e6), max_size=50))
def test_a_spread_lies_among_the_values(values: list[float]) -> None:
    told = spread(values, 0.5, 0.99, 1)
    assert list(told) == ["p50", "p99", "max"]
    if values:
        assert min(values) - 0.1 <= told["p50"] <= told["p99"] + 0.1
        assert told["max"] == round(max(values), 1)
    else:
        assert set(told.values()) == {0}
