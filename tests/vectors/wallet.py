"""Makes wallet.json: a wallet as it is exported, with the passphrase that opens it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from client.wallet import Wallet, open_text, seal_text
from p2pworld.civic.transaction import SUGGESTION, Secrets, file_transaction
from p2pworld.crypto.keys import Signer
from p2pworld.crypto.seal import sealing_public
from p2pworld.services.identity import root_of, sign_device, sign_lost

PASSPHRASE = "정말 긴 암호"
COST = 4  # so that nobody waits for it


def _bytes(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def wallet() -> list[dict[str, Any]]:
    """One person with two devices, one of them lost, and a request that is in a log."""
    entropy, seed = _bytes("entropy")[:16], _bytes("device")
    root, device = root_of(entropy), Signer.from_seed(seed)
    secrets = Secrets(*map(_bytes, ("seed", "blob key", "nonce")))
    office = sealing_public(_bytes("office"))
    submission = file_transaction(
        SUGGESTION, "jongno", 29_400_000, {"topic": "parks"}, {"text": "그늘"}, device, [office], secrets
    )
    line = sign_device(root, device.public, "노트북", 29_400_000).to_text()
    other = sign_device(root, _bytes("lost device"), "", 29_400_001).to_text()
    lost = sign_lost(root, _bytes("lost device"), 29_400_002).to_text()
    kept = Wallet(Path("people"), seed, entropy, "노트북", line, (line, other), (lost,))
    kept = kept.begun(submission, secrets, "suggestion", {"ab" * 32: "길.png"})
    kept = kept.settled(submission.filing.key, entry=7, receipt=b"receipt", standing="accepted")
    salt = _bytes("salt")
    plain = open_text(kept.exported(PASSPHRASE, salt), PASSPHRASE)
    return [
        {
            "name": "a person, two devices, a request",
            "passphrase": PASSPHRASE,
            "salt": salt.hex(),
            "cost": COST,
            "entropy": entropy.hex(),
            "root": root.public.hex(),
            "request": submission.filing.key.hex(),
            "plain": json.loads(plain),
            "exported": seal_text(plain, PASSPHRASE, salt, COST),
        }
    ]
