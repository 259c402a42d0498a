"""Sealed boxes: anybody may write to a public key, only its holder reads.

libsodium's anonymous boxes (X25519, XSalsa20-Poly1305). A sealing key is its own kind of key, never a signing one.
"""

from __future__ import annotations

import nacl.exceptions
from nacl.public import PrivateKey, PublicKey, SealedBox

from p2pworld.errors import LocalError, RemoteError

__all__ = ["OVERHEAD_BYTES", "seal", "sealing_public", "unseal"]

OVERHEAD_BYTES = 48


def sealing_public(secret: bytes) -> bytes:
    """The 32-byte public key of a 32-byte secret.

    Raises:
        LocalError: not 32 bytes.
    """
    return bytes(_private(secret).public_key)


def seal(public: bytes, data: bytes) -> bytes:
    """`data` for the holder of `public` alone, OVERHEAD_BYTES longer and different every time.

    Raises:
        LocalError: not a 32-byte key.
    """
    if len(public) != 32:
        raise LocalError(f"a sealing key is 32 bytes, not {len(public)}")
    return SealedBox(PublicKey(public)).encrypt(data)


def unseal(secret: bytes, sealed: bytes) -> bytes:
    """What was sealed for this 32-byte secret.

    Raises:
        RemoteError: sealed for another key, or altered (`seal`).
        LocalError: not a 32-byte secret.
    """
    try:
        return SealedBox(_private(secret)).decrypt(sealed)
    except (nacl.exceptions.CryptoError, nacl.exceptions.ValueError):
        raise RemoteError("seal", "this was not sealed for this key, or was altered") from None


def _private(secret: bytes) -> PrivateKey:
    if len(secret) != 32:
        raise LocalError(f"a sealing secret is 32 bytes, not {len(secret)}")
    return PrivateKey(secret)
