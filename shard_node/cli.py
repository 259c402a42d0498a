"""The command line `p2pworld`: each subcommand is imported when it is called, so that help is quick.

A ConfigError becomes one sentence on standard error and exit code 2. Anything unexpected is let through to the edge of
the process, with its trace.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any, Final

import click

import p2pworld
from shard_node.errors import ConfigError

__all__ = ["main"]

COMMANDS: Final = {
    "demo": ("simulations.demo:demo", "A city of several nodes and its people, on this machine."),
    "node": ("shard_node.commands:node", "Run one node of the city."),
    "bots": ("client.bots:bots", "Walk people through a running city."),
    "simulate": ("simulations.simulate:command", "Try to break whole cities on a virtual clock."),
    "bench": ("simulations.bench.commands:bench", "Measure what the city carries on this machine."),
    "keys": ("shard_node.key_commands:keys", "Make, show, rotate and revoke keys and grants."),
    "nodes": ("shard_node.nodes_command:nodes", "List the nodes that can be found from here."),
    "moderate": ("shard_node.moderate:moderate", "Read reports and give orders, as a moderator."),
    "places": (
        "shard_node.declared_commands:places",
        "Check and list the places and programmes of the city.",
    ),
    "services": (
        "shard_node.services_commands:services",
        "Check and list the civic services of the city.",
    ),
    "draw": ("client.draw_party_commands:draw", "Take part in draws, as the office or another party."),
    "store": (
        "shard_node.store_commands:store",
        "Look at the coordination store, or begin a new generation.",
    ),
    "status": ("shard_node.status_command:status", "Ask a running node how it and its city are."),
    "disk": (
        "shard_node.disk_commands:disk",
        "Back up, restore, check and mend what a node keeps on its disk.",
    ),
    "civic": (
        "shard_node.civic_commands:civic",
        "Back up, restore, check and reconcile the store of civic logs; have entries erased.",
    ),
    "regions": (
        "shard_node.region_commands:regions",
        "Look at the regions of the city, and move, split, merge or pin them.",
    ),
    "drain": ("shard_node.region_commands:drain", "Have a node give all its ground away."),
    "file": ("client.file_command:file", "File with a city's office, and keep the receipt."),
    "desk": (
        "client.desk_command:desk",
        "Read an office's queue, open cases and act on them, as an official.",
    ),
    "people": ("client.people_command:people", "Your keys and devices, and who attests you."),
    "verify": (
        "client.verify_command:verify",
        "Check logs, receipts, checkpoints and leaves, offline.",
    ),
    "audit": ("client.audit_command:audit", "Copy a log, and watch what it tells over time."),
    "witness": ("shard_node.witness_commands:witness", "Sign checkpoints of logs as a witness."),
    "attestor": (
        "shard_node.attestor_commands:attestor",
        "Attest who is one person, by a login or from a desk.",
    ),
    "doctor": (
        "shard_node.commands:doctor",
        "Look at a node's configuration and machine, and say what is wrong.",
    ),
}


class LazyGroup(click.Group):
    """A group that knows its subcommands by name and imports the one that is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except ConfigError as error:
            click.echo(f"p2pworld: {error}", err=True)
            sys.exit(2)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(p2pworld.__version__, message="%(version)s")
def main() -> None:
    """A virtual Seoul that many hosts run together."""


if __name__ == "__main__":
    main(prog_name="p2pworld")
