"""The desk's pages: a queue by deadline with what is late first, one case, whatever is asked for, in four languages."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from p2pworld.services.case_rows import OFFICES
from p2pworld.services.workflow import Action
from p2pworld.services.working_time import DAY_MINUTES
from shard_node.web.desk import desk_routes
from shard_node.web.desk_pages import desk_page_routes
from shard_node.web.desk_words import DESK_WORDS, SCRIPT_WORDS
from tests.services.published import OFFICIAL, Office
from tests.services.test_index import CALENDAR, CATALOGUE, COMPLAINT, City, city_in
from tests.services.test_reservations import TEN
from tests.shard_node.test_web import Answer, Source, get, serving_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class Host:
    """What the pages need of a node's services."""

    index: Any
    catalogue: Any = CATALOGUE
    calendar: Any = CALENDAR


class Browser:
    """Somebody before the desk."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def get(self, path: str) -> Answer:
        return await get(self._url + path)

    async def page(self, path: str, status: int = 200) -> str:
        """A page, without what its script reads."""
        answer = await self.get(path)
        assert answer.status == status, answer.body[:300]
        return re.sub(r"<script.*?</script>", "", answer.body.decode(), flags=re.DOTALL)

    async def text(self, path: str, status: int = 200) -> str:
        """What stands on a page."""
        return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", await self.page(path, status)))


@asynccontextmanager
async def town(tmp_path: Path) -> AsyncIterator[tuple[City, Browser]]:
    """An index, and a browser before its desk."""
    async with city_in(tmp_path) as city:
        host: Any = Host(city.index)
        routes = [*desk_routes(host), *desk_page_routes(host, tmp_path)]
        async with serving_app(Source(), routes) as url:
            yield city, Browser(url)


async def test_what_is_late_comes_first_then_what_is_due_first(tmp_path: Path) -> None:
    office = Office("jongno", TEN)
    late = office.file(COMPLAINT, {})
    office.minute += 40 * DAY_MINUTES
    soon = office.file(COMPLAINT, {})
    office.act(soon, 0, Action.ASSIGN, OFFICIAL)
    async with town(tmp_path) as (city, browser):
        city.minute = office.minute + 60
        await city.read(office)
        text = await browser.text("/en/desk/jongno")
        assert text.index(f"jongno/{late} ") < text.index(f"jongno/{soon} ")
        assert "late" in text
        only = await browser.text("/ko/desk/jongno?overdue=1")
        assert f"jongno/{late} " in only
        assert f"jongno/{soon} " not in only
        mine = await browser.text(f"/ko/desk/jongno?assigned={OFFICIAL.public.hex()}")
        assert f"jongno/{soon} " in mine
        assert f"jongno/{late} " not in mine
        assert f"jongno/{soon} " in await browser.text("/ko/desk/jongno?state=assigned")
        assert f"jongno/{late} " in await browser.text(f"/ko/desk/jongno?text=jongno%2F{late}")
        assert "신청이 없어요" in await browser.text("/ko/desk/jung")


async def test_a_case_stands_with_its_record_and_what_its_letters_are_written_with(tmp_path: Path) -> None:
    office = Office("jongno", TEN)
    entry = office.file(COMPLAINT, {})
    office.act(entry, 0, Action.ASSIGN, OFFICIAL, letter=True)
    async with town(tmp_path) as (city, browser):
        await city.read(office)
        text = await browser.text(f"/ko/desk/jongno/{entry}")
        assert "배정" in text
        assert OFFICIAL.public.hex()[:8] in text
        told = (await browser.get(f"/api/v1/desk/jongno/{entry}?lang=en")).json()
        assert told["facts"]["number"] == f"jongno/{entry}"
        assert told["facts"]["office"] == "Jongno-gu Office"
        assert {"answer", "supplement"} <= {one["id"] for one in told["templates"]}
        assert "repaired" not in {one["id"] for one in told["templates"]}, "it is for other services"
        await browser.text("/ko/desk/jongno/99", 404)
        assert (await browser.get("/api/v1/desk/jongno/99")).status == 404
        assert (await browser.get("/api/v1/desk/jongno/x")).status == 404


@pytest.mark.parametrize("language", ["ko", "en", "ja", "zh"])
async def test_every_page_is_there_in_each_language(tmp_path: Path, language: str) -> None:
    office = Office("city", TEN)
    entry = office.file(COMPLAINT, {})
    async with town(tmp_path) as (city, browser):
        await city.read(office)
        for path in ("", "/city", f"/city/{entry}"):
            page = await browser.page(f"/{language}/desk{path}")
            assert f'<html lang="{language}">' in page
            assert "{" not in page
        await browser.page(f"/{language}/desk/moon", 404)
        offices = await browser.page(f"/{language}/desk")
        assert offices.count("data-office=") == len(OFFICES)


@pytest.mark.parametrize(
    "query",
    [
        "state=moon",
        "service=moon",
        "assigned=zz",
        "assigned=" + "g" * 64,
        "after=..",
        "after=1",
        "text=%00%3Cb%3E",
    ],
)
async def test_what_is_asked_oddly_harms_nothing(tmp_path: Path, query: str) -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    async with town(tmp_path) as (city, browser):
        await city.read(office)
        assert "<b>" not in await browser.page(f"/ko/desk/city?{query}")


async def test_an_index_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    async with town(tmp_path) as (city, browser):
        await city.index.close()
        for path in ("/ko/desk/city", "/ko/desk/city/0", "/api/v1/desk/city/0"):
            assert (await browser.get(path)).status == 503
        await city.index.open()


def test_all_words_are_there_in_korean_and_english() -> None:
    for words in (*DESK_WORDS.values(), *SCRIPT_WORDS.values()):
        assert {"ko", "en"} <= words.keys()
        assert set(re.findall(r"\{(\w+)\}", words["ko"])) == set(re.findall(r"\{(\w+)\}", words["en"]))
