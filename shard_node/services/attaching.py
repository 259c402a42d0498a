"""Brings files to the node that holds a log, before what names them is filed there: one after the other, locked.

What no filing names is thrown away there after a day, so nothing has to be taken back when the filing is refused.
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.civic.attached import ATTACHMENT_HEADER
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import UPLOAD_S
from p2pworld.services.replies import Told, told
from p2pworld.services.sealed_files import sealed_file
from shard_node.http_client import LOST, fetch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shard_node.execute import Executor

__all__ = ["Attaching"]

ANSWER_BYTES_MAX: Final = 65_536
_BINARY: Final = (b"content-type", b"application/octet-stream")
_NO_STORE: Final = (404, 405, 501)  # a holder that has no place for files

log = logging.getLogger(__name__)


class Attaching:
    """The way to the holders of one city's logs, this node perhaps among them."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._tls: ssl.SSLContext | None = None

    async def bring(self, stream: str, blob_key: bytes, files: Iterable[bytes]) -> Told | None:
        """Why the stream's holder has not all of these files now, or None: it has."""
        city = self._executor.node.city_map
        holding = city.streams.get(stream)
        holder = city.member(holding.holder) if holding and holding.holder else None
        if holder is None:
            return told("busy")
        self._tls = self._tls or ssl.create_default_context()
        for file in files:
            name, sig, locked = await trio.to_thread.run_sync(sealed_file, stream, blob_key, file)
            url = f"{holder.web_url}/civic/attachment/{stream}/{name.hex()}"
            headers = [_BINARY, (ATTACHMENT_HEADER.encode(), sig.hex().encode())]
            try:
                with trio.fail_after(UPLOAD_S):
                    answer = await fetch(url, self._tls, "PUT", locked, headers, bytes_max=ANSWER_BYTES_MAX)
            except (*LOST, RemoteError, LocalError) as error:
                log.warning("a file cannot be brought to the holder of %s: %s", stream, error)
                return told("busy")
            if answer.status != 200:
                log.warning("the holder of %s takes no file: %d", stream, answer.status)
                return told("files-not-here" if answer.status in _NO_STORE else "busy")
        return None
