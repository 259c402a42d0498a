"""Open311 GeoReport v2: reports of programs that know no keys, filed by this node's gateway, and their public states.

    GET  /open311/discovery.<format>                  where the interface is
    GET  /open311/v2/services.<format>                what can be reported, and its definitions at services/<code>
    POST /open311/v2/requests.<format>                a report, urlencoded
    GET  /open311/v2/tokens/<token>.<format>          its number, if the log could not take it at once
    GET  /open311/v2/requests.<format>                reports of 90 days at most, or by number; one at requests/<id>

<format> is json or xml. A key is not asked for. A number names the log and the entry: `jongno-4711`. What is sealed
(the text, the place, who it was) is told to nobody; where a report lies is told as far as its office, a gu. As an
extension `lang` chooses the language, and a header `Idempotency-Key` makes a retry safe. An error tells the reason's
code beside the standard's code and description. Source: wiki.open311.org/GeoReport_v2 and Service_Discovery.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.responses import Response
from starlette.routing import Route

from p2pworld.limits import OPEN311_IDS_MAX, OPEN311_REQUESTS_MAX, OPEN311_SPAN_DAYS
from p2pworld.seoul.gu import GU
from p2pworld.services.deadlines import NEVER
from p2pworld.services.declaration import CITY
from p2pworld.services.form import gu_slug
from p2pworld.services.form_text import moment, moment_text
from p2pworld.services.open311 import definition, offered, read_parameters, service_entry, values_of
from p2pworld.services.replies import Told, told
from p2pworld.services.words import STATE_WORDS
from shard_node.execute import now
from shard_node.services.gateway import Application, Filed, request_name
from shard_node.storage.journal import StorageFailed
from shard_node.web.bodies import read_form
from shard_node.web.spark import FORMATS, to_json, to_xml
from shard_node.web.telling import AGAIN_S, Unread, idempotency_key_of, language_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from starlette.requests import Request

    from p2pworld.services.declaration import Service
    from shard_node.services.gateway import Gateway
    from shard_node.services.host import ServiceHost
    from shard_node.services.index import ServiceIndex
    from shard_node.services.tables import Found

__all__ = ["JURISDICTION", "open311_routes"]

JURISDICTION: Final = "seoul"
SPECIFICATION: Final = "http://wiki.open311.org/GeoReport_v2"
DAY_MINUTES: Final = 1_440
OPEN: Final = {"Access-Control-Allow-Origin": "*"}
_ID: Final = re.compile(r"([a-z][a-z0-9-]{0,79})-(0|[1-9][0-9]{0,14})")
_TOKEN: Final = re.compile(r"[0-9a-f]{64}")
_NOT_FOUND: Final = {
    "not-found",
    "jurisdiction-unknown",
    "service-code-unknown",
    "request-unknown",
    "token-unknown",
}


class _Declined(Exception):
    """What was asked for is not answered, for these reasons."""

    def __init__(self, *said: Told) -> None:
        super().__init__(said[0].en)
        self.said = said


class _Asked(NamedTuple):
    """A request: its query, the format and the language of the answer."""

    request: Request
    format: str
    language: str

    def query(self, name: str) -> str:
        """A parameter, or empty text; one that is empty is as good as none."""
        return str(self.request.query_params.get(name, "")).strip()

    def listed(self, name: str) -> list[str]:
        """The values of a parameter that are separated by commas, or come under the same name."""
        texts = self.request.query_params.getlist(name)
        return [value.strip() for text in texts for value in str(text).split(",") if value.strip()]


def open311_routes(host: ServiceHost, gateway: Gateway, index: ServiceIndex) -> list[Route]:
    """The routes over one node's services."""
    reports = _Reports(host, gateway, index)

    def served(
        root: str, answer: Callable[[_Asked], Awaitable[Any]], status: int = 200
    ) -> Callable[[Request], Awaitable[Response]]:
        """Answers in the format that the path names, errors too."""

        async def answered(request: Request) -> Response:
            format_ = request.path_params["format"]
            asked = _Asked(request, format_ if format_ in FORMATS else "xml", language_of(request))
            try:
                if format_ not in FORMATS:
                    raise _Declined(told("not-found"))
                jurisdiction = asked.query("jurisdiction_id")
                if jurisdiction not in ("", JURISDICTION):
                    raise _Declined(told("jurisdiction-unknown", JURISDICTION))
                document = await answer(asked)
            except _Declined as declined:
                return _errors(asked, declined.said)
            except Unread as unread:
                return _errors(asked, [unread.said])
            except StorageFailed:
                return _errors(asked, [told("filing-open")])
            return _document(asked, root, document, status)

        return answered

    base = "/open311/v2"
    return [
        Route("/open311/discovery.{format}", served("discovery", reports.discovery)),
        Route(f"{base}/discovery.{{format}}", served("discovery", reports.discovery)),
        Route(f"{base}/services.{{format}}", served("services", reports.services)),
        Route(f"{base}/services/{{code}}.{{format}}", served("service_definition", reports.definition)),
        Route(f"{base}/requests.{{format}}", served("service_requests", reports.listed), methods=["GET"]),
        Route(
            f"{base}/requests.{{format}}", served("service_requests", reports.report, 201), methods=["POST"]
        ),
        Route(f"{base}/requests/{{id}}.{{format}}", served("service_requests", reports.one)),
        Route(f"{base}/tokens/{{token}}.{{format}}", served("service_requests", reports.token)),
    ]


