"""docs/operations/metrics.md, from the code's own list: `python -m tests.operations.metrics_page` writes it anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shard_node.civic.meter import BATCH
from shard_node.stages import LATE_S, WAIT_S
from shard_node.web.metrics import COUNTERS, EVENTS, GAUGES, HISTOGRAMS, STREAM_GAUGES
from tests.operations.page import FILES

if TYPE_CHECKING:
    from collections.abc import Iterable

PATH = FILES / "metrics.md"

_INTRODUCTION = """\
# Every figure of a node

*Written from the list of `shard_node/web/metrics.py` by `python -m tests.operations.metrics_page`; a test keeps
them equal, and another keeps the alert rules and the dashboard to what a node really tells.*

`/metrics` tells these in the text format of Prometheus. Beside them stand the usual figures of a process:
`process_cpu_seconds_total`, `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
`process_max_fds`, `process_start_time_seconds`.
"""
_LABELLED = (
    (
        "`p2pworld_build_info`",
        "`name`, `node`, `version`, `python`, `link`, `map`, `journal`",
        "1: what runs here; the versions of links (lowest-highest), of the city map and of the journal",
    ),
    (
        "`p2pworld_unhealthy`",
        "`reason`",
        "1 for each reason why `/healthz` says no: `not_registered`, `lapsed`, `map_stale`, "
        "`writes_fail`, `civic_fails`, `civic_read_only`",
    ),
    ("`p2pworld_cpu_seconds_total`", "`stage`", "seconds of CPU of the node's loop, by what it did"),
    ("`p2pworld_events_total`", "`part`, `what`", "how often something happened here"),
)
_STREAMS = """\
Each has the label `stream`. They are told of every log that the node may hold (`civic.streams`); those below the first
two only while a holder is at work.
"""
_COUNTER_LABELS = {
    "civic_failures": "`stream`, `stage`, `reason`",
    "civic_witness_answers": "`stream`, `witness`, `outcome`",
}
_COUNTED = """\
These are told from the start, at zero; whatever else is counted appears when it first happens. `what` is a code,
never a name, a text or a place.
"""


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows)]


def document() -> str:
    """The whole page."""
    bounds = {name: LATE_S if "late" in name else WAIT_S for name in HISTOGRAMS}
    bounds["civic_batch_submissions"] = BATCH
    lines = [_INTRODUCTION, "## Figures that go up and down", ""]
    lines += _table(("name", "is"), ((f"`p2pworld_{name}`", says) for name, says in GAUGES.items()))
    lines += ["", "## Figures of each civic log", "", _STREAMS]
    lines += _table(("name", "is"), ((f"`p2pworld_{name}`", says) for name, says in STREAM_GAUGES.items()))
    counters = ((f"`p2pworld_{name}_total`", _COUNTER_LABELS[name], says) for name, says in COUNTERS.items())
    lines += ["", "## Figures with labels", "", *_table(("name", "labels", "is"), (*_LABELLED, *counters))]
    lines += ["", "## How long things take", ""]
    lines += _table(
        ("name", "is", "bounds (seconds, or how many)"),
        (
            (f"`p2pworld_{name}`", says, ", ".join(f"{bound:g}" for bound in bounds[name]))
            for name, says in HISTOGRAMS.items()
        ),
    )
    lines += [
        "",
        "`p2pworld_store_seconds` has the label `request`: `register`, `renew`, `read`, `propose`. Those of civic logs "
        "have the label",
        "`stream`; `p2pworld_civic_stage_seconds` has `stage` too: a step of the holder, `receipts`, or `whole`.",
        "",
    ]
    lines += ["## What is counted", "", _COUNTED]
    lines += _table(
        ("part", "what", "happened"),
        ((f"`{part}`", f"`{what}`", says) for (part, what), says in EVENTS.items()),
    )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
