"""`p2pworld simulate`: many seeds, each a whole city on virtual time, in as many processes as there are cores.

Prints what went wrong as stories, with the command that replays each red seed, and ends with 1 if anything did. The
JSON file has the totals of all seeds and, under `runs`, each seed alone. `trace_hash` is over the seeds' hashes.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from simulations.cluster import CityOptions, as_plain, simulate
from simulations.faults import PRESETS
from simulations.mutants.command import Wanted, hunt_mutants, mutant_options, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command", "run_seeds"]

_SHORTEST_MINUTES: Final = 0.5  # 20 s of it are quiet
_NODES_MAX: Final = 16
_STORIES: Final = 3  # told in full


@dataclass(frozen=True, slots=True)
class _Order:
    """One seed to run; it travels to a worker process."""

    seed: int
    minutes: float
    faults: str
    nodes: int


def _run(order: _Order) -> dict[str, Any]:
    began_s = time.process_time()
    outcome = simulate(order.seed, order.minutes, PRESETS[order.faults], CityOptions(nodes=order.nodes))
    plain = as_plain(outcome)
    plain["core_s"] = round(time.process_time() - began_s, 3)
    return plain


def run_seeds(
    first: int, count: int, minutes: float, faults: str, nodes: int, jobs: int
) -> Iterator[dict[str, Any]]:
    """Each seed's outcome in plain values, in the order of the seeds."""
    orders = [_Order(seed, minutes, faults, nodes) for seed in range(first, first + count)]
    if jobs == 1 or count == 1:
        yield from map(_run, orders)
        return
    with multiprocessing.get_context("spawn").Pool(min(jobs, count)) as pool:
        yield from pool.imap(_run, orders)


def totals(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """What all runs came to together."""
    faults: dict[str, int] = {}
    for run in runs:
        for kind, times in run["faults"].items():
            faults[kind] = faults.get(kind, 0) + times
    hashes = "".join(run["trace_hash"] for run in runs)
    core_s = sum(run["core_s"] for run in runs)
    return {
        "seeds": len(runs),
        "events": sum(run["events"] for run in runs),
        "faults": dict(sorted(faults.items())),
        "handoffs": sum(run["handoffs"] for run in runs),
        "violations": [{"seed": run["seed"], **found} for run in runs for found in run["violations"]],
        "trace_hash": hashlib.blake2b(hashes.encode(), digest_size=16).hexdigest(),
        "sim_s_per_core_s": round(sum(run["seconds"] for run in runs) / max(core_s, 1e-9), 1),
        "runs": runs,
    }


@click.command("simulate")
@click.option("--seed", type=int, default=1, show_default=True, help="The first seed.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many seeds.")
@click.option(
    "--minutes",
    type=click.FloatRange(_SHORTEST_MINUTES),
    default=5.0,
    show_default=True,
    help="Simulated minutes of each run; in the last 20 s nothing new goes wrong.",
)
@click.option("--faults", type=click.Choice(sorted(PRESETS)), default="heavy", show_default=True)
@click.option(
    "--nodes", type=click.IntRange(2, _NODES_MAX), default=4, show_default=True, help="Nodes in each city."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Processes at once; default: one for each core."
)
@click.option(
    "--json",
    "json_file",
    is_flag=False,
    flag_value="-",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write the outcome to this file; to standard output if none is named.",
)
@mutant_options
def command(
    seed: int,
    seeds: int,
    minutes: float,
    faults: str,
    nodes: int,
    jobs: int | None,
    json_file: Path | None,
    mutants: Wanted | None,
) -> None:
    """Run whole cities on virtual time and try to break them.

    Same seed, same run, to the last byte. Ends with 1 if any promise was broken.
    """
    if mutants is not None:
        sys.exit(0 if hunt_mutants(mutants, seed, seeds, jobs, json_file) else 1)
    console = Console(stderr=True)
    runs: list[dict[str, Any]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"simulating {minutes:g} min with {faults} faults", total=seeds)
        for run in run_seeds(seed, seeds, minutes, faults, nodes, jobs or os.cpu_count() or 1):
            runs.append(run)
            if run["violations"]:
                progress.console.print(f"[red]seed {run['seed']}: {len(run['violations'])} violations[/red]")
            progress.advance(task)
    together = totals(runs)
    if json_file is not None:
        write_json(json_file, together)
    _report(together, f"--minutes {minutes:g} --faults {faults} --nodes {nodes}")
    sys.exit(1 if together["violations"] else 0)


def _report(together: dict[str, Any], options: str) -> None:
    console = Console()
    for number, found in enumerate(together["violations"]):
        console.print(
            f"\n[red]seed {found['seed']}, {found['time_s']} s, {found['rule']}[/red]: {found['sentence']}"
        )
        if number < _STORIES:
            for line in found["story"]:
                console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
    for red in sorted({found["seed"] for found in together["violations"]}):
        console.print(f"replay: p2pworld simulate --seed {red} {options}", highlight=False)
    least = {
        name: min(run[name] for run in together["runs"])
        for name in ("handoffs", "crashes_in_handoffs", "lease_expiries")
    }
    console.print(
        f"{together['seeds']} seeds, {together['events']} events, {sum(together['faults'].values())} faults,"
        f" {together['handoffs']} handoffs, {len(together['violations'])} violations\n"
        f"in each at least {least['handoffs']} handoffs, {least['crashes_in_handoffs']} crashes inside handoffs,"
        f" {least['lease_expiries']} lease expiries\n"
        f"trace {together['trace_hash']}, {together['sim_s_per_core_s']} simulated seconds per core-second",
        highlight=False,
    )
