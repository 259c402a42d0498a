"""What every civic store must do, as tests that take connections to one store.

A store's own test module imports all of these (`from tests.civic.conformance import *`) and gives the fixture
`open_store`: each await of it is one more connection to the same store, as another process would open it.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest
import trio

from p2pworld.civic.batch import Known, Plan, plan_batch
from p2pworld.civic.kept import Change, Kept
from p2pworld.civic.transaction import Submission, parse_leaf
from p2pworld.errors import LocalError, Refusal
from p2pworld.limits import CIVIC_READ_MAX
from shard_node.civic.store import CivicStore, MakePlan, Row
from shard_node.storage.journal import StorageFailed
from tests.civic.log_world import DESK, STREAM, erasure, own_key, submission
from tests.civic.memory_store import MemoryStore

__all__ = [
    "test_a_batch_of_retries_changes_nothing",
    "test_a_batch_that_cannot_be_planned_leaves_nothing_behind",
    "test_a_closed_store_says_so",
    "test_a_fence_stops_every_older_writer",
    "test_a_new_stream_begins_with_its_first_fence",
    "test_a_refusal_is_remembered_as_an_acceptance_is",
    "test_a_row_beside_the_log_is_never_written_over_unseen",
    "test_a_store_does_what_the_model_does",
    "test_an_older_epoch_cannot_fence",
    "test_entries_are_given_in_bounded_pieces",
    "test_of_two_writers_of_one_row_one_writes",
    "test_only_what_may_be_erased_is",
    "test_rows_beside_the_log_are_read_and_changed_with_it",
    "test_streams_do_not_mix",
    "test_the_whole_batch_is_there_for_the_next_process",
    "test_what_is_erased_is_gone_and_a_retry_is_told_the_same",
    "test_what_is_erased_where_it_was_filed_is_never_kept",
    "test_what_is_sealed_is_that_of_the_filing_which_was_taken",
    "test_who_is_cancelled_leaves_all_or_nothing",
]

OpenStore = Callable[[], Awaitable[CivicStore]]


def batch(*numbers: int) -> list[Submission]:
    return [submission(number) for number in numbers]


desk_plan = partial(plan_batch, desks=frozenset({DESK.public}))


async def filed(store: CivicStore, row: Row, *numbers: int) -> Row:
    """The row after these were committed, which must succeed."""
    plan = await store.commit(STREAM, row, batch(*numbers), plan_batch)
    assert plan is not None
    return replace(row, size=row.size + len(plan.entries))


async def test_a_new_stream_begins_with_its_first_fence(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    assert await store.row(STREAM) is None
    assert await store.commit(STREAM, Row(0, 0, 0), batch(0), plan_batch) is None
    assert await store.fence(STREAM, 3) == Row(3, 1, 0) == await other.row(STREAM)
    assert await store.entries(STREAM, 0, 0) == []
    assert await store.check() == []


async def test_the_whole_batch_is_there_for_the_next_process(open_store: OpenStore) -> None:
    store = await open_store()
    row = await store.fence(STREAM, 1)
    repeated = [*batch(0, 1, 0), submission(1, "other")]
    plan = await store.commit(STREAM, row, repeated, plan_batch)
    assert plan is not None
    assert plan.outcomes[:3] == (0, 1, 0)
    assert await filed(store, Row(1, 1, 2), 2) == Row(1, 1, 3)
    await store.close()
    again = await open_store()
    assert await again.row(STREAM) == Row(1, 1, 3)
    leaves = [parse_leaf(entry) for entry in await again.entries(STREAM, 0, 3)]
    assert leaves == [submission(number).leaf(1) for number in range(3)]
    assert [await again.sealed(STREAM, at) for at in range(4)] == [*[s.sealed for s in batch(0, 1, 2)], None]
    assert await again.check() == []


async def test_what_is_sealed_is_that_of_the_filing_which_was_taken(open_store: OpenStore) -> None:
    """Of two under one key the first may be late, and then nothing is remembered of it."""
    store = await open_store()
    row = await store.fence(STREAM, 1)
    late, taken = submission(0, "late"), submission(0)
    plan = partial(plan_batch, late=frozenset({late.fingerprint}))
    planned = await store.commit(STREAM, row, [late, taken], plan)
    assert planned is not None
    assert (isinstance(planned.outcomes[0], Refusal), planned.outcomes[1]) == (True, 0)
    assert await store.sealed(STREAM, 0) == taken.sealed
    assert await store.check() == []


async def test_a_batch_of_retries_changes_nothing(open_store: OpenStore) -> None:
    store = await open_store()
    row = await filed(store, await store.fence(STREAM, 1), 0, 1)
    again = [submission(1), submission(0, "other"), submission(0)]
    for through in (store, await open_store()):
        plan = await through.commit(STREAM, row, again, plan_batch)
        assert plan is not None
        assert (plan.entries, plan.outcomes[0], plan.outcomes[2]) == ((), 1, 0)
        assert isinstance(plan.outcomes[1], Refusal)
        assert await through.row(STREAM) == row


async def test_a_refusal_is_remembered_as_an_acceptance_is(open_store: OpenStore) -> None:
    refusal = Refusal("slot-taken", "그 시간은 이미 예약되었습니다\nand a second line")

    def refuse(
        size: int,
        epoch: int,
        filed: Sequence[Submission],
        known: Mapping[bytes, Known],
        named: Mapping[int, bytes],
        /,
        *,
        kept: Kept,
    ) -> Plan:
        assert not known
        learned = {each.filing.key: Known(each.fingerprint, refusal) for each in filed}
        return Plan((), learned, (refusal,) * len(filed))

    store = await open_store()
    row = await store.fence(STREAM, 1)
    assert await store.commit(STREAM, row, batch(0), refuse) is not None
    plan = await (await open_store()).commit(STREAM, row, batch(0, 1), plan_batch)
    assert plan is not None
    assert plan.outcomes == (refusal, 0)
    assert await store.check() == []


async def test_what_is_erased_is_gone_and_a_retry_is_told_the_same(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    row = await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    asked = [erasure(0, 1, own_key(1)), erasure(1, 0, DESK), erasure(0, 1, own_key(1))]
    plan = await store.commit(STREAM, row, asked, desk_plan)
    assert plan is not None
    assert plan.outcomes == (3, 4, 3)
    assert plan.erased == {0, 1}
    row = replace(row, size=5)
    for through in (other, store, await open_store()):
        assert [await through.sealed(STREAM, at) for at in range(5)] == [
            None,
            None,
            submission(2).sealed,
            None,
            None,
        ]
        again = [*batch(0, 1, 2), submission(1, "other"), *asked]
        told = await through.commit(STREAM, row, again, desk_plan)
        assert told is not None
        assert told.outcomes[:3] == (0, 1, 2)
        assert isinstance(told.outcomes[3], Refusal)
        assert told.outcomes[4:] == (3, 4, 3)
        assert await through.check() == []
    entries = await other.entries(STREAM, 0, 5)
    assert parse_leaf(entries[1]) == submission(1).leaf(1)
    assert parse_leaf(entries[3]) == asked[0].leaf(1)
    once_more = await other.commit(STREAM, row, [erasure(2, 1, DESK)], desk_plan)
    assert once_more is not None
    assert once_more.outcomes == (5,)
    assert await store.check() == []


async def test_only_what_may_be_erased_is(open_store: OpenStore) -> None:
    store = await open_store()
    row = await filed(store, await store.fence(STREAM, 1), 0, 1)
    wrong = [erasure(0, 1, own_key(0)), erasure(1, 2, DESK), erasure(2, 99, DESK)]
    plan = await store.commit(STREAM, row, wrong, desk_plan)
    assert plan is not None
    reasons = ["civic-erase-right", "civic-erase-none", "civic-erase-none"]
    assert [each.reason for each in plan.outcomes if isinstance(each, Refusal)] == reasons
    assert await store.row(STREAM) == row
    assert [await store.sealed(STREAM, at) for at in range(2)] == [each.sealed for each in batch(0, 1)]
    told = await (await open_store()).commit(STREAM, row, [*wrong, submission(2)], desk_plan)
    assert told is not None
    assert told.outcomes == (*plan.outcomes, 2)
    assert await store.check() == []


async def test_what_is_erased_where_it_was_filed_is_never_kept(open_store: OpenStore) -> None:
    store = await open_store()
    row = await store.fence(STREAM, 1)
    mixed = [submission(0), erasure(0, 0, own_key(0)), submission(1)]
    plan = await store.commit(STREAM, row, mixed, desk_plan)
    assert plan is not None
    assert plan.outcomes == (0, 1, 2)
    assert [await store.sealed(STREAM, at) for at in range(3)] == [None, None, submission(1).sealed]
    assert await store.check() == []


async def test_a_fence_stops_every_older_writer(open_store: OpenStore) -> None:
    old, new = await open_store(), await open_store()
    row = await filed(old, await old.fence(STREAM, 1), 0)
    assert await new.fence(STREAM, 2) == Row(2, 1 + row.fences, 1)
    assert await old.commit(STREAM, row, batch(1), plan_batch) is None
    assert await old.row(STREAM) == Row(2, 2, 1)
    fenced = await new.fence(STREAM, 2)  # of its own epoch: what it may have on its way cannot come through
    assert await new.commit(STREAM, Row(2, 2, 1), batch(1), plan_batch) is None
    assert await filed(new, fenced, 1) == Row(2, 3, 2)


async def test_an_older_epoch_cannot_fence(open_store: OpenStore) -> None:
    store = await open_store()
    row = await store.fence(STREAM, 5)
    assert await store.fence(STREAM, 4) == row == await store.row(STREAM)


async def test_of_two_writers_of_one_row_one_writes(open_store: OpenStore) -> None:
    one, two = await open_store(), await open_store()
    row = await one.fence(STREAM, 1)
    plans = {}

    async def write(through: CivicStore, number: int) -> None:
        plans[number] = await through.commit(STREAM, row, batch(number), plan_batch)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(write, one, 0)
        nursery.start_soon(write, two, 1)
    (winner,) = [number for number, plan in plans.items() if plan]
    assert parse_leaf((await one.entries(STREAM, 0, 1))[0]) == submission(winner).leaf(1)


async def test_streams_do_not_mix(open_store: OpenStore) -> None:
    store = await open_store()
    await filed(store, await store.fence(STREAM, 1), 0, 1)
    row = await store.fence("중구", 7)
    assert row == Row(7, 1, 0)
    plan = await store.commit("중구", row, batch(1), plan_batch)
    assert plan is not None
    assert plan.outcomes == (0,)
    assert await store.row(STREAM) == Row(1, 1, 2)
    assert parse_leaf((await store.entries("중구", 0, 1))[0]).epoch == 7
    assert await store.check() == []


async def test_entries_are_given_in_bounded_pieces(open_store: OpenStore) -> None:
    store = await open_store()
    await filed(store, await store.fence(STREAM, 1), 0, 1, 2)
    assert [parse_leaf(entry).filing for entry in await store.entries(STREAM, 1, 3)] == [
        submission(1).filing,
        submission(2).filing,
    ]
    for begin, end in ((2, 1), (-1, 1), (0, CIVIC_READ_MAX + 1)):
        with pytest.raises(LocalError):
            await store.entries(STREAM, begin, end)
    with pytest.raises(StorageFailed) as failed:  # whoever has seen four has been set back
        await store.entries(STREAM, 0, 4)
    assert failed.value.reason == "behind"


async def test_a_batch_that_cannot_be_planned_leaves_nothing_behind(open_store: OpenStore) -> None:
    def fail(*_: object, kept: Kept) -> Plan:
        raise LocalError("too long")

    store, other = await open_store(), await open_store()
    row = await store.fence(STREAM, 1)
    with pytest.raises(LocalError, match="too long"):
        await store.commit(STREAM, row, batch(0), fail)
    assert await other.fence(STREAM, 1) == Row(1, 2, 0)  # nothing holds it up
    assert await store.row(STREAM) == Row(1, 2, 0)


def changing(*changes: Change, seen: list[object] | None = None) -> MakePlan:
    """A plan that enters everything, changes these rows, and writes down in `seen` what it was shown."""

    def plan(
        size: int,
        epoch: int,
        filed: Sequence[Submission],
        known: Mapping[bytes, Known],
        named: Mapping[int, bytes],
        /,
        *,
        kept: Kept,
    ) -> Plan:
        if seen is not None:
            seen.extend(
                (
                    kept.under("a/"),
                    kept.get("b"),
                    kept.first("a/"),
                    kept.first("c"),
                    kept.first("a/", "a/1"),
                    kept.last("a/", "a/2"),
                    kept.last("b", "b"),
                    kept.get("a/1"),
                )
            )
            seen.extend(parse_leaf(kept.entry(index)).filing.key for index in range(size))
        return replace(plan_batch(size, epoch, filed, known, named), rows=changes)

    return plan


async def test_rows_beside_the_log_are_read_and_changed_with_it(open_store: OpenStore) -> None:
    store = await open_store()
    row = await store.fence(STREAM, 1)
    other = await store.fence("jung", 1)
    first = [Change("a/2", None, b"two"), Change("a/1", None, b""), Change("b", None, bytes(range(256)))]
    assert await store.commit(STREAM, row, batch(0), changing(*first)) is not None
    assert await store.commit("jung", other, [], changing(Change("a/9", None, b"jung"))) is not None
    seen: list[object] = []
    row = replace(row, size=1)
    # of no submission, and no entry, so that only rows are changed
    again = [Change("a/2", b"two", b"2"), Change("a/1", b"", None), Change("a/3", None, b"three")]
    assert await store.commit(STREAM, row, [], changing(*again, seen=seen)) is not None
    key = submission(0).filing.key
    assert seen == [
        [("a/1", b""), ("a/2", b"two")],
        bytes(range(256)),
        "a/1",
        None,
        "a/2",
        "a/1",
        None,
        b"",
        key,
    ]
    reader = await open_store()
    assert await reader.kept(STREAM, "a/") == [("a/2", b"2"), ("a/3", b"three")]
    assert await reader.kept(STREAM, "a/", 1) == [("a/2", b"2")]
    assert await reader.kept("jung", "") == [("a/9", b"jung")]
    assert await reader.kept("mapo", "") == []
    assert await reader.row(STREAM) == row
    assert await reader.check() == []


@pytest.mark.parametrize(
    "change",
    [
        Change("there", None, b"taken twice"),
        Change("gone", b"x", b"y"),
        Change("gone", b"x", None),
    ],
    ids=["added", "changed", "dropped"],
)
async def test_a_row_beside_the_log_is_never_written_over_unseen(
    open_store: OpenStore, change: Change
) -> None:
    """Whatever a plan believes: what is not as it believes ends the transaction, all of it."""
    store = await open_store()
    row = await store.fence(STREAM, 1)
    assert await store.commit(STREAM, row, batch(0), changing(Change("there", None, b"first"))) is not None
    row = replace(row, size=1)
    with pytest.raises((StorageFailed, AssertionError)):
        await store.commit(STREAM, row, batch(1), changing(change))
    later = await open_store()
    assert await later.row(STREAM) == row
    assert await later.kept(STREAM, "") == [("there", b"first")]
    assert await later.check() == []


async def test_who_is_cancelled_leaves_all_or_nothing(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    row = await store.fence(STREAM, 1)
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.commit(STREAM, row, batch(0, 1), plan_batch)
    fenced = await other.fence(STREAM, 2)
    assert fenced.size in (0, 2)
    assert len(await store.entries(STREAM, 0, fenced.size)) == fenced.size
    assert await store.check() == []


async def test_a_closed_store_says_so(open_store: OpenStore) -> None:
    store = await open_store()
    row = await store.fence(STREAM, 1)
    await store.close()
    await store.close()
    for call in (store.fence(STREAM, 1), store.row(STREAM), store.check()):
        with pytest.raises(StorageFailed) as caught:
            await call
        assert caught.value.reason == "closed"
    with pytest.raises(StorageFailed):
        await store.commit(STREAM, row, batch(0), plan_batch)


async def test_a_store_does_what_the_model_does(open_store: OpenStore) -> None:
    """Writers that know the row, or an older one, or none; at every step both must say the same."""
    store, model = await open_store(), MemoryStore({})
    drawn = random.Random(7)
    rows = [Row(0, 0, 0)]
    for _ in range(60):
        stream, epoch = drawn.choice([STREAM, "서울"]), drawn.randrange(4)
        if drawn.random() < 0.25:
            fenced = await store.fence(stream, epoch)
            assert fenced == await model.fence(stream, epoch)
            rows.append(fenced)
            continue
        numbers = [drawn.randrange(30) for _ in range(drawn.randrange(1, 5))]
        wanted = [submission(number, drawn.choice(["text", "text", "other"])) for number in numbers]
        if drawn.random() < 0.3:
            wanted.append(erasure(drawn.randrange(9), drawn.randrange(9), DESK, stream))
        row = drawn.choice([await model.row(stream) or rows[0], drawn.choice(rows)])
        assert await store.commit(stream, row, wanted, desk_plan) == await model.commit(
            stream, row, wanted, desk_plan
        )
        now = await model.row(stream)
        assert await store.row(stream) == now
        if now:
            assert await store.entries(stream, 0, now.size) == await model.entries(stream, 0, now.size)
            for index in range(min(now.size, 9)):
                assert await store.sealed(stream, index) == await model.sealed(stream, index)
            rows.append(now)
    assert await store.check() == []
