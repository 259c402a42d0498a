"""One peer under one load: two processes, one window, one row of figures.

The server's CPU time is read from outside at both ends of the window, all its threads in it; that of the load is only
told, so that a load that had no core left is seen. Both processes end when their standard input does, however this one
ends, and every wait is bounded.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import select
import subprocess
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulations.bench.peers.packages import FOLDER

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["PEERS", "Load", "PeerFailed", "cpu_s", "measure", "row"]

PEERS: Final = ("ws", "colyseus")
TICK_MS: Final = 100
FRESH_MS: Final = (200, 1_200)  # how old the pose of one who walks, of one who stands may be
SAMPLES: Final = 20  # clients whose view is compared with the truth
SEED: Final = 1
SETTLE_S: Final = 3.0  # everybody plays so long before the window: code gets compiled, views fill
START_S: Final = 20.0
JOIN_S: Final = 180.0
ANSWER_S: Final = 30.0
END_S: Final = 5.0
SPARE_FILES: Final = 200
OVERRUNS_MAX: Final = 0.05
TICK_HZ_MIN: Final = 0.95 * 1000 / TICK_MS
LOAD_CORES_MAX: Final = 0.9
LOG_LINES: Final = 8


class PeerFailed(Exception):
    """A process of the bench did not do its part; the message ends with what it last said."""


@dataclass(frozen=True, slots=True)
class Load:
    """So many clients on a square, watched for a while; each is shown its `k` nearest within `radius_m`."""

    avatars: int
    seconds: float
    area_m: float = 100.0
    standing: float = 0.8
    churn: float = 0.01
    k: int = 32
    radius_m: float = 64.0


class Script:
    """A JavaScript process that is told and answers by lines; as a context it ends it."""

    def __init__(self, node: str, script: str, given: dict[str, Any]) -> None:
        self.script = script
        self.said = b""
        self.log = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the process
        self.process = subprocess.Popen(
            [node, str(FOLDER / script), json.dumps(given)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=os.environ | {"NODE_ENV": "production"},
            start_new_session=True,
        )

    def tell(self, line: str) -> None:
        """Gives it one line.

        Raises:
            PeerFailed: it has ended.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            raise self.failed("has ended") from None

    def answer(self, within_s: float) -> dict[str, Any]:
        """Its next line, a JSON object.

        Raises:
            PeerFailed: it has ended, or says nothing for so long.
        """
        assert self.process.stdout is not None
        until_s = time.monotonic() + within_s
        while b"\n" not in self.said:
            wait_s = until_s - time.monotonic()
            if wait_s <= 0 or not select.select([self.process.stdout], [], [], wait_s)[0]:
                raise self.failed(f"said nothing for {within_s:.0f} s")
            more = os.read(self.process.stdout.fileno(), 1 << 16)
            if not more:
                raise self.failed("has ended")
            self.said += more
        line, _, self.said = self.said.partition(b"\n")
        value: dict[str, Any] = json.loads(line)
        return value

    def failed(self, how: str) -> PeerFailed:
        """What to raise: how it failed and the end of its log."""
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines()
        return PeerFailed("\n".join([f"{self.script} {how}", *lines[-LOG_LINES:]]))

    def __enter__(self) -> Script:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # it may have gone before
            self.process.stdin.close()
        try:
            self.process.wait(END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.log.close()


def cpu_s(pid: int) -> float:
    """CPU time a process has used, in user and in system, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def allow_files(count: int) -> None:
    """Lets this process and its children open so many files.

    Raises:
        PeerFailed: the machine does not allow it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise PeerFailed(f"at most {hard} open files are allowed here, {count} are needed (ulimit -n)")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def measure(node: str, peer: str, load: Load) -> dict[str, Any]:
    """Runs `peer` under `load` and gives its row.

    Raises:
        PeerFailed: the server or the load did not do its part.
    """
    allow_files(load.avatars + SPARE_FILES)
    shared = asdict(load) | {"tick_ms": TICK_MS}
    with ExitStack() as started:
        server = started.enter_context(Script(node, f"{peer}_server.mjs", shared))
        port = server.answer(START_S)["port"]
        played = {"peer": peer, "port": port, "seed": SEED, "samples": SAMPLES}
        crowd = Script(node, "load.mjs", shared | played | {"settle_s": SETTLE_S, "fresh_ms": list(FRESH_MS)})
        started.enter_context(crowd)
        crowd.answer(JOIN_S)
        for script in (server, crowd):
            script.tell("begin")
        began_s, used_s = time.monotonic(), cpu_s(server.process.pid)
        time.sleep(load.seconds)
        used_s, took_s = cpu_s(server.process.pid) - used_s, time.monotonic() - began_s
        for script in (server, crowd):
            script.tell("end")
        return row(peer, load, server.answer(ANSWER_S), crowd.answer(ANSWER_S), used_s, took_s)


def row(
    peer: str, load: Load, served: dict[str, Any], seen: dict[str, Any], used_s: float, took_s: float
) -> dict[str, Any]:
    """The figures of one run: the keys of `bench crowd`, and what only peers have."""
    ticks, cores = served["ticks"], used_s / took_s
    client_tick_us = used_s / load.avatars / ticks * 1e6 if ticks else None
    tick_hz = ticks / served["seconds"]
    overruns = served["overruns"] / ticks if ticks else 1.0
    keeps_tick = tick_hz >= TICK_HZ_MIN and overruns < OVERRUNS_MAX and not seen["lost"]
    return {
        "bench": "peers",
        "peer": peer,
        "avatars": load.avatars,
        "k": load.k,
        "seconds": round(took_s, 2),
        "tick_hz": round(tick_hz, 2),
        "cores_used": round(cores, 3),
        # at the whole tick rate: a server that ticks less often does not carry more
        "cores_per_1000": None if client_tick_us is None else round(client_tick_us / TICK_MS, 3),
        "avatars_per_core": round(TICK_MS * 1000 / client_tick_us) if client_tick_us else None,
        "cpu_us_per_client_tick": rounded(client_tick_us, 2),
        "update_age_ms": rounded(seen["update_age_ms"], 1),
        "nearest32_fresh": rounded(seen["nearest32_fresh"], 4),
        "nearest32_recall": rounded(seen["nearest32_recall"], 4),
        "bytes_down_per_client_s": rounded(seen["bytes_down_per_client_s"], 0),
        "frames_skipped": served.get("skipped", 0),
        "tick_overruns": round(overruns, 4),
        "tick_ms": rounded(served["tick_ms"], 1),
        "keeps_tick": keeps_tick,
        "clients_lost": seen["lost"],
        "sampled_bytes_ratio": rounded(seen["sampled_bytes_ratio"], 3),
        "load_cores": round(seen["load_cores"], 3),
        "load_late_ms": rounded(seen["load_late_ms"], 1),
        "load_had_a_core": seen["load_cores"] < LOAD_CORES_MAX,
        "machine": {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "cpu": platform.machine(),
            "load_average": round(os.getloadavg()[0], 1),
        },
    }


def rounded(value: Any, digits: int) -> Any:
    """A number, or each of a table of numbers, to so many digits; what is no number stays."""
    if isinstance(value, dict):
        return {key: rounded(one, digits) for key, one in value.items()}
    return round(value, digits) if isinstance(value, int | float) else value
