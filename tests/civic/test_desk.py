"""The desk of a node: it holds what the map gives it, and nothing else; what is filed comes back to the node."""

from __future__ import annotations

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from p2pworld.civic.receipts import check_filed, noted_epoch
from p2pworld.civic.relay import (
    AnswerAsker,
    Answered,
    AskerFiled,
    Held,
    HolderAnswered,
    HoldersFail,
    HoldStreams,
    ToHolder,
)
from p2pworld.civic.steps import Cosigned
from p2pworld.errors import Refusal
from p2pworld.limits import CIVIC_ASKERS_MAX, CIVIC_YIELD_S, CIVIC_YIELDED_S
from p2pworld.merkle.receipt import parse_receipt
from shard_node.civic import desk
from shard_node.civic.desk import CivicDesk
from shard_node.civic.engines import LockedCivicStore, open_civic_store
from shard_node.civic.folder import CHECKPOINT
from shard_node.civic.settings import CivicConfig, WitnessAt
from shard_node.coordination import SqliteCoordination
from shard_node.coordination.settings import StoreConfig
from shard_node.storage.journal import StorageFailed
from tests.civic.log_world import MINUTE, STREAM, submission
from tests.merkle.signed import LOG, ORIGIN, TIME_S, WITNESSES
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable
    from pathlib import Path

    from p2pworld.merkle.note import Note

WITHIN_S = PATIENCE_S


async def come(holds: Callable[[], bool]) -> None:
    """Lets the desk work until something holds."""
    with trio.fail_after(WITHIN_S):
        while not holds():  # noqa: ASYNC110  it has no event to tell of it
            await trio.sleep(0.005)


@dataclass
class Told:
    """What a desk told its node; waits for more."""

    answers: dict[int, list[Answered]] = field(default_factory=dict)
    asked: list[AskerFiled] = field(default_factory=list)
    fails: list[frozenset[str]] = field(default_factory=list)
    events: int = 0

    def __call__(self, event: AskerFiled | HolderAnswered | HoldersFail) -> None:
        self.events += 1
        if isinstance(event, HoldersFail):
            self.fails.append(event.streams)
            return
        if isinstance(event, AskerFiled):
            self.asked.append(event)
            return
        for request, answer in event.answers:
            self.answers.setdefault(request, []).append(answer)

    async def until(self, requests: Iterable[int], times: int = 1) -> list[Answered]:
        """The last answers to these requests, once each has been answered so often."""
        requests = list(requests)
        await come(lambda: all(len(self.answers.get(request, ())) >= times for request in requests))
        return [self.answers[request][-1] for request in requests]


@dataclass
class Place:
    """A desk at work: below `folder` lie its store and what it publishes."""

    desk: CivicDesk
    told: Told

    def hold(self, *streams: Held) -> None:
        self.desk.take([HoldStreams(streams)])

    def give(self, numbers: Iterable[int], held: Held, first: int = 0) -> list[int]:
        """Submissions for its holder, each under a request number of its own."""
        requests = [first + number for number in numbers]
        self.desk.take([ToHolder(request, held, submission(request - first)) for request in requests])
        return requests

    async def until(self, stage: str) -> None:
        """Until the one log held here is at that."""
        await come(lambda: [one["stage"] for one in self.desk.status()] == [stage])

    async def file(self, numbers: Iterable[int], held: Held, first: int = 0) -> list[int]:
        """The places in the log of these, by receipts that prove it."""
        numbers = list(numbers)
        answers = await self.told.until(self.give(numbers, held, first))
        return [place_of(answer, number) for answer, number in zip(answers, numbers, strict=True)]


def place_of(answer: Answered, number: int) -> int:
    assert answer.refusal is None, answer
    return check_filed(answer.receipt, submission(number), ORIGIN, [LOG.key]).index


def config_of(folder: Path, *, quorum: int = 0) -> CivicConfig:
    """Of a node whose files lie there."""
    key = folder / "civic.key"
    key.write_text((bytes([1]) * 32).hex())
    witnesses = tuple(WitnessAt("http://w", witness.key) for witness in WITNESSES[:quorum])
    store = StoreConfig("sqlite", path=folder / "civic.sqlite", table="civic")
    return CivicConfig("seoul.example", (STREAM,), store, folder / "log", key, quorum, witnesses)


class Willing:
    """A witness that signs whatever it is shown."""

    def __init__(self, stream: str) -> None:
        assert stream == STREAM

    async def cosign(self, checkpoint: Note) -> Cosigned:
        signature = WITNESSES[0].sign(checkpoint.text, TIME_S)
        verified = WITNESSES[0].key.verify(checkpoint.text.encode(), signature)
        assert verified is not None
        return Cosigned(checkpoint, (verified,))


@asynccontextmanager
async def desk_at(config: CivicConfig, records: Path) -> AsyncIterator[Place]:
    """A desk at work, and at its end everything let go."""
    told, store = Told(), SqliteCoordination(records / "coordination.sqlite", busy_s=10.0)
    held = CivicDesk(config, store, told, witnesses=Willing, now_minute=lambda: MINUTE)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(held.run)
        yield Place(held, told)
        nursery.cancel_scope.cancel()
    await store.close()


