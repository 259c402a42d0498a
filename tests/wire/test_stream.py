"""Framing: however a stream is cut, the same frames come out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import LocalError, RemoteError
from p2pworld.wire.stream import FrameReader, frame


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=6), st.lists(st.integers(1, 30), min_size=1))
def test_frames_survive_any_cutting(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(frame(payload) for payload in payloads)
    reader, got, at, turn = FrameReader(40), [], 0, 0
    while at < len(stream):
        size = cuts[turn % len(cuts)]
        got += reader.feed(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert got == payloads
    assert reader.waiting_bytes == 0


@pytest.mark.parametrize("length", [0, 11, 2**32 - 1])
def test_a_length_out_of_bounds_ends_the_stream_before_anything_is_held(length: int) -> None:
    reader = FrameReader(10)
    assert reader.feed(frame(b"0123456789")) == [b"0123456789"]
    with pytest.raises(RemoteError) as caught:
        reader.feed(length.to_bytes(4, "little"))
    assert caught.value.reason == "frame-size"
    assert reader.waiting_bytes == 0
    with pytest.raises(RemoteError):
        reader.feed(frame(b"a"))


def test_the_bound_may_grow_after_a_handshake() -> None:
    reader = FrameReader(2)
    reader.max_bytes = 3
    assert reader.feed(frame(b"abc")) == [b"abc"]


def test_an_empty_frame_is_not_sent() -> None:
    with pytest.raises(LocalError):
        frame(b"")
