"""Who somebody is, asked across a border."""

from __future__ import annotations

import pytest

from p2pworld.geometry import Cell
from p2pworld.messages import Pose, Profiles, Who
from tests.world.cores import Cores, Player

EAST = Cell.at(3_300_000, 3_300_000, 9)
_WEST_EDGE, _SOUTH, _, _ = EAST.bounds_cm()
THERE, BESIDE = Pose(_WEST_EDGE + 500, _SOUTH + 500), Pose(_WEST_EDGE - 500, _SOUTH + 500)


@pytest.fixture
def cores() -> Cores:
    return Cores([[], [EAST]], 0, 1_750_000_000_000)


def asked(cores: Cores, player: Player, other: Player) -> list[str]:
    """The names that come when one asks about the other, in order."""
    before = len(player.heard)
    player.say(Who((other.avatar,)))
    cores.tick()
    told = [m for m in player.heard[before:] if isinstance(m, Profiles)]
    return [profile.name for message in told for profile in message.profiles]


def test_a_neighbours_new_name_replaces_the_one_that_was_told_before(cores: Cores) -> None:
    kim, lee = cores.player(1, BESIDE), cores.player(2, THERE, house=1)
    cores.tick(3)
    assert asked(cores, kim, lee)[-1] == "Kim"
    lee.name = "Lee"
    cores.tick()
    lee.come(cores.houses[1])
    cores.tick(3)
    assert asked(cores, kim, lee)[-1] == "Lee"


def test_who_moved_next_door_is_asked_for_there(cores: Cores) -> None:
    kim, lee = cores.player(1, BESIDE), cores.player(2, BESIDE)
    cores.tick(3)
    for east_cm in range(BESIDE.east_cm, THERE.east_cm + 1, 100):
        lee.pose = Pose(east_cm, THERE.north_cm)
        cores.tick()
    cores.tick(5)
    assert cores.owners(lee) == [1]
    lee.name = "Lee"
    lee.come(cores.houses[1])
    cores.tick(3)
    assert asked(cores, kim, lee)[-1] == "Lee"


def test_a_question_that_nobody_answers_is_forgotten(cores: Cores) -> None:
    kim, lee = cores.player(1, BESIDE), cores.player(2, THERE, house=1)
    cores.tick(3)
    node = cores.houses[0].node
    node.parts.asked[lee.avatar + 1] = [0]
    cores.tick(60)
    assert node.parts.asked == {}
    assert asked(cores, kim, lee)[-1] == "Kim"
