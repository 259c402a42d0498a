"""A citizen whose browser runs no script: a form is filed by the node's gateway, and followed by its code."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.services.test_attachments import png
from tests.web.conftest import open_browser
from tests.web.services import Office, citizen, findings, served_office

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser

    from tests.web.conftest import Built

FORM = "/ko/services/complaint-field"


@pytest.fixture(scope="module")
def office(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    with served_office(tmp_path_factory.mktemp("office")) as office:
        yield office


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    yield from open_browser(chromium)


def test_a_form_is_filed_and_followed_without_script(
    office: Office, browser: Browser, tmp_path: Path
) -> None:
    photo = tmp_path / "사진.png"
    photo.write_bytes(png())
    with citizen(browser, java_script_enabled=False) as page:
        page.goto(f"{office.url}{FORM}")
        page.locator("select[name=category], input[name=category][value=noise]").first.wait_for()
        if page.locator("select[name=category]").count():
            page.select_option("select[name=category]", "noise")
        else:
            page.check("input[name=category][value=noise]")
        page.fill("input[name=place]", "37.5759, 126.9768")
        page.fill("textarea[name=body]", "밤마다 공사 소리가 커요")
        page.set_input_files("input[name=photos]", photo)
        page.click("#send")
        page.get_by_role("heading", name="접수되었어요").wait_for()
        number = re.search(r"jongno/[0-9]+", page.content())
        assert number is not None
        code = page.locator("main code").nth(1).inner_text()
        page.get_by_role("button", name="신청 확인하기").click()
        page.get_by_role("link", name=number[0]).wait_for()
        page.goto(f"{office.url}/ko/follow")
        page.fill("input[name=code]", code)
        page.get_by_role("button", name="확인하기").click()
        page.get_by_role("button", name="취하하기").click()
        page.get_by_text("처리했어요.").wait_for()
        assert page.get_by_role("button", name="취하하기").count() == 0


def test_what_is_wrong_is_said_on_a_page(office: Office, browser: Browser) -> None:
    with citizen(browser, java_script_enabled=False, locale="en-US") as page:
        page.goto(f"{office.url}/en/services/complaint-field")
        page.fill("input[name=place]", "35.1796,129.0756")
        if page.locator("select[name=category]").count():
            page.select_option("select[name=category]", "noise")
        else:
            page.check("input[name=category][value=noise]")
        page.click("#send")
        page.get_by_role("heading", name="This was not filed").wait_for()


@pytest.mark.parametrize("path", ["/api?lang=ko", "/api?lang=en", "/ko/follow", "/en/follow"])
def test_no_page_has_a_serious_finding(office: Office, browser: Browser, built: Built, path: str) -> None:
    with citizen(browser, bypass_csp=True) as page:
        page.goto(f"{office.url}{path}")
        page.add_script_tag(path=built.sources / "node_modules" / "axe-core" / "axe.min.js")
        assert not findings(page, path)
