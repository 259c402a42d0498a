"""Many seeds, each a whole city, in as many processes as there are cores; and of a red one, the few faults it needs.

What travels between the processes are plain values: an `Order` there, an outcome as JSON has it back.
"""

from __future__ import annotations

import gc
import hashlib
import math
import multiprocessing
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from simulations.cluster import QUIET_S, City, CityOptions, as_plain
from simulations.faults import Fault, FaultOptions
from simulations.minimise import minimised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Order", "Red", "minimise", "run_seeds", "totals"]

_AFTER_S: Final = 15.0  # with fewer faults the same may go wrong so much later
_ALLOCATED: Final = 20_000  # objects between two looks at the youngest
_RUNS_MAX: Final = 400  # of a minimisation: some minutes


@dataclass(frozen=True, slots=True)
class Order:
    """One city to run: under faults that are drawn, or under exactly those of `only`."""

    seed: int
    minutes: float
    faults: FaultOptions
    options: CityOptions
    only: tuple[Fault, ...] | None = None

    def city(self) -> City:
        """It, before it has begun."""
        return City(self.seed, self.minutes, self.faults, self.options, self.only)


@dataclass(frozen=True, slots=True)
class Red:
    """What a red run came down to: the order with the few faults that are left, and how many runs it took to find."""

    order: Order
    rule: str
    runs: int


def run_seeds(orders: list[Order], jobs: int) -> Iterator[dict[str, Any]]:
    """Each outcome in plain values, in the order of the orders."""
    with _workers(min(jobs, len(orders))) as work:
        yield from work(_run, orders)


def _run(order: Order) -> dict[str, Any]:
    began_s = time.process_time()
    plain = as_plain(order.city().run())
    plain["core_s"] = round(time.process_time() - began_s, 3)
    return plain


def totals(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What all runs came to together."""
    faults: Counter[str] = Counter()
    civic: Counter[str] = Counter()
    for run in runs:
        faults.update(run["faults"])
        civic.update(run["civic"])
    hashes = "".join(run["trace_hash"] for run in runs)
    core_s = sum(run["core_s"] for run in runs)
    return {
        "seeds": len(runs),
        "events": sum(run["events"] for run in runs),
        "faults": dict(sorted(faults.items())),
        "handoffs": sum(run["handoffs"] for run in runs),
        "civic": dict(civic),
        "violations": [{"seed": run["seed"], **found} for run in runs for found in run["violations"]],
        "trace_hash": hashlib.blake2b(hashes.encode(), digest_size=16).hexdigest(),
        "sim_s_per_core_s": round(sum(run["seconds"] for run in runs) / max(core_s, 1e-9), 1),
        "runs": runs,
    }


# ---- what a red run needs


@dataclass(frozen=True, slots=True)
class _Try:
    """Whether this city breaks this rule first, until then."""

    order: Order
    rule: str
    until_s: float


def minimise(order: Order, time_s: float, rule: str, jobs: int, told: Callable[[int, int], None]) -> Red:
    """The few faults that a city needs to break a rule, which it first did at `time_s`.

    `told` hears after each round of how many faults are left at most, and how many runs there were.
    """
    plan = [fault for fault in order.city().ordeal.plan if fault.at_s <= time_s]
    ends = time_s >= order.minutes * 60.0 - QUIET_S  # what is looked at in the end needs the whole run
    until_s = math.inf if ends else time_s + _AFTER_S
    runs = 0
    with _workers(jobs) as work:

        def first_red(tries: list[list[Fault]]) -> int | None:
            nonlocal runs
            for start in range(0, len(tries), jobs):
                some = tries[start : start + jobs]
                if runs + len(some) > _RUNS_MAX:
                    return None
                runs += len(some)
                told(min(map(len, some)), runs)
                orders = [_Try(replace(order, only=tuple(faults)), rule, until_s) for faults in some]
                for place, red in enumerate(list(work(_is_red, orders))):
                    if red:
                        return start + place
            return None

        left = minimised(plan, first_red)
    return Red(replace(order, only=tuple(left)), rule, runs)


def _is_red(one: _Try) -> bool:
    outcome = one.order.city().run(to_first=True, until_s=one.until_s)
    return any(violation.rule == one.rule for violation in outcome.violations)


@contextmanager
def _workers(jobs: int) -> Iterator[Callable[..., Iterator[Any]]]:
    """A map over so many processes, in order; one needs no other process."""
    if jobs == 1:
        yield map
        return
    with multiprocessing.get_context("spawn").Pool(jobs, _leave_be) as pool:
        yield pool.imap


def _leave_be() -> None:
    """Look for garbage that holds itself less often: a city makes little of it, and looking is a tenth of the run."""
    gc.freeze()
    gc.set_threshold(_ALLOCATED, 20, 20)
