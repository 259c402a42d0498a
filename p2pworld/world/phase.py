"""One phase for the ticks of all nodes: a city clock, which each node keeps as its own clock and a distance.

Nodes tick at the multiples of their tick on the city clock. On one machine all have one boot clock. Between machines
each node follows one that is nearer to the *root*, the smallest node it has lately heard of, and the root goes
by its own clock alone. So the graph of who follows whom is a tree, a correction never comes back to where it started,
and the phase settles on every connected graph and cannot run away; pulses that all pull at each other settle on a ring
in waves, and drift by every latency they take for lateness.

Once a second each node tells each neighbour when its message left, and when it heard the neighbour's last one: a round
trip, from which follow the distance of the two clocks and its error, at most half of the trip (D. L. Mills, RFC 5905,
section 8). Of the last few round trips the shortest counts. The distance is moved by at most SLEW_SHARE of a tick at
each tick, so that nobody sees it move, or at once while there is nobody to see it.

A root proves that it lives by its *beat*, which grows by itself and is passed on; nobody follows a root whose beat has
stopped growing, so two nodes that lost it do not follow each other (as in the flooding time synchronization protocol,
Maróti et al., SenSys 2004). A neighbour that lies makes ticks longer or shorter by SLEW_SHARE, and no more.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from p2pworld.ids import Incarnation
from p2pworld.limits import CLOCK_ROOTS_MAX, CLOCK_SAMPLES, CLOCK_STALE_S, LOAD_EVERY_S, SLEW_SHARE
from p2pworld.messages import Phase

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["CityClock"]

_ROUNDED_S: Final = 2e-6
_STILL_S: Final = 0.001  # a difference below this is noise
_TRIP_S_MAX: Final = 1.0  # longer round trips say nothing about a tick
_HOPS_MAX: Final = 255
_DEAD_KEPT_S: Final = 60.0
_HEAR_FIRST_S: Final = 2.5 * LOAD_EVERY_S  # a new node listens before it lets others follow its clock


@dataclass(slots=True)
class _Neighbour:
    """What one neighbour told, and the last round trips with it."""

    told: Phase
    heard_s: float
    trips: deque[tuple[float, float]] = field(
        default_factory=lambda: deque(maxlen=CLOCK_SAMPLES)
    )  # how long, and how far its boot clock is ahead of ours


class CityClock:
    """The city clock of one node. Times are seconds of its own boot clock, but where they are said to be the city's."""

    def __init__(self, now_s: float) -> None:
        self.me: Incarnation | None = None
        self._ahead_s = 0.0  # city clock - own clock
        self._settled = False  # whether the distance stands for something that others know too
        self._began_s = now_s
        self._neighbours: dict[Incarnation, _Neighbour] = {}
        self._risen: dict[Incarnation, tuple[int, float]] = {}  # root: its largest beat, and since when
        self._living: set[Incarnation] = set()  # roots whose beat rises
        self._told_s = -math.inf

    def begin(self, me: Incarnation) -> None:
        """From now on the node takes part under this name."""
        self.me = me

    @property
    def parent(self) -> Incarnation | None:
        """Whom this node follows; None: it is the root of those it hears."""
        followed = self._followed()
        return None if followed is None else followed[0]

    @property
    def ahead_s(self) -> float:
        """How far the city clock is ahead of this node's."""
        return self._ahead_s

    # ---- ticking

    def next_tick(self, due_s: float, now_s: float, tick_ms: int) -> tuple[float, int]:
        """After the tick that was due at `due_s`: when the next one is, and how many were missed."""
        period_s = tick_ms / 1000
        missed = max(0, int((now_s - due_s) / period_s))
        after_s = max(due_s + period_s / 2, now_s) + self._ahead_s
        return (math.floor(after_s / period_s) + 1) * period_s - self._ahead_s, missed

    def count(self, now_s: float, tick_ms: int) -> int:
        """How many ticks of this length the city clock has counted; a tick that comes a hair early counts as begun."""
        return math.floor((now_s + self._ahead_s) * 1000 / tick_ms + 0.25)

    def tick(self, now_s: float, tick_ms: int, *, watched: bool) -> None:
        """Come nearer to the one that is followed; `watched`: clients would notice a leap."""
        self._forget(now_s)
        followed = self._followed()
        if followed is None and not self._settled:
            followed = self._eldest()
        if followed is None:
            self._settled = self._settled or watched or now_s - self._began_s >= _HEAR_FIRST_S
            return
        _, neighbour = followed
        trip_s, theirs_s = min(neighbour.trips)
        if abs(theirs_s) <= trip_s / 2 + _ROUNDED_S:
            theirs_s = 0.0  # one machine: no two of them were started at the same moment to a trip's error
        told = neighbour.told
        error_s = (told.city_us - told.t_us) / 1e6 + theirs_s - self._ahead_s
        if not watched:
            self._settled = True
            if abs(error_s) > _STILL_S:
                self._ahead_s += error_s
            return
        self._settled = True
        period_s = tick_ms / 1000
        error_s -= period_s * round(error_s / period_s)
        if abs(error_s) > _STILL_S:
            most_s = period_s * SLEW_SHARE
            self._ahead_s += min(most_s, max(-most_s, error_s))

    # ---- telling and hearing

    def tell(self, peers: Iterable[Incarnation], now_s: float) -> list[tuple[Incarnation, Phase]]:
        """What to send at this tick: once in a while, a word to each of these."""
        if self.me is None or now_s - self._told_s < LOAD_EVERY_S:
            return []
        self._told_s = now_s
        followed = self._followed()
        if followed is None:
            root, hops, beat = self.me, 0, int(now_s) + 1 if self._settled else 0
        else:
            told = followed[1].told
            root, hops, beat = Incarnation(told.root, told.root_number), told.hops + 1, told.beat
        t_us = _us(now_s)
        city_us = _us(now_s + self._ahead_s)
        words = []
        for peer in peers:
            known = self._neighbours.get(peer)
            echo_us, held_us = (known.told.t_us, t_us - _us(known.heard_s)) if known else (0, 0)
            word = Phase(t_us, city_us, root.node, root.number, hops, beat, echo_us, held_us)
            words.append((peer, word))
        return words

    def heard(self, peer: Incarnation, word: Phase, now_s: float) -> None:
        """What a neighbour sent."""
        neighbour = self._neighbours.get(peer)
        if neighbour is None:
            neighbour = self._neighbours[peer] = _Neighbour(word, now_s)
        neighbour.told, neighbour.heard_s = word, now_s
        if word.echo_us:
            trip_s = now_s - (word.echo_us + word.held_us) / 1e6
            if 0.0 <= trip_s <= _TRIP_S_MAX:
                neighbour.trips.append((trip_s, word.t_us / 1e6 - now_s + trip_s / 2))
        root = Incarnation(word.root, word.root_number)
        beat, _ = self._risen.get(root, (0, 0.0))
        if word.beat > beat and (root in self._risen or len(self._risen) < CLOCK_ROOTS_MAX):
            self._risen[root] = word.beat, now_s
            self._living.add(root)

    def lost(self, peer: Incarnation) -> None:
        """The link to this neighbour is gone."""
        self._neighbours.pop(peer, None)

    # ---- inside

    def _followed(self) -> tuple[Incarnation, _Neighbour] | None:
        """The neighbour that is nearest to the smallest living root, unless that root is this node."""
        best: tuple[Incarnation, int, Incarnation] | None = None
        for peer, neighbour in self._neighbours.items():
            told = neighbour.told
            root = Incarnation(told.root, told.root_number)
            if not neighbour.trips or root not in self._living or told.hops >= _HOPS_MAX:
                continue
            if self.me is not None and self.me <= root:
                continue
            choice = root, told.hops, peer
            if best is None or choice < best:
                best = choice
        return None if best is None else (best[2], self._neighbours[best[2]])

    def _eldest(self) -> tuple[Incarnation, _Neighbour] | None:
        """For a root that is new: somebody of the city that is there already, whose clock it takes over."""
        for peer in sorted(self._neighbours):
            neighbour = self._neighbours[peer]
            if neighbour.trips and neighbour.told.beat > 0:
                return peer, neighbour
        return None

    def _forget(self, now_s: float) -> None:
        """Dead roots live on in others' words for a while; their largest beat is kept for longer than that."""
        for root, (_, risen_s) in list(self._risen.items()):
            if now_s - risen_s > CLOCK_STALE_S:
                self._living.discard(root)
                if now_s - risen_s > _DEAD_KEPT_S:
                    del self._risen[root]


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
