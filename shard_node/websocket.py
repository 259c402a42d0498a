"""The WebSocket side of a play socket (RFC 6455), without I/O: its handshake by a library, its frames by hand.

`ClientFrames` turns what a client's socket delivers, in any pieces, into whole messages, pings and the close; the first
broken rule ends it with a close code and a reason to count. Extensions are never negotiated, so every reserved bit is
a violation. Play speaks binary only. The other half writes the frames a server sends, unmasked.
"""

from __future__ import annotations

import http
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from p2pworld.limits import CONTROL_BYTES_MAX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

# ruff: noqa: RUF022  (the handshake, then reading, then writing)
__all__ = [
    "PATH", "SUBPROTOCOL", "Handshake", "answer_handshake",
    "BINARY", "CLOSE", "PING", "PONG", "Broken", "ClientFrames", "Event", "Room", "close_frame", "message",
    "messages", "pong", "unmask_frames",
]  # fmt: skip

PATH = "/play"
SUBPROTOCOL = "p2pworld.v1"

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
CONTROL_FRAME_BYTES_MAX = 125

NORMAL, PROTOCOL_ERROR, UNSUPPORTED, INVALID, TOO_BIG, TRY_LATER = 1000, 1002, 1003, 1007, 1009, 1013


class Handshake(NamedTuple):
    """What to answer a request to open a play socket; afterwards it is open, or closed if not `accepted`."""

    reply: bytes
    accepted: bool


def answer_handshake(request: bytes) -> Handshake:
    """The answer to one HTTP request head (up to and with its empty line) that wants to become a play socket."""
    protocol = ServerProtocol(subprotocols=[Subprotocol(SUBPROTOCOL)], extensions=None)
    protocol.receive_data(request)
    accepted = False
    for event in protocol.events_received():
        assert isinstance(event, Request)
        if event.path.partition("?")[0] != PATH:
            response = protocol.reject(http.HTTPStatus.NOT_FOUND, f"Play sockets are at {PATH}.\n")
        else:
            response = protocol.accept(event)
        protocol.send_response(response)
        accepted = response.status_code == http.HTTPStatus.SWITCHING_PROTOCOLS
    return Handshake(b"".join(protocol.data_to_send()), accepted)


class Event(NamedTuple):
    """A whole binary message, or one ping, pong or close with its payload."""

    opcode: int
    payload: bytes


class Broken(NamedTuple):
    """The client broke a rule: close with `code` and count `reason`. Always the last event."""

    code: int
    reason: str


class Room:
    """For how many long messages there is room, of all clients together, and of what kind and length they may be."""

    __slots__ = ("kind", "left", "size_max")

    def __init__(self, kind: int, size_max: int, most: int) -> None:
        self.kind, self.size_max, self.left = kind, size_max, most


