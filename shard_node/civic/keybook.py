"""What the city's log, as it is published here, has announced of all logs and their keys; read on as the log grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.civic.announce import KeyHistory
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.tiles import TILE_WIDTH
from shard_node.civic.folder import CHECKPOINT

if TYPE_CHECKING:
    from collections.abc import Collection

    from p2pworld.merkle.note import VerifierKey
    from shard_node.civic.folder import PublishedLog

__all__ = ["KeyBook", "announced_keys"]


class KeyBook:
    """The announcements in the log in this folder, by those whom `roots` allow. Its calls block."""

    def __init__(self, folder: PublishedLog, roots: Collection[bytes]) -> None:
        self._folder = folder
        self._history = KeyHistory(roots)

    def read(self) -> KeyHistory:
        """The history, up to the newest checkpoint in the folder.

        Raises:
            StorageFailed: the folder cannot be read.
        """
        note = self._folder.note(CHECKPOINT)
        size = Checkpoint.parse(note.text).size if note else 0
        while self._history.size < size:
            number, skip = divmod(self._history.size, TILE_WIDTH)
            for entry in self._folder.bundle(number, size)[skip:]:
                self._history.take(entry)
        return self._history


def announced_keys(city: PublishedLog, roots: Collection[bytes], stream: str) -> tuple[VerifierKey, ...]:
    """Every key that the city's log in this folder has ever announced for the log of `stream`; this blocks.

    Raises:
        StorageFailed: the folder cannot be read.
    """
    announced = KeyBook(city, roots).read().streams.get(stream, ())
    return tuple(dict.fromkeys(key for one in announced for key in one.announcement.keys))
