"""Keeps what a node knows was taken back, and what the coordination store's board says, the same.

Twice a second the board is asked whether there is anything new; what is new goes to the node, and what only the node
knows is posted. So a notice that came by a link reaches those who have only the store, and the other way round, and a
store that was restored from a copy learns again what it forgot. When the node itself has lost its grant, that is told.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

import trio

from p2pworld.errors import Refusal
from p2pworld.limits import NOTICES_EVERY_S, NOTICES_WHOLE_S
from p2pworld.revocation import Succession, pack_notice
from shard_node.coordination.interface import CoordinationDown

if TYPE_CHECKING:
    from collections.abc import Collection

    from p2pworld.grants import Grant
    from shard_node.coordination.interface import Coordination
    from shard_node.execute import Executor

__all__ = ["Noticing"]

_POSTS: Final = 64  # at a time; the rest in the next turn

log = logging.getLogger(__name__)


class Noticing:
    """One node's eye on the board. `fault` says why the node may take part no longer."""

    def __init__(self, executor: Executor, store: Coordination) -> None:
        self.fault: Refusal | None = None
        self._executor, self._store = executor, store
        self._number = -1
        self._posted: Collection[bytes] = ()
        self._whole_s = 0.0

    def tell_former(self, grants: tuple[Grant, ...]) -> None:
        """Let everybody know which keys this node had before: they count no longer."""
        for place, grant in enumerate(grants, 1):
            if grant.succeeds:
                self._executor.take_back(pack_notice(Succession(grants[:place])))

    async def run(self) -> Refusal:
        """Looks until this node itself has lost its grant, and says why."""
        while (fault := self._executor.ask_node(lambda node, at: node.own_fault(at))) is None:
            await trio.sleep(NOTICES_EVERY_S)
            await self.look()
        self.fault = fault
        return fault

    async def look(self) -> None:
        """One turn: read what is new, post what is missing. While the store is away, nothing."""
        try:
            await self._read()
            await self._post()
        except CoordinationDown as error:
            self._executor.counters[f"notices_failed_{error.reason}"] += 1

    async def _read(self) -> None:
        now_s = trio.current_time()
        whole = now_s >= self._whole_s
        board = await self._store.notices(-1 if whole else self._number)
        if whole:
            self._whole_s = now_s + NOTICES_WHOLE_S
        if board.notices is None:
            return
        self._posted = set(board.notices)
        for name, data in board.notices.items():
            taken = self._executor.take_back(data)
            if isinstance(taken, Refusal) and taken.reason == "expired":
                await self._store.take_down(name)
        self._number = board.number

    async def _post(self) -> None:
        missing = self._executor.ask_node(lambda node, at: node.notices_beyond(self._posted))
        for name, data in missing[:_POSTS]:
            if not await self._store.post(name, data):
                self._executor.counters["notices_board_full"] += 1
                log.error("the coordination store has no room for what was taken back")
                return
            self._posted = {*self._posted, name}
