"""What newcomers of a cell are shown: all of it, in the right bytes, a little each tick, whatever changes meanwhile."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import Cell
from p2pworld.limits import (
    SHOW_BYTES,
    SHOW_MESSAGES_PER_TICK,
    SHOW_OBJECTS,
    SHOW_PACKED_PER_TICK,
    SHOW_SENDS_PER_TICK,
)
from p2pworld.messages import Act, Objects, PackedObjects, Pose, ToClient, WorldObject
from p2pworld.wire.codec import decode_play, encode_objects, encode_play, pack_object
from p2pworld.world.outbox import Outbox
from p2pworld.world.showing import Showing
from tests.wire.messages import of_class
from tests.world.cores import Cores
from tests.world.test_places_nodes import NOON, metres

CELL = 5


def lantern(number: int, text: str = "wish", cell: int = CELL) -> WorldObject:
    return WorldObject(cell.to_bytes(8, "big") + number.to_bytes(8, "big"), "lantern", 1, 2, text)


class Stage:
    """Some cells with their objects, clients that listen, and what each believes to be there."""

    def __init__(self, **cells: int) -> None:
        self.out = Outbox()
        self.showing = Showing(self.out)
        self.cells = {
            int(name[1:]): {one.id: one for one in (lantern(n, cell=int(name[1:])) for n in range(count))}
            for name, count in cells.items()
        }
        self.heard: dict[int, list[Objects]] = {}
        self.believed: dict[int, dict[bytes, WorldObject]] = {}

    def tick(self) -> list[Objects]:
        """One tick; the messages it took, each once."""
        self.showing.tick(self.cells.get)
        for send in self.out.sends:
            assert isinstance(send, ToClient)
            self._hear(send.conn, decode_play(encode_play(send.message)))
        sent = {id(send.message): send.message for send in self.out.sends if isinstance(send, ToClient)}
        self.out.sends.clear()
        return [message for message in sent.values() if isinstance(message, Objects)]

    def change(self, cell: int, one: WorldObject | None, gone: bytes = b"") -> None:
        """An object is new, changed or gone, and everybody in the cell is told so, as the node does."""
        if one is not None:
            self.cells[cell].pop(one.id, None)
            self.cells[cell][one.id] = one
        else:
            self.cells[cell].pop(gone, None)
        for conn in self.believed:
            self._hear(conn, Objects(cell, (one,) if one else (), () if one else (gone,)))

    def enter(self, conn: int, cell: int = CELL) -> None:
        self.believed.setdefault(conn, {})
        self.showing.enter(conn, cell)

    def _hear(self, conn: int, message: object) -> None:
        assert isinstance(message, Objects)
        self.heard.setdefault(conn, []).append(message)
        believed = self.believed.setdefault(conn, {})
        if message.whole:
            believed.clear()
        believed.update({one.id: one for one in message.objects})
        for gone in message.gone:
            believed.pop(gone, None)


@given(st.lists(of_class(WorldObject), max_size=5), st.booleans(), st.integers(1, 2**53 - 1))
def test_packed_objects_are_the_bytes_of_the_message(
    shown: list[WorldObject], whole: bool, cell: int
) -> None:
    message = Objects(cell, tuple(shown), whole=whole)
    data = encode_objects(cell, [pack_object(one) for one in shown], whole)
    assert data == encode_play(message)
    assert encode_play(PackedObjects(cell, tuple(shown), whole=whole, data=data)) == data


def test_everything_comes_in_order_and_the_first_message_says_whole() -> None:
    stage = Stage(c5=150)
    stage.enter(1)
    for _ in range(5):
        stage.tick()
    assert [(m.whole, len(m.objects)) for m in stage.heard[1]] == [(True, 64), (False, 64), (False, 22)]
    assert stage.believed[1] == stage.cells[CELL]
    assert stage.tick() == []


def test_an_empty_cell_is_told_at_once_and_one_of_another_node_not_at_all() -> None:
    stage = Stage(c5=0)
    stage.enter(1)
    stage.enter(2, 99)
    stage.tick()
    assert stage.heard == {1: [Objects(CELL, (), whole=True)]}


def test_those_who_come_together_get_the_same_message_made_once() -> None:
    stage = Stage(c5=70)
    for conn in range(50):
        stage.enter(conn)
    assert len(stage.tick()) == len(stage.tick()) == 1
    assert all(stage.believed[conn] == stage.cells[CELL] for conn in range(50))


def test_long_words_make_short_messages() -> None:
    stage = Stage(c5=0)
    for number in range(100):
        one = lantern(number, "가" * 200)
        stage.cells[CELL][one.id] = one
    stage.enter(1)
    while messages := stage.tick():
        for message in messages:
            assert isinstance(message, PackedObjects)
            assert len(message.data) < SHOW_BYTES + 1_000
    assert stage.believed[1] == stage.cells[CELL]


def test_a_tick_packs_and_sends_so_much_and_cells_take_turns() -> None:
    cells = range(1, 101)
    stage = Stage(**{f"c{cell}": 70 for cell in cells})
    for cell in cells:
        for conn in range(5):
            stage.enter(1_000 * cell + conn, cell)
    packed: set[bytes] = set()
    ticks = 0
    while messages := stage.tick():
        ticks += 1
        assert len(messages) <= SHOW_MESSAGES_PER_TICK
        new = {one.id for message in messages for one in message.objects} - packed
        assert len(new) <= SHOW_PACKED_PER_TICK
        packed |= new
        if ticks == 100:  # each cell has had a turn before any has its second but the first ones
            assert len(stage.heard) >= 5 * 50
    assert all(believed == stage.cells[conn // 1_000] for conn, believed in stage.believed.items())


def test_of_a_great_crowd_of_newcomers_so_many_are_served_a_tick() -> None:
    stage = Stage(c5=64)
    for conn in range(3 * SHOW_SENDS_PER_TICK):
        stage.enter(conn)
    for tick in range(1, 4):
        stage.tick()
        assert len(stage.heard) == tick * SHOW_SENDS_PER_TICK
    assert all(believed == stage.cells[CELL] for believed in stage.believed.values())


def test_who_leaves_or_goes_on_is_shown_no_more_of_it() -> None:
    stage = Stage(c5=300, c6=10)
    stage.enter(1)
    stage.enter(2)
    stage.tick()
    stage.enter(1, 6)
    stage.showing.lost(2)
    stage.showing.lost(2)
    for _ in range(8):
        stage.tick()
    assert [m.cell for m in stage.heard[1]] == [5, 6]
    assert len(stage.heard[2]) == 1
    assert stage.believed[1] == stage.cells[6]


def test_what_was_packed_for_cells_of_long_ago_is_forgotten() -> None:
    stage = Stage(**{f"c{cell}": 1 for cell in range(1, 50)})
    for cell in range(1, 50):
        stage.enter(1, cell)
        stage.tick()
    assert len(stage.showing._packed) == 32
    assert stage.believed[1] == stage.cells[49]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("tick"), st.just(0)),
        st.tuples(st.just("enter"), st.integers(1, 4)),
        st.tuples(st.just("put"), st.integers(0, 220)),
        st.tuples(st.just("take"), st.integers(0, 220)),
        st.tuples(st.just("lost"), st.integers(1, 4)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None)
@given(steps)
def test_whatever_changes_meanwhile_in_the_end_everybody_sees_what_is_there(
    happened: list[tuple[str, int]],
) -> None:
    stage = Stage(c5=200)
    there: set[int] = set()
    for number, (what, which) in enumerate(happened):
        match what:
            case "tick":
                stage.tick()
            case "enter":
                stage.enter(which)
                there.add(which)
            case "lost":
                stage.showing.lost(which)
                there.discard(which)
                stage.believed.pop(which, None)
            case "put":
                stage.change(CELL, replace(lantern(which), text=f"wish {number}"))
            case "take":
                stage.change(CELL, None, lantern(which).id)
    while stage.tick():
        pass
    for conn in there:
        assert stage.believed[conn] == stage.cells[CELL]
    assert not stage.showing._on


def test_in_a_whole_node_a_newcomer_sees_a_crowded_cell() -> None:
    cores = Cores([[Cell(1)]], 0, int(NOON.timestamp() * 1000))
    hangers = [cores.player(number, metres(0, 0)) for number in range(2)]
    for hanger in hangers:
        for n in range(100):
            hanger.say(Act(n, "hang", f"wish {n}"))
    cores.tick(5)
    late = cores.player(9, Pose(*map(int, (hangers[0].pose.east_cm, hangers[0].pose.north_cm))))
    cores.tick(6)
    messages = late.of(Objects)
    assert [(m.whole, len(m.objects)) for m in messages] == [(True, SHOW_OBJECTS)] + [(False, 64)] * 2 + [
        (False, 8)
    ]
    assert len({one.id for message in messages for one in message.objects}) == 200
