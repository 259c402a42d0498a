"""What one transaction of the store decides, whatever comes twice and in whatever batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic import batch as batch_module
from p2pworld.civic.batch import Known, Plan, named_entries, plan_batch
from p2pworld.civic.kept import UNTIL, Verdict, due_name, due_of
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal
from tests.civic.log_world import DESK, erasure, own_key, submission
from tests.civic.memory_store import KeptInMemory

if TYPE_CHECKING:
    import random

    import pytest

    from p2pworld.civic.kept import Ledger
    from p2pworld.civic.transaction import Submission

FILED = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["text", "other"])), max_size=12)
ERASURES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8), st.booleans()), max_size=4)
DESKS = frozenset({DESK.public})


def test_the_same_twice_in_one_batch_is_one_entry_and_other_content_none() -> None:
    batch = [submission(0), submission(0), submission(0, "other"), submission(1)]
    plan = plan_batch(7, 3, batch, {}, {})
    assert plan.outcomes[:2] == (7, 7)
    assert isinstance(plan.outcomes[2], Refusal)
    assert plan.outcomes[2].reason == "civic-replay"
    assert plan.outcomes[3] == 8
    assert [parse_leaf(entry) for entry in plan.entries] == [submission(0).leaf(3), submission(1).leaf(3)]
    assert plan.learned == {
        submission(0).filing.key: Known(submission(0).fingerprint, 7),
        submission(1).filing.key: Known(submission(1).fingerprint, 8),
    }
    assert plan.writes
    again = plan_batch(9, 3, batch, plan.learned, {})
    assert again.outcomes == plan.outcomes
    assert not again.writes, "all were retries"


@given(FILED, ERASURES, st.randoms(), st.integers(0, 16))
def test_where_a_batch_ends_changes_no_outcome(
    filed: list[tuple[int, str]], erasures: list[tuple[int, int, bool]], drawn: random.Random, cut: int
) -> None:
    batch = [submission(*one) for one in filed]
    batch += [erasure(number, index, DESK if desk else own_key(0)) for number, index, desk in erasures]
    drawn.shuffle(batch)
    whole = plan_batch(0, 1, batch, {}, {}, DESKS)
    first = plan_batch(0, 1, batch[:cut], {}, {}, DESKS)
    size = len(first.entries)
    named = {at: first.entries[at] for at in named_entries(size, batch[cut:])}
    second = plan_batch(size, 1, batch[cut:], first.learned, named, DESKS)
    assert first.entries + second.entries == whole.entries
    assert first.outcomes + second.outcomes == whole.outcomes
    assert first.learned | second.learned == whole.learned
    assert first.erased | second.erased == whole.erased


class Sweeper:
    """A clerk with nothing to say, who takes one row away each time that something is due."""

    def check(self, submission: Submission, minute: int) -> Refusal | None:
        return None

    def decide(self, submission: Submission, ledger: Ledger) -> Verdict:
        return Verdict()

    def settle(self, ledger: Ledger) -> tuple[Submission, ...]:
        name = ledger.rows.first(UNTIL)
        assert name is not None, "it was due"
        ledger.rows.drop(name)
        return self.leaves(name)

    def leaves(self, name: str) -> tuple[Submission, ...]:
        return ()


class Teller(Sweeper):
    """One who has something to say about each."""

    def leaves(self, name: str) -> tuple[Submission, ...]:
        return (submission(due_of(name)[0]),)


def test_rows_that_only_go_are_written_too_as_far_as_they_are_due() -> None:
    rows = {due_name(minute, "x"): b"" for minute in (4, 5, 6)}
    plan = plan_batch(7, 3, [], {}, {}, kept=KeptInMemory(rows), clerk=Sweeper(), minute=5)
    assert (plan.entries, plan.learned) == ((), {})
    assert plan.writes
    assert [change.name for change in plan.rows] == sorted(rows)[:2]
    assert plan.due == 6


def test_as_much_is_settled_as_one_transaction_may_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_module, "CIVIC_SETTLED_MAX", 2)
    rows = {due_name(minute, "x"): b"" for minute in (4, 5, 6)}
    plan = plan_batch(7, 3, [submission(0)], {}, {}, kept=KeptInMemory(rows), clerk=Teller(), minute=9)
    assert [parse_leaf(entry) for entry in plan.entries] == [submission(n).leaf(3) for n in (0, 4, 5)]
    assert plan.outcomes == (7,)
    assert [plan.learned[submission(n).filing.key].outcome for n in (0, 4, 5)] == [7, 8, 9]
    assert plan.due == 6


def test_who_may_have_what_erased() -> None:
    batch = [
        submission(0),
        submission(1),
        erasure(0, 0, own_key(0)),
        erasure(1, 1, DESK),
        erasure(2, 1, own_key(0)),  # of somebody else
        erasure(3, 2, DESK),  # an erasure itself
        erasure(4, 9, DESK),  # not there
        erasure(5, 0, DESK),  # once more, by another
        erasure(3, 2, DESK),  # a retry of what was refused
    ]
    plan = plan_batch(0, 3, batch, {}, {}, DESKS)
    said = [each.reason if isinstance(each, Refusal) else each for each in plan.outcomes]
    right, opened, none = "civic-erase-right", "civic-erase-open", "civic-erase-none"
    assert said == [0, 1, 2, 3, right, opened, none, 4, opened]
    assert plan.erased == {0, 1}
    assert [parse_leaf(entry).filing.type for entry in plan.entries[2:]] == ["erased"] * 3
    later = plan_batch(5, 4, batch, plan.learned, dict(enumerate(plan.entries)), DESKS)
    assert later == Plan((), {}, plan.outcomes)
    stranger = plan_batch(0, 3, [submission(0), erasure(0, 0, DESK)], {}, {})
    assert isinstance(stranger.outcomes[1], Refusal)  # whose desk nobody has named
