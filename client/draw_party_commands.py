"""`p2pworld draw …`: what the three parties of a draw do: the office, which is the first, and two independent ones.

Each has one file with a key. Before a draw opens it writes down its shares for the others (`draw shares`), in a file
that anybody may see. The office opens the draw with the three files (`draw open`); each party looks whether what it was
given fits, and says so in the log (`draw acknowledge`); after the closing it reveals (`draw reveal`), from a day later
on also what it holds for one that does not. All read the log in a folder, as it is published, or as `p2pworld audit
copy` keeps it. Whatever is in the log already is not filed again, so each of these may run as often as one likes.

Exit codes: 0, all there was to do is in the log; 1, something does not fit, or is refused; 3, no node gave a receipt
that holds; 2, wrong use.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from client.file_command import NODE, WAIT, bring, trusted
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from client.draws_in_log import LoggedDraw
    from client.filing import Trust
    from p2pworld.civic.transaction import Submission, TransactionType
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.draw_log import Draw
    from p2pworld.services.draw_shares import Given, Party

__all__ = ["draw"]

WRONG, UNANSWERED = 1, 3
FILE: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
AS = click.option("--as", "key_path", required=True, type=FILE, metavar="KEYFILE", help="The party's key.")
PARTIES = click.option(
    "--parties",
    "parties_path",
    required=True,
    type=FILE,
    help="The three parties, a line each as `draw party show` prints it, the office first.",
)
LOG = click.argument("log", metavar="LOG", type=click.Path(path_type=Path, exists=True, file_okay=False))
SHARES = click.argument("files", metavar="SHARES...", nargs=-1, required=True, type=FILE)
STREAM = click.option("--stream", required=True, help="Whose log it is in, such as mapo.")
SERVICES = click.option(
    "--services",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Declarations beside the city's own.",
)


def filing(command: Callable[..., None]) -> Callable[..., None]:
    """The options of what files something."""
    for option in reversed(
        (
            NODE,
            click.option(
                "--pinned",
                "pinned_path",
                type=FILE,
                help="Keys of logs and witnesses: what `p2pworld audit keys --json` printed.",
            ),
            click.option("--key", "key_texts", multiple=True, metavar="VKEY", help="The log's key, instead."),
            click.option(
                "--quorum", type=click.IntRange(min=0), default=0, help="How many witnesses must sign."
            ),
            WAIT,
        )
    ):
        command = option(command)
    return command


@click.group()
def draw() -> None:
    """Take part in draws, as the office or as one of the two independent parties."""


# ---- a party


@draw.group()
def party() -> None:
    """The key of a party."""


@party.command()
@click.argument("path", metavar="KEYFILE", type=click.Path(path_type=Path, dir_okay=False))
def new(path: Path) -> None:
    """Make a party's key in a new file, and print what the other parties are told of it."""
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.draw_shares import party_of
    from shard_node.secret_files import write_new

    signer = Signer.from_seed(os.urandom(32))
    write_new(path, signer.to_pem())
    click.echo(party_of(signer).text)


@party.command()
@click.argument("path", metavar="KEYFILE", type=FILE)
def show(path: Path) -> None:
    """Print what the other parties are told."""
    from p2pworld.services.draw_shares import party_of

    click.echo(party_of(_key(path)).text)


# ---- before a draw opens


@draw.command(name="list")
@STREAM
@SERVICES
@click.option("--days", default=7, show_default=True, type=click.IntRange(1, 60), help="That lie ahead.")
def list_(stream: str, folder: Path | None, days: int) -> None:
    """List the draws that are to be opened within some days, with the moment from which people may apply."""
    from datetime import timedelta

    from p2pworld.services.draw_log import draw_name
    from p2pworld.services.facility import slot_text
    from p2pworld.services.reservations import OPENS_AT
    from p2pworld.services.working_time import OfficeCalendar, day_of, minute_at, seoul_text
    from shard_node.services.folder import read

    catalogue, calendar, today = read(folder), OfficeCalendar(), day_of(_now_minute())
    for service in catalogue.services.values():
        if service.places is None or service.places.draw_days == 0:
            continue
        for facility in catalogue.bookable(service):
            for ahead in range(days if facility.gu == stream else 0):
                opens = today + timedelta(days=ahead)
                for slot in facility.slots(opens + timedelta(days=service.places.opens_days), calendar):
                    when = seoul_text(minute_at(opens, OPENS_AT))
                    click.echo(f"{draw_name(facility.id, slot_text(slot.begin))}  from {when}")


