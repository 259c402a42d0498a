"""The subcommands for what a node keeps on its disk: its journal copied, put back, looked through and mended.

Exit codes, for scripts: 0 all is well; 1 something was wrong and is mended; 4 something is wrong; 2 it could not be
done, and one sentence says why.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shard_node.commands import CONFIG
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from shard_node.storage.fsck import Survey

__all__ = ["disk"]

MENDED: Final = 1
WRONG: Final = 4
FAULTS_SHOWN: Final = 50
FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))


@click.group()
def disk() -> None:
    """Back up, restore, check and mend what a node keeps on its disk: its objects, reports and orders.

    Keys, grants and the configuration are not in it: keep those elsewhere.
    """


def _journal(config_path: Path) -> Path:
    from shard_node import config
    from shard_node.storage.sqlite import JOURNAL_NAME

    return config.load(config_path).data_dir / JOURNAL_NAME


@contextmanager
def _said() -> Iterator[None]:
    """What the disk refuses becomes one sentence."""
    from shard_node.storage.journal import StorageFailed

    try:
        yield
    except StorageFailed as error:
        raise ConfigError(str(error)) from None


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """No node runs on this directory meanwhile."""
    from shard_node.storage.lock import DataDirLock

    lock = DataDirLock.acquire(directory)
    try:
        yield
    finally:
        lock.release()


def _holds(found: Survey) -> str:
    return f"{len(found.cells)} cells and {len(found.records)} records in {found.rows} rows"


@disk.command()
@CONFIG
@FILE
def backup(config_path: Path, path: Path) -> None:
    """Copy the node's journal to FILE, which must not be there yet. The node may be running."""
    from shard_node.storage import copies

    journal = _journal(config_path)
    with _said():
        found = copies.backup(journal, path)
    click.echo(f"{path}: {_holds(found)}, {path.stat().st_size} bytes")


@disk.command()
@CONFIG
@FILE
@click.option("--aside", is_flag=True, help="Move a journal that is there aside.")
def restore(config_path: Path, path: Path, aside: bool) -> None:
    """Put the copy FILE in the place of the node's journal. The node must have ended.

    It comes back in step with nobody: what others hold it takes from them, what it alone has it gives them.
    """
    from shard_node.storage import copies

    journal = _journal(config_path)
    with _said(), _alone(journal.parent):
        found, old = copies.restore(path, journal, aside)
    click.echo(f"{journal}: {_holds(found)}")
    if old is not None:
        click.echo(f"what was there is {old} now")


@disk.command()
@CONFIG
@click.argument("path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@click.option("--repair", is_flag=True, help="Keep what is sound, and move the damaged journal aside.")
@click.option("--json", "as_json", is_flag=True, help="Say it for programs.")
def fsck(config_path: Path, path: Path | None, repair: bool, as_json: bool) -> None:
    """Look through the node's journal, or a copy of it in FILE, and say what is wrong and where.

    The node may be running, but not for --repair. A node that starts on a mended journal is in step with nobody, and
    takes what it lacks from those who have it.
    """
    from shard_node.storage import copies
    from shard_node.storage.fsck import survey

    if repair and path is not None:
        raise ConfigError("--repair mends the node's own journal: restore a sound copy over a damaged one.")
    journal = path or _journal(config_path)
    old: Path | None = None
    with _said():
        found = survey(journal)
        if repair and found.faults:
            with _alone(journal.parent):
                found = survey(journal)
                old = copies.rebuild(found, journal)
    if as_json:
        click.echo(json.dumps(_plain(journal, found, old)))
    else:
        for fault in found.faults[:FAULTS_SHOWN]:
            click.echo(f"wrong  {fault}")
        if len(found.faults) > FAULTS_SHOWN:
            click.echo(f"wrong  and {len(found.faults) - FAULTS_SHOWN} more")
        click.echo(f"{journal}: {_holds(found)} sound, {len(found.faults)} faults")
        if old is not None:
            click.echo(f"mended; the damaged journal is {old} now")
    if found.faults:
        raise SystemExit(WRONG if old is None else MENDED)


def _plain(journal: Path, found: Survey, old: Path | None) -> dict[str, object]:
    return {
        "journal": str(journal),
        "cells": len(found.cells),
        "rows": found.rows,
        "faults": [
            {"table": one.table, "row": one.row, "cell": one.cell, "what": one.what} for one in found.faults
        ],
        "aside": None if old is None else str(old),
    }
