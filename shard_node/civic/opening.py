"""What an office reads of one entry: its public leaf, and what was sealed for the office with it.

The store is read beside the node that writes to it; nothing is written, and no lock is taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.civic.transaction import Leaf, Private, open_sealed, parse_leaf
from p2pworld.errors import LocalError
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.coordination.settings import conninfo

if TYPE_CHECKING:
    from shard_node.civic.store import CivicStore
    from shard_node.coordination.settings import StoreConfig

__all__ = ["Opened", "open_entry"]


@dataclass(frozen=True, slots=True)
class Opened:
    """An entry's leaf, and what is in its blob; None where nothing is sealed with it any more, or never was."""

    leaf: Leaf
    private: Private | None


async def open_entry(settings: StoreConfig, stream: str, index: int, office_secret: bytes) -> Opened:
    """Entry `index` of `stream`, opened with the office's secret, and the person's signature in it verified.

    Raises:
        LocalError: there is no such entry.
        RemoteError: it was not sealed for this office, or is not what was signed for (`open_sealed`'s reasons).
        StorageFailed: the store cannot be read.
    """
    store: CivicStore
    if settings.path is not None:
        store = SqliteCivicStore(settings.path)
    else:
        store = PostgresCivicStore(conninfo(settings), settings.copies)
    try:
        row = await store.row(stream)
        if row is None or not 0 <= index < row.size:
            raise LocalError(f"{stream} has {row.size if row else 0} entries, and none of number {index}")
        leaf = parse_leaf((await store.entries(stream, index, index + 1))[0])
        sealed = await store.sealed(stream, index)
    finally:
        await store.close()
    return Opened(leaf, None if sealed is None else open_sealed(leaf.filing, sealed, office_secret))
