"""The holder of a log: told as a story, and then crashed, failed and superseded at every point."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.civic.log import LogHolder, Stage
from p2pworld.civic.steps import (
    AskWitnesses,
    Commit,
    Cosigned,
    Failed,
    Fence,
    Fenced,
    KeepWitnessed,
    Publish,
    Published,
    PutRecord,
    ReadHeads,
    Refuse,
    Republish,
)
from p2pworld.crypto.keys import Signer
from p2pworld.limits import CIVIC_BATCH_MAX, CIVIC_PATIENCE_S, CIVIC_QUEUE_MAX, CIVIC_RETRY_S
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, NoteSigner
from p2pworld.merkle.tree import EMPTY_ROOT
from tests.civic.log_world import MINUTE, STREAM, TYPES, Client, Holder, World, submission
from tests.merkle.signed import LOG, ORIGIN


def begin(world: World | None = None) -> tuple[World, Client, Holder]:
    world = world or World()
    client = Client(world)
    return world, client, Holder(world, client, world.epoch + 1)


def names(holder: Holder) -> list[str]:
    """What the process does until it comes to rest, by name."""
    done = []
    while holder.effects or holder.results:
        if holder.effects:
            done.append(type(holder.effects[0]).__name__)
        holder.act()
    return done


def check_all_accepted(world: World, client: Client, numbers: range) -> None:
    """With no more faults, the next holder finishes, and everybody who asks again is told the same."""
    last = Holder(world, client, world.epoch + 1)
    last.run()
    for number in numbers:
        client.file(last, submission(number))
    last.run()
    assert last.machine.stage is Stage.IDLE
    assert {submission(number).fingerprint for number in numbers} <= set(world.accepted)
    assert world.published is not None
    assert world.witnessed is not None
    assert world.record is not None
    sizes = {Checkpoint.parse(note.text).size for note in (world.published, world.witnessed)}
    assert sizes == {len(world.entries)} == {world.record.size}
    assert not world.alarms
    world.check()


# ---- the story


def test_a_new_log_and_its_first_batches() -> None:
    world, client, holder = begin()
    assert names(holder) == ["Fence", "ReadHeads", "PutRecord", "Republish", "AskWitnesses", "KeepWitnessed"]
    assert world.published is not None
    assert Checkpoint.parse(world.published.text).size == 0
    client.file(holder, submission(0))
    client.file(holder, submission(1))  # gathers while the first is on its way
    client.file(holder, submission(2))
    batch = ["Commit", "PutRecord", "Publish", "Accept"]
    assert names(holder)[:4] == batch
    assert len(world.entries) == 3
    assert world.accepted == {submission(number).fingerprint: number for number in range(3)}
    check_all_accepted(world, client, range(3))


def test_a_retry_is_told_the_same_and_other_content_is_refused() -> None:
    world, client, holder = begin()
    holder.run()
    for _ in range(3):
        client.file(holder, submission(0))
        holder.run()
    assert len(world.entries) == 1
    client.file(holder, submission(0))
    assert names(holder) == ["Commit", "Accept"]  # nothing to record or to publish
    request = client.file(holder, submission(0, "other"))
    holder.run()
    assert client.refused[request] == "civic-replay"
    first, second = client.file(holder, submission(1, "other")), client.file(holder, submission(1))
    assert first not in client.refused
    holder.run()
    assert client.refused[second] == "civic-replay"
    assert len(world.entries) == 2


@pytest.mark.parametrize("minutes", [11, 60, 100_000])
def test_a_retry_may_come_at_any_time_and_nothing_else_may(minutes: int) -> None:
    """Whoever lost the connection and comes back tomorrow is told the same; what was never entered is too late then."""
    world, client, holder = begin()
    client.file(holder, submission(0))
    holder.run()
    later = MINUTE + minutes
    for number in (0, 1, 1):
        client.file(holder, submission(number), later)
    other = client.file(holder, submission(0, "other"), later)
    holder.run()
    assert list(client.refused.values()) == ["civic-clock", "civic-clock", "civic-replay"]
    assert client.refused[other] == "civic-replay"
    assert world.accepted == {submission(0).fingerprint: 0}
    assert (
        submission(1).filing.key not in world.known
    )  # nothing is remembered: with a clock set right it may come
    client.file(holder, submission(1))
    holder.run()
    check_all_accepted(world, client, range(2))


def test_what_is_not_well_filed_never_gets_into_a_batch() -> None:
    _, client, holder = begin()
    holder.run()
    request = client.file(holder, replace(submission(0), sig=bytes(64)))
    assert names(holder) == ["Refuse"]
    assert client.refused[request] == "civic-signature"


def test_what_comes_before_the_log_is_ready_waits() -> None:
    world, client, holder = begin()
    client.file(holder, submission(0))
    holder.run()
    assert world.accepted == {submission(0).fingerprint: 0}


def test_batches_and_the_queue_are_bounded() -> None:
    machine = LogHolder(STREAM, 1, [LOG], TYPES)
    filed = submission(0)
    for request in range(CIVIC_QUEUE_MAX):
        assert machine.submit(request, filed, MINUTE) == []
    refused = machine.submit(CIVIC_QUEUE_MAX, filed, MINUTE)
    assert [type(effect) for effect in refused] == [Refuse]
    assert isinstance(refused[0], Refuse)
    assert refused[0].refusal.reason == "civic-busy"
    holder = Holder(world := World(), Client(world), 1, machine)
    while not holder.effects or not isinstance(holder.effects[0], Commit):
        holder.act()
    assert len(holder.effects[0].submissions) == CIVIC_BATCH_MAX


@pytest.mark.parametrize("kind", [Fence, ReadHeads, PutRecord, Republish, Publish])
@pytest.mark.parametrize("done", [False, True])
def test_what_failed_is_tried_again_after_a_while(kind: type, done: bool) -> None:
    world, client, holder = begin()
    client.file(holder, submission(0))
    until(holder, kind)
    failed = holder.effects[0]
    holder.now = 100.0
    assert holder.fail(done=done)
    holder.act()  # it is told so
    assert holder.machine.deadline == 100.0 + CIVIC_RETRY_S
    assert holder.machine.tick(100.0 + CIVIC_RETRY_S / 2) == []
    (again,) = holder.machine.tick(100.0 + CIVIC_RETRY_S)
    assert type(again) is type(failed)
    holder.effects.append(again)
    holder.run()
    check_all_accepted(world, client, range(1))


def test_a_commit_that_failed_is_looked_for_behind_a_new_fence() -> None:
    for done in (False, True):
        world, client, holder = begin()
        holder.run()
        client.file(holder, submission(0))
        assert holder.fail(done=done)
        assert names(holder) == []  # not at once: a disk that is full stays so for a while
        assert holder.machine.deadline == CIVIC_RETRY_S
        assert holder.act()
        steps = names(holder)
        assert steps[:4] == ["Fence", "ReadHeads", "PutRecord", "Republish"]
        assert steps.count("Commit") == steps.count("Accept") == 1
        assert len(world.entries) == 1
        check_all_accepted(world, client, range(1))


def failing(holder: Holder, *kinds: type, until_s: float) -> None:
    """Lets the process act until then, or until it rests; every step of these kinds fails."""
    while holder.now < until_s:
        fails = bool(holder.effects) and isinstance(holder.effects[0], kinds)
        if not (holder.fail(done=False) if fails else holder.act()):
            return


def test_who_waits_for_a_store_that_is_away_is_told_and_may_ask_again() -> None:
    world, client, holder = begin()
    holder.run()
    first = [
        client.file(holder, submission(number)) for number in range(3)
    ]  # the first is in a commit that fails
    failing(holder, Commit, Fence, until_s=CIVIC_PATIENCE_S - 0.1)
    assert not client.refused
    failing(holder, Commit, Fence, until_s=CIVIC_PATIENCE_S + 0.1)
    assert client.refused == dict.fromkeys(first, "civic-unknown")
    late = client.file(holder, submission(3))
    assert holder.effects.pop().refusal.reason == "civic-down"  # type: ignore[union-attr]
    del client.open[late]
    failing(holder, Fence, until_s=3 * CIVIC_PATIENCE_S)
    holder.run()
    again = [client.file(holder, submission(number)) for number in range(4)]
    holder.run()
    assert not client.refused.keys() & set(again)
    check_all_accepted(world, client, range(4))


@pytest.mark.parametrize("kind", [PutRecord, Publish])
def test_who_is_entered_and_not_yet_published_is_told_that_it_is_not_known(kind: type) -> None:
    world, client, holder = begin()
    holder.run()
    request = client.file(holder, submission(0))
    failing(holder, kind, until_s=CIVIC_PATIENCE_S + 0.1)
    assert client.refused == {request: "civic-unknown"}
    holder.run()
    assert world.accepted == {}
    check_all_accepted(world, client, range(2))


def test_a_store_that_takes_fences_and_no_batches_keeps_nobody_waiting_for_long() -> None:
    world, client, holder = begin()
    holder.run()
    requests = [client.file(holder, submission(0))]
    failing(holder, Commit, until_s=CIVIC_PATIENCE_S + 0.1)
    assert client.refused == {requests[0]: "civic-unknown"}
    holder.run()
    begun_s = holder.now
    requests += [
        client.file(holder, submission(number)) for number in (0, 1)
    ]  # it may be well again: it is tried
    failing(holder, Commit, until_s=begun_s + CIVIC_PATIENCE_S + 0.1)
    assert client.refused == dict.fromkeys(requests, "civic-unknown")
    holder.run()
    assert holder.machine.deadline is None
    check_all_accepted(world, client, range(2))


def test_who_is_in_a_commit_under_way_is_told_by_its_result() -> None:
    world, client, holder = begin()
    holder.run()
    early = client.file(holder, submission(0))
    failing(holder, Commit, until_s=CIVIC_PATIENCE_S - 2 * CIVIC_RETRY_S)
    while not (holder.effects and isinstance(holder.effects[0], Commit)):
        holder.act()
    late = client.file(holder, submission(1))
    holder.effects += holder.machine.tick(CIVIC_PATIENCE_S + CIVIC_RETRY_S)
    holder.run()
    assert client.refused == {late: "civic-unknown"}
    assert early not in client.open
    assert world.accepted == {submission(0).fingerprint: 0}
    check_all_accepted(world, client, range(2))


def test_who_is_in_a_commit_that_fails_after_the_others_were_told_is_told_too() -> None:
    world, client, holder = begin()
    holder.run()
    early = client.file(holder, submission(0))
    failing(holder, Commit, until_s=CIVIC_PATIENCE_S - 2 * CIVIC_RETRY_S)
    while not (holder.effects and isinstance(holder.effects[0], Commit)):
        holder.act()
    holder.now = CIVIC_PATIENCE_S + CIVIC_RETRY_S
    holder.effects += holder.machine.tick(holder.now)
    assert client.refused == {}
    assert holder.fail(done=False)
    failing(holder, Fence, until_s=holder.now + 3 * CIVIC_RETRY_S)
    assert client.refused == {early: "civic-unknown"}
    check_all_accepted(world, client, range(1))


def test_a_batch_that_came_through_is_a_new_beginning_for_who_waits_behind_it() -> None:
    world, client, holder = begin()
    holder.run()
    client.file(holder, submission(0))
    failing(holder, Commit, until_s=CIVIC_PATIENCE_S - 3 * CIVIC_RETRY_S)
    until(holder, PutRecord)
    until(holder, Publish)  # of the first, at last
    behind = client.file(holder, submission(1))
    while 0 not in world.accepted.values():
        holder.act()
    failing(holder, Commit, Fence, until_s=CIVIC_PATIENCE_S + CIVIC_RETRY_S)
    assert behind not in client.refused
    holder.run()
    check_all_accepted(world, client, range(2))


def test_a_holder_that_has_ended_waits_for_nothing() -> None:
    """Neither for what failed, nor for witnesses who were too few, nor for the end of anybody's patience."""
    world, client, holder = begin()
    until(holder, AskWitnesses)
    asked = holder.effects.popleft()
    assert isinstance(asked, AskWitnesses)
    holder.tell(Cosigned(asked.checkpoint, ()))
    client.file(holder, submission(0))
    failing(holder, Commit, until_s=CIVIC_RETRY_S * 1.5)
    assert holder.machine.deadline is not None
    Holder(world, client, 9).run()
    while holder.works:
        holder.act()
    assert holder.machine.deadline is None
    assert holder.machine.tick(holder.now + 1_000) == []


