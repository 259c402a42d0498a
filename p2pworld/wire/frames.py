"""Packed arrays: one client's pose, everybody's poses in a leaf, counts of a crowd, avatars along a border.

All numbers are little-endian. A client's POSE is a 16-byte record. POSES and DENSITY are a header and then whole
columns, so that numpy and a browser's typed arrays read them without a loop. Positions in POSES are offsets from an
origin in steps of 2**shift cm, the finest step that reaches everybody. Border rows are 52-byte records. Decoders check
every length against the counts before they touch a column and copy nothing they need not.
"""

from __future__ import annotations

import functools
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from p2pworld.errors import LocalError, RemoteError
from p2pworld.geometry import ROOT_SIDE_CM

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = [
    "BORDER_DTYPE",
    "DENSITY",
    "DENSITY_LEVEL_MAX",
    "POSE",
    "POSES",
    "POSE_BYTES",
    "POSE_DTYPE",
    "TIER_MAX",
    "DensityFrame",
    "PosesFrame",
    "decode_density",
    "decode_pose",
    "decode_pose_rows",
    "decode_poses",
    "decode_rows",
    "encode_density",
    "encode_density_each",
    "encode_pose",
    "encode_poses",
    "encode_poses_block",
    "encode_poses_each",
    "encode_rows",
]

POSE: Final = 0x01
POSES: Final = 0x02
DENSITY: Final = 0x03
TIER_MAX: Final = 15
DENSITY_LEVEL_MAX: Final = 16  # a Morton code of 32 bits

POSE_DTYPE: Final = np.dtype(
    [
        ("kind", "u1"),
        ("state", "u1"),
        ("seq", "<u2"),
        ("east_cm", "<i4"),
        ("north_cm", "<i4"),
        ("up", "<i2"),
        ("yaw", "u1"),
        ("ack", "u1"),
    ]
)
POSE_BYTES: Final = POSE_DTYPE.itemsize

BORDER_DTYPE: Final = np.dtype(
    [
        ("id", "<u8"),
        ("login_ms", "<u8"),
        ("birth_hi", "<u8"),
        ("birth_lo", "<u8"),
        ("hop", "<u4"),
        ("seq", "<u4"),
        ("east_cm", "<i4"),
        ("north_cm", "<i4"),
        ("up", "<i2"),
        ("yaw", "u1"),
        ("state", "u1"),
    ]
)

_POSE = struct.Struct("<BBHiihBB")
_POSES_HEADER = struct.Struct("<BBHIii")
_DENSITY_HEADER = struct.Struct("<BBHI")
_POSES_ROW_BYTES = 8 + 2 + 2 + 2 + 1 + 1
_I16_MAX = 2**15 - 1
_SHIFT_MAX = 15
_ID_MAX = 2**53 - 1
assert _POSE.size == POSE_BYTES == 16
assert BORDER_DTYPE.itemsize == 52


@dataclass(frozen=True, slots=True, eq=False)
class PosesFrame:
    """POSES decoded: `t_ms` on the connection's clock and one row an avatar; positions are within `step_cm` / 2."""

    tier: int
    t_ms: int
    step_cm: int
    ids: NDArray[np.uint64]
    east_cm: NDArray[np.int32]
    north_cm: NDArray[np.int32]
    up: NDArray[np.int16]
    yaw: NDArray[np.uint8]
    state: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class DensityFrame:
    """DENSITY decoded: how many avatars (65 535 means that or more) stand in each cell of `level`."""

    level: int
    t_ms: int
    morton: NDArray[np.uint32]
    avatars: NDArray[np.uint16]


# --- POSE ------------------------------------------------------------------------------------------


def encode_pose(
    seq: int, east_cm: int, north_cm: int, up: int = 0, yaw: int = 0, state: int = 0, ack: int = 0
) -> bytes:
    """One client's 16-byte POSE; `seq` and `ack` are taken modulo 2**16 and 2**8.

    Raises:
        LocalError: a number outside its column.
    """
    try:
        return _POSE.pack(POSE, state, seq & 0xFFFF, east_cm, north_cm, up, yaw, ack & 0xFF)
    except struct.error as error:
        raise LocalError(f"no POSE can say this: {error}") from None


