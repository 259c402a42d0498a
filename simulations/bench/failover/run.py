"""The run: a city of nodes on hosts of their own, blow after blow, and what each one cost.

A blow strikes the node that holds the region with the people: `kill -9`, or all its cables are pulled, those to the
people, the other nodes and the store. Once everybody is with the new holder, and all lanterns are seen, the node
comes back, and the city is waited for until every region has a standby again.

*served*: from the blow until another node's map gives the struck node's regions to the living, and whoever holds the
people's region says so itself.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.geometry import Cell
from p2pworld.limits import LEASE_TTL_S
from simulations.bench.crowd import ground
from simulations.bench.crowd.nodes import machine
from simulations.bench.crowd.run import BenchFailed, until
from simulations.bench.failover.people import STROLL_MIDDLE_CM
from simulations.etcd_server import EtcdServer
from simulations.fabric import Host, Lan
from simulations.processes import SQLITE, City, NodeProcess, begin_child, python_environment

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["main", "run_failovers"]

NODES: Final = 4
ETCD_MEMBERS: Final = 3
READY_S: Final = 60.0
SERVED_S: Final = 30.0
SEEN_S: Final = 20.0
WATCH_S: Final = (
    1.5  # in which it is seen where everybody is shown, and lanterns are hung at the node to be struck
)
POLL_S: Final = 0.02


class _People:
    """The process of the people, on its host."""

    def __init__(self, host: Host, urls: list[str], people: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "simulations.bench.failover.people"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=python_environment(),
            preexec_fn=begin_child(host.enter),
        )
        if not self.ask(urls=urls, people=people, within_s=READY_S)["in"]:
            raise BenchFailed("not everybody came in")

    def ask(self, **order: Any) -> dict[str, Any]:
        """What they answer to one order.

        Raises:
            BenchFailed: they have ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise BenchFailed("the process of the people has ended")
        value: dict[str, Any] = json.loads(answer)
        return value

    def close(self) -> None:
        self._process.communicate()


def _regions(asked: NodeProcess) -> list[dict[str, Any]]:
    regions: list[dict[str, Any]] = asked.ask_json("/api/v1/regions").get("regions", [])
    return regions


def _holder(asked: NodeProcess) -> str:
    """Who holds the people's region, as `asked` knows the map."""
    return next(
        (
            str(r["holder"])
            for r in _regions(asked)
            if Cell.from_quadkey(r["cell"]).contains_point(*STROLL_MIDDLE_CM)
        ),
        "",
    )


def _served(living: list[NodeProcess], struck: str) -> str:
    """The key of who holds the people's region, once it is none struck and says so, and all regions are held."""
    holders = [r["holder"] for r in _regions(living[0])]
    if not holders or struck in holders or None in holders:
        return ""
    holder = _holder(living[0])
    itself = [node for node in living if node.keys.public.hex() == holder]
    return holder if itself and _holder(itself[0]) == holder else ""


def _ready(city: City) -> None:
    until(lambda: not city.not_ready(), READY_S, lambda: f"the city is not ready: {city.not_ready()}")


def _blow(city: City, lan: Lan, crowd: _People, how: str, people: int) -> dict[str, Any]:
    """One blow, and the return of who was struck."""
    key = _holder(city.nodes[0])
    (struck,) = [node for node in city.nodes if node.keys.public.hex() == key]
    living = [node for node in city.nodes if node is not struck]
    lapses = city.counted("incarnations-ended", living)
    owned = crowd.ask(do="blow", struck=key)
    time.sleep(WATCH_S)
    blow_s = time.monotonic()
    if how == "kill":
        struck.kill()
    else:
        lan.pull(struck.name)
    holder = ""

    def served() -> bool:
        nonlocal holder
        holder = _served(living, key)
        return bool(holder)

    until(served, SERVED_S, lambda: "nobody serves the regions of the node that was struck")
    served_s = time.monotonic() - blow_s
    told = crowd.ask(do="after", blow_s=blow_s, struck=key, holder=holder, within_s=SERVED_S)
    told |= {"served_s": round(served_s, 3), "owned": owned["people"], "everybody": people}
    told["lanterns_unseen"] = len(crowd.ask(do="lanterns", within_s=SEEN_S)["unseen"])
    if how == "kill":
        struck.start()
    else:
        lan.plug(struck.name)
    _ready(city)
    told["ready_again_s"] = round(time.monotonic() - blow_s, 3)
    told["falsely_ended"] = city.counted("incarnations-ended", living) - lapses
    until_s = time.monotonic() + SEEN_S
    while (counted := _counted(city)) != people and time.monotonic() < until_s:
        time.sleep(POLL_S)
    return told | {"counted_by_nodes": counted}


