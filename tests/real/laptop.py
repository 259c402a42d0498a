"""`python -m shard_node` on a laptop whose lid may be closed: its monotonic clocks stand still while it sleeps.

That is how Linux suspends: CLOCK_MONOTONIC stops, CLOCK_BOOTTIME goes on. Here the process is stopped by a signal
instead, and how long it has slept in all is read from the file `slept_s` in its working directory, which whoever closes
the lid writes before opening it again. What a node decides by CLOCK_BOOTTIME it decides as if it had not slept.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SLEPT = Path("slept_s")


def slept_s() -> float:
    """How long this laptop has slept so far."""
    return float(SLEPT.read_text() or 0.0) if SLEPT.exists() else 0.0


def lose_sleep(clock: Callable[[], float]) -> Callable[[], float]:
    """The same clock, standing still during sleep."""
    return lambda: clock() - slept_s()


def main() -> None:
    """Runs the node with clocks that know of sleep."""
    time.perf_counter, time.monotonic = lose_sleep(time.perf_counter), lose_sleep(time.monotonic)
    by_id = time.clock_gettime
    stopping = (time.CLOCK_MONOTONIC, time.CLOCK_MONOTONIC_RAW)
    time.clock_gettime = lambda clock: by_id(clock) - (slept_s() if clock in stopping else 0.0)
    from shard_node.cli import main as node

    node(args=["node", *sys.argv[1:]], prog_name="p2pworld")


if __name__ == "__main__":
    main()
