"""Looks at all that a node needs before it starts: configuration, keys, grants, ports, clocks, disk, store.

It changes nothing but a small file it makes and removes in the data directory. Each finding is one sentence; one thing
wrong does not keep the others from being looked at.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from p2pworld.world.notices import Notices
from p2pworld.world.outbox import Outbox
from shard_node import config as configuration
from shard_node import serve
from shard_node.certificates import WebCertificate, is_for, not_after_ms
from shard_node.civic.settings import read_signers
from shard_node.coordination.interface import CoordinationDown
from shard_node.coordination.settings import conninfo, open_store
from shard_node.discovery import Hints
from shard_node.errors import ConfigError
from shard_node.execute import now
from shard_node.storage.journal import StorageFailed
from shard_node.storage.lock import DataDirLock
from shard_node.storage.sqlite import JOURNAL_NAME, SqliteJournal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from p2pworld.messages import SaveRecord
    from shard_node.civic.settings import CivicConfig
    from shard_node.config import Config

__all__ = ["Finding", "examine"]

FREE_BYTES_MIN: Final = 512 << 20
FSYNC_S_MAX: Final = 0.25
FSYNCS: Final = 5
LAN_S: Final = 2.0
GRANT_DAYS_MIN: Final = 30  # for a person to find whoever has the root key
DAYS_LEFT_MIN: Final = 7  # a person on holiday is back by then
DAY_MS: Final = 86_400_000
MOUNTS: Final = "/proc/self/mounts"
SHARED_DISKS: Final = ("nfs", "cifs", "smb", "9p", "ceph", "gluster", "fuse.sshfs", "lustre", "afs")
YEAR_2026_MS: Final = 1_767_225_600_000
YEAR_2100_MS: Final = 4_102_444_800_000


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether something is as it should be, and one sentence about it."""

    ok: bool
    about: str
    sentence: str
    warns: bool = False  # it is as it should be, but not for long


async def examine(config_path: Path) -> list[Finding]:
    """Everything found; at least one finding is not ok if the node could not run."""
    try:
        config = configuration.load(config_path)
    except ConfigError as error:
        return [Finding(False, "config", str(error))]
    found = [Finding(True, "config", f"{config_path} is understood.")]
    for about, look in (("key, grant", _identity), ("tls", _tls), ("ports", _ports), ("clock", _clock)):
        found.append(_looked(about, config, look))
    found += _machine(config)
    found += [finding async for finding in _disk(config)]
    found += _shared(config)
    found.append(await _store(config))
    found += [finding async for finding in _membership(config)]
    if config.civic is not None:
        found.append(await _civic(config.civic))
    if config.zeroconf:
        found.append(await _lan(config))
    return found


def _looked(about: str, config: Config, look: Callable[[Config], str]) -> Finding:
    try:
        return Finding(True, about, look(config))
    except ConfigError as error:
        return Finding(False, about, str(error))


def _identity(config: Config) -> str:
    keys = serve.read_keys(config)
    mode = config.key_file.stat().st_mode & 0o077
    if mode:
        raise ConfigError(f"{config.key_file} can be read by others: chmod 600 it.")
    grants = serve.read_grants(config, keys, now().wall_ms)
    days = (min(grant.not_after_ms for grant in grants) - now().wall_ms) / DAY_MS
    return f"node {keys.public.hex()[:16]} may take part for {days:.0f} more days."


def _tls(config: Config) -> str:
    if config.tls is None:
        return "play sockets speak no TLS (no [tls]): browsers come only from pages without https, or by a proxy."
    certificate, path = WebCertificate(config.tls), config.tls.play_cert
    for key, url in (("play_url", config.play_url), ("web_url", config.web_url if config.tls.web else "")):
        host = urlsplit(url).hostname
        if host and not is_for(path, host):
            raise ConfigError(f"tls.play_cert is not for {host}, which advertise.{key} names.")
    days = _days_left(certificate.not_after_ms, "tls.play_cert")
    return f"play sockets speak TLS{', pages too' if config.tls.web else ''}; {days:.0f} more days."


def _days_left(ends_ms: int, what: str) -> float:
    days = (ends_ms - now().wall_ms) / DAY_MS
    if days < DAYS_LEFT_MIN:
        raise ConfigError(f"{what} ends in {days:.1f} days: renew it.")
    return days


