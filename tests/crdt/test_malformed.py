"""Plain structures from elsewhere: what is not ours is refused by name, and what is read is sound."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.crdt import CausalContext, ObjectCell, ORSet, PNCounter, Register, Replica, Stamp
from p2pworld.crdt.plain import COUNT_MAX, VALUE_BYTES_MAX
from p2pworld.errors import RemoteError

from .histories import KINDS, Kind

if TYPE_CHECKING:
    from collections.abc import Callable

A = Replica(b"a" * 32, 1)
NODE = b"a" * 32

junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from([1 << 53, 1 << 64, -(1 << 70)])
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3)
    ),
    max_leaves=8,
)


def sample(kind: Kind) -> Any:
    """One valid plain structure of each type, with something in every part of it."""
    stamp = Stamp(5, 0, A)
    if kind.name == "cell":
        cell = ObjectCell()
        cell.put(A, b"1" * 16, {"text": "x", "at": (1, 2)}, stamp)
        cell.add_to_counter(A, b"1" * 16, "rung", 2)
        cell.put(A, b"2" * 16, {"text": "y"}, stamp)
        cell.expunge(b"3" * 16)
        return cell.to_plain()
    samples: dict[str, Any] = {
        "context": [[NODE, 1, 3, [5, 7]], [NODE, 2, 0, [2]]],
        "register": [[5, 0, NODE, 1], ["x", [1]]],
        "counter": [[NODE, 1, 4, 2], [NODE, 2, 0, 1]],
        "set": {"context": [[NODE, 1, 2, []]], "entries": [["x", [[0, 2, None]]]]},
        "map": {"context": [[NODE, 1, 2, []]], "entries": [["x", [[0, 2, [[5, 0, NODE, 1], 1]]]]]},
        "record": [{"text": [[5, 0, NODE, 1], 1]}, {"rung": [[NODE, 1, 4, 2]]}],
    }
    return samples[kind.name]


def places(plain: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every part of a structure."""
    inner = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    return [here, *(way for key, part in inner for way in places(part, (*here, key)))]


def replaced(plain: Any, way: tuple[Any, ...], part: Any) -> Any:
    if not way:
        return part
    twin = copy.deepcopy(plain)
    inner = twin
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = part
    return twin


def read_or_reason(read: Callable[[Any], Any], told: Any) -> Any:
    """The state read, or the reason for which it was refused."""
    try:
        return read(told)
    except RemoteError as error:
        return error.reason


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_structure_with_one_part_replaced_is_refused_or_sound(kind: Kind, data: st.DataObject) -> None:
    plain = sample(kind)
    assert kind.to_plain(kind.from_plain(plain)) == plain
    spoilt = replaced(plain, data.draw(st.sampled_from(places(plain))), data.draw(junk))
    state = read_or_reason(kind.from_plain, spoilt)
    if state != "crdt-malformed":
        assert kind.from_plain(kind.to_plain(state)) == state
        assert state.merge(kind.from_plain(plain)) == kind.from_plain(plain).merge(state)


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60) | junk.map(lambda part: msgpack.packb(str(part))),
    st.integers(0, 400),
    st.integers(0, 255),
)
def test_bytes_that_are_no_cell_are_refused(packed: bytes, place: int, byte: int) -> None:
    with pytest.raises(RemoteError) as caught:
        ObjectCell.from_bytes(packed)
    assert caught.value.reason == "crdt-malformed"
    valid = bytearray(msgpack.packb(sample(KINDS[-1])))
    valid[place % len(valid)] = byte
    state = read_or_reason(ObjectCell.from_bytes, bytes(valid))
    if state != "crdt-malformed":
        assert ObjectCell.from_bytes(state.to_bytes()) == state


