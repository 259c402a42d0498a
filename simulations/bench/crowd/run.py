"""One run of the crowd: node processes, bot processes, phases, and what it came to as plain values.

The nodes' CPU is read from their processes at the beginning and at the end of the measured window, when everybody is in
and in step; the bots' is theirs. `scale` slows the clock of both sides: ticks, poses and walking take so many times
longer, and all that is told is told for a second of the simulated crowd.

A run may have guests: more people than it begins with, or clients that never read. Then a second window is measured
with them, and what follows after they left is told second by second.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.limits import TICK_MS
from simulations.bench.crowd import ground
from simulations.bench.crowd.bots import AWAY_S
from simulations.bench.crowd.certificate import write_certificate
from simulations.bench.crowd.job import Job
from simulations.bench.crowd.nodes import machine, queued_bytes, read_nodes
from simulations.bench.crowd.report import Ran, Window, figures, recovery
from simulations.bench.crowd.table import Phase, SentTable
from simulations.processes import City, start_child

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["BenchFailed", "Crowd", "jobs", "run_crowd", "until"]

READY_S: Final = 120.0
STALLED_S: Final = 120.0  # nobody came in for so long
FULL_S: Final = 5.0  # the same of guests: the nodes take no more
POLL_S: Final = 0.1
SETTLE_S: Final = 3.0
PACED_PER_S: Final = 1_000  # people; those who came first are in step when the last come in
FILLING_S: Final = 5.0  # until the buffers of those who never read are full
AFTER_SURGE_S: Final = 12.0
HEARING_S: Final = 3.0  # until those who never read have read what waited for them
PHASE_S: Final = 120.0
END_S: Final = 120.0
LOST_S: Final = 10.0
FILES: Final = 65_536


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
    never_read: int = 0
    surge: int = 0
    linked: int = 0  # people of the other three nodes, who need no sockets


def run_crowd(crowd: Crowd, folder: Path, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """Runs it in `folder`, which is empty, and returns the figures.

    Raises:
        BenchFailed: the nodes or the bots did not do what they were started for.
    """
    if crowd.linked and crowd.processes != ground.NODES_MAX:
        raise BenchFailed(f"people beyond a border need {ground.NODES_MAX} processes")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, FILES), most))
    folder.mkdir(parents=True, exist_ok=True)
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
        run = _Run(crowd, city, folder, tls[0] if tls else None)
        try:
            run.start()
            return run.go(say)
        finally:
            run.end()


def until(holds: Callable[[], bool], within_s: float, otherwise: Callable[[], str]) -> None:
    until_s = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until_s:
            raise BenchFailed(otherwise())
        time.sleep(POLL_S)


class _Run:
    """The bots of a run, beside a city that is ready."""

    def __init__(self, crowd: Crowd, city: City, folder: Path, certificate: Path | None) -> None:
        self.crowd, self.city, self.folder = crowd, city, folder
        self.jobs = jobs(crowd, city.play_urls, folder, certificate)
        self.table = SentTable(folder / "sent.table", self.jobs[0].bots)
        self.processes: dict[int, subprocess.Popen[bytes]] = {}  # of bots, by party

    def start(self) -> None:
        """Starts the nodes, and when they are ready the bots."""
        for job in self.jobs:
            job.write(self._file(job, "job.json"))
        within = {job.node: job for job in self.jobs if job.node >= 0}
        for number, node in enumerate(self.city.nodes):
            if number not in within:
                node.start()
                continue
            people = str(self._file(within[number], "job.json"))
            arguments = ["-m", "simulations.bench.crowd.neighbour", str(node.config), people]
            with node.log.open("ab") as log:
                node.process = start_child(arguments, log, log)
        until(
            lambda: not self.city.not_ready(),
            READY_S,
            lambda: f"the nodes are not ready: {self.city.not_ready()}",
        )
        self.table.order = Phase.JOIN
        for one in self.jobs:
            if one.node < 0:
                with self._file(one, "log").open("ab") as log:
                    arguments = ["-m", "simulations.bench.crowd.bots", str(self._file(one, "job.json"))]
                    self.processes[one.party] = start_child(arguments, log, log)

    def _file(self, job: Job, ending: str) -> Path:
        return self.folder / f"bots-{job.party}.{ending}"

    def go(self, say: Callable[[str], None]) -> dict[str, Any]:
        """All phases; the figures."""
        crowd = self.crowd
        guests = crowd.never_read + crowd.surge
        everybody = crowd.avatars + crowd.linked
        self._come_in(everybody, say)
        say(f"{everybody} are in; they find their step")
        self._phase(Phase.SETTLE)
        self._pass((SETTLE_S + crowd.avatars / PACED_PER_S) * crowd.scale)
        windows = [self._measure(Phase.MEASURE, say)]
        queued: list[int] = []
        if guests:
            self._phase(Phase.GUESTS)
            guests_in = self._come_in(everybody + guests, say, at_least=everybody) - everybody
            self._pass(FILLING_S * crowd.scale)
            windows.append(self._measure(Phase.MEASURE_AGAIN, say))
            queued = queued_bytes(self.city.nodes)[: crowd.never_read]
            say("the guests leave")
            self._phase(Phase.AFTER)
            self._pass((AFTER_SURGE_S if crowd.surge else HEARING_S) * crowd.scale)
        lost = self._lost()
        self.end()
        within = [job.party for job in self.jobs if job.node >= 0]
        until(
            lambda: bool((self.table.reached[within] == Phase.END).all()),
            PHASE_S,
            lambda: "those within the nodes have not reported",
        )
        reports = [json.loads(Path(job.report).read_text("utf-8")) for job in self.jobs]
        ran = Ran(crowd.avatars, crowd.watchers, crowd.scale, reports)
        told = {
            "bench": "crowd",
            "avatars": crowd.avatars,
            "area_m": crowd.side_m,
            "processes": crowd.processes,
            "standing": crowd.standing,
            "churn_per_s": crowd.churn,
            "time_scale": crowd.scale,
            "tls": crowd.tls,
            "linked": crowd.linked,
            **figures(ran, windows[0]),
            "lost": lost,
        }
        if guests:
            # who never reads gets no frames; of the others, those whom the nodes took
            taken = guests_in if crowd.surge and not crowd.never_read else crowd.surge
            more = Ran(crowd.avatars + taken, crowd.watchers, crowd.scale, reports)
            told["with_guests"] = {"guests": guests, "guests_in": guests_in} | figures(more, windows[1])
            told["after_guests"] = recovery(reports)
        if crowd.never_read:
            oldest = [ms for report in reports for ms in report["oldest_ms"]]
            grown_mb = sum(node.rss_mb for node in windows[1].after) - sum(
                node.rss_mb for node in windows[0].after
            )
            told["never_read"] = {
                "clients": crowd.never_read,
                "kernel_bytes_each": {
                    "max": max(queued, default=0),
                    "mean": round(sum(queued) / crowd.never_read),
                },
                "node_bytes_each": round(grown_mb * 1e6 / crowd.never_read),
                "heard_again": len(oldest),
                "oldest_frame_ms": max(oldest, default=0),
            }
        return told | {"machine": machine()}

    # ------------------------------------------------------------------------------------------- phases

    def _come_in(self, wanted: int, say: Callable[[str], None], at_least: int | None = None) -> int:
        """Waits until so many are in; with `at_least`, until nobody more comes; returns how many are."""
        inside, since_s = 0, time.monotonic()
        while inside < wanted:
            self._alive()
            time.sleep(POLL_S)
            now = int(self.table.present.sum())
            if now > inside:
                inside, since_s = now, time.monotonic()
                say(f"{inside} of {wanted} are in")
            elif at_least is not None and inside >= at_least and time.monotonic() - since_s > FULL_S:
                break
            elif time.monotonic() - since_s > STALLED_S:
                raise BenchFailed(f"only {inside} of {wanted} came in")
        return inside

    def _measure(self, phase: Phase, say: Callable[[str], None]) -> Window:
        say(f"measuring {self.crowd.seconds:g} s")
        self._phase(phase)
        # with people beyond the border it is the first node that is measured
        table, nodes = self.table, self.city.nodes[:1] if self.crowd.linked else self.city.nodes
        readings, began_s, came = read_nodes(nodes), time.monotonic(), table.bytes_in.copy()
        since_s = np.where(table.present, table.since_s, np.inf)
        self._pass(self.crowd.seconds * self.crowd.scale)
        after, seconds = read_nodes(nodes), time.monotonic() - began_s
        stayed = table.present & (table.since_s == since_s) & self._on_sockets()
        return Window(phase, seconds, readings, after, (table.bytes_in - came)[stayed])

    def _on_sockets(self) -> NDArray[np.bool_]:
        """Which rows are people with sockets."""
        those = np.zeros(self.table.bots, np.bool_)
        for job in self.jobs:
            those[job.first : job.first + job.count] = job.node < 0
        return those

    def _phase(self, phase: Phase) -> None:
        self.table.order = phase
        parties = [job.party for job in self.jobs]

        def reached() -> bool:
            self._alive()
            return bool((self.table.reached[parties] == phase).all())

        until(reached, PHASE_S, lambda: f"the bots did not reach {phase.name}")

    def _pass(self, seconds: float) -> None:
        until_s = time.monotonic() + seconds
        while (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, 1.0))
            self._alive()

    def _alive(self) -> None:
        for node in self.city.dead():
            assert node.process is not None
            raise BenchFailed(f"{node.name} ended with {node.process.returncode}:\n{node.log_tail()}")
        for party, process in self.processes.items():
            if process.poll() is not None:
                log = self._file(self.jobs[party], "log").read_text("utf-8", "replace")
                raise BenchFailed(f"bots ended with {process.returncode}:\n{log[-2000:]}")

    def _lost(self) -> int:
        """How many are not where they ought to be: nothing heard for long, or out of the city unasked."""
        table, crowd = self.table, self.crowd
        own = np.zeros(table.bots, np.bool_)
        for job in self.jobs:
            if not job.guests:
                own[job.first : job.first + job.count] = True
        silent = table.present & own & (time.monotonic() - table.heard_s > LOST_S * crowd.scale)
        coming = 2 * math.ceil(crowd.avatars * crowd.churn)  # those who come and go are on their way
        wanted = crowd.avatars + crowd.linked
        return int(silent.sum()) + max(0, wanted - coming - int((table.present & own).sum()))

    def end(self) -> None:
        """Ends the bots, by word first."""
        self.table.order = Phase.END
        for process in self.processes.values():
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def jobs(crowd: Crowd, urls: Sequence[str], folder: Path, certificate: Path | None = None) -> list[Job]:
    """Who does what: the watchers in a process of their own, guests in another, everybody else in the rest.

    Their rows follow one another without gaps. Besides those who come in first there are enough others for the churn.
    With people beyond the border all these stand on the first node's ground, and the others' people within their nodes.
    """
    watchers = min(crowd.watchers, crowd.avatars)
    others = crowd.avatars - watchers
    parties = min(crowd.bot_processes, others)
    spares = math.ceil(crowd.avatars * crowd.churn * (AWAY_S + 2) / parties) if parties else 0
    plans: list[dict[str, Any]] = [{"members": watchers, "count": watchers, "watching": True}]
    for party in range(parties):
        members = others // parties + (party < others % parties)
        churn_per_s = crowd.avatars * crowd.churn / parties
        plans.append({"members": members, "count": members + spares, "churn_per_s": churn_per_s})
    for guests, deaf in ((crowd.never_read, True), (crowd.surge, False)):
        if guests:
            plans.append({"members": guests, "count": guests, "guests": True, "deaf": deaf})
    side_cm = round(crowd.side_m * 100)
    box = ground.quarter(side_cm, 0) if crowd.linked else ground.square(side_cm)
    plans = [plan | {"box": box} for plan in plans]
    for node in range(1, ground.NODES_MAX) if crowd.linked else ():
        share = math.ceil(crowd.linked / (ground.NODES_MAX - 1))
        plans.append({"members": share, "count": share, "node": node, "box": ground.quarter(side_cm, node)})
    first, made = 0, []
    for party, plan in enumerate(plans):
        job = Job(
            table=str(folder / "sent.table"),
            bots=sum(one["count"] for one in plans),
            party=party,
            first=first,
            urls=tuple(urls),
            report=str(folder / f"bots-{party}.json"),
            standing=crowd.standing,
            scale=crowd.scale,
            seed=crowd.seed,
            certificate=str(certificate or ""),
            **plan,
        )
        first += job.count
        made.append(job)
    return made