async def test_it_holds_what_it_is_told_to_in_its_epoch_and_goes_on_in_the_next(tmp_path: Path) -> None:
    one, next_one = Held(STREAM, 3), Held(STREAM, 7)
    async with desk_at(config_of(tmp_path), tmp_path) as at:
        (moved,) = await at.told.until(at.give([0], one, first=900))
        assert moved.refusal is not None
        assert moved.refusal.reason == "civic-moved"
        at.hold(one)
        (early,) = await at.told.until(at.give([0], one, first=800))  # its store is being opened
        assert early.refusal is not None
        assert early.refusal.reason == "civic-down"
        await at.until("idle")
        events = at.told.events
        assert sorted(await at.file(range(20), one)) == list(range(20))
        assert at.told.events - events < 10  # together, not one by one
        at.hold(next_one)
        await come(lambda: [(one["epoch"], one["stage"]) for one in at.desk.status()] == [(7, "idle")])
        (late,) = await at.told.until(at.give([1], one, first=700))
        assert late.refusal is not None
        assert late.refusal.reason == "civic-moved"
        assert sorted(await at.file(range(25), next_one, first=100)) == list(range(25))
        old, new = at.told.answers[105][0], at.told.answers[124][0]
        assert (noted_epoch(parse_receipt(old.receipt)), noted_epoch(parse_receipt(new.receipt))) == (3, 7)
        at.hold()
        (gone,) = await at.told.until(at.give([1], next_one, first=600))
        assert gone.refusal is not None
        assert gone.refusal.reason == "civic-moved"
        await come(lambda: not at.desk.status())


async def test_who_waits_when_the_stream_goes_is_told_so(tmp_path: Path) -> None:
    held = Held(STREAM, 3)
    async with desk_at(config_of(tmp_path), tmp_path) as at:
        at.hold(held)
        await at.until("idle")
        requests = at.give(range(3), held)
        at.hold()  # before any of it is durable, or after
        for answer in await at.told.until(requests):
            assert answer.receipt or (answer.refusal and answer.refusal.reason == "civic-moved")
        at.hold(replace(held, epoch=4))
        await at.until("idle")
        assert sorted(await at.file(range(3), replace(held, epoch=4), first=10)) == [0, 1, 2]


async def test_a_file_that_another_process_has_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(desk, "AGAIN_S", (0.001, 0.002))
    config, held = config_of(tmp_path), Held(STREAM, 1)
    other = open_civic_store(config.store)
    assert isinstance(other, LockedCivicStore)
    with pytest.raises(StorageFailed, match="Another process runs on the civic store") as caught:
        open_civic_store(config.store)
    assert caught.value.reason == "busy"
    async with desk_at(config, tmp_path) as at:
        at.hold(held)
        await come(lambda: at.desk.counters["open_busy"] >= 5)
        assert [one["failing"] for one in at.desk.status()] == ["busy"]
        assert [record.message for record in caplog.records if "waits" in record.message] == [
            f"civic log {STREAM} waits: Another process runs on the civic store {config.store.path}."
        ]
        (down,) = await at.told.until(at.give([0], held))
        assert down.refusal is not None
        assert down.refusal.reason == "civic-down"
        await other.close()
        await at.until("idle")
        assert await at.file([0], held, first=10) == [0]
        assert [one["failing"] for one in at.desk.status()] == [""]


async def test_a_server_that_is_not_reached_for_long_is_left_to_others_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    def unreached(settings: StoreConfig) -> None:
        raise StorageFailed("io", f"{settings.dsn} does not answer.")

    monkeypatch.setattr(desk, "open_civic_store", unreached)
    config = replace(
        config_of(tmp_path), store=StoreConfig("postgresql", dsn="dbname=a", table="civic.store")
    )
    async with desk_at(config, tmp_path) as at:
        at.hold(Held(STREAM, 1))
        await trio.sleep(CIVIC_YIELD_S - 1)
        assert at.told.fails == []
        await trio.sleep(3)
        assert at.told.fails == [{STREAM}]
        await trio.sleep(2 * CIVIC_YIELDED_S)  # as long as it is held here and fails, that stays so
        assert at.told.fails == [{STREAM}]
        at.hold()
        await trio.sleep(CIVIC_YIELDED_S - 1)
        assert at.told.fails == [{STREAM}]
        await trio.sleep(3)
        assert at.told.fails == [{STREAM}, frozenset()]


async def test_a_log_that_must_not_go_on_says_so_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config, held = config_of(tmp_path), Held(STREAM, 1)
    async with desk_at(config, tmp_path) as at:
        at.hold(held)
        await at.until("idle")
        await at.file(range(3), held)
    (elsewhere := tmp_path / "elsewhere").mkdir()
    async with desk_at(config, elsewhere) as at:  # the coordination store has forgotten the log
        at.hold(replace(held, epoch=2))
        await at.until("read-only")
        (status,) = at.desk.status()
        assert status["alarm"] == "log-record-lost"
        assert at.desk.counters["alarms"] == 1
        assert any(record.levelname == "CRITICAL" and STREAM in record.message for record in caplog.records)
        (closed,) = await at.told.until(at.give([0], replace(held, epoch=2)))
        assert closed.refusal is not None
        assert closed.refusal.reason == "civic-read-only"


