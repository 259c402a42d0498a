"""What a log's holder does for attachments: nothing is entered without them, nothing stays that should not."""

from __future__ import annotations

import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from p2pworld.civic.attached import FILES, file_row, files_paper, is_put_by, names_in, sign_put
from p2pworld.civic.transaction import Paper
from p2pworld.errors import Refusal
from p2pworld.limits import ATTACHMENT_DAYS, ATTACHMENTS_NAMED_MAX, ATTACHMENTS_OLDEST_MINUTES
from shard_node.attachments import store as rules
from shard_node.attachments.files import FileAttachments
from shard_node.attachments.keeper import LOOK_S, TIDY_S, AttachmentKeeper
from shard_node.civic.store import Row
from shard_node.storage.journal import StorageFailed
from tests.attachments.conformance import MINUTE, name, naming, owner, pieces, put
from tests.civic.log_world import erasure, submission
from tests.services.office import Office, papers, request

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from p2pworld.civic.transaction import Submission
    from shard_node.attachments.store import Held
    from shard_node.civic.store import CivicStore

STREAM = "jongno"


def named(number: int, *texts: str) -> Submission:
    return naming(submission(number), *texts)


def complaint(number: int, *texts: str) -> Submission:
    return naming(request("complaint-field", "jongno", MINUTE, number), *texts)


@dataclass
class Log:
    """What a keeper reads of a civic store."""

    rows: dict[str, bytes] = field(default_factory=dict)
    leaves: list[bytes] = field(default_factory=list)
    fails: bool = False

    async def kept(self, stream: str, prefix: str) -> list[tuple[str, bytes]]:
        if self.fails:
            raise StorageFailed("busy", "not now")
        return [each for each in self.rows.items() if each[0].startswith(prefix)]

    async def row(self, stream: str) -> Row:
        return Row(1, 1, len(self.leaves))

    async def entries(self, stream: str, begin: int, end: int) -> list[bytes]:
        return self.leaves[begin:end]

    def enter(self, filed: Submission) -> int:
        """Enters it, and writes down what it names, as the transaction of a store does."""
        self.leaves.append(filed.leaf(1).to_bytes())
        names = names_in(filed)
        assert not isinstance(names, Refusal)
        self.rows |= {file_row(one): str(len(self.leaves) - 1).encode() for one in names}
        return len(self.leaves) - 1


@dataclass
class World:
    """One stream's attachments in files, its log, and a clock that stands."""

    folder: Path
    log: Log = field(default_factory=Log)
    minute: int = MINUTE

    def __post_init__(self) -> None:
        self.store = FileAttachments(self.folder)
        self.keeper = AttachmentKeeper(STREAM, self.store, cast("CivicStore", self.log), lambda: self.minute)

    async def names(self, *texts: str) -> set[str]:
        held = await self.store.held(STREAM, [name(text) for text in texts])
        return {text for text in texts if name(text) in held}

    async def unfit(self, filed: Submission) -> str:
        found = await self.keeper.unfit([submission(99), filed])
        assert set(found) <= {filed.fingerprint}
        return found[filed.fingerprint].reason if found else ""

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keeper.run)
            yield
            await trio.testing.wait_all_tasks_blocked(0.02)
            nursery.cancel_scope.cancel()


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "attachments")


async def test_what_names_nothing_or_what_is_there_may_be_entered(world: World) -> None:
    await put(world.store, "a", b"x")
    await put(world.store, "b", b"y")
    assert await world.unfit(named(1)) == ""
    assert await world.unfit(named(1, "a", "b", "a")) == ""
    assert await world.unfit(named(1, "a", "c")) == "attachment-missing"


async def test_what_may_soon_be_taken_away_counts_as_missing_until_it_is_put_again(world: World) -> None:
    await put(world.store, "a", b"x")
    world.minute += ATTACHMENTS_OLDEST_MINUTES - 1
    assert await world.unfit(named(1, "a")) == ""
    world.minute += 1
    assert await world.unfit(named(1, "a")) == "attachment-missing"
    await put(world.store, "a", b"x", minute=world.minute)
    assert await world.unfit(named(1, "a")) == ""
    await world.store.bind(STREAM, {name("a"): 0})
    world.minute += 10**6
    assert await world.unfit(named(1, "a")) == ""


