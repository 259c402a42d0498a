"""The machines of one node, and what they share: each of the rooms of this package works on these.

A machine decides on its own ground and appends to one outbox. Which machine hears what is decided in `clients` (play
sockets), `peers` (links), `tending` (objects and orders, tick by tick) and `node` (everything else).
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from p2pworld.civic.relay import Relay
from p2pworld.geometry import Cell
from p2pworld.grants import Grant
from p2pworld.limits import AVATARS_MAX, CLIENTS_MAX, LEASE_TTL_S, TICK_MS
from p2pworld.seoul.landmarks import LANDMARKS
from p2pworld.world.balance import BalanceOptions
from p2pworld.world.crowd import Crowd
from p2pworld.world.friends import Friends
from p2pworld.world.moderation import Moderation
from p2pworld.world.moving import Moving
from p2pworld.world.notices import Notices
from p2pworld.world.objects import Objects, SavedCell
from p2pworld.world.outbox import Outbox
from p2pworld.world.overload import Overload
from p2pworld.world.ownership import (
    Ownership,
)
from p2pworld.world.pace import Pacer
from p2pworld.world.pending import Pending
from p2pworld.world.people import People
from p2pworld.world.phase import CityClock
from p2pworld.world.places import NO_PLACES, Places
from p2pworld.world.presence import Nonces
from p2pworld.world.programme import Programmes
from p2pworld.world.proposals import StreamClaim
from p2pworld.world.readers import Readers
from p2pworld.world.region import RegionIndex
from p2pworld.world.rendezvous import Rendezvous
from p2pworld.world.riders import Riders
from p2pworld.world.showing import Showing
from p2pworld.world.speech import Speech
from p2pworld.world.steward import Steward
from p2pworld.world.telling import Tellings
from p2pworld.world.visits import Visits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from p2pworld.crypto.keys import Signer
    from p2pworld.errors import Refusal
    from p2pworld.ids import Incarnation
    from p2pworld.messages import Instant, Pose, SaveRecord, WorldObject
    from p2pworld.wire.frames import DensityFrame
    from p2pworld.world.citymap import CityMap


__all__ = ["NodeConfig", "Parts"]

_PLACE_CM = 20_000  # around a landmark


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node is told about itself: the addresses others reach it at, and how it takes part.

    `claims` are the regions it takes at first start if nobody holds them; with `take_orphans` it also takes regions
    that stay without a holder.
    """

    link_url: str
    play_url: str
    web_url: str
    claims: tuple[Cell, ...] = ()
    tick_ms: int = TICK_MS
    ttl_s: float = LEASE_TTL_S
    clients_max: int = CLIENTS_MAX
    take_orphans: bool = True
    places: Places = NO_PLACES
    roots: frozenset[bytes] = frozenset()  # the keys that grants begin at: moderators', and those of roles
    grants: tuple[Grant, ...] = ()  # this node's own
    balance: BalanceOptions | None = None  # None: it never wishes that ground be moved, also as the steward
    name: str = ""  # what its operator calls it
    streams: tuple[StreamClaim, ...] = ()  # of civic transactions, that it can hold


class _Counting(Protocol):
    @property
    def counters(self) -> Counter[str]: ...


