"""The codec: what is sent is what arrives, and whatever else arrives ends in one named reason."""

from __future__ import annotations

import hashlib
import re
import tracemalloc
from contextlib import suppress
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import LocalError, RemoteError
from p2pworld.geometry import Cell
from p2pworld.limits import LINK_BATCH_MESSAGES_MAX
from p2pworld.messages import (
    LINK_MESSAGES,
    PLAY_MESSAGES,
    Batch,
    Bye,
    Cancel,
    CellStored,
    Go,
    Hello,
    Pace,
    Pose,
    Profile,
    Who,
    WhoTell,
)
from p2pworld.wire.codec import (
    Canonical,
    canonical,
    decode_batch,
    decode_play,
    encode_batch,
    encode_play,
    hello_digest_input,
    hello_map,
    unpack_map,
)
from p2pworld.wire.schema import Schema
from tests.wire.messages import batches, of_class, play_messages

HELLO = Hello(1, bytes(32), 5, "ws://a/play", Profile("김"), bytes(64))
REASON = re.compile(r"(frame|msgpack|field|pose|poses|density|rows|certificate)[a-z-]*(:[a-z_.]+)?")


def reason(decode: Any, data: bytes) -> str:
    with pytest.raises(RemoteError) as caught:
        decode(data)
    assert REASON.fullmatch(caught.value.reason), caught.value.reason
    return caught.value.reason


def play(kind: int, fields: object) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return bytes((kind,)) + packed


