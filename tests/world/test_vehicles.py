"""The tour bus: a path without jumps, seats, getting on and off, and riders who cross from node to node together."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.geometry import Cell
from p2pworld.limits import BOARD_CM
from p2pworld.messages import Bye, Correct, Go, Notice, Pose, Welcome
from p2pworld.seoul.bus import BUS_STOPS
from p2pworld.world.crowd import RIDE
from p2pworld.world.riders import TOO_LATE, free_seat, seats_taken
from p2pworld.world.vehicles import (
    BUS_CM_S,
    BUSES,
    DWELL_MS,
    LOOP_MS,
    NO_STOP,
    SEATS,
    STOPS,
    beside,
    nearest_stop,
    next_bus,
    place,
    places,
    seat_places,
    stopping,
)
from tests.world.cores import Cores, Player

BEGIN_MS = 1_700_000_000_000 // LOOP_MS * LOOP_MS  # bus 1 has just come to the first stop
EAST, NORTH = STOPS[0].position_cm
GROUND = Cell.at(EAST, NORTH, 7)  # the second stop is not in it
CROSSED = 180  # ticks after the departure, surely over the border
LEAVES_MS = BEGIN_MS + DWELL_MS

times = st.integers(0, 2**43)
buses = st.integers(1, BUSES)


# ---- the timetable


def test_the_loop_closes_where_it_begins() -> None:
    assert BUS_STOPS[-1].position_cm == STOPS[0].position_cm
    assert len(STOPS) == len(BUS_STOPS) - 1


@given(buses, times, st.integers(1, 20_000))
def test_no_bus_ever_jumps(bus: int, t_ms: int, later_ms: int) -> None:
    one, other = place(bus, t_ms), place(bus, t_ms + later_ms)
    way_cm = math.dist((one.east_cm, one.north_cm), (other.east_cm, other.north_cm))
    assert way_cm <= BUS_CM_S * 1.001 * later_ms / 1000 + 2


@given(buses, times)
def test_the_path_repeats_and_all_buses_share_it(bus: int, t_ms: int) -> None:
    assert place(bus, t_ms) == place(bus, t_ms + LOOP_MS)
    assert place(bus, t_ms) == place(1, t_ms + (bus - 1) * LOOP_MS // BUSES)


def test_it_stands_at_every_stop_for_the_dwell_in_their_order() -> None:
    step_ms = 1_000
    stops = [place(1, BEGIN_MS + t) for t in range(0, LOOP_MS, step_ms)]
    stood = [at.stop for at in stops if at.stop is not None]
    assert sorted(set(stood)) == list(range(len(STOPS)))
    assert stood == sorted(stood)
    for stop, found in enumerate(STOPS):
        assert stood.count(stop) in (DWELL_MS // step_ms, DWELL_MS // step_ms + 1)
        assert {(at.east_cm, at.north_cm) for at in stops if at.stop == stop} == {found.position_cm}


@given(times)
def test_the_formula_of_the_protocols_page_says_the_same(t_ms: int) -> None:
    ring = [stop.position_cm for stop in BUS_STOPS]
    start, starts = 0, []
    for (e0, n0), (e1, n1) in itertools.pairwise(ring):
        run = -(-math.isqrt((e1 - e0) ** 2 + (n1 - n0) ** 2) * 1000 // 900)
        starts.append((start, run, e0, n0, e1 - e0, n1 - n0))
        start += 30_000 + run
    assert start == LOOP_MS
    for bus in (1, 2, 17, BUSES):
        phase = (t_ms % LOOP_MS + (bus - 1) * LOOP_MS // 40) % LOOP_MS
        i = max(i for i, leg in enumerate(starts) if leg[0] <= phase)
        begin, run, e, n, de, dn = starts[i]
        d = max(0, phase - begin - 30_000)
        at = place(bus, t_ms)
        assert at.east_cm == e + (2 * de * d + run) // (2 * run)
        assert at.north_cm == n + (2 * dn * d + run) // (2 * run)
        assert at.yaw == round(math.atan2(de, dn) * 128 / math.pi) % 256
        assert at.stop == (i if phase - begin < 30_000 else None)


@given(st.integers(0, len(STOPS) - 1), times)
def test_the_next_bus_comes_when_it_is_said(stop: int, t_ms: int) -> None:
    wait_ms = next_bus(stop, t_ms)
    assert wait_ms <= LOOP_MS // BUSES + 1 - DWELL_MS
    assert (places(t_ms + wait_ms).stop == stop).sum() == 1
    assert wait_ms == 0 or not (places(t_ms + wait_ms - 1).stop == stop).any()


@given(buses, times)
def test_seats_are_within_the_bus_and_apart(bus: int, t_ms: int) -> None:
    at = places(t_ms)
    every = np.arange(SEATS, dtype=np.uint8)
    east, north = seat_places(np.full(SEATS, bus, np.uint16), every, at)
    middle = at.east_cm[bus - 1], at.north_cm[bus - 1]
    assert np.hypot(east - middle[0], north - middle[1]).max() < 560
    gaps = np.hypot(east[:, None] - east, north[:, None] - north)[~np.eye(SEATS, dtype=bool)]
    assert gaps.min() > 40
    kerb = np.array(beside(bus, 0, at))
    assert np.hypot(east - kerb[0], north - kerb[1]).min() > 200


def test_a_driving_bus_is_nobodys_to_board() -> None:
    assert stopping(EAST, NORTH, BOARD_CM, places(BEGIN_MS)) == 1
    assert stopping(EAST + BOARD_CM, NORTH, BOARD_CM, places(BEGIN_MS)) == 1
    assert stopping(EAST + BOARD_CM + 1, NORTH, BOARD_CM, places(BEGIN_MS)) == 0
    assert places(LEAVES_MS).stop[0] == NO_STOP
    assert stopping(EAST, NORTH, BOARD_CM, places(LEAVES_MS)) == 0
    assert nearest_stop(EAST + 300, NORTH - 400) == (0, 500)


# ---- on and off


@pytest.fixture
def city() -> Cores:
    """Node 0 has the ground of the first stop, node 1 all else; bus 1 leaves in half a second and a tick."""
    return Cores([[GROUND], []], 1, LEAVES_MS - 1_200)


def codes(player: Player) -> list[str]:
    return [notice.code for notice in player.of(Notice)]


def board(city: Cores, number: int) -> Player:
    player = city.player(number, Pose(EAST + 100 * number, NORTH + 300))
    player.say(Go("bus"))
    assert codes(player) == ["on-board"]
    return player


def row_of(city: Cores, player: Player) -> tuple[int, int, Pose]:
    """The bus, the seat and the pose of an avatar where it is owned."""
    (number,) = city.owners(player)
    crowd = city.houses[number].node.parts.crowd
    row = crowd.row_of[player.avatar]
    return int(crowd.vehicle[row]), int(crowd.seat[row]), crowd.pose(row)


def test_who_is_not_beside_a_standing_bus_is_told_when_one_comes(city: Cores) -> None:
    player = city.player(0, Pose(EAST + BOARD_CM + 100, NORTH))
    (notice,) = player.say(Go("bus"))
    assert isinstance(notice, Notice)
    assert notice.code == "no-bus"
    assert "Gwanghwamun" in notice.sentence
    assert "16 m" in notice.sentence
    player.say(Go("off"))
    assert codes(player) == ["no-bus", "not-aboard"]


def test_a_rider_is_on_its_seat_and_its_poses_only_turn_its_head(city: Cores) -> None:
    player = board(city, 0)
    board_correct = player.of(Correct)[-1]
    assert board_correct.reason == "board"
    player.pose = Pose(EAST - 40_000, NORTH, 0, 33, 2)
    city.tick(15)
    bus, seat, pose = row_of(city, player)
    assert (bus, pose.state, pose.yaw) == (1, RIDE, 33)
    east, north = seat_places(
        np.array([bus], np.uint16), np.array([seat], np.uint8), places(city.now.wall_ms)
    )
    assert (pose.east_cm, pose.north_cm) == (east[0], north[0])
    assert player.of(Correct) == [board_correct]
    assert place(1, city.now.wall_ms).stop is None
    player.say(Go("bus"))
    player.say(Go("off"))
    assert codes(player) == ["on-board", "aboard", "bus-moving"]
    player.pose = Pose(0, 0, 0, 0, 4)
    city.tick()
    assert row_of(city, player)[2].state == 4  # it waves


def test_who_claims_to_ride_and_does_not_is_corrected(city: Cores) -> None:
    player = city.player(0, Pose(EAST, NORTH + 5_000))
    player.pose = Pose(EAST, NORTH + 5_010, 0, 0, RIDE)
    city.tick()
    (correct,) = player.of(Correct)
    assert (correct.reason, correct.pose.north_cm, correct.pose.state) == ("ride", NORTH + 5_000, 0)
    player.pose = Pose(EAST, NORTH + 5_010)
    city.tick()
    assert row_of(city, player)[2].north_cm == NORTH + 5_010


def test_getting_off_at_a_stop_puts_one_at_the_kerb_and_walking_goes_on_from_there(city: Cores) -> None:
    player = board(city, 0)
    player.say(Go("off"))
    assert codes(player) == ["on-board", "got-off"]
    bus, _, pose = row_of(city, player)
    assert (bus, pose.state) == (0, 0)
    kerb = pose.east_cm, pose.north_cm
    assert kerb == beside(1, 0, places(city.now.wall_ms))
    player.pose = Pose(kerb[0] - 150, kerb[1])
    city.tick()
    assert row_of(city, player)[2].east_cm == kerb[0] - 150
    assert [c.reason for c in player.of(Correct)] == ["board", "off"]


def test_a_full_bus_takes_nobody_more(city: Cores) -> None:
    player = board(city, 0)
    crowd = city.houses[0].node.parts.crowd
    row = crowd.row_of[player.avatar]
    for seat in range(1, SEATS):
        assert free_seat(crowd, 1) == seat
        other = crowd.add(1_000 + seat, crowd.version(row).login, 0, 0, crowd.pose(row), 2, 0.0)
        crowd.take_seat(other, 1, seat)
    assert seats_taken(crowd, 1) == SEATS
    assert free_seat(crowd, 1) is None
    assert free_seat(crowd, BUSES + 1) is None
    late = city.player(1, Pose(EAST, NORTH))
    late.say(Go("bus"))
    assert codes(late) == ["bus-full"]


def test_going_elsewhere_leaves_the_bus(city: Cores) -> None:
    player = board(city, 0)
    player.say(Go("Bosingak"))
    city.tick(3)
    bus, _, pose = row_of(city, player)
    assert bus == 0
    assert pose.state != RIDE


def test_a_rider_whose_socket_breaks_keeps_the_seat_for_a_second(city: Cores) -> None:
    back, gone = board(city, 0), board(city, 1)
    city.tick(12)
    back.lose()
    gone.lose()
    city.tick(5)
    back.come(city.houses[0])
    city.tick(10)
    assert row_of(city, back)[0] == 1
    crowd = city.houses[0].node.parts.crowd
    assert crowd.vehicle[crowd.row_of[gone.avatar]] == 0
    assert seats_taken(crowd, 1) == 1


# ---- over the border


def test_riders_cross_the_border_together_and_nobody_is_lost(city: Cores) -> None:
    riders = [board(city, number) for number in range(8)]
    standing = city.player(9, Pose(EAST - 2_000, NORTH))
    seats = [row_of(city, rider)[1] for rider in riders]
    assert sorted(seats) == list(range(8))
    owned: set[tuple[int, ...]] = set()
    for _ in range(CROSSED):
        city.tick()
        owned.add(tuple(sorted(number for rider in riders for number in city.owners(rider))))
        assert all(len(city.owners(rider)) == 1 for rider in riders)
    assert {(0,) * 8, (1,) * 8} <= owned
    for rider, seat in zip(riders, seats, strict=True):
        assert row_of(city, rider)[:2] == (1, seat)
        assert row_of(city, rider)[2].state == RIDE
        assert len(rider.of(Welcome)) == 2
        assert [bye.code for bye in rider.of(Bye)] == ["moved"]
        assert codes(rider) == ["on-board"]
    assert city.owners(standing) == [0]
    while place(1, city.now.wall_ms).stop != 1:
        city.tick()
    for rider in riders:
        rider.say(Go("off"))
        assert codes(rider) == ["on-board", "got-off"]
        assert row_of(city, rider)[0] == 0


def test_a_rider_who_does_not_attach_in_time_is_set_down_before_the_border(city: Cores) -> None:
    slow, quick = board(city, 0), board(city, 1)
    slow.attaches = False
    city.tick(CROSSED)
    assert (city.owners(slow), city.owners(quick)) == ([0], [1])
    bus, _, pose = row_of(city, slow)
    assert (bus, pose.state) == (0, 0)
    assert GROUND.contains_point(pose.east_cm, pose.north_cm)
    assert pose.north_cm - GROUND.bounds_cm()[1] < 300
    assert slow.of(Notice)[-1] == Notice("set-down", TOO_LATE)
    assert row_of(city, quick)[0] == 1


def test_a_rider_for_whom_there_is_no_seat_ahead_is_set_down(city: Cores) -> None:
    rider = board(city, 0)
    crowd = city.houses[1].node.parts.crowd
    for seat in range(SEATS):  # they got on beyond the border
        other = crowd.add(2_000 + seat, (1, bytes(16)), 0, 0, Pose(EAST, NORTH), 2, 0.0)  # type: ignore[arg-type]
        crowd.take_seat(other, 1, seat)
    city.tick(CROSSED)
    assert city.owners(rider) == [0]
    assert codes(rider) == ["on-board", "set-down"]
    assert GROUND.contains_point(*(row_of(city, rider)[2].east_cm, row_of(city, rider)[2].north_cm))


def test_a_seat_that_is_taken_ahead_is_changed_for_another() -> None:
    city = Cores([[GROUND], []], 1, LEAVES_MS - 1_200)
    rider = board(city, 0)
    crowd = city.houses[1].node.parts.crowd
    other = crowd.add(2_000, (1, bytes(16)), 0, 0, Pose(EAST, NORTH), 2, 0.0)  # type: ignore[arg-type]
    crowd.take_seat(other, 1, 0)
    city.tick(CROSSED)
    assert city.owners(rider) == [1]
    assert row_of(city, rider)[:2] == (1, 1)


@pytest.mark.parametrize("skew_ms", [-2_000, -300, 300, 2_000])
def test_riders_do_not_go_to_and_fro_between_nodes_whose_clocks_differ(city: Cores, skew_ms: int) -> None:
    city.houses[1].skew_ms = skew_ms
    riders = [board(city, number) for number in range(3)]
    city.tick(CROSSED + 60)
    for rider in riders:
        assert city.owners(rider) == [1]
        assert row_of(city, rider)[0] == 1
        assert len(rider.of(Welcome)) == 2
        assert codes(rider) == ["on-board"]
