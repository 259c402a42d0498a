"""What may be written to others."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.world.text import line_fault


@pytest.mark.parametrize("text", ["안녕하세요", "Tết Nguyên Đán", "👩‍👩‍👧‍👧 가족", "שלום", "a" * 300, "각"])
def test_what_people_write_is_fine(text: str) -> None:
    assert line_fault(text, 300) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "two\nlines",
        "null\0",
        "turned \u202e round",
        "isolate \u2066",
        "a" * 301,
        "z" + "\u0301" * 9,
        "\u2028",
    ],
)
def test_what_harms_a_screen_is_answered_with_a_sentence(text: str) -> None:
    fault = line_fault(text, 300)
    assert fault is not None
    assert fault.endswith((".", "please."))


@given(st.text())
def test_every_text_gets_a_verdict(text: str) -> None:
    assert line_fault(text, 300) is None or text.strip() == "" or len(line_fault(text, 300) or "") > 10
