"""What fields are made of: bounded numbers, bytes and texts, and the parts that several messages share.

A field's annotation is its validation; `p2pworld.wire` compiles it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

from p2pworld.limits import NODE_NAME_CHARACTERS_MAX

__all__ = [
    "CHAIN_MAX",
    "PROTOCOL",
    "U8",
    "U16",
    "U32",
    "U53",
    "AvatarId",
    "Birth",
    "CellCode",
    "Centimetres",
    "Chain",
    "Code",
    "Digest",
    "Grant",
    "Instant",
    "Key",
    "NodeName",
    "Nonce",
    "ObjectId",
    "Path",
    "Pose",
    "Profile",
    "Range",
    "Role",
    "Sentence",
    "Signature",
    "Size",
    "Speech",
    "Ticket",
    "Up",
    "Url",
]

PROTOCOL = 1
CHAIN_MAX = 4  # grants from a root key's to the last


@dataclass(frozen=True, slots=True)
class Range:
    """The whole numbers `low` to `high`, both allowed."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Size:
    """The least and greatest length: bytes of a bytes field, characters of a text, items of a tuple."""

    low: int
    high: int


U8 = Annotated[int, Range(0, 2**8 - 1)]
U16 = Annotated[int, Range(0, 2**16 - 1)]
U32 = Annotated[int, Range(0, 2**32 - 1)]
U53 = Annotated[int, Range(0, 2**53 - 1)]
Centimetres = Annotated[int, Range(0, 65_536 * 100 - 1)]
Up = Annotated[int, Range(-(2**15), 2**15 - 1)]
AvatarId = Annotated[int, Range(1, 2**53 - 1)]
CellCode = Annotated[int, Range(1, 2**53 - 1)]
Key = Annotated[bytes, Size(32, 32)]
Nonce = Annotated[bytes, Size(32, 32)]
Signature = Annotated[bytes, Size(64, 64)]
Ticket = Annotated[bytes, Size(16, 16)]
Birth = Annotated[bytes, Size(16, 16)]
ObjectId = Annotated[bytes, Size(16, 16)]
Digest = Annotated[bytes, Size(16, 16)]
Path = Annotated[str, Size(0, 33)]  # in the tree over a cell's objects
Code = Annotated[str, Size(1, 40)]
Role = Annotated[str, Size(0, 40)]
NodeName = Annotated[str, Size(0, NODE_NAME_CHARACTERS_MAX)]
Speech = Annotated[str, Size(1, 300)]
Sentence = Annotated[str, Size(0, 300)]
Url = Annotated[str, Size(1, 200)]


class Instant(NamedTuple):
    """One reading of the node's clocks: seconds since boot (suspended time counts), and Unix milliseconds."""

    boot_s: float
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Pose:
    """Where an avatar is and how: up in steps of 4 cm above the datum, yaw in 256ths of a turn, state a small code."""

    east_cm: Centimetres
    north_cm: Centimetres
    up: Up = 0
    yaw: U8 = 0
    state: U8 = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """`subject` may be `role` over `scope` from `not_before_ms` to before `not_after_ms` (Unix), says `issuer`.

    `succeeds`: it is what the issuer was granted itself, passed on whole to its next key. What a grant is worth is
    decided by `p2pworld.grants`.
    """

    subject: Key
    role: Code
    scope: Annotated[tuple[Annotated[str, Size(1, 100)], ...], Size(1, 32)]
    not_before_ms: U53
    not_after_ms: U53
    issuer: Key
    sig: Signature
    may_delegate: bool = False
    succeeds: bool = False


Chain = Annotated[tuple[Grant, ...], Size(0, CHAIN_MAX)]


@dataclass(frozen=True, slots=True)
class Profile:
    """How a person wishes to be shown; `kind` is `person`, `program` or `ai`, and programs never count as people."""

    name: Annotated[str, Size(1, 32)]
    look: Annotated[str, Size(0, 64)] = ""
    kind: Annotated[str, Size(1, 8)] = "person"
