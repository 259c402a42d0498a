"""One run of the crowd: node processes, bot processes, phases, and what it came to as plain values.

The nodes' CPU is read from their processes at the beginning and at the end of the measured window, when everybody is in
and stands; the bots' is theirs. `scale` slows the clock of both sides: ticks, poses and walking take so many times
longer, and all that is told is told for a second of the simulated crowd.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.limits import TICK_MS
from simulations.bench.crowd import ground
from simulations.bench.crowd.bots import AWAY_S, Job
from simulations.bench.crowd.certificate import write_certificate
from simulations.bench.crowd.nodes import Reading, machine, read_nodes
from simulations.bench.crowd.table import Phase, SentTable
from simulations.bench.crowd.watch import spread
from simulations.processes import City, start_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["BenchFailed", "Crowd", "run_crowd"]

READY_S: Final = 60.0
STALLED_S: Final = 30.0  # nobody came in for so long
POLL_S: Final = 0.1
SETTLE_S: Final = 3.0
PACED_PER_S: Final = 500  # people that the nodes bring into step
END_S: Final = 30.0
LOST_S: Final = 10.0
FILES: Final = 65_536
SCALE_MAX: Final = 10.0  # a tick of a second is the longest a node has


class BenchFailed(Exception):
    """The bench cannot go on; the message is what a person reads."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is run. Seconds are those of the simulated crowd."""

    avatars: int
    seconds: float
    side_m: float = 100.0
    processes: int = 1
    standing: float = 0.8
    churn: float = 0.01
    scale: float = 1.0
    tls: bool = False
    watchers: int = 100
    bot_processes: int = 1
    seed: int = 1


def run_crowd(crowd: Crowd, folder: Path, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Runs it in `folder`, which is empty, and returns the figures.

    Raises:
        BenchFailed: the nodes or the bots did not do what they were started for.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES), most))
    tls = write_certificate(folder) if crowd.tls else None
    city = City(
        folder,
        crowd.processes,
        (),
        dealt=ground.dealt(crowd.processes),
        tick_ms=round(TICK_MS * crowd.scale),
        tls=tls,
    )
    with city:
        city.start()
        _until(lambda: not city.not_ready(), READY_S, lambda: f"the nodes are not ready: {city.not_ready()}")
        run = _Run(crowd, city, folder, tls[0] if tls else None)
        try:
            return run.go(say)
        finally:
            run.end()


def _until(holds: Callable[[], bool], within_s: float, otherwise: Callable[[], str]) -> None:
    until_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until_s:
            raise BenchFailed(otherwise())
        time.sleep(POLL_S)


