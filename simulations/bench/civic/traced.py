"""Starts a node under strace, which writes down every flush that any of its threads asks the kernel for.

Run as the node is, with the path of strace's report in the environment. strace goes beside the node and leaves it its
process number; with its filter in the kernel nothing but those calls is slowed.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["REPORT", "count_flushes"]

REPORT: Final = "P2PWORLD_BENCH_STRACE"
CALLS: Final = ("fsync", "fdatasync", "sync_file_range", "syncfs", "sync", "msync")


def count_flushes(report: Path) -> int:
    """How many such calls are in a report by now."""
    return sum(any(f" {call}(" in line for call in CALLS) for line in report.read_text("utf-8").splitlines())


def main() -> None:
    """Becomes the node."""
    node = [sys.executable, "-m", "shard_node", *sys.argv[1:]]
    trace = ["strace", "-D", "-f", "--seccomp-bpf", "-e", f"trace={','.join(CALLS)}"]
    os.execvp("strace", [*trace, "-o", os.environ[REPORT], *node])


if __name__ == "__main__":
    main()
