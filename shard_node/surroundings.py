"""What a node has only as long as its surroundings last: room on the disk, certificates, grants.

The disk is asked now and then, in a thread, because one that hangs must not hold up the crowd.
"""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import trio

from shard_node.certificates import not_after_ms

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from p2pworld.grants import Grant
    from shard_node.certificates import WebCertificate

__all__ = ["DISK_EVERY_S", "Disk", "Surroundings", "look_at_disk"]

DISK_EVERY_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Disk:
    """How much room there was, and how much of it the journal takes."""

    free_bytes: int
    total_bytes: int
    journal_bytes: int


def look_at_disk(journal: Path) -> Disk:
    """The disk that this journal is on.

    Raises OSError.
    """
    usage = shutil.disk_usage(journal.parent)
    files = [journal, journal.with_name(f"{journal.name}-wal")]
    return Disk(usage.free, usage.total, sum(file.stat().st_size for file in files if file.exists()))


class Surroundings:
    """Run `run` beside the node and read `gauges`. `store_certificate` is this node's own towards the store.

    Raises ConfigError: that holds no certificate.
    """

    def __init__(
        self,
        journal: Path,
        grants: Sequence[Grant],
        certificate: WebCertificate | None,
        store_certificate: Path | None,
    ) -> None:
        self.counters: Counter[str] = certificate.counters if certificate else Counter()
        self._journal = journal
        self._grant_ends_ms = min(grant.not_after_ms for grant in grants)
        self._certificate = certificate
        self._store_ends_ms = (
            not_after_ms(store_certificate, "coordination.cert_file") if store_certificate else None
        )
        self._disk: Disk | None = None

    async def run(self) -> None:
        """Looks at the disk for ever."""
        while True:
            try:
                self._disk = await trio.to_thread.run_sync(look_at_disk, self._journal)
            except OSError:
                self.counters["disk_unseen"] += 1
            await trio.sleep(DISK_EVERY_S)

    def gauges(self, wall_ms: int) -> dict[str, float]:
        """What is left of each."""
        found = {"grant_left_s": (self._grant_ends_ms - wall_ms) / 1000}
        if self._disk is not None:
            found["disk_free_bytes"] = float(self._disk.free_bytes)
            found["disk_bytes"] = float(self._disk.total_bytes)
            found["journal_bytes"] = float(self._disk.journal_bytes)
        if self._certificate is not None:
            found["certificate_left_s"] = (self._certificate.not_after_ms - wall_ms) / 1000
            found["certificate_refused"] = float(self._certificate.refused)
        if self._store_ends_ms is not None:
            found["store_certificate_left_s"] = (self._store_ends_ms - wall_ms) / 1000
        return found
