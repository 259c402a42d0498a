"""Slow twins of the crowd, the regions, the borders and the frames: the obvious way, one avatar at a time."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT_SIDE = 6_553_600
Box = tuple[int, int, int, int]  # west, south, east, north, half-open


@dataclass
class SlowAvatar:
    """One avatar of mine, and its client's bucket."""

    east: int
    north: int
    seq: int
    speed: int  # cm/s
    heard_s: float
    tokens: float = 15.0
    rated_s: float = -1e18
    corrected_s: float = -1e18
    moves: bool = True


@dataclass
class SlowApplied:
    accepted: int = 0
    corrections: list[tuple[int, int, str]] = field(default_factory=list)  # conn, seq, reason
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        self.dropped[reason] = self.dropped.get(reason, 0) + 1


def slow_apply(
    avatars: dict[int, SlowAvatar],
    poses: list[tuple[int, int, int, int]],
    leaf_of: Callable[[int, int], int],
    unheld: Callable[[int, int], bool],
    now_s: float,
) -> SlowApplied:
    """Poses (conn, 16-bit seq, east, north) in order of arrival, on avatars by conn."""
    out = SlowApplied()
    best: dict[int, tuple[int, int, int]] = {}
    for conn, seq16, east, north in poses:
        avatar = avatars.get(conn)
        if avatar is None or not avatar.moves:
            out.drop("unowned")
            continue
        avatar.tokens = min(15.0, avatar.tokens + (now_s - avatar.rated_s) * 15)
        avatar.rated_s = now_s
        if avatar.tokens < 1:
            out.drop("rate")
            continue
        avatar.tokens -= 1
        forward = (seq16 - avatar.seq) % 65_536
        seq = avatar.seq + forward
        if not 0 < forward < 32_768 or seq >= 2**32:
            out.drop("old")
            continue
        if conn in best:
            out.drop("superseded")
        if conn not in best or seq > best[conn][0]:
            best[conn] = (seq, east, north)
    for conn, (seq, east, north) in best.items():
        avatar = avatars[conn]
        silence = min(max(now_s - avatar.heard_s, 0.0), 3.0)
        if not (0 <= east < ROOT_SIDE and 0 <= north < ROOT_SIDE):
            reason = "outside"
        elif math.dist((east, north), (avatar.east, avatar.north)) > 200 + avatar.speed * silence:
            reason = "reach"
        elif unheld(east, north) and leaf_of(east, north) != leaf_of(avatar.east, avatar.north):
            reason = "closed"
        else:
            avatar.east, avatar.north, avatar.seq, avatar.heard_s = east, north, seq, now_s
            out.accepted += 1
            continue
        out.drop(reason)
        if now_s - avatar.corrected_s >= 0.5:
            avatar.corrected_s = now_s
            out.corrections.append((conn, seq, reason))
    return out


@dataclass(frozen=True)
class SlowGhost:
    version: tuple[int, ...]
    place: tuple[int, int]
    source: int
    heard_s: float


def slow_merge(
    known: dict[int, SlowGhost | None], source: int, told: Iterable[tuple[int, SlowGhost]], now_s: float
) -> None:
    """Take in one link's ghosts by id; None in `known` is an avatar of mine."""
    for id, ghost in told:
        had = known.get(id)
        if id in known and had is None:
            continue
        if (
            had is None
            or ghost.version > had.version
            or (ghost.version == had.version and source < had.source)
        ):
            known[id] = replace(ghost, source=source, heard_s=now_s)
        elif ghost.version == had.version and source == had.source:
            known[id] = replace(had, heard_s=now_s)


def slow_holder(regions: dict[Box, int], east: int, north: int) -> int:
    """Who holds the place; -1 where no region is."""
    for (west, south, to_east, to_north), holder in regions.items():
        if west <= east < to_east and south <= north < to_north:
            return holder
    return -1


def slow_has_left(regions: dict[Box, int], east: int, north: int) -> bool:
    """Whether it stands on another's ground, and no whole centimetre of the closed square of 2 m around it is mine."""
    if slow_holder(regions, east, north) <= 0:
        return False
    for (w, s, e, n), holder in regions.items():
        meets = w <= east + 200 and east - 200 < e and s <= north + 200 and north - 200 < n
        if holder == 0 and meets:
            return False
    return True


