"""Border batches: who is sent, who is counted, against the slow pieces of the border."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p2pworld.limits import BORDER_AVATARS, VIEW_CM
from p2pworld.wire.frames import decode_density, decode_rows, encode_rows
from p2pworld.world.borders import border_batches
from p2pworld.world.crowd import DORMANT, GHOST, MINE, Crowd
from tests.reference import slow_morton
from tests.world.crowds import SIDE, SOUTH, WEST, boxes, index_of, put
from tests.world.reference import slow_gap, slow_pieces

if TYPE_CHECKING:
    from p2pworld.world.region import RegionIndex

CORNER = index_of(["12", "03"])
WIDE = index_of(["01", "00", "00", "00", "00", "00"])  # 256 m and more from the only neighbour, held ground


def told(batches: dict[int, tuple[Any, bytes]], holder: int) -> tuple[set[int], dict[int, int]]:
    """The ids sent to a holder, and its counts by Morton code."""
    if holder not in batches:
        return set(), {}
    rows, density = batches[holder]
    decode_rows(encode_rows(rows))
    assert (np.diff(rows["id"].astype(np.int64)) > 0).all()
    if not density:
        return set(rows["id"].tolist()), {}
    frame = decode_density(density)
    assert frame.level == 11
    return set(rows["id"].tolist()), dict(zip(frame.morton.tolist(), frame.avatars.tolist(), strict=True))


def crowd_of(places: list[tuple[int, int]]) -> Crowd:
    crowd = Crowd(8_192)
    for id, (east, north) in enumerate(places, 1):
        put(crowd, id, east, north)
    return crowd


def check(index: RegionIndex, places: list[tuple[int, int]]) -> dict[int, tuple[Any, bytes]]:
    """Recall, reach and counts of one tick; every place is mine."""
    batches = border_batches(crowd_of(places), index, 5_000)
    for holder, pieces in slow_pieces(boxes(index)).items():
        sent, counts = told(batches, holder)
        gaps = [[slow_gap(piece, WEST + e, SOUTH + n) for e, n in places] for piece in pieces]
        for piece in gaps:
            near = sorted((gap, id) for id, gap in enumerate(piece, 1) if gap <= VIEW_CM)
            # all that are nearer than the 96th must be sent, and of the equally near as many as fit
            limit = near[BORDER_AVATARS - 1][0] if len(near) >= BORDER_AVATARS else VIEW_CM + 1
            assert {id for gap, id in near if gap < limit} <= sent
            assert len(sent & {id for _, id in near}) >= min(len(near), BORDER_AVATARS)
        nearest = [min(piece[at] for piece in gaps) for at in range(len(places))]
        assert all(nearest[id - 1] <= VIEW_CM for id in sent)
        assert len(sent) <= BORDER_AVATARS * len(pieces)
        # everybody within 256 m is told of exactly once: as a row, or in the count of its cell
        cells = {
            id: slow_morton((WEST + e) // 3_200, (SOUTH + n) // 3_200, 11)
            for id, (e, n) in enumerate(places, 1)
        }
        unsent = [cells[id] for id in cells if id not in sent]
        for code, avatars in counts.items():
            assert avatars == unsent.count(code) > 0
        for id, code in cells.items():
            assert id in sent or code in counts or nearest[id - 1] > 25_600
    return batches


PLACES = st.lists(st.tuples(st.integers(-300, SIDE + 300), st.integers(0, SIDE + 300)), max_size=60)


@given(PLACES)
def test_few_are_all_sent_and_the_rest_counted(places: list[tuple[int, int]]) -> None:
    check(CORNER, places)


@settings(max_examples=8)
@given(st.integers(0, 2**32 - 1), st.sampled_from([100, 2_000, SIDE]))
def test_of_a_crowd_the_nearest_to_each_piece_are_sent(seed: int, spread: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = (SIDE - 1 - rng.integers(0, spread, (700, 2))).tolist()
    check(CORNER, [(e, n) for e, n in offsets])


def test_two_thousand_on_the_corner_of_four() -> None:
    batches = check(CORNER, [(SIDE - 1, SIDE - 1)] * 2_000)
    # the corner and the two lines beside it; the diagonal neighbour has only the corner
    assert len(batches[2][0]) == BORDER_AVATARS
    assert len(batches[1][0]) == len(batches[3][0]) <= 5 * BORDER_AVATARS
    for rows, density in batches.values():
        assert len(rows) + int(decode_density(density).avatars.sum()) == 2_000


def test_far_from_the_border_only_counts_and_further_nothing() -> None:
    near, far, further = (SIDE + 100, 4 * SIDE - VIEW_CM), (100, 3 * SIDE), (100, 100)
    batches = check(WIDE, [near, far, further])
    sent, counts = told(batches, 1)
    assert sent == set()
    assert sum(counts.values()) == 2
    assert border_batches(crowd_of([further]), WIDE, 5_000) == {}


@pytest.mark.parametrize("kind", [GHOST, DORMANT])
def test_ghosts_are_not_forwarded_and_dormant_ones_not_sent(kind: int) -> None:
    crowd = Crowd(4)
    put(crowd, 1, SIDE - 5, SIDE - 5, kind)
    assert border_batches(crowd, CORNER, 0) == {}
    crowd.kind[0] = MINE
    assert sorted(border_batches(crowd, CORNER, 0)) == [1, 2, 3]


def test_rows_carry_the_whole_version() -> None:
    crowd = Crowd(4)
    row = put(crowd, 7, SIDE - 5, 100)
    crowd.birth_hi[row], crowd.birth_lo[row], crowd.hop[row], crowd.seq[row] = 2**64 - 1, 5, 6, 7
    crowd.up[row], crowd.yaw[row], crowd.state[row] = -9, 8, 9
    rows, density = border_batches(crowd, CORNER, 0)[3]
    assert rows.tolist() == [
        (7, 1_000, 2**64 - 1, 5, 6, 7, WEST + SIDE - 5, SOUTH + 100, -9, 8, 9),
    ]
    assert density == b""


def test_equal_crowds_make_equal_bytes_in_whatever_order_they_came() -> None:
    rng = np.random.default_rng(4)
    people = [(id, *rng.integers(SIDE - 900, SIDE, 2).tolist()) for id in range(1, 400)]
    results = []
    for order in (people, people[::-1]):
        crowd = Crowd(512)
        for id, east, north in order:
            put(crowd, id, east, north)
        batches = border_batches(crowd, CORNER, 700)
        results.append({holder: (rows.tobytes(), density) for holder, (rows, density) in batches.items()})
    assert results[0] == results[1]
    assert list(results[0]) == [1, 2, 3]
