"""Acts: who does what a client asks for, and how the answer finds its way back.

An act is about a place: where it was first asked for, or the bell or the programme that stands there. Whoever holds
that ground does it, and only there is it remembered, so that asking again does nothing again, wherever the avatar has
walked or been handed off to meanwhile. If the ground is another node's, the act goes to it over the link, and its
answer comes back to the client if that is still here; what gets lost on the way the client asks for again. If whoever
holds the ground cannot be asked, or this node may not act, a lantern or note whose client allows it is kept here
(`world.pending`), and asked for from here until there is an answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from p2pworld.errors import Refusal
from p2pworld.geometry import Cell
from p2pworld.ids import Incarnation, Login
from p2pworld.messages import Act, ActDone, ActFor, Done, Instant, Pose, ToClient, Told, ToPeer
from p2pworld.world.acts import Asked
from p2pworld.world.object_records import KEPT
from p2pworld.world.pending import KEPT_VERBS, Kept
from p2pworld.world.places import Place, Point, bell_of

if TYPE_CHECKING:
    from p2pworld.core.parts import Parts
    from p2pworld.core.tending import Tending

__all__ = ["Acting"]

REACH_CM: Final = 50_000  # from the avatar to where it first asked: what a person comes by during the retries
WAIT_S: Final = 10.0  # an answer that comes later finds nobody
WAITING_MAX: Final = 4096
_BUSY: Final = Refusal("busy", "Too much is happening here at once; please try again in a moment.")
_FAR: Final = Refusal("far", "That is too far from here: come within 500 m of it.")
_LAPSED: Final = Refusal(
    "lapsed", "This part of the city cannot confirm anything just now; please try again."
)
_NO_COUNTER: Final = Refusal("no_counter", "There is no counter with numbers here.")
_NOT_YOURS: Final = Refusal("not_yours", "Only those who work at this counter call numbers.")
_EXPUNGED: Final = Refusal("expunged", "A moderator has taken this down for good.")
_MOVED: Final = Refusal("moved", "This part of the city is being passed to another node; please try again.")


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A client's act that another node was asked to do."""

    conn: int
    peer: Incarnation
    until_s: float
    asked: ActFor


@dataclass(frozen=True, slots=True)
class _Target:
    """The ground an act is about: its cell, and the place, declared bell and counter there."""

    cell: Cell
    place: Place | None
    bell: tuple[bytes, Point] | None
    counter: Point | None


