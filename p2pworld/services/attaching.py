"""How a file is attached to a filing: under which name it is put, and under which key it is locked.

Both are made of the filing's own secret and of what the file is, so whoever can open what is sealed, and nobody else,
knows where each file is and can read it; erasing what is sealed makes both unknown for ever.
"""

from __future__ import annotations

import hashlib
from typing import Final

__all__ = ["attachment_key", "attachment_name"]

_KEY_NAME: Final = b"p2pworld attachment key v1\n"
_NAME_NAME: Final = b"p2pworld attachment name v1\n"


def attachment_key(blob_key: bytes, digest: bytes) -> bytes:
    """The 32 bytes that lock a file of this SHA-256, and nothing else, beside a blob that `blob_key` locks."""
    return hashlib.sha256(_KEY_NAME + blob_key + digest).digest()


def attachment_name(blob_key: bytes, digest: bytes) -> bytes:
    """The 32 bytes under which it is put."""
    return hashlib.sha256(_NAME_NAME + blob_key + digest).digest()
