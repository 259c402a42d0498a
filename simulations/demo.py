"""`p2pworld demo`: a city of several node processes on this machine, and its bots; with `--check`, a verdict.

Everything is made anew in a folder of its own. The bots are a process too: they commute, travel, ride, drum, and greet
whoever comes in by the page, whose address is printed first. Everything said about the city they measured from outside.
Ctrl-C ends it all.
"""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.live import Live

from client.bots import live_line, what_is_on
from client.walk import places_around
from p2pworld.services.case_rows import OFFICES
from shard_node.options import OutputFile, Quantity
from simulations.attestor_process import AttestorProcess
from simulations.festival_demo import (
    BOTS,
    CHECKED,
    SHOWN,
    Seen,
    balance_of,
    dealt,
    declare,
    play,
    summary,
)
from simulations.festival_demo import failures as seen_wrong
from simulations.processes import City
from simulations.stage import POLL_S, DemoFailed, People, Show, Wake, no_more_interrupts, wait_ready

__all__ = ["KEYS", "demo", "failures"]

CHECK_SECONDS: Final = 60.0
HANDOFFS_PER_60_S: Final = 300  # by 300 bots
BOTS_MEANT: Final = 300
EXTRA_P50_MS_MAX: Final = 50
EXTRA_P99_MS_MAX: Final = 200
FOREVER_S: Final = 1e9
KEYS: Final = (
    "nodes", "regions", "bots", "poses_in", "handoffs", "handoffs_between_processes", "crossings_per_bot",
    "handoffs_refused", "avatars_lost", "avatars_twinned", "handoff_extra_ms", "update_age_ms",
    "bytes_down_per_client_s", "seconds",
)  # fmt: skip


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


def _bots(city: City, bots: int, seconds: float, seed: int) -> list[str]:
    """How the bots are started."""
    urls = [part for url in city.play_urls for part in ("--url", url)]
    arguments = ["-m", "client.bots", "--lines", *urls, "--count", str(bots)]
    arguments += ["--seconds", f"{seconds:.3f}", "--seed", str(seed)]
    return [*arguments, "--official", *map(str, city.official)]


def _run(
    city: City, log_key: str, attestor_url: str, bots: int, seconds: float | None, seed: int, show: Show
) -> dict[str, Any]:
    """The whole demo after the nodes were started; the figures of the bots, and of the nodes at the end."""
    wait_ready(city, show)
    regions = sum(len(node.cells) for node in city.nodes)
    show.say(f"Open {city.nodes[0].web_url}/ in a browser and walk in.")
    show.say(f"A city of {len(city.nodes)} nodes and {regions} regions, all held and linked:")
    for node in city.nodes:
        show.say(f"  {node.name}   {node.web_url}   {node.play_url}   {len(node.cells)} regions")
    show.say(
        f"Its civic log, at {city.nodes[-1].web_url}/log/city/checkpoint, takes what any node is given:\n"
        f"  python3 run.py file --node {city.nodes[-1].web_url} --stream city --topic parks --text 'A bench is broken.'"
        f" --key '{log_key}' --office {city.office_key.hex()}"
    )
    url, folder = city.nodes[0].web_url, city.folder
    show.say(
        f"The civic services of the city and its 25 gu: {url}/ko, or {url}/en. The officials' desk: {url}/ko/desk,\n"
        f"with official.key, official.grant and office.secret of {folder}. Whoever wants a place is attested once,\n"
        f"by a code for {url}/ko/people that the official gives (whatever number the document has):\n"
        f"  python3 run.py attestor attest --url {attestor_url} --key {folder}/official.key"
        f" --grants {folder}/official.grant --gu jongno\n"
        f"A service that is declared in {folder}/services is offered at once: docs/services.md says how."
    )
    swarm, wake = People(city, _bots(city, bots, seconds or FOREVER_S, seed)), Wake(city, show)
    try:
        while not swarm.ended:
            wake.look()
            swarm.wait(POLL_S)
            if swarm.figures:
                on = what_is_on(swarm.figures)
                show.now(live_line(swarm.figures) + (f"\n      {on}" if on else ""))
        swarm.raise_if_failed()
    except KeyboardInterrupt:
        show.say("ending")
        no_more_interrupts()
    finally:
        swarm.end()
    refused = city.counted("refused-")
    return swarm.figures | {
        "nodes": len(city.nodes),
        "regions": regions,
        "handoffs_refused": refused,
        "failed": wake.failed,
    }


