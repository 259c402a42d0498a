"""Identities: deterministic, strict, and no signature stands in for another."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import (
    NodeKeys,
    PersonKeys,
    birth_of,
    login_of,
    sign_challenge,
    sign_hello,
    verify,
    verify_challenge,
    verify_hello,
)
from p2pworld.errors import LocalError
from p2pworld.grants import sign_grant
from p2pworld.ids import Login
from p2pworld.messages import Hello, Pose, Profile, SignedHello

PERSON = PersonKeys.from_seed(b"p" * 32)
NODE = NodeKeys.from_seed(b"n" * 32).public
NONCE = b"c" * 32
HELLO = sign_hello(
    PERSON,
    NODE,
    NONCE,
    5,
    "ws://a/play",
    Profile("김"),
    after=Login(3, b"a" * 16),
    want=Pose(1, 2),
    caps=("x",),
)
FRESH = SignedHello(NODE, NONCE, HELLO)


def test_the_first_vector_of_rfc_8032() -> None:
    signer = PersonKeys.from_seed(
        bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    )
    assert signer.public.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert signer.sign(b"").hex() == (
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
    )


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=50))
def test_what_is_signed_verifies_and_nothing_near_it(seed: bytes, message: bytes) -> None:
    signer = PersonKeys.from_seed(seed)
    signature = signer.sign(message)
    assert verify(signer.public, message, signature)
    assert not verify(signer.public, message + b"\0", signature)
    assert not verify(signer.public, message, signature[:-1] + bytes((signature[-1] ^ 1,)))
    assert not verify(PERSON.public, message, signature) or seed == PERSON.seed


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_malformed_keys_and_signatures_are_just_false(public: bytes, signature: bytes) -> None:
    assert not verify(public, b"m", signature)


def test_a_key_of_small_order_never_verifies() -> None:
    for public in (bytes(32), b"\x01" + bytes(31)):
        assert not verify(public, b"m", b"\x01" + bytes(63))
        assert not verify(public, b"m", bytes(64))


@given(st.binary(min_size=32, max_size=32))
def test_key_files_give_the_same_identity_back(seed: bytes) -> None:
    signer = NodeKeys.from_seed(seed)
    for text in (signer.to_pem(), seed.hex(), f"\n {seed.hex().upper()}\n"):
        assert NodeKeys.from_text(text).sign(b"m") == signer.sign(b"m")


def test_what_is_no_key_file_is_refused_in_a_sentence() -> None:
    other = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for text in (
        "",
        "ab" * 31,
        "hello",
        "-----BEGIN PRIVATE KEY-----\nxx\n-----END PRIVATE KEY-----",
        other.decode(),
    ):
        with pytest.raises(LocalError, match="key"):
            NodeKeys.from_text(text)
    with pytest.raises(LocalError):
        NodeKeys.from_seed(bytes(31))


def test_a_secret_is_not_in_its_repr() -> None:
    assert PERSON.seed.hex()[:6] not in repr(PERSON)
    assert repr(PERSON) == f"PersonKeys({PERSON.public.hex()[:8]})"


def test_a_challenge_is_good_for_its_nonce_url_and_node() -> None:
    signer = NodeKeys.from_seed(b"n" * 32)
    sig = sign_challenge(signer, NONCE, "ws://a/play")
    assert verify_challenge(NODE, NONCE, "ws://a/play", sig)
    assert not verify_challenge(NODE, NONCE, "ws://b/play", sig)
    assert not verify_challenge(NODE, b"d" * 32, "ws://a/play", sig)
    assert not verify_challenge(PERSON.public, NONCE, "ws://a/play", sig)
    with pytest.raises(LocalError):
        sign_challenge(signer, b"short", "ws://a/play")


def test_a_hello_is_good_for_its_challenge_only() -> None:
    assert verify_hello(FRESH)
    assert not verify_hello(replace(FRESH, nonce=b"d" * 32))
    assert not verify_hello(replace(FRESH, node=b"m" * 32))


CHANGED = {
    "key": b"k" * 32, "login_ms": 6, "url": "ws://b/play", "profile": Profile("박"), "sig": bytes(64),
    "birth": b"b" * 16, "after_ms": 4, "after_birth": b"c" * 16, "ticket": b"t" * 16, "want": None,
}  # fmt: skip


@pytest.mark.parametrize("name", [field.name for field in fields(Hello)])
def test_a_hello_signs_every_field_but_version_capabilities_and_grants(name: str) -> None:
    if name in ("v", "caps", "grants"):
        grant = sign_grant(PERSON, PERSON.public, "official", ("cells:*",), 0, 1)
        assert verify_hello(replace(FRESH, hello=replace(HELLO, v=2, caps=(), grants=(grant,))))
    else:
        assert not verify_hello(replace(FRESH, hello=replace(HELLO, **{name: CHANGED[name]})))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["birth", "ticket", "after_birth"])
def test_a_half_name_is_no_name(name: str) -> None:
    hello = Hello(1, PERSON.public, 5, "ws://a/play", Profile("김"), bytes(64), **{name: b"half"})  # type: ignore[arg-type]
    from p2pworld.wire.codec import hello_digest_input

    sig = PERSON.sign(hello_digest_input(NODE, NONCE, hello))
    assert not verify_hello(SignedHello(NODE, NONCE, replace(hello, sig=sig)))


def test_a_fresh_login_is_born_of_node_and_nonce_and_a_carried_one_keeps_its_birth() -> None:
    assert login_of(FRESH) == Login(5, birth_of(NODE, NONCE))
    assert len(birth_of(NODE, NONCE)) == 16
    assert birth_of(NODE, b"d" * 32) != birth_of(NODE, NONCE) != birth_of(b"m" * 32, NONCE)
    carried = sign_hello(
        PERSON,
        NODE,
        b"d" * 32,
        5,
        "ws://a/play",
        Profile("김"),
        birth=birth_of(NODE, NONCE),
        ticket=b"t" * 16,
    )
    assert login_of(SignedHello(NODE, b"d" * 32, carried)) == login_of(FRESH)
