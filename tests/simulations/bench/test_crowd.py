"""The parts of the crowd bench, and one small crowd over real processes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import Cell, is_partition
from p2pworld.wire.frames import encode_poses
from shard_node.cli import main
from shard_node.declared import read
from shard_node.websocket import message
from simulations.bench.crowd import ground
from simulations.bench.crowd.job import Job
from simulations.bench.crowd.run import Crowd, jobs, run_crowd
from simulations.bench.crowd.turns import Turns
from simulations.bench.crowd.walk import Walks

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDE_CM_MAX = 20_000  # what the command takes


@pytest.mark.parametrize("nodes", range(1, ground.NODES_MAX + 1))
def test_each_node_holds_the_ground_that_is_said_to_be_its(nodes: int) -> None:
    dealt = ground.dealt(nodes)
    assert is_partition(cell for cells in dealt for cell in cells)
    assert all(dealt)
    east, north = ground.MIDDLE_CM
    rng = np.random.default_rng(nodes)
    for de, dn in rng.integers(-SIDE_CM_MAX // 2, SIDE_CM_MAX // 2, (200, 2)).tolist():
        holder = ground.node_at(nodes, east + de, north + dn)
        assert any(cell.contains_point(east + de, north + dn) for cell in dealt[holder])
    around = {ground.node_at(nodes, east + de, north + dn) for de in (-1, 0) for dn in (-1, 0)}
    assert around == set(range(nodes)), "all of them meet in the middle"


def test_the_border_is_where_the_holder_changes() -> None:
    east, north = (np.array([middle - 300, middle + 700], np.int32) for middle in ground.MIDDLE_CM)
    assert ground.border_cm(2, east, north).tolist() == [300, 700]
    assert ground.border_cm(4, east, north[::-1]).tolist() == [300, 300]
    assert ground.border_cm(1, east, north).min() > 100 * SIDE_CM_MAX
    assert Cell.at(*ground.MIDDLE_CM, 9).bounds_cm()[:2] == ground.MIDDLE_CM


@pytest.mark.parametrize("node", range(4))
def test_a_quarter_is_its_nodes_ground_to_the_border(node: int) -> None:
    west, south, east, north = ground.quarter(10_000, node)
    for place in ((west, south), (east, north)):
        assert ground.node_at(4, *place) == node
    whole = ground.square(10_000)
    assert whole[0] <= west < east <= whole[2]
    assert whole[1] <= south < north <= whole[3]
    around = np.array([west, east], np.int32), np.array([south, north], np.int32)
    assert ground.border_cm(4, *around).min() <= 1


def test_no_wall_stands_in_the_square() -> None:
    walls = read().walls
    assert not ground.walls_near(walls, SIDE_CM_MAX)
    assert ground.walls_near(walls, 4 * SIDE_CM_MAX), "or walls are not seen at all"


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.integers(100, SIDE_CM_MAX), st.floats(0, 1), st.floats(1, 8))
def test_walkers_walk_and_stay_in_their_square(
    seed: int, side_cm: int, standing: float, scale: float
) -> None:
    walks = Walks(50, ground.square(side_cm), standing, scale, np.random.default_rng(seed))
    stood = ~walks.moving
    began = walks.east.copy(), walks.north.copy()
    for bot in range(50):
        walks.place(bot, int(walks.east[bot]), int(walks.north[bot]), 0.0)
    was = walks.east.copy(), walks.north.copy()
    for tick in range(1, 60):
        walks.step(np.arange(50), tick * 0.1 * scale)
        way = np.hypot(walks.east - was[0], walks.north - was[1])
        assert way.max(initial=0) <= 160 * 0.1 + 1e-6, "nobody walks faster than people do"
        assert np.abs(walks.east - ground.MIDDLE_CM[0]).max() <= side_cm / 2 + 1
        assert np.abs(walks.north - ground.MIDDLE_CM[1]).max() <= side_cm / 2 + 1
        was = walks.east.copy(), walks.north.copy()
    assert np.abs(walks.east - began[0])[stood].max(initial=0) <= 1


class Ear:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.bytes: dict[int, int] = {}
        self.acks: dict[int, int] = {}
        self.taken: list[tuple[int, bytes]] = []
        self.ends: list[int] = []

    def heard(
        self, bots: NDArray[np.int64], sizes: NDArray[np.int64], acks: NDArray[np.int64], now_s: float
    ) -> None:
        for bot, size, ack in zip(bots.tolist(), sizes.tolist(), acks.tolist(), strict=True):
            self.bytes[bot] = self.bytes.get(bot, 0) + size
            self.acks[bot] = ack

    def take(self, bot: int, data: bytes, now_s: float) -> None:
        self.taken.append((bot, data))

    def ended(self, bot: int, now_s: float) -> None:
        self.ends.append(bot)


class Wire:
    """A socket that has what was put there."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.reads = 0

    def recv_into(self, row: memoryview) -> int:
        self.reads += 1
        if not self.data:
            raise BlockingIOError
        size = min(len(self.data), len(row))
        row[:size] = self.data[:size]
        del self.data[:size]
        return size


def frame(t_ms: int) -> bytes:
    one = np.ones(1, np.int64)
    return message(encode_poses(0, t_ms, one, one, one, one, one, one))


