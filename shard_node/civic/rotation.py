"""An office changes its key: what was sealed for the old one is wrapped for the new one, in the store as it is.

Blobs and nonces stay; of each only the wrap for the old key is written over, and is as long as before. What was filed
is still what was signed for, because the hash of the wraps as filed is kept beside them. Copies of the store open with
the old key for as long as anybody has both.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, NamedTuple

from p2pworld.civic.transaction import parse_sealed, rewrap
from p2pworld.crypto.seal import sealing_public
from p2pworld.errors import RemoteError
from p2pworld.limits import CIVIC_BATCH_MAX
from shard_node.civic.rows import sealed_of
from shard_node.civic.tables import empty_log, prepare, put_sealed, stream_row
from shard_node.storage.journal import StorageFailed
from shard_node.storage.sqlite import failure

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Rotated", "rewrap_store", "rewrapped"]


class Rotated(NamedTuple):
    """How many were wrapped anew, and which could not be, though they say that they are for the old key."""

    changed: int
    unreadable: tuple[int, ...]


def rewrapped(body: bytes, old: bytes, office_secret: bytes, new_office: bytes) -> bytes | None:
    """What is sealed, wrapped for the new key; None if it is not for the old one, or erased, or lost.

    Raises:
        RemoteError: it says that it is for the old key, which does not open it.
    """
    if not any(body):
        return None
    sealed = parse_sealed(body)
    if all(wrap.office != old for wrap in sealed.wraps):
        return None
    return rewrap(sealed, office_secret, new_office).to_bytes()


def rewrap_store(store: Path, stream: str, office_secret: bytes, new_office: bytes) -> Rotated:
    """Wrap for the public key `new_office` whatever is sealed for the holder of `office_secret`.

    It is done in several transactions, and can be done again: what is for the new key already stays. The caller has
    the store's lock.

    Raises:
        StorageFailed: the store cannot be used, or a row is damaged; what was done until then is done.
    """
    old, changed, after = sealing_public(office_secret), 0, -1
    unreadable: list[int] = []
    query = "SELECT * FROM sealed WHERE stream = ? AND number > ? ORDER BY number LIMIT ?"
    try:
        with closing(sqlite3.connect(store, isolation_level=None)) as db:
            prepare(db, store, None)
            number, _ = stream_row(db, stream) or (0, None)
            while rows := db.execute(query, [number, after, CIVIC_BATCH_MAX]).fetchall():
                db.execute("BEGIN IMMEDIATE")
                for row in rows:
                    after = row[1]
                    try:
                        body = rewrapped(sealed_of(*row), old, office_secret, new_office)
                        if body is not None:
                            put_sealed(db, number, after, body)
                            changed += 1
                    except RemoteError:  # the citizen's device wrapped something else
                        unreadable.append(after)
                db.execute("COMMIT")
            if not empty_log(db):
                raise StorageFailed(
                    "busy", f"Somebody reads from {store}: do this again, so that old wraps are gone."
                )
    except sqlite3.Error as error:
        raise failure(error, f"The civic store {store}") from error
    return Rotated(changed, tuple(unreadable))
