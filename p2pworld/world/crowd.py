"""Everybody known to one node, as a structure of arrays: one row an avatar, mine, a neighbour's ghost, or dormant.

Rows that are mine change only by their own clients (`apply_poses`) and by handoff (`add`, `set_pose`,
`set_version`), whatever a neighbour says. Ghosts change only by `merge_ghosts`, to a larger version, and die
when they are not refreshed. Both hot paths are vectorised: no Python runs for each avatar. What is not taken
is counted by reason.

Rows are reused; an id is the lasting name (`row_of`). What depends on an order of avatars takes them by
rising id.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.errors import LocalError
from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.ids import Login, Version
from p2pworld.limits import (
    CLIENTS_MAX,
    CORRECT_EVERY_S,
    GHOST_REACH_CM,
    GHOST_TTL_S,
    POSES_PER_S,
    REACH_SECONDS,
    REACH_SLACK_CM,
    REACH_SPEED_CM_S,
)
from p2pworld.messages import Pose
from p2pworld.wire.frames import BORDER_DTYPE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from p2pworld.world.region import RegionIndex
    from p2pworld.world.walls import Walls

__all__ = ["DORMANT", "FREE", "GHOST", "MINE", "RIDE", "Applied", "Crowd", "tie_break"]

FREE: Final = 0
GHOST: Final = 1  # a neighbour's, or mine no longer: it is only shown
MINE: Final = 2
DORMANT: Final = 3  # mine, its socket lost: it stands still

RIDE: Final = 9  # the state of who sits on a vehicle
_SEATED: Final = np.isin(np.arange(256), (4, 5, 7))  # what a rider can do besides: wave, bow, clap

_NEVER: Final = -1e18
_NO_TTLS: Final[Mapping[int, float]] = MappingProxyType({})
_SEQ_MAX: Final = 2**32 - 1
_SPEED: Final = np.array(REACH_SPEED_CM_S, dtype=np.float64)
_ROW_COLUMNS: Final = BORDER_DTYPE.names or ()

Correction = tuple[int, int, Pose, str]


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of a batch of poses: each is accepted or dropped for one reason.

    Reasons: `unowned` (the socket has no row that moves), `rate`, `old` (seq not above the row's),
    `superseded` (a later one of the same batch), `outside` (the root), `reach` (too far for the time),
    `ride` (says that it rides, and does not), `closed` (ground that nobody holds), `wall`. `corrections` are (conn,
    seq refused, pose to go on from, reason),
    for the last four, by rising id.
    """

    accepted: int = 0
    corrections: tuple[Correction, ...] = ()
    dropped: dict[str, int] = field(default_factory=dict)


def tie_break(ids: NDArray[np.uint64], tick: int) -> NDArray[np.uint64]:
    """64 well-mixed bits for each id, other ones each tick (splitmix64: Steele, Lea, Flood, OOPSLA 2014)."""
    z = (ids ^ np.uint64(tick & 0xFFFF_FFFF_FFFF_FFFF)) + np.uint64(0x9E37_79B9_7F4A_7C15)
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58_476D_1CE4_E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D0_49BB_1331_11EB)
    return z ^ z >> np.uint64(31)


