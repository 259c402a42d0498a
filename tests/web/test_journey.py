"""The first minute in the city by keyboard alone, and what a browser's tools say of the page in its states.

One city of two processes; nothing here touches a mouse.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from p2pworld.messages import Correct
from p2pworld.seoul.landmarks import landmark
from tests.patience import PATIENCE_MS
from tests.web.conftest import Troubles, open_browser
from tests.web.visit import Person, introduce, listen, read, served_city, stand_at, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page, WebSocketRoute

    from simulations.processes import City
    from tests.web.conftest import Built

PLACES = tuple(map(landmark, ("Gwanghwamun Gate", "Seoul City Hall")))
SQUARE_CM = landmark("Gwanghwamun Square").position_cm
GATE_CM = landmark("Gwanghwamun Gate").position_cm
TABS_MAX = 80
FOCUS = """
() => {
    const one = document.activeElement;
    if (one === document.body) return null;
    const style = getComputedStyle(one);
    return {
        name: one.getAttribute('aria-label') || one.textContent,
        outline: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 1,
        shadow: style.boxShadow !== 'none',
        seen: one.checkVisibility({ opacityProperty: true, visibilityProperty: true }),
    };
}
"""

BOXES = """
() => [...document.querySelectorAll('.tool, .word, .suggest, .suggest-one, .chat, .chat button, .head, .minimap')]
    .filter((one) => one.checkVisibility())
    .map((one) => {
        const box = one.getBoundingClientRect();
        const cut = one.scrollWidth > one.clientWidth + 1 && one.matches('.word');
        return [one.ariaLabel || one.textContent, cut ? -1 : box.left, box.top, box.right, box.bottom];
    })
"""


@pytest.fixture(scope="module")
def city(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with served_city(tmp_path_factory.mktemp("city"), 2, PLACES) as city:
        yield city


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from open_browser(chromium)


def tab_to(page: Page, wanted: Locator) -> None:
    """Presses Tab until the element has the focus; every stop on the way is visibly focused."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus is None:
            continue  # past the last of the page
        assert focus["seen"], f"the focus is on what nobody sees: {focus}"
        assert focus["outline"] or focus["shadow"], f"nobody sees that the focus is there: {focus}"
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{TABS_MAX} presses of Tab do not lead to {wanted}")


def test_the_first_minute_by_keyboard_alone(browser: Browser, city: City) -> None:
    troubles = Troubles()
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    stand_at(page, *GATE_CM)
    listen(page)
    troubles.watch(page)
    page.goto(city.nodes[0].web_url)
    me = Person(context, page, "Kim")

    name = page.get_by_role("textbox", name="display name")
    name.wait_for()
    if not name.evaluate("one => one === document.activeElement"):
        tab_to(page, name)
    page.keyboard.press("Control+A")
    page.keyboard.type("Kim")
    tab_to(page, me.button("Enter Seoul"))
    page.keyboard.press("Enter")
    wait_for(page, "w.link === 'here' && w.people.some(one => one.id === w.me.id && one.name === 'Kim')")

    me.is_at("Gwanghwamun Gate")
    me.sees("What would you like to do?")
    tab_to(page, me.button(re.compile("^Say hello")))
    page.keyboard.press("Enter")
    page.keyboard.type("Hello, Seoul!")
    page.keyboard.press("Enter")
    me.hears("Hello, Seoul!")

    page.keyboard.press("Escape")
    before = me.at()
    page.keyboard.down("ArrowDown")
    wait_for(page, f"w.me.north < {before[1]} - 4")
    page.keyboard.up("ArrowDown")

    tab_to(page, me.button("hang a lantern"))
    page.keyboard.press("Enter")
    page.get_by_role("textbox", name="wish").wait_for()
    page.keyboard.type("A calm city")
    page.keyboard.press("Enter")
    me.is_told("Your lantern hangs.")
    wait_for(page, "w.objects.some(one => one.text === 'A calm city')")

    tab_to(page, me.button("strike the bell"))
    page.keyboard.press("Enter")
    me.is_told("The rehearsal has begun.")
    me.is_at("Bosingak")
    page.keyboard.press("Enter")
    me.is_told("You struck the bell.")

    page.keyboard.press("r")
    me.is_told("You board when a bus stands there.")
    wait_for(page, "w.me.goal !== null")
    page.keyboard.press("r")
    me.is_told("You no longer wait for the bus.")
    context.close()
    assert troubles.seen == []


