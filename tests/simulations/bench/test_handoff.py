"""The handoff bench over two real processes: everybody is handed over, each way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from simulations.bench.handoff import run_handoffs

if TYPE_CHECKING:
    from pathlib import Path


def test_everybody_is_handed_over_each_way(tmp_path: Path) -> None:
    figures = run_handoffs(6, 2, tmp_path, idle_s=0.1)
    for way in ("attached", "new_connection"):
        told = figures[way]
        assert told["handoffs"] == told["between_processes"] == 12
        assert told["lost"] == told["twinned"] == 0
        assert told["handoffs_per_s_per_core"] >= 0
