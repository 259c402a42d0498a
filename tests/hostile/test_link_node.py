"""A running node under hostile links, of strangers and of a node that turned bad: only those links end."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import trio

from p2pworld.crypto.keys import NodeKeys, PersonKeys, sign_hello
from p2pworld.crypto.link import LinkChallenge, LinkHello, LinkRefused, decode_link, encode_link, sign_link
from p2pworld.grants import Grant, sign_grant
from p2pworld.limits import LINK_BATCH_BYTES_MAX, LINK_HELLO_BYTES_MAX
from p2pworld.messages import (
    Attached,
    Batch,
    Border,
    Cancel,
    CellDelta,
    CellRefused,
    CellState,
    CellStored,
    Commit,
    CommitAck,
    CommitNak,
    DirectoryNews,
    DirectoryPut,
    Pose,
    Prepare,
    Profile,
    SeatReady,
    SeatRefused,
    SignedHello,
    WhoAsk,
    WhoTell,
)
from p2pworld.wire.codec import encode_batch
from p2pworld.wire.frames import encode_density
from p2pworld.wire.stream import FrameReader, frame
from shard_node.links import link_contexts
from tests.hostile.undisturbed import FlatMemory, Walker, undisturbed_walker
from tests.nodes import answered, counters, gauges, health, running_city, soon
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from simulations.processes import City

FRAMES = 10_000
LINKS = 400
STRANGERS = 120
HALF_OPEN = 16
AT_ONCE = 12
ENDS_S = PATIENCE_S
COUNTERS_MAX = 300
ALL_S = PATIENCE_S
HOUR_MS = 3_600_000


class BadNode:
    """One dialler that holds a node's key and may say anything."""

    def __init__(self, keys: NodeKeys) -> None:
        self.keys = keys
        self._reader = FrameReader(LINK_HELLO_BYTES_MAX)
        self._frames: list[bytes] = []

    async def dial(self, address: tuple[str, int]) -> LinkChallenge:
        tcp = await trio.open_tcp_stream(*address)
        self.stream = trio.SSLStream(tcp, CONTEXT, https_compatible=True)
        await self.stream.do_handshake()
        challenge = decode_link(await self.receive())
        assert isinstance(challenge, LinkChallenge)
        self.certificate = self.stream.getpeercert(binary_form=True) or b""
        return challenge

    async def receive(self) -> bytes:
        while not self._frames:
            data = await self.stream.receive_some(65_536)
            if not data:
                raise trio.BrokenResourceError("closed")
            self._frames += self._reader.feed(bytes(data))
        return self._frames.pop(0)

    async def say(self, *payloads: bytes) -> None:
        await self.stream.send_all(b"".join(frame(payload) for payload in payloads))

    async def until_closed(self) -> None:
        try:
            while await self.stream.receive_some(65_536):
                pass
        except trio.BrokenResourceError:
            pass
        await trio.aclose_forcefully(self.stream)


CONTEXT = link_contexts(bytes(32), 1_700_000_000)[1]


