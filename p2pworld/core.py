"""One node as one machine: everything it hears goes in, everything it wants done comes out.

The `Node` composes the machines of the layers below: ownership (which ground is mine, and am I still allowed to act),
people (logins and handoffs), the crowd (poses), objects. It holds no socket, file, clock or task: its shell feeds it
events with the time, asks for `ready()`, carries that out in the order of `drive`, and tells it what became durable.
After every call the shell drains `ready()` until it is None.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from p2pworld.errors import Refusal, RemoteError
from p2pworld.geometry import Cell
from p2pworld.ids import NO_LOGIN, avatar_id
from p2pworld.limits import AVATARS_MAX, CLIENTS_MAX, GHOST_TTL_S, LEASE_TTL_S, TICK_MS
from p2pworld.messages import (
    Act,
    Attached,
    Beat,
    Beaten,
    Block,
    Border,
    Bye,
    Cancel,
    CellDelta,
    CellRefused,
    CellState,
    CellStored,
    ClientLost,
    ClientOpened,
    ClientSaid,
    Commit,
    CommitAck,
    CommitNak,
    Correct,
    DirectoryNews,
    DirectoryPut,
    Done,
    Frame,
    Go,
    Group,
    HangUp,
    Hello,
    Instant,
    LinkDown,
    LinkMessage,
    LinkUp,
    Notice,
    Pace,
    PeerSaid,
    PlayMessage,
    Pose,
    Prepare,
    Profiles,
    Ready,
    Report,
    Sanctioned,
    Say,
    SeatReady,
    SeatRefused,
    Spoken,
    ToClient,
    ToPeer,
    Who,
    WhoAsk,
    WhoTell,
    WriteFailed,
    Wrote,
)
from p2pworld.seoul.landmarks import LANDMARKS
from p2pworld.wire.frames import DensityFrame, decode_density, decode_rows
from p2pworld.world.borders import border_batches
from p2pworld.world.crowd import MINE, Crowd
from p2pworld.world.handoff import SeatAt
from p2pworld.world.interest import leaf_frames
from p2pworld.world.moderation import Asking, Filed, Moderation, Sanction
from p2pworld.world.objects import Objects, SavedCell
from p2pworld.world.outbox import Outbox
from p2pworld.world.ownership import (
    Began,
    Ended,
    MapNews,
    MapRead,
    Ownership,
    ProposalUnknown,
    Proposed,
    Registered,
    Renewed,
    StandbyProposed,
    StoreFailed,
)
from p2pworld.world.pace import Pacer
from p2pworld.world.people import People
from p2pworld.world.places import NO_PLACES, Places, bell_of
from p2pworld.world.presence import Nonces
from p2pworld.world.programme import Bell, Programmes
from p2pworld.world.region import RegionIndex
from p2pworld.world.riders import NO_ROOM_AHEAD, Riders
from p2pworld.world.speech import Speech
from p2pworld.world.visits import Visits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from p2pworld.crypto.keys import Signer
    from p2pworld.ids import Incarnation
    from p2pworld.messages import SaveRecord
    from p2pworld.world.citymap import CityMap, Member

__all__ = ["Event", "Node", "NodeConfig", "StoreAnswer"]

StoreAnswer = Registered | Renewed | MapRead | Proposed | ProposalUnknown | StoreFailed
Event = ClientOpened | ClientSaid | ClientLost | LinkUp | LinkDown | PeerSaid | StoreAnswer

_ASKED_MAX = 4096  # avatars asked about at neighbours and not yet answered
_COUNTS_EVERY = 5  # ticks between DENSITY frames
_PLACE_CM = 20_000  # around a landmark
_EXPUNGE_EVERY = 50  # ticks
_DEFERRED_MAX = 1024  # PREPAREs that wait for a newer map to be read


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
    roots: frozenset[bytes] = frozenset()  # the keys that moderators' grants begin at


class Node:
    """One life of a node's process. `entropy` is 32 secret bytes; `journal` what its disk held; `ends` names an earlier
    incarnation of this node whose process is proven dead, or is 0."""

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
        self._keys = keys
        self._out = Outbox()
        self._frames: list[Frame] = []
        self._ready_number = 0
        self._crowd = Crowd(AVATARS_MAX)
        self._ownership = Ownership(
            keys.public,
            config.link_url,
            config.play_url,
            config.web_url,
            config.claims,
            config.ttl_s,
            ends,
            config.take_orphans,
        )
        self._people = People(
            keys,
            config.play_url,
            self._crowd,
            Nonces(hashlib.sha256(entropy).digest()),
            config.clients_max,
            self._out,
            lambda: config.tick_ms,
        )
        self._objects = Objects(self.who, journal)
        self._pacer = Pacer()
        self._crowd.walls = config.places.walls
        self._visits = Visits(
            config.places, self._crowd, self._out, lambda avatar: self._people.proof(avatar).key
        )
        self._people.admits = self._visits.admits
        self._programmes = Programmes(config.places)
        self._riders = Riders(self._crowd, self._out)
        self._speech = Speech(self._crowd, self._out, self._place_of)
        self._moderation = Moderation(config.roots, self._out, records, now.wall_ms)
        self._people.bars = self._moderation.barred
        self._index = RegionIndex(self.city_map, self.who)
        self._links: dict[Incarnation, int] = {}
        self._links_made = 0
        self._densities: dict[Incarnation, tuple[float, DensityFrame]] = {}
        self._waiting: dict[int, tuple[float, np.void]] = {}
        self._asked: dict[int, list[int]] = {}
        self._deferred: list[tuple[float, Incarnation, int, Prepare]] = []
        self._cell_of: NDArray[np.uint64] = np.zeros(AVATARS_MAX, np.uint64)
        self._ticks = 0
        self._lapsed_since_s: float | None = None
        self._started_s = now.boot_s

    # ------------------------------------------------------------------------------------------------- looking

    @property
    def who(self) -> Incarnation:
        """This incarnation; its number is 0 until the coordination store has given one."""
        return self._ownership.who

    @property
    def city_map(self) -> CityMap:
        """The newest city map this node has read."""
        return self._ownership.city

    @property
    def map_version(self) -> int:
        """The version of `city_map`."""
        return self._ownership.city.version

    @property
    def lapsed(self) -> bool:
        """Whether this node's lease has run out, as of the last step or tick."""
        return self._people.lapsed

    def peers(self) -> tuple[Member, ...]:
        """Whom to be linked with: every other member of the city map."""
        return tuple(m for m in self.city_map.members.values() if m.node != self.who.node)

    # ------------------------------------------------------------------------------------------------- going in

    def step(self, event: Event, now: Instant) -> None:
        """One event: from a play socket, a link, or the coordination store."""
        self._people.lapsed = self._may_not_act(now)
        match event:
            case ClientOpened():
                self._people.opened(event.conn)
                self._pacer.opened(event.conn, now.boot_s)
            case ClientSaid():
                self._client_said(event.conn, event.message, now)
            case ClientLost():
                self._people.lost(event.conn, now)
                self._objects.lost(event.conn)
                self._speech.lost(event.conn)
                self._moderation.lost(event.conn)
                self._waiting.pop(event.conn, None)
            case LinkUp():
                self._link_up(event.peer)
            case LinkDown():
                self._link_down(event.peer)
            case PeerSaid():
                self._peer_said(event, now)
            case _:
                self._ownership.step(event, now)
                self._follow_ownership(now)
        self._settle(now)

    def poses(self, conns: NDArray[np.int32], rows: NDArray[np.void], now: Instant) -> None:
        """The hot path: row i (POSE_DTYPE) came from play socket `conns[i]`, in the order of arrival."""
        if self._people.seated:
            seated = np.fromiter(self._people.seated, np.int32)
            for i in np.flatnonzero(np.isin(conns, seated)).tolist():
                self._waiting[int(conns[i])] = (now.boot_s, rows[i].copy())
        self._pacer.arrived(conns, now.boot_s)
        applied = self._crowd.apply_poses(conns, rows, self._index, now.boot_s)
        self.counters["poses"] += applied.accepted
        for reason, count in applied.dropped.items():
            self.counters[f"pose-{reason}"] += count
        for conn, seq, pose, reason in applied.corrections:
            self.counters[f"correct-{reason}"] += 1
            self._out.sends.append(ToClient(conn, Correct(seq, pose, reason)))

    def tick(self, now: Instant) -> None:
        """Every `tick_ms`: leases, timers, borders, frames."""
        self._ticks += 1
        self._ownership.tick(now)
        self._follow_ownership(now)
        self._lapse(self._ownership.lapsed(now), now)
        people, crowd, index = self._people, self._crowd, self._index
        people.tick(now)
        self.counters["ghosts-expired"] += crowd.expire(now.boot_s)
        self._riders.tick(index, people.leaving_rows(), now)
        self._visits.tick(index, now)
        self._walkers(now)
        self._settle(now)
        t_ms = int(now.boot_s * 1000)
        for holder, (rows, density) in border_batches(crowd, index, t_ms).items():
            peer = index.holders[holder]
            if peer in self._links:
                self._out.sends.append(ToPeer(peer, Border(t_ms, rows.tobytes(), density)))
        far = [density for heard_s, density in self._densities.values() if now.boot_s - heard_s < GHOST_TTL_S]
        counts_too = self._ticks % _COUNTS_EVERY == 0
        for conns, payloads in leaf_frames(crowd, index, t_ms & 0xFFFFFFFF, far, counts_too):
            self._frames.append(Frame(tuple(conns.tolist()), tuple(payloads)))
        for conn, shift_ms in self._pacer.shifts(now.boot_s, self.config.tick_ms):
            self._out.sends.append(ToClient(conn, Pace(shift_ms)))
        self._play_programmes(now)
        self._tend_objects(now)
        self._moderate(now)

    def advance(self, done: Wrote | WriteFailed, now: Instant) -> None:
        """The disk's answer to the writes of one Ready."""
        self._objects.advance(done, self._out, now)
        self._moderation.advance(done)
        self._tell_changes()

    def leave(self, now: Instant) -> None:
        """Orderly shutdown: act on no ground any more, and send every client to the other nodes."""
        self._ownership.leave(now)
        self._people.lapsed = True
        self._people.hang_up_all(Bye("leaving", "This node is being shut down; log in at another."))

    # ------------------------------------------------------------------------------------------------- coming out

    def ready(self) -> Ready | None:
        """All that is wanted since the last call, or None."""
        out, requests = self._out, self._ownership.take_requests()
        if not (self._frames or out.sends or out.writes or out.held or requests):
            return None
        self._ready_number += 1
        if out.writes:
            self._objects.leaving(self._ready_number)
            self._moderation.leaving(self._ready_number)
        ready = Ready(
            self._ready_number,
            tuple(self._frames),
            tuple(out.sends),
            tuple(out.writes),
            tuple(out.held),
            requests,
            self._ownership.deadline_s,
        )
        self._frames.clear()
        out.sends.clear()
        out.writes.clear()
        out.held.clear()
        return ready

    # ------------------------------------------------------------------------------------------------- clients

    def _client_said(self, conn: int, message: PlayMessage, now: Instant) -> None:
        if isinstance(message, Hello):
            self._people.hello(conn, message, now)
            return
        avatar = self._people.avatar_on(conn)
        if avatar == 0:
            self.counters["client-early"] += 1  # a seat is waiting, or a goodbye is on its way
            return
        row = self._crowd.row_of[avatar]
        match message:
            case Act(verb="start"):
                self._start(conn, row, message, now)
            case Act():
                self._act(conn, avatar, row, message, now)
            case Go("bus"):
                self._riders.board(conn, row, now)
            case Go("off"):
                self._riders.get_off(conn, row, now)
            case Go():
                self._go(conn, row, message.place, now)
            case Who():
                self._who(conn, message.ids)
            case Say():
                self._say(conn, avatar, row, message, now)
            case Beat():
                self._speech.beat(conn, avatar, self._crowd.pose(row), message, self._index, self._links, now)
            case Block():
                self._speech.block(conn, message)
            case Group():
                self._speech.group(conn, message)
            case Report():
                self._moderation.report(conn, avatar, message, now)
            case _:
                self.counters["client-kind"] += 1
                sentence = f"A client does not send {type(message).__name__.upper()}."
                self._out.sends.append(HangUp(conn, Bye("malformed", sentence)))

    def _say(self, conn: int, avatar: int, row: int, say: Say, now: Instant) -> None:
        homes = [home.who for home in self.city_map.directory_homes(say.avatar)] if say.avatar else []
        if self.who in homes and (found := self._people.directory.find(say.avatar)) is not None:
            homes = [found[0]]
        proof = self._people.proof(avatar)
        pose = self._crowd.pose(row)
        place = self._place_of(pose.east_cm, pose.north_cm)
        if (muted := self._moderation.muted(proof.key, place, now.wall_ms)) is not None:
            self.counters["say-muted"] += 1
            self._out.sends.append(ToClient(conn, Notice(muted.reason, muted.sentence)))
            return
        self._speech.say(
            conn,
            avatar,
            proof.key,
            proof.profile,
            self._crowd.pose(row),
            say,
            self._index,
            self._links,
            homes,
            now,
        )

    def _spoken(self, spoken: Spoken) -> None:
        """A neighbour's client said something; a home passes on what is for one person, once."""
        said = spoken.said
        found = self._people.directory.find(said.avatar) if said.channel == "direct" else None
        if found is not None and found[0] != self.who and not spoken.passed:
            self._out.sends.append(ToPeer(found[0], Spoken(said, passed=True)))
        else:
            self._speech.deliver(said)

    def _place_of(self, east_cm: int, north_cm: int) -> str | None:
        """The place that this point lies in, or the landmark near it."""
        if (place := self.config.places.at(east_cm, north_cm)) is not None:
            return place.id
        best = min(LANDMARKS, key=lambda mark: math.dist(mark.position_cm, (east_cm, north_cm)))
        near = math.dist(best.position_cm, (east_cm, north_cm)) <= _PLACE_CM
        return best.name_en if near else None

    def _act(self, conn: int, avatar: int, row: int, act: Act, now: Instant) -> None:
        """Something that lasts; a bell that a place declares is struck only when it may be."""
        pose = self._crowd.pose(row)
        place = self.config.places.at(pose.east_cm, pose.north_cm) if act.verb == "ring" else None
        bell = bell_of(place) if place else None
        if place and bell and not self._programmes.strikable(place, now):
            sentence = f"{place.name['en']} rings at its time; start a rehearsal to strike it."
            self._out.sends.append(ToClient(conn, Done(act.n, reason="not_now", sentence=sentence)))
            return
        cell = self.city_map.leaf_at(*(bell[1] if bell else (pose.east_cm, pose.north_cm)))
        login = self._people.login_on(conn)
        self._objects.act(avatar, login, conn, act, pose, cell, self.lapsed, self._out, now, bell)
        self._tell_changes()

    def _start(self, conn: int, row: int, act: Act, now: Instant) -> None:
        """Somebody starts a rehearsal; it is not kept, so there is no disk to wait for."""
        pose = self._crowd.pose(row)
        here = self.config.places.at(pose.east_cm, pose.north_cm)
        started = self._programmes.start(act.text, here, now)
        if isinstance(started, Refusal):
            done = Done(act.n, reason=started.reason, sentence=started.sentence)
        else:
            done = Done(act.n, durable="started")
            told = Notice("rehearsal", f"{started.name['ko']} · {started.name['en']}")
            self._tell_place(started.place, told)
        self._out.sends.append(ToClient(conn, done))

    def _play_programmes(self, now: Instant) -> None:
        """What is due at places of mine: strokes of bells, which are acts of nobody, and words to all who are there."""

        def holds(point: tuple[int, int]) -> bool:
            return not self.lapsed and self.city_map.holder_of(self.city_map.leaf_at(*point)) == self.who

        for due in self._programmes.due(now, holds):
            bell = bell_of(due.place)
            if isinstance(due.op, Bell) and bell is not None:
                cell = self.city_map.leaf_at(*bell[1])
                pose = Pose(*bell[1])
                self._objects.act(
                    due.avatar, NO_LOGIN, -1, due.act, pose, cell, self.lapsed, self._out, now, bell
                )
            elif not isinstance(due.op, Bell):
                text = due.op.text
                self._tell_place(due.place.id, Notice("programme", f"{text['ko']} · {text['en']}"))

    def _tell_place(self, place_id: str, notice: Notice) -> None:
        place = self.config.places.by_id[place_id]
        for row in self._crowd.rows(MINE).tolist():
            conn = int(self._crowd.conn[row])
            if conn >= 0 and place.contains(int(self._crowd.east_cm[row]), int(self._crowd.north_cm[row])):
                self._out.sends.append(ToClient(conn, notice))

    def _go(self, conn: int, row: int, place: str, now: Instant) -> None:
        """Teleport: the row stands there from now on; if that ground is another node's, it is handed off as always."""
        if self._crowd.vehicle[row]:
            self._crowd.leave_vehicle(row)
            self._crowd.state[row] = 0
        if self._visits.go(conn, row, place, self._index, now):
            return
        found = next((mark for mark in LANDMARKS if place in (mark.name_en, mark.name_ko)), None)
        if found is None:
            self._out.sends.append(
                ToClient(conn, Notice("no-such-place", f"There is no place called {place}."))
            )
            return
        east_cm, north_cm = found.position_cm
        pose = self._crowd.pose(row)
        seq = int(self._crowd.seq[row])
        self._crowd.set_pose(row, Pose(east_cm, north_cm, 0, pose.yaw, pose.state), seq)
        self._out.sends.append(ToClient(conn, Correct(seq, self._crowd.pose(row), "go")))

    def _who(self, conn: int, ids: tuple[int, ...]) -> None:
        """Answer what is known here, and ask the neighbours whose ghosts the others are."""
        known = [(avatar, profile) for avatar in ids if (profile := self._people.profile(avatar)) is not None]
        if known:
            answer = Profiles(tuple(a for a, _ in known), tuple(p for _, p in known))
            self._out.sends.append(ToClient(conn, answer))
        sources = {number: peer for peer, number in self._links.items()}
        ask: defaultdict[Incarnation, list[int]] = defaultdict(list)
        for avatar in set(ids).difference(a for a, _ in known):
            row = self._crowd.row_of.get(avatar)
            peer = None if row is None else sources.get(int(self._crowd.source[row]))
            if peer is not None and len(self._asked) < _ASKED_MAX:
                self._asked.setdefault(avatar, []).append(conn)
                ask[peer].append(avatar)
        for peer, avatars in ask.items():
            self._out.sends.append(ToPeer(peer, WhoAsk(tuple(sorted(avatars)))))

    # ------------------------------------------------------------------------------------------------- peers

    def _link_up(self, peer: Incarnation) -> None:
        self._links_made += 1
        self._links[peer] = self._links_made
        self._moderation.linked(peer)
        self._objects.apply_map(self.city_map, self.who, self._links.keys(), self._out)

    def _link_down(self, peer: Incarnation) -> None:
        number = self._links.pop(peer, None)
        self._densities.pop(peer, None)
        if number is not None:
            self._crowd.drop_source(number)
            self._objects.apply_map(self.city_map, self.who, self._links.keys(), self._out)

    def _peer_said(self, said: PeerSaid, now: Instant) -> None:
        if said.peer not in self._links:
            self.counters["peer-unlinked"] += len(said.batch.messages)
            return
        if said.batch.map_version > self.map_version:
            self._ownership.hint(said.batch.map_version)
        for message in said.batch.messages:
            self._peer_message(said.peer, said.batch.map_version, message, now)

    def _peer_message(self, peer: Incarnation, version: int, message: LinkMessage, now: Instant) -> None:
        match message:
            case Prepare() if version > self.map_version:
                if len(self._deferred) < _DEFERRED_MAX:
                    self._deferred.append((now.boot_s, peer, version, message))
            case Prepare() if self._visits.full(message.avatar, message.pose) and (
                self._people.person(message.avatar).seat.at is SeatAt.EMPTY
            ):
                self.counters["room-full"] += 1
                self._out.sends.append(ToPeer(peer, SeatRefused(message.avatar, message.k, "full")))
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
                self._people.peer_said(peer, message, now)
                if isinstance(message, SeatRefused) and message.reason == "full":
                    self._visits.refused(message.avatar)
            case Border():
                self._border(peer, message, now)
            case DirectoryPut():
                self._people.directory_put(peer, message.avatar, message.hello, now)
            case DirectoryNews():
                self._people.outlived(message.avatar, message.hello, now)
            case CellDelta() | CellState():
                self._objects.from_holder(peer, message, self.city_map, self._out, now)
            case CellStored() | CellRefused():
                self._objects.from_standby(peer, message, self._out, now)
                self._tell_changes()
            case WhoAsk():
                known = [(a, p) for a in message.ids if (p := self._people.profile(a)) is not None]
                answer = WhoTell(tuple(a for a, _ in known), tuple(p for _, p in known))
                self._out.sends.append(ToPeer(peer, answer))
            case Spoken():
                self._spoken(message)
            case Beaten():
                self._speech.sound(message.beat)
            case Sanctioned():
                self._order(message.order, now, peer)
            case WhoTell():
                for avatar, profile in zip(message.ids, message.profiles, strict=False):
                    self._people.learn_profile(avatar, profile)
                    for conn in self._asked.pop(avatar, ()):
                        if self._people.avatar_on(conn):
                            self._out.sends.append(ToClient(conn, Profiles((avatar,), (profile,))))

    def _border(self, peer: Incarnation, message: Border, now: Instant) -> None:
        holder = self._index.number_of.get(peer)
        if holder is None:
            self.counters["border-not-a-holder"] += 1
            return
        try:
            rows = decode_rows(message.rows)
            density = decode_density(message.density) if message.density else None
        except RemoteError as error:
            self.counters[f"border-{error.reason}"] += 1
            return
        dropped = self._crowd.merge_ghosts(self._links[peer], rows, self._index, holder, now.boot_s)
        for reason, count in dropped.items():
            self.counters[f"ghost-{reason}"] += count
        if density is None:
            self._densities.pop(peer, None)
        else:
            self._densities[peer] = (now.boot_s, density)

    # ------------------------------------------------------------------------------------------------- ground

    def _follow_ownership(self, now: Instant) -> None:
        for news in self._ownership.take_news():
            match news:
                case Began():
                    self._people.begin(news.who, self._fits)
                    self._objects.begin(news.who)
                    self._index = RegionIndex(self.city_map, self.who)
                case Ended():
                    self.counters["incarnations-ended"] += 1
                    self._people.lapsed = True
                    self._people.hang_up_all(Bye("again", "This node lost its lease; log in at another."))
                case StandbyProposed():
                    for cell in news.cells:
                        self._objects.count_as_standby(cell, news.peer)
                case MapNews():
                    self._map_changed(news, now)
        self._people.lapsed = self._may_not_act(now)

    def _map_changed(self, news: MapNews, now: Instant) -> None:
        self.counters["map-changes"] += 1
        self._index = RegionIndex(news.new, self.who)
        self._people.map_changed(news.new, news.ended, now)
        self._objects.apply_map(news.new, self.who, self._links.keys(), self._out)
        self._cell_of[:] = 0
        deferred, self._deferred = self._deferred, []
        for heard_s, peer, version, message in deferred:
            if now.boot_s - heard_s < 3.0:
                self._peer_message(peer, version, message, now)

    def _fits(self, cell: int) -> bool:
        return self.city_map.holder_of(Cell(cell)) == self.who

    def _may_not_act(self, now: Instant) -> bool:
        """Without a lease, or before the map lists this incarnation, it takes nobody and promises nothing."""
        return self._ownership.lapsed(now) or not self.city_map.is_listed(self.who)

    def _lapse(self, lapsed: bool, now: Instant) -> None:
        """Say so when the lease runs out, and after twice its length send the clients to other nodes."""
        self._people.lapsed = self._may_not_act(now)
        if not lapsed or self.who.number == 0:
            self._lapsed_since_s = None
        elif self._lapsed_since_s is None:
            self._lapsed_since_s = now.boot_s
            self.counters["lapses"] += 1
            notice = Notice("lapsed", "This part of the city cannot confirm anything just now.")
            conns = self._crowd.conn[self._crowd.rows(MINE)]
            self._out.sends.extend(ToClient(conn, notice) for conn in conns[conns >= 0].tolist())
        elif now.boot_s - self._lapsed_since_s > 2 * self.config.ttl_s and self.peers():
            self._people.hang_up_all(Bye("again", "This node lost its lease; log in at another."))
            self._lapsed_since_s = now.boot_s

    def _walkers(self, now: Instant) -> None:
        """Who has left my ground is handed off; who turned back in time stays."""
        people, crowd, index = self._people, self._crowd, self._index
        rows, _, holders = index.crossers(crowd)
        for row, holder in zip(rows.tolist(), holders.tolist(), strict=True):
            if not self._riders.stays(row):
                people.crossed(row, index.holders[holder], now)
        leaving = people.leaving_rows()
        if leaving:
            at = np.array(leaving, np.int32)
            home = index.holder_at(crowd.east_cm[at], crowd.north_cm[at]) == 0
            for row in at[home].tolist():
                people.came_back(row, now)

    def _settle(self, now: Instant) -> None:
        """Those who have just become mine: their waiting pose, and the objects around them; riders without a seat."""
        while self._people.refused_riders:
            refused = self._crowd.row_of.get(self._people.refused_riders.pop())
            if refused is not None:
                self._riders.set_down(refused, self._index, now, NO_ROOM_AHEAD)
        while self._people.welcomed:
            avatar = self._people.welcomed.pop()
            row = self._crowd.row_of.get(avatar)
            if row is None or self._crowd.conn[row] < 0:
                continue
            conn = int(self._crowd.conn[row])
            self._cell_of[row] = 0
            self._riders.came(row, now)
            heard_s, pose = self._waiting.pop(conn, (0.0, None))
            if pose is not None and now.boot_s - heard_s < 1.0:
                applied = self._crowd.apply_poses(
                    np.array([conn], np.int32), pose.reshape(1), self._index, now.boot_s
                )
                self.counters["poses-kept"] += applied.accepted

    # ------------------------------------------------------------------------------------------------- objects

    def _tend_objects(self, now: Instant) -> None:
        self._objects.tick(self._out, now)
        rows = self._crowd.rows(MINE)
        if len(rows):
            cells = self._index.cells[
                self._index.leaf_at(self._crowd.east_cm[rows], self._crowd.north_cm[rows])
            ]
            entered = rows[cells != self._cell_of[rows]]
            self._cell_of[rows] = cells
            for row in entered.tolist():
                if (conn := int(self._crowd.conn[row])) >= 0:
                    for message in self._objects.objects_message(Cell(int(self._cell_of[row]))):
                        self._out.sends.append(ToClient(conn, message))
        self._tell_changes()
        if self._ticks % 5 == 0:
            self._seek_standbys(now)

    def _tell_changes(self) -> None:
        """Changes of objects that became durable, to everybody who stands in their cell."""
        changes = self._objects.drain_changes()
        if not changes:
            return
        rows = self._crowd.rows(MINE)
        for cell, message in changes:
            conns = self._crowd.conn[rows[self._cell_of[rows] == cell]]
            self._out.sends.extend(ToClient(conn, message) for conn in conns[conns >= 0].tolist())

    def _seek_standbys(self, now: Instant) -> None:
        """Every cell of mine should have a standby in step with it; one that is slow or full is taken off the list."""
        add: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        drop: defaultdict[Incarnation, set[Cell]] = defaultdict(set)
        for cell, standby in self._objects.wants_drop:
            drop[standby].add(Cell(cell))
        if not self.lapsed:
            for cell in self.city_map.cells_of(self.who):
                if self.city_map.cells[cell].standbys:
                    continue
                linked = [p for p in self._links if self.city_map.is_listed(p)]
                if not linked:
                    break
                peer = min(linked, key=lambda p: (self.city_map.rank(cell, p), p))
                if self._objects.synced_with(cell, peer):
                    add[peer].add(cell)
                else:
                    self._objects.offer(cell, peer, self._out, now)
        self._ownership.wants(
            {p: frozenset(cells) for p, cells in add.items()}, {p: frozenset(c) for p, c in drop.items()}
        )

    # ------------------------------------------------------------------------------------------------- moderation

    def order(self, data: bytes, now: Instant) -> Sanction | Refusal:
        """A moderator's order, straight from its issuer: obeyed, kept and passed on, or why not."""
        return self._order(data, now, None)

    def reports(self, asking: Asking, now: Instant) -> tuple[tuple[bytes, Filed], ...] | Refusal:
        """What was reported here, for a moderator who asks."""
        return self._moderation.reports(asking, self.who.node, now.wall_ms)

    def is_kept(self, sanction: Sanction) -> bool:
        """Whether this order is on this node's disk."""
        return self._moderation.is_kept(sanction)

    def _order(self, data: bytes, now: Instant, came_from: Incarnation | None) -> Sanction | Refusal:
        taken = self._moderation.receive(data, now, self._links.keys(), came_from)
        if isinstance(taken, Refusal):
            return taken
        if (barred := self._moderation.barred(taken.subject, now.wall_ms)) is not None:
            self._people.expel(avatar_id(taken.subject), Bye(barred.reason, barred.sentence))
        if taken.action == "expunge":
            self._objects.expunge(taken.subject, self._out, now)
        return taken

    def _moderate(self, now: Instant) -> None:
        """Keep people out of places they may not be at; take down what is to go, also in cells that came later."""
        self._moderation.tick(now)
        for avatar, place, why in self._moderation.kept_out(now.wall_ms):
            row = self._crowd.row_of.get(avatar)
            if row is None or self._crowd.kind[row] != MINE:
                continue
            pose = self._crowd.pose(row)
            if self._place_of(pose.east_cm, pose.north_cm) == place:
                self._show_out(row, place, why)
        if self._ticks % _EXPUNGE_EVERY == 0:
            for object_id in self._moderation.expunged(now.wall_ms):
                self._objects.expunge(object_id, self._out, now)

    def _show_out(self, row: int, place: str, why: Refusal) -> None:
        """Put an avatar at the first landmark that is not in the place it has to leave."""
        outside = next(m.position_cm for m in LANDMARKS if self._place_of(*m.position_cm) != place)
        self.counters["shown-out"] += 1
        self._crowd.leave_vehicle(row)
        pose, seq, conn = self._crowd.pose(row), int(self._crowd.seq[row]), int(self._crowd.conn[row])
        self._crowd.set_pose(row, Pose(*outside, 0, pose.yaw, 0), seq)
        if conn >= 0:
            self._out.sends.append(ToClient(conn, Correct(seq, self._crowd.pose(row), "go")))
            self._out.sends.append(ToClient(conn, Notice(why.reason, why.sentence)))

    # ------------------------------------------------------------------------------------------------- status

    def status(self, now: Instant) -> dict[str, object]:
        """Plain values for the operator: who this is, what it holds, how it is."""
        crowd, city = self._crowd, self.city_map
        return {
            "node": self.who.node.hex(),
            "incarnation": self.who.number,
            "map_version": city.version,
            "lapsed": self._ownership.lapsed(now),
            "lease_left_s": round(max(0.0, self._ownership.deadline_s - now.boot_s), 3),
            "cells_held": len(city.cells_of(self.who)),
            "cells_standby": len(city.standby_cells(self.who)),
            "clients": self._people.clients,
            "avatars": len(crowd.rows(MINE)),
            "rows": crowd.count,
            "links": len(self._links),
            "uptime_s": round(now.boot_s - self._started_s, 1),
            "directory": len(self._people.directory),
            "objects": self._objects.status(),
            "ownership": self._ownership.status(now),
            "moderation": self._moderation.status(),
        }

    def people_by_cell(self) -> dict[Cell, int]:
        """How many avatars of mine stand in each cell of the map."""
        rows = self._crowd.rows(MINE)
        leaves = self._index.leaf_at(self._crowd.east_cm[rows], self._crowd.north_cm[rows])
        found, counts = np.unique(self._index.cells[leaves], return_counts=True)
        return {Cell(int(cell)): int(count) for cell, count in zip(found, counts, strict=True)}

    def all_counters(self) -> Counter[str]:
        """Everything counted here, by what it is."""
        parts = (
            self._people,
            self._objects,
            self._ownership,
            self._speech,
            self._riders,
            self._moderation,
            self._visits,
            self._programmes,
        )
        return sum((part.counters for part in parts), self.counters)
