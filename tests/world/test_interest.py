"""Leaf frames: who is drawn against a slow twin, everybody counted once, and a frame's size whatever the crowd."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.limits import DENSITY_CELLS, FRAME_AVATARS, FRAME_BYTES_MAX
from p2pworld.wire.frames import DensityFrame, decode_density, decode_poses, encode_density
from p2pworld.world.crowd import DORMANT, GHOST, MINE, Crowd
from p2pworld.world.interest import leaf_frames
from tests.reference import slow_morton
from tests.world.crowds import SIDE, SOUTH, WEST, index_of, put
from tests.world.reference import slow_leaf

INDEX = index_of(["12", "03"])
T_MS = 4_300
LEAF = 3_200
People = list[tuple[int, int, bool]]  # from the corner of the picture: east, north, whether a client


def crowd_of(people: People, reverse: bool = False) -> Crowd:
    crowd = Crowd(16_384)
    numbered = list(enumerate(people, 1))
    for id, (east, north, client) in reversed(numbered) if reverse else numbered:
        kind = MINE if client else (MINE, GHOST, DORMANT)[id % 3]
        put(crowd, id, east, north, kind, conn=id if client else -1)
    return crowd


def code_of(east: int, north: int, side: int) -> int:
    return slow_morton(east // side, north // side, 11 if side == LEAF else 9)


def far_of(cells: dict[tuple[int, int], int]) -> DensityFrame:
    """A neighbour's count, by a place in each cell."""
    codes = {code_of(WEST + e, SOUTH + n, LEAF): count for (e, n), count in cells.items()}
    return decode_density(encode_density(11, 0, list(codes), list(codes.values())))


