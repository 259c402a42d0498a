"""Hints: where on this network somebody says that a node is. Values and a bounded table; `lan` hears and speaks them.

A hint proves nothing. It may name a root key, a node and addresses that are none of the speaker's, and all it leads to
is a knock at a door of this very network: who answers has to prove its key and its grants, as everybody does. So only
addresses that do not lead out of local networks are taken, few of each node, and the rest is forgotten.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from p2pworld.limits import HINT_ADDRESSES_MAX, HINT_ROOTS_MAX, HINTS_MAX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

__all__ = ["SERVICE", "Announcement", "Hint", "Hints", "is_instance", "read_hint", "root_name"]

SERVICE: Final = "_p2pworld._tcp.local."
VERSION: Final = b"1"
_INSTANCE: Final = re.compile(r"([0-9a-f]{16})\." + re.escape(SERVICE), re.ASCII)
_HEX: Final = re.compile(rb"[0-9a-f]{64}")
_ROOTS: Final = re.compile(rb"[0-9a-f]{16}(,[0-9a-f]{16})*")
_PORT: Final = re.compile(rb"[1-9][0-9]{0,4}")


def is_instance(name: str) -> bool:
    """Whether a service of this name may be a node."""
    return _INSTANCE.fullmatch(name) is not None


def root_name(root: bytes) -> str:
    """16 hex digits by which a root key is known on a network: enough to tell cities apart, no proof of anything."""
    return hashlib.sha256(b"p2pworld root" + root).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Hint:
    """That the node of this key, of a city with roots of these names, is said to be at these addresses."""

    node: bytes
    roots: frozenset[str]
    link_urls: tuple[str, ...]
    web_urls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a node says of itself: its service's instance, address, port of links, and text."""

    instance: str
    host: str
    port: int
    text: Mapping[str, str]

    @classmethod
    def of(cls, roots: Iterable[bytes], node: bytes, link_url: str, web_url: str) -> Announcement:
        """The announcement of the node with this key, whose links and pages others reach at these urls."""
        link, web = urlsplit(link_url), urlsplit(web_url)
        names = sorted(root_name(root) for root in roots)[:HINT_ROOTS_MAX]
        text = {"v": VERSION.decode(), "node": node.hex(), "root": ",".join(names)}
        if web.port is not None and web.scheme == "http":
            text["web"] = str(web.port)
        return cls(f"{node.hex()[:16]}.{SERVICE}", link.hostname or "", link.port or 0, text)


def read_hint(
    instance: str, text: Mapping[bytes, bytes | None], addresses: Sequence[str], port: int
) -> Hint | None:
    """The hint of one announcement; None if it is malformed, of another version, or leads out of local networks."""
    node, roots, web = text.get(b"node") or b"", text.get(b"root") or b"", text.get(b"web") or b""
    named = _INSTANCE.fullmatch(instance)
    well_formed = text.get(b"v") == VERSION and _HEX.fullmatch(node) and _ROOTS.fullmatch(roots)
    if not named or not well_formed or node[:16].decode() != named[1] or not 0 < port < 65_536:
        return None
    names = roots.decode().split(",")
    hosts = [host for address in addresses if (host := _local(address))][:HINT_ADDRESSES_MAX]
    if not hosts or len(names) > HINT_ROOTS_MAX:
        return None
    web_port = int(web) if _PORT.fullmatch(web) and int(web) < 65_536 else 0
    return Hint(
        bytes.fromhex(node.decode()),
        frozenset(names),
        tuple(f"tls://{host}:{port}" for host in hosts),
        tuple(f"http://{host}:{web_port}" for host in hosts if web_port),
    )


def _local(address: str) -> str:
    """The address as it stands in a url, if it is one of a local network; else nothing."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if found.is_multicast or found.is_unspecified or found.is_reserved or not found.is_private:
        return ""
    return f"[{found}]" if found.version == 6 else str(found)


class Hints:
    """The newest hints about nodes of the city with one of these roots, of every city if none are given.

    `wants` says of whose keys it is worth to know anything.
    """

    def __init__(
        self, roots: Iterable[bytes] = (), wants: Callable[[bytes], bool] = lambda node: True
    ) -> None:
        self.counters: Counter[str] = Counter()
        self._roots, self._wants = frozenset(root_name(root) for root in roots), wants
        self._by_node: dict[bytes, Hint] = {}  # who was heard of first stands first

    def heard(
        self, instance: str, text: Mapping[bytes, bytes | None], addresses: Sequence[str], port: int
    ) -> None:
        """Somebody announced a node."""
        hint = read_hint(instance, text, addresses, port)
        if hint is None:
            self.counters["malformed"] += 1
        elif self._roots and not self._roots & hint.roots:
            self.counters["another_city"] += 1
        elif not self._wants(hint.node):
            self.counters["unwanted"] += 1
        else:
            self.counters["heard"] += 1
            if hint.node not in self._by_node and len(self._by_node) >= HINTS_MAX:
                del self._by_node[next(iter(self._by_node))]
            self._by_node[hint.node] = hint

    def keep(self, instances: Collection[str]) -> None:
        """Only these are still announced."""
        for node in [node for node in self._by_node if f"{node.hex()[:16]}.{SERVICE}" not in instances]:
            del self._by_node[node]

    def link_urls(self, node: bytes) -> tuple[str, ...]:
        """Where a node's links are said to be."""
        hint = self._by_node.get(node)
        return hint.link_urls if hint is not None else ()

    def all(self) -> tuple[Hint, ...]:
        """Every hint there is, in the order of the nodes' keys."""
        return tuple(self._by_node[node] for node in sorted(self._by_node))
