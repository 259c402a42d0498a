"""A citizen at the pages of a real node: two clicks to a form, filed once, followed, by keys alone, off line, in axe.

One node and one browser for the whole file; each test is a person of their own.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import FilePayload

from tests.attestor.provider import missing
from tests.patience import PATIENCE_MS
from tests.web.conftest import Troubles, open_browser
from tests.web.services import Office, at, citizen, findings, live, served_office

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

    from tests.web.conftest import Built

TABS_MAX = 120
SENT = re.compile(r"/(ko|en)/requests/jongno/[0-9]+$")
HARM = '<img src=x onerror="window.harmed=1">\'; DROP TABLE cases; --'
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc000"
    "000301010018dd8db00000000049454e44ae426082"
)
TREE = """
id = "tree-report"
sector = "city"
kind = "report"
title = { ko = "가로수 신고", en = "Street tree report" }
about = { ko = "쓰러진 가로수를 알려요.", en = "Tell us about a fallen tree." }
public = ["kind"]
fee = { ko = "무료", en = "free of charge" }

[office]
unit = { ko = "공원녹지과", en = "Parks office" }

[eligible]
person = "anybody"
text = { ko = "누구나", en = "Anybody." }

[workflow]
use = "complaint"
steps = ["received", "assigned", "in-progress", "completed"]
sides = ["withdrawn"]

[deadline]
count = "working-days"
amount = 7

[privacy]
why = { ko = "나무를 찾으려고 받아요.", en = "To find the tree." }
keep_days = 365

[form]
required = ["kind"]

