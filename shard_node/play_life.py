"""The life of a play socket: accepted, TLS (if configured), HTTP, OPEN, LINGER, CLOSED.

`ClientOpened` and `ClientLost` frame OPEN, and only OPEN sockets have a number. A socket that is ended here says BYE,
half closes, and lingers until the client has read it. Whatever waits too long is ended by `housekeep`: also a socket
that files without a HELLO, which stays at the door, and counts there, for as long as it files.
"""

from __future__ import annotations

import errno
import select
import socket
import ssl
import struct
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.limits import (
    FILE_BYTES_MAX,
    FILER_WAIT_S,
    FILES_LONG_MAX,
    HELLO_WAIT_S,
    NEWCOMERS_S,
    SOCKET_FULL_S,
)
from p2pworld.messages import Bye, ClientLost, ClientOpened, File
from p2pworld.wire.codec import encode_play
from shard_node import websocket
from shard_node.play_conn import IN, OUT, Conn, State
from shard_node.play_write import Writer

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Callable

    from shard_node.doors import Doors
    from shard_node.play_conn import PlaySink
    from shard_node.stages import Stages

__all__ = ["Connections"]

HANDSHAKES_MAX: Final = 1_024  # sockets that are not yet open
REQUEST_BYTES_MAX: Final = 8_192
LINGER_MAX: Final = 512
LINGER_S: Final = 2.0
NOTHING_LINGERS: Final = struct.pack("ii", 1, 0)  # of linger(on, for no seconds): a reset
ACCEPT_PAUSE_S: Final = 1.0  # after running out of file descriptors


