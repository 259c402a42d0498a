"""Feeds that other programs subscribe to: an Atom feed of public states, and calendars (iCalendar).

    GET /feeds/requests.atom[?office=&service=&lang=]   what happened last with requests, in all or of one office
    GET /calendar/facilities/<id>.ics[?lang=]           when a facility is booked, and how far; never by whom
    GET /calendar/requests.ics?key=...[&lang=]          places and deadlines of the requests with these keys

What an entry or an event is called (its id) is made of stream and number, so it is the same at every node. Who knows
the keys of somebody's requests can read what the log says of them anyway: it is public, and the keys are names for one
request each.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

from icalendar import Calendar, Event
from starlette.responses import Response
from starlette.routing import Route

from p2pworld.services.case_rows import OFFICES
from p2pworld.services.deadlines import NEVER
from p2pworld.services.facility import slot_minute
from p2pworld.services.words import DONE_WORDS, STATE_WORDS
from p2pworld.services.working_time import DAY_MINUTES, day_of, seoul_text
from shard_node.services.documents import words_in
from shard_node.web import asked
from shard_node.web.asked import OPEN, answering
from shard_node.web.service_api import facility_of, service_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.facility import Facility
    from p2pworld.services.record import Record
    from shard_node.services.index import ServiceIndex
    from shard_node.services.queries import Change, Taken

__all__ = ["feed_routes"]

_ICS: Final = "text/calendar; charset=utf-8"
_ATOM: Final = "http://www.w3.org/2005/Atom"
ENTRIES: Final = 50
BACK_DAYS: Final = 31
AHEAD_DAYS: Final = 185  # the longest time before which a slot can be booked, and some days
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "feed": {
        "ko": "서울 시민 서비스: 공개된 처리 현황",
        "en": "Seoul civic services: public states of requests",
        "ja": "ソウル市民サービス:公開された処理状況",
        "zh": "首尔市民服务:公开的办理状态",
    },
    "filed": {"ko": "신청했어요", "en": "filed", "ja": "申し込みました", "zh": "已申请"},
    "due": {"ko": "답변 기한", "en": "Answer due", "ja": "回答期限", "zh": "答复期限"},
    "until": {"ko": "{} 전까지", "en": "before {}", "ja": "{}まで", "zh": "{}之前"},
    "booked": {"ko": "예약 {}/{}", "en": "Booked {}/{}", "ja": "予約 {}/{}", "zh": "已预约 {}/{}"},
    "requests": {"ko": "나의 신청", "en": "My requests", "ja": "私の申請", "zh": "我的申请"},
}
# how sure a place is, in iCalendar's words; others are given up or lost
_STATUSES: Final = {
    **dict.fromkeys(("confirmed", "used", "missed"), "CONFIRMED"),
    **dict.fromkeys(("applied", "entered", "held", "due", "waiting"), "TENTATIVE"),
}


def feed_routes(index: ServiceIndex) -> list[Route]:
    """The routes over one node's index."""

    @answering
    async def requests_atom(request: Request) -> Response:
        language = asked.language(request)
        office, service = asked.one_of(request, "office", OFFICES), request.query_params.get("service", "")
        found = await index.changes(office, service and service_of(index, service).id, ENTRIES)
        name = ":".join(part for part in ("requests", office, service) if part)
        feed = _feed(found, index.catalogue, language, name, str(request.base_url), str(request.url))
        return _told(request, feed, "application/atom+xml")

    @answering
    async def facility_calendar(request: Request) -> Response:
        language = asked.language(request)
        facility, now = facility_of(index, request.path_params["id"]), index.now_minute()
        begin, end = now - BACK_DAYS * DAY_MINUTES, now + AHEAD_DAYS * DAY_MINUTES
        taken = await index.taken(facility.id, begin, end)
        calendar = _calendar(words_in(facility.name, language))
        for slot, there in taken.items():
            if there.seats:
                calendar.add_component(_booked(facility, slot, there, language))
        return _told(request, calendar.to_ical(), _ICS)

    @answering
    async def requests_calendar(request: Request) -> Response:
        language, keys = asked.language(request), asked.keys(request)
        calendar = _calendar(words_in(_WORDS["requests"], language))
        for found in await index.cases_of(keys):
            for event in _of_case(found.record, index.catalogue, language):
                calendar.add_component(event)
        return _told(request, calendar.to_ical(), _ICS)

    return [
        Route("/feeds/requests.atom", requests_atom),
        Route("/calendar/facilities/{id}.ics", facility_calendar),
        Route("/calendar/requests.ics", requests_calendar),
    ]


def _told(request: Request, body: bytes, kind: str) -> Response:
    """The body, or 304 for who has it: whoever subscribes asks again and again."""
    headers = OPEN | {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"'}
    given = request.headers.get("if-none-match", "").split(",")
    if headers["ETag"] in (tag.strip().removeprefix("W/") for tag in given):
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=kind, headers=headers)


