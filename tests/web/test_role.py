"""A person at the page shows the grant that the city gave them, and enters the room that is for officials."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from p2pworld.crypto.keys import PersonKeys
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


def grant(city: City, key: bytes) -> str:
    """The file that an operator sends."""
    now_ms = time.time_ns() // 1_000_000
    scope = ("places:meeting-room",)
    signed = sign_grant(city.root, key, "official", scope, now_ms - DAY_MS, now_ms + DAY_MS)
    return f"# for the page\n{grant_to_text(signed)}\n"


def test_a_grant_is_pasted_into_the_settings_and_opens_the_meeting_room(
    built: Built, chromium: str, tmp_path: Path
) -> None:
    troubles = Troubles()
    with served_city(tmp_path, 1, (PLAZA,)) as city:
        for browser in open_browser(chromium):
            kim = Person.come(browser, city.nodes[0], "김주무관", PLAZA.position_cm, troubles)
            kim.button("설정").click()
            key = kim.page.get_by_label("내 공개 열쇠")
            kim.page.wait_for_function(
                "() => /^[0-9a-f]{64}$/.test(document.querySelector('output').textContent)"
            )
            mine = bytes.fromhex(key.inner_text())
            paper = kim.page.get_by_role("textbox", name="자격 증서")
            for text, said in (
                ("hello", "자격 증서가 아니에요."),
                (grant(city, PersonKeys.from_seed(bytes(32)).public), "다른 열쇠에게 준 자격 증서예요."),
            ):
                paper.fill(text)
                kim.button("보이고 다시 들어가기").click()
                kim.sees(said)
            paper.fill(grant(city, mine))
            kim.button("보이고 다시 들어가기").click()
            wait_for(kim.page, "w.link === 'here' && w.people.some(one => one.id === w.me.id)")
            kim.goes("회의실", "회의실")
            kim.button("설정").click()
            kim.page.get_by_text("official:").wait_for()
    assert troubles.seen == []
