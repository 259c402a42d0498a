"""The subcommands that look at declarations of places and programmes."""

from __future__ import annotations

import time
from pathlib import Path

import click

__all__ = ["places"]

FOLDER = click.argument("folder", metavar="[DIR]", required=False, type=click.Path(path_type=Path))


@click.group()
def places() -> None:
    """Check and list the places and programmes of the city. DIR is your own folder of declarations."""


@places.command("check")
@FOLDER
def check(folder: Path | None) -> None:
    """Read every declaration, the package's and those in DIR, and say what is wrong; exit code 1 if anything is."""
    from p2pworld.world.declarations import DeclarationFaults
    from shard_node.declared import read

    try:
        table = read(folder)
    except DeclarationFaults as error:
        for fault in error.faults:
            click.echo(f"{click.style('wrong', fg='red')}  {fault}")
        raise SystemExit(1) from None
    click.echo(
        f"{click.style('ok   ', fg='green')}  {len(table.all)} places, {len(table.programmes)} programmes, "
        f"{len(table.walls)} sides of walls"
    )


@places.command("list")
@FOLDER
def show(folder: Path | None) -> None:
    """List the places and when their programmes run next."""
    from p2pworld.geometry import to_5179
    from p2pworld.world.programme import next_run
    from shard_node.declared import load

    table = load(folder)
    for place in table.all:
        east_m, north_m = to_5179(*place.spawns[0].at)
        where = "city" if place.ground == "city" else f"room {place.ground}"
        click.echo(
            f"{place.id:22}{where:10}{east_m:11.1f} {north_m:11.1f}  {place.name['ko']} · {place.name['en']}"
        )
    for programme in table.programmes:
        begin_ms = next_run(programme, time.time_ns() // 1_000_000)
        when = "never again"
        if begin_ms is not None:
            when = time.strftime("%Y-%m-%d %H:%M in Seoul", time.gmtime(begin_ms / 1000 + 9 * 3600))
        click.echo(f"{programme.id:22}{programme.place:32}{when}  {programme.name['en']}")
