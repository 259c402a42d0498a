"""Reads every log of the city on, all the time, into this node's index: what is filed anywhere shows here in a second.

A log is read where readers are sent: in this node's own folder if it holds the log, else at its holder, over HTTP; in
the folder also while nobody holds it. Nodes of one city believe each other, so no signature of a checkpoint is looked
at here; that the entries are those of the checkpoint is (`ServiceIndex.advance`). A look costs one small file for each
log here, and one small answer from each other holder, on a connection that is kept: how far that one has read its logs.
Only a log that is longer there is asked for, and each now and then anyway. What cannot be read is tried again, after
longer and longer waits, and harms no other log.
"""

from __future__ import annotations

import json
import logging
import ssl
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import trio

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import LOG_ENTRY_BYTES_MAX, NOTE_BYTES_MAX, SERVICE_LOOK_S
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import parse_note
from p2pworld.merkle.tiles import ENTRIES, TILE_WIDTH, Tile, decode_bundle
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from shard_node.http_client import LOST, Endpoint, connect, parse_web_url, why
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from shard_node.civic.desk import CivicDesk
    from shard_node.execute import Executor
    from shard_node.http_client import HttpConnection
    from shard_node.services.index import ServiceIndex

    Read = Callable[[str, int], Awaitable[bytes | None]]

__all__ = ["Follower", "Source", "read_bundle", "sources_of"]

ASK_S: Final = 10.0  # for one answer: a bundle of 1 MB at 100 kB/s
LOOK_HERE_S: Final = 0.2  # half as long as elsewhere: others hear of it from here
WHOLE_S: Final = 5.0  # a log is asked for itself, whatever its holder says of it
AGAIN_S: Final = (0.4, 1.0, 2.0, 5.0)  # before what could not be read is tried again
_BUNDLE_BYTES_MAX: Final = TILE_WIDTH * (2 + LOG_ENTRY_BYTES_MAX)
_SIZES_BYTES_MAX: Final = 32_768  # of 256 logs

Source = PublishedLog | str  # a folder here, or the address of a log: http://host:port/log/city

log = logging.getLogger(__name__)


def sources_of(executor: Executor, desk: CivicDesk) -> dict[str, Source]:
    """Where each log of the city map is to be read by this node now."""
    city = executor.node.city_map
    found: dict[str, Source] = {}
    for stream, holding in city.streams.items():
        holder, folder = city.member(holding.holder) if holding.holder else None, desk.folder(stream)
        if folder is not None and (holder is None or holder.who == executor.node.who):
            found[stream] = folder
        elif holder is not None:
            found[stream] = f"{holder.web_url}/log/{stream}"
    return found


class _Place(Protocol):
    """Where some logs are published."""

    async def read(self, source: Source, path: str, bytes_max: int) -> bytes | None:
        """The file at `path` of a log there, None if there is none."""

    async def sizes(self, source: Source, stream: str) -> Mapping[str, int] | None:
        """How far the logs there are read, as whoever keeps this one says; None: nobody does."""

    async def close(self) -> None:
        """Nothing more is read."""


class _Here:
    """The folders on this machine."""

    async def read(self, source: Source, path: str, bytes_max: int) -> bytes | None:
        assert isinstance(source, PublishedLog)
        return await trio.to_thread.run_sync(source.read, path)

    async def sizes(self, source: Source, stream: str) -> None:
        return None

    async def close(self) -> None:
        pass


class _There:
    """The logs that one server publishes, asked on one connection that is kept."""

    def __init__(self, endpoint: Endpoint, tls: ssl.SSLContext) -> None:
        self._endpoint, self._tls = endpoint, tls
        self._connection: HttpConnection | None = None

    async def read(self, source: Source, path: str, bytes_max: int) -> bytes | None:
        assert isinstance(source, str)
        return await self._get(f"{parse_web_url(source)[1]}/{path}", bytes_max)

    async def sizes(self, source: Source, stream: str) -> Mapping[str, int] | None:
        assert isinstance(source, str)
        base = parse_web_url(source)[1].removesuffix(f"/log/{stream}")
        data = await self._get(f"{base}/api/v1/logs", _SIZES_BYTES_MAX)
        try:
            told = json.loads(data or b"{}")["logs"]
            return {name: size for name, size in told.items() if type(size) is int}
        except (ValueError, KeyError, AttributeError, TypeError):
            return None  # an older node, or none of ours

    async def _get(self, path: str, bytes_max: int) -> bytes | None:
        with trio.fail_after(ASK_S):
            if self._connection is not None:
                with suppress(*LOST):  # it was closed while nobody asked
                    return await self._ask(self._connection, path, bytes_max)
            self._connection = await connect(self._endpoint, self._tls)
            return await self._ask(self._connection, path, bytes_max)

    async def _ask(self, connection: HttpConnection, path: str, bytes_max: int) -> bytes | None:
        whole = False
        try:
            answer = await connection.ask("GET", path, bytes_max=bytes_max)
            whole = connection.rewind()
        finally:
            if not whole:
                await self.close()
        return (
            answer.body if answer.status == 200 else None
        )  # else it is elsewhere by now: the map will say where

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with trio.CancelScope(shield=True):
                await connection.drop()


