"""A node that hears nobody: when it gives up its ground, and when not."""

from __future__ import annotations

from typing import Any

import pytest

from p2pworld.geometry import Cell
from p2pworld.limits import DEAF_S
from p2pworld.messages import Bye, Pose
from p2pworld.world.ownership import Register
from tests.world.cores import TICK_MS, Cores, House
from tests.world.test_places_nodes import NOON

EAST = Cell.at(3_400_000, 3_300_000, 10)  # 64 m that are the second node's
INSIDE = Pose(*EAST.centre_cm)
TICKS = round(DEAF_S * 1000 / TICK_MS)


class Asking(Cores):
    """The same, noting who asks the store for another incarnation; such a request is never answered."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.renewing = True
        super().__init__([[], [EAST]], 0, int(NOON.timestamp()) * 1000)
        self.begun.clear()

    def _answer(self, house: House, request: object) -> Any:
        if isinstance(request, Register):
            self.begun.append((house.number, request.ends))
        if not self.renewing:
            self.renewed -= 1  # a read shows the same counters as the one before
        return super()._answer(house, request)


@pytest.fixture
def cores() -> Asking:
    return Asking()


def test_whoever_hears_neither_clients_nor_neighbours_begins_anew_and_ends_its_lease_at_once(
    cores: Asking,
) -> None:
    kim = cores.player(1, INSIDE, house=1)
    kim.walks = False
    cores.link(cut={1: True})
    cores.tick(TICKS - 1)
    assert cores.begun == []
    cores.tick(2)
    assert cores.begun == [(1, 1)]
    assert [bye.code for bye in kim.of(Bye)] == ["again"]
    cores.tick(3 * TICKS)
    assert cores.begun == [(1, 1)], "once is enough"


@pytest.mark.parametrize("heard", ["client", "neighbour"])
def test_one_word_of_anybody_is_enough(cores: Asking, heard: str) -> None:
    kim = cores.player(1, INSIDE, house=1)
    kim.walks = heard == "client"
    if heard == "client":
        cores.link(cut={1: True})
    cores.tick(3 * TICKS)
    assert cores.begun == []


def test_a_node_whose_neighbours_have_died_keeps_its_ground(cores: Asking) -> None:
    kim = cores.player(1, INSIDE, house=1)
    kim.walks = False
    cores.link(cut={1: True})
    cores.renewing = False
    cores.tick(TICKS + 2)
    assert cores.begun == []


def test_a_node_without_clients_keeps_its_ground(cores: Asking) -> None:
    cores.link(cut={1: True})
    cores.tick(3 * TICKS)
    assert cores.begun == []


def test_time_in_which_it_did_not_run_does_not_count(cores: Asking) -> None:
    kim = cores.player(1, INSIDE, house=1)
    kim.walks = False
    cores.link(cut={1: True})
    cores.tick(TICKS - 2)
    cores.now = cores.now._replace(boot_s=cores.now.boot_s + 60.0)
    cores.tick()
    assert cores.begun == []
