"""The subcommands for the store of a node's civic logs, and for having something erased.

What was published is in the log's folder, which anybody may copy; only what is sealed is nowhere else. So a restored
copy is first cleaned of what the log says is erased, then brought up to the log by `reconcile`, and nothing is written
to it before that. Exit codes, for scripts: 0 all is well; 4 something is wrong, or was lost; 2 it could not be done,
and one sentence says why.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from shard_node.commands import CONFIG
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from p2pworld.civic.heads import Record
    from shard_node.civic.copies import Lost
    from shard_node.civic.published import LogCopy
    from shard_node.civic.settings import CivicConfig
    from shard_node.config import Config
    from shard_node.services.beside import RowsOfServices

__all__ = ["civic"]

WRONG: Final = 4
SHOWN: Final = 50
FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
LOG = click.option(
    "--log",
    "folders",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A copy of a published log, for one that is newer than the node's own folder, or all there is.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Say it for programs.")


@click.group()
def civic() -> None:
    """Back up, restore, check and reconcile the store of civic logs; have entries erased.

    The key that signs checkpoints and the configuration are not in the store: keep those elsewhere.
    """


@civic.command()
@CONFIG
@FILE
def backup(config_path: Path, path: Path) -> None:
    """Copy the store to FILE, which must not be there yet, and its attachments beside it. The node may be running."""
    from shard_node.attachments import copies as attached
    from shard_node.civic import copies

    _, store = _file(config_path)
    with _said():
        found = copies.backup(store, path)
        count = attached.backup(store, path)
    click.echo(f"{path}: {found}, {path.stat().st_size} bytes; {count} attachments beside it")


@civic.command()
@CONFIG
@FILE
@LOG
@click.option(
    "--without-log",
    is_flag=True,
    help="There is no copy of some log anywhere: what was erased since comes back, and you answer for it.",
)
@click.option("--aside", is_flag=True, help="Move a store that is there aside.")
def restore(config_path: Path, path: Path, folders: tuple[Path, ...], without_log: bool, aside: bool) -> None:
    """Put the copy FILE in the place of the store. The node must have ended.

    What the logs say was erased since is erased in it first. If entries were filed since, the log takes nothing until
    `reconcile` has brought them back.
    """
    from shard_node.attachments import copies as attached
    from shard_node.civic import copies
    from shard_node.civic.keeping import KeptInFile

    config, store = _file(config_path)
    with _said(), KeptInFile(store).alone():
        sizes = copies.survey(path).entries
        logs: dict[str, LogCopy | None] = dict(_copies(config, folders, sizes))
        if without_log:
            logs = dict.fromkeys(sizes) | logs
        found, erased, old = copies.restore(path, store, logs, aside)
        gone = {stream: log.erased for stream, log in logs.items() if log is not None}
        count = attached.restore(path, store, gone)
    click.echo(f"{store}: {found}; {erased} of the erased were in the copy until now; {count} attachments")
    for name, size in found.entries.items():
        log = logs[name]
        if log is not None and log.size > size:
            click.echo(f"{name}: {log.size - size} entries were filed since: `p2pworld civic reconcile`")
    if old is not None:
        click.echo(f"what was there is {old} now")


@civic.command()
@CONFIG
@LOG
@click.option(
    "--record",
    "anew",
    is_flag=True,
    help="The coordination store was lost or is a copy: write down anew there how far the logs have come. Ask the "
    "witnesses, and whoever copies the logs, first: only the newest copy will do.",
)
@JSON
def reconcile(config_path: Path, folders: tuple[Path, ...], anew: bool, as_json: bool) -> None:
    """Bring back what was published and the store lacks, from the logs' folders or copies. The node must have ended.

    Whatever was sealed with those entries is lost, and named one by one: exit code 4. A log is left as it is if the
    store holds other entries than it, or if more were recorded than any copy of it has: going on would fork it.
    """
    import trio

    from shard_node import config as configuration
    from shard_node.civic.keeping import keeping

    config, beside = _logs(config_path), _beside(config_path)
    kept = keeping(config.store)
    lost: dict[str, list[Lost]] = {}
    with _said(), kept.alone():
        sizes = kept.sizes()
        records = trio.run(_records, configuration.load(config_path), config)
        known = [record.size for record in records.values() if record]
        logs = _copies(config, folders, sizes, known)
        for stream in config.streams:
            size, log = sizes.get(stream, 0), logs.get(stream)
            _refuse_behind(stream, size, log, records[stream], anew)
            if log is not None:
                lost[stream] = kept.reconcile(stream, log, beside)
                if anew:
                    trio.run(_record, configuration.load(config_path), config, log, stream, records[stream])
                if not as_json:
                    click.echo(
                        f"{stream}: {max(log.size - size, 0)} entries brought back, {len(lost[stream])} sealed lost"
                    )
    if as_json:
        click.echo(json.dumps({stream: [_plain(one) for one in each] for stream, each in lost.items()}))
    else:
        for stream, each in lost.items():
            for one in each:
                said = _plain(one)
                click.echo(
                    f"lost  {stream} entry {one.index}: {said['type']} of {said['utc']}, key {said['key']}"
                )
    if any(lost.values()):
        raise SystemExit(WRONG)


@civic.command()
@CONFIG
@click.argument("path", metavar="[FILE]", type=click.Path(path_type=Path), required=False)
@JSON
def fsck(config_path: Path, path: Path | None, as_json: bool) -> None:
    """Look through the store, or a copy of it in FILE, and say what is wrong and where. The node may be running.

    The published folders are read too, and compared with it. For what is wrong in a folder there is `p2pworld verify`.
    """
    from shard_node.attachments import copies as attached
    from shard_node.civic.keeping import KeptInFile, keeping
    from shard_node.civic.store import Fault
    from shard_node.storage.journal import StorageFailed

    config, beside = _logs(config_path), _beside(config_path)
    kept = keeping(config.store) if path is None else KeptInFile(path)
    with _said():
        found = kept.survey()
        faults = [*found.faults, *attached.look_through(config.store, path)]
    for stream, size in found.entries.items():
        try:
            log = _copies(config, (), {stream: size}).get(stream)
            fault = kept.compare(stream, log) if log else None
            faults += kept.wrong_rows(stream, beside) if stream in config.streams else []
        except StorageFailed as error:
            fault = Fault(f"the published log {stream}", str(error))
        faults += [fault] if fault else []
    if as_json:
        said = [{"place": fault.place, "sentence": fault.sentence} for fault in faults]
        counts = {"sealed": found.sealed, "erased": found.erased, "lost": found.lost}
        click.echo(json.dumps({"store": kept.name, "entries": found.entries, **counts, "faults": said}))
    else:
        for fault in faults[:SHOWN]:
            click.echo(f"wrong  {fault.place}: {fault.sentence}")
        if len(faults) > SHOWN:
            click.echo(f"wrong  and {len(faults) - SHOWN} more")
        click.echo(f"{kept.name}: {found}; {len(faults)} faults")
    if faults:
        raise SystemExit(WRONG)


@civic.command()
@click.argument("stream")
@click.argument("index", type=click.IntRange(min=0))
@FILE
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The key of a desk, or the .secrets of the transaction itself.",
)
def erase(stream: str, index: int, path: Path, key_path: Path) -> None:
    """Write to FILE, which must not be there yet, the signed filing that has entry INDEX of STREAM erased.

    File it at any node within nine minutes, again and again until there is a receipt; the same file, so that it is one
    erasure. What is sealed with the entry is destroyed in the store at once; what copies of the store hold of it is
    destroyed when they are restored.
    """
    from p2pworld.civic.erasure import file_erasure
    from p2pworld.civic.transaction import Secrets
    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import LocalError

    try:
        text = key_path.read_text("utf-8")
        own = text.startswith("seed ")
        asker = Signer.from_seed(Secrets.from_text(text).seed) if own else Signer.from_text(text)
        filed = file_erasure(stream, index, int(time.time()) // 60, asker, secrets.token_bytes(32))
        with path.open("xb") as file:
            file.write(filed.to_bytes())
            file.flush()
            os.fsync(file.fileno())
    except LocalError as error:
        raise ConfigError(f"This cannot be asked for: {error}.") from None
    except FileExistsError:
        raise ConfigError(f"{path} is there already: file that, or name another file.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key_path} or {path} cannot be used: {error}.") from None
    click.echo(
        f"{path}: asks, with the key {asker.public.hex()[:16]}, to have entry {index} of {stream} erased"
    )


@civic.command()
@CONFIG
@click.argument("stream")
@click.option(
    "--old",
    "old_path",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The office's secret until now, from `p2pworld keys office`.",
)
@click.option("--new", "new_text", required=True, help="Its new public key, 64 hex digits.")
def rewrap(config_path: Path, stream: str, old_path: Path, new_text: str) -> None:
    """Have whatever was sealed in STREAM for the office's old key open with its new one. The node must have ended.

    Copies of the store that were made before open with the old key: exit code 4 names what could not be changed.
    """
    from p2pworld.crypto.seal import seal, secret_of_text
    from p2pworld.errors import LocalError
    from shard_node.civic.keeping import keeping

    config = _logs(config_path)
    if stream not in config.streams:
        raise ConfigError(f"{stream} is none of the logs of this node: {', '.join(config.streams)}.")
    kept = keeping(config.store)
    try:
        secret, new = secret_of_text(old_path.read_text("utf-8")), bytes.fromhex(new_text)
        seal(new, b"")  # refuses what is no key
    except (LocalError, ValueError, OSError) as error:
        raise ConfigError(f"The office's keys cannot be used: {error}.") from None
    with _said(), kept.alone():
        found = kept.rewrap(stream, secret, new)
    click.echo(f"{stream}: {found.changed} were wrapped for {new.hex()[:16]}")
    for index in found.unreadable:
        click.echo(f"wrong  entry {index}: what it says is for the old key does not open with it")
    if found.unreadable:
        raise SystemExit(WRONG)


@civic.command("open")
@CONFIG
@click.argument("stream")
@click.argument("index", type=click.IntRange(min=0))
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="The office's secret, from `p2pworld keys office`.",
)
@JSON
def open_(config_path: Path, stream: str, index: int, key_path: Path, as_json: bool) -> None:
    """Read what was sealed for the office with entry INDEX of STREAM. The node may be running.

    Exit code 4: nothing is sealed with it any more, or it was sealed for another office.
    """
    import trio

    from client.leaf_words import utc_words
    from p2pworld.crypto.seal import secret_of_text
    from p2pworld.errors import LocalError, RemoteError
    from shard_node.civic.opening import open_entry

    config = _logs(config_path)
    if config.store.path is not None and not config.store.path.exists():
        raise ConfigError(
            f"There is no store at {config.store.path}: name the configuration of a node that has it."
        )
    try:
        secret = secret_of_text(key_path.read_text("utf-8"))
        with _said():
            opened = trio.run(open_entry, config.store, stream, index, secret)
    except (LocalError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"This entry cannot be opened: {error}.") from None
    except RemoteError as error:
        click.echo(f"wrong  entry {index} of {stream}: {error}")
        raise SystemExit(WRONG) from None
    filing, private = opened.leaf.filing, opened.private
    public = {field.name: field.value for field in filing.public}
    if as_json:
        sealed = private and {
            "identity": private.identity.hex(),
            "fields": {field.name: field.value for field in private.fields},
        }
        plain = {"type": filing.type, "minute": filing.minute, "key": filing.key.hex(), "public": public}
        click.echo(json.dumps(plain | {"sealed": sealed}, ensure_ascii=False))
    else:
        click.echo(f"entry {index} of {stream}: {filing.type}, {utc_words(filing.minute)}")
        for name, value in public.items():
            click.echo(f"  {name} (public): {value}")
        if private is not None:
            click.echo(f"  signed by: {private.identity.hex()}")
            for field in private.fields:
                click.echo(f"  {field.name}: {field.value}")
    if private is None and filing.sealed:
        click.echo("what was sealed with it is not there any more: it was erased, or lost", err=True)
        raise SystemExit(WRONG)


# ---- what they share


def _logs(config_path: Path) -> CivicConfig:
    """What `[civic]` says.

    Raises ConfigError.
    """
    from shard_node import config as configuration

    config = configuration.load(config_path).civic
    if config is None:
        raise ConfigError("This node holds no civic logs: its configuration has no [civic].")
    return config


def _beside(config_path: Path) -> RowsOfServices:
    """Who knows what the rows beside the logs mean."""
    from shard_node import config as configuration
    from shard_node.services.beside import RowsOfServices

    return RowsOfServices(configuration.load(config_path).services)


def _file(config_path: Path) -> tuple[CivicConfig, Path]:
    """What `[civic]` says, and the file that is the store.

    Raises ConfigError.
    """
    config = _logs(config_path)
    if config.store.path is None:
        raise ConfigError(
            "civic.store names a server: it is copied and restored with the server's own programs; then reconcile it."
        )
    return config, config.store.path


@contextmanager
def _said() -> Iterator[None]:
    """What the disk refuses becomes one sentence."""
    from shard_node.storage.journal import StorageFailed

    try:
        yield
    except StorageFailed as error:
        raise ConfigError(str(error)) from None


def _copies(
    config: CivicConfig, folders: tuple[Path, ...], sizes: Mapping[str, int], more: list[int] | None = None
) -> dict[str, LogCopy]:
    """The newest copy of each log, of the node's own folders and these; its roots at the store's sizes, and at `more`.

    A folder that is damaged is an error, and so are two copies that contradict each other.
    """
    from p2pworld.merkle.checkpoint import Checkpoint
    from shard_node.civic.folder import CHECKPOINT, PublishedLog
    from shard_node.civic.published import read_copy
    from shard_node.civic.settings import keys_of, read_signers
    from shard_node.storage.journal import StorageFailed

    origins = {
        signer.key.name: (stream, keys_of(config, signer)) for stream, signer in read_signers(config).items()
    }
    found: dict[str, list[tuple[int, Path]]] = {}
    for folder in (*(config.publish / stream for stream in config.streams), *folders):
        note = PublishedLog(folder).note(CHECKPOINT)
        if note is not None:
            checkpoint = Checkpoint.parse(note.text)
            if checkpoint.origin not in origins:
                raise ConfigError(
                    f"{folder} is a copy of {checkpoint.origin}, which is none of this node's logs."
                )
            found.setdefault(checkpoint.origin, []).append((checkpoint.size, folder))
        elif folder in folders:
            raise ConfigError(f"{folder} is no copy of a published log: it has no {CHECKPOINT}.")
    logs: dict[str, LogCopy] = {}
    for origin, each in found.items():
        stream, keys = origins[origin]
        (_, newest), *others = sorted(each, reverse=True)
        wanted = [*(size for size, _ in others), *(more or ()), sizes.get(stream, 0)]
        log = logs[stream] = read_copy(newest, origin, keys, wanted)
        for _, folder in others:
            other = read_copy(folder, origin, keys)
            if log.roots.get(other.size, log.root) != other.root:
                raise StorageFailed(
                    "corrupt", f"{newest} and {folder} are two histories of {origin}: a fork."
                )
    return logs


async def _records(settings: Config, config: CivicConfig) -> dict[str, Record | None]:
    """What the coordination store has recorded of each log."""
    from p2pworld.civic.heads import parse_record
    from p2pworld.errors import RemoteError
    from shard_node.store_commands import opened_store

    found: dict[str, Record | None] = {}
    async with opened_store(settings) as opened:
        for stream in config.streams:
            data = await opened.read_record(f"{config.origin}/{stream}")
            try:
                found[stream] = parse_record(data) if data is not None else None
            except RemoteError as error:
                raise ConfigError(f"The record of {stream} cannot be read: {error}.") from None
    return found


async def _record(
    settings: Config, config: CivicConfig, log: LogCopy, stream: str, before: Record | None
) -> None:
    """Write down how far a log has come, unless that is known."""
    from p2pworld.civic.heads import Record
    from p2pworld.errors import LocalError
    from shard_node.civic.settings import read_signers
    from shard_node.coordination import OutcomeUnknown
    from shard_node.store_commands import opened_store

    if before is not None and before.size >= log.size:
        return
    key = read_signers(config)[stream].key
    record = Record(key.name, log.size, log.root, max(log.epoch, before.epoch if before else 0), key.public)
    try:
        async with opened_store(settings) as opened:
            data = before.to_bytes() if before else None
            found = await opened.put_record(record.origin, data, record.to_bytes())
    except (OutcomeUnknown, LocalError) as error:
        raise ConfigError(
            f"Whether the record of {stream} was written is not known ({error}): try again."
        ) from None
    if found != record.to_bytes():
        raise ConfigError(
            f"The record of {stream} was changed meanwhile: a node runs. End all of them first."
        )


def _refuse_behind(stream: str, size: int, log: LogCopy | None, record: Record | None, anew: bool) -> None:
    """Returns if the copy of the log is all that was ever recorded of it.

    Raises ConfigError: going on would fork it, or nobody can tell.
    """
    known = log.size if log else 0
    if known > (record.size if record else 0) and not anew:
        raise ConfigError(
            f"The coordination store is older than the log {stream}, or has lost it, so it cannot tell whether {known} "
            "entries are all of it: restore that store, or see --record."
        )
    if record is None:
        return
    if record.size > max(known, size):
        raise ConfigError(
            f"Of {stream} {record.size} entries were recorded, and the newest copy has {known}: find a newer one "
            "(--log). Without it the log cannot go on; nothing was changed."
        )
    if log is not None and record.size <= log.size:
        root = log.root if record.size == log.size else log.roots[record.size]
        if root != record.root:
            raise ConfigError(
                f"The record of {stream} and {log.path} are two histories: a fork. Nothing was changed."
            )


def _plain(lost: Lost) -> dict[str, str | int]:
    filing = lost.leaf.filing
    utc = time.strftime("%Y-%m-%d %H:%M", time.gmtime(filing.minute * 60))
    return {"index": lost.index, "type": filing.type, "utc": utc, "key": filing.key.hex()}
