"""What choosing and encoding everybody's frames costs, and how true they are: no sockets, no node, as JSON.

    python -m simulations.bench.interest [--people 500 3000 10000] [--side-m 100] [--ticks 60] [--crowd uniform]

All people are clients of one node, and a fifth of them walk. CPU is that of this thread, frames and tuples of sockets
included. `recall` is the share of the 32 nearest (within 64 m) of sampled clients that their frame of the tick holds.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.ids import Login
from p2pworld.limits import CLIENT_BYTES_PER_S, VIEW_CM
from p2pworld.messages import Pose
from p2pworld.wire.frames import decode_poses
from p2pworld.world.crowd import MINE, Crowd
from p2pworld.world.interest import Shed, leaf_frames
from shard_node.memory import keep_memory

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from p2pworld.messages import Frame

__all__ = ["CROWDS", "crowd_at", "main", "measure", "place"]

CROWDS: Final = ("uniform", "gaussian", "grouped", "gapped", "point", "city")
MIDDLE_CM: Final = 3_276_800 + 1_700
STEP_CM: Final = 14  # of a walker in a tick
WALKERS: Final = 0.2
HEADER_BYTES: Final = 4  # of a WebSocket message of over 125 bytes, from a node
NEAREST: Final = 32
PROBES: Final = 200
WARM_TICKS: Final = 10


def place(kind: str, people: int, side_cm: int, rng: np.random.Generator) -> NDArray[np.int32]:
    """East and north of each, i32[people, 2]: all over a square; around its middle; in groups of a dozen; on two sides
    of an empty lane; on one point; in groups all over the city."""
    if kind == "gaussian":
        at = rng.normal(0, side_cm / 5, (people, 2))
    elif kind == "grouped":
        groups = rng.uniform(-side_cm / 2, side_cm / 2, (people // 12 + 1, 2))
        at = groups[rng.integers(0, len(groups), people)] + rng.normal(0, 80, (people, 2))
    elif kind == "gapped":
        at = rng.uniform(-side_cm / 2, side_cm / 2, (people, 2))
        at[:, 0] += np.where(at[:, 0] > 0, 1_500, -1_500)
    elif kind == "point":
        at = np.zeros((people, 2))
    elif kind == "city":
        groups = rng.uniform(-1_500_000, 1_500_000, (people // 40 + 1, 2))
        at = groups[rng.integers(0, len(groups), people)] + rng.normal(0, 1_500, (people, 2))
    else:
        at = rng.uniform(-side_cm / 2, side_cm / 2, (people, 2))
    return (at + MIDDLE_CM).astype(np.int32)


def crowd_at(places: NDArray[np.int32]) -> Crowd:
    """Everybody there is a client, and its socket has its row's number."""
    crowd = Crowd(len(places), clients=len(places))
    login = Login(1_000, bytes(16))
    for number, (east, north) in enumerate(places.tolist()):
        crowd.attach(crowd.add(number * 7_919 + 1, login, 0, 0, Pose(east, north), MINE), number)
    return crowd


def _recall(crowd: Crowd, frames: list[Frame], rng: np.random.Generator) -> tuple[int, int]:
    """Of the nearest of some clients: how many their frame's first payload holds, and how many there are."""
    frame_of = {conn: frame for frame in frames for conn in frame.conns}
    top = crowd.count
    held = nearest = 0
    for conn in rng.choice(top, min(PROBES, top), replace=False).tolist():
        east = crowd.east_cm[:top].astype(np.int64) - int(crowd.east_cm[conn])
        north = crowd.north_cm[:top].astype(np.int64) - int(crowd.north_cm[conn])
        squares = east * east + north * north
        others = squares.argsort(kind="stable")[: NEAREST + 1]
        others = others[(squares[others] <= VIEW_CM * VIEW_CM) & (others != conn)][:NEAREST]
        told = decode_poses(frame_of[conn].payloads[0])
        # somebody equally far away is as good
        farthest = squares[others[-1]] if len(others) else 0
        seen = np.isin(crowd.id[:top], told.ids)
        held += min(int((seen & (squares <= farthest)).sum()) - 1, len(others)) if len(others) else 0
        nearest += len(others)
    return held, nearest


def measure(kind: str, people: int, side_m: float, ticks: int, shed: Shed, seed: int = 1) -> dict[str, Any]:
    """One crowd through so many ticks."""
    rng = np.random.default_rng(seed)
    crowd = crowd_at(place(kind, people, int(side_m * 100), rng))
    walking = rng.random(people) < WALKERS
    cpu_us, leaves, tick_bytes = [], [], []
    bytes_to = np.zeros(people, np.int64)
    digest = hashlib.sha256()
    held = nearest = 0
    for tick in range(WARM_TICKS + ticks):
        steps = rng.integers(-STEP_CM, STEP_CM + 1, (people, 2), dtype=np.int32) * walking[:, None]
        crowd.east_cm[:people] += steps[:, 0]
        crowd.north_cm[:people] += steps[:, 1]
        began_s = time.thread_time()
        shown = leaf_frames(crowd, tick, tick * 100, shed=shed)
        took_s = time.thread_time() - began_s
        if tick < WARM_TICKS:
            continue
        cpu_us.append(took_s * 1e6 / people)
        leaves.append(len(shown.frames))
        before = int(bytes_to.sum())
        for frame in shown.frames:
            bytes_to[list(frame.conns)] += sum(map(len, frame.payloads)) + HEADER_BYTES * len(frame.payloads)
            digest.update(b"".join(frame.payloads))
        tick_bytes.append((int(bytes_to.sum()) - before) / people)
        if tick % 10 == 0:
            some = _recall(crowd, shown.frames, rng)
            held, nearest = held + some[0], nearest + some[1]
    bytes_s = bytes_to / (ticks / 10)
    return {
        "crowd": kind,
        "people": people,
        "leaves": round(float(np.mean(leaves)), 1),
        "cpu_us_per_client_tick": {
            "mean": round(float(np.mean(cpu_us)), 3),
            "p50": round(float(np.median(cpu_us)), 3),
            "p99": round(float(np.percentile(cpu_us, 99)), 3),
        },
        "tick_bytes_per_client": {"p50": round(float(np.median(tick_bytes))), "max": round(max(tick_bytes))},
        "bytes_per_client_s": {
            "p50": round(float(np.median(bytes_s))),
            "p99": round(float(np.percentile(bytes_s, 99))),
            "max": round(float(bytes_s.max())),
        },
        "bytes_bound": CLIENT_BYTES_PER_S,
        "nearest32_recall": round(held / nearest, 5) if nearest else 1.0,
        "result_hash": digest.hexdigest()[:16],
    }


def main() -> None:
    """Measures each size of each crowd and prints all."""
    parser = argparse.ArgumentParser(description="CPU, bytes and recall of interest alone.")
    parser.add_argument("--people", type=int, nargs="+", default=[500, 1_500, 3_000, 5_000, 10_000])
    parser.add_argument("--side-m", type=float, default=100.0)
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--crowd", choices=CROWDS, nargs="+", default=["uniform"])
    parser.add_argument("--shed", type=int, choices=[int(level) for level in Shed], default=0)
    given = parser.parse_args()
    keep_memory()  # as a node does
    runs = [
        measure(kind, people, given.side_m, given.ticks, Shed(given.shed))
        for kind in given.crowd
        for people in given.people
    ]
    machine = {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "cores": os.cpu_count(),
        "cpu": platform.machine(),
    }
    print(
        json.dumps({"bench": "interest", "side_m": given.side_m, "runs": runs, "machine": machine}, indent=2)
    )


if __name__ == "__main__":
    main()
