"""A client made from the page alone in a city of real processes: it joins, sees across, crosses, stays itself."""

from __future__ import annotations

import ast
import hashlib
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from client.connect import connect
from p2pworld.crypto.keys import PersonKeys
from p2pworld.messages import Pose, Profile
from tests.nodes import border_of, running_city, standing_by, until
from tests.patience import PATIENCE_S
from tests.stranger import stranger
from tests.stranger.stranger import Place, Stranger

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PUMP_S = 0.01
OURS = {"p2pworld", "shard_node", "client", "simulations", "tests"}
FOREIGN = {"msgpack", "nacl", "websockets"}


def seed(name: str) -> bytes:
    return hashlib.sha256(b"a stranger called " + name.encode()).digest()


async def keep_pumping(one: Stranger) -> None:
    while True:
        one.pump()
        await trio.sleep(PUMP_S)


@asynccontextmanager
async def alive(*strangers: Stranger) -> AsyncIterator[None]:
    """Strangers that are pumped until the block ends; then their sockets are closed."""
    async with trio.open_nursery() as nursery:
        for one in strangers:
            nursery.start_soon(keep_pumping, one)
        try:
            yield
        finally:
            nursery.cancel_scope.cancel()
            for one in strangers:
                one.stop()


def stopped(one: Stranger) -> bool:
    return one.state == "STOPPED"


def test_the_stranger_imports_nothing_of_ours() -> None:
    tree = ast.parse(Path(stranger.__file__).read_text("utf-8"))
    names = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or "tests"]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert names >= FOREIGN
    assert names <= FOREIGN | sys.stdlib_module_names
    assert not names & OURS


