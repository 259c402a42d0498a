"""A small client of etcd through its JSON gateway: HTTP/1.1 by h11 on Trio streams, a deadline for every question.

A question goes to one endpoint after another until it is answered or its time is up. One that may be asked `once` only
is never sent twice: if it was sent and no certain answer came, `OutcomeUnknown` says so. A refusal that etcd decides
before it changes anything (no such user) is `CoordinationDown`, for certain. The token of a user is fetched when it is
first needed and again when etcd forgets it; neither it nor the password ever stands in an error.
"""

from __future__ import annotations

import json
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import h11
import trio

from p2pworld.errors import LocalError
from p2pworld.limits import STORE_ANSWER_BYTES_MAX
from shard_node.coordination.interface import CoordinationDown, OutcomeUnknown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

__all__ = ["Endpoint", "Gateway"]

Json = dict[str, Any]

_IDLE_MAX: Final = 4  # a node asks one thing at a time, renews beside it, and watches
_CHUNK_BYTES: Final = 65_536
# etcd refuses these before it writes; when it is full it may write and yet say that it did not
_BEFORE_ANYTHING: Final = frozenset({"denied", "busy", "untrusted"})
_LOST: Final = (
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
    trio.TooSlowError,
    h11.RemoteProtocolError,
)


class Endpoint(NamedTuple):
    """Where one member of the store is reached, and whether by TLS."""

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
        if parts.scheme not in ("http", "https") or not parts.hostname or port is None or not plain:
            raise LocalError(f"{url!r} is no address")
        return cls(parts.hostname, port, parts.scheme == "https")

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"


class Gateway:
    """One or several endpoints of the same etcd; any number of tasks may ask at once."""

    def __init__(
        self, endpoints: tuple[Endpoint, ...], tls: ssl.SSLContext | None, user: str, password: str
    ) -> None:
        if not endpoints or (tls is None and any(endpoint.tls for endpoint in endpoints)):
            raise LocalError("a gateway needs an endpoint, and a TLS context for https")
        self._endpoints = endpoints
        self._tls = tls
        self._user, self._password = user, password
        self._token = ""
        self._at = 0  # the endpoint that answered last
        self._idle: list[_Connection] = []
        self._closed = False

    async def ask(self, path: str, question: Json, until_s: float, *, once: bool = False) -> Json:
        """The answer to one question, by `until_s` on Trio's clock.

        Raises:
            CoordinationDown: it was not carried out (unless it may be repeated: then it may have been).
            OutcomeUnknown: it may have been carried out (only if `once`).
        """
        body = json.dumps(question).encode()
        fresh_token = False
        while True:
            headers = await self._credentials(until_s)
            try:
                return await self._ask_in_turn(path, headers, body, until_s, once)
            except _TokenForgotten as forgotten:
                if fresh_token or not self._user:
                    raise forgotten.down from None
                fresh_token = True
                self._token = ""

    @asynccontextmanager
    async def stream(self, path: str, question: Json, until_s: float) -> AsyncGenerator[AsyncGenerator[Json]]:
        """What one endpoint goes on to say, line by line, until it stops or the caller does.

        Only the beginning has to be made by `until_s`. A stream that breaks, and one whose endpoint has lost its
        leader, ends; the next one is asked of the next endpoint.

        Raises:
            CoordinationDown: it could not be begun.
        """
        headers = await self._credentials(until_s) + [(b"grpc-metadata-hasleader", b"true")]
        endpoint = self._endpoints[self._at]
        async with self._connected(endpoint, until_s, fresh=True) as connection:
            yield connection.lines(path, headers, json.dumps(question).encode(), self._next_endpoint)

    async def close(self) -> None:
        """Drop all connections; every question after it is refused."""
        self._closed = True
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.drop()

    # ---- one endpoint after another

    async def _credentials(self, until_s: float) -> list[tuple[bytes, bytes]]:
        if self._user and not self._token:
            body = json.dumps({"name": self._user, "password": self._password}).encode()
            try:
                answer = await self._ask_in_turn("/v3/auth/authenticate", [], body, until_s, False)
            except _TokenForgotten as strange:
                raise strange.down from None
            self._token = str(answer.get("token", ""))
        return [(b"authorization", self._token.encode())] if self._token else []

    async def _ask_in_turn(
        self, path: str, headers: list[tuple[bytes, bytes]], body: bytes, until_s: float, once: bool
    ) -> Json:
        down = CoordinationDown("io", f"etcd at {self._endpoints[self._at]} did not answer in time")
        for turn in range(len(self._endpoints)):
            last = turn == len(self._endpoints) - 1
            left_s = until_s - trio.current_time()
            if left_s <= 0:
                break
            endpoint = self._endpoints[self._at]
            progress = _Progress()
            try:
                with trio.fail_after(left_s if last else left_s / 2):
                    answered = await self._ask_endpoint(endpoint, path, headers, body, progress, not once)
            except _LOST as error:
                if once and progress.sent:
                    raise OutcomeUnknown(f"etcd at {endpoint} did not answer: {_why(error)}") from None
                down = _unreachable(endpoint, error)
            else:
                answer, down = answered.read(endpoint)
                if answer is not None:
                    return answer
                if once and down.reason not in _BEFORE_ANYTHING:
                    raise OutcomeUnknown(str(down))
                if down.reason != "io":
                    raise down
            self._next_endpoint()
        raise down

    def _next_endpoint(self) -> None:
        self._at = (self._at + 1) % len(self._endpoints)

    async def _ask_endpoint(
        self,
        endpoint: Endpoint,
        path: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        progress: _Progress,
        again: bool,
    ) -> _Answered:
        used = False
        try:
            async with self._connected(endpoint) as connection:
                used = connection.used
                return await connection.ask(path, headers, body, progress)
        except _LOST:
            if not (again and used):
                raise
        # it had been idle, and etcd may have been restarted meanwhile
        async with self._connected(endpoint, fresh=True) as connection:
            return await connection.ask(path, headers, body, progress)

    # ---- connections

    @asynccontextmanager
    async def _connected(
        self, endpoint: Endpoint, until_s: float | None = None, *, fresh: bool = False
    ) -> AsyncGenerator[_Connection]:
        """A connection for one question; it is kept for the next one if that was answered whole."""
        if self._closed:
            raise CoordinationDown("closed", "the coordination store has been closed")
        kept = [] if fresh else [one for one in self._idle if one.endpoint == endpoint]
        if kept:
            connection = kept[-1]
            self._idle.remove(connection)
        elif until_s is None:
            connection = await _connect(endpoint, self._tls)
        else:
            try:
                with trio.fail_at(until_s):
                    connection = await _connect(endpoint, self._tls)
            except _LOST as error:
                self._next_endpoint()
                raise _unreachable(endpoint, error) from None
        whole = False
        try:
            yield connection
            whole = connection.rewind()
        finally:
            if whole and not self._closed and len(self._idle) < _IDLE_MAX:
                self._idle.append(connection)
            else:
                await connection.drop()


