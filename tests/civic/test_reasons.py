"""Every reason that can reach a citizen has its sentences, in both languages, and no other reason has."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from p2pworld.civic.reasons import REASONS, words_for
from p2pworld.civic.relay import RETRY
from simulations.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

INSIDE = "log-"  # told to operators alone: a citizen hears `civic-read-only`
PLACES = (
    "p2pworld/civic",
    "shard_node/civic",
    "shard_node/attachments",
    "shard_node/web/civic.py",
    "shard_node/web/attachments.py",
)
POLITE = re.compile(r"[가-힣](요|세요)\.")
HANGUL = re.compile(r"[가-힣]")


def refused_in_the_code() -> Iterator[tuple[str, str]]:
    """(where, reason) of every refusal that is made where citizens are answered."""
    for place in PLACES:
        path = ROOT / place
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("Refusal") and node.args:
                    reason = node.args[0]
                    if isinstance(reason, ast.Constant) and isinstance(reason.value, str):
                        yield f"{file.name}:{node.lineno}", reason.value


def test_every_reason_that_reaches_a_citizen_has_its_sentences() -> None:
    found = {reason for _, reason in refused_in_the_code() if not reason.startswith(INSIDE)}
    assert len(found) > 12
    assert found == set(REASONS)


def test_what_may_be_filed_again_is_what_the_relay_takes_for_that() -> None:
    assert {reason for reason, words in REASONS.items() if words.again} == RETRY


@pytest.mark.parametrize("reason", [*REASONS, "of-a-newer-node"])
def test_the_sentences_are_sentences(reason: str) -> None:
    words = words_for(reason)
    assert HANGUL.search(words.ko)
    assert not HANGUL.search(words.en)
    assert POLITE.search(words.ko)
    for text in (words.en, words.ko):
        assert text.endswith(".")
        assert 20 <= len(text) <= 120
        assert "_" not in text
    if words.again and reason in REASONS:
        assert "send the same again" in words.en
        assert "같은 내용을 다시 보내 주세요" in words.ko
    else:
        assert "send the same again" not in words.en


def test_what_is_not_known_here_may_be_tried_again() -> None:
    assert words_for("of-a-newer-node").again