def cell(**parts: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {
        "v": 1,
        "objects": {"context": [[NODE, 1, 2, []]], "entries": [[b"1" * 16, [[0, 2, [{}, {}]]]]]},
        "expunged": [],
    }
    return whole | parts


def entries(*rows: Any) -> dict[str, Any]:
    return {"context": [[NODE, 1, 2, []]], "entries": list(rows)}


ONE = [0, 2, [{}, {}]]


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        (cell(v=2), "format version"),
        (cell(more=1), "consist of"),
        (cell(expunged=[b"1" * 16]), "still there"),
        (cell(expunged=[b"2" * 16, b"2" * 16]), "expunged twice"),
        (cell(expunged=[b"short"]), "id is not 16"),
        (cell(objects=entries([b"1" * 16, [ONE, ONE]])), "dot twice"),
        (cell(objects=entries([b"1" * 16, [ONE]], [b"2" * 16, [ONE]])), "dot twice"),
        (cell(objects=entries([b"1" * 16, [ONE]], [b"1" * 16, [[0, 1, [{}, {}]]]])), "key twice"),
        (cell(objects=entries([b"1" * 16, []])), "without entries"),
        (cell(objects=entries([b"1" * 16, [[0, 3, [{}, {}]]]])), "not in the context"),
        (cell(objects=entries([b"1" * 16, [[1, 2, [{}, {}]]]])), "place"),
        (cell(objects=entries([b"1" * 16, [[True, 2, [{}, {}]]]])), "place"),
        (cell(objects={"context": [], "entries": [[b"1" * 16, [ONE]]]}), "place"),
        (cell(objects=entries([b"1" * 16, [[0, 2, [{"x" * 33: 0}, {}]]]])), "name"),
        (cell(objects=entries([b"1" * 16, [[0, 2, [{b"x": 0}, {}]]]])), "name"),
        (cell(objects=entries(*[[b"1" * 16, [ONE]]] * 20_000)), "at most"),
    ],
)
def test_a_cell_that_contradicts_itself_is_refused(plain: Any, sentence: str) -> None:
    with pytest.raises(RemoteError, match=sentence) as caught:
        ObjectCell.from_plain(plain)
    assert caught.value.reason == "crdt-malformed"


@pytest.mark.parametrize(
    "plain",
    [
        [[NODE, 1, 3, [4]]],  # 4 is no gap after 3
        [[NODE, 1, 0, []]],
        [[NODE, 1, 3, [7, 7]]],
        [[NODE, 1, 3, []], [NODE, 1, 4, []]],
        [[NODE, 1, COUNT_MAX + 1, []]],
        [[NODE, -1, 3, []]],
        [[b"", 1, 3, []]],
        [[NODE, 1, 3]],
    ],
)
def test_a_context_not_in_its_normal_form_is_refused(plain: Any) -> None:
    with pytest.raises(RemoteError):
        CausalContext.from_plain(plain)


@pytest.mark.parametrize(
    ("read", "plain"),
    [
        (Register.from_plain, [[1, 0, NODE, 1], "x" * VALUE_BYTES_MAX]),
        (Register.from_plain, [[1, 0, NODE, 1], float("inf")]),
        (Register.from_plain, [[1, 0, NODE, 1], {"a": 1}]),
        (Register.from_plain, [[1, 0, NODE, 1], [[[[[[1]]]]]]]),
        (Register.from_plain, [[1.0, 0, NODE, 1], 1]),
        (Register.from_plain, [[-1, 0, NODE, 1], 1]),
        (PNCounter.from_plain, [[NODE, 1, -1, 0]]),
        (PNCounter.from_plain, [[NODE, 1, 1, 0], [NODE, 1, 2, 0]]),
        (PNCounter.from_plain, [[NODE, 1, True, 0]]),
        (ORSet.from_plain, {"context": [[NODE, 1, 2, []]], "entries": [["x", [[0, 2, 1]]]]}),
        (ORSet.from_plain, {"context": [[NODE, 1, 2, []]], "entries": [[7, [[0, 2, None]]]]}),
    ],
)
def test_values_beyond_their_bounds_are_refused(read: Any, plain: Any) -> None:
    with pytest.raises(RemoteError) as caught:
        read(plain)
    assert caught.value.reason == "crdt-malformed"


@given(st.permutations(["x", "y", b"y"]))
def test_a_replica_that_names_two_keys_by_one_dot_divides_nobody(keys: list[str | bytes]) -> None:
    told = []
    for key in keys:  # to each of three others it says that its first write was of another key
        one: ORSet[str | bytes] = ORSet()
        one.add(A, key)
        told.append(one)
    first, second, third = told
    assert first.merge(second) == second.merge(first)
    assert first.merge(second).merge(third) == first.merge(second.merge(third))
    together = first.merge(second).merge(third)
    assert list(together) == ["x"]
    assert all(one.leq(together) for one in told)
    assert [one.leq(other) for one, other in ((first, second), (second, first))].count(True) == 1
