"""What clients ask for: every control message of a play socket, and who answers it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from p2pworld.errors import Refusal
from p2pworld.messages import (
    Act,
    Beat,
    Block,
    Bye,
    Correct,
    Done,
    Go,
    Group,
    HangUp,
    Hello,
    Instant,
    Notice,
    PlayMessage,
    Pose,
    Profiles,
    Report,
    Say,
    ToClient,
    ToPeer,
    Who,
    WhoAsk,
)
from p2pworld.seoul.landmarks import LANDMARKS
from p2pworld.world.places import bell_of

if TYPE_CHECKING:
    from p2pworld.core.parts import Parts
    from p2pworld.core.tending import Tending
    from p2pworld.ids import Incarnation


__all__ = ["Clients"]

_ASKED_MAX = 4096  # avatars asked about at neighbours and not yet answered


class Clients:
    """The play sockets' side of a node."""

    def __init__(self, parts: Parts, tending: Tending) -> None:
        self._parts, self._tending = parts, tending

    def said(self, conn: int, message: PlayMessage, now: Instant) -> None:
        parts = self._parts
        if isinstance(message, Hello):
            parts.people.hello(conn, message, now)
            return
        avatar = parts.people.avatar_on(conn)
        if avatar == 0:
            parts.counters["client-early"] += 1  # a seat is waiting, or a goodbye is on its way
            return
        row = parts.crowd.row_of[avatar]
        match message:
            case Act(verb="start"):
                self._start(conn, row, message, now)
            case Act():
                self._act(conn, avatar, row, message, now)
            case Go("bus"):
                parts.riders.board(conn, row, now)
            case Go("off"):
                parts.riders.get_off(conn, row, now)
            case Go():
                self._go(conn, row, message.place, now)
            case Who():
                self._who(conn, message.ids)
            case Say():
                self._say(conn, avatar, row, message, now)
            case Beat():
                parts.speech.beat(conn, avatar, parts.crowd.pose(row), message, parts.index, parts.links, now)
            case Block():
                parts.speech.block(conn, message)
            case Group():
                parts.speech.group(conn, message)
            case Report():
                parts.moderation.report(conn, avatar, message, now)
            case _:
                parts.counters["client-kind"] += 1
                sentence = f"A client does not send {type(message).__name__.upper()}."
                parts.out.sends.append(HangUp(conn, Bye("malformed", sentence)))

    def _say(self, conn: int, avatar: int, row: int, say: Say, now: Instant) -> None:
        parts = self._parts
        homes = [home.who for home in parts.city.directory_homes(say.avatar)] if say.avatar else []
        if parts.who in homes and (found := parts.people.directory.find(say.avatar)) is not None:
            homes = [found[0]]
        proof = parts.people.proof(avatar)
        pose = parts.crowd.pose(row)
        place = parts.place_of(pose.east_cm, pose.north_cm)
        if (muted := parts.moderation.muted(proof.key, place, now.wall_ms)) is not None:
            parts.counters["say-muted"] += 1
            parts.out.sends.append(ToClient(conn, Notice(muted.reason, muted.sentence)))
            return
        parts.speech.say(
            conn,
            avatar,
            proof.key,
            proof.profile,
            parts.crowd.pose(row),
            say,
            parts.index,
            parts.links,
            homes,
            now,
        )

    def _act(self, conn: int, avatar: int, row: int, act: Act, now: Instant) -> None:
        """Something that lasts; a bell that a place declares is struck only when it may be."""
        parts = self._parts
        pose = parts.crowd.pose(row)
        place = parts.config.places.at(pose.east_cm, pose.north_cm) if act.verb == "ring" else None
        bell = bell_of(place) if place else None
        if place and bell and not parts.programmes.strikable(place, now):
            sentence = f"{place.name['en']} rings at its time; start a rehearsal to strike it."
            parts.out.sends.append(ToClient(conn, Done(act.n, reason="not_now", sentence=sentence)))
            return
        cell = parts.city.leaf_at(*(bell[1] if bell else (pose.east_cm, pose.north_cm)))
        login = parts.people.login_on(conn)
        parts.objects.act(avatar, login, conn, act, pose, cell, parts.people.lapsed, parts.out, now, bell)
        self._tending.tell_changes()

    def _start(self, conn: int, row: int, act: Act, now: Instant) -> None:
        """Somebody starts a rehearsal; it is not kept, so there is no disk to wait for."""
        parts = self._parts
        pose = parts.crowd.pose(row)
        here = parts.config.places.at(pose.east_cm, pose.north_cm)
        started = parts.programmes.start(act.text, here, now)
        if isinstance(started, Refusal):
            done = Done(act.n, reason=started.reason, sentence=started.sentence)
        else:
            done = Done(act.n, durable="started")
            told = Notice("rehearsal", f"{started.name['ko']} · {started.name['en']}")
            parts.tell_place(started.place, told)
        parts.out.sends.append(ToClient(conn, done))

    def _go(self, conn: int, row: int, place: str, now: Instant) -> None:
        """Teleport: the row stands there from now on; if that ground is another node's, it is handed off as always."""
        parts = self._parts
        if parts.crowd.vehicle[row]:
            parts.crowd.leave_vehicle(row)
            parts.crowd.state[row] = 0
        if parts.visits.go(conn, row, place, parts.index, now):
            return
        found = next((mark for mark in LANDMARKS if place in (mark.name_en, mark.name_ko)), None)
        if found is None:
            parts.out.sends.append(
                ToClient(conn, Notice("no-such-place", f"There is no place called {place}."))
            )
            return
        east_cm, north_cm = found.position_cm
        pose = parts.crowd.pose(row)
        seq = int(parts.crowd.seq[row])
        parts.crowd.set_pose(row, Pose(east_cm, north_cm, 0, pose.yaw, pose.state), seq)
        parts.out.sends.append(ToClient(conn, Correct(seq, parts.crowd.pose(row), "go")))

    def _who(self, conn: int, ids: tuple[int, ...]) -> None:
        """Answer what is known here, and ask the neighbours whose ghosts the others are."""
        parts = self._parts
        known = [(avatar, profile) for avatar in ids if (profile := parts.people.profile(avatar)) is not None]
        if known:
            answer = Profiles(tuple(a for a, _ in known), tuple(p for _, p in known))
            parts.out.sends.append(ToClient(conn, answer))
        sources = {number: peer for peer, number in parts.links.items()}
        ask: defaultdict[Incarnation, list[int]] = defaultdict(list)
        for avatar in set(ids).difference(a for a, _ in known):
            row = parts.crowd.row_of.get(avatar)
            peer = None if row is None else sources.get(int(parts.crowd.source[row]))
            if peer is not None and len(parts.asked) < _ASKED_MAX:
                parts.asked.setdefault(avatar, []).append(conn)
                ask[peer].append(avatar)
        for peer, avatars in ask.items():
            parts.out.sends.append(ToPeer(peer, WhoAsk(tuple(sorted(avatars)))))
