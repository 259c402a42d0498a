"""Names of things: who a node, an avatar and a login are.

An avatar's id is a handle made from its public key, never an authority. A login is chosen by the person's device and
orders everything said about that person: a larger login supersedes a smaller one anywhere. A version orders what is
known of one avatar: login first, then the handoffs it made, then its poses.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

__all__ = ["NO_LOGIN", "Incarnation", "Login", "Version", "avatar_id"]


class Incarnation(NamedTuple):
    """One life of a node: its Ed25519 public key (32 bytes) and the number the coordination store gave this life."""

    node: bytes
    number: int


class Login(NamedTuple):
    """One login of a person: the device's milliseconds, and 16 bytes of the hash of its birth node's key and nonce."""

    ms: int
    birth: bytes


class Version(NamedTuple):
    """The order of all that is known of one avatar: a later login, then a later hop, then a later pose."""

    login: Login
    hop: int
    seq: int


NO_LOGIN = Login(0, bytes(16))


def avatar_id(public_key: bytes) -> int:
    """53 bits of the hash of a public key, never 0, so that it is exact in JavaScript."""
    return int.from_bytes(hashlib.sha256(public_key).digest()[:8], "big") >> 11 or 1
