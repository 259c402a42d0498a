"""Slow readers: who gets every second frame, who is let go, and that nobody is judged by what he never said."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import Cell
from p2pworld.limits import BEHIND_GOOD_MS, BEHIND_LOST_MS, BEHIND_SLOW_MS
from p2pworld.messages import Instant, Pose
from p2pworld.wire.frames import POSE_DTYPE
from p2pworld.world.readers import Readers
from tests.world.cores import Cores, last_bye

TICK_MS = 100
AGES_MS = st.lists(st.integers(0, 14_000), min_size=1, max_size=60)


class Play:
    """One client of a node: each second it sends one pose that acknowledges a frame of some age."""

    def __init__(self, t_ms: int = 5_000_000) -> None:
        self.readers = Readers(16)
        self.t_ms = t_ms
        self.ticks(10)

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.t_ms += TICK_MS
            self.readers.framed(self.t_ms)

    def says(self, age_ms: int, conn: int = 3) -> list[int]:
        """One second on, an ack of the frame that is `age_ms` older than the newest."""
        self.ticks(10)
        return self.acks((self.t_ms - age_ms) >> 6 & 0xFF, conn)

    def acks(self, ack: int, conn: int = 3) -> list[int]:
        return self.readers.acked(np.array([conn], np.int32), np.array([ack], np.uint8))

    def frames_in(self, ticks: int, conn: int = 3) -> int:
        """How many of the next frames this client gets."""
        got = 0
        for _ in range(ticks):
            self.ticks(1)
            got += conn not in self.readers.resting()
        return got


def test_who_is_behind_gets_every_second_frame_until_it_has_caught_up() -> None:
    play = Play()
    play.says(50)
    play.says(50)
    assert play.frames_in(10) == 10
    play.says(300 + BEHIND_SLOW_MS + 128)
    assert play.frames_in(10) == 5
    play.says(300 + (BEHIND_GOOD_MS + BEHIND_SLOW_MS) // 2)  # better, and not yet good
    assert play.frames_in(10) == 5
    play.says(300 + BEHIND_GOOD_MS - 128)
    assert play.frames_in(10) == 10


def test_who_is_far_behind_is_let_go_once() -> None:
    play = Play()
    play.says(0)
    play.says(0)
    assert play.says(5_000) == []
    assert play.says(300 + BEHIND_LOST_MS + 200) == [3]
    assert play.says(300 + BEHIND_LOST_MS + 1_200) == []


def test_one_jump_from_well_to_far_behind_is_looked_at_twice() -> None:
    play = Play()
    play.says(0)
    play.says(0)
    assert play.says(12_000) == []
    assert play.says(12_000) == [3]


def test_whoever_acknowledges_nothing_is_never_judged() -> None:
    play = Play()
    for _ in range(400):  # longer than the 16.4 s after which a constant looks in time again
        play.ticks(1)
        assert play.acks(0) == []
        assert play.readers.resting() == frozenset()


def test_poses_on_a_socket_that_speaks_of_another_clock_are_judged_from_the_first_that_fits() -> None:
    play = Play()
    for _ in range(5):
        assert play.says(7_000) == []  # a clock that is seven seconds off
    assert not play.readers.slow.any()
    play.says(100)
    play.says(7_000)
    assert play.readers.slow[3]


def test_a_new_socket_under_an_old_number_is_judged_anew() -> None:
    play = Play()
    play.says(0)
    play.says(0)
    play.says(3_000)
    play.readers.opened(3)
    assert play.frames_in(10) == 10
    assert play.says(12_000) == []
    assert play.says(12_000) == []


def test_a_node_that_drops_the_frames_of_two_ticks_blames_nobody() -> None:
    play = Play()
    play.says(0)
    play.says(0)
    for age_ms in (100, 200, 300):
        play.says(age_ms)
        assert not play.readers.slow.any()


def test_frames_that_never_left_are_nobodys_to_acknowledge() -> None:
    play = Play()
    play.says(0)
    play.says(0)
    read_ms = play.t_ms
    for _ in range(30):  # the last that left are three seconds old, and the newest are just leaving
        play.ticks(1)
        play.readers.dropped()
        assert play.acks(read_ms >> 6 & 0xFF) == []
        assert play.readers.resting() == frozenset()
    play.ticks(10)
    play.acks(read_ms >> 6 & 0xFF)
    assert play.readers.slow[3]


def test_slow_ones_rest_in_different_ticks() -> None:
    play = Play()
    for conn in (3, 4):
        for age_ms in (0, 0, 2_000):
            play.says(age_ms, conn)
    rested = []
    for _ in range(4):
        play.ticks(1)
        rested.append(play.readers.resting())
    assert sorted(rested, key=min) == [{3}, {3}, {4}, {4}]


def test_a_node_spares_the_slow_and_lets_the_hopeless_go_whoever_holds_them() -> None:
    city = Cores([[Cell.at(0, 0, 0)]], 0, 1_700_000_000_000)
    (house,) = city.houses
    quick, slow = city.player(0, Pose(3_300_000, 3_300_000)), city.player(1, Pose(3_300_100, 3_300_000))
    framed: Counter[int] = Counter()
    acks = {quick: 0, slow: 0}

    def tick(slow_by_ms: int) -> None:
        """One tick, with what each acknowledges then."""
        city.now = Instant(city.now.boot_s + 0.1, city.now.wall_ms + 100)
        for player, by_ms in ((quick, 0), (slow, slow_by_ms)):
            if player.at is not None:
                acks[player] = int(city.now.boot_s * 1000) - 100 - by_ms >> 6 & 0xFF
                row = np.zeros(1, POSE_DTYPE)
                player.seq += 1
                row[0] = (1, 0, player.seq, player.pose.east_cm, player.pose.north_cm, 0, 0, acks[player])
                house.node.poses(np.array([player.at[1]], np.int32), row, city.now)
        house.node.tick(city.now)
        while (ready := house.node.ready()) is not None:
            for frame in ready.frames:
                framed.update(frame.conns)
            for send in ready.sends:
                city._send(house, send)
        city.settle()

    assert quick.at is not None
    assert slow.at is not None
    quick_conn, slow_conn = quick.at[1], slow.at[1]
    for by_ms, expected in ((0, 20), (2_000, 10), (0, 20)):
        tick(by_ms)
        tick(by_ms)
        framed.clear()
        for _ in range(20):
            tick(by_ms)
        assert (framed[quick_conn], framed[slow_conn]) == (20, expected)
    tick(2_000)
    tick(BEHIND_LOST_MS + 1_000)
    assert last_bye(slow).code == "slow"
    assert slow.at is None
    assert quick.at is not None


@given(st.integers(0, 2**40), AGES_MS)
def test_who_is_always_in_time_is_never_touched_and_the_rest_at_most_halved(
    t_ms: int, ages_ms: list[int]
) -> None:
    play = Play(t_ms)
    for age_ms in ages_ms:
        lost = play.says(age_ms)
        assert play.frames_in(10) >= 5
        if max(ages_ms) <= BEHIND_SLOW_MS:
            assert not play.readers.slow.any()
        if max(ages_ms) <= BEHIND_LOST_MS:
            assert lost == []


@given(st.integers(0, 2**40), st.lists(st.tuples(st.integers(0, 15), st.integers(0, 255)), max_size=80))
def test_many_at_once_are_judged_like_one_after_another(t_ms: int, said: list[tuple[int, int]]) -> None:
    together, single = Play(t_ms).readers, Play(t_ms).readers
    firsts = dict(reversed(said))
    together.acked(np.array(list(firsts), np.int32), np.array(list(firsts.values()), np.uint8))
    for conn, ack in firsts.items():
        single.acked(np.array([conn], np.int32), np.array([ack], np.uint8))
    again = dict(said)
    lost = together.acked(np.array(list(again), np.int32), np.array(list(again.values()), np.uint8))
    lost_singly = [
        one
        for conn, ack in again.items()
        for one in single.acked(np.array([conn], np.int32), np.array([ack], np.uint8))
    ]
    assert lost == lost_singly
    assert together.slow.tolist() == single.slow.tolist()
