"""The subcommands that look after keys and grants: make them, pass them on to a next key, and take them back.

Whatever is signed is signed here, on the machine where the key is; a root key need never be on a node's machine.
"""

from __future__ import annotations

import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click

from shard_node.announce_command import announce
from shard_node.commands import CONFIG
from shard_node.errors import ConfigError
from shard_node.secret_files import write_new

if TYPE_CHECKING:
    from p2pworld.grants import Grant
    from p2pworld.revocation import Notice
    from shard_node.config import Config

__all__ = ["keys"]

DAY_MS: Final = 86_400_000
BACKDATED_MS: Final = 3_600_000  # machines' clocks differ; a grant made now holds everywhere at once
REVOKED_DAYS: Final = 3_650  # as long as `keys grant` grants anything
ASK_S: Final = 10.0
ANSWER_BYTES_MAX: Final = 65_536

NEW_FILE = click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
KEY = click.option(
    "--key", "key_path", type=click.Path(path_type=Path), required=True, help="The issuer's key file."
)
CHAIN = click.option(
    "--chain", type=click.Path(path_type=Path), help="The issuer's own grants, if it is no root."
)


@click.group()
def keys() -> None:
    """Make and show keys and grants. Files are made for their owner's eyes only, and never overwritten."""


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def _public(text: str) -> bytes:
    """The public key that --subject names.

    Raises ConfigError.
    """
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"--subject is {text!r}: give the 64 hex digits that `p2pworld keys show` prints.")
    return key


def _make_key(path: Path) -> None:
    from p2pworld.crypto.keys import NodeKeys

    signer = NodeKeys.from_seed(os.urandom(32))
    write_new(path, signer.to_pem())
    click.echo(signer.public.hex())


@keys.command("root")
@NEW_FILE
def root_key(path: Path) -> None:
    """Make a root key, which grants begin at; prints its public key for `node.roots`."""
    _make_key(path)


@keys.command("node")
@NEW_FILE
def node_key(path: Path) -> None:
    """Make a node's key; prints its public key, to be named in a grant."""
    _make_key(path)


@keys.command("log")
@NEW_FILE
def log_key(path: Path) -> None:
    """Make a key that signs civic logs, for `civic.key_file`; prints its public key."""
    _make_key(path)


@keys.command("desk")
@NEW_FILE
def desk_key(path: Path) -> None:
    """Make the key of a desk that may have entries of civic logs erased; prints its public key for `civic.desks`."""
    _make_key(path)


@keys.command("gateway")
@NEW_FILE
def gateway_key(path: Path) -> None:
    """Make the key by which a node files for people who cannot sign, for `services.gateway_key_file`; prints its public
    key for `services.gateways` of every node that holds logs."""
    _make_key(path)


@keys.command("office")
@NEW_FILE
def office_key(path: Path) -> None:
    """Make an office's secret, which opens what citizens file; prints its public key for `civic.office`."""
    from p2pworld.crypto.seal import sealing_public, secret_text

    secret = os.urandom(32)
    write_new(path, secret_text(secret))
    click.echo(sealing_public(secret).hex())


@keys.command("person")
@NEW_FILE
def person_key(path: Path) -> None:
    """Make a person's key, for a program that acts for them; prints its public key, to be named in a grant."""
    _make_key(path)


@keys.command("grant")
@NEW_FILE
@KEY
@click.option("--subject", required=True, help="The public key (64 hex digits) that is granted something.")
@click.option("--role", default="shard", show_default=True, help="What the subject may act as.")
@click.option(
    "--scope", multiple=True, default=("cells:*",), show_default=True, help="Over what; may be repeated."
)
@click.option("--days", type=click.IntRange(1, 3_650), default=365, show_default=True, help="For how long.")
@CHAIN
@click.option("--delegate", is_flag=True, help="The subject may grant the same to others.")
def grant(
    path: Path,
    key_path: Path,
    subject: str,
    role: str,
    scope: tuple[str, ...],
    days: int,
    chain: Path | None,
    delegate: bool,
) -> None:
    """Sign a grant and write it, after the issuer's own, to FILE."""
    from p2pworld.crypto.keys import NodeKeys
    from p2pworld.errors import LocalError
    from p2pworld.grants import grant_to_text, grants_from_text, sign_grant

    key = _public(subject)
    now_ms = time.time_ns() // 1_000_000
    try:
        issuer = NodeKeys.from_text(_read(key_path))
        above = grants_from_text(_read(chain)) if chain else ()
        signed = sign_grant(
            issuer, key, role, scope, now_ms - BACKDATED_MS, now_ms + days * DAY_MS, may_delegate=delegate
        )
    except LocalError as error:
        raise ConfigError(f"no grant was made: {error}.") from None
    write_new(path, "".join(grant_to_text(one) + "\n" for one in (*above, signed)))
    click.echo(f"{role} over {' '.join(scope)} for {days} days")


