"""What a measured window came to, as the plain values that are printed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from simulations.bench.crowd.nodes import Reading
from simulations.bench.crowd.table import Phase
from simulations.bench.crowd.watch import spread

__all__ = ["Ran", "Window", "figures", "recovery", "summed"]

SHED: Final = ("shed", "late", "missed", "half", "lengthen")  # counters that say so
WHOLE_HZ: Final = 9.5


@dataclass(frozen=True, slots=True)
class Window:
    """One measured window: real seconds, the nodes before and after, what each who stayed received."""

    phase: Phase
    seconds: float
    before: Sequence[Reading]
    after: Sequence[Reading]
    bytes_in: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Ran:
    """The run around it: how many avatars and watchers, the time scale, and what the processes of bots report."""

    avatars: int
    watchers: int
    scale: float
    reports: Sequence[dict[str, Any]]


def figures(ran: Ran, window: Window) -> dict[str, Any]:
    """The figures of one window, for a second of the simulated crowd."""
    seconds = window.seconds / ran.scale
    name, previous = window.phase.name, Phase(window.phase - 1).name
    watch = ran.reports[0]["snapshots"][name]["watch"]
    cpus_s = [
        report["snapshots"][name]["cpu_s"] - report["snapshots"][previous]["cpu_s"] for report in ran.reports
    ]
    nodes = [after - before for after, before in zip(window.after, window.before, strict=True)]
    cpu_s = sum(node.user_s + node.system_s for node in nodes)
    counted = summed(node.counters for node in nodes)
    frames = ran.avatars * seconds * max(watch["tick_hz"], 0.01)
    others = max(1, ran.avatars - ran.watchers) / ran.avatars
    cores = cpu_s / seconds
    told: dict[str, Any] = {
        "seconds": round(seconds, 2),
        "tick_hz": watch["tick_hz"],
        "cores_used": round(cores, 3),
        "avatars_per_core": round(ran.avatars / cores) if cores else 0,
        "cpu_us_per_client_tick": round(cpu_s * 1e6 / frames, 2),
        "cpu_system_share": round(sum(node.system_s for node in nodes) / max(cpu_s, 1e-9), 3),
        **watch,
        "bytes_down_per_client_s": spread(window.bytes_in / seconds, 0.5, 0.99, 1, digits=0),
        "frames_skipped": counted.get("play.frames_skipped", 0),
        "shed": {what: times for what, times in counted.items() if any(word in what for word in SHED)},
        "join_ms": spread([ms for report in ran.reports for ms in report["joins_ms"]], 0.5, 0.99),
        "poses_in": counted.get("play.poses_in", 0),
        "bot_cores_used": round(sum(cpus_s) / seconds, 3),
        "watch_cores_used": round(cpus_s[0] / seconds, 3),
        "bot_cpu_us_per_client_tick": round(sum(cpus_s[1:]) * 1e6 / (frames * others), 2),
        "bots": summed(report["counters"] for report in ran.reports),
        "node_rss_mb": [round(node.rss_mb, 1) for node in window.after],
        "node_counters": counted,
    }
    return told | {"result_hash": hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()}


def recovery(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The seconds after the guests left, and how many passed until frames came at the full rate for good."""
    seconds = reports[0]["snapshots"][Phase.AFTER.name]["seconds"]
    late = [one["second"] for one in seconds if one["frames"] < WHOLE_HZ]
    return {"recovered_after_s": max(late) + 1 if late else 0, "seconds": seconds}


def summed(counts: Any) -> dict[str, int]:
    """These counters together, without those that are 0."""
    out: dict[str, int] = {}
    for one in counts:
        for what, times in one.items():
            out[what] = out.get(what, 0) + times
    return {what: times for what, times in sorted(out.items()) if times}
