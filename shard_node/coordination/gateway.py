"""A small client of etcd through its JSON gateway: the one HTTP client of this tree, a deadline for every question.

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

import h11
import trio

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import STORE_ANSWER_BYTES_MAX
from shard_node.coordination.interface import CoordinationDown, OutcomeUnknown
from shard_node.http_client import LOST, Endpoint, HttpConnection, connect, why

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

__all__ = ["Endpoint", "Gateway"]

Json = dict[str, Any]

_IDLE_MAX: Final = 4  # a node asks one thing at a time, renews beside it, and watches
# etcd refuses these before it writes; when it is full it may write and yet say that it did not
_BEFORE_ANYTHING: Final = frozenset({"denied", "busy", "untrusted"})


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
        self._idle: list[HttpConnection] = []
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
            yield _lines(connection, path, headers, json.dumps(question).encode(), self._next_endpoint)

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
            except LOST as error:
                if once and progress.sent:
                    raise OutcomeUnknown(f"etcd at {endpoint} did not answer: {why(error)}") from None
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
                return await _ask(connection, path, headers, body, progress)
        except LOST:
            if not (again and used):
                raise
        # it had been idle, and etcd may have been restarted meanwhile
        async with self._connected(endpoint, fresh=True) as connection:
            return await _ask(connection, path, headers, body, progress)

    # ---- connections

    @asynccontextmanager
    async def _connected(
        self, endpoint: Endpoint, until_s: float | None = None, *, fresh: bool = False
    ) -> AsyncGenerator[HttpConnection]:
        """A connection for one question; it is kept for the next one if that was answered whole."""
        if self._closed:
            raise CoordinationDown("closed", "the coordination store has been closed")
        kept = [] if fresh else [one for one in self._idle if one.endpoint == endpoint]
        if kept:
            connection = kept[-1]
            self._idle.remove(connection)
        elif until_s is None:
            connection = await connect(endpoint, self._tls)
        else:
            try:
                with trio.fail_at(until_s):
                    connection = await connect(endpoint, self._tls)
            except LOST as error:
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


_JSON: Final = (b"content-type", b"application/json")


async def _ask(
    connection: HttpConnection,
    path: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    progress: _Progress,
) -> _Answered:
    """One question and its whole answer."""
    progress.sent = True
    try:
        answer = await connection.ask("POST", path, body, [_JSON, *headers], bytes_max=STORE_ANSWER_BYTES_MAX)
    except RemoteError:
        sentence = f"{connection.endpoint} answers more than any city's store holds"
        raise CoordinationDown("not_a_store", sentence) from None
    return _Answered(answer.status, answer.body)


async def _lines(
    connection: HttpConnection,
    path: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    failed: Callable[[], None],
) -> AsyncGenerator[Json]:
    """The values of an endless answer; it ends when the endpoint ends it, breaks, or says that it failed."""
    rest = b""
    try:
        await connection.send("POST", path, body, [_JSON, *headers])
        await connection.response()
        while isinstance(event := await connection.event(), h11.Data):
            *whole, rest = (rest + bytes(event.data)).split(b"\n")
            for line in whole:
                value = json.loads(line)
                if not isinstance(value, dict) or not isinstance(value.get("result"), dict):
                    failed()
                    return
                yield value["result"]
            if len(rest) > STORE_ANSWER_BYTES_MAX:
                break
    except (*LOST, ValueError):
        pass
    failed()


# ---- what went wrong, as a code and a sentence


def _unreachable(endpoint: Endpoint, error: BaseException) -> CoordinationDown:
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return CoordinationDown(
            "untrusted", f"etcd at {endpoint} and this node do not trust each other: {why(error)}"
        )
    return CoordinationDown("io", f"etcd at {endpoint} cannot be reached: {why(error)}")


# gRPC's status codes, and the few messages by which etcd tells apart what shares one
_CANCELLED, _UNKNOWN, _INVALID, _LATE, _NOT_FOUND, _FORBIDDEN, _EXHAUSTED = 1, 2, 3, 4, 5, 7, 8
_PRECONDITION, _ABORTED, _UNIMPLEMENTED, _DAMAGED, _NOBODY = 9, 10, 12, 15, 16
_REASONS: Final[Mapping[int, tuple[str, str]]] = {
    _NOT_FOUND: ("not_a_store", "has no JSON gateway under /v3"),
    _UNIMPLEMENTED: ("not_a_store", "has no JSON gateway under /v3"),
    _FORBIDDEN: ("denied", "does not let this user read and write under coordination.prefix"),
    _DAMAGED: ("corrupt", "is damaged; restore it from a copy and start a new generation"),
}
_TOKENLOST: Final = ("invalid auth token", "auth store is old")
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
    if code == _NOBODY or any(part in message for part in _TOKENLOST):
        raise _TokenForgotten(
            CoordinationDown("denied", f"etcd at {endpoint} does not know this node's user")
        )
    reason, what = _REASONS.get(code, ("io", f"failed: {message[:200]}"))
    return CoordinationDown(reason, f"etcd at {endpoint} {what}")
