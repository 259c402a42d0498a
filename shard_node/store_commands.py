"""The subcommands for the coordination store: what it holds, and a new generation after it was restored from a copy."""

from __future__ import annotations

from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shard_node.commands import CONFIG
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from p2pworld.errors import Refusal
    from p2pworld.world.citymap import CityMap
    from shard_node.config import Config
    from shard_node.coordination import Snapshot
    from shard_node.coordination.interface import CityStore

__all__ = ["opened_store", "read_store", "store"]


@click.group()
def store() -> None:
    """Look at the coordination store of a node's configuration, and begin a new generation in it."""


@store.command()
@CONFIG
def show(config_path: Path) -> None:
    """Say which map the store holds, who is listed, and how often each lease was renewed."""
    import trio

    from shard_node import config

    settings = config.load(config_path)
    seen: Snapshot = trio.run(read_store, settings)
    assert seen.map is not None
    city = seen.map
    held = len(city.cells) - len(city.unheld())
    click.echo(
        f"generation {city.generation}, map {seen.map_version}: {held} of {len(city.cells)} regions held"
    )
    for lease in seen.leases:
        listed = "listed" if city.is_listed(lease.who) else "not listed"
        state = "ended" if lease.ended else f"renewed {lease.counter} times"
        click.echo(f"{lease.who.node.hex()[:16]} incarnation {lease.who.number}: {listed}, {state}")


@store.command("new-generation")
@CONFIG
@click.option(
    "--above",
    type=click.IntRange(min=0),
    default=0,
    help="The newest generation that any node has known, if the copy is older than that.",
)
@click.option(
    "--from",
    "source_path",
    type=click.Path(path_type=Path),
    help="A configuration with the store that the city leaves; the new one must be empty.",
)
def new_generation(config_path: Path, above: int, source_path: Path | None) -> None:
    """After the store was restored from a copy, or for another store: make all later epochs and numbers larger.

    All nodes of the city must have ended; this waits a little longer than a lease to see that nobody renews.
    """
    import trio

    from p2pworld.errors import Refusal
    from shard_node import config

    settings = config.load(config_path)
    source = config.load(source_path) if source_path is not None else None
    result = trio.run(_begin, settings, above, source)
    if isinstance(result, Refusal):
        raise ConfigError(f"No new generation was begun: {result.sentence}")
    click.echo(f"generation {result.generation} has begun with map {result.version}: start the nodes.")


@asynccontextmanager
async def opened_store(settings: Config) -> AsyncGenerator[CityStore]:
    """The store of this configuration; what it raises while it is used becomes one sentence."""
    from shard_node.coordination import CoordinationDown
    from shard_node.coordination.settings import open_store

    opened = open_store(settings.store)
    try:
        yield opened
    except CoordinationDown as error:
        raise ConfigError(f"{settings.store.key} cannot be used: {error}.") from None
    finally:
        await opened.close()


async def read_store(settings: Config) -> Snapshot:
    """The map and the leases as they stand.

    Raises ConfigError.
    """
    async with opened_store(settings) as opened:
        return await opened.read(-1)


async def _begin(settings: Config, above: int, source: Config | None) -> CityMap | Refusal:
    from shard_node.coordination import OutcomeUnknown
    from shard_node.coordination.generation import begin_generation

    try:
        async with opened_store(settings) as opened:
            if source is None:
                return await begin_generation(opened, settings.ttl_s, above)
            async with opened_store(source) as old:
                return await begin_generation(opened, max(settings.ttl_s, source.ttl_s), above, old)
    except OutcomeUnknown:
        raise ConfigError(
            "The store did not say whether the new generation has begun: see `p2pworld store show`."
        ) from None
