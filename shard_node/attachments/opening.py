"""The attachments that belong to a civic store, opened: a folder beside its file, or a schema in its database.

Whoever has the store has its attachments too; they have no lock of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shard_node.attachments.files import FileAttachments
from shard_node.coordination.settings import conninfo

if TYPE_CHECKING:
    from pathlib import Path

    from shard_node.attachments.store import AttachmentStore
    from shard_node.coordination.settings import StoreConfig

__all__ = ["folder_beside", "open_attachments"]


def folder_beside(store: Path) -> Path:
    """The folder of attachments of the store in this file, or of a copy of it."""
    return store.with_name(f"{store.name}.attachments")


def open_attachments(settings: StoreConfig) -> AttachmentStore:
    """The attachments of the store that `civic.store` names; nothing is read yet.

    Raises:
        ConfigError: a file that the settings name cannot be used.
    """
    if settings.path is not None:
        return FileAttachments(folder_beside(settings.path))
    from shard_node.attachments.postgres import PostgresAttachments

    return PostgresAttachments(conninfo(settings))
