"""One crowd over a border: what neighbours tell each other at a corner, what that costs, and how old it is when shown.

    python -m simulations.bench.borders corner [--avatars 5000] [--sigma-m 20]
    python -m simulations.bench.borders ages [--seed 1] [--seconds 60]

`corner` puts a crowd around the point where four nodes' ground meets, and lets them tell each other for some ticks:
bytes a node sends, CPU µs (of this thread) to make and to take in the batches, for each avatar, and the share of each
person's 32 nearest within 64 m that the person's own node knows. `ages` lets people walk on a simulated city of four
machines without a common clock: at each frame, how long ago the poses of ghosts had come to the node that owns them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import struct
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.drive import SendFrames
from p2pworld.geometry import Cell
from p2pworld.ids import Login
from p2pworld.messages import Pose
from p2pworld.wire.frames import POSE_BYTES
from p2pworld.world.borders import border_batches
from p2pworld.world.citymap import Member, genesis
from p2pworld.world.crowd import GHOST, MINE, Crowd
from p2pworld.world.region import RegionIndex
from simulations.cluster import City, CityOptions
from simulations.events import Trace
from simulations.faults import PRESETS
from simulations.workload import WalkOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from simulations.machine import Process

__all__ = ["ages", "corner", "main"]

LEVEL: Final = 9  # squares of 128 m
CORNER_CM: Final = (66 * 51_200, 64 * 51_200)
STANDING: Final = 0.8
TICKS: Final = 20
SAMPLED: Final = 500
NEAREST: Final = 32
NEAR_CM: Final = 6_400
SETTLE_S: Final = 12.0  # in which phases find each other


def corner(avatars: int, sigma_m: float, seed: int = 1) -> dict[str, Any]:
    """A crowd around the corner, told about for a while."""
    rng = np.random.default_rng(seed)
    east, north = (
        np.clip(rng.normal(0.0, sigma_m * 100, (2, avatars)), -12_000, 12_000).astype(np.int64)
        + np.array(CORNER_CM)[:, None]
    )
    members = [Member(bytes([number + 1]) * 32, 1, "link", "play", "web") for number in range(4)]
    side = Cell.at(*CORNER_CM, LEVEL).side_cm
    claims = {
        members[column + 2 * row]: [
            Cell.at(CORNER_CM[0] + (column - 1) * side, CORNER_CM[1] + (row - 1) * side, LEVEL)
        ]
        for column in (0, 1)
        for row in (0, 1)
    }
    city = genesis(claims)
    indexes = [RegionIndex(city, member.who) for member in members]  # type: ignore[arg-type]
    crowds = [Crowd(16_384) for _ in members]
    home = (east >= CORNER_CM[0]) + 2 * (north >= CORNER_CM[1])
    ids = rng.choice(2**53 - 1, avatars, replace=False) + 1
    rows = np.zeros(avatars, np.int32)
    for i in range(avatars):
        pose = Pose(int(east[i]), int(north[i]))
        rows[i] = crowds[home[i]].add(int(ids[i]), Login(1_000, bytes(16)), 0, 1, pose, MINE, 0.0)
    made_s = taken_s = 0.0
    sent: NDArray[np.int64] = np.zeros((TICKS, 4), np.int64)
    for tick in range(TICKS):
        now_s = 1.0 + tick / 10
        walking = rng.random(avatars) >= STANDING
        for number, crowd in enumerate(crowds):
            at = rows[walking & (home == number)]
            crowd.seq[at] += 1
            crowd.yaw[at] += 1
        batches = []
        for number, (crowd, index) in enumerate(zip(crowds, indexes, strict=True)):
            began_s = time.thread_time()
            told = border_batches(crowd, index, round(now_s * 1000))
            made_s += time.thread_time() - began_s
            for holder, (batch, density) in told.items():
                sent[tick, number] += batch.nbytes + len(density)
                to = members.index(next(m for m in members if m.who == index.holders[holder]))
                batches.append((number, to, batch))
        for number, to, batch in batches:
            holder = indexes[to].number_of[members[number].who]
            began_s = time.thread_time()
            crowds[to].merge_ghosts(number, batch, indexes[to], holder, now_s)
            taken_s += time.thread_time() - began_s
    known = [set(crowd.row_of) for crowd in crowds]
    there = {"known": 0, "of": 0}
    for i in rng.choice(avatars, min(SAMPLED, avatars), replace=False):
        squared = (east - east[i]) ** 2 + (north - north[i]) ** 2
        nearest = squared.argpartition(min(NEAREST, avatars - 1))[: NEAREST + 1]
        nearest = nearest[(squared[nearest] <= NEAR_CM**2) & (nearest != i)]
        there["of"] += len(nearest)
        there["known"] += sum(int(ids[j]) in known[home[i]] for j in nearest)
    per = 1e6 / TICKS / avatars
    return {
        "avatars": avatars,
        "sigma_m": sigma_m,
        "ghosts_per_node": [int((crowd.kind == GHOST).sum()) for crowd in crowds],
        "kb_per_node_s_max": round(10 * float(sent[1:].mean(axis=0).max()) / 1000, 1),
        "make_us_per_avatar": round(made_s * per, 3),
        "take_us_per_avatar": round(taken_s * per, 3),
        "nearest32_recall": round(there["known"] / max(1, there["of"]), 5),
        "result_hash": hashlib.sha256(sent.tobytes()).hexdigest()[:16],
    }


class _Arrivals(Trace):
    """When each place was last told to the node that owns who stands there."""

    def __init__(self) -> None:
        super().__init__()
        self.came_s: dict[tuple[int, int], float] = {}

    def add(self, time_s: float, kind: bytes, *parts: bytes) -> None:
        super().add(time_s, kind, *parts)
        if kind == b"C" and len(parts[0]) == POSE_BYTES:
            east, north = struct.unpack_from("<ii", parts[0], 4)
            self.came_s.setdefault((east, north), time_s)


class _Watched(City):
    """A city in which the ages of ghosts are noted whenever frames leave."""

    def __init__(self, seed: int, seconds: float, options: CityOptions) -> None:
        super().__init__(seed, seconds / 60, PRESETS["none"], options)
        self.arrivals = _Arrivals()
        self.ages_ms: list[float] = []
        self.trace = self.arrivals
        self._shown: dict[tuple[int, int], tuple[int, int]] = {}

    def before_effect(self, process: Process, effect: object) -> None:
        super().before_effect(process, effect)
        if isinstance(effect, SendFrames) and self.agenda.now_s > SETTLE_S and self.walking:
            crowd = process.node.parts.crowd
            for row in np.flatnonzero(crowd.kind == GHOST).tolist():
                place = int(crowd.east_cm[row]), int(crowd.north_cm[row])
                who = process.number, int(crowd.id[row])
                came_s = self.arrivals.came_s.get(place)
                if came_s is not None and self._shown.get(who) != place:
                    self.ages_ms.append((self.agenda.now_s - came_s) * 1000)
                    self._shown[who] = place


def ages(seed: int, seconds: float) -> dict[str, Any]:
    """How old the poses of ghosts are when frames show them first."""
    walk = WalkOptions(pose_every_s=0.1, linger_s=0.1, switch_per_s=1e-6, quit_per_s=1e-6)
    options = CityOptions(people=40, second_devices=0, level=11, columns=4, rows=4, tick_ms=100, walk=walk)
    city = _Watched(seed, seconds + SETTLE_S, options)
    outcome = city.run()
    p50, p90, p99 = np.quantile(city.ages_ms, (0.5, 0.9, 0.99))
    return {
        "ghost_age_ms": {"p50": round(p50, 1), "p90": round(p90, 1), "p99": round(p99, 1)},
        "samples": len(city.ages_ms),
        "handoffs": outcome.handoffs,
        "violations": len(outcome.violations),
        "result_hash": outcome.trace_hash,
    }


def main() -> None:
    """Prints what was measured as JSON."""
    parser = argparse.ArgumentParser(prog="borders", description=__doc__.splitlines()[0] if __doc__ else "")
    kinds = parser.add_subparsers(dest="what", required=True)
    one = kinds.add_parser("corner")
    one.add_argument("--avatars", type=int, default=5_000)
    one.add_argument("--sigma-m", type=float, default=20.0)
    two = kinds.add_parser("ages")
    two.add_argument("--seed", type=int, default=1)
    two.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    print(
        json.dumps(
            corner(given.avatars, given.sigma_m)
            if given.what == "corner"
            else ages(given.seed, given.seconds),
            indent=2,
        )
    )


if __name__ == "__main__":
    main()
