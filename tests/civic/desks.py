"""Witnesses over HTTP for tests, in this process: the real decisions and memory behind a few lines of h11."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import h11
import trio

from p2pworld.civic.witness import Witness, checkpoint_path
from shard_node.witness.app import WitnessDesk
from shard_node.witness.memory import WitnessMemory
from tests.merkle.signed import LOG, ORIGIN, TIME_S, WITNESSES

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator
    from pathlib import Path

    from p2pworld.merkle.note import NoteSigner

__all__ = ["Said", "Talk", "desk", "speaking"]

Said = tuple[int, str, bytes]  # status, content type, body
Talk = Callable[[str, str, bytes], Awaitable[Said]]  # of method, path and body
_TEXT = "text/plain; charset=utf-8"


@asynccontextmanager
async def speaking(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """The address of a server that answers so, one request a connection."""

    async def serve(stream: trio.abc.Stream) -> None:
        try:
            async with stream:
                await _answer(stream, talk)
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            pass  # whoever asked has gone

    async with trio.open_nursery() as nursery:
        [plain] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = plain.socket.getsockname()[1]
        listener = trio.SSLListener(plain, tls, https_compatible=True) if tls else plain
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        nursery.cancel_scope.cancel()


async def _answer(stream: trio.abc.Stream, talk: Talk) -> None:
    http = h11.Connection(h11.SERVER)
    request: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            http.receive_data(bytes(await stream.receive_some(65_536)))
        elif isinstance(event, h11.Request):
            request = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        else:
            break
    if request is None:
        return
    status, kind, said = await talk(request.method.decode(), request.target.decode(), body)
    head = [("Content-Type", kind), ("Content-Length", str(len(said)))]
    if status == 307:  # the body says where to
        head.append(("Location", said.decode()))
    events = (h11.Response(status_code=status, headers=head), h11.Data(data=said), h11.EndOfMessage())
    await stream.send_all(b"".join(http.send(event) or b"" for event in events))


def desk(folder: Path, signer: NoteSigner = WITNESSES[0], log: NoteSigner = LOG) -> Talk:
    """A witness of the log, with its memory in `folder`, begun there if nothing is."""
    if not folder.exists():
        WitnessMemory.begin(folder)
    memory = WitnessMemory(folder)
    real = WitnessDesk(Witness([signer], {ORIGIN: [log.key]}), memory, folder, lambda: TIME_S)

    async def talk(method: str, path: str, body: bytes) -> Said:
        if (method, path) == ("POST", "/add-checkpoint"):
            answer = await trio.to_thread.run_sync(real.add_checkpoint, body)
            return answer.status, answer.content_type, answer.body
        if path == checkpoint_path(ORIGIN):
            shown = await trio.to_thread.run_sync(real.checkpoint, path.rpartition("/")[2])
            return (200, _TEXT, shown) if shown else (404, _TEXT, b"nothing\n")
        return 404, _TEXT, b"no such page\n"

    return talk
