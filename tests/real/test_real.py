"""Every scene, in a process and a network of its own; and one blow of the bench of failovers.

Nothing is asserted about how long anything takes: `p2pworld bench failover` says that.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from simulations.fabric import inside, why_not
from simulations.processes import python_environment
from tests.patience import PATIENCE_S
from tests.real.scenes import SCENES

if TYPE_CHECKING:
    from pathlib import Path

AT_MOST_S = 5 * PATIENCE_S  # a scene waits for many things


@pytest.fixture(scope="module", autouse=True)
def network() -> None:
    """A machine that lets us make networks."""
    if why := why_not():
        pytest.skip(f"NO NETWORK OF ITS OWN: this takes root or user namespaces, and /dev/net/tun: {why}")


def run(*arguments: str) -> str:
    """What a module prints, inside a network of its own."""
    done = subprocess.run(
        inside("-m", *arguments),
        env=python_environment(),
        capture_output=True,
        text=True,
        timeout=AT_MOST_S,
        check=False,
    )
    if done.returncode and "install etcd" in done.stderr:
        pytest.skip("NO ETCD: install Debian's etcd-server (or any etcd 3.4 or newer) to have this test run")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("scene", SCENES)
def test_nobody_and_nothing_is_lost(scene: str, tmp_path: Path) -> None:
    run("tests.real.scenes", scene, str(tmp_path))


def test_a_node_without_cables_is_replaced_and_comes_back() -> None:
    blow = ("--kills", "1", "--people", "30", "--engine", "sqlite", "--how", "blackhole")
    told: dict[str, Any] = json.loads(run("simulations.bench.failover.run", *blow))
    assert told["lanterns_acknowledged"] > 0
    bad = ("lost", "twinned", "stopped", "lanterns_unseen", "falsely_ended", "not_back_in_time")
    assert {name: told[name] for name in bad} == dict.fromkeys(bad, 0)
