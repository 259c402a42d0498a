"""What the machines of one node want done, gathered until the node is asked.

A machine appends to it and never sends. `core` turns it into one `Ready`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p2pworld.messages import Send, Write

__all__ = ["Outbox"]


@dataclass(slots=True)
class Outbox:
    """`sends` may leave at once; `held` only after every one of `writes` is durable. `civic` is for the civic logs of
    this node (`p2pworld.civic.relay`), after `sends`."""

    sends: list[Send] = field(default_factory=list)
    writes: list[Write] = field(default_factory=list)
    held: list[Send] = field(default_factory=list)
    civic: list[object] = field(default_factory=list)