# ---- Atom


def _feed(
    changes: Iterable[Change], catalogue: Catalogue, language: str, name: str, base: str, url: str
) -> bytes:
    ElementTree.register_namespace("", _ATOM)
    feed = ElementTree.Element(f"{{{_ATOM}}}feed", {"xml:lang": language})
    _put(feed, "id", f"urn:p2pworld:feed:{name}")
    _put(feed, "title", words_in(_WORDS["feed"], language))
    changes = tuple(changes)
    _put(feed, "updated", _rfc3339(max((change.minute for change in changes), default=0)))
    _put(_put(feed, "author"), "name", "Seoul p2pworld")
    _put(feed, "link", rel="self", href=url)
    for change in changes:
        about = f"{change.stream}/{change.about}"
        service = catalogue.services.get(change.service)
        title = words_in(service.title, language) if service else change.service
        state = words_in(STATE_WORDS[change.state], language) if change.state else "?"
        done = words_in(DONE_WORDS[change.action] if change.action else _WORDS["filed"], language)
        entry = _put(feed, "entry")
        _put(entry, "id", f"urn:p2pworld:log:{change.stream}:{change.entry}")
        _put(entry, "title", f"{title}: {state} ({about})")
        _put(entry, "updated", _rfc3339(change.minute))
        _put(entry, "link", rel="alternate", href=f"{base}{language}/requests/{about}")
        _put(entry, "category", term=change.service, label=title)
        _put(entry, "category", term=change.office)
        _put(entry, "summary", f"{seoul_text(change.minute)} {done} → {state}")
    data: bytes = ElementTree.tostring(feed, encoding="utf-8", xml_declaration=True)
    return data


def _put(parent: ElementTree.Element, tag: str, text: str = "", **attributes: str) -> ElementTree.Element:
    child = ElementTree.SubElement(parent, f"{{{_ATOM}}}{tag}", attributes)
    child.text = text or None
    return child


def _at(minute: int) -> datetime:
    return EPOCH + timedelta(minutes=minute)


def _rfc3339(minute: int) -> str:
    return _at(minute).strftime("%Y-%m-%dT%H:%M:%SZ")


# ---- iCalendar


def _calendar(name: str) -> Calendar:
    calendar = Calendar()
    calendar.add("prodid", "-//p2pworld//civic services//")
    calendar.add("version", "2.0")
    calendar.add("x-wr-calname", name)
    calendar.add("x-wr-timezone", "Asia/Seoul")
    return calendar


def _event(uid: str, changed: int, summary: str) -> Event:
    event = Event()
    event.add("uid", uid)
    event.add("dtstamp", _at(changed))
    event.add("last-modified", _at(changed))
    event.add("summary", summary)
    return event


def _booked(facility: Facility, slot: int, taken: Taken, language: str) -> Event:
    """That so many seats of a slot are somebody's."""
    summary = words_in(_WORDS["booked"], language).format(taken.seats, facility.seats)
    event = _event(f"{facility.id}-{slot}@p2pworld", taken.changed, summary)
    event.add("dtstart", _at(slot))
    event.add("dtend", _at(slot + facility.slot_minutes))
    event.add("location", words_in(facility.name, language))
    return event


def _of_case(record: Record, catalogue: Catalogue, language: str) -> Iterable[Event]:
    """The place that a request has or wants, and until when the office has to answer."""
    opened, service = record.opened, catalogue.services.get(record.opened.service)
    title = words_in(service.title, language) if service else opened.service
    name = f"{opened.stream}-{opened.entry}"
    place = record.booking
    begin = slot_minute(place.slot) if place else None
    if place is not None and begin is not None:
        facility = catalogue.facilities.get(place.facility)
        state = words_in(STATE_WORDS[record.state], language) if record.state else place.standing
        event = _event(f"{name}-place@p2pworld", record.changed, f"{title} ({state})")
        event.add("dtstart", _at(begin))
        event.add("dtend", _at(begin + (facility.slot_minutes if facility else 60)))
        event.add("location", words_in(facility.name, language) if facility else place.facility)
        event.add("status", _STATUSES.get(place.standing, "CANCELLED"))
        yield event
    due, clock = record.due, record.terms[-1].clock if record.terms else None
    if due is not None and due < NEVER and clock is not None and clock.stopped is None:
        until = words_in(_WORDS["until"], language).format(seoul_text(due))
        event = _event(
            f"{name}-due@p2pworld", record.changed, f"{words_in(_WORDS['due'], language)}: {title}"
        )
        event.add("dtstart", day_of(due - 1))
        event.add("description", until)
        event.add("transp", "TRANSPARENT")
        yield event
