"""The citizen's pages: every service as a form, what is free, and what became of a request, as HTML any node serves.

    /{lang}                              all services by topic, and a search
    /{lang}/services/<id>                one service: what it is, and its form made from the declaration
    /{lang}/services/<id>/slots          the free times of a facility, as a piece of that form
    /{lang}/facilities[/<id>]            what can be booked, and when
    /{lang}/requests[/<stream>/<entry>]  the requests of this browser's keys; one request as everybody sees it
    /{lang}/people, /statistics, /about

A page is made anew for each request from the catalogue as it is now, so a service that was dropped into the folder has
its page at once. What is private never comes here: forms are filled, signed and sealed in the browser, and what a page
shows of a request is what stands in the public record. Pages work without a script as far as nothing has to be signed.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from jinja2 import DictLoader, Environment, StrictUndefined
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from p2pworld.geometry import from_5179, to_wgs84
from p2pworld.limits import SERVICE_KEYS_MAX
from p2pworld.seoul import GU, LANDMARKS
from p2pworld.services.form import gu_slug
from p2pworld.services.told import service_told, words_told
from p2pworld.services.working_time import minute_at
from p2pworld.world.text import neat
from shard_node.execute import now
from shard_node.storage.journal import StorageFailed
from shard_node.web.packing import packed
from shard_node.web.page import BUILT, POLICY
from shard_node.web.page_cases import case_shown, tables_shown
from shard_node.web.page_forms import (
    DAYS_SHOWN,
    accepts,
    by_gu,
    control,
    described,
    first_day,
    form_data,
    found,
    haystack,
    services_of,
    week,
)
from shard_node.web.page_speech import Speech
from shard_node.web.page_words import LANGUAGE_NAMES, LANGUAGES, SPOKEN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date

    from starlette.requests import Request

    from p2pworld.services.catalogue import Catalogue
    from p2pworld.services.declaration import Service
    from p2pworld.services.facility import Facility
    from p2pworld.services.working_time import OfficeCalendar
    from shard_node.services.index import ServiceIndex
    from shard_node.services.tables import Found

__all__ = ["PAGES_POLICY", "Assets", "Pages", "PagesHost", "pages_routes", "read_assets"]

STREAM: Final = re.compile(r"[a-z0-9.-]{1,80}")
ENTRY: Final = re.compile(r"0|[1-9][0-9]{0,14}")
KEY: Final = re.compile(r"[0-9a-f]{64}")
TEMPLATES: Final = Path(__file__).resolve().parents[1] / "pages"
QUERY_MAX: Final = 80
# a filing goes to several nodes, so that none can swallow it; a form of a gateway's is sent here
PAGES_POLICY: Final = POLICY.replace(
    "connect-src 'self' ws: wss:", "connect-src 'self' http: https:"
).replace("form-action 'none'", "form-action 'self'")
HEADERS: Final = {"Cache-Control": "no-cache", "Content-Security-Policy": PAGES_POLICY}
HERE_POLICY: Final = "camera=(), geolocation=(self), microphone=()"  # a form may ask where one stands


class PagesHost(Protocol):
    """What a node brings along (`ServiceHost`)."""

    @property
    def index(self) -> ServiceIndex: ...

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def calendar(self) -> OfficeCalendar: ...


@dataclass(frozen=True, slots=True)
class Assets:
    """Where the built script and style are served; empty where nothing was built."""

    script: str = ""
    style: str = ""


def read_assets(folder: Path = BUILT) -> Assets:
    """The assets that the build named."""
    try:
        named = json.loads((folder / "manifest.json").read_text("utf-8"))
    except FileNotFoundError:
        return Assets()
    return Assets(named.get("services.js", ""), named.get("services.css", ""))


def pages_routes(host: PagesHost, assets: Assets | None = None) -> list[Route]:
    """The routes over one node."""
    pages = Pages(host, assets or read_assets())
    routes = [Route("/services/seoul.json", pages.seoul), Route("/services/words.json", pages.words)]
    for language in LANGUAGES:
        speech = Speech(language)
        for path, view in (
            ("", pages.home),
            ("/services/{id}", pages.service),
            ("/services/{id}/slots", pages.slots),
            ("/facilities", pages.facilities),
            ("/facilities/{id}", pages.facility),
            ("/requests", pages.requests),
            ("/requests/lines", pages.lines),
            ("/requests/{stream}/{entry}", pages.request),
            ("/statistics", pages.statistics),
            ("/people", pages.people),
            ("/about", pages.about),
            ("/{path:path}", pages.lost),  # whatever else is no page, said as a page says it
        ):
            routes.append(Route(f"/{language}{path}", _in(view, speech)))
    return routes


def _in(
    view: Callable[[Request, Speech], Awaitable[Response]], speech: Speech
) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await view(request, speech)

    return answer


class Pages:
    """The views over one node."""

    def __init__(self, host: PagesHost, assets: Assets) -> None:
        self._host = host
        self._assets = assets
        self._environment = Environment(
            # read once: a node that runs goes on as it began while its files are replaced
            loader=DictLoader({path.name: path.read_text("utf-8") for path in TEMPLATES.glob("*.html")}),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._seoul = json.dumps(_seoul(), ensure_ascii=False, separators=(",", ":")).encode()
        self._words, self._words_url = _words()

    def render(
        self, template: str, request: Request, t: Speech, here: str, status: int = 200, **values: Any
    ) -> Response:
        """The page that a template makes of these values."""
        text = self._environment.get_template(template).render(
            t=t,
            here=here,
            path=values.pop("path", request.url.path.removeprefix(f"/{t.language}")),
            query_string=f"?{request.url.query}" if request.url.query else "",
            languages=LANGUAGES,
            language_names=LANGUAGE_NAMES,
            assets=self._assets,
            **values,
        )
        headers = {"Content-Language": t.language, **HEADERS}
        return packed(request, text.encode(), headers, status=status)

    def missing(self, request: Request, t: Speech, why: str = "missing") -> Response:
        """There is no such thing."""
        return self.render("missing.html", request, t, "", 404, why=why)

    async def lost(self, request: Request, t: Speech) -> Response:
        if not request.path_params["path"]:
            return RedirectResponse(f"/{t.language}", status_code=308)
        return self.missing(request, t)

    # ---- the catalogue

    async def home(self, request: Request, t: Speech) -> Response:
        asked = neat(request.query_params.get("q", ""))[:QUERY_MAX]
        query = "".join(letter for letter in asked if letter.isprintable())  # none that turns a line about
        catalogue = self._host.catalogue
        services = found(catalogue, query)
        sectors: dict[str, list[Service]] = {}
        for service in services:
            sectors.setdefault(service.sector, []).append(service)
        return self.render(
            "home.html",
            request,
            t,
            "services",
            query=query,
            count=len(services),
            sectors=sorted(sectors.items(), key=lambda each: SECTOR_ORDER.index(each[0])),
            haystack=haystack,
        )

    async def service(self, request: Request, t: Speech) -> Response:
        catalogue = self._host.catalogue
        service = catalogue.services.get(request.path_params["id"])
        if service is None:
            return self.missing(request, t)
        facility = catalogue.facilities.get(request.query_params.get("facility", ""))
        bookable = catalogue.bookable(service)
        if facility not in bookable:
            facility = None
        chosen = request.query_params.get("slot", "")[:16]
        slots = {
            field.name: await self._week(request, t, service, facility, field.name, chosen)
            if facility
            else Markup('<p class="hint">{}</p>').format(t("facility_choose"))
            for field in service.form.fields
            if field.format == "slot"
        }
        attachments = service.attachments
        answer = self.render(
            "service.html",
            request,
            t,
            "services",
            service=service,
            action=f"/api/v1/services/{service.id}/requests",
            once=secrets.token_urlsafe(24),  # sent twice without script, it is filed once
            controls=[control(service, field, facility) for field in service.form.fields],
            described=described,
            known={
                "gu": [(gu_slug(gu.name_en), t.gu_plain(gu_slug(gu.name_en))) for gu in GU],
                "spoken": SPOKEN,
                "places": [place.name_ko if t.language == "ko" else place.name_en for place in LANDMARKS],
                "facilities": by_gu(bookable),
                "facility": facility.id if facility else "",
                "slots": slots,
                "accepts": accepts(service),
                "types": ", ".join(each.upper() for each in attachments.types) if attachments else "",
                "mebibytes": attachments.bytes_max >> 20 if attachments else 0,
            },
            data={**form_data(service, catalogue), "words": self._words_url},
        )
        if any(field.format == "point" for field in service.form.fields):
            answer.headers["Permissions-Policy"] = HERE_POLICY
        return answer

    async def slots(self, request: Request, t: Speech) -> Response:
        catalogue = self._host.catalogue
        service = catalogue.services.get(request.path_params["id"])
        facility = catalogue.facilities.get(request.query_params.get("facility", ""))
        if service is None or facility is None or facility not in catalogue.bookable(service):
            return self.missing(request, t)
        name = request.query_params.get("name", "slot")
        field = service.form.field(name)
        if field is None or field.format != "slot":
            return self.missing(request, t)
        text = await self._week(request, t, service, facility, name, "")
        return packed(request, text.encode(), HEADERS)

    async def facilities(self, request: Request, t: Speech) -> Response:
        groups = by_gu(tuple(self._host.catalogue.facilities.values()))
        return self.render("facilities.html", request, t, "services", groups=groups)

    async def facility(self, request: Request, t: Speech) -> Response:
        catalogue = self._host.catalogue
        facility = catalogue.facilities.get(request.path_params["id"])
        if facility is None:
            return self.missing(request, t)
        minute = _minute()
        first = first_day(request.query_params.get("from", ""), minute)
        taken = await self._taken(facility, first)
        weeks = [
            (service, week(facility, service, first, minute, taken, self._host.calendar))
            for service in services_of(catalogue, facility)
        ]
        return self.render(
            "facility.html", request, t, "services", facility=facility, weeks=weeks, **_turns(first, minute)
        )

    async def _week(
        self, request: Request, t: Speech, service: Service, facility: Facility, name: str, chosen: str
    ) -> Markup:
        minute = _minute()
        first = first_day(request.query_params.get("from", chosen), minute)
        taken = await self._taken(facility, first)
        text = self._environment.get_template("_week.html").render(
            t=t,
            facility=facility,
            service=service,
            days=week(facility, service, first, minute, taken, self._host.calendar),
            name=name,
            chosen=chosen if name == "slot" else "",
            **_turns(first, minute),
        )
        return Markup(text)

    async def _taken(self, facility: Facility, first: date) -> Mapping[int, int]:
        begin, end = minute_at(first), minute_at(first + timedelta(days=DAYS_SHOWN))
        try:
            taken = await self._host.index.taken(facility.id, begin, end)
        except StorageFailed:
            return {}  # a page with times that may be gone is better than none
        return {slot: each.seats for slot, each in taken.items()}

    # ---- requests, keys, help

    async def requests(self, request: Request, t: Speech) -> Response:
        return self.render("requests.html", request, t, "requests")

    async def lines(self, request: Request, t: Speech) -> Response:
        keys = request.query_params.getlist("key")[:SERVICE_KEYS_MAX]
        try:
            cases = await self._host.index.cases_of(
                [bytes.fromhex(key) for key in keys if KEY.fullmatch(key)]
            )
        except StorageFailed:
            return self.missing(request, t, "wait_index")
        shown = [self._case(each, t) for each in cases]
        text = self._environment.get_template("_requests.html").render(t=t, cases=shown)
        return packed(request, text.encode(), HEADERS)

    async def request(self, request: Request, t: Speech) -> Response:
        stream, entry = request.path_params["stream"], request.path_params["entry"]
        if not STREAM.fullmatch(stream) or not ENTRY.fullmatch(entry):
            return self.missing(request, t)
        why, status = "request_missing", 404
        try:
            found = await self._host.index.case(stream, int(entry))
        except StorageFailed:
            found, why, status = None, "wait_index", 503
        shown = {"stream": stream, "entry": entry, "case": None, "why": why}
        if found is None:
            return self.render("request.html", request, t, "requests", status, **shown)
        case = self._case(found, t)
        return self.render(
            "request.html",
            request,
            t,
            "requests",
            **shown | case,
            data={
                "case": case["case"],
                "service": service_told(case["service"]) if case["service"] else None,
                "words": self._words_url,
            },
        )

    def _case(self, found: Found, t: Speech) -> dict[str, Any]:
        return case_shown(found, self._host.catalogue, t, _minute(), self._host.calendar)

    async def statistics(self, request: Request, t: Speech) -> Response:
        why = "statistics_none"
        try:
            tallies = await self._host.index.statistics()
        except StorageFailed:
            tallies, why = (), "wait_index"
        tables = tables_shown(tallies, self._host.catalogue, t)
        return self.render("statistics.html", request, t, "statistics", tables=tables, why=why)

    async def people(self, request: Request, t: Speech) -> Response:
        return self.render("people.html", request, t, "people")

    async def about(self, request: Request, t: Speech) -> Response:
        return self.render("about.html", request, t, "about")

    async def words(self, request: Request) -> Response:
        headers = {"Cache-Control": "public, max-age=31536000, immutable"}
        return packed(request, self._words, headers, "application/json")

    async def seoul(self, request: Request) -> Response:
        return packed(request, self._seoul, {"Cache-Control": "public, max-age=3600"}, "application/json")


SECTOR_ORDER: Final = (
    *("city", "administration", "communication", "economy", "education", "tourism", "infrastructure"),
)


def _words() -> tuple[bytes, str]:
    """Every sentence that goes with a code, and the address that names just these."""
    text = json.dumps(words_told(), ensure_ascii=False, separators=(",", ":")).encode()
    return text, f"/services/words.json?{hashlib.sha256(text).hexdigest()[:16]}"


def _minute() -> int:
    return now().wall_ms // 60_000


def _turns(first: date, minute: int) -> dict[str, Any]:
    """The first days of the weeks before and after; empty where there is none."""
    before = first_day((first - timedelta(days=DAYS_SHOWN)).isoformat(), minute)
    return {
        "before": before.isoformat() if before < first else "",
        "after": (first + timedelta(days=DAYS_SHOWN)).isoformat(),
    }


def _seoul() -> dict[str, object]:
    """Outlines of the gu and well-known places, as latitude and longitude: to choose a point by name or on a map."""

    def degrees(e_m: float, n_m: float) -> list[float]:
        latitude, longitude = to_wgs84(*from_5179(e_m, n_m))
        return [round(latitude, 5), round(longitude, 5)]

    return {
        "gu": {
            gu_slug(gu.name_en): {
                "name": {"ko": gu.name_ko, "en": gu.name_en},
                "middle": degrees(gu.centroid_e_m, gu.centroid_n_m),
                "outline": [degrees(e_m, n_m) for e_m, n_m in gu.outline],
            }
            for gu in GU
        },
        "places": [
            {"name": {"ko": place.name_ko, "en": place.name_en}, "at": degrees(place.e_m, place.n_m)}
            for place in LANDMARKS
        ],
    }
