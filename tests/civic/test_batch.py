"""What one transaction of the store decides, whatever comes twice and in whatever batches."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pworld.civic.batch import Known, plan_batch
from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal
from tests.civic.log_world import submission

FILED = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["text", "other"])), max_size=12)


def test_the_same_twice_in_one_batch_is_one_entry_and_other_content_none() -> None:
    batch = [submission(0), submission(0), submission(0, "other"), submission(1)]
    plan = plan_batch(7, 3, batch, {})
    assert plan.outcomes[:2] == (7, 7)
    assert isinstance(plan.outcomes[2], Refusal)
    assert plan.outcomes[2].reason == "civic-replay"
    assert plan.outcomes[3] == 8
    assert [parse_leaf(entry) for entry in plan.entries] == [submission(0).leaf(3), submission(1).leaf(3)]
    assert plan.learned == {
        submission(0).filing.key: Known(submission(0).fingerprint, 7),
        submission(1).filing.key: Known(submission(1).fingerprint, 8),
    }


@given(FILED, st.integers(0, 12))
def test_where_a_batch_ends_changes_no_outcome(filed: list[tuple[int, str]], cut: int) -> None:
    batch = [submission(*one) for one in filed]
    whole = plan_batch(0, 1, batch, {})
    first = plan_batch(0, 1, batch[:cut], {})
    second = plan_batch(len(first.entries), 1, batch[cut:], first.learned)
    assert first.entries + second.entries == whole.entries
    assert first.outcomes + second.outcomes == whole.outcomes
    assert first.learned | second.learned == whole.learned
    assert len({one for one, _ in filed}) == len(whole.entries)
