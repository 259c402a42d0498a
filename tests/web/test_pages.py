"""The citizen's pages as HTML, without a browser: every service in every language, all its words."""

from __future__ import annotations

import gzip
import re
from dataclasses import dataclass
from datetime import date
from html.parser import HTMLParser
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from p2pworld.limits import PAGE_PACKED_BYTES_MAX
from p2pworld.services.catalogue import Catalogue
from p2pworld.services.facility import Allocation
from p2pworld.services.working_time import OfficeCalendar, minute_at
from shard_node.services.folder import read
from shard_node.services.index import ServiceIndex
from shard_node.web.packing import packed
from shard_node.web.page import Guard
from shard_node.web.page_forms import control, first_day, found, week
from shard_node.web.page_speech import Speech
from shard_node.web.page_words import LANGUAGES, PHRASES
from shard_node.web.pages import PAGES_POLICY, TEMPLATES, Assets, pages_routes

if TYPE_CHECKING:
    from starlette.types import Message


CATALOGUE = read()
CALENDAR = OfficeCalendar()
NOON = minute_at(date(2026, 11, 27), 12 * 60)
# keys of phrases that templates put together from a declaration's or a case's words
MADE = re.compile(r"(sector|kind|term|person|short|residents|who|slot|about|receipt|count)_")


@dataclass(frozen=True)
class Host:
    """What pages need of a node, its index not open."""

    index: ServiceIndex
    catalogue: Catalogue = CATALOGUE
    calendar: OfficeCalendar = CALENDAR


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Starlette:
    path = tmp_path_factory.mktemp("index") / "services.sqlite"
    host = Host(ServiceIndex(path, lambda: CATALOGUE, CALENDAR, lambda: NOON))
    app = Starlette(routes=pages_routes(host, Assets("/assets/s.js", "/assets/s.css")))
    app.add_middleware(Guard)
    return app


async def ask(app: Starlette, path: str, **said: str) -> tuple[int, dict[str, str], str]:
    """One request, without a socket; what came packed is unpacked."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    bare, _, query = path.partition("?")
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in said.items()]
    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": bare, "headers": lines}
    await app(scope | {"query_string": query.encode()}, receive, send)
    start, *rest = sent
    headers = {name.decode().lower(): value.decode() for name, value in start["headers"]}
    body = b"".join(message.get("body", b"") for message in rest)
    assert int(headers["content-length"]) == len(body)
    whole = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
    return start["status"], headers, whole.decode()


class Outline(HTMLParser):
    """What a page is made of, as far as these tests ask."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.names: set[str] = set()
        self.referred: set[str] = set()
        self.tags: list[str] = []
        self.language = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.language = told.get("lang") or ""
        if told.get("id"):
            self.ids.append(str(told["id"]))
        if tag in ("input", "select", "textarea"):
            self.names.add(str(told.get("name")))
        for name in ("for", "aria-labelledby", "aria-describedby", "list"):
            self.referred |= set((told.get(name) or "").split())


@pytest.mark.parametrize("language", LANGUAGES)
async def test_every_service_has_a_form_with_all_its_fields(app: Starlette, language: str) -> None:
    for service in CATALOGUE.services.values():
        status, headers, text = await ask(app, f"/{language}/services/{service.id}")
        assert status == 200
        assert headers["content-language"] == language
        page = Outline(text)
        assert page.language == language
        assert len(page.ids) == len(set(page.ids)), service.id
        assert page.referred <= set(page.ids), (service.id, page.referred - set(page.ids))
        # slots come with the facility that one chooses
        late = {
            one.name for one in service.form.fields if one.format == "slot" and CATALOGUE.bookable(service)
        }
        assert {field.name for field in service.form.fields} - late <= page.names, service.id
        assert page.tags.count("h1") == 1
        assert Speech(language).words_plain(service.title) in text.replace("&amp;", "&").replace("&#39;", "'")
        if service.emergency:
            assert 'href="tel:119"' in text


async def test_the_slots_of_every_facility_are_shown(app: Starlette) -> None:
    for facility in CATALOGUE.facilities.values():
        status, _, text = await ask(app, f"/en/facilities/{facility.id}")
        assert status == 200
        page = Outline(text)
        assert len(page.ids) == len(set(page.ids)), facility.id


async def test_what_a_stranger_puts_into_an_address_is_only_text(app: Starlette) -> None:
    harm = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E%E2%80%AE"
    for path in (
        f"/ko?q={harm}",
        f"/ko/services/{harm}",
        f"/ko/services/reserve-sports?facility={harm}&slot={harm}&from={harm}",
        f"/ko/services/reserve-sports?facility=seongbuk-futsal&slot={harm}",
        f"/ko/facilities/{harm}",
        f"/ko/facilities/seongbuk-futsal?from={harm}",
        f"/ko/requests/{harm}/0",
        f"/ko/requests/jongno/{harm}",
        f"/ko/requests/lines?key={harm}",
    ):
        status, _, text = await ask(app, path)
        assert status in (200, 404), path
        assert "<script>alert" not in text
        assert "\u202e" not in text.replace('value="&#34;', "")


