"""One accepted play socket, and the socket it is accepted from.

`Conn` remembers where a socket is in its life, what it may still say and what it has still to be sent; what happens to
it is decided in `shard_node.play_life`.
"""

from __future__ import annotations

import enum
import select
import socket
import ssl
from typing import TYPE_CHECKING, Any, Final, Protocol

from p2pworld.limits import (
    CONTROL_BURST,
    CONTROL_PER_S,
    FILES_BURST,
    FILES_PER_S,
    SOCKET_RECEIVE_BUFFER_BYTES,
    SOCKET_SEND_BUFFER_BYTES,
)
from p2pworld.world.bucket import Bucket
from shard_node.listening import listen
from shard_node.websocket import ClientFrames, Room

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from p2pworld.messages import ClientEvent

__all__ = ["IN", "OUT", "WOULD_BLOCK", "Conn", "PlaySink", "State", "listen_play"]

IN, OUT = select.EPOLLIN, select.EPOLLOUT
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)

BACKLOG: Final = 1_024
GIVE_UP_S: Final = 10.0  # on a peer that acknowledges nothing


class PlaySink(Protocol):
    """Who is told what clients do: the executor. `poses`: row i came from play socket conns[i], in arrival order."""

    def step(self, event: ClientEvent) -> None: ...

    def poses(self, conns: NDArray[np.int32], rows: NDArray[Any]) -> None: ...


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
        "_control", "_files", "at_door", "deadline_s", "drops", "ended", "fd", "frames", "full_s", "new", "number",
        "out", "quick",
        "receive", "remote", "request", "send", "sock", "state", "tls", "wants",
    )  # fmt: skip

    def __init__(
        self, sock: socket.socket, remote: str, tls: bool, deadline_s: float, room: Room | None = None
    ) -> None:
        self.sock, self.fd, self.remote, self.tls = sock, sock.fileno(), remote, tls
        self.state = State.TLS if tls else State.HTTP
        self.receive, self.send = sock.recv_into, sock.send
        self.quick = False  # open, greeted and between two messages: what comes next may be whole poses
        self.new = True  # until its HELLO or a FILE has come, or its end
        self.at_door = True  # until its HELLO has come, or its end
        self.number = -1
        self.ended = False  # its end has been counted and told
        self.request = b""
        self.frames = ClientFrames(room=room)
        self.out = bytearray()
        self.wants = int(select.EPOLLIN)
        self.deadline_s = deadline_s  # 0: none
        self.full_s = 0.0  # since when it takes nothing; 0: it does
        self._control, self.drops = Bucket(CONTROL_BURST, 0.0), 0
        self._files: Bucket | None = None

    def may_speak(self, now_s: float) -> bool:
        """Takes one token of the client's allowance of control messages, if there is one."""
        return self._control.take(CONTROL_PER_S, CONTROL_BURST, now_s)

    def may_file(self, now_s: float) -> bool:
        """Takes one token of the client's allowance of FILEs, if there is one."""
        if self._files is None:
            self._files = Bucket(FILES_BURST, now_s)
        return self._files.take(FILES_PER_S, FILES_BURST, now_s)


def listen_play(host: str, port: int) -> socket.socket:
    """A listening socket whose accepted sockets have small buffers, no delay, and notice a dead peer.

    Raises OSError.
    """
    listener = listen(host, port, BACKLOG)
    # Linux hands these on to what is accepted.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_SEND_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SOCKET_RECEIVE_BUFFER_BYTES)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(GIVE_UP_S * 1000))
    return listener
