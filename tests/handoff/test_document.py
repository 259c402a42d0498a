"""The page about the handoff says what the tables say."""

from __future__ import annotations

from tests.handoff.document import PATH, document


def test_the_page_is_what_the_tables_say() -> None:
    assert PATH.read_text(encoding="utf-8") == document(), "python -m tests.handoff.document writes it anew"