class ClientFrames:
    """The frames of one client, in order, whatever pieces they come in; holds at most one message and one frame.

    A message that is longer than `size_max` must begin with the byte of the kind that `room` is for.
    """

    __slots__ = ("_carry", "_ended", "_long", "_parts", "_parts_bytes", "_room", "_size_max")

    def __init__(self, size_max: int = CONTROL_BYTES_MAX, room: Room | None = None) -> None:
        self._size_max, self._room = size_max, room
        self._long = False  # the message that is coming has a place in the room
        self._carry = b""
        self._parts: list[bytes] | None = None
        self._parts_bytes = 0
        self._ended = False

    @property
    def at_boundary(self) -> bool:
        """Whether nothing is waiting: the next byte begins a message, so that whole frames may be read another way."""
        return not self._carry and self._parts is None and not self._ended

    def feed(self, data: bytes) -> list[Event | Broken]:
        """What became whole with `data`. After a close or a broken rule nothing follows."""
        if self._ended:
            return []
        data = self._carry + data if self._carry else data
        events: list[Event | Broken] = []
        at, size = 0, len(data)
        while size - at >= 2 and not self._ended:
            first, second = data[at], data[at + 1]
            body = at + 6
            length = second & 0x7F
            broken = self._check(first, second)
            if broken is None and length >= 126:
                wide = 2 if length == 126 else 8
                body += wide
                if size < at + 2 + wide:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
                if length < (126 if wide == 2 else 65_536):
                    broken = Broken(PROTOCOL_ERROR, "length")
            if broken is None and not first & 0x08 and self._parts_bytes + length > self._size_max:
                room = self._room
                if room is None or self._parts_bytes + length > room.size_max:
                    broken = Broken(TOO_BIG, "oversize")
                elif self._parts or size > body:
                    kind = self._parts[0][0] if self._parts else data[body] ^ data[body - 4]
                    broken = self._enter(room, kind)
                else:
                    break  # what kind it is of is still to come
            if broken is not None:
                self._ended = True
                events.append(broken)
                break
            if size < body + length:
                break
            payload = _unmask(data[body : body + length], data[body - 4 : body])
            at = body + length
            event = self._frame(first, payload)
            if event is not None:
                events.append(event)
                if not first & 0x08:
                    self.close()
        self._carry = b"" if self._ended else data[at:]
        return events

    def close(self) -> None:
        """The message that was coming has come, or never will: its place in the room is free."""
        if self._long:
            assert self._room is not None
            self._room.left += 1
            self._long = False

    def _enter(self, room: Room, kind: int) -> Broken | None:
        """A long message of this kind has a place in the room from now on, or may not be so long."""
        if kind != room.kind:
            return Broken(TOO_BIG, "oversize")
        if not self._long:
            if not room.left:
                return Broken(TRY_LATER, "no_room")
            room.left -= 1
            self._long = True
        return None

    def _check(self, first: int, second: int) -> Broken | None:
        """What the first two bytes of a frame alone give away."""
        opcode = first & 0x0F
        if first & 0x70:
            return Broken(PROTOCOL_ERROR, "reserved_bits")
        if not second & 0x80:
            return Broken(PROTOCOL_ERROR, "unmasked")
        if opcode in (CLOSE, PING, PONG):
            if not first & 0x80 or second & 0x7F > CONTROL_FRAME_BYTES_MAX:
                return Broken(PROTOCOL_ERROR, "control_frame")
        elif opcode == TEXT:
            return Broken(UNSUPPORTED, "text")
        elif opcode not in (CONTINUATION, BINARY):
            return Broken(PROTOCOL_ERROR, "opcode")
        elif (opcode == CONTINUATION) != (self._parts is not None):
            return Broken(PROTOCOL_ERROR, "fragments")
        return None

    def _frame(self, first: int, payload: bytes) -> Event | Broken | None:
        opcode = first & 0x0F
        if opcode == CLOSE:
            self._ended = True
            return _check_close(payload)
        if opcode & 0x08:
            return Event(opcode, payload)
        if first & 0x80:
            if self._parts is None:
                return Event(BINARY, payload)
            whole = b"".join(self._parts) + payload
            self._parts, self._parts_bytes = None, 0
            return Event(BINARY, whole)
        # An empty part adds nothing, so a flood of them must not add up either.
        self._parts = [] if self._parts is None else self._parts
        if payload:
            self._parts.append(payload)
        self._parts_bytes += len(payload)
        return None


def _unmask(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")).to_bytes(size, "little")


def unmask_frames(frames: NDArray[np.uint8], size: int) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
    """Which of `frames` (u8[n, 6 + size]) are one whole masked binary message of `size` bytes each, a multiple of 4
    below 126, and the unmasked payloads, u8[n, size]; those of the others mean nothing."""
    aligned = np.empty((len(frames), 8 + size), np.uint8)
    aligned[:, 2:] = frames
    words = aligned.view("<u4")
    whole = aligned.view("<u2")[:, 1] == (0x80 | size) << 8 | 0x80 | BINARY
    return whole, (words[:, 2:] ^ words[:, 1:2]).view(np.uint8)


def _check_close(payload: bytes) -> Event | Broken:
    if not payload:
        return Event(CLOSE, b"")
    if len(payload) == 1:
        return Broken(PROTOCOL_ERROR, "close_frame")
    code = int.from_bytes(payload[:2], "big")
    if not (3000 <= code < 5000 or 1000 <= code <= 1003 or 1007 <= code <= 1014):
        return Broken(PROTOCOL_ERROR, "close_frame")
    try:
        payload[2:].decode("utf-8")
    except UnicodeDecodeError:
        return Broken(INVALID, "close_frame")
    return Event(CLOSE, payload)


def _server_head(opcode: int, size: int) -> bytes:
    if size < 126:
        return bytes((0x80 | opcode, size))
    if size < 65_536:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big")
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big")


def _server_frame(opcode: int, payload: bytes) -> bytes:
    return _server_head(opcode, len(payload)) + payload


def message(payload: bytes) -> bytes:
    """One whole binary message as a server sends it."""
    return _server_frame(BINARY, payload)


def messages(payloads: Iterable[bytes]) -> bytes:
    """Each of these as one whole binary message, for one send."""
    return b"".join([part for payload in payloads for part in (_server_head(BINARY, len(payload)), payload)])


def pong(payload: bytes) -> bytes:
    """The answer to a ping with this payload."""
    return _server_frame(PONG, payload)


def close_frame(code: int = NORMAL) -> bytes:
    """The close of a connection, from the server."""
    return _server_frame(CLOSE, code.to_bytes(2, "big"))
