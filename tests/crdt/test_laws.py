"""The laws every replicated type must keep, over states its own mutators reach."""

from __future__ import annotations

from functools import reduce
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .histories import KINDS, Kind, Move, moves, play

every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
picks = st.tuples(*[st.integers(0, 1 << 16)] * 3)
quick = settings(max_examples=60, deadline=None)


def three(kind: Kind, steps: list[Move], pick: tuple[int, ...]) -> list[Any]:
    run = play(kind, steps)
    states = run.states + run.deltas
    return [states[index % len(states)] for index in pick]


@every_kind
@quick
@given(steps=moves, pick=picks)
def test_merge_is_a_least_upper_bound(kind: Kind, steps: list[Move], pick: tuple[int, ...]) -> None:
    a, b, c = three(kind, steps, pick)
    plain = [kind.to_plain(state) for state in (a, b, c)]
    ab = a.merge(b)
    assert ab == b.merge(a)
    assert ab.merge(c) == a.merge(b.merge(c))
    assert a.merge(a) == a
    assert ab.merge(b) == ab
    assert a.leq(ab)
    assert b.leq(ab)
    assert not (a.leq(c) and b.leq(c)) or ab.leq(c)
    assert plain == [kind.to_plain(state) for state in (a, b, c)], "merge changed an operand"


@every_kind
@quick
@given(steps=moves, pick=picks)
def test_leq_is_the_order_of_merge(kind: Kind, steps: list[Move], pick: tuple[int, ...]) -> None:
    a, b, c = three(kind, steps, pick)
    assert a.leq(a)
    assert a.leq(b) == (a.merge(b) == b)
    assert not (a.leq(b) and b.leq(a)) or a == b
    assert not (a.leq(b) and b.leq(c)) or a.leq(c)


@every_kind
@quick
@given(steps=moves)
def test_a_change_is_its_delta_merged_in_and_only_grows(kind: Kind, steps: list[Move]) -> None:
    for before, delta, after in play(kind, steps).changes:
        assert before.merge(delta) == after
        assert before.leq(after)
        assert delta.leq(after)


@every_kind
@quick
@given(steps=moves, data=st.data())
def test_all_deltas_in_any_order_are_all_states(kind: Kind, steps: list[Move], data: st.DataObject) -> None:
    run = play(kind, steps)
    order = data.draw(st.permutations(run.deltas))
    again = data.draw(st.lists(st.sampled_from(run.deltas), max_size=5)) if run.deltas else []
    whole = reduce(lambda left, right: left.merge(right), run.replicas)
    heard = kind.bottom()
    for delta in [*again, *order, *again]:
        heard = heard.merge(delta)
    assert heard == whole
    assert kind.to_plain(heard) == kind.to_plain(whole)
    # Deltas may also be gathered on the way.
    half = len(order) // 2
    groups = [
        reduce(lambda left, right: left.merge(right), group, kind.bottom())
        for group in (order[:half], order[half:])
    ]
    assert groups[1].merge(groups[0]) == whole


@every_kind
@quick
@given(steps=moves)
def test_the_plain_form_comes_back_equal(kind: Kind, steps: list[Move]) -> None:
    run = play(kind, steps)
    for state in run.states + run.deltas:
        plain = kind.to_plain(state)
        for told in (plain, msgpack.unpackb(msgpack.packb(plain))):
            read = kind.from_plain(told)
            assert read == state
            assert kind.to_plain(read) == plain


@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if hasattr(kind.bottom(), "merge_in")], ids=lambda k: k.name
)
@quick
@given(steps=moves, pick=picks)
def test_merging_in_place_is_merging(kind: Kind, steps: list[Move], pick: tuple[int, ...]) -> None:
    a, b, _ = three(kind, steps, pick)
    merged, kept = a.merge(b), kind.to_plain(a)
    twin = a.copy()
    twin.merge_in(b)
    assert twin == merged
    assert kind.to_plain(a) == kept, "a copy shares what changes"
