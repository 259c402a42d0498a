"""A node whose civic logs go by the clock of a test: run as `python -m tests.services.clocked_node --config FILE`.

The file that CLOCK names holds a minute of Unix time, and that is the minute for all that is filed and decided there,
until the file is written again. All else (leases, sockets) goes by the clock of the machine.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from shard_node.civic import desk
from shard_node.commands import node

__all__ = ["CLOCK", "set_clock"]

CLOCK: Final = "P2PWORLD_TEST_CLOCK"


class _Clock:
    """Stands where the desk looks for the module `time`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def time(self) -> float:
        """Seconds of Unix time."""
        return 60.0 * int(self._path.read_text("ascii"))


def set_clock(path: Path, minute: int) -> None:
    """Make it this minute, at once: whoever reads the file sees the one or the other."""
    new = path.with_suffix(".new")
    new.write_text(str(minute), "ascii")
    new.replace(path)


if __name__ == "__main__":
    setattr(desk, "time", _Clock(Path(os.environ[CLOCK])))  # noqa: B010 (no name that the module gives out)
    node()
