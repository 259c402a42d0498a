"""The subcommand that asks a running node how it is, for a person at a terminal and for what restarts containers."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from shard_node.commands import CONFIG
from shard_node.options import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shard_node.config import Config

__all__ = ["is_whole", "lines", "status"]

ASK_EVERY_S: Final = 0.5
TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 32 << 20  # a map of 16 384 regions
LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@click.command()
@CONFIG
@click.option(
    "--whole", is_flag=True, help="Ask that the city is whole too: all regions held and stood by for."
)
@click.option("--wait", "wait_s", type=Quantity(min=0), default=0.0, help="Ask again for so many seconds.")
def status(config_path: Path, whole: bool, wait_s: float) -> None:
    """Ask the node of this configuration, on this machine, how it and its city are; exit code 1 unless all is well."""
    from shard_node import config

    settings = config.load(config_path)
    until_s = time.monotonic() + wait_s
    while True:
        health = _ask(settings, "/healthz")
        nodes = _ask(settings, "/api/v1/nodes").get("nodes", [])
        regions = _ask(settings, "/api/v1/regions").get("regions", [])
        well = bool(health.get("ok")) and (not whole or is_whole(nodes, regions))
        if well or time.monotonic() >= until_s:
            break
        time.sleep(ASK_EVERY_S)
    if health:
        click.echo("\n".join(lines(health, nodes, regions)))
    else:
        click.echo(f"{settings.name} does not answer at {settings.web}: is it running?", err=True)
    if not well:
        raise SystemExit(1)


def is_whole(nodes: list[dict[str, Any]], regions: list[dict[str, Any]]) -> bool:
    """Whether every region has a holder and, if there are others, a standby, and this node is linked with all."""
    held = bool(regions) and all(region["holder"] for region in regions)
    covered = len(nodes) < 2 or all(region["standbys"] for region in regions)
    return held and covered and all(node["self"] or node["linked"] for node in nodes)


def lines(
    health: dict[str, Any], nodes: list[dict[str, Any]], regions: list[dict[str, Any]]
) -> Iterator[str]:
    """What to show of a node's answers: itself in three lines, the logs it holds, then its city node by node."""
    how = "well" if health["ok"] else "NOT WELL: " + ", ".join(health["reasons"])
    yield f"{health['name']} is {how}; its lease holds for {health['lease_left_s']:.1f} s, map {health['map_version']}"
    unheld = sum(region["holder"] is None for region in regions)
    alone = Counter(region["holder"] for region in regions if region["holder"] and not region["standbys"])
    yield (
        f"of {len(regions)} regions it holds {health['cells_held']} and stands by for {health['cells_standby']}; "
        f"{unheld} have no holder, {alone.total()} no standby"
    )
    yield f"{health['clients']} people, load {health['load']:.2f}, a tick of {health['tick_ms']} ms"
    for log in health.get("civic", []):
        wrong = f"; TAKES NOTHING: {log['alarm']}, {log['trouble']}" if log["alarm"] else ""
        wrong += f"; FAILING: {log['failing']} {log['trouble']}".rstrip() if log["failing"] else ""
        yield f"log {log['stream']}: {log['size']} entries, {log['queue']} waiting, {log['stage']}{wrong}"
    yield f"{'node':16}  {'link':7}  {'holds':>5}  {'alone':>5}  {'people':>6}  {'load':>5}  web"
    for node in nodes:
        load = node["load"] or {}
        linked = "itself" if node["self"] else "up" if node["linked"] else "MISSING"
        yield (
            f"{node['node'][:16]}  {linked:7}  {node['cells']:5}  {alone[node['node']]:5}  "
            f"{load.get('clients', '?'):>6}  {load.get('busy', '?'):>5}  {node['web_url']}"
        )


def _ask(settings: Config, path: str) -> dict[str, Any]:
    """What the node answers at `path`, whatever the status; empty if it does not."""
    secure = settings.tls is not None and settings.tls.web
    host = LOOPBACK.get(settings.web.host, settings.web.host)
    address = f"[{host}]" if ":" in host else host
    url = f"{'https' if secure else 'http'}://{address}:{settings.web.port}{path}"
    context = ssl.create_default_context() if secure else None
    if context:  # it has its public name in it, and is asked on this machine
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S, context=context) as answer:
            body = answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        with error:
            body = error.read(ANSWER_BYTES_MAX)
    except (OSError, ValueError):
        return {}
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