def test_without_a_quorum_nobody_is_asked() -> None:
    world = World()
    holder = Holder(world, Client(world), 1, LogHolder(STREAM, 1, [LOG], TYPES))
    assert names(holder) == ["Fence", "ReadHeads", "PutRecord", "Republish"]
    assert world.witnessed is None


def test_witnesses_are_asked_about_one_checkpoint_at_a_time_and_then_about_the_newest() -> None:
    _, client, holder = begin()
    until(holder, AskWitnesses)
    holder.act()
    cosigned = holder.results.popleft()  # witnesses take their time
    for number in range(2):
        client.file(holder, submission(number))
        assert "AskWitnesses" not in names(holder)
    holder.tell(cosigned)
    kept, asked = holder.effects
    assert isinstance(kept, KeepWitnessed)
    assert isinstance(asked, AskWitnesses)
    assert (kept.size, Checkpoint.parse(asked.checkpoint.text).size) == (0, 2)


def test_too_few_witnesses_are_asked_again() -> None:
    world = World()
    machine = LogHolder(STREAM, 1, [LOG], TYPES, quorum=2)  # there is only one
    holder = Holder(world, Client(world), 1, machine)
    for _ in range(40):
        holder.act()
    assert machine.stage is Stage.IDLE
    assert world.seen is not None
    assert world.witnessed is None
    assert machine.deadline is not None
    assert machine.tick(machine.deadline - CIVIC_RETRY_S / 2) == []
    assert [type(effect) for effect in machine.tick(machine.deadline)] == [AskWitnesses]
    assert machine.deadline is None


