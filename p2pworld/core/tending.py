"""What is seen to tick by tick: objects and their standbys, programmes, and what moderators ordered."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from p2pworld.errors import Refusal
from p2pworld.ids import NO_LOGIN, avatar_id
from p2pworld.messages import (
    Bye,
    Correct,
    Instant,
    Notice,
    Objects,
    Pose,
    ToClient,
    Told,
)
from p2pworld.revocation import Revocation
from p2pworld.seoul.landmarks import LANDMARKS
from p2pworld.world.crowd import MINE
from p2pworld.world.places import bell_of
from p2pworld.world.programme import Bell

if TYPE_CHECKING:
    from p2pworld.core.parts import Parts
    from p2pworld.ids import Incarnation
    from p2pworld.messages import WorldObject
    from p2pworld.revocation import Notice as RevocationNotice
    from p2pworld.world.moderation import Sanction


__all__ = ["Tending"]

_EXPUNGE_EVERY_S = 5.0
_ANSWERS_WAIT_S = 5.0
_REVIEW_EVERY_S = 0.5  # for what was signed by a clock ahead of ours, and for members that are new


class Tending:
    """The housekeeping of a node."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._done_s: dict[str, float] = {}  # what is not done every tick: when it last was

    def tick(self, now: Instant) -> None:
        """Every tick, after the frames."""
        if self._due(_ANSWERS_WAIT_S, "answers", now):
            self._parts.asked.clear()  # what a neighbour has not answered by now it will not
        self._parts.tellings.tick(now)
        self._play_programmes(now)
        self._objects(now)
        self._moderate(now)
        parts = self._parts
        parts.notices.tick(now)
        if self._due(_REVIEW_EVERY_S, "review", now):
            parts.notices.members(parts.city.members.keys())
            self._review(now)

    def _due(self, every_s: float, what: str, now: Instant) -> bool:
        """Whether this, done so seldom, is to be done in this tick; ticks come a little early or late."""
        slack_s = self._parts.overload.tick_ms / 2000
        due = now.boot_s - self._done_s.get(what, -every_s) >= every_s - slack_s
        if due:
            self._done_s[what] = now.boot_s
        return due

    def _objects(self, now: Instant) -> None:
        parts = self._parts
        parts.objects.tick(parts.out, now)
        rows = parts.crowd.rows(MINE)
        if len(rows):
            cells = parts.index.cells[
                parts.index.leaf_at(parts.crowd.east_cm[rows], parts.crowd.north_cm[rows])
            ]
            entered = rows[cells != parts.cell_of[rows]]
            parts.cell_of[rows] = cells
            for row in entered.tolist():
                if (conn := int(parts.crowd.conn[row])) >= 0:
                    parts.showing.enter(conn, int(parts.cell_of[row]))
        parts.showing.tick(parts.shown)
        self.tell_changes(now)

    def tell_changes(self, now: Instant) -> None:
        """Changes of objects that became durable, or are kept here, to everybody who stands in their cell.

        A bell is heard beyond it: a stroke of one that a place has declared is told to all in the place, since ground
        that is crowded is cut, and the bell then hangs in a small part of it.
        """
        parts = self._parts
        changes = parts.objects.drain_changes()
        for looks, there in parts.pending.take_news():
            cell = parts.city.leaf_at(looks.east_cm, looks.north_cm)
            durable = (parts.objects.shown(cell) or {}).get(looks.id)
            shown = durable or (looks if there else None)
            changes.append((cell, Objects(cell, (shown,)) if shown else Objects(cell, (), (looks.id,))))
        if not changes:
            return
        rows = parts.crowd.rows(MINE)
        for cell, message in changes:
            within = rows[parts.cell_of[rows] == cell]
            conns = parts.crowd.conn[within]
            parts.out.sends.extend(ToClient(conn, message) for conn in conns[conns >= 0].tolist())
            for thing in message.objects:
                if thing.kind == "bell" and (told := self._stroke(thing)) is not None:
                    parts.tellings.tell(told, parts.links.keys(), now, parts.crowd.id[within].tolist())

    def _stroke(self, bell: WorldObject) -> Told | None:
        """What those are told who do not see this bell; None if no place has declared it."""
        place = self._parts.config.places.at(bell.east_cm, bell.north_cm)
        if place is None or (declared := bell_of(place)) is None or declared[0] != bell.id:
            return None
        name = hashlib.sha256(b"p2pworld stroke" + bell.id + bell.count.to_bytes(8, "big")).digest()[:16]
        return Told(name, place.id, "stroke", str(bell.count))

    def obey(self, data: bytes, now: Instant, came_from: Incarnation | None) -> Sanction | Refusal:
        """A moderator's order, from its issuer (`came_from` None) or a neighbour: kept, passed on, obeyed."""
        parts = self._parts
        taken = parts.moderation.receive(data, now, parts.links.keys(), came_from)
        if isinstance(taken, Refusal):
            return taken
        if (barred := parts.moderation.barred(taken.subject, now.wall_ms)) is not None:
            parts.people.expel(avatar_id(taken.subject), Bye(barred.reason, barred.sentence))
        if taken.action == "expunge":
            self._expunge(taken.subject, now)
        return taken

    def take_back(
        self, data: bytes, now: Instant, came_from: Incarnation | None
    ) -> RevocationNotice | Refusal:
        """A notice from its issuer or the store (`came_from` None) or a neighbour: kept, passed on, and heeded."""
        parts = self._parts
        taken = parts.notices.receive(data, now, came_from)
        if not isinstance(taken, Refusal):
            self._review(now)
            if isinstance(taken, Revocation):
                parts.people.papers.told_no_role(avatar_id(taken.subject))
        return taken

    def _review(self, now: Instant) -> None:
        """Whoever has lost its grants has lost its role and its part in the city."""
        parts = self._parts
        for avatar, why in parts.people.papers.review(now.wall_ms):
            row = parts.crowd.row_of.get(avatar)
            parts.counters["roles-lost"] += 1
            if row is not None and (conn := int(parts.crowd.conn[row])) >= 0:
                sentence = f"Your grant counts no longer: {why.sentence}."
                parts.out.sends.append(ToClient(conn, Notice(why.reason, sentence)))
        parts.ownership.shun(parts.notices.fallen(parts.city.members, now.wall_ms))

    def _moderate(self, now: Instant) -> None:
        """Keep people out of places they may not be at; take down what is to go, also in cells that came later."""
        parts = self._parts
        parts.moderation.tick(now)
        for avatar, place, why in parts.moderation.kept_out(now.wall_ms):
            row = parts.crowd.row_of.get(avatar)
            if row is None or parts.crowd.kind[row] != MINE:
                continue
            pose = parts.crowd.pose(row)
            if parts.place_of(pose.east_cm, pose.north_cm) == place:
                self._show_out(row, place, why)
        if self._due(_EXPUNGE_EVERY_S, "expunge", now):
            for object_id in parts.moderation.expunged(now.wall_ms):
                self._expunge(object_id, now)

    def _expunge(self, object_id: bytes, now: Instant) -> None:
        self._parts.objects.expunge(object_id, self._parts.out, now)
        self._parts.pending.expunge(object_id, "A moderator has taken this down for good.")

    def _show_out(self, row: int, place: str, why: Refusal) -> None:
        """Put an avatar at the first landmark that is not in the place it has to leave."""
        parts = self._parts
        outside = next(m.position_cm for m in LANDMARKS if parts.place_of(*m.position_cm) != place)
        parts.counters["shown-out"] += 1
        parts.crowd.leave_vehicle(row)
        pose, seq, conn = parts.crowd.pose(row), int(parts.crowd.seq[row]), int(parts.crowd.conn[row])
        parts.crowd.set_pose(row, Pose(*outside, 0, pose.yaw, 0), seq)
        if conn >= 0:
            parts.out.sends.append(ToClient(conn, Correct(seq, parts.crowd.pose(row), "go")))
            parts.out.sends.append(ToClient(conn, Notice(why.reason, why.sentence)))

    def _play_programmes(self, now: Instant) -> None:
        """What is due at places of mine: strokes of bells, which are acts of nobody, and words to all who are there."""
        parts = self._parts

        def holds(point: tuple[int, int]) -> bool:
            return not parts.people.lapsed and parts.city.holder_of(parts.city.leaf_at(*point)) == parts.who

        for due in parts.programmes.due(now, holds):
            bell = bell_of(due.place)
            if isinstance(due.op, Bell) and bell is not None:
                cell = parts.city.leaf_at(*bell[1])
                pose = Pose(*bell[1])
                parts.objects.act(
                    due.avatar, NO_LOGIN, -1, due.act, pose, cell, parts.people.lapsed, parts.out, now, bell
                )
            elif not isinstance(due.op, Bell):
                text = due.op.text
                told = Told(due.act.name, due.place.id, "programme", f"{text['ko']} · {text['en']}")
                parts.tellings.tell(told, parts.links.keys(), now)
