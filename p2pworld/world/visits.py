"""Visits: teleports to places, rooms and friends, portals, and who may be let in.

Whoever goes to a place stands, from that moment, where people appear there, each by their id at another spot; if that
ground is another node's they are handed off as always. Rooms are closed: their walls have no gate, so GO, a portal and
a login are the only ways in, and each asks here. Who may enter is checked by the node that one comes from, how many fit
by the one that holds the room, which declines the seat; then one stands outside again and is told why. Those who arrive
in the same instant may be a few more than fit.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from p2pworld.errors import Refusal
from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.messages import Correct, Instant, Notice, Pose, ToClient
from p2pworld.world.crowd import DORMANT, MINE, Crowd
from p2pworld.world.places import Spawn
from p2pworld.world.roles import Role, is_open_to
from p2pworld.world.walls import SQUARE_CM

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from p2pworld.world.outbox import Outbox
    from p2pworld.world.places import Place, Places, Portal
    from p2pworld.world.region import RegionIndex

_Number = TypeVar("_Number", int, "NDArray[np.int64]")

__all__ = ["ARRIVING_S", "BESIDE_CM", "PORTAL_NEAR_CM", "Visits"]

ARRIVING_S: Final = 10.0  # so long a refusal by a room's holder brings one back
PORTAL_NEAR_CM: Final = 200  # GO `portal` takes one this near
BESIDE_CM: Final = 150  # nobody wants to be stood upon
_ARRIVING_MAX: Final = 4_096
_NOBODY: Final = -1  # in a RegionIndex: ground that nobody holds


class Visits:
    """Who comes and goes between the places of one node."""

    def __init__(
        self,
        places: Places,
        crowd: Crowd,
        out: Outbox,
        key_of: Callable[[int], bytes],
        role_of: Callable[[int], Role | None] = lambda avatar: None,
    ) -> None:
        """`key_of` gives the public key of an avatar of mine, `role_of` what it has proved to be."""
        self._places, self._crowd, self._out = places, crowd, out
        self._key_of, self._role_of = key_of, role_of
        self.counters: Counter[str] = Counter()
        self._portals = [(place, portal) for place in places.all for portal in place.portals]
        at = [(portal.at[0], portal.at[1], portal.radius_cm) for _, portal in self._portals]
        self._at: NDArray[np.int64] = np.array(at, np.int64).reshape(-1, 3)
        reach = np.unique(
            [
                _square(east + dx, north + dy)
                for east, north, radius in at
                for dx in (-radius, radius)
                for dy in (-radius, radius)
            ]
        )
        self._squares: NDArray[np.int64] = reach.astype(np.int64)
        self._within: dict[int, int] = {}  # avatar -> the portal it stood in at the last tick
        self._arriving: dict[
            int, tuple[float, Place, Pose]
        ] = {}  # avatar -> until when, where to, where from

    # ---- who may

    def admits(self, avatar: int, key: bytes, pose: Pose, now: Instant) -> bool:
        """Whether a login may begin there: everywhere but in rooms that are not for it, or that are full."""
        room = self._places.room_at(pose.east_cm, pose.north_cm)
        return room is None or (self._may(room, avatar, key, now) and not self._full(room, avatar))

    def full(self, avatar: int, pose: Pose) -> bool:
        """Whether that point lies in a room of mine that has no room for one more."""
        room = self._places.room_at(pose.east_cm, pose.north_cm)
        return room is not None and self._full(room, avatar)

    def may_use(self, avatar: int, place: Place | None, kind: str, now: Instant) -> bool:
        """Whether an avatar of mine has the access that the feature of this kind names which the place declares: to
        strike its bell whatever the time, to call numbers at its counter."""
        feature = place.feature(kind) if place is not None else None
        if place is None or feature is None or not feature.access:
            return False
        key, role = self._key_of(avatar), self._role_of(avatar)
        return is_open_to(feature.access, place.id, feature.line[0], key, role, now.wall_ms)

    def _may(self, place: Place, avatar: int, key: bytes, now: Instant) -> bool:
        role = self._role_of(avatar)
        return is_open_to(place.access, place.id, place.spawns[0].at, key, role, now.wall_ms)

    def _full(self, room: Place, avatar: int) -> bool:
        assert room.room is not None
        west, south, east, north = room.room.bounds_cm()
        crowd = self._crowd
        rows = np.concatenate((crowd.rows(MINE), crowd.rows(DORMANT)))
        easts, norths = crowd.east_cm[rows], crowd.north_cm[rows]
        inside = (easts >= west) & (easts < east) & (norths >= south) & (norths < north)
        return int((inside & (crowd.id[rows] != avatar)).sum()) >= room.capacity

    # ---- going

    def go(self, conn: int, row: int, text: str, index: RegionIndex, now: Instant) -> bool:
        """Take this avatar to the place of that name, or through the `portal` it stands at; False: there is none."""
        if text == "portal":
            pose = self._crowd.pose(row)
            near = [pair for pair in self._portals if _near(pair[1], pose)]
            if not near:
                return False
            self._pass(conn, row, *near[0], index, now)
            return True
        place = self._places.find(text)
        if place is None:
            return False
        self._enter(conn, row, place, self._spot(place, row), self._crowd.pose(row), index, now)
        return True

    def beside(self, row: int, pose: Pose, index: RegionIndex, now: Instant) -> bool:
        """Let an avatar of mine stand beside somebody at `pose`, if that ground is open to it; whether it is."""
        room = self._places.room_at(pose.east_cm, pose.north_cm)
        spot = self._spot_beside(pose, room, int(self._crowd.id[row]))
        return self._enter(int(self._crowd.conn[row]), row, room, spot, self._crowd.pose(row), index, now)

    def tick(self, index: RegionIndex, now: Instant) -> None:
        """Whoever has come into a portal since the last tick goes through it."""
        for avatar in [a for a, (until_s, _, _) in self._arriving.items() if until_s < now.boot_s]:
            del self._arriving[avatar]
        if not self._portals:
            return
        crowd = self._crowd
        rows = crowd.rows(MINE)
        easts, norths = crowd.east_cm[rows], crowd.north_cm[rows]
        rows = rows[
            np.isin(_square(easts.astype(np.int64), norths.astype(np.int64)), self._squares)
            & (crowd.conn[rows] >= 0)
        ]
        before, self._within = self._within, {}
        for row in rows.tolist():
            way = self._at[:, :2] - (int(crowd.east_cm[row]), int(crowd.north_cm[row]))
            inside = ((way * way).sum(axis=1) <= self._at[:, 2] ** 2).nonzero()[0]
            if len(inside) == 0 or crowd.mover[row]:
                continue
            avatar, number = int(crowd.id[row]), int(inside[0])
            self._within[avatar] = number
            if before.get(avatar) != number:
                self._pass(int(crowd.conn[row]), row, *self._portals[number], index, now)

    def refused(self, avatar: int) -> None:
        """The holder of the room that this avatar is on its way to has no room for it: it stands outside again."""
        until_s, place, pose = self._arriving.pop(avatar, (0.0, None, None))
        row = self._crowd.row_of.get(avatar)
        if place is None or pose is None or row is None or self._crowd.kind[row] != MINE:
            return
        del until_s
        self._put(row, pose)
        self._decline(int(self._crowd.conn[row]), _full(place))

    def _pass(
        self, conn: int, row: int, place: Place, portal: Portal, index: RegionIndex, now: Instant
    ) -> None:
        back = place.spawns[int(self._crowd.id[row]) % len(place.spawns)]
        pose = self._crowd.pose(row)
        outside = Pose(*back.at, 0, back.yaw, pose.state)
        into = self._places.by_id[portal.to]
        self._enter(conn, row, into, portal.arrive or self._spot(into, row), outside, index, now)

    def _spot(self, place: Place, row: int) -> Spawn:
        return place.spawns[int(self._crowd.id[row]) % len(place.spawns)]

    def _spot_beside(self, pose: Pose, room: Place | None, turn: int) -> Spawn:
        """A step from there, facing it, with no wall between; where there is none, the very spot."""
        eighths = (np.arange(8) + turn) % 8
        way = np.stack([np.sin(eighths * np.pi / 4), np.cos(eighths * np.pi / 4)]) * BESIDE_CM
        old = np.array([[pose.east_cm], [pose.north_cm]], np.int32).repeat(8, 1)
        at = np.clip(old + way.round().astype(np.int32), 0, ROOT_SIDE_CM - 1).astype(np.int32)
        blocked = self._places.walls.blocked(*old, *at)
        for eighth, east, north, wall in zip(eighths.tolist(), *at.tolist(), blocked.tolist(), strict=True):
            if not wall and self._places.room_at(east, north) is room:
                return Spawn((east, north), (eighth * 32 + 128) % 256)
        return Spawn((pose.east_cm, pose.north_cm))

    def _enter(
        self,
        conn: int,
        row: int,
        place: Place | None,
        spot: Spawn,
        back: Pose,
        index: RegionIndex,
        now: Instant,
    ) -> bool:
        """Stand there, in that place or (None) in the open; or decline, and say why. Whether it stands there."""
        avatar = int(self._crowd.id[row])
        room = None if place is None or place.room is None else place
        holder = int(index.holder_at(np.array([spot.at[0]], np.int32), np.array([spot.at[1]], np.int32))[0])
        name = "that ground" if place is None else place.name["en"]
        if room is not None and not self._may(room, avatar, self._key_of(avatar), now):
            self._decline(conn, Refusal("place-closed", f"{name} is not open to you."))
        elif holder == _NOBODY:
            self._decline(
                conn, Refusal("place-closed", f"Nobody keeps {name} open just now; try again soon.")
            )
        elif room is not None and self._full(room, avatar):
            self._decline(conn, _full(room))
        else:
            if room is not None and holder != 0 and len(self._arriving) < _ARRIVING_MAX:
                self._arriving[avatar] = (now.boot_s + ARRIVING_S, room, back)
            self.counters["visits"] += 1
            if self._crowd.vehicle[row]:
                self._crowd.leave_vehicle(row)
                self._crowd.state[row] = 0
            self._put(row, Pose(*spot.at, 0, spot.yaw, self._crowd.pose(row).state))
            return True
        return False

    def _put(self, row: int, pose: Pose) -> None:
        crowd = self._crowd
        seq = int(crowd.seq[row])
        crowd.set_pose(row, pose, seq)
        if crowd.conn[row] >= 0:
            self._out.sends.append(ToClient(int(crowd.conn[row]), Correct(seq, crowd.pose(row), "go")))

    def _decline(self, conn: int, refusal: Refusal) -> None:
        self.counters[refusal.reason] += 1
        if conn >= 0:
            self._out.sends.append(ToClient(conn, Notice(refusal.reason, refusal.sentence)))


def _full(place: Place) -> Refusal:
    return Refusal(
        "place-full", f"{place.name['en']} is full: it holds {place.capacity} people. Try again later."
    )


def _near(portal: Portal, pose: Pose) -> bool:
    east, north = portal.at[0] - pose.east_cm, portal.at[1] - pose.north_cm
    return east * east + north * north <= max(PORTAL_NEAR_CM, portal.radius_cm) ** 2


def _square(east_cm: _Number, north_cm: _Number) -> _Number:
    return north_cm // SQUARE_CM * 4096 + east_cm // SQUARE_CM
