"""`p2pworld simulate`: many seeds, each a whole city on virtual time, in as many processes as there are cores.

Prints what went wrong as stories, with the command that replays each red seed, and ends with 1 if anything did. The
first red seed is run again under fewer and fewer faults, until none of those left can be spared; they, and the story
under them alone, are told last. The JSON file has the totals of all seeds and, under `runs`, each seed alone.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from shard_node.options import OutputFile, Quantity
from simulations.cluster import CityOptions
from simulations.faults import PRESETS, Fault, as_fault, as_plain
from simulations.mutants.command import Wanted, hunt_mutants, mutant_options, write_json
from simulations.seeds import Order, Red, minimise, run_seeds, totals

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]

_SHORTEST_MINUTES: Final = 0.5  # 20 s of it are quiet
_NODES_MAX: Final = 16
_STORIES: Final = 3  # told in full
_INLINE_MAX: Final = 12  # faults that a command line still holds


class _Faults(click.ParamType["tuple[Fault, ...]"]):
    """A list of faults as JSON: in a file, or here."""

    name = "file or JSON"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Fault, ...]:
        try:
            text = value if value.lstrip().startswith("[") else Path(value).read_text(encoding="utf-8")
            plain = json.loads(text)
            return tuple(map(as_fault, plain["faults"] if isinstance(plain, dict) else plain))
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.fail(f"no list of faults: {error}", param, ctx)


@click.command("simulate")
@click.option("--seed", type=int, default=1, show_default=True, help="The first seed.")
@click.option("--seeds", type=click.IntRange(1), default=1, show_default=True, help="How many seeds.")
@click.option(
    "--minutes",
    type=Quantity(_SHORTEST_MINUTES),
    default=5.0,
    show_default=True,
    help="Simulated minutes of each run; in the last 20 s nothing new goes wrong.",
)
@click.option("--faults", type=click.Choice(sorted(PRESETS)), default="heavy", show_default=True)
@click.option(
    "--faults-per-hour",
    type=Quantity(0.0, 36_000.0),
    help="So many faults of nodes, network, store, disks and clocks in a simulated hour, in the mixture of --faults.",
)
@click.option(
    "--nodes", type=click.IntRange(2, _NODES_MAX), default=4, show_default=True, help="Nodes in each city."
)
@click.option(
    "--only-faults", type=_Faults(), help="Exactly these faults, as a red seed's replay names them."
)
@click.option(
    "--jobs", type=click.IntRange(1), default=None, help="Processes at once; default: one for each core."
)
@click.option(
    "--minimise/--no-minimise", default=True, help="Find the few faults that the first red seed needs."
)
@click.option(
    "--json",
    "json_file",
    is_flag=False,
    flag_value="-",
    type=OutputFile(allow_dash=True),
    help="Write the outcome to this file; to standard output if none is named.",
)
@click.option(
    "--story",
    "story_file",
    type=OutputFile(),
    help="Write all that happened here: in the first red seed under its few faults, or in the first seed.",
)
@mutant_options
def command(
    seed: int,
    seeds: int,
    minutes: float,
    faults: str,
    faults_per_hour: float | None,
    nodes: int,
    only_faults: tuple[Fault, ...] | None,
    jobs: int | None,
    minimise: bool,
    json_file: Path | None,
    story_file: Path | None,
    mutants: Wanted | None,
) -> None:
    """Run whole cities on virtual time and try to break them.

    Same seed, same run, to the last byte. Ends with 1 if any promise was broken.
    """
    if mutants is not None:
        sys.exit(0 if hunt_mutants(mutants, seed, seeds, jobs, json_file) else 1)
    options = PRESETS[faults] if faults_per_hour is None else PRESETS[faults].at_rate(faults_per_hour)
    city = CityOptions(nodes=nodes)
    orders = [Order(number, minutes, options, city, only_faults) for number in range(seed, seed + seeds)]
    jobs = jobs or os.cpu_count() or 1
    rate = f"{options.major_per_hour():.0f} faults an hour" if only_faults is None else "given faults"
    runs = _run_all(orders, jobs, f"simulating {minutes:g} min with {rate}")
    together = totals(runs)
    replay = f"--minutes {minutes:g} --faults {faults} --nodes {nodes}"
    replay += "" if faults_per_hour is None else f" --faults-per-hour {faults_per_hour:g}"
    _report(together, replay + _given(only_faults))
    told = orders[0]
    if together["violations"]:
        first = together["violations"][0]
        told = orders[first["seed"] - seed]
        if minimise and first["rule"] != "broken":
            red = _minimise(told, first, jobs)
            together["minimised"] = [as_plain(fault) for fault in red.order.only or ()]
            _report_red(red, replay, len(told.city().ordeal.plan))
            told = red.order
    if story_file is not None:
        story_file.write_text("\n".join(_whole_story(told)) + "\n", encoding="utf-8")
    if json_file is not None:
        write_json(json_file, together)
    sys.exit(1 if together["violations"] else 0)


def _run_all(orders: list[Order], jobs: int, title: str) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=len(orders))
        for run in run_seeds(orders, jobs):
            runs.append(run)
            if run["violations"]:
                progress.console.print(f"[red]seed {run['seed']}: {len(run['violations'])} violations[/red]")
            progress.advance(task)
    return runs


def _minimise(order: Order, violation: dict[str, Any], jobs: int) -> Red:
    with Progress(
        TextColumn("{task.description}"), TimeElapsedColumn(), console=Console(stderr=True)
    ) as progress:
        task = progress.add_task("looking for the faults it needs")

        def told(left: int, runs: int) -> None:
            progress.update(task, description=f"looking for the faults it needs: {left} or more, {runs} runs")

        return minimise(order, violation["time_s"], violation["rule"], jobs, told)


def _given(faults: tuple[Fault, ...] | None) -> str:
    """The option under which a command line means these faults, where they were given; a long list stays a file."""
    if faults is None:
        return ""
    plain = json.dumps([as_plain(fault) for fault in faults])
    return f" --only-faults '{plain}'" if len(faults) <= _INLINE_MAX else " --only-faults FILE"


def _whole_story(order: Order) -> Sequence[str]:
    city = order.city()
    outcome = city.run()
    broken = [f"{found.time_s:10.3f} s # {found.rule}: {found.sentence}" for found in outcome.violations]
    return [*city.trace.story((), sys.maxsize), *broken]


def _report(together: dict[str, Any], options: str) -> None:
    console = Console()
    for number, found in enumerate(together["violations"]):
        console.print(
            f"\n[red]seed {found['seed']}, {found['time_s']} s, {found['rule']}[/red]: {found['sentence']}"
        )
        if number < _STORIES:
            _tell(console, found["story"])
    for red in sorted({found["seed"] for found in together["violations"]}):
        line = f"replay: p2pworld simulate --seed {red} {options}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    least = {
        name: min(run[name] for run in together["runs"])
        for name in ("handoffs", "crashes_in_handoffs", "lease_expiries")
    }
    console.print(
        f"{together['seeds']} seeds, {together['events']} events, {sum(together['faults'].values())} faults,"
        f" {together['handoffs']} handoffs, {together['civic'].get('accepted', 0)} civic transactions accepted,"
        f" {len(together['violations'])} violations\n"
        f"in each at least {least['handoffs']} handoffs, {least['crashes_in_handoffs']} crashes inside handoffs,"
        f" {least['lease_expiries']} lease expiries\n"
        f"trace {together['trace_hash']}, {together['sim_s_per_core_s']} simulated seconds per core-second",
        highlight=False,
    )


def _report_red(red: Red, options: str, before: int) -> None:
    """The few faults, how to replay them, and the story under them."""
    console = Console()
    few = red.order.only or ()
    console.print(
        f"\nof its {before} faults seed {red.order.seed} needs {len(few)} to break {red.rule} ({red.runs} runs):",
        highlight=False,
    )
    _tell(console, [str(fault) for fault in few])
    if len(few) <= _INLINE_MAX:
        line = f"replay: p2pworld simulate --seed {red.order.seed} {options}{_given(few)}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    outcome = red.order.city().run(to_first=True)
    for found in outcome.violations:
        console.print(f"{found.time_s} s, {found.rule}: {found.sentence}", markup=False, highlight=False)
        _tell(console, found.story)


def _tell(console: Console, lines: Sequence[str]) -> None:
    for line in lines:
        console.print(f"    {line}", markup=False, highlight=False, soft_wrap=True)
