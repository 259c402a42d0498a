"""kill -9 at every point of the append path, of real processes on real files.

Whatever the point: the next holder finds an ordinary crash and goes on; what was accepted is there, once and at its
place; nothing is there in half; no two roots were signed for one size; whoever asks again is told the same.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
import trio

from tests.civic.filer import ANSWERED, SIGNED, Telling
from tests.civic.kept import check_receipts, file_all, held, places
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from tests.coordination.postgres_server import PostgresServer

POINTS_MIN = {"new": 45, "goes-on": 45}  # fewer would mean that not all of the path was seen
# on PostgreSQL at every point each night, and else at a few; the two scenarios meet others of them
STEP = {"new": 1, "goes-on": 1} if os.environ.get("P2PWORLD_NIGHTLY") == "1" else {"new": 7, "goes-on": 6}
OTHERS = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"


def lives(base: Path) -> list[Path]:
    """Where each process lived, by the point at which it died."""
    return sorted((path for path in base.iterdir() if path.name != "start"), key=lambda path: int(path.name))


def told(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("scenario", POINTS_MIN)
async def test_wherever_it_is_killed_nothing_is_lost_and_nothing_said_twice(
    tmp_path: Path, scenario: str
) -> None:
    await kill_everywhere(tmp_path, scenario, 1)


@pytest.mark.parametrize("scenario", POINTS_MIN)
async def test_wherever_it_is_killed_postgres_has_all_or_nothing(
    tmp_path: Path, scenario: str, postgres: PostgresServer
) -> None:
    for (name,) in postgres.execute(OTHERS):
        postgres.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await kill_everywhere(tmp_path, scenario, STEP[scenario], json.dumps(postgres.conninfo()))


async def kill_everywhere(base: Path, scenario: str, step: int, *database: str) -> None:
    """Processes die at every `step`-th point, and the next one goes on from what each of them left."""
    command = [sys.executable, "-m", "tests.civic.filer", str(base), scenario, str(step), *database]
    subprocess.run(command, check=True, timeout=600)  # noqa: ASYNC221
    directories = lives(base)
    assert len(directories) * step > POINTS_MIN[scenario]
    for directory in directories:
        await check_life_after(directory)


async def check_life_after(directory: Path) -> None:
    """The next holder takes over what this process left behind."""
    with trio.fail_after(PATIENCE_S):
        async with held(directory, 3, Telling(directory / SIGNED)) as holder:
            answers = await file_all(holder, range(5))
    at = check_receipts(directory, answers)
    assert sorted(at.values()) == list(range(5))
    for line in told(directory / ANSWERED):
        number, index = map(int, line.split())
        assert at[number] == index, f"{directory.name}: {number} was accepted at another place"
    roots = defaultdict(set)
    for line in told(directory / SIGNED):
        _, size, root, _ = line.split("|")
        roots[size].add(root)
    assert all(len(signed) == 1 for signed in roots.values()), f"{directory.name}: two roots of one size"
    store = places(directory).store
    assert await store.check() == []
    await store.close()
