"""Attachments as files, beside a civic store that is a file itself.

    FOLDER/<stream>/<first two digits>/<name>.<minute>        waits to be filed
    FOLDER/<stream>/<first two digits>/<name>.e<entry>        is named by that entry
    FOLDER/coming/<number>                                    is on its way, and of no use after a crash

A file is the locked bytes and after them the checksum. It is written aside, flushed, and moved to its place, whose
folder is flushed too; so whatever ends this, a file is there whole or not at all. Files never change: what is to be
destroyed is overwritten where it lies, flushed, and unlinked. A copy of the folder is a copy of the store.

What is there is listed once, when a stream is first asked for.
"""

from __future__ import annotations

import itertools
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeVar, TypeVarTuple

import trio

from p2pworld.limits import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_PIECE_BYTES,
    ATTACHMENTS_WAITING_MAX,
    CIVIC_FAULTS_MAX,
)
from shard_node.attachments.store import CHECKSUM_BYTES, NAME_BYTES, Held, TooLong, begin_checksum, no_room
from shard_node.civic.store import Fault
from shard_node.storage.copies import flush
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
    )
    from pathlib import Path
    from typing import BinaryIO

    from p2pworld.errors import Refusal

__all__ = ["FileAttachments", "faults_of", "files_of", "streams_of"]

_COMING: Final = "coming"
_STREAM: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
_FILE: Final = re.compile(r"([0-9a-f]{64})\.(e)?(0|[1-9][0-9]{0,15})")

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


@dataclass(slots=True)
class _Listed:
    """What a stream has, and the sums that are bounded."""

    names: dict[bytes, Held] = field(default_factory=dict)
    size: int = 0
    waiting: int = 0
    waiting_bytes: int = 0

    def add(self, name: bytes, held: Held) -> None:
        self.take_off(name)
        self.names[name] = held
        self._count(held, 1)

    def take_off(self, name: bytes) -> Held | None:
        held = self.names.pop(name, None)
        if held is not None:
            self._count(held, -1)
        return held

    def _count(self, held: Held, by: int) -> None:
        self.size += by * held.size
        if held.entry is None:
            self.waiting += by
            self.waiting_bytes += by * held.size


