"""The subcommands that run a node, and look for what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import click

__all__ = ["CONFIG", "doctor", "node"]

CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), required=True, help="The node's TOML file."
)


@click.command()
@CONFIG
def node(config_path: Path) -> None:
    """Run one node of the city until a signal ends it."""
    import trio

    from shard_node import config, logs
    from shard_node.serve import serve

    settings = config.load(config_path)
    logs.set_up(settings.log)
    trio.run(serve, settings)


@click.command()
@CONFIG
def doctor(config_path: Path) -> None:
    """Look at a node's configuration and machine, and say what is wrong; exit code 1 if anything is."""
    import trio

    from shard_node.doctor import examine

    wrong = 0
    for finding in trio.run(examine, config_path):
        wrong += not finding.ok
        mark = click.style("ok   ", fg="green") if finding.ok else click.style("wrong", fg="red")
        if finding.warns:
            mark = click.style("soon ", fg="yellow")
        click.echo(f"{mark}  {finding.about:12}  {finding.sentence}")
    if wrong:
        raise SystemExit(1)
