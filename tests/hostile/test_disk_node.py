"""A running node whose disk is full: nothing is said to last that does not, people walk on, and it heals by itself."""

from __future__ import annotations

import hashlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import trio

from tests.hostile.small_disk import mounted
from tests.nodes import answered, health, running_city, until
from tests.patience import PATIENCE_S
from tests.stranger.stranger import Place, Stranger
from tests.stranger.test_stranger import alive

if TYPE_CHECKING:
    from pathlib import Path

    from simulations.processes import NodeProcess

DISK = "size=512k"
ANSWER_S = PATIENCE_S
RETRY_S = 0.2


async def hang(one: Stranger) -> dict[str, Any]:
    """What becomes of one more lantern."""
    n = one.hang("끝까지 남기를")
    await until(lambda: n in one.done, ANSWER_S, "DONE")
    return one.done[n]


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4_096, 1):
            try:
                while file.write(bytes(size)):
                    pass
            except OSError:
                continue
    return ballast


async def walks(one: Stranger, metres: int) -> None:
    """One walks so far north, and back, without a correction, and frames come all the while."""
    start, before = one.place.north_cm, len(one.story.gaps_s)
    for goal in (start + 100 * metres, start):
        one.walk(one.place.east_cm, goal, 3.0)
        await until(lambda: one.arrived, PATIENCE_S, "the end of its way")
    assert not one.story.corrections
    assert len(one.story.gaps_s) - before > 10


async def test_a_full_disk_confirms_nothing_says_so_and_lets_people_walk(tmp_path: Path) -> None:
    folder = tmp_path / "city"
    folder.mkdir()
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(mounted(folder / "node-1", DISK))
        city = await stack.enter_async_context(running_city(folder, 1))
        node: NodeProcess = city.nodes[0]
        east_cm, north_cm = node.cells[0].centre_cm
        one = Stranger(hashlib.sha256(b"disk").digest(), "등불")
        await stack.enter_async_context(alive(one))
        one.log_in(node.play_url, Place(int(east_cm), int(north_cm)))
        await until(lambda: one.state == "PLAYING", PATIENCE_S, "WELCOME")
        kept = await hang(one)
        assert kept["durable"] == "disk"  # one node alone has no standby

        ballast = await trio.to_thread.run_sync(fill, disk)

        async def refuses() -> bool:
            done = await hang(one)
            if done.get("durable"):
                return False  # the journal still had room in its own pages
            assert done["reason"] == "disk"
            assert "save" in done["sentence"]
            return True

        await answered(refuses, PATIENCE_S, "a refusal")

        async def says_so() -> bool:
            told = await health(node)
            return not told["ok"] and "writes_fail_full" in told["reasons"]

        await answered(says_so, PATIENCE_S, "the reason in /healthz")
        await walks(one, 5)
        again = await hang(one)
        assert not again.get("durable")
        assert node.running

        ballast.unlink()

        async def heals() -> bool:
            await trio.sleep(RETRY_S)
            return (await hang(one)).get("durable") == "disk"

        await answered(heals, PATIENCE_S, "an acknowledgement after there was room again")

        async def healthy() -> bool:
            return bool((await health(node))["ok"])

        await answered(healthy, PATIENCE_S, "health")
        cell = one.story.welcomes[0]["cell"]
        shown = set(one.objects[cell])
        assert {done["id"] for done in one.done.values() if done.get("durable")} <= shown
        assert all(
            done["id"] not in shown
            for done in one.done.values()
            if done.get("id") and not done.get("durable")
        )