def decode_pose_rows(rows: NDArray[np.uint8]) -> NDArray[Any]:
    """u8[n, 16], one POSE a row, seen as POSE_DTYPE[n] without a copy. The kind column is the caller's to check.

    Raises:
        LocalError: not an array of that shape whose rows lie one after another.
    """
    if rows.dtype != np.uint8 or rows.ndim != 2 or rows.shape[1] != POSE_BYTES or not rows.flags.c_contiguous:
        raise LocalError(f"pose rows are contiguous u8[n, {POSE_BYTES}], not {rows.dtype}{rows.shape}")
    return rows.view(POSE_DTYPE).reshape(-1)


def decode_pose(data: bytes) -> NDArray[Any]:
    """One POSE as POSE_DTYPE[1].

    Raises:
        RemoteError: another length or kind.
    """
    if len(data) != POSE_BYTES:
        raise RemoteError("pose-length", f"a POSE is {POSE_BYTES} bytes, not {len(data)}")
    if data[0] != POSE:
        raise RemoteError("frame-kind", f"a POSE has kind {POSE:#04x}, not {data[0]:#04x}")
    return np.frombuffer(data, POSE_DTYPE)


# --- POSES -----------------------------------------------------------------------------------------


def encode_poses(
    tier: int,
    t_ms: int,
    ids: ArrayLike,
    east_cm: ArrayLike,
    north_cm: ArrayLike,
    up: ArrayLike,
    yaw: ArrayLike,
    state: ArrayLike,
) -> bytes:
    """POSES of n avatars, each argument after `t_ms` (taken modulo 2**32) one column of n.

    Positions are rounded to the step, whose size is the finest that reaches all of them from their middle.

    Raises:
        LocalError: columns of different lengths, over 65 535 rows, a tier beyond 15, or a position outside the root.
    """
    count = len(np.asarray(ids))
    return encode_poses_each(tier, t_ms, [count], ids, east_cm, north_cm, up, yaw, state)[0]


def encode_poses_each(
    tier: int,
    t_ms: int,
    stops: ArrayLike,
    ids: ArrayLike,
    east_cm: ArrayLike,
    north_cm: ArrayLike,
    up: ArrayLike,
    yaw: ArrayLike,
    state: ArrayLike,
) -> list[bytes]:
    """The `encode_poses` of many frames whose rows stand one after another: frame i ends before row `stops[i]`.

    One pass over all columns; Python runs once a frame. Only a lone frame may be empty.

    Raises:
        LocalError: as `encode_poses`; stops that do not rise to the number of rows.
    """
    east = np.asarray(east_cm, np.int64)
    north = np.asarray(north_cm, np.int64)
    columns = [np.asarray(ids, "<u8"), np.asarray(up, "<i2"), np.asarray(yaw, "u1"), np.asarray(state, "u1")]
    count = len(columns[0])
    if any(column.shape != (count,) for column in (east, north, *columns)):
        raise LocalError(f"POSES takes columns of one length, not {count} ids with others beside")
    if not 0 <= tier <= TIER_MAX:
        raise LocalError(f"a tier is 0 to {TIER_MAX}, not {tier}")
    ends = np.asarray(stops, np.intp)
    if count == 0 and not ends.any():
        return [_POSES_HEADER.pack(POSES, tier, 0, t_ms & 0xFFFF_FFFF, 0, 0)] * len(ends)
    starts = np.concatenate(([0], ends[:-1]))
    rows = ends - starts
    if len(ends) == 0 or ends[-1] != count or rows.min() < 1 or rows.max() > 0xFFFF:
        raise LocalError(f"frames of 1 to 65535 rows cannot end at {ends.tolist()} of {count} rows")
    west, east_most = np.minimum.reduceat(east, starts), np.maximum.reduceat(east, starts)
    south, north_most = np.minimum.reduceat(north, starts), np.maximum.reduceat(north, starts)
    if min(west.min(), south.min()) < 0 or max(east_most.max(), north_most.max()) >= ROOT_SIDE_CM:
        raise LocalError("POSES takes positions inside the root")
    origin_east, origin_north = (west + east_most) // 2, (south + north_most) // 2
    # the middle is rounded down, so the farthest is at the east or north end
    reach = np.maximum(east_most - origin_east, north_most - origin_north)
    de, dn = east - origin_east.repeat(rows), north - origin_north.repeat(rows)
    if reach.max() <= _I16_MAX:
        shifts = [0] * len(rows)
    else:
        shifts = [_shift_for(reach_cm) for reach_cm in reach.tolist()]
        shift = np.array(shifts).repeat(rows)
        half = (1 << shift) >> 1
        de, dn = (de + half) >> shift, (dn + half) >> shift
    id_bytes, up_bytes, yaw_bytes, state_bytes = (column.tobytes() for column in columns)
    de_bytes, dn_bytes = de.astype("<i2").tobytes(), dn.astype("<i2").tobytes()
    clock = t_ms & 0xFFFF_FFFF
    frames: list[bytes] = []
    a = 0
    for b, step, e, n in zip(ends.tolist(), shifts, origin_east.tolist(), origin_north.tolist(), strict=True):
        parts = (
            _POSES_HEADER.pack(POSES, step << 4 | tier, b - a, clock, e, n),
            id_bytes[8 * a : 8 * b],
            de_bytes[2 * a : 2 * b],
            dn_bytes[2 * a : 2 * b],
            up_bytes[2 * a : 2 * b],
            yaw_bytes[a:b],
            state_bytes[a:b],
        )
        frames.append(b"".join(parts))
        a = b
    return frames


