"""Frames: who is told of against a slow twin, everybody counted once, and a client's bytes whatever the crowd."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import (
    CLIENT_BYTES_PER_S,
    DENSITY_CELLS,
    FRAME_AVATARS,
    FRAME_BYTES_MAX,
    TIER_1_AVATARS,
    TIER_2_AVATARS,
    VIEW_CM,
)
from p2pworld.seoul.annex import annex_cells
from p2pworld.wire.frames import (
    POSES,
    DensityFrame,
    PosesFrame,
    decode_density,
    decode_poses,
    encode_density,
)
from p2pworld.world.crowd import DORMANT, GHOST, MINE, Crowd
from p2pworld.world.interest import Shed, leaf_frames
from tests.reference import slow_morton
from tests.world.crowds import SIDE, SOUTH, WEST, put
from tests.world.reference import slow_box, slow_nearest, slow_shown

T_MS = 4_300
CELL = 3_200  # in which people are counted
TELLS = 5  # a tick that brings counts
SIZES = (FRAME_AVATARS, TIER_1_AVATARS, TIER_2_AVATARS)
HEADER_BYTES = 4  # of a WebSocket message
People = list[tuple[int, int, bool]]  # from the corner of the picture: east, north, whether a client


def crowd_of(people: People, reverse: bool = False) -> Crowd:
    crowd = Crowd(16_384)
    numbered = list(enumerate(people, 1))
    for id, (east, north, client) in reversed(numbered) if reverse else numbered:
        kind = MINE if client else (MINE, GHOST, DORMANT)[id % 3]
        put(crowd, id, east, north, kind, conn=id if client else -1)
    return crowd


def code_of(east: int, north: int, side: int) -> int:
    return slow_morton(east // side, north // side, 11 if side == CELL else 9)


def far_of(cells: dict[tuple[int, int], int]) -> DensityFrame:
    """A neighbour's count, by a place in each cell."""
    codes = {code_of(WEST + e, SOUTH + n, CELL): count for (e, n), count in cells.items()}
    return decode_density(encode_density(11, 0, list(codes), list(codes.values())))


@dataclass(frozen=True)
class Told:
    """One frame, read: its sockets, its POSES by tier, its counts by side of the cell."""

    conns: tuple[int, ...]
    tiers: dict[int, PosesFrame]
    counts: dict[tuple[int, int], int]
    size: int


def read(
    crowd: Crowd, tick: int, far: list[DensityFrame] | None = None, shed: Shed = Shed.NOTHING
) -> list[Told]:
    out = []
    for frame in leaf_frames(crowd, tick, T_MS, far or [], shed).frames:
        poses = [decode_poses(payload) for payload in frame.payloads if payload[0] == POSES]
        counts: dict[tuple[int, int], int] = {}
        for density in (decode_density(payload) for payload in frame.payloads if payload[0] != POSES):
            assert density.level in (9, 11)
            side = CELL if density.level == 11 else 4 * CELL
            assert not any(of_side == side for of_side, _ in counts)
            pairs = zip(density.morton.tolist(), density.avatars.tolist(), strict=True)
            counts.update({(side, code): avatars for code, avatars in pairs})
        assert [p.tier for p in poses] == sorted({p.tier for p in poses})
        assert poses[0].tier == 0
        assert all((p.t_ms, p.step_cm) == (T_MS, 1) for p in poses)
        size = sum(map(len, frame.payloads))
        assert size <= FRAME_BYTES_MAX
        out.append(Told(frame.conns, {p.tier: p for p in poses}, counts, size))
    return out


