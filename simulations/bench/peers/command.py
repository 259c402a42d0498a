"""The command: every peer under every load, as one table for people and one JSON file for programs.

    python -m simulations.bench.peers [--avatars 500,1000,1500] [--seconds 20] [--json FILE] [--ours FILE...]

A peer that has lost its tick is not given a larger crowd (but with `--all`, for machines that do other things too).
`--ours` adds rows that `p2pworld bench crowd --json` wrote.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from simulations.bench.peers.measure import PEERS, Load, PeerFailed, measure
from simulations.bench.peers.packages import SetupFailed, provide

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = ["best", "main", "read_ours", "run_peers", "table"]

AVATARS: Final = "500,750,1000,1500,2000,3000,5000,6000"
TABLE_WIDTH_MIN: Final = 150  # of a file or a pipe, which has no width of its own


def run_peers(
    peers: Iterable[str], avatars: Sequence[int], load: Load, go_on: bool
) -> Iterator[dict[str, Any]]:
    """Each row as it is measured: every peer under `load` with so many avatars, the smallest crowd first.

    A peer that has lost its tick gets no larger crowd, unless the bench shall `go_on`.

    Raises:
        SetupFailed: what they need could not be fetched.
    """
    node = provide()
    for peer in peers:
        for count in sorted(avatars):
            print(f"{peer}: {count} avatars", file=sys.stderr, flush=True)
            try:
                row = measure(node, peer, replace(load, avatars=count))
            except PeerFailed as failure:
                print(f"{peer} could not carry {count} avatars: {failure}", file=sys.stderr)
                break
            yield row
            if not (row["keeps_tick"] or go_on):
                break


def best(rows: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """For each peer the largest crowd at which it kept its tick, and what it carried there on a core."""
    largest: dict[str, dict[str, Any]] = {}
    for row in rows:
        before = largest.get(row["peer"])
        if row.get("keeps_tick", True) and (before is None or row["avatars"] > before["avatars"]):
            largest[row["peer"]] = row
    keys = ("avatars", "avatars_per_core", "cpu_us_per_client_tick")
    return {peer: {key: row.get(key) for key in keys} for peer, row in largest.items()}


def read_ours(path: Path) -> list[dict[str, Any]]:
    """Our rows in a file of `bench crowd` (one object) or of a sweep (a list, or an object with `rows`).

    Raises:
        OSError, ValueError: no such file, or it is not JSON.
    """
    value = json.loads(path.read_text("utf-8"))
    rows = value.get("rows", [value]) if isinstance(value, dict) else value
    return [{"peer": "ours", "k": 96} | row for row in rows]


def _cell(value: Any, digits: int = 0, scale: float = 1.0) -> str:
    return "" if value is None else f"{value * scale:,.{digits}f}".replace(",", " ")


def table(rows: Iterable[dict[str, Any]]) -> Table:
    """One line a run."""
    shown = Table(title="peers side by side (servers' CPU only)")
    for name in (
        "server",
        "K",
        "avatars",
        "Hz",
        "late %",
        "cores / 1 000",
        "avatars / core",
        "µs / client tick",
    ):
        shown.add_column(name, justify="left" if name == "server" else "right")
    for name in ("kB/s p50", "p99", "age ms p50", "p99", "fresh", "recall"):
        shown.add_column(name, justify="right")
    for row in rows:
        age, down = (row.get(key) or {} for key in ("update_age_ms", "bytes_down_per_client_s"))
        carried = row.get("avatars_per_core")
        shown.add_row(
            row["peer"] + ("" if row.get("load_had_a_core", True) else " (load short of CPU)"),
            str(row["k"]),
            _cell(row["avatars"]),
            _cell(row.get("tick_hz"), 1),
            _cell(row.get("tick_overruns"), 1, 100),
            _cell(1000 / carried if carried else None, 3),
            _cell(carried),
            _cell(row.get("cpu_us_per_client_tick"), 1),
            *(_cell(down.get(share), 1, 1e-3) for share in ("p50", "p99")),
            *(_cell(age.get(share)) for share in ("p50", "p99")),
            _cell(row.get("nearest32_fresh"), 4),
            _cell(row.get("nearest32_recall"), 4),
            style=None if row.get("keeps_tick", True) else "dim",
        )
    return shown


def _counts(text: str) -> list[int]:
    counts = [int(part) for part in text.split(",")]
    if not all(0 < count <= 8_000 for count in counts):
        raise argparse.ArgumentTypeError("avatars: 1 to 8000, separated by commas")
    return counts


def _peers(text: str) -> list[str]:
    peers = text.split(",")
    if not set(peers) <= set(PEERS):
        raise argparse.ArgumentTypeError(f"peers are {', '.join(PEERS)}")
    return peers


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    whole = Load(0, 0.0)
    parser = argparse.ArgumentParser(
        prog="p2pworld bench peers", description="Other servers under the same crowd, side by side."
    )
    parser.add_argument("--avatars", type=_counts, default=AVATARS, help="crowds, separated by commas")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each is measured")
    parser.add_argument("--peers", type=_peers, default=",".join(PEERS), help="which, separated by commas")
    parser.add_argument("--k", type=int, default=whole.k, help="how many nearest each client is shown")
    parser.add_argument("--area-m", type=float, default=whole.area_m, help="side of the square")
    parser.add_argument("--standing", type=float, default=whole.standing, help="share that stands still")
    parser.add_argument(
        "--churn", type=float, default=whole.churn, help="share that leaves and comes, a second"
    )
    parser.add_argument("--all", action="store_true", help="larger crowds even for a peer that lost its tick")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--ours", type=Path, nargs="+", default=[], help="files of `p2pworld bench crowd`")
    given = parser.parse_args(arguments)
    load = Load(0, given.seconds, given.area_m, given.standing, given.churn, given.k)
    rows: list[dict[str, Any]] = []
    ours: list[dict[str, Any]] = []
    try:
        for path in given.ours:
            ours.extend(read_ours(path))
        for row in run_peers(given.peers, given.avatars, load, given.all):
            rows.append(row)
    except KeyboardInterrupt:
        print("interrupted: what was measured until now follows", file=sys.stderr)
    except (OSError, ValueError, SetupFailed) as failure:
        raise SystemExit(f"bench peers: {failure}") from None
    if given.json is not None:
        figures = {"bench": "peers", "rows": rows, "best": best(rows)}
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")
    console = Console()
    if not console.is_terminal:
        console.width = max(console.width, TABLE_WIDTH_MIN)
    console.print(table([*rows, *ours]))
    for peer, row in best([*rows, *ours]).items():
        console.print(
            f"{peer}: {row['avatars_per_core']} avatars a core at {row['avatars']}, the most at which it kept 10 Hz"
        )
