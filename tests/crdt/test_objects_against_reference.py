"""Cells that talk at random show at every moment what the slow twin says, and agree in the end."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from p2pworld.crdt import HybridClock, ObjectCell, Replica

from .reference import Event, History, Seen

IDS = [bytes([n]) * 16 for n in range(3)]
REPLICAS = [Replica(bytes([65 + n]) * 32, 1) for n in range(3)]
who = st.integers(0, len(REPLICAS) - 1)
which = st.sampled_from(IDS)


def seen(cell: ObjectCell) -> dict[bytes, Seen]:
    """A cell as the slow twin would tell it."""
    told: dict[bytes, Seen] = {}
    for object_id in cell:
        record = cell.get(object_id)
        assert record is not None
        counts = {name: record.count(name) for name in record.counters}
        told[object_id] = (record.fields, {name: count for name, count in counts.items() if count})
    return told


class Cells(RuleBasedStateMachine):
    """Three replicas of one cell, whose deltas arrive late, twice or as whole states, but never before their past."""

    def __init__(self) -> None:
        super().__init__()
        self.history = History()
        self.cells = [ObjectCell() for _ in REPLICAS]
        self.known: list[frozenset[int]] = [frozenset() for _ in REPLICAS]
        self.clocks = [HybridClock(replica) for replica in REPLICAS]
        self.deltas: list[ObjectCell] = []
        self.now_ms = 1_000

    def _happened(self, i: int, event: Event, delta: ObjectCell) -> None:
        number = self.history.note(event)
        assert number == len(self.deltas)
        self.deltas.append(delta)
        self.known[i] |= {number}

    @rule(i=who, object_id=which, name=st.sampled_from(["text", "hue"]), value=st.integers(0, 9))
    def put(self, i: int, object_id: bytes, name: str, value: int) -> None:
        if self.cells[i].is_expunged(object_id):
            return
        stamp = self.clocks[i].tick(self.now_ms + 7 * i)
        delta = self.cells[i].put(REPLICAS[i], object_id, {name: value}, stamp)
        event = Event("put", REPLICAS[i], object_id, self.known[i], stamp, {name: value})
        self._happened(i, event, delta)

    @rule(i=who, object_id=which, name=st.sampled_from(["rung", "seen"]), amount=st.integers(-3, 5))
    def count(self, i: int, object_id: bytes, name: str, amount: int) -> None:
        if object_id not in self.cells[i]:
            return
        delta = self.cells[i].add_to_counter(REPLICAS[i], object_id, name, amount)
        event = Event("count", REPLICAS[i], object_id, self.known[i], name=name, amount=amount)
        self._happened(i, event, delta)

    @rule(i=who, object_id=which)
    def remove(self, i: int, object_id: bytes) -> None:
        if object_id not in self.cells[i]:
            return
        delta = self.cells[i].remove(object_id)
        self._happened(i, Event("remove", REPLICAS[i], object_id, self.known[i]), delta)

    @precondition(lambda self: len(self.deltas) > 8)
    @rule(i=who)
    def expunge(self, i: int) -> None:
        delta = self.cells[i].expunge(IDS[0])
        self._happened(i, Event("expunge", REPLICAS[i], IDS[0], self.known[i]), delta)

    @precondition(lambda self: self.deltas)
    @rule(i=who, pick=st.integers(0, 1 << 16))
    def hear_delta(self, i: int, pick: int) -> None:
        ready = [n for n, event in enumerate(self.history.events) if event.past <= self.known[i]]
        number = ready[pick % len(ready)]
        self._observe(i, self.deltas[number])
        self.known[i] |= {number}

    @rule(i=who, j=who)
    def hear_state(self, i: int, j: int) -> None:
        self._observe(i, self.cells[j])
        self.known[i] |= self.known[j]

    def _observe(self, i: int, news: ObjectCell) -> None:
        before = seen(self.cells[i])
        changed = self.cells[i].merge_in(news)
        after = seen(self.cells[i])
        assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} <= changed
        if stamp := news.newest_stamp():
            self.clocks[i].observe(stamp, self.now_ms)

    @rule(ms=st.integers(-5, 20))
    def time_passes(self, ms: int) -> None:
        self.now_ms += ms

    @precondition(lambda self: self.deltas)
    @rule(data=st.data())
    def a_stranger_hears_all(self, data: st.DataObject) -> None:
        """Every delta, some twice, in any order, also before its past."""
        numbers = st.sampled_from(range(len(self.deltas)))
        order = data.draw(st.permutations(range(len(self.deltas)))) + data.draw(st.lists(numbers, max_size=4))
        stranger = ObjectCell()
        for number in order:
            stranger.merge_in(self.deltas[number])
        assert seen(stranger) == self.history.objects(set(range(len(self.deltas))))
        whole = ObjectCell()
        for cell in self.cells:
            whole.merge_in(cell)
        assert stranger == whole
        assert stranger.digest() == whole.digest()
        assert stranger.context.entries <= len(REPLICAS)

    @invariant()
    def shows_what_the_twin_says(self) -> None:
        for cell, known in zip(self.cells, self.known, strict=True):
            assert seen(cell) == self.history.objects(known)

    def teardown(self) -> None:
        for cell in self.cells:
            for delta in reversed(self.deltas):
                cell.merge_in(delta)
        assert all(cell == self.cells[0] and cell.digest() == self.cells[0].digest() for cell in self.cells)


Cells.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestCells = Cells.TestCase
