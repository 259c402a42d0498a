"""Pictures of the page for people to look at, as build output: `build/screenshots/*.png`.

    python -m simulations.bench.pictures [--bots 150]

A small city with bots: Gwanghwamun by day, the stream with lanterns at night, the whole city, a phone, an office.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from simulations.bench.page import BROWSERS, city_with_bots

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["main"]

FOLDER: Final = Path(__file__).resolve().parents[2] / "build" / "screenshots"
SETTLE_MS: Final = 2_500
WISHES: Final = (
    "우리 모두 건강하기를",
    "평화로운 서울",
    "A kinder year",
    "좋은 인연",
    "다시 만나요",
    "맑은 하늘",
)


def _enter(browser: Browser, url: str, hour: str, **options: Any) -> Page:
    """Somebody new in the city, for whom it is always `hour`."""
    size = {"width": 1440, "height": 900}
    page = browser.new_context(**({"locale": "ko-KR", "viewport": size} | options)).new_page()
    settings = json.dumps(json.dumps({"hour": hour, "quiet": True}))
    page.add_init_script(
        "if (!localStorage.getItem('p2pworld.settings'))"
        f" localStorage.setItem('p2pworld.settings', {settings});"
    )
    page.goto(url)
    page.locator("input[name=name]").fill("김서울")
    if hour == "day" and not options:
        page.wait_for_timeout(SETTLE_MS)
        _take(page, "welcome")
    page.keyboard.press("Enter")
    page.wait_for_function("() => window.p2pworld.read().link === 'here'", timeout=30_000)
    return page


def _go(page: Page, search: str) -> None:
    page.locator("canvas.picture").focus()
    page.keyboard.press("/")
    page.get_by_role("searchbox").fill(search)
    page.keyboard.press("Enter")


def _take(page: Page, name: str) -> None:
    page.wait_for_timeout(SETTLE_MS)
    page.screenshot(path=FOLDER / f"{name}.png")


def main() -> None:
    """Takes all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--bots", type=int, default=150)
    asked = parser.parse_args()
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, BROWSERS)), None)
    if chromium is None:
        raise SystemExit("there is no Chromium on this machine")
    FOLDER.mkdir(parents=True, exist_ok=True)
    flags = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    with city_with_bots(2, asked.bots) as city, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        url = city.nodes[0].web_url
        day = _enter(browser, url, "day")
        _take(day, "gwanghwamun-by-day")
        _go(day, "덕수궁")
        _take(day, "deoksugung-by-day")
        day.keyboard.press("0")
        _take(day, "whole-city")
        day.keyboard.press("m")
        _go(day, "시장실")
        _take(day, "mayors-office")
        day.context.close()
        night = _enter(browser, url, "night")
        _go(night, "청계천")
        for wish in WISHES:
            night.locator("canvas.picture").focus()
            night.keyboard.press("l")
            night.get_by_role("textbox", name="소원").fill(wish)
            night.keyboard.press("Enter")
            night.wait_for_function(
                f"() => window.p2pworld.read().objects.some((one) => one.text === '{wish}')"
            )
            night.keyboard.down("ArrowRight")
            night.wait_for_timeout(1200)
            night.keyboard.up("ArrowRight")
        night.wait_for_timeout(4000)
        _take(night, "stream-at-night")
        night.context.close()
        phone = {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True}
        small = _enter(browser, url, "day", **phone)
        _take(small, "phone")
        small.get_by_role("button", name="찾기", exact=True).tap()
        _take(small, "phone-search")
        browser.close()
    for path in sorted(FOLDER.glob("*.png")):
        print(path)


if __name__ == "__main__":
    main()
