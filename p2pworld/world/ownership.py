"""Which ground is this node's, and whether it may still act on it: lease, map and proposals as one machine.

It decides what to ask of the coordination store and takes in the answers; an executor asks. At most one request is on
its way at a time, except that renewals travel beside it. Reads judge the others' leases, proposals change the map by
compare-and-swap, and a proposal whose outcome is unknown is followed by a read before anything else is proposed.

A node's ground is what the newest map it has read gives to its incarnation, while its lease surely holds. It can only
lose ground by a proposal of its own or by one that ends its lease; the lease ends in the store after it has lapsed
here. So no two nodes ever act on the same ground, whatever is lost, late, or paused.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError, Refusal
from p2pworld.geometry import Cell, curve_key
from p2pworld.ids import Incarnation
from p2pworld.limits import REVOKED_TURN_S
from p2pworld.membership import DEAD_AFTER_TTL, LeaseJudge, OwnLease, Renewal
from p2pworld.world.asking import (
    Answer,
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
    Request,
    StoreFailed,
)  # fmt: skip
from p2pworld.world.citymap import (
    EMPTY,
    STANDBYS_MAX,
    CityMap,
    Holding,
    Member,
    add_standby,
    claim,
    drop_standby,
    fail_over,
    genesis,
    join,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from p2pworld.messages import Instant

# ruff: noqa: RUF022  (grouped as below)
__all__ = [
    "Register", "Renew", "ReadMap", "Propose", "EndLease", "Request",
    "Registered", "Renewed", "MapRead", "Proposed", "ProposalUnknown", "LeaseEnded", "StoreFailed", "Answer",
    "Began", "MapNews", "StandbyProposed", "Ended", "News",
    "Ownership", "READ_EVERY_S", "STANDBY_TURN_S", "STRANGER_WAIT_S", "ORPHAN_WAIT_S", "FALLOW_WAIT_S",
]  # fmt: skip

READ_EVERY_S: Final = 0.25
STANDBY_TURN_S: Final = 0.5  # between one who may take over and the next: twice the time to read the outcome
STRANGER_WAIT_S: Final = 2.0  # before one who is no standby cleans up after the dead
ORPHAN_WAIT_S: Final = 2.0  # before anybody takes ground that lost its holder, who may come back
FALLOW_WAIT_S: Final = (
    10.0  # before anybody takes ground that nobody has held: who claims it may still be starting
)
_RETRY_S: Final = (0.25, 0.5, 1.0)  # after a failure of the store, by how many came in a row


# ---- told to the node


@dataclass(frozen=True, slots=True)
class Began:
    """A new incarnation: everything of the one before is over."""

    who: Incarnation


@dataclass(frozen=True, slots=True)
class MapNews:
    """A newer map; `ended` are the incarnations that it lists no more."""

    old: CityMap
    new: CityMap
    ended: frozenset[Incarnation]


@dataclass(frozen=True, slots=True)
class StandbyProposed:
    """A proposal that lists this standby is about to leave: from now on acknowledgements need it, too."""

    peer: Incarnation
    cells: frozenset[Cell]


@dataclass(frozen=True, slots=True)
class Ended:
    """This incarnation has lost its lease: nothing is its ground any more. The node registers anew by itself."""


News = Began | MapNews | StandbyProposed | Ended


@dataclass(slots=True)
class _Shunned:
    """A member that may not take part: when to end its lease again, and until when it may act without one."""

    again_s: float
    until_s: float = math.inf


class Ownership:
    """One node's part in the city map. `ends` is the number of an earlier process proven dead, or 0.

    `former` are keys this node had before: what they held last is its to take, since their disk is its own.

    After each `step` and `tick` the caller takes the news first and the requests then, so that it knows of a standby
    before the store does. Every request is answered once.

    Raises:
        LocalError: two of the claimed cells overlap.
    """

    def __init__(
        self,
        node: bytes,
        link_url: str,
        play_url: str,
        web_url: str,
        claims: tuple[Cell, ...],
        ttl_s: float,
        ends: int,
        take_orphans: bool,
        former: frozenset[bytes] = frozenset(),
    ) -> None:
        if any(a.contains(b) for a, b in itertools.pairwise(sorted(claims, key=curve_key))):
            raise LocalError("two of the claimed cells overlap; name each piece of ground once")
        self.who = Incarnation(node, 0)
        self.city = EMPTY
        self.counters: Counter[str] = Counter()
        self._mine = former | {node}
        self._urls = (link_url, play_url, web_url)
        self._claims = claims
        self._ttl_s = ttl_s
        self._ends = ends
        self._take_orphans = take_orphans
        self._leaving = False
        self._requests: list[Request] = []
        self._news: list[News] = []
        # the lease, and the renewal on its way: (token, renewal)
        self._lease = OwnLease(ttl_s)
        self._renewal: tuple[int, Renewal] | None = None
        self._tokens = 0
        # the one other request on its way, and when the next may follow
        self._asked: Register | ReadMap | Propose | None = None
        self._registration: Renewal | None = None
        self._failures = 0
        self._retry_s = -math.inf
        self._read_s = -math.inf  # when the last read was sent
        self._read_first = True  # nothing is proposed until a read has been answered
        self._propose_s = -math.inf  # no proposal before
        # what is known of the others
        self._judge = LeaseJudge(ttl_s)
        self._dead_since_s: dict[Incarnation, float] = {}
        self._shunned: dict[Incarnation, _Shunned] = {}
        self._shun_nodes: frozenset[bytes] = frozenset()
        self._unheld_since_s: dict[Cell, float] = {}
        self._turns: dict[Cell, int] = {}  # my rank for unheld cells, for the members of `city`
        self._hinted = 0
        self._add: Mapping[Incarnation, frozenset[Cell]] = {}
        self._drop: Mapping[Incarnation, frozenset[Cell]] = {}

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def deadline_s(self) -> float:
        """Until when this node surely has its lease, on the boot clock; -inf if it has none."""
        return -math.inf if self._leaving else self._lease.deadline_s

    def lapsed(self, now: Instant) -> bool:
        """Whether this node may not act on any ground: no lease, or one that may have ended."""
        return now.boot_s >= self.deadline_s

    def status(self, now: Instant) -> dict[str, object]:
        """Plain values for the operator."""
        return {
            "registered": self.who.number > 0,
            "listed": self.city.is_listed(self.who),
            "lapsed": self.lapsed(now),
            "leaving": self._leaving,
            "members": len(self.city.members),
            "unheld": len(self.city.unheld()),
            "believed_dead": sorted(f"{who.node.hex()[:12]}/{who.number}" for who in self._dead_since_s),
            "waiting_for": type(self._asked).__name__ if self._asked else None,
            "read_ago_s": round(now.boot_s - self._read_s, 3) if math.isfinite(self._read_s) else None,
            "store_failures_in_a_row": self._failures,
        }

    # ------------------------------------------------------------------------------------------------- going in

    def step(self, answer: Answer, now: Instant) -> None:
        """Take in one answer of the store, and ask what follows from it."""
        now_s = now.boot_s
        match answer:
            case Renewed():
                self._renewed(answer)
            case StoreFailed(request=Renew(token=token)):
                self._renewal_failed(token, answer.reason)
            case LeaseEnded():
                self.counters["leases-ended"] += 1
            case StoreFailed(request=EndLease()):
                self.counters[f"store-{answer.reason}"] += 1
            case _ if not self._is_awaited(answer):
                self.counters["store-unasked"] += 1
            case StoreFailed():
                self._failed(answer.reason, now_s)
            case Registered():
                self._registered(answer.number)
            case MapRead():
                self._map_read(answer, now_s)
            case Proposed() | ProposalUnknown():
                self._proposed(answer, now_s)
        self._ask(now_s)

    def tick(self, now: Instant) -> None:
        """Let time pass, and ask what is due."""
        self._ask(now.boot_s)

    def hint(self, version: int) -> None:
        """Somebody speaks under a newer map: read it at the next tick."""
        if version > self.city.version:
            self._hinted = max(self._hinted, version)

    def wants(
        self, add: Mapping[Incarnation, frozenset[Cell]], drop: Mapping[Incarnation, frozenset[Cell]]
    ) -> None:
        """Which cells of mine a standby is in step with and not listed for, and which to take off a standby's list.

        Both replace what was wanted before; they are proposed from the next tick on.
        """
        self._add, self._drop = add, drop

    def shun(self, nodes: frozenset[bytes]) -> None:
        """These nodes may not take part any more: their leases are ended, and then they are taken off like the dead."""
        self._shun_nodes = nodes - {self.who.node}

    def leave(self, now: Instant) -> None:
        """Act on nothing and ask for nothing from now on; end the lease then, and the standbys take over at once."""
        if not self._leaving:
            self.counters["left"] += 1
            self._leaving = True
            self._requests.clear()

    # ------------------------------------------------------------------------------------------------- coming out

    def take_news(self) -> tuple[News, ...]:
        """What has happened since the last call, in order; to be taken before the requests."""
        news, self._news = tuple(self._news), []
        return news

    def take_requests(self) -> tuple[Request, ...]:
        """What to ask of the store, each to be answered once."""
        requests, self._requests = tuple(self._requests), []
        return requests

    # ------------------------------------------------------------------------------------------------- answers

    def _is_awaited(self, answer: Answer) -> bool:
        match answer:
            case Registered():
                return isinstance(self._asked, Register)
            case MapRead():
                return isinstance(self._asked, ReadMap)
            case Proposed() | ProposalUnknown():
                return isinstance(self._asked, Propose)
            case StoreFailed():
                return self._asked is not None and type(answer.request) is type(self._asked)
            case _:
                return False

    def _renewed(self, answer: Renewed) -> None:
        if self._renewal is None or self._renewal[0] != answer.token:
            self.counters["store-unasked"] += 1  # it was for an incarnation that is over
            return
        self._lease.renewal_done(self._renewal[1], answer.ok)
        self._renewal = None
        if not answer.ok:
            self._end()

    def _renewal_failed(self, token: int, reason: str) -> None:
        self.counters[f"store-{reason}"] += 1
        if self._renewal is not None and self._renewal[0] == token:
            self._lease.renewal_failed(self._renewal[1])
            self._renewal = None
            self._judge.restart()  # theirs may be failing, too

    def _failed(self, reason: str, now_s: float) -> None:
        self.counters[f"store-{reason}"] += 1
        self._asked = self._registration = None
        self._retry_s = now_s + _RETRY_S[min(self._failures, len(_RETRY_S) - 1)]
        self._failures += 1

    def _registered(self, number: int) -> None:
        assert self._registration is not None
        self._lease.renewal_done(self._registration, True)
        self._asked = self._registration = None
        self._failures = 0
        self._read_first = True
        self.who = Incarnation(self.who.node, number)
        self._news.append(Began(self.who))

    def _map_read(self, answer: MapRead, now_s: float) -> None:
        self._asked = None
        self._failures = 0
        city = self.city if answer.map is None else answer.map
        if city.stamp < self.city.stamp or city.version != answer.version:
            self.counters["map-went-back"] += 1  # a store restored without a new generation; nothing fits it
            self._retry_s = now_s + READ_EVERY_S
            if self.city.is_listed(self.who):
                self._end()  # it may give to others what it has forgotten to have given to us
            return
        self._read_first = False
        self._judge.observe(answer.leases, now_s)
        own = self._judge.lease(self.who)
        if own is not None and own.ended:
            self._end()
        if city.version != self.city.version:
            self._propose_s = -math.inf
        self._adopt(city, now_s)

    def _proposed(self, answer: Proposed | ProposalUnknown, now_s: float) -> None:
        assert isinstance(self._asked, Propose)
        asked, self._asked = self._asked, None
        self._failures = 0
        if isinstance(answer, Proposed) and answer.ok:
            self.counters["proposals-accepted"] += 1
            self._adopt(asked.map, now_s)
            return
        self.counters["proposals-refused" if isinstance(answer, Proposed) else "proposals-unknown"] += 1
        self._read_first = True
        self._propose_s = now_s + READ_EVERY_S  # unless the read shows another map

    def _adopt(self, city: CityMap, now_s: float) -> None:
        """Take a newer map for the one that stands."""
        old = self.city
        if city.stamp <= old.stamp:
            return
        self.city = city
        if old.is_listed(self.who) and not city.is_listed(self.who):
            self._end()
        unheld = city.unheld()
        self._unheld_since_s = {cell: self._unheld_since_s.get(cell, now_s) for cell in unheld}
        if old.members.keys() != city.members.keys():
            self._turns.clear()
        ended = frozenset(m.who for m in old.members.values() if not city.is_listed(m.who))
        self._news.append(MapNews(old, city, ended))

    def _end(self) -> None:
        """This incarnation is over; begin with a registration."""
        if self.who.number == 0:
            return
        self.counters["incarnations-ended"] += 1
        if self._ends:  # the data directory is ours alone, so all our numbers up to this one are dead
            self._ends = self.who.number
        self.who = Incarnation(self.who.node, 0)
        self._lease = OwnLease(self._ttl_s)
        self._renewal = None
        self._add, self._drop = {}, {}
        self._turns.clear()
        self._news.append(Ended())

    # ------------------------------------------------------------------------------------------------- asking

    def _ask(self, now_s: float) -> None:
        """Put what is due next: the renewal beside, and one of registration, read and proposal."""
        if self._leaving:
            return
        registered = self.who.number > 0
        if registered and now_s >= self._lease.renew_at_s:
            self._tokens += 1
            self._renewal = self._tokens, self._lease.renewal_sent(now_s)
            self._requests.append(Renew(self.who, self._tokens))
        if registered and not self._read_first:
            self._end_leases(now_s)
        if self._asked is not None or now_s < self._retry_s:
            return
        if not registered:
            self._lease = OwnLease(self._ttl_s)
            self._registration = self._lease.renewal_sent(now_s)
            self._put(Register(*self._urls, self._ttl_s, self._ends))
        elif (proposal := self._proposal(now_s)) is not None:
            self.counters["proposals"] += 1
            self._put(proposal)
        elif registered and (self._read_first or self._hinted or now_s >= self._read_s + READ_EVERY_S):
            self._read_s, self._hinted = now_s, 0
            self._put(ReadMap(self.city.version))

    def _put(self, request: Register | ReadMap | Propose) -> None:
        self._asked = request
        self._requests.append(request)

    def _proposal(self, now_s: float) -> Propose | None:
        """The most urgent change of the map that is this node's to propose now."""
        self._follow_dead(now_s)
        if self._read_first or now_s < self._propose_s or now_s >= self._lease.deadline_s:
            return None
        if not self.city.is_listed(self.who):
            return self._join()
        return (
            self._fail_over(now_s)
            or self._drop_standbys()
            or self._add_standbys()
            or self._take(lambda city: self._claimable(city))
            or self._take(lambda city: self._orphans(now_s))
        )

    def _follow_dead(self, now_s: float) -> None:
        """Since when each other member is believed dead."""
        dead = [
            m.who for m in self.city.members.values() if m.who != self.who and self._is_dead(m.who, now_s)
        ]
        self._dead_since_s = {who: self._dead_since_s.get(who, now_s) for who in dead}

    def _is_dead(self, who: Incarnation, now_s: float) -> bool:
        """Whether it surely acts no more. One who ended its lease itself does not; one whose lease others ended may
        believe in its last renewal for a while."""
        shunned = self._shunned.get(who)
        return self._judge.is_dead(who) and (shunned is None or now_s >= shunned.until_s)

    def _end_leases(self, now_s: float) -> None:
        """End the leases of members that may not take part, again and again as long as they live.

        Not at once: they may do it themselves, and who has not heard of it yet would believe that they did.
        """
        listed = [m.who for m in self.city.members.values() if m.node in self._shun_nodes]
        self._shunned = {who: self._shunned.get(who) or _Shunned(now_s + REVOKED_TURN_S) for who in listed}
        for who, shunned in self._shunned.items():
            lease = self._judge.lease(who)
            if lease is None or lease.ended:
                shunned.until_s = min(shunned.until_s, now_s + self._ttl_s * DEAD_AFTER_TTL)
            elif now_s >= shunned.again_s:
                shunned.again_s = now_s + REVOKED_TURN_S
                self._requests.append(EndLease(who))

    def _victim(self, who: Incarnation) -> tuple[Incarnation, int] | None:
        """The lease by whose counter it was judged; None if the store has already forgotten it."""
        lease = self._judge.lease(who)
        return None if lease is None else (who, lease.counter)

    # ---- one function for each kind of proposal

    def _join(self) -> Propose | None:
        """Found the city or enter it, taking at once what is mine."""
        city, victim = self.city, None
        me = Member(self.who.node, self.who.number, *self._urls)
        if city.version == 0:
            if not self._claims and not self._take_orphans:
                return None
            return self._checked(genesis({me: self._claims}), None)
        listed = city.members.get(me.node)
        if listed is not None and listed.incarnation < me.incarnation:
            if listed.who not in self._dead_since_s:
                return None
            victim = self._victim(listed.who)
            guards = {s for holding in self._held_by(listed.who) for s in holding.standbys}
            if guards:
                if any(m.who not in self._dead_since_s for m in city.members.values()):
                    return None  # they take over first
                city = self._without_guards(city, listed.who)
        joined = join(city, me)
        if isinstance(joined, Refusal):
            self.counters[f"refused-{joined.reason}"] += 1
            if joined.reason == "superseded":
                self._end()
            return None
        mine = self._claimable(joined)
        taken = claim(joined, self.who, mine) if mine else joined
        return Propose(joined if isinstance(taken, Refusal) else taken, self.city.version, victim)

    def _without_guards(self, city: CityMap, old: Incarnation) -> CityMap:
        """Nobody listed lives, so nobody can take over what the older incarnation held: its disk is the copy to use."""
        for guard in sorted({s for h in self._held_by(old) for s in h.standbys}):
            cells = [cell for cell in city.cells_of(old) if guard in city.cells[cell].standbys]
            freed = drop_standby(city, cells, old, guard) if cells else city
            assert not isinstance(freed, Refusal)
            city = freed
        return city

    def _fail_over(self, now_s: float) -> Propose | None:
        """Take the dead off the map, each in my turn."""
        dead = self._dead_since_s
        due = [(since_s + self._turn_s(who), who) for who, since_s in dead.items()]
        for due_s, who in sorted(due):
            if now_s >= due_s:
                silent = (dead.keys() | self._shunned.keys()) - {who}
                return self._checked(fail_over(self.city, who, self.who, silent), self._victim(who))
        return None

    def _turn_s(self, dead: Incarnation) -> float:
        """How long after the judgement it is mine to propose: standbys by rank first, then anybody by order."""
        silent = self._dead_since_s.keys() | self._shunned.keys()
        lists = [[s for s in h.standbys if s not in silent] for h in self._held_by(dead)]
        ranks = [standbys.index(self.who) for standbys in lists if self.who in standbys]
        if ranks:
            return min(ranks) * STANDBY_TURN_S
        living = sorted(m.who for m in self.city.members.values() if m.who not in silent)
        return STRANGER_WAIT_S + living.index(self.who) * STANDBY_TURN_S

    def _held_by(self, who: Incarnation) -> list[Holding]:
        city = self.city
        streams = [holding for holding in city.streams.values() if holding.holder == who]
        return [city.cells[cell] for cell in city.cells_of(who)] + streams

    def _drop_standbys(self) -> Propose | None:
        def guarded(holding: Holding, peer: Incarnation) -> bool:
            return holding.holder == self.who and peer in holding.standbys

        return self._for_each_peer(self._drop, guarded, drop_standby)

    def _add_standbys(self) -> Propose | None:
        def guardable(holding: Holding, peer: Incarnation) -> bool:
            return (
                holding.holder == self.who
                and peer not in (self.who, *holding.standbys)
                and len(holding.standbys) < STANDBYS_MAX
            )

        living = {
            peer: cells - self._drop.get(peer, frozenset())
            for peer, cells in self._add.items()
            if self.city.is_listed(peer) and peer not in self._dead_since_s
        }
        proposal = self._for_each_peer(living, guardable, add_standby)
        if proposal is not None:
            for peer in sorted(living):
                new = frozenset(c for c in living[peer] if self._is_new_standby(proposal.map, c, peer))
                if new:
                    self._news.append(StandbyProposed(peer, new))
        return proposal

    def _is_new_standby(self, city: CityMap, cell: Cell, peer: Incarnation) -> bool:
        new, old = city.cells.get(cell), self.city.cells.get(cell)
        return new is not None and old is not None and peer in new.standbys and peer not in old.standbys

    def _for_each_peer(
        self,
        wanted: Mapping[Incarnation, frozenset[Cell]],
        fits: Callable[[Holding, Incarnation], bool],
        change: Callable[[CityMap, Iterable[Cell], Incarnation, Incarnation], CityMap | Refusal],
    ) -> Propose | None:
        """One proposal that takes the same step for each peer, on those of the cells that it still fits."""
        city = self.city
        for peer in sorted(wanted):
            cells = [
                c for c in sorted(wanted[peer]) if (h := city.cells.get(c)) is not None and fits(h, peer)
            ]
            if cells:
                changed = change(city, cells, self.who, peer)
                if isinstance(changed, Refusal):
                    self.counters[f"refused-{changed.reason}"] += 1
                else:
                    city = changed
        return None if city is self.city else Propose(city, self.city.version, None)

    def _take(self, choose: Callable[[CityMap], list[Cell]]) -> Propose | None:
        if not self._unheld_since_s:
            return None
        cells = choose(self.city)
        return self._checked(claim(self.city, self.who, cells), None) if cells else None

    def _claimable(self, city: CityMap) -> list[Cell]:
        """The unheld ground to take at once: what this node held last, and what it claims if nobody has held it."""

        def is_mine(holding: Holding) -> bool:
            return holding.lost is not None and holding.lost.holder.node in self._mine

        def is_free(cell: Cell) -> bool:
            return city.cells[cell].holder is None and city.cells[cell].lost is None

        wanted = [cell for cell in city.unheld() if is_mine(city.cells[cell])]
        for cell in self._claims:
            leaf = city.leaf_around(cell)
            if leaf is not None:
                wanted += [cell] if is_free(leaf) else []
                continue
            parts = city.leaves_in(cell)
            free = [part for part in parts if is_free(part)]
            wanted += [cell] if len(free) == len(parts) else free
        return wanted

    def _orphans(self, now_s: float) -> list[Cell]:
        """The ground nobody has held for a while, as far as it is my turn to take it."""
        if not self._take_orphans:
            return []
        due = []
        for cell, since_s in self._unheld_since_s.items():
            wait_s = FALLOW_WAIT_S if self.city.cells[cell].lost is None else ORPHAN_WAIT_S
            if now_s >= since_s + wait_s:
                if cell not in self._turns:
                    self._turns[cell] = self.city.rank(cell, self.who)
                if now_s >= since_s + wait_s + self._turns[cell] * STANDBY_TURN_S:
                    due.append(cell)
        return due

    def _checked(self, step: CityMap | Refusal, victim: tuple[Incarnation, int] | None) -> Propose | None:
        if isinstance(step, Refusal):
            self.counters[f"refused-{step.reason}"] += 1
            return None
        return Propose(step, self.city.version, victim)
