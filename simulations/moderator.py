"""A moderator of a simulated city, who has a lantern taken down for good, at one node, as `p2pworld moderate` does.

What the node has said to keep must be gone in the end, wherever that lantern was and whoever was away meanwhile.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import NodeKeys, PersonKeys
from p2pworld.errors import Refusal
from p2pworld.grants import sign_grant
from p2pworld.world.moderation import CITY, pack_sanction, sign_sanction
from simulations.machine import WALL_MS

if TYPE_CHECKING:
    from p2pworld.world.moderation import Sanction
    from simulations.faults import Fault
    from simulations.machine import Process
    from simulations.ordeal import Ordeal, Victim
    from simulations.workload import Deed

__all__ = ["ROOTS", "Moderator"]

_ROOT: Final = NodeKeys.from_seed(hashlib.sha256(b"root").digest())
_KEYS: Final = PersonKeys.from_seed(hashlib.sha256(b"moderator").digest())
_DAY_MS: Final = 86_400_000
_GRANT: Final = sign_grant(
    _ROOT, _KEYS.public, "moderator", ("cells:*",), WALL_MS - _DAY_MS, WALL_MS + 365 * _DAY_MS
)
_LOOK_S: Final = 0.1
ROOTS: Final = frozenset({_ROOT.public})  # that the city's nodes believe


class Moderator:
    """Gives orders, and asks again until the node says that it keeps them."""

    def __init__(self, run: Victim, ordeal: Ordeal) -> None:
        self._run, self._ordeal = run, ordeal

    def expunge(self, fault: Fault) -> None:
        """Have one of the lanterns taken down that somebody was told is safe; `by` picks it among them, of 1."""
        safe = [deed for deed in self._run.ledger.deeds if deed.durable and deed.verb == "hang"]
        process = self._run.roster[fault.on[0]].process
        if not safe or process is None:
            return
        deed = safe[int(fault.by * len(safe))]
        now_ms = WALL_MS + int(self._run.agenda.now_s * 1000)
        until_ms = now_ms + 30 * _DAY_MS
        order = sign_sanction(_KEYS, (_GRANT,), "expunge", deed.object_id, CITY, now_ms, until_ms, "rules")
        self._ordeal.note("expunge", f"a moderator has {deed.text!r} taken down at {process.name}")
        deed.expunged = "asked"
        process.do(lambda: self._give(process, order, deed))

    def _give(self, process: Process, order: Sanction, deed: Deed) -> None:
        taken = process.order(pack_sanction(order))
        if not isinstance(taken, Refusal):
            self._look(process, order, deed)

    def _look(self, process: Process, order: Sanction, deed: Deed) -> None:
        if not process.alive:
            return
        if process.node.is_kept(order):
            deed.expunged = "kept"
            line = f"{process.name} keeps the order on {deed.text!r}"
            self._run.trace.say(self._run.agenda.now_s, line)
        else:
            self._run.agenda.after(_LOOK_S, lambda: self._look(process, order, deed))
