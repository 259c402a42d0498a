"""`p2pworld desk`: an official without a browser reads the queue of an office, opens cases and acts on them.

The official's key signs here and the office's secret opens here; nodes get signatures, grants and what is sealed. Every
act is written down before it is sent, so that whoever is interrupted brings it again with `p2pworld file --again`, and
the log answers as it answered first. What the office writes is sealed for its own key and for the citizen's.

Exit codes: 0. 1, something was refused, as when somebody else has acted on the case meanwhile, or does not open. 3, no
node answered so that it holds. 4, it is in the log, and witnesses are still to sign. 2, wrong use.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import urlencode

import click

from client.file_command import NODE, WAIT, bring, finish, keep, offices_of, prove, trusted
from p2pworld.limits import CIVIC_TEXT_MAX
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from client.filing import Trust
    from client.office import Letter, Office, Official
    from client.pinned import Pinned
    from p2pworld.civic.transaction import Submission
    from p2pworld.services.letters import Intent
    from p2pworld.services.workflow import Action

__all__ = ["desk"]

UNANSWERED: Final = 3
PAGES_MAX: Final = 1_000  # of a queue: more than an office has
PATHS: Final = click.Path(path_type=Path, exists=True, dir_okay=False)
STREAM = click.argument("stream")
ENTRY = click.argument("entry", type=click.IntRange(min=0))
JSON = click.option("--json", "as_json", is_flag=True, help="All of it, as one JSON document.")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sitting:
    """Somebody at a desk: the nodes asked, whose signatures count, and the files with keys."""

    urls: tuple[str, ...]
    key: Path | None
    grants: Path | None
    secret: Path | None
    pinned_path: Path | None
    key_texts: tuple[str, ...]
    quorum: int
    out: Path
    language: str
    wait_s: float

    def official(self) -> Official:
        """Who acts. Raises ConfigError: --key or --grants is not given, or a file does not hold what it should."""
        from client.office import Official
        from p2pworld.crypto.keys import Signer
        from p2pworld.crypto.seal import secret_of_text
        from p2pworld.errors import LocalError
        from p2pworld.grants import grants_from_text

        if self.key is None or self.grants is None:
            raise ConfigError("Give --key with your key and --grants with what you were granted.")
        try:
            secret = secret_of_text(self.secret.read_text("utf-8")) if self.secret else None
            signer = Signer.from_text(self.key.read_text("utf-8"))
            return Official(signer, grants_from_text(self.grants.read_text("utf-8")), secret)
        except LocalError as error:
            raise ConfigError(f"A file does not hold what it should: {error}.") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"A file cannot be read: {error}.") from None

    def trust(self) -> tuple[Trust, Pinned | None]:
        """Whose signatures count. Raises ConfigError."""
        return trusted(self.pinned_path, self.key_texts, self.quorum)

    def ask(self, trust: Trust | None, work: Callable[[Office], Awaitable[T]]) -> T:
        """What comes of asking the nodes; ends the program where none of them answers so that it holds."""
        import ssl

        import trio

        from client.office import Office, Unreadable
        from client.pinned import Given
        from client.policy import Policy

        office = Office(
            self.urls, trust or Given(Policy({})), ssl.create_default_context(), now_minute, _tell
        )
        try:
            return trio.run(work, office)
        except Unreadable as error:
            click.echo(f"{error}", err=True)
            sys.exit(UNANSWERED)

    def document(self, path: str) -> dict[str, Any]:
        """A JSON document that everybody may read."""
        return self.ask(None, lambda office: office.document(path))


def now_minute() -> int:
    """The minute that acts are signed in."""
    return time.time_ns() // 60_000_000_000


def _tell(url: str, sentence: str) -> None:
    click.echo(f"{url} {sentence}", err=True)


@click.group()
@NODE
@click.option("--key", type=PATHS, help="Your key, as `p2pworld keys person` makes it.")
@click.option("--grants", type=PATHS, help="What you were granted, as `p2pworld keys grant` makes it.")
@click.option(
    "--office-secret", "secret", type=PATHS, help="The office's secret, as `p2pworld keys office` makes it."
)
@click.option("--pinned", "pinned_path", type=click.Path(path_type=Path, exists=True),
              help="Keys of logs, witnesses and offices: what `p2pworld audit keys --json` printed.")  # fmt: skip
@click.option(
    "--log-key", "key_texts", multiple=True, metavar="VKEY", help="The log's key, or a witness's, instead."
)
@click.option("--quorum", type=click.IntRange(min=0), default=0, help="How many witnesses must sign.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="acts", show_default=True,
              help="Where acts and their receipts are kept.")  # fmt: skip
@click.option("--language", type=click.Choice(["ko", "en"]), default="ko", show_default=True)
@WAIT
@click.pass_context
def desk(context: click.Context, /, urls: tuple[str, ...], **given: Any) -> None:
    """An official's desk: the queue of an office, its cases, and acts on them."""
    context.obj = Sitting(urls, **given)


