"""A journal looked through: whatever byte is not what was written is named with its place, or is read by nobody."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from p2pworld.crdt import ObjectCell
from p2pworld.geometry import Cell
from p2pworld.messages import SaveDelta, SaveRecord, SaveState
from shard_node.storage.copies import backup, rebuild
from shard_node.storage.fsck import Fault, survey
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import SqliteJournal, checksum_of
from tests.storage.appender import changes

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.world.objects import SavedCell

PLACE, OTHER = Cell.at(3_000_000, 3_000_000, 8), Cell.at(100_000, 100_000, 8)
DELTAS = changes(12)
RECORD = SaveRecord("report", b"r" * 16, b"what was said")


def whole(upto: int) -> bytes:
    """The state after the first changes."""
    state = ObjectCell()
    for delta in DELTAS[:upto]:
        state.merge_in(ObjectCell.from_bytes(delta))
    return state.to_bytes()


async def filled(path: Path) -> Path:
    """A journal of two cells and a record."""
    journal = await SqliteJournal.open(path)
    await journal.append([SaveState(PLACE, 9, 6, whole(6)), SaveState(OTHER, 3, 0, ObjectCell().to_bytes())])
    for n in range(7, 13):
        await journal.append([SaveDelta(PLACE, 9, n, DELTAS[n - 1])])
    await journal.append([RECORD])
    await journal.close()
    return path


async def recovered(path: Path) -> tuple[dict[int, SavedCell], tuple[SaveRecord, ...]]:
    """What a node would find."""
    journal = await SqliteJournal.open(path)
    try:
        return await journal.recover(), await journal.recover_records()
    finally:
        await journal.close()


def files_in(folder: Path, pattern: str, remove: bool = False) -> list[str]:
    """The names of some files of a folder."""
    names = sorted(file.name for file in folder.glob(pattern))
    for name in names if remove else ():
        (folder / name).unlink()
    return names


def change(path: Path, statement: str, *values: object) -> None:
    """Another program has been at it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        assert connection.execute(statement, values).rowcount > 0


async def test_a_sound_journal_has_no_fault_also_while_a_node_writes_to_it(tmp_path: Path) -> None:
    path = await filled(tmp_path / "j")
    found = survey(path)
    assert found.faults == []
    assert (sorted(found.cells), found.rows, found.records) == (sorted((PLACE, OTHER)), 9, [RECORD])
    journal = await SqliteJournal.open(path)
    await journal.append([SaveRecord("report", b"s" * 16, b"more")])
    assert len(survey(path).records) == 2
    await journal.close()


@pytest.mark.parametrize(
    ("statement", "values", "fault"),
    [
        (
            "UPDATE delta SET body = substr(body, 2) WHERE n = 8",
            (),
            Fault("delta", "epoch 9 change 8", PLACE, "its checksum is of something else"),
        ),
        (
            "UPDATE state SET epoch = 10 WHERE cell = ?",
            (PLACE,),
            Fault("state", "epoch 10 change 6", PLACE, "its checksum is of something else"),
        ),
        (
            "UPDATE record SET body = CAST(body AS TEXT)",
            (),
            Fault("record", "", 0, "a value is of another type than it was written"),
        ),
        (
            "UPDATE record SET body = x'00'",
            (),
            Fault("record", "report " + RECORD.id.hex(), 0, "its checksum is of something else"),
        ),
        (
            "DELETE FROM delta WHERE n = 9",
            (),
            Fault("delta", "epoch 9 change 10", PLACE, "it does not follow change 8 under epoch 9"),
        ),
        (
            "UPDATE format SET version = 'x'",
            (),
            Fault("format", "", 0, "it does not say of which format the journal is"),
        ),
    ],
)
async def test_what_is_wrong_is_named_with_its_place(
    tmp_path: Path, statement: str, values: tuple[object, ...], fault: Fault
) -> None:
    path = await filled(tmp_path / "j")
    change(path, statement, *values)
    assert fault in survey(path).faults


@pytest.mark.parametrize(
    ("cell", "epoch", "body", "what"),
    [
        (3, 1, whole(1), "there is no such cell"),
        (PLACE, -1, whole(1), "its numbers are out of bounds"),
        (PLACE, 1, b"\xc1", "its objects cannot be read"),
        (
            PLACE,
            1,
            whole(1).replace(b"\x83", b"\xde\x00\x03", 1),
            "its objects are not written the one way that they are",
        ),
    ],
)
async def test_a_row_is_looked_into_beyond_its_checksum(
    tmp_path: Path, cell: int, epoch: int, body: bytes, what: str
) -> None:
    path = await filled(tmp_path / "j")
    row = (cell, epoch, 0, body, checksum_of(b"state", cell, epoch, 0, body))
    change(path, "INSERT OR REPLACE INTO state VALUES (?, ?, ?, ?, ?)", *row)
    assert what in "\n".join(map(str, survey(path).faults))


