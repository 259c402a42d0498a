"""The certificate that browsers see is exchanged under open sockets, and a broken one never takes its place."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import pytest
import trio

from p2pworld.messages import Notice
from shard_node.certificates import WebCertificate, is_for, not_after_ms
from shard_node.config import TlsConfig
from shard_node.errors import ConfigError
from shard_node.web.app import make_app
from shard_node.web.serve import serve_web
from tests.coordination.certificates import Authority, Pair
from tests.patience import PATIENCE_S
from tests.shard_node.playing import Client, stage
from tests.shard_node.test_web import Source

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def put(pair: Pair, at: TlsConfig) -> None:
    """Writes this pair where a node looks for its own."""
    at.play_cert.write_bytes(pair.cert.read_bytes())
    at.play_key.write_bytes(pair.key.read_bytes())


def der(pair: Pair) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pair.cert.read_text())


async def shaken(
    tcp: trio.SocketStream, trust: ssl.SSLContext, host: str
) -> trio.SSLStream[trio.SocketStream]:
    stream = trio.SSLStream(tcp, trust, server_hostname=host)
    await stream.do_handshake()
    return stream


async def test_new_handshakes_show_a_new_certificate_and_open_sockets_stay(
    authority: Authority, tmp_path: Path
) -> None:
    first, second = authority.issue("first"), authority.issue("second")
    files = TlsConfig(tmp_path / "play.crt", tmp_path / "play.key")
    put(first, files)
    certificate = WebCertificate(files)
    trust = ssl.create_default_context(cafile=authority.cert)
    unnamed = ssl.create_default_context(cafile=authority.cert)
    unnamed.check_hostname = False
    async with stage(tls=certificate.context) as on:
        stream = await shaken(await on.tcp(), trust, "127.0.0.1")
        assert stream.getpeercert(binary_form=True) == der(first)
        client = Client(stream)
        await client.open()
        await on.sink.until_events(1)

        put(second, files)
        assert certificate.reload()
        for context in (trust, unnamed):  # a host in numbers is not named in the handshake, another is
            host = "127.0.0.1" if context is trust else "play.example"
            later = await shaken(await on.tcp(), context, host)
            assert later.getpeercert(binary_form=True) == der(second)

        for broken in (
            b"",
            b"-----BEGIN CERTIFICATE-----\n",
            first.cert.read_bytes(),
        ):  # the last: another's key
            files.play_cert.write_bytes(broken)
            assert not certificate.reload()
            assert certificate.refused
        later = await shaken(await on.tcp(), trust, "127.0.0.1")
        assert later.getpeercert(binary_form=True) == der(second)
        assert certificate.counters == {"certificate_reloaded": 1, "certificate_refused": 3}

        put(first, files)
        assert certificate.reload()
        assert not certificate.refused
        on.play.send(0, Notice("still"))
        assert await client.control() == Notice("still")


async def test_the_pages_are_shown_with_it_too(authority: Authority, tmp_path: Path) -> None:
    first, second = authority.issue("first"), authority.issue("second")
    files = TlsConfig(tmp_path / "play.crt", tmp_path / "play.key", web=True)
    put(first, files)
    certificate = WebCertificate(files)
    trust = ssl.create_default_context(cafile=authority.cert)
    with trio.fail_after(PATIENCE_S), socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        stop, port = trio.Event(), listener.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_web, make_app(Source()), listener, stop, certificate.context)
            for pair in (first, second):
                put(pair, files)
                certificate.reload()
                stream = await shaken(await trio.open_tcp_stream("127.0.0.1", port), trust, "127.0.0.1")
                assert stream.getpeercert(binary_form=True) == der(pair)
                await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")
                await trio.aclose_forcefully(stream)
            stop.set()


def test_a_pair_that_is_none_keeps_a_node_from_starting(authority: Authority, tmp_path: Path) -> None:
    one, other = authority.issue("one"), authority.issue("other")
    with pytest.raises(ConfigError, match=r"tls\.play_cert and tls\.play_key"):
        WebCertificate(TlsConfig(one.cert, other.key))
    with pytest.raises(ConfigError, match=r"^a\.b names .*, which holds no certificate in PEM"):
        not_after_ms(one.key, "a.b")


def test_whom_a_certificate_is_for(authority: Authority) -> None:
    cert = authority.issue("city", hosts=("play.city.example", "*.nodes.example")).cert
    for host in ("play.city.example", "PLAY.city.example", "a.nodes.example"):
        assert is_for(cert, host)
    for host in ("city.example", "nodes.example", "a.b.nodes.example", "127.0.0.1", "example"):
        assert not is_for(cert, host)
    assert is_for(authority.issue("here").cert, "127.0.0.1")
    assert not is_for(authority.cert, "127.0.0.1")  # it names nobody