async def test_pages_may_send_forms_here_and_run_no_script_of_others(app: Starlette) -> None:
    _, headers, text = await ask(app, "/ko/services/complaint-field")
    assert headers["content-security-policy"] == PAGES_POLICY
    assert "form-action 'self'" in PAGES_POLICY
    assert "script-src 'self';" in PAGES_POLICY
    assert headers["permissions-policy"] == "camera=(), geolocation=(self), microphone=()"
    assert headers["x-content-type-options"] == "nosniff"
    assert re.search(r"\s(?:on\w+|style)=", text) is None
    _, headers, _ = await ask(app, "/ko")
    assert "geolocation=()" in headers["permissions-policy"]


async def test_what_is_no_page_is_said_as_a_page_says_it(app: Starlette) -> None:
    status, headers, text = await ask(app, "/ko/nothing/here")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert PHRASES["missing"].ko in text
    status, headers, _ = await ask(app, "/en/")
    assert (status, headers["location"]) == (308, "/en")


async def test_another_language_is_of_the_same_page(app: Starlette) -> None:
    _, _, text = await ask(app, "/ko/services/reserve-sports?facility=seongbuk-futsal&slot=2026-12-05T10:00")
    assert 'href="/en/services/reserve-sports?facility=seongbuk-futsal&amp;slot=2026-12-05T10:00"' in text


async def test_a_node_whose_index_is_closed_says_so(app: Starlette) -> None:
    status, _, text = await ask(app, "/ko/requests/jongno/0")
    assert (status, PHRASES["wait_index"].ko in text) == (503, True)
    status, _, text = await ask(app, "/ko/statistics")
    assert (status, PHRASES["wait_index"].ko in text) == (200, True)
    assert (await ask(app, "/ko/facilities/seongbuk-futsal"))[0] == 200


def test_every_phrase_says_the_same_in_all_its_languages() -> None:
    def holes(text: str) -> set[str]:
        return {name for _, name, _, _ in Formatter().parse(text) if name is not None}

    for key, words in PHRASES.items():
        assert words.ko, key
        assert words.en, key
        assert bool(words.ja) == bool(words.zh), key
        for text in filter(None, words):
            assert holes(text) == holes(words.ko), key
        # sentences to citizens end as one speaks to them (해요체)
        assert not re.search(r"(습니다|십시오|합니다)[.?!]?$", words.ko), key


def test_templates_name_phrases_that_there_are_and_each_is_of_use() -> None:
    written = "\n".join(path.read_text("utf-8") for path in sorted(Path(TEMPLATES).glob("*.html")))
    code = "\n".join(
        (Path(TEMPLATES).parent / "web" / name).read_text("utf-8")
        for name in ("pages.py", "page_cases.py", "page_forms.py", "page_speech.py")
    )
    asked = set(re.findall(r"""\bt(?:\.plain)?\("([a-z_0-9-]+)"[,)]""", written))
    assert asked <= PHRASES.keys(), asked - PHRASES.keys()
    said = set(re.findall(r'"([a-z_0-9-]+)"', written + code))
    unused = {key for key in PHRASES if key not in said and not MADE.match(key)}
    assert unused == set()


async def test_pages_are_packed_for_whoever_takes_that(app: Starlette) -> None:
    plain = await ask(app, "/ko")
    whole = int(plain[1]["content-length"])
    for taken in ("gzip", "br;q=1.0, GZIP;q=0.8", "deflate,gzip , zstd", "gzip;q=0.001"):
        status, headers, text = await ask(app, "/ko", accept_encoding=taken)
        assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding"), (
            taken
        )
        assert text == plain[2]
        assert int(headers["content-length"]) < whole / 2
    for not_taken in ("", "identity", "gzip;q=0", "gzip;q=0.0, br", "x-gzipped", "br, zstd"):
        status, headers, text = await ask(app, "/ko", accept_encoding=not_taken)
        assert (status, headers.get("content-encoding"), headers["vary"]) == (200, None, "Accept-Encoding"), (
            not_taken
        )
        assert text == plain[2]
    for path in (
        "/services/words.json",
        "/services/seoul.json",
        "/en/services/complaint-field",
        "/ja/nothing",
    ):
        assert (await ask(app, path, accept_encoding="gzip"))[1]["content-encoding"] == "gzip", path


