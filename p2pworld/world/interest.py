"""What every client is shown: one frame for each interest leaf with clients in it, the same bytes to each of them.

A leaf (see `leaves`) holds at most LEAF_CAPACITY people, so it is small where they are many. Its frame tells of those
nearest to the bounding box of the leaf's own clients, moving or not, at most VIEW_CM away: each tick of the
FRAME_AVATARS nearest (tier 0), each second tick of the next TIER_1_AVATARS, each fifth of the next TIER_2_AVATARS. Of
people equally far away chance decides, anew each tick. Of everybody, and so of those beyond, it brings the counts of
`densities` each fifth tick. A frame's size is bounded whatever the crowd (FRAME_BYTES_MAX), and so are a client's
bytes a second. In which ticks the outer tiers come depends on the ground, so that every tick costs about as much.

What is left out when a node has too much to do is said by a level of `Shed`, and what would have been due is counted.
Python runs once a leaf, never once an avatar.
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
    LEAF_WIDEST,
    TIER_1_AVATARS,
    TIER_2_AVATARS,
    VIEW_CM,
)
from p2pworld.messages import Frame
from p2pworld.wire.frames import encode_poses_block, encode_poses_each
from p2pworld.world.crowd import tie_break
from p2pworld.world.densities import densities
from p2pworld.world.leaves import crowded_level, leaf_codes, leaf_levels, leaf_starts
from p2pworld.world.nearest import Near, Places
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
    """The frames of one tick, and what was withheld because of `Shed`.

    `withheld` tells how many clients went without a tier (`tier-1`, `tier-2`) or a count (`counts`) that was due to
    them in this tick. A tier counts where tier 0 is full, so that there is somebody else to tell of.
    """

    frames: list[Frame]
    withheld: dict[str, int] = field(default_factory=dict)


_EVERY: Final = (1, 2, 5)  # ticks between two frames of each tier
_COUNTS_EVERY: Final = 5  # ticks
_COUNTS_EVERY_SHED: Final = 10
_STOPS: Final = tuple(accumulate((0, FRAME_AVATARS, TIER_1_AVATARS, TIER_2_AVATARS)))  # of each tier's ranks
_BOX_REACHES: Final = 1.5  # a box is at most so many times as long as its frame reaches
_HALVINGS: Final = 2.0 ** np.arange(LEAF_FINEST - LEAF_WIDEST)
_PHASE_LEVEL: Final = 13  # leaves on one cell of 8 m are due in the same ticks, also after one is cut
_MARGIN: Final = 1.2  # people stand by chance: so many times as many as wanted are expected within a guess
_CROWD: Final = 64  # rows whose smallest common cell tells how dense a crowd is, where nothing else does
_CROWDING_LEAST: Final = 1e-9  # people a square centimetre: less than one within VIEW_CM
_PLACE_BITS: Final = 20  # for the number of a row or of a socket
_PLACE: Final = (1 << _PLACE_BITS) - 1


def leaf_frames(
    crowd: Crowd, tick: int, t_ms: int, far: Sequence[DensityFrame] = (), shed: Shed = Shed.NOTHING
) -> Shown:
    """For each leaf with clients, in Morton order: their sockets, rising, and the payloads to send to each.

    `tick` counts ticks; who draws more rarely leaves some out. `far` is the latest count of each neighbour (see
    `borders`): people who have no row here. In `crowd.crowding` it leaves what the next tick begins its search with; no
    answer depends on it.
    """
    rows = crowd.everybody()
    if len(rows) == 0 or crowd.conn[rows].max() < 0:
        return Shown([])
    few = len(rows) <= FRAME_AVATARS
    if not few:
        # numbered by chance, so that whoever goes by number lets chance decide
        rows = rows[tie_break(crowd.id[rows], tick).argsort()]
    people = (
        crowd.id[rows],
        crowd.east_cm[rows],
        crowd.north_cm[rows],
        crowd.up[rows],
        crowd.yaw[rows],
        crowd.state[rows],
    )
    leaves = _Leaves(people, crowd.conn[rows])
    withheld: dict[str, int] = {}
    if few:
        payloads, drawn = _all_near(leaves, people, t_ms)
    else:
        payloads, drawn = _nearest_first(leaves, people, crowd.crowding, rows, tick, t_ms, shed, withheld)
    if (far or drawn < len(rows)) and tick % _COUNTS_EVERY == 0:
        if shed < Shed.COUNTS or tick % _COUNTS_EVERY_SHED == 0:
            _add_counts(payloads, leaves, far, t_ms)
        else:
            withheld["counts"] = len(leaves.clients)
    return Shown(leaves.frames(payloads), withheld)


class _Leaves:
    """The leaves with clients, in Morton order.

    `clients` are the numbers of the rows with sockets, leaf by leaf; those of leaf i begin at `first[i]`. `codes` are
    everybody's, rising; `head` is where in them each leaf's first client is, `levels` each leaf's own, and `box` what
    its clients stand in.
    """

    def __init__(self, people: tuple[NDArray[Any], ...], conn: NDArray[np.int32]) -> None:
        _, east, north, *_ = people
        codes = leaf_codes(east, north) << _PLACE_BITS | np.arange(len(east))
        codes.sort()
        order = codes & _PLACE
        codes >>= _PLACE_BITS
        conn = conn[order]
        self.codes = codes
        self._client = (conn >= 0).nonzero()[0]
        self.clients = order[self._client]
        self._conn = conn[self._client]
        self._east, self._north = east[self.clients], north[self.clients]
        self._cut(leaf_levels(codes)[self._client])

    def _cut(self, levels: NDArray[np.int8]) -> None:
        """Begin a leaf where a cell of its clients' levels does."""
        self.first = first = leaf_starts(self.codes[self._client], levels)
        self.head, self.levels = self._client[first], levels[first]
        self.box = (
            np.minimum.reduceat(self._east, first),
            np.minimum.reduceat(self._north, first),
            np.maximum.reduceat(self._east, first),
            np.maximum.reduceat(self._north, first),
        )

    def cut_more(self, times: NDArray[np.int64]) -> NDArray[np.intp]:
        """Cut each leaf in four so many times; of which leaf each new one was a part."""
        sizes = self.sizes()
        levels = np.minimum((self.levels + times).repeat(sizes), LEAF_FINEST).astype(np.int8)
        was = np.arange(len(sizes)).repeat(sizes)
        self._cut(levels)
        return was[self.first]

    def __len__(self) -> int:
        return len(self.first)

    def sizes(self) -> NDArray[np.intp]:
        """How many clients each has."""
        return np.diff(self.first, append=len(self.clients))

    def middles(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """East and north of the middle of each box."""
        west, south, to_east, to_north = self.box
        return west + (to_east - west >> 1), south + (to_north - south >> 1)

    def frames(self, payloads: list[list[bytes]]) -> list[Frame]:
        """Each leaf's payloads, and its sockets, rising."""
        sockets = np.arange(len(self)).repeat(self.sizes()) << _PLACE_BITS | self._conn
        sockets.sort()
        conns: list[int] = (sockets & _PLACE).tolist()
        begins = self.first.tolist()
        stops = [*begins[1:], len(conns)]
        return [
            Frame(tuple(conns[begin:stop]), tuple(parts))
            for begin, stop, parts in zip(begins, stops, payloads, strict=True)
        ]


def _all_near(leaves: _Leaves, people: tuple[NDArray[Any], ...], t_ms: int) -> tuple[list[list[bytes]], int]:
    """For each leaf a POSES of all who are near, which are few; and the fewest that one tells of."""
    _, east, north, *_ = people
    west, south, to_east, to_north = (column[:, None] for column in leaves.box)
    square = np.square(np.maximum(np.maximum(west - east, east - to_east), 0), dtype=np.int64)
    square += np.square(np.maximum(np.maximum(south - north, north - to_north), 0), dtype=np.int64)
    leaf, at = (square < VIEW_CM * VIEW_CM).nonzero()
    counts = np.bincount(leaf)
    messages = encode_poses_each(0, t_ms, counts.cumsum(), *(column[at] for column in people))
    return [[message] for message in messages], int(counts.min())


def _nearest_first(
    leaves: _Leaves,
    people: tuple[NDArray[Any], ...],
    crowding: NDArray[np.float32],
    rows: NDArray[np.int32],
    tick: int,
    t_ms: int,
    shed: Shed,
    withheld: dict[str, int],
) -> tuple[list[list[bytes]], int]:
    """For each leaf a POSES of every tier that is due to it; and the fewest people that one tells of."""
    shown = [True, shed < Shed.HALF_RATE, shed < Shed.FIFTH_RATE]
    own = rows[leaves.clients]
    crowded = np.minimum.reduceat(crowding[own], leaves.first).astype(np.float64)
    if not crowded.all():
        crowded = np.where(crowded > 0, crowded, _cell_crowding(leaves))
    places = Places(people[1], people[2])
    dues, wanted = _due(leaves, tick, shown)
    near = places.nearest(leaves.box, wanted, _reach(crowded / _MARGIN, leaves.box, wanted))
    times = _cuts(leaves.box, near)
    if times.any():
        was = leaves.cut_more(times)
        dues, wanted = _due(leaves, tick, shown)
        new = times[was].nonzero()[0]
        west, south, to_east, to_north = (column[new] for column in leaves.box)
        box = (west, south, to_east, to_north)
        reach = _reach(crowded[was[new]] / _MARGIN, box, wanted[new])
        near = near.take(was).replaced(new, places.nearest(box, wanted[new], reach))
    found, numbers = near.counts, near.numbers()
    far_cm = near.distances(wanted - 1)
    crowding[own] = (found / np.maximum(_ground(leaves.box, far_cm), 1.0)).repeat(leaves.sizes())

    payloads: list[list[bytes]] = [[] for _ in range(len(leaves))]
    for tier in range(3):
        if shown[tier]:
            _add_poses(payloads, tier, t_ms, leaves, people, numbers, found, dues[tier])
        else:
            withheld[f"tier-{tier}"] = int(leaves.sizes()[dues[tier] & (found >= FRAME_AVATARS)].sum())
    return payloads, int(found.min())


def _cuts(box: Box, near: Near) -> NDArray[np.int64]:
    """How many times each leaf is cut, so that no part's box is long beside what its FRAME_AVATARS nearest reach.

    A leaf in a corner of whose box a crowd begins would tell those in the other corners of nobody but that crowd.
    """
    long_cm = np.maximum(box[2] - box[0], box[3] - box[1])
    reach_cm = _BOX_REACHES * near.distances(np.full(len(long_cm), FRAME_AVATARS - 1))
    times: NDArray[np.int64] = (long_cm[:, None] > reach_cm[:, None] * _HALVINGS).sum(axis=1)
    times[near.counts < FRAME_AVATARS] = 0  # it tells of all around
    return times


def _due(leaves: _Leaves, tick: int, shown: list[bool]) -> tuple[list[NDArray[np.bool_]], NDArray[np.int64]]:
    """For each tier, which leaves have it in this tick; and how many people each leaf is told of, with those before."""
    depth = LEAF_FINEST - np.minimum(leaves.levels, _PHASE_LEVEL).astype(np.int64)
    chance = tie_break((leaves.codes[leaves.head] >> 2 * depth).astype(np.uint64), 0)
    dues = [
        ((chance >> np.uint64(16 * tier)) % np.uint64(every) == tick % every)
        for tier, every in enumerate(_EVERY)
    ]
    wanted = np.full(len(leaves), FRAME_AVATARS)
    for tier in (1, 2):
        if shown[tier]:
            wanted[dues[tier]] = _STOPS[tier + 1]
    return dues, wanted


def _reach(crowding: NDArray[np.float64], box: Box, wanted: NDArray[np.int64]) -> NDArray[np.float64]:
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


def _cell_crowding(leaves: _Leaves) -> NDArray[np.float64]:
    """People a square centimetre in the smallest cell around each leaf that holds _CROWD of them."""
    codes, head = leaves.codes, leaves.head
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
    leaves: _Leaves,
    people: tuple[NDArray[Any], ...],
    near: NDArray[np.uint32],
    found: NDArray[np.int64],
    due: NDArray[np.bool_],
) -> None:
    """Add a POSES of this tier to each leaf for which it is due and has somebody in it; `people` are its columns."""
    begin, stop = _STOPS[tier], _STOPS[tier + 1]
    full = (due & (found >= stop)).nonzero()[0]
    if len(full):
        at = near[full, begin:stop].astype(np.intp)
        east, north = leaves.middles()
        columns = (column.take(at, mode="clip") for column in people)
        messages = encode_poses_block(tier, t_ms, east[full], north[full], *columns)
        for leaf, message in zip(full.tolist(), messages, strict=True):
            payloads[leaf].append(message)
    part = (due & (found > begin) & (found < stop)).nonzero()[0]
    if len(part):
        counts = found[part] - begin
        listed = near[part, begin:stop][np.arange(stop - begin) < counts[:, None]]
        messages = encode_poses_each(tier, t_ms, counts.cumsum(), *(column[listed] for column in people))
        for leaf, message in zip(part.tolist(), messages, strict=True):
            payloads[leaf].append(message)


def _add_counts(payloads: list[list[bytes]], leaves: _Leaves, far: Sequence[DensityFrame], t_ms: int) -> None:
    """Add to each leaf the counts around the middle of its box."""
    east, north = leaves.middles()
    asked = (north // COUNTED_CM).astype(np.int64) << DENSITY_LEVEL | east // COUNTED_CM
    asked, which = np.unique(asked, return_inverse=True)
    cells = leaves.codes >> 2 * (LEAF_FINEST - DENSITY_LEVEL)
    answers = densities(cells, far, asked & (1 << DENSITY_LEVEL) - 1, asked >> DENSITY_LEVEL, t_ms)
    for parts, answer in zip(payloads, which.tolist(), strict=True):
        parts += answers[answer]


_ZERO: Final = np.zeros(1, np.intp)
