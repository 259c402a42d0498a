"""`p2pworld nodes`: which nodes can be found from here, by a seed's city map or by hints on the local network."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from shard_node.errors import ConfigError
from shard_node.options import Quantity

if TYPE_CHECKING:
    from shard_node.config import Config
    from shard_node.discovery import Hint

__all__ = ["nodes"]

ASK_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 4 << 20  # 1 024 members with three addresses of 512 characters


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="A node's TOML file: only its city, and its discovery.seeds.",
)
@click.option(
    "--seconds",
    default=3.0,
    show_default=True,
    type=Quantity(0, 60),
    help="How long to listen to the local network.",
)
@click.option(
    "--interface", "interfaces", multiple=True, help="Listen at this address only; may be repeated."
)
def nodes(config_path: Path | None, seconds: float, interfaces: tuple[str, ...]) -> None:
    """List the nodes that can be found from here.

    Members of the city come from a seed. What the local network says are hints: anybody can say it.
    """
    import trio

    from shard_node import config
    from shard_node.discovery import Hints
    from shard_node.lan import look

    settings = config.load(config_path) if config_path is not None else None
    found = 0
    if settings is not None and settings.seeds:
        found += _members(settings)
    hints = Hints(settings.roots if settings is not None else ())
    if seconds:
        try:
            trio.run(look, hints, seconds, interfaces)
        except OSError as error:
            click.echo(f"the local network cannot be listened to: {error}.", err=True)
    for hint in hints.all():
        found += 1
        click.echo(f"hint    {hint.node.hex()[:16]}  {_where(hint)}")
    if not found:
        raise ConfigError("no node was found: name one in discovery.seeds, or ask the city's operators.")


def _where(hint: Hint) -> str:
    return f"{' '.join(hint.link_urls + hint.web_urls)}  city {' '.join(sorted(hint.roots))}"


def _members(settings: Config) -> int:
    """Prints the members that the first seed to answer knows; how many."""
    for seed in settings.seeds:
        try:
            with urllib.request.urlopen(seed.rstrip("/") + "/api/v1/nodes", timeout=ASK_S) as answer:
                told: list[dict[str, Any]] = json.loads(answer.read(ANSWER_BYTES_MAX))["nodes"]
                lines = [f"member  {one['node'][:16]}  {one['link_url']} {one['web_url']}" for one in told]
        except (OSError, ValueError, KeyError, TypeError) as error:
            click.echo(f"{seed} does not answer as a node does: {error}.", err=True)
            continue
        for line in lines:
            click.echo("".join(c if c.isprintable() else "?" for c in line))
        return len(lines)
    return 0