# ---- what everybody may read


@desk.command()
@STREAM
@click.option("--state", default="", help="Only cases in this state, such as in-progress.")
@click.option("--service", default="", help="Only cases of this service.")
@click.option("--assigned", default="", metavar="HEX", help="Only cases of the official with this key.")
@click.option("--overdue", is_flag=True, help="Only cases that are late.")
@click.option("--search", default="", help="Only cases with this in a public field.")
@JSON
@click.pass_obj
def queue(
    sitting: Sitting,
    stream: str,
    state: str,
    service: str,
    assigned: str,
    overdue: bool,
    search: str,
    as_json: bool,
) -> None:
    """What the office of STREAM has to do, by deadline, what is late first."""
    asked = {"state": state, "service": service, "assigned": assigned, "text": search}
    cases = _cases(sitting, stream, asked | ({"overdue": "true"} if overdue else {}))
    if as_json:
        click.echo(json.dumps({"cases": list(cases)}, ensure_ascii=False, indent=1))
        return
    for case in cases:
        click.echo(_line(case, sitting.language))


@desk.command()
@STREAM
@click.pass_obj
def statistics(sitting: Sitting, stream: str) -> None:
    """What the office of STREAM has answered in time and late: a JSON document, made of its log alone."""
    found = sitting.document("/api/v1/statistics")
    rows = [row for row in found["tallies"] if row["office"] == stream]
    click.echo(json.dumps(rows, ensure_ascii=False, indent=1))


def _cases(sitting: Sitting, stream: str, asked: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """The cases of an office that are asked for, page by page."""
    after: str | None = ""
    for _ in range(PAGES_MAX):
        query = urlencode({key: value for key, value in (*asked.items(), ("after", after)) if value})
        page = sitting.document(f"/api/v1/queue/{stream}?{query}")
        yield from page["cases"]
        after = page["after"]
        if after is None:
            return


def _line(case: Mapping[str, Any], language: str) -> str:
    """One case of a queue."""
    from p2pworld.services.templates import due_words
    from p2pworld.services.words import STATE_WORDS
    from p2pworld.services.workflow import State

    state = STATE_WORDS[State(case["state"])][language] if case["state"] else "-"
    late = {"ko": "지남", "en": "late"}[language] if case["overdue"] else ""
    number = f"{case['stream']}/{case['entry']}"
    due = due_words(case["due"], language == "ko")
    return f"{number:20} {late:4} {due:24} {state:12} {case['service']:28} {(case['assigned'] or '')[:16]}".rstrip()


# ---- what an official reads


@desk.command("open")
@STREAM
@ENTRY
@JSON
@click.pass_obj
def open_case(sitting: Sitting, stream: str, entry: int, as_json: bool) -> None:
    """Open case ENTRY of STREAM: what was filed, and each letter since."""
    official, (trust, _) = sitting.official(), sitting.trust()
    case, letters = sitting.ask(trust, lambda office: _read_case(office, official, stream, entry))
    if as_json:
        told = [{"entry": one.entry, "fields": one.fields, "shut": one.shut} for one in letters]
        click.echo(json.dumps(case | {"letters": told}, ensure_ascii=False, indent=1))
    else:
        click.echo(_line(case, sitting.language))
        for name, value in case["public"].items():
            click.echo(f"  {name}: {value}")
        for one in letters:
            _show(one, {act["entry"]: act for act in case["acts"]})
    if any(one.shut for one in letters):
        sys.exit(1)


async def _read_case(
    office: Office, official: Official, stream: str, entry: int
) -> tuple[dict[str, Any], list[Letter]]:
    case = await office.case(stream, entry)
    return case, await office.open_case(official, case)


def _show(letter: Letter, acts: Mapping[int, Mapping[str, Any]]) -> None:
    """One letter for people; what would move a terminal's cursor is left out."""
    from p2pworld.services.letters import KEYS, REPLY_KEY

    act = acts.get(letter.entry)
    click.echo(f"[{letter.entry}] {act['action']} ({act['who']})" if act else f"[{letter.entry}]")
    if letter.shut:
        click.echo(f"  does not open: {letter.shut}")
    for name, value in letter.fields.items():
        if name not in (KEYS, REPLY_KEY):
            lines = ["".join(c if c.isprintable() else "\ufffd" for c in line) for line in value.splitlines()]
            click.echo(f"  {name}: " + "\n    ".join(lines))


@desk.command()
@STREAM
@ENTRY
@click.argument("digest", metavar="SHA256")
@click.pass_obj
def save(sitting: Sitting, stream: str, entry: int, digest: str) -> None:
    """Save a file attached to case ENTRY of STREAM, named by its hash there, below --out.

    What it is its content says, and a file of a type that can be attached nowhere is not saved.
    """
    from p2pworld.services.attachments import Broken, type_of

    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise ConfigError("Name the file by the 64 hex digits that stand in the case.")
    official, (trust, _) = sitting.official(), sitting.trust()

    async def read(office: Office) -> bytes:
        _, letters = await _read_case(office, official, stream, entry)
        for one in letters:
            if one.key is not None and any(digest in value for value in one.fields.values()):
                return await office.attached(stream, one.key, bytes.fromhex(digest))
        raise ConfigError("No such file is attached to what opens of this case.")

    data = sitting.ask(trust, read)
    try:
        kind = type_of(data)
    except Broken:
        kind = None
    if kind is None:
        click.echo("Its content is of no type that can be attached: it was not saved.", err=True)
        sys.exit(1)
    path = sitting.out / f"{digest[:16]}.{kind}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}.") from None
    click.echo(str(path))