def encode_poses_block(
    tier: int,
    t_ms: int,
    origin_east_cm: NDArray[np.int32],
    origin_north_cm: NDArray[np.int32],
    ids: NDArray[np.uint64],
    east_cm: NDArray[np.int32],
    north_cm: NDArray[np.int32],
    up: NDArray[np.int16],
    yaw: NDArray[np.uint8],
    state: NDArray[np.uint8],
) -> list[bytes]:
    """POSES of many frames with equally many rows each, to 1 cm: columns are [frames, rows], the origins [frames].

    Python runs once a frame, to cut it out of the whole.

    Raises:
        LocalError: columns of different shapes, a tier beyond 15, no row or too many, a position outside the root or
            over 32 767 cm from its origin.
    """
    frames, rows = ids.shape
    if any(column.shape != (frames, rows) for column in (east_cm, north_cm, up, yaw, state)):
        raise LocalError(f"POSES takes columns of one shape, not {frames} x {rows} ids with others beside")
    if not 0 <= tier <= TIER_MAX or not 1 <= rows <= 0xFFFF or frames == 0:
        raise LocalError(f"no {frames} POSES of {rows} rows and tier {tier} can be made at once")
    packed = np.empty(frames, _block_dtype(rows))
    packed["kind"], packed["tier"], packed["rows"], packed["t_ms"] = POSES, tier, rows, t_ms & 0xFFFF_FFFF
    packed["origin_east"], packed["origin_north"] = origin_east_cm, origin_north_cm
    for name, at, origin in (("de", east_cm, origin_east_cm), ("dn", north_cm, origin_north_cm)):
        way = at - origin[:, None]
        # seen as unsigned, a negative number is larger than any in the root
        if at.view(np.uint32).max() >= ROOT_SIDE_CM or max(-int(way.min()), int(way.max())) > _I16_MAX:
            raise LocalError("POSES takes positions inside the root and near to their origin")
        packed[name] = way
    packed["id"], packed["up"], packed["yaw"], packed["state"] = ids, up, yaw, state
    data, size = packed.tobytes(), packed.itemsize
    return [data[at : at + size] for at in range(0, len(data), size)]


@functools.cache
def _block_dtype(rows: int) -> np.dtype[Any]:
    """One POSES of so many rows."""
    header = [("kind", "u1"), ("tier", "u1"), ("rows", "<u2"), ("t_ms", "<u4")]
    origin = [("origin_east", "<i4"), ("origin_north", "<i4")]
    columns = [("id", "<u8"), ("de", "<i2"), ("dn", "<i2"), ("up", "<i2"), ("yaw", "u1"), ("state", "u1")]
    return np.dtype([*header, *origin, *((name, kind, (rows,)) for name, kind in columns)])


