"""Logs' folders on the disk for tests: made by the holder or by the edge alone, small, signed with known keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.tiles import Edge, Tile
from tests.civic.log_world import Client, Holder, World, submission
from tests.merkle.signed import LOG, ORIGIN, TIME_S, WITNESSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["log_of", "sign", "write_civic_log", "write_log"]


def sign(size: int, root: bytes, witnesses: int = 2) -> Note:
    """The log's checkpoint, with so many witnesses."""
    text = Checkpoint(ORIGIN, size, root).text
    note = Note(text, (LOG.sign(text),))
    return note.signed(witness.sign(text, TIME_S) for witness in WITNESSES[:witnesses])


def log_of(entries: Sequence[bytes], batches: Sequence[int]) -> tuple[Edge, dict[Tile, bytes]]:
    """The edge and all files, partial ones too, of a log that grew in these batches."""
    files: dict[Tile, bytes] = {}
    edge, at = Edge(), 0
    for batch in batches:
        edge, written = edge.append(entries[at : at + batch])
        files |= {file.tile: file.data for file in written}
        at += batch
    assert at == len(entries)
    return edge, files


def write_log(folder: Path, entries: Sequence[bytes], batches: Sequence[int]) -> Note:
    """Such a log in `folder`, with its checkpoint, which is returned."""
    edge, files = log_of(entries, batches)
    return _write(folder, files, sign(edge.size, edge.root()))


def write_civic_log(folder: Path, numbers: int = 20) -> World:
    """A log that the holder wrote, of `submission(0)` and so on in batches, its last checkpoint witnessed."""
    world = World()
    client = Client(world)
    holder = Holder(world, client, 1)
    for first in range(0, numbers, 7):
        for number in range(first, min(first + 7, numbers)):
            client.file(holder, submission(number))
        holder.run()
    assert world.witnessed is not None
    _write(folder, world.files, world.witnessed)
    return world


def _write(folder: Path, files: dict[Tile, bytes], note: Note) -> Note:
    for tile, data in files.items():
        path = folder / tile.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (folder / "checkpoint").write_bytes(note.to_bytes())
    return note
