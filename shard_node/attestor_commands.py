"""The subcommands of an attestor: its beginning, the server, and an official who attests somebody they have seen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from shard_node.attestor.settings import AttestorConfig

__all__ = ["attestor"]

CONFIG = click.argument("config_path", metavar="CONFIG", type=click.Path(path_type=Path))


@click.group()
def attestor() -> None:
    """Attest people: by a login at an OpenID provider, or by an official who has seen them."""


@attestor.command()
@CONFIG
def begin(config_path: Path) -> None:
    """Make key, secret and the empty memory of a new attestor, as its CONFIG names them; print its public key."""
    from shard_node.attestor.serve import begin_attestor

    click.echo(begin_attestor(_load(config_path)).hex())


@attestor.command()
@CONFIG
def run(config_path: Path) -> None:
    """Answer over HTTP until a signal ends it; prints its address when it is ready."""
    import trio

    from shard_node import logs
    from shard_node.attestor.serve import serve_attestor

    config = _load(config_path)
    logs.set_up(config.log)
    trio.run(serve_attestor, config, click.echo)


@attestor.command()
@click.option("--url", required=True, help="The attestor, https://…")
@click.option("--key", "key_path", type=click.Path(path_type=Path), required=True, help="The official's key.")
@click.option(
    "--grants", "grants_path", type=click.Path(path_type=Path), required=True, help="The official's grants."
)
@click.option("--gu", default="", help="Where the person lives, such as jongno, if the document says so.")
@click.option(
    "--number", prompt="Number of the document", hide_input=True, help="Better left out: it is asked for."
)
def attest(url: str, key_path: Path, grants_path: Path, gu: str, number: str) -> None:
    """Attest somebody who is in front of you; print the code to be read aloud. It holds for 15 minutes, once.

    The number of what they have shown is sent to the attestor, which keeps nothing of it but a fingerprint.
    """
    from client.attesting import attest_seen

    click.echo(attest_seen(url, key_path, grants_path, number, gu))


def _load(path: Path) -> AttestorConfig:
    from shard_node.attestor.settings import load_attestor

    return load_attestor(path)