def shown_something_else(holder: Holder, seen: Checkpoint) -> None:
    """Its witnesses show the holder, while they are asked, what the log has signed elsewhere."""
    until(holder, AskWitnesses)
    asked = holder.effects.popleft()
    assert isinstance(asked, AskWitnesses)
    holder.tell(Cosigned(asked.checkpoint, (), (seen,)))
    holder.run()


def test_a_holder_that_was_overtaken_learns_it_from_a_witness_and_raises_no_alarm() -> None:
    world, client, older = begin()
    until(older, AskWitnesses)
    newer = Holder(world, client, 2)
    newer.run()
    client.file(newer, submission(0))
    newer.run()
    assert world.published is not None
    shown_something_else(older, Checkpoint.parse(world.published.text))
    assert (older.machine.stage, world.alarms) == (Stage.DEPOSED, [])


@pytest.mark.parametrize(("size", "reason"), [(5, "log-behind"), (0, "log-fork")])
def test_what_the_log_signed_elsewhere_makes_it_read_only(size: int, reason: str) -> None:
    world, client, holder = begin()
    until(holder, AskWitnesses)
    for number in range(2):  # on their way, or waiting, when it is shown
        client.file(holder, submission(number))
    shown_something_else(holder, Checkpoint(ORIGIN, size, bytes(32)))
    assert (holder.machine.stage, world.alarms) == (Stage.READ_ONLY, [reason])
    assert not client.open


