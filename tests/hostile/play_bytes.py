"""What a hostile client may send, as bytes: WebSocket frames in every broken shape, mutated messages, garbage for HTTP.

Everything comes from a seeded generator, so that a finding can be repeated. An `Attack` is one connection's worth.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from p2pworld.messages import Act, Bye, Go, Hello, Pose, Profile, Welcome, Who
from p2pworld.wire.codec import encode_play

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

# ruff: noqa: RUF022  (building, then attacking)
__all__ = ["UPGRADE", "message", "raw_frame", "Attack", "breaking", "garbage_for_http", "mutated", "HARMLESS"]

UPGRADE: Final = (
    b"GET /play HTTP/1.1\r\nHost: city\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: p2pworld.v1\r\n\r\n"
)
BINARY, TEXT, CLOSE, PING, PONG = 0x2, 0x1, 0x8, 0x9, 0xA
MASK: Final = b"\x5a\xc3\x0f\x99"


def raw_frame(
    first: int, payload: bytes, *, mask: bytes | None = MASK, length: bytes | None = None, second: int = 0
) -> bytes:
    """One frame with this first byte; `length` and `second` replace what says the length, for lies about it."""
    size = len(payload)
    if length is None:
        if size < 126:
            second, length = size, b""
        elif size < 65_536:
            second, length = 126, size.to_bytes(2, "big")
        else:
            second, length = 127, size.to_bytes(8, "big")
    if mask is None:
        return bytes((first, second)) + length + payload
    masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
    return bytes((first, second | 0x80)) + length + mask + masked


def message(payload: bytes) -> bytes:
    """One whole binary message."""
    return raw_frame(0x80 | BINARY, payload)


@dataclass(frozen=True, slots=True)
class Attack:
    """What one connection sends after the upgrade, how many frames that is, and the reason it must be ended for.

    An empty reason: it need not be ended, or for any of several.
    """

    data: bytes
    frames: int
    reason: str = ""


# ---- harmless ones: ignored, answered or dropped, and the connection goes on


def _unknown_kind(rng: random.Random) -> bytes:
    return message(bytes((rng.randrange(0x10, 0x40),)) + rng.randbytes(rng.randrange(200)))


def _ping(rng: random.Random) -> bytes:
    return raw_frame(0x80 | rng.choice((PING, PONG)), rng.randbytes(rng.randrange(126)))


def _early_pose(rng: random.Random) -> bytes:
    return message(b"\x01" + rng.randbytes(15))


def _fragmented_pose(rng: random.Random) -> bytes:
    pose = b"\x01" + rng.randbytes(15)
    cut = rng.randrange(17)
    return b"".join(
        (
            raw_frame(BINARY, pose[:cut]),
            raw_frame(0, b""),
            raw_frame(0x80 | PING, b"amid"),
            raw_frame(0x80, pose[cut:]),
        )
    )


HARMLESS: Final[tuple[Callable[[random.Random], bytes], ...]] = (
    _unknown_kind, _ping, _early_pose, _fragmented_pose,
)  # fmt: skip


# ---- breaking ones


def _unmasked(rng: random.Random) -> bytes:
    return raw_frame(0x80 | BINARY, rng.randbytes(16), mask=None)


def _opcode(rng: random.Random) -> bytes:
    return raw_frame(0x80 | rng.choice((3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)), rng.randbytes(4))


def _reserved(rng: random.Random) -> bytes:
    return raw_frame(0x80 | rng.choice((0x10, 0x20, 0x40, 0x70)) | BINARY, rng.randbytes(16))


def _text(rng: random.Random) -> bytes:
    return raw_frame(0x80 | TEXT, rng.choice((b"{}", "서울".encode(), b"\xc3\x28\xff")))


def _oversize(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        size = rng.choice((4_097, 65_535))
        return raw_frame(0x80 | BINARY, rng.randbytes(64), length=size.to_bytes(2, "big"), second=126)
    size = rng.choice((65_536, 2**31, 2**63 - 1, 2**63, 2**64 - 1))
    return raw_frame(0x80 | BINARY, rng.randbytes(64), length=size.to_bytes(8, "big"), second=127)


def _oversize_in_parts(rng: random.Random) -> bytes:
    return (
        raw_frame(BINARY, bytes(2_000))
        + raw_frame(0, bytes(2_000))
        + raw_frame(rng.choice((0, 0x80)), bytes(97))
    )


def _long_length(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return raw_frame(0x80 | BINARY, bytes(16), length=(16).to_bytes(2, "big"), second=126)
    return raw_frame(0x80 | BINARY, bytes(16), length=(16).to_bytes(8, "big"), second=127)


def _control_frame(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return raw_frame(PING, b"not final")
    return raw_frame(0x80 | PING, bytes(126))


def _fragments(rng: random.Random) -> bytes:
    if rng.random() < 0.5:
        return raw_frame(0x80, b"continues nothing")
    return raw_frame(BINARY, b"begun") + raw_frame(0x80 | BINARY, b"and begun again")


def _close_frame(rng: random.Random) -> bytes:
    return raw_frame(0x80 | CLOSE, rng.choice((b"\x03", b"\x03\xed", b"\x00\x00", b"\x03\xe8\xff\xff")))


def _pose_size(rng: random.Random) -> bytes:
    return message(b"\x01" + rng.randbytes(rng.choice((1, 14, 16, 40))))


def _empty(_: random.Random) -> bytes:
    return message(b"")


def _kind(rng: random.Random) -> bytes:
    return message(bytes((rng.randrange(0x50, 0x100),)) + b"\x80")


HUGE: Final = (
    b"\xdf\xff\xff\xff\xff", b"\xdd\xff\xff\xff\xff", b"\xdb\xff\xff\xff\xff", b"\xc6\xff\xff\xff\xff",
    b"\xc9\xff\xff\xff\xff\x01", b"\x91" * 3_000, b"\x81" * 3_000, b"\xc1",
)  # fmt: skip


def _huge(rng: random.Random) -> bytes:
    return message(bytes((rng.choice((0x40, 0x46, 0x48, 0x4C)),)) + rng.choice(HUGE) + rng.randbytes(8))


BREAKING: Final[tuple[tuple[Callable[[random.Random], bytes], int, str], ...]] = (
    (_unmasked, 1, "malformed_unmasked"),
    (_opcode, 1, "malformed_opcode"),
    (_reserved, 1, "malformed_reserved_bits"),
    (_text, 1, "malformed_text"),
    (_oversize, 1, "malformed_oversize"),
    (_oversize_in_parts, 3, "malformed_oversize"),
    (_long_length, 1, "malformed_length"),
    (_control_frame, 1, "malformed_control_frame"),
    (_fragments, 2, "malformed_fragments"),
    (_close_frame, 1, "malformed_close_frame"),
    (_pose_size, 1, "malformed_pose_size"),
    (_empty, 1, "malformed_empty"),
    (_kind, 1, "malformed_frame-kind"),
    (_huge, 1, "malformed_msgpack"),
)

# ---- mutated ones

HELLO = Hello(
    1,
    bytes(32),
    1,
    "ws://127.0.0.1/play",
    Profile("위조", kind="ai"),
    bytes(64),
    want=Pose(3_379_000, 3_195_000),
)
MESSAGES: Final = (
    HELLO, Act(1, "hang", "소원", name=bytes(16)), Who((1, 2, 3)), Go("DDP"), Bye("again"),
    Welcome(1, 1, bytes(16), Pose(1, 1), 1, 100, 1, 1, 1),
)  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """A message with a few bytes changed, cut out or put in, sometimes with the frame around it broken as well."""
    data = bytearray(encode_play(rng.choice(MESSAGES)))
    for _ in range(rng.randrange(1, 5)):
        at, cut = rng.randrange(len(data) + 1), rng.randrange(4)
        data[at : at + cut] = rng.randbytes(rng.randrange(5))
    whole = bytearray(message(bytes(data)))
    if rng.random() < 0.3:
        whole[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
    return bytes(whole)


def breaking(rng: random.Random, number: int) -> Attack:
    """The `number`th connection: up to nine harmless frames, then one that must end it; or nothing but noise."""
    lead = rng.randrange(9)
    data = b"".join(rng.choice(HARMLESS)(rng) for _ in range(lead))
    shape = number % (len(BREAKING) + 3)
    if shape < len(BREAKING):
        make, frames, reason = BREAKING[shape]
        return Attack(data + make(rng), lead + frames, reason)
    if shape == len(BREAKING):
        return Attack(data + rng.randbytes(rng.randrange(2, 300)), lead + 1)
    rest = [mutated(rng) for _ in range(rng.randrange(1, 4))]
    return Attack(data + b"".join(rest), lead + len(rest))


def garbage_for_http(rng: random.Random) -> bytes:
    """Not the upgrade that it should be."""
    return rng.choice(
        (
            rng.randbytes(rng.randrange(1, 400)),
            rng.randbytes(100) + b"\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(120) + b"\r\n\r\n",
            b"GET / HTTP/1.1\r\n\r\n",
            b"GET /elsewhere HTTP/1.1\r\n" + UPGRADE.partition(b"\r\n")[2],
            b"POST" + UPGRADE[3:],
            UPGRADE.replace(b"HTTP/1.1", b"HTTP/9.9"),
            UPGRADE.replace(b"websocket", b"h2c"),
            UPGRADE.replace(b"p2pworld.v1", b"other.v7"),
            UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"AAAA"),
            UPGRADE.replace(b"Host: city", b"Host: city\r\n folded: \0"),
            UPGRADE[:-2] + b"X: " + b"y" * 9_000,
            b"\r\n" * 5_000,
        )
    )


def wild_pose(rng: random.Random, seq: int, home: Pose) -> bytes:
    """A POSE that stands anywhere in 32 bits, or a hundred metres from `home`."""
    east_cm, north_cm = rng.choice(
        (
            (rng.randrange(-(2**31), 2**31), rng.randrange(-(2**31), 2**31)),
            (-1, home.north_cm),
            (6_553_600, home.north_cm),
            (home.east_cm + 10_000, home.north_cm),
            (home.east_cm, home.north_cm - 10_000),
        )
    )
    state, up, yaw, ack = (
        rng.randrange(256),
        rng.randrange(-(2**15), 2**15),
        rng.randrange(256),
        rng.randrange(256),
    )
    return struct.pack("<BBHiihBB", 1, state, seq & 0xFFFF, east_cm, north_cm, up, yaw, ack)
