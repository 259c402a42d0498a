"""Real node processes under real people: handoffs, two tabs, a killed node, a stopped node.

One city of three nodes serves the whole file, each test leaves it whole. Leases are short, so that failover is quick.
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from client.connect import Client, connect
from client.lives import populate
from client.lives.ground import Ground
from client.session import ClientAt
from client.swarm import Swarm
from client.walk import places_around
from p2pworld.crypto.keys import PersonKeys
from p2pworld.geometry import Cell
from p2pworld.messages import Bye, Notice, Pose, Profile, Said
from shard_node.declared import read
from shard_node.storage.fsck import survey
from simulations.processes import City, NodeProcess, python_environment
from tests.nodes import stop_between_transactions
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

TTL_S = 2.0
READY_S = PATIENCE_S
AT_MOST_S = PATIENCE_S
POLL_S = 0.05
BOTS = 24


def wait_until(holds: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Polls another process until something holds."""
    until_s = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until_s, what()
        time.sleep(POLL_S)


def wait_ready(city: City) -> None:
    def ready() -> bool:
        for node in city.dead():
            pytest.fail(f"{node.name} ended:\n{node.log_tail()}")
        return not city.not_ready()

    wait_until(ready, READY_S, city.not_ready)


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    folder: Path = tmp_path_factory.mktemp("city")
    with City(folder, 3, places_around(), 128, ttl_s=TTL_S) as started:
        started.start()
        wait_ready(started)
        yield started
        assert started.end() == [], "a node had to be killed"


def holder_of(city: City, asked: NodeProcess, cell: Cell) -> str:
    """The key (hex) of the node that holds the ground of `cell`, as `asked` knows the map."""
    for region in asked.ask_json("/api/v1/regions").get("regions", ()):
        if Cell.from_quadkey(region["cell"]).contains(cell):
            return str(region["holder"])
    return ""


def cells_of(node: NodeProcess, asked: NodeProcess) -> list[Cell]:
    """The small regions that `node` holds, as `asked` knows the map."""
    return [
        Cell.from_quadkey(region["cell"])
        for region in asked.ask_json("/api/v1/regions")["regions"]
        if region["holder"] == node.keys.public.hex() and len(region["cell"]) == node.cells[0].level
    ]


@asynccontextmanager
async def person(
    city: City, number: int, at: Cell | Pose | None = None, node: int = 0
) -> AsyncIterator[Client]:
    """Somebody who may enter the city, first asking at one node."""
    want = Pose(*at.centre_cm) if isinstance(at, Cell) else at
    urls = city.play_urls[node:] + city.play_urls[:node]
    keys = PersonKeys.from_seed(number.to_bytes(32, "big"))
    async with connect(urls, keys, Profile(f"person {number}"), want) as client:
        yield client


@contextmanager
def walking(city: City, seed: int) -> Iterator[Swarm]:
    """Bots that walk through the city meanwhile, in a thread of their own."""
    lives = populate(BOTS, seed, Ground(read(), places_around()), ("commuter",) * BOTS)
    swarm = Swarm(city.play_urls, lives, seed)
    over = threading.Event()
    thread = threading.Thread(target=swarm.run, args=(lambda _: over.is_set(),))
    thread.start()
    try:
        wait_until(lambda: swarm.playing == BOTS, AT_MOST_S, lambda: f"{swarm.playing} in; {swarm.trouble}")
        yield swarm
    finally:
        over.set()
        thread.join()
        swarm.close()


def assert_nobody_lost_or_doubled(swarm: Swarm) -> None:
    figures = swarm.gauges.figures(swarm.now_s())
    assert (figures["avatars_lost"], figures["avatars_twinned"], swarm.stopped) == (0, 0, 0), figures


def test_people_walk_across_processes_and_nobody_is_lost_or_doubled(city: City) -> None:
    with walking(city, 1) as swarm:
        # who logged in at a node that does not hold its place was handed on once; the second time it walked
        wait_until(
            lambda: (swarm.gauges.crossings >= 2).sum() >= 2,
            AT_MOST_S,
            lambda: str(swarm.gauges.figures(swarm.now_s())),
        )
        assert len({bot.session.id for bot in swarm.bots}) == BOTS
        assert_nobody_lost_or_doubled(swarm)
        figures = swarm.gauges.figures(swarm.now_s())
        assert figures["update_age_ms"] != {"p50": 0.0, "p99": 0.0}  # bots saw each other move
        assert len(swarm.gauges.extras_ms) > 0


