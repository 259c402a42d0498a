"""Who counts as one person: what an attestor says of somebody, and how it is shown beside a filing.

An attestor knows that somebody is a person, and perhaps in which gu they live. It gives them a pseudonym for each
purpose, which is the same whatever device they use, and says so in a `Claim`: this key is that of this pseudonym, until
then. Pseudonyms of two purposes have nothing in common that others could see, so nobody can put together what somebody
books with what they propose. What is counted, and who comes first, goes by pseudonyms, never by keys.

Beside a filing a claim is `Shown`: with a signature of the claim's key over that very filing, so that nobody else can
use it, and not for anything else. It is told to the log's holder alone, and stands in no leaf.

What the log's holder asks is `attested`: who files, or a reason why that is not known. What attestors it believes, and
which keys these have withdrawn since (those of a lost device), is `Attestors`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

from p2pworld.crypto.keys import Signer, verify
from p2pworld.errors import LocalError, Refusal, RemoteError
from p2pworld.limits import CLAIM_BYTES_MAX, CLAIM_MINUTES_MAX, WITHDRAWN_KEYS_MAX
from p2pworld.messages.fields import U16, U32, Key, Signature, Size
from p2pworld.services.declaration import CITY, Person, Service
from p2pworld.services.draw_log import draw_name
from p2pworld.services.facility import GU_SLUGS, Allocation
from p2pworld.services.reasons import refusal
from p2pworld.wire.codec import Canonical, unpack_map

if TYPE_CHECKING:
    from collections.abc import Mapping

    from p2pworld.civic.transaction import Filing

__all__ = [
    "BOOKING",
    "CLAIM_VERSION",
    "PURPOSE",
    "Attested",
    "Attestors",
    "Claim",
    "Shown",
    "Withdrawn",
    "attested",
    "attested_for",
    "claim_key_seed",
    "parse_claim",
    "parse_shown",
    "parse_withdrawn",
    "person_of",
    "purpose_of",
    "show",
    "sign_claim",
    "sign_withdrawn",
]

T = TypeVar("T")

CLAIM_VERSION: Final = 1
BOOKING: Final = "booking"  # one purpose for all places that who comes first gets
PURPOSE: Final = re.compile(
    r"[a-z][a-z0-9-]{0,39}|support/[a-z][a-z-]{0,29}/(0|[1-9][0-9]{0,14})|draw/[a-z][a-z0-9-]{0,39}/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(/[1-9])?"
)
_CLAIM_NAME: Final = b"p2pworld claim v1\n"
_USE_NAME: Final = b"p2pworld claim use v1\n"
_KEY_NAME: Final = b"p2pworld claim key v1\n"
_PERSON_NAME: Final = b"p2pworld claim person v1\n"
_WITHDRAWN_NAME: Final = b"p2pworld claims withdrawn v1\n"


# ---- what is said


@dataclass(frozen=True, slots=True)
class Claim:
    """`attestor` says: whoever has `key` is the person `person` where it is about `purpose`, and lives in `gu`.

    `until` is the first minute of Unix time in which it says so no more; `gu` is empty where nothing is said of that.
    """

    v: U16
    attestor: Key
    purpose: Annotated[str, Size(1, 80)]
    person: Key
    key: Key
    gu: Annotated[str, Size(0, 20)]
    until: U32
    sig: Signature

    def statement(self) -> bytes:
        """The bytes that the attestor signs."""
        return _CLAIM_NAME + _CLAIM.pack(replace(self, sig=bytes(64)))

    def to_bytes(self) -> bytes:
        """The claim as it is given and kept."""
        return _CLAIM.pack(self)


@dataclass(frozen=True, slots=True)
class Shown:
    """A claim beside a filing, with `proof` by the claim's key that it is shown for this filing."""

    claim: Claim
    proof: Signature

    def to_bytes(self) -> bytes:
        """The data of a paper `claim`."""
        return _SHOWN.pack(self)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """All keys whose claims `attestor` has taken back before they ended, as of a minute; a later list replaces it."""

    v: U16
    attestor: Key
    minute: U32
    joined: Annotated[bytes, Size(0, 32 * WITHDRAWN_KEYS_MAX)]  # the keys in their order, one after the other
    sig: Signature

    @property
    def keys(self) -> frozenset[bytes]:
        """The keys, each 32 bytes."""
        return frozenset(self.joined[at : at + 32] for at in range(0, len(self.joined), 32))

    def statement(self) -> bytes:
        """The bytes that the attestor signs."""
        return _WITHDRAWN_NAME + _WITHDRAWN.pack(replace(self, sig=bytes(64)))

    def to_bytes(self) -> bytes:
        """The list as it is published."""
        return _WITHDRAWN.pack(self)


