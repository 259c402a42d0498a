"""One node's process, from its configuration to its end.

Start: key and grants, the lock on the data directory (which proves the earlier process dead), the journal, the store,
the sockets, then the node and its tasks in one nursery. Whatever a person can mend is a ConfigError: one sentence.

End, at SIGTERM or SIGINT: give all ground to other nodes and hand its people off, for `city.drain_s` at most; then stop
accepting, say BYE `leaving` with the other nodes' urls to every client that is left, let the disk finish, end the lease
in the store, close. A second signal ends it at once. SIGHUP ends nothing: it reads the certificate that browsers see
anew.
"""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import socket
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.core import Node, NodeConfig
from p2pworld.crypto.keys import NodeKeys
from p2pworld.errors import LocalError, Refusal
from p2pworld.grants import Grant, grants_from_text, verify_chain
from p2pworld.ids import Incarnation
from shard_node import declared
from shard_node.certificates import WebCertificate
from shard_node.civic.desk import CivicDesk
from shard_node.config import Address, Config
from shard_node.coordination.interface import CoordinationDown
from shard_node.coordination.settings import open_store
from shard_node.discovery import Announcement, Hints
from shard_node.doors import Doors
from shard_node.errors import ConfigError
from shard_node.execute import Executor, now
from shard_node.links import Links
from shard_node.listening import listen_at
from shard_node.memory import keep_memory
from shard_node.noticing import Noticing
from shard_node.notify import Supervisor
from shard_node.play import PlaySockets
from shard_node.play_conn import listen_play
from shard_node.services.host import Offered, ServiceHost
from shard_node.services.routes import service_routes
from shard_node.stages import Stages
from shard_node.status import Status
from shard_node.storage.copies import unplaced
from shard_node.storage.journal import StorageFailed
from shard_node.storage.lock import DataDirLock
from shard_node.storage.sqlite import JOURNAL_NAME, SqliteJournal
from shard_node.surroundings import Surroundings
from shard_node.web.app import make_app
from shard_node.web.civic import civic_routes
from shard_node.web.membership import membership_routes
from shard_node.web.moderation import moderation_routes
from shard_node.web.serve import serve_web

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from p2pworld.world.places import Places
    from shard_node.coordination.interface import CityStore

    MakeSockets = Callable[
        [socket.socket, Callable[[], float], ssl.SSLContext | None, int, Stages, Doors], PlaySockets
    ]

__all__ = ["Bound", "allow_files", "bind", "open_disk", "read_grants", "read_keys", "serve"]

GOODBYE_S: Final = 2.0  # for clients to read BYE
FLUSH_S: Final = 5.0  # for the disk
END_LEASE_S: Final = 2.0
FILES_BESIDE: Final = 2_048  # sockets that handshake or linger, links, HTTP, files

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bound:
    """The three listening sockets, and the urls that others reach them at."""

    play: socket.socket
    link: socket.socket
    web: socket.socket
    play_url: str
    link_url: str
    web_url: str

    def close(self) -> None:
        """Lets go of all three."""
        for listener in (self.play, self.link, self.web):
            listener.close()


def _text(path: Path, key: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} names {path}, which cannot be read: {error}.") from None


def read_keys(config: Config) -> NodeKeys:
    """The node's identity.

    Raises ConfigError.
    """
    try:
        return NodeKeys.from_text(_text(config.key_file, "node.key_file"))
    except LocalError as error:
        raise ConfigError(
            f"node.key_file names {config.key_file}, which holds no node key ({error}): "
            "make one with `p2pworld keys node FILE`."
        ) from None


def read_grants(config: Config, keys: NodeKeys, wall_ms: int) -> tuple[Grant, ...]:
    """The chain of grants that lets this node carry a part of the city now.

    Raises ConfigError.
    """
    try:
        grants = grants_from_text(_text(config.grant_file, "node.grant_file"))
    except LocalError as error:
        raise ConfigError(
            f"node.grant_file names {config.grant_file}, which holds no grants: {error}."
        ) from None
    refusal = verify_chain(grants, config.roots, keys.public, "shard", wall_ms)
    if refusal is not None:
        raise ConfigError(
            f"node.grant_file does not let this node take part ({refusal.sentence}): "
            "ask the owner of one of node.roots for a new grant."
        )
    return grants


def allow_files(clients_max: int) -> int:
    """Raises this process's limit of open files as far as it may and needs to; returns what is then missing."""
    needed = clients_max + FILES_BESIDE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    return 0 if soft == resource.RLIM_INFINITY else max(0, needed - soft)


def bind(config: Config) -> Bound:
    """The listening sockets, all or none.

    Raises ConfigError.
    """
    with ExitStack() as opened:
        play = opened.enter_context(listen_at(config.play, "listen.play", listen_play))
        link = opened.enter_context(listen_at(config.link, "listen.link"))
        web = opened.enter_context(listen_at(config.web, "listen.web"))
        opened.pop_all()

    def url(scheme: str, address: Address, listener: socket.socket, path: str = "") -> str:
        return f"{scheme}://{Address(address.host, listener.getsockname()[1])}{path}"

    return Bound(
        play,
        link,
        web,
        config.play_url or url("wss" if config.tls else "ws", config.play, play, "/play"),
        config.link_url or url("tls", config.link, link),
        config.web_url or url("https" if config.tls and config.tls.web else "http", config.web, web),
    )


