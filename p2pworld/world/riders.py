"""Who rides: people take seats on the buses of `vehicles`, are carried through the city, and get off.

A rider is an avatar's row with a vehicle and a seat in the crowd's columns. Each tick puts every rider where its seat
is, in one go; poses of its client turn its head and nothing else. A rider crosses from node to node as anybody does,
its vehicle and seat carried along; whoever cannot follow is set down on the ground the bus has just left, and told.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

import numpy as np

from p2pworld.limits import BOARD_CM, RIDER_CROSSES_S, RIDER_KEPT_S, RIDER_STAYS_S
from p2pworld.messages import Correct, Notice, Pose, ToClient
from p2pworld.world.crowd import DORMANT, RIDE
from p2pworld.world.region import ME, NOBODY
from p2pworld.world.vehicles import (
    BUSES,
    NO_STOP,
    SEATS,
    STOPS,
    beside,
    nearest_stop,
    next_bus,
    places,
    seat_places,
    stopping,
)

if TYPE_CHECKING:
    from p2pworld.messages import Instant
    from p2pworld.world.crowd import Crowd
    from p2pworld.world.outbox import Outbox
    from p2pworld.world.region import RegionIndex

__all__ = ["NO_GROUND_AHEAD", "NO_ROOM_AHEAD", "TOO_LATE", "Riders", "free_seat", "seats_taken"]

NO_ROOM_AHEAD: Final = "There was no room ahead; the bus set you down."
NO_GROUND_AHEAD: Final = "Nobody holds the ground ahead just now; the bus set you down."
TOO_LATE: Final = "You could not be taken along in time; the bus set you down."

_STAND: Final = 0
_BACK_MS: Final = 100
_BACK_STEPS: Final = 100  # 10 s, 90 m: further than a bus goes while a handoff is tried


def seats_taken(crowd: Crowd, bus: int) -> int:
    """How many of this node's avatars sit on this bus."""
    return int((crowd.vehicle == bus).sum())


def free_seat(crowd: Crowd, bus: int, wanted: int = 0) -> int | None:
    """The seat `wanted` if it is free, else the first that is; None if all are taken or there is no such bus."""
    if not 1 <= bus <= BUSES:
        return None
    free = np.ones(SEATS, np.bool_)
    free[crowd.seat[crowd.vehicle == bus]] = False
    if wanted < SEATS and free[wanted]:
        return wanted
    return int(free.argmax()) if free.any() else None


