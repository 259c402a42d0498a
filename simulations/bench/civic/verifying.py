"""How long it takes to check a log that a city has kept for years, how much memory, and what a receipt of it costs.

Logs are made (`make_log`) and `p2pworld verify` reads them, in processes of their own: CPU and the largest memory of
one process are what the system says of them. What a receipt comes to at sizes that nobody can make on a disk is
computed: a proof is as many hashes as the sizes say, whatever they are, and the checkpoint is signed over the root that
they lead to.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.crypto.keys import Signer
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import Note, NoteSigner
from p2pworld.merkle.proof import inclusion_spans
from p2pworld.merkle.receipt import Receipt, parse_receipt, verify_receipt
from p2pworld.merkle.tree import leaf_hash, node_hash
from simulations.bench.civic.filings import ORIGIN, make_log
from simulations.bench.crowd.nodes import machine
from simulations.bench.crowd.run import BenchFailed
from simulations.processes import python_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["receipt_figures", "run_verifying"]

PROOF_SIZES: Final = (2**10, 2**15, 2**20, 2**25, 2**30, 2**40, 2**53 - 1)
TIMES: Final = 200
LOOK_S: Final = 0.05


def run_verifying(
    sizes: Sequence[int], folder: Path, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """The figures of logs of these sizes, made one after the other in `folder`, which is empty.

    Raises:
        BenchFailed: a log that was just made does not verify.
    """
    logs: list[dict[str, Any]] = []
    for size in sizes:
        place = folder / str(size)
        place.mkdir()
        say(f"making a log of {size}")
        begun_s = time.perf_counter()
        key = make_log(place, size)
        made_s = time.perf_counter() - begun_s
        bytes_all = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
        logs.append({"entries": size, "made_s": round(made_s, 1), "mb": round(bytes_all / 1e6, 1)})
        for name, options in (("verify", ()), ("verify_leaves", ("--leaves",))):
            say(f"{name} of {size}")
            logs[-1][name] = _verified(place, key, options)
    receipts = [receipt_figures(size) for size in PROOF_SIZES]
    return {"bench": "verify", "logs": logs, "receipts": receipts, "machine": machine()}


def _verified(place: Path, key: str, options: Sequence[str]) -> dict[str, float]:
    """Seconds, those of CPU (of all its processes), and MB of the largest process."""
    command = [sys.executable, "-m", "shard_node.cli", "verify", str(place), "--key", key, "--json", *options]
    begun_s = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=python_environment()) as process:
        most_kb = 0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            most_kb = max(most_kb, *map(_peak_kb, _family(process.pid)))
            time.sleep(LOOK_S)
        _, status, used = ended
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BenchFailed(f"p2pworld verify ended with {process.returncode}")
    return {
        "seconds": round(time.perf_counter() - begun_s, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "rss_mb": round(most_kb / 1_024, 1),
    }


def _family(pid: int) -> list[int]:
    """A process and its children."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
    except OSError:
        children = []
    return [pid, *map(int, children)]


def _peak_kb(pid: int) -> int:
    """The most memory that a process has had since it became this program; 0 if it has just ended."""
    try:
        found = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text("utf-8"), re.M)
    except OSError:
        return 0
    return int(found.group(1)) if found else 0


def receipt_figures(size: int, times: int = TIMES) -> dict[str, Any]:
    """A receipt of the first entry of a log of `size`, which has the longest proof: hashes, bytes, CPU to verify."""
    signer = NoteSigner(ORIGIN, Signer.from_seed(os.urandom(32)))
    index, found = 0, leaf_hash(b"an entry")
    proof = []
    for span in inclusion_spans(index, size):
        hashed = os.urandom(32)
        proof.append(hashed)
        found = node_hash(found, hashed) if span.begin > index else node_hash(hashed, found)
    text = Checkpoint(ORIGIN, size, found).text
    data = Receipt(index, tuple(proof), Note(text, (signer.sign(text),))).to_bytes()
    begun_s = time.process_time()
    for _ in range(times):
        verify_receipt(parse_receipt(data), leaf_hash(b"an entry"), ORIGIN, [signer.key])
    cpu_us = (time.process_time() - begun_s) / times * 1e6
    return {"entries": size, "hashes": len(proof), "bytes": len(data), "verify_us": round(cpu_us)}
