"""The rows beside civic logs, for an operator's tools: made again from leaves, and compared with them.

What they mean is for the services to know, so both need the declarations that the node has.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.civic.kept import Ledger, Rows
from p2pworld.services.replay import Replay, row_faults
from p2pworld.services.working_time import OfficeCalendar
from shard_node.services.folder import read
from shard_node.storage.journal import StorageFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from p2pworld.civic.kept import Change, Kept
    from p2pworld.civic.transaction import Leaf
    from shard_node.services.settings import ServicesConfig

__all__ = ["RowsOfServices"]


class RowsOfServices:
    """By the declarations that this configuration gives."""

    def __init__(self, config: ServicesConfig) -> None:
        self._catalogue, self._calendar = read(config.folder), OfficeCalendar(config.holidays)

    def made_again(self, stream: str, begin: int, leaves: Sequence[Leaf], kept: Kept) -> tuple[Change, ...]:
        """What leaves that are entries from `begin` on, and can be read in `kept`, change in the rows beside a log.

        Raises:
            StorageFailed: leaves are about a service that is not declared (`undeclared`): without its rows its places
                would be given away again.
        """
        ledger = Ledger(Rows(kept), begin + len(leaves), 0, 0, [], kept)
        replay = Replay(stream, self._catalogue, self._calendar, ledger)
        for index, leaf in enumerate(leaves, begin):
            replay.take(index, leaf.filing)
        if replay.undeclared:
            names = ", ".join(sorted(replay.undeclared))
            raise StorageFailed(
                "undeclared",
                f"In the log of {stream} are requests of {names}: put the declaration back first.",
            )
        replay.finish()
        return ledger.rows.changes()

    def wrong(self, stream: str, entries: Iterable[bytes], rows: Mapping[str, bytes]) -> list[str]:
        """How the rows beside a log differ from what its leaves make of them."""
        return list(row_faults(stream, self._catalogue, self._calendar, entries, rows))
