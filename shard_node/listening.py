"""Sockets that listen where a configuration says, or one sentence that says which of its keys is to be changed."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Final

from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable

    from shard_node.config import Address

__all__ = ["listen", "listen_at"]

_BACKLOG: Final = 128


def listen(host: str, port: int, backlog: int = _BACKLOG) -> socket.socket:
    """A non-blocking socket that listens there; the empty host is every address of this machine.

    Raises OSError.
    """
    family = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
    listener = socket.create_server((host, port), family=family, backlog=backlog)
    listener.setblocking(False)
    return listener


def listen_at(
    address: Address, key: str, opened: Callable[[str, int], socket.socket] = listen
) -> socket.socket:
    """The socket that `opened` makes at this address, which `key` of a configuration names.

    Raises ConfigError.
    """
    try:
        return opened(address.host, address.port)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error.strerror or error)
        raise ConfigError(
            f"{key} is {address}, where this process cannot listen ({why}): "
            "stop what else listens there or choose another."
        ) from None
