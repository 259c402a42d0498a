"""Papers: who everybody is whose row or seat this node has: the proof of the login, and how one wishes to be shown.

A proof is a signed HELLO and the challenge it answered; it names the key that an avatar's id is bound to here for as
long as the proof is kept. What neighbours tell of their own people is kept besides, as far as there is room.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.crypto.keys import verify_hello
from p2pworld.ids import avatar_id
from p2pworld.limits import PROFILES_CACHED
from p2pworld.messages import SignedHello

if TYPE_CHECKING:
    from p2pworld.messages import Profile

__all__ = ["Kept", "Papers"]


@dataclass(slots=True)
class Kept:
    """What a seat was prepared with."""

    hello: SignedHello
    k: int
    vehicle: int = 0


class Papers:
    """`held` are the proofs of those who have, or lately had, a row here; `kept` what seats were prepared with."""

    def __init__(self) -> None:
        self.held: dict[int, SignedHello] = {}
        self.kept: dict[int, Kept] = {}
        self._profiles: dict[int, Profile] = {}  # told by neighbours

    def clear(self) -> None:
        """Forget all proofs."""
        self.held.clear()
        self.kept.clear()

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

    def profile(self, avatar: int, mine: bool) -> Profile | None:
        """How this avatar, a row of mine or not, wishes to be shown, if it is known here."""
        told = None if mine else self._profiles.get(avatar)
        proof = self.held.get(avatar)
        return told or (proof.hello.profile if proof else None)

    def learn_profile(self, avatar: int, profile: Profile) -> None:
        """Remember what a neighbour told; the oldest is forgotten when there are too many."""
        if len(self._profiles) >= PROFILES_CACHED:
            del self._profiles[next(iter(self._profiles))]
        self._profiles[avatar] = profile
