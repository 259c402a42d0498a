"""Civic logs over HTTP: whoever has a submission brings it in at any node, whoever wants to check a log reads it.

    POST /civic/file                        the bytes of a submission -> its receipt, or why there is none, as JSON
    GET  /civic/streams                     the logs that this node knows of, and where each can be read
    GET  /civic/receipt/<stream>/<index>    the newest receipt of an entry, witnessed if it is
    GET  /log/<stream>/checkpoint, tile/... the log as it is published (C2SP tlog-tiles), for any program

What is filed is passed on to the holder, like what comes by a play socket. What is read is read at the holder: a node
that does not hold the log sends readers there, and shows the folder it has only when it knows of no holder. Everybody
may read, from any page. A tile that is whole never changes; the checkpoint is asked for each time.
"""

from __future__ import annotations

import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

import trio
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from p2pworld.errors import Refusal, RemoteError
from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.tiles import Tile
from p2pworld.services.reasons import SERVICE_REASONS, words_of
from shard_node.civic.folder import CHECKPOINT, WITNESSED
from shard_node.civic.holder import receipts_of
from shard_node.execute import now
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from starlette.requests import Request

    from shard_node.civic.desk import CivicDesk
    from shard_node.civic.folder import PublishedLog
    from shard_node.doors import Doors
    from shard_node.execute import Executor

__all__ = ["OPEN", "civic_routes", "missing", "refused"]

FILE_S: Final = 15.0  # for a body to come: 88 kB at 6 kB/s
AGAIN_S: Final = 1  # told to who should try again
TEXT: Final = "text/plain; charset=utf-8"
OPEN: Final = {"Access-Control-Allow-Origin": "*"}
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_STATUS: Final = {
    "civic-size": 413,
    "civic-stream": 404,
    "civic-read-only": 503,
    "attachment-size": 413,
    "attachment-full": 507,
    "attachment-missing": 409,
}


def civic_routes(executor: Executor, desk: CivicDesk, doors: Doors) -> list[Route]:
    """The routes over one node."""
    reading = trio.CapacityLimiter(1)  # of the city's log: what it announces is read on, by one at a time

    async def file(request: Request) -> Response:
        address = request.client.host if request.client else ""
        if not doors.may_file(address, now().boot_s):
            return refused(
                Refusal("civic-busy", "too much is filed from here at once; try again in a moment")
            )
        body = await _body(request)
        if body is None:
            return refused(Refusal("civic-down", f"this did not come within {FILE_S:g} seconds"))
        answer = await desk.file(body)
        if answer.refusal is not None:
            return refused(answer.refusal)
        return Response(answer.receipt, media_type=TEXT, headers=OPEN | {"Cache-Control": "no-store"})

    async def streams(request: Request) -> Response:
        try:
            announced = await trio.to_thread.run_sync(desk.announced, limiter=reading)
        except StorageFailed as error:
            return refused(Refusal("civic-down", f"the city's log cannot be read just now: {error.reason}"))
        told = {"streams": _streams(executor, desk), "announced": announced}
        return JSONResponse(told, headers=OPEN | {"Cache-Control": "no-cache"})

    async def receipt(request: Request) -> Response:
        stream, index = request.path_params["stream"], request.path_params["index"]
        if not _INDEX.fullmatch(index):
            return missing("An entry is named by its number.")
        where = _where(executor, desk, stream, f"/civic/receipt/{stream}/{index}")
        if isinstance(where, Response):
            return where
        try:
            found = await trio.to_thread.run_sync(_receipt, where, int(index))
        except StorageFailed as error:
            return refused(Refusal("civic-down", f"this log cannot be read just now: {error.reason}"))
        if found is None:
            return missing("This log has no such entry yet.")
        return Response(found, media_type=TEXT, headers=OPEN | {"Cache-Control": "no-cache"})

    async def log(request: Request) -> Response:
        stream, path = request.path_params["stream"], request.path_params["path"]
        if not (moves := path in (CHECKPOINT, WITNESSED)):
            try:
                Tile.parse(path)
            except RemoteError:
                return missing("A log has a checkpoint, and tiles.")
        where = _where(executor, desk, stream, f"/log/{stream}/{path}")
        if isinstance(where, Response):
            return where
        try:
            data = await trio.to_thread.run_sync(where.read, path)
        except StorageFailed as error:
            return refused(Refusal("civic-down", f"this log cannot be read just now: {error.reason}"))
        if data is None:
            return missing("This log has no such file yet.")
        if moves:
            return Response(data, media_type=TEXT, headers=OPEN | {"Cache-Control": "no-cache"})
        kept = {"Cache-Control": "public, max-age=31536000, immutable"}
        return Response(data, media_type="application/octet-stream", headers=OPEN | kept)

    return [
        Route("/civic/file", file, methods=["POST"]),
        Route("/civic/streams", streams),
        Route("/civic/receipt/{stream}/{index}", receipt),
        Route("/log/{stream}/{path:path}", log),
    ]


