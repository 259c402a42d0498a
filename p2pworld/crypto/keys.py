"""Ed25519 identities: who signs, what exactly is signed in the play handshake, and which login a HELLO opens.

A signer is made from 32 secret bytes and nothing else, so a test, a simulation and a key file all mean the same
identity. There is one verifier in the whole system (libsodium's, through PyNaCl), because published implementations
disagree about odd signatures. Every signed text begins with its own name, so that no signature can stand in for
another. Key files are handled as text; reading and writing them is the shell's.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Self

import nacl.exceptions
import nacl.signing
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from p2pworld.errors import LocalError
from p2pworld.ids import Login
from p2pworld.messages import PROTOCOL, Hello, Pose, Profile, Said, Say, SignedHello
from p2pworld.wire.codec import hello_digest_input, say_digest_input

if TYPE_CHECKING:
    from p2pworld.messages.fields import Grant

__all__ = [
    "NodeKeys",
    "PersonKeys",
    "Signer",
    "birth_of",
    "login_of",
    "sign_challenge",
    "sign_hello",
    "sign_say",
    "verify",
    "verify_challenge",
    "verify_hello",
    "verify_said",
]

_HEX_KEY = re.compile(r"[0-9a-fA-F]{64}")


class Signer:
    """One Ed25519 identity. `public` is its 32 bytes; the secret never appears in its repr."""

    __slots__ = ("_key", "public")

    def __init__(self, key: nacl.signing.SigningKey) -> None:
        self._key = key
        self.public: bytes = bytes(key.verify_key)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The identity of these 32 secret bytes, always the same one.

        Raises:
            LocalError: not 32 bytes.
        """
        if len(seed) != 32:
            raise LocalError(f"a secret key is 32 bytes, not {len(seed)}")
        return cls(nacl.signing.SigningKey(seed))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The identity of a key file: PKCS #8 PEM, or 64 hexadecimal digits.

        Raises:
            LocalError: neither, or the PEM of another kind of key.
        """
        stripped = text.strip()
        if _HEX_KEY.fullmatch(stripped):
            return cls.from_seed(bytes.fromhex(stripped))
        if not stripped.startswith("-----BEGIN"):
            raise LocalError("this is no key file: it holds neither PEM nor 64 hexadecimal digits")
        try:
            key = load_pem_private_key(stripped.encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise LocalError(f"this PEM is no unencrypted private key: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise LocalError(f"this PEM holds another kind of key ({type(key).__name__}), not Ed25519")
        return cls.from_seed(key.private_bytes_raw())

    def to_pem(self) -> str:
        """The secret as PKCS #8 PEM, which other programs read."""
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes."""
        return bytes(self._key)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature; the same message always gets the same one."""
        return self._key.sign(message).signature

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.public.hex()[:8]})"


class NodeKeys(Signer):
    """A node's identity; the key of its link certificate too."""

    __slots__ = ()


class PersonKeys(Signer):
    """A person's identity on one device."""

    __slots__ = ()


def verify(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether `signature` (64 bytes) is `public`'s (32 bytes) of `message`; keys of small order never verify."""
    if len(public) != 32 or len(signature) != 64:
        return False
    try:
        nacl.signing.VerifyKey(public).verify(message, signature)
    except (nacl.exceptions.BadSignatureError, nacl.exceptions.ValueError):
        return False
    return True


def _challenge_bytes(nonce: bytes, url: str) -> bytes:
    if len(nonce) != 32:
        raise LocalError(f"a nonce is 32 bytes, not {len(nonce)}")
    return b"p2pworld challenge v1\n" + nonce + url.encode()


def sign_challenge(signer: Signer, nonce: bytes, url: str) -> bytes:
    """The signature in CHALLENGE: this node said this nonce (32 bytes) at this url."""
    return signer.sign(_challenge_bytes(nonce, url))


def verify_challenge(node: bytes, nonce: bytes, url: str, signature: bytes) -> bool:
    """Whether `node` signed this challenge."""
    return verify(node, _challenge_bytes(nonce, url), signature)


def sign_hello(
    signer: Signer,
    node: bytes,
    nonce: bytes,
    login_ms: int,
    url: str,
    profile: Profile,
    *,
    birth: bytes = b"",
    after: Login | None = None,
    ticket: bytes = b"",
    want: Pose | None = None,
    caps: tuple[str, ...] = (),
    grants: tuple[Grant, ...] = (),
    v: int = PROTOCOL,
) -> Hello:
    """The signed answer to `node`'s challenge `nonce`; `birth` and `ticket` are empty for a fresh login.

    `grants` travel beside what is signed: they prove themselves.
    """
    after_ms, after_birth = after or (0, b"")

    def hello(sig: bytes) -> Hello:
        return Hello(
            v,
            signer.public,
            login_ms,
            url,
            profile,
            sig,
            birth,
            after_ms,
            after_birth,
            ticket,
            want,
            caps,
            grants,
        )

    return hello(signer.sign(hello_digest_input(node, nonce, hello(bytes(64)))))


def verify_hello(signed: SignedHello) -> bool:
    """Whether the person signed this HELLO as the answer to this challenge of this node."""
    hello = signed.hello
    if any(len(part) not in (0, 16) for part in (hello.birth, hello.after_birth, hello.ticket)):
        return False
    return verify(hello.key, hello_digest_input(signed.node, signed.nonce, hello), hello.sig)


def sign_say(
    signer: Signer, n: int, channel: str, text: str, ms: int, *, to: bytes = b"", avatar: int = 0
) -> Say:
    """A signed SAY; `to` names a group, `avatar` whom a direct one is for."""

    def say(sig: bytes) -> Say:
        return Say(n, channel, text, ms, sig, to, avatar)

    return say(signer.sign(say_digest_input(say(bytes(64)))))


def verify_said(key: bytes, said: Say | Said) -> bool:
    """Whether the person of this key said this."""
    return verify(key, say_digest_input(said), said.sig)


def birth_of(node: bytes, nonce: bytes) -> bytes:
    """The 16 bytes that make a login opened at this node with this nonce unlike any other."""
    return hashlib.sha256(b"p2pworld birth v1\n" + node + nonce).digest()[:16]


def login_of(signed: SignedHello) -> Login:
    """The login this HELLO opens, or the one it carries over."""
    hello = signed.hello
    return Login(hello.login_ms, hello.birth or birth_of(signed.node, signed.nonce))
