"""The page in a real browser against real nodes: it joins, sees others, and walks from process to process by keys."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from client.connect import connect
from p2pworld.crypto.keys import PersonKeys
from p2pworld.messages import Pose, Profile
from tests.nodes import border_of, running_city, until
from tests.web.conftest import Troubles, open_browser

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Page

    from tests.web.conftest import Built

READ = "() => window.p2pworld && window.p2pworld.read()"
STAND = """
if (localStorage.getItem("p2pworld stood") === null)
    localStorage.setItem("p2pworld stood", JSON.stringify({{ pose: {pose}, ms: Date.now() }}));
"""


def read(page: Page) -> dict[str, Any]:
    """What the page knows now."""
    told: dict[str, Any] | None = page.evaluate(READ)
    return told or {}


def stand_at(page: Page, east_cm: int, north_cm: int) -> None:
    """Makes this new browser remember that its person stood there."""
    pose = {"east_cm": east_cm, "north_cm": north_cm, "up": 0, "yaw": 0, "state": 0}
    page.add_init_script(STAND.format(pose=json.dumps(pose)))


def wait_for(page: Page, holds: str, seconds: float = 20) -> dict[str, Any]:
    """What the page knows once `holds` (of `w`) is true."""
    try:
        page.wait_for_function(
            f"() => {{ const w = window.p2pworld && window.p2pworld.read(); return w && ({holds}); }}",
            timeout=seconds * 1000,
            polling=50,
        )
    except Exception as error:
        raise AssertionError(f"not within {seconds:g} s: {holds}; the page knows {read(page)}") from error
    return read(page)


def introduce(page: Page, name: str) -> None:
    """Answers what the page asks of somebody who is new."""
    page.locator("input[name=name]").fill(name)
    page.keyboard.press("Enter")
    page.locator("input[name=name]").wait_for(state="hidden")
    wait_for(page, f"w.link === 'here' && w.people.some(one => one.id === w.me.id && one.name === '{name}')")


async def test_a_person_joins_sees_others_and_walks_over_a_border_by_keys(
    built: Built, chromium: str, tmp_path: Path
) -> None:
    troubles = Troubles()

    def visit(west_url: str, west: str, east: str, edge_cm: int, north_cm: int, bot: int) -> None:
        for browser in open_browser(chromium):
            page = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 800}).new_page()
            stand_at(page, edge_cm - 900, north_cm)
            troubles.watch(page)
            begun = time.monotonic()
            page.goto(west_url)
            seen = wait_for(page, f"w.link === 'here' && w.near.some(one => one.id === {bot})")
            joined_s = time.monotonic() - begun
            assert seen["node"] == west
            assert abs(seen["me"]["east"] * 100 - (edge_cm - 900)) < 200
            assert joined_s < 10
            introduce(page, "김서울")
            page.keyboard.down("ArrowRight")
            walked = wait_for(page, f"w.handoffs === 1 && w.node === '{east}'")
            page.keyboard.up("ArrowRight")
            assert walked["link"] == "here"
            assert walked["me"]["east"] * 100 > edge_cm
            page.wait_for_timeout(1200)
            after = read(page)
            # nobody took the person back, and the bot is still there, seen from the other node
            assert after["me"]["east"] >= walked["me"]["east"] - 0.01
            assert any(one["id"] == bot for one in after["near"])
            assert after["me"]["id"] == seen["me"]["id"]
            # the same person again after a reload, where they stood; a newer tab has them, the older one is told
            page.reload()
            again = wait_for(page, "w.link === 'here'")
            assert again["me"]["id"] == seen["me"]["id"]
            assert abs(again["me"]["east"] - after["me"]["east"]) < 1
            newer = page.context.new_page()
            troubles.watch(newer)
            newer.goto(west_url)
            wait_for(newer, "w.link === 'here'")
            wait_for(page, "w.link === 'stopped'")
            page.wait_for_timeout(1500)
            assert read(newer)["link"] == "here"
            assert read(page)["link"] == "stopped"

    async with running_city(tmp_path, 2) as city, trio.open_nursery() as nursery:
        west, east, edge_cm, north_cm = border_of(city)
        bot_at = Pose(edge_cm + 600, north_cm + 300)
        keys = PersonKeys.from_seed(bytes(range(32)))
        async with connect([east.play_url], keys, Profile("버스", kind="program"), want=bot_at) as bot:
            nursery.start_soon(bot.enter)
            await until(lambda: bot.session.playing, 20, "the bot to be in the city")
            await trio.to_thread.run_sync(
                partial(
                    visit,
                    west.web_url,
                    west.keys.public.hex()[:16],
                    east.keys.public.hex()[:16],
                    edge_cm,
                    north_cm,
                    bot.session.id,
                )
            )
    assert troubles.seen == []


async def test_a_node_that_dies_is_seen_within_a_second_and_its_people_go_on(
    built: Built, chromium: str, tmp_path: Path
) -> None:
    async with running_city(tmp_path, 2, take_orphans=True, ttl_s=1.0) as city:
        west, east, edge_cm, north_cm = border_of(city)

        def visit() -> None:
            for browser in open_browser(chromium):
                page = browser.new_page(locale="en-GB")
                stand_at(page, edge_cm - 900, north_cm)
                page.goto(east.web_url)
                # comes in through another node than the one whose ground it is
                wait_for(page, f"w.link === 'here' && w.node === '{west.keys.public.hex()[:16]}'")
                introduce(page, "Kim")
                west.kill()
                wait_for(page, "w.link === 'back in a moment'", 1.5)
                seen = wait_for(page, f"w.link === 'here' && w.node === '{east.keys.public.hex()[:16]}'", 30)
                assert abs(seen["me"]["east"] * 100 - (edge_cm - 900)) < 300

        await trio.to_thread.run_sync(visit)
