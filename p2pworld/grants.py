"""One signed permission: who may act as what, over what, for how long, and who said so.

A chain of grants begins at a root key everybody configured (the municipality's) and ends at the one who acts. Each
link's issuer is the subject of the link before it. Who may issue:

- a holder of role `issuer` issues any role but `issuer`;
- a holder of any role whose grant says `may_delegate` issues that same role;
- `may_delegate` itself is passed on only by one who has it; a root key may issue anything;
- whoever has a grant may pass all of it to its own next key (`succeeds`), which ends its own right to it.

A link never reaches beyond the one before it: its whole scope must be covered by its issuer's, and every link must be
valid at the moment of asking. Scopes are `cells:*` or `cells:<quadkey>` (and all within that cell), `places:*` or
`places:<name>`, `streams:*` or `streams:<name>`.

What was taken back later is no part of a chain: who verifies one is told by `voids` (`p2pworld.revocation`).
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from p2pworld.crypto.keys import verify
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.messages.fields import CHAIN_MAX, Grant
from p2pworld.wire.codec import canonical, unpack_map
from p2pworld.wire.schema import Schema

if TYPE_CHECKING:
    from p2pworld.crypto.keys import Signer

__all__ = [
    "CHAIN_MAX",
    "ISSUER",
    "ROLES",
    "Grant",
    "Voids",
    "chain_bytes",
    "covers",
    "grant_from_text",
    "grant_id",
    "grant_to_text",
    "grants_from_text",
    "sign_grant",
    "succeed",
    "verify_chain",
]

ROLES: Final = frozenset({"shard", "relay", "civic", "official", "moderator"})
ISSUER: Final = "issuer"
Voids = Callable[[tuple[Grant, ...], int], Refusal | None]  # why a chain is void at a moment (Unix ms)
_TEXT_MAX = 8_192  # characters of one grant: 32 scopes of 100 bytes are 4 400 in base64

_SCOPE = re.compile(
    r"(cells):(\*|root|[0-3]{1,18})|(places|streams):(\*|[a-z0-9][a-z0-9._-]{0,80})", re.ASCII
)


_SCHEMA = Schema(Grant)


def _signed_bytes(grant: Grant) -> bytes:
    fields = _SCHEMA.write(grant)
    del fields["sig"]
    return b"p2pworld grant v1\n" + canonical(fields)


def sign_grant(
    issuer: Signer,
    subject: bytes,
    role: str,
    scope: tuple[str, ...],
    not_before_ms: int,
    not_after_ms: int,
    *,
    may_delegate: bool = False,
) -> Grant:
    """The grant, signed by `issuer`; whether the issuer may is decided by whoever verifies the chain.

    Raises:
        LocalError: unknown role, malformed scope, or an empty span of time.
    """
    if role not in ROLES and role != ISSUER:
        raise LocalError(f"{role!r} is no role; roles are {', '.join(sorted(ROLES))} and {ISSUER}")
    for part in scope:
        if not _SCOPE.fullmatch(part):
            raise LocalError(
                f"{part!r} is no scope; one looks like 'cells:*', 'cells:0213' or 'places:gwanghwamun'"
            )
    if not_before_ms >= not_after_ms:
        raise LocalError("a grant must end after it begins")
    unsigned = Grant(
        subject, role, scope, not_before_ms, not_after_ms, issuer.public, bytes(64), may_delegate
    )
    return dataclasses.replace(unsigned, sig=issuer.sign(_signed_bytes(unsigned)))


def covers(wide: str, narrow: str) -> bool:
    """Whether everything in scope `narrow` lies in scope `wide`; a malformed scope neither covers nor is covered."""
    if not _SCOPE.fullmatch(wide) or not _SCOPE.fullmatch(narrow):
        return False
    kind, _, name = wide.partition(":")
    narrow_kind, _, narrow_name = narrow.partition(":")
    if kind != narrow_kind:
        return False
    if name == "*" or name == narrow_name:
        return True
    if kind != "cells" or narrow_name == "*":
        return False
    return name == "root" or (narrow_name != "root" and narrow_name.startswith(name))


def verify_chain(
    chain: tuple[Grant, ...],
    roots: frozenset[bytes],
    subject: bytes,
    role: str,
    now_ms: int,
    scope: str | None = None,
    voids: Voids | None = None,
) -> Refusal | None:
    """None when the chain proves that `subject` may act as `role` now (over `scope`, if one is asked for).

    Otherwise why not: `grant-missing`, `grant-long`, `grant-root`, `grant-broken`, `grant-role`, `grant-scope`,
    `grant-early`, `grant-expired`, `grant-subject`, `grant-signature`, or what `voids` says: `grant-revoked`,
    `grant-succeeded`.
    """
    if not chain:
        return Refusal("grant-missing", "no grant was shown")
    if len(chain) > CHAIN_MAX:
        return Refusal("grant-long", f"a chain has at most {CHAIN_MAX} grants")
    if chain[0].issuer not in roots:
        return Refusal("grant-root", "the first grant was not issued by a root key known here")
    above: Grant | None = None
    for grant in chain:
        refusal = _refuse_link(above, grant, now_ms)
        if refusal is not None:
            return refusal
        above = grant
    last = chain[-1]
    if last.subject != subject:
        return Refusal("grant-subject", "the grant was given to somebody else")
    if last.role != role:
        return Refusal("grant-role", f"the grant is for the role {last.role}, not {role}")
    if scope is not None and not any(covers(part, scope) for part in last.scope):
        return Refusal("grant-scope", f"the grant does not reach {scope}")
    if voids is not None and (refusal := voids(chain, now_ms)) is not None:
        return refusal
    # the dear part last: nothing above is believed unless every signature holds
    if not all(verify(grant.issuer, _signed_bytes(grant), grant.sig) for grant in chain):
        return Refusal("grant-signature", "a grant in the chain was not signed by its issuer")
    return None


def _refuse_link(above: Grant | None, grant: Grant, now_ms: int) -> Refusal | None:
    """Why `grant` does not follow from `above` (None: from a root key) at `now_ms`."""
    if grant.role not in ROLES and grant.role != ISSUER:
        return Refusal("grant-role", f"{grant.role} is no role")
    if not all(_SCOPE.fullmatch(part) for part in grant.scope):
        return Refusal("grant-scope", "the grant names a malformed scope")
    if now_ms < grant.not_before_ms:
        return Refusal("grant-early", "the grant does not hold yet")
    if now_ms >= grant.not_after_ms:
        return Refusal("grant-expired", "the grant has ended")
    if above is None:
        return Refusal("grant-role", "a root key is not succeeded") if grant.succeeds else None
    if grant.issuer != above.subject:
        return Refusal("grant-broken", "a grant in the chain was not issued by the subject of the one before")
    if grant.succeeds:
        return _refuse_succession(above, grant)
    issues_others = above.role == ISSUER and grant.role != ISSUER
    if not issues_others and not (above.role == grant.role and above.may_delegate):
        return Refusal("grant-role", f"a holder of {above.role} may not issue {grant.role}")
    if grant.may_delegate and not above.may_delegate:
        return Refusal("grant-role", "a grant may be passed on only if its issuer's may")
    if not all(any(covers(wide, narrow) for wide in above.scope) for narrow in grant.scope):
        return Refusal("grant-scope", "a grant in the chain reaches further than its issuer's")
    return None


def _refuse_succession(above: Grant, grant: Grant) -> Refusal | None:
    """Why `grant` does not pass on what `above` gave; its issuer is known to be the subject of that."""
    gets = (grant.role, grant.scope, grant.not_after_ms, grant.may_delegate)
    if gets != (above.role, above.scope, above.not_after_ms, above.may_delegate):
        return Refusal("grant-role", "a next key gets what the key before it had, and nothing else")
    if grant.subject == grant.issuer:
        return Refusal("grant-role", "a key does not succeed itself")
    return None


def succeed(signer: Signer, chain: tuple[Grant, ...], heir: bytes, from_ms: int) -> tuple[Grant, ...]:
    """The chain by which the key `heir` gets all that `chain` gives to `signer`, from a moment (Unix ms) on.

    Raises:
        LocalError: the chain is another's, is as long as a chain may be, or ends before that moment.
    """
    if not chain or chain[-1].subject != signer.public:
        raise LocalError("these grants were given to another key")
    if len(chain) >= CHAIN_MAX:
        raise LocalError(f"a chain has at most {CHAIN_MAX} grants: the issuer has to grant anew")
    last = chain[-1]
    if from_ms >= min(grant.not_after_ms for grant in chain):
        raise LocalError("these grants have ended")
    unsigned = dataclasses.replace(
        last, subject=heir, issuer=signer.public, not_before_ms=from_ms, succeeds=True
    )
    return *chain, dataclasses.replace(unsigned, sig=signer.sign(_signed_bytes(unsigned)))


def grant_id(grant: Grant) -> bytes:
    """32 bytes that name this very grant."""
    return hashlib.sha256(canonical(_SCHEMA.write(grant))).digest()


def chain_bytes(chain: tuple[Grant, ...]) -> int:
    """How many bytes the canonical maps of these grants take."""
    return sum(len(canonical(_SCHEMA.write(grant))) for grant in chain)


def grant_to_text(grant: Grant) -> str:
    """One line of base64url, for a file."""
    return base64.urlsafe_b64encode(canonical(_SCHEMA.write(grant))).rstrip(b"=").decode()


def grant_from_text(line: str) -> Grant:
    """The grant of one line.

    Raises:
        LocalError: not a grant, in one sentence.
    """
    text = line.strip()
    if not text or len(text) > _TEXT_MAX or not re.fullmatch(r"[A-Za-z0-9_-]+", text):
        raise LocalError("this line is no grant: a grant is one line of base64url text")
    try:
        return _SCHEMA.read(unpack_map(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))
    except (binascii.Error, RemoteError) as error:
        raise LocalError(f"this line is no grant: {error}") from None


def grants_from_text(text: str) -> tuple[Grant, ...]:
    """The chain in a file, root's first: a grant a line; empty lines and lines that begin with # are left out.

    Raises:
        LocalError: a line that is no grant, with its number.
    """
    grants: list[Grant] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            grants.append(grant_from_text(line))
        except LocalError as error:
            raise LocalError(f"line {number}: {error}") from None
    return tuple(grants)
