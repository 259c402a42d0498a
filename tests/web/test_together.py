"""People at pages of one city do things together: talk, meet, go places, ride, ring, hang lanterns, block somebody.

One city of three processes for all of it, two people in it.
"""

from __future__ import annotations

import base64
import json
import math
import re
import subprocess
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from p2pworld.crypto.keys import Signer
from p2pworld.errors import LocalError
from p2pworld.geometry import Cell, to_wgs84
from p2pworld.grants import sign_grant
from p2pworld.seoul.landmarks import landmark
from p2pworld.world.moderation import pack_asking, sign_asking
from p2pworld.world.vehicles import BUSES, DWELL_MS, HEADWAY_MS, STOPS, place
from shard_node.web.moderation import SCHEME
from simulations.processes import python_environment
from tests.patience import PATIENCE_S
from tests.web.conftest import Troubles, open_browser
from tests.web.hostile_strings import WORST
from tests.web.visit import Person, read, served_city, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Dialog

    from simulations.processes import City, NodeProcess
    from tests.web.conftest import Built

PLACES = tuple(map(landmark, ("Gwanghwamun Gate", "Seoul City Hall", "Deoksugung", "Bosingak")))
PLAZA_CM = landmark("Seoul Plaza").position_cm


@pytest.fixture(scope="module")
def city(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with served_city(tmp_path_factory.mktemp("city"), 3, PLACES) as city:
        yield city


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from open_browser(chromium)


@pytest.fixture(scope="module")
def troubles() -> Troubles:
    return Troubles()


@pytest.fixture(scope="module")
def kim(browser: Browser, city: City, troubles: Troubles) -> Person:
    return Person.come(browser, city.nodes[0], "김서울", PLAZA_CM, troubles)


@pytest.fixture(scope="module")
def lee(browser: Browser, city: City, troubles: Troubles) -> Person:
    east_cm, north_cm = PLAZA_CM
    return Person.come(browser, city.nodes[1], "이한강", (east_cm + 300, north_cm), troubles)


def holder_of(city: City, east_m: float, north_m: float) -> NodeProcess:
    """The node whose ground this was at the beginning."""
    at_cm = int(east_m * 100), int(north_m * 100)
    return next(node for node in city.nodes if any(cell.contains_point(*at_cm) for cell in node.cells))


def test_two_people_meet_and_talk_in_hangul(kim: Person, lee: Person, troubles: Troubles) -> None:
    wait_for(kim.page, f"w.near.some(one => one.id === {lee.id})")
    wait_for(lee.page, f"w.near.some(one => one.id === {kim.id})")
    for speaker, hearer, text in ((kim, lee, "안녕하세요"), (lee, kim, "반갑습니다")):
        speaker.press("Enter")
        speaker.composes(text)
        line = speaker.page.get_by_role("textbox", name="메시지")
        assert line.input_value() == text  # the Enter of the input method sent nothing
        assert text not in speaker.words
        speaker.page.keyboard.press("Enter")
        hearer.hears(text)
        speaker.hears(text)
        assert line.input_value() == ""
        hearer.press("Enter")
        hearer.page.get_by_role("log").get_by_role("button", name=speaker.name, exact=True).wait_for()
    assert troubles.seen == []


def test_hostile_words_names_and_wishes_are_shown_as_text(
    browser: Browser, city: City, kim: Person, troubles: Troubles
) -> None:
    dialogs: list[str] = []

    def asked(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    east_cm, north_cm = PLAZA_CM
    name = "<b onclick=alert(1)>"
    rascal = Person.come(browser, city.nodes[0], name, (east_cm - 300, north_cm), troubles)
    for one in (kim, rascal):
        one.page.on("dialog", asked)
    shown = (
        *WORST[:2],
        "moc.live never closed",
        "Z\u0334\u0334algo",  # in canonical order
        WORST[4],
        "abc d",
    )
    for text, seen in zip(WORST, shown, strict=True):
        rascal.writes(text)
        kim.hears(seen)
    kim.press("h")
    kim.page.locator(".panel").get_by_role("button", name=name, exact=True).click()
    kim.page.get_by_role("heading", level=2, name=name).wait_for()
    rascal.goes("청계천", "청계천")
    rascal.press("l")
    wish = rascal.page.get_by_role("textbox", name="소원")
    wish.fill("<script>alert(1)</script>\u202e소원")
    wish.press("Enter")
    rascal.is_told("등을 달았어요.")
    wait_for(rascal.page, "w.objects.some(one => one.text === '<script>alert(1)</script>소원')")
    rascal.press("v")
    rascal.sees("<script>alert(1)</script>소원")
    for one in (kim, rascal):
        assert one.page.evaluate("window.harmed") is None
        assert one.page.locator("body :is(b, img, iframe, script)").count() == 0
    rascal.context.close()
    assert dialogs == []
    assert troubles.seen == []


def test_a_blocked_person_is_heard_no_more(kim: Person, lee: Person) -> None:
    wait_for(kim.page, f"w.near.some(one => one.id === {lee.id})")
    kim.press("h")
    kim.page.locator(".panel").get_by_role("button", name=lee.name, exact=True).click()
    kim.button("차단").click()
    kim.button("차단 해제").wait_for()
    lee.writes("이제 안 들리는 말")
    lee.hears("이제 안 들리는 말")
    # what was said after it has come: so would have what was said before
    kim.writes("한참 뒤의 말")
    kim.hears("한참 뒤의 말")
    lee.hears("한참 뒤의 말")
    assert "이제 안 들리는 말" not in kim.words
    kim.press("o")
    kim.button("차단 해제").click()
    lee.writes("다시 들리는 말")
    kim.hears("다시 들리는 말")
    kim.press()


def reported(city: City, node: NodeProcess) -> list[dict[str, Any]]:
    """What a moderator of this city reads of the reports kept by a node."""
    now_ms = time.time_ns() // 1_000_000
    moderator = Signer.from_seed(bytes(range(32)))
    until_ms = now_ms + 3_600_000
    grant = sign_grant(city.root, moderator.public, "moderator", ("cells:*",), now_ms - 60_000, until_ms)
    text = base64.urlsafe_b64encode(
        pack_asking(sign_asking(moderator, (grant,), "reports", node.keys.public, now_ms))
    ).decode()
    request = urllib.request.Request(
        f"{node.web_url.rstrip('/')}/api/v1/moderation/reports", headers={"Authorization": f"{SCHEME} {text}"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        told: list[dict[str, Any]] = json.loads(answer.read())["reports"]
    return told


def test_what_somebody_said_is_reported_and_a_moderator_reads_it(
    kim: Person, lee: Person, city: City, troubles: Troubles
) -> None:
    words = "욕하는 말"
    lee.writes(words)
    kim.hears(words)
    kim.press("Enter")
    line = kim.page.locator("[role=log] .line").filter(has_text=words)
    line.get_by_role("button", name=f"신고: {lee.name}").click()
    card = kim.page.get_by_role("dialog")
    card.get_by_role("combobox").select_option(label="욕설·괴롭힘")
    assert words in card.inner_text()
    card.get_by_role("button", name="신고", exact=True).click()
    kim.is_told("신고했어요. 운영자가 살펴볼게요.")
    (mine,) = [one for node in city.nodes for one in reported(city, node) if one["said"]["text"] == words]
    assert (mine["said"]["name"], mine["why"]) == (lee.name, "abuse")
    assert troubles.seen == []


def test_one_goes_to_a_place_of_the_list_and_comes_back(kim: Person) -> None:
    before = kim.at()
    kim.goes("타워", "N서울타워")
    wait_for(kim.page, f"w.link === 'here' && Math.abs(w.me.north - {before[1]}) > 1000")
    kim.goes("서울광장", "서울광장")
    assert math.dist(before, kim.at()) < 100


def test_the_mayor_s_office_is_entered_and_left(kim: Person) -> None:
    kim.goes("시청", "서울시청")
    kim.press("v")
    kim.button(re.compile("시장실")).click()
    kim.is_at("시장실")
    kim.sees("시장실에 오신 것을 환영합니다.")
    kim.button(re.compile("나가기")).click()
    kim.is_at("서울시청")
    kim.press()


def crossing_ride(city: City, now_ms: int, soonest_ms: int) -> int:
    """The stop where a bus comes to stand soon after, and from which buses soon cross to another node."""
    cells = {cell: node for node in city.nodes for cell in node.cells}

    def holder(bus: int, at_ms: int) -> NodeProcess | None:
        at = place(bus, at_ms)
        for level in {cell.level for cell in cells}:
            try:
                node = cells.get(Cell.at(at.east_cm, at.north_cm, level))
            except (LocalError, ValueError):
                continue
            if node is not None:
                return node
        return None

    best: tuple[int, int] | None = None
    for bus in range(1, BUSES + 1):
        leaves_ms = None
        for at_ms in range(now_ms + soonest_ms, now_ms + 60_000, 1000):
            stop = place(bus, at_ms).stop
            if stop is None:
                continue
            leaves_ms = at_ms
            while place(bus, leaves_ms).stop is not None:
                leaves_ms += 1000
            home = holder(bus, at_ms)
            for there_ms in range(leaves_ms, leaves_ms + 40_000, 1000):
                if home is not None and holder(bus, there_ms) not in (None, home):
                    if best is None or there_ms < best[0]:
                        best = there_ms, stop
                    break
            break
    assert best is not None
    return best[1]


def test_the_bus_takes_one_over_a_border(browser: Browser, city: City, troubles: Troubles) -> None:
    stop = crossing_ride(city, time.time_ns() // 1_000_000, 12_000)
    east_cm, north_cm = STOPS[stop].position_cm
    rider = Person.come(browser, city.nodes[2], "박기사", (east_cm + 500, north_cm), troubles)
    rider.press("r")
    rider.is_told("버스가 서면 타요.")
    # who comes too late for one bus takes the next: all go the same way
    boarded = wait_for(rider.page, "w.me.state === 9", (HEADWAY_MS + DWELL_MS) / 1000)
    rider.is_told("버스에 탔어요.")
    rode = wait_for(rider.page, f"w.handoffs > {boarded['handoffs']} && w.node !== '{boarded['node']}'")
    assert rode["me"]["state"] == 9
    assert rode["link"] == "here"
    # between stops one says that one wants to get off, and does at the next
    rider.press("r")
    rider.is_told("다음 정류장에서 내려요.", 2 * DWELL_MS / 1000)
    wait_for(rider.page, "w.me.state !== 9", HEADWAY_MS / 1000 + 60)
    rider.is_told("내린 곳:")
    rider.context.close()
    assert troubles.seen == []


def test_friends_who_welcome_each_other_go_to_one_another(
    kim: Person, lee: Person, troubles: Troubles
) -> None:
    kim.goes("서울광장", "서울광장")
    for one, other in ((kim, lee), (lee, kim)):
        wait_for(one.page, f"w.near.some(one => one.id === {other.id})")
        one.press("h")
        one.page.locator(".panel").get_by_role("button", name=other.name, exact=True).click()
        one.button("친구로 맞이하기").click()
        one.button("친구에서 빼기").wait_for()
    lee.goes("타워", "N서울타워")
    kim.press("/")
    kim.page.get_by_role("searchbox").fill(lee.name)
    kim.page.keyboard.press("Enter")
    kim.is_told(f"{lee.name} 님 곁이에요.")
    lee.is_told(f"{kim.name} 님이 곁에 왔어요.")
    kim.is_at("N서울타워")
    assert math.dist(kim.at(), lee.at()) < 3
    lee.goes("서울광장", "서울광장")
    kim.press("/")
    kim.page.get_by_role("searchbox").fill(lee.name)
    kim.button(f"{lee.name} 님 정보").click()
    kim.button("곁으로 바로 가기").press("Enter")
    kim.is_at("서울광장")
    assert troubles.seen == []


def test_the_bell_rings_in_a_rehearsal(kim: Person, troubles: Troubles) -> None:
    kim.press("b")
    kim.is_at("보신각")
    kim.is_told("리허설을 시작했어요.")
    struck = wait_for(kim.page, "w.objects.some(one => one.kind === 'bell')")
    (before,) = {one["count"] for one in struck["objects"] if one["kind"] == "bell"}
    kim.press("b")
    kim.is_told("종을 쳤어요.")
    wait_for(kim.page, f"w.objects.some(one => one.kind === 'bell' && one.count > {before})")
    assert troubles.seen == []


def test_the_layer_of_regions_tells_who_carries_what_and_what_happens(
    kim: Person, city: City, troubles: Troubles
) -> None:
    kim.press("g")
    layer = kim.page.get_by_role("region", name="구역과 노드")
    for node in city.nodes:
        layer.get_by_text(node.name, exact=True).wait_for()
    switch = kim.button("구역 경계와 담당 노드 보기")
    assert switch.get_attribute("aria-pressed") == "true"
    east_cm, north_cm = PLAZA_CM
    latitude, longitude = to_wgs84(east_cm, north_cm)
    split = ["regions", "split", f"{latitude},{longitude}", "--config", str(city.nodes[0].config)]
    subprocess.run(
        [sys.executable, "-m", "shard_node.cli", *split], check=True, env=python_environment(), timeout=60
    )
    happened = layer.get_by_role("log")
    happened.get_by_text("서울광장 구역이 넷으로 나뉘었어요.").wait_for()
    assert happened.get_attribute("aria-live") == "polite"
    kim.press("g")
    layer.wait_for(state="hidden")
    assert switch.get_attribute("aria-pressed") == "false"
    assert troubles.seen == []


def test_a_lantern_outlives_its_node(browser: Browser, kim: Person, lee: Person, city: City) -> None:
    wish = "우리 동네가 늘 환하기를"
    kim.goes("청계천", "청계천")
    kim.press("l")
    field = kim.page.get_by_role("textbox", name="소원")
    field.fill(wish)
    field.press("Enter")
    kim.is_told("등을 달았어요.")
    hung = wait_for(kim.page, f"w.objects.some(one => one.text === '{wish}')")
    (lantern,) = [one for one in hung["objects"] if one["text"] == wish]
    lee.goes("청계천", "청계천")
    wait_for(lee.page, f"w.objects.some(one => one.text === '{wish}')")
    lost = holder_of(city, lantern["east"], lantern["north"])
    lost.kill()
    try:
        left = next(node for node in city.nodes if node.running)
        after = Person.come(
            browser,
            left,
            "최나중",
            (int(kim.at()[0] * 100), int(kim.at()[1] * 100)),
        )
        wait_for(
            after.page, f"w.link === 'here' && w.objects.some(one => one.key === '{lantern['key']}')", 30
        )
        after.press("v")
        after.sees(wish)
        for one in (kim, lee):
            wait_for(
                one.page,
                f"w.link === 'here' && w.url !== '{lost.play_url}' && w.objects.some(o => o.text === '{wish}')",
                30,
            )
            one.press("v")
            one.sees(wish)
            assert read(one.page)["me"] is not None
    finally:
        lost.start()
