"""docs/overload.md, written from the table: `python -m tests.world.overload_page` writes it anew."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from p2pworld.limits import EASE_S, OVER_BUSY, OVER_TICKS
from p2pworld.world.overload import MEANS, TABLE, At, On, Overload

PATH = Path(__file__).parents[2] / "docs" / "overload.md"

_INTRODUCTION = f"""\
# When a node cannot keep up

*Written from the table of `p2pworld/world/overload.py` by `python -m tests.world.overload_page`; a test keeps
them equal.*

Each tick the node looks at how much of the time since the last one its loop was at work: sending, reading, thinking.
{OVER_TICKS} ticks running above {OVER_BUSY:.0%}, or missed, lead one step down (OVERRUN). {EASE_S} s with room enough
for the step above lead back up (EASED). The nearest people are shown in every tick, whatever is given up.
"""
_TOLD = """\
## Where it shows

- People are told with a NOTICE `pace` when the tick changes, newcomers by WELCOME's `tick_ms`.
- `/metrics`: `p2pworld_load` (1 is all of a node's time), `p2pworld_tick_ms`, `p2pworld_shed_level`; each step is
  counted as `p2pworld_events_total{part="node",what="overrun-…"}` or `eased-…`. `/healthz` names the step, and the
  log tells each change.
- The other nodes hear it once a second: `/api/v1/nodes` shows the load of every node that a node is linked with.
- At SLOWEST a node that knows another with room answers new logins with BYE `full` and the others' urls, the least busy
  first. Whoever walks over the border is taken in all the same, up to `clients_max`.
"""


def document() -> str:
    """The whole page."""
    said = dict(re.findall(r"^ +([A-Z_]+) = auto\(\)  # (.*)$", inspect.getsource(At), re.MULTILINE))
    lines = [_INTRODUCTION, "```mermaid", "stateDiagram-v2", f"    [*] --> {At.WHOLE.name}"]
    lines += [f"    {at.name} --> {to.name}: {on.name}" for (at, on), to in TABLE.items() if at is not to]
    lines += [
        "```",
        "",
        "| step | what is shown | shed level | tick | goes up below |",
        "|---|---|---|---|---|",
    ]
    for at in At:
        means = MEANS[at]
        machine = Overload(100)
        while machine.at is not at:
            machine.at = TABLE[machine.at, On.OVERRUN]
        room = "" if at is At.WHOLE else f"{means.room:.0%}"
        lines.append(f"| {at.name} | {said[at.name]} | {means.shed} | {machine.tick_ms} ms | {room} |")
    return "\n".join([*lines, "", _TOLD])


if __name__ == "__main__":
    PATH.write_text(document(), encoding="utf-8")
