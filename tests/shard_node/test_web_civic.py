"""Civic logs over HTTP: what is filed and how it is answered, where a log is read, what may be kept for how long."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import trio

from p2pworld.civic.receipts import check_filed, noted
from p2pworld.civic.relay import AnswerAsker, Answered, AskerFiled, HolderAnswered
from p2pworld.errors import Refusal
from p2pworld.ids import Incarnation
from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note
from p2pworld.merkle.tiles import Edge
from p2pworld.world.citymap import CityMap, Holding, Member
from shard_node.civic.desk import CivicDesk
from shard_node.civic.folder import CHECKPOINT, WITNESSED, PublishedLog
from shard_node.doors import Doors
from shard_node.web.civic import civic_routes
from tests.civic.log_world import STREAM, submission
from tests.civic.test_desk import config_of
from tests.merkle.signed import LOG, ORIGIN, WITNESSES, cosigned
from tests.patience import PATIENCE_S
from tests.shard_node.test_web import Answer, Source, get, serving_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ME, OTHER = Incarnation(b"m" * 32, 1), Incarnation(b"o" * 32, 1)
ENTRIES = [submission(number).leaf(9).to_bytes() for number in range(5)]


def city(holder: Incarnation | None) -> CityMap:
    members = {}
    for who in (ME, OTHER):
        web_url = f"http://{who.node[:1].decode()}.example"
        members[who.node] = Member(who.node, 1, "tls://x", "ws://x", web_url)
    return CityMap(5, 0, members, {}, {STREAM: Holding(holder, 4)})


@dataclass
class Node:
    """A node over which the routes are served: its map can be changed, and what its desk answers."""

    city_map: CityMap
    answer: Answered
    who: Incarnation = ME
    url: str = ""
    filed: tuple[bytes, ...] = ()


class Refusing(Doors):
    """A door through which nothing is filed."""

    def may_file(self, address: str, now_s: float) -> bool:
        assert address == "127.0.0.1"
        return False


@asynccontextmanager
async def serving(
    tmp_path: Path, holder: Incarnation | None = ME, doors: Doors | None = None
) -> AsyncIterator[Node]:
    """The routes of a node that may hold the stream, over a small log published under two checkpoints."""
    node = Node(city(holder), Answered(b"a receipt\n"))
    desk: CivicDesk

    def tell(event: AskerFiled | HolderAnswered) -> None:
        assert isinstance(event, AskerFiled)
        node.filed += (event.submission,)
        desk.take([AnswerAsker(event.asker, node.answer)])

    desk = CivicDesk(config_of(tmp_path), None, tell)  # type: ignore[arg-type]
    publish(tmp_path / "log" / STREAM)
    executor: Any = SimpleNamespace(node=node)
    async with serving_app(Source(), civic_routes(executor, desk, doors or Doors())) as url:
        node.url = url
        yield node


def publish(path: Path) -> None:
    folder = PublishedLog(path)
    edge = Edge()
    for until in (3, 5):
        edge, files = edge.append(ENTRIES[edge.size : until])
        folder.write(files)
        text = Checkpoint(ORIGIN, edge.size, edge.root()).text
        note = Note(text, (LOG.sign(text),))
        folder.show(CHECKPOINT, note)
        if until == 3:
            folder.show(WITNESSED, cosigned(note, 1))


async def post(url: str, body: bytes) -> Answer:
    def ask() -> Answer:
        request = urllib.request.Request(f"{url}/civic/file", body, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    return await trio.to_thread.run_sync(ask)


async def get_no_further(url: str) -> Answer:
    """What is answered there, without going where it leads."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: object) -> None:
            return None

    def ask() -> Answer:
        try:
            with urllib.request.build_opener(Stay).open(url, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    return await trio.to_thread.run_sync(ask)


# ---- filing


async def test_a_submission_is_answered_with_its_receipt(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        answer = await post(node.url, b"submission")
        assert (answer.status, answer.body) == (200, b"a receipt\n")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["access-control-allow-origin"] == "*"
        assert node.filed == (b"submission",)


@pytest.mark.parametrize(
    ("reason", "status", "retry"),
    [
        ("civic-moved", 503, True),
        ("civic-busy", 503, True),
        ("civic-down", 503, True),
        ("civic-unknown", 503, True),
        ("civic-read-only", 503, False),
        ("civic-stream", 404, False),
        ("civic-size", 413, False),
        ("civic-malformed", 400, False),
        ("civic-signature", 400, False),
    ],
)
async def test_a_refusal_says_why_and_whether_to_ask_again(
    tmp_path: Path, reason: str, status: int, retry: bool
) -> None:
    async with serving(tmp_path) as node:
        node.answer = Answered(refusal=Refusal(reason, "because"))
        answer = await post(node.url, b"submission")
        assert answer.status == status
        told = answer.json()
        assert (told["reason"], told["retry"]) == (reason, retry)
        assert told["en"]
        assert ("retry-after" in answer.headers) == retry


async def test_a_body_is_as_long_as_a_submission_may_be(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        assert (await post(node.url, bytes(CIVIC_SUBMISSION_BYTES_MAX))).status == 200
        await post(node.url, bytes(5 * CIVIC_SUBMISSION_BYTES_MAX))
        assert len(node.filed[1]) > CIVIC_SUBMISSION_BYTES_MAX  # which the relay refuses by its length
        assert len(node.filed[1]) < 3 * CIVIC_SUBMISSION_BYTES_MAX  # and no more of it was read


async def test_what_breaks_off_is_no_fault_of_the_node_and_may_be_filed_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as node:
        stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(node.url).port or 0)
        async with stream:
            await stream.send_all(b"POST /civic/file HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc")
            await stream.send_eof()
            answer = b"".join([part async for part in stream])
        assert answer.startswith((b"HTTP/1.1 503", b"HTTP/1.1 400")) or not answer
        assert (await post(node.url, b"submission")).status == 200
        assert node.filed == (b"submission",)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_who_files_too_much_is_told_to_wait(tmp_path: Path) -> None:
    async with serving(tmp_path, doors=Refusing()) as node:
        answer = await post(node.url, b"submission")
        assert (answer.status, answer.json()["reason"]) == (503, "civic-busy")
        assert not node.filed


# ---- reading


async def test_the_log_is_read_where_it_is_held_and_tiles_are_kept_for_ever(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        checkpoint = await get(f"{node.url}/log/{STREAM}/checkpoint")
        assert checkpoint.body == (tmp_path / "log" / STREAM / "checkpoint").read_bytes()
        assert checkpoint.headers["cache-control"] == "no-cache"
        assert checkpoint.headers["access-control-allow-origin"] == "*"
        witnessed = await get(f"{node.url}/log/{STREAM}/checkpoint.witnessed")
        assert witnessed.body.decode().splitlines()[1] == "3"
        tile = await get(f"{node.url}/log/{STREAM}/tile/entries/000.p/5")
        assert tile.body == (tmp_path / "log" / STREAM / "tile/entries/000.p/5").read_bytes()
        assert "immutable" in tile.headers["cache-control"]
        assert tile.headers["content-type"] == "application/octet-stream"


@pytest.mark.parametrize(
    "path",
    [
        f"/log/{STREAM}/civic.key",
        f"/log/{STREAM}/../../civic.key",
        f"/log/{STREAM}/tile/0/../../checkpoint",
        f"/log/{STREAM}/tile/0/000",
        f"/log/{STREAM}/tile/0/x001/000",
        "/log/jung/checkpoint",
        f"/civic/receipt/{STREAM}/5",
        f"/civic/receipt/{STREAM}/-1",
        f"/civic/receipt/{STREAM}/{10**30}",
        f"/civic/receipt/{STREAM}/1%3Fa",
        "/civic/receipt/jung/0",
    ],
)
async def test_there_is_nothing_else(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as node:
        answer = await get(node.url + path)
        assert (answer.status, answer.json()["error"]) == (404, "not_found")


async def test_a_receipt_is_the_newest_one_that_witnesses_have_signed(tmp_path: Path) -> None:
    async with serving(tmp_path) as node:
        early = await get(f"{node.url}/civic/receipt/{STREAM}/1")
        check_filed(early.body, submission(1), ORIGIN, [LOG.key], [WITNESSES[0].key], quorum=1)
        late = await get(f"{node.url}/civic/receipt/{STREAM}/4")
        receipt = check_filed(late.body, submission(4), ORIGIN, [LOG.key])
        assert receipt == noted(receipt, 9)
        assert late.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", [f"/log/{STREAM}/checkpoint", f"/civic/receipt/{STREAM}/1"])
async def test_readers_are_sent_to_the_holder(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path, OTHER) as node:
        answer = await get_no_further(node.url + path)
        assert (answer.status, answer.headers["location"]) == (307, f"http://o.example{path}")
        assert answer.headers["access-control-allow-origin"] == "*"
        node.city_map = city(None)  # nobody holds it: what is here is better than nothing
        assert (await get_no_further(node.url + path)).status == 200


async def test_streams_are_told_with_where_they_are_and_whose_key_they_have(tmp_path: Path) -> None:
    async with serving(tmp_path, OTHER) as node:
        (told,) = (await get(f"{node.url}/civic/streams")).json()["streams"]
        assert told["stream"] == STREAM
        assert told["key"] == LOG.key.text
        assert told["url"] == f"http://o.example/log/{STREAM}"
        assert (told["here"], told["epoch"], told["quorum"]) == (False, 4, 0)
        node.city_map = city(None)
        (free,) = (await get(f"{node.url}/civic/streams")).json()["streams"]
        assert (free["holder"], free["url"]) == (None, None)
