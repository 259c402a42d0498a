"""The published folder: whole files, the checkpoint last and never smaller, and receipts made from it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

import shard_node.civic.folder
import shard_node.storage.copies
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.receipt import verify_receipt
from p2pworld.merkle.tiles import ENTRIES, Edge, Tile
from p2pworld.merkle.tree import leaf_hash
from shard_node.civic.folder import CHECKPOINT, WITNESSED, PublishedLog
from shard_node.storage.journal import StorageFailed
from tests.disks import files_may_not_grow_beyond
from tests.merkle.signed import LOG, ORIGIN

if TYPE_CHECKING:
    from pathlib import Path

ENTRIES_600 = [b"entry %d" % number for number in range(600)]


@pytest.fixture
def folder(tmp_path: Path) -> PublishedLog:
    return PublishedLog(tmp_path / "seoul" / "jongno")


def note_of(edge: Edge) -> Note:
    text = Checkpoint(ORIGIN, edge.size, edge.root()).text
    return Note(text, (LOG.sign(text),))


def published(folder: PublishedLog, edge: Edge, entries: list[bytes]) -> tuple[Edge, Note]:
    """The log after these entries, published in the holder's order."""
    edge, files = edge.append(entries)
    folder.publish(files, note_of(edge))
    folder.prune(files)
    return edge, note_of(edge)


def test_what_is_published_can_be_read_and_proves_every_entry(folder: PublishedLog) -> None:
    edge, notes = Edge(), []
    assert folder.note(CHECKPOINT) is None
    for begin, end in ((0, 0), (0, 7), (7, 255), (255, 258), (258, 600)):
        edge, note = published(folder, edge, ENTRIES_600[begin:end])
        notes.append(note)
    assert folder.note(CHECKPOINT) == notes[-1]
    for note in notes[1:]:  # older checkpoints too, though the narrower tiles they knew are gone
        size = Checkpoint.parse(note.text).size
        for receipt in folder.receipts((index, note) for index in range(size)):
            verify_receipt(receipt, leaf_hash(ENTRIES_600[receipt.index]), ORIGIN, [LOG.key])
    assert folder.get(Tile(ENTRIES, 0, 7)) is None
    assert folder.get(Tile(ENTRIES, 2, 88)) is not None
    assert not list(folder.path.rglob("*.new"))


def test_whatever_is_seen_is_durable_and_the_checkpoint_is_seen_last(
    folder: PublishedLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge, _ = published(folder, Edge(), ENTRIES_600[:200])
    flushed: set[Path] = set()
    moved: list[Path] = []
    flush, replace = shard_node.storage.copies.flush, os.replace

    def flushing(path: Path) -> None:
        flush(path)
        flushed.add(path)

    def moving(beside: Path, path: Path) -> None:
        assert beside in flushed
        if path.name == CHECKPOINT:
            assert {one.parent for one in moved} <= flushed
            flushed.clear()
        replace(beside, path)
        moved.append(path)

    monkeypatch.setattr(shard_node.civic.folder, "flush", flushing)
    monkeypatch.setattr(os, "replace", moving)
    published(folder, edge, ENTRIES_600[200:600])
    assert moved[-1] == folder.path / CHECKPOINT
    assert len(moved) == 8  # two whole bundles and tiles, a part of a third each, one of the level above
    assert flushed == {folder.path}


def test_a_checkpoint_never_goes_back(folder: PublishedLog) -> None:
    small, old = published(folder, Edge(), ENTRIES_600[:5])
    _, new = published(folder, small, ENTRIES_600[5:9])
    folder.show(CHECKPOINT, old)
    assert folder.note(CHECKPOINT) == new
    folder.show(WITNESSED, old)
    assert (folder.note(WITNESSED), folder.note(CHECKPOINT)) == (old, new)
    assert old.signatures  # a further signature under the same size takes its place
    again = new.signed(old.signatures)
    folder.show(CHECKPOINT, again)
    assert folder.note(CHECKPOINT) == again


@pytest.mark.parametrize("data", [b"", b"notes\n", b"notes\n\n\xe2\x80\x94 a AAAAAAAA\n"])
def test_a_checkpoint_that_cannot_be_read_is_not_replaced(folder: PublishedLog, data: bytes) -> None:
    edge, note = published(folder, Edge(), ENTRIES_600[:5])
    (folder.path / CHECKPOINT).write_bytes(data)
    with pytest.raises(StorageFailed) as caught:
        folder.show(CHECKPOINT, note)
    assert caught.value.reason == "corrupt"
    assert (folder.path / CHECKPOINT).read_bytes() == data
    assert edge.size == 5


def test_a_full_disk_leaves_what_was_there(folder: PublishedLog) -> None:
    edge, note = published(folder, Edge(), ENTRIES_600[:5])
    with files_may_not_grow_beyond(200), pytest.raises(StorageFailed):
        published(folder, edge, ENTRIES_600[5:9])
    assert folder.note(CHECKPOINT) == note
    assert len(folder.receipts([(4, note)])) == 1
    edge, note = published(folder, edge, ENTRIES_600[5:9])
    assert folder.note(CHECKPOINT) == note


def test_a_missing_or_shortened_tile_makes_no_receipt(folder: PublishedLog) -> None:
    _, note = published(folder, Edge(), ENTRIES_600[:300])
    tile = folder.path / Tile(0, 0).path
    data = tile.read_bytes()
    os.truncate(tile, len(data) - 1)
    with pytest.raises(StorageFailed, match=Tile(0, 0).path):
        folder.receipts([(4, note)])
    tile.unlink()
    with pytest.raises(StorageFailed, match="not there"):
        folder.receipts([(4, note)])


def test_a_folder_that_cannot_be_used_says_so(folder: PublishedLog) -> None:
    folder.path.parent.mkdir()
    folder.path.write_bytes(b"a file")
    with pytest.raises(StorageFailed) as caught:
        published(folder, Edge(), ENTRIES_600[:5])
    assert caught.value.reason == "io"
