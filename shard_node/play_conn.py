"""One accepted play socket, and the socket it is accepted from.

`Conn` remembers where a socket is in its life, what it may still say and what it has still to be sent; what happens to
it is decided in `shard_node.play`.
"""

from __future__ import annotations

import enum
import select
import socket
from typing import Final

from p2pworld.limits import CONTROL_BURST, CONTROL_PER_S, SOCKET_SEND_BUFFER_BYTES
from shard_node.websocket import ClientFrames

__all__ = ["FULL_MAX_S", "Conn", "State", "listen_play"]

BACKLOG: Final = 1_024
FULL_MAX_S: Final = 10.0  # a socket that takes nothing for this long is slow beyond hope


class State(enum.Enum):
    """The life of a socket; only an OPEN one has a number."""

    TLS = enum.auto()
    HTTP = enum.auto()
    OPEN = enum.auto()
    LINGER = enum.auto()
    CLOSED = enum.auto()


class Conn:
    """One accepted socket: where it is in its life, what it may still say, what it has still to be sent."""

    __slots__ = (
        "at_door", "deadline_s", "drops", "ended", "fd", "frames", "full_s", "number", "out", "quick", "receive",
        "remote", "request", "send", "sock", "state", "tls", "tokens", "tokens_s", "wants",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, remote: str, tls: bool, deadline_s: float) -> None:
        self.sock, self.fd, self.remote, self.tls = sock, sock.fileno(), remote, tls
        self.state = State.TLS if tls else State.HTTP
        self.receive, self.send = sock.recv_into, sock.send
        self.quick = False  # open, not TLS, and between two messages: 22 bytes may be one whole POSE
        self.number = -1
        self.at_door = True  # no HELLO has come yet
        self.ended = False  # its end has been counted and told
        self.request = b""
        self.frames = ClientFrames()
        self.out = bytearray()
        self.wants = int(select.EPOLLIN)
        self.deadline_s = deadline_s  # 0: none
        self.full_s = 0.0  # since when it takes nothing; 0: it does
        self.tokens, self.tokens_s, self.drops = float(CONTROL_BURST), 0.0, 0

    def may_speak(self, now_s: float) -> bool:
        """Takes one token of the client's allowance of control messages, if there is one."""
        self.tokens = min(CONTROL_BURST, self.tokens + (now_s - self.tokens_s) * CONTROL_PER_S)
        self.tokens_s = now_s
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


def listen_play(host: str, port: int) -> socket.socket:
    """A listening socket whose accepted sockets have a small send buffer, no delay, and notice a dead peer.

    Raises OSError.
    """
    listener = socket.create_server((host, port), backlog=BACKLOG, family=_family(host, port))
    # Linux hands these on to what is accepted.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_SEND_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(FULL_MAX_S * 1000))
    listener.setblocking(False)
    return listener


def _family(host: str, port: int) -> socket.AddressFamily:
    return socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
