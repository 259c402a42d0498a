"""The journal: what was acknowledged is there, what failed is not, what is damaged is refused."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from p2pworld.crdt import ObjectCell
from p2pworld.messages import SaveDelta, SaveRecord, SaveState
from shard_node.storage.journal import StorageFailed
from shard_node.storage.lock import DataDirLock
from shard_node.storage.sqlite import FORMAT, SqliteJournal
from tests.storage.appender import changes, lantern

if TYPE_CHECKING:
    from pathlib import Path

    from p2pworld.world.objects import SavedCell

DELTAS = changes(12)


def ids(saved: SavedCell) -> set[bytes]:
    """The lanterns of a recovered cell."""
    return set(ObjectCell.from_bytes(saved.state))


def lanterns(*numbers: int) -> set[bytes]:
    """The ids of the lanterns of these changes."""
    return {lantern(n) for n in numbers}


def whole(upto: int) -> bytes:
    """The state after the first changes."""
    state = ObjectCell()
    for delta in DELTAS[:upto]:
        state.merge_in(ObjectCell.from_bytes(delta))
    return state.to_bytes()


async def test_what_was_appended_is_merged_when_reopened(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveState(5, 9, 3, whole(3)), SaveDelta(5, 9, 4, DELTAS[3])])
    await journal.append([SaveDelta(5, 9, 5, DELTAS[4]), SaveDelta(6, 9, 1, DELTAS[0])])
    await journal.close()
    await journal.close()
    again = await SqliteJournal.open(tmp_path / "j")
    cells = await again.recover()
    await again.close()
    assert set(cells) == {5, 6}
    assert (cells[5].epoch, cells[5].n, ids(cells[5])) == (9, 5, lanterns(1, 2, 3, 4, 5))
    assert (cells[6].epoch, cells[6].n, ids(cells[6])) == (9, 1, lanterns(1))


async def test_a_whole_state_replaces_all_before_it(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveDelta(5, 1, n, DELTAS[n - 1]) for n in (1, 2, 3)])
    await journal.append([SaveState(5, 2, 2, whole(2))])
    cells = await journal.recover()
    await journal.close()
    assert (cells[5].epoch, cells[5].n, ids(cells[5])) == (2, 2, lanterns(1, 2))


async def test_after_a_gap_objects_are_kept_but_not_counted_as_whole(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveDelta(5, 1, n, DELTAS[n - 1]) for n in (1, 2, 4)])
    cells = await journal.recover()
    await journal.close()
    assert cells[5].n == 2
    assert ids(cells[5]) == lanterns(1, 2, 4)


async def test_a_number_written_again_replaces_what_it_said(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveDelta(5, 1, 1, DELTAS[6])])
    await journal.append([SaveDelta(5, 1, 1, DELTAS[0])])
    cells = await journal.recover()
    await journal.close()
    assert ids(cells[5]) == lanterns(1)


async def test_a_full_disk_refuses_the_whole_transaction_and_loses_nothing(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j", pages_max=16)
    deltas, kept = changes(400), 0

    async def fill() -> None:
        nonlocal kept
        for n in range(1, 400, 4):
            await journal.append([SaveDelta(5, 1, m, deltas[m - 1]) for m in range(n, n + 4)])
            kept = n + 3

    with pytest.raises(StorageFailed, match="no room left") as failed:
        await fill()
    assert failed.value.reason == "full"
    assert kept > 0
    assert ids((await journal.recover())[5]) == lanterns(*range(1, kept + 1))
    await journal.close()
    roomier = await SqliteJournal.open(tmp_path / "j")
    assert (await roomier.recover())[5].n == kept
    await roomier.append([SaveDelta(5, 1, kept + 1, deltas[kept])])
    assert (await roomier.recover())[5].n == kept + 1
    await roomier.close()


def test_what_was_acknowledged_survives_kill_9_and_the_lock_proves_the_death(tmp_path: Path) -> None:
    import trio

    command = [sys.executable, "-m", "tests.storage.appender", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 40:
                with pytest.raises(StorageFailed, match="Another process runs on"):
                    DataDirLock.acquire(tmp_path)
                process.send_signal(signal.SIGKILL)
                break
        said = [40, *(int(line) for line in process.stdout if line.endswith("\n"))]

    lock = DataDirLock.acquire(tmp_path)
    assert lock.ended == 7
    lock.release()

    async def recovered() -> dict[int, SavedCell]:
        journal = await SqliteJournal.open(tmp_path / "journal.sqlite")
        cells = await journal.recover()
        await journal.close()
        return cells

    cells = trio.run(recovered)
    assert process.returncode == -signal.SIGKILL
    assert cells[5].n == cells[6].n  # one transaction
    assert cells[5].n in (max(said), max(said) + 1)  # one may have been durable and not yet said
    assert ids(cells[5]) == ids(cells[6]) == lanterns(*range(1, cells[5].n + 1))


async def refusal(path: Path) -> StorageFailed:
    """Why this file is no journal to be used."""
    with pytest.raises(StorageFailed) as failed:
        await SqliteJournal.open(path)
    return failed.value


async def test_a_newer_format_is_refused_with_one_sentence_and_left_alone(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.close()
    with sqlite3.connect(tmp_path / "j") as by_hand:
        by_hand.execute("UPDATE format SET version = ?", (FORMAT + 1,))
    by_hand.close()
    before = (tmp_path / "j").read_bytes()
    failed = await refusal(tmp_path / "j")
    assert failed.reason == "newer"
    assert f"is of format {FORMAT + 1}" in str(failed)
    assert (tmp_path / "j").read_bytes() == before


async def test_an_empty_file_of_format_0_is_migrated(tmp_path: Path) -> None:
    (tmp_path / "j").touch()
    journal = await SqliteJournal.open(tmp_path / "j")
    assert await journal.recover() == {}
    await journal.close()
    with sqlite3.connect(tmp_path / "j") as by_hand:
        assert by_hand.execute("SELECT version FROM format").fetchall() == [(FORMAT,)]
    by_hand.close()


async def test_a_journal_of_format_1_keeps_what_it_has_and_takes_records(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveState(5, 9, 3, whole(3))])
    await journal.close()
    with sqlite3.connect(tmp_path / "j") as by_hand:  # as the program before this one left it
        by_hand.execute("DROP TABLE record")
        by_hand.execute("UPDATE format SET version = 1")
    by_hand.close()
    again = await SqliteJournal.open(tmp_path / "j")
    await again.append([SaveRecord("report", b"1" * 16, b"words")])
    assert ids((await again.recover())[5]) == lanterns(1, 2, 3)
    assert await again.recover_records() == (SaveRecord("report", b"1" * 16, b"words"),)
    await again.close()


async def test_a_record_is_replaced_by_a_newer_one_and_forgotten_when_it_is_empty(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    one, other = SaveRecord("report", b"1" * 16, b"first"), SaveRecord("sanction", b"1" * 16, b"order")
    await journal.append([one, other, SaveRecord("report", b"1" * 16, b"second")])
    assert await journal.recover_records() == (SaveRecord("report", b"1" * 16, b"second"), other)
    await journal.append([SaveRecord("report", b"1" * 16, b""), SaveRecord("report", b"2" * 16, b"")])
    assert await journal.recover_records() == (other,)
    await journal.close()


async def test_a_garbled_record_is_found(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveRecord("sanction", b"1" * 16, b"order")])
    await journal.close()
    with sqlite3.connect(tmp_path / "j") as by_hand:
        by_hand.execute("UPDATE record SET kind = 'report'")
    by_hand.close()
    again = await SqliteJournal.open(tmp_path / "j")
    with pytest.raises(StorageFailed, match="in the journal is damaged"):
        await again.recover_records()
    await again.close()


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j") as other:
        other.execute("CREATE TABLE birds (name TEXT)")
    other.close()
    assert (await refusal(tmp_path / "j")).reason == "foreign"


async def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"not a database " * 500)
    assert (await refusal(tmp_path / "j")).reason == "corrupt"
    assert (await refusal(tmp_path / "no" / "such" / "directory")).reason == "io"


async def test_a_garbled_row_is_found(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.append([SaveDelta(5, 1, 1, DELTAS[0])])
    await journal.close()
    with sqlite3.connect(tmp_path / "j") as by_hand:
        by_hand.execute("UPDATE delta SET n = 2")
    by_hand.close()
    again = await SqliteJournal.open(tmp_path / "j")
    with pytest.raises(StorageFailed, match="delta 2 of cell 5 in the journal is damaged") as failed:
        await again.recover()
    await again.close()
    assert failed.value.reason == "corrupt"


async def test_a_closed_journal_says_so(tmp_path: Path) -> None:
    journal = await SqliteJournal.open(tmp_path / "j")
    await journal.close()
    with pytest.raises(StorageFailed, match="closed"):
        await journal.append([])


def test_a_lock_remembers_the_last_number_only(tmp_path: Path) -> None:
    first = DataDirLock.acquire(tmp_path / "new")
    assert first.ended == 0
    first.record(123_456_789_012)
    first.record(5)
    first.release()
    first.release()
    second = DataDirLock.acquire(tmp_path / "new")
    assert second.ended == 5
    second.release()


def test_a_lock_file_that_says_nothing_sensible_proves_nothing(tmp_path: Path) -> None:
    (tmp_path / "lock").write_bytes(b"00000005")
    lock = DataDirLock.acquire(tmp_path)
    assert lock.ended == 0
    lock.release()
    (tmp_path / "file").touch()
    with pytest.raises(StorageFailed, match="cannot be used"):
        DataDirLock.acquire(tmp_path / "file")
