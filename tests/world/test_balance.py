"""The steward's plan: crowds are cut and spread, calm parts merged, idle nodes get ground, and then it is still."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.world import citymap
from p2pworld.world.balance import BalanceOptions, plan
from p2pworld.world.citymap import CityMap, Member, Wish, WishKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from p2pworld.ids import Incarnation

OPTIONS = BalanceOptions()
ROUNDS_MAX = 60
HOME = Cell.from_quadkey("31222003")  # 256 m


def member(letter: str) -> Member:
    return Member(letter.encode() * 32, 1, "link", "play", "web")


MEMBERS = [member(letter) for letter in "abcdef"]


def made(step: CityMap | Refusal) -> CityMap:
    assert not isinstance(step, Refusal), step
    step.check()
    return step


def founded(nodes: int, regions: int = 4) -> CityMap:
    """Each node holds so many cells of 256 m in a row."""
    cells = [
        Cell.at(HOME.bounds_cm()[0] + i * HOME.side_cm, HOME.bounds_cm()[1], HOME.level)
        for i in range(nodes * regions)
    ]
    dealt = {MEMBERS[i]: cells[i * regions : (i + 1) * regions] for i in range(nodes)}
    return made(citymap.genesis(dealt))


def counted(city: CityMap, points: Sequence[tuple[int, int]]) -> Counter[Cell]:
    return Counter(city.leaf_at(*point) for point in points)


def carried_out(city: CityMap, wishes: Mapping[Cell, Wish | None]) -> CityMap:
    """The map once all holders have done what is wished."""
    for cell, wished in wishes.items():
        city = made(citymap.wish(city, {cell: wished}))
    for cell in city.wished:
        holding = city.cells.get(cell)
        if holding is None or holding.wish is None or holding.holder is None:
            continue
        kind, to = holding.wish
        match kind:
            case WishKind.MOVE:
                target = city.members[to].who
                if target not in holding.standbys:
                    city = made(citymap.add_standby(city, [cell], holding.holder, target))
                city = made(citymap.hand_over(city, [cell], holding.holder, target))
                for standby in city.cells[cell].standbys:
                    city = made(citymap.drop_standby(city, [cell], target, standby))
            case WishKind.MERGE:
                city = made(citymap.merge(city, cell.parent()))
            case _:
                city = made(citymap.split(city, cell))
    return city


def settled(
    city: CityMap, points: Sequence[tuple[int, int]], nodes: Collection[Incarnation] | None = None
) -> CityMap:
    """The map after as many rounds as it takes until nothing is wished any more."""
    who = [m.who for m in city.members.values()] if nodes is None else nodes
    for _ in range(ROUNDS_MAX):
        wishes = plan(city, counted(city, points), who, OPTIONS)
        assert sum(w is not None and w.kind is WishKind.MOVE for w in wishes.values()) <= OPTIONS.moves + 12
        if not wishes:
            return city
        city = carried_out(city, wishes)
    raise AssertionError("the plan never comes to rest")


def weights(city: CityMap, points: Sequence[tuple[int, int]]) -> Counter[Incarnation | None]:
    found: Counter[Incarnation | None] = Counter()
    for cell, people in counted(city, points).items():
        found[city.holder_of(cell)] += people
    return found


def crowd(at: tuple[int, int], people: int, radius_cm: int) -> list[tuple[int, int]]:
    """People evenly over a square."""
    side = max(1, round(people**0.5))
    step = max(1, 2 * radius_cm // side)
    return [
        (at[0] - radius_cm + (i % side) * step, at[1] - radius_cm + (i // side) * step) for i in range(people)
    ]


def test_where_few_people_are_nothing_moves() -> None:
    city = founded(4)
    assert settled(city, crowd(HOME.centre_cm, OPTIONS.people_easy, 3_000)) == city


def test_a_crowd_on_one_square_ends_on_three_nodes_or_more_and_then_all_comes_back() -> None:
    city = founded(4)
    points = crowd(HOME.centre_cm, 2_000, 2_500)
    spread = settled(city, points)
    loads = weights(spread, points)
    assert len(loads) >= 3
    assert max(loads.values()) <= 1.4 * 2_000 / 4 + 1
    assert {len(city.cells_of(m.who)) for m in city.members.values()} == {4}
    calm = settled(spread, points[:20])
    assert set(calm.cells) == set(city.cells)


def test_people_on_one_point_are_cut_no_finer_than_is_of_use() -> None:
    city = founded(3)
    spread = settled(city, [HOME.centre_cm] * 3_000)
    assert max(cell.level for cell in spread.cells) <= OPTIONS.level_max


def test_pinned_ground_and_that_of_nodes_not_known_to_be_well_is_left_alone() -> None:
    city = founded(3)
    points = crowd(HOME.centre_cm, 2_000, 2_500)
    home = city.leaf_at(*HOME.centre_cm)
    pinned = made(citymap.pin(city, [home], True))
    assert plan(pinned, counted(city, points), [m.who for m in city.members.values()], OPTIONS) == {}
    others = [m.who for m in MEMBERS[1:3]]
    assert plan(city, counted(city, points), others, OPTIONS) == {}
    draining = made(citymap.drain(city, MEMBERS[1].node, True))
    spread = settled(draining, points)
    assert weights(spread, points)[MEMBERS[1].who] == 0


def test_a_wish_that_leads_to_a_node_that_is_not_well_is_taken_back() -> None:
    city = founded(3)
    cell = city.cells_of(MEMBERS[0].who)[0]
    asked = made(citymap.wish(city, {cell: Wish(WishKind.MOVE, MEMBERS[2].node)}))
    assert plan(asked, {}, [m.who for m in MEMBERS[:2]], OPTIONS) == {cell: None}
    assert plan(asked, {}, [m.who for m in MEMBERS[:3]], OPTIONS) == {}


def test_a_node_that_comes_anew_gets_up_to_half_its_share_and_no_crowd() -> None:
    city = made(citymap.join(founded(3, 8), MEMBERS[3]))
    points = crowd(HOME.centre_cm, 200, 3_000)
    after = settled(city, points)
    assert len(after.cells_of(MEMBERS[3].who)) == 3  # of 24 regions on 4 nodes
    assert after.holder_of(after.leaf_at(*HOME.centre_cm)) == MEMBERS[0].who


@pytest.mark.parametrize("nodes", [1, 2, 6])
def test_without_people_a_city_is_at_rest(nodes: int) -> None:
    city = founded(nodes)
    assert plan(city, {}, [m.who for m in city.members.values()], OPTIONS) == {}


@settings(max_examples=30)
@given(
    st.integers(2, 5),
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 900), st.integers(0, 10_000)), max_size=4),
)
def test_from_any_crowds_the_plan_comes_to_rest_and_leaves_nobody_with_far_too_much(
    nodes: int, crowds: list[tuple[int, int, int]]
) -> None:
    city = founded(nodes)
    west, south = HOME.bounds_cm()[:2]
    points = [
        point
        for column, people, radius in crowds
        for point in crowd((west + column * HOME.side_cm + 12_800, south + 12_800), people, radius)
    ]
    spread = settled(city, points)
    loads = weights(spread, points)
    del loads[None]  # on ground that nobody holds
    mean = sum(loads.values()) / nodes
    finest = max(
        (people for cell, people in counted(spread, points).items() if cell.level >= OPTIONS.level_max),
        default=0,
    )
    assert max(loads.values(), default=0) <= max(OPTIONS.people_easy, OPTIONS.heavy * mean) + finest
    assert settled(spread, []).cells.keys() == city.cells.keys()