class Riders:
    """The riders among the rows of one crowd; what they are told goes to the outbox."""

    def __init__(self, crowd: Crowd, out: Outbox) -> None:
        self.counters: Counter[str] = Counter()
        self._crowd, self._out = crowd, out
        self._crossing: dict[int, float] = {}  # avatar -> since when its handoff is under way
        self._came: dict[int, float] = {}  # avatar -> when it came here on a bus

    # ------------------------------------------------------------------------------------------- on and off

    def board(self, conn: int, row: int, now: Instant) -> None:
        """Take a seat on the bus that stands beside this avatar, or be told why not."""
        crowd = self._crowd
        if crowd.vehicle[row]:
            self._refuse(conn, "aboard", "You are on the bus already.")
            return
        east_cm, north_cm = int(crowd.east_cm[row]), int(crowd.north_cm[row])
        at = places(now.wall_ms)
        bus = stopping(east_cm, north_cm, BOARD_CM, at)
        if bus == 0:
            self._refuse(conn, "no-bus", _next_here(east_cm, north_cm, now.wall_ms))
            return
        seat = free_seat(crowd, bus)
        if seat is None:
            self._refuse(conn, "bus-full", "Every seat of this bus is taken; please take the next one.")
            return
        crowd.take_seat(row, bus, seat)
        one = slice(row, row + 1)
        east, north = seat_places(crowd.vehicle[one], crowd.seat[one], at)
        self._put(conn, row, Pose(int(east[0]), int(north[0]), 0, int(at.yaw[bus - 1]), RIDE), "board", now)
        self.counters["boarded"] += 1
        stop = STOPS[int(at.stop[bus - 1])]
        self._tell(conn, "on-board", f"Bus {bus}, seat {seat + 1}, from {stop.name_en}.")

    def get_off(self, conn: int, row: int, now: Instant) -> None:
        """Leave the bus at a stop, or be told why not."""
        crowd = self._crowd
        bus = int(crowd.vehicle[row])
        if bus == 0:
            self._refuse(conn, "not-aboard", "You are not on a bus.")
            return
        at = places(now.wall_ms)
        stop = int(at.stop[bus - 1])
        if stop == NO_STOP:
            self._refuse(conn, "bus-moving", "One gets off at stops; please wait for the next one.")
            return
        east_cm, north_cm = beside(bus, int(crowd.seat[row]), at)
        crowd.leave_vehicle(row)
        pose = Pose(east_cm, north_cm, 0, int(crowd.yaw[row]), _STAND)
        self._put(conn, row, pose, "off", now)
        self.counters["got-off"] += 1
        self._tell(conn, "got-off", f"You are at {STOPS[stop].name_en}.")

    def set_down(self, row: int, index: RegionIndex, now: Instant, sentence: str) -> None:
        """This rider cannot be taken further: it stands where the bus was when it was last on this node's ground."""
        crowd = self._crowd
        if not crowd.vehicle[row]:
            return
        one = slice(row, row + 1)
        bus, seat = crowd.vehicle[one].copy(), crowd.seat[one].copy()
        east, north = crowd.east_cm[one].copy(), crowd.north_cm[one].copy()
        for step in range(_BACK_STEPS):
            before = seat_places(bus, seat, places(now.wall_ms - step * _BACK_MS))
            if index.holder_at(*before)[0] == ME:
                east, north = before
                break
        crowd.leave_vehicle(row)
        pose = Pose(int(east[0]), int(north[0]), 0, int(crowd.yaw[row]), _STAND)
        conn = int(crowd.conn[row])
        self._put(conn, row, pose, "off", now)
        self.counters["set-down"] += 1
        if conn >= 0:
            self._tell(conn, "set-down", sentence)

    def _put(self, conn: int, row: int, pose: Pose, reason: str, now: Instant) -> None:
        seq = int(self._crowd.seq[row])
        self._crowd.set_pose(row, pose, seq)
        self._crowd.heard_s[row] = now.boot_s
        if conn >= 0:
            self._out.sends.append(ToClient(conn, Correct(seq, pose, reason)))

    # ------------------------------------------------------------------------------------------- time

    def tick(self, index: RegionIndex, leaving: list[int], now: Instant) -> None:
        """Carry every rider to where its seat is; set down who cannot follow. `leaving` are rows being handed off."""
        crowd = self._crowd
        rows = crowd.vehicle.nonzero()[0]
        if len(rows) == 0:
            self._crossing.clear()
            self._came.clear()
            return
        gone = (crowd.kind[rows] == DORMANT) & (crowd.heard_s[rows] < now.boot_s - RIDER_KEPT_S)
        for row in rows[gone].tolist():
            crowd.leave_vehicle(row)
            crowd.state[row] = _STAND
            self.counters["lost-on-the-way"] += 1
        rows = rows[~gone]
        east, north = seat_places(crowd.vehicle[rows], crowd.seat[rows], places(now.wall_ms))
        closed = index.holder_at(east, north) == NOBODY
        for row in rows[closed].tolist():
            self.set_down(row, index, now, NO_GROUND_AHEAD)
        rows, east, north = rows[~closed], east[~closed], north[~closed]
        crowd.east_cm[rows] = east
        crowd.north_cm[rows] = north
        self._late(index, leaving, now)

    def _late(self, index: RegionIndex, leaving: list[int], now: Instant) -> None:
        """Set down whose handoff takes too long, and forget those who have been here long enough."""
        crowd = self._crowd
        crossing: dict[int, float] = {}
        for row in leaving:
            if crowd.vehicle[row]:
                avatar = int(crowd.id[row])
                since_s = crossing[avatar] = self._crossing.get(avatar, now.boot_s)
                if now.boot_s - since_s > RIDER_CROSSES_S:
                    del crossing[avatar]
                    self.set_down(row, index, now, TOO_LATE)
        self._crossing = crossing
        self._came = {a: at_s for a, at_s in self._came.items() if now.boot_s - at_s < RIDER_STAYS_S}

    def came(self, row: int, now: Instant) -> None:
        """A rider has just come from another node."""
        if self._crowd.vehicle[row]:
            self.counters["came-riding"] += 1
            self._came[int(self._crowd.id[row])] = now.boot_s

    def stays(self, row: int) -> bool:
        """Whether this row came so lately that it is not handed on.

        Two nodes' clocks differ a little, and so does where each of them sees the bus: without a pause its riders
        would go to and fro at the border.
        """
        return int(self._crowd.id[row]) in self._came

    # ------------------------------------------------------------------------------------------- telling

    def _tell(self, conn: int, code: str, sentence: str) -> None:
        self._out.sends.append(ToClient(conn, Notice(code, sentence)))

    def _refuse(self, conn: int, code: str, sentence: str) -> None:
        self.counters[f"ride-{code}"] += 1
        self._tell(conn, code, sentence)


def _next_here(east_cm: int, north_cm: int, unix_ms: int) -> str:
    stop, away_cm = nearest_stop(east_cm, north_cm)
    wait_s = next_bus(stop, unix_ms) // 1000
    when = f"a bus comes in {wait_s} s" if wait_s else "a bus stands there now"
    return f"No bus stands here. The nearest stop is {STOPS[stop].name_en}, {away_cm // 100} m away; {when}."
