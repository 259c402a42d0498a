"""How long a node is missed: 200 people in one region, whose node is killed, or whose cable is pulled, again and again.

Everybody has a host of their own on a network of ours (`simulations.fabric`): each node, the people, the store. `run`
leads; `people` are the crowd, in a process of their own, with the gauges that watch it (`witness`).
"""

from __future__ import annotations
