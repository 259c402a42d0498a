"""The counter in the city: a number is drawn, outlives a reload, is called, and the two talk; the desk is beside it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from p2pworld.grants import grant_to_text, sign_grant
from p2pworld.seoul.landmarks import landmark
from tests.web.conftest import Troubles, open_browser
from tests.web.visit import Person, served_city, wait_for

if TYPE_CHECKING:
    from pathlib import Path

    from simulations.processes import City
    from tests.web.conftest import Built

PLAZA = landmark("Seoul Plaza")
DAY_MS = 86_400_000
COUNTER = "120 민원 창구"


def takes_office(person: Person, city: City) -> None:
    """Shows, from now on, a grant for the counter."""
    person.button("설정").click()
    person.page.wait_for_function("() => /^[0-9a-f]{64}$/.test(document.querySelector('output').textContent)")
    key = bytes.fromhex(person.page.get_by_label("내 공개 열쇠").inner_text())
    now_ms = time.time_ns() // 1_000_000
    scope = ("places:counter-room",)
    signed = sign_grant(city.root, key, "official", scope, now_ms - DAY_MS, now_ms + DAY_MS)
    kept = json.dumps(grant_to_text(signed))
    person.page.evaluate("(text) => localStorage.setItem('p2pworld grants', text)", kept)
    person.page.reload()
    wait_for(person.page, "w.link === 'here'")


def test_a_number_is_drawn_called_and_talked_about(built: Built, chromium: str, tmp_path: Path) -> None:
    troubles = Troubles()
    with served_city(tmp_path, 1, (PLAZA,)) as city:
        for browser in open_browser(chromium):
            lee = Person.come(browser, city.nodes[0], "이시민", PLAZA.position_cm, troubles)
            lee.press("c")
            lee.sees("번호표는 120 민원 창구에서 뽑아요.")
            lee.button("여기로 바로 가기").click()
            lee.is_at(COUNTER)
            lee.button("번호표 뽑기").click()
            lee.sees("내 번호는 1번이에요. 앞에 0명이 있어요.")
            lee.page.reload()
            wait_for(lee.page, "w.link === 'here'")
            lee.press("c")
            lee.sees("내 번호는 1번이에요. 앞에 0명이 있어요.")
            assert lee.button("다음 번호 부르기").count() == 0

            kim = Person.come(browser, city.nodes[0], "김주무관", PLAZA.position_cm, troubles)
            takes_office(kim, city)
            kim.goes("민원 창구", COUNTER)
            kim.press("c")
            kim.sees("이시민")
            kim.button("다음 번호 부르기").click()
            lee.is_told("1번 차례예요. 김주무관 담당자에게 가세요.")
            lee.sees("1번 차례예요. 김주무관 담당자에게 가세요.")
            desk = kim.page.get_by_role("link", name="민원 업무 창 열기")
            assert desk.get_attribute("href") == "/ko/desk"
            kim.button("다음 번호 부르기").is_disabled()
            kim.button("귓속말").click()
            kim.page.keyboard.insert_text("신청 번호를 알려 주세요.")
            kim.page.keyboard.press("Enter")
            lee.hears("신청 번호를 알려 주세요.")
    assert troubles.seen == []
