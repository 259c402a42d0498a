"""A file that is attached to a filing, as it lies in the store of the log's holder: locked, under a name of its own.

Key and name follow from the filing's blob key and the file's hash, which the form holds: whoever reads the filing finds
the file and opens it, and nobody else. Each file has its own key, so one key locks one thing.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

from p2pworld.civic.attached import files_paper, sign_put
from p2pworld.crypto.seal import lock, unlock
from p2pworld.services.attaching import attachment_key, attachment_owner

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.civic.transaction import Paper

__all__ = ["SealedFile", "opened", "paper_of_files", "sealed_file"]


class SealedFile(NamedTuple):
    """What is brought to the holder: the name (32 bytes), its signature over the rest (64), and the locked bytes."""

    name: bytes
    sig: bytes
    locked: bytes


def sealed_file(stream: str, blob_key: bytes, file: bytes) -> SealedFile:
    """The file as it is brought to a stream, beside the filing with this blob key."""
    digest = hashlib.sha256(file).digest()
    owner, locked = attachment_owner(blob_key, digest), lock(attachment_key(blob_key, digest), file)
    return SealedFile(owner.public, sign_put(owner, stream, hashlib.sha256(locked).digest()), locked)


def paper_of_files(blob_key: bytes, digests: Iterable[bytes], filing_key: bytes) -> Paper:
    """The paper by which the filing with these keys names files of these SHA-256."""
    return files_paper((attachment_owner(blob_key, digest) for digest in digests), filing_key)


def opened(blob_key: bytes, digest: bytes, locked: bytes) -> bytes:
    """The file with this hash.

    Raises:
        RemoteError: these bytes are not that file, locked beside this filing (`seal`).
    """
    return unlock(attachment_key(blob_key, digest), locked)
