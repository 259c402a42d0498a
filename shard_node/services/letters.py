"""What an office wrote to somebody who filed by a gateway, fetched from the log's holder and opened for them.

The holder gives what is sealed to whoever signs with the filing's key; the leaf it belongs to is read in the published
log, and a letter is shown only if the person named in it signed just this.
"""

from __future__ import annotations

import logging
import ssl
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.civic.transaction import open_sealed, parse_leaf, parse_sealed
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_SUBMISSION_BYTES_MAX
from p2pworld.merkle.checkpoint import Checkpoint
from p2pworld.merkle.note import parse_note
from p2pworld.merkle.tiles import TILE_WIDTH
from p2pworld.services.reading import ask_to_read
from shard_node.civic.folder import CHECKPOINT
from shard_node.http_client import LOST, fetch
from shard_node.services.follow import read_bundle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.crypto.keys import Signer
    from shard_node.execute import Executor

__all__ = ["Letters"]

ASK_S: Final = 10.0

log = logging.getLogger(__name__)


class Letters:
    """The way to what the holders of one city's logs have sealed."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._tls: ssl.SSLContext | None = None

    async def read(
        self, stream: str, entry: int, reader: Signer, secret: bytes, minute: int
    ) -> Mapping[str, str] | None:
        """The fields of the letter with this entry, opened with `secret`, for who signs as `reader`; None if it cannot
        be had or opened now, which is logged."""
        city = self._executor.node.city_map
        holding = city.streams.get(stream)
        holder = city.member(holding.holder) if holding and holding.holder else None
        if holder is None:
            return None
        self._tls = self._tls or ssl.create_default_context()
        asked = ask_to_read(reader, stream, entry, minute)
        try:
            with trio.fail_after(ASK_S):
                answer = await fetch(
                    f"{holder.web_url}/civic/sealed/{stream}/{entry}",
                    self._tls,
                    "POST",
                    asked.to_json(),
                    bytes_max=CIVIC_SUBMISSION_BYTES_MAX,
                )
                if answer.status != 200:
                    return None  # erased meanwhile, perhaps
                get = partial(self._get, f"{holder.web_url}/log/{stream}")
                note = await get(CHECKPOINT, CIVIC_SUBMISSION_BYTES_MAX)
                if note is None:
                    return None
                size = Checkpoint.parse(parse_note(note).text).size
                number, at = divmod(entry, TILE_WIDTH)
                leaf = parse_leaf((await read_bundle(get, number, size))[at])
            private = open_sealed(leaf.filing, parse_sealed(answer.body), secret)
        except (*LOST, RemoteError, LocalError, IndexError) as error:
            log.warning("a letter of %s cannot be read: %s", stream, error)
            return None
        return {field.name: field.value for field in private.fields}

    async def _get(self, base: str, path: str, bytes_max: int) -> bytes | None:
        assert self._tls is not None
        answer = await fetch(f"{base}/{path}", self._tls, bytes_max=bytes_max)
        return answer.body if answer.status == 200 else None
