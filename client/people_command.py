"""`p2pworld people`: a citizen's keys on the command line, as a browser keeps them.

A root in nine words, a key for each device that the root signs, claims of attestors on this device, and what was filed,
all in one folder. `export` writes what a browser's wallet reads, and `import` reads what it writes.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.file_command import KEYS, NODE, OUT, PINNED, QUORUM, WAIT
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from client.wallet import Wallet

__all__ = ["FOLDER", "people"]

FOLDER = click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="people",
    show_default=True,
    help="Where it is kept.",
)
LABEL = click.option("--label", default="", help="What you call this device.")
ATTESTOR = click.option("--attestor", "url", required=True, metavar="URL", help="The attestor, https://…")
PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="A file that holds the passphrase; else it is asked for.",
)


def _minute() -> int:
    return int(time.time()) // 60


@click.group()
def people() -> None:
    """Make, recover, export and import your keys; add and revoke devices; get claims from attestors."""


@people.command()
@FOLDER
@LABEL
@click.option(
    "--without-root", is_flag=True, help="This is another device of somebody whose root is elsewhere."
)
def new(folder: Path, label: str, without_root: bool) -> None:
    """Make a person, and this device of theirs; prints the nine words that bring it back. Write them down."""
    from client.wallet import Wallet
    from p2pworld.services.identity import ENTROPY_BYTES, words_of

    entropy = None if without_root else os.urandom(ENTROPY_BYTES)
    made = Wallet.new(folder, entropy, _labelled(label), _minute())
    if entropy is None:
        click.echo(f"On the device with the root: p2pworld people device add {made.device.public.hex()}")
        click.echo("Here then: p2pworld people device accept LINE")
    else:
        click.echo(words_of(entropy))
        click.echo("Write these nine words down: they bring everything but your requests back.", err=True)


@people.command()
@FOLDER
@click.option("--words", is_flag=True, help="Print the nine words too.")
def show(folder: Path, words: bool) -> None:
    """Print root, device, devices, claims and requests."""
    from client.leaf_words import utc_words
    from p2pworld.services.identity import words_of

    wallet = _wallet(folder)
    click.echo(f"root    {wallet.root.hex() if wallet.root else 'none yet'}")
    click.echo(f"device  {wallet.device.public.hex()}  {wallet.label}")
    for device, lost in wallet.known_devices():
        state = "lost" if lost else "this" if device.device == wallet.device.public else "    "
        click.echo(f"  {state}  {device.device.hex()}  {utc_words(device.minute)}  {device.label}")
    for claim in wallet.claims():
        lives = f", of {claim.gu}" if claim.gu else ""
        click.echo(
            f"claim   {claim.purpose} until {utc_words(claim.until)}{lives}, by {claim.attestor.hex()[:16]}"
        )
    for request in wallet.requests:
        entry = "" if request["entry"] is None else f" entry {request['entry']}"
        click.echo(f"request {request['service']} to {request['stream']}{entry}: {request['standing']}")
    if words:
        if wallet.entropy is None:
            raise ConfigError("The root is not on this device, so there are no words.")
        click.echo(words_of(wallet.entropy))


@people.command()
@FOLDER
@LABEL
@click.option("--words", "text", prompt="Your nine words", help="Better left out: they are asked for.")
def recover(folder: Path, label: str, text: str) -> None:
    """Become a device of the person with these nine words. What is in the folder stays."""
    from client.wallet import Wallet
    from p2pworld.errors import LocalError
    from p2pworld.services.identity import entropy_of

    try:
        entropy = entropy_of(text)
    except LocalError as error:
        raise ConfigError(f"{error}.".capitalize()) from None
    there = (folder / "wallet.json").exists()
    wallet = _wallet(folder) if there else Wallet.new(folder, None, "", _minute())
    wallet = wallet.recovered(entropy, _labelled(label or wallet.label), _minute())
    wallet.save()
    assert wallet.root is not None
    click.echo(f"root    {wallet.root.hex()}")


@people.command("forget-root")
@FOLDER
def forget_root(folder: Path) -> None:
    """Forget the root on this device: from then on only its words bring it back."""
    from dataclasses import replace

    replace(_wallet(folder), entropy=None).save()


@people.command("export")
@FOLDER
@PASSPHRASE
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def export(folder: Path, passphrase_file: Path | None, path: Path) -> None:
    """Write all but this device's own key to FILE, locked with a passphrase, for another device or a browser."""
    from client.wallet import PASSPHRASE_CHARACTERS_MIN
    from shard_node.secret_files import write_new

    passphrase = _passphrase(passphrase_file, confirm=True)
    if len(passphrase) < PASSPHRASE_CHARACTERS_MIN:
        raise ConfigError(f"A passphrase has at least {PASSPHRASE_CHARACTERS_MIN} characters.")
    write_new(path, _wallet(folder).exported(passphrase, os.urandom(32)))


