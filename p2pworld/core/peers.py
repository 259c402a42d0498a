"""What other nodes say: every message of a link, and which part it is for.

A PREPARE made under a newer map waits until that map is read. Who a neighbour's ghosts are is asked there once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from p2pworld.errors import RemoteError
from p2pworld.limits import GHOST_TICKS, GHOST_TTL_S, PREPARE_S
from p2pworld.messages import (
    ActDone,
    ActFor,
    Attached,
    Beaten,
    Border,
    Came,
    Cancel,
    CellAsk,
    CellDelta,
    CellPart,
    CellRefused,
    CellRoots,
    CellState,
    CellStored,
    CellTwigs,
    CivicFile,
    CivicFiled,
    Commit,
    CommitAck,
    CommitNak,
    DirectoryNews,
    DirectoryPut,
    Found,
    Instant,
    LinkMessage,
    Load,
    PeerSaid,
    Phase,
    Prepare,
    Profiles,
    Regions,
    Revoked,
    Sanctioned,
    SeatReady,
    SeatRefused,
    Seek,
    Spoken,
    ToClient,
    Told,
    ToPeer,
    WhoAsk,
    WhoTell,
)
from p2pworld.wire.frames import decode_density, decode_rows
from p2pworld.world.handoff import SeatAt

if TYPE_CHECKING:
    from p2pworld.core.acting import Acting
    from p2pworld.core.ground import Ground
    from p2pworld.core.parts import Parts
    from p2pworld.core.pulse import Pulse
    from p2pworld.core.tending import Tending
    from p2pworld.grants import Grant
    from p2pworld.ids import Incarnation


__all__ = ["Peers"]

_DEFERRED_MAX = 1024  # PREPAREs that wait for a newer map to be read


class Peers:
    """The links' side of a node."""

    def __init__(self, parts: Parts, tending: Tending, ground: Ground, acting: Acting, pulse: Pulse) -> None:
        self._parts, self._tending, self._ground = parts, tending, ground
        self._acting, self._pulse = acting, pulse
        self._links_made = 0
        self._deferred: list[tuple[float, Incarnation, int, Prepare]] = []

    def link_up(self, peer: Incarnation, caps: tuple[str, ...], grants: tuple[Grant, ...]) -> None:
        parts = self._parts
        parts.notices.link_up(peer, caps, grants)
        self._pulse.link_up(peer, caps)
        self._ground.link_up(peer, caps)
        parts.friends.link_up(peer, caps)
        parts.objects.link_up(peer, caps)
        parts.relay.link_up(peer, caps)
        self._links_made += 1
        parts.links[peer] = self._links_made
        parts.moderation.linked(peer)
        parts.objects.apply_map(parts.city, parts.who, parts.links.keys(), parts.out)

    def link_down(self, peer: Incarnation) -> None:
        parts = self._parts
        number = parts.links.pop(peer, None)
        parts.densities.pop(peer, None)
        parts.rendezvous.lost(peer)
        self._pulse.link_down(peer)
        self._ground.link_down(peer)
        parts.friends.link_down(peer)
        parts.objects.link_down(peer, parts.out)
        parts.notices.link_down(peer)
        parts.relay.link_down(peer)
        if number is not None:
            parts.ghost_ttl_s.pop(number, None)
            parts.crowd.drop_source(number)
            parts.objects.apply_map(parts.city, parts.who, parts.links.keys(), parts.out)

    def said(self, said: PeerSaid, now: Instant) -> None:
        parts = self._parts
        if said.peer not in parts.links:
            parts.counters["peer-unlinked"] += len(said.batch.messages)
            return
        if said.batch.map_version > parts.city.version:
            parts.ownership.hint(said.batch.map_version)
        for message in said.batch.messages:
            self._peer_message(said.peer, said.batch.map_version, message, now)

    def _peer_message(self, peer: Incarnation, version: int, message: LinkMessage, now: Instant) -> None:
        parts = self._parts
        match message:
            case Prepare() if version > parts.city.version:
                if len(self._deferred) < _DEFERRED_MAX:
                    self._deferred.append((now.boot_s, peer, version, message))
            case Prepare() if parts.visits.full(message.avatar, message.pose) and (
                parts.people.person(message.avatar).seat.at is SeatAt.EMPTY
            ):
                parts.counters["room-full"] += 1
                parts.out.sends.append(ToPeer(peer, SeatRefused(message.avatar, message.k, "full")))
            case (
                Prepare()
                | SeatReady()
                | SeatRefused()
                | Attached()
                | Commit()
                | CommitAck()
                | CommitNak()
                | Cancel()
            ):
                parts.people.peer_said(peer, message, now)
                if isinstance(message, SeatRefused) and message.reason == "full":
                    parts.visits.refused(message.avatar)
            case Border():
                self._border(peer, message, now)
            case Load() | Phase():
                self._pulse.heard(peer, message, now)
            case Regions():
                parts.steward.heard(peer, message, now.boot_s)
            case DirectoryPut():
                parts.people.directory_put(peer, message.avatar, message.hello, now)
            case DirectoryNews():
                parts.people.outlived(message.avatar, message.hello, now)
            case CellDelta() | CellState():
                parts.objects.from_holder(peer, message, parts.city, parts.out, now)
            case CellStored() | CellRefused():
                parts.objects.from_standby(peer, message, parts.out, now)
                self._tending.tell_changes(now)
            case CellRoots() | CellAsk() | CellTwigs() | CellPart():
                parts.objects.compare(peer, message, parts.city, parts.out, now)
            case ActFor():
                self._acting.passed_on(peer, message, now)
            case ActDone():
                self._acting.answered(peer, message, now)
            case WhoAsk():
                parts.out.sends.append(ToPeer(peer, WhoTell(*parts.people.who(message.ids, now))))
            case Spoken():
                self._spoken(message, now)
            case Beaten():
                beat = message.beat
                if parts.muted(beat.id, beat.east_cm, beat.north_cm, now) is None:
                    parts.speech.sound(beat)
            case Seek():
                found = parts.people.directory.find(message.avatar)
                parts.friends.sought(peer, message, None if found is None else found[0])
            case Found():
                parts.friends.found(peer, message, now)
            case Came():
                parts.friends.came(message)
            case CivicFile():
                parts.relay.peer_filed(peer, message, now.boot_s)
            case CivicFiled():
                parts.relay.peer_answered(peer, message, now.boot_s)
            case Told():
                parts.tellings.heard(message, now)
            case Sanctioned():
                self._tending.obey(message.order, now, peer)
            case Revoked():
                self._tending.take_back(message.notice, now, peer)
            case WhoTell():
                roles = message.roles or ("",) * len(message.ids)
                for avatar, profile, role in zip(message.ids, message.profiles, roles, strict=False):
                    parts.people.papers.learn(avatar, profile, role)
                    answer = Profiles((avatar,), (profile,), (role,) if role else ())
                    for conn in parts.asked.pop(avatar, ()):
                        if parts.people.avatar_on(conn):
                            parts.out.sends.append(ToClient(conn, answer))

    def _border(self, peer: Incarnation, message: Border, now: Instant) -> None:
        parts = self._parts
        parts.rendezvous.came(peer, message.tick_ms, now.boot_s)
        holder = parts.index.number_of.get(peer)
        if holder is None:
            parts.counters["border-not-a-holder"] += 1
            return
        try:
            rows = decode_rows(message.rows)
            density = decode_density(message.density) if message.density else None
        except RemoteError as error:
            parts.counters[f"border-{error.reason}"] += 1
            return
        link, ttl_s = parts.links[peer], max(GHOST_TTL_S, GHOST_TICKS * message.tick_ms / 1000)
        parts.ghost_ttl_s.pop(link, None)
        if ttl_s > GHOST_TTL_S:
            parts.ghost_ttl_s[link] = ttl_s
        dropped = parts.crowd.merge_ghosts(link, rows, parts.index, holder, now.boot_s)
        for reason, count in dropped.items():
            parts.counters[f"ghost-{reason}"] += count
        if density is None:
            parts.densities.pop(peer, None)
        else:
            parts.densities[peer] = (now.boot_s + ttl_s, density)

    def _spoken(self, spoken: Spoken, now: Instant) -> None:
        """A neighbour's client said something; a home passes on what is for one person, once."""
        parts = self._parts
        said = spoken.said
        if parts.muted(said.id, said.east_cm, said.north_cm, now) is not None:
            return  # its node has not heard of the order yet
        found = parts.people.directory.find(said.avatar) if said.channel == "direct" else None
        if found is not None and found[0] != parts.who and not spoken.passed:
            parts.out.sends.append(ToPeer(found[0], Spoken(said, passed=True)))
        else:
            parts.speech.deliver(said)

    def map_read(self, now: Instant) -> None:
        """A newer map: look again at those that waited for it."""
        deferred, self._deferred = self._deferred, []
        for heard_s, peer, version, message in deferred:
            if now.boot_s - heard_s < PREPARE_S:
                self._peer_message(peer, version, message, now)
