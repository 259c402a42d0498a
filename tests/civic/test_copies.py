"""`p2pworld civic`: a store copied while it runs, put back, brought up to its log; what it must never do is fork."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
from click.testing import CliRunner

from p2pworld.civic.log import Stage
from p2pworld.civic.transaction import Secrets, check_submission, open_sealed, parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import seal, sealing_public, secret_of_text, secret_text
from p2pworld.errors import Refusal
from shard_node.civic.copies import reconcile, survey
from shard_node.civic.engines import lock_store
from shard_node.civic.published import read_copy
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.civic.tables import put_sealed
from shard_node.cli import main
from shard_node.storage.journal import StorageFailed
from tests.civic.kept import check_receipts, file_all, held, holder_of, places, read_log
from tests.civic.log_world import DESK, OFFICE, STREAM, TYPES, erasure, submission
from tests.merkle.signed import LOG, ORIGIN
from tests.shard_node.test_config import GOOD

if TYPE_CHECKING:
    from pathlib import Path

CIVIC = """
[civic]
origin = "seoul.example"
streams = ["jongno"]
store = "civic.sqlite"
publish = "published"
key_file = "log.key"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A node's folder, in which a log is kept and published."""
    text = GOOD.replace('path = "city.sqlite"', 'path = "coordination.sqlite"')
    (tmp_path / "node.toml").write_text(text + CIVIC)
    for name in ("node.pem", "grant.txt"):
        (tmp_path / name).touch()
    (tmp_path / "log.key").write_text(bytes([1] * 32).hex())
    (tmp_path / "published").mkdir()
    (tmp_path / "log").mkdir()
    (tmp_path / "published" / STREAM).symlink_to(tmp_path / "log")
    return tmp_path


def civic(home: Path, verb: str, *more: str | Path) -> tuple[int, str]:
    """The exit code and what was said."""
    command = ["civic", verb, "--config", str(home / "node.toml"), *map(str, more)]
    result = CliRunner().invoke(main, command)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def live(home: Path, epoch: int, *numbers: int, erased: tuple[int, ...] = ()) -> None:
    """A node files these, then has these entries erased, and ends."""

    async def run() -> None:
        async with held(home, epoch) as holder:
            for number in numbers[:9]:
                assert not isinstance(await holder.file(submission(number)), Refusal)
            await file_all(holder, numbers[9:])
            for index in erased:
                assert not isinstance(await holder.file(erasure(index, index)), Refusal)

    trio.run(run)


def sealed(home: Path, size: int) -> list[int]:
    """The entries with something sealed that is still there."""

    async def run() -> list[int]:
        store = SqliteCivicStore(home / "civic.sqlite")
        there = [index for index in range(size) if await store.sealed(STREAM, index)]
        said = {fault.sentence for fault in await store.check()}
        assert said <= {"It is erased, and no entry that is here says so."}
        await store.close()
        return there

    return trio.run(run)


def drop_store(home: Path) -> None:
    for path in home.glob("civic.sqlite*"):
        path.unlink()


# ---- backup


def test_a_backup_is_made_while_the_node_runs_and_is_sound(home: Path) -> None:
    async def run() -> None:
        async with held(home, 1) as holder:
            await file_all(holder, range(5))
            code, said = await trio.to_thread.run_sync(civic, home, "backup", home / "copy")
            assert (code, said.partition(", ")[0]) == (0, f"{home / 'copy'}: jongno 5; 5 sealed")
            await file_all(holder, range(5, 7))

    trio.run(run)
    assert survey(home / "copy").entries == {STREAM: 5}
    code, said = civic(home, "fsck", home / "copy")
    assert (code, "has 5 entries, and 7 are published" in said) == (4, True)
    assert civic(home, "fsck")[0] == 0
    assert (home / "copy").stat().st_mode & 0o077 == 0
    code, said = civic(home, "backup", home / "copy")
    assert (code, "is there already" in said) == (2, True)


