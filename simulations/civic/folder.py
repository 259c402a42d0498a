"""The folder that a log is published in, on one machine's volume: files that become durable in their order.

As the real one (`shard_node.civic.folder`): the tiles of a batch first, each whole or not there, then the checkpoint,
which never goes back to a smaller size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from p2pworld.civic.receipts import noted
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.proof import inclusion_spans, prove
from p2pworld.merkle.receipt import Receipt
from p2pworld.merkle.tiles import ENTRIES, TILE_WIDTH, Tile, TileHashes, decode_bundle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from p2pworld.merkle.note import Note
    from p2pworld.merkle.tiles import Written
    from simulations.civic.engines import Volume

__all__ = ["CHECKPOINT", "NOTE", "TILE", "WITNESSED", "Folder"]

CHECKPOINT, WITNESSED = "checkpoint", "checkpoint.witnessed"
NOTE, TILE = "note", "tile"


class Folder:
    """One log's folder."""

    def __init__(self, volume: Volume, stream: str) -> None:
        self._volume, self._stream = volume, stream

    def note(self, name: str) -> Note | None:
        """The checkpoint of this name."""
        note: Note | None = self._volume.kept.get((NOTE, self._stream, name))
        return note

    def size(self, name: str) -> int:
        """Its size; 0 if there is none."""
        note = self.note(name)
        return Checkpoint.parse(note.text).size if note else 0

    def get(self, tile: Tile, /) -> bytes | None:
        """The content of a tile; see `Tiles`."""
        data: bytes | None = self._volume.kept.get((TILE, self._stream, tile))
        return data

    def tiles(self) -> Iterator[tuple[Tile, bytes]]:
        """Every file of it but the checkpoints."""
        for key, data in self._volume.kept.items():
            if key[:2] == (TILE, self._stream):
                yield key[2], data

    def publish(self, files: Iterable[Written], checkpoint: Note, done: Callable[[bool], None]) -> None:
        """Write the files, then the checkpoint; whether all of it is durable."""
        parts: list[Mapping[Any, Any]] = [{(TILE, self._stream, one.tile): one.data} for one in files]

        def written(durable: bool) -> None:
            if durable:
                self.show(CHECKPOINT, checkpoint, done)
            else:
                done(False)

        if parts:
            self._volume.write(lambda: parts, written)
        else:
            self.show(CHECKPOINT, checkpoint, done)

    def show(self, name: str, note: Note, done: Callable[[bool], None]) -> None:
        """Make this the note of that name, unless that is of a larger size."""
        size = Checkpoint.parse(note.text).size

        def parts() -> list[Mapping[Any, Any]]:
            return [] if self.size(name) > size else [{(NOTE, self._stream, name): note}]

        self._volume.write(parts, done)

    def receipts(self, wanted: Sequence[tuple[int, Note]]) -> list[Receipt] | None:
        """The receipt of each entry under the checkpoint beside it, with the epoch in which it was taken.

        None if a tile for them is not there.
        """
        made, hashes = [], dict[int, TileHashes]()
        try:
            for index, note in wanted:
                size = Checkpoint.parse(note.text).size
                read = hashes.setdefault(size, TileHashes(size, self))
                receipt = Receipt(index, prove(inclusion_spans(index, size), read), note)
                made.append(noted(receipt, parse_leaf(self._entry(index, size)).epoch))
        except RemoteError:
            return None
        return made

    def _entry(self, index: int, size: int) -> bytes:
        number = index // TILE_WIDTH
        width = min(TILE_WIDTH, size - number * TILE_WIDTH)
        for tile in (Tile(ENTRIES, number, width), Tile(ENTRIES, number)):
            data = self.get(tile)
            if data is not None:
                return decode_bundle(tile, data)[index % TILE_WIDTH]
        raise RemoteError("tile-missing", f"no bundle has entry {index}")