@keys.command("rotate")
@NEW_FILE
@CONFIG
def rotate(path: Path, config_path: Path) -> None:
    """Make a node's next key, in FILE, and pass the node's grants on to it, in FILE.grant.

    The key before signs that, so no root key is needed. Nothing changes until the node is started with the two files;
    from then on the key before counts no longer.
    """
    from p2pworld.crypto.keys import NodeKeys
    from p2pworld.errors import LocalError
    from p2pworld.grants import grant_to_text, succeed
    from p2pworld.revocation import Succession, pack_notice
    from shard_node import config
    from shard_node.serve import read_grants, read_keys

    settings = config.load(config_path)
    now_ms = time.time_ns() // 1_000_000
    before = read_keys(settings)
    after = NodeKeys.from_seed(os.urandom(32))
    grants = read_grants(settings, before, now_ms)
    from_ms = max(now_ms - BACKDATED_MS, *(one.not_before_ms for one in grants))
    try:
        passed_on = succeed(before, grants, after.public, from_ms)
        pack_notice(Succession(passed_on))
    except LocalError as error:
        raise ConfigError(f"no next key was made: {error}.") from None
    grant_path = path.with_name(path.name + ".grant")
    write_new(path, after.to_pem())
    write_new(grant_path, "".join(grant_to_text(one) + "\n" for one in passed_on))
    click.echo(after.public.hex())
    click.echo(
        f"Set node.key_file to {path} and node.grant_file to {grant_path}, start the node anew, and destroy "
        f"{settings.key_file}."
    )


@keys.command("revoke")
@NEW_FILE
@KEY
@CHAIN
@click.option("--subject", help="The public key (64 hex digits) that is to count no longer.")
@click.option(
    "--grant", "grant_path", type=click.Path(path_type=Path), help="Only the last grant of this file."
)
@click.option("--reason", default="", help="One sentence; everybody may read it.")
def revoke(
    path: Path,
    key_path: Path,
    chain: Path | None,
    subject: str | None,
    grant_path: Path | None,
    reason: str,
) -> None:
    """Take back, in FILE, all that was granted to a key, or one grant; `keys publish` then tells the city."""
    from p2pworld.crypto.keys import NodeKeys
    from p2pworld.errors import LocalError
    from p2pworld.revocation import notice_to_text, sign_revocation

    if subject is None and grant_path is None:
        raise ConfigError("nothing to take back was named: give --subject, or --grant FILE.")
    one = _grants(grant_path)[-1] if grant_path is not None else None
    whom = _public(subject) if subject is not None else one.subject if one is not None else b""
    if one is not None and one.subject != whom:
        raise ConfigError(f"{grant_path} was given to {one.subject.hex()}, not to --subject.")
    now_ms = time.time_ns() // 1_000_000
    until_ms = one.not_after_ms if one is not None else now_ms + REVOKED_DAYS * DAY_MS
    if until_ms <= now_ms:
        raise ConfigError(f"the last grant of {grant_path} has ended by itself.")
    above = _grants(chain) if chain is not None else ()
    try:
        issuer = NodeKeys.from_text(_read(key_path))
        signed = sign_revocation(issuer, whom, now_ms, until_ms, reason, chain=above, grant=one)
        text = notice_to_text(signed)
    except LocalError as error:
        raise ConfigError(f"nothing was taken back: {error}.") from None
    write_new(path, text + "\n")
    what = "one grant of" if one is not None else "all grants by this issuer to"
    click.echo(f"takes back {what} {whom.hex()}; tell the city with `p2pworld keys publish {path}`")


def _grants(path: Path) -> tuple[Grant, ...]:
    """The grants of a file that holds some.

    Raises ConfigError.
    """
    from p2pworld.errors import LocalError
    from p2pworld.grants import grants_from_text

    try:
        found = grants_from_text(_read(path))
    except LocalError as error:
        raise ConfigError(f"{path} holds no grants: {error}.") from None
    if not found:
        raise ConfigError(f"{path} holds no grants.")
    return found