def test_a_witness_that_was_mistaken_costs_a_new_fence_and_nothing_else() -> None:
    world, client, holder = begin()
    until(holder, AskWitnesses)
    client.file(holder, submission(0))
    shown_something_else(holder, Checkpoint(ORIGIN, 0, EMPTY_ROOT))
    assert (holder.machine.stage, world.alarms) == (Stage.IDLE, [])
    assert world.fences == 2
    check_all_accepted(world, client, range(1))


def test_late_and_foreign_results_are_nothing_to_it() -> None:
    _, client, holder = begin()
    holder.run()
    client.file(holder, submission(0))
    machine = holder.machine
    commit = holder.effects[0]
    assert isinstance(commit, Commit)
    for result in (Published(commit.ticket - 1), Fenced(commit.ticket + 1, 1, 1), Failed(0)):
        assert machine.step(result, 0.0) == []
    assert machine.stage is Stage.COMMITTING
    with pytest.raises(AssertionError):
        machine.step(Published(commit.ticket), 0.0)


# ---- who has been superseded


def test_a_newer_holder_ends_the_older_one_and_answers_for_it() -> None:
    for steps in range(12):
        world, client, old = begin()
        old.run()
        client.file(old, submission(0))
        for _ in range(steps):
            old.act()
        new = Holder(world, client, world.epoch + 1)
        new.run()
        old.run()
        if not old.works:
            assert old.machine.stage is Stage.DEPOSED
            request = client.file(old, submission(1))
            old.run()
            assert client.refused[request] == "civic-moved"
            assert old.machine.waiting == 0
        check_all_accepted(world, client, range(3))


def until(holder: Holder, kind: type) -> None:
    """Acts until the next thing to be done is such a step."""
    while not (holder.effects and isinstance(holder.effects[0], kind)):
        assert holder.act()


