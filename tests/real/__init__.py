"""Real node processes on a network of our own: cables pulled, cut one way and slow, processes and stores stopped.

`scenes` holds what happens; each scene is a process inside `simulations.fabric`, with one city. Long forms:
`python -m tests.real.scenes --long`.
"""

from __future__ import annotations
