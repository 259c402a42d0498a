"""A process that appends lanterns to a journal for as long as it lives, and says each number once it is durable.

Run as `python -m tests.storage.appender DIRECTORY`; to be killed.
"""

from __future__ import annotations

import sys
from pathlib import Path

import trio

from p2pworld.crdt import HybridClock, ObjectCell
from p2pworld.ids import Incarnation
from p2pworld.messages import SaveDelta
from shard_node.storage.lock import DataDirLock
from shard_node.storage.sqlite import SqliteJournal

REPLICA = Incarnation(b"a" * 16, 1)


def lantern(n: int) -> bytes:
    """The id of the lantern of change n."""
    return n.to_bytes(16, "big")


def changes(count: int) -> list[bytes]:
    """The deltas that hang lanterns 1 to count."""
    cell, clock = ObjectCell(), HybridClock(REPLICA)
    return [
        cell.put(REPLICA, lantern(n), {"text": f"{n}" * 50}, clock.tick(n)).to_bytes()
        for n in range(1, count + 1)
    ]


async def main(directory: Path) -> None:
    """Append until killed, one change of each of two cells at once."""
    lock = DataDirLock.acquire(directory)
    lock.record(7)
    journal = await SqliteJournal.open(directory / "journal.sqlite")
    for n, delta in enumerate(changes(4_000), 1):
        await journal.append([SaveDelta(5, 1, n, delta), SaveDelta(6, 1, n, delta)])
        print(n, flush=True)


if __name__ == "__main__":
    trio.run(main, Path(sys.argv[1]))
