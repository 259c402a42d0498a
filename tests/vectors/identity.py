"""Makes identity.json: roots, their nine words, and what they say of devices."""

from __future__ import annotations

import hashlib
from typing import Any

from p2pworld.crypto.keys import Signer
from p2pworld.services.identity import root_of, sign_device, sign_lost, words_of


def identity() -> list[dict[str, Any]]:
    """Three roots, each with a device that it lost."""
    entropies = {
        "zeros": bytes(16),
        "ones": b"\xff" * 16,
        "some": hashlib.sha256(b"entropy").digest()[:16],
    }
    return [_vector(name, entropy) for name, entropy in entropies.items()]


def _vector(name: str, entropy: bytes) -> dict[str, Any]:
    root = root_of(entropy)
    seed = hashlib.sha256(f"device of {name}".encode()).digest()
    device = sign_device(root, Signer.from_seed(seed).public, "전화기 📱", 29_400_000)
    lost = sign_lost(root, device.device, 29_500_000)
    return {
        "name": name,
        "entropy": entropy.hex(),
        "words": words_of(entropy),
        "root_seed": root.seed.hex(),
        "root": root.public.hex(),
        "device_seed": seed.hex(),
        "device": device.device.hex(),
        "label": device.label,
        "minute": device.minute,
        "device_signed": device.statement().hex(),
        "device_text": device.to_text(),
        "lost_minute": lost.minute,
        "lost_signed": lost.statement().hex(),
        "lost_text": lost.to_text(),
    }
