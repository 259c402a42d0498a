"""`p2pworld disk`: what an operator does with a node's disk, and what a script reads from it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner

from p2pworld.messages import SaveState
from shard_node.cli import main
from shard_node.config import load
from shard_node.errors import ConfigError
from shard_node.serve import open_disk
from shard_node.storage.copies import unplaced
from shard_node.storage.fsck import survey
from shard_node.storage.lock import DataDirLock
from shard_node.storage.sqlite import JOURNAL_NAME, SqliteJournal
from tests.shard_node.test_config import GOOD
from tests.storage.test_fsck import DELTAS, PLACE, filled, whole

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node's folder: its configuration, and a journal in its data directory."""
    (tmp_path / "node.toml").write_text(GOOD)
    for name in ("node.pem", "grant.txt", "play.pem", "play.key"):
        (tmp_path / name).touch()
    data_dir = load(tmp_path / "node.toml").data_dir
    data_dir.mkdir(parents=True)
    trio.run(filled, data_dir / JOURNAL_NAME)
    return tmp_path


def journal_of(home: Path) -> Path:
    return load(home / "node.toml").data_dir / JOURNAL_NAME


def disk(home: Path, verb: str, *more: str) -> tuple[int, str]:
    """The exit code and what was said."""
    result = CliRunner().invoke(main, ["disk", verb, "--config", str(home / "node.toml"), *more])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def damage(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE delta SET body = substr(body, 2) WHERE n = 8")


async def _recover(path: Path) -> dict[int, tuple[int, int]]:
    journal = await SqliteJournal.open(path)
    try:
        return {cell: (saved.epoch, saved.n) for cell, saved in (await journal.recover()).items()}
    finally:
        await journal.close()


def test_a_copy_and_the_way_back(home: Path) -> None:
    copy = home / "copy"
    code, said = disk(home, "backup", str(copy))
    assert code == 0
    assert "2 cells and 1 records in 9 rows" in said
    assert disk(home, "fsck", str(copy))[0] == 0
    assert disk(home, "backup", str(copy)) == (
        2,
        f"p2pworld: {copy} is there already: name another file, or move that one away.\n",
    )
    code, said = disk(home, "restore", str(copy))
    assert code == 2
    assert "--aside" in said
    code, said = disk(home, "restore", str(copy), "--aside")
    assert code == 0
    old = said.splitlines()[1].split()[4]
    assert trio.run(_recover, home / old)[PLACE] == (9, 12)
    assert trio.run(_recover, journal_of(home)) == dict.fromkeys(trio.run(_recover, home / old), (0, 0))


def test_a_journal_in_use_is_copied_and_looked_at_but_neither_replaced_nor_mended(home: Path) -> None:
    copy = home / "copy"
    assert disk(home, "backup", str(copy))[0] == 0
    damage(journal_of(home))
    lock = DataDirLock.acquire(journal_of(home).parent)
    try:
        assert disk(home, "fsck")[0] == 4
        for verb in (("fsck", "--repair"), ("restore", str(copy), "--aside")):
            code, said = disk(home, *verb)
            assert code == 2
            assert "Another process runs on the directory" in said
    finally:
        lock.release()


def test_a_damaged_journal_is_told_of_and_mended(home: Path) -> None:
    damage(journal_of(home))
    code, said = disk(home, "fsck")
    assert code == 4
    assert f"wrong  delta, cell {PLACE:d}, epoch 9 change 8: its checksum is of something else" in said
    code, said = disk(home, "backup", str(home / "copy"))
    assert code == 2
    assert "change 8" in said
    code, said = disk(home, "fsck", "--repair", "--json")
    assert code == 1
    told = json.loads(said)
    assert told["faults"][0] == {
        "table": "delta",
        "row": "epoch 9 change 8",
        "cell": PLACE,
        "what": "its checksum is of something else",
    }
    assert disk(home, "fsck", told["aside"])[0] == 4
    assert disk(home, "fsck")[0] == 0
    assert disk(home, "fsck", "--repair")[0] == 0  # nothing is done to a sound one
    assert disk(home, "fsck", told["aside"], "--repair")[0] == 2


def test_a_damaged_copy_is_not_put_in_place(home: Path) -> None:
    copy = home / "copy"
    disk(home, "backup", str(copy))
    damage(copy)
    code, said = disk(home, "restore", str(copy), "--aside")
    assert code == 2
    assert "was not put in place" in said
    assert trio.run(_recover, journal_of(home))[PLACE] == (9, 12)
    assert disk(home, "restore", str(home / "nothing"), "--aside")[0] == 2


def test_a_node_does_not_start_on_nothing_where_a_copy_was_being_put_in_place(home: Path) -> None:
    path = journal_of(home)
    path.rename(unplaced(path))
    with pytest.raises(ConfigError, match="cut short"):
        trio.run(open_disk, load(home / "node.toml"))


def test_a_restored_journal_holds_whole_states_alone(home: Path) -> None:
    copy = home / "copy"
    disk(home, "backup", str(copy))
    assert disk(home, "restore", str(copy), "--aside")[0] == 0
    found = survey(journal_of(home))
    assert SaveState(PLACE, 0, 0, whole(len(DELTAS))) in found.states
    assert found.deltas == []