def _shift_for(reach_cm: int) -> int:
    """The smallest shift with which an offset of `reach_cm`, rounded, fits 16 bits."""
    shift = 0
    while (reach_cm + ((1 << shift) >> 1)) >> shift > _I16_MAX:
        shift += 1
    if shift > _SHIFT_MAX:
        raise LocalError(f"no frame reaches {reach_cm} cm from its origin")
    return shift


def decode_poses(data: bytes) -> PosesFrame:
    """The frame of `encode_poses`.

    Raises:
        RemoteError: another kind, or a length that is not the header's and the columns'.
    """
    if len(data) < _POSES_HEADER.size:
        raise RemoteError("poses-length", f"{len(data)} bytes are no POSES")
    kind, packed, count, t_ms, origin_east, origin_north = _POSES_HEADER.unpack_from(data)
    if kind != POSES:
        raise RemoteError("frame-kind", f"POSES has kind {POSES:#04x}, not {kind:#04x}")
    if len(data) != _POSES_HEADER.size + count * _POSES_ROW_BYTES:
        raise RemoteError("poses-length", f"POSES of {count} avatars in {len(data)} bytes")
    shift = packed >> 4
    at = _POSES_HEADER.size
    ids = np.frombuffer(data, "<u8", count, at)
    de = np.frombuffer(data, "<i2", count, at + 8 * count)
    dn = np.frombuffer(data, "<i2", count, at + 10 * count)
    east = origin_east + (de.astype(np.int64) << shift)
    north = origin_north + (dn.astype(np.int64) << shift)
    # rounding to a step of up to 2**shift may leave the root by half of it, no further
    slack = (1 << shift) >> 1
    if count and not (
        min(east.min(), north.min()) >= -slack and max(east.max(), north.max()) < ROOT_SIDE_CM + slack
    ):
        raise RemoteError("poses-range", "POSES outside the root")
    return PosesFrame(
        packed & 0x0F,
        t_ms,
        1 << shift,
        ids,
        east.clip(0, ROOT_SIDE_CM - 1).astype(np.int32),
        north.clip(0, ROOT_SIDE_CM - 1).astype(np.int32),
        np.frombuffer(data, "<i2", count, at + 12 * count),
        np.frombuffer(data, "u1", count, at + 14 * count),
        np.frombuffer(data, "u1", count, at + 15 * count),
    )


# --- DENSITY ---------------------------------------------------------------------------------------


def encode_density(level: int, t_ms: int, morton: ArrayLike, avatars: ArrayLike) -> bytes:
    """DENSITY of n cells of `level`: their Morton codes and counts (above 65 535 written as that), padded to 8 bytes.

    Raises:
        LocalError: columns of different lengths, too many, a code that `level` does not have, a negative count.
    """
    return encode_density_each(level, t_ms, [len(np.asarray(morton))], morton, avatars)[0]


def encode_density_each(
    level: int, t_ms: int, stops: ArrayLike, morton: ArrayLike, avatars: ArrayLike
) -> list[bytes]:
    """The `encode_density` of many frames whose rows stand one after another: frame i ends before row `stops[i]`.

    Raises:
        LocalError: as `encode_density`; stops that fall, or do not end at the number of rows.
    """
    codes = np.asarray(morton, np.uint64)
    counts = np.asarray(avatars, np.int64)
    ends: list[int] = np.asarray(stops, np.intp).tolist()
    if codes.ndim != 1 or codes.shape != counts.shape:
        raise LocalError("DENSITY takes two columns of one length")
    if not 0 <= level <= DENSITY_LEVEL_MAX:
        raise LocalError(f"DENSITY is of a level from 0 to {DENSITY_LEVEL_MAX}, not {level}")
    if len(codes) and (int(codes.max()) >> 2 * level or counts.min() < 0):
        raise LocalError("DENSITY takes codes of its level and counts that are not negative")
    if not ends or ends[-1] != len(codes):
        raise LocalError(f"frames cannot end at {ends} of {len(codes)} rows")
    code_bytes = codes.astype("<u4").tobytes()
    count_bytes = np.minimum(counts, 0xFFFF).astype("<u2").tobytes()
    clock = t_ms & 0xFFFF_FFFF
    frames: list[bytes] = []
    a = 0
    for b in ends:
        if not a <= b <= a + 0xFFFF:
            raise LocalError(f"a DENSITY has 0 to 65535 rows, not {b - a}")
        parts = (
            _DENSITY_HEADER.pack(DENSITY, level, b - a, clock),
            code_bytes[4 * a : 4 * b],
            count_bytes[2 * a : 2 * b],
            bytes(-6 * (b - a) % 8),
        )
        frames.append(b"".join(parts))
        a = b
    return frames


