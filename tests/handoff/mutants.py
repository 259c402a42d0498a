"""The handoff tables with one thing taken out: a guard, an act, or a whole rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from p2pworld.world.handoff import ROW, SEAT, Act, Guard, RowAt, RowOn, Rule, SeatAt, SeatOn, Tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TABLES = Tables(ROW, SEAT)


class Mutant(NamedTuple):
    """Its name says what is gone: `INVITED ATTACHED 1 - SAME_R` has no SAME_R in the second rule of that pair."""

    name: str
    tables: Tables


def guards() -> Iterator[Mutant]:
    """Each guard of each rule taken out."""
    return _each(_without_guards)


def acts() -> Iterator[Mutant]:
    """Each act of each rule taken out."""
    return _each(_without_acts)


def rules() -> Iterator[Mutant]:
    """Each rule taken out."""
    return _each(lambda rule: iter([("rule", None)]))


def _without_guards(rule: Rule) -> Iterator[tuple[str, Rule | None]]:
    for guard in Guard:
        if guard in rule.guards:
            yield guard.name, replace(rule, guards=rule.guards - {guard})


def _without_acts(rule: Rule) -> Iterator[tuple[str, Rule | None]]:
    for i, act in enumerate(rule.acts):
        assert isinstance(act, Act)
        yield act.name.lower(), replace(rule, acts=rule.acts[:i] + rule.acts[i + 1 :])


def _each(variants: Callable[[Rule], Iterator[tuple[str, Rule | None]]]) -> Iterator[Mutant]:
    for row_key, rules in ROW.items():
        for name, changed in _changed(row_key, rules, variants):
            yield Mutant(name, Tables({**ROW, row_key: changed}, SEAT))
    for seat_key, rules in SEAT.items():
        for name, changed in _changed(seat_key, rules, variants):
            yield Mutant(f"seat {name}", Tables(ROW, {**SEAT, seat_key: changed}))


def _changed(
    key: tuple[RowAt, RowOn] | tuple[SeatAt, SeatOn],
    rules: tuple[Rule, ...],
    variants: Callable[[Rule], Iterator[tuple[str, Rule | None]]],
) -> Iterator[tuple[str, tuple[Rule, ...]]]:
    for i, rule in enumerate(rules):
        for what, changed in variants(rule):
            kept = () if changed is None else (changed,)
            yield f"{key[0].name} {key[1].name} {i} - {what}", (*rules[:i], *kept, *rules[i + 1 :])
