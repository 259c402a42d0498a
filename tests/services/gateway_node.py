"""One real node that holds some logs and is a gateway, for tests of the interfaces for programs."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import trio

from client.walk import places_around
from p2pworld.civic.transaction import open_sealed, parse_leaf
from p2pworld.crypto.seal import secret_of_text, unseal
from shard_node.civic.sqlite import SqliteCivicStore
from simulations.processes import City
from tests.patience import PATIENCE_S
from tests.shard_node.test_city_of_processes import wait_ready, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from p2pworld.civic.transaction import Leaf, Private, Sealed

__all__ = [
    "BOUNDARY",
    "HERE",
    "REPORT",
    "ROAD",
    "STREAMS",
    "VALUES",
    "Answered",
    "GatewayNode",
    "ask",
    "gateway_node",
    "multipart",
]

STREAMS = ("city", "jongno", "jung")
HELD_S = 30.0
BOUNDARY = "p2pworld-test-boundary"
ROAD = "/api/v1/services/road-damage-report"
HERE = "37.575900,126.976800"  # Gwanghwamun, in Jongno
VALUES = {"kind": "pothole", "place": HERE, "danger": "high", "phone": "010-1234-5678"}
REPORT = [
    ("service_code", "road-damage"),
    ("lat", "37.5759"),
    ("long", "126.9768"),
    ("attribute[kind]", "pothole"),
    ("attribute[danger]", "high"),
    ("description", "횡단보도 앞이 깊게 패였어요"),
]


@dataclass(frozen=True)
class Answered:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> Answered:
    """The answer to one question."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_S)
    try:
        connection.request(method, path, body, dict(headers or {}))
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return Answered(answer.status, told, answer.read())
    finally:
        connection.close()


@dataclass
class GatewayNode:
    """The node's city of one, and questions to its web face."""

    city: City
    folder: Path
    key: bytes

    @property
    def url(self) -> str:
        return self.city.nodes[0].web_url

    def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answered:
        return ask(self.url, method, path, body, headers)

    def get(self, path: str, **query: str) -> Answered:
        return self.ask("GET", f"{path}?{urlencode(query)}" if query else path)

    def post_json(self, path: str, value: object, headers: Mapping[str, str] | None = None) -> Answered:
        said = {"Content-Type": "application/json"} | dict(headers or {})
        return self.ask("POST", path, json.dumps(value).encode(), said)

    def post_form(
        self, path: str, pairs: list[tuple[str, str]], headers: Mapping[str, str] | None = None
    ) -> Answered:
        said = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"} | dict(headers or {})
        return self.ask("POST", path, urlencode(pairs).encode(), said)

    def size(self, stream: str) -> int:
        """How long a log is."""
        note = self.get(f"/log/{stream}/checkpoint").body.decode()
        return int(note.splitlines()[1]) if note.startswith("seoul.example") else 0

    def leaf(self, stream: str, entry: int) -> Leaf:
        """A leaf as the store has it."""
        return self._kept(stream, entry)[0]

    def opened(self, stream: str, entry: int) -> Private:
        """What the office reads of an entry."""
        leaf, sealed = self._kept(stream, entry)
        secret = secret_of_text((self.folder / "office.secret").read_text("utf-8"))
        assert sealed is not None
        return open_sealed(leaf.filing, sealed, secret)

    def blob_key(self, stream: str, entry: int) -> bytes:
        """What an entry's blob and files are locked with, as the office finds it."""
        _, sealed = self._kept(stream, entry)
        secret = secret_of_text((self.folder / "office.secret").read_text("utf-8"))
        assert sealed is not None
        return unseal(secret, sealed.wraps[0].key)

    def _kept(self, stream: str, entry: int) -> tuple[Leaf, Sealed | None]:
        store = SqliteCivicStore(self.folder / f"{self.city.nodes[0].name}.civic")  # read beside the node

        async def read() -> tuple[bytes, Sealed | None]:
            try:
                [one] = await store.entries(stream, entry, entry + 1)
                return one, await store.sealed(stream, entry)
            finally:
                await store.close()

        one, sealed = trio.run(read)
        return parse_leaf(one), sealed


def multipart(parts: list[tuple[str, str | None, bytes]]) -> tuple[bytes, dict[str, str]]:
    """A body of parts (name, file's name, content), and its header."""
    body = b""
    for name, file, content in parts:
        named = f'; filename="{file}"' if file is not None else ""
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"
    }


@contextmanager
def gateway_node(folder: Path) -> Iterator[GatewayNode]:
    """The node, holding its logs; more services may be dropped into `declared` in the folder."""
    with City(folder, 1, places_around(), 512) as city:
        (folder / "declared").mkdir()
        city.keep_logs(STREAMS, city.nodes, services=folder / "declared")
        node = city.nodes[0]
        city.start()
        wait_ready(city)

        def held() -> bool:
            logs = node.ask_json("/healthz").get("civic", [])
            return len(logs) == len(STREAMS) and all(log["stage"] == "idle" for log in logs)

        wait_until(held, HELD_S, lambda: f"{node.ask_json('/healthz')}\n{node.log_tail(30)}")
        yield GatewayNode(city, folder, city.signer("gateway").public)
