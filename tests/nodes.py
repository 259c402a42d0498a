"""Real node processes for tests: a small city of neighbouring cells, awaited until it serves, and surely killed."""

from __future__ import annotations

import signal
import sqlite3
from collections import Counter
from contextlib import asynccontextmanager, closing, contextmanager
from typing import TYPE_CHECKING, Any

import trio
from prometheus_client.parser import text_string_to_metric_families

from p2pworld.geometry import Cell
from p2pworld.seoul.landmarks import landmark
from simulations.processes import City, NodeProcess
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from prometheus_client.samples import Sample

__all__ = [
    "PLACES",
    "answered",
    "border_of",
    "counters",
    "gauges",
    "health",
    "running_city",
    "serving",
    "soon",
    "standing_by",
    "stop_between_transactions",
    "until",
]

PLACES = tuple(landmark(name) for name in ("Seoul City Hall", "Deoksugung"))
SIDE_M = 128.0
START_S = PATIENCE_S
POLL_S = 0.05
LOCKED_S = 1.0  # those that run lock a store for far less


@contextmanager
def soon(seconds: float, what: str) -> Iterator[None]:
    """Fails, saying `what` was waited for, if the block takes longer."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise AssertionError(f"not within {seconds:g} s: {what}")


async def until(holds: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits until `holds()`; AssertionError naming `what` when it takes longer than so many seconds."""
    with soon(seconds, what):
        while not holds():  # noqa: ASYNC110  (it changes in another process)
            await trio.sleep(POLL_S)


async def answered(ask: Callable[[], Awaitable[bool]], seconds: float, what: str) -> None:
    """The same for a question that is itself awaited."""
    with soon(seconds, what):
        while not await ask():  # noqa: ASYNC110
            await trio.sleep(POLL_S)


@asynccontextmanager
async def running_city(folder: Path, nodes: int, **options: Any) -> AsyncIterator[City]:
    """A city that holds all its cells: `nodes` processes, dealt the 128 m cells around City Hall by turns.

    `options` are City's.
    """
    city = City(folder, nodes, PLACES, SIDE_M, **({"take_orphans": False} | options))
    try:
        city.start()
        await serving(city)
        yield city
    finally:
        for node in city.nodes:
            if node.running:
                node.kill()


async def serving(city: City) -> None:
    """Waits until every node is healthy, linked with the others, and every cell is held."""
    waits = "they did not even start"
    with trio.move_on_after(START_S):
        while waits := await trio.to_thread.run_sync(city.not_ready):
            for node in city.dead():
                raise AssertionError(f"{node.name} ended by itself:\n{node.log_tail(40)}")
            await trio.sleep(POLL_S)
    if waits:
        raise AssertionError(f"the city is not ready: {waits}\n{city.nodes[0].log_tail(40)}")


def stop_between_transactions(store: Path, nodes: list[NodeProcess]) -> None:
    """Stops these processes, none of them within a transaction, which would lock the `store` of the whole city."""
    while True:
        for node in nodes:
            node.signal(signal.SIGSTOP)
        with closing(sqlite3.connect(store, timeout=LOCKED_S)) as db:
            try:
                db.execute("BEGIN IMMEDIATE")
                db.execute("ROLLBACK")
            except sqlite3.OperationalError:
                for node in nodes:
                    node.signal(signal.SIGCONT)
            else:
                return


async def standing_by(city: City) -> None:
    """Waits until every cell has a standby, so that what is hung now lasts on two disks."""
    cells = sum(len(node.cells) for node in city.nodes)

    async def all_covered() -> bool:
        told = [await health(node) for node in city.nodes]
        return sum(int(one.get("cells_standby", 0)) for one in told) >= cells

    await answered(all_covered, START_S, "a standby for every cell")


async def health(node: NodeProcess) -> dict[str, Any]:
    """What /healthz says, whatever its status."""
    return await trio.to_thread.run_sync(node.ask_json, "/healthz")


async def _samples(node: NodeProcess) -> list[Sample]:
    text = (await trio.to_thread.run_sync(node.ask, "/metrics") or b"").decode("utf-8")
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def counters(node: NodeProcess) -> Counter[tuple[str, str]]:
    """Everything /metrics counts: (part, what) to how often."""
    return Counter(
        {
            (sample.labels["part"], sample.labels["what"]): int(sample.value)
            for sample in await _samples(node)
            if sample.name == "p2pworld_events_total"
        }
    )


async def gauges(node: NodeProcess) -> dict[str, float]:
    """The figures of /metrics that go up and down."""
    return {sample.name: sample.value for sample in await _samples(node) if not sample.labels}


def border_of(city: City) -> tuple[NodeProcess, NodeProcess, int, int]:
    """(west, east, east_cm, north_cm): two nodes and the middle of a border between a cell of each.

    Both cells have all of the other's side beside them.
    """
    holder = {cell: node for node in city.nodes for cell in node.cells}
    for cell, west in holder.items():
        _, south_cm, edge_cm, north_cm = cell.bounds_cm()
        middle_cm = (south_cm + north_cm) // 2
        east = holder.get(Cell.at(edge_cm, middle_cm, cell.level))
        if east is not None and east is not west:
            return west, east, edge_cm, middle_cm
    raise AssertionError("no two nodes are neighbours")