@pytest.mark.parametrize("cls", PLAY_MESSAGES, ids=lambda cls: cls.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_every_play_message_arrives_as_it_was_sent(cls: type, data: st.DataObject) -> None:
    message = data.draw(of_class(cls))
    sent = encode_play(message)
    assert sent[0] == cls.KIND  # type: ignore[attr-defined]
    assert decode_play(sent) == message
    assert encode_play(decode_play(sent)) == sent


@pytest.mark.parametrize("cls", LINK_MESSAGES, ids=lambda cls: cls.__name__)
@settings(max_examples=25)
@given(data=st.data())
def test_every_link_message_arrives_as_it_was_sent(cls: type, data: st.DataObject) -> None:
    batch = Batch(data.draw(st.integers(0, 2**63 - 1)), (data.draw(of_class(cls)),))
    assert decode_batch(encode_batch(batch)) == batch


@given(batches)
def test_a_batch_keeps_its_order(batch: Batch) -> None:
    assert decode_batch(encode_batch(batch)) == batch


def mutations(data: bytes, draw: st.DataObject) -> bytes:
    """`data` with some bytes changed, cut out or put in."""
    changed = bytearray(data)
    for _ in range(draw.draw(st.integers(1, 4))):
        at = draw.draw(st.integers(0, len(changed)))
        cut = draw.draw(st.integers(0, 3))
        changed[at : at + cut] = draw.draw(st.binary(max_size=6))
    return bytes(changed)


@given(play_messages, st.data())
def test_a_mutated_play_message_is_a_message_or_a_remote_error(message: Any, data: st.DataObject) -> None:
    with suppress(RemoteError):
        again = decode_play(mutations(encode_play(message), data))
        assert decode_play(encode_play(again)) == again


@given(batches, st.data())
def test_a_mutated_batch_is_a_batch_or_a_remote_error(batch: Batch, data: st.DataObject) -> None:
    with suppress(RemoteError):
        again = decode_batch(mutations(encode_batch(batch), data))
        assert decode_batch(encode_batch(again)) == again


@given(st.binary(max_size=64))
def test_random_bytes_are_a_message_or_a_remote_error(data: bytes) -> None:
    for decode in (decode_play, decode_batch):
        with suppress(RemoteError):
            decode(data)


@given(play_messages, st.data())
def test_every_truncation_is_refused(message: Any, data: st.DataObject) -> None:
    sent = encode_play(message)
    reason(decode_play, sent[: data.draw(st.integers(0, len(sent) - 1))])


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "frame-empty"),
        (b"\x01\x80", "frame-kind"),
        (b"\xff\x80", "frame-kind"),
        (b"\x4c", "msgpack"),
        (b"\x4c\x80\x80", "msgpack"),
        (play(0x4C, []), "field-type"),
        (play(0x4C, {}), "field-missing:place"),
        (play(0x4C, {"place": 3}), "field-type:place"),
        (play(0x4C, {"place": ""}), "field-size:place"),
        (play(0x4C, {"place": "x" * 41}), "field-size:place"),
        (play(0x4C, {"place": "a\0b"}), "field-text:place"),
        (b"\x4c\x81\xa5place\xa3\xed\xa0\x80", "msgpack"),  # a lone surrogate
        (b"\x4c\x81\xa5place\xa2\xc3\x28", "msgpack"),
        (b"\x4c\x82\xa5place\xa1a\xa5place\xa1b", "msgpack-twice"),
        (b"\x4c\x81\x01\xa1a", "msgpack"),  # a key that is no text
        (play(0x4D, {"shift_ms": 1001}), "field-range:shift_ms"),
        (play(0x4D, {"shift_ms": True}), "field-type:shift_ms"),
        (play(0x4D, {"shift_ms": 1.0}), "field-type:shift_ms"),
        (play(0x4D, {"shift_ms": None}), "field-type:shift_ms"),
        (play(0x48, {"ids": []}), "field-size:ids"),
        (play(0x48, {"ids": [0]}), "field-range:ids"),
        (play(0x48, {"ids": [1] * 65}), "field-size:ids"),
        (play(0x48, {"ids": [1] * 257}), "msgpack"),
        (play(0x4A, {"seq": 1, "pose": {"east_cm": 6553600}, "reason": "r"}), "field-range:pose.east_cm"),
        (play(0x4A, {"seq": 1, "pose": {"east_cm": 1}, "reason": "r"}), "field-missing:pose.north_cm"),
        (play(0x4C, {"place": "a", "x": [[]] * 200 + [[[]] * 200] * 6}), "msgpack-budget"),
        (play(0x4C, {"place": "a", **{f"k{i}": 0 for i in range(64)}}), "msgpack"),
        (b"\x4c\x81\xa5place\xdb\xff\xff\xff\xff", "msgpack"),  # text of 4 GiB
        (b"\x4c\x81\xa5place\xdd\xff\xff\xff\xff", "msgpack"),  # an array of 4 Gi
        (b"\x4c\xdf\xff\xff\xff\xff", "msgpack"),  # a map of 4 Gi
        (b"\x4c" + b"\x91" * 5_000, "msgpack"),
        (b"\x4c\x82\xa5place\xa1a\xa1x\xd6\xff\x00\x00\x00\x00", "msgpack"),  # an extension type
    ],
)  # fmt: skip
def test_the_reason_says_what_is_wrong(data: bytes, expected: str) -> None:
    assert reason(decode_play, data) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "msgpack"),
        (b"\x00", "msgpack"),
        (msgpack.packb([1]), "msgpack"),
        (msgpack.packb([1, []]) + b"\0", "msgpack"),
        (msgpack.packb([-1, []]), "field-range:map_version"),
        (msgpack.packb([2**63, []]), "field-range:map_version"),
        (msgpack.packb([1.0, []]), "field-range:map_version"),
        (msgpack.packb([1, {}]), "msgpack"),
        (msgpack.packb([1, [3]]), "msgpack"),
        (msgpack.packb([1, [[3]]]), "msgpack"),
        (msgpack.packb([1, [[0x7F, {}]]]), "frame-kind"),
        (msgpack.packb([1, [[True, {}]]]), "frame-kind"),
        (msgpack.packb([1, [[[], {}]]]), "frame-kind"),
        (msgpack.packb([1, [[0x41, {}]]]), "field-missing:ids"),
        (b"\x92\x01\xdd\xff\xff\xff\xff", "msgpack-budget"),
        (b"\x92\x01\xdd\x00\x00\xff\xff", "msgpack"),
        (bytes((20 << 20) + 1), "frame-size"),
    ],
)
def test_the_reason_says_what_is_wrong_with_a_batch(data: bytes, expected: str) -> None:
    assert reason(decode_batch, data) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\x92\x01\xdd\x00\x00\xff\xff" + b"\xdd\x00\x00\x00\xff" * 200_000,  # arrays in arrays
        b"\x92\x01\x91\x92\x40\x81\xa3ids\xdc\x01\x00"
        + (b"\xdc\x01\x00" + b"\x80" * 256) * 2_000,  # many maps
    ],
    ids=["deep", "wide"],
)
def test_hostile_counts_cost_no_memory(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(RemoteError):
            decode_batch(data)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_unknown_keys_are_ignored_and_absent_fields_take_their_defaults() -> None:
    assert decode_play(play(0x4F, {"code": "full", "later": {"a": [1]}})) == Bye("full")


def test_what_equals_its_default_is_not_sent() -> None:
    assert encode_play(Bye("full")) == play(0x4F, {"code": "full"})


@pytest.mark.parametrize(
    "message",
    [
        Go(""),
        Go("\ud800"),
        Go("a\0"),
        Pace(1001),
        Pace(True),
        Who((1,) * 65),
        Who([1]),  # type: ignore[arg-type]
        replace(HELLO, want=Pose(-1, 0)),
        Cancel(1, 1, bytes(16)),  # a link message
        Pose(1, 2),
    ],
    ids=repr,
)
def test_what_a_receiver_would_refuse_is_not_sent(message: Any) -> None:
    with pytest.raises(LocalError):
        encode_play(message)


def test_a_cell_leaves_as_its_plain_number() -> None:
    batch = Batch(1, (CellStored(Cell.from_quadkey("012"), 1, 1),))
    message = decode_batch(encode_batch(batch)).messages[0]
    assert isinstance(message, CellStored)
    assert type(message.cell) is int
    assert message.cell == Cell.from_quadkey("012")


def test_the_largest_answer_fits_its_budget() -> None:
    tell = WhoTell(tuple(range(1, 257)), (Profile("가" * 32, "x" * 64, "program"),) * 256)
    assert decode_batch(encode_batch(Batch(1, (tell,)))).messages == (tell,)


def test_a_batch_has_a_greatest_number_of_messages() -> None:
    with pytest.raises(LocalError, match="send two"):
        encode_batch(Batch(1, (Cancel(1, 1, bytes(16)),) * (LINK_BATCH_MESSAGES_MAX + 1)))


def test_an_annotation_of_no_known_shape_is_refused_when_compiled() -> None:
    class Odd:
        __annotations__ = {"x": float}

    from dataclasses import dataclass

    with pytest.raises(LocalError, match=r"Odd\.x"):
        Schema(dataclass(Odd))


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.binary(max_size=9)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def reversed_maps(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reversed_maps(value[key]) for key in reversed(value)}
    return [reversed_maps(item) for item in value] if isinstance(value, list) else value


@given(plain)
def test_canonical_bytes_do_not_know_the_order_of_keys(value: Any) -> None:
    data = canonical(value)
    assert canonical(reversed_maps(value)) == data
    assert msgpack.unpackb(data, strict_map_key=False) == value


@given(play_messages)
def test_a_dataclass_has_the_canonical_bytes_of_its_map(message: Any) -> None:
    cls = type(message)
    data = Canonical(cls).pack(message)
    assert data == canonical(Schema(cls).write(message))
    assert Canonical(cls).read(unpack_map(data)) == message


def test_canonical_bytes_by_hand() -> None:
    assert canonical({"b": 1, "a": [None, True, b"\x01", "가"]}).hex() == "82a16194c0c3c40101a3eab080a16201"
    assert [canonical(n).hex() for n in (127, 128, 65535, 65536, 2**32, -32, -33)] == [
        "7f", "cc80", "cdffff", "ce00010000", "cf0000000100000000", "e0", "d0df",
    ]  # fmt: skip


def test_canonical_bytes_of_nothing_else() -> None:
    loop: list[object] = []
    loop.append(loop)
    for value in (1.5, {1: 2}, {b"a": 1}, 2**64, object(), loop, {"a": {1.0}}, "\ud800"):
        with pytest.raises(LocalError):
            canonical(value)


def test_a_hello_signs_the_challenge_and_what_is_not_at_its_default() -> None:
    fields = {"login_ms": 5, "url": "ws://a/play", "profile": {"name": "김"}}
    assert hello_map(HELLO) == fields
    signed = hello_digest_input(b"n" * 32, b"c" * 32, HELLO)
    assert (
        signed == b"p2pworld hello v1\n" + b"n" * 32 + b"c" * 32 + hashlib.sha256(canonical(fields)).digest()
    )
    changed = replace(HELLO, after_ms=4, after_birth=b"b" * 16, ticket=b"t" * 16, want=Pose(1, 2, yaw=3))
    assert hello_map(changed) == fields | {
        "after_ms": 4, "after_birth": b"b" * 16, "ticket": b"t" * 16,
        "want": {"east_cm": 1, "north_cm": 2, "yaw": 3},
    }  # fmt: skip
    unsigned = replace(HELLO, v=2, key=b"k" * 32, caps=("a",), sig=b"s" * 64)
    assert hello_map(unsigned) == fields
    with pytest.raises(LocalError):
        hello_digest_input(b"n", b"c" * 32, HELLO)
