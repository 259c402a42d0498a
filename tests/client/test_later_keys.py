"""Whoever knows the city's first key finds the later ones in the city's own log, if they were announced there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from client.later_keys import with_later_keys
from client.policy import policy_of_keys
from p2pworld.civic.announce import CITY, Announcement
from p2pworld.crypto.keys import Signer
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, NoteSigner
from shard_node.cli import main
from tests.civic.log_world import submission
from tests.civic.test_announce import ROOT, STRANGER, granted, said
from tests.client.logs_on_disk import write_log

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.civic.transaction import Submission


def what(from_size: int, *keys: NoteSigner) -> Announcement:
    return Announcement(CITY, from_size, tuple(key.key for key in keys), (), 0, ())


def city_keys(seed: int, from_size: int, *keys: NoteSigner) -> Submission:
    return said(seed, what(from_size, *keys))


def write(folder: Path, signer: NoteSigner, *filed: Submission) -> None:
    """A log of these, with a checkpoint that only `signer` has signed."""
    folder.mkdir(exist_ok=True)
    entries = [one.leaf(1).to_bytes() for one in filed]
    there = Checkpoint.parse(write_log(folder, entries, [len(entries)]).text)
    text = replace(there, origin=signer.key.name).text
    (folder / "checkpoint").write_bytes(Note(text, (signer.sign(text),)).to_bytes())


def ask(folder: Path, *keys: NoteSigner) -> tuple[int, str]:
    words = ["audit", "keys", str(folder), "--root", ROOT.public.hex()]
    result = CliRunner().invoke(main, [*words, *(word for key in keys for word in ("--key", key.key.text))])
    return result.exit_code, result.stdout


FIRST_KEY, NEXT_KEY = (
    NoteSigner("seoul.example/city", Signer.from_seed(bytes([90 + n]) * 32)) for n in range(2)
)
BOTH = city_keys(2, 2, FIRST_KEY, NEXT_KEY)
NEXT = city_keys(3, 3, NEXT_KEY)


def test_the_first_key_is_enough_after_a_change(tmp_path: Path) -> None:
    write(tmp_path / "log", NEXT_KEY, city_keys(1, 0, FIRST_KEY), submission(0), BOTH, NEXT)
    code, told = ask(tmp_path / "log", FIRST_KEY)
    assert code == 0
    assert NEXT_KEY.key.text in told
    assert ask(tmp_path / "log", NEXT_KEY) == (code, told)


@pytest.mark.parametrize(
    "filed",
    [
        (submission(0), submission(1), submission(2), NEXT),  # never announced by whom one knows
        (city_keys(1, 0, FIRST_KEY), submission(0)),  # nobody announced the key
        (city_keys(1, 0, FIRST_KEY), said(2, what(0, NEXT_KEY), chain=granted(issuer=STRANGER))),
        (city_keys(1, 0, FIRST_KEY), city_keys(2, 9, NEXT_KEY)),  # it counts later
        (city_keys(1, 0, FIRST_KEY), BOTH, submission(0), city_keys(3, 3, FIRST_KEY)),  # it counted before
    ],
)
def test_a_key_that_was_not_announced_for_this_size_is_nobodys(
    tmp_path: Path, filed: tuple[Submission, ...]
) -> None:
    write(tmp_path / "log", NEXT_KEY, *filed)
    code, told = ask(tmp_path / "log", FIRST_KEY)
    assert code == 1
    assert "note-unsigned" in told


def test_what_was_found_is_verified_all_the_same(tmp_path: Path) -> None:
    write(tmp_path / "log", NEXT_KEY, city_keys(1, 0, FIRST_KEY), BOTH)
    tile = tmp_path / "log/tile/0/000.p/2"
    tile.write_bytes(bytes(64))
    assert ask(tmp_path / "log", FIRST_KEY)[0] == 1


def test_nothing_is_looked_for_where_a_known_key_has_signed(tmp_path: Path) -> None:
    write(tmp_path / "log", FIRST_KEY, city_keys(1, 0, FIRST_KEY))
    read: list[str] = []

    def fetch(path: str, bytes_max: int) -> bytes | None:
        read.append(path)
        return (tmp_path / "log" / path).read_bytes()

    policy = policy_of_keys([FIRST_KEY.key], 0)
    assert with_later_keys(policy, fetch, [ROOT.public]) is policy
    assert read == ["checkpoint"]