async def test_a_byte_that_flips_anywhere_is_found_or_read_by_nobody(tmp_path: Path) -> None:
    path = await filled(tmp_path / "j")
    right, sound = await recovered(path), path.read_bytes()
    rng = random.Random(7)
    found = 0
    for at in [
        *range(24),
        *(rng.randrange(len(sound)) for _ in range(200)),
        *text_places(sound),
    ]:
        flipped = bytearray(sound)
        flipped[at] ^= 1 << rng.randrange(8)
        victim = tmp_path / f"{at}"
        victim.write_bytes(flipped)
        try:
            faults = survey(victim).faults
        except StorageFailed as refused:  # it is no journal any more, or one of a later format
            faults = [Fault("file", refused.reason, 0, str(refused))]
        found += bool(faults)
        if not faults:
            assert await recovered(victim) == right, f"byte {at} changes what is read, and was not found"
        files_in(tmp_path, f"{at}*", remove=True)
    assert found > 50


def text_places(data: bytes) -> list[int]:
    """A byte in each of the twelve texts."""
    return [data.index(f"{n}".encode() * 20) + n for n in range(1, 13)]


async def test_what_is_sound_is_kept_and_comes_back_claiming_nothing(tmp_path: Path) -> None:
    path = await filled(tmp_path / "j")
    change(path, "UPDATE delta SET body = substr(body, 2) WHERE n = 8")
    with pytest.raises(StorageFailed, match="damaged"):
        await recovered(path)
    found = survey(path)
    old = rebuild(found, path)
    assert old is not None
    assert survey(old).faults == found.faults
    assert survey(path).faults == []
    cells, records = await recovered(path)
    kept = ObjectCell.from_bytes(cells[PLACE].state)
    missing = ObjectCell.from_bytes(whole(12))
    assert set(missing) - set(kept) == set(ObjectCell.from_bytes(DELTAS[7]))
    assert {(saved.epoch, saved.n) for saved in cells.values()} == {(0, 0)}
    assert records == (RECORD,)


async def test_a_file_that_is_no_database_any_more_is_moved_aside_for_an_empty_one(tmp_path: Path) -> None:
    path = await filled(tmp_path / "j")
    data = path.read_bytes()
    path.write_bytes(b"\0" * 100 + data[100:])
    found = survey(path)
    assert found.rows == 0
    assert [fault.table for fault in found.faults] == ["file"]
    old = rebuild(found, path)
    assert old is not None
    assert old.read_bytes()[100:] == data[100:]
    assert await recovered(path) == ({}, ())


async def test_what_is_not_ours_is_not_looked_into(tmp_path: Path) -> None:
    with pytest.raises(StorageFailed, match="no journal"):
        survey(tmp_path / "nothing")
    with closing(sqlite3.connect(tmp_path / "other")) as connection:
        connection.execute("CREATE TABLE format (version TEXT)")
    with pytest.raises(StorageFailed, match="another program"):
        survey(tmp_path / "other")
    path = await filled(tmp_path / "j")
    change(path, "UPDATE format SET version = 99")
    with pytest.raises(StorageFailed, match="format 99"):
        survey(path)


# ---- looked at while a node runs


async def test_a_cell_is_looked_at_after_another_and_a_damaged_one_is_told(tmp_path: Path) -> None:
    path = await filled(tmp_path / "j")
    journal = await SqliteJournal.open(path)
    first, second = sorted((PLACE, OTHER))
    assert await journal.scrub(0) == (first, True)
    change(path, "UPDATE delta SET checksum = x'00' WHERE n = 8")
    assert [await journal.scrub(first), await journal.scrub(second)] == [(second, second == OTHER), (0, True)]
    assert (await journal.scrub(PLACE - 1))[1] is False
    await journal.append([SaveState(PLACE, 9, 12, whole(12))])
    assert await journal.scrub(PLACE - 1) == (PLACE, True)
    await journal.close()


# ---- copies


async def test_a_copy_is_of_one_moment_however_a_node_writes_and_only_its_owner_reads_it(
    tmp_path: Path,
) -> None:
    path = await filled(tmp_path / "j")
    journal = await SqliteJournal.open(path)
    await journal.append([SaveRecord("report", b"s" * 16, b"in the log of SQLite, not in its file yet")])
    found = backup(path, tmp_path / "copy")
    await journal.append([SaveRecord("report", b"t" * 16, b"later")])
    await journal.close()
    assert (found.rows, len(found.records)) == (10, 2)
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    cells, records = await recovered(tmp_path / "copy")
    assert cells[PLACE].n == 12
    assert [record.id for record in records] == [b"r" * 16, b"s" * 16]
    assert files_in(tmp_path, "*.part") == []


async def test_nothing_is_overwritten_and_no_damaged_copy_is_kept(tmp_path: Path) -> None:
    path = await filled(tmp_path / "j")
    (tmp_path / "copy").write_text("mine")
    with pytest.raises(StorageFailed, match="already"):
        backup(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "mine"
    change(path, "UPDATE delta SET body = substr(body, 2) WHERE n = 8")
    with pytest.raises(StorageFailed, match="change 8"):
        backup(path, tmp_path / "another")
    with pytest.raises(StorageFailed, match="no journal"):
        backup(tmp_path / "nothing", tmp_path / "another")
    with pytest.raises(StorageFailed, match="cannot be written"):
        backup(path, tmp_path / "no" / "such" / "folder")
    assert [name for name in files_in(tmp_path, "*") if not name.startswith("j-")] == ["copy", "j"]