def test_a_damaged_store_is_not_copied(home: Path) -> None:
    live(home, 1, 0, 1)
    with closing(sqlite3.connect(home / "civic.sqlite")) as db, db:
        db.execute("UPDATE answer SET number = 0 WHERE number = 1")
    code, said = civic(home, "backup", home / "copy")
    assert (code, "is damaged" in said) == (2, True)
    assert not list(home.glob("copy*"))
    code, said = civic(home, "fsck")
    assert (code, "wrong  entry 1 of stream 1" in said) == (4, True)
    code, said = civic(home, "fsck", "--json")
    assert json.loads(said)["entries"] == {STREAM: 2}
    assert json.loads(said)["faults"]


def test_what_a_garbled_write_ahead_log_has_lost_is_noticed(home: Path) -> None:
    """SQLite takes a frame that is not as it was written for the end of that file, and says nothing."""

    async def run() -> None:
        async with held(home, 1) as holder:
            for number in range(3):
                await holder.file(submission(number))
            for end in ("", "-wal"):
                shutil.copy(home / f"civic.sqlite{end}", home / f"copied{end}")

    trio.run(run)
    data, lost = (home / "copied-wal").read_bytes(), 0
    for at in range(0, len(data), len(data) // 23):
        for path in home.glob("civic.sqlite*"):
            path.unlink()
        shutil.copy(home / "copied", home / "civic.sqlite")
        (home / "civic.sqlite-wal").write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        code, said = civic(home, "fsck")
        lost += code != 0
        assert code == (0 if "jongno 3; 3 sealed" in said else 4), said
    assert lost > 5


# ---- restore


def test_what_was_erased_after_the_backup_does_not_come_back(home: Path) -> None:
    live(home, 1, 0, 1, 2, erased=(0,))
    civic(home, "backup", home / "copy")
    live(home, 2, 3, erased=(2,))
    before = read_log(home)
    drop_store(home)
    code, said = civic(home, "restore", home / "copy")
    assert code == 0
    assert "1 of the erased were in the copy" in said
    assert "jongno: 2 entries were filed since" in said
    assert civic(home, "fsck")[0] == 4  # that it is erased nobody says yet
    assert sealed(home, 4) == [1]
    there = (home / "civic.sqlite").read_bytes()
    kept = submission(2).sealed
    assert kept is not None
    assert kept.nonce not in there
    assert kept.wraps[0].key not in there
    assert read_log(home) == before


def test_a_folder_or_a_stream_that_is_none_is_refused(home: Path) -> None:
    (home / "empty").mkdir()
    code, said = civic(home, "reconcile", "--log", home / "empty")
    assert code == 2
    assert "is no copy of a published log" in said
    (home / "old").write_text(secret_text(bytes([7]) * 32))
    code, said = civic(
        home, "rewrap", "mapo", "--old", home / "old", "--new", sealing_public(bytes([7]) * 32).hex()
    )
    assert code == 2
    assert "mapo is none of the logs of this node" in said


def test_a_restored_copy_takes_nothing_until_it_is_reconciled(home: Path) -> None:
    live(home, 1, 0, 1)
    civic(home, "backup", home / "copy")
    live(home, 2, 2, 3, 4, erased=(3,))
    before = read_log(home)
    assert civic(home, "restore", home / "copy")[0] == 2  # one is there
    assert civic(home, "restore", home / "copy", "--aside")[0] == 0

    async def refused() -> None:
        where = places(home)
        holder = holder_of(where, 3)
        assert await holder.run() is Stage.READ_ONLY
        assert isinstance(await holder.file(submission(0)), Refusal)
        await where.store.close()

    trio.run(refused)
    code, said = civic(home, "reconcile")
    assert code == 4
    assert "jongno: 4 entries brought back, 2 sealed lost" in said
    lost = [line for line in said.splitlines() if line.startswith("lost")]
    assert [line.split(":")[0] for line in lost] == ["lost  jongno entry 2", "lost  jongno entry 4"]
    assert submission(4).filing.key.hex() in lost[1]
    assert read_log(home) == before
    assert sealed(home, 6) == [0, 1]
    assert civic(home, "fsck")[0] == 0

    async def goes_on() -> None:
        async with held(home, 4) as holder:
            answers = await file_all(holder, range(7))
            assert not isinstance(await holder.file(erasure(3, 3)), Refusal)
        at = check_receipts(home, answers)
        assert sorted(at.values()) == [0, 1, 2, 3, 4, 6, 7]

    trio.run(goes_on)
    assert read_log(home)[: len(before)] == before
    assert civic(home, "reconcile") == (0, "jongno: 0 entries brought back, 0 sealed lost\n")


def test_a_log_is_brought_back_from_nothing_but_a_strangers_copy(home: Path) -> None:
    live(home, 1, *range(300))
    shutil.copytree(home / "log", home / "mirror")
    drop_store(home)
    shutil.rmtree(home / "log")
    (home / "log").mkdir()
    code, _ = civic(home, "reconcile")
    assert code == 2  # more is recorded than anybody here has
    code, said = civic(home, "reconcile", "--log", home / "mirror", "--json")
    assert (code, len(json.loads(said)[STREAM])) == (4, 300)
    live(home, 2, 300, 5)
    assert len(read_log(home)) == 301


def test_restore_asks_for_a_copy_of_the_log(home: Path) -> None:
    live(home, 1, 0, 1)
    civic(home, "backup", home / "copy")
    live(home, 2, erased=(1,))
    shutil.move(home / "log", home / "mirror")
    (home / "log").mkdir()
    drop_store(home)
    code, said = civic(home, "restore", home / "copy")
    assert (code, "nobody knows what was erased" in said) == (2, True)
    assert not (home / "civic.sqlite").exists()
    assert civic(home, "restore", home / "copy", "--log", home / "mirror")[0] == 0
    assert sealed(home, 2) == [0]
    assert civic(home, "restore", home / "copy", "--without-log", "--aside")[0] == 0
    assert sealed(home, 2) == [0]  # which the store that was in place knew
    drop_store(home)
    assert civic(home, "restore", home / "copy", "--without-log")[0] == 0
    assert sealed(home, 2) == [0, 1]


def test_what_the_store_in_place_has_erased_is_erased_in_the_copy(home: Path) -> None:
    live(home, 1, 0, 1)
    civic(home, "backup", home / "copy")
    live(home, 2, erased=(1,))
    shutil.rmtree(home / "log")
    (home / "log").mkdir()
    code, said = civic(home, "restore", home / "copy", "--without-log", "--aside")
    assert (code, "1 of the erased were in the copy" in said) == (0, True)
    assert sealed(home, 2) == [0]


# ---- never a fork


def other_history(home: Path) -> Path:
    """Another log under the same name and key: what an operator could have who made a mistake."""
    other = home / "other"
    other.mkdir()
    live(other, 1, 7, 8, 9, 10)
    return other


def test_another_history_is_refused_everywhere(home: Path) -> None:
    live(home, 1, 0, 1)
    other = other_history(home)
    shutil.copy(other / "civic.sqlite", home / "copy")
    before = (home / "civic.sqlite").read_bytes()
    tries: list[list[str | Path]] = [
        ["restore", home / "copy", "--aside"],
        ["reconcile", "--log", other / "log"],
        ["reconcile", "--log", other / "log", "--record"],
    ]
    for verb, *more in tries:
        code, said = civic(home, str(verb), *more)
        assert (code, "a fork" in said) == (2, True), said
    code, said = civic(home, "fsck", home / "copy")
    assert (code, "a fork" in said) == (4, True)
    assert (home / "civic.sqlite").read_bytes() == before
    with pytest.raises(StorageFailed, match="a fork"):
        reconcile(home / "civic.sqlite", STREAM, read_copy(other / "log", ORIGIN, [LOG.key], [2]))


def test_a_damaged_or_foreign_copy_of_the_log_is_refused(home: Path) -> None:
    live(home, 1, 0, 1, 2)
    shutil.copytree(home / "log", home / "mirror")
    bundle = next((home / "mirror" / "tile" / "entries").rglob("3"))
    data = bundle.read_bytes()
    for spoiled in (data[:40] + bytes([data[40] ^ 1]) + data[41:], data[:-1]):
        bundle.write_bytes(spoiled)
        with pytest.raises(StorageFailed) as caught:
            read_copy(home / "mirror", ORIGIN, [LOG.key])
        assert caught.value.reason == "corrupt"
    bundle.unlink()
    with pytest.raises(StorageFailed, match="is missing"):
        read_copy(home / "mirror", ORIGIN, [LOG.key])
    with pytest.raises(StorageFailed, match="not signed"):
        read_copy(home / "log", ORIGIN, [])
    with pytest.raises(StorageFailed, match="There is no log"):
        read_copy(home / "elsewhere", ORIGIN, [LOG.key])
    shutil.rmtree(home / "log" / "tile")
    code, said = civic(home, "fsck")
    assert (code, "wrong  the published log jongno" in said) == (4, True)


def test_a_coordination_store_that_is_lost_is_told_anew_on_purpose_only(home: Path) -> None:
    live(home, 1, 0, 1)
    shutil.copy(home / "coordination.sqlite", home / "older")
    live(home, 2, 2)
    for lost in (True, False):
        for path in home.glob("coordination.sqlite*"):
            path.unlink()
        if not lost:
            shutil.copy(home / "older", home / "coordination.sqlite")
        code, said = civic(home, "reconcile")
        assert (code, "--record" in said) == (2, True)
        assert civic(home, "reconcile", "--record")[0] == 0
        live(home, 3, 0)
    assert len(read_log(home)) == 3


# ---- who may, and when


def test_a_store_that_a_node_has_is_left_alone(home: Path) -> None:
    live(home, 1, 0)
    civic(home, "backup", home / "copy")
    lock = lock_store(home / "civic.sqlite")
    try:
        for command in (("restore", str(home / "copy"), "--aside"), ("reconcile",)):
            code, said = civic(home, *command)
            assert (code, "Another process" in said) == (2, True)
    finally:
        os.close(lock)


def test_without_civic_logs_or_with_a_server_nothing_is_copied(home: Path) -> None:
    text = (home / "node.toml").read_text()
    for other, sentence in (
        (text.replace(CIVIC, ""), "holds no civic logs"),
        (
            text.replace('"civic.sqlite"', '{ dsn = "host=db.example dbname=city" }'),
            "the server's own programs",
        ),
    ):
        (home / "node.toml").write_text(other)
        code, said = civic(home, "backup", home / "copy")
        assert (code, sentence in said) == (2, True), said


def test_a_desk_writes_down_what_it_files(home: Path) -> None:
    (home / "desk.key").write_text(bytes([70] * 32).hex())
    command = ["civic", "erase", "jongno", "7", str(home / "asked"), "--key", str(home / "desk.key")]
    result = CliRunner().invoke(main, command)
    assert (result.exit_code, "entry 7 of jongno" in result.output) == (0, True)
    asked = parse_submission((home / "asked").read_bytes())
    assert check_submission(asked, STREAM, TYPES) is None
    assert asked.filing.public[1].value == DESK.public.hex()
    again = CliRunner().invoke(main, command)
    assert (again.exit_code, "is there already" in again.output) == (2, True)
    for none in ("no key", "seed 00"):
        (home / "desk.key").write_text(none)
        assert CliRunner().invoke(main, [*command[:4], str(home / "x"), *command[5:]]).exit_code == 2


def test_who_filed_an_entry_asks_with_the_secrets_of_it(home: Path) -> None:
    secrets = Secrets(bytes([71]) * 32, bytes(32), bytes(32))
    (home / "mine.secrets").write_text(secrets.to_text())
    command = ["civic", "erase", "jongno", "7", str(home / "asked"), "--key", str(home / "mine.secrets")]
    assert CliRunner().invoke(main, command).exit_code == 0
    asked = parse_submission((home / "asked").read_bytes())
    assert check_submission(asked, STREAM, TYPES) is None
    assert asked.filing.public[1].value == Signer.from_seed(secrets.seed).public.hex()


# ---- an office changes its key


def test_an_office_changes_its_key_and_everything_is_still_what_was_signed_for(home: Path) -> None:
    live(home, 1, *range(4), erased=(2,))
    (home / "office.key").write_text(secret_text(bytes([40]) * 32))
    made = CliRunner().invoke(main, ["keys", "office", str(home / "new.key")])
    new_secret = secret_of_text((home / "new.key").read_text())
    assert made.output.strip() == sealing_public(new_secret).hex()
    rewrap = ("rewrap", STREAM, "--old", home / "office.key", "--new", made.output.strip())
    code, said = civic(home, *map(str, rewrap))
    assert (code, "jongno: 3 were wrapped" in said) == (0, True)
    assert civic(home, *map(str, rewrap))[1].startswith("jongno: 0 were wrapped")
    assert civic(home, "rewrap", "jungo", *map(str, rewrap[2:]))[0] == 2
    everything = b"".join(path.read_bytes() for path in home.glob("civic.sqlite*"))

    async def look() -> None:
        store = SqliteCivicStore(home / "civic.sqlite")
        assert await store.check() == []
        for number in (0, 1, 3):
            filed_as, kept = submission(number), await store.sealed(STREAM, number)
            assert kept is not None
            assert filed_as.sealed is not None
            assert kept.wraps != filed_as.sealed.wraps
            assert kept.commitment == filed_as.filing.sealed
            assert open_sealed(filed_as.filing, kept, new_secret)
            assert filed_as.sealed.wraps[0].key not in everything
        assert await store.sealed(STREAM, 2) is None
        await store.close()

    trio.run(look)
    assert civic(home, "fsck")[0] == 0
    live(home, 2, *range(5))
    assert civic(home, *map(str, rewrap))[1].startswith("jongno: 1 were wrapped")


def test_an_office_reads_what_is_sealed_for_it_and_nobody_else_does(home: Path) -> None:
    live(home, 1, 0, 1, erased=(1,))
    (home / "office.key").write_text(secret_text(bytes([40]) * 32))
    (home / "other.key").write_text(secret_text(bytes([41]) * 32))
    key = ("--key", str(home / "office.key"))
    code, said = civic(home, "open", STREAM, "0", *key)
    assert code == 0
    assert "topic (public): parks" in said
    assert "text: text" in said
    told = json.loads(civic(home, "open", STREAM, "0", *key, "--json")[1])
    assert told["sealed"]["fields"] == {"text": "text"}
    code, said = civic(home, "open", STREAM, "1", *key)
    assert (code, "text: text" in said, "erased" in said) == (4, False, True)
    assert civic(home, "open", STREAM, "2", *key)[0] == 0  # the erasure itself: nothing was sealed
    code, said = civic(home, "open", STREAM, "0", "--key", str(home / "other.key"))
    assert (code, said) == (4, "wrong  entry 0 of jongno: this was not sealed for this office\n")
    for stream, index in ((STREAM, "3"), ("mapo", "0")):
        code, said = civic(home, "open", stream, index, *key)
        assert (code, f"none of number {index}" in said) == (2, True)
    assert civic(home, "open", STREAM, "0", "--key", str(home / "log.key"))[0] == 2


def test_a_wrap_that_does_not_open_is_named(home: Path) -> None:
    live(home, 1, 0)
    wrong = seal(sealing_public(bytes([41]) * 32), bytes(32))
    kept = submission(0).sealed
    assert kept is not None
    wrap = replace(kept.wraps[0], key=wrong)
    with closing(sqlite3.connect(home / "civic.sqlite")) as db, db:
        put_sealed(db, 1, 0, replace(kept, wraps=(wrap,)).to_bytes())
    (home / "office.key").write_text(secret_text(bytes([40]) * 32))
    code, said = civic(home, "rewrap", STREAM, "--old", home / "office.key", "--new", OFFICE.hex())
    assert (code, "wrong  entry 0" in said) == (4, True)
    for old, new in (
        (home / "log.key", OFFICE.hex()),
        (home / "office.key", "00"),
        (home / "office.key", "00" * 32),
    ):
        code, said = civic(home, "rewrap", STREAM, "--old", old, "--new", new)
        assert (code, "keys cannot be used" in said) == (2, True)
