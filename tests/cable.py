"""A cable that a test can cut: a TCP proxy on this machine that passes nothing on for a while, and closes nothing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["Cable", "laid"]

PIECE_BYTES = 65_536


class Cable:
    """From `port` to another port of this machine."""

    def __init__(self, to_port: int) -> None:
        self.port = 0
        self._to_port = to_port
        self._whole = trio.Event()
        self._whole.set()

    def cut(self) -> None:
        """From now on nothing arrives, in either direction."""
        self._whole = trio.Event()

    def mend(self) -> None:
        """What was sent meanwhile arrives."""
        self._whole.set()

    async def carry(self, near: trio.SocketStream) -> None:
        """One connection, as long as both ends keep it."""
        await self._whole.wait()
        far = await trio.open_tcp_stream("127.0.0.1", self._to_port)
        async with near, far, trio.open_nursery() as nursery:
            nursery.start_soon(self._pass_on, near, far, nursery.cancel_scope)
            nursery.start_soon(self._pass_on, far, near, nursery.cancel_scope)

    async def _pass_on(
        self, source: trio.SocketStream, sink: trio.SocketStream, both: trio.CancelScope
    ) -> None:
        try:
            while data := await source.receive_some(PIECE_BYTES):
                await self._whole.wait()
                await sink.send_all(data)
        except trio.BrokenResourceError:  # one end is gone, and so is the connection
            pass
        both.cancel()


@asynccontextmanager
async def laid(to_port: int) -> AsyncIterator[Cable]:
    """A cable to a port of this machine."""
    cable = Cable(to_port)
    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        cable.port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, cable.carry, [listener])
        yield cable
        nursery.cancel_scope.cancel()
