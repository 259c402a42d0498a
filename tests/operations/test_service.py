"""The files that start a node elsewhere: the systemd unit and the container file.

Neither systemd nor a builder of images runs here. The unit is judged by systemd's own checker where that is installed;
of the image it is shown that what is copied exists and suffices to start the program.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from p2pworld.limits import CLIENTS_MAX, DRAIN_S
from shard_node.serve import END_LEASE_S, FILES_BESIDE, FLUSH_S, GOODBYE_S
from shard_node.web.serve import GRACE_S
from simulations.processes import ROOT
from tests.operations.page import FILES
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

UNIT = (FILES / "p2pworld@.service").read_text("utf-8")
CONTAINER = (FILES / "Containerfile").read_text("utf-8")
INSTALLED = "/opt/p2pworld/.venv/bin/p2pworld"


def setting(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


def test_a_node_may_take_the_time_and_the_files_that_it_needs() -> None:
    longest_s = DRAIN_S + GOODBYE_S + FLUSH_S + END_LEASE_S + GRACE_S + FLUSH_S + END_LEASE_S
    assert int(setting("TimeoutStopSec")) >= 2 * longest_s
    assert int(setting("LimitNOFILE")) >= CLIENTS_MAX + FILES_BESIDE
    assert f"--ulimit nofile={setting('LimitNOFILE')}" in CONTAINER
    assert f"--stop-timeout {setting('TimeoutStopSec')}" in CONTAINER
    assert (setting("Type"), setting("KillSignal")) == ("notify", "SIGTERM")
    assert setting("RestartPreventExitStatus") == "2"  # of a ConfigError


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit_and_finds_it_little_exposed(tmp_path: Path) -> None:
    unit = tmp_path / "p2pworld@node-1.service"
    unit.write_text(UNIT.replace(INSTALLED, sys.executable))

    def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    verified = analyze("verify", "--man=no", str(unit))
    assert (verified.returncode, verified.stderr) == (0, "")
    exposed = analyze("security", "--offline=true", "--threshold=20", str(unit))  # of 100
    assert exposed.returncode == 0, exposed.stdout[-500:]


def instructions() -> list[tuple[str, str]]:
    joined = re.sub(r"\\\n\s*", "", re.sub(r"^#.*\n", "", CONTAINER, flags=re.MULTILINE))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def test_the_image_has_stages_that_exist_locked_packages_and_no_root() -> None:
    stages: list[str] = []
    for word, rest in instructions():
        if word == "FROM":
            stages.append(rest.partition(" AS ")[2])
        elif word == "COPY" and rest.startswith("--from="):
            assert rest.partition("=")[2].split()[0] in stages[:-1]
    installs = [rest for word, rest in instructions() if word == "RUN" and "install" in rest]
    assert all("--require-hashes -r /requirements.txt" in rest for rest in installs if "pip" in rest)
    words = dict(instructions())
    assert words["USER"].partition(":")[0].isdigit()
    assert not words["USER"].startswith("0")
    assert "p2pworld" in words["ENTRYPOINT"]
    assert "status" in words["HEALTHCHECK"]


def test_what_is_copied_exists_and_suffices_to_start(tmp_path: Path) -> None:
    for word, rest in instructions():
        if word != "COPY" or rest.startswith("--from="):
            continue
        *sources, target = rest.split()
        for source in sources:
            found = sorted(ROOT.glob(source))
            assert found, source
            if not target.startswith("/opt/"):
                continue
            place = tmp_path / target.lstrip("/")
            for path in found:
                if path.is_dir():
                    shutil.copytree(path, place)
                else:
                    place.mkdir(parents=True, exist_ok=True)
                    shutil.copy(path, place)
    code = "import simulations.demo, client.bots, shard_node.cli as cli; print(cli.__file__); cli.main()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, "--version"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "opt" / "p2pworld")},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    where, version = done.stdout.split()
    assert where.startswith(str(tmp_path))
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
