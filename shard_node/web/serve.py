"""Serves the HTTP face with Hypercorn on Trio, on a socket that is already bound, until told to stop."""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final, cast

import trio
from hypercorn.config import Config, Sockets
from hypercorn.trio.run import worker_serve
from hypercorn.utils import wrap_app

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

    from hypercorn.typing import Framework
    from starlette.applications import Starlette


__all__ = ["serve_alone", "serve_web"]

HEAD_BYTES_MAX: Final = 16_384
KEEP_ALIVE_S: Final = (
    20  # a page that is read and then filled in and sent; 40 kB for each connection that waits
)
# Longer than that: Hypercorn stops reading when a read takes so long, and closes the connection only once it has been
# idle for KEEP_ALIVE_S. What is sent in between nobody reads, and a browser waits until the connection ends.
READ_S: Final = 25
HANDSHAKE_S: Final = 5
GRACE_S: Final = 1.0
BACKLOG: Final = 1_024  # who comes within a third of a second in a rush, while the node is at something else


log = logging.getLogger(__name__)


class _Config(Config):
    """Hypercorn's configuration, with a context of TLS that was made elsewhere."""

    tls: ssl.SSLContext | None = None

    def create_ssl_context(self) -> ssl.SSLContext | None:
        return self.tls


async def serve_web(
    app: Starlette,
    listener: socket.socket,
    stop: trio.Event,
    tls: ssl.SSLContext | None = None,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answers requests until `stop`, then lets those under way end for a second; https with `tls`."""
    listener.listen(BACKLOG)
    config = _Config()
    config.tls = tls
    config.ssl_handshake_timeout = HANDSHAKE_S
    config.accesslog = None
    config.errorlog = logging.getLogger(__name__)
    config.include_server_header = False
    config.h11_max_incomplete_size = HEAD_BYTES_MAX
    config.keep_alive_timeout = KEEP_ALIVE_S
    config.read_timeout = READ_S
    config.graceful_timeout = GRACE_S
    await worker_serve(
        wrap_app(cast("Framework", app), config.wsgi_max_body_size, "asgi"),
        config,
        sockets=Sockets([listener], [], []) if tls else Sockets([], [listener], []),
        shutdown_trigger=stop.wait,
        task_status=task_status,
    )


async def serve_alone(app: Starlette, listener: socket.socket, on_ready: Callable[[str], None]) -> None:
    """What a server that is no node does: answers until SIGTERM or SIGINT; `on_ready` is told the address."""
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            await nursery.start(serve_web, app, listener, stop)
            host, port = listener.getsockname()[:2]
            on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
            async for number in signals:
                log.info("ending", extra={"signal": signal.Signals(number).name})
                break
        stop.set()
