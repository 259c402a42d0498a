"""kill -9 at every point of the append path, of real processes on real files.

Whatever the point: the next holder finds an ordinary crash and goes on; what was accepted is there, once and at its
place; nothing is there in half; no two roots were signed for one size; whoever asks again is told the same.
"""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
import trio

from tests.civic.filer import ANSWERED, SIGNED, Telling
from tests.civic.kept import check_receipts, file_all, held, places

if TYPE_CHECKING:
    from pathlib import Path

POINTS_MIN = {"new": 45, "goes-on": 45}  # fewer would mean that not all of the path was seen


def lives(base: Path) -> list[Path]:
    """Where each process lived, by the point at which it died."""
    return sorted((path for path in base.iterdir() if path.name != "start"), key=lambda path: int(path.name))


def told(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.parametrize("scenario", POINTS_MIN)
async def test_wherever_it_is_killed_nothing_is_lost_and_nothing_said_twice(
    tmp_path: Path, scenario: str
) -> None:
    command = [sys.executable, "-m", "tests.civic.filer", str(tmp_path), scenario]
    subprocess.run(command, check=True, timeout=300)  # noqa: ASYNC221
    directories = lives(tmp_path)
    assert len(directories) > POINTS_MIN[scenario]
    for directory in directories:
        await check_life_after(directory)


async def check_life_after(directory: Path) -> None:
    """The next holder takes over what this process left behind."""
    with trio.fail_after(60):
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