async def open_disk(config: Config) -> tuple[DataDirLock, SqliteJournal]:
    """The lock on the data directory and the journal in it.

    Raises ConfigError.
    """
    try:
        lock = DataDirLock.acquire(config.data_dir)
    except StorageFailed as error:
        raise ConfigError(f"node.data_dir cannot be used: {error}") from None
    path = config.data_dir / JOURNAL_NAME
    if unplaced(path).exists() and not path.exists():
        lock.release()
        raise ConfigError(f"{path} was about to be replaced when that was cut short: do it again.")
    try:
        return lock, await SqliteJournal.open(path)
    except StorageFailed as error:
        lock.release()
        raise ConfigError(f"the journal in node.data_dir cannot be used: {error}{_cure(error)}") from None


def _cure(error: StorageFailed) -> str:
    return " `p2pworld disk fsck` says what is wrong, and mends it." if error.reason == "corrupt" else ""


async def _open_store(config: Config) -> CityStore:
    """The coordination store, asked once.

    Raises ConfigError.
    """
    store = open_store(config.store)
    try:
        await store.read(-1)
    except CoordinationDown as error:
        if error.lasting:
            await store.close()
            raise ConfigError(f"{config.store.key} cannot be used: {error}.") from None
        log.warning("the coordination store does not answer yet: %s", error, extra={"reason": error.reason})
    return store


async def serve(
    config: Config,
    task_status: trio.TaskStatus[Bound] = trio.TASK_STATUS_IGNORED,
    sockets: MakeSockets = PlaySockets,
) -> None:
    """Runs a node until a signal ends it. `sockets` makes its play sockets: of listener, boot clock, TLS, room, stages
    and doors.

    Raises ConfigError: a person has to mend something first.
    """
    allow_files(config.clients_max)
    keep_memory()
    keys = read_keys(config)
    grants = read_grants(config, keys, now().wall_ms)
    places = declared.load(config.declared)
    certificate = WebCertificate(config.tls) if config.tls else None
    surroundings = Surroundings(config.data_dir / JOURNAL_NAME, grants, certificate, config.store.cert_file)
    bound = bind(config)
    try:
        lock, journal = await open_disk(config)
        try:
            store = await _open_store(config)
            try:
                await _run(
                    config,
                    keys,
                    grants,
                    places,
                    certificate,
                    surroundings,
                    bound,
                    lock,
                    journal,
                    store,
                    task_status,
                    sockets,
                )
            finally:
                with trio.CancelScope(shield=True, deadline=trio.current_time() + END_LEASE_S):
                    await store.close()
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + FLUSH_S):
                await journal.close()
            lock.release()
    finally:
        bound.close()


