"""What the page costs the browser that shows it, as JSON: pictures of crowds, a hidden tab, memory over time.

    python -m simulations.bench.page [--repeat 3] [--people 2000] [--soak MINUTES] [--bots 60]

Frames are drawn by the page's own renderer over crowds made up in the browser, without a graphics card and without any
node: so many people told of one by one, all walking; and 5 000 as a node tells of them, 208 one by one and the others
as counts. `cpu_ms` is the processor time of the page's process for a frame, all in: on a machine with other work it
says more than how long a frame took. The hidden tab and memory are those of the whole page in a small city with bots,
whose person walks, teleports and opens panels all the while. Needs Chromium, Playwright and the page's tools (run
`run.py setup` and the tests once).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.seoul.landmarks import landmark
from shard_node import declared
from shard_node.web.city import drawing
from simulations.processes import City, start_child

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Browser, CDPSession, Page, Playwright, Route

__all__ = ["BROWSERS", "city_with_bots", "main"]

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
SOURCES: Final = Path(__file__).resolve().parents[2] / "client" / "web"
PLACES: Final = tuple(map(landmark, ("Gwanghwamun Gate", "Gwanghwamun Square", "Seoul City Hall")))
READY_S: Final = 60.0
POLL_S: Final = 0.1
HEAP_EVERY_S: Final = 15.0
HIDDEN_S: Final = 20.0
RESTED_S: Final = 15.0  # until the device's sound rests
FRAMES: Final = 300
ORIGIN: Final = "http://bench.invalid"  # answered by the bench itself
FLAGS: Final = ("--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
HTML: Final = (
    '<!doctype html><meta charset="utf-8"><style>body{margin:0}</style><canvas></canvas>'
    '<script type="module" src="/bench.js"></script>'
)
PAINTED: Final = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
TOLD: Final = 208  # one by one, as many as a node tells a client of
IN_VIEW: Final = 5_000


@contextmanager
def city_with_bots(nodes: int, bots: int) -> Iterator[City]:
    """A small city that serves, and so many bots in it, for as long as the block runs.

    Raises:
        TimeoutError: it did not get ready.
    """
    with (
        tempfile.TemporaryDirectory(prefix="p2pworld-bench-") as folder,
        City(Path(folder), nodes, PLACES) as city,
    ):
        city.start()
        until_s = time.monotonic() + READY_S
        while waits := city.not_ready():
            if time.monotonic() > until_s:
                raise TimeoutError(f"the city is not ready: {waits}")
            time.sleep(POLL_S)
        urls = [part for url in city.play_urls for part in ("--url", url)]
        arguments = ["-m", "client.bots", "--lines", *urls, "--count", str(bots), "--seconds", "36000"]
        with (Path(folder) / "bots.log").open("wb") as log:
            swarm = start_child(arguments, subprocess.DEVNULL, log) if bots else None
            try:
                yield city
            finally:
                if swarm is not None:
                    swarm.kill()
                    swarm.wait()


def crowd_script(folder: Path) -> str:
    """The bench of the renderer as one script."""
    made = folder / "bench.js"
    bundler = SOURCES / "node_modules" / "esbuild" / "bin" / "esbuild"
    asked = ["tests/bench/crowd.ts", "--bundle", "--format=esm", "--charset=utf8", f"--outfile={made}"]
    subprocess.run([str(bundler), "--log-level=error", *asked], cwd=SOURCES, check=True)
    return made.read_text("utf-8")


def _answer(body: str | bytes, kind: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(body=body, content_type=kind)


def open_bench(browser: Browser, script: str) -> Page:
    """A page on which `script` runs; it has the city's drawing and the declared places, and no network."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    places = declared.document(declared.read(), time.time_ns() // 1_000_000)[2]
    for path, body, kind in (
        ("bench.html*", HTML, "text/html"),
        ("bench.js", script, "text/javascript"),
        ("api/v1/city", drawing()[0], "application/json"),
        ("api/v1/places", places, "application/json"),
    ):
        page.route(f"{ORIGIN}/{path}", _answer(body, kind))
    return page


def frames(
    browser: Browser, script: str, people: int, counted: int, scale: int, hour: str = "day"
) -> dict[str, Any]:
    """Milliseconds to draw such a crowd, and from frame to frame: p50 and p95 of each; and CPU time a frame."""
    page = open_bench(browser, script)
    page.goto(
        f"{ORIGIN}/bench.html?people={people}&counted={counted}&scale={scale}&frames={FRAMES}&hour={hour}"
    )
    page.wait_for_function("document.title === 'warm'", timeout=120_000, polling=20)
    before = _cpu_s(browser)
    page.wait_for_function("document.title.startsWith('{')", timeout=120_000, polling=20)
    used_s = _used_s(browser, before)
    figures: dict[str, Any] = json.loads(page.title())
    page.close()
    return figures | {"cpu_ms": round(1000 * used_s / FRAMES, 1), "load": round(os.getloadavg()[0], 1)}


def _heap_bytes(session: CDPSession) -> int:
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


def _cpu_s(browser: Browser) -> dict[int, float]:
    """CPU time of the processes of this browser's pages, by process."""
    session = browser.new_browser_cdp_session()
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return {int(one["id"]): float(one["cpuTime"]) for one in told if one["type"] == "renderer"}


def _used_s(browser: Browser, before: dict[int, float]) -> float:
    """CPU time since then of the page that has used most."""
    return max(s - before.get(process, 0.0) for process, s in _cpu_s(browser).items())


def enter(page: Page, url: str) -> None:
    """Comes into the city as somebody new."""
    page.goto(url)
    page.locator("input[name=name]").fill("Bench")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.p2pworld.read().link === 'here'", timeout=30_000)


