"""Short random histories of every replicated type, made by its own mutators on three replicas."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import strategies as st

from p2pworld.crdt import (
    CausalContext,
    HybridClock,
    ObjectCell,
    ObjectRecord,
    ORMap,
    ORSet,
    PNCounter,
    Register,
    Replica,
    Stamp,
)
from p2pworld.crdt.plain import read_text

if TYPE_CHECKING:
    from p2pworld.crdt import Value

REPLICAS = [Replica(b"a" * 32, 1), Replica(b"a" * 32, 2), Replica(b"b" * 32, 1)]
NAMES = ["x", "y", "z"]
IDS = [bytes([n]) * 16 for n in range(3)]
VALUES: list[Value] = [None, True, 1, 1.0, "하나", b"one", (1, ("two", b"")), -(1 << 63)]


class Move(NamedTuple):
    """One step: replica `who` hears delta number `news`, or changes something."""

    who: int
    verb: int
    key: int
    amount: int
    news: int


moves = st.lists(
    st.builds(
        Move,
        st.integers(0, 2),
        st.integers(0, 6),
        st.integers(0, 2),
        st.integers(-3, 5),
        st.integers(0, 1 << 16),
    ),
    max_size=14,
)


@dataclass(frozen=True)
class Kind:
    """One replicated type: its bottom, one local change (new state, delta), and its plain form."""

    name: str
    bottom: Callable[[], Any]
    change: Callable[[Any, Move, HybridClock], tuple[Any, Any]]
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]


def _change_context(state: CausalContext, move: Move, clock: HybridClock) -> tuple[Any, Any]:
    delta = CausalContext([state.next(clock.replica)])
    return state.merge(delta), delta


def _change_register(state: Register, move: Move, clock: HybridClock) -> tuple[Any, Any]:
    # One stamp for all writes of a kind: ties must not divide replicas.
    stamp = clock.tick(move.amount + 10) if move.verb % 2 else Stamp(5, 0, REPLICAS[0])
    delta = Register(stamp, VALUES[move.news % len(VALUES)])
    return state.merge(delta), delta


def _change_counter(state: PNCounter, move: Move, clock: HybridClock) -> tuple[Any, Any]:
    delta = state.add(clock.replica, move.amount)
    return state.merge(delta), delta


def _change_set(state: ORSet[str], move: Move, clock: HybridClock) -> tuple[Any, Any]:
    after, element = state.copy(), NAMES[move.key]
    return after, after.remove(element) if move.verb == 1 else after.add(clock.replica, element)


def _change_map(state: ORMap[str, Register], move: Move, clock: HybridClock) -> tuple[Any, Any]:
    after, key = state.copy(), NAMES[move.key]
    if move.verb == 1:
        return after, after.remove(key)
    written = Register(clock.tick(move.amount + 10), VALUES[move.news % len(VALUES)])
    return after, after.rewrite(clock.replica, key, [written], after.entries(key))


def _change_record(state: ObjectRecord, move: Move, clock: HybridClock) -> tuple[Any, Any]:
    name = NAMES[move.key]
    if move.verb % 2:
        delta = ObjectRecord({name: Register(clock.tick(move.amount + 10), move.news)})
    else:
        counter = state.counters.get(name, PNCounter())
        delta = ObjectRecord(counters={name: counter.add(clock.replica, move.amount)})
    return state.merge(delta), delta


def _change_cell(state: ObjectCell, move: Move, clock: HybridClock) -> tuple[Any, Any]:
    after, object_id = state.copy(), IDS[move.key]
    if after.is_expunged(object_id) or (move.verb == 1 and move.news % 4 == 0):
        return after, after.expunge(object_id)
    if object_id in after and move.verb == 1:
        return after, after.remove(object_id)
    if object_id in after and move.verb >= 4:
        return after, after.add_to_counter(clock.replica, object_id, NAMES[move.news % 3], move.amount)
    fields = {NAMES[move.news % 3]: VALUES[move.news % len(VALUES)]}
    return after, after.put(clock.replica, object_id, fields, clock.tick(move.amount + 10))


def _map_to_plain(state: ORMap[str, Register]) -> object:
    return state.to_plain(lambda key: key, Register.to_plain)


def _map_from_plain(plain: object) -> ORMap[str, Register]:
    return ORMap.from_plain(plain, 8, lambda key: read_text(key, 8, "a key"), Register.from_plain)


KINDS = [
    Kind("context", CausalContext, _change_context, CausalContext.to_plain, CausalContext.from_plain),
    Kind(
        "register",
        lambda: Register(Stamp(0, 0, REPLICAS[0]), None),
        _change_register,
        Register.to_plain,
        Register.from_plain,
    ),
    Kind("counter", PNCounter, _change_counter, PNCounter.to_plain, PNCounter.from_plain),
    Kind("set", ORSet, _change_set, ORSet.to_plain, ORSet.from_plain),
    Kind("map", ORMap, _change_map, _map_to_plain, _map_from_plain),
    Kind("record", ObjectRecord, _change_record, ObjectRecord.to_plain, ObjectRecord.from_plain),
    Kind("cell", ObjectCell, _change_cell, ObjectCell.to_plain, ObjectCell.from_plain),
]


@dataclass
class Run:
    """What a history left: the replicas' last states, all deltas, and every state on the way (bottom first)."""

    replicas: list[Any]
    deltas: list[Any]
    states: list[Any]
    changes: list[tuple[Any, Any, Any]]  # (before, delta, after)


def play(kind: Kind, steps: list[Move]) -> Run:
    """Let three replicas do these steps, hearing deltas in whatever order they come."""
    run = Run([kind.bottom() for _ in REPLICAS], [], [kind.bottom()], [])
    clocks = [HybridClock(replica) for replica in REPLICAS]
    for move in steps:
        before = run.replicas[move.who]
        if move.verb in (0, 2) and run.deltas:
            after = before.merge(run.deltas[move.news % len(run.deltas)])
        else:
            after, delta = kind.change(before, move, clocks[move.who])
            run.deltas.append(delta)
            run.changes.append((before, delta, after))
        run.replicas[move.who] = after
        run.states.append(after)
    return run
