"""`p2pworld verify draw`: recomputes draws from a log's folder, and says who was drawn and what was done wrong.

Whether the folder holds what its log signed is for `p2pworld verify` to say; here every entry is hashed against the
checkpoint that lies in it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from p2pworld.services.draw_log import Draw

__all__ = ["draw"]

LOGS = click.Path(path_type=Path, exists=True, file_okay=False)


@click.command()
@click.argument("logs", metavar="LOG...", nargs=-1, required=True, type=LOGS)
@click.option("--draw", "names", multiple=True, metavar="FACILITY/SLOT", help="Only this draw.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document for programs.")
def draw(logs: tuple[Path, ...], names: tuple[str, ...], as_json: bool) -> None:
    """Recompute draws from the folders of logs (checkpoint and tiles, as they are published).

    Exit code 0 if all that was drawn is as it should be, 1 if anything is wrong, 2 if there is no such draw, or one is
    not over yet.
    """
    found = [one for log in logs for one in _draws_of(log, names)]
    if as_json:
        click.echo(json.dumps({"draws": found}, ensure_ascii=False, indent=1))
    else:
        for one in found:
            _say(one)
    missing = set(names) - {one["draw"] for one in found}
    for name in sorted(missing):
        click.echo(f"{name} is no draw of these logs", err=True)
    if any(one["faults"] for one in found):
        sys.exit(1)
    sys.exit(2 if missing or not found or not all(one["ready"] for one in found) else 0)


def _draws_of(log: Path, names: tuple[str, ...]) -> list[dict[str, Any]]:
    """What is to be said of each draw in this folder."""
    from client.draws_in_log import read_draws

    wanted = [one for one in read_draws(log) if not names or one.name in names]
    return [_document(*one.recompute()) for one in wanted]


def _document(drawn: Draw, faults: list[tuple[int, str, str]]) -> dict[str, Any]:
    ready = drawn.ready
    return {
        "stream": drawn.stream,
        "draw": drawn.name,
        "places": drawn.places,
        "parties": [key.hex() for key in drawn.keys],
        "entries": len(drawn.entries),
        "closed": drawn.closed,
        "ready": ready,
        "helped": sorted(drawn.helped),
        "seed": drawn.seed if ready else None,
        "order": list(drawn.order) if ready else None,
        "told": drawn.done,
        "faults": [{"entry": entry, "reason": reason, "sentence": text} for entry, reason, text in faults],
    }


def _say(one: dict[str, Any]) -> None:
    mark, colour = ("ok   ", "green") if one["ready"] else ("?    ", "yellow")
    if one["faults"]:
        mark, colour = "wrong", "red"
    head = f"{click.style(mark, fg=colour)}  {one['stream']} {one['draw']}"
    click.echo(f"{head}  {one['entries']} in the draw for {one['places']} places")
    for fault in one["faults"]:
        click.echo(f"       entry {fault['entry']}: {fault['reason']}: {fault['sentence']}")
    for party, key in enumerate(one["parties"]):
        click.echo(f"       {'party ' + str(party) if party else 'office '}      {key}")
    for party in one["helped"]:
        click.echo(f"       party {party} did not reveal its secret: the others did")
    if not one["ready"]:
        click.echo("       not all secrets are there yet")
        return
    click.echo(f"       seed {one['seed']}")
    for i, person in enumerate(one["order"], 1):
        click.echo(f"       {'drawn  ' if i <= one['places'] else 'waiting'} {i:5}  {person}")
