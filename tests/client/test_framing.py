"""The bots' framing against a library's server, in all pieces, and against servers that break the rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from client.framing import (
    BINARY,
    CLOSE,
    HEAD_BYTES_MAX,
    MESSAGE_BYTES_MAX,
    PING,
    Handshake,
    ServerFrames,
    close_frame,
    masked,
    masked_pose,
)
from p2pworld.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterator


def opened(subprotocols: list[str] | None = None) -> tuple[ServerProtocol, bytes | None]:
    """A library's server that has taken a bot's handshake, and what the bot found after its answer."""
    handshake = Handshake("ws://city.example:7800/play")
    offered = [Subprotocol(name) for name in (["p2pworld.v1"] if subprotocols is None else subprotocols)]
    server = ServerProtocol(subprotocols=offered)
    server.receive_data(handshake.request)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    assert request.path == "/play"
    server.send_response(server.accept(request))
    server.send_binary(b"hello")
    return server, handshake.feed(b"".join(server.data_to_send()))


def pieces(data: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in [*sizes, len(data)]:
        yield data[at : at + size]
        at += size


def test_what_follows_the_handshake_is_not_lost() -> None:
    _, rest = opened()
    assert rest is not None
    assert ServerFrames().feed(rest) == [(BINARY, b"hello")]


def test_a_handshake_comes_in_any_pieces() -> None:
    handshake = Handshake("ws://city.example/play")
    server = ServerProtocol(subprotocols=[Subprotocol("p2pworld.v1")])
    server.receive_data(handshake.request)
    (request,) = server.events_received()
    assert isinstance(request, Request)
    server.send_response(server.accept(request))
    answer = b"".join(server.data_to_send())
    assert all(handshake.feed(answer[i : i + 1]) is None for i in range(len(answer) - 1))
    assert handshake.feed(answer[-1:]) == b""


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"nonsense\r\n\r\n",
        bytes(HEAD_BYTES_MAX + 1),
    ],
)
def test_a_refused_or_false_handshake_is_said(answer: bytes) -> None:
    with pytest.raises(RemoteError) as raised:
        Handshake("ws://city.example/play").feed(answer)
    assert raised.value.reason == "handshake"


def test_a_server_of_another_protocol_is_left() -> None:
    with pytest.raises(RemoteError, match="p2pworld"):
        opened([])


@given(
    st.lists(st.binary(max_size=300) | st.sampled_from([bytes(125), bytes(126), bytes(65_535), bytes(65_536)]),
             max_size=6),
    st.lists(st.integers(0, 400), max_size=12),
)  # fmt: skip
def test_whole_messages_come_out_whatever_pieces_they_come_in(
    messages: list[bytes], sizes: list[int]
) -> None:
    server, _ = opened()
    for message in messages:
        server.send_binary(message)
    data = b"".join(server.data_to_send())
    frames = ServerFrames()
    got = [event for piece in pieces(data, sizes) for event in frames.feed(piece)]
    assert got == [(BINARY, message) for message in messages]


def test_fragments_pings_and_the_close() -> None:
    data = b"".join(
        Frame(opcode, body, fin).serialize(mask=False)
        for opcode, body, fin in [
            (Opcode.BINARY, b"ab", False),
            (Opcode.PING, b"there?", True),
            (Opcode.CONT, b"cd", False),
            (Opcode.PONG, b"unasked", True),
            (Opcode.CONT, b"ef", True),
            (Opcode.CLOSE, b"\x03\xe8", True),
        ]
    )
    assert ServerFrames().feed(data) == [(PING, b"there?"), (BINARY, b"abcdef"), (CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x82\x85\0\0\0\0hello", "masked"),
        (b"\x81\x02hi", "opcode"),
        (b"\x80\x02hi", "opcode"),
        (b"\x02\x01a\x82\x01b", "opcode"),
        (b"\xc2\x01a", "reserved_bits"),
        (b"\x82\x7f" + (MESSAGE_BYTES_MAX + 1).to_bytes(8, "big"), "oversize"),
    ],
)
def test_a_server_that_breaks_the_rules_is_left(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteError) as raised:
        ServerFrames().feed(data)
    assert raised.value.reason == reason


def test_a_message_in_endless_fragments_is_bounded() -> None:
    frames = ServerFrames()
    half = bytes(MESSAGE_BYTES_MAX // 2 + 1)
    frames.feed(Frame(Opcode.BINARY, half, False).serialize(mask=False))
    with pytest.raises(RemoteError, match="without end"):
        frames.feed(Frame(Opcode.CONT, half, False).serialize(mask=False))


@given(st.lists(st.binary(max_size=200) | st.sampled_from([bytes(65_535), bytes(70_000)]), max_size=4))
def test_a_librarys_server_reads_what_is_masked(messages: list[bytes]) -> None:
    server, _ = opened()
    server.receive_data(b"".join(masked(message) for message in messages) + close_frame())
    events = [event for event in server.events_received() if isinstance(event, Frame)]
    assert [(event.opcode, bytes(event.data)) for event in events] == [
        *((Opcode.BINARY, message) for message in messages),
        (Opcode.CLOSE, b"\x03\xe8"),
    ]


@given(st.binary(min_size=16, max_size=16))
def test_a_pose_is_masked_as_any_message(pose: bytes) -> None:
    assert masked_pose(pose) == masked(pose)
