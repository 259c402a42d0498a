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

__all__ = ["Reading", "cpu_s", "machine", "queued_bytes", "read_nodes"]

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


def cpu_s(nodes: Iterable[NodeProcess]) -> float:
    """Seconds of CPU that these nodes have used so far, in user and in system."""
    return sum(sum(_cpu(node)) for node in nodes)


def read_nodes(nodes: Iterable[NodeProcess]) -> list[Reading]:
    """Each of these nodes now."""
    return [_read(node) for node in nodes]


def _read(node: NodeProcess) -> Reading:
    assert node.process is not None
    text = (node.ask("/metrics") or b"").decode("utf-8", "replace")
    process = Path(f"/proc/{node.process.pid}")
    pages = int((process / "statm").read_text("ascii").split()[1])
    return Reading(
        *_cpu(node),
        pages * os.sysconf("SC_PAGE_SIZE") / 1e6,
        {f"{part}.{what}": round(float(times)) for part, what, times in _COUNTER.findall(text)},
    )


def _cpu(node: NodeProcess) -> tuple[float, float]:
    assert node.process is not None
    fields = Path(f"/proc/{node.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return int(fields[11]) / ticks, int(fields[12]) / ticks


def queued_bytes(nodes: Iterable[NodeProcess]) -> list[int]:
    """What the system holds for each client of these nodes because it has not taken it yet; the most comes first."""
    ports = {int(node.play_url.rpartition(":")[2].partition("/")[0]) for node in nodes}
    found = []
    for line in Path("/proc/net/tcp").read_text("ascii").splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) in ports:
            found.append(int(fields[4].partition(":")[0], 16))
    return sorted(found, reverse=True)


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
