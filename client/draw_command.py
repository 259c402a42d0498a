"""`p2pworld verify draw`: recomputes draws from a log's folder, and says who was drawn and what was done wrong.

Whether the folder holds what its log signed is for `p2pworld verify` to say; here every entry is hashed against the
checkpoint that lies in it.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from client.verify_leaves import BadLeaf
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
    from client.verify_log import Wanted, read_log
    from p2pworld.civic.transaction import Filing, parse_leaf, verify_filing
    from p2pworld.errors import RemoteError
    from p2pworld.merkle.checkpoint import Checkpoint
    from p2pworld.merkle.note import parse_note
    from p2pworld.merkle.tree import leaf_hash
    from p2pworld.services.draw_log import DRAW_TYPES, recompute

    leaves: defaultdict[tuple[str, str], list[tuple[int, Filing, bytes]]] = defaultdict(list)
    unsigned: defaultdict[tuple[str, str], list[tuple[int, str, str]]] = defaultdict(list)
    count = 0

    def take(entries: Sequence[bytes]) -> Callable[[], list[BadLeaf]]:
        nonlocal count
        for entry in entries:
            leaf = parse_leaf(entry)
            filing = leaf.filing
            if filing.type in DRAW_TYPES and filing.public and filing.public[0].name == "draw":
                which = filing.stream, filing.public[0].value
                leaves[which].append((count, filing, leaf_hash(entry)))
                if not verify_filing(filing, leaf.sig):
                    unsigned[which].append((count, "civic-signature", "its own key did not sign this leaf"))
            count += 1
        return list

    try:
        checkpoint = Checkpoint.parse(parse_note((log / "checkpoint").read_bytes()).text)
        read = read_log(log, checkpoint.size, checkpoint.root, Wanted(check_leaves=take))
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.") from None
    except RemoteError as error:
        raise ConfigError(f"{log} is no log: {error}.") from None
    if read.faults:
        raise ConfigError(f"{log} is not what its checkpoint says: {read.faults[0].sentence}.")
    document = []
    for (stream, name), mine in leaves.items():
        if names and name not in names:
            continue
        drawn, refused = recompute(stream, name, [(filing, digest) for _, filing, digest in mine])
        faults = [(mine[i][0], refusal.reason, refusal.sentence) for i, refusal in refused]
        document.append(_document(drawn, sorted(faults + unsigned[stream, name])))
    return document


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
