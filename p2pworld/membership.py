"""Leases as one node sees them: who else has stopped renewing, and until when its own lease surely holds.

A lease is a row in the coordination store with a counter that its holder raises. Nobody compares clocks: an observer
judges a lease by its own clock, dead once the counter stood still for 1.2 of the time to live while reads kept
succeeding; the holder counts its deadline from before it sent the renewal. So the holder has stopped before anybody
judges, as long as their clocks run within a fifth of each other and a takeover compares the counter it judged by.
Times are seconds on a clock that also runs while the machine sleeps (CLOCK_BOOTTIME), passed in by the caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from p2pworld.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from p2pworld.ids import Incarnation

__all__ = ["DEAD_AFTER_TTL", "RENEWALS_PER_TTL", "Lease", "LeaseJudge", "OwnLease", "Renewal"]

DEAD_AFTER_TTL: Final = 1.2
RENEWALS_PER_TTL: Final = 4
_BLIND_TTL: Final = 0.5  # a gap between reads that makes the observer begin anew


class Lease(NamedTuple):
    """One incarnation's lease as the store shows it: how often it was renewed, and whether it has ended for good."""

    who: Incarnation
    counter: int
    ended: bool


class LeaseJudge:
    """Which leases have died, by the observer's own clock and linearizable reads alone.

    A judgement is no proof: it entitles to propose a takeover, in which the store compares the very counter that was
    judged. A renewal seen later lifts it; only an ended lease stays dead.
    """

    def __init__(self, ttl_s: float) -> None:
        _check_ttl(ttl_s)
        self._ttl_s = ttl_s
        self._leases: dict[Incarnation, Lease] = {}
        self._since_s: dict[Incarnation, float] = {}  # when the counter was first seen as it is
        self._renewed_s: dict[Incarnation, float] = {}  # when the counter was last seen to have been raised
        self._read_s: float | None = None
        self._dead: frozenset[Incarnation] = frozenset()

    def observe(self, leases: Iterable[tuple[Incarnation, int, bool]], now_s: float) -> None:
        """Take in one successful read of all leases; `now_s` is read after the answer has come.

        After a gap of more than half a time to live (the store was away, this process paused, the clock jumped)
        everybody gets their full time again: our own outage condemns nobody.
        """
        if self._read_s is not None and not 0 <= now_s - self._read_s <= self._ttl_s * _BLIND_TTL:
            self.restart()
        known, since_s = self._leases, self._since_s
        self._read_s = now_s
        self._leases = {who: Lease(who, counter, ended) for who, counter, ended in leases}
        self._since_s = {
            who: since_s.get(who, now_s) if who in known and known[who].counter == lease.counter else now_s
            for who, lease in self._leases.items()
        }
        raised = {
            who for who, lease in self._leases.items() if who in known and known[who].counter != lease.counter
        }
        self._renewed_s = {
            who: now_s if who in raised else self._renewed_s[who]
            for who in self._leases
            if who in raised or who in self._renewed_s
        }
        self._dead = frozenset(
            who
            for who, lease in self._leases.items()
            if lease.ended or now_s - self._since_s[who] >= self.patience_s
        )

    @property
    def patience_s(self) -> float:
        """How long a lease may be believed in that is renewed no more."""
        return self._ttl_s * DEAD_AFTER_TTL

    def restart(self) -> None:
        """Give everybody their full time again; also for when our own renewals fail, since theirs then may fail too."""
        self._since_s = {}
        self._read_s = None
        self._dead = frozenset(who for who, lease in self._leases.items() if lease.ended)

    def dead(self) -> frozenset[Incarnation]:
        """The incarnations judged dead at the last read, and those whose leases have ended."""
        return self._dead

    def is_dead(self, who: Incarnation) -> bool:
        """Whether this incarnation is judged dead; one whose lease the store has forgotten is."""
        return who in self._dead or (self._read_s is not None and who not in self._leases)

    def renewed_after(self, who: Incarnation, at_s: float) -> bool:
        """Whether this lease has been seen to be renewed after this moment: its holder lives."""
        return self._renewed_s.get(who, -math.inf) > at_s

    def lease(self, who: Incarnation) -> Lease | None:
        """The lease as last read: the victim to name when proposing a takeover."""
        return self._leases.get(who)


@dataclass(frozen=True, slots=True)
class Renewal:
    """One registration or renewal on its way to the store, and when it was sent."""

    number: int
    sent_s: float


class OwnLease:
    """Until when this node's own lease surely holds, and when to renew it next; one for each incarnation.

    The registration counts as the first renewal. Each renewal sent must be answered by `renewal_done` or
    `renewal_failed`; until then no other is due.
    """

    def __init__(self, ttl_s: float) -> None:
        _check_ttl(ttl_s)
        self._ttl_s = ttl_s
        self._number = 0
        self._in_flight: Renewal | None = None
        self._deadline_s = -math.inf
        self._next_s = -math.inf
        self._lost = False

    @property
    def deadline_s(self) -> float:
        """From when the lease can no longer be relied on; -inf before the first answer and once it is lost."""
        return self._deadline_s

    @property
    def lost(self) -> bool:
        """Whether the store has said that the lease ended: this incarnation is over, the node must register anew."""
        return self._lost

    @property
    def renew_at_s(self) -> float:
        """When the next renewal is due; inf while one is on its way and once the lease is lost."""
        return math.inf if self._lost or self._in_flight is not None else self._next_s

    def lapsed(self, now_s: float) -> bool:
        """Whether joins, releases and durable writes must stop: looked at again just before each effect leaves."""
        return now_s >= self._deadline_s

    def renewal_sent(self, now_s: float) -> Renewal:
        """Note that a renewal is about to be sent; call it before sending, never after.

        Raises:
            LocalError: the lease is lost, or a renewal is still on its way.
        """
        if self._lost:
            raise LocalError("a lost lease cannot be renewed: register a new incarnation")
        if self._in_flight is not None:
            raise LocalError("a renewal is still on its way")
        self._number += 1
        self._in_flight = Renewal(self._number, now_s)
        self._next_s = now_s + self._ttl_s / RENEWALS_PER_TTL
        return self._in_flight

    def renewal_done(self, renewal: Renewal, ok: bool) -> None:
        """Take the store's answer: renewed, or (not `ok`) that the lease has ended and this incarnation with it."""
        self._answered(renewal)
        if ok:
            self._deadline_s = max(self._deadline_s, renewal.sent_s + self._ttl_s)
        else:
            self._lost = True
            self._deadline_s = -math.inf

    def renewal_failed(self, renewal: Renewal) -> None:
        """Note that the store could not be asked or did not answer: the deadline stays, the next try comes in turn."""
        self._answered(renewal)

    def _answered(self, renewal: Renewal) -> None:
        if renewal != self._in_flight:
            raise LocalError("this renewal is not the one on its way")
        self._in_flight = None


def _check_ttl(ttl_s: float) -> None:
    if not 0 < ttl_s < math.inf:
        raise LocalError(f"a lease must last a positive time, not {ttl_s} s")
