"""A published log read back from its folder, and believed only as far as the log has signed it.

What is lost of a store, or erased after a copy of it was made, is told by the log itself: its leaves are public, and
anybody may have kept a copy of the folder. So what this node's disk has lost can be brought back from a stranger's
copy, because the root over all the entries must be the signed one.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from p2pworld.civic.erasure import asked_of
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import RemoteError
from p2pworld.merkle.checkpoint import open_checkpoint
from p2pworld.merkle.tiles import TILE_WIDTH
from p2pworld.merkle.tree import EMPTY_ROOT, CompactRange, leaf_hashes
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from p2pworld.merkle.note import VerifierKey

__all__ = ["LogCopy", "read_copy"]


@dataclass(frozen=True, slots=True)
class LogCopy:
    """A folder whose entries are the ones that the log has signed: how many, their root, the roots at other sizes that
    were asked for, the newest epoch of a leaf, and which entries others have erased."""

    path: Path
    size: int
    root: bytes
    roots: dict[int, bytes]
    epoch: int
    erased: frozenset[int]

    def bundles(self, begin: int = 0) -> Iterator[tuple[int, list[bytes]]]:
        """The entries from `begin` on, in pieces: the number of the first, and those.

        Raises:
            StorageFailed: a bundle is not there any more, or is none.
        """
        return _bundles(PublishedLog(self.path), self.size, begin)


def read_copy(path: Path, origin: str, keys: Collection[VerifierKey], sizes: Collection[int] = ()) -> LogCopy:
    """Reads the log called `origin` from a folder, all of it.

    Raises:
        StorageFailed: there is no log (`none`), it is another's, damaged or not signed by one of `keys` (`corrupt`).
    """
    folder = PublishedLog(path)
    note = folder.note(CHECKPOINT)
    if note is None:
        raise StorageFailed("none", f"There is no log in {path}.")
    try:
        checkpoint = open_checkpoint(note, origin, keys).checkpoint
    except RemoteError as error:
        raise StorageFailed("corrupt", f"{path / CHECKPOINT} is not signed by {origin}: {error}.") from error
    tree, roots, epoch, erased = CompactRange(), {0: EMPTY_ROOT}, 0, set()
    wanted = sorted(size for size in sizes if size <= checkpoint.size)
    for begin, entries in _bundles(folder, checkpoint.size, 0):
        hashes = leaf_hashes(entries)
        for size in wanted:
            if begin < size <= begin + len(hashes):
                roots[size] = tree.merge(CompactRange.of(begin, hashes[: size - begin])).root()
        tree = tree.merge(CompactRange.of(begin, hashes))
        for entry in entries:
            with suppress(RemoteError):  # whatever is no leaf has erased nothing
                leaf = parse_leaf(entry)
                epoch = max(epoch, leaf.epoch)
                if asked := asked_of(leaf.filing):
                    erased.add(asked.index)
    if tree.root() != checkpoint.root:
        raise StorageFailed(
            "corrupt", f"The log in {path} is not the one that was signed: `p2pworld verify` says where."
        )
    return LogCopy(path, checkpoint.size, checkpoint.root, roots, epoch, frozenset(erased))


def _bundles(folder: PublishedLog, size: int, begin: int) -> Iterator[tuple[int, list[bytes]]]:
    for number in range(begin // TILE_WIDTH, -(-size // TILE_WIDTH) if begin < size else 0):
        skipped = max(begin - number * TILE_WIDTH, 0)
        yield number * TILE_WIDTH + skipped, folder.bundle(number, size)[skipped:]
