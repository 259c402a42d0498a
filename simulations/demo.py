"""`p2pworld demo`: a city of several node processes on this machine, and its bots; with `--check`, a verdict.

Everything is made anew in a folder of its own. The bots are a process too: they commute, travel, ride, drum, and greet
whoever comes in by the page, whose address is printed first. Everything said about the city they measured from outside.
Ctrl-C ends it all.
"""

from __future__ import annotations

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live

from client.bots import live_line, what_is_on
from client.walk import places_around
from simulations.processes import City, start_child

__all__ = ["KEYS", "demo", "failures"]

READY_S_MAX: Final = 50.0
CHECK_SECONDS: Final = 60.0
PLAIN_EVERY_S: Final = 5.0
POLL_S: Final = 0.25
HANDOFFS_PER_60_S: Final = 300  # by 300 bots
BOTS_MEANT: Final = 300
EXTRA_P50_MS_MAX: Final = 50
EXTRA_P99_MS_MAX: Final = 200
FOREVER_S: Final = 1e9
BOTS_END_S: Final = 10.0
KEYS: Final = (
    "nodes", "regions", "bots", "poses_in", "handoffs", "handoffs_between_processes", "crossings_per_bot",
    "handoffs_refused", "avatars_lost", "avatars_twinned", "handoff_extra_ms", "update_age_ms",
    "bytes_down_per_client_s", "seconds",
)  # fmt: skip


class DemoFailed(Exception):
    """The demo cannot go on; the message is what a person reads."""


def failures(figures: dict[str, Any], bots: int, seconds: float) -> list[str]:
    """What a checked run promised and these figures do not show, a sentence each."""
    wrong = []
    wanted = HANDOFFS_PER_60_S * min(1.0, bots / BOTS_MEANT) * seconds / 60
    if figures["handoffs_between_processes"] < wanted:
        got = figures["handoffs_between_processes"]
        wrong.append(f"{got} handoffs between processes, fewer than {wanted:.0f}")
    if figures["avatars_lost"]:
        wrong.append(f"{figures['avatars_lost']} avatars lost")
    if figures["avatars_twinned"]:
        wrong.append(f"{figures['avatars_twinned']} avatars doubled")
    extra = figures["handoff_extra_ms"]
    if extra["p50"] > EXTRA_P50_MS_MAX:
        wrong.append(f"half the handoffs cost over {extra['p50']:.0f} ms, more than {EXTRA_P50_MS_MAX}")
    if extra["p99"] > EXTRA_P99_MS_MAX:
        wrong.append(
            f"one handoff in a hundred cost over {extra['p99']:.0f} ms, more than {EXTRA_P99_MS_MAX}"
        )
    if figures["seconds"] < seconds * 0.9:
        wrong.append(f"it ended after {figures['seconds']:.0f} of {seconds:.0f} s")
    return wrong


class Show:
    """What a person sees: a live line on a terminal, a plain line now and then elsewhere."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console, self._live, self._plain_s = console, live, 0.0

    def say(self, text: str) -> None:
        """A line that stays."""
        self._console.print(text, highlight=False, soft_wrap=True)

    def now(self, text: str) -> None:
        """A line that is replaced by the next."""
        if self._live is not None:
            self._live.update(text)
        elif time.monotonic() - self._plain_s >= PLAIN_EVERY_S:
            self._plain_s = time.monotonic()
            self.say(text)


def _wait_ready(city: City, show: Show) -> None:
    until_s = time.monotonic() + READY_S_MAX
    while waiting := city.not_ready():
        _no_node_died(city)
        if time.monotonic() > until_s:
            raise DemoFailed(f"the city is not ready after {READY_S_MAX:.0f} s: {waiting}")
        show.now(f"the city is waking up: {waiting}")
        time.sleep(POLL_S)


def _no_node_died(city: City) -> None:
    for node in city.dead():
        assert node.process is not None
        raise DemoFailed(f"{node.name} ended with {node.process.returncode}:\n{node.log_tail()}")


class Wake:
    """Tells of each node that ended once. One that was killed is part of the show; one that failed is not."""

    def __init__(self, city: City, show: Show) -> None:
        self._city, self._show = city, show
        self._told: set[str] = set()
        self.failed: list[str] = []

    def look(self) -> None:
        for node in self._city.dead():
            assert node.process is not None
            if node.name in self._told:
                continue
            self._told.add(node.name)
            if node.process.returncode in (-signal.SIGKILL, -signal.SIGTERM, 0):
                self._show.say(f"{node.name} was ended; the others carry on")
            else:
                sentence = f"{node.name} failed with {node.process.returncode}:\n{node.log_tail()}"
                self._show.say(sentence)
                self.failed.append(sentence)


class BotsProcess:
    """The bots, their figures as they come, and the last ones."""

    def __init__(self, city: City, bots: int, seconds: float, seed: int) -> None:
        urls = [part for url in city.play_urls for part in ("--url", url)]
        self.log = city.folder / "bots.log"
        with self.log.open("ab") as log:
            arguments = ["-m", "client.bots", "--lines", *urls, "--count", str(bots)]
            arguments += ["--seconds", f"{seconds:.3f}", "--seed", str(seed)]
            arguments += ["--official", *map(str, city.official)]
            self.process = start_child(arguments, subprocess.PIPE, log)
        assert self.process.stdout is not None
        self._pipe = self.process.stdout
        os.set_blocking(self._pipe.fileno(), False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._pipe, selectors.EVENT_READ)
        self._partial = b""
        self.figures: dict[str, Any] = {}
        self.ended = False

    def wait(self, seconds: float) -> None:
        """Takes in what they report within so long."""
        if self.ended or not self._selector.select(seconds):
            return
        data = self._pipe.read(1 << 16)
        if data == b"":
            self.ended = True
            self.process.wait()
        *lines, self._partial = (self._partial + (data or b"")).split(b"\n")
        for line in lines:
            self.figures = json.loads(line)

    def end(self) -> None:
        """Asks them to come to an end, and takes in their last figures."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        until_s = time.monotonic() + BOTS_END_S
        while not self.ended and time.monotonic() < until_s:
            self.wait(POLL_S)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._selector.close()
        self._pipe.close()


