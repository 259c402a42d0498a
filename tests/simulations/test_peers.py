"""The other servers: each carries a handful of clients and shows them the right people; its grid has a slow twin."""

from __future__ import annotations

import json
import random
import subprocess
from io import StringIO
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from simulations.bench.peers.command import best, read_ours, table
from simulations.bench.peers.measure import Load, PeerFailed, Script, measure, row
from simulations.bench.peers.packages import FOLDER, LOCK, SetupFailed, provide
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

KEYS = {
    *("avatars", "seconds", "tick_hz", "cores_used", "avatars_per_core", "cpu_us_per_client_tick"),
    *("update_age_ms", "nearest32_fresh", "nearest32_recall", "bytes_down_per_client_s", "machine"),
}
SERVED = {"ticks": 20, "seconds": 2.0, "overruns": 0, "tick_ms": {"p50": 1.0, "p99": 2.0}}
SEEN = {
    "lost": 0,
    "update_age_ms": {"p50": 50.0, "p99": 99.0},
    "nearest32_fresh": 0.98,
    "nearest32_recall": None,
    "bytes_down_per_client_s": {"p50": 1.0, "p99": 2.0, "max": 3.0},
    "sampled_bytes_ratio": 1.0,
    "load_cores": 0.1,
    "load_late_ms": {"p50": 1.0, "p99": 2.0},
}
SEARCH = """
import { readFileSync } from "node:fs";
import { Nearest } from "./nearest.mjs";
const { k, radius, crowds } = JSON.parse(readFileSync(0));
const nearest = new Nearest(2000, k, radius);
const found = new Int32Array(k);
const answers = crowds.map(({ east, north }) => {
  nearest.lay(east.length, Int32Array.from(east), Int32Array.from(north));
  return east.map((_, i) => Array.from(found.subarray(0, nearest.search(i, found))));
});
console.log(JSON.stringify(answers));
"""


@pytest.fixture(scope="module")
def node() -> str:
    """The Node that runs the peers, with their packages; LOUD where there is none to be had."""
    try:
        return provide()
    except SetupFailed as failure:
        pytest.skip(f"THE PEERS ARE NOT TESTED, there is no Node with their packages: {failure}")


@pytest.mark.parametrize(("peer", "avatars"), [("ws", 20), ("colyseus", 5)])
def test_a_peer_shows_its_clients_who_is_near(node: str, peer: str, avatars: int) -> None:
    figures = measure(node, peer, Load(avatars, seconds=2.0))
    assert figures.keys() >= KEYS
    assert figures["clients_lost"] == 0
    assert figures["nearest32_recall"] > 0.9
    assert figures["bytes_down_per_client_s"]["p50"] > 0


def test_the_grid_finds_whom_a_slow_search_finds(node: str) -> None:
    dice, k, radius = random.Random(7), 32, 6_400
    crowds = []
    for count, spread, clusters in (
        (1, 1, 1),
        (20, 5_000, 1),
        (700, 5_000, 1),
        (900, 40, 5),
        (600, 90_000, 3),
    ):
        centres = [
            (dice.randrange(-60_000, 60_000), dice.randrange(-60_000, 60_000)) for _ in range(clusters)
        ]
        points = [dice.choice(centres) for _ in range(count)]
        east, north = ([round(dice.gauss(point[axis], spread)) for point in points] for axis in (0, 1))
        crowds.append({"east": east, "north": north})
    crowds.append({"east": [5] * 100, "north": [9] * 100})  # all on one point
    crowds.append({"east": list(range(0, 300_000, 300)), "north": [0] * 1_000})  # a line
    answer = subprocess.run(
        [node, "--input-type=module", "-e", SEARCH],
        input=json.dumps({"k": k, "radius": radius, "crowds": crowds}),
        cwd=FOLDER,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    for crowd, answers in zip(crowds, json.loads(answer.stdout), strict=True):
        places = list(zip(crowd["east"], crowd["north"], strict=True))
        for i, found in enumerate(answers):
            squares = [(e - places[i][0]) ** 2 + (n - places[i][1]) ** 2 for e, n in places]
            near = sorted(square for j, square in enumerate(squares) if j != i and square <= radius**2)
            assert i not in found
            assert len(set(found)) == len(found)
            assert sorted(squares[j] for j in found) == near[:k]  # of equals any may be taken


def test_a_server_ends_by_itself_when_its_parent_does(node: str) -> None:
    given = {"avatars": 5, "tick_ms": 100, "k": 32, "radius_m": 64}
    for peer in ("ws", "colyseus"):
        with Script(node, f"{peer}_server.mjs", given) as server:
            assert server.answer(20.0)["port"] > 0
        assert server.process.returncode == 0  # it was not killed


def test_a_script_that_fails_is_told_with_its_last_words(node: str) -> None:
    with Script(node, "load.mjs", {"peer": "nobody"}) as load, pytest.raises(PeerFailed, match=r"load\.mjs"):
        load.answer(20.0)


def test_what_npm_fetches_is_locked_by_hash_and_has_no_address() -> None:
    packages = {
        name: entry for name, entry in json.loads(LOCK.read_text("utf-8"))["packages"].items() if name
    }
    asked = json.loads((FOLDER / "package.json").read_text("utf-8"))["dependencies"]
    for name, entry in packages.items():
        assert entry["integrity"].startswith("sha512-"), name
        assert "resolved" not in entry, name
    for name, version in asked.items():
        assert packages[f"node_modules/{name}"]["version"] == version


def test_a_lost_tick_is_no_best() -> None:
    slow = SERVED | {"ticks": 18, "overruns": 2}
    rows = [
        row("ws", Load(1000, 2.0), SERVED, SEEN, 0.5, 2.0),
        row("ws", Load(2000, 2.0), SERVED, SEEN, 0.8, 2.0),
        row("ws", Load(3000, 2.0), slow, SEEN, 1.9, 2.0),
        row("colyseus", Load(500, 2.0), SERVED, SEEN | {"lost": 1}, 1.9, 2.0),
    ]
    assert [one["keeps_tick"] for one in rows] == [True, True, False, False]
    assert best(rows) == {
        "ws": {"avatars": 2000, "avatars_per_core": 5000, "cpu_us_per_client_tick": 20.0},
    }


def test_our_rows_stand_in_the_same_table(tmp_path: Path) -> None:
    ours = {
        "avatars": 3000,
        "cores_used": 0.5,
        "avatars_per_core": 6000,
        "update_age_ms": {"p50": 40, "p99": 90},
    }
    (tmp_path / "one.json").write_text(json.dumps(ours))
    (tmp_path / "sweep.json").write_text(json.dumps({"rows": [ours, ours]}))
    rows = [*read_ours(tmp_path / "one.json"), *read_ours(tmp_path / "sweep.json")]
    assert [one["peer"] for one in rows] == ["ours"] * 3
    printed = Console(file=StringIO(), width=200)
    printed.print(table([row("ws", Load(1000, 2.0), SERVED, SEEN, 0.5, 2.0), *rows]))
    assert isinstance(printed.file, StringIO)
    lines = printed.file.getvalue().splitlines()
    assert sum("ours" in line and "6 000" in line for line in lines) == 3
    assert sum("ws" in line and "4 000" in line for line in lines) == 1
