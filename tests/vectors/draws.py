"""Writes draw.json: draws with everything that goes in and comes out, for whoever recomputes them elsewhere.

python -m tests.vectors.generate_draw
"""

from __future__ import annotations

import hashlib
from typing import Any

from p2pworld.services.draw import (
    HOLDERS,
    PARTIES,
    Entry,
    entries_digest,
    order_digest,
    order_of,
    seed_of,
    share_hash,
    ticket_of,
)


def _bytes(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def draws() -> list[dict[str, Any]]:
    """A draw with nobody in it, one with a few people, and one where residents come first."""
    return [
        _vector(name, people, residents)
        for name, people, residents in (("nobody", 0, 0), ("some", 8, 0), ("residents", 8, 3))
    ]


def _vector(name: str, people: int, residents: int) -> dict[str, Any]:
    stream, draw = "mapo", "mapo-nanjicheon-pitch/2026-05-02T08:00"
    closing = _bytes(f"closing leaf of {name}")
    shares = {(g, h): _bytes(f"share {g} {h} of {name}") for g in range(PARTIES) for h in HOLDERS[g]}
    entries = [Entry(_bytes(f"person {i}").hex(), i < residents) for i in range(people)]
    seed = seed_of(stream, draw, closing, shares)
    order = order_of(seed, entries)
    return {
        "name": name,
        "stream": stream,
        "draw": draw,
        "closing": closing.hex(),
        "shares": {f"{g}-{h}": share.hex() for (g, h), share in shares.items()},
        "share_hashes": {
            f"{g}-{h}": share_hash(stream, draw, (g, h), share) for (g, h), share in shares.items()
        },
        "seed": seed,
        "entries": [entry._asdict() for entry in entries],
        "entries_digest": entries_digest(entries),
        "tickets": [ticket_of(seed, entry.person) for entry in entries],
        "order": list(order),
        "outcome": order_digest(order),
    }