# ---- what an official does


@desk.command()
@STREAM
@ENTRY
@click.argument("action")
@click.option("--amount", type=click.IntRange(0, 9_999), default=0, help="Days, or what the term counts.")
@click.option("--seen", type=click.IntRange(min=0), help="How many acts you know of, if not all there are.")
@click.option("--text", default="", help="What is written to the citizen; - reads it from standard input.")
@click.option("--template", default="", help="Write what this template says, filled with the case's facts.")
@click.option("--to", "to_stream", default="", help="Of a transfer: the stream of the office that gets it.")
@click.option("--to-office", "to_keys", multiple=True, metavar="HEX", help="Its sealing key, if not pinned.")
@click.pass_obj
def act(
    sitting: Sitting,
    stream: str,
    entry: int,
    action: str,
    amount: int,
    seen: int | None,
    text: str,
    template: str,
    to_stream: str,
    to_keys: tuple[str, ...],
) -> None:
    """Do ACTION with case ENTRY of STREAM, such as assign, ask, extend, transfer, complete."""
    from client.filing import Proven
    from p2pworld.services.letters import Intent
    from p2pworld.services.workflow import Action

    wanted = _action(action)
    if (wanted is Action.TRANSFER) != bool(to_stream):
        raise ConfigError("A transfer needs --to with the office that gets it, and nothing else has it.")
    official, (trust, pinned) = sitting.official(), sitting.trust()
    to = offices_of(to_keys, pinned, to_stream) if to_stream else ()
    amount = _office_number(to_stream) if to_stream else amount
    said = sys.stdin.read(CIVIC_TEXT_MAX + 1) if text == "-" else text

    async def read(office: Office) -> tuple[dict[str, Any], list[Letter], dict[str, Any]]:
        if not (said or template or to):
            return await office.case(stream, entry), [], {}
        case, letters = await _read_case(office, official, stream, entry)
        path = f"/api/v1/desk/{stream}/{entry}?lang={sitting.language}"
        return case, letters, await office.document(path) if template else {}

    case, letters, words = sitting.ask(trust, read)
    if template:
        said = _filled(words, template, wanted.value, letters, amount)
    intent = Intent(stream, entry, case["seen"] if seen is None else seen, wanted, amount)
    path, submission = _written(sitting, intent, official, letters, said, to)
    found = bring(submission, trust, sitting.urls, sitting.wait_s, None)
    if isinstance(found, Proven):
        sitting.ask(trust, lambda office: office.until_seen(stream, entry, intent.seen))
    finish(path, found, sitting.language)


