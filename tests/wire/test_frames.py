"""Packed frames: rounding within half a step, exact lengths, and a refusal of everything else."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.errors import LocalError, RemoteError
from p2pworld.geometry import ROOT_SIDE_CM
from p2pworld.wire.frames import (
    BORDER_DTYPE,
    POSE_DTYPE,
    decode_density,
    decode_pose,
    decode_pose_rows,
    decode_poses,
    decode_rows,
    encode_density,
    encode_pose,
    encode_poses,
    encode_poses_block,
    encode_rows,
)

EDGE = ROOT_SIDE_CM - 1
place = st.integers(0, EDGE) | st.sampled_from((0, EDGE))
avatar = st.tuples(
    st.integers(1, 2**53 - 1),
    place,
    place,
    st.integers(-(2**15), 2**15 - 1),
    st.integers(0, 255),
    st.integers(0, 255),
)


@given(st.integers(0, 2**16 - 1), place, place, st.integers(-(2**15), 2**15 - 1), *(st.integers(0, 255),) * 3)
def test_a_pose_is_sixteen_bytes_and_arrives(
    seq: int, east: int, north: int, up: int, yaw: int, state: int, ack: int
) -> None:
    data = encode_pose(seq, east, north, up, yaw, state, ack)
    assert len(data) == 16
    assert decode_pose(data)[0].tolist() == (1, state, seq, east, north, up, yaw, ack)
    rows = decode_pose_rows(np.frombuffer(data * 3, np.uint8).reshape(3, 16))
    assert rows.dtype == POSE_DTYPE
    assert (rows == decode_pose(data)[0]).all()


def test_a_pose_wraps_its_seq_and_refuses_what_no_column_holds() -> None:
    assert decode_pose(encode_pose(2**16 + 7, 1, 2))["seq"][0] == 7
    with pytest.raises(LocalError):
        encode_pose(1, 2**31, 0)
    with pytest.raises(LocalError):
        encode_pose(1, 0, 0, yaw=256)
    with pytest.raises(LocalError):
        decode_pose_rows(np.zeros((2, 15), np.uint8))
    with pytest.raises(LocalError):
        decode_pose_rows(np.zeros((2, 32), np.uint8)[:, ::2])
    for data in (b"", bytes(15), bytes(17), bytes(16)):
        with pytest.raises(RemoteError):
            decode_pose(data)


@given(st.integers(0, 15), st.integers(0, 2**32 - 1), st.lists(avatar, max_size=20))
def test_poses_arrive_within_half_a_step(tier: int, t_ms: int, avatars: list[tuple[int, ...]]) -> None:
    ids, east, north, up, yaw, state = zip(*avatars, strict=True) if avatars else ((),) * 6
    data = encode_poses(tier, t_ms, ids, east, north, up, yaw, state)
    assert len(data) == 16 + 16 * len(avatars)
    got = decode_poses(data)
    assert (got.tier, got.t_ms, got.ids.tolist()) == (tier, t_ms, list(ids))
    for sent, arrived in ((east, got.east_cm), (north, got.north_cm)):
        assert (np.abs(arrived - np.array(sent, np.int64)) <= got.step_cm // 2).all()
    assert (got.up.tolist(), got.yaw.tolist(), got.state.tolist()) == (list(up), list(yaw), list(state))
    spread = max(max(axis, default=0) - min(axis, default=0) for axis in (east, north))
    if spread <= 65_534:
        assert got.step_cm == 1  # up to 655 m across, to the centimetre
    else:
        assert got.step_cm * 32_768 < spread + 1  # half that step would not have reached


@pytest.mark.parametrize(("spread", "step_cm"), [(65_534, 1), (65_535, 2), (131_067, 2), (131_070, 4)])
def test_the_step_is_the_finest_that_reaches(spread: int, step_cm: int) -> None:
    got = decode_poses(encode_poses(0, 0, [1, 2], [0, spread], [0, 0], [0, 0], [0, 0], [0, 0]))
    assert got.step_cm == step_cm


def test_poses_never_say_silently_what_they_cannot() -> None:
    for bad in (
        (0, 0, [1], [-1], [0], [0], [0], [0]),
        (0, 0, [1], [0], [ROOT_SIDE_CM], [0], [0], [0]),
        (16, 0, [1], [0], [0], [0], [0], [0]),
        (0, 0, [1, 2], [0], [0], [0], [0], [0]),
        (0, 0, [1], [0], [0], [0], [0], [0, 0]),
        (0, 0, *([0] * 65_536,) * 6),
    ):
        with pytest.raises(LocalError):
            encode_poses(*bad)


def test_poses_are_the_bytes_of_the_table() -> None:
    data = encode_poses(2, 0x01020304, [7, 9], [100, 103], [50, 40], [-1, 2], [3, 4], [5, 6])
    assert data == struct.pack(
        "<BBHIii2Q2h2h2h2B2B", 2, 0x02, 2, 0x01020304, 101, 45, 7, 9, -1, 2, 5, -5, -1, 2, 3, 4, 5, 6
    )


@given(st.integers(0, 16), st.integers(0, 2**32 - 1), st.data())
def test_density_arrives_and_saturates(level: int, t_ms: int, data: st.DataObject) -> None:
    cells = data.draw(st.lists(st.tuples(st.integers(0, 4**level - 1), st.integers(0, 70_000)), max_size=9))
    codes, counts = [code for code, _ in cells], [count for _, count in cells]
    sent = encode_density(level, t_ms, codes, counts)
    assert len(sent) % 8 == 0
    got = decode_density(sent)
    assert (got.level, got.t_ms, got.morton.tolist()) == (level, t_ms, codes)
    assert got.avatars.tolist() == [min(count, 65_535) for count in counts]


def test_density_never_says_silently_what_it_cannot() -> None:
    for level, codes, counts in (
        (17, [0], [1]),
        (2, [16], [1]),
        (2, [0], [-1]),
        (2, [0], []),
        (2, [0] * 65_536, [0] * 65_536),
    ):
        with pytest.raises(LocalError):
            encode_density(level, 0, codes, counts)


def rows(n: int, **columns: Any) -> Any:
    made = np.zeros(n, BORDER_DTYPE)
    made["id"] = np.arange(1, n + 1)
    for name, values in columns.items():
        made[name] = values
    return made


@given(
    st.lists(
        st.tuples(avatar, st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)),
        unique_by=lambda t: t[0][0],
        max_size=9,
    )
)
def test_border_rows_arrive(people: list[tuple[tuple[int, ...], int, int]]) -> None:
    made = np.array(
        [(a[0], a[0], half, half ^ 1, hop, hop, a[1], a[2], a[3], a[4], a[5]) for a, hop, half in people], BORDER_DTYPE
    )  # fmt: skip
    data = encode_rows(made)
    assert len(data) == 52 * len(people)
    assert (decode_rows(data) == made).all()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (rows(2, id=[0, 1]), "rows-id"),
        (rows(1, id=2**53), "rows-id"),
        (rows(1, login_ms=2**53), "rows-id"),
        (rows(2, id=[3, 3]), "rows-twice"),
        (rows(2, east_cm=[0, -1]), "rows-range"),
        (rows(2, north_cm=[ROOT_SIDE_CM, 0]), "rows-range"),
    ],
)
def test_border_rows_that_no_node_may_send(bad: Any, reason: str) -> None:
    with pytest.raises(LocalError):
        encode_rows(bad)
    with pytest.raises(RemoteError) as caught:
        decode_rows(bad.tobytes())
    assert caught.value.reason == reason


def test_border_rows_are_whole() -> None:
    with pytest.raises(RemoteError, match="whole"):
        decode_rows(bytes(51))
    with pytest.raises(LocalError):
        encode_rows(np.zeros(1, POSE_DTYPE))


SAMPLES = (
    (decode_poses, encode_poses(1, 2, [1, 2], [3, 99_999], [5, 6], [7, 8], [9, 9], [1, 1])),
    (decode_density, encode_density(11, 2, [1, 2, 3], [4, 5, 6])),
    (decode_rows, encode_rows(rows(3))),
    (decode_pose, encode_pose(1, 2, 3)),
)


@pytest.mark.parametrize(("decode", "data"), SAMPLES, ids=["poses", "density", "rows", "pose"])
def test_every_other_length_is_refused(decode: Any, data: bytes) -> None:
    for length in range(len(data) + 9):
        wrong = (data + bytes(9))[:length]
        if length != len(data) and not (decode is decode_rows and length % 52 == 0):
            with pytest.raises(RemoteError):
                decode(wrong)


@pytest.mark.parametrize(("decode", "data"), SAMPLES, ids=["poses", "density", "rows", "pose"])
@given(at=st.integers(0, 200), byte=st.integers(0, 255))
def test_a_changed_byte_is_a_frame_inside_the_root_or_a_remote_error(
    decode: Any, data: bytes, at: int, byte: int
) -> None:
    changed = bytearray(data)
    changed[at % len(data)] = byte
    with suppress(RemoteError):
        got = decode(bytes(changed))
        if decode is decode_poses:
            for column in (got.east_cm, got.north_cm):
                assert ((column >= 0) & (column < ROOT_SIDE_CM)).all()


def test_a_huge_count_in_a_short_frame_is_refused() -> None:
    with pytest.raises(RemoteError) as poses:
        decode_poses(struct.pack("<BBHIii", 2, 0, 0xFFFF, 0, 0, 0))
    with pytest.raises(RemoteError) as density:
        decode_density(struct.pack("<BBHI", 3, 11, 0xFFFF, 0))
    assert (poses.value.reason, density.value.reason) == ("poses-length", "density-length")


def test_density_of_a_code_or_level_that_does_not_exist_is_refused() -> None:
    for frame in (struct.pack("<BBHIIH2x", 3, 1, 1, 0, 4, 1), struct.pack("<BBHI", 3, 17, 0, 0)):
        with pytest.raises(RemoteError) as caught:
            decode_density(frame)
        assert caught.value.reason == "density-range"


@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(0, 15),
    st.integers(0, 2**33),
    st.integers(0, 2**32 - 1),
)
def test_a_block_of_frames_says_what_each_would(
    frames: int, rows: int, tier: int, t_ms: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape = frames, rows
    origins = [rng.integers(0, ROOT_SIDE_CM, frames).astype(np.int32) for _ in range(2)]
    east, north = (
        (origin[:, None] + rng.integers(-32_767, 32_768, shape)).clip(0, EDGE).astype(np.int32)
        for origin in origins
    )
    ids = rng.integers(1, 2**53, shape).astype(np.uint64)
    up = rng.integers(-(2**15), 2**15, shape).astype(np.int16)
    yaw, state = (rng.integers(0, 256, shape).astype(np.uint8) for _ in range(2))
    made = encode_poses_block(tier, t_ms, origins[0], origins[1], ids, east, north, up, yaw, state)
    assert len(made) == frames
    for i, data in enumerate(made):
        got = decode_poses(data)
        assert (got.tier, got.t_ms, got.step_cm, len(data)) == (tier, t_ms % 2**32, 1, 16 + 16 * rows)
        told: tuple[Any, ...] = (got.ids, got.east_cm, got.north_cm, got.up, got.yaw, got.state)
        said: tuple[Any, ...] = (ids[i], east[i], north[i], up[i], yaw[i], state[i])
        assert all(np.array_equal(one, other) for one, other in zip(told, said, strict=True))


def test_a_block_refuses_what_no_frame_can_say() -> None:
    def block(east: int, rows: int = 2, tier: int = 0, frames: int = 1) -> None:
        at = np.full((frames, rows), east, np.int32)
        small = np.zeros((frames, rows), np.uint8)
        origin = np.full(frames, 50_000, np.int32)
        encode_poses_block(
            tier,
            0,
            origin,
            origin,
            at.astype(np.uint64),
            at,
            np.full_like(at, 50_000),
            at.astype(np.int16),
            small,
            small,
        )

    block(50_000 + 32_767)
    for wrong in (
        {"east": 50_000 + 32_768},
        {"east": -1},
        {"east": ROOT_SIDE_CM},
        {"east": 50_000, "rows": 0},
        {"east": 50_000, "tier": 16},
        {"east": 50_000, "frames": 0},
    ):
        with pytest.raises(LocalError):
            block(**wrong)
