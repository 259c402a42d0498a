"""Crowds of many sizes on the same square, one after the other: a table and a plot of what each costs and sees.

A crowd that this machine cannot carry at full speed, bots and all, is run on a slower clock: the machine's cores
against what the last size used tell how slow, and a run whose nodes still could not keep the tick is repeated twice as
slow.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from simulations.bench.crowd.run import Crowd, run_crowd
from simulations.bench.plot import Line, Panel, draw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["SIZES", "growth", "next_scale", "plot_of", "run_sweep", "table_of"]

SIZES: Final = (250, 500, 1_000, 2_000, 3_000, 5_000, 10_000)
BUSY: Final = 0.6  # of the machine's cores, at most so much is meant to be used
WHOLE_HZ: Final = 9.5
SCALE_MAX: Final = 8.0


def next_scale(used_cores: float, avatars: int, wanted: int, cores: int) -> float:
    """How slow a clock `wanted` avatars need on `cores` cores, if `avatars` used `used_cores` at full speed."""
    expected = used_cores * wanted / avatars
    return min(SCALE_MAX, max(1.0, math.ceil(2 * expected / (BUSY * cores)) / 2))


def run_sweep(
    crowd: Crowd, sizes: Sequence[int], folder: Path, say: Callable[[str], None] = lambda text: None
) -> list[dict[str, Any]]:
    """The figures of a crowd like `crowd` for each of `sizes`.

    Raises:
        BenchFailed: a run did not come to its end.
    """
    told: list[dict[str, Any]] = []
    scale = crowd.scale
    for size in sizes:
        if told:
            used = told[-1]["cores_used"] + told[-1]["bot_cores_used"]
            scale = max(crowd.scale, next_scale(used, told[-1]["avatars"], size, os.cpu_count() or 1))
        while True:
            say(f"{size} people" + (f", {scale:g} times slower" if scale > 1 else ""))
            one = replace(crowd, avatars=size, scale=scale, watchers=min(crowd.watchers, size))
            figures = run_crowd(one, folder / f"{size}-{scale:g}", say)
            if figures["tick_hz"] >= WHOLE_HZ or scale >= SCALE_MAX:
                break
            scale = min(SCALE_MAX, 2 * scale)
        told.append(figures)
    return told


def growth(told: Sequence[dict[str, Any]], low: int = 500) -> dict[str, float]:
    """CPU for an avatar's tick in the largest crowd over that in the one of `low`, beside what log N would allow."""
    by_size = {one["avatars"]: one["cpu_us_per_client_tick"] for one in told}
    high = max(by_size)
    if low not in by_size or by_size[low] == 0 or high <= low:
        return {}
    return {
        "from": low,
        "to": high,
        "cpu_ratio": round(by_size[high] / by_size[low], 3),
        "log_ratio": round(math.log(high) / math.log(low), 3),
    }


def table_of(told: Sequence[dict[str, Any]]) -> str:
    """A table in Markdown, a row a size."""
    head = (
        "| people | clock | tick Hz | cores | people a core | µs a client-tick | bytes/s p50 | p99 "
        "| age ms p50 | p99 | nearest 32 fresh | known | bots' cores |"
    )
    rows = [head, "|" + "---:|" * 13]
    for one in told:
        down, age = one["bytes_down_per_client_s"], one["update_age_ms"]
        rows.append(
            f"| {one['avatars']} | 1/{one['time_scale']:g} | {one['tick_hz']:g} | {one['cores_used']:.3f} "
            f"| {one['avatars_per_core']} | {one['cpu_us_per_client_tick']:.1f} | {down['p50']:.0f} "
            f"| {down['p99']:.0f} | {age['p50']:.0f} | {age['p99']:.0f} | {one['nearest32_fresh']:.4f} "
            f"| {one['nearest32_recall']:.4f} | {one['bot_cores_used']:.3f} |"
        )
    return "\n".join(rows)


def plot_of(told: Sequence[dict[str, Any]]) -> str:
    """The SVG: cores, bytes and freshness over the size."""
    sizes = [one["avatars"] for one in told]

    def of(*path: str) -> list[float]:
        values: list[float] = []
        for one in told:
            value: Any = one
            for key in path:
                value = value[key]
            values.append(float(value))
        return values

    panels = [
        Panel("cores of the nodes, at 10 Hz", [Line("cores", of("cores_used"))]),
        Panel(
            "bytes a second to one client",
            [
                Line("p50", of("bytes_down_per_client_s", "p50")),
                Line("p99", of("bytes_down_per_client_s", "p99")),
            ],
        ),
        Panel(
            "share of the nearest 32",
            [Line("fresh", of("nearest32_fresh")), Line("known", of("nearest32_recall"))],
        ),
        Panel("CPU µs for a client's tick", [Line("µs", of("cpu_us_per_client_tick"))]),
    ]
    first = told[0]
    where = f"{first['area_m']:g} m square, {first['processes']} process{'es' * (first['processes'] > 1)}"
    return draw(f"A crowd on a {where}, {'wss' if first['tls'] else 'ws'}", sizes, panels)
