"""Runs a witness until a signal ends it."""

from __future__ import annotations

import logging
import signal
import socket
from typing import TYPE_CHECKING

import trio

from p2pworld.civic.witness import Witness
from shard_node.errors import ConfigError
from shard_node.web.serve import serve_web
from shard_node.witness.app import WitnessDesk, witness_app
from shard_node.witness.memory import MemoryFailed, WitnessMemory
from shard_node.witness.settings import load_signers

if TYPE_CHECKING:
    from collections.abc import Callable

    from shard_node.witness.settings import WitnessConfig

__all__ = ["listen_at", "serve_witness"]

log = logging.getLogger(__name__)


def listen_at(config: WitnessConfig) -> socket.socket:
    """The bound socket.

    Raises ConfigError.
    """
    family = socket.AF_INET6 if ":" in config.listen.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.listen.host, config.listen.port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"witness.listen {config.listen} cannot be used: {error.strerror}.") from None
    return listener


async def serve_witness(config: WitnessConfig, on_ready: Callable[[str], None]) -> None:
    """Answers logs until SIGTERM or SIGINT; `on_ready` is told the address.

    Raises ConfigError: key or memory cannot be used.
    """
    signers = load_signers(config.key_file)
    try:
        memory = WitnessMemory(config.data_dir)
    except MemoryFailed as error:
        raise ConfigError(f"witness.data_dir cannot be used: {error}") from None
    try:
        desk = WitnessDesk(Witness(signers, config.logs), memory, config.data_dir)
        listener = listen_at(config)
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
                await nursery.start(serve_web, witness_app(desk), listener, stop)
                host, port = listener.getsockname()[:2]
                on_ready(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
                async for number in signals:
                    log.info("ending", extra={"signal": signal.Signals(number).name})
                    break
            stop.set()
    finally:
        memory.close()
