"""Ground on its way: what is frozen when, for how long, and what is ready for the map only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from p2pworld.errors import Refusal
from p2pworld.geometry import LEVEL_MAX, ROOT, Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import Instant
from p2pworld.world import citymap
from p2pworld.world.citymap import CityMap, Member, Wish, WishKind
from p2pworld.world.moving import FREEZE_S, Moving, Steps, evacuation
from p2pworld.world.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from p2pworld.world.objects import Objects

REST_S = 2.0
TOGETHER = 64


def member(letter: str) -> Member:
    return Member(letter.encode() * 32, 1, f"tls://{letter}", f"ws://{letter}/play", f"http://{letter}")


A, B, C = member("a"), member("b"), member("c")
HERE, THERE = Cell.from_quadkey("00"), Cell.from_quadkey("01")
PARTS = HERE.children()


def made(result: CityMap | Refusal) -> CityMap:
    assert not isinstance(result, Refusal), result
    return result


def founded(*cells: Cell) -> CityMap:
    """A holds these, B and C are listed."""
    return made(citymap.genesis({A: cells, B: [], C: []}))


def guarded(city: CityMap, guards: Mapping[Cell, Collection[Member]]) -> CityMap:
    for cell, members in guards.items():
        for guard in members:
            city = made(citymap.add_standby(city, [cell], A.who, guard.who))
    return city


def wished(city: CityMap, kind: WishKind, *cells: Cell, to: bytes = b"") -> CityMap:
    return made(citymap.wish(city, dict.fromkeys(cells, Wish(kind, to))))


class Copies:
    """The objects' side: who has been asked to follow what, and what is frozen; the test says what is in step."""

    def __init__(self) -> None:
        self.asked: list[tuple[Cell, Incarnation]] = []
        self.in_step = True
        self.frozen: set[Cell] = set()
        self.thawed: list[Cell] = []
        self.unsettled: set[Cell] = set()

    def brought_in_step(self, cell: Cell, peer: Incarnation, out: Outbox, now: Instant) -> bool:
        self.asked.append((cell, peer))
        return self.in_step

    def freeze(self, cell: Cell) -> None:
        assert cell not in self.frozen
        self.frozen.add(cell)

    def thaw(self, cell: Cell, out: Outbox, now: Instant) -> None:
        self.frozen.remove(cell)
        self.thawed.append(cell)

    def settled(self, cell: Cell) -> bool:
        return cell in self.frozen and cell not in self.unsettled


class Holder:
    """A, whose ground is moved."""

    def __init__(self) -> None:
        self.copies = Copies()
        self.moving = Moving(cast("Objects", self.copies))
        self.now_s = 100.0

    def tick(
        self,
        city: CityMap,
        after_s: float = 0.25,
        *,
        leaving: Mapping[Cell, Incarnation] | None = None,
        reachable: Callable[[Incarnation], bool] = lambda who: True,
        giving: Collection[Cell] = (),
    ) -> Steps:
        self.now_s += after_s
        now = Instant(self.now_s, 0)
        return self.moving.tick(city, A.who, leaving or {}, reachable, giving, Outbox(), now)


@pytest.fixture
def a() -> Holder:
    return Holder()


NOTHING = Steps({}, {}, frozenset(), frozenset())


# ---- moves


def test_nothing_is_wished_and_nothing_is_done(a: Holder) -> None:
    assert a.tick(founded(HERE)) == NOTHING
    assert not a.copies.asked
    assert not a.copies.frozen


def test_a_cell_moves_once_its_next_holder_guards_it_and_it_is_settled(a: Holder) -> None:
    city = wished(founded(HERE, THERE), WishKind.MOVE, HERE, to=B.node)
    a.copies.in_step = False
    assert a.tick(city) == NOTHING, "B has not all of it yet"
    assert a.copies.asked == [(HERE, B.who)]
    a.copies.in_step = True
    assert a.tick(city) == Steps({B.who: frozenset({HERE})}, {}, frozenset(), frozenset())
    assert not a.copies.frozen
    city = guarded(city, {HERE: [B]})
    a.copies.unsettled = {HERE}
    assert a.tick(city) == NOTHING
    assert a.copies.frozen == {HERE}
    a.copies.unsettled = set()
    assert a.tick(city) == Steps({}, {B.who: frozenset({HERE})}, frozenset(), frozenset())


