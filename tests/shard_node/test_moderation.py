"""Moderation from end to end: real nodes, real clients, the moderators' command line."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import trio
from click.testing import CliRunner

from p2pworld.crypto.keys import PersonKeys, Signer, sign_hello, sign_say
from p2pworld.errors import RemoteError
from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.messages import Challenge, Done, Notice, PlayMessage, Pose, Profile, Report, Said, Welcome
from p2pworld.wire.codec import decode_play, encode_play
from shard_node.cli import main
from shard_node.web.signed import packed
from tests.nodes import answered, health, running_city, serving, soon
from tests.patience import PATIENCE_S
from tests.shard_node.playing import Client

if TYPE_CHECKING:
    from pathlib import Path

    from simulations.processes import City, NodeProcess

DAY_MS = 86_400_000
CONTROL = 0x40


class Visitor:
    """One person on a raw socket."""

    def __init__(self, number: int, client: Client) -> None:
        self.keys = PersonKeys.from_seed(bytes([number]) * 32)
        self.client = client

    async def hear(self, kind: type) -> PlayMessage:
        """The next message of one kind."""
        with soon(PATIENCE_S, kind.__name__):
            while True:
                payload = await self.client.payload()
                if payload[0] >= CONTROL and isinstance(message := decode_play(payload), kind):
                    return message

    async def say(self, n: int, text: str) -> None:
        await self.client.say(encode_play(sign_say(self.keys, n, "near", text, now_ms())))


def now_ms() -> int:
    return time.time_ns() // 1_000_000


async def visit(node: NodeProcess, number: int, pose: Pose) -> Visitor:
    parts = urlsplit(node.play_url)
    visitor = Visitor(number, Client(await trio.open_tcp_stream(parts.hostname or "", parts.port or 0)))
    await visitor.client.open()
    challenge = await visitor.hear(Challenge)
    assert isinstance(challenge, Challenge)
    hello = sign_hello(
        visitor.keys,
        challenge.node,
        challenge.nonce,
        now_ms(),
        challenge.url,
        Profile(f"visitor {number}"),
        want=pose,
    )
    await visitor.client.say(encode_play(hello))
    await visitor.hear(Welcome)
    return visitor


def papers(folder: Path, city: City, role: str = "moderator") -> list[str]:
    """The options of a moderator who talks to the first node."""
    key = Signer.from_seed(bytes([77]) * 32)
    grant = sign_grant(city.root, key.public, role, ("cells:*",), now_ms() - DAY_MS, now_ms() + DAY_MS)
    (folder / f"{role}.key").write_text(key.to_pem())
    (folder / f"{role}.grant").write_text(grant_to_text(grant) + "\n")
    return [
        "--key",
        str(folder / f"{role}.key"),
        "--grant",
        str(folder / f"{role}.grant"),
        "--node",
        city.nodes[0].web_url,
    ]


async def moderate(*args: str) -> tuple[int, str]:
    """The exit code and the words of `p2pworld moderate …`."""
    result = await trio.to_thread.run_sync(lambda: CliRunner().invoke(main, ["moderate", *args]))
    return result.exit_code, result.output


async def status_of(url: str, body: bytes | None = None) -> int:
    def ask() -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, data=body), timeout=PATIENCE_S) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    return await trio.to_thread.run_sync(ask)


async def test_a_report_reaches_a_moderator_whose_order_all_nodes_obey_and_keep(tmp_path: Path) -> None:
    async with running_city(tmp_path / "city", 2) as city:
        (tmp_path / "desk").mkdir()
        options = papers(tmp_path / "desk", city)
        cell, *_ = city.nodes[1].cells
        east_cm, north_cm = cell.centre_cm
        loud = await visit(city.nodes[1], 11, Pose(east_cm, north_cm))
        hurt = await visit(city.nodes[1], 12, Pose(east_cm + 200, north_cm))
        await loud.say(1, "rude\u202ewords")  # refused: it would turn the line around it
        assert isinstance(notice := await loud.hear(Notice), Notice)
        assert notice.code == "say-text"
        await loud.say(2, "rude words")
        said = await hurt.hear(Said)
        assert isinstance(said, Said)
        await hurt.client.say(encode_play(Report(5, said, "this\nhurts")))
        done = await hurt.hear(Done)
        assert isinstance(done, Done)
        assert (done.n, done.durable) == (5, "disk")

        key = loud.keys.public.hex()
        code, words = await moderate("reports", *options)
        assert code == 0, words
        assert "visitor 11: rude words" in words
        assert "this\\u000ahurts" in words
        assert key in words

        code, words = await moderate("mute", key, "--hours", "2", "--reason", "insult", *options)
        assert (code, words.endswith("kept\n")) == (0, True), words

        async def all_know() -> bool:
            told = [await health(node) for node in city.nodes]
            return [one["moderation"]["orders"] for one in told] == [1, 1]

        await answered(all_know, PATIENCE_S, "the order on both nodes")
        await loud.say(3, "more")
        notice = await loud.hear(Notice)
        assert isinstance(notice, Notice)
        assert notice.code == "muted"
        assert "insult" in notice.sentence

        await loud.client.stream.aclose()
        await hurt.client.stream.aclose()
        city.nodes[1].kill()
        city.nodes[1].start()
        await serving(city)
        assert (await health(city.nodes[1]))["moderation"] == {"orders": 1, "reports": 1, "orders_unsaved": 0}

        code, words = await moderate("mute", key, *papers(tmp_path / "desk", city, "official"))
        assert code == 2
        assert "the grant is for the role official, not moderator" in words
        code, words = await moderate("expunge", key, *options)
        assert code == 2
        assert "32 hex digits" in words

        base = f"{city.nodes[0].web_url}/api/v1/moderation"
        assert await status_of(f"{base}/reports") == 401
        assert await status_of(f"{base}/orders", b"\x80") == 400
        assert await status_of(f"{base}/orders", b"AAAAA") == 400
        assert await status_of(f"{base}/orders", bytes(40_000)) == 413


def test_a_body_is_bytes_or_their_base64url_text() -> None:
    assert packed(b"\x89abc") == b"\x89abc"
    assert packed(b"iWFiYw==\n") == packed(b"iWFiYw") == b"\x89abc"
    with pytest.raises(RemoteError):
        packed(b"AAAAA")