def test_everybody_is_read_once_a_tick() -> None:
    ear, wires = Ear(), [Wire() for _ in range(700)]
    turns = Turns(700, ear)
    for bot, wire in enumerate(wires):
        turns.add(bot, wire.recv_into)
    turns.read(100.0, 0.1)  # the first call only finds that nobody was read for long
    before = [wire.reads for wire in wires]
    for step in range(1, 21):
        for bot, wire in enumerate(wires):
            wire.data += frame(bot * 64)
        turns.read(100.0 + step * 0.01, 0.1)
    reads = [wire.reads - was for wire, was in zip(wires, before, strict=True)]
    assert {*reads} <= {1, 2, 3}
    assert sum(reads) == pytest.approx(2 * 700, abs=10)
    assert all(ear.acks[bot] == bot & 255 for bot in range(700))
    assert not ear.taken


def test_what_is_cut_or_no_packed_message_goes_the_slow_way_in_order() -> None:
    ear, wire, other = Ear(), Wire(), Wire()
    turns = Turns(2, ear)
    turns.add(0, wire.recv_into)
    turns.add(1, other.recv_into)
    control = message(b"\x4d\x80")
    wire.data += frame(64) + control + frame(128)[:10]
    other.data += frame(64)
    turns.read_these((0, 1), 1.0)
    assert ear.taken == [(0, control + frame(128)[:10])]
    turns.is_cut(0, True)
    wire.data += frame(128)[10:]
    turns.read_these((0, 1), 1.0)
    assert ear.taken[1:] == [(0, frame(128)[10:])]
    turns.is_cut(0, False)
    wire.data += frame(192)
    turns.read_these((0, 1), 1.0)
    assert len(ear.taken) == 2
    assert ear.bytes == {0: 3 * len(frame(0)) + len(control), 1: len(frame(0))}
    turns.remove(0)
    wire.data += frame(256)
    assert turns.read_these((0, 1), 1.0) == 0


def test_the_end_of_a_socket_is_told() -> None:
    ear = Ear()
    turns = Turns(1, ear)
    turns.add(0, lambda row: 0)
    turns.read_these((0,), 1.0)
    assert ear.ends == [0]


@given(
    st.integers(1, 3_000),
    st.integers(1, 300),
    st.integers(1, 4),
    st.floats(0, 0.1),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(0, 50),
)
def test_every_bot_is_one_process_row(
    avatars: int, watchers: int, parties: int, churn: float, never_read: int, surge: int, linked: int
) -> None:
    crowd = Crowd(
        avatars,
        1.0,
        watchers=watchers,
        bot_processes=parties,
        churn=churn,
        never_read=never_read,
        surge=surge,
        linked=linked,
    )
    made = jobs(crowd, ["ws://127.0.0.1:1/play"], Path("."))
    rows = [row for job in made for row in range(job.first, job.first + job.count)]
    assert rows == list(range(made[0].bots))
    assert sum(job.members for job in made if not job.guests and job.node < 0) == avatars
    assert sum(job.members for job in made if job.node >= 0) == 3 * -(-linked // 3)
    assert sum(job.members for job in made if job.guests) == never_read + surge
    assert [job.party for job in made] == list(range(len(made)))
    assert [job.watching for job in made] == [True] + [False] * (len(made) - 1)


def test_a_job_is_read_as_it_was_written(tmp_path: Path) -> None:
    (job,) = jobs(Crowd(5, 1.0), ["ws://127.0.0.1:1/play", "ws://127.0.0.1:2/play"], tmp_path)
    job.write(tmp_path / "job")
    assert Job.read(tmp_path / "job") == job


def test_a_small_crowd_over_two_processes_is_measured(tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    done = CliRunner().invoke(
        main,
        [
            *("bench", "crowd", "--avatars", "24", "--seconds", "1", "--processes", "2", "--standing", "0.5"),
            *("--watchers", "8", "--never-read", "2", "--churn", "0.05", "--tls", "--json", str(told)),
        ],
    )
    assert done.exit_code == 0, done.output
    figures = json.loads(told.read_text(encoding="utf-8"))
    assert figures["lost"] == 0
    assert figures["avatars"] == 24
    assert figures["bots"]["logins"] >= 26
    assert figures["rows_of_strangers"] == 0
    assert figures["bytes_down_per_client_s"]["p50"] > 0
    assert figures["poses_in"] > 0
    assert figures["nearest32_recall"] > 0.5
    assert figures["looks"] > 0
    ended = figures["bots"].get("reset", 0) + figures["bots"].get("closed_reset", 0)
    assert figures["never_read"]["heard_again"] + ended >= 2
    assert len(figures["result_hash"]) == 64


def test_people_within_other_nodes_are_seen_over_the_border(tmp_path: Path) -> None:
    crowd = Crowd(4, 1.0, side_m=20.0, processes=4, watchers=4, churn=0.0, linked=30)
    figures = run_crowd(crowd, tmp_path)
    assert figures["lost"] == 0
    assert figures["nearest32_recall"] > 0.5, "of 32 others, 30 are beyond a border"
    assert figures["rows_per_frame"]["max"] == 34
    assert figures["rows_of_strangers"] == 0
