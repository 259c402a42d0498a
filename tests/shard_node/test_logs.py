"""Logs are one object a line, carry only named fields, and never flood."""

from __future__ import annotations

import ast
import io
import json
import logging
from pathlib import Path

import pytest

from shard_node.config import LogConfig
from shard_node.logs import BURST, FIELDS, WINDOW_S, RateLimit, correlation, set_up


@pytest.fixture
def keep_root() -> object:
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    yield
    root.handlers[:], root.level = before


@pytest.mark.usefixtures("keep_root")
def test_json_lines_carry_the_named_fields_and_the_correlation_only() -> None:
    out = io.StringIO()
    set_up(LogConfig("info", "json"), out)
    token = correlation.set("abc")
    logging.getLogger("here").info("said %s", "이것", extra={"reason": "full", "name_of_person": "하늘"})
    logging.getLogger("here").debug("not this")
    correlation.reset(token)
    try:
        raise ValueError("inside")
    except ValueError:
        logging.getLogger("here").exception("failed")
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert first.pop("time").endswith("Z")
    assert first == {"level": "info", "from": "here", "message": "said 이것", "reason": "full", "id": "abc"}
    assert second["message"] == "failed"
    assert "ValueError: inside" in second["trace"]


def test_whatever_is_told_as_a_field_is_one_that_is_written() -> None:
    told: set[str] = set()
    for path in Path("shard_node").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.keyword(arg="extra", value=ast.Dict(keys=keys)):
                    pass
                case ast.Assign(targets=[ast.Name(id="extra")], value=ast.Dict(keys=keys)):
                    pass
                case _:
                    continue
            told |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
    assert {"reason", "witness", "stream"} <= told <= set(FIELDS)


@pytest.mark.usefixtures("keep_root")
def test_text_lines_end_with_their_fields() -> None:
    out = io.StringIO()
    set_up(LogConfig("warning", "text"), out)
    logging.getLogger("here").info("not this")
    logging.getLogger("here").warning("full", extra={"reason": "disk"})
    assert out.getvalue().endswith(" warning full reason=disk\n")


def test_the_same_message_is_limited_and_the_rest_is_counted() -> None:
    now_s = 0.0
    limit = RateLimit(lambda: now_s)

    def offer(message: str) -> logging.LogRecord | None:
        record = logging.LogRecord("x", logging.WARNING, "", 0, message, None, None)
        return record if limit.filter(record) else None

    assert sum(offer("again") is not None for _ in range(50)) == BURST
    assert offer("another") is not None
    now_s = WINDOW_S + 0.1
    record = offer("again")
    assert record is not None
    assert record.suppressed == 50 - BURST  # type: ignore[attr-defined]
