"""Makes people.json: what an attestor says, how it is shown beside a filing, and what its holder makes of it."""

from __future__ import annotations

import hashlib
from typing import Any, Final

from p2pworld.civic.transaction import Field, Filing
from p2pworld.crypto.keys import Signer
from p2pworld.errors import Refusal
from p2pworld.services.people import (
    Attested,
    Attestors,
    attested,
    claim_key_seed,
    person_of,
    purpose_of,
    show,
    sign_claim,
    sign_withdrawn,
)
from shard_node.services.folder import read


def _bytes(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


MINUTE: Final = 29_400_000
ATTESTOR: Final = _bytes("attestor")
DEVICE: Final = _bytes("device")
SECRET: Final = _bytes("attestor's secret")
SUBJECT: Final = _bytes("subject")
FILINGS: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "mayor-proposal": (),
    "reserve-sports": (("facility", "seongbuk-futsal"), ("slot", "2026-05-02T08:00")),
    "reserve-draw": (("facility", "mapo-nanjicheon-pitch"), ("slot", "2026-05-02T08:00")),
}


def people() -> list[dict[str, Any]]:
    """A claim for each kind of purpose, and the list of those withdrawn."""
    cases = [_vector(service, dict(public)) for service, public in FILINGS.items()]
    attestor = Signer.from_seed(ATTESTOR)
    keys = frozenset(bytes.fromhex(case["claim"]["key"]) for case in cases[:2])
    withdrawn = sign_withdrawn(attestor, MINUTE, keys)
    return [
        *cases,
        {
            "name": "withdrawn",
            "keys": [key.hex() for key in sorted(keys)],
            "minute": MINUTE,
            "signed": withdrawn.statement().hex(),
            "hex": withdrawn.to_bytes().hex(),
        },
    ]


def _vector(service_id: str, public: dict[str, str]) -> dict[str, Any]:
    service = read().services[service_id]
    attestor = Signer.from_seed(ATTESTOR)
    purpose = purpose_of(service, public)
    holder = Signer.from_seed(claim_key_seed(DEVICE, purpose))
    person = person_of(SECRET, purpose, SUBJECT)
    claim = sign_claim(attestor, purpose, person, holder.public, "seongbuk", MINUTE + 1_440)
    fields = tuple(Field(name, value) for name, value in public.items())
    filing = Filing(service_id, "seongbuk", _bytes("transaction"), MINUTE, fields)
    shown = show(claim, holder, filing)
    who = attested(service, filing, shown.to_bytes(), Attestors(frozenset({attestor.public})), MINUTE)
    assert isinstance(who, Attested), who.reason if isinstance(who, Refusal) else "nobody"
    return {
        "name": f"a claim for {purpose}",
        "service": service_id,
        "values": public,
        "purpose": purpose,
        "attestor_seed": ATTESTOR.hex(),
        "attestor_secret": SECRET.hex(),
        "subject": SUBJECT.hex(),
        "device_seed": DEVICE.hex(),
        "key_seed": claim_key_seed(DEVICE, purpose).hex(),
        "claim": {
            "v": claim.v,
            "attestor": claim.attestor.hex(),
            "purpose": claim.purpose,
            "person": claim.person.hex(),
            "key": claim.key.hex(),
            "gu": claim.gu,
            "until": claim.until,
            "sig": claim.sig.hex(),
        },
        "signed": claim.statement().hex(),
        "hex": claim.to_bytes().hex(),
        "statement": filing.statement().hex(),
        "proof": shown.proof.hex(),
        "paper": shown.to_bytes().hex(),
    }
