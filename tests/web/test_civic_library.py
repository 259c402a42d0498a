"""What is filed from a browser, by the library alone: checked, kept in IndexedDB, sent to a real node, proven.

The pages that people see are tried elsewhere. Here stand a page of another origin than the node, two tabs at once, a
window without a secure context, and nodes that cannot be reached or that lie.
"""

from __future__ import annotations

import re
import subprocess
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from p2pworld.seoul.landmarks import landmark
from p2pworld.services.told import service_told
from shard_node.services.folder import read
from shard_node.web.city import drawing
from simulations.processes import City, free_ports
from tests.patience import PATIENCE_S
from tests.services.samples import filled
from tests.web.conftest import open_browser

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

    from simulations.processes import NodeProcess
    from tests.web.conftest import Built

CATALOGUE = read()
SERVICE = CATALOGUE.services["streetlight-report"]
STREAM = "jung"  # of the gu that the sample's point lies in
PLAIN = "http://plain.example"  # a page that is made up here, of no secure context
READY_S = PATIENCE_S
POLICY = "default-src 'none'; script-src 'self'; connect-src 'self' http: https:"
PAGE = b'<!doctype html><script type="module" src="/civic.js"></script>'


class Elsewhere(ThreadingHTTPServer):
    """A server of another origin than the node: it has a page with the library, and answers filings with nonsense."""

    def __init__(self, script: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.files = {
            "/": ("text/html", PAGE),
            "/civic.js": ("text/javascript", script),
            "/api/v1/city": ("application/json", drawing()[0]),
        }
        self.asked: list[str] = []
        self.brought: list[int] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Asked(BaseHTTPRequestHandler):
    """One request to it."""

    server: Elsewhere

    def do_GET(self) -> None:
        kind, data = self.server.files.get(self.path, ("text/plain", b""))
        self._answer(kind, data)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._answer("text/plain", b"c2sp.org/tlog-proof@v1\n")

    def do_OPTIONS(self) -> None:
        self._answer("text/plain", b"")

    def do_PUT(self) -> None:
        """Loses the first try, and keeps the second."""
        tries = sum(line.startswith("PUT") for line in self.server.asked)
        self.server.brought.append(len(self.rfile.read(int(self.headers["Content-Length"]))))
        if tries:
            self._answer("application/json", b"{}")
        else:
            self.server.asked.append("PUT and no answer")
            self.close_connection = True

    def _answer(self, kind: str, data: bytes) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.send_response(200)
        headers = {"Content-Type": kind, "Content-Length": str(len(data)), "Access-Control-Allow-Origin": "*"}
        headers |= {"Access-Control-Allow-Methods": "PUT", "Access-Control-Allow-Headers": "*"}
        for name, value in (headers | {"Content-Security-Policy": POLICY}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node that holds a log."""
    city = City(tmp_path_factory.mktemp("city"), 1, (landmark("Seoul Plaza"),), ttl_s=3.0)
    city.keep_logs([STREAM], city.nodes)
    (one,) = city.nodes
    try:
        city.start()
        until_s = time.monotonic() + READY_S
        while city.not_ready() or not all(told["here"] for told in one.ask_json("/civic/streams")["streams"]):
            assert time.monotonic() < until_s, one.log_tail(40)
            time.sleep(0.1)
        yield one
    finally:
        if one.running:
            one.kill()


@pytest.fixture(scope="module")
def elsewhere(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """A server with the library, as it is bundled for tests."""
    folder = tmp_path_factory.mktemp("bundles")
    subprocess.run(
        [built.node[0], "build.mjs", "tests", folder], cwd=built.sources, check=True, timeout=PATIENCE_S
    )
    with Elsewhere((folder / "browser" / "civic.js").read_bytes()) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield server
        server.shutdown()
        serving.join()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    """One browser for all of it."""
    yield from open_browser(chromium)


def opened(page: Page, origin: str) -> Page:
    """The page at this origin, with the library on it."""
    page.goto(f"{origin}/")
    page.wait_for_function("() => window.civic")
    return page


def written(page: Page, url: str, **changed: object) -> str | list[str]:
    """The id of a request that is filled in and kept, or what is wrong with it."""
    values = filled(SERVICE, CATALOGUE) | {"photos": [], **changed}
    told: str | list[str] = page.evaluate(
        "([node, service, values]) => civic.write(node, service, values)",
        [url, service_told(SERVICE), values],
    )
    return told


def sent(page: Page, *urls: str) -> list[str]:
    """How everything that was not settled ended."""
    ends: list[str] = page.evaluate("(urls) => civic.send(urls)", list(urls))
    return ends


def test_a_request_from_another_origin_is_in_the_log_once_whatever_happens_on_the_way(
    browser: Browser, node: NodeProcess, elsewhere: Elsewhere
) -> None:
    context = browser.new_context()
    page = opened(context.new_page(), elsewhere.url)
    assert written(page, node.web_url, place="north pole") == ["field-invalid"]
    key = written(page, node.web_url)
    assert isinstance(key, str)
    page.close()  # before anything was sent

    page = opened(context.new_page(), elsewhere.url)
    nowhere = f"http://127.0.0.1:{free_ports(1)[0]}"
    (end,) = sent(page, nowhere, elsewhere.url, node.web_url)  # the first is not there, the second lies
    assert re.fullmatch(r"accepted \d+", end)
    assert sent(page, node.web_url) == []
    assert page.evaluate("([url, key]) => civic.holds(url, key)", [node.web_url, key])
    said = page.evaluate("([url, key]) => civic.reads(url, key)", [node.web_url, key])
    assert said["place"] == filled(SERVICE, CATALOGUE)["place"]
    assert [line for line in elsewhere.asked if "/civic/" in line] == ["POST /civic/file"]
    context.close()


def test_a_file_is_brought_to_another_origin_again_after_a_loss_and_tells_how_far_it_is(
    browser: Browser, node: NodeProcess, elsewhere: Elsewhere
) -> None:
    context = browser.new_context()
    page = opened(context.new_page(), elsewhere.url)
    other = elsewhere.url.replace("127.0.0.1", "localhost")
    told = page.evaluate("(url) => civic.bring(url, 3_000_000)", other)
    assert told["kind"] == "kept"
    assert told["bytes"] == 3_000_016
    assert told["steps"] >= 4, "from nothing to all of it, twice"
    assert elsewhere.brought == [3_000_016, 3_000_016]
    assert told["found"] is None, "what is there is another file"
    told = page.evaluate("(url) => civic.bring(url, 3_000_000)", node.web_url)
    assert (told["kind"], told["found"]) == ("kept", 3_000_000)
    context.close()


def test_two_tabs_are_one_person_and_both_know_what_was_filed(
    browser: Browser, node: NodeProcess, elsewhere: Elsewhere
) -> None:
    context = browser.new_context()
    pages = [opened(context.new_page(), elsewhere.url) for _ in range(2)]
    for page in pages:
        page.evaluate("() => { window.mine = civic.me(); }")
    first, second = (page.evaluate("() => window.mine") for page in pages)
    assert first == second
    assert first["lasting"]
    assert len(first["words"].split()) == 9
    key = written(pages[0], node.web_url)
    for page in pages:
        page.evaluate("(url) => { window.sent = civic.send([url]); }", node.web_url)
    ends = [end for page in pages for end in page.evaluate("() => window.sent")]
    assert len(set(ends)) == 1, "one entry, though both may have sent it"
    (act,) = pages[1].evaluate("([url, key]) => civic.withdraw([url], key)", [node.web_url, key])
    assert re.fullmatch(r"accepted \d+", act)
    context.close()


def test_a_window_without_a_secure_context_files_as_well(
    browser: Browser, node: NodeProcess, elsewhere: Elsewhere
) -> None:
    """What such a page asks of its own origin is answered by the two servers."""

    def answer(route: Route) -> None:
        path = route.request.url.removeprefix(PLAIN)
        origin = elsewhere.url if path in elsewhere.files else node.web_url
        route.fulfill(response=route.fetch(url=origin + path))

    context = browser.new_context()
    context.route(f"{PLAIN}/**", answer)
    page = opened(context.new_page(), PLAIN)
    assert page.evaluate("() => !window.isSecureContext && crypto.subtle === undefined")
    key = written(page, "")
    assert re.fullmatch(r"accepted \d+", sent(page, "")[0])
    assert page.evaluate("(key) => civic.holds('', key)", key)
    context.close()
