"""The hot path of the bots against the slow way: what is looked at in passing is what a careful reader would find."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client.framing import BINARY, ServerFrames
from p2pworld.wire.frames import POSE, POSE_DTYPE, POSES, encode_density, encode_poses
from shard_node.websocket import ClientFrames, message
from simulations.bench.crowd.rows import POSE_FRAME_BYTES, ROW_SLACK, look_at_rows, pose_frames

ROW_BYTES = 4_096


def poses_of(count: int, t_ms: int) -> bytes:
    zeros = np.zeros(count, np.int64)
    return encode_poses(0, t_ms, np.arange(1, count + 1), zeros + 500, zeros + 500, zeros, zeros, zeros)


def density_of(count: int, t_ms: int) -> bytes:
    return encode_density(16, t_ms, np.arange(count), np.ones(count, np.int64))


def slow_look(data: bytes) -> tuple[int, int]:
    """`look_at_rows` of one row, one message at a time."""
    at, ack = 0, -1
    while at < len(data):
        frames = ServerFrames()
        for end in range(at + 1, len(data) + 1):
            if found := frames.feed(data[end - 1 : end]):
                break
        else:
            return at, ack
        opcode, payload = found[0]
        if opcode != BINARY or len(payload) < 8 or payload[0] >= 0x40:
            return at, ack
        if payload[0] == POSES:
            ack = int.from_bytes(payload[4:8], "little") >> 6 & 255
        at = end
    return at, ack


counts = st.integers(0, 12)
clock = st.integers(0, 2**32 - 1)
said = st.one_of(
    st.builds(poses_of, counts, clock),
    st.builds(density_of, st.integers(0, 40), clock),
    st.binary(min_size=1, max_size=40).map(lambda rest: b"\x4d" + rest),
    st.binary(min_size=8, max_size=150).map(lambda rest: b"\x11" + rest),
)


@given(st.lists(st.tuples(st.lists(said, max_size=6), st.integers(0, 60)), min_size=1, max_size=5))
def test_rows_are_looked_at_as_far_as_a_careful_reader_would_go(rows: list[tuple[list[bytes], int]]) -> None:
    streams = []
    for messages, missing in rows:
        whole = b"".join(map(message, messages))
        streams.append(whole[: max(0, len(whole) - missing)][:ROW_BYTES])
    buffer = np.full((len(streams), ROW_BYTES + ROW_SLACK), 0xA5, np.uint8)  # what was there before
    for row, stream in enumerate(streams):
        buffer[row, : len(stream)] = np.frombuffer(stream, np.uint8)
    at, ack = look_at_rows(buffer, np.array([len(stream) for stream in streams]))
    assert list(zip(at.tolist(), ack.tolist(), strict=True)) == [slow_look(stream) for stream in streams]


def test_a_close_a_ping_and_a_masked_frame_are_left_to_the_slow_way() -> None:
    for odd in (b"\x88\x02\x03\xe8", b"\x89\x08" + bytes(8), b"\x82\x88" + bytes(12), b"\x02\x08" + bytes(8)):
        buffer = np.zeros((1, 64 + ROW_SLACK), np.uint8)
        buffer[0, : len(odd)] = np.frombuffer(odd, np.uint8)
        at, _ = look_at_rows(buffer, np.array([len(odd)]))
        assert at.tolist() == [0]


@given(
    st.lists(st.tuples(st.integers(0, 65_535), st.integers(0, 6_553_599), st.integers(0, 255)), min_size=1)
)
def test_a_node_reads_each_pose_that_was_packed(said: list[tuple[int, int, int]]) -> None:
    poses = np.zeros(len(said), POSE_DTYPE)
    poses["kind"] = POSE
    for name, column in zip(("seq", "east_cm", "yaw"), zip(*said, strict=True), strict=True):
        poses[name] = column
    masks = np.random.default_rng(len(said)).integers(0, 256, (len(said), 4), np.uint8)
    data = pose_frames(poses, masks)
    assert len(data) == len(said) * POSE_FRAME_BYTES
    for i in range(len(said)):
        (event,) = ClientFrames().feed(data[i * POSE_FRAME_BYTES : (i + 1) * POSE_FRAME_BYTES])
        assert getattr(event, "payload", None) == poses[i].tobytes()


@given(st.lists(said, min_size=1, max_size=3), st.data())
def test_a_reader_knows_whether_it_holds_a_part_of_a_message(
    messages: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(map(message, messages))
    cut = data.draw(st.integers(0, len(whole)))
    ends = {0}
    for one in messages:
        ends.add(max(ends) + len(message(one)))
    frames = ServerFrames()
    frames.feed(whole[:cut])
    assert frames.at_boundary == (cut in ends)
