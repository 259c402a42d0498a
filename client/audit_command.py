"""`p2pworld audit`: copy a log, watch one as a monitor that remembers what it was shown, and read announced keys.

`copy` exits with 0 when the copy is whole, 1 when the log is not what it signed, 2 when it cannot be reached. `watch`
goes on until something is wrong (1) or a signal ends it; a log or a witness that does not answer, or a checkpoint that
too few witnesses have signed yet, is told and asked for again.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from client.keys_command import keys
from client.verify_command import read_policy
from shard_node.errors import ConfigError
from shard_node.options import Quantity

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.follow import Follower, Step

__all__ = ["audit"]

_FORK: Final = "proof.fork"
_WAITS: Final = "checkpoint-quorum"  # witnesses sign a moment after the log: a monitor looks again
URL = click.argument("url")
FOLDER = click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
KEY = click.option("--key", "key_texts", multiple=True, metavar="VKEY", help="A log's key, or a witness's.")
QUORUM = click.option("--quorum", type=click.IntRange(min=0), default=0, help="How many witnesses must sign.")
POLICY = click.option(
    "--policy", "policy_path", type=click.Path(path_type=Path, exists=True), help="Keys and quorum in a file."
)


@click.group()
def audit() -> None:
    """Copy a log, watch what it tells over time, and read which keys the city has announced."""


@audit.command()
@URL
@FOLDER
@KEY
@QUORUM
@POLICY
def copy(url: str, folder: Path, key_texts: tuple[str, ...], quorum: int, policy_path: Path | None) -> None:
    """Copy the log at URL into FOLDER, or what is new of it; everything is checked as it comes."""
    from rich.console import Console
    from rich.progress import Progress

    follower = _follower(url, folder, key_texts, quorum, policy_path)
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(url)
        try:
            step = follower.step(lambda done, size: progress.update(task, completed=done, total=size))
        except OSError as error:
            raise ConfigError(f"{url} cannot be copied: {error}.") from None
    _end_if_wrong(url, folder, step)
    click.echo(f"{follower.origin}: {step.after} entries, {step.after - step.before} of them new.")


@audit.command()
@URL
@FOLDER
@KEY
@QUORUM
@POLICY
@click.option("--witness", "witness_urls", multiple=True, metavar="URL", help="A witness to compare with.")
@click.option("--every", "every_s", type=Quantity(min=0), default=60.0, help="Seconds between looks.")
@click.option("--times", type=click.IntRange(min=1), help="How often to look; without it, for ever.")
def watch(
    url: str,
    folder: Path,
    key_texts: tuple[str, ...],
    quorum: int,
    policy_path: Path | None,
    witness_urls: tuple[str, ...],
    every_s: float,
    times: int | None,
) -> None:
    """Follow the log at URL in FOLDER, and compare it with what witnesses saw, until something is wrong."""
    follower = _follower(url, folder, key_texts, quorum, policy_path)
    witnesses = {witness: _fetch(witness) for witness in witness_urls}
    looks = 0
    while True:
        _look(follower, url, folder, witnesses)
        looks += 1
        if looks == times:
            return
        time.sleep(every_s)


def _look(
    follower: Follower,
    url: str,
    folder: Path,
    witnesses: dict[str, Callable[[str, int], bytes | None]],
) -> None:
    try:
        step = follower.step()
    except OSError as error:
        click.echo(f"{url} does not answer: {error}", err=True)
    else:
        if step.fault and step.fault.reason == _WAITS:
            click.echo(f"{url}: {step.fault.sentence} yet", err=True)
        else:
            _end_if_wrong(url, folder, step)
        if step.after > step.before:
            click.echo(f"{follower.origin}: {step.after} entries, {step.after - step.before} of them new.")
    if not follower.origin:
        return
    for witness, ask in witnesses.items():
        try:
            _end_if_wrong(witness, folder, follower.compare_with_witness(ask))
        except OSError as error:
            click.echo(f"{witness} does not answer: {error}", err=True)


def _follower(
    url: str, folder: Path, key_texts: tuple[str, ...], quorum: int, policy_path: Path | None
) -> Follower:
    from client.follow import Follower
    from p2pworld.errors import RemoteError

    try:
        return Follower(folder, read_policy(key_texts, quorum, policy_path), _fetch(url))
    except RemoteError as error:
        raise ConfigError(f"{folder} cannot be gone on with: {error} ({error.reason}).") from None
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error}.") from None


def _fetch(url: str) -> Callable[[str, int], bytes | None]:
    from client.follow import fetch_from
    from p2pworld.errors import LocalError

    try:
        return fetch_from(url)
    except LocalError as error:
        raise ConfigError(f"{error}.") from None


def _end_if_wrong(where: str, folder: Path, step: Step) -> None:
    if step.fault is None:
        return
    click.echo(f"{click.style('wrong', fg='red')}  {where}  {step.fault.reason}: {step.fault.sentence}")
    if step.fork:
        path = folder / _FORK
        path.write_bytes(step.fork.to_bytes())
        click.echo(f"       the proof is in {path}")
    sys.exit(1)


audit.add_command(keys)
