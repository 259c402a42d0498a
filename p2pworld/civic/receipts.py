"""What a receipt of a filed transaction proves to whoever filed it, and the one thing it needs to be told for that.

A leaf holds the epoch of the holder that took it, which the citizen's device does not know. The holder writes it into
the receipt's extra data. Nobody has to believe it: with a wrong epoch the proof does not lead to the root.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from p2pworld.errors import RemoteError
from p2pworld.merkle.receipt import parse_receipt, verify_receipt
from p2pworld.merkle.tree import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Collection

    from p2pworld.civic.transaction import Submission
    from p2pworld.merkle.note import VerifierKey
    from p2pworld.merkle.receipt import Receipt

__all__ = ["check_filed", "noted", "noted_epoch"]

_EPOCH: Final = re.compile(rb"epoch (0|[1-9][0-9]{0,15})")


def noted(receipt: Receipt, epoch: int) -> Receipt:
    """The receipt that tells in which epoch its entry was taken."""
    return replace(receipt, extra=b"epoch %d" % epoch)


def noted_epoch(receipt: Receipt) -> int | None:
    """The epoch that a receipt tells, or None."""
    found = _EPOCH.fullmatch(receipt.extra)
    return int(found.group(1)) if found else None


def check_filed(
    data: bytes,
    submission: Submission,
    origin: str,
    log_keys: Collection[VerifierKey],
    witness_keys: Collection[VerifierKey] = (),
    quorum: int = 0,
) -> Receipt:
    """The receipt in `data`, proven to be of just this submission in the log `origin`, seen by `quorum` witnesses.

    Raises:
        RemoteError: it is none (`parse_receipt`'s reasons), it tells no epoch (`receipt-epoch`), or it does not prove
            that (`verify_receipt`'s reasons).
    """
    receipt = parse_receipt(data)
    epoch = noted_epoch(receipt)
    if epoch is None:
        raise RemoteError("receipt-epoch", "the receipt does not tell in which epoch the entry was taken")
    entry = submission.leaf(epoch).to_bytes()
    verify_receipt(receipt, leaf_hash(entry), origin, log_keys, witness_keys, quorum)
    return receipt
