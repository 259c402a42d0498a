"""The demo as a process among processes: Ctrl-C gives figures and a clean machine, and no orphan is ever left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from simulations.demo import KEYS
from simulations.processes import python_environment
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

AT_MOST_S = PATIENCE_S
POLL_S = 0.05

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")


def processes_of(folder: Path) -> list[int]:
    """Those whose command line names the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(folder).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except OSError:
            continue  # it ended while we looked
    return found


def wait_until(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + AT_MOST_S
    while not holds():
        assert time.monotonic() < until_s
        time.sleep(POLL_S)


def _heeds_ctrl_c() -> None:
    """As in a terminal; a shell that put the tests into the background has its children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def demo(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A demo with its run folder below `folder`, as far as its bots walking."""
    process = subprocess.Popen(
        [sys.executable, "-m", "simulations.demo", "--nodes", "2", "--bots", "10", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=python_environment() | {"TMPDIR": str(folder)},
        text=True,
        preexec_fn=_heeds_ctrl_c,
    )
    assert process.stdout is not None
    guard = threading.Timer(AT_MOST_S, process.kill)
    guard.start()
    try:
        said = []
        for line in process.stdout:
            said.append(line)
            if "10/10 people" in line:
                break
        else:
            pytest.fail("the demo ended before its bots walked:\n" + "".join(said))
        yield process
    finally:
        guard.cancel()
        process.kill()
        process.stdout.close()
        process.wait()


def test_ctrl_c_ends_it_cleanly_with_its_figures(tmp_path: Path) -> None:
    figures = tmp_path / "out.json"
    (tmp_path / "runs").mkdir()
    with demo(tmp_path / "runs", "--json", str(figures)) as process:
        assert len(processes_of(tmp_path / "runs")) >= 2
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=AT_MOST_S)
        assert process.returncode == 0, said
    assert processes_of(tmp_path / "runs") == []
    assert list((tmp_path / "runs").iterdir()) == []
    assert tuple(json.loads(figures.read_text(encoding="utf-8"))) == tuple(KEYS)


def test_no_process_outlives_a_demo_that_is_killed(tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        assert len(processes_of(tmp_path)) >= 2
        bots = [
            int(child)
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text("ascii").split()
        ]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    wait_until(lambda: processes_of(tmp_path) == [])
    wait_until(lambda: not any(_running(pid) for pid in bots))


def _running(pid: int) -> bool:
    try:
        return b"client.bots" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