def test_nothing_goes_to_who_is_not_listed_or_not_reached(a: Holder) -> None:
    city = wished(guarded(founded(HERE), {HERE: [B]}), WishKind.MOVE, HERE, to=B.node)
    assert a.tick(city, reachable=lambda who: who != B.who) == NOTHING
    assert a.tick(founded(HERE), leaving={HERE: Incarnation(B.node, 2)}) == NOTHING
    assert not a.copies.asked
    assert not a.copies.frozen


def test_what_is_wished_of_others_ground_is_theirs_to_do(a: Holder) -> None:
    city = made(citymap.genesis({A: [], B: [HERE, *THERE.children()], C: []}))
    city = wished(city, WishKind.MOVE, HERE, to=C.node)
    city = wished(city, WishKind.MERGE, *THERE.children())
    assert a.tick(city) == NOTHING
    assert a.tick(wished(city, WishKind.CUT, HERE)) == NOTHING
    assert not a.copies.asked
    assert not a.copies.frozen


def test_a_node_that_leaves_gives_what_it_would_cut(a: Holder) -> None:
    city = wished(guarded(founded(HERE), {HERE: [B]}), WishKind.CUT, HERE)
    steps = a.tick(city, leaving={HERE: B.who})
    assert steps == Steps({}, {B.who: frozenset({HERE})}, frozenset(), frozenset())


# ---- cutting and merging


@pytest.mark.parametrize("kind", [WishKind.CUT, WishKind.SPLIT])
def test_a_cell_is_cut_once_it_is_settled(a: Holder, kind: WishKind) -> None:
    city = wished(founded(HERE), kind, HERE)
    a.copies.unsettled = {HERE}
    assert a.tick(city) == NOTHING
    a.copies.unsettled = set()
    assert a.tick(city) == Steps({}, {}, frozenset({HERE}), frozenset())


def test_four_parts_are_merged_when_all_are_settled(a: Holder) -> None:
    city = wished(guarded(founded(*PARTS), {key: [B] for key in PARTS}), WishKind.MERGE, *PARTS)
    a.copies.unsettled = {PARTS[2]}
    assert a.tick(city) == NOTHING
    a.copies.unsettled = set()
    assert a.tick(city) == Steps({}, {}, frozenset(), frozenset({HERE}))


def test_three_parts_are_not_merged(a: Holder) -> None:
    city = wished(founded(*PARTS), WishKind.MERGE, *PARTS[:3])
    assert a.tick(city) == NOTHING
    assert not a.copies.frozen


def test_parts_that_are_to_move_are_not_merged_for_that(a: Holder) -> None:
    city = wished(guarded(founded(*PARTS), {part: [B] for part in PARTS}), WishKind.MOVE, *PARTS, to=B.node)
    assert a.tick(city) == Steps({}, {B.who: frozenset(PARTS)}, frozenset(), frozenset())


def test_the_coarsest_cell_is_not_merged_and_the_finest_not_cut(a: Holder) -> None:
    assert a.tick(wished(founded(ROOT), WishKind.MERGE, ROOT)) == NOTHING
    finest = Cell.from_quadkey("0" * LEVEL_MAX)
    assert a.tick(wished(founded(finest), WishKind.SPLIT, finest)) == NOTHING


def test_parts_are_merged_only_with_a_guard_that_follows_all_four(a: Holder) -> None:
    guards = {PARTS[0]: [C], PARTS[1]: [B], PARTS[2]: [B], PARTS[3]: [B, C]}
    city = wished(guarded(founded(*PARTS), guards), WishKind.MERGE, *PARTS)
    a.copies.in_step = False
    assert a.tick(city) == NOTHING
    assert a.copies.asked == [(PARTS[0], B.who)], "it lacks the fewest"
    a.copies.in_step = True
    assert a.tick(city) == Steps({B.who: frozenset({PARTS[0]})}, {}, frozenset(), frozenset())
    a.copies.asked.clear()
    a.tick(city, reachable=lambda who: who != B.who)
    assert a.copies.asked == [(PARTS[1], C.who), (PARTS[2], C.who)]
    assert not a.copies.frozen


def test_a_guard_of_all_four_is_enough_though_it_is_not_reached(a: Holder) -> None:
    city = guarded(founded(*PARTS), {**{key: [B] for key in PARTS}, PARTS[3]: [B, C]})
    steps = a.tick(wished(city, WishKind.MERGE, *PARTS), reachable=lambda who: who != B.who)
    assert steps == Steps({}, {}, frozenset(), frozenset({HERE}))


def test_parts_without_any_guard_are_merged_as_they_are(a: Holder) -> None:
    city = wished(founded(*PARTS), WishKind.MERGE, *PARTS)
    assert a.tick(city) == Steps({}, {}, frozenset(), frozenset({HERE}))


