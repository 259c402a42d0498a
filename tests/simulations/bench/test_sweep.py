"""The sweep's arithmetic, its table and its plot."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulations.bench.plot import BROWSERS, Line, Panel, draw, picture
from simulations.bench.sweep import SCALE_MAX, growth, next_scale, plot_of, table_of

if TYPE_CHECKING:
    from pathlib import Path


def run_of(avatars: int, cpu_us: float) -> dict[str, Any]:
    return {
        "avatars": avatars, "time_scale": 1.0, "tick_hz": 10.0, "cores_used": avatars * cpu_us / 1e5,
        "avatars_per_core": round(1e5 / cpu_us), "cpu_us_per_client_tick": cpu_us, "bot_cores_used": 0.1,
        "bytes_down_per_client_s": {"p50": 16_000, "p99": 17_000, "max": 18_000},
        "update_age_ms": {"p50": 40, "p99": 90}, "nearest32_fresh": 0.995, "nearest32_recall": 0.999,
        "area_m": 100, "processes": 1, "tls": False,
    }  # fmt: skip


@given(st.floats(0, 50), st.integers(1, 10_000), st.integers(1, 10_000), st.integers(1, 64))
def test_a_clock_is_only_as_slow_as_the_machine_needs(
    used: float, avatars: int, wanted: int, cores: int
) -> None:
    scale = next_scale(used, avatars, wanted, cores)
    expected = used * wanted / avatars
    assert 1 <= scale <= SCALE_MAX
    assert scale == SCALE_MAX or expected / scale <= 0.6 * cores + 1e-6
    assert scale == 1 or expected / (scale - 0.5) > 0.6 * cores - 1e-6


def test_growth_is_told_beside_what_a_logarithm_allows() -> None:
    told = [run_of(250, 30), run_of(500, 20), run_of(1_000, 21), run_of(10_000, 22)]
    assert growth(told) == {"from": 500, "to": 10_000, "cpu_ratio": 1.1, "log_ratio": 1.482}
    assert growth([run_of(250, 30)]) == {}


def test_the_table_has_a_row_a_size() -> None:
    lines = table_of([run_of(500, 20), run_of(1_000, 21)]).splitlines()
    assert len(lines) == 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 500 | 1/1 | 10 |")


def test_the_plot_is_an_svg_with_every_line() -> None:
    root = ElementTree.fromstring(plot_of([run_of(500, 20), run_of(1_000, 21), run_of(2_000, 19)]))
    lines = root.findall(".//{*}polyline")
    assert len(lines) == 6
    assert all(len((line.get("points") or "").split()) == 3 for line in lines)


@given(st.lists(st.floats(0, 1e7), min_size=3, max_size=3))
def test_lines_stay_in_their_panel(values: list[float]) -> None:
    root = ElementTree.fromstring(draw("a <title>", (10, 100, 1_000), [Panel("p", [Line("l", values)])]))
    for circle in root.findall(".//{*}circle"):
        assert 64 <= float(circle.get("cx") or 0) <= 392
        assert 39 <= float(circle.get("cy") or 0) <= 257


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser on this machine")
def test_a_picture_is_a_png(tmp_path: Path) -> None:
    assert picture(draw("t", (1, 2), [Panel("p", [Line("l", (1.0, 2.0))])]), tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
