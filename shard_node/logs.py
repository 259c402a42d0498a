"""Logs for programs (JSON, one object a line) or for eyes (text), with correlation ids, and never in a flood.

A record carries the fields named in `FIELDS` if it was given them as `extra`, and nothing else: keys, codes and counts,
never names or texts of people. The same message is written at most BURST times in WINDOW_S; then how many were left
out is said with the next one.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from collections.abc import Callable

    from shard_node.config import LogConfig

__all__ = ["FIELDS", "JsonFormatter", "RateLimit", "TextFormatter", "correlation", "set_up"]

FIELDS: Final = (
    "node", "incarnation", "peer", "reason", "play_url", "link_url", "web_url", "map_version", "signal", "suppressed",
    "stream", "epoch", "step", "witness", "sentence", "busy", "tick_ms",
)  # fmt: skip
BURST: Final = 5
WINDOW_S: Final = 10.0
TEMPLATES_MAX: Final = 512

correlation: ContextVar[str] = ContextVar("correlation", default="")


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    found = {name: getattr(record, name) for name in FIELDS if getattr(record, name, None) is not None}
    if correlation.get():
        found["id"] = correlation.get()
    return found


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (UTC, milliseconds), level, where, message, and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03}Z"
        line = {
            "time": at,
            "level": record.levelname.lower(),
            "from": record.name,
            "message": record.getMessage(),
        }
        line |= _fields(record)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """One line for eyes: local time, level, message, fields."""

    def format(self, record: logging.LogRecord) -> str:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        fields = "".join(f" {name}={value}" for name, value in _fields(record).items())
        line = f"{at} {record.levelname.lower():7} {record.getMessage()}{fields}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class RateLimit(logging.Filter):
    """Lets the same message through BURST times in WINDOW_S seconds of `clock`; tells how many it left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._windows: dict[str, tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = self._clock()
        began_s, count = self._windows.get(record.msg, (now_s, 0))
        if now_s - began_s > WINDOW_S:
            if count > BURST:
                record.suppressed = count - BURST
            began_s, count = now_s, 0
        if len(self._windows) >= TEMPLATES_MAX:
            self._windows.clear()
        self._windows[record.msg] = (began_s, count + 1)
        return count < BURST


def set_up(config: LogConfig, stream: TextIO | None = None) -> None:
    """Sends every log of this process to standard error, as configured."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if config.format == "json" else TextFormatter())
    handler.addFilter(RateLimit())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(config.level.upper())
    for name in ("shard_node.web.serve", "websockets"):  # libraries that tell of each connection
        logging.getLogger(name).setLevel(logging.WARNING)
