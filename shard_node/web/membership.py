"""What was taken back, over HTTP: whoever has a signed notice brings it in at any node.

`POST /api/v1/notices`: the body is one packed notice (`p2pworld.revocation`), as bytes or as base64url text. It proves
itself. It is answered when it is on this node's disk and on its way to all others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from p2pworld.errors import Refusal
from p2pworld.limits import NOTICE_BYTES_MAX
from p2pworld.revocation import notice_end_ms, notice_id
from shard_node.web.signed import read_packed, refused, when_kept

if TYPE_CHECKING:
    from starlette.requests import Request

    from shard_node.execute import Executor

__all__ = ["membership_routes"]


def membership_routes(executor: Executor) -> list[Route]:
    """The routes over one node."""

    async def notices(request: Request) -> Response:
        data = await read_packed(request, NOTICE_BYTES_MAX, "A notice is at most 4 KiB.")
        if isinstance(data, Response):
            return data
        taken = executor.take_back(data)
        if isinstance(taken, Refusal):
            return refused(taken)
        told = {"id": notice_id(taken).hex(), "ends_ms": notice_end_ms(taken)}
        return await when_kept(
            executor, lambda: executor.ask_node(lambda node, now: node.has_notice(taken)), told
        )

    return [Route("/api/v1/notices", notices, methods=["POST"])]
