"""Whether leases hold under load: a city under strollers that nobody strikes, and how near it came to lapses.

Each node is asked ten times a second how long its lease still lasts. With a renewal each quarter of the lease and a
store that answers at once, it is never below three quarters; at nothing the node has lapsed, without having died.
"""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from client.gauges import percentile
from client.lives.ground import Ground
from client.swarm import Swarm
from client.walk import places_around
from p2pworld.limits import LEASE_TTL_S
from shard_node.declared import read
from simulations.bench.crowd import ground
from simulations.bench.crowd.nodes import cpu_s, machine
from simulations.bench.crowd.run import BenchFailed, until
from simulations.bench.failover.people import Stroller
from simulations.processes import City

if TYPE_CHECKING:
    from pathlib import Path

    from simulations.processes import NodeProcess

__all__ = ["run_leases"]

NODES: Final = 4
READY_S: Final = 60.0
LOOK_S: Final = 0.1


def run_leases(people: int, seconds: float, ttl_s: float | None, folder: Path) -> dict[str, Any]:
    """So many people in a city of four nodes on SQLite, for so long, in `folder`, which is empty.

    Raises:
        BenchFailed: not everybody came in.
    """
    with City(folder, NODES, (), dealt=ground.dealt(NODES), ttl_s=ttl_s) as city:
        city.start()
        until(lambda: not city.not_ready(), READY_S, lambda: f"the nodes are not ready: {city.not_ready()}")
        lives = [
            Stroller(random.Random(f"lease {n}"), Ground(read(), places_around()), n) for n in range(people)
        ]
        swarm, over = Swarm(city.play_urls, lives, 1), threading.Event()
        walking = threading.Thread(target=swarm.run, args=(lambda _: over.is_set(),))
        walking.start()
        try:
            until(lambda: swarm.playing == people, READY_S, lambda: f"not everybody came in: {swarm.trouble}")
            began_cpu_s, began_s = cpu_s(city.nodes), time.monotonic()
            with ThreadPoolExecutor(NODES) as pool:
                left_s = [
                    left for lefts in pool.map(lambda n: _left_s(n, seconds), city.nodes) for left in lefts
                ]
            used_s, took_s = cpu_s(city.nodes) - began_cpu_s, time.monotonic() - began_s
            lapses, ended = city.counted("lapses"), city.counted("incarnations-ended")
        finally:
            over.set()
            walking.join()
            swarm.close()
    if not left_s:
        raise BenchFailed("no node answered")
    return {
        "bench": "leases",
        "ttl_s": ttl_s or LEASE_TTL_S,
        "people": people,
        "seconds": round(took_s, 1),
        "nodes_cores": round(used_s / took_s, 2),
        "lease_left_s": {
            "min": round(min(left_s), 3),
            "p01": round(percentile(left_s, 0.01), 3),
            "p50": round(percentile(left_s, 0.5), 3),
        },
        "looks": len(left_s),
        "lapses": lapses,
        "incarnations_ended": ended,
        "machine": machine(),
    }


def _left_s(node: NodeProcess, seconds: float) -> list[float]:
    """How long the node's lease still lasted whenever it answered."""
    found = []
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        left = node.ask_json("/healthz").get("lease_left_s")
        if left is not None:
            found.append(float(left))
        time.sleep(LOOK_S)
    return found