def check(people: People, far: dict[tuple[int, int], int] | None = None, tick: int = TELLS) -> list[Told]:
    """Every promise of a frame, for every leaf."""
    elsewhere = [far_of(far)] if far else []
    places = {id: (WEST + e, SOUTH + n) for id, (e, n, _) in enumerate(people, 1)}
    clients = {id for id, (_, _, client) in enumerate(people, 1) if client}
    frames = read(crowd_of(people), tick, elsewhere)
    parts = {frozenset(ids) for ids in slow_shown(places, clients)}
    assert {frozenset(told.conns) for told in frames} == parts  # the conns of these tests are the ids
    assert sum(len(told.conns) for told in frames) == len(clients)
    total = {side: count_all(places, far or {}, side) for side in (CELL, 4 * CELL)}
    hidden = bool(far)
    for told in frames:
        box = slow_box(places[id] for id in told.conns)
        nearest = slow_nearest(places, box, tick)
        begin = 0
        for tier, size in enumerate(SIZES):
            wanted = nearest[begin : begin + size]
            begin += size
            if tier in told.tiers:
                poses = told.tiers[tier]
                at = zip(poses.east_cm.tolist(), poses.north_cm.tolist(), strict=True)
                assert dict(zip(poses.ids.tolist(), at, strict=True)) == {id: places[id] for id in wanted}
                assert len(poses.ids) == len(wanted) > 0
        hidden |= len(told.tiers[0].ids) < len(people)
    for told in frames:
        check_counts(told, slow_box(places[id] for id in told.conns), places, far or {}, total)
        assert hidden or not told.counts
    return frames


def check_counts(
    told: Told,
    box: tuple[int, int, int, int],
    places: dict[int, tuple[int, int]],
    far: dict[tuple[int, int], int],
    total: dict[int, dict[int, int]],
) -> None:
    """Every count is true, no ground is told twice, and all around is told of unless it is too much."""
    assert len(told.counts) <= DENSITY_CELLS
    for (side, code), avatars in told.counts.items():
        assert avatars == min(total[side][code], 65_535)
        assert side == 4 * CELL or (4 * CELL, code >> 4) not in told.counts
    if 0 < len(told.counts) < DENSITY_CELLS:
        middle = ((box[0] + box[2]) // 2, (box[1] + box[3]) // 2)
        for e, n in [*places.values(), *((WEST + e, SOUTH + n) for e, n in far)]:
            if all(
                abs(at // (4 * CELL) - from_ // (4 * CELL)) <= 2
                for at, from_ in zip((e, n), middle, strict=True)
            ):
                sides = {(side, code_of(e, n, side)) for side in (CELL, 4 * CELL)}
                assert sides & told.counts.keys()


def count_all(
    places: dict[int, tuple[int, int]], far: dict[tuple[int, int], int], side: int
) -> dict[int, int]:
    """Everybody in each cell of that side, by its code."""
    total: dict[int, int] = {}
    for e, n in places.values():
        code = code_of(e, n, side)
        total[code] = total.get(code, 0) + 1
    for (e, n), count in far.items():
        code = code_of(WEST + e, SOUTH + n, side)
        total[code] = total.get(code, 0) + count
    return total


PLACE = st.one_of(st.integers(-2 * SIDE, 3 * SIDE), st.integers(0, 4).map(lambda k: k * CELL))
FAR = st.dictionaries(
    st.tuples(st.integers(-5, 9), st.integers(-5, 9)).map(lambda c: (c[0] * CELL, c[1] * CELL)),
    st.integers(1, 65_535),
    max_size=5,
)


@given(st.lists(st.tuples(PLACE, PLACE, st.booleans()), max_size=40), FAR)
def test_few_people_are_all_told_of_and_counted(people: People, far: dict[tuple[int, int], int]) -> None:
    check(people, far)


@settings(max_examples=15)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([1, 300, CELL, 2 * SIDE, 20 * SIDE]),
    st.integers(97, 500),
    st.sampled_from([0.02, 0.2, 1.0]),
    st.integers(0, 99),
    FAR,
)
def test_of_a_crowd_each_tier_tells_of_the_next_nearest(
    seed: int, spread: int, count: int, clients: float, tick: int, far: dict[tuple[int, int], int]
) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, spread, (count, 2)).tolist()
    mine = (rng.random(count) < clients).tolist()
    check([(e, n, client) for (e, n), client in zip(places, mine, strict=True)], far, tick)