def decode_density(data: bytes) -> DensityFrame:
    """The frame of `encode_density`.

    Raises:
        RemoteError: another kind, a wrong length, padding that is not zero, or a code that the level does not have.
    """
    if len(data) < _DENSITY_HEADER.size:
        raise RemoteError("density-length", f"{len(data)} bytes are no DENSITY")
    kind, level, count, t_ms = _DENSITY_HEADER.unpack_from(data)
    if kind != DENSITY:
        raise RemoteError("frame-kind", f"DENSITY has kind {DENSITY:#04x}, not {kind:#04x}")
    if level > DENSITY_LEVEL_MAX:
        raise RemoteError("density-range", f"DENSITY of level {level}")
    at = _DENSITY_HEADER.size
    end = at + 6 * count
    if len(data) != end + -(6 * count) % 8 or any(data[end:]):
        raise RemoteError("density-length", f"DENSITY of {count} cells in {len(data)} bytes")
    codes = np.frombuffer(data, "<u4", count, at)
    if level < DENSITY_LEVEL_MAX and (codes >> np.uint32(2 * level)).any():
        raise RemoteError("density-range", f"DENSITY of a cell that level {level} does not have")
    return DensityFrame(level, t_ms, codes, np.frombuffer(data, "<u2", count, at + 4 * count))


# --- border rows -----------------------------------------------------------------------------------


def encode_rows(rows: NDArray[Any]) -> bytes:
    """BORDER_DTYPE[n] as n records of 52 bytes.

    Raises:
        LocalError: another dtype, or a row that a receiver would refuse.
    """
    if rows.dtype != BORDER_DTYPE or rows.ndim != 1:
        raise LocalError(f"border rows are BORDER_DTYPE[n], not {rows.dtype}{rows.shape}")
    if (wrong := _wrong_rows(rows)) is not None:
        raise LocalError(f"border rows cannot be sent: {wrong}")
    return rows.tobytes()


def decode_rows(data: bytes) -> NDArray[Any]:
    """The records of `encode_rows` as BORDER_DTYPE[n], read-only.

    Raises:
        RemoteError: not whole records, an id or login of over 53 bits, id 0, an id twice, a position outside the root.
    """
    if len(data) % BORDER_DTYPE.itemsize:
        raise RemoteError("rows-length", f"{len(data)} bytes are not whole border rows")
    rows = np.frombuffer(data, BORDER_DTYPE)
    if (wrong := _wrong_rows(rows)) is not None:
        raise RemoteError(wrong)
    return rows


def _wrong_rows(rows: NDArray[Any]) -> str | None:
    """Why these rows break the protocol, as a code, or None."""
    if len(rows) == 0:
        return None
    ids = np.sort(rows["id"])
    if ids[0] == 0 or ids[-1] > _ID_MAX or (rows["login_ms"] > _ID_MAX).any():
        return "rows-id"
    if (ids[1:] == ids[:-1]).any():
        return "rows-twice"
    # seen as unsigned, a negative number is larger than any in the root
    if max(rows["east_cm"].view("<u4").max(), rows["north_cm"].view("<u4").max()) >= ROOT_SIDE_CM:
        return "rows-range"
    return None