def _place_of(source: Source) -> Endpoint | None:
    """The server that a log is read from; None: this machine."""
    return parse_web_url(source)[0] if isinstance(source, str) else None


async def read_bundle(read: Read, number: int, size: int) -> list[bytes]:
    """The entries of a bundle of a log that has so many; its wider form serves as well."""
    tile = Tile(ENTRIES, number, min(TILE_WIDTH, size - number * TILE_WIDTH))
    for there in dict.fromkeys((tile, tile.widest)):
        data = await read(there.path, _BUNDLE_BYTES_MAX)
        if data is not None:
            return decode_bundle(there, data)[: tile.width]
    raise RemoteError("tile-missing", f"{tile.path} is not there")


@dataclass(slots=True)
class _Tried:
    """How it goes with one stream: the checkpoint up to which it was read, its size, and failures in a row."""

    checkpoint: bytes = b""
    size: int = 0
    failures: int = 0
    again_s: float = 0.0
    whole_s: float = 0.0


class Follower:
    """Reads on into `index` what `sources` says of each stream: the folder it is published in, or its address.

    `failing` says of what cannot be read just now why.
    """

    def __init__(
        self,
        index: ServiceIndex,
        sources: Callable[[], Mapping[str, Source]],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.failing: dict[str, str] = {}
        self._index, self._sources = index, sources
        self._tls = tls or ssl.create_default_context()
        self._tried: dict[str, _Tried] = {}
        self._running: set[Endpoint | None] = set()

    async def run(self) -> None:
        """Follow all logs, for ever; the index is opened, and closed in the end."""
        try:
            await self._open()
            async with trio.open_nursery() as nursery:
                while True:
                    for place in {place for place, _ in self._placed().values()} - self._running:
                        self._running.add(place)
                        nursery.start_soon(self._follow, place)
                    with self._told("declarations"):
                        await self._index.look()
                    await trio.sleep(SERVICE_LOOK_S)
        finally:
            await self._index.close()

    async def _open(self) -> None:
        """The index, as soon as it can be opened."""
        while True:
            with self._told("opening"):
                await self._index.open()
                return
            await trio.sleep(AGAIN_S[-1])

    async def _follow(self, place: Endpoint | None) -> None:
        """The logs that are read at one place, for as long as there are any."""
        there: _Place = _Here() if place is None else _There(place, self._tls)
        name = "this node's folders" if place is None else str(place)
        rest_s, failures = LOOK_HERE_S if place is None else SERVICE_LOOK_S, 0
        try:
            while mine := {stream: at[1] for stream, at in self._placed().items() if at[0] == place}:
                failures += 1  # until it has gone well
                with self._told(name):
                    stream, source = next(iter(mine.items()))
                    sizes = await there.sizes(source, stream)
                    for stream, source in mine.items():
                        if self._is_longer(stream, sizes):
                            await self._look(stream, partial(there.read, source))
                    failures = 0
                await trio.sleep(AGAIN_S[min(failures, len(AGAIN_S)) - 1] if failures else rest_s)
        finally:
            self._running.discard(place)
            await there.close()

    def _is_longer(self, stream: str, sizes: Mapping[str, int] | None) -> bool:
        """Whether a log is to be looked at: it has grown, as its holder says, or was last looked at long ago."""
        tried, now_s = self._tried.setdefault(stream, _Tried()), trio.current_time()
        grown = sizes is None or max(sizes.get(stream, 0), tried.size) > self._index.size(stream)
        if not grown and now_s < tried.whole_s:
            return False
        tried.whole_s = now_s + WHOLE_S
        return True

    def _placed(self) -> dict[str, tuple[Endpoint | None, Source]]:
        """Each log with the place where it is read; one without an address is told of."""
        found = {}
        for stream, source in self._sources().items():
            with self._told(f"the address of {stream}"):
                found[stream] = _place_of(source), source
        return found

    async def _look(self, stream: str, read: Read) -> None:
        """One look at one log."""
        tried = self._tried.setdefault(stream, _Tried())
        if trio.current_time() < tried.again_s:
            return
        tried.again_s = trio.current_time() + AGAIN_S[min(tried.failures, len(AGAIN_S) - 1)]
        tried.failures += 1  # until it has gone well
        with self._told(stream):
            note = await read(CHECKPOINT, NOTE_BYTES_MAX + 1)
            lost = self._index.size(stream) < tried.size  # the index was made anew meanwhile
            if note is not None and (note != tried.checkpoint or lost):
                checkpoint = Checkpoint.parse(parse_note(note).text)
                if await self._index.advance(stream, checkpoint, partial(read_bundle, read)):
                    tried.checkpoint, tried.size = note, checkpoint.size
            tried.failures, tried.again_s = 0, 0.0

    @contextmanager
    def _told(self, what: str) -> Iterator[None]:
        """What fails within it is told once, and so is that it goes on."""
        try:
            yield
        except (StorageFailed, RemoteError, LocalError, *LOST) as error:
            if what not in self.failing:
                log.warning("the index of cases waits for %s: %s", what, why(error), extra={"stream": what})
            self.failing[what] = why(error)
            self._index.counters["failed"] += 1
        else:
            if self.failing.pop(what, None) is not None:
                log.info("the index of cases goes on with %s", what, extra={"stream": what})
