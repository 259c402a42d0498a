"""The HTTP face of a node: health, figures for Prometheus, and the city as this node knows it, as JSON.

Every error is JSON too: a code and a sentence. Every answer names the request (`X-Request-Id`), as the logs do.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Protocol

from prometheus_client import generate_latest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from shard_node.logs import correlation
from shard_node.web.city import city
from shard_node.web.metrics import Figures, registry
from shard_node.web.page import BUILT, Guard, page_routes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["StatusSource", "make_app"]

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


class StatusSource(Figures, Protocol):
    """What a node says of itself (`shard_node.status`)."""

    def health(self) -> Mapping[str, object]: ...

    def nodes(self) -> Mapping[str, object]: ...

    def regions(self) -> Mapping[str, object]: ...

    def places(self) -> tuple[str, bytes]: ...


class _Correlate:
    """Gives each request an id, the caller's if it is a sane one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        name = given if REQUEST_ID.fullmatch(given) else secrets.token_hex(8).encode()
        correlation.set(name.decode())

        async def send_named(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"x-request-id", name)]
            await send(message)

        await self._app(scope, receive, send_named)


def _error(status: int, code: str, sentence: str, ko: str) -> JSONResponse:
    return JSONResponse({"error": code, "sentence": sentence, "en": sentence, "ko": ko}, status_code=status)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        path = request.url.path[:200]
        return _error(404, "not_found", f"There is nothing at {path}.", f"{path}에는 아무것도 없어요.")
    if error.status_code == 405:
        sentence = f"{request.method} is not possible here."
        return _error(405, "method_not_allowed", sentence, "여기에서는 할 수 없는 요청이에요.")
    return _error(error.status_code, "refused", str(error.detail), "요청을 처리할 수 없어요.")


async def _failed(request: Request, error: Exception) -> Response:
    sentence = "Something went wrong here; the log names this request."
    return _error(500, "internal", sentence, "서버에 문제가 생겼어요. 서버 기록에 이 요청이 남아 있어요.")


def make_app(source: StatusSource, page: Path = BUILT, more: Sequence[BaseRoute] = ()) -> Starlette:
    """The application over one source of status; `page` is the folder of the built page, `more` are routes besides."""
    figures = registry(source)

    async def healthz(request: Request) -> Response:
        health = source.health()
        return JSONResponse(health, status_code=200 if health["ok"] else 503)

    async def metrics(request: Request) -> Response:
        return Response(generate_latest(figures), media_type=TEXT_FORMAT)

    async def nodes(request: Request) -> Response:
        return JSONResponse(source.nodes())

    async def regions(request: Request) -> Response:
        return JSONResponse(source.regions())

    async def places(request: Request) -> Response:
        tag, body = source.places()
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in (given.strip() for given in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    app = Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/metrics", metrics),
            Route("/api/v1/nodes", nodes),
            Route("/api/v1/regions", regions),
            Route("/api/v1/places", places),
            Route("/api/v1/city", city),
            *more,
            *page_routes(page),
        ],
        exception_handlers={HTTPException: _refused, 500: _failed},
    )
    app.add_middleware(_Correlate)
    app.add_middleware(Guard)
    return app
