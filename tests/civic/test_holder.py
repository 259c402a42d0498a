"""The task that holds a log, in real places: a thousand are filed, it is stopped and followed, disks fail under it."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

import shard_node.civic.holder
from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from p2pworld.civic.log import Stage
from p2pworld.civic.steps import Cosigned
from p2pworld.errors import Refusal
from p2pworld.merkle.checkpoint import Checkpoint
from shard_node.civic.folder import CHECKPOINT, WITNESSED
from shard_node.civic.store import CommitUnknown, Row
from shard_node.coordination import OutcomeUnknown
from shard_node.storage.journal import StorageFailed
from tests.civic.kept import Counts, check_receipts, file_all, held, holder_of, places, read_log
from tests.civic.log_world import submission
from tests.merkle.signed import LOG, TIME_S, WITNESSES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from p2pworld.civic.batch import Plan
    from p2pworld.civic.transaction import Submission
    from p2pworld.merkle.note import Note
    from p2pworld.merkle.receipt import Receipt
    from shard_node.civic.store import MakePlan

FILED = 1_000


async def test_a_thousand_are_filed_and_the_holder_changes_in_the_middle(tmp_path: Path) -> None:
    answers: dict[int, Receipt | Refusal] = {}
    async with held(tmp_path, 1) as first, trio.open_nursery() as clients:

        async def file(number: int) -> None:
            answer = await first.file(submission(number))
            answers[number] = answer
            if len(answers) == FILED // 3:
                clients.cancel_scope.cancel()  # the rest is on its way, and never hears

        for number in range(FILED):
            clients.start_soon(file, number)
    before = check_receipts(tmp_path, answers)
    assert len(before) >= FILED // 3
    async with held(tmp_path, 2) as second:
        again = await file_all(second, range(FILED))
        assert second.size == FILED
    after = check_receipts(tmp_path, again)
    assert before.items() <= after.items()
    assert sorted(after.values()) == list(range(FILED))
    async with held(tmp_path, 3) as third:  # and what it says does not depend on what it remembers
        assert check_receipts(tmp_path, await file_all(third, range(0, FILED, 97))).items() <= after.items()
        other = await third.file(submission(5, "other"))
    assert isinstance(other, Refusal)
    assert other.reason == "civic-replay"
    assert len(read_log(tmp_path)) == FILED
    verify_as_anybody_does(tmp_path, again)


def verify_as_anybody_does(directory: Path, answers: dict[int, Receipt | Refusal]) -> None:
    """The folder, every leaf in it, and a few of the receipts, by the program that journalists are given."""
    paths = [directory / "log"]
    for number in (0, 500, FILED - 1):
        receipt = answers[number]
        assert not isinstance(receipt, Refusal)
        paths.append(directory / f"{number}.receipt")
        paths[-1].write_bytes(receipt.to_bytes())
    report = verify_paths(paths, policy_of_keys([LOG.key], 0), leaves=True)
    assert [finding.status for finding in report.findings] == [Status.OK] * 4, report
    assert report.fork is None


async def test_a_folder_that_is_gone_is_made_anew_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log ends between two tiles on two levels, and the last piece has changed only the lower one."""
    async with held(tmp_path, 1) as holder:
        answers = await file_all(holder, range(300))
    shutil.rmtree(tmp_path / "log")
    monkeypatch.setattr(shard_node.civic.holder, "CIVIC_READ_MAX", 32)
    async with held(tmp_path, 2) as holder:
        again = await file_all(holder, range(0, 300, 50))
    assert check_receipts(tmp_path, again).items() <= check_receipts(tmp_path, answers).items()


