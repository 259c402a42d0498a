"""docs/operations.md as tests read it: its headings, its links, and the lines that it tells people to type."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["DOCS", "FILES", "PAGE", "anchors", "links", "script"]

DOCS: Final = Path(__file__).parents[2] / "docs"
FILES: Final = DOCS / "operations"
PAGE: Final = DOCS / "operations.md"
_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings make, as GitHub makes them."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    titles = re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def links(page: Path) -> list[tuple[Path, str]]:
    """(file, anchor or nothing) of every link of a page to this tree."""
    text = _FENCED.sub("", page.read_text(encoding="utf-8"))
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return [
        ((page.parent / target).resolve() if target else page, anchor)
        for target, _, anchor in (link.partition("#") for link in found)
        if "://" not in target
    ]


def script() -> str:
    """All lines of the page in blocks marked `sh run`, in their order."""
    return "\n".join(re.findall(r"^```sh run\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL))
