"""The hot path of a bot, for many at once: poses into WebSocket frames, and WebSocket frames looked at in passing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from client.framing import BINARY
from p2pworld.wire.frames import POSE_BYTES, POSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["POSE_FRAME_BYTES", "ROW_SLACK", "look_at_rows", "pose_frames"]

POSE_FRAME_BYTES: Final = 2 + 4 + POSE_BYTES
ROW_SLACK: Final = 16  # columns after the longest row, so that a header is read past its end without a fault
FIRST_CONTROL_KIND: Final = 0x40
MESSAGES_MAX: Final = 12  # looked at in one row
HEADER_BYTES: Final = 8  # of POSES, DENSITY and every packed message


def pose_frames(poses: NDArray[Any], masks: NDArray[np.uint8]) -> bytes:
    """POSE_DTYPE[n] as n masked frames of `POSE_FRAME_BYTES`, one after another; masks are u8[n, 4]."""
    frames = np.empty((len(poses), POSE_FRAME_BYTES), np.uint8)
    frames[:, 0], frames[:, 1] = 0x80 | BINARY, 0x80 | POSE_BYTES
    frames[:, 2:6] = masks
    frames[:, 6:] = poses.view(np.uint8).reshape(-1, POSE_BYTES) ^ np.tile(masks, POSE_BYTES // 4)
    return frames.tobytes()


def look_at_rows(
    buffer: NDArray[np.uint8], size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How far each row holds whole packed messages, and what is to be acknowledged of it (-1: nothing new).

    Row i of `buffer` (u8[≥ n, columns], `ROW_SLACK` of them beyond any size) begins with `size[i]` bytes that a node
    sent, from the beginning of a message. What follows the returned offset is a control message, a message that is not
    whole, or something odd: it has to be read the slow way. Acknowledged are bits 6 to 13 of the last POSES' `t_ms`.
    """
    count = len(size)
    at = np.zeros(count, np.int64)
    ack = np.full(count, -1, np.int64)
    left = np.flatnonzero(size > 0)
    last_column = buffer.shape[1] - ROW_SLACK // 2
    for _ in range(MESSAGES_MAX):
        if len(left) == 0:
            break
        here = at[left]
        first, short = buffer[left, here], buffer[left, here + 1].astype(np.int64)
        wide = short == 126
        long = (buffer[left, here + 2].astype(np.int64) << 8) | buffer[left, here + 3]
        length = np.where(wide, long, short)
        body = here + np.where(wide, 4, 2)
        end = body + length
        good = (first == 0x80 | BINARY) & (short < 127) & (length >= HEADER_BYTES) & (end <= size[left])
        kind = buffer[left, np.minimum(body, last_column)]
        good &= kind < FIRST_CONTROL_KIND
        poses = good & (kind == POSES)
        if poses.any():
            there, start = left[poses], body[poses]
            low, high = buffer[there, start + 4].astype(np.int64), buffer[there, start + 5].astype(np.int64)
            ack[there] = (low >> 6 | high << 2) & 0xFF
        at[left[good]] = end[good]
        left = left[good & (end < size[left])]
    return at, ack
