"""A draw with two thousand applicants, at a real node, from the parties' keys to who got what; and told by a stranger.

The stranger has the files of the published log and SHA-256, and not one line of ours.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import pytest
from click.testing import CliRunner

from client import draw_party_commands
from p2pworld.services.draw import PARTIES
from p2pworld.services.draw_log import REVEAL_MINUTES
from p2pworld.services.reservations import closing_minute
from p2pworld.services.workflow import Action, Who
from p2pworld.services.working_time import minute_at
from shard_node.cli import main
from shard_node.services.folder import read
from tests.services.samples import filled
from tests.services.town import Filed, running_town

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.services.town import Town

STREAM: Final = "mapo"
APPLICANTS: Final = 2_000
SEATS: Final = 120
DAY: Final = date(2026, 5, 2)
BEGIN: Final = minute_at(DAY, 9 * 60)
FACILITY: Final = "mapo-plots"
DRAW: Final = f"{FACILITY}/2026-05-02T09:00"
NOW: Final = minute_at(date(2026, 4, 20), 10 * 60)
GARDEN: Final = f"""
[[facilities]]
id = "{FACILITY}"
name = {{ ko = "마포 텃밭", en = "Mapo Garden Plots" }}
gu = "{STREAM}"
kind = "farm"
slot_minutes = 480
open = "Mo-Su 09:00-17:00"
capacity = 4
seats = {SEATS}
allocation = "lottery"
residents = "first"
"""


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("declared")
    (folder / "garden.toml").write_text(GARDEN, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, declared: Path) -> Iterator[Town]:
    with running_town(tmp_path_factory.mktemp("draws") / "town", [STREAM], NOW, declared) as running:
        yield running


@pytest.fixture
def run(town: Town, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """`p2pworld draw …`, by the town's clock; what it prints."""
    monkeypatch.setattr(draw_party_commands, "_now_minute", lambda: town.minute)

    def run(*words: object, code: int = 0) -> str:
        result = CliRunner().invoke(main, ["draw", *map(str, words)])
        assert result.exit_code == code, (words, result.output)
        return result.output

    return run


def prepare(town: Town, folder: Path, declared: Path, run: Callable[..., str]) -> list[Path]:
    """Keys of three parties, whose office is the town's, in `folder`; the files of their shares."""
    keys = [town.city.folder / "draw.key", folder / "notary.key", folder / "council.key"]
    lines = [run("party", "show", keys[0]), run("party", "new", keys[1]), run("party", "new", keys[2])]
    assert lines[1] == run("party", "show", keys[1])
    (folder / "parties").write_text("".join(lines), encoding="utf-8")
    files = [folder / f"shares-{number}" for number in range(PARTIES)]
    for key, file in zip(keys, files, strict=True):
        run("shares", "--as", key, "--parties", folder / "parties", "--stream", STREAM, "--out", file, DRAW)
    return files


def filing(town: Town) -> list[str]:
    return ["--node", town.url, "--key", town.city.log_keys[STREAM]]


