"""Crowd: rows, poses against a slow twin, ghosts as a merge with its laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.errors import LocalError
from p2pworld.geometry import Cell
from p2pworld.ids import Login, Version
from p2pworld.limits import GHOST_TTL_S
from p2pworld.messages import Pose
from p2pworld.world.crowd import DORMANT, GHOST, MINE, Crowd, tie_break
from p2pworld.world.region import NOBODY
from tests.world.crowds import LOGIN, SIDE, SOUTH, WEST, ghosts, index_of, poses, put
from tests.world.reference import SlowAvatar, SlowGhost, slow_apply, slow_merge, slow_tie

if TYPE_CHECKING:
    from numpy.typing import NDArray

INDEX = index_of(["12", "0.", "33"])


def contents(crowd: Crowd) -> dict[int, tuple[Any, ...]]:
    """All that is known, by id, whatever the rows."""
    columns = (crowd.kind, crowd.source, crowd.heard_s, crowd.conn)
    return {
        id: (crowd.version(row), crowd.pose(row), *(column[row] for column in columns))
        for id, row in crowd.row_of.items()
    }


# ---- rows


def test_a_row_keeps_what_it_was_given() -> None:
    crowd = Crowd(4)
    pose = Pose(123, 456, -7, 200, 3)
    version = Version(Login(2**53 - 1, bytes(range(240, 256))), 5, 2**32 - 1)
    row = crowd.add(2**53 - 1, *version, pose, MINE)
    assert (crowd.pose(row), crowd.version(row), crowd.row_of[2**53 - 1]) == (pose, version, row)
    assert crowd.rows(MINE).tolist() == [row]
    assert crowd.rows(GHOST).tolist() == []


def test_full_and_reused_rows() -> None:
    crowd = Crowd(2)
    first = put(crowd, 1, 0, 0, conn=5)
    put(crowd, 2, 0, 0)
    assert crowd.full
    with pytest.raises(LocalError, match="all 2 rows"):
        put(crowd, 3, 0, 0)
    crowd.remove(first)
    assert crowd.conn_row[5] == -1
    with pytest.raises(LocalError, match="free already"):
        crowd.remove(first)
    assert put(crowd, 3, 0, 0) == first
    assert crowd.conn[first] == -1
    assert sorted(crowd.row_of) == [2, 3]
    assert crowd.id[crowd.everybody()].tolist() == [2, 3]


def test_mine_takes_the_place_of_its_ghost_and_of_nothing_else() -> None:
    crowd = Crowd(4)
    crowd.merge_ghosts(7, ghosts([(9, 4, SIDE, 2 * SIDE)]), INDEX, 2, 1.0)
    row = put(crowd, 9, 5, 5)
    assert (crowd.count, crowd.kind[row], crowd.source[row]) == (1, MINE, -1)
    with pytest.raises(LocalError, match="already mine"):
        put(crowd, 9, 5, 5, GHOST)


def test_sockets_move_between_rows_only_openly() -> None:
    crowd = Crowd(4)
    a, b = put(crowd, 1, 0, 0, conn=0), put(crowd, 2, 0, 0)
    with pytest.raises(LocalError, match="socket 0"):
        crowd.attach(b, 0)
    crowd.attach(a, 1)
    assert crowd.conn_row[:2].tolist() == [-1, a]
    crowd.detach(a)
    crowd.detach(a)
    crowd.attach(b, 1)
    assert (crowd.conn[a], crowd.conn[b], crowd.conn_row[1]) == (-1, 1, b)


def test_the_tie_break_is_splitmix64() -> None:
    ids = [1, 2, 2**53 - 1, 77]
    got = tie_break(np.array(ids, np.uint64), 123_456)
    assert got.tolist() == [slow_tie(id, 123_456) for id in ids]


# ---- poses

CONNS = 4
NEAR = st.integers(-350, 350)


@st.composite
def batches(draw: st.DrawFn) -> list[tuple[float, list[tuple[int, int, int, int]]]]:
    """Times, and poses (conn, seq step, east step, north step) relative to the avatar as it then is."""
    steps = st.tuples(
        st.integers(0, CONNS),
        st.one_of(st.integers(-3, 6), st.sampled_from([32_767, 32_768, -32_768, 40_000])),
        st.one_of(NEAR, st.sampled_from([-SIDE, SIDE, 2_100, 2_300, -(10**7), 2**31 - 1 - WEST - 4 * SIDE])),
        NEAR,
    )
    waits = st.sampled_from([0.01, 0.05, 0.1, 0.3, 1.0, 5.0])
    return draw(st.lists(st.tuples(waits, st.lists(steps, max_size=24)), min_size=1, max_size=8))


@settings(max_examples=150)
@given(batches(), st.sampled_from([0, 65_530, 2**32 - 4]))
def test_poses_as_the_slow_twin_takes_them(
    story: list[tuple[float, list[tuple[int, int, int, int]]]], seq: int
) -> None:
    crowd = Crowd(8)
    twins: dict[int, SlowAvatar] = {}
    # conn 0 near the unheld square, 1 on a vehicle in it, 2 dormant, 3 by the corner; CONNS has no row
    places = [
        (SIDE - 100, SIDE + 50),
        (SIDE + 100, SIDE + 100),
        (500, SIDE + 500),
        (SIDE - 20, 2 * SIDE - 20),
    ]
    for conn, (east, north) in enumerate(places):
        row = crowd.add(100 - conn, LOGIN, 0, seq, Pose(WEST + east, SOUTH + north), MINE, 99.0)
        crowd.attach(row, conn)
        crowd.mover[row] = conn == 1
        crowd.kind[row] = DORMANT if conn == 2 else MINE
        speed = 2_500 if conn == 1 else 700
        twins[conn] = SlowAvatar(WEST + east, SOUTH + north, seq, speed, 99.0, moves=conn != 2)

    def leaf_of(east: int, north: int) -> int:
        return int(INDEX.city_map.leaf_at(east, north))

    def unheld(east: int, north: int) -> bool:
        return INDEX.city_map.holder_of(Cell(leaf_of(east, north))) is None

    now_s = 100.0
    for wait_s, steps in story:
        now_s += wait_s
        said = []
        for conn, ahead, east, north in steps:
            row = int(crowd.conn_row[conn])
            base = (crowd.seq[row], crowd.east_cm[row], crowd.north_cm[row])
            said.append((conn, int(base[0]) + ahead, int(base[1]) + east, int(base[2]) + north))
        got = crowd.apply_poses(*poses(said), INDEX, now_s)
        want = slow_apply(twins, [(c, s % 65_536, e, n) for c, s, e, n in said], leaf_of, unheld, now_s)
        assert (got.accepted, got.dropped) == (want.accepted, want.dropped)
        assert got.accepted + sum(got.dropped.values()) == len(said)
        assert [(c, s, why) for c, s, _, why in got.corrections] == sorted(want.corrections, reverse=True)
        for conn, twin in twins.items():
            row = int(crowd.conn_row[conn])
            assert (crowd.east_cm[row], crowd.north_cm[row]) == (twin.east, twin.north)
            assert (crowd.seq[row], crowd.heard_s[row]) == (twin.seq, twin.heard_s)
        for conn, _, pose, _ in got.corrections:
            assert pose == crowd.pose(int(crowd.conn_row[conn]))


def test_a_pose_brings_all_its_columns_and_wraps() -> None:
    crowd = Crowd(2)
    row = crowd.add(1, LOGIN, 0, 65_535, Pose(WEST, SOUTH + SIDE), MINE, 0.0)
    crowd.attach(row, 3)
    assert crowd.apply_poses(*poses([(3, 0, WEST + 1, SOUTH + SIDE)]), INDEX, 0.1).accepted == 1
    assert crowd.pose(row) == Pose(WEST + 1, SOUTH + SIDE, 3, 7, 0)
    assert crowd.seq[row] == 65_536


def test_a_flood_is_taken_at_the_stated_rate() -> None:
    crowd = Crowd(2)
    row = put(crowd, 1, 100, SIDE + 100, conn=0)
    accepted = 0
    for at in range(1_000):  # 100 poses a second for 10 s
        said = poses([(0, at + 1, int(crowd.east_cm[row]), int(crowd.north_cm[row]))])
        accepted += crowd.apply_poses(*said, INDEX, 50 + at * 0.01).accepted
    assert 160 <= accepted <= 166  # 15 saved up and 15 a second


def test_a_burst_spends_what_was_saved() -> None:
    crowd = Crowd(2)
    row = put(crowd, 1, 100, SIDE + 100, conn=0)
    said = [(0, k, WEST + 100, SOUTH + SIDE + 100) for k in range(1, 31)]
    got = crowd.apply_poses(*poses(said), INDEX, 50.0)
    assert (got.accepted, got.dropped, crowd.seq[row]) == (1, {"rate": 15, "superseded": 14}, 15)


def test_corrections_are_at_most_two_a_second() -> None:
    crowd = Crowd(2)
    row = put(crowd, 1, 100, SIDE + 100, conn=0, now_s=50.0)
    told = [
        crowd.apply_poses(
            *poses([(0, k, int(crowd.east_cm[row]) + 90_000, SOUTH)]), INDEX, 50 + k / 4
        ).corrections
        for k in range(1, 9)
    ]
    assert sum(map(len, told)) == 4
    assert told[0] == ((0, 1, crowd.pose(row), "reach"),)


# ---- ghosts

ROWS = st.lists(
    st.tuples(st.integers(1, 8), st.integers(0, 3), st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)),
    max_size=8,
    unique_by=lambda row: row[0],
)
# seq 0 to 3 of an avatar is one thing wherever it is told, as versions promise
Told = list[tuple[int, int, int, int]]


def told_by(holder: int, told: Told) -> NDArray[Any]:
    """The rows, each on the ground of that holder."""
    corner = {1: (0, 2 * SIDE), 2: (SIDE, 2 * SIDE), 3: (0, 0)}[holder]
    return ghosts((id, seq, corner[0] + east, corner[1] + north) for id, seq, east, north in told)


def crowd_with_mine() -> Crowd:
    crowd = Crowd(64)
    put(crowd, 1, 10, SIDE + 10, conn=0)
    crowd.kind[put(crowd, 2, 20, SIDE + 20)] = DORMANT
    return crowd


@given(ROWS, ROWS, ROWS)
def test_merging_commutes_repeats_and_leaves_mine_alone(a: Told, b: Told, c: Told) -> None:
    batches = [(h, told_by(h, told)) for h, told in ((1, a), (2, b), (3, c))]
    mine = {id: contents(crowd_with_mine())[id] for id in (1, 2)}
    results = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2, 1, 2, 0), (0, 0, 1, 1, 2, 2)):
        crowd = crowd_with_mine()
        for at in order:
            holder, rows = batches[at]
            crowd.merge_ghosts(holder * 10, rows, INDEX, holder, 5.0)
        results.append(contents(crowd))
        assert {id: results[-1][id] for id in (1, 2)} == mine
    assert all(result == results[0] for result in results)


@given(st.lists(st.tuples(st.integers(1, 3), ROWS, st.sampled_from([0.0, 0.4, 1.2])), max_size=6))
def test_merging_and_expiry_as_the_slow_twin_has_them(story: list[tuple[int, Told, float]]) -> None:
    crowd = crowd_with_mine()
    known: dict[int, SlowGhost | None] = {1: None, 2: None}
    now_s = 10.0
    for holder, told, wait_s in story:
        now_s += wait_s
        rows = told_by(holder, told)
        refused = crowd.merge_ghosts(holder, rows, INDEX, holder, now_s)
        before = dict(known)
        slow_merge(
            known,
            holder,
            (
                (
                    int(r["id"]),
                    SlowGhost((1_000, 0, 0, 0, int(r["seq"])), (int(r["east_cm"]), int(r["north_cm"])), 0, 0),
                )
                for r in rows
            ),
            now_s,
        )
        assert refused.get("mine", 0) == sum(id in (1, 2) for id, *_ in told)
        same = sum(known[id] is before.get(id) for id, *_ in told if id > 2)
        assert refused.get("old", 0) == same
        stale = [id for id, g in known.items() if g is not None and g.heard_s < now_s - GHOST_TTL_S]
        assert crowd.expire(now_s) == len(stale)
        for id in stale:
            del known[id]
        assert crowd.row_of.keys() == known.keys()
        for id, ghost in known.items():
            row = crowd.row_of[id]
            assert crowd.id[row] == id
            if ghost is not None:
                assert (crowd.east_cm[row], crowd.north_cm[row]) == ghost.place
                assert (crowd.source[row], crowd.heard_s[row]) == (ghost.source, ghost.heard_s)


def test_versions_are_compared_whole() -> None:
    """Login before birth before hop before seq, all of them unsigned."""
    columns = ("login_ms", "birth_hi", "birth_lo", "hop", "seq")
    for at, name in enumerate(columns):
        crowd = Crowd(8)
        low, high = told_by(3, [(5, 0, 1, 1)]), told_by(3, [(5, 0, 9, 9)])
        for later in columns[at + 1 :]:
            low[later] = 2**32 - 1  # larger where it must not count
        high[name] = low[name] + 2**31
        crowd.merge_ghosts(1, low, INDEX, 3, 1.0)
        assert crowd.merge_ghosts(2, high, INDEX, 3, 1.0) == {}
        assert crowd.merge_ghosts(1, low, INDEX, 3, 1.0) == {"old": 1}
        row = crowd.row_of[5]
        assert (crowd.east_cm[row] - WEST, crowd.source[row]) == (9, 2)


def test_ghosts_come_only_from_the_ground_of_their_holder() -> None:
    crowd = Crowd(8)
    reach = 3_200
    told = ghosts([(1, 0, 100, SIDE + reach), (2, 0, 100, SIDE + reach + 1), (3, 0, 100, SIDE - 1)])
    assert crowd.merge_ghosts(1, told, INDEX, 3, 1.0) == {"astray": 1}
    assert sorted(crowd.row_of) == [1, 3]
    for nobody in (NOBODY, 0):
        assert crowd.merge_ghosts(1, told, INDEX, nobody, 1.0) == {"astray": 3}


def test_ghosts_fill_half_the_rows_and_no_more() -> None:
    crowd = Crowd(6)
    told = told_by(3, [(id, 0, 5, 5) for id in (9, 8, 7, 6, 5)])
    assert crowd.merge_ghosts(1, told, INDEX, 3, 1.0) == {"full": 2}
    assert sorted(crowd.row_of) == [5, 6, 7]
    assert crowd.merge_ghosts(1, told, INDEX, 3, 1.5) == {"full": 2}
    assert (crowd.expire(2.4), crowd.expire(2.6)) == (0, 3)
    assert crowd.merge_ghosts(1, told_by(3, [(9, 0, 5, 5)]), INDEX, 3, 3.0) == {}
    assert (sorted(crowd.row_of), crowd.drop_source(2), crowd.drop_source(1), crowd.count) == ([9], 0, 1, 0)


def test_a_ghost_with_a_socket_outlives_silence() -> None:
    crowd = Crowd(4)
    row = put(crowd, 1, 0, 0, conn=0)
    crowd.kind[row] = GHOST
    assert crowd.expire(100.0) == 0
    crowd.detach(row)
    assert crowd.expire(100.0) == 1


def test_nobody_else_moves_a_ghost_or_a_dormant_row() -> None:
    crowd = Crowd(4)
    for id, kind in ((1, GHOST), (2, DORMANT)):
        row = put(crowd, id, 0, SIDE, conn=id)
        crowd.kind[row] = kind
    said = poses([(1, 1, WEST, SOUTH + SIDE), (2, 1, WEST, SOUTH + SIDE), (3, 1, WEST, SOUTH + SIDE)])
    assert crowd.apply_poses(*said, INDEX, 1.0).dropped == {"unowned": 3}


def test_the_story_has_unheld_ground() -> None:
    assert INDEX.holder_at(np.array([WEST + SIDE]), np.array([SOUTH + SIDE])).tolist() == [NOBODY]