def _ports(config: Config) -> str:
    serve.bind(config).close()
    return f"{config.play}, {config.link} and {config.web} are free."


def _clock(config: Config) -> str:
    before, boot_s = now(), time.clock_gettime(time.CLOCK_BOOTTIME)
    if not YEAR_2026_MS <= before.wall_ms <= YEAR_2100_MS:
        raise ConfigError("the clock is years off: set it, and keep it with NTP.")
    if boot_s < time.clock_gettime(time.CLOCK_MONOTONIC) - 0.001:
        raise ConfigError(
            "the boot clock runs behind the monotonic clock: this kernel's clocks cannot be trusted."
        )
    return time.strftime(
        "it is %Y-%m-%d %H:%M:%S UTC here: compare it with another machine's.", time.gmtime()
    )


def _machine(config: Config) -> Iterator[Finding]:
    missing = serve.allow_files(config.clients_max)
    if missing:
        yield Finding(
            False,
            "open files",
            f"{missing} open files short of {config.clients_max} clients: raise the hard limit (ulimit -Hn), "
            "or lower node.clients_max.",
        )
    else:
        yield Finding(True, "open files", f"enough for {config.clients_max} clients.")


async def _disk(config: Config) -> AsyncIterator[Finding]:
    try:
        lock = DataDirLock.acquire(config.data_dir)
    except StorageFailed as error:
        yield Finding(False, "data_dir", f"node.data_dir: {error}")
        return
    try:
        yield _space(config.data_dir)
        yield _sync(config.data_dir)
        yield await _journal(config)
    finally:
        lock.release()


def _space(data_dir: Path) -> Finding:
    free = shutil.disk_usage(data_dir).free
    return Finding(
        free >= FREE_BYTES_MIN, "disk space", f"{free >> 20} MiB free (512 are needed) at {data_dir}."
    )


def _sync(data_dir: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=data_dir) as file:
            began_s = time.perf_counter()
            for _ in range(FSYNCS):
                file.write(bytes(4_096))
                file.flush()
                os.fsync(file.fileno())
            each_s = (time.perf_counter() - began_s) / FSYNCS
    except OSError as error:
        return Finding(False, "disk sync", f"{data_dir} cannot be written: {error.strerror}.")
    sentence = f"a synced write takes {each_s * 1000:.1f} ms (more than 250 would hold up every lantern)."
    return Finding(each_s <= FSYNC_S_MAX, "disk sync", sentence)


async def _journal(config: Config) -> Finding:
    path = config.data_dir / JOURNAL_NAME
    if not path.exists():
        return Finding(True, "journal", "none yet; the first start makes it.")
    try:
        journal = await SqliteJournal.open(path)
        try:
            cells = await journal.recover()
        finally:
            await journal.close()
    except StorageFailed as error:
        return Finding(False, "journal", str(error))
    return Finding(True, "journal", f"holds the objects of {len(cells)} cells.")


async def _membership(config: Config) -> AsyncIterator[Finding]:
    """Whether the node's grants end soon, or were taken back: what the store says, and the node's own journal."""
    try:
        grants = serve.read_grants(config, serve.read_keys(config), now().wall_ms)
    except ConfigError:
        return  # said already
    days = (min(grant.not_after_ms for grant in grants) - now().wall_ms) / 86_400_000
    if days < GRANT_DAYS_MIN:
        sentence = (
            f"node.grant_file ends in {days:.0f} days: ask the owner of one of node.roots for a new grant."
        )
        yield Finding(True, "grant", sentence, warns=True)
    known = Notices(config.roots, Outbox(), await _records(config), now().wall_ms)
    if config.store.path is None or config.store.path.exists():
        try:
            store = open_store(config.store)
            try:
                board = await store.notices(-1)
            finally:
                await store.close()
        except (ConfigError, CoordinationDown):
            return  # said already
        for notice in (board.notices or {}).values():
            known.receive(notice, now())
    fault = known.voids(grants, now().wall_ms)
    if fault is not None:
        yield Finding(False, "revoked", f"this node may take part no longer: {fault.sentence}.")


async def _lan(config: Config) -> Finding:
    """Who announces itself on the local network: hints, of which none is needed."""
    from shard_node import lan

    hints = Hints(config.roots)
    try:
        await lan.look(hints, LAN_S)
    except OSError as error:
        sentence = f"the local network cannot be listened to ({error}): set discovery.zeroconf = false."
        return Finding(True, "zeroconf", sentence, warns=True)
    heard = len(hints.all())
    return Finding(True, "zeroconf", f"{heard} nodes of this city announce themselves on the local network.")