@dataclass(slots=True)
class _Progress:
    """Whether any byte of a question may have left."""

    sent: bool = False


class _TokenForgotten(Exception):
    """etcd knows our token no longer; nothing was carried out. `down` is what to say if a new one does not help."""

    def __init__(self, down: CoordinationDown) -> None:
        super().__init__(str(down))
        self.down = down


class _Answered(NamedTuple):
    """One whole HTTP answer."""

    status: int
    body: bytes

    def read(self, endpoint: Endpoint) -> tuple[Json | None, CoordinationDown]:
        """What etcd said; or why it did not do it, `io` if that may not be certain.

        Raises:
            _TokenForgotten: a new token may help.
        """
        try:
            said = json.loads(self.body)
        except ValueError:
            said = None
        if self.status == 200 and isinstance(said, dict):
            return said, CoordinationDown("io", "")
        text = self.body[:200].decode("utf-8", "replace").strip()
        if not isinstance(said, dict) or not isinstance(said.get("code"), int):
            if "CommonName of client" in text:  # plain text, before the gateway has looked at anything
                sentence = (
                    "takes no client certificate with a CommonName where it has users: issue one without"
                )
                return None, CoordinationDown("untrusted", f"etcd at {endpoint} {sentence}")
            if self.status >= 500:  # of something in between, which may have passed the question on
                return None, CoordinationDown("io", f"etcd at {endpoint} failed: {self.status} {text!r}")
            sentence = f"{endpoint} is no etcd with a JSON gateway (it answered {self.status}: {text!r})"
            return None, CoordinationDown("not_a_store", sentence)
        return None, _refusal(endpoint, said["code"], str(said.get("message") or said.get("error") or ""))


