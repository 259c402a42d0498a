"""Links over real loopback sockets with real TLS: who gets in, who does not and why, and what a link promises."""

from __future__ import annotations

import random
import socket
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from p2pworld.crypto.keys import NodeKeys
from p2pworld.crypto.link import (
    LINK_CAPS,
    LinkChallenge,
    LinkRefused,
    accept_hello,
    decode_link,
    encode_link,
    sign_link,
)
from p2pworld.errors import Refusal
from p2pworld.grants import sign_grant
from p2pworld.ids import Incarnation
from p2pworld.limits import LINK_BATCH_BYTES_MAX, LINK_HELLO_BYTES_MAX
from p2pworld.messages import (
    Batch,
    CellRefused,
    CellState,
    Instant,
    LinkDown,
    LinkUp,
    PeerSaid,
    ToPeer,
)
from p2pworld.wire.codec import encode_batch
from p2pworld.wire.stream import FrameReader, frame
from p2pworld.world.citymap import Member
from shard_node import links as links_module
from shard_node.links import Links, link_contexts
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from p2pworld.crypto.keys import Signer
    from p2pworld.grants import Grant

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
ROOT = NodeKeys.from_seed(bytes([9]) * 32)
# By key, so that the first of two always dials.
FIRST, SECOND, THIRD = sorted(
    (NodeKeys.from_seed(bytes([i]) * 32) for i in range(1, 4)), key=lambda k: k.public
)


def grants_of(
    keys: Signer, issuer: Signer = ROOT, from_ms: int = -DAY_MS, until_ms: int = DAY_MS
) -> tuple[Grant, ...]:
    return (sign_grant(issuer, keys.public, "shard", ("cells:*",), NOW_MS + from_ms, NOW_MS + until_ms),)


class Party:
    """One node's links, recording what its sink is told."""

    def __init__(self, keys: Signer, listener: trio.SocketListener, **other: Any) -> None:
        self.keys, self.number = keys, int(other.pop("number", 1))
        self.now = Instant(1000.0, NOW_MS)
        self.events: list[LinkUp | LinkDown | PeerSaid] = []
        self.hints: tuple[str, ...] = ()
        self.void: set[bytes] = set()  # whose grants were taken back
        self.fault = Refusal("grant-revoked", "a key in the chain was revoked")
        self._changed = trio.Event()
        self.port: int = listener.socket.getsockname()[1]
        self.links = Links(
            [listener],
            keys,
            other.pop("grants", None) or grants_of(keys),
            frozenset({ROOT.public}),
            lambda: self.who,
            lambda: self.now,
            self,
            lambda chain, now_ms: self.fault if chain[-1].subject in self.void else None,
            lambda node: self.hints,
        )
        assert not other

    @property
    def who(self) -> Incarnation:
        return Incarnation(self.keys.public, self.number)

    @property
    def member(self) -> Member:
        return Member(*self.who, f"tls://127.0.0.1:{self.port}", "ws://x/play", "http://x/")

    def step(self, event: LinkUp | LinkDown | PeerSaid) -> None:
        if isinstance(event, PeerSaid) and not event.batch.messages:
            return  # a ping
        self.events.append(event)
        self._changed.set()
        self._changed = trio.Event()

    async def until(self, count: int) -> list[LinkUp | LinkDown | PeerSaid]:
        while len(self.events) < count:
            await self._changed.wait()
        return self.events

    async def until_counted(self, *names: str) -> None:
        while not any(self.links.counters[name] for name in names):
            await trio.lowlevel.checkpoint()


