"""Roles: what somebody has proved to be by a chain of grants, and what that lets them enter and strike.

A client shows the chain in its HELLO; every node it comes to verifies it against the root keys it was configured with.
A role holds as long as every grant of its chain does, and is looked at again each time it is used: one that ends while
its holder is inside a room puts nobody out, and lets nobody in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.errors import Refusal
from p2pworld.geometry import LEVEL_MAX, Cell
from p2pworld.grants import Voids, chain_bytes, covers, verify_chain
from p2pworld.limits import HELLO_GRANTS_BYTES_MAX
from p2pworld.world.places import PUBLIC

if TYPE_CHECKING:
    from p2pworld.messages.fields import Grant
    from p2pworld.world.places import Point

__all__ = ["Role", "is_open_to", "read_role"]


@dataclass(frozen=True, slots=True)
class Role:
    """`name` over `scope`, before `until_ms` (Unix)."""

    name: str
    scope: tuple[str, ...]
    until_ms: int

    def reaches(self, place: str, at: Point) -> bool:
        """Whether it holds in the place of this id, which stands `at` a point: by the place's name or by its ground."""
        ground = f"cells:{Cell.at(*at, LEVEL_MAX)}"
        return any(covers(part, f"places:{place}") or covers(part, ground) for part in self.scope)


def read_role(
    chain: tuple[Grant, ...], roots: frozenset[bytes], key: bytes, now_ms: int, voids: Voids | None = None
) -> Role | Refusal:
    """The role that this chain gives this key now, or why it gives none, in a sentence for its holder."""
    if chain and chain_bytes(chain) > HELLO_GRANTS_BYTES_MAX:
        refusal: Refusal | None = Refusal("grant-long", "its chain is too long for a login")
    else:
        refusal = verify_chain(chain, roots, key, chain[-1].role if chain else "", now_ms, voids=voids)
    if refusal is not None:
        return Refusal(refusal.reason, f"Your grant does not count here: {refusal.sentence}.")
    return Role(chain[-1].role, chain[-1].scope, min(grant.not_after_ms for grant in chain))


def is_open_to(
    access: tuple[str, ...], place: str, at: Point, key: bytes, role: Role | None, now_ms: int
) -> bool:
    """Whether somebody of this key and role has one of the rights that something in a place asks for."""
    if access == PUBLIC or f"key:{key.hex()}" in access or "public" in access:
        return True
    if role is None or now_ms >= role.until_ms:
        return False
    return f"role:{role.name}" in access and role.reaches(place, at)
