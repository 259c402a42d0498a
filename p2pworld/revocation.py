"""What is taken back: a signed word that a key or a grant counts no longer, and a key's word which key comes after it.

Whoever gave may take. A revocation reaches a grant in a chain if its issuer stands in that chain, as the issuer of that
grant or of one before it; so each chain itself shows whether a revocation concerns it, and a delegate ends what it gave
and nothing else. A key may also revoke itself. What is revoked voids all that was built on it.

A succession is a chain of grants whose last one `succeeds`: it shows by itself that the key before named the next one.
From then on the key before may do nothing any more. A key that has named two has been copied, and neither counts.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from p2pworld.crypto.keys import verify
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.grants import CHAIN_MAX, ISSUER, Grant, grant_id, verify_chain
from p2pworld.limits import LOGIN_AHEAD_MS, NOTICE_BYTES_MAX, REVOCATION_LONGEST_MS
from p2pworld.messages import Size
from p2pworld.messages.fields import U53, Chain, Key, Sentence, Signature
from p2pworld.wire.codec import KindTable, canonical
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from p2pworld.crypto.keys import Signer

__all__ = [
    "Notice",
    "Revocation",
    "Succession",
    "notice_end_ms",
    "notice_fault",
    "notice_from_text",
    "notice_id",
    "notice_to_text",
    "pack_notice",
    "reaches",
    "read_notice",
    "sign_revocation",
]


@dataclass(frozen=True, slots=True)
class Revocation:
    """Nothing `issuer` gave to `subject`, or not the one `grant` named, counts from `from_ms` on (Unix).

    It may be forgotten at `until_ms`, when what it takes back has ended by itself. `chain` are the issuer's own grants,
    none if it is a root key. The signature covers all but `chain` and `sig`.
    """

    KIND: ClassVar[int] = 0x01
    subject: Key
    issuer: Key
    from_ms: U53
    until_ms: U53
    sig: Signature
    chain: Chain = ()
    grant: Annotated[bytes, Size(0, 32)] = b""
    reason: Sentence = ""


@dataclass(frozen=True, slots=True)
class Succession:
    """The last grant of `chain` passes what its issuer had to that one's next key."""

    KIND: ClassVar[int] = 0x02
    chain: Annotated[tuple[Grant, ...], Size(2, CHAIN_MAX)]


Notice = Revocation | Succession
_TABLE = KindTable((Revocation, Succession))
_REVOCATIONS = Schema(Revocation)


def _signed_bytes(revocation: Revocation) -> bytes:
    fields = _REVOCATIONS.write(revocation)
    fields.pop("sig")
    fields.pop("chain", None)
    return b"p2pworld revocation v1\n" + canonical(fields)


def sign_revocation(
    issuer: Signer,
    subject: bytes,
    from_ms: int,
    until_ms: int,
    reason: str = "",
    *,
    chain: tuple[Grant, ...] = (),
    grant: Grant | None = None,
) -> Revocation:
    """The signed revocation; whether it holds is for whoever receives it."""
    name = b"" if grant is None else grant_id(grant)
    unsigned = Revocation(subject, issuer.public, from_ms, until_ms, bytes(64), chain, name, reason)
    return dataclasses.replace(unsigned, sig=issuer.sign(_signed_bytes(unsigned)))


def pack_notice(notice: Notice) -> bytes:
    """Its kind and canonical map.

    Raises:
        LocalError: a field outside its bounds.
    """
    return _TABLE.encode(notice)


def read_notice(data: bytes) -> Notice:
    """The notice of `pack_notice`'s bytes.

    Raises:
        RemoteError: malformed, or too long.
    """
    if len(data) > NOTICE_BYTES_MAX:
        raise RemoteError("frame-size", f"a notice of {len(data)} bytes")
    notice: Notice = _TABLE.decode(data)
    return notice


def notice_to_text(notice: Notice) -> str:
    """One line of base64url, for a file.

    Raises:
        LocalError: a field outside its bounds.
    """
    return base64.urlsafe_b64encode(pack_notice(notice)).rstrip(b"=").decode()


def notice_from_text(line: str) -> Notice:
    """The notice of one line.

    Raises:
        LocalError: not a notice, in one sentence.
    """
    text = line.strip()
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text, re.ASCII):
        raise LocalError("a notice is one line of base64url text")
    try:
        return read_notice(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, RemoteError) as error:
        raise LocalError(f"this line is no notice: {error}") from None


def notice_id(notice: Notice) -> bytes:
    """16 bytes that name what was said, whichever grants come with it."""
    if isinstance(notice, Succession):
        last = notice.chain[-1]
        return hashlib.sha256(b"p2pworld succession v1\n" + last.issuer + last.subject).digest()[:16]
    return hashlib.sha256(_signed_bytes(notice)).digest()[:16]


def notice_end_ms(notice: Notice) -> int:
    """When it may be forgotten: nothing it speaks of can count any more."""
    if isinstance(notice, Revocation):
        return notice.until_ms
    return min(grant.not_after_ms for grant in notice.chain)


def notice_fault(notice: Notice, roots: frozenset[bytes], now_ms: int) -> Refusal | None:
    """Why a notice does not hold, or None.

    It does not matter what else was taken back before, so that all nodes keep the same notices in whatever order they
    come: what one who is revoked takes back has lost its right already.
    """
    if notice_end_ms(notice) <= now_ms:
        return Refusal("expired", "What it takes back has ended by itself.")
    if isinstance(notice, Succession):
        last = notice.chain[-1]
        if not last.succeeds:
            return Refusal("grant-role", "The last of these grants names no next key.")
        return verify_chain(notice.chain, roots, last.subject, last.role, now_ms)
    if not 0 < notice.until_ms - notice.from_ms <= REVOCATION_LONGEST_MS:
        return Refusal("span", "A revocation ends after it begins, and at most 20 years later.")
    if notice.from_ms > now_ms + LOGIN_AHEAD_MS:
        return Refusal("clock", "A revocation begins when it is signed, by a clock that is right.")
    if len(notice.grant) not in (0, 32):
        return Refusal("grant", "A grant is named by 32 bytes.")
    if notice.subject in roots:
        return Refusal("root", "A root key is taken back by taking it out of node.roots.")
    refusal = None if notice.issuer in roots else _no_issuer(notice, roots)
    if refusal is None and not verify(notice.issuer, _signed_bytes(notice), notice.sig):
        refusal = Refusal("signature", "The signature does not fit the revocation.")
    return refusal


def _no_issuer(notice: Revocation, roots: frozenset[bytes]) -> Refusal | None:
    """Why one who is no root may not revoke anything."""
    role = notice.chain[-1].role if notice.chain else ""
    # valid when it was signed: what a delegate took back stays so when its own grant ends
    refusal = verify_chain(notice.chain, roots, notice.issuer, role, notice.from_ms)
    if refusal is None and notice.issuer != notice.subject:
        last = notice.chain[-1]
        if last.role != ISSUER and not last.may_delegate:
            refusal = Refusal("grant-role", f"a holder of {last.role} has nothing to take back")
    return refusal


def reaches(revocation: Revocation, chain: tuple[Grant, ...], place: int) -> bool:
    """Whether a revocation takes back the grant at this place of a chain."""
    grant = chain[place]
    if revocation.subject != grant.subject:
        return False
    if revocation.grant and revocation.grant != grant_id(grant):
        return False
    issuers = {above.issuer for above in chain[: place + 1]}
    return revocation.issuer == revocation.subject or revocation.issuer in issuers