def test_a_wish_written_before_one_has_arrived_hangs_where_one_arrives(browser: Browser, city: City) -> None:
    """The node's word that one is at the stream comes late: what is asked for meanwhile waits for it."""
    context = browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    kept: list[tuple[WebSocketRoute, str | bytes]] = []
    keeping = False

    def through(socket: WebSocketRoute) -> None:
        def came(message: str | bytes) -> None:
            if keeping and message[:1] == bytes((Correct.KIND,)):
                kept.append((socket, message))
            else:
                socket.send(message)

        socket.connect_to_server().on_message(came)

    page.route_web_socket(re.compile("/play$"), through)
    stand_at(page, *GATE_CM)
    listen(page)
    page.goto(city.nodes[0].web_url)
    introduce(page, "Kim")
    me = Person(context, page, "Kim")
    me.is_at("Gwanghwamun Gate")

    keeping = True
    me.press("l")
    page.get_by_role("textbox", name="wish").wait_for()
    page.keyboard.type("For whoever is late")
    page.keyboard.press("Enter")
    me.is_told("Your lantern is being hung…")
    # what was said after the wish has come back: the wish itself would have been answered
    me.writes("Still on my way")
    me.hears("Still on my way")
    keeping = False
    assert kept, "the node has not said that one is at the stream"
    for socket, message in kept:
        socket.send(message)
    me.is_told("You are at Cheonggyecheon Stream.")
    me.is_told("Your lantern hangs.")
    hung = wait_for(page, "w.objects.some(one => one.text === 'For whoever is late')")
    (lantern,) = [one for one in hung["objects"] if one["text"] == "For whoever is late"]
    assert math.dist((lantern["east"], lantern["north"]), me.at()) < 30
    context.close()


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


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"locale": "ko-KR"}, id="desk"),
        pytest.param(
            {"locale": "en-GB", "viewport": {"width": 390, "height": 844}, "has_touch": True}, id="phone"
        ),
    ],
)
def test_axe_finds_nothing_serious(
    browser: Browser, city: City, built: Built, options: dict[str, Any]
) -> None:
    context = browser.new_context(bypass_csp=True, reduced_motion="reduce", **options)
    page = context.new_page()
    stand_at(page, *SQUARE_CM)
    page.goto(city.nodes[0].web_url)
    page.locator("input[name=name]").wait_for()
    page.add_script_tag(path=built.sources / "node_modules" / "axe-core" / "axe.min.js")
    found = findings(page, "welcome")
    page.locator("input[name=name]").fill("김")
    page.keyboard.press("Enter")
    wait_for(page, "w.link === 'here'")
    found += findings(page, "first suggestions")
    for hour in ("day", "night"):
        page.keyboard.press("o")
        page.locator(".panel select").last.select_option(hour)
        found += findings(page, f"settings by {hour}")
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.locator(".regions .carriers li").first.wait_for()
        found += findings(page, f"regions by {hour}")
        page.keyboard.press("g")
        page.keyboard.press("Enter")
        page.keyboard.insert_text(f"안녕 {hour}")
        page.keyboard.press("Enter")
        page.locator("[role=log] .text").filter(has_text=hour).wait_for()
        found += findings(page, f"chat by {hour}")
        page.keyboard.press("Escape")
    for key, panel in (("/", "search"), ("h", "who"), ("t", "today"), ("p", "look"), ("v", "words"),
                       ("n", "board"), ("k", "drum"), ("?", "help")):  # fmt: skip
        page.locator("canvas.picture").focus()
        page.keyboard.press(key)
        page.locator(".panel").wait_for()
        found += findings(page, panel)
        page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.get_by_role("dialog").wait_for()
    found += findings(page, "wish")
    context.close()
    assert found == []


@pytest.mark.parametrize("size", [(360, 740), (390, 844), (1280, 800)], ids=str)
@pytest.mark.parametrize("locale", ["ko-KR", "en-GB"])
def test_everything_fits_the_screen_and_nothing_hides_oneself(
    browser: Browser, city: City, locale: str, size: tuple[int, int]
) -> None:
    width, height = size
    context = browser.new_context(locale=locale, viewport={"width": width, "height": height})
    page = context.new_page()
    stand_at(page, *SQUARE_CM)
    page.goto(city.nodes[0].web_url)
    introduce(page, "Kim")
    for state in ("suggestions", "chat"):
        boxes = page.evaluate(BOXES)
        assert len(boxes) > 20, state
        for name, left, top, right, bottom in boxes:
            assert left >= 0, f"{state}: {name} is cut"
            assert top >= 0, f"{state}: {name} is cut"
            assert right <= width, f"{state}: {name} is cut"
            assert bottom <= height, f"{state}: {name} is cut"
        over = page.evaluate("document.elementFromPoint(innerWidth / 2, innerHeight / 2).tagName")
        assert over == "CANVAS", f"{state}: one does not see oneself"
        page.keyboard.press("Enter")
        page.get_by_role("textbox", name=re.compile("message|메시지")).wait_for()
    context.close()


def test_the_page_is_strict_and_alone(browser: Browser, city: City, built: Built) -> None:
    node = city.nodes[0]
    context = browser.new_context(locale="ko-KR", service_workers="block")
    page = context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("websocket", lambda socket: asked.append(socket.url))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', (one) => { window.violated = one.violatedDirective; });"
    )
    stand_at(page, *SQUARE_CM)
    answer = page.goto(node.web_url)
    page.locator("input[name=name]").wait_for()
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert page.evaluate("window.violated") is None
    # the browser keeps to it: what somebody slips in does not run
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.harmed = 1';"
        " document.body.append(s); }"
    )
    page.wait_for_function("window.violated !== undefined")
    assert page.evaluate("window.harmed") is None
    wait_for(page, "w.link === 'here'")
    own = {urlsplit(node.web_url).netloc} | {urlsplit(one.play_url).netloc for one in city.nodes}
    assert {urlsplit(url).netloc for url in asked if not url.startswith("data:")} <= own
    assert len(asked) > 4
    assert read(page)["troubles"] == []
    context.close()