class _Reports:
    """What each of the standard's methods answers, as a document."""

    def __init__(self, host: ServiceHost, gateway: Gateway, index: ServiceIndex) -> None:
        self._host, self._gateway, self._index = host, gateway, index
        self._changed = (host.offered.version, _changeset())

    async def discovery(self, asked: _Asked) -> Any:
        """Where the interface is, and since when it is as it is."""
        if self._changed[0] != self._host.offered.version:
            self._changed = self._host.offered.version, _changeset()
        url = asked.request.url
        return {
            "changeset": self._changed[1],
            "contact": f"{url.scheme}://{url.netloc}/{asked.language}/about",
            "key_service": "No key is needed. 키 없이 쓸 수 있어요.",
            "endpoints": [
                {
                    "specification": SPECIFICATION,
                    "url": f"{url.scheme}://{url.netloc}/open311/v2",
                    "changeset": self._changed[1],
                    "type": "production",
                    "formats": [FORMATS[one].partition(";")[0] for one in FORMATS],
                }
            ],
        }

    async def services(self, asked: _Asked) -> Any:
        """What can be reported."""
        return [service_entry(service, asked.language) for service in offered(self._host.catalogue)]

    async def definition(self, asked: _Asked) -> Any:
        """What is asked for with a report of this kind."""
        service = self._of_code(asked.request.path_params["code"])
        return definition(service, self._host.catalogue, asked.language)

    def _of_code(self, code: str) -> Service:
        service = self._host.catalogue.of_code(code)
        if service is None:
            raise _Declined(told("service-code-unknown"))
        return service

    # ---- a report

    async def report(self, asked: _Asked) -> Any:
        """The number of a new report, or a token if it is not known yet."""
        address = asked.request.client.host if asked.request.client else ""
        if not self._host.doors.may_file(address, now().boot_s):
            raise _Declined(told("busy"))
        key = idempotency_key_of(asked.request.headers.get("idempotency-key", ""))
        form = await read_form(asked.request)
        sent = read_parameters([*asked.request.query_params.multi_items(), *form.texts])
        if sent.get("jurisdiction_id") not in ("", JURISDICTION):
            raise _Declined(told("jurisdiction-unknown", JURISDICTION))
        if not sent.get("service_code"):
            raise _Declined(told("service-code-missing"))
        service = self._of_code(sent.get("service_code").strip())
        values, note, wrong = values_of(service, sent)
        if wrong:
            places = {one.name for one in service.form.fields if one.format in ("point", "gu")}
            _, more = self._gateway.check(service, values)
            raise _Declined(*wrong, *(one for one in more if one.field not in places))
        found = await self._gateway.file(Application(service.id, values, note), key)
        notice = service.deadline.note.get(asked.language) or service.deadline.note.get("en")
        if isinstance(found, Filed):
            number = f"{found.stream}-{found.entry}"
            return [{"service_request_id": number, "service_notice": notice, "account_id": None}]
        if found[0].reason == "filing-open":
            name = request_name(key).hex()
            return [{"token": name, "service_notice": notice, "account_id": None}]
        raise _Declined(*found)

    async def token(self, asked: _Asked) -> Any:
        """The number of the report that was given this token; until it has one, just the token."""
        token = asked.request.path_params["token"]
        standing = await self._gateway.standing(bytes.fromhex(token)) if _TOKEN.fullmatch(token) else None
        match standing:
            case None:
                raise _Declined(told("token-unknown"))
            case Filed():
                return [{"service_request_id": f"{standing.stream}-{standing.entry}", "token": token}]
            case Told(reason="filing-open"):
                return [{"service_request_id": None, "token": token}]
            case _:
                raise _Declined(standing)

    # ---- what became of them

    async def one(self, asked: _Asked) -> Any:
        """A report by its number."""
        found = await self._numbered(asked.request.path_params["id"])
        if found is None:
            raise _Declined(told("request-unknown"))
        return [self._shown(found, asked.language)]

    async def listed(self, asked: _Asked) -> Any:
        """Reports by their numbers, or all of some time, kind and state; the newest first."""
        numbers = asked.listed("service_request_id")
        if len(numbers) > OPEN311_IDS_MAX:
            raise _Declined(told("too-many-ids", str(OPEN311_IDS_MAX)))
        if numbers:
            each = [await self._numbered(number) for number in dict.fromkeys(numbers)]
            return [self._shown(found, asked.language) for found in each if found is not None]
        codes = asked.listed("service_code")
        wanted = [self._of_code(code) for code in codes] if codes else offered(self._host.catalogue)
        states = set(asked.listed("status"))
        if not states <= {"open", "closed"}:
            raise _Declined(told("status-unknown"))
        begin, end = _span(asked, self._index.now_minute())
        found = await self._index.filed(
            [service.id for service in wanted],
            begin,
            end,
            ("open" in states) if len(states) == 1 else None,
            OPEN311_REQUESTS_MAX,
        )
        return [self._shown(one, asked.language) for one in found]

    async def _numbered(self, number: str) -> Found | None:
        """The report of this number; only of what can be reported by this interface."""
        parts = _ID.fullmatch(number)
        found = await self._index.case(parts[1], int(parts[2])) if parts else None
        service = self._host.catalogue.services.get(found.record.opened.service) if found else None
        return found if service is not None and service.open311 is not None else None

    def _shown(self, found: Found, language: str) -> dict[str, Any]:
        """A report as the standard tells of it."""
        record, opened = found.record, found.record.opened
        service = self._host.catalogue.services[opened.service]
        assert service.open311 is not None, "only those that are offered"
        words = STATE_WORDS[record.state] if record.state else {}
        due = None if record.due in (None, NEVER) else record.due
        return {
            "service_request_id": f"{opened.stream}-{opened.entry}",
            "status": "closed" if record.ended else "open",
            "status_notes": words.get(language) or words.get("en"),
            "service_name": service.title.get(language) or service.title["en"],
            "service_code": service.open311.code,
            "description": None,
            "agency_responsible": service.office.unit.get(language) or service.office.unit["en"],
            "service_notice": service.deadline.note.get(language) or service.deadline.note.get("en"),
            "requested_datetime": moment_text(opened.minute),
            "updated_datetime": moment_text(record.changed),
            "expected_datetime": moment_text(due) if due is not None else None,
            "address": _office_name(record.office, language),
            "address_id": None,
            "zipcode": None,
            "lat": None,
            "long": None,
            "media_url": None,
        }


