"""How many transactions a log takes in a second of one core, in one process and on this machine's disk, as JSON.

    python -m simulations.bench.civic.in_process [--count 10000] [--open 512] [--directory DIR]
           [--postgresql DSN]

From a submission's bytes to its receipt: read, checked, committed, recorded, signed, published, proven. Every one has a
key of its own, and so many are `open` at a time. `in_process_tx_per_s_core` counts the CPU of all the process's threads
(the time that it waits for the disk is not in it, `tx_per_s` has that too); clients, sockets and replies are not here.
`fsyncs` counts what this program asks for: one for each commit and each file and folder of the publication.
`restart_us_per_entry` is what the next holder needs to read the log it takes over, before it takes anything.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import tempfile
import time
from collections import ChainMap, Counter, deque
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from p2pworld.civic.log import Stage
from p2pworld.civic.transaction import SUGGESTION, parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal
from p2pworld.merkle.note import NoteSigner
from shard_node.civic.folder import PublishedLog
from shard_node.civic.holder import CivicHolder, CivicMeter, LogConfig, Places
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.coordination import SqliteCoordination
from shard_node.services.host import Offered
from shard_node.services.settings import ServicesConfig
from simulations.bench.civic.filings import STREAM, filed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.merkle.note import Note
    from p2pworld.merkle.tiles import Written
    from shard_node.civic.store import CivicStore

__all__ = ["main", "measure"]


class _Meter(CivicMeter):
    """Seconds and steps by stage, and the size of each batch."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin again."""
        self.seconds: Counter[str] = Counter()
        self.steps: Counter[str] = Counter()
        self.batches: list[int] = []

    def took(self, stage: str, seconds: float) -> None:
        self.seconds[stage] += seconds  # type: ignore[assignment]
        self.steps[stage] += 1

    def batch(self, submissions: int, entries: int) -> None:
        self.batches.append(submissions)


class _CountedFolder(PublishedLog):
    """The folder, its flushes counted: of each file, of its folder once, of the checkpoint and its folder."""

    flushes = 0

    def publish(self, files: Iterable[Written], checkpoint: Note) -> None:
        files = list(files)
        self.flushes += len(files) + len({(self.path / file.tile.path).parent for file in files}) + 2
        super().publish(files, checkpoint)


async def measure(directory: Path, count: int, opened: int, dsn: str = "") -> dict[str, Any]:
    """The figures of one run in a new log below `directory`, its store there or in an empty database."""
    minute = int(time.time()) // 60
    waiting, latencies_ms = deque(filed(count + 1, minute)), []
    meter, folder = _Meter(), _CountedFolder(directory / "log")
    store = _store(directory, dsn)
    records = SqliteCoordination(directory / "coordination.sqlite")
    signer = NoteSigner("seoul.example/bench", Signer.from_seed(os.urandom(32)))
    offered = Offered(ServicesConfig())  # as a node has it: a clerk is asked about each
    types = ChainMap({SUGGESTION.name: SUGGESTION}, offered.types)
    clerk = offered.clerk(STREAM, signer.signer, frozenset(), None)
    config = LogConfig(STREAM, (signer,), types, clerk=clerk)
    holder = CivicHolder(config, 1, Places(store, records, folder), lambda: minute, meter)

    async def client() -> None:
        while waiting:
            data, begun_s = waiting.popleft(), time.perf_counter()
            answer = await holder.file(parse_submission(data))
            assert not isinstance(answer, Refusal), answer
            answer.to_bytes()
            latencies_ms.append((time.perf_counter() - begun_s) * 1_000)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        await holder.file(parse_submission(waiting.popleft()))  # the log is made, and ready
        meter.clear()
        folder.flushes = 0
        gc.collect()
        gc.freeze()  # as a node does when it is ready
        begun_s, cpu_s = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as clients:
            for _ in range(opened):
                clients.start_soon(client)
        wall_s, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
        nursery.cancel_scope.cancel()
    again_s = await _restarted(CivicHolder(config, 2, Places(store, records, folder), lambda: minute))
    await store.close()
    await records.close()
    cuts = statistics.quantiles(latencies_ms, n=100)
    commits = meter.steps["Commit"] + meter.steps["PutRecord"]
    return {
        "store": "postgresql" if dsn else "sqlite",
        "copies": store.copies,
        "count": count,
        "open": opened,
        "in_process_tx_per_s_core": round(count / cpu_s),
        "tx_per_s": round(count / wall_s),
        "latency_ms": {"p50": round(cuts[49], 1), "p99": round(cuts[98], 1)},
        "batch": round(statistics.mean(meter.batches), 1),
        "fsyncs": commits + folder.flushes,
        "restart_us_per_entry": round(again_s / count * 1e6, 1),
        "stage_ms": {
            name: round(1_000 * seconds / meter.steps[name], 2) for name, seconds in meter.seconds.items()
        },
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def _store(directory: Path, dsn: str) -> CivicStore:
    if not dsn:
        return SqliteCivicStore(directory / "civic.sqlite")
    from psycopg.conninfo import conninfo_to_dict

    return PostgresCivicStore({key: str(value) for key, value in conninfo_to_dict(dsn).items()})


async def _restarted(holder: CivicHolder) -> float:
    """Seconds of CPU until this holder of the same log is ready."""
    cpu_s = time.process_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(holder.run)
        while holder.stage is not Stage.IDLE:  # noqa: ASYNC110
            await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    return time.process_time() - cpu_s


def main() -> None:
    """Measure once, and print it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--open", type=int, default=512, dest="opened")
    parser.add_argument("--directory", type=Path, help="on the disk to be measured")
    parser.add_argument(
        "--postgresql", default="", help="how libpq reaches the empty database to be measured"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        print(
            json.dumps(trio.run(measure, Path(directory), options.count, options.opened, options.postgresql))
        )


if __name__ == "__main__":
    main()