async def test_it_joins_sees_across_a_border_crosses_and_is_told_what_lasts(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(running_city(tmp_path, 2))
        west, east, edge_cm, north_cm = border_of(city)
        bot_at = Pose(edge_cm + 800, north_cm + 100, state=1)
        bot = await stack.enter_async_context(
            connect(
                [east.play_url], PersonKeys.from_seed(seed("bot")), Profile("길동", kind="program"), bot_at
            )
        )
        await bot.enter()
        assert bot.session.node == east.keys.public

        # It joins, from the page alone.
        one = Stranger(seed("one"), "나그네")
        start = Place(edge_cm - 1_500, north_cm)
        one.log_in(west.play_url, start)
        await stack.enter_async_context(alive(one))
        await until(lambda: one.state == "PLAYING", PATIENCE_S, "WELCOME")
        assert one.story.welcomes[0]["pose"] == {"east_cm": start.east_cm, "north_cm": start.north_cm}
        assert one.first is not None
        assert one.first.challenge is not None
        assert one.first.challenge["node"] == west.keys.public
        assert one.story.welcomes[0]["urls"] == [east.play_url]
        await until(lambda: one.id in one.people, PATIENCE_S, "itself among the rows")

        # It sees the bot on the other side of the border, before it crosses; and is seen from there.
        await until(lambda: bot.session.id in one.people, PATIENCE_S, "the bot across the border")
        seen = one.people[bot.session.id]
        assert abs(seen.east_cm - bot_at.east_cm) <= 8
        assert abs(seen.north_cm - bot_at.north_cm) <= 8
        assert not one.story.moved
        await until(lambda: one.id in bot.view.people, PATIENCE_S, "the stranger, seen by the bot")
        one.ask_who(bot.session.id)
        await until(lambda: bot.session.id in one.profiles, PATIENCE_S, "the bot's name, from the neighbour")
        assert one.profiles[bot.session.id] == {"name": "길동", "kind": "program"}

        await standing_by(city)
        # What it hangs is on two disks before it hears so.
        hung = one.hang("모두 건강하기를")
        await until(lambda: hung in one.done, PATIENCE_S, "DONE")
        assert one.done[hung]["durable"] == "standby"
        lantern = one.done[hung]["id"]
        cell = one.story.welcomes[0]["cell"]
        await until(lambda: lantern in one.objects.get(cell, {}), PATIENCE_S, "its lantern")
        assert one.objects[cell][lantern] | {"at_ms": 0} == {
            "id": lantern, "kind": "lantern", "east_cm": start.east_cm, "north_cm": start.north_cm,
            "text": "모두 건강하기를", "by": one.id, "at_ms": 0,
        }  # fmt: skip

        # It crosses, and is the same on the other side.
        login = one.login
        one.walk(edge_cm + 1_500, north_cm, 5.0)
        await until(lambda: one.arrived and one.state == "PLAYING", PATIENCE_S, "the other side")
        await until(
            lambda: one.first is not None and one.first.url == east.play_url, PATIENCE_S, "the other node"
        )
        assert len(one.story.moved) == 1
        assert one.story.states == ["JOINING", "PLAYING", "BOTH", "PLAYING"]
        assert [welcome["id"] for welcome in one.story.welcomes] == [one.id, one.id]
        assert one.login == login
        assert not one.story.corrections
        assert not one.story.unknown
        assert {bye["code"] for bye in one.story.byes} <= {"moved"}

        def seen_there() -> bool:
            seen = bot.view.people.get(one.id)
            return seen is not None and abs(seen.pose.east_cm - one.place.east_cm) <= 8

        await until(seen_there, PATIENCE_S, "the stranger where it stands, seen by the bot")
        await until(lambda: bot.session.id in one.people, PATIENCE_S, "the bot, from its own node now")

        # Its connection breaks: it comes back as the same person, where it stood, with a larger login.
        one.lose_sockets()
        await until(
            lambda: len(one.story.welcomes) == 3 and one.state == "PLAYING", PATIENCE_S, "another WELCOME"
        )
        assert one.login is not None
        assert login is not None
        assert one.login > login
        pose = one.story.welcomes[2]["pose"]
        assert (pose["east_cm"], pose["north_cm"]) == (one.place.east_cm, one.place.north_cm)


async def test_of_two_tabs_the_newer_wins_and_the_older_does_not_fight_back(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(running_city(tmp_path, 2))
        west, east, edge_cm, north_cm = border_of(city)
        older, newer = Stranger(seed("tabs"), "탭"), Stranger(seed("tabs"), "탭")
        await stack.enter_async_context(alive(older, newer))
        older.log_in(west.play_url, Place(edge_cm - 2_000, north_cm))
        await until(lambda: older.state == "PLAYING", PATIENCE_S, "the older tab's WELCOME")

        # The other tab logs in at the other node: the directory must find the older one.
        newer.log_in(east.play_url, Place(edge_cm + 2_000, north_cm))
        await until(lambda: newer.state == "PLAYING", PATIENCE_S, "the newer tab's WELCOME")
        await until(lambda: older.state == "STOPPED", PATIENCE_S, "the older tab's goodbye")
        assert [bye["code"] for bye in older.story.byes] == ["elsewhere"]
        assert newer.login is not None
        assert (older.story.byes[0]["login_ms"], older.story.byes[0]["birth"]) == newer.login

        # A tab that slept through it continues its old login (`after`) and is told so, at either node.
        for url in (east.play_url, west.play_url):
            asleep = Stranger(seed("tabs"), "탭")
            assert older.login is not None
            asleep.resume(url, older.login, older.place)
            async with alive(asleep):
                await until(partial(stopped, asleep), PATIENCE_S, "elsewhere")
                assert [bye["code"] for bye in asleep.story.byes] == ["elsewhere"]
        assert newer.state == "PLAYING"

        # A person asks for it at the older device: it takes over, although its clock is behind.
        older.log_in(west.play_url)
        await until(lambda: older.state == "PLAYING", PATIENCE_S, "the older tab's WELCOME again")
        await until(lambda: newer.state == "STOPPED", PATIENCE_S, "the newer tab's goodbye")
        assert older.login > newer.login if older.login and newer.login else False


async def test_what_is_not_signed_by_its_key_is_refused(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        city = await stack.enter_async_context(running_city(tmp_path, 1))
        forger = Stranger(seed("forger"), "위조")
        forger.signature_flaw = 1
        await stack.enter_async_context(alive(forger))
        forger.log_in(city.nodes[0].play_url)
        await until(lambda: forger.state == "STOPPED", PATIENCE_S, "a refusal")
        assert [bye["code"] for bye in forger.story.byes] == ["signature"]
        assert not forger.story.welcomes
