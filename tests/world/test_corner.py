"""2 000 people around the point where four nodes' ground meets look the same from each side."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from p2pworld.geometry import Cell
from p2pworld.ids import Login
from p2pworld.messages import Pose
from p2pworld.world.crowd import GHOST, MINE
from tests.world.cores import Cores

if TYPE_CHECKING:
    from numpy.typing import NDArray

CORNER = np.array([66 * 51_200, 64 * 51_200])
SIDE_CM = 12_800
PEOPLE = 2_000
SAMPLED = 300
NEAREST = 32
NEAR_CM = 6_400
LOGIN = Login(1_000, bytes(16))


def crowd(kind: str) -> NDArray[np.int64]:
    """Where everybody stands, in cm: [PEOPLE, 2]."""
    rng = np.random.default_rng(7)
    match kind:
        case "uniform":
            places = rng.uniform(-5_000, 5_000, (PEOPLE, 2))
        case "gaussian":
            places = rng.normal(0, 1_500, (PEOPLE, 2))
        case "groups":
            hearts = rng.uniform(-3_000, 3_000, (40, 2))
            places = hearts[rng.integers(0, 40, PEOPLE)] + rng.normal(0, 150, (PEOPLE, 2))
        case _:
            places = rng.normal(0, 100, (PEOPLE, 2))  # nearly everybody on one point
    return around(places)


def around(places: NDArray[np.float64]) -> NDArray[np.int64]:
    return CORNER + np.clip(np.rint(places), -9_000, 9_000).astype(np.int64)


def four(places: NDArray[np.int64]) -> tuple[Cores, NDArray[np.int64]]:
    """Four nodes with these people, id i + 1 the i-th, after two ticks; and which node each belongs to."""
    west, south = CORNER.tolist()
    corners = [(west - 1, south - 1), (west, south - 1), (west - 1, south), (west, south)]
    cores = Cores([[Cell.at(*corner, 9)] for corner in corners], 0, 1_767_225_600_000)
    home = (places[:, 0] >= west) + 2 * (places[:, 1] >= south)
    for number, (place, at) in enumerate(zip(places.tolist(), home.tolist(), strict=True)):
        house = cores.houses[at].node.parts.crowd
        house.attach(house.add(number + 1, LOGIN, 0, 1, Pose(*place), MINE, cores.now.boot_s), number)
    cores.tick(2)
    return cores, home


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "groups", "point"])
def test_the_nearest_are_known_on_every_side(kind: str) -> None:
    places = crowd(kind)
    cores, home = four(places)
    known = [set(house.node.parts.crowd.row_of) for house in cores.houses]
    found, total = np.zeros(4, np.int64), np.zeros(4, np.int64)
    for i in np.random.default_rng(1).choice(PEOPLE, SAMPLED, replace=False).tolist():
        squared = ((places - places[i]) ** 2).sum(axis=1)
        nearest = squared.argsort(kind="stable")[1 : NEAREST + 1]
        nearest = nearest[squared[nearest] <= NEAR_CM**2]
        # of those at the same distance as the last, any will do
        sure = nearest[squared[nearest] < squared[nearest[-1]]]
        found[home[i]] += sum(int(j) + 1 in known[home[i]] for j in sure)
        total[home[i]] += len(sure)
    assert (total > 20 * SAMPLED / 5).all()
    assert found.sum() / total.sum() >= 0.99
    assert (found >= 0.98 * total).all()


def test_what_neighbours_are_told_grows_with_the_border_and_not_with_the_crowd() -> None:
    told = []
    for people in (2_000, 6_000):
        cores, _ = four(around(np.random.default_rng(3).normal(0, 1_500, (people, 2))))
        told.append(max(len(house.node.parts.crowd.rows(GHOST)) for house in cores.houses))
    assert told[1] < 1.5 * told[0]
