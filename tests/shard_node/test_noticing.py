"""A node and the board of its store come to know the same, whoever heard first, and whatever the store forgets."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from p2pworld.crypto.keys import NodeKeys
from p2pworld.grants import sign_grant, succeed
from p2pworld.limits import NOTICES_EVERY_S, NOTICES_WHOLE_S
from p2pworld.messages import Instant
from p2pworld.revocation import pack_notice, sign_revocation
from p2pworld.world.notices import Notices
from p2pworld.world.outbox import Outbox
from shard_node.coordination import Board, CoordinationDown
from shard_node.noticing import Noticing
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from p2pworld.errors import Refusal
    from p2pworld.grants import Grant

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
ROOT, NODE, OTHER, NEXT = (NodeKeys.from_seed(bytes((i,)) * 32) for i in range(1, 5))
SPAN = (("cells:*",), NOW_MS - DAY_MS, NOW_MS + DAY_MS)
OWN = (sign_grant(ROOT, NODE.public, "shard", *SPAN),)


class Machine:
    """As much of an executor and its node as the board has to do with."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()
        self.now = Instant(1.0, NOW_MS)
        self.known = Notices(frozenset({ROOT.public}), Outbox())
        self.grants: tuple[Grant, ...] = OWN

    def ask_node(self, question: Callable[[Any, Instant], Any]) -> Any:
        return question(self, self.now)

    def take_back(self, data: bytes) -> Any:
        return self.known.receive(data, self.now)

    def own_fault(self, now: Instant) -> Refusal | None:
        return self.known.voids(self.grants, now.wall_ms)

    def notices_beyond(self, names: set[bytes]) -> list[tuple[bytes, bytes]]:
        return self.known.missing(names)


def word(subject: NodeKeys, until_ms: int = NOW_MS + DAY_MS) -> bytes:
    return pack_notice(sign_revocation(ROOT, subject.public, NOW_MS, until_ms))


class Store:
    """The board in memory: a thread at work would be no reason for the virtual clock to wait."""

    def __init__(self) -> None:
        self.number = 0
        self.posted: dict[bytes, bytes] = {}

    async def notices(self, known: int) -> Board:
        await trio.lowlevel.checkpoint()
        return Board(self.number, None if known == self.number else dict(self.posted))

    async def post(self, name: bytes, notice: bytes) -> bool:
        self.number += name not in self.posted
        self.posted.setdefault(name, notice)
        return True

    async def take_down(self, name: bytes) -> None:
        self.posted.pop(name, None)


@pytest.fixture
def store() -> Store:
    return Store()


def eye(machine: Machine, store: Any) -> Noticing:
    return Noticing(machine, store)  # type: ignore[arg-type]


async def test_what_one_node_heard_reaches_another_that_has_only_the_store(store: Store) -> None:
    one, other = Machine(), Machine()
    one.take_back(word(OTHER))
    await eye(one, store).look()
    await eye(other, store).look()
    assert one.known.missing(()) == other.known.missing(()) != []


async def test_a_store_that_has_forgotten_learns_it_again(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    one = Machine()
    one.take_back(word(OTHER))
    looking = eye(one, store)
    await looking.look()
    await looking.look()
    (name, _) = one.known.missing(())[0]
    await store.take_down(name)
    await looking.look()
    assert (await store.notices(-1)).notices == {}  # nothing new was to be seen
    await trio.sleep(NOTICES_WHOLE_S)
    await looking.look()
    assert set((await store.notices(-1)).notices or ()) == {name}


async def test_what_is_over_is_taken_down_and_garbage_harms_nobody(store: Store) -> None:
    one = Machine()
    await store.post(b"over", word(OTHER, NOW_MS + 5))
    await store.post(b"garbage", b"\xff" * 100)
    one.now = Instant(1.0, NOW_MS + 5)
    await eye(one, store).look()
    assert set((await store.notices(-1)).notices or ()) == {b"garbage"}
    assert one.known.counters["notice-refused-malformed"] == 1
    assert one.known.missing(()) == []


async def test_it_looks_until_the_node_itself_is_the_one(
    store: Store, autojump_clock: trio.testing.MockClock
) -> None:
    one = Machine()
    looking = eye(one, store)
    faults: list[Refusal] = []

    async def run() -> None:
        faults.append(await looking.run())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        await trio.sleep(3 * NOTICES_EVERY_S)
        assert not faults
        assert looking.fault is None
        data = word(NODE)
        await store.post(b"name", data)
        with trio.fail_after(PATIENCE_S):
            while not faults:  # noqa: ASYNC110
                await trio.sleep(NOTICES_EVERY_S)
    assert looking.fault == faults[0]
    assert faults[0].reason == "grant-revoked"


async def test_a_node_tells_which_keys_it_had_before(store: Store) -> None:
    one, other = Machine(), Machine()
    one.grants = succeed(NODE, OWN, NEXT.public, NOW_MS)
    looking = eye(one, store)
    looking.tell_former(one.grants)
    await looking.look()
    await eye(other, store).look()
    assert other.own_fault(other.now) is not None  # it still has the key before
    assert one.own_fault(one.now) is None


async def test_a_full_board_and_a_store_that_is_away_are_counted() -> None:
    class Full:
        async def notices(self, known: int) -> Any:
            return Board(0, {})

        async def post(self, name: bytes, notice: bytes) -> bool:
            return False

    class Away:
        async def notices(self, known: int) -> Any:
            raise CoordinationDown("io", "away")

    one = Machine()
    one.take_back(word(OTHER))
    await eye(one, Full()).look()
    await eye(one, Away()).look()
    assert one.counters == {"notices_board_full": 1, "notices_failed_io": 1}
