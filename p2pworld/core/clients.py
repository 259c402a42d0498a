"""What clients ask for: every control message of a play socket, and who answers it."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from p2pworld.messages import (
    Act,
    Beat,
    Block,
    Bye,
    Correct,
    File,
    Friend,
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

if TYPE_CHECKING:
    from p2pworld.core.acting import Acting
    from p2pworld.core.parts import Parts
    from p2pworld.ids import Incarnation


__all__ = ["Clients"]

_ASKED_MAX = 4096  # avatars asked about at neighbours and not yet answered


class Clients:
    """The play sockets' side of a node."""

    def __init__(self, parts: Parts, acting: Acting) -> None:
        self._parts, self._acting = parts, acting

    def said(self, conn: int, message: PlayMessage, now: Instant) -> None:
        parts = self._parts
        if isinstance(message, Hello):
            parts.people.hello(conn, message, now)
            return
        if isinstance(message, File):
            parts.relay.client_filed(conn, message, now.boot_s)
            return
        avatar = parts.people.avatar_on(conn)
        if avatar == 0:
            parts.counters["client-early"] += 1  # a seat is waiting, or a goodbye is on its way
            return
        row = parts.crowd.row_of[avatar]
        if isinstance(message, Go):
            parts.friends.no_longer(avatar)
        match message:
            case Act():
                self._acting.asked(conn, avatar, row, message, now)
            case Go("bus"):
                parts.riders.board(conn, row, now)
            case Go("off"):
                parts.riders.get_off(conn, row, now)
            case Go("friend", friend):
                parts.friends.seek(conn, avatar, friend, parts.whereabouts(friend), parts.who, now)
            case Go():
                self._go(conn, row, message.place, now)
            case Who():
                self._who(conn, message.ids, now)
            case Say():
                self._say(conn, avatar, row, message, now)
            case Beat():
                self._beat(conn, avatar, row, message, now)
            case Block():
                parts.speech.block(conn, message)
            case Friend():
                parts.friends.welcome(conn, message)
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
        homes = parts.whereabouts(say.avatar)
        proof = parts.people.proof(avatar)
        pose = parts.crowd.pose(row)
        if (muted := parts.muted(avatar, pose.east_cm, pose.north_cm, now)) is not None:
            parts.counters["say-muted"] += 1
            parts.out.sends.append(ToClient(conn, Notice(muted.reason, muted.sentence)))
            return
        parts.speech.say(
            conn,
            avatar,
            proof.key,
            proof.profile,
            pose,
            say,
            parts.index,
            parts.links,
            homes,
            now,
        )

    def _beat(self, conn: int, avatar: int, row: int, beat: Beat, now: Instant) -> None:
        parts = self._parts
        pose = parts.crowd.pose(row)
        muted = parts.muted(avatar, pose.east_cm, pose.north_cm, now)
        parts.speech.beat(conn, avatar, pose, beat, parts.index, parts.links, now, muted)

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

    def _who(self, conn: int, ids: tuple[int, ...], now: Instant) -> None:
        """Answer what is known here, and ask the neighbours about their ghosts: they may have other names by now."""
        parts = self._parts
        answer = Profiles(*parts.people.who(ids, now))
        if answer.ids:
            parts.out.sends.append(ToClient(conn, answer))
        sources = {number: peer for peer, number in parts.links.items()}
        ask: defaultdict[Incarnation, list[int]] = defaultdict(list)
        for avatar in sorted(set(ids)):
            row = parts.crowd.row_of.get(avatar)
            peer = None if row is None else sources.get(int(parts.crowd.source[row]))
            if peer is not None and len(parts.asked) < _ASKED_MAX:
                parts.asked.setdefault(avatar, []).append(conn)
                ask[peer].append(avatar)
        for peer, avatars in ask.items():
            parts.out.sends.append(ToPeer(peer, WhoAsk(tuple(sorted(avatars)))))