async def test_another_machine_publishes_the_whole_log_before_it_goes_on(tmp_path: Path) -> None:
    config, held = config_of(tmp_path), Held(STREAM, 1)
    async with desk_at(config, tmp_path) as at:
        at.hold(held)
        await at.until("idle")
        for first in range(0, 600, 150):
            await at.file(range(first, first + 150), held)
    for publish in ("empty", "behind"):
        other = replace(config, publish=tmp_path / publish)
        if publish == "behind":  # it held the log before, and has what it published then
            shutil.copytree(tmp_path / "empty", tmp_path / publish)
        epoch = 2 if publish == "empty" else 4
        async with desk_at(other, tmp_path) as at:
            at.hold(replace(held, epoch=epoch))
            await at.until("idle")
            assert await at.file([5], replace(held, epoch=epoch), first=1000) == await at.file(
                [5], replace(held, epoch=epoch), first=2000
            )
            new = 600 if publish == "empty" else 601
            assert await at.file([new], replace(held, epoch=epoch), first=3000) == [new]
        files = {
            path.relative_to(tmp_path / publish): path.read_bytes()
            for path in sorted((tmp_path / publish).rglob("*"))
            if path.is_file() and ".p" not in str(path.parent.name) and path.name != "checkpoint"
        }
        assert len(files) >= 4
        if publish == "empty":  # and the first one comes back, later
            async with desk_at(config, tmp_path) as at:
                at.hold(replace(held, epoch=3))
                await at.until("idle")
        else:
            for path, data in files.items():
                assert (tmp_path / "log" / path).read_bytes() == data


async def test_witnesses_make_a_second_answer_also_for_who_asks_again(tmp_path: Path) -> None:
    held = Held(STREAM, 1)
    async with desk_at(config_of(tmp_path, quorum=1), tmp_path) as at:
        at.hold(held)
        await at.until("idle")
        requests = at.give(range(4), held)
        second = await at.told.until(requests, times=2)
        assert [at.told.answers[request][0].more for request in requests] == [True] * 4
        for number, answer in enumerate(second):
            assert not answer.more
            receipt = check_filed(
                answer.receipt, submission(number), ORIGIN, [LOG.key], [WITNESSES[0].key], quorum=1
            )
            assert receipt.index == parse_receipt(at.told.answers[number][0].receipt).index
        again = await at.told.until(at.give([2], held, first=100), times=2)
        check_filed(again[0].receipt, submission(2), ORIGIN, [LOG.key], [WITNESSES[0].key], quorum=1)


async def test_whoever_files_by_another_way_waits_for_the_node(tmp_path: Path) -> None:
    async with desk_at(config_of(tmp_path), tmp_path) as at, trio.open_nursery() as nursery:
        got: list[Answered] = []

        async def file() -> None:
            got.append(await at.desk.file(b"any"))

        for _ in range(CIVIC_ASKERS_MAX):
            nursery.start_soon(file)
        await trio.testing.wait_all_tasks_blocked()
        assert not got
        over = await at.desk.file(b"one more")
        assert over.refusal is not None
        assert over.refusal.reason == "civic-busy"
        answer = Answered(refusal=Refusal("civic-down", "x"))
        at.desk.take([AnswerAsker(filed.asker, answer) for filed in at.told.asked])
        await trio.testing.wait_all_tasks_blocked()
        assert got == [answer] * CIVIC_ASKERS_MAX
        at.desk.take([AnswerAsker(1, answer)])  # nobody waits for it any more


async def test_a_node_with_another_key_signs_nothing_and_leaves_the_log_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = config_of(tmp_path)
    async with desk_at(config, tmp_path) as at:
        at.hold(Held(STREAM, 1))
        await at.until("idle")
        await at.file(range(3), Held(STREAM, 1))
    shown = config.publish.joinpath(STREAM, CHECKPOINT).read_bytes()
    config.key_file.write_text((bytes([2]) * 32).hex())
    monkeypatch.setattr(desk, "YIELD_LOOK_S", 0.01)
    monkeypatch.setattr(desk, "CIVIC_YIELD_S", 0.1)
    monkeypatch.setattr(desk, "open_civic_store", lambda settings: open_civic_store(config.store))
    shared = replace(config, store=StoreConfig("postgresql", dsn="dbname=a", table="civic.store"))
    async with desk_at(shared, tmp_path) as at:
        at.hold(Held(STREAM, 2))
        await at.until("read-only")
        (status,) = at.desk.status()
        assert status["alarm"] == "log-key"
        assert "civic.other_keys" in str(status["trouble"])
        await come(lambda: at.told.fails == [{STREAM}])
    assert config.publish.joinpath(STREAM, CHECKPOINT).read_bytes() == shown
    async with desk_at(replace(config, other_keys=frozenset({LOG.key.public})), tmp_path) as at:
        at.hold(Held(STREAM, 3))
        await at.until("idle")
