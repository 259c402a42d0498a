"""A small HTTP/1.1 client: h11 on one Trio stream, plain or TLS, one question after another.

It does no more than its callers need: no redirects, no cookies, no compression, and no answer longer than the caller
says. It sets no time limits; whoever asks puts a deadline around it. What goes wrong on the way is one of `LOST`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import h11
import trio

from p2pworld.errors import LocalError, RemoteError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Sequence

__all__ = ["LOST", "Answer", "Endpoint", "HttpConnection", "connect", "fetch", "parse_web_url", "why"]

LOST: Final = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    h11.RemoteProtocolError,
)
_CHUNK_BYTES: Final = 65_536
_PORTS: Final = {"http": 80, "https": 443}


class Endpoint(NamedTuple):
    """A server: where it is reached, and whether by TLS."""

    host: str
    port: int
    tls: bool

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """The endpoint of `http://host:port` or `https://host:port`.

        Raises:
            LocalError: the text is no such address.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise LocalError(f"{url!r} is no address") from None
        plain = not (
            parts.path.strip("/") or parts.query or parts.fragment or parts.username or parts.password
        )
        if parts.scheme not in _PORTS or not parts.hostname or port is None or not plain:
            raise LocalError(f"{url!r} is no address")
        return cls(parts.hostname, port, parts.scheme == "https")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


def parse_web_url(url: str) -> tuple[Endpoint, str]:
    """The server of a web address, and the path that what is asked for is appended to; the port may be the usual one.

    Raises:
        LocalError: it does not begin with http:// or https://, names no host, or has more than a path.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise LocalError(f"{url!r} is no web address") from None
    extra = parts.query or parts.fragment or parts.username or parts.password
    fits = url.isascii() and url.isprintable() and " " not in url
    if not port or not parts.hostname or not _is_host(parts.hostname) or extra or not fits:
        raise LocalError(f"{url!r} is no web address: http:// or https://, a host, perhaps a path")
    return Endpoint(parts.hostname, port, parts.scheme == "https"), parts.path.rstrip("/")


def _is_host(name: str) -> bool:
    """Whether it can be looked up at all (RFC 1035, 2.3.4); the look-up itself fails over it as if we were wrong."""
    return len(name) <= 253 and all(0 < len(label) < 64 for label in name.removesuffix(".").split("."))


class Answer(NamedTuple):
    """One whole answer."""

    status: int
    headers: dict[bytes, bytes]  # by name, in small letters
    body: bytes


class HttpConnection:
    """One stream to one endpoint, and what h11 knows about it."""

    def __init__(self, endpoint: Endpoint, stream: trio.abc.Stream) -> None:
        self.endpoint = endpoint
        self.used = False
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Sequence[tuple[bytes, bytes]] = (),
        *,
        bytes_max: int,
    ) -> Answer:
        """Send one question and read the whole answer.

        Raises:
            RemoteError: the answer is longer than `bytes_max` (`answer-size`).
        """
        await self.send(method, path, body, headers)
        response = await self.response()
        parts: list[bytes] = []
        size_bytes = 0
        while isinstance(event := await self.event(), h11.Data):
            size_bytes += len(event.data)
            if size_bytes > bytes_max:
                raise RemoteError("answer-size", f"{self.endpoint} answers more than {bytes_max} bytes")
            parts.append(bytes(event.data))
        return Answer(response.status_code, dict(response.headers), b"".join(parts))

    def rewind(self) -> bool:
        """Make ready for another question; False if this connection takes none."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self.used = True
        return True

    async def drop(self) -> None:
        """Close at once, without a word."""
        await trio.aclose_forcefully(self._stream)

    async def send(
        self, method: str, path: str, body: bytes, headers: Sequence[tuple[bytes, bytes]] = ()
    ) -> None:
        """Send one question."""
        request = h11.Request(
            method=method.encode(),
            target=path.encode(),
            headers=[
                (b"host", str(self.endpoint).partition("//")[2].encode()),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        )
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in events))

    async def response(self) -> h11.Response:
        """The head of the answer."""
        while not isinstance(event := await self.event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection was closed before an answer came")
        return event

    async def event(self) -> Any:
        """The next event of the answer, as h11 has it."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(bytes(await self._stream.receive_some(_CHUNK_BYTES)))
        return event


async def connect(endpoint: Endpoint, tls: ssl.SSLContext | None) -> HttpConnection:
    """A new connection; `tls` says whom an https endpoint must prove to be."""
    stream: trio.abc.Stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    if endpoint.tls:
        assert tls is not None
        secure = trio.SSLStream(stream, tls, server_hostname=endpoint.host, https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secure)
            raise
        stream = secure
    return HttpConnection(endpoint, stream)


async def fetch(
    url: str,
    tls: ssl.SSLContext,
    method: str = "GET",
    body: bytes = b"",
    headers: Sequence[tuple[bytes, bytes]] = (),
    *,
    bytes_max: int,
    query: str = "",
) -> Answer:
    """The answer to one question, on a connection of its own; `query` is what stands after the path and a `?`.

    Raises:
        LocalError: `url` is no web address.
        RemoteError: the answer is longer than `bytes_max` (`answer-size`).
    """
    endpoint, path = parse_web_url(url)
    connection = await connect(endpoint, tls)
    try:
        target = f"{path or '/'}?{query}" if query else path or "/"
        return await connection.ask(method, target, body, headers, bytes_max=bytes_max)
    finally:
        await connection.drop()


def why(error: BaseException) -> str:
    """What went wrong, in a few words."""
    if isinstance(error, trio.TooSlowError):
        return "its time was up"
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):  # Trio's, of all the addresses it tried
        cause = cause.exceptions[0]
    if not isinstance(cause, OSError):
        cause = error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__
