"""Mutants that no attempt shows, and why each may live: what else holds the promise, or what is merely slower.

A name that no longer exists fails a test, as does one that is known to be caught after all.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ARGUED"]

_REFUSED: Final = (
    "the step itself refuses it, so nothing is proposed either way; only the count of refusals would grow"
)
_SAME_ITSELF: Final = "merging a state into itself changes nothing; the condition only saves doing it"
_LOOKED_AT_AGAIN: Final = "it only saves looking again at a cell in which nothing is due"
_COUNTS_NONE: Final = "a count of none reads as no count, and goes with its socket or its peer"
_SAME_REGISTER: Final = "it only saves time: the order by stamp and encoding below it names the same winner"

ARGUED: Final[dict[str, str]] = {
    # ---- handoff
    "handoff.tables: row: ROW[(_O, RowOn.SOCKET_LOST)] 0: act Act.DROP_SOCKET": (
        "a row that has become DORMANT keeps its login and hop alone, so its socket is gone with the rest; the act"
        " stands there because the other three states that lose a socket need it"
    ),
    # ---- map
    "citymap.steps._next: without: [*cells] != [*city.cells]": (
        "it only saves sorting what stands in curve order already"
    ),
    "citymap.steps.claim: without: for … if c != cell": (
        "the cell would be entered with what its ground was, and is overwritten with its new holding in the next line"
    ),
    "citymap.steps._without: never: if old.holder != gone and gone not in old.standbys": (
        "it only saves making an equal holding anew: taking off a list who is not on it leaves the list as it is"
    ),
    "ownership.Ownership._is_awaited: row: case _": (
        "without it the match ends with nothing, which is as false as what it says"
    ),
    "proposals.Proposals._held_by: without: for … if holding.holder == who": (
        "no step gives a stream a standby, so a stream that another holds adds nobody to the lists that are asked for"
    ),
    "proposals.Proposals._add_standbys: without: self._city.is_listed(peer)": _REFUSED,
    "proposals.Proposals._hold_streams: without: stream.shared #2": _REFUSED,
    "proposals.Proposals._hold_streams: without: holding.holder == self.who": _REFUSED,
    "proposals.Proposals._steward: without: city.format == 1": _REFUSED,
    "proposals.Proposals._drain: without: self._city.format == 1": _REFUSED,
    "proposals.Proposals._drain: without: not self._city.takes(self.who)": _REFUSED,
    "proposals.Proposals.newly_guarding: without: old.holder == self.who": (
        "no proposal both takes ground and lists a standby of it that was none before"
    ),
    "proposals.Proposals._take: never: if not self._unheld_since_s": (
        "it only saves looking through a map without unheld ground for ground to take"
    ),
    # ---- object
    "objects.Objects.begin: drop: self._station.me = me": (
        "a new incarnation has no record until a map is applied, and who it is is asked of records alone; the map says"
        " it once more"
    ),
    "objects.Objects.apply_map: without: holding.holder != me": (
        "whoever newly holds ground holds it under a new epoch, so the epochs differ as well"
    ),
    "objects.Objects.apply_map: never: if record.held": (
        "a held record listens to nobody, so that there is nobody to let go of, and it is not shelved, being mine"
    ),
    "objects.Objects._related: without: other != cell": (
        "the cell itself is not among what is known: `_record` has just taken it out of there"
    ),
    "objects.Objects._related: without: record.cell != cell": _SAME_ITSELF,
    "objects.Objects._take: without: holding.holder == self._station.me": (
        "a record is held exactly where the map that was applied, which is the one passed, gives ground to this node"
    ),
    "objects.Objects.link_down: drop: self._audit.link_down(peer, out)": (
        "a comparison with a node that is gone is given up when its time is over, some seconds later, and until then"
        " only keeps its own cell from being compared again"
    ),
    "objects.Objects.tick: drop: self._retry_s = math.inf": (
        "a cell whose write is under way, or has ended well, begins none; if it fails the time is set anew"
    ),
    "objects.Objects.tick: without: not record.held.based": (
        "`pump` begins nothing in a cell that is on the disk and in which nothing waits"
    ),
    "objects.Objects._written: drop: record.n = max(record.n, batch.n)": (
        "the cell is held under a new epoch, which is compared before the number; its numbers may begin anywhere"
    ),
    "object_holder.Holder.tick: drop: self._owing.discard(cell)": _LOOKED_AT_AGAIN,
    "object_holder.Holder.take_fresh: drop: self._fresh.clear()": _LOOKED_AT_AGAIN,
    "objects.Objects._hold: drop: record.n = max(record.n, n)": (
        "a guard has no larger n of a cell than its holder has of the same name, and ground that comes back is a change"
    ),
    "object_keeper.Keeper.heard: drop: record.unfollow()": (
        "the map that lets another holder speak has been applied before it does, and that let go of the old one"
    ),
    "object_keeper.Keeper.heard: never: (writing.epoch, writing.n) if writing else (record.epoch, record.n)": (
        "what is being written and comes again is only written once more, with the same outcome"
    ),
    "crdt.ormap.ORMap.merge_in: without: theirs is not mine": (
        "it only saves time: whatever is the same object is also below itself"
    ),
    "crdt.ormap.ORMap._gone_in: never: if len(other.context) < len(self._live)": (
        "both branches find the same dots; which of them looks through less is all the comparison decides"
    ),
    "crdt.counter.PNCounter.merge: never: if self is other": "it only saves time: the larger of two equals is either",
    "crdt.register.Register.merge: never: if self is other": _SAME_REGISTER,
    "crdt.register.Register.merge: never: if self.stamp != other.stamp": _SAME_REGISTER,
    # ---- civic
    "civic.log.LogHolder.tick: without: self._step": (
        "the time to try again is set while a step is under way, and cleared with it"
    ),
    "civic.log.LogHolder.tick: without: not self._down": (
        "while it is down nobody is let in and what fails is told at once, so there is nobody to be told again"
    ),
    "civic.log.LogHolder._next_batch: without: for … if filed.unfit": (
        "whoever may be taken is not looked up, or is found to have no reason: the plan treats both alike"
    ),
    "civic.log.LogHolder.cosigned: without: result.checkpoint.text != self._asked.text": (
        "witnesses are at one checkpoint at a time, and asked again only when they have answered: what comes is of it"
    ),
    "civic.log.LogHolder._recorded: never: self._close(Stage.DEPOSED) if found and found.epoch > self._epoch else …": (
        "who has recorded under a newer epoch has fenced the store before, so the fence that follows says the same"
    ),
    "civic.log.LogHolder._answer: drop: self._batch, self._outcomes, self._files = ([], (), None)": (
        "the next batch takes the place of all three before anything looks at them"
    ),
    "civic.log.LogHolder._close: drop: self._batch, self._outcomes = ([], ())": (
        "a holder that has closed takes no step any more, and nothing else reads them"
    ),
    "civic.relay.Relay.map_changed: without: me.number": (
        "a node without a lease is incarnation 0 of itself, which no map ever names as a holder"
    ),
    "civic.relay.Relay._count_down: never: if not self._of[asker]": _COUNTS_NONE,
    "civic.relay.Relay._count_down: drop: del self._of[asker]": _COUNTS_NONE,
    "civic.relay._asker: row: case _": "whoever is neither a socket nor a peer is None either way",
}
