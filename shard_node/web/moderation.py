"""Moderators over HTTP: orders go in, reports come out, both signed by the moderator's own key. There is no session.

`POST /api/v1/moderation/orders`: the body is one packed order, as bytes or as base64url text. It is answered when it is
on this node's disk and on its way to all others. `GET /api/v1/moderation/reports`: what was reported at this node, for
who shows a signed request in `Authorization: P2PWORLD <base64url>`; each is good once, at one node, for a minute.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Final

import trio
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import SANCTION_BYTES_MAX
from p2pworld.world.moderation import Filed, ends_ms, read_asking, sanction_id

if TYPE_CHECKING:
    from starlette.requests import Request

    from shard_node.execute import Executor

__all__ = ["SCHEME", "moderation_routes", "packed"]

SCHEME: Final = "P2PWORLD"
BODY_BYTES_MAX: Final = SANCTION_BYTES_MAX * 4 // 3 + 8  # the same in base64
DURABLE_S: Final = 5.0  # so long the answer waits for the disk
_TEXT: Final = re.compile(rb"[A-Za-z0-9_-]+={0,2}\s*")


def moderation_routes(executor: Executor) -> list[Route]:
    """The routes over one node."""

    async def orders(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                return _error(413, "too_large", "An order is at most 16 KiB.")
        try:
            data = packed(body)
        except RemoteError as error:
            return _error(400, error.reason, str(error))
        taken = executor.ask_node(lambda node, now: node.order(data, now))
        if isinstance(taken, Refusal):
            return _error(400 if taken.reason == "malformed" else 403, taken.reason, taken.sentence)
        with trio.move_on_after(DURABLE_S):
            await executor.until_written()
        durable = executor.ask_node(lambda node, now: node.is_kept(taken))
        answer = {
            "id": sanction_id(taken).hex(),
            "action": taken.action,
            "ends_ms": ends_ms(taken),
            "durable": "disk" if durable else "",
        }
        return JSONResponse(answer, status_code=200 if durable else 202)

    async def reports(request: Request) -> Response:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme != SCHEME:
            return _error(401, "unsigned", "Show a moderator's signed request.")
        try:
            asking = read_asking(packed(text.encode()))
        except RemoteError as error:
            return _error(400, error.reason, str(error))
        shown = executor.ask_node(lambda node, now: node.reports(asking, now))
        if isinstance(shown, Refusal):
            return _error(403, shown.reason, shown.sentence)
        answer = {"reports": [_report(name, filed) for name, filed in shown]}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return [
        Route("/api/v1/moderation/orders", orders, methods=["POST"]),
        Route("/api/v1/moderation/reports", reports, methods=["GET"]),
    ]


def packed(body: bytes) -> bytes:
    """The bytes of a body that may be base64url text: packed values begin with a byte that is no such letter.

    Raises:
        RemoteError: it looks like base64 and is not.
    """
    if not _TEXT.fullmatch(body):
        return body
    text = body.strip().rstrip(b"=")
    try:
        return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error:
        raise RemoteError("malformed", "This is not base64url text.") from None


def _report(name: bytes, filed: Filed) -> dict[str, object]:
    said = filed.said
    return {
        "id": name.hex(),
        "at_ms": filed.at_ms,
        "by": filed.by,
        "why": filed.why,
        "said": {
            "avatar": said.id,
            "key": said.key.hex(),
            "name": said.name,
            "kind": said.kind,
            "channel": said.channel,
            "text": said.text,
            "ms": said.ms,
            "east_cm": said.east_cm,
            "north_cm": said.north_cm,
            "sig": said.sig.hex(),
        },
    }


def _error(status: int, code: str, sentence: str) -> JSONResponse:
    return JSONResponse({"error": code, "sentence": sentence}, status_code=status)
