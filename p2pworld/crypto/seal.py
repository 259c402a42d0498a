"""Sealed boxes: anybody may write to a public key, only its holder reads; and locks, whose one key opens one thing.

libsodium's anonymous boxes (X25519, XSalsa20-Poly1305). A sealing key is its own kind of key, never a signing one. What
several may read, or what shall be unreadable once its key is gone, is locked under a key of its own that is sealed.
"""

from __future__ import annotations

import hashlib

import nacl.exceptions
from nacl.public import Box, PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox

from p2pworld.errors import LocalError, RemoteError

__all__ = [
    "LOCK_OVERHEAD_BYTES",
    "OVERHEAD_BYTES",
    "lock",
    "seal",
    "seal_with",
    "sealing_public",
    "secret_of_text",
    "secret_text",
    "unlock",
    "unseal",
]

OVERHEAD_BYTES = 48
LOCK_OVERHEAD_BYTES = 16
_SECRET_LINE = "p2pworld sealing secret"  # so that no signing key is taken for one
_NO_KEY = "this is no sealing key: everybody could read what was sealed for it"
_ONLY_NONCE = bytes(SecretBox.NONCE_SIZE)  # a key locks one thing only, so there is nothing to tell apart


def sealing_public(secret: bytes) -> bytes:
    """The 32-byte public key of a 32-byte secret.

    Raises:
        LocalError: not 32 bytes.
    """
    return bytes(_private(secret).public_key)


def secret_text(secret: bytes) -> str:
    """What is written into a file that keeps this secret."""
    return f"{_SECRET_LINE}\n{secret.hex()}\n"


def secret_of_text(text: str) -> bytes:
    """The 32-byte secret in such a file.

    Raises:
        LocalError: there is none.
    """
    line, _, digits = text.strip().partition("\n")
    try:
        secret = bytes.fromhex(digits)
    except ValueError:
        secret = b""
    if line.strip() != _SECRET_LINE or len(secret) != 32:
        raise LocalError("this is no sealing secret: make one with `p2pworld keys office`")
    return secret


def seal(public: bytes, data: bytes) -> bytes:
    """`data` for the holder of `public` alone, OVERHEAD_BYTES longer and different every time.

    Raises:
        LocalError: not a 32-byte key, or one of the few that are none.
    """
    if len(public) != 32:
        raise LocalError(f"a sealing key is 32 bytes, not {len(public)}")
    try:
        return SealedBox(PublicKey(public)).encrypt(data)
    except nacl.exceptions.CryptoError:
        raise LocalError(_NO_KEY) from None


def seal_with(ephemeral: bytes, public: bytes, data: bytes) -> bytes:
    """As `seal`, and the same every time: `ephemeral` is 32 random bytes that seal this for this key and nothing else.

    Raises:
        LocalError: not a 32-byte key, or not 32 bytes.
    """
    if len(public) != 32:
        raise LocalError(f"a sealing key is 32 bytes, not {len(public)}")
    secret, reader = _private(ephemeral), PublicKey(public)
    mine = bytes(secret.public_key)
    nonce = hashlib.blake2b(mine + public, digest_size=Box.NONCE_SIZE).digest()  # as libsodium's sealed boxes
    try:
        return mine + bytes(Box(secret, reader).encrypt(data, nonce).ciphertext)
    except nacl.exceptions.CryptoError:
        raise LocalError(_NO_KEY) from None


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


def lock(key: bytes, data: bytes) -> bytes:
    """`data` for whoever has these 32 random bytes, which must lock nothing else; LOCK_OVERHEAD_BYTES longer.

    Raises:
        LocalError: not 32 bytes.
    """
    return bytes(_secret_box(key).encrypt(data, _ONLY_NONCE).ciphertext)


def unlock(key: bytes, locked: bytes) -> bytes:
    """What was locked with this key.

    Raises:
        RemoteError: locked with another key, or altered (`seal`).
        LocalError: not 32 bytes.
    """
    try:
        return _secret_box(key).decrypt(locked, _ONLY_NONCE)
    except (nacl.exceptions.CryptoError, nacl.exceptions.ValueError):
        raise RemoteError("seal", "this was not locked with this key, or was altered") from None


def _secret_box(key: bytes) -> SecretBox:
    if len(key) != SecretBox.KEY_SIZE:
        raise LocalError(f"a lock's key is {SecretBox.KEY_SIZE} bytes, not {len(key)}")
    return SecretBox(key)


def _private(secret: bytes) -> PrivateKey:
    if len(secret) != 32:
        raise LocalError(f"a sealing secret is 32 bytes, not {len(secret)}")
    return PrivateKey(secret)