def test_a_record_of_the_older_holder_that_comes_late_is_read_and_gone_on_from() -> None:
    world, client, old = begin()
    old.run()
    client.file(old, submission(0))
    until(old, PutRecord)
    new = Holder(world, client, world.epoch + 1)
    until(new, PutRecord)  # it has read
    old.act()
    assert world.record is not None
    assert (world.record.size, world.record.epoch) == (1, 1)
    assert names(new)[:5] == ["PutRecord", "Fence", "ReadHeads", "PutRecord", "Republish"]
    assert new.machine.stage is Stage.IDLE
    old.run()
    check_all_accepted(world, client, range(3))


def test_a_record_that_vanishes_meanwhile_is_no_crash() -> None:
    world, client, holder = begin()
    holder.run()
    request = client.file(holder, submission(0))
    until(holder, PutRecord)
    world.record = None
    holder.run()
    assert holder.machine.stage is Stage.READ_ONLY
    assert world.alarms == ["log-record-lost"]
    assert client.refused[request] == "civic-read-only"


def test_an_epoch_that_was_passed_never_begins() -> None:
    world, client, holder = begin()
    holder.run()
    world.epoch = 9
    late = Holder(world, client, 8)
    request = client.file(late, submission(0))
    late.run()
    assert late.machine.stage is Stage.DEPOSED
    assert client.refused[request] == "civic-moved"
    # the store was restored from before, the coordination store knows better
    world.epoch = 1
    assert world.record is not None
    world.record = replace(world.record, epoch=5)
    older = Holder(world, client, 4)
    older.run()
    assert older.machine.stage is Stage.DEPOSED


# ---- crashes and failures, at every point and at every pair of points


def story(holder: Holder, client: Client, steps: int = 10_000) -> int:
    """A new log, one transaction, and two more in one batch, up to step number `steps`; how many there were."""
    done = holder.run(steps)
    if done < steps:
        for number in range(3):
            client.file(holder, submission(number))
        done += holder.run(steps - done)
    return done


def whole_story() -> tuple[World, int]:
    world, client, holder = begin()
    return world, story(holder, client)


LENGTH = whole_story()[1]


@pytest.mark.parametrize("first", range(LENGTH + 1))
def test_a_crash_at_every_point_and_another_at_every_point_of_the_recovery(first: int) -> None:
    for second in range(LENGTH):
        world, client, holder = begin()
        story(holder, client, first)
        again = Holder(world, client, world.epoch + 1)  # the crashed one's memory is gone
        client.file(again, submission(1))
        at_rest = again.run(second) < second
        check_all_accepted(world, client, range(3))
        if at_rest:
            break


@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("first", range(LENGTH + 1))
def test_a_failure_at_every_point_and_another_soon_after(first: int, done: bool) -> None:
    for second in range(8):
        for second_done in (False, True):
            world, client, holder = begin()
            story(holder, client, first)
            if not holder.fail(done=done):
                return  # what comes next is no step
            holder.run(second)
            if not holder.fail(done=second_done) and second:
                continue
            holder.run()
            assert holder.works
            for number in range(3):
                client.file(holder, submission(number))
            holder.run()
            assert not client.open
            check_all_accepted(world, client, range(3))


# ---- any schedule

ACTS = ["act"] * 8 + ["file", "file", "fail", "fail done", "crash", "succeed", "run"]
SCHEDULES = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 5), st.integers(0, 2)), max_size=80)


def play(world: World, schedule: list[tuple[str, int, int]]) -> Client:
    """Up to three holders at once, of growing epochs, with faults."""
    client = Client(world)
    holders = [Holder(world, client, 1)]
    for act, number, who in schedule:
        holder = holders[who % len(holders)]
        if act == "act":
            holder.act()
        elif act == "run":
            holder.run()
        elif act == "file":
            client.file(holder, submission(number))
        elif act.startswith("fail"):
            holder.fail(done=act == "fail done")
        elif act == "crash":
            holders[who % len(holders)] = Holder(world, client, world.epoch + 1)
        elif act == "succeed" and len(holders) < 3:
            holders.append(Holder(world, client, world.epoch + 1))
        world.check()
    return client


@settings(max_examples=100)
@given(SCHEDULES)
def test_no_schedule_breaks_what_is_promised(schedule: list[tuple[str, int, int]]) -> None:
    world = World()
    client = play(world, schedule)
    check_all_accepted(world, client, range(6))


