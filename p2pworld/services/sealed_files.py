"""A file that is attached to a filing, as it lies in the store of the log's holder: locked, under a name of its own.

Key and name follow from the filing's blob key and the file's hash, which the form holds: whoever reads the filing finds
the file and opens it, and nobody else. Each file has its own key, so one key locks one thing.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

from p2pworld.crypto.seal import lock, unlock
from p2pworld.services.attaching import attachment_key, attachment_name

__all__ = ["SealedFile", "opened", "sealed_file"]


class SealedFile(NamedTuple):
    """What is brought to the holder: the name (32 bytes) and the locked bytes."""

    name: bytes
    locked: bytes


def sealed_file(blob_key: bytes, file: bytes) -> SealedFile:
    """The file as it is brought, beside the filing with this blob key."""
    digest = hashlib.sha256(file).digest()
    return SealedFile(attachment_name(blob_key, digest), lock(attachment_key(blob_key, digest), file))


def opened(blob_key: bytes, digest: bytes, locked: bytes) -> bytes:
    """The file with this hash.

    Raises:
        RemoteError: these bytes are not that file, locked beside this filing (`seal`).
    """
    return unlock(attachment_key(blob_key, digest), locked)