def _run(city: City, bots: int, seconds: float | None, seed: int, show: Show) -> dict[str, Any]:
    """The whole demo after the nodes were started; the figures of the bots, and of the nodes at the end."""
    _wait_ready(city, show)
    regions = sum(len(node.cells) for node in city.nodes)
    show.say(f"Open {city.nodes[0].web_url}/ in a browser and walk in.")
    show.say(f"A city of {len(city.nodes)} nodes and {regions} regions, all held and linked:")
    for node in city.nodes:
        show.say(f"  {node.name}   {node.web_url}   {node.play_url}   {len(node.cells)} regions")
    swarm, wake = BotsProcess(city, bots, seconds or FOREVER_S, seed), Wake(city, show)
    try:
        while not swarm.ended:
            wake.look()
            swarm.wait(POLL_S)
            if swarm.figures:
                on = what_is_on(swarm.figures)
                show.now(live_line(swarm.figures) + (f"\n      {on}" if on else ""))
        if swarm.process.returncode:
            text = swarm.log.read_text(encoding="utf-8", errors="replace").strip()
            raise DemoFailed(f"the bots ended with {swarm.process.returncode}: {text[-2000:]}")
    except KeyboardInterrupt:
        show.say("ending")
        _no_more_interrupts()
    finally:
        swarm.end()
    refused = city.counted("refused-")
    return swarm.figures | {
        "nodes": len(city.nodes),
        "regions": regions,
        "handoffs_refused": refused,
        "failed": wake.failed,
    }


def _no_more_interrupts() -> None:
    """What is under way now is the end itself."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


@click.command()
@click.option("--nodes", default=4, show_default=True, type=click.IntRange(1, 16), help="Node processes.")
@click.option("--bots", default=300, show_default=True, type=click.IntRange(1, 5_000), help="Bots.")
@click.option(
    "--seconds", type=click.FloatRange(1.0), help="For how long. [default: until Ctrl-C; checked: 60]"
)
@click.option(
    "--check", is_flag=True, help="Exit 0 only if nobody is lost or doubled and handoffs are quick."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures to this file.")
@click.option("--cell", "side_m", default=128.0, show_default=True, help="Side of a region, metres.")
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same people.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything there. [default: removed]")
def demo(
    nodes: int,
    bots: int,
    seconds: float | None,
    check: bool,
    json_file: Path | None,
    side_m: float,
    seed: int,
    folder: Path | None,
) -> None:
    """A city of several node processes on this machine, with bots that walk across their borders."""
    seconds = CHECK_SECONDS if check and seconds is None else seconds
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = folder or Path(tempfile.mkdtemp(prefix="p2pworld-demo-"))
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    try:
        city = City(place, nodes, places_around(), side_m)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    with city, nullcontext() if not console.is_terminal else Live(console=console) as live:
        show = Show(console, live)
        try:
            city.start()
            figures = _run(city, bots, seconds, seed, show)
        except KeyboardInterrupt:
            show.say("ending")
        except (DemoFailed, OSError) as error:
            wrong.append(str(error))
        _no_more_interrupts()
        wrong += [f"{node.name} did not end by itself" for node in city.end()]
    if figures:
        wrong += figures.pop("failed")
        if check:
            assert seconds is not None
            wrong += failures(figures, bots, seconds) if "handoffs" in figures else ["the bots said nothing"]
        if json_file is not None:
            chosen = {key: figures[key] for key in KEYS if key in figures}
            json_file.write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    elif check and not wrong:
        wrong.append("it was ended before it began")
    for sentence in wrong:
        click.echo(f"demo: {sentence}", err=True)
    if wrong:
        click.echo(f"demo: logs are in {place}", err=True)
        sys.exit(1)
    if check:
        click.echo("demo: all holds")
    if folder is None:
        shutil.rmtree(place)


if __name__ == "__main__":
    demo()
