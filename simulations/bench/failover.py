"""How long a killed node is missed: `kill -9` under walking bots, again and again, as JSON.

    python -m simulations.bench.failover [--kills 5] [--bots 200] [--nodes 4]

`regions_s`: from the kill until another node's map gives every region to a living one. `people_s`: until everybody
plays again. After each kill the node is started again and the city waited for.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from client.lives import populate
from client.lives.ground import Ground
from client.swarm import Swarm
from client.walk import places_around
from shard_node.declared import read
from simulations.processes import City

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main"]

AT_MOST_S: Final = 60.0
POLL_S: Final = 0.02


def _until(holds: Callable[[], bool], what: str) -> float:
    """Seconds until something holds."""
    began_s = time.monotonic()
    while not holds():
        if time.monotonic() - began_s > AT_MOST_S:
            raise SystemExit(f"{what} took more than {AT_MOST_S:.0f} s")
        time.sleep(POLL_S)
    return time.monotonic() - began_s


def _kill(city: City, number: int, swarm: Swarm) -> tuple[float, float]:
    """One kill: seconds until its regions are served, and until everybody is in again."""
    victim, witness = city.nodes[number], city.nodes[(number + 1) % len(city.nodes)]
    key = victim.keys.public.hex()

    def served() -> bool:
        regions = witness.ask_json("/api/v1/regions").get("regions", ())
        return bool(regions) and all(region["holder"] not in (key, None) for region in regions)

    began_s = time.monotonic()
    victim.kill()
    regions_s = _until(served, "serving the regions again")
    _until(lambda: swarm.playing == len(swarm.bots), "everybody's return")
    people_s = time.monotonic() - began_s
    victim.start()
    _until(lambda: not city.not_ready(), "the node's return")
    return regions_s, people_s


def main() -> None:
    """Kills one node after the other and prints what it cost."""
    parser = argparse.ArgumentParser(description="How long a killed node is missed.")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--bots", type=int, default=200)
    parser.add_argument("--nodes", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, City(Path(folder), given.nodes, places_around()) as city:
        city.start()
        _until(lambda: not city.not_ready(), "the start")
        swarm = Swarm(city.play_urls, populate(given.bots, 1, Ground(read(), places_around())), 1)
        over = threading.Event()
        thread = threading.Thread(target=swarm.run, args=(lambda _: over.is_set(),))
        thread.start()
        try:
            _until(lambda: swarm.playing == given.bots, "logging in")
            figures = [_kill(city, kill % given.nodes, swarm) for kill in range(given.kills)]
        finally:
            over.set()
            thread.join()
            swarm.close()
        told = swarm.gauges.figures(swarm.now_s())
    print(json.dumps(_summary(figures, told, given.bots), indent=2))


def _summary(figures: list[tuple[float, float]], told: dict[str, Any], bots: int) -> dict[str, Any]:
    regions, people = zip(*figures, strict=True)

    def spread(seconds: tuple[float, ...]) -> dict[str, float]:
        return {"p50": round(statistics.median(seconds), 2), "max": round(max(seconds), 2)}

    return {
        "kills": len(figures),
        "bots": bots,
        "regions_s": spread(regions),
        "people_s": spread(people),
        "avatars_lost": told["avatars_lost"],
        "avatars_twinned": told["avatars_twinned"],
        "machine": {"python": platform.python_version(), "system": platform.system()},
    }


if __name__ == "__main__":
    main()
