"""A log that is kept for real: store, coordination record and folder below one directory, and what must hold."""

from __future__ import annotations

import json
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal
from p2pworld.merkle.checkpoint import open_checkpoint
from p2pworld.merkle.receipt import verify_receipt
from p2pworld.merkle.tiles import ENTRIES, Tile, decode_bundle, new_tiles
from p2pworld.merkle.tree import leaf_hash, leaf_hashes, root_of
from shard_node.civic.folder import CHECKPOINT, PublishedLog
from shard_node.civic.holder import CivicHolder, CivicMeter, LogConfig, Places, Witnesses
from shard_node.civic.postgres import PostgresCivicStore
from shard_node.civic.sqlite import SqliteCivicStore
from shard_node.coordination import SqliteCoordination
from tests.civic.log_world import DESK, MINUTE, STREAM, TYPES, submission
from tests.merkle.signed import LOG, ORIGIN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from pathlib import Path

    from p2pworld.merkle.note import NoteSigner
    from p2pworld.merkle.receipt import Receipt
    from shard_node.civic.store import CivicStore

POSTGRES = "postgres.json"
CALL_S = 20.0  # on however busy a machine


def keep_in_postgres(directory: Path, conninfo: dict[str, str]) -> None:
    """From now on the store of the log below `directory` is this database."""
    directory.joinpath(POSTGRES).write_text(json.dumps(conninfo))


def store_of(directory: Path) -> CivicStore:
    """The store of the log below `directory`, opened anew: a file there, unless it is kept in PostgreSQL."""
    database = directory / POSTGRES
    if database.exists():
        return PostgresCivicStore(json.loads(database.read_text()), call_s=CALL_S)
    return SqliteCivicStore(directory / "civic.sqlite")


def places(directory: Path) -> Places:
    """The three places of the log below `directory`, opened anew."""
    store = store_of(directory)
    records = SqliteCoordination(directory / "coordination.sqlite", busy_s=10.0)
    return Places(store, records, PublishedLog(directory / "log"))


class Counts(CivicMeter):
    """What the holder told."""

    def __init__(self) -> None:
        self.stages: Counter[str] = Counter()
        self.failures: list[tuple[str, str]] = []
        self.batches: list[tuple[int, int]] = []
        self.alarms: list[str] = []
        self.troubles: list[str] = []  # what was said of each failure
        self._holder: CivicHolder | None = None

    def began(self, holder: CivicHolder) -> None:
        self._holder = holder

    def took(self, stage: str, seconds: float) -> None:
        assert seconds >= 0
        self.stages[stage] += 1

    def batch(self, submissions: int, entries: int) -> None:
        self.batches.append((submissions, entries))

    def failed(self, stage: str, reason: str) -> None:
        self.failures.append((stage, reason))
        self.troubles.append(str((self._holder and self._holder.trouble) or ""))

    def alarm(self, refusal: Refusal) -> None:
        self.alarms.append(refusal.reason)


def holder_of(
    where: Places,
    epoch: int,
    signer: NoteSigner = LOG,
    meter: CivicMeter | None = None,
    witnesses: Witnesses | None = None,
) -> CivicHolder:
    """A holder of the log that is kept there."""
    config = LogConfig(STREAM, (signer,), TYPES, quorum=1, desks=frozenset({DESK.public}))
    return CivicHolder(config, epoch, where, lambda: MINUTE, meter, witnesses)


@asynccontextmanager
async def held(
    directory: Path, epoch: int, signer: NoteSigner = LOG, meter: CivicMeter | None = None
) -> AsyncIterator[CivicHolder]:
    """A holder at work, in places of its own; it is stopped in the end, whatever it is doing."""
    where = places(directory)
    holder = holder_of(where, epoch, signer, meter)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(holder.run)
            yield holder
            nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(shield=True):
            await where.store.close()
            assert isinstance(where.records, SqliteCoordination)
            await where.records.close()


async def file_all(holder: CivicHolder, numbers: Iterable[int]) -> dict[int, Receipt | Refusal]:
    """What each of these is answered, filed at the same time."""
    answers = {}

    async def file(number: int) -> None:
        answers[number] = await holder.file(submission(number))

    async with trio.open_nursery() as nursery:
        for number in numbers:
            nursery.start_soon(file, number)
    return answers


def read_log(directory: Path) -> list[bytes]:
    """Every entry of the published log, as anybody reads it who has the folder and the log's key."""
    folder = PublishedLog(directory / "log")
    note = folder.note(CHECKPOINT)
    assert note is not None
    checkpoint = open_checkpoint(note, ORIGIN, [LOG.key]).checkpoint
    entries: list[bytes] = []
    for tile in new_tiles(0, checkpoint.size):
        data = folder.get(tile)
        assert data is not None, f"{tile.path} is not there"
        if tile.level == ENTRIES:
            entries += decode_bundle(tile, data)
        elif tile.level == 0:
            first = tile.index * 256
            assert data == b"".join(leaf_hashes(entries[first : first + tile.width]))
        elif tile.level == 1:
            below = [folder.get(Tile(0, tile.index * 256 + at)) or b"" for at in range(tile.width)]
            split = [[each[at : at + 32] for at in range(0, len(each), 32)] for each in below]
            assert data == b"".join(root_of(hashes) for hashes in split)
    assert len(entries) == checkpoint.size
    assert checkpoint.root == root_of(leaf_hashes(entries))
    return entries


def check_receipts(directory: Path, answers: dict[int, Receipt | Refusal]) -> dict[int, int]:
    """Each of them has a receipt that proves it, and stands in the log once; at which places."""
    entries, at = read_log(directory), {}
    for number, receipt in answers.items():
        assert not isinstance(receipt, Refusal), receipt
        filed = submission(number)
        leaf = parse_leaf(entries[receipt.index])
        assert (leaf.filing, leaf.sig) == (filed.filing, filed.sig)
        verify_receipt(receipt, leaf_hash(entries[receipt.index]), ORIGIN, [LOG.key])
        at[number] = receipt.index
    keys = [parse_leaf(entry).filing.key for entry in entries]
    assert len(set(keys)) == len(keys), "one transaction twice"
    return at