def test_bots_are_a_program_of_their_own_that_writes_its_figures(city: City, tmp_path: Path) -> None:
    file = tmp_path / "bots.json"
    urls = [part for url in city.play_urls for part in ("--url", url)]
    ran = subprocess.run(
        [sys.executable, "-m", "client.bots", *urls, "--count", "10", "--seconds", "1", "--json", str(file)],
        env=python_environment(),
        capture_output=True,
        text=True,
        timeout=AT_MOST_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert "10/10 people" in ran.stdout
    figures = json.loads(file.read_text(encoding="utf-8"))
    assert (figures["bots"], figures["avatars_lost"], figures["avatars_twinned"]) == (10, 0, 0)
    assert 10 <= figures["poses_in"] <= 10 * 15 * figures["seconds"]
    assert figures["bytes_down_per_client_s"] > 0


async def test_of_two_tabs_the_newer_wins_and_the_older_is_told(city: City) -> None:
    with trio.fail_after(AT_MOST_S):
        async with person(city, 100, city.nodes[0].cells[0]) as older:
            await older.enter()
            async with person(city, 100, city.nodes[0].cells[0], node=1) as newer:
                newer.session.last_login_ms = older.session.last_login_ms
                await newer.enter()
                await older.until(lambda: older.session.at is ClientAt.STOPPED)
                assert older.session.trouble[0] == "elsewhere"
                assert [m.code for m in older.said if isinstance(m, Bye)][-1] == "elsewhere"
                # the older one stays out however long the newer one plays, and comes back at a gesture
                frames = newer.view.frames
                await newer.until(lambda: newer.view.frames >= frames + 5)
                assert older.session.at is ClientAt.STOPPED
                await older.enter()
                await newer.until(lambda: newer.session.at is ClientAt.STOPPED)


async def test_people_see_each_other_across_a_border_and_keep_their_id_when_they_cross(city: City) -> None:
    def neighbours() -> tuple[Cell, Cell]:
        for cell in cells_of(city.nodes[0], city.nodes[0]):
            west, south, _, north = cell.bounds_cm()
            beside = Cell.at(west - 1, (south + north) // 2, cell.level)
            if holder_of(city, city.nodes[0], beside) not in ("", city.nodes[0].keys.public.hex()):
                return cell, beside
        raise AssertionError("node-1 has no neighbour")

    with trio.fail_after(AT_MOST_S):
        cell, _ = await trio.to_thread.run_sync(neighbours)
        west, south, _, north = cell.bounds_cm()
        middle = (south + north) // 2
        async with (
            person(city, 200, Pose(west + 500, middle)) as anna,
            person(city, 201, Pose(west - 500, middle), node=1) as bora,
        ):
            await anna.enter()
            await bora.enter()
            await anna.until(lambda: bora.session.id in anna.view.people)
            await bora.until(lambda: anna.session.id in bora.view.people)
            before, node, login = anna.session.id, anna.session.node, anna.session.login
            await anna.walk_to(west - 900, middle, 5.0)
            await anna.until(lambda: anna.session.counters["handoffs"] > 0 and anna.session.playing)
            assert anna.session.node != node
            assert (anna.session.id, anna.session.login) == (before, login)
            arrived = anna.session.pose
            assert arrived is not None
            await bora.until(lambda: bora.view.people[before].pose.east_cm == arrived.east_cm)


async def test_one_goes_to_a_friend_at_another_process_who_welcomes_them(city: City) -> None:
    with trio.fail_after(AT_MOST_S):
        (here, *_), (there, *_) = [
            await trio.to_thread.run_sync(cells_of, node, city.nodes[0]) for node in city.nodes[:2]
        ]
        async with person(city, 210, here) as anna, person(city, 211, there, node=1) as bora:
            await anna.enter()
            await bora.enter()
            assert anna.session.node != bora.session.node
            bora.friend(anna.session.id)
            bora.say("near", "on the way to the node behind the welcome")
            await bora.until(lambda: any(isinstance(one, Said) for one in bora.said))
            anna.go_to(bora.session.id)
            await anna.until(lambda: anna.session.node == bora.session.node and anna.session.playing)
            await bora.until(
                lambda: "friend-came" in [one.code for one in bora.said if isinstance(one, Notice)]
            )
            one, other = anna.session.pose, bora.session.pose
            assert one is not None
            assert other is not None
            assert math.dist((one.east_cm, one.north_cm), (other.east_cm, other.north_cm)) < 200


async def test_after_kill_9_everybody_is_back_and_every_acknowledged_lantern_hangs(city: City) -> None:
    victim, witness = city.nodes[1], city.nodes[0]
    # standbys are listed one by one, and only an act with a standby outlives a disk that is gone
    with walking(city, 2) as swarm, trio.fail_after(3 * AT_MOST_S):
        cells = (await trio.to_thread.run_sync(cells_of, victim, witness))[:4]
        assert cells
        hung: list[tuple[Cell, bytes]] = []
        async with trio.open_nursery() as nursery:

            async def hang(number: int, cell: Cell) -> None:
                async with person(city, number, cell, node=1) as client:
                    await client.enter()
                    await client.until(lambda: client.session.node == victim.keys.public)
                    durable = ""
                    while durable != "standby":
                        done = await client.act("hang", f"wish {number}")
                        durable = done.durable
                        assert durable, done
                    hung.append((cell, done.id))

            for number, cell in enumerate(cells, 300):
                nursery.start_soon(hang, number, cell)
        here = sum(bot.session.node == victim.keys.public for bot in swarm.bots)
        assert here > 0, "no bot was on the node to be killed"
        await trio.to_thread.run_sync(victim.kill)
        await trio.to_thread.run_sync(
            wait_until,
            lambda: all(b.session.playing and b.session.node != victim.keys.public for b in swarm.bots),
            AT_MOST_S,
            lambda: f"{swarm.playing} of {BOTS} back; {swarm.trouble}",
        )
        for number, (cell, lantern) in enumerate(hung, 400):
            async with person(city, number, cell) as visitor:
                await visitor.enter()
                await visitor.until(lambda lantern=lantern, visitor=visitor: visitor.view.find(lantern))  # type: ignore[misc]
        assert_nobody_lost_or_doubled(swarm)
        victim.start()
        await trio.to_thread.run_sync(wait_ready, city)
        assert_nobody_lost_or_doubled(swarm)


def test_a_running_node_s_disk_is_copied_and_looked_through_and_nobody_replaces_it(
    city: City, tmp_path: Path
) -> None:
    node, copy = city.nodes[0], tmp_path / "copy"

    def disk(verb: str, *more: str) -> tuple[int, str]:
        ran = subprocess.run(
            [sys.executable, "-m", "shard_node.cli", "disk", verb, "--config", str(node.config), *more],
            env=python_environment(),
            capture_output=True,
            text=True,
            timeout=AT_MOST_S,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    code, said = disk("backup", str(copy))
    assert code == 0, said
    assert survey(copy).faults == []
    code, said = disk("restore", str(copy), "--aside")
    assert code == 2
    assert "Another process runs on the directory" in said


async def test_a_node_stopped_beyond_its_lease_is_refused_says_so_and_rejoins(city: City) -> None:
    stopped, witness = city.nodes[2], city.nodes[0]
    await trio.to_thread.run_sync(wait_ready, city)
    incarnation = stopped.ask_json("/healthz")["incarnation"]
    key = stopped.keys.public.hex()
    with walking(city, 3) as swarm, trio.fail_after(3 * AT_MOST_S):
        await trio.to_thread.run_sync(stop_between_transactions, city.folder / "city.sqlite", [stopped])
        try:

            def replaced() -> bool:
                holders = {r["holder"] for r in witness.ask_json("/api/v1/regions").get("regions", ())}
                return bool(holders) and holders.isdisjoint((key, None))

            await trio.to_thread.run_sync(
                wait_until, replaced, AT_MOST_S, lambda: "its regions were not taken over"
            )
        finally:
            stopped.signal(signal.SIGCONT)

        def rejoined() -> bool:
            health = stopped.ask_json("/healthz")
            return bool(health.get("ok")) and health["incarnation"] > incarnation

        await trio.to_thread.run_sync(wait_until, rejoined, AT_MOST_S, stopped.log_tail)
        await trio.to_thread.run_sync(
            wait_until,
            lambda: swarm.playing == BOTS,
            AT_MOST_S,
            lambda: f"{swarm.playing} of {BOTS} back; {swarm.trouble}",
        )
        assert_nobody_lost_or_doubled(swarm)
    assert city.counted("incarnations-ended") >= 1
    wait_ready(city)


def operator(city: City, *arguments: str) -> str:
    """What a command for operators prints, run as they would run it."""
    ran = subprocess.run(
        [sys.executable, "-m", "shard_node.cli", *arguments, "--config", str(city.nodes[0].config)],
        env=python_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def region(city: City, cell: Cell) -> dict[str, Any]:
    """What the list of regions says of this one."""
    rows = json.loads(operator(city, "regions", "list", "--json"))["regions"]
    found: list[dict[str, Any]] = [row for row in rows if row["cell"] == str(cell)]
    return found[0] if found else {}


async def test_an_operator_moves_splits_and_merges_ground_while_people_walk_and_nothing_is_lost(
    city: City,
) -> None:
    wait_ready(city)
    giver = next(
        node for node in city.nodes if cells_of(node, city.nodes[0])
    )  # who was away may have none yet
    taker = next(node for node in city.nodes if node is not giver)
    cell = cells_of(giver, city.nodes[0])[0]
    with trio.fail_after(4 * AT_MOST_S):
        async with person(city, 500, cell) as host:
            await host.enter()
            lantern = await host.act("hang", "moved along")
            assert lantern.durable == "standby"
            with walking(city, 5) as swarm:
                for arguments, holder in (
                    (("move", str(cell), taker.keys.public.hex()[:12]), taker),
                    (("split", str(cell)), None),
                    (("merge", str(cell)), taker),
                    (("pin", str(cell)), taker),
                    (("unpin", str(cell)), taker),
                    (("move", str(cell), giver.keys.public.hex()), giver),
                ):
                    said = await trio.to_thread.run_sync(operator, city, "regions", *arguments)
                    assert str(cell) in said
                    if holder is not None:
                        assert region(city, cell)["holder"] == holder.keys.public.hex()
                assert_nobody_lost_or_doubled(swarm)
            await host.until(lambda: host.view.find(lantern.id) is not None)
            again = await host.act("hang", "back again")
            assert again.durable == "standby"


def test_a_wish_that_makes_no_sense_is_one_sentence(city: City) -> None:
    for arguments, part in (
        (("regions", "split", "3"), "is no region of the city now: it is divided into smaller ones"),
        (("regions", "move", "somewhere", "ffff"), "is no region: name its quadkey"),
        (("drain", "zz"), "is too short"),
        (("drain", "zzzzzz"), "is the beginning of no node's key"),
    ):
        with pytest.raises(AssertionError, match=part):
            operator(city, *arguments)


async def test_nodes_that_are_restarted_one_by_one_lose_nobody_and_nothing(city: City) -> None:
    wait_ready(city)
    with walking(city, 6) as swarm, trio.fail_after(6 * AT_MOST_S):
        for node in city.nodes:
            assert node.process is not None
            others = [other for other in city.nodes if other is not node]
            node.signal(signal.SIGTERM)
            assert await trio.to_thread.run_sync(node.process.wait) == 0, node.log_tail()
            assert "not all ground was given away" not in node.log_tail(40)
            await trio.to_thread.run_sync(
                wait_until, lambda others=others: not city.not_ready(others), READY_S, city.not_ready
            )
            node.start()
            await trio.to_thread.run_sync(wait_ready, city)
            assert_nobody_lost_or_doubled(swarm)
        assert swarm.playing == BOTS


async def test_a_city_of_an_older_release_is_upgraded_node_by_node_while_people_walk(tmp_path: Path) -> None:
    with City(tmp_path, 3, places_around(), 128, ttl_s=TTL_S) as city, trio.fail_after(8 * AT_MOST_S):
        for node in city.nodes:
            node.start("tests.shard_node.older_release")
        await trio.to_thread.run_sync(wait_ready, city)
        cell = city.nodes[0].cells[0]
        with pytest.raises(AssertionError, match="Not all nodes of this city have been updated"):
            operator(city, "regions", "pin", str(cell))
        with walking(city, 7) as swarm:
            for node in city.nodes:
                assert node.process is not None
                node.signal(signal.SIGTERM)
                assert await trio.to_thread.run_sync(node.process.wait) == 0, node.log_tail()
                node.start()
                await trio.to_thread.run_sync(wait_ready, city)
                assert_nobody_lost_or_doubled(swarm)
            assert swarm.playing == BOTS

        def upgraded() -> bool:
            try:
                return "pinned" in operator(city, "regions", "pin", str(cell))
            except AssertionError:
                return False

        await trio.to_thread.run_sync(wait_until, upgraded, AT_MOST_S, lambda: "the map was not upgraded")
        assert city.end() == []
