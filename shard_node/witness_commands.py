"""The subcommands of a witness: its key, its memory, and the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from shard_node.witness.settings import WitnessConfig

__all__ = ["witness"]

CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), required=True, help="The witness's TOML file."
)


@click.group()
def witness() -> None:
    """Run a witness: it signs a log's checkpoint once it has proof that the log only grew."""


@witness.command()
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--name", help="What the new key is called, such as witness.example/paper.")
def key(path: Path, name: str | None) -> None:
    """Make a key under a name, or without --name read the one in FILE; print its public side, to be published."""
    import os

    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import LocalError
    from p2pworld.merkle.note import COSIGNATURE, NoteSigner
    from shard_node.secret_files import write_new
    from shard_node.witness.settings import load_signers

    if name is not None:
        try:
            made = NoteSigner(name, Signer.from_seed(os.urandom(32)), COSIGNATURE)
        except LocalError as error:
            raise ConfigError(f"--name {name!r} cannot be: {error}.") from None
        write_new(path, f"{made.text}\n")
    for signer in load_signers(path):
        click.echo(signer.key.text)


@witness.command()
@CONFIG
def begin(config_path: Path) -> None:
    """Make the empty memory of a new witness, once; without it the server does not start."""
    from shard_node.witness.memory import MemoryFailed, WitnessMemory

    try:
        WitnessMemory.begin(_load(config_path).data_dir)
    except MemoryFailed as error:
        raise ConfigError(f"Nothing was begun: {error}") from None


@witness.command()
@CONFIG
def run(config_path: Path) -> None:
    """Answer logs over HTTP until a signal ends it; prints its address when it is ready."""
    import trio

    from shard_node import logs
    from shard_node.witness.serve import serve_witness

    config = _load(config_path)
    logs.set_up(config.log)
    trio.run(serve_witness, config, click.echo)


def _load(path: Path) -> WitnessConfig:
    from shard_node.witness.settings import load_witness

    return load_witness(path)
