"""What anybody computes from the folders of published logs: deadlines kept and missed (`p2pworld services statistics`),
and how many support each proposal (`p2pworld services supporters`).

It reads every entry, hashes it against the checkpoint that lies in the folder, and counts as a node does for its page;
whether the log has signed that checkpoint is for `p2pworld verify` to say.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from shard_node.services.book import CaseBook
    from shard_node.services.queries import Tally

__all__ = ["statistics", "supporters"]

LOGS = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=LOGS)
@click.option("--declared", type=LOGS, metavar="DIR", help="Your own folder of declarations.")
@click.option(
    "--on", "day", metavar="DAY", help="Count as at the end of this day (2026-05-01); else as of now."
)
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON document for programs, as a node's page has it."
)
def statistics(logs: tuple[Path, ...], declared: Path | None, day: str | None, as_json: bool) -> None:
    """Count deadlines kept and missed in the folders of logs (checkpoint and tiles, as they are published)."""
    from p2pworld.services.working_time import OfficeCalendar
    from shard_node.services.book import CaseBook
    from shard_node.services.documents import statistics_document
    from shard_node.services.folder import read

    book = CaseBook(None, read(declared).services, OfficeCalendar())
    minute = _minute(day)
    for log in logs:
        _read_on(book, log)
    tallies = book.reading().statistics(minute)
    book.close()
    if as_json:
        click.echo(json.dumps(statistics_document(tallies, minute), ensure_ascii=False, indent=1))
        return
    click.echo(
        f"{'month':8}{'office':16}{'service':36}{'filed':>8}{'kept':>8}{'missed':>8}{'back':>8}{'open':>8}"
    )
    for tally in tallies:
        _say(tally)


@click.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=LOGS)
def supporters(logs: tuple[Path, ...]) -> None:
    """Count who supports each proposal in the folders of logs: everybody once, by the pseudonyms in the leaves."""
    from p2pworld.services.working_time import OfficeCalendar
    from shard_node.services.book import CaseBook

    book = CaseBook(None, {}, OfficeCalendar())
    for log in logs:
        _read_on(book, log)
    for (stream, entry), count in sorted(book.reading().supporters().items()):
        click.echo(f"{stream}/{entry}  {count}")
    book.close()


def _minute(day: str | None) -> int:
    from p2pworld.services.working_time import end_of

    if day is None:
        return int(time.time()) // 60
    try:
        return end_of(date.fromisoformat(day)) - 1
    except ValueError:
        raise ConfigError(f"--on is {day!r}: write a day such as 2026-05-01.") from None


def _read_on(book: CaseBook, path: Path) -> None:
    """Reads one log into the book.

    Raises ConfigError.
    """
    from p2pworld.merkle.checkpoint import Checkpoint
    from p2pworld.merkle.tiles import TILE_WIDTH
    from p2pworld.merkle.tree import CompactRange
    from shard_node.civic.folder import CHECKPOINT, PublishedLog
    from shard_node.storage.journal import StorageFailed

    folder = PublishedLog(path)
    try:
        note = folder.note(CHECKPOINT)
        if note is None:
            raise ConfigError(f"there is no log in {path}.")
        checkpoint = Checkpoint.parse(note.text)
        stream, read = "", CompactRange()
        for number in range(-(-checkpoint.size // TILE_WIDTH)):
            entries = folder.bundle(number, checkpoint.size)
            stream = stream or _stream_of(entries)
            read = book.take(stream, number * TILE_WIDTH, entries)
    except StorageFailed as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    if read.root() != checkpoint.root:
        raise ConfigError(f"{path} is not what its checkpoint says: `p2pworld verify` says where.")


def _stream_of(entries: list[bytes]) -> str:
    """The stream whose log these entries are of."""
    from p2pworld.civic.transaction import parse_leaf
    from p2pworld.errors import RemoteError

    for entry in entries:
        with suppress(RemoteError):
            return parse_leaf(entry).filing.stream
    raise ConfigError("this log has no leaves of civic services.")


def _say(tally: Tally) -> None:
    counts = (tally.filed, tally.kept, tally.missed, tally.withdrawn, tally.open)
    figures = "".join(f"{count:8}" for count in counts)
    click.echo(f"{tally.month:8}{tally.office:16}{tally.service:36}{figures}")
