"""Plots of figures over the size of a crowd: panels of lines as one SVG, and a picture of it made by a browser.

An SVG is text that this module writes; no plotting library is needed for lines and axes. A PNG is what a Chromium makes
of it, the one the page's tests use.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["BROWSERS", "Line", "Panel", "draw", "picture"]

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
WIDTH: Final = 420
HEIGHT: Final = 300
HEAD: Final = 28
COLUMNS: Final = 2
LEFT, RIGHT, TOP, BOTTOM = 64, 28, 40, 44
COLOURS: Final = ("#1f6f8b", "#c8553d", "#588b3b", "#7a4f9a")
STEPS: Final = (1, 2, 2.5, 5, 10)
TICKS: Final = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a panel: its name, and a value for each size of the crowd."""

    name: str
    values: Sequence[float]


@dataclass(frozen=True, slots=True)
class Panel:
    """One small plot: what it shows with its unit, its lines, and where its scale begins."""

    title: str
    lines: Sequence[Line]
    low: float = 0.0


def draw(title: str, sizes: Sequence[int], panels: Sequence[Panel]) -> str:
    """All panels, two in a row, over the same `sizes`, which rise; the axis of sizes is logarithmic.

    Every line has as many values as there are sizes.
    """
    width, height = WIDTH * COLUMNS, HEIGHT * math.ceil(len(panels) / COLUMNS) + HEAD
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        across, down = number % COLUMNS * WIDTH, number // COLUMNS * HEIGHT + HEAD
        parts.append(f'<g transform="translate({across} {down})">{_panel(sizes, panel)}</g>')
    return "".join([*parts, "</svg>\n"])


def picture(svg: str, path: Path) -> bool:
    """Writes what a browser makes of `svg` as a PNG; False if there is no browser on this machine."""
    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        return False
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        page = browser.new_page(device_scale_factor=2)
        page.set_content(f'<body style="margin:0">{svg}</body>')
        page.locator("svg").screenshot(path=str(path))
        browser.close()
    return True


def _panel(sizes: Sequence[int], panel: Panel) -> str:
    highest = max((value for line in panel.lines for value in line.values), default=1.0)
    ticks = _ticks(panel.low, highest)
    low, high = ticks[0], ticks[-1]

    def x(size: float) -> float:
        share = math.log(size / sizes[0]) / math.log(sizes[-1] / sizes[0]) if sizes[-1] > sizes[0] else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [f'<text x="{LEFT}" y="16">{escape(panel.title)}</text>']
    for tick in ticks:
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" stroke="#dddddd"/>'
            f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:,.6g}</text>'
        )
    for size in sizes:
        parts.append(
            f'<text x="{x(size):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{size:,}</text>'
            if _has_room(size, sizes)
            else ""
        )
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - BOTTOM + 34}" text-anchor="middle">people</text>'
    )
    for line, colour in zip(panel.lines, COLOURS, strict=False):
        points = " ".join(
            f"{x(size):.1f},{y(value):.1f}" for size, value in zip(sizes, line.values, strict=True)
        )
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{x(size):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>'
            for size, value in zip(sizes, line.values, strict=True)
        ]
    for number, (line, colour) in enumerate(zip(panel.lines, COLOURS, strict=False)):
        if len(panel.lines) > 1:
            parts.append(
                f'<text x="{LEFT + 8}" y="{HEIGHT - BOTTOM - 8 - 14 * number}" '
                f'fill="{colour}">{escape(line.name)}</text>'
            )
    return "".join(parts)


def _ticks(low: float, highest: float) -> list[float]:
    """Round values from `low` to at least `highest`, a handful."""
    span = max(highest - low, 1e-9)
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next((power * one for one in STEPS if power * one * TICKS >= span), power * 10)
    return [low + step * number for number in range(math.ceil(span / step - 1e-9) + 1)]


def _has_room(size: int, sizes: Sequence[int]) -> bool:
    """Whether a size's label does not run into its neighbour's: at least a factor of 1.6 lies between."""
    at = sizes.index(size)
    return at in (0, len(sizes) - 1) or (size >= 1.6 * sizes[at - 1] and sizes[-1] >= 1.4 * size)
