"""A citizen's program against nodes of any kind: it ends with a receipt that holds, or knows that it has none."""

from __future__ import annotations

import json
import ssl
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from client import filing
from client.filing import ASK_S, REDIRECTS, Filer, Proven, Refused
from client.pinned import Given, Pinned, read_pinned
from client.policy import policy_of_keys
from p2pworld.civic.announce import KeyHistory, announce
from p2pworld.civic.reasons import words_for
from p2pworld.civic.steps import Cosigned
from p2pworld.civic.transaction import parse_submission
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.merkle.receipt import parse_receipt
from shard_node.civic.holder import receipts_of
from tests.civic.desks import speaking
from tests.civic.kept import holder_of, places
from tests.civic.log_world import MINUTE, submission
from tests.civic.test_announce import OFFICIAL, ROOT, granted, what
from tests.merkle.signed import LOG, NEXT_LOG, TIME_S, WITNESS_KEYS, WITNESSES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from p2pworld.merkle.note import Note
    from shard_node.civic.holder import CivicHolder
    from tests.civic.desks import Said, Talk

JSON = "application/json"
ALONE = Given(policy_of_keys([LOG.key], 0))


class Willing:
    """A witness that signs, once it may."""

    def __init__(self) -> None:
        self.may = trio.Event()

    async def cosign(self, checkpoint: Note) -> Cosigned:
        await self.may.wait()
        signature = WITNESSES[0].sign(checkpoint.text, TIME_S)
        verified = WITNESSES[0].key.verify(checkpoint.text.encode(), signature)
        assert verified is not None
        return Cosigned(checkpoint, (verified,))


def refusing(reason: str, status: int = 400) -> Talk:
    async def talk(method: str, path: str, body: bytes) -> Said:
        return (
            status,
            JSON,
            json.dumps({"reason": reason, "en": "no", "ko": "아니요", "retry": False}).encode(),
        )

    return talk


class Honest:
    """A node over a real holder, and what it was asked."""

    def __init__(self, folder: Path, holder: CivicHolder) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.folder = places(folder).folder
        self._holder = holder

    async def talk(self, method: str, path: str, body: bytes) -> Said:
        self.asked.append((method, path, body))
        if path == "/civic/file":
            answer = await self._holder.file(parse_submission(body))
            if isinstance(answer, Refusal):
                return await refusing(answer.reason)(method, path, body)
            return 200, "text/plain", answer.to_bytes()
        note = self.folder.note("checkpoint.witnessed") or self.folder.note("checkpoint")
        assert note is not None
        [receipt] = receipts_of(self.folder, [(int(path.rpartition("/")[2]), note)])
        return 200, "text/plain", receipt.to_bytes()


