"""Whole nodes under load, side by side: what they give up, whom they tell, whom they send on, how long ghosts live."""

from __future__ import annotations

import pytest

from p2pworld.geometry import Cell
from p2pworld.messages import Bye, Notice, Pose, Welcome
from p2pworld.wire.frames import decode_poses
from p2pworld.world.crowd import GHOST
from p2pworld.world.overload import At
from tests.world.cores import TICK_MS, Cores, House, Player, last_bye
from tests.world.test_places_nodes import NOON

EAST = Cell.at(3_400_000, 3_300_000, 10)  # 64 m that are the second node's
WEST_OF_IT = Pose(EAST.bounds_cm()[0] - 500, EAST.centre_cm[1])
INSIDE = Pose(EAST.bounds_cm()[0] + 500, EAST.centre_cm[1])


@pytest.fixture
def cores() -> Cores:
    return Cores([[], [EAST]], 0, int(NOON.timestamp()) * 1000)


def overload(cores: Cores, house: House, busy: float = 2.0) -> None:
    """So busy until it gives up no more."""
    house.busy = busy
    cores.tick(30)
    assert house.node.bearing is At.SLOWEST


def ghost(house: House, player: Player) -> bool:
    row = house.node.parts.crowd.row_of.get(player.avatar)
    return row is not None and bool(house.node.parts.crowd.kind[row] == GHOST)


def test_everybody_is_told_of_a_longer_tick_and_of_its_end(cores: Cores) -> None:
    kim = cores.player(1, WEST_OF_IT)
    one, other = cores.houses
    other.busy = 0.9  # nobody has room, so nobody is declined
    overload(cores, one)
    assert [notice.tick_ms for notice in kim.of(Notice)] == [200, 500]
    assert [notice.code for notice in kim.of(Notice)] == ["pace", "pace"]
    assert "a tick of 500 ms" in kim.of(Notice)[-1].sentence
    lee = cores.player(2, WEST_OF_IT)
    assert lee.of(Welcome)[0].tick_ms == 500
    one.busy = 0.1
    cores.tick(50)
    assert [notice.tick_ms for notice in kim.of(Notice)] == [200, 500, 200, 100]
    assert one.node.bearing is At.WHOLE
    assert one.node.all_counters()["overrun-slowest"] == one.node.all_counters()["eased-whole"] == 1
    assert other.node.bearing is At.WHOLE


def test_frames_come_at_the_longer_tick(cores: Cores) -> None:
    cores.player(1, WEST_OF_IT)
    one = cores.houses[0]
    overload(cores, one)
    framed = 0
    for _ in range(20):
        one.frames = []
        cores.tick()
        framed += bool(one.frames)
    assert framed == 4
    assert one.node.status(cores.now)["tick_ms"] == 500
    assert one.node.status(cores.now)["shed_level"] == 3


def test_the_others_know_its_load_and_newcomers_are_sent_to_them(cores: Cores) -> None:
    kim = cores.player(1, WEST_OF_IT)
    one, other = cores.houses
    overload(cores, one)
    cores.tick(12)
    told = other.node.load_of(one.who)
    assert told is not None
    assert (told.tick_ms, told.shed, told.clients) == (500, 3, 1)
    assert 1_900 < told.busy <= 2_000
    own = one.node.load_of(other.who)
    assert own is not None
    assert own.busy == 0
    lee = Player(cores, 2, WEST_OF_IT)
    cores.players.append(lee)
    lee.come(one)
    assert lee.of(Welcome) == []
    assert last_bye(lee) == Bye("full", last_bye(lee).reason, urls=(other.url,))
    # there it is taken, and comes over the border like everybody: a handoff is not declined
    lee.come(other)
    cores.tick(20)
    assert cores.owners(lee) == [0]
    assert cores.owners(kim) == [0]


def test_one_who_was_here_is_not_a_newcomer(cores: Cores) -> None:
    kim = cores.player(1, WEST_OF_IT)
    one = cores.houses[0]
    overload(cores, one)
    cores.tick(12)
    assert one.node.parts.people.sends_on()
    kim.lose()
    kim.come(one)
    assert cores.owners(kim) == [0]
    assert len(kim.of(Welcome)) == 2