class LinkSiege:
    """Hostile links to one node."""

    def __init__(self, city: City, walker: Walker) -> None:
        self.city, self.walker, self.node = city, walker, walker.node
        text = self.node.config.read_text("utf-8")
        parts = urlsplit("tls://" + text.partition('link = "')[2].partition('"')[0])
        self.address = (parts.hostname or "", parts.port or 0)
        self.keys = NodeKeys.from_seed(hashlib.sha256(b"turned bad").digest())
        self.grants = (self.grant(),)
        self.frames = 0
        self.lives = 0
        self.reasons: Counter[str] = Counter()

    def grant(self, from_ms: int = -HOUR_MS, until_ms: int = HOUR_MS, **how: Any) -> Grant:
        now_ms = time.time_ns() // 1_000_000
        who: dict[str, Any] = {
            "issuer": self.city.root,
            "subject": self.keys.public,
            "role": "shard",
            "scope": ("cells:*",),
        } | how
        return sign_grant(
            who["issuer"], who["subject"], who["role"], who["scope"], now_ms + from_ms, now_ms + until_ms
        )

    async def linked(self) -> BadNode:
        """A link that the node has accepted, of a life it has not seen."""
        self.lives += 1
        number = self.lives
        bad = BadNode(self.keys)
        challenge = await bad.dial(self.address)
        await bad.say(encode_link(sign_link(self.keys, number, challenge, bad.certificate, self.grants)))
        assert type(decode_link(await bad.receive())).__name__ == "LinkAccepted"
        return bad

    async def side_by_side(self, do: Callable[[int], Any], count: int) -> None:
        limit = trio.CapacityLimiter(AT_ONCE)

        async def one(number: int) -> None:
            async with limit:
                with soon(ENDS_S, "the end of a hostile link"):
                    await do(number)

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number)

    # ---- strangers

    async def no_handshake(self, number: int) -> None:
        """What is not TLS, or breaks off."""
        rng = random.Random(number)
        hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
        data = rng.choice(
            (
                rng.randbytes(rng.randrange(1, 500)), b"GET / HTTP/1.1\r\n\r\n", hello + rng.randbytes(300),
                hello, b"\x16\x03\x03\xff\xff" + rng.randbytes(50), bytes(100),
            )
        )  # fmt: skip
        async with await trio.open_tcp_stream(*self.address) as stream:
            try:
                await stream.send_all(data)
                await stream.send_eof()
                while await stream.receive_some(4_096):
                    pass
            except trio.BrokenResourceError:
                return
        self.frames += 1

    async def no_answer(self, number: int) -> None:
        """After the challenge, not the answer to it."""
        rng = random.Random(number)
        bad = BadNode(self.keys)
        challenge = await bad.dial(self.address)
        good = bytearray(encode_link(sign_link(self.keys, 1, challenge, bad.certificate, self.grants)))
        size = rng.choice((0, LINK_HELLO_BYTES_MAX + 1, 2**31, 2**32 - 1))
        for _ in range(3):
            good[rng.randrange(len(good))] ^= 1 << rng.randrange(8)
        data = rng.choice(
            (frame(rng.randbytes(100)), size.to_bytes(4, "little"), frame(b"\x02\xdf\xff\xff\xff\xff"),
             frame(encode_link(challenge)), frame(b"\x02" + b"\x91" * 4_000), frame(bytes(good)))
        )  # fmt: skip
        await bad.stream.send_all(data)
        self.frames += 1
        await bad.until_closed()

    async def refused(self, code: str, hello: Callable[[LinkChallenge, bytes], LinkHello]) -> LinkHello:
        """An answer that the node refuses, saying why."""
        bad = BadNode(self.keys)
        challenge = await bad.dial(self.address)
        said = hello(challenge, bad.certificate)
        await bad.say(encode_link(said))
        verdict = decode_link(await bad.receive())
        assert isinstance(verdict, LinkRefused), code
        assert verdict.code == code
        self.reasons[f"refused_{code}"] += 1
        await bad.until_closed()
        return said

    async def forge(self) -> None:
        """Answers by those who may not: each is told why."""
        keys, other = self.keys, NodeKeys.from_seed(os.urandom(32))

        def shows(*grants: Grant, signer: NodeKeys = keys) -> Callable[[LinkChallenge, bytes], LinkHello]:
            return lambda challenge, certificate: sign_link(signer, 1, challenge, certificate, grants)

        good = self.grant()
        await self.refused("grant-missing", shows())
        await self.refused("grant-expired", shows(self.grant(-2 * HOUR_MS, -HOUR_MS)))
        await self.refused("grant-early", shows(self.grant(HOUR_MS, 2 * HOUR_MS)))
        await self.refused("grant-root", shows(self.grant(issuer=other)))
        await self.refused("grant-role", shows(self.grant(role="relay")))
        await self.refused("grant-subject", shows(good, signer=other))
        await self.refused("grant-signature", shows(replace(good, not_after_ms=good.not_after_ms + 1)))
        await self.refused("grant-signature", shows(replace(good, sig=bytes(64))))
        below = self.grant(issuer=keys, subject=other.public)
        await self.refused("grant-role", shows(good, below, signer=other))  # a shard makes no shards
        await self.refused(
            "version", lambda c, d: replace(sign_link(keys, 1, c, d, self.grants), v_min=9, v_max=9)
        )
        await self.refused(
            "signature", lambda c, d: replace(sign_link(keys, 1, c, d, self.grants), incarnation=2)
        )
        await self.refused("signature", lambda c, _: sign_link(keys, 1, c, bytes(100), self.grants))
        await self.refused(
            "identity", lambda c, d: replace(sign_link(keys, 1, c, d, self.grants), node=c.node)
        )
        heard = await self.linked_hello()
        await self.refused("signature", lambda _c, _d: heard)  # said again on another connection

    async def linked_hello(self) -> LinkHello:
        """An answer that was accepted."""
        bad = BadNode(self.keys)
        challenge = await bad.dial(self.address)
        hello = sign_link(self.keys, 1, challenge, bad.certificate, self.grants)
        await bad.say(encode_link(hello))
        await bad.receive()
        await trio.aclose_forcefully(bad.stream)
        return hello

    # ---- a node with a valid grant that turned bad

    def lie(self, rng: random.Random) -> Batch:
        """A well-formed batch in which nothing is true, about the walker above all."""
        avatar = rng.choice((self.walker.one.id, self.walker.one.id, rng.randrange(1, 2**53)))
        k, r, hop, seq = rng.randrange(2**20), rng.randbytes(16), rng.randrange(2**32), rng.randrange(2**32)
        cell = int(rng.choice(self.node.cells))
        login_ms, epoch, n = rng.randrange(2**53), rng.randrange(2**63), rng.randrange(2**53)
        pose = Pose(rng.randrange(6_553_600), rng.randrange(6_553_600))
        keys = PersonKeys.from_seed(rng.randbytes(32))
        hello = sign_hello(keys, self.keys.public, rng.randbytes(32), 2**52, "ws://x/play", Profile("거짓"))
        proof = SignedHello(self.keys.public, rng.randbytes(32), hello)
        rows = rng.randbytes(52 * rng.randrange(40))
        return Batch(
            rng.choice((0, 1, 2**62)),
            tuple(
                rng.choices(
                    (
                        Prepare(avatar, k, proof, hop, seq, pose, cell), SeatReady(avatar, k, r),
                        SeatRefused(avatar, k, rng.randbytes(8).hex()), Attached(avatar, k, r),
                        Commit(avatar, k, r, rng.randrange(3), login_ms, r, hop, seq, pose),
                        CommitAck(avatar, k, r), CommitNak(avatar, k, r), Cancel(avatar, k, r),
                        Border(k, rows, encode_density(11, 1, [5], [9])), Border(k, rows[:-1], rng.randbytes(9)),
                        DirectoryPut(avatar, proof), DirectoryNews(avatar, proof),
                        CellDelta(cell, epoch, n, rng.randbytes(30)), CellState(cell, epoch, n, rng.randbytes(30)),
                        CellStored(cell, epoch, n), CellRefused(cell, epoch, rng.randbytes(8).hex()),
                        WhoAsk((avatar,)), WhoTell((avatar,), (Profile("x"),)), WhoTell((avatar, 1), ()),
                    ),
                    k=rng.randrange(1, 4),
                )
            ),
        )  # fmt: skip

    async def lie_then_break(self, number: int) -> None:
        """Lies for a while, then breaks the protocol."""
        rng = random.Random(number)
        lies = [encode_batch(self.lie(rng)) for _ in range(26)]
        self.frames += len(lies) + 1
        broken = bytearray(lies[0])
        for _ in range(rng.randrange(1, 4)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        size = rng.choice((0, LINK_BATCH_BYTES_MAX + 1, 2**32 - 1))
        end = rng.choice(
            (
                frame(bytes(broken)) + size.to_bytes(4, "little"), size.to_bytes(4, "little"),
                frame(rng.randbytes(60)), frame(b"\x92\x01\xdd\xff\xff\xff\xff"),
                frame(b"\x92\x01\xdd\x00\x00\xff\xff" + b"\xdd\x00\x00\x00\xff" * 2_000),
                frame(encode_batch(Batch(1, ())) + b"\0"), frame(b"\x92\x01\x91\x92\x7f\x80"),
            )
        )  # fmt: skip
        whole = b"".join(frame(lie) for lie in lies)
        pieces: list[bytes] = []
        while whole:
            size = rng.choice((1, 3, 1_000, 1_000, 65_536)) if number % 4 == 0 else len(whole)
            pieces.append(whole[:size])
            whole = whole[size:]
        while True:
            bad = await self.linked()
            try:
                for piece in (*pieces, end):
                    await bad.stream.send_all(piece)
            except trio.BrokenResourceError:
                continue  # on a busy machine it was silent for longer than a link may be
            break
        await bad.until_closed()


async def test_hostile_links_end_only_themselves(tmp_path: Path) -> None:
    async with running_city(tmp_path, 2) as city, undisturbed_walker(city) as walker:
        siege = LinkSiege(city, walker)
        with soon(ALL_S, "the end of the siege"):
            await siege.forge()
            await siege.side_by_side(siege.lie_then_break, LINKS // 8)
            await siege.side_by_side(siege.no_answer, STRANGERS // 4)
            siege.frames = 0
            before = await counters(siege.node)
            siege.reasons.clear()
            memory = FlatMemory(siege.node)
            half_open = [socket.create_connection(siege.address) for _ in range(HALF_OPEN)]
            await siege.side_by_side(siege.lie_then_break, LINKS)
            await siege.side_by_side(siege.no_answer, STRANGERS)
            await siege.side_by_side(siege.no_handshake, STRANGERS)
            await siege.forge()
        assert siege.frames >= FRAMES

        # Those who never answered the challenge are let go too.
        async def let_go() -> bool:
            told = await counters(siege.node) - before
            return (
                told["links", "accept_failed"] >= HALF_OPEN
                and (await gauges(siege.node))["p2pworld_links"] == 1
            )

        await answered(let_go, ENDS_S, "the end of all hostile links")
        for sock in half_open:
            sock.close()
        await walker.crossed()
        walker.check()
        memory.check()
        after = await counters(siege.node) - before
        assert len(after) < COUNTERS_MAX, sorted(after)  # what a peer says is never a name to count under
        links = Counter({what: count for (part, what), count in after.items() if part == "links"})
        for reason, count in siege.reasons.items():
            assert links[reason] >= count, (reason, count, links)
        # On a busy machine a few are silent for longer than a link may be before they have broken anything.
        assert links["down_malformed"] + links["down_silence"] >= LINKS
        assert 0.9 * LINKS <= links["down_malformed"] <= LINKS
        assert links["batches_in"] >= 0.9 * FRAMES  # the lies were read, before the link broke
        malformed = sum(count for what, count in links.items() if what.startswith("malformed_"))
        assert malformed >= links["down_malformed"]
        # The real neighbour's link has been up all the while, on both sides.
        other = next(node for node in city.nodes if node is not siege.node)
        told = await counters(other)
        assert not any(what.startswith("down_") for part, what in told if part == "links")
        for node in city.nodes:
            told_health = await health(node)
            assert told_health["ok"], told_health
