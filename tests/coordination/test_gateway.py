"""The client of etcd's gateway against endpoints that misbehave: silent, gone, foreign, or cut off amid an answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from p2pworld import limits
from p2pworld.errors import LocalError
from shard_node.coordination import CoordinationDown, OutcomeUnknown, gateway
from shard_node.coordination.etcd import EtcdCoordination
from shard_node.coordination.gateway import Endpoint, Gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

Talk = Callable[[trio.SocketStream, bytes], Awaitable[None]]
LONG_S = 30.0


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


def answers(data: bytes) -> Talk:
    async def talk(stream: trio.SocketStream, asked: bytes) -> None:
        await stream.send_all(data)

    return talk


def cut_off(data: bytes) -> Talk:
    async def talk(stream: trio.SocketStream, asked: bytes) -> None:
        await stream.send_all(data)
        await stream.aclose()

    return talk


def refusal(code: int, message: str) -> bytes:
    return http(400, json.dumps({"error": message, "message": message, "code": code}).encode())


async def silent(stream: trio.SocketStream, asked: bytes) -> None:
    """Takes the question and never answers; the time of one endpoint passes at once, that of the next does not."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, trio.testing.MockClock)
    clock.jump(LONG_S * 0.6)
    await trio.sleep_forever()


async def hangs_up(stream: trio.SocketStream, asked: bytes) -> None:
    await stream.aclose()


GOOD = answers(http(200, b'{"header":{"revision":"7"}}'))


@asynccontextmanager
async def endpoints(*talks: Talk) -> AsyncIterator[tuple[tuple[Endpoint, ...], list[list[bytes]]]]:
    """Listeners that answer every question by their `talk`, and what each of them was asked."""
    asked: list[list[bytes]] = [[] for _ in talks]

    async def serve(stream: trio.SocketStream, number: int) -> None:
        try:
            while data := await stream.receive_some(65_536):
                asked[number].append(bytes(data))
                await talks[number](stream, bytes(data))
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return

    found = []
    async with trio.open_nursery() as nursery:
        for number in range(len(talks)):
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            found.append(Endpoint("127.0.0.1", listeners[0].socket.getsockname()[1], False))

            async def handle(stream: trio.SocketStream, number: int = number) -> None:
                await serve(stream, number)

            nursery.start_soon(trio.serve_listeners, handle, listeners)
        yield tuple(found), asked
        nursery.cancel_scope.cancel()


async def nobody() -> Endpoint:
    """An endpoint where nobody listens."""
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    return Endpoint("127.0.0.1", port, False)


async def asked_of(found: tuple[Endpoint, ...], wait_s: float, **options: Any) -> dict[str, Any]:
    client = Gateway(found, None, options.pop("user", ""), options.pop("password", ""))
    try:
        return await client.ask("/v3/kv/txn", {"x": 1}, trio.current_time() + wait_s, **options)
    finally:
        await client.close()


@pytest.mark.parametrize("first", [silent, hangs_up, answers(refusal(14, "etcdserver: leader changed"))])
async def test_a_question_that_may_be_repeated_is_asked_of_the_next_endpoint(
    first: Talk, mock_clock: trio.testing.MockClock
) -> None:
    async with endpoints(first, GOOD) as (found, asked):
        client = Gateway(found, None, "", "")
        until_s = trio.current_time() + LONG_S
        assert await client.ask("/v3/kv/range", {}, until_s) == {"header": {"revision": "7"}}
        await client.ask("/v3/kv/range", {}, trio.current_time() + LONG_S)
        assert [len(one) for one in asked] == [1, 2]  # and then it stays with the one that answers
        await client.close()


async def test_nobody_at_the_first_endpoint_costs_nothing() -> None:
    async with endpoints(GOOD) as (found, _):
        assert await asked_of((await nobody(), *found), LONG_S, once=True) == {"header": {"revision": "7"}}


