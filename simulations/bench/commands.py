"""`p2pworld bench …`: what the city carries, measured on this machine from outside."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import click

__all__ = ["bench"]

JSON_FILE = click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file."
)


@click.group()
def bench() -> None:
    """Measure what the city carries on this machine."""


@bench.command()
@click.option("--avatars", default=500, show_default=True, type=click.IntRange(1, 12_000), help="People.")
@click.option("--seconds", default=20.0, show_default=True, type=click.FloatRange(1.0), help="Measured.")
@click.option("--area-m", default=100.0, show_default=True, type=click.FloatRange(1.0, 200.0), help="Side of the square.")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 4), help="Node processes.")
@click.option("--standing", default=0.8, show_default=True, type=click.FloatRange(0, 1), help="Share that stands.")
@click.option("--churn", default=0.01, show_default=True, type=click.FloatRange(0, 0.2), help="Share that comes and goes each second.")
@click.option("--time-scale", default=1.0, show_default=True, type=click.FloatRange(1, 10), help="A clock so many times slower.")
@click.option("--tls", is_flag=True, help="Over wss.")
@click.option("--watchers", default=100, show_default=True, type=click.IntRange(1, 500), help="Clients whose view is measured.")
@click.option("--bot-processes", default=1, show_default=True, type=click.IntRange(1, 8), help="Processes of bots besides the watchers'.")
@click.option("--never-read", default=0, show_default=True, type=click.IntRange(0, 2_000), help="Then also clients that never read.")
@click.option("--surge", default=0, show_default=True, type=click.IntRange(0, 12_000), help="Then so many more people.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same people.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep configurations and logs there.")
@JSON_FILE
def crowd(
    avatars: int, seconds: float, area_m: float, processes: int, standing: float, churn: float, time_scale: float,
    tls: bool, watchers: int, bot_processes: int, never_read: int, surge: int, seed: int, folder: Path | None, json_file: Path | None,
) -> None:  # fmt: skip
    """A crowd on one square, from outside."""
    from simulations.bench.crowd.run import BenchFailed, Crowd, run_crowd

    wanted = Crowd(
        avatars, seconds, area_m, processes, standing, churn, time_scale, tls, watchers, bot_processes, seed, never_read, surge
    )
    with tempfile.TemporaryDirectory(prefix="p2pworld-crowd-") as place:
        try:
            figures = run_crowd(wanted, folder or Path(place), lambda text: click.echo(text, err=True))
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.command()
@click.option("--clients", default=200, show_default=True, type=click.IntRange(1, 2_000), help="Who walks to and fro.")
@click.option("--rounds", default=10, show_default=True, type=click.IntRange(1, 1_000), help="Steps over the border.")
@JSON_FILE
def handoff(clients: int, rounds: int, json_file: Path | None) -> None:
    """People who walk to and fro over the border between two nodes."""
    from simulations.bench.crowd.run import BenchFailed
    from simulations.bench.handoff import run_handoffs

    with tempfile.TemporaryDirectory(prefix="p2pworld-handoff-") as place:
        try:
            figures = run_handoffs(clients, rounds, Path(place), lambda text: click.echo(text, err=True))
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


def _told(figures: dict[str, Any], json_file: Path | None) -> None:
    text = json.dumps(figures, indent=2)
    if json_file is not None:
        json_file.write_text(text + "\n", encoding="utf-8")
    click.echo(text)
