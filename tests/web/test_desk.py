"""An official at the desk in a browser: keys from files; a case taken, asked about, answered; two clicks, one act."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from p2pworld.crypto.keys import Signer
from p2pworld.grants import grant_to_text, grants_from_text, sign_grant
from p2pworld.services.letters import Intent, file_act, grants_paper
from p2pworld.services.workflow import Action
from tests.client.reports import PICTURE, PLACE, Report, minute
from tests.web.conftest import Troubles, open_browser
from tests.web.services import citizen, findings, served_office

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.web.conftest import Built
    from tests.web.services import Office

DAY_MS = 86_400_000
KIM, HAN = (Signer.from_seed(bytes([n]) * 32) for n in (0x11, 0x12))


def files_of(
    office: Office, folder: Path, signer: Signer = KIM, ends_ms: int = DAY_MS, subject: bytes = b""
) -> list[Path]:
    """What an official of Jongno has: a key, grants, the office's secret."""
    now_ms = time.time_ns() // 1_000_000
    scope = ("streams:jongno",)
    grant = sign_grant(
        office.city.root, subject or signer.public, "official", scope, now_ms - 2 * DAY_MS, now_ms + ends_ms
    )
    key, grants = folder / "kim.pem", folder / "kim.grant"
    key.write_text(signer.to_pem())
    grants.write_text(f"# for the desk\n{grant_to_text(grant)}\n")
    return [key, grants, office.city.folder / "office.secret"]


def gives(page: Page, files: list[Path]) -> None:
    """Chooses files and has the browser keep them."""
    for name, file in zip(("서명 열쇠 파일", "권한 파일", "기관 봉인 열쇠 파일"), files, strict=True):
        page.get_by_label(name).set_input_files(file)
    page.get_by_role("button", name="이 브라우저에 두기").click()


def does(page: Page, action: str, *, template: str = "", text: str = "", clicks: int = 1) -> None:
    """Does this with the case that is shown, and waits until it is in the log."""
    page.get_by_role("radio", name=action, exact=True).check()
    if template:
        page.get_by_label("글틀").select_option(label=template)
    if text:
        page.get_by_label("신청인에게 쓰는 글").fill(text)
    page.get_by_role("button", name="서명해서 남기기").click(click_count=clicks)
    page.locator("#said[data-outcome=accepted]").wait_for()
    page.get_by_role("button", name="새로 보기").click()
    page.locator("#acts:visible").wait_for()


def test_an_official_takes_asks_and_answers(built: Built, chromium: str, tmp_path: Path) -> None:
    troubles = Troubles()
    with served_office(tmp_path) as office:
        [node] = office.city.nodes
        program = b"\x7fELF" + bytes(60)
        report = Report(node, office.city.office_key, PICTURE, program)
        report.until("received")
        for browser in open_browser(chromium):
            with citizen(browser, troubles) as page:
                page.goto(f"{office.url}/ko/desk/jongno/{report.entry}")
                page.get_by_text("먼저 ‘내 열쇠’에서 열쇠를 넣어 주세요.").click()
                said = page.get_by_role("alert")
                gives(page, files_of(office, tmp_path, subject=bytes(32)))
                said.get_by_text("다른 열쇠에 준 권한이에요.").wait_for()
                gives(page, files_of(office, tmp_path, ends_ms=-1))
                said.get_by_text("기간이 끝난 권한이에요.").wait_for()
                gives(page, files_of(office, tmp_path)[::-1])
                said.get_by_text("서명 열쇠 파일이 아니에요.").wait_for()
                gives(page, files_of(office, tmp_path))
                page.get_by_text("공무원 · 종로구 ·").wait_for()
                page.get_by_role("link", name="종로구", exact=True).click()
                page.get_by_role("link", name=f"jongno/{report.entry}").click()
                page.locator("#opened").get_by_text(PLACE).wait_for()
                picture, other = (digest.hex()[:8] for digest in report.digests)
                page.get_by_role("button", name=f"{picture} 열어 보기").click()
                page.get_by_role("img", name=f"{picture}.png").wait_for()
                page.get_by_role("button", name=f"{other} 열어 보기").click()
                page.get_by_text("허락된 형식이 아니라서 열지 않았어요.").wait_for()
                assert page.locator("#opened").get_by_role("img").count() == 1

                does(page, "배정하기", clicks=2)
                assert report.until("assigned")["seen"] == 1, "two clicks are one act"
                assert page.locator(".facts").get_by_text("나", exact=True).is_visible()
                assert page.get_by_role("radio", name="내가 넘겨받기").count() == 0, "from oneself"
                page.get_by_role("radio", name="보완 요청하기", exact=True).check()
                page.get_by_label("글틀").select_option(label="보완 요청")
                page.get_by_role("button", name="서명해서 남기기").click()
                page.get_by_text("괄호 안을 채워 주세요.").wait_for()
                asked = page.get_by_label("신청인에게 쓰는 글").input_value()
                assert "7일 안에" in asked
                does(page, "보완 요청하기", text=asked.replace("(필요한 자료나 내용)", "사진"))
                report.until("supplement-requested")
                report.act(
                    Action.SUPPLEMENT, text="버스 정류장 앞이에요.", photos=(PICTURE, b"MZ no picture")
                )
                report.until("in-progress")
                page.reload()
                page.get_by_text("버스 정류장 앞이에요.").wait_for()
                letter = page.locator(".letter, [data-letter]").filter(has_text="버스 정류장 앞이에요.").first
                letter.get_by_text("붙인 파일").wait_for()
                for open_it in letter.get_by_role("button").all():
                    open_it.click()
                letter.get_by_role("img", name=f"{picture}.png").wait_for()
                letter.get_by_text("허락된 형식이 아니라서 열지 않았어요.").wait_for()
                does(page, "답변하고 완료하기", text="메웠어요. 고마워요.")
                assert report.until("completed")["ended"]
                page.get_by_text("지금 할 수 있는 일이 없어요.").wait_for()
                assert page.evaluate("() => localStorage.length") == 0, "keys are in the database alone"

                at_once(page, office, tmp_path)
                others = [Report(node, office.city.office_key) for _ in range(2)]
                for one in others:
                    one.until("received")
                    page.goto(f"{office.url}/ko/desk/jongno/{one.entry}")
                    page.locator("#acts:visible").wait_for()
                    does(page, "배정하기")
                page.goto(f"{office.url}/ko/desk/jongno")
                page.get_by_label("날수").fill("3")
                page.get_by_role("button", name="자리 비움").click()
                page.get_by_text("까지 자리 비움").first.wait_for()
                assert [one.case["acts"][-1]["amount"] for one in others] == [3, 3]
                with citizen(browser, troubles) as beside:
                    takes_over(beside, office, tmp_path)
                assert {one.case["assigned"] for one in others} == {HAN.public.hex()}

                page.goto(f"{office.url}/ko/desk")
                page.get_by_role("button", name="이 브라우저에서 지우기").click()
                page.get_by_text("열쇠를 지웠어요.").wait_for()
                page.reload()
                page.get_by_label("서명 열쇠 파일").wait_for()
            for scheme, wide in (("light", 1280), ("dark", 390)):
                looked_at(browser, office, report, built, scheme, wide)
    assert troubles.seen == []


