"""One ownership machine with a store that the test plays by hand: late answers, lost ones, what it asks for then."""

from __future__ import annotations

import math
from typing import Any

import pytest

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.messages import Instant
from p2pworld.world.citymap import EMPTY, CityMap, Member, genesis
from p2pworld.world.ownership import (
    READ_EVERY_S,
    Began,
    Ended,
    MapRead,
    Ownership,
    ReadMap,
    Register,
    Registered,
    Renew,
    Renewed,
    Request,
    StoreFailed,
)

TTL_S = 2.0
HERE, THERE = Cell.from_quadkey("00"), Cell.from_quadkey("01")
ME, OTHER = Incarnation(b"a" * 32, 1), Incarnation(b"b" * 32, 1)
A = Member(ME.node, 1, "tls://a", "ws://a/play", "http://a")
B = Member(OTHER.node, 1, "tls://b", "ws://b/play", "http://b")


def founded() -> CityMap:
    """A holds HERE, B holds THERE."""
    city = genesis({A: [HERE], B: [THERE]})
    assert not isinstance(city, Refusal)
    return city


class Alone:
    """The machine of A, and what it has asked and not heard of."""

    def __init__(self) -> None:
        self.machine = Ownership(
            A.node, A.link_url, A.play_url, A.web_url, (HERE,), TTL_S, ends=0, take_orphans=False
        )
        self.now_s = 100.0
        self.asked: list[Request] = []
        self.news: list[type] = []
        self.counter = 0

    @property
    def now(self) -> Instant:
        return Instant(self.now_s, 0)

    def tick(self, after_s: float = 0.0) -> None:
        self.now_s += after_s
        self.machine.tick(self.now)
        self._take()

    def answer(self, answer: Any) -> None:
        self.machine.step(answer, self.now)
        self._take()

    def _take(self) -> None:
        self.news += [type(one) for one in self.machine.take_news()]
        self.asked += self.machine.take_requests()

    def one(self, kind: type) -> Any:
        """The oldest request of this kind, which is answered now."""
        found = next(request for request in self.asked if type(request) is kind)
        self.asked.remove(found)
        return found

    def read(self, city: CityMap | None = None, renews: bool = True) -> None:
        """The read on its way shows this map, and that B has renewed or not."""
        self.one(ReadMap)
        self.counter += renews
        leases = ((ME, 0, False), (OTHER, self.counter, False))
        version = (city or self.machine.city).version
        self.answer(MapRead(version, city, leases))

    def begin(self) -> None:
        """It registers, and reads a map that lists it."""
        self.tick()
        self.one(Register)
        self.answer(Registered(1))
        self.read(founded())


@pytest.fixture
def alone() -> Alone:
    alone = Alone()
    alone.begin()
    assert alone.machine.city.holder_of(HERE) == ME
    return alone


# ---- renewals


def test_a_late_answer_to_an_older_renewal_means_nothing(alone: Alone) -> None:
    alone.tick(TTL_S / 4)
    first = alone.one(Renew)
    alone.answer(StoreFailed(first, "lost"))
    alone.tick(TTL_S / 4)
    second = alone.one(Renew)
    before_s = alone.machine.deadline_s
    for late in (Renewed(first.token, True), Renewed(first.token, False), StoreFailed(first, "lost")):
        alone.answer(late)
        assert alone.machine.who == ME
        assert alone.machine.deadline_s == before_s
    alone.answer(Renewed(second.token, True))
    assert alone.machine.deadline_s == alone.now_s + TTL_S


def test_an_answer_that_comes_twice_counts_once(alone: Alone) -> None:
    alone.tick(TTL_S / 4)
    renewal = alone.one(Renew)
    alone.answer(Renewed(renewal.token, True))
    alone.answer(Renewed(renewal.token, False))
    alone.answer(StoreFailed(renewal, "lost"))
    assert alone.machine.who == ME
    alone.tick(TTL_S / 4)
    lost = alone.one(Renew)
    alone.answer(StoreFailed(lost, "lost"))
    alone.answer(StoreFailed(lost, "lost"))
    alone.answer(Renewed(lost.token, False))
    assert alone.machine.who == ME
    alone.tick(TTL_S / 4)
    assert alone.one(Renew)


def test_after_a_renewal_that_failed_everybody_gets_their_full_time_again(alone: Alone) -> None:
    for _ in range(round(1.1 * TTL_S / READ_EVERY_S)):
        alone.tick(READ_EVERY_S)
        alone.read(renews=False)
    alone.answer(StoreFailed(alone.one(Renew), "lost"))
    alone.tick(READ_EVERY_S)
    alone.read(renews=False)
    alone.tick()
    assert alone.machine.believed_dead == frozenset()


def test_a_lease_that_the_store_has_ended_ends_the_incarnation(alone: Alone) -> None:
    alone.tick(TTL_S / 4)
    alone.answer(Renewed(alone.one(Renew).token, False))
    assert alone.news[-1] is Ended
    assert alone.machine.lapsed(alone.now)
    assert alone.machine.who.number == 0
    alone.answer(MapRead(1, None, ()))  # to the read that was on its way
    assert alone.one(Register)


# ---- others


def test_only_anothers_renewal_tells_that_another_lives(alone: Alone) -> None:
    since_s = alone.now_s
    alone.tick(READ_EVERY_S)
    alone.one(ReadMap)
    alone.answer(MapRead(1, None, ((ME, 5, False), (OTHER, alone.counter, False))))
    assert not alone.machine.others_live(since_s)
    alone.tick(READ_EVERY_S)
    alone.read(renews=True)
    assert alone.machine.others_live(since_s)
    assert not alone.machine.others_live(alone.now_s)


# ---- the end


def test_whoever_leaves_asks_for_nothing_more_not_even_what_it_had_begun_to(alone: Alone) -> None:
    alone.tick()
    alone.machine.tick(Instant(alone.now_s + 10.0, 0))
    alone.machine.leave(alone.now)
    assert alone.machine.take_requests() == ()
    assert alone.machine.deadline_s == -math.inf
    alone.now_s += 60.0
    alone.machine.tick(alone.now)
    assert alone.machine.take_requests() == ()


def test_it_begins_once_and_knows_nothing_before() -> None:
    alone = Alone()
    assert alone.machine.city == EMPTY
    assert alone.machine.lapsed(alone.now)
    alone.begin()
    assert alone.news.count(Began) == 1
    assert not alone.machine.lapsed(alone.now)
