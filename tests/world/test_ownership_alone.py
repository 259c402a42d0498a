"""One ownership machine with a store that the test plays by hand: late answers, lost ones, what it asks for then."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.limits import REVOKED_TURN_S
from p2pworld.membership import Lease
from p2pworld.messages import Instant
from p2pworld.world.citymap import EMPTY, CityMap, Member, add_standby, fail_over, genesis
from p2pworld.world.ownership import (
    READ_EVERY_S,
    Began,
    Ended,
    EndLease,
    MapNews,
    MapRead,
    Ownership,
    ProposalUnknown,
    Propose,
    Proposed,
    ReadMap,
    Register,
    Registered,
    Renew,
    Renewed,
    Request,
    StoreFailed,
)
from p2pworld.world.proposals import Wants

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
        leases = (Lease(ME, 0, False), Lease(OTHER, self.counter, False))
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


def test_a_renewal_that_is_answered_after_the_end_means_nothing(alone: Alone) -> None:
    alone.tick(READ_EVERY_S)
    alone.tick(TTL_S / 4)
    renewal = alone.one(Renew)
    alone.one(ReadMap)
    alone.answer(MapRead(1, None, (Lease(ME, 0, True), Lease(OTHER, 1, False))))
    assert alone.news[-1] is Ended
    alone.answer(Renewed(renewal.token, True))
    assert alone.machine.lapsed(alone.now)


def ended(alone: Alone) -> None:
    """The store ends the lease; the read that was on its way is answered, and B is seen there."""
    alone.tick(TTL_S / 4)
    alone.answer(Renewed(alone.one(Renew).token, False))
    alone.one(ReadMap)
    alone.answer(MapRead(1, None, (Lease(OTHER, 1, False),)))
    alone.one(Register)


def test_a_new_incarnation_reads_before_it_proposes(alone: Alone) -> None:
    ended(alone)
    alone.answer(Registered(2))
    assert [type(request) for request in alone.asked] == [ReadMap]


def test_a_new_incarnation_reads_before_it_ends_anybodys_lease(alone: Alone) -> None:
    alone.machine.shun(frozenset({B.node}))
    ended(alone)
    alone.answer(Registered(2))
    for _ in range(3):
        alone.tick(2 * REVOKED_TURN_S)
    assert EndLease(OTHER) not in alone.asked
    alone.read()
    for _ in range(3):
        alone.tick(2 * REVOKED_TURN_S)
    assert EndLease(OTHER) in alone.asked


def test_the_lease_of_one_who_may_not_take_part_is_ended_when_it_is_time(alone: Alone) -> None:
    alone.machine.shun(frozenset({B.node}))
    for _ in range(round(2 * REVOKED_TURN_S / READ_EVERY_S)):
        alone.tick(READ_EVERY_S)
        if any(isinstance(request, Renew) for request in alone.asked):
            alone.answer(Renewed(alone.one(Renew).token, True))
        alone.read()
    assert EndLease(OTHER) in alone.asked


# ---- others


def test_only_anothers_renewal_tells_that_another_lives(alone: Alone) -> None:
    since_s = alone.now_s
    alone.tick(READ_EVERY_S)
    alone.one(ReadMap)
    alone.answer(MapRead(1, None, (Lease(ME, 5, False), Lease(OTHER, alone.counter, False))))
    assert not alone.machine.others_live(since_s)
    alone.tick(READ_EVERY_S)
    alone.read(renews=True)
    assert alone.machine.others_live(since_s)
    assert not alone.machine.others_live(alone.now_s)


# ---- proposals


def proposing(alone: Alone) -> Propose:
    """HERE is guarded by B, and is given to it: the proposal on its way."""
    guarded = add_standby(founded(), [HERE], ME, OTHER)
    assert not isinstance(guarded, Refusal)
    alone.tick(READ_EVERY_S)
    alone.read(guarded)
    alone.machine.wants(Wants(give={OTHER: frozenset({HERE})}))
    alone.tick()
    proposal = alone.one(Propose)
    assert isinstance(proposal, Propose)
    return proposal


def test_what_a_proposal_gives_up_is_named_until_its_outcome_is_known(alone: Alone) -> None:
    proposal = proposing(alone)
    assert alone.machine.giving == {HERE}
    alone.machine.wants(Wants())
    alone.answer(Proposed(True, proposal.map.version))
    assert alone.machine.giving == frozenset()
    assert alone.machine.city.holder_of(HERE) == OTHER


def test_a_refused_proposal_gives_up_nothing_and_is_not_made_again_before_a_read(alone: Alone) -> None:
    proposal = proposing(alone)
    alone.answer(Proposed(False, proposal.expected_version))
    assert alone.machine.giving == frozenset()
    assert [type(request) for request in alone.asked if not isinstance(request, Renew)] == [ReadMap]
    alone.read()
    assert not any(isinstance(request, Propose) for request in alone.asked), "others have their turn"
    alone.tick(READ_EVERY_S)
    assert alone.one(Propose)


def test_what_an_unknown_outcome_may_have_given_up_is_named_until_a_newer_map_is_read(alone: Alone) -> None:
    proposal = proposing(alone)
    alone.machine.wants(Wants())
    alone.answer(ProposalUnknown())
    assert alone.machine.giving == {HERE}
    alone.read()
    assert alone.machine.giving == {HERE}, "it may still be carried out"
    alone.tick(READ_EVERY_S)
    alone.read(proposal.map)
    assert alone.machine.giving == frozenset()


def test_after_an_unknown_outcome_a_newer_map_lets_it_propose_at_once(alone: Alone) -> None:
    proposing(alone)
    alone.answer(ProposalUnknown())
    newer = add_standby(alone.machine.city, [THERE], OTHER, ME)
    assert not isinstance(newer, Refusal)
    alone.read(newer)
    assert alone.one(Propose)


def test_whoever_has_lost_its_lease_gives_up_nothing_and_proposes_nothing(alone: Alone) -> None:
    proposing(alone)
    alone.tick(TTL_S / 4)
    alone.answer(Renewed(alone.one(Renew).token, False))
    assert alone.machine.giving == frozenset()


def test_nothing_is_proposed_after_the_deadline_though_nobody_has_said_that_the_lease_is_over(
    alone: Alone,
) -> None:
    guarded = add_standby(founded(), [HERE], ME, OTHER)
    assert not isinstance(guarded, Refusal)
    alone.tick(READ_EVERY_S)
    alone.now_s += TTL_S
    alone.machine.wants(Wants(give={OTHER: frozenset({HERE})}))
    alone.read(guarded)
    assert not any(isinstance(request, Propose) for request in alone.asked)


# ---- maps


def test_a_map_of_another_version_than_the_store_says_is_not_taken(alone: Alone) -> None:
    newer = add_standby(founded(), [HERE], ME, OTHER)
    assert not isinstance(newer, Refusal)
    alone.tick(READ_EVERY_S)
    alone.one(ReadMap)
    alone.answer(MapRead(newer.version + 1, newer, ()))
    assert alone.machine.city == EMPTY or alone.machine.city.version < newer.version
    assert alone.machine.who.number == 0, "nobody knows what else the store has forgotten"
    assert not any(isinstance(request, ReadMap | Register) for request in alone.asked)
    alone.tick(READ_EVERY_S)
    assert alone.one(Register)


def waited(alone: Alone, kind: type[Request]) -> float:
    """This request fails; after how long it is made again."""
    alone.answer(StoreFailed(alone.one(kind), "down"))
    for hundredths in range(1, 200):
        alone.tick(0.01)
        if any(isinstance(request, Renew) for request in alone.asked):
            alone.answer(Renewed(alone.one(Renew).token, True))
        if any(isinstance(request, kind) for request in alone.asked):
            return hundredths / 100
    raise AssertionError("never")


def test_failures_are_retried_ever_later_and_soon_again_after_an_answer(alone: Alone) -> None:
    alone.tick(READ_EVERY_S)
    waits_s = [waited(alone, ReadMap) for _ in range(4)]
    assert waits_s == sorted(waits_s)
    assert waits_s[0] < waits_s[-1]
    alone.read()
    alone.tick(READ_EVERY_S)
    assert waited(alone, ReadMap) == waits_s[0]


def test_a_registration_and_a_proposal_that_are_answered_end_a_row_of_failures() -> None:
    alone = Alone()
    alone.tick()
    soon_s, *_, late_s = (waited(alone, Register) for _ in range(4))
    alone.answer(Registered(1))
    assert waited(alone, ReadMap) == soon_s < late_s
    alone.read(founded())
    proposing(alone)
    alone.asked.append(alone.machine._asked)  # type: ignore[arg-type]
    for _ in range(3):
        waited(alone, Propose)
    alone.one(Propose)
    alone.answer(Proposed(False, alone.machine.city.version))
    assert waited(alone, ReadMap) == soon_s


# ---- the end


def test_whoever_leaves_the_map_by_its_own_wish_is_done(alone: Alone) -> None:
    gone = fail_over(founded(), ME, OTHER)
    assert not isinstance(gone, Refusal)
    alone.machine.wants(Wants(retire=True))
    alone.tick(READ_EVERY_S)
    alone.now_s += TTL_S / 4
    alone.machine.tick(alone.now)  # a renewal that has not been taken yet
    alone.machine.step(MapRead(gone.version, gone, (Lease(ME, 0, False), Lease(OTHER, 1, False))), alone.now)
    assert alone.machine.retired
    assert alone.machine.take_requests() == ()
    assert Ended not in [type(one) for one in alone.machine.take_news()]


def test_whoever_is_taken_off_the_map_against_its_wish_begins_anew(alone: Alone) -> None:
    gone = fail_over(founded(), ME, OTHER)
    assert not isinstance(gone, Refusal)
    alone.tick(READ_EVERY_S)
    alone.read(gone)
    assert not alone.machine.retired
    assert alone.news[-2:] == [Ended, MapNews]
    assert alone.one(Register)


def test_whoever_finds_a_later_incarnation_of_itself_on_the_map_begins_anew() -> None:
    alone = Alone()
    alone.tick()
    alone.one(Register)
    alone.answer(Registered(1))
    later = genesis({replace(A, incarnation=2): [HERE], B: [THERE]})
    assert not isinstance(later, Refusal)
    alone.read(later)
    assert Ended in alone.news
    assert alone.machine.who.number == 0


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
