"""The HTTP face over real loopback sockets, served by Hypercorn on Trio."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import trio
from prometheus_client.parser import text_string_to_metric_families

from shard_node.stages import Histogram
from shard_node.web.app import make_app
from shard_node.web.metrics import EVENTS
from shard_node.web.serve import KEEP_ALIVE_S, READ_S, serve_web
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from starlette.routing import Route


class Source:
    """A source of status whose health can be changed."""

    def __init__(self) -> None:
        self.unwell: list[str] = []

    def health(self) -> dict[str, object]:
        return {"ok": not self.unwell, "reasons": self.unwell}

    def reasons(self) -> dict[str, bool]:
        return {"lapsed": True, "map_stale": False}

    def nodes(self) -> dict[str, object]:
        return {"nodes": []}

    def regions(self) -> dict[str, object]:
        raise RuntimeError("on purpose")

    def places(self) -> tuple[str, bytes]:
        return '"one"', '{"places":["경복궁"]}'.encode()

    def counters(self) -> Iterator[tuple[str, str, int]]:
        yield "play", 'odd "name"', 7

    def gauges(self) -> dict[str, float]:
        return {"clients": 3.0}

    def cpu_s(self) -> dict[str, float]:
        return {"rest": 1.5, "send": 0.25}

    def build(self) -> dict[str, str]:
        return {"version": "9.9"}

    def streams(self) -> Iterator[tuple[str, dict[str, float]]]:
        yield "city", {"civic_held": 1.0}

    def labelled_counters(self) -> Iterator[tuple[str, dict[str, str], int]]:
        yield "civic_failures", {"stream": "city", "stage": "Commit", "reason": "io"}, 1

    def histograms(self) -> Iterator[tuple[str, dict[str, str], Histogram]]:
        for request, count in (("renew", 2), ("read", 1)):
            took = Histogram((0.1, 1.0))
            for _ in range(count):
                took.took(0.25)
            yield "store_seconds", {"request": request}, took


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status, self.headers, self.body = status, headers, body

    def json(self) -> Any:
        return json.loads(self.body)


async def get(url: str, method: str = "GET", **headers: str) -> Answer:
    """One request, by another HTTP library, in a thread."""

    def ask() -> Answer:
        request = urllib.request.Request(url, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    return await trio.to_thread.run_sync(ask)


@asynccontextmanager
async def serving(source: Source) -> AsyncIterator[str]:
    async with serving_app(source) as url:
        yield url


@asynccontextmanager
async def serving_app(source: Source, more: Sequence[Route] = ()) -> AsyncIterator[str]:
    with trio.fail_after(PATIENCE_S), socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            await nursery.start(serve_web, make_app(source, more=more), listener, stop)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            stop.set()


async def test_health_is_200_or_503_with_reasons() -> None:
    source = Source()
    async with serving(source) as url:
        good = await get(f"{url}/healthz")
        assert (good.status, good.json()) == (200, {"ok": True, "reasons": []})
        source.unwell.append("lapsed")
        bad = await get(f"{url}/healthz")
        assert (bad.status, bad.json()["reasons"]) == (503, ["lapsed"])


def test_a_connection_is_read_for_as_long_as_it_is_kept() -> None:
    """Else a page that was read for a while sends its form to nobody, and waits until the connection is closed."""
    assert READ_S > KEEP_ALIVE_S


async def test_metrics_are_what_prometheus_reads() -> None:
    async with serving(Source()) as url:
        answer = await get(f"{url}/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
        counted = {tuple(event.labels.values()): event.value for event in families["p2pworld_events"].samples}
        assert counted == {**dict.fromkeys(EVENTS, 0), ("play", 'odd "name"'): 7}
        assert families["p2pworld_clients"].samples[0].value == 3
        spent = {sample.labels["stage"]: sample.value for sample in families["p2pworld_cpu_seconds"].samples}
        assert spent == {"rest": 1.5, "send": 0.25}
        took = {
            (sample.name.rpartition("_")[2], sample.labels["request"], sample.labels.get("le")): sample.value
            for sample in families["p2pworld_store_seconds"].samples
        }
        assert (took["count", "renew", None], took["sum", "renew", None]) == (2, 0.5)
        assert [took["bucket", "read", bound] for bound in ("0.1", "1.0", "+Inf")] == [0, 1, 1]
        assert families["p2pworld_build_info"].samples[0].labels == {"version": "9.9"}
        reasons = {sample.labels["reason"]: sample.value for sample in families["p2pworld_unhealthy"].samples}
        assert reasons == {"lapsed": 1, "map_stale": 0}
        assert families["process_open_fds"].samples[0].value > 0


async def test_errors_are_json_and_requests_have_names() -> None:
    async with serving(Source()) as url:
        missing = await get(f"{url}/nothing", **{"X-Request-Id": "mine-1"})
        assert (missing.status, missing.json()["error"]) == (404, "not_found")
        assert missing.headers["x-request-id"] == "mine-1"
        wrong = await get(f"{url}/healthz", method="POST", **{"X-Request-Id": "not a sane one"})
        assert (wrong.status, wrong.json()["error"]) == (405, "method_not_allowed")
        assert len(wrong.headers["x-request-id"]) == 16
        failed = await get(f"{url}/api/v1/regions")
        assert (failed.status, failed.json()["error"]) == (500, "internal")
        assert (await get(f"{url}/api/v1/nodes")).json() == {"nodes": []}


async def test_places_are_sent_once_and_then_by_their_tag() -> None:
    async with serving(Source()) as url:
        first = await get(f"{url}/api/v1/places")
        assert (first.status, first.json()) == (200, {"places": ["경복궁"]})
        tag = first.headers["etag"]
        again = await get(f"{url}/api/v1/places", **{"If-None-Match": f'"other", {tag}'})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        other = await get(f"{url}/api/v1/places", **{"If-None-Match": '"other"'})
        assert other.status == 200
