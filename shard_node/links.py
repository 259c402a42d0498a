"""Links to other nodes: TLS 1.3 on Trio streams, the signed handshake, and batches of messages both ways.

Of two nodes the one with the smaller key dials, and goes on dialling as long as the city map names the other, at the
address that the map gives and, while that fails, at those that somebody hints at: the key decides who answers. A link
belongs to one pair of incarnations; a newer link of the same pair replaces the older. The sink sees exactly one
`LinkUp` and one `LinkDown` of each link, in this order, and `PeerSaid` between them.

Everything sent between two flushes is one batch. Fenced messages are looked at once more when they leave the queue. A
queue that grows too long ends the link: a gap in the stream would be worse. Silence of a second and a half ends it too;
a side with nothing to say sends an empty batch each half second.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
import ssl
from collections import Counter, deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import trio

from p2pworld.crypto.link import (
    LINK_CAPS,
    LINK_VERSIONS,
    LinkAccepted,
    LinkChallenge,
    LinkHandshake,
    LinkHello,
    LinkRefused,
    accept_hello,
    check_challenge,
    decode_link,
    encode_link,
    make_certificate,
    sign_link,
)
from p2pworld.drive import may_leave
from p2pworld.errors import RemoteError
from p2pworld.ids import Incarnation
from p2pworld.limits import LINK_BATCH_BYTES_MAX, LINK_HELLO_BYTES_MAX, LINK_QUEUE_BYTES
from p2pworld.messages import (
    Batch,
    Border,
    CellDelta,
    CellState,
    CivicFile,
    CivicFiled,
    LinkDown,
    LinkMessage,
    LinkUp,
    PeerSaid,
    ToPeer,
    WhoTell,
)
from p2pworld.wire.codec import decode_batch, encode_batch
from p2pworld.wire.stream import FrameReader, frame
from shard_node.logs import correlation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import Refusal
    from p2pworld.grants import Grant, Voids
    from p2pworld.messages import Instant
    from p2pworld.world.citymap import Member

__all__ = ["LinkSink", "Links", "link_contexts"]

HANDSHAKE_S: Final = 5.0
HANDSHAKES_MAX: Final = 64  # accepted connections that are not yet links
PING_EVERY_S: Final = 0.5
DEAD_AFTER_S: Final = 1.5
BACKOFF_S: Final = (0.1, 2.0)
READ_BYTES: Final = 65_536
SPLIT_BYTES: Final = 2 << 20  # a batch is closed when it has grown beyond this
SPLIT_MESSAGES: Final = 4_096
MESSAGE_BYTES: Final = 1_024  # no message without a payload of its own is longer
CERTIFICATE_DAYS: Final = 3_650
REFUSALS: Final = frozenset(  # that are counted by name; a peer's own words never are
    {"identity", "incarnation", "version", "signature"}
    | {f"grant-{why}" for why in ("missing", "long", "root", "broken", "role", "scope", "early", "expired")}
    | {"grant-subject", "grant-signature", "grant-revoked", "grant-succeeded"}
)

log = logging.getLogger(__name__)


class LinkSink(Protocol):
    """Who is told what happens on links: the executor."""

    def step(self, event: LinkUp | LinkDown | PeerSaid) -> None: ...


class _Refused(Exception):
    """A handshake ended in a refusal, by us or by the other side."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class _Over(Exception):
    """This node's own incarnation has ended amid a handshake: what was begun in its name comes to nothing."""


class _Link:
    """One link that is up: what is gathered for the next batch, and the batches waiting to be sent."""

    __slots__ = ("gathered", "gathered_bytes", "grants", "queue", "queue_bytes", "scope", "wake")

    def __init__(self, grants: tuple[Grant, ...]) -> None:
        self.grants = grants  # the other's
        self.gathered: list[tuple[ToPeer, float]] = []  # with the lease deadline each was decided under
        self.gathered_bytes = 0
        self.queue: deque[tuple[int, list[tuple[ToPeer, float]], int]] = deque()  # map version, sends, bytes
        self.queue_bytes = 0
        self.wake = trio.Event()
        self.scope = trio.CancelScope()


