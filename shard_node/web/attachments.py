"""Attachments over HTTP: a citizen's browser brings what it has locked, whoever can unlock it fetches it.

    PUT  /civic/attachment/<stream>/<name>    the locked bytes, signed for -> JSON, once they are durable
    GET  /civic/attachment/<stream>/<name>    the locked bytes

A name is the public half of a key that is made of the filing's own secret, and a header has its signature over what is
put: so only whoever files puts anything there. The bytes are locked, so nobody who fetches them is asked who they are.
Only the log's holder has attachments; other nodes send there.
"""

from __future__ import annotations

import hashlib
import logging
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import trio
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from p2pworld.civic.attached import ATTACHMENT_HEADER, is_put_by
from p2pworld.errors import Refusal
from p2pworld.limits import (
    ATTACHMENT_BYTES_MAX,
    ATTACHMENT_DAYS,
    ATTACHMENT_S,
    ATTACHMENTS_COMING_MAX,
)
from shard_node.attachments.store import TooLong
from shard_node.execute import now
from shard_node.storage.journal import StorageFailed
from shard_node.web.civic import OPEN, missing, refused

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from shard_node.attachments.keeper import AttachmentKeeper
    from shard_node.civic.desk import CivicDesk
    from shard_node.doors import Doors
    from shard_node.execute import Executor

__all__ = ["attachment_routes"]

log = logging.getLogger(__name__)

PATH: Final = "/civic/attachment/{stream}/{name}"
_NAME: Final = re.compile(r"[0-9a-f]{64}")
_SIGNATURE: Final = re.compile(r"[0-9a-f]{128}")
_PREFLIGHT: Final = OPEN | {
    "Access-Control-Allow-Methods": "GET, PUT",
    "Access-Control-Allow-Headers": "*",
    "Access-Control-Max-Age": "86400",
}


_TOO_LONG: Final = Refusal("attachment-size", f"an attachment has at most {ATTACHMENT_BYTES_MAX} bytes")
_TOO_MUCH: Final = Refusal("civic-busy", "too many files come from here at once; try again in a while")
_UNSIGNED: Final = Refusal("attachment-signature", "what is put is not signed by the key that its name is")
_SLOW: Final = Refusal("civic-busy", f"the file did not come within {ATTACHMENT_S:g} seconds")


class _TooMuch(Exception):
    """More comes from one address than may."""


class _Unsigned(Exception):
    """It is not what the owner of the name signed for."""


class _Parts(Response):
    """A body that is read while it is sent; what cannot be read on breaks off, so that nobody takes it for whole."""

    def __init__(self, parts: AsyncGenerator[bytes, None], headers: Mapping[str, str]) -> None:
        super().__init__(headers=dict(headers), media_type="application/octet-stream")
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        try:
            async with aclosing(self._parts) as parts:
                async for part in parts:
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        except StorageFailed as error:
            log.error("an attachment cannot be read: %s", error, extra={"reason": error.reason})
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def attachment_routes(executor: Executor, desk: CivicDesk, doors: Doors) -> list[Route]:
    """The routes over one node."""
    coming = trio.CapacityLimiter(ATTACHMENTS_COMING_MAX)

    async def put(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if not doors.may_attach(address, now().boot_s):
            return refused(_TOO_MUCH)
        where = _where(request, executor, desk)
        if isinstance(where, Response):
            return where
        if int(request.headers.get("content-length") or 0) > ATTACHMENT_BYTES_MAX:
            return refused(_TOO_LONG)
        if not _SIGNATURE.fullmatch(request.headers.get(ATTACHMENT_HEADER, "")):
            return refused(_UNSIGNED)
        try:
            coming.acquire_on_behalf_of_nowait(request)
        except trio.WouldBlock:
            return refused(Refusal("civic-busy", "too many files are coming in; try again in a moment"))
        try:
            return await _taken(request, where, address)
        finally:
            coming.release_on_behalf_of(request)

    async def _taken(request: Request, attachments: AttachmentKeeper, address: str) -> Response:
        stream, name = request.path_params["stream"], bytes.fromhex(request.path_params["name"])
        sig = bytes.fromhex(request.headers[ATTACHMENT_HEADER])
        minute, came, hashed = now().wall_ms // 60_000, 0, hashlib.sha256()

        async def parts() -> AsyncGenerator[bytes, None]:
            nonlocal came
            async with aclosing(request.stream()) as body:
                async for part in body:
                    came += len(part)
                    if not doors.may_carry(address, len(part), now().boot_s):
                        raise _TooMuch
                    hashed.update(part)
                    yield part
            if not is_put_by(name, stream, hashed.digest(), sig):
                raise _Unsigned

        refusal: Refusal | None = _SLOW
        try:
            with trio.move_on_after(ATTACHMENT_S):
                async with aclosing(parts()) as body:
                    refusal = await attachments.put(doors.whose(address), name, body, minute)
        except TooLong:
            refusal = _TOO_LONG
        except _TooMuch:
            refusal = _TOO_MUCH
        except _Unsigned:
            refusal = _UNSIGNED
        except ClientDisconnect:  # gone, or silent for as long as the server waits
            refusal = _SLOW
        except StorageFailed as error:
            refusal = Refusal("civic-down", f"the file cannot be kept just now: {error.reason}")
        if refusal is not None:
            return refused(refusal)
        told = {"name": name.hex(), "bytes": came, "until": minute + ATTACHMENT_DAYS * 1_440}
        return JSONResponse(told, headers=OPEN | {"Cache-Control": "no-store"})

    async def fetch(request: Request) -> Response:
        where = _where(request, executor, desk)
        if isinstance(where, Response):
            return where
        stream, name = request.path_params["stream"], bytes.fromhex(request.path_params["name"])
        try:
            held = (await where.store.held(stream, [name])).get(name)
            if held is None:
                return missing("There is no such attachment.")
            parts = await where.store.parts(stream, name)
        except StorageFailed as error:
            return refused(Refusal("civic-down", f"this cannot be read just now: {error.reason}"))
        headers = OPEN | {
            "Content-Length": str(held.size),
            "Cache-Control": "private, no-store",
            "Content-Disposition": "attachment",
        }
        return _Parts(parts, headers)

    async def preflight(request: Request) -> Response:
        return Response(status_code=204, headers=_PREFLIGHT)

    return [
        Route(PATH, put, methods=["PUT"]),
        Route(PATH, fetch, methods=["GET"]),
        Route(PATH, preflight, methods=["OPTIONS"]),
    ]


def _where(request: Request, executor: Executor, desk: CivicDesk) -> AttachmentKeeper | Response:
    """Who keeps them, or the answer that says where it is, or why this is nowhere."""
    stream, name = request.path_params["stream"], request.path_params["name"]
    if not _NAME.fullmatch(name):
        return refused(Refusal("attachment-name", "an attachment is named by 64 hex digits"))
    city = executor.node.city_map
    holding = city.streams.get(stream)
    if holding is None:
        return refused(Refusal("civic-stream", "this city has no such log"))
    holder = city.member(holding.holder) if holding.holder else None
    if holder is not None and holder.who != executor.node.who:
        url = f"{holder.web_url}/civic/attachment/{stream}/{name}"
        return RedirectResponse(url, status_code=307, headers=OPEN | {"Cache-Control": "no-store"})
    attachments = desk.attachments(stream) if holder is not None else None
    return attachments or refused(
        Refusal("civic-down", "nobody holds this log just now; try again in a moment")
    )
