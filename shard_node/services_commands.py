"""The subcommands that look at declarations of services."""

from __future__ import annotations

from pathlib import Path

import click

from shard_node.statistics_command import statistics, supporters

__all__ = ["services"]

FOLDER = click.argument(
    "folder", metavar="[DIR]", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)


@click.group()
def services() -> None:
    """Check and list the services of the city. DIR is your own folder of declarations."""


@services.command("check")
@FOLDER
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The data directory of a node: what was booked in the city's logs must not have moved to another office.",
)
def check(folder: Path | None, data: Path | None) -> None:
    """Read every declaration, the package's and those in DIR, and say what is wrong; exit code 1 if anything is."""
    import sqlite3

    from shard_node.services.book import read_homes
    from shard_node.services.folder import read
    from shard_node.services.index import INDEX_NAME

    try:
        homes = read_homes(data / INDEX_NAME) if data is not None else {}
    except sqlite3.Error as error:
        raise click.ClickException(
            f"{data} has no index of this release that can be read: {error}"
        ) from error
    catalogue = read(folder, homes)
    for fault in catalogue.faults:
        click.echo(f"{click.style('wrong', fg='red')}  {fault}")
    said = f"{len(catalogue.services)} services, {len(catalogue.facilities)} facilities"
    if catalogue.faults:
        click.echo(f"{said} can be used")
        raise SystemExit(1)
    click.echo(f"{click.style('ok   ', fg='green')}  {said}")


@services.command("list")
@FOLDER
def show(folder: Path | None) -> None:
    """List the services: how requests move, the deadline, and what they are called."""
    from shard_node.services.folder import read

    for service in read(folder).services.values():
        term = service.deadline.term
        due = f"{term.amount} {term.count.value}"
        click.echo(
            f"{service.id:32}{service.sector:16}{service.workflow.family:13}{due:18}"
            f"{service.title['ko']} · {service.title['en']}"
        )


services.add_command(statistics)
services.add_command(supporters)
