"""What was taken back, over HTTP: whoever has a signed notice brings it in at any node.

`POST /api/v1/notices`: the body is one packed notice (`p2pworld.revocation`), as bytes or as base64url text. It proves
itself. It is answered when it is on this node's disk and on its way to all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import NOTICE_BYTES_MAX
from p2pworld.revocation import notice_end_ms, notice_id
from shard_node.web.moderation import packed

if TYPE_CHECKING:
    from starlette.requests import Request

    from shard_node.execute import Executor

__all__ = ["membership_routes"]

BODY_BYTES_MAX: Final = NOTICE_BYTES_MAX * 4 // 3 + 8  # the same in base64
DURABLE_S: Final = 5.0  # so long the answer waits for the disk


def membership_routes(executor: Executor) -> list[Route]:
    """The routes over one node."""

    async def notices(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > BODY_BYTES_MAX:
                return _error(413, "too_large", "A notice is at most 4 KiB.")
        try:
            data = packed(body)
        except RemoteError as error:
            return _error(400, error.reason, str(error))
        taken = executor.take_back(data)
        if isinstance(taken, Refusal):
            return _error(400 if taken.reason == "malformed" else 403, taken.reason, taken.sentence)
        with trio.move_on_after(DURABLE_S):
            await executor.until_written()
        durable = executor.ask_node(lambda node, now: node.has_notice(taken))
        answer = {
            "id": notice_id(taken).hex(),
            "ends_ms": notice_end_ms(taken),
            "durable": "disk" if durable else "",
        }
        return JSONResponse(answer, status_code=200 if durable else 202)

    return [Route("/api/v1/notices", notices, methods=["POST"])]


def _error(status: int, code: str, sentence: str) -> JSONResponse:
    return JSONResponse({"error": code, "sentence": sentence}, status_code=status)
