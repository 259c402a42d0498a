"""For whom what is filed to a stream is sealed: the sealing keys of its office, found as near as they are known.

A node that may hold the stream has them in its configuration; one that publishes the city's log has what was announced
there; all others ask the holder, which is a node of this city (`GET /civic/streams`), and remember it for a minute.
"""

from __future__ import annotations

import json
import logging
import ssl
from typing import TYPE_CHECKING, Any, Final

import trio

from p2pworld.civic.announce import CITY
from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import CIVIC_STREAMS_PER_NODE
from shard_node.http_client import LOST, fetch
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shard_node.civic.desk import CivicDesk
    from shard_node.execute import Executor

__all__ = ["OfficeKeys"]

ASK_S: Final = 5.0
KEPT_S: Final = 60.0
ANSWER_BYTES_MAX: Final = CIVIC_STREAMS_PER_NODE * 65_536  # histories of keys are in it
_OFFICES_MAX: Final = 8  # what is sealed has room for so many

log = logging.getLogger(__name__)


class OfficeKeys:
    """The sealing keys of the offices of one city, as one node knows them."""

    def __init__(self, executor: Executor, desk: CivicDesk) -> None:
        self._executor, self._desk = executor, desk
        self._reading = trio.CapacityLimiter(
            1
        )  # of the city's log: what it announces is read on, by one at a time
        self._asked: dict[str, tuple[float, tuple[bytes, ...]]] = {}
        self._tls: ssl.SSLContext | None = None

    async def of(self, stream: str) -> tuple[bytes, ...]:
        """The keys for this stream; none if nobody who can be reached knows any."""
        config = self._desk.config
        own = [office.key for office in config.offices if office.stream == stream] if config else []
        if own:
            return tuple(own[:_OFFICES_MAX])
        return await self._announced(stream) or await self._told(stream)

    async def _announced(self, stream: str) -> tuple[bytes, ...]:
        try:
            told = await trio.to_thread.run_sync(self._desk.announced, limiter=self._reading)
        except StorageFailed as error:
            log.warning("the city's log cannot be read: %s", error, extra={"reason": error.reason})
            return ()
        return _offices_in(told, stream) if told else ()

    async def _told(self, stream: str) -> tuple[bytes, ...]:
        """What the holders of the stream and of the city's log say, asked once a minute."""
        kept = self._asked.get(stream)
        if kept is not None and trio.current_time() < kept[0]:
            return kept[1]
        for url in self._holders((stream, CITY)):
            found = await self._ask(url, stream)
            if found:
                self._asked[stream] = trio.current_time() + KEPT_S, found
                return found
        return ()

    def _holders(self, streams: Iterable[str]) -> list[str]:
        city = self._executor.node.city_map
        urls = []
        for stream in streams:
            holding = city.streams.get(stream)
            member = city.member(holding.holder) if holding and holding.holder else None
            if member is not None and member.who != self._executor.node.who:
                urls.append(member.web_url)
        return list(dict.fromkeys(urls))

    async def _ask(self, url: str, stream: str) -> tuple[bytes, ...]:
        self._tls = self._tls or ssl.create_default_context()
        try:
            with trio.fail_after(ASK_S):
                answer = await fetch(f"{url}/civic/streams", self._tls, bytes_max=ANSWER_BYTES_MAX)
            told = json.loads(answer.body)
            for one in told["streams"]:
                if one["stream"] == stream and one.get("offices"):
                    return tuple(bytes.fromhex(office["key"]) for office in one["offices"][:_OFFICES_MAX])
            return _offices_in(told["announced"], stream) if told.get("announced") else ()
        except LOST as error:
            log.warning("a holder does not tell the keys of offices: %s", error)
        except (RemoteError, LocalError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("a holder tells keys of offices that cannot be: %s", error)
        return ()


def _offices_in(announced: dict[str, Any], stream: str) -> tuple[bytes, ...]:
    """The keys that were announced last for this stream."""
    told = announced["streams"].get(stream)
    return tuple(bytes.fromhex(key) for key in told["offices"][:_OFFICES_MAX]) if told else ()
