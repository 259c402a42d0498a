"""How a file is attached to a filing: whose name it is put under, and under which key it is locked.

Both are made of the filing's own secret and of what the file is, so whoever can open what is sealed, and nobody else,
knows where each file is and can read it; erasing what is sealed makes both unknown for ever. The name is a public key,
with which whoever files signs for what they bring (`civic.attached`).
"""

from __future__ import annotations

import hashlib
from typing import Final

from p2pworld.crypto.keys import Signer

__all__ = ["attachment_key", "attachment_owner"]

_KEY_NAME: Final = b"p2pworld attachment key v1\n"
_OWNER_NAME: Final = b"p2pworld attachment owner v1\n"


def attachment_key(blob_key: bytes, digest: bytes) -> bytes:
    """The 32 bytes that lock a file of this SHA-256, and nothing else, beside a blob that `blob_key` locks."""
    return hashlib.sha256(_KEY_NAME + blob_key + digest).digest()


def attachment_owner(blob_key: bytes, digest: bytes) -> Signer:
    """The key that owns it; the public half is the name under which it is put."""
    return Signer.from_seed(hashlib.sha256(_OWNER_NAME + blob_key + digest).digest())
