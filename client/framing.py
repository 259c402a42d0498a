"""WebSocket frames (RFC 6455) as a program's client reads and writes them, without I/O and lean enough for thousands.

The handshake is a library's. Afterwards `ServerFrames` turns what a socket delivers, in any pieces, into whole
messages; `masked` makes the frame of one message. The mask is one for the whole process: it protects proxies from
scripts in browsers, and a program has none.
"""

from __future__ import annotations

import os
from typing import Final

from websockets.client import ClientProtocol
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from p2pworld.errors import RemoteError

__all__ = ["BINARY", "CLOSE", "PING", "Handshake", "ServerFrames", "close_frame", "masked", "masked_pose"]

SUBPROTOCOL: Final = "p2pworld.v1"
HEAD_BYTES_MAX: Final = 16_384
MESSAGE_BYTES_MAX: Final = 1 << 20
CONTINUATION, BINARY, CLOSE, PING, PONG = 0x0, 0x2, 0x8, 0x9, 0xA

_MASK: Final = os.urandom(4)
_MASK_16: Final = int.from_bytes(_MASK * 4, "little")
_POSE_HEAD: Final = bytes((0x80 | BINARY, 0x80 | 16)) + _MASK


class Handshake:
    """The opening of one play socket: send `request`, then feed what comes until `feed` returns the bytes after it."""

    def __init__(self, url: str) -> None:
        self._protocol = ClientProtocol(parse_uri(url), subprotocols=[Subprotocol(SUBPROTOCOL)])
        self._protocol.send_request(self._protocol.connect())
        self.request = b"".join(self._protocol.data_to_send())
        self._head = b""

    def feed(self, data: bytes) -> bytes | None:
        """None while the answer is not whole; then whatever followed it.

        Raises:
            RemoteError: the server refused, or does not speak this protocol.
        """
        self._head += data
        head, end, rest = self._head.partition(b"\r\n\r\n")
        if not end:
            if len(self._head) > HEAD_BYTES_MAX:
                raise RemoteError("handshake", "The answer to the handshake has no end.")
            return None
        self._protocol.receive_data(head + end)
        if self._protocol.handshake_exc is not None:
            raise RemoteError("handshake", str(self._protocol.handshake_exc))
        if self._protocol.subprotocol != SUBPROTOCOL:
            raise RemoteError("handshake", f"The server does not speak {SUBPROTOCOL}.")
        return rest


class ServerFrames:
    """The frames of one server, in order, whatever pieces they come in; holds at most one message."""

    __slots__ = ("_carry", "_parts")

    def __init__(self) -> None:
        self._carry = b""
        self._parts: bytes | None = None

    @property
    def at_boundary(self) -> bool:
        """Whether nothing is held: the next byte begins a message."""
        return not self._carry and self._parts is None

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """What became whole with `data`: (BINARY, message), (PING, payload) or (CLOSE, payload).

        Raises:
            RemoteError: a frame no server of this protocol sends.
        """
        if self._carry:
            data = self._carry + data
        out: list[tuple[int, bytes]] = []
        at, size = 0, len(data)
        while size - at >= 2:
            first, length = data[at], data[at + 1]
            body = at + 2
            if length >= 126:
                wide = {126: 2, 127: 8}.get(length)
                if wide is None:
                    raise RemoteError("masked", "The server masks its frames.")
                if size < body + wide:
                    break
                length = int.from_bytes(data[body : body + wide], "big")
                body += wide
            if length > MESSAGE_BYTES_MAX:
                raise RemoteError("oversize", f"The server sends a frame of {length} bytes.")
            end = body + length
            if end > size:
                break
            payload = data[body:end]
            at = end
            if first == 0x80 | BINARY and self._parts is None:
                out.append((BINARY, payload))
            else:
                self._other(first, payload, out)
        self._carry = data[at:]
        return out

    def _other(self, first: int, payload: bytes, out: list[tuple[int, bytes]]) -> None:
        """Everything but a whole binary message."""
        opcode, final = first & 0x0F, first & 0x80
        if first & 0x70:
            raise RemoteError("reserved_bits", "The server uses an extension nobody asked for.")
        if opcode in (CLOSE, PING, PONG):
            if opcode != PONG:
                out.append((opcode, payload))
        elif opcode == (BINARY if self._parts is None else CONTINUATION):
            whole = (self._parts or b"") + payload
            if len(whole) > MESSAGE_BYTES_MAX:
                raise RemoteError("oversize", "The server sends a message without end.")
            self._parts = None if final else whole
            if final:
                out.append((BINARY, whole))
        else:
            raise RemoteError("opcode", f"The server sends a frame of kind {opcode:#x}.")


def masked(payload: bytes, opcode: int = BINARY) -> bytes:
    """One whole message as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes((0x80 | opcode, 0x80 | size))
    elif size < 65_536:
        head = bytes((0x80 | opcode, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x80 | opcode, 0x80 | 127)) + size.to_bytes(8, "big")
    key = (_MASK * (size // 4 + 1))[:size]
    body = int.from_bytes(payload, "little") ^ int.from_bytes(key, "little")
    return head + _MASK + body.to_bytes(size, "little")


def masked_pose(payload: bytes) -> bytes:
    """The same for the 16 bytes of a POSE, faster."""
    return _POSE_HEAD + (int.from_bytes(payload, "little") ^ _MASK_16).to_bytes(16, "little")


def close_frame() -> bytes:
    """The close of a connection, from the client."""
    return masked((1000).to_bytes(2, "big"), CLOSE)