@draw.command()
@AS
@PARTIES
@STREAM
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The file to write."
)
@click.argument("names", metavar="DRAW...", nargs=-1, required=True)
def shares(key_path: Path, parties_path: Path, stream: str, out: Path, names: tuple[str, ...]) -> None:
    """Write down what this party gives to the others for draws, such as mapo-nanjicheon-pitch/2026-05-02T08:00."""
    from p2pworld.errors import RemoteError
    from p2pworld.services.draw_shares import give

    key, parties = _key(key_path), _parties(parties_path)
    try:
        given = [give(key, parties, stream, name).document() for name in names]
        out.write_text(json.dumps({"shares": given}, indent=1) + "\n", encoding="utf-8")
    except RemoteError as error:
        raise ConfigError(f"{key_path} does not go with {parties_path}: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}.") from None
    click.echo(f"{out}: shares for {len(given)} draws; send it to the other two parties")


@draw.command(name="open")
@AS
@PARTIES
@STREAM
@SERVICES
@click.option(
    "--closes", help="When it closes, if it was opened before and came to nothing: 2026-05-01T10:00."
)
@SHARES
@filing
def open_(
    key_path: Path,
    parties_path: Path,
    stream: str,
    folder: Path | None,
    closes: str | None,
    files: tuple[Path, ...],
    **how: Any,
) -> None:
    """Open, as the office, all draws for which there are the shares of all three parties."""
    from p2pworld.services.draw_log import OPENED

    key, parties, given = _key(key_path), _parties(parties_path), _given(files)
    leaves = []
    for name in sorted({one.draw for one in given if one.stream == stream}):
        mine = {one.giver: one for one in given if one.draw == name and one.stream == stream}
        if set(mine) != {0, 1, 2} or any(mine[n].key != each.key for n, each in enumerate(parties)):
            _end(f"{name}: there are not the shares of these three parties: bring all three files.")
        said = _opening(name, [mine[number] for number in range(3)], closes, folder)
        leaves.append((name, _leaf(OPENED, stream, said, key)))
    _file(leaves, **how)


def _opening(name: str, given: Sequence[Given], closes: str | None, folder: Path | None) -> dict[str, str]:
    """What an opening leaf says. Raises ConfigError."""
    from p2pworld.errors import Refusal
    from p2pworld.services.draw import HOLDERS
    from p2pworld.services.reservations import closing_minute, offer_of
    from p2pworld.services.working_time import OfficeCalendar
    from shard_node.services.folder import read

    catalogue, calendar = read(folder), OfficeCalendar()
    facility, slot, *again = name.split("/")
    offers = (
        offer_of(service, catalogue.facilities, facility, slot, calendar)
        for service in catalogue.services.values()
        if service.places is not None and service.places.draw_days
    )
    offer = next((one for one in offers if not isinstance(one, Refusal)), None)
    if offer is None:
        raise ConfigError(f"{name}: no service draws lots for such a slot.")
    if bool(again) != bool(closes):
        raise ConfigError(f"{name}: --closes belongs to draws that are opened again, such as …/1.")
    until = _minute(closes) if closes else closing_minute(offer.rules, offer.slot.begin)
    said = {"draw": name, "party": "0", "places": str(offer.facility.seats), "closes": str(until)}
    for number, one in enumerate(given):
        said[f"key-{number}"] = one.key.hex()
        for holder, digest in zip(HOLDERS[number], one.hashes, strict=True):
            said[f"share-{number}-{holder}"] = digest
    return said


def _minute(text: str) -> int:
    """Raises ConfigError."""
    from datetime import datetime

    from p2pworld.services.working_time import minute_at

    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--closes is {text!r}: write such as 2026-05-01T10:00, in Seoul's time.") from None
    return minute_at(when.date(), when.hour * 60 + when.minute)


# ---- once it is open


@draw.command()
@LOG
@SHARES
@AS
@filing
def acknowledge(log: Path, files: tuple[Path, ...], key_path: Path, **how: Any) -> None:
    """Say in the log, for each draw that was opened, that the shares this party was given fit their hashes."""
    from p2pworld.services.draw_log import SHARED

    key, given = _key(key_path), _given(files)
    leaves = []
    for logged, drawn, number in _taking_part(log, key):
        if number in drawn.shared or drawn.closed is not None:
            continue
        _check_own(drawn, number, key)
        for giver in {0, 1, 2} - {number}:
            _held(drawn, giver, number, key, given)
        said = {"draw": logged.name, "party": str(number)}
        leaves.append((logged.name, _leaf(SHARED, logged.stream, said, key)))
    _file(leaves, **how)


@draw.command()
@LOG
@click.argument("files", metavar="[SHARES...]", nargs=-1, type=FILE)
@AS
@filing
def reveal(log: Path, files: tuple[Path, ...], key_path: Path, **how: Any) -> None:
    """Reveal this party's shares of each draw that has closed, and a day later those it holds for others."""
    from p2pworld.services.draw import HOLDERS
    from p2pworld.services.draw_log import REVEAL_MINUTES, SHARE
    from p2pworld.services.draw_shares import share_of

    key, given, leaves = _key(key_path), _given(files), []
    for logged, drawn, number in _taking_part(log, key):
        if drawn.closed is None or drawn.ready:
            continue
        found = {
            (number, holder): share_of(key.seed, logged.stream, logged.name, (number, holder))
            for holder in HOLDERS[number]
        }
        if _now_minute() >= drawn.closed + REVEAL_MINUTES:
            for giver in {0, 1, 2} - {number}:
                if (giver, number) not in drawn.shares:
                    found[giver, number] = _held(drawn, giver, number, key, given)
        for pair, share in found.items():
            if pair not in drawn.shares:
                said = {"draw": logged.name, "party": str(number), "share": share.hex()}
                said |= {"giver": str(pair[0]), "holder": str(pair[1])}
                leaves.append((logged.name, _leaf(SHARE, logged.stream, said, key)))
    _file(leaves, **how)


