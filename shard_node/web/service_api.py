"""The services of the city as JSON for programs: what there is, what became of requests, what is free, how it goes.

    GET /api/v1/services, /api/v1/services/<id>                 what can be asked for, and by which form
    GET /api/v1/cases/<stream>/<entry>, /api/v1/cases?key=...   a case; those of these transactions' keys
    GET /api/v1/queue/<stream>                                  what an office has, by deadline
    GET /api/v1/facilities, /api/v1/facilities/<id>[/slots]     what can be booked, and what is free
    GET /api/v1/changes, /api/v1/statistics                     what happened last; deadlines kept and missed
    GET /api/v1/logs                                            how far this node has read each log

All of it is public: it is in the logs, and this node's index has read them. Everybody may read it, from any page.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from p2pworld.errors import LocalError
from p2pworld.services.case_rows import OFFICES
from p2pworld.services.workflow import State
from p2pworld.services.working_time import end_of, minute_at
from shard_node.services.documents import (
    case_document,
    change_document,
    facility_document,
    page_document,
    service_document,
    services_document,
    slots_document,
    statistics_document,
)
from shard_node.services.queries import CHANGES_MAX, Asked
from shard_node.web import asked
from shard_node.web.asked import OPEN, Asking, answering

if TYPE_CHECKING:
    from starlette.requests import Request

    from p2pworld.services.declaration import Service
    from p2pworld.services.facility import Facility
    from shard_node.services.index import ServiceIndex

__all__ = ["facility_of", "known_stream", "service_api_routes", "service_of"]

TEXT_MAX: Final = 100
_STATES: Final = frozenset(state.value for state in State)


def service_api_routes(index: ServiceIndex) -> list[Route]:
    """The routes over one node's index."""

    @answering
    async def services(request: Request) -> Response:
        return _json(services_document(index.catalogue, asked.language(request)))

    @answering
    async def service(request: Request) -> Response:
        found = service_of(index, request.path_params["id"])
        return _json(service_document(found, index.catalogue, asked.language(request)))

    @answering
    async def case(request: Request) -> Response:
        stream = known_stream(index, request.path_params["stream"])
        entry = asked.number(request.path_params["entry"], "entry")
        found = await index.case(stream, entry)
        if found is None:
            raise Asking("case-unknown" if entry < index.size(stream) else "case-not-yet")
        return _json(case_document(found, index.now_minute(), index.calendar, asked.language(request)))

    @answering
    async def cases(request: Request) -> Response:
        keys = asked.keys(request)
        found = await index.cases_of(keys)
        missing = set(keys) - {one.record.opened.key for one in found}
        minute, language = index.now_minute(), asked.language(request)
        return _json(
            {
                "cases": [case_document(one, minute, index.calendar, language) for one in found],
                "missing": sorted(key.hex() for key in missing),
            }
        )

    @answering
    async def queue(request: Request) -> Response:
        office, language = known_stream(index, request.path_params["stream"]), asked.language(request)
        try:
            page = await index.queue(office, _asked(request))
        except LocalError:
            raise Asking("after-invalid") from None
        return _json({"office": office} | page_document(page, index.now_minute(), index.calendar, language))

    @answering
    async def facilities(request: Request) -> Response:
        language, catalogue = asked.language(request), index.catalogue
        gu = asked.one_of(request, "gu", OFFICES)
        kind = request.query_params.get("kind", "")
        found = [
            facility_document(facility, catalogue, language)
            for facility in catalogue.facilities.values()
            if gu in ("", facility.gu) and kind in ("", facility.kind)
        ]
        return _json({"facilities": found})

    @answering
    async def facility(request: Request) -> Response:
        found = facility_of(index, request.path_params["id"])
        return _json(facility_document(found, index.catalogue, asked.language(request)))

    @answering
    async def slots(request: Request) -> Response:
        language, minute = asked.language(request), index.now_minute()
        found = facility_of(index, request.path_params["id"])
        first, count = asked.first_day(request, minute), asked.days(request)
        giving = {
            one.id: one for one in index.catalogue.services.values() if found in index.catalogue.bookable(one)
        }
        chosen = asked.one_of(request, "service", giving) or next(iter(giving), "")
        days = [first + timedelta(days=n) for n in range(count)]
        taken = await index.taken(found.id, minute_at(first), end_of(days[-1]))
        return _json(slots_document(found, giving.get(chosen), days, taken, minute, index.calendar, language))

    @answering
    async def changes(request: Request) -> Response:
        office, service = asked.one_of(request, "office", OFFICES), request.query_params.get("service", "")
        limit = asked.number(request.query_params.get("limit", "50"), "limit", 1, CHANGES_MAX)
        language = asked.language(request)
        found = await index.changes(office, service and service_of(index, service).id, limit)
        return _json({"changes": [change_document(change, language) for change in found]})

    @answering
    async def statistics(request: Request) -> Response:
        return _json(statistics_document(await index.statistics(asked.months(request)), index.now_minute()))

    async def logs(request: Request) -> Response:
        return _json({"logs": dict(index.sizes)})

    return [
        Route("/api/v1/logs", logs),
        Route("/api/v1/services", services),
        Route("/api/v1/services/{id}", service),
        Route("/api/v1/cases", cases),
        Route("/api/v1/cases/{stream}/{entry}", case),
        Route("/api/v1/queue/{stream}", queue),
        Route("/api/v1/facilities", facilities),
        Route("/api/v1/facilities/{id}", facility),
        Route("/api/v1/facilities/{id}/slots", slots),
        Route("/api/v1/changes", changes),
        Route("/api/v1/statistics", statistics),
    ]


def service_of(index: ServiceIndex, name: str) -> Service:
    """The service called that, as it is declared now."""
    found = index.catalogue.services.get(name)
    if found is None:
        raise Asking("service-unknown")
    return found


def facility_of(index: ServiceIndex, name: str) -> Facility:
    """The facility called that, as it is declared now."""
    found = index.catalogue.facilities.get(name)
    if found is None:
        raise Asking("facility-unknown")
    return found


def known_stream(index: ServiceIndex, name: str) -> str:
    """A stream that the city has, or of which something was read."""
    if name not in OFFICES and not index.size(name):
        raise Asking("stream-unknown")
    return name


def _asked(request: Request) -> Asked:
    assigned = request.query_params.get("assigned", "")
    states = request.query_params.getlist("state")
    for state in states:
        if state not in _STATES:
            raise Asking("choice-unknown", "state", state[:40])
    return Asked(
        open=None if request.query_params.get("open") == "all" else asked.flag(request, "open", True),
        states=frozenset(map(State, states)),
        services=frozenset(request.query_params.getlist("service")),
        assigned=asked.key(assigned, "assigned") if assigned else None,
        overdue=asked.flag(request, "overdue", None),
        text=asked.text(request, "text", TEXT_MAX),
        after=request.query_params.get("after", ""),
        limit=asked.limit(request),
    )


def _json(told: Any) -> JSONResponse:
    return JSONResponse(told, headers=OPEN)
