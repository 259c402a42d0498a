"""The client's table is whole, and its interpreter keeps what it promises from every state."""

from __future__ import annotations

from itertools import product

import pytest

from client.table import (
    CLIENT,
    NO_CONN,
    ClientAt,
    ClientOn,
    ClientStep,
    Do,
    Elsewhere,
    Gesture,
    Invited,
    LogIn,
    Lost,
    Sockets,
    TimedOut,
    Welcomed,
    What,
    step,
)

SHAPES = {  # which sockets a client has in each state
    ClientAt.OUT: (False, False),
    ClientAt.JOINING: (True, False),
    ClientAt.PLAYING: (True, False),
    ClientAt.BOTH: (True, True),
    ClientAt.HELD: (False, True),
    ClientAt.STOPPED: (False, False),
}


def reachable() -> set[Sockets]:
    """Every state that any sequence of events leads to, with sockets named 1 and 2 in turn."""
    found = {Sockets()}
    while True:
        more = {step(at, event)[0] for at, event in product(found, events())} | found
        if more == found:
            return found
        found = more


def events() -> list[ClientStep]:
    conns = (1, 2, 3)
    return [
        *(LogIn(conn) for conn in conns),
        *(Welcomed(conn) for conn in conns),
        *(Invited(conn, held) for conn in conns for held in conns if conn != held),
        *(Lost(conn) for conn in conns),
        *(Elsewhere(conn) for conn in conns),
        TimedOut(),
        Gesture(),
    ]


def test_every_pair_of_state_and_event_stands_in_the_table() -> None:
    assert set(CLIENT) == set(product(ClientAt, ClientOn))


@pytest.mark.parametrize("at", ClientAt)
def test_each_state_can_be_reached_and_left(at: ClientAt) -> None:
    states = {sockets for sockets in reachable() if sockets.at is at}
    assert states
    assert any(step(state, event)[0].at is not at for state in states for event in events())


def test_a_state_has_just_its_sockets_and_nothing_is_opened_twice_or_left_open() -> None:
    for before, event in product(reachable(), events()):
        if isinstance(event, LogIn) and event.conn in (before.main, before.held):
            continue  # whoever opens sockets never reuses a name
        if isinstance(event, Invited) and event.held in (before.main, before.held):
            continue
        after, done = step(before, event)
        assert (after.main != NO_CONN, after.held != NO_CONN) == SHAPES[after.at]
        opened = [do.conn for do in done if do.what in (What.OPEN_MAIN, What.OPEN_HELD)]
        closed = [do.conn for do in done if do.what in (What.CLOSE_MAIN, What.CLOSE_HELD)]
        had = {before.main, before.held} - {NO_CONN}
        assert (had | set(opened)) - set(closed) == {after.main, after.held} - {NO_CONN}


def test_only_a_gesture_leads_out_of_stopped() -> None:
    for event in events():
        after, done = step(Sockets(ClientAt.STOPPED), event)
        assert after.at is (ClientAt.OUT if isinstance(event, Gesture) else ClientAt.STOPPED)
        assert done == ()


def test_events_of_sockets_given_up_change_nothing() -> None:
    both = Sockets(ClientAt.BOTH, 1, 2)
    for event in (Welcomed(1), Welcomed(3), Lost(3), Elsewhere(3), Invited(2, 4), Invited(3, 4)):
        assert step(both, event) == (both, ())


def test_a_handoff_leaves_the_old_node_only_when_the_new_one_has_welcomed() -> None:
    sockets, done = step(Sockets(ClientAt.PLAYING, 1), Invited(1, 2))
    assert sockets == Sockets(ClientAt.BOTH, 1, 2)
    assert done == (Do(What.OPEN_HELD, 2),)
    sockets, done = step(sockets, Welcomed(2))
    assert sockets == Sockets(ClientAt.PLAYING, 2)
    assert done == (Do(What.CLOSE_MAIN, 1),)
