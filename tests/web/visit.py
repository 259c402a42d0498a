"""A person at the page, for tests: what they see, press and type, and what the page knows; awaited, never slept for."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from playwright.sync_api import BrowserContext, Page

from simulations.processes import City
from tests.patience import PATIENCE_MS, PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Locator

    from p2pworld.seoul.landmarks import Landmark
    from simulations.processes import NodeProcess
    from tests.web.conftest import Troubles

__all__ = ["Person", "introduce", "listen", "read", "served_city", "stand_at", "wait_for"]

READ: Final = "() => window.p2pworld && window.p2pworld.read()"
STAND: Final = """
if (localStorage.getItem("p2pworld stood") === null)
    localStorage.setItem("p2pworld stood", JSON.stringify({{ pose: {pose}, ms: Date.now() }}));
"""
# what the page says for a few seconds, in the order in which it said it; who reads takes it away
HEARD: Final = """
window.told = [];
new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
        for (const one of addedNodes)
            if (one instanceof Element && one.matches(".toast") && one.checkVisibility())
                window.told.push(one.textContent);
}).observe(document, { childList: true, subtree: true });
"""
TOLD: Final = """
(text) => {
    const at = window.told.findIndex((one) => one.includes(text));
    if (at >= 0) window.told.splice(0, at + 1);
    return at >= 0;
}
"""
CITY_S: Final = PATIENCE_S
POLL_S: Final = 0.1


@contextmanager
def served_city(folder: Path, nodes: int, places: tuple[Landmark, ...]) -> Iterator[City]:
    """A city of node processes that holds all its ground, for as long as the block runs."""
    city = City(folder, nodes, places, ttl_s=3.0)
    try:
        city.start()
        until_s = time.monotonic() + CITY_S
        while waits := city.not_ready():
            for node in city.dead():
                raise AssertionError(f"{node.name} ended by itself:\n{node.log_tail(40)}")
            assert time.monotonic() < until_s, f"the city is not ready: {waits}"
            time.sleep(POLL_S)
        yield city
    finally:
        for node in city.nodes:
            if node.running:
                node.kill()


def read(page: Page) -> dict[str, Any]:
    """What the page knows now."""
    told: dict[str, Any] | None = page.evaluate(READ)
    return told or {}


def stand_at(page: Page, east_cm: int, north_cm: int) -> None:
    """Makes this new browser remember that its person stood there."""
    pose = {"east_cm": east_cm, "north_cm": north_cm, "up": 0, "yaw": 0, "state": 0}
    page.add_init_script(STAND.format(pose=json.dumps(pose)))


def listen(page: Page) -> None:
    """Remembers what this new page will say for a few seconds only, for `Person.is_told`."""
    page.add_init_script(HEARD)


def wait_for(page: Page, holds: str, seconds: float = PATIENCE_S) -> dict[str, Any]:
    """What the page knows once `holds` (of `w`) is true."""
    try:
        page.wait_for_function(
            f"() => {{ const w = window.p2pworld && window.p2pworld.read(); return w && ({holds}); }}",
            timeout=seconds * 1000,
            polling=50,
        )
    except Exception as error:
        raise AssertionError(f"not within {seconds:g} s: {holds}; the page knows {read(page)}") from error
    return read(page)


def introduce(page: Page, name: str) -> None:
    """Answers what the page asks of somebody who is new."""
    page.locator("input[name=name]").fill(name)
    page.keyboard.press("Enter")
    page.locator("input[name=name]").wait_for(state="hidden")
    wait_for(page, f"w.link === 'here' && w.people.some(one => one.id === w.me.id && one.name === '{name}')")


@dataclass(slots=True)
class Person:
    """Somebody new with a browser of their own, in the city under `name`."""

    context: BrowserContext
    page: Page
    name: str

    @classmethod
    def come(
        cls,
        browser: Browser,
        node: NodeProcess,
        name: str,
        at_cm: tuple[int, int],
        troubles: Troubles | None = None,
        **options: Any,
    ) -> Person:
        """Opens the page of `node` for the first time, and enters the city at a point."""
        size = {"width": 1280, "height": 800}
        context = browser.new_context(**({"locale": "ko-KR", "viewport": size} | options))
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        stand_at(page, *at_cm)
        listen(page)
        if troubles is not None:
            troubles.watch(page)
        page.goto(node.web_url)
        introduce(page, name)
        return cls(context, page, name)

    @property
    def id(self) -> int:
        """Their avatar's number."""
        return int(read(self.page)["me"]["id"])

    def at(self) -> tuple[float, float]:
        """Where they are, metres from the root's corner."""
        me = read(self.page)["me"]
        return me["east"], me["north"]

    def press(self, *keys: str) -> None:
        """Presses keys one after another, on the map."""
        self.page.keyboard.press("Escape")
        for key in keys:
            self.page.keyboard.press(key)

    def button(self, name: str | re.Pattern[str]) -> Locator:
        """The button that is called so."""
        return self.page.get_by_role("button", name=name, exact=isinstance(name, str))

    def sees(self, text: str, seconds: float = PATIENCE_S) -> None:
        """Waits until this text stands somewhere on the page to be read."""
        try:
            self.page.get_by_text(text).locator("visible=true").first.wait_for(timeout=seconds * 1000)
        except Exception as error:
            shown = self.page.locator("body").inner_text()
            raise AssertionError(f"not within {seconds:g} s: {text}; the page shows: {shown}") from error

    def is_told(self, text: str, seconds: float = PATIENCE_S) -> None:
        """Waits until the page has said this for a while, after what was waited for last; it may be gone again."""
        try:
            self.page.wait_for_function(TOLD, arg=text, timeout=seconds * 1000, polling=50)
        except Exception as error:
            told = self.page.evaluate("window.told")
            knows = read(self.page)
            raise AssertionError(f"not within {seconds:g} s: {text}; told: {told}; knows {knows}") from error

    def is_at(self, place: str) -> None:
        """Waits until the page says that this is the place."""
        self.page.get_by_role("heading", level=1, name=place).wait_for()

    # ------------------------------------------------------------------------------------------- talking

    def writes(self, text: str) -> None:
        """Opens the chat by its key and sends a line."""
        self.press("Enter")
        self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Enter")

    def composes(self, text: str) -> None:
        """Writes Hangul as an input method does: each syllable grows, Enter first ends the last one."""
        keyboard = self.context.new_cdp_session(self.page)
        for number, syllable in enumerate(text, 1):
            jamo = unicodedata.normalize("NFD", syllable)
            for end in range(1, len(jamo) + 1):
                part = unicodedata.normalize("NFC", jamo[:end])
                size = len(part.encode("utf-16-le")) // 2
                keyboard.send(
                    "Input.imeSetComposition", {"text": part, "selectionStart": size, "selectionEnd": size}
                )
            if number == len(text):
                # an Enter that belongs to the input method: the page must not take it for the end of the line
                ends = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13}
                keyboard.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **ends})
                keyboard.send("Input.dispatchKeyEvent", {"type": "keyUp", **ends})
            keyboard.send("Input.insertText", {"text": syllable})
        keyboard.detach()

    @property
    def words(self) -> list[str]:
        """What stands in the chat, oldest first."""
        return self.page.locator("[role=log] .text").all_text_contents()

    def hears(self, text: str) -> None:
        """Waits until a line of the chat says exactly this."""
        line = self.page.locator("[role=log] .text").filter(has_text=re.compile(f"^{re.escape(text)}$"))
        line.first.wait_for(state="attached")

    # --------------------------------------------------------------------------------------------- going

    def goes(self, search: str, name: str) -> None:
        """Finds a place in the list, goes there, and arrives."""
        self.press("/")
        self.page.get_by_role("searchbox").fill(search)
        self.button(name).first.click()
        self.is_at(name)