async def test_a_store_that_cannot_be_looked_at_keeps_only_those_waiting_who_name_something(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    async def broken(stream: str, names: Collection[bytes]) -> dict[bytes, Held]:
        raise StorageFailed("io", "gone")

    async def slow(stream: str, names: Collection[bytes]) -> dict[bytes, Held]:
        await trio.sleep(10 * LOOK_S)
        raise AssertionError

    store: Any = world.store
    for held in (broken, slow):
        store.held = held
        assert await world.unfit(named(1, "a")) == "civic-down"
        assert await world.keeper.unfit([named(2)]) == {}


async def test_what_was_entered_is_kept_and_what_was_not_goes_after_a_day(world: World) -> None:
    for text in ("filed", "refused", "never filed"):
        await put(world.store, text, b"x")
    first, second = named(1, "filed"), named(2, "refused")
    world.log.enter(first)
    async with world.at_work():
        world.keeper.entered([first, second], [0, Refusal("slot-taken", "")], frozenset())
    assert (await world.store.held(STREAM, [name("filed")]))[name("filed")].entry == 0
    world.minute += ATTACHMENT_DAYS * 1_440
    await world.keeper.tidy()
    assert await world.names("filed", "refused", "never filed") == {"filed", "refused", "never filed"}
    world.minute += 1
    await world.keeper.tidy()
    assert await world.names("filed", "refused", "never filed") == {"filed"}


async def test_what_nobody_told_the_keeper_is_not_taken_away_if_the_log_s_rows_know_it(world: World) -> None:
    """The process ended between the commit and the binding."""
    await put(world.store, "filed", b"x")
    world.log.enter(named(1, "filed"))
    world.minute += ATTACHMENT_DAYS * 1_440 + 1
    await world.keeper.tidy()
    assert (await world.store.held(STREAM, [name("filed")]))[name("filed")].entry == 0


async def test_a_retry_binds_nothing_anew(world: World) -> None:
    await put(world.store, "a", b"x")
    filed = named(1, "a")
    world.log.enter(filed)
    async with world.at_work():
        for _ in range(3):
            world.keeper.entered([filed], [0], frozenset())
    assert await world.store.of_entries(STREAM, [0]) == [name("a")]


async def test_what_is_erased_goes_and_no_other(world: World) -> None:
    for number, text in enumerate(("first", "second")):
        await put(world.store, text, b"x")
        world.log.enter(named(number, text))
        await world.store.bind(STREAM, {name(text): number})
    async with world.at_work():
        world.log.enter(erasure(5, 0))
        world.keeper.entered([erasure(5, 0)], [2], frozenset({0}))
    assert await world.names("first", "second") == {"second"}


async def test_what_was_erased_before_this_holder_came_goes_too(world: World) -> None:
    """An earlier one ended before it came to it, or a copy of the folder has brought it back."""
    for number, text in enumerate(("first", "second")):
        await put(world.store, text, b"x")
        world.log.enter(named(number, text))
        await world.store.bind(STREAM, {name(text): number})
    world.log.enter(erasure(5, 1))
    async with world.at_work():
        pass
    assert await world.names("first", "second") == {"first"}


async def test_a_store_that_fails_is_tidied_later(
    world: World, autojump_clock: trio.testing.MockClock
) -> None:
    await put(world.store, "old", b"x", minute=MINUTE - ATTACHMENT_DAYS * 1_440 - 1)
    world.log.fails = True
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.keeper.run)
        await trio.sleep(TIDY_S / 2)
        assert await world.names("old") == {"old"}
        world.log.fails = False
        await trio.sleep(TIDY_S)
        assert await world.names("old") == set()
        nursery.cancel_scope.cancel()


# ---- where too much waits


async def brought(world: World, who: str, *texts: str, size: int = 1) -> list[str]:
    """Puts these for somebody; those for which there was no room."""
    found = []
    for text in texts:
        refused = await world.keeper.put(who, name(text), pieces(b"x" * size), world.minute)
        found += [text] if refused is not None else []
    return found


def numbered(who: str, count: int) -> list[str]:
    return [f"{who} {number}" for number in range(count)]


async def test_who_brings_little_keeps_it_however_much_others_bring(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "ATTACHMENTS_WAITING_MAX", 12)
    citizen, flood = numbered("citizen", 2), numbered("flood", 40)
    assert await brought(world, "10.0.0.1", *citizen) == []
    world.minute += 1
    assert await brought(world, "10.0.0.2", *flood[:20]) == []
    assert await brought(world, "10.0.0.3", *flood[20:]) == []
    assert await world.names(*citizen) == set(citizen)
    # the two that flood it have the rest between them, and of each the oldest went
    left = await world.names(*flood)
    first, second = (len(left.intersection(part)) for part in (flood[:20], flood[20:]))
    assert (first + second, abs(first - second) <= 2) == (10, True)
    assert left == {*flood[20 - first : 20], *flood[40 - second :]}
    # and who comes now finds room
    assert await brought(world, "10.0.0.4", "late") == []
    assert await world.names("late", *citizen) == {"late", *citizen}


