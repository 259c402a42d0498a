"""The services as JSON, feeds and calendars: what other programs read, and what is answered to odd questions."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree

import jsonschema
import vobject

from p2pworld.services.facility import slot_text
from p2pworld.services.workflow import Action
from p2pworld.services.working_time import DAY_MINUTES, day_of
from shard_node.web.feeds import feed_routes
from shard_node.web.service_api import service_api_routes
from tests.services.published import CHIEF, OFFICIAL, Office
from tests.services.test_index import BUS, CALENDAR, COMPLAINT, SLOTS, STOP, booked, city_in
from tests.services.test_reservations import TEN
from tests.shard_node.test_web import Answer, Source, get, serving_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.services.test_index import City

ODD_TEXT = "%_ \x00 $()['"
ATOM = "{http://www.w3.org/2005/Atom}"


class Api:
    """The routes served over a small city."""

    def __init__(self, url: str, city: City) -> None:
        self.url, self.city = url, city

    async def get(self, path: str) -> Answer:
        return await get(self.url + path)

    async def json(self, path: str) -> Any:
        answer = await self.get(path)
        assert answer.status == 200, (path, answer.body)
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.json()


@asynccontextmanager
async def api(tmp_path: Path, *offices: Office) -> AsyncIterator[Api]:
    async with city_in(tmp_path) as city:
        await city.read(*offices)
        routes = [*service_api_routes(city.index), *feed_routes(city.index)]
        async with serving_app(Source(), routes) as url:
            yield Api(url, city)


async def test_services_in_four_languages_with_forms_that_a_validator_takes(tmp_path: Path) -> None:
    async with api(tmp_path) as here:
        listed = (await here.json("/api/v1/services"))["services"]
        assert len(listed) == len(here.city.catalogue.services)
        assert next(one for one in listed if one["id"] == COMPLAINT.id)["title"] == COMPLAINT.title["ko"]
        for language in ("ko", "en", "ja", "zh"):
            for name in (COMPLAINT.id, BUS.id):
                told = await here.json(f"/api/v1/services/{name}?lang={language}")
                jsonschema.Draft202012Validator.check_schema(told["form"])
                assert told["workflow"]["states"].keys() >= set(told["workflow"]["steps"])
                assert told["title"]
        assert STOP.id in told["places"]["facilities"]


async def test_a_case_says_what_became_of_it_and_what_may_be_done(tmp_path: Path) -> None:
    office = Office("city", TEN)
    entry = office.file(COMPLAINT, {})
    office.act(entry, 0, Action.ASSIGN, OFFICIAL)
    office.act(entry, 1, Action.TRANSFER, OFFICIAL, 2, letter=True)
    async with api(tmp_path, office) as here:
        told = await here.json(f"/api/v1/cases/city/{entry}")
        key = office.signers[entry].public.hex()
        assert told | {"acts": [], "due": 0} == {
            "stream": "city", "entry": entry, "service": COMPLAINT.id, "state": "transferred", "ended": False,
            "filed": TEN, "changed": TEN, "due": 0, "overdue": False, "answered": None, "asked_until": None,
            "seen": 2, "acts": [], "may": told["may"], "key": key, "via": None, "public": {}, "booking": None,
            "rating": None, "supporters": None, "office": "jung", "assigned": None, "erased": False,
        }  # fmt: skip
        assert told["due"] > TEN
        assert "assign" in told["may"]["official"]
        assert "withdraw" in told["may"]["citizen"]
        assert told["acts"][1] == {
            "entry": 2, "action": "transfer",
        "done": "다른 기관으로 이송되었어요", "who": "official", "minute": TEN, "amount": 2,
            "by": OFFICIAL.public.hex(), "letter": True, "erased": False, "state": "transferred", "refused": None,
        }  # fmt: skip
        assert await here.json(f"/api/v1/cases?key={key}&key={'ab' * 32}") == {
            "cases": [told],
            "missing": ["ab" * 32],
        }
        assert (await here.json("/api/v1/queue/jung"))["cases"] == [told]
        assert (await here.json("/api/v1/queue/city"))["cases"] == []
        queue = await here.json("/api/v1/queue/jung?state=transferred&state=received&overdue=false&limit=1")
        assert (queue["counts"], queue["after"], queue["office"]) == ({"transferred": 1}, None, "jung")
        assert (await here.json("/api/v1/queue/jung?open=false"))["cases"] == []
        assert len((await here.json(f"/api/v1/queue/jung?open=all&text={quote('city/0')}"))["cases"]) == 1


async def test_what_is_free_and_why_not(tmp_path: Path) -> None:
    office = Office("city", TEN)
    first = booked(office, SLOTS[0].begin, 0)
    async with api(tmp_path, office) as here:
        listed = (await here.json("/api/v1/facilities?lang=en"))["facilities"]
        assert len(listed) == len(here.city.catalogue.facilities)
        one = next(each for each in listed if each["id"] == STOP.id)
        assert one == await here.json(f"/api/v1/facilities/{STOP.id}?lang=en")
        assert BUS.id in one["services"]
        day = day_of(SLOTS[0].begin)
        grid = await here.json(f"/api/v1/facilities/{STOP.id}/slots?from={day}&days=2&lang=en")
        assert [each["day"] for each in grid["days"]] == [f"{day}", f"{date(2026, 2, 15)}"]
        slots = grid["days"][0]["slots"]
        assert [slot["begin"] for slot in slots] == [slot.begin for slot in STOP.slots(day, CALENDAR)]
        assert slots[0]["slot"] == slot_text(SLOTS[0].begin)
        assert [slots[0]["free"], slots[1]["free"]] == [STOP.seats - 1, STOP.seats]
        assert slots[0]["fault"] is None
        here.city.minute = SLOTS[0].begin + 1
        slots = (await here.json(f"/api/v1/facilities/{STOP.id}/slots?days=1&lang=en"))["days"][0]["slots"]
        assert slots[0]["fault"] == "slot-past"
        assert slots[0]["why"]
        assert slots[0]["free"] == STOP.seats, "what was held has run out"
        booking = (await here.json(f"/api/v1/cases/city/{first}"))["booking"]
        assert booking == {
            "facility": STOP.id, "slot": slot_text(SLOTS[0].begin), "seat": 0, "standing": "held", "until": TEN + 10,
        }  # fmt: skip


async def test_statistics_add_up(tmp_path: Path) -> None:
    office = Office("city", TEN)
    for _ in range(3):
        office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    office.act(0, 1, Action.BEGIN, OFFICIAL)
    office.minute += 1
    office.act(0, 2, Action.COMPLETE, CHIEF)
    office.minute += 1
    office.act(1, 0, Action.WITHDRAW, None)
    async with api(tmp_path, office) as here:
        here.city.minute = TEN + 100 * DAY_MINUTES
        told = await here.json("/api/v1/statistics?from=2026-01&to=2026-12")
        assert told["total"] == {"filed": 3, "kept": 1, "missed": 1, "withdrawn": 1, "open": 0, "standing": 0}
        assert told["tallies"] == [
            {"service": COMPLAINT.id, "office": "city", "month": "2026-02", **told["total"]}
        ]
        assert (await here.json("/api/v1/statistics?from=2026-03"))["tallies"] == []
        changes = (await here.json("/api/v1/changes?limit=2"))["changes"]
        assert [(one["case"], one["action"]) for one in changes] == [
            ("city/1", "withdraw"),
            ("city/0", "complete"),
        ]


async def test_odd_questions_are_answered_with_a_code_and_a_sentence(tmp_path: Path) -> None:
    office = Office("city", TEN)
    office.file(COMPLAINT, {})
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    odd = {
        "/api/v1/services/no-such": (404, "service-unknown"),
        "/api/v1/services?lang=tlh": (400, "language-unknown"),
        "/api/v1/services/%E2%80%AE": (404, "service-unknown"),
        "/api/v1/cases/nowhere/0": (404, "stream-unknown"),
        "/api/v1/cases/city/1": (404, "case-unknown"),
        "/api/v1/cases/city/2": (404, "case-not-yet"),
        "/api/v1/cases/jongno/0": (404, "case-not-yet"),
        "/api/v1/cases/city/-1": (400, "number-invalid"),
        "/api/v1/cases/city/007": (400, "number-invalid"),
        "/api/v1/cases/city/%D9%A1": (400, "number-invalid"),
        "/api/v1/cases/city/9007199254740993": (400, "number-range"),
        "/api/v1/cases/city/99999999999999999999999": (400, "number-invalid"),
        "/api/v1/cases": (400, "keys-missing"),
        "/api/v1/cases?key=": (400, "key-invalid"),
        f"/api/v1/cases?key={'AB' * 32}": (400, "key-invalid"),
        "/api/v1/cases?" + "&".join(f"key={n:064x}" for n in range(101)): (400, "keys-too-many"),
        "/api/v1/queue/%27%20OR%201=1": (404, "stream-unknown"),
        "/api/v1/queue/city?state=asleep": (400, "choice-unknown"),
        "/api/v1/queue/city?overdue=yes": (400, "flag-invalid"),
        "/api/v1/queue/city?open=maybe": (400, "flag-invalid"),
        "/api/v1/queue/city?limit=0": (400, "number-range"),
        "/api/v1/queue/city?limit=101": (400, "number-range"),
        "/api/v1/queue/city?after=1": (400, "after-invalid"),
        "/api/v1/queue/city?assigned=me": (400, "key-invalid"),
        f"/api/v1/queue/city?text={'x' * 101}": (400, "text-too-long"),
        "/api/v1/facilities/none": (404, "facility-unknown"),
        "/api/v1/facilities?gu=atlantis": (400, "choice-unknown"),
        f"/api/v1/facilities/{STOP.id}/slots?from=2026-02-30": (400, "day-invalid"),
        f"/api/v1/facilities/{STOP.id}/slots?from=20260213": (400, "day-invalid"),
        f"/api/v1/facilities/{STOP.id}/slots?from=9999-12-31": (400, "day-range"),
        f"/api/v1/facilities/{STOP.id}/slots?from=0001-01-01": (400, "day-range"),
        f"/api/v1/facilities/{STOP.id}/slots?days=63": (400, "number-range"),
        f"/api/v1/facilities/{STOP.id}/slots?days=0": (400, "number-range"),
        f"/api/v1/facilities/{STOP.id}/slots?service={COMPLAINT.id}": (400, "choice-unknown"),
        "/api/v1/statistics?from=2026-13": (400, "month-invalid"),
        "/api/v1/statistics?from=2026-03&to=2026-02": (400, "month-order"),
        "/api/v1/changes?office=mars": (400, "choice-unknown"),
        "/api/v1/changes?service=none": (404, "service-unknown"),
        "/api/v1/changes?limit=201": (400, "number-range"),
        "/feeds/requests.atom?lang=xx": (400, "language-unknown"),
        "/calendar/facilities/none.ics": (404, "facility-unknown"),
        "/calendar/requests.ics": (400, "keys-missing"),
    }
    async with api(tmp_path, office) as here:
        for path, expected in odd.items():
            answer = await here.get(path)
            told = answer.json()
            assert (answer.status, told["error"]) == expected, path
            assert ("요." in told["sentence"]) is ("lang=" not in path), told
            assert "{" not in told["sentence"]
        english = (await here.get("/api/v1/services/none?lang=en")).json()
        assert english["sentence"].isascii()
        page = await here.json(f"/api/v1/queue/city?text={quote(ODD_TEXT)}")
        assert page["cases"] == []
        await here.city.index.close()
        down = await here.get("/api/v1/queue/city")
        assert (down.status, down.json()["error"], down.headers["retry-after"]) == (503, "index-down", "1")


async def test_the_feed_is_atom_with_ids_that_are_the_same_everywhere(tmp_path: Path) -> None:
    office, mapo = Office("city", TEN), Office("mapo", TEN + 1)
    office.file(COMPLAINT, {})
    office.minute += 2
    office.act(0, 0, Action.ASSIGN, OFFICIAL)
    mapo.file(COMPLAINT, {})
    async with api(tmp_path, office, mapo) as here:
        answer = await here.get("/feeds/requests.atom?lang=en")
        assert answer.headers["content-type"].startswith("application/atom+xml")
        feed = ElementTree.fromstring(answer.body)
        assert feed.tag == f"{ATOM}feed"
        for name in ("id", "title", "updated"):
            assert feed.findtext(ATOM + name)
        entries = feed.findall(f"{ATOM}entry")
        assert [entry.findtext(f"{ATOM}id") for entry in entries] == [
            *("urn:p2pworld:log:city:1", "urn:p2pworld:log:mapo:0", "urn:p2pworld:log:city:0")
        ]
        updated = [entry.findtext(f"{ATOM}updated") or "" for entry in entries]
        assert updated[0] == feed.findtext(f"{ATOM}updated")
        assert [datetime.fromisoformat(text) for text in updated] == sorted(
            map(datetime.fromisoformat, updated), reverse=True
        )
        title = entries[0].findtext(f"{ATOM}title") or ""
        assert COMPLAINT.title["en"] in title
        assert "assigned" in title
        link = entries[0].find(f"{ATOM}link")
        assert link is not None
        assert link.get("href") == f"{here.url}/en/requests/city/0"
        one = ElementTree.fromstring((await here.get("/feeds/requests.atom?office=mapo")).body)
        assert len(one.findall(f"{ATOM}entry")) == 1
        tag = answer.headers["etag"]
        again = await get(f"{here.url}/feeds/requests.atom?lang=en", **{"If-None-Match": f'"x", W/{tag}'})
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
        none = ElementTree.fromstring((await here.get(f"/feeds/requests.atom?service={BUS.id}")).body)
        assert none.findall(f"{ATOM}entry") == []


async def test_calendars_are_read_by_another_library(tmp_path: Path) -> None:
    office = Office("city", TEN)
    begin = SLOTS[0].begin
    place, complaint = booked(office, begin, 0), office.file(COMPLAINT, {})
    gone = booked(office, SLOTS[1].begin, 0)
    office.act(gone, 1, Action.CANCEL, None)
    office.event(gone, Action.CANCEL, STOP.id, SLOTS[1].begin, 0)
    async with api(tmp_path, office) as here:
        answer = await here.get(f"/calendar/facilities/{STOP.id}.ics?lang=en")
        assert answer.headers["content-type"].startswith("text/calendar")
        (event,) = vobject.readOne(answer.body.decode()).vevent_list
        assert event.dtstart.value == datetime.fromtimestamp(begin * 60, UTC)
        assert (event.dtend.value - event.dtstart.value).total_seconds() == STOP.slot_minutes * 60
        assert event.summary.value == f"Booked 1/{STOP.seats}"
        keys = "&".join(f"key={office.signers[entry].public.hex()}" for entry in (place, complaint, gone))
        text = (await here.get(f"/calendar/requests.ics?{keys}&lang=ko")).body.decode()
        assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
        events = {event.uid.value: event for event in vobject.readOne(text).vevent_list}
        assert set(events) == {
            f"city-{place}-place@p2pworld", f"city-{complaint}-due@p2pworld", f"city-{gone}-place@p2pworld"
        }  # fmt: skip
        assert events[f"city-{place}-place@p2pworld"].status.value == "TENTATIVE"
        assert events[f"city-{gone}-place@p2pworld"].status.value == "CANCELLED"
        due = (await here.json(f"/api/v1/cases/city/{complaint}"))["due"]
        assert events[f"city-{complaint}-due@p2pworld"].dtstart.value == day_of(due - 1)
        other = (await here.get(f"/calendar/requests.ics?key={'ab' * 32}")).body.decode()
        assert "vevent" not in vobject.readOne(other).contents