def at_once(page: Page, office: Office, folder: Path) -> None:
    """A colleague is quicker: who comes second is told, and looks again."""
    report = Report(office.city.nodes[0], office.city.office_key)
    report.until("received")
    page.goto(f"{office.url}/ko/desk/jongno/{report.entry}")
    page.locator("#acts:visible").wait_for()
    assert page.locator("input[type=radio]:checked").count() == 0, "nobody signs what happens to stand first"
    page.get_by_role("radio", name="배정하기", exact=True).check()
    _, grants, _ = files_of(office, folder, HAN)
    intent = Intent("jongno", report.entry, 0, Action.ASSIGN)
    act = file_act(intent, minute(), HAN, b"\x13" * 32)
    report.file(replace(act, papers=(grants_paper(grants_from_text(grants.read_text())),)))
    page.get_by_role("button", name="서명해서 남기기").click()
    page.get_by_text("그사이에 신청이 달라졌어요. 새로 확인해 주세요. (case-moved-on)").wait_for()
    report.until("assigned")
    page.get_by_role("button", name="새로 보기").click()
    page.get_by_role("radio", name="내가 넘겨받기").wait_for()
    files_of(office, folder)


def takes_over(page: Page, office: Office, folder: Path) -> None:
    """A colleague takes over what is left of one who is away."""
    page.goto(f"{office.url}/ko/desk")
    gives(page, files_of(office, folder, HAN))
    page.get_by_text("공무원 · 종로구 ·").wait_for()
    page.goto(f"{office.url}/ko/desk/jongno")
    page.get_by_role("button", name="모두 넘겨받기 (2건)").click()
    page.locator("code", has_text="나").nth(1).wait_for()


def looked_at(
    browser: Browser, office: Office, report: Report, built: Built, scheme: Any, wide_px: int
) -> None:
    """No page of the desk has a serious finding of axe, or is wider than its screen."""
    found: list[str] = []
    fresh = Report(report.node, office.city.office_key)
    fresh.until("received")
    size = {"width": wide_px, "height": 850}
    with citizen(browser, bypass_csp=True, color_scheme=scheme, viewport=size) as page:

        def look(state: str) -> None:
            page.add_script_tag(path=built.sources / "node_modules" / "axe-core" / "axe.min.js")
            found.extend(findings(page, state))
            assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), state

        page.goto(f"{office.url}/ko/desk")
        page.get_by_label("서명 열쇠 파일").wait_for()
        look("keys")
        gives(page, files_of(office, office.folder))
        page.get_by_role("button", name="이 브라우저에서 지우기").wait_for()
        look("keys that are held")
        page.goto(f"{office.url}/ko/desk/jongno?closed=1")
        look("queue")
        for number in (report.entry, fresh.entry):
            page.goto(f"{office.url}/ko/desk/jongno/{number}")
            page.locator("#acts:visible").wait_for()
            look("case")
    assert found == []
