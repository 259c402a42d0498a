"""Moderators over HTTP: orders go in, reports come out, both signed by the moderator's own key. There is no session.

`POST /api/v1/moderation/orders`: the body is one packed order, as bytes or as base64url text. It is answered when it is
on this node's disk and on its way to all others. `GET /api/v1/moderation/reports`: what was reported at this node, for
who shows a signed request in `Authorization: P2PWORLD <base64url>`; each is good once, at one node, for a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import SANCTION_BYTES_MAX
from p2pworld.world.moderation import Filed, ends_ms, read_asking, sanction_id
from shard_node.web.signed import error, packed, read_packed, refused, when_kept

if TYPE_CHECKING:
    from starlette.requests import Request

    from shard_node.execute import Executor

__all__ = ["SCHEME", "moderation_routes"]

SCHEME: Final = "P2PWORLD"


def moderation_routes(executor: Executor) -> list[Route]:
    """The routes over one node."""

    async def orders(request: Request) -> Response:
        data = await read_packed(request, SANCTION_BYTES_MAX, "An order is at most 16 KiB.")
        if isinstance(data, Response):
            return data
        taken = executor.ask_node(lambda node, now: node.order(data, now))
        if isinstance(taken, Refusal):
            return refused(taken)
        told = {"id": sanction_id(taken).hex(), "action": taken.action, "ends_ms": ends_ms(taken)}
        return await when_kept(
            executor, lambda: executor.ask_node(lambda node, now: node.is_kept(taken)), told
        )

    async def reports(request: Request) -> Response:
        scheme, _, text = request.headers.get("authorization", "").partition(" ")
        if scheme != SCHEME:
            return error(401, "unsigned", "Show a moderator's signed request.")
        try:
            asking = read_asking(packed(text.encode()))
        except RemoteError as fault:
            return error(400, fault.reason, str(fault))
        shown = executor.ask_node(lambda node, now: node.reports(asking, now))
        if isinstance(shown, Refusal):
            return error(403, shown.reason, shown.sentence)
        answer = {"reports": [_report(name, filed) for name, filed in shown]}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return [
        Route("/api/v1/moderation/orders", orders, methods=["POST"]),
        Route("/api/v1/moderation/reports", reports, methods=["GET"]),
    ]


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
