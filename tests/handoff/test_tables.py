"""The tables are whole: a state and event have their rules or stand below as ignored; every rule can be reached."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from client.table import CLIENT, ClientAt, ClientOn, What
from p2pworld.world.handoff import ROW, SEAT, Act, RowAt, RowOn, Rule, SeatAt, SeatOn

if TYPE_CHECKING:
    from collections.abc import Mapping

# An answer to a question this state has not asked, or an event that is about what this state does not have.
IGNORED: Mapping[RowAt | SeatAt, frozenset[RowOn | SeatOn]] = {
    RowAt.NONE: frozenset(
        {
            RowOn.LEAVES,
            RowOn.CAME_BACK,
            RowOn.REFUSED,
            RowOn.ACK,
            RowOn.NAK,
            RowOn.DESTINATION_ENDED,
            RowOn.TIMER,
            RowOn.SOCKET_LOST,
            RowOn.OUTLIVED,
        }
    ),
    RowAt.DORMANT: frozenset(
        {
            RowOn.LEAVES,  # owned by nobody, so nobody hands it off
            RowOn.CAME_BACK,
            RowOn.REFUSED,
            RowOn.ACK,
            RowOn.NAK,
            RowOn.DESTINATION_ENDED,
            RowOn.SOCKET_LOST,
        }
    ),
    RowAt.OWNED: frozenset(
        {
            RowOn.CAME_BACK,
            RowOn.REFUSED,
            RowOn.ACK,
            RowOn.NAK,
            RowOn.DESTINATION_ENDED,
            RowOn.TIMER,  # it may stay for ever
        }
    ),
    RowAt.PREPARING: frozenset({RowOn.LEAVES, RowOn.ACK, RowOn.NAK}),
    RowAt.INVITED: frozenset({RowOn.LEAVES, RowOn.ACK, RowOn.NAK}),
    RowAt.RELEASED: frozenset({RowOn.LEAVES, RowOn.CAME_BACK, RowOn.REFUSED}),  # it is not ours any more
    SeatAt.EMPTY: frozenset({SeatOn.CANCEL, SeatOn.TIMER, SeatOn.SOCKET_LOST, SeatOn.OUTLIVED}),
    SeatAt.RESERVED: frozenset({SeatOn.SOCKET_LOST}),  # nobody sits on it
    SeatAt.ATTACHED: frozenset(),
}
PAIRS = [*((at, on) for at in RowAt for on in RowOn), *((at, on) for at in SeatAt for on in SeatOn)]


def rules_of(at: RowAt | SeatAt, on: RowOn | SeatOn) -> tuple[Rule, ...]:
    """What the tables say about a pair."""
    if isinstance(at, RowAt):
        assert isinstance(on, RowOn)
        return ROW.get((at, on), ())
    assert isinstance(on, SeatOn)
    return SEAT.get((at, on), ())


@pytest.mark.parametrize(("at", "on"), PAIRS, ids=lambda value: value.name)
def test_every_pair_has_rules_or_is_ignored_on_purpose(at: RowAt | SeatAt, on: RowOn | SeatOn) -> None:
    assert bool(rules_of(at, on)) != (on in IGNORED[at])


def test_nothing_else_stands_in_the_tables() -> None:
    assert {*ROW, *SEAT} <= set(PAIRS)


@pytest.mark.parametrize(("at", "on"), PAIRS, ids=lambda value: value.name)
def test_rules_lead_to_states_of_their_own_machine(at: RowAt | SeatAt, on: RowOn | SeatOn) -> None:
    assert all(type(rule.to) is type(at) for rule in rules_of(at, on))


@pytest.mark.parametrize(("at", "on"), PAIRS, ids=lambda value: value.name)
def test_no_rule_stands_behind_one_that_always_holds_before_it(
    at: RowAt | SeatAt, on: RowOn | SeatOn
) -> None:
    rules = rules_of(at, on)
    for i, rule in enumerate(rules):
        assert not any(earlier.guards <= rule.guards for earlier in rules[:i])


@pytest.mark.parametrize(("at", "on"), PAIRS, ids=lambda value: value.name)
def test_every_rule_does_something(at: RowAt | SeatAt, on: RowOn | SeatOn) -> None:
    """Or holds back the rules behind it."""
    rules = rules_of(at, on)
    assert all(rule.acts or rule.to is not at or i + 1 < len(rules) for i, rule in enumerate(rules))


def test_every_act_is_done_by_some_rule() -> None:
    used = {act for rules in (*ROW.values(), *SEAT.values()) for rule in rules for act in rule.acts}
    assert used == set(Act)


def test_only_a_login_a_commit_or_an_attempt_called_off_makes_an_owner() -> None:
    """Whoever begins to own does so by ADOPT or TAKE; whoever owned may go on."""
    for (at, _), rules in ROW.items():
        for rule in rules:
            assert isinstance(rule.to, RowAt)
            if rule.to.owns and not at.owns:
                assert {Act.ADOPT, Act.TAKE} & set(rule.acts)


def test_the_client_answers_every_event_in_every_state() -> None:
    assert set(CLIENT) == {(at, on) for at in ClientAt for on in ClientOn}
    used = {what for rule in CLIENT.values() for what in rule.acts}
    assert used == set(What)


@pytest.mark.parametrize("at", ClientAt, ids=lambda value: value.name)
def test_the_client_keeps_no_socket_that_its_state_does_not_name(at: ClientAt) -> None:
    """Leaving a state for one with fewer sockets closes or promotes what is left over."""
    sockets = {
        ClientAt.OUT: 0,
        ClientAt.JOINING: 1,
        ClientAt.PLAYING: 1,
        ClientAt.BOTH: 2,
        ClientAt.HELD: 1,
        ClientAt.STOPPED: 0,
    }
    change = {
        What.OPEN_MAIN: 1,
        What.OPEN_HELD: 1,
        What.CLOSE_MAIN: -1,
        What.CLOSE_HELD: -1,
        What.PROMOTE: 0,
    }
    for on in ClientOn:
        rule = CLIENT[at, on]
        assert sockets[at] + sum(change[what] for what in rule.acts) == sockets[rule.to]
