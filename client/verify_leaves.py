"""Reads a log's entries as leaves and checks their signatures, on every core there is.

A leaf's signature costs thirty times what its hashes do. So bundles are handed to other processes while the log is
read on, and what they find is told in the log's order, whoever was done first: on one core or a hundred the answer is
the same. Of a short log this process checks each bundle at once, because another process takes longer to start.
"""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.civic.erasure import check_erasure
from p2pworld.civic.transaction import parse_leaf, verify_filing
from p2pworld.errors import RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from client.verify_log import CheckLeaves

__all__ = ["BadLeaf", "bad_leaves", "check_leaf", "leaf_checks"]

LEAVES_A_PROCESS: Final = 8_192  # 0.7 s of checking: twice what its start costs
PROCESSES_MAX: Final = 61  # that one waits for on Windows


class BadLeaf(NamedTuple):
    """The entry at `place` among those given is no good leaf, and why."""

    place: int
    reason: str
    sentence: str


def check_leaf(entry: bytes) -> None:
    """Returns if the entry is a leaf that its transaction's own key signed, and an erasure's asker too.

    Raises:
        RemoteError: it is not (`parse_leaf`'s reasons, `civic-signature`).
    """
    leaf = parse_leaf(entry)
    if not verify_filing(leaf.filing, leaf.sig):
        raise RemoteError("civic-signature", "the transaction's key did not sign this leaf")
    if refusal := check_erasure(leaf.filing):
        raise RemoteError(refusal.reason, refusal.sentence)


def bad_leaves(entries: list[bytes]) -> list[BadLeaf]:
    """Those of these entries that are no good leaves."""
    found = []
    for place, entry in enumerate(entries):
        try:
            check_leaf(entry)
        except RemoteError as error:
            found.append(BadLeaf(place, error.reason, str(error)))
    return found


@contextmanager
def leaf_checks(size: int, processes: int | None = None) -> Iterator[CheckLeaves]:
    """What checks the bundles of a log of `size` within the context, in as many processes as that deserves."""
    wanted = min(processes or os.cpu_count() or 1, PROCESSES_MAX, size // LEAVES_A_PROCESS)
    if wanted < 2:
        yield _at_once
        return
    pool = ProcessPoolExecutor(wanted, get_context("spawn"), _leave_interrupts_alone)
    try:
        yield lambda entries: pool.submit(bad_leaves, entries).result
    finally:
        pool.shutdown(cancel_futures=True)


def _at_once(entries: list[bytes]) -> Callable[[], list[BadLeaf]]:
    found = bad_leaves(entries)
    return lambda: found


def _leave_interrupts_alone() -> None:
    """Ctrl-C ends the reader, and that ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