def many(kind: str, count: int, rng: np.random.Generator) -> People:
    """All clients, on a square of 100 m: everywhere, around its middle, in groups, or beside an empty lane."""
    if kind == "gaussian":
        at = rng.normal(5_000, 2_000, (count, 2))
    elif kind == "grouped":
        groups = rng.uniform(0, 10_000, (count // 12, 2))
        at = groups[rng.integers(0, len(groups), count)] + rng.normal(0, 80, (count, 2))
    else:
        at = rng.uniform(0, 10_000, (count, 2))
        if kind == "gapped":
            at[:, 0] += np.where(at[:, 0] > 5_000, 1_500, -1_500)
    return [(int(e), int(n), True) for e, n in at]


@pytest.mark.parametrize("kind", ["uniform", "gaussian", "grouped", "gapped"])
@pytest.mark.parametrize("count", [1_000, 4_000])
def test_everybodys_32_nearest_within_64_m_are_in_the_first_tier(kind: str, count: int) -> None:
    rng = np.random.default_rng(5)
    people = many(kind, count, rng)
    places = np.array([person[:2] for person in people], np.int64)
    told = {id: set(one.tiers[0].ids.tolist()) for one in read(crowd_of(people), 1) for id in one.conns}
    held = nearest = 0
    for id in rng.integers(1, count + 1, 500).tolist():
        squares = ((places - places[id - 1]) ** 2).sum(axis=1)
        squares[id - 1] = 2**40
        others = squares.argsort(kind="stable")[:32]
        others = others[squares[others] <= VIEW_CM * VIEW_CM]
        held += sum(int(other) + 1 in told[id] for other in others)
        nearest += len(others)
    assert held / nearest >= 0.998


def one_second(people: People, shed: Shed = Shed.NOTHING) -> dict[int, list[int]]:
    """The bytes of each client in each of ten ticks."""
    crowd = crowd_of(people)
    taken: dict[int, list[int]] = {id: [] for id, (*_, client) in enumerate(people, 1) if client}
    for tick in range(100, 110):
        for frame in leaf_frames(crowd, tick, T_MS, (), shed).frames:
            for conn in frame.conns:
                taken[conn].append(sum(HEADER_BYTES + len(payload) for payload in frame.payloads))
    return taken


def test_a_clients_bytes_are_bounded_and_do_not_grow_with_the_crowd() -> None:
    mean = {}
    for count in (500, 2_000, 8_000):
        taken = one_second(many("uniform", count, np.random.default_rng(count)))
        a_second = [sum(sizes) for sizes in taken.values()]
        assert max(a_second) <= CLIENT_BYTES_PER_S - 1_024  # what is left is for control messages
        mean[count] = sum(a_second) / count
    assert max(mean.values()) <= 1.1 * min(mean.values())


def test_every_tick_costs_about_as_much() -> None:
    taken = one_second(many("uniform", 3_000, np.random.default_rng(2)))
    sums = [sum(sizes) for sizes in zip(*taken.values(), strict=True)]
    with_counts = {0, 5}
    bare = [total for tick, total in enumerate(sums) if tick not in with_counts]
    assert max(bare) <= 1.15 * min(bare)


def test_two_thousand_on_one_point_cost_one_bounded_frame() -> None:
    sizes = {
        told.size for tick in range(10) for told in check([(CELL + 5, CELL + 5, True)] * 2_000, None, tick)
    }
    bare = 16 + 16 * FRAME_AVATARS
    outer = {
        0,
        16 + 16 * TIER_1_AVATARS,
        16 + 16 * TIER_2_AVATARS,
        32 + 16 * (TIER_1_AVATARS + TIER_2_AVATARS),
    }
    assert sizes <= {bare + more + counts for more in outer for counts in (0, 16)}
    taken = one_second([(CELL + 5, CELL + 5, True)] * 2_000)
    assert max(sum(sizes) for sizes in taken.values()) <= CLIENT_BYTES_PER_S - 1_024


def test_the_crowd_on_one_point_takes_turns() -> None:
    crowd = crowd_of([(5, 5, True)] * 2_000)
    seen: set[int] = set()
    for tick in range(100):
        (told,) = read(crowd, tick)
        seen.update(told.tiers[0].ids.tolist())
    assert len(seen) > 1_900


def test_each_tier_comes_in_its_ticks() -> None:
    crowd = crowd_of(many("uniform", 600, np.random.default_rng(1)))
    ticks: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for tick in range(20):
        for told in read(crowd, tick):
            for tier in told.tiers:
                ticks.setdefault((tier, told.conns), []).append(tick)
    for (tier, _), at in ticks.items():
        period = (1, 2, 5)[tier]
        assert at == list(range(at[0], 20, period))
        assert at[0] < period


def test_what_is_shed_is_shed_in_order_and_counted() -> None:
    people = many("uniform", 600, np.random.default_rng(1))
    clients = len(people)
    whole = one_second(people)
    for shed, gone in ((Shed.FIFTH_RATE, [2]), (Shed.HALF_RATE, [1, 2]), (Shed.COUNTS, [1, 2])):
        crowd = crowd_of(people)
        withheld: dict[str, int] = {}
        counted = 0
        for tick in range(100, 110):
            shown = leaf_frames(crowd, tick, T_MS, (), shed)
            for reason, times in shown.withheld.items():
                withheld[reason] = withheld.get(reason, 0) + times
            for frame in shown.frames:
                kinds = [payload[1] & 15 if payload[0] == POSES else -1 for payload in frame.payloads]
                assert not set(kinds) & set(gone)
                assert kinds[0] == 0
                counted += len(frame.conns) * (-1 in kinds)
        expected = {"tier-2": 2 * clients} | ({"tier-1": 5 * clients} if shed > Shed.FIFTH_RATE else {})
        if shed == Shed.COUNTS:
            expected["counts"] = clients
        assert withheld == expected
        assert counted == clients * (1 if shed == Shed.COUNTS else 2)
        less = one_second(people, shed)
        assert all(sum(less[id]) < sum(whole[id]) for id in less)


def test_a_crowd_everywhere_fills_the_counts_and_no_more() -> None:
    step = CELL // 2
    people = [
        (e, n, (e, n) == (SIDE, SIDE))
        for e in range(-SIDE, 3 * SIDE, step)
        for n in range(-SIDE, 3 * SIDE, step)
    ]
    (told,) = read(crowd_of([*people, *[(SIDE, SIDE, False)] * 80]), TELLS)
    assert len(told.counts) == DENSITY_CELLS


def test_the_corners_of_the_root() -> None:
    last = ROOT_SIDE_CM - 1
    corners = [(-WEST, -SOUTH, True), (last - WEST, last - SOUTH, True), (last - WEST, -SOUTH, True)]
    check(corners)
    check([*corners, *[(last - WEST, -SOUTH, False)] * 200])


def test_nobody_in_a_room_is_shown_anybody_outside() -> None:
    rooms = [room.bounds_cm() for room in annex_cells()[:40]]
    crowd = Crowd(16_384)
    inside: dict[int, int] = {}
    for number, (west, south, east, north) in enumerate(rooms):
        for corner in ((west, south), (east - 1, south), (west, north - 1), (east - 1, north - 1)):
            inside[len(inside) + 1] = number
            put(crowd, len(inside), corner[0] - WEST, corner[1] - SOUTH, conn=len(inside))
    for told in read(crowd, TELLS):
        seen = {inside[id] for poses in told.tiers.values() for id in poses.ids.tolist()}
        assert seen == {inside[id] for id in told.conns}
        assert len(seen) == 1


def test_nobody_to_tell_means_no_frame() -> None:
    assert leaf_frames(Crowd(4), TELLS, T_MS).frames == []
    assert leaf_frames(crowd_of([(5, 5, False)] * 3), TELLS, T_MS, [far_of({(5, 5): 3})]).frames == []


def test_sockets_rise_whoever_has_them() -> None:
    crowd = Crowd(4)
    for id, conn in ((1, 9), (2, 3), (3, 6)):
        put(crowd, id, 5, 5, conn=conn)
    assert [frame.conns for frame in leaf_frames(crowd, 0, T_MS).frames] == [(3, 6, 9)]


def test_counts_come_each_fifth_tick() -> None:
    crowd = crowd_of([(5, 5, True), (SIDE - 5, 5, False)])
    assert [bool(told.counts) for tick in range(10) for told in read(crowd, tick)] == [True, *[False] * 4] * 2


def test_counts_of_another_level_are_not_mixed_in() -> None:
    crowd = crowd_of([(5, 5, True)])
    other = decode_density(encode_density(16, 0, [code_of(WEST, SOUTH, CELL)], [7]))
    (told,) = read(crowd, TELLS, [other])
    assert list(told.counts.values()) == [1]


def test_equal_crowds_make_equal_bytes_in_whatever_order_they_came() -> None:
    rng = np.random.default_rng(7)
    people: People = [(*rng.integers(0, SIDE, 2).tolist(), bool(id % 2)) for id in range(600)]
    one, other = crowd_of(people), crowd_of(people, reverse=True)
    for tick in range(4):  # what a tick leaves for the next changes nothing
        leaf_frames(one, tick, T_MS)
    assert leaf_frames(one, TELLS, T_MS) == leaf_frames(other, TELLS, T_MS)