@asynccontextmanager
async def honest(folder: Path, willing: Willing | None = None) -> AsyncIterator[Honest]:
    where = places(folder)
    holder = holder_of(where, 1, witnesses=willing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        yield Honest(folder, holder)
        nursery.cancel_scope.cancel()
    await where.store.close()


async def filed(
    urls: list[str], trust: Given | Pinned = ALONE, wait_s: float = 30.0, number: int = 0
) -> tuple[Proven | Refused | None, list[tuple[str, str]]]:
    told: list[tuple[str, str]] = []
    filer = Filer(
        submission(number),
        trust,
        urls,
        ssl.create_default_context(),
        lambda url, said: told.append((url, said)),
    )
    return await filer.file(wait_s), told


async def test_what_is_filed_is_proven(tmp_path: Path) -> None:
    async with honest(tmp_path) as node, speaking(node.talk) as url:
        for number in (0, 1, 0):
            found, told = await filed([f"{url}/"], number=number)
            assert isinstance(found, Proven)
            assert (found.receipt.index, found.fault, told) == (number, None, [])
            assert found.leaf == submission(number).leaf(1).to_bytes()
    assert next(body for _, _, body in node.asked) == submission(0).to_bytes()


async def test_hostile_nodes_are_noticed_and_others_asked(tmp_path: Path) -> None:
    """A relay may swallow, alter, or answer with another's receipt; one node that is honest is enough."""
    async with AsyncExitStack() as stack:
        node = await stack.enter_async_context(honest(tmp_path))

        async def swallows(method: str, path: str, body: bytes) -> Said:
            return 200, "text/plain", b""

        async def hangs_up(method: str, path: str, body: bytes) -> Said:
            raise trio.BrokenResourceError

        async def alters(method: str, path: str, body: bytes) -> Said:
            return await node.talk(method, path, body.replace(b"parks", b"roads"))

        async def files_another(method: str, path: str, body: bytes) -> Said:
            return await node.talk(method, "/civic/file", submission(77).to_bytes())

        async def forges(method: str, path: str, body: bytes) -> Said:
            _, _, data = await node.talk(method, "/civic/file", submission(77).to_bytes())
            receipt = parse_receipt(data)
            text = receipt.checkpoint.text
            forged = type(receipt.checkpoint)(text, (NEXT_LOG.sign(text),))
            return 200, "text/plain", replace(receipt, checkpoint=forged).to_bytes()

        async def far_away(method: str, path: str, body: bytes) -> Said:
            _, _, data = await node.talk(method, "/civic/file", submission(77).to_bytes())
            receipt = parse_receipt(data)
            return 200, "text/plain", replace(receipt, index=10**9).to_bytes()

        async def tells_no_epoch(method: str, path: str, body: bytes) -> Said:
            _, _, data = await node.talk(method, "/civic/file", submission(77).to_bytes())
            return 200, "text/plain", replace(parse_receipt(data), extra=b"").to_bytes()

        async def endless(method: str, path: str, body: bytes) -> Said:
            return 200, "text/plain", bytes(200_000)

        async def nests(method: str, path: str, body: bytes) -> Said:
            return 400, JSON, b"[" * 100_000

        async def sends_away(method: str, path: str, body: bytes) -> Said:
            return 307, "text/plain", b"http://127.0.0.1:1/"

        expected = {
            swallows: "does not hold",
            hangs_up: "does not answer",
            alters: "altered",
            files_another: "proof-root",
            forges: "note-unsigned",
            far_away: "proof-index",
            tells_no_epoch: "receipt-epoch",
            endless: "answers what cannot be",
            nests: "does not say why",
            sends_away: "does not say why",
            refusing("civic-of-my-own"): "does not say why",
            refusing("civic-type"): "civic-type",
        }
        liars = [await stack.enter_async_context(speaking(talk)) for talk in expected]
        url = await stack.enter_async_context(speaking(node.talk))
        found, told = await filed([*liars, url])
    assert isinstance(found, Proven)
    assert found.leaf == submission(0).leaf(1).to_bytes()
    assert [where for where, _ in told] == liars
    for (_, said), words in zip(told, expected.values(), strict=True):
        assert words in said, said


async def test_who_is_silent_is_given_up(mock_clock: trio.testing.MockClock) -> None:
    entered = trio.Event()

    async def silent(method: str, path: str, body: bytes) -> Said:
        entered.set()
        await trio.sleep_forever()
        raise AssertionError

    results: list[tuple[object, list[tuple[str, str]]]] = []

    async def ask(url: str) -> None:
        results.append(await filed([url], wait_s=ASK_S + 0.5))

    async with speaking(silent) as url, trio.open_nursery() as nursery:
        nursery.start_soon(ask, url)
        await entered.wait()
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(ASK_S)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1.0)
    assert results == [(None, [(url, "does not answer: its time was up")])]