class Parts:
    """Every machine of a node. `index` is replaced with each map; `links` numbers the links that are up."""

    def __init__(
        self,
        config: NodeConfig,
        keys: Signer,
        entropy: bytes,
        journal: Mapping[int, SavedCell],
        ends: int,
        now: Instant,
        records: Iterable[SaveRecord] = (),
    ) -> None:
        self.config = config
        self.counters: Counter[str] = Counter()
        self.out = Outbox()
        self.crowd = Crowd(AVATARS_MAX)
        self.ownership = Ownership(
            keys.public,
            config.link_url,
            config.play_url,
            config.web_url,
            config.claims,
            config.ttl_s,
            ends,
            config.take_orphans,
            frozenset(grant.issuer for grant in config.grants if grant.succeeds),
            config.streams,
        )
        self.relay = Relay(self.out)
        self.overload = Overload(config.tick_ms)
        self.people = People(
            keys,
            config.play_url,
            self.crowd,
            Nonces(hashlib.sha256(entropy).digest()),
            config.clients_max,
            self.out,
            lambda: self.overload.tick_ms,
            config.roots,
        )
        self.objects = Objects(self.who, journal)
        self.moving = Moving(self.objects)
        self.steward = Steward(config.balance, config.name)
        self.draining = False  # on its own account: it gives all its ground away and then leaves the map
        self.showing = Showing(self.out)
        self.pacer = Pacer()
        self.readers = Readers()
        self.clock = CityClock(now.boot_s)
        self.rendezvous = Rendezvous()
        self.crowd.walls = config.places.walls
        self.visits = Visits(
            config.places,
            self.crowd,
            self.out,
            lambda avatar: self.people.proof(avatar).key,
            self.people.papers.role,
        )
        self.people.admits = self.visits.admits
        self.tellings = Tellings(config.places, self.crowd, self.out)
        self.people.told = self.tellings.names
        self.programmes = Programmes(config.places)
        self.riders = Riders(self.crowd, self.out)
        self.speech = Speech(self.crowd, self.out, self.place_of)
        self.friends = Friends(
            self.crowd,
            self.out,
            Nonces(hashlib.sha256(b"p2pworld seek" + entropy).digest()),
            self.speech.blocks,
            self._beside,
            lambda avatar: self.people.proof(avatar).profile.name,
        )
        records = tuple(records)
        self.notices = Notices(config.roots, self.out, records, now.wall_ms)
        self.people.papers.voids = self.notices.voids
        self.moderation = Moderation(config.roots, self.out, records, now.wall_ms)
        self.moderation.voids = self.notices.voids
        self.pending = Pending(self.out, records)
        self.people.bars = self.moderation.barred
        self.index = RegionIndex(self.city, self.who)
        self.asked: dict[int, list[int]] = {}  # avatars that neighbours were asked about: who wants to know
        self.links: dict[Incarnation, int] = {}
        self.densities: dict[Incarnation, tuple[float, DensityFrame]] = {}  # until when, and the last count
        self.ghost_ttl_s: dict[int, float] = {}  # by link, where it is more than GHOST_TTL_S
        self.cell_of: NDArray[np.uint64] = np.zeros(
            AVATARS_MAX, np.uint64
        )  # the region each row was last told of

    @property
    def who(self) -> Incarnation:
        """This incarnation; its number is 0 until the coordination store has given one."""
        return self.ownership.who

    @property
    def city(self) -> CityMap:
        """The newest city map this node has read."""
        return self.ownership.city

    @property
    def gives_all(self) -> bool:
        """Whether this node is to hold no ground: it ends, or an operator drains it."""
        member = self.city.member(self.who)
        return self.draining or (member is not None and member.draining)

    def fits(self, cell: int) -> bool:
        return self.city.holder_of(Cell(cell)) == self.who

    def whereabouts(self, avatar: int) -> list[Incarnation]:
        """Whom to ask for this avatar: the homes of the directory, or, if I am one, the node that has it."""
        homes = [home.who for home in self.city.directory_homes(avatar)] if avatar else []
        found = self.people.directory.find(avatar) if self.who in homes else None
        return homes if found is None else [found[0]]

    def _beside(self, row: int, pose: Pose, now: Instant) -> bool:
        return self.visits.beside(row, pose, self.index, now)

    def place_of(self, east_cm: int, north_cm: int) -> str | None:
        """The place that this point lies in, or the landmark near it."""
        if (place := self.config.places.at(east_cm, north_cm)) is not None:
            return place.id
        best = min(LANDMARKS, key=lambda mark: math.dist(mark.position_cm, (east_cm, north_cm)))
        near = math.dist(best.position_cm, (east_cm, north_cm)) <= _PLACE_CM
        return best.name_en if near else None

    def shown(self, cell: int) -> Mapping[bytes, WorldObject] | None:
        """The objects of a cell as clients here see them, pending ones too; None if nothing is known of it here."""
        shown, pending = self.objects.shown(cell), self.pending.shown(cell, self.city)
        return {**pending, **(shown or {})} if pending else shown

    def muted(self, avatar: int, east_cm: int, north_cm: int, now: Instant) -> Refusal | None:
        """Why this avatar may not be heard or read at this point, in words."""
        return self.moderation.muted_avatar(avatar, self.place_of(east_cm, north_cm), now.wall_ms)

    def counting(self) -> tuple[_Counting, ...]:
        """Everything that counts what happened to it."""
        return (
            self.people,
            self.objects,
            self.pending,
            self.moving,
            self.ownership,
            self.speech,
            self.friends,
            self.riders,
            self.moderation,
            self.notices,
            self.visits,
            self.tellings,
            self.programmes,
            self.overload,
            self.relay,
        )