_CLAIM: Final = Canonical(Claim)
_SHOWN: Final = Canonical(Shown)
_WITHDRAWN: Final = Canonical(Withdrawn)


@dataclass(frozen=True, slots=True)
class Attestors:
    """Whom the log's holder believes, and the claims' keys that were withdrawn since."""

    keys: frozenset[bytes] = frozenset()
    withdrawn: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Attested:
    """Who files: a pseudonym (hex), and the gu an attestor says they live in, or nothing."""

    person: str
    gu: str = ""

    def lives_in(self, gu: str) -> bool:
        """Whether they are a resident there; of the city, whoever lives in any of its gu is."""
        return bool(self.gu) if gu == CITY else self.gu == gu


# ---- reading


def parse_claim(data: bytes) -> Claim:
    """The claim in these bytes, nothing of it verified.

    Raises:
        RemoteError: too long (`claim-size`), not the one way to write it (`claim-canonical`), or malformed
            (`wire.codec`'s reasons).
    """
    return _read(_CLAIM, data)


def parse_shown(data: bytes) -> Shown:
    """What a paper `claim` holds, nothing of it verified.

    Raises:
        RemoteError: as `parse_claim`.
    """
    return _read(_SHOWN, data)


def parse_withdrawn(data: bytes) -> Withdrawn:
    """An attestor's list, whose signature holds.

    Raises:
        RemoteError: malformed, or not signed by the attestor that it names (`withdrawn-signature`).
    """
    read = _WITHDRAWN.read(unpack_map(data))
    if len(read.joined) % 32 or not verify(read.attestor, read.statement(), read.sig):
        raise RemoteError("withdrawn-signature", "this list was not signed by the attestor that it names")
    return read


def _read(schema: Canonical[T], data: bytes) -> T:
    if len(data) > CLAIM_BYTES_MAX:
        raise RemoteError("claim-size", f"a claim of {len(data)} bytes, where {CLAIM_BYTES_MAX} are allowed")
    read = schema.read(unpack_map(data))
    if schema.pack(read) != data:
        raise RemoteError("claim-canonical", "a claim that is not written in the one way there is")
    return read


# ---- the attestor's side


def person_of(secret: bytes, purpose: str, subject: bytes) -> bytes:
    """The pseudonym of a subject (32 bytes) for a purpose; who has no secret can neither make nor undo it.

    Raises:
        LocalError: a secret or subject that is not 32 bytes.
    """
    if len(secret) != 32 or len(subject) != 32:
        raise LocalError("an attestor's secret and a subject are 32 bytes each")
    return hmac.new(secret, _PERSON_NAME + purpose.encode() + b"\n" + subject, hashlib.sha256).digest()


def sign_claim(attestor: Signer, purpose: str, person: bytes, key: bytes, gu: str, until: int) -> Claim:
    """The signed claim.

    Raises:
        LocalError: no purpose, no gu, or a key that is none.
    """
    if not PURPOSE.fullmatch(purpose):
        raise LocalError(f"{purpose!r} is no purpose: it is a service, {BOOKING!r}, or 'draw/' and a draw")
    if gu and gu not in GU_SLUGS:
        raise LocalError(f"{gu!r} is no gu: one is such as 'jongno'")
    unsigned = Claim(CLAIM_VERSION, attestor.public, purpose, person, key, gu, until, bytes(64))
    return replace(unsigned, sig=attestor.sign(unsigned.statement()))