@pytest.mark.parametrize(
    "first",
    [
        silent,
        hangs_up,
        cut_off(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{"),
        answers(refusal(14, "etcdserver: request timed out")),
        answers(refusal(4, "context deadline exceeded")),
        answers(refusal(8, "etcdserver: mvcc: database space exceeded")),
        answers(http(504, b"<html>Gateway Time-out</html>")),
        answers(http(200, b"<html>")),
    ],
)
async def test_what_may_be_asked_once_only_is_never_repeated_and_its_outcome_is_unknown(
    first: Talk, mock_clock: trio.testing.MockClock
) -> None:
    async with endpoints(first, GOOD) as (found, asked):
        with pytest.raises(OutcomeUnknown):
            await asked_of(found, LONG_S, once=True)
        assert [len(one) for one in asked] == [1, 0]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (refusal(7, "etcdserver: permission denied"), "denied"),
        (refusal(3, "etcdserver: authentication failed, invalid user ID or password"), "denied"),
        (refusal(3, "etcdserver: user name is empty"), "denied"),
        (refusal(9, "etcdserver: authentication is not enabled"), "denied"),
        (refusal(16, "etcdserver: invalid auth token"), "denied"),
        (refusal(8, "etcdserver: mvcc: database space exceeded"), "full"),
        (refusal(3, "etcdserver: request is too large"), "full"),
        (refusal(8, "etcdserver: too many requests"), "busy"),
        (refusal(15, "etcdserver: corrupt cluster"), "corrupt"),
        (refusal(12, "unknown service"), "not_a_store"),
        (http(404, b"404 page not found"), "not_a_store"),
        (http(200, b"<html>"), "not_a_store"),
        (http(200, b"[]"), "not_a_store"),
        (http(400, b'{"code":"x"}'), "not_a_store"),
        (http(503, b"<html>no server is available</html>"), "io"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "io"),
        (b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n", "not_a_store"),
    ],
)
async def test_what_an_endpoint_refuses_is_told_by_a_code_and_one_sentence(said: bytes, reason: str) -> None:
    async with endpoints(cut_off(said)) as (found, _):
        with pytest.raises(CoordinationDown, match=r"^[^\n]*$") as caught:
            await asked_of(found, LONG_S)
    assert caught.value.reason == reason
    assert str(found[0]) in str(caught.value)


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (refusal(7, "etcdserver: permission denied"), "denied"),
        (refusal(8, "etcdserver: too many requests"), "busy"),
    ],
)
async def test_what_etcd_refuses_before_anything_else_is_certain(said: bytes, reason: str) -> None:
    async with endpoints(cut_off(said), GOOD) as (found, asked):
        with pytest.raises(CoordinationDown) as caught:
            await asked_of(found, LONG_S, once=True)
    assert (caught.value.reason, len(asked[1])) == (reason, 0)


async def test_an_answer_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "STORE_ANSWER_BYTES_MAX", 100_000)
    assert limits.STORE_ANSWER_BYTES_MAX > 100_000

    async def talk(stream: trio.SocketStream, asked: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            await stream.send_all(b"1000\r\n" + b" " * 4_096 + b"\r\n")

    async with endpoints(talk) as (found, _):
        with pytest.raises(CoordinationDown, match="more than"):
            await asked_of(found, LONG_S)


async def test_a_forgotten_token_is_fetched_anew_even_for_what_is_asked_once() -> None:
    tokens = iter(["first", "second", "third"])

    async def talk(stream: trio.SocketStream, asked: bytes) -> None:
        if asked.startswith(b"POST /v3/auth/authenticate"):
            await stream.send_all(http(200, json.dumps({"token": next(tokens)}).encode()))
        elif b"authorization: second" in asked:
            await stream.send_all(http(200, b'{"done": 1}'))
        else:
            await stream.send_all(refusal(16, "etcdserver: invalid auth token"))

    async with endpoints(talk) as (found, asked):
        assert await asked_of(found, LONG_S, user="city", password="hush", once=True) == {"done": 1}
    assert len(asked[0]) == 4
    assert all(b"hush" not in one for one in asked[0] if b"authenticate" not in one)


async def test_where_watches_do_not_last_the_store_is_read_now_and_then() -> None:
    nothing = {"header": {"revision": "1"}, "responses": [{"response_range": {}}] * 3}

    async def talk(stream: trio.SocketStream, asked: bytes) -> None:
        if asked.startswith(b"POST /v3/watch"):
            await stream.send_all(http(200, b'{"error":{"message":"no stream here"}}\n'))
        else:
            await stream.send_all(http(200, json.dumps(nothing).encode()))

    async with endpoints(talk) as (found, asked):
        store = EtcdCoordination(found, call_s=LONG_S)
        assert await store.wait_change(0, 0.5) == 0
        await store.close()
    assert 2 <= len(asked[0]) <= 12  # a read and a watch each tenth of a second


async def test_a_password_stands_in_no_error() -> None:
    async with endpoints(answers(refusal(3, "etcdserver: authentication failed"))) as (found, _):
        with pytest.raises(CoordinationDown) as caught:
            await asked_of(found, LONG_S, user="city", password="hush-hush")
    chain: BaseException | None = caught.value
    while chain is not None:
        assert "hush-hush" not in repr(chain)
        chain = chain.__cause__ or chain.__context__


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:2379",
        "ftp://h:1",
        "http://h",
        "http://h:x",
        "http://:1",
        "http://h:1/v3",
        "http://u:p@h:1",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(LocalError):
        Endpoint.parse(url)


def test_endpoints_are_written_as_they_are_read() -> None:
    for url in ("http://127.0.0.1:2379", "https://[::1]:2379", "https://etcd-1.example:443"):
        assert str(Endpoint.parse(url)) == url
