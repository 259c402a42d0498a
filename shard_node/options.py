"""What options of the command line are made of, beyond what click has: quantities, and files that will be written.

Each says at once, in click's own words and with exit code 2, what else would be found out after minutes of work.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import click

__all__ = ["OutputFile", "Quantity"]


class Quantity(click.FloatRange):
    """A number within a range; neither infinite nor no number at all, which compares as within every range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number: float = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is no quantity.", param, ctx)
        return number


class OutputFile(click.Path):
    """Where something will be written in the end: a file in a folder that is there. With `allow_dash`, `-` too."""

    def __init__(self, *, allow_dash: bool = False) -> None:
        super().__init__(dir_okay=False, writable=True, allow_dash=allow_dash, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if str(path) != "-" and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
            self.fail(f"nothing can be written into {str(path.parent)!r}: name another file.", param, ctx)
        return path
