"""What one process of bots is told to do, as a file that the run writes and the process reads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Job", "key_seed"]


@dataclass(frozen=True, slots=True)
class Job:
    """One process' share of a crowd.

    Its bots are the rows `first` to `first + count` of the table (with `bots` rows) in the file `table`. The first
    `members` come in at the start, `churn_per_s` of them leave each second and as many of the others come. Guests come
    in later and leave earlier; who is deaf reads nothing after WELCOME, until the guests are to leave. `box` is where
    they stand: west, south, east and north in centimetres. Those of a `node` (from 0) live within its process.
    """

    table: str
    bots: int
    party: int
    first: int
    count: int
    members: int
    urls: tuple[str, ...]
    report: str
    box: tuple[int, int, int, int]
    standing: float = 0.8
    churn_per_s: float = 0.0
    scale: float = 1.0
    seed: int = 1
    watching: bool = False
    guests: bool = False
    deaf: bool = False
    node: int = -1
    certificate: str = ""

    def write(self, path: Path) -> None:
        """Writes it to a file, for `read`."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Job:
        """The job of a file."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        return cls(**fields | {"urls": tuple(fields["urls"]), "box": tuple(fields["box"])})


def key_seed(seed: int, row: int) -> bytes:
    """The 32 bytes from which the key of the bot in this row is made."""
    return hashlib.sha256(f"p2pworld bench {seed} {row}".encode()).digest()
