"""The steward's ears: every node is told who stands where, and forgets what is old; a new steward knows it at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.geometry import Cell
from p2pworld.limits import NODE_NAME_CHARACTERS_MAX, REGIONS_TOLD_MAX
from p2pworld.messages import Regions
from p2pworld.world import citymap
from p2pworld.world.balance import BalanceOptions
from p2pworld.world.citymap import CityMap, Member, Wish
from p2pworld.world.steward import Steward

if TYPE_CHECKING:
    from collections.abc import Mapping

HOME = Cell.from_quadkey("31222003")
ONE, TWO, THREE = (Member(letter.encode() * 32, 1, "link", "play", "web") for letter in "abc")


def city() -> CityMap:
    founded = citymap.genesis({ONE: [HOME.children()[0]], TWO: [HOME.children()[1]], THREE: []})
    assert isinstance(founded, CityMap)
    return founded


def test_a_node_tells_its_name_and_its_fullest_ground() -> None:
    steward = Steward(None, "n" * 100)
    people = {Cell.at(400 * number, 0, 14): number + 1 for number in range(REGIONS_TOLD_MAX + 5)}
    counsel = steward.tick(city(), ONE.who, lambda: people, [TWO.who], [], 10.0)
    assert counsel is not None
    assert counsel.report.name == "n" * NODE_NAME_CHARACTERS_MAX
    assert len(counsel.report.cells) == REGIONS_TOLD_MAX
    assert min(counsel.report.people) == 6
    assert steward.tick(city(), ONE.who, lambda: people, [TWO.who], [], 10.5) is None


def test_what_another_told_is_known_for_a_while_and_until_its_link_is_lost() -> None:
    steward = Steward(None)
    assert steward.people_of(TWO.who, 1.0) is None
    steward.heard(TWO.who, Regions((int(HOME),), (7,), "node-2"), 10.0)
    assert steward.people_of(TWO.who, 12.9) == {HOME: 7}
    assert steward.name_of(TWO.who) == "node-2"
    assert steward.people_of(TWO.who, 13.1) is None
    assert steward.name_of(TWO.who) == "node-2"
    steward.lost(TWO.who)
    assert steward.name_of(TWO.who) == ""


def test_whoever_becomes_the_steward_knows_already_who_stands_where() -> None:
    """The first steward dies; the next one, after it has listened, relieves the node that it has long heard of."""
    steward = Steward(BalanceOptions(people_easy=10, people_calm=2))
    here, there = HOME.children()[:2]
    wishes: list[Mapping[Cell, Wish | None]] = []
    for second in range(12):
        steward.heard(THREE.who, Regions((), ()), 100.0 + second)
        dead = [ONE.who] if second > 3 else []
        counsel = steward.tick(
            city(), TWO.who, lambda: {there: 90}, [ONE.who, THREE.who], dead, 100.0 + second
        )
        assert counsel is not None
        wishes.append(counsel.wishes or {})
    assert not any(wishes[:4])
    assert there in wishes[-1]
    assert here not in wishes[-1]
