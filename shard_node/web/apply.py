"""Applying for a service, for programs and for pages without script: check, prepare, file, and ask what became of it.

    POST /api/v1/services/<id>/check     {values, lang} -> what is wrong, and where it would go; nothing is kept
    POST /api/v1/services/<id>/prepare   {values, lang} -> what a program that signs itself makes its filing of
    POST /api/v1/services/<id>/requests  {values, lang}, or a form with files -> filed by this node's gateway
    GET  /api/v1/services/<id>/requests  what became of the request that came under this Idempotency-Key, and letters
    POST /api/v1/services/<id>/requests/acts  {action, amount, text, lang} -> done with that request

A request is filed once for each `Idempotency-Key` (a header, or a form's field `idempotency-key`); who sends none is
given one, as `follow`: whoever has it can ask what became of the request, so it is a secret. In a form with files, all
fields but those may come together as JSON in one named `values`.
"""

from __future__ import annotations

import json
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from starlette.routing import Route

from p2pworld.limits import UPLOAD_FORM_BYTES_MAX, UPLOADS_AT_ONCE
from p2pworld.services.deadlines import NEVER, Clock
from p2pworld.services.form_text import values_of_texts
from p2pworld.services.reasons import refusal
from p2pworld.services.replies import Told, told, told_of_refusal
from p2pworld.services.workflow import Action
from shard_node.execute import now
from shard_node.services.gateway import Application, Filed
from shard_node.services.going_on import Wish
from shard_node.storage.journal import StorageFailed
from shard_node.web.bodies import MULTIPART, FileRoom, Uploads, kind_of, read_form, read_json
from shard_node.web.telling import (
    Json,
    Unread,
    cut_off,
    declined,
    fault_document,
    idempotency_key_of,
    language_of,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.requests import Request
    from starlette.responses import Response

    from p2pworld.services.declaration import Service
    from shard_node.services.gateway import Gateway
    from shard_node.services.going_on import GoingOn
    from shard_node.services.host import ServiceHost
    from shard_node.services.offices import OfficeKeys
    from shard_node.web.follow_pages import FollowPages

__all__ = ["apply_routes"]

KEY_FIELD: Final = "idempotency-key"  # no field of a form has a hyphen
VALUES_FIELD: Final = "values"
LANGUAGE_FIELD: Final = "lang"
AMOUNT_MAX: Final = 9_999
_ACTIONS: Final = frozenset(action.value for action in Action)
_STORE_FAILS: Final = told("filing-open")


class _Asked(NamedTuple):
    """What came to be filed."""

    application: Application
    key: str
    language: str


def room_of(service: Service) -> FileRoom:
    """What files the form of this service takes."""
    rules = service.attachments
    fields = {
        one.name: int(one.schema.get("maxItems", 1)) for one in service.form.fields if one.format == "file"
    }
    return FileRoom(fields, rules.bytes_max if rules else 0)


def apply_routes(
    host: ServiceHost, gateway: Gateway, offices: OfficeKeys, going_on: GoingOn, pages: FollowPages
) -> list[Route]:
    """The routes over one node's gateway."""
    applying = _Applying(host, gateway, offices, going_on, pages)

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
                if _is_page(request):
                    return cut_off(pages.refused(request, language, service, [unread.said]))
                return declined([unread.said], language, unread=True)
            except StorageFailed:
                return declined([_STORE_FAILS], language)

        return answered

    path = "/api/v1/services/{service}"
    return [
        Route(f"{path}/check", open_to(applying.check), methods=["POST"]),
        Route(f"{path}/prepare", open_to(applying.prepare), methods=["POST"]),
        Route(f"{path}/requests", open_to(applying.requests), methods=["GET", "POST"]),
        Route(f"{path}/requests/acts", open_to(applying.act), methods=["POST"]),
    ]


class _Applying:
    """What each request is answered."""

    def __init__(
        self,
        host: ServiceHost,
        gateway: Gateway,
        offices: OfficeKeys,
        going_on: GoingOn,
        pages: FollowPages,
    ) -> None:
        self._host, self._gateway, self._offices = host, gateway, offices
        self._going_on, self._pages = going_on, pages
        self._uploads = Uploads(UPLOADS_AT_ONCE)

    async def check(self, request: Request, service: Service) -> Response:
        """What is wrong with a form, or where it would go; nothing is kept."""
        values, language = await _values(request)
        kept, wrong = self._gateway.check(service, values)
        told_of: dict[str, Any] = {
            "ok": not wrong,
            "faults": [fault_document(one, language) for one in wrong],
            "stream": None,
            "due": None,
        }
        if not wrong:
            told_of |= {
                "stream": service.stream(kept, self._host.catalogue.facilities),
                "due": _due(self._host, service, kept),
            }
        return Json(told_of, headers={"Cache-Control": "no-store"})

    async def prepare(self, request: Request, service: Service) -> Response:
        """What a program that signs itself makes its filing of."""
        values, language = await _values(request)
        kept, wrong = self._gateway.check(service, values)
        stream = None if wrong else service.stream(kept, self._host.catalogue.facilities)
        keys = await self._offices.of(stream) if stream else ()
        if not stream or not keys:
            return declined(wrong or [told("office-key-unknown")], language)
        public, private = service.split(kept)
        return Json(
            {
                "type": service.id,
                "stream": stream,
                "minute": self._host.index.now_minute(),
                "public": _fields(public),
                "private": _fields(private),
                "offices": [key.hex() for key in keys],
                "due": _due(self._host, service, kept),
            },
            headers={"Cache-Control": "no-store"},
        )

    async def file(self, request: Request, service: Service) -> Response:
        """Filed by the gateway."""
        if self._gateway.key is None or not service.gateway:
            reason = "gateway-none" if service.gateway else "gateway-not-here"
            return declined([told(reason)], language_of(request), unread=True)
        files = kind_of(request)[0] == MULTIPART
        if files and not _may_bring(self._host, request):
            raise Unread(told("busy"))
        # until it is filed: its files are in memory
        async with self._uploads.one() if files else nullcontext():
            asked = await _asked(request, service)
            found = await self._gateway.file(asked.application, asked.key)
        page = _is_page(request)
        if isinstance(found, tuple):
            if page:
                return self._pages.refused(request, asked.language, service, found)
            return declined(found, asked.language)
        if page:
            return self._pages.filed(request, asked.language, service, found, asked.key)
        place = f"{found.stream}/{found.entry}"
        return Json(
            _place(service.id, found) | {"via": self._gateway.key.hex(), "follow": asked.key},
            status_code=201,
            headers={"Cache-Control": "no-store", "Location": f"/api/v1/cases/{place}"},
        )

    async def became(self, request: Request, service: Service) -> Response:
        """What became of the request that came under this key, and letters."""
        language = language_of(request)
        given = request.headers.get("idempotency-key", "")
        if not given:
            raise Unread(told("idempotency-key"))
        found = await self._going_on.follow(idempotency_key_of(given))
        if isinstance(found, Told):
            return declined([found], language)
        if found is None or found.service != service.id:
            return declined([told_of_refusal(refusal("case-unknown"))], language)
        letters = [
            {
                "entry": one.entry,
                "minute": one.minute,
                "action": one.action.value,
                "who": one.who.value,
                "text": one.text,
            }
            for one in found.letters
        ]
        may = [action.value for action in found.may]
        told_of = _place(service.id, found.filed) | {"letters": letters, "may": may}
        return Json(told_of, headers={"Cache-Control": "no-store"})

    async def act(self, request: Request, service: Service) -> Response:
        """Something done with that request."""
        given = request.headers.get("idempotency-key", "")
        if not given:
            raise Unread(told("idempotency-key"))
        body = await read_json(request)
        language = language_of(request, body.get("lang"))
        found = await self._going_on.act(idempotency_key_of(given), _wish(body, language))
        if isinstance(found, tuple):
            return declined(found, language)
        told_of = {"stream": found.stream, "entry": found.entry, "key": found.key.hex()}
        return Json(told_of, status_code=201, headers={"Cache-Control": "no-store"})

    async def requests(self, request: Request, service: Service) -> Response:
        """A request, or what became of one."""
        return await (self.became if request.method == "GET" else self.file)(request, service)


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
    wanted = ""
    if service.form.field(LANGUAGE_FIELD) is None:
        wanted = texts.pop(LANGUAGE_FIELD, [""])[-1]
    if VALUES_FIELD in texts and service.form.field(VALUES_FIELD) is None:
        try:
            values = json.loads(texts[VALUES_FIELD][-1])
        except (ValueError, RecursionError):
            raise Unread(told("malformed")) from None
        if not isinstance(values, dict) or len(texts) > 1:
            raise Unread(told("malformed"))
    else:
        # a box that was not ticked does not come; where an answer is needed, that is one
        unticked = [
            one.name
            for one in service.form.fields
            if one.schema == {"type": "boolean"} and one.name in service.form.required
        ]
        values = dict.fromkeys(unticked, False) | values_of_texts(service.form, texts)
    files = {name: tuple(there) for name, there in form.files.items()}
    return _Asked(Application(service.id, values, files=files), key, language_of(request, wanted))


def _may_bring(host: ServiceHost, request: Request) -> bool:
    """Whether this address may bring one more form with files, as long as it is said to be."""
    address, said = request.client.host if request.client else "", request.headers.get("content-length", "")
    size, at_s = int(said) if said.isdecimal() else UPLOAD_FORM_BYTES_MAX, now().boot_s
    return host.doors.may_attach(address, at_s) and host.doors.may_carry(address, size, at_s)


def _wish(body: dict[str, Any], language: str) -> Wish:
    """Raises Unread."""
    action, amount, text = body.get("action"), body.get("amount", 0), body.get("text", "")
    if action not in _ACTIONS or type(amount) is not int or not 0 <= amount <= AMOUNT_MAX:
        raise Unread(told("malformed"))
    if not isinstance(text, str) or not body.keys() <= {"action", "amount", "text", "lang"}:
        raise Unread(told("malformed"))
    return Wish(Action(action), amount, text, language)


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
