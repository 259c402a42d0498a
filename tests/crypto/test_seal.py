"""Sealed boxes: only the holder of the key reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.seal import (
    LOCK_OVERHEAD_BYTES,
    OVERHEAD_BYTES,
    lock,
    seal,
    seal_with,
    sealing_public,
    secret_of_text,
    secret_text,
    unlock,
    unseal,
)
from p2pworld.errors import LocalError, RemoteError

if TYPE_CHECKING:
    from collections.abc import Callable

SECRET = b"s" * 32


@given(st.binary(max_size=100))
def test_what_is_sealed_is_read_by_its_holder_alone(data: bytes) -> None:
    sealed = seal(sealing_public(SECRET), data)
    assert len(sealed) == len(data) + OVERHEAD_BYTES
    assert unseal(SECRET, sealed) == data
    with pytest.raises(RemoteError):
        unseal(b"t" * 32, sealed)
    with pytest.raises(RemoteError):
        unseal(SECRET, sealed[:-1] + bytes((sealed[-1] ^ 1,)))


def test_what_is_sealed_with_a_known_key_is_an_ordinary_box_and_always_the_same() -> None:
    public = sealing_public(SECRET)
    sealed = seal_with(b"e" * 32, public, b"data")
    assert unseal(SECRET, sealed) == b"data"
    assert sealed == seal_with(b"e" * 32, public, b"data") != seal_with(b"f" * 32, public, b"data")
    for ephemeral, to in ((b"e", public), (b"e" * 32, b"short"), (b"e" * 32, bytes(32))):
        with pytest.raises(LocalError):
            seal_with(ephemeral, to, b"data")
    with pytest.raises(LocalError):
        seal(bytes(32), b"data")


def test_a_secrets_file_is_read_as_nothing_else() -> None:
    assert secret_of_text(secret_text(SECRET)) == SECRET
    for text in (
        "",
        SECRET.hex(),
        secret_text(SECRET)[:-3],
        "p2pworld sealing secret\nzz",
        "-----BEGIN PRIVATE KEY",
    ):
        with pytest.raises(LocalError):
            secret_of_text(text)


@given(st.binary(max_size=60))
def test_what_was_never_sealed_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteError):
        unseal(SECRET, data)


def test_keys_are_32_bytes() -> None:
    calls: list[Callable[[], bytes]] = [
        lambda: seal(b"k", b""),
        lambda: unseal(b"k", b""),
        lambda: sealing_public(b"k"),
    ]
    for wrong in calls:
        with pytest.raises(LocalError):
            wrong()


@given(st.binary(max_size=100))
def test_what_is_locked_is_read_with_its_key_alone(data: bytes) -> None:
    locked = lock(bytes(32), data)
    assert len(locked) == len(data) + LOCK_OVERHEAD_BYTES
    assert unlock(bytes(32), locked) == data
    for key, spoiled in (
        (bytes([1]) * 32, locked),
        (bytes(32), locked + b"x"),
        (bytes(32), locked[:-1]),
        (bytes(32), b""),
    ):
        with pytest.raises(RemoteError):
            unlock(key, spoiled)
    with pytest.raises(LocalError):
        lock(bytes(31), data)
