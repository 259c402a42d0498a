"""Mutants that no attempt shows, and why each may live: what else holds the promise, or what is merely slower.

A name that no longer exists fails a test, as does one that is known to be caught after all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ARGUED"]

_TICKET: Final = (
    "follows from SAME_R as long as no ticket is drawn twice; a machine set back to an earlier snapshot draws the same"
    " ones again in another incarnation, and no simulated machine is"
)
_TOLD_SOON: Final = "what has become durable is told in the next tick anyway; only a part of a tick is lost"
_READS_ANYWAY: Final = (
    "a node reads the map four times a second whether it was hinted at a newer one or not; what waits for the map waits"
    " a quarter of a second longer, far less than any timer"
)
_SAME_REGISTER: Final = "it only saves time: the order by stamp and encoding below it names the same winner"
_SAME_GONE: Final = (
    "both branches find the same dots; which of them looks through less is all the comparison decides"
)
_TOLD_TWICE: Final = (
    "who is told of a login it knows ignores it: Outlived asks for a larger one than is known"
)

ARGUED: Final[dict[str, str]] = {
    # ---- handoff
    "handoff.tables: row: ROW[(_R, RowOn.ATTACHED)] 0: guard Guard.LAPSED": (
        "without it a second ATTACHED never has the commit sent again, and the client, let go after a second, logs in"
        " anew: nobody is lost, but a moment is"
    ),
    "handoff.tables: row: SEAT[(_S, SeatOn.TICKET)] 0: guard Guard.RIGHT_LOGIN": (
        "clients show a ticket under the login it was given for; the guard is against others: a row must not be"
        " steered by a socket of another login"
    ),
    "handoff.tables: row: SEAT[(_A, SeatOn.COMMIT)] 0: guard Guard.FOR_ME": _TICKET,
    "handoff.tables: row: SEAT[(_A, SeatOn.COMMIT)] 1: guard Guard.FOR_ME": _TICKET,
    "people.People._on: without: after.row.at is RowAt.NONE": (
        "a floor armed for somebody who is here comes to nothing: `_forget` looks again at who is here when it is due,"
        " and it is armed anew when they leave"
    ),
    "presence.Directory.put: shift: login > entry.login": _TOLD_TWICE,
    "presence.Directory.put: without: entry.at != said_by": _TOLD_TWICE,
    "core.peers.Peers.said: never: if said.batch.map_version > parts.city.version": _READS_ANYWAY,
    "core.peers.Peers.said: shift: said.batch.map_version > parts.city.version": (
        "`Ownership.hint` compares the versions again and takes no hint at the map it has"
    ),
    "core.peers.Peers.said: drop: parts.ownership.hint(said.batch.map_version)": _READS_ANYWAY,
    "core.peers.Peers._peer_message: drop: self._tending.tell_changes(now)": _TOLD_SOON,
    # ---- map
    "citymap.steps._next: without: [*cells] != [*city.cells]": (
        "it only saves sorting what stands in curve order already"
    ),
    "citymap.steps.claim: without: for … if c != cell": (
        "the cell would be entered with what its ground was, and is overwritten with its new holding in the next line"
    ),
    # ---- lease
    "core.node.Node.advance: drop: self._tending.tell_changes(now)": _TOLD_SOON,
    "core.node.Node._follow_ownership: drop: parts.people.lapsed = True": (
        "an ended incarnation has no number and no deadline, so the last line of the same function says the same"
    ),
    # ---- object
    "crdt.ormap.ORMap.merge_in: without: theirs is not mine": (
        "it only saves time: whatever is the same object is also below itself"
    ),
    "crdt.ormap.ORMap._gone_in: never: if len(other.context) < len(self._live)": _SAME_GONE,
    "crdt.ormap.ORMap._gone_in: shift: len(other.context) < len(self._live)": _SAME_GONE,
    "crdt.clock.CausalContext.merge_in: shift: upto > self._upto.get(replica, 0)": (
        "at equal counts what is there is written once more, and nothing beyond it is left out"
    ),
    "crdt.counter.PNCounter.add: shift: amount >= 0": "nothing added is nothing taken: both tallies stay as they are",
    "crdt.counter.PNCounter.merge: never: if self is other": "it only saves time: the larger of two equals is either",
    "crdt.register.Register.merge: never: if self is other": _SAME_REGISTER,
    "crdt.register.Register.merge: never: if self.stamp != other.stamp": _SAME_REGISTER,
    "crdt.register.Register.merge: shift: self.stamp > other.stamp": (
        "the line above has found the stamps to differ, so larger and not smaller are the same"
    ),
}