def _rss_mb(browser: Browser) -> float:
    """Resident memory of all the pages of this browser."""
    session = browser.new_browser_cdp_session()
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    kb = 0
    for one in told:
        if one["type"] == "renderer":
            status = Path(f"/proc/{one['id']}/status").read_text("utf-8")
            found = re.search(r"VmRSS:\s+(\d+)", status)
            kb += int(found.group(1)) if found else 0
    return kb / 1024


def _stir(page: Page, turn: int) -> None:
    """Something of what a person does, another thing each time."""
    page.keyboard.press("Escape")
    match turn % 4:
        case 0:
            page.keyboard.press("/")
            page.get_by_role("searchbox").fill(("광화문", "청계천", "시청", "타워")[turn // 4 % 4])
            page.keyboard.press("Enter")
        case 1:
            key = ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp")[turn // 4 % 4]
            page.keyboard.down(key)
            page.wait_for_timeout(4000)
            page.keyboard.up(key)
        case 2:
            for key in "htvo":
                page.keyboard.press(key)
                page.keyboard.press("Escape")
        case _:
            page.keyboard.press("Enter")
            page.keyboard.insert_text(f"안녕하세요 {turn}")
            page.keyboard.press("Enter")
            page.keyboard.press("Escape")
            page.keyboard.press("-" if turn // 4 % 2 else "+")


def soak(browser: Browser, page: Page, minutes: float) -> dict[str, Any]:
    """Megabytes in use over so many minutes; growth is that of the second half, by a straight line through it."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    samples: list[tuple[float, float, float]] = []
    began_s = time.monotonic()
    while not samples or samples[-1][0] < minutes * 60:
        _stir(page, len(samples))
        page.wait_for_timeout(HEAP_EVERY_S * 1000)
        heap_mb = _heap_bytes(session) / 1e6
        samples.append((time.monotonic() - began_s, heap_mb, _rss_mb(browser)))
    counters = session.send("Memory.getDOMCounters")
    late = samples[len(samples) // 2 :]
    return {
        "minutes": round(samples[-1][0] / 60, 1),
        "heap_mb": _course([mb for _, mb, _ in samples]),
        "heap_growth_mb_per_minute": round(_slope([(s / 60, mb) for s, mb, _ in late]), 3),
        "rss_mb": _course([mb for _, _, mb in samples]),
        "rss_growth_mb_per_minute": round(_slope([(s / 60, mb) for s, _, mb in late]), 3),
        "dom_nodes": counters["nodes"],
        "listeners": counters["jsEventListeners"],
    }


def _course(values: list[float]) -> list[float]:
    """At the beginning, at each quarter, and at the end."""
    return [round(values[round(share * (len(values) - 1) / 4)], 1) for share in range(5)]


def _slope(points: list[tuple[float, float]]) -> float:
    """Of the straight line of least squares."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    square = sum((x - middle_x) ** 2 for x, _ in points)
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / square if square else 0.0


@contextmanager
def _everyday_browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """A browser as people have it: one that is driven by Playwright believes all its tabs to be in front."""
    with tempfile.TemporaryDirectory(prefix="p2pworld-bench-", ignore_cleanup_errors=True) as folder:
        flags = [*FLAGS, "--headless=new", "--remote-debugging-port=0", f"--user-data-dir={folder}"]
        process = subprocess.Popen(
            [chromium, *flags, "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            told, until_s = Path(folder) / "DevToolsActivePort", time.monotonic() + READY_S
            while not told.exists() or not (port := told.read_text("ascii").split("\n")[0]):
                if time.monotonic() > until_s:
                    raise TimeoutError("the browser does not start")
                time.sleep(POLL_S)
            browser = playwright.chromium.connect_over_cdp(f"http://127.0.0.1:{port}", no_defaults=True)
            yield browser
            browser.close()
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def tab(browser: Browser, url: str) -> dict[str, Any]:
    """When the page shows something, and percent of a core it takes while shown, and behind another tab."""
    figures: dict[str, Any] = {}
    context = browser.contexts[0]
    page = context.pages[0]
    enter(page, url)
    figures["first_contentful_paint_ms"] = round(page.evaluate(PAINTED))
    for name in ("shown", "hidden"):
        if name == "hidden":
            context.new_page().bring_to_front()
            page.wait_for_timeout(RESTED_S * 1000)
            assert page.evaluate("document.hidden"), "the tab is not hidden"
        before, began_s = _cpu_s(browser), time.monotonic()
        page.wait_for_timeout(HIDDEN_S * 1000)
        used_s = _used_s(browser, before)
        figures[f"{name}_cpu_percent"] = round(100 * used_s / (time.monotonic() - began_s), 1)
    return figures


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=2_000, help="told of one by one")
    parser.add_argument("--repeat", type=int, default=3, help="how often each picture is measured")
    parser.add_argument("--soak", type=float, default=0.0, help="for how many minutes memory is watched")
    parser.add_argument("--bots", type=int, default=60)
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise SystemExit("there is no Chromium on this machine")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        script = crowd_script(Path(folder))
        browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        figures: dict[str, Any] = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "browser": browser.version,
            "frames": [
                frames(browser, script, people, counted, scale, hour)
                for _ in range(asked.repeat)
                for people, counted in ((asked.people, 0), (TOLD, IN_VIEW - TOLD))
                for scale, hour in ((2, "day"), (8, "day"), (17, "day"), (8, "night"))
            ],
        }
        with city_with_bots(2, asked.bots) as city:
            figures["bots"] = asked.bots
            if asked.soak:
                page = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 800}).new_page()
                enter(page, city.nodes[0].web_url)
                figures["soak"] = soak(browser, page, asked.soak)
            browser.close()
            with _everyday_browser(playwright, chromium) as everyday:
                figures["tab"] = tab(everyday, city.nodes[0].web_url)
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
