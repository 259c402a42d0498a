"""The subcommands that run a node, look after its keys and grants, and look for what is wrong with it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from shard_node.errors import ConfigError

__all__ = ["doctor", "keys", "node"]

DAY_MS = 86_400_000
BACKDATED_MS = 3_600_000  # machines' clocks differ; a grant made now holds everywhere at once

CONFIG = click.option(
    "--config", "config_path", type=click.Path(path_type=Path), required=True, help="The node's TOML file."
)
NEW_FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))


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
        click.echo(f"{mark}  {finding.about:12}  {finding.sentence}")
    if wrong:
        raise SystemExit(1)


@click.group()
def keys() -> None:
    """Make and show keys and grants. Files are made for their owner's eyes only, and never overwritten."""


def _write_new(path: Path, text: str) -> None:
    """Writes a file that was not there, readable by its owner only.

    Raises ConfigError.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already: name another file, or move that one away.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def _make_key(path: Path) -> None:
    from p2pworld.crypto.keys import NodeKeys

    signer = NodeKeys.from_seed(os.urandom(32))
    _write_new(path, signer.to_pem())
    click.echo(signer.public.hex())


@keys.command("root")
@NEW_FILE
def root_key(path: Path) -> None:
    """Make a root key, which grants begin at; prints its public key for `node.roots`."""
    _make_key(path)


@keys.command("node")
@NEW_FILE
def node_key(path: Path) -> None:
    """Make a node's key; prints its public key, to be named in a grant."""
    _make_key(path)


@keys.command("person")
@NEW_FILE
def person_key(path: Path) -> None:
    """Make a person's key, for a program that acts for them; prints its public key, to be named in a grant."""
    _make_key(path)


@keys.command("grant")
@NEW_FILE
@click.option(
    "--key", "key_path", type=click.Path(path_type=Path), required=True, help="The issuer's key file."
)
@click.option("--subject", required=True, help="The public key (64 hex digits) that is granted something.")
@click.option("--role", default="shard", show_default=True, help="What the subject may act as.")
@click.option(
    "--scope", multiple=True, default=("cells:*",), show_default=True, help="Over what; may be repeated."
)
@click.option("--days", type=click.IntRange(1, 3_650), default=365, show_default=True, help="For how long.")
@click.option("--chain", type=click.Path(path_type=Path), help="The issuer's own grants, if it is no root.")
@click.option("--delegate", is_flag=True, help="The subject may grant the same to others.")
def grant(
    path: Path,
    key_path: Path,
    subject: str,
    role: str,
    scope: tuple[str, ...],
    days: int,
    chain: Path | None,
    delegate: bool,
) -> None:
    """Sign a grant and write it, after the issuer's own, to FILE."""
    from p2pworld.crypto.keys import NodeKeys
    from p2pworld.errors import LocalError
    from p2pworld.grants import grant_to_text, grants_from_text, sign_grant

    try:
        key = bytes.fromhex(subject)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(
            f"--subject is {subject!r}: give the 64 hex digits that `p2pworld keys show` prints."
        )
    now_ms = time.time_ns() // 1_000_000
    try:
        issuer = NodeKeys.from_text(_read(key_path))
        above = grants_from_text(_read(chain)) if chain else ()
        signed = sign_grant(
            issuer, key, role, scope, now_ms - BACKDATED_MS, now_ms + days * DAY_MS, may_delegate=delegate
        )
    except LocalError as error:
        raise ConfigError(f"no grant was made: {error}.") from None
    _write_new(path, "".join(grant_to_text(one) + "\n" for one in (*above, signed)))
    click.echo(f"{role} over {' '.join(scope)} for {days} days")


@keys.command("show")
@NEW_FILE
def show(path: Path) -> None:
    """Show the public key of a key file, or the grants of a grant file."""
    from p2pworld.crypto.keys import NodeKeys
    from p2pworld.errors import LocalError
    from p2pworld.grants import grants_from_text

    text = _read(path)
    try:
        click.echo(NodeKeys.from_text(text).public.hex())
        return
    except LocalError:
        pass  # then it is a file of grants, or neither
    try:
        grants = grants_from_text(text)
    except LocalError as error:
        raise ConfigError(f"{path} holds neither a key nor grants: {error}.") from None
    for one in grants:
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one.not_after_ms / 1000))
        click.echo(f"{one.role} over {' '.join(one.scope)} until {until}")
        click.echo(f"  for {one.subject.hex()}\n  by  {one.issuer.hex()}")