async def test_a_refusal_of_two_is_final_and_of_all_there_are(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        kinds = ("civic-clock", "civic-type", "civic-clock")
        urls = [await stack.enter_async_context(speaking(refusing(reason))) for reason in kinds]
        assert await filed(urls[:1]) == (
            Refused("civic-clock", (urls[0],)),
            [(urls[0], told_of("civic-clock"))],
        )
        found, _ = await filed(urls)
        assert found == Refused("civic-clock", (urls[0], urls[2]))
        found, _ = await filed(urls[:2])  # they contradict each other, and nobody else is there
        assert isinstance(found, Refused)
        node = await stack.enter_async_context(honest(tmp_path))
        url = await stack.enter_async_context(speaking(node.talk))
        found, _ = await filed([urls[0], url, urls[2]])
        assert isinstance(found, Proven)


def told_of(reason: str) -> str:
    return f"says: {words_for(reason).en} ({reason})"


async def test_who_is_busy_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filing, "AGAIN_S", (0.0,))
    async with honest(tmp_path) as node:
        answers = iter(["civic-busy", "civic-moved", "civic-down", "civic-unknown"])

        async def talk(method: str, path: str, body: bytes) -> Said:
            reason = next(answers, None)
            return await (refusing(reason, 503) if reason else node.talk)(method, path, body)

        async with speaking(talk) as url:
            found, told = await filed([url])
    assert isinstance(found, Proven)
    assert len(told) == 4


async def test_the_witnessed_receipt_comes_later_from_whoever_has_it(tmp_path: Path) -> None:
    willing = Willing()
    trust = Given(policy_of_keys([LOG.key, *WITNESS_KEYS], 1))
    async with honest(tmp_path, willing) as node, speaking(node.talk) as url:
        found, _ = await filed([url], trust)
        assert isinstance(found, Proven)
        assert found.fault is not None
        filer = Filer(submission(0), trust, ["http://127.0.0.1:1", url], ssl.create_default_context())
        early = await filer.newest(0)
        assert early is not None
        assert early.fault is not None
        willing.may.set()
        while (note := node.folder.note("checkpoint.witnessed")) is None or "\n1\n" not in note.text:
            await trio.lowlevel.checkpoint()
        late = await filer.newest(0)
        assert late is not None
        assert (late.fault, late.receipt.index) == (None, 0)
        [seen] = late.opened.cosigned
        assert seen.key == WITNESS_KEYS[0]
        assert await filer.newest(0) == late


async def test_readers_are_sent_to_the_holder_but_not_in_circles(tmp_path: Path) -> None:
    async with honest(tmp_path) as node, speaking(node.talk) as url:
        await filed([url])
        where = [url]
        asked: list[str] = []

        async def sends_on(method: str, path: str, body: bytes) -> Said:
            asked.append(path)
            return 307, "text/plain", f"{where[0]}{path}".encode()

        async with speaking(sends_on) as relay:
            filer = Filer(submission(0), ALONE, [relay], ssl.create_default_context())
            assert await filer.newest(0) is not None
            where[0] = relay
            assert await filer.newest(0) is None
        assert asked == ["/civic/receipt/jongno/0"] * (1 + 1 + REDIRECTS)


# ---- whose signatures


def test_a_list_of_announced_keys_is_a_trust(tmp_path: Path) -> None:
    history = KeyHistory([ROOT.public])
    for seed, announcement in ((1, what(0)), (2, what(100, NEXT_LOG))):
        history.take(
            announce(announcement, OFFICIAL, granted(), MINUTE, bytes([seed]) * 32).leaf(1).to_bytes()
        )
    path = tmp_path / "keys.json"
    path.write_text(json.dumps(history.document()))
    pinned = read_pinned(path)
    assert pinned.offices("jongno") == (bytes(range(32)),)
    assert pinned.offices("mapo") == ()
    for size, key in ((0, LOG), (99, LOG), (100, NEXT_LOG)):
        policy = pinned.policy("jongno", size)
        assert policy.logs == {key.key.name: (key.key,)}
        assert policy.witnesses == WITNESS_KEYS
    for trust in (pinned, ALONE):
        with pytest.raises(RemoteError) as refused:
            trust.policy("mapo", 5)
        assert refused.value.reason == "checkpoint-origin"
    for bad in ("", "[]", "{}", '{"streams": 5}', path.read_text().replace("keys", "kays"), " " * (1 << 21)):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(LocalError, match="no list of keys"):
            read_pinned(tmp_path / "bad.json")
