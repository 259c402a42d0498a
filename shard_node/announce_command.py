"""`p2pworld keys announce`: tells everybody, in the city's own log, which keys count for a log from now on.

Whoever announces needs a key with a grant of the role `civic` over the stream, which a root key has signed. What is
announced is filed like anything else, and its receipt kept; exit codes as for `p2pworld file`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from client.file_command import NODE, WAIT, bring, finish, keep
from client.verify_command import read_policy
from shard_node.errors import ConfigError

__all__ = ["announce"]


@click.command()
@NODE
@click.option("--key", "key_path", type=click.Path(path_type=Path, exists=True), required=True,
              help="The key file of whoever announces.")  # fmt: skip
@click.option("--chain", type=click.Path(path_type=Path, exists=True), required=True,
              help="Its grants of the role civic.")  # fmt: skip
@click.option("--city-key", required=True, metavar="VKEY", help="The key of the city's own log.")
@click.option("--stream", required=True, help="Whose keys these are.")
@click.option("--from", "from_size", type=click.IntRange(min=0), required=True,
              help="From which size of that log on they count.")  # fmt: skip
@click.option("--log-key", "log_keys", multiple=True, required=True, metavar="VKEY",
              help="What signs that log's checkpoints; two while a key is changed.")  # fmt: skip
@click.option("--witness", "witnesses", multiple=True, metavar="VKEY", help="A witness of that log.")
@click.option("--quorum", type=click.IntRange(min=0), default=0, help="How many of the witnesses must sign.")
@click.option("--office", "offices", multiple=True, metavar="HEX", help="A sealing key of the office.")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), default="announced", show_default=True
)
@WAIT
def announce(
    urls: tuple[str, ...],
    key_path: Path,
    chain: Path,
    city_key: str,
    stream: str,
    from_size: int,
    log_keys: tuple[str, ...],
    witnesses: tuple[str, ...],
    quorum: int,
    offices: tuple[str, ...],
    out: Path,
    wait_s: float,
) -> None:
    """Announce in the city's log which keys count for a log, and from which of its sizes on."""
    from client.pinned import Given
    from p2pworld.civic import announce as civic
    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import LocalError, RemoteError
    from p2pworld.grants import grants_from_text
    from p2pworld.merkle.note import VerifierKey

    trust = Given(read_policy((city_key,), 0, None))
    seed = os.urandom(32)
    try:
        what = civic.Announcement(
            stream,
            from_size,
            tuple(map(VerifierKey.parse, log_keys)),
            tuple(map(VerifierKey.parse, witnesses)),
            quorum,
            tuple(map(bytes.fromhex, offices)),
        )
        signer = Signer.from_text(key_path.read_text("utf-8"))
        grants = grants_from_text(chain.read_text("utf-8"))
        submission = civic.announce(what, signer, grants, time.time_ns() // 60_000_000_000, seed)
        # as the holder will look at it, but for the root: a mistake is told before anything is sent
        civic.announced_in(submission.filing, [grant.issuer for grant in grants[:1]])
    except (LocalError, RemoteError, ValueError) as error:
        raise ConfigError(f"Nothing was announced: {error}.") from None
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.") from None
    path = out / f"{submission.filing.key.hex()[:16]}.submission"
    keep(path, submission, f"seed {seed.hex()}\n")
    finish(path, bring(submission, trust, urls, wait_s, None), "en")
