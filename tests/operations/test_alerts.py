"""Each alert is raised by what it is about, and none by a city that is well: Prometheus' own tool judges.

Where `promtool` is not installed these tests are left out (`run.py` says so); the rest of the folder needs it not.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from shard_node.web.metrics import EVENTS, GAUGES, HISTOGRAMS, STREAM_GAUGES
from tests.operations.page import FILES
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

ALERTS = re.findall(r"^      - alert: (\w+)$", (FILES / "alerts.yml").read_text("utf-8"), re.MULTILINE)
STEP_S: Final = 30
MONTHS_S: Final = 90 * 86_400
PER_STEP: Final = {
    "frames_sent": 1_000,
    "handoff-prepare": 10,
    "handoff-take": 10,
    "poses_in": 1_000,
    "ticks": 100,
}
WELL: Final = {
    "healthy": 1, "incarnation": 3, "lease_left_s": 2, "map_read_ago_s": 0.2, "members": 2, "cells": 4, "cells_held": 2,
    "cells_standby": 2, "links": 1, "links_wanted": 1, "clients": 50, "clients_max": 100, "load": 0.3, "tick_ms": 100,
    "disk_free_bytes": 10**11, "disk_bytes": 2 * 10**11, "grant_left_s": MONTHS_S, "certificate_left_s": MONTHS_S,
    "store_certificate_left_s": MONTHS_S, "civic_held": 1, "civic_size": 1_000, "civic_checkpoint_age_s": 90_000,
    "civic_witnessed_size": 1_000, "civic_witnessed_age_s": 90_000,
}  # fmt: skip
SOON_S: Final = 13 * 86_400
BOUNDS: Final = ("0.005", "0.05", "0.25", "1.0", "+Inf")


def slow(name: str, bound: str, labels: str = "") -> dict[str, str]:
    """Nothing of this takes at most `bound` on node a."""
    shorter = BOUNDS[: BOUNDS.index(bound) + 1]
    return {f'p2pworld_{name}_bucket{{{labels}le="{le}",instance="a"}}': "0x400" for le in shorter}


def civic(name: str, node: str = "a", **labels: str) -> str:
    """A series of the civic log of this city."""
    more = "".join(f'{label}="{value}",' for label, value in labels.items())
    return f'p2pworld_civic_{name}{{stream="city",{more}instance="{node}"}}'


# what is told of node a instead, in promtool's words for series: FROM+BYxTIMES
RAISED: Final[dict[str, dict[str, str]]] = {
    "NodeDown": {'up{job="p2pworld",instance="a"}': "0x400"},
    "NodeRestarts": {'p2pworld_incarnation{instance="a"}': "3+1x400"},
    "NodeUnregistered": {'p2pworld_incarnation{instance="a"}': "0x400"},
    "NodeLapsed": {'p2pworld_lapsed{instance="a"}': "1x400"},
    "StoreFails": {'p2pworld_store_failures_in_a_row{instance="a"}': "3x400"},
    "StoreRefuses": {'p2pworld_events_total{part="executor",what="store_failed_denied",instance="a"}': "0+1x400"},
    "StoreSlow": slow("store_seconds", "0.25", 'request="renew",'),
    "MapStale": {'p2pworld_map_read_ago_s{instance="a"}': "6x400"},
    "MapWentBack": {'p2pworld_events_total{part="node",what="map-went-back",instance="a"}': "0x20 1x380"},
    "GroundUnheld": {'p2pworld_cells_unheld{instance="a"}': "1x400"},
    "NoStandby": {'p2pworld_cells_alone{instance="a"}': "1x400"},
    "LinksMissing": {'p2pworld_links{instance="a"}': "0x400"},
    "LinksRefused": {'p2pworld_events_total{part="links",what="refused_grant-root",instance="a"}': "0+1x400"},
    "MembersDiffer": {'p2pworld_members{instance="a"}': "1x400"},
    "HandoffsFail": {'p2pworld_events_total{part="node",what="handoff-cancel_mine",instance="a"}': "0+3x400"},
    "Overloaded": {'p2pworld_tick_ms{instance="a"}': "200x400"},
    "NearlyOverloaded": {'p2pworld_load{instance="a"}': "0.85x400"},
    "TicksLate": slow("tick_late_seconds", "0.05"),
    "FramesDropped": {'p2pworld_events_total{part="play",what="frames_skipped",instance="a"}': "0+50x400"},
    "NearlyFull": {'p2pworld_clients{instance="a"}': "95x400"},
    "FilesShort": {'process_open_fds{job="p2pworld",instance="a"}': "950x400"},
    "WritesFail": {'p2pworld_writes_failing{instance="a"}': "1x400"},
    "DiskNearlyFull": {'p2pworld_disk_free_bytes{instance="a"}': "1e11-6e7x400"},
    "DiskSlow": slow("commit_seconds", "0.25"),
    "CivicUnheld": {civic("held"): "0x400", civic("held", "b"): "0x400"},
    "CivicReadOnly": {civic("read_only"): "1x400"},
    "CivicNoCheckpoint": {civic("failing"): "1x400", civic("checkpoint_age_s"): "121x400"},
    "CivicStoreFails": {civic("failures_total", stage="Commit", reason="io"): "0+1x400"},
    "CivicWitnessesShort": {civic("quorum_missing"): "1x400"},
    "CivicClock": {'p2pworld_events_total{part="node",what="filed-civic-clock",instance="a"}': "0+1x400"},
    "CivicSlow": slow("civic_stage_seconds", "0.25", 'stream="city",stage="whole",'),
    "CertificateEnds": {'p2pworld_certificate_left_s{instance="a"}': f"{SOON_S}x400"},
    "CertificateRefused": {'p2pworld_certificate_refused{instance="a"}': "1x400"},
    "StoreCertificateEnds": {'p2pworld_store_certificate_left_s{instance="a"}': f"{SOON_S}x400"},
    "GrantEnds": {'p2pworld_grant_left_s{instance="a"}': f"{SOON_S}x400"},
    "VersionsDiffer": {'p2pworld_build_info{version="2",instance="a"}': "1x400"},
}  # fmt: skip

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")


def city() -> dict[str, str]:
    """The series of two nodes that are well."""
    series = {}
    for node in ("a", "b"):
        series[f'up{{job="p2pworld",instance="{node}"}}'] = "1x400"
        series[f'process_open_fds{{job="p2pworld",instance="{node}"}}'] = "100x400"
        series[f'process_max_fds{{job="p2pworld",instance="{node}"}}'] = "1000x400"
        series[f'p2pworld_build_info{{version="1",instance="{node}"}}'] = "1x400"
        for name in GAUGES:
            series[f'p2pworld_{name}{{instance="{node}"}}'] = f"{WELL.get(name, 0)}x400"
        for name in STREAM_GAUGES:  # both nodes hold it, for the series' sake
            series[f'p2pworld_{name}{{stream="city",instance="{node}"}}'] = f"{WELL.get(name, 0)}x400"
        series[civic("failures_total", node, stage="Commit", reason="io")] = "1x400"
        for part, what in EVENTS:
            name = f'p2pworld_events_total{{part="{part}",what="{what}",instance="{node}"}}'
            series[name] = f"0+{PER_STEP.get(what, 0)}x400"
        for name in HISTOGRAMS:
            request = {
                "store_seconds": 'request="renew",',
                "civic_stage_seconds": 'stream="city",stage="whole",',
            }.get(name, "")
            for bound in BOUNDS:
                series[f'p2pworld_{name}_bucket{{{request}le="{bound}",instance="{node}"}}'] = "0+100x400"
    return series


def judge(
    folder: Path,
    told: dict[str, str],
    at_s: int,
    expression: str,
    found: list[dict[str, Any]],
    step_s: int = STEP_S,
) -> str:
    """What promtool has against `expression` being `found` in such a city; nothing if it is."""
    well = city()
    for name in told:
        node = name.rpartition('instance="')[2][0]
        if name.startswith("p2pworld_build_info"):
            del well[f'p2pworld_build_info{{version="1",instance="{node}"}}']
        else:
            assert name in well, name
    test = {
        "rule_files": [str(FILES / "alerts.yml")],
        "evaluation_interval": f"{step_s}s",
        "tests": [
            {
                "interval": f"{step_s}s",
                "input_series": [
                    {"series": name, "values": values} for name, values in (well | told).items()
                ],
                "promql_expr_test": [{"expr": expression, "eval_time": f"{at_s}s", "exp_samples": found}],
            }
        ],
    }
    (folder / "test.yml").write_text(json.dumps(test))  # JSON is YAML
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yml"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_rules_and_configuration_are_ones_that_prometheus_reads() -> None:
    for what, name in (("rules", "alerts.yml"), ("config", "prometheus.yml")):
        done = subprocess.run(
            ["promtool", "check", what, name], cwd=FILES, capture_output=True, timeout=PATIENCE_S, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


def test_a_city_that_is_well_raises_nothing(tmp_path: Path) -> None:
    assert judge(tmp_path, {}, 3_600, "ALERTS", []) == ""


def test_every_alert_has_its_cause() -> None:
    assert list(RAISED) == ALERTS


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_raised(tmp_path: Path, alert: str) -> None:
    at_s, step_s = (90_000, 900) if alert == "VersionsDiffer" else (900, STEP_S)
    raised = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    assert judge(tmp_path, RAISED[alert], at_s, raised, [{"labels": "{}", "value": 1}], step_s) == ""