@click.command()
@click.option("--nodes", default=4, show_default=True, type=click.IntRange(1, 16), help="Node processes.")
@click.option(
    "--bots", type=click.IntRange(1, 5_000), help=f"Bots. [default: {BOTS_MEANT}; of a festival: {BOTS}]"
)
@click.option("--seconds", type=Quantity(1.0), help="For how long. [default: until Ctrl-C; checked: 60]")
@click.option(
    "--festival", is_flag=True, help="An evening at the bell of Bosingak, in scenes; ends by itself."
)
@click.option(
    "--check",
    is_flag=True,
    help="Exit 0 only if nobody is lost or doubled and handoffs are quick; of a festival: if all was seen.",
)
@click.option("--json", "json_file", type=OutputFile(), help="Write the figures to this file.")
@click.option(
    "--cell", "side_m", default=128.0, show_default=True, type=Quantity(1.0), help="Side of a region, metres."
)
@click.option("--seed", default=1, show_default=True, help="The same seed makes the same people.")
@click.option("--folder", type=click.Path(path_type=Path), help="Keep everything there. [default: removed]")
def demo(
    nodes: int,
    bots: int | None,
    seconds: float | None,
    festival: bool,
    check: bool,
    json_file: Path | None,
    side_m: float,
    seed: int,
    folder: Path | None,
) -> None:
    """A city of several node processes on this machine, with bots that walk across their borders."""
    bots = bots or (BOTS if festival else BOTS_MEANT)
    seconds = CHECK_SECONDS if check and seconds is None else seconds
    evening = CHECKED if check else SHOWN
    console = Console()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    place = folder or Path(tempfile.mkdtemp(prefix="p2pworld-demo-"))
    figures: dict[str, Any] = {}
    seen: Seen | None = None
    wrong: list[str] = []
    try:
        if festival:
            bell_s = declare(place / "declared", evening, time.time())
            more: dict[str, Any] = {
                "declared": place / "declared",
                "more": balance_of(bots),
                "dealt": dealt(nodes, side_m),
            }
        else:
            bell_s, more = 0.0, {}
        city = City(place, nodes, places_around(), side_m, **more)
        attestor, declarations = AttestorProcess(city), place.resolve() / "services"
        declarations.mkdir(exist_ok=True)
        log_key = city.keep_logs(OFFICES, city.nodes[:1], "", declarations, attestor.url)["city"]
        city.offer_services(city.nodes[1:], declarations, attestor.url)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    with city, nullcontext() if not console.is_terminal else Live(console=console) as live:
        show = Show(console, live)
        try:
            attestor.start()
            city.start()
            if festival:
                seen = play(city, bots, seed, evening, bell_s, side_m, show)
            else:
                figures = _run(city, log_key, attestor.url, bots, seconds, seed, show)
        except KeyboardInterrupt:
            show.say("ending")
        except (DemoFailed, OSError) as error:
            wrong.append(str(error))
        no_more_interrupts()
        attestor.end()
        wrong += [f"{node.name} did not end by itself" for node in city.end()]
    if seen is not None:
        click.echo("\n".join(summary(seen)))
        wrong += seen_wrong(seen) if check else []
        if json_file is not None:
            json_file.write_text(json.dumps(asdict(seen), indent=2) + "\n", encoding="utf-8")
    elif figures:
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