class _Run:
    """The bots of a run, beside a city that is ready."""

    def __init__(self, crowd: Crowd, city: City, folder: Path, certificate: Path | None) -> None:
        self.crowd, self.city, self.folder = crowd, city, folder
        self.jobs = _jobs(crowd, city.play_urls, folder, certificate)
        self.table = SentTable(folder / "sent.table", self.jobs[0].bots)
        self.processes: list[subprocess.Popen[bytes]] = []
        for job in self.jobs:
            job.write(folder / f"bots-{job.party}.job.json")
            with (folder / f"bots-{job.party}.log").open("ab") as log:
                arguments = ["-m", "simulations.bench.crowd.bots", str(folder / f"bots-{job.party}.job.json")]
                self.processes.append(start_child(arguments, log, log))

    def go(self, say: Callable[[str], None]) -> dict[str, Any]:
        """All phases; the figures."""
        crowd, table = self.crowd, self.table
        self._come_in(say)
        say(f"{crowd.avatars} are in; they find their step")
        self._phase(Phase.SETTLE)
        self._pass(SETTLE_S * crowd.scale + crowd.avatars / PACED_PER_S)
        nodes = self.city.nodes
        self._phase(Phase.MEASURE)
        before, began = read_nodes(nodes), self._bots_now()
        say(f"measuring {crowd.seconds:g} s")
        self._pass(crowd.seconds * crowd.scale)
        after, ended = read_nodes(nodes), self._bots_now()
        lost = int((table.present & (time.monotonic() - table.heard_s > LOST_S * crowd.scale)).sum())
        missing = max(0, crowd.avatars - int(table.present.sum()) - 2 * math.ceil(crowd.avatars * crowd.churn))
        self.end()
        return self._figures(before, after, began, ended, lost + missing)

    # ------------------------------------------------------------------------------------------- phases

    def _come_in(self, say: Callable[[str], None]) -> None:
        inside, since_s = 0, time.monotonic()
        while inside < self.crowd.avatars:
            self._alive()
            time.sleep(POLL_S)
            now = int(self.table.present.sum())
            if now > inside:
                inside, since_s = now, time.monotonic()
                say(f"{inside} of {self.crowd.avatars} are in")
            elif time.monotonic() - since_s > STALLED_S:
                raise BenchFailed(f"only {inside} of {self.crowd.avatars} came in")

    def _phase(self, phase: Phase) -> None:
        self.table.order = phase
        parties = [job.party for job in self.jobs]
        _until(
            lambda: bool((self.table.reached[parties] == phase).all()),
            END_S,
            lambda: f"the bots did not reach {phase.name}",
        )

    def _pass(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
            self._alive()

    def _alive(self) -> None:
        for node in self.city.dead():
            assert node.process is not None
            raise BenchFailed(f"{node.name} ended with {node.process.returncode}:\n{node.log_tail()}")
        for job, process in zip(self.jobs, self.processes, strict=True):
            if process.poll() is not None:
                log = (self.folder / f"bots-{job.party}.log").read_text("utf-8", "replace")
                raise BenchFailed(f"bots ended with {process.returncode}:\n{log[-2000:]}")

    def end(self) -> None:
        """Ends the bots, by word first."""
        self.table.order = Phase.END
        for process in self.processes:
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    # ------------------------------------------------------------------------------------------- figures

    def _bots_now(self) -> tuple[float, NDArray[np.int64], NDArray[np.float64]]:
        """Now, the bytes each bot has received, and since when it is in (never: infinity)."""
        table = self.table
        return time.monotonic(), table.bytes_in.copy(), np.where(table.present, table.since_s, np.inf)

    def _figures(
        self,
        before: Sequence[Reading],
        after: Sequence[Reading],
        began: tuple[float, NDArray[np.int64], NDArray[np.float64]],
        ended: tuple[float, NDArray[np.int64], NDArray[np.float64]],
        lost: int,
    ) -> dict[str, Any]:
        crowd = self.crowd
        seconds = (ended[0] - began[0]) / crowd.scale
        reports = [json.loads(Path(job.report).read_text("utf-8")) for job in self.jobs]
        watch = next(r["snapshots"]["MEASURE"]["watch"] for r, j in zip(reports, self.jobs, strict=True) if j.watching)
        cpus_s = [r["snapshots"]["MEASURE"]["cpu_s"] - r["snapshots"]["SETTLE"]["cpu_s"] for r in reports]
        bot_cpu_s, watch_cpu_s = sum(cpus_s), cpus_s[0]
        nodes = [new - old for new, old in zip(after, before, strict=True)]
        cpu_s = sum(node.user_s + node.system_s for node in nodes)
        stayed = np.isfinite(began[2]) & (began[2] == ended[2])
        bytes_per_s = (ended[1] - began[1])[stayed] / seconds
        counted: dict[str, int] = {}
        for node in nodes:
            for what, times in node.counters.items():
                if times:
                    counted[what] = counted.get(what, 0) + times
        shed = {
            what: times
            for what, times in sorted(counted.items())
            if "shed" in what or what.startswith(("play.frames_late", "executor.ticks_missed", "play.frames_half"))
        }
        joins = np.array([ms for report in reports for ms in report["joins_ms"]])
        cores = cpu_s / seconds
        tick_hz = watch["tick_hz"]
        figures: dict[str, Any] = {
            "bench": "crowd",
            "avatars": crowd.avatars,
            "seconds": round(seconds, 2),
            "area_m": crowd.side_m,
            "processes": crowd.processes,
            "standing": crowd.standing,
            "churn_per_s": crowd.churn,
            "time_scale": crowd.scale,
            "tls": crowd.tls,
            "tick_hz": tick_hz,
            "cores_used": round(cores, 3),
            "avatars_per_core": round(crowd.avatars / cores) if cores else 0,
            "cpu_us_per_client_tick": round(cpu_s * 1e6 / (crowd.avatars * seconds * max(tick_hz, 0.1)), 2),
            "cpu_system_share": round(sum(node.system_s for node in nodes) / max(cpu_s, 1e-9), 3),
            **watch,
            "bytes_down_per_client_s": spread(bytes_per_s, 0.5, 0.99, 1, digits=0),
            "frames_skipped": counted.get("play.frames_skipped", 0),
            "shed": shed,
            "join_ms": spread(joins, 0.5, 0.99),
            "lost": lost,
            "poses_in": counted.get("play.poses_in", 0),
            "bot_cores_used": round(bot_cpu_s / seconds, 3),
            "watch_cores_used": round(watch_cpu_s / seconds, 3),
            "bot_cpu_us_per_client_tick": round(
                (bot_cpu_s - watch_cpu_s) * 1e6 / (max(1, crowd.avatars - crowd.watchers) * seconds * max(tick_hz, 0.1)),
                2,
            ),
            "bots": _summed([report["counters"] for report in reports]),
            "node_rss_mb": [round(node.rss_mb, 1) for node in after],
            "node_counters": dict(sorted(counted.items())),
            "machine": machine(),
        }
        result = json.dumps(figures, sort_keys=True).encode()
        return figures | {"result_hash": hashlib.sha256(result).hexdigest()}


def _summed(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    out: dict[str, int] = {}
    for one in counts:
        for what, times in one.items():
            out[what] = out.get(what, 0) + times
    return dict(sorted(out.items()))


def _jobs(crowd: Crowd, urls: Sequence[str], folder: Path, certificate: Path | None) -> list[Job]:
    """Who does what: the watchers in a process of their own, everybody else in the others."""
    watchers = min(crowd.watchers, crowd.avatars)
    others = crowd.avatars - watchers
    parties = min(crowd.bot_processes, max(1, others)) if others else 0
    spares = math.ceil(crowd.avatars * crowd.churn * (AWAY_S + 2)) if parties else 0
    shares = [(others // parties + (p < others % parties), -(-spares // parties)) for p in range(parties)]
    bots = watchers + sum(members + spare for members, spare in shares)
    common: dict[str, Any] = {
        "table": str(folder / "sent.table"),
        "bots": bots,
        "urls": tuple(urls),
        "side_cm": round(crowd.side_m * 100),
        "standing": crowd.standing,
        "scale": crowd.scale,
        "seed": crowd.seed,
        "certificate": str(certificate or ""),
    }
    jobs = [
        Job(
            party=0, first=0, count=watchers, members=watchers, watching=True,
            report=str(folder / "bots-0.json"), **common,
        )
    ]  # fmt: skip
    first = watchers
    for party, (members, spare) in enumerate(shares, 1):
        jobs.append(
            Job(
                party=party, first=first, count=members + spare, members=members,
                churn_per_s=crowd.avatars * crowd.churn / parties, report=str(folder / f"bots-{party}.json"),
                **common,
            )
        )  # fmt: skip
        first += members + spare
    return jobs
