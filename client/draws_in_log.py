"""The leaves of draws in the folder of a log, as they are published: read, and hashed against the checkpoint there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from p2pworld.civic.transaction import Filing
from shard_node.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from client.verify_leaves import BadLeaf
    from p2pworld.services.draw_log import Draw

__all__ = ["LoggedDraw", "read_draws"]

_UNSIGNED = "its own key did not sign this leaf"


@dataclass(slots=True)
class LoggedDraw:
    """One draw: its leaves with their places in the log and their hashes, and the places of those nobody signed."""

    stream: str
    name: str
    leaves: list[tuple[int, Filing, bytes]] = field(default_factory=list)
    unsigned: list[int] = field(default_factory=list)

    def recompute(self) -> tuple[Draw, list[tuple[int, str, str]]]:
        """The draw after all of its leaves, and what is wrong: where, the reason, a sentence."""
        from p2pworld.services.draw_log import recompute

        drawn, refused = recompute(
            self.stream, self.name, [(filing, digest) for _, filing, digest in self.leaves]
        )
        faults = [(self.leaves[i][0], refusal.reason, refusal.sentence) for i, refusal in refused]
        faults += [(index, "civic-signature", _UNSIGNED) for index in self.unsigned]
        return drawn, sorted(faults)


def read_draws(log: Path) -> list[LoggedDraw]:
    """All draws of the log in this folder, in the order in which they begin.

    Raises:
        ConfigError: it cannot be read, or is not what its checkpoint says.
    """
    from client.verify_log import Wanted, read_log
    from p2pworld.civic.transaction import parse_leaf, verify_filing
    from p2pworld.errors import RemoteError
    from p2pworld.merkle.checkpoint import Checkpoint
    from p2pworld.merkle.note import parse_note
    from p2pworld.merkle.tree import leaf_hash
    from p2pworld.services.draw_log import DRAW_TYPES

    found: dict[tuple[str, str], LoggedDraw] = {}
    count = 0

    def take(entries: Sequence[bytes]) -> Callable[[], list[BadLeaf]]:
        nonlocal count
        for entry in entries:
            leaf = parse_leaf(entry)
            filing = leaf.filing
            if filing.type in DRAW_TYPES and filing.public and filing.public[0].name == "draw":
                which = filing.stream, filing.public[0].value
                one = found.setdefault(which, LoggedDraw(*which))
                one.leaves.append((count, filing, leaf_hash(entry)))
                if not verify_filing(filing, leaf.sig):
                    one.unsigned.append(count)
            count += 1
        return list

    try:
        checkpoint = Checkpoint.parse(parse_note((log / "checkpoint").read_bytes()).text)
        read = read_log(log, checkpoint.size, checkpoint.root, Wanted(check_leaves=take))
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be read: {error.strerror}.") from None
    except RemoteError as error:
        raise ConfigError(f"{log} is no log: {error}.") from None
    if read.faults:
        raise ConfigError(f"{log} is not what its checkpoint says: {read.faults[0].sentence}.")
    return list(found.values())
