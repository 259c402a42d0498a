"""The moderators' command line: reads reports, gives orders.

The key never leaves this machine: what is sent is signed with it, and any node checks that.
"""

from __future__ import annotations

import base64
import json
import time
import unicodedata
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import click

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError
from p2pworld.grants import Grant, grants_from_text
from p2pworld.world.moderation import (
    CITY,
    pack_asking,
    pack_sanction,
    sign_asking,
    sign_sanction,
    subject_of,
    until_words,
)
from shard_node.errors import ConfigError
from shard_node.options import Quantity
from shard_node.web.moderation import SCHEME

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["moderate"]

TIMEOUT_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 32 << 20  # as many reports as a node keeps
DEFAULT_HOURS: Final = {"mute": 24.0, "remove": 1.0, "ban": 168.0, "lift": 2160.0, "expunge": 2160.0}


@click.group()
def moderate() -> None:
    """Read what people reported, and give orders that every node obeys."""


def _signed(command: Callable[..., None]) -> Callable[..., None]:
    """The options of every subcommand."""
    for option in (
        click.option("--node", "url", required=True, help="The web address of any node, http://…"),
        click.option(
            "--grant", "grant_path", type=click.Path(path_type=Path), required=True, help="Your grants."
        ),
        click.option(
            "--key", "key_path", type=click.Path(path_type=Path), required=True, help="Your key file."
        ),
    ):
        command = option(command)
    return command


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def _moderator(key_path: Path, grant_path: Path) -> tuple[Signer, tuple[Grant, ...]]:
    try:
        return Signer.from_text(_read(key_path)), grants_from_text(_read(grant_path))
    except LocalError as error:
        raise ConfigError(f"--key or --grant cannot be used: {error}.") from None


def _ask(url: str, path: str, body: bytes | None = None, **headers: str) -> Any:
    """The JSON that a node answers.

    Raises ConfigError: it cannot be reached, or it refuses.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"{url} is no web address: it begins with http:// or https://.")
    request = urllib.request.Request(url.rstrip("/") + path, data=body, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            return json.loads(answer.read(ANSWER_BYTES_MAX))
    except urllib.error.HTTPError as error:
        with error:
            try:
                sentence = json.loads(error.read(65_536))["sentence"]
            except (ValueError, KeyError, TypeError):
                sentence = f"status {error.code}"
        raise ConfigError(f"{url} refuses: {sentence}") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{url} does not answer as a node does: {error}.") from None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _plain(text: str) -> str:
    """A stranger's text for a terminal: control characters and what turns the direction are shown as codes."""
    return "".join(
        f"\\u{ord(c):04x}" if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Cs") else c for c in text
    )


@moderate.command()
@_signed
def reports(key_path: Path, grant_path: Path, url: str) -> None:
    """Show what was reported, at every node of the city that can be reached."""
    key, chain = _moderator(key_path, grant_path)
    away = 0
    for node in _ask(url, "/api/v1/nodes")["nodes"]:
        asking = sign_asking(key, chain, "reports", bytes.fromhex(node["node"]), _now_ms())
        text = base64.urlsafe_b64encode(pack_asking(asking)).decode()
        web_url = url if node["self"] else node["web_url"]
        try:
            shown = _ask(web_url, "/api/v1/moderation/reports", Authorization=f"{SCHEME} {text}")["reports"]
        except ConfigError as error:
            away += 1
            click.echo(str(error), err=True)
            continue
        for report in shown:
            said = report["said"]
            click.echo(f"{until_words(report['at_ms'])}  {_plain(said['name'])}: {_plain(said['text'])}")
            click.echo(f"    why  {_plain(report['why']) or '(nothing said)'}")
            click.echo(f"    key  {said['key']}")
    if away:
        raise SystemExit(1)


def _order_command(action: str, what: str, subject: str) -> None:
    @moderate.command(action, help=what)
    @click.argument("subject", metavar=subject)
    @click.option(
        "--hours",
        type=Quantity(0.01, 2160.0),
        default=DEFAULT_HOURS[action],
        show_default=True,
        help="For how long it holds.",
    )
    @click.option("--place", help="Only at the place of this id.")
    @click.option(
        "--reason", default="rules", show_default=True, help="A code: small letters, digits, - and _."
    )
    @_signed
    def order(
        subject: str,
        hours: float,
        place: str | None,
        reason: str,
        key_path: Path,
        grant_path: Path,
        url: str,
    ) -> None:
        key, chain = _moderator(key_path, grant_path)
        now_ms = _now_ms()
        scope = f"place:{place}" if place else CITY
        try:
            whom = subject_of(subject, action)
            signed = sign_sanction(
                key, chain, action, whom, scope, now_ms, now_ms + int(hours * 3_600_000), reason
            )
            body = pack_sanction(signed)
        except LocalError as error:
            raise ConfigError(f"no order was given: {error}.") from None
        answer = _ask(url, "/api/v1/moderation/orders", body)
        kept = "kept" if answer["durable"] else "obeyed, but not yet on its disk"
        click.echo(f"{action} until {until_words(answer['ends_ms'])} (Seoul): {kept}")


_order_command("mute", "Let nobody hear a person.", "KEY")
_order_command("remove", "Send a person out; they may come back after ten minutes.", "KEY")
_order_command("ban", "Keep a person out.", "KEY")
_order_command("lift", "End all orders on a person that were given until now.", "KEY")
_order_command("expunge", "Take an object down for good.", "OBJECT")