SUPERSEDED = [
    *[("run", 0, 0), ("file", 0, 0), ("succeed", 0, 0), ("run", 0, 1), ("file", 1, 1), ("run", 0, 1)],
    *[("act", 0, 0)] * 12,
]


def test_without_the_fence_the_checks_notice() -> None:
    play(World(), SUPERSEDED)
    with pytest.raises(AssertionError):
        play(World(fenced=False), SUPERSEDED)


def test_without_the_comparison_of_records_the_checks_notice() -> None:
    # the older holder's transaction came through before it was fenced, its record comes late, over a newer one
    late = [
        *[("run", 0, 0), ("file", 0, 0), ("act", 0, 0), ("act", 0, 0)],
        *[("succeed", 0, 0), ("run", 0, 1), ("file", 1, 1), ("run", 0, 1), ("act", 0, 0), ("act", 0, 0)],
    ]
    for compared in (True, False):
        world = World(compared=compared)
        play(world, late)
        assert world.record is not None
        assert (world.record.size == 2) is compared


# ---- what is no crash


def told_at_start(world: World) -> str:
    client, signed = Client(world), len(world.signed)
    holder = Holder(world, client, world.epoch + 1)
    request = client.file(holder, submission(9))
    holder.run()
    assert holder.machine.stage is Stage.READ_ONLY
    assert client.refused[request] == "civic-read-only"
    assert len(world.signed) == signed
    return world.alarms[-1]


def three_filed() -> World:
    world, _ = whole_story()
    assert list(world.signed) == [0, 1, 3]
    return world


def other_root(note: Note | None) -> Note:
    assert note is not None
    read = Checkpoint.parse(note.text)
    text = replace(read, root=bytes(32)).text
    return Note(text, (LOG.sign(text),))


def test_a_store_restored_from_an_older_backup_is_read_only() -> None:
    world = three_filed()
    del world.entries[2:]
    assert told_at_start(world) == "log-behind"


def test_a_record_that_is_gone_or_of_another_history_is_read_only() -> None:
    world = three_filed()
    record, world.record = world.record, None
    assert told_at_start(world) == "log-record-lost"
    assert record is not None
    nothing = three_filed()
    nothing.entries.clear()
    for published, witnessed in ((nothing.published, None), (None, nothing.witnessed)):
        nothing.record, nothing.published, nothing.witnessed = None, published, witnessed
        assert told_at_start(nothing) == "log-record-lost"
    for wrong, reason in (
        (replace(record, size=2, root=record.root), "log-behind"),  # published is further than the record
        (replace(record, root=bytes(32)), "log-fork"),
        (replace(record, origin="seoul.example/mapo"), "log-origin"),
        (replace(record, size=4), "log-behind"),
    ):
        world = three_filed()
        world.record = wrong
        assert told_at_start(world) == reason


def test_another_key_signs_nothing_unless_the_key_is_being_changed() -> None:
    other = NoteSigner(ORIGIN, Signer.from_seed(bytes([9]) * 32))
    world = three_filed()
    signed = len(world.signed)
    holder = Holder(world, Client(world), 2, LogHolder(STREAM, 2, [other], TYPES))
    holder.run()
    assert world.alarms == ["log-key"]
    assert len(world.signed) == signed
    known = LogHolder(STREAM, 3, [other], TYPES, 0, frozenset({LOG.key.public}))
    holder = Holder(world, Client(world), 3, known)
    holder.run()
    assert holder.machine.stage is Stage.IDLE
    assert world.record is not None
    assert world.record.key == other.key.public


def test_what_was_published_or_witnessed_of_another_history_is_read_only() -> None:
    world = three_filed()
    world.published = other_root(world.published)
    assert told_at_start(world) == "log-fork"
    world = three_filed()
    world.witnessed = other_root(world.witnessed)
    assert told_at_start(world) == "log-fork"
    world = three_filed()
    world.published = None
    assert told_at_start(world) == "log-behind"  # witnesses have seen more than is published


def test_an_altered_entry_is_read_only() -> None:
    world = three_filed()
    world.entries[1] = submission(7).leaf(1).to_bytes()
    world.accepted.clear()
    world.signed = dict.fromkeys(world.signed, b"")
    assert told_at_start(world) == "log-fork"
