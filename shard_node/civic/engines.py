"""The civic store that a configuration names, opened.

A file belongs to one process: it is locked for as long as it is open, by a file beside it that nothing else opens. So
whoever gets in knows that the process which had it before is gone, however that one ended, and with it whatever that
one still had on its way to the disk.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.errors import ConfigError
from shard_node.storage.lock import lock_file

if TYPE_CHECKING:
    from pathlib import Path

    from shard_node.civic.store import CivicStore
    from shard_node.coordination.settings import StoreConfig

__all__ = ["LockedCivicStore", "open_civic_store"]


class LockedCivicStore(SqliteCivicStore):
    """The store in the file at `path`, of this process alone until it is closed.

    Raises:
        StorageFailed: another process has it (`busy`), or its folder cannot be used (`io`).
    """

    def __init__(self, path: Path) -> None:
        self._lock = lock_file(path.with_name(f"{path.name}.lock"), f"the civic store {path}")
        super().__init__(path)

    async def close(self) -> None:
        """See `CivicStore.close`."""
        await super().close()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def open_civic_store(settings: StoreConfig) -> CivicStore:
    """The store that `civic.store` names.

    Raises:
        ConfigError: it names an engine that this release does not have.
        StorageFailed: it cannot be opened now.
    """
    if settings.path is not None:
        return LockedCivicStore(settings.path)
    raise ConfigError(f"{settings.key} names a server: this release keeps civic logs in files only.")
