"""Filing at a real node, from the bytes on a socket to the receipt, by processes that do nothing else.

All submissions are made before: each by a key of its own, as by so many devices. First the node is given as much as it
takes (`tx_per_s_core`: receipts a second of CPU of its whole process, every thread of it), then half of that in even
distances, whoever has been answered (`latency_ms`), then as much as it takes over HTTP. A second node, under strace,
tells how often the disk was asked to flush. In the end receipts and the whole log are verified from outside.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from client.gauges import percentile
from client.policy import policy_of_keys
from client.verify import Status, verify_paths
from p2pworld.civic.receipts import check_filed
from p2pworld.civic.transaction import parse_submission
from p2pworld.crypto.keys import Signer
from p2pworld.errors import RemoteError
from p2pworld.merkle.note import NoteSigner
from simulations.bench.civic.citizens import Job, write_filings
from simulations.bench.civic.filings import STREAM, filed_by_all_cores
from simulations.bench.civic.traced import REPORT, count_flushes
from simulations.bench.crowd import ground
from simulations.bench.crowd.nodes import cpu_s, machine
from simulations.bench.crowd.run import BenchFailed, until
from simulations.processes import City, python_environment, start_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from simulations.processes import NodeProcess

__all__ = ["Filing", "Kept", "Office", "kept_in", "run_civic"]

ORIGIN: Final = "seoul.example"
READY_S: Final = 60.0
WARM: Final = 500  # filings before anything is measured
HTTP_SHARE: Final = 4  # of so many filings one goes over HTTP, too
KEPT_UP: Final = 0.95  # of what was due
TRACED: Final = 2_000  # filings at most that are filed under strace
PASSWORD_ENV: Final = "P2PWORLD_BENCH_CIVIC_PASSWORD"  # of the database, for a node
CITIZENS: Final = "simulations.bench.civic.citizens"
TRACING: Final = "simulations.bench.civic.traced"


@dataclass(frozen=True, slots=True)
class Filing:
    """What is run: so many filings over so many sockets, with `limit` at once on each, by so many processes."""

    count: int
    sockets: int = 64
    limit: int = 8
    processes: int = 1
    store: str = "sqlite"
    rate: float | None = None  # of the second run; None: half of what a core takes


def run_civic(wanted: Filing, folder: Path, say: Callable[[str], None] = lambda text: None) -> dict[str, Any]:
    """The figures of one run in `folder`, which is empty.

    Raises:
        BenchFailed: the node or a process of citizens did not do what it was started for, or a receipt does not verify.
    """
    over_http = wanted.count // HTTP_SHARE
    traced = min(TRACED, wanted.count) if shutil.which("strace") else 0
    say("making the filings")
    filings = filed_by_all_cores(1 + WARM + 2 * wanted.count + over_http + traced, int(time.time()) // 60)
    told: dict[str, Any] = {"bench": "civic", "store": wanted.store, "count": wanted.count}
    told |= {"sockets": wanted.sockets, "open": wanted.sockets * wanted.limit, "processes": wanted.processes}
    with kept_in(wanted.store) as place, Office(folder / "office", filings, place("office")) as office:
        say("warming up")
        office.file(wanted, WARM, "full")
        say("as much as it takes")
        full = office.file(wanted, wanted.count, "full")
        rate = wanted.rate or full.per_s_core / 2
        say(f"{rate:.0f} a second")
        half = office.file(wanted, wanted.count, f"paced {rate}")
        say("over HTTP")
        http = office.file(wanted, over_http, "full", http=True)
        say("verifying")
        verified = sum(office.verified(ran) for ran in (full, half, http))
        rest = office.rest
    told |= {
        "tx_per_s_core": round(full.per_s_core),
        "tx_per_s": round(full.per_s),
        "batch": round(full.batch, 1),
        "latency_full_ms": full.latency_ms,
        "latency_ms": half.latency_ms,
        "half_load": {"rate": round(rate), "tx_per_s": round(half.per_s), "batch": round(half.batch, 1)},
        "http": {"tx_per_s_core": round(http.per_s_core), "tx_per_s": round(http.per_s)},
        "refused": full.reasons | half.reasons | http.reasons,
        "receipts_verified": verified,
    }
    told["half_load"] |= {
        "node_cores": round(half.cpu_s / half.seconds, 2),
        "kept_up": half.per_s > KEPT_UP * rate,  # else the machine was too busy, and latencies say that
    }
    say("counting flushes")
    with kept_in(wanted.store) as place:
        told |= _flushes(wanted, folder / "traced", rest, place("traced"))
        say("in one process, without sockets")
        told["in_process_tx_per_s_core"] = _in_process(wanted, place("alone"))
    return told | {"machine": machine()}


class Kept(NamedTuple):
    """An empty database that a log is kept in."""

    dsn: str
    user: str


@contextmanager
def kept_in(store: str) -> Iterator[Callable[[str], Kept | None]]:
    """Makes empty places for logs, by name: None is a file; else databases of a server whose standby has every commit.

    Raises:
        BenchFailed: this machine has no PostgreSQL.
    """
    if store == "sqlite":
        yield lambda name: None
        return
    from simulations.postgres_server import PASSWORD, NoPostgres, PostgresServer, Standby

    try:
        primary = PostgresServer(durable=True)
    except NoPostgres as error:
        raise BenchFailed(str(error)) from None
    os.environ[PASSWORD_ENV] = PASSWORD

    def place(name: str) -> Kept:
        primary.execute(f"CREATE DATABASE {name}")
        return Kept(f"host=127.0.0.1 port={primary.port} dbname={name}", primary.conninfo()["user"])

    with primary, Standby(primary, durable=True):
        primary.set("synchronous_standby_names", Standby.NAME)
        yield place


@dataclass(frozen=True, slots=True)
class _Ran:
    """What came of some filings: seconds, CPU of the node, and what the processes of citizens tell."""

    seconds: float
    cpu_s: float
    reports: tuple[dict[str, Any], ...]

    @property
    def waited_ms(self) -> list[float]:
        return sorted(waited for report in self.reports for waited in report["waited_ms"])

    @property
    def latency_ms(self) -> dict[str, float]:
        waited = self.waited_ms
        return {name: round(percentile(waited, share), 1) for name, share in (("p50", 0.5), ("p99", 0.99))}

    @property
    def per_s_core(self) -> float:
        return len(self.waited_ms) / max(self.cpu_s, 1e-9)

    @property
    def per_s(self) -> float:
        return len(self.waited_ms) / self.seconds

    @property
    def batch(self) -> float:
        """Receipts by how many checkpoints they are under."""
        return len(self.waited_ms) / max(
            1, len({size for one in self.reports for size in one["checkpoints"]})
        )

    @property
    def reasons(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for report in self.reports:
            for reason, times in report["reasons"].items():
                found[reason] = found.get(reason, 0) + times
        return found


class Office:
    """A city of one node that holds one stream; as a context it runs, and has taken the first filing."""

    def __init__(
        self, folder: Path, filings: list[bytes], kept: Kept | None = None, module: str = ""
    ) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self._filings = filings
        self._taken = 0
        self._module = module
        key = Signer.from_seed(os.urandom(32))
        (folder / "log.key").write_text(key.to_pem(), encoding="utf-8")
        (folder / "log.key").chmod(0o600)
        self._key = NoteSigner(f"{ORIGIN}/{STREAM}", key).key
        self._city = City(folder / "city", 1, (), dealt=ground.dealt(1), more=_civic_table(folder, kept))
        write_filings(folder / "filings", filings)

    def __enter__(self) -> Office:
        node = self.node
        self._city.__enter__()
        node.start(self._module)
        until(
            lambda: not self._city.not_ready(),
            READY_S,
            lambda: f"the node is not ready: {self._city.not_ready()}",
        )
        until(lambda: _posted(node, self._filings[0]), READY_S, lambda: "the node takes no filing")
        self._taken = 1
        return self

    def __exit__(self, *_: object) -> None:
        self._city.__exit__(None, None, None)

    @property
    def node(self) -> NodeProcess:
        return self._city.nodes[0]

    @property
    def rest(self) -> list[bytes]:
        """The filings that nobody has filed yet."""
        return self._filings[self._taken :]

    def file(self, wanted: Filing, count: int, way: str, *, http: bool = False) -> _Ran:
        """So many of the next filings, in this way."""
        url = self.node.web_url if http else self.node.play_url
        limit = 1 if http else wanted.limit
        children = []
        for number in range(wanted.processes):
            begin, end = (self._taken + count * at // wanted.processes for at in (number, number + 1))
            sockets = max(1, wanted.sockets // wanted.processes)
            job = Job(url, str(self._folder / "filings"), begin, end, sockets, limit, 1 + number * sockets)
            job.write(self._folder / f"job-{number}")
            command = ["-m", CITIZENS, str(self._folder / f"job-{number}")]
            with (self._folder / "citizens.log").open("ab") as log:
                children.append(start_child(command, subprocess.PIPE, log, stdin=subprocess.PIPE))
        self._taken += count
        try:
            return self._measured(children, way, wanted.processes)
        finally:
            for child in children:
                child.kill()
                child.communicate()

    def _measured(self, children: list[subprocess.Popen[bytes]], way: str, processes: int) -> _Ran:
        for child in children:
            if self._line(child) != "ready":
                raise BenchFailed("a process of citizens is not ready")
        begun_s, before_s = time.monotonic(), cpu_s([self.node])
        name, _, rate = way.partition(" ")
        line = f"{name} {float(rate) / processes}\n" if rate else f"{name}\n"
        for child in children:
            assert child.stdin is not None
            child.stdin.write(line.encode())
            child.stdin.flush()
        reports = tuple(json.loads(self._line(child)) for child in children)
        return _Ran(time.monotonic() - begun_s, cpu_s([self.node]) - before_s, reports)

    def _line(self, child: subprocess.Popen[bytes]) -> str:
        assert child.stdout is not None
        line = child.stdout.readline().decode().strip()
        if not line:
            log = (self._folder / "citizens.log").read_text("utf-8", "replace")
            raise BenchFailed(f"a process of citizens ended:\n{log[-2_000:]}\n{self.node.log_tail()}")
        return line

    def verified(self, ran: _Ran) -> int:
        """How many receipts of a run were verified, and with them the published log."""
        receipts = [(number, text) for report in ran.reports for number, text in report["receipts"]]
        for number, text in receipts:
            submission = parse_submission(self._filings[number])
            try:
                check_filed(text.encode(), submission, self._key.name, [self._key])
            except RemoteError as error:
                raise BenchFailed(f"the receipt of filing {number} proves nothing: {error}") from None
        report = verify_paths([self._folder / "log" / STREAM], policy_of_keys([self._key], 0))
        if report.findings[0].status is not Status.OK:
            raise BenchFailed(f"the log does not verify: {report.findings[0].faults}")
        return len(receipts)


def _civic_table(folder: Path, kept: Kept | None) -> str:
    store = f'"{folder / "civic.sqlite"}"'
    if kept is not None:
        store = f'{{ dsn = "{kept.dsn}", user = "{kept.user}", password_env = "{PASSWORD_ENV}", copies = 2 }}'
    return (
        f'[civic]\norigin = "{ORIGIN}"\nstreams = ["{STREAM}"]\nstore = {store}\n'
        f'publish = "{folder / "log"}"\nkey_file = "{folder / "log.key"}"\n'
    )


def _posted(node: NodeProcess, filing: bytes) -> bool:
    try:
        with urllib.request.urlopen(f"{node.web_url}/civic/file", filing, timeout=READY_S) as answer:
            return bool(answer.read())
    except (urllib.error.URLError, OSError):
        return False


def _flushes(wanted: Filing, folder: Path, filings: list[bytes], kept: Kept | None) -> dict[str, Any]:
    """How often a node that is filled asks the kernel to flush, by strace; None without strace."""
    if not filings:
        return {"fsyncs": None, "fsyncs_counted": "not: this machine has no strace"}
    report = folder / "strace"
    os.environ[REPORT] = str(report)
    with Office(folder, filings, kept, TRACING) as office:
        before = count_flushes(report)
        count = len(office.rest)
        ran = office.file(wanted, count, "full")
        flushes = count_flushes(report) - before
    return {
        "fsyncs": flushes,
        "fsyncs_counted": (
            f"by strace, every fsync and fdatasync of the node's process while {count} were filed in "
            f"{count / ran.batch:.0f} batches"
        ),
        "fsyncs_per_batch": round(flushes * ran.batch / count, 1),
    }


def _in_process(wanted: Filing, kept: Kept | None) -> int:
    command = [sys.executable, "-m", "simulations.bench.civic.in_process"]
    command += ["--count", str(wanted.count), "--open", str(wanted.sockets * wanted.limit)]
    if kept is not None:
        command += ["--postgresql", f"{kept.dsn} user={kept.user} password={os.environ[PASSWORD_ENV]}"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, env=python_environment(), check=True)
    return int(json.loads(ran.stdout)["in_process_tx_per_s_core"])
