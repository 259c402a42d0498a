"""A running node under hostile play clients: they end only themselves, or are corrected; people walk on undisturbed."""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

import trio

from p2pworld.crypto.keys import PersonKeys, sign_hello
from p2pworld.limits import CONTROL_BURST, HELLO_WAIT_S
from p2pworld.messages import (
    Act,
    Bye,
    Challenge,
    Correct,
    Done,
    Go,
    Hello,
    Notice,
    Pose,
    Profile,
    Welcome,
    Who,
)
from p2pworld.wire.codec import decode_play, encode_play
from tests.hostile.play_bytes import (
    HARMLESS,
    UPGRADE,
    Attack,
    breaking,
    garbage_for_http,
    message,
    wild_pose,
)
from tests.hostile.undisturbed import FlatMemory, undisturbed_walker
from tests.nodes import answered, counters, gauges, health, running_city, soon
from tests.patience import PATIENCE_S
from tests.shard_node.playing import Client

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from simulations.processes import NodeProcess

FRAMES = 10_000
CONNECTIONS = 1_500
GARBAGE = 300
PERSONS = 40
AT_ONCE = 32
LORIS = 50
ENDS_S = PATIENCE_S
ALL_S = PATIENCE_S

T = TypeVar("T")


class Siege:
    """Hostile clients of one node, and what they have done so far."""

    def __init__(self, node: NodeProcess, home: Pose) -> None:
        self.node, self.home = node, home
        parts = urlsplit(node.play_url)
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.frames = self.connections = 0
        self.reasons: Counter[str] = Counter()  # that the node must have counted at least this often

    async def tcp(self) -> trio.SocketStream:
        self.connections += 1
        return await trio.open_tcp_stream(self.host, self.port)

    async def client(self) -> Client:
        client = Client(await self.tcp())
        await client.open()
        return client

    async def side_by_side(self, do: Callable[[int], object], count: int) -> None:
        """Does it `count` times, many at once."""
        limit = trio.CapacityLimiter(AT_ONCE)

        async def one(number: int) -> None:
            async with limit:
                await do(number)  # type: ignore[misc]

        async with trio.open_nursery() as nursery:
            for number in range(count):
                nursery.start_soon(one, number)

    # ---- those who are never let in

    async def fling(self, pieces: Sequence[bytes]) -> bytes:
        """Sends the pieces, then nothing more, and reads until the node has closed."""
        heard = bytearray()
        with soon(ENDS_S, "the end of a hostile connection"):
            async with await self.tcp() as stream:
                try:
                    for piece in pieces:
                        await stream.send_all(piece)
                    await stream.send_eof()
                    async for data in stream:
                        heard += data
                except trio.BrokenResourceError:
                    self.reasons["a reset, here"] += 1  # the node has closed, and more was on its way
        return bytes(heard)

    async def break_a_rule(self, number: int) -> None:
        rng = random.Random(number)
        attack: Attack = breaking(rng, number)
        pieces: list[bytes] = [UPGRADE + attack.data]
        if number % 8 == 0:  # byte by byte
            pieces = [UPGRADE, *(attack.data[i : i + 1] for i in range(len(attack.data)))][:200]
            pieces.append(attack.data[199:])
        elif number % 8 == 1:
            cut = rng.randrange(len(pieces[0]))
            pieces = [pieces[0][:cut], pieces[0][cut:]]
        heard = await self.fling(pieces)
        self.frames += attack.frames
        late = b"\xa7expired" in heard  # a busy machine took longer to send all this than a stranger may stay
        if attack.reason and not late:
            self.reasons[attack.reason] += 1
            if heard:
                assert heard.startswith(b"HTTP/1.1 101 ")
                assert b"\xa9malformed" in heard, (number, attack.reason)

    async def talk_garbage(self, number: int) -> None:
        heard = await self.fling([garbage_for_http(random.Random(number))])
        assert not heard.startswith(b"HTTP/1.1 101")
        self.frames += 1

    async def dawdle(self, number: int) -> None:
        """A connection that says its upgrade, or nothing at all, at one byte each quarter second."""
        stream = await self.tcp()
        try:
            for i in range(1_000):
                if number % 2:
                    await stream.send_all(UPGRADE[i : i + 1])
                with trio.move_on_after(0.25):
                    assert not await stream.receive_some(1)
                    return
        except trio.BrokenResourceError:
            return
        finally:
            await trio.aclose_forcefully(stream)

    # ---- those who are

    async def hear(self, client: Client, kind: type[T]) -> T:
        """The next message of this kind."""
        with soon(ENDS_S, kind.__name__):
            while True:
                payload = await client.payload()
                if payload[0] >= 0x40 and isinstance(said := decode_play(payload), kind):
                    return said

    async def answer(
        self,
        client: Client,
        keys: PersonKeys,
        change: Callable[[Hello], Hello] = lambda hello: hello,
        **fields: object,
    ) -> bytes:
        """Answers the CHALLENGE; `fields` are signed, what `change` does is not. The HELLO's bytes."""
        challenge = await self.hear(client, Challenge)
        login_ms = int(fields.pop("login_ms", time.time_ns() // 1_000_000))  # type: ignore[call-overload]
        hello = sign_hello(
            keys, challenge.node, challenge.nonce, login_ms, challenge.url, Profile("위조", kind="ai"), **fields  # type: ignore[arg-type]
        )  # fmt: skip
        data = encode_play(change(hello))
        await client.say(data)
        return data

    async def refused(self, code: str, **how: object) -> None:
        """A HELLO that is answered with BYE `code`."""
        client = await self.client()
        await self.answer(client, person("refused"), **how)  # type: ignore[arg-type]
        assert (await self.hear(client, Bye)).code == code
        await client.stream.aclose()

    async def misbehave(self, number: int) -> None:
        """Logs in, then stands where nobody may, flies, floods, asks for nonsense; and is corrected."""
        rng = random.Random(number)
        client = await self.client()
        await self.answer(client, person(f"misbehaves {number}"), want=self.home)
        welcome = await self.hear(client, Welcome)
        assert welcome.pose == self.home
        await client.say(wild_pose(rng, welcome.seq + 1, self.home))
        correct = await self.hear(client, Correct)
        assert (correct.pose, correct.seq) == (self.home, welcome.seq + 1)
        assert correct.reason in ("reach", "outside")
        data = bytearray()
        for i in range(70):
            data += message(
                wild_pose(rng, rng.randrange(65_536) if i % 7 == 0 else welcome.seq + 2 + i, self.home)
            )
        data += b"".join(rng.choice(HARMLESS)(rng) for _ in range(CONTROL_BURST // 2))
        await client.raw(bytes(data))
        for nonsense in (
            Act(1, "fly"), Act(2, "hang", "\u202etxt"), Go("Atlantis"), Who((2**53 - 1,)), welcome, Done(1),
        ):  # fmt: skip
            await client.say(encode_play(nonsense))
            self.frames += 1
        self.frames += 72 + CONTROL_BURST // 2
        answer: object = None
        with soon(ENDS_S, "an answer to the nonsense"):
            while not isinstance(answer, Bye):
                payload = await client.payload()
                answer = decode_play(payload) if payload[0] >= 0x40 else None
                if isinstance(answer, Done):
                    assert not answer.durable
                if isinstance(answer, Notice):
                    assert answer.code == "no-such-place"
        assert answer.code == "malformed"  # a client does not send WELCOME
        await client.stream.aclose()

    async def flood(self) -> None:
        """More control messages than any client sends: dropped, then ended."""
        client = await self.client()
        await self.answer(client, person("floods"))
        await self.hear(client, Welcome)
        data = message(encode_play(Who((1,)))) * 600
        self.frames += 600
        await client.raw(data)
        assert (await self.hear(client, Bye)).code == "malformed"
        self.reasons["closed_flood"] += 1
        await client.stream.aclose()

    async def forge(self) -> None:
        """Logins that must not be: each is told why."""
        soon_ms = time.time_ns() // 1_000_000 + 3_600_000
        await self.refused("clock", login_ms=soon_ms)
        await self.refused("clock", login_ms=2**53 - 1)
        await self.refused("expired", ticket=bytes(range(16)), birth=bytes(16))
        await self.refused("malformed", ticket=bytes(16))
        await self.refused("malformed", birth=bytes(16))
        await self.refused("version", change=lambda hello: replace(hello, v=9))
        await self.refused("url", change=lambda hello: replace(hello, url="ws://elsewhere/play"))
        await self.refused("signature", change=lambda hello: replace(hello, sig=bytes(64)))
        await self.refused("signature", change=lambda hello: replace(hello, want=self.home))
        await self.refused("signature", change=lambda hello: replace(hello, key=person("else").public))
        await self.refused("signature", change=lambda hello: replace(hello, key=bytes(32)))
        first, second = await self.client(), await self.client()
        said = await self.answer(first, person("replayed"))
        await self.hear(first, Welcome)
        await self.hear(second, Challenge)
        await second.say(said)  # heard on the way, said again on another connection
        assert (await self.hear(second, Bye)).code == "signature"
        third = await self.client()
        await self.answer(third, person("twice"))
        await self.hear(third, Welcome)
        await third.say(said)  # one HELLO is enough
        assert (await self.hear(third, Bye)).code == "malformed"
        for client in (first, second, third):
            await client.stream.aclose()


def person(name: str) -> PersonKeys:
    return PersonKeys.from_seed(hashlib.sha256(name.encode()).digest())


async def test_hostile_clients_end_only_themselves(tmp_path: Path) -> None:
    async with running_city(tmp_path, 2) as city, undisturbed_walker(city) as walker:
        siege = Siege(walker.node, walker.home)
        before = await counters(siege.node)
        with soon(ALL_S, "the end of the siege"):
            # Once with everything, so that what is made once is made; then what is held must not grow.
            await siege.forge()
            await siege.side_by_side(siege.misbehave, 4)
            await siege.side_by_side(siege.break_a_rule, CONNECTIONS // 5)
            await siege.side_by_side(siege.talk_garbage, 40)
            memory = FlatMemory(siege.node)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(siege.side_by_side, siege.dawdle, LORIS)
                await siege.side_by_side(siege.break_a_rule, CONNECTIONS)
                await siege.side_by_side(siege.misbehave, PERSONS)
                await siege.side_by_side(siege.talk_garbage, GARBAGE)
                await siege.flood()
                await siege.forge()
        assert siege.frames >= FRAMES
        await walker.crossed()
        walker.check()
        memory.check()

        # Every one that came has ended, and is counted under why.
        async def all_gone() -> bool:
            told = await gauges(siege.node)
            return told["p2pworld_play_open"] <= len(walker.sockets_on(siege.node))

        await answered(all_gone, HELLO_WAIT_S + ENDS_S, "the end of all hostile connections")
        after = await counters(siege.node) - before
        play = Counter({what: count for (part, what), count in after.items() if part == "play"})
        for reason, count in siege.reasons.items():
            if reason.startswith(("malformed_", "closed_")):
                # where the close overtook the client's last bytes, one of several rules was the first broken
                assert play[reason] >= count * 0.9, (reason, count, play)
        assert play["closed_handshake"] > 0
        assert play["closed_handshake_timeout"] >= LORIS * 0.9
        ended = sum(count for what, count in play.items() if what.startswith("closed_"))
        assert abs(play["accepted"] - ended) <= 2  # the walker comes and goes
        node = Counter({what: count for (part, what), count in after.items() if part == "node"})
        for what in ("correct-reach", "correct-outside", "hello-signature", "hello-clock", "hello-url"):
            assert node[what] > 0, (what, node)
        assert (await health(siege.node))["ok"]