class Acting:
    """The acts of a node's own clients, and those that others pass on."""

    def __init__(self, parts: Parts, tending: Tending) -> None:
        self._parts, self._tending = parts, tending
        self._waiting: dict[tuple[int, int, int, bytes], _Waiting] = {}  # in the order of `until_s`

    # ---- from my clients

    def asked(self, conn: int, avatar: int, row: int, act: Act, now: Instant) -> None:
        """A client of mine wants something done."""
        parts = self._parts
        pose = parts.crowd.pose(row)
        if act.east_cm or act.north_cm:
            away = (act.east_cm - pose.east_cm, act.north_cm - pose.north_cm)
            if math.hypot(*away) > REACH_CM:
                self._decline(conn, act, _FAR)
                return
            pose = replace(pose, east_cm=act.east_cm, north_cm=act.north_cm)
        if (muted := self._muted(avatar, act, pose, now)) is not None:
            self._decline(conn, act, muted)
            return
        target = self._target(act, pose)
        holder = parts.city.holder_of(target.cell)
        login = parts.people.login_on(conn)
        if (why := self._cannot(holder)) is not None and act.keep and act.verb in KEPT_VERBS:
            self._keep(conn, ActFor(avatar, login.ms, login.birth, act, pose), why, now)
            return
        granted = parts.visits.may_use(avatar, target.place, "counter" if act.verb == "call" else "bell", now)
        if holder == parts.who or holder is None:
            self._perform(avatar, login, conn, act, pose, target, None, granted, now)
        elif parts.people.lapsed:
            self._decline(conn, act, _LAPSED)
        elif holder not in parts.links:
            self._decline(conn, act, _MOVED)
        else:
            key = avatar, login.ms, act.n, act.name
            self._waiting.pop(key, None)
            if len(self._waiting) >= WAITING_MAX:
                self._decline(conn, act, _BUSY)
                return
            act_for = ActFor(avatar, login.ms, login.birth, act, pose, granted)
            self._waiting[key] = _Waiting(conn, holder, now.boot_s + WAIT_S, act_for)
            parts.counters["acts-passed-on"] += 1
            parts.out.sends.append(ToPeer(holder, act_for))

    def _cannot(self, holder: Incarnation | None) -> Refusal | None:
        """Why ground of this holder's cannot be acted on from here now."""
        parts = self._parts
        if parts.people.lapsed:
            return _LAPSED
        reachable = holder is not None and (holder == parts.who or holder in parts.links)
        return None if reachable else _MOVED

    def _keep(self, conn: int, asked: ActFor, why: Refusal, now: Instant) -> None:
        """Keep an act that cannot be done, for `why`; that it is kept the client hears when it is on the disk."""
        parts = self._parts
        kept = replace(asked, granted=False, at_ms=now.wall_ms)
        key = Asked(kept.avatar, kept.login_ms, kept.act, kept.pose).key
        refusal = self._expunged(key, now) or parts.pending.keep(conn, kept)
        parts.counters[f"act-kept-{why.reason}"] += refusal is None
        if refusal is not None:
            self._decline(conn, kept.act, refusal)

    def _expunged(self, key: bytes, now: Instant) -> Refusal | None:
        """Whether what this act would put up is ordered to be taken down for good."""
        ordered = self._parts.moderation.in_force(key, ("expunge",), now.wall_ms)
        return _EXPUNGED if ordered else None

    def answered(self, peer: Incarnation, told: ActDone, now: Instant) -> None:
        """What another node did, or not, for a client of mine."""
        parts = self._parts
        kept = parts.pending.asked_of(peer, told.avatar, told.login_ms, told.n, told.name)
        if kept is not None:
            self._settled(kept, replace(told.done, n=told.n), now)
            return
        key = told.avatar, told.login_ms, told.n, told.name
        waiting = self._waiting.get(key)
        if waiting is None or waiting.peer != peer:
            parts.counters["acts-answered-late"] += 1
            return
        del self._waiting[key]
        act = waiting.asked.act
        if parts.people.avatar_on(waiting.conn) != told.avatar:
            parts.counters["acts-answered-late"] += 1
        elif told.done.reason == "lapsed" and act.keep and act.verb in KEPT_VERBS:
            self._keep(waiting.conn, waiting.asked, _LAPSED, now)
        else:
            parts.out.sends.append(ToClient(waiting.conn, replace(told.done, n=told.n)))

    # ---- kept here

    def _ask_for_kept(self, now: Instant) -> None:
        """Ask whoever holds the ground for what is kept here, and take the answers of my own objects."""
        parts = self._parts
        for asked, done in parts.objects.take_kept():
            if (kept := parts.pending.find(asked.key)) is not None:
                self._settled(kept, done, now)
        if parts.people.lapsed:
            return
        for kept in parts.pending.due(now):
            act, asked = kept.act, kept.asked
            cell = parts.city.leaf_at(act.pose.east_cm, act.pose.north_cm)
            holder = parts.city.holder_of(cell)
            refusal = self._expunged(kept.key, now) or self._muted(act.avatar, act.act, act.pose, now)
            if refusal is not None:
                self._settled(kept, _refused(act.act, refusal), now)
            elif holder == parts.who:
                parts.pending.was_asked(kept, parts.who, now)
                login = Login(act.login_ms, act.birth)
                parts.objects.act(
                    act.avatar, login, KEPT, act.act, act.pose, cell, False, parts.out, now, at_ms=asked.at_ms
                )
            elif holder is not None and holder in parts.links:
                parts.pending.was_asked(kept, holder, now)
                parts.out.sends.append(ToPeer(holder, act))
            else:
                parts.pending.not_now(kept, now)

    def _settled(self, kept: Kept, done: Done, now: Instant) -> None:
        if self._parts.pending.answered(kept, done, now):
            self._tending.tell_changes(now)

    def lost(self, conn: int) -> None:
        """A socket is gone, and whoever gets its number next did not ask."""
        self._waiting = {key: one for key, one in self._waiting.items() if one.conn != conn}

    def tick(self, now: Instant) -> None:
        """Forget whoever has waited too long, and ask again for what is kept here."""
        self._ask_for_kept(now)
        while self._waiting:
            key = next(iter(self._waiting))
            if self._waiting[key].until_s > now.boot_s:
                return
            del self._waiting[key]
            self._parts.counters["acts-unanswered"] += 1

    # ---- from other nodes

    def passed_on(self, peer: Incarnation, asked: ActFor, now: Instant) -> None:
        """A client of another node wants something done on ground of mine."""
        self._parts.counters["acts-for-others"] += 1
        login = Login(asked.login_ms, asked.birth)
        if self._parts.people.lapsed:  # perhaps without any map
            self._answer(-1, Asked(asked.avatar, login.ms, asked.act, asked.pose, via=peer), _LAPSED)
            return
        if (muted := self._muted(asked.avatar, asked.act, asked.pose, now)) is not None:
            # an order that the node it comes from has not heard of
            self._answer(-1, Asked(asked.avatar, login.ms, asked.act, asked.pose, via=peer), muted)
            return
        target = self._target(asked.act, asked.pose)
        self._perform(
            asked.avatar, login, -1, asked.act, asked.pose, target, peer, asked.granted, now, asked.at_ms
        )

    # ---- both

    def _muted(self, avatar: int, act: Act, pose: Pose, now: Instant) -> Refusal | None:
        """Why this avatar may not put up words there, if the act has any."""
        wordy = act.verb in ("hang", "note") and act.text
        return self._parts.muted(avatar, pose.east_cm, pose.north_cm, now) if wordy else None

    def _target(self, act: Act, pose: Pose) -> _Target:
        parts = self._parts
        place, bell, counter, ground = None, None, None, (pose.east_cm, pose.north_cm)
        if act.verb in ("ring", "start", "draw", "call"):
            place = parts.config.places.at(*ground)
        if act.verb == "ring" and place is not None and (bell := bell_of(place)) is not None:
            ground = bell[1]
        elif act.verb in ("draw", "call") and place and (found := place.feature("counter")) is not None:
            ground = counter = found.line[0]
        elif act.verb == "start":
            ground = parts.programmes.ground(act.text) or ground
        return _Target(parts.city.leaf_at(*ground), place, bell, counter)

    def _perform(
        self,
        avatar: int,
        login: Login,
        conn: int,
        act: Act,
        pose: Pose,
        target: _Target,
        via: Incarnation | None,
        granted: bool,
        now: Instant,
        at_ms: int = 0,
    ) -> None:
        """Do it on ground of mine, or say why not; if the ground is no longer mine, that is why.

        `granted`: the avatar may strike the bell there at any time, or call at the counter.
        """
        parts = self._parts
        asked = Asked(avatar, login.ms, act, pose, target.bell, via)
        place = target.place
        mine = parts.fits(target.cell)
        if act.verb == "start":
            self._answer(conn, asked, self._start(asked, target, now))
        elif (expunged := self._expunged(asked.key, now)) is not None:
            self._answer(conn, asked, expunged)
        elif mine and place and target.bell and not (granted or parts.programmes.strikable(place, now)):
            sentence = f"{place.name['en']} rings at its time; start a rehearsal to strike it."
            self._answer(conn, asked, Refusal("not_now", sentence))
        elif act.verb in ("draw", "call") and target.counter is None:
            self._answer(conn, asked, _NO_COUNTER)
        elif act.verb == "call" and not granted:
            self._answer(conn, asked, _NOT_YOURS)
        else:
            if target.counter is not None:  # a number lies where the counter stands, wherever one drew it
                pose = replace(pose, east_cm=target.counter[0], north_cm=target.counter[1])
            lapsed = parts.people.lapsed
            parts.objects.act(
                avatar, login, conn, act, pose, target.cell, lapsed, parts.out, now, target.bell, via, at_ms
            )
        self._tending.tell_changes(now)

    def _start(self, asked: Asked, target: _Target, now: Instant) -> Done | Refusal:
        """Somebody starts a rehearsal; it is not kept, so there is no disk to wait for."""
        parts = self._parts
        if parts.people.lapsed:
            return _LAPSED
        if not parts.fits(target.cell):
            return _MOVED
        before = parts.programmes.counters["programme-rehearsals"]
        started = parts.programmes.start(asked.message.text, target.place, now, asked.key)
        if isinstance(started, Refusal):
            return started
        if parts.programmes.counters["programme-rehearsals"] > before:
            told = Told(asked.key, started.place, "rehearsal", f"{started.name['ko']} · {started.name['en']}")
            parts.tellings.tell(told, parts.links.keys(), now)
        return Done(asked.message.n, durable="started")

    def _answer(self, conn: int, asked: Asked, done: Done | Refusal) -> None:
        self._parts.objects.answer(conn, asked, done, self._parts.out)

    def _decline(self, conn: int, act: Act, refusal: Refusal) -> None:
        parts = self._parts
        parts.counters[f"act-{refusal.reason}"] += 1
        parts.out.sends.append(ToClient(conn, _refused(act, refusal)))


def _refused(act: Act, refusal: Refusal) -> Done:
    return Done(act.n, reason=refusal.reason, sentence=refusal.sentence)