@people.command("import")
@FOLDER
@PASSPHRASE
@LABEL
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
def import_(folder: Path, passphrase_file: Path | None, label: str, path: Path) -> None:
    """Take what another device or a browser has exported to FILE; this becomes one more device of that person."""
    from client.wallet import WALLET_BYTES_MAX, Wallet
    from p2pworld.errors import LocalError

    try:
        with path.open("r", encoding="utf-8") as file:
            text = file.read(WALLET_BYTES_MAX)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
    passphrase = _passphrase(passphrase_file, confirm=False)
    there = (folder / "wallet.json").exists()
    wallet = Wallet.at(folder) if there else Wallet(folder, os.urandom(32))
    try:
        wallet, added = wallet.took(text, passphrase, _labelled(label or wallet.label), _minute())
    except LocalError as error:
        raise ConfigError(f"{path} cannot be taken: {error}.") from None
    wallet.save()
    click.echo(f"{added} requests are new; {len(wallet.known_devices())} devices are known")


# ---- devices


@people.group()
def device() -> None:
    """Add devices to a person, and revoke those that are lost."""


@device.command("add")
@FOLDER
@LABEL
@click.argument("key", metavar="HEX")
def device_add(folder: Path, label: str, key: str) -> None:
    """Sign with the root that the device with this key is yours; prints the line to be given to it."""
    wallet, line = _wallet(folder).added(_key(key), label, _minute())
    wallet.save()
    click.echo(line)


@device.command("accept")
@FOLDER
@click.argument("line")
def device_accept(folder: Path, line: str) -> None:
    """Take the root's LINE for this device."""
    _wallet(folder).accepted(line).save()


@device.command("revoke")
@FOLDER
@click.option("--attestor", "urls", multiple=True, metavar="URL", help="Tell this attestor; give several.")
@click.argument("key", metavar="HEX")
def device_revoke(folder: Path, urls: tuple[str, ...], key: str) -> None:
    """Sign with the root that this device is lost, and have attestors take back what they said; prints the line."""
    from client.attesting import Attestor

    wallet, line = _wallet(folder).without(_key(key), _minute())
    wallet.save()
    click.echo(line)
    for url in urls:
        Attestor.at(url).lose_by_root(line)
        click.echo(f"{url} has taken back what it said on that device", err=True)


# ---- claims


@people.group()
def claim() -> None:
    """Have an attestor know this device, and get claims for what you want to file."""


@claim.command("register")
@FOLDER
@ATTESTOR
@click.option(
    "--code", help="The code that an official read to you; without it you are told where to log in."
)
def claim_register(folder: Path, url: str, code: str | None) -> None:
    """Have the attestor know this device for yours: by a login, or by an official's code."""
    from client.attesting import Attestor
    from client.leaf_words import utc_words

    wallet, attestor = _wallet(folder), Attestor.at(url)
    verifier = ""
    if code is None:
        where, verifier = attestor.begin(wallet.device)
        click.echo(f"Log in at\n\n  {where}\n", err=True)
        code = click.prompt("and paste the code that you are shown", err=True)
    told = attestor.register(wallet.device, code, verifier, wallet.line or None)
    gu = f", a resident of {told['gu']}" if told.get("gu") else ""
    click.echo(f"known until {utc_words(int(told['until']))}{gu}")


