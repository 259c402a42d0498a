"""All mutants, in as many processes as there are cores: who was caught, by what, and whose survival is argued.

Where each was last caught is kept beside (`caught_at.json`: a seed, or the name of a test), and tried first: nothing is
believed without being seen again in this run. What is argued is let loose at one seed only. So a hunt of known mutants
costs one attempt each, and only for what is left the seeds are looked at, which costs more than all the known ones of
a small part.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import defaultdict
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from simulations.mutants.argued import ARGUED
from simulations.mutants.generate import Mutant, mutants
from simulations.mutants.hunt import Attempt, Ending, Lines, attempt, attempts, seed_for, survey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from multiprocessing.pool import Pool

__all__ = ["CAUGHT_AT", "Verdict", "chosen", "hunt", "remember", "summary"]

CAUGHT_AT: Final = Path(__file__).with_name("caught_at.json")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one mutant: caught at a `seed`, or (None) by a `test` of its module, or argued, or neither.

    `argued` is the reason why it may live, empty if none is given.
    """

    name: str
    table: str
    caught: bool
    seed: int | None
    by: str
    why: str
    test: str
    argued: str
    core_s: float

    @property
    def is_open(self) -> bool:
        """Whether it survives and nobody says why that is right."""
        return not self.caught and not self.argued


class _Order(NamedTuple):
    mutant: Mutant
    attempts: tuple[Attempt, ...]
    spent_core_s: float = 0.0  # on what was tried before


def chosen(pattern: str, part: tuple[int, int]) -> list[Mutant]:
    """The mutants whose names contain the pattern; of those, every so many, beginning with a given one."""
    number, of = part
    return [mutant for mutant in mutants() if pattern in mutant.name][number - 1 :: of]


def hunt(
    wanted: Sequence[Mutant], seeds: Sequence[int], jobs: int, tell: Callable[[str], None]
) -> Iterator[Verdict]:
    """Each mutant's verdict, as they come; `tell` hears of seeds at which nothing can be learned."""
    with multiprocessing.get_context("spawn").Pool(min(jobs, max(1, len(wanted)))) as pool:
        left: dict[str, _Order] = {}
        sure = _sure(pool, wanted, seeds)
        firsts = [_Order(mutant, sure.get(mutant.name, ())) for mutant in wanted]
        for order, verdict in pool.imap_unordered(_hunt_one, firsts):
            if verdict.is_open:
                left[verdict.name] = order._replace(spent_core_s=verdict.core_s)
            else:
                yield verdict
        if left:
            lines = _surveyed(pool, seeds, tell)
            orders = [
                left[mutant.name]._replace(attempts=tuple(attempts(mutant, _of_module(lines, mutant.module))))
                for mutant in wanted
                if mutant.name in left
            ]
            yield from (verdict for _, verdict in pool.imap_unordered(_hunt_one, orders))


def _sure(pool: Pool, wanted: Sequence[Mutant], seeds: Sequence[int]) -> dict[str, tuple[Attempt, ...]]:
    """The one attempt at each mutant that is known or argued, where without a mutant it ends as it should."""
    known = _known()
    planned = {
        mutant.name: one if one.seed is None else seed_for(mutant, one.seed)
        for mutant in wanted
        if (one := known.get(mutant.name)) is not None
    }
    for mutant in wanted:
        if mutant.name in ARGUED:
            planned.setdefault(mutant.name, seed_for(mutant, seeds[0]))
    modules = {mutant.name: mutant.module for mutant in wanted}
    tests: defaultdict[str, set[str]] = defaultdict(set)
    for name, one in planned.items():
        tests[modules[name]].update(one.tests)
    plain = [(one, "") for one in sorted({one for one in planned.values() if one.seed is not None})]
    plain += [(Attempt(None, tuple(sorted(ids))), module) for module, ids in tests.items() if ids]
    wrong = {
        checked for checked, ending in zip(plain, pool.starmap(_plain, plain), strict=True) if ending.why
    }
    return {
        name: (one,)
        for name, one in planned.items()
        if not any(one == bad if one.seed is not None else module == modules[name] for bad, module in wrong)
    }


def _plain(one: Attempt, module: str) -> Ending:
    return attempt(None, one, module)


def _of_module(lines: Mapping[int, Lines], module: str) -> dict[int, Lines]:
    return {seed: {module: of[module]} for seed, of in lines.items()}


def _surveyed(pool: Pool, seeds: Sequence[int], tell: Callable[[str], None]) -> dict[int, Lines]:
    """The lines that each seed runs without any mutant; without those that are red even so."""
    lines: dict[int, Lines] = {}
    for seed, (why, of) in zip(seeds, pool.map(survey, seeds, chunksize=1), strict=True):
        if why:
            tell(f"seed {seed} is red without any mutant and is left out: {why}")
        else:
            lines[seed] = of
    return lines


def remember(verdicts: Sequence[Verdict]) -> None:
    """Keep where each was caught, for who hunts next; what was not hunted this time stays as it was known."""
    names = {mutant.name for mutant in mutants()}
    kept = {name: at for name, at in _read().items() if name in names}
    for verdict in verdicts:
        kept.pop(verdict.name, None)
        if verdict.caught:
            kept[verdict.name] = verdict.test if verdict.seed is None else verdict.seed
    CAUGHT_AT.write_text(
        json.dumps(dict(sorted(kept.items())), ensure_ascii=False, indent=0) + "\n", encoding="utf-8"
    )


def summary(verdicts: Sequence[Verdict], wall_s: float) -> dict[str, Any]:
    """Everything in plain values; `mutants` in the order of the code."""
    place = {mutant.name: number for number, mutant in enumerate(mutants())}
    return {
        "mutants": [asdict(verdict) for verdict in sorted(verdicts, key=lambda v: place[v.name])],
        "caught_by_seeds": sum(verdict.by == "seed" for verdict in verdicts),
        "caught_by_tests": sum(verdict.by == "tests" for verdict in verdicts),
        "argued": sum(not verdict.caught and bool(verdict.argued) for verdict in verdicts),
        "open": [verdict.name for verdict in verdicts if verdict.is_open],
        "core_s": round(sum(verdict.core_s for verdict in verdicts), 1),
        "wall_s": round(wall_s, 1),
    }


def _hunt_one(order: _Order) -> tuple[_Order, Verdict]:
    mutant, core_s = order.mutant, order.spent_core_s
    argued = ARGUED.get(mutant.name, "")
    for one in order.attempts:
        ending = attempt(mutant, one)
        core_s += ending.core_s
        if ending.why and (one.seed is not None or one.tests or _tests_pass(mutant.module)):
            caught = True, one.seed, one.kind, ending.why, ending.test
            return order, Verdict(mutant.name, mutant.table, *caught, argued, round(core_s, 2))
    return order, Verdict(mutant.name, mutant.table, False, None, "", "", "", argued, round(core_s, 2))


@cache
def _tests_pass(module: str) -> bool:
    """Whether the tests of a module pass without any mutant; only then they tell of one."""
    return not attempt(None, Attempt(None), module).why


def _known() -> dict[str, Attempt]:
    return {
        name: Attempt(at) if isinstance(at, int) else Attempt(None, (at,)) for name, at in _read().items()
    }


def _read() -> dict[str, int | str]:
    found: dict[str, int | str] = (
        json.loads(CAUGHT_AT.read_text(encoding="utf-8")) if CAUGHT_AT.exists() else {}
    )
    return found
