"""What the page costs the browser that shows it, as JSON: a picture of 2 000 people, memory over time, a hidden tab.

    python -m simulations.bench.page [--people 2000] [--minutes 2] [--bots 60]

Frames are drawn by the page's own renderer over a crowd made up in the browser, without a graphics card. Memory and the
hidden tab are those of the whole page in a small city with bots. Needs Chromium, Playwright and the page's tools (run
`run.py setup` and the tests once).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.seoul.landmarks import landmark
from simulations.processes import City, start_child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, CDPSession, Page

__all__ = ["BROWSERS", "city_with_bots", "main"]

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
SOURCES: Final = Path(__file__).resolve().parents[2] / "client" / "web"
PLACES: Final = tuple(map(landmark, ("Gwanghwamun Gate", "Gwanghwamun Square", "Seoul City Hall")))
READY_S: Final = 60.0
POLL_S: Final = 0.1
HEAP_EVERY_S: Final = 10.0
HIDDEN_S: Final = 20.0
FRAMES: Final = 200
HTML: Final = (
    '<!doctype html><meta charset="utf-8"><canvas></canvas><script type="module" src="/bench.js"></script>'
)


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


def frames(browser: Browser, origin: str, script: str, people: int, scale: int, hour: str) -> dict[str, Any]:
    """Milliseconds to draw so many people, and from frame to frame: p50 and p95 of each."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.route("**/bench.html*", lambda route: route.fulfill(body=HTML, content_type="text/html"))
    page.route("**/bench.js", lambda route: route.fulfill(body=script, content_type="text/javascript"))
    page.goto(f"{origin}/bench.html?people={people}&scale={scale}&frames={FRAMES}&hour={hour}")
    page.wait_for_function("document.title.startsWith('{')", timeout=120_000, polling=500)
    figures: dict[str, Any] = json.loads(page.title())
    page.close()
    return figures


def _heap_bytes(session: CDPSession) -> int:
    session.send("HeapProfiler.collectGarbage")
    return int(session.send("Runtime.getHeapUsage")["usedSize"])


def _cpu_s(browser: Browser) -> float:
    """CPU time of all the pages of this browser."""
    session = browser.new_browser_cdp_session()
    told = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    return float(sum(one["cpuTime"] for one in told if one["type"] == "renderer"))


def enter(page: Page, url: str) -> None:
    """Comes into the city as somebody new."""
    page.goto(url)
    page.locator("input[name=name]").fill("Bench")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.p2pworld.read().link === 'here'", timeout=30_000)


def heap(page: Page, minutes: float) -> dict[str, Any]:
    """Megabytes in use after collecting, over so many minutes; growth is that of the second half, per minute."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.enable")
    samples: list[tuple[float, float]] = []
    began_s = time.monotonic()
    while not samples or samples[-1][0] < minutes * 60:
        samples.append((time.monotonic() - began_s, _heap_bytes(session) / 1e6))
        page.wait_for_timeout(HEAP_EVERY_S * 1000)
    late = samples[len(samples) // 2 :]
    (t0, first), (t1, last) = late[0], late[-1]
    growth = (last - first) / (t1 - t0) * 60 if t1 > t0 else 0.0
    return {
        "minutes": round(samples[-1][0] / 60, 1),
        "first_mb": round(samples[0][1], 2),
        "last_mb": round(last, 2),
        "largest_mb": round(max(mb for _, mb in samples), 2),
        "growth_mb_per_minute": round(growth, 3),
    }


def hidden(browser: Browser, page: Page) -> dict[str, Any]:
    """Percent of a core that a tab takes while shown, and while another tab is in front of it."""
    figures: dict[str, Any] = {}
    for name in ("shown", "hidden"):
        if name == "hidden":
            session = page.context.new_cdp_session(page)
            session.send("Emulation.setFocusEmulationEnabled", {"enabled": False})
            front = page.context.new_page()
            front.bring_to_front()
            page.wait_for_timeout(3000)
            figures["is_hidden"] = page.evaluate("document.hidden")
        before, began_s = _cpu_s(browser), time.monotonic()
        page.wait_for_timeout(HIDDEN_S * 1000)
        used_s = _cpu_s(browser) - before
        figures[f"{name}_cpu_percent"] = round(100 * used_s / (time.monotonic() - began_s), 1)
    return figures


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--people", type=int, default=2_000)
    parser.add_argument("--minutes", type=float, default=2.0, help="how long memory is watched")
    parser.add_argument("--bots", type=int, default=60)
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise SystemExit("there is no Chromium on this machine")
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with (
        city_with_bots(2, asked.bots) as city,
        tempfile.TemporaryDirectory() as folder,
        sync_playwright() as playwright,
    ):
        script, url = crowd_script(Path(folder)), city.nodes[0].web_url
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        pictures = [
            frames(browser, url, script, asked.people, scale, hour)
            for scale, hour in ((8, "day"), (8, "night"), (17, "day"), (2, "day"))
        ]
        page = browser.new_context(locale="ko-KR", viewport={"width": 1280, "height": 800}).new_page()
        enter(page, url)
        figures = {
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
            "browser": browser.version,
            "frames": pictures,
            "bots": asked.bots,
            "heap": heap(page, asked.minutes),
            "tab": hidden(browser, page),
        }
        browser.close()
    print(json.dumps(figures, indent=2, ensure_ascii=False))


if __name__ == "__main__":
    main()
