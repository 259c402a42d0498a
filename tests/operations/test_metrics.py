"""What a node tells is what the page, the alert rules and the dashboard speak of."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from p2pworld.errors import Refusal
from shard_node.civic.meter import CivicFigures, LogFigures
from shard_node.civic.witnesses import SIGNED
from shard_node.execute import REQUESTS
from shard_node.web.metrics import COUNTERS, EVENTS, GAUGES, HISTOGRAMS, STREAM_GAUGES, registry
from simulations.bench.crowd.certificate import write_certificate
from simulations.processes import ROOT
from tests.nodes import answered, health, running_city
from tests.operations import metrics_page
from tests.operations.page import FILES, PAGE, anchors
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from shard_node.civic.holder import CivicHolder
    from shard_node.web.metrics import Figures

ALERTS = (FILES / "alerts.yml").read_text("utf-8")
DASHBOARD: dict[str, Any] = json.loads((FILES / "grafana-dashboard.json").read_text("utf-8"))
ONLY_OVER_A_NETWORK = "store_certificate_left_s"  # and so not told by a node over SQLite
LABELS = {  # that may stand beside a name in a query; Prometheus adds the first two
    "job", "instance", "part", "what", "le", "request", "reason", "stage", "version", "stream",
}  # fmt: skip
NAME = re.compile(r"\b((?:p2pworld|process)_[a-z0-9_]+|up)\b(?=\s*[{\[)\s=<>!]|$)")
SELECTOR = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')


def queries() -> list[str]:
    """Every query of the alert rules and the dashboard."""
    found = [
        re.sub(r"\s+", " ", text)
        for text in re.findall(
            r"^        expr: (?:>-)?(.*?)(?=^        \w+:)", ALERTS, re.MULTILINE | re.DOTALL
        )
    ]
    for panel in DASHBOARD["panels"]:
        found += [target["expr"] for target in panel.get("targets", ())]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            found.append(variable["query"]["query"])
    return found + [note["expr"] for note in DASHBOARD["annotations"]["list"]]


def test_the_page_is_what_the_code_says() -> None:
    assert metrics_page.PATH.read_text("utf-8") == metrics_page.document()


async def test_a_node_tells_all_that_is_listed_and_all_that_is_asked_for(tmp_path: Path) -> None:
    async with running_city(tmp_path, 1, tls=write_certificate(tmp_path)) as city:
        text = ""

        async def seen() -> bool:
            nonlocal text
            text = (await trio.to_thread.run_sync(city.nodes[0].ask, "/metrics") or b"").decode()
            return "p2pworld_disk_free_bytes" in text

        await answered(seen, PATIENCE_S, "a look at the disk, from its thread")
        status = await health(city.nodes[0])
    families = {family.name: family for family in text_string_to_metric_families(text)}
    samples = {sample.name for family in families.values() for sample in family.samples}
    told = {name.removeprefix("p2pworld_") for name in families if name.startswith("p2pworld_")}
    listed = {*GAUGES, *HISTOGRAMS, "build_info", "unhealthy", "events", "cpu_seconds"}
    listed = {name for name in listed if not name.startswith("civic_")}  # this city keeps no log
    assert told == listed - {ONLY_OVER_A_NETWORK}
    figures = {name for name, value in status.items() if isinstance(value, bool | int | float)} - {"ok"}
    assert figures <= set(GAUGES), "give what a node says of itself a sentence in GAUGES"
    requests = {sample.labels["request"] for sample in families["p2pworld_store_seconds"].samples}
    assert requests == set(REQUESTS.values())
    asked = {name for query in queries() for name in NAME.findall(query)}
    assert {name for name in asked if name.startswith("p2pworld_civic_")} <= civic_samples()
    asked = {name for name in asked if not name.startswith("p2pworld_civic_")}
    assert len(asked) > 30
    assert asked <= samples | {"up", f"p2pworld_{ONLY_OVER_A_NETWORK}"}


class Bare:
    """The figures of a node that has none but those of its civic logs."""

    def __init__(self, civic: CivicFigures) -> None:
        self.histograms = civic.histograms
        self.streams = civic.gauges
        self.labelled_counters = civic.counters

    def build(self) -> dict[str, str]:
        return {}

    def counters(self) -> Iterator[tuple[str, str, int]]:
        return iter(())

    gauges = cpu_s = reasons = build


class Holding:
    """Stands in for a holder at work."""

    queue, size, trouble = 3, 20, None


def civic_figures(now_s: list[float]) -> CivicFigures:
    """Those of two logs, one of them held, with everything that can happen to it."""
    counters = Counter[str]()
    figures = CivicFigures((), 2, counters)
    figures.meters = {name: LogFigures(name, 2, counters, lambda: now_s[0]) for name in ("city", "jongno")}
    meter = figures.meters["city"]
    meter.began(cast("CivicHolder", Holding()))
    meter.batch(3, 2)
    meter.took("Commit", 0.002)
    meter.failed("Commit", "full")
    meter.published(17)
    now_s[0] += 5.0
    meter.witness("paper", SIGNED)
    meter.witness("radio", "down")
    meter.witnessed(17)
    now_s[0] += 2.0
    meter.published(20)
    now_s[0] += 1.0
    return figures


def civic_samples() -> set[str]:
    text = generate_latest(registry(cast("Figures", Bare(civic_figures([0.0]))))).decode()
    return {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}


def test_a_civic_log_tells_all_that_is_listed() -> None:
    now_s = [100.0]
    figures = civic_figures(now_s)
    told = dict(figures.gauges())
    assert told["city"] == {
        "civic_held": 1,
        "civic_read_only": 0,
        "civic_failing": 1,
        "civic_queue": 3,
        "civic_size": 20,
        "civic_checkpoint_age_s": 1,
        "civic_witnessed_size": 17,
        "civic_witnessed_age_s": 3,
        "civic_witnesses_missing": 1,
        "civic_quorum_missing": 1,
    }
    assert set(told["city"]) == set(STREAM_GAUGES)
    assert told["jongno"] == {"civic_held": 0, "civic_read_only": 0}
    assert {name for name, _, _ in figures.counters()} == set(COUNTERS)
    meter = figures.meters["city"]
    meter.witness("radio", SIGNED)
    assert meter.gauges()["civic_quorum_missing"] == 0
    meter.alarm(Refusal("log-fork", "two roots"))
    meter.ended()
    assert meter.gauges() == {"civic_held": 1, "civic_read_only": 1}  # until people have looked
    names = {name.removeprefix("p2pworld_") for name in civic_samples()}
    listed = {*STREAM_GAUGES, *(f"{name}_total" for name in COUNTERS)}
    listed |= {f"{name}_bucket" for name in HISTOGRAMS if name.startswith("civic_")}
    assert listed <= names


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_labels_and_events_that_there_are(query: str) -> None:
    for selector in re.findall(r"\{([^}]*)\}", query):
        labels = {name: (operator, value) for name, operator, value in SELECTOR.findall(selector)}
        assert set(labels) <= LABELS
        if "what" in labels:
            operator, what = labels["what"]
            chosen = {
                code
                for part, code in EVENTS
                if part == labels["part"][1]
                and (re.fullmatch(what, code) if operator == "=~" else code == what)
            }
            assert chosen, selector
    for group in re.findall(r"\bby \(([^)]*)\)", query):
        assert {name.strip() for name in group.split(",")} <= LABELS


def counted_here() -> Iterator[re.Pattern[str]]:
    """The names under which something is counted anywhere in the code; a part that is filled in matches anything."""
    for package in ("p2pworld", "shard_node"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if not isinstance(node, ast.AugAssign) or not isinstance(node.target, ast.Subscript):
                    continue
                for part in ast.walk(node.target.slice):
                    if isinstance(part, ast.JoinedStr):
                        texts = [
                            re.escape(str(piece.value)) if isinstance(piece, ast.Constant) else ".+"
                            for piece in part.values
                        ]
                        yield re.compile("".join(texts))
                    elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                        yield re.compile(re.escape(part.value))


def test_whatever_is_told_from_the_start_can_happen() -> None:
    names = list(counted_here())
    for _, what in EVENTS:
        assert any(name.fullmatch(what) for name in names), what


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    known = anchors(PAGE)
    alerts = re.findall(
        r"^      - alert: (\w+)\n(.*?)(?=^      - alert|\Z)", ALERTS, re.MULTILINE | re.DOTALL
    )
    assert len(alerts) > 20
    for name, rule in alerts:
        assert re.search(r"severity: (critical|warning) \}", rule), name
        assert f"runbook: docs/operations.md#{name.lower()}\n" in rule
        assert name.lower() in known
    section = PAGE.read_text("utf-8").partition("\n## What to do when\n")[2].partition("\n## ")[0]
    titles = re.findall(r"^### (\w+)$", section, re.MULTILINE)
    assert sorted(titles) == sorted(name for name, _ in alerts)


def test_the_dashboard_is_one_that_grafana_reads() -> None:
    assert DASHBOARD["schemaVersion"] >= 36
    assert {"title", "uid", "time", "templating", "annotations", "refresh"} <= set(DASHBOARD)
    variables = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    assert variables == {"source", "node"}
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        assert panel["title"]
        assert panel["type"] in ("row", "stat", "timeseries", "table")
        at = panel["gridPos"]
        area = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert all(0 <= x < 24 for x, _ in area)
        assert not area & taken
        taken |= area
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == {"type": "prometheus", "uid": "${source}"}
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"]) > 0
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            used = set(re.findall(r"\$\{?(\w+)", target["expr"]))
            assert used <= variables