def _changeset() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")


def _office_name(office: str, language: str) -> str:
    """The gu that an office is of, or the city."""
    gu = next((gu for gu in GU if gu_slug(gu.name_en) == office), None)
    if gu is not None:
        return f"서울특별시 {gu.name_ko}" if language == "ko" else f"{gu.name_en}, Seoul"
    if office == CITY:
        return "서울특별시" if language == "ko" else "Seoul"
    return office


def _span(asked: _Asked, now_minute: int) -> tuple[int, int]:
    """The minutes [begin, end) that are asked for: 90 days at most, the last ones if nothing is said.

    Raises _Declined.
    """
    ends: list[int | None] = []
    for name in ("start_date", "end_date"):
        text = asked.query(name).replace(" ", "+")  # a plus that was not escaped
        read = moment(text) if text else None
        if text and read is None:
            raise _Declined(told("time-invalid"))
        ends.append(int(read.timestamp()) // 60 if read else None)
    span = OPEN311_SPAN_DAYS * DAY_MINUTES
    match ends:
        case [None, None]:
            return now_minute + 1 - span, now_minute + 1
        case [int(begin), None]:
            return begin, begin + span
        case [None, int(end)]:
            return end - span, end + 1
        case [int(begin), int(end)] if 0 <= end - begin <= span:
            return begin, end + 1
        case _:
            raise _Declined(told("time-span", str(OPEN311_SPAN_DAYS)))


def _errors(asked: _Asked, said: Sequence[Told]) -> Response:
    status = 404 if said[0].reason in _NOT_FOUND else 400
    document = [
        {"code": status, "description": one.sentence(asked.language), "reason": one.reason} for one in said
    ]
    answer = _document(asked, "errors", document, status)
    if said[0].again:
        answer.headers["Retry-After"] = str(AGAIN_S)
    return answer


def _document(asked: _Asked, root: str, document: Any, status: int) -> Response:
    body = to_json(document) if asked.format == "json" else to_xml(root, document)
    return Response(
        body,
        status_code=status,
        headers=OPEN | {"Content-Type": FORMATS[asked.format], "Cache-Control": "no-store"},
    )