def test_where_nobody_else_has_room_nobody_is_sent_on(cores: Cores) -> None:
    one, other = cores.houses
    other.busy = 0.9
    overload(cores, one)
    cores.tick(12)
    assert cores.player(1, WEST_OF_IT).of(Welcome)
    other.busy = 0.1
    cores.tick(30)
    assert one.node.parts.people.sends_on()
    cores.link({1: True})
    assert not one.node.parts.people.sends_on()  # who is not heard of is no alternative


def test_the_least_busy_node_is_named_first() -> None:
    cores = Cores([[], [EAST], [EAST.neighbours()[0]]], 0, int(NOON.timestamp()) * 1000)
    _, second, third = cores.houses
    for busy, first in ((0.5, third), (0.0, second)):
        second.busy, third.busy = busy, 0.5 - busy
        cores.tick(60)
        kim = Player(cores, round(busy * 10), WEST_OF_IT)
        kim.come(cores.houses[0])
        assert kim.of(Welcome)[0].urls[0] == first.url


def test_a_ghost_of_a_slow_node_lives_three_of_its_ticks(cores: Cores) -> None:
    kim = cores.player(1, INSIDE, house=1)
    one, other = cores.houses
    overload(cores, other)
    cores.tick(20)
    assert ghost(one, kim)
    while round(cores.now.boot_s * 1000) % 500:
        cores.tick()
    other.linked.discard(0)  # the link is dead, and nobody has noticed yet
    lived = 0
    while ghost(one, kim):
        cores.tick()
        lived += 1
    assert lived in (1_500 // TICK_MS, 1_500 // TICK_MS + 1)
    other.linked.add(0)
    other.busy = 0.0
    cores.tick(60)
    assert ghost(one, kim)
    other.linked.discard(0)
    cores.tick(1_000 // TICK_MS - 1)
    assert ghost(one, kim)
    cores.tick(2)
    assert not ghost(one, kim)


def seen(house: House, player: Player) -> tuple[int, int]:
    """Where the frames of this house's last tick show a person."""
    for frame in house.frames:
        for payload in frame.payloads:
            if payload[0] == 2:
                poses = decode_poses(payload)
                at = poses.ids.tolist().index(player.avatar)
                return int(poses.east_cm[at]), int(poses.north_cm[at])
    raise AssertionError("no frame was sent")


def test_a_frame_shows_what_a_neighbour_said_in_the_same_tick(cores: Cores) -> None:
    kim, lee = cores.player(1, WEST_OF_IT), cores.player(2, INSIDE, house=1)
    cores.tick(3)
    one, other = cores.houses
    for step in range(1, 6):
        kim.pose = Pose(WEST_OF_IT.east_cm, WEST_OF_IT.north_cm + 40 * step)
        lee.pose = Pose(INSIDE.east_cm, INSIDE.north_cm - 40 * step)
        cores.tick()
        for house in (one, other):
            for player in (kim, lee):
                east, north = seen(house, player)
                assert abs(east - player.pose.east_cm) <= 2
                assert abs(north - player.pose.north_cm) <= 2


def test_it_draws_when_the_last_batch_has_come_and_never_twice(cores: Cores) -> None:
    cores.player(1, WEST_OF_IT)
    cores.player(2, INSIDE, house=1)
    cores.tick(3)
    one, other = cores.houses
    cores.now = cores.now._replace(boot_s=cores.now.boot_s + 0.1, wall_ms=cores.now.wall_ms + 100)
    one.frames = []
    one.node.tick(cores.now)
    assert one.node.draws
    assert 0.0 < one.node.awaits <= 0.025
    cores.settle()
    assert one.frames == []
    other.node.tick(cores.now)
    cores.settle()
    assert not one.node.draws
    assert len(one.frames) == 1
    one.node.draw(cores.now)
    cores.settle()
    assert len(one.frames) == 1


def test_a_neighbour_that_falls_silent_is_waited_for_once(cores: Cores) -> None:
    cores.player(1, WEST_OF_IT)
    cores.player(2, INSIDE, house=1)
    cores.tick(3)
    one, other = cores.houses
    waited = []
    for _ in range(4):
        cores.now = cores.now._replace(boot_s=cores.now.boot_s + 0.1, wall_ms=cores.now.wall_ms + 100)
        one.frames = []
        one.node.tick(cores.now)
        waited.append(one.node.awaits > 0)
        one.node.draw(cores.now)
        cores.settle()
        assert one.frames
    assert waited == [True, False, False, False]
    assert other.linked
