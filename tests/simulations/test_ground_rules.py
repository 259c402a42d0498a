"""The rules for ground see each way of losing a copy or an epoch, and nothing wrong in what the real steps do."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.world import citymap
from p2pworld.world.citymap import CityMap, Holding, Member
from simulations.ground_rules import broken, overlap

if TYPE_CHECKING:
    from collections.abc import Callable

A, B, C = (Member(name * 32, 1, "tls://x", "ws://x/play", "http://x") for name in (b"a", b"b", b"c"))
ONE, OTHER = Cell.from_quadkey("00"), Cell.from_quadkey("01")


def made(result: CityMap | Refusal) -> CityMap:
    assert not isinstance(result, Refusal), result
    return result


def city() -> CityMap:
    """A holds 00 and 01 and B guards both; C is there."""
    founded = made(citymap.genesis({A: [ONE, OTHER], B: [], C: []}))
    return made(citymap.add_standby(founded, [ONE, OTHER], A.who, B.who))


def without(city: CityMap, cell: Cell, **changed: object) -> CityMap:
    return replace(city, cells={**city.cells, cell: replace(city.cells[cell], **changed)})  # type: ignore[arg-type]


STEPS: dict[str, Callable[[CityMap], CityMap | Refusal]] = {
    "split": lambda city: citymap.split(city, ONE),
    "split and merged": lambda city: citymap.merge(made(citymap.split(city, ONE)), ONE),
    "handed over": lambda city: citymap.hand_over(city, [ONE], A.who, B.who),
    "failed over": lambda city: citymap.fail_over(city, A.who, B.who),
    "joined again": lambda city: citymap.join(
        made(citymap.drop_standby(city, [ONE, OTHER], A.who, B.who)), replace(A, incarnation=2)
    ),
    "guarded by more": lambda city: citymap.add_standby(city, [ONE], A.who, C.who),
    "guarded by fewer": lambda city: citymap.drop_standby(city, [ONE], A.who, B.who),
    "claimed": lambda city: citymap.claim(city, C.who, [Cell.from_quadkey("3")]),
    "of a new generation": citymap.new_generation,
}


@pytest.mark.parametrize("name", STEPS)
def test_what_the_real_steps_do_is_in_order(name: str) -> None:
    before = city()
    assert [*broken(before.cells, made(STEPS[name](before)))] == []


def _cut_alone(city: CityMap) -> CityMap:
    parts = dict.fromkeys(ONE.children(), replace(city.cells[ONE], standbys=()))
    return replace(city, cells={**{c: h for c, h in city.cells.items() if c != ONE}, **parts})


BROKEN: dict[str, tuple[Callable[[CityMap], CityMap], str]] = {
    "a stranger guards": (
        lambda city: without(city, ONE, standbys=(replace(C, incarnation=2).who,)),
        "nobody who is a member",
    ),
    "older": (lambda city: without(city, ONE, epoch=0), "older epoch"),
    "old epoch": (
        lambda city: without(city, ONE, holder=B.who, standbys=(A.who,)),
        "under its old epoch",
    ),
    "no copy": (
        lambda city: without(city, ONE, holder=C.who, epoch=city.version + 1, standbys=(A.who,)),
        "did not guard it",
    ),
    "given away": (
        lambda city: without(city, ONE, holder=B.who, epoch=city.version + 1, standbys=()),
        "does not guard it from then on",
    ),
    "cut alone": (_cut_alone, "loses its standbys"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_a_rule_is_said(name: str) -> None:
    change, said = BROKEN[name]
    before = city()
    sentences = [*broken(before.cells, change(before))]
    assert sentences
    assert all(said in sentence for sentence in sentences)


def test_ground_without_a_copy_is_anybody_s() -> None:
    before = made(citymap.genesis({A: [ONE], C: []}))
    lost = without(before, ONE, holder=C.who, epoch=before.version + 1, standbys=(A.who,))
    assert [
        *broken({ONE: Holding(A.who, before.cells[ONE].epoch)}, replace(lost, cells={ONE: lost.cells[ONE]}))
    ] == []


def test_ground_overlaps_where_a_cell_is_or_holds_one_of_the_others() -> None:
    cells = [Cell.from_quadkey(text) for text in ("root", "0", "00", "01", "013", "1", "132")]
    for one in cells:
        for other in cells:
            assert overlap([one], [other]) == (one.contains(other) or other.contains(one)), (one, other)
    assert overlap([ONE, OTHER], [Cell.from_quadkey("1"), Cell.from_quadkey("013")])
    assert not overlap([ONE], [OTHER])
    assert not overlap([], [ONE])