async def _run(
    config: Config,
    keys: NodeKeys,
    grants: tuple[Grant, ...],
    places: Places,
    certificate: WebCertificate | None,
    surroundings: Surroundings,
    bound: Bound,
    lock: DataDirLock,
    journal: SqliteJournal,
    store: CityStore,
    task_status: trio.TaskStatus[Bound],
    sockets: MakeSockets,
) -> None:
    try:
        saved, records = await journal.recover(), await journal.recover_records()
    except StorageFailed as error:
        raise ConfigError(f"the journal in node.data_dir cannot be used: {error}{_cure(error)}") from None
    node_config = NodeConfig(
        link_url=bound.link_url,
        play_url=bound.play_url,
        web_url=bound.web_url,
        claims=config.claims,
        tick_ms=config.tick_ms,
        ttl_s=config.ttl_s,
        clients_max=config.clients_max,
        take_orphans=config.take_orphans,
        places=places,
        roots=config.roots,
        grants=grants,
        balance=config.balance,
        name=config.name,
        streams=config.civic.claims if config.civic else (),
    )
    node = Node(node_config, keys, os.urandom(32), saved, lock.ended, now(), records)
    stages = Stages()
    executor = Executor(node, journal, store, on_number=lambda number: _record(lock, number), stages=stages)
    doors = Doors(config.unlimited)
    tls = certificate.context if certificate else None
    play = sockets(bound.play, lambda: now().boot_s, tls, config.clients_max, stages, doors)
    link_listener = trio.SocketListener(trio.socket.from_stdlib_socket(bound.link))
    hints = Hints(config.roots, lambda key: key in node.city_map.members)
    links = Links(
        [link_listener],
        keys,
        grants,
        config.roots,
        lambda: node.who,
        now,
        executor,
        node.voids,
        hints.link_urls,
    )
    play.attach(executor)
    offered = Offered(config.services)
    desk = CivicDesk(config.civic, store, executor.step, config.roots, node.voids, offered)
    executor.attach(play, links, desk)
    host = ServiceHost(offered, executor, desk, doors, config.data_dir)
    noticing = Noticing(executor, store)
    web_stop, supervisor = trio.Event(), Supervisor(os.environ)
    try:
        noticing.tell_former(grants)
        await noticing.look()
        if (fault := node.own_fault(now())) is not None:
            raise ConfigError(_taken_back(fault))
        await _end_former(grants, lock, store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(play.run)
            nursery.start_soon(play.run_frames)
            nursery.start_soon(links.run)
            nursery.start_soon(desk.run)
            nursery.start_soon(host.run)
            nursery.start_soon(executor.run)
            nursery.start_soon(surroundings.run)
            nursery.start_soon(supervisor.run)
            if config.zeroconf:
                announcement = Announcement.of(config.roots, keys.public, bound.link_url, bound.web_url)
                nursery.start_soon(_hear_the_lan, hints, announcement)
            app = make_app(
                Status(executor, surroundings, config.name, desk, host.index),
                more=[
                    *moderation_routes(executor),
                    *membership_routes(executor),
                    *civic_routes(executor, desk, doors),
                    *service_routes(host),
                ],
            )
            await nursery.start(
                serve_web, app, bound.web, web_stop, tls if config.tls and config.tls.web else None
            )
            gc.collect()
            gc.freeze()  # what lives as long as the process is not looked at again
            log.info(
                "node %s listens",
                config.name,
                extra={
                    "node": keys.public.hex()[:16],
                    "play_url": bound.play_url,
                    "link_url": bound.link_url,
                    "web_url": bound.web_url,
                },
            )
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
                task_status.started(bound)
                supervisor.tell("READY=1", f"STATUS=serving {config.name}")
                nursery.start_soon(_end_when_taken_back, noticing)
                await _until_told_to_end(signals, certificate)
                supervisor.tell("STOPPING=1", "STATUS=giving its ground and its people to others")
                nursery.start_soon(_end_at_once, signals, nursery.cancel_scope)
                # nobody takes anything from a node that has lost its grant
                await _leave(executor, play, store, config.drain_s if noticing.fault is None else 0.0)
                web_stop.set()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        told, others = group.split(ConfigError)
        if told is None or others is not None:
            raise
        raise _first(told) from None
    finally:
        play.close()
    if noticing.fault is not None:
        raise ConfigError(_taken_back(noticing.fault))
    log.info("ended")


def _taken_back(fault: Refusal) -> str:
    return (
        f"this node may take part no longer ({fault.sentence}): make a new key with `p2pworld keys node FILE` and ask "
        "the owner of one of node.roots for a grant for it."
    )


async def _hear_the_lan(hints: Hints, told: Announcement) -> None:
    from shard_node import lan  # half a second that most nodes need not spend

    await lan.run(hints, told)


async def _end_when_taken_back(noticing: Noticing) -> None:
    """A node that has lost its grant ends as if somebody had told it to."""
    fault = await noticing.run()
    log.error("ending: %s", fault.sentence, extra={"reason": fault.reason})
    signal.raise_signal(signal.SIGTERM)


async def _end_former(grants: tuple[Grant, ...], lock: DataDirLock, store: CityStore) -> None:
    """End the lease of the process before this one, if it ran here under a key that this one's has succeeded."""
    for former in [grant.issuer for grant in grants if grant.succeeds and lock.ended]:
        try:
            await store.end(Incarnation(former, lock.ended))
        except CoordinationDown as error:
            log.warning("an older lease could not be ended: %s", error, extra={"reason": error.reason})


def _first(group: BaseExceptionGroup[ConfigError]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _record(lock: DataDirLock, number: int) -> None:
    """Writes down which incarnation lives here, for the process after this one."""
    try:
        lock.record(number)
    except StorageFailed as error:
        log.warning("the incarnation could not be written down: %s", error, extra={"reason": error.reason})
    log.info("registered", extra={"incarnation": number})


async def _until_told_to_end(signals: AsyncIterator[int], certificate: WebCertificate | None) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            log.info("ending", extra={"signal": signal.Signals(number).name})
            return
        if certificate is None:
            log.info("there is no certificate to reload")
        else:
            certificate.reload()


async def _end_at_once(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for number in signals:
        if number != signal.SIGHUP:
            log.warning("ending at once")
            scope.cancel()


async def _leave(executor: Executor, play: PlaySockets, store: CityStore, drain_s: float) -> None:
    """Gives all ground away, sends who is left elsewhere, finishes what was begun, gives the lease back."""
    if drain_s:
        executor.drain()
        with trio.move_on_after(drain_s) as waited:
            await executor.until_drained()
        if waited.cancelled_caught:
            log.warning("not all ground was given away in %g s; standbys take over the rest", drain_s)
    play.stop_listening()
    executor.leave()
    with trio.move_on_after(GOODBYE_S):
        await play.until_gone()
    with trio.move_on_after(FLUSH_S):
        await executor.until_written()
    if executor.node.who.number:
        with trio.move_on_after(END_LEASE_S):
            try:
                await store.end(executor.node.who)
            except CoordinationDown as error:
                log.warning("the lease could not be given back: %s", error, extra={"reason": error.reason})
