"""The page as a node serves it: the files that the build left, read once, each with its type, tag and packed form.

What lies in `assets` has the hash of its content in its name and never changes; all else is asked for again and costs
a 304. Where nothing was built, `/` says how to build it. Every answer of the web face carries `HEADERS`: nothing from
anywhere else, no script or style that is not a file of ours, in nobody's frame.
"""

from __future__ import annotations

import hashlib
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from starlette.responses import Response
from starlette.routing import Route

from shard_node.web.packing import takes_gzip

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["BUILT", "HEADERS", "POLICY", "Guard", "page_routes"]

BUILT: Final = Path(__file__).resolve().parents[2] / "client" / "web" / "dist"
PACKED: Final = ".gz"
ASSETS: Final = "assets"

# Nodes come and go while a page is open, at addresses of their own: sockets may go to any node.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "manifest-src 'self'",
        "connect-src 'self' ws: wss:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_RAW_HEADERS: Final = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]

NOT_BUILT: Final = b"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>p2pworld</title>
<h1>The page is not built</h1>
<p>This node runs, and clients can play on it. For the page, stop it and run <code>python3 run.py setup</code>,
which says what is missing; then start it again.</p>
</html>
"""


class Guard:
    """Puts HEADERS on every answer; one that has a header of that name keeps its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", [])}
                message["headers"] = [
                    *message.get("headers", []),
                    *(header for header in _RAW_HEADERS if header[0] not in own),
                ]
            await send(message)

        await self._app(scope, receive, send_guarded)


@dataclass(frozen=True, slots=True)
class _File:
    """One file: as it is, packed by gzip (empty: not smaller), its type, its tag, how long it may be kept."""

    body: bytes
    packed: bytes
    media_type: str
    tag: str
    cache: str

    async def answer(self, request: Request) -> Response:
        """The file, packed if the asker takes that, or 304 if it has it."""
        headers = {"ETag": self.tag, "Cache-Control": self.cache, "Vary": "Accept-Encoding"}
        if self.tag in (tag.strip() for tag in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=headers)
        if self.packed and takes_gzip(request):
            headers["Content-Encoding"] = "gzip"
            return Response(self.packed, media_type=self.media_type, headers=headers)
        return Response(self.body, media_type=self.media_type, headers=headers)


def page_routes(folder: Path = BUILT) -> list[Route]:
    """A route for each file of the built page in `folder`, and `/` for its `index.html`."""
    if not (folder / "index.html").is_file():
        return [Route("/", _not_built)]
    routes = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.suffix == PACKED or path.name.startswith(".") or not path.is_file():
            continue
        routes.append(Route(f"/{name.as_posix()}", _answer(_read(path, name.parts[0] == ASSETS))))
        if name.as_posix() == "index.html":
            routes.append(Route("/", routes[-1].endpoint))
    return routes


def _read(path: Path, forever: bool) -> _File:
    body, beside = path.read_bytes(), path.with_name(path.name + PACKED)
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return _File(
        body,
        beside.read_bytes() if beside.is_file() else b"",
        "text/javascript" if path.suffix == ".js" else kind,
        f'W/"{hashlib.sha256(body).hexdigest()[:32]}"',
        "public, max-age=31536000, immutable" if forever else "no-cache",
    )


def _answer(file: _File) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return await file.answer(request)

    return answer


async def _not_built(request: Request) -> Response:
    return Response(NOT_BUILT, media_type="text/html", headers={"Cache-Control": "no-cache"})
