"""The two doors at which a node takes what is filed, from outside: FILE on a play socket, and POST /civic/file.

Each writes a request and reads what comes back in any pieces. On a play socket many requests are under way at once, by
their number; over HTTP one after the other.
"""

from __future__ import annotations

import json
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from client.framing import BINARY, Handshake, ServerFrames, masked
from p2pworld.errors import RemoteError
from p2pworld.messages import Bye, File, Filed
from p2pworld.wire.codec import decode_play, encode_play

__all__ = ["Answer", "Door", "HttpDoor", "PlayDoor"]


class Answer(NamedTuple):
    """What became of request `n`: a receipt, or the reason why there is none."""

    n: int
    receipt: bytes
    reason: str


class Door(Protocol):
    """One connection. `opening` is sent first, and `open` says whether requests may follow."""

    opening: bytes
    open: bool

    def request(self, n: int, submission: bytes) -> bytes:
        """The bytes that file this."""

    def feed(self, data: bytes) -> list[Answer]:
        """The answers that became whole.

        Raises:
            RemoteError: the node refused the connection, or ends it.
        """


class PlayDoor:
    """FILE and FILED, without a HELLO."""

    def __init__(self, url: str) -> None:
        self._handshake: Handshake | None = Handshake(url)
        self._frames = ServerFrames()
        self.opening = self._handshake.request
        self.open = False

    def request(self, n: int, submission: bytes) -> bytes:
        """See `Door`."""
        return masked(encode_play(File(n, submission)))

    def feed(self, data: bytes) -> list[Answer]:
        """See `Door`."""
        if self._handshake is not None:
            rest = self._handshake.feed(data)
            if rest is None:
                return []
            self._handshake, data, self.open = None, rest, True
        answers = []
        for opcode, payload in self._frames.feed(data):
            if opcode == BINARY and payload[0] == Filed.KIND:
                filed = decode_play(payload)
                assert isinstance(filed, Filed)
                answers.append(Answer(filed.n, filed.receipt, filed.reason))
            elif opcode != BINARY or payload[0] == Bye.KIND:
                raise RemoteError("closed", f"the node ended the connection: {payload[1:].hex()}")
        return answers


class HttpDoor:
    """POST /civic/file, on one connection that is kept."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._carry = b""
        self._n = 0
        self.opening = b""
        self.open = True

    def request(self, n: int, submission: bytes) -> bytes:
        """See `Door`."""
        self._n = n
        head = f"POST /civic/file HTTP/1.1\r\nHost: {self._host}\r\nContent-Length: {len(submission)}\r\n\r\n"
        return head.encode() + submission

    def feed(self, data: bytes) -> list[Answer]:
        """See `Door`."""
        self._carry += data
        head, end, rest = self._carry.partition(b"\r\n\r\n")
        if not end:
            return []
        first, *lines = head.decode("ascii", "replace").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields["content-length"])
        if len(rest) < length:
            return []
        body, self._carry = rest[:length], rest[length:]
        if first.split(" ")[1] == "200":
            return [Answer(self._n, body, "")]
        return [Answer(self._n, b"", str(json.loads(body)["reason"]))]