[form.properties.kind]
type = "string"
label = { ko = "종류", en = "Kind" }
oneOf = [
    { const = "fallen", label = { ko = "쓰러짐", en = "Fallen" } },
    { const = "sick", label = { ko = "병듦", en = "Sick" } },
]
"""


@pytest.fixture(scope="module")
def office(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with served_office(tmp_path_factory.mktemp("office"), with_logins=not missing()) as office:
        yield office


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from open_browser(chromium)


def tab_to(page: Page, wanted: Locator) -> None:
    """Presses Tab until the element has the focus."""
    for _ in range(TABS_MAX):
        page.keyboard.press("Tab")
        if wanted.evaluate("one => one === document.activeElement"):
            return
    raise AssertionError(f"{TABS_MAX} presses of Tab do not lead to {wanted}")


def fill_in(page: Page, words: str) -> None:
    """What a report needs, on the page of an everyday nuisance."""
    page.get_by_role("radio", name=re.compile("불법 주정차|Parking")).check()
    page.locator("[data-point-gu]").select_option("jongno")
    page.locator("textarea[name=body]").fill(words)


def kept(page: Page) -> None:
    """Waits until the draft is on the disk."""
    page.locator("form[data-kept]").wait_for()


def filed(office: Office, stream: str) -> int:
    """How many entries the log of a stream has."""
    note = office.city.nodes[0].ask(f"/log/{stream}/checkpoint")
    return int(note.splitlines()[1]) if note else 0


def test_two_clicks_from_the_world_to_a_form(browser: Browser, office: Office) -> None:
    with citizen(browser) as page:
        page.goto(office.url)
        page.get_by_role("link", name="시민 서비스로 바로 가기").click()
        page.get_by_role("heading", level=1, name="무엇을 도와드릴까요?").wait_for()
        page.get_by_role("link", name="현장민원(생활불편)").click()
        page.get_by_role("heading", level=2, name="신청서").wait_for()


def test_a_report_is_filed_once_followed_proven_and_withdrawn(browser: Browser, office: Office) -> None:
    troubles = Troubles()
    before = filed(office, "jongno")
    with citizen(browser, troubles) as page:
        at(page, office, "/ko/services/complaint-field")
        page.get_by_role("button", name="제출하기").click()
        summary = page.locator("#errors")
        summary.wait_for()
        assert summary.evaluate("one => one === document.activeElement")
        assert "고칠 곳이 2곳 있어요" in summary.inner_text()
        assert page.locator("#f-category-error").inner_text() == "빈칸을 채워 주세요: 분류"
        fill_in(page, f"인도에 차가 서 있어요. {HARM}")
        summary.wait_for(state="hidden")
        page.get_by_role("button", name="제출하기").dblclick()
        page.wait_for_url(SENT)
        live(page)
        # what was written is shown as it was written, and does nothing
        assert HARM in page.locator("#own").inner_text()
        assert page.evaluate("window.harmed") is None
        assert filed(office, "jongno") == before + 1
        page.get_by_role("button", name="내가 직접 확인하기").click()
        page.locator(".checked").wait_for()
        assert page.locator(".checked h3").inner_text() == "기록에 들어 있어요"
        with page.expect_download() as download:
            page.get_by_role("link", name="접수증 내려받기").click()
        assert "c2sp.org/tlog-proof" in download.value.path().read_text("utf-8")
        number = page.locator("code").first.inner_text()
        page.locator("summary").filter(has_text="취하하기").click()
        page.locator("#actions textarea").fill("이미 치웠어요.")
        page.get_by_role("button", name="취하하기").click()
        page.locator(".state-withdrawn").wait_for()
        page.locator(".letter").get_by_text("이미 치웠어요.").wait_for()
        at(page, office, "/ko/requests")
        page.locator(".requests .state-withdrawn").wait_for()
        assert number in page.locator(".requests").inner_text()
    with citizen(browser, locale="en-GB") as stranger:
        # everybody sees the public part, and can check that; nobody else sees the rest
        at(stranger, office, f"/en/requests/{number}")
        stranger.get_by_text("only its public part is shown").wait_for()
        assert "인도에" not in stranger.locator("body").inner_text()
        stranger.get_by_role("button", name="Check it yourself").click()
        stranger.locator(".checked").wait_for()
        assert stranger.locator(".checked h3").inner_text() == "It is in the record"
    assert troubles.seen == []


def test_a_connection_lost_in_the_middle_loses_nothing(browser: Browser, office: Office) -> None:
    before = filed(office, "jongno")
    with citizen(browser, locale="en-GB") as page:
        at(page, office, "/en/services/complaint-field")
        fill_in(page, "A car on the pavement.")
        kept(page)
        page.context.set_offline(True)
        page.locator("#offline").wait_for()
        page.get_by_role("textbox", name="Phone").fill("010-1234-5678")
        page.get_by_role("button", name="Submit").click()
        page.get_by_text("No answer yet.").wait_for(timeout=PATIENCE_MS)
        assert filed(office, "jongno") == before
        page.context.set_offline(False)
        page.wait_for_url(SENT)
        page.get_by_text("A car on the pavement.").wait_for()
        assert filed(office, "jongno") == before + 1


def test_a_node_that_comes_back_is_asked_again(browser: Browser, office: Office) -> None:
    """A node that was away is no event in a browser: the page looks by itself."""
    before = filed(office, "jongno")
    with citizen(browser) as page:
        at(page, office, "/ko/services/complaint-field")
        fill_in(page, "노드가 쉬고 있어요.")
        page.route("**/civic/**", lambda route: route.abort())
        page.get_by_role("button", name="제출하기").click()
        page.get_by_text("아직 답이 없어요.").wait_for()
        page.unroute("**/civic/**")
        page.wait_for_url(SENT)
        assert filed(office, "jongno") == before + 1


def test_a_draft_comes_back_after_the_window_was_closed(browser: Browser, office: Office) -> None:
    with citizen(browser) as page:
        at(page, office, "/ko/services/complaint-field")
        fill_in(page, "가로등이 꺼졌어요.")
        kept(page)
        again = page.context.new_page()
        page.close()
        at(again, office, "/ko/services/complaint-field")
        again.get_by_text("전에 쓰던 내용을 불러왔어요.").wait_for()
        assert again.locator("textarea[name=body]").input_value() == "가로등이 꺼졌어요."
        assert again.locator("[data-point-gu]").input_value() == "jongno"
        assert again.get_by_role("radio", name="불법 주정차").is_checked()
        again.on("dialog", lambda dialog: dialog.accept())
        again.get_by_role("button", name="쓰던 내용 지우기").click()
        again.wait_for_function("() => document.querySelector('textarea[name=body]').value === ''")


def test_a_receipt_that_was_never_answered_is_asked_for_again(browser: Browser, office: Office) -> None:
    """The node takes the request and its answer is lost: the next page files the same, which counts once."""
    before = filed(office, "jongno")
    with citizen(browser) as page:
        taken: list[int] = []

        def swallow(route: Any) -> None:
            taken.append(route.fetch().status)
            route.abort()

        page.route("**/civic/file", swallow)
        at(page, office, "/ko/services/complaint-field")
        fill_in(page, "쓰레기가 쌓였어요.")
        page.get_by_role("button", name="제출하기").click()
        page.wait_for_function("() => document.getElementById('sending').textContent !== ''")
        while not taken:
            page.wait_for_timeout(20)
        assert taken[0] == 200
        page.close()
        again = page.context.new_page()
        at(again, office, "/ko/requests")
        again.locator(".requests .state-received").wait_for()
        assert filed(office, "jongno") == before + 1


def test_everything_by_keyboard_alone(browser: Browser, office: Office) -> None:
    with citizen(browser, locale="en-GB") as page:
        at(page, office, "/en")
        page.keyboard.press("Tab")
        skip = page.get_by_role("link", name="Skip to main content")
        assert skip.evaluate("one => one === document.activeElement")
        page.keyboard.press("Enter")
        tab_to(page, page.locator("#q"))
        page.keyboard.type("parking")
        page.get_by_text("1 found").wait_for()
        tab_to(page, page.get_by_role("link", name="Everyday nuisance report"))
        page.keyboard.press("Enter")
        page.wait_for_url("**/services/complaint-field")
        live(page)
        tab_to(page, page.get_by_role("radio", name="Parking"))
        page.keyboard.press("ArrowDown")
        assert page.get_by_role("radio", name="Noise").is_checked()
        tab_to(page, page.get_by_role("combobox", name="A place nearby"))
        page.keyboard.type("Bosingak")
        page.get_by_text("This is in Jongno-gu.").wait_for()
        tab_to(page, page.locator("textarea[name=body]"))
        page.keyboard.type("Music at night.")
        tab_to(page, page.get_by_role("button", name="Submit"))
        page.keyboard.press("Enter")
        page.wait_for_url(SENT)
        live(page)
        tab_to(page, page.get_by_role("button", name="Check it yourself"))
        page.keyboard.press("Enter")
        page.locator(".checked").wait_for()
        tab_to(page, page.get_by_role("link", name="Add to calendar"))


@pytest.mark.parametrize(("language", "scheme"), [("ko", "light"), ("en", "dark")])
def test_axe_finds_nothing_serious(
    browser: Browser, office: Office, built: Built, language: str, scheme: Any
) -> None:
    size = {"width": 390, "height": 844} if scheme == "dark" else {"width": 1280, "height": 900}
    found = []
    with citizen(browser, bypass_csp=True, color_scheme=scheme, viewport=size) as page:

        def look(state: str) -> None:
            page.add_script_tag(path=built.sources / "node_modules" / "axe-core" / "axe.min.js")
            found.extend(findings(page, state))
            wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
            assert not wide, f"{state} is wider than the screen"

        for path in ("", "?q=nothing-at-all", "/requests", "/people", "/statistics", "/about",
                     "/facilities", "/facilities/seongbuk-futsal", "/services/nothing", "/requests/jongno/999",
                     "/services/complaint-statutory", "/services/business-showcase-booth",
                     "/services/reserve-sports?facility=seongbuk-futsal"):  # fmt: skip
            at(page, office, f"/{language}{path}")
            look(path)
        at(page, office, f"/{language}/services/complaint-field")
        page.locator("#send").click()
        page.locator("#errors").wait_for()
        look("a form with errors")
        fill_in(page, "소음이 커요.")
        page.locator("#send").click()
        page.wait_for_url(SENT)
        live(page)
        page.locator("#check").click()
        page.locator(".checked").wait_for()
        look("a request")
        at(page, office, f"/{language}/requests")
        look("my requests")
    assert found == []


def test_a_declaration_dropped_into_the_folder_is_a_service_at_once(browser: Browser, office: Office) -> None:
    with citizen(browser) as page:
        (office.folder / "tree.toml").write_text(TREE, encoding="utf-8")
        page.goto(f"{office.url}/ko/services/tree-report")
        for _ in range(50):
            if page.get_by_role("heading", level=1).inner_text() == "가로수 신고":
                break
            page.wait_for_timeout(100)
            page.reload()
        live(page)
        page.get_by_role("radio", name="쓰러짐").check()
        page.get_by_role("button", name="제출하기").click()
        page.wait_for_url("**/ko/requests/city/*")
        page.get_by_text("쓰러짐").first.wait_for()


def test_keys_go_from_one_browser_to_another(browser: Browser, office: Office, tmp_path: Any) -> None:
    with citizen(browser) as page:
        at(page, office, "/ko/services/complaint-field")
        fill_in(page, "표지판이 휘었어요.")
        page.get_by_role("button", name="제출하기").click()
        page.wait_for_url(SENT)
        at(page, office, "/ko/people")
        root = page.locator(".key").inner_text()
        panel = page.get_by_role("region", name="열쇠와 신청 내보내기")
        panel.get_by_label("암호", exact=True).fill("종로의 밤은 길다")
        panel.get_by_label("암호 한 번 더").fill("종로의 밤은 짧다")
        panel.get_by_role("button", name="파일로 내보내기").click()
        panel.get_by_text("두 암호가 서로 달라요.").wait_for()
        panel.get_by_label("암호 한 번 더").fill("종로의 밤은 길다")
        with page.expect_download() as download:
            panel.get_by_role("button", name="파일로 내보내기").click()
        exported = tmp_path / "keys.txt"
        download.value.save_as(exported)
        assert "표지판" not in exported.read_text("utf-8")
    with citizen(browser) as other:
        at(other, office, "/ko/people")
        assert other.locator(".key").inner_text() != root
        panel = other.get_by_role("region", name="다른 기기에서 가져오기")
        panel.get_by_label("내보낸 파일").set_input_files(exported)
        panel.get_by_label("암호").fill("아니다")
        panel.get_by_role("button", name="가져오기").click()
        panel.get_by_text("암호가 다르거나 파일이 바뀌었어요.").wait_for()
        panel.get_by_label("암호").fill("종로의 밤은 길다")
        panel.get_by_role("button", name="가져오기").click()
        other.get_by_text("가져왔어요. 새 신청 1건").first.wait_for()
        other.locator(".key", has_text=root).wait_for()
        at(other, office, "/ko/requests")
        other.get_by_role("link", name="현장민원(생활불편)").click()
        other.get_by_text("표지판이 휘었어요.").wait_for()


def asks_for(page: Page) -> None:
    """What a booking needs, on its form, in English."""
    page.get_by_label("Number of people").fill("10")
    page.get_by_role("textbox", name="Name").fill("김서울")
    page.get_by_role("textbox", name="Phone").fill("010-1234-5678")
    page.get_by_role("button", name="Submit").click()


def is_verified(page: Page, code: str) -> None:
    """Types the code of an official on the page of keys, and goes back to the form."""
    panel = page.get_by_role("region", name="Being verified")
    panel.get_by_role("heading", name="People").wait_for()
    panel.get_by_label("The code from the counter").fill("WRONG-CODES")
    panel.get_by_role("button", name="Verify").click()
    panel.get_by_text("code").last.wait_for()
    panel.get_by_label("The code from the counter").fill(code)
    panel.get_by_role("button", name="Verify").click()
    panel.get_by_role("link", name="Back to the form").click()
    live(page)


@pytest.mark.skipif(bool(missing()), reason=f"no OpenID provider here: {missing()}")
def test_who_logs_in_at_a_provider_is_verified_and_comes_back_to_the_form(
    browser: Browser, office: Office
) -> None:
    with citizen(browser, locale="en-GB") as page:
        form = "/en/services/mayor-proposal"
        at(page, office, f"/en/people?purpose=mayor-proposal&back={form}")
        panel = page.get_by_role("region", name="Being verified")
        # given up at the provider: nothing is known of anybody
        panel.get_by_role("button", name="Log in and be verified").click()
        page.get_by_role("link", name="Cancel").click()
        panel.get_by_text("You could not be verified").wait_for()
        panel.get_by_role("button", name="Log in and be verified").click()
        page.get_by_placeholder("Enter any login").fill("hong")
        page.get_by_placeholder("and password").fill("anything")
        page.get_by_role("button", name="Sign-in").click()
        page.get_by_role("button", name="Continue").click()
        panel.get_by_text("You are verified.").wait_for()
        assert urlsplit(page.url).fragment == "attest", "the code does not stay in the address"
        panel.get_by_text(f"This device is verified by: {office.attestor_url}").wait_for()
        panel.get_by_role("link", name="Back to the form").click()
        page.wait_for_url(f"**{form}")
        live(page)
        for label in ("Title", "What is wrong now", "Your idea", "Name to be shown"):
            page.get_by_label(label).fill("More shade at bus stops")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url("**/en/requests/city/*")
        # anybody who is verified supports it, once
        number = "/".join(urlsplit(page.url).path.split("/")[-2:])
        assert page.locator("#support").count() == 0, "nobody is asked yet"
        office.acts(number, "gather")
        page.reload()
        live(page)
        assert (
            page.locator(".facts").get_by_text("Supporters").locator("xpath=..").inner_text().split()[-1]
            == "0"
        )
        page.get_by_role("button", name="I support this").click()
        page.get_by_text("You support this. Thank you.").wait_for()
        page.wait_for_function("() => document.querySelector('.facts')?.innerText.match(/Supporters\\s+1/)")
        live(page)
        page.get_by_role("button", name="I support this").click()
        page.get_by_text("You support this already.").wait_for()
    with citizen(browser, locale="en-GB") as stranger:
        at(stranger, office, f"/en/requests/{number}")
        stranger.get_by_role("button", name="I support this").click()
        href = stranger.get_by_role("link", name="Go and be verified").get_attribute("href")
        assert href is not None
        assert f"purpose=support%2F{number.replace('/', '%2F')}&back=" in href


def test_who_is_verified_books_a_free_time_and_gives_it_to_who_waits(
    browser: Browser, office: Office
) -> None:
    with citizen(browser, locale="en-GB") as page, citizen(browser, locale="en-GB") as late:
        at(page, office, "/en/facilities/seongbuk-futsal")
        page.get_by_role("link", name=re.compile("1 left")).last.click()
        live(page)
        slot = page.locator("input[name=slot]:checked").input_value()
        asks_for(page)
        page.locator("#sending a").click()
        page.wait_for_url("**/people?*")
        live(page)
        is_verified(page, office.attests("900101-1234567"))
        # what was written is still there
        assert page.get_by_label("Number of people").input_value() == "10"
        assert page.locator("input[name=slot]:checked").input_value() == slot
        page.get_by_role("button", name="Submit").click()
        page.wait_for_url("**/en/requests/seongbuk/*")
        live(page)
        page.locator(".state-held").wait_for()
        assert slot.replace("T", " ") in page.locator("#own").inner_text()

        at(late, office, f"/en/services/reserve-sports?facility=seongbuk-futsal&slot={slot}")
        assert "waiting list" in late.locator(f"label:has(input[value='{slot}'])").inner_text()
        on_list = late.get_by_role("checkbox", name="Put me on the waiting list if it is full")
        assert on_list.is_checked(), "a full one was chosen as one to wait for"
        asks_for(late)
        late.locator("#sending a").click()
        live(late)
        is_verified(late, office.attests("910202-1234567"))
        on_list.uncheck()
        late.get_by_role("button", name="Submit").click()
        late.get_by_text("Someone has just booked this time.").wait_for()
        on_list.check()
        late.get_by_role("button", name="Submit").click()
        late.wait_for_url("**/en/requests/seongbuk/*")
        live(late)
        late.locator(".state-waiting").wait_for()

        page.get_by_role("button", name="cancel").click()
        page.locator(".state-cancelled").wait_for()
        late.reload()
        late.locator(".state-held").wait_for()


def test_a_photo_goes_along_sealed_and_a_file_of_another_kind_does_not(
    browser: Browser, office: Office
) -> None:
    with citizen(browser) as page:
        at(page, office, "/ko/services/complaint-field")
        fill_in(page, "보도블록이 깨졌어요.")
        page.locator("input[type=file]").set_input_files(
            FilePayload(name="사진.jpg", mimeType="image/jpeg", buffer=b"MZ\x90\x00 no picture")
        )
        page.get_by_role("button", name="제출하기").click()
        page.get_by_text("이 형식의 파일은 받을 수 없어요.").first.wait_for()
        page.get_by_role("button", name="사진.jpg 빼기").click()
        page.locator("input[type=file]").set_input_files(
            FilePayload(name="보도.png", mimeType="image/png", buffer=PNG)
        )
        page.get_by_role("button", name="제출하기").click()
        page.wait_for_url(SENT)
        live(page)
        page.locator("#own").get_by_text("보도.png").wait_for()


def test_a_complaint_is_answered_after_a_supplement_and_rated(browser: Browser, office: Office) -> None:
    with citizen(browser) as page:
        at(page, office, "/ko/services/complaint-field")
        fill_in(page, "하수구가 막혔어요.")
        page.get_by_role("button", name="제출하기").click()
        page.wait_for_url(SENT)
        number = "/".join(page.url.split("/")[-2:])
        for action in ("assign", "visit", "begin"):
            office.acts(number, action)
        office.acts(number, "ask", "--amount", "7", "--text", f"어느 쪽 하수구인가요? {HARM}")
        at(page, office, f"/ko/requests/{number}")
        page.locator(".state-supplement-requested").wait_for()
        page.locator(".letter").get_by_text("어느 쪽 하수구인가요?").wait_for()
        assert HARM in page.locator(".letter").inner_text()
        assert page.evaluate("window.harmed") is None
        page.get_by_text("기한 멈춤(보완 기다리는 중)").wait_for()
        page.get_by_role("button", name="보완하기").click()
        page.get_by_text("보낼 글을 써 주세요.").wait_for()
        page.get_by_label("보낼 글").fill("시장 입구 왼쪽이에요.")
        files = page.locator("#actions input[type=file]")
        files.set_input_files(FilePayload(name="입구.png", mimeType="image/png", buffer=b"MZ\x90\x00 none"))
        page.get_by_role("button", name="보완하기").click()
        page.get_by_text("이 형식의 파일은 받을 수 없어요.").wait_for()
        files.set_input_files(FilePayload(name="입구.png", mimeType="image/png", buffer=PNG))
        page.get_by_role("button", name="보완하기").click()
        page.locator(".state-in-progress").wait_for()
        page.locator(".letter").get_by_text("시장 입구 왼쪽이에요.").wait_for()
        page.locator(".letter").get_by_text("입구.png").wait_for()
        assert office.saves(number, hashlib.sha256(PNG).hexdigest()) == PNG
        office.acts(number, "complete", "--text", "뚫었습니다. 알려 주셔서 고맙습니다.")
        at(page, office, f"/ko/requests/{number}")
        page.locator(".state-completed").wait_for()
        page.locator(".letter").get_by_text("뚫었습니다.").wait_for()
        page.get_by_role("radio", name="5점").check()
        page.get_by_role("button", name="만족도 남기기").click()
        page.get_by_text("별점 5점").first.wait_for()
        page.get_by_role("button", name="내가 직접 확인하기").click()
        page.locator(".checked").get_by_text("기록에 들어 있어요").wait_for()
        at(page, office, "/ko/statistics")
        assert "현장민원(생활불편)" in page.locator(".figures").first.inner_text()


def test_what_is_sealed_is_erased_with_its_files_and_the_receipt_stays(
    browser: Browser, office: Office
) -> None:
    with citizen(browser, locale="en-GB") as page:
        at(page, office, "/en/services/complaint-field")
        fill_in(page, "A lamp is broken.")
        photo = FilePayload(name="lamp.png", mimeType="image/png", buffer=PNG)
        page.locator("input[type=file]").set_input_files(photo)
        with page.expect_request(lambda asked: "/civic/attachment/" in asked.url) as brought:
            page.get_by_role("button", name="Submit").click()
        page.wait_for_url(SENT)
        live(page)
        path = brought.value.url.removeprefix(office.url)
        (node,) = office.city.nodes
        number = "/".join(page.url.split("/")[-2:])
        assert office.saves(number, hashlib.sha256(PNG).hexdigest()) == PNG
        page.locator("summary").filter(has_text="withdraw").click()
        page.locator("#actions textarea").fill("It was repaired.")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="withdraw").click()
        page.locator(".state-withdrawn").wait_for()
        page.locator(".erasing summary").click()
        page.get_by_text("What stays in the record").wait_for()
        page.locator(".erasing button").click()
        page.locator("#erased").wait_for()
        page.get_by_text("What this letter said was erased.").wait_for()
        page.locator("#own").get_by_text("A lamp is broken.").wait_for()
        assert page.locator(".erasing summary").count() == 0
        lost = node.ask(path)
        assert lost is not None
        assert len(lost) < len(PNG), "no file any more"
        page.get_by_role("button", name="Check it yourself").click()
        page.locator(".checked").get_by_text("It is in the record").wait_for()
    with citizen(browser) as stranger:
        at(stranger, office, f"/ko/requests/{number}")
        assert "지웠어요" in stranger.locator("#erased").inner_text()


def test_what_a_japanese_page_says_in_english_is_marked_so(browser: Browser, office: Office) -> None:
    with citizen(browser) as page:
        at(page, office, "/ja/services/complaint-field")
        assert page.locator("html").get_attribute("lang") == "ja"
        assert page.locator("h1").inner_text() == "生活の不便の通報"
        page.locator("#send").click()
        page.locator("#errors").wait_for()
        assert page.locator("#errors").get_attribute("lang") == "en"
        assert page.locator("#f-category-error").get_attribute("lang") == "en"


def test_pages_keep_their_policy(browser: Browser, office: Office) -> None:
    with citizen(browser) as page:
        for path in ("/ko", "/ko/services/complaint-field"):
            answer = page.goto(f"{office.url}{path}")
            assert answer is not None
            policy = answer.headers["content-security-policy"]
            assert "form-action 'self'" in policy
            assert "unsafe" not in policy
        harm = json.dumps(f"</script>{HARM}\u202e")
        page.goto(f"{office.url}/ko?q={HARM}\u202e")
        assert page.evaluate("window.harmed") is None
        assert page.locator("#q").input_value().startswith("<img"), harm
