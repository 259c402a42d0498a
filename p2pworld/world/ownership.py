"""Which ground is this node's, and whether it may still act on it: lease, map and proposals as one machine.

It decides when to ask the coordination store for what and takes in the answers; an executor asks. Which change of the
map to propose is chosen in `proposals`. At most one request is on
its way at a time, except that renewals travel beside it. Reads judge the others' leases, proposals change the map by
compare-and-swap, and a proposal whose outcome is unknown is followed by a read before anything else is proposed.

A node's ground is what the newest map it has read gives to its incarnation, while its lease surely holds. It can only
lose ground by a proposal of its own or by one that ends its lease; the lease ends in the store after it has lapsed
here. So no two nodes ever act on the same ground, whatever is lost, late, or paused.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.errors import LocalError
from p2pworld.geometry import Cell, curve_key
from p2pworld.ids import Incarnation
from p2pworld.membership import LeaseJudge, OwnLease, Renewal
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
from p2pworld.world.citymap import EMPTY, CityMap
from p2pworld.world.proposals import Proposals, StreamClaim, Wants

if TYPE_CHECKING:
    from collections import Counter

    from p2pworld.messages import Instant

# ruff: noqa: RUF022  (grouped as below)
__all__ = [
    "Register", "Renew", "ReadMap", "Propose", "EndLease", "Request",
    "Registered", "Renewed", "MapRead", "Proposed", "ProposalUnknown", "LeaseEnded", "StoreFailed", "Answer",
    "Began", "MapNews", "StandbyProposed", "Ended", "News",
    "Ownership", "READ_EVERY_S",
]  # fmt: skip

READ_EVERY_S: Final = 0.25
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


class Ownership:
    """One node's part in the city map. `ends` is the number of an earlier process proven dead, or 0.

    `former` are keys this node had before: what they held last is its to take, since their disk is its own. `streams`
    are those that it can hold.

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
        streams: tuple[StreamClaim, ...] = (),
    ) -> None:
        if any(a.contains(b) for a, b in itertools.pairwise(sorted(claims, key=curve_key))):
            raise LocalError("two of the claimed cells overlap; name each piece of ground once")
        self.who = Incarnation(node, 0)
        self.city = EMPTY
        self.retired = False  # whether it has left the map by its own wish
        self._urls = (link_url, play_url, web_url)
        self._ttl_s = ttl_s
        self._ends = ends
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
        self._judge = LeaseJudge(ttl_s)
        self._hinted = 0
        self._proposals = Proposals(node, self._urls, claims, take_orphans, self._judge, former, streams)
        self._giving: frozenset[Cell] = frozenset()

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def counters(self) -> Counter[str]:
        """What was asked and answered, by what it was."""
        return self._proposals.counters

    @property
    def giving(self) -> frozenset[Cell]:
        """Cells of mine that a proposal gives up, cuts or merges, and may yet: they stay frozen."""
        return self._giving

    @property
    def believed_dead(self) -> frozenset[Incarnation]:
        """The other members whose leases are believed to have ended."""
        return frozenset(self._proposals.dead_since_s)

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
            "believed_dead": sorted(f"{who.node.hex()[:12]}/{who.number}" for who in self.believed_dead),
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

    def wants(self, wants: Wants) -> None:
        """What the node wants of the map, in place of what it wanted before; proposed from the next tick on."""
        self._proposals.wants = wants

    def step_back(self) -> None:
        """Nobody hears this node any more: begin a new incarnation, whose registration ends this one's lease at once.

        It takes no ground and changes none until somebody is heard.
        """
        self._proposals.apart = True
        if self.who.number:
            self.counters["stepped-back"] += 1
            self._ends = self.who.number
            self._end()

    @property
    def apart(self) -> bool:
        """Whether this node has stepped back, and has heard nobody since."""
        return self._proposals.apart

    def others_live(self, since_s: float) -> bool:
        """Whether another member's lease has been seen to be renewed after this moment."""
        return any(
            self._judge.renewed_after(m.who, since_s)
            for m in self.city.members.values()
            if m.node != self.who.node
        )

    def heard(self) -> None:
        """Somebody hears this node, or is heard by it."""
        self._proposals.apart = False

    @property
    def outrun(self) -> bool:
        """Whether somebody has spoken under a newer map than could be read here."""
        return self._hinted > self.city.version

    def shun(self, nodes: frozenset[bytes]) -> None:
        """These nodes may not take part any more: their leases are ended, and then they are taken off like the dead."""
        self._proposals.shun(nodes - {self.who.node})

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
        self._proposals.begin(self.who)
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
        if isinstance(answer, Proposed):
            self._giving = (
                frozenset()
            )  # what is unknown may still be carried out, until the map is a newer one
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
        self._giving = frozenset()
        if old.is_listed(self.who) and not city.is_listed(self.who):
            if self._proposals.wants.retire:
                self.retired = self._leaving = True
                self._requests.clear()
            else:
                self._end()
        self._proposals.map_changed(city, now_s)
        ended = frozenset(m.who for m in old.members.values() if not city.is_listed(m.who))
        self._news.append(MapNews(old, city, ended))

    def _end(self) -> None:
        """This incarnation is over; begin with a registration."""
        self.counters["incarnations-ended"] += 1
        if self._ends:  # the data directory is ours alone, so all our numbers up to this one are dead
            self._ends = self.who.number
        self.who = Incarnation(self.who.node, 0)
        self._lease = OwnLease(self._ttl_s)
        self._renewal = None
        self._giving = frozenset()
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
            self._requests.extend(EndLease(who) for who in self._proposals.leases_to_end(now_s))
        if self._asked is not None or now_s < self._retry_s:
            return
        if not registered:
            self._lease = OwnLease(self._ttl_s)
            self._registration = self._lease.renewal_sent(now_s)
            self._put(Register(*self._urls, self._ttl_s, self._ends))
        elif (proposal := self._proposal(now_s)) is not None:
            self.counters["proposals"] += 1
            for peer, cells in self._proposals.newly_guarding(proposal.map).items():
                self._news.append(StandbyProposed(peer, cells))
            self._giving = self._proposals.given_up(proposal.map)
            self._put(proposal)
        elif registered and (self._read_first or self._hinted or now_s >= self._read_s + READ_EVERY_S):
            self._read_s, self._hinted = now_s, 0
            self._put(ReadMap(self.city.version))

    def _put(self, request: Register | ReadMap | Propose) -> None:
        self._asked = request
        self._requests.append(request)

    def _proposal(self, now_s: float) -> Propose | None:
        """What to propose now, if anything may be."""
        self._proposals.follow_dead(now_s)
        if self._read_first or now_s < self._propose_s or now_s >= self._lease.deadline_s:
            return None
        proposal = self._proposals.next(now_s)
        if self._proposals.superseded:
            self._end()
        return proposal