async def test_bytes_are_shared_as_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "ATTACHMENT_BYTES_MAX", 100)
    monkeypatch.setattr(rules, "ATTACHMENTS_WAITING_BYTES_MAX", 1_000)
    assert await brought(world, "a", "small", size=90) == []
    assert await brought(world, "b", *numbered("large", 30), size=100) == []
    held = await world.store.waiting(STREAM, world.minute + 1)
    assert sum(one.size for one in held.values()) == 990
    assert name("small") in held


async def test_what_is_filed_or_being_filed_never_gives_way(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "ATTACHMENTS_WAITING_MAX", 3)
    assert await brought(world, "a", "filed", "asked", "idle") == []
    world.log.enter(named(1, "filed"))  # and not bound yet
    assert await world.unfit(named(2, "asked")) == ""
    assert await brought(world, "b", "one") == []
    assert await brought(world, "b", "two") == []
    assert await world.names("filed", "asked", "idle", "one", "two") == {"filed", "asked", "one", "two"}
    assert (await world.store.held(STREAM, [name("filed")]))[name("filed")].entry == 0
    # what gives way is no longer there for a filing that comes meanwhile
    assert await brought(world, "b", "three") == []
    assert await world.unfit(named(3, "one")) == "attachment-missing"


# ---- the rows beside the log


def test_names_are_32_bytes_each_with_a_signature_and_each_counts_once() -> None:
    assert names_in(named(1)) == ()
    assert names_in(named(1, "a", "b", "a")) == (name("a"), name("b"))
    for joined in (b"x" * 95, b"x" * 96 * (ATTACHMENTS_NAMED_MAX + 1)):
        found = names_in(replace(submission(1), papers=(Paper(FILES, joined),)))
        assert isinstance(found, Refusal)
        assert found.reason == "attachment-name"


def test_one_attachment_is_one_entry_s() -> None:
    office, first = Office("jongno", MINUTE), complaint(0, "a", "b")
    assert office.said(first) == 0
    assert office.rows[file_row(name("a"))] == office.rows[file_row(name("b"))] == b"0"
    assert office.said(complaint(1, "b", "c")) == "attachment-taken"
    assert file_row(name("c")) not in office.rows
    assert office.said(first) == 0
    assert office.said(complaint(1, "c")) == 1  # nothing was remembered against it
    assert office.said(papers(complaint(2), files=b"x")) == "attachment-name"
    assert office.said(complaint(2)) == 2


def test_whoever_sees_names_under_way_cannot_have_them_for_another_filing() -> None:
    office, first = Office("jongno", MINUTE), complaint(0, "a")
    seen = first.paper(FILES)
    assert seen is not None
    for stolen in (
        seen,
        name("a") + bytes(64),
        files_paper([owner("another")], first.filing.key).data[:32] + seen[32:],
    ):
        assert office.said(papers(complaint(1), files=stolen)) == "attachment-signature"
    assert office.said(first) == 0
    assert office.said(complaint(1)) == 1  # nothing was remembered against it


def test_two_of_one_batch_cannot_have_one_attachment() -> None:
    first, second = Office("jongno", MINUTE).take(complaint(0, "a"), complaint(1, "a"))
    assert first == 0
    assert isinstance(second, Refusal)
    assert second.reason == "attachment-taken"


def test_what_is_put_is_signed_for_by_whoever_owns_the_name() -> None:
    digest = hashlib.sha256(b"locked").digest()
    sig = sign_put(owner("a"), "jongno", digest)
    assert is_put_by(name("a"), "jongno", digest, sig)
    assert not is_put_by(name("b"), "jongno", digest, sig)
    assert not is_put_by(name("a"), "mapo", digest, sig)
    assert not is_put_by(name("a"), "jongno", hashlib.sha256(b"else").digest(), sig)


def test_names_do_not_change_what_is_filed() -> None:
    plain = request("complaint-field", "jongno", MINUTE, 1)
    assert naming(plain, "a").fingerprint == plain.fingerprint
    assert hashlib.sha256(plain.filing.statement()).digest()
