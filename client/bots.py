"""`p2pworld bots`: programs that live in the city, and what they measured of it.

They come in over two seconds for every 300, and are counted from when all are in and stand on the nodes that hold
their places, so that what is counted as a handoff is a walk. The figures are the same words in the
live line, in the JSON file and in the demo's check.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live

from client.lives import Badge, populate
from client.lives.ground import Ground
from client.swarm import STARTS_PER_S, Swarm
from client.walk import HEART, places_around
from p2pworld.crypto.keys import PersonKeys
from p2pworld.errors import LocalError
from p2pworld.grants import grants_from_text
from shard_node.declared import read
from shard_node.options import OutputFile, Quantity

__all__ = ["bots"]

ALL_IN_S_MAX: Final = 10.0  # after the last one has started, the counting begins with whoever is in
SETTLE_S: Final = 2.0  # who logged in at a node that does not hold its place has been handed on by then
REPORT_S: Final = 1.0
WRONG_USE: Final = 2


def live_line(figures: dict[str, Any]) -> str:
    """One line for eyes: people, handoffs, the gap they cost, ages."""
    extra, age = figures["handoff_extra_ms"], figures["update_age_ms"]
    return (
        f"{figures['playing']:>5}/{figures['bots']} people   "
        f"{figures['handoffs']:>6} handoffs ({figures['handoffs_between_processes']} between processes)   "
        f"gap p99 {extra['p99']:.0f} ms   poses p50 {age['p50']:.0f} ms old   "
        f"lost {figures['avatars_lost']}  doubled {figures['avatars_twinned']}   {figures['seconds']:.0f} s"
    )


def what_is_on(figures: dict[str, Any]) -> str:
    """What goes on in the city; nothing where nothing does."""
    life = figures.get("life", {})
    told = [
        "drums play" if life.get("drumming") else "",
        f"{life['riding']} on the bus" if life.get("riding") else "",
        f"{life['lanterns']} lanterns hung" if life.get("lanterns") else "",
        f"{life['said']} words said" if life.get("said") else "",
        f"{life['start']} rehearsals of the bell" if life.get("start") else "",
    ]
    return ", ".join(filter(None, told))


def read_badge(key: Path, grants: Path) -> Badge:
    """The key and the grants of an official, from their files.

    Raises:
        LocalError: one of them cannot be read, or holds something else.
    """
    try:
        texts = key.read_text("utf-8"), grants.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise LocalError(f"the official's papers cannot be read: {error}") from None
    return Badge(PersonKeys.from_text(texts[0]), grants_from_text(texts[1]))


class Run:
    """One run of a swarm: counts from when all are in, for `seconds`, and reports every second."""

    def __init__(self, swarm: Swarm, seconds: float, lines: bool, live: Live | None) -> None:
        self._swarm, self._seconds, self._lines, self._live = swarm, seconds, lines, live
        self._start_s = self._reported_s = swarm.now_s()
        self._all_in_s: float | None = None
        self._begun_s: float | None = None
        self._stopped = False

    def stop(self) -> None:
        """Ends the run soon."""
        self._stopped = True

    def done(self, now_s: float) -> bool:
        """Whether it is over; looks after counting and reporting."""
        if self._all_in_s is None:
            playing, count = self._swarm.playing, len(self._swarm.bots)
            late = now_s - self._start_s > count / STARTS_PER_S + ALL_IN_S_MAX
            if playing == count or late:
                self._all_in_s = now_s
                self._stopped |= playing == 0
        if self._begun_s is None and self._all_in_s is not None and now_s - self._all_in_s >= SETTLE_S:
            self._begun_s = now_s
            self._swarm.gauges.begin(now_s)
        if now_s - self._reported_s >= REPORT_S:
            self._reported_s = now_s
            self._report(now_s)
        return self._stopped or (self._begun_s is not None and now_s - self._begun_s >= self._seconds)

    def figures(self, now_s: float) -> dict[str, Any]:
        """What was measured, and how many play now."""
        return self._swarm.gauges.figures(now_s) | {
            "playing": self._swarm.playing,
            "counting": self._begun_s is not None,
            "life": self._swarm.life(),
        }

    def _report(self, now_s: float) -> None:
        figures = self.figures(now_s)
        if self._lines:
            sys.stdout.write(json.dumps(figures) + "\n")
            sys.stdout.flush()
        elif self._live is not None:
            self._live.update(f"{live_line(figures)}\n{what_is_on(figures)}")


@click.command()
@click.option("--url", "urls", multiple=True, required=True, help="A play url, ws://…/play; may be repeated.")
@click.option(
    "--count", default=100, show_default=True, type=click.IntRange(1, 20_000), help="How many bots."
)
@click.option("--seconds", default=60.0, show_default=True, type=Quantity(0.1), help="For how long.")
@click.option("--json", "json_file", type=OutputFile(), help="Write the figures to this file.")
@click.option("--seed", type=int, help="The same seed makes the same people. [default: a new one]")
@click.option("--around", default=HEART[0], show_default=True, help="The landmark they walk around.")
@click.option("--radius", default=HEART[1], show_default=True, type=Quantity(1.0), help="Metres around it.")
@click.option("--declared", type=click.Path(path_type=Path), help="A folder of places, as the nodes have.")
@click.option(
    "--official",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="KEY GRANTS",
    help="The key and the grants of the official at the 120 counter.",
)
@click.option("--walkers", is_flag=True, help="Nobody but people who walk from place to place.")
@click.option("--lines", is_flag=True, hidden=True, help="One JSON object a second on standard output.")
def bots(
    urls: tuple[str, ...],
    count: int,
    seconds: float,
    json_file: Path | None,
    seed: int | None,
    around: str,
    radius: float,
    declared: Path | None,
    official: tuple[Path, Path] | None,
    walkers: bool,
    lines: bool,
) -> None:
    """Let COUNT programs live in the city, and measure it from outside.

    They are commuters, tourists, bus riders, a drum troupe, and hosts who greet whoever comes; fewer than 40 only walk.
    """
    seed = int.from_bytes(os.urandom(4), "big") if seed is None else seed
    try:
        ground = Ground(read(declared), places_around(around, radius))
        badge = read_badge(*official) if official else None
        lives = populate(count, seed, ground, ("commuter",) * count if walkers else None, badge)
        swarm = Swarm(urls, lives, seed)
    except (ValueError, LocalError) as error:
        click.echo(f"bots: {error}", err=True)
        sys.exit(WRONG_USE)
    console = Console()
    with nullcontext() if lines or not console.is_terminal else Live(console=console) as live:
        run = Run(swarm, seconds, lines, live)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: run.stop())
        gc.collect()
        gc.freeze()  # everybody stays to the end: no pause to look at them again
        gc.set_threshold(50_000, 20, 100)
        swarm.run(run.done)
    figures = run.figures(swarm.now_s()) | {
        "seed": seed,
        "acknowledged": {"lanterns": len(swarm.lanterns), "rings": swarm.done["ring"]},
        "counters": dict(sorted((swarm.counters + swarm.session_counters()).items())),
    }
    swarm.close()
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    if lines:
        sys.stdout.write(json.dumps(figures | {"final": True}) + "\n")
    else:
        click.echo(live_line(figures))
    if figures["playing"] == 0:
        click.echo(f"bots: nobody is in the city: {swarm.trouble}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    bots()
