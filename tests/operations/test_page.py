"""The page for operators keeps its word: its links lead somewhere, and the city that it builds by hand stands."""

from __future__ import annotations

import os
import random
import re
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from simulations.processes import PORTS, ROOT
from tests.operations.page import FILES, PAGE, anchors, links, script

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [PAGE, *sorted(FILES.glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target.name}#{anchor}"


def test_every_file_that_lies_there_is_named() -> None:
    named = {target for page in PAGES for target, _ in links(page)}
    assert set(FILES.iterdir()) <= named


def free_tens(count: int) -> list[str]:
    """The first digits of tens of ports that nobody listens on now: 780 where 7801 to 7804 are free."""
    found: list[str] = []
    for ten in random.sample(range(PORTS[0] // 10, PORTS[1] // 10), 200):
        if len(found) < count and all(map(is_free, range(10 * ten + 1, 10 * ten + 5))):
            found.append(str(ten))
    return found


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture
def command(tmp_path: Path) -> Path:
    """A folder for PATH, with a `p2pworld` like the one that set-up makes."""
    shim = tmp_path / "bin" / "p2pworld"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m shard_node.cli "$@"\n')
    shim.chmod(0o755)
    return shim.parent


def test_the_city_made_by_hand_stands_and_outlives_what_is_done_to_it(tmp_path: Path, command: Path) -> None:
    """Costs half a minute, most of it waiting for leases: this is the page's promise to somebody with nothing yet."""
    ours = dict(zip(("780", "781", "782"), free_tens(3), strict=True))
    lines = re.sub(r":(78[012])\$1", lambda found: f":{ours[found[1]]}$1", script())
    assert lines != script()
    end = "trap 'kill -9 $(cat node-*.pid) 2> /dev/null || true' EXIT"
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{end}\n{lines}\nkill $(cat node-*.pid); wait"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{command}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    logs = "".join(path.read_text() for path in sorted((tmp_path / "city").glob("*.log")))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    assert "wrong" not in done.stdout
    assert done.stdout.count("0 have no holder, 0 no standby") == 5
    assert re.search(r"map \d+: (\d+) of \1 regions held", done.stdout)
    assert "issuer over cells:*" in done.stdout
    assert "Traceback" not in logs