def slow_pieces(regions: dict[Box, int]) -> dict[int, list[Box]]:
    """For each other holder, the pieces of my border with it: straight ones of at most 16 m, and lone corners."""
    out: dict[int, list[Box]] = {}
    for mine in (box for box, holder in regions.items() if holder == 0):
        for box, holder in regions.items():
            if holder <= 0:
                continue
            w, s = max(mine[0], box[0]), max(mine[1], box[1])
            e, n = min(mine[2], box[2]), min(mine[3], box[3])
            if w > e or s > n:
                continue
            pieces = out.setdefault(holder, [])
            if w == e and s == n:
                pieces.append((w, s, e, n))
            elif w == e:
                pieces += [(w, max(s, k), e, min(n, k + 1600)) for k in range(s - s % 1600, n, 1600)]
            else:
                pieces += [(max(w, k), s, min(e, k + 1600), n) for k in range(w - w % 1600, e, 1600)]
    for holder, pieces in out.items():
        lines = [p for p in pieces if p[:2] != p[2:]]
        lone = [p for p in pieces if p[:2] == p[2:] and all(slow_gap(q, p[0], p[1]) for q in lines)]
        out[holder] = sorted({*lines, *lone})
    return out


def slow_gap(box: Box, east: int, north: int) -> float:
    """The distance from a place to a closed box."""
    return math.hypot(max(box[0] - east, east - box[2], 0), max(box[1] - north, north - box[3], 0))


def slow_tie(id: int, tick: int) -> int:
    """splitmix64 of id ^ tick, with whole numbers."""
    full = 2**64 - 1
    z = ((id ^ tick) + 0x9E3779B97F4A7C15) & full
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & full
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & full
    return z ^ z >> 31


def slow_leaves(people: dict[int, tuple[int, int]]) -> dict[tuple[int, int, int], set[int]]:
    """The ids in each leaf (level, column, row): cells of 512 m, cut in four as often as need be, down to 50 cm.

    A cell is cut while over 16 stand in it, or over 96 in the cell that it is a quarter of.
    """

    def cell(id: int, level: int) -> tuple[int, int]:
        side = ROOT_SIDE >> level
        return people[id][0] // side, people[id][1] // side

    leaves: dict[tuple[int, int, int], set[int]] = {}
    waiting = [
        (7, {id for id in people if cell(id, 6) == parent}) for parent in {cell(id, 6) for id in people}
    ]
    while waiting:
        level, parent = waiting.pop()
        for place in {cell(id, level) for id in parent}:
            inside = {id for id in parent if cell(id, level) == place}
            if level < 17 and (len(inside) > 16 or len(parent) > 96):
                waiting.append((level + 1, inside))
            else:
                leaves[level, *place] = inside
    return leaves


def slow_box(places: Iterable[tuple[int, int]]) -> Box:
    """The smallest closed box around some places."""
    east, north = zip(*places, strict=True)
    return min(east), min(north), max(east), max(north)


def slow_how_far(box: Box, east: int, north: int) -> int:
    """How far from a closed box, as frames compare it: the bits of a float of 32 bits, without its last ten."""
    ways = (max(box[0] - east, east - box[2], 0), max(box[1] - north, north - box[3], 0))
    square = _rounded(_rounded(ways[0] ** 2) + _rounded(ways[1] ** 2))
    return int(struct.unpack("<I", struct.pack("<f", square + 1))[0]) >> 10


def _rounded(number: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def slow_nearest(people: dict[int, tuple[int, int]], box: Box, tick: int) -> list[int]:
    """The ids of all within 64 m of a box, the nearest first, of those equally far away by chance."""
    near = [id for id, place in people.items() if slow_gap(box, *place) < 6_400]
    return sorted(near, key=lambda id: (slow_how_far(box, *people[id]), slow_tie(id, tick)))


def slow_shown(people: dict[int, tuple[int, int]], clients: set[int]) -> list[set[int]]:
    """The clients that are shown the same: those of a leaf, or of a part of it no longer than 1.5 of its reaches."""
    shown: list[set[int]] = []
    for (level, *_), ids in slow_leaves(people).items():
        if not (own := ids & clients):
            continue
        box = slow_box(people[id] for id in own)
        near = slow_nearest(people, box, 0)
        if len(people) > 96 and len(near) >= 96:
            bits = slow_how_far(box, *people[near[95]]) << 10
            reach = 1.5 * math.sqrt(struct.unpack("<f", struct.pack("<I", bits))[0] - 1)
            long = max(box[2] - box[0], box[3] - box[1])
            level = min(level + sum(long > reach * 2**k for k in range(10)), 17)
        side = ROOT_SIDE >> level
        parts: dict[tuple[int, int], set[int]] = {}
        for id in own:
            parts.setdefault((people[id][0] // side, people[id][1] // side), set()).add(id)
        shown += parts.values()
    return shown
