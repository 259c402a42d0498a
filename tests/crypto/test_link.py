"""The link handshake: both ends are who they say, over this channel, and may be there."""

from __future__ import annotations

import ssl
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from p2pworld.crypto.keys import NodeKeys
from p2pworld.crypto.link import (
    LINK_CAPS,
    LinkAccepted,
    LinkChallenge,
    LinkHello,
    LinkRefused,
    accept_hello,
    certificate_key,
    check_challenge,
    decode_link,
    encode_link,
    make_certificate,
    sign_link,
)
from p2pworld.errors import Refusal, RemoteError
from p2pworld.grants import sign_grant
from p2pworld.ids import Incarnation
from tests.wire.messages import of_class

NOW_S = 1_700_000_000
NOW_MS = NOW_S * 1000
CITY = NodeKeys.from_seed(b"city".ljust(32))
ROOTS = frozenset({CITY.public})
A, B = (NodeKeys.from_seed(name.ljust(32)) for name in (b"a", b"b"))


def grant(node: NodeKeys, role: str = "shard") -> Any:
    return (sign_grant(CITY, node.public, role, ("cells:*",), NOW_MS - 1, NOW_MS + 1),)


def certificate(node: NodeKeys) -> bytes:
    return ssl.PEM_cert_to_DER_cert(make_certificate(node.seed, NOW_S - 60, NOW_S + 60)[0].decode())


CERTIFICATE = certificate(A)
CHALLENGE = LinkChallenge(1, 1, A.public, 7, b"n" * 32, grant(A))
HELLO = sign_link(B, 9, CHALLENGE, CERTIFICATE, grant(B))


def test_two_nodes_of_the_city_link() -> None:
    challenge = decode_link(encode_link(CHALLENGE))
    assert isinstance(challenge, LinkChallenge)
    assert check_challenge(challenge, CERTIFICATE, Incarnation(A.public, 7), ROOTS, NOW_MS) is None
    hello = decode_link(encode_link(HELLO))
    assert isinstance(hello, LinkHello)
    assert accept_hello(hello, CHALLENGE, CERTIFICATE, ROOTS, NOW_MS) == LinkAccepted(1, LINK_CAPS)


@pytest.mark.parametrize(
    ("challenge", "cert", "expected", "reason"),
    [
        (CHALLENGE, certificate(B), (A, 7), "identity"),
        (replace(CHALLENGE, node=B.public), CERTIFICATE, (A, 7), "identity"),
        (CHALLENGE, CERTIFICATE, (B, 7), "identity"),
        (CHALLENGE, CERTIFICATE, (A, 8), "incarnation"),
        (replace(CHALLENGE, v_min=2, v_max=3), CERTIFICATE, (A, 7), "version"),
        (replace(CHALLENGE, v_min=0, v_max=0), CERTIFICATE, (A, 7), "version"),
        (replace(CHALLENGE, grants=()), CERTIFICATE, (A, 7), "grant-missing"),
        (replace(CHALLENGE, grants=grant(B)), CERTIFICATE, (A, 7), "grant-subject"),
        (replace(CHALLENGE, grants=grant(A, "relay")), CERTIFICATE, (A, 7), "grant-role"),
    ],
)
def test_a_dialler_goes_on_only_with_the_node_it_dialled(
    challenge: LinkChallenge, cert: bytes, expected: tuple[NodeKeys, int], reason: str
) -> None:
    node, number = expected
    refusal = check_challenge(challenge, cert, Incarnation(node.public, number), ROOTS, NOW_MS)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


@pytest.mark.parametrize(
    ("hello", "code"),
    [
        (replace(HELLO, v_min=2, v_max=2), "version"),
        (replace(HELLO, incarnation=10), "signature"),
        (replace(HELLO, node=CITY.public), "signature"),
        (replace(HELLO, sig=bytes(64)), "signature"),
        (replace(HELLO, grants=()), "grant-missing"),
        (replace(HELLO, grants=grant(A)), "grant-subject"),
        (replace(HELLO, grants=grant(B, "relay")), "grant-role"),
        (sign_link(A, 7, CHALLENGE, CERTIFICATE, grant(A)), "identity"),
        (sign_link(B, 9, replace(CHALLENGE, nonce=b"m" * 32), CERTIFICATE, grant(B)), "signature"),
        (sign_link(B, 9, replace(CHALLENGE, node=CITY.public), CERTIFICATE, grant(B)), "signature"),
        (sign_link(B, 9, CHALLENGE, certificate(B), grant(B)), "signature"),
    ],
)
def test_an_acceptor_admits_only_an_answer_made_for_it(hello: LinkHello, code: str) -> None:
    verdict = accept_hello(hello, CHALLENGE, CERTIFICATE, ROOTS, NOW_MS)
    assert isinstance(verdict, LinkRefused)
    assert verdict.code == code
    assert decode_link(encode_link(verdict)) == verdict


def test_a_grant_ends_while_the_signature_still_holds() -> None:
    verdict = accept_hello(HELLO, CHALLENGE, CERTIFICATE, ROOTS, NOW_MS + 1)
    assert isinstance(verdict, LinkRefused)
    assert verdict.code == "grant-expired"


def test_a_newer_peer_meets_at_our_version() -> None:
    hello = replace(HELLO, v_max=5, caps=("later",))
    assert accept_hello(hello, CHALLENGE, CERTIFICATE, ROOTS, NOW_MS) == LinkAccepted(1)


def test_a_certificate_is_made_of_its_key_and_its_span_alone(tmp_path: Any) -> None:
    pem, key = make_certificate(A.seed, NOW_S - 60, NOW_S + 60)
    assert make_certificate(A.seed, NOW_S - 60, NOW_S + 60) == (pem, key)
    assert make_certificate(A.seed, NOW_S, NOW_S + 60)[0] != pem
    assert certificate_key(CERTIFICATE) == A.public
    parsed = x509.load_der_x509_certificate(CERTIFICATE)
    parsed.verify_directly_issued_by(parsed)
    assert parsed.not_valid_after_utc.timestamp() == NOW_S + 60
    (tmp_path / "pem").write_bytes(pem + key)
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tmp_path / "pem")  # takes the pair or raises


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_the_others_fault(data: bytes) -> None:
    with pytest.raises(RemoteError):
        certificate_key(data)


@given(
    st.one_of(*(of_class(cls) for cls in (LinkChallenge, LinkHello, LinkAccepted, LinkRefused))), st.data()
)
def test_handshake_messages_arrive_and_mutated_ones_raise_nothing_else(
    message: Any, data: st.DataObject
) -> None:
    sent = encode_link(message)
    assert decode_link(sent) == message
    changed = bytearray(sent)
    changed[data.draw(st.integers(0, len(sent) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RemoteError):
        decode_link(bytes(changed))


def test_a_handshake_message_has_a_greatest_size() -> None:
    with pytest.raises(RemoteError) as caught:
        decode_link(bytes(16_385))
    assert caught.value.reason == "frame-size"
