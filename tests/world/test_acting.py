"""Acts in whole nodes: done by whoever holds the ground they are about, and once, however often they are asked for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from p2pworld.geometry import Cell
from p2pworld.messages import (
    Act,
    ActDone,
    ActFor,
    Batch,
    ClientLost,
    ClientSaid,
    Done,
    Notice,
    PeerSaid,
    Pose,
    ToPeer,
    WorldObject,
)
from p2pworld.world.places import bell_of
from tests.world.cores import Cores, House, Player
from tests.world.test_places_nodes import NOON, PLACES, metres, rings

_FOUND = bell_of(PLACES.by_id["yard"])
assert _FOUND is not None
BELL, BELL_AT = _FOUND
EAST = Cell.at(*BELL_AT, 13)  # 8 m around the bell are the second node's, the rest of the yard the first's
AT_BELL = Pose(*EAST.centre_cm)
AWAY = metres(3, -12)
NAME = b"a name of 16 byt"


@pytest.fixture
def cores() -> Cores:
    return Cores([[], [EAST]], 0, int(NOON.timestamp() - 3_600) * 1000, places=PLACES)


def here(n: int, verb: str, text: str = "", at: Pose = AWAY, name: bytes = NAME) -> Act:
    """An act as a client asks for it: with the place where it was first asked for."""
    return Act(n, verb, text, name=name, east_cm=at.east_cm, north_cm=at.north_cm)


def last(player: Player) -> Done:
    done: Done = player.of(Done)[-1]
    return done


def lanterns(cores: Cores, house: int) -> list[WorldObject]:
    """What a node's cells show of lanterns, all of them."""
    node = cores.houses[house].node
    cells = [node.parts.objects.shown(cell) or {} for cell in node.city_map.cells_of(node.who)]
    return [one for shown in cells for one in shown.values() if one.kind == "lantern"]


def test_a_rehearsal_and_a_bell_across_a_border(cores: Cores) -> None:
    kim, lee = cores.player(1, AWAY), cores.player(2, AT_BELL, house=1)
    assert (cores.owners(kim), cores.owners(lee)) == ([0], [1])
    kim.say(here(1, "ring"))
    assert last(kim).reason == "not_now"
    kim.say(here(2, "start", "noon"))
    assert (last(kim).n, last(kim).durable) == (2, "started")
    kim.say(here(2, "start", "noon"))  # its answer might have been lost
    assert last(kim).durable == "started"
    assert [notice.code for notice in lee.of(Notice)] == ["rehearsal"]
    cores.tick(60)
    assert rings(lee) == 3
    for _ in range(2):
        kim.say(here(3, "ring"))
        cores.tick(2)
        assert (last(kim).n, last(kim).durable, last(kim).id) == (3, "standby", BELL)
    assert rings(lee) == 4
    assert cores.houses[0].node.all_counters()["programme-rehearsals"] == 0


def test_a_rehearsal_is_not_started_from_another_place(cores: Cores) -> None:
    kim = cores.player(1, metres(400, 400))
    kim.say(Act(1, "start", "noon"))
    assert last(kim).reason == "not_there"


def test_a_retry_after_a_handoff_does_nothing_twice(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    kim.say(here(1, "hang", "wish"))
    cores.tick(2)
    first = last(kim)
    assert first.durable == "disk"
    while kim.pose.north_cm < AT_BELL.north_cm:
        kim.pose = replace(kim.pose, north_cm=min(kim.pose.north_cm + 150, AT_BELL.north_cm))
        cores.tick(3)
    kim.pose = AT_BELL
    cores.tick(30)
    assert cores.owners(kim) == [1]
    kim.say(here(1, "hang", "wish"))
    cores.tick(2)
    assert len(kim.of(Done)) == 2
    assert (last(kim).id, last(kim).durable) == (first.id, "standby")
    assert [one.text for one in lanterns(cores, 0)] == ["wish"]
    assert lanterns(cores, 1) == []


def test_an_act_is_about_the_place_and_not_about_who_owns_the_avatar(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    kim.say(here(1, "hang", "wish", at=AT_BELL))
    kim.say(Act(2, "hang", "here"))
    cores.tick(2)
    assert [(one.text, one.east_cm) for one in lanterns(cores, 1)] == [("wish", AT_BELL.east_cm)]
    assert [(one.text, one.east_cm) for one in lanterns(cores, 0)] == [("here", AWAY.east_cm)]


def test_a_place_too_far_away_is_refused(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    kim.say(here(1, "hang", at=replace(AWAY, east_cm=AWAY.east_cm + 50_001)))
    assert last(kim).reason == "far"
    kim.say(here(1, "hang", at=replace(AWAY, east_cm=AWAY.east_cm + 50_000)))
    cores.tick(2)
    assert last(kim).durable == "disk"


def test_without_a_link_the_client_is_to_ask_again(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    cores.link({1: True})
    kim.say(here(1, "hang", "wish", at=AT_BELL))
    assert last(kim).reason == "moved"
    cores.link()
    kim.say(here(1, "hang", "wish", at=AT_BELL))
    cores.tick(2)
    assert last(kim).durable == "disk"


def socket(player: Player) -> tuple[House, int]:
    assert player.at is not None
    return player.at


def test_an_answer_for_a_lost_socket_goes_to_nobody(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    house, conn = socket(kim)
    house.node.step(ClientSaid(conn, here(1, "hang", "wish", at=AT_BELL)), cores.now)
    house.node.step(ClientLost(conn), cores.now)
    cores.tick(2)
    assert kim.of(Done) == []
    assert house.node.all_counters()["acts-answered-late"] == 1
    assert len(lanterns(cores, 1)) == 1  # it was done all the same


def test_what_is_lost_on_the_way_is_forgotten_and_asked_again(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    house, _ = socket(kim)
    house.linked.discard(1)  # the link is dead, and nobody has noticed yet
    kim.say(here(1, "hang", "wish", at=AT_BELL))
    cores.tick(105)
    assert kim.of(Done) == []
    assert house.node.all_counters()["acts-unanswered"] == 1
    house.linked.add(1)
    kim.say(here(1, "hang", "wish", at=AT_BELL))
    cores.tick(2)
    assert last(kim).durable in ("disk", "standby")  # the other node may have been offered its cell meanwhile


def test_an_answer_from_who_was_not_asked_is_not_believed(cores: Cores) -> None:
    kim = cores.player(1, AWAY)
    assert kim.login is not None
    told = ActDone(kim.avatar, kim.login.ms, 1, Done(1, "standby"), NAME)
    house, _ = socket(kim)
    house.node.step(PeerSaid(cores.houses[1].who, Batch(1, (told,))), cores.now)
    cores.settle()
    assert kim.of(Done) == []


def test_a_node_that_does_not_hold_the_ground_says_so(cores: Cores) -> None:
    second = cores.houses[1]
    for act in (here(1, "hang"), Act(2, "start", "nothing of that name")):
        asked = ActFor(7, 5, bytes(16), act, AWAY)
        second.node.step(PeerSaid(cores.houses[0].who, Batch(1, (asked,))), cores.now)
        ready = second.node.ready()
        assert ready is not None
        (answer,) = [send.message for send in ready.sends if isinstance(send, ToPeer)]
        assert isinstance(answer, ActDone)
        assert (answer.avatar, answer.n, answer.done.reason) == (7, act.n, "moved")
