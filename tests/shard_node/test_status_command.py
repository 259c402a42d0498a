"""What `p2pworld status` says of a node's answers, and when a city is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from shard_node.status_command import is_whole, lines, status
from tests.shard_node.test_config import GOOD

if TYPE_CHECKING:
    from pathlib import Path

A, B = "aa" * 32, "bb" * 32
HEALTH = {
    "ok": True, "reasons": [], "name": "one", "lease_left_s": 2.25, "map_version": 7, "cells_held": 2,
    "cells_standby": 1, "clients": 31, "load": 0.125, "tick_ms": 100,
}  # fmt: skip
LOAD = {"clients": 31, "busy": 0.12}


def node(key: str, cells: int, itself: bool, linked: bool, load: dict[str, Any] | None) -> dict[str, Any]:
    url = f"http://{key[:2]}:1"
    return {"node": key, "cells": cells, "self": itself, "linked": linked, "load": load, "web_url": url}


def region(holder: str | None, *standbys: str) -> dict[str, Any]:
    return {"holder": holder, "standbys": list(standbys)}


NODES = [node(A, 2, True, False, LOAD), node(B, 1, False, False, None)]
REGIONS = [region(A, B), region(A), region(B, A), region(None)]


def test_one_sees_the_city_at_a_glance() -> None:
    assert list(lines(HEALTH, NODES, REGIONS)) == [
        "one is well; its lease holds for 2.2 s, map 7",
        "of 4 regions it holds 2 and stands by for 1; 1 have no holder, 1 no standby",
        "31 people, load 0.12, a tick of 100 ms",
        "node              link     holds  alone  people   load  web",
        "aaaaaaaaaaaaaaaa  itself       2      1      31   0.12  http://aa:1",
        "bbbbbbbbbbbbbbbb  MISSING      1      0       ?      ?  http://bb:1",
    ]
    unwell = next(lines({**HEALTH, "ok": False, "reasons": ["lapsed", "map_stale"]}, [], []))
    assert unwell.startswith("one is NOT WELL: lapsed, map_stale;")


def test_a_city_is_whole_when_nothing_would_be_lost_with_one_node() -> None:
    linked = [NODES[0], node(B, 1, False, True, None)]
    whole = [region(A, B), region(B, A)]
    assert is_whole(linked, whole)
    assert is_whole(NODES[:1], [region(A)])  # nobody else could stand by
    assert not is_whole(NODES, whole)
    assert not is_whole(linked, [*whole, region(A)])
    assert not is_whole(linked, [*whole, region(None)])
    assert not is_whole(linked, [])


def test_a_node_that_does_not_answer_is_said_so(tmp_path: Path) -> None:
    for name in ("node.pem", "grant.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "node.toml").write_text(GOOD.replace('"localhost:0"', '"127.0.0.1:1"'))
    result = CliRunner().invoke(status, ["--config", str(tmp_path / "node.toml")])
    assert result.exit_code == 1
    assert "does not answer at 127.0.0.1:1" in result.output
