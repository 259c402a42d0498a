"""`p2pworld bench …`: what the city carries, measured on this machine from outside."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shard_node.options import OutputFile, Quantity

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bench"]


STDOUT = Path("-")
JSON = click.option(
    "--json",
    "json_file",
    metavar="[FILE]",
    is_flag=False,
    flag_value="-",
    type=OutputFile(allow_dash=True),
    help="Write the figures to this file, too; they are printed in any case.",
)


@click.group()
def bench() -> None:
    """Measure what the city carries on this machine."""


def crowd_options(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every crowd."""
    number, share = click.IntRange, Quantity
    for option in reversed(
        (
            click.option(
                "--seconds",
                default=20.0,
                show_default=True,
                type=share(1.0),
                help="Measured, of the crowd's time.",
            ),
            click.option(
                "--area-m",
                "side_m",
                default=100.0,
                show_default=True,
                type=share(1.0, 200.0),
                help="Side of the square.",
            ),
            click.option(
                "--processes", default=1, show_default=True, type=number(1, 4), help="Node processes."
            ),
            click.option(
                "--standing", default=0.8, show_default=True, type=share(0, 1), help="Share that stands."
            ),
            click.option(
                "--churn",
                default=0.01,
                show_default=True,
                type=share(0, 0.2),
                help="Share that comes and goes each second.",
            ),
            click.option(
                "--time-scale",
                "scale",
                default=1.0,
                show_default=True,
                type=share(1, 8),
                help="A clock so many times slower, of nodes and bots.",
            ),
            click.option("--tls", is_flag=True, help="Over wss."),
            click.option(
                "--watchers",
                default=100,
                show_default=True,
                type=number(1, 500),
                help="Clients whose view is measured.",
            ),
            click.option(
                "--bot-processes",
                default=1,
                show_default=True,
                type=number(1, 8),
                help="Processes of bots besides the watchers'.",
            ),
            click.option("--seed", default=1, show_default=True, help="The same seed makes the same people."),
            JSON,
        )
    ):
        command = option(command)
    return command


@bench.command()
@click.option("--avatars", default=500, show_default=True, type=click.IntRange(1, 12_000), help="People.")
@click.option(
    "--never-read",
    default=0,
    show_default=True,
    type=click.IntRange(0, 2_000),
    help="Then also clients that never read.",
)
@click.option(
    "--surge", default=0, show_default=True, type=click.IntRange(0, 12_000), help="Then so many more people."
)
@click.option(
    "--linked",
    default=0,
    show_default=True,
    type=click.IntRange(0, 12_000),
    help="With 4 processes: so many people of the other three, who need no sockets.",
)
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Keep configurations and logs in this new folder."
)
@crowd_options
def crowd(folder: Path | None, json_file: Path | None, **wanted: Any) -> None:
    """A crowd on one square, from outside."""
    from simulations.bench.crowd.run import BenchFailed, Crowd, run_crowd

    with tempfile.TemporaryDirectory(prefix="p2pworld-crowd-") as place:
        try:
            figures = run_crowd(Crowd(**wanted), folder or Path(place), _say)
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.command()
@click.option(
    "--sizes",
    default="250,500,1000,2000,3000,5000,10000",
    show_default=True,
    help="People, one size after the other.",
)
@click.option(
    "--plot",
    "plot_file",
    type=click.Path(path_type=Path),
    help="Draw cores, bytes and freshness into this PNG.",
)
@crowd_options
def sweep(sizes: str, plot_file: Path | None, json_file: Path | None, **wanted: Any) -> None:
    """Crowds of many sizes: a table and a plot."""
    from simulations.bench import sweep as sweeping
    from simulations.bench.crowd.run import BenchFailed, Crowd
    from simulations.bench.plot import picture

    try:
        people = sorted({int(size) for size in sizes.split(",")})
    except ValueError:
        raise click.BadParameter(
            "give numbers with commas between, such as 500,1000", param_hint="--sizes"
        ) from None
    with tempfile.TemporaryDirectory(prefix="p2pworld-sweep-") as place:
        try:
            told = sweeping.run_sweep(Crowd(people[0], **wanted), people, Path(place), _say)
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    figures = {"bench": "sweep", "growth": sweeping.growth(told), "runs": told}
    if json_file is not None and json_file != STDOUT:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    click.echo(sweeping.table_of(told))
    click.echo(json.dumps(figures["growth"]))
    if plot_file is not None and not picture(sweeping.plot_of(told), plot_file):
        plot_file = plot_file.with_suffix(".svg")
        plot_file.write_text(sweeping.plot_of(told), encoding="utf-8")
        click.echo(f"there is no Chromium on this machine; the plot is {plot_file}", err=True)


