"""Going to a friend in whole nodes: who is welcome, who is not, and that the second learns nothing."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2pworld.geometry import Cell
from p2pworld.limits import FRIENDS_MAX, SEEK_S, SEEKS_BURST
from p2pworld.messages import (
    PULSE,
    Batch,
    Block,
    Came,
    Correct,
    Found,
    Friend,
    Go,
    LinkDown,
    LinkUp,
    Notice,
    PeerSaid,
    Pose,
    Seek,
    ToPeer,
)
from p2pworld.world.visits import BESIDE_CM
from tests.world.cores import TICK_MS, Cores, House, Player
from tests.world.test_places_nodes import DESK, NOON, PLACES, codes, metres

if TYPE_CHECKING:
    from collections.abc import Callable

EAST = Cell.at(3_400_000, 3_300_000, 10)  # 64 m that are the second node's
HERE = Pose(EAST.bounds_cm()[0] - 9_000, EAST.centre_cm[1])
THERE = Pose(*EAST.centre_cm)
SEEK_TICKS = round(SEEK_S * 1000) // TICK_MS
OTHER_TICKET = bytes(16)


@pytest.fixture
def cores() -> Cores:
    """Four nodes: the first holds Seoul, the second a square in the east, the last the rooms."""
    rooms = Cell(1).children()[0]
    return Cores([[], [EAST], [], [rooms]], 0, int(NOON.timestamp() - 3_600) * 1000, places=PLACES)


def seek(kim: Player, friend: Player | int, ticks: int = SEEK_TICKS) -> list[str]:
    """Go to a friend and wait; the codes of what is told meanwhile."""
    before = len(codes(kim))
    kim.say(Go("friend", friend if isinstance(friend, int) else friend.avatar))
    kim.city.tick(ticks)
    return codes(kim)[before:]


def taken(player: Player) -> int:
    """How often a node has moved this avatar because it wished to go somewhere."""
    return sum(correct.reason == "go" for correct in player.of(Correct))


def apart_cm(one: Player, other: Player) -> float:
    return math.dist((one.pose.east_cm, one.pose.north_cm), (other.pose.east_cm, other.pose.north_cm))


def sent_between(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> list[ToPeer]:
    """What nodes say to each other about friends from now on."""
    sent: list[ToPeer] = []
    send: Callable[[House, object], None] = cores._send

    def watch(house: House, one: object) -> None:
        if isinstance(one, ToPeer) and isinstance(one.message, Seek | Found | Came):
            sent.append(one)
        send(house, one)

    monkeypatch.setattr(cores, "_send", watch)
    return sent


def test_one_stands_beside_a_friend_at_the_same_node_and_the_friend_is_told(cores: Cores) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, replace(HERE, north_cm=HERE.north_cm + 90_000))
    lee.say(Friend(kim.avatar))
    assert seek(kim, lee) == []
    assert taken(kim) == 1
    assert BESIDE_CM - 2 <= apart_cm(kim, lee) <= BESIDE_CM + 2
    assert [(told.code, told.sentence) for told in lee.of(Notice)] == [
        ("friend-came", "Kim has come to you.")
    ]


@pytest.mark.parametrize("number", range(10, 18))
def test_one_comes_to_a_friend_at_another_node_whoever_keeps_the_directory(
    cores: Cores, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kim, lee = cores.player(1, HERE), cores.player(number, THERE, 1)
    lee.say(Friend(kim.avatar))
    sent = sent_between(cores, monkeypatch)
    assert seek(kim, lee) == []
    assert cores.owners(kim) == [1]
    assert BESIDE_CM - 2 <= apart_cm(kim, lee) <= BESIDE_CM + 2
    assert codes(lee) == ["friend-came"]
    assert sum(isinstance(one.message, Seek) for one in sent) <= 4  # two homes, each passes it on once


def test_the_homes_of_a_friend_are_sometimes_neither_node(cores: Cores) -> None:
    homes = {tuple(cores.city.directory_homes(cores.player(n, THERE, 1).avatar)) for n in range(10, 18)}
    urls = {tuple(sorted(home.play_url for home in pair)) for pair in homes}
    assert ("ws://2/play", "ws://3/play") in urls  # so the last test had a SEEK passed on


def test_not_welcome_no_longer_welcome_blocked_and_away_are_told_alike_and_at_the_same_time(
    cores: Cores,
) -> None:
    strangers = [cores.player(n, THERE, 1) for n in (11, 12, 13)] + [cores.player(14, HERE)]
    seekers = [cores.player(n, HERE) for n in range(20, 25)]
    strangers[1].say(Friend(seekers[1].avatar))
    strangers[1].say(Friend(seekers[1].avatar, on=False))
    strangers[2].say(Friend(seekers[2].avatar))
    strangers[2].say(Block(seekers[2].avatar))
    for seeker, friend in zip(seekers, [one.avatar for one in strangers] + [12_345], strict=True):
        seeker.say(Go("friend", friend))
    cores.tick(SEEK_TICKS - 1)
    assert [codes(seeker) for seeker in seekers] == [[]] * 5
    cores.tick()
    told = [[(one.code, one.sentence) for one in seeker.of(Notice)] for seeker in seekers]
    assert told == [[("friend-away", "You cannot go to that person just now.")]] * 5
    assert [taken(seeker) for seeker in seekers] == [0] * 5
    assert [codes(stranger) for stranger in strangers] == [[]] * 4


def test_a_welcome_ends_with_its_socket(cores: Cores) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, HERE)
    lee.say(Friend(kim.avatar))
    lee.lose()
    assert seek(kim, lee) == ["friend-away"]  # nobody steers it
    cores.houses[0].conns = count(1)  # the new socket has the old one's number
    lee.come(cores.houses[0])
    assert seek(kim, lee) == ["friend-away"]
    lee.say(Friend(kim.avatar))
    assert seek(kim, lee) == []


def test_a_link_that_is_lost_meanwhile_is_silence(cores: Cores) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, THERE, 1)
    lee.say(Friend(kim.avatar))
    cores.link({1: True})
    assert seek(kim, lee) == ["friend-away"]
    cores.link()
    assert seek(kim, lee) == []
    assert cores.owners(kim) == [1]


def test_a_node_of_an_older_release_is_asked_nothing(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, THERE, 1)
    lee.say(Friend(kim.avatar))
    first = cores.houses[0]
    for old in cores.houses[1:]:
        first.node.step(LinkDown(old.who), cores.now)
        first.node.step(LinkUp(old.who, (PULSE,)), cores.now)
    sent = sent_between(cores, monkeypatch)
    assert seek(kim, lee) == ["friend-away"]
    assert sent == []


def test_an_answer_under_another_ticket_moves_nobody(cores: Cores) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, THERE, 1)
    kim.say(Go("friend", lee.avatar))
    first, liar = cores.houses[0], cores.houses[2]
    forged = Batch(first.node.map_version, (Found(kim.avatar, OTHER_TICKET, THERE),))
    first.node.step(PeerSaid(liar.who, forged), cores.now)
    cores.tick(SEEK_TICKS)
    assert (taken(kim), codes(kim)) == (0, ["friend-away"])
    assert first.node.all_counters()["found-not-sought"] == 1


def test_a_seek_in_anothers_name_is_not_answered(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, THERE, 1)
    lee.say(Friend(kim.avatar))
    first, second, liar = cores.houses[:3]
    sent = sent_between(cores, monkeypatch)
    posed = Seek(lee.avatar, kim.avatar, OTHER_TICKET, first.who.node, first.who.number)
    second.node.step(PeerSaid(liar.who, Batch(second.node.map_version, (posed,))), cores.now)
    cores.tick()
    assert sent == []
    assert second.node.all_counters()["seek-not-yours"] == 1


def test_who_wishes_to_be_elsewhere_meanwhile_is_not_fetched(cores: Cores) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, HERE)
    kim.say(Go("friend", lee.avatar))
    kim.say(Go("yard"))
    cores.tick(SEEK_TICKS)
    assert codes(kim) == []
    assert taken(kim) == 1


def test_a_friend_on_a_bus_is_left_alone(cores: Cores) -> None:
    kim, lee = cores.player(1, HERE), cores.player(2, THERE, 1)
    lee.say(Friend(kim.avatar))
    crowd = cores.houses[1].node.parts.crowd
    crowd.vehicle[crowd.row_of[lee.avatar]] = 1
    kim.say(Go("friend", lee.avatar))
    assert codes(kim) == ["friend-rides"]
    assert taken(kim) == 0


def test_a_full_room_stays_full_whoever_welcomes_one(cores: Cores) -> None:
    lee, han, kim = (cores.player(number, metres(3, number)) for number in (1, 2, 3))
    for one in (lee, han):
        one.say(Go("office"))
        cores.tick(20)
    lee.say(Friend(kim.avatar))
    assert seek(kim, lee) == ["place-full"]
    assert cores.owners(kim) == [0]
    han.say(Go("yard"))
    cores.tick(20)
    assert seek(kim, lee) == []
    assert cores.owners(kim) == [3]
    assert math.dist((kim.pose.east_cm, kim.pose.north_cm), DESK) <= BESIDE_CM + 2


@pytest.mark.parametrize("north_cm", range(1_380, 1_501, 20))
def test_no_wall_is_between_friends(cores: Cores, north_cm: int) -> None:
    lee = cores.player(1, metres(-10, north_cm / 100))  # close to the yard's northern wall, within
    walls = PLACES.walls
    for number in range(20, 28):
        kim = cores.player(number, HERE)
        lee.say(Friend(kim.avatar))
        assert seek(kim, lee, 1) == []
        assert BESIDE_CM - 2 <= apart_cm(kim, lee) <= BESIDE_CM + 2
        old, at = (np.array([[one.pose.east_cm], [one.pose.north_cm]], np.int32) for one in (lee, kim))
        assert not walls.blocked(*old, *at).any()


def test_asking_too_often_is_told_and_nobody_is_asked(cores: Cores, monkeypatch: pytest.MonkeyPatch) -> None:
    kim = cores.player(1, HERE)
    for _ in range(SEEKS_BURST):
        kim.say(Go("friend", 12_345))
    sent = sent_between(cores, monkeypatch)
    kim.say(Go("friend", 12_345))
    assert codes(kim) == ["friend-rate"]
    assert sent == []


def test_as_many_friends_as_there_may_be(cores: Cores) -> None:
    lee, kim = cores.player(1, HERE), cores.player(2, HERE)
    for avatar in range(1, FRIENDS_MAX + 1):
        lee.say(Friend(avatar))
    lee.say(Friend(1))  # is one already
    assert codes(lee) == []
    lee.say(Friend(kim.avatar))
    assert codes(lee) == ["friends-full"]
    lee.say(Friend(1, on=False))
    lee.say(Friend(kim.avatar))
    assert codes(lee) == ["friends-full"]
    assert seek(kim, lee) == []
