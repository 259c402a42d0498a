"""The small HTTP client: which addresses it takes, and what it does with answers that are no good."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.errors import LocalError, RemoteError
from shard_node.http_client import LOST, Endpoint, fetch, parse_web_url, why

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

TLS = ssl.create_default_context()


@pytest.mark.parametrize(
    ("url", "endpoint", "path"),
    [
        ("http://seoul.example", Endpoint("seoul.example", 80, False), ""),
        ("https://seoul.example.", Endpoint("seoul.example.", 443, True), ""),
        ("https://seoul.example/", Endpoint("seoul.example", 443, True), ""),
        ("https://seoul.example:8443/log/city/", Endpoint("seoul.example", 8443, True), "/log/city"),
        ("http://[::1]:7900/x", Endpoint("::1", 7900, False), "/x"),
    ],
)
def test_what_is_a_web_address(url: str, endpoint: Endpoint, path: str) -> None:
    assert parse_web_url(url) == (endpoint, path)


@pytest.mark.parametrize(
    "url",
    [
        *("", "seoul.example", "ftp://seoul.example", "http://", "http:///x", "https://a:b@seoul.example"),
        *("http://seoul.example:0x", "http://seoul.example/?q", "http://seoul.example/#top", "http://[::1"),
        *(
            "http://seoul..example",
            "http://.seoul.example",
            f"http://{'a' * 64}.example",
            "http://" + "a." * 127,
        ),
        *("http://seoul.example/a b", "http://seoul.example/서울", "http://seoul.example/\r\nX: y"),
    ],
)
def test_what_is_none(url: str) -> None:
    with pytest.raises(LocalError):
        parse_web_url(url)


@pytest.fixture
async def answering() -> AsyncIterator[Callable[[bytes], str]]:
    """Makes servers that answer whatever is asked with these bytes, and hang up."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        said: list[bytes] = []

        async def serve(stream: trio.SocketStream) -> None:
            await stream.receive_some(65_536)
            await stream.send_all(said[-1])
            await stream.aclose()

        def at(data: bytes) -> str:
            said.append(data)
            return f"http://127.0.0.1:{listener.socket.getsockname()[1]}/"

        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield at
        nursery.cancel_scope.cancel()


async def test_an_answer_is_whole_or_none(answering: Callable[[bytes], str]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n"
    answer = await fetch(answering(head + b"hello"), TLS, bytes_max=5)
    assert (answer.status, answer.headers[b"content-type"], answer.body) == (200, b"text/plain", b"hello")
    with pytest.raises(RemoteError) as too_long:
        await fetch(answering(head + b"hello"), TLS, bytes_max=4)
    assert too_long.value.reason == "answer-size"
    for broken in (
        head + b"hell",
        b"",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    ):
        with pytest.raises(LOST) as lost:
            await fetch(answering(broken), TLS, bytes_max=100)
        assert why(lost.value)
