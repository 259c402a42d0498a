"""The handshake between two nodes, as values: certificates, what is signed, what is checked. No sockets, no clocks.

A link is TLS 1.3. Each node's certificate is signed by itself and its key is the node's identity, so the dialler, who
knows from the city map whom it dials, pins it. The accepting side cannot ask for a client certificate from nobody's
authority, so it authenticates the dialler inside the channel:

    acceptor -> LinkChallenge   versions, capabilities, who I am, a fresh nonce, my grants
    dialler  -> LinkHello       versions, capabilities, who I am, my grants, a signature
    acceptor -> LinkAccepted or LinkRefused

The dialler's signature covers the hash of the acceptor's certificate as the dialler saw it, the nonce, and both
identities: it is good for this channel, this node and this moment. Both sides demand a chain of grants for role
`shard` from the other.
"""

from __future__ import annotations

import datetime
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import Refusal, RemoteError
from p2pworld.grants import CHAIN_MAX, Grant, Voids, verify_chain
from p2pworld.limits import LINK_HELLO_BYTES_MAX
from p2pworld.messages import AUDIT, CIVIC, GROUND, PULSE, REVOKE, SEEK, Range, Size
from p2pworld.messages.fields import U16, Code, Key, Nonce, Sentence, Signature
from p2pworld.wire.codec import KindTable

if TYPE_CHECKING:
    from p2pworld.ids import Incarnation

__all__ = [
    "LINK_CAPS",
    "LINK_VERSIONS",
    "LinkAccepted",
    "LinkChallenge",
    "LinkHandshake",
    "LinkHello",
    "LinkRefused",
    "accept_hello",
    "certificate_key",
    "check_challenge",
    "decode_link",
    "encode_link",
    "make_certificate",
    "sign_link",
]

LINK_VERSIONS: Final = (1, 1)  # lowest and highest spoken here
LINK_CAPS: Final = (PULSE, SEEK, GROUND, REVOKE, AUDIT, CIVIC)
LINK_ROLE: Final = "shard"

IncarnationNumber = Annotated[int, Range(1, 2**53 - 1)]
Caps = Annotated[tuple[Code, ...], Size(0, 16)]
Chain = Annotated[tuple[Grant, ...], Size(0, CHAIN_MAX)]


@dataclass(frozen=True, slots=True)
class LinkChallenge:
    """The acceptor speaks first: what it speaks, who it is, a fresh nonce, and its grants from the root's on."""

    KIND: ClassVar[int] = 0x01
    v_min: U16
    v_max: U16
    node: Key
    incarnation: IncarnationNumber
    nonce: Nonce
    grants: Chain
    caps: Caps = ()


@dataclass(frozen=True, slots=True)
class LinkHello:
    """The dialler's answer, signed over this very channel."""

    KIND: ClassVar[int] = 0x02
    v_min: U16
    v_max: U16
    node: Key
    incarnation: IncarnationNumber
    grants: Chain
    sig: Signature
    caps: Caps = ()


@dataclass(frozen=True, slots=True)
class LinkAccepted:
    """The link is open: the version and the capabilities both sides have."""

    KIND: ClassVar[int] = 0x03
    v: U16
    caps: Caps = ()


@dataclass(frozen=True, slots=True)
class LinkRefused:
    """No link: `version`, `identity`, `signature` or a code of `grants.verify_chain`; the acceptor closes."""

    KIND: ClassVar[int] = 0x04
    code: Code
    sentence: Sentence = ""


LinkHandshake = LinkChallenge | LinkHello | LinkAccepted | LinkRefused
_TABLE = KindTable((LinkChallenge, LinkHello, LinkAccepted, LinkRefused))


def encode_link(message: LinkHandshake) -> bytes:
    """Kind byte and msgpack map, to be framed like every message of a link.

    Raises:
        LocalError: a field outside its bounds.
    """
    return _TABLE.encode(message)


def decode_link(data: bytes) -> LinkHandshake:
    """The handshake message of these bytes.

    Raises:
        RemoteError: anything malformed.
    """
    if len(data) > LINK_HELLO_BYTES_MAX:
        raise RemoteError("frame-size", f"a handshake message of {len(data)} bytes")
    message: LinkHandshake = _TABLE.decode(data)
    return message


# --- certificates ----------------------------------------------------------------------------------


