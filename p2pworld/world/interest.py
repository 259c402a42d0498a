"""What every client is shown: one frame for each interest leaf with clients in it, the same bytes to each of them.

A leaf (see `leaves`) holds at most LEAF_CAPACITY people, so it is small where they are many. Its frame tells of the people nearest to
the bounding box of the leaf's own clients, at most VIEW_CM away, moving or not: each tick of the FRAME_AVATARS nearest (tier 0);
each second tick of the next TIER_1_AVATARS; each fifth of the next TIER_2_AVATARS. Of people equally far away
chance decides anew each tick. Beyond them, and of everybody, the counts of `densities`, each fifth tick.

So a frame's size is bounded whatever the crowd, and known: see FRAME_BYTES_MAX. A leaf's outer tiers come in the ticks that the
ground it stands on says, so that every tick costs about as much.

What is left out when a node has too much to do is said by a level of `Shed`, in this order, and what would have been due is counted.
All is vectorised: Python runs once a leaf, never once an avatar.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import (
    DENSITY_LEVEL,
    FRAME_AVATARS,
    LEAF_FINEST,
    TIER_1_AVATARS,
    TIER_2_AVATARS,
    VIEW_CM,
)
from p2pworld.messages import Frame
from p2pworld.wire.frames import encode_poses_block, encode_poses_each
from p2pworld.world.crowd import tie_break
from p2pworld.world.densities import densities
from p2pworld.world.leaves import crowded_level, leaf_codes, leaf_levels, leaf_starts
from p2pworld.world.nearest import nearest
from p2pworld.world.region import COUNTED_CM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from p2pworld.wire.frames import DensityFrame
    from p2pworld.world.crowd import Crowd
    from p2pworld.world.nearest import Box

__all__ = ["Shed", "Shown", "leaf_frames"]


class Shed(IntEnum):
    """What a node leaves out: each level besides what the ones before it leave out."""

    NOTHING = 0
    FIFTH_RATE = 1  # tier 2
    HALF_RATE = 2  # tier 1
    COUNTS = 3  # counts come once a second


@dataclass(frozen=True, slots=True)
class Shown:
    """The frames of one tick, and what was withheld from whom: how many clients went without a tier (`tier-1`, `tier-2`)
    or a count (`counts`) that they would have had in this tick, because of the level of `Shed`. A tier counts only where
    the FRAME_AVATARS nearest are all there, so that there is somebody else to tell of."""

    frames: list[Frame]
    withheld: dict[str, int] = field(default_factory=dict)


_EVERY: Final = (1, 2, 5)  # ticks between two frames of each tier
_COUNTS_EVERY: Final = 5  # ticks
_COUNTS_EVERY_SHED: Final = 10
_STOPS: Final = tuple(accumulate((0, FRAME_AVATARS, TIER_1_AVATARS, TIER_2_AVATARS)))  # of each tier's ranks
_CROWD: Final = 64  # rows whose smallest common cell tells how dense a crowd is
_PHASE_LEVEL: Final = 13  # leaves on one cell of 8 m are due in the same ticks, also after one is cut
_PLACE_BITS: Final = 20  # for the number of a row or of a socket
_PLACE: Final = (1 << _PLACE_BITS) - 1


def leaf_frames(
    crowd: Crowd, tick: int, t_ms: int, far: Sequence[DensityFrame] = (), shed: Shed = Shed.NOTHING
) -> Shown:
    """For each leaf with clients, in Morton order: their sockets, rising, and the payloads to send to each.

    `tick` counts this node's ticks. `far` is the latest count of each neighbour (see `borders`): people who have
    no row here.
    """
    rows = crowd.everybody()
    if len(rows) == 0 or crowd.conn[rows].max() < 0:
        return Shown([])
    # numbered by chance, so that whoever goes by number lets chance decide
    rows = rows[tie_break(crowd.id[rows], tick).argsort()]
    east, north = crowd.east_cm[rows], crowd.north_cm[rows]
    codes = leaf_codes(east, north) << _PLACE_BITS | np.arange(len(rows))
    codes.sort()
    order = codes & _PLACE
    codes >>= _PLACE_BITS
    levels = leaf_levels(codes)
    starts = leaf_starts(codes, levels)

    conn = crowd.conn[rows[order]]
    client = (conn >= 0).nonzero()[0]
    leaf = starts.searchsorted(client, side="right")
    first = np.concatenate((_ZERO, (leaf[1:] != leaf[:-1]).nonzero()[0] + 1))  # of each leaf, in `client`
    own_east, own_north = east[order[client]], north[order[client]]
    box = (
        np.minimum.reduceat(own_east, first),
        np.minimum.reduceat(own_north, first),
        np.maximum.reduceat(own_east, first),
        np.maximum.reduceat(own_north, first),
    )
    sockets = leaf << _PLACE_BITS | conn[client]
    sockets.sort()

    head = client[first]
    dues = _due(codes[head], levels[head], tick)
    shown = [True, shed < Shed.HALF_RATE, shed < Shed.FIFTH_RATE]
    wanted = np.full(len(first), FRAME_AVATARS)
    for tier in (1, 2):
        if shown[tier]:
            wanted[dues[tier]] = _STOPS[tier + 1]
    own_rows = rows[order[client]]
    crowding = np.minimum.reduceat(crowd.crowding[own_rows], first).astype(np.float64)
    if not crowding.all():
        crowding = np.where(crowding > 0, crowding, _cell_crowding(codes, head))
    found, near, far_cm = nearest(east, north, box, wanted, _reach(crowding / _MARGIN, box, wanted))
    crowding = found / np.maximum(_ground(box, far_cm), 1.0)
    crowd.crowding[own_rows] = crowding.repeat(np.diff(first, append=len(client)))

    payloads: list[list[bytes]] = [[] for _ in range(len(first))]
    for tier in range(3):
        if shown[tier]:
            _add_poses(payloads, tier, t_ms, crowd, rows, near, found, dues[tier])
    hidden = len(far) > 0 or int(found.min()) < len(rows)
    if hidden and tick % (_COUNTS_EVERY_SHED if shed >= Shed.COUNTS else _COUNTS_EVERY) == 0:
        _add_counts(payloads, codes, far, box, t_ms)

    stops = [*first[1:].tolist(), len(client)]
    conns: list[int] = (sockets & _PLACE).tolist()
    frames = [
        Frame(tuple(conns[begin:stop]), tuple(parts))
        for begin, stop, parts in zip(first.tolist(), stops, payloads, strict=True)
    ]
    withheld = {}
    if shed:
        clients = np.diff(first, append=len(client))
        full = found >= FRAME_AVATARS
        for tier in (1, 2):
            if not shown[tier]:
                withheld[f"tier-{tier}"] = int(clients[full & dues[tier]].sum())
        if hidden and shed >= Shed.COUNTS and tick % _COUNTS_EVERY == 0 and tick % _COUNTS_EVERY_SHED:
            withheld["counts"] = len(client)
    return Shown(frames, withheld)


def _due(codes: NDArray[np.int64], levels: NDArray[np.int8], tick: int) -> list[NDArray[np.bool_]]:
    """For each tier, which of the leaves with these codes and levels have it in this tick."""
    depth = LEAF_FINEST - np.minimum(levels, _PHASE_LEVEL).astype(np.int64)
    chance = tie_break((codes >> 2 * depth).astype(np.uint64), 0)
    return [
        ((chance >> np.uint64(16 * tier)) % np.uint64(every) == tick % every)
        for tier, every in enumerate(_EVERY)
    ]


def _reach(
    crowding: NDArray[np.float64], box: Box, wanted: NDArray[np.int64]
) -> NDArray[np.float64]:
    """How far from each box the last wanted one stands, if so many people a square centimetre stand everywhere."""
    needed = wanted / np.maximum(crowding, _CROWDING_LEAST)
    half = (box[2] - box[0]) + (box[3] - box[1])
    # _ground(box, reach) == needed
    within = np.maximum(needed - _ground(box, 0.0), 0.0)
    reach: NDArray[np.float64] = (np.sqrt(half * half.astype(np.float64) + np.pi * within) - half) / np.pi
    return reach


def _ground(box: Box, reach_cm: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """The square centimetres of all that is within reach of each box."""
    wide, high = (box[2] - box[0]).astype(np.float64), (box[3] - box[1]).astype(np.float64)
    ground: NDArray[np.float64] = wide * high + 2 * (wide + high) * reach_cm + np.pi * reach_cm * reach_cm
    return ground


def _cell_crowding(codes: NDArray[np.int64], head: NDArray[np.intp]) -> NDArray[np.float64]:
    """People a square centimetre in the smallest cell of the rising `codes` that holds _CROWD rows, with each row of `head`."""
    level = crowded_level(codes, _CROWD)[head].astype(np.int64)
    depth = 2 * (LEAF_FINEST - np.maximum(level, 0))
    cell = codes[head] >> depth
    people = codes.searchsorted((cell + 1) << depth) - codes.searchsorted(cell << depth)
    side = np.ldexp(float(ROOT_SIDE_CM), -level)
    crowding: NDArray[np.float64] = people / (side * side)
    return crowding


def _add_poses(
    payloads: list[list[bytes]],
    tier: int,
    t_ms: int,
    crowd: Crowd,
    rows: NDArray[np.int32],
    near: NDArray[np.int64],
    found: NDArray[np.int64],
    due: NDArray[np.bool_],
) -> None:
    """Add a POSES of this tier to each leaf for which it is due and has somebody in it."""
    begin, stop = _STOPS[tier], _STOPS[tier + 1]
    for whole in (True, False):
        leaves = (due & ((found >= stop) if whole else (found < stop) & (found > begin))).nonzero()[0]
        if len(leaves) == 0:
            continue
        picked = near[leaves, begin:stop]
        if whole:
            at = rows[picked]
            messages = encode_poses_block(tier, t_ms, *(column[at] for column in _columns(crowd)))
        else:
            counts = found[leaves] - begin
            at = rows[picked[np.arange(stop - begin) < counts[:, None]]]
            messages = encode_poses_each(tier, t_ms, counts.cumsum(), *(c[at] for c in _columns(crowd)))
        for leaf, message in zip(leaves.tolist(), messages, strict=True):
            payloads[leaf].append(message)


def _columns(crowd: Crowd) -> tuple[NDArray[Any], ...]:
    return crowd.id, crowd.east_cm, crowd.north_cm, crowd.up, crowd.yaw, crowd.state


def _add_counts(
    payloads: list[list[bytes]],
    codes: NDArray[np.int64],
    far: Sequence[DensityFrame],
    box: Box,
    t_ms: int,
) -> None:
    """Add to each leaf the counts around the middle of its box."""
    west, south, to_east, to_north = box
    column = (west + (to_east - west >> 1)) // COUNTED_CM
    line = (south + (to_north - south >> 1)) // COUNTED_CM
    asked, which = np.unique(line.astype(np.int64) << DENSITY_LEVEL | column, return_inverse=True)
    cells = codes >> 2 * (LEAF_FINEST - DENSITY_LEVEL)
    answers = densities(cells, far, asked & (1 << DENSITY_LEVEL) - 1, asked >> DENSITY_LEVEL, t_ms)
    for parts, answer in zip(payloads, which.tolist(), strict=True):
        parts += answers[answer]


_ZERO: Final = np.zeros(1, np.intp)
_CROWDING_LEAST: Final = 1e-9
_MARGIN: Final = 1.2  # people stand by chance: so many times as many as wanted are expected within the guess