class Crowd:
    """The rows of one node.

    Every column is an array of length `capacity`; a row means something while its `kind` is not FREE.
    `heard_s` is, for a ghost, when it was last refreshed, and for mine, when a pose was last accepted.
    `source` is the link a ghost belongs to (-1: none). `mover` is 0 on foot, 1 on a vehicle; `vehicle` is which
    (0: none), `seat` where on it, and only rows that are mine or dormant have one. `crowding` is a guess that
    `interest` leaves for its next tick. At most half of
    all rows are ghosts, so that a neighbour's crowd keeps nobody from logging in. Callers may write any
    column of a row but `id`, and `kind` but to or from FREE.
    """

    def __init__(self, capacity: int, clients: int = CLIENTS_MAX) -> None:
        self.capacity = capacity
        self.ghosts_max = capacity // 2
        self.id = np.zeros(capacity, np.uint64)
        self.login_ms = np.zeros(capacity, np.uint64)
        self.birth_hi = np.zeros(capacity, np.uint64)
        self.birth_lo = np.zeros(capacity, np.uint64)
        self.hop = np.zeros(capacity, np.uint32)
        self.seq = np.zeros(capacity, np.uint32)
        self.east_cm = np.zeros(capacity, np.int32)
        self.north_cm = np.zeros(capacity, np.int32)
        self.up = np.zeros(capacity, np.int16)
        self.yaw = np.zeros(capacity, np.uint8)
        self.state = np.zeros(capacity, np.uint8)
        self.kind = np.zeros(capacity, np.uint8)
        self.conn = np.full(capacity, -1, np.int32)
        self.source = np.full(capacity, -1, np.int32)
        self.heard_s = np.zeros(capacity, np.float64)
        self.corrected_s = np.full(capacity, _NEVER, np.float64)
        self.mover = np.zeros(capacity, np.uint8)
        self.vehicle = np.zeros(capacity, np.uint16)
        self.seat = np.zeros(capacity, np.uint8)
        self.tokens = np.zeros(capacity, np.float64)  # poses this client may send at once, as of `rated_s`
        self.rated_s = np.zeros(capacity, np.float64)
        self.crowding = np.zeros(capacity, np.float32)  # people a square centimetre around, 0: not known
        self.row_of: dict[int, int] = {}
        self.conn_row = np.full(clients, -1, np.int32)
        self.walls: Walls | None = None  # that nobody on foot walks through
        self._free: list[int] = []  # rows below `_top` that are free, the next to be used last
        self._top = 0
        self._last = np.zeros(capacity, np.int32)  # scratch: the last pose of each row within one batch
        self._sorted: tuple[NDArray[np.uint64], NDArray[np.int32]] | None = None

    # ---- one avatar at a time

    @property
    def count(self) -> int:
        """How many avatars are known, of every kind."""
        return len(self.row_of)

    @property
    def full(self) -> bool:
        """Whether no row is free."""
        return len(self.row_of) >= self.capacity

    def add(
        self, id: int, login: Login, hop: int, seq: int, pose: Pose, kind: int, now_s: float = _NEVER
    ) -> int:
        """The row of an avatar that is new here, or known only as a ghost, whose row it takes over.

        `now_s` counts as the time of its last pose (mine: how far it may go at first) or refresh (a ghost).

        Raises:
            LocalError: no row is free (look at `full` first), or the avatar is already mine.
        """
        row = self.row_of.get(id)
        if row is None:
            if self.full:
                raise LocalError(f"all {self.capacity} rows are taken; look at `full` before adding")
            row = self._take(1)[0]
            self.row_of[id] = row
            self.id[row] = id
            self._sorted = None
        elif self.kind[row] != GHOST:
            raise LocalError(f"avatar {id} is already mine in row {row}; use set_version and set_pose")
        elif self.conn[row] >= 0:
            self.detach(row)
        self.kind[row] = kind
        self.source[row] = -1
        self.heard_s[row] = now_s
        self.corrected_s[row] = _NEVER
        self.leave_vehicle(row)
        self.set_version(row, Version(login, hop, seq))
        self.set_pose(row, pose, seq)
        return row

    def remove(self, row: int) -> None:
        """Forget a row; its socket, if any, belongs to no row from now on.

        Raises:
            LocalError: the row is free.
        """
        if self.kind[row] == FREE:
            raise LocalError(f"row {row} is free already")
        if self.conn[row] >= 0:
            self.detach(row)
        del self.row_of[int(self.id[row])]
        self.leave_vehicle(row)
        self.kind[row] = FREE
        self.source[row] = -1
        self._free.append(row)
        self._sorted = None

    def attach(self, row: int, conn: int) -> None:
        """Let the socket `conn` move this row and be sent its frames; the row's former socket is let go.

        Raises:
            LocalError: the socket belongs to another row, or the row is free.
        """
        held = int(self.conn_row[conn])
        if self.kind[row] == FREE or held not in (-1, row):
            raise LocalError(
                f"socket {conn} cannot take row {row}: the row is free or the socket has row {held}"
            )
        if self.conn[row] >= 0:
            self.detach(row)
        self.conn[row] = conn
        self.conn_row[conn] = row
        self.tokens[row] = POSES_PER_S
        self.rated_s[row] = _NEVER
        self.corrected_s[row] = _NEVER

    def detach(self, row: int) -> None:
        """Take the socket from this row, if it has one; its kind is for the caller to change."""
        conn = self.conn[row]
        if conn >= 0:
            self.conn_row[conn] = -1
            self.conn[row] = -1

    def take_seat(self, row: int, vehicle: int, seat: int) -> None:
        """From now on this avatar, which is mine, rides: its client's poses do not move it."""
        self.vehicle[row], self.seat[row], self.mover[row] = vehicle, seat, 1

    def leave_vehicle(self, row: int) -> None:
        """From now on this avatar is on foot."""
        self.vehicle[row] = self.seat[row] = self.mover[row] = 0

    def pose(self, row: int) -> Pose:
        """Where the avatar of this row is."""
        return Pose(
            int(self.east_cm[row]),
            int(self.north_cm[row]),
            int(self.up[row]),
            int(self.yaw[row]),
            int(self.state[row]),
        )

    def version(self, row: int) -> Version:
        """What is known of the avatar of this row, as it is ordered."""
        birth = int(self.birth_hi[row]) << 64 | int(self.birth_lo[row])
        login = Login(int(self.login_ms[row]), birth.to_bytes(16, "big"))
        return Version(login, int(self.hop[row]), int(self.seq[row]))

    def set_pose(self, row: int, pose: Pose, seq: int) -> None:
        """Put the avatar of this row there; neighbours believe it only under a larger `seq` (or hop, or login)."""
        self.east_cm[row] = pose.east_cm
        self.north_cm[row] = pose.north_cm
        self.up[row] = pose.up
        self.yaw[row] = pose.yaw
        self.state[row] = pose.state
        self.seq[row] = seq

    def set_version(self, row: int, version: Version) -> None:
        """Set login, hop and seq of this row."""
        (login_ms, birth), hop, seq = version
        self.login_ms[row] = login_ms
        self.birth_hi[row] = int.from_bytes(birth[:8], "big")
        self.birth_lo[row] = int.from_bytes(birth[8:], "big")
        self.hop[row] = hop
        self.seq[row] = seq

    # ---- many at once

    def rows(self, kind: int) -> NDArray[np.int32]:
        """The rows of this kind, rising."""
        of_kind: NDArray[np.bool_] = self.kind[: self._top] == kind
        return of_kind.nonzero()[0].astype(np.int32)

    def everybody(self) -> NDArray[np.int32]:
        """The rows of every avatar known here, by rising id."""
        return self._by_id()[1]

    def border_rows(self, rows: NDArray[np.int32]) -> NDArray[Any]:
        """These rows as neighbours are told of them: BORDER_DTYPE[n]."""
        out = np.empty(len(rows), BORDER_DTYPE)
        for name in _ROW_COLUMNS:
            out[name] = getattr(self, name)[rows]
        return out

    def apply_poses(
        self, conns: NDArray[np.int32], poses: NDArray[Any], index: RegionIndex, now_s: float
    ) -> Applied:
        """Move my avatars: row i of `poses` (POSE_DTYPE[n]) came from the socket `conns[i]`, in order of arrival.

        Of one client the pose with the highest seq wins, the first of two with the same. Seqs are serial
        numbers of 16 bits (RFC 1982) and are unwrapped against the row's, which becomes the seq of the last
        accepted pose. A pose takes one token of its client, whether it is accepted or not; tokens come back
        at POSES_PER_S, at most one second's. An accepted pose lies in the root, within reach (REACH_SLACK_CM
        and the mover's speed for the time since the last accepted one), and leads into no ground that nobody
        holds. Of a rider's pose only yaw and state count: it is where its vehicle is. Nobody else may be in the
        state RIDE.
        """
        total = len(conns)
        if total == 0:
            return Applied()
        dropped: dict[str, int] = {}
        rows = self.conn_row[conns]
        # a socket without a row reads the last row's kind, so both are looked at
        at = ((rows >= 0) & (self.kind[rows] == MINE)).nonzero()[0]
        if len(at) < total:
            dropped["unowned"] = total - len(at)
            rows, poses = rows[at], poses[at]
            if len(at) == 0:
                return Applied(0, (), dropped)

        # once for each row, even if it occurs twice: both writes are the same
        fresh = np.minimum(self.tokens[rows] + (now_s - self.rated_s[rows]) * POSES_PER_S, POSES_PER_S)
        self.rated_s[rows] = now_s
        gain = (poses["seq"] - self.seq[rows].astype(np.uint16)).view(np.int16)  # signed distance, wrapping
        seq = self.seq[rows].astype(np.int64) + gain
        later = (gain > 0) & (seq <= _SEQ_MAX)

        counter = np.arange(len(rows), dtype=np.int32)
        self._last[rows] = counter
        if (self._last[rows] == counter).all():
            paid = fresh >= 1.0
            self.tokens[rows] = fresh - paid
            won = paid & later
            superseded = 0
        else:
            paid, won = self._one_of_each(rows, fresh, seq, later)
            superseded = int((paid & later).sum() - won.sum())
        at = won.nonzero()[0]
        if len(at) < len(rows):
            paid_count = int(paid.sum())
            _count(dropped, "rate", len(rows) - paid_count)
            _count(dropped, "old", paid_count - superseded - len(at))
            _count(dropped, "superseded", superseded)
            if len(at) == 0:
                return Applied(0, (), dropped)
            rows, poses, seq = rows[at], poses[at], seq[at]
        return self._move(rows, poses, seq, index, now_s, dropped)

    def _one_of_each(
        self,
        rows: NDArray[np.int32],
        fresh: NDArray[np.float64],
        seq: NDArray[np.int64],
        later: NDArray[np.bool_],
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Where a client sent several poses: which had a token, and which wins among those of its row that did."""
        order = rows.argsort(kind="stable")
        ordered = rows[order]
        first = np.concatenate(([True], ordered[1:] != ordered[:-1])).nonzero()[0]
        sent = np.diff(first, append=len(rows))
        rank = np.empty(len(rows), np.int64)
        rank[order] = np.arange(len(rows)) - np.repeat(first, sent)
        paid = rank < np.floor(fresh)
        one = order[first]
        self.tokens[rows[one]] = fresh[one] - np.minimum(sent, np.floor(fresh[one]))
        # by row, then the highest seq, then the first to arrive; those that cannot win stand last
        best = np.lexsort((rank, -np.where(paid & later, seq, -1), rows))
        won = np.zeros(len(rows), np.bool_)
        won[best[first]] = True
        return paid, won & paid & later

    def _move(
        self,
        rows: NDArray[np.int32],
        poses: NDArray[Any],
        seq: NDArray[np.int64],
        index: RegionIndex,
        now_s: float,
        dropped: dict[str, int],
    ) -> Applied:
        """Move each of these rows, which differ, if it may go there."""
        east, north = poses["east_cm"], poses["north_cm"]
        old_east, old_north = self.east_cm[rows], self.north_cm[rows]
        riding = self.vehicle[rows] != 0
        if riding.any():
            east, north = np.where(riding, old_east, east), np.where(riding, old_north, north)
        posing = (poses["state"] == RIDE) & ~riding
        silence_s = np.minimum(np.maximum(now_s - self.heard_s[rows], 0.0), REACH_SECONDS)
        reach_cm = REACH_SLACK_CM + _SPEED[self.mover[rows]] * silence_s
        east_way, north_way = east.astype(np.float64) - old_east, north.astype(np.float64) - old_north
        far = east_way * east_way + north_way * north_way > reach_cm * reach_cm
        # what is not far lies near a place in the root, so only such a place is looked up; `far` alone may be anywhere
        inside = (east >= 0) & (north >= 0) & (east < ROOT_SIDE_CM) & (north < ROOT_SIDE_CM)
        good = inside & ~far & ~posing
        corrections: tuple[Correction, ...] = ()
        whole = bool(good.all())
        closed = None
        if whole:
            closed = index.enters_closed(old_east, old_north, east, north)
            if closed.any():
                good, whole = ~closed, False
        else:
            at = good.nonzero()[0]
            if len(at):
                good[at] = ~index.enters_closed(old_east[at], old_north[at], east[at], north[at])
        walled = self._walled(rows, good, old_east, old_north, east, north)
        if walled is not None:
            good, whole = good & ~walled, False
        if not whole:
            bad = (~good).nonzero()[0]
            reason = np.where(~inside, 0, np.where(far, 1, np.where(posing, 2, 3)))[bad]
            if walled is not None:
                reason[walled[bad]] = 4
            for name, times in zip(_REFUSALS, np.bincount(reason, minlength=5).tolist(), strict=True):
                _count(dropped, name, times)
            corrections = self._correct(rows[bad], seq[bad], reason, now_s)
            at = good.nonzero()[0]
            rows, poses, seq, east, north = rows[at], poses[at], seq[at], east[at], north[at]
            riding = riding[at]
        up, state = poses["up"], poses["state"]
        if riding.any():
            up = np.where(riding, self.up[rows], up)
            state = np.where(riding & ~_SEATED[state], RIDE, state)
        self.east_cm[rows] = east
        self.north_cm[rows] = north
        self.up[rows] = up
        self.yaw[rows] = poses["yaw"]
        self.state[rows] = state
        self.seq[rows] = seq
        self.heard_s[rows] = now_s
        return Applied(len(rows), corrections, dropped)

    def _walled(
        self,
        rows: NDArray[np.int32],
        good: NDArray[np.bool_],
        old_east: NDArray[np.int32],
        old_north: NDArray[np.int32],
        east: NDArray[np.int32],
        north: NDArray[np.int32],
    ) -> NDArray[np.bool_] | None:
        """Which of the good steps of those on foot lead through a wall; None if none does."""
        if self.walls is None:
            return None
        walled = np.zeros(len(rows), np.bool_)
        at = (good & (self.mover[rows] == 0)).nonzero()[0]
        walled[at] = self.walls.blocked(old_east[at], old_north[at], east[at], north[at])
        return walled if walled.any() else None

    def _correct(
        self, rows: NDArray[np.int32], seq: NDArray[np.int64], reason: NDArray[np.intp], now_s: float
    ) -> tuple[Correction, ...]:
        """Corrections for those of the rows that had none for CORRECT_EVERY_S, by rising id."""
        due = (now_s - self.corrected_s[rows] >= CORRECT_EVERY_S).nonzero()[0]
        due = due[self.id[rows[due]].argsort()]
        rows = rows[due]
        self.corrected_s[rows] = now_s
        columns = (self.conn, self.east_cm, self.north_cm, self.up, self.yaw, self.state)
        told = zip(
            *(column[rows].tolist() for column in columns),
            seq[due].tolist(),
            reason[due].tolist(),
            strict=True,
        )
        return tuple(
            (conn, s, Pose(e, n, up, yaw, st), _REFUSALS[why]) for conn, e, n, up, yaw, st, s, why in told
        )

    # ---- ghosts

    def merge_ghosts(
        self, source: int, rows: NDArray[Any], index: RegionIndex, holder: int, now_s: float
    ) -> dict[str, int]:
        """Take in what a link says of its holder's avatars; answers how many were not taken, by reason.

        `source` is the link, `holder` its number in `index`. `rows` are BORDER_DTYPE[n] as
        `wire.frames.decode_rows` gives them: no id twice, positions inside the root. Rows of mine never
        change (`mine`). An unknown id becomes a ghost while there is room (`full`; the smallest ids first). A
        ghost changes only to a larger version; the same version from the same link refreshes it, and of two
        links that tell the same version the lower number keeps it, so that batches of several links commute
        (else `old`). A row over GHOST_REACH_CM from all ground of that holder is refused (`astray`).
        """
        refused: dict[str, int] = {}
        if len(rows) == 0:
            return refused
        if holder < 1:  # nobody, or I: then no ground is its
            return {"astray": len(rows)}
        near = index.within(holder, rows["east_cm"], rows["north_cm"], GHOST_REACH_CM)
        if not near.all():
            rows = rows[near]
            refused["astray"] = len(near) - len(rows)
        at = self._find(rows["id"])
        known = (at >= 0).nonzero()[0]
        if len(known):
            self._refresh(source, rows[known], at[known], now_s, refused)
        if len(known) < len(rows):
            self._add_ghosts(source, rows[at < 0], now_s, refused)
        return refused

    def _refresh(
        self, source: int, rows: NDArray[Any], at: NDArray[np.int32], now_s: float, refused: dict[str, int]
    ) -> None:
        ghost = self.kind[at] == GHOST
        if not ghost.all():
            _count(refused, "mine", len(at) - int(ghost.sum()))
            rows, at = rows[ghost], at[ghost]
        larger = np.zeros(len(at), np.bool_)
        equal = np.ones(len(at), np.bool_)
        for name in ("login_ms", "birth_hi", "birth_lo", "hop", "seq"):
            told, had = rows[name], getattr(self, name)[at]
            larger |= equal & (told > had)
            equal &= told == had
        owner = self.source[at]
        write = (larger | equal & (owner > source)).nonzero()[0]
        heard = (larger | equal & (owner >= source)).nonzero()[0]
        _count(refused, "old", len(at) - len(heard))
        self.heard_s[at[heard]] = now_s
        if len(write) < len(at):
            rows, at = rows[write], at[write]
        self._write(source, rows, at)

    def _write(self, source: int, rows: NDArray[Any], at: NDArray[np.int32]) -> None:
        for name in _ROW_COLUMNS[1:]:
            getattr(self, name)[at] = rows[name]
        self.source[at] = source

    def _add_ghosts(self, source: int, rows: NDArray[Any], now_s: float, refused: dict[str, int]) -> None:
        ghosts = int((self.kind[: self._top] == GHOST).sum())
        room = min(self.ghosts_max - ghosts, self.capacity - len(self.row_of))
        if room < len(rows):
            _count(refused, "full", len(rows) - max(room, 0))
            if room <= 0:
                return
            rows = rows[rows["id"].argsort()[:room]]
        taken = self._take(len(rows))
        at = np.array(taken, np.int32)
        self.id[at] = rows["id"]
        self.row_of.update(zip(rows["id"].tolist(), taken, strict=True))
        self.kind[at] = GHOST
        self.heard_s[at] = now_s
        self.mover[at] = 0
        self._write(source, rows, at)
        self._sorted = None

    def expire(self, now_s: float, ttl_s: Mapping[int, float] = _NO_TTLS) -> int:
        """Forget ghosts that were not refreshed for over GHOST_TTL_S; how many. One that still has a socket stays.

        `ttl_s` are the links whose ghosts live longer, because their node's tick is long.
        """
        top = self._top
        stale = (
            (self.kind[:top] == GHOST) & (self.heard_s[:top] < now_s - GHOST_TTL_S) & (self.conn[:top] < 0)
        )
        if ttl_s and stale.any():
            for source, longer_s in ttl_s.items():
                stale &= (self.source[:top] != source) | (self.heard_s[:top] < now_s - longer_s)
        return self._forget(stale.nonzero()[0])

    def drop_source(self, source: int) -> int:
        """Forget the ghosts of a link that is gone; how many. One that still has a socket stays."""
        top = self._top
        gone = (self.kind[:top] == GHOST) & (self.source[:top] == source) & (self.conn[:top] < 0)
        return self._forget(gone.nonzero()[0])

    # ---- rows and ids

    def _forget(self, rows: NDArray[np.intp]) -> int:
        if len(rows):
            deque(map(self.row_of.pop, self.id[rows].tolist()), maxlen=0)
            self.kind[rows] = FREE
            self.source[rows] = -1
            self._free.extend(rows.tolist())
            self._sorted = None
        return len(rows)

    def _take(self, count: int) -> list[int]:
        """So many free rows, which the caller knows to exist, lowest first where never used before."""
        reused = min(count, len(self._free))
        taken = [self._free.pop() for _ in range(reused)]
        taken.extend(range(self._top, self._top + count - reused))
        self._top += count - reused
        return taken

    def _by_id(self) -> tuple[NDArray[np.uint64], NDArray[np.int32]]:
        """All ids, rising, and their rows; made anew after avatars came or went."""
        if self._sorted is None:
            rows = self.kind[: self._top].nonzero()[0].astype(np.int32)
            ids = self.id[rows]
            order = ids.argsort()
            self._sorted = ids[order], rows[order]
        return self._sorted

    def _find(self, ids: NDArray[np.uint64]) -> NDArray[np.int32]:
        """The row of each id, or -1."""
        known, rows = self._by_id()
        if len(known) == 0:
            return np.full(len(ids), -1, np.int32)
        at = known.searchsorted(ids)
        at[at == len(known)] = 0
        return np.where(known[at] == ids, rows[at], np.int32(-1))


_REFUSALS: Final = ("outside", "reach", "ride", "closed", "wall")


def _count(counts: dict[str, int], reason: str, times: int) -> None:
    if times:
        counts[reason] = counts.get(reason, 0) + times
