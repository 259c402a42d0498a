"""Whose batch a tick's frames wait for, and for how long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from p2pworld.ids import Incarnation
from p2pworld.limits import BATCH_WAIT_MS
from p2pworld.world.rendezvous import Rendezvous, wait_s

PEER, OTHER = Incarnation(b"p" * 32, 1), Incarnation(b"o" * 32, 1)


def after(last_s: float, theirs_ms: int = 100, mine_ms: int = 100) -> bool:
    """Whether a tick at 10 s waits for one whose last batch came then."""
    rendezvous = Rendezvous()
    rendezvous.came(PEER, theirs_ms, last_s)
    rendezvous.begin(10.0, mine_ms)
    return not rendezvous.complete


def test_who_ticks_with_me_is_waited_for() -> None:
    assert after(9.905)
    assert after(9.895)  # a little before me in the last tick, and not yet in this one
    assert after(9.924)


def test_who_has_spoken_in_this_tick_already_is_not() -> None:
    assert not after(9.995)
    assert not after(9.96)


def test_who_ticks_at_another_phase_or_is_silent_is_not() -> None:
    assert not after(9.94)  # due 40 ms after this tick: too late for it
    assert not after(9.80)
    assert not after(2.0)


def test_it_goes_by_the_senders_tick() -> None:
    assert after(9.505, theirs_ms=500)
    assert not after(9.905, theirs_ms=500)
    assert after(9.905, theirs_ms=100, mine_ms=500)


def test_a_tick_is_drawn_once_all_have_come_or_the_links_are_gone() -> None:
    rendezvous = Rendezvous()
    assert not rendezvous.undrawn
    for peer in (PEER, OTHER):
        rendezvous.came(peer, 100, 9.905)
    rendezvous.begin(10.0, 100)
    assert rendezvous.undrawn
    rendezvous.came(PEER, 100, 10.004)
    assert not rendezvous.complete
    rendezvous.lost(OTHER)
    assert rendezvous.complete
    rendezvous.drawn()
    assert not rendezvous.undrawn
    rendezvous.begin(10.1, 100)
    assert not rendezvous.complete


@given(st.lists(st.floats(0, 20)), st.sampled_from([20, 100, 200, 500]))
def test_the_wait_is_bounded_whatever_came(came_s: list[float], tick_ms: int) -> None:
    rendezvous = Rendezvous()
    for number, at_s in enumerate(came_s):
        rendezvous.came(Incarnation(bytes([number % 256]) * 32, 1), tick_ms, at_s)
    rendezvous.begin(10.0, tick_ms)
    assert 0.0 < wait_s(tick_ms) <= min(BATCH_WAIT_MS, tick_ms / 4) / 1000
    rendezvous.drawn()
    assert rendezvous.complete
