"""How the interfaces of services answer: JSON in UTF-8, and each refusal with its code and a sentence in two languages.

    {"error": "too-large", "reason": "too-large", "sentence": "...", "ko": "...", "en": "...", "retry": false,
     "faults": [...]}

`sentence` is in the language that was asked for: by `lang`, or else by what the browser prefers, or else Korean.
`faults` are the fields of a form that are wrong, each with the same words. A refusal that leaves a body unread says so
at once, and takes in a little more of it, because a sender that is cut off while it sends never reads what it was told.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Any, Final

import trio
from starlette.responses import Response

from p2pworld.services.reasons import FIELD_REASONS, SERVICE_REASONS
from p2pworld.services.replies import Told, told
from shard_node.web.spark import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

__all__ = [
    "LANGUAGES",
    "Json",
    "Unread",
    "cut_off",
    "declined",
    "fault_document",
    "idempotency_key_of",
    "language_of",
    "status_of",
]

LANGUAGES: Final = ("ko", "en", "ja", "zh")
_KEY: Final = re.compile(r"[!-~]{16,200}")
AGAIN_S: Final = 1  # told to who should try again
LINGER_S: Final = 2.0
LINGER_BYTES_MAX: Final = 8 << 20
_STATUS: Final[Mapping[str, int]] = {
    "malformed": 400,
    "not-found": 404,
    "method-not-allowed": 405,
    "service-unknown": 404,
    "case-unknown": 404,
    "too-slow": 408,
    "too-large": 413,
    "file-too-large": 413,
    "sealed-too-long": 413,
    "files-none": 415,
    "file-type": 415,
    "file-broken": 415,
    "gateway-not-here": 403,
    "gateway-none": 403,
    "forbidden": 403,
    "idempotency-reused": 422,
    "filing-lapsed": 409,
}


class Unread(Exception):
    """What came was not all taken in, and why."""

    def __init__(self, said: Told) -> None:
        super().__init__(said.en)
        self.said = said


class Json(Response):
    """A document as JSON; any text can be written, so what is no Unicode shows as question marks."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The document in UTF-8."""
        return to_json(content)


class _Cut(Response):
    """An answer that is given before all of the body has come."""

    def __init__(self, answer: Response) -> None:
        super().__init__(status_code=answer.status_code)
        self.body, self.raw_headers = answer.body, [*answer.raw_headers, (b"connection", b"close")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, then takes in a little more of what is sent, so that the answer is read."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        left = LINGER_BYTES_MAX
        with trio.move_on_after(LINGER_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b""))
                if message["type"] != "http.request" or not message.get("more_body"):
                    break
        await send({"type": "http.response.body", "body": b""})


def cut_off(answer: Response) -> Response:
    """The same answer, for a body that was not all taken in."""
    return _Cut(answer)


def language_of(request: Request, asked: object = None) -> str:
    """The language of the answer: `asked`, the query's `lang`, what the browser prefers, or Korean."""
    for wanted in (asked, request.query_params.get("lang")):
        if wanted in LANGUAGES:
            return str(wanted)
    accepted = request.headers.get("accept-language", "")[:200]
    for part in accepted.split(","):
        name = part.partition(";")[0].strip().lower().partition("-")[0]
        if name in LANGUAGES:
            return name
    return "ko"


def status_of(said: Told) -> int:
    """The HTTP status of a refusal."""
    if said.reason in _STATUS:
        return _STATUS[said.reason]
    if said.again:
        return 503
    if said.reason in FIELD_REASONS:
        return 422
    return 409 if said.reason in SERVICE_REASONS else 400


def fault_document(said: Told, language: str) -> dict[str, Any]:
    """One thing that is wrong."""
    return {
        "field": said.field or None,
        "reason": said.reason,
        "sentence": said.sentence(language),
        "ko": said.ko,
        "en": said.en,
    }


def declined(
    wrong: Sequence[Told], language: str, *, unread: bool = False, headers: Mapping[str, str] | None = None
) -> Response:
    """The answer that says what is wrong, the first thing first; `unread`: not all of the body was taken in."""
    first = wrong[0]
    told = fault_document(first, language)
    del told["field"]
    told |= {
        "error": first.reason,
        "retry": first.again,
        "faults": [fault_document(one, language) for one in wrong if one.field],
    }
    again = {"Retry-After": str(AGAIN_S)} if first.again else {}
    headers = {"Cache-Control": "no-store"} | again | dict(headers or {})
    answer = Json(told, status_code=status_of(first), headers=headers)
    return cut_off(answer) if unread else answer


def idempotency_key_of(given: str) -> str:
    """The key that was sent, or a new one if none was.

    Raises:
        Unread: it is too short to be nobody else's, or too long.
    """
    key = given.strip().strip('"')  # as the header's draft writes it, or bare
    if not key:
        return secrets.token_urlsafe(24)
    if not _KEY.fullmatch(key):
        raise Unread(told("idempotency-key"))
    return key