@claim.command("get")
@FOLDER
@ATTESTOR
@click.argument("purposes", metavar="PURPOSE...", nargs=-1, required=True)
def claim_get(folder: Path, url: str, purposes: tuple[str, ...]) -> None:
    """Get a claim for each PURPOSE: a service, `booking`, draw/FACILITY/SLOT, or support/STREAM/ENTRY. Prints the
    files."""
    from client.attesting import Attestor

    wallet = _wallet(folder)
    for given in Attestor.at(url).claims(wallet.device, purposes):
        click.echo(wallet.keep_claim(given))


@claim.command("devices")
@FOLDER
@ATTESTOR
def claim_devices(folder: Path, url: str) -> None:
    """Print the devices that the attestor knows for yours."""
    from client.attesting import Attestor
    from client.leaf_words import utc_words

    for one in Attestor.at(url).devices(_wallet(folder).device):
        state = "lost" if one["lost"] else "this" if one["this"] else "    "
        click.echo(
            f"{state}  {one['device']}  since {utc_words(one['since'])}, until {utc_words(one['until'])}"
        )


# ---- what one says for oneself, and signs for nobody to read


@people.command()
@FOLDER
@NODE
@PINNED
@KEYS
@QUORUM
@OUT
@WAIT
@click.argument("number", metavar="STREAM/ENTRY")
def support(
    folder: Path,
    urls: tuple[str, ...],
    pinned_path: Path | None,
    key_texts: tuple[str, ...],
    quorum: int,
    out: Path,
    wait_s: float,
    number: str,
) -> None:
    """Support the proposal of this number, while it gathers support; everybody counts once, by the claim shown.

    Exit codes are those of `p2pworld file`.
    """
    from client.file_command import bring, finish, keep, trusted
    from p2pworld.civic.transaction import Paper
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.clerk import CLAIM
    from p2pworld.services.people import claim_key_seed, show
    from p2pworld.services.support import Support, file_support, support_purpose

    stream, _, entry = number.partition("/")
    if not entry.isdecimal():
        raise ConfigError(f"{number!r} is no number of a proposal: it is such as city/12.")
    wallet, minute, seed = _wallet(folder), _minute(), os.urandom(32)
    trust, _ = trusted(pinned_path, key_texts, quorum)
    purpose = support_purpose(stream, int(entry))
    claim = next((one for one in wallet.claims() if one.purpose == purpose and one.until > minute), None)
    if claim is None:
        raise ConfigError(f"That needs a claim: `p2pworld people claim get {purpose}`.")
    made = file_support(stream, Support(int(entry), claim.person.hex()), minute, seed)
    shown = show(claim, Signer.from_seed(claim_key_seed(wallet.seed, purpose)), made.filing)
    submission = replace(made, papers=(Paper(CLAIM, shown.to_bytes()),))
    path = out / f"{made.filing.key.hex()[:16]}.submission"
    keep(path, submission, f"seed {seed.hex()}\n")
    finish(path, bring(submission, trust, urls, wait_s, None), "en")


# ---- what they share


def _wallet(folder: Path) -> Wallet:
    from client.wallet import Wallet

    return Wallet.at(folder)


def _labelled(label: str) -> str:
    if len(label) > 40:
        raise ConfigError("A device's label has at most 40 characters.")
    return label


def _key(text: str) -> bytes:
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise ConfigError(f"{text!r} is no device's key: it has 64 hex digits.")
    return key


def _passphrase(path: Path | None, confirm: bool) -> str:
    if path is None:
        asked: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
        return asked
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None
