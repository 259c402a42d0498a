"""Judging leases and keeping one, with virtual clocks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import LocalError
from p2pworld.ids import Incarnation
from p2pworld.membership import Lease, LeaseJudge, OwnLease

A = Incarnation(b"a" * 32, 1)
B = Incarnation(b"b" * 32, 4)
TTL_S = 2.0


def watch(
    judge: LeaseJudge, from_s: float, to_s: float, counter: int = 7, step_s: float = 0.5
) -> float | None:
    """Read an unchanged lease of A every `step_s`; when it was first judged dead."""
    reads = int((to_s - from_s) / step_s) + 1
    for i in range(reads):
        now_s = from_s + i * step_s
        judge.observe([Lease(A, counter, False)], now_s)
        if A in judge.dead():
            return now_s
    return None


def test_a_counter_that_stands_still_for_1_2_ttl_is_dead_and_not_before() -> None:
    judge = LeaseJudge(TTL_S)
    assert watch(judge, 100.0, 102.3, step_s=0.1) is None
    judge.observe([Lease(A, 7, False)], 102.41)
    assert judge.dead() == {A}
    assert judge.is_dead(A)
    assert judge.lease(A) == Lease(A, 7, False)


def test_a_counter_that_moves_in_any_way_lives() -> None:
    judge = LeaseJudge(TTL_S)
    for i, counter in enumerate([1, 1, 2, 2, 2, 3, 3, 1, 1, 1]):
        judge.observe([(A, counter, False)], i * 0.9)
        assert judge.dead() == frozenset()


def test_a_renewal_seen_late_lifts_the_judgement_but_an_end_is_for_good() -> None:
    judge = LeaseJudge(TTL_S)
    assert watch(judge, 0.0, 5.0) == 2.5
    judge.observe([Lease(A, 8, False)], 3.0)
    assert judge.dead() == frozenset()
    judge.observe([Lease(A, 8, True)], 3.1)
    assert judge.dead() == {A}
    judge.restart()
    assert judge.dead() == {A}


@pytest.mark.parametrize("gap_s", [1.01, 3.0, 3600.0, -30.0])
def test_our_own_outage_pause_or_jump_condemns_nobody(gap_s: float) -> None:
    judge = LeaseJudge(TTL_S)
    assert watch(judge, 100.0, 102.0) is None
    back_s = 102.0 + gap_s
    judge.observe([Lease(A, 7, False)], back_s)
    assert judge.dead() == frozenset()
    died_s = watch(judge, back_s, back_s + 5.0)
    assert died_s == back_s + 2.5


def test_a_gap_takes_back_a_judgement_that_was_not_used() -> None:
    judge = LeaseJudge(TTL_S)
    assert watch(judge, 0.0, 5.0) == 2.5
    judge.observe([Lease(A, 7, False)], 9.0)
    assert judge.dead() == frozenset()


def test_failing_renewals_of_our_own_give_others_their_time_again() -> None:
    judge = LeaseJudge(TTL_S)
    assert watch(judge, 0.0, 2.0) is None
    judge.restart()
    assert watch(judge, 2.5, 4.5) is None
    assert watch(judge, 5.0, 6.0) == 5.0


def test_a_forgotten_lease_counts_as_dead_once_anything_was_read() -> None:
    judge = LeaseJudge(TTL_S)
    assert not judge.is_dead(B)
    judge.observe([Lease(A, 0, False)], 0.0)
    assert judge.is_dead(B)
    assert not judge.is_dead(A)
    assert judge.lease(B) is None


def test_own_lease_counts_from_before_sending() -> None:
    own = OwnLease(TTL_S)
    assert own.lapsed(0.0)
    renewal = own.renewal_sent(10.0)
    assert own.lapsed(10.0)
    assert own.renew_at_s == math.inf
    own.renewal_done(renewal, True)  # whenever the answer came
    assert own.deadline_s == 12.0
    assert not own.lapsed(11.99)
    assert own.lapsed(12.0)
    assert own.renew_at_s == 10.5


def test_a_failed_renewal_moves_nothing_and_is_tried_again_in_its_turn() -> None:
    own = OwnLease(TTL_S)
    own.renewal_done(own.renewal_sent(0.0), True)
    own.renewal_failed(own.renewal_sent(0.5))
    assert own.deadline_s == 2.0
    assert own.renew_at_s == 1.0
    assert not own.lost


def test_an_answer_that_comes_after_a_long_pause_does_not_hold() -> None:
    own = OwnLease(TTL_S)
    own.renewal_done(own.renewal_sent(0.0), True)
    renewal = own.renewal_sent(0.5)
    # the process is stopped here for 10 s; the boot clock ran on
    own.renewal_done(renewal, True)
    assert own.lapsed(10.5)
    own.renewal_done(own.renewal_sent(10.5), True)  # nobody took over: the lease goes on
    assert not own.lapsed(10.6)


def test_a_lost_lease_ends_the_incarnation_at_once() -> None:
    own = OwnLease(TTL_S)
    own.renewal_done(own.renewal_sent(0.0), True)
    own.renewal_done(own.renewal_sent(0.5), False)
    assert own.lost
    assert own.lapsed(0.5)
    assert own.renew_at_s == math.inf
    with pytest.raises(LocalError, match="register"):
        own.renewal_sent(1.0)


def test_renewals_are_answered_once_and_one_at_a_time() -> None:
    own = OwnLease(TTL_S)
    renewal = own.renewal_sent(0.0)
    with pytest.raises(LocalError):
        own.renewal_sent(0.1)
    own.renewal_done(renewal, True)
    with pytest.raises(LocalError):
        own.renewal_done(renewal, True)


@pytest.mark.parametrize("ttl_s", [0.0, -1.0, math.inf, math.nan])
def test_a_lease_needs_a_finite_positive_time(ttl_s: float) -> None:
    with pytest.raises(LocalError):
        LeaseJudge(ttl_s)
    with pytest.raises(LocalError):
        OwnLease(ttl_s)


@given(
    renewals=st.lists(st.tuples(st.floats(0.05, 3.0), st.floats(0.0, 2.5), st.booleans()), max_size=12),
    read_step_s=st.floats(0.05, 0.9),
    rate=st.floats(0.95, 1.05),
    offset_s=st.floats(-1e6, 1e6),
)
def test_whoever_is_judged_dead_has_lapsed_before(
    renewals: list[tuple[float, float, bool]], read_step_s: float, rate: float, offset_s: float
) -> None:
    """True time is the holder's clock; the observer's drifts and starts anywhere; renewals come late or get lost.

    A takeover compares the counter it judged by, so only renewals that the store had counted by then can still bring
    the holder a deadline.
    """
    own, now_s, counted = (
        OwnLease(TTL_S),
        0.0,
        [(0.0, TTL_S)],
    )  # (when the store counted it, the deadline it brings)
    for pause_s, delay_s, reached in renewals:
        now_s += pause_s
        renewal = own.renewal_sent(now_s)
        if reached:
            own.renewal_done(renewal, True)
            counted.append((now_s + delay_s / 2, own.deadline_s))
        else:
            own.renewal_failed(renewal)
        now_s += delay_s
    judge, judged, true_s = LeaseJudge(TTL_S), False, 0.0
    while true_s < now_s + 2.5 * TTL_S:
        known = [deadline_s for at_s, deadline_s in counted if at_s <= true_s]
        judge.observe([(A, len(known), False)], offset_s + true_s * rate)
        if A in judge.dead():
            judged = True
            assert max(known) <= true_s
        true_s += read_step_s
    assert judged


# ---- who lives


def test_a_lease_is_seen_to_live_from_the_moment_its_counter_was_seen_to_rise() -> None:
    judge = LeaseJudge(2.0)
    judge.observe([(A, 1, False)], 0.0)
    assert not judge.renewed_after(A, -1.0), "that it is there is no renewal"
    judge.observe([(A, 2, False), (B, 7, False)], 0.5)
    assert judge.renewed_after(A, 0.4)
    assert not judge.renewed_after(A, 0.5)
    assert not judge.renewed_after(B, 0.0)
    judge.observe([(A, 2, False), (B, 7, False)], 1.0)
    assert judge.renewed_after(A, 0.4), "it was seen once"
    assert not judge.renewed_after(A, 0.5)
    judge.observe([(A, 3, False), (B, 7, False)], 1.5)
    assert judge.renewed_after(A, 1.4)
    assert not judge.renewed_after(B, 0.0)


def test_after_a_restart_only_ended_leases_are_dead_and_nobody_is_forgotten_before_the_next_read() -> None:
    judge = LeaseJudge(2.0)
    for tenth in range(25):
        judge.observe([(A, 1, False), (B, 1, True)], tenth / 10)
    unknown = Incarnation(b"z" * 32, 1)
    assert judge.dead() == {A, B}
    assert judge.is_dead(unknown)
    judge.restart()
    assert judge.dead() == {B}
    assert not judge.is_dead(unknown)
    judge.observe([(A, 1, False), (B, 1, True)], 60.0)
    assert judge.is_dead(unknown)
    assert not judge.is_dead(A)


def test_two_renewals_sent_at_the_same_moment_are_two() -> None:
    lease = OwnLease(2.0)
    first = lease.renewal_sent(1.0)
    lease.renewal_failed(first)
    second = lease.renewal_sent(1.0)
    with pytest.raises(LocalError):
        lease.renewal_done(first, True)
    lease.renewal_done(second, True)
