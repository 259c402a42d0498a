"""Logins: which are admitted, and a soft-state directory that finds the newest one of every person.

A login is opened by a signed HELLO that answers this node's challenge, and is born once: the challenge's nonce is part
of it. The `Directory` is what a node keeps for the avatars whose home it is: the largest proven login of each and who
said so. It is told at every login and again every few seconds, so it rebuilds itself anywhere; whoever tells of an
older login is told of the newer one, and whoever held the older one is told too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from p2pworld.crypto.keys import login_of
from p2pworld.ids import Incarnation, Login
from p2pworld.limits import DIRECTORY_TTL_S, LOGIN_AHEAD_MS
from p2pworld.messages import PROTOCOL, Hello, SignedHello

__all__ = ["Directory", "Nonces", "login_fault"]


class Nonces:
    """An endless, unguessable sequence of bytes from one secret seed: the same seed gives the same sequence."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._drawn = 0

    def draw(self, size: int) -> bytes:
        """The next `size` bytes (at most 64), never given before."""
        self._drawn += 1
        return hashlib.blake2b(self._drawn.to_bytes(8, "big"), key=self._seed, digest_size=size).digest()


def login_fault(hello: Hello, urls: frozenset[str], wall_ms: int) -> tuple[str, str] | None:
    """Why this HELLO is not admitted whoever signed it, as a code and a sentence; None if it may be."""
    if hello.v != PROTOCOL:
        return "version", f"This node speaks version {PROTOCOL} of the protocol."
    if hello.url not in urls:
        return "url", "The HELLO was signed for another address than this node's."
    if hello.ticket:
        return None if len(hello.birth) == 16 else ("malformed", "A HELLO with a ticket names a whole login.")
    if hello.birth:
        return "malformed", "A HELLO without a ticket opens a fresh login, whose birth the node decides."
    if hello.login_ms > wall_ms + LOGIN_AHEAD_MS:
        return "clock", "Your device's clock is more than ten minutes ahead."
    if hello.login_ms == 0:
        return "malformed", "A login is the device's time in milliseconds, never 0."
    return None


@dataclass(slots=True)
class _Entry:
    hello: SignedHello
    login: Login
    at: Incarnation
    heard_s: float


class Directory:
    """For each avatar whose home this node is: the largest proven login, and the node that last said it has it."""

    def __init__(self) -> None:
        self._entries: dict[int, _Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def knows(self, avatar: int, hello: SignedHello) -> bool:
        """Whether exactly this proof stands here already, so that it need not be verified again."""
        entry = self._entries.get(avatar)
        return entry is not None and entry.hello == hello

    def find(self, avatar: int) -> tuple[Incarnation, SignedHello] | None:
        """Where the newest login of this avatar was last said to be, and its proof."""
        entry = self._entries.get(avatar)
        return None if entry is None else (entry.at, entry.hello)

    def put(
        self, avatar: int, hello: SignedHello, said_by: Incarnation, now_s: float
    ) -> tuple[tuple[Incarnation, SignedHello], ...]:
        """Take in a verified login; returns whom to tell of which winning login."""
        login = login_of(hello)
        entry = self._entries.get(avatar)
        if entry is None or login > entry.login:
            self._entries[avatar] = _Entry(hello, login, said_by, now_s)
            return ((entry.at, hello),) if entry is not None and entry.at != said_by else ()
        if login < entry.login:
            return ((said_by, entry.hello),)
        entry.at, entry.heard_s = said_by, now_s
        return ()

    def expire(self, now_s: float) -> None:
        """Forget who was not refreshed for `DIRECTORY_TTL_S`."""
        for avatar in [a for a, e in self._entries.items() if now_s - e.heard_s > DIRECTORY_TTL_S]:
            del self._entries[avatar]
