"""What parties of a draw are told when something does not fit; how it goes when all does is in tests/services."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from client import draw_party_commands
from p2pworld.crypto.keys import Signer
from p2pworld.services.draw_log import OPENED
from p2pworld.services.draw_shares import give, party_of, share_of
from shard_node.cli import main
from tests.client.logs_on_disk import write_log
from tests.merkle.signed import LOG
from tests.services.test_draw import CLOSES, NAME, PARTY, STREAM, Log, closed, opened

if TYPE_CHECKING:
    from pathlib import Path

NODE = ("--node", "http://127.0.0.1:9", "--key", LOG.key.text, "--wait", "0")


def run(*words: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["draw", *map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


@pytest.fixture
def keys(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"{number}.key" for number in range(3)]
    for file, party in zip(files, PARTY, strict=True):
        file.write_text(party.to_pem(), encoding="ascii")
    (tmp_path / "parties").write_text("".join(f"{party_of(party).text}\n" for party in PARTY), "ascii")
    return files


def shares(tmp_path: Path, keys: list[Path], number: int, *names: str) -> Path:
    out = tmp_path / f"shares-{number}"
    parties = ("--parties", tmp_path / "parties", "--stream", STREAM)
    run("shares", "--as", keys[number], *parties, "--out", out, *(names or (NAME,)))
    return out


def logged(tmp_path: Path, log: Log) -> Path:
    folder = tmp_path / "log"
    folder.mkdir()
    write_log(folder, log.entries, [len(log.entries)])
    return folder


def as_given() -> dict[str, str]:
    """What an opening says of the shares that the parties' keys make."""
    told = [party_of(party) for party in PARTY]
    found = {}
    for number, party in enumerate(PARTY):
        given = give(party, told, STREAM, NAME)
        for holder, digest in zip(({0, 1, 2} - {number}), given.hashes, strict=True):
            found[f"share-{number}-{holder}"] = digest
    return found


def test_a_key_makes_the_same_shares_each_time_and_is_never_written_over(tmp_path: Path) -> None:
    line = run("party", "new", tmp_path / "key")
    assert run("party", "show", tmp_path / "key") == line
    assert len(line.split()) == 2
    run("party", "new", tmp_path / "key", code=2)
    signer = Signer.from_text((tmp_path / "key").read_text("ascii"))
    assert share_of(signer.seed, STREAM, NAME, (1, 2)) == share_of(signer.seed, STREAM, NAME, (1, 2))
    assert (tmp_path / "key").stat().st_mode & 0o77 == 0


def test_what_is_to_be_opened_soon_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_party_commands, "_now_minute", lambda: CLOSES - 30 * 1440)
    listed = run("list", "--stream", STREAM, "--days", 7).splitlines()
    assert any(line.startswith("mapo-nanjicheon-pitch/2026-") and " 09:00" in line for line in listed)
    assert all(line.startswith("mapo-") for line in listed)
    assert len(listed) == len(set(listed))


def test_parties_are_three_and_whose_key_it_is_must_be_among_them(tmp_path: Path, keys: list[Path]) -> None:
    words = ("--parties", tmp_path / "parties", "--stream", STREAM, "--out", tmp_path / "x", NAME)
    (tmp_path / "other.key").write_text(Signer.from_seed(b"o" * 32).to_pem(), "ascii")
    assert "none of the three" in run("shares", "--as", tmp_path / "other.key", *words, code=2)
    (tmp_path / "parties").write_text(f"{party_of(PARTY[0]).text}\n" * 3, "ascii")
    assert "three different" in run("shares", "--as", keys[0], *words, code=2)
    (tmp_path / "parties").write_text("nobody\n", "ascii")
    assert "two keys" in run("shares", "--as", keys[0], *words, code=2)
    assert "no key" in run("shares", "--as", tmp_path / "parties", *words, code=2)


def test_the_office_opens_with_the_shares_of_all_three_and_of_no_others(
    tmp_path: Path, keys: list[Path]
) -> None:
    words = ("--as", keys[0], "--parties", tmp_path / "parties", "--stream", STREAM)
    files = [shares(tmp_path, keys, number) for number in range(3)]
    assert "bring all three" in run("open", *words, *files[:2], *NODE, code=1)
    assert "--closes" in run("open", *words, "--closes", "2026-05-01T10:00", *files, *NODE, code=2)
    again = [shares(tmp_path, keys, number, NAME + "/1") for number in range(3)]
    assert "--closes" in run("open", *words, *again, *NODE, code=2)
    assert "write such as" in run("open", *words, "--closes", "tomorrow", *again, *NODE, code=2)
    nowhere = [shares(tmp_path, keys, number, "nowhere/2026-05-02T08:00") for number in range(3)]
    assert "no service draws lots" in run("open", *words, *nowhere, *NODE, code=2)
    document = json.loads(files[1].read_text("utf-8"))
    document["shares"][0]["hashes"][0] = "00" * 32
    files[1].write_text(json.dumps(document), "utf-8")
    assert "no file of shares" in run("open", *words, *files, *NODE, code=2)


def test_a_party_does_not_acknowledge_what_is_not_as_it_was_given(tmp_path: Path, keys: list[Path]) -> None:
    files = [shares(tmp_path, keys, number) for number in range(3)]
    said = run("acknowledge", logged(tmp_path, opened()), *files, "--as", keys[1], *NODE)
    assert "nothing to do" in said, "it has said so before"
    # the office has published other shares than those that party 1 gave, which its key makes
    half = Log()
    assert half.file(OPENED, CLOSES - 1000, all_of=half.opening()) is None
    (tmp_path / "half").mkdir()
    write_log(tmp_path / "half", half.entries, [1])
    assert "another share of yours" in run(
        "acknowledge", tmp_path / "half", *files, "--as", keys[1], *NODE, code=1
    )
    # it has what party 1 gave, and a share of party 2 that no file here is about
    mixed = Log()
    mine = {name: digest for name, digest in as_given().items() if name.startswith("share-1")}
    assert mixed.file(OPENED, CLOSES - 1000, all_of=mixed.opening(**mine)) is None
    (tmp_path / "mixed").mkdir()
    write_log(tmp_path / "mixed", mixed.entries, [1])
    assert "no file here has" in run(
        "acknowledge", tmp_path / "mixed", *files, "--as", keys[1], *NODE, code=1
    )


def test_who_is_no_party_has_nothing_to_do(tmp_path: Path, keys: list[Path]) -> None:
    (tmp_path / "other.key").write_text(Signer.from_seed(b"o" * 32).to_pem(), "ascii")
    log = logged(tmp_path, closed())
    assert "nothing to do" in run("reveal", log, "--as", tmp_path / "other.key", *NODE)


def test_for_another_party_nobody_reveals_before_its_time(
    tmp_path: Path, keys: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And then only what it was given: without the file it says so."""
    log = logged(tmp_path, closed())
    monkeypatch.setattr(draw_party_commands, "_now_minute", lambda: CLOSES + 1440)
    assert "no file here has" in run("reveal", log, "--as", keys[1], *NODE, code=1)
    monkeypatch.setattr(draw_party_commands, "_now_minute", lambda: CLOSES + 1439)
    assert "nobody has proven" in run("reveal", log, "--as", keys[1], *NODE, code=3)
