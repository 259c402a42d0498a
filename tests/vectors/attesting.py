"""Makes attesting.json: what a person's device signs to an attestor, from fixed keys, for the claims of people.json."""

from __future__ import annotations

from typing import Any, Final

from p2pworld.crypto.keys import Signer
from p2pworld.services.attesting import (
    claims_statement,
    device_statement,
    devices_statement,
    key_statement,
    lost_statement,
)
from p2pworld.services.people import claim_key_seed
from tests.vectors.people import ATTESTOR, DEVICE, MINUTE, people

__all__ = ["attesting"]

READ_ALOUD: Final = " k7q2-m9xr4 "
CAME_BACK: Final = "abc-DEF_ghijklmn"
LOST: Final = bytes(range(32))


def attesting() -> list[dict[str, Any]]:
    """Each signature by what it is for."""
    attestor, device = Signer.from_seed(ATTESTOR).public, Signer.from_seed(DEVICE)
    purposes = [case["purpose"] for case in people() if "purpose" in case]
    keys = [Signer.from_seed(claim_key_seed(DEVICE, purpose)) for purpose in purposes]
    pairs = [(purpose, key.public) for purpose, key in zip(purposes, keys, strict=True)]
    signed = {
        "device": device_statement(attestor, READ_ALOUD, device.public, MINUTE),
        "login": device_statement(attestor, CAME_BACK, device.public, MINUTE),
        "claims": claims_statement(attestor, device.public, MINUTE, pairs),
        "devices": devices_statement(attestor, device.public, MINUTE),
        "lost": lost_statement(attestor, device.public, LOST, MINUTE),
    }
    return [
        {
            "name": "what a device signs",
            "minute": MINUTE,
            "read_aloud": READ_ALOUD,
            "came_back": CAME_BACK,
            "lost_device": LOST.hex(),
            **{name: device.sign(statement).hex() for name, statement in signed.items()},
            "keys": [
                key.sign(key_statement(attestor, device.public, purpose)).hex()
                for purpose, key in zip(purposes, keys, strict=True)
            ],
        }
    ]
