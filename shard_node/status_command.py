"""The subcommand that asks a running node how it is, for a person at a terminal and for what restarts containers."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import click

from shard_node.commands import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shard_node.config import Config

__all__ = ["lines", "status"]

TIMEOUT_S: Final = 5.0
ANSWER_BYTES_MAX: Final = 32 << 20  # a map of 16 384 regions
LOOPBACK: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}


@click.command()
@CONFIG
def status(config_path: Path) -> None:
    """Ask the node of this configuration, on this machine, how it and its city are; exit code 1 unless it is well."""
    from shard_node import config

    settings = config.load(config_path)
    health = _ask(settings, "/healthz")
    if not health:
        click.echo(f"{settings.name} does not answer at {settings.web}: is it running?", err=True)
        raise SystemExit(1)
    nodes, regions = _ask(settings, "/api/v1/nodes"), _ask(settings, "/api/v1/regions")
    for line in lines(health, nodes.get("nodes", ()), regions.get("regions", ())):
        click.echo(line)
    if not health.get("ok"):
        raise SystemExit(1)


def lines(
    health: dict[str, Any], nodes: list[dict[str, Any]], regions: list[dict[str, Any]]
) -> Iterator[str]:
    """What to show of a node's answers: itself in three lines, then its city node by node."""
    how = "well" if health["ok"] else "NOT WELL: " + ", ".join(health["reasons"])
    yield f"{health['name']} is {how}; its lease holds for {health['lease_left_s']:.1f} s, map {health['map_version']}"
    unheld = sum(region["holder"] is None for region in regions)
    alone = Counter(region["holder"] for region in regions if region["holder"] and not region["standbys"])
    yield (
        f"of {len(regions)} regions it holds {health['cells_held']} and stands by for {health['cells_standby']}; "
        f"{unheld} have no holder, {alone.total()} no standby"
    )
    yield f"{health['clients']} people, load {health['load']:.2f}, a tick of {health['tick_ms']} ms"
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