def test_two_thousand_apply_and_each_pseudonym_counts_once(
    town: Town, tmp_path: Path, declared: Path, run: Callable[..., str]
) -> None:
    files = prepare(town, tmp_path, declared, run)
    keys = [town.city.folder / "draw.key", tmp_path / "notary.key", tmp_path / "council.key"]
    catalogue = read(declared)
    service = catalogue.services["reserve-draw"]
    values, faults = service.check(
        filled(service, catalogue) | {"facility": FACILITY, "slot": "2026-05-02T09:00"},
        date(2026, 4, 20),
        catalogue.facilities,
    )
    assert faults == ()
    assert service.places is not None
    closes = closing_minute(service.places, BEGIN)

    # before it is open, and while a party has not said that its shares fit, nobody can apply
    early = [town.written(service, values, STREAM, number=9_000 + n)[0] for n in range(2)]
    assert town.send(early[0]).reason == "slot-not-open"
    parties = ["--parties", tmp_path / "parties", "--stream", STREAM, "--services", declared]
    opened = run("open", "--as", keys[0], *parties, *files, *filing(town))
    assert "draw-opened is entry" in opened
    log = town.log(STREAM)
    for number in (0, 2):
        run("acknowledge", log, *files, "--as", keys[number], *filing(town))
    assert town.send(early[1]).reason == "slot-not-open"
    run("acknowledge", log, *files, "--as", keys[1], *filing(town))
    assert "nothing to do" in run("acknowledge", log, *files, "--as", keys[1], *filing(town))

    # everybody applies, a fifth of them residents; one tries a hundred times, with as many keys
    written = [
        town.written(service, values, STREAM, number=n, gu=STREAM if n % 5 == 0 else "jongno")
        for n in range(APPLICANTS)
    ]
    told = town.send_all([submission for submission, _ in written])
    assert {one.reason for one in told} == {""}
    greedy = [town.written(service, values, STREAM, number=7, again=n)[0] for n in range(1, 101)]
    refused = Counter((one.reason, one.ko, one.en) for one in town.send_all(greedy))
    assert refused == {
        (
            "draw-entered",
            "이미 이 추첨에 신청하셨어요. 한 사람은 한 번만 참여할 수 있어요.",
            "You have already entered this draw. Everybody counts once.",
        ): 100
    }
    # two change their minds
    gone = [Filed(*written[n], told[n].index) for n in (10, 11)]
    for filed in gone:
        filed.seen = 1  # that it was entered
        assert town.act(filed, Action.CANCEL, Who.CITIZEN).index > 0

    # at its minute it closes by itself, and the office's shares are told; then one party tells its own
    town.wait_until(closes)
    late = town.written(service, values, STREAM, number=9_002)[0]
    assert town.send(late).reason == "draw-closed"
    closed = town.read_until(STREAM, 0, "draw-share")
    assert [leaf.filing.type for leaf in closed[-3:]] == ["draw-closed", "draw-share", "draw-share"]
    run("reveal", log, *files, "--as", keys[1], *filing(town))
    # the council withholds its shares: nothing comes of it but that everybody sees it
    town.wait_until(closes + REVEAL_MINUTES - 1)
    assert "nothing to do" in run("reveal", log, *files, "--as", keys[0], *filing(town))
    town.wait_until(closes + REVEAL_MINUTES)
    for number in (0, 1):
        run("reveal", log, *files, "--as", keys[number], *filing(town))
    given = town.settled(STREAM, len(closed), lambda leaves: len(told_of(leaves)) == APPLICANTS - len(gone))

    # what anybody can see
    drawn, order = strangers_winners(log, STREAM, DRAW)
    shown = json.loads(verified(log))["draws"][0]
    assert shown["order"] == order
    assert (shown["faults"], shown["helped"], shown["told"]) == ([], [2], True)
    assert shown["entries"] == APPLICANTS
    assert [drawn["order"][person] for person in order] == [
        *["first"] * (APPLICANTS // 5),
        *["other"] * (APPLICANTS - APPLICANTS // 5),
    ]
    cancelled = {filed.submission.filing.key.hex() for filed in gone}
    wanted = [key for person in order if (key := drawn["filing"][person]) not in cancelled]
    got = told_of(given)
    assert [key for key in wanted if got[key] == ["draw", "claim"]] == wanted[:SEATS]
    waiting = service.places.waiting
    assert [key for key in wanted if got[key] == ["wait"]] == wanted[SEATS : SEATS + waiting]
    assert {tuple(got[key]) for key in wanted[SEATS + waiting :]} == {("not-draw",)}


def told_of(leaves: list[Any]) -> dict[str, list[str]]:
    """What each request was given, by its key."""
    found: dict[str, list[str]] = {}
    for leaf in leaves:
        said = {each.name: each.value for each in leaf.filing.public}
        if leaf.filing.type == "slot-event" and said["action"] in ("draw", "claim", "wait", "not-draw"):
            found.setdefault(said["filing"], []).append(said["action"])
    return found


def verified(log: Path) -> str:
    result = CliRunner().invoke(main, ["verify", "draw", "--json", str(log)])
    assert result.exit_code == 0, result.output
    return result.stdout


# ---- the stranger


def strangers_winners(log: Path, stream: str, draw: str) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The order of a draw, by the words of the specification alone; and what each entry says."""

    def sha(*lines: str) -> str:
        return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()

    shares: dict[tuple[int, int], str] = {}
    first: dict[str, str] = {}
    filing: dict[str, str] = {}
    closing = ""
    for entry in entries_of(log):
        leaf = unpacked(entry)[0]["filing"]
        said = {one["name"]: one["value"] for one in leaf["public"]}
        if said.get("draw") != draw:
            continue
        if leaf["type"] == "draw-entered":
            first[said["person"]], filing[said["person"]] = said["order"], said["filing"]
        elif leaf["type"] == "draw-closed":
            closing = hashlib.sha256(b"\0" + entry).hexdigest()
        elif leaf["type"] == "draw-share":
            shares[int(said["giver"]), int(said["holder"])] = said["share"]
    secrets = [
        sha("p2pworld draw secret v1", stream, draw, str(giver), *(shares[giver, to] for to in holders))
        for giver, holders in ((0, (1, 2)), (1, (0, 2)), (2, (0, 1)))
    ]
    seed = sha("p2pworld draw seed v1", stream, draw, closing, *secrets)
    ranked = sorted(
        (order != "first", sha("p2pworld draw ticket v1", seed, person), person)
        for person, order in first.items()
    )
    return {"order": first, "filing": filing}, [person for _, _, person in ranked]


def entries_of(log: Path) -> Iterator[bytes]:
    """The entries of a log in C2SP's files: bundles of 256, each entry behind its length."""
    size = int((log / "checkpoint").read_text("utf-8").split("\n")[1])
    for number in range(-(-size // 256)):
        digits = f"{number:03}"
        assert number < 1000, "longer logs have folders"
        width = min(256, size - 256 * number)
        name = f"tile/entries/{digits}" + (f".p/{width}" if width < 256 else "")
        data, at = (log / name).read_bytes(), 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            yield data[at + 2 : end]
            at = end


def unpacked(data: bytes, at: int = 0) -> tuple[Any, int]:
    """One value of msgpack, and where the next begins: as much of it as leaves have."""
    kind = data[at]
    if kind < 0x80:
        return kind, at + 1
    if kind < 0x90:
        return unpacked_map(data, at + 1, kind & 15)
    if kind < 0xA0:
        return unpacked_array(data, at + 1, kind & 15)
    if kind < 0xC0:
        return data[at + 1 : at + 1 + (kind & 31)].decode(), at + 1 + (kind & 31)
    widths = {0xC4: 1, 0xC5: 2, 0xD9: 1, 0xDA: 2, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xDC: 2, 0xDE: 2}
    number = int.from_bytes(data[at + 1 : at + 1 + widths[kind]], "big")
    at += 1 + widths[kind]
    if kind == 0xDC:
        return unpacked_array(data, at, number)
    if kind == 0xDE:
        return unpacked_map(data, at, number)
    if kind in (0xC4, 0xC5):
        return data[at : at + number], at + number
    return (data[at : at + number].decode(), at + number) if kind in (0xD9, 0xDA) else (number, at)


def unpacked_map(data: bytes, at: int, count: int) -> tuple[dict[Any, Any], int]:
    found = {}
    for _ in range(count):
        key, at = unpacked(data, at)
        found[key], at = unpacked(data, at)
    return found, at


def unpacked_array(data: bytes, at: int, count: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(count):
        value, at = unpacked(data, at)
        found.append(value)
    return found, at


def test_the_rows_beside_the_log_are_what_its_leaves_make_of_them(town: Town) -> None:
    said = CliRunner().invoke(main, ["civic", "fsck", "--config", str(town.city.nodes[0].config)])
    assert said.exit_code == 0, said.output
