"""What the gauges count, told by hand: handoffs, ages, the lost and the doubled."""

from __future__ import annotations

import pytest

from client.gauges import LOST_S, OVERLAP_S, TWIN_CM, TWIN_S, Gauges
from p2pworld.errors import RemoteError
from p2pworld.wire.frames import encode_poses

IDS = [40, 7, 23]  # bots 0, 1, 2: not in the order of their ids
TICK_S = 0.1


def frame(*rows: tuple[int, int, int]) -> bytes:
    """POSES of (id, east_cm, north_cm)."""
    ids, east, north = zip(*rows, strict=True)
    none = [0] * len(rows)
    return encode_poses(0, 0, ids, east, north, none, none, none)


@pytest.fixture
def gauges() -> Gauges:
    return Gauges(IDS, 0.0)


def test_a_smooth_handoff_costs_nothing(gauges: Gauges) -> None:
    gauges.welcomed(0, False, False, 0.0)
    gauges.framed(0, TICK_S, 0.1)
    gauges.moved(0, 0.15)
    gauges.framed(0, TICK_S, 0.2)
    gauges.welcomed(0, True, True, 0.25)
    gauges.framed(0, TICK_S, 0.29)
    assert gauges.extras_ms == [0.0]
    assert (gauges.handoffs, gauges.between_processes, gauges.crossings.tolist()) == (1, 1, [1, 0, 0])


def test_the_longest_gap_around_a_handoff_is_what_it_costs(gauges: Gauges) -> None:
    gauges.framed(0, TICK_S, 1.0)
    gauges.moved(0, 1.05)
    gauges.framed(0, TICK_S, 1.1)
    gauges.welcomed(0, True, True, 1.2)
    gauges.framed(0, TICK_S, 1.35)
    gauges.framed(0, TICK_S, 3.0)  # a gap after it is not its own
    assert gauges.extras_ms == [pytest.approx(150.0)]


def test_a_handoff_that_came_to_nothing_costs_nothing_and_counts_nothing(gauges: Gauges) -> None:
    gauges.moved(0, 1.0)
    gauges.calmed(0)
    gauges.framed(0, TICK_S, 5.0)
    assert (gauges.extras_ms, gauges.handoffs) == ([], 0)


def test_a_handoff_within_one_process_is_not_between_processes(gauges: Gauges) -> None:
    gauges.moved(1, 1.0)
    gauges.welcomed(1, True, False, 1.1)
    assert (gauges.handoffs, gauges.between_processes) == (1, 0)


def test_the_age_is_from_sending_a_pose_to_seeing_it(gauges: Gauges) -> None:
    for i in range(10):
        gauges.sent(1, 1_000 + 13 * i, 2_000, True, 1.0 + i * TICK_S)
    gauges.look(b"a", frame((7, 1_000 + 13 * 8, 2_000)), 2.0)
    assert gauges.age_ms(0.5) == pytest.approx(200, abs=1)


def test_who_stands_still_and_who_is_no_bot_tell_no_age(gauges: Gauges) -> None:
    gauges.sent(1, 1_000, 2_000, True, 1.0)
    gauges.sent(1, 1_000, 2_000, False, 1.1)
    gauges.look(b"a", frame((7, 1_000, 2_000), (99, 1_000, 2_000)), 9.0)
    assert gauges.age_ms(0.99) == 0.0


def test_begin_counts_anew_but_never_forgives(gauges: Gauges) -> None:
    gauges.welcomed(0, True, True, 0.1)
    gauges.alive(2, LOST_S + 1)
    gauges.begin(20.0)
    figures = gauges.figures(21.0)
    assert (figures["handoffs"], figures["avatars_lost"], figures["seconds"]) == (0, 1, 1.0)


def test_a_live_client_without_an_owner_is_lost_after_a_while(gauges: Gauges) -> None:
    gauges.framed(0, TICK_S, 5.0)
    gauges.alive(0, 5.0 + LOST_S)
    assert gauges.lost == set()
    gauges.alive(0, 5.1 + LOST_S)
    assert gauges.lost == {0}


def test_one_avatar_at_two_places_of_two_nodes_at_once_is_doubled(gauges: Gauges) -> None:
    gauges.look(b"a", frame((7, 10_000, 10_000), (40, 50_000, 50_000)), 1.0)
    gauges.look(b"b", frame((7, 10_000 + TWIN_CM + 100, 10_000), (40, 50_000, 50_100)), 1.0 + TWIN_S / 2)
    assert gauges.twinned == {1}


def test_one_node_or_another_moment_doubles_nobody(gauges: Gauges) -> None:
    gauges.look(b"a", frame((7, 10_000, 10_000)), 1.0)
    gauges.look(b"a", frame((7, 90_000, 10_000)), 1.1)
    gauges.look(b"b", frame((7, 10_000, 10_000)), 1.1 + 2 * TWIN_S)
    assert gauges.twinned == set()


def test_two_sockets_that_both_go_on_bringing_frames_are_a_doubled_avatar(gauges: Gauges) -> None:
    for i in range(int(OVERLAP_S / TICK_S) + 3):
        gauges.framed(0, TICK_S, 1.0 + i * TICK_S)
        gauges.framed_twice(0, 1.05 + i * TICK_S)
    assert gauges.twinned == {0}


def test_an_overlap_within_a_handoff_is_no_double(gauges: Gauges) -> None:
    gauges.framed(0, TICK_S, 1.0)
    gauges.framed_twice(0, 1.05)
    gauges.welcomed(0, True, True, 1.1)
    gauges.framed(0, TICK_S, 3.0)
    gauges.framed_twice(0, 3.05)
    assert gauges.twinned == set()


def test_a_malformed_frame_is_said(gauges: Gauges) -> None:
    with pytest.raises(RemoteError):
        gauges.look(b"a", frame((7, 10_000, 10_000))[:-1], 1.0)
