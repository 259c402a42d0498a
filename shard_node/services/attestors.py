"""The attestors that this node believes: where people find them, and what they have taken back.

An attestor whose address is known is asked each minute for the keys of lost devices; from then on no claim on one of
those is believed here. One that does not answer is believed as before: claims are short, and a list that was heard of
counts until a newer one comes.

    GET /api/v1/attestors    the key of each, and its address or null
"""

from __future__ import annotations

import logging
import ssl
from typing import TYPE_CHECKING, Final

import trio
from starlette.responses import JSONResponse
from starlette.routing import Route

from p2pworld.errors import LocalError, RemoteError
from p2pworld.limits import WITHDRAWN_BYTES_MAX
from p2pworld.services.people import Attestors, Withdrawn, parse_withdrawn
from shard_node.http_client import LOST, fetch, why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from shard_node.services.host import Offered, ServiceHost

__all__ = ["AttestorFollower", "attestor_routes"]

log = logging.getLogger(__name__)

LOOK_S: Final = 60.0
ANSWER_S: Final = 20.0


class AttestorFollower:
    """Asks the attestors for what they have taken back, and keeps it in what is `offered`."""

    def __init__(self, offered: Offered) -> None:
        self._offered = offered
        self._lists: dict[bytes, Withdrawn] = {}
        self._failing: dict[bytes, str] = {}

    async def run(self) -> None:
        """Follows them, for ever."""
        urls = self._offered.config.attestor_urls
        if not urls:
            return
        tls = ssl.create_default_context()
        while True:
            for key, url in urls.items():
                await self._look(key, url, tls)
            await trio.sleep(LOOK_S)

    async def _look(self, key: bytes, url: str, tls: ssl.SSLContext) -> None:
        try:
            with trio.fail_after(ANSWER_S):
                answer = await fetch(f"{url}/withdrawn", tls, bytes_max=WITHDRAWN_BYTES_MAX)
            if answer.status != 200:
                raise RemoteError("withdrawn-answer", f"it answers {answer.status}")
            listed = parse_withdrawn(answer.body)
            if listed.attestor != key:
                raise RemoteError("withdrawn-attestor", "it answers with another attestor's list")
        except LOST as error:
            self._tell(key, url, why(error))
            return
        except (LocalError, RemoteError) as error:
            self._tell(key, url, str(error))
            return
        self._tell(key, url, "")
        if key not in self._lists or listed.minute >= self._lists[key].minute:
            self._lists[key] = listed
            withdrawn = frozenset[bytes]().union(*(each.keys for each in self._lists.values()))
            self._offered.attestors = Attestors(self._offered.config.attestors, withdrawn)

    def _tell(self, key: bytes, url: str, fault: str) -> None:
        """Says once that one does not answer, and once that it does again."""
        if fault == self._failing.get(key, ""):
            return
        self._failing[key] = fault
        if fault:
            log.error("attestor %s does not tell what it has taken back: %s", url, fault)
        else:
            log.info("attestor %s tells what it has taken back", url)


def attestor_routes(host: ServiceHost) -> list[Route]:
    """The routes over one node."""

    async def attestors(request: Request) -> JSONResponse:
        told = _told(host.config.attestors, host.config.attestor_urls)
        return JSONResponse(told, headers={"Access-Control-Allow-Origin": "*", "Cache-Control": "no-cache"})

    return [Route("/api/v1/attestors", attestors)]


def _told(keys: frozenset[bytes], urls: Mapping[bytes, str]) -> list[dict[str, str | None]]:
    return [{"key": key.hex(), "url": urls.get(key)} for key in sorted(keys)]
