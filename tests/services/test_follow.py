"""A node reads all logs of its city on: from its own folders and over HTTP, and when a log moves or nobody answers."""

from __future__ import annotations

from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio
import trio.testing
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from p2pworld.merkle.tiles import TILE_WIDTH
from p2pworld.services.workflow import Action, State
from shard_node.services.follow import Follower, Source
from shard_node.services.index import INDEX_NAME
from shard_node.services.queries import Asked
from shard_node.storage.journal import StorageFailed
from tests.patience import PATIENCE_S
from tests.services.published import OFFICIAL, Office
from tests.services.test_index import COMPLAINT, City
from tests.services.test_reservations import TEN
from tests.shard_node.test_web import Source as Status
from tests.shard_node.test_web import serving_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from starlette.requests import Request

    from shard_node.civic.folder import PublishedLog


class Followed:
    """A follower over sources that can be changed."""

    def __init__(self, folder: Path) -> None:
        self.city = City(folder)
        self.sources: dict[str, Source] = {}
        self.follower = Follower(self.city.index, lambda: self.sources)

    async def until_read(self, stream: str, size: int) -> None:
        with trio.fail_after(PATIENCE_S):
            while self.city.index.size(stream) < size:
                await self.city.index.grown()


@asynccontextmanager
async def following(folder: Path) -> AsyncIterator[Followed]:
    followed = Followed(folder)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(followed.follower.run)
        yield followed
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def holder_of(
    stream: str, log: PublishedLog, asked: list[str], sizes: dict[str, int] | None = None
) -> AsyncIterator[str]:
    """The address of a log, as its holder shows it to everybody; `sizes` is what it says of its logs, if it does."""

    async def read(request: Request) -> Response:
        asked.append(request.path_params["path"])
        data = await trio.to_thread.run_sync(log.read, request.path_params["path"])
        return Response(data or b"", status_code=404 if data is None else 200)

    async def logs(request: Request) -> Response:
        if sizes is None:
            return Response(status_code=404)
        return JSONResponse({"logs": sizes})

    routes = [Route("/log/" + stream + "/{path:path}", read), Route("/api/v1/logs", logs)]
    async with serving_app(Status(), routes) as url:
        yield f"{url}/log/{stream}"


async def test_what_is_filed_in_a_log_here_or_elsewhere_shows_and_goes_on(tmp_path: Path) -> None:
    here, there = Office("city", TEN), Office("mapo", TEN)
    for _ in range(TILE_WIDTH + 2):
        there.file(COMPLAINT, {})
    here.file(COMPLAINT, {})
    asked: list[str] = []
    async with (
        following(tmp_path) as followed,
        holder_of("mapo", there.publish(tmp_path / "mapo"), asked) as url,
    ):
        followed.sources = {"city": here.publish(tmp_path / "city"), "mapo": url}
        await followed.until_read("mapo", TILE_WIDTH + 2)
        await followed.until_read("city", 1)
        there.act(0, 0, Action.ASSIGN, OFFICIAL)
        there.publish(tmp_path / "mapo")
        here.act(0, 0, Action.ASSIGN, OFFICIAL)
        here.publish(tmp_path / "city")
        await followed.until_read("mapo", TILE_WIDTH + 3)
        await followed.until_read("city", 2)
        assert await followed.city.state(0, "mapo") is State.ASSIGNED
        assert await followed.city.state(0, "city") is State.ASSIGNED
        bundles = [path for path in asked if path != "checkpoint"]
        assert bundles == ["tile/entries/000", "tile/entries/001.p/2", "tile/entries/001.p/3"], "each once"
        assert followed.follower.failing == {}


async def test_a_log_that_moves_is_read_on_at_its_new_holder(tmp_path: Path) -> None:
    office = Office("mapo", TEN)
    office.file(COMPLAINT, {})
    asked: list[str] = []
    async with following(tmp_path) as followed:
        async with holder_of("mapo", office.publish(tmp_path / "mapo"), asked) as url:
            followed.sources = {"mapo": url}
            await followed.until_read("mapo", 1)
        office.file(COMPLAINT, {})
        async with holder_of("mapo", office.publish(tmp_path / "mapo"), asked) as url:
            followed.sources = {"mapo": url}
            await followed.until_read("mapo", 2)


async def test_a_log_is_asked_for_when_its_holder_says_that_it_has_grown(tmp_path: Path) -> None:
    office = Office("mapo", TEN)
    office.file(COMPLAINT, {})
    asked: list[str] = []
    sizes = {"mapo": 1}
    async with (
        following(tmp_path) as followed,
        holder_of("mapo", office.publish(tmp_path / "mapo"), asked, sizes) as url,
    ):
        followed.sources = {"mapo": url}
        await followed.until_read("mapo", 1)
        office.file(COMPLAINT, {})
        office.publish(tmp_path / "mapo")
        sizes["mapo"] = 2
        await followed.until_read("mapo", 2)
        assert asked.count("checkpoint") <= 3, "not at each look"


async def test_a_log_that_nobody_answers_for_holds_up_no_other(tmp_path: Path) -> None:
    here = Office("city", TEN)
    here.file(COMPLAINT, {})
    async with following(tmp_path) as followed:
        nowhere = {"mapo": "http://127.0.0.1:1/log/mapo", "jung": "no address"}
        followed.sources = nowhere | {"city": here.publish(tmp_path / "c")}
        await followed.until_read("city", 1)
        with trio.fail_after(PATIENCE_S):
            while "http://127.0.0.1:1" not in followed.follower.failing:
                await trio.testing.wait_all_tasks_blocked()
        assert "the address of jung" in followed.follower.failing
        (tmp_path / "c" / "checkpoint").write_bytes(b"damaged")
        with trio.fail_after(PATIENCE_S):
            while "city" not in followed.follower.failing:
                await trio.testing.wait_all_tasks_blocked()
        assert await followed.city.state(0) is State.RECEIVED, "what was read stays"


def spoil(path: Path) -> None:
    """Writes over a database as a disk would that goes wrong: its length stays."""
    with path.open("r+b") as file:
        file.write(b"spoiled " * (path.stat().st_size // 8))


async def test_a_file_that_is_spoiled_while_it_is_used_comes_again_by_itself(tmp_path: Path) -> None:
    office = Office("city", TEN)
    for _ in range(TILE_WIDTH + 1):
        office.file(COMPLAINT, {})
    async with following(tmp_path) as followed:
        followed.sources = {"city": office.publish(tmp_path / "city")}
        await followed.until_read("city", TILE_WIDTH + 1)
        for name in (INDEX_NAME, f"{INDEX_NAME}-wal"):
            spoil(tmp_path / name)
        with trio.fail_after(PATIENCE_S):
            while not followed.city.index.counters["made_anew"]:
                with suppress(StorageFailed):
                    await followed.city.index.queue("city", Asked(text="spoiled"))
                await trio.testing.wait_all_tasks_blocked()
        await followed.until_read("city", TILE_WIDTH + 1)
        assert await followed.city.state(TILE_WIDTH) is State.RECEIVED