@pytest.mark.parametrize("tile", ["tile/entries/000", "tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
@pytest.mark.parametrize("garbled", [False, True])
async def test_a_folder_that_has_lost_or_garbled_a_file_is_whole_again_after_the_start(
    tmp_path: Path, tile: str, garbled: bool
) -> None:
    async with held(tmp_path, 1) as holder:
        answers = await file_all(holder, range(300))
    path, meter = tmp_path / "log" / tile, Counts()
    before = path.read_bytes()
    if garbled:
        path.write_bytes(bytes([before[0] ^ 1]) + before[1:])
    else:
        path.unlink()
    async with held(tmp_path, 2, meter=meter) as holder:
        again = await file_all(holder, range(0, 300, 50))
        assert "are made anew from the store" in str(meter.troubles)
    assert path.read_bytes() == before
    assert meter.failures == [("Folder", "corrupt")]
    assert check_receipts(tmp_path, again).items() <= check_receipts(tmp_path, answers).items()


@pytest.mark.parametrize("older", [False, True])
async def test_a_folder_that_is_taken_away_or_set_back_under_the_holder_is_made_whole(
    tmp_path: Path, older: bool
) -> None:
    log, aside = tmp_path / "log", tmp_path / "aside"
    async with held(tmp_path, 1) as holder:
        answers = await file_all(holder, range(3))
        shutil.copytree(log, aside)
        answers |= await file_all(holder, range(3, 600))
        shutil.rmtree(log)
        if older:
            shutil.copytree(aside, log)
        told = await file_all(holder, [600])
        assert isinstance(told[600], Refusal)
        assert told[600].reason == "civic-unknown"
        answers |= await file_all(holder, [600, 0, 300])
    assert check_receipts(tmp_path, answers)[600] == 600


async def test_what_is_not_well_filed_is_refused_at_once(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        refused = await holder.file(replace(submission(0), sig=bytes(64)))
        assert check_receipts(tmp_path, await file_all(holder, [1])) == {1: 0}
    assert isinstance(refused, Refusal)
    assert refused.reason == "civic-signature"
    assert len(read_log(tmp_path)) == 1


async def test_a_newer_holder_ends_the_older_one_and_nobody_is_lost(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as old:
        accepted = check_receipts(tmp_path, await file_all(old, range(5)))
        async with held(tmp_path, 2) as new:
            assert len(await file_all(new, range(5, 8))) == 3
            answers = await file_all(old, range(8, 11))
            assert {answer.reason for answer in answers.values() if isinstance(answer, Refusal)} == {
                "civic-moved"
            }
            assert old.stage is Stage.DEPOSED
            late = await old.file(submission(11))
            assert isinstance(late, Refusal)
            everybody = await file_all(new, range(12))
    found = check_receipts(tmp_path, everybody)
    assert accepted.items() <= found.items()
    assert sorted(found.values()) == list(range(12))


async def test_a_store_restored_from_an_older_copy_is_not_written_to(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        await file_all(holder, range(5))
    shutil.copy(tmp_path / "civic.sqlite", tmp_path / "copy")
    async with held(tmp_path, 2) as holder:
        await file_all(holder, range(5, 9))
    shutil.copy(tmp_path / "copy", tmp_path / "civic.sqlite")
    where, meter = places(tmp_path), Counts()
    holder = holder_of(where, 3, meter=meter)
    assert await holder.run() is Stage.READ_ONLY
    assert meter.alarms == ["log-behind"]
    refused = await holder.file(submission(20))
    assert isinstance(refused, Refusal)
    assert refused.reason == "civic-read-only"
    assert await where.store.row("jongno") == Row(3, 2, 5)
    assert len(read_log(tmp_path)) == 9
    await where.store.close()


async def test_who_stops_waiting_may_file_the_same_again(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        with trio.CancelScope() as scope:
            scope.cancel()
            await holder.file(submission(0))
        assert check_receipts(tmp_path, await file_all(holder, [1, 0])) in ({0: 0, 1: 1}, {0: 1, 1: 0})


# ---- what fails under it


class Faulty:
    """Calls of one name fail once, before they are done or after; all others are the wrapped thing's own."""

    def __init__(self, wrapped: object, name: str, error: Exception, done: bool) -> None:
        self._wrapped, self._name, self._error, self._done = wrapped, name, error, done
        self.left = 1

    def __getattr__(self, name: str) -> object:
        own = getattr(self._wrapped, name)
        if name != self._name or not self.left:
            return own

        async def failing(*args: object) -> object:
            self.left -= 1
            if self._done:
                await own(*args)
            raise self._error

        def failing_now(*args: object) -> object:
            self.left -= 1
            if self._done:
                own(*args)
            raise self._error

        return failing_now if name in ("publish", "write", "show", "receipts") else failing


FAILURES = [
    ("store", "fence", CommitUnknown("?"), "unknown"),
    ("store", "row", StorageFailed("io", "?"), "io"),
    ("store", "commit", CommitUnknown("?"), "unknown"),
    ("store", "commit", StorageFailed("full", "?"), "full"),
    ("records", "read_record", StorageFailed("io", "?"), "io"),
    ("records", "put_record", OutcomeUnknown("?"), "unknown"),
    ("folder", "publish", StorageFailed("full", "?"), "full"),
    ("folder", "show", StorageFailed("io", "?"), "io"),
]


@pytest.mark.parametrize(("place", "name", "error", "reason"), FAILURES)
@pytest.mark.parametrize("done", [False, True])
async def test_what_fails_once_is_told_and_done_in_the_end(
    tmp_path: Path,
    autojump_clock: trio.testing.MockClock,
    place: str,
    name: str,
    error: Exception,
    reason: str,
    done: bool,
) -> None:
    where, meter = places(tmp_path), Counts()
    faulty = Faulty(getattr(where, place), name, error, done)
    broken = {"store": where.store, "records": where.records, "folder": where.folder, place: faulty}
    holder = holder_of(where.__class__(**broken), 1, meter=meter)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        answers = await file_all(holder, range(3))
        nursery.cancel_scope.cancel()
    assert [told for _, told in meter.failures] == [reason]
    assert sorted(check_receipts(tmp_path, answers).values()) == [0, 1, 2]
    assert await where.store.check() == []
    await where.store.close()


async def test_a_receipt_that_cannot_be_made_is_asked_for_again(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    where, meter = places(tmp_path), Counts()
    faulty = Faulty(where.folder, "receipts", StorageFailed("corrupt", "?"), done=False)
    holder = holder_of(where.__class__(where.store, where.records, faulty), 1, meter=meter)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        refused = await holder.file(submission(0))
        assert isinstance(refused, Refusal)
        assert refused.reason == "civic-unknown"
        assert check_receipts(tmp_path, await file_all(holder, [0])) == {0: 0}
        nursery.cancel_scope.cancel()
    assert meter.failures == [("receipts", "corrupt")]
    await where.store.close()


# ---- what it tells


async def test_what_is_filed_while_a_batch_is_on_its_way_is_one_batch(tmp_path: Path) -> None:
    where, meter = places(tmp_path), Counts()
    entered, go_on = trio.Event(), trio.Event()

    class Slow:
        """The first commit waits until it may go on."""

        def __getattr__(self, name: str) -> object:
            return getattr(where.store, name)

        async def commit(
            self, stream: str, row: Row, submissions: Sequence[Submission], plan: MakePlan
        ) -> Plan | None:
            entered.set()
            await go_on.wait()
            return await where.store.commit(stream, row, submissions, plan)

    holder = holder_of(where.__class__(Slow(), where.records, where.folder), 1, meter=meter)  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        nursery.start_soon(holder.file, submission(0))
        await entered.wait()
        for number in (1, 2, 0):
            nursery.start_soon(holder.file, submission(number))
        await trio.testing.wait_all_tasks_blocked()
        assert holder.queue == 3
        go_on.set()
        await file_all(holder, [3])
        nursery.cancel_scope.cancel()
    assert meter.batches[0] == (1, 1)
    assert sum(entries for _, entries in meter.batches) == 4
    assert meter.batches[1][0] >= 3
    assert set(meter.stages) >= {"Fence", "ReadHeads", "Commit", "PutRecord", "Publish", "receipts", "whole"}
    await where.store.close()


async def test_narrower_forms_of_full_tiles_are_taken_away_in_the_end(tmp_path: Path) -> None:
    async with held(tmp_path, 1) as holder:
        await file_all(holder, range(3))
        before = sorted(path.name for path in (tmp_path / "log").rglob("*.p"))
        await file_all(holder, range(3, 300))
        await file_all(holder, [300])
    assert before == ["000.p", "000.p"]
    kept = sorted(path.relative_to(tmp_path / "log").as_posix() for path in (tmp_path / "log").rglob("*.p"))
    assert kept == ["tile/0/001.p", "tile/1/000.p", "tile/entries/001.p"]
    assert len(read_log(tmp_path)) == 301


async def test_enough_witnesses_make_a_second_checkpoint(tmp_path: Path) -> None:
    class Willing:
        """A witness that signs whatever it is shown."""

        async def cosign(self, checkpoint: Note) -> Cosigned:
            signature = WITNESSES[0].sign(checkpoint.text, TIME_S)
            verified = WITNESSES[0].key.verify(checkpoint.text.encode(), signature)
            assert verified is not None
            return Cosigned(checkpoint, (verified,))

    where = places(tmp_path)
    holder = holder_of(where, 1, LOG, witnesses=Willing())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        await file_all(holder, range(4))
        while (note := where.folder.note(WITNESSED)) is None or Checkpoint.parse(note.text).size < 4:
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    published = where.folder.note(CHECKPOINT)
    assert published is not None
    assert note.text == published.text
    assert len(note.signatures) == 2
    await where.store.close()
