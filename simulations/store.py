"""The coordination store of a simulated city: numbers, leases and one map by compare-and-swap, over a bad network.

It answers what the real engines answer (`shard_node.coordination`): a lease is a counter it never judges, a proposal is
compared with the map's version and the victim's counter in one step, an ended lease never lives again. It has no clock
that nodes could see. Requests and answers travel for a while; while the store is out, or one node cut off from it,
nothing arrives; an answer may be lost after the deed, which only a proposal's caller is told as such. It may be put
back to a `Copy` of what it was before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from p2pworld.ids import Incarnation
from p2pworld.membership import Lease
from p2pworld.world.citymap import EMPTY, CityMap, encode, first_of
from p2pworld.world.ownership import (
    EndLease,
    LeaseEnded,
    MapRead,
    ProposalUnknown,
    Propose,
    Proposed,
    ReadMap,
    Register,
    Registered,
    Renew,
    Renewed,
    StoreFailed,
)

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from p2pworld.errors import Refusal
    from simulations.events import Agenda, Trace

__all__ = ["Copy", "Store", "StoreAnswer", "StoreOptions", "StoreRequest"]

StoreRequest = Register | Renew | ReadMap | Propose | EndLease
StoreAnswer = Registered | Renewed | MapRead | Proposed | ProposalUnknown | LeaseEnded | StoreFailed


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """How long a request and its answer travel, and how long a caller waits."""

    delay_s: float = 0.002
    jitter_s: float = 0.008
    patience_s: float = 0.4


@dataclass(frozen=True, slots=True)
class Copy:
    """All that a store held at some time."""

    map: CityMap
    last: dict[bytes, int]
    leases: dict[Incarnation, Lease]


class Store:
    """One store for all nodes of a city."""

    def __init__(self, options: StoreOptions, agenda: Agenda, rng: random.Random, trace: Trace) -> None:
        self.options = options
        self.outages = 0  # as long as there is any, nothing arrives
        self.answers_to_lose = 0  # of the requests to come
        self.cut: set[int] = set()  # hosts that cannot reach it
        self.map: CityMap = EMPTY
        self.maps_stored = 0
        self.leases_ended = 0  # by a takeover
        self.on_map: Callable[[CityMap, CityMap], None] = lambda before, city: None
        self._agenda, self._rng, self._trace = agenda, rng, trace
        self._last: dict[bytes, int] = {}
        self._leases: dict[Incarnation, Lease] = {}

    @property
    def out(self) -> bool:
        """Whether it is away for everybody."""
        return self.outages > 0

    def copy(self) -> Copy:
        """All that it holds now."""
        return Copy(self.map, dict(self._last), dict(self._leases))

    def restore(self, copy: Copy, city: CityMap) -> None:
        """Be as the copy was, but for the map, which begins a new generation."""
        self._last, self._leases = dict(copy.last), dict(copy.leases)
        self._store(city)

    def end(self, host: int, who: Incarnation) -> None:
        """A node that ends gives its lease back, if it can."""
        if not self.out and host not in self.cut and who in self._leases:
            self._leases[who] = self._leases[who]._replace(ended=True)

    def operate(self, step: Callable[[CityMap], CityMap | Refusal]) -> bool:
        """An operator's step on the map that stands; whether it was taken."""
        changed = step(self.map)
        if self.out or not isinstance(changed, CityMap):
            return False
        return self._propose(Propose(changed, self.map.version, None)).ok

    def ask(
        self, host: int, node: bytes, request: StoreRequest, answer: Callable[[StoreAnswer], None]
    ) -> None:
        """Put one request; exactly one answer comes, at the latest when the caller's patience ends."""
        way_s = self._way_s()
        if self.out or host in self.cut:
            self._agenda.after(self.options.patience_s, lambda: answer(StoreFailed(request, "io")))
            return
        self._agenda.after(way_s, lambda: self._arrived(host, node, request, answer))

    def _arrived(
        self, host: int, node: bytes, request: StoreRequest, answer: Callable[[StoreAnswer], None]
    ) -> None:
        if self.out or host in self.cut:
            self._agenda.after(self.options.patience_s, lambda: answer(StoreFailed(request, "io")))
            return
        result = self._carry_out(node, request)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            unknown = isinstance(request, Propose)
            lost = ProposalUnknown() if unknown else StoreFailed(request, "io")
            self._agenda.after(self.options.patience_s, lambda: answer(lost))
            return
        self._agenda.after(self._way_s(), lambda: self._back(host, request, result, answer))

    def _back(
        self,
        host: int,
        request: StoreRequest,
        result: StoreAnswer,
        answer: Callable[[StoreAnswer], None],
    ) -> None:
        if host in self.cut or self.out:
            result = ProposalUnknown() if isinstance(request, Propose) else StoreFailed(request, "io")
        answer(result)

    def _way_s(self) -> float:
        return self.options.delay_s + self._rng.random() * self.options.jitter_s

    # ---- one linearizable step each

    def _carry_out(self, node: bytes, request: StoreRequest) -> StoreAnswer:
        match request:
            case Register():
                return self._register(node, request.ends)
            case Renew():
                return self._renew(request)
            case ReadMap():
                city = None if request.known_version == self.map.version else self.map
                return MapRead(self.map.version, city, tuple(self._leases[w] for w in sorted(self._leases)))
            case Propose():
                return self._propose(request)
            case EndLease(who):
                if who in self._leases:
                    self._leases[who] = self._leases[who]._replace(ended=True)
                return LeaseEnded(who)

    def _register(self, node: bytes, ends: int) -> Registered:
        number = max(self._last.get(node, 0), first_of(self.map.generation), ends) + 1
        self._last[node] = number
        for who in [w for w in self._leases if w.node == node and w.number <= ends]:
            self._leases[who] = self._leases[who]._replace(ended=True)
        who = Incarnation(node, number)
        self._leases[who] = Lease(who, 0, False)
        return Registered(number)

    def _renew(self, request: Renew) -> Renewed:
        lease = self._leases.get(request.who)
        ok = lease is not None and not lease.ended
        if lease is not None and ok:
            self._leases[request.who] = lease._replace(counter=lease.counter + 1)
        return Renewed(request.token, ok)

    def _propose(self, request: Propose) -> Proposed:
        version, victim, city = self.map.version, request.victim, request.map
        if version != request.expected_version:
            return Proposed(False, version)
        if victim is not None:
            lease = self._leases.get(victim[0])
            if lease is not None and lease.counter != victim[1]:
                return Proposed(False, version)
        for member in city.members.values():
            lives = self._leases.get(member.who)
            fresh = not self.map.is_listed(member.who)
            if fresh and (lives is None or lives.ended or (victim is not None and victim[0] == member.who)):
                return Proposed(False, version)
        if victim is not None and victim[0] in self._leases:
            self.leases_ended += not self._leases[victim[0]].ended
            self._leases[victim[0]] = self._leases[victim[0]]._replace(ended=True)
        for who in [w for w, lease in self._leases.items() if lease.ended and not city.is_listed(w)]:
            del self._leases[who]
        self._store(city)
        return Proposed(True, city.version)

    def _store(self, city: CityMap) -> None:
        before, self.map = self.map, city
        self.maps_stored += 1
        self._trace.add(self._agenda.now_s, b"M", encode(city))
        self.on_map(before, city)