class FileAttachments:
    """The `AttachmentStore` in a folder, which is made when it is first needed; one process has it at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._limiter = trio.CapacityLimiter(4)
        self._turn = trio.Lock()  # of whoever changes what is listed
        self._listed: dict[str, _Listed] = {}
        self._numbers = itertools.count()
        self._swept = False
        self._closed = False

    # ---- the interface

    async def put(self, stream: str, name: bytes, parts: AsyncIterator[bytes], minute: int) -> Refusal | None:
        """See `AttachmentStore.put`."""
        listed = await self._stream(stream)
        there = listed.names.get(name)
        if there is not None and there.entry is not None:
            return None
        refusal = no_room(len(listed.names), listed.size, listed.waiting, listed.waiting_bytes)
        if refusal is not None and there is None:
            return refusal
        part = self._folder / _COMING / str(next(self._numbers))
        try:
            size = await self._written(part, stream, name, parts)
            await self._placed(listed, part, stream, name, Held(size, minute))
        finally:
            with trio.CancelScope(shield=True), suppress(StorageFailed):
                await self._run(part.unlink, True)
        return None

    async def held(self, stream: str, names: Collection[bytes]) -> dict[bytes, Held]:
        """See `AttachmentStore.held`."""
        listed = await self._stream(stream)
        return {name: held for name in names if (held := listed.names.get(name)) is not None}

    async def parts(self, stream: str, name: bytes) -> AsyncGenerator[bytes, None]:
        """See `AttachmentStore.parts`."""
        listed = await self._stream(stream)
        held = listed.names.get(name)
        if held is None:
            raise StorageFailed("none", "There is no such attachment.")
        path = self._path(stream, name, held)
        file = await self._run(_opened, path, "rb")
        return self._read(file, stream, name, held)

    async def waiting(self, stream: str, before: int) -> dict[bytes, Held]:
        """See `AttachmentStore.waiting`."""
        listed = await self._stream(stream)
        old = (each for each in listed.names.items() if each[1].entry is None and each[1].minute < before)
        ordered = sorted(old, key=lambda each: each[1].minute)
        return dict(ordered[:ATTACHMENTS_WAITING_MAX])

    async def bind(self, stream: str, named: Mapping[bytes, int]) -> None:
        """See `AttachmentStore.bind`."""
        listed = await self._stream(stream)
        async with self._turn:
            for name, entry in named.items():
                held = listed.names.get(name)
                if held is None or held.entry == entry:
                    continue
                bound = Held(held.size, held.minute, entry)
                await self._run(self._moved, stream, name, held, bound)
                listed.add(name, bound)

    async def any_bound(self, stream: str) -> bool:
        """See `AttachmentStore.any_bound`."""
        listed = await self._stream(stream)
        return len(listed.names) > listed.waiting

    async def of_entries(self, stream: str, entries: Collection[int]) -> list[bytes]:
        """See `AttachmentStore.of_entries`."""
        listed, wanted = await self._stream(stream), frozenset(entries)
        return [name for name, held in listed.names.items() if held.entry in wanted]

    async def remove(self, stream: str, names: Iterable[bytes]) -> None:
        """See `AttachmentStore.remove`."""
        listed = await self._stream(stream)
        async with self._turn:
            for name in names:
                held = listed.names.get(name)
                if held is not None:
                    path = self._path(stream, name, held)
                    await self._run(_destroy, path)
                    listed.take_off(name)

    async def check(self) -> list[Fault]:
        """See `AttachmentStore.check`."""
        return await self._run(lambda: list(itertools.islice(faults_of(self._folder), CIVIC_FAULTS_MAX)))

    async def close(self) -> None:
        """See `AttachmentStore.close`."""
        self._closed = True

    # ---- pieces

    async def _stream(self, stream: str) -> _Listed:
        """What the stream has, listed if it was not yet."""
        assert _STREAM.fullmatch(stream), "a stream of the configuration"
        async with self._turn:
            listed = self._listed.get(stream)
            if listed is None:
                listed = self._listed[stream] = await self._run(self._list, stream)
            elif self._closed:
                raise StorageFailed("closed", "The attachments are closed.")
        return listed

    async def _written(self, part: Path, stream: str, name: bytes, parts: AsyncIterator[bytes]) -> int:
        """Writes what comes, with its checksum, flushed; how many bytes came."""
        hashed, size = begin_checksum(stream, name), 0
        file = await self._run(_opened, part, "xb")
        try:
            async for piece in parts:
                size += len(piece)
                if size > ATTACHMENT_BYTES_MAX:
                    raise TooLong
                hashed.update(piece)
                await self._run(file.write, piece)
            await self._run(_finish, file, hashed.digest())
        finally:
            with trio.CancelScope(shield=True):
                await self._run(file.close)
        return size

    async def _placed(self, listed: _Listed, part: Path, stream: str, name: bytes, held: Held) -> None:
        async with self._turn:
            there = listed.names.get(name)
            if there is not None and there.entry is not None:
                return  # named by an entry meanwhile: what that one was filed with stays
            path = self._path(stream, name, held)
            await self._run(_place, part, path)
            if there is not None and self._path(stream, name, there) != path:
                old = self._path(stream, name, there)
                await self._run(_destroy, old)
            listed.add(name, held)

    async def _read(
        self, file: BinaryIO, stream: str, name: bytes, held: Held
    ) -> AsyncGenerator[bytes, None]:
        hashed, left, last = begin_checksum(stream, name), held.size, b""
        try:
            while left > 0:
                most = min(left, ATTACHMENT_PIECE_BYTES)
                piece = await self._run(file.read, most)
                if not piece:
                    break
                hashed.update(piece)
                left -= len(piece)
                if last:
                    yield last
                last = piece
            kept = await self._run(file.read, CHECKSUM_BYTES + 1)
        finally:
            with trio.CancelScope(shield=True):
                await self._run(file.close)
        if left or kept != hashed.digest():
            raise StorageFailed("corrupt", f"The attachment {name.hex()[:16]} of {stream} is damaged.")
        if last:
            yield last

    async def _run(self, work: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
        def in_thread() -> T:
            try:
                return work(*arguments)
            except OSError as error:
                reason = "full" if error.errno in (28, 122) else "io"  # ENOSPC, EDQUOT
                raise StorageFailed(
                    reason, f"The attachments in {self._folder}: {error.strerror}."
                ) from error

        # not abandoned on cancel: a file that is moved or flushed by nobody's leave would be neither there nor not
        return await trio.to_thread.run_sync(in_thread, limiter=self._limiter)

    # ---- in a thread

    def _path(self, stream: str, name: bytes, held: Held) -> Path:
        digits = name.hex()
        end = f"{held.minute}" if held.entry is None else f"e{held.entry}"
        return self._folder / stream / digits[:2] / f"{digits}.{end}"

    def _moved(self, stream: str, name: bytes, held: Held, bound: Held) -> None:
        path = self._path(stream, name, bound)
        self._path(stream, name, held).rename(path)
        flush(path.parent)

    def _list(self, stream: str) -> _Listed:
        if self._closed:
            raise StorageFailed("closed", "The attachments are closed.")
        (self._folder / _COMING).mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._swept:
            self._swept = True
            for part in (self._folder / _COMING).iterdir():  # of a process that is gone
                part.unlink()
        listed = _Listed()
        for path, name, held in files_of(self._folder, stream):
            there = listed.names.get(name)
            if there is None:
                listed.add(name, held)
                continue
            # a process ended between placing the newer one and destroying the older; what an entry names counts first
            kept, old = sorted((held, there), key=lambda one: (one.entry is None, -one.minute))
            listed.add(name, kept)
            _destroy(path if old is held else self._path(stream, name, old))
        return listed


def faults_of(folder: Path) -> Iterator[Fault]:
    """What in the folder of a store, or in a copy of it, is not as it was put.

    Raises OSError.
    """
    for stream in streams_of(folder):
        for path, name, held in files_of(folder, stream):
            try:
                sound = _is_sound(path, stream, name, held)
            except OSError as error:
                yield Fault(f"attachment {path}", f"It cannot be read: {error.strerror}.")
                continue
            if not sound:
                yield Fault(f"attachment {path}", "It is not as it was put.")


def _is_sound(path: Path, stream: str, name: bytes, held: Held) -> bool:
    hashed, left = begin_checksum(stream, name), held.size
    with path.open("rb") as file:
        while left > 0 and (piece := file.read(min(left, ATTACHMENT_PIECE_BYTES))):
            hashed.update(piece)
            left -= len(piece)
        return left == 0 and file.read(CHECKSUM_BYTES + 1) == hashed.digest()


def streams_of(folder: Path) -> list[str]:
    """The streams that have a folder there. Raises OSError."""
    if not folder.is_dir():
        return []
    return sorted(each.name for each in folder.iterdir() if each.is_dir() and each.name != _COMING)


def files_of(folder: Path, stream: str) -> Iterator[tuple[Path, bytes, Held]]:
    """Every attachment of a stream in the folder of a store, or in a copy of it: path, name, and what is said of it.

    Raises OSError.
    """
    if not (folder / stream).is_dir():
        return
    for shelf in sorted((folder / stream).iterdir()):
        for entry in os.scandir(shelf):
            found = _FILE.fullmatch(entry.name)
            if found is None:
                continue
            size = entry.stat().st_size - CHECKSUM_BYTES
            number = int(found[3])
            held = Held(size, 0, number) if found[2] else Held(size, number)
            yield shelf / entry.name, bytes.fromhex(found[1]), held


def _opened(path: Path, mode: Literal["rb", "xb"]) -> BinaryIO:
    return path.open(mode)


def _finish(file: BinaryIO, checksum: bytes) -> None:
    file.write(checksum)
    file.flush()
    os.fsync(file.fileno())


def _place(part: Path, path: Path) -> None:
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flush(path.parent.parent)
    part.rename(path)
    flush(path.parent)


def _destroy(path: Path) -> None:
    """Overwrites a file with zeros where it lies, and unlinks it."""
    with suppress(FileNotFoundError):
        with path.open("r+b") as file:
            left = os.fstat(file.fileno()).st_size
            while left > 0:
                left -= file.write(bytes(min(left, ATTACHMENT_PIECE_BYTES)))
            file.flush()
            os.fsync(file.fileno())
        path.unlink()
        flush(path.parent)


assert NAME_BYTES == 32, "the pattern of names"