def make_certificate(signer_seed: bytes, not_before_s: int, not_after_s: int) -> tuple[bytes, bytes]:
    """(certificate, key) as PEM of the node with this seed, valid between two Unix seconds; always the same."""
    signer = Signer.from_seed(signer_seed)
    key = Ed25519PrivateKey.from_private_bytes(signer_seed)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, signer.public.hex())])
    span = not_before_s.to_bytes(8, "big", signed=True) + not_after_s.to_bytes(8, "big", signed=True)
    serial = int.from_bytes(hashlib.sha256(signer.public + span).digest()[:16], "big") | 1
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(datetime.datetime.fromtimestamp(not_before_s, datetime.UTC))
        .not_valid_after(datetime.datetime.fromtimestamp(not_after_s, datetime.UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, algorithm=None)
    )
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return certificate.public_bytes(Encoding.PEM), pem


def certificate_key(certificate_der: bytes) -> bytes:
    """The identity (32 bytes) that a link certificate speaks for.

    Raises:
        RemoteError: no certificate, or not of an Ed25519 key (`certificate`).
    """
    try:
        key = x509.load_der_x509_certificate(certificate_der).public_key()
    except ValueError:
        raise RemoteError("certificate", "the certificate cannot be read") from None
    if not isinstance(key, Ed25519PublicKey):
        raise RemoteError("certificate", "the certificate is not of an Ed25519 key")
    return key.public_bytes_raw()


# --- the dialler -----------------------------------------------------------------------------------


def _signed_bytes(certificate_der: bytes, challenge: LinkChallenge, node: bytes, incarnation: int) -> bytes:
    return b"".join(
        (
            b"p2pworld link v1\n",
            hashlib.sha256(certificate_der).digest(),
            challenge.nonce,
            node,
            incarnation.to_bytes(8, "little"),
            challenge.node,
        )
    )


def check_challenge(
    challenge: LinkChallenge,
    certificate_der: bytes,
    expected: Incarnation,
    roots: frozenset[bytes],
    now_ms: int,
    voids: Voids | None = None,
) -> Refusal | None:
    """Why the dialler must not go on with this acceptor, or None.

    The certificate (as TLS presented it) must be of the dialled node, and so must the challenge; the incarnation must
    be the expected one; the grants must hold and not be void; a version must be common.

    Raises:
        RemoteError: the certificate cannot be read.
    """
    if certificate_key(certificate_der) != expected.node or challenge.node != expected.node:
        return Refusal("identity", "another node answered than the one dialled")
    if challenge.incarnation != expected.number:
        return Refusal(
            "incarnation", f"the node lives its life {challenge.incarnation}, not {expected.number}"
        )
    if _common_version(challenge.v_min, challenge.v_max) is None:
        return Refusal("version", _version_sentence(challenge.v_min, challenge.v_max))
    return verify_chain(challenge.grants, roots, challenge.node, LINK_ROLE, now_ms, voids=voids)


def sign_link(
    signer: Signer,
    incarnation: int,
    challenge: LinkChallenge,
    certificate_der: bytes,
    grants: tuple[Grant, ...],
) -> LinkHello:
    """The dialler's answer to a challenge it has checked."""
    sig = signer.sign(_signed_bytes(certificate_der, challenge, signer.public, incarnation))
    return LinkHello(*LINK_VERSIONS, signer.public, incarnation, grants, sig, LINK_CAPS)


# --- the acceptor ----------------------------------------------------------------------------------


def accept_hello(
    hello: LinkHello,
    challenge: LinkChallenge,
    certificate_der: bytes,
    roots: frozenset[bytes],
    now_ms: int,
    voids: Voids | None = None,
) -> LinkAccepted | LinkRefused:
    """The acceptor's verdict on the answer to its own challenge, sent over its own certificate."""
    version = _common_version(hello.v_min, hello.v_max)
    if version is None:
        return LinkRefused("version", _version_sentence(hello.v_min, hello.v_max))
    if hello.node == challenge.node:
        return LinkRefused("identity", "a node does not link to itself")
    signed = _signed_bytes(certificate_der, challenge, hello.node, hello.incarnation)
    if not verify(hello.node, signed, hello.sig):
        return LinkRefused("signature", "the answer was not signed by that node over this channel")
    refusal = verify_chain(hello.grants, roots, hello.node, LINK_ROLE, now_ms, voids=voids)
    if refusal is not None:
        return LinkRefused(refusal.reason, refusal.sentence)
    return LinkAccepted(version, tuple(cap for cap in LINK_CAPS if cap in hello.caps))


def _common_version(v_min: int, v_max: int) -> int | None:
    """The highest version both sides speak."""
    highest = min(v_max, LINK_VERSIONS[1])
    return highest if highest >= max(v_min, LINK_VERSIONS[0]) else None


def _version_sentence(v_min: int, v_max: int) -> str:
    ours = f"{LINK_VERSIONS[0]} to {LINK_VERSIONS[1]}"
    return f"this node speaks link versions {ours}, the other {v_min} to {v_max}"
