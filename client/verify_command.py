"""`p2pworld verify`: what was found, a line each for people or one JSON document for programs.

Exit codes: 0, everything given is well. 1, something is wrong; each line says what and where, and `--json` has its
reason code. 2, wrong use, a file that cannot be read, or nothing wrong found but not enough given to say that all is
well (a receipt without its entry, a log whose key is not given).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from client.draw_command import draw
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.progress import Progress

    from client.policy import Policy
    from client.verify import Finding, Report

__all__ = ["read_policy", "verify"]

FAULTS_SHOWN: Final = 10
MARKS: Final = {"ok": ("ok   ", "green"), "wrong": ("wrong", "red"), "unjudged": ("?    ", "yellow")}
EXIT_CODES: Final = {"ok": 0, "wrong": 1, "unjudged": 2}
PATHS: Final = click.Path(path_type=Path, exists=True)


class _Verify(click.Group):
    """`verify PATH...` and `verify draw LOG...`; a file that is called draw is given as ./draw."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, args if args[:1] == ["draw"] else ["files", *args])


@click.group(cls=_Verify)
def verify() -> None:
    """Check logs, receipts, checkpoints and leaves, or recompute draws, offline."""


verify.add_command(draw)


@verify.command("files", options_metavar="[OPTIONS]")
@click.argument("paths", metavar="LOG|RECEIPT|CHECKPOINT|LEAF...", nargs=-1, required=True, type=PATHS)
@click.option("--key", "key_texts", multiple=True, metavar="VKEY", help="A log's key, or a witness's.")
@click.option(
    "--quorum", type=click.IntRange(min=0), default=0, help="How many of those witnesses must sign."
)
@click.option("--policy", "policy_path", type=PATHS, help="Keys and quorum in a file instead.")
@click.option("--leaves", is_flag=True, help="Read every entry as a leaf too, and check its own signature.")
@click.option(
    "--fork",
    "fork_path",
    type=click.Path(path_type=Path),
    help="Where to write the proof, if two checkpoints are of one size and differ.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document for programs.")
def files(
    paths: tuple[Path, ...],
    key_texts: tuple[str, ...],
    quorum: int,
    policy_path: Path | None,
    leaves: bool,
    fork_path: Path | None,
    as_json: bool,
) -> None:
    """Check logs, receipts, checkpoints and leaves, offline; what is given together is compared.

    `p2pworld verify draw LOG...` recomputes draws.

    Exit code 0 if all is well, 1 if anything is wrong, 2 if it cannot be read or judged.
    """
    from client.verify import verify_paths
    from p2pworld.limits import VERIFY_FILES_MAX

    if len(paths) > VERIFY_FILES_MAX:
        raise ConfigError(f"{len(paths)} files were given: give at most {VERIFY_FILES_MAX} at once.")
    policy = read_policy(key_texts, quorum, policy_path)
    try:
        with _progress(as_json) as progress:
            report = verify_paths(paths, policy, leaves=leaves, on_log=_show_log(progress))
        if fork_path and report.fork:
            fork_path.write_bytes(report.fork.to_bytes())
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read or written: {error.strerror}.") from None
    if as_json:
        click.echo(json.dumps(_document(report), ensure_ascii=False, indent=1))
    else:
        for finding in report.findings:
            _say(finding)
    statuses = {finding.status.value for finding in report.findings}
    sys.exit(next(EXIT_CODES[status] for status in ("wrong", "unjudged", "ok") if status in statuses))


def read_policy(key_texts: tuple[str, ...], quorum: int, path: Path | None) -> Policy:
    """The policy that the options mean; without any, nobody's signature is believed.

    Raises ConfigError.
    """
    from client.policy import Policy, parse_policy, policy_of_keys
    from p2pworld.errors import LocalError, RemoteError
    from p2pworld.merkle.note import VerifierKey

    if path and (key_texts or quorum):
        raise ConfigError("Give --policy, or --key and --quorum, not both.")
    try:
        if path:
            return parse_policy(path.read_text("utf-8"))
        if not key_texts and not quorum:
            return Policy({})
        return policy_of_keys([VerifierKey.parse(text) for text in key_texts], quorum)
    except (LocalError, RemoteError) as error:
        raise ConfigError(f"{path or '--key'}: {error}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.") from None


def _progress(as_json: bool) -> Progress:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    return Progress(console=console, transient=True, disable=as_json or not console.is_terminal)


def _show_log(progress: Progress) -> Callable[[str, int], Callable[[int], None]]:
    def begin(path: str, size: int) -> Callable[[int], None]:
        task = progress.add_task(path, total=size)
        return lambda count: progress.advance(task, count)

    return begin


def _say(finding: Finding) -> None:
    mark, colour = MARKS[finding.status.value]
    head = f"{click.style(mark, fg=colour)}  {finding.path}"
    click.echo(f"{head}  {' '.join(finding.sentences)}".rstrip())
    for fault in finding.faults[:FAULTS_SHOWN]:
        entry = f"entry {fault.entry}" if fault.entry is not None else ""
        offset = f"byte {fault.offset}" if fault.offset is not None else ""
        where = ", ".join(part for part in (fault.file, entry, offset) if part)
        click.echo(f"       {fault.reason}: {where + ': ' if where else ''}{fault.sentence}")
    hidden = len(finding.faults) - FAULTS_SHOWN
    if hidden > 0:
        click.echo(f"       and {hidden} more (--json tells the first hundred)")
    for missing in finding.missing:
        click.echo(f"       to say more, give {missing}")


def _document(report: Report) -> dict[str, Any]:
    findings = [
        {
            "path": finding.path,
            "kind": finding.kind.value,
            "status": finding.status.value,
            "sentences": finding.sentences,
            "facts": finding.facts,
            "missing": finding.missing,
            "faults": [
                {
                    "reason": fault.reason,
                    "sentence": fault.sentence,
                    "file": fault.file,
                    "entry": fault.entry,
                    "offset": fault.offset,
                }
                for fault in finding.faults
            ],
        }
        for finding in report.findings
    ]
    return {"ok": all(finding["status"] == "ok" for finding in findings), "findings": findings}