async def _body(request: Request) -> bytes | None:
    """What is filed, of something too long no more than shows it; None if it does not come, or breaks off."""
    body = b""
    try:
        with trio.move_on_after(FILE_S) as waited:
            async with aclosing(request.stream()) as parts:
                async for part in parts:
                    body += part
                    if len(body) > CIVIC_SUBMISSION_BYTES_MAX:
                        break
    except ClientDisconnect:  # gone, or silent for as long as the server waits
        return None
    return None if waited.cancelled_caught else body


def _streams(executor: Executor, desk: CivicDesk) -> list[dict[str, object]]:
    """Every stream of the city map, and those that this node is yet to claim."""
    city = executor.node.city_map
    own = desk.config.streams if desk.config else ()
    return [_stream(executor, desk, name) for name in sorted({*city.streams, *own})]


def _stream(executor: Executor, desk: CivicDesk, name: str) -> dict[str, object]:
    city, config = executor.node.city_map, desk.config
    holding = city.streams.get(name)
    holder = city.member(holding.holder) if holding and holding.holder else None
    told: dict[str, object] = {
        "stream": name,
        "holder": holder.node.hex() if holder else None,
        "epoch": holding.epoch if holding else None,
        "url": f"{holder.web_url}/log/{name}" if holder else None,
        "here": holder is not None and holder.who == executor.node.who,
    }
    if config is not None and name in config.streams:
        offices = [office for office in config.offices if office.stream == name]
        told |= {
            "origin": f"{config.origin}/{name}",
            "key": desk.key_of(name),
            "quorum": config.quorum,
            "witnesses": [witness.key.text for witness in config.witnesses],
            "offices": [{"name": office.name, "key": office.key.hex()} for office in offices],
        }
    return told


def _where(executor: Executor, desk: CivicDesk, stream: str, path: str) -> PublishedLog | Response:
    """The folder to read, or the answer that says where to."""
    city, folder = executor.node.city_map, desk.folder(stream)
    holding = city.streams.get(stream)
    holder = city.member(holding.holder) if holding and holding.holder else None
    if folder is not None and (holder is None or holder.who == executor.node.who):
        return folder
    if holder is not None:
        return RedirectResponse(
            f"{holder.web_url}{path}", status_code=307, headers=OPEN | {"Cache-Control": "no-store"}
        )
    if holding is None:
        return missing("This city has no such log.")
    return refused(Refusal("civic-down", "nobody holds this log just now; try again in a moment"))


def _receipt(folder: PublishedLog, index: int) -> bytes | None:
    """The receipt of an entry under the newest checkpoint that witnesses have signed, or else under the newest."""
    for name in (WITNESSED, CHECKPOINT):
        note = folder.note(name)
        if note is not None and index < Checkpoint.parse(note.text).size:
            (made,) = receipts_of(folder, [(index, note)])
            return made.to_bytes()
    return None


def refused(refusal: Refusal) -> JSONResponse:
    """Why not, with the sentences for the citizen, and whether to ask again."""
    words = words_of(refusal.reason)
    decided = 409 if refusal.reason in SERVICE_REASONS else 400
    status = 503 if words.again else _STATUS.get(refusal.reason, decided)
    told = {
        "reason": refusal.reason,
        "en": words.en,
        "ko": words.ko,
        "retry": words.again,
        "said": refusal.sentence,
    }
    headers = OPEN | ({"Retry-After": str(AGAIN_S)} if words.again else {})
    return JSONResponse(told, status_code=status, headers=headers)


def missing(sentence: str) -> JSONResponse:
    """There is nothing of that name."""
    return JSONResponse({"error": "not_found", "sentence": sentence}, status_code=404, headers=OPEN)