def _taking_part(log: Path, key: Signer) -> Iterable[tuple[LoggedDraw, Draw, int]]:
    """The draws of a log in which this is a party, as they stand, and which party it is."""
    from client.draws_in_log import read_draws

    for logged in read_draws(log):
        drawn, _ = logged.recompute()
        if key.public in drawn.keys:
            yield logged, drawn, drawn.keys.index(key.public)


def _check_own(drawn: Draw, number: int, key: Signer) -> None:
    from p2pworld.services.draw import HOLDERS, share_hash
    from p2pworld.services.draw_shares import share_of

    for holder in HOLDERS[number]:
        pair = number, holder
        share = share_of(key.seed, drawn.stream, drawn.name, pair)
        if share_hash(drawn.stream, drawn.name, pair, share) != drawn.hashes[pair]:
            _end(f"{drawn.name}: the log has another share of yours than you gave. Do not acknowledge it.")


def _held(drawn: Draw, giver: int, number: int, key: Signer, given: Iterable[Given]) -> bytes:
    """The share that this party was given by another, if it is the one in the log."""
    from p2pworld.errors import RemoteError
    from p2pworld.services.draw import HOLDERS
    from p2pworld.services.draw_shares import taken

    for one in given:
        if (one.stream, one.draw, one.giver) != (drawn.stream, drawn.name, giver):
            continue
        try:
            share = taken(key, number, one)
        except RemoteError as error:
            _end(f"{drawn.name}: what party {giver} gave cannot be used: {error}.")
        if one.hashes[HOLDERS[giver].index(number)] == drawn.hashes[giver, number]:
            return share
    _end(f"{drawn.name}: no file here has what party {giver} gave for this draw.")


# ---- files, and what is filed


def _key(path: Path) -> Signer:
    """Raises ConfigError."""
    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import LocalError

    try:
        return Signer.from_text(path.read_text("utf-8"))
    except (LocalError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} holds no key of a party: {error}.") from None


def _parties(path: Path) -> list[Party]:
    """Raises ConfigError."""
    from p2pworld.errors import RemoteError
    from p2pworld.services.draw_shares import Party

    try:
        parties = [Party.parse(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    except (RemoteError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}.") from None
    if len({one.key for one in parties}) != len(parties) or len(parties) != 3:
        raise ConfigError(f"{path} is to have three lines, of three different parties.")
    return parties


def _given(paths: Iterable[Path]) -> list[Given]:
    """Raises ConfigError."""
    from p2pworld.errors import RemoteError
    from p2pworld.services.draw_shares import parse_given

    found = []
    for path in paths:
        try:
            document = json.loads(path.read_text("utf-8"))
            found += [parse_given(one) for one in document["shares"]]
        except (RemoteError, OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"{path} is no file of shares: {error}.") from None
    return found


def _leaf(declared: TransactionType, stream: str, said: Mapping[str, str], key: Signer) -> Submission:
    from p2pworld.errors import LocalError
    from p2pworld.services.draw_log import file_draw_leaf

    try:
        return file_draw_leaf(declared, stream, _now_minute(), said, key, os.urandom(32))
    except LocalError as error:
        raise ConfigError(f"{said['draw']} cannot be said so: {error}.") from None


def _now_minute() -> int:
    return time.time_ns() // 60_000_000_000


def _file(
    leaves: Sequence[tuple[str, Submission]],
    urls: tuple[str, ...],
    pinned_path: Path | None,
    key_texts: tuple[str, ...],
    quorum: int,
    wait_s: float,
) -> None:
    """Files these, and says what came of each; ends the program if one is not taken."""
    from client.filing import Proven
    from p2pworld.civic.reasons import words_for

    trust: Trust
    trust, _ = trusted(pinned_path, key_texts, quorum)
    for name, leaf in leaves:
        found = bring(leaf, trust, urls, wait_s, None)
        if found is None:
            click.echo(f"{name}: nobody has proven that it is filed; run this again", err=True)
            sys.exit(UNANSWERED)
        if not isinstance(found, Proven):
            _end(f"{name}: {words_for(found.reason).en} ({found.reason})")
        click.echo(f"{name}: {leaf.filing.type} is entry {found.receipt.index}")
    if not leaves:
        click.echo("there is nothing to do")


def _end(sentence: str) -> NoReturn:
    click.echo(sentence, err=True)
    sys.exit(WRONG)