@keys.command("publish")
@NEW_FILE
@click.option("--node", "urls", multiple=True, help="The web address of a node, http://…; may be repeated.")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    help="A node's TOML file: tells its coordination store and discovery.seeds.",
)
def publish(path: Path, urls: tuple[str, ...], config_path: Path | None) -> None:
    """Tell the city what FILE takes back: nodes, the coordination store, or both; one of them is enough."""
    from p2pworld.errors import LocalError
    from p2pworld.revocation import notice_from_text, pack_notice

    try:
        notice = notice_from_text(_read(path))
    except LocalError as error:
        raise ConfigError(f"{path} takes nothing back: {error}.") from None
    told, failures = [], []
    if config_path is not None:
        from shard_node import config

        settings = config.load(config_path)
        urls += settings.seeds
        try:
            _post_to_store(settings, notice)
            told.append("the coordination store")
        except ConfigError as error:
            failures.append(str(error))
    elif not urls:
        raise ConfigError("nobody to tell was named: give --node URL, or --config FILE.")
    for url in dict.fromkeys(urls):
        try:
            _post_to_node(url, pack_notice(notice))
            told.append(url)
        except ConfigError as error:
            failures.append(str(error))
    for failure in failures if told else failures[1:]:
        click.echo(failure, err=True)
    if not told:
        raise ConfigError(failures[0])
    click.echo(f"told {', '.join(told)}")


def _post_to_store(settings: Config, notice: Notice) -> None:
    """Raises ConfigError."""
    import trio

    from p2pworld.revocation import notice_fault, notice_id, pack_notice
    from shard_node.coordination.interface import CoordinationDown
    from shard_node.coordination.settings import open_store

    fault = notice_fault(notice, settings.roots, time.time_ns() // 1_000_000)
    if fault is not None:
        raise ConfigError(f"this takes nothing back in the city of node.roots: {fault.sentence}")

    async def post() -> bool:
        store = open_store(settings.store)
        try:
            return await store.post(notice_id(notice), pack_notice(notice))
        finally:
            await store.close()

    try:
        if not trio.run(post):
            raise ConfigError("the coordination store has no room for more that was taken back.")
    except CoordinationDown as error:
        raise ConfigError(f"{settings.store.key} cannot be used: {error}.") from None


def _post_to_node(url: str, body: bytes) -> None:
    """Raises ConfigError: it cannot be reached, or it refuses."""
    if urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"{url} is no web address: it begins with http:// or https://.")
    request = urllib.request.Request(url.rstrip("/") + "/api/v1/notices", data=body)
    try:
        with urllib.request.urlopen(request, timeout=ASK_S) as answer:
            answer.read(ANSWER_BYTES_MAX)
    except urllib.error.HTTPError as error:
        with error:
            try:
                sentence = json.loads(error.read(ANSWER_BYTES_MAX))["sentence"]
            except (ValueError, KeyError, TypeError):
                sentence = f"status {error.code}"
        raise ConfigError(f"{url} refuses: {sentence}") from None
    except OSError as error:
        raise ConfigError(f"{url} does not answer as a node does: {error}.") from None


@keys.command("show")
@NEW_FILE
def show(path: Path) -> None:
    """Show the public key of a key file, the grants of a grant file, or what a file takes back."""
    from p2pworld.crypto.keys import NodeKeys
    from p2pworld.errors import LocalError
    from p2pworld.grants import grants_from_text
    from p2pworld.revocation import Revocation, notice_from_text

    text = _read(path)
    try:
        click.echo(NodeKeys.from_text(text).public.hex())
        return
    except LocalError:
        pass  # then it is a file of grants, or takes something back, or neither
    try:
        taken = notice_from_text(text)
    except LocalError:
        taken = None
    if isinstance(taken, Revocation):
        what = "one grant" if taken.grant else "all grants"
        click.echo(f"takes back {what}: {taken.reason or '(no reason given)'}")
        click.echo(f"  of  {taken.subject.hex()}\n  by  {taken.issuer.hex()}")
        return
    try:
        grants = grants_from_text(text)
    except LocalError as error:
        raise ConfigError(f"{path} holds neither a key nor grants: {error}.") from None
    for one in grants:
        until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one.not_after_ms / 1000))
        click.echo(f"{one.role} over {' '.join(one.scope)} until {until}")
        click.echo(f"  for {one.subject.hex()}\n  by  {one.issuer.hex()}")


keys.add_command(announce)
