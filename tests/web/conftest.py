"""The built page, made anew if its sources have changed since, and a browser."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shard_node.web.page import BUILT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from playwright.sync_api import Browser, ConsoleMessage, Page

REPOSITORY = Path(__file__).resolve().parents[2]
# what Chromium says when one logs in anew while a socket to a neighbour is being opened
HARMLESS = "WebSocket is closed before the connection is established"


@dataclass(slots=True)
class Built:
    """The folder that nodes serve, that of its sources, and [node, npm]."""

    dist: Path
    sources: Path
    node: list[str]


@pytest.fixture(scope="session")
def run_py() -> ModuleType:
    """run.py as a module."""
    spec = importlib.util.spec_from_file_location("run", REPOSITORY / "run.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def built(run_py: ModuleType) -> Built:
    """The page as run.py builds it."""
    run_py.set_up_page(REPOSITORY, "test")
    return Built(BUILT, REPOSITORY / "client" / "web", run_py.provide_node(REPOSITORY))


@pytest.fixture(scope="session")
def chromium(run_py: ModuleType) -> str:
    """The path of a Chromium."""
    found = next(filter(None, map(shutil.which, run_py.BROWSERS)), None)
    if found is None:
        pytest.skip("NO CHROMIUM: the page is not tried in a browser; install chromium and run this again")
    return str(found)


@dataclass(slots=True)
class Troubles:
    """Everything a browser complained of, by page."""

    seen: list[str] = field(default_factory=list)

    def watch(self, page: Page) -> None:
        """Remembers what goes wrong on this page."""

        def console(message: ConsoleMessage) -> None:
            if message.type in ("error", "warning") and HARMLESS not in message.text:
                self.seen.append(f"{message.type}: {message.text}")

        page.on("console", console)
        page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))


def open_browser(chromium: str) -> Iterator[Browser]:
    """One browser, in the thread that asks; to be used as a generator until it is done with."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
        )
        try:
            yield browser
        finally:
            browser.close()