def sign_withdrawn(attestor: Signer, minute: int, keys: frozenset[bytes]) -> Withdrawn:
    """The signed list of these keys.

    Raises:
        LocalError: more than one list holds.
    """
    unsigned = Withdrawn(CLAIM_VERSION, attestor.public, minute, b"".join(sorted(keys)), bytes(64))
    return replace(unsigned, sig=attestor.sign(unsigned.statement()))


# ---- the citizen's side


def purpose_of(service: Service, values: Mapping[str, object]) -> str:
    """What a claim beside a filing of this service with these values must be for."""
    if service.places is None:
        return service.id
    if service.places.allocation is Allocation.LOTTERY:
        return f"draw/{draw_name(str(values.get('facility', '')), str(values.get('slot', '')))}"
    return BOOKING


def claim_key_seed(device: bytes, purpose: str) -> bytes:
    """The seed of the key that a device (its own seed, 32 bytes) has for a purpose: two of them have nothing in common
    that others could see, and none needs to be kept.

    Raises:
        LocalError: not 32 bytes.
    """
    if len(device) != 32:
        raise LocalError(f"a device's seed is 32 bytes, not {len(device)}")
    return hashlib.sha256(_KEY_NAME + device + purpose.encode()).digest()


def show(claim: Claim, holder: Signer, filing: Filing) -> Shown:
    """The claim as it is shown beside this filing, by whoever has its key.

    Raises:
        LocalError: the claim is of another key.
    """
    if holder.public != claim.key:
        raise LocalError("this claim was given to another key")
    return Shown(claim, holder.sign(_USE_NAME + filing.statement()))


# ---- the side of the log's holder


def attested(
    service: Service, filing: Filing, data: bytes | None, attestors: Attestors, minute: int
) -> Attested | Refusal | None:
    """Who files, by what is shown (`data`, of a paper `claim`); None where nothing is shown and nothing needed.

    `claim-missing`, `claim-broken`, `claim-attestor`, `claim-purpose`, `claim-expired`, `claim-long`,
    `claim-withdrawn`, `claim-signature`, `claim-proof`, `claim-resident`.
    """
    if data is None and service.eligible.person is Person.ANYBODY:
        return None
    purpose = purpose_of(service, {field.name: field.value for field in filing.public})
    who = attested_for(purpose, filing, data, attestors, minute)
    if isinstance(who, Refusal):
        return who
    if service.eligible.person is Person.RESIDENT and not who.lives_in(filing.stream):
        return refusal("claim-resident")
    return who


def attested_for(
    purpose: str, filing: Filing, data: bytes | None, attestors: Attestors, minute: int
) -> Attested | Refusal:
    """Who files something for this purpose, by what has to be shown; the reasons are those of `attested`."""
    if data is None:
        return refusal("claim-missing")
    try:
        shown = parse_shown(data)
    except RemoteError:
        return refusal("claim-broken")
    fault = _claim_fault(shown, filing, purpose, attestors, minute)
    return fault or Attested(shown.claim.person.hex(), shown.claim.gu)


def _claim_fault(
    shown: Shown, filing: Filing, purpose: str, attestors: Attestors, minute: int
) -> Refusal | None:
    """Why this is not believed; what is dear to look at comes last."""
    claim = shown.claim
    if claim.v != CLAIM_VERSION or (claim.gu and claim.gu not in GU_SLUGS):
        return refusal("claim-broken")
    if claim.attestor not in attestors.keys:
        return refusal("claim-attestor")
    if claim.purpose != purpose:
        return refusal("claim-purpose")
    if minute >= claim.until:
        return refusal("claim-expired")
    if claim.until - minute > CLAIM_MINUTES_MAX:
        return refusal("claim-long")
    if claim.key in attestors.withdrawn:
        return refusal("claim-withdrawn")
    if not verify(claim.attestor, claim.statement(), claim.sig):
        return refusal("claim-signature")
    if not verify(claim.key, _USE_NAME + filing.statement(), shown.proof):
        return refusal("claim-proof")
    return None
