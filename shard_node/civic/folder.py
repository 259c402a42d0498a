"""The folder in which a log is published: tiles, entry bundles and the checkpoint, for any web server to serve.

Every file is written beside its place, flushed and moved there whole, and its folder flushed; the checkpoint comes last
and never goes back to a smaller size. So whoever reads a checkpoint finds every file that it speaks of, after a crash
too. The narrower forms of a tile that has become full are taken away: the standard lets readers take the full one.
"""

from __future__ import annotations

import errno
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from p2pworld.errors import RemoteError
from p2pworld.limits import NOTE_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import parse_note
from p2pworld.merkle.proof import InclusionProofs
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tiles import ENTRIES, TILE_WIDTH, Tile, TileHashes, decode_bundle
from shard_node.storage.copies import flush
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from p2pworld.merkle.note import Note
    from p2pworld.merkle.tiles import Written

__all__ = ["CHECKPOINT", "WITNESSED", "PublishedLog"]

CHECKPOINT: Final = "checkpoint"
WITNESSED: Final = "checkpoint.witnessed"  # the last one that enough witnesses have signed
_FLUSHERS: Final = 4  # threads; a batch writes two to six files
_TILE_BYTES_MAX: Final = 256 * 65_537


class PublishedLog:
    """The folder at `path`, made when it is first written to. Its calls block; each may raise StorageFailed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._flushers = ThreadPoolExecutor(_FLUSHERS, "flush")

    def note(self, name: str) -> Note | None:
        """The checkpoint called `CHECKPOINT` or `WITNESSED`, no signature of it verified; None if there is none.

        Raises:
            StorageFailed: it cannot be read as one (`corrupt`).
        """
        data = self._read(name, NOTE_BYTES_MAX + 1)
        if data is None:
            return None
        try:
            note = parse_note(data)
            Checkpoint.parse(note.text)
        except RemoteError as error:
            raise StorageFailed(
                "corrupt",
                f"{self.path / name} is damaged ({error}): move {self.path} aside, it is made anew from the store.",
            ) from error
        return note

    def get(self, tile: Tile, /) -> bytes | None:
        """The content of a tile; see `Tiles`."""
        return self.read(tile.path)

    def read(self, path: str) -> bytes | None:
        """The file at this path of a tile or a checkpoint, as it is, or None if there is none."""
        return self._read(path, _TILE_BYTES_MAX)

    def has(self, files: Iterable[Written]) -> bool:
        """Whether each of these is there as it is, or instead of a narrower tile the full one."""
        return all(self.get(file.tile) == file.data or self._has_full(file.tile) for file in files)

    def _has_full(self, tile: Tile) -> bool:
        return not tile.full and self.get(replace(tile, width=TILE_WIDTH)) is not None

    def write(self, files: Iterable[Written]) -> None:
        """Make these files durable and seen."""
        self._put(files, {})

    def show(self, name: str, note: Note) -> None:
        """Make this the note called `name`, unless that is of a larger size.

        Raises:
            StorageFailed: what is there cannot be read, so it may be larger (`corrupt`).
        """
        self._put((), {name: note})

    def publish(self, files: Iterable[Written], checkpoint: Note) -> None:
        """Both: `write` these files, then `show` the checkpoint; with one wait less for the disk."""
        self._put(files, {CHECKPOINT: checkpoint})

    def _put(self, files: Iterable[Written], notes: Mapping[str, Note]) -> None:
        notes = {name: note for name, note in notes.items() if not self._has_larger(name, note)}
        folders: dict[Path, None] = {}
        tiles: dict[Path, Path] = {}
        with _named(self.path):
            for file in files:
                path = self.path / file.tile.path
                folders |= dict.fromkeys((*_make_folder(path.parent), path.parent))
                tiles[path] = _write_beside(path, file.data)
            folders |= dict.fromkeys(_make_folder(self.path))
            last = {
                (path := self.path / name): _write_beside(path, note.to_bytes())
                for name, note in notes.items()
            }
            self._flush_all((*tiles.values(), *last.values()))
            _move(tiles)
            self._flush_all(folders)
            if last:
                _move(last)
                flush(self.path)

    def _has_larger(self, name: str, note: Note) -> bool:
        there = self.note(name)
        return there is not None and _size(there) > _size(note)

    def prune(self, files: Iterable[Written]) -> None:
        """Take away the narrower forms of those of these tiles that are full."""
        for file in files:
            if file.tile.full:
                shutil.rmtree(self.path / f"{file.tile.path}.p", ignore_errors=True)

    def bundle(self, number: int, size: int) -> list[bytes]:
        """The entries in bundle `number` of the log as it is with `size` entries; its wider form serves as well, where
        a copy was made while the log grew.

        Raises:
            StorageFailed: it is missing or damaged.
        """
        tile = Tile(ENTRIES, number, min(TILE_WIDTH, size - number * TILE_WIDTH))
        for there in (tile, tile.widest):
            data = self.get(there)
            if data is not None:
                try:
                    return decode_bundle(there, data)[: tile.width]
                except RemoteError as error:
                    raise StorageFailed(
                        "corrupt", f"{self.path / there.path} is damaged: {error}."
                    ) from error
        raise StorageFailed("corrupt", f"{self.path / tile.path} is missing.")

    def entry(self, index: int, size: int) -> bytes:
        """Entry number `index` of the log as it is with `size` entries; raises as `bundle`."""
        return self.bundle(index // TILE_WIDTH, size)[index % TILE_WIDTH]

    def receipts(self, wanted: Iterable[tuple[int, Note]]) -> list[Receipt]:
        """The receipt of each entry under the checkpoint beside it; a run under one costs little more than one.

        Raises:
            StorageFailed: a tile is missing or damaged.
        """
        made: list[Receipt] = []
        try:
            for note, pairs in groupby(wanted, itemgetter(1)):
                size = _size(note)
                proofs = InclusionProofs(size, TileHashes(size, self))
                made += [Receipt(index, proofs.of(index), note) for index, _ in pairs]
        except RemoteError as error:
            raise StorageFailed("corrupt", f"No receipt can be made from {self.path}: {error}.") from error
        return made

    def _flush_all(self, paths: Iterable[Path]) -> None:
        """Flush these at the same time: a disk writes several for little more than one."""
        for _ in self._flushers.map(flush, paths):
            pass

    def _read(self, name: str, bytes_max: int) -> bytes | None:
        with _named(self.path):
            try:
                with open(self.path / name, "rb") as file:
                    return file.read(bytes_max)
            except FileNotFoundError:
                return None


def _size(note: Note) -> int:
    return Checkpoint.parse(note.text).size


def _write_beside(path: Path, data: bytes) -> Path:
    beside = path.with_name(f"{path.name}.new")
    with open(beside, "wb") as file:
        file.write(data)
    return beside


def _make_folder(folder: Path) -> list[Path]:
    """Make this folder and those it lies in; the ones that are to be flushed so that it stays."""
    changed = []
    missing = folder
    while not missing.is_dir():
        missing = missing.parent
        changed.append(missing)
    if changed:
        folder.mkdir(parents=True, exist_ok=True)
    return changed


def _move(written: Mapping[Path, Path]) -> None:
    """Put each of these files at its place, over what may be there."""
    for path, beside in written.items():
        os.replace(beside, path)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = "full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "io"
        raise StorageFailed(reason, f"The log's folder {path} cannot be used: {error.strerror}.") from error
