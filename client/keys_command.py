"""`p2pworld audit keys`: which key counted for which log when, as the city's own log has it.

The log is verified first, entry by entry, under the key that the caller gives, or a later one that the log announces
for itself; what it announces is believed only of those to whom one of the given root keys has granted it. With --json
this is the list that `p2pworld file --pinned` takes. Exit codes: 0; 1, the log is not what it signed; 2, wrong use, or
it cannot be read.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from client.leaf_words import utc_words
from client.verify_command import read_policy
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.policy import Policy
    from client.verify_leaves import BadLeaf
    from client.verify_log import Fault
    from p2pworld.civic.announce import Announced, KeyHistory
    from p2pworld.merkle.checkpoint import SignedCheckpoint

__all__ = ["keys"]

FOLDER_OR_URL = click.argument("log", metavar="LOGDIR|URL")
_NEWEST, _WITNESSED = "checkpoint", "checkpoint.witnessed"


@click.command()
@FOLDER_OR_URL
@click.option("--root", "roots", multiple=True, required=True, metavar="HEX", help="A root key of the city.")
@click.option(
    "--key", "key_texts", multiple=True, metavar="VKEY", help="The key of the city's log, or a witness's."
)
@click.option(
    "--quorum", type=click.IntRange(min=0), default=0, help="How many of those witnesses must sign."
)
@click.option("--policy", "policy_path", type=click.Path(path_type=Path, exists=True),
              help="Keys and quorum in a file instead.")  # fmt: skip
@click.option(
    "--json", "as_json", is_flag=True, help="One JSON document, for programs and for `file --pinned`."
)
def keys(
    log: str,
    roots: tuple[str, ...],
    key_texts: tuple[str, ...],
    quorum: int,
    policy_path: Path | None,
    as_json: bool,
) -> None:
    """Replay the city's log, and say which keys counted for which log from when on."""
    from p2pworld.civic.announce import KeyHistory

    policy = read_policy(key_texts, quorum, policy_path)
    root_keys = [_root(text) for text in roots]
    history = KeyHistory(root_keys)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(log) if Path(log).is_dir() else Path(scratch)
        policy = _with_later_keys(log, folder, policy, root_keys)
        if folder == Path(scratch):
            _copy(log, folder, policy)
        _read(folder, policy, history)
    if as_json:
        click.echo(json.dumps(history.document(), indent=1))
        return
    for stream, announced in history.streams.items():
        click.echo(f"{stream}")
        for one in announced:
            _say(one)
    for index, sentence in history.ignored:
        click.echo(f"entry {index} counts for nothing: {sentence}")


def _root(text: str) -> bytes:
    """Raises ConfigError."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"--root is {text!r}: give the 64 hex digits that `p2pworld keys show` prints.")
    return key


def _with_later_keys(log: str, folder: Path, policy: Policy, roots: list[bytes]) -> Policy:
    """Raises ConfigError."""
    from client.follow import fetch_from
    from client.later_keys import with_later_keys
    from client.verify_log import Fault
    from p2pworld.errors import LocalError, RemoteError

    def read(path: str, bytes_max: int) -> bytes | None:
        try:
            with (folder / path).open("rb") as file:
                return file.read(bytes_max + 1)
        except FileNotFoundError:
            return None

    try:
        return with_later_keys(policy, read if folder == Path(log) else fetch_from(log), roots)
    except LocalError as error:
        raise ConfigError(f"{error}.") from None
    except RemoteError as error:
        _end([Fault(error.reason, str(error))], log)
    except OSError as error:
        raise ConfigError(f"{log} cannot be read: {error}.") from None


def _copy(url: str, folder: Path, policy: Policy) -> None:
    """Raises ConfigError."""
    from client.follow import Follower, fetch_from
    from p2pworld.errors import LocalError

    try:
        step = Follower(folder, policy, fetch_from(url)).step()
    except LocalError as error:
        raise ConfigError(f"{error}.") from None
    except OSError as error:
        raise ConfigError(f"{url} cannot be read: {error}.") from None
    if step.fault:
        _end([step.fault], url)


def _read(folder: Path, policy: Policy, history: KeyHistory) -> None:
    """Every entry that was signed, into the history. Raises ConfigError."""
    from client.verify_log import Fault, Wanted, read_log
    from p2pworld.errors import RemoteError

    def take(entries: Sequence[bytes]) -> Callable[[], list[BadLeaf]]:
        for entry in entries:
            history.take(entry)
        return list

    try:
        checkpoint = _open(folder, policy).checkpoint
        found = read_log(folder, checkpoint.size, checkpoint.root, Wanted(check_leaves=take))
    except RemoteError as error:
        _end([Fault(error.reason, str(error))], str(folder))
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.") from None
    if found.faults:
        _end(found.faults, str(folder))


def _open(folder: Path, policy: Policy) -> SignedCheckpoint:
    """The newest checkpoint, or the newest that enough witnesses have signed."""
    from p2pworld.errors import RemoteError
    from p2pworld.merkle.checkpoint import Checkpoint, open_checkpoint
    from p2pworld.merkle.note import parse_note

    for name in (_NEWEST, _WITNESSED):
        note = parse_note((folder / name).read_bytes())
        origin = Checkpoint.parse(note.text).origin
        if origin not in policy.logs:
            raise RemoteError("checkpoint-origin", f"no key is given for the log {origin}")
        opened = open_checkpoint(note, origin, policy.logs[origin], policy.witnesses)
        try:
            policy.require_quorum(opened)
        except RemoteError:
            if name == _WITNESSED or not (folder / _WITNESSED).exists():
                raise
        else:
            break
    return opened


def _end(faults: list[Fault], where: str) -> NoReturn:
    for fault in faults:
        click.echo(f"{click.style('wrong', fg='red')}  {where}  {fault.reason}: {fault.sentence}")
    sys.exit(1)


def _say(one: Announced) -> None:
    what = one.announcement
    when = utc_words(one.minute)
    click.echo(f"  from size {what.from_size}, announced {when} (entry {one.index}) by {one.by.hex()[:16]}:")
    for key in what.keys:
        click.echo(f"    log      {key.text}")
    for key in what.witnesses:
        click.echo(f"    witness  {key.text}")
    if what.witnesses:
        click.echo(f"    quorum   {what.quorum} of {len(what.witnesses)}")
    for office in what.offices:
        click.echo(f"    office   {office.hex()}")
