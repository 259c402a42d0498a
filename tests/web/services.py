"""A city with civic logs and services for tests of the citizen's pages: one node, and a person at a form."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from p2pworld.seoul.landmarks import landmark
from simulations.processes import City
from tests.web.visit import CITY_S, POLL_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, BrowserContext, Page

    from tests.web.conftest import Troubles

__all__ = ["Office", "at", "citizen", "findings", "live", "served_office"]

STREAMS: Final = ("city", "jongno", "jung", "seongbuk")
# Chromium says so of every answer that is no 200, those too that a test waits for
HARMLESS_ANSWER: Final = "Failed to load resource"


@dataclass(frozen=True, slots=True)
class Office:
    """The city, where its node's pages are, and the folder of declarations that it looks at."""

    city: City
    url: str
    folder: Path


@contextmanager
def served_office(folder: Path) -> Iterator[Office]:
    """One node that holds some offices' logs and serves their pages."""
    declared = folder / "services"
    declared.mkdir(parents=True)
    city = City(folder / "city", 1, (landmark("Seoul City Hall"),), ttl_s=1.0)
    city.keep_logs(STREAMS, city.nodes)
    (node,) = city.nodes
    with node.config.open("a", encoding="utf-8") as config:
        config.write(f'folder = "{declared}"\n')  # of [services], the last table
    try:
        city.start()
        until_s = time.monotonic() + CITY_S
        while waits := city.not_ready() or _unheld(node.ask_json("/civic/streams")):
            assert not city.dead(), node.log_tail(40)
            assert time.monotonic() < until_s, f"the city is not ready: {waits}\n{node.log_tail(40)}"
            time.sleep(POLL_S)
        yield Office(city, node.web_url, declared)
    finally:
        city.end()


def _unheld(told: dict[str, Any]) -> str:
    held = {stream["stream"] for stream in told.get("streams", ()) if stream["here"]}
    return ", ".join(sorted(set(STREAMS) - held))


@contextmanager
def citizen(browser: Browser, troubles: Troubles | None = None, **options: Any) -> Iterator[Page]:
    """Somebody new, with a browser of their own."""
    size = {"width": 1280, "height": 900}
    context: BrowserContext = browser.new_context(**({"locale": "ko-KR", "viewport": size} | options))
    context.set_default_timeout(15_000)
    page = context.new_page()
    page.on("dialog", lambda dialog: dialog.accept())
    if troubles is not None:
        page.on("pageerror", lambda error: troubles.seen.append(f"error: {error}"))
        page.on(
            "console",
            lambda message: (
                troubles.seen.append(message.text)
                if message.type in ("error", "warning") and HARMLESS_ANSWER not in message.text
                else None
            ),
        )
    try:
        yield page
    finally:
        context.close()


def at(page: Page, office: Office, path: str) -> None:
    """Opens a page, and waits until its script has made it live."""
    page.goto(f"{office.url}{path}")
    live(page)


def live(page: Page) -> None:
    """Waits until the script of the page that was come to has made it live."""
    page.locator("body[data-live]").wait_for(state="attached")


def findings(page: Page, state: str) -> list[str]:
    """The serious and critical findings of axe-core on the page as it is now, a line each."""
    answer: dict[str, Any] = page.evaluate("() => axe.run(document, { resultTypes: ['violations'] })")
    assert answer["passes"], "axe-core looked at nothing"
    return [
        f"{state}: {one['impact']} {one['id']}: {node['target']} {node['failureSummary']}"
        for one in answer["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]
