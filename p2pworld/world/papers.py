"""Papers: who everybody is whose row or seat this node has: the proof of the login, how one wishes to be shown, a role.

A proof is a signed HELLO and the challenge it answered; it names the key that an avatar's id is bound to here for as
long as the proof is kept. The grants of a HELLO are no part of it: they prove themselves, are verified here, and go
along to the next node. What neighbours tell of their own people is kept besides, as far as there is room.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from p2pworld.crypto.keys import verify_hello
from p2pworld.errors import Refusal
from p2pworld.ids import avatar_id
from p2pworld.limits import PROFILES_CACHED
from p2pworld.messages import SignedHello
from p2pworld.messages.fields import Grant
from p2pworld.world.roles import Role, read_role

if TYPE_CHECKING:
    from p2pworld.grants import Voids
    from p2pworld.messages import Profile

__all__ = ["Kept", "Papers", "bare"]


@dataclass(slots=True)
class Kept:
    """What a seat was prepared with."""

    hello: SignedHello
    k: int
    grants: tuple[Grant, ...] = ()
    vehicle: int = 0


def bare(hello: SignedHello) -> SignedHello:
    """The proof of a login alone, without the grants that came with it."""
    return replace(hello, hello=replace(hello.hello, grants=())) if hello.hello.grants else hello


class Papers:
    """`held` are the proofs of those who have, or lately had, a row here; `kept` what seats were prepared with.

    `roots` are the keys that grants begin at; `voids` says which chains are void all the same.
    """

    def __init__(self, roots: frozenset[bytes]) -> None:
        self.held: dict[int, SignedHello] = {}
        self.kept: dict[int, Kept] = {}
        self._roots = roots
        self.voids: Voids | None = None
        self._grants: dict[int, tuple[Grant, ...]] = {}
        self._roles: dict[int, Role] = {}
        self._told: dict[int, tuple[Profile, str]] = {}  # by neighbours, of their people: profile and role

    def clear(self) -> None:
        """Forget all proofs."""
        self.held.clear()
        self.kept.clear()
        self._grants.clear()
        self._roles.clear()

    def hold(self, avatar: int, proof: SignedHello, grants: tuple[Grant, ...], now_ms: int) -> Refusal | None:
        """Keep the papers of one who has a row here now; why the grants give no role, if they do not."""
        self.forget(avatar)
        self.held[avatar] = proof
        if not grants:
            return None
        role = read_role(grants, self._roots, proof.hello.key, now_ms, self.voids)
        if isinstance(role, Refusal):
            return role
        self._grants[avatar], self._roles[avatar] = grants, role
        return None

    def forget(self, avatar: int) -> None:
        """Forget the papers of one whose row is gone."""
        for table in (self.held, self._grants, self._roles):
            table.pop(avatar, None)

    def to_go(self, avatar: int) -> SignedHello:
        """The proof and the grants, for the node that this avatar goes to."""
        proof = self.held[avatar]
        return replace(proof, hello=replace(proof.hello, grants=self._grants.get(avatar, ())))

    def role(self, avatar: int) -> Role | None:
        """What an avatar of mine has proved to be; it may have ended since."""
        return self._roles.get(avatar)

    def review(self, now_ms: int) -> list[tuple[int, Refusal]]:
        """Who has lost a role since its grants were looked at, and why: it has none from now on."""
        lost = []
        for avatar, chain in list(self._grants.items()):
            fault = self.voids(chain, now_ms) if self.voids is not None else None
            if fault is not None:
                lost.append((avatar, fault))
                del self._grants[avatar]
                self._roles.pop(avatar, None)
        return lost

    def told_no_role(self, avatar: int) -> None:
        """A neighbour's avatar has lost the role that the neighbour told."""
        if (told := self._told.get(avatar)) is not None:
            self._told[avatar] = (told[0], "")

    def bound_elsewhere(self, avatar: int, key: bytes) -> bool:
        """Whether the proofs here bind this avatar's id to another key than this."""
        proofs = [self.held.get(avatar), kept.hello if (kept := self.kept.get(avatar)) else None]
        return any(proof is not None and proof.hello.key != key for proof in proofs)

    def prove(self, avatar: int, hello: SignedHello) -> bool:
        """Whether this is the proof of a fresh login of this avatar; what is kept here is not verified again."""
        kept = self.kept.get(avatar)
        if self.held.get(avatar) == hello or (kept is not None and kept.hello == hello):
            return True
        fresh = not hello.hello.ticket and not hello.hello.birth
        return fresh and avatar_id(hello.hello.key) == avatar and verify_hello(hello)

    def shown(self, avatar: int, mine: bool, now_ms: int) -> tuple[Profile, str] | None:
        """How this avatar, a row of mine or not, is to be shown, and its role or "", if it is known here."""
        if not mine and (told := self._told.get(avatar)) is not None:
            return told
        proof, role = self.held.get(avatar), self._roles.get(avatar)
        if proof is None:
            return None
        return proof.hello.profile, role.name if role and now_ms < role.until_ms else ""

    def learn(self, avatar: int, profile: Profile, role: str) -> None:
        """Remember what a neighbour told; the oldest is forgotten when there are too many."""
        if len(self._told) >= PROFILES_CACHED:
            del self._told[next(iter(self._told))]
        self._told[avatar] = (profile, role)
