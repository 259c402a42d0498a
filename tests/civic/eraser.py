"""A process that has an entry erased and is killed, by itself and for good, at one point after another of that.

Run as `python -m tests.civic.eraser DIRECTORY STEP`, for every STEP-th point; the rest is as in `filer`.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
from itertools import count
from pathlib import Path

import trio

from p2pworld.errors import Refusal
from tests.civic.filer import ANSWERED, SIGNED, Telling, child, die_at, tell
from tests.civic.kept import held
from tests.civic.log_world import erasure, own_key


async def erase(directory: Path) -> None:
    """Hold the log, and have entry 1 erased."""
    async with held(directory, 2, Telling(directory / SIGNED)) as holder:
        answer = await holder.file(erasure(0, 1, own_key(1)))
        assert not isinstance(answer, Refusal), answer
        tell(directory / ANSWERED, str(answer.index))


def main(base: Path, step: int) -> None:
    """Kill children until one lives to the end."""
    start = base / "start"
    start.mkdir()
    assert child(0, start, 1, [0], [1])
    (start / ANSWERED).unlink()
    for point in count(1, step):
        directory = base / str(point)
        shutil.copytree(start, directory)
        pid = os.fork()
        if pid == 0:
            die_at(point)
            trio.run(erase, directory)
            os._exit(0)
        _, status = os.waitpid(pid, 0)
        assert status in (0, signal.SIGKILL)
        if status == 0:
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