# ---- frozen, and for how long


def test_what_is_frozen_in_vain_is_thawed_and_rests(a: Holder) -> None:
    city = wished(founded(HERE), WishKind.CUT, HERE)
    a.copies.unsettled = {HERE}
    a.tick(city)
    a.tick(city, FREEZE_S)
    assert a.copies.frozen == {HERE}
    a.tick(city, 0.1)
    assert a.copies.thawed == [HERE]
    assert not a.copies.frozen
    a.tick(city, REST_S - 0.1)
    assert not a.copies.frozen, "acts are to have their turn"
    a.tick(city, 0.2)
    assert a.copies.frozen == {HERE}


def test_what_is_wished_no_more_is_thawed_at_once_and_need_not_rest(a: Holder) -> None:
    city = founded(HERE)
    cut = wished(city, WishKind.CUT, HERE)
    a.tick(cut)
    assert a.tick(city) == NOTHING
    assert a.copies.thawed == [HERE]
    a.tick(cut)
    assert a.copies.frozen == {HERE}
    a.tick(cut, FREEZE_S + 0.1)
    assert not a.copies.frozen
    a.tick(city)
    a.tick(cut)
    assert a.copies.frozen == {HERE}, "it rested for a wish that is over"


def test_what_a_proposal_may_yet_give_up_stays_frozen(a: Holder) -> None:
    city = wished(founded(HERE), WishKind.CUT, HERE)
    a.tick(city)
    a.tick(city, 10 * FREEZE_S, giving={HERE})
    a.tick(founded(HERE), giving={HERE})
    assert a.copies.frozen == {HERE}
    a.tick(founded(HERE))
    assert a.copies.thawed == [HERE]


def test_what_is_frozen_for_something_else_is_not_ready(a: Holder) -> None:
    wish_moved = wished(guarded(founded(HERE), {HERE: [B]}), WishKind.MOVE, HERE, to=B.node)
    a.tick(wish_moved)
    unguarded = made(citymap.drop_standby(wish_moved, [HERE], A.who, B.who))
    a.copies.in_step = False
    assert a.tick(unguarded, giving={HERE}) == NOTHING, "B guards it no more"
    assert a.copies.frozen == {HERE}


def test_parts_that_are_still_frozen_are_not_merged_after_their_guard_has_gone(a: Holder) -> None:
    city = wished(guarded(founded(*PARTS), {key: [B] for key in PARTS}), WishKind.MERGE, *PARTS)
    a.tick(city)
    a.copies.in_step = False
    lacking = made(citymap.drop_standby(city, PARTS[:1], A.who, B.who))
    assert a.tick(lacking, giving=PARTS) == NOTHING


def test_ground_that_was_lost_is_not_thawed_and_is_frozen_anew_when_it_is_back(a: Holder) -> None:
    city = wished(guarded(founded(HERE), {HERE: [B]}), WishKind.MOVE, HERE, to=B.node)
    a.tick(city)
    given = made(citymap.hand_over(city, [HERE], A.who, B.who))
    assert a.tick(given) == NOTHING
    assert a.copies.thawed == []
    a.copies.frozen.clear()  # who holds it no more keeps nothing of it
    back = made(citymap.hand_over(given, [HERE], B.who, A.who))
    a.tick(wished(back, WishKind.CUT, HERE))
    assert a.copies.frozen == {HERE}


def test_so_many_cells_are_frozen_at_once_and_no_more(a: Holder) -> None:
    cells = [Cell.from_quadkey("000").children()[0]]
    while len(cells) <= TOGETHER:
        cells = [part for cell in cells for part in cell.children()]
    city = wished(founded(*cells), WishKind.CUT, *cells)
    steps = a.tick(city)
    assert len(a.copies.frozen) == len(steps.cut) == TOGETHER < len(cells)


# ---- where ground goes when all of it is given up


def test_a_leaving_node_gives_each_cell_to_a_guard_or_to_who_is_next_in_turn() -> None:
    city = founded(HERE, THERE)
    turn = city.first_in_turn(HERE, [B.who, C.who])
    (other,) = {B.who, C.who} - {turn}
    city = made(citymap.add_standby(city, [HERE], A.who, other))
    leaving = evacuation(city, A.who, lambda who: True)
    assert leaving == {HERE: other, THERE: city.first_in_turn(THERE, [B.who, C.who])}
    assert evacuation(city, A.who, lambda who: who == turn) == {HERE: turn, THERE: turn}
    assert evacuation(city, A.who, lambda who: False) == {}
