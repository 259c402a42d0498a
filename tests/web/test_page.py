"""The page in a real browser against real nodes: it joins, sees others, and walks from process to process by keys."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from client.connect import connect
from p2pworld.crypto.keys import PersonKeys
from p2pworld.messages import Pose, Profile
from tests.nodes import border_of, running_city, until
from tests.patience import PATIENCE_S
from tests.web.conftest import Troubles, open_browser
from tests.web.visit import introduce, read, stand_at, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from tests.web.conftest import Built


async def test_a_person_joins_sees_others_and_walks_over_a_border_by_keys(
    built: Built, chromium: str, tmp_path: Path
) -> None:
    troubles = Troubles()

    def visit(west_url: str, west: str, east: str, edge_cm: int, north_cm: int, bot: int) -> None:
        for browser in open_browser(chromium):
            page = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 800}).new_page()
            stand_at(page, edge_cm - 900, north_cm)
            troubles.watch(page)
            page.goto(west_url)
            seen = wait_for(page, f"w.link === 'here' && w.near.some(one => one.id === {bot})")
            assert seen["node"] == west
            assert abs(seen["me"]["east"] * 100 - (edge_cm - 900)) < 200
            introduce(page, "김서울")
            page.keyboard.down("ArrowRight")
            walked = wait_for(page, f"w.handoffs === 1 && w.node === '{east}'")
            page.keyboard.up("ArrowRight")
            assert walked["link"] == "here"
            assert walked["me"]["east"] * 100 > edge_cm
            after = wait_for(page, f"w.serverTime > {walked['serverTime'] + 1200}")
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
            told = wait_for(page, "w.link === 'stopped'")
            wait_for(newer, f"w.serverTime > {told['serverTime'] + 1500}")
            assert read(newer)["link"] == "here"
            assert read(page)["link"] == "stopped"

    async with running_city(tmp_path, 2) as city, trio.open_nursery() as nursery:
        west, east, edge_cm, north_cm = border_of(city)
        bot_at = Pose(edge_cm + 600, north_cm + 300)
        keys = PersonKeys.from_seed(bytes(range(32)))
        async with connect([east.play_url], keys, Profile("버스", kind="program"), want=bot_at) as bot:
            nursery.start_soon(bot.enter)
            await until(lambda: bot.session.playing, PATIENCE_S, "the bot to be in the city")
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


async def test_a_node_that_dies_is_seen_and_its_people_go_on(
    built: Built, chromium: str, tmp_path: Path
) -> None:
    async with running_city(tmp_path, 2, take_orphans=True, ttl_s=3.0) as city:
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
                wait_for(page, "w.link === 'back in a moment'")
                seen = wait_for(page, f"w.link === 'here' && w.node === '{east.keys.public.hex()[:16]}'")
                assert abs(seen["me"]["east"] * 100 - (edge_cm - 900)) < 300

        await trio.to_thread.run_sync(visit)
