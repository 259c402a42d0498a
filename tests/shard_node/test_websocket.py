"""The frame parser of play sockets against a whole WebSocket library, in any pieces; and each broken rule by name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from p2pworld.limits import CONTROL_BYTES_MAX
from shard_node.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    Broken,
    ClientFrames,
    Event,
    close_frame,
    message,
    pong,
)


def frame(opcode: int, data: bytes, fin: bool = True) -> bytes:
    """One masked frame, by the library."""
    return Frame(Opcode(opcode), data, fin).serialize(mask=True)


def slow_twin(stream: bytes) -> list[tuple[int, bytes]]:
    """What the library reads from a client's bytes, its fragments joined."""
    protocol = ServerProtocol(state=OPEN, max_size=CONTROL_BYTES_MAX)
    protocol.receive_data(stream)
    seen: list[tuple[int, bytes]] = []
    parts = b""
    for event in protocol.events_received():
        assert isinstance(event, Frame)
        data = bytes(event.data)
        if event.opcode in (Opcode.BINARY, Opcode.CONT):
            parts += data
            if event.fin:
                seen.append((BINARY, parts))
                parts = b""
        else:
            seen.append((int(event.opcode), data))
    return seen


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges)]


payloads = st.binary(max_size=300) | st.integers(0, CONTROL_BYTES_MAX).map(bytes)
controls = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125)).map(lambda c: frame(*c))


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A message in one to four frames, with pings between them."""
    data = draw(payloads)
    parts = pieces(data, draw(st.lists(st.integers(0, 5000), max_size=3)))
    stream = b""
    for i, part in enumerate(parts):
        stream += frame(0 if i else BINARY, part, fin=i == len(parts) - 1)
        stream += draw(st.just(b"") | controls)
    return stream


@given(st.lists(messages(), max_size=5).map(b"".join), st.lists(st.integers(0, 20_000), max_size=12))
def test_any_pieces_give_what_the_library_reads(stream: bytes, cuts: list[int]) -> None:
    parser = ClientFrames()
    seen = [event for piece in pieces(stream, cuts) for event in parser.feed(piece)]
    assert seen == slow_twin(stream)
    assert parser.at_boundary


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_random_bytes_end_the_same_way_in_any_pieces(stream: bytes, cuts: list[int]) -> None:
    whole, byte_by_byte = ClientFrames(), ClientFrames()
    expected = whole.feed(stream)
    assert [e for piece in pieces(stream, cuts) for e in byte_by_byte.feed(piece)] == expected


def by_reason(value: bytes | Broken) -> str:
    """A name that is the same in each process: the masks in the streams are not."""
    return value.reason if isinstance(value, Broken) else "stream"


@pytest.mark.parametrize(
    ("stream", "broken"),
    [
        (b"\x82\x05hello", Broken(1002, "unmasked")),
        (b"\xc2\x85", Broken(1002, "reserved_bits")),
        (frame(1, b"text"), Broken(1003, "text")),
        (b"\x83\x80", Broken(1002, "opcode")),
        (b"\x8b\x80", Broken(1002, "opcode")),
        (b"\x09\x80", Broken(1002, "control_frame")),
        (b"\x89\xfe\x00\x80", Broken(1002, "control_frame")),
        (b"\x80\x80", Broken(1002, "fragments")),
        (frame(BINARY, b"a", fin=False) + frame(BINARY, b"b"), Broken(1002, "fragments")),
        (b"\x82\xfe\x00\x05", Broken(1002, "length")),
        (b"\x82\xff" + (5).to_bytes(8, "big"), Broken(1002, "length")),
        (b"\x82\xff" + b"\xff" * 8, Broken(1009, "oversize")),
        (frame(BINARY, bytes(CONTROL_BYTES_MAX + 1))[:8], Broken(1009, "oversize")),
        (frame(BINARY, bytes(CONTROL_BYTES_MAX), fin=False) + frame(0, b"x"), Broken(1009, "oversize")),
        (frame(CLOSE, b"\x03"), Broken(1002, "close_frame")),
        (frame(CLOSE, b"\x03\xed"), Broken(1002, "close_frame")),
        (frame(CLOSE, b"\x03\xe8\xff"), Broken(1007, "close_frame")),
    ],
    ids=by_reason,
)
def test_each_broken_rule_ends_the_stream_by_name(stream: bytes, broken: Broken) -> None:
    parser = ClientFrames()
    events = parser.feed(frame(PING, b"before") + stream)
    assert events == [Event(PING, b"before"), broken]
    assert parser.feed(frame(BINARY, b"after")) == []
    assert not parser.at_boundary


def test_a_flood_of_empty_fragments_holds_no_memory() -> None:
    parser = ClientFrames()
    parser.feed(frame(BINARY, b"", fin=False))
    for _ in range(200):
        assert parser.feed(frame(0, b"", fin=False) * 50) == []
    assert parser._parts == []
    assert parser.feed(frame(0, b"end")) == [Event(BINARY, b"end")]


def test_nothing_follows_a_close() -> None:
    parser = ClientFrames()
    assert parser.feed(frame(CLOSE, b"\x03\xe8bye") + frame(BINARY, b"x")) == [Event(CLOSE, b"\x03\xe8bye")]
    assert parser.feed(frame(BINARY, b"x")) == []


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536])
def test_what_a_server_sends_is_read_by_the_library(size: int) -> None:
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    client = ClientProtocol(parse_uri("ws://x/play"), state=OPEN, max_size=None)
    client.receive_data(message(bytes(size)) + pong(b"p") + close_frame(1001))
    opcodes = [
        (event.opcode, bytes(event.data)) for event in client.events_received() if isinstance(event, Frame)
    ]
    assert opcodes == [
        (Opcode.BINARY, bytes(size)),
        (Opcode.PONG, b"p"),
        (Opcode.CLOSE, (1001).to_bytes(2, "big")),
    ]
