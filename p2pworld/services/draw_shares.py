"""A party of draws: one secret, and all that comes of it: its keys, and the shares of every draw.

    share    hmac-sha256(secret, "p2pworld draw share secret v1", stream, draw, giver, holder), a newline after each

So a party keeps one file, and loses no share as long as it has that; whoever does not have it cannot tell the shares
from random bytes. What it gives away before a draw opens are `Given`: the hashes of both shares, for everybody, and
each share sealed for its holder alone, all of it signed. They are files of JSON, which parties send each other by any
way there is.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from p2pworld.crypto.keys import Signer, verify
from p2pworld.crypto.seal import seal, sealing_public, unseal
from p2pworld.errors import RemoteError
from p2pworld.services.draw import HOLDERS, PARTIES, share_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    from p2pworld.services.draw import Pair

__all__ = ["Given", "Party", "give", "parse_given", "party_of", "sealing_secret", "share_of", "taken"]

_SEALING_NAME: Final = b"p2pworld draw sealing key v1\n"
_SHARE_NAME: Final = "p2pworld draw share secret v1"
_GIVEN_NAME: Final = b"p2pworld draw shares v1\n"


@dataclass(frozen=True, slots=True)
class Party:
    """What everybody knows of a party: the key that it signs with, and the one that shares are sealed for."""

    key: bytes
    sealing: bytes

    @property
    def text(self) -> str:
        """One line, as parties tell it each other."""
        return f"{self.key.hex()} {self.sealing.hex()}"

    @classmethod
    def parse(cls, text: str) -> Party:
        """The party in such a line.

        Raises:
            RemoteError: there is none (`draw-party`).
        """
        try:
            key, sealing = map(bytes.fromhex, text.split())
        except ValueError:
            key = sealing = b""
        if len(key) != 32 or len(sealing) != 32:
            raise RemoteError("draw-party", "a party is two keys of 64 hex digits in one line")
        return cls(key, sealing)


def sealing_secret(party: Signer) -> bytes:
    """The secret that opens what is sealed for this party."""
    return hashlib.sha256(_SEALING_NAME + party.seed).digest()


def party_of(party: Signer) -> Party:
    """What others are told of it."""
    return Party(party.public, sealing_public(sealing_secret(party)))


def share_of(secret: bytes, stream: str, draw: str, pair: Pair) -> bytes:
    """The share that the giver of `pair`, whose secret this is, gives to the holder."""
    lines = (_SHARE_NAME, stream, draw, str(pair[0]), str(pair[1]))
    return hmac.digest(secret, "".join(f"{line}\n" for line in lines).encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Given:
    """What a party gives away for one draw: hashes (hex) and sealed shares, each by holder, in their order."""

    stream: str
    draw: str
    giver: int
    key: bytes
    hashes: tuple[str, str]
    sealed: tuple[bytes, bytes]
    sig: bytes = b""

    def statement(self) -> bytes:
        """The bytes that the giver signs."""
        return _GIVEN_NAME + json.dumps(self._document(), sort_keys=True, separators=(",", ":")).encode()

    def document(self) -> dict[str, Any]:
        """As it is written down."""
        return {**self._document(), "sig": self.sig.hex()}

    def _document(self) -> dict[str, Any]:
        return {
            "stream": self.stream,
            "draw": self.draw,
            "giver": self.giver,
            "key": self.key.hex(),
            "hashes": list(self.hashes),
            "sealed": [each.hex() for each in self.sealed],
        }


def give(party: Signer, parties: Sequence[Party], stream: str, draw: str) -> Given:
    """What this one of the three parties gives away for a draw; what is sealed differs each time.

    Raises:
        RemoteError: it is none of them (`draw-party`).
    """
    giver = _number(parties, party.public)
    pairs = [(giver, holder) for holder in HOLDERS[giver]]
    shares = [share_of(party.seed, stream, draw, pair) for pair in pairs]
    first, second = (share_hash(stream, draw, pair, share) for pair, share in zip(pairs, shares, strict=True))
    sealed = [seal(parties[pair[1]].sealing, share) for pair, share in zip(pairs, shares, strict=True)]
    given = Given(stream, draw, giver, party.public, (first, second), (sealed[0], sealed[1]))
    return Given(stream, draw, giver, party.public, given.hashes, given.sealed, party.sign(given.statement()))


def parse_given(value: object) -> Given:
    """What a party has given away, signed by the key in it.

    Raises:
        RemoteError: malformed (`draw-shares`), or signed by nobody (`draw-signature`).
    """
    try:
        assert isinstance(value, dict)
        first, second = value["hashes"]
        for_first, for_second = map(bytes.fromhex, value["sealed"])
        key, sig = bytes.fromhex(value["key"]), bytes.fromhex(value["sig"])
        given = Given(
            str(value["stream"]),
            str(value["draw"]),
            int(value["giver"]),
            key,
            (str(first), str(second)),
            (for_first, for_second),
            sig,
        )
        assert given.giver in range(PARTIES)
    except (AssertionError, KeyError, ValueError, TypeError):
        raise RemoteError("draw-shares", "this is nothing that a party gives away for a draw") from None
    if not verify(given.key, given.statement(), given.sig):
        raise RemoteError("draw-signature", "the party did not sign what it is said to give away")
    return given


def taken(party: Signer, number: int, given: Given) -> bytes:
    """The share that this party, the `number`-th, was given.

    Raises:
        RemoteError: it is not for this party (`seal`, `draw-party`), or does not fit its hash (`draw-share`).
    """
    if number not in HOLDERS[given.giver]:
        raise RemoteError("draw-party", "nobody gives a share to themselves")
    at = HOLDERS[given.giver].index(number)
    share = unseal(sealing_secret(party), given.sealed[at])
    pair = (given.giver, number)
    if len(share) != 32 or share_hash(given.stream, given.draw, pair, share) != given.hashes[at]:
        raise RemoteError("draw-share", "the share does not fit the hash that goes with it")
    return share


def _number(parties: Sequence[Party], key: bytes) -> int:
    for number, each in enumerate(parties):
        if each.key == key:
            return number
    raise RemoteError("draw-party", "this key is none of the three parties'")
