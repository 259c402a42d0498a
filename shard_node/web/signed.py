"""What proves itself, taken in over HTTP: orders and notices, answered when they are on this node's disk."""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING, Any, Final

import trio
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse

from p2pworld.errors import Refusal, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from shard_node.execute import Executor

__all__ = ["error", "packed", "read_packed", "refused", "when_kept"]

DURABLE_S: Final = 5.0  # so long the answer waits for the disk
_TEXT: Final = re.compile(rb"[A-Za-z0-9_-]+={0,2}\s*")


async def read_packed(request: Request, bytes_max: int, too_large: str) -> bytes | JSONResponse:
    """The bytes of a body of at most `bytes_max`, or the same in base64url; or the answer that refuses it."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > bytes_max * 4 // 3 + 8:
                return error(413, "too_large", too_large)
    except ClientDisconnect:  # gone, or silent for as long as the server waits
        return error(408, "timeout", "The request did not come.")
    try:
        return packed(body)
    except RemoteError as fault:
        return error(400, fault.reason, str(fault))


def refused(why: Refusal) -> JSONResponse:
    """The answer to what was not taken."""
    return error(400 if why.reason == "malformed" else 403, why.reason, why.sentence)


async def when_kept(executor: Executor, is_kept: Callable[[], bool], told: dict[str, Any]) -> JSONResponse:
    """The answer to what was taken: `told`, and whether it is on this node's disk by now: 200, else 202."""
    with trio.move_on_after(DURABLE_S):
        await executor.until_written()
    durable = is_kept()
    return JSONResponse(told | {"durable": "disk" if durable else ""}, status_code=200 if durable else 202)


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


def error(status: int, code: str, sentence: str) -> JSONResponse:
    """A refusal, as programs and people read it."""
    return JSONResponse({"error": code, "sentence": sentence}, status_code=status)