@bench.command()
@click.option(
    "--citizens", default=10_000, show_default=True, type=click.IntRange(1, 50_000), help="Who come."
)
@click.option(
    "--places", default=500, show_default=True, type=click.IntRange(1, 10_000), help="What there is for them."
)
@click.option(
    "--seats", default=1, show_default=True, type=click.IntRange(1, 2_000), help="Of them in each slot."
)
@click.option(
    "--seconds", default=60.0, show_default=True, type=Quantity(0.1), help="Within which everybody comes."
)
@click.option(
    "--kill",
    default=0.5,
    show_default=True,
    type=Quantity(0, 1),
    help="After which share of them the node is killed; 0: it is not.",
)
@click.option("--kept", is_flag=True, help="Over connections that were opened, and used, before.")
@JSON
def rush(json_file: Path | None, kill: float, **wanted: Any) -> None:
    """More citizens than places, all at once, and the process that writes the log is killed amid them."""
    from simulations.bench.crowd.run import BenchFailed
    from simulations.bench.rush.run import Rush, run_rush

    with tempfile.TemporaryDirectory(prefix="p2pworld-rush-") as place:
        try:
            figures = run_rush(Rush(kill=kill or None, **wanted), Path(place), _say)
        except (BenchFailed, ValueError) as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.command()
@click.option(
    "--clients", default=200, show_default=True, type=click.IntRange(1, 2_000), help="Who walks to and fro."
)
@click.option(
    "--rounds", default=10, show_default=True, type=click.IntRange(1, 1_000), help="Steps over the border."
)
@JSON
def handoff(clients: int, rounds: int, json_file: Path | None) -> None:
    """People who walk to and fro over the border between two nodes."""
    from simulations.bench.crowd.run import BenchFailed
    from simulations.bench.handoff import run_handoffs

    with tempfile.TemporaryDirectory(prefix="p2pworld-handoff-") as place:
        try:
            figures = run_handoffs(clients, rounds, Path(place), _say)
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.command()
@click.option("--kills", default=30, show_default=True, type=click.IntRange(1, 1_000), help="Blows.")
@click.option(
    "--people", default=200, show_default=True, type=click.IntRange(1, 2_000), help="In the region struck."
)
@click.option("--engine", default="sqlite", show_default=True, type=click.Choice(["sqlite", "etcd"]))
@click.option(
    "--how",
    default="kill",
    show_default=True,
    type=click.Choice(["kill", "blackhole"]),
    help="kill -9, or all cables pulled.",
)
@click.option("--ttl-s", type=Quantity(0.5, 60.0), help="The city's lease time; else the default.")
@JSON
def failover(
    kills: int, people: int, engine: str, how: str, ttl_s: float | None, json_file: Path | None
) -> None:
    """A region of people whose node is struck, again and again, on a network of its own."""
    from simulations.fabric import inside, why_not
    from simulations.processes import python_environment

    if why := why_not():
        raise click.ClickException(f"this takes network namespaces, and this machine has none: {why}")
    command = inside("-m", "simulations.bench.failover.run", "--kills", str(kills), "--people", str(people))
    command += ["--engine", engine, "--how", how, *(("--ttl-s", str(ttl_s)) if ttl_s else ())]
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=python_environment(), check=False)
    if ran.returncode:
        raise click.exceptions.Exit(1)
    _told(json.loads(ran.stdout), json_file)


