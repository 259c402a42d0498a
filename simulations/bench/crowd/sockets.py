"""A bot's socket: how it is opened, over TLS or not, and what is known of it."""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Final
from urllib.parse import urlsplit

from client.framing import ServerFrames

__all__ = ["WOULD_BLOCK", "Conn", "Dialler"]

WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Conn:
    """One socket of one bot."""

    __slots__ = (
        "bot",
        "fd",
        "frames",
        "head",
        "node",
        "out",
        "playing",
        "quick",
        "sock",
        "ticket",
        "tls",
        "url",
    )

    def __init__(self, sock: socket.socket, bot: int, url: str, tls: bool) -> None:
        self.sock, self.fd, self.bot, self.url = sock, sock.fileno(), bot, url
        self.tls = tls  # its handshake is under way
        self.node = b""  # who challenged it; then HELLO has been said
        self.ticket = b""
        self.head: bytes | None = b""  # of the answer to the upgrade; None after it
        self.frames = ServerFrames()
        self.out = _upgrade(url)
        self.playing = False  # the bot plays on it
        self.quick = False  # it is read in its turn, and epoll does not tell of it


class Dialler:
    """Opens sockets; with a `certificate` over TLS, which trusts this one and no other.

    `receive_bytes` bounds what the system receives for a socket that is not read; 0 leaves it to the system.
    """

    def __init__(self, certificate: str, receive_bytes: int = 0) -> None:
        self._receive_bytes = receive_bytes
        self._addresses: dict[str, tuple[str, int]] = {}
        self._tls: ssl.SSLContext | None = None
        if certificate:
            self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            self._tls.check_hostname = False
            self._tls.load_verify_locations(certificate)

    @property
    def over_tls(self) -> bool:
        """Whether sockets speak TLS."""
        return self._tls is not None

    def open(self, bot: int, url: str) -> Conn:
        """A socket on its way to `url`.

        Raises:
            OSError: there is no way, or no file descriptor.
        """
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_bytes)
        problem = sock.connect_ex(self._address(url))
        if problem not in (0, errno.EINPROGRESS):
            sock.close()
            raise OSError(problem, f"cannot connect to {url}")
        if self._tls is not None:
            sock = self._tls.wrap_socket(sock, do_handshake_on_connect=False)
        return Conn(sock, bot, url, self._tls is not None)

    def _address(self, url: str) -> tuple[str, int]:
        known = self._addresses.get(url)
        if known is None:
            parts = urlsplit(url)
            known = self._addresses[url] = parts.hostname or "", parts.port or 0
        return known


def _upgrade(url: str) -> bytes:
    """The request that makes a play socket. The key is a constant: nobody caches an answer here."""
    return (
        f"GET /play HTTP/1.1\r\nHost: {urlsplit(url).netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: cDJwd29ybGQgYmVuY2ggMQ==\r\n"
        "Sec-WebSocket-Protocol: p2pworld.v1\r\n\r\n"
    ).encode()
