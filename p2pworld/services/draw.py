"""A draw that anybody recomputes: who comes first is decided by hashes of what nobody knew, or could change, in time.

Three parties, the office and two independent ones, each make two random shares of 32 bytes before the draw opens and
give one to each of the other two; a party's secret is made of its two shares. What is published at the opening is the
hash of each share, and everybody who was given one has said that it fits. So the six shares, and with them the
outcome, are fixed by the opening and the closing leaf. After the closing each party reveals its own two shares. If one
does not, the other two reveal what they were given: a party can refuse to help, and that is seen, but not change or
stop anything.
No single party can foresee the outcome, for each of the others' secrets has a share that it does not hold
(`docs/decisions/0015`).

All that is hashed is lines of text with a newline after each, so that a shell can do it:

    share    sha256("p2pworld draw share v1", stream, draw, giver, holder, share)
    secret   sha256("p2pworld draw secret v1", stream, draw, giver, share to its first holder, share to its second)
    seed     sha256("p2pworld draw seed v1", stream, draw, hash of the closing leaf, secret 0, secret 1, secret 2)
    ticket   sha256("p2pworld draw ticket v1", seed, person)

with bytes in small hexadecimal, parties as 0 (the office), 1 and 2, and holders in that order. Whoever has the smallest
ticket is first. Tickets are as good as random and all different, so every order is equally likely; nothing is reduced
modulo anything. Where residents come first, all of them stand before the others, each group in the order of tickets.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "HOLDERS",
    "PARTIES",
    "SHARE_BYTES",
    "Entry",
    "Pair",
    "entries_digest",
    "order_digest",
    "order_of",
    "secret_of",
    "seed_of",
    "share_hash",
    "ticket_of",
]

PARTIES: Final = 3
SHARE_BYTES: Final = 32
HOLDERS: Final = ((1, 2), (0, 2), (0, 1))  # who holds the two shares of each party

Pair = tuple[int, int]  # giver and holder of a share


class Entry(NamedTuple):
    """Somebody in the draw: the pseudonym (hex) an attestor has for them here, and whether they come first."""

    person: str
    first: bool = False


def _hash(*lines: str) -> str:
    return hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def share_hash(stream: str, draw: str, pair: Pair, share: bytes) -> str:
    """What is published of a share when the draw opens.

    Raises:
        LocalError: it has not 32 bytes, or that party holds no share of the other.
    """
    giver, holder = pair
    if len(share) != SHARE_BYTES or holder not in HOLDERS[giver]:
        raise LocalError(f"a share of {SHARE_BYTES} bytes from one of three parties to another")
    return _hash("p2pworld draw share v1", stream, draw, str(giver), str(holder), share.hex())


def secret_of(stream: str, draw: str, giver: int, shares: Mapping[Pair, bytes]) -> str:
    """A party's secret (hex), of its two shares."""
    given = [shares[giver, holder].hex() for holder in HOLDERS[giver]]
    return _hash("p2pworld draw secret v1", stream, draw, str(giver), *given)


def seed_of(stream: str, draw: str, closing: bytes, shares: Mapping[Pair, bytes]) -> str:
    """The seed (hex), of all six shares and the hash of the leaf that closed the draw."""
    secrets = [secret_of(stream, draw, giver, shares) for giver in range(PARTIES)]
    return _hash("p2pworld draw seed v1", stream, draw, closing.hex(), *secrets)


def ticket_of(seed: str, person: str) -> str:
    """The ticket (hex) of a pseudonym."""
    return _hash("p2pworld draw ticket v1", seed, person)


def order_of(seed: str, entries: Iterable[Entry]) -> tuple[str, ...]:
    """All pseudonyms in the order in which they get what there is; each counts once, as it entered first."""
    once: dict[str, Entry] = {}
    for entry in entries:
        once.setdefault(entry.person, entry)
    ranked = sorted(once.values(), key=lambda entry: (not entry.first, ticket_of(seed, entry.person)))
    return tuple(entry.person for entry in ranked)


def entries_digest(entries: Iterable[Entry]) -> str:
    """What the closing leaf says of the entries: the same whatever order they came in."""
    lines = sorted(f"{entry.person} {'first' if entry.first else 'other'}" for entry in entries)
    return _hash("p2pworld draw entries v1", *lines)


def order_digest(order: Iterable[str]) -> str:
    """What the last leaf says of the outcome."""
    return _hash("p2pworld draw order v1", *order)