@desk.command("take-over")
@STREAM
@click.option("--from", "absent", required=True, metavar="HEX", help="The key of the colleague who is away.")
@click.pass_obj
def take_over(sitting: Sitting, stream: str, absent: str) -> None:
    """Take over all open cases that a colleague of the office of STREAM has, who is away."""
    _each(sitting, stream, absent, "reassign", 0)


@desk.command()
@STREAM
@click.option("--days", type=click.IntRange(1, 366), required=True, help="For how many days.")
@click.pass_obj
def away(sitting: Sitting, stream: str, days: int) -> None:
    """Say in each of your open cases that you are away, for citizens and colleagues to know."""
    _each(sitting, stream, "", "note", days)


def _each(sitting: Sitting, stream: str, assigned: str, action: str, amount: int) -> None:
    """Do this with each open case of somebody's, or of one's own; exit code 1 if one of them was not done."""
    from client.filing import Proven
    from p2pworld.services.letters import Intent
    from p2pworld.services.reasons import words_of

    official, (trust, _) = sitting.official(), sitting.trust()
    whose = assigned or official.signer.public.hex()
    cases = list(_cases(sitting, stream, {"assigned": whose}))
    left = 0
    for case in cases:
        intent = Intent(case["stream"], case["entry"], case["seen"], _action(action), amount)
        path, submission = _written(sitting, intent, official, [], "", ())
        found = bring(submission, trust, sitting.urls, sitting.wait_s, None)
        number = f"{case['stream']}/{case['entry']}"
        if isinstance(found, Proven):
            prove(path, found)
            click.echo(f"{number}  {action}: entry {found.receipt.index}")
        else:
            left += 1
            why = words_of(found.reason).en if found else "nobody has proven that it is filed"
            click.echo(f"{number}  {action}: {why}", err=True)
    if left:
        sys.exit(1)


def _action(text: str) -> Action:
    """The action of this name. Raises ConfigError."""
    from p2pworld.services.workflow import Action

    try:
        return Action(text)
    except ValueError:
        known = ", ".join(each.value for each in Action)
        raise ConfigError(f"{text} is no action: one of {known}.") from None


def _office_number(stream: str) -> int:
    """What stands in a transfer for the office of this stream. Raises ConfigError."""
    from p2pworld.services.case_rows import OFFICES

    if stream not in OFFICES:
        raise ConfigError(f"{stream} is no office: one of {', '.join(OFFICES)}.")
    return OFFICES.index(stream)


def _filled(words: Mapping[str, Any], template: str, action: str, letters: list[Letter], amount: int) -> str:
    """What a template says of this case. Raises ConfigError: there is none of this name for this act."""
    from p2pworld.services.templates import fill

    fitting = {one["id"]: one["text"] for one in words["templates"] if action in one["actions"]}
    if template not in fitting:
        known = ", ".join(sorted(fitting)) or "there is none"
        raise ConfigError(f"{template} is no template for {action}: {known}.")
    name = letters[0].fields.get("name", "") if letters else ""
    facts: dict[str, str] = words["facts"]
    return fill(fitting[template], facts | {"name": name or words["anybody"], "days": str(amount)})


def _written(
    sitting: Sitting,
    intent: Intent,
    official: Official,
    letters: list[Letter],
    said: str,
    to: tuple[bytes, ...],
) -> tuple[Path, Submission]:
    """The act with its letter, if there is one, written down. Raises ConfigError."""
    from client.office import compose
    from p2pworld.civic.transaction import Secrets
    from p2pworld.errors import LocalError

    secrets = Secrets(os.urandom(32), os.urandom(32), os.urandom(32))
    try:
        submission = compose(intent, official, letters, said, sitting.language, to, now_minute(), secrets)
    except LocalError as error:
        raise ConfigError(f"It cannot be filed so: {error}.") from None
    path = sitting.out / f"{submission.filing.key.hex()[:16]}.submission"
    keep(path, submission, secrets.to_text())
    return path, submission
