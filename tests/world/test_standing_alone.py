"""What a node without a lease, or one that nobody hears, does and says, by the table of what it knows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from p2pworld.core.standing import Standing
from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.limits import DEAF_S
from p2pworld.messages import Bye, Instant, Notice, ToClient
from p2pworld.world.citymap import CityMap, Member, genesis
from p2pworld.world.outbox import Outbox

if TYPE_CHECKING:
    from p2pworld.core.parts import Parts

TTL_S = 2.0
A, B = (Member(letter * 32, 1, "tls://link", "ws://play", "http://web") for letter in (b"a", b"b"))


def founded(*members: Member) -> CityMap:
    city = genesis({member: [Cell.from_quadkey("00")] if member is A else [] for member in members})
    assert not isinstance(city, Refusal)
    return city


class Ownership:
    """What the node's ownership says, as the test wishes."""

    def __init__(self) -> None:
        self.lease = True
        self.apart = False
        self.outrun = False
        self.lives_after_s = -1.0  # until when another was seen to renew
        self.told_heard = 0

    def lapsed(self, now: Instant) -> bool:
        return not self.lease

    def heard(self) -> None:
        self.told_heard += 1

    def others_live(self, since_s: float) -> bool:
        return self.lives_after_s > since_s

    def step_back(self) -> None:
        self.apart = True


class People:
    """How many clients there are, and what they were told at the end."""

    def __init__(self) -> None:
        self.clients = 1
        self.lapsed = False
        self.byes: list[Bye] = []

    def hang_up_all(self, bye: Bye) -> None:
        self.byes.append(bye)


class Node:
    """One node with one client on socket 5, and a person who has none."""

    def __init__(self) -> None:
        self.ownership, self.people, self.out = Ownership(), People(), Outbox()
        self.parts = SimpleNamespace(
            ownership=self.ownership,
            people=self.people,
            out=self.out,
            city=founded(A, B),
            who=A.who,
            links={B.who: 1},
            counters=Counter(),
            config=SimpleNamespace(ttl_s=TTL_S),
            crowd=SimpleNamespace(conn=np.array([5, -1]), rows=lambda kind: np.array([0, 1])),
        )
        self.standing = Standing(cast("Parts", self.parts))
        self.now_s = 100.0

    def judge(self, after_s: float = 0.25) -> None:
        self.now_s += after_s
        self.standing.judge(Instant(self.now_s, 0))

    def listen(self, after_s: float = 0.1) -> None:
        """A tick of 100 ms, so long after the last one."""
        self.now_s += after_s
        self.standing.listen(100, Instant(self.now_s, 0))


@pytest.fixture
def node() -> Node:
    return Node()


# ---- without a lease


def test_it_may_act_with_a_lease_and_on_the_map(node: Node) -> None:
    now = Instant(100.0, 0)
    assert not node.standing.may_not_act(now)
    node.ownership.lease = False
    assert node.standing.may_not_act(now)
    node.ownership.lease = True
    node.parts.city = founded(B)
    assert node.standing.may_not_act(now)
    node.judge()
    assert node.people.lapsed
    assert not node.out.sends, "it has a lease: there is nothing to say"


def test_its_people_are_told_once_each_time_the_lease_runs_out(node: Node) -> None:
    node.judge()
    assert not node.people.lapsed
    node.ownership.lease = False
    node.judge()
    node.judge()
    assert node.people.lapsed
    [told] = node.out.sends
    assert isinstance(told, ToClient)
    assert isinstance(told.message, Notice)
    assert (told.conn, told.message.code) == (5, "lapsed")
    node.ownership.lease = True
    node.judge()
    assert not node.people.lapsed
    node.ownership.lease = False
    node.judge()
    assert len(node.out.sends) == 2


def test_a_node_between_two_incarnations_has_nothing_to_say(node: Node) -> None:
    node.ownership.lease = False
    node.parts.who = Incarnation(A.node, 0)
    node.judge()
    assert not node.out.sends
    assert node.people.lapsed


@pytest.mark.parametrize("why", ["nobody is linked", "somebody is ahead"])
def test_its_people_are_sent_on_after_twice_the_lease_if_others_have_gone_on(node: Node, why: str) -> None:
    node.ownership.lease = False
    node.ownership.outrun = why == "somebody is ahead"
    if why == "nobody is linked":
        node.parts.links = {}
    node.judge()
    node.judge(2 * TTL_S)
    assert not node.people.byes
    node.judge(0.1)
    assert [bye.code for bye in node.people.byes] == ["again"]
    node.judge(2 * TTL_S)
    assert len(node.people.byes) == 1, "who is still there is asked again after as long"
    node.judge(0.1)
    assert len(node.people.byes) == 2


def test_everybody_stays_while_the_others_lack_the_store_too(node: Node) -> None:
    node.ownership.lease = False
    node.judge()
    node.judge(10 * TTL_S)
    assert not node.people.byes


def test_everybody_stays_where_there_is_no_other_node(node: Node) -> None:
    node.ownership.lease = False
    node.parts.city, node.parts.links = founded(A), {}
    node.judge()
    node.judge(10 * TTL_S)
    assert not node.people.byes
    node.parts.city = founded(replace(A, incarnation=2))
    node.judge(10 * TTL_S)
    assert not node.people.byes, "a later incarnation is no other node"


# ---- heard by nobody


def test_who_hears_nobody_while_others_live_gives_its_ground_up_once(node: Node) -> None:
    node.standing.heard()
    node.listen()
    assert node.ownership.told_heard == 1
    node.ownership.lives_after_s = node.now_s + 0.6  # somebody was seen to renew after the last word
    ticks = round(DEAF_S * 10)
    for _ in range(ticks - 1):
        node.listen()
    assert not node.ownership.apart
    node.listen()
    assert node.ownership.apart
    assert node.parts.counters["deaf"] == 1
    for _ in range(ticks):
        node.listen()
    assert node.parts.counters["deaf"] == 1
    assert node.ownership.told_heard == 1


def test_others_that_were_last_seen_about_when_it_heard_somebody_may_be_dead(node: Node) -> None:
    node.standing.heard()
    node.listen()
    node.ownership.lives_after_s = node.now_s + 0.4
    for _ in range(round(2 * DEAF_S * 10)):
        node.listen()
    assert not node.ownership.apart


def test_one_word_now_and_then_is_enough(node: Node) -> None:
    node.ownership.lives_after_s = 1e9
    for _ in range(5):
        for _ in range(round(DEAF_S * 10) - 1):
            node.listen()
        node.standing.heard()
        node.listen()
    assert not node.ownership.apart
    assert node.ownership.told_heard == 5


def test_who_has_no_clients_is_not_deaf_and_begins_to_count_with_the_first(node: Node) -> None:
    node.ownership.lives_after_s = 1e9
    node.people.clients = 0
    for _ in range(round(2 * DEAF_S * 10)):
        node.listen()
    node.people.clients = 1
    for _ in range(round(DEAF_S * 10) - 1):
        node.listen()
    assert not node.ownership.apart
    node.listen()
    assert node.ownership.apart
    assert node.ownership.told_heard == 0