@asynccontextmanager
async def parties(*keys: Signer, **other: Any) -> AsyncIterator[list[Party]]:
    """Links of these nodes running on loopback; fails the test after a while instead of hanging."""
    with trio.fail_after(PATIENCE_S):
        async with trio.open_nursery() as nursery:
            all_of = []
            for key in keys:
                (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
                all_of.append(Party(key, listener, **other))
                nursery.start_soon(all_of[-1].links.run)
            yield all_of
            nursery.cancel_scope.cancel()


def message(number: int) -> CellRefused:
    return CellRefused(1, number, "disk")


async def test_two_nodes_link_once_and_batches_go_both_ways() -> None:
    async with parties(SECOND, FIRST) as (b, a):
        for one, other in ((a, b), (b, a)):
            one.links.want([other.member])
        assert await a.until(1) == [LinkUp(b.who, LINK_CAPS)]
        assert await b.until(1) == [LinkUp(a.who, LINK_CAPS)]
        for i in range(3):
            a.links.send(ToPeer(b.who, message(i)), 0.0)
        a.links.flush(7)
        b.links.send(ToPeer(a.who, message(9)), 0.0)
        b.links.flush(8)
        assert (await b.until(2))[1] == PeerSaid(a.who, Batch(7, tuple(message(i) for i in range(3))))
        assert (await a.until(2))[1] == PeerSaid(b.who, Batch(8, (message(9),)))
        assert (a.links.counters["dialled"], b.links.counters["dialled"]) == (1, 0)
        a.links.want([])
        assert (await a.until(3))[2] == LinkDown(b.who)
        assert (await b.until(3))[2] == LinkDown(a.who)
        a.links.send(ToPeer(b.who, message(1)), 0.0)
        assert a.links.counters["no_link"] == 1


async def test_what_its_lease_no_longer_covers_does_not_leave() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want([b.member])
        await a.until(1)
        a.links.send(ToPeer(b.who, message(1), fenced=True), 1000.0)
        a.links.send(ToPeer(b.who, message(2), fenced=True), 1000.1)
        a.links.send(ToPeer(b.who, message(3)), 1000.0)
        a.links.flush(1)
        assert (await b.until(2))[1] == PeerSaid(a.who, Batch(1, (message(2), message(3))))
        assert a.links.counters["fenced_late"] == 1


async def test_very_large_batches_are_split_and_arrive_in_order() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want([b.member])
        await a.until(1)
        states = [CellState(1, 1, n, bytes(3 << 20)) for n in range(8)]  # more than one batch may hold
        for state in states:
            a.links.send(ToPeer(b.who, state), 0.0)
        a.links.flush(1)
        seen: list[object] = []
        while len(seen) < 8:
            seen = [m for e in b.events if isinstance(e, PeerSaid) for m in e.batch.messages]
            await trio.lowlevel.checkpoint()
        assert seen == states


async def test_a_queue_that_grows_too_long_ends_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links_module, "LINK_QUEUE_BYTES", 10_000)
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want([b.member])
        await a.until(1)
        for i in range(20):
            a.links.send(ToPeer(b.who, message(i)), 0.0)
        a.links.flush(1)
        assert a.events == [LinkUp(b.who, LINK_CAPS), LinkDown(b.who)]
        assert a.links.counters["down_queue_full"] == 1
        assert (await a.until(3))[2] == LinkUp(b.who, LINK_CAPS)  # and is made anew


async def test_a_link_that_breaks_is_made_anew() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want([b.member])
        await b.until(1)
        b.links.want([a.member])
        b.links.want([])
        assert (await a.until(3)) == [LinkUp(b.who, LINK_CAPS), LinkDown(b.who), LinkUp(b.who, LINK_CAPS)]
        assert await b.until(3) == [LinkUp(a.who, LINK_CAPS), LinkDown(a.who), LinkUp(a.who, LINK_CAPS)]


async def test_a_new_incarnation_of_ours_ends_the_old_ones_links() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want([b.member])
        await b.until(1)
        old = a.who
        a.number = 2
        a.links.want([b.member])
        assert a.events[1] == LinkDown(b.who)
        while len(a.events) < 3:
            a.links.want([b.member])
            await trio.lowlevel.checkpoint()
        events = await b.until(3)
        assert set(events) == {LinkUp(old, LINK_CAPS), LinkDown(old), LinkUp(a.who, LINK_CAPS)}


