"""The civic store that a configuration names, opened: a SQLite file, or a database in PostgreSQL.

A file belongs to one process: it is locked for as long as it is open, by a file beside it that nothing else opens. So
whoever gets in knows that the process which had it before is gone, however that one ended, and with it whatever that
one still had on its way to the disk.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.coordination.settings import conninfo
from shard_node.storage.lock import lock_file

if TYPE_CHECKING:
    from pathlib import Path

    from shard_node.civic.store import CivicStore
    from shard_node.coordination.settings import StoreConfig

__all__ = ["CIVIC_ENGINES", "LockedCivicStore", "lock_store", "open_civic_store"]

CIVIC_ENGINES: Final = ("sqlite", "postgresql")


def lock_store(path: Path) -> int:
    """Take the lock of the store in the file at `path`; the descriptor to close when it is let go.

    Raises:
        StorageFailed: another process has it (`busy`), or its folder cannot be used (`io`).
    """
    return lock_file(path.with_name(f"{path.name}.lock"), f"the civic store {path}")


class LockedCivicStore(SqliteCivicStore):
    """The store in the file at `path`, of this process alone until it is closed.

    Raises:
        StorageFailed: another process has it (`busy`), or its folder cannot be used (`io`).
    """

    def __init__(self, path: Path) -> None:
        self._lock = lock_store(path)
        super().__init__(path)

    async def close(self) -> None:
        """See `CivicStore.close`."""
        await super().close()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def open_civic_store(settings: StoreConfig) -> CivicStore:
    """The store that `civic.store` names; a server is not asked anything yet.

    Raises:
        ConfigError: a file that the settings name cannot be used.
        StorageFailed: it cannot be opened now.
    """
    if settings.path is not None:
        return LockedCivicStore(settings.path)
    from shard_node.civic.postgres import PostgresCivicStore

    return PostgresCivicStore(conninfo(settings), settings.copies)