def check(people: People, far: dict[tuple[int, int], int] | None = None) -> list[int]:
    """Every promise of a frame, for every leaf; answers the size of each frame."""
    elsewhere = [far_of(far)] if far else []
    places = {id: (WEST + e, SOUTH + n) for id, (e, n, _) in enumerate(people, 1)}
    clients = {id for id, (_, _, client) in enumerate(people, 1) if client}
    frames = leaf_frames(crowd_of(people), INDEX, T_MS, elsewhere)
    assert sorted(conn for conns, _ in frames for conn in conns.tolist()) == sorted(clients)
    total = {side: count_all(places, far or {}, side) for side in (LEAF, 4 * LEAF)}
    for conns, payloads in frames:
        own = {places[conn] for conn in conns.tolist()}
        leaf = {(e // LEAF, n // LEAF) for e, n in own}
        assert len(leaf) == 1  # the conns of these tests are the ids
        column, row = leaf.pop()
        poses = decode_poses(payloads[0])
        assert (poses.tier, poses.t_ms, poses.step_cm) == (0, T_MS, 1)
        drawn = dict(
            zip(
                poses.ids.tolist(),
                zip(poses.east_cm.tolist(), poses.north_cm.tolist(), strict=True),
                strict=True,
            )
        )
        assert drawn.keys() == slow_leaf(places, clients, (column, row), T_MS // 100)
        assert drawn.items() <= places.items()
        assert len(drawn) == len(poses.ids) <= FRAME_AVATARS

        counted: dict[tuple[int, int], int] = {}
        for payload in payloads[1:]:
            density = decode_density(payload)
            side = LEAF if density.level == 11 else 4 * LEAF
            assert density.level in (9, 11)
            for code, avatars in zip(density.morton.tolist(), density.avatars.tolist(), strict=True):
                assert (side, code) not in counted
                counted[side, code] = avatars
                assert avatars == min(total[side][code], 65_535)
        assert len(counted) <= DENSITY_CELLS
        for code in (code for side, code in counted if side == LEAF):
            assert (4 * LEAF, code >> 4) not in counted  # no ground twice
        if len(counted) < DENSITY_CELLS:
            blocks = (column // 4, row // 4)
            for e, n in [p for id, p in places.items() if id not in drawn] + [
                (WEST + e, SOUTH + n) for e, n in far or {}
            ]:
                if max(abs(e // (4 * LEAF) - blocks[0]), abs(n // (4 * LEAF) - blocks[1])) <= 2:
                    assert (LEAF, code_of(e, n, LEAF)) in counted or (
                        4 * LEAF,
                        code_of(e, n, 4 * LEAF),
                    ) in counted
    sizes = [sum(map(len, payloads)) for _, payloads in frames]
    assert max(sizes, default=0) <= FRAME_BYTES_MAX
    return sizes


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


PLACE = st.one_of(st.integers(-2 * SIDE, 3 * SIDE), st.integers(0, 4).map(lambda k: k * LEAF))
FAR = st.dictionaries(
    st.tuples(st.integers(-5, 9), st.integers(-5, 9)).map(lambda c: (c[0] * LEAF, c[1] * LEAF)),
    st.integers(1, 65_535),
    max_size=5,
)


@given(st.lists(st.tuples(PLACE, PLACE, st.booleans()), max_size=40), FAR)
def test_few_people_are_all_drawn_or_counted(people: People, far: dict[tuple[int, int], int]) -> None:
    check(people, far)


@settings(max_examples=10)
@given(st.integers(0, 2**32 - 1), st.sampled_from([300, LEAF, 2 * SIDE]), st.integers(100, 600))
def test_of_a_crowd_the_nearest_are_drawn(seed: int, spread: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    places = rng.integers(0, spread, (count, 2)).tolist()
    clients = (rng.random(count) < 0.1).tolist()
    check([(e, n, client) for (e, n), client in zip(places, clients, strict=True)])


def test_everybody_within_32_m_is_drawn_while_there_are_few() -> None:
    middle = (LEAF + 1, 2 * LEAF - 1)
    ring = [(middle[0] + e, middle[1] + n) for e in (-LEAF, 0, LEAF) for n in (-LEAF, 0, LEAF)]
    crowd = crowd_of([(*middle, True), *((e, n, False) for e, n in ring for _ in range(10))])
    ((_, payloads),) = leaf_frames(crowd, INDEX, T_MS)
    assert set(decode_poses(payloads[0]).ids.tolist()) == set(range(1, 92))
    assert len(payloads) == 1  # all are drawn, so there is nothing to count


def test_two_thousand_on_one_point_cost_one_bounded_frame() -> None:
    sizes = check([(LEAF + 5, LEAF + 5, True)] * 2_000)
    assert sizes == [16 + 96 * 16 + 16]


def test_the_crowd_on_one_point_takes_turns() -> None:
    crowd = crowd_of([(5, 5, True)] * 2_000)
    seen: set[int] = set()
    for tick in range(100):
        ((_, payloads),) = leaf_frames(crowd, INDEX, tick * 100)
        seen.update(decode_poses(payloads[0]).ids.tolist())
    assert len(seen) > 1_900


def test_a_crowd_everywhere_fills_the_counts_and_no_more() -> None:
    step = LEAF // 2
    people = [
        (e, n, (e, n) == (SIDE, SIDE))
        for e in range(-SIDE, 3 * SIDE, step)
        for n in range(-SIDE, 3 * SIDE, step)
    ]
    crowd = crowd_of([*people, *[(SIDE, SIDE, False)] * 80])
    ((_, payloads),) = leaf_frames(crowd, INDEX, T_MS)
    cells = [len(decode_density(payload).morton) for payload in payloads[1:]]
    assert cells == [DENSITY_CELLS]
    assert sum(map(len, payloads)) <= FRAME_BYTES_MAX


def test_the_corners_of_the_root() -> None:
    last = ROOT_SIDE_CM - 1
    check([(-WEST, -SOUTH, True), (last - WEST, last - SOUTH, True), (last - WEST, -SOUTH, True)])


def test_nobody_to_tell_means_no_frame() -> None:
    assert leaf_frames(Crowd(4), INDEX, T_MS) == []
    assert leaf_frames(crowd_of([(5, 5, False)] * 3), INDEX, T_MS, [far_of({(5, 5): 3})]) == []


def test_sockets_rise_whoever_has_them() -> None:
    crowd = Crowd(4)
    for id, conn in ((1, 9), (2, 3), (3, 6)):
        put(crowd, id, 5, 5, conn=conn)
    assert leaf_frames(crowd, INDEX, T_MS)[0][0].tolist() == [3, 6, 9]


def test_a_tick_may_go_without_counts() -> None:
    crowd = crowd_of([(5, 5, True), (SIDE - 5, 5, False)])
    ((conns, payloads),) = leaf_frames(crowd, INDEX, T_MS)
    ((same, bare),) = leaf_frames(crowd, INDEX, T_MS, counts_too=False)
    assert (bare, same.tolist()) == (payloads[:1], conns.tolist())
    assert len(payloads) == 2


def test_counts_of_another_level_are_not_mixed_in() -> None:
    crowd = crowd_of([(5, 5, True)])
    other = decode_density(encode_density(16, 0, [code_of(WEST, SOUTH, LEAF)], [7]))
    assert leaf_frames(crowd, INDEX, T_MS, [other])[0][1] == leaf_frames(crowd, INDEX, T_MS)[0][1]


def test_equal_crowds_make_equal_bytes_in_whatever_order_they_came() -> None:
    rng = np.random.default_rng(7)
    people: People = [(*rng.integers(0, SIDE, 2).tolist(), bool(id % 2)) for id in range(600)]
    frames = [
        [(conns.tolist(), payloads) for conns, payloads in leaf_frames(crowd_of(people, order), INDEX, T_MS)]
        for order in (False, True)
    ]
    assert frames[0] == frames[1]
    assert len(frames[0]) == 16
