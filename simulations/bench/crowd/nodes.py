"""What node processes have used and counted: CPU and memory from the system, counters from their own /metrics."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from simulations.processes import NodeProcess

__all__ = ["Reading", "machine", "read_nodes"]

_COUNTER: Final = re.compile(r'p2pworld_events_total\{part="([^"]+)",what="([^"]+)"\} (\S+)')


@dataclass(frozen=True, slots=True)
class Reading:
    """A node process at one moment, or between two."""

    user_s: float
    system_s: float
    rss_mb: float
    counters: dict[str, int]  # by "part.what"

    def __sub__(self, earlier: Reading) -> Reading:
        return Reading(
            self.user_s - earlier.user_s,
            self.system_s - earlier.system_s,
            self.rss_mb - earlier.rss_mb,
            {what: times - earlier.counters.get(what, 0) for what, times in self.counters.items()},
        )


def read_nodes(nodes: Iterable[NodeProcess]) -> list[Reading]:
    """Each of these nodes now."""
    return [_read(node) for node in nodes]


def _read(node: NodeProcess) -> Reading:
    assert node.process is not None
    text = (node.ask("/metrics") or b"").decode("utf-8", "replace")
    process = Path(f"/proc/{node.process.pid}")
    fields = (process / "stat").read_text("ascii").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    pages = int((process / "statm").read_text("ascii").split()[1])
    return Reading(
        int(fields[11]) / ticks,
        int(fields[12]) / ticks,
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        {f"{part}.{what}": round(float(times)) for part, what, times in _COUNTER.findall(text)},
    )


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text("utf-8", "replace"), re.M)
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "load_1min": round(os.getloadavg()[0], 2),
    }
