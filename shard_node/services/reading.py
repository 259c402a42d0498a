"""What is sealed, given to whom it belongs, and whom the holder of a log believed to act for an office.

    POST /civic/sealed/<stream>/<index>   JSON {key, minute, sig, grants?} -> the bytes of what is sealed with the entry
    GET  /civic/officials/<stream>        who has acted for the office, since when, by which grants

Both are the holder's to answer; other nodes send whoever asks there.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import trio
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from p2pworld.civic.transaction import parse_leaf
from p2pworld.errors import Refusal, RemoteError
from p2pworld.services.case_rows import office_in
from p2pworld.services.officials import OFFICIAL, believed_of
from p2pworld.services.reading import Right, about_of, parse_reading, why_not
from shard_node.execute import now
from shard_node.storage.journal import StorageFailed
from shard_node.web.civic import OPEN, refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from p2pworld.civic.transaction import Filing
    from shard_node.civic.store import CivicStore
    from shard_node.services.host import ServiceHost

__all__ = ["reading_routes"]

BODY_BYTES_MAX: Final = 8_192
BODY_S: Final = 5.0
NO_STORE: Final = {"Cache-Control": "no-store"}
_BUSY: Final = Refusal("civic-busy", "too much is asked from here at once; try again in a moment")
_DOWN: Final = Refusal("civic-down", "nobody holds this log just now; try again in a moment")


def reading_routes(host: ServiceHost) -> list[Route]:
    """The routes over one node."""

    async def sealed(request: Request) -> Response:
        stream, index = request.path_params["stream"], request.path_params["index"]
        where = _where(host, stream, f"/civic/sealed/{stream}/{index}")
        if isinstance(where, Response):
            return where
        address = request.client.host if request.client else ""
        if not host.doors.may_file(address, now().boot_s):
            return refused(_BUSY)
        try:
            asked = parse_reading(stream, index, await _body(request))
            right = await _right(host, where, stream, index)
            if right is None:
                return _missing("This log has no such entry.")
            minute, desk = now().wall_ms // 60_000, host.desk
            why = why_not(asked, right, minute, desk.roots, desk.voids)
            if why is not None:
                return refused(why)
            found = await where.sealed(stream, index)
        except RemoteError as error:
            return refused(Refusal("civic-malformed", str(error)))
        except StorageFailed as error:
            return refused(Refusal("civic-down", f"this log cannot be read just now: {error.reason}"))
        if found is None:
            return _missing("Nothing is sealed with this entry, or it has been erased.")
        return Response(found.to_bytes(), media_type="application/octet-stream", headers=OPEN | NO_STORE)

    async def officials(request: Request) -> Response:
        stream = request.path_params["stream"]
        where = _where(host, stream, f"/civic/officials/{stream}")
        if isinstance(where, Response):
            return where
        try:
            rows = await where.kept(stream, OFFICIAL)
        except StorageFailed as error:
            return refused(Refusal("civic-down", f"this log cannot be read just now: {error.reason}"))
        found = [believed_of(*row) for row in rows]
        told = [{"key": o.key.hex(), "minute": o.minute, "grants": o.grants.split()} for o in found]
        return JSONResponse({"stream": stream, "officials": told}, headers=OPEN | NO_STORE)

    return [
        Route("/civic/sealed/{stream}/{index:int}", sealed, methods=["POST"]),
        Route("/civic/officials/{stream}", officials),
    ]


def _where(host: ServiceHost, stream: str, path: str) -> CivicStore | Response:
    """The store to read, or the answer that says where to."""
    store = host.desk.store_of(stream)
    if store is not None:
        return store
    city = host.executor.node.city_map
    holding = city.streams.get(stream)
    if holding is None:
        return _missing("This city has no such log.")
    holder = city.member(holding.holder) if holding.holder else None
    if holder is None or holder.who == host.executor.node.who:
        return refused(_DOWN)
    return RedirectResponse(f"{holder.web_url}{path}", status_code=307, headers=OPEN | NO_STORE)


async def _body(request: Request) -> bytes:
    """What is sent, if it is short and comes soon.

    Raises:
        RemoteError: it is not, or does not.
    """
    body = b""
    try:
        with trio.move_on_after(BODY_S):
            async with aclosing(request.stream()) as parts:
                async for part in parts:
                    body += part
                    if len(body) > BODY_BYTES_MAX:
                        break
                else:
                    return body
    except ClientDisconnect:
        pass
    raise RemoteError("read-malformed", "this is too long, or did not come")


async def _right(host: ServiceHost, store: CivicStore, stream: str, index: int) -> Right | None:
    """Whom an entry belongs to, if there is one."""
    entry = await _filing(store, stream, index)
    if entry is None:
        return None
    case = about_of(entry)
    about = entry if case is None else await _filing(store, stream, case)
    number = index if case is None else case
    body = dict(await store.kept(stream, f"case/{number}", 1)).get(f"case/{number}")
    offices = (stream,) if body is None else tuple(dict.fromkeys((stream, office_in(body))))
    about = about or entry
    return Right(entry, about, host.catalogue.services.get(about.type), offices)


async def _filing(store: CivicStore, stream: str, index: int) -> Filing | None:
    row = await store.row(stream)
    if row is None or not 0 <= index < row.size:
        return None
    return parse_leaf((await store.entries(stream, index, index + 1))[0]).filing


def _missing(sentence: str) -> JSONResponse:
    return JSONResponse({"error": "not_found", "sentence": sentence}, status_code=404, headers=OPEN)
