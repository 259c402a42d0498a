"""What a node costs that nobody visits: CPU and memory of an idle node process over a while, as JSON.

    python -m simulations.bench.idle [--seconds 20] [--nodes 2]

Each node of a small city of its own is measured, linked with the others; start-up is not counted.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.seoul.landmarks import landmark
from simulations.processes import City

if TYPE_CHECKING:
    from simulations.processes import NodeProcess

__all__ = ["main", "measure"]

READY_S: Final = 60.0
SETTLE_S: Final = 3.0
POLL_S: Final = 0.1
SIDE_M: Final = 128.0
CPU_PERCENT_MAX: Final = 2.0
RESIDENT_MB_MAX: Final = 120.0


def _cpu_s(node: NodeProcess) -> float:
    """CPU time a node's process has used, in user and in system."""
    assert node.process is not None
    fields = Path(f"/proc/{node.process.pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident_mb(node: NodeProcess) -> float:
    assert node.process is not None
    pages = int(Path(f"/proc/{node.process.pid}/statm").read_text("ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def measure(city: City, seconds: float) -> list[dict[str, Any]]:
    """CPU percent of one core and resident megabytes (10^6 bytes) of every node, over so many seconds."""
    began_s, before = time.monotonic(), [_cpu_s(node) for node in city.nodes]
    time.sleep(seconds)
    took_s = time.monotonic() - began_s
    return [
        {
            "name": node.name,
            "cells": len(node.cells),
            "cpu_percent": round(100 * (_cpu_s(node) - used_s) / took_s, 2),
            "resident_mb": round(_resident_mb(node), 1),
        }
        for node, used_s in zip(city.nodes, before, strict=True)
    ]


def main() -> None:
    """Starts a city, lets it settle, measures, prints."""
    parser = argparse.ArgumentParser(description="CPU and memory of idle nodes.")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--nodes", type=int, default=2)
    given = parser.parse_args()
    places = [landmark("Seoul City Hall"), landmark("Deoksugung")]
    with (
        tempfile.TemporaryDirectory(prefix="p2pworld-idle-") as folder,
        City(Path(folder), given.nodes, places, SIDE_M) as city,
    ):
        city.start()
        until_s = time.monotonic() + READY_S
        while waits := city.not_ready():
            if time.monotonic() > until_s or city.dead():
                raise SystemExit(f"the city is not ready: {waits}\n{city.nodes[0].log_tail()}")
            time.sleep(POLL_S)
        time.sleep(SETTLE_S)
        nodes = measure(city, given.seconds)
    held = all(
        node["cpu_percent"] < CPU_PERCENT_MAX and node["resident_mb"] < RESIDENT_MB_MAX for node in nodes
    )
    figures = {
        "bench": "idle",
        "seconds": given.seconds,
        "nodes": nodes,
        "bounds": {"cpu_percent": CPU_PERCENT_MAX, "resident_mb": RESIDENT_MB_MAX},
        "within_bounds": held,
        "machine": {"python": platform.python_version(), "cores": os.cpu_count(), "cpu": platform.machine()},
    }
    result = json.dumps(figures["nodes"], sort_keys=True)
    print(json.dumps(figures | {"sha256": hashlib.sha256(result.encode()).hexdigest()}, indent=2))


if __name__ == "__main__":
    main()