@bench.command()
@click.option(
    "--people", default=300, show_default=True, type=click.IntRange(1, 2_000), help="Who walk about."
)
@click.option("--seconds", default=60.0, show_default=True, type=Quantity(1.0, 3_600.0))
@click.option("--ttl-s", type=Quantity(0.5, 60.0), help="The city's lease time; else the default.")
@JSON
def leases(people: int, seconds: float, ttl_s: float | None, json_file: Path | None) -> None:
    """How near a city under load comes to losing its leases, though nobody dies."""
    from simulations.bench.crowd.run import BenchFailed
    from simulations.bench.leases import run_leases

    with tempfile.TemporaryDirectory(prefix="p2pworld-leases-") as place:
        try:
            figures = run_leases(people, seconds, ttl_s, Path(place))
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.command()
@click.option(
    "--count",
    default=20_000,
    show_default=True,
    type=click.IntRange(100, 200_000),
    help="Filings of each run.",
)
@click.option(
    "--store",
    default="sqlite",
    show_default=True,
    type=click.Choice(["sqlite", "postgresql"]),
    help="A file, or PostgreSQL with a synchronous standby.",
)
@click.option(
    "--connections", "sockets", default=64, show_default=True, type=click.IntRange(1, 1_000), help="Sockets."
)
@click.option(
    "--open", "limit", default=8, show_default=True, type=click.IntRange(1, 16), help="At once on each."
)
@click.option(
    "--processes", default=1, show_default=True, type=click.IntRange(1, 8), help="Processes of citizens."
)
@click.option("--rate", type=Quantity(1.0), help="Of the paced run, a second; else half of what it takes.")
@JSON
def civic(json_file: Path | None, **wanted: Any) -> None:
    """Filing with a civic log, from the bytes on a socket to the receipt."""
    from simulations.bench.civic.run import Filing, run_civic
    from simulations.bench.crowd.run import BenchFailed

    with tempfile.TemporaryDirectory(prefix="p2pworld-civic-") as place:
        try:
            figures = run_civic(Filing(**wanted), Path(place), _say)
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.command()
@click.option(
    "--entries", default="10000,1000000", show_default=True, help="Logs of so many, one after the other."
)
@JSON
def verify(entries: str, json_file: Path | None) -> None:
    """Verifying whole logs, and receipts of logs of any size."""
    from simulations.bench.civic.verifying import run_verifying
    from simulations.bench.crowd.run import BenchFailed

    try:
        sizes = [int(size) for size in entries.split(",")]
    except ValueError:
        raise click.BadParameter("give numbers with commas between", param_hint="--entries") from None
    with tempfile.TemporaryDirectory(prefix="p2pworld-verify-") as place:
        try:
            figures = run_verifying(sizes, Path(place), _say)
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@bench.group()
def ground() -> None:
    """Ground that changes hands under people's feet."""


def _measured(run: Callable[[Path], dict[str, Any]], json_file: Path | None) -> None:
    from simulations.bench.crowd.run import BenchFailed

    with tempfile.TemporaryDirectory(prefix="p2pworld-ground-") as place:
        try:
            figures = run(Path(place))
        except BenchFailed as error:
            raise click.ClickException(str(error)) from None
    _told(figures, json_file)


@ground.command()
@click.option("--people", default=1_000, show_default=True, type=click.IntRange(20, 5_000))
@JSON
def split(people: int, json_file: Path | None) -> None:
    """A region with everybody in it is split, and three of its parts go to other nodes."""
    from simulations.bench.ground import run_split

    _measured(lambda folder: run_split(people, folder, _say), json_file)


@ground.command()
@click.option("--people", default=2_000, show_default=True, type=click.IntRange(20, 5_000))
@click.option("--nodes", default=4, show_default=True, type=click.IntRange(3, 16))
@JSON
def gather(people: int, nodes: int, json_file: Path | None) -> None:
    """Everybody comes to one point and leaves; the steward does the rest."""
    from simulations.bench.ground import run_gather

    _measured(lambda folder: run_gather(people, nodes, folder, _say), json_file)


@ground.command()
@click.option("--people", default=500, show_default=True, type=click.IntRange(1, 5_000))
@click.option("--nodes", default=16, show_default=True, type=click.IntRange(2, 16))
@JSON
def rolling(people: int, nodes: int, json_file: Path | None) -> None:
    """Every node is ended and started again, one after the other."""
    from simulations.bench.ground import run_rolling

    _measured(lambda folder: run_rolling(people, nodes, folder, _say), json_file)


@bench.command(context_settings={"ignore_unknown_options": True}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def peers(arguments: tuple[str, ...]) -> None:
    """Other servers under the same crowd, side by side; `-h` says with what."""
    from simulations.bench.peers.command import main

    main(arguments)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _told(figures: dict[str, Any], json_file: Path | None) -> None:
    text = json.dumps(figures, indent=2)
    if json_file is not None and json_file != STDOUT:
        json_file.write_text(text + "\n", encoding="utf-8")
    click.echo(text)
