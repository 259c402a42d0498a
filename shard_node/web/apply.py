"""Applying for a service, for programs and for pages without script: check, prepare, file, and ask what became of it.

    POST /api/v1/services/<id>/check     {values, lang} -> what is wrong, and where it would go; nothing is kept
    POST /api/v1/services/<id>/prepare   {values, lang} -> what a program that signs itself makes its filing of
    POST /api/v1/services/<id>/requests  {values, lang}, or a form with files -> filed by this node's gateway
    GET  /api/v1/services/<id>/requests  what became of the request that came under this Idempotency-Key

A request is filed once for each `Idempotency-Key` (a header, or a form's field `idempotency-key`); who sends none is
given one, as `follow`: whoever has it can ask what became of the request, so it is a secret. In a form with files, all
fields but those may come together as JSON in one named `values`.
"""

from __future__ import annotations

import json
import re
import secrets
from html import escape
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from p2pworld.limits import UPLOADS_AT_ONCE
from p2pworld.services.deadlines import NEVER, Clock
from p2pworld.services.form_text import values_of_texts
from p2pworld.services.reasons import refusal
from p2pworld.services.replies import Told, told, told_of_refusal
from shard_node.execute import now
from shard_node.services.gateway import Application, Filed
from shard_node.storage.journal import StorageFailed
from shard_node.web.bodies import FileRoom, Unread, Uploads, kind_of, read_form, read_json
from shard_node.web.telling import Json, declined, fault_document, language_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request

    from p2pworld.services.declaration import Service
    from shard_node.services.gateway import Gateway
    from shard_node.services.host import ServiceHost
    from shard_node.services.offices import OfficeKeys

__all__ = ["apply_routes", "idempotency_key_of"]

KEY_FIELD: Final = "idempotency-key"  # no field of a form has a hyphen
VALUES_FIELD: Final = "values"
_KEY: Final = re.compile(r"[!-~]{16,200}")
_STORE_FAILS: Final = told("filing-open")


class _Asked(NamedTuple):
    """What came to be filed."""

    application: Application
    key: str
    language: str


def idempotency_key_of(given: str) -> str:
    """The key that was sent, or a new one if none was.

    Raises:
        Unread: it is too short to be nobody else's, or too long.
    """
    key = given.strip().strip('"')  # as the header's draft writes it, or bare
    if not key:
        return secrets.token_urlsafe(24)
    if not _KEY.fullmatch(key):
        raise Unread(told("idempotency-key"))
    return key


def room_of(service: Service) -> FileRoom:
    """What files the form of this service takes."""
    rules = service.attachments
    fields = {
        one.name: int(one.schema.get("maxItems", 1)) for one in service.form.fields if one.format == "file"
    }
    return FileRoom(fields, rules.bytes_max if rules else 0)


