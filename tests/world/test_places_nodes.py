"""Places in whole nodes: rooms of another node, a walk into a wall, a bell at its time and in a rehearsal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from p2pworld.geometry import Cell, from_5179
from p2pworld.messages import Act, Correct, Done, Go, Notice, Objects, Pose, Welcome
from p2pworld.seoul.annex import room_cell
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.places import bell_of
from tests.world.cores import Cores, Player
from tests.world.test_places import BELL, OFFICE, YARD, table

if TYPE_CHECKING:
    from p2pworld.world.places import Places

PLACES = table(YARD, OFFICE, programmes=(BELL,))
YARD_AT = from_5179(953800, 1953000)
DESK = room_cell(5).centre_cm
NOON = datetime(2026, 6, 1, 12, tzinfo=timezone(timedelta(hours=9)))


def city(places: Places = PLACES, seconds_after_noon: float = -3_600) -> Cores:
    """Two nodes: the first holds Seoul, the second the rooms."""
    rooms = Cell(1).children()[0]
    assert rooms.contains_point(*DESK)
    wall_ms = int((NOON.timestamp() + seconds_after_noon) * 1000)
    return Cores([[], [rooms]], 0, wall_ms, places=places)


def metres(east_m: float, north_m: float) -> Pose:
    east, north = from_5179(953800 + east_m, 1953000 + north_m)
    return Pose(east, north)


def codes(player: Player) -> list[str]:
    return [notice.code for notice in player.of(Notice)]


def test_into_a_room_of_another_node_and_out_by_its_portal() -> None:
    cores = city()
    kim = cores.player(1, metres(0, 0))
    kim.say(Go("office"))
    cores.tick(20)
    assert cores.owners(kim) == [1]
    assert (kim.pose.east_cm, kim.pose.north_cm) == DESK
    kim.pose = replace(kim.pose, north_cm=DESK[1] - 200)
    cores.tick(5)
    kim.pose = replace(kim.pose, north_cm=DESK[1] - 380)
    cores.tick(20)
    assert cores.owners(kim) == [0]
    assert (kim.pose.east_cm, kim.pose.north_cm) == from_5179(953796, 1953000)


def test_who_walks_into_a_portal_is_in_the_room() -> None:
    cores = city()
    kim = cores.player(1, metres(-5, 0))
    kim.pose = metres(-7, 0)
    cores.tick(20)
    assert cores.owners(kim) == [1]
    assert (kim.pose.east_cm, kim.pose.north_cm) == DESK


def test_a_full_room_of_another_node_gives_back_the_third_of_two() -> None:
    cores = city()
    people = [cores.player(number, metres(3, number)) for number in (1, 2, 3)]
    for one in people:
        one.say(Go("office"))
        cores.tick(20)
    assert [cores.owners(one) for one in people] == [[1], [1], [0]]
    assert codes(people[2]) == ["place-full"]
    assert (people[2].pose.east_cm, people[2].pose.north_cm) == (YARD_AT[0] + 300, YARD_AT[1] + 300)
    people[2].pose = metres(2.5, 3)
    cores.tick(5)
    assert people[2].pose == metres(2.5, 3)  # it walks on as before
    assert cores.houses[1].node.all_counters()["room-full"] == 1


def test_a_login_does_not_begin_in_a_room_that_is_not_for_it() -> None:
    closed = table(YARD, OFFICE.replace("capacity = 2", 'capacity = 2\naccess = ["role:official"]'))
    cores = city(closed)
    kim = cores.player(1, Pose(*DESK), house=1)
    (welcome,) = kim.of(Welcome)
    heart = landmark("Gwanghwamun Square").position_cm
    assert (welcome.pose.east_cm, welcome.pose.north_cm) == heart
    lee = city().player(2, Pose(*DESK), house=1)
    assert (lee.pose.east_cm, lee.pose.north_cm) == DESK


def test_a_client_that_walks_through_the_wall_is_corrected() -> None:
    cores = city()
    kim = cores.player(1, metres(14, 0))
    kim.pose = metres(16, 0)
    cores.tick()
    assert [correct.reason for correct in kim.of(Correct)] == ["wall"]
    assert kim.pose == metres(14, 0)
    assert cores.houses[0].node.all_counters()["correct-wall"] == 1


@pytest.mark.parametrize("name", ["yard", "마당", "YARD (old)", "Seoul Plaza"])
def test_go_knows_places_and_landmarks(name: str) -> None:
    cores = city()
    kim = cores.player(1, metres(400, 400))
    kim.say(Go(name))
    assert [correct.reason for correct in kim.of(Correct)] == ["go"]


def test_go_to_nowhere() -> None:
    kim = city().player(1, metres(0, 0))
    kim.say(Go("Atlantis"))
    assert codes(kim) == ["no-such-place"]


# ---- the bell


def rings(player: Player) -> int:
    """How often the declared bell has been struck, by what this client was shown last."""
    bell = bell_of(PLACES.by_id["yard"])
    assert bell is not None
    shown = [one for message in player.of(Objects) for one in message.objects if one.id == bell[0]]
    assert {(one.kind, (one.east_cm, one.north_cm)) for one in shown} <= {("bell", bell[1])}
    return shown[-1].count if shown else 0


def test_at_its_time_the_bell_rings_by_itself() -> None:
    cores = city(seconds_after_noon=-2)
    kim = cores.player(1, metres(0, 0))
    cores.tick(20)
    assert rings(kim) == 1  # the first stroke at noon
    cores.tick(80)
    assert rings(kim) == 3
    lee = cores.player(2, metres(2, -4))
    cores.tick(2)
    assert rings(lee) == 3  # it lasts
    assert cores.houses[1].node.all_counters()["programme-steps"] == 0


def done(player: Player) -> Done:
    last: Done = player.of(Done)[-1]
    return last


def test_the_bell_is_struck_by_people_in_a_rehearsal_only() -> None:
    cores = city()
    kim, lee = cores.player(1, metres(0, 0)), cores.player(2, metres(2, -4))
    kim.say(Act(1, "ring"))
    assert (done(kim).durable, done(kim).reason) == ("", "not_now")
    kim.say(Act(2, "start", text="noon"))
    assert done(kim).durable == "started"
    assert (codes(kim), codes(lee)) == (["rehearsal"], ["rehearsal"])
    lee.say(Act(1, "ring"))
    cores.tick(2)
    assert done(lee).durable == "disk"
    cores.tick(60)
    assert rings(kim) == 4  # three of the rehearsal and one by hand
    cores.tick(700)
    lee.say(Act(2, "ring"))
    assert done(lee).reason == "not_now"


def test_a_rehearsal_is_declined_with_a_sentence() -> None:
    cores = city()
    kim = cores.player(1, metres(400, 400))
    kim.say(Act(1, "start", text="noon"))
    assert (done(kim).reason, done(kim).sentence[:12]) == ("not_there", "A rehearsal ")


def test_elsewhere_everybody_rings_as_ever() -> None:
    cores = city()
    kim = cores.player(1, metres(400, 400))
    kim.say(Act(1, "ring"))
    cores.tick(2)
    assert done(kim).durable == "disk"