async def _records(config: Config) -> tuple[SaveRecord, ...]:
    path = config.data_dir / JOURNAL_NAME
    if not path.exists():
        return ()
    try:
        journal = await SqliteJournal.open(path)
        try:
            return await journal.recover_records()
        finally:
            await journal.close()
    except StorageFailed:
        return ()  # said already


def _shared(config: Config) -> Iterator[Finding]:
    """Files whose locks must hold, on a disk where they may not."""
    files = {"node.data_dir": config.data_dir, "coordination.path": config.store.path}
    if config.civic is not None:
        files["civic.store"] = config.civic.store.path
    for key, path in files.items():
        kind = _kind_of_disk(path) if path is not None else ""
        if kind.startswith(SHARED_DISKS):
            yield Finding(False, "locks", f"{key} is on {kind}, where locks may not hold: use a local disk.")


def _kind_of_disk(path: Path) -> str:
    """The file system that `path` is or would be on, where the system tells; else nothing."""
    place, best, kind = os.path.realpath(path), "", ""
    try:
        with open(MOUNTS, encoding="utf-8", errors="replace") as mounts:
            rows = [line.split()[1:3] for line in mounts]
    except OSError:
        return ""
    for at, name in rows:
        if os.path.commonpath([place, at]) == at and len(at) >= len(best):
            best, kind = at, name
    return kind


async def _civic(config: CivicConfig) -> Finding:
    """The key and the store of the logs that the node may hold."""
    settings, said = config.store, "logs may be held here; each commit is on {} in {}."
    try:
        read_signers(config)
        if config.key_file.stat().st_mode & 0o077:
            return Finding(False, "civic", f"{config.key_file} can be read by others: chmod 600 it.")
        if settings.path is not None:
            if not settings.path.parent.is_dir():
                return Finding(
                    False, "civic", f"civic.store is in {settings.path.parent}, which is no directory."
                )
            return Finding(True, "civic", said.format("one disk", "a file"))
        from shard_node.civic.postgres import PostgresCivicStore

        store = PostgresCivicStore(conninfo(settings), settings.copies)
        try:
            server = await store.server()
        finally:
            await store.close()
    except (ConfigError, StorageFailed) as error:
        return Finding(False, "civic", str(error))
    if not server.flushes:
        return Finding(
            False, "civic", "fsync is off in PostgreSQL, so what is accepted may be lost: turn it on."
        )
    if server.copies < settings.copies:
        return Finding(
            False,
            "civic",
            f"PostgreSQL answers a commit when it is on {server.copies} disk(s), and civic.store.copies is "
            f"{settings.copies}: set its synchronous_standby_names.",
        )
    return Finding(True, "civic", said.format(f"{server.copies} disk(s)", "PostgreSQL"))


async def _store(config: Config) -> Finding:
    settings = config.store
    if settings.path is not None and not settings.path.parent.is_dir():
        return Finding(
            False, "store", f"coordination.path is in {settings.path.parent}, which is no directory."
        )
    if settings.path is not None and not settings.path.exists():
        return Finding(True, "store", "none yet; the first node makes it.")
    if settings.password_file is not None and settings.password_file.stat().st_mode & 0o077:
        return Finding(False, "store", f"{settings.password_file} can be read by others: chmod 600 it.")
    try:
        if settings.cert_file is not None:
            key = "coordination.cert_file"
            _days_left(not_after_ms(settings.cert_file, key), key)
        store = open_store(settings)
    except ConfigError as error:
        return Finding(False, "store", str(error))
    began_s = time.perf_counter()
    try:
        seen = await store.read(-1)
    except CoordinationDown as error:
        return Finding(False, "store", f"{settings.key}: {error}.")
    finally:
        await store.close()
    took_ms = (time.perf_counter() - began_s) * 1_000
    alive = sum(not lease.ended for lease in seen.leases)
    unproven = (
        "" if settings.path is not None or settings.verified else " It proves itself by no certificate."
    )
    return Finding(
        True,
        "store",
        f"city map {seen.map_version}, {alive} leases; {settings.engine} answered in {took_ms:.0f} ms.{unproven}",
    )