def test_what_answers_a_post_may_hold_a_secret_beside_the_asker_s_words_and_is_never_packed() -> None:
    said = [(b"accept-encoding", b"gzip")]
    for method, encoding in (("GET", "gzip"), ("POST", None)):
        request = Request({"type": "http", "method": method, "headers": said})
        assert packed(request, b"x" * 9_000, {}).headers.get("content-encoding") == encoding
    request = Request({"type": "http", "method": "GET", "headers": said})
    for size in (1_023, PAGE_PACKED_BYTES_MAX + 1):
        assert "content-encoding" not in packed(request, bytes(size), {}).headers


def test_a_search_finds_what_a_service_and_its_choices_are_called() -> None:
    assert {"complaint-field"} <= {service.id for service in found(CATALOGUE, "주정차")}
    assert {"complaint-field"} <= {service.id for service in found(CATALOGUE, "LITTER")}
    assert found(CATALOGUE, "주정차 nothing-at-all") == ()
    assert len(found(CATALOGUE, "")) == len(CATALOGUE.services)


def test_every_field_has_a_control_that_the_templates_know() -> None:
    macros = (Path(TEMPLATES) / "_form.html").read_text("utf-8")
    kinds = {
        control(service, field, None).kind
        for service in CATALOGUE.services.values()
        for field in service.form.fields
    }
    assert {kind for kind in kinds if f'"{kind}"' not in macros} == set()


def test_a_form_asks_for_as_many_as_the_chosen_place_has_room_for() -> None:
    service, field = (
        CATALOGUE.services["reserve-sports"],
        CATALOGUE.services["reserve-sports"].form.field("people"),
    )
    assert field is not None
    futsal = CATALOGUE.facilities["seongbuk-futsal"]
    assert control(service, field, None).attributes["max"] == 1000
    assert control(service, field, futsal).attributes["max"] == futsal.capacity


def test_a_week_shows_what_is_free_full_past_and_not_yet_open() -> None:
    facility = CATALOGUE.facilities["seongbuk-futsal"]
    service = CATALOGUE.services["reserve-sports"]
    tomorrow = date(2026, 11, 28)
    full = facility.slots(date(2026, 11, 30), CALENDAR)[0]
    days = week(facility, service, date(2026, 11, 27), NOON, {full.begin: facility.seats}, CALENDAR)
    shown = {slot.value: slot for day in days for slot in day.slots}
    assert shown["2026-11-27T06:00"].word == "slot_past"
    assert shown["2026-11-28T10:00"].word == "slot_deadline"  # a day before
    assert not shown["2026-11-28T10:00"].open
    assert shown["2026-11-30T06:00"].word == "slot_waiting"
    assert shown["2026-11-30T08:00"] == shown["2026-11-30T08:00"].__class__(
        "2026-11-30T08:00", "08:00", "10:00", facility.seats, "slot_free", True
    )
    later = week(facility, service, date(2027, 2, 1), NOON, {}, CALENDAR)
    assert {slot.word for day in later for slot in day.slots} == {"slot_later"}
    assert days[0].day < tomorrow == days[1].day
    lots = next(each for each in CATALOGUE.facilities.values() if each.allocation is Allocation.LOTTERY)
    drawn = week(lots, None, date(2026, 11, 27), NOON, {}, CALENDAR)
    assert not any(slot.open for day in drawn for slot in day.slots)


def test_weeks_begin_today_or_later_and_not_for_ever() -> None:
    today = date(2026, 11, 27)
    assert first_day("2026-11-01", NOON) == today
    assert first_day("2026-12-05", NOON) == date(2026, 12, 5)
    assert first_day("2099-01-01", NOON) == date(2028, 1, 1)
    assert first_day("tomorrow", NOON) == today


def test_times_and_terms_are_said_in_the_page_s_language() -> None:
    ko, en, ja = Speech("ko"), Speech("en"), Speech("ja")
    assert ko.moment_plain(NOON) == "2026년 11월 27일(금) 12:00"
    assert en.moment_plain(NOON) == "Fri 27 November 2026 12:00"
    assert 'datetime="2026-11-27T12:00+09:00"' in str(ja.moment(NOON))
    # a day ends at 24:00: nobody comes on the next one because of its 00:00
    assert str(ko.until(minute_at(date(2026, 12, 5)))) == "2026년 12월 4일(금) 24:00까지"
    assert str(en.until(NOON)) == "until Fri 27 November 2026 12:00"
    term = CATALOGUE.services["complaint-field"].deadline.term
    assert str(ko.term(term)) == "근무시간 3시간 안에 답변해요"
    # what has no Japanese is marked as English
    assert str(ja.term(term)) == '<span lang="en">Answered within 3 working hours</span>'
    assert str(ko.words({"ko": "<b>", "en": "b"})) == "&lt;b&gt;"