def link_contexts(seed: bytes, now_s: int) -> tuple[ssl.SSLContext, ssl.SSLContext, bytes]:
    """(for accepting, for dialling, own certificate as DER) of the node with this seed."""
    day_s = 86_400
    certificate, key = make_certificate(seed, now_s - day_s, now_s + CERTIFICATE_DAYS * day_s)
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # The library reads files only; this one is memory, gone with its descriptor.
    fd = os.memfd_create("link")
    try:
        os.write(fd, certificate + key)
        accepting.load_cert_chain(f"/proc/self/fd/{fd}")
    finally:
        os.close(fd)
    dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    dialling.check_hostname = False  # the certificate's key is the identity, and is pinned by the handshake
    dialling.verify_mode = ssl.CERT_NONE
    for context in (accepting, dialling):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
    return accepting, dialling, ssl.PEM_cert_to_DER_cert(certificate.decode())


class Links:
    """All links of a node. Run `run`; tell it the map's members with `want`; `send`, then `flush`.

    `who` is asked anew whenever it matters: its number is 0 until the node is registered, and nobody is linked then.
    """

    def __init__(
        self,
        listeners: Sequence[trio.SocketListener],
        keys: Signer,
        grants: tuple[Grant, ...],
        roots: frozenset[bytes],
        who: Callable[[], Incarnation],
        now: Callable[[], Instant],
        sink: LinkSink,
        voids: Voids = lambda chain, now_ms: None,
        hints: Callable[[bytes], Sequence[str]] = lambda node: (),
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._listeners, self._keys, self._grants, self._roots = listeners, keys, grants, roots
        self._who, self._now, self._sink, self._voids = who, now, sink, voids
        self._hints = hints
        self._contexts = link_contexts(keys.seed, now().wall_ms // 1000)
        self._links: dict[Incarnation, _Link] = {}
        self._dialling: dict[Incarnation, trio.CancelScope] = {}
        self._wanted: dict[Incarnation, Member] = {}
        self._was = who()
        self._handshaking = 0
        self._nursery: trio.Nursery | None = None

    async def run(self) -> None:
        """Accepts and dials for ever."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._start_dialling()
            await trio.serve_listeners(self._accept, list(self._listeners), handler_nursery=nursery)

    def peers(self) -> tuple[Incarnation, ...]:
        """Those with whom a link is up."""
        return tuple(self._links)

    def want(self, members: Iterable[Member]) -> None:
        """The other members of the map: those with a larger key are dialled from now on, others no longer.

        Call it when the map has changed, and each second: it also ends links whose grants have ended or are void.
        """
        if self._who() != self._was:
            self._was = self._who()
            self._wanted = {}
            for peer in tuple(self._links):
                self._end(peer, "own_incarnation")
            for scope in self._dialling.values():
                scope.cancel()
        before, self._wanted = self._wanted, {member.who: member for member in members}
        for peer in before.keys() - self._wanted.keys():
            self._end(peer, "unlisted")
            if peer in self._dialling:
                self._dialling[peer].cancel()
        wall_ms = self._now().wall_ms
        for peer, link in list(self._links.items()):
            if _expiry_ms(link.grants) <= wall_ms:
                self._end(peer, "grant_expired")
            elif (refusal := self._voids(link.grants, wall_ms)) is not None:
                self._refuse(peer, refusal)
        self._start_dialling()

    def send(self, send: ToPeer, lease_deadline_s: float) -> None:
        """Gathers one message for the next batch; without a link it is dropped and counted."""
        link = self._links.get(send.peer)
        if link is None:
            self.counters["no_link"] += 1
            return
        link.gathered.append((send, lease_deadline_s))
        link.gathered_bytes += _weight(send.message)

    def flush(self, map_version: int) -> None:
        """Closes the batches gathered since the last flush; they leave as soon as their sockets take them."""
        for peer, link in list(self._links.items()):
            if link.gathered:
                link.queue.append((map_version, link.gathered, link.gathered_bytes))
                link.queue_bytes += link.gathered_bytes
                link.gathered, link.gathered_bytes = [], 0
                link.wake.set()
                if link.queue_bytes > LINK_QUEUE_BYTES:
                    self._end(peer, "queue_full")

    def _refuse(self, peer: Incarnation, refusal: Refusal) -> None:
        """Takes a link down whose grants have become void."""
        extra = {"peer": peer.node.hex()[:16], "reason": refusal.reason}
        log.warning("link closed: %s", refusal.sentence, extra=extra)
        self._end(peer, refusal.reason.replace("-", "_"))

    def _end(self, peer: Incarnation, reason: str) -> None:
        """Takes a link down, if it is up."""
        link = self._links.pop(peer, None)
        if link is not None:
            self.counters[f"down_{reason}"] += 1
            link.scope.cancel()
            self._sink.step(LinkDown(peer))

    # ------------------------------------------------------------------------------------------------- dialling

    def _start_dialling(self) -> None:
        who = self._who()
        if self._nursery is None or who.number == 0:
            return
        for peer, member in self._wanted.items():
            if who.node < peer.node and peer not in self._dialling:
                self._dialling[peer] = trio.CancelScope()
                self._nursery.start_soon(self._dial_on, peer, member.link_url, self._dialling[peer])

    async def _dial_on(self, peer: Incarnation, url: str, scope: trio.CancelScope) -> None:
        """Dials one incarnation again and again; after a link was up, at once."""
        correlation.set(secrets.token_hex(4))
        wait_s, failed = BACKOFF_S[0], 0
        with scope:
            while True:
                urls = (url, *self._hints(peer.node))
                if await self._dial(peer, urls[failed % len(urls)]):
                    wait_s, failed = BACKOFF_S[0], 0
                else:
                    failed += 1
                await trio.sleep(wait_s * random.uniform(0.5, 1.0))
                wait_s = min(2 * wait_s, BACKOFF_S[1])
        del self._dialling[peer]

    async def _dial(self, peer: Incarnation, url: str) -> bool:
        """One attempt, and the link it leads to; whether it led to one."""
        self.counters["dialled"] += 1
        stream: trio.SSLStream[trio.SocketStream] | None = None
        try:
            parts = urlsplit(url)
            with trio.fail_after(HANDSHAKE_S):
                tcp = await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)
                stream = trio.SSLStream(tcp, self._contexts[1], https_compatible=True)
                reader = FrameReader(LINK_HELLO_BYTES_MAX)
                frames, grants, caps = await self._greet(stream, reader, peer)
            return await self._run_link(peer, stream, reader, frames, grants, caps)
        except _Over:
            self.counters["dial_unregistered"] += 1
        except _Refused as refused:
            self._refusal(peer, refused)
        except RemoteError as error:
            self.counters[f"malformed_{error.reason}"] += 1
        except (OSError, ValueError, trio.BrokenResourceError, trio.TooSlowError):
            self.counters["dial_failed"] += 1
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)
        return False

    async def _greet(
        self, stream: trio.SSLStream[trio.SocketStream], reader: FrameReader, peer: Incarnation
    ) -> tuple[deque[bytes], tuple[Grant, ...], tuple[str, ...]]:
        """The dialler's side: frames that came after the handshake, the other's grants, what both can."""
        await stream.do_handshake()
        frames: deque[bytes] = deque()
        challenge = await _receive(stream, reader, frames)
        if not isinstance(challenge, LinkChallenge):
            raise RemoteError("handshake", "the acceptor did not begin with a challenge")
        certificate = stream.getpeercert(binary_form=True) or b""
        wall_ms = self._now().wall_ms
        refusal = check_challenge(challenge, certificate, peer, self._roots, wall_ms, self._voids)
        if refusal is not None:
            raise _Refused(refusal.reason, refusal.sentence)
        who = self._registered()
        hello = sign_link(self._keys, who.number, challenge, certificate, self._grants)
        reader.max_bytes = LINK_BATCH_BYTES_MAX  # batches may follow the acceptance at once
        await stream.send_all(frame(encode_link(hello)))
        answer = await _receive(stream, reader, frames)
        if isinstance(answer, LinkRefused):
            raise _Refused(answer.code, answer.sentence)
        if not isinstance(answer, LinkAccepted):
            raise RemoteError("handshake", "the acceptor neither accepted nor refused")
        self._still(who)
        return frames, challenge.grants, answer.caps

    def _registered(self) -> Incarnation:
        """This node, which may have lost its incarnation while it waited; raises _Over if so."""
        who = self._who()
        if who.number == 0:
            raise _Over
        return who

    def _still(self, who: Incarnation) -> None:
        """Raises _Over unless this node is what it was when it named itself in a handshake."""
        if self._who() != who:
            raise _Over

    def _refusal(self, peer: Incarnation, refused: _Refused) -> None:
        self.counters[f"refused_{refused.code if refused.code in REFUSALS else 'other'}"] += 1
        log.warning("no link: %s", refused, extra={"peer": peer.node.hex()[:16], "reason": refused.code})

    # ------------------------------------------------------------------------------------------------- accepting

    async def _accept(self, tcp: trio.SocketStream) -> None:
        """One accepted connection, from its handshake to its end."""
        correlation.set(secrets.token_hex(4))
        stream = trio.SSLStream(tcp, self._contexts[0], server_side=True, https_compatible=True)
        try:
            if self._handshaking >= HANDSHAKES_MAX or self._who().number == 0:
                self.counters["accept_overload" if self._who().number else "accept_unregistered"] += 1
                return
            self._handshaking += 1
            try:
                with trio.fail_after(HANDSHAKE_S):
                    reader = FrameReader(LINK_HELLO_BYTES_MAX)
                    hello, caps = await self._challenge(stream, reader)
            finally:
                self._handshaking -= 1
            reader.max_bytes = LINK_BATCH_BYTES_MAX
            peer = Incarnation(hello.node, hello.incarnation)
            await self._run_link(peer, stream, reader, deque(), hello.grants, caps)
        except RemoteError as error:
            self.counters[f"malformed_{error.reason}"] += 1
        except (OSError, trio.BrokenResourceError, trio.TooSlowError):
            self.counters["accept_failed"] += 1
        except _Over:
            self.counters["accept_unregistered"] += 1
        except _Refused as refused:
            self.counters[f"refused_{refused.code}"] += 1
            log.warning("no link: %s", refused, extra={"reason": refused.code})
        finally:
            await trio.aclose_forcefully(stream)

    async def _challenge(
        self, stream: trio.SSLStream[trio.SocketStream], reader: FrameReader
    ) -> tuple[LinkHello, tuple[str, ...]]:
        """The acceptor's side of the handshake: the answer it accepted, and what both can."""
        await stream.do_handshake()
        who, certificate = self._registered(), self._contexts[2]
        challenge = LinkChallenge(
            *LINK_VERSIONS, who.node, who.number, os.urandom(32), self._grants, LINK_CAPS
        )
        await stream.send_all(frame(encode_link(challenge)))
        frames: deque[bytes] = deque()
        hello = await _receive(stream, reader, frames)
        if not isinstance(hello, LinkHello) or frames:
            raise RemoteError("handshake", "the dialler did not answer the challenge")
        wall_ms = self._now().wall_ms
        verdict = accept_hello(hello, challenge, certificate, self._roots, wall_ms, self._voids)
        await stream.send_all(frame(encode_link(verdict)))
        if isinstance(verdict, LinkRefused):
            await stream.aclose()  # in peace, so that the other side reads why
            raise _Refused(verdict.code, verdict.sentence)
        self._still(who)
        return hello, verdict.caps

    # ------------------------------------------------------------------------------------------------- a link

    async def _run_link(
        self,
        peer: Incarnation,
        stream: trio.SSLStream[trio.SocketStream],
        reader: FrameReader,
        frames: deque[bytes],
        grants: tuple[Grant, ...],
        caps: tuple[str, ...],
    ) -> bool:
        """Carries batches until either side ends it; always True."""
        link = _Link(grants)
        self._end(peer, "replaced")
        self._links[peer] = link
        self.counters["up"] += 1
        self._sink.step(LinkUp(peer, caps, grants))
        reason = "cancelled"
        try:
            with link.scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send_on, link, stream)
                    reason = await self._receive_on(peer, link, stream, reader, frames)
                    nursery.cancel_scope.cancel()
        finally:
            if self._links.get(peer) is link:
                self._end(peer, reason)
        return True

    async def _receive_on(
        self,
        peer: Incarnation,
        link: _Link,
        stream: trio.SSLStream[trio.SocketStream],
        reader: FrameReader,
        frames: deque[bytes],
    ) -> str:
        """Hands on every batch; returns why there are no more."""
        try:
            return await self._receive_all(peer, link, stream, reader, frames)
        except RemoteError as error:
            self.counters[f"malformed_{error.reason}"] += 1
            log.warning(
                "link closed: %s", error, extra={"peer": peer.node.hex()[:16], "reason": error.reason}
            )
            return "malformed"

    async def _receive_all(
        self,
        peer: Incarnation,
        link: _Link,
        stream: trio.SSLStream[trio.SocketStream],
        reader: FrameReader,
        frames: deque[bytes],
    ) -> str:
        while True:
            while frames:
                batch = decode_batch(frames.popleft())
                self.counters["batches_in"] += 1
                self.counters["messages_in"] += len(batch.messages)
                self._sink.step(PeerSaid(peer, batch))
                if self._links.get(peer) is not link:
                    return "ended"
            data: bytes | bytearray = b""
            with trio.move_on_after(DEAD_AFTER_S) as silence:
                with suppress(trio.BrokenResourceError):
                    data = await stream.receive_some(READ_BYTES)
            if not data:
                return "silence" if silence.cancelled_caught else "closed"
            self.counters["bytes_in"] += len(data)
            frames.extend(reader.feed(bytes(data)))

    async def _send_on(self, link: _Link, stream: trio.SSLStream[trio.SocketStream]) -> None:
        """Sends what is queued, as few large writes; an empty batch when there has been nothing for half a second."""
        version = 0
        while True:
            if not link.queue:
                link.wake = trio.Event()
                with trio.move_on_after(PING_EVERY_S):
                    await link.wake.wait()
            data = b"" if link.queue else frame(encode_batch(Batch(version, ())))
            while link.queue and len(data) < SPLIT_BYTES:
                version, sends, size = link.queue.popleft()
                link.queue_bytes -= size
                while link.queue and link.queue[0][0] == version and size < SPLIT_BYTES:
                    _, more, more_bytes = link.queue.popleft()
                    sends += more
                    size += more_bytes
                    link.queue_bytes -= more_bytes
                data += b"".join(self._batches(version, sends))
            try:
                await stream.send_all(data)
            except trio.BrokenResourceError:
                return  # the reader hears of it
            self.counters["bytes_out"] += len(data)

    def _batches(self, version: int, sends: list[tuple[ToPeer, float]]) -> Iterable[bytes]:
        """The frames of what was flushed under one version: one, unless it is very large.

        What its lease no longer covers is left out.
        """
        boot_s = self._now().boot_s
        messages: list[LinkMessage] = []
        size = 0
        for send, deadline_s in sends:
            if not may_leave(send, deadline_s, boot_s):
                self.counters["fenced_late"] += 1
                continue
            messages.append(send.message)
            size += _weight(send.message)
            if size > SPLIT_BYTES or len(messages) == SPLIT_MESSAGES:
                yield self._batch(version, messages)
                messages, size = [], 0
        if messages:
            yield self._batch(version, messages)

    def _batch(self, version: int, messages: list[LinkMessage]) -> bytes:
        self.counters["batches_out"] += 1
        self.counters["messages_out"] += len(messages)
        return frame(encode_batch(Batch(version, tuple(messages))))


async def _receive(
    stream: trio.SSLStream[trio.SocketStream], reader: FrameReader, frames: deque[bytes]
) -> LinkHandshake:
    """The next message of the handshake; what came behind it stays in `frames`.

    Raises RemoteError, trio.BrokenResourceError.
    """
    while not frames:
        data = await stream.receive_some(READ_BYTES)
        if not data:
            raise trio.BrokenResourceError("closed during the handshake")
        frames.extend(reader.feed(bytes(data)))
    return decode_link(frames.popleft())


def _expiry_ms(grants: tuple[Grant, ...]) -> int:
    return min((grant.not_after_ms for grant in grants), default=0)


def _weight(message: LinkMessage) -> int:
    """About how many bytes a message becomes; never fewer."""
    match message:
        case Border():
            return MESSAGE_BYTES + len(message.rows) + len(message.density)
        case CellDelta():
            return MESSAGE_BYTES + len(message.delta)
        case CellState():
            return MESSAGE_BYTES + len(message.state)
        case WhoTell():
            return MESSAGE_BYTES + 512 * len(message.ids)
        case CivicFile():
            return MESSAGE_BYTES + len(message.submission)
        case CivicFiled():
            return MESSAGE_BYTES + len(message.receipt)
    return MESSAGE_BYTES
