"""Who may come in by one address: bounded, generous to many behind one, and never in the way of anybody else."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.limits import (
    ATTACHMENT_MIB_BURST_ADDRESS,
    ATTACHMENT_MIB_PER_S_ADDRESS,
    ATTACHMENTS_BURST_ADDRESS,
    ATTACHMENTS_PER_S_ADDRESS,
    DOOR_ADDRESSES_MAX,
    DOOR_BURST,
    DOOR_HALF_OPEN_MAX,
    DOOR_PER_S,
)
from shard_node.doors import Doors
from shard_node.play_life import HANDSHAKES_MAX

SCHOOL, CAFE = "203.0.113.7", "198.51.100.9"


def test_one_address_has_a_part_of_the_table_and_the_others_still_get_in() -> None:
    doors = Doors()
    let_in = sum(doors.may_enter(SCHOOL, 0.0) for _ in range(HANDSHAKES_MAX))
    assert let_in == DOOR_HALF_OPEN_MAX <= HANDSHAKES_MAX // 4
    assert doors.may_enter(CAFE, 0.0)


def test_a_school_of_a_thousand_is_in_within_seconds() -> None:
    """Each handshake takes a second, and who is turned away comes again a second later."""
    doors, waiting, now_s = Doors(), 1_000, 0.0
    while waiting:
        entered = sum(doors.may_enter(SCHOOL, now_s) for _ in range(waiting))
        waiting -= entered
        for _ in range(entered):
            doors.opened(SCHOOL)
        now_s += 1.0
    assert now_s <= 16.0


def test_who_says_who_they_are_or_goes_makes_room_but_not_for_a_flood() -> None:
    doors = Doors()
    for _ in range(DOOR_BURST):
        assert doors.may_enter(SCHOOL, 0.0)
        doors.closed(SCHOOL)
    assert doors.half_open(SCHOOL) == 0
    assert not doors.may_enter(SCHOOL, 0.0)
    assert sum(doors.may_enter(SCHOOL, 2.0) for _ in range(1_000)) == 2 * DOOR_PER_S


def test_who_waits_for_nothing_for_ever_keeps_the_rest_of_that_address_out_until_they_are_closed() -> None:
    doors = Doors()
    for _ in range(DOOR_HALF_OPEN_MAX):
        doors.may_enter(SCHOOL, 0.0)
    assert not doors.may_enter(SCHOOL, 100.0)
    doors.closed(SCHOOL)
    assert doors.may_enter(SCHOOL, 100.0)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1", "10.1.2.3", "fd00::7"]
)
def test_loopback_and_the_networks_given_are_not_limited(address: str) -> None:
    doors = Doors((ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")))
    assert all(doors.may_enter(address, 0.0) for _ in range(3_000))
    doors.closed(address)
    assert doors.half_open(address) == 0


def test_a_customer_s_whole_ipv6_network_counts_as_one() -> None:
    doors = Doors()
    let_in = sum(doors.may_enter(f"2001:db8:1:2:{n:x}::1", 0.0) for n in range(1_000))
    assert let_in == DOOR_HALF_OPEN_MAX
    assert doors.may_enter("2001:db8:1:3::1", 0.0)
    assert doors.half_open("::ffff:203.0.113.7") == doors.half_open(SCHOOL) == 0
    doors.may_enter("::ffff:203.0.113.7", 0.0)
    assert doors.half_open(SCHOOL) == 1
    assert doors.may_enter("fe80::1%eth0", 0.0)
    assert doors.may_enter("/run/a.socket", 0.0)


def test_what_is_remembered_is_bounded_and_those_at_the_door_are_forgotten_last() -> None:
    doors = Doors()
    doors.may_enter(SCHOOL, 0.0)
    for n in range(DOOR_ADDRESSES_MAX + 100):
        address = str(ipaddress.ip_address(n))
        doors.may_enter(address, 1.0)
        doors.closed(address)
    assert len(doors._doors) == DOOR_ADDRESSES_MAX
    assert doors.half_open(SCHOOL) == 1


ADDRESSES = (SCHOOL, CAFE, "127.0.0.1")
steps = st.lists(
    st.tuples(st.sampled_from(("come", "open", "close", "wait", "crowd")), st.sampled_from(ADDRESSES)),
    max_size=80,
)


@settings(max_examples=200)
@given(steps)
def test_it_decides_like_a_slow_twin_that_remembers_every_moment(happened: list[tuple[str, str]]) -> None:
    doors = Doors()
    now_s = 0.0
    half_open = dict.fromkeys(ADDRESSES, 0)
    entered: dict[str, list[float]] = {address: [] for address in ADDRESSES}

    def left(address: str) -> float:
        tokens, at_s = float(DOOR_BURST), 0.0
        for moment in entered[address]:
            tokens = min(DOOR_BURST, tokens + (moment - at_s) * DOOR_PER_S) - 1
            at_s = moment
        return min(DOOR_BURST, tokens + (now_s - at_s) * DOOR_PER_S)

    for what, address in happened:
        match what:
            case "wait":
                now_s += 0.5
            case "come" | "crowd":
                for _ in range(1 if what == "come" else 100):
                    expected = address == "127.0.0.1" or (
                        left(address) >= 1 and half_open[address] < DOOR_HALF_OPEN_MAX
                    )
                    assert doors.may_enter(address, now_s) == expected
                    if expected and address != "127.0.0.1":
                        half_open[address] += 1
                        entered[address].append(now_s)
            case _ if half_open[address]:
                half_open[address] -= 1
                (doors.opened if what == "open" else doors.closed)(address)
        assert all(doors.half_open(one) == half_open[one] for one in ADDRESSES)


def test_one_address_attaches_only_so_much_and_this_machine_as_it_likes() -> None:
    doors = Doors()
    taken = sum(doors.may_attach(SCHOOL, 0.0) for _ in range(2 * ATTACHMENTS_BURST_ADDRESS))
    assert taken == ATTACHMENTS_BURST_ADDRESS
    assert doors.may_attach(CAFE, 0.0)
    assert doors.may_attach(SCHOOL, 1 / ATTACHMENTS_PER_S_ADDRESS)
    assert not doors.may_attach(SCHOOL, 1 / ATTACHMENTS_PER_S_ADDRESS)
    carried = sum(doors.may_carry(SCHOOL, 1 << 20, 0.0) for _ in range(2 * ATTACHMENT_MIB_BURST_ADDRESS))
    assert carried == ATTACHMENT_MIB_BURST_ADDRESS
    assert not doors.may_carry(SCHOOL, 1 << 20, 1.0)
    assert doors.may_carry(SCHOOL, 1 << 20, 1 / ATTACHMENT_MIB_PER_S_ADDRESS)
    assert all(doors.may_attach("127.0.0.1", 0.0) for _ in range(2 * ATTACHMENTS_BURST_ADDRESS))
    assert all(doors.may_carry("::1", 1 << 20, 0.0) for _ in range(2 * ATTACHMENT_MIB_BURST_ADDRESS))
