"""Services as a node runs them: their declarations read from files, and what the logs say of them."""

from __future__ import annotations

from shard_node.services.folder import ServiceFolder, read

__all__ = ["ServiceFolder", "read"]
