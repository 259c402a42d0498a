"""The civic store that a configuration names: a SQLite file, or a database in PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from shard_node.coordination.settings import conninfo

if TYPE_CHECKING:
    from shard_node.civic.store import CivicStore
    from shard_node.coordination.settings import StoreConfig

__all__ = ["CIVIC_ENGINES", "open_civic_store"]

CIVIC_ENGINES: Final = ("sqlite", "postgresql")


def open_civic_store(settings: StoreConfig) -> CivicStore:
    """The store; it is not asked anything yet.

    Raises ConfigError: a file that the settings name cannot be used.
    """
    if settings.engine == "postgresql":
        from shard_node.civic.postgres import PostgresCivicStore

        return PostgresCivicStore(conninfo(settings), settings.copies)
    from shard_node.civic.sqlite import SqliteCivicStore

    assert settings.path is not None
    return SqliteCivicStore(settings.path)
