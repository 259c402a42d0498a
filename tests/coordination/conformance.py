"""What every coordination engine must do, as tests that take two connections to one store.

An engine's own test module imports all of these (`from tests.coordination.conformance import *`) and gives the fixture
`open_store`: each await of it is one more connection to the same store, as another process would open it. Nothing here
waits for real time: leases are judged by observers with virtual clocks.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from p2pworld.errors import LocalError, Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation
from p2pworld.membership import Lease, LeaseJudge, OwnLease
from p2pworld.world import citymap
from p2pworld.world.citymap import EMPTY, CityMap
from shard_node.coordination import Coordination, CoordinationDown, Registration
from tests.patience import PATIENCE_S

__all__ = [
    "test_a_board_is_bounded",
    "test_a_cancelled_call_leaves_the_store_usable",
    "test_a_city_has_one_ttl",
    "test_a_closed_store_says_so",
    "test_a_holder_paused_beyond_its_lease_is_succeeded_and_told",
    "test_a_map_can_only_follow_an_older_one_and_must_be_sound",
    "test_a_new_generation_numbers_incarnations_anew",
    "test_a_new_incarnation_ends_the_older_only_with_proof",
    "test_a_new_store_is_an_empty_city",
    "test_a_notice_is_read_by_all_once_and_stays_as_it_was_posted",
    "test_a_notice_that_is_over_is_taken_down",
    "test_a_number_is_above_the_one_it_ends_even_if_the_store_forgot_that",
    "test_a_proposal_on_an_old_version_is_refused",
    "test_a_reader_who_knows_the_version_gets_no_map",
    "test_a_registration_cannot_end_another_node",
    "test_a_takeover_ends_nothing_unless_it_is_accepted",
    "test_a_takeover_loses_to_a_renewal",
    "test_a_watcher_that_fell_behind_gets_the_newest",
    "test_a_watcher_wakes_for_another_processs_change",
    "test_a_watcher_without_a_change_comes_back_with_what_it_knew",
    "test_an_ended_incarnation_cannot_be_listed_again",
    "test_an_orderly_end_is_seen_at_once_and_may_be_repeated",
    "test_incarnation_numbers_grow_and_are_never_given_twice",
    "test_many_rivals_take_their_steps_one_after_another",
    "test_notices_that_are_posted_together_are_all_seen",
    "test_of_two_rivals_one_wins",
    "test_renewals_are_counted_and_strangers_told",
]

TTL_S = 2.0

OpenStore = Callable[[], Awaitable[Coordination]]


def registration(letter: str) -> Registration:
    return Registration(letter.encode() * 32, f"tls://{letter}", f"ws://{letter}/play", f"http://{letter}")


def cell(quadkey: str) -> Cell:
    return Cell.from_quadkey(quadkey)


def made(result: CityMap | Refusal) -> CityMap:
    assert not isinstance(result, Refusal), result
    return result


async def registered(store: Coordination, letter: str, ends: Incarnation | None = None) -> Incarnation:
    return Incarnation(letter.encode() * 32, await store.register(registration(letter), TTL_S, ends))


async def newest(store: Coordination) -> CityMap:
    city = (await store.read(-1)).map
    assert city is not None
    return city


async def lease(store: Coordination, who: Incarnation) -> Lease | None:
    return next((lease for lease in (await store.read(-1)).leases if lease.who == who), None)


async def founded(store: Coordination) -> tuple[Incarnation, Incarnation, CityMap]:
    """A city in which A holds 00, guarded by B, and 01, and B is listed; its version is 2."""
    a, b = await registered(store, "a"), await registered(store, "b")
    members = {
        registration("a").member(a.number): [cell("00"), cell("01")],
        registration("b").member(b.number): [],
    }
    first = made(citymap.genesis(members))
    assert (await store.propose(first, 0)).ok
    city = made(citymap.add_standby(first, [cell("00")], a, b))
    assert (await store.propose(city, 1)).ok
    return a, b, city


async def test_a_new_store_is_an_empty_city(open_store: OpenStore) -> None:
    snapshot = await (await open_store()).read(-1)
    assert (snapshot.map_version, snapshot.map, snapshot.leases) == (0, EMPTY, ())


async def test_a_reader_who_knows_the_version_gets_no_map(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a, b, city = await founded(store)
    known = await other.read(2)
    assert (known.map_version, known.map) == (2, None)
    assert known.leases == (Lease(a, 0, False), Lease(b, 0, False))
    for version in (-1, 0, 1, 3):
        assert (await other.read(version)).map == city


async def test_incarnation_numbers_grow_and_are_never_given_twice(open_store: OpenStore) -> None:
    numbers = []
    for _ in range(40):
        store = await open_store()
        who = await registered(store, "a")
        numbers.append(who.number)
        await store.end(who)
        await store.close()
    assert numbers == list(range(1, 41))
    assert (await registered(await open_store(), "b")).number == 1


async def test_a_new_incarnation_ends_the_older_only_with_proof(open_store: OpenStore) -> None:
    store = await open_store()
    first = await registered(store, "a")
    second = await registered(store, "a")
    assert await store.renew(first)
    third = await registered(store, "a", ends=second)
    assert [await store.renew(who) for who in (first, second, third)] == [False, False, True]


async def test_a_registration_cannot_end_another_node(open_store: OpenStore) -> None:
    store = await open_store()
    a = await registered(store, "a")
    with pytest.raises(LocalError):
        await registered(store, "b", ends=a)
    assert await store.renew(a)


async def test_a_city_has_one_ttl(open_store: OpenStore) -> None:
    store = await open_store()
    await founded(store)
    with pytest.raises(LocalError, match=r"2\.0 s"):
        await store.register(registration("c"), 3.0, None)
    assert (await registered(store, "c")).number == 1


async def test_renewals_are_counted_and_strangers_told(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a = await registered(store, "a")
    assert [await store.renew(a), await other.renew(a)] == [True, True]
    assert await lease(store, a) == Lease(a, 2, False)
    assert not await store.renew(Incarnation(a.node, 2))
    assert not await store.renew(Incarnation(b"z" * 32, 1))


async def test_an_orderly_end_is_seen_at_once_and_may_be_repeated(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a = await registered(store, "a")
    await store.end(a)
    await store.end(a)
    await store.end(Incarnation(b"z" * 32, 1))
    assert not await other.renew(a)
    judge = LeaseJudge(TTL_S)
    judge.observe((await other.read(0)).leases, 0.0)
    assert judge.is_dead(a)


async def test_of_two_rivals_one_wins(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a, b, city = await founded(store)
    claims = [made(citymap.claim(city, who, [cell("3")])) for who in (a, b)]
    answers = {}

    async def propose(through: Coordination, index: int) -> None:
        answers[index] = await through.propose(claims[index], 2)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(propose, store, 0)
        nursery.start_soon(propose, other, 1)
    (winner,) = [index for index, answer in answers.items() if answer.ok]
    assert (answers[winner].version, answers[winner].reason) == (3, None)
    assert (answers[1 - winner].version, answers[1 - winner].reason) == (3, "version")
    assert await newest(store) == await newest(other) == claims[winner]


async def test_many_rivals_take_their_steps_one_after_another(open_store: OpenStore) -> None:
    """Whoever loses reads the newer map and takes the same step on it: nothing is lost, every epoch is its own."""
    store = await open_store()
    a, b, _ = await founded(store)

    async def claim_all(who: Incarnation, cells: list[Cell]) -> None:
        through = await open_store()
        for wanted in cells:
            while True:
                city = await newest(through)
                if (await through.propose(made(citymap.claim(city, who, [wanted])), city.version)).ok:
                    break

    async with trio.open_nursery() as nursery:
        nursery.start_soon(claim_all, a, list(cell("3").children()))
        nursery.start_soon(claim_all, b, list(cell("2").children()))
    city = await newest(store)
    assert city.version == 10
    assert set(city.leaves_in(cell("3"))) <= set(city.cells_of(a))
    assert set(city.leaves_in(cell("2"))) == set(city.cells_of(b))
    taken = [*city.leaves_in(cell("3")), *city.leaves_in(cell("2"))]
    assert sorted(city.cells[c].epoch for c in taken) == list(range(3, 11))


async def test_a_proposal_on_an_old_version_is_refused(open_store: OpenStore) -> None:
    store = await open_store()
    a, b, city = await founded(store)
    moved = made(citymap.hand_over(city, [cell("00")], a, b))
    assert (await store.propose(moved, 2)).ok
    late = made(citymap.split(city, cell("01")))
    for expected in (0, 1, 2):
        answer = await store.propose(late, expected)
        assert (answer.ok, answer.version, answer.reason) == (False, 3, "version")
    assert await newest(store) == moved
    assert moved.cells[cell("00")].epoch == 3 > city.cells[cell("00")].epoch


async def test_a_map_can_only_follow_an_older_one_and_must_be_sound(open_store: OpenStore) -> None:
    store = await open_store()
    _, _, city = await founded(store)
    with pytest.raises(LocalError, match="follow"):
        await store.propose(city, 2)
    with pytest.raises(LocalError, match="unsound"):
        await store.propose(CityMap(3, 0, {}, city.cells, {}), 2)
    assert await newest(store) == city


async def test_a_holder_paused_beyond_its_lease_is_succeeded_and_told(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a, b, city = await founded(store)
    own = OwnLease(TTL_S)
    own.renewal_done(own.renewal_sent(100.0), await store.renew(a))  # and now A is paused, at 100 s
    judge, clock_s = LeaseJudge(TTL_S), 7_000.0  # B's own clock
    while not judge.is_dead(a):
        assert clock_s < 7_003.0
        await other.renew(b)
        judge.observe((await other.read(2)).leases, clock_s)
        clock_s += 0.5
    assert not judge.is_dead(b)
    assert own.lapsed(100.0 + clock_s - 7_000.0)
    after = made(citymap.fail_over(city, a, b))
    assert (await other.propose(after, 2, judge.lease(a))).ok
    own.renewal_done(own.renewal_sent(110.0), await store.renew(a))
    assert own.lost
    assert (await newest(store)).cells[cell("00")].holder == b
    judge.observe((await other.read(3)).leases, clock_s)
    assert judge.is_dead(a)


async def test_a_takeover_loses_to_a_renewal(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a, b, city = await founded(store)
    judged = await lease(other, a)
    assert await store.renew(a)
    answer = await other.propose(made(citymap.fail_over(city, a, b)), 2, judged)
    assert (answer.ok, answer.version, answer.reason) == (False, 2, "renewed")
    assert await store.renew(a)
    assert await newest(store) == city


async def test_a_takeover_ends_nothing_unless_it_is_accepted(open_store: OpenStore) -> None:
    store = await open_store()
    a, b, city = await founded(store)
    judged = await lease(store, a)
    assert (await store.propose(made(citymap.split(city, cell("3"))), 2)).ok
    assert (await store.propose(made(citymap.fail_over(city, a, b)), 2, judged)).reason == "version"
    assert await store.renew(a)
    unlisted = registration("c").member(9)
    city = await newest(store)
    both = made(citymap.join(made(citymap.fail_over(city, a, b)), unlisted))
    assert (await store.propose(both, 3, await lease(store, a))).reason == "ended"
    assert await store.renew(a)


async def test_an_ended_incarnation_cannot_be_listed_again(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a, b, city = await founded(store)
    after = made(citymap.fail_over(city, b, a))
    assert (await store.propose(after, 2, await lease(store, b))).ok
    back = made(citymap.join(after, registration("b").member(b.number)))
    answer = await other.propose(back, 3)
    assert (answer.ok, answer.version, answer.reason) == (False, 3, "ended")
    newer = await registered(other, "b")
    assert newer.number == b.number + 1
    assert (await other.propose(made(citymap.join(after, registration("b").member(newer.number))), 3)).ok


async def test_a_new_generation_numbers_incarnations_anew(open_store: OpenStore) -> None:
    """A store restored from a copy may have forgotten numbers it gave: those of a new generation are larger."""
    store = await open_store()
    a, _, city = await founded(store)
    assert (await store.propose(made(citymap.new_generation(city)), 2)).ok
    again = await registered(store, "a")
    assert again.number > 1 << 31
    assert (await registered(store, "a")).number == again.number + 1
    assert again > a


async def test_a_number_is_above_the_one_it_ends_even_if_the_store_forgot_that(open_store: OpenStore) -> None:
    store = await open_store()
    forgotten = Incarnation(registration("a").node, 7)
    again = await registered(store, "a", ends=forgotten)
    assert again.number == 8
    assert await store.renew(again)
    assert (await registered(store, "a")).number == 9


async def test_a_watcher_wakes_for_another_processs_change(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    _, _, city = await founded(store)
    seen = []

    async def watch(through: Coordination) -> None:
        seen.append(await through.wait_change(2, 60.0))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, store)
        nursery.start_soon(watch, other)
        await trio.testing.wait_all_tasks_blocked()
        assert (await other.propose(made(citymap.split(city, cell("3"))), 2)).ok
    assert seen == [3, 3]


async def test_a_watcher_that_fell_behind_gets_the_newest(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    _, _, city = await founded(store)
    for leaf in cell("3"), cell("2"), cell("1"):
        city = made(citymap.split(city, leaf))
        assert (await store.propose(city, city.version - 1)).ok
    assert [await other.wait_change(version, 60.0) for version in (0, 2, 4)] == [5, 5, 5]
    assert (await other.read(4)).map == city


async def test_a_watcher_without_a_change_comes_back_with_what_it_knew(open_store: OpenStore) -> None:
    store = await open_store()
    await founded(store)
    assert await store.wait_change(2, 0.0) == 2


async def test_a_notice_is_read_by_all_once_and_stays_as_it_was_posted(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    empty = await other.notices(-1)
    assert empty.notices == {}
    assert (await other.notices(empty.number)).notices is None
    assert await store.post(b"one", b"first")
    seen = await other.notices(empty.number)
    assert seen.notices == {b"one": b"first"}
    assert (await other.notices(seen.number)).notices is None
    assert await other.post(b"one", b"another")
    assert await other.post(b"two", b"\x00" * 4_096)
    late = await open_store()
    again = await late.notices(seen.number)
    assert again.notices == {b"one": b"first", b"two": b"\x00" * 4_096}
    assert (await store.notices(again.number)).notices is None


async def test_a_notice_that_is_over_is_taken_down(open_store: OpenStore) -> None:
    store = await open_store()
    await store.take_down(b"one")
    for name in (b"one", b"two"):
        assert await store.post(name, name)
    await store.take_down(b"one")
    await store.take_down(b"one")
    assert (await store.notices(-1)).notices == {b"two": b"two"}
    before = await store.notices(-1)
    await store.take_down(b"two")
    assert await store.post(b"three", b"three")
    assert (await store.notices(before.number)).notices == {b"three": b"three"}


async def test_notices_that_are_posted_together_are_all_seen(open_store: OpenStore) -> None:
    """A reader who asks for what is new never misses one that was begun before and ended after another."""
    reader, names = await open_store(), [bytes((i,)) for i in range(12)]
    writers = [await open_store() for _ in range(3)]
    seen: set[bytes] = set()
    done = trio.Event()

    async def follow() -> None:
        number, last = -1, False
        while not last:
            last = done.is_set()
            board = await reader.notices(number)
            number = board.number
            seen.update(board.notices or ())

    async def post(store: Coordination, mine: list[bytes]) -> None:
        for name in mine:
            assert await store.post(name, name)

    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            async with trio.open_nursery() as posting:
                for i, store in enumerate(writers):
                    posting.start_soon(post, store, names[i::3])
            done.set()
    assert seen == set(names)


async def test_a_board_is_bounded(open_store: OpenStore, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await open_store()
    monkeypatch.setattr(sys.modules[type(store).__module__], "NOTICES_MAX", 2)
    assert [await store.post(name, name) for name in (b"one", b"two", b"three")] == [True, True, False]
    assert (await store.notices(-1)).notices == {b"one": b"one", b"two": b"two"}
    await store.take_down(b"one")
    assert await store.post(b"three", b"three")


async def test_a_cancelled_call_leaves_the_store_usable(open_store: OpenStore) -> None:
    store, other = await open_store(), await open_store()
    a, _, city = await founded(store)
    for leaf in cell("3"), cell("2"):
        before = await newest(other)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.propose, made(citymap.split(before, leaf)), before.version, None)
            nursery.start_soon(store.renew, a)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        # Whether it was done or not, it is one of the two, and nothing is left open.
        assert (await newest(other)).version in (before.version, before.version + 1)
        assert await other.renew(a)
        assert await store.renew(a)
    assert (await newest(store)).version >= city.version


async def test_a_closed_store_says_so(open_store: OpenStore) -> None:
    store = await open_store()
    await store.close()
    await store.close()
    with pytest.raises(CoordinationDown) as caught:
        await store.read(0)
    assert caught.value.reason == "closed"
    assert caught.value.lasting
