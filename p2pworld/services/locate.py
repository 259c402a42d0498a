"""In which line of a TOML text a dotted key stands, so that a fault can be found.

A key of an inline table or of an array has no line of its own: the answer is that of what it stands in.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["line_of"]

_HEADER: Final = re.compile(r"\s*(\[\[?)\s*([^\[\]#]+?)\s*\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"""\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=""")


def line_of(text: str, key: str) -> int:
    """The number of the line (from 1) that `key` (`form.properties.title`, `facilities[2].open`) stands in."""
    lines: dict[str, int] = {}
    counts: dict[str, int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if header := _HEADER.match(line):
            table = ""
            parts = _parts(header[2])
            for i, part in enumerate(parts):
                table = f"{table}.{part}" if table else part
                if header[1] == "[[" and i == len(parts) - 1:
                    counts[table] = counts.get(table, -1) + 1
                if table in counts:
                    table = f"{table}[{counts[table]}]"
            lines.setdefault(table, number)
        elif found := _KEY.match(line):
            path = table
            for part in _parts(found[1]):
                path = f"{path}.{part}" if path else part
                lines.setdefault(path, number)
    while key and key not in lines:
        key = re.sub(r"(\.[^.\[]*|\[[0-9]+\]|^[^.\[]*)$", "", key)
    return lines.get(key, 1)


def _parts(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in re.findall(r"""\"[^"]*"|'[^']*'|[\w$-]+""", dotted)]
