"""Where the nodes of a city agree: on incarnations, leases and the newest city map."""

from __future__ import annotations

from shard_node.coordination.interface import (
    Board,
    Coordination,
    CoordinationDown,
    Lease,
    OutcomeUnknown,
    Proposed,
    Records,
    Registration,
    Snapshot,
)
from shard_node.coordination.sqlite import SqliteCoordination

__all__ = [
    "Board",
    "Coordination",
    "CoordinationDown",
    "Lease",
    "OutcomeUnknown",
    "Proposed",
    "Records",
    "Registration",
    "Snapshot",
    "SqliteCoordination",
]