def _counted(city: City) -> int:
    """How many people the nodes own, each counting its own."""
    return sum(
        region["people"] or 0
        for node in city.nodes
        for region in _regions(node)
        if region["holder"] == node.keys.public.hex()
    )


def _etcd(stack: ExitStack, folder: Path, hosts: list[Host]) -> str:
    """Three members of etcd on hosts of their own; the text of the nodes' `[coordination]`."""
    folder.mkdir()
    try:
        server = stack.enter_context(EtcdServer(folder, ETCD_MEMBERS, hosts=hosts))
    except FileNotFoundError as error:
        raise BenchFailed(str(error)) from None
    endpoints = json.dumps([member.url for member in server.members])
    return f'engine = "etcd"\nendpoints = {endpoints}\nprefix = "seoul/"\n'


def run_failovers(
    kills: int,
    people: int,
    engine: str,
    how: str,
    folder: Path,
    ttl_s: float | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """So many blows, in `folder`, which is empty; the caller is inside a network of its own.

    Raises:
        BenchFailed: somebody or something did not come back in time.
        OSError: this machine does not allow such a network.
    """
    nodes = [f"node-{number}" for number in range(1, NODES + 1)]
    stores = [f"store-{number}" for number in range(1, ETCD_MEMBERS + 1)] if engine == "etcd" else []
    runs = []
    with ExitStack() as stack:
        lan = stack.enter_context(Lan([*nodes, *stores, "people"]))
        hosts = [lan.hosts[name] for name in (*nodes, *stores)]
        store = _etcd(stack, folder / "etcd", hosts[NODES:]) if engine == "etcd" else SQLITE
        city = stack.enter_context(
            City(
                folder / "city",
                NODES,
                (),
                dealt=ground.dealt(NODES),
                ttl_s=ttl_s,
                store=store,
                hosts=hosts[:NODES],
            )
        )
        city.start()
        _ready(city)
        crowd = _People(lan.hosts["people"], city.play_urls, people)
        stack.callback(crowd.close)
        _ready(city)
        for number in range(1, kills + 1):
            runs.append(_blow(city, lan, crowd, how, people))
            say(f"{number}/{kills}: {json.dumps(runs[-1])}")
    return {
        "bench": "failover",
        "engine": engine,
        "how": how,
        "ttl_s": ttl_s or LEASE_TTL_S,
        "people": people,
        "kills": kills,
        **_summary(runs),
        "runs": runs,
        "machine": machine(),
    }


def _summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all blows: the median and the worst of the worst each blow did to anybody."""

    def over(worst: list[float]) -> dict[str, float]:
        return {"p50": round(statistics.median(worst), 3), "max": round(max(worst), 3)} if worst else {}

    told: dict[str, Any] = {"served_s": over([run["served_s"] for run in runs])}
    for name in ("noticed_s", "in_again_s", "at_holder_s", "set_back_ms", "unseen_walk_ms"):
        told[name] = over([run[name]["max"] for run in runs if run[name]])
    told["lanterns_acknowledged"] = runs[-1]["lanterns_acknowledged"]
    for name in ("lost", "twinned", "stopped"):
        told[name] = runs[-1][name]
    for name in ("lanterns_unseen", "falsely_ended"):
        told[name] = sum(run[name] for run in runs)
    told["miscounted"] = sum(run["counted_by_nodes"] != run["everybody"] for run in runs)
    told["not_back_in_time"] = sum(not (run["everybody_in"] and run["everybody_at_holder"]) for run in runs)
    return told


def main() -> None:
    """Runs, says each blow on the standard error, and prints the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, required=True)
    parser.add_argument("--people", type=int, required=True)
    parser.add_argument("--engine", choices=("sqlite", "etcd"), required=True)
    parser.add_argument("--how", choices=("kill", "blackhole"), required=True)
    parser.add_argument("--ttl-s", type=float)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="p2pworld-failover-") as folder:
        try:
            told = run_failovers(
                given.kills,
                given.people,
                given.engine,
                given.how,
                Path(folder),
                given.ttl_s,
                lambda text: print(text, file=sys.stderr, flush=True),
            )
        except BenchFailed as error:
            sys.exit(str(error))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