@pytest.mark.parametrize("side", ["dialler", "acceptor"])
async def test_an_incarnation_that_ends_amid_a_handshake_ends_that_and_nothing_else(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that was cut off lapses while it dials: it is linked again once it has registered anew."""
    async with parties(FIRST, SECOND) as (a, b):
        ends = a if side == "dialler" else b
        shake = trio.SSLStream.do_handshake

        async def lapse(stream: trio.SSLStream[trio.SocketStream]) -> None:
            await shake(stream)
            if ends.number == 1:  # the other side's handshake may end when there is a new one already
                ends.number = 0

        monkeypatch.setattr(trio.SSLStream, "do_handshake", lapse)
        a.links.want([b.member])
        await ends.until_counted("dial_unregistered", "accept_unregistered")
        assert not a.events
        assert not b.events
        monkeypatch.setattr(trio.SSLStream, "do_handshake", shake)
        ends.number = 2
        while not (a.events and b.events):  # as it is told each second
            a.links.want([b.member])
            b.links.want([a.member])
            await trio.lowlevel.checkpoint()
        assert a.events == [LinkUp(b.who, LINK_CAPS)]
        assert b.events == [LinkUp(a.who, LINK_CAPS)]


@pytest.mark.parametrize("side", ["dialler", "acceptor"])
async def test_a_handshake_in_the_name_of_an_incarnation_that_is_over_leads_to_no_link(
    side: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has registered anew while the other side looked at its signature."""
    async with parties(FIRST, SECOND) as (a, b):
        ends = a if side == "dialler" else b

        def slow(*arguments: Any) -> Any:
            ends.number += 1
            return accept_hello(*arguments)

        monkeypatch.setattr(links_module, "accept_hello", slow)
        a.links.want([b.member])
        await ends.until_counted("dial_unregistered", "accept_unregistered")
        assert not ends.events


async def test_nobody_is_linked_before_it_is_registered() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        b.number = 0
        a.links.want([replace(b.member, incarnation=1)])
        await b.until_counted("accept_unregistered")
        b.number = 1
        assert await a.until(1) == [LinkUp(b.who, LINK_CAPS)]


@pytest.mark.parametrize(
    ("grants", "reason"),
    [
        (grants_of(FIRST, until_ms=-1), "grant"),
        (grants_of(FIRST, from_ms=1), "grant"),
        (grants_of(FIRST, issuer=SECOND), "grant"),
        (grants_of(THIRD), "grant"),
        ((replace(grants_of(FIRST)[0], not_after_ms=NOW_MS + 9 * DAY_MS),), "grant"),
    ],
    ids=["expired", "not yet", "another root", "somebody else's", "forged"],
)
async def test_a_dialler_without_a_valid_grant_is_refused_by_name(
    grants: tuple[Grant, ...], reason: str
) -> None:
    async with parties(SECOND) as (b,):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            a = Party(FIRST, listener, grants=grants)
            nursery.start_soon(a.links.run)
            a.links.want([b.member])
            while not [name for name in a.links.counters if name.startswith(f"refused_{reason}")]:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert [name for name in b.links.counters if name.startswith(f"refused_{reason}")]
        assert a.events == b.events == []


async def test_an_acceptor_without_a_valid_grant_is_refused_by_the_dialler() -> None:
    async with parties(FIRST) as (a,):
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        async with trio.open_nursery() as nursery:
            b = Party(SECOND, listener, grants=grants_of(SECOND, until_ms=-1))
            nursery.start_soon(b.links.run)
            a.links.want([b.member])
            while not [name for name in a.links.counters if name.startswith("refused_grant")]:
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert a.events == b.events == []


async def test_another_node_than_the_one_dialled_is_refused() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want(
            [replace(b.member, node=max(SECOND.public, THIRD.public, key=lambda k: k != SECOND.public))]
        )
        await a.until_counted("refused_identity")
        a.links.want([replace(b.member, incarnation=5)])
        await a.until_counted("refused_incarnation")
        assert a.events == b.events == []


async def test_a_link_ends_when_the_grants_of_the_other_side_do() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        a.links.want([b.member])
        await a.until(1)
        a.now = Instant(2000.0, NOW_MS + DAY_MS)
        a.links.want([b.member])
        assert a.events == [LinkUp(b.who, LINK_CAPS), LinkDown(b.who)]
        assert a.links.counters["down_grant_expired"] == 1


class Stranger:
    """A dialler by hand, that may say anything."""

    def __init__(self, keys: Signer) -> None:
        self.keys = keys
        self.reader = FrameReader(LINK_HELLO_BYTES_MAX)
        self.frames: list[bytes] = []

    async def connect(self, port: int) -> LinkChallenge:
        tcp = await trio.open_tcp_stream("127.0.0.1", port)
        self.stream = trio.SSLStream(tcp, link_contexts(bytes(32), NOW_MS // 1000)[1], https_compatible=True)
        await self.stream.do_handshake()
        challenge = decode_link(await self.receive())
        assert isinstance(challenge, LinkChallenge)
        self.certificate = self.stream.getpeercert(binary_form=True) or b""
        return challenge

    async def receive(self) -> bytes:
        while not self.frames:
            data = await self.stream.receive_some(65_536)
            assert data
            self.frames += self.reader.feed(bytes(data))
        return self.frames.pop(0)

    async def say(self, *payloads: bytes) -> None:
        await self.stream.send_all(b"".join(frame(payload) for payload in payloads))

    async def until_closed(self) -> None:
        try:
            while await self.stream.receive_some(65_536):
                pass
        except trio.BrokenResourceError:
            pass
        await trio.aclose_forcefully(self.stream)


async def test_a_dialler_of_an_old_version_is_told_so() -> None:
    async with parties(SECOND) as (b,):
        stranger = Stranger(FIRST)
        challenge = await stranger.connect(b.port)
        hello = sign_link(FIRST, 1, challenge, stranger.certificate, grants_of(FIRST))
        await stranger.say(encode_link(replace(hello, v_min=0, v_max=0)))
        refused = decode_link(await stranger.receive())
        assert isinstance(refused, LinkRefused)
        assert refused.code == "version"
        await stranger.until_closed()
        await b.until_counted("refused_version")


async def test_a_signature_for_another_channel_is_refused() -> None:
    async with parties(SECOND, THIRD) as (b, c):
        relayed, stranger = Stranger(FIRST), Stranger(FIRST)
        theirs = await relayed.connect(c.port)
        await stranger.connect(b.port)
        hello = sign_link(FIRST, 1, theirs, relayed.certificate, grants_of(FIRST))
        await stranger.say(encode_link(hello))
        refused = decode_link(await stranger.receive())
        assert isinstance(refused, LinkRefused)
        assert refused.code == "signature"
        await stranger.until_closed()
        await trio.aclose_forcefully(relayed.stream)
        assert b.events == []


async def test_a_newer_link_replaces_the_older_with_one_up_and_one_down_each() -> None:
    async with parties(SECOND) as (b,):
        strangers = [Stranger(FIRST), Stranger(FIRST)]
        peer = Incarnation(FIRST.public, 1)
        for stranger in strangers:
            challenge = await stranger.connect(b.port)
            hello = sign_link(FIRST, 1, challenge, stranger.certificate, grants_of(FIRST))
            await stranger.say(encode_link(hello))
            await stranger.receive()
        assert await b.until(3) == [LinkUp(peer, LINK_CAPS), LinkDown(peer), LinkUp(peer, LINK_CAPS)]
        await strangers[0].until_closed()
        await strangers[1].say(encode_batch(Batch(1, (message(1),))))
        assert (await b.until(4))[3] == PeerSaid(peer, Batch(1, (message(1),)))
        await trio.aclose_forcefully(strangers[1].stream)
        assert (await b.until(5))[4] == LinkDown(peer)
        assert b.links.counters["down_closed"] == 1


async def test_mutated_batches_end_only_their_own_link() -> None:
    rng = random.Random(3)
    good = encode_batch(Batch(1, (message(1), CellState(1, 1, 1, bytes(50)))))
    async with parties(SECOND, FIRST) as (b, a):
        a.links.want([b.member])
        await b.until(1)
        ended = 0
        for _ in range(25):
            stranger = Stranger(THIRD)
            challenge = await stranger.connect(b.port)
            hello = sign_link(THIRD, 1, challenge, stranger.certificate, grants_of(THIRD))
            await stranger.say(encode_link(hello))
            await stranger.receive()
            data = bytearray(frame(good))
            for _ in range(rng.randrange(1, 4)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            await stranger.stream.send_all(bytes(data) + (LINK_BATCH_BYTES_MAX + 1).to_bytes(4, "little"))
            ended += 1
            await stranger.until_closed()
        third = Incarnation(THIRD.public, 1)
        while b.events.count(LinkDown(third)) < ended:
            await b.until(len(b.events) + 1)
        assert b.events.count(LinkUp(third, LINK_CAPS)) == ended
        assert b.links.counters["down_malformed"] > 15
        a.links.send(ToPeer(b.who, message(5)), 0.0)
        a.links.flush(1)
        while PeerSaid(a.who, Batch(1, (message(5),))) not in b.events:
            await b.until(len(b.events) + 1)
        assert b.links.peers() == (a.who,)


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\x16\x03\x03\xff\xff" + bytes(50)])
async def test_what_is_no_tls_is_closed_and_counted(data: bytes) -> None:
    async with parties(SECOND) as (b,):
        with socket.create_connection(("127.0.0.1", b.port)) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            await b.until_counted("accept_failed")


@pytest.mark.parametrize(
    "payload", [b"\x02\xc1", b"\x01\x80", bytes(2_000), (LINK_HELLO_BYTES_MAX + 1).to_bytes(4, "little")]
)
async def test_a_malformed_answer_to_the_challenge_is_counted(payload: bytes) -> None:
    async with parties(SECOND) as (b,):
        stranger = Stranger(FIRST)
        await stranger.connect(b.port)
        await stranger.stream.send_all(payload if len(payload) == 4 else frame(payload))
        await stranger.until_closed()
        while not [name for name in b.links.counters if name.startswith("malformed_")]:
            await trio.lowlevel.checkpoint()
        assert b.events == []


async def test_a_silent_link_is_dead_and_a_quiet_one_is_not(mock_clock: trio.testing.MockClock) -> None:
    async with parties(SECOND, FIRST) as (b, a):
        a.links.want([b.member])
        await b.until(1)
        stranger = Stranger(THIRD)
        challenge = await stranger.connect(b.port)
        hello = sign_link(THIRD, 1, challenge, stranger.certificate, grants_of(THIRD))
        await stranger.say(encode_link(hello))
        await stranger.receive()
        await b.until(2)
        for _ in range(4):
            await trio.testing.wait_all_tasks_blocked()
            before = b.links.counters["bytes_in"]
            mock_clock.jump(1.0)
            while b.links.counters["bytes_in"] == before:  # the other one's ping
                await trio.lowlevel.checkpoint()
        await b.until(3)
        assert b.links.counters["down_silence"] == 1
        assert b.links.peers() == (a.who,)
        await trio.aclose_forcefully(stranger.stream)


async def test_a_link_ends_when_the_grants_it_came_with_are_taken_back_and_is_refused_from_then_on() -> None:
    async with parties(FIRST, SECOND) as (a, b):
        for one, other in ((a, b), (b, a)):
            one.links.want([other.member])
        up = await b.until(1)
        assert isinstance(up[0], LinkUp)
        assert up[0].grants == grants_of(FIRST)
        b.void.add(FIRST.public)
        b.links.want([a.member])
        assert (await b.until(2))[1] == LinkDown(a.who)
        assert b.links.counters["down_grant_revoked"] == 1
        await a.until_counted("refused_grant-revoked")  # it dials again, and is told why
        await b.until_counted("refused_grant-revoked")
        a.void.add(SECOND.public)  # the dialler looks as well
        before = a.links.counters["refused_grant-revoked"]
        b.void.clear()
        while a.links.counters["refused_grant-revoked"] <= before:
            await trio.lowlevel.checkpoint()
        assert b.events[2:] == []


async def test_where_the_map_leads_nowhere_a_hint_is_tried_and_the_key_decides_who_answers() -> None:
    async with parties(FIRST, SECOND, THIRD) as (a, b, c):
        nowhere = replace(b.member, link_url="tls://127.0.0.1:1")
        a.hints = (f"tls://127.0.0.1:{c.port}", "tls://[not an address", f"tls://127.0.0.1:{b.port}")
        a.links.want([nowhere])
        b.links.want([a.member])
        assert await a.until(1) == [LinkUp(b.who, LINK_CAPS)]
        assert a.links.counters["refused_identity"] == 1  # it was another who stood there
        assert c.events == []
