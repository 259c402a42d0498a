"""All mutants, in as many processes as there are cores: who was caught, by what, and whose survival is argued.

Where each was last caught is kept beside (`caught_at.json`), only to be tried first: nothing is believed without being
seen again in this run.
"""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from simulations.mutants.argued import ARGUED
from simulations.mutants.generate import Mutant, mutants
from simulations.mutants.hunt import Attempt, Lines, attempt, attempts, survey

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["CAUGHT_AT", "Verdict", "chosen", "hunt", "remember", "summary", "surveyed"]

CAUGHT_AT: Final = Path(__file__).with_name("caught_at.json")
_TESTS: Final = "tests"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant: caught at a `seed`, or by the tests of its module (None), or argued, or neither."""

    name: str
    table: str
    caught: bool
    seed: int | None
    by: str
    why: str
    argued: str
    core_s: float

    @property
    def is_open(self) -> bool:
        """Whether it survives and nobody says why that is right."""
        return not self.caught and not self.argued


class _Order(NamedTuple):
    mutant: Mutant
    seeds: dict[int, Lines | None]  # with the lines of its module that each seed runs, if surveyed
    first: Attempt | None


def chosen(pattern: str, part: tuple[int, int]) -> list[Mutant]:
    """The mutants whose names contain the pattern; of those, every so many, beginning with a given one."""
    number, of = part
    return [mutant for mutant in mutants() if pattern in mutant.name][number - 1 :: of]


def hunt(wanted: Sequence[Mutant], seeds: Mapping[int, Lines | None], jobs: int) -> Iterator[Verdict]:
    """Each mutant's verdict, as they come. The seeds are green without any; with their lines, or None, if surveyed."""
    known = _known()
    orders = [
        _Order(
            mutant,
            {seed: lines and {mutant.module: lines[mutant.module]} for seed, lines in seeds.items()},
            known.get(mutant.name),
        )
        for mutant in wanted
    ]
    with multiprocessing.get_context("spawn").Pool(min(jobs, max(1, len(orders)))) as pool:
        yield from pool.imap_unordered(_hunt_one, orders)


def surveyed(seeds: Sequence[int], jobs: int) -> dict[int, tuple[str, Lines]]:
    """What is broken at each seed without any mutant (nothing is learned at these), and the lines it runs."""
    with multiprocessing.get_context("spawn").Pool(min(jobs, max(1, len(seeds)))) as pool:
        return dict(zip(seeds, pool.map(survey, seeds, chunksize=1), strict=True))


def remember(verdicts: Sequence[Verdict]) -> None:
    """Keep where each was caught, for who hunts next; what was not hunted this time stays as it was known."""
    names = {mutant.name for mutant in mutants()}
    kept = {name: at for name, at in _read().items() if name in names}
    for verdict in verdicts:
        kept.pop(verdict.name, None)
        if verdict.caught:
            kept[verdict.name] = _TESTS if verdict.seed is None else verdict.seed
    CAUGHT_AT.write_text(
        json.dumps(dict(sorted(kept.items())), ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )


def summary(verdicts: Sequence[Verdict], wall_s: float) -> dict[str, Any]:
    """Everything in plain values; `mutants` in the order of the code."""
    place = {mutant.name: number for number, mutant in enumerate(mutants())}
    return {
        "mutants": [asdict(verdict) for verdict in sorted(verdicts, key=lambda v: place[v.name])],
        "caught_by_seeds": sum(verdict.by == "seed" for verdict in verdicts),
        "caught_by_tests": sum(verdict.by == _TESTS for verdict in verdicts),
        "argued": sum(not verdict.caught and bool(verdict.argued) for verdict in verdicts),
        "open": [verdict.name for verdict in verdicts if verdict.is_open],
        "core_s": round(sum(verdict.core_s for verdict in verdicts), 1),
        "wall_s": round(wall_s, 1),
    }


def _hunt_one(order: _Order) -> Verdict:
    mutant = order.mutant
    core_s = 0.0
    for one in attempts(mutant, order.seeds, order.first):
        ending = attempt(mutant, one)
        core_s += ending.core_s
        if ending.why and (one.seed is not None or _tests_pass(mutant.module)):
            argued = ARGUED.get(mutant.name, "")
            return Verdict(
                mutant.name, mutant.table, True, one.seed, one.kind, ending.why, argued, round(core_s, 2)
            )
    return Verdict(
        mutant.name, mutant.table, False, None, "", "", ARGUED.get(mutant.name, ""), round(core_s, 2)
    )


@cache
def _tests_pass(module: str) -> bool:
    """Whether the tests of a module pass without any mutant; only then they tell of one."""
    return not attempt(None, Attempt(None), module).why


def _known() -> dict[str, Attempt]:
    return {name: Attempt(None if at == _TESTS else int(at)) for name, at in _read().items()}


def _read() -> dict[str, int | str]:
    found: dict[str, int | str] = (
        json.loads(CAUGHT_AT.read_text(encoding="utf-8")) if CAUGHT_AT.exists() else {}
    )
    return found