class Connections:
    """Every accepted socket, by file descriptor and, while it is open, by number. The sink hears who came and went.

    `urls` are other nodes' play urls, told to those who find no room. `open` counts the open ones.
    """

    def __init__(
        self,
        listener: socket.socket,
        now_s: Callable[[], float],
        cpu_s: Callable[[], float],
        tls: ssl.SSLContext | None,
        clients_max: int,
        counters: Counter[str],
        stages: Stages,
        doors: Doors,
    ) -> None:
        self.urls: tuple[str, ...] = ()
        self.open = 0
        self.newcomers_s = 0.0  # of CPU, spent in this pass on those who are not yet in
        self.cpu_s = cpu_s
        self.by_fd: dict[int, Conn] = {}
        self.table: list[Conn | None] = [None] * clients_max
        self.timed: dict[Conn, None] = {}  # those with a deadline, oldest first
        self.lingers: dict[Conn, None] = {}
        self.handshaking = 0
        self.epoll = select.epoll()
        self.room = websocket.Room(File.KIND, FILE_BYTES_MAX, FILES_LONG_MAX)
        self.listener_fd = listener.fileno()
        self.writer = Writer(self.table, self.epoll, counters, now_s, self, stages)
        self._listener: socket.socket | None = listener
        self._now_s, self._tls, self._counters, self._doors = now_s, tls, counters, doors
        self._free = list(range(clients_max - 1, -1, -1))
        self._limbo: list[int] = []  # numbers that a frame on its way may still name
        self._sink: PlaySink | None = None
        self._gone = trio.Event()
        self._accept_again_s = 0.0
        self.epoll.register(self.listener_fd, IN)

    def attach(self, sink: PlaySink) -> None:
        """Says who is told; once, before anything is read."""
        self._sink = sink

    @property
    def sink(self) -> PlaySink:
        """Who is told."""
        assert self._sink is not None, "attach a sink first"
        return self._sink

    # ---- coming

    def accept(self, now_s: float) -> None:
        """Takes in who waits at the door, as far as this pass has time for newcomers; the backlog holds the rest."""
        while self.newcomers_s < NEWCOMERS_S and self.handshaking < HANDSHAKES_MAX:
            began_s = self.cpu_s()
            came = self._accept_one(now_s)
            self.newcomers_s += self.cpu_s() - began_s
            if not came:
                break

    def _accept_one(self, now_s: float) -> bool:
        """Whether somebody came, and more may be waiting."""
        assert self._listener is not None
        try:
            sock, address = self._listener.accept()
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                # the waiting client would wake us for ever
                self.epoll.unregister(self.listener_fd)
                self._accept_again_s = now_s + ACCEPT_PAUSE_S
                self._counters["accept_out_of_files"] += 1
                return False
            self._counters["accept_failed"] += 1
            return True
        if self._doors.may_enter(str(address[0]), now_s):
            self._accepted(sock, str(address[0]), now_s)
        else:
            self._counters["accept_address"] += 1
            sock.close()
        return True

    def _accepted(self, sock: socket.socket, remote: str, now_s: float) -> None:
        sock.setblocking(False)
        if self._tls is not None:
            try:
                sock = self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
            except OSError:
                self._counters["accept_failed"] += 1  # gone already
                self._doors.closed(remote)
                sock.close()
                return
        conn = Conn(sock, remote, self._tls is not None, now_s + HELLO_WAIT_S, self.room)
        self.by_fd[conn.fd] = conn
        self.timed[conn] = None
        self.handshaking += 1
        self.epoll.register(conn.fd, IN)
        self._counters["accepted"] += 1

    def shake_tls(self, conn: Conn) -> None:
        """Goes on with the handshake of TLS."""
        assert isinstance(conn.sock, ssl.SSLSocket)
        try:
            conn.sock.do_handshake()
        except ssl.SSLWantReadError:
            self.writer.want(conn, IN)
        except ssl.SSLWantWriteError:
            self.writer.want(conn, IN | OUT)
        except OSError:
            self.lose(conn, "tls")
        else:
            self.writer.want(conn, IN)
            conn.state = State.HTTP

    def shake_http(self, conn: Conn, data: bytes, now_s: float) -> bytes:
        """Goes on with the handshake of WebSocket; what came after it, if the socket is open now."""
        conn.request += data
        head, end, rest = conn.request.partition(b"\r\n\r\n")
        if not end or len(head) > REQUEST_BYTES_MAX:
            if len(conn.request) > REQUEST_BYTES_MAX:
                self.writer.write(
                    conn, b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\n\r\n"
                )
                self.linger(conn, "handshake")
            return b""
        conn.request = b""
        reply, accepted = websocket.answer_handshake(head + end)
        self.writer.write(conn, reply)
        if not accepted:
            self.linger(conn, "handshake")
        if conn.state is not State.HTTP:
            return b""
        conn.state = State.OPEN
        conn.deadline_s = now_s + HELLO_WAIT_S
        self.handshaking -= 1
        if not self._free:
            self.end(conn, Bye("full", "This part of the city is full.", urls=self.urls), "full")
            return b""
        conn.number = self._free.pop()
        self.table[conn.number] = conn
        self.writer.opened(conn)
        self.open += 1
        self._counters["opened"] += 1
        self.sink.step(ClientOpened(conn.number, conn.remote))
        return rest

    def greeted(self, conn: Conn) -> None:
        """Its HELLO has come: nothing is due any more."""
        conn.new = False
        if conn.at_door:
            conn.at_door = False
            self._doors.opened(conn.remote)
        conn.deadline_s = 0.0
        self.timed.pop(conn, None)

    def may_file(self, conn: Conn, now_s: float) -> bool:
        """A FILE has come: whether it may be taken. Without a HELLO the socket stays open until it files no more."""
        conn.new = False
        if conn.at_door:
            conn.deadline_s = now_s + FILER_WAIT_S
        return conn.may_file(now_s) and self._doors.may_file(conn.remote, now_s)

    # ---- going

    def end(self, conn: Conn, bye: Bye, reason: str, code: int = websocket.NORMAL) -> None:
        """Says BYE and the close, then lingers."""
        conn.state = State.LINGER  # whatever is still queued may go, nothing may end it twice
        self.writer.write(conn, websocket.message(encode_play(bye)) + websocket.close_frame(code))
        self.linger(conn, reason)

    def linger(self, conn: Conn, reason: str) -> None:
        """Sends what is queued, half closes, and reads on until the client has closed: a reset would eat the BYE."""
        if conn.state is State.CLOSED:
            return
        was, conn.state = conn.state, State.LINGER
        conn.deadline_s = self._now_s() + LINGER_S
        self.timed[conn] = self.lingers[conn] = None
        if not conn.out:
            self._half_close(conn)
        self._forget(conn, was, reason)
        if len(self.lingers) > LINGER_MAX:
            self._close(next(iter(self.lingers)))

    def flushed(self, conn: Conn) -> None:
        """All that waited for this socket has left."""
        if conn.state is State.LINGER:
            self._half_close(conn)

    def _half_close(self, conn: Conn) -> None:
        try:
            socket.socket.shutdown(conn.sock, socket.SHUT_WR)
        except OSError:
            self._counters["shutdown_failed"] += 1  # the client was faster

    def give_up_full(self) -> None:
        """Closes those that have taken nothing for SOCKET_FULL_S, with all that still waits for them in the system."""
        oldest_s = self._now_s() - SOCKET_FULL_S
        for conn in [conn for conn in self.writer.full if conn.full_s < oldest_s]:
            if conn.state is State.OPEN:
                conn.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOTHING_LINGERS)
                self.lose(conn, "slow")

    def lose(self, conn: Conn, reason: str) -> None:
        """Closes at once: there is nobody to tell."""
        was = conn.state
        if was is not State.CLOSED:
            self._close(conn)
            self._forget(conn, was, reason)

    def _close(self, conn: Conn) -> None:
        conn.state = State.CLOSED
        del self.by_fd[conn.fd]
        for table in (self.timed, self.writer.full, self.lingers):
            table.pop(conn, None)
        conn.out.clear()
        conn.frames.close()
        conn.sock.close()
        if not self.lingers:
            self._gone.set()

    def _forget(self, conn: Conn, was: State, reason: str) -> None:
        """Counts the end of a socket, once, and tells if it had a number."""
        if conn.ended:
            return
        if conn.at_door:
            self._doors.closed(conn.remote)
        conn.ended, conn.quick, conn.new, conn.at_door = True, False, False, False
        self._counters[f"closed_{reason}"] += 1
        self.writer.not_full(conn)
        if was in (State.TLS, State.HTTP):
            self.handshaking -= 1
        if conn.number >= 0:
            self.writer.gone(conn)
            number, conn.number = conn.number, -1
            self.table[number] = None
            self.open -= 1
            (self._limbo if self.writer.busy else self._free).append(number)
            self.sink.step(ClientLost(number))

    def reuse_numbers(self) -> None:
        """No frame names anybody who has gone any more."""
        self._free += self._limbo
        self._limbo.clear()

    def housekeep(self) -> None:
        """Ends what has waited too long: handshakes, silence where a HELLO is due, lingering."""
        now_s = self._now_s()
        for conn in [conn for conn in self.timed if conn.deadline_s <= now_s]:
            if conn.state is State.OPEN:
                due = "HELLO came" if conn.new else "HELLO or FILE came"
                wait_s = HELLO_WAIT_S if conn.new else FILER_WAIT_S
                self.end(conn, Bye("expired", f"No {due} within {wait_s:g} seconds."), "no_hello")
            elif conn.state is State.LINGER:
                self._close(conn)
            elif conn.state is not State.CLOSED:
                self.lose(conn, "handshake_timeout")
        if self._accept_again_s and now_s >= self._accept_again_s and self._listener is not None:
            self._accept_again_s = 0.0
            self.epoll.register(self.listener_fd, IN)

    def stop_listening(self) -> None:
        """No further clients."""
        if self._listener is not None:
            if not self._accept_again_s:
                self.epoll.unregister(self.listener_fd)
            self._listener.close()
            self._listener = None

    async def until_gone(self) -> None:
        """Waits until everybody who was told BYE has closed, or was closed."""
        while self.lingers:
            self._gone = trio.Event()
            await self._gone.wait()

    def close(self) -> None:
        """Closes every socket at once, and the epoll descriptor; tells nobody."""
        self.stop_listening()
        for conn in self.by_fd.values():
            conn.sock.close()
        self.by_fd.clear()
        self.epoll.close()
