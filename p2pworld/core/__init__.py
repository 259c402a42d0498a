"""One node as one machine: everything it hears goes in, everything it wants done comes out.

The `Node` composes the machines of the layers below: ownership (which ground is mine, and am I still allowed to act),
people (logins and handoffs), the crowd (poses), objects. It holds no socket, file, clock or task: its shell feeds it
events with the time, asks for `ready()`, carries that out in the order of `drive`, and tells it what became durable.
After every call the shell drains `ready()` until it is None.
"""

from __future__ import annotations

from p2pworld.core.node import Event, Node, StoreAnswer
from p2pworld.core.parts import NodeConfig, Parts

__all__ = ["Event", "Node", "NodeConfig", "Parts", "StoreAnswer"]
