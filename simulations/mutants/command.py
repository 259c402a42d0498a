"""`p2pworld simulate --mutants`: hunts them, says who survives, and ends with 1 if a survivor is not argued."""

from __future__ import annotations

import json
import os
import time
from functools import wraps
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from click.core import ParameterSource
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from simulations.mutants.run import Verdict, chosen, hunt, remember, summary

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Wanted", "hunt_mutants", "mutant_options", "write_json"]

_SEEDS: Final = 10  # for each mutant, unless another number is asked for
_TOLD_EVERY: Final = 50  # mutants, where there is no bar to be drawn


class Wanted(NamedTuple):
    """Which mutants to hunt: of those whose names contain `only`, every `of`-th from the `part`-th on.

    `seeds_given` is whether the number of seeds was asked for; `note` keeps where each was caught.
    """

    only: str
    part: int
    of: int
    seeds_given: bool
    note: bool


class _Part(click.ParamType[tuple[int, int]]):
    name = "I/N"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        number, _, of = str(value).partition("/")
        if not (number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
            self.fail(f"{value} is no part such as 1/20", param, ctx)
        return int(number), int(of)


def mutant_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of a hunt, handed to the command as `mutants`: a `Wanted`, or None if none is asked for."""

    @click.option("--mutants", "hunting", is_flag=True, help="Hunt changed copies of the code instead.")
    @click.option("--only", default="", metavar="TEXT", help="Mutants with this in their names only.")
    @click.option("--part", type=_Part(), default="1/1", help="The I-th of N parts of the mutants.")
    @click.option("--note", is_flag=True, help="Keep where each mutant was caught, to be tried first.")
    @wraps(command)
    def with_options(*, hunting: bool, only: str, part: tuple[int, int], note: bool, **others: Any) -> None:
        ctx = click.get_current_context()
        given = ctx.get_parameter_source("seeds") is not ParameterSource.DEFAULT
        command(**others, mutants=Wanted(only, *part, given, note) if hunting else None)

    return with_options


def write_json(file: Path, plain: dict[str, Any]) -> None:
    """Write it there, or to standard output if the file is `-`."""
    text = json.dumps(plain, ensure_ascii=False, indent=1)
    if str(file) == "-":
        click.echo(text)
    else:
        file.write_text(text + "\n", encoding="utf-8")


def hunt_mutants(wanted: Wanted, seed: int, count: int, jobs: int | None, json_file: Path | None) -> bool:
    """Hunt these mutants at `count` seeds each, from `seed` on; whether all are caught or argued."""
    seeds = range(seed, seed + (count if wanted.seeds_given else _SEEDS))
    console = Console(stderr=True)
    began_s = time.monotonic()
    mutants = chosen(wanted.only, (wanted.part, wanted.of))
    if not mutants:
        raise click.UsageError(
            f"No mutant of part {wanted.part}/{wanted.of} has {wanted.only!r} in its name: give another --only."
        )
    verdicts: list[Verdict] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("hunting mutants", total=len(mutants))

        def tell(sentence: str) -> None:
            progress.console.print(sentence, style="yellow", markup=False, soft_wrap=True)

        for verdict in hunt(mutants, seeds, jobs or os.cpu_count() or 1, tell):
            verdicts.append(verdict)
            if verdict.is_open:
                progress.console.print(f"survives: {verdict.name}", style="red", markup=False, soft_wrap=True)
            progress.advance(task)
            if not console.is_terminal and len(verdicts) % _TOLD_EVERY == 0:
                core_s = sum(one.core_s for one in verdicts)
                tell(f"{len(verdicts)} of {len(mutants)} mutants, {core_s:.0f} s of processor time")
    if wanted.note:
        remember(verdicts)
    together = summary(verdicts, time.monotonic() - began_s)
    if json_file is not None:
        write_json(json_file, together)
    if json_file is None or str(json_file) != "-":
        _report(verdicts, together["core_s"], together["wall_s"])
    return not together["open"]


def _report(verdicts: list[Verdict], core_s: float, wall_s: float) -> None:
    console = Console()
    survivors = Table("survives", "argument", show_lines=True)
    for verdict in sorted(verdicts, key=lambda one: one.name):
        if not verdict.caught:
            survivors.add_row(verdict.name, verdict.argued or "[red]none[/red]")
        elif verdict.argued:
            console.print(f"argued and yet caught ({verdict.why}): {verdict.name}", highlight=False)
    if survivors.row_count:
        console.print(survivors)
    counts = Table("table", "mutants", "caught by seeds", "by tests", "argued", "open")
    tables = list(dict.fromkeys(verdict.table for verdict in verdicts))
    for table in [*tables, ""]:
        of = [verdict for verdict in verdicts if not table or verdict.table == table]
        row = (
            len(of),
            sum(verdict.by == "seed" for verdict in of),
            sum(verdict.by == "tests" for verdict in of),
            sum(not verdict.caught and bool(verdict.argued) for verdict in of),
            sum(verdict.is_open for verdict in of),
        )
        counts.add_row(table or "all", *map(str, row))
    console.print(counts)
    console.print(f"{core_s:g} s of processor time, {wall_s:g} s", highlight=False)
