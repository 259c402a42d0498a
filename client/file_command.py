"""`p2pworld file`: a citizen files a suggestion, or any declared service, with any nodes of a city, and can prove it.

Before anything is sent, the submission and its secrets are written down: whoever is interrupted goes on with --again,
and the log answers a retry as it answered the first. Beside them come the receipt and the leaf, which
`p2pworld verify` checks, alone or years later.

Exit codes: 0, it is in the log, proven (and with a quorum seen by witnesses). 4, it is in the log, proven, and too few
witnesses have signed yet: ask --again. 1, it is refused. 3, no node gave a receipt that holds: try --again. 2, wrong
use.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.verify_command import read_policy
from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX, CIVIC_TEXT_MAX
from shard_node.errors import ConfigError
from shard_node.options import Quantity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from client.filing import Filer, Proven, Refused, Trust
    from client.pinned import Pinned
    from client.wallet import Wallet
    from p2pworld.civic.transaction import Submission
    from p2pworld.crypto.keys import Signer
    from p2pworld.services.sealed_files import SealedFile

__all__ = [
    "KEYS",
    "NODE",
    "OUT",
    "PINNED",
    "QUORUM",
    "WAIT",
    "bring",
    "file",
    "finish",
    "keep",
    "offices_of",
    "prove",
    "trusted",
]

REFUSED, UNANSWERED, UNWITNESSED = 1, 3, 4
_SUBMISSION, _RECEIPT, _LEAF, _SECRETS = ".submission", ".tlog-proof", ".leaf", ".secrets"
_ATTACHED = ".attached"  # a folder, until it is filed

NODE = click.option(
    "--node", "urls", multiple=True, required=True, metavar="URL", help="A node, http(s)://…; give several."
)
PINNED = click.option("--pinned", "pinned_path", type=click.Path(path_type=Path, exists=True),
              help="Keys of logs, witnesses and offices: what `p2pworld audit keys --json` printed.")  # fmt: skip
KEYS = click.option(
    "--key", "key_texts", multiple=True, metavar="VKEY", help="The log's key, or a witness's, instead."
)
QUORUM = click.option(
    "--quorum", type=click.IntRange(min=0), default=0, help="How many of those witnesses must sign."
)
OUT = click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="filed", show_default=True,
              help="Where to keep everything.")  # fmt: skip
WAIT = click.option(
    "--wait",
    "wait_s",
    type=Quantity(min=0),
    default=60.0,
    show_default=True,
    help="Seconds to try for.",
)


@click.command()
@NODE
@click.option("--stream", help="Whose log it is for, such as jongno.")
@click.option("--topic", help="What it is about, in one word such as parks; everybody may read that.")
@click.option("--text", help="What only the office reads; - reads it from standard input.")
@click.option("--again", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="SUBMISSION",
              help="Bring this submission again, or ask for its witnessed receipt.")  # fmt: skip
@PINNED
@KEYS
@QUORUM
@click.option(
    "--office", "office_texts", multiple=True, metavar="HEX", help="The office's sealing key, instead."
)
@click.option("--identity", type=click.Path(path_type=Path), help="Your key; made if it is not there.")
@click.option("--service", "service_id", metavar="ID", help="A service of `p2pworld services list`, instead.")
@click.option("--set", "answers", multiple=True, metavar="FIELD=VALUE",
              help="What its form is to hold; @FILE attaches a file; again for each item of a list.")  # fmt: skip
@click.option("--services", "services_folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="More declarations of services.")  # fmt: skip
@click.option("--people", "people_folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="The folder of `p2pworld people`: its device signs, its claims are shown.")  # fmt: skip
@click.option("--claim", "claim_path", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="The claim to be shown, of that folder's device.")  # fmt: skip
@OUT
@click.option("--language", type=click.Choice(["en", "ko"]), default="en", help="Of a refusal.")
@WAIT
def file(
    urls: tuple[str, ...],
    stream: str | None,
    topic: str | None,
    text: str | None,
    again: Path | None,
    pinned_path: Path | None,
    key_texts: tuple[str, ...],
    quorum: int,
    office_texts: tuple[str, ...],
    identity: Path | None,
    service_id: str | None,
    answers: tuple[str, ...],
    services_folder: Path | None,
    people_folder: Path | None,
    claim_path: Path | None,
    out: Path,
    language: str,
    wait_s: float,
) -> None:
    """File a suggestion, or a request of any service, with a city's office, and keep the receipt that proves it.

    Exit code 0: it is in the log; 4: so it is, and witnesses are still to sign; 1: refused; 3: nobody answered.
    """
    from client.file_service import Writer, Wrong
    from client.wallet import Wallet
    from shard_node.services.folder import read

    if again is not None:
        if stream or topic or text or service_id:
            raise ConfigError(
                "--again brings what was written before: leave out --stream, --topic, --text and --service."
            )
        trust, _ = trusted(pinned_path, key_texts, quorum)
        submission = read_submission(again)
        attach(again, submission.filing.stream, urls)
        finish(again, bring(submission, trust, urls, wait_s, _index(again)), language)
    if service_id:
        if stream or topic or text:
            raise ConfigError(
                "--service has its own form: give --set, and leave out --stream, --topic and --text."
            )
        trust, pinned = trusted(pinned_path, key_texts, quorum)
        wallet = Wallet.at(people_folder) if people_folder else None
        if claim_path and not wallet:
            raise ConfigError("--claim is of a device of `p2pworld people`: give --people too.")
        signer = wallet.device if wallet else _identity(identity or out / "identity.key")
        writer = Writer(
            read(services_folder), signer, wallet, lambda to: offices_of(office_texts, pinned, to), language
        )
        try:
            made = writer.write(service_id, answers, claim_path, time.time_ns() // 60_000_000_000)
        except Wrong as wrong:
            click.echo(str(wrong), err=True)
            sys.exit(REFUSED)
        path = out / f"{made.submission.filing.key.hex()[:16]}{_SUBMISSION}"
        keep(path, made.submission, made.secrets.to_text(), made.locked)
        if wallet:
            wallet = wallet.begun(made.submission, made.secrets, service_id, made.files)
            wallet.save()
        attach(path, made.submission.filing.stream, urls)
        found = bring(made.submission, trust, urls, wait_s, None)
        if wallet:
            _settle(wallet, made.submission, found)
        finish(path, found, language)
    if not stream or not topic or not text:
        raise ConfigError(
            "Give --stream, --topic and --text, or --service and --set, or --again with what was written before."
        )
    trust, pinned = trusted(pinned_path, key_texts, quorum)
    offices = offices_of(office_texts, pinned, stream)
    said = sys.stdin.read(CIVIC_TEXT_MAX + 1) if text == "-" else text
    if len(said) > CIVIC_TEXT_MAX:
        raise ConfigError(f"The text is longer than {CIVIC_TEXT_MAX} characters: shorten it.")
    submission, secrets = _write(stream, topic, said, offices, identity or out / "identity.key")
    path = out / f"{submission.filing.key.hex()[:16]}{_SUBMISSION}"
    keep(path, submission, secrets)
    finish(path, bring(submission, trust, urls, wait_s, None), language)


# ---- what is written


def trusted(path: Path | None, key_texts: tuple[str, ...], quorum: int) -> tuple[Trust, Pinned | None]:
    """Whose signatures are believed.

    Raises ConfigError.
    """
    from client.pinned import Given, read_pinned
    from p2pworld.errors import LocalError

    if (path is None) == (not key_texts):
        raise ConfigError("Whose signature is to be believed? Give --pinned, or --key with the log's key.")
    if path is None:
        return Given(read_policy(key_texts, quorum, None)), None
    try:
        pinned = read_pinned(path)
    except (LocalError, OSError) as error:
        raise ConfigError(f"{error}.") from None
    return pinned, pinned


def offices_of(texts: tuple[str, ...], pinned: Pinned | None, stream: str) -> tuple[bytes, ...]:
    """Raises ConfigError: nobody could read it, or a key is none."""
    offices = []
    for text in texts:
        try:
            offices.append(bytes.fromhex(text))
        except ValueError:
            offices.append(b"")
        if len(offices[-1]) != 32:
            raise ConfigError(f"--office is {text!r}: give the 64 hex digits of an office's sealing key.")
    if not offices and pinned:
        offices = list(pinned.offices(stream))
    if not offices:
        raise ConfigError(f"Nobody could read it: no sealing key is known for {stream}. Give --office.")
    return tuple(offices)


def _write(
    stream: str, topic: str, text: str, offices: tuple[bytes, ...], identity: Path
) -> tuple[Submission, str]:
    """The submission, and its secrets as text. Raises ConfigError."""
    from p2pworld.civic.transaction import SUGGESTION, Secrets, file_transaction
    from p2pworld.errors import LocalError

    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    person = _identity(identity)
    try:
        submission = file_transaction(
            SUGGESTION,
            stream,
            time.time_ns() // 60_000_000_000,
            {"topic": topic},
            {"text": text},
            person,
            offices,
            secrets,
        )
    except LocalError as error:
        raise ConfigError(f"It cannot be filed so: {error}.") from None
    return submission, secrets.to_text()


def _identity(path: Path) -> Signer:
    """The key in this file, which is made if it is not there.

    Raises ConfigError.
    """
    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import LocalError
    from shard_node.secret_files import write_new

    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_new(path, Signer.from_seed(os.urandom(32)).to_pem())
        return Signer.from_text(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, LocalError) as error:
        raise ConfigError(f"{path} cannot be used: {error}.") from None


def keep(path: Path, submission: Submission, secrets: str, files: Iterable[SealedFile] = ()) -> None:
    """Writes the submission, its secrets for its owner's eyes only, and what is attached, locked as it is put.

    Raises ConfigError.
    """
    from shard_node.secret_files import write_new

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_new(path.with_suffix(_SECRETS), secrets)
        for name, sig, locked in files:
            path.with_suffix(_ATTACHED).mkdir(exist_ok=True)
            (path.with_suffix(_ATTACHED) / f"{name.hex()}.{sig.hex()}").write_bytes(locked)
        path.write_bytes(submission.to_bytes())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None


def read_submission(path: Path) -> Submission:
    """Raises ConfigError."""
    from p2pworld.civic.transaction import parse_submission
    from p2pworld.errors import RemoteError

    try:
        with path.open("rb") as file:
            return parse_submission(file.read(CIVIC_SUBMISSION_BYTES_MAX + 1))
    except RemoteError as error:
        raise ConfigError(f"{path} is no submission: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None


def _index(path: Path) -> int | None:
    """The entry that an earlier receipt beside the submission is for, or None."""
    from p2pworld.errors import RemoteError
    from p2pworld.merkle.receipt import parse_receipt

    try:
        return parse_receipt(path.with_suffix(_RECEIPT).read_bytes()).index
    except (OSError, RemoteError):
        return None


# ---- what is sent, and what comes of it


def attach(path: Path, stream: str, urls: tuple[str, ...]) -> None:
    """Puts what was attached to a submission, if anything was and it may not be there yet.

    Raises ConfigError: no node takes it.
    """
    import ssl

    import trio

    from client.attaching import put_all
    from p2pworld.services.sealed_files import SealedFile

    folder = path.with_suffix(_ATTACHED)
    if not folder.is_dir():
        return
    try:
        parts = [(*file.name.partition("."), file.read_bytes()) for file in folder.iterdir()]
        files = [
            SealedFile(bytes.fromhex(name), bytes.fromhex(sig), locked) for name, _, sig, locked in parts
        ]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder} cannot be read: {error}.") from None
    if not trio.run(put_all, urls, stream, files, ssl.create_default_context(), _tell):
        click.echo(f"What is attached could not be put. Try again: p2pworld file --again {path}", err=True)
        sys.exit(UNANSWERED)


def _settle(wallet: Wallet, submission: Submission, found: Proven | Refused | None) -> None:
    """Writes down in the wallet what became of a request. Raises ConfigError."""
    from client.filing import Proven

    key = submission.filing.key
    if isinstance(found, Proven):
        receipt = found.receipt
        became = {
            "entry": receipt.index,
            "receipt": receipt.to_bytes(),
            "standing": "accepted",
            "reason": None,
        }
        wallet.settled(key, **became).save()
    elif found is not None:
        wallet.settled(key, standing="refused", reason=found.reason).save()


def bring(
    submission: Submission, trust: Trust, urls: tuple[str, ...], wait_s: float, index: int | None
) -> Proven | Refused | None:
    """Brings it to these nodes, or where its place is known asks them for its newest receipt.

    Raises ConfigError: a URL that is none.
    """
    import ssl

    import trio

    from client.filing import Filer
    from p2pworld.errors import LocalError
    from shard_node.http_client import parse_web_url

    try:
        for url in urls:
            parse_web_url(url)
    except LocalError as error:
        raise ConfigError(f"{error}.") from None
    filer = Filer(submission, trust, urls, ssl.create_default_context(), _tell)
    return trio.run(_bring, filer, wait_s, index)


async def _bring(filer: Filer, wait_s: float, index: int | None) -> Proven | Refused | None:
    return await (filer.file(wait_s) if index is None else filer.newest(index))


def _tell(url: str, sentence: str) -> None:
    click.echo(f"{url} {sentence}", err=True)


def finish(path: Path, found: Proven | Refused | None, language: str) -> None:
    """Keeps what proves it, says so, and ends the program with the exit code that says it too."""
    from client.filing import Proven
    from p2pworld.services.reasons import words_of

    if found is None:
        click.echo(f"Nobody has proven that it is filed. Try again: p2pworld file --again {path}", err=True)
        sys.exit(UNANSWERED)
    if not isinstance(found, Proven):
        words = words_of(found.reason)
        click.echo(f"{words.ko if language == 'ko' else words.en} ({found.reason})", err=True)
        sys.exit(REFUSED)
    prove(path, found)
    checkpoint = found.opened.checkpoint
    seen = ", ".join(one.key.name for one in found.opened.cosigned)
    where = f"entry {found.receipt.index} of the {checkpoint.size} of {checkpoint.origin}"
    click.echo(f"filed: {where}, {f'seen by {seen}' if seen else 'accepted'}; {path.with_suffix(_RECEIPT)}")
    if found.fault is not None:
        click.echo(f"Too few witnesses have signed yet. Later: p2pworld file --again {path}", err=True)
        sys.exit(UNWITNESSED)
    sys.exit(0)


def prove(path: Path, found: Proven) -> None:
    """Writes what proves it beside the submission.

    Raises ConfigError.
    """
    try:
        path.with_suffix(_RECEIPT).write_bytes(found.receipt.to_bytes())
        path.with_suffix(_LEAF).write_bytes(found.leaf)
        shutil.rmtree(path.with_suffix(_ATTACHED), ignore_errors=True)
    except OSError as error:
        raise ConfigError(f"The receipt cannot be written: {error}.") from None