class _Connection:
    """One stream to one endpoint, and what h11 knows about it."""

    def __init__(self, endpoint: Endpoint, stream: trio.abc.Stream) -> None:
        self.endpoint = endpoint
        self.used = False
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)

    async def ask(
        self, path: str, headers: list[tuple[bytes, bytes]], body: bytes, progress: _Progress
    ) -> _Answered:
        """Send one question and read the whole answer."""
        progress.sent = True
        await self._send(path, headers, body)
        status = (await self._response()).status_code
        parts: list[bytes] = []
        size_bytes = 0
        while isinstance(event := await self._event(), h11.Data):
            size_bytes += len(event.data)
            if size_bytes > STORE_ANSWER_BYTES_MAX:
                raise CoordinationDown(
                    "not_a_store", f"{self.endpoint} answers more than any city's store holds"
                )
            parts.append(bytes(event.data))
        return _Answered(status, b"".join(parts))

    async def lines(
        self, path: str, headers: list[tuple[bytes, bytes]], body: bytes, failed: Callable[[], None]
    ) -> AsyncGenerator[Json]:
        """The values of an endless answer; it ends when the endpoint ends it, breaks, or says that it failed."""
        rest = b""
        try:
            await self._send(path, headers, body)
            await self._response()
            while isinstance(event := await self._event(), h11.Data):
                *whole, rest = (rest + bytes(event.data)).split(b"\n")
                for line in whole:
                    value = json.loads(line)
                    if not isinstance(value, dict) or not isinstance(value.get("result"), dict):
                        failed()
                        return
                    yield value["result"]
                if len(rest) > STORE_ANSWER_BYTES_MAX:
                    break
        except (*_LOST, ValueError):
            pass
        failed()

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

    async def _send(self, path: str, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        request = h11.Request(
            method=b"POST",
            target=path.encode(),
            headers=[
                (b"host", str(self.endpoint).partition("//")[2].encode()),
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        )
        events = (request, h11.Data(data=body), h11.EndOfMessage())
        await self._stream.send_all(b"".join(self._http.send(event) or b"" for event in events))

    async def _response(self) -> h11.Response:
        while not isinstance(event := await self._event(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("the connection was closed before an answer came")
        return event

    async def _event(self) -> Any:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(bytes(await self._stream.receive_some(_CHUNK_BYTES)))
        return event


async def _connect(endpoint: Endpoint, tls: ssl.SSLContext | None) -> _Connection:
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
    return _Connection(endpoint, stream)


# ---- what went wrong, as a code and a sentence


def _why(error: BaseException) -> str:
    if isinstance(error, trio.TooSlowError):
        return "its time was up"
    cause = error.__cause__
    if isinstance(cause, ExceptionGroup):  # Trio's, of all the addresses it tried
        cause = cause.exceptions[0]
    if not isinstance(cause, OSError):
        cause = error
    return getattr(cause, "strerror", None) or str(cause) or type(cause).__name__


def _unreachable(endpoint: Endpoint, error: BaseException) -> CoordinationDown:
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return CoordinationDown(
            "untrusted", f"etcd at {endpoint} and this node do not trust each other: {_why(error)}"
        )
    return CoordinationDown("io", f"etcd at {endpoint} cannot be reached: {_why(error)}")


# gRPC's status codes, and the few messages by which etcd tells apart what shares one
_CANCELLED, _UNKNOWN, _INVALID, _LATE, _NOT_FOUND, _FORBIDDEN, _EXHAUSTED = 1, 2, 3, 4, 5, 7, 8
_PRECONDITION, _ABORTED, _UNIMPLEMENTED, _DAMAGED, _NOBODY = 9, 10, 12, 15, 16
_REASONS: Final[Mapping[int, tuple[str, str]]] = {
    _NOT_FOUND: ("not_a_store", "has no JSON gateway under /v3"),
    _UNIMPLEMENTED: ("not_a_store", "has no JSON gateway under /v3"),
    _FORBIDDEN: ("denied", "does not let this user read and write under coordination.prefix"),
    _DAMAGED: ("corrupt", "is damaged; restore it from a copy and start a new generation"),
}
_TOKEN_LOST: Final = ("invalid auth token", "auth store is old")
_BY_MESSAGE: Final = (
    ("authentication failed", "denied", "does not know this user with this password"),
    ("user name is empty", "denied", "wants a user: set coordination.user"),
    (
        "authentication is not enabled",
        "denied",
        "has no users: enable its authentication or remove coordination.user",
    ),
    (
        "space exceeded",
        "full",
        "is full: compact and defragment it, or raise its quota, and disarm the alarm",
    ),
    ("too large", "full", "takes no value so large: raise its --max-request-bytes"),
    ("too many requests", "busy", "has too much to do"),
)


def _refusal(endpoint: Endpoint, code: int, message: str) -> CoordinationDown:
    for part, reason, what in _BY_MESSAGE:
        if part in message:
            return CoordinationDown(reason, f"etcd at {endpoint} {what}")
    if code == _NOBODY or any(part in message for part in _TOKEN_LOST):
        raise _TokenForgotten(
            CoordinationDown("denied", f"etcd at {endpoint} does not know this node's user")
        )
    reason, what = _REASONS.get(code, ("io", f"failed: {message[:200]}"))
    return CoordinationDown(reason, f"etcd at {endpoint} {what}")