def apply_routes(host: ServiceHost, gateway: Gateway, offices: OfficeKeys) -> list[Route]:
    """The routes over one node's gateway."""
    uploads = Uploads(UPLOADS_AT_ONCE)

    def open_to(
        answer: Callable[[Request, Service], Awaitable[Response]],
    ) -> Callable[[Request], Awaitable[Response]]:
        """Asks for the service, and says in one way what was not taken in."""

        async def answered(request: Request) -> Response:
            language = language_of(request)
            service = host.catalogue.services.get(request.path_params["service"])
            if service is None:
                return declined([told("service-unknown")], language, unread=True)
            address = request.client.host if request.client else ""
            if not host.doors.may_file(address, now().boot_s):
                return declined([told("busy")], language, unread=True)
            try:
                return await answer(request, service)
            except Unread as unread:
                return declined([unread.said], language, unread=True)
            except StorageFailed:
                return declined([_STORE_FAILS], language)

        return answered

    async def check(request: Request, service: Service) -> Response:
        values, language = await _values(request)
        kept, wrong = gateway.check(service, values)
        told_of: dict[str, Any] = {
            "ok": not wrong,
            "faults": [fault_document(one, language) for one in wrong],
            "stream": None,
            "due": None,
        }
        if not wrong:
            told_of |= {
                "stream": service.stream(kept, host.catalogue.facilities),
                "due": _due(host, service, kept),
            }
        return Json(told_of, headers={"Cache-Control": "no-store"})

    async def prepare(request: Request, service: Service) -> Response:
        values, language = await _values(request)
        kept, wrong = gateway.check(service, values)
        stream = None if wrong else service.stream(kept, host.catalogue.facilities)
        keys = await offices.of(stream) if stream else ()
        if not stream or not keys:
            return declined(wrong or [told("office-key-unknown")], language)
        public, private = service.split(kept)
        return Json(
            {
                "type": service.id,
                "stream": stream,
                "minute": host.index.now_minute(),
                "public": _fields(public),
                "private": _fields(private),
                "offices": [key.hex() for key in keys],
                "due": _due(host, service, kept),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def file(request: Request, service: Service) -> Response:
        if gateway.key is None or not service.gateway:
            reason = "gateway-none" if service.gateway else "gateway-not-here"
            return declined([told(reason)], language_of(request), unread=True)
        async with uploads.one():  # until it is filed: its files are in memory
            asked = await _asked(request, service)
            found = await gateway.file(asked.application, asked.key)
        if isinstance(found, tuple):
            return _refused_form(request, service, found, asked)
        if _is_page(request):
            where = f"/{asked.language}/requests/{found.stream}/{found.entry}"
            return RedirectResponse(where, status_code=303, headers={"Cache-Control": "no-store"})
        place = f"{found.stream}/{found.entry}"
        return Json(
            _place(service.id, found) | {"via": gateway.key.hex(), "follow": asked.key},
            status_code=201,
            headers={"Cache-Control": "no-store", "Location": f"/api/v1/cases/{place}"},
        )

    async def became(request: Request, service: Service) -> Response:
        language = language_of(request)
        given = request.headers.get("idempotency-key", "")
        if not given:
            raise Unread(told("idempotency-key"))
        found = await gateway.became(service.id, idempotency_key_of(given))
        if not isinstance(found, Filed):
            return declined([found or told_of_refusal(refusal("case-unknown"))], language)
        return Json(_place(service.id, found), headers={"Cache-Control": "no-store"})

    async def requests(request: Request, service: Service) -> Response:
        return await (became if request.method == "GET" else file)(request, service)

    path = "/api/v1/services/{service}"
    return [
        Route(f"{path}/check", open_to(check), methods=["POST"]),
        Route(f"{path}/prepare", open_to(prepare), methods=["POST"]),
        Route(f"{path}/requests", open_to(requests), methods=["GET", "POST"]),
    ]


# ---- what came


async def _values(request: Request) -> tuple[dict[str, object], str]:
    """The values of a form as JSON, and the language for the answer.

    Raises:
        Unread: there are none.
    """
    body = await read_json(request)
    values = body.get(VALUES_FIELD)
    if not isinstance(values, dict) or not body.keys() <= {VALUES_FIELD, "lang"}:
        raise Unread(told("malformed"))
    return values, language_of(request, body.get("lang"))


async def _asked(request: Request, service: Service) -> _Asked:
    """Raises Unread."""
    given = request.headers.get("idempotency-key", "")
    if kind_of(request)[0] == b"application/json":
        values, language = await _values(request)
        return _Asked(Application(service.id, values), idempotency_key_of(given), language)
    form = await read_form(request, room_of(service))
    texts: dict[str, list[str]] = {}
    for name, text in form.texts:
        texts.setdefault(name, []).append(text)
    key = idempotency_key_of(given or texts.pop(KEY_FIELD, [""])[-1])
    texts.pop(KEY_FIELD, None)
    if VALUES_FIELD in texts and service.form.field(VALUES_FIELD) is None:
        try:
            values = json.loads(texts[VALUES_FIELD][-1])
        except (ValueError, RecursionError):
            raise Unread(told("malformed")) from None
        if not isinstance(values, dict) or len(texts) > 1:
            raise Unread(told("malformed"))
    else:
        values = values_of_texts(service.form, texts)
    files = {name: tuple(there) for name, there in form.files.items()}
    return _Asked(Application(service.id, values, files=files), key, language_of(request))


# ---- what is answered


def _fields(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _due(host: ServiceHost, service: Service, kept: Mapping[str, object]) -> int | None:
    due = Clock(host.index.now_minute(), service.deadline.of(kept)).due(host.calendar)
    return None if due == NEVER else due


def _place(service: str, found: Filed) -> dict[str, Any]:
    return {
        "service": service,
        "stream": found.stream,
        "entry": found.entry,
        "key": found.key.hex(),
        "case": f"/api/v1/cases/{found.stream}/{found.entry}",
        "receipt": f"/civic/receipt/{found.stream}/{found.entry}",
    }


def _is_page(request: Request) -> bool:
    """Whether a page's form was sent by a browser, without script."""
    return "text/html" in request.headers.get("accept", "") and kind_of(request)[0] != b"application/json"


def _refused_form(request: Request, service: Service, wrong: tuple[Told, ...], asked: _Asked) -> Response:
    """What is wrong, as JSON, or as a few lines of HTML for a browser without script."""
    answer = declined(wrong, asked.language)
    if not _is_page(request):
        return answer
    korean = asked.language == "ko"
    title = "접수되지 않았어요" if korean else "This was not filed"
    back = "신청서로 돌아가기" if korean else "Back to the form"
    said = "".join(f"<li>{escape(one.sentence(asked.language))}</li>" for one in wrong)
    page = (
        f'<!doctype html><html lang="{"ko" if korean else "en"}"><meta charset="utf-8"><title>{title}</title>'
        f'<h1>{title}</h1><ul>{said}</ul><p><a href="/{asked.language}/services/{service.id}">{back}</a></p></html>'
    )
    return Response(page, status_code=answer.status_code, media_type="text/html")
